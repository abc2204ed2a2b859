#pragma once
/*
 * FREQUENCY: how often are people active? In each time bucket (UNIT_DAY, UNIT_WEEK, UNIT_MONTH) a person's active units
 * are the local hours or days (active_unit) of it in which he has an event that matches the plan. The hour that happens
 * twice when clocks go back is one. Events of nobody count for nothing.
 *
 * With `on` the same for each label: the units in which a person has an event with it. Lists and events without a value
 * as in SEGMENT, which also says which `limit` labels are answered: those with most events.
 */
#include "query/result.h"

/* Of one label, or of all. */
struct frequency_series {
    struct str label;
    uint64_t *counts; /* people who are active in at least i + 1 units of bucket b: [b · width + i] */
};
struct frequency {
    struct arena *arena;
    uint32_t bucket_count, width;
    struct str *buckets; /* `2024-01-31`, ascending */
    uint32_t *lengths;   /* by bucket: how many units a bucket has, cut by the range or by clocks or not: 24 hours of a
                            day, 168 of a week, 7 days of a week, as many days as the month has; at most width */
    struct frequency_series overall, *series; /* series: with `on`, most events first */
    uint32_t series_count;
    uint32_t label_count; /* before `limit` */
};
void frequency_free(struct frequency *result);
