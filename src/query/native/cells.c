/*
 * From the rows of a vector to cells. A cell is label · buckets + bucket; what does not count goes to the cell behind
 * the last, so that loops need no branches.
 */
#include "query/native/survey.h"

#include <math.h>
#include <stdlib.h>

/* Row -> bucket, BUCKET_NONE outside the range. */
static enum status read_buckets(struct worker *worker, const struct bound *bound, uint32_t from, uint32_t to,
                                uint32_t *buckets)
{
    const struct survey *survey = worker->survey;
    if (bound->one_bucket) {
        for (uint32_t i = from; i < to; i++) buckets[i] = bound->bucket;
        return STATUS_OK;
    }
    if (worker->minutes_count) {
        const uint32_t *minutes;
        TRY(scan_minutes(worker->scan, &worker->error, &minutes));
        uint32_t first = (uint32_t)worker->minutes_from, count = (uint32_t)worker->minutes_count;
        const uint16_t *table = worker->minute_buckets;
        uint32_t high = 0;
        for (uint32_t i = from; i < to; i++) high = minutes[i] - first > high ? minutes[i] - first : high;
        if (high >= count) return error_set(&worker->error, STATUS_CORRUPT, "a time lies outside its section");
        for (uint32_t i = from; i < to; i++) buckets[i] = table[minutes[i] - first];
        for (uint32_t i = from; i < to; i++) buckets[i] = buckets[i] == UINT16_MAX ? BUCKET_NONE : buckets[i];
        return STATUS_OK;
    }
    const int64_t *times;
    TRY(scan_times(worker->scan, &worker->error, &times));
    size_t edge = 0;
    for (uint32_t i = from; i < to; i++) {
        /* rows of one person come in the order of time: stay where the last one was, or search */
        bool here = survey->edges[edge].from_ms <= times[i] &&
                    (edge + 1 == survey->edge_count || times[i] < survey->edges[edge + 1].from_ms);
        if (!here) {
            size_t low = 0, high = survey->edge_count;
            while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (survey->edges[middle].from_ms <= times[i])
                    low = middle + 1;
                else
                    high = middle;
            }
            edge = low ? low - 1 : 0;
        }
        buckets[i] = times[i] < survey->edges[0].from_ms ? BUCKET_NONE : survey->edges[edge].bucket;
    }
    return STATUS_OK;
}

static enum status failed(struct worker *worker, const char *parameter, enum status status)
{
    return native_expression(parameter, status, &worker->error);
}

static void compare(enum expr_comparison comparison, const double *numbers, double bound, uint8_t *keep, uint32_t from,
                    uint32_t to)
{
    /* NaN, where a row has no number, compares false with everything */
    switch (comparison) {
    case EXPR_LESS:
        for (uint32_t i = from; i < to; i++) keep[i] &= numbers[i] < bound;
        break;
    case EXPR_LESS_EQUAL:
        for (uint32_t i = from; i < to; i++) keep[i] &= numbers[i] <= bound;
        break;
    case EXPR_GREATER:
        for (uint32_t i = from; i < to; i++) keep[i] &= numbers[i] > bound;
        break;
    case EXPR_GREATER_EQUAL:
        for (uint32_t i = from; i < to; i++) keep[i] &= numbers[i] >= bound;
        break;
    default:
        for (uint32_t i = from; i < to; i++) keep[i] &= numbers[i] == bound;
    }
}

/* Whether no number, or every number, between min and max compares so. */
static bool is_out_of_reach(enum expr_comparison comparison, double min, double max, double bound)
{
    switch (comparison) {
    case EXPR_LESS: return min >= bound;
    case EXPR_LESS_EQUAL: return min > bound;
    case EXPR_GREATER: return max <= bound;
    case EXPR_GREATER_EQUAL: return max < bound;
    default: return bound < min || bound > max;
    }
}

