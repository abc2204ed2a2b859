/*
 * Plain funnels, which most are: steps of different events in a fixed order, no exclusions, labels, held values or
 * sessions. Then no event can serve two steps of one attempt, and what can serve a step is a list in the order of time
 * (journeys by selector): an attempt is a walk along the lists. From entry to entry the places in the lists only move
 * on, because a later entry's step k is never earlier than an earlier one's; so a person costs a look at each event.
 *
 * Totals use events up: the place moves behind them. Uniques do not need to, since of a funnel one attempt counts: the
 * first, or with optimized re-entry the first that converts, before which nothing is used up. Most people lack a step:
 * who has come as far as that is not looked at further.
 */
#include "query/native/funnel_int.h"

#define TIME_MASK (((uint64_t)1 << JOURNEY_TIME_BITS) - 1)

bool funnel_is_plain(const struct funneling *f)
{
    const struct funnel_plan *plan = f->plan;
    bool optimized_totals = f->optimized && plan->count == FUNNEL_TOTALS;
    return !plan->exclusion_count && !plan->any_order && !plan->on.data && !plan->hold_count && !f->window_sessions &&
           !optimized_totals && f->step_count <= JOURNEY_SELECTORS_SHORT && f->entries.ascends;
}

/* A person on the way through. Times are from the base of the journey. */
struct walk {
    const uint64_t *keys;
    uint32_t begin[JOURNEY_SELECTORS_SHORT], at[JOURNEY_SELECTORS_SHORT], end[JOURNEY_SELECTORS_SHORT];
    uint32_t possible;          /* steps up to the first one that has no event: nobody gets further */
    uint64_t last;              /* of the attempt: the latest time of a step behind the first; 0: none */
    uint32_t best, best_bucket; /* steps and bucket of the best attempt of the funnel at hand */
    uint64_t best_from_previous_ms[JOURNEY_SELECTORS_SHORT], best_from_start_ms[JOURNEY_SELECTORS_SHORT];
};

static inline uint32_t bucket_of(const struct funneling *f, const struct journey *journey, uint64_t time)
{
    return time_table_at(&f->entries, journey->base_ms + (int64_t)time);
}

/* Steps reached from an entry. */
static inline uint32_t go(const struct funneling *f, struct funnel_slot *slot, struct walk *walk, uint64_t start,
                          bool uses_up)
{
    const uint64_t *keys = walk->keys, grace = (uint64_t)f->grace_ms, deadline = start + (uint64_t)f->window_ms;
    uint64_t last = start;
    uint32_t reached = 1;
    walk->last = 0;
    for (; reached < walk->possible; reached++) {
        uint64_t first = last < grace ? 0 : last - grace;
        uint32_t at = walk->at[reached], end = walk->end[reached];
        while (at < end && (keys[at] & TIME_MASK) < first) at++;
        walk->at[reached] = at;
        if (at == end) break;
        uint64_t time = keys[at] & TIME_MASK;
        if (time > deadline) break;
        slot->from_previous_ms[reached] = time > last ? time - last : 0;
        slot->from_start_ms[reached] = time > start ? time - start : 0;
        walk->at[reached] += uses_up;
        if (time > walk->last) walk->last = time;
        last = time;
    }
    return reached;
}

static inline void count_best(const struct funneling *f, struct funnel_slot *slot, struct walk *walk)
{
    funnel_count_cells(slot->overall + (size_t)walk->best_bucket * f->step_count, walk->best,
                       walk->best_from_previous_ms, walk->best_from_start_ms);
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
        uint32_t reached = go(f, slot, walk, start, false);
        funnel_count_cells(slot->overall + (size_t)bucket * f->step_count, reached, slot->from_previous_ms,
                           slot->from_start_ms);
        if (!f->plan->trend) break;
    }
}

/* The entries from `e` on until before `end`, which are one funnel's. Of those that are followed by another one before
 * step 2 only the last goes on: the one before the step 2 that the first of them would take. */
