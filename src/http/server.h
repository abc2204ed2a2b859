#pragma once
/*
 * The HTTP/1.1 server: libuv loops, one per thread, each with its own listening sockets (SO_REUSEPORT);
 * llhttp in strict mode for the grammar; this server for everything llhttp leaves open (framing attacks,
 * limits, deadlines).
 *
 * Life: options_default, fill in, new (binds the addresses: errors show here), run (blocks until drained),
 * free.
 * Ownership: the routes and texts that `struct http_options` points to are read as long as the server
 * lives; the caller keeps them. The options themselves are copied.
 * Threads: handlers, render_error and the hooks run on loop threads; drain and stop may be called from
 * anywhere.
 * Errors: new returns STATUS_INVALID for a malformed address or route, STATUS_IO when a socket cannot be
 * had. Afterwards nothing a client does makes the server fail; what a client did wrong is answered to it,
 * in the form of render_error:
 *
 *     400  malformed; no Host or two; two Content-Lengths; Content-Length with Transfer-Encoding;
 *          a folded line; a bare CR, bare LF or NUL; a target that is no path; a damaged gzip body
 *     404  no such route
 *     405  not this method (with Allow)
 *     408  header or body not there by its deadline, counted from its first byte
 *     413  body (as sent or decompressed) larger than the route's limit: decided before the body is
 *          read where the length is declared
 *     414  target too long
 *     415  Content-Encoding other than gzip, deflate, identity
 *     417  Expect other than 100-continue
 *     431  header too long, too many fields
 *     501  Transfer-Encoding other than chunked; CONNECT
 *     503  too many connections, or too many body bytes held at once, or the disk has no room for them
 *     505  not HTTP/1.0 or 1.1
 *
 * After an answer that leaves the position in the byte stream in doubt the connection is closed.
 */
#include "http/request.h"

struct uv_loop_s;
struct http_server;

/* The certificate and the key of https:// listeners. Made before the server, freed after it. */
struct http_tls_context;
/* Reads a PEM file with the certificate and the chain behind it, and one with its private key. INVALID for files that
 * are something else or do not belong together, IO when they cannot be read. */
enum status http_tls_context_new(const char *certificate_path, const char *key_path, struct error *error,
                                 struct http_tls_context **ret_context) MUST_USE;
/* NULL is allowed. */
void http_tls_context_free(struct http_tls_context *context);
/* Reads both files again, for the connections from now on; any thread. After a failure the old ones stay in use. */
enum status http_tls_context_reload(struct http_tls_context *context, struct error *error) MUST_USE;

enum {
    /* Do not look at Content-Encoding: the handler takes the bytes as they came. */
    HTTP_ROUTE_BODY_AS_SENT = 1 << 0,
    /* The body may be too large for memory: it goes, as it was sent, to request->body_file while it arrives. */
    HTTP_ROUTE_BODY_IN_FILE = 1 << 1,
};

/*
 * One row of the routing table. A path is a literal (`/track`) or has segments that match anything and are
 * captured (`/lookup-tables/{id}`). A literal path wins over a pattern, patterns are tried in table order. A
 * slash at the end of the request's path is ignored; the server never redirects. HEAD is allowed wherever
 * GET is. The same path may stand in several rows with different methods.
 */
struct http_route {
    unsigned methods; /* HTTP_METHOD_… bits */
    const char *path;
    void (*handler)(struct http_request *request);
    size_t body_bytes_max; /* 0: the server's */
    unsigned flags;        /* HTTP_ROUTE_… bits */
    const void *user;      /* the application's: request->route->user */
};

/* One finished request, for metrics and the access log. The request's fields are still there. */
struct http_access {
    const struct http_request *request;
    int status; /* 0: the client went away before it was answered */
    uint64_t bytes_in, bytes_out;
    uint64_t duration_us; /* from the request's first byte to the answer's last byte given to the kernel */
};

