/* Whole runs over a transport in memory: what is sent for documents like the ones the runner exists for, what
 * comes out, and that every kind of bad input stops the run before the first request. */
#include "workflow/runner.h"

#include "workflow/fixture_test.h"

static const char ingestion[] = "openapi: 3.1.0\n"
                                "info: {title: Ingestion, version: '1'}\n"
                                "servers:\n- url: https://api.test/\n"
                                "paths:\n"
                                "  /track:\n"
                                "    post:\n"
                                "      operationId: trackEvent\n"
                                "      security:\n      - projectToken: []\n"
                                "      parameters:\n"
                                "      - {name: verbose, in: query, schema: {type: integer}}\n"
                                "      requestBody: {content: {application/json: {schema: {type: object}}}}\n"
                                "      responses: {'200': {description: ok}}\n"
                                "components:\n"
                                "  securitySchemes:\n"
                                "    projectToken: {type: apiKey, in: query, name: token}\n";

static const char query[] =
    "openapi: 3.0.3\n"
    "info: {title: Query, version: '1'}\n"
    "servers:\n- url: https://{region}.test/api/2.0\n  variables: {region: {default: eu}}\n"
    "security:\n- basicAuth: []\n"
    "paths:\n"
    "  /segmentation:\n"
    "    get:\n"
    "      operationId: querySegmentation\n"
    "      parameters:\n"
    "      - {name: project_id, in: query, required: true, schema: {type: integer}}\n"
    "      - $ref: '#/components/parameters/event'\n"
    "      - {name: on, in: query, schema: {type: string}}\n"
    "components:\n"
    "  parameters:\n"
    "    event: {name: event, in: query, required: true, schema: {type: string}}\n"
    "  securitySchemes:\n"
    "    basicAuth: {type: http, scheme: basic}\n";

static const char identity[] =
    "openapi: 3.1.0\n"
    "info: {title: Identity, version: '1'}\n"
    "servers: [{url: 'https://api.test'}]\n"
    "security: [{basicAuth: []}]\n"
    "paths:\n"
    "  /identity/create:\n"
    "    post: {operationId: createIdentity, requestBody: {content: {application/json: {}}}}\n"
    "components: {securitySchemes: {basicAuth: {type: http, scheme: basic}}}\n";

static const struct file files[] = {{"openapi/ingestion.yml", ingestion},
                                    {"openapi/query.yml", query},
                                    {"openapi/identity.yml", identity},
                                    {NULL, NULL}};

#define HEAD                                                                                                 \
    "arazzo: 1.0.1\n"                                                                                        \
    "info: {title: T, version: '1'}\n"                                                                       \
    "sourceDescriptions:\n"                                                                                  \
    "- {name: ingestionApi, url: ../openapi/ingestion.yml, type: openapi}\n"                                 \
    "- {name: queryApi, url: ../openapi/query.yml, type: openapi}\n"

/* Line 5 holds the end of the sources, line 6 `workflows:`. */
static const char track_and_segment[] =
    HEAD "workflows:\n"
         "- workflowId: track-and-segment\n"
         "  summary: Track, then segment.\n"
         "  inputs:\n"
         "    type: object\n"
         "    required: [projectToken, projectId, eventName]\n"
         "    properties:\n"
         "      projectToken: {type: string}\n"
         "      projectId: {type: integer}\n"
         "      eventName: {type: string}\n"
         "      unit: {type: string, default: day}\n"
         "      segmentOn: {type: string}\n"
         "  steps:\n"
         "  - stepId: trackEvent\n"
         "    operationId: trackEvent\n"
         "    parameters:\n"
         "    - {name: token, in: query, value: $inputs.projectToken}\n"
         "    - {name: verbose, in: query, value: 1}\n"
         "    requestBody:\n"
         "      contentType: application/json\n"
         "      payload:\n"
         "        data:\n"
         "          event: $inputs.eventName\n"
         "          properties: {token: $inputs.projectToken, $price: $5, missing: $inputs.segmentOn}\n"
         "    successCriteria:\n"
         "    - condition: $statusCode == 200\n"
         "    outputs:\n"
         "      ingestStatus: $response.body#/status\n"
         "  - stepId: segmentEvent\n"
         "    operationId: querySegmentation\n"
         "    parameters:\n"
         "    - {name: project_id, in: query, value: $inputs.projectId}\n"
         "    - {name: event, in: query, value: $inputs.eventName}\n"
         "    - {name: 'on', in: query, value: $inputs.segmentOn}\n"
         "    - {name: unit, in: query, value: '{$inputs.unit}'}\n"
         "    successCriteria:\n"
         "    - condition: $statusCode == 200\n"
         "    outputs:\n"
         "      series: $response.body#/data/series\n"
         "      values: $response.body#/data/values\n"
         "  outputs:\n"
         "    ingestStatus: $steps.trackEvent.outputs.ingestStatus\n"
         "    series: $steps.segmentEvent.outputs.series\n"
         "    values: $steps.segmentEvent.outputs.values\n";

