/*
 * Rows whose persons were merged into others after their run was sorted: a pass over the runs that hold such rows
 * collects the persons whose they are now, and their cells. Somebody is always merged, but few at a time: which runs
 * they are is seen in the lists of persons. Where a cluster was split, the ids of its rows tell whose they are.
 */
#include "base/radix.h"
#include "query/native/kernels.h"
#include "query/native/people.h"

#include <stdlib.h>

#define MOVED_ROWS_FIRST ((size_t)1 << 16)

/* Sorts them and keeps one of each. */
static enum status unique(struct survey *survey, struct error *error, uint64_t *values, size_t *count)
{
    uint64_t *spare = malloc(*count * sizeof *spare + 1);
    if (!spare) return survey_out_of_memory(survey, error);
    const uint64_t *sorted = radix_sort_keys(values, spare, *count);
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        uint64_t value = sorted[i];
        if (kept == 0 || value != values[kept - 1]) values[kept++] = value;
    }
    *count = kept;
    free(spare);
    return STATUS_OK;
}

static enum status add_moved(struct worker *worker, uint64_t entry)
{
    if (worker->moved_count && worker->moved[worker->moved_count - 1] == entry) return STATUS_OK;
    if (worker->moved_count == worker->moved_capacity) {
        if (worker->moved_count) TRY(unique(worker->survey, &worker->error, worker->moved, &worker->moved_count));
        if (worker->moved_count * 2 >= worker->moved_capacity) {
            size_t capacity = worker->moved_capacity ? worker->moved_capacity * 2 : MOVED_ROWS_FIRST;
            if (capacity * 2 * sizeof *worker->moved > worker->survey->worker_bytes_max)
                return survey_out_of_memory(worker->survey, &worker->error);
            uint64_t *grown = realloc(worker->moved, capacity * sizeof *grown);
            if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
            worker->moved = grown;
            worker->moved_capacity = capacity;
        }
    }
    worker->moved[worker->moved_count++] = entry;
    return STATUS_OK;
}

enum status people_owner(struct worker *worker, uint32_t row, uint32_t number, const uint32_t **ids,
                         uint32_t *ret_person)
{
    const struct snapshot *snapshot = worker->survey->snapshot;
    if (snapshot_is_mixed(snapshot, number)) {
        if (!*ids) TRY(scan_ids(worker->scan, &worker->error, ids));
        number = (*ids)[row];
    }
    *ret_person = snapshot_person(snapshot, number);
    return STATUS_OK;
}

static enum status collect_moved(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count)
{
    const struct survey *survey = worker->survey;
    const uint32_t *ids = NULL;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows ? rows[i] : from + i, number = worker->persons[row], now;
        if (cells[i] >= survey->cell_count || !is_moved(survey, number)) continue;
        TRY(people_owner(worker, row, number, &ids, &now));
        TRY(add_moved(worker, (uint64_t)now << 32 | cells[i]));
    }
    return STATUS_OK;
}

/* Where all rows of the run go to one cell, its list of persons says everything, but for numbers that are those of
 * several people by now: there the ids of rows tell. */
static enum status collect_list(struct worker *worker, struct bound *bound, const uint32_t *list, uint32_t count)
{
    const struct survey *survey = worker->survey;
    uint32_t cell = people_list_cell(survey, bound);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_moved(survey, list[i])) continue;
        bound->holds_moved = true;
        if (snapshot_is_mixed(survey->snapshot, list[i]))
            bound->moved_known = false;
        else if (cell < survey->cell_count)
            TRY(add_moved(worker, (uint64_t)snapshot_person(survey->snapshot, list[i]) << 32 | cell));
    }
    return STATUS_OK;
}

