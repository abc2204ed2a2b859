#include "cli/bulk/bulk.h"

#include "base/json.h"
#include "cli/bulk/meter.h"
#include "os/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 4 << 20,
    READERS_MAX = 4, /* at work on files at the same time: unpacking is what keeps one busy */
    PAUSE_MS = 200,
    STATE_PAUSE_MS = 1000,
    SHOWN_BYTES = 4096, /* of a record, in the report of those that were refused */
};

/* A chunk's place in its file. The chunk itself is used again as soon as the sink has taken it. */
struct bulk_mark {
    struct bulk_file *file;
    uint64_t position; /* behind it */
    bool finished;
    struct bulk_mark *next;
};

struct bulk {
    const struct bulk_options *options;
    struct bulk_sink *sink;
    struct os_mutex mutex;
    struct os_cond changed;
    /* under the mutex: */
    struct bulk_chunk *empty, *ready, **ready_end;
    size_t next_file;
    unsigned readers;  /* that may still bring chunks */
    size_t unfinished; /* marks */
    size_t given;      /* of those: with the sink */
    bool stopping;
    enum status status;
    struct error error;
    FILE *refused_file;
    struct bulk_result result;
    atomic_ullong raw_bytes;
    struct os_thread reader_threads[READERS_MAX], worker_threads[BULK_THREADS_MAX];
    struct bulk_chunk *chunks;
    size_t chunk_count;
};

/* ---- what is known of each file ---- */

static struct bulk_mark *mark_add(struct bulk *bulk, struct bulk_file *file, uint64_t position)
{
    struct bulk_mark *mark = calloc(1, sizeof *mark);
    if (!mark) abort();
    *mark = (struct bulk_mark){.file = file, .position = position};
    os_mutex_lock(&bulk->mutex);
    *file->last = mark;
    file->last = &mark->next;
    bulk->unfinished++;
    os_mutex_unlock(&bulk->mutex);
    return mark;
}

/* Under the mutex: takes away the marks in front that are finished. */
static void file_advance(struct bulk_file *file)
{
    while (file->first && file->first->finished) {
        struct bulk_mark *mark = file->first;
        file->position = mark->position;
        file->first = mark->next;
        if (!file->first) file->last = &file->first;
        free(mark);
    }
    if (!file->first && file->read && file->error.status == STATUS_OK) file->done = true;
}

void bulk_finish(struct bulk *bulk, struct bulk_mark *mark, uint32_t stored)
{
    os_mutex_lock(&bulk->mutex);
    struct bulk_file *file = mark->file;
    mark->finished = true;
    bulk->result.stored += stored;
    bulk->unfinished--;
    bulk->given--;
    file_advance(file);
    os_cond_broadcast(&bulk->changed);
    os_mutex_unlock(&bulk->mutex);
}

void bulk_abandon(struct bulk *bulk)
{
    os_mutex_lock(&bulk->mutex);
    bulk->given--;
    os_cond_broadcast(&bulk->changed);
    os_mutex_unlock(&bulk->mutex);
}

void bulk_fail(struct bulk *bulk, const struct error *error)
{
    os_mutex_lock(&bulk->mutex);
    if (bulk->status == STATUS_OK) {
        bulk->status = error->status;
        bulk->error = *error;
    }
    bulk->stopping = true;
    os_cond_broadcast(&bulk->changed);
    os_mutex_unlock(&bulk->mutex);
}

bool bulk_stopped(struct bulk *bulk)
{
    os_mutex_lock(&bulk->mutex);
    bool stopping = bulk->stopping;
    os_mutex_unlock(&bulk->mutex);
    return stopping;
}

/* ---- refused records ---- */

