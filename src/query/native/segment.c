/*
 * Segmentation on the event store.
 *
 * 1. Prepare (prepare.c). The plan's events give runs: the rows of one event in one section. Each run is looked at
 * once: does it lie in one time bucket, what do `where`, `on` and `of` come to for the columns that it has. Much is
 * decided there, by dictionaries and statistics, and what is left is loops over codes and numbers.
 * 2. Choose labels. With `on`, only the `limit` labels with most events are answered. When all labels that can occur
 *    are few enough, this is skipped; otherwise a first pass counts events per label and nothing else. So memory is
 *    bounded by the labels' texts plus limit × buckets, and the answer is exact either way.
 * 3. Count (cells.c, numbers.c), in tasks of some ten thousand rows, shared out over the pool; each participant counts
 *    into cells of its own, which are added up. Counting people goes by ranges of persons instead (people.c).
 *    Runs of which statistics tell enough are not read at all.
 *
 * Everything that is added up is exact and does not depend on order, so answers do not depend on the number of threads,
 * on which thread did what, or on how rows lie in sections.
 */
#include "base/civil.h"
#include "query/native/narrow.h"

#include <stdlib.h>

#define EXPR_BUDGET_MIN ((size_t)2 << 20)
#define WORKER_MIN      ((size_t)8 << 20)
#define QUARTER_MS      (15 * 60000)

enum status survey_out_of_memory(struct survey *survey, struct error *error)
{
    error_set(error, STATUS_LIMIT, "the query needs more than %zu bytes of memory", survey->limits->memory_bytes_max);
    error_hint(error, "use a shorter range, a larger unit, an \"on\" of fewer values, or raise query.memory_max");
    return STATUS_LIMIT;
}

enum status survey_interrupted(struct survey *survey, struct error *error)
{
    return native_interrupted(survey->limits, error);
}

enum status survey_begin_task(struct survey *survey, struct worker *worker, uint32_t index)
{
    uint64_t rows = 0;
    TRY(survey_interrupted(survey, &worker->error));
    for (uint32_t s = survey->task_slices[index]; s < survey->task_slices[index + 1]; s++) {
        const struct slice *slice = &survey->slices[s];
        uint64_t end = (uint64_t)slice->to_vector * VECTOR_ROWS_MAX, run_rows = survey->runs[slice->run].run.rows;
        rows += (end < run_rows ? end : run_rows) - (uint64_t)slice->from_vector * VECTOR_ROWS_MAX;
    }
    plan_passed_rows(survey->limits, rows);
    return STATUS_OK;
}

/* --- workers --- */

static enum status make_worker(struct survey *survey, struct worker *worker)
{
    size_t share = survey->worker_bytes_max / 8 / (survey->term_count + 3);
    if (share < EXPR_BUDGET_MIN) share = EXPR_BUDGET_MIN;
    *worker = (struct worker){
        .survey = survey, .error = ERROR_INIT, .minutes_section = UINT32_MAX, .places_section = UINT32_MAX};
    label_list_init(&worker->list);
    label_list_init(&worker->by_list);
    worker->arena = arena_new(survey->worker_bytes_max);
    worker->sums = arena_new(survey->worker_bytes_max);
    struct scan_options options = {.memory_bytes_max = survey->worker_bytes_max};
    TRY(scan_new(survey->snapshot, &options, survey->error, &worker->scan));
    worker->term_states = arena_new_array(worker->arena, struct expr_state *, survey->term_count + 1);
    worker->term_columns = arena_new_array(worker->arena, struct columns *, survey->term_count + 1);
    if (!worker->term_states || !worker->term_columns) return survey_out_of_memory(survey, survey->error);
    for (size_t i = 0; i < survey->term_count; i++) {
        worker->term_states[i] = expr_state_new(survey->terms[i].expr, share);
        native_watch(worker->term_states[i], survey->limits);
        TRY(columns_new(worker->arena, survey->terms[i].expr, survey->snapshot, &survey->profiles, survey->error,
                        &worker->term_columns[i]));
    }
    if (survey->on) {
        worker->on_state = expr_state_new(survey->on, share);
        native_watch(worker->on_state, survey->limits);
        TRY(columns_new(worker->arena, survey->on, survey->snapshot, &survey->profiles, survey->error,
                        &worker->on_columns));
    }
    if (survey->by) {
        worker->by_state = expr_state_new(survey->by, share);
        native_watch(worker->by_state, survey->limits);
        TRY(columns_new(worker->arena, survey->by, survey->snapshot, &survey->profiles, survey->error,
                        &worker->by_columns));
    }
    if (survey->of) {
        worker->of_state = expr_state_new(survey->of, share);
        native_watch(worker->of_state, survey->limits);
        TRY(columns_new(worker->arena, survey->of, survey->snapshot, &survey->profiles, survey->error,
                        &worker->of_columns));
    }
    return STATUS_OK;
}

