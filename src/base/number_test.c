/* Numbers against texts that ECMAScript's Number::toString prints, and against themselves: what is written reads back
 * as the same bits. */
#include "base/number.h"

#include "base/hash.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Shows the layout on both sides of every boundary: 1e21, 1e-6, 2^53, the largest and the smallest double. */
static void test_format(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0"},
        {-0.0, "-0"}, /* unlike ECMAScript: the sign is kept */
        {1.0, "1"},
        {-1.0, "-1"},
        {0.1, "0.1"},
        {-0.5, "-0.5"},
        {100.0, "100"},
        {123.456, "123.456"},
        {4294967296.5, "4294967296.5"},
        {9007199254740992.0, "9007199254740992"},
        {9223372036854775808.0, "9223372036854776000"},
        {123456789012345680000.0, "123456789012345680000"},
        {1e20, "100000000000000000000"},
        {999999999999999900000.0, "999999999999999900000"},
        {1e21, "1e+21"},
        {1.5e21, "1.5e+21"},
        {1e23, "1e+23"},
        {1e100, "1e+100"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {1.0 / 3, "0.3333333333333333"},
        {0.000001, "0.000001"},
        {0.000001234, "0.000001234"},
        {9.5e-7, "9.5e-7"},
        {1.234e-7, "1.234e-7"},
        {-1.5e-10, "-1.5e-10"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {5e-324, "5e-324"},
        {NAN, "NaN"},
        {INFINITY, "Infinity"},
        {-INFINITY, "-Infinity"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[NUMBER_TEXT_MAX + 1];
        size_t size = number_format(cases[i].value, text);
        assert_true(size <= NUMBER_TEXT_MAX);
        text[size] = 0;
        assert_string_equal(text, cases[i].text);
    }
}

/* Shows that 100,000 random bit patterns and as many ordinary numbers read back as themselves, here and by strtod. */
static void test_round_trip(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t bits = hash_u64(i, 3);
        double value, back;
        if (i % 2)
            memcpy(&value, &bits, sizeof value);
        else
            value = (double)(int64_t)(bits >> (bits & 63)) / 1000;
        if (!isfinite(value)) continue;
        char text[NUMBER_TEXT_MAX + 1];
        size_t size = number_format(value, text);
        assert_true(number_parse(str_from(text, size), &back));
        assert_true(bits_of(back) == bits_of(value));
        text[size] = 0;
        assert_true(bits_of(strtod(text, NULL)) == bits_of(value));
    }
}

/* Shows that decimals of few places are written as they are, and that their neighbours are not taken for them. */
static void test_decimals(void **state)
{
    (void)state;
    static const double powers[] = {1, 10, 100, 1000, 10000};
    for (uint64_t i = 0; i < 100000; i++) {
        unsigned places = (unsigned)(hash_u64(i, 5) % 5);
        int64_t integer = (int64_t)(hash_u64(i, 6) >> (14 + hash_u64(i, 7) % 50)) * (i % 2 ? 1 : -1);
        double value = (double)integer / powers[places];
        char text[NUMBER_TEXT_MAX + 1], expected[64];
        if (integer == 0 || llabs(integer) >= 1000000000000000) continue;
        int length = snprintf(expected, sizeof expected, "%.*f", (int)places, value);
        while (places && expected[length - 1] == '0') length--;
        if (expected[length - 1] == '.') length--;
        expected[length] = 0;
        text[number_format(value, text)] = 0;
        assert_string_equal(text, expected);
        double back, beside = nextafter(value, INFINITY);
        size_t size = number_format(beside, text);
        assert_true(number_parse(str_from(text, size), &back) && back == beside);
    }
}

/* Shows which texts are numbers, and that nothing is written for the others. */
static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"0", 0},
        {"-0", -0.0},
        {"+1", 1},
        {"007", 7},
        {".5", 0.5},
        {"5.", 5},
        {"-.5e1", -5},
        {"1e3", 1000},
        {"1E+3", 1000},
        {"1e-3", 0.001},
        {"1e400", HUGE_VAL},
        {"-1e400", -HUGE_VAL},
        {"1e-400", 0},
        {"-1e-400", -0.0},
        {"1e99999999999999999999", HUGE_VAL},
        {"1e-99999999999999999999", 0},
        {"0.000000000000000000001e400", HUGE_VAL},
        {"100000000000000000000e-400", 0},
        {"0e99999", 0},
        {"18446744073709551616", 18446744073709551616.0},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double value = 99;
        if (!number_parse(str_of(good[i].text), &value)) fail_msg("%s was refused", good[i].text);
        if (bits_of(value) != bits_of(good[i].value)) fail_msg("%s read as %g", good[i].text, value);
    }
    static const char *const bad[] = {"",   " 1",   "1 ",       "+",   "-",   ".",     "1e",  "1e+",
                                      "e1", "0x10", "inf",      "nan", "1,5", "1.2.3", "--1", "+-1",
                                      "1f", "1_0",  "infinity", "-.",  ".e1", "1e1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double value = 99;
        if (number_parse(str_of(bad[i]), &value)) fail_msg("\"%s\" was taken", bad[i]);
        assert_true(value == 99);
    }
    double value = 99;
    assert_false(number_parse(STR_NULL, &value));
    assert_false(number_parse(STR("1\0"), &value));
}

