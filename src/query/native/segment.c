/*
 * Segmentation on the event store.
 *
 * One pass over the vectors of the wanted runs: rows outside the range or not matching `where` are dropped, `on` gives
 * each row its labels, and a cell (label, bucket) counts events and, where users are asked for, collects the set of
 * persons. Counting users is exact: a person who occurs under several runs or sections is in the set once, and persons
 * come resolved from the snapshot.
 *
 * With `on` there may be far more labels than `limit`. The pass keeps cells while there are at most `limit` labels;
 * when there turn out to be more, it goes on with label totals alone, the top labels are chosen, and a second pass
 * fills the cells of just those. So memory is bounded by the labels' texts plus limit × buckets, and the answer is
 * exact either way.
 */
#include "base/civil.h"
#include "os/clock.h"
#include "query/buckets.h"
#include "query/native/columns.h"
#include "query/native/labels.h"
#include "query/native/native.h"

#include <roaring/roaring.h>
#include <stdatomic.h>
#include <stdlib.h>

#define EXPR_BUDGET_MIN ((size_t)8 << 20)

struct segment {
    const struct plan *plan;
    const struct plan_limits *limits;
    struct error *error;
    struct snapshot *snapshot;
    struct arena *arena;
    struct buckets *buckets;
    uint32_t bucket_count;
    uint32_t *events; /* of the plan */
    size_t event_count;
    const struct expr *where, *on;
    struct expr_state *where_state, *on_state;
    struct columns *where_columns, *on_columns;
    struct labels labels;
    /* cells of the labels that are kept: slot × buckets */
    bool users;      /* the measure needs sets of persons */
    bool collecting; /* false: label totals only */
    uint32_t *slots; /* label -> slot, NULL while label numbers are slots */
    uint32_t slot_count, slot_capacity;
    uint64_t *counts;
    roaring_bitmap_t **persons;
    uint64_t set_bytes; /* rough size of all sets */
    uint64_t last_cell;
    uint32_t last_person;
};

static enum status out_of_memory(struct segment *s)
{
    error_set(s->error, STATUS_LIMIT, "the query needs more than %zu bytes of memory", s->limits->memory_bytes_max);
    error_hint(s->error, "use a shorter range, a larger unit, fewer labels, or raise query.memory_max");
    return STATUS_LIMIT;
}

static enum status interrupted(struct segment *s)
{
    if (s->limits->cancelled && atomic_load_explicit(s->limits->cancelled, memory_order_relaxed))
        return error_set(s->error, STATUS_CANCELLED, "the query was cancelled");
    if (s->limits->deadline_ns != INT64_MAX && os_monotonic_ns() > s->limits->deadline_ns) {
        error_set(s->error, STATUS_CANCELLED, "the query took longer than allowed");
        error_hint(s->error, "use a shorter range, or raise query.timeout");
        return STATUS_CANCELLED;
    }
    return STATUS_OK;
}

static void free_cells(struct segment *s)
{
    for (uint64_t i = 0; s->persons && i < (uint64_t)s->slot_capacity * s->bucket_count; i++) {
        if (s->persons[i]) roaring_bitmap_free(s->persons[i]);
    }
    free(s->counts);
    free(s->persons);
    s->counts = NULL;
    s->persons = NULL;
    s->slot_count = s->slot_capacity = 0;
    s->set_bytes = 0;
    s->last_cell = UINT64_MAX;
}

static enum status reserve_slots(struct segment *s, uint32_t count)
{
    if (count <= s->slot_capacity) return STATUS_OK;
    uint64_t capacity = s->slot_capacity ? (uint64_t)s->slot_capacity * 2 : 4;
    if (capacity < count) capacity = count;
    uint64_t cells = capacity * s->bucket_count, old = (uint64_t)s->slot_capacity * s->bucket_count;
    uint64_t cell_bytes = sizeof *s->counts + (s->users ? sizeof *s->persons : 0);
    if (cells > s->limits->memory_bytes_max / cell_bytes) return out_of_memory(s);
    uint64_t *counts = realloc(s->counts, cells * sizeof *counts);
    if (!counts) return out_of_memory(s);
    memset(counts + old, 0, (cells - old) * sizeof *counts);
    s->counts = counts;
    if (s->users) {
        roaring_bitmap_t **persons = realloc(s->persons, cells * sizeof *persons);
        if (!persons) return out_of_memory(s);
        memset(persons + old, 0, (cells - old) * sizeof *persons);
        s->persons = persons;
    }
    s->slot_capacity = (uint32_t)capacity;
    return STATUS_OK;
}

