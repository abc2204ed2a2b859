/* Whole runs over a transport in memory: what is sent for documents like the ones the runner exists for, what
 * comes out, and that every kind of bad input stops the run before the first request. */
#include "workflow/runner.h"

#include "workflow/runner_documents_test.h"

/* The first shape: bare operationIds in two sources, values with their types, keys with $, an optional input
 * that is left out, server variables, credentials by scheme, outputs (SRC-2, SRC-4, OP-2, EX-2, BODY-3,
 * PAR-6, PAR-7, PAR-8). */
static void test_track_and_segment(void **unused)
{
    (void)unused;
    struct fixture f;
    fixture_init(&f, files, good_answers, 2);
    const struct workflow_options options = {.inputs = good_inputs, .input_count = 3, .auths = basic, .auth_count = 1};
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.status, STATUS_OK);
    if (f.result.verdict != WORKFLOW_PASSED) fail_msg("%s%s", f.problem_text.data, f.report.data);
    assert_int_equal(f.sent_count, 2);
    assert_string_equal(f.sent[0], "POST https://api.test/track?token=abcdef123456&verbose=1\n"
                                   "Content-Type: application/json\n\n"
                                   "{\"data\":{\"event\":\"Sign up & =?\",\"properties\":{\"token\":\"abcdef123456\","
                                   "\"$price\":\"$5\"}}}");
    assert_string_equal(
        f.sent[1], "GET https://eu.test/api/2.0/segmentation?project_id=42&event=Sign%20up%20%26%20%3D%3F&unit=day\n"
                   "Authorization: Basic dXNlcjpzM2NyZXQ6eA==\n");
    assert_int_equal(f.timeouts_ms[0], WORKFLOW_REQUEST_TIMEOUT_MS_DEFAULT);
    assert_result(&f, "/status", "\"passed\"");
    assert_result(&f, "/outputs/ingestStatus", "1");
    assert_result(&f, "/outputs/series", "[\"2024-01-01\"]");
    assert_result(&f, "/outputs/values", "{\"Sign up\":{\"2024-01-01\":3}}");
    assert_result(&f, "/inputs/projectId", "42");
    assert_result(&f, "/inputs/unit", "\"day\"");
    assert_result(&f, "/steps/0/stepId", "\"trackEvent\"");
    assert_result(&f, "/steps/0/operation", "\"trackEvent\"");
    assert_result(&f, "/steps/0/status", "200");
    assert_result(&f, "/steps/0/time_ms", "12.345");
    assert_result(&f, "/steps/0/criteria", "[{\"condition\":\"$statusCode == 200\",\"passed\":true}]");
    assert_result(&f, "/steps/0/outputs", "{\"ingestStatus\":1}");
    assert_result(&f, "/errors", "[]");
    assert_result(&f, "/warnings/1", "(nothing)");
    assert_contains(f.problem_text.data,
                    "arazzo/w.yml:20:18: warning: operationId \"trackEvent\" does not say which of the 2");
    assert_contains(f.report.data, "track-and-segment: Track, then segment.\n");
    assert_contains(f.report.data, "✓ trackEvent  POST https://api.test/track?token=***&verbose=1  200  12 ms\n");
    assert_contains(f.report.data, "✓ track-and-segment passed\n  ingestStatus: 1\n  series: [\"2024-01-01\"]\n");
    fixture_fini(&f);
}