/* Shows the range of integers to the last digit. */
static void test_integers(void **state)
{
    (void)state;
    int64_t i = 99;
    assert_true(number_parse_int(STR("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(number_parse_int(STR("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(number_parse_int(STR("+12"), &i) && i == 12);
    i = 99;
    static const char *const bad[] = {
        "9223372036854775808", "-9223372036854775809", "", "+", "-", "+-1", "1.0", " 1", "1 ", "0x1"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) assert_false(number_parse_int(str_of(bad[k]), &i));
    assert_false(number_parse_int(STR_NULL, &i));
    assert_int_equal(i, 99);

    uint64_t u = 99;
    assert_true(number_parse_unsigned(STR("18446744073709551615"), UINT64_MAX, &u) && u == UINT64_MAX);
    assert_true(number_parse_unsigned(STR("100"), 100, &u) && u == 100);
    u = 99;
    assert_false(number_parse_unsigned(STR("101"), 100, &u));
    assert_false(number_parse_unsigned(STR("18446744073709551616"), UINT64_MAX, &u));
    assert_false(number_parse_unsigned(STR("-1"), UINT64_MAX, &u));
    assert_false(number_parse_unsigned(STR("+1"), UINT64_MAX, &u));
    assert_false(number_parse_unsigned(STR(""), UINT64_MAX, &u));
    assert_int_equal(u, 99);

    char text[NUMBER_TEXT_MAX];
    assert_true(str_is(str_from(text, number_format_int(INT64_MIN, text)), "-9223372036854775808"));
    assert_true(str_is(str_from(text, number_format_int(0, text)), "0"));
}

/* Shows that only whole doubles within int64 are integers, and that -0 is not. */
static void test_is_int(void **state)
{
    (void)state;
    int64_t i = 99;
    assert_true(number_is_int(-9223372036854775808.0, &i) && i == INT64_MIN);
    assert_true(number_is_int(9223372036854774784.0, &i) && i == 9223372036854774784);
    assert_true(number_is_int(0.0, &i) && i == 0);
    i = 99;
    assert_false(number_is_int(9223372036854775808.0, &i));
    assert_false(number_is_int(-9223372036854777856.0, &i));
    assert_false(number_is_int(0.5, &i));
    assert_false(number_is_int(-0.0, &i));
    assert_false(number_is_int(NAN, &i));
    assert_false(number_is_int(INFINITY, &i));
    assert_int_equal(i, 99);
}

static int order_of(struct str a, double b)
{
    int order = number_cmp_text_double(a, b);
    char text[NUMBER_EXACT_MAX];
    assert_int_equal(order, number_cmp_text(a, str_from(text, number_format_exact(b, text))));
    return order;
}

/* Shows that texts, integers and doubles are ordered as numbers, where a double in between would make them equal. */
static void test_order(void **state)
{
    (void)state;
    static const char *const ascending[] = {
        "-1e99999999999999999999",
        "-18446744073709551616",
        "-9223372036854775809",
        "-9223372036854775808.000000001",
        "-9223372036854775808",
        "-1.00000000000000000000001",
        "-1",
        "-1e-400",
        "0",
        ".1e-400",
        "00001e-400",
        "0.1",
        "0.1000000000000000055511151231257826",
        "0.1000000000000000055511151231257827021181583404541015625",
        "0.100000000000000005551115123125783",
        "9007199254740992",
        "9007199254740992.00000000000000000001",
        "+9007199254740993.",
        "9223372036854775807",
        "9223372036854775807.5",
        "0009223372036854775808",
        "1e400",
        "1.00000000000000000000000000000001e400",
        "1e99999999999999999999",
    };
    enum { COUNT = sizeof ascending / sizeof *ascending };
    for (int i = 0; i < COUNT; i++) {
        for (int k = 0; k < COUNT; k++) {
            int order = number_cmp_text(str_of(ascending[i]), str_of(ascending[k]));
            if (order != (i > k) - (i < k)) fail_msg("%s and %s: %d", ascending[i], ascending[k], order);
        }
    }
    static const char *const same[] = {"0", "-0", "0.000e9", "+.0", "0e-99999999999999999999"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(number_cmp_text(str_of(same[i]), STR("0")), 0);
        assert_int_equal(order_of(str_of(same[i]), -0.0), 0);
    }
    assert_int_equal(number_cmp_text(STR("12300e-2"), STR("+0.00123E5")), 0);
    assert_int_equal(number_cmp_text_int(STR("9223372036854775808"), INT64_MAX), 1);
    assert_int_equal(number_cmp_text_int(STR("-9223372036854775808.0"), INT64_MIN), 0);
    assert_int_equal(order_of(STR("9223372036854775807"), 9223372036854775808.0), -1);
    assert_int_equal(order_of(STR("0.1"), 0.1), -1);
    assert_int_equal(order_of(STR("0.1000000000000000055511151231257827021181583404541015625"), 0.1), 0);
    assert_int_equal(order_of(STR("0.10000000000000000555111512312578270211815834045410156250000001"), 0.1), 1);
    assert_int_equal(order_of(STR("1.7976931348623158e308"), 1.7976931348623157e308), 1);
    assert_int_equal(order_of(STR("1e-400"), 0.0), 1);
    assert_int_equal(order_of(STR("1e-400"), 5e-324), -1);
    assert_int_equal(number_cmp_text_double(STR("1e400"), (double)INFINITY), -1);
    assert_int_equal(number_cmp_text_double(STR("-1e400"), -(double)INFINITY), 1);
    assert_int_equal(number_cmp_int_double(INT64_MAX, 9223372036854775808.0), -1);
    assert_int_equal(number_cmp_int_double(INT64_MIN, -9223372036854775808.0), 0);
    assert_int_equal(number_cmp_int_double(9007199254740993, 9007199254740992.0), 1);
    assert_int_equal(number_cmp_int_double(-1, -0.5), -1);
    assert_int_equal(number_cmp_int_double(0, -(double)INFINITY), 1);
}

/* Shows that any double, written with all its digits, equals itself and lies between its neighbours. */
static void test_exact(void **state)
{
    (void)state;
    char text[NUMBER_EXACT_MAX];
    uint64_t bits = 1;
    for (unsigned i = 0; i < 3000; i++) {
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        uint64_t shuffled = bits ^ bits >> 29;
        if (i < 100) shuffled = i;                                  /* subnormal */
        if (i >= 100 && i < 200) shuffled = 0x7FEFFFFFFFFFFFFF - i; /* largest */
        double number;
        memcpy(&number, &shuffled, 8);
        if (!isfinite(number)) continue;
        struct str exact = str_from(text, number_format_exact(number, text));
        assert_int_equal(number_cmp_text_double(exact, number), 0);
        double above = nextafter(number, (double)INFINITY), below = nextafter(number, -(double)INFINITY);
        if (isfinite(above)) assert_int_equal(number_cmp_text_double(exact, above), -1);
        if (isfinite(below)) assert_int_equal(number_cmp_text_double(exact, below), 1);
        int64_t integer;
        if (number_is_int(number, &integer)) assert_int_equal(number_cmp_text_int(exact, integer), 0);
    }
}

/* Shows what JSON would write for the spellings that number_parse takes. */
static void test_tidy(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"1", "1"},       {"+1", "1"},        {"-1", "-1"},         {"007", "7"},   {"-007.5", "-7.5"}, {"0", "0"},
        {"000", "0"},     {".5", "0.5"},      {"-.5", "-0.5"},      {"5.", "5"},    {"00.", "0"},       {"5.e3", "5e3"},
        {"0.50", "0.50"}, {"1E+05", "1E+05"}, {"+.5e-1", "0.5e-1"}, {"0e1", "0e1"}, {"-00", "-0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[40];
        struct str tidy = str_from(out, number_tidy(str_of(cases[i][0]), out));
        if (!str_eq(tidy, str_of(cases[i][1]))) fail_msg("%s becomes " STR_FMT, cases[i][0], STR_ARG(tidy));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format), cmocka_unit_test(test_round_trip), cmocka_unit_test(test_decimals),
        cmocka_unit_test(test_parse),  cmocka_unit_test(test_integers),   cmocka_unit_test(test_is_int),
        cmocka_unit_test(test_order),  cmocka_unit_test(test_exact),      cmocka_unit_test(test_tidy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
