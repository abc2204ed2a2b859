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
 *        +---------------------------------------------------------------------+
 *        | DISCARD: what arrives is dropped, answers still go out, then the end |
 *        +---------------------------------------------------------------------+
 *
 * Invariants
 *   1. `first`..`last` are the exchanges of this connection in the order of their requests; output is taken from the
 *      first one only, so answers leave in order however they are completed.
 *   2. `receiving` is `last` in BODY and NULL otherwise.
 *   3. From IDLE a request is begun only while the pipeline has room. Otherwise the input is held and the driver is told
 *      to stop reading: http_connection_wants_input(). No deadline runs then, as the delay is ours.
 *   4. An exchange with `close` is the last one, and the state is DISCARD.
 *   5. An error that leaves the position in the byte stream unknown goes through refuse(), which makes an answer with
 *      `close`. An error of content (an unknown path, a damaged gzip body) is an ordinary answer.
 *
 * Reading a header. The block is cut out of the stream first, by http_scan(), and only then given to llhttp, in one
 * piece, from memory that belongs to the request. This has three uses. Two independent readers have to agree where
 * the block ends: if llhttp thinks that the header is complete earlier or later than the blank line, the request is refused,
 * so a trick that moves the boundary for one of them does not get through. Names and values are slices of one block, whole
 * whatever the network did. And nothing but a counter and a buffer is held for a client that dribbles.
 * http_scan() refuses what llhttp lets pass in it (a folded line, which may hide a length; a field without a name); what is
 * plainly not HTTP is refused as soon as it shows. framing_check() then looks at what only the whole header shows.
 *
 * Reading a body. llhttp takes the bytes as they come and pauses at the end of the message, which gives back the exact
 * position where the next request begins. Framing (chunk sizes, extensions, trailers) may be at most eight times the body
 * and one header's size more: a body of one-byte chunks just passes, an endless extension does not.
 *
 * Deadlines count from the beginning of a phase and are not moved by progress: HEADER from its first byte, BODY from the end
 * of the header, IDLE from the last answer sent. IDLE has none while answers are outstanding.
 */
#include "http/connection.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/gzip.h"

enum {
    POOL_MAX = 64,
    BLANK_BYTES_MAX = 64, /* line ends in front of a request line, which old clients send after a body */
    FRAME_FACTOR = 8,
};

static const struct str continue_text = {"HTTP/1.1 100 Continue\r\n\r\n", 25};

/* ---- the core ---- */

void http_core_init(struct http_core *core, const struct http_options *options, const struct http_router *router,
                    unsigned loop_index)
{
    *core = (struct http_core){.options = options, .router = router, .loop_index = loop_index, .date_s = -1};
}

void http_core_fini(struct http_core *core)
{
    assert(core->exchange_count == 0);
    while (core->pool) {
        struct http_exchange *exchange = core->pool;
        core->pool = exchange->next;
        arena_free(exchange->request.arena);
        free(exchange);
    }
}

void http_core_clock(struct http_core *core, uint64_t monotonic_us, int64_t unix_s)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    core->now_us = monotonic_us;
    if (unix_s == core->date_s) return;
    struct tm tm;
    time_t seconds = (time_t)unix_s;
    if (!gmtime_r(&seconds, &tm)) return;
    snprintf(core->date, sizeof core->date, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday % 7],
             (unsigned)tm.tm_mday % 100, months[tm.tm_mon % 12], (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    core->date_s = unix_s;
}

/* ---- exchanges ---- */

