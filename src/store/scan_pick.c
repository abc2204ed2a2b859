/*
 * Single rows of the current vector. Every column is asked for the same few items: of a column with a value per row
 * these are the rows, of one with a value per person the places of their persons in the run's list.
 */
#include "base/civil.h"
#include "store/chunk_int.h"
#include "store/chunk_pick.h"
#include "store/run_shared.h"
#include "store/scan_int.h"

_Static_assert(SCAN_PICKS_MAX == CHUNK_PICKS_MAX, "picks of a vector");

static struct chunk_picks picks_of(const struct scan *scan)
{
    return (struct chunk_picks){scan->picked, scan->picked_count};
}

enum status scan_pick(struct scan *scan, const uint32_t *rows, uint32_t count, struct error *error)
{
    scan->picked_count = 0;
    if (count > SCAN_PICKS_MAX || (count && rows[count - 1] >= scan->rows))
        return error_set(error, STATUS_INTERNAL, "no such rows");
    TRY(run_pick_owners(&scan->run, scan->vector, rows, count, error, scan->picked_ordinals, scan->picked_persons));
    if (count) memcpy(scan->picked, rows, count * sizeof *rows);
    scan->picked_count = count;
    return STATUS_OK;
}

#define LINE_BYTES 64

/* Items of a few rows are spread over all lines of a vector, and each column has its own: waiting for one line after
 * the other would take longer than all the rest. */
void scan_expect_vector(struct scan *scan, uint32_t vector)
{
    for (uint32_t c = 0; c < scan->run.column_count; c++) {
        const struct run_column *column = &scan->run.columns[c];
        struct reader bytes;
        if (column->chunk.per_person || column->block_index != vector / BLOCK_VECTORS) continue;
        if (column->chunk.property < CORE_MINUTE && column->chunk.property >= CORE_PERSON) continue;
        if (chunk_open_vector(&column->chunk, column->block.bytes, vector, &bytes) != STATUS_OK) continue;
        for (const unsigned char *at = bytes.at; at < bytes.end; at += LINE_BYTES) __builtin_prefetch(at);
    }
}

static enum status pick_stream(struct scan *scan, enum core_stream stream, struct error *error, int64_t *ret_values)
{
    struct run *run = &scan->run;
    struct run_column *column = run_column(run, stream);
    if (!column) return run_damaged(run, STATUS_CORRUPT, error);
    if (column->chunk.encoding == CHUNK_CONST) {
        int64_t number;
        TRY(run_read_constant(run, column, error, &number));
        for (uint32_t i = 0; i < scan->picked_count; i++) ret_values[i] = number;
        return STATUS_OK;
    }
    TRY(run_pin_block(run, column, scan->vector, error));
    return run_damaged(
        run, chunk_pick_ints(&column->chunk, column->block.bytes, scan->vector, picks_of(scan), ret_values), error);
}

enum status scan_pick_times(struct scan *scan, struct error *error, int64_t *ret_times_ms)
{
    int64_t minutes[SCAN_PICKS_MAX];
    const struct section_event *event = scan->run.event;
    uint64_t window_ms = (uint64_t)scan->run.section->window_day * DAY_MS;
    bool inside = true;
    TRY(pick_stream(scan, CORE_MINUTE, error, minutes));
    TRY(pick_stream(scan, CORE_MS, error, ret_times_ms));
    for (uint32_t i = 0; i < scan->picked_count; i++) {
        /* unsigned: damaged minutes may overflow, and do not pass the check */
        ret_times_ms[i] = (int64_t)(window_ms + (uint64_t)minutes[i] * 60000 + (uint64_t)ret_times_ms[i]);
        inside &= ret_times_ms[i] >= event->time_min_ms && ret_times_ms[i] <= event->time_max_ms;
    }
    return inside ? STATUS_OK : run_damaged(&scan->run, STATUS_CORRUPT, error);
}

enum status scan_pick_ids(struct scan *scan, struct error *error, uint32_t *ret_ids)
{
    struct run *run = &scan->run;
    struct run_column *column = run_column(run, CORE_ID);
    int64_t values[SCAN_PICKS_MAX];
    if (!column) return run_damaged(run, STATUS_CORRUPT, error);
    if (column->chunk.encoding == CHUNK_PERSON_ID) {
        TRY(run_pin_block(run, column, scan->vector, error));
        memcpy(ret_ids, scan->picked_persons, scan->picked_count * sizeof *ret_ids);
        TRY(run_damaged(
            run, chunk_pick_person_ids(&column->chunk, column->block.bytes, scan->vector, picks_of(scan), ret_ids),
            error));
        for (uint32_t i = 0; i < scan->picked_count; i++) values[i] = ret_ids[i];
    } else {
        TRY(pick_stream(scan, CORE_ID, error, values));
    }
    for (uint32_t i = 0; i < scan->picked_count; i++) {
        if ((uint64_t)values[i] > id_view_count(scan->snapshot->ids))
            return error_set(error, STATUS_CORRUPT, "id %lld does not exist", (long long)values[i]);
        ret_ids[i] = (uint32_t)values[i];
    }
    return STATUS_OK;
}

