/* What exactly is sent: parameters from all places, credentials by scheme, bodies by content type, servers.
 */
#include "workflow/request.h"

#include "workflow/runner_documents_test.h"

/* WF-6, PAR-4, PAR-9: workflow parameters reach every step, a step overrides them, components are reused, and
 * an override of 0 counts. */
static void test_parameter_sources(void **unused)
{
    (void)unused;
    static const char document[] = HEAD "workflows:\n- workflowId: w\n"
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
    assert_string_equal(f.sent[0], "POST https://api.test/track?verbose=1&page=0\nx-common: own\nCookie: c=a%20b\n");
    assert_string_equal(f.sent[1], "POST https://api.test/track?verbose=1&page=7\nX-Common: a,b\n");
    fixture_fini(&f);
}

/* PAR-8: a required parameter without a value fails the step before anything is sent. */
static void test_required_without_value(void **unused)
{
    (void)unused;
    static const char document[] = HEAD "workflows:\n- workflowId: w\n"
                                        "  inputs: {type: object, properties: {id: {type: integer}}}\n"
                                        "  steps:\n"
                                        "  - stepId: a\n    operationId: querySegmentation\n"
                                        "    parameters:\n    - {name: project_id, in: query, value: $inputs.id}\n";
    struct fixture f;
    fixture_init(&f, files, good_answers, 1);
    fixture_run(&f, document, NULL);
    assert_int_equal(f.result.verdict, WORKFLOW_FAILED);
    assert_int_equal(f.sent_count, 0);
    assert_result(&f, "/error", "\"step \\\"a\\\": required query parameter \\\"project_id\\\" has no value\"");
    assert_contains(f.problem_text.data, "warning: step \"a\": required query parameter \"event\" is not set");
    fixture_fini(&f);
}

/* 1.12: alternatives, sets of schemes, keys in every place; what the step sets itself stays. */
static void test_credentials(void **unused)
{
    (void)unused;
    static const struct file secured[] = {
        {"api.yml", "openapi: 3.1.0\nservers: [{url: 'http://h'}]\npaths:\n"
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
    static const struct workflow_auth auths[] = {{STR("key"), STR("wrong"), STR_NULL},
                                                 {STR("s.key"), STR("k 1"), STR_NULL},
                                                 {STR("cookie"), STR("a;b"), STR_NULL},
                                                 {STR("bearer"), STR("t0ken"), STR_NULL}};
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
    static const char document[] =
        HEAD "workflows:\n- workflowId: w\n"
             "  inputs: {type: object, properties: {e: {type: array}, s: {type: string}, o: {default: {a: 1}}, "
             "nothing: {}}}\n"
             "  steps:\n"
             "  - {stepId: a, operationId: trackEvent, requestBody: {payload: "
             "'{\"s\":\"{$inputs.s}\",\"e\":{$inputs.e}}'}}\n"
             "  - {stepId: b, operationId: trackEvent, requestBody: {payload: $inputs.e}}\n"
             "  - {stepId: c, operationId: trackEvent, requestBody: {contentType: "
             "application/x-www-form-urlencoded,"
             " payload: {data: $inputs.e, s: 'a {$inputs.s}', gone: $inputs.nothing}}}\n"
             "  - {stepId: d, operationId: trackEvent, requestBody: {contentType: text/csv, payload: $inputs.o}}\n";
    static const struct workflow_input inputs[] = {{STR("e"), STR("[{\"x\":1}]")}, {STR("s"), STR("q&r")}};
    struct fixture f;
    fixture_init(&f, files, good_answers, 1);
    const struct workflow_options options = {.inputs = inputs, .input_count = 2};
    fixture_run(&f, document, &options);
    assert_int_equal(f.sent_count, 3);
    assert_string_equal(f.sent[0], "POST https://api.test/track\nContent-Type: application/json\n\n"
                                   "{\"s\":\"q&r\",\"e\":[{\"x\":1}]}");
    assert_string_equal(f.sent[1], "POST https://api.test/track\nContent-Type: application/json\n\n[{\"x\":1}]");
    assert_string_equal(f.sent[2], "POST https://api.test/track\nContent-Type: application/x-www-form-urlencoded\n\n"
                                   "data=%5B%7B%22x%22%3A1%7D%5D&s=a%20q%26r");
    assert_result(&f, "/error", "\"step \\\"d\\\": a payload of type object cannot be written as text/csv\"");
    fixture_fini(&f);
}

/* Sources at http URLs come through the transport; their relative servers resolve against them (SRC-2,
 * SRC-4). */
static void test_http_source(void **unused)
{
    (void)unused;
    static const struct answer answers[] = {
        {200, "application/yaml",
         "openapi: 3.1.0\nservers: [{url: ../v1}]\npaths: {\"/p/{id}\": {get: {operationId: getP}}}\n", STATUS_OK,
         NULL},
        {200, "application/json", "[1]", STATUS_OK, "http://other.test/p"}};
    static const char document_text[] = "arazzo: 1.0.1\ninfo: {title: T, version: '1'}\n"
                                        "sourceDescriptions:\n- {name: s, url: 'http://h.test/specs/api.yml'}\n"
                                        "workflows:\n- workflowId: w\n  steps:\n"
                                        "  - stepId: a\n    operationId: getP\n"
                                        "    parameters: [{name: id, in: path, value: 'a/b c'}]\n"
                                        "    successCriteria: [{condition: '$response.body[0] == 1'}]\n"
                                        "    outputs: {u: $url, m: $method, p: $request.path.id}\n";
    struct fixture f;
    struct workflow_document *document;
    fixture_init(&f, NULL, answers, 2);
    assert_int_equal(
        workflow_document_parse(f.arena, str_of(document_text), STR("w.yml"), &f.problems, &f.error, &document),
        STATUS_OK);
    const struct workflow_options options = {.transport = {.ctx = &f, .send = fixture_send, .now_ms = fixture_now}};
    assert_int_equal(workflow_run(f.arena, document, &options, &f.problems, &f.error, &f.result), STATUS_OK);
    assert_int_equal(f.result.verdict, WORKFLOW_PASSED);
    assert_contains(f.sent[0], "GET http://h.test/specs/api.yml\n");
    assert_string_equal(f.sent[1], "GET http://h.test/v1/p/a%2Fb%20c\n");
    assert_result(&f, "/steps/0/redirected_to", "\"http://other.test/p\"");
    assert_result(&f, "/steps/0/outputs", "{\"u\":\"http://h.test/v1/p/a%2Fb%20c\",\"m\":\"GET\",\"p\":\"a/b c\"}");
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameter_sources), cmocka_unit_test(test_required_without_value),
        cmocka_unit_test(test_credentials),       cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_http_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
