#include "http/router.h"

#include <stdlib.h>

#include "http/syntax.h"

enum { SEGMENTS_MAX = 32 };

struct entry {
    struct str path; /* without a slash at the end */
    const struct http_route *route;
};

struct http_router {
    struct entry *literals; /* sorted by path, rows of one path in table order */
    size_t literal_count;
    struct entry *patterns; /* in table order */
    size_t pattern_count;
};

static struct str without_slash(struct str path)
{
    return path.size > 1 && path.data[path.size - 1] == '/' ? str_slice(path, 0, path.size - 1) : path;
}

static bool is_param(struct str segment)
{
    return segment.size > 2 && segment.data[0] == '{' && segment.data[segment.size - 1] == '}';
}

static int entry_compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = str_cmp(x->path, y->path);
    if (order == 0) order = x->route < y->route ? -1 : x->route > y->route;
    return order;
}

static enum status route_check(const struct http_route *route, struct error *error, bool *ret_pattern)
{
    struct str path = str_of(route->path), rest, segment;
    if (!str_starts(path, STR("/"))) {
        return error_set(error, STATUS_INVALID, "path of a route \"" STR_FMT "\" does not begin with a slash",
                         STR_ARG(path));
    }
    if (!route->handler || !route->methods) {
        return error_set(error, STATUS_INVALID, "route \"%s\" has no handler or no method", route->path);
    }
    size_t params = 0, segments = 0;
    rest = str_slice(path, 1, path.size);
    while (str_next_part(&rest, '/', &segment)) {
        segments++;
        if (is_param(segment))
            params++;
        else if (str_find_byte(segment, '{', 0) != SIZE_MAX || str_find_byte(segment, '}', 0) != SIZE_MAX) {
            return error_set(error, STATUS_INVALID, "route \"%s\" has a malformed segment \"" STR_FMT "\"", route->path,
                             STR_ARG(segment));
        }
    }
    if (params > HTTP_ROUTE_PARAMS_MAX || segments > SEGMENTS_MAX) {
        return error_set(error, STATUS_INVALID, "route \"%s\" has too many segments", route->path);
    }
    *ret_pattern = params > 0;
    return STATUS_OK;
}

enum status http_router_new(const struct http_route *routes, size_t count, struct error *error,
                            struct http_router **ret_router)
{
    struct http_router *router = calloc(1, sizeof *router);
    if (!router) abort();
    router->literals = calloc(count + 1, sizeof *router->literals);
    router->patterns = calloc(count + 1, sizeof *router->patterns);
    if (!router->literals || !router->patterns) abort();
    for (size_t i = 0; i < count; i++) {
        bool pattern = false;
        enum status status = route_check(&routes[i], error, &pattern);
        if (status != STATUS_OK) {
            http_router_free(router);
            return status;
        }
        struct entry entry = {.path = without_slash(str_of(routes[i].path)), .route = &routes[i]};
        if (pattern)
            router->patterns[router->pattern_count++] = entry;
        else
            router->literals[router->literal_count++] = entry;
    }
    qsort(router->literals, router->literal_count, sizeof *router->literals, entry_compare);
    *ret_router = router;
    return STATUS_OK;
}

void http_router_free(struct http_router *router)
{
    if (!router) return;
    free(router->literals);
    free(router->patterns);
    free(router);
}

static unsigned methods_of(const struct http_route *route)
{
    return route->methods & HTTP_METHOD_GET ? route->methods | HTTP_METHOD_HEAD : route->methods;
}

/* The path is split as it was sent, so that an encoded slash stays inside its segment. */
static bool pattern_match(struct str pattern, struct http_request *request, struct str *params, size_t *ret_count)
{
    struct str path = without_slash(request->path_raw), segment, wanted;
    if (path.size == 0) return false;
    struct str rest = str_slice(path, 1, path.size), pattern_rest = str_slice(pattern, 1, pattern.size);
    size_t count = 0;
    while (str_next_part(&pattern_rest, '/', &wanted)) {
        struct str plain;
        if (!rest.data || !str_next_part(&rest, '/', &segment)) return false;
        if (!http_percent_decode(request->arena, segment, &plain)) return false;
        if (is_param(wanted)) {
            if (plain.size == 0) return false;
            params[count++] = plain;
        } else if (!str_eq(plain, wanted)) {
            return false;
        }
    }
    *ret_count = count;
    return rest.data == NULL;
}

void http_router_find(const struct http_router *router, struct http_request *request, unsigned *ret_allowed)
{
    unsigned allowed = 0;
    struct str path = without_slash(request->path);
    size_t low = 0, high = router->literal_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_cmp(router->literals[middle].path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < router->literal_count && str_eq(router->literals[low].path, path); low++) {
        const struct http_route *route = router->literals[low].route;
        allowed |= methods_of(route);
        if (!request->route && methods_of(route) & (unsigned)request->method) request->route = route;
    }
    for (size_t i = 0; i < router->pattern_count && !request->route; i++) {
        const struct entry *entry = &router->patterns[i];
        struct str params[HTTP_ROUTE_PARAMS_MAX];
        size_t count;
        if (!pattern_match(entry->path, request, params, &count)) continue;
        allowed |= methods_of(entry->route);
        if (!(methods_of(entry->route) & (unsigned)request->method)) continue;
        request->route = entry->route;
        request->param_count = count;
        for (size_t p = 0; p < count; p++) request->params[p] = params[p];
    }
    *ret_allowed = allowed;
}

size_t http_route_param_index(const char *path, struct str name)
{
    size_t index = 0;
    struct str rest = str_of(path), segment;
    while (str_next_part(&rest, '/', &segment)) {
        if (!is_param(segment)) continue;
        if (str_eq(str_slice(segment, 1, segment.size - 1), name)) return index;
        index++;
    }
    return SIZE_MAX;
}

struct str http_methods_text(struct arena *arena, unsigned methods)
{
    static const struct {
        unsigned method;
        const char *name;
    } names[] = {
        {HTTP_METHOD_GET, "GET"},         {HTTP_METHOD_HEAD, "HEAD"},   {HTTP_METHOD_POST, "POST"},
        {HTTP_METHOD_PUT, "PUT"},         {HTTP_METHOD_PATCH, "PATCH"}, {HTTP_METHOD_DELETE, "DELETE"},
        {HTTP_METHOD_OPTIONS, "OPTIONS"},
    };
    struct str text = STR("");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(methods & names[i].method)) continue;
        text = arena_printf(arena, STR_FMT "%s%s", STR_ARG(text), text.size ? ", " : "", names[i].name);
    }
    return text;
}