enum status scan_pick_persons(struct scan *scan, struct error *error, uint32_t *ret_persons)
{
    const struct id_view *ids = scan->snapshot->ids;
    bool mixed = false;
    for (uint32_t i = 0; i < scan->picked_count; i++) {
        uint32_t stored = scan->picked_persons[i];
        if (stored > id_view_count(ids)) return error_set(error, STATUS_CORRUPT, "person %u does not exist", stored);
        ret_persons[i] = id_view_person(ids, stored);
        mixed |= id_view_is_mixed(ids, stored);
    }
    if (!mixed) return STATUS_OK;
    uint32_t sent[SCAN_PICKS_MAX];
    TRY(scan_pick_ids(scan, error, sent));
    for (uint32_t i = 0; i < scan->picked_count; i++) ret_persons[i] = id_view_person(ids, sent[i]);
    return STATUS_OK;
}

enum status scan_pick_received(struct scan *scan, struct error *error, int64_t *ret_received_ms)
{
    return pick_stream(scan, CORE_RECEIVED, error, ret_received_ms);
}

enum status scan_pick_flags(struct scan *scan, struct error *error, uint8_t *ret_flags)
{
    int64_t values[SCAN_PICKS_MAX];
    TRY(pick_stream(scan, CORE_FLAGS, error, values));
    for (uint32_t i = 0; i < scan->picked_count; i++) ret_flags[i] = (uint8_t)values[i];
    return STATUS_OK;
}

/* Values of one vector of the column's items. */
static enum status pick_items(struct run *run, struct run_column *column, uint32_t vector, struct chunk_picks picks,
                              char *text, struct error *error, struct value *ret_values)
{
    TRY(run_pin_block(run, column, vector, error));
    struct str block = column->block.bytes;
    if (column->chunk.encoding != CHUNK_DICT)
        return run_damaged(run, chunk_pick_values(&column->chunk, block, vector, picks, text, ret_values), error);
    uint32_t codes[SCAN_PICKS_MAX];
    TRY(run_damaged(run, chunk_pick_codes(&column->chunk, block, vector, picks, column->dict_count, codes), error));
    for (uint32_t i = 0; i < picks.count; i++) ret_values[i] = column->values[codes[i]];
    return STATUS_OK;
}

/* The first entry from `low` on that is of this item or a later one. */
static uint32_t sparse_from(const struct run_column *column, uint32_t low, uint32_t item)
{
    uint32_t high = column->dict_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (column->sparse_items[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void pick_sparse(const struct scan *scan, const struct run_column *column, struct value *ret_values)
{
    uint32_t first = scan->vector * VECTOR_ROWS_MAX, count = scan->picked_count, at = 0;
    for (uint32_t i = 0; i < count; i++) {
        at = sparse_from(column, at, first + scan->picked[i]);
        if (at == column->dict_count || column->sparse_items[at] > first + scan->picked[count - 1]) {
            for (; i < count; i++) ret_values[i] = value_absent(); /* the rest of them, and of a rare property all */
            return;
        }
        bool found = column->sparse_items[at] == first + scan->picked[i];
        ret_values[i] = found ? column->sparse_values[at] : value_absent();
    }
}

/* Strings that lie where they may not stay. */
static enum status copy_texts(struct scan *scan, struct arena *arena, uint32_t count, struct error *error,
                              struct value *values)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) bytes += values[i].type >= VALUE_STRING ? values[i].size : 0;
    if (!bytes) return STATUS_OK;
    char *to = arena_alloc(arena, bytes);
    if (!to) return run_damaged(&scan->run, STATUS_LIMIT, error);
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].type < VALUE_STRING || values[i].size == 0) continue;
        memcpy(to, values[i].data, values[i].size);
        values[i].data = to;
        to += values[i].size;
    }
    return STATUS_OK;
}

/* A column that is written once per person: its items are the run's persons and the exceptions. Both ascend, so they
 * are picked one after the other, each vector of items by itself. */