static void walk_best(const struct funneling *f, struct funnel_slot *slot, const struct journey *journey,
                      struct walk *walk, uint32_t e, uint32_t end)
{
    const uint64_t *keys = walk->keys, grace = (uint64_t)f->grace_ms;
    uint32_t at = walk->at[1], last = walk->end[1];
    while (e < end) {
        uint64_t first = keys[e] < grace ? 0 : keys[e] - grace, step;
        while (at < last && (keys[at] & TIME_MASK) < first) at++;
        if (at == last) break;
        step = keys[at] & TIME_MASK;
        while (e + 1 < end && keys[e + 1] <= step) e++;
        walk->at[1] = at;
        uint64_t start = keys[e++];
        if (step > start + (uint64_t)f->window_ms) continue;
        keep_best(f, slot, walk, go(f, slot, walk, start, false), bucket_of(f, journey, start));
        if (walk->best == walk->possible) break;
    }
}

/* The best attempt of each funnel. */
static void walk_optimized(struct funneling *f, struct funnel_slot *slot, const struct journey *journey,
                           struct walk *walk)
{
    const struct time_table *entries = &f->entries;
    uint64_t from = (uint64_t)(entries->from_ms - journey->base_ms), to = (uint64_t)(entries->to_ms - journey->base_ms);
    uint32_t e = 0, end;
    while (e < walk->end[0] && walk->keys[e] < from) e++;
    for (; e < walk->end[0] && walk->keys[e] < to; e = end) {
        walk->best_bucket = bucket_of(f, journey, walk->keys[e]);
        walk->best = 1; /* the first entry, in any case */
        uint64_t until = f->plan->trend ? (uint64_t)(entries->ends_ms[walk->best_bucket] - journey->base_ms) : to;
        end = e + 1;
        while (end < walk->end[0] && walk->keys[end] < until) end++;
        if (walk->possible > 1) walk_best(f, slot, journey, walk, e, end);
        count_best(f, slot, walk);
    }
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
            memcpy(walk->at, walk->begin, walk->possible * sizeof *walk->at);
            from = 0;
        }
        current = bucket;
        if (start < from) continue;
        uint32_t reached = go(f, slot, walk, start, true);
        funnel_count_cells(slot->overall + (size_t)bucket * f->step_count, reached, slot->from_previous_ms,
                           slot->from_start_ms);
        /* an entry of the same millisecond as a later step comes before it in order */
        from = reached > 1 ? walk->last + 1 : 0;
        if ((reached < f->step_count || f->plan->reentry == FUNNEL_REENTRY_BASIC) && from <= deadline)
            from = deadline + 1;
        slot->work += reached;
    }
}

/* Where in the journey the events of the steps are. */
static inline void find_steps(const struct funneling *f, const struct journey *journey, struct walk *walk)
{
    const uint64_t *keys = journey->keys;
    uint32_t at = 0, count = journey->count, last = (uint32_t)(keys[count - 1] >> JOURNEY_TIME_BITS);
    if (last == 0) { /* somebody who only began */
        walk->begin[0] = walk->at[0] = 0;
        walk->end[0] = count;
        walk->possible = 1;
        return;
    }
    walk->possible = 0;
    for (uint32_t k = 0; k < f->step_count; k++) {
        uint64_t behind = (uint64_t)(k + 1) << JOURNEY_TIME_BITS;
        walk->begin[k] = walk->at[k] = at;
        while (at < count && keys[at] < behind) at++;
        walk->end[k] = at;
        if (at == walk->begin[k]) return;
        walk->possible++;
    }
}

enum status funnel_visit_plain(void *ctx, unsigned slot_number, const struct journey *journey, struct error *error)
{
    struct funneling *f = ctx;
    struct funnel_slot *slot = &f->slots[slot_number];
    struct walk walk; /* most of it is not needed for few steps */
    walk.keys = journey->keys;
    find_steps(f, journey, &walk);
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
