/* What is wrong with a plan before any data is seen, and the place of a percentile. */
#include "query/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct str name = STR("A");

static struct plan segment(enum plan_measure measure)
{
    return (struct plan){.kind = PLAN_SEGMENT,
                         .zone = timezone_utc(),
                         .to_day = 3,
                         .unit = UNIT_DAY,
                         .measure = measure,
                         .of = STR("n"),
                         .percentile = 50,
                         .limit = 1};
}

static void refused(const struct plan *plan, const char *text)
{
    struct error error;
    assert_int_equal(plan_check(plan, &error), STATUS_INVALID);
    assert_string_equal(error.primary, text);
}
static void accepted(const struct plan *plan)
{
    assert_int_equal(plan_check(plan, NULL), STATUS_OK);
}

static void segmentations(void **state)
{
    (void)state;
    struct plan plan = segment(MEASURE_PERCENTILE);
    accepted(&plan);
    plan.percentile = 100;
    accepted(&plan);
    plan.percentile = 0;
    refused(&plan, "percentile 0 is not above 0 and up to 100");
    plan.percentile = 100.5;
    refused(&plan, "percentile 100.5 is not above 0 and up to 100");
    plan.percentile = NAN;
    refused(&plan, "percentile nan is not above 0 and up to 100");
    plan = segment(MEASURE_SUM);
    plan.of = STR_NULL;
    refused(&plan, "the measure needs an expression for its numbers");
    plan = segment(MEASURE_COUNT);
    plan.of = STR_NULL;
    accepted(&plan);
    plan.unit = UNIT_DAYS;
    refused(&plan, "interval must be at least one day");
    plan.unit = UNIT_HOUR;
    plan.to_local_ms = 3600000;
    accepted(&plan);
    plan.unit = UNIT_RANGE;
    accepted(&plan);
    plan.to_local_ms = 3600001;
    refused(&plan, "the range is not narrowed to whole minutes");
    plan.to_local_ms = 3600000;
    plan.unit = UNIT_DAY;
    refused(&plan, "only minutes, hours and the whole of a range narrow it");
    plan = segment(MEASURE_COUNT);
    plan.from_day = plan.to_day = -1;
    accepted(&plan);
    plan.from_day = 0;
    refused(&plan, "from_date is later than to_date");
}

static void labels(void **state)
{
    (void)state;
    struct plan plan = segment(MEASURE_COUNT);
    plan.on = STR_NULL;
    plan.by = STR("n");
    refused(&plan, "labels need an expression");
    plan.on = STR("p");
    accepted(&plan);
    plan.bin_count = 12;
    refused(&plan, "labels are chosen in more than one way");
    plan.by = STR_NULL;
    accepted(&plan);
    plan.bin_count = 1;
    refused(&plan, "there are 2 to 100000 ranges of numbers");
    plan.bin_count = 100001;
    refused(&plan, "there are 2 to 100000 ranges of numbers");
    plan.bin_count = 0;
    plan.labels = &name;
    plan.label_count = 1;
    accepted(&plan);
}

static void other_kinds(void **state)
{
    (void)state;
    struct plan plan = segment(MEASURE_COUNT);
    plan.kind = PLAN_TOP_VALUES;
    refused(&plan, "top values need an expression");
    plan.on = STR("n");
    accepted(&plan);
    plan.limit = 0;
    refused(&plan, "limit must be at least 1");
    plan.kind = PLAN_EXPORT;
    accepted(&plan);
    plan.kind = PLAN_FEED;
    refused(&plan, "distinct_ids is required");
    plan.distinct_ids = &name;
    plan.distinct_id_count = 1;
    accepted(&plan);
    plan.unit = UNIT_HOUR;
    plan.to_local_ms = 3600000;
    refused(&plan, "only minutes, hours and the whole of a range narrow it");
    plan.kind = PLAN_PROPERTIES;
    plan.limit = 1;
    accepted(&plan);
    plan.limit = 0;
    refused(&plan, "limit must be at least 1");
    plan = segment(MEASURE_COUNT);
    plan.kind = (enum plan_kind)99;
    refused(&plan, "unknown kind of plan");
}

static void retentions(void **state)
{
    (void)state;
    struct plan plan = segment(MEASURE_COUNT);
    plan.kind = PLAN_RETENTION;
    refused(&plan, "interval_count 0 is not from 1 to 10000");
    plan.retention.interval_count = 10001;
    refused(&plan, "interval_count 10001 is not from 1 to 10000");
    plan.retention.interval_count = 10000;
    accepted(&plan);
    plan.unit = UNIT_HOUR;
    refused(&plan, "unit must be day, week or month");
    plan.unit = UNIT_DAYS;
    plan.interval_days = 0;
    refused(&plan, "interval 0 is not from 1 to 100000 days");
    plan.interval_days = 7;
    accepted(&plan);
    plan.on = STR("n");
    plan.limit = 0;
    refused(&plan, "limit must be at least 1");
    plan.unit = UNIT_WEEK;
    refused(&plan, "limit must be at least 1");
}

static void frequencies(void **state)
{
    (void)state;
    struct plan plan = segment(MEASURE_COUNT);
    plan.kind = PLAN_FREQUENCY;
    refused(&plan, "addiction_unit must be hour or day");
    plan.active_unit = UNIT_HOUR;
    accepted(&plan);
    plan.unit = UNIT_DAYS;
    refused(&plan, "unit must be day, week or month");
    plan.unit = UNIT_MONTH;
    plan.active_unit = UNIT_DAY;
    accepted(&plan);
    plan.on = STR("n");
    plan.limit = 0;
    refused(&plan, "limit must be at least 1");
}

/* Percentiles that are no binary fractions do not slip by one; the ends are the first and the last number. */
static void ranks(void **state)
{
    (void)state;
    assert_int_equal(plan_percentile_rank(50, 1), 1);
    assert_int_equal(plan_percentile_rank(50, 2), 1);
    assert_int_equal(plan_percentile_rank(50, 3), 2);
    assert_int_equal(plan_percentile_rank(7, 100), 7);
    assert_int_equal(plan_percentile_rank(99.9, 1000), 999);
    assert_int_equal(plan_percentile_rank(99.9, 1001), 1000);
    assert_int_equal(plan_percentile_rank(100, 12345), 12345);
    assert_int_equal(plan_percentile_rank(1e-9, 12345), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segmentations), cmocka_unit_test(labels),      cmocka_unit_test(other_kinds),
        cmocka_unit_test(retentions),    cmocka_unit_test(frequencies), cmocka_unit_test(ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