static void refuse(struct bulk *bulk, const char *file, uint64_t line, struct str record, struct str field,
                   struct str reason)
{
    struct buf buf = BUF_INIT((size_t)64 << 10);
    buf_lit(&buf, "{\"file\":");
    json_write_str(&buf, str_of(file));
    buf_printf(&buf, ",\"line\":%llu", (unsigned long long)line);
    if (field.size) {
        buf_lit(&buf, ",\"field\":");
        json_write_str(&buf, field);
    }
    buf_lit(&buf, ",\"reason\":");
    json_write_str(&buf, reason);
    buf_lit(&buf, ",\"record\":");
    json_write_str(&buf, str_slice(record, 0, SHOWN_BYTES));
    buf_lit(&buf, "}\n");
    os_mutex_lock(&bulk->mutex);
    bulk->result.refused++;
    if (!bulk->refused_file) bulk->refused_file = fopen(bulk->options->refused_path, "ae");
    bool ok = bulk->refused_file && buf_status(&buf) == STATUS_OK &&
              fwrite(buf.data, 1, buf.size, bulk->refused_file) == buf.size;
    if (!ok && bulk->status == STATUS_OK) {
        bulk->status = error_set_os(&bulk->error, STATUS_IO, errno, "cannot write %s", bulk->options->refused_path);
        bulk->stopping = true;
    }
    os_mutex_unlock(&bulk->mutex);
    buf_fini(&buf);
}

void bulk_refuse(struct bulk *bulk, const struct bulk_chunk *chunk, uint32_t index, struct str field, struct str reason)
{
    refuse(bulk, chunk->file->name, chunk->lines[index], bulk_record(chunk, index), field, reason);
}

/* ---- readers ---- */

/* An empty chunk; NULL when all is to stop. */
static struct bulk_chunk *chunk_take(struct bulk *bulk)
{
    os_mutex_lock(&bulk->mutex);
    while (!bulk->empty && !bulk->stopping) os_cond_wait(&bulk->changed, &bulk->mutex);
    struct bulk_chunk *chunk = bulk->stopping ? NULL : bulk->empty;
    if (chunk) bulk->empty = chunk->next;
    os_mutex_unlock(&bulk->mutex);
    return chunk;
}

static void chunk_give_back(struct bulk *bulk, struct bulk_chunk *chunk)
{
    buf_reset(&chunk->text);
    chunk->count = 0;
    os_mutex_lock(&bulk->mutex);
    chunk->next = bulk->empty;
    bulk->empty = chunk;
    os_cond_broadcast(&bulk->changed);
    os_mutex_unlock(&bulk->mutex);
}

static void chunk_ready(struct bulk *bulk, struct bulk_chunk *chunk, struct bulk_file *file, uint64_t position)
{
    chunk->file = file;
    chunk->mark = mark_add(bulk, file, position);
    chunk->next = NULL;
    os_mutex_lock(&bulk->mutex);
    *bulk->ready_end = chunk;
    bulk->ready_end = &chunk->next;
    os_cond_broadcast(&bulk->changed);
    os_mutex_unlock(&bulk->mutex);
}

static enum bulk_kind kind_of(struct str record)
{
    static const struct {
        struct str begin;
        enum bulk_kind kind;
    } kinds[] = {{STR("\"$distinct_id\""), BULK_USERS},
                 {STR("\"$group_key\""), BULK_GROUPS},
                 {STR("\"$group_id\""), BULK_GROUPS},
                 {STR("\"link\""), BULK_LINKS}};
    struct str rest = str_trim(str_slice(record, 1, 64));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (str_starts(rest, kinds[i].begin)) return kinds[i].kind;
    }
    return BULK_EVENTS;
}

/* A file that is read. */
struct reading {
    struct input *input;
    struct bulk_file *file;
    struct input_record record;
    bool pending;      /* `record` did not fit into the last chunk: it was of another kind */
    uint64_t position; /* behind the last record that is in a chunk, or refused */
};

static enum status next_record(struct bulk *bulk, struct reading *reading, struct error *error)
{
    if (reading->pending) {
        reading->pending = false;
        return STATUS_OK;
    }
    TRY(input_next(reading->input, error, &reading->record));
    os_mutex_lock(&bulk->mutex);
    bulk->result.records++;
    bool stopping = bulk->stopping;
    os_mutex_unlock(&bulk->mutex);
    return stopping ? STATUS_CANCELLED : STATUS_OK;
}

