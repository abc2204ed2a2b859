/*
 * From a person's events to attempts. The rules are those of query/funnel.h; here is how they are followed.
 *
 * Entries are taken in order. Each begins an attempt unless one is under way: what has to be known of attempts that are
 * over is from which event, or after which time, the next may begin (struct resume), for each combination of held
 * values by itself. Which events are used is a stamp by event; a new funnel (the next bucket's, with `trend`) is a new
 * stamp, so nothing is cleared.
 *
 * From one step to the next an attempt looks at events in order, beginning with those that lie up to the grace before
 * its last one. It stops at the first that serves the next step, at the end of the window, or when an exclusion is
 * past and no step can come that would still be in time. So an attempt looks at each event about once a step.
 */
#include "query/native/funnel_int.h"

#include <stdlib.h>

/* --- one attempt --- */

struct trial {
    struct funneling *f;
    struct funnel_slot *slot;
    const struct journey *journey;
    uint32_t entry, bucket; /* the bucket of the funnel; BUCKET_NONE: one for the whole range */
    int64_t deadline_ms;
    uint32_t last_session;
};

static inline bool is_past_window(const struct trial *t, uint32_t i)
{
    return t->f->window_sessions ? t->slot->sessions[i] > t->last_session
                                 : journey_time(t->journey, i) > t->deadline_ms;
}

static inline bool holds(const struct trial *t, uint32_t i)
{
    const struct funneling *f = t->f;
    for (size_t h = 0; h < f->plan->hold_count; h++) {
        if (t->journey->events[i].values[f->hold_first + h] != t->journey->events[t->entry].values[f->hold_first + h])
            return false;
    }
    return true;
}

/* Could begin an attempt of this funnel. */
static inline bool is_entry(const struct trial *t, uint32_t i)
{
    if (!(journey_mask(t->journey, i) & t->f->entry_mask) || t->slot->stamps[i] == t->slot->generation) return false;
    uint32_t bucket = time_table_at(&t->f->entries, journey_time(t->journey, i));
    return bucket != BUCKET_NONE && (t->bucket == BUCKET_NONE || bucket == t->bucket);
}

enum next { NEXT_FOUND, NEXT_NONE, NEXT_EXCLUDED, NEXT_RESTARTED };

/* What comes after event `last`, the one with which `reached` steps are reached. */
static enum next find_next(const struct trial *t, uint32_t last, uint32_t reached, uint64_t wanted, uint32_t *ret_event)
{
    const struct journey *journey = t->journey;
    const uint32_t *stamps = t->slot->stamps, generation = t->slot->generation;
    uint64_t exclusions = t->f->gap_exclusions[reached];
    int64_t at_ms = journey_time(journey, last), excluded_ms = INT64_MAX, grace_ms = t->f->grace_ms;
    bool restarts = t->f->optimized && reached == 1;
    uint32_t i = last, excluding = 0;
    while (i && journey_time(journey, i - 1) >= at_ms - grace_ms) i--;
    for (; i < journey->count && !is_past_window(t, i); i++) {
        int64_t time_ms = journey_time(journey, i);
        uint64_t mask = journey_mask(journey, i);
        t->slot->work++;
        if (excluded_ms != INT64_MAX && time_ms > excluded_ms + grace_ms) break;
        if (t->f->window_sessions && t->slot->sessions[i] < t->slot->sessions[t->entry]) continue;
        if (mask & wanted && stamps[i] != generation && holds(t, i)) {
            *ret_event = i;
            return NEXT_FOUND;
        }
        if (restarts && i > t->entry && is_entry(t, i) && holds(t, i)) return NEXT_RESTARTED;
        if (mask & exclusions && excluded_ms == INT64_MAX && time_ms > at_ms + grace_ms && stamps[i] != generation) {
            excluded_ms = time_ms;
            excluding = i;
        }
    }
    *ret_event = excluding;
    return excluded_ms == INT64_MAX ? NEXT_NONE : NEXT_EXCLUDED;
}

static inline uint64_t positive(int64_t ms)
{
    return ms > 0 ? (uint64_t)ms : 0;
}