static enum status count_cell(struct segment *s, uint32_t slot, uint32_t bucket, uint32_t person)
{
    uint64_t cell = (uint64_t)slot * s->bucket_count + bucket;
    s->counts[cell]++;
    if (!s->users || person == 0 || (cell == s->last_cell && person == s->last_person)) return STATUS_OK;
    s->last_cell = cell;
    s->last_person = person;
    if (!s->persons[cell]) {
        if (!(s->persons[cell] = roaring_bitmap_create())) return out_of_memory(s);
        s->set_bytes += 256;
    }
    if (roaring_bitmap_add_checked(s->persons[cell], person)) s->set_bytes += 4;
    return s->set_bytes > s->limits->memory_bytes_max ? out_of_memory(s) : STATUS_OK;
}

static enum status count_labels(struct segment *s, const struct vector *vector, uint32_t row, uint32_t bucket,
                                uint32_t person)
{
    const uint32_t *labels;
    uint32_t count;
    if (labels_of(&s->labels, vector, row, &labels, &count) != STATUS_OK) return out_of_memory(s);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = labels[i];
        if (!s->slots) {
            s->labels.totals[slot]++;
            if (s->collecting && s->labels.count > s->plan->limit) {
                s->collecting = false;
                free_cells(s);
            }
        } else if (slot >= s->labels.count || (slot = s->slots[slot]) == LABEL_UNKNOWN) {
            continue;
        }
        if (!s->collecting) continue;
        if (slot >= s->slot_count) {
            TRY(reserve_slots(s, slot + 1));
            s->slot_count = slot + 1;
        }
        TRY(count_cell(s, slot, bucket, person));
    }
    return STATUS_OK;
}

static enum status evaluate(struct segment *s, const char *parameter, enum status status)
{
    if (status == STATUS_LIMIT) return out_of_memory(s);
    if (status == STATUS_INVALID) error_prefix(s->error, "%s", parameter);
    return status;
}

static enum status scan_rows(struct segment *s, struct scan *scan, uint32_t event_id, uint32_t rows)
{
    uint32_t bucket[VECTOR_ROWS_MAX];
    uint8_t keep[VECTOR_ROWS_MAX];
    const int64_t *times;
    const uint8_t *live;
    const uint32_t *persons = NULL;
    const struct vector *vectors;
    struct vector on = {0};
    TRY(scan_times(scan, s->error, &times));
    TRY(scan_live(scan, s->error, &live));
    uint32_t left = 0;
    for (uint32_t i = 0; i < rows; i++) {
        bucket[i] = live[i] ? buckets_find(s->buckets, times[i]) : BUCKET_NONE;
        keep[i] = bucket[i] != BUCKET_NONE;
        left += keep[i];
    }
    if (left == 0) return STATUS_OK;
    if (s->where) {
        TRY(columns_read(s->where_columns, scan, event_id, rows, s->error, &vectors));
        TRY(evaluate(s, "where", expr_filter(s->where_state, vectors, rows, s->error, keep)));
    }
    if (s->on) {
        TRY(columns_read(s->on_columns, scan, event_id, rows, s->error, &vectors));
        TRY(evaluate(s, "on", expr_eval_kept(s->on_state, vectors, rows, keep, s->error, &on)));
    }
    if (s->users) TRY(scan_persons(scan, s->error, &persons));
    for (uint32_t i = 0; i < rows; i++) {
        if (!keep[i]) continue;
        uint32_t person = persons ? persons[i] : 0;
        if (s->on)
            TRY(count_labels(s, &on, i, bucket[i], person));
        else
            TRY(count_cell(s, 0, bucket[i], person));
    }
    return STATUS_OK;
}

