/* The structural check of Arazzo documents (checklist DOC-1 to DOC-5, OP-1, PAR-1, PAR-4): what passes, and
 * for each slip the message with its line and column. */
#include "workflow/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

struct outcome {
    struct arena *arena;
    struct workflow_problems problems;
    struct error error;
    struct workflow_document *document;
    enum status status;
    struct buf text;
};

static void parse(struct outcome *o, const char *text)
{
    *o = (struct outcome){.arena = arena_new((size_t)32 << 20), .text = BUF_INIT((size_t)1 << 16)};
    workflow_problems_init(&o->problems, o->arena);
    o->status = workflow_document_parse(o->arena, str_of(text), STR("w.yml"), &o->problems, &o->error, &o->document);
    for (size_t i = 0; i < o->problems.count; i++) {
        workflow_problem_write(&o->text, &o->problems.items[i]);
        buf_byte(&o->text, '\n');
    }
    buf_byte(&o->text, 0);
}

static void done(struct outcome *o)
{
    buf_fini(&o->text);
    arena_free(o->arena);
}

static const char good[] = "arazzo: 1.0.1\n"
                           "info:\n  title: T\n  summary: S\n  version: 1.0.0\n"
                           "x-extra: {anything: [1, 2]}\n"
                           "sourceDescriptions:\n- name: api\n  url: ../openapi/x.yml\n  type: openapi\n"
                           "workflows:\n"
                           "- workflowId: first\n"
                           "  inputs: {type: object}\n"
                           "  steps:\n"
                           "  - stepId: a\n    operationId: doIt\n    x-note: yes\n"
                           "  - stepId: b\n    operationPath: '{$sourceDescriptions.api.url}#/paths/~1a/get'\n"
                           "    outputs: {out.put-1_x: $statusCode}\n"
                           "components:\n  parameters:\n    page: {name: page, in: query, value: 1}\n";

static void test_good(void **state)
{
    (void)state;
    struct outcome o;
    parse(&o, good);
    if (o.status != STATUS_OK || o.problems.count) fail_msg("%s", o.text.data);
    assert_true(str_is(o.document->version, "1.0.1"));
    assert_true(str_is(o.document->title, "T"));
    assert_int_equal(o.document->source_count, 1);
    const struct workflow *workflow = workflow_document_find(o.document, STR("first"));
    assert_non_null(workflow);
    assert_int_equal(workflow->step_count, 2);
    assert_true(str_is(workflow->steps[0].operation_id, "doIt"));
    assert_int_equal(workflow_step_index(workflow, STR("b")), 1);
    assert_int_equal(workflow_step_index(workflow, STR("c")), SIZE_MAX);
    assert_null(workflow_document_find(o.document, STR("second")));
    assert_non_null(workflow_document_source(o.document, STR("api")));
    done(&o);
}

