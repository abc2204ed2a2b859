#pragma once
/*
 * The server's side of one connection without a socket: bytes in, calls of handlers, bytes out. What drives
 * it (server.c with libuv, a test or a fuzzer with an array) feeds what it has read, asks for the output,
 * says how much of it was sent, and looks at the clock. The state machine is explained at the top of
 * connection.c. Private to http/.
 *
 * Ownership: the driver owns core and connections; the core owns the exchanges. An exchange is a request
 * with its answer; it belongs to its connection and outlives it only while a handler still has it. Threads:
 * everything on the thread of the core, except where `post` and `cancelled` say otherwise.
 */
#include "http/router.h"
#include "http/syntax.h"

#include <stdatomic.h>

#include <llhttp.h>

struct http_connection;

enum { HTTP_CONTINUE_SIZE = 25 }; /* of "HTTP/1.1 100 Continue", with its blank line */

/* What the connections of one loop share. */
struct http_core {
    const struct http_options *options;
    const struct http_router *router;
    unsigned loop_index;
    uint64_t now_us; /* monotonic: the driver sets it before every call */
    int64_t date_s;
    char date[40];     /* "Sat, 21 Nov 2026 22:33:07 GMT" */
    uint64_t requests; /* ids given */
    size_t bodies_bytes;
    uint64_t body_files_bytes;
    size_t exchange_count; /* alive, in connections or with handlers */
    struct http_exchange *pool;
    size_t pool_count;

    /* The connection may have output, or room for input again: see to it soon, but not inside this call. */
    void (*wake)(void *owner);
    /* Any thread: have exchange->run called on the core's thread. */
    void (*post)(struct http_exchange *exchange);
};

enum http_exchange_state {
    HTTP_EXCHANGE_RECEIVING, /* the body is not complete */
    HTTP_EXCHANGE_RUNNING,   /* a handler has it, and makes the answer, or the next piece of a streamed one */
    HTTP_EXCHANGE_STREAMING, /* a piece of a streamed answer is there, and not the last one */
    HTTP_EXCHANGE_ANSWERED,  /* the output is there; immutable from here on */
};

struct http_exchange {
    struct http_request request; /* first: handlers have its address */
    struct http_core *core;
    struct http_connection *connection; /* NULL when that has gone */
    struct http_exchange *next;         /* in order of arrival; in the core's pool */
    enum http_exchange_state state;
    bool close;            /* the connection ends with this answer */
    atomic_bool cancelled; /* any thread may read it */
    unsigned allowed;      /* methods of the path */
    int status;
    size_t interim_left;      /* bytes of "100 Continue" still to be sent */
    struct buf body;          /* as sent; empty when it goes to a file */
    size_t received;          /* of the body as sent, wherever it goes */
    struct buf fields;        /* added to the answer by the handler */
    bool has_coding;          /* the handler has added a Content-Encoding */
    struct buf head, payload; /* the answer; a small body stands in head */
    size_t sent;              /* of head and payload together */
    bool streamed, chunked;   /* the answer comes in pieces; they are framed */
    bool broken;              /* a piece is missing: it cannot be completed any more */
    bool cut;                 /* once this is sent the connection is closed, whatever stands behind */
    uint64_t streamed_bytes;  /* sent of earlier pieces */
    http_stream_fn *ready;    /* and its argument */
    void *ready_arg;
    uint64_t begun_us, bytes_in;
    char remote[64];

    void (*run)(struct http_request *request, void *arg); /* a posted completion */
    void *arg;
    struct http_exchange *posted_next;
};

enum http_connection_state {
    HTTP_CONNECTION_IDLE,
    HTTP_CONNECTION_HEADER,
    HTTP_CONNECTION_BODY,
    HTTP_CONNECTION_DISCARD,
};

enum http_connection_end {
    HTTP_CONNECTION_OPEN,
    HTTP_CONNECTION_CLOSE,  /* everything is said */
    HTTP_CONNECTION_LINGER, /* likewise, but the client may still be sending: see linger_timeout_ms */
};

