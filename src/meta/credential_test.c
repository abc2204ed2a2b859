#include "meta/meta_testing.h"

#include <pthread.h>
#include <sqlite3.h>

struct setting {
    struct meta *meta;
    struct meta_reader *reader;
};

static struct setting begin(struct fixture *fixture)
{
    struct setting setting = {.meta = fixture_open(fixture)};
    fixture_project(fixture, setting.meta, 1, "one");
    fixture_project(fixture, setting.meta, 2, "two");
    fixture_account(fixture, setting.meta, 1, META_ROLE_ADMIN, "ci", "correct horse");
    assert_status(STATUS_OK, meta_reader_new(setting.meta, &fixture->error, &setting.reader));
    return setting;
}

static void end(struct setting *setting)
{
    meta_reader_free(setting->reader);
    meta_close(setting->meta);
}

static enum status verify(struct fixture *fixture, struct setting *setting, const char *username, const char *secret)
{
    const struct meta_account *account = NULL;
    struct meta_view *view = meta_reader_view(setting->reader, &fixture->error);
    enum status status =
        meta_account_verify(setting->meta, view, str_of(username), str_of(secret), &fixture->error, &account);
    if (status == STATUS_OK)
        assert_ptr_equal(account, meta_view_account(view, str_of(username)));
    else
        assert_null(account);
    return status;
}

static bool cached(struct fixture *fixture, struct setting *setting, const char *username, const char *secret)
{
    struct meta_view *view = meta_reader_view(setting->reader, &fixture->error);
    return meta_account_cached(setting->meta, view, str_of(username), str_of(secret)) != NULL;
}

/* Shows: the right pair passes and is then in the cache; wrong ones fail alike and never get there. */
static void test_verify(void **state)
{
    struct fixture *fixture = *state;
    struct setting setting = begin(fixture);
    assert_false(cached(fixture, &setting, "ci", "correct horse"));
    assert_status(STATUS_OK, verify(fixture, &setting, "ci", "correct horse"));
    assert_true(cached(fixture, &setting, "ci", "correct horse"));
    assert_status(STATUS_OK, verify(fixture, &setting, "ci", "correct horse"));

    assert_status(STATUS_DENIED, verify(fixture, &setting, "ci", "wrong horse"));
    char for_wrong_secret[sizeof fixture->error.primary];
    memcpy(for_wrong_secret, fixture->error.primary, sizeof for_wrong_secret);
    assert_false(cached(fixture, &setting, "ci", "wrong horse"));
    assert_status(STATUS_DENIED, verify(fixture, &setting, "nobody", "correct horse"));
    assert_string_equal(fixture->error.primary, for_wrong_secret);
    assert_false(cached(fixture, &setting, "nobody", "correct horse"));
    assert_status(STATUS_DENIED, verify(fixture, &setting, "ci", ""));
    assert_status(STATUS_DENIED, verify(fixture, &setting, "", ""));
    /* The border between username and secret counts. */
    fixture_account(fixture, setting.meta, 1, META_ROLE_ADMIN, "cic", "another secret");
    assert_false(cached(fixture, &setting, "cic", "orrect horse"));
    char huge[META_SECRET_SIZE_MAX + 2];
    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_status(STATUS_DENIED, verify(fixture, &setting, "ci", huge));
    assert_false(cached(fixture, &setting, "ci", huge));
    end(&setting);
}

/* Shows: a new secret ends what the cache knew of the old one, and deletion ends it altogether, also for an account
 * that is made again with the same name and secret. */
