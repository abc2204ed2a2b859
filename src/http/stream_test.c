/*
 * Answers in pieces: framing, order among pipelined requests, back pressure, and clients that go. First without
 * sockets, where every step is decided here; then over one, where a client reads nothing for a while.
 */
#include "http/testing.h"
#include "http/testing_core.h"

/* A stream of the handler below: `?pieces=N&size=S`, piece i is S times the letter 'a' + i. */
struct story {
    int pieces;
    _Atomic int given; /* read by another thread, in the tests with sockets */
    size_t size;
    int readies;
    _Atomic bool gone;
    bool sync, failing, abort_at_end;
};

static struct testing_core t;
static struct story story;
static struct http_request *held;

static struct buf make_piece(int index)
{
    struct buf piece = BUF_INIT(story.size);
    buf_fill(&piece, (char)('a' + index % 26), story.size);
    if (story.failing && index == 1) buf_byte(&piece, '!'); /* beyond its maximum */
    return piece;
}

static void give(struct http_request *request)
{
    struct buf piece = make_piece(story.given), nothing = BUF_INIT(0);
    if (http_request_cancelled(request)) {
        story.gone = true;
        buf_fini(&piece);
        http_stream_abort(request);
    } else if (++story.given == story.pieces) {
        if (story.abort_at_end) {
            buf_fini(&piece);
            http_stream_abort(request);
        } else {
            http_stream_end(request, &piece);
        }
    } else if (!http_stream_piece(request, &piece)) {
        story.gone = true;
        http_stream_end(request, &nothing);
    }
}

static void ready(struct http_request *request, void *arg)
{
    assert_ptr_equal(arg, &story);
    story.readies++;
    if (story.sync)
        give(request);
    else
        held = request;
}

static void handler(struct http_request *request)
{
    struct buf first = make_piece(0), nothing = BUF_INIT(0);
    story.given = 1;
    http_header_add(request, "X-Stream", STR("yes"));
    if (!http_stream_begin(request, 200, "text/plain", &first, ready, &story)) {
        story.gone = true;
        http_stream_end(request, &nothing);
    }
}

static void plain(struct http_request *request)
{
    http_respond(request, 200, "text/plain", STR("plain"));
}

static void later(struct http_request *request)
{
    assert_true(testing_core_keep(request));
}

static const struct http_route routes[] = {
    {.methods = HTTP_METHOD_GET, .path = "/stream", .handler = handler},
    {.methods = HTTP_METHOD_GET, .path = "/plain", .handler = plain},
    {.methods = HTTP_METHOD_GET, .path = "/later", .handler = later},
};
#define ROUTES (sizeof routes / sizeof *routes)

static int setup(void **state)
{
    (void)state;
    story = (struct story){.pieces = 3, .size = 5, .sync = true};
    held = NULL;
    testing_core_init(&t, routes, ROUTES);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    testing_core_fini(&t);
    return 0;
}

static void feed(const char *text)
{
    assert_int_equal(testing_core_feed(&t, str_of(text)), strlen(text));
}
static bool out_ends(const char *text)
{
    return str_ends(buf_str(&t.out), str_of(text));
}
static bool out_has(const char *text)
{
    return str_find(buf_str(&t.out), str_of(text), 0) < t.out.size;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* One chunk a piece, whatever the kernel takes at a time; then the connection goes on. */
static void test_chunks(void **state)
{
    for (size_t step = 1; step < 200; step += 7) {
        setup(state);
        feed(GET("/stream"));
        testing_core_pump(&t, step);
        assert_true(out_has("HTTP/1.1 200 OK\r\n") && out_has("Transfer-Encoding: chunked\r\n"));
        assert_true(out_has("X-Stream: yes\r\n") && !out_has("Content-Length"));
        assert_true(out_ends("\r\n\r\n5\r\naaaaa\r\n5\r\nbbbbb\r\n5\r\nccccc\r\n0\r\n\r\n"));
        assert_int_equal(story.readies, 2);
        assert_int_equal(t.finished, 1);
        assert_int_equal(t.connection.bytes, 0);
        assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_OPEN);
        feed(GET("/plain"));
        testing_core_pump(&t, step);
        assert_true(out_ends("\r\n\r\nplain"));
        teardown(state);
    }
    setup(state);
}

/* An empty first piece sends the head alone; an empty last one only ends. */
static void test_empty_pieces(void **state)
{
    (void)state;
    story.size = 0;
    story.pieces = 2;
    feed(GET("/stream"));
    testing_core_pump(&t, SIZE_MAX);
    assert_true(out_ends("\r\n\r\n0\r\n\r\n"));
    assert_int_equal(t.finished, 1);
}

/* Without chunks only the end of the connection tells the end of the body. */
static void test_old_clients(void **state)
{
    (void)state;
    feed("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    testing_core_pump(&t, 7);
    assert_true(out_ends("\r\n\r\naaaaabbbbbccccc"));
    assert_true(out_has("Connection: close\r\n") && !out_has("Transfer-Encoding"));
    assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_CLOSE);
    http_connection_fini(&t.connection);
    assert_int_equal(t.finished, 1);
    assert_int_equal(t.finished_unanswered, 0);
    http_connection_init(&t.connection, &t.core, "192.0.2.1", &t);
}