static void try_entry(const struct trial *t, struct attempt *attempt)
{
    const struct funneling *f = t->f;
    struct funnel_slot *slot = t->slot;
    const struct journey *journey = t->journey;
    const struct step_group *group = f->groups;
    uint64_t left = group->mask, mask = journey_mask(journey, t->entry) & left;
    int64_t start_ms = journey_time(journey, t->entry), last_ms = start_ms;
    uint32_t last = t->entry, most = t->entry;
    left &= ~(mask & -mask); /* the first step that it matches */
    slot->stamps[t->entry] = slot->generation;
    attempt->events[0] = t->entry;
    attempt->reached = 1;
    attempt->over_with_window = false;
    while (attempt->reached < f->step_count) {
        uint32_t event;
        if (!left) left = (++group)->mask;
        enum next next = find_next(t, last, attempt->reached, left, &event);
        if (next != NEXT_FOUND) {
            attempt->over_with_window = next == NEXT_NONE;
            attempt->over_after = next == NEXT_EXCLUDED ? event : most;
            return;
        }
        mask = journey_mask(journey, event) & left;
        left &= ~(mask & -mask);
        slot->stamps[event] = slot->generation;
        int64_t time_ms = journey_time(journey, event);
        slot->from_previous_ms[attempt->reached] = positive(time_ms - last_ms);
        slot->from_start_ms[attempt->reached] = positive(time_ms - start_ms);
        attempt->events[attempt->reached++] = event;
        last = event;
        last_ms = time_ms;
        if (event > most) most = event;
    }
    attempt->over_after = most;
}

/* --- what is under way --- */

static enum status grow_resumes(struct funneling *f, struct funnel_slot *slot, struct error *error)
{
    uint32_t capacity = slot->resume_capacity ? slot->resume_capacity * 2 : 64;
    if (capacity * sizeof *slot->resumes > journeys_slot_bytes(f->journeys)) return funnel_out_of_memory(f, error);
    struct resume *grown = calloc(capacity, sizeof *grown), *old = slot->resumes;
    if (!grown) return funnel_out_of_memory(f, error);
    for (uint32_t i = 0; i < slot->resume_capacity; i++) {
        if (old[i].generation != slot->generation) continue;
        uint32_t at = (uint32_t)hash_bytes(old[i].held, sizeof old[i].held, 0) & (capacity - 1);
        while (grown[at].generation) at = (at + 1) & (capacity - 1);
        grown[at] = old[i];
    }
    free(old);
    slot->resumes = grown;
    slot->resume_capacity = capacity;
    return STATUS_OK;
}

/* Of the values that the event holds; a new one lets everything begin. */
static enum status find_resume(struct funneling *f, struct funnel_slot *slot, const struct journey *journey,
                               uint32_t event, struct error *error, struct resume **ret_resume)
{
    journey_value held[FUNNEL_HOLD_MAX] = {0};
    for (size_t h = 0; h < f->plan->hold_count; h++) held[h] = journey->events[event].values[f->hold_first + h];
    if ((slot->resume_count + 1) * 2 > slot->resume_capacity) TRY(grow_resumes(f, slot, error));
    uint32_t at = (uint32_t)hash_bytes(held, sizeof held, 0) & (slot->resume_capacity - 1);
    struct resume *resume = &slot->resumes[at];
    while (resume->generation == slot->generation && memcmp(resume->held, held, sizeof held) != 0) {
        at = (at + 1) & (slot->resume_capacity - 1);
        resume = &slot->resumes[at];
    }
    if (resume->generation != slot->generation) {
        *resume = (struct resume){.generation = slot->generation};
        memcpy(resume->held, held, sizeof held);
        slot->resume_count++;
    }
    *ret_resume = resume;
    return STATUS_OK;
}

static bool may_begin(const struct funneling *f, const struct funnel_slot *slot, const struct journey *journey,
                      uint32_t event, const struct resume *resume)
{
    if (f->optimized) return true;
    if (event < resume->after) return false;
    if (!resume->windowed) return true;
    return f->window_sessions ? slot->sessions[event] > resume->session
                              : journey_time(journey, event) > resume->time_ms;
}

static bool has_held_values(const struct funneling *f, const struct journey *journey, uint32_t event)
{
    for (size_t h = 0; h < f->plan->hold_count; h++) {
        if (!journey_value_is_defined(f->journeys, journey->events[event].values[f->hold_first + h])) return false;
    }
    return true;
}

/* --- a person --- */

static enum status need_events(struct funneling *f, struct funnel_slot *slot, uint32_t count, struct error *error)
{
    if (count <= slot->event_capacity) return STATUS_OK;
    size_t capacity = (size_t)count * 2;
    free(slot->stamps);
    free(slot->sessions);
    slot->event_capacity = 0;
    slot->stamps = calloc(capacity, sizeof *slot->stamps);
    slot->sessions = malloc(capacity * sizeof *slot->sessions);
    if (!slot->stamps || !slot->sessions) return funnel_out_of_memory(f, error);
    slot->event_capacity = capacity;
    return STATUS_OK;
}

