/*
 * Rows that count, and their cells, in 16 bits.
 *
 * Terms narrow a mask down, one bit a row. A comparison of a number is one of stored integers: integer / divisor grows
 * with the integer, rounding included, so the integers that compare so are a range, found once for a run; inside a
 * vector it is one of offsets, and the vector's own range often says that all or none of its rows count. A term over a
 * dictionary looks codes up. What cannot be done like this is done as in cells.c, in bytes, and turned into bits.
 *
 * Buckets come from minutes. All edges lie on a grid of some unit (a day, an hour, a quarter), so a minute is divided
 * by the unit first, and what is looked up is small.
 *
 * Counting is into 16-bit tables, which stay in the nearest cache; they are emptied before they can overflow.
 */
#include "query/native/narrow.h"

#include "base/civil.h"

#include <math.h>
#include <stdlib.h>

#define NONE_MAX       32767u             /* the sum of two cells fits 16 bits */
#define MINUTES_MAX    ((int64_t)1 << 21) /* of a section: mask_kernels.h */
#define TABLE_ROWS_MAX (VECTOR_ROWS_MAX / COUNT_TABLES)
#define VECTORS_MAX    (UINT16_MAX / TABLE_ROWS_MAX)

/* --- opening a run --- */

static enum status grow(struct worker *worker, uint16_t **table, uint32_t *capacity, uint32_t count)
{
    if (count + LOOKUP_PAD <= *capacity) return STATUS_OK;
    uint16_t *grown = realloc(*table, (count + LOOKUP_PAD) * sizeof *grown);
    if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
    *table = grown;
    *capacity = count + LOOKUP_PAD;
    return STATUS_OK;
}

/* The grid on which all edges lie, and where a section's minutes stand on it. All are minutes, absolute ones but for
 * `unit`, and how many units. */
struct grid {
    int64_t window, first, last, from, unit, count;
};

static bool make_grid(const struct survey *survey, const struct bound *bound, struct grid *ret)
{
    const struct scan_run *run = &bound->run;
    struct grid grid = {.window = floor_div(run->window_ms, 60000),
                        .first = floor_div(run->section_min_ms, 60000),
                        .last = floor_div(run->section_max_ms, 60000)};
    if (!survey->whole_minutes || grid.first < grid.window || grid.last - grid.first >= MINUTES_MAX ||
        grid.last - grid.window > UINT32_MAX)
        return false;
    int64_t edge = survey->edges[0].from_ms / 60000;
    grid.unit = (int64_t)survey->edge_unit;
    grid.from = edge + floor_div(grid.first - edge, grid.unit) * grid.unit;
    grid.count = (grid.last - grid.from) / grid.unit + 1;
    *ret = grid;
    return grid.count <= UINT16_MAX;
}

/* The table unit -> cell of a section. */
static enum status make_units(struct worker *worker, const struct grid *grid)
{
    const struct survey *survey = worker->survey;
    struct narrow *narrow = worker->narrow;
    TRY(grow(worker, &narrow->unit_cells, &narrow->unit_capacity, (uint32_t)grid->count));
    size_t at = SIZE_MAX;
    for (int64_t i = 0; i < grid->count; i++) {
        int64_t time_ms = (grid->from + i * grid->unit) * 60000;
        while (at + 1 < survey->edge_count && survey->edges[at + 1].from_ms <= time_ms) at++;
        uint32_t bucket = at == SIZE_MAX ? BUCKET_NONE : survey->edges[at].bucket;
        narrow->unit_cells[i] = bucket == BUCKET_NONE          ? narrow->none
                                : narrow->kind == NARROW_CELLS ? (uint16_t)bucket
                                                               : 0;
    }
    narrow->minute_from = (uint32_t)(grid->first - grid->window);
    narrow->minute_last = (uint32_t)(grid->last - grid->window);
    narrow->units_from = (uint32_t)(grid->first - grid->from); /* of the first minute, in its unit */
    narrow->unit = (uint32_t)grid->unit;
    narrow->unit_count = (uint32_t)grid->count;
    return STATUS_OK;
}

/* The least integer of which the number is at least `bound`, or above it; INT64_MAX with *ret_none when there is none.
 * Numbers grow with their integers. */
