#pragma once
/* For the tests of meta/: a temporary data directory, and hashes that are cheap. */
#include "meta/meta.h"

#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[64];
    struct arena *arena;
    struct error error;
    struct meta_options options;
};

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (fixture == NULL) return -1;
    snprintf(fixture->dir, sizeof fixture->dir, "/tmp/cairn-meta-XXXXXX");
    if (mkdtemp(fixture->dir) == NULL) return -1;
    fixture->arena = arena_new((size_t)1 << 20);
    fixture->options = META_OPTIONS_DEFAULT;
    fixture->options.argon2_memory_bytes = 8192;
    fixture->options.argon2_ops = 1;
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX];
    DIR *dir = opendir(fixture->dir);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", fixture->dir, entry->d_name);
        unlink(path);
    }
    if (dir) closedir(dir);
    int failed = rmdir(fixture->dir);
    arena_free(fixture->arena);
    free(fixture);
    return failed;
}

#define assert_status(expected, expression)                                                                            \
    do {                                                                                                               \
        enum status status_ = (expression);                                                                            \
        if (status_ != (expected)) {                                                                                   \
            char text_[1200];                                                                                          \
            fail_msg("%s: %s instead of %s: %s", #expression, status_name(status_), status_name(expected),             \
                     error_text(&fixture->error, text_, sizeof text_));                                                \
        }                                                                                                              \
    } while (0)
#define assert_str(s, literal)                                                                                         \
    do {                                                                                                               \
        struct str str_ = (s);                                                                                         \
        if (!str_eq(str_, str_of(literal))) fail_msg("\"" STR_FMT "\" instead of \"%s\"", STR_ARG(str_), (literal));   \
    } while (0)

static inline struct meta *fixture_open(struct fixture *fixture)
{
    struct meta *meta = NULL;
    assert_status(STATUS_OK, meta_open(fixture->dir, &fixture->options, &fixture->error, &meta));
    return meta;
}

static inline struct meta_project fixture_project(struct fixture *fixture, struct meta *meta, int64_t id,
                                                  const char *name)
{
    struct meta_project project;
    struct str secret;
    struct meta_project_spec spec = {.id = id, .name = str_of(name)};
    assert_status(STATUS_OK, meta_project_create(meta, &spec, fixture->arena, &fixture->error, &project, &secret));
    return project;
}

static inline struct meta_account fixture_account(struct fixture *fixture, struct meta *meta, int64_t project_id,
                                                  enum meta_role role, const char *username, const char *secret)
{
    struct meta_account account;
    struct str shown;
    struct meta_account_spec spec = {
        .project_id = project_id, .role = role, .username = str_of(username), .secret = str_of(secret)};
    assert_status(STATUS_OK, meta_account_create(meta, &spec, fixture->arena, &fixture->error, &account, &shown));
    return account;
}