/* Fills a chunk. NOT_FOUND: the file has ended, what the chunk holds is its last. */
static enum status fill(struct bulk *bulk, struct reading *reading, struct bulk_chunk *chunk, struct error *error)
{
    while (chunk->count < bulk->options->batch && chunk->text.size < CHUNK_BYTES) {
        TRY(next_record(bulk, reading, error));
        const struct input_record *record = &reading->record;
        if (record->wrong) {
            refuse(bulk, reading->file->name, record->line, record->text, STR_NULL, str_of(record->wrong));
            reading->position = input_position(reading->input);
            continue;
        }
        enum bulk_kind kind = kind_of(record->text);
        if (chunk->count == 0) chunk->kind = kind;
        if (chunk->kind != kind) {
            reading->pending = true;
            return STATUS_OK;
        }
        buf_str_add(&chunk->text, record->text);
        buf_byte(&chunk->text, '\n');
        if (buf_status(&chunk->text) != STATUS_OK) return error_set(error, STATUS_LIMIT, "out of memory");
        chunk->lines[chunk->count] = record->line;
        chunk->ends[chunk->count++] = (uint32_t)chunk->text.size;
        reading->position = input_position(reading->input);
    }
    return STATUS_OK;
}

static enum status read_file(struct bulk *bulk, struct bulk_file *file, struct error *error)
{
    struct reading reading = {.file = file, .position = file->position};
    TRY(input_open(file->name, &bulk->options->input, &bulk->raw_bytes, error, &reading.input));
    enum status status = input_skip(reading.input, file->position, error);
    while (status == STATUS_OK) {
        struct bulk_chunk *chunk = chunk_take(bulk);
        if (!chunk) break;
        status = fill(bulk, &reading, chunk, error);
        /* What was read before an error counts: it is whole. */
        if (chunk->count && status != STATUS_CANCELLED)
            chunk_ready(bulk, chunk, file, reading.position);
        else
            chunk_give_back(bulk, chunk);
    }
    input_close(reading.input);
    return status == STATUS_NOT_FOUND || status == STATUS_CANCELLED ? STATUS_OK : status;
}

static void reader(void *arg)
{
    struct bulk *bulk = arg;
    for (;;) {
        struct error error = ERROR_INIT;
        os_mutex_lock(&bulk->mutex);
        while (bulk->next_file < bulk->options->file_count && bulk->options->files[bulk->next_file].done)
            bulk->next_file++;
        bool none = bulk->stopping || bulk->next_file == bulk->options->file_count;
        struct bulk_file *file = none ? NULL : &bulk->options->files[bulk->next_file++];
        if (none) {
            bulk->readers--;
            os_cond_broadcast(&bulk->changed);
        }
        os_mutex_unlock(&bulk->mutex);
        if (none) return;
        enum status status = read_file(bulk, file, &error);
        if (status != STATUS_OK && str_find(str_of(error.primary), str_of(file->name), 0) == SIZE_MAX)
            error_prefix(&error, "%s", file->name);
        os_mutex_lock(&bulk->mutex);
        file->read = status != STATUS_OK || !bulk->stopping;
        if (status != STATUS_OK) {
            file->error = error;
            bulk->result.files_failed++;
        }
        file_advance(file);
        os_mutex_unlock(&bulk->mutex);
    }
}

/* ---- workers ---- */

/* The records again, each with an insert id. */
static enum status name_records(struct bulk_chunk *chunk, struct buf *named, struct error *error)
{
    if (chunk->kind != BULK_EVENTS) return STATUS_OK;
    buf_reset(named);
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct str record = bulk_record(chunk, i);
        bulk_insert_id(chunk->file->name, chunk->lines[i], record, named);
    }
    if (buf_status(named) != STATUS_OK) return error_set(error, STATUS_LIMIT, "out of memory");
    struct buf before = chunk->text;
    chunk->text = *named;
    *named = before;
    size_t at = 0;
    for (uint32_t i = 0; i < chunk->count; i++) {
        const char *end = memchr(chunk->text.data + at, '\n', chunk->text.size - at);
        at = (size_t)(end - chunk->text.data) + 1;
        chunk->ends[i] = (uint32_t)at;
    }
    return STATUS_OK;
}

static struct bulk_chunk *ready_take(struct bulk *bulk)
{
    os_mutex_lock(&bulk->mutex);
    while (!bulk->ready && bulk->readers && !bulk->stopping) os_cond_wait(&bulk->changed, &bulk->mutex);
    struct bulk_chunk *chunk = bulk->stopping ? NULL : bulk->ready;
    if (chunk) {
        bulk->ready = chunk->next;
        if (!bulk->ready) bulk->ready_end = &bulk->ready;
    }
    os_mutex_unlock(&bulk->mutex);
    return chunk;
}

