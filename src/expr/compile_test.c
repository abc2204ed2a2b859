/* What the compiler says about an expression (columns, type, constant), its limits, and its memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/buf.h"
#include "expr/expr.h"

static struct arena *arena;

static const struct expr *compile(const char *text)
{
    const struct expr *expr = NULL;
    struct error error = ERROR_INIT;
    enum status status = expr_compile(arena, str_of(text), NULL, &error, &expr);
    if (status != STATUS_OK) fail_msg("%s: %s", text, error.primary);
    return expr;
}

/* `count` times a text, between two others. */
static enum status compile_repeated(const char *before, const char *unit, size_t count, const char *after,
                                    struct error *error)
{
    struct buf text = BUF_INIT(1 << 20);
    const struct expr *expr;
    buf_str_add(&text, str_of(before));
    for (size_t i = 0; i < count; i++) buf_str_add(&text, str_of(unit));
    buf_str_add(&text, str_of(after));
    *error = ERROR_INIT;
    enum status status = expr_compile(arena, buf_str(&text), NULL, error, &expr);
    buf_fini(&text);
    return status;
}

/* Each column once, in order of appearance; the same name under another root is another column. */
static void columns(void **unused)
{
    (void)unused;
    size_t count;
    const struct expr_column *found = expr_columns(
        compile("properties['b'] == user['b'] and event['b'] == behaviors['c'] or properties['a'] == 1"), &count);
    assert_int_equal(count, 4);
    assert_true(found[0].root == EXPR_PROPERTY && str_is(found[0].name, "b"));
    assert_true(found[1].root == EXPR_USER && str_is(found[1].name, "b"));
    assert_true(found[2].root == EXPR_BEHAVIOR && str_is(found[2].name, "c"));
    assert_true(found[3].root == EXPR_PROPERTY && str_is(found[3].name, "a"));
    expr_columns(compile("1 + 1"), &count);
    assert_int_equal(count, 0);
}

static void result_types(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        enum expr_type type;
    } cases[] = {
        {"properties['a']", EXPR_ANY},
        {"properties['a'] > 1", EXPR_BOOL},
        {"not properties['a']", EXPR_BOOL},
        {"properties['a'] and properties['b']", EXPR_BOOL},
        {"'x' in properties['a']", EXPR_BOOL},
        {"properties['a'] - 1", EXPR_NUMBER},
        {"properties['a'] + 1",
         EXPR_ANY}, /* a string might be added to: only undefined then, but that is not tracked */
        {"len(properties['a'])", EXPR_NUMBER},
        {"upper(properties['a'])", EXPR_STRING},
        {"string(properties['a'])", EXPR_STRING},
        {"string(properties['a'], 'none')", EXPR_STRING},
        {"string(properties['a'], 0)", EXPR_ANY},
        {"if(properties['a'], 1, 2)", EXPR_NUMBER},
        {"if(properties['a'], 1, 'b')", EXPR_ANY},
        {"ifs(properties['a'], 'x', properties['b'], 'y')", EXPR_STRING},
        {"let(x, properties['a'] * 2, x * x)", EXPR_NUMBER},
        {"any(X, properties['a'], X == 1)", EXPR_BOOL},
        {"map(X, properties['a'], X)", EXPR_ANY},
        {"undefined", EXPR_ANY},
        {"1 + 1", EXPR_ANY},
        {"2 - 1", EXPR_NUMBER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (expr_result_type(compile(cases[i].text)) != cases[i].type) fail_msg("type of %s", cases[i].text);
    }
}

/* Whatever reads no column is computed at once, also inside something that does. */
static void constants(void **unused)
{
    (void)unused;
    struct value v;
    assert_true(expr_constant(compile("sum(map(X, [1,2,3], X * 2)) + len('abc')"), &v));
    assert_true(v.type == VALUE_INT && v.integer == 15);
    assert_true(expr_constant(compile("upper('a') + let(x, 'b', x + x)"), &v));
    assert_true(v.type == VALUE_STRING && str_is(value_text(v), "Abb"));
    assert_false(expr_constant(compile("properties['a'] == 1 + 1"), &v));
    assert_false(expr_constant(compile("any(X, properties['l'], true)"), &v));
}

/* One step below a limit compiles, one above is refused as LIMIT or INVALID, never by running out of stack. */
static void limits(void **unused)
{
    (void)unused;
    struct error error;
    assert_int_equal(compile_repeated("", "(", 199, "1", &error), STATUS_INVALID);
    assert_int_equal(compile_repeated("", "(", 201, "1", &error), STATUS_LIMIT);
    assert_int_equal(error.column, 202);
    assert_int_equal(compile_repeated("", "(", 19000, "1", &error), STATUS_LIMIT);
    assert_int_equal(compile_repeated("", "[", 19000, "1", &error), STATUS_LIMIT);
    assert_int_equal(compile_repeated("", "not ", 4900, "1", &error), STATUS_LIMIT);
    assert_int_equal(compile_repeated("", "-", 19000, "1", &error), STATUS_LIMIT);
    assert_int_equal(compile_repeated("", "if(", 6000, "1", &error), STATUS_LIMIT);
    assert_int_equal(compile_repeated("", "-", 200, "1", &error), STATUS_OK);
    assert_int_equal(compile_repeated("1", "+1", 1000, "", &error), STATUS_OK);
    assert_int_equal(compile_repeated("1", "+1", 1001, "", &error), STATUS_LIMIT);
    assert_int_equal(compile_repeated("properties['a']", "+1", 1000, "", &error), STATUS_OK);
    assert_int_equal(compile_repeated("properties['a']", "[0]", 1001, "", &error), STATUS_LIMIT);
    assert_int_equal(compile_repeated("true", " or true", 2000, "", &error), STATUS_OK);
    assert_int_equal(compile_repeated("properties['a']", " and properties['a']", 990, "", &error), STATUS_OK);
    assert_int_equal(compile_repeated("1 in [1", ",1", 9900, "]", &error), STATUS_OK);
    assert_int_equal(compile_repeated("[", "1,", 9990, "1]", &error), STATUS_OK);
    assert_int_equal(compile_repeated("1", " ", 20000, "", &error), STATUS_LIMIT);
    assert_int_equal(compile_repeated("let(x, properties['a'], [1", ",-x", 900, "])", &error), STATUS_OK);
    assert_int_equal(compile_repeated("let(x, properties['a'], [1", ",-x", 2000, "])", &error), STATUS_LIMIT);
    assert_non_null(strstr(error.primary, "values at the same time"));
}

