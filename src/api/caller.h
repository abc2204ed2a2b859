#pragma once
/*
 * Whose project a request is about, for the endpoints that SDKs ask beside sending events: /settings, /flags, /record.
 * In this order:
 *
 *   Authorization   Basic with the project's token or secret (what SDKs send), or a service account with project_id;
 *                   every form of credentials.h
 *   token           a parameter of the query: the project's token
 *
 * A service account that was not verified before is verified on a worker thread. Loop thread.
 */
#include "api/credentials.h"
#include "base/url.h"

#define CALLER_PARAMS_MAX 100

struct caller {
    struct http_request *request;
    enum meta_permission permission; /* that an account must have there */
    void (*found)(struct caller *caller);
    /* set before found() */
    struct url_params params; /* of the query */
    uint64_t project;
    enum status status; /* OK, DENIED, INVALID, LIMIT, UNAVAILABLE */
    struct error error;
    /* private */
    struct credentials credentials;
    struct meta_view *view; /* a reference, while a worker looks at it */
};

/* Calls caller->found once, now or later. The caller lies in the request's arena, with request, permission and found
 * set and the rest zero. */
void caller_find(struct caller *caller);
/* "" when it is not given. */
struct str caller_param(const struct caller *caller, const char *name);
/* Answers a failure as {"code", "error", "status"}, with the fields that belong to its status. */
void caller_refuse(struct caller *caller, int code, const struct error *error);