static int64_t first_integer(double divisor, double bound, bool above, bool *ret_none)
{
    int64_t low = INT64_MIN, high = INT64_MAX;
    while (low < high) {
        int64_t middle = (low & high) + ((low ^ high) >> 1); /* rounded down, and never over the edge */
        double number = (double)middle / divisor;
        if (above ? number > bound : number >= bound)
            high = middle;
        else
            low = middle + 1;
    }
    double number = (double)low / divisor;
    *ret_none = !(above ? number > bound : number >= bound);
    return low;
}

struct narrow_range narrow_range_of(const struct expr_term *term, double divisor)
{
    struct narrow_range range = {.integers = true, .low = INT64_MIN, .high = INT64_MAX};
    enum expr_comparison comparison = term->comparison;
    bool from_none, to_none;
    if (isnan(term->bound)) {
        range.empty = true;
        return range;
    }
    int64_t from = first_integer(divisor, term->bound, comparison == EXPR_GREATER, &from_none);
    int64_t to = first_integer(divisor, term->bound, comparison != EXPR_LESS, &to_none);
    if (comparison == EXPR_GREATER || comparison == EXPR_GREATER_EQUAL || comparison == EXPR_EQUAL) {
        range.low = from;
        range.empty = from_none;
    }
    if (comparison == EXPR_LESS || comparison == EXPR_LESS_EQUAL || comparison == EXPR_EQUAL) {
        if (!to_none && to == INT64_MIN)
            range.empty = true;
        else if (!to_none)
            range.high = to - 1;
    }
    range.empty |= range.low > range.high;
    return range;
}

static enum status open_terms(struct worker *worker, const struct bound *bound)
{
    const struct survey *survey = worker->survey;
    struct narrow *narrow = worker->narrow;
    for (size_t t = 0; t < survey->term_count; t++) {
        double divisor;
        narrow->ranges[t].integers = false;
        if (bound->terms[t].form == TERM_COMPARE && scan_has_integers(worker->scan, bound->terms[t].property, &divisor))
            narrow->ranges[t] = narrow_range_of(&survey->terms[t], divisor);
    }
    return STATUS_OK;
}

static enum status open_labels(struct worker *worker, const struct bound *bound)
{
    const struct survey *survey = worker->survey;
    const struct bound_labels *labels = &bound->labels;
    struct narrow *narrow = worker->narrow;
    if (narrow->kind == NARROW_CODES || labels->form == SOURCE_NONE) return STATUS_OK;
    bool one = labels->form == SOURCE_ONE;
    uint32_t count = one ? 1 : labels->code_count;
    TRY(grow(worker, &narrow->code_cells, &narrow->code_capacity, count));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t label = one ? labels->label : labels->labels[i], slot = survey->slots ? survey->slots[label] : label;
        narrow->code_cells[i] = slot < survey->slot_count ? (uint16_t)(slot * survey->bucket_count) : narrow->none;
    }
    return STATUS_OK;
}

static enum status make_narrow(struct worker *worker)
{
    struct narrow *narrow = aligned_alloc(64, (sizeof *narrow + 63) / 64 * 64);
    if (!narrow) return survey_out_of_memory(worker->survey, &worker->error);
    memset(narrow, 0, sizeof *narrow);
    worker->narrow = narrow;
    narrow->kernels = CPU_SELECT(mask_kernels);
    narrow->ranges = arena_new_array(worker->arena, struct narrow_range, worker->survey->term_count + 1);
    return narrow->ranges ? STATUS_OK : survey_out_of_memory(worker->survey, &worker->error);
}

void narrow_free(struct worker *worker)
{
    struct narrow *narrow = worker->narrow;
    if (!narrow) return;
    free(narrow->unit_cells);
    free(narrow->code_cells);
    free(narrow->tables);
    free(narrow);
}

static bool needs_times(const struct bound *bound, enum narrow_kind kind)
{
    return !bound->one_bucket && (kind == NARROW_CELLS || !bound->in_range);
}

/* What does not count, behind all that does. */
static uint32_t none_of(const struct survey *survey, const struct bound *bound, enum narrow_kind kind)
{
    if (kind == NARROW_CELLS) return survey->cell_count;
    return bound->labels.form == SOURCE_TABLE ? bound->labels.code_count : 1;
}

