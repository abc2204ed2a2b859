/* Deleting as the store's callers see it. What a delete does to a project is delete.h's. */
#include "store/delete.h"
#include "store/profiles.h"
#include "store/store_int.h"

#include <stdlib.h>

/* Orders that are repeated on the outputs of rewrites wait in memory. */
#define ORDER_BYTES_MAX ((size_t)256 << 20)

static enum status ask(struct store *store, enum message_kind kind, uint64_t project, uint64_t request,
                       struct waiter *waiter)
{
    struct message *message = store_message_try(kind);
    if (!message) return STATUS_LIMIT;
    message->project = project;
    message->request = request;
    message->waiter = waiter;
    store_post(store, message);
    return store_wait(store, waiter);
}

static struct project *shadow_of(struct store *store, uint64_t project)
{
    uint64_t *known = u64map_get(&store->projects, store_profiles_of(project));
    return known ? (struct project *)(uintptr_t)*known : NULL;
}

void store_tell_deletion(struct store *store, struct message *message)
{
    uint64_t *known = u64map_get(&store->projects, message->project);
    struct project *project = known ? (struct project *)(uintptr_t)*known : NULL;
    struct project *shadow = shadow_of(store, message->project);
    if (project && project->owed_count) project_orders_retry(project, &store->context);
    if (shadow && shadow->owed_count) project_orders_retry(shadow, &store->context);
    const struct delete_result *result =
        delete_results_find(&store->context.results, message->project, message->request);
    /* The owner of the memory count learns of what was just carried out before the next delete asks. */
    store_count_memory(store);
    if (result)
        message->waiter->deletion =
            (struct store_deletion){.lsn = result->lsn, .rows = result->rows, .sections_owed = result->owed};
    store_wake(store, message->waiter, result ? STATUS_OK : STATUS_NOT_FOUND);
}

void store_tell_purged(struct store *store, struct message *message)
{
    uint64_t *known = u64map_get(&store->projects, message->project);
    uint64_t purged = known ? project_purged_lsn((struct project *)(uintptr_t)*known) : UINT64_MAX;
    struct project *shadow = shadow_of(store, message->project);
    uint64_t profiles = shadow ? project_purged_lsn(shadow) : UINT64_MAX;
    if (profiles < purged) purged = profiles;
    uint64_t buried = store_buried_lsn(store);
    message->waiter->lsn = purged < buried ? purged : buried;
    store_wake(store, message->waiter, STATUS_OK);
}

enum status store_deletion(struct store *store, uint64_t project, uint64_t request, struct store_deletion *ret_deletion)
{
    struct waiter waiter = {.error = ERROR_INIT};
    TRY(ask(store, MESSAGE_DELETION, project, request, &waiter));
    *ret_deletion = waiter.deletion;
    return STATUS_OK;
}

enum status store_delete(struct store *store, uint64_t project, uint64_t request, struct buf *record,
                         struct error *error, struct store_deletion *ret_deletion)
{
    if (atomic_load(&store->order_bytes) > ORDER_BYTES_MAX) {
        buf_fini(record);
        return error_set(error, STATUS_UNAVAILABLE, "too many deletes wait for the end of a compaction");
    }
    enum status status = store_append_wait(store, record);
    if (status != STATUS_OK) return error_set(error, status, "the delete could not be written to the log");
    /* A project that was dropped meanwhile has nothing left to delete. */
    struct store_deletion deletion = {0};
    status = store_deletion(store, project, request, &deletion);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) return status;
    *ret_deletion = deletion;
    return STATUS_OK;
}

enum status store_purged_lsn(struct store *store, uint64_t project, uint64_t *ret_lsn)
{
    struct waiter waiter = {.error = ERROR_INIT};
    TRY(ask(store, MESSAGE_PURGED, project, 0, &waiter));
    uint64_t log = wal_stale_lsn(store->wal);
    *ret_lsn = waiter.lsn < log ? waiter.lsn : log;
    return STATUS_OK;
}

enum status store_purge_log(struct store *store, struct error *error)
{
    TRY(wal_forget(store->wal, true, error));
    struct waiter waiter = {.error = ERROR_INIT};
    os_mutex_lock(&store->queue_lock);
    waiter.next = store->rotate_waiters;
    store->rotate_waiters = &waiter;
    os_cond_signal(&store->queue_filled);
    os_mutex_unlock(&store->queue_lock);
    enum status status = store_wait(store, &waiter);
    if (status != STATUS_OK && error) *error = waiter.error;
    /* The flush removes the files that are not needed any more. */
    if (status == STATUS_OK) status = store_flush(store, error);
    struct error ignored;
    (void)!wal_forget(store->wal, false, &ignored); /* only sets the flag */
    return status;
}
