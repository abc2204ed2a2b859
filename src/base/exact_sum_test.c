#include "base/exact_sum.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static double sum_of(const double *numbers, size_t count, uint64_t divisor)
{
    struct arena *arena = arena_new((size_t)1 << 20);
    struct exact_sum sum = {0};
    for (size_t i = 0; i < count; i++) assert_int_equal(exact_sum_add(&sum, numbers[i], arena), STATUS_OK);
    double result = exact_sum_over(&sum, divisor);
    arena_free(arena);
    return result;
}
#define SUM(divisor, ...) sum_of((double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double), divisor)

static void test_hand_written(void **state)
{
    (void)state;
    assert_true(SUM(1, 0.1, 0.2) == 0.1 + 0.2);
    assert_true(SUM(1, 0.1, 0.2, 0.3) == 0.6); /* adding one by one gives 0.6000000000000001 */
    assert_true(SUM(1, 1e100, 1, -1e100) == 1);
    assert_true(SUM(1, 1e308, 1e308, -1e308) == 1e308);
    assert_true(SUM(1, DBL_MAX, DBL_MAX) == INFINITY);
    assert_true(SUM(1, -DBL_MAX, -DBL_MAX) == -INFINITY);
    assert_true(SUM(2, DBL_MAX, DBL_MAX) == DBL_MAX);
    assert_true(SUM(1, 4.9e-324, 4.9e-324) == 9.9e-324);
    assert_true(SUM(1, 9007199254740992.0, 1) == 9007199254740992.0);            /* tie: to even */
    assert_true(SUM(1, 9007199254740992.0, 1, 4.9e-324) == 9007199254740994.0);  /* just above it */
    assert_true(SUM(1, -9007199254740992.0, -1, -1, -1) == -9007199254740996.0); /* tie: to even */
    assert_true(SUM(3, 1) == 1.0 / 3);
    assert_true(SUM(10, 1, 2) == 0.3);
    assert_true(SUM(2, 4.9e-324) == 0);            /* tie between 0 and the least double */
    assert_true(SUM(2, 3 * 4.9e-324) == 9.9e-324); /* 1.5 of it */
    double zero = SUM(1, 5.5, -5.5, -0.0);
    assert_true(zero == 0 && !signbit(zero));
}

static uint64_t next(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Numbers of all sizes, in two orders and cut into parts at random: one answer; and that of long doubles where those
 * are exact. */
static void test_order_does_not_matter(void **state)
{
    (void)state;
    struct arena *arena = arena_new((size_t)1 << 24);
    uint64_t random = 1;
    for (int round = 0; round < 2000; round++) {
        double numbers[40];
        size_t count = 1 + next(&random) % 40;
        bool small = round % 2;
        long double reference = 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t bits = next(&random);
            if (small)
                numbers[i] = (double)(int64_t)(bits % 2000001) - 1000000 + (double)(bits >> 60) / 16;
            else
                do memcpy(&numbers[i], &bits, 8);
                while (bits = next(&random), !isfinite(numbers[i]) || fabs(numbers[i]) > 1e300);
            reference += numbers[i];
        }
        double forward = sum_of(numbers, count, 1);
        struct exact_sum parts[3] = {0}, all = {0};
        for (size_t i = count; i-- > 0;)
            assert_int_equal(exact_sum_add(&parts[next(&random) % 3], numbers[i], arena), STATUS_OK);
        for (int p = 2; p >= 0; p--) assert_int_equal(exact_sum_merge(&all, &parts[p], arena), STATUS_OK);
        assert_true(exact_sum_over(&all, 1) == forward);
        if (small) {
            assert_true(forward == (double)reference);
            assert_true(exact_sum_over(&all, 64) == (double)reference / 64);
        }
        arena_reset(arena);
    }
    arena_free(arena);
}

static void test_near_overflows_into_wide(void **state)
{
    (void)state;
    struct arena *arena = arena_new((size_t)1 << 20);
    struct exact_sum sum = {0}, twice = {0};
    assert_int_equal(exact_sum_add(&sum, 4294967295.5, arena), STATUS_OK);
    sum.near *= (__int128)EXACT_SUM_NEAR_MAX; /* as if added so many times */
    sum.near_count = EXACT_SUM_NEAR_MAX;
    for (int i = 0; i < 5; i++) assert_int_equal(exact_sum_merge(&twice, &sum, arena), STATUS_OK);
    assert_true(exact_sum_over(&twice, 1) == 5 * 4294967295.5 * (double)EXACT_SUM_NEAR_MAX);
    assert_int_equal(exact_sum_add(&sum, 4294967295.5, arena), STATUS_OK);
    assert_true(exact_sum_over(&sum, EXACT_SUM_NEAR_MAX + 1) == 4294967295.5);
    arena_free(arena);
}

/* Many numbers in one step, in parts that fit the near integer and in one that does not: as one by one. */
static void test_many_at_once(void **state)
{
    (void)state;
    struct arena *arena = arena_new((size_t)1 << 20);
    uint64_t random = 7;
    for (unsigned shift = 0; shift <= EXACT_SUM_SHIFT_MAX; shift += 4) {
        struct exact_sum many = {0}, single = {0};
        for (int part = 0; part < 5; part++) {
            __int128 total = 0;
            for (int i = 0; i < 100; i++) {
                int64_t number = (int64_t)(next(&random) >> 12) - ((int64_t)1 << 51);
                if (shift < 24) number >>= 24; /* below 2^32 */
                total += number;
                double part_of_it = ldexp((double)number, -(int)shift);
                assert_int_equal(exact_sum_add(&single, part_of_it, arena), STATUS_OK);
            }
            uint64_t count = part == 2 ? EXACT_SUM_NEAR_MAX : 100;
            assert_int_equal(exact_sum_add_many(&many, total, shift, count, arena), STATUS_OK);
        }
        assert_true(exact_sum_over(&many, 1) == exact_sum_over(&single, 1));
        assert_true(exact_sum_over(&many, 7) == exact_sum_over(&single, 7));
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_written),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_near_overflows_into_wide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