/* ERR-5: what is shown has neither the credential nor the API key, wherever they occur. */
static void test_secrets_are_masked(void **unused)
{
    (void)unused;
    static const struct answer echo[] = {
        {200, "application/json", "{\"status\":\"got abcdef123456\"}", STATUS_OK, NULL},
        {401, "text/plain", "bad s3cret:x", STATUS_OK, NULL}};
    struct fixture f;
    fixture_init(&f, files, echo, 2);
    const struct workflow_options options = {.inputs = good_inputs, .input_count = 3, .auths = basic, .auth_count = 1};
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.result.verdict, WORKFLOW_FAILED);
    assert_result(&f, "/steps/0/request/url", "\"https://api.test/track?token=***&verbose=1\"");
    assert_result(&f, "/steps/0/request/body/data/properties/token", "\"***\"");
    assert_result(&f, "/steps/0/outputs/ingestStatus", "\"got ***\"");
    assert_result(&f, "/steps/1/request/headers", "{\"Authorization\":\"***\"}");
    assert_result(&f, "/inputs/projectToken", "\"***\"");
    struct buf all = BUF_INIT((size_t)1 << 20);
    json_write(&all, &f.result.json);
    buf_byte(&all, 0);
    assert_lacks(all.data, "abcdef123456");
    assert_lacks(all.data, "s3cret");
    assert_lacks(f.report.data, "abcdef123456");
    assert_lacks(f.report.data, "s3cret");
    buf_fini(&all);
    fixture_fini(&f);
}

/* An input with `format: password` is masked, also where it is short and where it is wrong. */
static void test_password_input(void **unused)
{
    (void)unused;
    static const char document[] =
        HEAD "workflows:\n- workflowId: w\n"
             "  inputs: {type: object, properties: {pin: {type: string, format: password, maxLength: 4}}}\n"
             "  steps:\n  - stepId: a\n    operationId: trackEvent\n"
             "    requestBody: {payload: {pin: $inputs.pin, text: 'pin {$inputs.pin}'}}\n"
             "  outputs: {pin: $inputs.pin}\n";
    static const struct workflow_input input[] = {{STR("pin"), STR("1234")}};
    struct fixture f;
    fixture_init(&f, files, good_answers, 1);
    const struct workflow_options options = {.inputs = input, .input_count = 1};
    fixture_run(&f, document, &options);
    if (f.result.verdict != WORKFLOW_PASSED) fail_msg("%s%s", f.problem_text.data, f.report.data);
    assert_contains(f.sent[0], "{\"pin\":\"1234\",\"text\":\"pin 1234\"}");
    assert_result(&f, "/inputs", "{\"pin\":\"***\"}");
    assert_result(&f, "/outputs", "{\"pin\":\"***\"}");
    assert_result(&f, "/steps/0/request/body", "{\"pin\":\"***\",\"text\":\"pin ***\"}");
    /* The API key that the operation asks for was not given: said, and sent without. */
    assert_contains(f.problem_text.data, "no credential for \"projectToken\", sending without");
    fixture_fini(&f);

    static const struct workflow_input wrong[] = {{STR("pin"), STR("123456789")}};
    fixture_init(&f, files, good_answers, 1);
    const struct workflow_options wrong_options = {.inputs = wrong, .input_count = 1};
    fixture_run(&f, document, &wrong_options);
    assert_int_equal(f.result.verdict, WORKFLOW_INVALID);
    assert_lacks(f.problem_text.data, "123456789");
    fixture_fini(&f);
}

/* The second shape: three sources, $-keys with expressions, --server overrides (SRC-5), a scheme inherited
 * from the root. */