static void test_cache_is_invalidated(void **state)
{
    struct fixture *fixture = *state;
    struct setting setting = begin(fixture);
    assert_status(STATUS_OK, verify(fixture, &setting, "ci", "correct horse"));
    struct str shown;
    assert_status(STATUS_OK, meta_account_set_secret(setting.meta, STR("ci"), STR("battery staple"), fixture->arena,
                                                     &fixture->error, &shown));
    assert_false(cached(fixture, &setting, "ci", "correct horse"));
    assert_status(STATUS_DENIED, verify(fixture, &setting, "ci", "correct horse"));
    assert_status(STATUS_OK, verify(fixture, &setting, "ci", "battery staple"));
    assert_status(STATUS_OK, meta_account_set_secret(setting.meta, STR("ci"), STR("correct horse"), fixture->arena,
                                                     &fixture->error, &shown));
    assert_false(cached(fixture, &setting, "ci", "battery staple"));
    assert_status(STATUS_OK, verify(fixture, &setting, "ci", "correct horse"));
    assert_true(cached(fixture, &setting, "ci", "correct horse"));

    assert_status(STATUS_OK, meta_account_delete(setting.meta, STR("ci"), &fixture->error));
    assert_false(cached(fixture, &setting, "ci", "correct horse"));
    assert_status(STATUS_DENIED, verify(fixture, &setting, "ci", "correct horse"));
    fixture_account(fixture, setting.meta, 2, META_ROLE_OWNER, "ci", "correct horse");
    assert_false(cached(fixture, &setting, "ci", "correct horse"));
    assert_status(STATUS_OK, verify(fixture, &setting, "ci", "correct horse"));
    end(&setting);
}

/* Shows: the cache keeps to its size (a set of four), giving up what was not used for longest; with size 0 it keeps
 * nothing. */
static void test_cache_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.cache_entries_max = 4;
    struct setting setting = begin(fixture);
    char names[6][4];
    for (int i = 0; i < 6; i++) {
        snprintf(names[i], sizeof names[i], "a%d", i);
        fixture_account(fixture, setting.meta, 1, META_ROLE_ADMIN, names[i], "correct horse");
    }
    for (int i = 0; i < 4; i++) assert_status(STATUS_OK, verify(fixture, &setting, names[i], "correct horse"));
    assert_true(cached(fixture, &setting, names[0], "correct horse"));
    for (int i = 4; i < 6; i++) assert_status(STATUS_OK, verify(fixture, &setting, names[i], "correct horse"));
    assert_true(cached(fixture, &setting, names[0], "correct horse"));
    assert_false(cached(fixture, &setting, names[1], "correct horse"));
    assert_false(cached(fixture, &setting, names[2], "correct horse"));
    assert_true(cached(fixture, &setting, names[3], "correct horse"));
    meta_reader_free(setting.reader);
    meta_close(setting.meta);

    fixture->options.cache_entries_max = 0;
    setting.meta = fixture_open(fixture);
    assert_status(STATUS_OK, meta_reader_new(setting.meta, &fixture->error, &setting.reader));
    assert_status(STATUS_OK, verify(fixture, &setting, "ci", "correct horse"));
    assert_false(cached(fixture, &setting, "ci", "correct horse"));
    end(&setting);
}

/* Shows: a stored hash that is damaged is told apart from a wrong secret. */
static void test_damaged_hash(void **state)
{
    struct fixture *fixture = *state;
    struct setting setting = begin(fixture);
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fixture->dir, META_FILE_NAME);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE accounts SET secret_hash = '$argon2id$v=19$damaged'", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_status(STATUS_CORRUPT, verify(fixture, &setting, "ci", "correct horse"));
    end(&setting);
}

enum { CLIENTS = 8 };
struct crowd {
    struct meta *meta;
    struct meta_view *view;
    const char *secret;
    pthread_barrier_t barrier;
    enum status answers[CLIENTS];
};
struct client {
    struct crowd *crowd;
    int index;
};

static void *ask(void *context)
{
    struct client *client = context;
    struct crowd *crowd = client->crowd;
    const struct meta_account *account = NULL;
    pthread_barrier_wait(&crowd->barrier);
    crowd->answers[client->index] =
        meta_account_verify(crowd->meta, crowd->view, STR("ci"), str_of(crowd->secret), NULL, &account);
    return NULL;
}

static void ask_together(struct crowd *crowd, const char *secret)
{
    pthread_t threads[CLIENTS];
    struct client clients[CLIENTS];
    crowd->secret = secret;
    assert_int_equal(pthread_barrier_init(&crowd->barrier, NULL, CLIENTS), 0);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){crowd, i};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &clients[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&crowd->barrier);
}

/* Shows: with one thread allowed to compute, a crowd still gets its answers, right or wrong; with no room to wait,
 * each is answered or turned away, but never denied for being late. */
