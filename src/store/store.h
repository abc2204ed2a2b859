#pragma once
/*
 * The event store. It shows three verbs upward: append a record, take a snapshot, scan columns of a snapshot.
 *
 * Appending. store_append() takes one finished log record (batch.h). When `done` is called with STATUS_OK the record is
 * on disk (fdatasync returned) and every snapshot taken from then on sees it. `done` is called exactly once, from the
 * log thread (or from within store_append when the record is refused at once): it must be quick and must not call the
 * store.
 *
 * Snapshots. A snapshot is one project as of a moment: immutable, reference-counted, safe to read from any one thread
 * at a time. store_snapshot() waits until everything acknowledged before the call is in it.
 *
 * Errors: UNAVAILABLE while the disk is full or failing, or when the queue is full: nothing of the record was stored,
 * try again later. Reads go on meanwhile. CORRUPT names the file whose checksum is wrong.
 */
#include "base/buf.h"
#include "base/error.h"
#include "column/vector.h"
#include "os/fs.h"
#include "store/batch.h"
#include "store/compact.h"
#include "store/id_form.h"

struct store;
struct id_graph;

/* What the identity floor tells the store: whether a link is made. Called by the applier in log order; a function of
 * the graph and of its arguments alone, so that replay repeats it. Links are made through id_graph_link (ids.h). The
 * result is a reason that is stored with the event, 0 when there is none (see identity/identity.h). */
struct link_request {
    enum identity_mode mode;
    enum link_operation operation;
    bool asked;            /* by a LINK record; else by an event */
    uint32_t device, user; /* ids */
    uint32_t cluster_max;  /* ids that a person may have */
    uint32_t event;        /* the number of the event's name, plus 1; 0: there is none */
    int64_t received_ms;
};
typedef unsigned (*identity_link_fn)(struct id_graph *graph, const struct link_request *request);
/* Takes an id out of its person's ids. NOT_FOUND when it is not linked, CONFLICT when it was too often: both
 * without effect. LIMIT: out of memory. */
typedef enum status (*identity_unlink_fn)(struct id_graph *graph, enum identity_mode mode, uint32_t id,
                                          int64_t received_ms);
/* The properties that say of an event why its link was not made; texts are static or in `room`. */
#define LINK_PROPERTIES_MAX 2
#define LINK_TEXT_ROOM      512
struct link_property {
    struct str name, text;
};
typedef size_t (*identity_explain_fn)(const struct id_graph *graph, const struct link_request *request, unsigned reason,
                                      char room[LINK_TEXT_ROOM],
                                      struct link_property ret_properties[LINK_PROPERTIES_MAX]);

/* What the profile floor tells the store: how an update changes a profile (profile_row.h). */
struct update_view;
struct profile_row;
struct profile_outcome;
typedef enum status (*profile_update_fn)(const struct update_view *update, struct arena *arena, struct profile_row *row,
                                         struct profile_outcome *ret_outcome);

#define STORE_NAMES_MAX    16000000
#define STORE_OTHER_EVENTS "$other_events" /* the name of events whose own name came after names_max others */

struct store_options {
    struct os_fs *fs; /* the data directory; owned by the caller */
    identity_link_fn link;
    identity_unlink_fn unlink;   /* NULL: UNLINK records do nothing */
    identity_explain_fn explain; /* NULL: reasons are not stored */
    profile_update_fn update;
    uint64_t wal_file_bytes;    /* 64 MiB */
    uint64_t memory_bytes_max;  /* memtable and RAM sections before a flush: 256 MiB; twice that refuses writes */
    uint64_t flush_rows;        /* 1 000 000 */
    uint32_t seal_rows;         /* of the memtable, after which they are put into columns: 65 536, a cache full */
    uint64_t flush_interval_ms; /* 10 min */
    uint64_t retry_ms;          /* rest before a failed write is tried again; of the log, a fifth of it: 1 s */
    uint64_t cache_bytes;       /* decoded blocks: 256 MiB */
    uint64_t queue_bytes_max;   /* records waiting for the disk: 64 MiB */
    uint32_t names_max;         /* event names, and property names, of a project: 1 000 000, at most STORE_NAMES_MAX */
    uint64_t purge_deadline_ms; /* deleted rows and ids are gone from files after: 7 days */
    struct compact_options compact; /* purge_deadline_ms is the one above; fan_in 0: nothing is ever compacted */
    uint64_t compact_memory_bytes;  /* of one merge; makes rows_max smaller when it does not suffice: 1 GiB */
    unsigned compact_threads; /* that share a merge which somebody waits for (store_compact_wait): as many as cores */
    uint64_t compact_bytes_per_second; /* written by compaction; 0: as fast as it goes */
    bool salvage;                      /* start even though acknowledged log bytes are damaged, without them */
};
void store_options_defaults(struct store_options *options);