struct http_connection {
    struct http_core *core;
    void *owner;
    enum http_connection_state state;
    bool draining, linger, eof;
    bool header_done, message_done; /* set by the parser's callbacks */
    int refusal;                    /* status wanted by a callback, with `reason` */
    const char *reason;
    struct http_exchange *first, *last; /* in order of arrival */
    size_t count, bytes;                /* of the exchanges, and of bodies and answers in them */
    struct http_exchange *receiving;    /* the one whose header was read and whose body was not */
    struct http_field *fields;          /* of `receiving`, while its header is parsed */
    size_t fields_room;
    size_t body_max;
    size_t frame_bytes; /* of the body as sent, with chunk framing */
    struct http_scan scan;
    struct buf header; /* of a header block that came in pieces */
    struct buf held;   /* input not looked at because the pipeline is full */
    uint64_t begun_us; /* the first byte of the request being read */
    uint64_t since_us; /* the state's deadline counts from here */
    llhttp_t parser;
    char remote[64];
};

void http_core_init(struct http_core *core, const struct http_options *options, const struct http_router *router,
                    unsigned loop_index);
void http_core_fini(struct http_core *core);
/* Sets the time for deadlines and for Date. */
void http_core_clock(struct http_core *core, uint64_t monotonic_us, int64_t unix_s);

void http_connection_init(struct http_connection *connection, struct http_core *core, const char *remote, void *owner);
/* The connection is gone: requests with handlers live on without it. */
void http_connection_fini(struct http_connection *connection);

void http_connection_feed(struct http_connection *connection, const char *data, size_t size);
/* The client sends no more. */
void http_connection_eof(struct http_connection *connection);
/* The server is going down: no further request is begun. */
void http_connection_drain(struct http_connection *connection);
/* Answers what is being read with an error, and reads no more. Also before anything was read. */
void http_connection_refuse(struct http_connection *connection, int status, const char *format, ...) PRINTF_LIKE(3, 4);
bool http_connection_wants_input(const struct http_connection *connection);

/* In the core's microseconds; UINT64_MAX for none. When it has passed, call _expire. */
uint64_t http_connection_deadline_us(const struct http_connection *connection);
void http_connection_expire(struct http_connection *connection);

/* Fills pieces[] with output that is ready, in order; returns how many. They stay valid until _sent covers
 * them. */
size_t http_connection_output(const struct http_connection *connection, struct str *pieces, size_t max);
void http_connection_sent(struct http_connection *connection, size_t size);
enum http_connection_end http_connection_end(const struct http_connection *connection);

/* ---- between the parts ---- */

/* The part after the first byte of a request (message.c): how much of the bytes belonged to the header, or to
 * the body. */
size_t http_message_header(struct http_connection *connection, const char *data, size_t size);
size_t http_message_body(struct http_connection *connection, const char *data, size_t size);
/* No further request is read (connection.c). */
void http_connection_discard(struct http_connection *connection);

/* exchange.c. The new one is the last of its connection. */
struct http_exchange *http_exchange_new(struct http_connection *connection);
/* Unlinked from its connection already. */
void http_exchange_free(struct http_exchange *exchange);
/* Takes the first exchange off its connection. */
struct http_exchange *http_exchange_shift(struct http_connection *connection);
/* A request that will never be complete leaves without a trace. */
void http_exchange_drop_receiving(struct http_connection *connection);
/* Has the error answered by options.render_error, or by the default when that forgets to. */
void http_exchange_render(struct http_exchange *exchange, int status, const struct error *error);
/* The answer is in head and payload. */
void http_exchange_answered(struct http_exchange *exchange);
/* The lines in front of a body of so many bytes, or of HTTP_BODY_STREAMED (response.c). */
#define HTTP_BODY_STREAMED SIZE_MAX
void http_exchange_head(struct http_exchange *exchange, int status, const char *content_type, size_t body_size);
/* All of a piece is with the kernel, or never will be: the handler's turn (stream.c). */
void http_exchange_piece_done(struct http_exchange *exchange);
/* Reports to options.on_finished (response.c). */
void http_exchange_finished(struct http_exchange *exchange);