static void test_gate(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.argon2_threads_max = 1;
    struct setting setting = begin(fixture);
    struct crowd crowd = {.meta = setting.meta, .view = meta_reader_view(setting.reader, &fixture->error)};
    ask_together(&crowd, "wrong horse");
    for (int i = 0; i < CLIENTS; i++) assert_int_equal(crowd.answers[i], STATUS_DENIED);
    ask_together(&crowd, "correct horse");
    for (int i = 0; i < CLIENTS; i++) assert_int_equal(crowd.answers[i], STATUS_OK);
    end(&setting);

    fixture->options.argon2_waiting_max = 0;
    setting = (struct setting){.meta = fixture_open(fixture)};
    assert_status(STATUS_OK, meta_reader_new(setting.meta, &fixture->error, &setting.reader));
    crowd = (struct crowd){.meta = setting.meta, .view = meta_reader_view(setting.reader, &fixture->error)};
    ask_together(&crowd, "correct horse");
    int passed = 0;
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(crowd.answers[i] == STATUS_OK || crowd.answers[i] == STATUS_UNAVAILABLE);
        passed += crowd.answers[i] == STATUS_OK;
    }
    assert_true(passed >= 1);
    end(&setting);
}

/* Shows: the whole matrix of credentials and permissions. y or n for each permission, in the order of the enum. */
static void test_authorize(void **state)
{
    struct fixture *fixture = *state;
    struct setting setting = begin(fixture);
    fixture_account(fixture, setting.meta, 1, META_ROLE_OWNER, "owner", "long enough");
    fixture_account(fixture, setting.meta, 1, META_ROLE_ANALYST, "analyst", "long enough");
    fixture_account(fixture, setting.meta, 1, META_ROLE_CONSUMER, "consumer", "long enough");
    const struct meta_view *view = meta_reader_view(setting.reader, &fixture->error);
    const struct meta_project *one = meta_view_project(view, 1);
    const struct {
        struct meta_credential credential;
        const char *allowed;
    } rows[] = {
        {{.kind = META_CREDENTIAL_NONE}, "nnnnnn"},
        {{META_CREDENTIAL_ACCOUNT, meta_view_account(view, STR("owner")), NULL}, "yyyyyy"},
        {{META_CREDENTIAL_ACCOUNT, meta_view_account(view, STR("ci")), NULL}, "yyyyny"},
        {{META_CREDENTIAL_ACCOUNT, meta_view_account(view, STR("analyst")), NULL}, "yynnnn"},
        {{META_CREDENTIAL_ACCOUNT, meta_view_account(view, STR("consumer")), NULL}, "ynnnnn"},
        {{META_CREDENTIAL_PROJECT_SECRET, NULL, one}, "yyynny"},
        {{META_CREDENTIAL_PROJECT_TOKEN, NULL, one}, "nnynnn"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int p = META_PERMISSION_READ; p <= META_PERMISSION_WATCH; p++) {
            const struct meta_project *project = NULL;
            enum status status =
                meta_authorize(view, &rows[i].credential, 1, (enum meta_permission)p, &fixture->error, &project);
            bool allowed = rows[i].allowed[p] == 'y';
            if (status != (allowed ? STATUS_OK : STATUS_DENIED))
                fail_msg("row %zu permission %d: %s", i, p, status_name(status));
            assert_ptr_equal(project, allowed ? one : NULL);
            /* Another project and one that does not exist are the same to a stranger. */
            assert_status(STATUS_DENIED, meta_authorize(view, &rows[i].credential, 2, (enum meta_permission)p,
                                                        &fixture->error, &project));
            assert_status(STATUS_DENIED, meta_authorize(view, &rows[i].credential, 77, (enum meta_permission)p,
                                                        &fixture->error, &project));
        }
    }
    const struct meta_project *project = NULL;
    assert_status(STATUS_OK,
                  meta_authorize(view, &rows[5].credential, 0, META_PERMISSION_READ, &fixture->error, &project));
    assert_ptr_equal(project, one);
    assert_status(STATUS_INVALID,
                  meta_authorize(view, &rows[1].credential, 0, META_PERMISSION_READ, &fixture->error, &project));
    assert_string_equal(fixture->error.primary, "project_id is missing");
    end(&setting);
}

#define with_directory(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_directory(test_verify),
        with_directory(test_cache_is_invalidated),
        with_directory(test_cache_is_bounded),
        with_directory(test_damaged_hash),
        with_directory(test_gate),
        with_directory(test_authorize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