static const struct answer good_answers[] = {
    {200, "application/json", "{\"status\":1,\"error\":null}", STATUS_OK},
    {200, "application/json; charset=utf-8",
     "{\"data\":{\"series\":[\"2024-01-01\"],\"values\":{\"Sign up\":{\"2024-01-01\":3}}}}", STATUS_OK},
};

static const struct workflow_input good_inputs[] = {{STR("projectToken"), STR("abcdef123456")},
                                                    {STR("projectId"), STR("42")},
                                                    {STR("eventName"), STR("Sign up & =?")}};
static const struct workflow_auth basic[] = {{STR("basicAuth"), STR("user:s3cret:x")}};

/* The first shape: bare operationIds in two sources, values with their types, keys with $, an optional input
 * that is left out, server variables, credentials by scheme, outputs (SRC-2, SRC-4, OP-2, EX-2, BODY-3,
 * PAR-6, PAR-7, PAR-8). */
static void test_track_and_segment(void **unused)
{
    (void)unused;
    struct fixture f;
    fixture_init(&f, files, good_answers, 2);
    const struct workflow_options options = {
        .inputs = good_inputs, .input_count = 3, .auths = basic, .auth_count = 1};
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.status, STATUS_OK);
    if (f.result.verdict != WORKFLOW_PASSED) fail_msg("%s%s", f.problem_text.data, f.report.data);
    assert_int_equal(f.sent_count, 2);
    assert_string_equal(f.sent[0],
                        "POST https://api.test/track?token=abcdef123456&verbose=1\n"
                        "Content-Type: application/json\n\n"
                        "{\"data\":{\"event\":\"Sign up & =?\",\"properties\":{\"token\":\"abcdef123456\","
                        "\"$price\":\"$5\"}}}");
    assert_string_equal(
        f.sent[1],
        "GET https://eu.test/api/2.0/segmentation?project_id=42&event=Sign%20up%20%26%20%3D%3F&unit=day\n"
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
    assert_contains(f.report.data,
                    "✓ trackEvent  POST https://api.test/track?token=***&verbose=1  200  12 ms\n");
    assert_contains(f.report.data,
                    "✓ track-and-segment passed\n  ingestStatus: 1\n  series: [\"2024-01-01\"]\n");
    fixture_fini(&f);
}

/* ERR-5: what is shown has neither the credential nor the API key, wherever they occur. */
static void test_secrets_are_masked(void **unused)
{
    (void)unused;
    static const struct answer echo[] = {
        {200, "application/json", "{\"status\":\"got abcdef123456\"}", STATUS_OK},
        {401, "text/plain", "bad s3cret:x", STATUS_OK}};
    struct fixture f;
    fixture_init(&f, files, echo, 2);
    const struct workflow_options options = {
        .inputs = good_inputs, .input_count = 3, .auths = basic, .auth_count = 1};
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
    static const struct answer answers[] = {{200, "application/json", "{\"status\":\"ok\"}", STATUS_OK},
                                            {200, "text/plain", "1", STATUS_OK}};
    static const struct workflow_input inputs[] = {
        {STR("token"), STR("42")}, {STR("user"), STR("a=b=c")}, {STR("anon"), STR("true")}};
    static const struct workflow_server servers[] = {{STR("identityApi"), STR("http://127.0.0.1:8080/base/")},
                                                     {STR("ingestionApi"), STR("http://127.0.0.1:8080")}};
    struct fixture f;
    fixture_init(&f, files, answers, 2);
    const struct workflow_options options = {
        .inputs = inputs, .input_count = 3, .servers = servers, .server_count = 2};
    fixture_run(&f, document, &options);
    if (f.result.verdict != WORKFLOW_PASSED) fail_msg("%s%s", f.problem_text.data, f.report.data);
    assert_string_equal(f.sent[0],
                        "POST http://127.0.0.1:8080/base/identity/create\nContent-Type: application/json\n\n"
                        "{\"$identified_id\":\"a=b=c\",\"$anon_id\":\"true\",\"$token\":\"42\"}");
    assert_string_equal(f.sent[1], "POST http://127.0.0.1:8080/track?token=42\nX-After: r-1\n"
                                   "Content-Type: application/json\n\n{\"event\":\"by a=b=c\"}");
    assert_result(&f, "/outputs", "{\"identityStatus\":\"ok\"}");
    assert_result(&f, "/steps/1/criteria", "[{\"condition\":\"$statusCode is 2xx\",\"passed\":true}]");
    /* basicAuth by inheritance, no credential: a warning, and the request goes out without (1.12). */
    assert_contains(f.problem_text.data,
                    "step \"createIdentity\": no credential for \"basicAuth\", sending without");
    fixture_fini(&f);
}