/* Recovers and starts the threads. The log line and `ret_report` say what recovery found. */
struct store_report {
    uint64_t frames, records, events, bytes_torn, bytes_lost;
};
enum status store_open(const struct store_options *options, struct error *error, struct store_report *ret_report,
                       struct store **ret_store) MUST_USE;
/* Commits what is queued, stops the threads and frees everything. Snapshots must be gone. */
void store_close(struct store *store);

/* Takes over `record` (it is emptied in any case). */
void store_append(struct store *store, struct buf *record, void (*done)(void *arg, enum status status), void *arg);
/* The same for those who bring in much at once, each thread one record at a time: where store_append would refuse it
 * because memory or queue are full, the caller waits, for a minute at most. */
void store_append_patiently(struct store *store, struct buf *record, void (*done)(void *arg, enum status status),
                            void *arg);
/* Appends, and waits until it is done. */
enum status store_append_wait(struct store *store, struct buf *record) MUST_USE;
/* Deleting (docs/decisions/0008-deletes.md). Appends a record of delete_record.h, waits until it is on disk and carried
 * out, and says what became of the request so far: a delete by filter comes in several records of one request. From
 * then on every snapshot is without the rows. UNAVAILABLE also while too many deletes wait for the end of a compaction:
 * try again later. */
struct store_deletion {
    uint64_t lsn;           /* of its newest record */
    uint64_t rows;          /* marked */
    uint32_t sections_owed; /* that could not be read: tried again with every snapshot and question like this */
};
enum status store_delete(struct store *store, uint64_t project, uint64_t request, struct buf *record,
                         struct error *error, struct store_deletion *ret_deletion) MUST_USE;
/* NOT_FOUND when it was not carried out since the log was last flushed before the start, or too many came after it. */
enum status store_deletion(struct store *store, uint64_t project, uint64_t request,
                           struct store_deletion *ret_deletion) MUST_USE;
/* What deletes before this LSN took away is physically gone: no section file holds a row, no catalog file an id, and
 * no log file a frame. Backups and snapshots of the file system are not known here. */
enum status store_purged_lsn(struct store *store, uint64_t project, uint64_t *ret_lsn) MUST_USE;
/* Makes the log forget what is in section files: begins a new log file, flushes, and removes the old ones instead of
 * recycling them. Waits. Sections are compaction's, which keeps purge_deadline_ms in mind. */
enum status store_purge_log(struct store *store, struct error *error) MUST_USE;

/* OK, or UNAVAILABLE with the reason: what GET /ready asks. */
enum status store_writable(struct store *store, struct error *error) MUST_USE;
/* Writes everything in memory to section files; waits. */
enum status store_flush(struct store *store, struct error *error) MUST_USE;

/* Flushes, then compacts until every window holds one run of sections without deleted rows; waits. For benchmarks and
 * tests: it writes what would better be left to time. */
enum status store_compact_wait(struct store *store, struct error *error) MUST_USE;

/* Calls each(ctx, id) for every project that has had events, ids or profiles and was not dropped. From the calling
 * thread, after a picture was taken. */
enum status store_projects(struct store *store, void (*each)(void *ctx, uint64_t project), void *ctx) MUST_USE;

