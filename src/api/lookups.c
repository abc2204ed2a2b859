#include "api/lookups.h"

#include "api/api.h"
#include "api/credentials.h"
#include "api/params.h"
#include "api/response.h"
#include "base/civil.h"
#include "base/inflate.h"
#include "base/log.h"
#include "lookup/lookup.h"

#include <errno.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX ((size_t)256 << 20)
#define JSON_BYTES_MAX   ((size_t)1 << 20)
#define PROPERTIES_MAX   100 /* in one request */

enum action { LIST, CREATE, REPLACE, DELETE, MAP, UNMAP };

/* A request on its way through a worker. In the request's arena. */
struct job {
    struct http_request *request;
    enum action action;
    struct meta_view *view; /* a reference */
    struct credentials credentials;
    struct params params;
    const struct meta_project *project;
    int status; /* HTTP */
    struct error error;
    struct lookup_report report;
    struct buf results; /* of a success; empty: none */
};

/* --- who --- */

static enum status denied(struct job *job, const char *text)
{
    job->status = 401;
    return error_set(&job->error, STATUS_DENIED, "%s", text);
}

static enum status authorize(struct job *job, struct api *api)
{
    struct meta_credential credential;
    struct error *error = &job->error;
    int64_t project_id;
    if (!job->credentials.username.size) {
        (void)denied(job, "Unauthorized, credentials are missing");
        error_hint(error, "send Basic credentials: a service account's username and secret, or the project's secret");
        return STATUS_DENIED;
    }
    TRY(params_int(&job->params, "project_id", 1, META_PROJECT_ID_MAX, 0, error, &project_id));
    if (!credentials_resolve(api->meta, job->view, &job->credentials, &credential)) {
        enum status status = meta_account_verify(api->meta, job->view, job->credentials.username,
                                                 job->credentials.secret, error, &credential.account);
        bool known = meta_view_account(job->view, job->credentials.username) != NULL;
        if (status == STATUS_DENIED)
            return denied(job, known ? "Invalid service account credentials" : "Not a valid service account username");
        TRY(status);
        credential.kind = META_CREDENTIAL_ACCOUNT;
        credential.project = NULL;
    }
    if (credential.kind == META_CREDENTIAL_PROJECT_TOKEN)
        return denied(job, "Unauthorized, a project token is public and may not change or show lookup tables");
    if (credential.kind == META_CREDENTIAL_PROJECT_SECRET && project_id && project_id != credential.project->id)
        return denied(job, "Credentials in request did not match project_id URL parameter");
    enum status status =
        meta_authorize(job->view, &credential, project_id, META_PERMISSION_IMPORT, error, &job->project);
    if (status == STATUS_INVALID) {
        error_set(error, STATUS_INVALID, "project_id is required");
        error_hint(error, "a service account may belong to several projects: say which one is meant");
    }
    if (status != STATUS_DENIED) return status;
    const struct meta_account *account = credential.account;
    bool member = false;
    for (size_t i = 0; account && i < account->membership_count; i++)
        member = member || account->memberships[i].project_id == project_id;
    if (!member) return denied(job, "not a project member");
    job->status = 403;
    return STATUS_DENIED;
}

/* --- the body --- */

/* The file that the body went to, from its beginning. */
struct body_source {
    struct source base;
    int file;
    uint64_t at;
};
static enum status body_read(struct source *base, char *data, size_t size, struct error *error, size_t *ret_size)
{
    struct body_source *body = (struct body_source *)base;
    ssize_t got = 0;
    do got = body->file < 0 ? 0 : pread(body->file, data, size, (off_t)body->at);
    while (got < 0 && errno == EINTR);
    if (got < 0) return error_set_os(error, STATUS_IO, errno, "cannot read the request's body again");
    body->at += (uint64_t)got;
    *ret_size = (size_t)got;
    return STATUS_OK;
}

struct body {
    struct body_source sent;
    struct inflate *inflate; /* NULL: it is not packed */
    struct source *plain;
};
static enum status body_open(struct job *job, struct body *body)
{
    struct api *api = job->request->context;
    struct str coding = http_request_field(job->request, "content-encoding");
    *body = (struct body){.sent = {.base = {body_read}, .file = job->request->body_file}};
    body->plain = &body->sent.base;
    if (!coding.size || str_eq_nocase(coding, STR("identity"))) return STATUS_OK;
    TRY(inflate_new(&body->sent.base, api->lookup_file_bytes_max, &job->error, &body->inflate));
    body->plain = inflate_source(body->inflate);
    return STATUS_OK;
}
static void body_close(struct body *body)
{
    inflate_free(body->inflate);
}

static bool is_json(const struct http_request *request)
{
    struct str type = http_request_field(request, "content-type");
    return str_eq_nocase(str_trim(str_slice(type, 0, str_find_byte(type, ';', 0))), STR("application/json"));
}