/* WF-3, WF-4: every violation in one list, unknown names refused, nothing sent. */
static void test_bad_inputs(void **unused)
{
    (void)unused;
    static const struct workflow_input inputs[] = {{STR("projectId"), STR("4x2")},
                                                   {STR("projectIdd"), STR("1")}};
    struct fixture f;
    fixture_init(&f, files, good_answers, 2);
    const struct workflow_options options = {.inputs = inputs, .input_count = 2};
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.status, STATUS_OK);
    assert_int_equal(f.result.verdict, WORKFLOW_INVALID);
    assert_int_equal(f.sent_count, 0);
    assert_contains(f.problem_text.data,
                    "error: unknown input \"projectIdd\"; the inputs are projectToken, projectId");
    assert_contains(f.problem_text.data, "error: input \"projectToken\" is required");
    assert_contains(f.problem_text.data, "error: input \"eventName\" is required");
    assert_contains(f.problem_text.data, "error: input \"projectId\" must be of type integer, is \"4x2\"");
    assert_result(&f, "/status", "\"invalid\"");
    assert_result(&f, "/workflowId", "\"track-and-segment\"");
    assert_result(&f, "/errors/3/text",
                  "\"input \\\"projectId\\\" must be of type integer, is \\\"4x2\\\"\"");
    fixture_fini(&f);

    /* Inputs as JSON are not coerced; the command line prevails over them. */
    struct json given;
    fixture_init(&f, files, good_answers, 2);
    assert_int_equal(json_parse(f.arena, STR("{\"projectToken\":\"t\",\"projectId\":\"1\",\"eventName\":7}"),
                                NULL, NULL, &given),
                     STATUS_OK);
    const struct workflow_input name[] = {{STR("eventName"), STR("7")}};
    const struct workflow_options json_options = {.inputs = name, .input_count = 1, .inputs_json = &given};
    fixture_run(&f, track_and_segment, &json_options);
    assert_int_equal(f.result.verdict, WORKFLOW_INVALID);
    assert_int_equal(f.problems.error_count, 1);
    assert_contains(f.problem_text.data, "input \"projectId\" must be of type integer, is \"1\"");
    fixture_fini(&f);
}

/* CR: a condition that does not hold fails the step, names the values, and stops the run. */
static void test_failing_criterion(void **unused)
{
    (void)unused;
    static const struct answer answers[] = {
        {400, "application/json", "{\"status\":0,\"error\":\"bad token\"}", STATUS_OK}};
    struct fixture f;
    fixture_init(&f, files, answers, 1);
    const struct workflow_options options = {.inputs = good_inputs, .input_count = 3};
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.result.verdict, WORKFLOW_FAILED);
    assert_int_equal(f.sent_count, 1);
    assert_result(&f, "/steps/0/passed", "false");
    assert_result(&f, "/steps/0/criteria/0/message", "\"$statusCode was 400\"");
    assert_result(
        &f, "/error",
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
    static const struct answer none[] = {{0, NULL, NULL, STATUS_UNAVAILABLE}};
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
    static const struct answer plain[] = {{200, "text/plain", "1", STATUS_OK},
                                          {200, "application/json", "{}", STATUS_OK}};
    struct fixture f;
    fixture_init(&f, files, plain, 2);
    const struct workflow_options options = {.inputs = good_inputs, .input_count = 3};
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.result.verdict, WORKFLOW_PASSED);
    assert_result(&f, "/outputs/ingestStatus", "null");
    assert_contains(f.report.data, "warning: step \"trackEvent\": output \"ingestStatus\" has no value");
    fixture_fini(&f);

    static const struct answer broken[] = {{200, "application/json", "{oops", STATUS_OK}};
    fixture_init(&f, files, broken, 1);
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.result.verdict, WORKFLOW_FAILED);
    assert_result(
        &f, "/steps/0/error",
        "\"output \\\"ingestStatus\\\": the response body is not the JSON that its content type promises\"");
    fixture_fini(&f);
}

