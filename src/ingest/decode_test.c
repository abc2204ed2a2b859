/*
 * Every request form that reaches the same event: each row is a request as a client sends it, and must decode to the
 * same JSON; then what is no request at all, with the reason that the client reads.
 */
#include "ingest/decode.h"

#include "base/base64.h"
#include "base/gzip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define FORM "application/x-www-form-urlencoded"

static struct arena *arena;
static struct ingest_limits limits;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)32 << 20);
    limits = INGEST_LIMITS_DEFAULT;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static enum status decode(struct str query, const char *type, struct str body, struct error *error,
                          struct decode_form *form, struct decode_records *records)
{
    *error = ERROR_INIT;
    struct decode_input input = {.query = query, .content_type = str_of(type), .body = body};
    TRY(decode_form(arena, &input, &limits, error, form));
    return decode_records(arena, form, &limits, error, records);
}

static void gives(const char *query, const char *type, struct str body, const char *json)
{
    struct error error;
    struct decode_form form;
    struct decode_records records;
    if (decode(str_of(query), type, body, &error, &form, &records) != STATUS_OK)
        fail_msg("%s " STR_FMT ": %s (%s)", query, STR_ARG(body), error.primary, error.detail);
    struct json list = {.type = JSON_ARRAY, .array = {records.items, records.count}};
    struct buf text = BUF_INIT((size_t)1 << 20);
    json_write(&text, &list);
    buf_byte(&text, 0);
    assert_string_equal(text.data, json);
    buf_fini(&text);
}

