/* Runtime expressions: what parses where, what it names, and what it is worth (checklist EX-1 to EX-12,
 * PAR-3, BODY-3). */
#include "workflow/expression.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct arena *arena;
static struct expression_context context;
static struct json inputs, steps, query, body;
static struct workflow_response response;

static const struct json *json_of(const char *text)
{
    struct json *value = arena_alloc(arena, sizeof *value);
    assert_int_equal(json_parse(arena, str_of(text), NULL, NULL, value), STATUS_OK);
    return value;
}

static int setup(void **state)
{
    static const struct workflow_header headers[] = {{STR("Content-Type"), STR("application/json")},
                                                     {STR("X-Rate"), STR("7")}};
    (void)state;
    arena = arena_new((size_t)16 << 20);
    inputs =
        *json_of("{\"n\":42,\"s\":\"text\",\"b\":false,\"z\":null,\"a.b\":\"dotted\",\"o\":{\"p\":{\"q\":[10,20]}},"
                 "\"l\":[1,\"x\",null],\"s p\":1}");
    steps = *json_of("{\"one\":{\"out\":{\"k/1\":5},\"v.w\":6}}");
    query = *json_of("{\"filter[x]\":\"f\",\"$top\":3}");
    body = *json_of("{\"items\":[{\"id\":\"i0\"},{\"id\":\"i1\"}],\"a "
                    "b\":1,\"~t\":2,\"$d\":3,\"x-y\":4,\"\":5,\"\xC3\xA9\":6}");
    response = (struct workflow_response){.status = 201, .headers = headers, .header_count = 2};
    context = (struct expression_context){
        .inputs = &inputs,
        .steps = &steps,
        .url = STR("http://h/p?q=1"),
        .method = STR("POST"),
        .request_query = &query,
        .response = &response,
        .response_body = &body,
    };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void gives(const char *text, const char *json)
{
    const struct json *value;
    struct error error = ERROR_INIT;
    if (expression_string(arena, &context, str_of(text), &error, &value) != STATUS_OK)
        fail_msg("%s: %s", text, error.primary);
    struct buf buf = BUF_INIT((size_t)1 << 20);
    if (value)
        json_write(&buf, value);
    else
        buf_lit(&buf, "(absent)");
    char *written = arena_cstr(arena, buf_str(&buf));
    buf_fini(&buf);
    if (strcmp(written, json) != 0) fail_msg("%s gives %s, not %s", text, written, json);
}

/* Every root, types kept (EX-2), absent where nothing is. */
static void test_values(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"$inputs.n", "42"},
        {"$inputs.s", "\"text\""},
        {"$inputs.b", "false"},
        {"$inputs.z", "null"},
        {"$inputs.l", "[1,\"x\",null]"},
        {"$inputs.nope", "(absent)"},
        {"$inputs.a.b", "\"dotted\""}, /* the whole name first */
        {"$inputs.o.p.q[1]", "20"},    /* EX-12 */
        {"$inputs.o.p.x", "(absent)"},
        {"$inputs.o#/p/q/0", "10"},
        {"$inputs.o#", "{\"p\":{\"q\":[10,20]}}"},
        {"$inputs.o.p#/q", "[10,20]"},
        {"$steps.one.outputs.out", "{\"k/1\":5}"},
        {"$steps.one.outputs.out#/k~11", "5"},
        {"$steps.one.outputs.v.w", "6"},
        {"$steps.two.outputs.out", "(absent)"},
        {"$url", "\"http://h/p?q=1\""}, /* EX-7 */
        {"$method", "\"POST\""},        /* EX-8 */
        {"$statusCode", "201"},
        {"$response.header.x-rate", "\"7\""}, /* EX-5 */
        {"$response.header.nope", "(absent)"},
        {"$request.query.filter[x]", "\"f\""},
        {"$request.query.$top", "3"},
        {"$request.query.Filter[x]", "(absent)"},
        {"$request.body", "(absent)"},
        {"$response.body#/items/1/id", "\"i1\""},
        {"$response.body#/items/2", "(absent)"}, /* EX-4 */
        {"$response.body#/items/-", "(absent)"},
        {"$response.body#/items/00", "(absent)"},
        {"$response.body#/a b", "1"},
        {"$response.body#/~0t", "2"},
        {"$response.body#/$d", "3"},
        {"$response.body#/x-y", "4"},
        {"$response.body#/", "5"},
        {"$response.body#/\xC3\xA9", "6"},
        {"$response.body.items[0].id", "\"i0\""},
        {"$response.body.items[7].id", "(absent)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) gives(cases[i][0], cases[i][1]);
}

/* What is no expression stays as it is; braces embed (EX-3, BODY-3, BODY-5, PAR-3). */
static void test_texts(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"plain", "\"plain\""},
        {"", "\"\""},
        {"$5", "\"$5\""},
        {"$foo", "\"$foo\""},
        {"$", "\"$\""},
        {"$inputs", "\"$inputs\""},
        {"$inputs.", "\"$inputs.\""},
        {"$statusCodes", "\"$statusCodes\""},
        {"$inputs.n and more", "\"$inputs.n and more\""},
        {"pre $inputs.n post", "\"pre $inputs.n post\""},
        {"$steps.one.out", "\"$steps.one.out\""},
        {"$steps.one or two.out", "\"$steps.one or two.out\""},
        {"$response.body#nope", "\"$response.body#nope\""},
        {"$response.body#/~2", "\"$response.body#/~2\""},
        {"{$inputs.n}", "\"42\""},
        {"a{$inputs.s}b{$inputs.n}c", "\"atextb42c\""},
        {"[{$inputs.nope}]", "\"[]\""},
        {"{$inputs.o} {$inputs.z} {$inputs.b}", "\"{\\\"p\\\":{\\\"q\\\":[10,20]}} null false\""},
        {"{id} {$foo} {\"a\": 1} {}", "\"{id} {$foo} {\\\"a\\\": 1} {}\""},
        {"{\"k\":\"{$inputs.s}\",\"o\":{$inputs.o}}",
         "\"{\\\"k\\\":\\\"text\\\",\\\"o\\\":{\\\"p\\\":{\\\"q\\\":[10,20]}}}\""},
        {"{$inputs.n", "\"{$inputs.n\""},
        {"{{$inputs.n}}", "\"{42}\""},
        {"{$response.body#/a b}", "\"1\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) gives(cases[i][0], cases[i][1]);
}

/* Trees: keys are left alone, absent members go, absent items become null (PAR-8). */
static void test_trees(void **state)
{
    (void)state;
    const struct json *value;
    struct error error = ERROR_INIT;
    const struct json *tree =
        json_of("{\"$inputs.n\":\"$inputs.n\",\"gone\":\"$inputs.nope\",\"l\":[\"$inputs.nope\",\"$inputs.b\",1.5,"
                "true],\"deep\":{\"x\":\"{$inputs.s}!\",\"n\":null}}");
    assert_int_equal(expression_tree(arena, &context, tree, &error, &value), STATUS_OK);
    struct buf buf = BUF_INIT(4096);
    json_write(&buf, value);
    buf_byte(&buf, 0);
    assert_string_equal(buf.data,
                        "{\"$inputs.n\":42,\"l\":[null,false,1.5,true],\"deep\":{\"x\":\"text!\",\"n\":null}}");
    buf_fini(&buf);
    assert_int_equal(expression_tree(arena, &context, json_of("\"$inputs.nope\""), &error, &value), STATUS_OK);
    assert_null(value);
}

/* A body that claims to be JSON but is not may be shown whole; looking inside is an error (EX-9). */
static void test_malformed_body(void **state)
{
    (void)state;
    const struct json *value;
    struct error error = ERROR_INIT;
    struct json text = json_string(STR("{oops"));
    context.response_body = &text;
    context.response_body_malformed = true;
    gives("$response.body", "\"{oops\"");
    assert_int_equal(expression_string(arena, &context, STR("$response.body#/a"), &error, &value), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "content type promises"));
    context.response_body = &body;
    context.response_body_malformed = false;
}

