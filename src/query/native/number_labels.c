/*
 * Labels of an `on` that reads one column of numbers, as in floor(properties["price"] / 10). Few rows bring a number
 * that has not been met before, so the expression is evaluated for different numbers and not for rows.
 *
 * Integers and decimals of a small range have a table with a place for each integer: of labels where the rows' cells
 * are wanted; of how many rows there are, where the labels with most events are to be found, which needs the expression
 * for the integers that occur and nothing more. Other numbers are looked up in a hash table that forgets.
 */
#include "base/civil.h"
#include "base/hash.h"
#include "query/native/decimals.h"
#include "query/native/narrow.h"

#include <math.h>
#include <stdlib.h>

#define EXACT_MAX   9007199254740992.0  /* 2^53: below it, a double is the integer that was stored */
#define PLACES_MAX  ((uint64_t)1 << 19) /* of a table of integers */
#define PLACES_STEP ((int64_t)1 << 14)  /* its ends are multiples of this, so that it seldom grows */

struct integer_labels {
    /* place i is of the integer from + i, over 10^exponent */
    int64_t from;
    uint32_t places;
    unsigned exponent;
    uint32_t *labels; /* LABEL_UNKNOWN: not met yet */
    uint32_t *counts; /* rows that are not in worker->totals yet */
    uint32_t absent_label;
    uint64_t absent_count, counted;
    /* the vector at hand */
    struct decimals_head head;
    uint32_t offsets[VECTOR_ROWS_MAX];
    uint64_t present[SCAN_MASK_WORDS];
    struct value values[VECTOR_ROWS_MAX];
};

/* The label of one value of the column; *ret_done is false when it has none or several. */
static enum status label_value(struct worker *worker, struct value value, uint32_t *ret_label, bool *ret_done)
{
    struct survey *survey = worker->survey;
    struct error ignored = ERROR_INIT;
    struct vector input = {.kind = VECTOR_FLAT, .count = 1, .values = &value}, result;
    *ret_done = false;
    if (expr_eval(worker->on_state, &input, 1, &ignored, &result) != STATUS_OK) return STATUS_OK;
    struct value on = vector_at(&result, 0);
    if (on.type == VALUE_LIST) return STATUS_OK;
    if (labels_one(&survey->labels, &worker->list, on, ret_label) != STATUS_OK)
        return survey_out_of_memory(survey, &worker->error);
    *ret_done = true;
    return STATUS_OK;
}

/* Numbers of any kind, by a table that remembers some. */
static enum status look_up(struct worker *worker, uint32_t from, uint32_t to, const uint8_t *keep, uint32_t *labels,
                           bool *ret_done)
{
    struct survey *survey = worker->survey;
    uint32_t property = worker->open->labels.property;
    const double *numbers;
    double min, max;
    *ret_done = false;
    TRY(scan_number_range(worker->scan, property, &worker->error, &min, &max));
    if (!(min > -EXACT_MAX && max < EXACT_MAX) && min <= max) return STATUS_OK;
    if (!worker->number_labels) {
        worker->number_labels = arena_alloc(worker->arena, NUMBER_LABELS * sizeof *worker->number_labels);
        if (!worker->number_labels) return survey_out_of_memory(survey, &worker->error);
        for (size_t i = 0; i < NUMBER_LABELS; i++) worker->number_labels[i].label = LABEL_UNKNOWN;
    }
    TRY(scan_numbers(worker->scan, property, &worker->error, &numbers));
    for (uint32_t row = from; row < to; row++) {
        uint64_t bits;
        if (!keep[row]) continue;
        memcpy(&bits, &numbers[row], 8);
        struct number_label *known = &worker->number_labels[hash_u64(bits, 0) % NUMBER_LABELS];
        if (known->label == LABEL_UNKNOWN || known->bits != bits) {
            struct value value =
                isnan(numbers[row])                  ? value_absent()
                : bits == (uint64_t)1 << 63 /* -0 */ ? (struct value){.type = VALUE_DOUBLE, .number = -0.0}
                                                     : value_number(numbers[row]);
            uint32_t label;
            TRY(label_value(worker, value, &label, ret_done));
            if (!*ret_done) return STATUS_OK;
            *known = (struct number_label){bits, label};
        }
        labels[row] = known->label;
    }
    *ret_done = true;
    return STATUS_OK;
}

