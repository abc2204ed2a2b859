/*
 * Into a data directory, without a server: the same reading, rules and log as /import. Records on their way to the disk
 * are bounded by FLIGHT_BYTES_MAX; when the store's memory is full, the import goes as fast as the disk.
 */
#include "cli/bulk/bulk.h"

#include "identity/identity.h"
#include "ingest/import.h"
#include "ingest/profile.h"
#include "meta/meta.h"
#include "os/clock.h"
#include "profile/update.h"
#include "server/memory.h"
#include "store/store.h"

#include <stdlib.h>

#define CLUSTER_IDS_MAX 100000u

#define FLIGHT_BYTES_MAX ((uint64_t)24 << 20)
#define ARENA_BYTES_MAX  ((size_t)512 << 20)

struct store_sink {
    struct bulk_sink base;
    struct os_lock *lock;
    struct os_fs *fs;
    struct store *store;
    struct ingest_project project;
    struct ingest_limits limits;
    struct os_mutex mutex;
    struct os_cond landed;
    uint64_t flight_bytes;
};

struct flight {
    struct store_sink *sink;
    struct bulk *bulk;
    struct bulk_mark *mark;
    uint64_t bytes;
    uint32_t stored;
};

/* On the log's thread. */
static void stored(void *arg, enum status status)
{
    struct flight *flight = arg;
    struct store_sink *sink = flight->sink;
    os_mutex_lock(&sink->mutex);
    sink->flight_bytes -= flight->bytes;
    os_cond_broadcast(&sink->landed);
    os_mutex_unlock(&sink->mutex);
    if (status == STATUS_OK) {
        bulk_finish(flight->bulk, flight->mark, flight->stored);
    } else {
        struct error error = ERROR_INIT;
        (void)error_set(&error, status, "events cannot be stored: %s", status_name(status));
        error_hint(&error, "is the disk full? The import goes on where it stopped when it is started again");
        bulk_fail(flight->bulk, &error);
        bulk_abandon(flight->bulk);
    }
    free(flight);
}

/* Takes over the record; with nothing in it the chunk is done. */
static enum status append(struct store_sink *sink, struct bulk *bulk, const struct bulk_chunk *chunk,
                          struct buf *record, size_t count, struct error *error)
{
    if (!record->size) {
        bulk_finish(bulk, chunk->mark, 0);
        return STATUS_OK;
    }
    struct flight *flight = malloc(sizeof *flight);
    if (!flight) return error_set(error, STATUS_LIMIT, "out of memory");
    *flight = (struct flight){sink, bulk, chunk->mark, record->size, (uint32_t)count};
    os_mutex_lock(&sink->mutex);
    while (sink->flight_bytes > FLIGHT_BYTES_MAX) os_cond_wait(&sink->landed, &sink->mutex);
    sink->flight_bytes += flight->bytes;
    os_mutex_unlock(&sink->mutex);
    store_append_patiently(sink->store, record, stored, flight);
    return STATUS_OK;
}

static enum status take_lines(struct store_sink *sink, struct arena *arena, struct bulk *bulk,
                              const struct bulk_chunk *chunk, struct error *error)
{
    struct import_request request = {.project = sink->project, .received_ms = os_now_ms(), .lines = true};
    struct import_outcome outcome;
    arena_reset(arena);
    /* The reader looks a little beyond the end. */
    char *text = arena_alloc(arena, chunk->text.size + INGEST_PADDING);
    if (!text) return error_set(error, STATUS_LIMIT, "records need too much memory");
    memcpy(text, chunk->text.data, chunk->text.size);
    memset(text + chunk->text.size, 0, INGEST_PADDING);
    TRY(import_take(arena, &sink->limits, str_from(text, chunk->text.size), &request, error, &outcome));
    for (size_t i = 0; i < outcome.failure_count; i++) {
        const struct import_failure *failure = &outcome.failures[i];
        bulk_refuse(bulk, chunk, (uint32_t)failure->index, failure->field, failure->message);
    }
    enum status status = append(sink, bulk, chunk, &outcome.record, outcome.stored, error);
    import_outcome_fini(&outcome);
    return status;
}

