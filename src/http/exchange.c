#include "http/connection.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { POOL_MAX = 64 };

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

struct http_exchange *http_exchange_new(struct http_connection *connection)
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
    exchange->request.body_file = -1;
    exchange->fields = BUF_INIT(64 << 10);
    exchange->request.arena = arena;
    exchange->request.loop_index = core->loop_index;
    exchange->request.id = (uint64_t)core->loop_index << 48 | core->requests;
    exchange->request.context = core->options->context;
    exchange->request.method = HTTP_METHOD_OTHER;
    exchange->request.remote_address = str_of(exchange->remote);

    if (connection->last)
        connection->last->next = exchange;
    else
        connection->first = exchange;
    connection->last = exchange;
    connection->count++;
    return exchange;
}

/* Unlinked from its connection already. */
void http_exchange_free(struct http_exchange *exchange)
{
    struct http_core *core = exchange->core;
    core->bodies_bytes -= exchange->body.size;
    if (exchange->request.body_file >= 0) {
        core->body_files_bytes -= exchange->received;
        close(exchange->request.body_file);
    }
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
struct http_exchange *http_exchange_shift(struct http_connection *connection)
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
void http_exchange_drop_receiving(struct http_connection *connection)
{
    struct http_exchange *exchange = connection->receiving, *previous = NULL;
    if (!exchange) return;
    for (struct http_exchange *e = connection->first; e != exchange; e = e->next) previous = e;
    if (previous)
        previous->next = NULL;
    else
        connection->first = NULL;
    connection->last = previous;
    connection->count--;
    connection->bytes -= exchange_bytes(exchange);
    connection->receiving = NULL;
    http_exchange_free(exchange);
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
        http_exchange_free(exchange);
    }
}

void http_exchange_render(struct http_exchange *exchange, int status, const struct error *error)
{
    const struct http_options *options = exchange->core->options;
    options->render_error(&exchange->request, status, error);
    if (exchange->state != HTTP_EXCHANGE_ANSWERED) http_render_error_json(&exchange->request, status, error);
}
