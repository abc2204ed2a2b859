/*
 * The state machine of a server connection, fed with arbitrary bytes.
 *
 * The first four bytes of the input choose the run, the rest is what the client sends:
 *     0   seed of the split points, of the order in which handlers finish and of the sizes of writes
 *     1   the most requests in flight (1..32)
 *     2   bit 0: the connection is also drained, closed, reset or timed out at some point
 *     3   the size of the answers' bodies, in 64 bytes
 *
 * Without bit 0 there is an oracle: the same bytes in one piece, with handlers that finish in order, must
 * give the same output and leave the connection in the same state.
 */
#include "http/testing_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct testing_core t;
    uint64_t random;
    size_t answer_size;
    bool orderly;
};

static uint64_t next(struct run *run)
{
    run->random ^= run->random << 13;
    run->random ^= run->random >> 7;
    run->random ^= run->random << 17;
    return run->random;
}

static void answer(struct http_request *request)
{
    struct run *run = (struct run *)request->context; /* t is its first member */
    struct buf body = BUF_INIT(64 << 20);
    buf_printf(&body, "%u %zu:", (unsigned)request->method, request->field_count);
    buf_str_add(&body, request->path);
    buf_str_add(&body, request->query);
    buf_str_add(&body, request->body);
    for (size_t i = 0; i < request->field_count; i++) {
        buf_str_add(&body, request->fields[i].name);
        buf_str_add(&body, request->fields[i].value);
    }
    for (size_t i = 0; i < request->param_count; i++) buf_str_add(&body, request->params[i]);
    buf_fill(&body, '.', run->answer_size);
    http_header_add(request, "X-Echo", request->query);
    http_respond_buf(request, 200, "text/plain", &body);
}

/* An answer in pieces: as many as the query has bytes, each a little longer than the one before; the last one is
 * missing when the query ends with '!'. */
static void next_piece(struct http_request *request, void *arg)
{
    struct run *run = (struct run *)request->context;
    size_t *given = arg, count = request->query.size;
    struct buf piece = BUF_INIT(1 << 20), nothing = BUF_INIT(0);
    buf_fill(&piece, (char)('a' + *given % 26), run->answer_size / 8 + *given + 1);
    ++*given;
    if (http_request_cancelled(request)) {
        buf_fini(&piece);
        http_stream_abort(request);
    } else if (*given < count) {
        if (!http_stream_piece(request, &piece)) http_stream_end(request, &nothing);
    } else if (count && request->query.data[count - 1] == '!') {
        buf_fini(&piece);
        http_stream_abort(request);
    } else {
        http_stream_end(request, &piece);
    }
}

static void stream(struct http_request *request)
{
    struct buf first = BUF_INIT(1 << 20), nothing = BUF_INIT(0);
    size_t *given = arena_new_array(request->arena, size_t, 1);
    if (!given) {
        answer(request);
        return;
    }
    buf_fill(&first, '+', request->query.size);
    if (!http_stream_begin(request, 200, "text/plain", &first, next_piece, given)) http_stream_end(request, &nothing);
}

static void later(struct http_request *request)
{
    if (!testing_core_keep(request)) answer(request);
}

static void completed(struct http_request *request, void *arg)
{
    (void)arg;
    if (str_is(request->route ? str_of(request->route->path) : STR(""), "/later-stream"))
        stream(request);
    else
        answer(request);
}

static const struct http_route routes[] = {
    {.methods = HTTP_METHOD_GET | HTTP_METHOD_POST, .path = "/now", .handler = answer},
    {.methods = HTTP_METHOD_GET | HTTP_METHOD_POST, .path = "/later", .handler = later},
    {.methods = HTTP_METHOD_GET | HTTP_METHOD_POST, .path = "/stream", .handler = stream},
    {.methods = HTTP_METHOD_GET, .path = "/later-stream", .handler = later},
    {.methods = HTTP_METHOD_POST, .path = "/small", .handler = answer, .body_bytes_max = 16},
    {.methods = HTTP_METHOD_POST, .path = "/as-sent/{id}", .handler = later, .flags = HTTP_ROUTE_BODY_AS_SENT},
};

static void run_init(struct run *run, const uint8_t *choice)
{
    testing_core_init(&run->t, routes, sizeof routes / sizeof routes[0]);
    run->t.options.header_bytes_max = 2048;
    run->t.options.target_bytes_max = 512;
    run->t.options.fields_max = 16;
    run->t.options.body_bytes_max = 4096;
    run->t.options.arena_bytes_max = 1 << 20;
    run->t.options.pipeline_max = 1 + choice[1] % 32;
    run->random = 0x9E3779B97F4A7C15u * (choice[0] + 1u);
    run->answer_size = (size_t)choice[3] * 64;
}

/* Answers one of the requests that are being handled; false when there is none. */
static bool complete_one(struct run *run)
{
    struct testing_core *t = &run->t;
    if (t->later_count == 0) return false;
    size_t index = run->orderly ? 0 : next(run) % t->later_count;
    struct http_request *request = t->later[index];
    t->later_count--;
    memmove(&t->later[index], &t->later[index + 1], (t->later_count - index) * sizeof t->later[0]);
    http_request_complete(request, completed, NULL);
    return true;
}

static void misfortune(struct run *run)
{
    struct http_connection *connection = &run->t.connection;
    switch (next(run) % 64) {
    case 0: http_connection_drain(connection); break;
    case 1: http_connection_eof(connection); break;
    case 2:
        http_connection_fini(connection);
        http_connection_init(connection, &run->t.core, "192.0.2.1", &run->t);
        break;
    case 3:
        if (http_connection_deadline_us(connection) != UINT64_MAX) http_connection_expire(connection);
        break;
    }
}

static void run_bytes(struct run *run, struct str bytes, bool misfortunes)
{
    struct testing_core *t = &run->t;
    size_t at = 0;
    do {
        size_t part = run->orderly ? bytes.size : 1 + next(run) % (next(run) % 4 ? 8 : 256);
        at += testing_core_feed(t, str_slice(bytes, at, at + part < bytes.size ? at + part : bytes.size)) ? part : 0;
        if (!run->orderly && next(run) % 2) (void)complete_one(run);
        testing_core_pump(t, run->orderly ? SIZE_MAX : 1 + next(run) % 512);
        if (!http_connection_wants_input(&t->connection)) {
            if (!complete_one(run) && !t->connection.eof) testing_core_pump(t, SIZE_MAX);
            testing_core_pump(t, SIZE_MAX);
        }
        if (misfortunes) misfortune(run);
    } while (at < bytes.size && !t->connection.eof);
    /* What was held back while the pipeline was full is begun as answers leave. */
    do testing_core_pump(t, SIZE_MAX);
    while (complete_one(run));
    testing_core_pump(t, SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || size > 1 << 16) return 0;
    struct str bytes = str_from(data + 4, size - 4);
    bool misfortunes = data[2] & 1;
    static struct run split, whole;
    run_init(&split, data);
    split.orderly = false;
    run_bytes(&split, bytes, misfortunes);
    if (!misfortunes) {
        run_init(&whole, data);
        whole.orderly = true;
        run_bytes(&whole, bytes, false);
        if (!str_eq(buf_str(&split.t.out), buf_str(&whole.t.out))) abort();
        if (split.t.connection.state != whole.t.connection.state) abort();
        if (split.t.core.bodies_bytes != whole.t.core.bodies_bytes) abort();
        testing_core_fini(&whole.t);
    }
    testing_core_fini(&split.t);
    return 0;
}
