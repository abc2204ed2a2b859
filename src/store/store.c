/*
 * Three threads, each the only owner of what it changes:
 *
 *   callers ──append──▶ [queue] ─▶ LOG thread: frame, write, sync ──acks──▶ callers
 *                                     │ frames, in order
 *   callers ──snapshot─▶ [mailbox] ─▶ APPLIER: ids, links, duplicates, memtables, seals, snapshots
 *                                     │ flush jobs                    ▲ results
 *                                     ▼                               │
 *                                  MAINTENANCE: section files, manifest, log recycling
 *
 * A frame is put into the applier's mailbox before its records are acknowledged, and a snapshot request goes through the same mailbox; so
 * a snapshot asked for after an acknowledgement holds the record without any further synchronisation.
 *
 * Bounds. The append queue and the mailbox hold at most queue_bytes_max each: when the applier falls behind, the log thread waits
 * for it, the queue fills, and store_append refuses. When memory (memtables and RAM sections) passes memory_bytes_max a flush starts;
 * past twice that, appends are refused until it is done.
 *
 * When the log cannot be written, the failed requests are answered UNAVAILABLE, and the log is begun anew at the next attempt, at most
 * five times a second and at least once a second while nobody asks.
 */
#include "store/store.h"

#include "base/log.h"
#include "os/clock.h"
#include "store/flush.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define MARK_DELAY_NS   10000000LL
#define REOPEN_DELAY_NS 200000000LL
#define COUNT_DELAY_NS  20000000LL
#define RETRY_DELAY_NS  1000000000LL
#define PROJECTS_MAX    (1u << 20)

struct request {
    struct request *next;
    struct buf record;
    void (*done)(void *arg, enum status status);
    void *arg;
};

enum message_kind { MESSAGE_FRAME, MESSAGE_SNAPSHOT, MESSAGE_FLUSH, MESSAGE_FLUSHED, MESSAGE_PROJECTS, MESSAGE_STOP };

struct waiter { /* lives on the asking thread's stack */
    bool done;
    enum status status;
    struct error error;
    struct snapshot *snapshot;
    uint64_t *ids;
    size_t id_count;
    struct waiter *next;
};

struct message {
    struct message *next;
    enum message_kind kind;
    struct frame_bytes *frame;
    uint64_t lsn, end_lsn;
    size_t size; /* counted against the mailbox's bound */
    uint64_t project;
    struct waiter *waiter;
    struct flush_job *job;
};

struct store {
    struct store_options options;
    struct cache *cache;
    struct manifest manifest; /* maintenance thread, after opening */
    struct wal *wal;

    pthread_mutex_t queue_lock;
    pthread_cond_t queue_filled;
    struct request *queue_head, **queue_tail;
    size_t queue_bytes;
    bool stopping;

    pthread_mutex_t mail_lock;
    pthread_cond_t mail_filled, mail_drained;
    struct message *mail_head, **mail_tail;
    size_t mail_bytes;

    pthread_mutex_t wait_lock;
    pthread_cond_t wait_done;

    pthread_mutex_t job_lock;
    pthread_cond_t job_filled;
    struct flush_job *job;
    bool job_stop;

    pthread_t log_thread, applier_thread, maintenance_thread;
    bool log_started, applier_started, maintenance_started;

    /* the applier's */
    struct u64map projects; /* id -> struct project * */
    struct project_context context;
    struct arena *arena;
    uint64_t applied_lsn;
    bool flushing;
    int64_t last_flush_ns, retry_flush_ns, last_count_ns;
    struct waiter *flush_waiters, *flush_waiters_next;
    uint64_t *dropped;
    size_t dropped_count, dropped_saved;

    pthread_mutex_t failure_lock;
    struct error failure; /* why writing is not possible; status OK: it is */

    _Atomic bool recovering; /* replayed records are not in files yet: no append */
    _Atomic size_t memory_bytes;
    _Atomic uint64_t stat_frames, stat_records, stat_events, stat_duplicates, stat_bytes, stat_sync_ns, stat_flushes, stat_rows,
        stat_sections, stat_section_bytes, stat_ids, stat_projects;
};

