/* The inner loops in every version that this machine can run, against plain ones. */
#include "query/native/number_kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "column/vector.h"

static uint64_t next(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static const uint32_t sizes[] = {0, 1, 3, 4, 5, 63, 64, 65, 1000, 1023, 1024};
#define SIZES (sizeof sizes / sizeof *sizes)

/* The parts of a number say exactly what it is: in units of 2^-62, number · power is whole - rest. */
static void check_parts(const struct number_kernels *kernels, uint64_t *random, uint32_t count)
{
    static const double powers[] = {1, 10, 100, 1000};
    static const unsigned shifts[] = {52, 56, 59,
                                      62}; /* ceil(log2(power)) + 52: all doubles are multiples of 2^-that */
    uint32_t offsets[VECTOR_ROWS_MAX];
    struct number_parts parts[VECTOR_ROWS_MAX];
    for (unsigned p = 0; p < 4; p++) {
        unsigned width = (unsigned)(next(random) % 33);
        uint32_t scale = next(random) % 2 ? 1 : (uint32_t)(next(random) % 1000 + 1);
        int64_t base = (int64_t)(next(random) % ((uint64_t)1 << 40)) - ((int64_t)1 << 39);
        if (next(random) % 2) base %= 100000;
        for (uint32_t i = 0; i < count; i++) offsets[i] = (uint32_t)(next(random) & (((uint64_t)1 << width) - 1));
        kernels->take_apart(offsets, count, (double)base, scale, powers[p], parts);
        for (uint32_t i = 0; i < count; i++) {
            int64_t integer = base + (int64_t)scale * offsets[i];
            double number = (double)integer / powers[p];
            assert_true(parts[i].whole == (double)integer);
            __int128 unit = (__int128)1 << shifts[p];
            __int128 left = (__int128)(number * (double)unit) * (int64_t)powers[p]; /* the first product is exact */
            __int128 right = (__int128)integer * unit - (__int128)(parts[i].rest * (double)unit);
            assert_true(left == right);
        }
    }
}

static void check_adding(const struct number_kernels *kernels, uint64_t *random, uint32_t count)
{
    enum { CELLS = 7 };
    uint32_t cells[VECTOR_ROWS_MAX];
    struct number_parts parts[VECTOR_ROWS_MAX];
    for (uint32_t stride = 0; stride <= CELLS; stride += CELLS) {
        struct number_tally tallies[TALLIES * CELLS] = {0}, expected[CELLS] = {0};
        for (uint32_t i = 0; i < count; i++) {
            cells[i] = (uint32_t)(next(random) % (i % 3 ? CELLS : 2));
            parts[i] = (struct number_parts){(double)(next(random) >> 30), (double)(next(random) >> 30)};
            expected[cells[i]].sums.whole += parts[i].whole;
            expected[cells[i]].sums.rest += parts[i].rest;
            expected[cells[i]].count++;
        }
        kernels->add_parts(parts, cells, count, tallies, stride);
        for (uint32_t c = 0; c < CELLS; c++) {
            struct number_tally sum = {0};
            for (uint32_t s = 0; s < (stride ? TALLIES : 1); s++) {
                sum.sums.whole += tallies[s * stride + c].sums.whole;
                sum.sums.rest += tallies[s * stride + c].sums.rest;
                sum.count += tallies[s * stride + c].count;
            }
            assert_true(sum.sums.whole == expected[c].sums.whole && sum.sums.rest == expected[c].sums.rest);
            assert_true(sum.count == expected[c].count);
        }
    }
}

static void check_codes(const struct number_kernels *kernels, uint64_t *random, uint32_t count)
{
    uint32_t cells[VECTOR_ROWS_MAX], offsets[VECTOR_ROWS_MAX], codes[VECTOR_ROWS_MAX], high = 0;
    for (uint32_t i = 0; i < count; i++) {
        cells[i] = (uint32_t)(next(random) % 100);
        offsets[i] = (uint32_t)(next(random) % 50);
        high = cells[i] > high ? cells[i] : high;
    }
    kernels->codes(cells, offsets, count, 10, 3, 20, codes);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(codes[i], cells[i] * 1024 + 3 + 20 * offsets[i]);
    assert_int_equal(kernels->max(cells, count), high);
}

static void check_steps(const struct number_kernels *kernels, uint64_t *random, uint32_t count)
{
    uint16_t narrow[VECTOR_ROWS_MAX], narrow_from[20], codes[VECTOR_ROWS_MAX];
    uint32_t wide[VECTOR_ROWS_MAX], wide_from[20], steps = (uint32_t)(next(random) % 21);
    for (uint32_t i = 0; i < count; i++) {
        narrow[i] = (uint16_t)next(random);
        wide[i] = (uint32_t)next(random);
    }
    for (uint32_t s = 0; s < steps; s++) {
        bool met = count && next(random) % 2;
        narrow_from[s] = met ? narrow[next(random) % count] : (uint16_t)next(random);
        wide_from[s] = met ? wide[next(random) % count] : (uint32_t)next(random);
    }
    kernels->steps16(narrow, count, narrow_from, steps, 5, codes);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t wanted = 5;
        for (uint32_t s = 0; s < steps; s++) wanted += narrow[i] >= narrow_from[s];
        assert_int_equal(codes[i], wanted);
    }
    kernels->steps32(wide, count, wide_from, steps, 0, codes);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t wanted = 0;
        for (uint32_t s = 0; s < steps; s++) wanted += wide[i] >= wide_from[s];
        assert_int_equal(codes[i], wanted);
    }
}

static void every_version(void **state)
{
    (void)state;
    uint64_t random = 5;
    for (int level = 0; level <= (int)cpu_level(); level++) {
        for (unsigned i = 0; i < 20 * SIZES; i++) {
            check_parts(CPU_AT(number_kernels, (enum cpu_level)level), &random, sizes[i % SIZES]);
            check_adding(CPU_AT(number_kernels, (enum cpu_level)level), &random, sizes[i % SIZES]);
            check_codes(CPU_AT(number_kernels, (enum cpu_level)level), &random, sizes[i % SIZES]);
            check_steps(CPU_AT(number_kernels, (enum cpu_level)level), &random, sizes[i % SIZES]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_version)};
    return cmocka_run_group_tests_name("query/native/number_kernels", tests, NULL, NULL);
}
