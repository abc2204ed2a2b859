/* Runs tests/golden/arazzo/NAME.txt (see the README there): runtime expressions, texts with expressions in them, and
 * conditions of every type, with the verdicts that the tests of others agree on. */
#include "workflow/condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES ((size_t)1 << 20)

struct golden {
    struct arena *arena;
    const char *file;
    unsigned line, cases, failures;
    struct json parts;
    struct json around; /* what the case sees */
    struct workflow_response response;
    struct expression_context context;
};

static void complain(struct golden *g, const char *what, struct str got)
{
    g->failures++;
    print_error("%s:%u: %s: %s %.*s\n", g->file, g->line, json_at(&g->parts, 0)->string.data, what, (int)got.size,
                got.data ? got.data : "");
}

static void look_around(struct golden *g)
{
    const struct json *status = json_member(&g->around, "status"), *body = json_member(&g->around, "body");
    g->response = (struct workflow_response){.status = status ? (unsigned)status->integer : 200};
    g->context = (struct expression_context){.inputs = json_member(&g->around, "inputs"),
                                             .outputs = json_member(&g->around, "outputs"),
                                             .steps = json_member(&g->around, "steps"),
                                             .response = &g->response,
                                             .response_body = body};
}

static void check_expression(struct golden *g)
{
    struct expression e;
    size_t size;
    bool is = expression_parse(json_at(&g->parts, 0)->string, EXPRESSION_WHOLE, NULL, &e, &size) == STATUS_OK;
    if (is != json_at(&g->parts, 1)->boolean) complain(g, is ? "is one" : "is none", STR(""));
}

static void check_template(struct golden *g)
{
    struct error error = ERROR_INIT;
    const struct json *value;
    struct str wanted = json_at(&g->parts, 1)->string;
    if (expression_string(g->arena, &g->context, json_at(&g->parts, 0)->string, &error, &value) != STATUS_OK)
        complain(g, "fails:", str_of(error.primary));
    else if (!value || value->type != JSON_STRING || !str_eq(value->string, wanted))
        complain(g, "becomes", value && value->type == JSON_STRING ? value->string : STR("no text"));
}

static void check_condition(struct golden *g)
{
    struct json node = JSON_OBJECT_EMPTY;
    const struct json *wanted = json_at(&g->parts, 2);
    bool simple = str_is(json_at(&g->parts, 0)->string, "simple"), holds = false;
    struct condition condition;
    struct condition_remark remark;
    struct error error = ERROR_INIT;
    struct buf message = BUF_INIT(FILE_BYTES);
    assert_int_equal(json_put(g->arena, &node, STR("type"), *json_at(&g->parts, 0)), STATUS_OK);
    assert_int_equal(json_put(g->arena, &node, STR("condition"), *json_at(&g->parts, 1)), STATUS_OK);
    if (!simple)
        assert_int_equal(json_put(g->arena, &node, STR("context"), json_string(STR("$response.body"))), STATUS_OK);
    enum status status = condition_compile(g->arena, &node, &error, &remark, &condition);
    struct str text = json_at(&g->parts, 1)->string;
    if ((status == STATUS_OK) != (wanted->type != JSON_NULL)) {
        complain(g, status == STATUS_OK ? "should be malformed:" : "cannot be read:", text);
    } else if (wanted->type == JSON_BOOL) {
        assert_int_equal(condition_evaluate(g->arena, &condition, &g->context, &message, &holds), STATUS_OK);
        if (holds != wanted->boolean) complain(g, holds ? "holds:" : "does not hold:", text);
    }
    buf_fini(&message);
}

static void run(const char *name, void (*check)(struct golden *g), unsigned cases_min)
{
    struct golden g = {.arena = arena_new((size_t)16 << 20), .file = name, .around = JSON_OBJECT_EMPTY};
    char path[500], *text = arena_alloc(g.arena, FILE_BYTES);
    snprintf(path, sizeof path, CAIRN_SOURCE_DIR "/tests/golden/arazzo/%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct str rest = {text, fread(text, 1, FILE_BYTES, file)}, line;
    fclose(file);
    while (str_next_part(&rest, '\n', &line)) {
        struct error error = ERROR_INIT;
        struct json value;
        g.line++;
        if (!line.size || line.data[0] == '#') continue;
        if (json_parse(g.arena, line, NULL, &error, &value) != STATUS_OK)
            fail_msg("%s:%u: %s", name, g.line, error.primary);
        if (value.type == JSON_OBJECT) {
            g.around = value;
            continue;
        }
        g.parts = value;
        g.cases++;
        look_around(&g);
        check(&g);
    }
    assert_true(g.cases >= cases_min);
    print_message("%s: %u cases\n", name, g.cases);
    assert_int_equal(g.failures, 0);
    arena_free(g.arena);
}

static void test_expressions(void **state)
{
    (void)state;
    run("expressions.txt", check_expression, 60);
}

static void test_templates(void **state)
{
    (void)state;
    run("templates.txt", check_template, 25);
}

static void test_conditions(void **state)
{
    (void)state;
    run("conditions.txt", check_condition, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_conditions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
