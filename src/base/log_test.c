/* The lines that are logged, read back from standard error: both formats, quoting, levels, and one write per line. */
#include "base/log.h"

#include "base/json.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

static int saved_stderr, read_end;

/* Standard error goes into a pipe while a test runs. */
static int capture(void **state)
{
    (void)state;
    int ends[2];
    if (pipe(ends)) return -1;
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    read_end = ends[0];
    return 0;
}

static int release(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(read_end);
    log_configure(LOG_INFO, LOG_TEXT);
    return 0;
}

/* What was logged since the last call, by its only reader. */
static const char *logged(void)
{
    static char text[65536];
    log_configure(LOG_INFO, LOG_TEXT);
    log_info("end-of-capture");
    size_t size = 0;
    char *end;
    do {
        ssize_t got = read(read_end, text + size, sizeof text - 1 - size);
        assert_true(got > 0);
        size += (size_t)got;
        text[size] = 0;
        end = strstr(text, "event=end-of-capture\n");
    } while (!end);
    /* Without the line of the mark. */
    while (end > text && end[-1] != '\n') end--;
    *end = 0;
    return text;
}

static const char *after_time(const char *line)
{
    /* 2026-01-31T12:00:00.123Z and a blank */
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; shape[i]; i++) {
        if (shape[i] == 'd')
            assert_in_range(line[i], '0', '9');
        else
            assert_int_equal(line[i], shape[i]);
    }
    return line + sizeof shape - 1;
}

/* Shows the text form: bare words stay bare, everything that could confuse a reader is quoted. */
static void test_text(void **state)
{
    (void)state;
    log_info("listening", LOG_CSTR("address", "127.0.0.1:8080"), LOG_INT("threads", 4), LOG_DOUBLE("load", 0.5));
    log_warn("odd", LOG_CSTR("empty", ""), LOG_CSTR("blank", "a b"), LOG_CSTR("equals", "a=b"),
             LOG_CSTR("quote", "a\"b"), LOG_CSTR("line", "a\nevent=forged"), LOG_STR("null", STR_NULL),
             LOG_CSTR("utf8", "\xC3\xA4\xFF"));
    log_error("alone");
    const char *text = after_time(logged());
    static const char first[] = "info event=listening address=127.0.0.1:8080 threads=4 load=0.5\n";
    assert_memory_equal(text, first, sizeof first - 1);
    text = after_time(text + sizeof first - 1);
    static const char second[] =
        "warn event=odd empty=\"\" blank=\"a b\" equals=\"a=b\" quote=\"a\\\"b\" line=\"a\\nevent=forged\" "
        "null=\"\" utf8=\"\xC3\xA4\xEF\xBF\xBD\"\n";
    assert_memory_equal(text, second, sizeof second - 1);
    assert_string_equal(after_time(text + sizeof second - 1), "error event=alone\n");
}

/* Shows that the JSON form is one JSON object a line. */
static void test_json(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_JSON);
    log_info("got \"it\"", LOG_CSTR("path", "/track?x=1\n"), LOG_INT("n", -7), LOG_DOUBLE("d", 1e21));
    const char *text = logged();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    struct arena *arena = arena_new(1 << 16);
    struct json line;
    assert_int_equal(json_parse(arena, str_of(text), NULL, NULL, &line), STATUS_OK);
    assert_true(str_is(json_member(&line, "level")->string, "info"));
    assert_true(str_is(json_member(&line, "event")->string, "got \"it\""));
    assert_true(str_is(json_member(&line, "path")->string, "/track?x=1\n"));
    assert_int_equal(json_member(&line, "n")->integer, -7);
    assert_true(json_double(json_member(&line, "d")) == 1e21);
    assert_int_equal(json_member(&line, "time")->string.size, 24);
    arena_free(arena);
}

