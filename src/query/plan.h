#pragma once
/*
 * The logical plan: what is asked, no word of how. The API builds it (every default and limit of Mixpanel is decided
 * there); an executor (backend.h) answers it. A plan is a value; its strings belong to whoever built it and must
 * outlive the run.
 *
 * Which events. Every kind looks at the events that lie in the range, have one of the names in `events` (0 names: any;
 * a name given twice is given once) and for which `where` is exactly true. Deleted and replaced events are nowhere.
 *
 * Kinds
 *   SEGMENT     `measure` per time bucket and, with `on`, per label: the top `limit` labels by number of events, ties
 *               by label in byte order, whatever the measure is. Without `on` there is one series, labelled by the name
 *               of the event, or `$any_event` when not exactly one name was given. docs/decisions/0005. With `on`, one
 *               of these may be given, too (docs/decisions/0023):
 *                 labels     only these, each once, count as labels at all
 *                 by         a series for each of the top labels of `on` and each of the top labels of `by`, `limit` of
 *                            either: an event counts in those whose two labels it has
 *                 bin_count  the labels are ranges of numbers (bins.h), at most so many, ascending; those without
 *                            events are left out, and `limit` does nothing. An event counts under the ranges of the
 *                            numbers that `on` gives, of a list those of its items; everything else is passed over
 *   TOP_VALUES  the values of `on` by number of events: the top `limit`, ties by label in byte order. A list counts
 *               once under each distinct label of its items. Events without a value (undefined, an empty list) are
 *               left out; null is the label `null`.
 *   PROPERTIES  the names of properties by number of events that have them (null is a value): the top `limit`, ties by
 *               name in byte order.
 *   FEED        the events of the people behind `distinct_ids` in the order of time: whole clusters, whichever of
 *               their ids is given; unknown ids are nobody. Ties: by event name, then by distinct_id as sent, both in
 *               byte order, then events with an insert id by it, before events without one as they came in. Newest
 *               first is the exact reverse. At most `limit` events, 0: all.
 *   EXPORT      the events, whole, at most `limit`, 0: all. When there are more, which ones is not promised. Their
 * order is not either, unless with `by_day`: then it goes from day to day of the range, without an order within one.
 * (The native executor goes by the first days of the windows of time in which events are stored, from the oldest, whose
 * lengths differ, and by sections and events within one.) FLOW and COHORT take their places here as they are built;
 * funnels are plans of their own (funnel.h).
 *   RETENTION   who comes back in the intervals after a first event: retention.h.
 *   FREQUENCY   in how many hours or days of a bucket people are active: frequency.h.
 *
 * Measures (SEGMENT), of the events of one cell (label and bucket)
 *   COUNT       how many events. A count.
 *   UNIQUE      how many different people; events of nobody count for nothing. A count.
 *   AVERAGE     COUNT by UNIQUE, rounded once; 0 where UNIQUE is 0.
 *   SUM, MEAN, MIN, MAX, PERCENTILE
 *               of the numbers that `of` gives. It is looked at for the events of labels that are answered.
 *
 * A number is a value of the type number which a double can hold: an integer is rounded to the nearest double first,
 * and -0 is 0. Everything else (undefined, null, booleans, texts, also those that look like numbers, lists, objects,
 * numbers beyond a double) is passed over; number(…) in `of` converts where that is wanted.
 *
 * The sum is the exact sum of those doubles, rounded once to the nearest double, ties to even; beyond the range of
 * doubles it is an infinity. The mean is the exact sum divided by how many numbers there are, rounded once, so it is
 * always finite. So neither depends on the order of events. A percentile is a number that occurs: the one at
 * plan_percentile_rank() in ascending order (nearest rank; docs/decisions/0009-plans-and-executors.md). A cell without
 * numbers has the sum 0 and no mean, minimum, maximum or percentile (result.h).
 *
 * Errors of expressions. `and` and `or` can fail for an event (expr.h). That ends the run, unless the event lies beyond
 * the limit of FEED or EXPORT: executors may stop there without looking.
 */
#include "base/error.h"
#include "base/timezone.h"

#include <math.h>
#include <stdatomic.h>

struct expr_join;

enum plan_kind {
    PLAN_SEGMENT,
    PLAN_TOP_VALUES,
    PLAN_FEED,
    PLAN_EXPORT,
    PLAN_PROPERTIES,
    PLAN_RETENTION,
    PLAN_FREQUENCY
};
enum plan_unit {
    UNIT_MINUTE,
    UNIT_HOUR,
    UNIT_DAY,
    UNIT_WEEK,
    UNIT_MONTH,
    UNIT_DAYS, /* buckets of interval_days */
    UNIT_RANGE /* one bucket, labelled by from_day: uniques of the whole range, and so on */
};
enum plan_measure {
    MEASURE_COUNT,
    MEASURE_UNIQUE,
    MEASURE_AVERAGE,
    MEASURE_SUM,
    MEASURE_MEAN,
    MEASURE_MIN,
    MEASURE_MAX,
    MEASURE_PERCENTILE
};
enum plan_order { ORDER_NEWEST_FIRST, ORDER_OLDEST_FIRST };

