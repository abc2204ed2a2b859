/* What is packed comes back, at every width, and item by item as well as in bulk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/bitpack.h"

static void every_width_comes_back(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 63, 64, 65, 1000, 1024};
    for (unsigned width = 0; width <= 64; width++) {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            uint64_t values[1024], back[1024];
            size_t count = counts[c];
            uint64_t mask = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
            for (size_t i = 0; i < count; i++) values[i] = (i % 5 == 0 ? UINT64_MAX : hash_u64(i, width)) & mask;
            struct buf buf = BUF_INIT(1 << 16);
            buf_byte(&buf, 'x'); /* nothing may depend on alignment */
            bitpack_write(&buf, values, count, width);
            assert_int_equal(buf.size, 1 + bitpack_bytes(count, width));
            assert_int_equal(bitpack_bytes(count, width) % 8, 0);
            if (count) bitpack_read((unsigned char *)buf.data + 1, count, width, back);
            for (size_t i = 0; i < count; i++) {
                assert_true(back[i] == values[i]);
                assert_true(bitpack_get((unsigned char *)buf.data + 1, i, width) == values[i]);
            }
            buf_fini(&buf);
        }
    }
}

static void width_is_the_least_that_holds(void **state)
{
    (void)state;
    assert_int_equal(bitpack_width(0), 0);
    for (unsigned width = 1; width <= 64; width++) {
        uint64_t max = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
        assert_int_equal(bitpack_width(max), width);
        assert_int_equal(bitpack_width(max / 2 + 1), width);
    }
}

/* The layout of docs/formats/section.md, bit for bit. */
static void the_layout_is_as_documented(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(64);
    bitpack_write(&buf, (uint64_t[]){1, 2, 3, 4, 5}, 5, 3);
    assert_int_equal(buf.size, 8);
    assert_memory_equal(buf.data, "\xD1\x58\0\0\0\0\0\0", 8);
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_comes_back),
        cmocka_unit_test(width_is_the_least_that_holds),
        cmocka_unit_test(the_layout_is_as_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
