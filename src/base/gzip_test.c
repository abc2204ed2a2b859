/* Bodies that unpack, that lie about their size, that are damaged anywhere, and that are bombs. */
#include "base/gzip.h"

#include "base/buf.h"

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
    arena = arena_new((size_t)64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct str pack(struct str plain, int level)
{
    struct str packed;
    assert_int_equal(gzip_compress(arena, plain, level, &packed), STATUS_OK);
    assert_true(gzip_magic(packed));
    return packed;
}

/* Shows that every level packs what comes back, also nothing at all and data that does not shrink. */
static void test_round_trip(void **state)
{
    (void)state;
    static char plain[100000];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof plain; i++) {
        x = x * 1664525 + 1013904223;
        plain[i] = i < sizeof plain / 2 ? "event"[i % 5] : (char)(x >> 24);
    }
    static const size_t sizes[] = {0, 1, 1000, sizeof plain};
    for (int level = 1; level <= 12; level++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct str packed = pack(str_from(plain, sizes[i]), level), back;
            assert_int_equal(gzip_decompress(arena, packed, sizes[i], NULL, &back), STATUS_OK);
            assert_true(str_eq(back, str_from(plain, sizes[i])));
            arena_reset(arena);
        }
    }
    struct str packed;
    assert_int_equal(gzip_compress(arena, STR("x"), 0, &packed), STATUS_INVALID);
    assert_int_equal(gzip_compress(arena, STR("x"), 13, &packed), STATUS_INVALID);
}

/* Shows that a bomb is refused at the bound, exactly: one byte more than it is LIMIT, the bound itself is not. */
static void test_bomb(void **state)
{
    (void)state;
    size_t size = (size_t)8 << 20;
    char *zeros = calloc(1, size);
    struct str packed = pack(str_from(zeros, size), 9), plain = STR("untouched");
    free(zeros);
    assert_true(packed.size < 20000);
    struct error error = ERROR_INIT;
    struct arena *bounded = arena_new((size_t)3 << 20);
    assert_int_equal(gzip_decompress(bounded, packed, (size_t)1 << 20, &error, &plain), STATUS_LIMIT);
    assert_true(str_is(plain, "untouched"));
    assert_string_equal(error.primary, "decompressed data exceeds 1048576 bytes");
    /* The arena's budget is a bound of its own. */
    arena_reset(bounded);
    assert_int_equal(gzip_decompress(bounded, packed, SIZE_MAX, &error, &plain), STATUS_LIMIT);
    arena_free(bounded);
    assert_int_equal(gzip_decompress(arena, packed, size - 1, &error, &plain), STATUS_LIMIT);
    assert_int_equal(gzip_decompress(arena, packed, size, &error, &plain), STATUS_OK);
    assert_int_equal(plain.size, size);
    assert_int_equal(gzip_decompress(arena, packed, 0, &error, &plain), STATUS_LIMIT);
}

/* Shows that what a member says of its size saves room, and that a lie gets no more than an honest text could. */
static void test_told_size(void **state)
{
    (void)state;
    size_t size = (size_t)1 << 20;
    char *zeros = calloc(1, size);
    struct str packed = pack(str_from(zeros, size), 6), plain;
    free(zeros);
    size_t before = arena_used(arena);
    assert_int_equal(gzip_decompress(arena, packed, 4 * size, NULL, &plain), STATUS_OK);
    assert_int_equal(plain.size, size);
    assert_in_range(arena_used(arena) - before, size, size + 64);
    packed = pack(STR("abc"), 6);
    char *lie = malloc(packed.size);
    memcpy(lie, packed.data, packed.size);
    memset(lie + packed.size - 4, 0x7F, 4);
    before = arena_used(arena);
    assert_int_equal(gzip_decompress(arena, str_from(lie, packed.size), 4 * size, NULL, &plain), STATUS_INVALID);
    assert_in_range(arena_used(arena) - before, 1, packed.size * 1032);
    free(lie);
}

/* Shows that members one after the other are one text, and that the bound is for all of them together. */
static void test_members(void **state)
{
    (void)state;
    struct buf both = BUF_INIT(4096);
    buf_str_add(&both, pack(STR("first "), 6));
    buf_str_add(&both, pack(STR("second"), 6));
    struct str plain;
    assert_int_equal(gzip_decompress(arena, buf_str(&both), 12, NULL, &plain), STATUS_OK);
    assert_true(str_is(plain, "first second"));
    assert_int_equal(gzip_decompress(arena, buf_str(&both), 11, NULL, &plain), STATUS_LIMIT);
    buf_lit(&both, "garbage");
    assert_int_equal(gzip_decompress(arena, buf_str(&both), 4096, NULL, &plain), STATUS_INVALID);
    buf_fini(&both);
}

/* Shows that a zlib stream (Content-Encoding: deflate) unpacks, and that nothing may follow it. */
static void test_zlib(void **state)
{
    (void)state;
    struct str plain;
    assert_int_equal(gzip_decompress(arena, STR("\x78\x9C\x4B\x4C\x4A\x06\x00\x02\x4D\x01\x27"), 100, NULL, &plain),
                     STATUS_OK);
    assert_true(str_is(plain, "abc"));
    assert_int_equal(gzip_decompress(arena, STR("\x78\x9C\x4B\x4C\x4A\x06\x00\x02\x4D\x01\x27x"), 100, NULL, &plain),
                     STATUS_INVALID);
}

/* Shows that every cut and every changed byte is noticed (or, in fields that say nothing of the data, harmless). */
static void test_damaged(void **state)
{
    (void)state;
    struct str packed = pack(STR("{\"event\":\"Signed up\",\"properties\":{\"token\":\"t\"}}"), 6), plain;
    for (size_t size = 0; size < packed.size; size++) {
        char *exact = malloc(size ? size : 1);
        memcpy(exact, packed.data, size);
        assert_int_equal(gzip_decompress(arena, str_from(exact, size), 4096, NULL, &plain), STATUS_INVALID);
        free(exact);
    }
    for (size_t at = 10; at < packed.size; at++) {
        char *changed = malloc(packed.size);
        memcpy(changed, packed.data, packed.size);
        changed[at] = (char)(changed[at] ^ 0x55);
        assert_int_not_equal(gzip_decompress(arena, str_from(changed, packed.size), 4096, NULL, &plain), STATUS_OK);
        free(changed);
    }
    struct error error = ERROR_INIT;
    assert_int_equal(gzip_decompress(arena, STR("not packed"), 4096, &error, &plain), STATUS_INVALID);
    assert_true(error.primary[0]);
    assert_int_equal(gzip_decompress(arena, STR_NULL, 4096, &error, &plain), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_bomb), cmocka_unit_test(test_told_size),
        cmocka_unit_test(test_members),    cmocka_unit_test(test_zlib), cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
