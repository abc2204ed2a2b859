/*
 * Sums, means, extremes and percentiles per cell. Sums are exact (base/exact_sum.h) and percentiles are picked from all
 * numbers, so that no answer depends on the order in which rows are read.
 *
 * Columns of integers and decimals are left to sums.c and ranks.c where these can do it. Here is what is always right:
 * numbers are added one by one, and percentiles keep every number with its cell. When those would not fit into the
 * query's budget, the query fails with a LIMIT that says so.
 */
#include "base/radix.h"
#include "query/native/decimals.h"
#include "query/native/narrow.h"

#include <math.h>
#include <stdlib.h>

static enum status worker_init(struct worker *worker)
{
    const struct survey *survey = worker->survey;
    size_t cells = (size_t)survey->cell_count + 1;
    worker->number_counts = arena_new_array(worker->arena, uint64_t, cells);
    worker->decimals = calloc(1, sizeof *worker->decimals);
    bool sums = survey->plan->measure == MEASURE_SUM || survey->plan->measure == MEASURE_MEAN;
    if (sums) worker->exact = arena_new_array(worker->arena, struct exact_sum, cells);
    bool extremes = survey->plan->measure == MEASURE_MIN || survey->plan->measure == MEASURE_MAX;
    if (extremes) worker->extremes = arena_new_array(worker->arena, double, cells);
    if (!worker->number_counts || !worker->decimals || (sums && !worker->exact) || (extremes && !worker->extremes))
        return survey_out_of_memory(worker->survey, &worker->error);
    return STATUS_OK;
}

enum status survey_prepare_numbers(struct survey *survey)
{
    for (unsigned w = 0; w < survey->worker_count; w++) TRY(worker_init(&survey->workers[w]));
    return survey->plan->measure == MEASURE_PERCENTILE ? ranks_prepare(survey, &survey->ranks) : STATUS_OK;
}

void worker_free_numbers(struct worker *worker)
{
    ranks_free_worker(worker);
    free(worker->decimals);
    free(worker->values);
}

int64_t decimals_power(unsigned exponent)
{
    int64_t power = 1;
    while (exponent--) power *= 10;
    return power;
}

enum status decimals_head(struct worker *worker, uint32_t property, bool *ret_any, struct decimals_head *ret)
{
    static const int64_t limit = (int64_t)1 << 52;
    struct scan_integers integers;
    double divisor, power = 1;
    unsigned exponent = 0;
    *ret_any = false;
    if (!scan_has_integers(worker->scan, property, &divisor)) return STATUS_OK;
    for (; power < divisor; power *= 10) exponent++;
    if (exponent > DECIMALS_EXPONENT_MAX) return STATUS_OK;
    TRY(scan_integers(worker->scan, property, &worker->error, &integers));
    *ret_any = integers.width <= 32 && integers.min >= -limit && integers.max <= limit;
    *ret = (struct decimals_head){integers.min, integers.max, integers.scale, exponent, integers.all_present};
    return STATUS_OK;
}

/* Leaves the numbers of the vector as they are stored, if they can be measured so. */
static enum status read_decimals(struct worker *worker)
{
    struct decimals *d = worker->decimals;
    uint32_t property = worker->open->numbers.property;
    bool any;
    if (!worker->exact && !worker->survey->ranks) return STATUS_OK;
    TRY(decimals_head(worker, property, &any, &d->head));
    if (!any || (worker->exact && !sums_take(worker, &d->head))) return STATUS_OK;
    TRY(scan_offsets32(worker->scan, property, &worker->error, d->offsets));
    if (!d->head.all_present) TRY(scan_presence(worker->scan, property, &worker->error, d->present));
    d->at_hand = true;
    return STATUS_OK;
}