static enum status pick_shared(struct scan *scan, struct run_column *column, struct arena *arena, char *text,
                               struct error *error, struct value *ret_values)
{
    uint32_t items[SCAN_PICKS_MAX], exception_items = chunk_exception_items(&column->chunk);
    TRY(run_shared_items(&scan->run, column, scan->vector, scan->picked, scan->picked_ordinals, scan->picked_count,
                         error, items));
    for (unsigned exceptions = 0; exceptions < 2; exceptions++) {
        for (uint32_t i = 0; i < scan->picked_count;) {
            uint32_t inside[SCAN_PICKS_MAX], to[SCAN_PICKS_MAX], from[SCAN_PICKS_MAX], rows = 0, n = 0, vector = 0;
            struct value values[SCAN_PICKS_MAX];
            for (; i < scan->picked_count; i++) {
                uint32_t item = items[i];
                if ((item >= exception_items) != exceptions) continue;
                if (n && item / VECTOR_ROWS_MAX != vector) break;
                vector = item / VECTOR_ROWS_MAX;
                if (n == 0 || inside[n - 1] != item % VECTOR_ROWS_MAX) inside[n++] = item % VECTOR_ROWS_MAX;
                to[rows] = i;
                from[rows++] = n - 1;
            }
            if (!n) break;
            TRY(pick_items(&scan->run, column, vector, (struct chunk_picks){inside, n}, text, error, values));
            if (text)
                text += (size_t)n * column->chunk.parameter;
            else
                TRY(copy_texts(scan, arena, n, error, values)); /* the next vector may be in another block */
            for (uint32_t k = 0; k < rows; k++) ret_values[to[k]] = values[from[k]];
        }
    }
    return STATUS_OK;
}

static enum status pick_column(struct scan *scan, struct run_column *column, struct arena *arena, struct error *error,
                               struct value *ret_values)
{
    struct run *run = &scan->run;
    uint8_t encoding = column->chunk.encoding;
    if (encoding == CHUNK_FIXED) {
        char *text = arena_alloc(arena, (size_t)column->chunk.parameter * (scan->picked_count + 1));
        if (!text) return run_damaged(run, STATUS_LIMIT, error);
        if (column->chunk.per_person) return pick_shared(scan, column, arena, text, error, ret_values);
        return pick_items(run, column, scan->vector, picks_of(scan), text, error, ret_values);
    }
    TRY(run_prepare_dictionary(run, column, error));
    if (encoding == CHUNK_CONST)
        for (uint32_t i = 0; i < scan->picked_count; i++) ret_values[i] = column->values[0];
    else if (encoding == CHUNK_SPARSE)
        pick_sparse(scan, column, ret_values);
    else if (column->chunk.per_person)
        return pick_shared(scan, column, arena, NULL, error, ret_values);
    else
        TRY(pick_items(run, column, scan->vector, picks_of(scan), NULL, error, ret_values));
    return copy_texts(scan, arena, scan->picked_count, error, ret_values);
}

enum status scan_pick_insert_ids(struct scan *scan, struct arena *arena, struct error *error, struct value *ret_values)
{
    struct run_column *column = run_column(&scan->run, CORE_INSERT);
    if (!column) return run_damaged(&scan->run, STATUS_CORRUPT, error);
    return pick_column(scan, column, arena, error, ret_values);
}

static struct run_column *property_at(struct run *run, size_t place)
{
    uint32_t core = 0; /* core streams stand in front */
    while (core < run->column_count && run->columns[core].chunk.property > PROPERTY_ID_MAX) core++;
    return place < run->column_count - core ? &run->columns[core + place] : NULL;
}

enum status scan_pick_property(struct scan *scan, size_t place, struct arena *arena, struct error *error,
                               struct value *ret_values)
{
    struct run_column *column = property_at(&scan->run, place);
    if (!column) return error_set(error, STATUS_INTERNAL, "no such property");
    return pick_column(scan, column, arena, error, ret_values);
}

enum status scan_pick_codes(struct scan *scan, size_t place, struct error *error, bool *ret_any, uint32_t *ret_codes,
                            const struct value **ret_values, uint32_t *ret_value_count)
{
    struct run *run = &scan->run;
    struct run_column *column = property_at(run, place);
    if (!column) return error_set(error, STATUS_INTERNAL, "no such property");
    const struct chunk *chunk = &column->chunk;
    *ret_any = chunk->encoding == CHUNK_DICT;
    if (!*ret_any) return STATUS_OK;
    TRY(run_prepare_dictionary(run, column, error));
    *ret_values = column->values;
    *ret_value_count = column->dict_count;
    uint32_t items[SCAN_PICKS_MAX], count = scan->picked_count;
    for (uint32_t i = 0, end; i < count; i = end) {
        /* of a column with a value per person, the items may lie in several vectors */
        uint32_t vector = chunk->per_person ? scan->picked_ordinals[i] / VECTOR_ROWS_MAX : scan->vector;
        for (end = i; end < count; end++) {
            if (chunk->per_person && scan->picked_ordinals[end] / VECTOR_ROWS_MAX != vector) break;
            items[end] = chunk->per_person ? scan->picked_ordinals[end] % VECTOR_ROWS_MAX : scan->picked[end];
        }
        struct chunk_picks picks = {items + i, end - i};
        TRY(run_pin_block(run, column, vector, error));
        TRY(run_damaged(run,
                        chunk_pick_codes(chunk, column->block.bytes, vector, picks, column->dict_count, ret_codes + i),
                        error));
    }
    return STATUS_OK;
}
