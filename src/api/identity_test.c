/*
 * The identity endpoints: which link each request writes, what is missing in which request, who may ask, and that
 * the answer waits for the disk.
 */
#include "api/identity.h"

#include "api/account_testing.h"

#define LINKED "{\"status\":1,\"error\":null}"
#define CREATE "{\"$identified_id\":\"U\",\"$anon_id\":\"D\"}"
#define ALIAS  "{\"alias\":\"A\",\"distinct_id\":\"U\"}"
#define MERGE  "{\"$distinct_ids\":[\"A\",\"B\"]}"
#define USERS  "identity events are not allowed when project is using simplified identity management"

/* ---- requests ---- */

static void (*const handlers[])(struct http_request *) = {
    [LINK_CREATE] = api_identity_create,
    [LINK_ALIAS] = api_identity_create_alias,
    [LINK_MERGE] = api_identity_merge,
};

/* The written link as `project operation device user`. */
static void wrote(const char *wanted)
{
    char text[200];
    struct record record;
    struct link_view link;
    assert_int_equal(fake.record_count, 1);
    struct reader reader = reader_of(buf_str(&fake.records[0]));
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    assert_int_equal(record.kind, RECORD_LINK);
    assert_int_equal(link_open(record.body, &link), STATUS_OK);
    assert_int_equal(link.mode, IDENTITY_SIMPLIFIED);
    snprintf(text, sizeof text, "%d %d " STR_FMT " " STR_FMT, (int)record.project, (int)link.operation,
             STR_ARG(link.device), STR_ARG(link.user));
    assert_string_equal(text, wanted);
}

static void request(const char *query, const char *type, const char *body)
{
    fake_request(HTTP_METHOD_POST, query, type, str_of(body));
}

/* The request is answered at once. */
static void answers(enum link_operation operation, int status, const char *body)
{
    handlers[operation](&fake.request);
    assert_int_equal(fake.record_count, 0);
    fake_answered(status, "application/json", body);
    fake_request_fini();
}

/* The request writes this link, and success is answered when it is on disk. */
static void links(enum link_operation operation, const char *wanted)
{
    handlers[operation](&fake.request);
    if (fake.answers) fail_msg("%d %s", fake.status, fake.body.data);
    wrote(wanted);
    fake_stored(0, STATUS_OK);
    assert_int_equal(fake.answers, 0);
    fake_loop();
    fake_answered(200, "application/json", LINKED);
    fake_request_fini();
}

