#include "store/memtable.h"

#include "base/civil.h"

#include <assert.h>
#include <stdlib.h>

#define KEYS_FIRST 256u
#define KEYS_KEPT  (1u << 19) /* slots that stay for the next rows */

void memtable_init(struct memtable *mem)
{
    *mem = (struct memtable){0};
}

void memtable_clear(struct memtable *mem)
{
    for (uint32_t i = 0; i < mem->count && mem->owned_count; i++) {
        if (!mem->rows[i].owned) continue;
        free((void *)(uintptr_t)mem->rows[i].properties);
        mem->owned_count--;
    }
    for (uint32_t i = 0; i < mem->batch_count; i++) {
        if (!mem->batches[i].frame) continue;
        frame_bytes_unref(mem->batches[i].frame);
        free(mem->batches[i].property_ids);
    }
    for (uint32_t i = 0; i < mem->more_count; i++) free((void *)(uintptr_t)mem->more[i].text.data);
    mem->batch_count = mem->count = mem->dead = mem->more_count = 0;
    mem->bytes = 0;
    if (mem->key_capacity > KEYS_KEPT) {
        free(mem->keys);
        mem->keys = NULL;
        mem->key_capacity = 0;
    }
    if (mem->key_count) memset(mem->keys, 0, mem->key_capacity * sizeof *mem->keys);
    mem->key_count = 0;
}

void memtable_fini(struct memtable *mem)
{
    memtable_clear(mem);
    free(mem->rows);
    free(mem->batches);
    free(mem->more);
    free(mem->keys);
    free(mem->numbers);
    if (mem->scratch) arena_free(mem->scratch);
    *mem = (struct memtable){0};
}

static enum status grow_batches(struct memtable *mem)
{
    if (mem->batch_count < mem->batch_capacity) return STATUS_OK;
    uint32_t capacity = mem->batch_capacity ? mem->batch_capacity * 2 : 64;
    struct mem_batch *grown = realloc(mem->batches, capacity * sizeof *grown);
    if (!grown) return STATUS_LIMIT;
    mem->batches = grown;
    mem->batch_capacity = capacity;
    return STATUS_OK;
}

enum status memtable_batch(struct memtable *mem, struct frame_bytes *frame, uint32_t *property_ids, uint32_t name_count,
                           int64_t received_ms)
{
    if (grow_batches(mem) != STATUS_OK) {
        free(property_ids);
        return STATUS_LIMIT;
    }
    frame_bytes_ref(frame);
    /* Sections keep whole seconds; so do answers before the rows are in one. */
    int64_t received_s_ms = floor_div(received_ms, 1000) * 1000;
    mem->batches[mem->batch_count++] = (struct mem_batch){frame, property_ids, name_count, received_s_ms};
    mem->bytes += sizeof(struct mem_batch) + (size_t)name_count * sizeof *property_ids;
    return STATUS_OK;
}

/* --- duplicates --- */

static inline uint32_t home(uint32_t tag, uint32_t capacity)
{
    return (uint32_t)((uint64_t)tag * capacity >> 32);
}

void memtable_ask(const struct memtable *mem, uint64_t key)
{
    if (mem->key_capacity) __builtin_prefetch(&mem->keys[home((uint32_t)(key >> 32), mem->key_capacity)]);
}

static enum status grow_keys(struct memtable *mem)
{
    uint32_t capacity = mem->key_capacity ? mem->key_capacity * 2 : KEYS_FIRST;
    struct mem_slot *keys = capacity ? calloc(capacity, sizeof *keys) : NULL;
    if (!keys) return STATUS_LIMIT;
    for (uint32_t i = 0; i < mem->key_capacity; i++) {
        if (!mem->keys[i].row) continue;
        uint32_t at = home(mem->keys[i].tag, capacity);
        while (keys[at].row) at = at + 1 == capacity ? 0 : at + 1;
        keys[at] = mem->keys[i];
    }
    free(mem->keys);
    mem->keys = keys;
    mem->key_capacity = capacity;
    return STATUS_OK;
}

/* Puts the row that comes next into the table, in the place of one with the same fields, which becomes dead. */
static enum status put_key(struct memtable *mem, const struct mem_row *row, uint32_t tag, bool *ret_duplicate)
{
    if (mem->key_count >= mem->key_capacity / 2) TRY(grow_keys(mem));
    struct mem_slot *slot = &mem->keys[home(tag, mem->key_capacity)];
    for (; slot->row; slot = slot + 1 == mem->keys + mem->key_capacity ? mem->keys : slot + 1) {
        struct mem_row *old = &mem->rows[slot->row - 1];
        if (slot->tag != tag || old->event != row->event || old->id != row->id || old->time_ms != row->time_ms ||
            !str_eq(str_from(old->insert_id, old->insert_size), str_from(row->insert_id, row->insert_size)))
            continue;
        *ret_duplicate = !old->dead;
        mem->dead += !old->dead;
        old->dead = true;
        slot->row = mem->count + 1;
        return STATUS_OK;
    }
    *slot = (struct mem_slot){tag, mem->count + 1};
    mem->key_count++;
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
    if (row->insert_id) TRY(put_key(mem, row, (uint32_t)(row->key >> 32), &duplicate));
    mem->rows[mem->count] = *row;
    mem->rows[mem->count++].batch = mem->batch_count - 1;
    mem->bytes += sizeof *row + row->properties_size + row->insert_size;
    *ret_duplicate = duplicate;
    return STATUS_OK;
}