static enum status give(struct bulk *bulk, void *own, struct bulk_chunk *chunk, struct error *error)
{
    os_mutex_lock(&bulk->mutex);
    bulk->given++;
    os_mutex_unlock(&bulk->mutex);
    enum status status = bulk->sink->take(bulk->sink, own, bulk, chunk, error);
    if (status != STATUS_OK) bulk_abandon(bulk);
    return status;
}

static void worker(void *arg)
{
    struct bulk *bulk = arg;
    struct bulk_sink *sink = bulk->sink;
    struct error error = ERROR_INIT;
    struct buf named = BUF_INIT((size_t)2 * INPUT_RECORD_BYTES_MAX + CHUNK_BYTES);
    void *own;
    enum status status = sink->worker_new(sink, &error, &own);
    if (status == STATUS_OK) {
        struct bulk_chunk *chunk;
        while (status == STATUS_OK && (chunk = ready_take(bulk))) {
            status = name_records(chunk, &named, &error);
            if (status == STATUS_OK) status = give(bulk, own, chunk, &error);
            chunk_give_back(bulk, chunk);
        }
        sink->worker_free(sink, own);
    }
    if (status != STATUS_OK) bulk_fail(bulk, &error);
    buf_fini(&named);
}

/* ---- life ---- */

static enum status chunks_new(struct bulk *bulk, size_t count, struct error *error)
{
    bulk->chunks = calloc(count, sizeof *bulk->chunks);
    if (!bulk->chunks) return error_set(error, STATUS_LIMIT, "out of memory");
    bulk->chunk_count = count;
    for (size_t i = 0; i < count; i++) {
        struct bulk_chunk *chunk = &bulk->chunks[i];
        chunk->text = BUF_INIT((size_t)2 * INPUT_RECORD_BYTES_MAX + CHUNK_BYTES);
        chunk->ends = calloc(bulk->options->batch, sizeof *chunk->ends);
        chunk->lines = calloc(bulk->options->batch, sizeof *chunk->lines);
        if (!chunk->ends || !chunk->lines) return error_set(error, STATUS_LIMIT, "out of memory");
        chunk->next = bulk->empty;
        bulk->empty = chunk;
    }
    return STATUS_OK;
}

static void bulk_fini(struct bulk *bulk)
{
    for (size_t i = 0; i < bulk->chunk_count; i++) {
        buf_fini(&bulk->chunks[i].text);
        free(bulk->chunks[i].ends);
        free(bulk->chunks[i].lines);
    }
    free(bulk->chunks);
    for (size_t i = 0; i < bulk->options->file_count; i++) {
        struct bulk_file *file = &bulk->options->files[i];
        while (file->first) {
            struct bulk_mark *mark = file->first;
            file->first = mark->next;
            free(mark);
        }
    }
    os_cond_destroy(&bulk->changed);
    os_mutex_destroy(&bulk->mutex);
}

static enum status state_save(struct bulk *bulk, struct error *error)
{
    const struct bulk_options *options = bulk->options;
    if (!options->state_path) return STATUS_OK;
    struct bulk_file *copies = calloc(options->file_count + 1, sizeof *copies);
    if (!copies) return error_set(error, STATUS_LIMIT, "out of memory");
    os_mutex_lock(&bulk->mutex);
    memcpy(copies, options->files, options->file_count * sizeof *copies);
    os_mutex_unlock(&bulk->mutex);
    enum status status = bulk_state_write(options->state_path, options->target, copies, options->file_count, error);
    free(copies);
    return status;
}