/* Each case: the steps of a workflow and the problem that must stop it, with its line. */
static void test_refused_before_sending(void **unused)
{
    (void)unused;
    static const struct {
        const char *workflow, *problem;
    } cases[] = {
        /* OP-5 */
        {"  - {stepId: a, operationId: trackEvnt}\n",
         "w.yml:9:30: error: step \"a\": unknown operationId \"trackEvnt\"; did you mean trackEvent?"},
        {"  - {stepId: a, operationId: $sourceDescriptions.queryApi.trackEvent}\n",
         "unknown operationId \"trackEvent\""},
        {"  - {stepId: a, operationId: $sourceDescriptions.nope.trackEvent}\n", "unknown source \"nope\""},
        {"  - {stepId: a, operationId: $sourceDescriptions.queryApi}\n", "malformed operationId"},
        /* OP-4 */
        {"  - {stepId: a, operationPath: '{$sourceDescriptions.queryApi.url}#/paths/~1track/post'}\n",
         "source \"queryApi\" has no operation post /track"},
        {"  - {stepId: a, operationPath: '{$sourceDescriptions.ingestionApi.url}#/paths/~1track'}\n",
         "does not lead to an operation"},
        {"  - {stepId: a, operationPath: 'https://x.test/#/paths/~1track/post'}\n",
         "names no source of this document"},
        /* not supported yet, by name */
        {"  - {stepId: a, operationId: trackEvent, onSuccess: [{name: x, type: end}]}\n",
         "\"onSuccess\" is not supported yet"},
        {"  - {stepId: a, operationId: trackEvent, onFailure: [{name: x, type: end}]}\n",
         "\"onFailure\" is not supported yet"},
        {"  - {stepId: a, workflowId: w}\n",
         "w.yml:9:29: error: step \"a\": \"workflowId\" is not supported yet"},
        {"  - {stepId: a, operationId: trackEvent, timeout: 5}\n", "\"timeout\" is not supported yet"},
        {"  - {stepId: a, operationId: trackEvent, requestBody: {payload: {}, replacements: [{target: /a, "
         "value: 1}]}}\n",
         "\"replacements\" of a request body is not supported yet"},
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{context: $response.body, condition: "
         "'^1$', type: regex}]}\n",
         "criteria of type \"regex\" are not supported yet"},
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{context: $response.body, condition: $, "
         "type: {type: jsonpath, version: x}}]}\n",
         "criteria of type \"jsonpath\" are not supported yet"},
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{condition: x, type: regexp}]}\n",
         "unknown criterion type \"regexp\""},
        {"  - {stepId: a, operationId: trackEvent, requestBody: {contentType: multipart/form-data, payload: "
         "{}}}\n",
         "multipart/form-data is not supported yet"},
        {"  - {stepId: a, operationId: trackEvent}\n  dependsOn: [v]\n",
         "\"dependsOn\" of a workflow is not supported yet"},
        {"  - {stepId: a, operationId: trackEvent}\n  failureActions: [{name: x, type: end}]\n",
         "\"failureActions\" of a workflow is not supported yet"},
        {"  - {stepId: a, operationId: trackEvent, parameters: [{name: q, in: querystring, value: x}]}\n",
         "parameters in \"querystring\" are not supported"},
        {"  - {stepId: a, operationId: trackEvent, outputs: {x: {context: $response.body, selector: $.a, "
         "type: jsonpath}}}\n",
         "selector objects are not supported"},
        /* ERR-2: expressions */
        {"  - {stepId: a, operationId: trackEvent, parameters: [{name: q, in: query, value: "
         "$inputs.nope}]}\n",
         "\"$inputs.nope\" refers to an input that the workflow does not declare"},
        {"  - {stepId: a, operationId: trackEvent, parameters: [{name: q, in: query, value: 'x "
         "{$inputs.nope}'}]}\n",
         "\"$inputs.nope\" refers to an input"},
        {"  - {stepId: a, operationId: trackEvent, requestBody: {payload: [{k: $steps.b.outputs.x}]}}\n"
         "  - {stepId: b, operationId: trackEvent, outputs: {x: $statusCode}}\n",
         "\"$steps.b.outputs.x\" refers to a step that comes later"},
        {"  - {stepId: a, operationId: trackEvent, outputs: {x: $steps.a.outputs.x}}\n",
         "is this one, which has no outputs yet"},
        {"  - {stepId: a, operationId: trackEvent, outputs: {x: $steps.z.outputs.x}}\n",
         "refers to an unknown step"},
        {"  - {stepId: a, operationId: trackEvent}\n  outputs: {x: $steps.a.outputs.y}\n",
         "that step \"a\" does not declare"},
        {"  - {stepId: a, operationId: trackEvent}\n  outputs: {x: $statusCode}\n",
         "has no value outside a step"},
        {"  - {stepId: a, operationId: trackEvent}\n  outputs: {x: plain}\n",
         "output \"x\": \"plain\" is no runtime expression"},
        {"  - {stepId: a, operationId: trackEvent, outputs: {x: $response.body#a}}\n",
         "a JSON Pointer begins with /"},
        {"  - {stepId: a, operationId: trackEvent, requestBody: {payload: $response.body}}\n",
         "has no value before the request is sent"},
        {"  - {stepId: a, operationId: trackEvent, outputs: {x: $workflows.w.outputs.y}}\n",
         "references to other workflows are not supported yet"},
        {"  - {stepId: a, operationId: trackEvent, outputs: {x: $sourceDescriptions.nope.url}}\n",
         "refers to an unknown source"},
        {"  - {stepId: a, operationId: trackEvent, parameters: [{reference: $components.parameters.nope}]}\n",
         "reference \"$components.parameters.nope\" leads to no parameter"},
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{condition: $statusCode == == 200}]}\n",
         "expected a $expression, 'text', a number, true, false or null (at character 16)"},
        /* PAR */
        {"  - {stepId: a, operationId: trackEvent, parameters: [{name: q, in: path, value: x}]}\n",
         "/track has no path parameter \"q\""},
        {"  - {stepId: a, operationId: trackEvent, parameters: [{name: 'a b', in: header, value: x}]}\n",
         "\"a b\" is no header name"},
        {"  - {stepId: a, operationId: trackEvent, parameters: [{name: content-length, in: header, value: "
         "1}]}\n",
         "header Content-Length cannot be set"},
        {"  - {stepId: a, operationId: trackEvent, parameters: [{reference: $components.parameters.odd}]}\n"
         "components: {parameters: {odd: {name: x, in: body, value: 1}}}\n",
         "unknown parameter location \"body\""},
        {"  - {stepId: a, operationId: trackEvent}\n  inputs: {type: object, unevaluatedProperties: false}\n",
         "schema keyword \"unevaluatedProperties\" is not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char document[4096];
        struct fixture f;
        snprintf(document, sizeof document, "%s%s%s", HEAD, "workflows:\n- workflowId: w\n  steps:\n",
                 cases[i].workflow);
        fixture_init(&f, files, good_answers, 2);
        fixture_run(&f, document, NULL);
        assert_int_equal(f.result.verdict, WORKFLOW_INVALID);
        assert_int_equal(f.sent_count, 0);
        assert_contains(f.problem_text.data, cases[i].problem);
        fixture_fini(&f);
    }
}

