#include "store/memtable.h"

#include "base/civil.h"
#include "base/radix.h"
#include "os/fs.h"

#include <assert.h>
#include <stdlib.h>

#define SEAL_BYTES_MAX ((size_t)4 << 30)

struct frame_bytes *frame_bytes_new(size_t size)
{
    return frame_bytes_new_at(size, 0);
}

struct frame_bytes *frame_bytes_new_at(size_t size, uint64_t offset)
{
    size_t spare = size >= OS_DIRECT_BYTES_MIN ? OS_DIRECT_ALIGN : 0; /* small ones would be mostly that */
    struct frame_bytes *frame = malloc(sizeof *frame + spare + size);
    if (!frame) return NULL;
    char *first = (char *)(frame + 1);
    frame->refs = 1;
    frame->trusted = false;
    frame->size = size;
    frame->data = first + (spare ? (offset - (uintptr_t)first) % spare : 0);
    return frame;
}

/* Only the applier holds references (the log thread hands its single one over), so the count needs no atomics. */
void frame_bytes_ref(struct frame_bytes *frame)
{
    frame->refs++;
}
void frame_bytes_unref(struct frame_bytes *frame)
{
    if (frame && --frame->refs == 0) free(frame);
}

void memtable_init(struct memtable *mem)
{
    *mem = (struct memtable){.keys = U64MAP_INIT(1u << 24)};
}

static void clear(struct memtable *mem)
{
    for (uint32_t i = 0; i < mem->batch_count; i++) {
        frame_bytes_unref(mem->batches[i].frame);
        free(mem->batches[i].property_ids);
    }
    mem->batch_count = mem->count = mem->dead = 0;
    mem->bytes = 0;
    if (mem->keys.capacity > 1u << 18)
        u64map_fini(&mem->keys);
    else
        u64map_clear(&mem->keys);
}

void memtable_fini(struct memtable *mem)
{
    clear(mem);
    free(mem->rows);
    free(mem->batches);
    u64map_fini(&mem->keys);
    *mem = (struct memtable){0};
}

enum status memtable_batch(struct memtable *mem, struct frame_bytes *frame, uint32_t *property_ids, uint32_t name_count,
                           int64_t received_ms)
{
    if (mem->batch_count == mem->batch_capacity) {
        uint32_t capacity = mem->batch_capacity ? mem->batch_capacity * 2 : 64;
        struct mem_batch *grown = realloc(mem->batches, capacity * sizeof *grown);
        if (!grown) {
            free(property_ids);
            return STATUS_LIMIT;
        }
        mem->batches = grown;
        mem->batch_capacity = capacity;
    }
    frame_bytes_ref(frame);
    /* Sections keep whole seconds; so do answers before the rows are in one. */
    int64_t received_s_ms = floor_div(received_ms, 1000) * 1000;
    mem->batches[mem->batch_count++] = (struct mem_batch){frame, property_ids, name_count, received_s_ms};
    mem->bytes += sizeof(struct mem_batch) + (size_t)name_count * sizeof *property_ids;
    return STATUS_OK;
}

