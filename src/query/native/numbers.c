/*
 * Sums, means, extremes and percentiles per cell. Sums are exact (base/exact_sum.h) and percentiles are picked from all
 * numbers, so that no answer depends on the order in which rows are read.
 *
 * Percentiles keep every number with its cell. When those would not fit into the query's budget, the query fails with
 * a LIMIT that says so.
 */
#include "query/native/survey.h"

#include <math.h>
#include <stdlib.h>

enum status worker_numbers_init(struct worker *worker)
{
    const struct survey *survey = worker->survey;
    size_t cells = (size_t)survey->cell_count + 1;
    worker->number_counts = arena_new_array(worker->arena, uint64_t, cells);
    bool sums = survey->plan->measure == MEASURE_SUM || survey->plan->measure == MEASURE_MEAN;
    if (sums) worker->exact = arena_new_array(worker->arena, struct exact_sum, cells);
    bool extremes = survey->plan->measure == MEASURE_MIN || survey->plan->measure == MEASURE_MAX;
    if (extremes) worker->extremes = arena_new_array(worker->arena, double, cells);
    if (!worker->number_counts || (sums && !worker->exact) || (extremes && !worker->extremes))
        return survey_out_of_memory(worker->survey, &worker->error);
    return STATUS_OK;
}

enum status worker_read_numbers(struct worker *worker, uint32_t vector)
{
    const struct bound *bound = worker->open;
    const struct bound_numbers *numbers = &bound->numbers;
    double *to = worker->numbers_buffer;
    TRY(scan_vector(worker->scan, vector, &worker->error, &worker->rows));
    worker->numbers = to;
    switch (numbers->form) {
    case SOURCE_NUMBERS: {
        const double *stored;
        TRY(scan_numbers(worker->scan, numbers->property, &worker->error, &stored));
        memcpy(to, stored, worker->rows * sizeof *to);
        return STATUS_OK;
    }
    case SOURCE_TABLE: {
        const uint32_t *codes;
        TRY(scan_codes(worker->scan, numbers->property, &worker->error, &codes));
        for (uint32_t i = 0; i < worker->rows; i++) to[i] = numbers->numbers[codes[i]];
        return STATUS_OK;
    }
    case SOURCE_ONE:
        for (uint32_t i = 0; i < worker->rows; i++) to[i] = numbers->number;
        return STATUS_OK;
    default: worker->numbers = NULL; return STATUS_OK; /* for the rows that count only: worker_measure */
    }
}

static enum status evaluate(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                            uint32_t count)
{
    const struct vector *vectors;
    struct vector result;
    uint8_t keep[VECTOR_ROWS_MAX] = {0};
    for (uint32_t i = 0; i < count; i++) keep[rows ? rows[i] : from + i] |= cells[i] < worker->survey->cell_count;
    TRY(columns_read(worker->of_columns, worker->scan, worker->open->run.event_id, worker->rows, &worker->error,
                     &vectors));
    enum status status = expr_eval_kept(worker->of_state, vectors, worker->rows, keep, &worker->error, &result);
    if (status == STATUS_LIMIT) return survey_out_of_memory(worker->survey, &worker->error);
    if (status == STATUS_INVALID) error_prefix(&worker->error, "of");
    TRY(status);
    for (uint32_t i = 0; i < worker->rows; i++) {
        double number = NAN;
        if (keep[i] && !value_double(vector_at(&result, i), &number)) number = NAN;
        worker->numbers_buffer[i] = number;
    }
    worker->numbers = worker->numbers_buffer;
    return STATUS_OK;
}

static enum status keep_value(struct worker *worker, uint32_t cell, double number)
{
    if (worker->value_count == worker->value_capacity) {
        size_t capacity = worker->value_capacity ? worker->value_capacity * 2 : 4096;
        if (capacity * sizeof *worker->values > worker->survey->worker_bytes_max)
            return survey_out_of_memory(worker->survey, &worker->error);
        struct percentile_value *grown = realloc(worker->values, capacity * sizeof *grown);
        if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
        worker->values = grown;
        worker->value_capacity = capacity;
    }
    worker->values[worker->value_count++] = (struct percentile_value){cell, number};
    return STATUS_OK;
}

static void keep_extreme(double *extreme, bool first, double number, enum plan_measure measure)
{
    if (first || (measure == MEASURE_MIN ? number < *extreme : number > *extreme)) *extreme = number;
}

enum status worker_measure(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                           uint32_t count)
{
    enum plan_measure measure = worker->survey->plan->measure;
    uint32_t none = worker->survey->cell_count;
    bool row_numbers = worker->open->numbers.form == SOURCE_ROWS;
    if (row_numbers && !worker->numbers) TRY(evaluate(worker, rows, cells, from, count));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t cell = cells[i];
        double number = worker->numbers[rows ? rows[i] : from + i] + 0.0; /* -0 becomes 0 */
        worker->counts[cell]++;
        if (cell == none || isnan(number)) continue;
        bool first = worker->number_counts[cell]++ == 0;
        if (measure == MEASURE_SUM || measure == MEASURE_MEAN) {
            if (exact_sum_add(&worker->exact[cell], number, worker->sums) != STATUS_OK)
                return survey_out_of_memory(worker->survey, &worker->error);
        } else if (measure == MEASURE_PERCENTILE) {
            TRY(keep_value(worker, cell, number));
        } else {
            keep_extreme(&worker->extremes[cell], first, number, measure);
        }
    }
    if (row_numbers) worker->numbers = NULL; /* the next call may bring other rows */
    return STATUS_OK;
}