enum status survey_make_workers(struct survey *survey, unsigned count)
{
    while (survey->worker_count < count) TRY(make_worker(survey, &survey->workers[survey->worker_count++]));
    return STATUS_OK;
}

static enum status make_counts(struct survey *survey, struct worker *worker)
{
    worker->counts = arena_new_array(worker->arena, uint64_t, (size_t)survey->cell_count + 1);
    return worker->counts ? STATUS_OK : survey_out_of_memory(survey, survey->error);
}

/* --- from statistics alone --- */

/* `first`: the first cell of the rows' label. */
static enum status add_quarters(struct worker *worker, const struct bound *bound, uint32_t first, bool *ret_done)
{
    const struct survey *survey = worker->survey;
    const struct scan_quarter *quarters;
    size_t count, edge = 0;
    *ret_done = false;
    worker->open = NULL;
    TRY(scan_quarters(worker->scan, &bound->run, &worker->error, &quarters, &count));
    if (!quarters) return STATUS_OK;
    for (size_t i = 0; i < count; edge++) {
        /* the rows before the first edge, or up to the next one, are those of one bucket */
        bool last = edge == survey->edge_count;
        int64_t end = last ? INT64_MAX : (survey->edges[edge].from_ms - bound->run.window_ms) / QUARTER_MS;
        uint64_t rows = 0;
        for (; i < count && quarters[i].quarter < end; i++) rows += quarters[i].rows;
        uint32_t bucket = edge ? survey->edges[edge - 1].bucket : BUCKET_NONE;
        if (bucket != BUCKET_NONE) worker->counts[first + bucket] += rows;
    }
    *ret_done = true;
    return STATUS_OK;
}

/* Counts a whole run without reading rows, if that is possible. */
static enum status count_known(struct worker *worker, const struct bound *bound, bool *ret_done)
{
    const struct survey *survey = worker->survey;
    *ret_done = false;
    if (survey->of || bound->run.deleted) return STATUS_OK;
    for (size_t t = 0; t < survey->term_count; t++) {
        if (bound->terms[t].form != TERM_ALWAYS) return STATUS_OK;
    }
    uint32_t first = 0;
    if (bound->labels.form == SOURCE_ONE) {
        uint32_t slot = survey->slots ? survey->slots[bound->labels.label] : bound->labels.label;
        *ret_done = slot >= survey->slot_count;
        if (*ret_done) return STATUS_OK;
        first = slot * survey->bucket_count;
    }
    if (bound->one_bucket && bound->labels.form == SOURCE_TABLE && bound->labels.all_rows) {
        for (uint32_t i = 0; i < bound->labels.code_count; i++) {
            uint32_t label = bound->labels.labels[i], slot = survey->slots ? survey->slots[label] : label;
            if (slot < survey->slot_count)
                worker->counts[slot * survey->bucket_count + bound->bucket] += bound->labels.all_rows[i];
        }
        *ret_done = true;
        return STATUS_OK;
    }
    if (bound->labels.form != SOURCE_NONE && bound->labels.form != SOURCE_ONE) return STATUS_OK;
    if (bound->one_bucket) {
        worker->counts[first + bound->bucket] += bound->run.rows;
        *ret_done = true;
        return STATUS_OK;
    }
    if (!survey->whole_quarters) return STATUS_OK;
    return add_quarters(worker, bound, first, ret_done);
}

