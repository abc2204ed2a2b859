#pragma once
/*
 * Funnels: how many people (or attempts, or sessions) go through steps one after the other, and how long it takes them.
 * Behind struct executor as its member `funnel`. Which rules are Mixpanel's and which are ours is told in
 * docs/decisions/0020-funnels.md; here they are stated as they are computed.
 *
 * A step is a set of event names and a filter. An event of nobody is in no funnel. An attempt belongs to one person:
 *
 *   1. It begins with an entry: an event in the range that matches the first step.
 *   2. When it has reached step k with an event at t, step k + 1 is served by the first event (in the order of
 *      journeys: time, then the steps it matches, then its values) that matches the step, that serves nothing else, of
 *      t - 2 s or later, and inside the window: at most window_ms after the entry, or, for windows of sessions, in one
 *      of the window_sessions sessions from the entry's on. Two seconds, the grace, make neighbouring steps
 *      interchangeable; with `no_grace` there is none: t or later. Events before and after the range can serve steps,
 * but are no entries.
 *   3. An exclusion between steps k and k + 1 ends the attempt at step k when an event that matches it comes more than
 *      2 s after the one of step k, inside the window, and no event for step k + 1 comes before or up to 2 s after it.
 *      An event that serves a step excludes nothing.
 *   4. With `any_order`, steps that are not anchored stand in for each other up to the next anchored one: the next
 *      event may serve any of them that is not served yet (the first one that it matches). "Step k" is then the k-th
 *      that was done. The events that match any step of the first such group are entries.
 *   5. Steps that `hold` properties constant look only at events that have values for all of them, the same ones as
 *      the entry's. Values are the same when their labels are.
 *
 * Which attempts are made, of one person in one funnel. An event serves one step of one attempt; but what an attempt
 * with optimized re-entry has used that does not convert is free for others.
 *
 *   REENTRY_DEFAULT, REENTRY_AGGRESSIVE
 *       The first entry begins one. When it is over, the next entry in the order of events begins another. It is over
 *       with the last event that it used when it converted; with the excluding event; or when its window is.
 *       Entries meanwhile are nothing. With `hold`, this goes on for each combination of held values by itself.
 *   REENTRY_BASIC
 *       The same, but an attempt that converts or is excluded is over with its window, too.
 *   REENTRY_OPTIMIZED
 *       Every entry begins one; but of entries that are followed by another one (with the same held values) before the
 *       event that would serve step 2, none goes on. The first step must be anchored.
 *
 * Which attempts count
 *   COUNT_TOTALS    all
 *   COUNT_UNIQUES   the first one; REENTRY_OPTIMIZED: the first that converts, or else the first of those that come
 *                   furthest. With `on`: for each label, of the attempts that have it.
 *   COUNT_SESSIONS  of each session the first (or, as for uniques, the best) of the attempts that begin in it. The
 *                   window is one session, whatever the plan says.
 *
 * A session is a time in which a person does something (any event at all, in the snapshot) at least every
 * session_gap_ms; it ends at the midnight of the zone in any case.
 *
 * Buckets. An attempt is counted in the bucket of its entry. With `trend`, each bucket is a funnel of its own, of the
 * entries that lie in it; otherwise there is one funnel over the whole range. Weeks that begin at from_day are
 * UNIT_DAYS with 7.
 *
 * Labels. `on` is looked at for the events of steps; an attempt's label is that of
 *   ATTRIBUTE_STEP   the value at `on_step` (of the order in which steps were done); undefined when it was not reached
 *   ATTRIBUTE_FIRST  the first value, going from step to step, that is neither undefined, null nor an empty list
 *   ATTRIBUTE_LAST   the last such value
 * A list has the labels of its items. The `limit` labels with most entries are answered, ties by label in byte order.
 *
 * Times are in ms; from one step to the next they are never negative: where the grace has turned steps round, 0.
 *
 * Errors of expressions: `and` and `or` can fail for an event (expr.h). That ends the run, unless an executor does not
 * look at the event with that expression, because the answer can be told without it.
 */
#include "query/result.h"

struct executor;