static void number_sessions(const struct funneling *f, struct funnel_slot *slot, const struct journey *journey)
{
    uint32_t session = 0, day = BUCKET_NONE;
    int64_t last_ms = 0;
    for (uint32_t i = 0; i < journey->count; i++) {
        int64_t time_ms = journey_time(journey, i);
        uint32_t today = time_table_at(&f->days, time_ms);
        if (i && (today != day || time_ms - last_ms > f->session_gap_ms)) session++;
        slot->sessions[i] = session;
        day = today;
        last_ms = time_ms;
    }
}

/* The numbers of funnels are never used twice, so that no stamp of an older one is taken for one of this. */
static enum status begin_funnel(struct funneling *f, struct funnel_slot *slot, struct error *error)
{
    if (slot->generation == UINT32_MAX) {
        memset(slot->stamps, 0, slot->event_capacity * sizeof *slot->stamps);
        if (slot->resumes) memset(slot->resumes, 0, slot->resume_capacity * sizeof *slot->resumes);
        slot->generation = 0;
    }
    slot->generation++;
    slot->resume_count = 0;
    return funnel_begin_group(f, slot, error);
}

static enum status look_at_clock(struct funneling *f, struct funnel_slot *slot, struct error *error)
{
    if (slot->work < FUNNEL_WORK_BETWEEN_LOOKS) return STATUS_OK;
    slot->work = 0;
    return native_interrupted(f->limits, error);
}

/* `only`: entries of this bucket; BUCKET_NONE: all, bucket after bucket. */
static enum status walk_entries(struct funneling *f, struct funnel_slot *slot, const struct journey *journey,
                                uint32_t only, struct error *error)
{
    struct trial t = {.f = f, .slot = slot, .journey = journey, .bucket = only};
    uint32_t session = NO_SESSION, current = BUCKET_NONE;
    struct resume whole = {0}, *resume = &whole;
    bool all = !f->one_counts || f->optimized || f->plan->on.data; /* attempts have to be looked at */
    TRY(begin_funnel(f, slot, error));
    for (uint32_t i = 0; i < journey->count; i++) {
        slot->work++;
        if (!(journey_mask(journey, i) & f->entry_mask)) continue;
        uint32_t bucket = time_table_at(&f->entries, journey_time(journey, i));
        if (bucket == BUCKET_NONE || (only != BUCKET_NONE && bucket != only)) continue;
        if (f->plan->trend && bucket != current) {
            TRY(begin_funnel(f, slot, error));
            whole = (struct resume){0};
            current = t.bucket = bucket;
        }
        if (f->plan->count == FUNNEL_SESSIONS && slot->sessions[i] != session) {
            TRY(funnel_begin_group(f, slot, error));
            session = slot->sessions[i];
        }
        if (!all && slot->counted) {
            if (!f->plan->trend && f->plan->count != FUNNEL_SESSIONS) break;
            continue;
        }
        if (slot->stamps[i] == slot->generation || !has_held_values(f, journey, i)) continue;
        if (f->plan->hold_count) TRY(find_resume(f, slot, journey, i, error, &resume));
        if (!may_begin(f, slot, journey, i, resume)) continue;
        struct attempt attempt;
        t.entry = i;
        t.deadline_ms = journey_time(journey, i) + f->window_ms;
        t.last_session = f->window_sessions ? slot->sessions[i] + f->window_sessions - 1 : 0;
        try_entry(&t, &attempt);
        if (f->optimized && attempt.reached < f->step_count) /* what it used is free again */
            for (uint32_t k = 0; k < attempt.reached; k++) slot->stamps[attempt.events[k]] = 0;
        resume->after = attempt.over_with_window ? i + 1 : attempt.over_after + 1;
        resume->windowed = attempt.over_with_window || f->plan->reentry == FUNNEL_REENTRY_BASIC;
        resume->time_ms = t.deadline_ms;
        resume->session = t.last_session;
        TRY(funnel_take(f, slot, journey, &attempt, bucket, error));
        TRY(look_at_clock(f, slot, error));
    }
    return funnel_begin_group(f, slot, error);
}

enum status funnel_visit(void *ctx, unsigned slot_number, const struct journey *journey, struct error *error)
{
    struct funneling *f = ctx;
    struct funnel_slot *slot = &f->slots[slot_number];
    TRY(need_events(f, slot, journey->count, error));
    if (f->window_sessions) number_sessions(f, slot, journey);
    if (!f->plan->trend || f->entries.ascends) return walk_entries(f, slot, journey, BUCKET_NONE, error);
    /* a bucket returns where clocks are set back over midnight: each one by itself */
    for (uint32_t b = 0; b < f->bucket_count; b++) TRY(walk_entries(f, slot, journey, b, error));
    return STATUS_OK;
}