enum status memtable_add(struct memtable *mem, const struct mem_row *row, bool *ret_duplicate)
{
    if (mem->count == mem->capacity) {
        uint32_t capacity = mem->capacity ? mem->capacity * 2 : 256;
        struct mem_row *grown = realloc(mem->rows, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        mem->rows = grown;
        mem->capacity = capacity;
    }
    bool duplicate = false;
    if (row->insert_id) {
        struct str insert = str_from(row->insert_id, row->insert_size);
        bool added;
        uint64_t *at = u64map_at(&mem->keys, dedup_key(row->event, row->id, row->time_ms, insert), mem->count, &added);
        if (!at) return STATUS_LIMIT;
        if (!added) {
            struct mem_row *old = &mem->rows[*at];
            /* Equal keys of different fields would be a hash collision: the newer row takes the entry, the old one
             * stays. */
            if (old->event == row->event && old->id == row->id && old->time_ms == row->time_ms &&
                str_eq(str_from(old->insert_id, old->insert_size), insert) && !old->dead) {
                old->dead = true;
                mem->dead++;
                duplicate = true;
            }
            *at = mem->count;
        }
    }
    mem->rows[mem->count] = *row;
    mem->rows[mem->count++].batch = mem->batch_count - 1;
    mem->bytes += sizeof *row + row->properties_size + row->insert_size;
    *ret_duplicate = duplicate;
    return STATUS_OK;
}

void window_around(int64_t time_min_ms, int64_t time_max_ms, int64_t *ret_day, uint32_t *ret_log2)
{
    int64_t first = floor_div(time_min_ms, DAY_MS), last = floor_div(time_max_ms, DAY_MS);
    uint32_t log2 = 0;
    while (log2 < SECTION_LOG2_MAX && first >> log2 != last >> log2) log2++;
    *ret_day = window_start(first, log2);
    *ret_log2 = log2;
}

/* What sealing needs: rows in the order of (event, person, time, arrival). */
struct order {
    struct radix_item *rows; /* key: event and person; value: the row */
    uint32_t count, with_key;
    int64_t time_min_ms, time_max_ms;
};

static int time_cmp(const void *a, const void *b, void *arg)
{
    const struct memtable *mem = arg;
    uint32_t x = ((const struct radix_item *)a)->value, y = ((const struct radix_item *)b)->value;
    int64_t x_ms = mem->rows[x].time_ms, y_ms = mem->rows[y].time_ms;
    if (x_ms != y_ms) return x_ms < y_ms ? -1 : 1;
    return x < y ? -1 : x > y; /* rows ascend in arrival */
}

/* Rows of one person arrive in the order of time, mostly: sorting by event and person leaves little to do. */
static void sort_times(struct memtable *mem, struct radix_item *rows, uint32_t count)
{
    for (uint32_t from = 0, to; from < count; from = to) {
        bool ascends = true;
        for (to = from + 1; to < count && rows[to].key == rows[from].key; to++)
            ascends &= mem->rows[rows[to - 1].value].time_ms <= mem->rows[rows[to].value].time_ms;
        if (ascends) continue;
        qsort_r(rows + from, to - from, sizeof *rows, time_cmp, mem);
    }
}

static enum status sort_rows(struct memtable *mem, const struct id_graph *ids, struct arena *arena, struct order *ret)
{
    struct radix_item *rows = arena_alloc(arena, ((size_t)mem->count + 1) * sizeof *rows);
    struct radix_item *spare = arena_alloc(arena, ((size_t)mem->count + 1) * sizeof *spare);
    struct order order = {.time_min_ms = INT64_MAX, .time_max_ms = INT64_MIN};
    if (!rows || !spare) return STATUS_LIMIT;
    for (uint32_t i = 0; i < mem->count; i++) {
        const struct mem_row *row = &mem->rows[i];
        if (row->dead) continue;
        uint64_t key = (uint64_t)row->event << 32 | id_graph_person(ids, row->id);
        rows[order.count++] = (struct radix_item){key, i};
        order.with_key += row->insert_id != NULL;
        if (row->time_ms < order.time_min_ms) order.time_min_ms = row->time_ms;
        if (row->time_ms > order.time_max_ms) order.time_max_ms = row->time_ms;
    }
    order.rows = radix_sort(rows, spare, order.count);
    sort_times(mem, order.rows, order.count);
    *ret = order;
    return STATUS_OK;
}

/* --- properties: from rows to columns --- */

struct column {
    uint32_t property, count, capacity;
    uint32_t *rows; /* ascending */
    struct value *values;
};

struct columns {
    struct arena *arena;   /* of the run */
    uint32_t *of_property; /* property -> column + 1, 0: none yet; for the whole seal */
    struct column *columns;
    uint32_t count, capacity;
};

static enum status add_value(struct columns *columns, uint32_t property, uint32_t row, struct value value)
{
    uint32_t index = columns->of_property[property];
    if (!index) {
        if (columns->count == columns->capacity) {
            uint32_t capacity = columns->capacity ? columns->capacity * 2 : 64;
            struct column *grown = realloc(columns->columns, capacity * sizeof *grown);
            if (!grown) return STATUS_LIMIT;
            columns->columns = grown;
            columns->capacity = capacity;
        }
        columns->columns[columns->count] = (struct column){.property = property};
        columns->of_property[property] = index = ++columns->count;
    }
    struct column *column = &columns->columns[index - 1];
    /* A property that stands twice in one event (the log allows it) counts once, the last one. */
    if (column->count && column->rows[column->count - 1] == row) column->count--;
    if (column->count == column->capacity) {
        size_t old = column->capacity, capacity = old ? old * 4 : 64;
        column->rows =
            arena_realloc(columns->arena, column->rows, old * sizeof *column->rows, capacity * sizeof *column->rows);
        column->values = arena_realloc(columns->arena, column->values, old * sizeof *column->values,
                                       capacity * sizeof *column->values);
        if (!column->rows || !column->values) return STATUS_LIMIT;
        column->capacity = (uint32_t)capacity;
    }
    column->rows[column->count] = row;
    column->values[column->count++] = value;
    return STATUS_OK;
}

static int column_cmp(const void *a, const void *b)
{
    uint32_t x = ((const struct column *)a)->property, y = ((const struct column *)b)->property;
    return x < y ? -1 : x > y;
}

static enum status write_columns(struct columns *columns, uint32_t rows, struct section_builder *builder)
{
    if (columns->count) qsort(columns->columns, columns->count, sizeof *columns->columns, column_cmp);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < columns->count; i++) {
        const struct column *column = &columns->columns[i];
        columns->of_property[column->property] = 0;
        if (status != STATUS_OK) continue;
        if (column->count == rows)
            status = section_builder_column(builder, column->property, column->values);
        else
            status = section_builder_sparse(builder, column->property, column->rows, column->values, column->count);
    }
    columns->count = 0;
    return status;
}

