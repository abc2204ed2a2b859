#include "http/connection.h"

#include <assert.h>

#include "base/gzip.h"
#include "base/json.h"

enum {
    COMPRESS_BYTES_MIN = 1400, /* what fits one packet anyway is not worth it */
    COMPRESS_LEVEL = 1,        /* on the loop's thread: speed counts; packing tighter is the application's choice */
    INLINE_BYTES_MAX = 4096,   /* up to here a copy is cheaper than another piece for the kernel */
    HEAD_BYTES_MAX = 128 << 10,
};

static struct http_exchange *exchange_of(struct http_request *request)
{
    return (struct http_exchange *)request; /* its first member */
}

/* ---- the request ---- */

struct str http_request_field(const struct http_request *request, const char *name)
{
    struct str wanted = str_of(name);
    for (size_t i = 0; i < request->field_count; i++) {
        if (str_eq_nocase(request->fields[i].name, wanted)) return request->fields[i].value;
    }
    return STR_NULL;
}

struct str http_request_param(const struct http_request *request, const char *name)
{
    if (!request->route) return STR_NULL;
    size_t index = http_route_param_index(request->route->path, str_of(name));
    return index < request->param_count ? request->params[index] : STR_NULL;
}

bool http_request_accepts_gzip(const struct http_request *request)
{
    return http_accepts_gzip(http_request_field(request, "accept-encoding"));
}

bool http_request_cancelled(const struct http_request *request)
{
    const struct http_exchange *exchange = (const struct http_exchange *)request;
    return atomic_load(&exchange->cancelled);
}

_Atomic bool *http_request_cancelled_flag(struct http_request *request)
{
    return &exchange_of(request)->cancelled;
}

void http_request_complete(struct http_request *request, void (*run)(struct http_request *request, void *arg),
                           void *arg)
{
    struct http_exchange *exchange = exchange_of(request);
    exchange->run = run;
    exchange->arg = arg;
    exchange->core->post(exchange);
}

/* ---- the answer ---- */

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } table[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Request Entity Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Entity"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].status == status) return table[i].text;
    }
    return "Unknown";
}

void http_header_add(struct http_request *request, const char *name, struct str value)
{
    struct http_exchange *exchange = exchange_of(request);
    struct buf *fields = &exchange->fields;
    if (str_eq_nocase(str_of(name), STR("content-encoding"))) exchange->has_coding = true;
    buf_str_add(fields, str_of(name));
    buf_lit(fields, ": ");
    for (size_t i = 0; i < value.size; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        buf_byte(fields, (byte < 0x20 && byte != '\t') || byte == 0x7F ? '?' : (char)byte);
    }
    buf_lit(fields, "\r\n");
}

