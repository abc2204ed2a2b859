/*
 * The state machine of a connection without sockets and with a clock of our own: what depends on where the
 * bytes are split, on the order in which handlers finish and on deadlines is decided here exactly, not by
 * luck.
 */
#include "http/connection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "http/testing_core.h"

#define H "Host: a\r\n"

static void now(struct http_request *request)
{
    struct testing_core *t = request->context;
    t->handled++;
    struct str text = arena_printf(request->arena, "[" STR_FMT " " STR_FMT " " STR_FMT "]",
                                   STR_ARG(request->method_name), STR_ARG(request->query), STR_ARG(request->body));
    http_respond(request, 200, "text/plain", text);
}

static void later(struct http_request *request)
{
    struct testing_core *t = request->context;
    t->handled++;
    assert_true(testing_core_keep(request));
}

static const struct http_route routes[] = {
    {.methods = HTTP_METHOD_GET | HTTP_METHOD_POST, .path = "/now", .handler = now},
    {.methods = HTTP_METHOD_GET | HTTP_METHOD_POST, .path = "/later", .handler = later},
    {.methods = HTTP_METHOD_POST,
     .path = "/file",
     .handler = later,
     .body_bytes_max = 20,
     .flags = HTTP_ROUTE_BODY_IN_FILE},
};

static struct testing_core t;

static int setup(void **state)
{
    (void)state;
    testing_core_init(&t, routes, sizeof routes / sizeof routes[0]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    testing_core_fini(&t);
    return 0;
}

static void reset(void)
{
    testing_core_fini(&t);
    testing_core_init(&t, routes, sizeof routes / sizeof routes[0]);
}

static size_t occurrences(const char *needle)
{
    size_t count = 0;
    for (size_t at = 0; (at = str_find(buf_str(&t.out), str_of(needle), at)) != SIZE_MAX; at++) count++;
    return count;
}

static void feed(const char *text)
{
    assert_int_equal(testing_core_feed(&t, str_of(text)), strlen(text));
}

static void answer_later(size_t index, const char *body)
{
    struct http_request *request = t.later[index];
    assert_non_null(request);
    t.later[index] = NULL;
    http_respond(request, 200, "text/plain", str_of(body));
}

/* The answers do not depend on how the bytes arrive: split in two at every position, and byte by byte. */
static void split_anywhere(void **state)
{
    (void)state;
    static const struct str input = STR(
        "GET /now?1 HTTP/1.1\r\n" H "\r\nPOST /now?2 HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello\r\n"
        "POST /now?3 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
        "HEAD /now?4 HTTP/1.1\r\n" H "\r\nGET /nothing HTTP/1.1\r\n" H "\r\nGET /now?5 HTTP/1.1\r\n" H "\r\n"
        "GET /now HTTP/1.1\r\n" H " folded\r\n\r\nGET /now?6 HTTP/1.1\r\n" H "\r\n");
    feed(input.data);
    testing_core_pump(&t, SIZE_MAX);
    struct buf whole = t.out;
    assert_true(str_find(buf_str(&whole), STR("[POST 3 abcde]"), 0) != SIZE_MAX);
    assert_int_equal(t.handled, 5);
    assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_LINGER);
    t.out = BUF_INIT(1 << 20);
    for (size_t split = 1; split <= input.size; split++) {
        testing_core_fini(&t);
        testing_core_init(&t, routes, 2);
        size_t step = split == input.size ? 1 : split;
        for (size_t at = 0; at < input.size;) {
            struct str part = str_slice(input, at, step == 1 ? at + 1 : at == 0 ? split : input.size);
            testing_core_feed(&t, part);
            testing_core_pump(&t, step == 1 ? 1 : SIZE_MAX);
            at += part.size;
        }
        if (!str_eq(buf_str(&t.out), buf_str(&whole)))
            fail_msg("split at %zu: " STR_FMT, split, STR_ARG(buf_str(&t.out)));
    }
    buf_fini(&whole);
}

