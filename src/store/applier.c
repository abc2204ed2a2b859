/*
 * The applier: the one thread that owns the projects' state. It applies log frames in order, answers requests for
 * snapshots, and starts and finishes flushes.
 */
#include "base/log.h"
#include "os/clock.h"
#include "store/delete.h"
#include "store/profiles.h"
#include "store/project_update.h"
#include "store/store_int.h"

#include <stdlib.h>

#define COUNT_DELAY_NS 20000000LL
#define RENEW_IDS_MAX  1000000u
#define IDLE_NS        250000000LL
#define FLUSH_EARLY    4 /* a flush is worth it from this part of flush_rows on, when memory is short */

struct project *store_find_project(void *ctx, uint64_t id)
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

static struct project *known_project(struct store *store, uint64_t id)
{
    uint64_t *known = u64map_get(&store->projects, id);
    return known ? (struct project *)(uintptr_t)*known : NULL;
}

static enum status drop_one(struct store *store, uint64_t id)
{
    struct project *project = store_find_project(store, id);
    uint64_t *grown = project ? realloc(store->dropped, (store->dropped_count + 1) * sizeof *grown) : NULL;
    if (!grown) return STATUS_LIMIT;
    store->dropped = grown;
    store->dropped[store->dropped_count++] = id;
    for (size_t i = 0; i < project->live_count; i++) TRY(store_bury(store, &project->live[i].section, 1));
    project_clear(project);
    project->dropped = project->catalogued = true;
    return STATUS_OK;
}

static enum status drop_project(struct store *store, uint64_t id)
{
    TRY(drop_one(store, id));
    row_readers_clear(&store->context.readers);
    uint64_t shadow = store_profiles_of(id);
    return shadow != id && known_project(store, shadow) ? drop_one(store, shadow) : STATUS_OK;
}

/* A person is deleted with the profiles, which are found through ids that are forgotten afterwards. */
static enum status apply_delete(struct store *store, struct project *project, const struct record *record, uint64_t lsn,
                                struct error *error)
{
    struct project *shadow = known_project(store, store_profiles_of(project->id));
    if (record->kind == RECORD_DELETE_PERSON && shadow && shadow != project && !shadow->dropped)
        TRY(project_delete_profiles(shadow, project, &store->context, record->body, lsn, store->arena, error));
    return project_apply_delete(project, &store->context, record->kind, record->body, lsn, store->arena, error);
}

static enum status apply_update(struct store *store, struct project *shadow, const struct record *record, uint64_t lsn,
                                struct error *error)
{
    struct project *owner = known_project(store, store_profiles_owner(shadow->id));
    if (owner && owner->dropped) return STATUS_OK;
    return project_apply_update(shadow, owner, &store->context, record->body, lsn, store->arena, error);
}

/* Events and links, which may make one person of two that have profiles. */
static enum status apply_links(struct store *store, struct project *project, struct frame_bytes *frame,
                               const struct record *record, uint64_t lsn, struct error *error)
{
    struct profile_merges merges = {0};
    if (record->kind == RECORD_EVENTS)
        TRY(project_apply_events(project, &store->context, frame, record->body, lsn, store->arena, &merges, error));
    else
        TRY(project_apply_link(project, &store->context, record->body, store->arena, &merges, error));
    struct project *shadow = merges.count ? known_project(store, store_profiles_of(project->id)) : NULL;
    for (size_t i = 0; shadow && !shadow->dropped && i < merges.count; i++)
        TRY(project_adopt_profile(shadow, &store->context, &merges.items[i], lsn, store->arena, error));
    return STATUS_OK;
}

