#include "api/row_stream.h"

#include "base/deflate.h"
#include "base/log.h"
#include "base/map.h"
#include "lookup/lookup.h"
#include "meta/meta.h"
#include "os/clock.h"
#include "os/workers.h"
#include "query/backend.h"
#include "query/native/group_join.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define PIECE_BYTES      ((size_t)256 << 10) /* of JSON, packed less: a thread's turn is some milliseconds */
#define PIECE_BYTES_MAX  ((size_t)64 << 20)  /* one line may be long */
#define MEMORY_LEAST     ((size_t)4 << 20)   /* of one export: enough for most */
#define PROJECTS_MAX     100000
#define GZIP_LEVEL       1
#define TERMINATED_EARLY "terminated early\n"

struct row_streams {
    struct row_stream_limits limits;
    struct workers *workers;
    pthread_mutex_t lock; /* of what follows */
    struct u64map by_project;
    size_t count, bytes; /* under way, and given out to them */
};

/* In the request's arena. */
struct row_stream {
    struct row_sink sink; /* first */
    struct query_job *job;
    struct row_streams *streams;
    struct plan plan;
    struct plan_limits limits;
    enum event_time_form time;
    struct meta_view *view; /* a reference */
    struct lookup_joins *joins;
    struct group_joins *groups;
    struct event_rows *rows;
    struct deflate *deflate; /* NULL: goes out as it is */
    struct buf piece;        /* the next one */
    size_t memory_bytes;     /* that it was given */
    bool admitted, begun, gzip;
    bool under_way; /* for the list of queries: in steps */
    bool full;      /* the piece */
    bool done;      /* `piece` is the last one */
    bool gone;      /* nobody waits for the rest */
    enum status status;
};

/* --- places --- */

static size_t least(const struct row_streams *streams)
{
    return streams->limits.memory_bytes_max < MEMORY_LEAST ? streams->limits.memory_bytes_max : MEMORY_LEAST;
}

/* Who comes first may have much; but what as many as are allowed need at least is kept for them, up to three
 * quarters of all. 0: nothing is left. */
static size_t memory_for_next(const struct row_streams *streams)
{
    const struct row_stream_limits *limits = &streams->limits;
    size_t left = limits->all_bytes_max - streams->bytes, some = least(streams);
    if (left < some) return 0;
    size_t others =
        streams->count + 1 < (size_t)limits->concurrent_max ? (size_t)limits->concurrent_max - streams->count - 1 : 0;
    size_t kept = limits->all_bytes_max / 4 * 3, most = limits->memory_bytes_max;
    if (others < kept / some) kept = others * some;
    return left < kept + some ? some : left - kept < most ? left - kept : most;
}

enum status row_streams_new(const struct row_stream_limits *limits, struct error *error,
                            struct row_streams **ret_streams)
{
    struct row_streams *streams = calloc(1, sizeof *streams);
    if (!streams) return error_set(error, STATUS_LIMIT, "out of memory");
    streams->limits = *limits;
    streams->by_project = U64MAP_INIT(PROJECTS_MAX);
    pthread_mutex_init(&streams->lock, NULL);
    /* One piece of each waits at most, so there is always room for it. */
    size_t waiting_max = limits->all_bytes_max / least(streams) + 1;
    if (workers_new(limits->threads, waiting_max, &streams->workers) == STATUS_OK) {
        *ret_streams = streams;
        return STATUS_OK;
    }
    row_streams_free(streams);
    return error_set(error, STATUS_LIMIT, "cannot start %u threads for exports", limits->threads);
}

void row_streams_free(struct row_streams *streams)
{
    if (!streams) return;
    workers_free(streams->workers);
    u64map_fini(&streams->by_project);
    pthread_mutex_destroy(&streams->lock);
    free(streams);
}

static enum status admit(struct row_stream *stream)
{
    struct row_streams *streams = stream->streams;
    struct query_job *job = stream->job;
    enum status status = STATUS_OK;
    pthread_mutex_lock(&streams->lock);
    uint64_t *count = u64map_at(&streams->by_project, stream->plan.project, 0, NULL);
    size_t bytes = memory_for_next(streams);
    if (!count || *count >= (uint64_t)streams->limits.concurrent_max) {
        job->status = 429;
        status = error_set(&job->error, STATUS_LIMIT, "Query rate limit exceeded");
        error_hint(&job->error, "%lld exports of this project are under way, which is the most; wait for one",
                   (long long)streams->limits.concurrent_max);
    } else if (!bytes) {
        status = error_set(&job->error, STATUS_UNAVAILABLE, "too many exports are under way");
        error_hint(&job->error, "wait for one, or raise export.memory");
    } else {
        (*count)++;
        streams->count++;
        streams->bytes += bytes;
        stream->memory_bytes = bytes;
        stream->admitted = true;
    }
    pthread_mutex_unlock(&streams->lock);
    return status;
}

