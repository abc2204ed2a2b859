/*
 * Plain funnels, which most are: steps of different events in a fixed order, no exclusions, labels, held values or
 * sessions. Then no event can serve two steps of one attempt, and what can serve a step is a list in the order of time
 * (journeys by selector): an attempt is a walk along the lists. From entry to entry the places in the lists only move
 * on, because a later entry's step k is never earlier than an earlier one's; so a person costs a look at each event.
 *
 * Totals use events up: the place moves behind them. Uniques do not need to, since of a funnel one attempt counts: the
 * first, or with optimized re-entry the first that converts, before which nothing is used up.
 */
#include "query/native/funnel_int.h"

#define TIME_MASK (((uint64_t)1 << JOURNEY_TIME_BITS) - 1)

bool funnel_is_plain(const struct funneling *f)
{
    const struct funnel_plan *plan = f->plan;
    bool optimized_totals = f->optimized && plan->count == FUNNEL_TOTALS;
    return !plan->exclusion_count && !plan->any_order && !plan->on.data && !plan->hold_count && !f->window_sessions &&
           !optimized_totals && f->step_count <= JOURNEY_SELECTORS_SHORT && (!plan->trend || f->entries.ascends);
}

/* A person on the way through. Times are from the base of the journey. */
struct walk {
    const uint64_t *keys;
    uint32_t begin[JOURNEY_SELECTORS_SHORT], at[JOURNEY_SELECTORS_SHORT], end[JOURNEY_SELECTORS_SHORT];
    uint64_t last;              /* of the attempt: the latest time of a step behind the first; 0: none */
    uint32_t best, best_bucket; /* steps and bucket of the best attempt of the funnel at hand; 0: none yet */
    uint64_t best_from_previous_ms[JOURNEY_SELECTORS_SHORT], best_from_start_ms[JOURNEY_SELECTORS_SHORT];
};

static inline uint32_t bucket_of(const struct funneling *f, const struct journey *journey, uint64_t time)
{
    return time_table_at(&f->entries, journey->base_ms + (int64_t)time);
}

/* Steps reached from an entry. `next`: the time of the entry behind it that would restart, or UINT64_MAX. */
static inline uint32_t go(const struct funneling *f, struct funnel_slot *slot, struct walk *walk, uint64_t start,
                          uint64_t next, bool uses_up)
{
    const uint64_t *keys = walk->keys, grace = (uint64_t)f->grace_ms, deadline = start + (uint64_t)f->window_ms;
    uint64_t last = start;
    uint32_t reached = 1;
    walk->last = 0;
    for (; reached < f->step_count; reached++) {
        uint64_t first = last < grace ? 0 : last - grace;
        uint32_t at = walk->at[reached], end = walk->end[reached];
        while (at < end && (keys[at] & TIME_MASK) < first) at++;
        walk->at[reached] = at;
        if (at == end) break;
        uint64_t time = keys[at] & TIME_MASK;
        if (time > deadline || (reached == 1 && next <= time)) break;
        slot->from_previous_ms[reached] = time > last ? time - last : 0;
        slot->from_start_ms[reached] = time > start ? time - start : 0;
        walk->at[reached] += uses_up;
        if (time > walk->last) walk->last = time;
        last = time;
    }
    return reached;
}

static void count_best(const struct funneling *f, struct funnel_slot *slot, struct walk *walk)
{
    if (walk->best)
        funnel_count_cells(slot->overall + (size_t)walk->best_bucket * f->step_count, walk->best,
                           walk->best_from_previous_ms, walk->best_from_start_ms);
    walk->best = 0;
}

static void keep_best(const struct funneling *f, const struct funnel_slot *slot, struct walk *walk, uint32_t reached,
                      uint32_t bucket)
{
    if (reached <= walk->best) return;
    walk->best = reached;
    walk->best_bucket = bucket;
    memcpy(walk->best_from_previous_ms, slot->from_previous_ms, f->step_count * sizeof(uint64_t));
    memcpy(walk->best_from_start_ms, slot->from_start_ms, f->step_count * sizeof(uint64_t));
}