/* Handlers finish in any order, answers leave in the order of the requests. */
static void answers_keep_their_order(void **state)
{
    (void)state;
    feed("GET /later HTTP/1.1\r\n" H "\r\nGET /now?b HTTP/1.1\r\n" H "\r\nGET /later HTTP/1.1\r\n" H "\r\n");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(t.out.size, 0);
    answer_later(1, "third");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(t.out.size, 0);
    answer_later(0, "first");
    testing_core_pump(&t, 7);
    size_t first = str_find(buf_str(&t.out), STR("first"), 0), second = str_find(buf_str(&t.out), STR("[GET b ]"), 0),
           third = str_find(buf_str(&t.out), STR("third"), 0);
    assert_true(first < second && second < third && third != SIZE_MAX);
    assert_int_equal(t.finished, 3);
}

/* With the pipeline full no request is begun and reading stops; an answer that has left makes room again. */
static void pipeline_is_bounded(void **state)
{
    (void)state;
    t.options.pipeline_max = 3;
    struct buf input = BUF_INIT(1 << 20);
    for (unsigned i = 0; i < 10; i++) buf_lit(&input, "GET /later HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(testing_core_feed(&t, buf_str(&input)), input.size);
    assert_int_equal(t.handled, 3);
    assert_false(http_connection_wants_input(&t.connection));
    assert_true(http_connection_deadline_us(&t.connection) == UINT64_MAX);
    for (size_t i = 0; i < 10; i++) {
        answer_later(i, "x");
        testing_core_pump(&t, SIZE_MAX);
        assert_int_equal(t.handled, i + 4 < 10 ? i + 4 : 10);
    }
    assert_true(http_connection_wants_input(&t.connection));
    assert_int_equal(occurrences("HTTP/1.1 200 OK"), 10);
    buf_fini(&input);
}

/* Likewise for bytes: bodies that wait for their handlers count. */
static void pipeline_bytes_are_bounded(void **state)
{
    (void)state;
    t.options.pipeline_bytes_max = 8;
    feed("POST /later HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n0123456789GET /now HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(t.handled, 1);
    assert_false(http_connection_wants_input(&t.connection));
    answer_later(0, "x");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(t.handled, 2);
}

/* The bodies of all connections of a loop share one limit: beyond it 503. */
static void bodies_are_bounded(void **state)
{
    (void)state;
    t.options.bodies_bytes_max = 15;
    feed("POST /later HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n0123456789");
    feed("POST /now HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n0123456789");
    answer_later(0, "x");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(occurrences("HTTP/1.1 503 "), 1);
    assert_int_equal(t.core.bodies_bytes, 0);
}

static void dribble(const char *text, uint64_t from_ms, uint64_t step_ms)
{
    for (size_t i = 0; text[i]; i++) {
        testing_core_at_ms(&t, from_ms + i * step_ms);
        assert_true(t.core.now_us < http_connection_deadline_us(&t.connection));
        http_connection_feed(&t.connection, text + i, 1);
    }
}

/* A header that dribbles is cut 10 s after its first byte, however lively it is. */
static void header_deadline_is_absolute(void **state)
{
    (void)state;
    dribble("GET /now HTTP/1.1\r\n", 1000, 500);
    assert_int_equal(http_connection_deadline_us(&t.connection), 11000 * 1000);
    testing_core_at_ms(&t, 11000);
    http_connection_expire(&t.connection);
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(occurrences("HTTP/1.1 408 "), 1);
    assert_int_equal(occurrences("Connection: close"), 1);
    assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_LINGER);
}

static size_t file_text(struct http_request *request, char *text, size_t size)
{
    assert_true(request->body_file >= 0);
    ssize_t got = pread(request->body_file, text, size, 0);
    assert_true(got >= 0);
    return (size_t)got;
}

/* A body that goes to a file does not count as one in memory, packed or not, chunked or not. */
static void body_in_a_file(void **state)
{
    (void)state;
    char text[64];
    t.options.bodies_bytes_max = 5;
    feed("POST /file HTTP/1.1\r\n" H "Content-Length: 10\r\nContent-Encoding: gzip\r\n\r\n01234");
    feed("56789");
    feed("POST /file HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    feed("4\r\ndefg\r\n0\r\n\r\n");
    feed("POST /file HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n");
    assert_int_equal(t.later_count, 3);
    assert_int_equal(file_text(t.later[0], text, sizeof text), 10);
    assert_memory_equal(text, "0123456789", 10);
    assert_int_equal(t.later[0]->body.size, 0);
    assert_int_equal(t.later[0]->body_wire_size, 10);
    assert_int_equal(file_text(t.later[1], text, sizeof text), 7);
    assert_memory_equal(text, "abcdefg", 7);
    assert_int_equal(t.later[2]->body_file, -1);
    assert_int_equal(t.core.bodies_bytes, 0);
    assert_int_equal(t.core.body_files_bytes, 17);
    for (size_t i = 0; i < 3; i++) answer_later(i, "x");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(t.core.body_files_bytes, 0);
    assert_int_equal(occurrences("HTTP/1.1 200 "), 3);
}

/* Files have limits as well: of the route, and of all on a loop; and there may be no place for one. */
static void body_files_are_bounded(void **state)
{
    (void)state;
    t.options.body_files_bytes_max = 15;
    feed("POST /file HTTP/1.1\r\n" H "Content-Length: 21\r\n\r\n");
    assert_int_equal(t.handled, 0);
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(occurrences("HTTP/1.1 413 "), 1);
    reset();
    t.options.body_files_bytes_max = 15;
    feed("POST /file HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n0123456789");
    feed("POST /file HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n0123456789");
    answer_later(0, "x");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(occurrences("HTTP/1.1 503 "), 1);
    assert_int_equal(t.core.body_files_bytes, 0);
    reset();
    t.options.body_directory = "/nowhere at all";
    feed("POST /file HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n0123456789");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(occurrences("HTTP/1.1 503 "), 1);
    assert_int_equal(t.core.body_files_bytes, 0);
}

/* What arrives of it at 64 KiB a second or more may take its time. */
static void body_file_deadline(void **state)
{
    (void)state;
    feed("POST /file HTTP/1.1\r\n" H "Content-Length: 20\r\n\r\n");
    assert_int_equal(http_connection_deadline_us(&t.connection), 60 * 1000 * 1000);
    feed("0123456789");
    t.connection.receiving->received += 65536; /* as if */
    assert_int_equal(http_connection_deadline_us(&t.connection), 61 * 1000 * 1000);
    t.connection.receiving->received -= 65536;
}

/* A body that dribbles is cut 60 s after the end of its header. */
static void body_deadline_is_absolute(void **state)
{
    (void)state;
    dribble("POST /now HTTP/1.1\r\n" H "Content-Length: 100\r\n\r\n", 0, 10);
    uint64_t deadline_us = http_connection_deadline_us(&t.connection);
    assert_int_equal(deadline_us, t.core.now_us + 60 * 1000 * 1000);
    dribble("hello", 30000, 1000);
    assert_int_equal(http_connection_deadline_us(&t.connection), deadline_us);
    testing_core_at_ms(&t, 70000);
    http_connection_expire(&t.connection);
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(occurrences("HTTP/1.1 408 "), 1);
    assert_int_equal(t.handled, 0);
}

/* An idle connection ends without a word 75 s after its last answer; line ends do not keep it alive. */
static void idle_deadline(void **state)
{
    (void)state;
    testing_core_at_ms(&t, 5000);
    feed("GET /now HTTP/1.1\r\n" H "\r\n");
    testing_core_pump(&t, SIZE_MAX);
    size_t size = t.out.size;
    testing_core_at_ms(&t, 50000);
    feed("\r\n");
    assert_int_equal(http_connection_deadline_us(&t.connection), 80000 * 1000);
    testing_core_at_ms(&t, 80000);
    http_connection_expire(&t.connection);
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(t.out.size, size);
    assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_CLOSE);
}

/* No deadline runs while a handler has the request. */
static void no_deadline_while_handled(void **state)
{
    (void)state;
    feed("GET /later HTTP/1.1\r\n" H "\r\n");
    assert_true(http_connection_deadline_us(&t.connection) == UINT64_MAX);
}

/* "100 Continue" waits for its turn, and is sent once. */
static void continue_in_order(void **state)
{
    (void)state;
    feed("GET /later HTTP/1.1\r\n" H "\r\nPOST /now HTTP/1.1\r\n" H
         "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(t.out.size, 0);
    answer_later(0, "first");
    testing_core_pump(&t, 1);
    assert_int_equal(occurrences("HTTP/1.1 100 Continue\r\n\r\n"), 1);
    assert_true(str_ends(buf_str(&t.out), STR("first"
                                              "HTTP/1.1 100 Continue\r\n\r\n")));
    feed("hi");
    testing_core_pump(&t, 1);
    assert_int_equal(occurrences("HTTP/1.1 100 Continue\r\n\r\n"), 1);
    assert_int_equal(occurrences("[POST  hi]"), 1);
}

/* When the client closes its side the handler is told, and the answer is still sent: it may only have
 * half-closed. */
static void eof_cancels_and_answers(void **state)
{
    (void)state;
    feed("GET /later HTTP/1.1\r\n" H "\r\nPOST /now HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nhalf");
    assert_false(http_request_cancelled(t.later[0]));
    http_connection_eof(&t.connection);
    assert_true(http_request_cancelled(t.later[0]));
    assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_OPEN);
    answer_later(0, "still");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(occurrences("still"), 1);
    assert_int_equal(t.handled, 1);
    assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_CLOSE);
}