struct store_stats {
    uint64_t frames, records, events, duplicates, deleted, bytes_logged, sync_ns;
    uint64_t updates;           /* of profiles, carried out */
    uint64_t update_left_out;   /* properties that the limits of a profile left out */
    uint64_t update_debt_bytes; /* of updates that wait because their profile cannot be read */
    uint64_t queue_bytes, memory_bytes, rows_in_memory, flushes, sections, section_bytes, ids, projects;
    uint64_t compactions, compaction_failures, bytes_flushed,
        bytes_compacted; /* write amplification: all three bytes_ */
    bool failing;
};
void store_stats(struct store *store, struct store_stats *ret_stats);

/* --- snapshots --- */

/* Numbers for telling whether a project has changed: each differs from what it was before every write of its kind that
 * was acknowledged since. An answer computed from snapshots that were taken after they were read is right as long as
 * they are the same. Costs no snapshot. Numbers are of one opening of the store. */
struct store_changes {
    uint64_t events, profiles; /* events, ids and links; and the profiles of users and groups */
};
struct store_changes store_changes(struct store *store, uint64_t project);

struct snapshot;
/* A project without events gives an empty snapshot. */
enum status store_snapshot(struct store *store, uint64_t project, struct error *error,
                           struct snapshot **ret_snapshot) MUST_USE;
void snapshot_free(struct snapshot *snapshot);

#define EVENT_ID_NONE    UINT32_MAX
#define PROPERTY_ID_NONE UINT32_MAX
/* Names and numbers. Every name in the project's events has a number; numbers are dense from 0. */
uint32_t snapshot_event_id(const struct snapshot *snapshot, struct str name);
struct str snapshot_event_name(const struct snapshot *snapshot, uint32_t event_id);
uint32_t snapshot_event_count(const struct snapshot *snapshot);
uint32_t snapshot_property_id(const struct snapshot *snapshot, struct str name);
struct str snapshot_property_name(const struct snapshot *snapshot, uint32_t property_id);
uint32_t snapshot_property_count(const struct snapshot *snapshot);
/* People. Ids and persons are dense numbers from 1; 0 is "no user". A person is a cluster of ids; `person` of an id
 * changes when clusters merge, and a snapshot's answers are consistent. */
uint32_t snapshot_id(const struct snapshot *snapshot, struct str distinct_id); /* 0 when unknown */
/* The same for the texts of ids first, first + 1, … of another snapshot, at a fraction of the cost. */
void snapshot_match_ids(const struct snapshot *snapshot, const struct snapshot *other, uint32_t first, uint32_t count,
                        uint32_t *ret_ids);
/* "" for 0. It is in `room` or lives as long as the snapshot. */
struct str snapshot_id_text(const struct snapshot *snapshot, uint32_t id, char room[ID_TEXT_ROOM]);
/* The texts of these ids will be asked for soon: has them fetched into the processor's cache. */
void snapshot_expect_id_texts(const struct snapshot *snapshot, const uint32_t *ids, size_t count);
/* The cluster's number. Of the number under which a row is stored: right unless snapshot_is_mixed says of it that rows
 * of several persons are stored there, since somebody was taken out of a cluster; then it is that of the row's id. */
uint32_t snapshot_person(const struct snapshot *snapshot, uint32_t id);
bool snapshot_is_mixed(const struct snapshot *snapshot, uint32_t number);
bool snapshot_any_mixed(const struct snapshot *snapshot);
/* In the legacy mode, of an alias the id that it stands for: whose the events that come under it are. 0: its own. */
uint32_t snapshot_stands_for(const struct snapshot *snapshot, uint32_t id);
uint32_t snapshot_person_id(const struct snapshot *snapshot, uint32_t person); /* the id shown for the cluster */
uint32_t snapshot_id_count(const struct snapshot *snapshot);                   /* ids are 1..count */
uint32_t snapshot_forgotten_count(const struct snapshot *snapshot);            /* of them; only grows */
/* The bits (by person number, one more than ids) of the persons whose numbers links from number `from_link` on took
 * away: rows that were sorted before are stored under those, and belong to others now. NULL: none. malloc'd. */
