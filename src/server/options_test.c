#include "server/config.h"
#include "server/options.h"

#include "os/machine.h"
#include "server/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum status flag(struct options *options, const char *assignment, struct error *error)
{
    return options_set_flag(options, str_of(assignment), error);
}

static void assert_value(const struct options *options, const char *name, const char *expected)
{
    const struct option_spec *spec = option_find(str_of(name));
    assert_non_null(spec);
    struct buf buf = BUF_INIT(65536);
    option_format(options, (enum option_id)(spec - option_specs), &buf);
    buf_byte(&buf, '\0');
    assert_string_equal(buf.data, expected);
    buf_fini(&buf);
}

/* Shows: the defaults arrive as numbers in the struct, and every default prints as it stands in the table. */
static void test_defaults(void **state)
{
    (void)state;
    struct options *options = options_new();
    assert_string_equal(options->data_dir, "");
    assert_int_equal(options->http_listen.count, 1);
    assert_string_equal(options->http_listen.items[0], "127.0.0.1:8080");
    assert_int_equal(options->http_threads, 0);
    assert_int_equal(options->http_header_bytes_max, 65536);
    assert_int_equal(options->http_body_bytes_max, 10 << 20);
    assert_int_equal(options->http_header_timeout_ms, 10000);
    assert_false(options->ingest_reject_unknown_tokens);
    assert_int_equal(options->ingest_age_max_ms, 5LL * 86400000);
    assert_int_equal(options->query_memory_max_bytes, 0);
    assert_int_equal(options->store_flush_interval_ms, 600000);
    assert_int_equal(options->log_level, 2);
    assert_int_equal(options->log_format, 0);
    for (int id = 0; id < OPTION_COUNT; id++) {
        assert_int_equal(options->source[id], OPTION_SOURCE_DEFAULT);
        const char *text = option_specs[id].value_default;
        /* The shortest notation is the printed one: 60s and 1m are the same time. */
        if (strcmp(text, "60s") == 0) text = "1m";
        assert_value(options, option_specs[id].name, text);
    }
    struct error error = ERROR_INIT;
    assert_int_equal(options_finish(options, &error), STATUS_OK);
    options_free(options);
}

/* Shows: names are GROUP.NAME in lower case, each once, groups together, help in one line without a full stop. */
static void test_table(void **state)
{
    (void)state;
    for (int id = 0; id < OPTION_COUNT; id++) {
        const char *name = option_specs[id].name, *dot = strchr(name, '.');
        assert_non_null(dot);
        assert_null(strchr(dot + 1, '.'));
        assert_ptr_equal(option_find(str_of(name)), &option_specs[id]);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_."), strlen(name));
        const char *help = option_specs[id].help;
        assert_true(strlen(help) > 10 && strlen(help) < 100);
        assert_null(strchr(help, '\n'));
        assert_int_not_equal(help[strlen(help) - 1], '.');
    }
    assert_null(option_find(STR("http.")));
    struct buf buf = BUF_INIT(1 << 20);
    options_help(&buf);
    buf_byte(&buf, '\0');
    for (int id = 0; id < OPTION_COUNT; id++) assert_non_null(strstr(buf.data, option_specs[id].help));
    assert_non_null(strstr(buf.data, "  http.body_bytes_max=10m\n"));
    assert_non_null(strstr(buf.data, "(size from 1k to 1g)"));
    assert_non_null(strstr(buf.data, "(error, warn, info or debug)"));
    buf_fini(&buf);
}

