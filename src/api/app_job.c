#include "api/app_job.h"

#include "api/response.h"
#include "base/civil.h"
#include "base/json.h"
#include "base/log.h"
#include "base/number.h"
#include "os/clock.h"

#include <stdio.h>

#define RESULTS_BYTES_MAX ((size_t)256 << 20)

/* --- who --- */

static enum status denied(struct app_job *job, int status, enum status result)
{
    if (result == STATUS_DENIED) job->status = status;
    return result;
}

static enum status authorize(struct app_job *job)
{
    struct api *api = job->api;
    struct error *error = &job->error;
    struct meta_credential credential;
    struct str id = http_request_param(job->request, "project_id");
    int64_t project_id;
    TRY(credentials_verify(api->meta, job->view, &job->credentials, error, &credential, &job->status));
    if (!number_parse_int(id, &project_id) || project_id < 1 || project_id > META_PROJECT_ID_MAX)
        return error_set(error, STATUS_INVALID, "\"" STR_FMT "\" is no project id", STR_ARG(str_slice(id, 0, 64)));
    job->requested_by =
        credential.kind == META_CREDENTIAL_ACCOUNT ? credential.account->username : STR("project secret");
    return denied(job, 403, meta_authorize(job->view, &credential, project_id, job->permission, error, &job->project));
}

enum status app_path_id(struct app_job *job, const char *name, const char *what, int64_t *ret_id)
{
    struct str text = http_request_param(job->request, name);
    if (number_parse_int(text, ret_id) && *ret_id > 0) return STATUS_OK;
    return error_set(&job->error, STATUS_NOT_FOUND, "no %s has the id \"" STR_FMT "\"", what,
                     STR_ARG(str_slice(text, 0, 64)));
}

/* --- answers --- */

void app_write_time(struct buf *buf, const char *name, int64_t ms)
{
    char text[19];
    buf_printf(buf, ",\"%s\":", name);
    json_write_str(buf, str_from(text, civil_format_datetime(ms, text)));
}

static void answer_failure(struct app_job *job)
{
    struct http_request *request = job->request;
    char text[sizeof job->error.primary + sizeof job->error.detail + sizeof job->error.hint + 8];
    struct buf body = BUF_INIT((size_t)1 << 20);
    buf_lit(&body, "{\"status\":\"error\",\"error\":");
    if (job->error.column) {
        size_t used = strlen(job->error.primary);
        snprintf(job->error.primary + used, sizeof job->error.primary - used, " at position %u", job->error.column);
    }
    json_write_str(&body, str_of(error_text(&job->error, text, sizeof text)));
    if (job->error.column) buf_printf(&body, ",\"position\":%u", job->error.column);
    buf_byte(&body, '}');
    if (job->status == 401) http_header_add(request, "WWW-Authenticate", STR("Basic realm=\"cairn\""));
    if (job->status == 503) http_header_add(request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
    if (job->status >= 500) log_failure(LOG_ERROR, "app_request_failed", &job->error);
    http_respond_buf(request, job->status, "application/json", &body);
}

static void answer(struct http_request *request, void *arg)
{
    struct app_job *job = arg;
    if (job->status >= 400) {
        buf_fini(&job->results);
        answer_failure(job);
        return;
    }
    if (job->status == 204) {
        http_respond(request, 204, NULL, STR(""));
        return;
    }
    struct buf body = BUF_INIT(RESULTS_BYTES_MAX + 64);
    buf_lit(&body, "{\"status\":\"ok\",\"results\":");
    buf_str_add(&body, buf_str(&job->results));
    buf_byte(&body, '}');
    buf_fini(&job->results);
    http_respond_buf(request, job->status, "application/json", &body);
}

static int failure_code(const struct app_job *job, enum status status)
{
    if (job->status >= 400) return job->status;
    return status == STATUS_INVALID || status == STATUS_LIMIT ? 400 : response_code(status);
}

/* On a worker thread. */
static void work(void *arg)
{
    struct app_job *job = arg;
    enum status status = authorize(job);
    if (status == STATUS_OK) status = job->run(job);
    if (status == STATUS_OK && buf_status(&job->results) != STATUS_OK)
        status = error_set(&job->error, STATUS_LIMIT, "the answer is too large");
    if (status != STATUS_OK) job->status = failure_code(job, status);
    meta_view_unref(job->view);
    http_request_complete(job->request, answer, job);
}

void app_start(struct http_request *request, enum meta_permission permission, enum status (*run)(struct app_job *job))
{
    struct api *api = request->context;
    struct app_job *job = arena_new_array(request->arena, struct app_job, 1);
    struct error error;
    if (!job) {
        error_set(&error, STATUS_LIMIT, "request needs too much memory");
        response_failure(request, &error);
        return;
    }
    job->request = request;
    job->api = api;
    job->now_ms = os_now_ms();
    job->status = 200;
    job->results = BUF_INIT(RESULTS_BYTES_MAX);
    job->permission = permission;
    job->run = run;
    if (credentials_parse_any(request, &job->error, &job->credentials) != STATUS_OK) {
        job->status = 401;
        answer(request, job);
        return;
    }
    job->view = meta_view_ref(api_meta_view(api, request->loop_index));
    if (api_run_blocking(api, work, job) == STATUS_OK) return;
    meta_view_unref(job->view);
    job->status = 503;
    error_set(&job->error, STATUS_UNAVAILABLE, "too many requests are waiting");
    answer(request, job);
}