enum status worker_apply_term(struct worker *worker, size_t index, uint32_t from, uint32_t to, uint8_t *keep)
{
    const struct bound *bound = worker->open;
    const struct bound_term *term = &bound->terms[index];
    const struct expr_term *text = &worker->survey->terms[index];
    switch (term->form) {
    case TERM_ALWAYS: return STATUS_OK;
    case TERM_TABLE: {
        const uint32_t *codes;
        TRY(worker_codes(worker, term->property, term->profile, &codes));
        for (uint32_t i = from; i < to; i++) keep[i] &= term->keep[codes[i]];
        return STATUS_OK;
    }
    case TERM_COMPARE: {
        const double *numbers;
        double min, max;
        TRY(scan_number_range(worker->scan, term->property, &worker->error, &min, &max));
        if (is_out_of_reach(text->comparison, min, max, text->bound)) {
            memset(keep + from, 0, to - from);
            return STATUS_OK;
        }
        TRY(scan_numbers(worker->scan, term->property, &worker->error, &numbers));
        compare(text->comparison, numbers, text->bound, keep, from, to);
        return STATUS_OK;
    }
    case TERM_EVAL: break;
    }
    const struct vector *vectors;
    TRY(survey_interrupted(worker->survey, &worker->error)); /* an expression may take its time */
    TRY(columns_read(worker->term_columns[index], worker->scan, bound->run.event_id, worker->rows, &worker->error,
                     &vectors));
    const char *const *names = worker->survey->term_names;
    return failed(worker, names ? names[index] : worker->survey->where_name,
                  expr_filter(worker->term_states[index], vectors, worker->rows, &worker->error, keep));
}

/* Which rows count, and their buckets. *ret_left: how many. */
static enum status select_rows(struct worker *worker, uint32_t vector, uint32_t from, uint32_t to, uint32_t *buckets,
                               uint8_t *keep, uint32_t *ret_left)
{
    const struct survey *survey = worker->survey;
    const struct bound *bound = worker->open;
    *ret_left = 0;
    worker->vector = vector;
    TRY(scan_vector(worker->scan, vector, &worker->error, &worker->rows));
    TRY(read_buckets(worker, bound, from, to, buckets));
    memset(keep, 0, VECTOR_ROWS_MAX);
    for (uint32_t i = from; i < to; i++) keep[i] = buckets[i] != BUCKET_NONE;
    if (bound->run.deleted) {
        const uint8_t *live;
        TRY(scan_live(worker->scan, &worker->error, &live));
        for (uint32_t i = from; i < to; i++) keep[i] &= live[i];
    }
    uint32_t left = 0;
    for (uint32_t i = from; i < to; i++) left += keep[i];
    for (size_t t = 0; t < survey->term_count && left; t++) {
        if (bound->terms[t].form == TERM_ALWAYS) continue;
        TRY(worker_apply_term(worker, t, from, to, keep));
        left = 0;
        for (uint32_t i = from; i < to; i++) left += keep[i];
    }
    *ret_left = left;
    return STATUS_OK;
}

/* Labels row by row. `cells`: their cells with the row's bucket; otherwise the labels themselves. */
static enum status evaluate_labels(struct worker *worker, uint32_t from, uint32_t to, const uint32_t *buckets,
                                   const uint8_t *keep, bool cells, cells_fn each)
{
    struct survey *survey = worker->survey;
    const struct vector *vectors;
    struct vector on;
    TRY(survey_interrupted(survey, &worker->error));
    TRY(columns_read(worker->on_columns, worker->scan, worker->open->run.event_id, worker->rows, &worker->error,
                     &vectors));
    TRY(failed(worker, "on", expr_eval_kept(worker->on_state, vectors, worker->rows, keep, &worker->error, &on)));
    uint32_t count = 0;
    for (uint32_t row = from; row < to; row++) {
        if (!keep[row]) continue;
        if (labels_all(&survey->labels, &worker->list, vector_at(&on, row)) != STATUS_OK)
            return survey_out_of_memory(survey, &worker->error);
        for (uint32_t i = 0; i < worker->list.count; i++) {
            uint32_t label = worker->list.labels[i];
            if (cells) {
                uint32_t slot = survey->slots ? survey->slots[label] : label;
                if (slot >= survey->slot_count) continue;
                label = slot * survey->bucket_count + buckets[row];
            }
            worker->cell_rows[count] = (uint16_t)row;
            worker->cells[count++] = label;
            if (count == VECTOR_ROWS_MAX) {
                TRY(each(worker, worker->cell_rows, worker->cells, 0, count));
                count = 0;
            }
        }
    }
    return count ? each(worker, worker->cell_rows, worker->cells, 0, count) : STATUS_OK;
}

/* Every row counts but for its time, and only the time decides where. */
static bool is_plain(const struct survey *survey, const struct worker *worker)
{
    const struct bound *bound = worker->open;
    return !survey->term_count && !survey->on && !bound->run.deleted && !bound->one_bucket && worker->minutes_count;
}