static struct http_exchange *exchange_new(struct http_connection *connection)
{
    struct http_core *core = connection->core;
    struct http_exchange *exchange = core->pool;
    struct arena *arena;
    if (exchange) {
        core->pool = exchange->next;
        core->pool_count--;
        arena = exchange->request.arena;
        memset(exchange, 0, sizeof *exchange);
    } else {
        exchange = calloc(1, sizeof *exchange);
        if (!exchange) abort();
        arena = arena_new(core->options->arena_bytes_max);
    }
    core->exchange_count++;
    core->requests++;
    exchange->core = core;
    exchange->connection = connection;
    atomic_init(&exchange->cancelled, false);
    exchange->begun_us = connection->begun_us;
    memcpy(exchange->remote, connection->remote, sizeof exchange->remote);
    exchange->body = BUF_INIT(0);
    exchange->fields = BUF_INIT(64 << 10);
    exchange->request.arena = arena;
    exchange->request.loop_index = core->loop_index;
    exchange->request.id = (uint64_t)core->loop_index << 48 | core->requests;
    exchange->request.context = core->options->context;
    exchange->request.method = HTTP_METHOD_OTHER;
    exchange->request.remote_address = str_of(exchange->remote);

    if (connection->last) connection->last->next = exchange;
    else connection->first = exchange;
    connection->last = exchange;
    connection->count++;
    return exchange;
}

/* Unlinked from its connection already. */
static void exchange_free(struct http_exchange *exchange)
{
    struct http_core *core = exchange->core;
    core->bodies_bytes -= exchange->body.size;
    core->exchange_count--;
    buf_fini(&exchange->body);
    buf_fini(&exchange->fields);
    buf_fini(&exchange->head);
    buf_fini(&exchange->payload);
    arena_reset(exchange->request.arena);
    if (core->pool_count < POOL_MAX) {
        exchange->next = core->pool;
        core->pool = exchange;
        core->pool_count++;
    } else {
        arena_free(exchange->request.arena);
        free(exchange);
    }
}

static size_t exchange_bytes(const struct http_exchange *exchange)
{
    return exchange->body.size + exchange->head.size + exchange->payload.size;
}

/* Takes the first exchange off its connection. */
static struct http_exchange *exchange_shift(struct http_connection *connection)
{
    struct http_exchange *exchange = connection->first;
    connection->first = exchange->next;
    if (!connection->first) connection->last = NULL;
    connection->count--;
    connection->bytes -= exchange_bytes(exchange);
    exchange->next = NULL;
    exchange->connection = NULL;
    return exchange;
}

/* A request that will never be complete leaves without a trace. */
static void receiving_drop(struct http_connection *connection)
{
    struct http_exchange *exchange = connection->receiving, *previous = NULL;
    if (!exchange) return;
    for (struct http_exchange *e = connection->first; e != exchange; e = e->next) previous = e;
    if (previous) previous->next = NULL;
    else connection->first = NULL;
    connection->last = previous;
    connection->count--;
    connection->bytes -= exchange_bytes(exchange);
    connection->receiving = NULL;
    exchange_free(exchange);
}

void http_exchange_answered(struct http_exchange *exchange)
{
    exchange->state = HTTP_EXCHANGE_ANSWERED;
    if (exchange->connection) {
        exchange->connection->bytes += exchange->head.size + exchange->payload.size;
        exchange->core->wake(exchange->connection->owner);
    } else {
        exchange->status = 0;
        http_exchange_finished(exchange);
        exchange_free(exchange);
    }
}

/* ---- the edges that end reading ---- */

static void discard(struct http_connection *connection)
{
    connection->state = HTTP_CONNECTION_DISCARD;
    buf_fini(&connection->header);
    if (connection->held.size) connection->linger = true;
    buf_fini(&connection->held);
    connection->core->wake(connection->owner);
}

static void render(struct http_exchange *exchange, int status, const struct error *error)
{
    const struct http_options *options = exchange->core->options;
    options->render_error(&exchange->request, status, error);
    if (exchange->state != HTTP_EXCHANGE_ANSWERED) http_render_error_json(&exchange->request, status, error);
}

/* Answers the request being read with an error, and reads no more. */
static void PRINTF_LIKE(3, 4) refuse(struct http_connection *connection, int status, const char *format, ...)
{
    struct http_exchange *exchange = connection->receiving ? connection->receiving : exchange_new(connection);
    struct error error = ERROR_INIT;
    char text[sizeof error.primary];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)error_set(&error, status == 503 ? STATUS_UNAVAILABLE : status == 413 ? STATUS_LIMIT : STATUS_INVALID, "%s",
                    text);
    connection->receiving = NULL;
    exchange->close = true;
    exchange->state = HTTP_EXCHANGE_RUNNING;
    connection->linger = true;
    discard(connection);
    render(exchange, status, &error);
}

