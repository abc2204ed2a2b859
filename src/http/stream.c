/*
 * Answers in pieces. A piece is framed as one chunk (RFC 9112 7.1) where it stands: its size goes in front of it into
 * `head`, its line end behind it into its own block, so that its bytes are never copied.
 */
#include "http/connection.h"

#include <assert.h>

enum { HEAD_BYTES_MAX = 128 << 10 };

static struct http_exchange *exchange_of(struct http_request *request)
{
    return (struct http_exchange *)request; /* its first member */
}

/* Frames the piece behind what stands in `head`, and takes it over. */
static void frame(struct http_exchange *exchange, struct buf *piece, bool last)
{
    if (exchange->chunked && piece->size) {
        buf_printf(&exchange->head, "%zx\r\n", piece->size);
        piece->size_max = SIZE_MAX; /* was a limit of the content */
        buf_lit(piece, "\r\n");
    }
    exchange->payload = *piece;
    *piece = BUF_INIT(0);
    if (exchange->chunked && last) {
        exchange->payload.size_max = SIZE_MAX;
        buf_lit(&exchange->payload, "0\r\n\r\n");
    }
}

/* Nobody takes it, or it cannot be sent. */
static bool drop_piece(struct http_exchange *exchange, struct buf *piece)
{
    buf_fini(piece);
    buf_fini(&exchange->payload);
    buf_reset(&exchange->head);
    exchange->broken = true;
    return false;
}

static bool send_piece(struct http_exchange *exchange, struct buf *piece)
{
    if (!exchange->connection || piece->failed) return drop_piece(exchange, piece);
    frame(exchange, piece, false);
    if (exchange->head.failed || exchange->payload.failed || exchange->fields.failed)
        return drop_piece(exchange, piece);
    exchange->state = HTTP_EXCHANGE_STREAMING;
    exchange->connection->bytes += exchange->head.size + exchange->payload.size;
    exchange->core->wake(exchange->connection->owner);
    return true;
}

void http_exchange_piece_done(struct http_exchange *exchange)
{
    if (exchange->connection) exchange->connection->bytes -= exchange->head.size + exchange->payload.size;
    exchange->streamed_bytes += exchange->sent;
    exchange->sent = 0;
    buf_reset(&exchange->head);
    buf_fini(&exchange->payload);
    exchange->state = HTTP_EXCHANGE_RUNNING;
    exchange->ready(&exchange->request, exchange->ready_arg);
}

bool http_stream_begin(struct http_request *request, int status, const char *content_type, struct buf *piece,
                       http_stream_fn *ready, void *arg)
{
    struct http_exchange *exchange = exchange_of(request);
    assert(exchange->state == HTTP_EXCHANGE_RUNNING && !exchange->streamed);
    exchange->streamed = true;
    exchange->status = status;
    exchange->ready = ready;
    exchange->ready_arg = arg;
    exchange->head = BUF_INIT(HEAD_BYTES_MAX);
    /* The head of HEAD tells what GET would do. */
    bool headless = request->method == HTTP_METHOD_HEAD;
    exchange->chunked = request->version_minor > 0;
    exchange->cut = !exchange->chunked && !headless;
    http_exchange_head(exchange, status, content_type, HTTP_BODY_STREAMED);
    if (!headless) return send_piece(exchange, piece);
    buf_fini(piece);
    return false;
}

bool http_stream_piece(struct http_request *request, struct buf *piece)
{
    struct http_exchange *exchange = exchange_of(request);
    assert(exchange->state == HTTP_EXCHANGE_RUNNING && exchange->streamed && (piece->size || piece->failed));
    return send_piece(exchange, piece);
}

void http_stream_abort(struct http_request *request)
{
    struct http_exchange *exchange = exchange_of(request);
    assert(exchange->state == HTTP_EXCHANGE_RUNNING && exchange->streamed);
    buf_reset(&exchange->head);
    buf_fini(&exchange->payload);
    exchange->cut = true;
    http_exchange_answered(exchange);
}

void http_stream_end(struct http_request *request, struct buf *piece)
{
    struct http_exchange *exchange = exchange_of(request);
    assert(exchange->state == HTTP_EXCHANGE_RUNNING && exchange->streamed);
    exchange->broken |= piece->failed;
    if (exchange->broken || request->method == HTTP_METHOD_HEAD)
        buf_fini(piece);
    else
        frame(exchange, piece, true);
    if (exchange->broken || exchange->payload.failed)
        http_stream_abort(request);
    else
        http_exchange_answered(exchange);
}