static bool body_allowed(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

void http_exchange_head(struct http_exchange *exchange, int status, const char *content_type, size_t body_size)
{
    /* Written piece by piece: the printf family would be a good part of what a small request costs. */
    struct buf *head = &exchange->head;
    buf_lit(head, "HTTP/1.1 ");
    json_write_int(head, status);
    buf_byte(head, ' ');
    buf_str_add(head, str_of(http_status_text(status)));
    buf_lit(head, "\r\nDate: ");
    buf_str_add(head, str_of(exchange->core->date));
    if (content_type && body_allowed(status)) {
        buf_lit(head, "\r\nContent-Type: ");
        buf_str_add(head, str_of(content_type));
    }
    if (body_size == HTTP_BODY_STREAMED) {
        if (exchange->chunked) buf_lit(head, "\r\nTransfer-Encoding: chunked");
    } else if (body_allowed(status)) {
        /* RFC 9110 8.6 forbids the length in a 204; a 304 would have to repeat the one of the 200. */
        buf_lit(head, "\r\nContent-Length: ");
        json_write_int(head, (int64_t)body_size);
    }
    buf_lit(head, "\r\n");
    if (exchange->close || exchange->cut)
        buf_lit(head, "Connection: close\r\n");
    else if (exchange->request.version_minor == 0)
        buf_lit(head, "Connection: keep-alive\r\n");
    buf_str_add(head, buf_str(&exchange->fields));
    buf_lit(head, "\r\n");
}

/* Sets the answer; `body` is copied unless `owned` has it. */
static void answer(struct http_request *request, int status, const char *content_type, struct str body,
                   struct buf *owned)
{
    struct http_exchange *exchange = exchange_of(request);
    assert(exchange->state == HTTP_EXCHANGE_RUNNING);
    exchange->status = status;
    exchange->head = BUF_INIT(HEAD_BYTES_MAX);

    if (content_type && body.size > COMPRESS_BYTES_MIN && body_allowed(status) && !exchange->has_coding &&
        http_type_compresses(str_of(content_type))) {
        struct str packed;
        http_header_add(request, "Vary", STR("Accept-Encoding"));
        /* When it does not fit the request's memory any more it goes out as it is. */
        if (http_request_accepts_gzip(request) &&
            gzip_compress(request->arena, body, COMPRESS_LEVEL, &packed) == STATUS_OK) {
            http_header_add(request, "Content-Encoding", STR("gzip"));
            body = packed;
            if (owned) buf_fini(owned);
            owned = NULL;
        }
    }
    http_exchange_head(exchange, status, content_type, body.size);
    if (request->method == HTTP_METHOD_HEAD || !body_allowed(status)) {
        if (owned) buf_fini(owned);
    } else if (body.size <= INLINE_BYTES_MAX) {
        buf_str_add(&exchange->head, body);
        if (owned) buf_fini(owned);
    } else if (owned) {
        exchange->payload = *owned;
        *owned = BUF_INIT(owned->size_max);
    } else {
        exchange->payload = BUF_INIT(body.size);
        buf_str_add(&exchange->payload, body);
    }
    if (exchange->head.failed || exchange->payload.failed || exchange->fields.failed) {
        /* No memory, or fields without bound: the least that is still an answer. */
        buf_fini(&exchange->payload);
        buf_reset(&exchange->fields);
        buf_reset(&exchange->head);
        exchange->status = 500;
        http_exchange_head(exchange, 500, NULL, 0);
        assert(!exchange->head.failed);
    }
    http_exchange_answered(exchange);
}

void http_respond(struct http_request *request, int status, const char *content_type, struct str body)
{
    answer(request, status, content_type, body, NULL);
}

void http_respond_buf(struct http_request *request, int status, const char *content_type, struct buf *body)
{
    if (body->failed) {
        struct error error = ERROR_INIT;
        buf_fini(body);
        (void)error_set(&error, STATUS_LIMIT, "the answer exceeds max limit of %zu bytes", body->size_max);
        http_respond_error(request, 500, &error);
        return;
    }
    answer(request, status, content_type, buf_str(body), body);
}

void http_render_error_json(struct http_request *request, int status, const struct error *error)
{
    struct buf body = BUF_INIT(16 << 10);
    char text[sizeof error->primary + sizeof error->detail + sizeof error->hint];
    buf_lit(&body, "{\"code\":");
    json_write_int(&body, status);
    buf_lit(&body, ",\"error\":");
    json_write_str(&body, str_of(error_text(error, text, sizeof text)));
    buf_lit(&body, ",\"status\":");
    json_write_str(&body, str_of(http_status_text(status)));
    buf_lit(&body, "}");
    http_respond_buf(request, status, "application/json", &body);
}

void http_respond_error(struct http_request *request, int status, const struct error *error)
{
    exchange_of(request)->core->options->render_error(request, status, error);
}

void http_exchange_finished(struct http_exchange *exchange)
{
    const struct http_options *options = exchange->core->options;
    if (!options->on_finished) return;
    struct http_access access = {
        .request = &exchange->request,
        .status = exchange->status,
        .bytes_in = exchange->bytes_in,
        .bytes_out = exchange->streamed_bytes + exchange->sent,
        .duration_us = exchange->core->now_us - exchange->begun_us,
    };
    options->on_finished(options->context, &access);
}