/* ---- the request is complete ---- */

static void decompress_and_handle(struct http_connection *connection, struct http_exchange *exchange)
{
    struct http_request *request = &exchange->request;
    const struct http_route *route = request->route;
    struct error error = ERROR_INIT;
    struct str coding = http_request_field(request, "content-encoding");

    request->body = buf_str(&exchange->body);
    request->body_wire_size = exchange->body.size;
    exchange->state = HTTP_EXCHANGE_RUNNING;
    if (!route) {
        int status = exchange->allowed ? 405 : 404;
        (void)error_set(&error, status == 405 ? STATUS_INVALID : STATUS_NOT_FOUND,
                        status == 405 ? "method " STR_FMT " is not allowed here" : "path " STR_FMT " does not exist",
                        STR_ARG(status == 405 ? request->method_name : request->path_raw));
        if (status == 405) {
            struct str allow = http_methods_text(request->arena, exchange->allowed);
            error_hint(&error, "use " STR_FMT, STR_ARG(allow));
            http_header_add(request, "Allow", allow);
        }
        render(exchange, status, &error);
        return;
    }
    if (http_coding_of(coding) != HTTP_CODING_IDENTITY && !(route->flags & HTTP_ROUTE_BODY_AS_SENT) &&
        request->body.size > 0) {
        struct str plain;
        enum status status = gzip_decompress(request->arena, request->body, connection->body_max, &error, &plain);
        if (status != STATUS_OK) {
            if (status == STATUS_LIMIT) {
                (void)error_set(&error, status, "request exceeds max limit of %zu bytes", connection->body_max);
            }
            render(exchange, status == STATUS_LIMIT ? 413 : 400, &error);
            return;
        }
        request->body = plain;
    }
    route->handler(request);
}

static void dispatch(struct http_connection *connection)
{
    struct http_exchange *exchange = connection->receiving;
    connection->receiving = NULL;
    connection->since_us = connection->core->now_us;
    if (connection->draining || !llhttp_should_keep_alive(&connection->parser)) exchange->close = true;
    if (exchange->close) discard(connection);
    else connection->state = HTTP_CONNECTION_IDLE;
    decompress_and_handle(connection, exchange);
}

/* ---- the parser's callbacks ---- */

static int refuse_later(struct http_connection *connection, int status, const char *reason)
{
    connection->refusal = status;
    connection->reason = reason;
    return HPE_USER;
}

static int on_url(llhttp_t *parser, const char *at, size_t size)
{
    struct http_connection *connection = parser->data;
    connection->receiving->request.target = str_from(at, size);
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t size)
{
    struct http_connection *connection = parser->data;
    if (connection->header_done) return 0; /* a trailer: read and forgotten */
    struct http_request *request = &connection->receiving->request;
    if (request->field_count >= connection->fields_room) return refuse_later(connection, 431, "too many header fields");
    connection->fields[request->field_count++] = (struct http_field){.name = str_from(at, size), .value = STR("")};
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t size)
{
    struct http_connection *connection = parser->data;
    if (connection->header_done) return 0;
    struct http_request *request = &connection->receiving->request;
    if (request->field_count == 0) return refuse_later(connection, 400, "header field without a name");
    struct http_field *field = &connection->fields[request->field_count - 1];
    /* In one piece by construction; a second one would be a folded line that http_scan() has missed. */
    if (field->value.size > 0) return refuse_later(connection, 400, "folded header line");
    field->value = str_trim(str_from(at, size));
    return 0;
}

