/* Ranges of persons, one after the other: their rows are counted, filled in by person, sorted, visited (journey.c). */
#include "query/native/journey.h"

#include <stdlib.h>

#include "query/native/journey_int.h"

/* The segments of the vector at hand that belong to persons [low, high): [*ret_from, *ret_to). Nobody is left out. */
static void cut_segments(const struct scan_segments *segments, uint64_t low, uint64_t high, uint32_t *ret_from,
                         uint32_t *ret_to)
{
    uint32_t from = 0, to = segments->count;
    if (low < 1) low = 1;
    if (segments->persons[0] < low) {
        for (uint32_t end = to; from < end;) {
            uint32_t middle = from + (end - from) / 2;
            if (segments->persons[middle] < low)
                from = middle + 1;
            else
                end = middle;
        }
    }
    if (segments->persons[to - 1] >= high) {
        for (uint32_t first = from; first < to;) {
            uint32_t middle = first + (to - first) / 2;
            if (segments->persons[middle] < high)
                first = middle + 1;
            else
                to = middle;
        }
    }
    *ret_from = from;
    *ret_to = to;
}

/* Rows of persons [low, high) in a run; only of those who have some already when `only_counted`. */
static enum status count_run(struct journeys *journeys, struct walker *walker, const struct bound *bound, uint64_t low,
                             uint64_t high, bool only_counted)
{
    struct worker *worker = walker->worker;
    uint32_t *counts = walker->counts, vector = 0, rows;
    uint8_t *marks = walker->marks;
    bool moved = bound->holds_moved;
    bool follows = marks && journeys->runs[bound - journeys->survey.runs].possible & journeys->plan->followed;
    TRY(worker_open_run(worker, bound));
    if (low > 1) TRY(scan_seek_vector(worker->scan, (uint32_t)low, &worker->error, &vector));
    for (bool more = true; more && vector < bound->run.vectors; vector++) {
        struct scan_segments segments;
        uint32_t from, to;
        if (vector % 16 == 0) TRY(survey_interrupted(&journeys->survey, &worker->error));
        TRY(scan_vector(worker->scan, vector, &worker->error, &rows));
        TRY(scan_segments(worker->scan, &worker->error, &segments));
        more = segments.persons[segments.count - 1] < high;
        cut_segments(&segments, low, high, &from, &to);
        for (uint32_t s = from, row = from ? segments.ends[from - 1] : 0; s < to; s++) {
            uint64_t place = segments.persons[s] - low;
            uint32_t count = segments.ends[s] - row;
            row = segments.ends[s];
            if (place >= high - low) return error_set(&worker->error, STATUS_CORRUPT, "persons are not in order");
            if (moved && journeys_is_moved(journeys, segments.persons[s])) continue;
            if (only_counted && !counts[place]) continue;
            /* a sum that does not fit is more than there is memory for, in any case */
            counts[place] = counts[place] + count < count ? UINT32_MAX : counts[place] + count;
            if (follows) marks[place] |= MARK_FOLLOWED;
        }
    }
    return STATUS_OK;
}

/* Those who are to be counted only have no rows any more. */
static void leave_out(const struct walker *walker, uint64_t persons, uint64_t *ret_count)
{
    uint64_t count = 0;
    for (uint64_t p = 0; p < persons; p++) {
        bool out = walker->marks[p] == MARK_COUNTED;
        count += out;
        walker->counts[p] = out ? 0 : walker->counts[p];
    }
    *ret_count += count;
}

