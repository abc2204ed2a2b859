#pragma once
/*
 * One delete, resolved against the names and ids as they were at its place in the log: what it marks can then be told
 * of any section at any later time. Orders belong to the applier; marking reads immutable things only.
 */
#include "store/delete_record.h"
#include "store/version.h"

struct delete_key {
    uint32_t event, id, next; /* next: another key of the same hash, UINT32_MAX at the end */
    int64_t time_ms;
    struct str insert_id; /* NULL data: `number` */
    uint64_t number;
};

struct delete_order {
    uint32_t refs;
    enum record_kind kind;
    uint64_t lsn, request, rows; /* rows: found so far; for the report */
    /* The id graph's at that time: sections folded later tell persons differently. 0 when a cluster that somebody was
     * taken out of before is among those to be deleted: only sections folded never have its rows under its numbers. */
    uint32_t links;
    /* DELETE_PERSON: all ids of the people. DELETE_ROWS: the numbers under which rows of the keys may be stored.
     * Ascending, each once. */
    uint32_t *persons;
    size_t person_count;
    struct delete_key *keys;
    size_t key_count;
    struct u64map index;              /* event, id, time -> first key */
    int64_t time_min_ms, time_max_ms; /* of the rows that it may delete, both included */
    char *texts;                      /* insert ids of the keys */
    size_t bytes;                     /* of memory */
};
/* NULL when memory refuses; refs is 1. */
struct delete_order *delete_order_new(enum record_kind kind);
struct delete_order *delete_order_ref(struct delete_order *order);
void delete_order_unref(struct delete_order *order);
/* After persons and keys were filled in: sorts and indexes them. */
enum status delete_order_finish(struct delete_order *order) MUST_USE;
/* Whether it deletes the row; for rows in memory. A key's insert id decides, so the caller gives what the row has. */
bool delete_order_has(const struct delete_order *order, uint32_t event, uint32_t id, int64_t time_ms,
                      struct str insert_id, uint64_t number);

/* Adds the section's rows that the order deletes, and that are in neither bitmap yet, to *pending (made when NULL), and
 * says how many. The section must hold only rows from before the order. Rows found before a failure stay marked: the
 * call may be repeated. */
enum status delete_mark(const struct delete_order *order, const struct section *section, const struct deletes *deletes,
                        roaring_bitmap_t **pending, struct error *error, uint64_t *ret_rows) MUST_USE;
