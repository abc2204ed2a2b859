#include "api/import.h"

#include "api/api.h"
#include "api/credentials.h"
#include "api/import_answer.h"
#include "api/project.h"
#include "base/number.h"
#include "os/clock.h"
#include "store/store.h"

/*
 * A request passes four stages, each a function that ends by answering or by handing on to the next:
 *
 *   api_import    finds the data and the parameters, which also say in what form to answer
 *   authenticate  finds who is asking; a service account that is not in the cache of verified ones is verified on a
 *                 worker thread first
 *   take          has the project: checks the events and gives them to the store
 *   answer        they are on disk
 */
struct import_job {
    struct http_request *request;
    struct decode_form form;
    struct str content_type;
    enum import_form answer_form;
    struct response_mode mode;
    struct credentials credentials;
    struct meta_view *view; /* a reference, while a worker looks at it */
    struct ingest_project project;
    struct import_outcome outcome;
    enum status status; /* of the verification; then of the store */
    struct error error;
};

/* ---- answers ---- */

/* Without the fields that open an answer to pages of other origins: a browser may keep the credentials. */
static void respond(struct import_job *job, int code, const char *type, struct buf *body)
{
    struct http_request *request = job->request;
    if (request->method != HTTP_METHOD_POST) http_header_add(request, "Cache-Control", STR("no-store"));
    http_header_add(request, "X-Content-Type-Options", STR("nosniff"));
    http_respond_buf(request, code, type, body);
}