static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)token;
    *ret_project = *(struct ingest_project *)context;
    return true;
}

static enum status take_profiles(struct store_sink *sink, struct arena *arena, struct bulk *bulk,
                                 const struct bulk_chunk *chunk, struct error *error)
{
    arena_reset(arena);
    struct json *messages = arena_new_array(arena, struct json, chunk->count);
    uint32_t *places = arena_new_array(arena, uint32_t, chunk->count), count = 0;
    if (!messages || !places) return error_set(error, STATUS_LIMIT, "records need too much memory");
    for (uint32_t i = 0; i < chunk->count; i++) {
        const char *wrong;
        if (bulk_message(arena, bulk_record(chunk, i), chunk->kind, STR("import"), &messages[count], &wrong) !=
            STATUS_OK)
            return error_set(error, STATUS_LIMIT, "records need too much memory");
        if (wrong)
            bulk_refuse(bulk, chunk, i, STR_NULL, str_of(wrong));
        else
            places[count++] = i;
    }
    struct profile_request request = {.kind = chunk->kind == BULK_USERS ? PROFILE_USERS : PROFILE_GROUPS,
                                      .messages = {.items = messages, .count = count, .text_size = chunk->text.size},
                                      .token = STR("import"),
                                      .received_ms = os_now_ms(),
                                      .project_of = project_of,
                                      .context = &sink->project};
    struct profile_batch batch;
    TRY(profile_ingest(arena, &sink->limits, &request, error, &batch));
    for (size_t i = 0; i < batch.refusal_count; i++)
        bulk_refuse(bulk, chunk, places[batch.refusals[i].index], batch.refusals[i].field, batch.refusals[i].message);
    return append(sink, bulk, chunk, &batch.records, batch.stored, error);
}

static enum status take_links(struct store_sink *sink, struct arena *arena, struct bulk *bulk,
                              const struct bulk_chunk *chunk, struct error *error)
{
    struct buf records = BUF_INIT((size_t)16 << 20);
    uint32_t count = 0;
    arena_reset(arena);
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct str device, user;
        const char *wrong;
        enum status status = bulk_link(arena, bulk_record(chunk, i), &device, &user, &wrong);
        if (status == STATUS_OK && wrong) {
            bulk_refuse(bulk, chunk, i, STR_NULL, str_of(wrong));
            continue;
        }
        struct link_view link = {.received_ms = os_now_ms(),
                                 .mode = (uint8_t)sink->project.mode,
                                 /* they were one person where they come from, whatever made them so */
                                 .operation = sink->project.mode == IDENTITY_ORIGINAL ? LINK_MERGE : LINK_CREATE,
                                 .cluster_max = CLUSTER_IDS_MAX,
                                 .device = device,
                                 .user = user};
        if (status == STATUS_OK) status = record_link_view(&records, sink->project.id, &link);
        if (status != STATUS_OK) {
            buf_fini(&records);
            return error_set(error, STATUS_LIMIT, "records need too much memory");
        }
        count++;
    }
    return append(sink, bulk, chunk, &records, count, error);
}

static enum status take(struct bulk_sink *base, void *worker, struct bulk *bulk, const struct bulk_chunk *chunk,
                        struct error *error)
{
    struct store_sink *sink = (struct store_sink *)base;
    switch (chunk->kind) {
    case BULK_EVENTS: return take_lines(sink, worker, bulk, chunk, error);
    case BULK_LINKS: return take_links(sink, worker, bulk, chunk, error);
    default: return take_profiles(sink, worker, bulk, chunk, error);
    }
}

static enum status worker_new(struct bulk_sink *base, struct error *error, void **ret_worker)
{
    (void)base;
    *ret_worker = arena_new(ARENA_BYTES_MAX);
    return *ret_worker ? STATUS_OK : error_set(error, STATUS_LIMIT, "out of memory");
}

