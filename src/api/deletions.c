#include "api/deletions.h"

#include "api/api.h"
#include "api/credentials.h"
#include "api/deletion.h"
#include "api/params.h"
#include "api/response.h"
#include "base/civil.h"
#include "base/log.h"
#include "base/number.h"

#define LIST_MAX 1000

enum action { CREATE, LIST, GET, CANCEL };

/* A request on its way through a worker. In the request's arena. */
struct job {
    struct http_request *request;
    enum action action;
    struct meta_view *view; /* a reference */
    struct credentials credentials;
    const struct meta_project *project;
    struct str requested_by;
    bool mixpanel; /* the shape of the answer */
    int status;    /* HTTP */
    struct error error;
    struct buf body;
};

/* --- who --- */

static enum status denied(struct job *job, int status, enum status result)
{
    if (result == STATUS_DENIED) job->status = status;
    return result;
}

static enum status authorize(struct job *job, struct api *api)
{
    struct meta_credential credential;
    struct error *error = &job->error;
    int64_t project_id = 0;
    TRY(credentials_verify(api->meta, job->view, &job->credentials, error, &credential, &job->status));
    struct str id = http_request_param(job->request, "project_id");
    if (job->mixpanel) {
        struct params params;
        TRY(params_parse(job->request, error, &params));
        const struct meta_project *named = meta_view_project_by_token(job->view, params_get(&params, "token"));
        TRY(params_int(&params, "project_id", 1, META_PROJECT_ID_MAX, named ? named->id : 0, error, &project_id));
        if (!project_id && credential.kind == META_CREDENTIAL_ACCOUNT) {
            error_set(error, STATUS_INVALID, "token is required");
            error_hint(error, "give the token of the project: ?token=…");
            return STATUS_INVALID;
        }
    } else if (!number_parse_int(id, &project_id) || project_id < 1 || project_id > META_PROJECT_ID_MAX) {
        return error_set(error, STATUS_INVALID, "\"" STR_FMT "\" is no project id", STR_ARG(str_slice(id, 0, 64)));
    }
    job->requested_by =
        credential.kind == META_CREDENTIAL_ACCOUNT ? credential.account->username : STR("project secret");
    return denied(job, 403,
                  meta_authorize(job->view, &credential, project_id, META_PERMISSION_OWN, error, &job->project));
}

/* --- answers --- */

static void write_time(struct buf *body, const char *name, int64_t ms)
{
    char text[19];
    buf_printf(body, ",\"%s\":", name);
    if (ms == 0)
        buf_lit(body, "null");
    else
        json_write_str(body, str_from(text, civil_format_datetime(ms, text)));
}

/* Visible to nobody is what Mixpanel's clients wait for; that the files are rewritten too is told beside it. */
static const char *mixpanel_status(enum meta_deletion_status status)
{
    switch (status) {
    case META_DELETION_PENDING: return "PENDING";
    case META_DELETION_MARKED:
    case META_DELETION_PURGED: return "SUCCESS";
    case META_DELETION_FAILED: return "FAILURE";
    default: return "REVOKED";
    }
}

static void write_deletion(struct job *job, const struct meta_deletion *d)
{
    struct buf *body = &job->body;
    struct json document;
    struct error ignored;
    bool parsed = json_parse(job->request->arena, d->request, NULL, &ignored, &document) == STATUS_OK;
    if (job->mixpanel) {
        const struct json *ids = parsed ? json_member(&document, "distinct_ids") : NULL;
        const struct json *type = parsed ? json_member(&document, "compliance_type") : NULL;
        buf_printf(body,
                   "{\"task_id\":\"%lld\",\"tracking_id\":\"%lld\",\"status\":\"%s\",\"purged\":%s,\"project_id\":%lld",
                   (long long)d->id, (long long)d->id, mixpanel_status(d->status),
                   d->status == META_DELETION_PURGED ? "true" : "false", (long long)d->project_id);
        buf_lit(body, ",\"requesting_user\":");
        json_write_str(body, d->requested_by);
        buf_lit(body, ",\"compliance_type\":");
        if (type)
            json_write(body, type);
        else
            buf_lit(body, "null");
        write_time(body, "date_requested", d->requested_ms);
        buf_printf(body, ",\"events\":%lld,\"distinct_id_count\":%zu,\"distinct_ids\":", (long long)d->rows,
                   ids && ids->type == JSON_ARRAY ? ids->array.count : 0);
        if (ids)
            json_write(body, ids);
        else
            buf_lit(body, "[]");
    } else {
        buf_printf(body,
                   "{\"id\":%lld,\"project_id\":%lld,\"kind\":\"%s\",\"status\":\"%s\",\"dry_run\":%s,\"events\":%lld",
                   (long long)d->id, (long long)d->project_id, meta_deletion_kind_name(d->kind),
                   meta_deletion_status_name(d->status), d->dry_run ? "true" : "false", (long long)d->rows);
        buf_lit(body, ",\"requested_by\":");
        json_write_str(body, d->requested_by);
        write_time(body, "requested", d->requested_ms);
        write_time(body, "marked", d->marked_ms);
        write_time(body, "purged", d->purged_ms);
        buf_lit(body, ",\"request\":");
        if (parsed)
            json_write(body, &document);
        else
            buf_lit(body, "null");
    }
    if (d->error.size) {
        buf_lit(body, ",\"error\":");
        json_write_str(body, d->error);
    }
    buf_byte(body, '}');
}

/* --- the actions --- */

