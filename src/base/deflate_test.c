/* gzip made in pieces of any size: one member, the same bytes back, and no more memory than the buffer may have. */
#include "base/deflate.h"

#include "base/gzip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static char plain[300000];

static int fill(void **state)
{
    (void)state;
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof plain; i++) {
        x = x * 1664525 + 1013904223;
        plain[i] = i < sizeof plain / 2 ? "event"[i % 5] : (char)(x >> 24);
    }
    return 0;
}

static void test_round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 1000, sizeof plain}, pieces[] = {1, 77, 65536, sizeof plain};
    struct arena *arena = arena_new((size_t)16 << 20);
    for (int level = 1; level <= 9; level += 4) {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
                struct deflate *deflate = deflate_new(level);
                struct buf packed = BUF_INIT(sizeof plain * 2);
                struct str whole = str_from(plain, sizes[s]), back;
                for (size_t at = 0; at < whole.size; at += pieces[p])
                    deflate_add(deflate, str_slice(whole, at, at + pieces[p]), false, &packed);
                deflate_add(deflate, STR_NULL, true, &packed);
                deflate_free(deflate);
                assert_int_equal(buf_status(&packed), STATUS_OK);
                assert_int_equal(gzip_decompress(arena, buf_str(&packed), sizes[s], NULL, &back), STATUS_OK);
                assert_true(str_eq(back, whole));
                buf_fini(&packed);
                arena_reset(arena);
            }
        }
    }
    arena_free(arena);
}

/* The last piece may end the stream itself. */
static void test_one_call(void **state)
{
    (void)state;
    struct arena *arena = arena_new((size_t)1 << 20);
    struct deflate *deflate = deflate_new(1);
    struct buf packed = BUF_INIT((size_t)1 << 20);
    struct str back;
    deflate_add(deflate, STR("once"), true, &packed);
    assert_int_equal(gzip_decompress(arena, buf_str(&packed), 4, NULL, &back), STATUS_OK);
    assert_true(str_is(back, "once"));
    deflate_free(deflate);
    deflate_free(NULL);
    buf_fini(&packed);
    arena_free(arena);
}

static void test_full_buffer(void **state)
{
    (void)state;
    struct deflate *deflate = deflate_new(1);
    struct buf packed = BUF_INIT((size_t)70 << 10);
    deflate_add(deflate, str_from(plain, sizeof plain), true, &packed);
    assert_int_equal(buf_status(&packed), STATUS_LIMIT);
    deflate_free(deflate);
    buf_fini(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_one_call),
        cmocka_unit_test(test_full_buffer),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