/* What event_property_next does, in a few instructions for the shapes that nearly all properties have: a name with a
 * number below 128, and a short string, a truth value or a double. */
static inline bool next_property(struct reader *reader, uint32_t *ret_name, struct value *ret_value)
{
    const unsigned char *at = reader->at;
    size_t left = reader_left(reader);
    if (left >= 3 && at[0] < 0x80) {
        if (at[1] == VALUE_STRING && at[2] < 0x80 && left - 3 >= at[2]) {
            *ret_name = at[0];
            *ret_value = value_str(str_from(at + 3, at[2]));
            reader->at = at + 3 + at[2];
            return true;
        }
        if (at[1] == VALUE_BOOL && at[2] <= 1) {
            *ret_name = at[0];
            *ret_value = value_bool(at[2]);
            reader->at = at + 3;
            return true;
        }
        if (at[1] == VALUE_DOUBLE && left >= 10) {
            *ret_name = at[0];
            *ret_value = (struct value){.type = VALUE_DOUBLE};
            memcpy(&ret_value->number, at + 2, 8);
            reader->at = at + 10;
            return true;
        }
    }
    return event_property_next(reader, ret_name, ret_value);
}

static enum status seal_run(struct memtable *mem, const struct memtable_seal *seal, const struct radix_item *order,
                            uint32_t count, struct columns *columns, struct section_builder *builder)
{
    struct arena *arena = columns->arena;
    uint32_t *persons = arena_alloc(arena, count * sizeof *persons), *ids = arena_alloc(arena, count * sizeof *ids);
    int64_t *times = arena_alloc(arena, count * sizeof *times),
            *received = arena_alloc(arena, count * sizeof *received);
    struct value *inserts = arena_alloc(arena, count * sizeof *inserts);
    uint8_t *flags = arena_alloc(arena, count);
    if (!persons || !ids || !times || !received || !inserts || !flags) return STATUS_LIMIT;
    for (uint32_t i = 0; i < count; i++) {
        const struct mem_row *row = &mem->rows[order[i].value];
        const struct mem_batch *batch = &mem->batches[row->batch];
        persons[i] = (uint32_t)order[i].key;
        ids[i] = row->id;
        times[i] = row->time_ms;
        received[i] = batch->received_ms;
        inserts[i] =
            row->insert_id ? value_str(str_from(row->insert_id, row->insert_size)) : value_int((int64_t)row->seq);
        flags[i] = row->flags;
        struct reader reader = reader_of(str_from(row->properties, row->properties_size));
        uint32_t name;
        struct value value;
        while (next_property(&reader, &name, &value)) {
            uint32_t property = batch->property_ids[name];
            if (property != UINT32_MAX) TRY(add_value(columns, property, i, value));
        }
        if (row->reason)
            TRY(add_value(columns, seal->reason_property, i, value_str(str_of(seal->reasons[row->reason]))));
    }
    struct section_rows rows = {count, persons, ids, times, received, inserts, flags};
    TRY(section_builder_run(builder, (uint32_t)(order[0].key >> 32), &rows));
    TRY(write_columns(columns, count, builder));
    return section_builder_run_end(builder);
}