static enum status read_id(struct job *job, int64_t *ret_id)
{
    struct str text = http_request_param(job->request, "id");
    if (number_parse_int(text, ret_id) && *ret_id > 0) return STATUS_OK;
    return error_set(&job->error, STATUS_NOT_FOUND, "no deletion has the id \"" STR_FMT "\"",
                     STR_ARG(str_slice(text, 0, 64)));
}

static enum status create(struct job *job, struct api *api, int64_t *ret_id)
{
    struct http_request *request = job->request;
    struct json document;
    struct buf text = BUF_INIT(META_DELETION_REQUEST_MAX);
    struct meta_deletion deletion = {.project_id = job->project->id, .requested_by = job->requested_by};
    if (json_parse(request->arena, request->body, NULL, &job->error, &document) != STATUS_OK) {
        error_hint(&job->error, "send a JSON object");
        return job->error.status;
    }
    TRY(deletion_check(&document, &job->error, &deletion.kind));
    if (job->mixpanel && deletion.kind != META_DELETION_PERSON) {
        error_set(&job->error, STATUS_INVALID, "distinct_ids is required");
        error_hint(&job->error, "other deletions are at /api/app/projects/%lld/deletions", (long long)job->project->id);
        return STATUS_INVALID;
    }
    const struct json *dry_run = json_member(&document, "dry_run");
    if (dry_run && dry_run->type != JSON_BOOL)
        return error_set(&job->error, STATUS_INVALID, "dry_run must be true or false");
    deletion.dry_run = dry_run && dry_run->boolean;
    json_write(&text, &document);
    enum status status = buf_status(&text);
    if (status != STATUS_OK) error_set(&job->error, status, "the request is too large");
    deletion.request = buf_str(&text);
    if (status == STATUS_OK) status = meta_deletion_create(api->meta, &deletion, &job->error, ret_id);
    buf_fini(&text);
    /* From here on it is on record, and done sooner or later: what goes wrong now stands in its row. */
    if (status == STATUS_OK) status = deletion_run(api, job->view, *ret_id, request->arena, &job->error);
    return status;
}

static enum status run(struct job *job)
{
    struct api *api = job->request->context;
    struct arena *arena = job->request->arena;
    struct meta_deletion deletion, *list = &deletion;
    size_t count = 1;
    int64_t id = 0;
    TRY(authorize(job, api));
    if (job->action == CREATE) TRY(create(job, api, &id));
    if (job->action == GET || job->action == CANCEL) TRY(read_id(job, &id));
    if (job->action == CANCEL) {
        TRY(meta_deletion_cancel(api->meta, job->project->id, id, &job->error));
        job->status = 204;
        return STATUS_OK;
    }
    if (job->action == LIST)
        TRY(meta_deletions(api->meta, job->project->id, -1, LIST_MAX, arena, &job->error, &list, &count));
    else
        TRY(meta_deletion(api->meta, job->project->id, id, arena, &job->error, &deletion));
    job->body = BUF_INIT((size_t)256 << 20);
    buf_lit(&job->body, "{\"status\":\"ok\",\"results\":");
    if (job->action == LIST) buf_byte(&job->body, '[');
    for (size_t i = 0; i < count; i++) {
        if (i) buf_byte(&job->body, ',');
        write_deletion(job, &list[i]);
    }
    buf_printf(&job->body, "%s}", job->action == LIST ? "]" : "");
    job->status = job->action == CREATE ? 201 : 200;
    if (buf_status(&job->body) == STATUS_OK) return STATUS_OK;
    buf_fini(&job->body);
    return error_set(&job->error, STATUS_LIMIT, "the answer is too large");
}

static void answer(struct http_request *request, void *arg)
{
    struct job *job = arg;
    if (job->status == 204) {
        http_respond(request, 204, NULL, STR(""));
        return;
    }
    if (job->status == 200 || job->status == 201) {
        http_respond_buf(request, job->status, "application/json", &job->body);
        return;
    }
    char text[1100];
    struct buf body = BUF_INIT((size_t)1 << 20);
    buf_lit(&body, "{\"status\":\"error\",\"error\":");
    json_write_str(&body, str_of(error_text(&job->error, text, sizeof text)));
    buf_byte(&body, '}');
    if (job->status == 401) http_header_add(request, "WWW-Authenticate", STR("Basic realm=\"cairn\""));
    if (job->status == 503) http_header_add(request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
    if (job->status >= 500) log_failure(LOG_ERROR, "deletion_failed", &job->error);
    http_respond_buf(request, job->status, "application/json", &body);
}

/* On a worker thread. */
static void work(void *arg)
{
    struct job *job = arg;
    enum status status = run(job);
    if (status != STATUS_OK && !job->status)
        job->status = status == STATUS_INVALID || status == STATUS_LIMIT ? 400 : response_code(status);
    if (status != STATUS_OK && job->status < 400) job->status = 500;
    meta_view_unref(job->view);
    http_request_complete(job->request, answer, job);
}

static void begin(struct http_request *request, enum action action)
{
    struct api *api = request->context;
    struct job *job = arena_new_array(request->arena, struct job, 1);
    struct error error;
    if (!job) {
        error_set(&error, STATUS_LIMIT, "request needs too much memory");
        response_failure(request, &error);
        return;
    }
    job->request = request;
    job->action = action;
    job->mixpanel = !http_request_param(request, "project_id").data;
    if (credentials_parse_any(job->request, &job->error, &job->credentials) != STATUS_OK) {
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

void api_deletions_create(struct http_request *request)
{
    begin(request, CREATE);
}
void api_deletions_list(struct http_request *request)
{
    begin(request, LIST);
}
void api_deletions_get(struct http_request *request)
{
    begin(request, GET);
}
void api_deletions_cancel(struct http_request *request)
{
    begin(request, CANCEL);
}
