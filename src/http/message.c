/*
 * One request off the wire: the header block through http_scan() and llhttp, what only the whole header
 * shows, the body through llhttp, and the call of the handler. Why it is done in this way stands at the top
 * of connection.c.
 */
#include "http/connection.h"

#include "base/gzip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FRAME_FACTOR = 8 };

/* ---- the request is complete ---- */

static void handle(struct http_connection *connection, struct http_exchange *exchange)
{
    struct http_request *request = &exchange->request;
    const struct http_route *route = request->route;
    struct error error = ERROR_INIT;
    struct str coding = http_request_field(request, "content-encoding");

    request->body = buf_str(&exchange->body);
    request->body_wire_size = exchange->received;
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
        http_exchange_render(exchange, status, &error);
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
            http_exchange_render(exchange, status == STATUS_LIMIT ? 413 : 400, &error);
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
    if (exchange->close)
        http_connection_discard(connection);
    else
        connection->state = HTTP_CONNECTION_IDLE;
    handle(connection, exchange);
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
    /* From the first field on: render_error may look at the fields of a request that is refused half-read. */
    request->fields = connection->fields;
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
        if (str_eq_nocase(field->name, STR("host")))
            hosts++, host = field->value;
        else if (str_eq_nocase(field->name, STR("content-length")))
            lengths++;
        else if (str_eq_nocase(field->name, STR("transfer-encoding")))
            codings++, coding = field->value;
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
    if (llhttp_get_http_major(parser) != 1 || request->version_minor > 1) {
        return refuse_later(connection, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    }
    if (llhttp_get_method(parser) == HTTP_CONNECT) return refuse_later(connection, 501, "this is not a proxy");
    return framing_check(connection, request);
}

/* Files of bodies have no name from the start: whatever happens to the process, nothing is left of them. */
static bool body_file_open(struct http_exchange *exchange)
{
    char path[4096];
    const char *directory = exchange->core->options->body_directory;
    if (snprintf(path, sizeof path, "%s/body-XXXXXX.tmp", directory) >= (int)sizeof path) return false;
    exchange->request.body_file = mkostemps(path, 4, O_CLOEXEC);
    if (exchange->request.body_file < 0) return false;
    unlink(path);
    return true;
}

static int body_to_file(struct http_connection *connection, const char *at, size_t size)
{
    struct http_exchange *exchange = connection->receiving;
    struct http_core *core = connection->core;
    if (size > core->options->body_files_bytes_max - core->body_files_bytes)
        return refuse_later(connection, 503, "too many requests are being received");
    if (exchange->request.body_file < 0 && !body_file_open(exchange))
        return refuse_later(connection, 503, "there is no place for the request's body");
    core->body_files_bytes += size;
    exchange->received += size;
    while (size) {
        ssize_t written = write(exchange->request.body_file, at, size);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return refuse_later(connection, 503, "there is no place for the request's body");
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t size)
{
    struct http_connection *connection = parser->data;
    struct http_exchange *exchange = connection->receiving;
    struct http_core *core = connection->core;
    const struct http_route *route = exchange->request.route;
    if (size > connection->body_max - exchange->received) return refuse_later(connection, 413, "");
    if (size && route && route->flags & HTTP_ROUTE_BODY_IN_FILE) return body_to_file(connection, at, size);
    if (size > core->options->bodies_bytes_max - core->bodies_bytes) {
        return refuse_later(connection, 503, "too many requests are being received");
    }
    buf_add(&exchange->body, at, size);
    if (exchange->body.failed) return refuse_later(connection, 503, "out of memory");
    core->bodies_bytes += size;
    connection->bytes += size;
    exchange->received += size;
    return 0;
}

/* The parser is started anew for the next request. So an upgrade that the client offers (h2c, WebSocket) is
 * declined, by answering the request as it is: RFC 9110 7.8. */
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

/* llhttp stops in the middle of a Transfer-Encoding such as "chunked, identity", before framing_check() sees
 * it: it is a coding we do not know when nothing else is wrong. */
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
        http_connection_refuse(connection, 413, "request exceeds max limit of %zu bytes", connection->body_max);
    } else if (connection->refusal) {
        http_connection_refuse(connection, connection->refusal, "%s", connection->reason);
    } else if (code == HPE_INVALID_TRANSFER_ENCODING && coding_unknown(connection)) {
        http_connection_refuse(connection, 501, "Transfer-Encoding other than chunked");
    } else if (code == HPE_INVALID_VERSION) {
        http_connection_refuse(connection, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    } else {
        const char *reason = llhttp_get_error_reason(&connection->parser);
        http_connection_refuse(connection, 400, "malformed request%s%s", reason && *reason ? ": " : "",
                               reason ? reason : "");
    }
}

/* ---- the header ---- */

/* The header is complete and well-formed: route it, and decide about the body before any of it is read. */
static void header_accept(struct http_connection *connection)
{
    const struct http_options *options = connection->core->options;
    struct http_exchange *exchange = connection->receiving;
    struct http_request *request = &exchange->request;
    if (request->target.size > options->target_bytes_max) {
        http_connection_refuse(connection, 414, "request target exceeds max limit of %zu bytes",
                               options->target_bytes_max);
        return;
    }
    if (!http_target_split(request->target, &request->path_raw, &request->query) ||
        !http_percent_decode(request->arena, request->path_raw, &request->path)) {
        http_connection_refuse(connection, 400, "malformed request target");
        return;
    }
    http_router_find(connection->core->router, request, &exchange->allowed);
    const struct http_route *route = request->route;
    connection->body_max = route && route->body_bytes_max ? route->body_bytes_max : options->body_bytes_max;
    exchange->body.size_max = connection->body_max;

    bool chunked = http_request_field(request, "transfer-encoding").data != NULL;
    if (!chunked && connection->parser.content_length > connection->body_max) {
        http_connection_refuse(connection, 413, "request exceeds max limit of %zu bytes", connection->body_max);
        return;
    }
    struct str coding = http_request_field(request, "content-encoding");
    if (route && !(route->flags & HTTP_ROUTE_BODY_AS_SENT) && http_coding_of(coding) == HTTP_CODING_UNKNOWN) {
        http_connection_refuse(connection, 415, "content encoding \"" STR_FMT "\" is not supported", STR_ARG(coding));
        return;
    }
    struct str expect = http_request_field(request, "expect");
    if (expect.data && request->version_minor > 0) {
        if (!str_eq_nocase(expect, STR("100-continue"))) {
            http_connection_refuse(connection, 417, "expectation \"" STR_FMT "\" cannot be met", STR_ARG(expect));
            return;
        }
        if (!connection->message_done && !route) {
            /* The client asks before it sends: no reason to have a body sent that nobody wants. */
            exchange->close = true;
            connection->linger = true;
            connection->receiving = NULL;
            http_connection_discard(connection);
            handle(connection, exchange);
            return;
        }
        if (!connection->message_done) {
            exchange->interim_left = HTTP_CONTINUE_SIZE;
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
    struct http_exchange *exchange = http_exchange_new(connection);
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
        http_connection_refuse(connection, 503, "out of memory");
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
    if (code != HPE_OK || connection->refusal)
        refuse_parsed(connection, code);
    else if (!connection->header_done)
        http_connection_refuse(connection, 400, "malformed request: the header ends in two places");
    else
        header_accept(connection);
}

/* Not to wait for a blank line that will never come from what is not HTTP at all. */
static bool request_line_plausible_so_far(struct str block)
{
    size_t end = str_find_byte(block, '\r', 0);
    if (end == SIZE_MAX) return block.size == 0 || (block.data[0] >= 'A' && block.data[0] <= 'Z');
    return http_request_line_plausible(str_slice(block, 0, end));
}

size_t http_message_header(struct http_connection *connection, const char *data, size_t size)
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
            http_connection_refuse(connection, 503, "out of memory");
            return used;
        }
        block = buf_str(&connection->header);
    }
    if (lines_before == 0 && !request_line_plausible_so_far(block)) {
        http_connection_refuse(connection, 400, "malformed request line");
        return used;
    }
    if (result == HTTP_SCAN_END) {
        header_parse(connection, block);
    } else if (result == HTTP_SCAN_MORE && scan->size >= options->header_bytes_max) {
        if (scan->lines == 0)
            http_connection_refuse(connection, 414, "request target is too long");
        else
            http_connection_refuse(connection, 431, "request header exceeds max limit of %zu bytes",
                                   options->header_bytes_max);
    } else if (reasons[result]) {
        http_connection_refuse(connection, 400, "%s", reasons[result]);
    }
    return used;
}

/* ---- the body ---- */

size_t http_message_body(struct http_connection *connection, const char *data, size_t size)
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
    } else if ((connection->frame_bytes - exchange->received) / FRAME_FACTOR >
               exchange->received + connection->core->options->header_bytes_max / FRAME_FACTOR) {
        http_connection_refuse(connection, 400, "chunk extensions or trailers are too long");
    } else if (connection->message_done) {
        dispatch(connection);
    }
    return used;
}
