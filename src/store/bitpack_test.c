/* What is packed comes back, at every width, and item by item as well as in bulk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/bitpack.h"

#include <stdlib.h>

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

/* Both forms, tails and full vectors, come back through every reader, at every CPU level that this machine has. */
static void packed_vectors_come_back(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 63, 64, 65, 1023, 1024};
    for (unsigned width = 0; width <= 64; width++) {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            uint32_t count = counts[c];
            uint64_t values[1024], wide[1024];
            uint32_t middle[1024];
            uint16_t narrow[1024];
            uint64_t mask = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
            for (uint32_t i = 0; i < count; i++) values[i] = (i % 5 == 0 ? UINT64_MAX : hash_u64(i, width)) & mask;
            struct buf buf = BUF_INIT(1 << 16);
            bitpack_write_vector(&buf, values, count, width);
            assert_int_equal(buf.size, bitpack_bytes(count, width));
            /* in memory of just that size, at an odd address, so that the sanitizer sees any step beyond */
            unsigned char *packed = malloc(buf.size + 1);
            assert_non_null(packed);
            if (buf.size) memcpy(packed + 1, buf.data, buf.size);
            bitpack_read64(packed + 1, count, width, wide);
            if (width <= 32) bitpack_read32(packed + 1, count, width, middle);
            if (width <= 16) bitpack_read16(packed + 1, count, width, narrow);
            for (uint32_t i = 0; i < count; i++) {
                assert_true(wide[i] == values[i]);
                if (width <= 32) assert_int_equal(middle[i], values[i]);
                if (width <= 16) assert_int_equal(narrow[i], values[i]);
                assert_true(bitpack_get_vector(packed + 1, count, i, width) == values[i]);
            }
            for (int level = CPU_PLAIN; count == 1024 && level <= (int)cpu_level(); level++) {
                const struct unpack_table *table = CPU_AT(unpack_table, level);
                memset(middle, 0xEE, sizeof middle);
                memset(narrow, 0xEE, sizeof narrow);
                if (width <= 32) table->u32(packed + 1, width, middle);
                if (width <= 16) table->u16(packed + 1, width, narrow);
                for (uint32_t i = 0; i < count; i++) {
                    if (width <= 32) assert_int_equal(middle[i], values[i]);
                    if (width <= 16) assert_int_equal(narrow[i], values[i]);
                }
            }
            free(packed);
            buf_fini(&buf);
        }
    }
}

/* The helpers agree with the obvious loops, for counts that are no multiple of any register. */
static void helpers_agree_at_every_level(void **state)
{
    (void)state;
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct unpack_table *table = CPU_AT(unpack_table, level);
        for (uint32_t count = 0; count < 150; count++) {
            uint16_t a[150], a_max = 0;
            uint32_t b[150], b_max = 0;
            double x[150], y[150];
            for (uint32_t i = 0; i < count; i++) {
                a[i] = (uint16_t)hash_u64(i, count);
                b[i] = (uint32_t)hash_u64(i, count);
                if (a[i] > a_max) a_max = a[i];
                if (b[i] > b_max) b_max = b[i];
            }
            assert_int_equal(table->max16(a, count), a_max);
            assert_int_equal(table->max32(b, count), b_max);
            table->doubles16(a, count, -1e6, 10, 1, x);
            table->doubles32(b, count, -12345, 1, 100, y);
            for (uint32_t i = 0; i < count; i++) {
                assert_true(x[i] == -1e6 + 10.0 * a[i]);
                assert_true(y[i] == (b[i] - 12345.0) / 100);
            }
            uint32_t ints[150], same[150], low = b_max, high = b_max;
            table->ints16(a, count, 70000, 60, ints);
            memcpy(same, b, sizeof same);
            table->ints32(same, count, 7, 3);
            for (uint32_t i = 0; i < count; i++) {
                assert_int_equal(ints[i], 70000 + 60 * (uint32_t)a[i]);
                assert_int_equal(same[i], 7 + 3 * b[i]);
                low = b[i] < low ? b[i] : low;
            }
            assert_false(table->outside32(b, count, low, high));
            if (count > 1 && low < high) {
                assert_true(table->outside32(b, count, low + 1, high));
                assert_true(table->outside32(b, count, low, high - 1));
            }
            table->add16(a, count, 1000);
            table->add32(b, count, 70000);
            for (uint32_t i = 0; i < count; i++) {
                assert_int_equal(a[i], (uint16_t)(hash_u64(i, count) + 1000));
                assert_int_equal(b[i], (uint32_t)hash_u64(i, count) + 70000);
            }
        }
    }
}

/* Values are repeated, from any row on and up to any row, and nothing behind the vector is touched. */
static void spreading_repeats_values(void **state)
{
    (void)state;
    static const uint32_t lengths_max[] = {1, 2, 4, 9, 40, 3000};
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct unpack_table *table = CPU_AT(unpack_table, level);
        for (uint32_t round = 0; round < 600; round++) {
            uint32_t values[UNPACK_ITEMS], lengths[UNPACK_ITEMS], out[UNPACK_ITEMS + 16], expected[UNPACK_ITEMS];
            uint32_t rows = round % 3 ? UNPACK_ITEMS - round % 17 : 1 + (uint32_t)(hash_u64(round, 1) % UNPACK_ITEMS);
            uint32_t done = round % 2 ? (uint32_t)(hash_u64(round, 2) % rows) : 0, fill = done;
            uint32_t count = round % 5 ? UNPACK_ITEMS : (uint32_t)(hash_u64(round, 3) % 64);
            for (uint32_t i = 0; i < count; i++) {
                values[i] = (uint32_t)hash_u64(i, round);
                lengths[i] = 1 + (uint32_t)(hash_u64(i, round + 1) % lengths_max[round % 6]);
                for (uint32_t k = 0; k < lengths[i] && fill < rows; k++) expected[fill++] = values[i];
            }
            memset(out, 0xEE, sizeof out);
            assert_int_equal(table->spread(values, lengths, count, rows, done, out), fill);
            for (uint32_t i = 0; i < done; i++) assert_int_equal(out[i], 0xEEEEEEEE);
            for (uint32_t i = done; i < fill; i++) assert_int_equal(out[i], expected[i]);
            for (uint32_t i = 0; i < 16; i++) assert_int_equal(out[UNPACK_ITEMS + i], 0xEEEEEEEE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_comes_back),       cmocka_unit_test(width_is_the_least_that_holds),
        cmocka_unit_test(the_layout_is_as_documented),  cmocka_unit_test(packed_vectors_come_back),
        cmocka_unit_test(helpers_agree_at_every_level), cmocka_unit_test(spreading_repeats_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