static void respond_failure(struct import_job *job, const struct error *error)
{
    int code = response_code(error->status);
    if (code == 401) http_header_add(job->request, "WWW-Authenticate", STR("Basic realm=\"cairn\""));
    if (code == 503) http_header_add(job->request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
    http_respond_error(job->request, code, error);
}

static void answer(struct http_request *request, void *arg)
{
    struct import_job *job = arg;
    (void)request;
    if (job->status != STATUS_OK) {
        struct error error = ERROR_INIT;
        if (job->status == STATUS_LIMIT)
            (void)error_set(&error, STATUS_LIMIT, "request needs too much memory");
        else
            (void)error_set(&error, STATUS_UNAVAILABLE, "events cannot be stored at the moment");
        respond_failure(job, &error);
        return;
    }
    struct buf body = BUF_INIT(import_answer_size_max(&job->outcome));
    const char *type;
    int code = import_answer(job->answer_form, &job->mode, &job->outcome, &body, &type);
    respond(job, code, type, &body);
}

static void answer_unreadable(struct import_job *job, const struct error *error)
{
    struct buf body = BUF_INIT(sizeof *error * 6);
    const char *type;
    int code = import_answer_unreadable(job->answer_form, &job->mode, str_of(error->primary), &body, &type);
    respond(job, code, type, &body);
}

/* ---- the events ---- */

/* On the log's thread, or in store_append. */
static void stored(void *arg, enum status status)
{
    struct import_job *job = arg;
    job->status = status;
    http_request_complete(job->request, answer, job);
}

static enum status take_events(struct import_job *job, struct error *error)
{
    struct api *api = job->request->context;
    struct arena *arena = job->request->arena;
    struct enrichment enrichment = {.geo = api->enrichment.geo}; /* of the events' own `ip` alone */
    struct import_request import = {.project = job->project,
                                    .received_ms = os_now_ms(),
                                    .enrichment = &enrichment,
                                    .strict = job->answer_form == IMPORT_STRICT,
                                    .lines = !job->form.in_field && decode_is_lines(job->content_type)};
    struct str text = job->form.payload;
    if (!import.lines) TRY(decode_text(arena, &job->form, api->import_limits, error, &text));
    return import_take(arena, api->import_limits, text, &import, error, &job->outcome);
}

static void take(struct import_job *job)
{
    struct http_request *request = job->request;
    struct api *api = request->context;
    struct error error = ERROR_INIT;
    job->status = STATUS_OK;
    /* Whoever asks with HEAD wants to know whether the address and the credentials work. */
    enum status status = request->method == HTTP_METHOD_HEAD ? STATUS_OK : take_events(job, &error);
    if (status == STATUS_INVALID) {
        answer_unreadable(job, &error);
    } else if (status != STATUS_OK) {
        respond_failure(job, &error);
    } else if (job->outcome.record.size) {
        struct buf record = job->outcome.record;
        job->outcome.record = BUF_INIT(0);
        store_append(api->store, &record, stored, job); /* the last thing that is done with the request here */
    } else {
        answer(request, job);
    }
}

/* ---- who is asking ---- */

static enum status denied(struct error *error, const char *text)
{
    return error_set(error, STATUS_DENIED, "%s", text);
}

/* What to say of credentials that are nobody's. Their form alone decides, so that nobody learns which names there are.
 */
static enum status unknown_credentials(const struct credentials *credentials, struct error *error)
{
    if (str_find(credentials->username, STR("-service-account"), 0) != SIZE_MAX)
        return denied(error, "Invalid service account credentials");
    if (credentials->secret.size == 0 || credentials->username.size == META_SECRET_SIZE)
        return denied(error, "Unauthorized, invalid project secret. See docs for more information: "
                             "https://developer.mixpanel.com/reference/authentication#project-secret");
    return denied(error, "Not a valid service account username");
}

static enum status project_id_of(const struct import_job *job, struct error *error, int64_t *ret_id)
{
    struct str text = str_trim(decode_param(&job->form, "project_id"));
    *ret_id = 0;
    if (text.size == 0 || (number_parse_int(text, ret_id) && *ret_id > 0)) return STATUS_OK;
    return error_set(error, STATUS_INVALID, "project_id must be a number");
}

/* Finds the project; sets job->project. */
static enum status authorize(struct import_job *job, struct meta_view *view, const struct meta_credential *credential,
                             struct error *error)
{
    const struct meta_project *project;
    int64_t project_id;
    TRY(project_id_of(job, error, &project_id));
    if (credential->kind != META_CREDENTIAL_ACCOUNT && project_id && project_id != credential->project->id)
        return denied(error, "Credentials in request did not match project_id URL parameter");
    if (credential->kind == META_CREDENTIAL_ACCOUNT && project_id &&
        meta_authorize(view, credential, project_id, META_PERMISSION_READ, NULL, &project) != STATUS_OK)
        return denied(error, "not a project member");
    TRY(meta_authorize(view, credential, project_id, META_PERMISSION_IMPORT, error, &project));
    job->project.id = (uint64_t)project->id;
    job->project.mode = api_identity_mode(project->identity);
    return STATUS_OK;
}

static void verified(struct http_request *request, void *arg)
{
    struct import_job *job = arg;
    (void)request;
    if (job->status == STATUS_OK)
        take(job);
    else
        respond_failure(job, &job->error);
}

/* On a worker thread. */
static void verify(void *arg)
{
    struct import_job *job = arg;
    struct api *api = job->request->context;
    struct meta_credential credential = {.kind = META_CREDENTIAL_ACCOUNT};
    job->status = meta_account_verify(api->meta, job->view, job->credentials.username, job->credentials.secret,
                                      &job->error, &credential.account);
    if (job->status == STATUS_OK)
        job->status = authorize(job, job->view, &credential, &job->error);
    else if (job->status == STATUS_DENIED)
        job->status = unknown_credentials(&job->credentials, &job->error);
    meta_view_unref(job->view);
    http_request_complete(job->request, verified, job);
}

static enum status credentials_of(struct import_job *job, struct error *error)
{
    if (credentials_parse_any(job->request, error, &job->credentials) != STATUS_OK) {
        error->status = STATUS_DENIED;
        return STATUS_DENIED;
    }
    if (!job->credentials.username.data) {
        job->credentials.username = decode_param(&job->form, "api_key");
        job->credentials.secret = STR("");
    }
    if (job->credentials.username.size) return STATUS_OK;
    (void)denied(error, "Unauthorized, no credentials in the request");
    error_hint(error, "send Basic credentials: a service account with project_id, or the project's secret or token");
    return STATUS_DENIED;
}

static void authenticate(struct import_job *job)
{
    struct http_request *request = job->request;
    struct api *api = request->context;
    struct meta_view *view = api_meta_view(api, request->loop_index);
    struct meta_credential credential;
    struct error error = ERROR_INIT;
    enum status status = credentials_of(job, &error);
    if (status == STATUS_OK && credentials_resolve(api->meta, view, &job->credentials, &credential)) {
        status = authorize(job, view, &credential, &error);
        if (status == STATUS_OK) {
            take(job);
            return;
        }
    } else if (status == STATUS_OK) {
        job->view = meta_view_ref(view);
        status = api_run_blocking(api, verify, job);
        if (status == STATUS_OK) return;
        meta_view_unref(job->view);
        (void)error_set(&error, STATUS_UNAVAILABLE, "too many credentials to verify");
    }
    respond_failure(job, &error);
}

void api_import(struct http_request *request)
{
    struct api *api = request->context;
    struct error error = ERROR_INIT;
    struct import_job *job = arena_new_array(request->arena, struct import_job, 1);
    if (!job) {
        (void)error_set(&error, STATUS_LIMIT, "request needs too much memory");
        http_respond_error(request, 413, &error);
        return;
    }
    job->request = request;
    job->content_type = http_request_field(request, "content-type");
    struct decode_input input = {.query = request->query,
                                 .content_type = job->content_type,
                                 .body = request->body,
                                 .lines = decode_is_lines(job->content_type)};
    enum status status = decode_form(request->arena, &input, api->import_limits, &error, &job->form);
    if (request->method != HTTP_METHOD_POST) job->form.in_field = true; /* a pixel without data is one all the same */
    job->answer_form = import_form_of(&job->form);
    job->mode = response_mode_of(&job->form);
    if (status == STATUS_OK)
        authenticate(job);
    else if (status == STATUS_INVALID)
        answer_unreadable(job, &error);
    else
        respond_failure(job, &error);
}
