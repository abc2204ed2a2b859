/*
 * `cairn project`, `cairn account` and `cairn config`, called in this process with standard output and standard error
 * going to files: what they print is the contract that scripts rely on.
 */
#include "cli/command.h"

#include "meta/meta.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { OUTPUT_MAX = 65536 };

struct fixture {
    char dir[64], data[80], path_out[80], path_err[80];
    char out[OUTPUT_MAX], err[OUTPUT_MAX]; /* of the last command */
    struct arena *arena;
    struct json json; /* the last output, when --json was given */
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (fixture == NULL) return -1;
    snprintf(fixture->dir, sizeof fixture->dir, "/tmp/cairn-cli-XXXXXX");
    if (mkdtemp(fixture->dir) == NULL) return -1;
    snprintf(fixture->data, sizeof fixture->data, "%s/data", fixture->dir);
    snprintf(fixture->path_out, sizeof fixture->path_out, "%s/out", fixture->dir);
    snprintf(fixture->path_err, sizeof fixture->path_err, "%s/err", fixture->dir);
    fixture->arena = arena_new((size_t)1 << 24);
    setenv("CAIRN_AUTH_ARGON2_MEMORY", "8k", 1);
    setenv("CAIRN_AUTH_ARGON2_OPS", "1", 1);
    *state = fixture;
    return 0;
}

static void remove_all(const char *dir)
{
    DIR *opened = opendir(dir);
    for (struct dirent *entry; opened != NULL && (entry = readdir(opened)) != NULL;)
        if (entry->d_name[0] != '.') unlinkat(dirfd(opened), entry->d_name, 0);
    if (opened) closedir(opened);
    rmdir(dir);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    remove_all(fixture->data);
    remove_all(fixture->dir);
    arena_free(fixture->arena);
    free(fixture);
    return 0;
}

static void read_back(const char *path, char *text)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(text, 1, OUTPUT_MAX - 1, file);
    text[size] = '\0';
    fclose(file);
}

