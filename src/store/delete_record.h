#pragma once
/*
 * Log records that delete (docs/formats/wal.md, "Deletes"). Like all records they refer to nothing outside themselves,
 * so what they delete is a function of their place in the log.
 *
 *   DELETE_PERSON  every event stored so far of the people who have these ids, and who they were: their ids and links
 *   DELETE_ROWS    the events with these keys: how a delete by filter is written, in as many records as it takes
 *   DELETE_BEFORE  every event stored so far whose time is before a bound
 *
 * `request` is a number that the caller chooses and later asks store_deletion() by; 0: it will not ask. Writing may be
 * done on any thread. Strings passed in are copied.
 */
#include "base/buf.h"
#include "base/map.h"
#include "store/batch.h"

#define DELETE_IDS_MAX   2000u
#define DELETE_ROWS_MAX  65536u
#define DELETE_BYTES_MAX ((size_t)4 << 20)

/* INVALID for an empty id (nobody) or none, LIMIT past DELETE_IDS_MAX. */
enum status record_delete_person(struct buf *record, uint64_t project, uint64_t request, const struct str *ids,
                                 size_t count) MUST_USE;
enum status record_delete_before(struct buf *record, uint64_t project, uint64_t request, int64_t before_ms) MUST_USE;

/* What tells an event from all others of its project: the four fields of a duplicate. An event that came without an
 * insert id has the number that scan_insert_ids gives it. */
struct row_key {
    struct str event, id; /* id "": nobody's */
    int64_t time_ms;
    struct str insert_id; /* NULL data: none, `number` stands for it */
    uint64_t number;
};

/* Gathers keys for one DELETE_ROWS record:
 *
 *   row_keys_init(&keys);
 *   while (there are rows) {
 *       row_keys_add(&keys, &key);
 *       if (row_keys_full(&keys)) row_keys_finish(&keys, project, request, &record) and hand the record over
 *   }
 *   if (row_keys_count(&keys)) finish once more
 *   row_keys_fini(&keys);
 *
 * row_keys_finish begins anew. Failures are sticky and surface in row_keys_finish (LIMIT). */
struct row_keys {
    struct buf names, ids, rows;
    struct strmap name_index, id_index;
    struct arena *arena; /* keys of the two */
    uint32_t name_count, id_count, row_count;
    int64_t last_ms;
    bool failed;
};
void row_keys_init(struct row_keys *keys);
void row_keys_fini(struct row_keys *keys);
void row_keys_add(struct row_keys *keys, const struct row_key *key);
static inline uint32_t row_keys_count(const struct row_keys *keys)
{
    return keys->row_count;
}
/* No further key is sure to fit. */
bool row_keys_full(const struct row_keys *keys);
enum status row_keys_finish(struct row_keys *keys, uint64_t project, uint64_t request, struct buf *ret_record) MUST_USE;

/* --- reading --- */

struct delete_view {
    uint64_t request;
    int64_t before_ms; /* of DELETE_BEFORE */
    struct str *ids;   /* of DELETE_PERSON: whose; of DELETE_ROWS: the dictionary of ids; in the arena */
    struct str *names; /* of DELETE_ROWS: the dictionary of event names */
    uint32_t id_count, name_count, row_count;
    struct reader rows;
    int64_t last_ms;
};
/* Opens the body of a record of one of the three kinds; checks everything, so that later reads can trust the bytes. */
enum status delete_open(struct arena *arena, enum record_kind kind, struct str body,
                        struct delete_view *ret_view) MUST_USE;
struct row_view {
    uint32_t name, id; /* indices into the dictionaries */
    int64_t time_ms;
    struct str insert_id; /* NULL data: none */
    uint64_t number;
};
/* The next key; false at the end. */
bool delete_next_row(struct delete_view *view, struct row_view *ret_row);
