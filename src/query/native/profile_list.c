/*
 * The profiles of a plan as a list: which row of which run each is. The pass gives them vector by vector, and with a
 * sort, their values; texts are copied, because what a scan returns is gone when it moves. Put together in the order of
 * tasks, rows of one run are in the order of their ids; several runs are merged by it.
 *
 * What is kept are twelve bytes a profile and the snapshot, which holds on to the files and the memory in which the
 * rows are, also after those were replaced: so a list stays what it was. Reading a piece of it goes through the rows in
 * the order in which they lie, decodes each once, and gives them away in the order of the list.
 */
#include "base/radix.h"
#include "query/native/profile_pass.h"
#include "query/native/profile_sort.h"
#include "query/native/profiles.h"
#include "query/native/rows.h"
#include "store/profiles.h"

#include <stdlib.h>

#define READ_ROWS_MAX 1000 /* that are decoded before they are given away */

struct entry {
    uint32_t id, run, row;
};

struct native_list {
    struct profile_list base;
    struct selection selection; /* the shadow's; owns the snapshot */
    struct plan rows_plan;
    struct str event;
    struct scan_run *runs;
    struct entry *entries;
};

/* What a visit found in one vector. In its worker's arena. */
struct found {
    struct found *next;
    uint32_t count;
    struct value *values; /* with a sort */
    struct entry entries[];
};

struct gathering {
    bool sorted;
    struct found_list {
        struct found *first, *last;
    } * tasks;
};

/* --- gathering --- */

/* Of a dictionary's entry, one copy for each run would do; a copy for each row of the vector is simpler, and as much as
 * a column without a dictionary takes. Short repetitions are still shared. */
static enum status keep_value(struct pass_worker *worker, struct value v, struct value *last, struct value *ret)
{
    bool has_bytes = v.type >= VALUE_STRING;
    *ret = v;
    if (!has_bytes || v.size == 0) return STATUS_OK;
    if (last->type == v.type && last->size == v.size && memcmp(last->data, v.data, v.size) == 0) {
        *ret = *last;
        return STATUS_OK;
    }
    char *copy = profile_pass_keep(worker, v.size);
    if (!copy) return selection_out_of_memory(&worker->pass->selection, &worker->error);
    ret->data = memcpy(copy, v.data, v.size);
    *last = *ret;
    return STATUS_OK;
}

static enum status gather(void *ctx, struct pass_worker *worker, uint32_t task, const struct pass_vector *vector)
{
    struct gathering *g = ctx;
    struct found *found = profile_pass_keep(worker, sizeof *found + vector->left * sizeof found->entries[0]);
    if (!found) return selection_out_of_memory(&worker->pass->selection, &worker->error);
    *found = (struct found){.count = 0};
    for (uint32_t row = 0; row < vector->rows; row++) {
        if (vector->keep[row])
            found->entries[found->count++] = (struct entry){vector->ids[row], vector->run, vector->first_row + row};
    }
    if (g->sorted) {
        struct vector values;
        struct value last = value_absent();
        uint32_t count = 0;
        TRY(profile_pass_values(worker, vector, &values));
        found->values = profile_pass_keep(worker, vector->left * sizeof *found->values);
        if (!found->values) return selection_out_of_memory(&worker->pass->selection, &worker->error);
        for (uint32_t row = 0; row < vector->rows; row++) {
            if (vector->keep[row]) TRY(keep_value(worker, vector_at(&values, row), &last, &found->values[count++]));
        }
    }
    struct found_list *list = &g->tasks[task];
    *(list->last ? &list->last->next : &list->first) = found;
    list->last = found;
    return STATUS_OK;
}

/* --- ordering --- */

/* Several runs: by id. */
static bool merge_runs(struct entry *entries, struct value *values, uint32_t count, struct arena *arena)
{
    struct radix_item *items = arena_alloc(arena, ((size_t)count + 1) * sizeof *items);
    struct radix_item *spare = arena_alloc(arena, ((size_t)count + 1) * sizeof *spare);
    struct entry *copy = arena_alloc(arena, ((size_t)count + 1) * sizeof *copy);
    struct value *value_copy = values ? arena_alloc(arena, ((size_t)count + 1) * sizeof *value_copy) : NULL;
    if (!items || !spare || !copy || (values && !value_copy)) return false;
    for (uint32_t i = 0; i < count; i++) items[i] = (struct radix_item){entries[i].id, i};
    items = radix_sort(items, spare, count);
    memcpy(copy, entries, count * sizeof *copy);
    for (uint32_t i = 0; i < count; i++) entries[i] = copy[items[i].value];
    if (!values) return true;
    memcpy(value_copy, values, count * sizeof *value_copy);
    for (uint32_t i = 0; i < count; i++) values[i] = value_copy[items[i].value];
    return true;
}