/* --- counting rows --- */

enum status worker_count(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                         uint32_t count)
{
    (void)rows;
    (void)from;
    for (uint32_t i = 0; i < count; i++) worker->counts[cells[i]]++;
    return STATUS_OK;
}

static enum status count_task(void *ctx, unsigned slot, uint32_t index)
{
    struct survey *survey = ctx;
    struct worker *worker = &survey->workers[slot];
    TRY(survey_begin_task(survey, worker, index));
    for (uint32_t s = survey->task_slices[index]; s < survey->task_slices[index + 1]; s++) {
        const struct slice *slice = &survey->slices[s];
        const struct bound *bound = &survey->runs[slice->run];
        if (bound->known) continue;
        bool narrow = false;
        TRY(narrow_open(worker, bound, NARROW_CELLS, &narrow));
        if (!narrow) TRY(worker_open(worker, bound));
        for (uint32_t v = slice->from_vector; v < slice->to_vector; v++) {
            uint32_t rows = bound->run.rows - v * VECTOR_ROWS_MAX;
            bool done = false;
            if (rows > VECTOR_ROWS_MAX) rows = VECTOR_ROWS_MAX;
            if (survey->ret_extent) TRY(worker_extent_of_vector(worker, bound, v, &done));
            if (done) continue;
            if (narrow) {
                uint32_t left;
                TRY(narrow_vector(worker, v, 0, rows, &left));
                TRY(survey->of ? worker_measure_narrow(worker, left) : narrow_count(worker, left));
                continue;
            }
            if (survey->of) TRY(worker_read_numbers(worker, v));
            TRY(worker_cells(worker, v, 0, rows, survey->of ? worker_measure : worker_count));
        }
    }
    return STATUS_OK;
}

static enum status count_rows(struct survey *survey)
{
    struct worker *worker = &survey->workers[0];
    bool any = false;
    for (size_t i = 0; i < survey->run_count; i++) {
        struct bound *bound = &survey->runs[i];
        bound->known = bound->never;
        if (!bound->never) TRY(count_known(worker, bound, &bound->known));
        any |= !bound->known;
    }
    if (!any) return STATUS_OK;
    unsigned before = survey->worker_count;
    TRY(survey_make_workers(survey, pool_slots(survey->pool)));
    for (unsigned w = before; w < survey->worker_count; w++) TRY(make_counts(survey, &survey->workers[w]));
    plan_expects_rows(survey->limits, survey->row_count);
    return pool_run(survey->pool, survey->task_count, count_task, survey);
}

/* --- the whole --- */

static void merge_extents(struct survey *survey)
{
    struct extent all = {.any = false};
    for (unsigned w = 0; w < survey->worker_count; w++) {
        const struct extent *own = &survey->workers[w].extent;
        if (!own->any) continue;
        extent_add(&all, own->min);
        extent_add(&all, own->max);
        all.fractional |= own->fractional;
    }
    *survey->ret_extent = all;
}

static enum status count(struct survey *survey)
{
    uint64_t cells = (uint64_t)survey->slot_count * survey->bucket_count;
    if (cells >= UINT32_MAX || cells * sizeof(uint64_t) > survey->worker_bytes_max)
        return survey_out_of_memory(survey, survey->error);
    survey->cell_count = (uint32_t)cells;
    for (unsigned w = 0; w < survey->worker_count; w++) TRY(make_counts(survey, &survey->workers[w]));
    if (survey->of) TRY(survey_prepare_numbers(survey));
    /* An average needs rows as well; mostly statistics know them. */
    survey->count_rows_too = survey->on || (survey->plan->measure == MEASURE_AVERAGE && survey->term_count);
    if (survey->users) TRY(survey_count_people(survey));
    if (!survey->users || (survey->plan->measure == MEASURE_AVERAGE && !survey->count_rows_too))
        TRY(count_rows(survey));
    for (unsigned w = 0; w < survey->worker_count; w++) TRY(narrow_flush(&survey->workers[w]));
    for (unsigned w = 0; survey->of && w < survey->worker_count; w++) TRY(worker_finish_numbers(&survey->workers[w]));
    survey->counts = survey->workers[0].counts;
    for (unsigned w = 1; w < survey->worker_count; w++) {
        for (uint64_t c = 0; c < cells; c++) survey->counts[c] += survey->workers[w].counts[c];
    }
    if (survey->ret_extent) merge_extents(survey);
    return survey->of ? survey_merge_numbers(survey) : STATUS_OK;
}

