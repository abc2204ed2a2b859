/* What the string helpers answer at their edges: empty strings, NULL data, offsets beyond the end. */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void assert_str(struct str actual, const char *expected)
{
    assert_int_equal(actual.size, strlen(expected));
    if (actual.size) assert_memory_equal(actual.data, expected, actual.size);
}

/* Shows that byte order sorts prefixes first and high bytes after ASCII, and that NULL equals "". */
static void test_compare(void **state)
{
    (void)state;
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("b"), STR("ab")) > 0);
    assert_true(str_cmp(STR("z"), STR("\xC3\xA4")) < 0);
    assert_int_equal(str_cmp(STR_NULL, STR("")), 0);
    assert_true(str_cmp(STR_NULL, STR("a")) < 0);
    assert_true(str_eq(STR_NULL, STR("")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_true(str_is(STR("unit"), "unit"));
    assert_false(str_is(STR("units"), "unit"));
    assert_int_equal(str_of(NULL).size, 0);
}

/* Shows that only A-Z fold: '@' and '`', '[' and '{' differ by the same bit and stay different. */
static void test_nocase(void **state)
{
    (void)state;
    assert_true(str_eq_nocase(STR("Content-Type"), STR("content-TYPE")));
    assert_false(str_eq_nocase(STR("@"), STR("`")));
    assert_false(str_eq_nocase(STR("["), STR("{")));
    assert_false(str_eq_nocase(STR("\xC3\x84"), STR("\xC3\xA4")));
    assert_false(str_eq_nocase(STR("a"), STR("ab")));
    assert_true(str_eq_nocase(STR_NULL, STR("")));
}

/* Shows starts and ends with the empty string, the whole string and one byte too many. */
static void test_starts_ends(void **state)
{
    (void)state;
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR("abc")));
    assert_true(str_starts(STR_NULL, STR_NULL));
    assert_false(str_starts(STR("abc"), STR("abcd")));
    assert_true(str_ends(STR("abc"), STR("bc")));
    assert_true(str_ends(STR("abc"), STR_NULL));
    assert_false(str_ends(STR("abc"), STR("ab")));
    assert_false(str_ends(STR("c"), STR("bc")));
}

/* Shows that slices are clamped and never point outside. */
static void test_slice(void **state)
{
    (void)state;
    struct str s = STR("hello");
    assert_str(str_slice(s, 1, 3), "el");
    assert_str(str_slice(s, 3, SIZE_MAX), "lo");
    assert_str(str_slice(s, 3, 3), "");
    assert_str(str_slice(s, 4, 2), "");
    struct str beyond = str_slice(s, 9, 12);
    assert_int_equal(beyond.size, 0);
    assert_ptr_equal(beyond.data, s.data + 5);
    assert_null(str_slice(STR_NULL, 0, 4).data);
}

/* Shows that searching reports the first hit from an offset on, and SIZE_MAX past the end. */
static void test_find(void **state)
{
    (void)state;
    struct str s = STR("a,b,,c");
    assert_int_equal(str_find_byte(s, ',', 0), 1);
    assert_int_equal(str_find_byte(s, ',', 2), 3);
    assert_true(str_find_byte(s, 'x', 0) == SIZE_MAX);
    assert_true(str_find_byte(s, 'c', 6) == SIZE_MAX);
    assert_true(str_find_byte(STR_NULL, 'c', 0) == SIZE_MAX);
    assert_int_equal(str_find(s, STR(",,"), 0), 3);
    assert_int_equal(str_find(s, STR(""), 6), 6);
    assert_true(str_find(s, STR(""), 7) == SIZE_MAX);
    assert_true(str_find(s, STR("b,,c,"), 0) == SIZE_MAX);
    assert_true(str_find(STR_NULL, STR("a"), 0) == SIZE_MAX);
}

/* Shows that the six ASCII blanks are trimmed and nothing else is. */
static void test_trim(void **state)
{
    (void)state;
    assert_str(str_trim(STR(" \t\r\n\f\vx y \n")), "x y");
    assert_str(str_trim(STR(" \t ")), "");
    assert_str(str_trim(STR_NULL), "");
    assert_str(str_trim(STR("\xC2\xA0x")), "\xC2\xA0x");
}

/* Shows that splitting keeps empty parts, also the last one, and ends. */
static void test_parts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *joined;
    } cases[] = {{"a,,b", "[a][][b]"}, {"", "[]"}, {",", "[][]"}, {"a,", "[a][]"}, {"abc", "[abc]"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str rest = str_of(cases[i].text), part;
        char joined[64] = "";
        size_t parts = 0;
        while (str_next_part(&rest, ',', &part)) {
            snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "[" STR_FMT "]", STR_ARG(part));
            assert_true(++parts < 10);
        }
        assert_string_equal(joined, cases[i].joined);
        assert_false(str_next_part(&rest, ',', &part));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare), cmocka_unit_test(test_nocase), cmocka_unit_test(test_starts_ends),
        cmocka_unit_test(test_slice),   cmocka_unit_test(test_find),   cmocka_unit_test(test_trim),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