/* Shows that levels above the configured one are silent, and that their arguments are not even evaluated. */
static void test_levels(void **state)
{
    (void)state;
    int evaluated = 0;
    log_configure(LOG_WARN, LOG_TEXT);
    assert_true(log_enabled(LOG_ERROR) && log_enabled(LOG_WARN));
    assert_false(log_enabled(LOG_INFO) || log_enabled(LOG_DEBUG));
    log_info("silent", LOG_INT("n", evaluated++));
    log_debug("silent", LOG_INT("n", evaluated++));
    struct error error = ERROR_INIT;
    error_set(&error, STATUS_INVALID, "x");
    log_failure(LOG_INFO, "silent", &error);
    log_warn("heard");
    assert_string_equal(after_time(logged()), "warn event=heard\n");
    assert_int_equal(evaluated, 0);
}

/* Shows how an error is logged: its status and those of its texts that are there. */
static void test_failure(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    error_set(&error, STATUS_IO, "cannot open wal");
    log_failure(LOG_ERROR, "open", &error);
    error_detail(&error, "EIO");
    error_hint(&error, "replace the disk");
    log_failure(LOG_ERROR, "open", &error);
    const char *text = after_time(logged()), *next = strchr(text, '\n') + 1;
    static const char first[] = "error event=open status=io error=\"cannot open wal\"\n";
    assert_memory_equal(text, first, sizeof first - 1);
    assert_string_equal(after_time(next),
                        "error event=open status=io error=\"cannot open wal\" detail=EIO hint=\"replace the disk\"\n");
}

/* Shows that a huge field is cut and that the line still ends where it should. */
static void test_long(void **state)
{
    (void)state;
    static char huge[40000];
    memset(huge, 'h', sizeof huge - 1);
    log_info("long", LOG_CSTR("a", huge), LOG_CSTR("z", "end"));
    const char *text = logged();
    assert_true(strlen(text) < 4096);
    assert_non_null(strstr(text, " z=end\n"));
}

/* Shows that a line that would be too long (each of these bytes takes six) loses whole fields, not its end. */
static void test_too_long(void **state)
{
    (void)state;
    static char control[2048];
    memset(control, 1, sizeof control);
    struct str field = str_from(control, sizeof control);
    struct arena *arena = arena_new(1 << 20);
    struct json line;
    log_configure(LOG_INFO, LOG_JSON);
    log_info("long", LOG_STR("a", field), LOG_STR("b", field), LOG_STR("c", field));
    assert_int_equal(json_parse(arena, str_of(logged()), NULL, NULL, &line), STATUS_OK);
    assert_int_equal(json_member(&line, "a")->string.size, 2048);
    assert_null(json_member(&line, "b"));
    log_info("long", LOG_STR("a", field), LOG_STR("b", field));
    log_info("next");
    const char *text = logged(), *next = strchr(text, '\n') + 1;
    assert_string_equal(after_time(next), "info event=next\n");
    arena_free(arena);
}

static void *chatter(void *name)
{
    for (int i = 0; i < 50; i++) log_info("chatter", LOG_CSTR("name", name), LOG_INT("i", i));
    return NULL;
}

/* Shows that lines of threads do not mix. */
static void test_threads(void **state)
{
    (void)state;
    static char names[4][8] = {"north", "east", "south", "west"};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, chatter, names[i]), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    int lines = 0;
    for (const char *text = logged(); *text; lines++) {
        text = after_time(text);
        assert_memory_equal(text, "info event=chatter name=", 24);
        text = strchr(text, '\n') + 1;
    }
    assert_int_equal(lines, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, capture, release),
        cmocka_unit_test_setup_teardown(test_json, capture, release),
        cmocka_unit_test_setup_teardown(test_levels, capture, release),
        cmocka_unit_test_setup_teardown(test_failure, capture, release),
        cmocka_unit_test_setup_teardown(test_long, capture, release),
        cmocka_unit_test_setup_teardown(test_too_long, capture, release),
        cmocka_unit_test_setup_teardown(test_threads, capture, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