/* What RETENTION asks besides: retention.h. */
struct plan_retention {
    enum retention_type { RETENTION_BIRTH, RETENTION_COMPOUNDED } type;
    bool unbounded;
    uint32_t interval_count;
    const struct str *born_events; /* BIRTH; as `events` and `where` */
    size_t born_event_count;
    struct str born_where;
};

struct plan {
    enum plan_kind kind;
    uint64_t project;
    const struct timezone_info *zone;
    int64_t from_day, to_day; /* local days since 1970-01-01, inclusive */
    /* For "the last N hours" narrows the days to [from, to), whole units of UNIT_MINUTE or UNIT_HOUR, whole minutes of
     * UNIT_RANGE, TOP_VALUES and PROPERTIES; both 0: whole days. */
    int64_t from_local_ms, to_local_ms;
    enum plan_unit unit;    /* SEGMENT, RETENTION, FREQUENCY */
    unsigned interval_days; /* UNIT_DAYS */
    enum plan_measure measure;
    double percentile; /* PERCENTILE: above 0, up to 100; 50 is the median */
    const struct str *events;
    size_t event_count;             /* 0: any event */
    struct str where, on;           /* expressions; NULL data: none */
    bool unknown_names_refused;     /* FEED, EXPORT: in `where`, when a slip of the pen must not select more */
    struct str of;                  /* expression: what SUM, MEAN, MIN, MAX and PERCENTILE are of */
    struct str by;                  /* SEGMENT with `on`: a second expression; NULL data: none */
    const struct str *labels;       /* SEGMENT with `on`: the only ones */
    size_t label_count;             /* 0: any */
    uint32_t bin_count;             /* SEGMENT with `on`: ranges of numbers, at most so many; 0: none */
    const struct str *distinct_ids; /* FEED */
    size_t distinct_id_count;
    enum plan_order order; /* FEED */
    bool rows_as_json;     /* FEED, EXPORT: see struct event_row */
    bool by_day;           /* EXPORT */
    uint32_t limit;        /* labels of SEGMENT, RETENTION and FREQUENCY with `on`, values of TOP_VALUES, names of
                              PROPERTIES, events of FEED and EXPORT */
    int64_t now_ms;        /* TODAY() */
    struct plan_retention retention; /* RETENTION */
    enum plan_unit active_unit;      /* FREQUENCY: UNIT_HOUR or UNIT_DAY */
    /* Tables that properties are joined with in the expressions (expr/join.h); they outlive the run. */
    const struct expr_join *const *joins;
    size_t join_count;
};

/* What a run tells about itself while it is under way; executors add to it, from any of their threads. */
struct plan_progress {
    _Atomic uint64_t rows_total; /* that are to be looked at, as far as is known; a run in several passes adds each */
    _Atomic uint64_t rows_done;
    _Atomic bool profiles_read; /* so the answer depends on profiles, not on events alone */
};

struct turn;
struct plan_limits {
    size_t memory_bytes_max;
    uint32_t buckets_max;
    int64_t deadline_ns;            /* os_monotonic_ns; INT64_MAX: none */
    const _Atomic bool *cancelled;  /* NULL: cannot be */
    struct plan_progress *progress; /* NULL: nobody asks */
    struct turn *turn;              /* turns.h; NULL: there is nobody else */
};

static inline void plan_expects_rows(const struct plan_limits *limits, uint64_t rows)
{
    if (limits->progress) atomic_fetch_add_explicit(&limits->progress->rows_total, rows, memory_order_relaxed);
}
static inline void plan_passed_rows(const struct plan_limits *limits, uint64_t rows)
{
    if (limits->progress) atomic_fetch_add_explicit(&limits->progress->rows_done, rows, memory_order_relaxed);
}
static inline void plan_reads_profiles(const struct plan_limits *limits)
{
    if (limits->progress) atomic_store_explicit(&limits->progress->profiles_read, true, memory_order_relaxed);
}

static inline bool plan_measures_numbers(enum plan_measure measure)
{
    return measure >= MEASURE_SUM;
}

/* INVALID for what is wrong with a plan whatever the data is, save its expressions. Executors call it first. */
enum status plan_check(const struct plan *plan, struct error *error) MUST_USE;

/* The place, from 1, of a percentile among `count` numbers in ascending order: percentile × count / 100, rounded up.
 * Both operations are those of doubles, so that 99.9 of 1000 is 999 although the double 99.9 is above 99.9. */
static inline uint64_t plan_percentile_rank(double percentile, uint64_t count)
{
    uint64_t rank = (uint64_t)ceil(percentile * (double)count / 100);
    return rank < 1 ? 1 : rank > count ? count : rank;
}