void store_options_defaults(struct store_options *options)
{
    *options = (struct store_options){
        .wal_file_bytes = (uint64_t)64 << 20,
        .memory_bytes_max = (uint64_t)256 << 20,
        .flush_rows = 1000000,
        .flush_interval_ms = 600000,
        .cache_bytes = (uint64_t)256 << 20,
        .queue_bytes_max = (uint64_t)64 << 20,
    };
}

static void set_failure(struct store *store, const struct error *error)
{
    pthread_mutex_lock(&store->failure_lock);
    bool news = (store->failure.status == STATUS_OK) != (!error || error->status == STATUS_OK);
    store->failure = error ? *error : ERROR_INIT;
    pthread_mutex_unlock(&store->failure_lock);
    if (!news) return;
    if (error) log_failure(LOG_ERROR, "writes_refused", error);
    else log_info("writes_accepted");
}

enum status store_writable(struct store *store, struct error *error)
{
    pthread_mutex_lock(&store->failure_lock);
    struct error failure = store->failure;
    pthread_mutex_unlock(&store->failure_lock);
    if (failure.status != STATUS_OK) {
        if (error) *error = failure;
        return STATUS_UNAVAILABLE;
    }
    if (atomic_load(&store->recovering)) return error_set(error, STATUS_UNAVAILABLE, "recovery is not finished");
    if (atomic_load(&store->memory_bytes) > store->options.memory_bytes_max * 2)
        return error_set(error, STATUS_UNAVAILABLE, "too many events wait to be written to section files");
    return STATUS_OK;
}

/* --- mailboxes ----------------------------------------------------------------------------------------------------- */

static struct message *message_new(enum message_kind kind)
{
    struct message *message = calloc(1, sizeof *message);
    if (!message) abort();
    message->kind = kind;
    return message;
}

static void post(struct store *store, struct message *message)
{
    pthread_mutex_lock(&store->mail_lock);
    /* Only frames are bounded: snapshots and results are few and drain the box. */
    while (message->kind == MESSAGE_FRAME && store->mail_bytes > store->options.queue_bytes_max)
        pthread_cond_wait(&store->mail_drained, &store->mail_lock);
    *store->mail_tail = message;
    store->mail_tail = &message->next;
    store->mail_bytes += message->size;
    pthread_cond_signal(&store->mail_filled);
    pthread_mutex_unlock(&store->mail_lock);
}

static void deadline_after(struct timespec *deadline, int64_t ns)
{
    clock_gettime(CLOCK_MONOTONIC, deadline);
    int64_t total = deadline->tv_nsec + ns;
    deadline->tv_sec += total / 1000000000;
    deadline->tv_nsec = total % 1000000000;
}

/* NULL after timeout_ns without a message. */
static struct message *receive(struct store *store, int64_t timeout_ns)
{
    struct timespec deadline;
    deadline_after(&deadline, timeout_ns);
    pthread_mutex_lock(&store->mail_lock);
    int waited = 0;
    while (!store->mail_head && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&store->mail_filled, &store->mail_lock, &deadline);
    struct message *message = store->mail_head;
    if (message) {
        store->mail_head = message->next;
        if (!store->mail_head) store->mail_tail = &store->mail_head;
        store->mail_bytes -= message->size;
        pthread_cond_signal(&store->mail_drained);
    }
    pthread_mutex_unlock(&store->mail_lock);
    return message;
}

static void wake(struct store *store, struct waiter *waiter, enum status status)
{
    pthread_mutex_lock(&store->wait_lock);
    waiter->status = status;
    waiter->done = true;
    pthread_cond_broadcast(&store->wait_done);
    pthread_mutex_unlock(&store->wait_lock);
}

static enum status wait_for(struct store *store, struct waiter *waiter)
{
    pthread_mutex_lock(&store->wait_lock);
    while (!waiter->done) pthread_cond_wait(&store->wait_done, &store->wait_lock);
    pthread_mutex_unlock(&store->wait_lock);
    return waiter->status;
}

/* --- the log thread ------------------------------------------------------------------------------------------------- */

static void finish_requests(struct request *list, enum status status)
{
    while (list) {
        struct request *next = list->next;
        list->done(list->arg, status);
        buf_fini(&list->record);
        free(list);
        list = next;
    }
}

