#include "api/identity.h"

#include "api/api.h"
#include "api/credentials.h"
#include "api/project.h"
#include "api/response.h"
#include "base/number.h"
#include "identity/identity.h"
#include "os/clock.h"
#include "store/store.h"

/*
 * A request passes three stages, each a function that ends by answering or by handing on to the next:
 *
 *   start         reads the body and finds who is asking; a service account that is not in the cache of verified ones
 *                 is verified on a worker thread first
 *   authorized    has the project: checks the fields and writes the link
 *   linked        the link is on disk
 */
struct identity_job {
    struct http_request *request;
    enum link_operation operation;
    struct json document;
    struct decode_form form;
    /* For a service account: */
    struct credentials credentials;
    struct meta_view *view; /* a reference, while a worker looks at it */
    enum status status;
    struct error error;
    uint64_t project;
    enum identity_mode mode;
};

/* ---- answers ---- */

/* `reason` NULL: success. */
static void respond(struct http_request *request, int code, const char *reason)
{
    struct buf body = BUF_INIT(4096);
    buf_printf(&body, "{\"status\":%d,\"error\":", reason ? 0 : 1);
    if (reason)
        json_write_str(&body, str_of(reason));
    else
        buf_lit(&body, "null");
    buf_lit(&body, "}");
    response_allow_origin(request);
    if (code == 401) http_header_add(request, "WWW-Authenticate", STR("Basic realm=\"cairn\""));
    if (code == 503) http_header_add(request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
    http_respond_buf(request, code, "application/json", &body);
}

static void respond_failure(struct http_request *request, const struct error *error)
{
    respond(request, response_code(error->status), error->primary);
}

/* ---- fields ---- */

/* A member of the body, or of its `properties`: the documented event form puts them there. */
static const struct json *field(const struct json *document, const char *name)
{
    const struct json *value = json_get(document, str_of(name));
    if (value) return value;
    const struct json *properties = json_member(document, "properties");
    return properties ? json_get(properties, str_of(name)) : NULL;
}

static enum status missing(struct error *error, const char *name)
{
    return error_set(error, STATUS_INVALID, "%s, missing or empty", name);
}

static enum status id_field(struct identity_job *job, const char *name, struct error *error, struct str *ret_id)
{
    struct str id;
    if (identity_text(job->request->arena, field(&job->document, name), &id) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "request needs too much memory");
    if (!id.data) return missing(error, name);
    *ret_id = id;
    return STATUS_OK;
}

/* The link between two ids of which exactly one is a device; NULL data when it is none or both. */
static void device_and_user(struct str a, struct str b, struct str *ret_device, struct str *ret_user)
{
    bool first = identity_is_device(a), second = identity_is_device(b);
    *ret_device = first == second ? STR_NULL : identity_device_prefixed(first ? a : b);
    *ret_user = first ? b : a;
}

/* The two ids that the body names: of an alias, the alias and what it stands for. */
static enum status ids_of(struct identity_job *job, struct error *error, struct str *ret_a, struct str *ret_b)
{
    switch (job->operation) {
    case LINK_CREATE:
        TRY(id_field(job, "$identified_id", error, ret_a));
        return id_field(job, "$anon_id", error, ret_b);
    case LINK_ALIAS: TRY(id_field(job, "alias", error, ret_a)); return id_field(job, "distinct_id", error, ret_b);
    case LINK_MERGE: break;
    }
    const struct json *ids = field(&job->document, "$distinct_ids");
    if (!ids || ids->type == JSON_NULL) return missing(error, "$distinct_ids");
    if (ids->type != JSON_ARRAY || ids->array.count != 2 ||
        identity_text(job->request->arena, json_at(ids, 0), ret_a) != STATUS_OK ||
        identity_text(job->request->arena, json_at(ids, 1), ret_b) != STATUS_OK || !ret_a->data || !ret_b->data)
        return error_set(error, STATUS_INVALID, "$distinct_ids must be a list of two ids");
    return STATUS_OK;
}

/* In the simplified mode: what is to be linked. NULL data for the device: nothing. */
static enum status simplified_link(struct identity_job *job, struct str a, struct str b, struct error *error,
                                   struct str *ret_device, struct str *ret_user)
{
    if (job->operation == LINK_CREATE) {
        struct str prefix = STR(IDENTITY_DEVICE_PREFIX);
        if (str_starts(a, prefix)) return error_set(error, STATUS_INVALID, "$identified_id must not be a device id");
        if (str_starts(b, prefix))
            *ret_device = identity_device_prefixed(b);
        else if (identity_device(job->request->arena, b, ret_device) != STATUS_OK)
            return error_set(error, STATUS_LIMIT, "request needs too much memory");
        if (!ret_device->data) return missing(error, "$anon_id");
        *ret_user = a;
        return STATUS_OK;
    }
    device_and_user(a, b, ret_device, ret_user);
    if (job->operation == LINK_MERGE && !ret_device->data)
        return error_set(error, STATUS_CONFLICT, IDENTITY_VERB_NOT_ALLOWED);
    return STATUS_OK;
}

/* In the other modes the request is an event. */
static enum status verb_record(const struct identity_job *job, struct str a, struct str b, struct buf *ret_record)
{
    const struct api *api = job->request->context;
    struct json first = json_string(a), second = json_string(b), both = {.type = JSON_ARRAY};
    struct json items[2] = {first, second};
    both.array.items = items;
    both.array.count = 2;
    struct batch batch;
    batch_init(&batch, api->limits->record_bytes_max);
    batch_begin(&batch, job->project, os_now_ms(), job->mode, 0);
    batch_cluster_max(&batch, api->limits->cluster_ids_max);
    enum status status = STATUS_OK, other = STATUS_OK;
    switch (job->operation) {
    case LINK_CREATE:
        batch_event(&batch, STR("$identify"), os_now_ms(), a, job->mode == IDENTITY_LEGACY ? STR_NULL : b, STR_NULL);
        status = batch_property(&batch, STR("$identified_id"), &first);
        other = batch_property(&batch, STR("$anon_id"), &second);
        break;
    case LINK_ALIAS:
        batch_event(&batch, STR("$create_alias"), os_now_ms(), b, a, STR_NULL);
        status = batch_property(&batch, STR("alias"), &first);
        break;
    case LINK_MERGE:
        batch_event(&batch, STR("$merge"), os_now_ms(), a, b, STR_NULL);
        status = batch_property(&batch, STR("$distinct_ids"), &both);
        break;
    }
    batch_event_end(&batch);
    if (status == STATUS_OK) status = other;
    if (status == STATUS_OK) status = batch_finish(&batch, ret_record);
    batch_fini(&batch);
    return status;
}

/* ---- the last two stages ---- */

static void linked(struct http_request *request, void *arg)
{
    struct identity_job *job = arg;
    if (job->status == STATUS_OK)
        respond(request, 200, NULL);
    else
        respond(request, 503, "the link cannot be stored at the moment");
}

/* On the log's thread. */
static void stored(void *arg, enum status status)
{
    struct identity_job *job = arg;
    job->status = status;
    http_request_complete(job->request, linked, job);
}

static enum status simplified_record(struct identity_job *job, struct str a, struct str b, struct error *error,
                                     struct buf *ret_record)
{
    struct str device, user;
    TRY(simplified_link(job, a, b, error, &device, &user));
    if (!device.data) return STATUS_NOT_FOUND;
    enum status status =
        record_link(ret_record, job->project, os_now_ms(), IDENTITY_SIMPLIFIED, job->operation, device, user);
    return status == STATUS_OK ? STATUS_OK : STATUS_UNAVAILABLE;
}

static void authorized(struct identity_job *job)
{
    struct api *api = job->request->context;
    struct error error = ERROR_INIT;
    struct str a, b;
    struct buf record = BUF_INIT(4096);
    enum status status = ids_of(job, &error, &a, &b);
    if (status != STATUS_OK) {
        respond_failure(job->request, &error);
        return;
    }
    if (job->mode == IDENTITY_LEGACY && job->operation == LINK_MERGE) {
        respond(job->request, 200, "$merge is not available in a project of the legacy identity mode");
        return;
    }
    if (job->mode == IDENTITY_SIMPLIFIED)
        status = simplified_record(job, a, b, &error, &record);
    else if (verb_record(job, a, b, &record) != STATUS_OK)
        status = STATUS_UNAVAILABLE;
    if (status == STATUS_OK) {
        store_append(api->store, &record, stored, job);
        return;
    }
    buf_fini(&record);
    switch (status) {
    case STATUS_NOT_FOUND: respond(job->request, 200, NULL); break; /* nothing to do */
    case STATUS_CONFLICT: respond(job->request, 200, error.primary); break;
    case STATUS_UNAVAILABLE: respond(job->request, 503, "the link cannot be stored at the moment"); break;
    default: respond_failure(job->request, &error);
    }
}

/* ---- who is asking ---- */

static void project_take(struct identity_job *job, const struct meta_project *project)
{
    job->project = (uint64_t)project->id;
    job->mode = api_identity_mode(project->identity);
}

/* `project_id` of the query or the body; 0 when there is none. */
static enum status project_id_of(const struct identity_job *job, struct error *error, int64_t *ret_id)
{
    const struct json *member = field(&job->document, "project_id");
    struct str text = decode_param(&job->form, "project_id");
    int64_t id = 0;
    bool good = true;
    if (text.data)
        good = number_parse_int(text, &id);
    else if (member && member->type == JSON_INT)
        id = member->integer;
    else if (member && member->type == JSON_STRING)
        good = number_parse_int(member->string, &id);
    else
        good = !member || member->type == JSON_NULL;
    if (!good || id < 0) return error_set(error, STATUS_INVALID, "project_id must be a number");
    *ret_id = id;
    return STATUS_OK;
}

static enum status account_authorize(struct identity_job *job, struct meta_view *view,
                                     const struct meta_account *account, struct error *error)
{
    struct meta_credential credential = {.kind = META_CREDENTIAL_ACCOUNT, .account = account};
    const struct meta_project *project;
    int64_t project_id = 0;
    TRY(project_id_of(job, error, &project_id));
    if (project_id == 0) return missing(error, "project_id");
    TRY(meta_authorize(view, &credential, project_id, META_PERMISSION_IMPORT, error, &project));
    project_take(job, project);
    return STATUS_OK;
}

static void verified(struct http_request *request, void *arg)
{
    struct identity_job *job = arg;
    if (job->status == STATUS_OK)
        authorized(job);
    else
        respond_failure(request, &job->error);
}

/* On a worker thread. */
static void verify(void *arg)
{
    struct identity_job *job = arg;
    struct api *api = job->request->context;
    const struct meta_account *account;
    job->status = meta_account_verify(api->meta, job->view, job->credentials.username, job->credentials.secret,
                                      &job->error, &account);
    if (job->status == STATUS_OK) job->status = account_authorize(job, job->view, account, &job->error);
    meta_view_unref(job->view);
    http_request_complete(job->request, verified, job);
}

static void authenticate(struct identity_job *job)
{
    struct http_request *request = job->request;
    struct api *api = request->context;
    struct meta_view *view = api_meta_view(api, request->loop_index);
    struct error error = ERROR_INIT;
    const struct json *member = field(&job->document, "$token");
    if (!member) member = field(&job->document, "token");
    struct str token = member && member->type == JSON_STRING ? member->string : decode_param(&job->form, "token");
    if (token.size) {
        const struct meta_project *project = meta_view_project_by_token(view, token);
        if (!project) {
            respond(request, 401, "unknown project token");
            return;
        }
        project_take(job, project);
        authorized(job);
        return;
    }
    if (credentials_parse(request, &error, &job->credentials) != STATUS_OK || !job->credentials.username.data) {
        respond(request, 401, "$token, missing or empty, and no credentials");
        return;
    }
    struct meta_credential credential = {.kind = META_CREDENTIAL_NONE};
    bool known = credentials_resolve(api->meta, view, &job->credentials, &credential);
    const struct meta_project *project = credential.project;
    if (project) {
        int64_t project_id;
        if (project_id_of(job, &error, &project_id) == STATUS_OK && project_id != 0 && project_id != project->id)
            error_set(&error, STATUS_DENIED, "Credentials in request did not match project_id URL parameter");
        if (error.status != STATUS_OK) {
            respond_failure(request, &error);
            return;
        }
        project_take(job, project);
        authorized(job);
        return;
    }
    if (known) {
        if (account_authorize(job, view, credential.account, &error) == STATUS_OK)
            authorized(job);
        else
            respond_failure(request, &error);
        return;
    }
    job->view = meta_view_ref(view);
    if (api_run_blocking(api, verify, job) != STATUS_OK) {
        meta_view_unref(job->view);
        respond(request, 503, "too many credentials to verify");
    }
}

static void start(struct http_request *request, enum link_operation operation)
{
    struct api *api = request->context;
    struct decode_input input = {
        .query = request->query, .content_type = http_request_field(request, "content-type"), .body = request->body};
    struct error error = ERROR_INIT;
    size_t text_size;
    struct identity_job *job = arena_new_array(request->arena, struct identity_job, 1);
    if (!job) {
        error_set(&error, STATUS_LIMIT, "request needs too much memory");
        respond_failure(request, &error);
        return;
    }
    job->request = request;
    job->operation = operation;
    enum status status = decode_form(request->arena, &input, api->limits, &error, &job->form);
    if (status == STATUS_OK)
        status = decode_document(request->arena, &job->form, api->limits, &error, &job->document, &text_size);
    if (status == STATUS_OK && job->document.type != JSON_OBJECT)
        status = error_set(&error, STATUS_INVALID, "data, malformed");
    if (status == STATUS_OK)
        authenticate(job);
    else
        respond_failure(request, &error);
}

void api_identity_create(struct http_request *request)
{
    start(request, LINK_CREATE);
}
void api_identity_create_alias(struct http_request *request)
{
    start(request, LINK_ALIAS);
}
void api_identity_merge(struct http_request *request)
{
    start(request, LINK_MERGE);
}
