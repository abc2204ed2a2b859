/* Percent-encoding and query strings, with what browsers and SDKs really send. */
#include "base/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

/* Shows decoding with and without plus signs as blanks; a stray percent sign stays what it is. */
static void test_decode(void **state)
{
    (void)state;
    static const struct {
        struct str text, form, path;
    } cases[] = {
        {STR("plain"), STR("plain"), STR("plain")},
        {STR("a+b%20c"), STR("a b c"), STR("a+b c")},
        {STR("%41%6a%4A"), STR("AjJ"), STR("AjJ")},
        {STR("%C3%A4"), STR("\xC3\xA4"), STR("\xC3\xA4")},
        {STR("%2B%25"), STR("+%"), STR("+%")},
        {STR("%00"), STR("\0"), STR("\0")},
        {STR("100%"), STR("100%"), STR("100%")},
        {STR("%4"), STR("%4"), STR("%4")},
        {STR("%zz%4g"), STR("%zz%4g"), STR("%zz%4g")},
        {STR("%%41"), STR("%A"), STR("%A")},
        {STR(""), STR(""), STR("")},
        {STR_NULL, STR(""), STR("")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str form = url_decode(arena, cases[i].text, true), path = url_decode(arena, cases[i].text, false);
        assert_non_null(form.data);
        assert_non_null(path.data);
        assert_true(str_eq(form, cases[i].form));
        assert_true(str_eq(path, cases[i].path));
    }
    struct arena *none = arena_new(0);
    assert_null(url_decode(none, STR("%41"), true).data);
    arena_free(none);
}

/* Shows that encoding leaves the unreserved characters alone and that every byte comes back. */
static void test_encode(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(4096);
    url_encode(&buf, STR("aZ09-._~ /?&=+%\xC3\xA4"));
    assert_true(str_is(buf_str(&buf), "aZ09-._~%20%2F%3F%26%3D%2B%25%C3%A4"));
    char all[256];
    for (int i = 0; i < 256; i++) all[i] = (char)i;
    buf_reset(&buf);
    url_encode(&buf, str_from(all, 256));
    assert_true(str_eq(url_decode(arena, buf_str(&buf), true), str_from(all, 256)));
    assert_true(str_eq(url_decode(arena, buf_str(&buf), false), str_from(all, 256)));
    buf_fini(&buf);
}

/* Shows order, duplicates, missing values, empty parts, and the raw value beside the decoded one. */
static void test_params(void **state)
{
    (void)state;
    struct url_params params;
    assert_int_equal(url_params_parse(arena, STR("a=1&b=x+y%26z&&a=2&empty=&bare&=nameless&c=d=e&%6E=v"), 100, &params),
                     STATUS_OK);
    static const char *const expected[][3] = {
        {"a", "1", "1"},  {"b", "x y&z", "x+y%26z"},    {"a", "2", "2"},     {"empty", "", ""},
        {"bare", "", ""}, {"", "nameless", "nameless"}, {"c", "d=e", "d=e"}, {"n", "v", "v"}};
    assert_int_equal(params.count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < params.count; i++) {
        assert_true(str_eq(params.items[i].name, str_of(expected[i][0])));
        assert_true(str_eq(params.items[i].value, str_of(expected[i][1])));
        assert_true(str_eq(params.items[i].raw_value, str_of(expected[i][2])));
    }
    assert_true(str_is(url_params_get(&params, STR("a")), "1"));
    assert_non_null(url_params_get(&params, STR("bare")).data);
    assert_null(url_params_get(&params, STR("z")).data);
}

/* Shows the limit on their number and on memory, and that empty texts have none. */
static void test_params_limits(void **state)
{
    (void)state;
    struct url_params params;
    assert_int_equal(url_params_parse(arena, STR("a&b&c"), 3, &params), STATUS_OK);
    assert_int_equal(params.count, 3);
    assert_int_equal(url_params_parse(arena, STR("a&b&c&d"), 3, &params), STATUS_LIMIT);
    assert_int_equal(params.count, 3);
    assert_int_equal(url_params_parse(arena, STR("&&a&&&"), 1, &params), STATUS_OK);
    assert_int_equal(params.count, 1);
    assert_int_equal(url_params_parse(arena, STR(""), 0, &params), STATUS_OK);
    assert_int_equal(params.count, 0);
    assert_int_equal(url_params_parse(arena, STR_NULL, 0, &params), STATUS_OK);
    assert_int_equal(params.count, 0);
    struct arena *none = arena_new(0);
    assert_int_equal(url_params_parse(none, STR("a=1"), 10, &params), STATUS_LIMIT);
    arena_free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_params_limits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
