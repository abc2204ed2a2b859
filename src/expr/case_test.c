/* Case mapping: samples of every kind of run in the tables, and laws that hold for all code points. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "expr/case.h"

static void samples(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t lower, upper;
    } pairs[] = {{'a', 'A'},       {'z', 'Z'},         {0xE9, 0xC9},       {0xFF, 0x178},    {0x101, 0x100},
                 {0x17E, 0x17D},   {0x3B1, 0x391},     {0x44F, 0x42F},     {0x451, 0x401},   {0x561, 0x531},
                 {0x1E01, 0x1E00}, {0x1F00, 0x1F08},   {0x24D0, 0x24B6},   {0x10D0, 0x1C90}, {0xAB70, 0x13A0},
                 {0xFF41, 0xFF21}, {0x10428, 0x10400}, {0x1E922, 0x1E900}, {0x2C65, 0x23A},  {0x1F3, 0x1F1}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(expr_upper(pairs[i].lower), pairs[i].upper);
        assert_int_equal(expr_lower(pairs[i].upper), pairs[i].lower);
    }
    static const uint32_t caseless[] = {'0', '[', '@', '`', '{', 0xD7, 0xF7, 0xDF, 0x3042, 0x4E00, 0x1F600, 0x10FFFF};
    for (size_t i = 0; i < sizeof caseless / sizeof caseless[0]; i++) {
        assert_int_equal(expr_upper(caseless[i]), caseless[i]);
        assert_int_equal(expr_lower(caseless[i]), caseless[i]);
    }
}

/* Folding twice is folding once, and a code point folds like its own upper and lower case where that goes back. */
static void laws(void **unused)
{
    (void)unused;
    unsigned cased = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint32_t folded = expr_fold(c);
        assert_int_equal(expr_fold(folded), folded);
        assert_int_equal(expr_fold(expr_upper(c)), folded);
        assert_true(folded < 0x110000 && (folded < 0xD800 || folded > 0xDFFF || folded == c));
        cased += folded != c;
    }
    assert_true(cased > 1350 && cased < 1500);
}

static void strings(void **unused)
{
    (void)unused;
    size_t size;
    assert_true(expr_equal_fold(STR("Straße ÉΣ"), STR("sTRAßE éς")));
    assert_false(expr_equal_fold(STR("a"), STR("ab")));
    assert_false(expr_equal_fold(STR("ab"), STR("a")));
    assert_true(expr_equal_fold(STR_NULL, STR("")));
    /* The prefix may have another size than what it matches. */
    assert_true(expr_prefix_fold(STR("Ⱥbc"), STR("ⱥB"), &size));
    assert_int_equal(size, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(samples), cmocka_unit_test(laws), cmocka_unit_test(strings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