/* Options that name nothing are refused, not ignored. */
static void test_bad_options(void **unused)
{
    (void)unused;
    static const struct workflow_server servers[] = {{STR("nope"), STR("http://h")},
                                                     {STR("queryApi"), STR("ftp://h")},
                                                     {STR("queryApi"), STR("http://u:p@h/")},
                                                     {STR("queryApi"), STR("http://h/?a")}};
    static const struct workflow_auth auths[] = {{STR("nope"), STR("x")}, {STR("basicAuth"), STR("nocolon")}};
    struct fixture f;
    fixture_init(&f, files, good_answers, 2);
    const struct workflow_options options = {.inputs = good_inputs,
                                             .input_count = 3,
                                             .servers = servers,
                                             .server_count = 4,
                                             .auths = auths,
                                             .auth_count = 2};
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.result.verdict, WORKFLOW_INVALID);
    assert_contains(f.problem_text.data, "--server names an unknown source \"nope\"");
    assert_contains(f.problem_text.data, "\"ftp://h\" is no http or https URL");
    assert_contains(f.problem_text.data, "--server queryApi: the server URL holds a user or password");
    assert_contains(f.problem_text.data, "--server queryApi: the server URL has a query or fragment");
    assert_contains(f.problem_text.data, "warning: no source has a security scheme \"nope\"");
    assert_contains(f.problem_text.data, "the credential for \"basicAuth\" must be user:secret");
    fixture_fini(&f);

    fixture_init(&f, files, good_answers, 2);
    const struct workflow_options unknown = {.workflow_id = STR("nope")};
    fixture_run(&f, track_and_segment, &unknown);
    assert_contains(f.problem_text.data,
                    "there is no workflow \"nope\"; the workflows are track-and-segment");
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
    static const struct answer answers[] = {{200, "text/plain", "1", STATUS_OK},
                                            {500, "text/plain", "0", STATUS_OK}};
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

/* WF-6, PAR-4, PAR-9: workflow parameters reach every step, a step overrides them, components are reused, and
 * an override of 0 counts. */
static void test_parameter_sources(void **unused)
{
    (void)unused;
    static const char document[] =
        HEAD "workflows:\n- workflowId: w\n"
             "  parameters:\n"
             "  - {name: verbose, in: query, value: 1}\n"
             "  - {name: X-Common, in: header, value: [a, b]}\n"
             "  - reference: $components.parameters.page\n"
             "  steps:\n"
             "  - stepId: a\n    operationId: trackEvent\n"
             "    parameters:\n"
             "    - {name: x-common, in: header, value: own}\n"
             "    - {reference: $components.parameters.page, value: 0}\n"
             "    - {name: c, in: cookie, value: 'a b'}\n"
             "  - {stepId: b, operationId: trackEvent}\n"
             "components:\n  parameters:\n    page: {name: page, in: query, value: 7}\n";
    struct fixture f;
    fixture_init(&f, files, good_answers, 1);
    fixture_run(&f, document, NULL);
    if (f.result.verdict != WORKFLOW_PASSED) fail_msg("%s%s", f.problem_text.data, f.report.data);
    assert_string_equal(f.sent[0],
                        "POST https://api.test/track?verbose=1&page=0\nx-common: own\nCookie: c=a%20b\n");
    assert_string_equal(f.sent[1], "POST https://api.test/track?verbose=1&page=7\nX-Common: a,b\n");
    fixture_fini(&f);
}