static enum status pass(struct segment *s)
{
    struct scan_options options = {.memory_bytes_max = s->limits->memory_bytes_max};
    if (s->plan->event_count) {
        options.events = s->events;
        options.event_count = s->event_count;
    }
    buckets_span(s->buckets, &options.from_ms, &options.to_ms);
    struct scan *scan;
    struct scan_run run;
    TRY(scan_new(s->snapshot, &options, s->error, &scan));
    enum status status;
    while ((status = scan_next(scan, s->error, &run)) == STATUS_OK) {
        for (uint32_t v = 0; v < run.vectors && status == STATUS_OK; v++) {
            uint32_t rows;
            if (v % 16 == 0) status = interrupted(s);
            if (status == STATUS_OK) status = scan_vector(scan, v, s->error, &rows);
            if (status == STATUS_OK) status = scan_rows(s, scan, run.event_id, rows);
        }
        if (status != STATUS_OK) break;
    }
    scan_free(scan);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* --- choosing labels, making the answer --- */

struct ranked {
    uint64_t total;
    struct str text;
    uint32_t label;
};

static int rank_cmp(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->total != y->total) return x->total > y->total ? -1 : 1;
    return str_cmp(x->text, y->text);
}

static enum status rank(struct segment *s, struct ranked **ret_ranked)
{
    struct ranked *ranked = malloc(((size_t)s->labels.count + 1) * sizeof *ranked);
    if (!ranked) return out_of_memory(s);
    for (uint32_t i = 0; i < s->labels.count; i++)
        ranked[i] = (struct ranked){s->labels.totals[i], s->labels.texts[i], i};
    qsort(ranked, s->labels.count, sizeof *ranked, rank_cmp);
    *ret_ranked = ranked;
    return STATUS_OK;
}

static uint64_t cell_users(const struct segment *s, uint64_t cell)
{
    return s->users && s->persons[cell] ? roaring_bitmap_get_cardinality(s->persons[cell]) : 0;
}

static enum status add_series(struct segment *s, struct segmentation *result, struct str label, uint32_t slot)
{
    struct series *series = &result->series[result->series_count++];
    bool counts = result->cell_type == CELL_COUNT;
    series->label = arena_str(result->arena, label);
    if (counts)
        series->counts = arena_new_array(result->arena, uint64_t, s->bucket_count);
    else
        series->numbers = arena_new_array(result->arena, double, s->bucket_count);
    if (!series->label.data || (!series->counts && !series->numbers)) return out_of_memory(s);
    for (uint32_t b = 0; b < s->bucket_count && slot < s->slot_count; b++) {
        uint64_t cell = (uint64_t)slot * s->bucket_count + b, users = cell_users(s, cell);
        if (counts)
            series->counts[b] = s->plan->measure == MEASURE_UNIQUE ? users : s->counts[cell];
        else
            series->numbers[b] = users ? (double)s->counts[cell] / (double)users : 0;
    }
    return STATUS_OK;
}

static enum status run_passes(struct segment *s, struct segmentation *result)
{
    s->collecting = true;
    s->last_cell = UINT64_MAX;
    if (!s->on) {
        TRY(reserve_slots(s, 1));
        s->slot_count = 1;
        TRY(pass(s));
        result->series = arena_new_array(result->arena, struct series, 1);
        if (!result->series) return out_of_memory(s);
        result->label_count = 1;
        return add_series(s, result, s->plan->event_count == 1 ? s->plan->events[0] : STR("$any_event"), 0);
    }
    TRY(pass(s));
    struct ranked *ranked = NULL;
    TRY(rank(s, &ranked));
    uint32_t kept = s->labels.count < s->plan->limit ? s->labels.count : s->plan->limit;
    enum status status = STATUS_OK;
    if (!s->collecting) {
        s->slots = arena_alloc(s->arena, (size_t)s->labels.count * sizeof *s->slots);
        if (!s->slots) status = out_of_memory(s);
        for (uint32_t i = 0; i < s->labels.count && status == STATUS_OK; i++)
            s->slots[ranked[i].label] = i < kept ? i : LABEL_UNKNOWN;
        s->collecting = true;
        if (status == STATUS_OK) status = reserve_slots(s, kept ? kept : 1);
        s->slot_count = kept;
        if (status == STATUS_OK) status = pass(s);
    }
    result->label_count = s->labels.count;
    result->series = arena_new_array(result->arena, struct series, kept ? kept : 1);
    if (status == STATUS_OK && !result->series) status = out_of_memory(s);
    for (uint32_t i = 0; i < kept && status == STATUS_OK; i++)
        status = add_series(s, result, ranked[i].text, s->slots ? i : ranked[i].label);
    free(ranked);
    return status;
}

