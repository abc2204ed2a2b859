/*
 * Before rows are read, each run is looked at once: what its columns are, and what follows for the query.
 *
 * An expression that reads one column which is a dictionary here is evaluated once for every entry of the dictionary,
 * whatever it does: the rows then need a table lookup by code. One that reads only constants is decided for the whole
 * run. A comparison of a numeric column with a number is left to a loop over numbers. All the rest is evaluated row by
 * row, which is always right; so whatever goes wrong here (an error in an entry that no row may use, too many labels)
 * is answered by falling back to it.
 */
#include "query/native/survey.h"

#include "base/civil.h"

#include <math.h>
#include <stdlib.h>

#define MINUTE_MS     60000
#define DAY_MINUTES   1440
#define EDGE_UNIT_MAX ((uint64_t)1 << 21)

/* The edge that says where an instant falls; SIZE_MAX before the first. */
static size_t edge_at(const struct survey *survey, int64_t time_ms)
{
    size_t low = 0, high = survey->edge_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (survey->edges[middle].from_ms <= time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

static uint32_t bucket_of_edge(const struct survey *survey, size_t edge)
{
    return edge == SIZE_MAX ? BUCKET_NONE : survey->edges[edge].bucket;
}

static void bind_range(const struct survey *survey, struct bound *bound)
{
    size_t first = edge_at(survey, bound->run.time_min_ms), last = edge_at(survey, bound->run.time_max_ms);
    bound->first_edge = first;
    bound->last_edge = last;
    bound->bucket = bucket_of_edge(survey, first);
    bound->one_bucket = bound->in_range = true;
    bool any = false;
    for (size_t i = first;; i++) {
        uint32_t bucket = bucket_of_edge(survey, i);
        bound->one_bucket &= bucket == bound->bucket;
        bound->in_range &= bucket != BUCKET_NONE;
        any |= bucket != BUCKET_NONE;
        if (i == last) break;
    }
    bound->everything = bound->in_range;
    bound->never = !any || bound->run.deleted == bound->run.rows;
}

/* --- expressions over a dictionary or constants --- */

enum status worker_find_input(struct worker *worker, const struct scan_run *run, struct columns *columns,
                              struct worker_input *ret)
{
    size_t count = columns_count(columns);
    *ret = (struct worker_input){.kind = INPUT_CONSTANT};
    ret->constants = arena_new_array(worker->arena, struct vector, count + 1);
    if (!ret->constants) return survey_out_of_memory(worker->survey, &worker->error);
    for (size_t i = 0; i < count; i++) {
        struct scan_column column;
        uint32_t property;
        TRY(columns_describe(columns, i, worker->scan, run->event_id, &worker->error, &column, &property));
        if (column.form == SCAN_CONST) {
            ret->constants[i] = (struct vector){.kind = VECTOR_CONST, .count = 1, .values = column.values};
            continue;
        }
        ret->kind = INPUT_ROWS;
        if (count > 1) return STATUS_OK;
        if (column.form == SCAN_CODES) ret->kind = INPUT_CODES;
        if (column.form == SCAN_NUMBERS) ret->kind = INPUT_NUMBERS;
        ret->property = property;
        ret->column = column;
    }
    return STATUS_OK;
}

static struct vector entries(const struct value *values, uint32_t left)
{
    uint32_t count = left < VECTOR_ROWS_MAX ? left : VECTOR_ROWS_MAX;
    return (struct vector){.kind = VECTOR_FLAT, .count = count, .values = values};
}

/* Entries are many and an expression may take its time. What is not decided here is decided by rows; who does that sees
 * again that it is time to stop. */
static bool is_interrupted(struct worker *worker)
{
    struct error ignored;
    return survey_interrupted(worker->survey, &ignored) != STATUS_OK;
}

const uint8_t *worker_keep_values(struct worker *worker, size_t term, const struct value *values, uint32_t count)
{
    struct error ignored = ERROR_INIT;
    uint8_t *keep = arena_alloc(worker->arena, count);
    if (!keep) return NULL;
    memset(keep, 1, count);
    for (uint32_t from = 0; from < count; from += VECTOR_ROWS_MAX) {
        struct vector vector = entries(values + from, count - from);
        if (is_interrupted(worker)) return NULL;
        if (expr_filter(worker->term_states[term], &vector, vector.count, &ignored, keep + from) != STATUS_OK)
            return NULL;
    }
    return keep;
}

const uint32_t *worker_label_values(struct worker *worker, struct expr_state *state, struct labels *all,
                                    const struct value *values, uint32_t count)
{
    struct error ignored = ERROR_INIT;
    struct value found[VECTOR_ROWS_MAX];
    struct vector result;
    uint32_t *labels = arena_alloc(worker->arena, count * sizeof *labels);
    if (!labels) return NULL;
    for (uint32_t from = 0; from < count; from += VECTOR_ROWS_MAX) {
        struct vector vector = entries(values + from, count - from);
        if (is_interrupted(worker)) return NULL;
        if (expr_eval(state, &vector, vector.count, &ignored, &result) != STATUS_OK) return NULL;
        for (uint32_t i = 0; i < vector.count; i++) {
            found[i] = vector_at(&result, i);
            if (found[i].type == VALUE_LIST) return NULL;
        }
        if (labels_many(all, &worker->list, found, vector.count, labels + from) != STATUS_OK) return NULL;
    }
    return labels;
}

static double number_of(struct value value)
{
    double number;
    return value_double(value, &number) ? number : NAN;
}

const double *worker_number_values(struct worker *worker, const struct value *values, uint32_t count)
{
    struct error ignored = ERROR_INIT;
    struct vector result;
    double *numbers = arena_alloc(worker->arena, count * sizeof *numbers);
    if (!numbers) return NULL;
    for (uint32_t from = 0; from < count; from += VECTOR_ROWS_MAX) {
        struct vector vector = entries(values + from, count - from);
        if (is_interrupted(worker)) return NULL;
        if (expr_eval(worker->of_state, &vector, vector.count, &ignored, &result) != STATUS_OK) return NULL;
        for (uint32_t i = 0; i < vector.count; i++) {
            struct value value = vector_at(&result, i);
            if (value.type == VALUE_LIST && worker->survey->ret_extent) return NULL; /* it may hold several */
            numbers[from + i] = number_of(value);
        }
    }
    return numbers;
}

enum status worker_bind_term(struct worker *worker, const struct scan_run *run, size_t index,
                             struct bound_term *ret_term, bool *ret_never)
{
    const struct survey *survey = worker->survey;
    const struct expr_term *term = &survey->terms[index];
    struct expr_state *state = worker->term_states[index];
    struct error ignored = ERROR_INIT;
    struct worker_input input;
    *ret_never = false;
    if (columns_only_profile(worker->term_columns[index])) {
        *ret_term = survey->profile_terms[index];
        return STATUS_OK;
    }
    *ret_term = (struct bound_term){.form = TERM_EVAL};
    TRY(worker_find_input(worker, run, worker->term_columns[index], &input));
    ret_term->property = input.property;
    if (input.kind == INPUT_CONSTANT) {
        uint8_t keep = 1;
        if (expr_filter(state, input.constants, 1, &ignored, &keep) != STATUS_OK) return STATUS_OK;
        if (keep) ret_term->form = TERM_ALWAYS;
        *ret_never = !keep;
    } else if (input.kind == INPUT_CODES) {
        ret_term->keep = worker_keep_values(worker, index, input.column.values, input.column.value_count);
        ret_term->code_count = input.column.value_count;
        if (ret_term->keep) ret_term->form = TERM_TABLE;
    } else if (input.kind == INPUT_NUMBERS && term->comparison != EXPR_NO_COMPARISON) {
        ret_term->form = TERM_COMPARE;
    }
    return STATUS_OK;
}

static enum status bind_term(struct worker *worker, struct bound *bound, size_t index)
{
    bool never;
    TRY(worker_bind_term(worker, &bound->run, index, &bound->terms[index], &never));
    if (!never) return STATUS_OK;
    /* Behind a term that is evaluated by rows, which may raise an error, this one must be, too. */
    bound->never = true;
    for (size_t i = 0; i < index; i++) bound->never &= bound->terms[i].form != TERM_EVAL;
    return STATUS_OK;
}

static enum status bind_expression(struct worker *worker, const struct bound *bound, struct expr_state *state,
                                   struct columns *columns, struct labels *all, struct bound_labels *ret)
{
    struct survey *survey = worker->survey;
    struct error ignored = ERROR_INIT;
    struct worker_input input;
    struct vector result;
    ret->form = SOURCE_ROWS;
    TRY(worker_find_input(worker, &bound->run, columns, &input));
    ret->property = input.property;
    if (input.kind == INPUT_CONSTANT) {
        if (expr_eval(state, input.constants, 1, &ignored, &result) != STATUS_OK) return STATUS_OK;
        struct value value = vector_at(&result, 0);
        if (value.type == VALUE_LIST) return STATUS_OK;
        if (labels_one(all, &worker->list, value, &ret->label) != STATUS_OK)
            return survey_out_of_memory(survey, &worker->error);
        ret->form = SOURCE_ONE;
    } else if (input.kind == INPUT_CODES) {
        ret->labels = worker_label_values(worker, state, all, input.column.values, input.column.value_count);
        if (!ret->labels) return STATUS_OK;
        ret->form = SOURCE_TABLE;
        ret->code_count = input.column.value_count;
        if (bound->everything && bound->run.deleted == 0) {
            const uint32_t *counts;
            uint32_t *rows = arena_alloc(worker->arena, input.column.value_count * sizeof *rows);
            TRY(scan_value_rows(worker->scan, input.property, &worker->error, &counts));
            if (rows) memcpy(rows, counts, input.column.value_count * sizeof *rows);
            ret->all_rows = rows;
        }
    } else if (input.kind == INPUT_NUMBERS && bin_codes_fit(survey)) {
        if (bin_codes_bind(survey, worker->arena, ret) != STATUS_OK)
            return survey_out_of_memory(survey, &worker->error);
    } else if (input.kind == INPUT_NUMBERS) {
        ret->form = SOURCE_NUMBERS;
    }
    return STATUS_OK;
}

static enum status bind_labels(struct worker *worker, struct bound *bound)
{
    struct survey *survey = worker->survey;
    if (survey->labels.bins && survey->labels.bins->count == 0) { /* there are no numbers at all */
        bound->labels = (struct bound_labels){.form = SOURCE_ONE, .label = LABEL_NONE};
        return STATUS_OK;
    }
    if (columns_only_profile(worker->on_columns))
        bound->labels = survey->profile_labels;
    else
        TRY(bind_expression(worker, bound, worker->on_state, worker->on_columns, &survey->labels, &bound->labels));
    if (!survey->by) return STATUS_OK;
    bound->sides = arena_new_array(worker->arena, struct bound_labels, 2);
    if (!bound->sides) return survey_out_of_memory(survey, &worker->error);
    bound->sides[0] = bound->labels;
    TRY(bind_expression(worker, bound, worker->by_state, worker->by_columns, &survey->by_labels, &bound->sides[1]));
    enum status status = crossed_bind(survey, worker->arena, bound);
    return status == STATUS_OK ? status : survey_out_of_memory(survey, &worker->error);
}

static enum status bind_numbers(struct worker *worker, struct bound *bound)
{
    const struct survey *survey = worker->survey;
    struct error ignored = ERROR_INIT;
    struct worker_input input;
    struct vector result;
    if (columns_only_profile(worker->of_columns)) {
        bound->numbers = survey->profile_numbers;
        return STATUS_OK;
    }
    bound->numbers.form = SOURCE_ROWS;
    TRY(worker_find_input(worker, &bound->run, worker->of_columns, &input));
    bound->numbers.property = input.property;
    if (input.kind == INPUT_CONSTANT) {
        if (expr_eval(worker->of_state, input.constants, 1, &ignored, &result) != STATUS_OK) return STATUS_OK;
        struct value value = vector_at(&result, 0);
        if (value.type == VALUE_LIST && survey->ret_extent) return STATUS_OK; /* it may hold several */
        bound->numbers.number = number_of(value);
        bound->numbers.form = SOURCE_ONE;
    } else if (input.kind == INPUT_CODES) {
        bound->numbers.numbers = worker_number_values(worker, input.column.values, input.column.value_count);
        bound->numbers.code_count = input.column.value_count;
        if (bound->numbers.numbers) bound->numbers.form = SOURCE_TABLE;
    } else if (input.kind == INPUT_NUMBERS && expr_keeps_numbers(survey->of)) {
        bound->numbers.form = SOURCE_NUMBERS;
    }
    return STATUS_OK;
}

static enum status bind_run(void *ctx, unsigned slot, uint32_t index)
{
    struct survey *survey = ctx;
    struct worker *worker = &survey->workers[slot];
    struct bound *bound = &survey->runs[index];
    TRY(survey_interrupted(survey, &worker->error));
    bind_range(survey, bound);
    if (bound->never || (!survey->term_count && !survey->on && !survey->of)) return STATUS_OK;
    TRY(scan_open(worker->scan, &bound->run, &worker->error));
    bound->terms = arena_new_array(worker->arena, struct bound_term, survey->term_count + 1);
    if (!bound->terms) return survey_out_of_memory(survey, &worker->error);
    for (size_t i = 0; i < survey->term_count && !bound->never; i++) {
        TRY(bind_term(worker, bound, i));
        bound->everything &= bound->terms[i].form == TERM_ALWAYS;
    }
    if (survey->on && !bound->never) TRY(bind_labels(worker, bound));
    if (survey->of && !bound->never) TRY(bind_numbers(worker, bound));
    return STATUS_OK;
}

/* Runs of the newest sections first would do as well: the order is that of the snapshot. Tasks are cut so that each has
 * VECTORS_PER_TASK vectors at most. */
static enum status make_tasks(struct survey *survey)
{
    size_t slice_count = 0;
    for (size_t i = 0; i < survey->run_count; i++)
        slice_count += survey->runs[i].never ? 0 : survey->runs[i].run.vectors / VECTORS_PER_TASK + 1;
    survey->slices = arena_new_array(survey->arena, struct slice, slice_count + 1);
    survey->task_slices = arena_new_array(survey->arena, uint32_t, slice_count + 2);
    if (!survey->slices || !survey->task_slices) return survey_out_of_memory(survey, survey->error);
    uint32_t slices = 0, vectors = VECTORS_PER_TASK;
    for (size_t i = 0; i < survey->run_count; i++) {
        const struct bound *bound = &survey->runs[i];
        for (uint32_t from = 0; !bound->never && from < bound->run.vectors;) {
            uint32_t to = from + VECTORS_PER_TASK;
            if (to > bound->run.vectors) to = bound->run.vectors;
            if (vectors + (to - from) > VECTORS_PER_TASK) {
                survey->task_slices[survey->task_count++] = slices;
                vectors = 0;
            }
            survey->slices[slices++] = (struct slice){(uint32_t)i, from, to};
            vectors += to - from;
            from = to;
        }
    }
    survey->task_slices[survey->task_count] = slices;
    return STATUS_OK;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* At most EDGE_UNIT_MAX, and what a section's minutes are divided by: narrow.c. */
static void find_edge_unit(struct survey *survey)
{
    uint64_t unit = 0;
    for (size_t i = 1; i < survey->edge_count; i++)
        unit = gcd((uint64_t)(survey->edges[i].from_ms - survey->edges[0].from_ms) / MINUTE_MS, unit);
    survey->edge_unit = unit == 0 || unit > EDGE_UNIT_MAX ? gcd(unit, DAY_MINUTES) : unit;
}

enum status survey_prepare(struct survey *survey)
{
    survey->whole_minutes = survey->bucket_count < UINT16_MAX;
    for (size_t i = 0; i < survey->edge_count; i++) survey->whole_minutes &= survey->edges[i].from_ms % 60000 == 0;
    if (survey->whole_minutes) find_edge_unit(survey);
    if (survey->term_count || survey->on || survey->of)
        TRY(pool_run(survey->pool, (uint32_t)survey->run_count, bind_run, survey));
    else /* a few comparisons each: not worth waking anybody */
        for (size_t i = 0; i < survey->run_count; i++) TRY(bind_run(survey, 0, (uint32_t)i));
    for (size_t i = 0; i < survey->run_count; i++) {
        if (survey->runs[i].never) continue;
        survey->row_count += survey->runs[i].run.rows;
        survey->row_labels |= survey->runs[i].labels.form >= SOURCE_NUMBERS;
    }
    return make_tasks(survey);
}

/* --- opening a run for reading --- */

#define MINUTES_MAX ((int64_t)1 << 21)

/* The table minute -> bucket of a section, as far as its rows go. */
static enum status make_minutes(struct worker *worker, const struct scan_run *run)
{
    const struct survey *survey = worker->survey;
    if (worker->minutes_section == run->section) return STATUS_OK;
    worker->minutes_section = run->section;
    worker->minutes_from = floor_div(run->section_min_ms - run->window_ms, 60000);
    int64_t count = floor_div(run->section_max_ms - run->window_ms, 60000) + 1 - worker->minutes_from;
    worker->minutes_count = 0;
    if (!survey->whole_minutes || count > MINUTES_MAX) return STATUS_OK;
    if ((size_t)count > worker->minute_capacity) {
        uint16_t *grown = realloc(worker->minute_buckets, (size_t)count * sizeof *grown);
        if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
        worker->minute_buckets = grown;
        worker->minute_capacity = (size_t)count;
    }
    int64_t first_ms = run->window_ms + worker->minutes_from * 60000;
    size_t edge = edge_at(survey, first_ms);
    for (int64_t at = 0; at < count;) {
        uint32_t bucket = bucket_of_edge(survey, edge);
        int64_t next = edge + 1 < survey->edge_count ? (survey->edges[edge + 1].from_ms - first_ms) / 60000 : count;
        if (next > count) next = count;
        uint16_t entry = bucket == BUCKET_NONE ? UINT16_MAX : (uint16_t)bucket;
        for (; at < next; at++) worker->minute_buckets[at] = entry;
        edge++;
    }
    worker->minutes_count = count;
    return STATUS_OK;
}

enum status worker_open_run(struct worker *worker, const struct bound *bound)
{
    if (worker->open == bound) return STATUS_OK;
    worker->open = NULL;
    worker->tables_ready = false;
    TRY(scan_open(worker->scan, &bound->run, &worker->error));
    worker->open = bound;
    return STATUS_OK;
}

enum status worker_open(struct worker *worker, const struct bound *bound)
{
    const struct survey *survey = worker->survey;
    if (worker->open == bound && worker->tables_ready) return STATUS_OK;
    TRY(worker_open_run(worker, bound));
    if (!bound->one_bucket) TRY(make_minutes(worker, &bound->run));
    if (bound->labels.form == SOURCE_TABLE) {
        uint32_t count = bound->labels.code_count;
        if (count > worker->code_cells_capacity) {
            uint32_t *grown = realloc(worker->code_cells, count * sizeof *grown);
            if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
            worker->code_cells = grown;
            worker->code_cells_capacity = count;
        }
        for (uint32_t i = 0; i < count; i++) {
            uint32_t slot = survey->slots ? survey->slots[bound->labels.labels[i]] : bound->labels.labels[i];
            worker->code_cells[i] = slot < survey->slot_count ? slot * survey->bucket_count : survey->cell_count;
        }
    }
    worker->tables_ready = true;
    return STATUS_OK;
}