/* One frame of as many requests as fit. */
static enum status commit(struct store *store, struct request *list, size_t size, uint32_t count, struct error *error)
{
    struct message *message = message_new(MESSAGE_FRAME);
    message->frame = frame_bytes_new(wal_frame_size(size));
    if (!message->frame) {
        free(message);
        return error_set(error, STATUS_UNAVAILABLE, "out of memory for a log frame");
    }
    char *to = message->frame->data + WAL_FRAME_HEADER;
    for (struct request *request = list; request; request = request->next) {
        memcpy(to, request->record.data, request->record.size);
        to += request->record.size;
    }
    int64_t started = os_monotonic_ns();
    enum status status = wal_write(store->wal, message->frame->data, size, count, os_now_ms(), error, &message->lsn,
                                   &message->end_lsn);
    if (status != STATUS_OK) {
        frame_bytes_unref(message->frame);
        free(message);
        return status;
    }
    atomic_fetch_add(&store->stat_sync_ns, (uint64_t)(os_monotonic_ns() - started));
    atomic_fetch_add(&store->stat_frames, 1);
    atomic_fetch_add(&store->stat_records, count);
    atomic_fetch_add(&store->stat_bytes, wal_frame_size(size));
    message->size = size;
    post(store, message);
    return STATUS_OK;
}

/* Takes what fits one frame off the queue; waits until there is something, or until timeout_ns passed. */
static struct request *take(struct store *store, int64_t timeout_ns, size_t *ret_size, uint32_t *ret_count, bool *ret_stop)
{
    struct timespec deadline;
    deadline_after(&deadline, timeout_ns);
    size_t size_max = wal_records_max(store->wal);
    pthread_mutex_lock(&store->queue_lock);
    int waited = 0;
    while (!store->queue_head && !store->stopping && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&store->queue_filled, &store->queue_lock, &deadline);
    struct request *list = store->queue_head, **at = &store->queue_head;
    *ret_size = 0;
    *ret_count = 0;
    while (*at && (*ret_size == 0 || *ret_size + (*at)->record.size <= size_max)) {
        *ret_size += (*at)->record.size;
        (*ret_count)++;
        at = &(*at)->next;
    }
    if (*at) {
        store->queue_head = *at;
        *at = NULL;
    } else {
        store->queue_head = NULL;
        store->queue_tail = &store->queue_head;
    }
    store->queue_bytes -= *ret_size;
    *ret_stop = store->stopping;
    pthread_mutex_unlock(&store->queue_lock);
    return *ret_count ? list : NULL;
}

/* Begins a log file when there is none: at start, and after a failure. */
static void ensure_log(struct store *store, int64_t *last_attempt_ns)
{
    int64_t now = os_monotonic_ns();
    if (atomic_load(&store->recovering) || !wal_failed(store->wal)) return;
    if (*last_attempt_ns && now - *last_attempt_ns < REOPEN_DELAY_NS) return;
    *last_attempt_ns = now;
    struct error error;
    enum status reopened = wal_reopen(store->wal, &error);
    set_failure(store, reopened == STATUS_OK ? NULL : &error);
}

static void *log_main(void *arg)
{
    struct store *store = arg;
    int64_t last_attempt_ns = 0;
    bool marked = true;
    for (;;) {
        size_t size;
        uint32_t count;
        bool stop;
        struct error error = ERROR_INIT;
        ensure_log(store, &last_attempt_ns);
        struct request *list = take(store, marked ? RETRY_DELAY_NS : MARK_DELAY_NS, &size, &count, &stop);
        if (list) {
            enum status status = STATUS_UNAVAILABLE;
            ensure_log(store, &last_attempt_ns);
            if (!wal_failed(store->wal)) {
                status = commit(store, list, size, count, &error);
                set_failure(store, status == STATUS_OK ? NULL : &error);
                marked = status != STATUS_OK;
            }
            finish_requests(list, status == STATUS_OK ? STATUS_OK : STATUS_UNAVAILABLE);
        } else if (!marked) {
            marked = true;
            enum status status = wal_mark(store->wal, os_now_ms(), &error);
            if (status != STATUS_OK) set_failure(store, &error);
        }
        if (stop && !list) return NULL;
    }
}

