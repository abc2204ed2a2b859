#pragma once
/*
 * One event loop of the server: its listeners, its connections (peers) and the requests that other threads
 * complete. Private to http/.
 *
 * Threads: http_loop_init and _fini by the server's owner while no thread runs the loop; http_loop_run by
 * the loop's thread; http_loop_kick from any thread. Everything else happens inside http_loop_run.
 */
#include "http/connection.h"
#include "http/socket.h"

struct http_peer;

/* What the loops of one server share. */
struct http_shared {
    const struct http_options *options;
    const struct http_router *router;
    atomic_size_t connections;        /* of all loops */
    _Atomic(uint64_t) drain_until_us; /* monotonic; UINT64_MAX: not draining */
};

struct http_loop {
    struct http_core core; /* first: exchanges know their core, and so their loop */
    struct http_shared *shared;
    uv_loop_t uv;
    uv_async_t async;
    uv_timer_t tick;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_tcp_t *listeners; /* one per address */
    size_t listener_count, listener_open_count;
    struct http_peer *peers;                /* doubly linked */
    struct http_peer *woken;                /* connections whose output is to be looked at */
    bool draining;                          /* nothing is accepted */
    bool idle_ended;                        /* connections without a request are closed */
    _Atomic(struct http_exchange *) posted; /* completions, newest first */
    atomic_uint posters;                    /* threads inside http_request_complete() */
    struct http_read_buffer read_buffer;
};

/* Opens options.listen; ports[] holds the ports that another loop got for port 0, or zeros. */
enum status http_loop_init(struct http_loop *loop, struct http_shared *shared, unsigned index, const unsigned *ports,
                           struct error *error) MUST_USE;
void http_loop_fini(struct http_loop *loop);
/* Until drained. */
void http_loop_run(struct http_loop *loop);
/* Makes the loop look at `drain_until_us`. Signal handlers too. */
void http_loop_kick(struct http_loop *loop);