bool narrow_fits(const struct survey *survey, const struct bound *bound, enum narrow_kind kind)
{
    const struct bound_labels *labels = &bound->labels;
    struct grid grid;
    bool numbers = labels->form == SOURCE_NUMBERS && kind == NARROW_CODES; /* see number_labels.c */
    if (labels->form != SOURCE_NONE && labels->form != SOURCE_ONE && labels->form != SOURCE_TABLE && !numbers)
        return false;
    if (labels->form == SOURCE_TABLE && labels->code_count > NONE_MAX) return false;
    if (none_of(survey, bound, kind) > NONE_MAX) return false;
    return !needs_times(bound, kind) || make_grid(survey, bound, &grid);
}

enum status narrow_open(struct worker *worker, const struct bound *bound, enum narrow_kind kind, bool *ret_usable)
{
    if (!worker->narrow) TRY(make_narrow(worker));
    struct narrow *narrow = worker->narrow;
    *ret_usable = true;
    if (narrow->bound == bound && narrow->kind == kind && worker->open == bound) return STATUS_OK;
    *ret_usable = narrow_fits(worker->survey, bound, kind);
    if (!*ret_usable) return STATUS_OK;
    if (narrow->bound && (narrow->kind == NARROW_CODES || narrow->kind != kind)) TRY(narrow_flush(worker));
    narrow->bound = NULL;
    TRY(worker_open_run(worker, bound));
    narrow->kind = kind;
    narrow->none = (uint16_t)none_of(worker->survey, bound, kind);
    struct grid grid;
    if (needs_times(bound, kind) && make_grid(worker->survey, bound, &grid)) TRY(make_units(worker, &grid));
    TRY(open_terms(worker, bound));
    TRY(open_labels(worker, bound));
    narrow->bound = bound;
    return STATUS_OK;
}

/* --- a vector --- */

static uint32_t bits_left(const struct narrow *narrow)
{
    uint32_t left = 0;
    for (uint32_t w = 0; w < MASK_WORDS; w++) left += (uint32_t)__builtin_popcountll(narrow->mask[w]);
    return left;
}

static enum status read_buckets(struct worker *worker)
{
    struct narrow *narrow = worker->narrow;
    const struct mask_kernels *kernels = narrow->kernels;
    struct scan_integers minutes;
    TRY(scan_integers(worker->scan, SCAN_MINUTES, &worker->error, &minutes));
    if (minutes.min < narrow->minute_from || minutes.max > narrow->minute_last)
        return error_set(&worker->error, STATUS_CORRUPT, "a time lies outside its section");
    uint32_t add = (uint32_t)minutes.min - narrow->minute_from + narrow->units_from;
    float inverse = 1.0f / (float)narrow->unit;
    uint16_t *units = narrow->buckets;
    if (minutes.width <= 16) {
        TRY(scan_offsets16(worker->scan, SCAN_MINUTES, &worker->error, narrow->narrow_offsets));
        kernels->units16(narrow->narrow_offsets, worker->rows, minutes.scale, add, inverse, units);
    } else {
        TRY(scan_offsets32(worker->scan, SCAN_MINUTES, &worker->error, narrow->wide_offsets));
        kernels->units32(narrow->wide_offsets, worker->rows, minutes.scale, add, inverse, units);
    }
    kernels->lookup(units, worker->rows, narrow->unit_cells, narrow->unit_count, narrow->buckets);
    return STATUS_OK;
}

