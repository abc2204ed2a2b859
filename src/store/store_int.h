#pragma once
/*
 * What the three threads of the store share (see the essay in store.c). Private to store.c, log.c, applier.c and
 * mail.c.
 */
#include "os/thread.h"
#include "store/changes.h"
#include "store/compact_job.h"
#include "store/flush.h"
#include "store/store.h"
#include "store/wal.h"

#include <stdatomic.h>

struct request {
    struct request *next;
    struct buf record;
    void (*done)(void *arg, enum status status);
    void *arg;
};

enum message_kind {
    MESSAGE_FRAME,
    MESSAGE_SNAPSHOT,
    MESSAGE_FLUSH,
    MESSAGE_FLUSHED,
    MESSAGE_PROJECTS,
    MESSAGE_DELETION,
    MESSAGE_PURGED,
    MESSAGE_ADVANCE,
    MESSAGE_COMPACT,
    MESSAGE_COMPACTED,
    MESSAGE_STOP
};

static inline bool store_is_change(enum message_kind kind)
{
    return kind == MESSAGE_FRAME || kind == MESSAGE_FLUSHED || kind == MESSAGE_COMPACTED;
}

struct waiter { /* lives on the asking thread's stack */
    bool done;
    enum status status;
    struct error error;
    struct snapshot *snapshot;
    uint64_t *ids;
    size_t id_count;
    struct store_deletion deletion;
    uint64_t lsn;
    struct waiter *next;
};

struct message {
    struct message *next;
    enum message_kind kind;
    struct frame_bytes *frame;
    uint64_t lsn, end_lsn;
    size_t size; /* counted against the mailbox's bound */
    uint64_t project, request;
    struct waiter *waiter;
    struct flush_job *job;
    struct compact_job *compact;
};

enum compact_state { COMPACT_NONE, COMPACT_WRITING, COMPACT_WRITTEN, COMPACT_COMMITTING };

struct store {
    struct store_options options;
    struct cache *cache;
    struct manifest manifest; /* maintenance thread, after opening */
    struct wal *wal;
    struct frame_pool frames; /* of the log thread; emptied when it is idle */

    struct os_mutex queue_lock;
    struct os_cond queue_filled;
    struct request *queue_head, **queue_tail;
    size_t queue_bytes;
    struct waiter *rotate_waiters; /* who wants the log to begin a new file */
    bool stopping;

    struct os_mutex mail_lock;
    struct os_cond mail_filled, mail_drained;
    struct message *mail_head, **mail_tail;
    size_t mail_bytes;
    uint64_t changes_posted; /* messages that may change what a snapshot shows */

    /* Snapshots by project (struct fresh *) for those who ask when nothing has changed: no turn of the applier is
     * needed. */
    struct os_mutex fresh_lock;
    struct u64map fresh;

    struct store_change_log changes;

    struct os_mutex wait_lock;
    struct os_cond wait_done;

    struct os_mutex job_lock;
    struct os_cond job_filled;
    struct flush_job *job;
    bool job_stop;

    struct os_mutex compact_lock;
    struct os_cond compact_filled;
    struct compact_job *compact_next; /* for the compaction thread */
    bool compact_stop;

    struct os_thread log_thread, applier_thread, maintenance_thread, compact_thread;
    bool log_started, applier_started, maintenance_started, compact_started;

    /* the applier's */
    struct u64map projects; /* id -> struct project * */
    struct project_context context;
    struct arena *arena;
    uint64_t applied_lsn;
    uint64_t changes_applied; /* how many of changes_posted */
    bool flushing;
    int64_t last_flush_ns, retry_flush_ns, last_count_ns;
    struct waiter *flush_waiters, *flush_waiters_next;
    uint64_t *dropped;
    size_t dropped_count, dropped_saved;
    struct manifest_dead *dead; /* sections of dropped projects: the next flush takes them out of the manifest */
    size_t dead_count, dead_saved;
    /* compaction.c */
    enum compact_state compact_state;
    struct compact_job *compact_job; /* WRITTEN: it waits for the end of a flush */
    struct compact_options compact_options;
    struct compact_job *_Atomic compact_running; /* to be cancelled */
    bool compact_dirty;                          /* something changed that the picker looks at */
    int64_t compact_look_ns, compact_retry_ns, compact_survey_ns;
    unsigned compact_failures; /* in a row */
    struct waiter *compact_waiters;

