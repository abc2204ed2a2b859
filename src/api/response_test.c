/* The answer in each mode, which mode the parameters ask for, and what a browser is allowed. */
#include "api/response.h"

#include "api/api_testing.h"

static struct response_mode mode_of(const char *query, const char *body)
{
    struct decode_input input = {.query = str_of(query), .content_type = STR(""), .body = str_of(body)};
    struct decode_form form;
    struct error error;
    assert_int_equal(decode_form(fake.request.arena, &input, &fake_limits, &error, &form), STATUS_OK);
    return response_mode_of(&form);
}

/* Parameters to body and type, for success and failure. */
static void test_modes(void **state)
{
    (void)state;
    static const char reason[] = "a \"bad\" <one>";
    static const struct {
        const char *query, *body, *type, *good, *bad;
    } rows[] = {
        {"", "", "text/plain", "1", "0"},
        {"verbose=0", "", "text/plain", "1", "0"},
        {"verbose=", "", "text/plain", "1", "0"},
        {"verbose=1", "", "application/json", "{\"error\":null,\"status\":1}",
         "{\"error\":\"a \\\"bad\\\" \\u003cone>\",\"status\":0}"},
        {"verbose=2", "", "application/json", "{\"error\":null,\"status\":1}", NULL},
        {"verbose=true", "", "application/json", "{\"error\":null,\"status\":1}", NULL},
        {"", "data=x&verbose=1", "application/json", "{\"error\":null,\"status\":1}", NULL},
        {"callback=f", "", "text/javascript", "f(1)", "f(0)"},
        {"callback=a.b$_9&verbose=1", "", "text/javascript", "a.b$_9({\"error\":null,\"status\":1})", NULL},
        {"callback=alert(1)//", "", "text/plain", "1", "0"},
        {"callback=%3Cscript%3E", "", "text/plain", "1", "0"},
        {"callback=", "", "text/plain", "1", "0"},
        {"img=0&verbose=1", "", "application/json", "{\"error\":null,\"status\":1}", NULL},
    };
    fake_request(HTTP_METHOD_GET, "", NULL, STR(""));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct response_mode mode = mode_of(rows[i].query, rows[i].body);
        for (int bad = 0; bad < 2; bad++) {
            const char *wanted = bad ? rows[i].bad : rows[i].good;
            if (!wanted) continue;
            struct buf body = BUF_INIT(4096);
            assert_string_equal(response_render(&mode, bad ? str_of(reason) : STR_NULL, &body), rows[i].type);
            buf_byte(&body, 0);
            assert_string_equal(body.data, wanted);
            buf_fini(&body);
        }
    }
}

/* The picture wins over everything, is the same for success and failure, and is a GIF of one pixel. */
static void test_picture(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_GET, "", NULL, STR(""));
    struct response_mode mode = mode_of("img=1&verbose=1&callback=f", "");
    struct buf good = BUF_INIT(4096), bad = BUF_INIT(4096);
    assert_string_equal(response_render(&mode, STR_NULL, &good), "image/gif");
    assert_string_equal(response_render(&mode, STR("x"), &bad), "image/gif");
    assert_true(str_eq(buf_str(&good), buf_str(&bad)));
    assert_memory_equal(good.data, "GIF89a\1\0\1\0", 10);
    assert_int_equal(good.size, 43);
    assert_int_equal(good.data[42], ';');
    buf_fini(&good);
    buf_fini(&bad);
}

/* A callback's name has at most 128 bytes. */
static void test_callback_length(void **state)
{
    (void)state;
    char query[200] = "callback=";
    fake_request(HTTP_METHOD_GET, "", NULL, STR(""));
    memset(query + 9, 'f', 128);
    assert_int_equal(mode_of(query, "").callback.size, 128);
    query[9 + 128] = 'f';
    assert_null(mode_of(query, "").callback.data);
}

/* The page's origin is echoed with credentials; a request without one gets no such field. */
static void test_origin(void **state)
{
    (void)state;
    struct response_mode mode = {.callback = STR_NULL};
    fake_request(HTTP_METHOD_POST, "", NULL, STR(""));
    fake_field("Origin", "https://shop.example");
    response_send(&fake.request, &mode, STR_NULL);
    fake_answered(200, "text/plain", "1");
    assert_true(fake_has_header("Access-Control-Allow-Origin: https://shop.example\n"));
    assert_true(fake_has_header("Access-Control-Allow-Credentials: true\n"));
    assert_true(fake_has_header("Vary: Origin\n"));
    assert_false(fake_has_header("Cache-Control"));
    fake_request_fini();

    fake_request(HTTP_METHOD_GET, "", NULL, STR(""));
    response_send(&fake.request, &mode, STR_NULL);
    assert_false(fake_has_header("Access-Control"));
    assert_true(fake_has_header("Cache-Control: no-store\n"));
}

static void test_preflight(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_OPTIONS, "", NULL, STR(""));
    fake_field("origin", "https://shop.example");
    fake_field("Access-Control-Request-Method", "POST");
    response_preflight(&fake.request);
    fake_answered(204, NULL, "");
    assert_true(fake_has_header("Access-Control-Allow-Origin: https://shop.example\n"));
    assert_true(fake_has_header("Access-Control-Allow-Methods: GET, POST, OPTIONS\n"));
    assert_true(
        fake_has_header("Access-Control-Allow-Headers: Authorization, Content-Type, Content-Encoding, traceparent\n"));
    assert_true(fake_has_header("Access-Control-Max-Age: "));
}

/* 503 says when to come again; other failures do not. A second Access-Control-Allow-Origin would be as bad as none. */
static void test_failures(void **state)
{
    (void)state;
    struct error error;
    fake_request(HTTP_METHOD_POST, "", NULL, STR(""));
    fake_field("Origin", "null");
    error_set(&error, STATUS_UNAVAILABLE, "disk full");
    response_failure(&fake.request, &error);
    fake_answered(503, NULL, "disk full");
    assert_true(fake_has_header("Retry-After: 5\n"));
    assert_false(fake_has_header("Access-Control-Allow-Origin")); /* render_error writes it */
    fake_request_fini();

    fake_request(HTTP_METHOD_POST, "", NULL, STR(""));
    error_set(&error, STATUS_LIMIT, "too much");
    response_failure(&fake.request, &error);
    fake_answered(413, NULL, "too much");
    assert_false(fake_has_header("Retry-After"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_modes, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_picture, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_callback_length, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_origin, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_preflight, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_failures, fake_setup, fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
