/*
 * What becomes of the events of an import: each rule, strict and not; texts that are no UTF-8; JSON lines; and that the
 * short way and the one by a tree agree. Every case goes both ways.
 */
#include "ingest/import.h"

#include "ingest/garbled.h"
#include "ingest/import_testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW  INT64_C(1700000000000)
#define HOUR INT64_C(3600000)

static struct arena *arena;
static struct ingest_limits limits;
static struct import_outcome outcome;
static struct error error;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)256 << 20);
    limits = INGEST_LIMITS_DEFAULT;
    outcome = (struct import_outcome){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    import_outcome_fini(&outcome);
    arena_free(arena);
    return 0;
}

static enum status run(struct str text, struct import_request request)
{
    struct error tree_error = ERROR_INIT;
    struct import_outcome tree = {0};
    error = ERROR_INIT;
    import_outcome_fini(&outcome);
    outcome = (struct import_outcome){0};
    request.received_ms = NOW;
    if (!request.project.id) request.project.id = 7;
    enum status status = import_take(arena, &limits, text, &request, &error, &outcome);
    request.tree_only = true;
    assert_int_equal(import_take(arena, &limits, text, &request, &tree_error, &tree), status);
    assert_string_equal(error.primary, tree_error.primary);
    if (!import_same(arena, &outcome, &tree)) fail_msg("%.*s", (int)text.size, text.data);
    import_outcome_fini(&tree);
    return status;
}

static void open_record(struct batch_reader *batch)
{
    struct record record;
    struct reader reader = reader_of(buf_str(&outcome.record));
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    assert_int_equal(record.project, 7);
    assert_int_equal(batch_open(arena, record.body, batch), STATUS_OK);
    assert_int_equal(batch->flags, BATCH_IMPORT);
    assert_int_equal(batch->events_left, outcome.stored);
}

/* ---- The rules ---- */