static void worker_free(struct bulk_sink *base, void *worker)
{
    (void)base;
    arena_free(worker);
}

static enum status find_project(const char *directory, int64_t project, struct error *error,
                                struct ingest_project *ret_project)
{
    static const enum identity_mode modes[] = {IDENTITY_SIMPLIFIED, IDENTITY_ORIGINAL, IDENTITY_LEGACY};
    struct meta_options options = META_OPTIONS_DEFAULT;
    struct meta *meta;
    struct meta_view *view;
    options.must_exist = true;
    TRY(meta_open(directory, &options, error, &meta));
    enum status status = meta_view_load(meta, error, &view);
    if (status == STATUS_OK) {
        const struct meta_project *found = meta_view_project(view, project);
        if (found) {
            *ret_project = (struct ingest_project){.id = (uint64_t)found->id, .mode = modes[found->identity]};
        } else {
            status = error_set(error, STATUS_NOT_FOUND, "%s has no project %lld", directory, (long long)project);
            error_hint(error, "cairn project list shows those that there are");
        }
        meta_view_unref(view);
    }
    meta_close(meta);
    return status;
}

static enum status open_all(struct store_sink *sink, const char *directory, int64_t project, uint64_t memory_bytes,
                            unsigned threads, struct error *error)
{
    struct store_options options;
    struct store_report report;
    TRY(find_project(directory, project, error, &sink->project));
    enum status status = os_lock_acquire(directory, error, &sink->lock);
    if (status != STATUS_OK) {
        if (!error->hint[0]) error_hint(error, "while a server runs on it, import with --url");
        return status;
    }
    TRY(os_posix_new(directory, error, &sink->fs));
    store_options_defaults(&options);
    struct memory_shares shares = memory_share_out(memory_bytes, 1, threads);
    options.fs = sink->fs;
    options.link = identity_link;
    options.unlink = identity_unlink;
    options.explain = identity_explain;
    options.update = profile_update;
    options.memory_bytes_max = shares.events_bytes;
    options.cache_bytes = shares.cache_bytes;
    options.compact_memory_bytes = shares.compact_bytes;
    options.queue_bytes_max = shares.queue_bytes;
    return store_open(&options, error, &report, &sink->store);
}

enum status bulk_sink_store_new(const char *directory, int64_t project, uint64_t memory_bytes, unsigned threads,
                                struct error *error, struct bulk_sink **ret_sink)
{
    struct store_sink *sink = calloc(1, sizeof *sink);
    if (!sink) return error_set(error, STATUS_LIMIT, "out of memory");
    sink->base = (struct bulk_sink){.worker_new = worker_new, .worker_free = worker_free, .take = take};
    sink->limits = INGEST_LIMITS_DEFAULT;
    sink->limits.request_bytes_max = (size_t)64 << 20;
    sink->limits.events_max = sink->limits.messages_max = BULK_BATCH_MAX;
    os_mutex_init(&sink->mutex, "import store");
    os_cond_init(&sink->landed, "import store");
    enum status status = open_all(sink, directory, project, memory_bytes, threads, error);
    if (status != STATUS_OK) {
        bulk_sink_store_free(&sink->base);
        return status;
    }
    *ret_sink = &sink->base;
    return STATUS_OK;
}

enum status bulk_sink_store_end(struct bulk_sink *base, bool merge, struct error *error)
{
    struct store_sink *sink = (struct store_sink *)base;
    return merge ? store_compact_wait(sink->store, error) : store_flush(sink->store, error);
}

void bulk_sink_store_free(struct bulk_sink *base)
{
    struct store_sink *sink = (struct store_sink *)base;
    if (!sink) return;
    if (sink->store) store_close(sink->store);
    os_fs_free(sink->fs);
    if (sink->lock) os_lock_release(sink->lock);
    os_cond_destroy(&sink->landed);
    os_mutex_destroy(&sink->mutex);
    free(sink);
}