/* Shows: the notations that are understood. */
static void test_good_values(void **state)
{
    (void)state;
    static const struct {
        const char *set, *name, *value;
    } cases[] = {
        {"http.body_bytes_max=1048576", "http.body_bytes_max", "1m"},
        {"http.body_bytes_max = 20M", "http.body_bytes_max", "20m"},
        {"http.body_bytes_max=1025", "http.body_bytes_max", "1025"},
        {"query.memory_max=1024g", "query.memory_max", "1024g"},
        {"http.idle_timeout=1500ms", "http.idle_timeout", "1500ms"},
        {"http.idle_timeout=90s", "http.idle_timeout", "90s"},
        {"http.idle_timeout=120s", "http.idle_timeout", "2m"},
        {"http.drain_timeout=0", "http.drain_timeout", "0"},
        {"ingest.age_max=48h", "ingest.age_max", "2d"},
        {"http.threads=1024", "http.threads", "1024"},
        {"ingest.reject_unknown_tokens=yes", "ingest.reject_unknown_tokens", "yes"},
        {"ingest.reject_unknown_tokens=false", "ingest.reject_unknown_tokens", "no"},
        {"log.level=debug", "log.level", "debug"},
        {"log.format=json", "log.format", "json"},
        {"data.dir=/var/lib/c\xC3\xA6irn = odd", "data.dir", "/var/lib/c\xC3\xA6irn = odd"},
        {"http.listen=0.0.0.0:80, [::]:80", "http.listen", "0.0.0.0:80,[::]:80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct options *options = options_new();
        struct error error = ERROR_INIT;
        if (flag(options, cases[i].set, &error) != STATUS_OK) fail_msg("%s: %s", cases[i].set, error.primary);
        assert_value(options, cases[i].name, cases[i].value);
        options_free(options);
    }
}

/* Shows: what is refused, that the error names option and value, the hint says what is allowed, and the value stays. */
static void test_bad_values(void **state)
{
    (void)state;
    static const struct {
        const char *set, *hint;
    } cases[] = {
        {"http.body_bytes_max=", "size from 1k to 1g"},
        {"http.body_bytes_max=10x", "like 512, 64k"},
        {"http.body_bytes_max=-1", "size from 1k to 1g"},
        {"http.body_bytes_max=1023", "size from 1k to 1g"},
        {"http.body_bytes_max=2g", "size from 1k to 1g"},
        {"http.body_bytes_max=9223372036854775807g", "size from 1k to 1g"},
        {"http.body_bytes_max=99999999999999999999", "size from 1k to 1g"},
        {"http.body_bytes_max=10 m", "size from 1k to 1g"},
        {"http.idle_timeout=75", "time from 10ms to 1d"},
        {"http.idle_timeout=0", "time from 10ms to 1d"},
        {"http.idle_timeout=1.5s", "time from 10ms to 1d"},
        {"http.threads=1k", "number from 0 to 1024"},
        {"http.threads=0x10", "number from 0 to 1024"},
        {"ingest.reject_unknown_tokens=maybe", "use yes or no"},
        {"log.level=verbose", "use error, warn, info or debug"},
        {"log.level=", "use error, warn, info or debug"},
        {"http.listen=", "list of ADDR:PORT"},
        {"http.listen=8080", "list of ADDR:PORT"},
        {"http.listen=:8080", "list of ADDR:PORT"},
        {"http.listen=localhost:http", "list of ADDR:PORT"},
        {"http.listen=127.0.0.1:65536", "list of ADDR:PORT"},
        {"http.listen=127.0.0.1:", "list of ADDR:PORT"},
        {"http.listen=::1:80", "list of ADDR:PORT"},
        {"http.listen=[]:80", "list of ADDR:PORT"},
        {"http.listen=a:1,,b:2", "list"},
        {"data.dir=\xFF", "text"},
        {"http.listn=x", "http.listen"},
        {"body_bytes_max=10m", "http.body_bytes_max"},
        {"HTTP.LISTEN=x", "cairn config dump"},
        {"completely.different=1", "cairn config dump"},
        {"=1", "cairn config dump"},
        {"http.listen", "--set NAME=VALUE"},
    };
    struct options *options = options_new(), *untouched = options_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = ERROR_INIT;
        if (flag(options, cases[i].set, &error) != STATUS_INVALID) fail_msg("%s was taken", cases[i].set);
        if (strstr(error.hint, cases[i].hint) == NULL) fail_msg("%s: hint \"%s\"", cases[i].set, error.hint);
    }
    for (int id = 0; id < OPTION_COUNT; id++) {
        struct buf value = BUF_INIT(4096);
        option_format(untouched, (enum option_id)id, &value);
        buf_byte(&value, '\0');
        assert_value(options, option_specs[id].name, value.data);
        buf_fini(&value);
    }
    options_free(untouched);
    options_free(options);
}

/* Shows: rank decides, not order; a hidden value is still checked; lists append within a source and are replaced by a
 * higher one. */
static void test_sources(void **state)
{
    (void)state;
    struct options *options = options_new();
    struct error error = ERROR_INIT;
    char listen[] = "CAIRN_HTTP_LISTEN=env:1,env:2", threads[] = "CAIRN_HTTP_THREADS=4", port[] = "CAIRN_PORT=tcp://1",
         other[] = "PATH=/bin", lower[] = "cairn_http_threads=9", bare[] = "CAIRN_HTTP_THREADS_=7";
    char *environment[] = {listen, threads, port, other, lower, bare, NULL};
    assert_int_equal(flag(options, "http.threads=5", &error), STATUS_OK);
    assert_int_equal(options_read_environment(options, environment, &error), STATUS_OK);
    struct str file = STR("http.threads = 3\nhttp.listen = file:1\nhttp.listen = file:2\nquery.threads = 2\n");
    assert_int_equal(config_parse(options, "c", file, &error), STATUS_OK);
    assert_value(options, "http.threads", "5");
    assert_value(options, "http.listen", "env:1,env:2");
    assert_value(options, "query.threads", "2");
    assert_int_equal(options->source[OPTION_http_threads], OPTION_SOURCE_FLAG);
    assert_int_equal(options->source[OPTION_http_listen], OPTION_SOURCE_ENVIRONMENT);
    assert_int_equal(options->source[OPTION_query_threads], OPTION_SOURCE_FILE);
    assert_int_equal(options->source[OPTION_query_timeout_ms], OPTION_SOURCE_DEFAULT);
    assert_int_equal(config_parse(options, "c", STR("http.threads = many"), &error), STATUS_INVALID);
    assert_value(options, "http.threads", "5");

    assert_int_equal(flag(options, "http.listen=flag:1", &error), STATUS_OK);
    assert_int_equal(flag(options, "http.listen=flag:2", &error), STATUS_OK);
    assert_value(options, "http.listen", "flag:1,flag:2");

    char wrong[] = "CAIRN_QUERY_TIMEOUT=never";
    char *wrong_environment[] = {wrong, NULL};
    assert_int_equal(options_read_environment(options, wrong_environment, &error), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "CAIRN_QUERY_TIMEOUT"));
    options_free(options);
}

