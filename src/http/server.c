#include "http/server.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/loop.h"
#include "os/clock.h"

struct worker {
    struct http_loop loop;
    pthread_t thread;
};

struct http_server {
    struct http_options options;
    struct http_router *router;
    struct http_shared shared;
    struct worker *workers;
    unsigned ready; /* workers[] initialised */
    bool ran;
    struct bound {
        char url[80];
        unsigned port;
    } * bound; /* one per address */
};

void http_options_default(struct http_options *options)
{
    *options = (struct http_options){
        .loops = 1,
        .header_bytes_max = 64 << 10,
        .target_bytes_max = 63 << 10,
        .fields_max = 200,
        .body_bytes_max = 10 << 20,
        .bodies_bytes_max = 1 << 30,
        .body_directory = "/tmp",
        .body_files_bytes_max = 1 << 30,
        .arena_bytes_max = 64 << 20,
        .connections_max = 10000,
        .pipeline_max = 128,
        .pipeline_bytes_max = 16 << 20,
        .header_timeout_ms = 10 * 1000,
        .body_timeout_ms = 60 * 1000,
        .idle_timeout_ms = 75 * 1000,
        .write_timeout_ms = 30 * 1000,
        .linger_timeout_ms = 5 * 1000,
        .render_error = http_render_error_json,
    };
}

enum status http_server_new(const struct http_options *options, struct error *error, struct http_server **ret_server)
{
    struct http_router *router;
    unsigned loops = options->loops ? options->loops : 1;
    if (options->listen_count == 0) return error_set(error, STATUS_INVALID, "no address to listen on");
    for (size_t i = 0; i < options->listen_count; i++) {
        if (http_address_is_secure(options->listen[i]) && !options->tls)
            return error_set(error, STATUS_INVALID, "cannot listen on %s without a certificate", options->listen[i]);
    }
    TRY(http_router_new(options->routes, options->route_count, error, &router));

    struct http_server *server = calloc(1, sizeof *server);
    unsigned *ports = calloc(options->listen_count, sizeof *ports);
    if (!server || !ports) abort();
    server->options = *options;
    server->options.loops = loops;
    if (!server->options.render_error) server->options.render_error = http_render_error_json;
    server->router = router;
    server->shared.options = &server->options;
    server->shared.router = router;
    atomic_init(&server->shared.connections, 0);
    atomic_init(&server->shared.drain_until_us, UINT64_MAX);
    server->workers = calloc(loops, sizeof *server->workers);
    server->bound = calloc(options->listen_count, sizeof *server->bound);
    if (!server->workers || !server->bound) abort();

    enum status status = STATUS_OK;
    for (unsigned i = 0; i < loops && status == STATUS_OK; i++) {
        struct http_loop *loop = &server->workers[i].loop;
        status = http_loop_init(loop, &server->shared, i, ports, error);
        server->ready = i + 1;
        if (i > 0 || status != STATUS_OK) continue;
        for (size_t l = 0; l < options->listen_count; l++) {
            struct bound *bound = &server->bound[l];
            char name[64];
            bound->port = ports[l] = http_listener_name(&loop->listeners[l], name, sizeof name);
            snprintf(bound->url, sizeof bound->url, "%s://%s",
                     http_address_is_secure(options->listen[l]) ? "https" : "http", name);
        }
    }
    free(ports);
    if (status != STATUS_OK) {
        http_server_free(server);
        return status;
    }
    *ret_server = server;
    return STATUS_OK;
}

void http_server_free(struct http_server *server)
{
    if (!server) return;
    for (unsigned i = 0; i < server->ready; i++) http_loop_fini(&server->workers[i].loop);
    http_router_free(server->router);
    free(server->workers);
    free(server->bound);
    free(server);
}

const char *http_server_url(const struct http_server *server, size_t index)
{
    assert(index < server->options.listen_count);
    return server->bound[index].url;
}

unsigned http_server_port(const struct http_server *server, size_t index)
{
    assert(index < server->options.listen_count);
    return server->bound[index].port;
}

static void *worker_run(void *arg)
{
    struct worker *worker = arg;
    /* A write to a connection that the client has reset is an error code here, not the end of the process. */
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    http_loop_run(&worker->loop);
    return NULL;
}

enum status http_server_run(struct http_server *server, struct error *error)
{
    assert(!server->ran);
    server->ran = true;
    enum status status = STATUS_OK;
    unsigned started = 1;
    /* The other loops' threads take no signals: those belong to the application's threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; started < server->options.loops; started++) {
        int code = pthread_create(&server->workers[started].thread, NULL, worker_run, &server->workers[started]);
        if (code == 0) continue;
        status = error_set_os(error, STATUS_IO, code, "cannot start a thread for loop %u", started);
        http_server_stop(server);
        break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    worker_run(&server->workers[0]);
    for (unsigned i = 1; i < started; i++) pthread_join(server->workers[i].thread, NULL);
    return status;
}

void http_server_drain(struct http_server *server, uint64_t deadline_ms)
{
    uint64_t now_us = (uint64_t)os_monotonic_ns() / 1000, until_us;
    if (__builtin_mul_overflow(deadline_ms, 1000, &until_us) || __builtin_add_overflow(until_us, now_us, &until_us) ||
        until_us == UINT64_MAX) {
        until_us = UINT64_MAX - 1;
    }
    uint64_t current = atomic_load(&server->shared.drain_until_us);
    while (until_us < current && !atomic_compare_exchange_weak(&server->shared.drain_until_us, &current, until_us)) {
    }
    for (unsigned i = 0; i < server->options.loops; i++) http_loop_kick(&server->workers[i].loop);
}

void http_server_stop(struct http_server *server)
{
    http_server_drain(server, 0);
}