/* One change to the good document at a time: text to replace, replacement, and what is said then. */
static void test_slips(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *problem;
        bool warning;
    } cases[] = {
        {"arazzo: 1.0.1\n", "", "w.yml:1:1: error: the Arazzo document has no \"arazzo\"", false},
        {"1.0.1", "2.0.0", "w.yml:1:9: error: unsupported Arazzo version \"2.0.0\"; this runner reads 1.0.x", false},
        {"1.0.1", "1.0",
         "w.yml:1:9: error: \"arazzo\" of the Arazzo document must be a string, not number; put it in quotes", false},
        {"1.0.1", "1.0.x", "unsupported Arazzo version", false},
        {"1.0.1", "1.1.0", "w.yml:1:9: warning: Arazzo 1.1.0 is newer than this runner", true},
        {"  title: T\n", "", "w.yml:3:3: error: the info has no \"title\"", false},
        {"  url: ../openapi/x.yml\n", "", "the source description has no \"url\"", false},
        {"type: openapi\n", "type: soap\n", "w.yml:10:9: error: unknown source type \"soap\"", false},
        {"x-extra:", "extra:", "w.yml:6:8: warning: unknown field \"extra\" in the Arazzo document, ignoring it", true},
        {"    x-note: yes\n", "    note: yes\n", "w.yml:17:11: warning: unknown field \"note\" in the step", true},
        {"stepId: b", "stepId: a", "w.yml:18:13: error: duplicate stepId \"a\"; the first one is in line 15", false},
        {"    operationId: doIt\n", "", "w.yml:15:5: error: the step names no operation", false},
        {"    operationId: doIt\n", "    operationId: doIt\n    operationPath: x\n", "the step names more than one of",
         false},
        {"workflowId: first", "workflowId: 'fi rst'",
         "w.yml:12:15: warning: the workflowId \"fi rst\" should consist of", true},
        {"workflowId: first", "workflowId: ''", "the workflowId is empty", false},
        {"workflowId: first", "workflowId: [a]", "\"workflowId\" of the workflow must be a string, not array", false},
        {"out.put-1_x:", "'out put':", "the output name \"out put\" may only have", false},
        {"    page:", "    'pa ge':", "the component name \"pa ge\" may only have", false},
        {"    operationId: doIt\n", "    operationId: doIt\n    successCriteria: []\n",
         "\"successCriteria\" is an empty list", false},
        {"    operationId: doIt\n", "    operationId: doIt\n    successCriteria: [x]\n",
         "w.yml:17:23: error: each entry of \"successCriteria\" must be a map, not string", false},
        {"    operationId: doIt\n", "    operationId: doIt\n    successCriteria: [{type: simple}]\n",
         "the criterion has no \"condition\"", false},
        {"    operationId: doIt\n", "    operationId: doIt\n    parameters: [{name: a, value: 1}]\n",
         "the parameter has no \"in\"", false},
        {"    operationId: doIt\n", "    operationId: doIt\n    parameters: [{name: a, in: body, value: 1}]\n",
         "unknown parameter location \"body\"", false},
        {"    operationId: doIt\n",
         "    operationId: doIt\n    parameters: [{name: A, in: header, value: 1}, {name: a, in: header, "
         "value: 1}]\n",
         "duplicate parameter \"a\" in header", false},
        {"workflows:\n", "workflows: []\nx-workflows:\n", "the document has no workflows", false},
        {"arazzo: 1.0.1\n", "openapi: 3.1.0\n", "this is an OpenAPI description", false},
        {"  title: T\n", "  title: T\n  title: U\n", "w.yml:4:3: error: duplicate key \"title\"", false},
        {"  title: T\n", "  title: [T\n", "error: malformed YAML", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *at = strstr(good, cases[i].from);
        assert_non_null(at);
        struct buf text = BUF_INIT(8192);
        buf_add(&text, good, (size_t)(at - good));
        buf_str_add(&text, str_of(cases[i].to));
        buf_str_add(&text, str_of(at + strlen(cases[i].from)));
        buf_byte(&text, 0);
        struct outcome o;
        parse(&o, text.data);
        if (!strstr(o.text.data, cases[i].problem)) fail_msg("\"%s\" is not in:\n%s", cases[i].problem, o.text.data);
        assert_int_equal(o.status, cases[i].warning ? STATUS_OK : STATUS_INVALID);
        if (!cases[i].warning) assert_true(o.error.primary[0] != 0);
        done(&o);
        buf_fini(&text);
    }
    /* Same name for operationIds and workflowIds: two workflows, two sources. */
    struct outcome o;
    parse(&o, "arazzo: 1.0.0\ninfo: {title: T, version: '1'}\nsourceDescriptions: [{name: s, url: a}, {name: s, "
              "url: b}]\n"
              "workflows: [{workflowId: w, steps: [{stepId: a, operationId: x}]}, {workflowId: w, steps: []}]\n");
    assert_non_null(strstr(o.text.data, "duplicate source name \"s\""));
    assert_non_null(strstr(o.text.data, "duplicate workflowId \"w\""));
    assert_non_null(strstr(o.text.data, "the workflow has no steps"));
    assert_int_equal(o.problems.error_count, 3);
    done(&o);
}

/* DOC-1: JSON is accepted as it is. */
static void test_json(void **state)
{
    (void)state;
    struct outcome o;
    parse(&o, "{\"arazzo\":\"1.0.0\",\"info\":{\"title\":\"T\",\"version\":\"1\"},\n\"sourceDescriptions\":[{"
              "\"name\":\"s\",\"url\":\"u\"}],"
              "\"workflows\":[{\"workflowId\":\"w\",\"steps\":[{\"stepId\":\"a\",\"operationId\":5}]}]}");
    assert_non_null(strstr(o.text.data, "w.yml:2:"));
    assert_non_null(strstr(o.text.data, "\"operationId\" of the step must be a string, not number"));
    done(&o);
}

/* The list of problems is bounded, the count is not. */
static void test_many_problems(void **state)
{
    (void)state;
    struct buf text = BUF_INIT((size_t)1 << 20);
    buf_lit(&text, "arazzo: 1.0.0\ninfo: {title: T, version: '1'}\nsourceDescriptions: [{name: s, url: "
                   "a}]\nworkflows:\n");
    for (int i = 0; i < 300; i++) buf_printf(&text, "- {workflowId: w%d, steps: []}\n", i);
    buf_byte(&text, 0);
    struct outcome o;
    parse(&o, text.data);
    assert_int_equal(o.status, STATUS_INVALID);
    assert_int_equal(o.problems.count, WORKFLOW_PROBLEMS_MAX);
    assert_int_equal(o.problems.error_count, 300);
    assert_true(o.problems.truncated);
    done(&o);
    buf_fini(&text);
}

/* From a file; a missing one is NOT_FOUND, a folder is refused. */
static void test_load(void **state)
{
    (void)state;
    char folder[] = "/tmp/cairn-document-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/w.yml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(good, file);
    fclose(file);
    struct outcome o = {.arena = arena_new((size_t)1 << 20)};
    workflow_problems_init(&o.problems, o.arena);
    assert_int_equal(workflow_document_load(o.arena, path, &o.problems, &o.error, &o.document), STATUS_OK);
    assert_true(str_eq(o.document->file, str_of(path)));
    assert_int_equal(workflow_document_load(o.arena, folder, &o.problems, &o.error, &o.document), STATUS_INVALID);
    unlink(path);
    assert_int_equal(workflow_document_load(o.arena, path, &o.problems, &o.error, &o.document), STATUS_NOT_FOUND);
    assert_int_equal(o.problems.error_count, 2);
    rmdir(folder);
    arena_free(o.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_slips), cmocka_unit_test(test_json),
        cmocka_unit_test(test_many_problems), cmocka_unit_test(test_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
