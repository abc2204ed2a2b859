#include "server/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* Shows: comments, blanks, CRLF and a last line without an end are all fine. */
static void test_syntax(void **state)
{
    (void)state;
    struct options *options = options_new();
    struct error error = ERROR_INIT;
    struct str text = STR("# a comment = 1\r\n\r\n   http.threads   =   7  \r\n\t# indented\n"
                          "data.dir = /a dir/with # and = in it\nhttp.listen=a:1\nhttp.listen=b:2,c:3");
    assert_int_equal(config_parse(options, "x.conf", text, &error), STATUS_OK);
    assert_int_equal(options->http_threads, 7);
    assert_string_equal(options->data_dir, "/a dir/with # and = in it");
    assert_int_equal(options->http_listen.count, 3);
    assert_string_equal(options->http_listen.items[2], "c:3");
    options_free(options);
    options = options_new();
    assert_int_equal(config_parse(options, "x.conf", STR(""), &error), STATUS_OK);
    options_free(options);
}

/* Shows: every error begins with the file and the line. */
static void test_errors(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *primary, *hint;
    } cases[] = {
        {STR("\n\nhttp.thread = 1"), "x.conf:3: unknown option \"http.thread\"", "did you mean http.threads?"},
        {STR("http.threads = x\n"), "x.conf:1: bad value \"x\" for http.threads", "number from 0 to 1024"},
        {STR("# c\nhttp.threads 4\n"), "x.conf:2: the line \"http.threads 4\" is no setting", "name = value"},
        {STR("http.threads = 4\n\nhttp.threads = 4\n"), "x.conf:3: http.threads is set a second time", "line 1"},
        {STR("data.dir = \xC0\xAF\n"), "x.conf:1: the line is not UTF-8 text", ""},
        {STR("data.dir = a\0b\n"), "x.conf:1: bad value", ""},
        {STR("[http]\n"), "x.conf:1: the line \"[http]\" is no setting", "name = value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct options *options = options_new();
        struct error error = ERROR_INIT;
        assert_int_equal(config_parse(options, "x.conf", cases[i].text, &error), STATUS_INVALID);
        if (strncmp(error.primary, cases[i].primary, strlen(cases[i].primary)) != 0)
            fail_msg("case %zu: %s", i, error.primary);
        if (strstr(error.hint, cases[i].hint) == NULL) fail_msg("case %zu: hint %s", i, error.hint);
        assert_true(error.line > 0);
        options_free(options);
    }
}

/* Shows: files are read whole, a missing one is NOT_FOUND with its name, an oversized one is refused. */
static void test_files(void **state)
{
    (void)state;
    char path[] = "/tmp/cairn-config-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    struct options *options = options_new();
    struct error error = ERROR_INIT;
    assert_int_equal(write(file, "query.threads = 3\n", 18), 18);
    assert_int_equal(config_read(options, path, &error), STATUS_OK);
    assert_int_equal(options->query_threads, 3);

    char *large = calloc(1, CONFIG_SIZE_MAX + 1);
    assert_non_null(large);
    memset(large, '#', CONFIG_SIZE_MAX + 1);
    assert_int_equal(pwrite(file, large, CONFIG_SIZE_MAX + 1, 0), (ssize_t)CONFIG_SIZE_MAX + 1);
    free(large);
    assert_int_equal(config_read(options, path, &error), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "larger than"));
    close(file);
    unlink(path);
    assert_int_equal(config_read(options, path, &error), STATUS_NOT_FOUND);
    assert_non_null(strstr(error.primary, path));
    assert_int_equal(config_read(options, "/tmp", &error), STATUS_IO);
    options_free(options);
}

