#include "api/query_job.h"

#include "api/rate.h"
#include "api/response.h"
#include "base/json.h"
#include "base/log.h"
#include "base/number.h"
#include "os/clock.h"

#include <stdio.h>

struct plan_limits query_limits(const struct query_job *job)
{
    const struct api_query_limits *limits = &job->api->query;
    return (struct plan_limits){
        .memory_bytes_max = limits->memory_bytes_max,
        .buckets_max = limits->buckets_max,
        .deadline_ns = os_monotonic_ns() + limits->timeout_ms * 1000000,
    };
}

void query_body_init(struct query_job *job)
{
    job->body = BUF_INIT(QUERY_ANSWER_BYTES_MAX);
}

enum status query_body_check(struct query_job *job, const char *hint)
{
    if (buf_status(&job->body) == STATUS_OK) return STATUS_OK;
    buf_fini(&job->body);
    error_set(&job->error, STATUS_LIMIT, "the answer is larger than %zu bytes", QUERY_ANSWER_BYTES_MAX);
    error_hint(&job->error, "%s", hint);
    return STATUS_LIMIT;
}

/* --- who --- */

/* 401: who you are could not be told; 403: you may not. */
static enum status fail_auth(struct query_job *job, int status)
{
    return job->status = status, STATUS_DENIED;
}

static enum status project_asked_for(struct query_job *job, int64_t *ret_id)
{
    struct str in_path = http_request_param(job->request, "project_id");
    if (!in_path.data) return params_int(&job->params, "project_id", 1, META_PROJECT_ID_MAX, 0, &job->error, ret_id);
    if (number_parse_int(in_path, ret_id) && *ret_id >= 1 && *ret_id <= META_PROJECT_ID_MAX) return STATUS_OK;
    return error_set(&job->error, STATUS_INVALID, "\"" STR_FMT "\" is no project id",
                     STR_ARG(str_slice(in_path, 0, 64)));
}

static enum status authorize(struct query_job *job)
{
    struct api *api = job->api;
    struct meta_credential credential;
    struct error *error = &job->error;
    int64_t project_id;
    if (!job->credentials.username.data) {
        error_set(error, STATUS_DENIED, "Unable to authenticate request");
        error_hint(error, "send Basic credentials: a service account's username and secret");
        return fail_auth(job, 401);
    }
    if (!credentials_resolve(api->meta, job->view, &job->credentials, &credential)) {
        enum status status = meta_account_verify(api->meta, job->view, job->credentials.username,
                                                 job->credentials.secret, error, &credential.account);
        if (status == STATUS_DENIED) error_set(error, STATUS_DENIED, "Unable to authenticate request");
        if (status != STATUS_OK) return status == STATUS_DENIED ? fail_auth(job, 401) : status;
        credential.kind = META_CREDENTIAL_ACCOUNT;
        credential.project = NULL;
    }
    TRY(project_asked_for(job, &project_id));
    enum status status = meta_authorize(job->view, &credential, project_id, META_PERMISSION_READ, error, &job->project);
    if (status == STATUS_INVALID) {
        error_set(error, STATUS_INVALID, "project_id is required");
        error_hint(error, "a service account may belong to several projects: say which one is asked for");
    }
    return status == STATUS_DENIED ? fail_auth(job, 403) : status;
}

/* --- the stages --- */

static enum status run(struct query_job *job)
{
    TRY(params_parse(job->request, &job->error, &job->params));
    TRY(authorize(job));
    if (!rate_allows((uint64_t)job->project->id, job->api->query.rate_per_hour, job->now_ms)) {
        job->status = 429;
        return error_set(&job->error, STATUS_LIMIT, "Query rate limit exceeded");
    }
    TRY(timezone_load(job->project->timezone, &job->error, &job->zone));
    return job->run(job);
}

static int status_of(enum status status)
{
    switch (status) {
    case STATUS_INVALID:
    case STATUS_LIMIT: return 400;
    case STATUS_CANCELLED: return 504;
    default: return response_code(status);
    }
}

void query_refuse(struct http_request *request, int status, const struct error *error)
{
    char text[sizeof error->primary + sizeof error->detail + sizeof error->hint];
    struct error placed = *error;
    struct buf body = BUF_INIT((size_t)1 << 20);
    buf_lit(&body, "{\"request\":");
    json_write_str(&body, request->target);
    buf_lit(&body, ",\"error\":");
    if (error->column) {
        size_t used = strlen(placed.primary);
        snprintf(placed.primary + used, sizeof placed.primary - used, " at position %u", error->column);
    }
    json_write_str(&body, str_of(error_text(&placed, text, sizeof text)));
    if (error->column) buf_printf(&body, ",\"position\":%u", error->column);
    buf_byte(&body, '}');
    if (status == 401) http_header_add(request, "WWW-Authenticate", STR("Basic realm=\"cairn\""));
    if (status == 429) http_header_add(request, "Retry-After", STR("60"));
    if (status == 503) http_header_add(request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
    http_respond_buf(request, status, "application/json", &body);
}

static void answer(struct http_request *request, void *arg)
{
    struct query_job *job = arg;
    if (job->status == 200 && job->respond) {
        job->respond(request, job);
        return;
    }
    if (job->status == 200) {
        http_respond_buf(request, 200, job->content_type, &job->body);
        return;
    }
    if (job->status >= 500) log_failure(LOG_ERROR, "query_failed", &job->error);
    query_refuse(request, job->status, &job->error);
}

void query_failed(struct query_job *job, enum status status)
{
    job->status = status_of(status);
    answer(job->request, job);
}

/* On a worker thread. */
static void work(void *arg)
{
    struct query_job *job = arg;
    enum status status = run(job);
    if (status == STATUS_OK)
        job->status = 200;
    else if (!job->status)
        job->status = status_of(status);
    meta_view_unref(job->view);
    http_request_complete(job->request, answer, job);
}

void query_start(struct http_request *request, enum status (*run_query)(struct query_job *job))
{
    struct query_job *job = arena_new_array(request->arena, struct query_job, 1);
    struct error error;
    if (!job) {
        error_set(&error, STATUS_LIMIT, "request needs too much memory");
        response_failure(request, &error);
        return;
    }
    job->request = request;
    job->api = request->context;
    job->now_ms = os_now_ms();
    job->content_type = "application/json";
    job->run = run_query;
    if (credentials_parse(request, &job->error, &job->credentials) != STATUS_OK) {
        job->status = 401;
        answer(request, job);
        return;
    }
    job->view = meta_view_ref(api_meta_view(job->api, request->loop_index));
    if (api_run_blocking(job->api, work, job) == STATUS_OK) return;
    meta_view_unref(job->view);
    job->status = 503;
    error_set(&job->error, STATUS_UNAVAILABLE, "too many queries are waiting");
    answer(request, job);
}
