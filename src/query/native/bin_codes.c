/*
 * Ranges of numbers as codes, so that they are counted like the entries of a dictionary: code 0 has no range, code i +
 * 1 is that of range i, and one more code is of numbers above all ranges (those of rows that do not count).
 *
 * A column of integers or decimals is not turned into numbers: an edge is an integer of the column, found once for a
 * run, and within a vector an offset. Only edges between the vector's least and greatest integer need to be looked at,
 * and a row's code is how many of them are at or below it: a loop over the rows for each edge, without a branch. With
 * very many edges, and for other numbers, each row's range is looked up.
 */
#include "query/native/narrow.h"
#include "query/native/number_kernels.h"

#include <math.h>
#include <stdlib.h>

#define CODES_MAX UINT16_MAX
#define STEPS_MAX 48 /* more loops over the rows cost more than looking up */

struct bin_codes {
    const struct bound *bound; /* the run that `from` is of */
    bool integers;
    double divisor;
    int64_t *from;       /* by edge: the least integer at or above it */
    uint32_t edge_count; /* the others have none */
    uint16_t offsets16[VECTOR_ROWS_MAX];
    uint32_t offsets32[VECTOR_ROWS_MAX];
};

bool bin_codes_fit(const struct survey *survey)
{
    return survey->labels.bins && survey->labels.bins->count + 2 <= CODES_MAX && expr_keeps_numbers(survey->on);
}

enum status bin_codes_bind(struct survey *survey, struct arena *arena, struct bound_labels *labels)
{
    uint32_t count = survey->labels.bins->count;
    uint32_t *table = arena_new_array(arena, uint32_t, (size_t)count + 2);
    if (!table) return STATUS_LIMIT;
    table[0] = table[count + 1] = LABEL_NONE;
    for (uint32_t i = 0; i < count; i++) table[i + 1] = i;
    labels->form = SOURCE_TABLE;
    labels->binned = true;
    labels->labels = table;
    labels->code_count = count + 2;
    return STATUS_OK;
}

static void find_integers(struct bin_codes *own, const struct bins *bins)
{
    own->edge_count = 0;
    for (uint32_t i = 0; i <= bins->count; i++) {
        struct expr_term term = {.comparison = EXPR_GREATER_EQUAL, .bound = bins->edges[i]};
        struct narrow_range range = narrow_range_of(&term, own->divisor);
        if (range.empty) return; /* numbers grow with their integers: nor have those behind it */
        own->from[own->edge_count++] = range.low;
    }
}

static enum status open(struct worker *worker, const struct bound *bound)
{
    const struct bins *bins = worker->survey->labels.bins;
    struct bin_codes *own = worker->bin_codes;
    if (!own) {
        own = worker->bin_codes = calloc(1, sizeof *own);
        if (!own) return survey_out_of_memory(worker->survey, &worker->error);
        own->from = malloc(((size_t)bins->count + 1) * sizeof *own->from);
        if (!own->from) return survey_out_of_memory(worker->survey, &worker->error);
    }
    if (own->bound == bound) return STATUS_OK;
    own->integers = scan_has_integers(worker->scan, bound->labels.property, &own->divisor);
    if (own->integers) find_integers(own, bins);
    own->bound = bound;
    return STATUS_OK;
}

void bin_codes_free(struct worker *worker)
{
    if (worker->bin_codes) free(worker->bin_codes->from);
    free(worker->bin_codes);
}

static uint16_t code_of(const struct bins *bins, double number)
{
    if (isnan(number) || number < bins->edges[0]) return 0;
    uint32_t bin = bins_find(bins, number);
    return (uint16_t)(bin == BIN_NONE ? bins->count + 1 : bin + 1);
}

static enum status look_up(struct worker *worker, uint16_t *codes)
{
    const double *numbers;
    TRY(scan_numbers(worker->scan, worker->open->labels.property, &worker->error, &numbers));
    for (uint32_t i = 0; i < worker->rows; i++) codes[i] = code_of(worker->survey->labels.bins, numbers[i]);
    return STATUS_OK;
}