/* --- by integer --- */

void worker_free_number_labels(struct worker *worker)
{
    struct integer_labels *table = worker->integer_labels;
    if (!table) return;
    free(table->labels);
    free(table->counts);
    free(table);
}

/* Makes the table cover the vector's integers; false in *ret_fits when there are too many. What it counted is not
 * lost. */
static enum status cover(struct worker *worker, const struct decimals_head *head, bool *ret_fits)
{
    struct integer_labels *table = worker->integer_labels;
    bool other = table->exponent != head->exponent;
    int64_t from = head->min, to = head->max + 1, end = table->from + (int64_t)table->places;
    *ret_fits = true;
    if (!other && table->places && from >= table->from && to <= end) return STATUS_OK;
    if (!other && table->places) {
        from = from < table->from ? from : table->from;
        to = to > end ? to : end;
    }
    from = floor_div(from, PLACES_STEP) * PLACES_STEP;
    to = (floor_div(to - 1, PLACES_STEP) + 1) * PLACES_STEP;
    *ret_fits = (uint64_t)(to - from) <= PLACES_MAX;
    if (!*ret_fits) return STATUS_OK;
    if (other) TRY(worker_flush_number_labels(worker));
    size_t places = (size_t)(to - from), kept = other ? 0 : table->places;
    uint32_t *labels = malloc(places * sizeof *labels), *counts = calloc(places, sizeof *counts);
    if (!labels || !counts) {
        free(labels);
        free(counts);
        return survey_out_of_memory(worker->survey, &worker->error);
    }
    memset(labels, 0xFF, places * sizeof *labels); /* LABEL_UNKNOWN */
    if (kept) {
        memcpy(labels + (table->from - from), table->labels, kept * sizeof *labels);
        memcpy(counts + (table->from - from), table->counts, kept * sizeof *counts);
    }
    free(table->labels);
    free(table->counts);
    table->labels = labels;
    table->counts = counts;
    table->from = from;
    table->places = (uint32_t)places;
    table->exponent = head->exponent;
    return STATUS_OK;
}

/* Decodes the vector's integers; false in *ret_done when they are no such or too many. */
static enum status read_integers(struct worker *worker, bool *ret_done)
{
    uint32_t property = worker->open->labels.property;
    if (!worker->integer_labels) {
        worker->integer_labels = calloc(1, sizeof *worker->integer_labels);
        if (!worker->integer_labels) return survey_out_of_memory(worker->survey, &worker->error);
        worker->integer_labels->absent_label = LABEL_UNKNOWN;
    }
    struct integer_labels *table = worker->integer_labels;
    TRY(decimals_head(worker, property, ret_done, &table->head));
    if (*ret_done) TRY(cover(worker, &table->head, ret_done));
    if (!*ret_done) return STATUS_OK;
    TRY(scan_offsets32(worker->scan, property, &worker->error, table->offsets));
    if (!table->head.all_present) TRY(scan_presence(worker->scan, property, &worker->error, table->present));
    return STATUS_OK;
}

static bool has_integer(const struct integer_labels *table, uint32_t row)
{
    return table->head.all_present || (table->present[row / 64] >> (row % 64) & 1);
}

static uint32_t place_of(const struct integer_labels *table, uint32_t row)
{
    return (uint32_t)(table->head.min - table->from) + table->head.scale * table->offsets[row];
}

static struct value value_at(const struct integer_labels *table, uint32_t place)
{
    return value_number((double)(table->from + place) / (double)decimals_power(table->exponent));
}

