/*
 * Rows whose persons were merged into others after their run was sorted: a pass over the runs that may hold such rows
 * collects the persons whose they are now, and their cells.
 */
#include "query/native/people.h"

#include <stdlib.h>

#define MOVED_ROWS_FIRST ((size_t)1 << 16)

static int u64_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static size_t unique(uint64_t *values, size_t count)
{
    size_t kept = 0;
    qsort(values, count, sizeof *values, u64_cmp);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || values[i] != values[i - 1]) values[kept++] = values[i];
    }
    return kept;
}

static enum status add_moved(struct worker *worker, uint64_t entry)
{
    if (worker->moved_count && worker->moved[worker->moved_count - 1] == entry) return STATUS_OK;
    if (worker->moved_count == worker->moved_capacity) {
        worker->moved_count = worker->moved_count ? unique(worker->moved, worker->moved_count) : 0;
        if (worker->moved_count * 2 >= worker->moved_capacity) {
            size_t capacity = worker->moved_capacity ? worker->moved_capacity * 2 : MOVED_ROWS_FIRST;
            if (capacity * sizeof *worker->moved > worker->survey->worker_bytes_max)
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

static enum status collect_moved(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count)
{
    const struct survey *survey = worker->survey;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t person = worker->persons[rows ? rows[i] : from + i];
        if (cells[i] >= survey->cell_count || !is_moved(survey, person)) continue;
        uint64_t now = snapshot_person(survey->snapshot, person);
        TRY(add_moved(worker, now << 32 | cells[i]));
    }
    return STATUS_OK;
}

static enum status moved_task(void *ctx, unsigned slot, uint32_t index)
{
    struct survey *survey = ctx;
    struct worker *worker = &survey->workers[slot];
    TRY(survey_interrupted(survey, &worker->error));
    for (uint32_t s = survey->task_slices[index]; s < survey->task_slices[index + 1]; s++) {
        const struct slice *slice = &survey->slices[s];
        const struct bound *bound = &survey->runs[slice->run];
        if (!may_hold_moved(survey, bound)) continue;
        TRY(worker_open(worker, bound));
        for (uint32_t v = slice->from_vector; v < slice->to_vector; v++) {
            TRY(scan_vector(worker->scan, v, &worker->error, &worker->rows));
            TRY(scan_stored_persons(worker->scan, &worker->error, &worker->persons));
            bool any = false;
            for (uint32_t i = 0; i < worker->rows; i++) any |= is_moved(survey, worker->persons[i]);
            if (!any) continue;
            TRY(worker_cells(worker, v, 0, worker->rows, collect_moved));
        }
    }
    return STATUS_OK;
}

enum status people_find_moved(struct survey *survey)
{
    uint32_t oldest = UINT32_MAX;
    for (size_t i = 0; i < survey->run_count; i++) {
        if (!survey->runs[i].never && survey->runs[i].run.links_applied < oldest)
            oldest = survey->runs[i].run.links_applied;
    }
    if (oldest == UINT32_MAX) return STATUS_OK;
    TRY(snapshot_moved(survey->snapshot, oldest, survey->error, &survey->moved_bits));
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
    survey->moved_count = unique(survey->moved, survey->moved_count);
    return STATUS_OK;
}