static enum status add_series(struct survey *survey, struct segmentation *result, struct str label, uint32_t slot)
{
    struct series *series = &result->series[result->series_count];
    uint64_t first = (uint64_t)slot * survey->bucket_count;
    bool counts = result->cell_type == CELL_COUNT;
    series->label = arena_str(result->arena, label);
    if (counts)
        series->counts = arena_new_array(result->arena, uint64_t, survey->bucket_count);
    else
        series->numbers = arena_new_array(result->arena, double, survey->bucket_count);
    if (!series->label.data || (!series->counts && !series->numbers))
        return survey_out_of_memory(survey, survey->error);
    for (uint32_t b = 0; b < survey->bucket_count; b++) {
        uint64_t cell = first + b, users = survey->users ? survey->people[cell] : 0;
        if (survey->plan->measure == MEASURE_AVERAGE)
            series->numbers[b] = users ? (double)survey->counts[cell] / (double)users : 0;
        else if (counts)
            series->counts[b] = survey->users ? users : survey->counts[cell];
        else
            series->numbers[b] = survey_number(survey, cell);
    }
    result->series_count++;
    return STATUS_OK;
}

/* Counts of labels over one bucket are their totals. */
static enum status take_totals(struct survey *survey, const struct ranked *ranked)
{
    survey->counts = arena_new_array(survey->arena, uint64_t, (size_t)survey->slot_count + 1);
    if (!survey->counts) return survey_out_of_memory(survey, survey->error);
    for (uint32_t i = 0; i < survey->slot_count; i++) survey->counts[i] = ranked[i].total;
    return STATUS_OK;
}

static bool has_events(const struct survey *survey, uint32_t slot)
{
    for (uint32_t b = 0; b < survey->bucket_count; b++) {
        if (survey->counts[(uint64_t)slot * survey->bucket_count + b]) return true;
    }
    return false;
}

/* Ranges of numbers ascend, and those that nothing lies in are left out. */
static enum status answer_binned(struct survey *survey, struct segmentation *result)
{
    uint32_t count = survey->slot_count;
    result->series = arena_new_array(result->arena, struct series, (size_t)count + 1);
    if (!result->series) return survey_out_of_memory(survey, survey->error);
    for (uint32_t i = 0; i < count; i++) {
        if (has_events(survey, i)) TRY(add_series(survey, result, survey->labels.texts[i], i));
    }
    result->label_count = result->series_count;
    return STATUS_OK;
}

static enum status answer_crossed(struct survey *survey, struct segmentation *result)
{
    const struct fixed_labels *fixed = survey->fixed;
    result->series = arena_new_array(result->arena, struct series, (size_t)survey->slot_count + 1);
    result->by = arena_new_array(result->arena, struct str, fixed->by_count + 1);
    if (!result->series || !result->by) return survey_out_of_memory(survey, survey->error);
    for (size_t i = 0; i < fixed->by_count; i++) {
        result->by[i] = arena_str(result->arena, fixed->by[i]);
        if (!result->by[i].data) return survey_out_of_memory(survey, survey->error);
    }
    result->by_count = (uint32_t)fixed->by_count;
    for (uint32_t slot = 0; slot < survey->slot_count; slot++)
        TRY(add_series(survey, result, fixed->labels[slot / fixed->by_count], slot));
    return STATUS_OK;
}