static void test_head(void **state)
{
    (void)state;
    feed("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    testing_core_pump(&t, SIZE_MAX);
    assert_true(story.gone);
    assert_true(out_has("Transfer-Encoding: chunked\r\n") && out_ends("\r\n\r\n"));
    feed(GET("/plain"));
    testing_core_pump(&t, SIZE_MAX);
    assert_true(out_ends("\r\n\r\nplain"));
}

/* What was asked for before is answered before, what was asked for after waits for the end. */
static void test_pipelined(void **state)
{
    (void)state;
    feed(GET("/later") GET("/stream") GET("/plain"));
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(t.out.size, 0);
    assert_int_equal(story.readies, 0);
    http_respond(t.later[0], 200, "text/plain", STR("late"));
    t.later[0] = NULL;
    story.sync = false;
    testing_core_pump(&t, SIZE_MAX);
    assert_true(out_ends("5\r\naaaaa\r\n"));
    assert_int_equal(story.readies, 1);
    give(held);
    testing_core_pump(&t, SIZE_MAX);
    assert_true(out_ends("5\r\nbbbbb\r\n"));
    give(held);
    testing_core_pump(&t, SIZE_MAX);
    assert_true(out_ends("\r\n\r\nplain"));
    assert_true(out_has("ccccc\r\n0\r\n\r\nHTTP/1.1 200 OK"));
    assert_int_equal(t.finished, 3);
}

/* Of a client that goes: while it is sent to, ready is called once more; while the handler works, giving tells. */
static void test_gone_while_sending(void **state)
{
    (void)state;
    feed(GET("/stream") GET("/plain"));
    struct str pieces[8];
    assert_true(http_connection_output(&t.connection, pieces, 8) > 0);
    http_connection_sent(&t.connection, 3);
    http_connection_fini(&t.connection);
    assert_int_equal(story.readies, 1);
    assert_true(story.gone);
    assert_int_equal(t.finished, 2);
    assert_int_equal(t.finished_unanswered, 2);
    assert_int_equal(t.core.exchange_count, 0);
    http_connection_init(&t.connection, &t.core, "192.0.2.1", &t);
}

static void test_gone_while_working(void **state)
{
    (void)state;
    story.sync = false;
    feed(GET("/stream"));
    testing_core_pump(&t, SIZE_MAX);
    assert_non_null(held);
    assert_false(http_request_cancelled(held));
    http_connection_fini(&t.connection);
    assert_true(http_request_cancelled(held) && *http_request_cancelled_flag(held));
    struct buf piece = make_piece(1), nothing = BUF_INIT(0);
    assert_false(http_stream_piece(held, &piece));
    assert_null(piece.data);
    http_stream_end(held, &nothing);
    assert_int_equal(t.finished_unanswered, 1);
    assert_int_equal(t.core.exchange_count, 0);
    http_connection_init(&t.connection, &t.core, "192.0.2.1", &t);
}

/* A client that closes its side is sent what is on the way, and then the handler hears of it. */
static void test_eof(void **state)
{
    (void)state;
    story.sync = false;
    feed(GET("/stream"));
    http_connection_eof(&t.connection);
    assert_int_equal(story.readies, 0);
    testing_core_pump(&t, SIZE_MAX);
    assert_int_equal(story.readies, 1);
    give(held);
    assert_true(story.gone);
    assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_CLOSE);
}

/* What breaks off has no last chunk, and nothing behind it is sent. */
static void test_broken_off(void **state)
{
    for (int way = 0; way < 2; way++) {
        setup(state);
        story.failing = way == 0;
        story.abort_at_end = way == 1;
        feed(GET("/stream") GET("/plain"));
        testing_core_pump(&t, 9);
        assert_true(out_ends(way ? "5\r\naaaaa\r\n5\r\nbbbbb\r\n" : "5\r\naaaaa\r\n"));
        assert_int_equal(http_connection_end(&t.connection), HTTP_CONNECTION_CLOSE);
        http_connection_fini(&t.connection);
        assert_int_equal(t.finished, 2);
        assert_int_equal(t.core.exchange_count, 0);
        http_connection_init(&t.connection, &t.core, "192.0.2.1", &t);
        teardown(state);
    }
    setup(state);
}

/* ---- over a socket ---- */

/* The client reads only after a while: meanwhile the server must not go on making pieces. */
static void test_slow_client(void **state)
{
    (void)state;
    enum { PIECES = 200 };
    struct testing server;
    story = (struct story){.pieces = PIECES, .size = 256 << 10, .sync = true};
    testing_init(&server, routes, ROUTES);
    testing_start(&server);
    int fd = testing_dial(&server);
    testing_send_text(fd, GET("/stream"));
    char head[1];
    assert_true(recv_exactly(fd, head, 1));
    usleep(200000);
    int made = story.given;
    assert_true(made < PIECES / 2); /* 25 MB fit into no socket's buffers */
    struct buf got = BUF_INIT((size_t)64 << 20);
    for (ssize_t size; !str_ends(buf_str(&got), STR("\r\n0\r\n\r\n"));) {
        char *place = buf_reserve(&got, 1 << 16);
        assert_non_null(place);
        size = testing_recv(fd, place, 1 << 16);
        assert_true(size > 0);
        buf_advance(&got, (size_t)size);
    }
    assert_true(got.size > (size_t)PIECES * story.size);
    buf_fini(&got);
    close(fd);
    testing_stop(&server);
    assert_int_equal(story.readies, PIECES - 1);
}

/* One that reads nothing at all is disconnected, and the handler hears of it. */
static void test_client_that_sleeps(void **state)
{
    (void)state;
    struct testing server;
    story = (struct story){.pieces = 1 << 20, .size = 256 << 10, .sync = true};
    testing_init(&server, routes, ROUTES);
    server.options.write_timeout_ms = 50;
    testing_start(&server);
    int fd = testing_dial(&server);
    testing_send_text(fd, GET("/stream"));
    while (!story.gone) usleep(1000);
    close(fd);
    testing_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_chunks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipelined, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_while_sending, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_while_working, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eof, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_off, setup, teardown),
        cmocka_unit_test(test_slow_client),
        cmocka_unit_test(test_client_that_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