static enum status count_range(struct journeys *journeys, struct walker *walker, uint64_t low, uint64_t high)
{
    uint64_t required = journeys->plan->required;
    size_t first = journeys_first_moved(journeys, low);
    memset(walker->counts, 0, (high - low) * sizeof *walker->counts);
    for (uint32_t i = 0; walker->marks && i < journeys->required_runs; i++) {
        if (journeys->runs[journeys->order[i]].counted)
            TRY(count_run(journeys, walker, &journeys->survey.runs[journeys->order[i]], low, high, false));
    }
    for (uint64_t p = 0; walker->marks && p < high - low; p++) walker->marks[p] = walker->counts[p] ? MARK_COUNTED : 0;
    for (uint32_t i = 0; i < journeys->required_runs; i++) {
        if (!walker->marks || !journeys->runs[journeys->order[i]].counted)
            TRY(count_run(journeys, walker, &journeys->survey.runs[journeys->order[i]], low, high, false));
    }
    for (size_t m = first; m < journeys->moved_count && journeys->moved[m].person < high; m++) {
        if (!required || journeys->moved[m].event.mask & required) walker->counts[journeys->moved[m].person - low]++;
    }
    for (uint32_t i = journeys->required_runs; i < journeys->run_count; i++)
        TRY(count_run(journeys, walker, &journeys->survey.runs[journeys->order[i]], low, high, true));
    for (size_t m = first; required && m < journeys->moved_count && journeys->moved[m].person < high; m++) {
        uint64_t place = journeys->moved[m].person - low, mask = journeys->moved[m].event.mask;
        if (!walker->counts[place]) continue;
        if (!(mask & required)) walker->counts[place]++;
        if (walker->marks && mask & journeys->plan->followed) walker->marks[place] |= MARK_FOLLOWED;
    }
    if (walker->marks) leave_out(walker, high - low, &walker->left_out);
    return STATUS_OK;
}

/* The part of a key that says which selector it is; the mask has one bit. */
static inline uint64_t selector_key(uint64_t mask)
{
    return (uint64_t)__builtin_ctzll(mask) << JOURNEY_TIME_BITS;
}

static inline void put_event(struct journeys *journeys, struct walker *walker, uint32_t to,
                             const struct journey_event *event)
{
    uint64_t time = (uint64_t)(event->time_ms - journeys->plan->from_ms);
    if (journeys->by_selector)
        walker->keys[to] = selector_key(event->mask) | time;
    else if (journeys->short_form)
        walker->keys[to] = time << journeys->mask_bits | event->mask;
    else
        walker->events[to] = *event;
}

/* The rows of the vector that have masks, of segments [from, to). */
static void place_rows(struct journeys *journeys, struct walker *walker, const struct scan_segments *segments,
                       uint32_t from, uint32_t to, uint64_t low)
{
    size_t value_count = journeys->plan->value_count;
    for (uint32_t s = from, row = from ? segments->ends[from - 1] : 0; s < to; s++) {
        uint32_t *cursor = &walker->cursors[segments->persons[s] - low];
        for (; row < segments->ends[s]; row++) {
            if (!walker->masks[row]) continue;
            struct journey_event event = {.time_ms = journeys->plan->from_ms + (int64_t)walker->times[row],
                                          .mask = walker->masks[row]};
            for (size_t v = 0; v < value_count; v++) event.values[v] = walker->values[v][row];
            put_event(journeys, walker, (*cursor)++, &event);
        }
    }
}

/* Most people have a few events: setting up anything faster would take longer. */
static inline void copy_few(uint64_t *restrict to, const uint64_t *restrict from, uint32_t count)
{
    if (count > 16) {
        memcpy(to, from, count * sizeof *to);
        return;
    }
#pragma GCC unroll 1
    for (uint32_t i = 0; i < count; i++) {
        to[i] = from[i];
        __asm__("" : : : "memory"); /* no vectors */
    }
}

static enum status fill_vector(struct journeys *journeys, struct walker *walker, const struct bound *bound,
                               const struct scan_segments *segments, uint32_t from, uint32_t to, uint64_t low)
{
    const struct journey_run *run = &journeys->runs[bound - journeys->survey.runs];
    const uint32_t *counts = walker->counts;
    bool moved = bound->holds_moved, any = false;
    if (run->plain && journeys->short_form) {
        for (uint32_t s = from; s < to && !any; s++) any = counts[segments->persons[s] - low] != 0;
        if (!any) return STATUS_OK;
        if (journeys->by_selector)
            TRY(walker_read_times(journeys, walker, &bound->run, 0, selector_key(run->always)));
        else
            TRY(walker_read_times(journeys, walker, &bound->run, journeys->mask_bits, run->always));
        for (uint32_t s = from, row = from ? segments->ends[from - 1] : 0; s < to; s++) {
            uint32_t place = (uint32_t)(segments->persons[s] - low), end = segments->ends[s];
            if (counts[place] && !(moved && journeys_is_moved(journeys, segments->persons[s]))) {
                uint64_t *put = walker->keys + walker->cursors[place];
                walker->cursors[place] += end - row;
                copy_few(put, walker->times + row, end - row);
            }
            row = end;
        }
        return STATUS_OK;
    }
    memset(walker->keep, 0, sizeof walker->keep);
    for (uint32_t s = from, row = from ? segments->ends[from - 1] : 0; s < to; s++) {
        uint32_t end = segments->ends[s];
        if (counts[segments->persons[s] - low] && !(moved && journeys_is_moved(journeys, segments->persons[s]))) {
            memset(walker->keep + row, 1, end - row);
            any = true;
        }
        row = end;
    }
    if (!any) return STATUS_OK;
    TRY(walker_match(journeys, walker, bound, &any));
    if (any) place_rows(journeys, walker, segments, from, to, low);
    return STATUS_OK;
}