/* Until everything is acknowledged, or has failed. */
static void watch(struct bulk *bulk, struct meter *meter)
{
    int64_t saved_ns = os_monotonic_ns();
    os_mutex_lock(&bulk->mutex);
    for (;;) {
        bool idle = bulk->readers == 0 && !bulk->ready && bulk->unfinished == 0;
        if (*bulk->options->interrupted && !bulk->stopping) {
            bulk->stopping = bulk->result.interrupted = true;
            os_cond_broadcast(&bulk->changed);
        }
        if (idle || (bulk->stopping && bulk->readers == 0)) break;
        (void)os_cond_wait_until(&bulk->changed, &bulk->mutex, os_monotonic_ns() + (int64_t)PAUSE_MS * 1000000);
        struct bulk_result now = bulk->result;
        os_mutex_unlock(&bulk->mutex);
        now.bytes = atomic_load(&bulk->raw_bytes);
        meter_show(meter, &now);
        struct error error = ERROR_INIT;
        if (os_monotonic_ns() - saved_ns > (int64_t)STATE_PAUSE_MS * 1000000) {
            saved_ns = os_monotonic_ns();
            if (state_save(bulk, &error) != STATUS_OK) bulk_fail(bulk, &error);
        }
        os_mutex_lock(&bulk->mutex);
    }
    os_mutex_unlock(&bulk->mutex);
}

static enum status start(struct bulk *bulk, unsigned *ret_readers, unsigned *ret_workers, struct error *error)
{
    const struct bulk_options *options = bulk->options;
    unsigned readers = options->file_count < READERS_MAX ? (unsigned)options->file_count : READERS_MAX;
    if (readers > options->threads) readers = options->threads;
    *ret_readers = *ret_workers = 0;
    TRY(chunks_new(bulk, 2 * (options->threads + readers), error));
    bulk->readers = readers;
    while (*ret_readers < readers) {
        if (os_thread_spawn(&bulk->reader_threads[*ret_readers], "import read", reader, bulk) != STATUS_OK)
            return error_set(error, STATUS_LIMIT, "cannot start %u threads", readers);
        ++*ret_readers;
    }
    while (*ret_workers < options->threads) {
        if (os_thread_spawn(&bulk->worker_threads[*ret_workers], "import", worker, bulk) != STATUS_OK)
            return error_set(error, STATUS_LIMIT, "cannot start %u threads", options->threads);
        ++*ret_workers;
    }
    return STATUS_OK;
}

enum status bulk_run(const struct bulk_options *options, struct bulk_sink *sink, struct error *error,
                     struct bulk_result *ret_result)
{
    struct bulk *bulk = calloc(1, sizeof *bulk);
    if (!bulk) return error_set(error, STATUS_LIMIT, "out of memory");
    bulk->options = options;
    bulk->sink = sink;
    bulk->ready_end = &bulk->ready;
    bulk->error = (struct error)ERROR_INIT;
    os_mutex_init(&bulk->mutex, "import");
    os_cond_init(&bulk->changed, "import");
    uint64_t bytes_all = 0;
    for (size_t i = 0; i < options->file_count; i++) {
        struct bulk_file *file = &options->files[i];
        file->last = &file->first;
        file->error = (struct error)ERROR_INIT;
        if (!file->done) bytes_all += file->size_bytes;
    }
    struct meter meter;
    meter_init(&meter, options->quiet ? NULL : stderr, bytes_all);
    unsigned readers, workers;
    enum status status = start(bulk, &readers, &workers, error);
    if (status == STATUS_OK)
        watch(bulk, &meter);
    else
        bulk_fail(bulk, error);
    for (unsigned i = 0; i < readers; i++) os_thread_join(&bulk->reader_threads[i]);
    for (unsigned i = 0; i < workers; i++) os_thread_join(&bulk->worker_threads[i]);
    /* What the sink was given is still on its way, whatever happened meanwhile. */
    os_mutex_lock(&bulk->mutex);
    while (bulk->given) os_cond_wait(&bulk->changed, &bulk->mutex);
    os_mutex_unlock(&bulk->mutex);
    if (status == STATUS_OK && bulk->status != STATUS_OK) {
        status = bulk->status;
        *error = bulk->error;
    }
    bulk->result.bytes = atomic_load(&bulk->raw_bytes);
    meter_end(&meter);
    bulk->result.seconds = meter_seconds(&meter);
    struct error state_error = ERROR_INIT;
    enum status saved = state_save(bulk, &state_error);
    if (status == STATUS_OK && saved != STATUS_OK) {
        status = saved;
        *error = state_error;
    }
    if (bulk->refused_file && fclose(bulk->refused_file) != 0 && status == STATUS_OK)
        status = error_set_os(error, STATUS_IO, errno, "cannot write %s", options->refused_path);
    *ret_result = bulk->result;
    bulk_fini(bulk);
    free(bulk);
    return status;
}