void store_append(struct store *store, struct buf *record, void (*done)(void *arg, enum status status), void *arg)
{
    enum status status = store_writable(store, NULL);
    /* While the log fails, requests still reach the log thread, which tries again: that is how writing comes back. */
    bool memory_full = atomic_load(&store->memory_bytes) > store->options.memory_bytes_max * 2;
    if (status != STATUS_OK && !memory_full && !atomic_load(&store->recovering)) status = STATUS_OK;
    if (record->size > wal_records_max(store->wal)) status = STATUS_LIMIT;
    struct request *request = status == STATUS_OK ? malloc(sizeof *request) : NULL;
    if (!request) {
        buf_fini(record);
        done(arg, status == STATUS_OK ? STATUS_UNAVAILABLE : status);
        return;
    }
    *request = (struct request){.record = *record, .done = done, .arg = arg};
    *record = BUF_INIT(record->size_max);
    pthread_mutex_lock(&store->queue_lock);
    bool room = !store->stopping && store->queue_bytes + request->record.size <= store->options.queue_bytes_max;
    if (room) {
        *store->queue_tail = request;
        store->queue_tail = &request->next;
        store->queue_bytes += request->record.size;
        pthread_cond_signal(&store->queue_filled);
    }
    pthread_mutex_unlock(&store->queue_lock);
    if (!room) finish_requests(request, STATUS_UNAVAILABLE);
}

struct append_wait {
    struct store *store;
    struct waiter waiter;
};

static void append_done(void *arg, enum status status)
{
    struct append_wait *wait = arg;
    wake(wait->store, &wait->waiter, status);
}

enum status store_append_wait(struct store *store, struct buf *record)
{
    struct append_wait wait = {.store = store};
    store_append(store, record, append_done, &wait);
    return wait_for(store, &wait.waiter);
}

/* --- the applier ---------------------------------------------------------------------------------------------------- */

static struct project *find_project(void *ctx, uint64_t id)
{
    struct store *store = ctx;
    uint64_t *known = u64map_get(&store->projects, id);
    if (known) return (struct project *)(uintptr_t)*known;
    struct project *project = project_new(id);
    if (project && u64map_put(&store->projects, id, (uint64_t)(uintptr_t)project) != STATUS_OK) {
        project_free(project);
        return NULL;
    }
    return project;
}