/* Every way to say the same link. */
static void test_links(void **state)
{
    (void)state;
    static const struct {
        enum link_operation operation;
        const char *body, *link;
    } rows[] = {
        {LINK_CREATE, "{\"$identified_id\":\"U\",\"$anon_id\":\"D\",\"$token\":\"t\"}", "1 1 $device:D U"},
        {LINK_CREATE, "{\"$identified_id\":\"U\",\"$anon_id\":\"$device:D\",\"$token\":\"t\"}", "1 1 $device:D U"},
        {LINK_CREATE, "{\"$identified_id\":7,\"$anon_id\":\"D\",\"token\":\"t2\"}", "2 1 $device:D 7"},
        {LINK_CREATE, "{\"data\":{\"$identified_id\":\"U\",\"$anon_id\":\"D\",\"$token\":\"t\"}}", "1 1 $device:D U"},
        {LINK_CREATE,
         "{\"event\":\"$identify\",\"properties\":{\"$identified_id\":\"U\",\"$anon_id\":\"D\",\"token\":\"t\"}}",
         "1 1 $device:D U"},
        {LINK_ALIAS, "{\"alias\":\"U\",\"distinct_id\":\"$device:D\",\"$token\":\"t\"}", "1 2 $device:D U"},
        {LINK_ALIAS, "{\"alias\":\"$device:D\",\"distinct_id\":\"U\",\"$token\":\"t\"}", "1 2 $device:D U"},
        {LINK_MERGE, "{\"$distinct_ids\":[\"$device:D\",\"U\"],\"$token\":\"t\"}", "1 3 $device:D U"},
        {LINK_MERGE, "{\"$distinct_ids\":[\"U\",\"$device:D\"],\"$token\":\"t\"}", "1 3 $device:D U"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        request("", "application/json", rows[i].body);
        links(rows[i].operation, rows[i].link);
    }
    request("token=t", "application/json", CREATE);
    links(LINK_CREATE, "1 1 $device:D U");
    request("", "application/x-www-form-urlencoded",
            "data=%7B%22$identified_id%22:%22U%22,%22$anon_id%22:%22D%22,%22$token%22:%22t%22%7D");
    links(LINK_CREATE, "1 1 $device:D U");
}

/* Nothing to link: an alias between users is success without effect, a merge of users is status 0. */
static void test_nothing_to_link(void **state)
{
    (void)state;
    request("token=t", NULL, "{\"alias\":\"A\",\"distinct_id\":\"U\"}");
    answers(LINK_ALIAS, 200, LINKED);
    request("token=t", NULL, "{\"alias\":\"$device:A\",\"distinct_id\":\"$device:U\"}");
    answers(LINK_ALIAS, 200, LINKED);
    request("token=t", NULL, "{\"$distinct_ids\":[\"A\",\"B\"]}");
    answers(LINK_MERGE, 200, "{\"status\":0,\"error\":\"" USERS "\"}");
    request("token=t", NULL, "{\"$distinct_ids\":[\"$device:A\",\"$device:B\"]}");
    answers(LINK_MERGE, 200, "{\"status\":0,\"error\":\"" USERS "\"}");
}

/* 400 names the field. */
static void test_missing_fields(void **state)
{
    (void)state;
    static const struct {
        enum link_operation operation;
        const char *body, *reason;
    } rows[] = {
        {LINK_CREATE, "{\"$anon_id\":\"D\"}", "$identified_id, missing or empty"},
        {LINK_CREATE, "{\"$identified_id\":\"\",\"$anon_id\":\"D\"}", "$identified_id, missing or empty"},
        {LINK_CREATE, "{\"$identified_id\":\"null\",\"$anon_id\":\"D\"}", "$identified_id, missing or empty"},
        {LINK_CREATE, "{\"$identified_id\":\"U\"}", "$anon_id, missing or empty"},
        {LINK_CREATE, "{\"$identified_id\":\"U\",\"$anon_id\":null}", "$anon_id, missing or empty"},
        {LINK_CREATE, "{\"$identified_id\":\"U\",\"$anon_id\":\"$device:\"}", "$anon_id, missing or empty"},
        {LINK_CREATE, "{\"$identified_id\":\"U\",\"$anon_id\":\"$device:null\"}", "$anon_id, missing or empty"},
        {LINK_CREATE, "{\"$identified_id\":\"$device:U\",\"$anon_id\":\"D\"}",
         "$identified_id must not be a device id"},
        {LINK_ALIAS, "{\"distinct_id\":\"U\"}", "alias, missing or empty"},
        {LINK_ALIAS, "{\"alias\":\"U\"}", "distinct_id, missing or empty"},
        {LINK_MERGE, "{}", "$distinct_ids, missing or empty"},
        {LINK_MERGE, "{\"$distinct_ids\":\"U\"}", "$distinct_ids must be a list of two ids"},
        {LINK_MERGE, "{\"$distinct_ids\":[\"U\"]}", "$distinct_ids must be a list of two ids"},
        {LINK_MERGE, "{\"$distinct_ids\":[\"U\",\"V\",\"W\"]}", "$distinct_ids must be a list of two ids"},
        {LINK_MERGE, "{\"$distinct_ids\":[\"U\",\"\"]}", "$distinct_ids must be a list of two ids"},
        {LINK_CREATE, "", "data, missing or empty"},
        {LINK_CREATE, "{", "data, malformed"},
        {LINK_CREATE, "[{}]", "data, malformed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char body[300];
        snprintf(body, sizeof body, "{\"status\":0,\"error\":\"%s\"}", rows[i].reason);
        request("token=t", "application/json", rows[i].body);
        answers(rows[i].operation, 400, body);
    }
}

/* What is stored: the event's name, its id, the id that it links, and its properties. */
static void wrote_event(const char *wanted)
{
    struct record record;
    struct batch_reader batch;
    struct event_view event;
    struct buf text = BUF_INIT(4096);
    uint32_t name;
    struct value value;
    assert_int_equal(fake.record_count, 1);
    struct reader reader = reader_of(buf_str(&fake.records[0]));
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    assert_int_equal(batch_open(fake.request.arena, record.body, &batch), STATUS_OK);
    if (batch.mode == IDENTITY_ORIGINAL) assert_int_equal(batch.cluster_max, fake_limits.cluster_ids_max);
    assert_true(batch_next(&batch, &event));
    buf_printf(&text, "%d %d " STR_FMT " " STR_FMT " " STR_FMT, (int)record.project, batch.mode,
               STR_ARG(batch.names[event.name]), STR_ARG(event.id), STR_ARG(event.device));
    struct reader properties = reader_of(event.properties);
    while (event_property_next(&properties, &name, &value)) {
        buf_printf(&text, " " STR_FMT "=", STR_ARG(batch.names[name]));
        value_write_json(&text, value);
    }
    buf_byte(&text, 0);
    assert_string_equal(text.data, wanted);
    buf_fini(&text);
}

/* In the other modes the request is an event, with what the event would say. */
static void test_other_modes(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        enum link_operation operation;
        const char *body, *event;
    } rows[] = {
        {"token=o", LINK_CREATE, CREATE, "3 1 $identify U D $identified_id=\"U\" $anon_id=\"D\""},
        {"token=l", LINK_CREATE, CREATE, "4 2 $identify U  $identified_id=\"U\" $anon_id=\"D\""},
        {"token=o", LINK_ALIAS, ALIAS, "3 1 $create_alias U A alias=\"A\""},
        {"token=l", LINK_ALIAS, ALIAS, "4 2 $create_alias U A alias=\"A\""},
        {"token=o", LINK_MERGE, MERGE, "3 1 $merge A B $distinct_ids=[\"A\",\"B\"]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        request(rows[i].query, NULL, rows[i].body);
        handlers[rows[i].operation](&fake.request);
        if (fake.answers) fail_msg("%d %s", fake.status, fake.body.data);
        wrote_event(rows[i].event);
        fake_stored(0, STATUS_OK);
        assert_int_equal(fake.answers, 0);
        fake_loop();
        fake_answered(200, "application/json", LINKED);
        fake_request_fini();
    }
    request("token=l", NULL, MERGE);
    answers(LINK_MERGE, 200,
            "{\"status\":0,\"error\":\"$merge is not available in a project of the legacy identity mode\"}");
    request("token=o", NULL, "{\"$distinct_ids\":[\"A\",\"B\",\"C\"]}");
    answers(LINK_MERGE, 400, "{\"status\":0,\"error\":\"$distinct_ids must be a list of two ids\"}");
    request("token=l", NULL, "{\"$distinct_ids\":[\"A\"]}");
    answers(LINK_MERGE, 400, "{\"status\":0,\"error\":\"$distinct_ids must be a list of two ids\"}");
}

/* Token, project secret and cached account are known at once; a colon may be missing; anything else is 401. */
static void test_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *query, *authorization, *link;
    } good[] = {
        {"", "Basic dDo=", "1 1 $device:D U"},                             /* t: */
        {"", "basic dA==", "1 1 $device:D U"},                             /* t */
        {"", "Basic dDI6aWdub3JlZA==", "2 1 $device:D U"},                 /* t2:ignored */
        {"", "Basic cHJvamVjdC1zZWNyZXQ6", "1 1 $device:D U"},             /* project-secret: */
        {"project_id=1", "Basic cHJvamVjdC1zZWNyZXQ6", "1 1 $device:D U"}, /* its own project */
        {"project_id=1", "Basic YW5uOnJpZ2h0", "1 1 $device:D U"},         /* ann:right */
        {"token=t2", "Basic YW5uOndyb25n", "2 1 $device:D U"},             /* the token decides */
    };
    accounts_cached = true;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        request(good[i].query, NULL, CREATE);
        fake_field("Authorization", good[i].authorization);
        links(LINK_CREATE, good[i].link);
    }
    static const struct {
        const char *query, *authorization;
        int status;
        const char *reason;
    } bad[] = {
        {"", NULL, 401, "$token, missing or empty, and no credentials"},
        {"token=nobody", NULL, 401, "unknown project token"},
        {"token=nobody", "Basic dDo=", 401, "unknown project token"},
        {"", "Bearer dDo=", 401, "$token, missing or empty, and no credentials"},
        {"", "Basic", 401, "$token, missing or empty, and no credentials"},
        {"", "Basic ***", 401, "$token, missing or empty, and no credentials"},
        {"project_id=2", "Basic dDo=", 401, "Credentials in request did not match project_id URL parameter"},
        {"project_id=x", "Basic dDo=", 400, "project_id must be a number"},
        {"", "Basic YW5uOnJpZ2h0", 400, "project_id, missing or empty"},
        {"project_id=2", "Basic YW5uOnJpZ2h0", 401, "not a project member"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char body[200];
        snprintf(body, sizeof body, "{\"status\":0,\"error\":\"%s\"}", bad[i].reason);
        request(bad[i].query, NULL, CREATE);
        if (bad[i].authorization) fake_field("Authorization", bad[i].authorization);
        answers(LINK_CREATE, bad[i].status, body);
    }
}