enum status snapshot_moved(const struct snapshot *snapshot, uint32_t from_link, struct error *error,
                           uint64_t **ret_bits) MUST_USE;
uint32_t snapshot_link_count(const struct snapshot *snapshot);

/* --- scanning --- */

/*
 * A run is the rows of one event in one section, in the order (person as of writing, time, arrival), read in vectors of
 * up to 1024 rows. Use: scan_new, then scan_next for each run, and for each of its vectors read what is needed.
 * Everything a read returns stays good until the next scan_vector or scan_next; dictionaries (struct vector, DICT)
 * until scan_next.
 */
struct scan;
struct scan_options {
    const uint32_t *events; /* event ids, NULL: all */
    size_t event_count;
    int64_t from_ms, to_ms;  /* [from, to): runs that cannot hold such rows are skipped; rows are not filtered */
    size_t memory_bytes_max; /* budget for decoding */
};
enum status scan_new(struct snapshot *snapshot, const struct scan_options *options, struct error *error,
                     struct scan **ret_scan) MUST_USE;
void scan_free(struct scan *scan);
const struct snapshot *scan_snapshot(const struct scan *scan);

struct scan_run {
    uint32_t event_id;
    uint32_t rows;    /* deleted rows included */
    uint32_t deleted; /* how many of them are deleted */
    uint32_t vectors;
    uint32_t persons;       /* distinct ones, as of writing */
    uint32_t links_applied; /* links made when the rows were sorted: see snapshot_moved */
    int64_t time_min_ms, time_max_ms;
    int64_t window_ms;                      /* from which scan_minutes counts */
    int64_t section_min_ms, section_max_ms; /* of all runs of the section */
    uint32_t section, event;                /* where it is in the snapshot */
};
/* NOT_FOUND at the end. */
enum status scan_next(struct scan *scan, struct error *error, struct scan_run *ret_run) MUST_USE;
/* All runs that scan_next would give, in its order, for several threads with a scan each to share out; scan_open goes
 * to one of them. */
enum status scan_list(const struct snapshot *snapshot, const struct scan_options *options, struct arena *arena,
                      struct error *error, struct scan_run **ret_runs, size_t *ret_count) MUST_USE;
enum status scan_open(struct scan *scan, const struct scan_run *run, struct error *error) MUST_USE;
/* Moves to vector `index` of the current run and says how many rows it has. */
enum status scan_vector(struct scan *scan, uint32_t index, struct error *error, uint32_t *ret_rows) MUST_USE;
/* Of the current vector, one entry a row: */
enum status scan_times(struct scan *scan, struct error *error, const int64_t **ret_times_ms) MUST_USE;
enum status scan_persons(struct scan *scan, struct error *error, const uint32_t **ret_persons) MUST_USE; /* resolved */
enum status scan_ids(struct scan *scan, struct error *error, const uint32_t **ret_ids) MUST_USE;         /* as sent */
enum status scan_received(struct scan *scan, struct error *error, const int64_t **ret_received_ms) MUST_USE;
/* A string as sent, or the int64 number of an event that had none. */
enum status scan_insert_ids(struct scan *scan, struct error *error, struct vector *ret_vector) MUST_USE;
/* BATCH_IMPORT */
enum status scan_flags(struct scan *scan, struct error *error, const uint8_t **ret_flags) MUST_USE;
enum status scan_property(struct scan *scan, uint32_t property_id, struct error *error,
                          struct vector *ret_vector) MUST_USE;
/* Whole minutes since the run's window_ms: what time buckets need, without the milliseconds. */
enum status scan_minutes(struct scan *scan, struct error *error, const uint32_t **ret_minutes) MUST_USE;
/* And the milliseconds of that minute, below 60000: both together are what scan_times tells, in less memory. */
enum status scan_milliseconds(struct scan *scan, struct error *error, const uint32_t **ret_milliseconds) MUST_USE;
/* The persons under whose numbers the rows are sorted: ascending through the run, and those of the snapshot except
 * where snapshot_moved says so. */
