/*
 * The client against servers of this process: what is sent and what comes back, redirects and the secrets
 * that must not go with them, and the errors, each recognisable by status and text.
 */
#include "http/client.h"

#include "http/testing.h"

static struct testing first, second; /* two origins: they differ in the port */
static struct http_client *client;
static struct arena *arena;
static struct error error;
static struct http_client_response response;
static struct http_request *kept;

/* Answers with the request as it arrived, a line per field. */
static void show(struct http_request *request)
{
    struct buf text = BUF_INIT(1 << 20);
    buf_printf(&text, STR_FMT " " STR_FMT "\n", STR_ARG(request->method_name), STR_ARG(request->target));
    for (size_t i = 0; i < request->field_count; i++) {
        buf_printf(&text, STR_FMT ": " STR_FMT "\n", STR_ARG(request->fields[i].name),
                   STR_ARG(request->fields[i].value));
    }
    buf_printf(&text, "\n" STR_FMT, STR_ARG(request->body));
    http_header_add(request, "X-Answer", STR(" forty-two "));
    http_respond_buf(request, 200, "text/plain", &text);
}

static void redirect(struct http_request *request)
{
    http_header_add(request, "Location", request->query);
    int status = 0;
    for (size_t i = 0; i < request->params[0].size; i++) status = status * 10 + (request->params[0].data[i] - '0');
    http_respond(request, status, "text/plain", STR("elsewhere"));
}

static void large(struct http_request *request)
{
    struct buf body = BUF_INIT(1 << 20);
    buf_fill(&body, 'x', 100000);
    http_respond_buf(request, 200, "text/plain", &body);
}

static void keep(struct http_request *request)
{
    __atomic_store_n(&kept, request, __ATOMIC_SEQ_CST);
}
static void release(struct http_request *request, void *arg)
{
    (void)arg;
    http_respond(request, 200, NULL, STR(""));
}

#define ANY (HTTP_METHOD_GET | HTTP_METHOD_POST | HTTP_METHOD_PUT | HTTP_METHOD_DELETE)
static const struct http_route routes[] = {
    {.methods = ANY, .path = "/show", .handler = show},
    {.methods = ANY, .path = "/redirect/{status}", .handler = redirect},
    {.methods = HTTP_METHOD_GET, .path = "/large", .handler = large},
    {.methods = HTTP_METHOD_GET, .path = "/keep", .handler = keep},
};

