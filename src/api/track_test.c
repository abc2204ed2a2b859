/*
 * /track as the clients see it: what each SDK sends and the bytes that it needs back; that an answer waits for the
 * disk; and what is answered when the request is too large, the disk refuses or the token is unknown.
 */
#include "api/track.h"

#include "api/api_testing.h"

#define FORM "application/x-www-form-urlencoded"
/* {"event":"E","properties":{"token":"t","distinct_id":"u"}}, alone and in a list of two */
#define ONE_JSON  "{\"event\":\"E\",\"properties\":{\"token\":\"t\",\"distinct_id\":\"u\"}}"
#define ONE_BASE  "eyJldmVudCI6IkUiLCJwcm9wZXJ0aWVzIjp7InRva2VuIjoidCIsImRpc3RpbmN0X2lkIjoidSJ9fQ=="
#define ONE_ESC   "eyJldmVudCI6IkUiLCJwcm9wZXJ0aWVzIjp7InRva2VuIjoidCIsImRpc3RpbmN0X2lkIjoidSJ9fQ%3D%3D"
#define ONE_LINES "eyJldmVudCI6IkUiLCJwcm9wZXJ0aWVzIjp7InRva2VuIjoidCIsImRpc3Rp%0AbmN0X2lkIjoidSJ9fQ%3D%3D%0A"
#define ONE_URL   "%7B%22event%22%3A%22E%22%2C%22properties%22%3A%7B%22token%22%3A%22t%22%7D%7D"
#define TWO_JSON  "[" ONE_JSON "," ONE_JSON "]"
#define TWO_URL   "%5B" ONE_URL "%2C" ONE_URL "%5D"
#define GOOD      "{\"error\":null,\"status\":1}"

/* The number of events in what was handed to the store. */
static size_t stored_events(void)
{
    size_t count = 0;
    for (size_t i = 0; i < fake.record_count; i++) {
        struct reader reader = reader_of(buf_str(&fake.records[i]));
        struct record record;
        struct batch_reader batch;
        assert_int_equal(record_next(&reader, &record), STATUS_OK);
        assert_int_equal(batch_open(fake.request.arena, record.body, &batch), STATUS_OK);
        count += batch.events_left;
    }
    return count;
}

/* Sends, lets everything reach the disk and returns after the answer. */
static void exchange(void)
{
    api_track(&fake.request);
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
    const struct {
        const char *client;
        enum http_method method;
        const char *query, *type, *body;
        size_t events;
        const char *answer;
    } rows[] = {
        {"JS, own host", post, "verbose=1&ip=1&_=1700000000000", FORM, "data=" ONE_ESC, 1, GOOD},
        {"JS, Mixpanel's host", post, "verbose=1&ip=1&_=1700000000000", FORM, "data=" ONE_URL, 1, GOOD},
        {"JS, batch", post, "verbose=1&ip=1&_=1", FORM, "data=" TWO_URL, 2, GOOD},
        {"JS, sendBeacon", post, "verbose=1&ip=1&_=1", "text/plain;charset=UTF-8", "data=" ONE_ESC, 1, GOOD},
        {"JS, GET with callback", get, "verbose=1&ip=1&callback=cb1&data=" ONE_ESC, NULL, "", 1, "cb1(" GOOD ")"},
        {"JS, test flag", post, "test=1&ip=1", FORM, "data=" ONE_ESC, 1, "1"},
        {"Node, single", get, "ip=0&verbose=0&data=" ONE_ESC, NULL, "", 1, "1"},
        {"Node, verbose", get, "ip=0&verbose=1&data=" ONE_ESC, NULL, "", 1, GOOD},
        {"Node, batch, not escaped", post, "ip=0&verbose=0", FORM, "data=" ONE_BASE, 1, "1"},
        {"Python", post, "", FORM, "data=" ONE_URL "&verbose=1&ip=0", 1, GOOD},
        {"Python, buffered", post, "", FORM, "data=" TWO_URL "&verbose=1&ip=0", 2, GOOD},
        {"Go", post, "verbose=1", "application/json", TWO_JSON, 2, GOOD},
        {"Go, alias", post, "", FORM, "data=" ONE_URL, 1, "1"},
        {"Ruby", post, "", FORM, "data=" ONE_LINES "&verbose=1", 1, GOOD},
        {"Java", post, "ip=0", FORM, "data=" ONE_ESC, 1, "1"},
        {"PHP", post, "", FORM, "data=" ONE_BASE, 1, "1"},
        {"Android", post, "ip=1", FORM, "data=" ONE_ESC, 1, "1"},
        {"Android, debug", post, "ip=1", FORM, "data=" ONE_ESC "&verbose=1", 1, GOOD},
        {"Swift", post, "ip=1", "application/json", TWO_JSON, 2, "1"},
        {"React Native", post, "ip=1", FORM, "data=" TWO_URL, 2, "1"},
        {"API-Evangelist, one", post, "token=t&verbose=1", "application/json", "{\"data\":" ONE_JSON "}", 1, GOOD},
        {"API-Evangelist, list", post, "token=t&verbose=1", "application/json", "{\"data\":" TWO_JSON "}", 2, GOOD},
        {"token in the query only", post, "token=t", "application/json", "{\"event\":\"E\"}", 1, "1"},
        {"token in the form only", post, "", FORM, "token=t&data=%7B%22event%22:%22E%22%7D", 1, "1"},
        {"curl -d", post, "", FORM, ONE_JSON, 1, "1"},
        /* what is answered with 200 and a failure */
        {"no data", post, "verbose=1", FORM, "", 0, "{\"error\":\"data, missing or empty\",\"status\":0}"},
        {"no data, pixel", get, "", NULL, "", 0, "0"},
        {"malformed", post, "verbose=1", "application/json", "[{", 0, "{\"error\":\"data, malformed\",\"status\":0}"},
        {"malformed", post, "callback=f", "application/json", "[{", 0, "f(0)"},
        {"no event", post, "verbose=1", "application/json", "{}", 0, "{\"error\":\"event, missing\",\"status\":0}"},
        {"no token", post, "verbose=1", "application/json", "{\"event\":\"E\"}", 0,
         "{\"error\":\"token, missing or empty\",\"status\":0}"},
        {"a bad one among good ones", post, "", "application/json", "[" ONE_JSON ",{}," ONE_JSON "]", 2, "0"},
        /* what is not stored and success all the same */
        {"unknown token", post, "token=nobody&verbose=1", "application/json", "{\"event\":\"E\"}", 0, GOOD},
        {"$ignore", post, "token=t", FORM, "{\"event\":\"E\",\"properties\":{\"$ignore\":true}}", 0, "1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].client);
        fake_request(rows[i].method, rows[i].query, rows[i].type, str_of(rows[i].body));
        exchange();
        fake_answered(200, NULL, rows[i].answer);
        assert_int_equal(stored_events(), rows[i].events);
        fake_request_fini();
    }
}

/* Ruby's pixel: URL-safe base64, and a picture back. */
static void test_pixel(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_GET, "data=" ONE_BASE "&ip=1&img=1", NULL, STR(""));
    exchange();
    assert_int_equal(fake.status, 200);
    assert_string_equal(fake.type, "image/gif");
    assert_true(fake_has_header("Cache-Control: no-store\n"));
    assert_int_equal(stored_events(), 1);
}