static void test_rules(void **state)
{
    (void)state;
    const enum identity_mode simplified = IDENTITY_SIMPLIFIED, original = IDENTITY_ORIGINAL, legacy = IDENTITY_LEGACY;
#define RESERVED "must not be a reserved value"
#define CHARS    "must only contain alphanumeric or hyphen '-' characters"
    const struct {
        enum identity_mode mode;
        const char *properties;      /* besides a time, an insert id and a distinct_id where they are not named */
        const char *field, *message; /* of the strict failure; NULL: it is stored */
        bool refused;                /* when not strict, too */
    } rows[] = {
        {simplified, "\"a\":1", NULL, NULL, false},
        {simplified, "\"time\":null", "properties.time", "'properties.time' is invalid: must not be missing", true},
        {simplified, "\"time\":\"2024-01-01\"", "properties.time",
         "'properties.time' is invalid: must be specified as seconds since epoch", true},
        {simplified, "\"time\":{}", "properties.time",
         "'properties.time' is invalid: must be specified as seconds since epoch", true},
        {simplified, "\"time\":31535999", "properties.time",
         "'properties.time' is invalid: must not be before 1971-01-01", true},
        {simplified, "\"time\":-5", "properties.time", "'properties.time' is invalid: must not be before 1971-01-01",
         true},
        {simplified, "\"time\":31536000", NULL, NULL, false},
        {simplified, "\"time\":\"1500000000.5\"", NULL, NULL, false},
        {simplified, "\"time\":1500000000123", NULL, NULL, false},
        {simplified, "\"time\":1700003600", NULL, NULL, false}, /* an hour ahead */
        {simplified, "\"time\":1700003601", "properties.time",
         "'properties.time' is invalid: must not be in the future", false},
        {simplified, "\"$insert_id\":null", "$insert_id", "'$insert_id' is invalid: must not be missing", false},
        {simplified, "\"$insert_id\":\"\"", "$insert_id", "'$insert_id' is invalid: must not be missing", false},
        {simplified, "\"$insert_id\":\"a b\"", "$insert_id", "'$insert_id' is invalid: " CHARS, false},
        {simplified, "\"$insert_id\":\"\xC3\xA4\"", "$insert_id", "'$insert_id' is invalid: " CHARS, false},
        {simplified, "\"$insert_id\":true", "$insert_id", "'$insert_id' is invalid: " CHARS, false},
        {simplified, "\"$insert_id\":[1]", "$insert_id", "'$insert_id' is invalid: " CHARS, false},
        {simplified, "\"$insert_id\":\"123456789012345678901234567890123456\"", NULL, NULL, false},
        {simplified, "\"$insert_id\":\"1234567890123456789012345678901234567\"", "$insert_id",
         "'$insert_id' is invalid: must not be longer than 36 characters", false},
        {simplified, "\"$insert_id\":\"None\"", "$insert_id", "'$insert_id' is invalid: " RESERVED, false},
        {simplified, "\"$insert_id\":0", "$insert_id", "'$insert_id' is invalid: " RESERVED, false},
        {simplified, "\"$insert_id\":5", NULL, NULL, false},
        {simplified, "\"distinct_id\":\"\"", NULL, NULL, false},
        {simplified, "\"distinct_id\":null", NULL, NULL, false},
        {simplified, "\"distinct_id\":\"Undefined\"", "properties.distinct_id",
         "'properties.distinct_id' is invalid: " RESERVED, false},
        {simplified, "\"distinct_id\":-1", "properties.distinct_id", "'properties.distinct_id' is invalid: " RESERVED,
         false},
        {simplified, "\"distinct_id\":false", "properties.distinct_id",
         "'properties.distinct_id' is invalid: must be a string", false},
        {simplified, "\"distinct_id\":17", NULL, NULL, false},
        {original, "\"distinct_id\":null", "properties.distinct_id",
         "'properties.distinct_id' is invalid: must not be missing", false},
        {legacy, "\"distinct_id\":null", "properties.distinct_id",
         "'properties.distinct_id' is invalid: must not be missing", false},
        {original, "\"distinct_id\":\"\"", NULL, NULL, false},
        {simplified, "\"p\":[[[[1]]]]", "properties.p", "'properties.p' is invalid: nested too deeply", true},
        {simplified, "\"token\":\"of another project\"", NULL, NULL, false},
        {simplified, "\"token\":5", NULL, NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        const char *p = rows[i].properties;
        int size = snprintf(text, sizeof text, "[{\"event\":\"E\",\"properties\":{%s%s%s%s}}]",
                            strstr(p, "\"time\"") ? "" : "\"time\":1500000000,",
                            strstr(p, "insert_id") ? "" : "\"$insert_id\":\"i\",",
                            strstr(p, "distinct_id") ? "" : "\"distinct_id\":\"u\",", p);
        struct import_request request = {.project.mode = rows[i].mode, .strict = true};
        print_message("%s\n", p);
        assert_int_equal(run(str_from(text, (size_t)size), request), STATUS_OK);
        assert_int_equal(outcome.failure_count, rows[i].message != NULL);
        assert_int_equal(outcome.stored, rows[i].message == NULL);
        if (rows[i].message) {
            assert_true(str_eq(outcome.failures[0].field, str_of(rows[i].field)));
            if (!str_eq(outcome.failures[0].message, str_of(rows[i].message)))
                fail_msg("%.*s", (int)outcome.failures[0].message.size, outcome.failures[0].message.data);
        }
        request.strict = false;
        assert_int_equal(run(str_from(text, (size_t)size), request), STATUS_OK);
        assert_int_equal(outcome.failure_count, rows[i].refused);
        assert_int_equal(outcome.stored, !rows[i].refused);
    }
}

/* The time as stored: what is up to an hour ahead stays, so that the event is the same when it is sent again. */
static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *time;
        int64_t ms;
    } rows[] = {
        {"31536000", INT64_C(31536000000)},
        {"1500000000.25", INT64_C(1500000000250)},
        {"\"1500000000\"", INT64_C(1500000000000)},
        {"1500000000123", INT64_C(1500000000123)},
        {"1700003600", NOW + HOUR},
        {"1700003601", NOW},
        {"99999999999", NOW},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[200];
        struct batch_reader batch;
        struct event_view event;
        snprintf(text, sizeof text, "{\"event\":\"E\",\"properties\":{\"time\":%s}}", rows[i].time);
        assert_int_equal(run(str_of(text), (struct import_request){0}), STATUS_OK);
        assert_int_equal(outcome.stored, 1);
        open_record(&batch);
        assert_true(batch_next(&batch, &event));
        assert_true(event.time_ms == rows[i].ms);
    }
}