/* Shows: memory.max is shared out to the limits that are 0, the others stay; whatever it is, the parts do not add up to
 * more. */
static void test_memory(void **state)
{
    (void)state;
    struct options *options = options_new();
    struct error error = ERROR_INIT;
    assert_int_equal(flag(options, "memory.max=2g", &error), STATUS_OK);
    assert_int_equal(flag(options, "query.memory_max=300m", &error), STATUS_OK);
    assert_int_equal(flag(options, "http.threads=2", &error), STATUS_OK);
    assert_int_equal(options_finish(options, &error), STATUS_OK);
    assert_value(options, "query.memory_max", "300m");
    assert_value(options, "store.memory_max", "128m");
    assert_value(options, "store.cache_bytes", "409m");
    assert_value(options, "store.compact_memory", "204m");
    assert_value(options, "http.bodies_bytes_max", "64m");
    assert_value(options, "lookup.memory_max", "102m");
    assert_value(options, "store.queue_bytes_max", "64m");
    options_free(options);
    for (uint64_t bytes = (uint64_t)128 << 20; bytes < (uint64_t)1 << 42; bytes = bytes * 5 / 3) {
        for (unsigned threads = 1; threads <= 4; threads *= 2) {
            struct memory_shares shares = memory_share_out(bytes, threads, threads);
            uint64_t sum = 2 * shares.events_bytes + shares.cache_bytes + 2 * shares.compact_bytes +
                           2 * shares.queue_bytes + threads * shares.bodies_bytes + shares.query_total_bytes +
                           shares.lookup_bytes + shares.sessions_bytes + shares.query_cache_bytes +
                           shares.exports_bytes;
            assert_true(sum <= bytes || bytes < (uint64_t)256 << 20);
            assert_true(shares.events_bytes >= 8 << 20 && shares.query_bytes >= 16 << 20);
        }
    }
    options = options_new();
    assert_int_equal(options_finish(options, &error), STATUS_OK); /* half of the machine's */
    assert_true(options->store_cache_bytes >= 8 << 20 && options->store_cache_bytes < os_memory_bytes());
    options_free(options);
    options = options_new();
    assert_int_equal(flag(options, "memory.max=100m", &error), STATUS_OK);
    assert_int_equal(options_finish(options, &error), STATUS_INVALID);
    assert_non_null(strstr(error.hint, "128m"));
    options_free(options);
}

/* Shows: values that are right alone and wrong together are refused. */
static void test_check(void **state)
{
    (void)state;
    static const char *const sets[] = {"ingest.event_bytes_max=20m", "store.queue_bytes_max=5m",
                                       "http.bodies_bytes_max=9m", "http.request_memory_max=9m"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct options *options = options_new();
        struct error error = ERROR_INIT;
        assert_int_equal(flag(options, sets[i], &error), STATUS_OK);
        assert_int_equal(options_finish(options, &error), STATUS_INVALID);
        assert_non_null(strstr(error.hint, "http.body_bytes_max"));
        options_free(options);
    }
    static const struct {
        const char *set, *hint; /* NULL: it is good */
    } recordings[] = {
        {"record.sessions_percent=101", "from 0 to 100"},
        {"record.sessions_percent=-1", "from 0 to 100"},
        {"record.sessions_percent=half", "from 0 to 100"},
        {"record.sessions_percent=100", NULL},
        {"record.body_bytes_max=500m", "lower record.body_bytes_max"},
    };
    for (size_t i = 0; i < sizeof recordings / sizeof *recordings; i++) {
        struct options *options = options_new();
        struct error error = ERROR_INIT;
        assert_int_equal(flag(options, recordings[i].set, &error), STATUS_OK);
        assert_int_equal(options_finish(options, &error), recordings[i].hint ? STATUS_INVALID : STATUS_OK);
        if (recordings[i].hint) assert_non_null(strstr(error.hint, recordings[i].hint));
        options_free(options);
    }
}

/* Shows: a list is bounded. */
static void test_list_is_bounded(void **state)
{
    (void)state;
    struct options *options = options_new();
    struct error error = ERROR_INIT;
    enum status status = STATUS_OK;
    int taken = 0;
    while (status == STATUS_OK && taken < 1000) {
        status = flag(options, "http.listen=a:1", &error);
        taken += status == STATUS_OK;
    }
    assert_int_equal(status, STATUS_INVALID);
    assert_int_equal(taken, 64);
    assert_int_equal(options->http_listen.count, 64);
    options_free(options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_table),           cmocka_unit_test(test_good_values),
        cmocka_unit_test(test_bad_values), cmocka_unit_test(test_sources),         cmocka_unit_test(test_memory),
        cmocka_unit_test(test_check),      cmocka_unit_test(test_list_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
