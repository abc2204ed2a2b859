/* Which route a path and method find, what is captured, and which tables are refused. */
#include "http/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "http/syntax.h"

static void handler(struct http_request *request)
{
    (void)request;
}

#define ROUTE(method, text)                                                                                            \
    {                                                                                                                  \
        .methods = (method), .path = (text), .handler = handler                                                        \
    }
static const struct http_route routes[] = {
    ROUTE(HTTP_METHOD_GET | HTTP_METHOD_POST, "/track"),
    ROUTE(HTTP_METHOD_GET, "/"),
    ROUTE(HTTP_METHOD_GET, "/tables"),
    ROUTE(HTTP_METHOD_GET, "/tables/{id}"),
    ROUTE(HTTP_METHOD_DELETE, "/tables/{id}"),
    ROUTE(HTTP_METHOD_GET, "/tables/all"),
    ROUTE(HTTP_METHOD_GET, "/app/{project}/rows/{row}/"),
    ROUTE(HTTP_METHOD_PUT, "/track"),
};

static struct arena *arena;
static struct http_router *router;

static int start(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    return http_router_new(routes, sizeof routes / sizeof routes[0], NULL, &router) == STATUS_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    http_router_free(router);
    arena_free(arena);
    return 0;
}

static struct http_request found(enum http_method method, const char *path, unsigned *ret_allowed)
{
    struct http_request request = {.method = method, .path_raw = str_of(path), .arena = arena};
    assert_true(http_percent_decode(arena, request.path_raw, &request.path));
    http_router_find(router, &request, ret_allowed);
    return request;
}

static void finds(void **state)
{
    (void)state;
    static const struct {
        enum http_method method;
        const char *path;
        int route; /* -1: none */
        const char *first, *second;
    } cases[] = {
        {HTTP_METHOD_POST, "/track", 0, NULL, NULL},
        {HTTP_METHOD_POST, "/track/", 0, NULL, NULL},
        {HTTP_METHOD_HEAD, "/track", 0, NULL, NULL},
        {HTTP_METHOD_PUT, "/track", 7, NULL, NULL},
        {HTTP_METHOD_POST, "/tr%61ck", 0, NULL, NULL},
        {HTTP_METHOD_GET, "/", 1, NULL, NULL},
        {HTTP_METHOD_POST, "/track//", -1, NULL, NULL},
        {HTTP_METHOD_GET, "/Track", -1, NULL, NULL},
        {HTTP_METHOD_GET, "/tables", 2, NULL, NULL},
        {HTTP_METHOD_GET, "/tables/", 2, NULL, NULL},
        {HTTP_METHOD_GET, "/tables/7", 3, "7", NULL},
        {HTTP_METHOD_DELETE, "/tables/7", 4, "7", NULL},
        {HTTP_METHOD_GET, "/tables/all", 5, NULL, NULL},
        {HTTP_METHOD_DELETE, "/tables/all", 4, "all", NULL},
        {HTTP_METHOD_GET, "/tables/a%2Fb", 3, "a/b", NULL},
        {HTTP_METHOD_GET, "/tables/a/b", -1, NULL, NULL},
        {HTTP_METHOD_GET, "/app/1/rows/x%20y", 6, "1", "x y"},
        {HTTP_METHOD_GET, "/app/1/rows/2/", 6, "1", "2"},
        {HTTP_METHOD_GET, "/app//rows/2", -1, NULL, NULL},
        {HTTP_METHOD_GET, "/app/1/rows", -1, NULL, NULL},
        {HTTP_METHOD_GET, "*", -1, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned allowed;
        struct http_request request = found(cases[i].method, cases[i].path, &allowed);
        int index = request.route ? (int)(request.route - routes) : -1;
        if (index != cases[i].route) fail_msg("%s finds %d", cases[i].path, index);
        assert_int_equal(request.param_count, (cases[i].first != NULL) + (cases[i].second != NULL));
        if (cases[i].first) assert_true(str_eq(request.params[0], str_of(cases[i].first)));
        if (cases[i].second) assert_true(str_eq(request.params[1], str_of(cases[i].second)));
    }
}

/* Without a route for the method the path's methods are named, those of all its rows. */
static void allowed_methods(void **state)
{
    (void)state;
    unsigned allowed;
    assert_null(found(HTTP_METHOD_DELETE, "/track", &allowed).route);
    assert_true(str_is(http_methods_text(arena, allowed), "GET, HEAD, POST, PUT"));
    assert_null(found(HTTP_METHOD_POST, "/tables/7", &allowed).route);
    assert_true(str_is(http_methods_text(arena, allowed), "GET, HEAD, DELETE"));
    assert_null(found(HTTP_METHOD_GET, "/nothing", &allowed).route);
    assert_int_equal(allowed, 0);
}

static void param_names(void **state)
{
    (void)state;
    assert_int_equal(http_route_param_index("/app/{project}/rows/{row}", STR("row")), 1);
    assert_true(http_route_param_index("/app/{project}/rows/{row}", STR("rows")) == SIZE_MAX);
}

static void refused_tables(void **state)
{
    (void)state;
    static const struct http_route bad[] = {
        ROUTE(HTTP_METHOD_GET, "track"),
        ROUTE(HTTP_METHOD_GET, ""),
        ROUTE(HTTP_METHOD_GET, "/a/{b"),
        ROUTE(HTTP_METHOD_GET, "/a/x{b}"),
        ROUTE(HTTP_METHOD_GET, "/{}"),
        ROUTE(0, "/a"),
        ROUTE(HTTP_METHOD_GET, "/{a}/{b}/{c}/{d}/{e}"),
        {.methods = HTTP_METHOD_GET, .path = "/a"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error error = ERROR_INIT;
        struct http_router *none;
        assert_int_equal(http_router_new(&bad[i], 1, &error, &none), STATUS_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),
        cmocka_unit_test(allowed_methods),
        cmocka_unit_test(param_names),
        cmocka_unit_test(refused_tables),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
