/*
 * One turn of the loop:
 *
 *     timers      deadlines of all peers, the end of a drain
 *     prepare     flush what timers have answered
 *     poll        accept; read -> connection -> handlers; completions that other threads have posted
 *     check       flush: one write per connection for all that was answered in this turn
 *
 * Nothing is written while requests are being handled: a connection with new output is put on the `woken`
 * list once, and flushed at the end of the turn. So the answers of pipelined requests, and those that one
 * group commit has released, share a system call.
 *
 * Completions come through a stack that threads push on without a lock and that the loop takes whole; only
 * the thread that finds it empty wakes the loop. The loop, the stack and the async handle live until
 * http_loop_fini(), which waits for threads that are still between pushing and waking: they touch nothing of
 * the request then.
 */
#include "http/loop.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>

#include "os/clock.h"

enum {
    TICK_MS_MIN = 5,
    TICK_MS_MAX = 500,
    WRITE_LATER_BYTES_MAX = 64 << 10, /* what write_timeout_ms is for */
    REFUSED_MAX = 64,                 /* connections over the limit that are told so at the same time */
};

struct http_peer {
    struct http_socket socket; /* first */
    struct http_connection connection;
    struct http_loop *loop;
    struct http_peer *previous, *next, *woken_next;
    bool woken, writing, lingering, closed;
    size_t writing_size;
    uint64_t until_us; /* of writing or lingering */
};

static struct http_peer *peer_of(struct http_socket *socket)
{
    return (struct http_peer *)socket;
}

static void clock_read(struct http_loop *loop)
{
    http_core_clock(&loop->core, (uint64_t)os_monotonic_ns() / 1000, os_now_ms() / 1000);
}

/* ---- peers ---- */

static void wake(void *owner)
{
    struct http_peer *peer = owner;
    if (peer->woken || peer->closed) return;
    peer->woken = true;
    peer->woken_next = peer->loop->woken;
    peer->loop->woken = peer;
}

static void peer_close(struct http_peer *peer)
{
    if (peer->closed) return;
    peer->closed = true;
    http_connection_fini(&peer->connection);
    http_socket_close(&peer->socket);
}

static void on_closed(struct http_socket *socket)
{
    struct http_peer *peer = peer_of(socket);
    struct http_loop *loop = peer->loop;
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        loop->peers = peer->next;
    if (peer->next) peer->next->previous = peer->previous;
    /* Closing callbacks run after the check phase, when nobody is on the list any more. */
    assert(!peer->woken);
    atomic_fetch_sub(&loop->shared->connections, 1);
    free(peer);
}

static void on_read(struct http_socket *socket, const char *data, size_t size)
{
    struct http_peer *peer = peer_of(socket);
    clock_read(peer->loop);
    http_connection_feed(&peer->connection, data, size);
    if (!http_connection_wants_input(&peer->connection)) http_socket_read(socket, false);
    wake(peer);
}

static void on_eof(struct http_socket *socket)
{
    struct http_peer *peer = peer_of(socket);
    clock_read(peer->loop);
    http_connection_eof(&peer->connection);
    wake(peer);
}

static void on_failed(struct http_socket *socket)
{
    peer_close(peer_of(socket));
}

static void on_written(struct http_socket *socket)
{
    struct http_peer *peer = peer_of(socket);
    clock_read(peer->loop);
    peer->writing = false;
    http_connection_sent(&peer->connection, peer->writing_size);
    wake(peer);
}

static const struct http_socket_events peer_events = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_failed = on_failed,
    .on_written = on_written,
    .on_closed = on_closed,
};

static size_t pieces_size(const struct str *pieces, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) size += pieces[i].size;
    return size;
}

/* Cuts the pieces to at most `size_max` bytes; returns how many are left. */
static size_t pieces_cut(struct str *pieces, size_t count, size_t size_max)
{
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].size >= size_max) {
            pieces[i].size = size_max;
            return i + 1;
        }
        size_max -= pieces[i].size;
    }
    return count;
}

/* Hands all output to the kernel. False when the peer is gone or has to be waited for. */
static bool peer_write(struct http_peer *peer)
{
    struct http_connection *connection = &peer->connection;
    struct str pieces[HTTP_SOCKET_PIECES_MAX];
    while (!peer->writing) {
        size_t count = http_connection_output(connection, pieces, HTTP_SOCKET_PIECES_MAX);
        if (count == 0) return true;
        ssize_t written = http_socket_write_now(&peer->socket, pieces, count);
        if (written < 0) {
            peer_close(peer);
            return false;
        }
        bool all = (size_t)written == pieces_size(pieces, count);
        http_connection_sent(connection, (size_t)written);
        if (all) continue;

        count = http_connection_output(connection, pieces, HTTP_SOCKET_PIECES_MAX);
        count = pieces_cut(pieces, count, WRITE_LATER_BYTES_MAX);
        peer->writing = true;
        peer->writing_size = pieces_size(pieces, count);
        peer->until_us = peer->loop->core.now_us + peer->loop->shared->options->write_timeout_ms * 1000;
        if (!http_socket_write_later(&peer->socket, pieces, count)) peer_close(peer);
    }
    return false;
}

