#include "cli/bench.h"

#include "ingest/ingest.h"
#include "os/clock.h"
#include "os/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Some threads turn blocks of whole lines into log records and append them. From a file each thread reads its next
 * block itself, one at a time, so that the text is parsed by the core in whose cache it is; what a generator makes up
 * is gathered in blocks by its thread. What waits is bounded twice: the blocks are a fixed set that is used again and
 * again, and records on their way to the disk may not exceed FLIGHT_BYTES_MAX. When the store's memory is full, loading
 * goes as fast as the disk.
 */

#define FLIGHT_BYTES_MAX ((uint64_t)24 << 20)
#define ARENA_BYTES_MAX  ((size_t)1 << 30)
#define BLOCK_BYTES      ((size_t)512 << 10) /* about; what a core's cache holds */
#define LINE_BYTES_MAX   ((size_t)64 << 20)
#define THREADS_MAX      64
#define AGE_MAX_MS       (INT64_C(200) * 366 * 86400000) /* made-up events may be of any day */

struct block {
    struct buf text; /* whole lines, with room for INGEST_PADDING more */
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

    /* The file that is being read; under source_mutex, which is taken before the other one. */
    struct os_mutex source_mutex;
    const char *source_name;
    int source;      /* -1: none, or it has ended */
    struct buf rest; /* the begin of a line that the last block left */

    struct os_mutex mutex;
    struct os_cond changed;
    /* under the mutex: */
    struct block *empty, *ready, **ready_end;
    uint64_t flight_bytes;
    bool ending, reading;
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
    store_append_patiently(loader->store, record, stored, flight);
    return STATUS_OK;
}

static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)context;
    (void)token;
    *ret_project = (struct ingest_project){.id = BENCH_PROJECT, .mode = IDENTITY_SIMPLIFIED};
    return true;
}

static enum status take(struct bench_loader *loader, struct arena *arena, struct str lines, struct error *error,
                        size_t *ret_read)
{
    struct ingest_request request = {
        .token = STR("bench"),
        .received_ms = loader->received_ms,
        .project_of = project_of,
    };
    struct ingest_outcome outcome;
    arena_reset(arena);
    TRY(ingest_lines(arena, &loader->limits, lines, &request, error, &outcome, ret_read));
    enum status status = STATUS_OK;
    for (size_t i = 0; i < outcome.output_count && status == STATUS_OK; i++)
        status = append(loader, &outcome.outputs[i].record, error);
    os_mutex_lock(&loader->mutex);
    loader->loaded.lines += outcome.stored + outcome.ignored + outcome.unknown + outcome.refused;
    loader->loaded.bytes += *ret_read;
    loader->loaded.stored += outcome.stored;
    loader->loaded.refused += outcome.refused;
    if (outcome.refused && !loader->loaded.reason[0])
        snprintf(loader->loaded.reason, sizeof loader->loaded.reason, STR_FMT, STR_ARG(outcome.reason));
    os_mutex_unlock(&loader->mutex);
    ingest_outcome_fini(&outcome);
    return status;
}

/* Everything in a block. */
static void take_block(struct bench_loader *loader, struct arena *arena, struct block *block)
{
    struct error error = ERROR_INIT;
    char *padding = buf_reserve(&block->text, INGEST_PADDING);
    enum status status = padding ? STATUS_OK : error_set(&error, STATUS_LIMIT, "lines do not fit into memory");
    if (padding) memset(padding, 0, INGEST_PADDING);
    struct str lines = buf_str(&block->text);
    while (lines.size && status == STATUS_OK) {
        size_t read;
        status = take(loader, arena, lines, &error, &read);
        if (status == STATUS_OK) lines = str_slice(lines, read, lines.size);
    }
    if (status != STATUS_OK) failed(loader, status, &error);
    buf_reset(&block->text);
}

static void source_end(struct bench_loader *loader)
{
    loader->source = -1;
    os_mutex_lock(&loader->mutex);
    loader->reading = false;
    os_cond_broadcast(&loader->changed);
    os_mutex_unlock(&loader->mutex);
}

/* The next lines of the file; none at its end. */
static enum status source_read(struct bench_loader *loader, struct buf *lines, struct error *error)
{
    size_t whole = 0;
    buf_str_add(lines, buf_str(&loader->rest));
    buf_reset(&loader->rest);
    while (!whole && loader->source >= 0) {
        char *place = buf_reserve(lines, BLOCK_BYTES + INGEST_PADDING);
        if (!place)
            return error_set(error, STATUS_LIMIT, "%s has a line of more than %zu bytes", loader->source_name,
                             LINE_BYTES_MAX);
        ssize_t got = read(loader->source, place, BLOCK_BYTES);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_set(error, STATUS_IO, "cannot read %s: %s", loader->source_name, strerror(errno));
        const char *end = got ? memrchr(place, '\n', (size_t)got) : NULL;
        buf_advance(lines, (size_t)got);
        if (end) whole = (size_t)(end - lines->data) + 1;
        if (got == 0) {
            whole = lines->size;
            source_end(loader);
        }
    }
    buf_add(&loader->rest, lines->data + whole, lines->size - whole);
    lines->size = whole;
    return buf_status(&loader->rest);
}