struct http_options {
    const char *const *listen; /* "127.0.0.1:8080", "[::1]:8080", "https://0.0.0.0:0"; port 0 picks a free one */
    size_t listen_count;
    struct http_tls_context *tls; /* of the https:// ones; may be NULL when there are none */
    unsigned loops;               /* threads, the caller of run among them */

    const struct http_route *routes;
    size_t route_count;
    void *context; /* request->context */

    size_t header_bytes_max;       /* 64 KiB: request line and fields together */
    size_t target_bytes_max;       /* 64 KiB - 1 KiB: pixels carry their data in the query */
    size_t fields_max;             /* 200 */
    size_t body_bytes_max;         /* 10 MiB, where the route says nothing */
    size_t bodies_bytes_max;       /* 1 GiB: of all bodies held at once on one loop */
    const char *body_directory;    /* /tmp: where the files of HTTP_ROUTE_BODY_IN_FILE are, without a name */
    uint64_t body_files_bytes_max; /* 1 GiB: of all those on one loop */
    size_t arena_bytes_max;        /* 64 MiB: budget of a request's arena */
    size_t connections_max;        /* 10000, all loops together */
    size_t pipeline_max;           /* 128 requests in flight on one connection; no more are read then */
    size_t pipeline_bytes_max;     /* 16 MiB of bodies and unsent answers on one connection, likewise */
    uint64_t header_timeout_ms;    /* 10 s from the first byte of a request, however it dribbles */
    uint64_t body_timeout_ms;      /* 60 s from the end of the header, likewise; a second more for each 64 KiB that
                                      came of a body that goes to a file */
    uint64_t idle_timeout_ms;      /* 75 s without a request */
    uint64_t write_timeout_ms;     /* 30 s for 64 KiB of an answer to be taken */
    uint64_t linger_timeout_ms;    /* 5 s: what is still arriving after a refusal is read and dropped for so
                                      long, so that the answer is not lost to a reset */

    /* Answers the request, with http_respond(), before it returns. The request may be incomplete: a malformed
     * one has no path. `error` is never NULL. Default: http_render_error_json. */
    void (*render_error)(struct http_request *request, int status, const struct error *error);
    /* Called once per finished request on its loop; NULL for none. */
    void (*on_finished)(void *context, const struct http_access *access);
    /* Called on each loop's thread before its first and after its last request; NULL for none. Handles that
     * the application puts on the loop are to be closed by on_loop_stop. */
    void (*on_loop_start)(void *context, unsigned loop_index, struct uv_loop_s *loop);
    void (*on_loop_stop)(void *context, unsigned loop_index, struct uv_loop_s *loop);
};

/* Everything at the defaults named above, one loop, no address, no route. */
void http_options_default(struct http_options *options);

/* Binds the addresses and listens: connections queue in the kernel from here on. */
enum status http_server_new(const struct http_options *options, struct error *error,
                            struct http_server **ret_server) MUST_USE;
/* Not while run() is running. NULL is allowed. */
void http_server_free(struct http_server *server);

/* Where options.listen[index] listens, with the real port: "http://127.0.0.1:40123". Valid as long as the
 * server. */
const char *http_server_url(const struct http_server *server, size_t index);
unsigned http_server_port(const struct http_server *server, size_t index);

/* Serves until drained; the calling thread becomes loop 0 and is left with SIGPIPE blocked. The other loops'
 * threads take no signals. Once per server. */
enum status http_server_run(struct http_server *server, struct error *error) MUST_USE;

/* Stops accepting, closes idle connections, finishes requests that have begun (half-received ones too) and
 * answers them with `Connection: close`; what is not done after `deadline_ms` is cut. run() returns when
 * every connection is closed and every request answered: requests that are with a worker thread are waited
 * for, http_request_cancelled() is true for them. Any thread, signal handlers too; before run() as well; a
 * later call can only shorten the deadline. */
void http_server_drain(struct http_server *server, uint64_t deadline_ms);
/* drain with no time left. */
void http_server_stop(struct http_server *server);
