/* The table of functions: that its rows are well-formed, and how names are found. What they compute is in the golden
 * cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "expr/function.h"

/* Every name is found, and finds its own row: no name has two rows. Every strict row accepts something for each
 * argument it takes, says what it gives, and can be run. */
static void rows_are_whole(void **unused)
{
    (void)unused;
    unsigned count = 0;
    for (const struct function *row = expr_functions; row->name; row++, count++) {
        assert_ptr_equal(expr_function(str_of(row->name), row->operator), row);
        assert_true(row->min <= row->max);
        assert_int_not_equal(row->result, 0);
        bool strict = row->form == FORM_STRICT || row->form == FORM_CAST;
        assert_int_equal(row->run != NULL, strict);
        for (uint32_t arg = 0; arg < row->max && arg < 3; arg++) assert_int_not_equal(expr_accept(row, arg), 0);
    }
    assert_int_equal(count, 52);
}

/* The absent rule says what the type rule does: `undefined` is accepted by none of the arguments, or by the first. The
 * result of a strict row that does not accept it can be undefined only where it says so. */
static void absent_rules(void **unused)
{
    (void)unused;
    for (const struct function *row = expr_functions; row->name; row++) {
        uint16_t accepted = row->accept[0];
        if (row->form == FORM_STRICT) accepted |= (uint16_t)(row->accept[1] | row->accept[2]);
        bool seen = accepted & TYPE(ABSENT);
        if (seen != (row->absent == ABSENT_SEEN)) fail_msg("%s", row->name);
    }
}

/* A template or a reason for each row, never both; braces name arguments that there are, in a known representation. */
static void sql_forms(void **unused)
{
    (void)unused;
    unsigned with = 0;
    for (const struct function *row = expr_functions; row->name; row++) {
        const char *forms[] = {row->sql.boolean, row->sql.number, row->sql.text};
        bool any = forms[0] || forms[1] || forms[2];
        if (any == (row->sql.reason != NULL)) fail_msg("%s", row->name);
        with += any;
        if (forms[0]) assert_true(row->result & TYPE(BOOL));
        if (forms[1]) assert_true(row->result & TYPES_NUMBER);
        if (forms[2]) assert_true(row->result & TYPE(STRING));
        for (size_t i = 0; i < 3; i++) {
            for (const char *at = forms[i]; at && (at = strchr(at, '{')); at++) {
                bool known = at[1] >= '0' && at[1] - '0' < row->max && at[2] == ':' && strchr("bnstclr", at[3]);
                if (!known || at[4] != '}') fail_msg("%s: %s", row->name, at);
            }
        }
    }
    assert_true(with >= 20);
}

static void names(void **unused)
{
    (void)unused;
    assert_non_null(expr_function(STR("HAS_PREFIX"), false));
    assert_null(expr_function(STR("and"), false));
    assert_null(expr_function(STR("=="), false));
    assert_null(expr_function(STR("has_prefi"), false));
    assert_null(expr_function(STR(""), false));
}

/* Only a few letters away counts, and operators are never proposed. */
static void near_names(void **unused)
{
    (void)unused;
    assert_string_equal(expr_function_near(STR("lowr")), "lower");
    assert_string_equal(expr_function_near(STR("hasprefix")), "has_prefix");
    assert_string_equal(expr_function_near(STR("REGEXMATCH")), "regex_match");
    assert_string_equal(expr_function_near(STR("roud")), "round");
    assert_string_equal(expr_function_near(STR("today")), "TODAY");
    assert_null(expr_function_near(STR("xyzzy")));
    assert_null(expr_function_near(STR("nonsense_function_of_mine")));
}

/* Saturation of whole numbers in every form a number has. */
static void whole_numbers(void **unused)
{
    (void)unused;
    int64_t whole;
    struct value big = value_str(STR("123456789012345678901234567890")),
                 fraction = value_str(STR("0.10000000000000000000001"));
    big.type = fraction.type = VALUE_BIGNUM;
    assert_true(expr_whole(value_int(-7), &whole) && whole == -7);
    assert_true(expr_whole(value_number(1e300), &whole) && whole == INT64_MAX);
    assert_true(expr_whole(value_number(-1e300), &whole) && whole == INT64_MIN);
    assert_true(expr_whole((struct value){.type = VALUE_DOUBLE, .number = -0.0}, &whole) && whole == 0);
    assert_true(expr_whole(big, &whole) && whole == INT64_MAX);
    assert_false(expr_whole(fraction, &whole));
    assert_false(expr_whole(value_number(0.5), &whole));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_whole), cmocka_unit_test(absent_rules),
                                       cmocka_unit_test(sql_forms),      cmocka_unit_test(names),
                                       cmocka_unit_test(near_names),     cmocka_unit_test(whole_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