/* ---- Texts that are no UTF-8 ---- */

#define BAD                     "\xFF"
#define EVENT(name, properties) "{\"event\":\"" name "\",\"properties\":{\"time\":1500000000" properties "}}"

static void test_garbled(void **state)
{
    (void)state;
    static const struct {
        const char *event;
        const char *field, *message; /* NULL: it is stored */
    } rows[] = {
        {EVENT("E", ",\"p\":\"\xC3\xA4\""), NULL, NULL},
        {EVENT("E", ",\"p\":\"\xEF\xBF\xBD \xEF\xB7\x90 \\ufDd1\""), NULL, NULL}, /* what could be a mark */
        {EVENT("E", ",\"utm_source\":\"a" BAD "b\""), "properties.utm_source",
         "properties.utm_source is invalid: string should be valid utf8"},
        {EVENT("E", ",\"utm_source\":[{\"a\":\"" BAD "\"}]"), "properties.utm_source",
         "properties.utm_source is invalid: string should be valid utf8"},
        {EVENT("E", ",\"utm_source\":{\"" BAD "\":1}"), "properties.utm_source",
         "properties.utm_source is invalid: string should be valid utf8"},
        {EVENT("E", ",\"" BAD "\":1"), "properties", "properties is invalid: string should be valid utf8"},
        {EVENT("E" BAD, ""), "event", "event is invalid: string should be valid utf8"},
        {EVENT("E", ",\"cut\":\"\xC3\""), "properties.cut", "properties.cut is invalid: string should be valid utf8"},
        {EVENT("E", ",\"surrogate\":\"\xED\xA0\x80\""), "properties.surrogate",
         "properties.surrogate is invalid: string should be valid utf8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int lines = 0; lines < 2; lines++) {
            char text[1024];
            snprintf(text, sizeof text,
                     "%s" EVENT("A", "") "%s%s%s" EVENT("B", ",\"q\":\"\xE2\x82\xAC\"") "%s" EVENT("C" BAD, "") "%s",
                     lines ? "" : "[", lines ? "\n" : ",", rows[i].event, lines ? "\n" : ",", lines ? "\n" : ",",
                     lines ? "" : "]");
            assert_int_equal(run(str_of(text), (struct import_request){0}), STATUS_OK);
            size_t bad = rows[i].message != NULL;
            assert_int_equal(outcome.failure_count, bad + 1);
            assert_int_equal(outcome.stored, 3 - bad);
            assert_int_equal(outcome.failures[bad].index, 3);
            if (!bad) continue;
            assert_int_equal(outcome.failures[0].index, 1);
            assert_true(str_eq(outcome.failures[0].field, str_of(rows[i].field)));
            assert_true(str_eq(outcome.failures[0].message, str_of(rows[i].message)));
        }
    }
    /* Outside of texts it is no JSON. */
    assert_int_equal(run(STR("[" BAD EVENT("E", "") "]"), (struct import_request){0}), STATUS_INVALID);
    assert_string_equal(error.primary, "data, malformed");
    assert_int_equal(run(STR(EVENT("E", "") "\n" BAD "\n" EVENT("E", "")), (struct import_request){0}), STATUS_OK);
    assert_int_equal(outcome.stored, 2);
}

/* The mark is a character that the document has nowhere, not even as an escape; when there is none, there is no mark.
 */