/* A comparison of integers; *ret_done is false when their offsets take more than 32 bits. */
static enum status keep_integers(struct worker *worker, size_t term, bool *ret_done)
{
    struct narrow *narrow = worker->narrow;
    const struct narrow_range *range = &narrow->ranges[term];
    uint32_t property = worker->open->terms[term].property;
    struct scan_integers integers;
    TRY(scan_integers(worker->scan, property, &worker->error, &integers));
    *ret_done = true;
    if (range->empty || range->low > integers.max || range->high < integers.min) {
        memset(narrow->mask, 0, sizeof narrow->mask);
        return STATUS_OK;
    }
    if (!integers.all_present) {
        uint64_t present[SCAN_MASK_WORDS];
        TRY(scan_presence(worker->scan, property, &worker->error, present));
        for (uint32_t w = 0; w < MASK_WORDS; w++) narrow->mask[w] &= present[w];
    }
    if (range->low <= integers.min && range->high >= integers.max) return STATUS_OK;
    uint64_t scale = integers.scale, min = (uint64_t)integers.min;
    uint64_t low = range->low <= integers.min ? 0 : ((uint64_t)range->low - min + scale - 1) / scale;
    uint64_t high = ((uint64_t)(range->high < integers.max ? range->high : integers.max) - min) / scale;
    if (low > high) {
        memset(narrow->mask, 0, sizeof narrow->mask);
    } else if (integers.width <= 16) {
        TRY(scan_offsets16(worker->scan, property, &worker->error, narrow->narrow_offsets));
        narrow->kernels->between16(narrow->narrow_offsets, worker->rows, (uint16_t)low, (uint16_t)(high - low),
                                   narrow->mask);
    } else if (integers.width <= 32) {
        TRY(scan_offsets32(worker->scan, property, &worker->error, narrow->wide_offsets));
        narrow->kernels->between32(narrow->wide_offsets, worker->rows, (uint32_t)low, (uint32_t)(high - low),
                                   narrow->mask);
    } else {
        *ret_done = false;
    }
    return STATUS_OK;
}

static enum status keep_term(struct worker *worker, size_t term, uint32_t from, uint32_t to)
{
    struct narrow *narrow = worker->narrow;
    const struct bound_term *bound = &worker->open->terms[term];
    if (bound->form == TERM_TABLE && bound->code_count <= UINT16_MAX) {
        TRY(worker_codes16(worker, bound->property, bound->profile, bound->code_count, narrow->codes));
        narrow->kernels->keep_codes(narrow->codes, worker->rows, bound->keep, narrow->mask);
        return STATUS_OK;
    }
    bool done = false;
    if (bound->form == TERM_COMPARE && narrow->ranges[term].integers) TRY(keep_integers(worker, term, &done));
    if (done) return STATUS_OK;
    narrow->kernels->to_rows(narrow->mask, narrow->keep);
    TRY(worker_apply_term(worker, term, from, to, narrow->keep));
    narrow->kernels->keep_rows(narrow->keep, worker->rows, narrow->mask);
    return STATUS_OK;
}

static void keep_between(uint64_t *mask, uint32_t from, uint32_t to)
{
    for (uint32_t w = 0; w < MASK_WORDS; w++) {
        uint32_t first = w * 64, low = from > first ? from - first : 0, high = to > first ? to - first : 0;
        uint64_t above = low < 64 ? UINT64_MAX << low : 0, below = high < 64 ? ((uint64_t)1 << high) - 1 : UINT64_MAX;
        mask[w] = above & below;
    }
}

/* The cells of labels alone, if there are any, else *ret_cells is NULL; `to` is room for them. */
static enum status read_labels(struct worker *worker, uint16_t *to, const uint16_t **ret_cells)
{
    struct narrow *narrow = worker->narrow;
    const struct bound_labels *labels = &worker->open->labels;
    *ret_cells = NULL;
    if (labels->form != SOURCE_TABLE) return STATUS_OK;
    bool codes = narrow->kind == NARROW_CODES;
    TRY(worker_label_codes16(worker, labels, codes ? to : narrow->codes));
    if (!codes) narrow->kernels->lookup(narrow->codes, worker->rows, narrow->code_cells, labels->code_count, to);
    *ret_cells = to;
    return STATUS_OK;
}

