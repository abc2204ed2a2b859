#include "store/memtable.h"

#include "base/civil.h"

#include <assert.h>
#include <stdlib.h>

#define SEAL_BYTES_MAX ((size_t)4 << 30)

struct frame_bytes *frame_bytes_new(size_t size)
{
    struct frame_bytes *frame = malloc(sizeof *frame + size);
    if (!frame) return NULL;
    frame->refs = 1;
    frame->size = size;
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
    if (mem->keys.capacity > 1u << 16)
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
    mem->batches[mem->batch_count++] = (struct mem_batch){frame, property_ids, received_ms};
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

struct sort_key {
    uint32_t event, person;
    int64_t time_ms;
    uint32_t row; /* arrival order: rows ascend in seq */
};

static int sort_cmp(const void *a, const void *b)
{
    const struct sort_key *x = a, *y = b;
    if (x->event != y->event) return x->event < y->event ? -1 : 1;
    if (x->person != y->person) return x->person < y->person ? -1 : 1;
    if (x->time_ms != y->time_ms) return x->time_ms < y->time_ms ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

struct cell {
    uint32_t property, row;
    struct value value;
};

static int cell_cmp(const void *a, const void *b)
{
    const struct cell *x = a, *y = b;
    if (x->property != y->property) return x->property < y->property ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Sorts the cells of a run by (property, row). They come ordered by row, so counting by property does; qsort only when
 * the property numbers are too spread out to count. */
static enum status sort_cells(struct arena *arena, struct cell **cells, size_t count)
{
    uint32_t high = 0;
    for (size_t i = 0; i < count; i++) {
        if ((*cells)[i].property > high) high = (*cells)[i].property;
    }
    if ((size_t)high > count * 4 + 4096) {
        qsort(*cells, count, sizeof **cells, cell_cmp);
        return STATUS_OK;
    }
    size_t *starts = arena_new_array(arena, size_t, (size_t)high + 2);
    struct cell *sorted = arena_alloc(arena, (count ? count : 1) * sizeof *sorted);
    if (!starts || !sorted) return STATUS_LIMIT;
    for (size_t i = 0; i < count; i++) starts[(*cells)[i].property + 1]++;
    for (uint32_t p = 1; p <= high + 1; p++) starts[p] += starts[p - 1];
    for (size_t i = 0; i < count; i++) sorted[starts[(*cells)[i].property]++] = (*cells)[i];
    *cells = sorted;
    return STATUS_OK;
}

/* A property that stands twice in one event (the log allows it) counts once, the last one. */
static enum status add_columns(struct section_builder *builder, struct cell *cells, size_t count, struct arena *arena)
{
    uint32_t *rows = arena_alloc(arena, (count ? count : 1) * sizeof *rows);
    struct value *values = arena_alloc(arena, (count ? count : 1) * sizeof *values);
    if (!rows || !values) return STATUS_LIMIT;
    for (size_t i = 0; i < count;) {
        uint32_t property = cells[i].property, present = 0;
        for (; i < count && cells[i].property == property; i++) {
            if (present && rows[present - 1] == cells[i].row) present--;
            rows[present] = cells[i].row;
            values[present++] = cells[i].value;
        }
        TRY(section_builder_sparse(builder, property, rows, values, present));
    }
    return STATUS_OK;
}

static enum status seal_run(struct memtable *mem, const struct memtable_seal *seal, const struct sort_key *keys,
                            uint32_t count, struct arena *arena, struct section_builder *builder)
{
    uint32_t *persons = arena_new_array(arena, uint32_t, count), *ids = arena_new_array(arena, uint32_t, count);
    int64_t *times = arena_new_array(arena, int64_t, count), *received = arena_new_array(arena, int64_t, count);
    struct value *inserts = arena_new_array(arena, struct value, count);
    uint8_t *flags = arena_new_array(arena, uint8_t, count);
    if (!persons || !ids || !times || !received || !inserts || !flags) return STATUS_LIMIT;
    size_t cell_count = 0, cell_capacity = (size_t)count * 16;
    struct cell *cells = arena_alloc(arena, cell_capacity * sizeof *cells);
    if (!cells) return STATUS_LIMIT;
    for (uint32_t i = 0; i < count; i++) {
        const struct mem_row *row = &mem->rows[keys[i].row];
        const struct mem_batch *batch = &mem->batches[row->batch];
        persons[i] = keys[i].person;
        ids[i] = row->id;
        times[i] = row->time_ms;
        received[i] = batch->received_ms;
        inserts[i] =
            row->insert_id ? value_str(str_from(row->insert_id, row->insert_size)) : value_int((int64_t)row->seq);
        flags[i] = row->flags;
        struct reader reader = reader_of(str_from(row->properties, row->properties_size));
        struct cell cell = {.row = i};
        for (;;) {
            if (cell_count == cell_capacity) {
                cells = arena_realloc(arena, cells, cell_capacity * sizeof *cells, cell_capacity * 2 * sizeof *cells);
                if (!cells) return STATUS_LIMIT;
                cell_capacity *= 2;
            }
            if (!event_property_next(&reader, &cell.property, &cell.value)) break;
            cell.property = batch->property_ids[cell.property];
            if (cell.property != UINT32_MAX) cells[cell_count++] = cell;
        }
        if (row->reason)
            cells[cell_count++] =
                (struct cell){seal->reason_property, i, value_str(str_of(seal->reasons[row->reason]))};
    }
    struct section_rows rows = {count, persons, ids, times, received, inserts, flags};
    TRY(section_builder_run(builder, mem->rows[keys[0].row].event, &rows));
    TRY(sort_cells(arena, &cells, cell_count));
    TRY(add_columns(builder, cells, cell_count, arena));
    return section_builder_run_end(builder);
}

enum status memtable_seal(struct memtable *mem, uint64_t project, const struct memtable_seal *seal, struct error *error,
                          struct section **ret_section)
{
    uint32_t count = 0, with_key = 0;
    int64_t time_min = INT64_MAX, time_max = INT64_MIN;
    struct sort_key *keys = malloc(((size_t)mem->count + 1) * sizeof *keys);
    if (!keys) return error_set(error, STATUS_LIMIT, "out of memory while sealing");
    for (uint32_t i = 0; i < mem->count; i++) {
        const struct mem_row *row = &mem->rows[i];
        if (row->dead) continue;
        keys[count++] = (struct sort_key){row->event, id_graph_person(seal->ids, row->id), row->time_ms, i};
        with_key += row->insert_id != NULL;
        if (row->time_ms < time_min) time_min = row->time_ms;
        if (row->time_ms > time_max) time_max = row->time_ms;
    }
    struct section *section = NULL;
    enum status status = STATUS_OK;
    if (count) {
        qsort(keys, count, sizeof *keys, sort_cmp);
        int64_t day;
        uint32_t log2;
        window_around(time_min, time_max, &day, &log2);
        struct section_builder *builder = section_builder_new(day, log2, seal->links_applied, with_key, SEAL_BYTES_MAX);
        struct arena *arena = arena_new(SEAL_BYTES_MAX);
        if (!builder) status = STATUS_LIMIT;
        for (uint32_t from = 0, to; from < count && status == STATUS_OK; from = to) {
            to = from + 1;
            while (to < count && keys[to].event == keys[from].event) to++;
            status = seal_run(mem, seal, keys + from, to - from, arena, builder);
            arena_reset(arena);
        }
        struct buf image;
        struct section_ref directory;
        if (status == STATUS_OK) status = section_builder_finish(builder, &image, &directory);
        if (status == STATUS_OK)
            status = section_open_image(&image, directory, project, error, &section);
        else
            error_set(error, status, "out of memory while sealing");
        section_builder_free(builder);
        arena_free(arena);
    }
    free(keys);
    if (status != STATUS_OK) return status;
    clear(mem);
    *ret_section = section;
    return STATUS_OK;
}
