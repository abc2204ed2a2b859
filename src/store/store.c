/*
 * Four threads, each the only owner of what it changes:
 *
 *   callers ──append──▶ [queue] ─▶ LOG thread: frame, write, sync ──acks──▶ callers
 *                                     │ frames, in order
 *   callers ──snapshot─▶ [mailbox] ─▶ APPLIER: ids, links, duplicates, memtables, piles, snapshots
 *                                     │ flush jobs                    ▲ results
 *                                     ▼                               │
 *                                  MAINTENANCE: section files, manifest, log recycling
 *                                  COMPACTION:  section files anew, manifest while MAINTENANCE has no job
 * (compaction.c)
 *
 * A frame is put into the applier's mailbox before its records are acknowledged, and a snapshot request goes through
 * the same mailbox; so a snapshot asked for after an acknowledgement holds the record without any further
 * synchronisation.
 *
 * Bounds. The append queue and the mailbox hold at most queue_bytes_max each: when the applier falls behind, the log
 * thread waits for it, the queue fills, and store_append refuses. When memory (memtables and RAM sections) passes
 * memory_bytes_max a flush starts; past twice that, appends are refused until it is done.
 *
 * When the log cannot be written, the failed requests are answered UNAVAILABLE, and the log is begun anew at the next
 * attempt, at most five times in retry_ms and at least once while nobody asks.
 */
#include "store/store.h"

#include "base/log.h"
#include "os/clock.h"
#include "os/machine.h"
#include "store/delete.h"
#include "store/store_int.h"

#include <stdlib.h>

#define PROJECTS_MAX (1u << 20)

void store_options_defaults(struct store_options *options)
{
    *options = (struct store_options){
        .wal_file_bytes = (uint64_t)64 << 20,
        .memory_bytes_max = (uint64_t)256 << 20,
        .flush_rows = 1000000,
        .seal_rows = 65536,
        .flush_interval_ms = 600000,
        .retry_ms = 1000,
        .cache_bytes = (uint64_t)256 << 20,
        .queue_bytes_max = (uint64_t)64 << 20,
        .names_max = 1000000,
        .purge_deadline_ms = (uint64_t)7 * 86400000,
        .compact_memory_bytes = (uint64_t)1 << 30,
        .compact_threads = os_cores(),
    };
    compact_options_defaults(&options->compact);
}

/* --- the maintenance thread --- */

static void maintenance_main(void *arg)
{
    struct store *store = arg;
    struct error error = ERROR_INIT;
    bool spare = false;
    for (;;) {
        int64_t deadline_ns = os_monotonic_ns() + store_retry_ns(store) / (spare ? 1 : 10);
        os_mutex_lock(&store->job_lock);
        while (!store->job && !store->job_stop && os_cond_wait_until(&store->job_filled, &store->job_lock, deadline_ns))
            continue;
        struct flush_job *job = store->job;
        store->job = NULL;
        bool stop = store->job_stop;
        os_mutex_unlock(&store->job_lock);
        if (job) {
            flush_job_run(job, store->options.fs, &store->manifest, store->cache, (size_t)4 << 30);
            if (job->status == STATUS_OK && wal_recycle(store->wal, job->flushed_lsn, &error) != STATUS_OK)
                log_failure(LOG_WARN, "cannot_recycle_log", &error);
            struct message *message = store_message_new(MESSAGE_FLUSHED);
            message->job = job;
            store_post(store, message);
        } else if (stop) {
            return;
        }
        /* A full disk is the log thread's to report when it needs the file. */
        spare = !atomic_load(&store->recovering) && wal_prepare_spare(store->wal, &error) == STATUS_OK;
    }
}

/* --- opening and closing --- */

struct replay {
    struct store *store;
    struct store_report report;
    struct error error;
};

static enum status replay_frame(void *ctx, uint64_t lsn, uint64_t end_lsn, struct str records)
{
    struct replay *replay = ctx;
    struct frame_bytes *frame = frame_bytes_new(records.size);
    if (!frame) return STATUS_LIMIT;
    memcpy(frame->data, records.data, records.size);
    uint64_t before = replay->store->context.events;
    enum status status =
        store_apply_frame(replay->store, frame, str_from(frame->data, records.size), lsn, &replay->error);
    frame_bytes_unref(frame);
    replay->report.events += replay->store->context.events - before;
    replay->report.frames++;
    replay->store->applied_lsn = end_lsn;
    return status;
}

static enum status start(struct store *store, struct error *error)
{
    store->applier_started = os_thread_spawn(&store->applier_thread, "applier", store_applier_main, store) == STATUS_OK;
    store->maintenance_started =
        os_thread_spawn(&store->maintenance_thread, "maintenance", maintenance_main, store) == STATUS_OK;
    store->compact_started =
        os_thread_spawn(&store->compact_thread, "compaction", store_compact_main, store) == STATUS_OK;
    store->log_started = os_thread_spawn(&store->log_thread, "log", store_log_main, store) == STATUS_OK;
    if (!store->compact_started || !store->applier_started || !store->maintenance_started || !store->log_started)
        return error_set(error, STATUS_LIMIT, "cannot start the store's threads");
    return STATUS_OK;
}