static int start(void **state)
{
    (void)state;
    /* A proxy of the environment is not what is tested. */
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    testing_init(&first, routes, sizeof routes / sizeof routes[0]);
    testing_init(&second, routes, sizeof routes / sizeof routes[0]);
    testing_start(&first);
    testing_start(&second);
    client = http_client_new();
    assert_non_null(client);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_client_free(client);
    testing_stop(&first);
    testing_stop(&second);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    error = ERROR_INIT;
    arena = arena_new(16 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct str url(const struct testing *server, const char *path)
{
    return arena_printf(arena, "%s%s", http_server_url(server->server, 0), path);
}

static void get(struct http_client_request request)
{
    enum status status = http_client_send(client, &request, arena, &error, &response);
    if (status != STATUS_OK) fail_msg("%s (%s)", error.primary, error.detail);
}

static enum status fails(struct http_client_request request, const char *text)
{
    enum status status = http_client_send(client, &request, arena, &error, &response);
    assert_true(status != STATUS_OK);
    if (!strstr(error.primary, text)) fail_msg("\"%s\" is not in \"%s\"", text, error.primary);
    return status;
}

static bool shown(const char *line)
{
    return str_find(response.body, str_of(line), 0) != SIZE_MAX;
}

/* Method, fields and body arrive as given; status, fields and body come back. */
static void sends_and_receives(void **state)
{
    (void)state;
    const struct http_client_field fields[] = {{STR("Content-Type"), STR("application/json"), false},
                                               {STR("X-Empty"), STR(""), false}};
    get((struct http_client_request){.method = STR("PUT"),
                                     .url = url(&first, "/show?a=b"),
                                     .fields = fields,
                                     .field_count = 2,
                                     .body = STR("{\"a\":1}")});
    assert_int_equal(response.status, 200);
    assert_true(str_starts(response.body, STR("PUT /show?a=b\n")));
    assert_true(shown("Content-Type: application/json\n"));
    assert_true(shown("X-Empty: \n"));
    assert_true(shown("Content-Length: 7\n"));
    assert_false(shown("Expect"));
    assert_true(str_ends(response.body, STR("\n\n{\"a\":1}")));
    assert_true(str_is(http_client_response_field(&response, "x-answer"), "forty-two"));
    assert_null(http_client_response_field(&response, "x-other").data);
}

/* GET has no body and no type; POST without a body says so. */
static void bodies_and_types(void **state)
{
    (void)state;
    get((struct http_client_request){.url = url(&first, "/show")});
    assert_true(str_starts(response.body, STR("GET /show\n")));
    assert_false(shown("Content-"));
    get((struct http_client_request){.method = STR("POST"), .url = url(&first, "/show")});
    assert_true(shown("Content-Length: 0\n"));
    assert_false(shown("Content-Type"));
    get((struct http_client_request){.method = STR("HEAD"), .url = url(&first, "/show")});
    assert_int_equal(response.status, 200);
    assert_int_equal(response.body.size, 0);
    get((struct http_client_request){.url = url(&first, "/nothing")});
    assert_int_equal(response.status, 404);
}

/* Packed answers are unpacked; the limit is on what comes out. */
static void packed_answers(void **state)
{
    (void)state;
    get((struct http_client_request){.url = url(&first, "/large"), .response_bytes_max = 100000});
    assert_int_equal(response.body.size, 100000);
    assert_true(str_is(http_client_response_field(&response, "content-encoding"), "gzip"));
    assert_int_equal(fails((struct http_client_request){.url = url(&first, "/large"), .response_bytes_max = 99999},
                           "exceeds max limit of 99999 bytes"),
                     STATUS_LIMIT);
}

/* A redirect is an answer, unless redirects are allowed; then the method changes as browsers do it. */
static void redirects(void **state)
{
    (void)state;
    get((struct http_client_request){.url = url(&first, "/redirect/302?/show")});
    assert_int_equal(response.status, 302);
    static const struct {
        const char *path;
        struct str method;
        const char *line;
        bool body;
    } cases[] = {
        {"/redirect/302?/show", STR("GET"), "GET /show\n", false},
        {"/redirect/301?/show", STR("POST"), "GET /show\n", false},
        {"/redirect/302?/show", STR("PUT"), "PUT /show\n", true},
        {"/redirect/303?/show", STR("PUT"), "GET /show\n", false},
        {"/redirect/307?/show", STR("POST"), "POST /show\n", true},
        {"/redirect/308?/show", STR("POST"), "POST /show\n", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        get((struct http_client_request){.url = url(&first, cases[i].path),
                                         .method = cases[i].method,
                                         .redirects_max = 1,
                                         .body = str_is(cases[i].method, "GET") ? STR_NULL : STR("body")});
        assert_true(str_starts(response.body, str_of(cases[i].line)));
        assert_int_equal(str_ends(response.body, STR("\n\nbody")), cases[i].body);
        assert_true(str_eq(response.url, url(&first, "/show")));
    }
    assert_int_equal(
        fails((struct http_client_request){.url = url(&first, "/redirect/302?/redirect/302?/show"), .redirects_max = 1},
              "more than 1 redirects"),
        STATUS_LIMIT);
    assert_int_equal(
        fails((struct http_client_request){.url = url(&first, "/redirect/302?file:///etc/passwd"), .redirects_max = 1},
              "redirected to what is not"),
        STATUS_UNAVAILABLE);
}

/* Credentials follow a redirect inside the origin, and to no other: not even when that one leads back. */
static void secrets_stay_at_home(void **state)
{
    (void)state;
    const struct http_client_field fields[] = {{STR("authorization"), STR("Basic c2VjcmV0"), false},
                                               {STR("Cookie"), STR("c=secret"), false},
                                               {STR("X-Key"), STR("secret"), true},
                                               {STR("X-Plain"), STR("plain"), false}};
    struct http_client_request request = {.fields = fields, .field_count = 4, .redirects_max = 3};
    request.url = url(&first, "/redirect/302?/show");
    get(request);
    assert_true(shown("authorization: Basic c2VjcmV0\n") && shown("Cookie: c=secret\n") && shown("X-Key: secret\n"));

    struct str there = url(&second, "/show");
    request.url = arena_printf(arena, STR_FMT STR_FMT, STR_ARG(url(&first, "/redirect/302?")), STR_ARG(there));
    get(request);
    assert_true(str_eq(response.url, there));
    assert_true(shown("X-Plain: plain\n"));
    assert_false(shown("ecret") || shown("c2VjcmV0"));

    struct str back =
        arena_printf(arena, STR_FMT STR_FMT, STR_ARG(url(&second, "/redirect/302?")), STR_ARG(url(&first, "/show")));
    request.url = arena_printf(arena, STR_FMT STR_FMT, STR_ARG(url(&first, "/redirect/302?")), STR_ARG(back));
    get(request);
    assert_true(str_eq(response.url, url(&first, "/show")));
    assert_false(shown("ecret") || shown("c2VjcmV0"));
}

/* What cannot be sent is refused before anything is. */
static void refused_before_sending(void **state)
{
    (void)state;
    static const char *const urls[] = {"",        "example.com", "ftp://example.com/", "file:///etc/passwd",
                                       "http://", "javascript:1"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        assert_int_equal(fails((struct http_client_request){.url = str_of(urls[i])}, "not an http or https URL"),
                         STATUS_INVALID);
    }
    struct http_client_field field = {STR("X-A"), STR("1\r\nX-B: 2"), false};
    struct http_client_request request = {.url = url(&first, "/show"), .fields = &field, .field_count = 1};
    assert_int_equal(fails(request, "header field \"X-A\""), STATUS_INVALID);
    field = (struct http_client_field){STR("X A"), STR("1"), false};
    assert_int_equal(fails(request, "header field \"X A\""), STATUS_INVALID);
    assert_int_equal(fails((struct http_client_request){.method = STR("GET /"), .url = url(&first, "/show")}, "method"),
                     STATUS_INVALID);
}

/* Nobody there, no answer in time, no TLS: three different texts, none with credentials of the URL. */
static void failures_are_told_apart(void **state)
{
    (void)state;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound and not listening: nobody else gets the port */
    assert_int_equal(bind(fd, (struct sockaddr *)&name, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    struct str nobody = arena_printf(arena, "http://user:secret@127.0.0.1:%u/path?key=secret", ntohs(name.sin_port));
    assert_int_equal(fails((struct http_client_request){.url = nobody}, "unreachable: http://127.0.0.1:"),
                     STATUS_UNAVAILABLE);
    assert_null(strstr(error.primary, "secret"));
    assert_null(strstr(error.detail, "secret"));
    close(fd);

    assert_int_equal(fails((struct http_client_request){.url = url(&first, "/keep"), .timeout_ms = 100},
                           "timeout: no answer of http://127.0.0.1:"),
                     STATUS_CANCELLED);
    struct http_request *request;
    while (!(request = __atomic_load_n(&kept, __ATOMIC_SEQ_CST))) usleep(1000);
    http_request_complete(request, release, NULL);

    struct str tls = arena_printf(arena, "https://127.0.0.1:%u/", http_server_port(first.server, 0));
    assert_int_equal(fails((struct http_client_request){.url = tls}, "TLS error: no secure connection to https://"),
                     STATUS_UNAVAILABLE);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(sends_and_receives),   CASE(bodies_and_types),       CASE(packed_answers),          CASE(redirects),
        CASE(secrets_stay_at_home), CASE(refused_before_sending), CASE(failures_are_told_apart),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
