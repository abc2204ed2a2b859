#pragma once
/*
 * A request of the app API (/api/app/projects/{project_id}/…) on its way: credentials are read on the loop, then a
 * worker finds out who asks for which project and whether he may, and does what is asked; the loop answers.
 *
 * Answers are {"status":"ok","results":…}, failures {"status":"error","error":"…"}, for a mistake in an expression also
 * `position`.
 */
#include "api/api.h"
#include "api/credentials.h"

/* In the request's arena. */
struct app_job {
    struct http_request *request;
    struct api *api;
    const struct meta_project *project; /* the asker has the permission there */
    struct str requested_by;            /* a username, or "project secret" */
    int64_t now_ms;
    struct error error; /* of a run that fails */
    struct buf results; /* of one that does not: JSON, with status 200 or 201; empty with 204 */
    int status;         /* HTTP; set by `run`, 200 at first; of a failure by its kind */

    enum status (*run)(struct app_job *job);
    enum meta_permission permission;
    struct meta_view *view; /* a reference */
    struct credentials credentials;
};

/* A handler's whole work. `run` is called on a worker thread. */
void app_start(struct http_request *request, enum meta_permission permission, enum status (*run)(struct app_job *job));
/* The number in the path; NOT_FOUND for what is none: `what` has no such id. */
enum status app_path_id(struct app_job *job, const char *name, const char *what, int64_t *ret_id) MUST_USE;
/* `,"name":"2026-01-31 12:00:00"`, UTC */
void app_write_time(struct buf *buf, const char *name, int64_t ms);