static bool order_by_values(struct native_list *list, const struct value *values, bool descending, struct arena *arena)
{
    uint32_t count = (uint32_t)list->base.count, *places;
    struct entry *copy = arena_alloc(arena, ((size_t)count + 1) * sizeof *copy);
    if (!copy || profile_sort(values, count, descending, arena, &places) != STATUS_OK) return false;
    memcpy(copy, list->entries, count * sizeof *copy);
    for (uint32_t i = 0; i < count; i++) list->entries[i] = copy[places[i]];
    return true;
}

/* `arena`: what is needed for a while. */
static enum status put_together(struct native_list *list, const struct profile_pass *pass, const struct gathering *g,
                                struct arena *arena, struct error *error)
{
    uint64_t count = 0;
    uint32_t at = 0;
    bool ascends = true;
    for (uint32_t t = 0; t < pass->task_count; t++) {
        for (const struct found *found = g->tasks[t].first; found; found = found->next) count += found->count;
    }
    if (count > UINT32_MAX / 2) return selection_out_of_memory(&pass->selection, error);
    list->base.count = count;
    list->entries = malloc((count + 1) * sizeof *list->entries);
    struct value *values = g->sorted ? arena_alloc(arena, (count + 1) * sizeof *values) : NULL;
    if (!list->entries || (g->sorted && !values) ||
        count * sizeof *list->entries > pass->selection.limits.memory_bytes_max / 4)
        return selection_out_of_memory(&pass->selection, error);
    for (uint32_t t = 0; t < pass->task_count; t++) {
        for (const struct found *found = g->tasks[t].first; found; found = found->next) {
            memcpy(list->entries + at, found->entries, found->count * sizeof *list->entries);
            if (values) memcpy(values + at, found->values, found->count * sizeof *values);
            ascends &= at == 0 || list->entries[at - 1].id < list->entries[at].id;
            at += found->count;
        }
    }
    struct arena_mark mark = arena_mark_set(arena);
    if (!ascends && !merge_runs(list->entries, values, at, arena))
        return selection_out_of_memory(&pass->selection, error);
    arena_rewind(arena, mark);
    if (values && !order_by_values(list, values, pass->plan->descending, arena))
        return selection_out_of_memory(&pass->selection, error);
    return STATUS_OK;
}

/* --- reading --- */

struct place {
    const struct entry *entry;
    uint32_t index; /* in the piece */
};

