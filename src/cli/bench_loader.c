#include "cli/bench.h"

#include "ingest/ingest.h"
#include "os/clock.h"
#include "os/thread.h"

#include <stdlib.h>

/*
 * One thread cuts the text into blocks of so many lines, some threads turn blocks into log records and append them.
 * What waits is bounded twice: the blocks are a fixed set that is used again and again, and records on their way to the
 * disk may not exceed FLIGHT_BYTES_MAX, below what the store would refuse.
 *
 * A block becomes a JSON array in place: [ before it, and a comma for each line end but the last. A line end cannot be
 * part of a JSON text but as white space, so that changes nothing else.
 */

#define FLIGHT_BYTES_MAX ((uint64_t)24 << 20)
#define ARENA_BYTES_MAX  ((size_t)1 << 30)
#define BLOCK_BYTES_MAX  ((size_t)256 << 20)
#define THREADS_MAX      64
#define AGE_MAX_MS       (INT64_C(200) * 366 * 86400000) /* made-up events may be of any day */

struct block {
    struct buf text; /* "[" and lines */
    size_t lines;
    struct block *next;
};

struct bench_loader {
    struct store *store;
    size_t batch;
    struct ingest_limits limits;
    int64_t received_ms;
    unsigned thread_count;
    struct os_thread threads[THREADS_MAX];
    struct block blocks[2 * THREADS_MAX];
    struct block *filling; /* of the feeding thread */

    struct os_mutex mutex;
    struct os_cond changed;
    /* under the mutex: */
    struct block *empty, *ready, **ready_end;
    uint64_t flight_bytes;
    bool ending;
    enum status status; /* the first failure */
    struct error error;
    struct bench_loaded loaded;
};

/* A record on its way. */
struct flight {
    struct bench_loader *loader;
    uint64_t bytes;
};

static void failed(struct bench_loader *loader, enum status status, const struct error *error)
{
    os_mutex_lock(&loader->mutex);
    if (loader->status == STATUS_OK) {
        loader->status = status;
        loader->error = *error;
    }
    os_cond_broadcast(&loader->changed);
    os_mutex_unlock(&loader->mutex);
}

/* On the log's thread. */
static void stored(void *arg, enum status status)
{
    struct flight *flight = arg;
    struct bench_loader *loader = flight->loader;
    if (status != STATUS_OK) {
        struct error error = ERROR_INIT;
        error_set(&error, status, "the store refused events: %s", status_name(status));
        failed(loader, status, &error);
    }
    os_mutex_lock(&loader->mutex);
    loader->flight_bytes -= flight->bytes;
    os_cond_broadcast(&loader->changed);
    os_mutex_unlock(&loader->mutex);
    free(flight);
}

static enum status append(struct bench_loader *loader, struct buf *record, struct error *error)
{
    struct flight *flight = malloc(sizeof *flight);
    if (!flight) return error_set(error, STATUS_LIMIT, "out of memory");
    *flight = (struct flight){loader, record->size};
    os_mutex_lock(&loader->mutex);
    while (loader->flight_bytes > FLIGHT_BYTES_MAX) os_cond_wait(&loader->changed, &loader->mutex);
    loader->flight_bytes += flight->bytes;
    os_mutex_unlock(&loader->mutex);
    store_append(loader->store, record, stored, flight);
    return STATUS_OK;
}

static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)context;
    (void)token;
    *ret_project = (struct ingest_project){.id = BENCH_PROJECT, .mode = IDENTITY_SIMPLIFIED};
    return true;
}

static enum status take(struct bench_loader *loader, struct arena *arena, struct block *block, struct error *error)
{
    struct str text = buf_str(&block->text);
    char *bytes = block->text.data;
    for (size_t i = 0; i < text.size; i++) {
        char *end = memchr(bytes + i, '\n', text.size - i);
        if (!end) break;
        i = (size_t)(end - bytes);
        *end = i + 1 == text.size ? ']' : ',';
    }
    struct json list;
    TRY(json_parse(arena, text, NULL, error, &list));
    struct ingest_request request = {
        .records = {.items = list.array.items, .count = list.array.count, .text_size = text.size},
        .token = STR("bench"),
        .received_ms = loader->received_ms,
        .project_of = project_of,
    };
    struct ingest_outcome outcome;
    TRY(ingest_run(arena, &loader->limits, &request, error, &outcome));
    enum status status = STATUS_OK;
    for (size_t i = 0; i < outcome.output_count && status == STATUS_OK; i++)
        status = append(loader, &outcome.outputs[i].record, error);
    os_mutex_lock(&loader->mutex);
    loader->loaded.stored += outcome.stored;
    loader->loaded.refused += outcome.refused;
    if (outcome.refused && !loader->loaded.reason[0])
        snprintf(loader->loaded.reason, sizeof loader->loaded.reason, STR_FMT, STR_ARG(outcome.reason));
    os_mutex_unlock(&loader->mutex);
    ingest_outcome_fini(&outcome);
    return status;
}

/* Waits for a block; NULL at the end. */
static struct block *ready_take(struct bench_loader *loader)
{
    os_mutex_lock(&loader->mutex);
    while (!loader->ready && !loader->ending) os_cond_wait(&loader->changed, &loader->mutex);
    struct block *block = loader->ready;
    if (block) {
        loader->ready = block->next;
        if (!loader->ready) loader->ready_end = &loader->ready;
    }
    os_mutex_unlock(&loader->mutex);
    return block;
}