enum status worker_read_numbers(struct worker *worker, uint32_t vector)
{
    const struct bound *bound = worker->open;
    const struct bound_numbers *numbers = &bound->numbers;
    double *to = worker->numbers_buffer;
    TRY(scan_vector(worker->scan, vector, &worker->error, &worker->rows));
    worker->numbers = to;
    worker->decimals->at_hand = false;
    switch (numbers->form) {
    case SOURCE_NUMBERS: {
        const double *stored;
        TRY(read_decimals(worker));
        if (worker->decimals->at_hand) return STATUS_OK;
        TRY(scan_numbers(worker->scan, numbers->property, &worker->error, &stored));
        memcpy(to, stored, worker->rows * sizeof *to);
        return STATUS_OK;
    }
    case SOURCE_TABLE: {
        const uint32_t *codes;
        TRY(worker_codes(worker, numbers->property, numbers->profile, &codes));
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
    TRY(survey_interrupted(worker->survey, &worker->error));
    TRY(columns_read(worker->of_columns, worker->scan, worker->open->run.event_id, worker->rows, &worker->error,
                     &vectors));
    enum status status = expr_eval_kept(worker->of_state, vectors, worker->rows, keep, &worker->error, &result);
    TRY(native_expression("of", status, &worker->error));
    for (uint32_t i = 0; i < worker->rows; i++) {
        double number = NAN;
        struct value value = keep[i] ? vector_at(&result, i) : value_absent();
        if (value.type == VALUE_LIST && worker->survey->ret_extent) extent_add_value(&worker->extent, value);
        if (!value_double(value, &number)) number = NAN;
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

static enum status measure_decimals(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                    uint32_t count)
{
    struct decimals *d = worker->decimals;
    const uint32_t *items = d->offsets + from;
    if (rows) {
        for (uint32_t i = 0; i < count; i++) d->items[i] = d->offsets[rows[i]];
        items = d->items;
    }
    if (!d->head.all_present) {
        uint32_t none = worker->survey->cell_count;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t row = rows ? rows[i] : from + i;
            bool present = d->present[row / 64] >> (row % 64) & 1;
            worker->counts[cells[i]] += !present; /* the others are counted by what follows */
            d->cells[i] = present ? cells[i] : none;
        }
        cells = d->cells;
    }
    return worker->survey->ranks ? ranks_add(worker, cells, items, count) : sums_add(worker, cells, items, count);
}

enum status worker_measure(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                           uint32_t count)
{
    if (worker->decimals->at_hand) return measure_decimals(worker, rows, cells, from, count);
    enum plan_measure measure = worker->survey->plan->measure;
    uint32_t none = worker->survey->cell_count;
    bool row_numbers = worker->open->numbers.form == SOURCE_ROWS;
    if (row_numbers && !worker->numbers) TRY(evaluate(worker, rows, cells, from, count));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t cell = cells[i];
        double number = worker->numbers[rows ? rows[i] : from + i] + 0.0; /* -0 becomes 0 */
        worker->counts[cell]++;
        if (cell == none || isnan(number)) continue;
        if (worker->survey->ret_extent) {
            extent_add(&worker->extent, number);
            continue;
        }
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

enum status worker_measure_narrow(struct worker *worker, uint32_t left)
{
    struct narrow *narrow = worker->narrow;
    uint32_t count = 0;
    if (left == 0) return STATUS_OK;
    TRY(worker_read_numbers(worker, worker->vector));
    if (left * 4 < worker->rows) {
        for (uint32_t w = 0; w < MASK_WORDS; w++) {
            for (uint64_t bits = narrow->mask[w]; bits; bits &= bits - 1) {
                uint32_t row = w * 64 + (uint32_t)__builtin_ctzll(bits);
                worker->cell_rows[count] = (uint16_t)row;
                worker->cells[count++] = narrow->cells[row];
            }
        }
        return worker_measure(worker, worker->cell_rows, worker->cells, 0, count);
    }
    if (left < worker->rows) narrow->kernels->hide(narrow->mask, worker->rows, narrow->none, narrow->cells);
    for (uint32_t i = 0; i < worker->rows; i++) worker->cells[i] = narrow->cells[i];
    return worker_measure(worker, NULL, worker->cells, 0, worker->rows);
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

/* select_rank for many numbers: bins of the high bits tell in which bin the place is, and only that one is looked at
 * further. `bins` has BINS entries. */
static double select_of_many(double *numbers, size_t count, size_t rank, uint32_t *bins)
{
    if (count < SMALL_RANK) return select_rank(numbers, count, rank);
    memset(bins, 0, BINS * sizeof *bins);
    for (size_t i = 0; i < count; i++) bins[radix_key_of_double(numbers[i]) >> 48]++;
    size_t bin = 0, below = 0, kept = 0;
    while (below + bins[bin] <= rank) below += bins[bin++];
    for (size_t i = 0; i < count; i++) {
        double number = numbers[i];
        numbers[kept] = number;
        kept += radix_key_of_double(number) >> 48 == bin;
    }
    return select_rank(numbers, kept, rank - below);
}

static enum status merge_percentiles(struct survey *survey)
{
    size_t total = 0;
    if (survey->ranks) {
        survey->extremes = arena_new_array(survey->arena, double, (size_t)survey->cell_count + 1);
        return survey->extremes ? ranks_pick(survey, survey->extremes) : survey_out_of_memory(survey, survey->error);
    }
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

enum status worker_finish_numbers(struct worker *worker)
{
    if (worker->survey->ranks) ranks_finish(worker);
    return worker->exact ? sums_finish(worker) : STATUS_OK;
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