static void test_mark(void **state)
{
    (void)state;
    struct garbled garbled;
    struct str text = garbled_mark(arena,
                                   STR("a\xEF\xB7\x90\\ufdd1\\uFDD2\xFF\\\\ufdd3"
                                       "b\xC3"),
                                   &garbled);
    assert_true(str_eq(text, STR("a\xEF\xB7\x90\\ufdd1\\uFDD2\xEF\xB7\x94\\\\ufdd3"
                                 "b\xEF\xB7\x94")));
    assert_true(garbled_text(&garbled, text) && !garbled_text(&garbled, STR("a\xEF\xB7\x90")));
    char all[32 * 3 + 1];
    for (unsigned i = 0; i < 32; i++) {
        all[3 * i] = (char)0xEF;
        all[3 * i + 1] = (char)0xB7;
        all[3 * i + 2] = (char)(0x90 + i);
    }
    all[96] = (char)0xFF;
    assert_null(garbled_mark(arena, str_from(all, sizeof all), &garbled).data);
    /* Cut short in the middle of an escape. */
    assert_non_null(garbled_mark(arena, STR("\xFF\\ufd"), &garbled).data);
}

/* ---- Lines ---- */

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool told; /* by the Content-Type */
        size_t stored, failed;
    } rows[] = {
        {EVENT("A", ""), true, 1, 0},
        {EVENT("A", "") "\n", true, 1, 0},
        {"\n\r\n \t\n" EVENT("A", "") " \t\r\n\n" EVENT("B", ""), true, 2, 0},
        {EVENT("A", "") "\n" EVENT("B", "") "\n", false, 2, 0},
        {EVENT("A", "") EVENT("B", "") "\n" EVENT("C", ""), true, 1, 1}, /* two on a line */
        {EVENT("A", "") ",\n" EVENT("C", ""), true, 1, 1},
        {"{\"event\":\n\"A\"}\n" EVENT("B", ""), true, 1, 2},       /* an event over two lines */
        {EVENT("A", ",\n\"b\":1") "\n" EVENT("B", ""), true, 1, 2}, /* likewise, of common form */
        {"nothing\n" EVENT("B", ""), true, 1, 1},
        {EVENT("A", "") "\n{\"event\":\"B\",\"prop", true, 1, 1}, /* cut short */
        {"[" EVENT("A", "") "]", true, 1, 0},                     /* it is a list all the same */
        {EVENT("A", "") "\n[1]\n5\nnull\n\"x\"", true, 1, 4},
        {EVENT("A", "") "\n{}", true, 1, 1},
        {"{\"data\":[" EVENT("A", "") "]}", false, 1, 0},
        {"{\"event\":\"A\",\n\"properties\":\n{\"time\":1500000000}\n}", false, 1, 0}, /* a single one may */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(run(str_of(rows[i].text), (struct import_request){.lines = rows[i].told}), STATUS_OK);
        if (outcome.stored != rows[i].stored || outcome.failure_count != rows[i].failed)
            fail_msg("%s: %zu stored, %zu failed", rows[i].text, outcome.stored, outcome.failure_count);
    }
    assert_int_equal(run(STR(" \n \n"), (struct import_request){.lines = true}), STATUS_INVALID);
    assert_string_equal(error.primary, "data, missing or empty");
    /* More lines than there may be; blank ones do not count. */
    limits.events_max = 2;
    assert_int_equal(run(STR(EVENT("A", "") "\n\n\n\n" EVENT("A", "")), (struct import_request){0}), STATUS_OK);
    assert_int_equal(run(STR(EVENT("A", "") "\n" EVENT("A", "") "\nx"), (struct import_request){0}), STATUS_LIMIT);
    assert_string_equal(error.primary, "request exceeds max limit of 2 events");
    assert_int_equal(run(STR("[" EVENT("A", "") "," EVENT("A", "") ",{}]"), (struct import_request){0}), STATUS_LIMIT);
}

/* An event beyond the limit, and one that takes more memory as a tree than there is, refuse what they should. */
static void test_sizes(void **state)
{
    (void)state;
    struct buf text = BUF_INIT((size_t)64 << 20);
    limits.event_bytes_max = 1000;
    buf_lit(&text, EVENT("A", "") "\n{\"event\":\"B\",\"properties\":{\"time\":1500000000,\"p\":\"");
    buf_fill(&text, 'x', 1000);
    buf_lit(&text, "\"}}\n" EVENT("C", ""));
    assert_int_equal(run(buf_str(&text), (struct import_request){0}), STATUS_OK);
    assert_int_equal(outcome.stored, 2);
    assert_int_equal(outcome.failure_count, 1);
    assert_true(str_is(outcome.failures[0].message, "event exceeds max limit of 1000 bytes"));
    buf_reset(&text);
    buf_lit(&text, EVENT("A", "") "\n{\"event\":\"B\",\"properties\":{\"time\":1500000000,\"p\":[1");
    for (size_t i = 0; i < 3000000; i++) buf_lit(&text, ",1");
    buf_lit(&text, "]}}");
    assert_int_equal(run(buf_str(&text), (struct import_request){0}), STATUS_LIMIT);
    assert_string_equal(error.primary, "request needs too much memory");
    buf_fini(&text);
}