/* PAR-8: a required parameter without a value fails the step before anything is sent. */
static void test_required_without_value(void **unused)
{
    (void)unused;
    static const char document[] =
        HEAD "workflows:\n- workflowId: w\n"
             "  inputs: {type: object, properties: {id: {type: integer}}}\n"
             "  steps:\n"
             "  - stepId: a\n    operationId: querySegmentation\n"
             "    parameters:\n    - {name: project_id, in: query, value: $inputs.id}\n";
    struct fixture f;
    fixture_init(&f, files, good_answers, 1);
    fixture_run(&f, document, NULL);
    assert_int_equal(f.result.verdict, WORKFLOW_FAILED);
    assert_int_equal(f.sent_count, 0);
    assert_result(&f, "/error",
                  "\"step \\\"a\\\": required query parameter \\\"project_id\\\" has no value\"");
    assert_contains(f.problem_text.data,
                    "warning: step \"a\": required query parameter \"event\" is not set");
    fixture_fini(&f);
}

/* Sources that cannot be used: each is an error at its url, and no false "unknown operation" follows. */
static void test_bad_sources(void **unused)
{
    (void)unused;
    static const struct file bad[] = {
        {"bad.yml", "a: [1"}, {"old.yml", "swagger: '2.0'"},   {"new.yml", "openapi: 4.0.0"},
        {"list.yml", "- 1"},  {"arazzo.yml", "arazzo: 1.0.0"}, {NULL, NULL}};
    static const struct {
        const char *url, *problem;
    } cases[] = {
        {"missing.yml", "w.yml:4:18: error: source \"s\": cannot open \"missing.yml\""},
        {"bad.yml", "source \"s\": bad.yml:2:1: malformed YAML"},
        {"old.yml", "Swagger 2.0"},
        {"new.yml", "unsupported OpenAPI version \"4.0.0\""},
        {"list.yml", "neither an OpenAPI nor an Arazzo document"},
        {"ftp://x/y", "\"ftp://x/y\" cannot be read"},
        {"arazzo.yml", "unknown operationId"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char document[1024];
        struct fixture f;
        struct workflow_document *parsed;
        snprintf(document, sizeof document,
                 "arazzo: 1.0.1\ninfo: {title: T, version: '1'}\nsourceDescriptions:\n- {name: s, url: %s}\n"
                 "workflows: [{workflowId: w, steps: [{stepId: a, operationId: x}]}]\n",
                 cases[i].url);
        fixture_init(&f, bad, good_answers, 1);
        assert_int_equal(
            workflow_document_parse(f.arena, str_of(document), STR("w.yml"), &f.problems, &f.error, &parsed),
            STATUS_OK);
        const struct workflow_options options = {.loader = {.ctx = &f, .read = fixture_read}};
        assert_int_equal(workflow_check(f.arena, parsed, &options, &f.problems, &f.error), STATUS_OK);
        workflow_report_problems(&f.problem_text, &f.problems, false);
        buf_byte(&f.problem_text, 0);
        assert_contains(f.problem_text.data, cases[i].problem);
        assert_int_equal(f.problems.error_count, 1);
        fixture_fini(&f);
    }
}

/* `check` needs no inputs and finds nothing wrong with a good document. */
static void test_check(void **unused)
{
    (void)unused;
    struct fixture f;
    struct workflow_document *document;
    fixture_init(&f, files, good_answers, 1);
    assert_int_equal(workflow_document_parse(f.arena, str_of(track_and_segment), STR("arazzo/w.yml"),
                                             &f.problems, &f.error, &document),
                     STATUS_OK);
    const struct workflow_options options = {.loader = {.ctx = &f, .read = fixture_read}};
    assert_int_equal(workflow_check(f.arena, document, &options, &f.problems, &f.error), STATUS_OK);
    assert_int_equal(f.problems.error_count, 0);
    fixture_fini(&f);
}

/* Sources at http URLs come through the transport; their relative servers resolve against them (SRC-2,
 * SRC-4). */
static void test_http_source(void **unused)
{
    (void)unused;
    static const struct answer answers[] = {
        {200, "application/yaml",
         "openapi: 3.1.0\nservers: [{url: ../v1}]\npaths: {\"/p/{id}\": {get: {operationId: getP}}}\n",
         STATUS_OK},
        {200, "application/json", "[1]", STATUS_OK}};
    static const char document_text[] =
        "arazzo: 1.0.1\ninfo: {title: T, version: '1'}\n"
        "sourceDescriptions:\n- {name: s, url: 'http://h.test/specs/api.yml'}\n"
        "workflows:\n- workflowId: w\n  steps:\n"
        "  - stepId: a\n    operationId: getP\n"
        "    parameters: [{name: id, in: path, value: 'a/b c'}]\n"
        "    successCriteria: [{condition: '$response.body[0] == 1'}]\n"
        "    outputs: {u: $url, m: $method, p: $request.path.id}\n";
    struct fixture f;
    struct workflow_document *document;
    fixture_init(&f, NULL, answers, 2);
    assert_int_equal(workflow_document_parse(f.arena, str_of(document_text), STR("w.yml"), &f.problems,
                                             &f.error, &document),
                     STATUS_OK);
    const struct workflow_options options = {
        .transport = {.ctx = &f, .send = fixture_send, .now_ms = fixture_now}};
    assert_int_equal(workflow_run(f.arena, document, &options, &f.problems, &f.error, &f.result), STATUS_OK);
    assert_int_equal(f.result.verdict, WORKFLOW_PASSED);
    assert_contains(f.sent[0], "GET http://h.test/specs/api.yml\n");
    assert_string_equal(f.sent[1], "GET http://h.test/v1/p/a%2Fb%20c\n");
    assert_result(&f, "/steps/0/outputs",
                  "{\"u\":\"http://h.test/v1/p/a%2Fb%20c\",\"m\":\"GET\",\"p\":\"a/b c\"}");
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
        enum status status = workflow_document_parse(small, str_of(track_and_segment), STR("arazzo/w.yml"),
                                                     &problems, &f.error, &document);
        if (status == STATUS_OK)
            status = workflow_run(small, document, &options, &problems, &f.error, &f.result);
        finished = status == STATUS_OK && f.result.verdict == WORKFLOW_PASSED;
        /* Where only the network's own copies did not fit, the verdict may be a failed step. */
        if (!finished)
            assert_true(status == STATUS_LIMIT ||
                        (status == STATUS_OK && f.result.verdict != WORKFLOW_PASSED));
        arena_free(small);
        fixture_fini(&f);
    }
    assert_true(finished);
}

