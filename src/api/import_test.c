/*
 * /import as the clients see it: what each sends and the bytes that it needs back; who may; what is told of each event
 * that was refused, and that the others are stored; that the answer waits for the disk.
 */
#include "api/import.h"

#include "api/account_testing.h"

#define FORM   "application/x-www-form-urlencoded"
#define JSON   "application/json"
#define LINES  "application/x-ndjson"
#define TOKEN  "Basic dDo=" /* t: */
#define FAILED "some data points in the request failed validation"

/* A good event, one without a time, and one without a name; base64 of the first. */
#define GOOD     "{\"event\":\"E\",\"properties\":{\"time\":1500000000,\"distinct_id\":\"u\",\"$insert_id\":\"i-1\"}}"
#define TIMELESS "{\"event\":\"E\",\"properties\":{\"$insert_id\":\"i-2\"}}"
#define GOOD_BASE                                                                                                      \
    "eyJldmVudCI6IkUiLCJwcm9wZXJ0aWVzIjp7InRpbWUiOjE1MDAwMDAwMDAsImRpc3RpbmN0X2lkIjoidSIsIiRpbnNlcnRfaWQiOiJpLTEifX0="
#define NO_TIME "'properties.time' is invalid: must not be missing"

#define OK(n)          "{\"code\":200,\"num_records_imported\":" n ",\"status\":\"OK\"}"
#define OK_VERBOSE(n)  "{\"code\":200,\"num_records_imported\":" n ",\"status\":1}"
#define BAD_VERBOSE(n) "{\"code\":200,\"error\":\"" FAILED "\",\"num_records_imported\":" n ",\"status\":0}"
#define BAD(records, n)                                                                                                \
    "{\"code\":400,\"error\":\"" FAILED "\",\"failed_records\":[" records "],\"num_records_imported\":" n              \
    ",\"status\":\"Bad Request\"}"
#define RECORD(index, id, field, message)                                                                              \
    "{\"index\":" index ",\"insert_id\":\"" id "\",\"field\":\"" field "\",\"message\":\"" message                     \
    "\",\"$insert_id\":\"" id "\"}"

/* Sends, lets everything reach the disk and returns after the answer. */
static void exchange(void)
{
    api_import(&fake.request);
    for (size_t i = 0; i < fake.record_count; i++) {
        assert_int_equal(fake.answers, 0);
        fake_stored(i, STATUS_OK);
    }
    if (fake.record_count) fake_loop();
    assert_null(fake.complete);
}

/* The number of events in what was handed to the store: one record at most, of imported events. */
static size_t stored_events(uint64_t project)
{
    struct record record;
    struct batch_reader batch;
    if (fake.record_count == 0) return 0;
    assert_int_equal(fake.record_count, 1);
    struct reader reader = reader_of(buf_str(&fake.records[0]));
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    assert_int_equal(record.project, project);
    assert_int_equal(batch_open(fake.request.arena, record.body, &batch), STATUS_OK);
    assert_int_equal(batch.flags, BATCH_IMPORT);
    return batch.events_left;
}

static void send(const char *query, const char *type, const char *authorization, const char *body)
{
    fake_request(HTTP_METHOD_POST, query, type, str_of(body));
    if (authorization) fake_field("Authorization", authorization);
    exchange();
}

