#pragma once
/*
 * RETENTION: who comes back? People are born into cohorts, one for each time bucket, and counted in the intervals after
 * their birth in which they return. docs/decisions/0021-retention-and-frequency.md has the reasons.
 *
 * Births. BIRTH: of each person the first event in the range with one of the names in `born_events` (0: any) for which
 * `born_where` is exactly true, and no other. COMPOUNDED: in every bucket the first event with one of `events` for
 * which `where` is true, so that a person may be in each cohort, once.
 *
 * Intervals are of the person's own time: interval k is [birth + k · length, birth + (k + 1) · length), whatever clocks
 * do meanwhile. The length is 24 hours for UNIT_DAY, 7 times that for UNIT_WEEK, 30 times for UNIT_MONTH, interval_days
 * times for UNIT_DAYS. Other units are refused.
 *
 * Returns are events with one of `events` for which `where` is true, in an interval below `interval_count`; they may
 * lie behind the range. An event at the very instant of a birth that could have been it is that birth, and no return:
 * so answers do not depend on the order of what happens at once.
 *
 * Counts are how many people of a cohort return in interval k; `unbounded`: in k or a later one (of those below
 * interval_count). Events of nobody count for nothing.
 *
 * With `on`, returns are split by it: under each label stand those who return with an event that has it. Lists and
 * events without a value as in SEGMENT. The top `limit` labels are answered: those with most events (of `events` and
 * `where`, from the first instant of the range to interval_count intervals behind its last), ties by label in byte
 * order.
 *
 * Errors of expressions. born_where is looked at for every event with its names in the range; `where` and `on` for
 * every event with theirs from the first instant of the range to interval_count intervals behind its last. One that
 * fails there ends the run, whoever's it is.
 */
#include "query/result.h"

#define RETENTION_INTERVALS_MAX 10000

/* Counts of one label, or of all. */
struct retention_series {
    struct str label;
    uint64_t *counts; /* of cohort c and interval k: [c · interval_count + k] */
};
struct retention {
    struct arena *arena;
    uint32_t bucket_count, interval_count;
    struct str *buckets; /* `2024-01-31`, ascending */
    uint64_t *first;     /* by cohort: who was born into it */
    uint32_t *lengths;   /* by cohort: how many of its intervals have begun by now_ms for at least its eldest possible
                            member, who is born when the bucket begins, or the range where that is later */
    struct retention_series overall, *series; /* series: with `on`, most events first */
    uint32_t series_count;
    uint32_t label_count; /* before `limit` */
};
void retention_free(struct retention *result);

/* The length of an interval. */
static inline int64_t retention_interval_ms(const struct plan *plan)
{
    int64_t days = plan->unit == UNIT_WEEK ? 7 : plan->unit == UNIT_MONTH ? 30 : 1;
    if (plan->unit == UNIT_DAYS) days = plan->interval_days;
    return days * INT64_C(86400000);
}
