#include "meta/meta_testing.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Shows: what a new project looks like, and that the file is closed to other users. */
static void test_project_create(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    struct meta_project project;
    struct str secret;
    struct meta_project_spec spec = {
        .name = STR("Blåbær \xF0\x9F\xAB\x90"), .timezone = STR("Europe/Oslo"), .identity = META_IDENTITY_LEGACY};
    assert_status(STATUS_OK, meta_project_create(meta, &spec, fixture->arena, &fixture->error, &project, &secret));
    assert_int_equal(project.id, 1);
    assert_int_equal(project.token.size, META_TOKEN_SIZE);
    assert_int_equal(secret.size, META_SECRET_SIZE);
    assert_false(str_eq(secret, project.token));
    assert_true(project.created_ms > 1600000000000);

    struct meta_view *view = NULL;
    assert_status(STATUS_OK, meta_view_load(meta, &fixture->error, &view));
    size_t count = 0;
    const struct meta_project *stored = meta_view_projects(view, &count);
    assert_int_equal(count, 1);
    assert_str(stored->name, "Blåbær \xF0\x9F\xAB\x90");
    assert_str(stored->timezone, "Europe/Oslo");
    assert_int_equal(stored->identity, META_IDENTITY_LEGACY);
    assert_int_equal(stored->created_ms, project.created_ms);
    assert_ptr_equal(meta_view_project(view, 1), stored);
    assert_ptr_equal(meta_view_project_by_token(view, project.token), stored);
    assert_ptr_equal(meta_view_project_by_secret(view, secret), stored);
    assert_null(meta_view_project_by_secret(view, project.token));
    assert_null(meta_view_project_by_token(view, secret));
    assert_null(meta_view_project_by_secret(view, STR_NULL));
    assert_null(meta_view_project(view, 2));
    meta_view_unref(view);

    char path[128];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", fixture->dir, META_FILE_NAME);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    meta_close(meta);
}

/* Shows: neither the project secret nor an account's secret stands in any file of the directory. */
static void test_secrets_are_not_stored(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    struct meta_project project;
    struct meta_account account;
    struct str secrets[2];
    struct meta_project_spec spec = {.name = STR("one")};
    assert_status(STATUS_OK, meta_project_create(meta, &spec, fixture->arena, &fixture->error, &project, &secrets[0]));
    struct meta_account_spec account_spec = {.project_id = 1, .role = META_ROLE_ADMIN};
    assert_status(STATUS_OK,
                  meta_account_create(meta, &account_spec, fixture->arena, &fixture->error, &account, &secrets[1]));
    assert_int_equal(secrets[1].size, META_SECRET_SIZE);
    const char *files[] = {META_FILE_NAME, META_FILE_NAME "-wal"};
    bool token_seen = false;
    for (int i = 0; i < 2; i++) {
        char path[128], content[200000];
        snprintf(path, sizeof path, "%s/%s", fixture->dir, files[i]);
        int file = open(path, O_RDONLY);
        assert_true(file >= 0);
        ssize_t size = pread(file, content, sizeof content, 0);
        assert_true(size >= 0 && (size_t)size < sizeof content);
        struct str bytes = str_from(content, (size_t)size);
        for (int j = 0; j < 2; j++) assert_true(str_find(bytes, secrets[j], 0) == SIZE_MAX);
        token_seen |= str_find(bytes, project.token, 0) != SIZE_MAX;
        /* Closing it drops this process's locks on the database; nobody else uses it here. */
        close(file);
    }
    assert_true(token_seen);
    meta_close(meta);
}