static void peer_flush(struct http_peer *peer)
{
    if (peer->closed || peer->lingering || !peer_write(peer)) {
        if (!peer->closed && peer->lingering && peer->connection.eof) peer_close(peer);
        return;
    }
    switch (http_connection_end(&peer->connection)) {
    case HTTP_CONNECTION_OPEN: http_socket_read(&peer->socket, http_connection_wants_input(&peer->connection)); break;
    case HTTP_CONNECTION_CLOSE: peer_close(peer); break;
    case HTTP_CONNECTION_LINGER:
        peer->lingering = true;
        peer->until_us = peer->loop->core.now_us + peer->loop->shared->options->linger_timeout_ms * 1000;
        http_socket_shutdown(&peer->socket);
        http_socket_read(&peer->socket, true);
        break;
    }
}

static void flush(struct http_loop *loop)
{
    if (!loop->woken) return;
    clock_read(loop);
    while (loop->woken) {
        struct http_peer *peer = loop->woken;
        loop->woken = peer->woken_next;
        peer->woken = false;
        peer_flush(peer);
    }
}

/* ---- accepting ---- */

static void on_connection(uv_stream_t *listener, int code)
{
    struct http_loop *loop = listener->data;
    const struct http_options *options = loop->shared->options;
    bool secure = http_address_is_secure(options->listen[(uv_tcp_t *)listener - loop->listeners]);
    if (code < 0) return; /* out of descriptors, or the client has left already */
    struct http_peer *peer = calloc(1, sizeof *peer);
    if (!peer) abort();
    char remote[64];
    size_t connections = atomic_fetch_add(&loop->shared->connections, 1), max = options->connections_max;
    clock_read(loop);
    peer->loop = loop;
    peer->next = loop->peers;
    if (peer->next) peer->next->previous = peer;
    loop->peers = peer;
    if (http_socket_accept(&peer->socket, listener, secure ? options->tls : NULL, &peer_events, &loop->read_buffer) !=
        STATUS_OK) {
        peer->closed = true;
        return;
    }
    http_socket_peer(&peer->socket, remote, sizeof remote);
    http_connection_init(&peer->connection, &loop->core, remote, peer);
    if (connections >= max) {
        if (connections - max >= REFUSED_MAX) {
            peer_close(peer);
            return;
        }
        http_connection_refuse(&peer->connection, 503, "too many connections");
    }
    wake(peer);
}

static void listeners_close(struct http_loop *loop)
{
    for (size_t i = 0; i < loop->listener_open_count; i++) uv_close((uv_handle_t *)&loop->listeners[i], NULL);
    loop->listener_open_count = 0;
}

/* ---- draining, deadlines ---- */

static void drain_check(struct http_loop *loop)
{
    uint64_t until_us = atomic_load(&loop->shared->drain_until_us);
    if (until_us == UINT64_MAX) return;
    clock_read(loop);
    if (!loop->draining) {
        /* A request may already lie in the kernel for a connection that looks idle: it is read in this turn,
         * and answered as the last one of its connection. */
        loop->draining = true;
        listeners_close(loop);
        for (struct http_peer *peer = loop->peers; peer; peer = peer->next) peer->connection.draining = true;
        uv_async_send(&loop->async);
    } else if (!loop->idle_ended) {
        loop->idle_ended = true;
        for (struct http_peer *peer = loop->peers; peer; peer = peer->next) {
            if (peer->closed) continue;
            http_connection_drain(&peer->connection);
            wake(peer);
        }
    }
    if (loop->core.now_us < until_us) return;
    /* Time is up. What is answered already gets one more chance to leave. */
    flush(loop);
    for (struct http_peer *peer = loop->peers; peer; peer = peer->next) peer_close(peer);
}

static void on_tick(uv_timer_t *timer)
{
    struct http_loop *loop = timer->data;
    clock_read(loop);
    uint64_t now_us = loop->core.now_us;
    for (struct http_peer *peer = loop->peers; peer; peer = peer->next) {
        if (peer->closed) continue;
        if ((peer->writing || peer->lingering) && now_us >= peer->until_us) {
            peer_close(peer);
        } else if (now_us >= http_connection_deadline_us(&peer->connection)) {
            http_connection_expire(&peer->connection);
            wake(peer);
        }
    }
    drain_check(loop);
}