/* The parser says where in the text it stopped and what it names. */
static void test_parsing(void **state)
{
    (void)state;
    struct expression e;
    struct error error = ERROR_INIT;
    size_t size;
    assert_int_equal(expression_parse(STR("$steps.a-b_1.outputs.x.y#/p~1q"), EXPRESSION_WHOLE, &error, &e, &size),
                     STATUS_OK);
    assert_int_equal(e.root, EXPRESSION_STEPS);
    assert_true(str_is(e.id, "a-b_1") && str_is(e.name, "x.y") && str_is(e.pointer, "/p~1q"));
    assert_int_equal(expression_parse(STR("$workflows.a b.inputs.x"), EXPRESSION_EMBEDDED, &error, &e, &size),
                     STATUS_OK);
    assert_true(str_is(e.id, "a b") && str_is(e.name, "x"));
    assert_int_equal(expression_parse(STR("$steps.a b.outputs.x"), EXPRESSION_CONDITION, &error, &e, &size),
                     STATUS_INVALID);
    assert_int_equal(expression_parse(STR("$workflows.w.inputs.x"), EXPRESSION_WHOLE, &error, &e, &size), STATUS_OK);
    assert_int_equal(e.root, EXPRESSION_WORKFLOW_INPUTS);
    assert_int_equal(expression_parse(STR("$components.parameters.x"), EXPRESSION_WHOLE, &error, &e, &size), STATUS_OK);
    assert_int_equal(expression_parse(STR("$sourceDescriptions.s.url"), EXPRESSION_WHOLE, &error, &e, &size),
                     STATUS_OK);
    assert_int_equal(expression_parse(STR("$response.body#/a==1"), EXPRESSION_CONDITION, &error, &e, &size), STATUS_OK);
    assert_int_equal(size, strlen("$response.body#/a"));
    assert_int_equal(expression_parse(STR("$inputs.n)"), EXPRESSION_CONDITION, &error, &e, &size), STATUS_OK);
    assert_int_equal(size, strlen("$inputs.n"));

    static const struct {
        const char *text;
        unsigned column;
    } bad[] = {{"$nope", 1},
               {"$inputs.", 9},
               {"$steps..outputs.x", 8},
               {"$steps.a b.output.x", 9},
               {"$steps.a b#.outputs.x", 9},
               {"$steps.a.output.x", 9},
               {"$request.foo", 10},
               {"$response.query.x", 11},
               {"$inputs.a b", 10},
               {"$url.x", 5},
               {"$components.schemas.x", 21},
               {"$response.body#x", 16},
               {"$inputs.a[x]", 10}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(expression_parse(str_of(bad[i].text), EXPRESSION_WHOLE, &error, &e, &size), STATUS_INVALID);
        if (error.column != bad[i].column) fail_msg("%s: column %u, not %u", bad[i].text, error.column, bad[i].column);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),         cmocka_unit_test(test_texts),   cmocka_unit_test(test_trees),
        cmocka_unit_test(test_malformed_body), cmocka_unit_test(test_parsing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
