#pragma once
/*
 * A request of the Query API on its way:
 *
 *   loop      credentials are read                                             query_start
 *   worker    who asks for which project; the rate limit; the cache of answers: often the way ends here
 *   query     `run`, when it is its turn (queries.h), and within what it may cost: query_limits
 *   loop      the answer
 *
 * What the endpoints differ in is `run`. An endpoint whose answer may be given again says so in it: query_keep_answer.
 *
 * Failures are JSON with the members `request` and `error`, for a mistake in an expression also `position`:
 *
 *     400  what is wrong with the request, or needs more than a query may have
 *     429  the project has asked too often, or too many of its queries are under way      with Retry-After
 *     503  too many queries, or too many waited too long                                  with Retry-After
 *     503  the query was stopped: DELETE /api/app/queries/{id}
 *     504  it took longer than query.timeout, or than the request's own `timeout_ms`
 */
#include "api/api.h"
#include "api/credentials.h"
#include "api/params.h"
#include "api/queries.h"
#include "api/query_cache.h"
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
     * `later` is its own. The query stays in the list, with so much memory of its own, until queries_leave. */
    void (*respond)(struct http_request *request, struct query_job *job);
    void *later;
    size_t streams_bytes;
    struct meta_view *view; /* a reference */
    struct credentials credentials;
    struct query_entry entry;
    int64_t begun_ns;
    size_t held_bytes; /* of the answer, which counts until the request is over */
    /* the cache */
    struct str question; /* endpoint and parameters; NULL data: could not be made */
    struct query_stamp stamp;
    int64_t keep_until_ms; /* 0: the answer is not kept */
    enum query_source { QUERY_NOT_CACHED, QUERY_MISS, QUERY_HIT } source;
};

/* A handler's whole work. A project in the path, {project_id}, is the one that is asked for; otherwise it is the
 * parameter of that name. `run` makes job->body, or fails with job->error set; on a thread that queries run on. It may
 * be called a second time when it ended with CANCELLED (queries.h), so it changes nothing before it is sure to succeed.
 */
void query_start(struct http_request *request, enum status (*run)(struct query_job *job));
/* The same for endpoints that are known to take long: they leave places for the others from the beginning. */
void query_start_long(struct http_request *request, enum status (*run)(struct query_job *job));

/* What the query may cost. Whoever runs plans hands them on whole: they also say when it is to end and how far it is.
 */
struct plan_limits query_limits(struct query_job *job);

/* Called in `run`: the same question may be answered with the same bytes as long as the project's data, its profiles
 * if they were read within query_limits, and the control plane stay as they are, and until that time (INT64_MAX:
 * always). What TODAY() in a parameter means for it is looked after; called again, the earlier time counts. Not for
 * answers that name a session, or cost memory to keep like exports. An endpoint that looks at job->now_ms in any other
 * way must give the time from which it would say something else. */
void query_keep_answer(struct query_job *job, int64_t until_ms);
/* When the project's clocks show the next multiple of this (60000: minute, 3600000: hour, 86400000: day); earlier, if
 * they are set before that. */
int64_t query_next_local(const struct query_job *job, int64_t unit_ms);

/* Answers with job->error. Loop thread. */
void query_failed(struct query_job *job, enum status status);
/* Answers a failure, also one of HTTP's own on the paths of queries (no such path or method, a body too large). */
void query_refuse(struct http_request *request, int status, const struct error *error);

#define QUERY_ANSWER_BYTES_MAX ((size_t)512 << 20)
/* An empty body, before it is written, of at most that or query.memory_max; and after: LIMIT, and the hint, when it
 * grew too large. */
void query_body_init(struct query_job *job);
enum status query_body_check(struct query_job *job, const char *hint) MUST_USE;