static int by_place(const void *a, const void *b)
{
    const struct entry *x = ((const struct place *)a)->entry, *y = ((const struct place *)b)->entry;
    if (x->run != y->run) return x->run < y->run ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Decodes the rows of `places` (in the order in which they lie) to out[place.index]. */
static enum status decode(struct native_list *list, struct rows *rows, const struct place *places, uint32_t count,
                          struct arena *arena, struct error *error, struct event_row *out)
{
    uint32_t run = UINT32_MAX, vector_rows;
    for (uint32_t from = 0, to; from < count; from = to) {
        const struct entry *first = places[from].entry;
        uint32_t vector = first->row / VECTOR_ROWS_MAX, picked[SCAN_PICKS_MAX];
        struct event_row some[SCAN_PICKS_MAX];
        for (to = from; to < count && to - from < SCAN_PICKS_MAX && places[to].entry->run == first->run &&
                        places[to].entry->row / VECTOR_ROWS_MAX == vector;
             to++)
            picked[to - from] = places[to].entry->row % VECTOR_ROWS_MAX;
        if (run != first->run) {
            run = UINT32_MAX;
            TRY(rows_run(rows, &list->runs[first->run], error));
            run = first->run;
        }
        TRY(rows_vector(rows, vector, error, &vector_rows));
        TRY(rows_pick(rows, picked, to - from, arena, error, some));
        for (uint32_t i = from; i < to; i++) out[places[i].index] = some[i - from];
    }
    return STATUS_OK;
}

static enum status read_piece(struct native_list *list, struct rows *rows, uint64_t from, uint32_t count,
                              struct arena *arena, struct profile_sink *sink, struct error *error)
{
    struct place *places = arena_alloc(arena, (count + 1) * sizeof *places);
    struct event_row *out = arena_alloc(arena, (count + 1) * sizeof *out);
    if (!places || !out) return selection_out_of_memory(rows->selection, error);
    for (uint32_t i = 0; i < count; i++) places[i] = (struct place){&list->entries[from + i], i};
    qsort(places, count, sizeof *places, by_place);
    TRY(decode(list, rows, places, count, arena, error, out));
    for (uint32_t i = 0; i < count; i++) {
        struct listed_profile row = {.id = out[i].distinct_id,
                                     .received_ms = out[i].received_ms,
                                     .properties = out[i].properties,
                                     .property_count = out[i].property_count};
        TRY(sink->row(sink, &row, error));
    }
    return STATUS_OK;
}

static enum status list_read(struct profile_list *base, uint64_t from, uint64_t count, const struct plan_limits *limits,
                             struct profile_sink *sink, struct error *error)
{
    struct native_list *list = (struct native_list *)base;
    struct selection selection = list->selection; /* of this reader; owns nothing of the list's */
    struct rows rows;
    struct error local;
    if (!error) error = &local;
    if (from >= base->count) return STATUS_OK;
    if (count > base->count - from) count = base->count - from;
    selection.forked = true;
    selection.limits = *limits;
    selection.share_bytes_max = limits->memory_bytes_max / 4;
    TRY(rows_init(&rows, &selection, error));
    struct arena *arena = arena_new(limits->memory_bytes_max / 2);
    enum status status = STATUS_OK;
    while (count && status == STATUS_OK) {
        uint32_t piece = count < READ_ROWS_MAX ? (uint32_t)count : READ_ROWS_MAX;
        arena_reset(arena);
        status = selection_interrupted(&selection, error);
        if (status == STATUS_OK) status = read_piece(list, &rows, from, piece, arena, sink, error);
        from += piece;
        count -= piece;
    }
    if (status == STATUS_LIMIT && !error->hint[0]) selection_out_of_memory(&selection, error);
    rows_fini(&rows);
    arena_free(arena);
    return status;
}

static void list_free(struct profile_list *base)
{
    struct native_list *list = (struct native_list *)base;
    free(list->entries);
    selection_fini(&list->selection);
    free(list);
}

/* --- making one --- */

/* A selection of the list's own, with the snapshot of the pass, which loses it. */
static enum status adopt(struct native_list *list, struct profile_pass *pass, struct error *error)
{
    list->rows_plan = pass->rows_plan;
    list->selection = (struct selection){.plan = &list->rows_plan,
                                         .limits = pass->selection.limits,
                                         .snapshot = pass->selection.snapshot,
                                         .arena = arena_new((size_t)16 << 20),
                                         .event_count = pass->selection.event_count,
                                         .intervals = NULL};
    pass->selection.forked = true;
    struct arena *arena = list->selection.arena;
    list->event = arena_str(arena, pass->event);
    list->rows_plan.events = &list->event;
    list->runs = arena_new_array(arena, struct scan_run, pass->run_count + 1);
    list->selection.events = arena_new_array(arena, uint32_t, 1);
    list->selection.intervals = arena_alloc(arena, pass->selection.interval_count * sizeof *pass->selection.intervals);
    if (!list->event.data || !list->runs || !list->selection.events || !list->selection.intervals)
        return selection_out_of_memory(&pass->selection, error);
    if (pass->run_count) memcpy(list->runs, pass->runs, pass->run_count * sizeof *pass->runs);
    list->selection.events[0] = pass->selection.events[0];
    memcpy(list->selection.intervals, pass->selection.intervals,
           pass->selection.interval_count * sizeof *pass->selection.intervals);
    list->selection.interval_count = pass->selection.interval_count;
    return STATUS_OK;
}

enum status native_profile_list(struct executor *executor, const struct profile_plan *plan,
                                const struct plan_limits *limits, struct error *error, struct profile_list **ret_list)
{
    struct profile_pass pass;
    struct error local;
    struct gathering g = {.sorted = plan->sort.data != NULL};
    if (!error) error = &local;
    struct native_list *list = calloc(1, sizeof *list);
    if (!list) return error_set(error, STATUS_LIMIT, "out of memory for a list of profiles");
    list->base = (struct profile_list){.read = list_read, .free = list_free};
    enum status status = profile_pass_init(&pass, (struct native *)executor, plan, limits, error);
    if (status != STATUS_OK) {
        free(list);
        return status;
    }
    struct arena *arena = arena_new(profile_pass_result_bytes(limits));
    g.tasks = arena_new_array(arena, struct found_list, (size_t)pass.task_count + 1);
    if (!g.tasks) status = selection_out_of_memory(&pass.selection, error);
    if (status == STATUS_OK && g.sorted) status = profile_pass_want(&pass, "sort_key", plan->sort, error);
    if (status == STATUS_OK) status = profile_pass_run(&pass, gather, &g, error);
    if (status == STATUS_OK) status = put_together(list, &pass, &g, arena, error);
    if (status == STATUS_OK) status = adopt(list, &pass, error);
    arena_free(arena);
    list->base.bytes = sizeof *list + (size_t)list->base.count * sizeof *list->entries +
                       (list->selection.arena ? arena_used(list->selection.arena) : 0);
    profile_pass_fini(&pass);
    if (status == STATUS_OK) {
        *ret_list = &list->base;
        return STATUS_OK;
    }
    if (list->selection.arena) {
        list_free(&list->base);
    } else {
        free(list->entries);
        free(list);
    }
    return status;
}
