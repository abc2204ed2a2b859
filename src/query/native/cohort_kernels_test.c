/* The kernels of every CPU level that this machine has against loops that say the same in the plainest way. */
#include "query/native/cohort_kernels.h"

#include "column/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PERSONS 600
#define NOBODY  0x80000000u

static uint64_t state = 12345;
static uint32_t below(uint32_t limit)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % limit);
}

static void check_returns(const struct cohort_kernels *kernels, uint32_t interval, uint32_t intervals, bool inverse)
{
    static uint32_t minutes[VECTOR_ROWS_MAX], persons[VECTOR_ROWS_MAX], births[PERSONS], since[VECTOR_ROWS_MAX];
    static uint16_t rows[VECTOR_ROWS_MAX];
    static struct late_row late[VECTOR_ROWS_MAX];
    uint32_t words = (intervals + 63) / 64, low = 1000, count = 1 + below(VECTOR_ROWS_MAX);
    struct interval_minutes m = {.interval = interval,
                                 .span = interval * intervals,
                                 .offset = 0u - 777,
                                 .inverse = inverse ? ((uint64_t)1 << INVERSE_SHIFT) / interval + 1 : 0};
    uint64_t *marks = calloc((size_t)PERSONS * words, sizeof *marks),
             *wanted = calloc((size_t)PERSONS * words, sizeof *wanted);
    assert_non_null(marks);
    assert_non_null(wanted);
    for (uint32_t p = 0; p < PERSONS; p++) births[p] = below(3) ? NOBODY : below(100000);
    for (uint32_t i = 0; i < count; i++) {
        persons[i] = low + below(PERSONS);
        uint32_t birth = births[persons[i] - low];
        minutes[i] =
            birth != NOBODY && below(2) ? birth + 777 + interval * below(intervals + 2) - below(2) : below(200000);
    }
    uint32_t found = kernels->find_returns(&m, minutes, persons, count, low, births, rows, since);
    uint32_t late_count = kernels->mark_returns(&m, rows, since, found, persons, low, words, marks, 7, 5000, late);
    uint32_t late_at = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t birth = births[persons[i] - low];
        int64_t passed = (int64_t)minutes[i] - 777 - birth;
        if (birth == NOBODY || passed < 0 || passed > (int64_t)interval * intervals) continue;
        uint32_t k = (uint32_t)(passed / interval);
        if (passed % interval) {
            wanted[(persons[i] - low) * words + k / 64] |= (uint64_t)1 << (k % 64);
            continue;
        }
        assert_true(late_at < late_count);
        assert_int_equal(late[late_at].run, 7);
        assert_int_equal(late[late_at].row, 5000 + i);
        assert_int_equal(late[late_at].place, persons[i] - low);
        assert_int_equal(late[late_at].interval, k);
        late_at++;
    }
    assert_int_equal(late_at, late_count);
    assert_memory_equal(marks, wanted, (size_t)PERSONS * words * sizeof *marks);
    free(marks);
    free(wanted);
}

static void check_marks(const struct cohort_kernels *kernels, uint32_t stride)
{
    enum { COHORTS = 9, ROOM = COHORTS * 64 };
    static uint64_t marks[PERSONS];
    static uint32_t buckets[PERSONS], counts[ROOM + 1], wanted[ROOM + 1];
    uint32_t count = below(PERSONS);
    uint64_t also = below(2) ? (uint64_t)1 << below(stride) : 0;
    for (uint32_t i = 0; i <= ROOM; i++) counts[i] = wanted[i] = below(5);
    for (uint32_t i = 0; i < PERSONS; i++) {
        buckets[i] = below(2) ? below(COHORTS) : 3;
        marks[i] = 0;
        for (uint32_t k = 0; k < stride; k++) marks[i] |= (uint64_t)(below(4) == 0) << k;
        for (uint32_t k = 0; k < stride && i < count; k++)
            wanted[buckets[i] * stride + k] += (marks[i] | also) >> k & 1;
    }
    kernels->count_marks(marks, also, buckets, count, stride, counts);
    assert_memory_equal(counts, wanted, sizeof counts);
}

static void check_least(const struct cohort_kernels *kernels, uint32_t units, uint32_t density)
{
    size_t stride = 3 * LEAST_WORDS;
    uint64_t *bits = calloc(units * stride, sizeof *bits), *least = calloc((size_t)units * LEAST_WORDS, sizeof *least);
    uint64_t *counts = calloc(units, sizeof *counts), *wanted = calloc(units, sizeof *wanted);
    assert_true(bits && least && counts && wanted);
    for (uint32_t person = 0; person < LEAST_WORDS * 64; person++) {
        uint32_t has = 0;
        for (uint32_t unit = 0; unit < units; unit++) {
            if (below(density)) continue;
            bits[unit * stride + LEAST_WORDS + person / 64] |= (uint64_t)1 << (person % 64);
            wanted[has++]++;
        }
    }
    bits[0] = 1; /* another's */
    kernels->count_least(bits + LEAST_WORDS, stride, units, least, counts);
    assert_memory_equal(counts, wanted, units * sizeof *counts);
    assert_int_equal(bits[0], 1);
    for (size_t i = 1; i < units * stride; i++) assert_int_equal(bits[i], 0);
    free(bits);
    free(least);
    free(counts);
    free(wanted);
}

static void all_levels(void **unused)
{
    (void)unused;
    for (int level = CPU_PLAIN; level <= (int)cpu_level(); level++) {
        const struct cohort_kernels *kernels = CPU_AT(cohort_kernels, (enum cpu_level)level);
        for (int round = 0; round < 60; round++) {
            check_returns(kernels, 1440, 1 + below(64), true);
            check_returns(kernels, 1440 * (1 + below(30)), 1 + below(300), round % 2);
            check_marks(kernels, MARK_LANES * (1 + below(64 / MARK_LANES)));
            check_least(kernels, 1 + below(180), 1 + below(40));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