/* The edges that the vector's integers lie on both sides of, as offsets; *ret_below is how many lie below all. */
static uint32_t find_steps(const struct bin_codes *own, const struct scan_integers *integers, uint32_t steps[STEPS_MAX],
                           uint32_t *ret_below)
{
    uint32_t below = 0, count = 0, edge_count = own->edge_count;
    while (below < edge_count && own->from[below] <= integers->min) below++;
    *ret_below = below;
    for (uint32_t i = below; i < edge_count && own->from[i] <= integers->max && count <= STEPS_MAX; i++) {
        uint64_t distance = (uint64_t)own->from[i] - (uint64_t)integers->min;
        if (count < STEPS_MAX) steps[count] = (uint32_t)((distance + integers->scale - 1) / integers->scale);
        count++;
    }
    return count;
}

static enum status worker_bin_codes(struct worker *worker, uint16_t codes[VECTOR_ROWS_MAX])
{
    const struct bound *bound = worker->open;
    const struct number_kernels *kernels = CPU_SELECT(number_kernels);
    uint32_t property = bound->labels.property, steps[STEPS_MAX], below, rows = worker->rows;
    struct scan_integers integers;
    TRY(open(worker, bound));
    struct bin_codes *own = worker->bin_codes;
    if (rows < VECTOR_ROWS_MAX) memset(codes + rows, 0, (VECTOR_ROWS_MAX - rows) * sizeof *codes);
    if (!own->integers) return look_up(worker, codes);
    TRY(scan_integers(worker->scan, property, &worker->error, &integers));
    if (integers.width > 32) return look_up(worker, codes);
    uint32_t count = find_steps(own, &integers, steps, &below);
    if (count > STEPS_MAX) return look_up(worker, codes);
    if (count && integers.width <= 16) {
        uint16_t narrow[STEPS_MAX];
        for (uint32_t i = 0; i < count; i++) narrow[i] = (uint16_t)steps[i]; /* at or below the greatest offset */
        TRY(scan_offsets16(worker->scan, property, &worker->error, own->offsets16));
        kernels->steps16(own->offsets16, rows, narrow, count, (uint16_t)below, codes);
    } else if (count) {
        TRY(scan_offsets32(worker->scan, property, &worker->error, own->offsets32));
        kernels->steps32(own->offsets32, rows, steps, count, (uint16_t)below, codes);
    } else {
        for (uint32_t i = 0; i < rows; i++) codes[i] = (uint16_t)below;
    }
    if (integers.all_present) return STATUS_OK;
    uint64_t present[SCAN_MASK_WORDS];
    TRY(scan_presence(worker->scan, property, &worker->error, present));
    for (uint32_t i = 0; i < rows; i++) codes[i] = (uint16_t)(codes[i] & -(uint16_t)(present[i / 64] >> (i % 64) & 1));
    return STATUS_OK;
}

/* --- the codes of labels, whatever they are of --- */

enum status worker_label_codes(struct worker *worker, const struct bound_labels *labels, const uint32_t **ret_codes)
{
    if (!labels->binned && !labels->paired) return worker_codes(worker, labels->property, labels->profile, ret_codes);
    uint16_t codes[VECTOR_ROWS_MAX];
    TRY(worker_label_codes16(worker, labels, codes));
    for (uint32_t i = 0; i < worker->rows; i++) worker->profile_codes[i] = codes[i];
    *ret_codes = worker->profile_codes;
    return STATUS_OK;
}

enum status worker_label_codes16(struct worker *worker, const struct bound_labels *labels,
                                 uint16_t ret_codes[VECTOR_ROWS_MAX])
{
    if (labels->binned) return worker_bin_codes(worker, ret_codes);
    if (labels->paired) return worker_pair_codes(worker, labels, ret_codes);
    return worker_codes16(worker, labels->property, labels->profile, labels->code_count, ret_codes);
}