/* OP-2: an operationId that several sources have is refused with their names, and accepted when qualified. */
static void test_ambiguous_operation(void **unused)
{
    (void)unused;
    static const char format[] =
        "arazzo: 1.0.1\ninfo: {title: T, version: '1'}\n"
        "sourceDescriptions: [{name: one, url: ../openapi/ingestion.yml}, "
        "{name: two, url: ../openapi/ingestion.yml}]\n"
        "workflows: [{workflowId: w, steps: [{stepId: a, operationId: %strackEvent}]}]\n";
    char document[1024];
    struct fixture f;
    fixture_init(&f, files, good_answers, 1);
    snprintf(document, sizeof document, format, "");
    fixture_run(&f, document, NULL);
    assert_int_equal(f.result.verdict, WORKFLOW_INVALID);
    assert_contains(f.problem_text.data,
                    "operationId \"trackEvent\" is not unique: one (POST /track), two (POST /track); "
                    "write $sourceDescriptions.NAME.trackEvent");
    fixture_fini(&f);
    fixture_init(&f, files, good_answers, 1);
    snprintf(document, sizeof document, format, "$sourceDescriptions.two.");
    fixture_run(&f, document, NULL);
    assert_int_equal(f.result.verdict, WORKFLOW_PASSED);
    fixture_fini(&f);
}

