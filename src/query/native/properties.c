/*
 * Which properties events have, and how many have each.
 *
 * A run knows of every property how many of its rows have it. So a run of which all rows count is not read at all;
 * where some do not (deleted, outside the range, or `where`), properties that all rows have need no reading either, and
 * the values of the others are looked at. Runs are shared out over the pool.
 */
#include "query/native/select.h"

#include <stdlib.h>

struct tally {
    struct selection selection;
    struct scan *scan;
    struct error error;
    bool ready;
    uint64_t *counts; /* by property */
};

struct tallying {
    const struct selection *selection;
    struct tally *tallies; /* one a slot */
    const struct scan_run *runs;
    uint32_t property_count;
};

static enum status get_ready(const struct tallying *all, struct tally *tally)
{
    if (tally->ready) return STATUS_OK;
    TRY(selection_fork(all->selection, &tally->error, &tally->selection));
    tally->ready = true;
    tally->counts = arena_new_array(tally->selection.arena, uint64_t, (size_t)all->property_count + 1);
    if (!tally->counts) return selection_out_of_memory(&tally->selection, &tally->error);
    return selection_scan(&tally->selection, &tally->error, &tally->scan);
}

/* How many of the kept rows have a value. */
static uint64_t count_present(const struct vector *vector, const uint8_t *keep, uint32_t rows)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < rows; i++) {
        if (keep[i]) count += vector_at(vector, i).type != VALUE_ABSENT;
    }
    return count;
}

static enum status tally_rows(struct tally *tally, const struct scan_run *run, const uint32_t *ids,
                              const uint32_t *rows_of, size_t count)
{
    for (uint32_t v = 0; v < run->vectors; v++) {
        uint8_t keep[VECTOR_ROWS_MAX];
        uint32_t rows, left;
        if (v % 16 == 0) TRY(selection_interrupted(&tally->selection, &tally->error));
        TRY(scan_vector(tally->scan, v, &tally->error, &rows));
        memset(keep, 1, sizeof keep);
        TRY(selection_keep(&tally->selection, tally->scan, run, rows, &tally->error, keep, &left));
        for (size_t i = 0; i < count && left; i++) {
            struct vector values;
            if (rows_of[i] == run->rows) {
                tally->counts[ids[i]] += left;
                continue;
            }
            TRY(scan_property(tally->scan, ids[i], &tally->error, &values));
            tally->counts[ids[i]] += count_present(&values, keep, rows);
        }
    }
    return STATUS_OK;
}

static enum status tally_task(void *ctx, unsigned slot, uint32_t index)
{
    const struct tallying *all = ctx;
    struct tally *tally = &all->tallies[slot];
    const struct scan_run *run = &all->runs[index];
    const uint32_t *ids, *rows;
    size_t count;
    TRY(get_ready(all, tally));
    TRY(selection_interrupted(&tally->selection, &tally->error));
    TRY(scan_open(tally->scan, run, &tally->error));
    TRY(scan_properties(tally->scan, &tally->error, &ids, &count));
    TRY(scan_property_rows(tally->scan, &tally->error, &rows));
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= all->property_count)
            return error_set(&tally->error, STATUS_CORRUPT, "property %u does not exist", ids[i]);
    }
    if (all->selection->where || run->deleted || !selection_covers(all->selection, run))
        return tally_rows(tally, run, ids, rows, count);
    for (size_t i = 0; i < count; i++) tally->counts[ids[i]] += rows[i];
    return STATUS_OK;
}

/* --- the answer --- */

static int most_first(const void *a, const void *b)
{
    const struct top_value *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return str_cmp(x->label, y->label);
}

static enum status answer(const struct tallying *all, unsigned slots, uint32_t limit, struct top_values *result)
{
    const struct snapshot *snapshot = all->selection->snapshot;
    result->values = arena_new_array(result->arena, struct top_value, (size_t)all->property_count + 1);
    if (!result->values) return STATUS_LIMIT;
    for (uint32_t id = 0; id < all->property_count; id++) {
        uint64_t count = 0;
        for (unsigned s = 0; s < slots; s++) count += all->tallies[s].counts ? all->tallies[s].counts[id] : 0;
        if (count == 0) continue;
        result->values[result->label_count++] = (struct top_value){snapshot_property_name(snapshot, id), count};
    }
    qsort(result->values, result->label_count, sizeof *result->values, most_first);
    result->value_count = result->label_count < limit ? result->label_count : limit;
    for (uint32_t i = 0; i < result->value_count; i++) {
        result->values[i].label = arena_str(result->arena, result->values[i].label);
        if (!result->values[i].label.data) return STATUS_LIMIT;
    }
    return STATUS_OK;
}

enum status native_properties(struct native *native, const struct plan *plan, const struct plan_limits *limits,
                              struct error *error, struct top_values *ret_result)
{
    struct selection selection;
    struct scan_run *runs;
    size_t run_count;
    unsigned slots = pool_slots(native->pool);
    TRY(selection_init(&selection, native, plan, limits, error));
    selection.share_bytes_max = limits->memory_bytes_max / slots;
    struct tallying all = {.selection = &selection, .property_count = snapshot_property_count(selection.snapshot)};
    struct top_values result = {.arena = arena_new(limits->memory_bytes_max)};
    enum status status = selection_runs(&selection, error, &runs, &run_count);
    if (status == STATUS_OK) status = selection_load_profiles(&selection, native, runs, run_count, error);
    all.tallies = arena_new_array(selection.arena, struct tally, slots);
    if (status == STATUS_OK && !all.tallies) status = selection_out_of_memory(&selection, error);
    if (status == STATUS_OK) {
        all.runs = runs;
        status = pool_run(native->pool, (uint32_t)run_count, tally_task, &all);
        for (unsigned s = 0; status != STATUS_OK && s < slots; s++) {
            if (all.tallies[s].error.status == status) *error = all.tallies[s].error;
        }
    }
    if (status == STATUS_OK && answer(&all, slots, plan->limit, &result) != STATUS_OK)
        status = selection_out_of_memory(&selection, error);
    for (unsigned s = 0; all.tallies && s < slots; s++) {
        scan_free(all.tallies[s].scan);
        if (all.tallies[s].ready) selection_fini(&all.tallies[s].selection);
    }
    selection_fini(&selection);
    if (status != STATUS_OK) {
        arena_free(result.arena);
        return status;
    }
    *ret_result = result;
    return STATUS_OK;
}