static void test_identity(void **unused)
{
    (void)unused;
    static const char document[] =
        "arazzo: 1.0.0\n"
        "info: {title: T, version: 1.0.0}\n"
        "sourceDescriptions:\n"
        "- {name: identityApi, url: ../openapi/identity.yml, type: openapi}\n"
        "- {name: ingestionApi, url: ../openapi/ingestion.yml, type: openapi}\n"
        "- {name: queryApi, url: ../openapi/query.yml}\n"
        "workflows:\n"
        "- workflowId: identity-resolve-and-track\n"
        "  inputs:\n"
        "    type: object\n"
        "    required: [token, user, anon]\n"
        "    properties: {token: {type: string}, user: {type: string}, anon: {type: string}}\n"
        "  steps:\n"
        "  - stepId: createIdentity\n"
        "    operationId: $sourceDescriptions.identityApi.createIdentity\n"
        "    requestBody:\n"
        "      payload: {$identified_id: $inputs.user, $anon_id: $inputs.anon, $token: $inputs.token}\n"
        "    successCriteria:\n"
        "    - condition: $statusCode == 200 && $response.body#/status == 'OK'\n"
        "    outputs: {identityStatus: $response.body#/status, request: $response.header.x-request-id}\n"
        "  - stepId: trackForUser\n"
        "    operationPath: '{$sourceDescriptions.ingestionApi.url}#/paths/~1track/post'\n"
        "    parameters:\n"
        "    - {name: token, in: query, value: $inputs.token}\n"
        "    - {name: X-After, in: header, value: $steps.createIdentity.outputs.request}\n"
        "    requestBody: {payload: {event: 'by {$inputs.user}'}}\n"
        "  outputs:\n"
        "    identityStatus: $steps.createIdentity.outputs.identityStatus\n";
    static const struct answer answers[] = {{200, "application/json", "{\"status\":\"ok\"}", STATUS_OK, NULL},
                                            {200, "text/plain", "1", STATUS_OK, NULL}};
    static const struct workflow_input inputs[] = {
        {STR("token"), STR("42")}, {STR("user"), STR("a=b=c")}, {STR("anon"), STR("true")}};
    static const struct workflow_server servers[] = {{STR("identityApi"), STR("http://127.0.0.1:8080/base/")},
                                                     {STR("ingestionApi"), STR("http://127.0.0.1:8080")}};
    struct fixture f;
    fixture_init(&f, files, answers, 2);
    const struct workflow_options options = {.inputs = inputs, .input_count = 3, .servers = servers, .server_count = 2};
    fixture_run(&f, document, &options);
    if (f.result.verdict != WORKFLOW_PASSED) fail_msg("%s%s", f.problem_text.data, f.report.data);
    assert_string_equal(f.sent[0], "POST http://127.0.0.1:8080/base/identity/create\nContent-Type: application/json\n\n"
                                   "{\"$identified_id\":\"a=b=c\",\"$anon_id\":\"true\",\"$token\":\"42\"}");
    assert_string_equal(f.sent[1], "POST http://127.0.0.1:8080/track?token=42\nX-After: r-1\n"
                                   "Content-Type: application/json\n\n{\"event\":\"by a=b=c\"}");
    assert_result(&f, "/outputs", "{\"identityStatus\":\"ok\"}");
    assert_result(&f, "/steps/1/criteria", "[{\"condition\":\"$statusCode is 2xx\",\"passed\":true}]");
    /* The key of the second step is masked in the first already. */
    assert_result(&f, "/steps/0/request/body/$token", "\"***\"");
    /* basicAuth by inheritance, no credential: a warning, and the request goes out without (1.12). */
    assert_contains(f.problem_text.data, "step \"createIdentity\": no credential for \"basicAuth\", sending without");
    fixture_fini(&f);
}

/* CR: a condition that does not hold fails the step, names the values, and stops the run. */
static void test_failing_criterion(void **unused)
{
    (void)unused;
    static const struct answer answers[] = {
        {400, "application/json", "{\"status\":0,\"error\":\"bad token\"}", STATUS_OK, NULL}};
    struct fixture f;
    fixture_init(&f, files, answers, 1);
    const struct workflow_options options = {.inputs = good_inputs, .input_count = 3};
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.result.verdict, WORKFLOW_FAILED);
    assert_int_equal(f.sent_count, 1);
    assert_result(&f, "/steps/0/passed", "false");
    assert_result(&f, "/steps/0/criteria/0/message", "\"$statusCode was 400\"");
    assert_result(&f, "/error",
                  "\"step \\\"trackEvent\\\": the condition $statusCode == 200 does not hold ($statusCode was 400)\"");
    assert_result(&f, "/outputs", "{\"ingestStatus\":null,\"series\":null,\"values\":null}");
    assert_contains(f.report.data, "✗ trackEvent");
    assert_contains(f.report.data, "✗ $statusCode == 200  ($statusCode was 400)\n");
    assert_contains(f.report.data, "✗ track-and-segment failed at step \"trackEvent\"");
    fixture_fini(&f);
}