/* One row a client or a mode: the request as its source makes it, the answer as its source checks it. */
static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *who, *query, *type, *body;
        size_t events;
        int status;
        const char *answer;
    } rows[] = {
        {"mixpanel-utils", "strict=1&project_id=1", NULL, "[" GOOD "," GOOD "]", 2, 200, OK("2")},
        {"strict by default", "", JSON, "[" GOOD "]", 1, 200, OK("1")},
        {"a single event", "strict=1", JSON, GOOD, 1, 200, OK("1")},
        {"wrapped", "strict=1", JSON, "{\"data\":[" GOOD "]}", 1, 200, OK("1")},
        {"lines", "strict=1", LINES, "\n" GOOD "\r\n\n " GOOD " \n", 2, 200, OK("2")},
        {"lines, found by looking", "strict=1", NULL, GOOD "\n" GOOD, 2, 200, OK("2")},
        {"one line", "strict=1", LINES ";charset=utf-8", GOOD, 1, 200, OK("1")},
        {"strict, a bad one", "strict=1&verbose=1", JSON, "[" GOOD "," TIMELESS ",{}]", 1, 400,
         BAD(RECORD("1", "i-2", "properties.time", NO_TIME) "," RECORD("2", "", "event",
                                                                       "'event' must not be missing or blank"),
             "1")},
        {"strict, a bad line", "strict=1", LINES, GOOD "\n\n{\"event\":\nnull\n" GOOD, 2, 400,
         BAD(RECORD("1", "", "", "record is invalid: must be a JSON object on a line of its own") "," RECORD(
                 "2", "", "", "record is invalid: must be an object"),
             "2")},
        {"strict, no UTF-8", "strict=1", JSON,
         "[" GOOD ",{\"event\":\"E\",\"properties\":{\"time\":1,\"$insert_id\":\"i-3\",\"utm_source\":\"\xFF\"}}]", 1,
         400,
         BAD(RECORD("1", "i-3", "properties.utm_source",
                    "properties.utm_source is invalid: string should be valid utf8"),
             "1")},
        {"strict, malformed", "strict=1", JSON, "[{", 0, 400,
         "{\"code\":400,\"error\":\"data, malformed\",\"failed_records\":[],\"num_records_imported\":0,\"status\":"
         "\"Bad Request\"}"},
        {"strict, empty", "strict=1", JSON, "", 0, 400,
         "{\"code\":400,\"error\":\"data, missing or empty\",\"failed_records\":[],\"num_records_imported\":0,"
         "\"status\":\"Bad Request\"}"},
        {"Go", "strict=0&verbose=1", JSON, "[" GOOD "]", 1, 200, OK_VERBOSE("1")},
        {"mixpanel-import's probe", "ip=0&verbose=1&strict=0", JSON, "[{}]", 0, 200, BAD_VERBOSE("0")},
        {"not strict, a bad one", "strict=0&verbose=1", JSON, "[" GOOD "," TIMELESS "]", 1, 200, BAD_VERBOSE("1")},
        {"not strict, malformed", "strict=0&verbose=1", JSON, "[{", 0, 200,
         "{\"code\":200,\"error\":\"data, malformed\",\"num_records_imported\":0,\"status\":0}"},
        {"Java", "strict=0", JSON, "[" GOOD "," GOOD "]", 2, 200, OK("2")},
        {"Java, a bad one", "strict=0", JSON, "[" GOOD "," TIMELESS "]", 1, 200, "0"},
        {"Java, malformed", "strict=0", JSON, "[{", 0, 200, "0"},
        {"Node", "ip=0&verbose=0&project_id=1", FORM, "data=" GOOD_BASE, 1, 200, "1"},
        {"Node, verbose", "ip=0&verbose=1", FORM, "data=" GOOD_BASE, 1, 200, "{\"error\":null,\"status\":1}"},
        {"Python", "", FORM, "data=[" GOOD "," TIMELESS "]&verbose=1&ip=0&api_key=ignored", 1, 200,
         "{\"error\":\"" NO_TIME "\",\"status\":0}"},
        {"a form, a bad one", "", FORM, "data=[" GOOD "," TIMELESS "]", 1, 200, "0"},
        {"a form, not strict", "strict=0", FORM, "data=" GOOD_BASE, 1, 200, "1"},
        {"a form, strict", "strict=1", FORM, "data=" GOOD_BASE, 1, 200, OK("1")},
        {"a form, strict inside", "", FORM, "strict=1&data=" TIMELESS, 0, 400,
         BAD(RECORD("0", "i-2", "properties.time", NO_TIME), "0")},
        {"a form, empty", "verbose=1", FORM, "data=", 0, 200, "{\"error\":\"data, missing or empty\",\"status\":0}"},
        {"ignored", "strict=1", JSON, "{\"event\":\"E\",\"properties\":{\"time\":1,\"$ignore\":1}}", 0, 200, OK("1")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].who);
        send(rows[i].query, rows[i].type, TOKEN, rows[i].body);
        fake_answered(rows[i].status, NULL, rows[i].answer);
        assert_int_equal(stored_events(1), rows[i].events);
        fake_request_fini();
    }
}