/* *ret_done is false when what was counted is still to be ranked. */
static enum status answer_fixed(struct survey *survey, struct segmentation *result, bool *ret_done)
{
    const struct fixed_labels *fixed = survey->fixed;
    uint64_t slots = (uint64_t)survey->labels.count * (survey->by ? fixed->by_count : 1);
    *ret_done = fixed->bins || survey->by;
    if (slots >= UINT32_MAX) return survey_out_of_memory(survey, survey->error);
    survey->slot_count = (uint32_t)slots;
    TRY(count(survey));
    if (fixed->bins) return answer_binned(survey, result);
    return survey->by ? answer_crossed(survey, result) : STATUS_OK;
}

static enum status answer(struct survey *survey, struct segmentation *result)
{
    struct ranked *ranked = NULL;
    uint32_t label_count = 0;
    enum status status = STATUS_OK;
    if (survey->fixed) {
        bool done;
        TRY(answer_fixed(survey, result, &done));
        if (done) return STATUS_OK;
        status = survey_rank_counted(survey, &ranked, &label_count);
    } else if (!survey->on) {
        survey->slot_count = 1;
        TRY(count(survey));
        result->series = arena_new_array(result->arena, struct series, 1);
        if (!result->series) return survey_out_of_memory(survey, survey->error);
        result->label_count = 1;
        return add_series(survey, result, survey->plan->event_count == 1 ? survey->plan->events[0] : STR("$any_event"),
                          0);
    } else if (survey->row_labels || survey->labels.count > survey->plan->limit) {
        bool counted = survey->bucket_count == 1 && survey->plan->measure == MEASURE_COUNT;
        status = survey_choose_labels(survey, &ranked, &label_count);
        if (status == STATUS_OK) status = counted ? take_totals(survey, ranked) : count(survey);
    } else {
        survey->slot_count = survey->labels.count;
        status = count(survey);
        if (status == STATUS_OK) status = survey_rank_counted(survey, &ranked, &label_count);
    }
    uint32_t kept = label_count < survey->plan->limit ? label_count : survey->plan->limit;
    result->label_count = label_count;
    result->series = arena_new_array(result->arena, struct series, kept ? kept : 1);
    if (status == STATUS_OK && !result->series) status = survey_out_of_memory(survey, survey->error);
    for (uint32_t i = 0; i < kept && status == STATUS_OK; i++)
        status = add_series(survey, result, ranked[i].text, ranked[i].slot);
    free(ranked);
    return status;
}

/* --- setting up --- */

static enum status checked(struct survey *survey, const char *parameter, enum status status)
{
    return native_expression(parameter, status, survey->error);
}

static enum status compile(struct survey *survey)
{
    const struct plan *plan = survey->plan;
    struct expr_options options = {
        .zone = plan->zone, .now_ms = plan->now_ms, .joins = plan->joins, .join_count = plan->join_count};
    if (plan->where.data)
        TRY(checked(survey, survey->where_name,
                    expr_compile_terms(survey->arena, plan->where, &options, survey->error, &survey->terms,
                                       &survey->term_count)));
    options.bare_name_is_property = true;
    if (plan->on.data)
        TRY(checked(survey, "on", expr_compile(survey->arena, plan->on, &options, survey->error, &survey->on)));
    if (plan->by.data)
        TRY(checked(survey, "by", expr_compile(survey->arena, plan->by, &options, survey->error, &survey->by)));
    if (plan_measures_numbers(plan->measure))
        TRY(checked(survey, "of", expr_compile(survey->arena, plan->of, &options, survey->error, &survey->of)));
    enum status status = STATUS_OK;
    for (size_t i = 0; i < survey->term_count && status == STATUS_OK; i++)
        status = profile_join_want(&survey->profiles, survey->terms[i].expr);
    if (status == STATUS_OK && survey->on) status = profile_join_want(&survey->profiles, survey->on);
    if (status == STATUS_OK && survey->by) status = profile_join_want(&survey->profiles, survey->by);
    if (status == STATUS_OK && survey->of) status = profile_join_want(&survey->profiles, survey->of);
    return status == STATUS_OK ? status : survey_out_of_memory(survey, survey->error);
}

