#include "api/caller.h"

#include "api/api.h"
#include "api/response.h"
#include "base/number.h"

static void finish(struct caller *caller, enum status status)
{
    caller->status = status;
    caller->found(caller);
}

static enum status denied(struct error *error, const char *text)
{
    return error_set(error, STATUS_DENIED, "%s", text);
}

static enum status project_id_of(struct caller *caller, int64_t *ret_id)
{
    struct str text = str_trim(caller_param(caller, "project_id"));
    *ret_id = 0;
    if (text.size == 0 || (number_parse_int(text, ret_id) && *ret_id > 0)) return STATUS_OK;
    return error_set(&caller->error, STATUS_INVALID, "project_id must be a number");
}

static enum status authorize(struct caller *caller, struct meta_view *view, const struct meta_credential *credential)
{
    const struct meta_project *project;
    int64_t project_id;
    TRY(project_id_of(caller, &project_id));
    if (credential->kind != META_CREDENTIAL_ACCOUNT) {
        if (project_id && project_id != credential->project->id)
            return denied(&caller->error, "Credentials in request did not match project_id URL parameter");
        project = credential->project;
    } else {
        TRY(meta_authorize(view, credential, project_id, caller->permission, &caller->error, &project));
    }
    caller->project = (uint64_t)project->id;
    return STATUS_OK;
}

static void verified(struct http_request *request, void *arg)
{
    struct caller *caller = arg;
    (void)request;
    finish(caller, caller->status);
}

/* On a worker thread. */
static void verify(void *arg)
{
    struct caller *caller = arg;
    struct api *api = caller->request->context;
    struct meta_credential credential = {.kind = META_CREDENTIAL_ACCOUNT};
    caller->status = meta_account_verify(api->meta, caller->view, caller->credentials.username,
                                         caller->credentials.secret, &caller->error, &credential.account);
    if (caller->status == STATUS_OK) caller->status = authorize(caller, caller->view, &credential);
    meta_view_unref(caller->view);
    http_request_complete(caller->request, verified, caller);
}

static enum status find_by_token(struct caller *caller, const struct meta_view *view)
{
    struct str token = caller_param(caller, "token");
    if (token.size == 0) {
        (void)denied(&caller->error, "Unauthorized, no credentials in the request");
        error_hint(&caller->error, "send the project's token: Basic base64(token:), or the parameter token");
        return STATUS_DENIED;
    }
    const struct meta_project *project = meta_view_project_by_token(view, token);
    if (!project) return denied(&caller->error, "unknown project token");
    caller->project = (uint64_t)project->id;
    return STATUS_OK;
}

void caller_find(struct caller *caller)
{
    struct http_request *request = caller->request;
    struct api *api = request->context;
    struct meta_view *view = api_meta_view(api, request->loop_index);
    struct meta_credential credential;
    caller->error = ERROR_INIT;
    if (url_params_parse(request->arena, request->query, CALLER_PARAMS_MAX, &caller->params) != STATUS_OK) {
        caller->params = (struct url_params){0};
        finish(caller, error_set(&caller->error, STATUS_INVALID, "too many parameters"));
    } else if (credentials_parse_any(request, &caller->error, &caller->credentials) != STATUS_OK) {
        finish(caller, STATUS_DENIED);
    } else if (!caller->credentials.username.data) {
        finish(caller, find_by_token(caller, view));
    } else if (credentials_resolve(api->meta, view, &caller->credentials, &credential)) {
        finish(caller, authorize(caller, view, &credential));
    } else {
        /* The reference first: the worker may be done before api_run_blocking returns. */
        caller->view = meta_view_ref(view);
        if (api_run_blocking(api, verify, caller) == STATUS_OK) return;
        meta_view_unref(caller->view);
        finish(caller, error_set(&caller->error, STATUS_UNAVAILABLE, "too many credentials to verify"));
    }
}

struct str caller_param(const struct caller *caller, const char *name)
{
    struct str value = url_params_get(&caller->params, str_of(name));
    return value.data ? value : STR("");
}

void caller_refuse(struct caller *caller, int code, const struct error *error)
{
    struct http_request *request = caller->request;
    if (code == 401) http_header_add(request, "WWW-Authenticate", STR("Basic realm=\"cairn\""));
    if (code == 429) http_header_add(request, "Retry-After", STR("60"));
    if (code == 503) http_header_add(request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
    http_respond_error(request, code, error);
}