/* keolo's Ruby client knows nothing but GET; HEAD sends nothing. */
static void test_other_methods(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_GET, "data=" GOOD_BASE "&api_key=project-secret", NULL, STR(""));
    exchange();
    fake_answered(200, "text/plain", "1");
    assert_true(fake_has_header("Cache-Control: no-store\n"));
    assert_int_equal(stored_events(1), 1);
    fake_request_fini();
    fake_request(HTTP_METHOD_GET, "api_key=project-secret", NULL, STR(""));
    exchange();
    fake_answered(200, "text/plain", "0");
    fake_request_fini();
    fake_request(HTTP_METHOD_HEAD, "data=" GOOD_BASE "&api_key=project-secret", NULL, STR(""));
    exchange();
    assert_int_equal(fake.status, 200);
    assert_int_equal(fake.record_count, 0);
}

/* Identity verbs: refused as a whole batch when strict and simplified, stored everywhere else. */
static void test_verbs(void **state)
{
    (void)state;
#define VERB(name)       "{\"event\":\"" name "\",\"properties\":{\"time\":1500000000,\"$insert_id\":\"v\"}}"
#define NAMES(name, ids) "{\"event\":\"" name "\",\"properties\":{\"time\":1500000000,\"$insert_id\":\"v\"," ids "}}"
#define MISSING(field)   "'properties." field "' is invalid: must not be missing"
#define TEXT             "\"identity events are not allowed when project is using simplified identity management\""
    send("strict=1", JSON, TOKEN, "[" GOOD "," VERB("$identify") ",{}," VERB("$merge") "]");
    fake_answered(400, JSON, BAD(TEXT "," TEXT, "0"));
    assert_int_equal(fake.record_count, 0);
    fake_request_fini();
    send("strict=1", LINES, TOKEN, VERB("$create_alias") "\n" GOOD);
    fake_answered(400, JSON, BAD(TEXT, "0"));
    assert_int_equal(fake.record_count, 0);
    fake_request_fini();
    send("strict=0&verbose=1", JSON, TOKEN, "[" GOOD "," VERB("$identify") "]");
    fake_answered(200, JSON, OK_VERBOSE("2"));
    assert_int_equal(stored_events(1), 2);
    fake_request_fini();
    /* In the other modes they are events, which must name the ids that they need. */
    send("strict=1", JSON, "Basic bzo=", /* o: */
         "[" VERB("$identify") "," VERB("$merge") "," VERB("$create_alias") "]");
    fake_answered(
        400, JSON,
        BAD(RECORD("0", "v", "properties.$identified_id", MISSING("$identified_id")) "," RECORD(
                "1", "v", "properties.$distinct_ids",
                "'properties.$distinct_ids' is invalid: must be a list of two ids") "," RECORD("2", "v",
                                                                                               "properties.distinct_id",
                                                                                               MISSING("distinct_id")),
            "0"));
    assert_int_equal(fake.record_count, 0);
    fake_request_fini();
    send("strict=1", JSON, "Basic bzo=",
         "[" NAMES("$identify", "\"$identified_id\":\"U\",\"$anon_id\":\"a-b\"") "," NAMES(
             "$merge", "\"$distinct_ids\":[\"U\",\"V\"]") "," NAMES("$create_alias",
                                                                    "\"distinct_id\":\"U\",\"alias\":\"W\"") "]");
    fake_answered(200, JSON, OK("3"));
    assert_int_equal(stored_events(3), 3);
    fake_request_fini();
    /* A merge of three is refused in any case. */
    send("strict=0&verbose=1", JSON,
         "Basic bzo=", "[" NAMES("$merge", "\"$distinct_ids\":[\"U\",\"V\",\"W\"]") "," GOOD "]");
    fake_answered(200, JSON, BAD_VERBOSE("1"));
    assert_int_equal(stored_events(3), 1);
}

/* How mixpanel-import finds out the identity mode of a project. */
static void test_probe_of_the_identity_mode(void **state)
{
    (void)state;
    const char *probe = "[{\"event\":\"test\",\"properties\":{\"time\":1650000000000,\"$device_id\":\"knock\","
                        "\"$user_id\":\"knock\",\"$insert_id\":\"whose\",\"there\":\"...\"}}]";
    send("strict=1", JSON, TOKEN, probe);
    fake_answered(200, JSON, OK("1"));
    fake_request_fini();
    send("strict=1", JSON, "Basic bzo=", probe);
    fake_answered(
        400, JSON,
        BAD(RECORD("0", "whose", "properties.distinct_id", "'properties.distinct_id' is invalid: must not be missing"),
            "0"));
}

