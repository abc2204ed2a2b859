#pragma once
/*
 * A request of the Query API on its way: credentials are read on the loop, then a worker finds out who asks for which
 * project, counts the query, and runs it; the loop answers. What the endpoints differ in is `run`.
 *
 * Failures are JSON with the members `request` and `error`, for a mistake in an expression also `position`.
 */
#include "api/api.h"
#include "api/credentials.h"
#include "api/params.h"
#include "query/plan.h"

/* In the request's arena. */
struct query_job {
    struct http_request *request;
    struct api *api;
    struct params params;
    const struct meta_project *project; /* the asker may read it */
    const struct timezone_info *zone;   /* the project's */
    int64_t now_ms;
    struct error error; /* of a run that fails */
    struct buf body;    /* of one that does not */
    const char *content_type;
    int status; /* HTTP; 0: by the kind of failure */

    enum status (*run)(struct query_job *job);
    /* NULL, or set by a `run` that succeeds without a body: called on the loop instead of answering, to answer later.
     * `later` is its own. */
    void (*respond)(struct http_request *request, struct query_job *job);
    void *later;
    struct meta_view *view; /* a reference */
    struct credentials credentials;
};

/* A handler's whole work. A project in the path, {project_id}, is the one that is asked for; otherwise it is the
 * parameter of that name. `run` makes job->body, or fails with job->error set; on a worker thread. */
void query_start(struct http_request *request, enum status (*run)(struct query_job *job));

/* Answers with job->error. Loop thread. */
void query_failed(struct query_job *job, enum status status);
/* Answers a failure, also one of HTTP's own on the paths of queries (no such path or method, a body too large). */
void query_refuse(struct http_request *request, int status, const struct error *error);

/* What one query may cost, counted from now. */
struct plan_limits query_limits(const struct query_job *job);
#define QUERY_ANSWER_BYTES_MAX ((size_t)512 << 20)
/* An empty body, before it is written; and after: LIMIT, and the hint, when it grew too large. */
void query_body_init(struct query_job *job);
enum status query_body_check(struct query_job *job, const char *hint) MUST_USE;