/* Whether the run's list of persons has one of them. */
static enum status look_task(void *ctx, unsigned slot, uint32_t index)
{
    const struct kernels *kernels = CPU_SELECT(kernels);
    struct survey *survey = ctx;
    struct worker *worker = &survey->workers[slot];
    struct bound *bound = &survey->runs[index];
    uint32_t persons = snapshot_id_count(survey->snapshot) + 1;
    if (bound->never || bound->run.links_applied >= snapshot_link_count(survey->snapshot)) return STATUS_OK;
    TRY(survey_interrupted(survey, &worker->error));
    worker->open = NULL; /* scan_open, not worker_open: no tables are needed */
    bool list_enough = bound->moved_known = people_is_list_enough(survey, bound);
    TRY(scan_open(worker->scan, &bound->run, &worker->error));
    for (uint32_t at = 0; at < bound->run.persons && (list_enough || !bound->holds_moved); at += VECTOR_ROWS_MAX) {
        const uint32_t *list;
        uint32_t count = bound->run.persons - at < VECTOR_ROWS_MAX ? bound->run.persons - at : VECTOR_ROWS_MAX;
        TRY(scan_owners(worker->scan, at / VECTOR_ROWS_MAX, &worker->error, &list));
        bool any = kernels->any_bit(survey->moved_bits, persons, list, count);
        if (any && list_enough)
            TRY(collect_list(worker, bound, list, count));
        else if (any)
            bound->holds_moved = true;
    }
    return STATUS_OK;
}

static enum status moved_task(void *ctx, unsigned slot, uint32_t index)
{
    const struct kernels *kernels = CPU_SELECT(kernels);
    struct survey *survey = ctx;
    struct worker *worker = &survey->workers[slot];
    uint32_t persons = snapshot_id_count(survey->snapshot) + 1;
    TRY(survey_interrupted(survey, &worker->error));
    for (uint32_t s = survey->task_slices[index]; s < survey->task_slices[index + 1]; s++) {
        const struct slice *slice = &survey->slices[s];
        const struct bound *bound = &survey->runs[slice->run];
        if (!may_hold_moved(survey, bound) || bound->moved_known) continue;
        TRY(worker_open(worker, bound));
        for (uint32_t v = slice->from_vector; v < slice->to_vector; v++) {
            TRY(scan_vector(worker->scan, v, &worker->error, &worker->rows));
            TRY(scan_stored_persons(worker->scan, &worker->error, &worker->persons));
            if (!kernels->any_bit(survey->moved_bits, persons, worker->persons, worker->rows)) continue;
            TRY(worker_cells(worker, v, 0, worker->rows, collect_moved));
        }
    }
    return STATUS_OK;
}

enum status people_look_for_moved(struct survey *survey)
{
    uint32_t oldest = UINT32_MAX;
    for (size_t i = 0; i < survey->run_count; i++) {
        if (!survey->runs[i].never && survey->runs[i].run.links_applied < oldest)
            oldest = survey->runs[i].run.links_applied;
    }
    if (oldest == UINT32_MAX) return STATUS_OK;
    TRY(snapshot_moved(survey->snapshot, oldest, survey->error, &survey->moved_bits));
    if (!survey->moved_bits) return STATUS_OK;
    return pool_run(survey->pool, (uint32_t)survey->run_count, look_task, survey);
}

enum status people_find_moved(struct survey *survey)
{
    TRY(people_look_for_moved(survey));
    if (!survey->moved_bits) return STATUS_OK;
    TRY(pool_run(survey->pool, survey->task_count, moved_task, survey));
    size_t total = 0;
    for (unsigned w = 0; w < survey->worker_count; w++) total += survey->workers[w].moved_count;
    if (total == 0) return STATUS_OK;
    survey->moved = malloc(total * sizeof *survey->moved);
    if (!survey->moved) return survey_out_of_memory(survey, survey->error);
    for (unsigned w = 0; w < survey->worker_count; w++) {
        struct worker *worker = &survey->workers[w];
        if (worker->moved_count)
            memcpy(survey->moved + survey->moved_count, worker->moved, worker->moved_count * sizeof *survey->moved);
        survey->moved_count += worker->moved_count;
        free(worker->moved);
        worker->moved = NULL;
    }
    return unique(survey, survey->error, survey->moved, &survey->moved_count);
}

size_t people_first_moved(const struct survey *survey, uint64_t person)
{
    size_t at = 0, end = survey->moved_count;
    while (at < end) {
        size_t middle = at + (end - at) / 2;
        if (survey->moved[middle] >> 32 < person)
            at = middle + 1;
        else
            end = middle;
    }
    return at;
}