/* What only the complete header shows, and llhttp does not refuse, or not with the right status. */
static int framing_check(struct http_connection *connection, struct http_request *request)
{
    size_t hosts = 0, lengths = 0, codings = 0;
    struct str host = STR_NULL, coding = STR_NULL;
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        if (str_eq_nocase(field->name, STR("host"))) hosts++, host = field->value;
        else if (str_eq_nocase(field->name, STR("content-length"))) lengths++;
        else if (str_eq_nocase(field->name, STR("transfer-encoding"))) codings++, coding = field->value;
    }
    if (hosts > 1) return refuse_later(connection, 400, "more than one Host");
    if (hosts == 0 && request->version_minor > 0) return refuse_later(connection, 400, "Host is missing");
    if (!http_host_valid(host)) return refuse_later(connection, 400, "malformed Host");
    if (lengths > 1) return refuse_later(connection, 400, "more than one Content-Length");
    if (codings > 1) return refuse_later(connection, 400, "more than one Transfer-Encoding");
    if (codings > 0 && lengths > 0) {
        return refuse_later(connection, 400, "Content-Length together with Transfer-Encoding");
    }
    if (codings > 0 && !str_eq_nocase(coding, STR("chunked"))) {
        return refuse_later(connection, 501, "Transfer-Encoding other than chunked");
    }
    if (codings > 0 && request->version_minor == 0) {
        return refuse_later(connection, 400, "Transfer-Encoding in HTTP/1.0");
    }
    request->host = host.data ? host : STR("");
    return 0;
}

