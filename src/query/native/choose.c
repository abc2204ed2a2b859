/*
 * Which labels are answered: the ones with most events, and how many there are in all.
 */
#include "query/native/narrow.h"

#include <stdlib.h>

enum status worker_need_totals(struct worker *worker, uint32_t count)
{
    if (count <= worker->total_capacity) return STATUS_OK;
    uint64_t capacity = (uint64_t)count * 2;
    uint64_t *grown = realloc(worker->totals, capacity * sizeof *grown);
    if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
    memset(grown + worker->total_capacity, 0, (capacity - worker->total_capacity) * sizeof *grown);
    worker->totals = grown;
    worker->total_capacity = (uint32_t)capacity;
    return STATUS_OK;
}

static enum status count_labels(struct worker *worker, const uint16_t *rows, const uint32_t *labels, uint32_t from,
                                uint32_t count)
{
    (void)rows;
    (void)from;
    uint32_t high = 0;
    for (uint32_t i = 0; i < count; i++) high = labels[i] != LABEL_UNKNOWN && labels[i] > high ? labels[i] : high;
    TRY(worker_need_totals(worker, high + 2));
    /* labels count from 1 here: what does not count wraps around to 0 */
    for (uint32_t i = 0; i < count; i++) worker->totals[labels[i] + 1]++;
    return STATUS_OK;
}

static enum status label_task(void *ctx, unsigned slot, uint32_t index)
{
    struct survey *survey = ctx;
    struct worker *worker = &survey->workers[slot];
    TRY(survey_begin_task(survey, worker, index));
    for (uint32_t s = survey->task_slices[index]; s < survey->task_slices[index + 1]; s++) {
        const struct slice *slice = &survey->slices[s];
        const struct bound *bound = &survey->runs[slice->run];
        if (bound->everything && bound->labels.all_rows) {
            if (slice->from_vector) continue; /* the first slice of the run counts it whole */
            for (uint32_t i = 0; i < bound->labels.code_count; i++) {
                TRY(worker_need_totals(worker, bound->labels.labels[i] + 2));
                worker->totals[bound->labels.labels[i] + 1] += bound->labels.all_rows[i];
            }
            continue;
        }
        if (bound->everything && bound->labels.form == SOURCE_ONE && bound->run.deleted == 0) {
            if (slice->from_vector) continue;
            TRY(worker_need_totals(worker, bound->labels.label + 2));
            worker->totals[bound->labels.label + 1] += bound->run.rows;
            continue;
        }
        bool narrow;
        TRY(narrow_open(worker, bound, NARROW_CODES, &narrow));
        for (uint32_t v = slice->from_vector; v < slice->to_vector; v++) {
            uint32_t rows = bound->run.rows - v * VECTOR_ROWS_MAX, left;
            bool done = narrow;
            if (rows > VECTOR_ROWS_MAX) rows = VECTOR_ROWS_MAX;
            if (narrow) TRY(narrow_vector(worker, v, 0, rows, &left));
            if (narrow && bound->labels.form == SOURCE_NUMBERS)
                TRY(worker_count_number_labels(worker, left, &done));
            else if (narrow)
                TRY(narrow_count(worker, left));
            if (done) continue;
            TRY(worker_open(worker, bound));
            TRY(worker_labels(worker, v, 0, rows, count_labels));
        }
    }
    return STATUS_OK;
}

static int rank_cmp(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->total != y->total) return x->total > y->total ? -1 : 1;
    return str_cmp(x->text, y->text);
}

/* Sinks the entry at `at` of a heap with the least of `count` entries on top. */
static void sink(struct ranked *heap, size_t count, size_t at)
{
    struct ranked entry = heap[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && rank_cmp(&heap[child + 1], &heap[child]) > 0) child++;
        if (rank_cmp(&heap[child], &entry) <= 0) break;
        heap[at] = heap[child];
    }
    heap[at] = entry;
}

/* Puts the `limit` first ones in front, in order; the others come in any. */
static void sort_first(struct ranked *ranked, size_t count, size_t limit)
{
    if (limit > count) limit = count;
    if (limit < count) {
        for (size_t i = limit / 2; i-- > 0;) sink(ranked, limit, i);
        for (size_t i = limit; limit && i < count; i++) {
            if (rank_cmp(&ranked[i], &ranked[0]) >= 0) continue;
            ranked[0] = ranked[i];
            sink(ranked, limit, 0);
        }
    }
    qsort(ranked, limit, sizeof *ranked, rank_cmp);
}

/* Puts the labels that are answered in front, most events first; *ret_count is how many occur. TOP_VALUES leaves out
 * rows without a value. */
static void rank(struct survey *survey, struct ranked *ranked, uint32_t *ret_count)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < survey->labels.count; i++) {
        struct str text = survey->labels.texts[ranked[i].label];
        bool left_out = survey->plan->kind == PLAN_TOP_VALUES && str_eq(text, LABEL_NO_VALUE);
        if (!ranked[i].total || left_out) continue;
        ranked[count] = ranked[i];
        ranked[count].text = text;
        count++;
    }
    sort_first(ranked, count, survey->plan->limit);
    *ret_count = count;
}

enum status survey_choose_labels(struct survey *survey, struct ranked **ret_ranked, uint32_t *ret_count)
{
    plan_expects_rows(survey->limits, survey->row_count);
    TRY(pool_run(survey->pool, survey->task_count, label_task, survey));
    for (unsigned w = 0; w < survey->worker_count; w++) {
        TRY(narrow_flush(&survey->workers[w]));
        TRY(worker_flush_number_labels(&survey->workers[w]));
    }
    struct ranked *ranked = calloc((size_t)survey->labels.count + 1, sizeof *ranked);
    survey->slots = arena_alloc(survey->arena, ((size_t)survey->labels.count + 1) * sizeof *survey->slots);
    *ret_ranked = ranked;
    if (!ranked || !survey->slots) return survey_out_of_memory(survey, survey->error);
    for (uint32_t i = 0; i < survey->labels.count; i++) {
        ranked[i].label = i;
        survey->slots[i] = LABEL_UNKNOWN;
        for (unsigned w = 0; w < survey->worker_count; w++) {
            if (i + 1 < survey->workers[w].total_capacity) ranked[i].total += survey->workers[w].totals[i + 1];
        }
    }
    rank(survey, ranked, ret_count);
    survey->slot_count = *ret_count < survey->plan->limit ? *ret_count : survey->plan->limit;
    for (uint32_t i = 0; i < survey->slot_count; i++) {
        survey->slots[ranked[i].label] = i;
        ranked[i].slot = i;
    }
    for (unsigned w = 0; w < survey->worker_count; w++) survey->workers[w].open = NULL; /* its code_cells are stale */
    return STATUS_OK;
}

enum status survey_rank_counted(struct survey *survey, struct ranked **ret_ranked, uint32_t *ret_count)
{
    struct ranked *ranked = calloc((size_t)survey->labels.count + 1, sizeof *ranked);
    *ret_ranked = ranked;
    if (!ranked) return survey_out_of_memory(survey, survey->error);
    for (uint32_t i = 0; i < survey->labels.count; i++) {
        ranked[i].label = ranked[i].slot = i;
        for (uint32_t b = 0; b < survey->bucket_count; b++)
            ranked[i].total += survey->counts[(uint64_t)i * survey->bucket_count + b];
    }
    rank(survey, ranked, ret_count);
    return STATUS_OK;
}