/* ERR-1: no connection is a failed step. The total time limit cuts the request's, and then ends the run. */
static void test_network_failures(void **unused)
{
    (void)unused;
    static const struct answer none[] = {{0, NULL, NULL, STATUS_UNAVAILABLE, NULL}};
    struct fixture f;
    fixture_init(&f, files, none, 1);
    const struct workflow_options options = {.inputs = good_inputs, .input_count = 3};
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.result.verdict, WORKFLOW_FAILED);
    assert_result(&f, "/error", "\"step \\\"trackEvent\\\": cannot connect to api.test:443\"");
    assert_result(&f, "/steps/0/status", "(nothing)");
    assert_contains(f.report.data, "      cannot connect to api.test:443\n");
    fixture_fini(&f);

    fixture_init(&f, files, good_answers, 2);
    f.step_ms = 700;
    const struct workflow_options hurried = {
        .inputs = good_inputs, .input_count = 3, .request_timeout_ms = 900, .total_timeout_ms = 1000};
    fixture_run(&f, track_and_segment, &hurried);
    assert_int_equal(f.result.verdict, WORKFLOW_PASSED);
    assert_int_equal(f.timeouts_ms[0], 900);
    assert_int_equal(f.timeouts_ms[1], 300);
    fixture_fini(&f);

    fixture_init(&f, files, good_answers, 2);
    f.step_ms = 1000;
    fixture_run(&f, track_and_segment, &hurried);
    assert_int_equal(f.result.verdict, WORKFLOW_FAILED);
    assert_int_equal(f.sent_count, 1);
    assert_result(&f, "/error", "\"step \\\"segmentEvent\\\": the run's total time of 1000 ms is used up\"");
    fixture_fini(&f);

    fixture_init(&f, files, good_answers, 2);
    const struct workflow_options small = {.inputs = good_inputs, .input_count = 3, .body_size_max = 5};
    fixture_run(&f, track_and_segment, &small);
    assert_result(&f, "/error", "\"step \\\"trackEvent\\\": the response is larger than 5 bytes\"");
    fixture_fini(&f);
}

/* EX-4, EX-9: a pointer without a match is null with a warning; text that claims to be JSON fails only under
 * a pointer. */
static void test_bodies_that_disappoint(void **unused)
{
    (void)unused;
    static const struct answer plain[] = {{200, "text/plain", "1", STATUS_OK, NULL},
                                          {200, "application/json", "{}", STATUS_OK, NULL}};
    struct fixture f;
    fixture_init(&f, files, plain, 2);
    const struct workflow_options options = {.inputs = good_inputs, .input_count = 3};
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.result.verdict, WORKFLOW_PASSED);
    assert_result(&f, "/outputs/ingestStatus", "null");
    assert_contains(f.report.data, "warning: step \"trackEvent\": output \"ingestStatus\" has no value");
    fixture_fini(&f);

    static const struct answer broken[] = {{200, "application/json", "{oops", STATUS_OK, NULL}};
    fixture_init(&f, files, broken, 1);
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.result.verdict, WORKFLOW_FAILED);
    assert_result(&f, "/steps/0/error",
                  "\"output \\\"ingestStatus\\\": the response body is not the JSON that its content type promises\"");
    fixture_fini(&f);
}

