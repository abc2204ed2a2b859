/*
 * What the server makes of bytes on the wire: a table of raw requests, each sent over a new loopback
 * connection to a real server, with the statuses that must come back and whether the connection must stay
 * open. Open is shown by a further request that is answered, closed by the end of the stream.
 *
 * The rows are the cases in which HTTP servers are known to differ, and the model is nginx 1.22: what it
 * answers stands in the last column. We differ where the parser is stricter (a bare LF), and where a limit
 * has another size.
 */
#include "http/testing.h"

#include "base/gzip.h"

static void echo(struct http_request *request)
{
    http_respond(request, 200, "text/plain", request->body);
}
static void target(struct http_request *request)
{
    http_respond(request, 200, "text/plain", request->target);
}
static void empty(struct http_request *request)
{
    http_respond(request, 204, NULL, STR(""));
}
static void item(struct http_request *request)
{
    http_respond(request, 200, "text/plain", http_request_param(request, "id"));
}
static void large(struct http_request *request)
{
    struct buf body = BUF_INIT(1 << 20);
    buf_fill(&body, 'x', 100000);
    http_respond_buf(request, 200, "text/plain", &body);
}
static void origin(struct http_request *request)
{
    http_header_add(request, "X-Origin", http_request_field(request, "ORIGIN"));
    http_respond(request, 200, "application/json", STR("{}"));
}

static const struct http_route routes[] = {
    {.methods = HTTP_METHOD_GET | HTTP_METHOD_POST, .path = "/echo", .handler = echo},
    {.methods = HTTP_METHOD_GET, .path = "/target", .handler = target},
    {.methods = HTTP_METHOD_POST, .path = "/small", .handler = echo, .body_bytes_max = 10},
    {.methods = HTTP_METHOD_POST, .path = "/as-sent", .handler = echo, .flags = HTTP_ROUTE_BODY_AS_SENT},
    {.methods = HTTP_METHOD_GET | HTTP_METHOD_OPTIONS, .path = "/empty", .handler = empty},
    {.methods = HTTP_METHOD_GET, .path = "/items/{id}", .handler = item},
    {.methods = HTTP_METHOD_GET, .path = "/large", .handler = large},
    {.methods = HTTP_METHOD_GET, .path = "/origin", .handler = origin},
};

static struct testing server;

/* As an application does that answers browsers: it looks at the fields, also of a request that was refused half-read.
 */
static void render_error(struct http_request *request, int status, const struct error *error)
{
    struct str origin = http_request_field(request, "origin");
    if (origin.data) http_header_add(request, "Access-Control-Allow-Origin", origin);
    http_render_error_json(request, status, error);
}