static void test_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *query, *authorization;
        uint64_t project;
    } good[] = {
        {"", TOKEN, 1},
        {"", "Basic dA==", 1},                             /* t */
        {"", "Basic dDI6aWdub3JlZA==", 2},                 /* t2:ignored */
        {"", "Basic cHJvamVjdC1zZWNyZXQ6", 1},             /* project-secret: */
        {"", "Basic cHJvamVjdC1zZWNyZXQ=", 1},             /* project-secret */
        {"", "Basic project-secret:", 1},                  /* as it is */
        {"project_id=1", "Basic cHJvamVjdC1zZWNyZXQ6", 1}, /* its own project */
        {"project_id=1", "Basic YW5uOnJpZ2h0", 1},         /* ann:right */
        {"project_id=1", "Basic ann:right", 1},
        {"", "Bearer project-secret", 1},
        {"project_id=1", "Bearer ann:right", 1},
        {"api_key=project-secret", NULL, 1},
        {"api_key=t2", NULL, 2},
        {"api_key=nobody", TOKEN, 1}, /* the field decides */
    };
    static const struct {
        const char *query, *authorization;
        int status;
        const char *reason;
    } bad[] = {
        {"", NULL, 401, "Unauthorized, no credentials in the request"},
        {"", "Basic", 401, "Authorization scheme not supported"},
        {"", "Basic Og==", 401, "Unauthorized, no credentials in the request"}, /* : */
        {"", "Basic ***", 401, "Authorization is not base64"},
        {"", "Digest x", 401, "Authorization scheme not supported"},
        {"project_id=2", TOKEN, 401, "Credentials in request did not match project_id URL parameter"},
        {"project_id=x", TOKEN, 400, "project_id must be a number"},
        {"project_id=-1", TOKEN, 400, "project_id must be a number"},
        {"", "Basic YW5uOnJpZ2h0", 400, "project_id is missing"},
        {"project_id=2", "Basic YW5uOnJpZ2h0", 401, "not a project member"},
        {"project_id=1", "Basic bob:right", 401, "the role analyst may not import data"},
    };
    accounts_cached = true;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        send(good[i].query, JSON, good[i].authorization, GOOD);
        fake_answered(200, JSON, OK("1"));
        assert_int_equal(stored_events(good[i].project), 1);
        fake_request_fini();
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        send(bad[i].query, JSON, bad[i].authorization, GOOD);
        fake_answered(bad[i].status, JSON, bad[i].reason);
        assert_int_equal(fake.record_count, 0);
        assert_int_equal(fake_has_header("WWW-Authenticate: Basic"), bad[i].status == 401);
        fake_request_fini();
    }
}

/* Credentials that are not known at once go to a worker; what is said of those that are nobody's. */
static void test_verified_by_worker(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_POST, "project_id=1", JSON, STR(GOOD));
    fake_field("Authorization", "Basic ann:right");
    api_import(&fake.request);
    assert_int_equal(fake.answers, 0);
    assert_int_equal(view_references, 1);
    work(work_arg);
    assert_int_equal(view_references, 0);
    assert_int_equal(fake.record_count, 0);
    fake_loop();
    fake_stored(0, STATUS_OK);
    fake_loop();
    fake_answered(200, JSON, OK("1"));
    fake_request_fini();

    static const struct {
        const char *authorization, *reason;
    } rows[] = {
        {"Basic ann.12ab34.cairn-service-account:wrong", "Invalid service account credentials"},
        {"Basic bot.12ab34.mp-service-account:wrong", "Invalid service account credentials"},
        {"Basic ann:wrong", "Not a valid service account username"},
        {"Basic carl:right", "Not a valid service account username"},
        {"Basic nobody:", "Unauthorized, invalid project secret. See docs for more information: "
                          "https://developer.mixpanel.com/reference/authentication#project-secret"},
        {"Basic 0123456789abcdef0123456789abcdef:0123456789abcdef0123456789abcdef",
         "Unauthorized, invalid project secret. See docs for more information: "
         "https://developer.mixpanel.com/reference/authentication#project-secret"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fake_request(HTTP_METHOD_POST, "project_id=1", JSON, STR(GOOD));
        fake_field("Authorization", rows[i].authorization);
        api_import(&fake.request);
        work(work_arg);
        fake_loop();
        fake_answered(401, JSON, rows[i].reason);
        assert_int_equal(fake.record_count, 0);
        fake_request_fini();
    }
    workers_busy = true;
    fake_request(HTTP_METHOD_POST, "project_id=1", JSON, STR(GOOD));
    fake_field("Authorization", "Basic ann:right");
    api_import(&fake.request);
    fake_answered(503, JSON, "too many credentials to verify");
    assert_true(fake_has_header("Retry-After: 5\n"));
}