/* WF-8: several workflows run in order, each with the inputs it declares; the first failure ends the run. */
static void test_several_workflows(void **unused)
{
    (void)unused;
    static const char document[] =
        HEAD "workflows:\n"
             "- workflowId: one\n"
             "  inputs: {type: object, properties: {a: {type: integer}}}\n"
             "  steps:\n  - {stepId: s, operationId: trackEvent, requestBody: {payload: $inputs.a}}\n"
             "- workflowId: two\n"
             "  inputs: {type: object, properties: {b: {type: string}}}\n"
             "  steps:\n  - {stepId: s, operationId: trackEvent, requestBody: {contentType: text/plain, "
             "payload: '{$inputs.b}!'}}\n"
             "- workflowId: three\n"
             "  steps:\n  - {stepId: s, operationId: trackEvent}\n";
    static const struct answer answers[] = {{200, "text/plain", "1", STATUS_OK, NULL},
                                            {500, "text/plain", "0", STATUS_OK, NULL}};
    static const struct workflow_input inputs[] = {{STR("a"), STR("5")}, {STR("b"), STR("x")}};
    struct fixture f;
    fixture_init(&f, files, answers, 2);
    const struct workflow_options options = {.inputs = inputs, .input_count = 2};
    fixture_run(&f, document, &options);
    assert_int_equal(f.result.verdict, WORKFLOW_FAILED);
    assert_int_equal(f.sent_count, 2);
    assert_string_equal(f.sent[0], "POST https://api.test/track\nContent-Type: application/json\n\n5");
    assert_string_equal(f.sent[1], "POST https://api.test/track\nContent-Type: text/plain\n\nx!");
    assert_result(&f, "/status", "\"failed\"");
    assert_result(&f, "/workflows/0/status", "\"passed\"");
    assert_result(&f, "/workflows/0/inputs", "{\"a\":5}");
    assert_result(&f, "/workflows/1/error", "\"step \\\"s\\\": the response has status 500, expected 2xx\"");
    assert_result(&f, "/workflows/2", "(nothing)");
    fixture_fini(&f);

    fixture_init(&f, files, answers, 1);
    const struct workflow_options third = {.workflow_id = STR("three")};
    fixture_run(&f, document, &third);
    assert_int_equal(f.result.verdict, WORKFLOW_PASSED);
    assert_result(&f, "/workflowId", "\"three\"");
    assert_string_equal(f.sent[0], "POST https://api.test/track\n");
    fixture_fini(&f);
}

/* A run that does not fit its arena ends with LIMIT, not with a verdict or a crash, wherever memory runs out.
 */
static void test_memory_budget(void **unused)
{
    (void)unused;
    bool finished = false;
    for (size_t budget = 4096; budget < ((size_t)1 << 20); budget += budget / 6) {
        struct fixture f;
        fixture_init(&f, files, good_answers, 2);
        struct arena *small = arena_new(budget);
        struct workflow_document *document;
        struct workflow_problems problems;
        workflow_problems_init(&problems, small);
        const struct workflow_options options = {
            .inputs = good_inputs,
            .input_count = 3,
            .auths = basic,
            .auth_count = 1,
            .transport = {.ctx = &f, .send = fixture_send, .now_ms = fixture_now},
            .loader = {.ctx = &f, .read = fixture_read},
        };
        enum status status = workflow_document_parse(small, str_of(track_and_segment), STR("arazzo/w.yml"), &problems,
                                                     &f.error, &document);
        if (status == STATUS_OK) status = workflow_run(small, document, &options, &problems, &f.error, &f.result);
        finished = status == STATUS_OK && f.result.verdict == WORKFLOW_PASSED;
        /* Where only the network's own copies did not fit, the verdict may be a failed step. */
        if (!finished)
            assert_true(status == STATUS_LIMIT || (status == STATUS_OK && f.result.verdict != WORKFLOW_PASSED));
        arena_free(small);
        fixture_fini(&f);
    }
    assert_true(finished);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_track_and_segment),      cmocka_unit_test(test_secrets_are_masked),
        cmocka_unit_test(test_password_input),         cmocka_unit_test(test_identity),
        cmocka_unit_test(test_failing_criterion),      cmocka_unit_test(test_network_failures),
        cmocka_unit_test(test_bodies_that_disappoint), cmocka_unit_test(test_several_workflows),
        cmocka_unit_test(test_memory_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