/* Constants that cost too much to compute are left for the evaluation; the compiler does not hang on them. */
static void costly_constants(void **unused)
{
    (void)unused;
    struct error error;
    struct value v;
    const struct expr *expr =
        compile("let(l, split('a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a', ' '),"
                "any(a,l,any(b,l,any(c,l,any(d,l,any(e,l,a+b+c+d+e == 'x'))))))");
    assert_false(expr_constant(expr, &v));
    struct expr_state *state = expr_state_new(expr, 1 << 20);
    struct vector result;
    assert_int_equal(expr_eval(state, NULL, 1, &error, &result), STATUS_LIMIT);
    expr_state_free(state);
}

/* Text that is not UTF-8 is refused where it stops being so. */
static void invalid_utf8(void **unused)
{
    (void)unused;
    const struct expr *expr;
    struct error error = ERROR_INIT;
    assert_int_equal(expr_compile(arena, STR("'ab\xff'"), NULL, &error, &expr), STATUS_INVALID);
    assert_int_equal(error.column, 4);
}

/* Whatever the arena's budget, the answer is OK or LIMIT, and nothing leaks: patterns are freed with the arena. */
static void small_arenas(void **unused)
{
    (void)unused;
    bool succeeded = false;
    for (size_t budget = 0; budget < 40000; budget += 500) {
        struct arena *small = arena_new(budget);
        const struct expr *expr;
        struct error error = ERROR_INIT;
        enum status status = expr_compile(small,
                                          STR("regex_match(properties['a'], 'x+') and properties['b'] in "
                                              "['a','b','c','d','e','f','g','h','i','j'] or upper('x') == 'X'"),
                                          NULL, &error, &expr);
        assert_true(status == STATUS_OK || status == STATUS_LIMIT);
        succeeded |= status == STATUS_OK;
        arena_free(small);
    }
    assert_true(succeeded);
}

static void keeps_numbers(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        bool keeps;
    } cases[] = {
        {"properties['a']", true},
        {"number(properties['a'])", true},
        {"NUMBER(number(user['a']))", true},
        {"number(properties['a'], 0)", false},
        {"-properties['a']", false},
        {"round(properties['a'])", false},
        {"string(number(properties['a']))", false},
        {"number(5)", false},
        {"number(properties['a']['b'])", false},
        {"if(true, properties['a'], properties['b'])", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct expr *expr;
        struct error error = ERROR_INIT;
        assert_int_equal(expr_compile(arena, str_of(cases[i].text), NULL, &error, &expr), STATUS_OK);
        assert_int_equal(expr_keeps_numbers(expr), cases[i].keeps);
    }
}

/* Errors name what they found and propose something. */
static void hints(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *hint;
        bool formula, known;
    } cases[] = {
        {"lenn('a')", "did you mean \"len\"?", false, false},
        {"plan == 'x'", "a name is a letter of the formula, or bound by let, map or the like; a text is \"plan\"", true,
         false},
        {"plan == 'x'", "write properties[\"plan\"], or \"plan\" for a text", false, true},
        {"len", "a function needs its arguments in parentheses", true, false},
        {"len", "a function needs its arguments in parentheses", false, true},
        {"properties", "write properties[\"name\"]", false, false},
        {"1 < 2 < 3", "comparisons cannot be chained: join them with \"and\"", false, false},
        {"1 == not 2", "put the \"not\" part into parentheses", false, false},
        {"'abc", "add a ' at its end", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct expr *expr;
        struct error error = ERROR_INIT;
        struct expr_options options = {.formula = cases[i].formula, .unknown_names_refused = cases[i].known};
        assert_int_equal(expr_compile(arena, str_of(cases[i].text), &options, &error, &expr), STATUS_INVALID);
        assert_string_equal(error.hint, cases[i].hint);
    }
}

static int setup(void **unused)
{
    (void)unused;
    arena = arena_new((size_t)64 << 20);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(columns, setup, teardown),
        cmocka_unit_test_setup_teardown(result_types, setup, teardown),
        cmocka_unit_test_setup_teardown(constants, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(costly_constants, setup, teardown),
        cmocka_unit_test_setup_teardown(invalid_utf8, setup, teardown),
        cmocka_unit_test_setup_teardown(small_arenas, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(hints, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