/* The same two events through every door. */
static void test_request_forms(void **state)
{
    (void)state;
    /* The base64 of this text has a '+', a '/' and padding. */
    static const char one[] = "{\"event\":\"a?aa>\"}", list[] = "[{\"event\":\"a?aa>\"}]";
    static const struct {
        const char *query, *type, *body;
    } rows[] = {
        {"", "application/json", one},
        {"", "application/json", list},
        {"", "application/json; charset=utf-8", list},
        {"verbose=1&ip=1", "application/json", " \r\n [{\"event\":\"a?aa>\"}]\n"},
        {"", "application/json", "{\"data\":{\"event\":\"a?aa>\"}}"},
        {"token=t", "application/json", "{\"data\":[{\"event\":\"a?aa>\"}]}"},
        {"", "application/json", "{\"data\":\"eyJldmVudCI6ImE/YWE+In0=\"}"},
        {"", "application/json", "\xEF\xBB\xBF[{\"event\":\"a?aa>\"}]"},
        {"", NULL, one},
        {"", "text/plain;charset=UTF-8", list},
        {"", "application/octet-stream", one},
        {"", FORM, one},
        {"", FORM, "data=%7B%22event%22%3A%22a%3Faa%3E%22%7D"},
        {"", FORM, "data=%5B%7B%22event%22%3A%22a%3Faa%3E%22%7D%5D&verbose=1&ip=0"},
        {"", FORM, "data={\"event\":\"a?aa>\"}"},
        {"", FORM "; charset=utf-8", "verbose=1&data=eyJldmVudCI6ImE%2FYWE%2BIn0%3D"}, /* as it should be */
        {"", FORM, "data=eyJldmVudCI6ImE/YWE+In0="},       /* not escaped: '+' arrives as a blank */
        {"", FORM, "data=eyJldmVudCI6ImE/YWE+In0"},        /* without padding */
        {"", FORM, "data=eyJldmVudCI6ImE_YWE-In0"},        /* URL-safe */
        {"", FORM, "data=eyJldmVudCI6\nImE/YWE%2BIn0=\n"}, /* in lines */
        {"", FORM, "data=eyJldmVudCI6%0AImE%2FYWE%2BIn0%3D%0A"},
        {"", "text/plain", "data=eyJldmVudCI6ImE/YWE+In0="},
        {"", NULL, "data=eyJldmVudCI6ImE/YWE+In0="},
        {"data=eyJldmVudCI6ImE_YWE-In0&ip=1&img=1", NULL, ""},
        {"ip=0&verbose=0&data=eyJldmVudCI6ImE%2FYWE%2BIn0%3D", NULL, ""},
        {"data=%7B%22event%22%3A%22a%3Faa%3E%22%7D", NULL, ""},
        {"data=eyJldmVudCI6ImE_YWE-In0", FORM, "verbose=1"}, /* the query's data when the form has none */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        gives(rows[i].query, rows[i].type, str_of(rows[i].body), list);
}

/* gzip is known by its magic: as the whole body, and inside base64; both kinds of content. */
static void test_gzip(void **state)
{
    (void)state;
    struct str packed, form = STR("data=%7B%22event%22%3A%22x%22%7D");
    assert_int_equal(gzip_compress(arena, STR("[{\"event\":\"x\"}]"), 6, &packed), STATUS_OK);
    gives("compression=gzip", "application/json", packed, "[{\"event\":\"x\"}]");
    struct buf text = BUF_INIT(4096);
    buf_lit(&text, "compression=gzip&data=");
    base64_encode(&text, packed);
    gives("", FORM, buf_str(&text), "[{\"event\":\"x\"}]");
    buf_fini(&text);
    assert_int_equal(gzip_compress(arena, form, 6, &packed), STATUS_OK);
    gives("", FORM, packed, "[{\"event\":\"x\"}]");
}

static void refuses(const char *query, const char *type, struct str body, enum status status, const char *reason)
{
    struct error error;
    struct decode_form form;
    struct decode_records records;
    enum status seen = decode(str_of(query), type, body, &error, &form, &records);
    if (seen != status) fail_msg(STR_FMT ": %s instead of %s", STR_ARG(body), status_name(seen), status_name(status));
    assert_string_equal(error.primary, reason);
}

/* What cannot be read, and the reason that is answered. */
static void test_unreadable(void **state)
{
    (void)state;
    static const struct {
        const char *query, *type, *body, *reason;
    } rows[] = {
        {"", NULL, "", "data, missing or empty"},
        {"verbose=1", FORM, "", "data, missing or empty"},
        {"", FORM, "data=", "data, missing or empty"},
        {"data=", NULL, "", "data, missing or empty"},
        {"", FORM, "data=%20%0A", "data, missing or empty"},
        {"", FORM, "verbose=1", "data, missing or empty"},
        {"", FORM, "event=x", "data, missing or empty"},
        {"", "application/json", "[]", "data, missing or empty"},
        {"", "application/json", "{\"data\":[]}", "data, missing or empty"},
        {"", "application/json", "{\"data\":null}", "data, missing or empty"},
        {"", "application/json", "{\"data\":\"\"}", "data, missing or empty"},
        {"", "application/json", "{\"data\":5}", "data, malformed"},
        {"", "application/json", "\"text\"", "data, malformed"},
        {"", "application/json", "5", "data, malformed"},
        {"", "application/json", "{\"event\":", "data, malformed"},
        {"", "application/json", "{\"event\":\"a\"}{\"event\":\"b\"}", "data, malformed"},
        {"", "application/json", "[{\"event\":\"\xFF\"}]", "data, malformed"},
        {"", "application/json", "[{\"event\":\"\xC0\xAF\"}]", "data, malformed"},
        {"", FORM, "data=%7Bbroken", "data, malformed"},
        {"", FORM, "data=e", "data, malformed"},
        {"", FORM, "data=eyJ*", "data, malformed"},
        {"", FORM, "data=NQ==", "data, malformed"}, /* base64 of 5 */
        {"", FORM, "data=/////w==", "data, malformed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refuses(rows[i].query, rows[i].type, str_of(rows[i].body), STATUS_INVALID, rows[i].reason);
}

/* 100 000 brackets are refused without harm. */
static void test_deep_nesting(void **state)
{
    (void)state;
    static char brackets[100000];
    memset(brackets, '[', sizeof brackets);
    refuses("", "application/json", str_from(brackets, sizeof brackets), STATUS_INVALID, "data, malformed");
}

/* Packed bytes may not unpack to more than the limit; damaged ones are malformed. */
static void test_gzip_limits(void **state)
{
    (void)state;
    size_t size = (size_t)1 << 20;
    char *zeros = calloc(1, size + 1);
    assert_non_null(zeros);
    limits.request_bytes_max = size;
    struct str packed;
    assert_int_equal(gzip_compress(arena, str_from(zeros, size + 1), 6, &packed), STATUS_OK);
    refuses("", NULL, packed, STATUS_LIMIT, "request exceeds max limit of 1048576 bytes");
    struct buf text = BUF_INIT((size_t)1 << 20);
    buf_lit(&text, "data=");
    base64_encode(&text, packed);
    refuses("", FORM, buf_str(&text), STATUS_LIMIT, "request exceeds max limit of 1048576 bytes");
    assert_int_equal(gzip_compress(arena, STR("[{\"event\":\"x\"}]"), 6, &packed), STATUS_OK);
    refuses("", NULL, str_slice(packed, 0, packed.size - 1), STATUS_INVALID, "data, malformed");
    refuses("", NULL, STR("\x1F\x8B"), STATUS_INVALID, "data, malformed");
    buf_fini(&text);
    free(zeros);
}

/* The query's parameters can be asked for, before the form's, and also when the data is unreadable. */
static void test_parameters(void **state)
{
    (void)state;
    struct error error;
    struct decode_form form;
    struct decode_records records;
    struct str broken = STR("verbose=0&ip=1&data=%7Bbroken");
    assert_int_equal(decode(STR("verbose=1&token=q"), FORM, broken, &error, &form, &records), STATUS_INVALID);
    assert_true(str_is(decode_param(&form, "verbose"), "1"));
    assert_true(str_is(decode_param(&form, "token"), "q"));
    assert_true(str_is(decode_param(&form, "ip"), "1"));
    assert_null(decode_param(&form, "img").data);

    struct str damaged = STR("\x1F\x8B\x08");
    assert_int_equal(decode(STR("verbose=1"), NULL, damaged, &error, &form, &records), STATUS_INVALID);
    assert_true(str_is(decode_param(&form, "verbose"), "1"));

    char many[400];
    for (size_t i = 0; i < sizeof many; i += 2) memcpy(many + i, "a&", 2);
    struct str pairs = str_from(many, sizeof many);
    assert_int_equal(decode(STR("verbose=1"), FORM, pairs, &error, &form, &records), STATUS_INVALID);
    assert_int_equal(decode(pairs, NULL, STR(""), &error, &form, &records), STATUS_INVALID);
}

/* An event that has a property called data, or is itself beside one, is no wrapper. */
static void test_wrapper_only_without_event(void **state)
{
    (void)state;
    gives("", "application/json", STR("{\"event\":\"a\",\"data\":{\"event\":\"b\"}}"),
          "[{\"event\":\"a\",\"data\":{\"event\":\"b\"}}]");
    gives("", "application/json", STR("[{\"data\":{\"event\":\"b\"}}]"), "[{\"data\":{\"event\":\"b\"}}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_request_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gzip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deep_nesting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gzip_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrapper_only_without_event, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
