/*
 * The state machine of a connection.
 *
 *                  first byte            blank line             end of body
 *        +------+ ----------> +--------+ ----------> +------+ ------------+
 *        | IDLE |             | HEADER |             | BODY |             |
 *        +------+ <--.        +--------+             +------+             v
 *           |        |            |   \                 |             dispatch
 *           |        |            |    `--- no body --------------------> |
 *           |        `------------------------------------------------ keep-alive
 *           |                     | refuse, expire      | refuse, expire  | close, drain
 *           | eof, drain, expire  | eof                 | eof             |
 *           v                     v                     v                 v
 *        +----------------------------------------------------------------------+
 *        | DISCARD: what arrives is dropped, answers still go out, then the end |
 *        +----------------------------------------------------------------------+
 *
 * Invariants
 *   1. `first`..`last` are the exchanges of this connection in the order of their requests; output is
 *      taken from the first one only, so answers leave in order however they are completed.
 *   2. `receiving` is `last` in BODY and NULL otherwise.
 *   3. From IDLE a request is begun only while the pipeline has room. Otherwise the input is held and the
 *      driver is told to stop reading: http_connection_wants_input(). No deadline runs then, as the delay
 *      is ours.
 *   4. An exchange with `close` is the last one, and the state is DISCARD.
 *   5. A streamed answer leaves in pieces: STREAMING while one is being sent, RUNNING while the handler makes the next.
 *      Nothing behind it is sent meanwhile. When it breaks off, or ends where only the end of the connection can
 *      tell so, its exchange has `cut`, and the connection closes once it is the first and all of it is sent.
 *   6. An error that leaves the position in the byte stream unknown goes through
 *      http_connection_refuse(), which makes an answer with `close`. An error of content (an unknown path,
 *      a damaged gzip body) is an ordinary answer.
 *
 * Reading a header (message.c). The block is cut out of the stream first, by http_scan(), and only then
 * given to llhttp, in one piece, from memory that belongs to the request. This has three uses. Two
 * independent readers have to agree where the block ends: if llhttp thinks that the header is complete
 * earlier or later than the blank line, the request is refused, so a trick that moves the boundary for one
 * of them does not get through. Names and values are slices of one block, whole whatever the network did.
 * And nothing but a counter and a buffer is held for a client that dribbles. http_scan() refuses what llhttp
 * lets pass in it (a folded line, which may hide a length; a field without a name); what is plainly not HTTP
 * is refused as soon as it shows. framing_check() then looks at what only the whole header shows.
 *
 * Reading a body (message.c). llhttp takes the bytes as they come and pauses at the end of the message,
 * which gives back the exact position where the next request begins. Framing (chunk sizes, extensions,
 * trailers) may be at most eight times the body and one header's size more: a body of one-byte chunks just
 * passes, an endless extension does not.
 *
 * Deadlines count from the beginning of a phase and are not moved by progress: HEADER from its first byte,
 * BODY from the end of the header, IDLE from the last answer sent. IDLE has none while answers are
 * outstanding.
 */
#include "http/connection.h"

#include <assert.h>
#include <stdio.h>

enum { BODY_FILE_BYTES_PER_SECOND_MIN = 64 << 10 };
enum { BLANK_BYTES_MAX = 64 /* line ends in front of a request line, which old clients send after a body */ };

static const struct str continue_text = {"HTTP/1.1 100 Continue\r\n\r\n", HTTP_CONTINUE_SIZE};

/* ---- the edges that end reading ---- */

void http_connection_discard(struct http_connection *connection)
{
    connection->state = HTTP_CONNECTION_DISCARD;
    buf_fini(&connection->header);
    if (connection->held.size) connection->linger = true;
    buf_fini(&connection->held);
    connection->core->wake(connection->owner);
}

/* Answers the request being read with an error, and reads no more. */
void http_connection_refuse(struct http_connection *connection, int status, const char *format, ...)
{
    struct http_exchange *exchange = connection->receiving ? connection->receiving : http_exchange_new(connection);
    struct error error = ERROR_INIT;
    char text[sizeof error.primary];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)error_set(&error,
                    status == 503   ? STATUS_UNAVAILABLE
                    : status == 413 ? STATUS_LIMIT
                                    : STATUS_INVALID,
                    "%s", text);
    connection->receiving = NULL;
    exchange->close = true;
    exchange->state = HTTP_EXCHANGE_RUNNING;
    connection->linger = true;
    http_connection_discard(connection);
    http_exchange_render(exchange, status, &error);
}

/* ---- input ---- */