/* Rows of persons [from, to) of the range that begins at `low`. */
static enum status fill_run(struct journeys *journeys, struct walker *walker, const struct bound *bound, uint64_t low,
                            uint64_t from, uint64_t to)
{
    struct worker *worker = walker->worker;
    uint32_t vector = 0;
    TRY(worker_open_run(worker, bound));
    if (from > 1) TRY(scan_seek_vector(worker->scan, (uint32_t)from, &worker->error, &vector));
    for (bool more = true; more && vector < bound->run.vectors; vector++) {
        struct scan_segments segments;
        uint32_t first, last;
        if (vector % 16 == 0) TRY(survey_interrupted(&journeys->survey, &worker->error));
        TRY(scan_vector(worker->scan, vector, &worker->error, &worker->rows));
        TRY(scan_segments(worker->scan, &worker->error, &segments));
        more = segments.persons[segments.count - 1] < to;
        cut_segments(&segments, from, to, &first, &last);
        if (first < last) TRY(fill_vector(journeys, walker, bound, &segments, first, last, low));
    }
    return STATUS_OK;
}

static enum status need_entries(struct journeys *journeys, struct walker *walker, size_t count)
{
    if (count <= walker->capacity) return STATUS_OK;
    void **entries = journeys->short_form ? (void **)&walker->keys : (void **)&walker->events;
    free(*entries);
    walker->capacity = 0;
    *entries = malloc(count * journeys->entry_bytes);
    if (!*entries) return journeys_out_of_memory(journeys, &walker->worker->error);
    walker->capacity = count;
    return STATUS_OK;
}

static enum status need_spare(struct journeys *journeys, struct walker *walker, size_t count)
{
    if (count <= JOURNEY_SORT_SMALL || count <= walker->spare_capacity) return STATUS_OK;
    size_t capacity = count * 2 < journeys->entries_max ? count * 2 : count;
    free(walker->spare);
    walker->spare_capacity = 0;
    walker->spare = malloc(capacity * journeys->entry_bytes);
    if (!walker->spare) return journeys_out_of_memory(journeys, &walker->worker->error);
    walker->spare_capacity = capacity;
    return STATUS_OK;
}

/* None of the events that were counted for the person turned out to match a required selector. */
static bool lacks_required(const struct journeys *journeys, const struct journey *journey)
{
    for (uint32_t i = 0; i < journey->count; i++) {
        uint64_t mask =
            journeys->by_selector ? (uint64_t)1 << (journey->keys[i] >> JOURNEY_TIME_BITS) : journey_mask(journey, i);
        if (mask & journeys->plan->required) return false;
    }
    return true;
}

static enum status visit_person(struct journeys *journeys, struct walker *walker, unsigned slot, uint32_t person,
                                uint32_t start, uint32_t count)
{
    struct journey journey = {
        .person = person, .count = count, .base_ms = journeys->plan->from_ms, .mask_bits = journeys->mask_bits};
    if (journeys->short_form)
        journey.keys = walker->keys + start;
    else
        journey.events = walker->events + start;
    if (journeys->may_lack && lacks_required(journeys, &journey)) return STATUS_OK;
    if (journeys->short_form) {
        bool ascending = true;
        for (uint32_t i = 1; i < count; i++) ascending &= journey.keys[i - 1] <= journey.keys[i];
        if (ascending) return journeys->visit(journeys->visit_ctx, slot, &journey, &walker->worker->error);
    }
    TRY(need_spare(journeys, walker, count));
    if (journeys->short_form)
        journey_sort_keys(journey.keys, count, walker->spare);
    else
        journey_sort_events(journey.events, count, walker->spare, &journeys->values, journeys->plan->value_count);
    return journeys->visit(journeys->visit_ctx, slot, &journey, &walker->worker->error);
}