/* One more than the highest property id in the memtable. */
static size_t property_end(const struct memtable *mem, const struct memtable_seal *seal)
{
    size_t end = seal->reason_property == UINT32_MAX ? 1 : (size_t)seal->reason_property + 1;
    for (uint32_t b = 0; b < mem->batch_count; b++) {
        for (uint32_t i = 0; i < mem->batches[b].name_count; i++) {
            uint32_t id = mem->batches[b].property_ids[i];
            if (id != UINT32_MAX && id >= end) end = (size_t)id + 1;
        }
    }
    return end;
}

static enum status seal_rows(struct memtable *mem, const struct memtable_seal *seal, const struct order *order,
                             struct section_builder *builder)
{
    struct columns columns = {.arena = arena_new(SEAL_BYTES_MAX)};
    columns.of_property = calloc(property_end(mem, seal), sizeof *columns.of_property);
    enum status status = columns.of_property ? STATUS_OK : STATUS_LIMIT;
    for (uint32_t from = 0, to; from < order->count && status == STATUS_OK; from = to) {
        to = from + 1;
        while (to < order->count && order->rows[to].key >> 32 == order->rows[from].key >> 32) to++;
        status = seal_run(mem, seal, order->rows + from, to - from, &columns, builder);
        arena_reset(columns.arena);
    }
    arena_free(columns.arena);
    free(columns.columns);
    free(columns.of_property);
    return status;
}

enum status memtable_seal(struct memtable *mem, uint64_t project, const struct memtable_seal *seal, struct error *error,
                          struct section **ret_section)
{
    struct section *section = NULL;
    struct section_builder *builder = NULL;
    struct order order;
    struct arena *arena = arena_new(SEAL_BYTES_MAX);
    enum status status = sort_rows(mem, seal->ids, arena, &order);
    if (status == STATUS_OK && order.count) {
        int64_t day;
        uint32_t log2;
        struct buf image;
        struct section_ref directory;
        window_around(order.time_min_ms, order.time_max_ms, &day, &log2);
        struct section_plan plan = {.window_day = day,
                                    .window_log2 = log2,
                                    .links_applied = seal->links_applied,
                                    .keys = order.with_key,
                                    .bytes_max = SEAL_BYTES_MAX};
        uint64_t size;
        builder = section_builder_new(&plan);
        status = builder ? seal_rows(mem, seal, &order, builder) : STATUS_LIMIT;
        if (status == STATUS_OK) status = section_builder_finish(builder, &image, &directory, &size);
        if (status == STATUS_OK) status = section_open_image(&image, directory, project, error, &section);
    }
    section_builder_free(builder);
    arena_free(arena);
    if (status == STATUS_LIMIT) error_set(error, status, "out of memory while sealing");
    if (status != STATUS_OK) return status;
    clear(mem);
    *ret_section = section;
    return STATUS_OK;
}