static enum status read_json(struct job *job, struct json *ret_document)
{
    struct body body;
    struct buf text = BUF_INIT(JSON_BYTES_MAX + 4096);
    size_t got = 1;
    TRY(body_open(job, &body));
    enum status status = STATUS_OK;
    while (status == STATUS_OK && got && text.size <= JSON_BYTES_MAX) {
        char *place = buf_reserve(&text, 4096);
        if (!place) break;
        status = source_read(body.plain, place, 4096, &job->error, &got);
        if (status == STATUS_OK) buf_advance(&text, got);
    }
    body_close(&body);
    if (status == STATUS_OK && (text.failed || text.size > JSON_BYTES_MAX))
        status = error_set(&job->error, STATUS_LIMIT, "request exceeds max limit of %zu bytes", JSON_BYTES_MAX);
    if (status == STATUS_OK) status = json_parse(job->request->arena, buf_str(&text), NULL, &job->error, ret_document);
    buf_fini(&text);
    return status;
}

/* --- answers --- */

static void write_time(struct buf *out, const char *name, int64_t ms)
{
    char text[20];
    civil_format_datetime(ms, text);
    text[10] = 'T';
    text[19] = 'Z';
    buf_printf(out, ",\"%s\":\"%.20s\"", name, text);
}

static void write_table(struct buf *out, const struct meta_lookup_table *table)
{
    buf_lit(out, "{\"id\":");
    json_write_str(out, table->id);
    buf_lit(out, ",\"name\":");
    json_write_str(out, table->name);
    buf_printf(out, ",\"rowCount\":%lld,\"columnCount\":%lld", (long long)table->rows, (long long)table->columns);
    write_time(out, "createdAt", table->created_ms);
    write_time(out, "lastModified", table->modified_ms);
    buf_lit(out, ",\"properties\":[");
    for (size_t i = 0; i < table->property_count; i++) {
        if (i) buf_byte(out, ',');
        json_write_str(out, table->properties[i]);
    }
    buf_lit(out, "]}");
}

static enum status list(struct job *job)
{
    size_t count;
    const struct meta_lookup_table *tables = meta_view_lookups(job->view, job->project->id, &count);
    buf_byte(&job->results, '[');
    for (size_t i = 0; i < count; i++) {
        if (i) buf_byte(&job->results, ',');
        write_table(&job->results, &tables[i]);
    }
    buf_byte(&job->results, ']');
    return STATUS_OK;
}

/* --- the actions --- */

/* What a table is to be called and which properties are joined with it: in the query, or in a JSON body. */
struct wanted {
    struct str name, properties[PROPERTIES_MAX];
    size_t property_count;
};

static enum status add_property(struct job *job, struct wanted *wanted, const struct json *name)
{
    if (name->type != JSON_STRING)
        return error_set(&job->error, STATUS_INVALID, "property must be the name of one, properties a list of names");
    if (wanted->property_count == PROPERTIES_MAX)
        return error_set(&job->error, STATUS_LIMIT, "more than %d properties in one request", PROPERTIES_MAX);
    wanted->properties[wanted->property_count++] = name->string;
    return STATUS_OK;
}

static enum status read_wanted(struct job *job, bool json, struct wanted *wanted)
{
    struct str property = params_get(&job->params, "property");
    struct json document;
    *wanted = (struct wanted){.name = params_get(&job->params, "name")};
    if (property.data) wanted->properties[wanted->property_count++] = property;
    if (json) {
        TRY(read_json(job, &document));
        const struct json *name = json_member(&document, "name"), *one = json_member(&document, "property"),
                          *many = json_member(&document, "properties");
        if (document.type != JSON_OBJECT || (name && name->type != JSON_STRING))
            return error_set(&job->error, STATUS_INVALID, "the body must be an object with a name");
        if (name) wanted->name = name->string;
        if (one) TRY(add_property(job, wanted, one));
        if (many && many->type != JSON_ARRAY) return add_property(job, wanted, many);
        for (size_t i = 0; many && i < many->array.count; i++) TRY(add_property(job, wanted, &many->array.items[i]));
    }
    if (wanted->name.data) return STATUS_OK;
    error_set(&job->error, STATUS_INVALID, "name is required");
    error_hint(&job->error, "send {\"name\":\"…\"}, or CSV to /lookup-tables?name=…");
    return STATUS_INVALID;
}

static enum status join_all(struct job *job, struct api *api, const struct meta_lookup_table *table,
                            const struct wanted *wanted)
{
    for (size_t i = 0; i < wanted->property_count; i++)
        TRY(meta_lookup_map(api->meta, job->project->id, table->id, wanted->properties[i], &job->error));
    return STATUS_OK;
}

