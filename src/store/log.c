/*
 * The log thread and the queue in front of it: appended records are gathered into one frame, written, synced, handed to
 * the applier and acknowledged, in this order. There is no timer: while one frame is being synced the next one fills.
 */
#include "base/log.h"
#include "os/clock.h"
#include "store/project_update.h"
#include "store/store_int.h"

#include <stdlib.h>

#define MARK_DELAY_NS    10000000LL
#define PATIENCE_NS      60000000000LL
#define PATIENCE_STEP_NS 1000000LL

void store_set_failure(struct store *store, const struct error *error)
{
    os_mutex_lock(&store->failure_lock);
    bool news = (store->failure.status == STATUS_OK) != (!error || error->status == STATUS_OK);
    store->failure = error ? *error : ERROR_INIT;
    os_mutex_unlock(&store->failure_lock);
    if (!news) return;
    if (error)
        log_failure(LOG_ERROR, "writes_refused", error);
    else
        log_info("writes_accepted");
}

static bool memory_is_full(const struct store *store)
{
    return atomic_load(&store->memory_bytes) > store->options.memory_bytes_max * 2;
}

enum status store_writable(struct store *store, struct error *error)
{
    os_mutex_lock(&store->failure_lock);
    struct error failure = store->failure;
    os_mutex_unlock(&store->failure_lock);
    if (failure.status != STATUS_OK) {
        if (error) *error = failure;
        return STATUS_UNAVAILABLE;
    }
    if (atomic_load(&store->recovering)) return error_set(error, STATUS_UNAVAILABLE, "recovery is not finished");
    if (memory_is_full(store))
        return error_set(error, STATUS_UNAVAILABLE, "too many events wait to be written to section files");
    return STATUS_OK;
}

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
    struct message *message = store_message_try(MESSAGE_FRAME);
    if (message)
        message->frame = frame_bytes_take(&store->frames, wal_frame_size(size), wal_next_offset(store->wal, size));
    if (!message || !message->frame) {
        free(message);
        return error_set(error, STATUS_UNAVAILABLE, "out of memory for a log frame");
    }
    char *to = message->frame->data + WAL_FRAME_HEADER;
    for (struct request *request = list; request; request = request->next) {
        memcpy(to, request->record.data, request->record.size);
        to += request->record.size;
    }
    int64_t started = os_monotonic_ns();
    enum status status =
        wal_write(store->wal, message->frame->data, size, count, os_now_ms(), error, &message->lsn, &message->end_lsn);
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
    store_post(store, message);
    for (struct request *request = list; request; request = request->next)
        store_changes_note_records(&store->changes, buf_str(&request->record));
    return STATUS_OK;
}

/* Takes what fits one frame off the queue; waits until there is something, or until timeout_ns passed. */
static struct request *take(struct store *store, int64_t timeout_ns, size_t *ret_size, uint32_t *ret_count,
                            bool *ret_stop)
{
    int64_t deadline_ns = os_monotonic_ns() + timeout_ns;
    size_t size_max = wal_records_max(store->wal);
    os_mutex_lock(&store->queue_lock);
    while (!store->queue_head && !store->rotate_waiters && !store->stopping &&
           os_cond_wait_until(&store->queue_filled, &store->queue_lock, deadline_ns))
        continue;
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
    os_mutex_unlock(&store->queue_lock);
    return *ret_count ? list : NULL;
}

/* Begins a log file when there is none: at start, and after a failure. */
static void ensure_log(struct store *store, int64_t *last_attempt_ns)
{
    int64_t now = os_monotonic_ns();
    if (atomic_load(&store->recovering) || !wal_failed(store->wal)) return;
    if (*last_attempt_ns && now - *last_attempt_ns < store_retry_ns(store) / 5) return;
    *last_attempt_ns = now;
    struct error error;
    enum status reopened = wal_reopen(store->wal, &error);
    store_set_failure(store, reopened == STATUS_OK ? NULL : &error);
}

/* Begins a new file for those who want the old one to be free of use. */
static void rotate(struct store *store)
{
    os_mutex_lock(&store->queue_lock);
    struct waiter *waiters = store->rotate_waiters;
    store->rotate_waiters = NULL;
    os_mutex_unlock(&store->queue_lock);
    while (waiters) {
        struct waiter *next = waiters->next;
        enum status status = STATUS_OK;
        if (atomic_load(&store->recovering))
            status = error_set(&waiters->error, STATUS_UNAVAILABLE, "recovery is not finished");
        else
            status = wal_reopen(store->wal, &waiters->error);
        if (status == STATUS_OK) {
            struct message *message = store_message_new(MESSAGE_ADVANCE);
            message->end_lsn = wal_end_lsn(store->wal);
            message->waiter = waiters;
            store_post(store, message);
        } else {
            store_set_failure(store, wal_failed(store->wal) ? &waiters->error : NULL);
            store_wake(store, waiters, status);
        }
        waiters = next;
    }
}

