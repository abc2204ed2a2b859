/*
 * Rows whose persons were merged into others after their run was sorted: they stand under numbers that are nobody's
 * now, or whose ids were taken out of a cluster, so that a number is that of several persons. A pass over the runs that
 * hold such rows (which is seen in their lists of persons) collects what those rows match, by the person whose they
 * are; ranges of persons take them from there, and pass over the rows themselves.
 */
#include "query/native/journey_int.h"
#include "query/native/kernels.h"
#include "query/native/people.h"

#include <stdlib.h>

#define MOVED_FIRST ((size_t)1 << 12)

static enum status look_task(void *ctx, unsigned slot, uint32_t index)
{
    struct journeys *journeys = ctx;
    const struct kernels *kernels = CPU_SELECT(kernels);
    struct worker *worker = journeys->walkers[slot].worker;
    struct bound *bound = &journeys->survey.runs[journeys->order[index]];
    if (bound->run.links_applied >= snapshot_link_count(journeys->survey.snapshot)) return STATUS_OK;
    TRY(survey_interrupted(&journeys->survey, &worker->error));
    TRY(worker_open_run(worker, bound));
    for (uint32_t at = 0; at < bound->run.persons && !bound->holds_moved; at += VECTOR_ROWS_MAX) {
        const uint32_t *list;
        uint32_t count = bound->run.persons - at < VECTOR_ROWS_MAX ? bound->run.persons - at : VECTOR_ROWS_MAX;
        TRY(scan_owners(worker->scan, at / VECTOR_ROWS_MAX, &worker->error, &list));
        bound->holds_moved = kernels->any_bit(journeys->moved_bits, journeys->person_count, list, count);
    }
    return STATUS_OK;
}

static enum status add(struct journeys *journeys, struct walker *walker, uint32_t person, uint32_t row)
{
    if (walker->moved_count == walker->moved_capacity) {
        size_t capacity = walker->moved_capacity ? walker->moved_capacity * 2 : MOVED_FIRST;
        if (capacity * sizeof *walker->moved > journeys->survey.worker_bytes_max / 2)
            return journeys_out_of_memory(journeys, &walker->worker->error);
        struct journey_moved *grown = realloc(walker->moved, capacity * sizeof *grown);
        if (!grown) return journeys_out_of_memory(journeys, &walker->worker->error);
        walker->moved = grown;
        walker->moved_capacity = capacity;
    }
    struct journey_moved *moved = &walker->moved[walker->moved_count++];
    *moved = (struct journey_moved){
        .person = person,
        .event = {.time_ms = journeys->plan->from_ms + (int64_t)walker->times[row], .mask = walker->masks[row]}};
    for (size_t v = 0; v < journeys->plan->value_count; v++) moved->event.values[v] = walker->values[v][row];
    return STATUS_OK;
}

static enum status collect_task(void *ctx, unsigned slot, uint32_t index)
{
    struct journeys *journeys = ctx;
    const struct kernels *kernels = CPU_SELECT(kernels);
    struct walker *walker = &journeys->walkers[slot];
    struct worker *worker = walker->worker;
    const struct slice *slice = &journeys->survey.slices[index];
    const struct bound *bound = &journeys->survey.runs[slice->run];
    TRY(survey_interrupted(&journeys->survey, &worker->error));
    TRY(worker_open_run(worker, bound));
    for (uint32_t v = slice->from_vector; v < slice->to_vector; v++) {
        const uint32_t *persons, *ids = NULL;
        bool any;
        TRY(scan_vector(worker->scan, v, &worker->error, &worker->rows));
        TRY(scan_stored_persons(worker->scan, &worker->error, &persons));
        if (!kernels->any_bit(journeys->moved_bits, journeys->person_count, persons, worker->rows)) continue;
        memset(walker->keep, 0, sizeof walker->keep);
        for (uint32_t i = 0; i < worker->rows; i++) walker->keep[i] = journeys_is_moved(journeys, persons[i]);
        TRY(walker_match(journeys, walker, bound, &any));
        for (uint32_t i = 0; any && i < worker->rows; i++) {
            uint32_t now;
            if (!walker->masks[i]) continue;
            TRY(people_owner(worker, i, persons[i], &ids, &now));
            TRY(add(journeys, walker, now, i));
        }
    }
    return STATUS_OK;
}

static int by_person(const void *a, const void *b)
{
    const struct journey_moved *x = a, *y = b;
    return (x->person > y->person) - (x->person < y->person);
}

static enum status cut_slices(struct journeys *journeys)
{
    struct survey *survey = &journeys->survey;
    size_t count = 0;
    for (uint32_t i = 0; i < journeys->run_count; i++) {
        const struct bound *bound = &survey->runs[journeys->order[i]];
        if (bound->holds_moved) count += bound->run.vectors / VECTORS_PER_TASK + 1;
    }
    survey->slices = arena_new_array(survey->arena, struct slice, count + 1);
    if (!survey->slices) return journeys_out_of_memory(journeys, survey->error);
    survey->task_count = 0;
    for (uint32_t i = 0; i < journeys->run_count; i++) {
        const struct bound *bound = &survey->runs[journeys->order[i]];
        for (uint32_t from = 0; bound->holds_moved && from < bound->run.vectors; from += VECTORS_PER_TASK) {
            uint32_t to = from + VECTORS_PER_TASK;
            if (to > bound->run.vectors) to = bound->run.vectors;
            survey->slices[survey->task_count++] = (struct slice){journeys->order[i], from, to};
        }
    }
    return STATUS_OK;
}

enum status journeys_find_moved(struct journeys *journeys)
{
    struct survey *survey = &journeys->survey;
    uint32_t oldest = UINT32_MAX;
    for (uint32_t i = 0; i < journeys->run_count; i++) {
        uint32_t applied = survey->runs[journeys->order[i]].run.links_applied;
        if (applied < oldest) oldest = applied;
    }
    if (oldest == UINT32_MAX) return STATUS_OK;
    TRY(snapshot_moved(survey->snapshot, oldest, survey->error, &journeys->moved_bits));
    if (!journeys->moved_bits) return STATUS_OK;
    TRY(pool_run(survey->pool, journeys->run_count, look_task, journeys));
    TRY(cut_slices(journeys));
    TRY(pool_run(survey->pool, survey->task_count, collect_task, journeys));
    size_t total = 0;
    for (unsigned w = 0; w < survey->worker_count; w++) total += journeys->walkers[w].moved_count;
    if (total == 0) return STATUS_OK;
    journeys->moved = malloc(total * sizeof *journeys->moved);
    if (!journeys->moved) return journeys_out_of_memory(journeys, survey->error);
    for (unsigned w = 0; w < survey->worker_count; w++) {
        struct walker *walker = &journeys->walkers[w];
        if (walker->moved_count)
            memcpy(journeys->moved + journeys->moved_count, walker->moved, walker->moved_count * sizeof *walker->moved);
        journeys->moved_count += walker->moved_count;
        free(walker->moved);
        walker->moved = NULL;
        walker->moved_count = walker->moved_capacity = 0;
    }
    qsort(journeys->moved, journeys->moved_count, sizeof *journeys->moved, by_person);
    return STATUS_OK;
}

size_t journeys_first_moved(const struct journeys *journeys, uint64_t person)
{
    size_t at = 0, end = journeys->moved_count;
    while (at < end) {
        size_t middle = at + (end - at) / 2;
        if (journeys->moved[middle].person < person)
            at = middle + 1;
        else
            end = middle;
    }
    return at;
}