enum status narrow_vector(struct worker *worker, uint32_t vector, uint32_t from, uint32_t to, uint32_t *ret_left)
{
    const struct survey *survey = worker->survey;
    const struct bound *bound = worker->open;
    struct narrow *narrow = worker->narrow;
    const struct mask_kernels *kernels = narrow->kernels;
    bool times = needs_times(bound, narrow->kind), have_times = false;
    uint32_t left = to - from;
    *ret_left = 0;
    worker->vector = vector;
    TRY(scan_vector(worker->scan, vector, &worker->error, &worker->rows));
    keep_between(narrow->mask, from, to);
    if (!bound->in_range && times) {
        TRY(read_buckets(worker));
        have_times = true;
        kernels->below(narrow->buckets, worker->rows, narrow->none, narrow->mask);
        left = bits_left(narrow);
    }
    if (bound->run.deleted && left) {
        const uint8_t *live;
        TRY(scan_live(worker->scan, &worker->error, &live));
        kernels->keep_rows(live, worker->rows, narrow->mask);
        left = bits_left(narrow);
    }
    for (size_t t = 0; t < survey->term_count && left; t++) {
        if (bound->terms[t].form == TERM_ALWAYS) continue;
        TRY(keep_term(worker, t, from, to));
        left = bits_left(narrow);
    }
    if (left == 0) return STATUS_OK;
    if (times && !have_times) TRY(read_buckets(worker));
    const uint16_t *labels;
    TRY(read_labels(worker, narrow->cells, &labels));
    uint16_t first = 0;
    if (narrow->kind == NARROW_CELLS) {
        if (bound->labels.form == SOURCE_ONE) first = narrow->code_cells[0];
        if (bound->one_bucket && first < narrow->none) first = (uint16_t)(first + bound->bucket);
        if (first == narrow->none) return STATUS_OK; /* the label of all rows is not asked for */
    }
    if (times && narrow->kind == NARROW_CELLS && labels) {
        kernels->add(labels, narrow->buckets, worker->rows, narrow->none, narrow->cells);
    } else if (labels && first == 0) {
        /* they are the cells */
    } else {
        for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++) narrow->codes[i] = first;
        if (labels || (times && narrow->kind == NARROW_CELLS))
            kernels->add(labels ? labels : narrow->buckets, narrow->codes, worker->rows, narrow->none, narrow->cells);
        else
            memcpy(narrow->cells, narrow->codes, sizeof narrow->codes);
    }
    *ret_left = left;
    return STATUS_OK;
}

/* --- counting --- */

enum status narrow_count(struct worker *worker, uint32_t left)
{
    struct narrow *narrow = worker->narrow;
    uint32_t stride = narrow->none + 1u;
    if (left == 0) return STATUS_OK;
    if (narrow->vectors == VECTORS_MAX) TRY(narrow_flush(worker));
    if (narrow->vectors == 0) {
        size_t bytes = (size_t)stride * COUNT_TABLES * sizeof *narrow->tables;
        if (bytes > narrow->table_capacity) {
            free(narrow->tables);
            narrow->table_capacity = 0;
            narrow->tables = malloc(bytes);
            if (!narrow->tables) return survey_out_of_memory(worker->survey, &worker->error);
            narrow->table_capacity = bytes;
        }
        memset(narrow->tables, 0, bytes);
        narrow->stride = stride;
    }
    narrow->vectors++;
    if (left * 3 < worker->rows) {
        narrow->kernels->count_kept(narrow->cells, narrow->mask, narrow->tables, stride);
        return STATUS_OK;
    }
    if (left < worker->rows) narrow->kernels->hide(narrow->mask, worker->rows, narrow->none, narrow->cells);
    narrow->kernels->count(narrow->cells, worker->rows, narrow->tables, stride);
    return STATUS_OK;
}

enum status narrow_flush(struct worker *worker)
{
    struct narrow *narrow = worker->narrow;
    if (!narrow || narrow->vectors == 0) return STATUS_OK;
    const struct bound_labels *labels = &narrow->bound->labels;
    const uint16_t *table = narrow->tables;
    narrow->vectors = 0;
    for (uint32_t c = 0, stride = narrow->stride; c + 1 < stride; c++) {
        uint32_t rows = (uint32_t)table[c] + table[stride + c] + table[2 * stride + c] + table[3 * stride + c];
        if (narrow->kind == NARROW_CELLS) {
            worker->counts[c] += rows;
        } else if (rows) {
            uint32_t label = labels->form == SOURCE_ONE ? labels->label : labels->labels[c];
            TRY(worker_need_totals(worker, label + 2));
            worker->totals[label + 1] += rows;
        }
    }
    return STATUS_OK;
}