#define FUNNEL_STEPS_MAX      60 /* steps and exclusions together, whatever is allowed beyond that */
#define FUNNEL_STEPS_DEFAULT  30
#define FUNNEL_HOLD_MAX       3
#define FUNNEL_GRACE_MS       2000
#define FUNNEL_WINDOW_MS_MAX  (INT64_C(366) * 86400000)
#define FUNNEL_SESSIONS_MAX   12
#define FUNNEL_SESSION_GAP_MS (INT64_C(30) * 60000)
#define FUNNEL_WINDOW_DEFAULT (INT64_C(7) * 86400000)
#define FUNNEL_MONTH_MS       (INT64_C(30) * 86400000) /* what a window's month is */

enum funnel_count { FUNNEL_UNIQUES, FUNNEL_TOTALS, FUNNEL_SESSIONS };
enum funnel_reentry {
    FUNNEL_REENTRY_DEFAULT,
    FUNNEL_REENTRY_BASIC,
    FUNNEL_REENTRY_AGGRESSIVE,
    FUNNEL_REENTRY_OPTIMIZED
};
enum funnel_attribution { FUNNEL_ATTRIBUTE_STEP, FUNNEL_ATTRIBUTE_FIRST, FUNNEL_ATTRIBUTE_LAST };

struct funnel_step {
    const struct str *events; /* one of them; a name given twice is given once */
    size_t event_count;       /* 0: any event */
    struct str where;         /* NULL data: none */
    bool anchored;            /* any_order: keeps its place */
};
struct funnel_exclusion {
    const struct str *events;
    size_t event_count;
    struct str where;
    uint32_t from_step, to_step; /* between these, from 1: 1 to 2 is the first gap; to_step 0: the last step */
};

struct funnel_plan {
    uint64_t project;
    const struct timezone_info *zone;
    int64_t from_day, to_day; /* of entries: local days since 1970-01-01, inclusive */
    enum plan_unit unit;      /* DAY and larger, DAYS, RANGE */
    unsigned interval_days;   /* UNIT_DAYS */
    bool trend;
    const struct funnel_step *steps;
    size_t step_count;
    const struct funnel_exclusion *exclusions;
    size_t exclusion_count;
    bool any_order, no_grace;
    enum funnel_count count;
    enum funnel_reentry reentry;
    int64_t window_ms;        /* above 0, or 0 with window_sessions */
    uint32_t window_sessions; /* up to FUNNEL_SESSIONS_MAX; they are looked for up to FUNNEL_WINDOW_MS_MAX on */
    int64_t session_gap_ms;   /* 0: FUNNEL_SESSION_GAP_MS */
    const struct str *hold;   /* expressions; a word alone is a property */
    size_t hold_count;
    struct str where; /* for the events of all steps, exclusions not; NULL data: none */
    struct str on;    /* NULL data: none */
    enum funnel_attribution attribution;
    uint32_t on_step;   /* FUNNEL_ATTRIBUTE_STEP: from 1; 0 is 1 */
    uint32_t limit;     /* labels, with `on` */
    uint32_t steps_max; /* more steps than this are refused; 0: FUNNEL_STEPS_DEFAULT */
    int64_t now_ms;
    const struct expr_join *const *joins;
    size_t join_count;
};
/* INVALID for what is wrong with a plan whatever the data is, save its expressions. Executors call it first. The error
 * begins with the name of the member, e.g. `exclusions[0]: `. */
enum status funnel_check(const struct funnel_plan *plan, struct error *error) MUST_USE;

/* What reached one step, in one bucket. Exact. */
struct funnel_cell {
    uint64_t count;            /* attempts that reached it */
    uint64_t from_previous_ms; /* the sum over them; 0 for step 1 */
    uint64_t from_start_ms;
};
struct funnel_series {
    struct str label;
    uint64_t entries;          /* over all buckets */
    struct funnel_cell *cells; /* bucket · step_count + step */
};
struct funnel_result {
    struct arena *arena;
    uint32_t step_count, bucket_count;
    struct str *buckets;          /* `2024-01-31`, ascending */
    struct funnel_cell *overall;  /* the funnel without `on` */
    struct funnel_series *series; /* with `on`: most entries first */
    uint32_t series_count;
    uint32_t label_count; /* before `limit` */
};
void funnel_result_free(struct funnel_result *result);
static inline const struct funnel_cell *funnel_cell_at(const struct funnel_result *result,
                                                       const struct funnel_cell *cells, uint32_t bucket, uint32_t step)
{
    return &cells[(size_t)bucket * result->step_count + step];
}
/* Means in seconds; false when nobody came there, and for the first step. */
bool funnel_cell_seconds(const struct funnel_cell *cell, uint32_t step, double *ret_from_previous,
                         double *ret_from_start);
