/*
 * Which attempts count, and where. All of them (totals), or one of a group: of a person in a funnel, or of a session;
 * with labels, one for each label that the group's attempts have. Mostly that is the first, which can be counted as it
 * comes; with optimized re-entry a later one may be better, so the best so far is kept until the group ends.
 */
#include "query/native/funnel_int.h"

#include <stdlib.h>

#define LABEL_BYTES (sizeof(struct funnel_cell *) + sizeof(uint64_t) + 2 * sizeof(uint32_t))
#define NO_LABEL    UINT32_MAX

static enum status need_labels(struct funneling *f, struct funnel_slot *slot, uint32_t count, struct error *error)
{
    if (count <= slot->label_capacity) return STATUS_OK;
    uint64_t capacity = slot->label_capacity ? slot->label_capacity : 256;
    while (capacity < count) capacity *= 2;
    if (capacity * LABEL_BYTES > journeys_slot_bytes(f->journeys)) return funnel_out_of_memory(f, error);
    struct funnel_cell **cells = realloc(slot->label_cells, capacity * sizeof *cells);
    if (cells) slot->label_cells = cells;
    uint64_t *entries = realloc(slot->label_entries, capacity * sizeof *entries);
    if (entries) slot->label_entries = entries;
    uint32_t *seen = realloc(slot->label_seen, capacity * sizeof *seen);
    if (seen) slot->label_seen = seen;
    uint32_t *place = realloc(slot->label_place, capacity * sizeof *place);
    if (place) slot->label_place = place;
    if (!cells || !entries || !seen || !place) return funnel_out_of_memory(f, error);
    size_t added = capacity - slot->label_capacity;
    memset(cells + slot->label_capacity, 0, added * sizeof *cells);
    memset(entries + slot->label_capacity, 0, added * sizeof *entries);
    memset(seen + slot->label_capacity, 0, added * sizeof *seen);
    slot->label_capacity = (uint32_t)capacity;
    return STATUS_OK;
}

static enum status count_label(struct funneling *f, struct funnel_slot *slot, uint32_t label, uint32_t bucket,
                               uint32_t reached, const uint64_t *from_previous_ms, const uint64_t *from_start_ms,
                               struct error *error)
{
    slot->label_entries[label]++;
    if (f->totals_only || (f->chosen && (label >= f->chosen_labels || f->chosen[label] == UINT32_MAX)))
        return STATUS_OK;
    if (!slot->label_cells[label]) {
        slot->label_cells[label] =
            arena_new_array(slot->arena, struct funnel_cell, (size_t)f->bucket_count * f->step_count);
        if (!slot->label_cells[label]) {
            f->too_many_labels = true;
            return funnel_out_of_memory(f, error);
        }
    }
    funnel_count_cells(slot->label_cells[label] + (size_t)bucket * f->step_count, reached, from_previous_ms,
                       from_start_ms);
    return STATUS_OK;
}

/* A place for one more candidate. */
static enum status add_candidate(struct funneling *f, struct funnel_slot *slot, struct error *error,
                                 uint32_t *ret_place)
{
    size_t times = 2 * (size_t)f->step_count;
    if (slot->candidate_count == slot->candidate_capacity) {
        size_t capacity = slot->candidate_capacity ? (size_t)slot->candidate_capacity * 2 : 16;
        if (capacity * (times * 8 + sizeof *slot->candidates) > journeys_slot_bytes(f->journeys))
            return funnel_out_of_memory(f, error);
        struct candidate *candidates = realloc(slot->candidates, capacity * sizeof *candidates);
        if (candidates) slot->candidates = candidates;
        uint64_t *grown = realloc(slot->candidate_times, capacity * times * sizeof *grown);
        if (grown) slot->candidate_times = grown;
        if (!candidates || !grown) return funnel_out_of_memory(f, error);
        slot->candidate_capacity = (uint32_t)capacity;
    }
    *ret_place = slot->candidate_count++;
    return STATUS_OK;
}

static void set_candidate(struct funneling *f, struct funnel_slot *slot, uint32_t place, uint32_t label,
                          uint32_t bucket, uint32_t reached)
{
    uint64_t *times = slot->candidate_times + (size_t)place * 2 * f->step_count;
    slot->candidates[place] = (struct candidate){label, bucket, reached};
    memcpy(times, slot->from_previous_ms, f->step_count * sizeof *times);
    memcpy(times + f->step_count, slot->from_start_ms, f->step_count * sizeof *times);
}