enum status store_apply_frame(struct store *store, struct frame_bytes *frame, struct str records, uint64_t lsn,
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
        if (record.kind != RECORD_PROJECT_DROP && !(project = store_find_project(store, record.project)))
            return error_set(error, STATUS_LIMIT, "out of memory for a project");
        /* A project is dropped for good: its sections will not count, so what was still on its way must not show
         * either. */
        if (project && project->dropped) continue;
        arena_reset(store->arena);
        switch (record.kind) {
        case RECORD_EVENTS:
        case RECORD_LINK: status = apply_links(store, project, frame, &record, seq, error); break;
        case RECORD_UNLINK: status = project_apply_unlink(project, &store->context, record.body, error); break;
        case RECORD_PROJECT_DROP: status = drop_project(store, record.project); break;
        case RECORD_UPDATE: status = apply_update(store, project, &record, seq, error); break;
        default: status = apply_delete(store, project, &record, seq, error);
        }
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

void store_count_memory(struct store *store)
{
    size_t bytes = 0, sections = 0, section_bytes = 0, order_bytes = 0, debt_bytes = 0;
    uint64_t rows = 0, ids = 0, projects = 0;
    struct project *project;
    each_project(store, at, project)
    {
        bytes += project_memory(project);
        order_bytes += project_orders_bytes(project);
        debt_bytes += project_updates_bytes(project);
        projects += !store_is_profiles(project->id);
        rows += project_memory_rows(project);
        ids += id_graph_count(project->ids);
        sections += project->live_count;
        for (size_t i = 0; i < project->live_count; i++)
            section_bytes += section_in_ram(project->live[i].section) ? 0 : project->live[i].section->bytes;
    }
    atomic_store(&store->memory_bytes, bytes);
    store->context.memory_bytes = bytes;
    atomic_store(&store->order_bytes, order_bytes);
    atomic_store(&store->update_debt_bytes, debt_bytes);
    atomic_store(&store->stat_updates, store->context.updates);
    atomic_store(&store->stat_update_left_out, store->context.update_left_out);
    atomic_store(&store->stat_deleted, store->context.deleted);
    atomic_store(&store->stat_rows, rows);
    atomic_store(&store->stat_ids, ids);
    atomic_store(&store->stat_sections, sections);
    atomic_store(&store->stat_section_bytes, section_bytes);
    atomic_store(&store->stat_projects, projects);
    atomic_store(&store->stat_events, store->context.events);
    atomic_store(&store->stat_duplicates, store->context.duplicates);
}

/* Whether the catalog is to be written anew, so that forgotten ids leave it: at once while that costs little, and in
 * time for the deadline in any case. Dropping a project is rare, and what it leaves behind goes at once. */
static bool catalog_is_stale(struct store *store)
{
    uint64_t ids = 0;
    bool stale = false, urgent = false;
    struct project *project;
    each_project(store, at, project)
    {
        urgent |= project->catalogued;
        ids += id_graph_count(project->ids);
        stale |= project->forgot_lsn && !project->dropped;
        urgent |= project->forgot_lsn && !project->dropped &&
                  os_now_ms() - project->forgot_ms > (int64_t)(store->options.purge_deadline_ms / 2);
    }
    return urgent || (stale && ids <= RENEW_IDS_MAX);
}

static void flush_begin(struct store *store)
{
    struct error error = ERROR_INIT;
    struct flush_job *job = flush_job_new(store->applied_lsn, os_now_ms());
    enum status status = job ? STATUS_OK : STATUS_LIMIT;
    struct project *project;
    if (job) job->renew_catalog = catalog_is_stale(store);
    each_project(store, at, project)
    {
        if (status == STATUS_OK && project->update_debts)
            status = project_updates_retry(project, &store->context, store->arena, &error);
        if (status == STATUS_OK) status = project_pile(project, &store->context, &error);
        if (status == STATUS_OK) status = flush_job_project(job, project, &store->compact_options);
    }
    if (status == STATUS_OK && store->dropped_count) {
        job->dropped = malloc(store->dropped_count * sizeof *job->dropped);
        if (job->dropped) memcpy(job->dropped, store->dropped, store->dropped_count * sizeof *job->dropped);
        job->dropped_count = job->dropped ? store->dropped_count : 0;
        if (!job->dropped) status = STATUS_LIMIT;
    }
    if (status == STATUS_OK && store->dead_count) {
        job->dead = malloc(store->dead_count * sizeof *job->dead);
        if (job->dead) memcpy(job->dead, store->dead, store->dead_count * sizeof *job->dead);
        job->dead_count = job->dead ? store->dead_count : 0;
        if (!job->dead) status = STATUS_LIMIT;
    }
    if (status != STATUS_OK) {
        /* Half-begun: put the projects back and try again later. */
        if (job) {
            job->status = status;
            for (size_t i = 0; i < job->project_count; i++)
                (void)!flush_job_finish(&job->projects[i], job, store_find_project(store, job->projects[i].project),
                                        &error);
            flush_job_free(job);
        }
        store->retry_flush_ns = os_monotonic_ns() + store_retry_ns(store);
        log_failure(LOG_ERROR, "flush_not_started", &error);
        return;
    }
    store->flushing = true;
    store->context.deleted_flushed = store->context.deleted;
    store->flush_waiters_next = store->flush_waiters;
    store->flush_waiters = NULL;
    store->dropped_saved = store->dropped_count;
    store->dead_saved = store->dead_count;
    os_mutex_lock(&store->job_lock);
    store->job = job;
    os_cond_signal(&store->job_filled);
    os_mutex_unlock(&store->job_lock);
}

static void flush_finished(struct store *store, struct flush_job *job)
{
    struct error error = ERROR_INIT;
    for (size_t i = 0; i < job->project_count; i++) {
        struct project *project = store_find_project(store, job->projects[i].project);
        if (!project->flushing) { /* dropped meanwhile */
            if (job->status == STATUS_OK &&
                store_bury(store, job->projects[i].outputs, job->projects[i].output_count) != STATUS_OK)
                abort();
            continue;
        }
        if (flush_job_finish(&job->projects[i], job, project, &error) != STATUS_OK) {
            log_failure(LOG_ERROR, "flush_result_lost", &error);
            abort(); /* memory and files no longer agree: recovery sets it right */
        }
    }
    store->flushing = false;
    store->last_flush_ns = os_monotonic_ns();
    if (job->status == STATUS_OK) {
        atomic_fetch_add(&store->stat_flushes, 1);
        store->compact_dirty = true;
        atomic_store(&store->recovering, false);
        if (store->dropped_saved) {
            memmove(store->dropped, store->dropped + store->dropped_saved,
                    (store->dropped_count - store->dropped_saved) * sizeof *store->dropped);
            store->dropped_count -= store->dropped_saved;
        }
        if (store->dead_saved) {
            memmove(store->dead, store->dead + store->dead_saved,
                    (store->dead_count - store->dead_saved) * sizeof *store->dead);
            store->dead_count -= store->dead_saved;
        }
    } else {
        store->retry_flush_ns = store->last_flush_ns + store_retry_ns(store);
        store->context.deleted_flushed = UINT64_MAX; /* any other number than there are: begin again */
        log_failure(LOG_ERROR, "flush_failed", &job->error);
    }
    store->dropped_saved = store->dead_saved = 0;
    atomic_fetch_add(&store->stat_bytes_flushed, job->bytes_written);
    while (store->flush_waiters_next) {
        struct waiter *waiter = store->flush_waiters_next;
        store->flush_waiters_next = waiter->next;
        waiter->error = job->error;
        store_wake(store, waiter, job->status);
    }
    flush_job_free(job);
}

static bool flush_due(const struct store *store)
{
    int64_t now = os_monotonic_ns();
    if (store->flushing || store->compact_state == COMPACT_COMMITTING || now < store->retry_flush_ns) return false;
    if (store->flush_waiters || atomic_load(&store->recovering)) return true;
    uint64_t rows = atomic_load(&store->stat_rows);
    /* Deletes of stored rows are in the log alone until then. */
    uint64_t deleted = store->context.deleted - store->context.deleted_flushed;
    uint64_t bytes = atomic_load(&store->memory_bytes), bytes_max = store->options.memory_bytes_max;
    if (bytes > bytes_max || rows >= store->options.flush_rows) return true;
    /* While this is written, more come. */
    if (bytes > bytes_max / 2 && rows >= store->options.flush_rows / FLUSH_EARLY) return true;
    if (deleted < UINT64_MAX / 2 && deleted >= store->options.flush_rows) return true;
    return (rows > 0 || deleted || store->dropped_count) &&
           now - store->last_flush_ns > (int64_t)store->options.flush_interval_ms * 1000000;
}

static void publish(struct store *store, struct message *message)
{
    struct waiter *waiter = message->waiter;
    uint64_t *known = u64map_get(&store->projects, message->project);
    enum status status;
    if (known) {
        struct project *project = (struct project *)(uintptr_t)*known;
        status = STATUS_OK;
        if (project->update_debts)
            status = project_updates_retry(project, &store->context, store->arena, &waiter->error);
        if (status == STATUS_OK) status = project_publish(project, &store->context, &waiter->error, &waiter->snapshot);
        /* What is owed is tried again with every snapshot. */
        bool settled =
            !project->mark_count && !project->late_count && !project->owed_count && !project_updates_bytes(project);
        if (status == STATUS_OK && settled) store_fresh_put(store, waiter->snapshot, store->changes_applied);
        if (!settled) store_changes_note(&store->changes, message->project);
    } else {
        waiter->snapshot = calloc(1, sizeof *waiter->snapshot);
        status = waiter->snapshot ? STATUS_OK : STATUS_LIMIT;
        if (waiter->snapshot) {
            atomic_init(&waiter->snapshot->refs, 1);
            waiter->snapshot->project = message->project;
        }
    }
    store_wake(store, waiter, status);
}

static void list_projects(struct store *store, struct waiter *waiter)
{
    struct project *project;
    waiter->ids = malloc((store->projects.count + 1) * sizeof *waiter->ids);
    if (!waiter->ids) {
        store_wake(store, waiter, STATUS_LIMIT);
        return;
    }
    each_project(store, at, project)
    {
        /* A shadow stands for a project that has profiles and nothing else. */
        uint64_t owner = store_profiles_owner(project->id);
        bool listed = !project->dropped && (owner == project->id || !known_project(store, owner));
        if (listed) waiter->ids[waiter->id_count++] = owner;
    }
    store_wake(store, waiter, STATUS_OK);
}

enum status store_projects(struct store *store, void (*each)(void *ctx, uint64_t project), void *ctx)
{
    struct waiter waiter = {.error = ERROR_INIT};
    struct message *message = store_message_try(MESSAGE_PROJECTS);
    if (!message) return STATUS_LIMIT;
    message->waiter = &waiter;
    store_post(store, message);
    TRY(store_wait(store, &waiter));
    for (size_t i = 0; i < waiter.id_count; i++) each(ctx, waiter.ids[i]);
    free(waiter.ids);
    return STATUS_OK;
}

/* Pictures of what files were replaced since keep those files, and RAM sections that were written: nobody is served by
 * them any more. */
static void forget_pictures(struct store *store)
{
    struct project *project;
    store_fresh_clear(store);
    row_readers_clear(&store->context.readers);
    each_project(store, at, project)
    {
        if (!project->changed) continue;
        snapshot_free(project->published);
        project->published = NULL;
    }
}

void store_applier_main(void *arg)
{
    struct store *store = arg;
    struct error error = ERROR_INIT;
    bool stop = false;
    /* Nobody sends a message when a failed flush may be tried again. */
    int64_t idle_ns = store_retry_ns(store) < IDLE_NS ? store_retry_ns(store) : IDLE_NS;
    while (!stop || store->flushing || store->compact_state != COMPACT_NONE) {
        struct message *message = store_receive(store, idle_ns);
        if (message) {
            switch (message->kind) {
            case MESSAGE_FRAME: {
                struct str records = str_from(message->frame->data + WAL_FRAME_HEADER, message->size);
                message->frame->trusted = true;
                if (store_apply_frame(store, message->frame, records, message->lsn, &error) != STATUS_OK) {
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
            case MESSAGE_DELETION: store_tell_deletion(store, message); break;
            case MESSAGE_PURGED: store_tell_purged(store, message); break;
            case MESSAGE_ADVANCE: /* marks, which hold no records, lie between */
                store->applied_lsn = message->end_lsn;
                store_wake(store, message->waiter, STATUS_OK);
                break;
            case MESSAGE_FLUSHED: flush_finished(store, message->job); break;
            case MESSAGE_COMPACTED: store_compact_finished(store, message->compact); break;
            case MESSAGE_COMPACT:
                message->waiter->next = store->compact_waiters;
                store->compact_waiters = message->waiter;
                break;
            case MESSAGE_STOP: stop = true; break;
            }
            store->changes_applied += store_is_change(message->kind);
            if (message->kind == MESSAGE_FLUSHED || message->kind == MESSAGE_COMPACTED) forget_pictures(store);
            free(message);
        }
        if (!message || os_monotonic_ns() - store->last_count_ns > COUNT_DELAY_NS) {
            store_count_memory(store);
            store->last_count_ns = os_monotonic_ns();
        }
        if (!stop && flush_due(store)) flush_begin(store);
        enum compact_state before = store->compact_state;
        store_compact_step(store, stop);
        if (before != COMPACT_NONE && store->compact_state == COMPACT_NONE) forget_pictures(store);
    }
}

enum status store_snapshot(struct store *store, uint64_t project, struct error *error, struct snapshot **ret_snapshot)
{
    struct waiter waiter = {.error = ERROR_INIT};
    *ret_snapshot = store_fresh_get(store, project);
    if (*ret_snapshot) return STATUS_OK;
    struct message *message = store_message_try(MESSAGE_SNAPSHOT);
    if (!message) return error_set(error, STATUS_LIMIT, "out of memory for a question to the store");
    message->project = project;
    message->waiter = &waiter;
    store_post(store, message);
    enum status status = store_wait(store, &waiter);
    if (status == STATUS_OK)
        *ret_snapshot = waiter.snapshot;
    else if (error)
        *error = waiter.error;
    return status;
}

enum status store_flush(struct store *store, struct error *error)
{
    struct waiter waiter = {.error = ERROR_INIT};
    struct message *message = store_message_try(MESSAGE_FLUSH);
    if (!message) return error_set(error, STATUS_LIMIT, "out of memory for a question to the store");
    message->waiter = &waiter;
    store_post(store, message);
    enum status status = store_wait(store, &waiter);
    if (status != STATUS_OK && error) *error = waiter.error;
    return status;
}