static void source_take(struct bench_loader *loader, struct arena *arena, struct block *block)
{
    for (bool more = true; more;) {
        struct error error = ERROR_INIT;
        os_mutex_lock(&loader->source_mutex);
        enum status status = source_read(loader, &block->text, &error);
        if (status != STATUS_OK) {
            failed(loader, status, &error);
            buf_reset(&block->text);
        }
        os_mutex_lock(&loader->mutex);
        bool stop = loader->status != STATUS_OK;
        os_mutex_unlock(&loader->mutex);
        if (stop && loader->source >= 0) source_end(loader);
        more = loader->source >= 0;
        os_mutex_unlock(&loader->source_mutex);
        if (block->text.size && !stop) take_block(loader, arena, block);
    }
}

static void worker(void *arg)
{
    struct bench_loader *loader = arg;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct block own = {.text = BUF_INIT(LINE_BYTES_MAX + BLOCK_BYTES + INGEST_PADDING)};
    os_mutex_lock(&loader->mutex);
    for (;;) {
        while (!loader->ready && !loader->reading && !loader->ending) os_cond_wait(&loader->changed, &loader->mutex);
        struct block *block = loader->ready;
        if (!block && !loader->reading) break;
        if (block) {
            loader->ready = block->next;
            if (!loader->ready) loader->ready_end = &loader->ready;
        }
        os_mutex_unlock(&loader->mutex);
        if (block)
            take_block(loader, arena, block);
        else
            source_take(loader, arena, &own);
        os_mutex_lock(&loader->mutex);
        if (!block) continue;
        block->next = loader->empty;
        loader->empty = block;
        os_cond_broadcast(&loader->changed);
    }
    os_mutex_unlock(&loader->mutex);
    buf_fini(&own.text);
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
    loader->source = -1;
    buf_init(&loader->rest, LINE_BYTES_MAX + BLOCK_BYTES);
    os_mutex_init(&loader->source_mutex, "bench loader source");
    os_mutex_init(&loader->mutex, "bench loader");
    os_cond_init(&loader->changed, "bench loader");
    for (unsigned i = 0; i < 2 * threads; i++) {
        buf_init(&loader->blocks[i].text, LINE_BYTES_MAX + BLOCK_BYTES + INGEST_PADDING);
        loader->blocks[i].next = loader->empty;
        loader->empty = &loader->blocks[i];
    }
    for (unsigned i = 0; i < threads; i++) {
        enum status status = os_thread_spawn(&loader->threads[i], "bench", worker, loader);
        if (status != STATUS_OK) {
            struct bench_loaded loaded;
            struct error ignored = ERROR_INIT;
            error_set(error, STATUS_LIMIT, "cannot start %u threads", threads);
            if (bench_loader_finish(loader, &ignored, &loaded) != STATUS_OK) return STATUS_LIMIT;
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
    return status;
}

enum status bench_loader_feed(struct bench_loader *loader, struct str lines, struct error *error)
{
    if (!lines.size) return STATUS_OK;
    if (!loader->filling) TRY(empty_take(loader, error));
    struct buf *text = &loader->filling->text;
    buf_str_add(text, lines);
    if (lines.data[lines.size - 1] != '\n') buf_byte(text, '\n');
    if (buf_status(text) != STATUS_OK) return error_set(error, STATUS_LIMIT, "lines do not fit into memory");
    if (text->size >= BLOCK_BYTES) ready_put(loader);
    return STATUS_OK;
}

enum status bench_loader_read(struct bench_loader *loader, int descriptor, const char *name, struct error *error)
{
    os_mutex_lock(&loader->source_mutex);
    loader->source = descriptor;
    loader->source_name = name;
    os_mutex_unlock(&loader->source_mutex);
    os_mutex_lock(&loader->mutex);
    loader->reading = true;
    os_cond_broadcast(&loader->changed);
    while (loader->reading) os_cond_wait(&loader->changed, &loader->mutex);
    enum status status = loader->status;
    if (status != STATUS_OK) *error = loader->error;
    os_mutex_unlock(&loader->mutex);
    return status;
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
    buf_fini(&loader->rest);
    os_mutex_destroy(&loader->source_mutex);
    os_cond_destroy(&loader->changed);
    os_mutex_destroy(&loader->mutex);
    free(loader);
    return status;
}
