/* UTF-8 for every code point there is, every two-byte combination, and the sequences that decoders are known to get
 * wrong. */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Shows that all 1,112,064 scalar values are encoded, valid, counted as one and decoded, and that surrogates are not.
 */
static void test_every_code_point(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x110010; point++) {
        char text[4];
        size_t size = utf8_encode(point, text), offset = 0;
        bool scalar = point <= 0x10FFFF && !(point >= 0xD800 && point <= 0xDFFF);
        assert_int_equal(size, !scalar ? 3 : point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4);
        assert_true(utf8_valid(text, size));
        assert_int_equal(utf8_length(text, size), 1);
        assert_int_equal(utf8_next(text, size, &offset), scalar ? point : 0xFFFD);
        assert_int_equal(offset, size);
        for (size_t cut = 1; cut < size; cut++) assert_false(utf8_valid(text, cut));
    }
}

/* Shows that of all pairs of bytes exactly the right ones are valid. */
static void test_every_pair(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            char pair[2] = {(char)a, (char)b};
            bool valid = (a < 0x80 && b < 0x80) || (a >= 0xC2 && a <= 0xDF && b >= 0x80 && b <= 0xBF);
            assert_int_equal(utf8_valid(pair, 2), valid);
        }
    }
}

/* Shows overlong forms, surrogates and values beyond the end, also behind eight ASCII bytes (another path). */
static void test_invalid(void **state)
{
    (void)state;
    static const char *const cases[] = {"\xC0\x80",
                                        "\xC1\xBF",
                                        "\xE0\x80\x80",
                                        "\xE0\x9F\xBF",
                                        "\xED\xA0\x80",
                                        "\xED\xBF\xBF",
                                        "\xF0\x80\x80\x80",
                                        "\xF0\x8F\xBF\xBF",
                                        "\xF4\x90\x80\x80",
                                        "\xF5\x80\x80\x80",
                                        "\xFE",
                                        "\xFF",
                                        "\x80",
                                        "\xE2\x82",
                                        "\xE2\x82x",
                                        "\xF0\x9F\x98x"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        assert_false(utf8_valid(cases[i], strlen(cases[i])));
        snprintf(text, sizeof text, "01234567%s01234567", cases[i]);
        assert_false(utf8_valid(text, strlen(text)));
        size_t offset = 8;
        assert_int_equal(utf8_next(text, strlen(text), &offset), 0xFFFD);
        assert_int_equal(offset, 9);
    }
    assert_true(utf8_valid(NULL, 0));
    assert_true(utf8_valid("a\0b", 3));
}

/* Shows that a cut never ends inside a sequence and never drops a whole one. */
static void test_cut(void **state)
{
    (void)state;
    static const char text[] = "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z"; /* starts at 0, 1, 3, 6, 10, ends at 11 */
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11};
    for (size_t max = 0; max < sizeof expected / sizeof *expected; max++)
        assert_int_equal(utf8_cut(text, sizeof text - 1, max), expected[max]);
    assert_int_equal(utf8_cut("abc", 3, SIZE_MAX), 3);
    assert_int_equal(utf8_cut("", 0, 5), 0);
    assert_int_equal(utf8_cut("", 0, 0), 0);
    assert_int_equal(utf8_length(text, sizeof text - 1), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