/* Shows: chosen ids and tokens are taken, given ids are the lowest free ones, and nothing is ever used twice. */
static void test_ids_and_tokens(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    assert_int_equal(fixture_project(fixture, meta, 2, "two").id, 2);
    assert_int_equal(fixture_project(fixture, meta, 0, "first").id, 1);
    assert_int_equal(fixture_project(fixture, meta, 0, "third").id, 3);
    assert_int_equal(fixture_project(fixture, meta, META_PROJECT_ID_MAX, "last").id, META_PROJECT_ID_MAX);
    assert_int_equal(fixture_project(fixture, meta, 0, "fourth").id, 4);

    struct meta_project project;
    struct str secret;
    struct meta_project_spec spec = {.id = 3, .name = STR("again")};
    assert_status(STATUS_CONFLICT,
                  meta_project_create(meta, &spec, fixture->arena, &fixture->error, &project, &secret));
    assert_string_equal(fixture->error.primary, "project 3 exists already");

    assert_status(STATUS_OK, meta_project_delete(meta, 3, &fixture->error));
    assert_status(STATUS_NOT_FOUND, meta_project_delete(meta, 3, &fixture->error));
    assert_status(STATUS_CONFLICT,
                  meta_project_create(meta, &spec, fixture->arena, &fixture->error, &project, &secret));
    assert_non_null(strstr(fixture->error.primary, "was deleted"));
    assert_int_equal(fixture_project(fixture, meta, 0, "not three").id, 5);

    spec = (struct meta_project_spec){.name = STR("t"), .token = STR("0123456789abcdef0123456789abcdef")};
    assert_status(STATUS_OK, meta_project_create(meta, &spec, fixture->arena, &fixture->error, &project, &secret));
    assert_str(project.token, "0123456789abcdef0123456789abcdef");
    assert_status(STATUS_OK, meta_project_delete(meta, project.id, &fixture->error));
    assert_status(STATUS_CONFLICT,
                  meta_project_create(meta, &spec, fixture->arena, &fixture->error, &project, &secret));
    meta_close(meta);
}

/* Shows: what cannot be a project is INVALID, says why, and leaves nothing behind. */
static void test_project_validation(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    char long_name[META_NAME_SIZE_MAX + 1];
    memset(long_name, 'x', sizeof long_name);
    const struct meta_project_spec bad[] = {
        {.name = STR("")},
        {.name = str_from(long_name, sizeof long_name)},
        {.name = STR("\xFF")},
        {.name = STR("two\nlines")},
        {.name = STR("n"), .id = -1},
        {.name = STR("n"), .id = META_PROJECT_ID_MAX + 1},
        {.name = STR("n"), .timezone = STR("Mars/Olympus_Mons")},
        {.name = STR("n"), .timezone = STR("../../../etc/passwd")},
        {.name = STR("n"), .token = STR("short")},
        {.name = STR("n"), .token = STR("0123456789ABCDEF0123456789abcdef")},
    };
    struct meta_project project;
    struct str secret;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fixture->error = ERROR_INIT;
        assert_status(STATUS_INVALID,
                      meta_project_create(meta, &bad[i], fixture->arena, &fixture->error, &project, &secret));
        assert_true(fixture->error.primary[0] != '\0');
    }
    struct meta_project_spec longest = {.name = str_from(long_name, META_NAME_SIZE_MAX)};
    assert_status(STATUS_OK, meta_project_create(meta, &longest, fixture->arena, &fixture->error, &project, &secret));
    assert_int_equal(project.id, 1);
    meta_close(meta);
}