enum status scan_stored_persons(struct scan *scan, struct error *error, const uint32_t **ret_persons) MUST_USE;
/* The stored persons of the vector's rows, each once, ascending: rows [ends[i - 1], ends[i]) are those of persons[i].
 * Behind the last person there are SCAN_PAD more entries that may be read. */
#define SCAN_PAD 16
struct scan_segments {
    const uint32_t *persons, *ends;
    uint32_t count;
};
enum status scan_segments(struct scan *scan, struct error *error, struct scan_segments *ret_segments) MUST_USE;
/* 1 for each row whose stored person is another than that of the row before it in the run. */
enum status scan_starts(struct scan *scan, struct error *error, const uint8_t **ret_starts) MUST_USE;
/* 1 for rows that count, 0 for deleted ones. */
enum status scan_live(struct scan *scan, struct error *error, const uint8_t **ret_live) MUST_USE;
/* The properties that occur in the current run, ascending. */
enum status scan_properties(struct scan *scan, struct error *error, const uint32_t **ret_ids,
                            size_t *ret_count) MUST_USE;
/* How many rows have each of them, deleted ones included: known without reading them. Good as long as the ids. */
enum status scan_property_rows(struct scan *scan, struct error *error, const uint32_t **ret_rows) MUST_USE;

/*
 * How a property is stored in the current run, for those who work on codes and numbers instead of values.
 *
 *   ABSENT   no row has it
 *   CONST    every row has values[0]
 *   CODES    scan_codes gives indexes into values[]; values[0] is ABSENT
 *   NUMBERS  scan_numbers gives doubles, integers beyond 2^53 rounded, NaN where a row has none
 *   VALUES   anything else: scan_property
 *
 * values[] is good until the next scan_open or scan_next.
 */
enum scan_form { SCAN_ABSENT, SCAN_CONST, SCAN_CODES, SCAN_NUMBERS, SCAN_VALUES };
struct scan_column {
    enum scan_form form;
    const struct value *values;
    uint32_t value_count;
};
enum status scan_column(struct scan *scan, uint32_t property_id, struct error *error,
                        struct scan_column *ret_column) MUST_USE;
/* CODES: how many rows of the run have each of values[], deleted ones included. Good as long as values[]. */
enum status scan_value_rows(struct scan *scan, uint32_t property_id, struct error *error,
                            const uint32_t **ret_rows) MUST_USE;
enum status scan_codes(struct scan *scan, uint32_t property_id, struct error *error,
                       const uint32_t **ret_codes) MUST_USE;
enum status scan_numbers(struct scan *scan, uint32_t property_id, struct error *error,
                         const double **ret_numbers) MUST_USE;
/* NUMBERS: all numbers of the current vector lie in [*ret_min, *ret_max]. */
enum status scan_number_range(struct scan *scan, uint32_t property_id, struct error *error, double *ret_min,
                              double *ret_max) MUST_USE;
/*
 * The same in as few bits as it is stored in, for loops over whole vectors.
 *
 * Codes of 16 bits, each below code_count, which is the value_count of scan_column and at most UINT16_MAX.
 * Integers, where scan_has_integers says that each row has one of its own: the numbers of scan_numbers are integer /
 * divisor. What scan_integers tells of a vector is known without decoding it: item i is min + scale * offset i, the
 * items lie in [min, max], which are met; rows without one have offset 0. Offsets of up to 16 and 32 bits can be had.
 */
#define SCAN_MINUTES    UINT32_MAX /* instead of a property: scan_minutes; all rows have one */
#define SCAN_MASK_WORDS (VECTOR_ROWS_MAX / 64)
enum status scan_codes16(struct scan *scan, uint32_t property_id, uint32_t code_count, struct error *error,
                         uint16_t ret_codes[VECTOR_ROWS_MAX]) MUST_USE;
bool scan_has_integers(struct scan *scan, uint32_t property_id, double *ret_divisor);
struct scan_integers {
    int64_t min, max;
    uint32_t scale;
    unsigned width; /* bits of an offset */
    bool all_present;
};
enum status scan_integers(struct scan *scan, uint32_t property_id, struct error *error,
                          struct scan_integers *ret) MUST_USE;
