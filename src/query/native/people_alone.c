/*
 * A run of which the persons have rows nowhere else in its buckets, with nothing moved and no labels, needs no bits:
 * rows of a person are adjacent and ascend in time, so a person is new in a bucket exactly where the person or the
 * bucket changes.
 *
 * Where only the time decides, that is a loop over buckets in 16 bits (narrow.h), and rows in shared buckets
 * (people_shared.c) are put into bits beside it.
 */
#include "query/native/kernels.h"
#include "query/native/narrow.h"
#include "query/native/people.h"

#include <stdlib.h>

/* --- where only the time decides --- */

bool people_can_count_changes(const struct survey *survey, const struct bound *bound)
{
    return bound->plain && bound->ascends && (survey->use_set || !bound->mostly_shared);
}

/* The rows of the vector that are in shared buckets. Its rows [from, to) are those of persons [low, high). */
static enum status add_shared(struct worker *worker, uint32_t from, uint32_t to, uint64_t low, uint64_t high)
{
    const uint16_t *cells = worker->narrow->cells;
    const uint32_t *persons;
    uint64_t mask[MASK_WORDS];
    if (!people_in_shared(worker, to, mask)) return STATUS_OK;
    TRY(scan_stored_persons(worker->scan, &worker->error, &persons));
    if (persons[from] < low || persons[to - 1] >= high)
        return error_set(&worker->error, STATUS_CORRUPT, "the persons of a run are not in order");
    for (uint32_t w = 0; w < MASK_WORDS; w++) {
        for (uint64_t left = mask[w]; left; left &= left - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(left), place = persons[i] - worker->person_base;
            if (worker->survey->use_set)
                TRY(people_add_to_set(worker, cells[i], persons[i]));
            else
                worker->bits[cells[i] * worker->words + place / 64] |= (uint64_t)1 << (place % 64);
        }
    }
    return STATUS_OK;
}

static enum status need_changes(struct worker *worker, uint32_t rows)
{
    size_t stride = (size_t)worker->survey->cell_count + 1;
    if (!worker->changes) worker->changes = arena_new_array(worker->arena, uint32_t, stride * CHANGE_TABLES);
    if (!worker->changes) return survey_out_of_memory(worker->survey, &worker->error);
    if (worker->changes_max > UINT32_MAX - rows) people_take_changes(worker);
    worker->changes_max += rows;
    return STATUS_OK;
}

void people_take_changes(struct worker *worker)
{
    const struct survey *survey = worker->survey;
    size_t stride = (size_t)survey->cell_count + 1;
    for (size_t i = 0; worker->changes && i < stride * CHANGE_TABLES; i++) {
        size_t cell = i % stride;
        /* who is in shared buckets is known by bits or the set */
        if (cell < survey->cell_count && !survey->shared[cell]) worker->users[cell] += worker->changes[i];
        worker->changes[i] = 0;
    }
    worker->changes_max = 0;
}

enum status people_count_changes(struct worker *worker, const struct bound *bound, uint64_t low, uint64_t high)
{
    const struct kernels *kernels = CPU_SELECT(kernels);
    struct narrow *narrow;
    uint32_t from = 0, to = bound->run.rows, left;
    bool usable;
    TRY(narrow_open(worker, bound, NARROW_CELLS, &usable));
    if (!usable) return error_set(&worker->error, STATUS_INTERNAL, "the run does not fit");
    narrow = worker->narrow;
    /* rows of nobody stand first */
    TRY(scan_seek_person(worker->scan, low ? (uint32_t)low : 1, &worker->error, &from));
    if (high <= UINT32_MAX) TRY(scan_seek_person(worker->scan, (uint32_t)high, &worker->error, &to));
    if (from >= to) return STATUS_OK;
    TRY(need_changes(worker, to - from));
    uint16_t last = narrow->none;
    for (uint32_t v = from / VECTOR_ROWS_MAX; from < to; v++) {
        const uint8_t *starts;
        uint32_t start = v * VECTOR_ROWS_MAX, first = from - start;
        uint32_t end = to - start < VECTOR_ROWS_MAX ? to - start : VECTOR_ROWS_MAX;
        if (v % 16 == 0) TRY(survey_interrupted(worker->survey, &worker->error));
        TRY(narrow_vector(worker, v, first, end, &left));
        from = start + end;
        if (left == 0) {
            last = narrow->none; /* what comes is another bucket, or another person */
            continue;
        }
        TRY(scan_starts(worker->scan, &worker->error, &starts));
        kernels->count_changes(narrow->cells + first, starts + first, end - first, last, worker->changes,
                               narrow->none + 1u);
        if (!bound->alone) TRY(add_shared(worker, first, end, low, high));
        last = narrow->cells[end - 1];
    }
    return STATUS_OK;
}

/* --- where more does, in a run that is alone --- */

static enum status count_change(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                uint32_t count)
{
    uint32_t none = worker->survey->cell_count, last = worker->last_cell;
    const uint8_t *starts = worker->starts + from;
    uint64_t *users = worker->users, *counts = worker->counts;
    (void)rows; /* there are no labels, so each row stands for itself */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t cell = cells[i];
        last = starts[i] ? none : last;
        users[cell] += (cell != last) & (cell != none);
        last = cell == none ? last : cell;
    }
    if (worker->survey->count_rows_too)
        for (uint32_t i = 0; i < count; i++) counts[cells[i]]++;
    worker->last_cell = last;
    worker->visited = true;
    return STATUS_OK;
}

/* Rows of nobody stand first and are no people; a filter may fail for one all the same. */
enum status people_visit_alone(struct worker *worker, const struct bound *bound, uint32_t from, uint32_t to)
{
    const uint32_t *persons;
    TRY(scan_owners(worker->scan, 0, &worker->error, &persons));
    if (from == 0 && persons[0] == 0) {
        uint32_t nobody = bound->run.rows;
        if (bound->run.persons > 1) TRY(scan_seek_person(worker->scan, 1, &worker->error, &nobody));
        if (nobody > to) nobody = to;
        if (!worker->survey->count_rows_too && !worker->survey->term_count) from = nobody;
        for (uint32_t v = 0; from < nobody; v++) {
            uint32_t start = v * VECTOR_ROWS_MAX,
                     end = start + VECTOR_ROWS_MAX < nobody ? start + VECTOR_ROWS_MAX : nobody;
            TRY(worker_cells(worker, v, from - start, end - start, worker_count));
            from = end;
        }
    }
    worker->last_cell = worker->survey->cell_count;
    for (uint32_t v = from / VECTOR_ROWS_MAX; from < to; v++) {
        uint32_t start = v * VECTOR_ROWS_MAX, end = start + VECTOR_ROWS_MAX < to ? start + VECTOR_ROWS_MAX : to;
        if (v % 16 == 0) TRY(survey_interrupted(worker->survey, &worker->error));
        TRY(scan_vector(worker->scan, v, &worker->error, &worker->rows));
        TRY(scan_starts(worker->scan, &worker->error, &worker->starts));
        /* worker_cells calls nothing when no row of the vector counts; then the person may have changed unseen */
        bool any_start = memchr(worker->starts + (from - start), 1, end - from) != NULL;
        uint32_t before = worker->last_cell;
        worker->visited = false;
        TRY(worker_cells(worker, v, from - start, end - start, count_change));
        if (!worker->visited) worker->last_cell = any_start ? worker->survey->cell_count : before;
        from = end;
    }
    return STATUS_OK;
}

bool people_is_alone(const struct survey *survey, const struct bound *bound)
{
    return bound->alone && !survey->on && !may_hold_moved(survey, bound);
}