void store_log_main(void *arg)
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
        rotate(store);
        struct request *list = take(store, marked ? store_retry_ns(store) : MARK_DELAY_NS, &size, &count, &stop);
        if (list) {
            enum status status = STATUS_UNAVAILABLE;
            ensure_log(store, &last_attempt_ns);
            if (!wal_failed(store->wal)) {
                status = commit(store, list, size, count, &error);
                store_set_failure(store, status == STATUS_OK ? NULL : &error);
                marked = status != STATUS_OK;
            }
            finish_requests(list, status == STATUS_OK ? STATUS_OK : STATUS_UNAVAILABLE);
        } else if (!marked) {
            marked = true;
            enum status status = wal_mark(store->wal, os_now_ms(), &error);
            if (status != STATUS_OK) store_set_failure(store, &error);
        } else { /* idle for a while */
            frame_pool_clear(&store->frames);
        }
        if (stop && !list) return;
    }
}

/* `admitted`: it has waited until there was room, and is not refused because somebody else has taken it since. */
static void append(struct store *store, struct buf *record, bool admitted, void (*done)(void *arg, enum status status),
                   void *arg)
{
    enum status status = store_writable(store, NULL);
    /* While the log fails, requests still reach the log thread, which tries again: that is how writing comes back. */
    bool memory_full = !admitted && memory_is_full(store);
    if (status != STATUS_OK && !memory_full && !atomic_load(&store->recovering)) status = STATUS_OK;
    if (record->size > wal_records_max(store->wal)) status = STATUS_LIMIT;
    if (atomic_load(&store->update_debt_bytes) > UPDATE_DEBT_BYTES_MAX && record_is_update(buf_str(record)))
        status = STATUS_UNAVAILABLE;
    struct request *request = status == STATUS_OK ? malloc(sizeof *request) : NULL;
    if (!request) {
        buf_fini(record);
        done(arg, status == STATUS_OK ? STATUS_UNAVAILABLE : status);
        return;
    }
    *request = (struct request){.record = *record, .done = done, .arg = arg};
    *record = BUF_INIT(record->size_max);
    os_mutex_lock(&store->queue_lock);
    bool fits = admitted || store->queue_bytes + request->record.size <= store->options.queue_bytes_max;
    bool room = !store->stopping && fits;
    if (room) {
        *store->queue_tail = request;
        store->queue_tail = &request->next;
        store->queue_bytes += request->record.size;
        os_cond_signal(&store->queue_filled);
    }
    os_mutex_unlock(&store->queue_lock);
    if (!room) finish_requests(request, STATUS_UNAVAILABLE);
}

void store_append(struct store *store, struct buf *record, void (*done)(void *arg, enum status status), void *arg)
{
    append(store, record, false, done, arg);
}

static bool queue_has_room(struct store *store, size_t size)
{
    os_mutex_lock(&store->queue_lock);
    bool room = !store->queue_bytes || store->queue_bytes + size <= store->options.queue_bytes_max;
    os_mutex_unlock(&store->queue_lock);
    return room;
}

/* Looking again and again is cheap beside what it waits for. */
void store_append_patiently(struct store *store, struct buf *record, void (*done)(void *arg, enum status status),
                            void *arg)
{
    int64_t deadline_ns = os_monotonic_ns() + PATIENCE_NS;
    bool admitted = false;
    while (!(admitted = !memory_is_full(store) && queue_has_room(store, record->size)) &&
           os_monotonic_ns() < deadline_ns)
        os_sleep_ns(PATIENCE_STEP_NS);
    append(store, record, admitted, done, arg);
}

struct append_wait {
    struct store *store;
    struct waiter waiter;
};

static void append_done(void *arg, enum status status)
{
    struct append_wait *wait = arg;
    store_wake(wait->store, &wait->waiter, status);
}

enum status store_append_wait(struct store *store, struct buf *record)
{
    struct append_wait wait = {.store = store};
    store_append(store, record, append_done, &wait);
    return store_wait(store, &wait.waiter);
}
