/*
 * Labels of two expressions at once. Which labels of either are answered is found first, by a segmentation of each
 * without time; then both lists are known, a pair has a slot of its own, and rows are counted into pairs. All three
 * look at the same snapshot.
 *
 * Where a run's dictionaries decide both expressions, two codes make one, and a table says which pair that is; so such
 * runs are read like those of one dictionary. Codes that would be too many are made labels first. Others are read row
 * by row.
 */
#include "query/native/mask_kernels.h"
#include "query/native/survey.h"

#include <stdlib.h>

/* --- by code --- */

#define CODES_MAX 32767 /* narrow.c takes no more */

static uint32_t codes_of(const struct bound_labels *side)
{
    return side->form == SOURCE_ONE ? 1 : side->folded ? side->folded_count : side->code_count;
}

static uint32_t label_at(const struct bound_labels *side, uint32_t code)
{
    return side->form == SOURCE_ONE ? side->label : side->folded ? code : side->labels[code];
}

/* LABEL_NONE is above all others. */
static uint32_t pair_of(const struct survey *survey, uint32_t outer, uint32_t inner)
{
    if (outer >= survey->labels.count || inner >= survey->by_labels.count) return LABEL_NONE;
    return outer * survey->by_labels.count + inner;
}

/* A dictionary may have thousands of values of which few are labels. */
static enum status fold(struct arena *arena, uint32_t label_count, struct bound_labels *side)
{
    if (side->form != SOURCE_TABLE || side->code_count > UINT16_MAX || side->code_count <= label_count + 1)
        return STATUS_OK;
    uint16_t *table = arena_calloc(arena, side->code_count + LOOKUP_PAD, sizeof *table);
    if (!table) return STATUS_LIMIT;
    for (uint32_t i = 0; i < side->code_count; i++)
        table[i] = (uint16_t)(side->labels[i] < label_count ? side->labels[i] : label_count);
    side->folded = table;
    side->folded_count = label_count + 1;
    return STATUS_OK;
}

static bool fit(const struct bound_labels sides[2])
{
    return (uint64_t)codes_of(&sides[0]) * codes_of(&sides[1]) <= CODES_MAX;
}

enum status crossed_bind(const struct survey *survey, struct arena *arena, struct bound *bound)
{
    struct bound_labels *outer = &bound->sides[0], *inner = &bound->sides[1];
    bound->labels = (struct bound_labels){.form = SOURCE_PAIR};
    if (outer->form > SOURCE_TABLE || inner->form > SOURCE_TABLE) return STATUS_OK;
    if (outer->form == SOURCE_ONE && inner->form == SOURCE_ONE) {
        bound->labels.form = SOURCE_ONE;
        bound->labels.label = pair_of(survey, outer->label, inner->label);
        return STATUS_OK;
    }
    if (!fit(bound->sides)) {
        TRY(fold(arena, survey->labels.count, outer));
        TRY(fold(arena, survey->by_labels.count, inner));
        if (!fit(bound->sides)) return STATUS_OK;
    }
    uint32_t count = codes_of(outer) * codes_of(inner);
    uint32_t *table = arena_alloc(arena, count * sizeof *table);
    if (!table) return STATUS_LIMIT;
    for (uint32_t o = 0, at = 0; o < codes_of(outer); o++) {
        for (uint32_t i = 0; i < codes_of(inner); i++)
            table[at++] = pair_of(survey, label_at(outer, o), label_at(inner, i));
    }
    bound->labels =
        (struct bound_labels){.form = SOURCE_TABLE, .paired = bound->sides, .labels = table, .code_count = count};
    return STATUS_OK;
}

static enum status read_codes(struct worker *worker, const struct bound_labels *side, uint16_t codes[VECTOR_ROWS_MAX])
{
    if (side->form != SOURCE_TABLE) {
        memset(codes, 0, VECTOR_ROWS_MAX * sizeof *codes);
        return STATUS_OK;
    }
    TRY(worker_codes16(worker, side->property, side->profile, side->code_count, codes));
    if (side->folded) CPU_SELECT(mask_kernels)->lookup(codes, worker->rows, side->folded, side->code_count, codes);
    return STATUS_OK;
}

enum status worker_pair_codes(struct worker *worker, const struct bound_labels *labels,
                              uint16_t ret_codes[VECTOR_ROWS_MAX])
{
    const struct bound_labels *sides = labels->paired;
    uint16_t inner[VECTOR_ROWS_MAX], count = (uint16_t)codes_of(&sides[1]);
    TRY(read_codes(worker, &sides[0], ret_codes));
    TRY(read_codes(worker, &sides[1], inner));
    for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++) ret_codes[i] = (uint16_t)(ret_codes[i] * count + inner[i]);
    return STATUS_OK;
}

/* --- row by row --- */

/* One of the two expressions in the vector at hand. */
struct side {
    const struct bound_labels *labels;
    struct labels *all;
    struct label_list *list; /* ROWS: the labels of the last row */
    struct vector values;
    uint32_t codes[VECTOR_ROWS_MAX]; /* a copy: the other expression's are read into the same place */
};

static enum status read_side(struct worker *worker, struct side *side, struct expr_state *state,
                             struct columns *columns, const char *parameter, const uint8_t *keep)
{
    const struct bound_labels *labels = side->labels;
    const struct vector *vectors;
    if (labels->form == SOURCE_ONE) return STATUS_OK;
    if (labels->form == SOURCE_TABLE) {
        const uint32_t *codes;
        TRY(worker_codes(worker, labels->property, labels->profile, &codes));
        memcpy(side->codes, codes, worker->rows * sizeof *codes);
        return STATUS_OK;
    }
    TRY(columns_read(columns, worker->scan, worker->open->run.event_id, worker->rows, &worker->error, &vectors));
    enum status status = expr_eval_kept(state, vectors, worker->rows, keep, &worker->error, &side->values);
    return native_expression(parameter, status, &worker->error);
}