static enum status plain_cells(struct worker *worker, uint32_t vector, uint32_t from, uint32_t to, cells_fn each)
{
    const uint32_t *minutes;
    uint32_t *cells = worker->cells, none = worker->survey->cell_count, high = 0;
    uint32_t first = (uint32_t)worker->minutes_from, count = (uint32_t)worker->minutes_count;
    const uint16_t *table = worker->minute_buckets;
    worker->vector = vector;
    TRY(scan_vector(worker->scan, vector, &worker->error, &worker->rows));
    TRY(scan_minutes(worker->scan, &worker->error, &minutes));
    for (uint32_t i = from; i < to; i++) high = minutes[i] - first > high ? minutes[i] - first : high;
    if (high >= count) return error_set(&worker->error, STATUS_CORRUPT, "a time lies outside its section");
    for (uint32_t i = from; i < to; i++) {
        uint32_t bucket = table[minutes[i] - first]; /* UINT16_MAX: outside the range */
        cells[i] = bucket < none ? bucket : none;
    }
    return each(worker, NULL, cells + from, from, to - from);
}

enum status worker_cells(struct worker *worker, uint32_t vector, uint32_t from, uint32_t to, cells_fn each)
{
    const struct survey *survey = worker->survey;
    const struct bound_labels *labels = &worker->open->labels;
    if (is_plain(survey, worker)) return plain_cells(worker, vector, from, to, each);
    uint32_t buckets[VECTOR_ROWS_MAX], left, none = survey->cell_count;
    uint8_t keep[VECTOR_ROWS_MAX];
    TRY(select_rows(worker, vector, from, to, buckets, keep, &left));
    if (left == 0) return STATUS_OK;
    uint32_t *cells = worker->cells;
    switch (labels->form) {
    case SOURCE_NUMBERS: {
        bool done;
        TRY(worker_number_labels(worker, from, to, keep, cells, &done));
        if (!done) return evaluate_labels(worker, from, to, buckets, keep, true, each);
        for (uint32_t i = from; i < to; i++) {
            uint32_t slot = !keep[i] ? LABEL_UNKNOWN : survey->slots ? survey->slots[cells[i]] : cells[i];
            cells[i] = slot < survey->slot_count ? slot * survey->bucket_count + buckets[i] : none;
        }
        break;
    }
    case SOURCE_ROWS: return evaluate_labels(worker, from, to, buckets, keep, true, each);
    case SOURCE_PAIR: return worker_cross(worker, from, to, buckets, keep, each);
    case SOURCE_TABLE: {
        const uint32_t *codes, *code_cells = worker->code_cells;
        TRY(worker_label_codes(worker, labels, &codes));
        for (uint32_t i = from; i < to; i++) {
            uint32_t first = code_cells[codes[i]];
            cells[i] = keep[i] && first < none ? first + buckets[i] : none;
        }
        break;
    }
    case SOURCE_ONE: {
        uint32_t slot = survey->slots ? survey->slots[labels->label] : labels->label;
        uint32_t first = slot * survey->bucket_count;
        if (slot >= survey->slot_count) return STATUS_OK;
        for (uint32_t i = from; i < to; i++) cells[i] = keep[i] ? first + buckets[i] : none;
        break;
    }
    default:
        for (uint32_t i = from; i < to; i++) cells[i] = keep[i] ? buckets[i] : none;
    }
    return each(worker, NULL, cells + from, from, to - from);
}

enum status worker_labels(struct worker *worker, uint32_t vector, uint32_t from, uint32_t to, cells_fn each)
{
    const struct bound_labels *labels = &worker->open->labels;
    uint32_t buckets[VECTOR_ROWS_MAX], left;
    uint8_t keep[VECTOR_ROWS_MAX];
    TRY(select_rows(worker, vector, from, to, buckets, keep, &left));
    if (left == 0) return STATUS_OK;
    uint32_t *cells = worker->cells;
    bool done = false;
    if (labels->form == SOURCE_NUMBERS) {
        TRY(worker_number_labels(worker, from, to, keep, cells, &done));
        for (uint32_t i = from; i < to; i++) cells[i] = keep[i] ? cells[i] : LABEL_UNKNOWN;
    }
    if (labels->form >= SOURCE_NUMBERS) {
        if (!done) return evaluate_labels(worker, from, to, buckets, keep, false, each);
        return each(worker, NULL, cells + from, from, to - from);
    }
    if (labels->form == SOURCE_ONE) {
        for (uint32_t i = from; i < to; i++) cells[i] = keep[i] ? labels->label : LABEL_UNKNOWN;
    } else {
        const uint32_t *codes;
        TRY(worker_codes(worker, labels->property, labels->profile, &codes));
        for (uint32_t i = from; i < to; i++) cells[i] = keep[i] ? labels->labels[codes[i]] : LABEL_UNKNOWN;
    }
    return each(worker, NULL, cells + from, from, to - from);
}
