/* Base64 against the vectors of RFC 4648 and against the ways in which clients bend it. */
#include "base/base64.h"

#include "base/hash.h"

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
    arena = arena_new(1 << 24);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

/* Shows the vectors of RFC 4648 section 10 in both directions. */
static void test_vectors(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf buf = BUF_INIT(64);
        base64_encode(&buf, str_of(cases[i][0]));
        assert_true(str_eq(buf_str(&buf), str_of(cases[i][1])));
        struct str bytes;
        assert_int_equal(base64_decode(arena, buf_str(&buf), &bytes), STATUS_OK);
        assert_true(str_eq(bytes, str_of(cases[i][0])));
        buf_fini(&buf);
    }
}

/* Shows what is tolerated: both alphabets, missing padding, plus signs that a form turned into blanks, line breaks. */
static void test_lenient(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct str bytes;
    } cases[] = {
        {"++//", STR("\xFB\xEF\xFF")},
        {"--__", STR("\xFB\xEF\xFF")},
        {"+-/_", STR("\xFB\xEF\xFF")},
        {"  //", STR("\xFB\xEF\xFF")},
        {"Zg", STR("f")},
        {"Zm8", STR("fo")},
        {"Zm9v\r\nYmFy", STR("foobar")},
        {"Zm9v\n", STR("foo")},
        {"Zg==  \n", STR("f")},
        {"Zh==", STR("f")}, /* bits beyond the last byte are ignored */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str bytes;
        if (base64_decode(arena, str_of(cases[i].text), &bytes) != STATUS_OK) fail_msg("%s was refused", cases[i].text);
        assert_true(str_eq(bytes, cases[i].bytes));
    }
}

/* Shows what is not: foreign bytes, one digit alone, padding in the middle, too much or too little of it. */
static void test_refuses(void **state)
{
    (void)state;
    static const struct str cases[] = {STR("Z"),     STR("Zm9vY"),    STR("Zg="),      STR("Zm8=="),    STR("Zm9v="),
                                       STR("="),     STR("Zg==="),    STR("Zg==Zg=="), STR("Z=g="),     STR("Zm9*"),
                                       STR("Zm9\0"), STR("\xC3\xA4"), STR("Zm\t9v"),   STR("{\"a\":1}")};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str bytes = STR("untouched");
        if (base64_decode(arena, cases[i], &bytes) != STATUS_INVALID) fail_msg(STR_FMT " was taken", STR_ARG(cases[i]));
        assert_true(str_is(bytes, "untouched"));
    }
    struct arena *none = arena_new(0);
    struct str bytes;
    assert_int_equal(base64_decode(none, STR("Zm9v"), &bytes), STATUS_LIMIT);
    arena_free(none);
}

/* Shows that random bytes of every length up to 300 come back. */
static void test_round_trip(void **state)
{
    (void)state;
    char raw[300];
    for (size_t size = 0; size <= sizeof raw; size++) {
        for (size_t i = 0; i < size; i++) raw[i] = (char)hash_u64(i, size);
        struct buf buf = BUF_INIT(1024);
        base64_encode(&buf, str_from(raw, size));
        assert_int_equal(buf.size, (size + 2) / 3 * 4);
        struct str bytes;
        assert_int_equal(base64_decode(arena, buf_str(&buf), &bytes), STATUS_OK);
        assert_true(str_eq(bytes, str_from(raw, size)));
        buf_fini(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
