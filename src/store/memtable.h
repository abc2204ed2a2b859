#pragma once
/*
 * Rows that were applied but not yet sealed into a RAM section, in the order of arrival. Owned by the applier. A row
 * points into the log frame it came from, which the memtable keeps alive; only what the sort and the duplicate probe
 * need is unpacked.
 */
#include "store/batch.h"
#include "store/frame.h"
#include "store/ids.h"
#include "store/section.h"

struct mem_row {
    int64_t time_ms;
    uint64_t seq; /* LSN-based: unique, ascending */
    uint64_t key; /* dedup_key, if it has an insert id */
    const char *insert_id, *properties;
    uint32_t insert_size, properties_size;
    uint32_t event, id, batch;
    uint8_t flags;
    bool more;  /* has entries in memtable.more */
    bool dead;  /* replaced by a newer duplicate */
    bool owned; /* `properties` is the row's own memory: memtable_put */
};

struct mem_batch {
    struct frame_bytes *frame; /* NULL: of rows that own their properties */
    uint32_t *property_ids;    /* by the record's name index; UINT32_MAX: left out */
    uint32_t name_count;
    int64_t received_ms;
};

/* A property that a row has beside those of its record: what applying the record had to say. */
struct mem_more {
    uint32_t row, property;
    struct str text; /* malloc'd */
};

/* A row by its duplicate key. */
struct mem_slot {
    uint32_t tag; /* the upper half of the key */
    uint32_t row; /* plus 1; 0: free */
};

struct memtable {
    struct mem_row *rows;
    uint32_t count, capacity, dead;
    struct mem_batch *batches;
    uint32_t batch_count, batch_capacity;
    struct mem_more *more; /* in the order of rows */
    uint32_t more_count, more_capacity;
    struct mem_slot *keys; /* in the order of tags, but for collisions */
    uint32_t key_count, key_capacity;
    size_t bytes;
    struct arena *scratch; /* of sealing; NULL: none yet */
    /* of rows that own their properties: */
    uint32_t *numbers; /* numbers[i] == i: the property_ids of their batches, which name properties by number */
    uint32_t number_capacity, owned_count;
};

void memtable_init(struct memtable *mem);
void memtable_fini(struct memtable *mem);
/* Starts a batch; takes a reference to the frame and takes over property_ids (malloc'd). */
enum status memtable_batch(struct memtable *mem, struct frame_bytes *frame, uint32_t *property_ids, uint32_t name_count,
                           int64_t received_ms) MUST_USE;
/* Adds a row to the newest batch. If it has an insert id, an older row with the same fields becomes dead;
 * *ret_duplicate says so. */
enum status memtable_add(struct memtable *mem, const struct mem_row *row, bool *ret_duplicate) MUST_USE;
/* Gives the row that will be added next another property; `text` is copied. */
enum status memtable_more(struct memtable *mem, uint32_t property, struct str text) MUST_USE;
/* The first of the row's further properties; memtable.more_count: none. */
uint32_t memtable_first_more(const struct memtable *mem, uint32_t row);
/* Rows that are made here instead of coming in a frame: the properties of `row`, malloc'd, are { varint property
 * number, value } and are taken over, also on failure; its insert id must live for ever. The numbers are below
 * `number_end`. An older such row with the same fields is changed in its place, so that one that changes a million
 * times stays one row; *ret_replaced says whether there was an older row that counted. */
enum status memtable_put(struct memtable *mem, const struct mem_row *row, int64_t received_ms, uint32_t number_end,
                         bool *ret_replaced) MUST_USE;
/* The row with these fields, the newest, dead or alive; UINT32_MAX: none. */
uint32_t memtable_find(const struct memtable *mem, uint64_t key, uint32_t event, uint32_t id, int64_t time_ms,
                       struct str insert_id);
/* The row does not count any more. */
void memtable_kill(struct memtable *mem, uint32_t row);
/* Fetches what memtable_add of this key will read. */
void memtable_ask(const struct memtable *mem, uint64_t key);

void memtable_clear(struct memtable *mem);

/* First day of the window of 2^log2 days around a day (shifting a negative day left would be undefined). */
static inline int64_t window_start(int64_t day, uint32_t log2)
{
    return day & -((int64_t)1 << log2);
}
/* The smallest dyadic window that holds both times. */
void window_around(int64_t time_min_ms, int64_t time_max_ms, int64_t *ret_day, uint32_t *ret_log2);
