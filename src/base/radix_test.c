#include "base/radix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void test_sorts_stably(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    static struct radix_item items[3000], spare[3000];
    for (int round = 0; round < 200; round++) {
        size_t count = next(&random) % 3000;
        uint64_t mask = next(&random) & next(&random) & (round % 3 ? UINT64_MAX : 0xFF00FF);
        for (size_t i = 0; i < count; i++) items[i] = (struct radix_item){next(&random) & mask, (uint32_t)i};
        struct radix_item *sorted = radix_sort(items, spare, count);
        uint64_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            sum += sorted[i].value;
            if (i == 0) continue;
            assert_true(sorted[i - 1].key <= sorted[i].key);
            if (sorted[i - 1].key == sorted[i].key) assert_true(sorted[i - 1].value < sorted[i].value);
        }
        assert_int_equal(sum, count ? (uint64_t)count * (count - 1) / 2 : 0);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_sorts_keys(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    static uint64_t keys[3000], spare[3000], expected[3000];
    for (int round = 0; round < 200; round++) {
        size_t count = next(&random) % 3000;
        uint64_t mask = next(&random) & next(&random) & (round % 3 ? UINT64_MAX : 0xFF00FF);
        for (size_t i = 0; i < count; i++) expected[i] = keys[i] = next(&random) & mask;
        qsort(expected, count, sizeof *expected, compare);
        const uint64_t *sorted = radix_sort_keys(keys, spare, count);
        assert_memory_equal(sorted, expected, count * sizeof *expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sorts_stably), cmocka_unit_test(test_sorts_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