static enum http_method method_of(llhttp_method_t method)
{
    switch ((int)method) {
    case HTTP_GET: return HTTP_METHOD_GET;
    case HTTP_HEAD: return HTTP_METHOD_HEAD;
    case HTTP_POST: return HTTP_METHOD_POST;
    case HTTP_PUT: return HTTP_METHOD_PUT;
    case HTTP_PATCH: return HTTP_METHOD_PATCH;
    case HTTP_DELETE: return HTTP_METHOD_DELETE;
    case HTTP_OPTIONS: return HTTP_METHOD_OPTIONS;
    default: return HTTP_METHOD_OTHER;
    }
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http_connection *connection = parser->data;
    struct http_request *request = &connection->receiving->request;
    connection->header_done = true;
    request->method_name = str_of(llhttp_method_name((llhttp_method_t)llhttp_get_method(parser)));
    request->method = method_of((llhttp_method_t)llhttp_get_method(parser));
    request->version_minor = llhttp_get_http_minor(parser);
    request->fields = connection->fields;
    if (llhttp_get_http_major(parser) != 1 || request->version_minor > 1) {
        return refuse_later(connection, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    }
    if (llhttp_get_method(parser) == HTTP_CONNECT) return refuse_later(connection, 501, "this is not a proxy");
    /* An offered upgrade (h2c, WebSocket) is declined by answering the request as it is: RFC 9110 7.8. */
    parser->upgrade = 0;
    return framing_check(connection, request);
}

static int on_body(llhttp_t *parser, const char *at, size_t size)
{
    struct http_connection *connection = parser->data;
    struct http_exchange *exchange = connection->receiving;
    struct http_core *core = connection->core;
    if (size > connection->body_max - exchange->body.size) return refuse_later(connection, 413, "");
    if (size > core->options->bodies_bytes_max - core->bodies_bytes) {
        return refuse_later(connection, 503, "too many requests are being received");
    }
    buf_add(&exchange->body, at, size);
    if (exchange->body.failed) return refuse_later(connection, 503, "out of memory");
    core->bodies_bytes += size;
    connection->bytes += size;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http_connection *connection = parser->data;
    connection->message_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t *parser_settings(void)
{
    static const llhttp_settings_t settings = {
        .on_url = on_url,
        .on_header_field = on_header_field,
        .on_header_value = on_header_value,
        .on_headers_complete = on_headers_complete,
        .on_body = on_body,
        .on_message_complete = on_message_complete,
    };
    return &settings;
}

/* llhttp stops in the middle of a Transfer-Encoding such as "chunked, identity", before framing_check() sees it: it is a
 * coding we do not know when nothing else is wrong. */
static bool coding_unknown(const struct http_connection *connection)
{
    size_t lengths = 0, codings = 0;
    for (size_t i = 0; i < connection->receiving->request.field_count; i++) {
        if (str_eq_nocase(connection->fields[i].name, STR("content-length"))) lengths++;
        if (str_eq_nocase(connection->fields[i].name, STR("transfer-encoding"))) codings++;
    }
    return lengths == 0 && codings == 1;
}

/* The parser stopped: with our own refusal, or with its own. */
static void refuse_parsed(struct http_connection *connection, llhttp_errno_t code)
{
    if (connection->refusal == 413) {
        refuse(connection, 413, "request exceeds max limit of %zu bytes", connection->body_max);
    } else if (connection->refusal) {
        refuse(connection, connection->refusal, "%s", connection->reason);
    } else if (code == HPE_INVALID_TRANSFER_ENCODING && coding_unknown(connection)) {
        refuse(connection, 501, "Transfer-Encoding other than chunked");
    } else if (code == HPE_INVALID_VERSION) {
        refuse(connection, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    } else {
        const char *reason = llhttp_get_error_reason(&connection->parser);
        refuse(connection, 400, "malformed request%s%s", reason && *reason ? ": " : "", reason ? reason : "");
    }
}

/* ---- HEADER ---- */

/* The header is complete and well-formed: route it, and decide about the body before any of it is read. */
static void header_accept(struct http_connection *connection)
{
    const struct http_options *options = connection->core->options;
    struct http_exchange *exchange = connection->receiving;
    struct http_request *request = &exchange->request;
    if (request->target.size > options->target_bytes_max) {
        refuse(connection, 414, "request target exceeds max limit of %zu bytes", options->target_bytes_max);
        return;
    }
    if (!http_target_split(request->target, &request->path_raw, &request->query) ||
        !http_percent_decode(request->arena, request->path_raw, &request->path)) {
        refuse(connection, 400, "malformed request target");
        return;
    }
    http_router_find(connection->core->router, request, &exchange->allowed);
    const struct http_route *route = request->route;
    connection->body_max = route && route->body_bytes_max ? route->body_bytes_max : options->body_bytes_max;
    exchange->body.size_max = connection->body_max;

    bool chunked = http_request_field(request, "transfer-encoding").data != NULL;
    if (!chunked && connection->parser.content_length > connection->body_max) {
        refuse(connection, 413, "request exceeds max limit of %zu bytes", connection->body_max);
        return;
    }
    struct str coding = http_request_field(request, "content-encoding");
    if (route && !(route->flags & HTTP_ROUTE_BODY_AS_SENT) && http_coding_of(coding) == HTTP_CODING_UNKNOWN) {
        refuse(connection, 415, "content encoding \"" STR_FMT "\" is not supported", STR_ARG(coding));
        return;
    }
    struct str expect = http_request_field(request, "expect");
    if (expect.data && request->version_minor > 0) {
        if (!str_eq_nocase(expect, STR("100-continue"))) {
            refuse(connection, 417, "expectation \"" STR_FMT "\" cannot be met", STR_ARG(expect));
            return;
        }
        if (!connection->message_done && !route) {
            /* The client asks before it sends: no reason to have a body sent that nobody wants. */
            exchange->close = true;
            connection->linger = true;
            connection->receiving = NULL;
            discard(connection);
            decompress_and_handle(connection, exchange);
            return;
        }
        if (!connection->message_done) {
            exchange->interim_left = continue_text.size;
            connection->core->wake(connection->owner);
        }
    }
    if (connection->message_done) {
        dispatch(connection);
    } else {
        connection->state = HTTP_CONNECTION_BODY;
        connection->since_us = connection->core->now_us;
    }
}

/* The whole block, from the request line to the blank line. */
static void header_parse(struct http_connection *connection, struct str block)
{
    struct http_exchange *exchange = exchange_new(connection);
    struct http_request *request = &exchange->request;
    size_t fields_max = connection->core->options->fields_max, lines = connection->scan.lines;
    connection->receiving = exchange;
    connection->header_done = connection->message_done = false;
    connection->refusal = 0;
    connection->frame_bytes = 0;
    exchange->bytes_in = block.size;

    struct str copy = arena_str(request->arena, block);
    connection->fields_room = lines < fields_max ? lines : fields_max;
    connection->fields = arena_new_array(request->arena, struct http_field, connection->fields_room);
    buf_fini(&connection->header);
    if (!copy.data || !connection->fields) {
        refuse(connection, 503, "out of memory");
        return;
    }
    llhttp_init(&connection->parser, HTTP_REQUEST, parser_settings());
    connection->parser.data = connection;
    llhttp_errno_t code = llhttp_execute(&connection->parser, copy.data, copy.size);
    if (code == HPE_PAUSED && connection->message_done) {
        bool at_end = llhttp_get_error_pos(&connection->parser) == copy.data + copy.size;
        llhttp_resume(&connection->parser);
        code = at_end ? HPE_OK : HPE_STRICT;
    }
    if (code != HPE_OK || connection->refusal) refuse_parsed(connection, code);
    else if (!connection->header_done) refuse(connection, 400, "malformed request: the header ends in two places");
    else header_accept(connection);
}

/* Not to wait for a blank line that will never come from what is not HTTP at all. */
static bool request_line_plausible_so_far(struct str block)
{
    size_t end = str_find_byte(block, '\r', 0);
    if (end == SIZE_MAX) return block.size == 0 || (block.data[0] >= 'A' && block.data[0] <= 'Z');
    return http_request_line_plausible(str_slice(block, 0, end));
}

static size_t header_bytes(struct http_connection *connection, const char *data, size_t size)
{
    static const char *const reasons[] = {
        [HTTP_SCAN_MORE] = NULL,
        [HTTP_SCAN_END] = NULL,
        [HTTP_SCAN_BARE_LF] = "header line ends without CR",
        [HTTP_SCAN_FOLDED] = "folded header line",
        [HTTP_SCAN_NAMELESS] = "header field without a name",
    };
    const struct http_options *options = connection->core->options;
    struct http_scan *scan = &connection->scan;
    unsigned lines_before = scan->lines;
    size_t room = options->header_bytes_max - scan->size, used;
    enum http_scan_result result = http_scan(scan, data, size < room ? size : room, &used);
    struct str block = str_from(data, used);
    if (connection->header.size > 0 || result == HTTP_SCAN_MORE) {
        buf_add(&connection->header, data, used);
        if (connection->header.failed) {
            refuse(connection, 503, "out of memory");
            return used;
        }
        block = buf_str(&connection->header);
    }
    if (lines_before == 0 && !request_line_plausible_so_far(block)) {
        refuse(connection, 400, "malformed request line");
        return used;
    }
    if (result == HTTP_SCAN_END) {
        header_parse(connection, block);
    } else if (result == HTTP_SCAN_MORE && scan->size >= options->header_bytes_max) {
        if (scan->lines == 0) refuse(connection, 414, "request target is too long");
        else refuse(connection, 431, "request header exceeds max limit of %zu bytes", options->header_bytes_max);
    } else if (reasons[result]) {
        refuse(connection, 400, "%s", reasons[result]);
    }
    return used;
}

/* ---- BODY ---- */

static size_t body_bytes(struct http_connection *connection, const char *data, size_t size)
{
    llhttp_errno_t code = llhttp_execute(&connection->parser, data, size);
    size_t used = size;
    if (code == HPE_PAUSED && connection->message_done) {
        used = (size_t)(llhttp_get_error_pos(&connection->parser) - data);
        llhttp_resume(&connection->parser);
        code = HPE_OK;
    }
    struct http_exchange *exchange = connection->receiving;
    connection->frame_bytes += used;
    exchange->bytes_in += used;
    if (code != HPE_OK) {
        refuse_parsed(connection, code);
    } else if ((connection->frame_bytes - exchange->body.size) / FRAME_FACTOR >
               exchange->body.size + connection->core->options->header_bytes_max / FRAME_FACTOR) {
        refuse(connection, 400, "chunk extensions or trailers are too long");
    } else if (connection->message_done) {
        dispatch(connection);
    }
    return used;
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
            refuse(connection, 400, "malformed request line");
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
        case HTTP_CONNECTION_HEADER: at += header_bytes(connection, data + at, size - at); break;
        case HTTP_CONNECTION_BODY: at += body_bytes(connection, data + at, size - at); break;
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
    if (connection->held.failed) refuse(connection, 503, "out of memory");
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
    receiving_drop(connection);
    discard(connection);
}

void http_connection_drain(struct http_connection *connection)
{
    connection->draining = true;
    if (connection->state != HTTP_CONNECTION_IDLE) return;
    if (connection->last && connection->last->state != HTTP_EXCHANGE_ANSWERED) connection->last->close = true;
    discard(connection);
}

void http_connection_refuse(struct http_connection *connection, int status, const char *reason)
{
    connection->begun_us = connection->core->now_us;
    refuse(connection, status, "%s", reason);
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
    case HTTP_CONNECTION_BODY: timeout_ms = options->body_timeout_ms; break;
    case HTTP_CONNECTION_DISCARD: return UINT64_MAX;
    }
    return connection->since_us + timeout_ms * 1000;
}

void http_connection_expire(struct http_connection *connection)
{
    const struct http_options *options = connection->core->options;
    if (connection->state == HTTP_CONNECTION_HEADER) {
        refuse(connection, 408, "request header was not complete within %llu ms",
               (unsigned long long)options->header_timeout_ms);
    } else if (connection->state == HTTP_CONNECTION_BODY) {
        refuse(connection, 408, "request body was not complete within %llu ms",
               (unsigned long long)options->body_timeout_ms);
    } else if (connection->state == HTTP_CONNECTION_IDLE) {
        discard(connection);
    }
}

/* ---- output ---- */

size_t http_connection_output(const struct http_connection *connection, struct str *pieces, size_t max)
{
    size_t count = 0;
    for (const struct http_exchange *e = connection->first; e && count + 3 <= max; e = e->next) {
        if (e->interim_left) pieces[count++] = str_slice(continue_text, continue_text.size - e->interim_left, SIZE_MAX);
        if (e->state != HTTP_EXCHANGE_ANSWERED) break;
        if (e->sent < e->head.size) pieces[count++] = str_slice(buf_str(&e->head), e->sent, SIZE_MAX);
        size_t payload_sent = e->sent > e->head.size ? e->sent - e->head.size : 0;
        if (payload_sent < e->payload.size) {
            pieces[count++] = str_slice(buf_str(&e->payload), payload_sent, SIZE_MAX);
        }
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
        if (e->interim_left || e->state != HTTP_EXCHANGE_ANSWERED) break;
        size_t left = e->head.size + e->payload.size - e->sent;
        size_t part = size < left ? size : left;
        e->sent += part;
        size -= part;
        if (part < left) break;
        (void)exchange_shift(connection);
        http_exchange_finished(e);
        exchange_free(e);
        if (!connection->first && connection->state == HTTP_CONNECTION_IDLE) {
            connection->since_us = connection->core->now_us;
        }
    }
    assert(size == 0);
    held_resume(connection);
}

enum http_connection_end http_connection_end(const struct http_connection *connection)
{
    if (connection->state != HTTP_CONNECTION_DISCARD || connection->first) return HTTP_CONNECTION_OPEN;
    return connection->linger && !connection->eof ? HTTP_CONNECTION_LINGER : HTTP_CONNECTION_CLOSE;
}

/* ---- life ---- */

void http_connection_init(struct http_connection *connection, struct http_core *core, const char *remote, void *owner)
{
    *connection = (struct http_connection){
        .core = core,
        .owner = owner,
        .since_us = core->now_us,
        .held = BUF_INIT(SIZE_MAX),
    };
    snprintf(connection->remote, sizeof connection->remote, "%s", remote);
}

void http_connection_fini(struct http_connection *connection)
{
    connection->state = HTTP_CONNECTION_DISCARD;
    receiving_drop(connection);
    while (connection->first) {
        struct http_exchange *exchange = exchange_shift(connection);
        if (exchange->state == HTTP_EXCHANGE_RUNNING) {
            atomic_store(&exchange->cancelled, true);
            continue;
        }
        exchange->status = 0;
        http_exchange_finished(exchange);
        exchange_free(exchange);
    }
    buf_fini(&connection->header);
    buf_fini(&connection->held);
}
