/* Conditions of type `simple`: a truth table (checklist CR-4), and what is no condition, with positions. */
#include "workflow/criterion.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct arena *arena;
static struct expression_context context;

static int setup(void **state)
{
    static struct json inputs, body;
    static const struct workflow_header headers[] = {{STR("Content-Type"), STR("application/json")}};
    static const struct workflow_response response = {.status = 200, .headers = headers, .header_count = 1};
    (void)state;
    arena = arena_new((size_t)16 << 20);
    assert_int_equal(
        json_parse(arena,
                   STR("{\"t\":true,\"f\":false,\"z\":null,\"zero\":0,\"e\":\"\",\"n\":\"42\",\"s\":\"Hello\","
                       "\"big\":12345678901234567890}"),
                   NULL, NULL, &inputs),
        STATUS_OK);
    assert_int_equal(json_parse(arena,
                                STR("{\"ok\":true,\"list\":[{\"id\":3},4],\"o\":{\"a\":1},\"s\":\"it's\",\"d\":1.5}"),
                                NULL, NULL, &body),
                     STATUS_OK);
    context = (struct expression_context){
        .inputs = &inputs, .response = &response, .response_body = &body, .method = STR("GET")};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static bool holds(const char *condition)
{
    struct criterion *criterion;
    struct error error = ERROR_INIT;
    bool result = false;
    if (criterion_compile(arena, str_of(condition), &error, &criterion) != STATUS_OK) fail_msg("%s", error.primary);
    assert_int_equal(criterion_evaluate(arena, criterion, &context, &error, &result), STATUS_OK);
    return result;
}

static void test_truth(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "$statusCode == 200",
        "$statusCode==200",
        "  $statusCode\t== 2e2 ",
        "200 == $statusCode",
        "$statusCode != 404",
        "$statusCode >= 200 && $statusCode < 300",
        "$statusCode > 199.5",
        "$statusCode <= 200",
        "-1 < 0",
        "1.50 == 1.5",
        "$response.body#/ok == true",
        "$response.body#/ok",
        "!$inputs.f",
        "!!$inputs.t",
        "!($statusCode == 404)",
        "$inputs.z == null",
        "$inputs.nope == null",
        "null == null",
        "$response.body#/nope == null",
        "$inputs.s == 'hello'",
        "$inputs.s == 'HELLO'",
        "'a' < 'B'",
        "'b' > 'A'",
        "$response.header.content-type == 'APPLICATION/json'",
        "$inputs.n == 42",
        "42 == $inputs.n",
        "$inputs.n < 43",
        "$inputs.n == '42'",
        "$inputs.n == ' 42'|| true",
        "$response.body.list[0].id == 3",
        "$response.body#/list/1 == 4",
        "$response.body.list[1] > 3",
        "$response.body.o.a == 1",
        "$response.body#/s == 'it''s'",
        "($response.body).o.a == 1",
        "$method == 'get'",
        "true || false && false",
        "(true || false) && true",
        "false || false || true",
        "!false && true",
        "$inputs.big == 12345678901234567890",
        "$inputs.big > 1",
        "$response.body#/o",
        "$response.body#/list",
        "$inputs.s",
        "1",
        "'x'",
        "$inputs.t != 'true'",
        "$response.body#/d == 1.5",
        "$inputs.s<'help'",
    };
    static const char *const no[] = {
        "$statusCode == 201",
        "$statusCode == '2xx'",
        "$inputs.f",
        "$inputs.z",
        "$inputs.zero",
        "$inputs.e",
        "$inputs.nope",
        "null",
        "0",
        "''",
        "false",
        "!$inputs.t",
        "$inputs.z < 1",
        "$inputs.z >= 0",
        "$inputs.nope != null",
        "null <= null",
        "$inputs.t == 1",
        "$inputs.t == 'true'",
        "$inputs.s > 5",
        "$response.body#/o > 1",
        "$response.body#/o == 1",
        "true && false",
        "false || false",
        "!(true || false)",
        "$inputs.s == 'hell'",
        "$inputs.big == 12345678901234567891",
        "$response.body.list[9].id == 3",
        "$inputs.zero == null",
        "$inputs.e == null",
    };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (!holds(yes[i])) fail_msg("%s should hold", yes[i]);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        if (holds(no[i])) fail_msg("%s should not hold", no[i]);
    }
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *condition, *reason;
        unsigned column;
    } cases[] = {
        {"", "a value is missing", 1},
        {"$statusCode ==", "a value is missing", 15},
        {"$statusCode = 200", "unexpected text", 13},
        {"1 < 2 < 3", "cannot be chained", 8},
        {"$statusCode == 200 &&", "a value is missing", 22},
        {"($statusCode == 200", "parenthesis is not closed", 20},
        {"$statusCode == 200)", "unexpected text", 19},
        {"'open", "quote is not closed", 6},
        {"\"double\"", "expected a $expression", 1},
        {"$nope == 1", "malformed expression", 1},
        {"$inputs. == 1", "a name is missing", 9},
        {"abc == 1", "expected a $expression", 1},
        {"1x", "malformed number", 1},
        {"01", "malformed number", 1},
        {"$response.body#/a[ ==1 1", "unexpected text", 24},
        {"($inputs.s)[", "index is missing", 13},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct criterion *criterion;
        struct error error = ERROR_INIT;
        assert_int_equal(criterion_compile(arena, str_of(cases[i].condition), &error, &criterion), STATUS_INVALID);
        if (!strstr(error.primary, cases[i].reason) || error.column != cases[i].column)
            fail_msg("%s: column %u: %s", cases[i].condition, error.column, error.primary);
    }
}

/* Nesting and length are bounded. */
static void test_bounds(void **state)
{
    (void)state;
    struct criterion *criterion;
    struct error error = ERROR_INIT;
    struct buf buf = BUF_INIT((size_t)1 << 16);
    buf_fill(&buf, '(', 10000);
    assert_int_equal(criterion_compile(arena, buf_str(&buf), &error, &criterion), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "nested too deeply"));
    buf_reset(&buf);
    buf_fill(&buf, '!', 10000);
    assert_int_equal(criterion_compile(arena, buf_str(&buf), &error, &criterion), STATUS_INVALID);
    buf_reset(&buf);
    for (int i = 0; i < 2000; i++) buf_lit(&buf, "1&&");
    buf_lit(&buf, "1");
    assert_int_equal(criterion_compile(arena, buf_str(&buf), &error, &criterion), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "too long"));
    buf_fini(&buf);
}

/* Why a criterion failed: each expression with its value. */
static void test_explanation(void **state)
{
    (void)state;
    struct criterion *criterion;
    struct error error = ERROR_INIT;
    struct buf buf = BUF_INIT(4096);
    assert_int_equal(
        criterion_compile(arena, STR("$statusCode == 1 || $inputs.nope == $response.body#/o"), &error, &criterion),
        STATUS_OK);
    criterion_explain(arena, criterion, &context, &buf);
    buf_byte(&buf, 0);
    assert_string_equal(buf.data, "$statusCode was 200, $inputs.nope has no value, $response.body#/o was {\"a\":1}");
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truth),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_explanation),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
