/*
 * The server as a whole: real sockets, several loops, handlers that answer from other threads, limits on
 * connections and time, and the drain. Where time is involved the deadlines are short and the tests wait for
 * the event itself, so that a slow machine makes them slow and not wrong.
 */
#include "http/testing.h"

#include <stdatomic.h>

#define H "Host: a\r\n"

/* What the handlers and the hooks have seen; guarded by `lock`, `changed` is signalled with every change. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_request *kept[256];
    size_t kept_count;
    size_t finished, unanswered, loops_started, loops_stopped;
    unsigned loops_seen; /* bits */
    bool blocked;
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct testing server;

static void echo(struct http_request *request)
{
    pthread_mutex_lock(&seen.lock);
    seen.loops_seen |= 1u << request->loop_index;
    pthread_mutex_unlock(&seen.lock);
    http_respond(request, 200, "text/plain", request->query.size ? request->query : request->body);
}

static void keep(struct http_request *request)
{
    pthread_mutex_lock(&seen.lock);
    assert_true(seen.kept_count < 256);
    seen.kept[seen.kept_count++] = request;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

/* Stops the loop until the test says so. */
static void block(struct http_request *request)
{
    pthread_mutex_lock(&seen.lock);
    seen.blocked = true;
    pthread_cond_broadcast(&seen.changed);
    while (seen.blocked) pthread_cond_wait(&seen.changed, &seen.lock);
    pthread_mutex_unlock(&seen.lock);
    http_respond(request, 200, "text/plain", STR("unblocked"));
}

static void big(struct http_request *request)
{
    struct buf body = BUF_INIT(64 << 20);
    buf_fill(&body, 'x', 48 << 20);
    http_respond_buf(request, 200, "application/octet-stream", &body);
}

static const struct http_route routes[] = {
    {.methods = HTTP_METHOD_GET | HTTP_METHOD_POST, .path = "/echo", .handler = echo},
    {.methods = HTTP_METHOD_GET, .path = "/keep", .handler = keep},
    {.methods = HTTP_METHOD_GET, .path = "/big", .handler = big},
    {.methods = HTTP_METHOD_GET, .path = "/block", .handler = block},
};

static void on_finished(void *context, const struct http_access *access)
{
    (void)context;
    pthread_mutex_lock(&seen.lock);
    seen.finished++;
    if (access->status == 0) seen.unanswered++;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

static void on_loop_start(void *context, unsigned index, struct uv_loop_s *loop)
{
    (void)context;
    (void)index;
    assert_non_null(loop);
    pthread_mutex_lock(&seen.lock);
    seen.loops_started++;
    pthread_mutex_unlock(&seen.lock);
}

static void on_loop_stop(void *context, unsigned index, struct uv_loop_s *loop)
{
    (void)context;
    (void)index;
    (void)loop;
    pthread_mutex_lock(&seen.lock);
    seen.loops_stopped++;
    pthread_mutex_unlock(&seen.lock);
}

static int setup(void **state)
{
    (void)state;
    seen.kept_count = seen.finished = seen.unanswered = seen.loops_started = seen.loops_stopped = 0;
    seen.loops_seen = 0;
    testing_init(&server, routes, sizeof routes / sizeof routes[0]);
    server.options.on_finished = on_finished;
    server.options.on_loop_start = on_loop_start;
    server.options.on_loop_stop = on_loop_stop;
    return 0;
}

/* Waits until *value has reached `at_least`. */
static void wait_for(const size_t *value, size_t at_least)
{
    pthread_mutex_lock(&seen.lock);
    while (*value < at_least) pthread_cond_wait(&seen.changed, &seen.lock);
    pthread_mutex_unlock(&seen.lock);
}

static void expect_answer(int fd, int status, const char *body)
{
    struct answer answer;
    if (!answer_read(fd, false, &answer)) fail_msg("closed instead of %d", status);
    if (answer.status != status) fail_msg("%d instead of %d: %s", answer.status, status, answer.head);
    if (body && !str_eq(buf_str(&answer.body), str_of(body))) fail_msg("body " STR_FMT, STR_ARG(buf_str(&answer.body)));
    answer_fini(&answer);
}

static void respond_query(struct http_request *request, void *arg)
{
    (void)arg;
    http_respond(request, 200, "text/plain", request->query);
}

/* ---- completion from other threads ---- */

enum { PIPELINED = 100, COMPLETERS = 4 };

static void *complete_every_fourth(void *arg)
{
    size_t which = (size_t)(uintptr_t)arg;
    for (size_t i = PIPELINED; i-- > 0;) {
        if (i % COMPLETERS == which) http_request_complete(seen.kept[i], respond_query, NULL);
    }
    return NULL;
}

/* 100 pipelined requests, completed backwards by four threads at once, are answered in their order. */
static void completed_out_of_order(void **state)
{
    (void)state;
    server.options.loops = 2;
    testing_start(&server);
    int fd = testing_dial(&server);
    struct buf input = BUF_INIT(1 << 20);
    for (unsigned i = 0; i < PIPELINED; i++) buf_printf(&input, "GET /keep?%u HTTP/1.1\r\n" H "\r\n", i);
    assert_true(testing_send(fd, buf_str(&input)));
    wait_for(&seen.kept_count, PIPELINED);
    pthread_t threads[COMPLETERS];
    for (size_t i = 0; i < COMPLETERS; i++) {
        pthread_create(&threads[i], NULL, complete_every_fourth, (void *)(uintptr_t)i);
    }
    for (unsigned i = 0; i < PIPELINED; i++) {
        char text[16];
        snprintf(text, sizeof text, "%u", i);
        expect_answer(fd, 200, text);
    }
    for (size_t i = 0; i < COMPLETERS; i++) pthread_join(threads[i], NULL);
    close(fd);
    buf_fini(&input);
    testing_stop(&server);
    assert_int_equal(seen.loops_started, 2);
    assert_int_equal(seen.loops_stopped, 2);
}

static void second_stage(struct http_request *request, void *arg)
{
    http_request_complete(request, respond_query, arg);
}

/* A completion may hand the request on for a further stage. */
static void completed_in_stages(void **state)
{
    (void)state;
    testing_start(&server);
    int fd = testing_dial(&server);
    testing_send_text(fd, "GET /keep?staged HTTP/1.1\r\n" H "\r\n");
    wait_for(&seen.kept_count, 1);
    http_request_complete(seen.kept[0], second_stage, NULL);
    expect_answer(fd, 200, "staged");
    close(fd);
    testing_stop(&server);
}

/* A client that goes away while its request is being worked on: the flag is raised, the request stays valid,
 * its answer is dropped, and the server lives on. */
static void client_gone(void **state)
{
    (void)state;
    testing_start(&server);
    int fd = testing_dial(&server), other = testing_dial(&server);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    testing_send_text(fd, "GET /keep?gone HTTP/1.1\r\n" H "\r\n");
    wait_for(&seen.kept_count, 1);
    assert_false(http_request_cancelled(seen.kept[0]));
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    while (!http_request_cancelled(seen.kept[0])) usleep(1000);
    assert_true(str_is(seen.kept[0]->query, "gone"));
    assert_int_equal(seen.finished, 0);
    http_request_complete(seen.kept[0], respond_query, NULL);
    wait_for(&seen.unanswered, 1);
    testing_send_text(other, "GET /echo?alive HTTP/1.1\r\n" H "\r\n");
    expect_answer(other, 200, "alive");
    close(other);
    testing_stop(&server);
}

/* ---- drain ---- */

/* Half a body at the time of the drain: the rest is read, the request answered with `Connection: close`; an
 * idle connection is closed, a new one refused, and run() returns. */
static void drain_with_half_a_body(void **state)
{
    (void)state;
    server.options.loops = 2;
    testing_start(&server);
    int fd = testing_dial(&server), idle = testing_dial(&server);
    struct answer answer;
    char text[16];
    testing_send_text(idle, "GET /echo?idle HTTP/1.1\r\n" H "\r\n");
    expect_answer(idle, 200, "idle");
    /* The 100 tells that the server has begun with the request. */
    testing_send_text(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n");
    expect_answer(fd, 100, NULL);
    testing_send_text(fd, "half");
    http_server_drain(server.server, 3600 * 1000);
    assert_true(testing_closed(idle));
    testing_send_text(fd, " done");
    assert_true(answer_read(fd, false, &answer));
    assert_int_equal(answer.status, 200);
    assert_true(str_is(buf_str(&answer.body), "half done"));
    assert_true(answer_field(&answer, "Connection", text, sizeof text));
    assert_string_equal(text, "close");
    answer_fini(&answer);
    assert_true(testing_closed(fd));
    testing_join(&server);
    close(fd);
    close(idle);
}

/* A request that has reached the kernel when the loop learns of the drain is answered as well. */
static void drain_with_an_unread_request(void **state)
{
    (void)state;
    testing_start(&server);
    int blocking = testing_dial(&server), fd = testing_dial(&server);
    testing_send_text(fd, "GET /echo?first HTTP/1.1\r\n" H "\r\n");
    expect_answer(fd, 200, "first");
    testing_send_text(blocking, "GET /block HTTP/1.1\r\n" H "\r\n");
    pthread_mutex_lock(&seen.lock);
    while (!seen.blocked) pthread_cond_wait(&seen.changed, &seen.lock);
    pthread_mutex_unlock(&seen.lock);
    http_server_drain(server.server, 3600 * 1000);
    testing_send_text(fd, "GET /echo?unread HTTP/1.1\r\n" H "\r\n");
    pthread_mutex_lock(&seen.lock);
    seen.blocked = false;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
    expect_answer(fd, 200, "unread");
    expect_answer(blocking, 200, "unblocked");
    assert_true(testing_closed(fd));
    assert_true(testing_closed(blocking));
    close(fd);
    close(blocking);
    testing_join(&server);
}

/* A running request is waited for and answered. */
static void drain_with_a_running_request(void **state)
{
    (void)state;
    testing_start(&server);
    int fd = testing_dial(&server);
    testing_send_text(fd, "GET /keep?running HTTP/1.1\r\n" H "\r\n");
    wait_for(&seen.kept_count, 1);
    http_server_drain(server.server, 3600 * 1000);
    http_request_complete(seen.kept[0], respond_query, NULL);
    expect_answer(fd, 200, "running");
    assert_true(testing_closed(fd));
    close(fd);
    testing_join(&server);
}

/* After the deadline what is left is cut, and run() still waits for the request that a worker has. */
static void drain_deadline(void **state)
{
    (void)state;
    testing_start(&server);
    int half = testing_dial(&server), fd = testing_dial(&server);
    testing_send_text(half, "POST /echo HTTP/1.1\r\n" H "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n");
    expect_answer(half, 100, NULL);
    testing_send_text(fd, "GET /keep HTTP/1.1\r\n" H "\r\n");
    wait_for(&seen.kept_count, 1);
    http_server_drain(server.server, 50);
    assert_true(testing_closed(half));
    assert_true(testing_closed(fd));
    assert_true(http_request_cancelled(seen.kept[0]));
    http_request_complete(seen.kept[0], respond_query, NULL);
    testing_join(&server);
    assert_int_equal(seen.unanswered, 1);
    close(half);
    close(fd);
}

/* Stopping before running, and freeing without running, leave nothing behind. */
static void stop_before_run(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct http_server *unused;
    assert_int_equal(http_server_new(&server.options, &error, &unused), STATUS_OK);
    http_server_free(unused);
    assert_int_equal(http_server_new(&server.options, &error, &unused), STATUS_OK);
    http_server_stop(unused);
    assert_int_equal(http_server_run(unused, &error), STATUS_OK);
    http_server_free(unused);
}

/* ---- limits ---- */

/* One connection too many is told so, and closed; when one leaves there is room again. */
static void connections_are_bounded(void **state)
{
    (void)state;
    server.options.connections_max = 2;
    testing_start(&server);
    int fds[3];
    for (unsigned i = 0; i < 2; i++) {
        fds[i] = testing_dial(&server);
        testing_send_text(fds[i], "GET /echo?in HTTP/1.1\r\n" H "\r\n");
        expect_answer(fds[i], 200, "in");
    }
    fds[2] = testing_dial(&server);
    expect_answer(fds[2], 503, NULL);
    assert_true(testing_closed(fds[2]));
    close(fds[2]);
    close(fds[0]);
    int status;
    do {
        struct answer answer;
        int fd = testing_dial(&server);
        (void)testing_send(fd, STR("GET /echo?in HTTP/1.1\r\n" H "Connection: close\r\n\r\n"));
        assert_true(answer_read(fd, false, &answer));
        status = answer.status;
        answer_fini(&answer);
        close(fd);
    } while (status == 503);
    assert_int_equal(status, 200);
    close(fds[1]);
    testing_stop(&server);
}

static void dribble_until_408(const char *begin)
{
    int fd = testing_dial(&server);
    struct answer answer;
    char byte;
    testing_send_text(fd, begin);
    /* One byte every 20 ms until the server has had enough: it has not more than an idle timer if this never
     * ends. */
    while (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (!testing_send(fd, STR("x"))) break;
        usleep(20 * 1000);
    }
    assert_true(answer_read(fd, false, &answer));
    assert_int_equal(answer.status, 408);
    answer_fini(&answer);
    close(fd);
}

/* Headers and bodies that dribble in are answered 408 at the absolute deadline. */
static void dribbling_clients_are_cut(void **state)
{
    (void)state;
    server.options.header_timeout_ms = server.options.body_timeout_ms = 200;
    server.options.linger_timeout_ms = 200;
    testing_start(&server);
    dribble_until_408("GET /echo HTTP/1.1\r\n" H "X-A: ");
    dribble_until_408("POST /echo HTTP/1.1\r\n" H "Content-Length: 1000000\r\n\r\n");
    testing_stop(&server);
}

/* A connection without requests is closed without an answer. */
static void idle_connections_are_closed(void **state)
{
    (void)state;
    server.options.idle_timeout_ms = 1000; /* the request below must not be later */
    testing_start(&server);
    int silent = testing_dial(&server), fd = testing_dial(&server);
    testing_send_text(fd, "GET /echo?one HTTP/1.1\r\n" H "\r\n");
    expect_answer(fd, 200, "one");
    assert_true(testing_closed(fd));
    assert_true(testing_closed(silent));
    close(fd);
    close(silent);
    testing_stop(&server);
}

/* A client that asks for 48 MB and does not read is cut off. */
static void client_that_does_not_read(void **state)
{
    (void)state;
    server.options.write_timeout_ms = 100;
    testing_start(&server);
    int fd = testing_dial(&server);
    testing_send_text(fd, "GET /big HTTP/1.1\r\n" H "\r\n");
    wait_for(&seen.unanswered, 1);
    close(fd);
    testing_stop(&server);
}

/* One that reads slowly gets it all. */
static void client_that_reads(void **state)
{
    (void)state;
    testing_start(&server);
    int fd = testing_dial(&server);
    struct answer answer;
    testing_send_text(fd, "GET /big HTTP/1.1\r\n" H "\r\nGET /echo?after HTTP/1.1\r\n" H "\r\n");
    assert_true(answer_read(fd, false, &answer));
    assert_int_equal(answer.body.size, 48 << 20);
    answer_fini(&answer);
    expect_answer(fd, 200, "after");
    close(fd);
    testing_stop(&server);
}

/* ---- listening ---- */

/* Several loops serve one port: among many connections more than one loop is seen. */
static void loops_share_a_port(void **state)
{
    (void)state;
    server.options.loops = 4;
    testing_start(&server);
    for (unsigned i = 0; i < 64; i++) {
        int fd = testing_dial(&server);
        testing_send_text(fd, "GET /echo?x HTTP/1.1\r\n" H "\r\n");
        expect_answer(fd, 200, "x");
        close(fd);
    }
    testing_stop(&server);
    assert_true((seen.loops_seen & (seen.loops_seen - 1)) != 0);
}

/* A port that is taken, by us or by others, and addresses that are none, are refused with a text that names
 * them. */
static void listen_errors(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct http_server *other;
    testing_start(&server);
    const char *taken = http_server_url(server.server, 0);
    struct http_options options = server.options;
    options.listen = &taken;
    for (options.loops = 1; options.loops <= 2; options.loops++) {
        assert_int_equal(http_server_new(&options, &error, &other), STATUS_IO);
        assert_non_null(strstr(error.primary, taken));
    }
    testing_stop(&server);

    const char *const malformed[] = {
        "",      "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "localhost:80", "::1:80",
        "[::1]", "[]:80",     ":80",        "127.0.0.1:080000"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        options.listen = &malformed[i];
        assert_int_equal(http_server_new(&options, &error, &other), STATUS_INVALID);
    }
}

/* An IPv6 address beside an IPv4 one; both are told with their real ports. */
static void two_addresses(void **state)
{
    (void)state;
    const char *const both[] = {"127.0.0.1:0", "[::1]:0"};
    struct error error = ERROR_INIT;
    server.options.listen = both;
    server.options.listen_count = 2;
    if (http_server_new(&server.options, &error, &server.server) != STATUS_OK) skip(); /* no IPv6 here */
    assert_true(http_server_port(server.server, 0) != 0);
    assert_int_equal(strncmp(http_server_url(server.server, 1), "http://[::1]:", 13), 0);
    assert_true(http_server_port(server.server, 1) != 0);
    http_server_free(server.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(completed_out_of_order, setup),
        cmocka_unit_test_setup(completed_in_stages, setup),
        cmocka_unit_test_setup(client_gone, setup),
        cmocka_unit_test_setup(drain_with_half_a_body, setup),
        cmocka_unit_test_setup(drain_with_an_unread_request, setup),
        cmocka_unit_test_setup(drain_with_a_running_request, setup),
        cmocka_unit_test_setup(drain_deadline, setup),
        cmocka_unit_test_setup(stop_before_run, setup),
        cmocka_unit_test_setup(connections_are_bounded, setup),
        cmocka_unit_test_setup(dribbling_clients_are_cut, setup),
        cmocka_unit_test_setup(idle_connections_are_closed, setup),
        cmocka_unit_test_setup(client_that_does_not_read, setup),
        cmocka_unit_test_setup(client_that_reads, setup),
        cmocka_unit_test_setup(loops_share_a_port, setup),
        cmocka_unit_test_setup(listen_errors, setup),
        cmocka_unit_test_setup(two_addresses, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
