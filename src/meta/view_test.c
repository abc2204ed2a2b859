#include "meta/meta_testing.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/wait.h>

static struct meta_reader *open_reader(struct fixture *fixture, struct meta *meta)
{
    struct meta_reader *reader = NULL;
    assert_status(STATUS_OK, meta_reader_new(meta, &fixture->error, &reader));
    return reader;
}

/* Shows: a change through another connection is in the very next view, views without a change are the same object,
 * two readers share one, and an old view stays as it was for who holds it. */
static void test_change_is_seen(void **state)
{
    struct fixture *fixture = *state;
    struct meta *server = fixture_open(fixture), *tool = fixture_open(fixture);
    struct meta_reader *first = open_reader(fixture, server), *second = open_reader(fixture, server);
    struct meta_view *empty = meta_view_ref(meta_reader_view(first, &fixture->error));
    assert_null(meta_view_project(empty, 1));
    assert_ptr_equal(meta_reader_view(first, &fixture->error), empty);
    assert_ptr_equal(meta_reader_view(second, &fixture->error), empty);

    struct meta_project project = fixture_project(fixture, tool, 1, "one");
    struct meta_view *view = meta_reader_view(first, &fixture->error);
    assert_ptr_not_equal(view, empty);
    assert_non_null(meta_view_project_by_token(view, project.token));
    assert_ptr_equal(meta_reader_view(second, &fixture->error), view);
    assert_null(meta_view_project(empty, 1));
    meta_view_unref(empty);

    fixture_account(fixture, tool, 1, META_ROLE_ADMIN, "ci", "long enough");
    assert_non_null(meta_view_account(meta_reader_view(second, &fixture->error), STR("ci")));
    /* Also when this meta itself is the one that writes. */
    assert_status(STATUS_OK, meta_account_delete(server, STR("ci"), &fixture->error));
    assert_null(meta_view_account(meta_reader_view(first, &fixture->error), STR("ci")));
    assert_status(STATUS_OK, meta_project_delete(tool, 1, &fixture->error));
    view = meta_reader_view(first, &fixture->error);
    assert_null(meta_view_project_by_token(view, project.token));
    assert_null(meta_view_project(view, 1));

    meta_reader_free(first);
    meta_reader_free(second);
    meta_close(tool);
    meta_close(server);
}

/* Shows: the same between two processes. The child is forked before anything is opened and makes project N when told
 * so by a byte; when its answer has come, the parent's next view has the project. */
static void test_change_of_another_process(void **state)
{
    struct fixture *fixture = *state;
    int orders[2], answers[2];
    enum { ROUNDS = 5 };
    assert_int_equal(pipe(orders), 0);
    assert_int_equal(pipe(answers), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(orders[1]);
        struct meta *meta = NULL;
        struct meta_project project;
        struct str secret;
        struct meta_project_spec spec = {.name = STR("from afar")};
        char byte;
        bool ok = meta_open(fixture->dir, &fixture->options, NULL, &meta) == STATUS_OK;
        while (ok && read(orders[0], &byte, 1) == 1)
            ok = meta_project_create(meta, &spec, fixture->arena, NULL, &project, &secret) == STATUS_OK &&
                 write(answers[1], "y", 1) == 1;
        meta_close(meta);
        _exit(ok ? 0 : 1);
    }
    close(orders[0]);
    close(answers[1]);
    struct meta *meta = fixture_open(fixture);
    struct meta_reader *reader = open_reader(fixture, meta);
    for (int i = 1; i <= ROUNDS; i++) {
        char byte;
        uint64_t serial = meta_view_serial(meta_reader_view(reader, &fixture->error));
        assert_null(meta_view_project(meta_reader_view(reader, &fixture->error), i));
        assert_int_equal(meta_view_serial(meta_reader_view(reader, &fixture->error)), serial);
        assert_int_equal(write(orders[1], "x", 1), 1);
        assert_int_equal(read(answers[0], &byte, 1), 1);
        assert_non_null(meta_view_project(meta_reader_view(reader, &fixture->error), i));
        assert_int_not_equal(meta_view_serial(meta_reader_view(reader, &fixture->error)), serial);
    }
    close(orders[1]);
    close(answers[0]);
    int code = -1;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    meta_reader_free(reader);
    meta_close(meta);
}

/* Shows: when the tables cannot be read, the reader keeps serving its last view and says so; afterwards it recovers. */
static void test_unreadable_keeps_last_view(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    fixture_project(fixture, meta, 1, "one");
    struct meta_reader *reader = open_reader(fixture, meta);
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fixture->dir, META_FILE_NAME);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE accounts RENAME TO hidden", NULL, NULL, NULL), SQLITE_OK);

    fixture->error = ERROR_INIT;
    struct meta_view *view = meta_reader_view(reader, &fixture->error);
    assert_int_not_equal(fixture->error.status, STATUS_OK);
    assert_non_null(meta_view_project(view, 1));
    fixture->error = ERROR_INIT;
    assert_non_null(meta_view_project(meta_reader_view(reader, &fixture->error), 1));
    assert_int_not_equal(fixture->error.status, STATUS_OK); /* it tries again each time */

    assert_int_equal(sqlite3_exec(db, "ALTER TABLE hidden RENAME TO accounts", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    fixture->error = ERROR_INIT;
    assert_non_null(meta_view_project(meta_reader_view(reader, &fixture->error), 1));
    assert_int_equal(fixture->error.status, STATUS_OK);
    meta_reader_free(reader);
    meta_close(meta);
}

struct watcher {
    struct meta *meta;
    bool ok;
};

enum { WATCHED_PROJECTS = 20 };

static void *watch(void *context)
{
    struct watcher *watcher = context;
    struct meta_reader *reader = NULL;
    if (meta_reader_new(watcher->meta, NULL, &reader) != STATUS_OK) return NULL;
    size_t seen = 0, count = 0;
    watcher->ok = true;
    while (watcher->ok && count < WATCHED_PROJECTS) {
        struct error error = ERROR_INIT;
        const struct meta_view *view = meta_reader_view(reader, &error);
        const struct meta_project *projects = meta_view_projects(view, &count);
        watcher->ok = error.status == STATUS_OK && count >= seen;
        for (size_t i = 0; i < count; i++)
            watcher->ok = watcher->ok && meta_view_project_by_token(view, projects[i].token) == &projects[i];
        seen = count;
    }
    meta_reader_free(reader);
    return NULL;
}

/* Shows: threads that read while projects are made always see a whole picture that only grows. (With ThreadSanitizer
 * also: that sharing views is free of races.) */
static void test_threads(void **state)
{
    struct fixture *fixture = *state;
    struct meta *meta = fixture_open(fixture);
    struct watcher watchers[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        watchers[i] = (struct watcher){meta, false};
        assert_int_equal(pthread_create(&threads[i], NULL, watch, &watchers[i]), 0);
    }
    for (int i = 1; i <= WATCHED_PROJECTS; i++) fixture_project(fixture, meta, i, "p");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(watchers[i].ok);
    }
    meta_close(meta);
}

#define with_directory(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_directory(test_change_is_seen),
        with_directory(test_change_of_another_process),
        with_directory(test_unreadable_keeps_last_view),
        with_directory(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