static bool pipeline_full(const struct http_connection *connection)
{
    const struct http_options *options = connection->core->options;
    return connection->count >= options->pipeline_max || connection->bytes >= options->pipeline_bytes_max;
}

/* Skips line ends in front of a request; true when its first byte is there. */
static bool request_begin(struct http_connection *connection, const char *data, size_t size, size_t *at)
{
    while (*at < size && (data[*at] == '\r' || data[*at] == '\n')) {
        (*at)++;
        if (++connection->scan.size > BLANK_BYTES_MAX) {
            http_connection_refuse(connection, 400, "malformed request line");
            return false;
        }
    }
    if (*at == size) return false;
    connection->state = HTTP_CONNECTION_HEADER;
    connection->scan = (struct http_scan){0};
    connection->header = BUF_INIT(connection->core->options->header_bytes_max);
    connection->begun_us = connection->since_us = connection->core->now_us;
    return true;
}

/* How much was looked at; less than `size` only when the pipeline is full. */
static size_t consume(struct http_connection *connection, const char *data, size_t size)
{
    size_t at = 0;
    while (at < size) {
        switch (connection->state) {
        case HTTP_CONNECTION_IDLE:
            if (pipeline_full(connection)) return at;
            connection->begun_us = connection->core->now_us;
            if (!request_begin(connection, data, size, &at)) continue;
            break;
        case HTTP_CONNECTION_HEADER: at += http_message_header(connection, data + at, size - at); break;
        case HTTP_CONNECTION_BODY: at += http_message_body(connection, data + at, size - at); break;
        case HTTP_CONNECTION_DISCARD: connection->linger = true; return size;
        }
        if (connection->state == HTTP_CONNECTION_IDLE) connection->scan = (struct http_scan){0};
    }
    return at;
}

void http_connection_feed(struct http_connection *connection, const char *data, size_t size)
{
    size_t used = connection->held.size ? 0 : consume(connection, data, size);
    if (used == size || connection->state == HTTP_CONNECTION_DISCARD) return;
    /* Bounded by what the driver had read before it could see wants_input(). */
    buf_add(&connection->held, data + used, size - used);
    if (connection->held.failed) http_connection_refuse(connection, 503, "out of memory");
}

static void held_resume(struct http_connection *connection)
{
    while (connection->held.size && connection->state != HTTP_CONNECTION_DISCARD && !pipeline_full(connection)) {
        /* Moved out of the way, as a refusal inside frees `held`. */
        struct buf held = connection->held;
        connection->held = BUF_INIT(SIZE_MAX);
        size_t used = consume(connection, held.data, held.size);
        if (connection->state == HTTP_CONNECTION_DISCARD || used == held.size) {
            if (used < held.size) connection->linger = true;
            buf_fini(&held);
            return;
        }
        buf_consume(&held, used);
        connection->held = held;
    }
}

void http_connection_eof(struct http_connection *connection)
{
    connection->eof = true;
    for (struct http_exchange *e = connection->first; e; e = e->next) atomic_store(&e->cancelled, true);
    http_exchange_drop_receiving(connection);
    http_connection_discard(connection);
}

void http_connection_drain(struct http_connection *connection)
{
    connection->draining = true;
    if (connection->state != HTTP_CONNECTION_IDLE) return;
    if (connection->last && connection->last->state != HTTP_EXCHANGE_ANSWERED) connection->last->close = true;
    http_connection_discard(connection);
}

bool http_connection_wants_input(const struct http_connection *connection)
{
    if (connection->eof) return false;
    if (connection->state == HTTP_CONNECTION_IDLE) return connection->held.size == 0 && !pipeline_full(connection);
    return true;
}

/* ---- time ---- */

uint64_t http_connection_deadline_us(const struct http_connection *connection)
{
    const struct http_options *options = connection->core->options;
    uint64_t timeout_ms = 0;
    switch (connection->state) {
    case HTTP_CONNECTION_IDLE:
        if (connection->first) return UINT64_MAX;
        timeout_ms = options->idle_timeout_ms;
        break;
    case HTTP_CONNECTION_HEADER: timeout_ms = options->header_timeout_ms; break;
    case HTTP_CONNECTION_BODY:
        timeout_ms = options->body_timeout_ms;
        /* Large on purpose: it may take as long as a slow line needs, but not for ever. */
        if (connection->receiving->request.body_file >= 0)
            timeout_ms += connection->receiving->received * 1000 / BODY_FILE_BYTES_PER_SECOND_MIN;
        break;
    case HTTP_CONNECTION_DISCARD: return UINT64_MAX;
    }
    return connection->since_us + timeout_ms * 1000;
}