/* The runs of the plan's events; names that no event has are left out. */
static enum status list_runs(struct survey *survey)
{
    const struct plan *plan = survey->plan;
    struct scan_options options = {0};
    struct scan_run *runs;
    options.from_ms = survey->from_ms;
    options.to_ms = survey->to_ms;
    uint32_t *events = arena_new_array(survey->arena, uint32_t, plan->event_count + 1);
    if (!events) return survey_out_of_memory(survey, survey->error);
    for (size_t i = 0; i < plan->event_count; i++) {
        uint32_t event = snapshot_event_id(survey->snapshot, plan->events[i]);
        size_t known = 0;
        while (known < options.event_count && events[known] != event) known++;
        if (event != EVENT_ID_NONE && known == options.event_count) events[options.event_count++] = event;
    }
    if (plan->event_count) options.events = events;
    if (scan_list(survey->snapshot, &options, survey->arena, survey->error, &runs, &survey->run_count) != STATUS_OK)
        return survey_out_of_memory(survey, survey->error);
    survey->runs = arena_new_array(survey->arena, struct bound, survey->run_count + 1);
    if (!survey->runs) return survey_out_of_memory(survey, survey->error);
    for (size_t i = 0; i < survey->run_count; i++) survey->runs[i].run = runs[i];
    return STATUS_OK;
}

void survey_free_worker(struct survey *survey, struct worker *worker)
{
    for (size_t i = 0; worker->term_states && i < survey->term_count; i++) expr_state_free(worker->term_states[i]);
    expr_state_free(worker->on_state);
    expr_state_free(worker->by_state);
    expr_state_free(worker->of_state);
    scan_free(worker->scan);
    label_list_fini(&worker->list);
    label_list_fini(&worker->by_list);
    arena_free(worker->arena);
    arena_free(worker->sums);
    narrow_free(worker);
    free(worker->minute_buckets);
    free(worker->place_rows);
    free(worker->code_cells);
    free(worker->totals);
    free(worker->bits);
    free(worker->set);
    worker_free_numbers(worker);
    worker_free_number_labels(worker);
    bin_codes_free(worker);
    free(worker->moved);
}

/* Copies the buckets' labels into the result's arena. */
static enum status own_labels(struct survey *survey, struct segmentation *result)
{
    size_t size = 0;
    for (uint32_t i = 0; i < result->bucket_count; i++) size += result->buckets[i].size;
    char *to = arena_alloc(result->arena, size);
    if (!to) return survey_out_of_memory(survey, survey->error);
    for (uint32_t i = 0; i < result->bucket_count; i++) {
        struct str *label = &result->buckets[i];
        memcpy(to, label->data, label->size);
        label->data = to;
        to += label->size;
    }
    return STATUS_OK;
}

static enum status fix_labels(struct survey *survey)
{
    const struct fixed_labels *fixed = survey->fixed;
    enum status status = STATUS_OK;
    if (fixed && fixed->bins)
        status = labels_fix_bins(&survey->labels, fixed->bins);
    else if (fixed)
        status = labels_fix(&survey->labels, fixed->labels, fixed->count);
    if (status == STATUS_OK && survey->by) status = labels_fix(&survey->by_labels, fixed->by, fixed->by_count);
    return status == STATUS_OK ? status : survey_out_of_memory(survey, survey->error);
}

void survey_init(struct survey *survey, struct native *native, const struct plan *plan,
                 const struct plan_limits *limits, struct error *error)
{
    *survey = (struct survey){.plan = plan, .limits = limits, .error = error, .native = native, .pool = native->pool};
    survey->arena = arena_new(limits->memory_bytes_max);
    survey->where_name = "where";
    survey->users = plan->measure == MEASURE_UNIQUE || plan->measure == MEASURE_AVERAGE;
    survey->worker_bytes_max = limits->memory_bytes_max / pool_slots(native->pool);
    if (survey->worker_bytes_max < WORKER_MIN) survey->worker_bytes_max = WORKER_MIN;
    labels_init(&survey->labels, limits->memory_bytes_max / 2);
    labels_init(&survey->by_labels, limits->memory_bytes_max / 2);
    profile_join_init(&survey->profiles, limits->memory_bytes_max / 2);
    if (plan->kind == PLAN_TOP_VALUES) survey->labels.absent = LABEL_NO_VALUE;
}