static enum status recover(struct store *store, struct error *error, struct store_report *ret_report)
{
    TRY(manifest_open(store->options.fs, error, &store->manifest));
    TRY(manifest_check(&store->manifest, error));
    enum status loaded =
        files_load(store->options.fs, &store->manifest, store->cache, store_find_project, store, error);
    if (loaded == STATUS_NOT_FOUND) { /* so either the file or the manifest is not what was written */
        loaded = STATUS_CORRUPT;
        error_prefix(error, "the manifest lists a file that is not there");
        error_hint(error, "restore the manifest and the files of events/ from one backup");
        if (error) error->status = loaded;
    }
    if (loaded != STATUS_OK) return loaded;
    struct project *project;
    each_project(store, at, project)
    {
        struct id_view *ids = id_graph_view(project->ids);
        project_sort_sections(project);
        project_note_flushed(project, ids, id_graph_mark(project->ids).links);
        project->flushed_lsn = store->manifest.flushed_lsn;
        id_view_unref(ids);
    }
    for (size_t i = 0; i < store->manifest.dropped_count; i++) {
        project = store_find_project(store, store->manifest.dropped[i]);
        if (!project) return error_set(error, STATUS_LIMIT, "out of memory for a project");
        project->dropped = true;
        project->catalogued =
            names_count(project->events) || names_count(project->properties) || id_graph_count(project->ids);
    }
    TRY(project_debts_read(str_from(store->manifest.debts, store->manifest.debt_size), store_find_project, store,
                           &store->context, error));
    struct wal_options wal = {
        .fs = store->options.fs, .file_bytes = store->options.wal_file_bytes, .salvage = store->options.salvage};
    memcpy(wal.node, store->manifest.node, sizeof wal.node);
    struct replay replay = {.store = store, .error = ERROR_INIT};
    struct wal_report report;
    store->applied_lsn = store->manifest.flushed_lsn;
    enum status status =
        wal_open(&wal, store->manifest.flushed_lsn, replay_frame, &replay, error, &report, &store->wal);
    if (status != STATUS_OK) {
        if (replay.error.status != STATUS_OK && error) error_detail(error, "%s", replay.error.primary);
        return status;
    }
    store->applied_lsn = report.end_lsn;
    replay.report.bytes_torn = report.bytes_torn;
    replay.report.bytes_lost = report.bytes_lost;
    if (!store->manifest.failed) files_sweep(store->options.fs, &store->manifest);
    /* What was read may have sat in the page cache only (a write that was never synced): it goes to files before
     * anything else is accepted, see docs/formats/wal.md. A mark alone counts too: the log goes on behind it. */
    atomic_store(&store->recovering, report.end_lsn > store->manifest.flushed_lsn);
    *ret_report = replay.report;
    return STATUS_OK;
}

enum status store_open(const struct store_options *options, struct error *error, struct store_report *ret_report,
                       struct store **ret_store)
{
    if (options->wal_file_bytes < 65536) return error_set(error, STATUS_INVALID, "log files must have at least 64 KiB");
    if (options->retry_ms < 1 || options->retry_ms > 3600000)
        return error_set(error, STATUS_INVALID, "failed writes may be tried again after 1 ms to 1 h");
    if (options->names_max == 0 || options->names_max > STORE_NAMES_MAX)
        return error_set(error, STATUS_INVALID, "a project may have 1 to %d names", STORE_NAMES_MAX);
    struct store *store = calloc(1, sizeof *store);
    if (!store) return error_set(error, STATUS_LIMIT, "out of memory");
    store->options = *options;
    store->options.wal_file_bytes = options->wal_file_bytes / 64 * 64;
    store->context.options = &store->options;
    store->queue_tail = &store->queue_head;
    store->mail_tail = &store->mail_head;
    store->projects = U64MAP_INIT(PROJECTS_MAX);
    store->fresh = U64MAP_INIT(PROJECTS_MAX);
    store_changes_init(&store->changes, PROJECTS_MAX);
    store->arena = arena_new((size_t)1 << 30);
    store->cache = cache_new(options->cache_bytes);
    store->last_flush_ns = os_monotonic_ns();
    frame_pool_init(&store->frames);
    os_mutex_init(&store->queue_lock, "append queue");
    os_mutex_init(&store->mail_lock, "mailbox");
    os_mutex_init(&store->fresh_lock, "fresh snapshots");
    os_mutex_init(&store->wait_lock, "waiters");
    os_mutex_init(&store->job_lock, "flush job");
    os_mutex_init(&store->compact_lock, "compaction job");
    os_mutex_init(&store->failure_lock, "failure");
    os_cond_init(&store->queue_filled, "append queue filled");
    os_cond_init(&store->mail_filled, "mailbox filled");
    os_cond_init(&store->mail_drained, "mailbox drained");
    os_cond_init(&store->wait_done, "waiter done");
    os_cond_init(&store->job_filled, "flush job there");
    os_cond_init(&store->compact_filled, "compaction job there");
    store_compact_init(store);
    struct store_report report;
    enum status status = recover(store, error, &report);
    if (status == STATUS_OK) {
        store_count_memory(store);
        status = start(store, error);
    }
    /* The first flush puts recovered records into files; a disk that is full leaves the store readable. */
    if (status == STATUS_OK && atomic_load(&store->recovering)) {
        struct error flush_error = ERROR_INIT;
        if (store_flush(store, &flush_error) != STATUS_OK) store_set_failure(store, &flush_error);
    }
    if (status != STATUS_OK) {
        store_close(store);
        return status;
    }
    *ret_report = report;
    *ret_store = store;
    return STATUS_OK;
}

