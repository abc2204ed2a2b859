/* What SDKs ask before they do something: every form of saying for which project, and the bytes that they read. */
#include "api/sdk.h"

#include "api/account_testing.h"

#define FLAGS   "{\"code\":200,\"flags\":{},\"pending_first_time_events\":[]}"
#define TOKEN   "Basic dDo="                 /* t: */
#define SECRET  "Basic cHJvamVjdC1zZWNyZXQ6" /* project-secret: */
#define ACCOUNT "Basic YW5uOnJpZ2h0"         /* ann:right */
#define WRONG   "Basic YW5uOndyb25n"         /* ann:wrong */

static void exchange(void (*handler)(struct http_request *), enum http_method method, const char *query,
                     const char *authorization)
{
    fake_request(method, query, NULL, STR(""));
    if (authorization) fake_field("Authorization", authorization);
    fake_field("Origin", "https://shop.example");
    handler(&fake.request);
    if (!work) return;
    work(work_arg);
    work = NULL;
    fake_loop();
}

static void test_flags(void **state)
{
    (void)state;
    static const struct {
        const char *who, *query, *authorization;
        int status;
        const char *answer;
    } rows[] = {
        {"browser", "context=%7B%22distinct_id%22%3A%22u%22%7D&token=t&mp_lib=web", TOKEN, 200, FLAGS},
        {"no header", "token=t", NULL, 200, FLAGS},
        {"the project as well", "token=t&project_id=1", TOKEN, 200, FLAGS},
        {"secret", "", SECRET, 200, FLAGS},
        {"token as a bearer", "", "Bearer t", 200, FLAGS},
        {"service account", "project_id=1&token=t", ACCOUNT, 200, FLAGS},
        {"its project is not said", "token=t", ACCOUNT, 400,
         "{\"status\":\"error\",\"error\":\"project_id is missing\"}"},
        {"not its project", "project_id=2", ACCOUNT, 401, "{\"status\":\"error\",\"error\":\"not a project member\"}"},
        {"wrong secret", "project_id=1", WRONG, 401,
         "{\"status\":\"error\",\"error\":\"Invalid service account credentials\"}"},
        {"another project's token", "project_id=2", TOKEN, 401,
         "{\"status\":\"error\",\"error\":\"Credentials in request did not match project_id URL parameter\"}"},
        {"no number", "project_id=x", TOKEN, 400, "{\"status\":\"error\",\"error\":\"project_id must be a number\"}"},
        {"unknown token", "token=x", NULL, 401, "{\"status\":\"error\",\"error\":\"unknown project token\"}"},
        {"nobody", "", NULL, 401, "{\"status\":\"error\",\"error\":\"Unauthorized, no credentials in the request\"}"},
        {"another scheme", "token=t", "Digest x", 401,
         "{\"status\":\"error\",\"error\":\"Authorization scheme not supported\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("%s\n", rows[i].who);
        exchange(api_flags, HTTP_METHOD_GET, rows[i].query, rows[i].authorization);
        fake_answered(rows[i].status, "application/json", rows[i].answer);
        assert_true(fake_has_header("Access-Control-Allow-Origin: https://shop.example\n"));
        assert_true(fake_has_header("WWW-Authenticate") == (rows[i].status == 401));
        fake_request_fini();
    }
    exchange(api_flags, HTTP_METHOD_POST, "token=t", NULL);
    fake_answered(200, "application/json", FLAGS);
    fake_request_fini();
    exchange(api_flags_definitions, HTTP_METHOD_GET, "token=t", NULL);
    fake_answered(200, "application/json", "{\"flags\":[]}");
    fake_request_fini();
    exchange(api_flags_first_time_event, HTTP_METHOD_POST, "token=t", NULL);
    fake_answered(200, "application/json", "{\"code\":200,\"status\":\"OK\"}");
    fake_request_fini();
    workers_busy = true;
    exchange(api_flags, HTTP_METHOD_GET, "project_id=1", ACCOUNT);
    fake_answered(503, NULL, "{\"status\":\"error\",\"error\":\"too many credentials to verify\"}");
    assert_true(fake_has_header("Retry-After: 5\n"));
    fake_request_fini();
    accounts_cached = true; /* nobody needs a worker then */
    exchange(api_flags, HTTP_METHOD_GET, "project_id=1", ACCOUNT);
    fake_answered(200, NULL, FLAGS);
}

static void test_settings(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        bool enabled;
        int percent;
        const char *answer;
    } rows[] = {
        {"token=t&mp_lib=android", true, -1, "{\"recording\":{\"is_enabled\":true},\"sdk_config\":{\"config\":{}}}"},
        {"token=t&mp_lib=web", true, -1, "{\"recording\":{\"is_enabled\":true},\"sdk_config\":{}}"},
        {"token=t&mp_lib=web", true, 0,
         "{\"recording\":{\"is_enabled\":true},\"sdk_config\":{\"config\":{\"record_sessions_percent\":0}}}"},
        {"token=t", true, 25,
         "{\"recording\":{\"is_enabled\":true},\"sdk_config\":{\"config\":{\"record_sessions_percent\":25}}}"},
        {"token=t&mp_lib=web", false, 25,
         "{\"recording\":{\"is_enabled\":false},\"sdk_config\":{\"config\":{\"record_sessions_percent\":0}}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fake_api.recording.enabled = rows[i].enabled;
        fake_api.recording.sessions_percent = rows[i].percent;
        exchange(api_settings, HTTP_METHOD_GET, rows[i].query, NULL);
        fake_answered(200, "application/json", rows[i].answer);
        fake_request_fini();
    }
    exchange(api_settings, HTTP_METHOD_GET, "token=x", NULL);
    fake_answered(401, "application/json", "unknown project token");
}

static void test_decide(void **state)
{
    (void)state;
    exchange(api_decide, HTTP_METHOD_GET, "token=x&distinct_id=u&lib=iphone", NULL);
    fake_answered(200, "application/json", "{\"notifications\":[],\"config\":{}}");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, account_setup, account_teardown)
    const struct CMUnitTest tests[] = {TEST(test_flags), TEST(test_settings), TEST(test_decide)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