enum status memtable_more(struct memtable *mem, uint32_t property, struct str text)
{
    if (mem->more_count == mem->more_capacity) {
        uint32_t capacity = mem->more_capacity ? mem->more_capacity * 2 : 64;
        struct mem_more *grown = realloc(mem->more, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        mem->more = grown;
        mem->more_capacity = capacity;
    }
    char *copy = malloc(text.size + 1);
    if (!copy) return STATUS_LIMIT;
    if (text.size) memcpy(copy, text.data, text.size);
    mem->more[mem->more_count++] = (struct mem_more){mem->count, property, {copy, text.size}};
    mem->bytes += sizeof *mem->more + text.size;
    return STATUS_OK;
}

uint32_t memtable_first_more(const struct memtable *mem, uint32_t row)
{
    uint32_t low = 0, high = mem->more_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (mem->more[middle].row < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low < mem->more_count && mem->more[low].row == row ? low : mem->more_count;
}

uint32_t memtable_find(const struct memtable *mem, uint64_t key, uint32_t event, uint32_t id, int64_t time_ms,
                       struct str insert_id)
{
    uint32_t tag = (uint32_t)(key >> 32);
    if (!mem->key_count) return UINT32_MAX;
    const struct mem_slot *slot = &mem->keys[home(tag, mem->key_capacity)];
    for (; slot->row; slot = slot + 1 == mem->keys + mem->key_capacity ? mem->keys : slot + 1) {
        const struct mem_row *row = &mem->rows[slot->row - 1];
        if (slot->tag == tag && row->event == event && row->id == id && row->time_ms == time_ms &&
            str_eq(str_from(row->insert_id, row->insert_size), insert_id))
            return slot->row - 1;
    }
    return UINT32_MAX;
}

void memtable_kill(struct memtable *mem, uint32_t at)
{
    struct mem_row *row = &mem->rows[at];
    mem->dead += !row->dead;
    row->dead = true;
    if (!row->owned) return;
    free((void *)(uintptr_t)row->properties);
    mem->bytes -= row->properties_size;
    row->properties = NULL;
    row->properties_size = 0;
}

/* --- rows that own their properties --- */

static enum status grow_numbers(struct memtable *mem, uint32_t end)
{
    if (end <= mem->number_capacity) return STATUS_OK;
    uint32_t capacity = end + end / 2 + 64;
    uint32_t *grown = realloc(mem->numbers, capacity * sizeof *grown);
    if (!grown) return STATUS_LIMIT;
    for (uint32_t i = mem->number_capacity; i < capacity; i++) grown[i] = i;
    mem->numbers = grown;
    mem->number_capacity = capacity;
    for (uint32_t i = 0; i < mem->batch_count; i++) {
        if (!mem->batches[i].frame) mem->batches[i].property_ids = grown;
    }
    return STATUS_OK;
}

/* A batch has one time of receipt, in seconds; clients' updates of one second come more or less together. The first of
 * these batches says how many numbers there are, for all of them. */
static enum status own_batch(struct memtable *mem, int64_t received_ms, uint32_t number_end, uint32_t *ret_batch)
{
    int64_t received_s_ms = floor_div(received_ms, 1000) * 1000;
    TRY(grow_numbers(mem, number_end ? number_end : 1));
    uint32_t first = mem->batch_count, newest = mem->batch_count;
    for (uint32_t i = mem->batch_count; i-- > 0 && mem->batch_count - i <= 4;) {
        if (!mem->batches[i].frame && mem->batches[i].received_ms == received_s_ms && newest == mem->batch_count)
            newest = i;
    }
    for (uint32_t i = 0; i < mem->batch_count && first == mem->batch_count; i++) {
        if (!mem->batches[i].frame) first = i;
    }
    if (newest == mem->batch_count) {
        TRY(grow_batches(mem));
        mem->batches[mem->batch_count++] =
            (struct mem_batch){.property_ids = mem->numbers, .received_ms = received_s_ms};
        mem->bytes += sizeof(struct mem_batch);
    }
    if (mem->batches[first].name_count < number_end) mem->batches[first].name_count = number_end;
    *ret_batch = newest;
    return STATUS_OK;
}

static enum status put(struct memtable *mem, struct mem_row *row, int64_t received_ms, uint32_t number_end,
                       bool *ret_replaced)
{
    struct str insert_id = str_from(row->insert_id, row->insert_size);
    TRY(own_batch(mem, received_ms, number_end, &row->batch));
    row->owned = true;
    uint32_t at = memtable_find(mem, row->key, row->event, row->id, row->time_ms, insert_id);
    if (at == UINT32_MAX || !mem->rows[at].owned) {
        uint32_t batch = row->batch;
        TRY(memtable_add(mem, row, ret_replaced));
        mem->rows[mem->count - 1].batch = batch;
        mem->owned_count++;
        return STATUS_OK;
    }
    struct mem_row *old = &mem->rows[at];
    *ret_replaced = !old->dead;
    mem->dead -= old->dead;
    mem->bytes += row->properties_size;
    mem->bytes -= old->properties_size;
    free((void *)(uintptr_t)old->properties);
    *old = *row;
    return STATUS_OK;
}

enum status memtable_put(struct memtable *mem, const struct mem_row *row, int64_t received_ms, uint32_t number_end,
                         bool *ret_replaced)
{
    struct mem_row own = *row;
    enum status status = put(mem, &own, received_ms, number_end, ret_replaced);
    if (status != STATUS_OK) free((void *)(uintptr_t)row->properties);
    return status;
}

void window_around(int64_t time_min_ms, int64_t time_max_ms, int64_t *ret_day, uint32_t *ret_log2)
{
    int64_t first = floor_div(time_min_ms, DAY_MS), last = floor_div(time_max_ms, DAY_MS);
    uint32_t log2 = 0;
    while (log2 < SECTION_LOG2_MAX && first >> log2 != last >> log2) log2++;
    *ret_day = window_start(first, log2);
    *ret_log2 = log2;
}