    struct os_mutex failure_lock;
    struct error failure; /* why writing is not possible; status OK: it is */

    _Atomic bool recovering; /* replayed records are not in files yet: no append */
    _Atomic size_t memory_bytes;
    _Atomic size_t order_bytes;       /* of deletes that wait for the end of rewrites */
    _Atomic size_t update_debt_bytes; /* of updates that could not read their profile */
    _Atomic uint64_t stat_frames, stat_records, stat_events, stat_duplicates, stat_bytes, stat_sync_ns, stat_flushes,
        stat_rows, stat_deleted, stat_sections, stat_section_bytes, stat_ids, stat_projects, stat_compactions,
        stat_updates, stat_update_left_out, stat_compaction_failures, stat_bytes_flushed, stat_bytes_compacted;
};

/* How long a failed write rests before it is tried again. */
static inline int64_t store_retry_ns(const struct store *store)
{
    return (int64_t)store->options.retry_ms * 1000000;
}

#define each_project(store, cursor, project)                                                                           \
    uint64_t cursor##_id, cursor##_value;                                                                              \
    for (size_t cursor = 0; u64map_next(&(store)->projects, &cursor, &cursor##_id, &cursor##_value) &&                 \
                            ((project) = (struct project *)(uintptr_t)cursor##_value, true);)

/* --- fresh.c --- */
/* Keeps the snapshot (and takes a reference) as what the project looks like after `changes` changes. */
void store_fresh_put(struct store *store, struct snapshot *snapshot, uint64_t changes);
/* A reference to the project's snapshot, if it is still what the applier would make; NULL: ask it. */
struct snapshot *store_fresh_get(struct store *store, uint64_t project);
/* Lets go of all: they keep files that were replaced. */
void store_fresh_clear(struct store *store);

/* --- mail.c: between threads --- */
struct message *store_message_try(enum message_kind kind); /* NULL: out of memory */
/* For the store's own threads, which cannot go on without: never NULL. */
struct message *store_message_new(enum message_kind kind);
/* Hands a message to the applier. A frame waits while the mailbox is full. */
void store_post(struct store *store, struct message *message);
/* The applier's next message; NULL after timeout_ns without one. */
struct message *store_receive(struct store *store, int64_t timeout_ns);
void store_wake(struct store *store, struct waiter *waiter, enum status status);
enum status store_wait(struct store *store, struct waiter *waiter) MUST_USE;

/* --- log.c --- */
void store_log_main(void *store);
/* Why writing is not possible; NULL: it is. Logs when that changes. */
void store_set_failure(struct store *store, const struct error *error);

/* --- applier.c --- */
void store_applier_main(void *store);
struct project *store_find_project(void *store, uint64_t id);
enum status store_apply_frame(struct store *store, struct frame_bytes *frame, struct str records, uint64_t lsn,
                              struct error *error) MUST_USE;
void store_count_memory(struct store *store);

/* --- deletion.c: the applier's part --- */
void store_tell_deletion(struct store *store, struct message *message);
void store_tell_purged(struct store *store, struct message *message);

/* --- compaction.c --- */
void store_compact_main(void *store);
void store_compact_init(struct store *store);
/* The applier's: whatever is to be done next, if anything. */
void store_compact_step(struct store *store, bool stop);
void store_compact_finished(struct store *store, struct compact_job *job);
/* Notes that the file sections do not count any more, for the next flush. */
enum status store_bury(struct store *store, struct section *const *sections, size_t count) MUST_USE;
/* Deletes before this LSN have left no row in sections that do not count but whose files are still there. */
uint64_t store_buried_lsn(struct store *store);
