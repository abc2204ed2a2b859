/*
 * /engage and /groups as the clients see them: what each SDK sends and the bytes that it needs back; strict answers;
 * and that an answer waits for the disk.
 */
#include "api/engage.h"

#include "api/api_testing.h"
#include "store/profiles.h"
#include "store/update_record.h"

#define FORM "application/x-www-form-urlencoded"
/* {"$token":"t","$distinct_id":"u","$set":{"a":1}}, alone and in a list of two */
#define ONE_JSON "{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{\"a\":1}}"
#define ONE_BASE "eyIkdG9rZW4iOiJ0IiwiJGRpc3RpbmN0X2lkIjoidSIsIiRzZXQiOnsiYSI6MX19"
#define ONE_URL  "%7B%22%24token%22%3A%22t%22%2C%22%24distinct_id%22%3A%22u%22%2C%22%24set%22%3A%7B%22a%22%3A1%7D%7D"
#define TWO_JSON "[" ONE_JSON "," ONE_JSON "]"
#define TWO_URL  "%5B" ONE_URL "%2C" ONE_URL "%5D"
#define GROUP    "{\"$token\":\"t2\",\"$group_key\":\"company\",\"$group_id\":7,\"$set\":{\"a\":1}}"
#define BAD      "{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$add\":{\"n\":\"5\"}}"
#define NO_ID    "{\"$token\":\"t\",\"$set\":{}}"
#define GOOD     "{\"error\":null,\"status\":1}"
#define ALL_GOOD "{\"code\":200,\"error\":null,\"num_good_events\":2,\"num_records_imported\":2,\"status\":1}"

/* The number of updates in what was handed to the store. */
static size_t stored_updates(uint64_t *ret_shadow)
{
    size_t count = 0;
    for (size_t i = 0; i < fake.record_count; i++) {
        struct reader reader = reader_of(buf_str(&fake.records[i]));
        while (reader_left(&reader)) {
            struct record record;
            struct update_view update;
            assert_int_equal(record_next(&reader, &record), STATUS_OK);
            assert_int_equal(record.kind, RECORD_UPDATE);
            assert_int_equal(update_open(record.body, &update), STATUS_OK);
            *ret_shadow = record.project;
            count++;
        }
    }
    return count;
}

static void exchange(void (*handler)(struct http_request *request))
{
    handler(&fake.request);
    for (size_t i = 0; i < fake.record_count; i++) {
        assert_int_equal(fake.answers, 0);
        fake_stored(i, STATUS_OK);
    }
    if (fake.record_count) fake_loop();
    assert_null(fake.complete);
}