static void leave(struct row_stream *stream)
{
    struct row_streams *streams = stream->streams;
    if (!stream->admitted) return;
    stream->admitted = false;
    pthread_mutex_lock(&streams->lock);
    uint64_t *count = u64map_at(&streams->by_project, stream->plan.project, 0, NULL);
    if (count && *count) (*count)--;
    streams->count--;
    streams->bytes -= stream->memory_bytes;
    pthread_mutex_unlock(&streams->lock);
}

/* Everything but the piece at hand. On a thread that may wait: rows that are being decoded ahead are waited for. */
static void release(struct row_stream *stream)
{
    event_rows_free(stream->rows);
    stream->rows = NULL;
    group_joins_free(stream->groups);
    stream->groups = NULL;
    if (stream->joins) lookup_joins_free(stream->joins);
    stream->joins = NULL;
    deflate_free(stream->deflate);
    stream->deflate = NULL;
    if (stream->under_way) queries_leave(&stream->job->entry);
    stream->under_way = false;
    meta_view_unref(stream->view);
    stream->view = NULL;
    leave(stream);
}

/* --- reading, on a thread for streams --- */

static enum status write_row(struct row_sink *base, const struct event_row *row, struct error *error)
{
    struct row_stream *stream = (struct row_stream *)base;
    event_write_json(&stream->piece, row, stream->time);
    buf_byte(&stream->piece, '\n');
    if (buf_status(&stream->piece) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "an event is larger than %zu bytes", PIECE_BYTES_MAX);
    stream->full = stream->piece.size >= PIECE_BYTES;
    return stream->full ? STATUS_UNAVAILABLE : STATUS_OK; /* reading goes on behind it */
}

static enum status read_piece(struct row_stream *stream)
{
    struct error *error = &stream->job->error;
    stream->full = false;
    enum status status = event_rows_read(stream->rows, UINT64_MAX, &stream->sink, error, &stream->done);
    if (stream->full) return STATUS_OK;
    return status == STATUS_OK ? lookup_joins_status(stream->joins, error) : status;
}

/* Replaces the piece by what it packs to; nothing when all of it waits inside. */
static void pack(struct row_stream *stream)
{
    struct buf packed = BUF_INIT(PIECE_BYTES_MAX * 2);
    deflate_add(stream->deflate, buf_str(&stream->piece), stream->done, &packed);
    buf_fini(&stream->piece);
    stream->piece = packed;
}

/* Whether the client takes gzip is decided with the first piece: the whole answer, if it is, packs the server. */
static enum status begin_gzip(struct row_stream *stream)
{
    if (stream->begun || stream->done || !http_request_accepts_gzip(stream->job->request)) return STATUS_OK;
    stream->deflate = deflate_new(GZIP_LEVEL);
    if (!stream->deflate) return error_set(&stream->job->error, STATUS_LIMIT, "out of memory");
    stream->gzip = true;
    return STATUS_OK;
}

/* Nobody waits for more. Who stops an export by the list of queries is not its client, who is told. */
static bool is_gone(const struct row_stream *stream)
{
    return http_request_cancelled(stream->job->request) && !atomic_load(&stream->job->entry.stopped);
}

/* What helps an export is not what helps a query. Too little memory, while others have some of it, is no fault of the
 * question: returns UNAVAILABLE. */
static enum status explain(struct row_stream *stream, enum status status)
{
    struct row_streams *streams = stream->streams;
    struct error *error = &stream->job->error;
    if (status == STATUS_CANCELLED && atomic_load(&stream->job->entry.stopped))
        error_set(error, STATUS_CANCELLED, "the query was stopped");
    else if (status == STATUS_CANCELLED)
        error_hint(error, "use a shorter range, or raise export.time_max");
    if (status != STATUS_LIMIT || (error->hint[0] && !strstr(error->hint, "query.memory_max"))) return status;
    error_hint(error, "use a shorter range, or raise export.memory_max");
    pthread_mutex_lock(&streams->lock);
    bool others = stream->admitted && streams->count > 1;
    pthread_mutex_unlock(&streams->lock);
    if (!others || stream->memory_bytes == streams->limits.memory_bytes_max) return status;
    error_set(error, STATUS_UNAVAILABLE, "too many exports are under way for one of such wide events");
    error_hint(error, "wait for one, or raise export.memory");
    return STATUS_UNAVAILABLE;
}

static void give(struct http_request *request, void *arg);

