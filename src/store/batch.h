#pragma once
/*
 * Log records (docs/formats/wal.md, "Records"): how ingestion hands events to the store, and how the store reads them
 * back when it applies them or replays the log.
 *
 * Writing, one record per request and project, on any thread:
 *
 *   struct batch batch;
 *   batch_init(&batch, size_max);
 *   batch_begin(&batch, project, received_ms, identity_mode, flags);
 *   for each event:
 *       batch_event(&batch, name, time_ms, id, device, insert_id);
 *       batch_property(&batch, name, &json) ...
 *       batch_event_end(&batch)        or batch_event_cancel(&batch): the event leaves no trace
 *   batch_finish(&batch, &record);     the record's bytes, owned by the caller: give them to store_append
 *   batch_fini(&batch);
 *
 * Failures (too much, a time beyond 2^53 ms) are sticky and surface in batch_finish (LIMIT). Strings passed in are
 * copied.
 */
#include "base/buf.h"
#include "base/map.h"
#include "column/value.h"

enum record_kind {
    RECORD_EVENTS = 1,
    RECORD_LINK = 2,
    RECORD_PROJECT_DROP = 3,
    RECORD_DELETE_PERSON = 4, /* the three are written and read by delete_record.h */
    RECORD_DELETE_ROWS = 5,
    RECORD_DELETE_BEFORE = 6,
    RECORD_UPDATE = 7, /* written and read by update_record.h */
    RECORD_UNLINK = 8,
};
/* What all records begin with, `varint length`, in front of the pieces one after another. LIMIT when they do not fit.
 */
enum status record_assemble(struct buf *record, const struct str *pieces, size_t count) MUST_USE;

/* Numbers are stored in the log: never renumber. */
enum identity_mode { IDENTITY_SIMPLIFIED = 0, IDENTITY_ORIGINAL = 1, IDENTITY_LEGACY = 2 };
enum link_operation { LINK_CREATE = 1, LINK_ALIAS = 2, LINK_MERGE = 3 };

#define BATCH_IMPORT 1 /* flags: the events came through /import */

/* How many ids a person of the original mode may have, where a record does not say: those of older versions. */
#define LINK_CLUSTER_IDS_MAX 500u

/* 285 000 years either way; keeps sums and window arithmetic from overflowing. */
#define BATCH_TIME_LIMIT ((int64_t)1 << 53)
static inline bool batch_is_time(int64_t ms)
{
    return ms > -BATCH_TIME_LIMIT && ms < BATCH_TIME_LIMIT;
}

struct batch_name;
struct batch {
    struct buf head;   /* kind .. names */
    struct buf events; /* the encoded events */
    struct strmap name_index;
    struct arena *arena; /* texts of names */
    struct batch_name *names;
    uint32_t *event_names; /* of the open event: the names of its properties that no finished event has */
    uint32_t name_count, name_capacity, event_name_count, event_name_capacity;
    uint32_t last_name; /* that was asked for */
    uint64_t project, received_ms;
    uint8_t mode, flags;
    uint32_t cluster_max; /* 0: not said */
    uint32_t event_count;
    size_t event_start, property_start, size_max; /* starts in `events`, of the open event */
    bool failed;
};

void batch_init(struct batch *batch, size_t size_max);
void batch_fini(struct batch *batch);
void batch_begin(struct batch *batch, uint64_t project, int64_t received_ms, enum identity_mode mode, unsigned flags);
/* After batch_begin, in the original mode: how many ids a person may have. It stands in the record, so that replay
 * gives the same when the option has been changed. */
static inline void batch_cluster_max(struct batch *batch, uint32_t cluster_max)
{
    batch->cluster_max = cluster_max;
}
/* After batch_begin: about so many bytes are to come. Makes room at once, which is cheaper than bit by bit. */
void batch_expect(struct batch *batch, size_t size);
/* `id`, `device` and `insert_id` are absent when their data is NULL. Property names may repeat: the caller sends each
 * once. */
void batch_event(struct batch *batch, struct str name, int64_t time_ms, struct str id, struct str device,
                 struct str insert_id);