void store_close(struct store *store)
{
    if (!store) return;
    if (store->log_started) {
        os_mutex_lock(&store->queue_lock);
        store->stopping = true;
        os_cond_signal(&store->queue_filled);
        os_mutex_unlock(&store->queue_lock);
        os_thread_join(&store->log_thread);
    }
    if (store->applier_started) {
        store_post(store, store_message_new(MESSAGE_STOP));
        os_thread_join(&store->applier_thread);
    }
    if (store->maintenance_started) {
        os_mutex_lock(&store->job_lock);
        store->job_stop = true;
        os_cond_signal(&store->job_filled);
        os_mutex_unlock(&store->job_lock);
        os_thread_join(&store->maintenance_thread);
    }
    if (store->compact_started) {
        os_mutex_lock(&store->compact_lock);
        store->compact_stop = true;
        os_cond_signal(&store->compact_filled);
        os_mutex_unlock(&store->compact_lock);
        os_thread_join(&store->compact_thread);
    }
    struct project *project;
    store_fresh_clear(store);
    row_readers_clear(&store->context.readers);
    each_project(store, at, project) project_free(project);
    u64map_fini(&store->projects);
    store_changes_fini(&store->changes);
    frame_pool_fini(&store->frames);
    wal_free(store->wal);
    if (store->manifest.fs) manifest_fini(&store->manifest);
    cache_free(store->cache);
    arena_free(store->arena);
    free(store->dropped);
    free(store->dead);
    struct os_mutex *locks[] = {&store->queue_lock, &store->mail_lock,    &store->fresh_lock,  &store->wait_lock,
                                &store->job_lock,   &store->failure_lock, &store->compact_lock};
    struct os_cond *conditions[] = {&store->queue_filled, &store->mail_filled, &store->mail_drained,
                                    &store->wait_done,    &store->job_filled,  &store->compact_filled};
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++) os_mutex_destroy(locks[i]);
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) os_cond_destroy(conditions[i]);
    free(store);
}

struct store_changes store_changes(struct store *store, uint64_t project)
{
    return store_changes_get(&store->changes, project);
}

void store_stats(struct store *store, struct store_stats *ret_stats)
{
    *ret_stats = (struct store_stats){
        .frames = atomic_load(&store->stat_frames),
        .records = atomic_load(&store->stat_records),
        .events = atomic_load(&store->stat_events),
        .duplicates = atomic_load(&store->stat_duplicates),
        .deleted = atomic_load(&store->stat_deleted),
        .updates = atomic_load(&store->stat_updates),
        .update_left_out = atomic_load(&store->stat_update_left_out),
        .update_debt_bytes = atomic_load(&store->update_debt_bytes),
        .bytes_logged = atomic_load(&store->stat_bytes),
        .sync_ns = atomic_load(&store->stat_sync_ns),
        .memory_bytes = atomic_load(&store->memory_bytes),
        .rows_in_memory = atomic_load(&store->stat_rows),
        .flushes = atomic_load(&store->stat_flushes),
        .sections = atomic_load(&store->stat_sections),
        .section_bytes = atomic_load(&store->stat_section_bytes),
        .ids = atomic_load(&store->stat_ids),
        .projects = atomic_load(&store->stat_projects),
        .compactions = atomic_load(&store->stat_compactions),
        .compaction_failures = atomic_load(&store->stat_compaction_failures),
        .bytes_flushed = atomic_load(&store->stat_bytes_flushed),
        .bytes_compacted = atomic_load(&store->stat_bytes_compacted),
        .failing = store_writable(store, NULL) != STATUS_OK,
    };
    os_mutex_lock(&store->queue_lock);
    ret_stats->queue_bytes = store->queue_bytes;
    os_mutex_unlock(&store->queue_lock);
}