/* The answer waits for the disk; when it refuses, the batch is to be sent again, in every mode. */
static void test_disk(void **state)
{
    (void)state;
    fake_request(HTTP_METHOD_POST, "strict=1", JSON, STR("[" GOOD ",{}]"));
    fake_field("Authorization", TOKEN);
    api_import(&fake.request);
    assert_int_equal(fake.record_count, 1);
    assert_int_equal(fake.answers, 0);
    fake_stored(0, STATUS_UNAVAILABLE);
    assert_int_equal(fake.answers, 0);
    fake_loop();
    fake_answered(503, JSON, "events cannot be stored at the moment");
    assert_true(fake_has_header("Retry-After: 5\n"));
    fake_request_fini();

    fake_request(HTTP_METHOD_POST, "", FORM, STR("data=" GOOD_BASE));
    fake_field("Authorization", TOKEN);
    fake.refuse_with = STATUS_UNAVAILABLE;
    api_import(&fake.request);
    fake_loop();
    fake_answered(503, JSON, "events cannot be stored at the moment");
}

/* 2001 events are 413 in every mode and form, and nothing is stored. */
static void test_too_large(void **state)
{
    (void)state;
    static const char *const types[] = {JSON, LINES};
    for (size_t type = 0; type < 2; type++) {
        struct buf body = BUF_INIT((size_t)1 << 20);
        const char *first = type == 0 ? "[" : "", *next = type == 0 ? "," : "\n";
        for (size_t i = 0; i < 2001; i++) buf_printf(&body, "%s%s", i ? next : first, GOOD);
        if (type == 0) buf_lit(&body, "]");
        fake_request(HTTP_METHOD_POST, "strict=0", types[type], buf_str(&body));
        fake_field("Authorization", TOKEN);
        exchange();
        fake_answered(413, NULL, "request exceeds max limit of 2000 events");
        assert_int_equal(fake.record_count, 0);
        fake_request_fini();
        buf_fini(&body);
    }
}

/* 2000 refused events are 2000 failed records, however ugly their texts are. */
static void test_all_refused(void **state)
{
    (void)state;
    struct buf body = BUF_INIT((size_t)8 << 20);
    char id[300];
    memset(id, '<', sizeof id);
    for (size_t i = 0; i < 2000; i++)
        buf_printf(&body, "{\"event\":\"E\",\"properties\":{\"time\":\"x\",\"$insert_id\":\"%.*s\"}}\n", 255, id);
    fake_request(HTTP_METHOD_POST, "strict=1", LINES, buf_str(&body));
    fake_field("Authorization", TOKEN);
    buf_fini(&fake.body);
    fake.body = BUF_INIT((size_t)64 << 20);
    exchange();
    assert_int_equal(fake.status, 400);
    struct json answer;
    struct arena *arena = arena_new((size_t)64 << 20);
    assert_int_equal(json_parse(arena, str_from(fake.body.data, fake.body.size - 1), NULL, NULL, &answer), STATUS_OK);
    assert_int_equal(json_member(&answer, "failed_records")->array.count, 2000);
    assert_int_equal(json_member(&answer, "num_records_imported")->integer, 0);
    arena_free(arena);
    buf_fini(&body);
}

/* No page of another origin reads an answer: a browser may keep the credentials. */
static void test_origin(void **state)
{
    (void)state;
    static const char *const bodies[] = {GOOD, "[{", "data=" GOOD_BASE};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        fake_request(HTTP_METHOD_POST, "", NULL, str_of(bodies[i]));
        fake_field("Authorization", TOKEN);
        fake_field("Origin", "https://shop.example");
        exchange();
        assert_false(fake_has_header("Access-Control-Allow-Origin"));
        fake_request_fini();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_other_methods, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_verbs, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_probe_of_the_identity_mode, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_credentials, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_verified_by_worker, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_disk, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_too_large, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_all_refused, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_origin, account_setup, account_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