/* Shows: generated usernames, memberships with roles, duplicates, and what deletion takes with it. */
static void test_accounts(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    fixture_project(fixture, meta, 1, "one");
    fixture_project(fixture, meta, 2, "two");
    struct meta_account account;
    struct str secret;
    struct meta_account_spec spec = {.project_id = 1, .role = META_ROLE_ANALYST, .name = STR("Night  Export!")};
    assert_status(STATUS_OK, meta_account_create(meta, &spec, fixture->arena, &fixture->error, &account, &secret));
    assert_true(str_starts(account.username, STR("night-export.")));
    assert_true(str_ends(account.username, STR(META_USERNAME_SUFFIX)));
    assert_int_equal(account.username.size, strlen("night-export.") + 6 + strlen(META_USERNAME_SUFFIX));

    spec = (struct meta_account_spec){.project_id = 1, .username = STR("ci"), .secret = STR("correct horse")};
    assert_status(STATUS_OK, meta_account_create(meta, &spec, fixture->arena, &fixture->error, &account, &secret));
    assert_str(secret, "correct horse");
    assert_status(STATUS_CONFLICT,
                  meta_account_create(meta, &spec, fixture->arena, &fixture->error, &account, &secret));
    spec = (struct meta_account_spec){.project_id = 7, .username = STR("lost")};
    assert_status(STATUS_NOT_FOUND,
                  meta_account_create(meta, &spec, fixture->arena, &fixture->error, &account, &secret));
    spec = (struct meta_account_spec){.project_id = 1, .username = STR("a:b")};
    assert_status(STATUS_INVALID, meta_account_create(meta, &spec, fixture->arena, &fixture->error, &account, &secret));
    spec = (struct meta_account_spec){.project_id = 1, .username = STR("ab"), .secret = STR("short")};
    assert_status(STATUS_INVALID, meta_account_create(meta, &spec, fixture->arena, &fixture->error, &account, &secret));

    assert_status(STATUS_OK, meta_membership_put(meta, STR("ci"), 2, META_ROLE_CONSUMER, &fixture->error));
    assert_status(STATUS_OK, meta_membership_put(meta, STR("ci"), 2, META_ROLE_OWNER, &fixture->error));
    assert_status(STATUS_NOT_FOUND, meta_membership_put(meta, STR("ci"), 9, META_ROLE_OWNER, &fixture->error));
    assert_status(STATUS_NOT_FOUND, meta_membership_put(meta, STR("no"), 1, META_ROLE_OWNER, &fixture->error));

    struct meta_view *view = NULL;
    assert_status(STATUS_OK, meta_view_load(meta, &fixture->error, &view));
    size_t count = 0;
    (void)meta_view_accounts(view, &count);
    assert_int_equal(count, 2); /* the one with the unknown project was not made */
    const struct meta_account *stored = meta_view_account(view, STR("ci"));
    assert_int_equal(stored->membership_count, 2);
    assert_int_equal(stored->memberships[0].project_id, 1);
    assert_int_equal(stored->memberships[0].role, META_ROLE_CONSUMER);
    assert_int_equal(stored->memberships[1].project_id, 2);
    assert_int_equal(stored->memberships[1].role, META_ROLE_OWNER);
    assert_true(str_starts(stored->secret_hash, STR("$argon2id$")));
    meta_view_unref(view);

    assert_status(STATUS_OK, meta_project_delete(meta, 1, &fixture->error));
    assert_status(STATUS_OK, meta_view_load(meta, &fixture->error, &view));
    stored = meta_view_account(view, STR("ci"));
    assert_int_equal(stored->membership_count, 1);
    assert_int_equal(stored->memberships[0].project_id, 2);
    meta_view_unref(view);
    assert_status(STATUS_OK, meta_account_delete(meta, STR("ci"), &fixture->error));
    assert_status(STATUS_NOT_FOUND, meta_account_delete(meta, STR("ci"), &fixture->error));
    assert_status(STATUS_OK, meta_view_load(meta, &fixture->error, &view));
    assert_null(meta_view_account(view, STR("ci")));
    meta_view_unref(view);
    meta_close(meta);
}

/* Shows: with must_exist nothing is made, and the error says how to begin. */
static void test_must_exist(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = NULL;
    fixture->options.must_exist = true;
    assert_status(STATUS_NOT_FOUND, meta_open(fixture->dir, &fixture->options, &fixture->error, &meta));
    assert_non_null(strstr(fixture->error.hint, "cairn project create"));
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fixture->dir, META_FILE_NAME);
    assert_int_equal(access(path, F_OK), -1);
    fixture->options.must_exist = false;
    assert_status(STATUS_IO, meta_open("/nonexistent/deeper", &fixture->options, &fixture->error, &meta));
    assert_null(meta);
}

static void write_file(struct fixture *fixture, const char *bytes, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fixture->dir, META_FILE_NAME);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Shows: a file that is no database is CORRUPT, named, and left as it was. */
static void test_corrupt_file(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = NULL;
    char noise[8192];
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)(i * 31 + 7);
    write_file(fixture, noise, sizeof noise);
    assert_status(STATUS_CORRUPT, meta_open(fixture->dir, &fixture->options, &fixture->error, &meta));
    assert_non_null(strstr(fixture->error.primary, META_FILE_NAME));
    assert_non_null(strstr(fixture->error.hint, "backup"));
    char path[128], after[sizeof noise];
    snprintf(path, sizeof path, "%s/%s", fixture->dir, META_FILE_NAME);
    FILE *file = fopen(path, "rb");
    assert_int_equal(fread(after, 1, sizeof after, file), sizeof after);
    fclose(file);
    assert_memory_equal(after, noise, sizeof noise);
}

