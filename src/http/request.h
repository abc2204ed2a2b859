#pragma once
/*
 * A request and its answer, as a handler sees them.
 *
 * Ownership: the server makes and frees requests. A request is valid from the call of its handler until
 * http_respond(); that call is the last thing anybody does with it. Everything a request points to (and what
 * its arena hands out) lives as long as the request. Every request must be answered exactly once, also when
 * the client has gone away: the answer is then dropped.
 *
 * Threads: a request belongs to the thread of its loop, where the handler is called and where http_respond()
 * must be called. A handler that cannot answer at once hands the request to another thread, which may read
 * every field, use the arena (one thread at a time) and, when it is done, calls http_request_complete() to
 * have a function run on the loop.
 *
 *     handler (loop thread) --- job ---> worker thread --- http_request_complete(request, done, job)
 *                                                                        |
 *     http_respond <--- done(request, job) (loop thread) <---------------'
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#include <stdatomic.h>

/* Bits, so that a route can allow several. */
enum http_method {
    HTTP_METHOD_GET = 1 << 0,
    HTTP_METHOD_HEAD = 1 << 1,
    HTTP_METHOD_POST = 1 << 2,
    HTTP_METHOD_PUT = 1 << 3,
    HTTP_METHOD_PATCH = 1 << 4,
    HTTP_METHOD_DELETE = 1 << 5,
    HTTP_METHOD_OPTIONS = 1 << 6,
    HTTP_METHOD_OTHER = 1 << 7, /* a method that HTTP knows and no route can name */
};

enum { HTTP_ROUTE_PARAMS_MAX = 4 };

struct http_field {
    struct str name, value; /* the value without white space at its ends */
};

struct http_route;

struct http_request {
    enum http_method method;
    struct str method_name;
    struct str target;   /* as sent: path, and "?query" where there is one */
    struct str path_raw; /* as sent, without the query */
    struct str path;     /* percent-decoded; bytes, not proven UTF-8, free of NUL */
    struct str query;    /* as sent, without the "?"; empty when there is none */
    struct str host;     /* the Host field; empty in HTTP/1.0 without one */
    const struct http_field *fields;
    size_t field_count;
    struct str body;        /* without chunk framing, decompressed */
    size_t body_wire_size;  /* before decompression */
    int body_file;          /* of HTTP_ROUTE_BODY_IN_FILE: its descriptor, the body from its beginning; `body` is empty.
                             * -1: no byte was sent, or the route has its body in memory. Closed with the request. */
    unsigned version_minor; /* HTTP/1.x */

    const struct http_route *route;           /* NULL in a request that matches none, which only render_error sees */
    struct str params[HTTP_ROUTE_PARAMS_MAX]; /* percent-decoded, in the order of the {name}s in the pattern */
    size_t param_count;

    struct str remote_address; /* of the peer, without port: 127.0.0.1, ::1 */
    unsigned loop_index;
    uint64_t id; /* unique within this server process */
    struct arena *arena;
    void *context; /* options.context of the server */
    void *user;    /* the application's, NULL at first */
};

/* The value of the first field of this name (any case), or STR_NULL. */
struct str http_request_field(const struct http_request *request, const char *name) MUST_USE;
/* The value of {name} in the route's pattern, or STR_NULL. */
struct str http_request_param(const struct http_request *request, const char *name) MUST_USE;
/* Whether the client takes a gzip body (RFC 9110 12.5.3, with q values). */
bool http_request_accepts_gzip(const struct http_request *request) MUST_USE;
/* True once the client has closed its side, so that nobody waits for the answer. Any thread; a hint to stop
 * working, the request is still to be completed and answered. */
bool http_request_cancelled(const struct http_request *request) MUST_USE;
/* The flag behind it, for work that looks at one. It lives as long as the request. Who else sets it, any thread, has the
 * request count as cancelled. */
_Atomic bool *http_request_cancelled_flag(struct http_request *request) MUST_USE;

/* Adds a field to the answer. Both texts are copied; control bytes in the value become "?". The server
 * itself writes Date, Content-Length, Connection and Content-Type: do not add these. Loop thread, or the
 * thread that has the request. */
void http_header_add(struct http_request *request, const char *name, struct str value);

/* Answers. The body is copied. `content_type` NULL: no Content-Type. The answer is compressed where the
 * client takes gzip, the body is larger than 1400 bytes, its type is text and no Content-Encoding was added.
 * HEAD is looked after: give the body that GET would have. */
void http_respond(struct http_request *request, int status, const char *content_type, struct str body);
/* Likewise, but takes over the block of `body`, which is empty afterwards: for large answers. A failed
 * buffer is answered with 500. */
void http_respond_buf(struct http_request *request, int status, const char *content_type, struct buf *body);
/* Answers with options.render_error. */
void http_respond_error(struct http_request *request, int status, const struct error *error);

/*
 * Answers in pieces, for bodies that do not fit into memory or whose beginning should not wait for their end. One piece
 * is in memory at a time: when the kernel has taken all of it, the server calls ready(request, arg) on the loop thread,
 * and only then the next one may be given. So nobody holds a thread, or more than a piece, while the client is slow;
 * one that takes nothing for write_timeout_ms is disconnected.
 *
 *     http_stream_begin ──▶ ready ──▶ http_stream_piece ──▶ ready ──▶ … ──▶ ready ──▶ http_stream_end
 *                              └───────────────── the client is gone: ─────────────────────▶ or http_stream_abort
 *
 * From the call of ready on the request is the handler's, which may hand it to another thread as before; from
 * http_stream_begin and http_stream_piece to ready it is the server's. Loop thread, all of them.
 *
 * The client is gone when http_stream_begin or http_stream_piece return false, or http_request_cancelled() is true:
 * then the handler frees what it holds and ends the stream. ready is called once more for a client that goes while it
 * is being sent to. After false it is not.
 *
 * Pieces are taken over, like the body of http_respond_buf, and are not compressed: whoever wants that adds the
 * Content-Encoding. They are sent in chunks, to HTTP/1.0 clients plainly until the connection ends. A HEAD request
 * gets false at once.
 */
typedef void http_stream_fn(struct http_request *request, void *arg);
/* The head and the first piece, which may be empty. */
bool http_stream_begin(struct http_request *request, int status, const char *content_type, struct buf *piece,
                       http_stream_fn *ready, void *arg) MUST_USE;
/* A further one, not empty. A failed buffer breaks the answer off; then, too, the result is false. */
bool http_stream_piece(struct http_request *request, struct buf *piece) MUST_USE;
/* The last one, which may be empty: the answer is complete. The last thing anybody does with the request. */
void http_stream_end(struct http_request *request, struct buf *piece);
/* Instead of http_stream_end: the connection is closed in the middle, so that the client sees that the answer is not
 * complete. */
void http_stream_abort(struct http_request *request);

/* Has run(request, arg) called on the request's loop thread. Any thread; one call may be outstanding per
 * request, and after it the caller does not touch the request. Many completions share one wake-up of the
 * loop. `run` answers, or hands the request on for a further stage. */
void http_request_complete(struct http_request *request, void (*run)(struct http_request *request, void *arg),
                           void *arg);

/* "Not Found" for 404; "Unknown" for what is not in the table. */
const char *http_status_text(int status);
/* The default of options.render_error: {"code":404,"error":"…","status":"Not Found"}, as Mixpanel writes it.
 */
void http_render_error_json(struct http_request *request, int status, const struct error *error);