static int start(void **state)
{
    (void)state;
    testing_init(&server, routes, sizeof routes / sizeof routes[0]);
    server.options.body_bytes_max = 1 << 20;
    server.options.header_timeout_ms = server.options.body_timeout_ms = 600 * 1000;
    server.options.render_error = render_error;
    testing_start(&server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    testing_stop(&server);
    return 0;
}

#define H    "Host: a\r\n"
#define POST "POST /echo HTTP/1.1\r\n" H
enum connection { OPEN, CLOSED };

static const struct row {
    const char *name;
    struct str bytes;
    const char *statuses; /* three digits each */
    const char *body;     /* of the last answer; NULL: not looked at */
    enum connection connection;
    const char *nginx;
} rows[] = {
    /* ordinary requests */
    {"get", STR("GET /target?a=b HTTP/1.1\r\n" H "\r\n"), "200", "/target?a=b", OPEN, "200"},
    {"three pipelined requests",
     STR("GET /target?1 HTTP/1.1\r\n" H "\r\nGET /target?2 HTTP/1.1\r\n" H "\r\n"
         "GET /target?3 HTTP/1.1\r\n" H "\r\n"),
     "200 200 200", "/target?3", OPEN, "200 200 200"},
    {"body by length", STR(POST "Content-Length: 5\r\n\r\nhello"), "200", "hello", OPEN, "200"},
    {"body, then a pipelined request", STR(POST "Content-Length: 5\r\n\r\nhelloGET /target?x HTTP/1.1\r\n" H "\r\n"),
     "200 200", "/target?x", OPEN, "200 200"},
    {"empty line before the request line", STR("\r\n\r\nGET /target HTTP/1.1\r\n" H "\r\n"), "200", "/target", OPEN,
     "200"},
    {"close", STR("GET /echo HTTP/1.1\r\n" H "Connection: close\r\n\r\n"), "200", "", CLOSED, "200"},
    {"close, and more behind it",
     STR("GET /echo HTTP/1.1\r\n" H "Connection: close\r\n\r\nGET /echo HTTP/1.1\r\n" H "\r\n"), "200", "", CLOSED,
     "200"},
    {"slash at the end", STR("GET /target/ HTTP/1.1\r\n" H "\r\n"), "200", "/target/", OPEN, "-"},
    {"segment that matches anything", STR("GET /items/a%2Fb HTTP/1.1\r\n" H "\r\n"), "200", "a/b", OPEN, "-"},
    {"absolute target", STR("GET http://a/target HTTP/1.1\r\n" H "\r\n"), "200", "http://a/target", OPEN, "200"},
    {"head", STR("HEAD /large HTTP/1.1\r\n" H "\r\n"), "200", "", OPEN, "200"},
    {"204", STR("OPTIONS /empty HTTP/1.1\r\n" H "\r\n"), "204", "", OPEN, "204"},
    {"upgrade declined", STR("GET /target HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), "200",
     "/target", OPEN, "200"},
    {"no such path", STR("GET /nothing HTTP/1.1\r\n" H "\r\n"), "404",
     "{\"code\":404,\"error\":\"path /nothing does not exist\",\"status\":\"Not Found\"}", OPEN, "404"},
    {"no such path, with a body", STR("POST /nothing HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi"), "404", NULL, OPEN,
     "404"},
    {"not this method", STR("PUT /echo HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi"), "405", NULL, OPEN, "405"},

    /* HTTP/1.0 */
    {"1.0", STR("GET /echo HTTP/1.0\r\n\r\n"), "200", "", CLOSED, "200, closed"},
    {"1.0 with keep-alive", STR("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "200", "", OPEN, "200, open"},
    {"1.0 with Transfer-Encoding", STR("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400",
     NULL, CLOSED, "400"},
    {"2.0", STR("GET /echo HTTP/2.0\r\n" H "\r\n"), "505", NULL, CLOSED, "505"},
    {"HTTP/2 preface", STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "400", NULL, CLOSED, "400"},

    /* chunked bodies */
    {"chunked", STR(POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), "200", "hello!", OPEN,
     "200"},
    {"chunked, then a pipelined request",
     STR(POST "Transfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
              "GET /target HTTP/1.1\r\n" H "\r\n"),
     "200 200", "/target", OPEN, "200 200"},
    {"chunked with trailer", STR(POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), "200",
     "hello", OPEN, "200"},
    {"chunked with extension", STR(POST "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n"), "200",
     "hello", OPEN, "200"},
    {"chunk size that is no number", STR(POST "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n"), "400",
     NULL, CLOSED, "400"},
    {"huge chunk size", STR(POST "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nhello"), "400", NULL, CLOSED,
     "400"},
    {"chunk longer than its size", STR(POST "Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n"), "400", NULL,
     CLOSED, "400"},

    /* Expect */
    {"100-continue", STR(POST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"), "100 200", "hello", OPEN,
     "100 200"},
    {"100-continue without a body", STR("GET /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n"), "200", "", OPEN,
     "100 200"},
    {"100-continue with a body that is too large",
     STR("POST /small HTTP/1.1\r\n" H "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n"), "413", NULL, CLOSED,
     "413"},
    {"100-continue for no such path",
     STR("POST /nothing HTTP/1.1\r\n" H "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n"), "404", NULL, CLOSED,
     "-"},
    {"another expectation", STR(POST "Content-Length: 5\r\nExpect: miracles\r\n\r\nhello"), "417", NULL, CLOSED,
     "ignored"},

    /* Host */
    {"no Host in 1.1", STR("GET /echo HTTP/1.1\r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"two Hosts", STR("GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"Host with a slash", STR("GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n"), "400", NULL, CLOSED, "400"},

    /* the length of the body in doubt */
    {"length and chunked", STR(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400", NULL,
     CLOSED, "400"},
    {"chunked and length", STR(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), "400", NULL,
     CLOSED, "400"},
    {"two lengths", STR(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), "400", NULL, CLOSED, "400"},
    {"two equal lengths", STR(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), "400", NULL, CLOSED, "400"},
    {"length 7, 7", STR(POST "Content-Length: 7, 7\r\n\r\nhello!!"), "400", NULL, CLOSED, "400"},
    {"length +7", STR(POST "Content-Length: +7\r\n\r\nhello!!"), "400", NULL, CLOSED, "400"},
    {"length 7x", STR(POST "Content-Length: 7x\r\n\r\nhello!!"), "400", NULL, CLOSED, "400"},
    {"length 0x7", STR(POST "Content-Length: 0x7\r\n\r\nhello!!"), "400", NULL, CLOSED, "400"},
    {"length -1", STR(POST "Content-Length: -1\r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"length of 30 digits", STR(POST "Content-Length: 100000000000000000000000000000\r\n\r\n"), "400", NULL, CLOSED,
     "400"},
    {"length without a value", STR(POST "Content-Length: \r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"space before the colon of a length", STR(POST "Content-Length : 5\r\n\r\nhello"), "400", NULL, CLOSED, "400"},
    {"space before the colon of a coding", STR(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), "400", NULL,
     CLOSED, "400"},
    {"coding xchunked", STR(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), "501", NULL, CLOSED, "501"},
    {"coding chunked, identity", STR(POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), "501", NULL, CLOSED,
     "501"},
    {"coding gzip, chunked", STR(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "501", NULL, CLOSED, "501"},
    {"two codings, identity then chunked",
     STR(POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400", NULL, CLOSED,
     "400"},
    {"coding chunked twice", STR(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     "400", NULL, CLOSED, "400"},

    /* the end of a line, or of the header, in doubt */
    {"folded line", STR("GET /echo HTTP/1.1\r\n" H "X-A: 1\r\n two\r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"line folded with a tab", STR("GET /echo HTTP/1.1\r\n" H "X-A: 1\r\n\ttwo\r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"folded coding", STR(POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"length hidden in a folded line", STR(POST "X-A: 1\r\n Content-Length: 5\r\n\r\nhello"), "400", NULL, CLOSED,
     "400"},
    {"first field folded", STR("GET /echo HTTP/1.1\r\n X-A: 1\r\n" H "\r\n"), "400", NULL, CLOSED, "400"},
    /* nginx takes a bare LF for the end of a line. RFC 9112 2.2 allows that and llhttp, strict, does not: a
       400. */
    {"bare LF", STR("GET /echo HTTP/1.1\nHost: a\n\n"), "400", NULL, CLOSED, "200"},
    {"bare LF at the end of the header", STR("GET /echo HTTP/1.1\r\n" H "\n"), "400", NULL, CLOSED, "200"},
    {"bare CR in a value", STR("GET /echo HTTP/1.1\r\n" H "X-A: 1\rX-B: 2\r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"lone CR as the end of the header", STR(POST "Content-Length: 0\r\n\rGET /target HTTP/1.1\r\n" H "\r\n"), "400",
     NULL, CLOSED, "400"},
    {"CR LF CR X", STR("GET /echo HTTP/1.1\r\n" H "X-A: 1\r\n\rX\r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"NUL in a value", STR("GET /echo HTTP/1.1\r\n" H "X-A: 1\0002\r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"NUL in a name", STR("GET /echo HTTP/1.1\r\n" H "X\0A: 1\r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"line without a colon", STR("GET /echo HTTP/1.1\r\n" H "X-A\r\n\r\n"), "400", NULL, CLOSED, "400"},
    {"empty name", STR("GET /echo HTTP/1.1\r\n" H ": 1\r\n\r\n"), "400", NULL, CLOSED, "400"},

    /* not HTTP: refused without waiting for a blank line */
    {"TLS", STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "400", NULL, CLOSED, "400"},
    {"words", STR("HELO mail.example.com\r\n"), "400", NULL, CLOSED, "400"},
    {"small letters", STR("get /echo HTTP/1.1\r\n" H "\r\n"), "400", NULL, CLOSED, "400"},
    {"unknown method", STR("FETCH /echo HTTP/1.1\r\n" H "\r\n"), "400", NULL, CLOSED, "405"},
    {"CONNECT", STR("CONNECT a:443 HTTP/1.1\r\n" H "\r\n"), "501", NULL, CLOSED, "405"},
    {"target that is no path", STR("GET echo HTTP/1.1\r\n" H "\r\n"), "400", NULL, CLOSED, "400"},
    {"target with a cut escape", STR("GET /echo%2 HTTP/1.1\r\n" H "\r\n"), "400", NULL, CLOSED, "400"},
    {"target with an encoded NUL", STR("GET /echo%00 HTTP/1.1\r\n" H "\r\n"), "400", NULL, CLOSED, "400"},
    {"error after a good request", STR("GET /target HTTP/1.1\r\n" H "\r\nnonsense\r\n\r\n"), "200 400", NULL, CLOSED,
     "200 400"},

    /* body size and coding */
    {"as large as the route allows", STR("POST /small HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n0123456789"), "200",
     "0123456789", OPEN, "200"},
    {"declared larger than the route allows", STR("POST /small HTTP/1.1\r\n" H "Content-Length: 11\r\n\r\n"), "413",
     "{\"code\":413,\"error\":\"request exceeds max limit of 10 bytes\",\"status\":\"Request Entity Too "
     "Large\"}",
     CLOSED, "413"},
    {"100 MB declared", STR(POST "Content-Length: 104857600\r\n\r\nthe first few bytes"), "413", NULL, CLOSED, "413"},
    {"chunked larger than the route allows",
     STR("POST /small HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n678901\r\n"), "413", NULL,
     CLOSED, "413"},
    {"unknown coding", STR(POST "Content-Encoding: br\r\nContent-Length: 2\r\n\r\nhi"), "415", NULL, CLOSED, "ignored"},
    {"unknown coding where nobody looks",
     STR("POST /as-sent HTTP/1.1\r\n" H "Content-Encoding: br\r\nContent-Length: 2\r\n\r\nhi"), "200", "hi", OPEN,
     "200"},
    {"damaged gzip", STR(POST "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"), "400", NULL, OPEN,
     "ignored"},
    {"gzip of nothing is nothing", STR(POST "Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"), "200", "", OPEN,
     "ignored"},
    {"gzip",
     STR(POST "Content-Encoding: gzip\r\nContent-Length: 25\r\n\r\n"
              "\037\213\010\000\000\000\000\000\002\003\313\110\315\311\311\007\000\206\246\020\066\005\000"
              "\000\000"),
     "200", "hello", OPEN, "ignored"},
};

static void check_open(int fd, const char *name)
{
    struct answer answer;
    testing_send_text(fd, "GET /target?probe HTTP/1.1\r\nHost: a\r\n\r\n");
    if (!answer_read(fd, false, &answer)) fail_msg("%s: the connection was closed", name);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
}

static void run_row(const struct row *row, size_t step)
{
    struct answer answer = {0};
    int fd = testing_dial(&server), status;
    bool to_head = str_starts(row->bytes, STR("HEAD "));
    for (size_t at = 0; at < row->bytes.size; at += step) {
        if (!testing_send(fd, str_slice(row->bytes, at, at + step))) break;
    }
    for (const char *at = row->statuses; sscanf(at, "%3d", &status) == 1; at += at[3] ? 4 : 3) {
        answer_fini(&answer);
        if (!answer_read(fd, to_head, &answer)) fail_msg("%s: no answer, expected %d", row->name, status);
        if (answer.status != status)
            fail_msg("%s: %d instead of %d: %s", row->name, answer.status, status, answer.head);
    }
    if (row->body && !str_eq(buf_str(&answer.body), str_of(row->body))) {
        fail_msg("%s: body \"" STR_FMT "\"", row->name, STR_ARG(buf_str(&answer.body)));
    }
    char text[32] = "";
    bool said_close = answer_field(&answer, "Connection", text, sizeof text) && strcmp(text, "close") == 0;
    if (said_close != (row->connection == CLOSED)) fail_msg("%s: Connection is \"%s\"", row->name, text);
    if (row->connection == OPEN)
        check_open(fd, row->name);
    else if (!testing_closed(fd))
        fail_msg("%s: the connection is still open", row->name);
    answer_fini(&answer);
    close(fd);
}

/* Every row gives its statuses, its body and its connection state when it is sent at once. */
static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) run_row(&rows[i], SIZE_MAX / 2);
}

/* The same when every byte is sent alone. */
static void table_in_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) run_row(&rows[i], 1);
}

/* ---- sizes ---- */

static int status_of(struct buf *request, enum connection connection, const char *name)
{
    struct answer answer;
    int fd = testing_dial(&server);
    assert_int_equal(buf_status(request), STATUS_OK);
    (void)testing_send(fd, buf_str(request));
    assert_true(answer_read(fd, false, &answer));
    int status = answer.status;
    answer_fini(&answer);
    if (connection == OPEN)
        check_open(fd, name);
    else
        assert_true(testing_closed(fd));
    close(fd);
    buf_fini(request);
    return status;
}

/* Where nginx says 400 for a header of 100 KB, 431 is more exact; it takes 20 KB of URL for too much, we take
 * 63 KB. */
static void header_limits(void **state)
{
    (void)state;
    struct buf request = BUF_INIT(1 << 20);
    buf_lit(&request, "GET /echo HTTP/1.1\r\n" H "X-A: ");
    buf_fill(&request, 'a', 100000);
    buf_lit(&request, "\r\n\r\n");
    assert_int_equal(status_of(&request, CLOSED, "header of 100 KB"), 431);

    buf_lit(&request, "GET /echo?");
    buf_fill(&request, 'a', 20000);
    buf_lit(&request, " HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(status_of(&request, OPEN, "target of 20 KB"), 200);

    buf_lit(&request, "GET /echo?");
    buf_fill(&request, 'a', 63 << 10);
    buf_lit(&request, " HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(status_of(&request, CLOSED, "target just over 63 KB"), 414);

    buf_lit(&request, "GET /echo?");
    buf_fill(&request, 'a', 100000);
    assert_int_equal(status_of(&request, CLOSED, "target of 100 KB"), 414);

    for (unsigned fields = 200; fields <= 201; fields++) {
        buf_lit(&request, "GET /echo HTTP/1.1\r\n" H);
        for (unsigned i = 1; i < fields; i++) buf_printf(&request, "X-%u: 1\r\n", i);
        buf_lit(&request, "\r\n");
        if (fields == 200)
            assert_int_equal(status_of(&request, OPEN, "200 fields"), 200);
        else
            assert_int_equal(status_of(&request, CLOSED, "201 fields"), 431);
    }
}

/* Framing that goes on without a body behind it is cut, and a body of one-byte chunks is not. */
static void chunk_framing_is_bounded(void **state)
{
    (void)state;
    struct buf request = BUF_INIT(4 << 20);
    buf_lit(&request, POST "Transfer-Encoding: chunked\r\n\r\n1;");
    buf_fill(&request, 'e', 2 << 20);
    assert_int_equal(status_of(&request, CLOSED, "endless extension"), 400);

    buf_lit(&request, POST "Transfer-Encoding: chunked\r\n\r\n0\r\n");
    for (unsigned i = 0; i < 20000; i++) buf_printf(&request, "X-%u: trailer\r\n", i);
    assert_int_equal(status_of(&request, CLOSED, "endless trailer"), 400);

    buf_lit(&request, POST "Transfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 100000; i++) buf_lit(&request, "1\r\nx\r\n");
    buf_lit(&request, "0\r\n\r\n");
    assert_int_equal(status_of(&request, OPEN, "one-byte chunks"), 200);
}

/* A 20 MB body is refused in its beginning, and the answer reaches a client that goes on sending. */
static void refusal_reaches_a_sending_client(void **state)
{
    (void)state;
    struct answer answer;
    int fd = testing_dial(&server);
    char block[4096];
    memset(block, 'x', sizeof block);
    testing_send_text(fd, POST "Content-Length: 20971520\r\n\r\n");
    for (unsigned i = 0; i < 1024; i++) {
        if (!testing_send(fd, str_from(block, sizeof block))) break;
    }
    assert_true(answer_read(fd, false, &answer));
    assert_int_equal(answer.status, 413);
    answer_fini(&answer);
    close(fd);
}

static struct str pack(struct arena *arena, size_t size)
{
    struct buf plain = BUF_INIT(size);
    struct str packed;
    buf_fill(&plain, '[', size);
    assert_int_equal(gzip_compress(arena, buf_str(&plain), 6, &packed), STATUS_OK);
    buf_fini(&plain);
    return packed;
}

/* The limit is on what comes out of a compressed body: a bomb is 413, and the connection goes on. */
static void gzip_bomb(void **state)
{
    (void)state;
    struct arena *arena = arena_new(64 << 20);
    for (unsigned over = 0; over <= 1; over++) {
        struct str packed = pack(arena, (1 << 20) + over);
        struct buf request = BUF_INIT(1 << 20);
        buf_printf(&request, POST "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", packed.size);
        buf_str_add(&request, packed);
        assert_int_equal(status_of(&request, OPEN, "bomb"), over ? 413 : 200);
    }
    arena_free(arena);
}

/* Answers are packed for those who ask, say so in Vary either way, and HEAD tells the length that GET would.
 */
static void gzip_answers(void **state)
{
    (void)state;
    struct answer answer;
    char text[64], length[32];
    struct str plain;
    struct error error = ERROR_INIT;
    struct arena *arena = arena_new(1 << 20);
    int fd = testing_dial(&server);

    testing_send_text(fd, "GET /large HTTP/1.1\r\n" H "Accept-Encoding: br, gzip;q=0.5\r\n\r\n");
    assert_true(answer_read(fd, false, &answer));
    assert_true(answer_field(&answer, "Content-Encoding", text, sizeof text));
    assert_string_equal(text, "gzip");
    assert_true(answer_field(&answer, "Vary", text, sizeof text));
    assert_string_equal(text, "Accept-Encoding");
    assert_true(answer_field(&answer, "Content-Length", length, sizeof length));
    assert_true(answer.body.size < 1000);
    assert_int_equal(gzip_decompress(arena, buf_str(&answer.body), 1 << 20, &error, &plain), STATUS_OK);
    assert_int_equal(plain.size, 100000);
    answer_fini(&answer);

    testing_send_text(fd, "HEAD /large HTTP/1.1\r\n" H "Accept-Encoding: gzip\r\n\r\n");
    assert_true(answer_read(fd, true, &answer));
    assert_true(answer_field(&answer, "Content-Length", text, sizeof text));
    assert_string_equal(text, length);

    testing_send_text(fd, "GET /large HTTP/1.1\r\n" H "Accept-Encoding: gzip;q=0\r\n\r\n");
    assert_true(answer_read(fd, false, &answer));
    assert_false(answer_field(&answer, "Content-Encoding", text, sizeof text));
    assert_true(answer_field(&answer, "Vary", text, sizeof text));
    assert_int_equal(answer.body.size, 100000);
    answer_fini(&answer);
    arena_free(arena);
    close(fd);
}

/* 405 names what is allowed; fields that handlers add cannot break the header. */
static void fields_of_answers(void **state)
{
    (void)state;
    struct answer answer;
    char text[64];
    int fd = testing_dial(&server);
    testing_send_text(fd, "DELETE /empty HTTP/1.1\r\n" H "\r\n");
    assert_true(answer_read(fd, false, &answer));
    assert_int_equal(answer.status, 405);
    assert_true(answer_field(&answer, "Allow", text, sizeof text));
    assert_string_equal(text, "GET, HEAD, OPTIONS");
    assert_true(answer_field(&answer, "Content-Type", text, sizeof text));
    assert_string_equal(text, "application/json");
    answer_fini(&answer);

    testing_send_text(fd, "GET /origin HTTP/1.1\r\n" H "origin:  http://b  \r\n\r\n");
    assert_true(answer_read(fd, false, &answer));
    assert_true(answer_field(&answer, "X-Origin", text, sizeof text));
    assert_string_equal(text, "http://b");
    answer_fini(&answer);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(table_in_bytes),
        cmocka_unit_test(header_limits),
        cmocka_unit_test(chunk_framing_is_bounded),
        cmocka_unit_test(refusal_reaches_a_sending_client),
        cmocka_unit_test(gzip_bomb),
        cmocka_unit_test(gzip_answers),
        cmocka_unit_test(fields_of_answers),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
