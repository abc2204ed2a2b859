/*
 * Sums, means, percentiles and labels of numbers of all kinds on a real store, against plain evaluation of the same
 * numbers: prices in cents, tenths, whole ones, wide and narrow, negative, missing, in memory and in several files, so
 * that runs with different powers of ten meet in one answer; counted by one thread and by several.
 */
#include "query/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/civil.h"
#include "base/exact_sum.h"
#include "base/number.h"
#include "query/native/native.h"
#include "query/store_testing.h"

#define PROJECT 3
#define DAY0    19783 /* 2024-03-01 */
#define DAYS    90
#define EVENTS  6000

struct sample {
    uint32_t day;
    double number; /* NaN: none */
};

static uint64_t random_state;

static uint64_t next(void)
{
    random_state += 0x9E3779B97F4A7C15u;
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static int setup(void **state)
{
    (void)state;
    testing_store_begin(1 << 24);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return testing_store_end();
}

/* A shape of numbers: integers of [low, high] over 10^exponent. */
struct shape {
    unsigned exponent;
    int64_t low, high;
    unsigned missing; /* of 100 */
};

static double draw(const struct shape *shape)
{
    static const double powers[] = {1, 10, 100, 1000, 10000, 100000};
    if (next() % 100 < shape->missing) return NAN;
    int64_t integer = shape->low + (int64_t)(next() % (uint64_t)(shape->high - shape->low + 1));
    return (double)integer / powers[shape->exponent];
}

static void send(const struct shape *shape, struct sample *samples, size_t count)
{
    struct batch batch;
    struct buf record;
    batch_init(&batch, (size_t)16 << 20);
    batch_begin(&batch, PROJECT, DAY0 * DAY_MS, IDENTITY_SIMPLIFIED, 0);
    for (size_t i = 0; i < count; i++) {
        char id[16], insert_id[24];
        int id_size = snprintf(id, sizeof id, "user%u", (unsigned)(next() % 700));
        int insert_size = snprintf(insert_id, sizeof insert_id, "%016llx", (unsigned long long)next());
        samples[i] = (struct sample){(uint32_t)(next() % DAYS), draw(shape)};
        int64_t time_ms = (DAY0 + samples[i].day) * DAY_MS + (int64_t)(next() % DAY_MS);
        batch_event(&batch, STR("A"), time_ms, str_from(id, (size_t)id_size), STR(""),
                    str_from(insert_id, (size_t)insert_size));
        struct json json = json_number(samples[i].number);
        if (!isnan(samples[i].number)) assert_int_equal(batch_property(&batch, STR("price"), &json), STATUS_OK);
        batch_event_end(&batch);
    }
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What the measure of one bucket is, from its numbers, which get sorted. */
static double expected(const struct plan *plan, double *numbers, size_t count)
{
    struct exact_sum sum = {0};
    struct arena *arena = arena_new((size_t)1 << 20);
    for (size_t i = 0; i < count; i++) assert_int_equal(exact_sum_add(&sum, numbers[i], arena), STATUS_OK);
    double total = exact_sum_over(&sum, 1), mean = count ? exact_sum_over(&sum, count) : NAN;
    arena_free(arena);
    if (plan->measure == MEASURE_SUM) return total;
    if (plan->measure == MEASURE_MEAN) return mean;
    qsort(numbers, count, sizeof *numbers, by_number);
    return count ? numbers[plan_percentile_rank(plan->percentile, count) - 1] : NAN;
}

static void check_plan(const struct plan *plan, const struct sample *samples, size_t count, unsigned threads)
{
    struct plan_limits limits = {.memory_bytes_max = (size_t)256 << 20, .buckets_max = 10000, .deadline_ns = INT64_MAX};
    struct executor *executor = executor_native_new_threads(store, threads);
    struct segmentation result;
    double *numbers = malloc((count + 1) * sizeof *numbers);
    assert_non_null(numbers);
    assert_int_equal(executor->segment(executor, plan, &limits, &error, &result), STATUS_OK);
    assert_int_equal(result.bucket_count, plan->unit == UNIT_RANGE ? 1 : DAYS);
    for (uint32_t b = 0; b < result.bucket_count; b++) {
        size_t here = 0;
        double bound = plan->where.data ? 1 : -INFINITY;
        for (size_t i = 0; i < count; i++) {
            bool counts = plan->unit == UNIT_RANGE || samples[i].day == b;
            if (counts && samples[i].number > bound) numbers[here++] = samples[i].number;
        }
        double wanted = expected(plan, numbers, here), found = result.series[0].numbers[b];
        if (!(wanted == found || (isnan(wanted) && isnan(found))))
            fail_msg("bucket %u of %zu numbers: %.17g instead of %.17g", b, here, found, wanted);
    }
    segmentation_free(&result);
    executor_free(executor);
    free(numbers);
}

static double label_number(double number)
{
    return isnan(number) ? INFINITY : floor(number / 10);
}

/* Events by floor(price / 10), all of them and those above 1, in one bucket and by day. */
static void check_labels(const struct sample *samples, size_t count, const struct plan *base, unsigned threads)
{
    struct plan_limits limits = {.memory_bytes_max = (size_t)256 << 20, .buckets_max = 10000, .deadline_ns = INT64_MAX};
    struct executor *executor = executor_native_new_threads(store, threads);
    struct plan plan = *base;
    plan.measure = MEASURE_COUNT;
    plan.on = STR("floor(properties[\"price\"] / 10)");
    plan.of = STR_NULL;
    plan.limit = 20;
    struct segmentation result;
    double *labels = malloc((count + 1) * sizeof *labels);
    assert_non_null(labels);
    assert_int_equal(executor->segment(executor, &plan, &limits, &error, &result), STATUS_OK);
    for (uint32_t s = 0; s < result.series_count; s++) {
        uint64_t wanted[DAYS] = {0};
        double label = INFINITY; /* of events without a number */
        if (!number_parse(result.series[s].label, &label)) assert_true(str_is(result.series[s].label, "undefined"));
        for (size_t i = 0; i < count; i++) {
            bool counts = !plan.where.data || samples[i].number > 1;
            if (counts && label_number(samples[i].number) == label)
                wanted[plan.unit == UNIT_RANGE ? 0 : samples[i].day]++;
        }
        for (uint32_t b = 0; b < result.bucket_count; b++) assert_int_equal(result.series[s].counts[b], wanted[b]);
    }
    size_t different = 0, here = 0;
    for (size_t i = 0; i < count; i++) {
        if (!plan.where.data || samples[i].number > 1) labels[here++] = label_number(samples[i].number);
    }
    qsort(labels, here, sizeof *labels, by_number);
    for (size_t i = 0; i < here; i++) different += i == 0 || labels[i] != labels[i - 1];
    assert_int_equal(result.label_count, different);
    segmentation_free(&result);
    executor_free(executor);
    free(labels);
}

static void check_all(const struct sample *samples, size_t count)
{
    static const double percentiles[] = {50, 90, 0.1, 100};
    struct str name = STR("A");
    struct plan plan = {.kind = PLAN_SEGMENT,
                        .project = PROJECT,
                        .zone = timezone_utc(),
                        .from_day = DAY0,
                        .to_day = DAY0 + DAYS - 1,
                        .events = &name,
                        .event_count = 1,
                        .limit = 60};
    for (unsigned i = 0; i < 24; i++) {
        bool cast = i % 3 == 1; /* as clients write it */
        plan.of = cast ? STR("number(properties[\"price\"])") : STR("properties[\"price\"]");
        plan.unit = i % 2 ? UNIT_DAY : UNIT_RANGE;
        plan.where = i % 4 < 2 ? STR_NULL
                     : cast    ? STR("number(properties[\"price\"]) > 1")
                               : STR("properties[\"price\"] > 1");
        plan.measure = i < 4 ? MEASURE_SUM : i < 8 ? MEASURE_MEAN : MEASURE_PERCENTILE;
        plan.percentile = i < 8 ? 0 : percentiles[(i - 8) / 4];
        check_plan(&plan, samples, count, i % 3 == 2 ? 1 : 3);
        if (i < 4) check_labels(samples, count, &plan, i % 3 == 2 ? 1 : 3);
    }
}

static void check_shapes(const struct shape *shapes, size_t count)
{
    struct sample *samples = calloc(count * EVENTS, sizeof *samples);
    assert_non_null(samples);
    for (size_t i = 0; i < count; i++) {
        send(&shapes[i], samples + i * EVENTS, EVENTS);
        if (i % 3 != 2) assert_int_equal(store_flush(store, &error), STATUS_OK);
        check_all(samples, (i + 1) * EVENTS);
    }
    free(samples);
}
#define SHAPES(...)                                                                                                    \
    check_shapes((const struct shape[]){__VA_ARGS__},                                                                  \
                 sizeof((const struct shape[]){__VA_ARGS__}) / sizeof(struct shape))

static void prices(void **state)
{
    (void)state;
    random_state = 1;
    SHAPES({2, 99, 99999, 0}, {1, 5, 3000, 10}, {2, -5000, 123456789, 3}, {0, -7, 100000, 0}, {3, 1, 999999, 50});
}

static void few_different_ones(void **state)
{
    (void)state;
    random_state = 2;
    SHAPES({0, 0, 5000, 0}, {0, 42, 42, 0}, {2, 3, 3, 99}, {0, 7, 7, 100});
}

/* What cannot be done with integers of 32 bits, or not exactly. */
static void wide_ones(void **state)
{
    (void)state;
    random_state = 3;
    SHAPES({2, -1000000000000, 1000000000000, 1}, {0, 4503599627370000, 4503599627370496, 0}, {5, 1, 100000, 0});
}

static void very_wide_ones(void **state)
{
    (void)state;
    random_state = 4;
    SHAPES({3, -90000000000, 90000000000, 1}, {0, -4503599627370496, 4503599627370496, 2});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(prices, setup, teardown),
        cmocka_unit_test_setup_teardown(few_different_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(wide_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(very_wide_ones, setup, teardown),
    };
    return cmocka_run_group_tests_name("query/numbers", tests, NULL, NULL);
}