/* The labels of a row, of which the first one is in *one when there is one at most. */
static enum status labels_of(struct worker *worker, struct side *side, uint32_t row, uint32_t *one,
                             const uint32_t **ret_labels, uint32_t *ret_count)
{
    const struct bound_labels *labels = side->labels;
    *ret_labels = one;
    *ret_count = 1;
    if (labels->form == SOURCE_ONE) {
        *one = labels->label;
    } else if (labels->form == SOURCE_TABLE) {
        *one = labels->labels[side->codes[row]];
    } else {
        if (labels_all(side->all, side->list, vector_at(&side->values, row)) != STATUS_OK)
            return survey_out_of_memory(worker->survey, &worker->error);
        *ret_labels = side->list->labels;
        *ret_count = side->list->count;
    }
    return STATUS_OK;
}

static uint32_t pair_cell(const struct survey *survey, uint32_t outer, uint32_t inner, uint32_t bucket)
{
    uint32_t pair = pair_of(survey, outer, inner);
    return pair == LABEL_NONE ? survey->cell_count : pair * survey->bucket_count + bucket;
}

static enum status cross_lists(struct worker *worker, struct side sides[2], uint32_t from, uint32_t to,
                               const uint32_t *buckets, const uint8_t *keep, cells_fn each)
{
    uint32_t count = 0, one[2];
    for (uint32_t row = from; row < to; row++) {
        const uint32_t *outer, *inner;
        uint32_t outer_count, inner_count;
        if (!keep[row]) continue;
        TRY(labels_of(worker, &sides[0], row, &one[0], &outer, &outer_count));
        TRY(labels_of(worker, &sides[1], row, &one[1], &inner, &inner_count));
        for (uint32_t i = 0; i < outer_count * inner_count; i++) {
            worker->cell_rows[count] = (uint16_t)row;
            worker->cells[count++] =
                pair_cell(worker->survey, outer[i / inner_count], inner[i % inner_count], buckets[row]);
            if (count < VECTOR_ROWS_MAX) continue;
            TRY(each(worker, worker->cell_rows, worker->cells, 0, count));
            count = 0;
        }
    }
    return count ? each(worker, worker->cell_rows, worker->cells, 0, count) : STATUS_OK;
}

enum status worker_cross(struct worker *worker, uint32_t from, uint32_t to, const uint32_t *buckets,
                         const uint8_t *keep, cells_fn each)
{
    struct survey *survey = worker->survey;
    const struct bound_labels *of = worker->open->sides;
    struct side sides[2];
    sides[0].labels = &of[0];
    sides[0].all = &survey->labels;
    sides[0].list = &worker->list;
    sides[1].labels = &of[1];
    sides[1].all = &survey->by_labels;
    sides[1].list = &worker->by_list;
    TRY(read_side(worker, &sides[0], worker->on_state, worker->on_columns, "on", keep));
    TRY(read_side(worker, &sides[1], worker->by_state, worker->by_columns, "by", keep));
    return cross_lists(worker, sides, from, to, buckets, keep, each);
}

/* --- the whole --- */

/* The top labels of one expression, in the answer's arena. */
static enum status find_top(struct native *native, struct snapshot *snapshot, const struct plan *plan, struct str on,
                            const struct plan_limits *limits, struct error *error, struct segmentation *ret_top)
{
    struct plan totals = *plan;
    totals.unit = UNIT_RANGE;
    totals.measure = MEASURE_COUNT;
    totals.on = on;
    totals.by = STR_NULL;
    return survey_run(native, snapshot, &totals, limits, NULL, error, ret_top, NULL);
}

static const struct str *texts_of(const struct segmentation *top)
{
    struct str *texts = arena_new_array(top->arena, struct str, (size_t)top->series_count + 1);
    for (uint32_t i = 0; texts && i < top->series_count; i++) texts[i] = top->series[i].label;
    return texts;
}

/* A mistake in `by` is one of `by`, also where it stands for `on`. */
static enum status rename_parameter(enum status status, struct error *error)
{
    if (status != STATUS_OK && strncmp(error->primary, "on: ", 4) == 0) memcpy(error->primary, "by", 2);
    return status;
}

enum status survey_run_crossed(struct native *native, struct snapshot *snapshot, const struct plan *plan,
                               const struct plan_limits *limits, struct error *error, struct segmentation *ret_result)
{
    struct segmentation outer, inner, result;
    TRY(find_top(native, snapshot, plan, plan->on, limits, error, &outer));
    enum status status = find_top(native, snapshot, plan, plan->by, limits, error, &inner);
    if (status != STATUS_OK) {
        segmentation_free(&outer);
        return rename_parameter(status, error);
    }
    struct fixed_labels fixed = {.labels = texts_of(&outer),
                                 .by = texts_of(&inner),
                                 .count = outer.series_count,
                                 .by_count = inner.series_count};
    if (!fixed.labels || !fixed.by)
        status =
            error_set(error, STATUS_LIMIT, "the query needs more than %zu bytes of memory", limits->memory_bytes_max);
    if (status == STATUS_OK) status = survey_run(native, snapshot, plan, limits, &fixed, error, &result, NULL);
    if (status == STATUS_OK) {
        result.label_count = outer.label_count;
        result.by_label_count = inner.label_count;
        *ret_result = result;
    }
    segmentation_free(&outer);
    segmentation_free(&inner);
    return status;
}