enum status funnel_begin_group(struct funneling *f, struct funnel_slot *slot, struct error *error)
{
    for (uint32_t i = 0; i < slot->candidate_count; i++) {
        const struct candidate *candidate = &slot->candidates[i];
        const uint64_t *times = slot->candidate_times + (size_t)i * 2 * f->step_count;
        if (candidate->label == NO_LABEL)
            funnel_count_cells(slot->overall + (size_t)candidate->bucket * f->step_count, candidate->reached, times,
                               times + f->step_count);
        else
            TRY(count_label(f, slot, candidate->label, candidate->bucket, candidate->reached, times,
                            times + f->step_count, error));
    }
    slot->candidate_count = 0;
    slot->counted = false;
    if (slot->label_generation == UINT32_MAX) {
        memset(slot->label_seen, 0, slot->label_capacity * sizeof *slot->label_seen);
        slot->label_generation = 0;
    }
    slot->label_generation++;
    return STATUS_OK;
}

/* The value that gives the attempt its labels. */
static journey_value attributed(const struct funneling *f, const struct journey *journey, const struct attempt *attempt)
{
    uint32_t reached = attempt->reached, step = f->plan->on_step ? f->plan->on_step : 1;
    if (f->plan->attribution == FUNNEL_ATTRIBUTE_STEP)
        return step <= reached ? journey->events[attempt->events[step - 1]].values[0] : JOURNEY_UNDEFINED;
    bool last = f->plan->attribution == FUNNEL_ATTRIBUTE_LAST;
    for (uint32_t k = 0; k < reached; k++) {
        uint32_t event = attempt->events[last ? reached - 1 - k : k];
        journey_value value = journey->events[event].values[0];
        if (journey_value_is_defined(f->journeys, value)) return value;
    }
    return JOURNEY_UNDEFINED;
}

static enum status take_label(struct funneling *f, struct funnel_slot *slot, uint32_t label,
                              const struct attempt *attempt, uint32_t bucket, struct error *error)
{
    TRY(need_labels(f, slot, label + 1, error));
    bool seen = slot->label_seen[label] == slot->label_generation;
    if (f->one_counts && !f->optimized && seen) return STATUS_OK;
    if (f->one_counts && f->optimized) {
        uint32_t *place = &slot->label_place[label];
        if (seen && slot->candidates[*place].reached >= attempt->reached) return STATUS_OK;
        if (!seen) TRY(add_candidate(f, slot, error, place));
        set_candidate(f, slot, *place, label, bucket, attempt->reached);
        slot->label_seen[label] = slot->label_generation;
        return STATUS_OK;
    }
    slot->label_seen[label] = slot->label_generation;
    return count_label(f, slot, label, bucket, attempt->reached, slot->from_previous_ms, slot->from_start_ms, error);
}

static enum status take_overall(struct funneling *f, struct funnel_slot *slot, const struct attempt *attempt,
                                uint32_t bucket, struct error *error)
{
    if (f->one_counts && f->optimized) {
        /* the candidate without label is the first one of its group */
        uint32_t place = 0;
        if (slot->counted && slot->candidates[0].reached >= attempt->reached) return STATUS_OK;
        if (!slot->counted) TRY(add_candidate(f, slot, error, &place));
        set_candidate(f, slot, place, NO_LABEL, bucket, attempt->reached);
    } else if (!f->one_counts || !slot->counted) {
        funnel_count_cells(slot->overall + (size_t)bucket * f->step_count, attempt->reached, slot->from_previous_ms,
                           slot->from_start_ms);
    }
    slot->counted = true;
    return STATUS_OK;
}

enum status funnel_take(struct funneling *f, struct funnel_slot *slot, const struct journey *journey,
                        const struct attempt *attempt, uint32_t bucket, struct error *error)
{
    const uint32_t *labels;
    uint32_t count;
    TRY(take_overall(f, slot, attempt, bucket, error));
    if (!f->plan->on.data) return STATUS_OK;
    journey_value_labels(f->journeys, attributed(f, journey, attempt), &labels, &count);
    for (uint32_t i = 0; i < count; i++) TRY(take_label(f, slot, labels[i], attempt, bucket, error));
    return STATUS_OK;
}