/* A vector by the table of labels. */
static enum status label_integers(struct worker *worker, uint32_t from, uint32_t to, const uint8_t *keep,
                                  uint32_t *labels, bool *ret_done)
{
    struct integer_labels *table = worker->integer_labels;
    *ret_done = false;
    for (uint32_t row = from; row < to; row++) labels[row] = table->labels[place_of(table, row)];
    for (uint32_t row = from; row < to; row++) {
        if (!keep[row]) continue;
        bool present = has_integer(table, row);
        uint32_t *label = present ? &table->labels[place_of(table, row)] : &table->absent_label;
        if (*label == LABEL_UNKNOWN) {
            struct value value = present ? value_at(table, place_of(table, row)) : value_absent();
            TRY(label_value(worker, value, label, ret_done));
            if (!*ret_done) return STATUS_OK;
        }
        labels[row] = *label;
    }
    *ret_done = true;
    return STATUS_OK;
}

enum status worker_number_labels(struct worker *worker, uint32_t from, uint32_t to, const uint8_t *keep,
                                 uint32_t *labels, bool *ret_done)
{
    TRY(read_integers(worker, ret_done));
    return *ret_done ? label_integers(worker, from, to, keep, labels, ret_done)
                     : look_up(worker, from, to, keep, labels, ret_done);
}

/* --- counting --- */

enum status worker_count_number_labels(struct worker *worker, uint32_t left, bool *ret_done)
{
    const struct narrow *narrow = worker->narrow;
    *ret_done = true;
    if (left == 0) return STATUS_OK;
    TRY(read_integers(worker, ret_done));
    struct integer_labels *table = worker->integer_labels;
    if (!*ret_done) return STATUS_OK;
    if (table->counted > UINT32_MAX - VECTOR_ROWS_MAX) TRY(worker_flush_number_labels(worker));
    table->counted += left;
    if (left == worker->rows && table->head.all_present) {
        for (uint32_t row = 0; row < worker->rows; row++) table->counts[place_of(table, row)]++;
        return STATUS_OK;
    }
    for (uint32_t w = 0; w < MASK_WORDS; w++) {
        for (uint64_t bits = narrow->mask[w]; bits; bits &= bits - 1) {
            uint32_t row = w * 64 + (uint32_t)__builtin_ctzll(bits);
            bool present = has_integer(table, row);
            table->counts[place_of(table, row)] += present;
            table->absent_count += !present;
        }
    }
    return STATUS_OK;
}

static enum status add_total(struct worker *worker, uint32_t label, uint64_t rows)
{
    TRY(worker_need_totals(worker, label + 2));
    worker->totals[label + 1] += rows;
    return STATUS_OK;
}

/* Values with their rows: evaluates `on` and adds the rows to the labels. Neighbours often have the same label. */
static enum status add_totals(struct worker *worker, const struct value *values, const uint64_t *rows, uint32_t count)
{
    struct survey *survey = worker->survey;
    struct vector input = {.kind = VECTOR_FLAT, .count = count, .values = values}, result;
    struct value last = value_absent();
    bool known = false;
    enum status status = expr_eval(worker->on_state, &input, count, &worker->error, &result);
    TRY(native_expression("on", status, &worker->error));
    for (uint32_t i = 0; i < count; i++) {
        struct value value = vector_at(&result, i);
        bool same = known && value_is_number(value) && value.type == last.type && value.integer == last.integer;
        if (!same && labels_all(&survey->labels, &worker->list, value) != STATUS_OK)
            return survey_out_of_memory(survey, &worker->error);
        last = value;
        known = true;
        for (uint32_t l = 0; l < worker->list.count; l++) TRY(add_total(worker, worker->list.labels[l], rows[i]));
    }
    return STATUS_OK;
}

enum status worker_flush_number_labels(struct worker *worker)
{
    struct integer_labels *table = worker->integer_labels;
    if (!table || !table->counted) return STATUS_OK;
    uint64_t rows[VECTOR_ROWS_MAX];
    uint32_t count = 0;
    if (table->absent_count) {
        table->values[count] = value_absent();
        rows[count++] = table->absent_count;
    }
    for (uint32_t place = 0; place < table->places; place++) {
        if (table->counts[place]) {
            table->values[count] = value_at(table, place);
            rows[count++] = table->counts[place];
            table->counts[place] = 0;
        }
        if (count == VECTOR_ROWS_MAX || (count && place + 1 == table->places)) {
            TRY(add_totals(worker, table->values, rows, count));
            count = 0;
        }
    }
    table->counted = table->absent_count = 0;
    return STATUS_OK;
}