static void worker(void *arg)
{
    struct bench_loader *loader = arg;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    for (struct block *block; (block = ready_take(loader));) {
        struct error error = ERROR_INIT;
        enum status status = take(loader, arena, block, &error);
        if (status != STATUS_OK) failed(loader, status, &error);
        arena_reset(arena);
        buf_reset(&block->text);
        block->lines = 0;
        os_mutex_lock(&loader->mutex);
        block->next = loader->empty;
        loader->empty = block;
        os_cond_broadcast(&loader->changed);
        os_mutex_unlock(&loader->mutex);
    }
    arena_free(arena);
}

enum status bench_loader_new(struct store *store, unsigned threads, size_t batch, struct error *error,
                             struct bench_loader **ret_loader)
{
    if (threads < 1 || threads > THREADS_MAX)
        return error_set(error, STATUS_INVALID, "the number of threads must be 1 to %d", THREADS_MAX);
    struct bench_loader *loader = calloc(1, sizeof *loader);
    if (!loader) return error_set(error, STATUS_LIMIT, "out of memory");
    loader->store = store;
    loader->batch = batch;
    loader->limits = INGEST_LIMITS_DEFAULT;
    loader->limits.age_max_ms = AGE_MAX_MS;
    loader->limits.events_max = batch;
    loader->received_ms = os_now_ms();
    loader->ready_end = &loader->ready;
    loader->error = (struct error)ERROR_INIT;
    os_mutex_init(&loader->mutex, "bench loader");
    os_cond_init(&loader->changed, "bench loader");
    for (unsigned i = 0; i < 2 * threads; i++) {
        buf_init(&loader->blocks[i].text, BLOCK_BYTES_MAX);
        loader->blocks[i].next = loader->empty;
        loader->empty = &loader->blocks[i];
    }
    for (unsigned i = 0; i < threads; i++) {
        enum status status = os_thread_spawn(&loader->threads[i], "bench", worker, loader);
        if (status != STATUS_OK) {
            struct bench_loaded loaded;
            error_set(error, STATUS_LIMIT, "cannot start %u threads", threads);
            if (bench_loader_finish(loader, &(struct error)ERROR_INIT, &loaded) != STATUS_OK) return STATUS_LIMIT;
            return STATUS_LIMIT;
        }
        loader->thread_count++;
    }
    *ret_loader = loader;
    return STATUS_OK;
}

/* Gives the filled block to the workers. */
static void ready_put(struct bench_loader *loader)
{
    struct block *block = loader->filling;
    loader->filling = NULL;
    block->next = NULL;
    os_mutex_lock(&loader->mutex);
    loader->loaded.lines += block->lines;
    loader->loaded.bytes += block->text.size - 1;
    *loader->ready_end = block;
    loader->ready_end = &block->next;
    os_cond_broadcast(&loader->changed);
    os_mutex_unlock(&loader->mutex);
}

static enum status empty_take(struct bench_loader *loader, struct error *error)
{
    os_mutex_lock(&loader->mutex);
    while (!loader->empty && loader->status == STATUS_OK) os_cond_wait(&loader->changed, &loader->mutex);
    enum status status = loader->status;
    if (status == STATUS_OK) {
        loader->filling = loader->empty;
        loader->empty = loader->filling->next;
    } else {
        *error = loader->error;
    }
    os_mutex_unlock(&loader->mutex);
    if (status == STATUS_OK) buf_byte(&loader->filling->text, '[');
    return status;
}

enum status bench_loader_feed(struct bench_loader *loader, struct str lines, struct error *error)
{
    while (lines.size) {
        if (!loader->filling) TRY(empty_take(loader, error));
        struct block *block = loader->filling;
        size_t size = 0;
        while (size < lines.size && block->lines < loader->batch) {
            const char *end = memchr(lines.data + size, '\n', lines.size - size);
            size = end ? (size_t)(end - lines.data) + 1 : lines.size;
            block->lines++;
        }
        buf_add(&block->text, lines.data, size);
        if (lines.data[size - 1] != '\n') buf_byte(&block->text, '\n');
        if (buf_status(&block->text) != STATUS_OK)
            return error_set(error, STATUS_LIMIT, "%zu lines do not fit into memory", loader->batch);
        if (block->lines == loader->batch) ready_put(loader);
        lines = str_slice(lines, size, lines.size);
    }
    return STATUS_OK;
}

enum status bench_loader_finish(struct bench_loader *loader, struct error *error, struct bench_loaded *ret_loaded)
{
    if (loader->filling) ready_put(loader);
    os_mutex_lock(&loader->mutex);
    loader->ending = true;
    os_cond_broadcast(&loader->changed);
    os_mutex_unlock(&loader->mutex);
    for (unsigned i = 0; i < loader->thread_count; i++) os_thread_join(&loader->threads[i]);
    os_mutex_lock(&loader->mutex);
    while (loader->flight_bytes > 0) os_cond_wait(&loader->changed, &loader->mutex);
    os_mutex_unlock(&loader->mutex);
    enum status status = loader->status;
    if (status == STATUS_OK)
        *ret_loaded = loader->loaded;
    else
        *error = loader->error;
    for (size_t i = 0; i < sizeof loader->blocks / sizeof *loader->blocks; i++) buf_fini(&loader->blocks[i].text);
    os_cond_destroy(&loader->changed);
    os_mutex_destroy(&loader->mutex);
    free(loader);
    return status;
}
