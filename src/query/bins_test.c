/*
 * Ranges of numbers, by hand: which width is chosen, where a number lies, how labels are written; and that what holds
 * for every range holds for many of them.
 */
#include "query/bins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

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

static struct bins bins_of(double min, double max, uint32_t count)
{
    struct bins bins;
    struct extent extent = {.min = min, .max = max, .any = true};
    extent.fractional = min != floor(min) || max != floor(max);
    assert_int_equal(bins_new(arena, &extent, count, NULL, &bins), STATUS_OK);
    return bins;
}

static void expect(double min, double max, uint32_t count, uint32_t wanted, const char *first, const char *last)
{
    struct bins bins = bins_of(min, max, count);
    assert_int_equal(bins.count, wanted);
    if (!str_eq(bins.labels[0], str_of(first))) fail_msg("got " STR_FMT ", wanted %s", STR_ARG(bins.labels[0]), first);
    struct str label = bins.labels[bins.count - 1];
    if (!str_eq(label, str_of(last))) fail_msg("got " STR_FMT ", wanted %s", STR_ARG(label), last);
}

static void widths(void **state)
{
    (void)state;
    expect(2000, 3050, 12, 11, "2,000 - 2,100", "3,000 - 3,100");
    expect(0, 100, 12, 11, "0 - 10", "100 - 110");
    expect(0, 99, 10, 10, "0 - 10", "90 - 100");
    expect(0, 100, 10, 6, "0 - 20", "100 - 120");
    expect(1, 5, 12, 5, "1 - 2", "5 - 6"); /* whole numbers: not 0.5 */
    expect(1, 5.5, 12, 10, "1 - 1.5", "5.5 - 6");
    expect(-7, 7, 2, 2, "-10 - 0", "0 - 10");
    expect(-0.5, 0.25, 4, 2, "-0.5 - 0", "0 - 0.5");
    expect(-0.5, 0.25, 5, 5, "-0.6 - -0.4", "0.2 - 0.4");
    expect(1234567, 7654321, 7, 7, "1,000,000 - 2,000,000", "7,000,000 - 8,000,000");
    expect(0.0001, 0.00095, 12, 9, "0.0001 - 0.0002", "0.0009 - 0.001");
}

/* The power of ten at or below it. */
static void one_number(void **state)
{
    (void)state;
    expect(0, 0, 12, 1, "0 - 1", "0 - 1");
    expect(7, 7, 12, 1, "7 - 8", "7 - 8");
    expect(2500, 2500, 12, 1, "2,000 - 3,000", "2,000 - 3,000");
    expect(-2500, -2500, 12, 1, "-3,000 - -2,000", "-3,000 - -2,000");
    expect(0.025, 0.025, 12, 1, "0.02 - 0.03", "0.02 - 0.03");
    expect(1000, 1000, 2, 1, "1,000 - 2,000", "1,000 - 2,000");
}

static void no_number(void **state)
{
    (void)state;
    struct bins bins;
    struct extent extent = {.any = false};
    assert_int_equal(bins_new(arena, &extent, 12, NULL, &bins), STATUS_OK);
    assert_int_equal(bins.count, 0);
    assert_int_equal(bins_find(&bins, 0), BIN_NONE);
}

/* Edges are decimals, not products of doubles. */
static void edges_are_decimals(void **state)
{
    (void)state;
    struct bins bins = bins_of(0.05, 0.95, 12);
    assert_int_equal(bins.count, 10);
    assert_true(bins.edges[3] == 0.3);
    assert_int_equal(bins_find(&bins, 0.3), 3); /* although 0.3 / 0.1 is below 3 */
    assert_int_equal(bins_find(&bins, nextafter(0.3, 0)), 2);
    assert_int_equal(bins_find(&bins, 0), 0);
    assert_int_equal(bins_find(&bins, 1), BIN_NONE);
    assert_int_equal(bins_find(&bins, -0.01), BIN_NONE);
}

/* Doubles at the ends of what doubles are. */
static void ends(void **state)
{
    (void)state;
    struct bins bins = bins_of(-DBL_MAX, DBL_MAX, 2);
    assert_int_equal(bins.count, 2);
    assert_int_equal(bins_find(&bins, -DBL_MAX), 0);
    assert_int_equal(bins_find(&bins, -DBL_MIN), 0);
    assert_int_equal(bins_find(&bins, 0), 1);
    assert_int_equal(bins_find(&bins, DBL_MAX), 1);
    bins = bins_of(0, 4.9406564584124654e-324, 12);
    assert_true(bins.count >= 1 && bins.count <= 12);
    assert_true(bins_find(&bins, 4.9406564584124654e-324) < bins.count);
    bins = bins_of(1, nextafter(1, 2), 12); /* closer than a width may be */
    assert_true(bins_find(&bins, 1) < bins.count && bins_find(&bins, nextafter(1, 2)) < bins.count);
    bins = bins_of(9007199254740991.0, 9007199254740992.0, 100);
    assert_true(bins_find(&bins, 9007199254740991.0) < bins_find(&bins, 9007199254740992.0) + 1);
    expect(0, 1e21, 2, 2, "0 - 1,000,000,000,000,000,000,000",
           "1,000,000,000,000,000,000,000 - 2,000,000,000,000,000,000,000");
}

static uint64_t seed = 7;
static uint64_t bits(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* Any finite double. */
static double number(void)
{
    for (;;) {
        double d;
        uint64_t some = bits();
        memcpy(&d, &some, sizeof d);
        if (bits() % 2) d = (double)(int64_t)(bits() % 2000000) / 100 - 5000;
        if (isfinite(d)) return d + 0.0;
    }
}

static void what_holds_of_all(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        double a = number(), b = number(), min = a < b ? a : b, max = a < b ? b : a;
        uint32_t count = 2 + (uint32_t)(bits() % 50);
        struct bins bins = bins_of(min, max, count);
        assert_true(bins.count >= 1 && bins.count <= count);
        assert_true(bins.edges[0] <= min && bins.edges[bins.count] > max);
        for (uint32_t k = 0; k < bins.count; k++) {
            assert_true(bins.edges[k] < bins.edges[k + 1]);
            double low = bins.edges[k], below = nextafter(bins.edges[k + 1], -INFINITY);
            assert_int_equal(bins_find(&bins, low), k);
            assert_int_equal(bins_find(&bins, below), k);
        }
        assert_int_equal(bins_find(&bins, min), 0);
        assert_int_equal(bins_find(&bins, max), bins.count - 1);
        arena_reset(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(widths, setup, teardown),
        cmocka_unit_test_setup_teardown(one_number, setup, teardown),
        cmocka_unit_test_setup_teardown(no_number, setup, teardown),
        cmocka_unit_test_setup_teardown(edges_are_decimals, setup, teardown),
        cmocka_unit_test_setup_teardown(ends, setup, teardown),
        cmocka_unit_test_setup_teardown(what_holds_of_all, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