enum status survey_begin(struct survey *survey)
{
    TRY(compile(survey));
    TRY(fix_labels(survey));
    TRY(list_runs(survey));
    survey->whole_quarters = true;
    for (size_t i = 0; i < survey->edge_count; i++)
        survey->whole_quarters &= survey->edges[i].from_ms % QUARTER_MS == 0;
    survey->workers = arena_alloc(survey->arena, pool_slots(survey->pool) * sizeof *survey->workers);
    if (!survey->workers) return survey_out_of_memory(survey, survey->error);
    bool one = !survey->term_count && !survey->on && !survey->of && !survey->users; /* statistics may be enough */
    TRY(survey_make_workers(survey, one ? 1 : pool_slots(survey->pool)));
    TRY(survey_prepare_profiles(survey));
    return survey_prepare(survey);
}

void survey_fini(struct survey *survey, enum status status)
{
    for (unsigned w = 0; w < survey->worker_count; w++) {
        /* what a task reported; the others report the same kind of thing, if anything */
        if (status != STATUS_OK && survey->workers[w].error.status == status) *survey->error = survey->workers[w].error;
        survey_free_worker(survey, &survey->workers[w]);
    }
    labels_fini(&survey->labels);
    labels_fini(&survey->by_labels);
    profile_join_fini(&survey->profiles);
    free(survey->moved_bits);
    free(survey->moved);
    arena_free(survey->arena);
}

static enum status set_up(struct survey *survey, struct segmentation *result)
{
    buckets_span(survey->buckets, &survey->from_ms, &survey->to_ms);
    TRY(buckets_edges(survey->buckets, survey->arena, survey->error, &survey->edges, &survey->edge_count));
    survey->bucket_count = result->bucket_count = buckets_count(survey->buckets);
    result->buckets = arena_new_array(result->arena, struct str, result->bucket_count);
    if (!result->buckets) return survey_out_of_memory(survey, survey->error);
    for (uint32_t i = 0; i < result->bucket_count; i++) result->buckets[i] = buckets_label(survey->buckets, i);
    TRY(own_labels(survey, result));
    return survey_begin(survey);
}

enum status survey_run(struct native *native, struct snapshot *snapshot, const struct plan *plan,
                       const struct plan_limits *limits, const struct fixed_labels *fixed, struct error *error,
                       struct segmentation *ret_result, struct extent *ret_extent)
{
    struct survey survey;
    survey_init(&survey, native, plan, limits, error);
    survey.snapshot = snapshot;
    survey.fixed = fixed;
    survey.ret_extent = ret_extent;
    struct segmentation result = {.arena = arena_new(limits->memory_bytes_max),
                                  .cell_type = cell_type_of(plan->measure)};
    enum status status = buckets_new(survey.arena, plan, limits->buckets_max, survey.error, &survey.buckets);
    if (status == STATUS_OK) status = set_up(&survey, &result);
    if (status == STATUS_OK) status = answer(&survey, &result);
    survey_fini(&survey, status);
    if (status != STATUS_OK || ret_extent) {
        arena_free(result.arena);
        return status;
    }
    *ret_result = result;
    return STATUS_OK;
}

enum status native_segment(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                           struct error *error, struct segmentation *ret_result)
{
    struct native *native = (struct native *)executor;
    struct error local = ERROR_INIT;
    struct snapshot *snapshot;
    struct fixed_labels given = {.labels = plan->labels, .count = plan->label_count};
    if (!error) error = &local;
    TRY(plan_check(plan, error));
    TRY(store_snapshot(native->store, plan->project, error, &snapshot));
    enum status status;
    if (plan->bin_count)
        status = survey_run_binned(native, snapshot, plan, limits, error, ret_result);
    else if (plan->by.data)
        status = survey_run_crossed(native, snapshot, plan, limits, error, ret_result);
    else
        status = survey_run(native, snapshot, plan, limits, plan->label_count ? &given : NULL, error, ret_result, NULL);
    snapshot_free(snapshot);
    return status;
}