/* A request outlives its connection while a handler has it; its answer goes nowhere. */
static void request_outlives_connection(void **state)
{
    (void)state;
    feed("POST /later?q HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbody");
    http_connection_fini(&t.connection);
    struct http_request *request = t.later[0];
    assert_true(http_request_cancelled(request));
    assert_true(str_is(request->body, "body"));
    assert_true(str_is(request->query, "q"));
    assert_int_equal(t.core.exchange_count, 1);
    answer_later(0, "lost");
    assert_int_equal(t.core.exchange_count, 0);
    assert_int_equal(t.finished_unanswered, 1);
    http_connection_init(&t.connection, &t.core, "192.0.2.1", &t);
}

/* Draining: an idle connection ends at once, a half-received request is taken to its end, a running one is
 * answered. */
static void drain_idle(void **state)
{
    (void)state;
    http_connection_drain(&t.connection);
    assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_CLOSE);
}

static void drain_half_received(void **state)
{
    (void)state;
    feed("POST /now HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nhalf");
    http_connection_drain(&t.connection);
    assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_OPEN);
    feed(" done");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(occurrences("[POST  half done]"), 1);
    assert_int_equal(occurrences("Connection: close"), 1);
    assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_CLOSE);
}

static void drain_running(void **state)
{
    (void)state;
    feed("GET /later HTTP/1.1\r\n" H "\r\nGET /later HTTP/1.1\r\n" H "\r\n");
    http_connection_drain(&t.connection);
    answer_later(0, "first");
    answer_later(1, "second");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(occurrences("Connection: close"), 1);
    assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_CLOSE);
}