/* The number at place `rank` (from 0) of numbers[0..count) in ascending order; reorders them. */
static double select_rank(double *numbers, size_t count, size_t rank)
{
    size_t low = 0, high = count;
    while (high - low > 1) {
        /* the middle one of three: ordered input is common */
        double a = numbers[low], b = numbers[low + (high - low) / 2], c = numbers[high - 1];
        double pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
        size_t below = low, above = high; /* [low, below) is less than the pivot, [above, high) greater */
        for (size_t i = low; i < above;) {
            double number = numbers[i];
            if (number < pivot) {
                numbers[i++] = numbers[below];
                numbers[below++] = number;
            } else if (number > pivot) {
                numbers[i] = numbers[--above];
                numbers[above] = number;
            } else {
                i++;
            }
        }
        if (rank < below)
            high = below;
        else if (rank >= above)
            low = above;
        else
            return pivot;
    }
    return numbers[low];
}

#define BINS       65536
#define SMALL_RANK 16384 /* numbers; below, bins do not pay */

/* Bits that order as the numbers do. */
static uint64_t order_bits(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, 8);
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

/* select_rank for many numbers: bins of the high bits tell in which bin the place is, and only that one is looked at
 * further. `bins` has BINS entries. */
static double select_of_many(double *numbers, size_t count, size_t rank, uint32_t *bins)
{
    if (count < SMALL_RANK) return select_rank(numbers, count, rank);
    memset(bins, 0, BINS * sizeof *bins);
    for (size_t i = 0; i < count; i++) bins[order_bits(numbers[i]) >> 48]++;
    size_t bin = 0, below = 0, kept = 0;
    while (below + bins[bin] <= rank) below += bins[bin++];
    for (size_t i = 0; i < count; i++) {
        double number = numbers[i];
        numbers[kept] = number;
        kept += order_bits(number) >> 48 == bin;
    }
    return select_rank(numbers, kept, rank - below);
}

static enum status merge_percentiles(struct survey *survey)
{
    size_t total = 0;
    for (unsigned w = 0; w < survey->worker_count; w++) total += survey->workers[w].value_count;
    survey->extremes = arena_new_array(survey->arena, double, (size_t)survey->cell_count + 1);
    uint64_t *starts = arena_new_array(survey->arena, uint64_t, (size_t)survey->cell_count + 2);
    double *numbers = malloc((total ? total : 1) * sizeof *numbers);
    uint32_t *bins = malloc(BINS * sizeof *bins);
    if (!survey->extremes || !starts || !numbers || !bins) {
        free(numbers);
        free(bins);
        return survey_out_of_memory(survey, survey->error);
    }
    /* counting sort by cell */
    for (uint32_t c = 0; c < survey->cell_count; c++) starts[c + 1] = starts[c] + survey->number_counts[c];
    for (unsigned w = 0; w < survey->worker_count; w++) {
        for (size_t i = 0; i < survey->workers[w].value_count; i++) {
            const struct percentile_value *value = &survey->workers[w].values[i];
            numbers[starts[value->cell]++] = value->number;
        }
    }
    for (uint32_t c = 0; c < survey->cell_count; c++) {
        uint64_t count = survey->number_counts[c];
        if (count == 0) continue;
        uint64_t rank = plan_percentile_rank(survey->plan->percentile, count) - 1;
        survey->extremes[c] = select_of_many(numbers + starts[c] - count, count, rank, bins);
    }
    free(numbers);
    free(bins);
    return STATUS_OK;
}

enum status survey_merge_numbers(struct survey *survey)
{
    size_t cells = survey->cell_count;
    enum plan_measure measure = survey->plan->measure;
    struct worker *first = &survey->workers[0];
    survey->number_counts = first->number_counts;
    survey->exact = first->exact;
    survey->extremes = first->extremes;
    for (unsigned w = 1; w < survey->worker_count; w++) {
        struct worker *worker = &survey->workers[w];
        for (size_t c = 0; c < cells; c++) {
            if (worker->number_counts[c] == 0) continue;
            if (worker->exact && exact_sum_merge(&first->exact[c], &worker->exact[c], first->sums) != STATUS_OK)
                return survey_out_of_memory(survey, survey->error);
            if (worker->extremes)
                keep_extreme(&first->extremes[c], first->number_counts[c] == 0, worker->extremes[c], measure);
            first->number_counts[c] += worker->number_counts[c];
        }
    }
    return measure == MEASURE_PERCENTILE ? merge_percentiles(survey) : STATUS_OK;
}

double survey_number(const struct survey *survey, uint64_t cell)
{
    uint64_t count = survey->number_counts[cell];
    if (survey->plan->measure == MEASURE_SUM) return exact_sum_over(&survey->exact[cell], 1);
    if (count == 0) return NAN;
    if (survey->plan->measure == MEASURE_MEAN) return exact_sum_over(&survey->exact[cell], count);
    return survey->extremes[cell];
}