/* Persons [from, to) of the range, whose events are `total` at most. */
static enum status visit_part(struct journeys *journeys, struct walker *walker, unsigned slot, uint64_t low,
                              uint64_t from, uint64_t to, size_t total)
{
    uint32_t start = 0;
    TRY(need_entries(journeys, walker, total));
    for (uint64_t p = from; p < to; p++) {
        walker->cursors[p - low] = start;
        start += walker->counts[p - low];
    }
    for (uint32_t i = 0; i < journeys->run_count; i++)
        TRY(fill_run(journeys, walker, &journeys->survey.runs[journeys->order[i]], low, from, to));
    size_t m = journeys_first_moved(journeys, from);
    for (; m < journeys->moved_count && journeys->moved[m].person < to; m++) {
        uint64_t place = journeys->moved[m].person - low;
        if (walker->counts[place]) put_event(journeys, walker, walker->cursors[place]++, &journeys->moved[m].event);
    }
    start = 0;
    for (uint64_t p = from; p < to; p++) {
        uint32_t count = walker->cursors[p - low] - start;
        if (count) TRY(visit_person(journeys, walker, slot, (uint32_t)p, start, count));
        start += walker->counts[p - low];
    }
    return STATUS_OK;
}

static enum status range_task(void *ctx, unsigned slot, uint32_t index)
{
    struct journeys *journeys = ctx;
    struct walker *walker = &journeys->walkers[slot];
    struct worker *worker = walker->worker;
    uint64_t low = (uint64_t)index * journeys->range_persons, high = low + journeys->range_persons;
    if (high > journeys->person_count) high = journeys->person_count;
    if (!walker->counts) walker->counts = malloc(journeys->range_persons * sizeof *walker->counts);
    if (!walker->cursors) walker->cursors = malloc(journeys->range_persons * sizeof *walker->cursors);
    if (!walker->counts || !walker->cursors) return journeys_out_of_memory(journeys, &worker->error);
    if (journeys->leaves_out && !walker->marks) {
        walker->marks = malloc(journeys->range_persons);
        if (!walker->marks) return journeys_out_of_memory(journeys, &worker->error);
    }
    TRY(count_range(journeys, walker, low, high));
    for (uint64_t from = low; from < high;) {
        size_t total = 0;
        uint64_t to = from;
        while (to < high && total + walker->counts[to - low] <= journeys->entries_max)
            total += walker->counts[to++ - low];
        if (to == from) {
            error_set(&worker->error, STATUS_LIMIT,
                      "one person has %u events: more than fit into the memory of a query", walker->counts[from - low]);
            error_hint(&worker->error, "use a shorter range, a filter, or raise query.memory_max");
            return STATUS_LIMIT;
        }
        if (total) TRY(visit_part(journeys, walker, slot, low, from, to, total));
        from = to;
    }
    plan_passed_rows(journeys->survey.limits, journeys->survey.row_count / journeys->range_count);
    return STATUS_OK;
}

enum status journeys_walk(struct journeys *journeys, journey_visit_fn visit, void *ctx, struct error *error)
{
    journeys->visit = visit;
    journeys->visit_ctx = ctx;
    if (journeys->run_count == 0 && journeys->moved_count == 0) return STATUS_OK;
    for (unsigned w = 0; w < journeys->survey.worker_count; w++)
        journeys->survey.workers[w].error = (struct error)ERROR_INIT;
    plan_expects_rows(journeys->survey.limits, journeys->survey.row_count);
    for (unsigned w = 0; w < journeys->survey.worker_count; w++) journeys->walkers[w].left_out = 0;
    enum status status = pool_run(journeys->survey.pool, journeys->range_count, range_task, journeys);
    if (status != STATUS_OK) journeys_take_error(journeys, status, error);
    return status;
}

uint64_t journeys_left_out(const struct journeys *journeys)
{
    uint64_t count = 0;
    for (unsigned w = 0; w < journeys->survey.worker_count; w++) count += journeys->walkers[w].left_out;
    return count;
}