/* One row a client: the request as its source makes it, the answer as its source checks it. */
static void test_clients(void **state)
{
    (void)state;
    enum http_method get = HTTP_METHOD_GET, post = HTTP_METHOD_POST;
    const char *json = "application/json";
    const struct {
        const char *client;
        enum http_method method;
        const char *query, *type, *body;
        size_t updates;
        int status;
        const char *answer;
    } rows[] = {
        {"JS, own host", post, "verbose=1&ip=1&_=1", FORM, "data=" ONE_BASE, 1, 200, GOOD},
        {"JS, batch", post, "verbose=1&ip=1&_=1", FORM, "data=" TWO_URL, 2, 200, GOOD},
        {"JS, sendBeacon", post, "verbose=1&ip=1&_=1", "text/plain;charset=UTF-8", "data=" ONE_BASE, 1, 200, GOOD},
        {"JS, GET with callback", get, "verbose=1&callback=cb1&data=" ONE_BASE, NULL, "", 1, 200, "cb1(" GOOD ")"},
        {"Node", get, "ip=0&verbose=0&data=" ONE_BASE, NULL, "", 1, 200, "1"},
        {"Python", post, "", FORM, "data=" ONE_URL "&verbose=1&ip=0", 1, 200, GOOD},
        {"Go", post, "", json, TWO_JSON, 2, 200, "1"},
        {"Ruby", post, "", FORM, "data=" ONE_BASE "&verbose=1", 1, 200, GOOD},
        {"Java", post, "ip=0", FORM, "data=" ONE_BASE, 1, 200, "1"},
        {"Android", post, "ip=1", FORM, "data=" ONE_BASE, 1, 200, "1"},
        {"Swift", post, "ip=1", json, TWO_JSON, 2, 200, "1"},
        {"mixpanel-utils", post, "verbose=1", FORM, "data=" ONE_BASE "&project_id=1", 1, 200, GOOD},
        {"mixpanel-import", post, "ip=0&verbose=1&strict=1", json, TWO_JSON, 2, 200, ALL_GOOD},
        {"RMixpanel", get, "data=" ONE_BASE, NULL, "", 1, 200, "1"},
        {"API-Evangelist", post, "verbose=1", json, "{\"data\":" TWO_JSON "}", 2, 200, GOOD},
        {"token in the query", post, "token=t", json, "{\"$distinct_id\":\"u\",\"$set\":{}}", 1, 200, "1"},
        /* failures: 200 but for strict */
        {"no data", post, "verbose=1", FORM, "", 0, 200, "{\"error\":\"data, missing or empty\",\"status\":0}"},
        {"malformed", post, "", json, "[{", 0, 200, "0"},
        {"no id", post, "verbose=1", json, NO_ID, 0, 200,
         "{\"error\":\"$distinct_id, missing or empty\",\"status\":0}"},
        {"a bad one among good ones", post, "", json, "[" ONE_JSON "," BAD "," ONE_JSON "]", 2, 200, "0"},
        {"the first reason counts", post, "verbose=1", json, "[" ONE_JSON "," NO_ID "," BAD "]", 1, 200,
         "{\"error\":\"$distinct_id, missing or empty\",\"status\":0}"},
        {"strict, bad ones", post, "strict=1", json, "[" BAD "," ONE_JSON "," NO_ID "]", 1, 400,
         "{\"code\":400,\"error\":\"some data points in the request failed validation\",\"failed_records\":["
         "{\"index\":0,\"field\":\"$add.n\",\"message\":\"'$add.n' is invalid: must be a number\"},"
         "{\"index\":2,\"field\":\"$distinct_id\",\"message\":\"$distinct_id, missing or empty\"}],"
         "\"num_good_events\":1,\"num_records_imported\":1,\"status\":0}"},
        {"strict, malformed", post, "strict=1", json, "[{", 0, 400,
         "{\"code\":400,\"error\":\"data, malformed\",\"num_good_events\":0,\"num_records_imported\":0,\"status\":0}"},
        {"strict, callback", get, "strict=1&callback=f&data=" TWO_URL, NULL, "", 2, 200, "f(" ALL_GOOD ")"},
        {"strict=0", post, "strict=0", json, BAD, 0, 200, "0"},
        {"unknown token", post, "verbose=1", json, "{\"$token\":\"x\",\"$distinct_id\":\"u\",\"$set\":{}}", 0, 200,
         GOOD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t shadow;
        print_message("%s\n", rows[i].client);
        fake_request(rows[i].method, rows[i].query, rows[i].type, str_of(rows[i].body));
        exchange(api_engage);
        fake_answered(rows[i].status, NULL, rows[i].answer);
        assert_int_equal(stored_updates(&shadow), rows[i].updates);
        if (rows[i].updates) assert_true(shadow == store_profiles_of(1));
        fake_request_fini();
    }
}

static void test_groups(void **state)
{
    (void)state;
    uint64_t shadow;
    fake_request(HTTP_METHOD_POST, "verbose=1", "application/json", STR("[" GROUP "," GROUP "]"));
    exchange(api_groups);
    fake_answered(200, "application/json", GOOD);
    assert_int_equal(stored_updates(&shadow), 2);
    assert_true(shadow == store_profiles_of(2));
    fake_request_fini();
    /* a user's message is no group's, and the other way round */
    fake_request(HTTP_METHOD_POST, "verbose=1", "application/json", STR(ONE_JSON));
    exchange(api_groups);
    fake_answered(200, NULL, "{\"error\":\"$group_key, missing or empty\",\"status\":0}");
    fake_request_fini();
    fake_request(HTTP_METHOD_POST, "verbose=1", "application/json", STR(GROUP));
    exchange(api_engage);
    fake_answered(200, NULL, "{\"error\":\"$distinct_id, missing or empty\",\"status\":0}");
}

static void test_pixel(void **state)
{
    (void)state;
    uint64_t shadow;
    fake_request(HTTP_METHOD_GET, "data=" ONE_BASE "&img=1&strict=1", NULL, STR(""));
    exchange(api_engage);
    assert_int_equal(fake.status, 200);
    assert_string_equal(fake.type, "image/gif");
    assert_true(fake_has_header("Cache-Control: no-store\n"));
    assert_int_equal(stored_updates(&shadow), 1);
}

static void test_head_stores_nothing(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_HEAD, "data=" ONE_BASE, NULL, STR(""));
    api_engage(&fake.request);
    fake_answered(200, NULL, "1");
    assert_int_equal(fake.record_count, 0);
}