/* ---- Both ways agree ---- */

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static const char *const events[] = {
    EVENT("Page View", ",\"distinct_id\":\"u\",\"$insert_id\":\"i-1\",\"n\":-12.50,\"b\":true,\"z\":null"),
    EVENT("Page View", ",\"distinct_id\":\"$device:d\",\"$insert_id\":\"i-2\",\"t\":\"S\xC3\xA3o\""),
    EVENT("Sign Up", ",\"$device_id\":\"d\",\"$user_id\":\"u\",\"$insert_id\":\"i-3\",\"l\":[1,\"\\u0041\"]"),
    EVENT("$identify", ",\"distinct_id\":\"u\",\"$insert_id\":\"i-4\""),
    EVENT("Ignored", ",\"$ignore\":1"),
    "{\"event\":\"No time\",\"properties\":{\"distinct_id\":\"null\",\"$insert_id\":\"bad id\"}}",
    "{ \"properties\" : {\"time\":1700009999 , \"$insert_id\":\"i-5\"} , \"event\" : \"Later\" }",
    "{}",
};

/* A list or lines, with some bytes changed. */
static struct str make(uint64_t *random, bool lines)
{
    static const char *const pieces[] = {"\"",
                                         "\\",
                                         ",",
                                         ":",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         " ",
                                         "\n",
                                         "\r",
                                         "null",
                                         "5",
                                         "\xFF",
                                         "\xC3",
                                         "\t",
                                         "\"event\":\"x\",",
                                         "\xEF\xB7\x90",
                                         "\\uFDD1",
                                         "\x1F",
                                         "\f"};
    struct buf text = BUF_INIT((size_t)1 << 16);
    size_t count = 1 + next(random) % 6;
    if (!lines) buf_lit(&text, "[");
    for (size_t i = 0; i < count; i++) {
        buf_str_add(&text, str_of(events[next(random) % (sizeof events / sizeof *events)]));
        if (lines || i + 1 < count) buf_byte(&text, lines ? '\n' : ',');
    }
    if (!lines) buf_lit(&text, "]");
    struct str whole = arena_str(arena, buf_str(&text));
    buf_fini(&text);
    for (size_t changes = next(random) % 3; changes > 0; changes--) {
        struct str piece = str_of(pieces[next(random) % (sizeof pieces / sizeof *pieces)]);
        size_t at = next(random) % whole.size;
        whole = arena_printf(arena, STR_FMT STR_FMT STR_FMT, STR_ARG(str_slice(whole, 0, at)), STR_ARG(piece),
                             STR_ARG(str_slice(whole, at + next(random) % 2, whole.size)));
    }
    return whole;
}

static void test_both_ways_agree(void **state)
{
    (void)state;
    uint64_t random = 5;
    size_t stored = 0, failed = 0, refused = 0;
    for (size_t round = 0; round < 20000; round++) {
        bool lines = next(&random) % 2;
        struct import_request request = {.project.mode = (enum identity_mode)(next(&random) % 3),
                                         .strict = next(&random) % 2,
                                         .lines = lines && next(&random) % 2};
        limits = INGEST_LIMITS_DEFAULT;
        if (round % 5 == 0) limits.event_bytes_max = 120;
        if (round % 7 == 0) limits.events_max = 3;
        if (run(make(&random, lines), request) == STATUS_OK) {
            stored += outcome.stored;
            failed += outcome.failure_count;
        } else {
            refused++;
        }
        if (round % 100 == 0) arena_reset(arena);
    }
    assert_true(stored > 10000 && failed > 5000 && refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mark, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_ways_agree, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