/* A renderer that forgets to answer does not leave the client waiting. */
static void forgetful(struct http_request *request, int status, const struct error *error)
{
    (void)request;
    (void)status;
    (void)error;
}

static void errors_are_always_answered(void **state)
{
    (void)state;
    t.options.render_error = forgetful;
    feed("GET /nothing HTTP/1.1\r\n" H "\r\nnonsense");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(occurrences("{\"code\":404,"), 1);
    assert_int_equal(occurrences("{\"code\":400,"), 1);
}

static void handler_fields(struct http_request *request)
{
    http_header_add(request, "X-A", STR("one\r\nSet-Cookie: evil\0"));
    http_respond(request, 200, "text/plain", STR(""));
}

/* Control bytes in a field that a handler adds cannot begin another field. */
static void fields_cannot_be_injected(void **state)
{
    (void)state;
    static const struct http_route route = {.methods = HTTP_METHOD_GET, .path = "/", .handler = handler_fields};
    testing_core_fini(&t);
    testing_core_init(&t, &route, 1);
    feed("GET / HTTP/1.1\r\n" H "\r\n");
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(occurrences("X-A: one??Set-Cookie: evil?\r\n"), 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(split_anywhere),
        CASE(answers_keep_their_order),
        CASE(pipeline_is_bounded),
        CASE(pipeline_bytes_are_bounded),
        CASE(bodies_are_bounded),
        CASE(header_deadline_is_absolute),
        CASE(body_in_a_file),
        CASE(body_files_are_bounded),
        CASE(body_file_deadline),
        CASE(body_deadline_is_absolute),
        CASE(idle_deadline),
        CASE(no_deadline_while_handled),
        CASE(continue_in_order),
        CASE(eof_cancels_and_answers),
        CASE(request_outlives_connection),
        CASE(drain_idle),
        CASE(drain_half_received),
        CASE(drain_running),
        CASE(errors_are_always_answered),
        CASE(fields_cannot_be_injected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