/* The first attempt of each funnel. */
static void walk_first(struct funneling *f, struct funnel_slot *slot, const struct journey *journey, struct walk *walk)
{
    uint32_t current = BUCKET_NONE;
    for (uint32_t e = 0; e < walk->end[0]; e++) {
        uint64_t start = walk->keys[e];
        uint32_t bucket = bucket_of(f, journey, start);
        if (bucket == BUCKET_NONE || bucket == current) continue;
        current = bucket;
        uint32_t reached = go(f, slot, walk, start, UINT64_MAX, false);
        funnel_count_cells(slot->overall + (size_t)bucket * f->step_count, reached, slot->from_previous_ms,
                           slot->from_start_ms);
        if (!f->plan->trend) break;
    }
}

static void walk_optimized(struct funneling *f, struct funnel_slot *slot, const struct journey *journey,
                           struct walk *walk)
{
    uint32_t current = BUCKET_NONE, behind = bucket_of(f, journey, walk->keys[0]);
    bool trend = f->plan->trend;
    for (uint32_t e = 0; e < walk->end[0]; e++) {
        uint64_t start = walk->keys[e], next = UINT64_MAX;
        uint32_t bucket = behind;
        behind = e + 1 < walk->end[0] ? bucket_of(f, journey, walk->keys[e + 1]) : BUCKET_NONE;
        if (bucket == BUCKET_NONE) continue;
        if (trend && bucket != current) count_best(f, slot, walk);
        current = bucket;
        if (walk->best == f->step_count && trend) continue;
        if (walk->best == f->step_count) break;
        if (behind != BUCKET_NONE && (!trend || behind == bucket)) next = walk->keys[e + 1];
        keep_best(f, slot, walk, go(f, slot, walk, start, next, false), bucket);
    }
    count_best(f, slot, walk);
}

static void walk_totals(struct funneling *f, struct funnel_slot *slot, const struct journey *journey, struct walk *walk)
{
    uint32_t current = BUCKET_NONE;
    uint64_t from = 0; /* entries from this time on may begin an attempt */
    for (uint32_t e = 0; e < walk->end[0]; e++) {
        uint64_t start = walk->keys[e], deadline = start + (uint64_t)f->window_ms;
        uint32_t bucket = bucket_of(f, journey, start);
        if (bucket == BUCKET_NONE) continue;
        if (f->plan->trend && bucket != current) { /* a funnel of its own: nothing is used up */
            memcpy(walk->at, walk->begin, f->step_count * sizeof *walk->at);
            from = 0;
        }
        current = bucket;
        if (start < from) continue;
        uint32_t reached = go(f, slot, walk, start, UINT64_MAX, true);
        funnel_count_cells(slot->overall + (size_t)bucket * f->step_count, reached, slot->from_previous_ms,
                           slot->from_start_ms);
        /* an entry of the same millisecond as a later step comes before it in order */
        from = reached > 1 ? walk->last + 1 : 0;
        if ((reached < f->step_count || f->plan->reentry == FUNNEL_REENTRY_BASIC) && from <= deadline)
            from = deadline + 1;
        slot->work += reached;
    }
}

enum status funnel_visit_plain(void *ctx, unsigned slot_number, const struct journey *journey, struct error *error)
{
    struct funneling *f = ctx;
    struct funnel_slot *slot = &f->slots[slot_number];
    struct walk walk; /* most of it is not needed for few steps */
    uint32_t at = 0;
    walk.keys = journey->keys;
    walk.best = 0;
    for (uint32_t k = 0; k < f->step_count; k++) {
        uint64_t behind = (uint64_t)(k + 1) << JOURNEY_TIME_BITS;
        walk.begin[k] = walk.at[k] = at;
        while (at < journey->count && journey->keys[at] < behind) at++;
        walk.end[k] = at;
    }
    if (!f->one_counts)
        walk_totals(f, slot, journey, &walk);
    else if (f->optimized)
        walk_optimized(f, slot, journey, &walk);
    else
        walk_first(f, slot, journey, &walk);
    slot->work += journey->count;
    if (slot->work < FUNNEL_WORK_BETWEEN_LOOKS) return STATUS_OK;
    slot->work = 0;
    return native_interrupted(f->limits, error);
}