/* An account that was not verified before is verified on a worker thread, and then the request goes on. */
static void test_account_verified_by_worker(void **state)
{
    (void)state;
    request("", NULL, "{\"$identified_id\":\"U\",\"$anon_id\":\"D\",\"project_id\":1}");
    fake_field("Authorization", "Basic YW5uOnJpZ2h0");
    api_identity_create(&fake.request);
    assert_int_equal(fake.answers, 0);
    assert_int_equal(view_references, 1);
    work(work_arg);
    assert_int_equal(view_references, 0);
    assert_int_equal(fake.record_count, 0);
    fake_loop();
    wrote("1 1 $device:D U");
    fake_stored(0, STATUS_OK);
    fake_loop();
    fake_answered(200, NULL, LINKED);
    fake_request_fini();

    request("project_id=1", NULL, CREATE);
    fake_field("Authorization", "Basic YW5uOndyb25n"); /* ann:wrong */
    api_identity_create(&fake.request);
    work(work_arg);
    fake_loop();
    fake_answered(401, NULL, "{\"status\":0,\"error\":\"Invalid service account credentials\"}");
    fake_request_fini();

    workers_busy = true;
    request("project_id=1", NULL, CREATE);
    fake_field("Authorization", "Basic YW5uOnJpZ2h0");
    api_identity_create(&fake.request);
    assert_true(fake.answers == 1 && fake_has_header("Retry-After: "));
    assert_int_equal(fake.status, 503);
}

/* A link that does not reach the disk is 503, later or at once. */
static void test_disk_refuses(void **state)
{
    (void)state;
    request("token=t", NULL, CREATE);
    api_identity_create(&fake.request);
    fake_stored(0, STATUS_UNAVAILABLE);
    fake_loop();
    fake_answered(503, NULL, "{\"status\":0,\"error\":\"the link cannot be stored at the moment\"}");
    assert_true(fake_has_header("Retry-After: 5\n"));
    fake_request_fini();

    request("token=t", NULL, CREATE);
    fake.refuse_with = STATUS_UNAVAILABLE;
    api_identity_create(&fake.request);
    fake_loop();
    assert_int_equal(fake.status, 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_links, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_nothing_to_link, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_missing_fields, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_other_modes, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_credentials, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_account_verified_by_worker, account_setup, account_teardown),
        cmocka_unit_test_setup_teardown(test_disk_refuses, account_setup, account_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