static void run_sql(struct fixture *fixture, const char *sql)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fixture->dir, META_FILE_NAME);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Shows: a database of a newer version and one of another program are refused, each with its own reason. */
static void test_foreign_schema(void **state)
{
    struct fixture *fixture = *state;
    meta_close(fixture_open(fixture));
    run_sql(fixture, "PRAGMA user_version = 999");
    struct meta *meta = NULL;
    assert_status(STATUS_UNSUPPORTED, meta_open(fixture->dir, &fixture->options, &fixture->error, &meta));
    assert_non_null(strstr(fixture->error.primary, "schema version 999"));
    assert_non_null(strstr(fixture->error.hint, "newer version"));

    run_sql(fixture, "PRAGMA user_version = 2");
    struct meta_options keep = fixture->options;
    keep.keep_schema = true;
    assert_status(STATUS_CONFLICT, meta_open(fixture->dir, &keep, &fixture->error, &meta));
    run_sql(fixture, "PRAGMA user_version = 0; PRAGMA application_id = 0");
    assert_status(STATUS_CORRUPT, meta_open(fixture->dir, &fixture->options, &fixture->error, &meta));
    assert_non_null(strstr(fixture->error.primary, "another program"));
}

/* Shows: when several processes make the same new database at once, all succeed and no id is given twice. */
static void test_processes_create_together(void **state)
{
    struct fixture *fixture = *state;
    enum { PROCESSES = 4 };
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] != 0) continue;
        struct meta *meta = NULL;
        struct meta_project project;
        struct str secret;
        struct meta_project_spec spec = {.name = STR("mine")};
        fixture->options.busy_timeout_ms = 60000;
        bool ok = meta_open(fixture->dir, &fixture->options, NULL, &meta) == STATUS_OK &&
                  meta_project_create(meta, &spec, fixture->arena, NULL, &project, &secret) == STATUS_OK;
        meta_close(meta);
        _exit(ok ? 0 : 1);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int code = -1;
        assert_int_equal(waitpid(children[i], &code, 0), children[i]);
        assert_int_equal(code, 0);
    }
    struct meta *meta = fixture_open(fixture);
    struct meta_view *view = NULL;
    assert_status(STATUS_OK, meta_view_load(meta, &fixture->error, &view));
    size_t count = 0;
    const struct meta_project *projects = meta_view_projects(view, &count);
    assert_int_equal(count, PROCESSES);
    for (size_t i = 0; i < count; i++) assert_int_equal(projects[i].id, i + 1);
    meta_view_unref(view);
    meta_close(meta);
}

/* Shows: the names of roles and modes read back as what they are, and nothing else does. */
static void test_names(void **state)
{
    (void)state;
    for (int i = META_IDENTITY_SIMPLIFIED; i <= META_IDENTITY_LEGACY; i++) {
        enum meta_identity identity;
        assert_true(meta_identity_parse(str_of(meta_identity_name((enum meta_identity)i)), &identity));
        assert_int_equal(identity, i);
    }
    for (int i = META_ROLE_CONSUMER; i <= META_ROLE_OWNER; i++) {
        enum meta_role role;
        assert_true(meta_role_parse(str_of(meta_role_name((enum meta_role)i)), &role));
        assert_int_equal(role, i);
    }
    enum meta_role role;
    assert_false(meta_role_parse(STR("root"), &role));
    assert_false(meta_role_parse(STR(""), &role));
}

#define with_directory(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_directory(test_project_create),
        with_directory(test_secrets_are_not_stored),
        with_directory(test_ids_and_tokens),
        with_directory(test_project_validation),
        with_directory(test_accounts),
        with_directory(test_must_exist),
        with_directory(test_corrupt_file),
        with_directory(test_foreign_schema),
        with_directory(test_processes_create_together),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