/* Shows: a dump of anything reads back as the same options. */
static void test_dump_reads_back(void **state)
{
    (void)state;
    struct options *options = options_new(), *again = options_new();
    struct error error = ERROR_INIT;
    static const char *const sets[] = {"http.listen=a:1,b:2",  "http.body_bytes_max=1025",
                                       "http.idle_timeout=1h", "ingest.reject_unknown_tokens=yes",
                                       "log.format=json",      "data.dir=/x y"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        assert_int_equal(options_set_flag(options, str_of(sets[i]), &error), STATUS_OK);
    struct buf dump = BUF_INIT(1 << 20), second = BUF_INIT(1 << 20);
    config_dump(options, &dump);
    if (config_parse(again, "dump", buf_str(&dump), &error) != STATUS_OK) fail_msg("%s", error.primary);
    for (int id = 0; id < OPTION_COUNT; id++) {
        struct buf a = BUF_INIT(4096), b = BUF_INIT(4096);
        option_format(options, (enum option_id)id, &a);
        option_format(again, (enum option_id)id, &b);
        assert_true(str_eq(buf_str(&a), buf_str(&b)));
        buf_fini(&a);
        buf_fini(&b);
    }
    assert_true(str_find(buf_str(&dump), STR("# from the flag\nhttp.listen = a:1,b:2\n"), 0) != SIZE_MAX);
    /* Without a data directory the dump is still a valid file. */
    struct options *defaults = options_new();
    config_dump(defaults, &second);
    assert_true(str_starts(buf_str(&second), STR("# data.dir =\n\nmemory.max = 0\n\nhttp.listen = 127.0.0.1:8080\n")));
    assert_int_equal(config_parse(again, "dump", buf_str(&second), &error), STATUS_OK);
    options_free(defaults);
    buf_fini(&dump);
    buf_fini(&second);
    options_free(options);
    options_free(again);
}

static char *read_sample(void)
{
    static const char path[] = CAIRN_SOURCE_DIR "/conf/cairn.conf";
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail_msg("no sample at %s", path);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 1000);
    fclose(file);
    return text;
}

/* Shows: the sample names every option of the table in its order, once, commented out, with its default, and no
 * other; every option has prose before it; and with all of them uncommented it is a valid file. */
static void test_sample(void **state)
{
    (void)state;
    char *text = read_sample();
    struct options *options = options_new();
    struct error error = ERROR_INIT;
    if (config_parse(options, "conf/cairn.conf", str_of(text), &error) != STATUS_OK) fail_msg("%s", error.primary);
    for (int id = 0; id < OPTION_COUNT; id++) assert_int_equal(options->source[id], OPTION_SOURCE_DEFAULT);

    struct str rest = str_of(text), line;
    int id = 0;
    bool prose = false;
    while (str_next_part(&rest, '\n', &line)) {
        struct str name, value = line;
        bool comment = str_starts(line, STR("# "));
        if (!comment) {
            prose = false;
            continue;
        }
        (void)str_next_part(&value, '=', &name);
        name = str_trim(str_slice(name, 2, name.size));
        bool setting =
            value.data != NULL && str_find_byte(name, '.', 0) != SIZE_MAX && str_find_byte(name, ' ', 0) == SIZE_MAX;
        if (!setting) {
            prose = true;
            continue;
        }
        if (id >= OPTION_COUNT || !str_eq(name, str_of(option_specs[id].name)))
            fail_msg("the sample has \"" STR_FMT "\" where the table has %s", STR_ARG(name),
                     id < OPTION_COUNT ? option_specs[id].name : "nothing");
        if (!str_eq(str_trim(value), str_of(option_specs[id].value_default)))
            fail_msg("the sample has another default for %s", option_specs[id].name);
        if (!prose) fail_msg("the sample explains nothing about %s", option_specs[id].name);
        if (option_specs[id].value_default[0] &&
            config_parse(options, "uncommented", str_slice(line, 2, line.size), &error) != STATUS_OK)
            fail_msg("%s", error.primary);
        id++;
    }
    assert_int_equal(id, OPTION_COUNT);
    options_free(options);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntax),          cmocka_unit_test(test_errors), cmocka_unit_test(test_files),
        cmocka_unit_test(test_dump_reads_back), cmocka_unit_test(test_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