#define each_project(store, cursor, project)                                                                           \
    uint64_t cursor##_id, cursor##_value;                                                                              \
    for (size_t cursor = 0; u64map_next(&(store)->projects, &cursor, &cursor##_id, &cursor##_value) &&                 \
                            ((project) = (struct project *)(uintptr_t)cursor##_value, true);)

static enum status drop_project(struct store *store, uint64_t id)
{
    struct project *project = find_project(store, id);
    uint64_t *grown = project ? realloc(store->dropped, (store->dropped_count + 1) * sizeof *grown) : NULL;
    if (!grown) return STATUS_LIMIT;
    store->dropped = grown;
    store->dropped[store->dropped_count++] = id;
    project_clear(project);
    project->dropped = true;
    return STATUS_OK;
}

static enum status apply_frame(struct store *store, struct frame_bytes *frame, struct str records, uint64_t lsn,
                               struct error *error)
{
    struct reader reader = reader_of(records);
    while (reader_left(&reader)) {
        uint64_t seq = lsn + (records.size - reader_left(&reader));
        struct record record;
        if (record_next(&reader, &record) != STATUS_OK)
            return error_set(error, STATUS_CORRUPT, "malformed log record at %llu", (unsigned long long)seq);
        enum status status;
        struct project *project = NULL;
        if (record.kind != RECORD_PROJECT_DROP && !(project = find_project(store, record.project)))
            return error_set(error, STATUS_LIMIT, "out of memory for a project");
        /* A project is dropped for good: its sections will not count, so what was still on its way must not show either. */
        if (project && project->dropped) continue;
        arena_reset(store->arena);
        switch (record.kind) {
        case RECORD_EVENTS:
            status = project_apply_events(project, &store->context, frame, record.body, seq, store->arena, error);
            break;
        case RECORD_LINK: status = project_apply_link(project, &store->context, record.body, error); break;
        default: status = drop_project(store, record.project);
        }
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static void count_memory(struct store *store)
{
    size_t bytes = 0, sections = 0, section_bytes = 0;
    uint64_t rows = 0, ids = 0;
    struct project *project;
    each_project(store, at, project)
    {
        bytes += project_memory(project);
        rows += project_memory_rows(project);
        ids += id_graph_count(project->ids);
        sections += project->live_count;
        for (size_t i = 0; i < project->live_count; i++)
            section_bytes += project->live[i].section->image ? 0 : project->live[i].section->bytes;
    }
    atomic_store(&store->memory_bytes, bytes);
    atomic_store(&store->stat_rows, rows);
    atomic_store(&store->stat_ids, ids);
    atomic_store(&store->stat_sections, sections);
    atomic_store(&store->stat_section_bytes, section_bytes);
    atomic_store(&store->stat_projects, store->projects.count);
    atomic_store(&store->stat_events, store->context.events);
    atomic_store(&store->stat_duplicates, store->context.duplicates);
}

static void flush_begin(struct store *store)
{
    struct error error = ERROR_INIT;
    struct flush_job *job = flush_job_new(store->applied_lsn);
    enum status status = job ? STATUS_OK : STATUS_LIMIT;
    struct project *project;
    each_project(store, at, project)
    {
        if (status == STATUS_OK) status = project_seal(project, &store->context, &error);
        if (status == STATUS_OK) status = flush_job_project(job, project);
    }
    if (status == STATUS_OK && store->dropped_count) {
        job->dropped = malloc(store->dropped_count * sizeof *job->dropped);
        if (job->dropped) memcpy(job->dropped, store->dropped, store->dropped_count * sizeof *job->dropped);
        job->dropped_count = job->dropped ? store->dropped_count : 0;
        if (!job->dropped) status = STATUS_LIMIT;
    }
    if (status != STATUS_OK) {
        /* Half-begun: put the projects back and try again later. */
        if (job) {
            job->status = status;
            for (size_t i = 0; i < job->project_count; i++)
                (void)!flush_job_finish(&job->projects[i], job, find_project(store, job->projects[i].project), &error);
            flush_job_free(job);
        }
        store->retry_flush_ns = os_monotonic_ns() + RETRY_DELAY_NS;
        log_failure(LOG_ERROR, "flush_not_started", &error);
        return;
    }
    store->flushing = true;
    store->flush_waiters_next = store->flush_waiters;
    store->flush_waiters = NULL;
    store->dropped_saved = store->dropped_count;
    pthread_mutex_lock(&store->job_lock);
    store->job = job;
    pthread_cond_signal(&store->job_filled);
    pthread_mutex_unlock(&store->job_lock);
}

static void flush_finished(struct store *store, struct flush_job *job)
{
    struct error error = ERROR_INIT;
    for (size_t i = 0; i < job->project_count; i++) {
        struct project *project = find_project(store, job->projects[i].project);
        if (!project->flushing) continue; /* dropped meanwhile */
        if (flush_job_finish(&job->projects[i], job, project, &error) != STATUS_OK) {
            log_failure(LOG_ERROR, "flush_result_lost", &error);
            abort(); /* memory and files no longer agree: recovery sets it right */
        }
    }
    store->flushing = false;
    store->last_flush_ns = os_monotonic_ns();
    if (job->status == STATUS_OK) {
        atomic_fetch_add(&store->stat_flushes, 1);
        atomic_store(&store->recovering, false);
        if (store->dropped_saved) {
            memmove(store->dropped, store->dropped + store->dropped_saved,
                    (store->dropped_count - store->dropped_saved) * sizeof *store->dropped);
            store->dropped_count -= store->dropped_saved;
        }
    } else {
        store->retry_flush_ns = store->last_flush_ns + RETRY_DELAY_NS;
        log_failure(LOG_ERROR, "flush_failed", &job->error);
    }
    store->dropped_saved = 0;
    while (store->flush_waiters_next) {
        struct waiter *waiter = store->flush_waiters_next;
        store->flush_waiters_next = waiter->next;
        waiter->error = job->error;
        wake(store, waiter, job->status);
    }
    flush_job_free(job);
}

static bool flush_due(const struct store *store)
{
    int64_t now = os_monotonic_ns();
    if (store->flushing || now < store->retry_flush_ns) return false;
    if (store->flush_waiters || atomic_load(&store->recovering)) return true;
    uint64_t rows = atomic_load(&store->stat_rows);
    if (atomic_load(&store->memory_bytes) > store->options.memory_bytes_max || rows >= store->options.flush_rows) return true;
    return (rows > 0 || store->dropped_count) && now - store->last_flush_ns > (int64_t)store->options.flush_interval_ms * 1000000;
}

static void publish(struct store *store, struct message *message)
{
    struct waiter *waiter = message->waiter;
    uint64_t *known = u64map_get(&store->projects, message->project);
    enum status status;
    if (known) {
        status = project_publish((struct project *)(uintptr_t)*known, &store->context, &waiter->error, &waiter->snapshot);
    } else {
        waiter->snapshot = calloc(1, sizeof *waiter->snapshot);
        status = waiter->snapshot ? STATUS_OK : STATUS_LIMIT;
        if (waiter->snapshot) {
            atomic_init(&waiter->snapshot->refs, 1);
            waiter->snapshot->project = message->project;
        }
    }
    wake(store, waiter, status);
}

static void list_projects(struct store *store, struct waiter *waiter)
{
    struct project *project;
    waiter->ids = malloc((store->projects.count + 1) * sizeof *waiter->ids);
    if (!waiter->ids) {
        wake(store, waiter, STATUS_LIMIT);
        return;
    }
    each_project(store, at, project)
    {
        if (!project->dropped) waiter->ids[waiter->id_count++] = project->id;
    }
    wake(store, waiter, STATUS_OK);
}

enum status store_projects(struct store *store, void (*each)(void *ctx, uint64_t project), void *ctx)
{
    struct waiter waiter = {.error = ERROR_INIT};
    struct message *message = message_new(MESSAGE_PROJECTS);
    message->waiter = &waiter;
    post(store, message);
    TRY(wait_for(store, &waiter));
    for (size_t i = 0; i < waiter.id_count; i++) each(ctx, waiter.ids[i]);
    free(waiter.ids);
    return STATUS_OK;
}

static void *applier_main(void *arg)
{
    struct store *store = arg;
    struct error error = ERROR_INIT;
    bool stop = false;
    while (!stop || store->flushing) {
        struct message *message = receive(store, 250000000LL);
        if (message) {
            switch (message->kind) {
            case MESSAGE_FRAME: {
                struct str records = str_from(message->frame->data + WAL_FRAME_HEADER, message->size);
                if (apply_frame(store, message->frame, records, message->lsn, &error) != STATUS_OK) {
                    /* The records are on disk and acknowledged; without them every later answer would be wrong. */
                    log_failure(LOG_ERROR, "cannot_apply_log", &error);
                    abort();
                }
                store->applied_lsn = message->end_lsn;
                frame_bytes_unref(message->frame);
                break;
            }
            case MESSAGE_SNAPSHOT: publish(store, message); break;
            case MESSAGE_FLUSH:
                message->waiter->next = store->flush_waiters;
                store->flush_waiters = message->waiter;
                break;
            case MESSAGE_PROJECTS: list_projects(store, message->waiter); break;
            case MESSAGE_FLUSHED: flush_finished(store, message->job); break;
            case MESSAGE_STOP: stop = true; break;
            }
            free(message);
        }
        if (!message || os_monotonic_ns() - store->last_count_ns > COUNT_DELAY_NS) {
            count_memory(store);
            store->last_count_ns = os_monotonic_ns();
        }
        if (!stop && flush_due(store)) flush_begin(store);
    }
    return NULL;
}

enum status store_snapshot(struct store *store, uint64_t project, struct error *error, struct snapshot **ret_snapshot)
{
    struct waiter waiter = {.error = ERROR_INIT};
    struct message *message = message_new(MESSAGE_SNAPSHOT);
    message->project = project;
    message->waiter = &waiter;
    post(store, message);
    enum status status = wait_for(store, &waiter);
    if (status == STATUS_OK) *ret_snapshot = waiter.snapshot;
    else if (error) *error = waiter.error;
    return status;
}

enum status store_flush(struct store *store, struct error *error)
{
    struct waiter waiter = {.error = ERROR_INIT};
    struct message *message = message_new(MESSAGE_FLUSH);
    message->waiter = &waiter;
    post(store, message);
    enum status status = wait_for(store, &waiter);
    if (status != STATUS_OK && error) *error = waiter.error;
    return status;
}

/* --- the maintenance thread ------------------------------------------------------------------------------------------ */

static void *maintenance_main(void *arg)
{
    struct store *store = arg;
    struct error error = ERROR_INIT;
    bool spare = false;
    for (;;) {
        struct timespec deadline;
        deadline_after(&deadline, spare ? RETRY_DELAY_NS : RETRY_DELAY_NS / 10);
        pthread_mutex_lock(&store->job_lock);
        int waited = 0;
        while (!store->job && !store->job_stop && waited != ETIMEDOUT)
            waited = pthread_cond_timedwait(&store->job_filled, &store->job_lock, &deadline);
        struct flush_job *job = store->job;
        store->job = NULL;
        bool stop = store->job_stop;
        pthread_mutex_unlock(&store->job_lock);
        if (job) {
            flush_job_run(job, store->options.fs, &store->manifest, store->cache, (size_t)4 << 30);
            if (job->status == STATUS_OK && wal_recycle(store->wal, job->flushed_lsn, &error) != STATUS_OK)
                log_failure(LOG_WARN, "cannot_recycle_log", &error);
            struct message *message = message_new(MESSAGE_FLUSHED);
            message->job = job;
            post(store, message);
        } else if (stop) {
            return NULL;
        }
        /* A full disk is the log thread's to report when it needs the file. */
        spare = !atomic_load(&store->recovering) && wal_prepare_spare(store->wal, &error) == STATUS_OK;
    }
}

/* --- opening and closing --------------------------------------------------------------------------------------------- */

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
    enum status status = apply_frame(replay->store, frame, str_from(frame->data, records.size), lsn, &replay->error);
    frame_bytes_unref(frame);
    replay->report.events += replay->store->context.events - before;
    replay->report.frames++;
    replay->store->applied_lsn = end_lsn;
    return status;
}

static enum status start(struct store *store, struct error *error)
{
    store->applier_started = pthread_create(&store->applier_thread, NULL, applier_main, store) == 0;
    store->maintenance_started = pthread_create(&store->maintenance_thread, NULL, maintenance_main, store) == 0;
    store->log_started = pthread_create(&store->log_thread, NULL, log_main, store) == 0;
    if (!store->applier_started || !store->maintenance_started || !store->log_started)
        return error_set_os(error, STATUS_LIMIT, errno, "cannot start the store's threads");
    return STATUS_OK;
}

static enum status recover(struct store *store, struct error *error, struct store_report *ret_report)
{
    TRY(manifest_open(store->options.fs, error, &store->manifest));
    TRY(files_load(store->options.fs, &store->manifest, store->cache, find_project, store, error));
    for (size_t i = 0; i < store->manifest.dropped_count; i++) {
        struct project *project = find_project(store, store->manifest.dropped[i]);
        if (!project) return error_set(error, STATUS_LIMIT, "out of memory for a project");
        project->dropped = true;
    }
    struct wal_options wal = {.fs = store->options.fs, .file_bytes = store->options.wal_file_bytes, .salvage = store->options.salvage};
    memcpy(wal.node, store->manifest.node, sizeof wal.node);
    struct replay replay = {.store = store, .error = ERROR_INIT};
    struct wal_report report;
    store->applied_lsn = store->manifest.flushed_lsn;
    enum status status = wal_open(&wal, store->manifest.flushed_lsn, replay_frame, &replay, error, &report, &store->wal);
    if (status != STATUS_OK) {
        if (replay.error.status != STATUS_OK && error) error_detail(error, "%s", replay.error.primary);
        return status;
    }
    store->applied_lsn = report.end_lsn;
    replay.report.bytes_torn = report.bytes_torn;
    replay.report.bytes_lost = report.bytes_lost;
    if (!store->manifest.failed) files_sweep(store->options.fs, &store->manifest);
    /* What was read may have sat in the page cache only (a write that was never synced): it goes to files before anything else is
     * accepted, see docs/formats/wal.md. A mark alone counts too: the log goes on behind it. */
    atomic_store(&store->recovering, report.end_lsn > store->manifest.flushed_lsn);
    *ret_report = replay.report;
    return STATUS_OK;
}

enum status store_open(const struct store_options *options, struct error *error, struct store_report *ret_report,
                       struct store **ret_store)
{
    if (options->wal_file_bytes < 65536) return error_set(error, STATUS_INVALID, "log files must have at least 64 KiB");
    struct store *store = calloc(1, sizeof *store);
    if (!store) return error_set(error, STATUS_LIMIT, "out of memory");
    store->options = *options;
    store->options.wal_file_bytes = options->wal_file_bytes / 64 * 64;
    store->context.options = &store->options;
    store->queue_tail = &store->queue_head;
    store->mail_tail = &store->mail_head;
    store->projects = U64MAP_INIT(PROJECTS_MAX);
    store->arena = arena_new((size_t)1 << 30);
    store->cache = cache_new(options->cache_bytes);
    store->last_flush_ns = os_monotonic_ns();
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_t *locks[] = {&store->queue_lock, &store->mail_lock, &store->wait_lock, &store->job_lock, &store->failure_lock};
    pthread_cond_t *conditions[] = {&store->queue_filled, &store->mail_filled, &store->mail_drained, &store->wait_done,
                                    &store->job_filled};
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++) pthread_mutex_init(locks[i], NULL);
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) pthread_cond_init(conditions[i], &monotonic);
    pthread_condattr_destroy(&monotonic);
    struct store_report report;
    enum status status = recover(store, error, &report);
    if (status == STATUS_OK) {
        count_memory(store);
        status = start(store, error);
    }
    /* The first flush puts recovered records into files; a disk that is full leaves the store readable. */
    if (status == STATUS_OK && atomic_load(&store->recovering)) {
        struct error flush_error = ERROR_INIT;
        if (store_flush(store, &flush_error) != STATUS_OK) set_failure(store, &flush_error);
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
        pthread_mutex_lock(&store->queue_lock);
        store->stopping = true;
        pthread_cond_signal(&store->queue_filled);
        pthread_mutex_unlock(&store->queue_lock);
        pthread_join(store->log_thread, NULL);
    }
    if (store->applier_started) {
        post(store, message_new(MESSAGE_STOP));
        pthread_join(store->applier_thread, NULL);
    }
    if (store->maintenance_started) {
        pthread_mutex_lock(&store->job_lock);
        store->job_stop = true;
        pthread_cond_signal(&store->job_filled);
        pthread_mutex_unlock(&store->job_lock);
        pthread_join(store->maintenance_thread, NULL);
    }
    struct project *project;
    each_project(store, at, project) project_free(project);
    u64map_fini(&store->projects);
    wal_free(store->wal);
    if (store->manifest.fs) manifest_fini(&store->manifest);
    cache_free(store->cache);
    arena_free(store->arena);
    free(store->dropped);
    pthread_mutex_t *locks[] = {&store->queue_lock, &store->mail_lock, &store->wait_lock, &store->job_lock, &store->failure_lock};
    pthread_cond_t *conditions[] = {&store->queue_filled, &store->mail_filled, &store->mail_drained, &store->wait_done,
                                    &store->job_filled};
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++) pthread_mutex_destroy(locks[i]);
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) pthread_cond_destroy(conditions[i]);
    free(store);
}

void store_stats(struct store *store, struct store_stats *ret_stats)
{
    *ret_stats = (struct store_stats){
        .frames = atomic_load(&store->stat_frames),
        .records = atomic_load(&store->stat_records),
        .events = atomic_load(&store->stat_events),
        .duplicates = atomic_load(&store->stat_duplicates),
        .bytes_logged = atomic_load(&store->stat_bytes),
        .sync_ns = atomic_load(&store->stat_sync_ns),
        .memory_bytes = atomic_load(&store->memory_bytes),
        .rows_in_memory = atomic_load(&store->stat_rows),
        .flushes = atomic_load(&store->stat_flushes),
        .sections = atomic_load(&store->stat_sections),
        .section_bytes = atomic_load(&store->stat_section_bytes),
        .ids = atomic_load(&store->stat_ids),
        .projects = atomic_load(&store->stat_projects),
        .failing = store_writable(store, NULL) != STATUS_OK,
    };
    pthread_mutex_lock(&store->queue_lock);
    ret_stats->queue_bytes = store->queue_bytes;
    pthread_mutex_unlock(&store->queue_lock);
}