static void fill(void *arg)
{
    struct row_stream *stream = arg;
    struct query_job *job = stream->job;
    stream->piece = BUF_INIT(PIECE_BYTES_MAX);
    queries_step_begin(&job->entry);
    do {
        stream->gone |= is_gone(stream);
        if (stream->gone) break;
        stream->status = read_piece(stream);
        if (stream->status == STATUS_OK) stream->status = begin_gzip(stream);
        stream->status = explain(stream, stream->status);
        stream->gone |= is_gone(stream);
        if (stream->gone || (stream->status != STATUS_OK && !stream->begun)) break;
        if (stream->status != STATUS_OK) {
            stream->done = true;
            buf_lit(&stream->piece, TERMINATED_EARLY);
        }
        if (stream->deflate) pack(stream);
    } while (!stream->piece.size && !stream->done && !stream->piece.failed);
    queries_step_end(&job->entry);
    if (stream->done || stream->gone || stream->status != STATUS_OK) release(stream);
    http_request_complete(job->request, give, stream);
}

/* --- giving, on the loop's thread --- */

static void go_on(struct http_request *request, void *arg)
{
    struct row_stream *stream = arg;
    (void)request;
    enum status status = workers_submit(stream->streams->workers, fill, stream);
    assert(status == STATUS_OK); /* there is room for all that are admitted */
}

/* Nobody takes more: the next turn gives back what is held. */
static void stop(struct row_stream *stream)
{
    stream->gone = true;
    go_on(stream->job->request, stream);
}

static void begin(struct row_stream *stream)
{
    struct http_request *request = stream->job->request;
    if (stream->gone) {
        buf_fini(&stream->piece);
        http_respond(request, 499, NULL, STR("")); /* dropped */
    } else if (stream->status != STATUS_OK) {
        buf_fini(&stream->piece);
        query_failed(stream->job, stream->status);
    } else if (stream->done) {
        http_respond_buf(request, 200, stream->job->content_type, &stream->piece);
    } else {
        http_header_add(request, "Vary", STR("Accept-Encoding"));
        if (stream->gzip) http_header_add(request, "Content-Encoding", STR("gzip"));
        stream->begun = true;
        if (http_stream_begin(request, 200, stream->job->content_type, &stream->piece, go_on, stream)) return;
        stop(stream);
    }
}

static void give(struct http_request *request, void *arg)
{
    struct row_stream *stream = arg;
    struct query_job *job = stream->job;
    if (!stream->begun) {
        begin(stream);
        return;
    }
    if (stream->gone && request->method != HTTP_METHOD_HEAD) {
        buf_fini(&stream->piece);
        http_stream_abort(request);
    } else if (stream->gone || stream->done) {
        if (stream->status != STATUS_OK) log_failure(LOG_ERROR, "export_terminated_early", &job->error);
        http_stream_end(request, &stream->piece);
    } else if (!http_stream_piece(request, &stream->piece)) {
        stop(stream);
    }
}

/* --- beginning, on a thread for queries --- */

static void start(struct http_request *request, struct query_job *job)
{
    struct row_stream *stream = job->later;
    stream->under_way = true;
    go_on(request, stream);
}

static enum status open_rows(struct row_stream *stream)
{
    struct query_job *job = stream->job;
    struct api *api = job->api;
    struct plan *plan = &stream->plan;
    TRY(admit(stream));
    stream->limits.memory_bytes_max = job->streams_bytes = stream->memory_bytes;
    TRY(lookup_joins_new(api->lookup, stream->view, job->project->id, &job->error, &stream->joins));
    plan->joins = lookup_joins_list(stream->joins, &plan->join_count);
    TRY(group_joins_new(api->store, plan, &stream->limits, &job->error, &stream->groups));
    return api->executor->rows(api->executor, plan, &stream->limits, &job->error, &stream->rows);
}

enum status row_stream_run(struct query_job *job, const struct plan *plan, enum event_time_form time)
{
    struct row_streams *streams = job->api->streams;
    struct row_stream *stream = arena_new_array(job->request->arena, struct row_stream, 1);
    if (!stream) return error_set(&job->error, STATUS_LIMIT, "request needs too much memory");
    stream->sink.row = write_row;
    stream->job = job;
    stream->streams = streams;
    stream->plan = *plan;
    stream->plan.rows_as_json = true;
    stream->time = time;
    stream->view = meta_view_ref(job->view);
    stream->limits = query_limits(job);
    stream->limits.buckets_max = 1;
    stream->limits.deadline_ns = os_monotonic_ns() + streams->limits.time_max_ms * 1000000;
    job->content_type = "text/plain; charset=utf-8";
    job->later = stream;
    job->respond = start;
    enum status status = explain(stream, open_rows(stream));
    if (status != STATUS_OK) release(stream);
    return status;
}