void http_connection_expire(struct http_connection *connection)
{
    const struct http_options *options = connection->core->options;
    if (connection->state == HTTP_CONNECTION_HEADER) {
        http_connection_refuse(connection, 408, "request header was not complete within %llu ms",
                               (unsigned long long)options->header_timeout_ms);
    } else if (connection->state == HTTP_CONNECTION_BODY) {
        http_connection_refuse(connection, 408, "request body was not complete within %llu ms",
                               (unsigned long long)options->body_timeout_ms);
    } else if (connection->state == HTTP_CONNECTION_IDLE) {
        http_connection_discard(connection);
    }
}

/* ---- output ---- */

size_t http_connection_output(const struct http_connection *connection, struct str *pieces, size_t max)
{
    size_t count = 0;
    for (const struct http_exchange *e = connection->first; e && count + 3 <= max; e = e->next) {
        if (e->interim_left) pieces[count++] = str_slice(continue_text, continue_text.size - e->interim_left, SIZE_MAX);
        if (e->state != HTTP_EXCHANGE_ANSWERED && e->state != HTTP_EXCHANGE_STREAMING) break;
        if (e->sent < e->head.size) pieces[count++] = str_slice(buf_str(&e->head), e->sent, SIZE_MAX);
        size_t payload_sent = e->sent > e->head.size ? e->sent - e->head.size : 0;
        if (payload_sent < e->payload.size) {
            pieces[count++] = str_slice(buf_str(&e->payload), payload_sent, SIZE_MAX);
        }
        if (e->state == HTTP_EXCHANGE_STREAMING || e->cut) break;
    }
    return count;
}

void http_connection_sent(struct http_connection *connection, size_t size)
{
    while (connection->first) {
        struct http_exchange *e = connection->first;
        size_t interim = size < e->interim_left ? size : e->interim_left;
        e->interim_left -= interim;
        size -= interim;
        if (e->interim_left || (e->state != HTTP_EXCHANGE_ANSWERED && e->state != HTTP_EXCHANGE_STREAMING)) break;
        size_t left = e->head.size + e->payload.size - e->sent;
        size_t part = size < left ? size : left;
        e->sent += part;
        size -= part;
        if (part < left) break;
        if (e->state == HTTP_EXCHANGE_STREAMING) {
            http_exchange_piece_done(e);
            break;
        }
        if (e->cut) break;
        (void)http_exchange_shift(connection);
        http_exchange_finished(e);
        http_exchange_free(e);
        if (!connection->first && connection->state == HTTP_CONNECTION_IDLE) {
            connection->since_us = connection->core->now_us;
        }
    }
    assert(size == 0);
    held_resume(connection);
}

static bool all_sent(const struct http_exchange *e)
{
    return e->state == HTTP_EXCHANGE_ANSWERED && !e->interim_left && e->sent == e->head.size + e->payload.size;
}

enum http_connection_end http_connection_end(const struct http_connection *connection)
{
    if (connection->first && connection->first->cut && all_sent(connection->first)) return HTTP_CONNECTION_CLOSE;
    if (connection->state != HTTP_CONNECTION_DISCARD || connection->first) return HTTP_CONNECTION_OPEN;
    return connection->linger && !connection->eof ? HTTP_CONNECTION_LINGER : HTTP_CONNECTION_CLOSE;
}

/* ---- life ---- */

void http_connection_init(struct http_connection *connection, struct http_core *core, const char *remote, void *owner)
{
    *connection = (struct http_connection){
        .core = core,
        .owner = owner,
        .begun_us = core->now_us,
        .since_us = core->now_us,
        .held = BUF_INIT(SIZE_MAX),
    };
    snprintf(connection->remote, sizeof connection->remote, "%s", remote);
}

void http_connection_fini(struct http_connection *connection)
{
    connection->state = HTTP_CONNECTION_DISCARD;
    http_exchange_drop_receiving(connection);
    while (connection->first) {
        struct http_exchange *exchange = http_exchange_shift(connection);
        if (exchange->state == HTTP_EXCHANGE_RUNNING) {
            atomic_store(&exchange->cancelled, true);
            continue;
        }
        if (exchange->state == HTTP_EXCHANGE_STREAMING) {
            atomic_store(&exchange->cancelled, true);
            http_exchange_piece_done(exchange);
            continue;
        }
        if (!exchange->cut || !all_sent(exchange)) exchange->status = 0;
        http_exchange_finished(exchange);
        http_exchange_free(exchange);
    }
    buf_fini(&connection->header);
    buf_fini(&connection->held);
}