/* Messages of two projects are one append: all of a request or nothing; the answer waits for it. */
static void test_answer_waits_for_the_disk(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_POST, "", NULL,
                 STR("[" ONE_JSON ",{\"$token\":\"t2\",\"$distinct_id\":\"u\",\"$set\":{}}]"));
    api_engage(&fake.request);
    assert_int_equal(fake.record_count, 1);
    assert_int_equal(fake.answers, 0);
    assert_null(fake.complete);
    fake_stored(0, STATUS_OK);
    assert_int_equal(fake.answers, 0);
    fake_loop();
    fake_answered(200, "text/plain", "1");
}

static void test_disk_refuses(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_POST, "img=1", NULL, STR(TWO_JSON));
    api_engage(&fake.request);
    fake_stored(0, STATUS_UNAVAILABLE);
    fake_loop();
    fake_answered(503, "application/json", "profiles cannot be stored at the moment");
    assert_true(fake_has_header("Retry-After: 5\n"));
    fake_request_fini();
    fake_request(HTTP_METHOD_POST, "", NULL, STR(ONE_JSON));
    fake.refuse_with = STATUS_UNAVAILABLE;
    api_engage(&fake.request);
    fake_loop();
    fake_answered(503, NULL, "profiles cannot be stored at the moment");
}

static void test_too_large(void **state)
{
    (void)state;
    struct buf body = BUF_INIT((size_t)1 << 20);
    for (size_t i = 0; i < 2001; i++) buf_printf(&body, "%c%s", i ? ',' : '[', ONE_JSON);
    buf_lit(&body, "]");
    fake_request(HTTP_METHOD_POST, "verbose=1", "application/json", buf_str(&body));
    api_engage(&fake.request);
    fake_answered(413, NULL, "request exceeds max limit of 2000 messages");
    assert_int_equal(fake.record_count, 0);
    buf_fini(&body);
}

static void test_unknown_token_rejected(void **state)
{
    (void)state;
    uint64_t shadow;
    fake_limits.reject_unknown_tokens = true;
    fake_request(HTTP_METHOD_POST, "", NULL,
                 STR("[" ONE_JSON ",{\"$token\":\"x\",\"$distinct_id\":\"u\",\"$set\":{}}]"));
    exchange(api_engage);
    fake_answered(401, NULL, "unknown project token");
    assert_int_equal(stored_updates(&shadow), 1);
}

static void test_origin(void **state)
{
    (void)state;
    const char *queries[] = {"", "strict=1"};
    for (size_t i = 0; i < 2; i++) {
        fake_request(HTTP_METHOD_POST, queries[i], NULL, STR(ONE_JSON));
        fake_field("Origin", "https://shop.example");
        exchange(api_engage);
        assert_true(fake_has_header("Access-Control-Allow-Origin: https://shop.example\n"));
        if (i == 0) fake_request_fini();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_clients, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_groups, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_pixel, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_head_stores_nothing, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_answer_waits_for_the_disk, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_disk_refuses, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_too_large, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_unknown_token_rejected, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_origin, fake_setup, fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