/* 1.12: alternatives, sets of schemes, keys in every place; what the step sets itself stays. */
static void test_credentials(void **unused)
{
    (void)unused;
    static const struct file secured[] = {
        {"api.yml",
         "openapi: 3.1.0\nservers: [{url: 'http://h'}]\npaths:\n"
         "  /both: {get: {operationId: both, security: [{key: [], cookie: []}]}}\n"
         "  /either: {get: {operationId: either, security: [{missing: []}, {bearer: []}, {query: []}]}}\n"
         "  /maybe: {get: {operationId: maybe, security: [{}, {missing: []}]}}\n"
         "  /open: {get: {operationId: open, security: []}}\n"
         "security: [{query: []}]\n"
         "components:\n  securitySchemes:\n"
         "    key: {type: apiKey, in: header, name: X-Key}\n"
         "    cookie: {type: apiKey, in: cookie, name: sid}\n"
         "    query: {type: apiKey, in: query, name: api_key}\n"
         "    bearer: {type: http, scheme: Bearer}\n"
         "    missing: {type: http, scheme: basic}\n"},
        {NULL, NULL}};
    static const char document[] =
        "arazzo: 1.0.1\ninfo: {title: T, version: '1'}\nsourceDescriptions: [{name: s, url: ../api.yml}]\n"
        "workflows:\n- workflowId: w\n  steps:\n"
        "  - {stepId: a, operationId: both}\n"
        "  - {stepId: b, operationId: either, parameters: [{name: c, in: cookie, value: 1}]}\n"
        "  - {stepId: c, operationId: maybe}\n"
        "  - {stepId: d, operationId: open}\n"
        "  - {stepId: e, operationId: either, parameters: [{name: authorization, in: header, value: "
        "mine}]}\n";
    static const struct workflow_auth auths[] = {{STR("key"), STR("wrong")},
                                                 {STR("s.key"), STR("k 1")},
                                                 {STR("cookie"), STR("a;b")},
                                                 {STR("bearer"), STR("t0ken")}};
    struct fixture f;
    fixture_init(&f, secured, good_answers, 1);
    const struct workflow_options options = {.auths = auths, .auth_count = 4};
    fixture_run(&f, document, &options);
    if (f.result.verdict != WORKFLOW_PASSED) fail_msg("%s%s", f.problem_text.data, f.report.data);
    assert_string_equal(f.sent[0], "GET http://h/both\nX-Key: k 1\nCookie: sid=a%3Bb\n");
    assert_string_equal(f.sent[1], "GET http://h/either\nAuthorization: Bearer t0ken\nCookie: c=1\n");
    assert_string_equal(f.sent[2], "GET http://h/maybe\n");
    assert_string_equal(f.sent[3], "GET http://h/open\n");
    assert_string_equal(f.sent[4], "GET http://h/either\nauthorization: mine\n");
    assert_result(&f, "/steps/0/request/headers", "{\"X-Key\":\"***\",\"Cookie\":\"***\"}");
    assert_result(&f, "/warnings", "[]");
    fixture_fini(&f);
}

/* BODY-4, BODY-6, BODY-8: text payloads under a JSON type go out as they are, maps as forms, and no body
 * means no type. */
static void test_bodies(void **unused)
{
    (void)unused;
    static const char document[] = HEAD
        "workflows:\n- workflowId: w\n"
        "  inputs: {type: object, properties: {e: {type: array}, s: {type: string}, nothing: {}}}\n"
        "  steps:\n"
        "  - {stepId: a, operationId: trackEvent, requestBody: {payload: "
        "'{\"s\":\"{$inputs.s}\",\"e\":{$inputs.e}}'}}\n"
        "  - {stepId: b, operationId: trackEvent, requestBody: {payload: $inputs.e}}\n"
        "  - {stepId: c, operationId: trackEvent, requestBody: {contentType: "
        "application/x-www-form-urlencoded,"
        " payload: {data: $inputs.e, s: 'a {$inputs.s}', gone: $inputs.nothing}}}\n"
        "  - {stepId: d, operationId: trackEvent, requestBody: {contentType: text/csv, payload: {a: 1}}}\n";
    static const struct workflow_input inputs[] = {{STR("e"), STR("[{\"x\":1}]")}, {STR("s"), STR("q&r")}};
    struct fixture f;
    fixture_init(&f, files, good_answers, 1);
    const struct workflow_options options = {.inputs = inputs, .input_count = 2};
    fixture_run(&f, document, &options);
    assert_int_equal(f.sent_count, 3);
    assert_string_equal(f.sent[0], "POST https://api.test/track\nContent-Type: application/json\n\n"
                                   "{\"s\":\"q&r\",\"e\":[{\"x\":1}]}");
    assert_string_equal(f.sent[1],
                        "POST https://api.test/track\nContent-Type: application/json\n\n[{\"x\":1}]");
    assert_string_equal(f.sent[2],
                        "POST https://api.test/track\nContent-Type: application/x-www-form-urlencoded\n\n"
                        "data=%5B%7B%22x%22%3A1%7D%5D&s=a%20q%26r");
    assert_result(&f, "/error", "\"step \\\"d\\\": a payload of type object cannot be written as text/csv\"");
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_track_and_segment),
        cmocka_unit_test(test_secrets_are_masked),
        cmocka_unit_test(test_password_input),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_bad_inputs),
        cmocka_unit_test(test_failing_criterion),
        cmocka_unit_test(test_network_failures),
        cmocka_unit_test(test_bodies_that_disappoint),
        cmocka_unit_test(test_refused_before_sending),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_several_workflows),
        cmocka_unit_test(test_parameter_sources),
        cmocka_unit_test(test_required_without_value),
        cmocka_unit_test(test_bad_sources),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_http_source),
        cmocka_unit_test(test_memory_budget),
        cmocka_unit_test(test_ambiguous_operation),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
