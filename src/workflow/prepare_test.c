/* Everything that must stop a run before its first request: inputs, operations, sources, options,
 * expressions, actions, criteria, bodies. */
#include "workflow/prepare.h"

#include "workflow/runner_documents_test.h"

/* WF-3, WF-4: every violation in one list, unknown names refused, nothing sent. */
static void test_bad_inputs(void **unused)
{
    (void)unused;
    static const struct workflow_input inputs[] = {{STR("projectId"), STR("4x2")}, {STR("projectIdd"), STR("1")}};
    struct fixture f;
    fixture_init(&f, files, good_answers, 2);
    const struct workflow_options options = {.inputs = inputs, .input_count = 2};
    fixture_run(&f, track_and_segment, &options);
    assert_int_equal(f.status, STATUS_OK);
    assert_int_equal(f.result.verdict, WORKFLOW_INVALID);
    assert_int_equal(f.sent_count, 0);
    assert_contains(f.problem_text.data, "error: unknown input \"projectIdd\"; the inputs are projectToken, projectId");
    assert_contains(f.problem_text.data, "error: input \"projectToken\" is required");
    assert_contains(f.problem_text.data, "error: input \"eventName\" is required");
    assert_contains(f.problem_text.data, "error: input \"projectId\" must be of type integer, is \"4x2\"");
    assert_result(&f, "/status", "\"invalid\"");
    assert_result(&f, "/workflowId", "\"track-and-segment\"");
    assert_result(&f, "/errors/3/text", "\"input \\\"projectId\\\" must be of type integer, is \\\"4x2\\\"\"");
    fixture_fini(&f);

    /* Inputs as JSON are not coerced; the command line prevails over them. */
    struct json given;
    fixture_init(&f, files, good_answers, 2);
    assert_int_equal(
        json_parse(f.arena, STR("{\"projectToken\":\"t\",\"projectId\":\"1\",\"eventName\":7}"), NULL, NULL, &given),
        STATUS_OK);
    const struct workflow_input name[] = {{STR("eventName"), STR("7")}};
    const struct workflow_options json_options = {.inputs = name, .input_count = 1, .inputs_json = &given};
    fixture_run(&f, track_and_segment, &json_options);
    assert_int_equal(f.result.verdict, WORKFLOW_INVALID);
    assert_int_equal(f.problems.error_count, 1);
    assert_contains(f.problem_text.data, "input \"projectId\" must be of type integer, is \"1\"");
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
        {"  - {stepId: a, operationPath: 'https://x.test/#/paths/~1track/post'}\n", "names no source of this document"},
        /* actions */
        {"  - {stepId: a, operationId: trackEvent, onSuccess: [{name: x, type: retry}]}\n",
         "success action \"x\" has the type retry, which only failure actions have; use end or goto"},
        {"  - {stepId: a, operationId: trackEvent, onFailure: [{name: x, type: go}]}\n",
         "failure action \"x\" has an unknown type; use end, goto or retry"},
        {"  - {stepId: a, operationId: trackEvent, onFailure: [{type: end}]}\n", "an action has no \"name\""},
        {"  - {stepId: a, operationId: trackEvent, onFailure: [{name: x}]}\n", "has no \"type\""},
        {"  - {stepId: a, operationId: trackEvent, onSuccess: [{name: x, type: goto}]}\n",
         "action \"x\" needs a stepId or a workflowId"},
        {"  - {stepId: a, operationId: trackEvent, onSuccess: [{name: x, type: goto, stepId: a, workflowId: w}]}\n",
         "action \"x\" needs either stepId or workflowId, not both"},
        {"  - {stepId: a, operationId: trackEvent, onSuccess: [{name: x, type: goto, stepId: b}]}\n",
         "action \"x\" leads to an unknown step \"b\""},
        {"  - {stepId: a, operationId: trackEvent, onSuccess: [{name: x, type: goto, workflowId: v}]}\n",
         "action \"x\": unknown workflowId \"v\"; the workflows are w"},
        {"  - {stepId: a, operationId: trackEvent, onFailure: [{name: x, type: retry, retryLimit: -1}]}\n",
         "\"retryLimit\" must be a whole number from 0 to 1000000"},
        {"  - {stepId: a, operationId: trackEvent, onFailure: [{name: x, type: retry, retryAfter: -0.5}]}\n",
         "\"retryAfter\" must be from 0 to 86400 seconds"},
        {"  - {stepId: a, operationId: trackEvent, onFailure: [{reference: $components.successActions.x}]}\n",
         "reference \"$components.successActions.x\" leads to no failure action; write "
         "$components.failureActions.NAME"},
        {"  - {stepId: a, operationId: trackEvent, onFailure: [{name: x, type: end, criteria: [{condition: 1 =}]}]}\n",
         "at character 3"},
        /* calls and dependencies */
        {"  - {stepId: a, workflowId: w}\n", "workflow \"w\" calls \"w\", which leads back to it"},
        {"  - {stepId: a, workflowId: v}\n",
         "w.yml:9:29: error: step \"a\": unknown workflowId \"v\"; the workflows are w"},
        {"  - {stepId: a, workflowId: $sourceDescriptions.nope.v}\n", "unknown source \"nope\""},
        {"  - {stepId: a, workflowId: $sourceDescriptions.queryApi.v}\n", "source \"queryApi\" is no Arazzo document"},
        {"  - {stepId: a, workflowId: $sourceDescriptions.queryApi}\n", "malformed workflowId"},
        {"  - {stepId: a, operationId: trackEvent}\n  dependsOn: [v]\n",
         "dependsOn of workflow \"w\": unknown workflowId \"v\""},
        {"  - {stepId: a, operationId: trackEvent}\n  dependsOn: [w]\n", "workflow \"w\" depends on \"w\""},
        {"  - {stepId: a, operationId: trackEvent}\n  dependsOn: [5]\n",
         "each entry of \"dependsOn\" must be a string"},
        {"  - {stepId: a, workflowId: v, outputs: {x: $outputs.nope}}\n- workflowId: v\n  steps:\n"
         "  - {stepId: a, operationId: trackEvent}\n  outputs: {y: $steps.a.outputs.z}\n",
         "\"$outputs.nope\" refers to an output that the workflow does not declare"},
        {"  - {stepId: a, operationId: trackEvent}\n  failureActions: [{name: x, type: goto, stepId: z}]\n",
         "leads to an unknown step \"z\""},
        /* bodies */
        {"  - {stepId: a, operationId: trackEvent, requestBody: {payload: {}, replacements: [{target: a, "
         "value: 1}]}}\n",
         "\"a\" is no JSON Pointer"},
        {"  - {stepId: a, operationId: trackEvent, requestBody: {contentType: text/xml, payload: <a/>, replacements: "
         "[{target: '/a[', value: 1}]}}\n",
         "malformed XPath"},
        {"  - {stepId: a, operationId: trackEvent, requestBody: {payload: {}, replacements: [{target: $.a, value: 1, "
         "targetSelectorType: xpath}]}}\n",
         "a target of type \"xpath\" does not fit application/json"},
        {"  - {stepId: a, operationId: trackEvent, requestBody: {contentType: text/xml, payload: {}}}\n",
         "a payload of type object cannot be written as text/xml"},
        {"  - {stepId: a, operationId: trackEvent, requestBody: {reference: $components.x.y}}\n",
         "there are no components for request bodies"},
        /* criteria */
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{context: $response.body, condition: "
         "'^(1', type: regex}]}\n",
         "malformed pattern \"^(1\" at character 4"},
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{condition: '^1', type: regex}]}\n",
         "a criterion of this type needs a \"context\""},
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{context: body, condition: '^1', type: regex}]}\n",
         "the context of a criterion: \"body\" is no runtime expression"},
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{context: $response.body, condition: $, "
         "type: {type: jsonpath, version: x}}]}\n",
         "unknown version \"x\" of a criterion; use rfc9535"},
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{context: $response.body, condition: $, "
         "type: {type: jsonpath}}]}\n",
         "the criterion type has no \"version\""},
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{context: $response.body, condition: '$[', "
         "type: jsonpath}]}\n",
         "\"$[\" is no JSONPath query"},
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{context: $response.body, condition: '//a[', "
         "type: xpath}]}\n",
         "malformed XPath"},
        {"  - {stepId: a, operationId: trackEvent, successCriteria: [{condition: x, type: regexp}]}\n",
         "unknown criterion type \"regexp\"; use simple, regex, jsonpath or xpath"},
        /* not supported, by name */
        {"  - {stepId: a, channelPath: x, action: send}\n", "\"channelPath\" is not supported"},
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
        {"  - {stepId: a, operationId: trackEvent, outputs: {x: $steps.z.outputs.x}}\n", "refers to an unknown step"},
        {"  - {stepId: a, operationId: trackEvent}\n  outputs: {x: $steps.a.outputs.y}\n",
         "that step \"a\" does not declare"},
        {"  - {stepId: a, operationId: trackEvent}\n  outputs: {x: $statusCode}\n", "has no value outside a step"},
        {"  - {stepId: a, operationId: trackEvent}\n  outputs: {x: plain}\n",
         "output \"x\": \"plain\" is no runtime expression"},
        {"  - {stepId: a, operationId: trackEvent, outputs: {x: $response.body#a}}\n", "a JSON Pointer begins with /"},
        {"  - {stepId: a, operationId: trackEvent, requestBody: {payload: $response.body}}\n",
         "has no value before the request is sent"},
        {"  - {stepId: a, operationId: trackEvent, outputs: {x: $workflows.w.outputs.y}}\n",
         "refers to an output that workflow \"w\" does not declare"},
        {"  - {stepId: a, operationId: trackEvent, outputs: {x: $workflows.v.outputs.y}}\n",
         "refers to an unknown workflow"},
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
        {"  - {stepId: a, operationId: trackEvent}\n  inputs: {type: object, unevaluatedProperties: 5}\n",
         "a schema must be a map or a boolean"},
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
    static const struct workflow_auth auths[] = {{STR("nope"), STR("x"), STR_NULL},
                                                 {STR("basicAuth"), STR("nocolon"), STR_NULL}};
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
    assert_contains(f.problem_text.data, "there is no workflow \"nope\"; the workflows are track-and-segment");
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
    assert_int_equal(workflow_document_parse(f.arena, str_of(track_and_segment), STR("arazzo/w.yml"), &f.problems,
                                             &f.error, &document),
                     STATUS_OK);
    const struct workflow_options options = {.loader = {.ctx = &f, .read = fixture_read}};
    assert_int_equal(workflow_check(f.arena, document, &options, &f.problems, &f.error), STATUS_OK);
    assert_int_equal(f.problems.error_count, 0);
    fixture_fini(&f);
}

/* OP-2: an operationId that several sources have is refused with their names, and accepted when qualified. */
static void test_ambiguous_operation(void **unused)
{
    (void)unused;
    static const char format[] = "arazzo: 1.0.1\ninfo: {title: T, version: '1'}\n"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_inputs),  cmocka_unit_test(test_refused_before_sending),
        cmocka_unit_test(test_bad_options), cmocka_unit_test(test_bad_sources),
        cmocka_unit_test(test_check),       cmocka_unit_test(test_ambiguous_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