static enum status create(struct job *job, struct api *api)
{
    struct arena *arena = job->request->arena;
    bool json = is_json(job->request), with_rows = !json && job->request->body_file >= 0;
    struct wanted *wanted = arena_new_array(arena, struct wanted, 1);
    struct meta_lookup_table table;
    struct body body = {0};
    if (!wanted) return error_set(&job->error, STATUS_LIMIT, "request needs too much memory");
    TRY(read_wanted(job, json, wanted));
    if (with_rows) TRY(body_open(job, &body));
    enum status status = lookup_create(api->lookup, job->project->id, wanted->name, body.plain, arena, &job->error,
                                       &job->report, &table);
    body_close(&body);
    TRY(status);
    status = join_all(job, api, &table, wanted);
    if (status != STATUS_OK) {
        enum status undone = lookup_delete(api->lookup, job->project->id, table.id, arena, NULL);
        (void)undone; /* a table too many can be seen and deleted */
        return status;
    }
    TRY(meta_lookup_table(api->meta, job->project->id, table.id, arena, &job->error, &table));
    write_table(&job->results, &table);
    return STATUS_OK;
}

static enum status replace(struct job *job, struct api *api, struct str id)
{
    struct body body;
    TRY(body_open(job, &body));
    enum status status =
        lookup_replace(api->lookup, job->project->id, id, body.plain, job->request->arena, &job->error, &job->report);
    body_close(&body);
    return status;
}

static enum status run(struct job *job)
{
    struct http_request *request = job->request;
    struct api *api = request->context;
    struct str id = http_request_param(request, "id"), name = http_request_param(request, "name");
    TRY(params_parse(request, &job->error, &job->params));
    TRY(authorize(job, api));
    job->results = BUF_INIT(ANSWER_BYTES_MAX);
    switch (job->action) {
    case LIST: return list(job);
    case CREATE: return create(job, api);
    case REPLACE: return replace(job, api, id);
    case DELETE: return lookup_delete(api->lookup, job->project->id, id, request->arena, &job->error);
    case MAP: return meta_lookup_map(api->meta, job->project->id, id, name, &job->error);
    case UNMAP: return meta_lookup_unmap(api->meta, job->project->id, id, name, &job->error);
    }
    return STATUS_INTERNAL;
}

/* The rows that were refused; everything else is told as everywhere. */
static void answer_failed_rows(struct job *job)
{
    struct buf body = BUF_INIT((size_t)1 << 20);
    buf_lit(&body, "{\"code\":400,\"error\":\"Some data points in the request failed validation.\","
                   "\"status\":\"Bad Request\",\"failed_records\":[");
    for (uint32_t i = 0; i < job->report.failure_count; i++) {
        const struct lookup_failure *failure = &job->report.failures[i];
        buf_printf(&body, "%s{\"index\":%llu,\"message\":", i ? "," : "", (unsigned long long)failure->index);
        json_write_str(&body, str_of(failure->message));
        buf_byte(&body, '}');
    }
    buf_lit(&body, "]}");
    http_respond_buf(job->request, 400, "application/json", &body);
}

static void answer(struct http_request *request, void *arg)
{
    struct job *job = arg;
    if (job->status != 200) {
        buf_fini(&job->results);
        if (job->status == 400 && job->report.failure_count) {
            answer_failed_rows(job);
            return;
        }
        if (job->status == 401) http_header_add(request, "WWW-Authenticate", STR("Basic realm=\"cairn\""));
        if (job->status == 503) http_header_add(request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
        if (job->status >= 500) log_failure(LOG_ERROR, "lookup_table_failed", &job->error);
        http_respond_error(request, job->status, &job->error);
        return;
    }
    struct buf body = BUF_INIT(ANSWER_BYTES_MAX);
    buf_lit(&body, "{\"code\":200,\"status\":\"OK\"");
    if (job->results.size) {
        buf_lit(&body, ",\"results\":");
        buf_str_add(&body, buf_str(&job->results));
    }
    buf_byte(&body, '}');
    if (job->results.failed) body.failed = true;
    buf_fini(&job->results);
    http_respond_buf(request, 200, "application/json", &body);
}

/* On a worker thread. */
static void work(void *arg)
{
    struct job *job = arg;
    enum status status = run(job);
    if (status == STATUS_OK)
        job->status = 200;
    else if (!job->status)
        job->status = response_code(status);
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
    if (credentials_parse(request, &job->error, &job->credentials) != STATUS_OK) {
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

void api_lookups_list(struct http_request *request)
{
    begin(request, LIST);
}
void api_lookups_create(struct http_request *request)
{
    begin(request, CREATE);
}
void api_lookups_replace(struct http_request *request)
{
    begin(request, REPLACE);
}
void api_lookups_delete(struct http_request *request)
{
    begin(request, DELETE);
}
void api_lookups_map(struct http_request *request)
{
    begin(request, MAP);
}
void api_lookups_unmap(struct http_request *request)
{
    begin(request, UNMAP);
}