/* The number of a name in this record, dense from 0; a name that no finished event uses costs nothing. UINT32_MAX when
 * memory refuses. Fast when names come in the same order as before. */
uint32_t batch_name(struct batch *batch, struct str name);
/* A property whose name has this number. INVALID when the value nests too deeply. */
enum status batch_property_of(struct batch *batch, uint32_t name, const struct json *value) MUST_USE;
enum status batch_property(struct batch *batch, struct str name, const struct json *value) MUST_USE;
void batch_event_end(struct batch *batch);
void batch_event_cancel(struct batch *batch);
/* A whole event at once, by the number of its name. `properties` are { varint name's number, encoded value }, and every
 * name among them has been told to batch_name_stored. */
void batch_event_encoded(struct batch *batch, uint32_t name, int64_t time_ms, struct str id, struct str device,
                         struct str insert_id, struct str properties);
void batch_name_stored(struct batch *batch, uint32_t name);
static inline uint32_t batch_count(const struct batch *batch)
{
    return batch->event_count;
}
/* Moves the finished record into *ret_record (buf_fini it, or give it to store_append). LIMIT when it passed size_max.
 */
enum status batch_finish(struct batch *batch, struct buf *ret_record) MUST_USE;

/* A LINK record: device and user are ids as stored ("$device:D1", "U1"); of an alias, the alias and what it stands for.
 */
struct link_view {
    int64_t received_ms;
    uint8_t mode, operation;
    uint32_t cluster_max; /* as batch_cluster_max; 0: not said */
    struct str device, user;
};
enum status record_link_view(struct buf *record, uint64_t project, const struct link_view *link) MUST_USE;
static inline MUST_USE enum status record_link(struct buf *record, uint64_t project, int64_t received_ms,
                                               enum identity_mode mode, enum link_operation operation,
                                               struct str device, struct str user)
{
    struct link_view link = {received_ms, (uint8_t)mode, (uint8_t)operation, 0, device, user};
    return record_link_view(record, project, &link);
}
/* An UNLINK record: takes the id out of its cluster (identity_unlink_fn in store.h). Carried out at its place in the
 * log; an id that is not linked then stays as it is. */
struct unlink_view {
    int64_t received_ms;
    uint8_t mode;
    struct str id;
};
enum status record_unlink(struct buf *record, uint64_t project, const struct unlink_view *unlink) MUST_USE;
enum status record_project_drop(struct buf *record, uint64_t project) MUST_USE;

/* --- reading --- */

struct record {
    enum record_kind kind;
    uint64_t project;
    struct str body;
};
/* Takes the next record off the reader. CORRUPT when malformed. */
enum status record_next(struct reader *reader, struct record *ret_record) MUST_USE;

struct event_view {
    uint32_t name; /* index into the record's names */
    int64_t time_ms;
    struct str id, device, insert_id; /* NULL data: absent */
    struct str properties;            /* { varint name, value } until the end */
};
struct batch_reader {
    int64_t received_ms;
    uint8_t mode, flags;
    uint32_t cluster_max;
    uint32_t name_count, events_left;
    struct str *names;          /* in the arena */
    const uint8_t *is_property; /* by name: some event has a property of this name */
    struct reader reader;
};
/* Opens an EVENTS record; checks everything, values included, so that later reads can trust the bytes. */
enum status batch_open(struct arena *arena, struct str body, struct batch_reader *ret_reader) MUST_USE;
/* The same for a record that this process has made (or checked) itself: its events are not looked at. */
enum status batch_open_trusted(struct arena *arena, struct str body, struct batch_reader *ret_reader) MUST_USE;
/* False at the end. */
bool batch_next(struct batch_reader *batch, struct event_view *ret_event);
/* Walks event_view.properties. */
bool event_property_next(struct reader *properties, uint32_t *ret_name, struct value *ret_value);

enum status link_open(struct str body, struct link_view *ret_link) MUST_USE;
enum status unlink_open(struct str body, struct unlink_view *ret_unlink) MUST_USE;