static enum status compile(struct segment *s, const char *parameter, struct str text, bool bare_name,
                           const struct expr **ret_expr, struct expr_state **ret_state, struct columns **ret_columns)
{
    if (!text.data) return STATUS_OK;
    struct expr_options options = {
        .zone = s->plan->zone, .now_ms = s->plan->now_ms, .bare_name_is_property = bare_name};
    const struct expr *expr;
    TRY(evaluate(s, parameter, expr_compile(s->arena, text, &options, s->error, &expr)));
    size_t budget = s->limits->memory_bytes_max / 4;
    *ret_state = expr_state_new(expr, budget > EXPR_BUDGET_MIN ? budget : EXPR_BUDGET_MIN);
    TRY(columns_new(s->arena, expr, s->snapshot, s->error, ret_columns));
    *ret_expr = expr;
    return STATUS_OK;
}

/* The numbers of the plan's events, each once; names that no event has are left out. */
static enum status find_events(struct segment *s)
{
    s->events = arena_new_array(s->arena, uint32_t, s->plan->event_count + 1);
    if (!s->events) return out_of_memory(s);
    for (size_t i = 0; i < s->plan->event_count; i++) {
        uint32_t event = snapshot_event_id(s->snapshot, s->plan->events[i]);
        size_t known = 0;
        while (known < s->event_count && s->events[known] != event) known++;
        if (event != EVENT_ID_NONE && known == s->event_count) s->events[s->event_count++] = event;
    }
    return STATUS_OK;
}

enum status native_segment_capable(const struct plan *plan, struct error *error)
{
    if (plan_measures_numbers(plan->measure)) return error_set(error, STATUS_UNSUPPORTED, "not supported");
    return STATUS_OK;
}

enum status native_segment(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                           struct error *error, struct segmentation *ret_result)
{
    struct native *native = (struct native *)executor;
    struct error local;
    struct segment s = {.plan = plan, .limits = limits, .error = error ? error : &local};
    TRY(plan_check(plan, error));
    TRY(native_segment_capable(plan, error));
    struct segmentation result = {.arena = NULL, .cell_type = cell_type_of(plan->measure)};
    s.arena = arena_new(limits->memory_bytes_max);
    result.arena = arena_new(limits->memory_bytes_max);
    s.users = plan->measure != MEASURE_COUNT;
    labels_init(&s.labels, limits->memory_bytes_max);
    enum status status = buckets_new(s.arena, plan, limits->buckets_max, s.error, &s.buckets);
    if (status == STATUS_OK) status = store_snapshot(native->store, plan->project, s.error, &s.snapshot);
    if (status == STATUS_OK) status = find_events(&s);
    if (status == STATUS_OK)
        status = compile(&s, "where", plan->where, false, &s.where, &s.where_state, &s.where_columns);
    if (status == STATUS_OK) status = compile(&s, "on", plan->on, true, &s.on, &s.on_state, &s.on_columns);
    if (status == STATUS_OK) {
        s.bucket_count = result.bucket_count = buckets_count(s.buckets);
        result.buckets = arena_new_array(result.arena, struct str, result.bucket_count);
        if (!result.buckets) status = out_of_memory(&s);
    }
    for (uint32_t i = 0; i < result.bucket_count && status == STATUS_OK; i++) {
        result.buckets[i] = arena_str(result.arena, buckets_label(s.buckets, i));
        if (!result.buckets[i].data) status = out_of_memory(&s);
    }
    if (status == STATUS_OK) status = run_passes(&s, &result);
    free_cells(&s);
    labels_fini(&s.labels);
    expr_state_free(s.where_state);
    expr_state_free(s.on_state);
    snapshot_free(s.snapshot);
    arena_free(s.arena);
    if (status != STATUS_OK) {
        arena_free(result.arena);
        return status;
    }
    *ret_result = result;
    return STATUS_OK;
}