enum status scan_offsets16(struct scan *scan, uint32_t property_id, struct error *error,
                           uint16_t ret_offsets[VECTOR_ROWS_MAX]) MUST_USE;
enum status scan_offsets32(struct scan *scan, uint32_t property_id, struct error *error,
                           uint32_t ret_offsets[VECTOR_ROWS_MAX]) MUST_USE;
/* Which rows have an integer: row i is bit i % 64 of word i / 64; zero behind the last row. */
enum status scan_presence(struct scan *scan, uint32_t property_id, struct error *error,
                          uint64_t ret_bits[SCAN_MASK_WORDS]) MUST_USE;

/* The list of the run's stored persons (run.persons of them, ascending, each once): the place of the first one that is
 * `person` or above, and the persons from place vector · VECTOR_ROWS_MAX on, at most VECTOR_ROWS_MAX. */
enum status scan_seek_owner(struct scan *scan, uint32_t person, struct error *error, uint32_t *ret_place) MUST_USE;
enum status scan_owners(struct scan *scan, uint32_t vector, struct error *error, const uint32_t **ret_persons) MUST_USE;
/* A vector before which no row belongs to a stored person from `person` on: near to the first that does. */
enum status scan_seek_vector(struct scan *scan, uint32_t person, struct error *error, uint32_t *ret_vector) MUST_USE;
/* The first row of the run whose stored person is `person` or above; run.rows when there is none. */
enum status scan_seek_person(struct scan *scan, uint32_t person, struct error *error, uint32_t *ret_row) MUST_USE;

/*
 * Some rows of the current vector, for those who want few of a vector and all of a row. scan_pick says which,
 * ascending, and stays in force until the next scan_pick, scan_vector or scan_open; the others give one entry for each
 * of them. Only what belongs to those rows is decoded, and checked.
 */
#define SCAN_PICKS_MAX 128u
enum status scan_pick(struct scan *scan, const uint32_t *rows, uint32_t count, struct error *error) MUST_USE;
/* Rows of this vector will be picked soon: has its bytes fetched into the processor's cache, as far as its blocks are
 * there. For those who pick from vector after vector. */
void scan_expect_vector(struct scan *scan, uint32_t vector);
enum status scan_pick_times(struct scan *scan, struct error *error, int64_t *ret_times_ms) MUST_USE;
enum status scan_pick_persons(struct scan *scan, struct error *error, uint32_t *ret_persons) MUST_USE; /* resolved */
enum status scan_pick_ids(struct scan *scan, struct error *error, uint32_t *ret_ids) MUST_USE;         /* as sent */
enum status scan_pick_received(struct scan *scan, struct error *error, int64_t *ret_received_ms) MUST_USE;
enum status scan_pick_flags(struct scan *scan, struct error *error, uint8_t *ret_flags) MUST_USE;
/* The texts of values are copied into the arena: they do not depend on the scan. `place` counts in the list of
 * scan_properties. */
enum status scan_pick_insert_ids(struct scan *scan, struct arena *arena, struct error *error,
                                 struct value *ret_values) MUST_USE;
/* Instead of their values, where a property has codes (CODES, above): indexes into *ret_values, which is good until the
 * next scan_open. False in *ret_any for others. */
enum status scan_pick_codes(struct scan *scan, size_t place, struct error *error, bool *ret_any, uint32_t *ret_codes,
                            const struct value **ret_values, uint32_t *ret_value_count) MUST_USE;
enum status scan_pick_property(struct scan *scan, size_t place, struct arena *arena, struct error *error,
                               struct value *ret_values) MUST_USE;

/* Rows of a run by quarter hour since window_ms, deleted ones included: `count` pairs, ascending. NULL when the run has
 * no such statistics. The scan need not be at the run, and is at none afterwards; good until the next call of it. */
struct scan_quarter {
    uint32_t quarter, rows;
};
enum status scan_quarters(struct scan *scan, const struct scan_run *run, struct error *error,
                          const struct scan_quarter **ret_quarters, size_t *ret_count) MUST_USE;