/* Runs `command` with the words of `line`; DIR stands for the data directory. */
static int run(struct fixture *fixture, int (*command)(int, char **), const char *line)
{
    char words[1024];
    char *argv[40], *position = NULL;
    int argc = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok_r(words, " ", &position); word && argc < 39; word = strtok_r(NULL, " ", &position))
        argv[argc++] = strcmp(word, "DIR") == 0 ? fixture->data : word;
    argv[argc] = NULL;
    fflush(stdout);
    fflush(stderr);
    int saved_out = dup(1), saved_err = dup(2);
    int out = open(fixture->path_out, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    int err = open(fixture->path_err, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    dup2(out, 1);
    dup2(err, 2);
    int code = command(argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(saved_out, 1);
    dup2(saved_err, 2);
    close(saved_out);
    close(saved_err);
    close(out);
    close(err);
    read_back(fixture->path_out, fixture->out);
    read_back(fixture->path_err, fixture->err);
    return code;
}

#define assert_run(code, command, line)                                                                                \
    do {                                                                                                               \
        int code_ = run(fixture, command, line);                                                                       \
        if (code_ != (code)) fail_msg("%s: exit code %d, standard error: %s", line, code_, fixture->err);              \
    } while (0)

/* Runs with --json: exactly one object and nothing else. */
static const struct json *run_json(struct fixture *fixture, int (*command)(int, char **), const char *line)
{
    assert_run(EXIT_DONE, command, line);
    struct error error = ERROR_INIT;
    if (json_parse(fixture->arena, str_of(fixture->out), NULL, &error, &fixture->json) != STATUS_OK)
        fail_msg("%s: not JSON: %s", line, fixture->out);
    assert_int_equal(fixture->json.type, JSON_OBJECT);
    assert_string_equal(fixture->err, "");
    assert_int_equal(fixture->out[strlen(fixture->out) - 1], '\n');
    return &fixture->json;
}

static struct str text_at(const struct json *value, const char *pointer)
{
    const struct json *found = json_pointer(value, str_of(pointer));
    if (found == NULL || found->type != JSON_STRING) fail_msg("no string at %s", pointer);
    return found->string;
}

static int64_t number_at(const struct json *value, const char *pointer)
{
    const struct json *found = json_pointer(value, str_of(pointer));
    if (found == NULL || found->type != JSON_INT) fail_msg("no whole number at %s", pointer);
    return found->integer;
}

/* Shows: the names that the contract fixes, defaults and chosen values, and that list and show agree with create. */
static void test_project(void **state)
{
    struct fixture *fixture = *state;
    const struct json *made = run_json(fixture, cmd_project, "project create --data DIR --name Demo --json");
    assert_int_equal(number_at(made, "/project_id"), 1);
    assert_int_equal(text_at(made, "/token").size, 32);
    assert_int_equal(text_at(made, "/secret").size, 32);
    assert_true(str_is(text_at(made, "/timezone"), "UTC"));
    assert_true(str_is(text_at(made, "/identity"), "simplified"));
    char token[33];
    snprintf(token, sizeof token, STR_FMT, STR_ARG(text_at(made, "/token")));

    made = run_json(fixture, cmd_project,
                    "project create --json --name=Shop --id 42 --token 0123456789abcdef0123456789abcdef "
                    "--timezone Europe/Berlin --identity original --data DIR");
    assert_int_equal(number_at(made, "/project_id"), 42);
    assert_true(str_is(text_at(made, "/token"), "0123456789abcdef0123456789abcdef"));
    assert_true(str_is(text_at(made, "/timezone"), "Europe/Berlin"));

    const struct json *list = run_json(fixture, cmd_project, "project list --data DIR --json");
    assert_int_equal(json_member(list, "projects")->array.count, 2);
    assert_true(str_eq(text_at(list, "/projects/0/token"), str_of(token)));
    assert_int_equal(number_at(list, "/projects/1/project_id"), 42);
    assert_null(json_pointer(list, STR("/projects/0/secret")));
    const struct json *shown = run_json(fixture, cmd_project, "project show --data DIR 42 --json");
    assert_true(str_is(text_at(shown, "/identity"), "original"));
    assert_null(json_member(shown, "secret"));
    shown = run_json(fixture, cmd_project, "project show --id 1 --data DIR --json");
    assert_true(str_is(text_at(shown, "/name"), "Demo"));

    assert_run(EXIT_DONE, cmd_project, "project list --data DIR");
    assert_true(str_starts(str_of(fixture->out), STR("PROJECT_ID  TOKEN ")));
    assert_non_null(strstr(fixture->out, "\n42          0123456789abcdef0123456789abcdef  Europe/Berlin  original"));
    assert_run(EXIT_DONE, cmd_project, "project create --data DIR --name Third");
    assert_true(str_starts(str_of(fixture->out), STR("project_id  2\nname        Third\ntoken       ")));
    assert_non_null(strstr(fixture->out, "\nsecret      "));
    assert_non_null(strstr(fixture->err, "not be shown again"));
}

/* Shows: deletion wants --yes where nobody can be asked, and takes effect. */
static void test_project_delete(void **state)
{
    struct fixture *fixture = *state;
    int input = dup(0), nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(nothing, 0);
    assert_run(EXIT_DONE, cmd_project, "project create --data DIR --name Demo");
    assert_run(EXIT_USAGE, cmd_project, "project delete --data DIR 1");
    assert_non_null(strstr(fixture->err, "--yes"));
    assert_run(EXIT_DONE, cmd_project, "project show --data DIR 1");
    assert_run(EXIT_DONE, cmd_project, "project delete --data DIR 1 --yes");
    assert_run(EXIT_FAILED, cmd_project, "project delete --data DIR 1 --yes");
    assert_run(EXIT_FAILED, cmd_project, "project show --data DIR 1");
    assert_non_null(strstr(fixture->err, "no project has the id 1"));
    assert_run(EXIT_FAILED, cmd_project, "project create --data DIR --name Again --id 1");
    assert_non_null(strstr(fixture->err, "was deleted"));
    dup2(input, 0);
    close(input);
    close(nothing);
}

/* Shows: create prints what the contract says, with working credentials; list, grant and delete. */
static void test_account(void **state)
{
    struct fixture *fixture = *state;
    assert_run(EXIT_DONE, cmd_project, "project create --data DIR --name Demo");
    assert_run(EXIT_DONE, cmd_project, "project create --data DIR --name Other");
    const struct json *made =
        run_json(fixture, cmd_account, "account create --data DIR --project 1 --role admin --name Nightly --json");
    char username[META_USERNAME_SIZE_MAX + 1], secret[META_SECRET_SIZE + 1];
    snprintf(username, sizeof username, STR_FMT, STR_ARG(text_at(made, "/username")));
    snprintf(secret, sizeof secret, STR_FMT, STR_ARG(text_at(made, "/secret")));
    assert_true(str_starts(str_of(username), STR("nightly.")));

    struct meta *meta = NULL;
    struct meta_view *view = NULL;
    const struct meta_account *account = NULL;
    assert_int_equal(meta_open(fixture->data, NULL, NULL, &meta), STATUS_OK);
    assert_int_equal(meta_view_load(meta, NULL, &view), STATUS_OK);
    assert_int_equal(meta_account_verify(meta, view, str_of(username), str_of(secret), NULL, &account), STATUS_OK);
    assert_true(str_starts(account->secret_hash, STR("$argon2id$v=19$m=8,t=1,")));
    meta_view_unref(view);
    meta_close(meta);

    made = run_json(fixture, cmd_account,
                    "account create --data DIR --project 1 --username ci --secret correct-horse --role owner --json");
    assert_true(str_is(text_at(made, "/username"), "ci"));
    assert_true(str_is(text_at(made, "/secret"), "correct-horse"));
    assert_run(EXIT_FAILED, cmd_account,
               "account create --data DIR --project 1 --username ci --secret correct-horse --role owner");
    assert_non_null(strstr(fixture->err, "account grant"));
    assert_run(EXIT_DONE, cmd_account, "account grant --data DIR --project 2 --username ci --role consumer");

    const struct json *list = run_json(fixture, cmd_account, "account list --data DIR --project 2 --json");
    assert_int_equal(json_member(list, "accounts")->array.count, 1);
    assert_true(str_is(text_at(list, "/accounts/0/username"), "ci"));
    assert_int_equal(number_at(list, "/accounts/0/projects/1/project_id"), 2);
    assert_true(str_is(text_at(list, "/accounts/0/projects/1/role"), "consumer"));
    assert_run(EXIT_DONE, cmd_account, "account list --data DIR");
    assert_true(str_starts(str_of(fixture->out), STR("USERNAME ")));
    assert_non_null(strstr(fixture->out, "1:owner 2:consumer"));
    assert_null(strstr(fixture->out, "argon2id"));
    assert_run(EXIT_DONE, cmd_account, "account delete --data DIR --username ci");
    assert_run(EXIT_FAILED, cmd_account, "account delete --data DIR ci");
}

/* Shows: wrong use answers 2, prints nothing on standard output, and names what is wrong. */
static void test_usage(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        int (*command)(int, char **);
        const char *line, *message;
    } cases[] = {
        {cmd_project, "project", "cairn project create"},
        {cmd_project, "project make", "there is no \"cairn project make\""},
        {cmd_project, "project create --data DIR", "--name NAME is missing"},
        {cmd_project, "project create --name x", "--data DIR is missing"},
        {cmd_project, "project create --name x --data", "--data needs a value"},
        {cmd_project, "project create --data DIR --name x --nam", "--nam"},
        {cmd_project, "project create --data DIR --name x --color red", "--color"},
        {cmd_project, "project create --data DIR --name x y", "unexpected argument \"y\""},
        {cmd_project, "project create --data DIR --name x --id 0", "no project id"},
        {cmd_project, "project create --data DIR --name x --id 9007199254740992", "no project id"},
        {cmd_project, "project create --data DIR --name x --identity v3", "simplified, original or legacy"},
        {cmd_project, "project create --data DIR --name x --timezone Nowhere/Land", "Nowhere/Land"},
        {cmd_project, "project create --data DIR --name x --token ABC", "32 lower-case"},
        {cmd_project, "project show --data DIR", "project id is missing"},
        {cmd_project, "project show --data DIR one", "\"one\" is no project id"},
        {cmd_account, "account create --data DIR --role admin", "--project N is missing"},
        {cmd_account, "account create --data DIR --project 1", "--role is missing"},
        {cmd_account, "account create --data DIR --project 1 --role root", "owner, admin, analyst or consumer"},
        {cmd_account, "account create --data DIR --project x --role admin", "no project id"},
        {cmd_account, "account delete --data DIR", "the username is missing"},
        {cmd_config, "config dump --set nothing=1", "unknown option \"nothing\""},
        {cmd_config, "config check --set http.threads=-1", "bad value \"-1\" for http.threads"},
        {cmd_config, "config check --set store.queue_bytes_max=1m", "raise store.queue_bytes_max"},
        {cmd_config, "config dump extra", "unexpected argument"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_run(EXIT_USAGE, cases[i].command, cases[i].line);
        assert_string_equal(fixture->out, "");
        if (strstr(fixture->err, cases[i].message) == NULL) fail_msg("%s: %s", cases[i].line, fixture->err);
    }
}

/* Shows: looking into a directory without projects fails and does not make any; an unknown project is named. */
static void test_missing(void **state)
{
    struct fixture *fixture = *state;
    assert_run(EXIT_FAILED, cmd_project, "project list --data DIR");
    assert_non_null(strstr(fixture->err, "cairn project create"));
    assert_run(EXIT_FAILED, cmd_account, "account create --data DIR --project 1 --role owner");
    assert_int_equal(access(fixture->data, F_OK), -1);
    assert_run(EXIT_DONE, cmd_project, "project create --data DIR --name x");
    assert_run(EXIT_FAILED, cmd_account, "account create --data DIR --project 9 --role owner");
    assert_non_null(strstr(fixture->err, "no project has the id 9"));
}

/* Shows: every --help answers 0 with an example on standard output, and needs nothing else. */
static void test_help(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        int (*command)(int, char **);
        const char *line;
    } cases[] = {
        {cmd_project, "project --help"}, {cmd_project, "project create --help"}, {cmd_project, "project help"},
        {cmd_account, "account -h"},     {cmd_account, "account list --help"},   {cmd_config, "config --help"},
        {cmd_config, "config dump -h"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_run(EXIT_DONE, cases[i].command, cases[i].line);
        assert_non_null(strstr(fixture->out, "Example"));
        assert_string_equal(fixture->err, "");
    }
}

/* Shows: config dump prints all options with what was set, and check is content with good ones. */
static void test_config(void **state)
{
    struct fixture *fixture = *state;
    assert_run(EXIT_DONE, cmd_config, "config dump --listen a:1 --listen b:2 --data DIR --set query.threads=3");
    assert_non_null(strstr(fixture->out, "\nhttp.listen = a:1,b:2\n"));
    assert_non_null(strstr(fixture->out, "\nquery.threads = 3\n"));
    assert_non_null(strstr(fixture->out, "\n# from the environment\nauth.argon2_memory = 8k\n"));
    assert_non_null(strstr(fixture->out, "\nlog.format = text\n"));
    assert_run(EXIT_DONE, cmd_config, "config check --set log.level=debug");
    assert_run(EXIT_FAILED, cmd_config, "config check --config /nonexistent/cairn.conf");
    assert_non_null(strstr(fixture->err, "/nonexistent/cairn.conf"));
}

#define with_directory(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_directory(test_project), with_directory(test_project_delete), with_directory(test_account),
        with_directory(test_usage),   with_directory(test_missing),        with_directory(test_help),
        with_directory(test_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
