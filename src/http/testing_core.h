#pragma once
/*
 * For tests and the fuzzer: a connection driven by arrays and a clock that stands still, instead of a socket
 * and a loop. Handlers that answer later leave their requests in `later`.
 */
#include "http/connection.h"

#include <stdlib.h>

enum { TESTING_LATER_MAX = 512 };

struct testing_core {
    struct http_options options;
    struct http_router *router;
    struct http_core core;
    struct http_connection connection;
    struct buf out;
    struct http_request *later[TESTING_LATER_MAX];
    size_t later_count;
    size_t handled, finished, finished_unanswered;
    unsigned wakes;
};

static inline void testing_core_wake(void *owner)
{
    ((struct testing_core *)owner)->wakes++;
}

/* There is no other thread: a posted completion runs at once. */
static inline void testing_core_post(struct http_exchange *exchange)
{
    exchange->run(&exchange->request, exchange->arg);
}

static inline void testing_core_finished(void *context, const struct http_access *access)
{
    struct testing_core *t = context;
    t->finished++;
    if (access->status == 0) t->finished_unanswered++;
}

static inline void testing_core_at_ms(struct testing_core *t, uint64_t now_ms)
{
    http_core_clock(&t->core, now_ms * 1000, 1795300387 + (int64_t)(now_ms / 1000));
}

static inline void testing_core_init(struct testing_core *t, const struct http_route *routes, size_t count)
{
    *t = (struct testing_core){.out = BUF_INIT((size_t)256 << 20)};
    http_options_default(&t->options);
    t->options.context = t;
    t->options.on_finished = testing_core_finished;
    if (http_router_new(routes, count, NULL, &t->router) != STATUS_OK) abort();
    http_core_init(&t->core, &t->options, t->router, 0);
    t->core.wake = testing_core_wake;
    t->core.post = testing_core_post;
    testing_core_at_ms(t, 0);
    http_connection_init(&t->connection, &t->core, "192.0.2.1", t);
}

static inline void testing_core_fini(struct testing_core *t)
{
    http_connection_fini(&t->connection);
    for (size_t i = 0; i < t->later_count; i++) {
        if (t->later[i]) http_respond(t->later[i], 200, "text/plain", STR("late"));
    }
    http_core_fini(&t->core);
    http_router_free(t->router);
    buf_fini(&t->out);
}

/* Takes all output there is, `step` bytes at a time. */
static inline void testing_core_pump(struct testing_core *t, size_t step)
{
    struct str pieces[8];
    size_t count;
    while ((count = http_connection_output(&t->connection, pieces, 8)) > 0) {
        size_t sent = 0;
        for (size_t i = 0; i < count && sent < step; i++) {
            struct str part = str_slice(pieces[i], 0, step - sent);
            buf_str_add(&t->out, part);
            sent += part.size;
        }
        http_connection_sent(&t->connection, sent);
    }
}

/* Feeds as a loop would: only while the connection wants input. Returns what was fed. */
static inline size_t testing_core_feed(struct testing_core *t, struct str bytes)
{
    if (!http_connection_wants_input(&t->connection)) return 0;
    http_connection_feed(&t->connection, bytes.data, bytes.size);
    return bytes.size;
}

/* For handlers that answer later: keeps the request. False when there is no more room. */
static inline bool testing_core_keep(struct http_request *request)
{
    struct testing_core *t = request->context;
    if (t->later_count == TESTING_LATER_MAX) return false;
    t->later[t->later_count++] = request;
    return true;
}