/* HEAD looks whether somebody is there; it sends nothing. */
static void test_head_stores_nothing(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_HEAD, "data=" ONE_ESC, NULL, STR(""));
    api_track(&fake.request);
    fake_answered(200, NULL, "1");
    assert_int_equal(fake.record_count, 0);
}

/* Events of two projects are two records, and the answer waits for both, in whatever order they reach the disk. */
static void test_answer_waits_for_the_disk(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_POST, "", NULL,
                 STR("[" ONE_JSON ",{\"event\":\"E\",\"properties\":{\"token\":\"t2\"}}," ONE_JSON "]"));
    api_track(&fake.request);
    assert_int_equal(fake.record_count, 2);
    assert_int_equal(stored_events(), 3);
    fake_stored(1, STATUS_OK);
    assert_int_equal(fake.answers, 0);
    assert_null(fake.complete);
    fake_stored(0, STATUS_OK);
    assert_int_equal(fake.answers, 0);
    fake_loop();
    fake_answered(200, "text/plain", "1");
}

/* One record that does not reach the disk makes the whole answer 503 with Retry-After, whatever the mode. */
static void test_disk_refuses(void **state)
{
    (void)state;
    for (size_t bad = 0; bad < 2; bad++) {
        fake_request(HTTP_METHOD_POST, "img=1", NULL,
                     STR("[" ONE_JSON ",{\"event\":\"E\",\"properties\":{\"token\":\"t2\"}}]"));
        api_track(&fake.request);
        fake_stored(bad, STATUS_UNAVAILABLE);
        fake_stored(1 - bad, STATUS_OK);
        fake_loop();
        fake_answered(503, "application/json", "events cannot be stored at the moment");
        assert_true(fake_has_header("Retry-After: 5\n"));
        fake_request_fini();
    }
    /* the same when the store refuses before it has queued anything */
    fake_request(HTTP_METHOD_POST, "", NULL, STR(ONE_JSON));
    fake.refuse_with = STATUS_UNAVAILABLE;
    api_track(&fake.request);
    fake_loop();
    fake_answered(503, NULL, "events cannot be stored at the moment");
}

/* 2001 events are 413, and nothing is stored. */
static void test_too_large(void **state)
{
    (void)state;
    struct buf body = BUF_INIT((size_t)1 << 20);
    for (size_t i = 0; i < 2001; i++) buf_printf(&body, "%c%s", i ? ',' : '[', ONE_JSON);
    buf_lit(&body, "]");
    fake_request(HTTP_METHOD_POST, "verbose=1", "application/json", buf_str(&body));
    api_track(&fake.request);
    fake_answered(413, NULL, "request exceeds max limit of 2000 events");
    assert_int_equal(fake.record_count, 0);
    buf_fini(&body);
}

/* Where the operator wants it, an unknown token is 401; known ones of the same request are stored before. */
static void test_unknown_token_rejected(void **state)
{
    (void)state;
    fake_limits.reject_unknown_tokens = true;
    fake_request(HTTP_METHOD_POST, "", NULL,
                 STR("[" ONE_JSON ",{\"event\":\"E\",\"properties\":{\"token\":\"nobody\"}}]"));
    exchange();
    fake_answered(401, NULL, "unknown project token");
    assert_int_equal(stored_events(), 1);
}

/* The page that sent the events may read the answer, success or not. */
static void test_origin(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_POST, "", NULL, STR(ONE_JSON));
    fake_field("Origin", "https://shop.example");
    exchange();
    assert_true(fake_has_header("Access-Control-Allow-Origin: https://shop.example\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_clients, fake_setup, fake_teardown),
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
