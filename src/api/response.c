#include "api/response.h"

#include "base/json.h"

/* Any value but an empty one and 0 is on: samples in the documentation send 2. */
bool response_flag(struct str value)
{
    return value.size > 0 && !str_is(value, "0");
}

static bool callback_valid(struct str name)
{
    if (name.size == 0 || name.size > RESPONSE_CALLBACK_MAX) return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '$' && c != '.') return false;
    }
    return true;
}

struct response_mode response_mode_of(const struct decode_form *form)
{
    struct str callback = decode_param(form, "callback");
    return (struct response_mode){.verbose = response_flag(decode_param(form, "verbose")),
                                  .image = response_flag(decode_param(form, "img")),
                                  .callback = callback_valid(callback) ? callback : STR_NULL};
}

/* 1x1, one transparent colour, GIF89a. */
static const unsigned char pixel[] = {
    'G',  'I',  'F',  '8',  '9',  'a',  1, 0, 1, 0, 0x80, 0, 0, /* screen: 1x1, a colour table of two entries */
    0,    0,    0,    0xFF, 0xFF, 0xFF,                         /* black and white */
    0x21, 0xF9, 4,    1,    0,    0,    0, 0,                   /* colour 0 is transparent */
    0x2C, 0,    0,    0,    0,    1,    0, 1, 0, 0,             /* an image of 1x1 at 0,0 */
    2,    2,    0x44, 1,    0,                                  /* LZW: clear, colour 0, end */
    0x3B,
};

const char *response_render(const struct response_mode *mode, struct str reason, struct buf *body)
{
    if (mode->image) {
        buf_add(body, pixel, sizeof pixel);
        return "image/gif";
    }
    if (mode->callback.data) {
        buf_str_add(body, mode->callback);
        buf_lit(body, "(");
    }
    if (mode->verbose) {
        buf_lit(body, "{\"error\":");
        if (reason.data)
            json_write_str(body, reason);
        else
            buf_lit(body, "null");
        buf_printf(body, ",\"status\":%d}", reason.data ? 0 : 1);
    } else {
        buf_byte(body, reason.data ? '0' : '1');
    }
    if (!mode->callback.data) return mode->verbose ? "application/json" : "text/plain";
    buf_lit(body, ")");
    return "text/javascript";
}

void response_send(struct http_request *request, const struct response_mode *mode, struct str reason)
{
    struct buf body = BUF_INIT(8192);
    const char *type = response_render(mode, reason, &body);
    response_allow_origin(request);
    if (request->method != HTTP_METHOD_POST) http_header_add(request, "Cache-Control", STR("no-store"));
    /* What is in the body comes from the client: a browser must not take it for something else. */
    http_header_add(request, "X-Content-Type-Options", STR("nosniff"));
    http_respond_buf(request, 200, type, &body);
}

int response_code(enum status status)
{
    static const struct {
        enum status status;
        int code;
    } table[] = {
        {STATUS_OK, 200},          {STATUS_INVALID, 400},   {STATUS_UNSUPPORTED, 400}, {STATUS_DENIED, 401},
        {STATUS_NOT_FOUND, 404},   {STATUS_CONFLICT, 409},  {STATUS_LIMIT, 413},       {STATUS_IO, 503},
        {STATUS_UNAVAILABLE, 503}, {STATUS_CANCELLED, 503},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].status == status) return table[i].code;
    }
    return 500;
}

void response_failure(struct http_request *request, const struct error *error)
{
    int code = response_code(error->status);
    if (code == 503) http_header_add(request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
    http_respond_error(request, code, error);
}

void response_not_stored(struct http_request *request, enum status status, const char *what)
{
    struct error error = ERROR_INIT;
    if (status == STATUS_OK)
        (void)error_set(&error, STATUS_DENIED, "unknown project token");
    else if (status == STATUS_LIMIT)
        (void)error_set(&error, STATUS_LIMIT, "request needs too much memory");
    else
        (void)error_set(&error, STATUS_UNAVAILABLE, "%s cannot be stored at the moment", what);
    response_failure(request, &error);
}

void response_allow_origin(struct http_request *request)
{
    struct str origin = http_request_field(request, "origin");
    if (!origin.data) return;
    /* Requests come with credentials, for which "*" is not accepted. */
    http_header_add(request, "Access-Control-Allow-Origin", origin);
    http_header_add(request, "Access-Control-Allow-Credentials", STR("true"));
    /* Otherwise the recorder in a page cannot read when to come again. */
    http_header_add(request, "Access-Control-Expose-Headers", STR("Retry-After"));
    http_header_add(request, "Vary", STR("Origin"));
}

void response_preflight(struct http_request *request)
{
    response_allow_origin(request);
    http_header_add(request, "Access-Control-Allow-Methods", STR("GET, POST, OPTIONS"));
    http_header_add(request, "Access-Control-Allow-Headers",
                    STR("Authorization, Content-Type, Content-Encoding, traceparent"));
    http_header_add(request, "Access-Control-Max-Age", STR("86400"));
    http_respond(request, 204, NULL, STR(""));
}