static uint64_t tick_ms(const struct http_options *options)
{
    const uint64_t timeouts[] = {options->header_timeout_ms, options->body_timeout_ms, options->idle_timeout_ms,
                                 options->write_timeout_ms, options->linger_timeout_ms};
    uint64_t tick = TICK_MS_MAX;
    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
        if (timeouts[i] / 8 < tick) tick = timeouts[i] / 8;
    }
    return tick < TICK_MS_MIN ? TICK_MS_MIN : tick;
}

/* ---- completions ---- */

static void post(struct http_exchange *exchange)
{
    struct http_loop *loop = (struct http_loop *)exchange->core;
    atomic_fetch_add(&loop->posters, 1);
    struct http_exchange *newest = atomic_load_explicit(&loop->posted, memory_order_relaxed);
    do {
        exchange->posted_next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posted, &newest, exchange, memory_order_acq_rel,
                                                    memory_order_relaxed));
    if (!newest) uv_async_send(&loop->async);
    atomic_fetch_sub(&loop->posters, 1);
}

static void on_async(uv_async_t *async)
{
    struct http_loop *loop = async->data;
    struct http_exchange *newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acq_rel), *oldest = NULL;
    clock_read(loop);
    while (newest) {
        struct http_exchange *next = newest->posted_next;
        newest->posted_next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct http_exchange *exchange = oldest;
        oldest = exchange->posted_next;
        exchange->run(&exchange->request, exchange->arg);
    }
    drain_check(loop);
}

/* ---- life ---- */

static void on_prepare(uv_prepare_t *prepare)
{
    flush(prepare->data);
}
static void on_check(uv_check_t *check)
{
    flush(check->data);
}

enum status http_loop_init(struct http_loop *loop, struct http_shared *shared, unsigned index, const unsigned *ports,
                           struct error *error)
{
    const struct http_options *options = shared->options;
    http_core_init(&loop->core, options, shared->router, index);
    loop->core.wake = wake;
    loop->core.post = post;
    loop->shared = shared;
    loop->listener_count = options->listen_count;
    loop->listeners = calloc(options->listen_count + 1, sizeof *loop->listeners);
    if (!loop->listeners || uv_loop_init(&loop->uv) != 0) abort();
    if (uv_async_init(&loop->uv, &loop->async, on_async) != 0) abort();
    uv_timer_init(&loop->uv, &loop->tick);
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    loop->async.data = loop->tick.data = loop->prepare.data = loop->check.data = loop;

    for (size_t i = 0; i < options->listen_count; i++) {
        uv_tcp_t *listener = &loop->listeners[i];
        TRY(http_listener_open(&loop->uv, listener, options->listen[i], ports[i], options->loops > 1, error));
        loop->listener_open_count++;
        listener->data = loop;
        int code = uv_listen((uv_stream_t *)listener, 1024, on_connection);
        if (code != 0) return error_set_os(error, STATUS_IO, -code, "cannot listen on %s", options->listen[i]);
    }
    return STATUS_OK;
}

static void close_left(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void http_loop_fini(struct http_loop *loop)
{
    while (atomic_load(&loop->posters) > 0) sched_yield();
    assert(!loop->peers);
    uv_walk(&loop->uv, close_left, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int code = uv_loop_close(&loop->uv);
    assert(code == 0);
    http_core_fini(&loop->core);
    free(loop->listeners);
}

void http_loop_run(struct http_loop *loop)
{
    const struct http_options *options = loop->shared->options;
    clock_read(loop);
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    uv_timer_start(&loop->tick, on_tick, tick_ms(options), tick_ms(options));
    if (options->on_loop_start) options->on_loop_start(options->context, loop->core.loop_index, &loop->uv);
    drain_check(loop);
    while (!loop->draining || loop->peers || loop->core.exchange_count > 0) uv_run(&loop->uv, UV_RUN_ONCE);
    if (options->on_loop_stop) options->on_loop_stop(options->context, loop->core.loop_index, &loop->uv);
    uv_prepare_stop(&loop->prepare);
    uv_check_stop(&loop->check);
    uv_timer_stop(&loop->tick);
    uv_run(&loop->uv, UV_RUN_NOWAIT); /* for what the application has closed */
}

void http_loop_kick(struct http_loop *loop)
{
    uv_async_send(&loop->async);
}
