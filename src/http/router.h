#pragma once
/*
 * Finds the route of a request. Built once from the application's table, then read by all loops. Private to
 * http/.
 */
#include "http/server.h"

struct http_router;

/* INVALID for a path that does not begin with "/", a malformed {name}, too many of them, a missing handler or
 * method. */
enum status http_router_new(const struct http_route *routes, size_t count, struct error *error,
                            struct http_router **ret_router) MUST_USE;
void http_router_free(struct http_router *router);

/* Looks for request->path and path_raw; sets route, params and param_count where one is found. *ret_allowed
 * becomes the methods that the path has (0: no such path). */
void http_router_find(const struct http_router *router, struct http_request *request, unsigned *ret_allowed);

/* The index of the `{name}` in a pattern, or SIZE_MAX. */
size_t http_route_param_index(const char *path, struct str name) MUST_USE;

/* "GET, HEAD, POST" */
struct str http_methods_text(struct arena *arena, unsigned methods) MUST_USE;
