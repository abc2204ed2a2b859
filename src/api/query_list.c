#include "api/query_list.h"

#include "api/query_job.h"
#include "api/response.h"
#include "base/civil.h"
#include "base/json.h"
#include "base/log.h"
#include "base/number.h"

#define ANSWER_BYTES_MAX ((size_t)64 << 20)

/* A request on its way through a worker. In the request's arena. */
struct job {
    struct http_request *request;
    struct api *api;
    bool stop;
    struct meta_view *view; /* a reference */
    struct credentials credentials;
    struct meta_credential asker;
    int status; /* HTTP */
    struct error error;
    struct buf body;
};

/* --- who may see what --- */

static bool may(const struct job *job, uint64_t project, enum meta_permission permission)
{
    const struct meta_project *found;
    struct error ignored;
    return meta_authorize(job->view, &job->asker, (int64_t)project, permission, &ignored, &found) == STATUS_OK;
}

static bool may_see(const struct job *job, const struct query_info *info)
{
    if (may(job, info->project, META_PERMISSION_WATCH)) return true;
    bool own = job->asker.kind == META_CREDENTIAL_ACCOUNT && str_eq(job->asker.account->username, info->account);
    return own && may(job, info->project, META_PERMISSION_READ);
}

/* The project in the path or in the parameter; 0: none is named. One that is named must be the asker's. */
static enum status project_named(struct job *job, uint64_t *ret_project)
{
    struct str text = http_request_param(job->request, "project_id");
    const struct meta_project *project;
    int64_t id;
    if (!text.data) {
        struct params params;
        TRY(params_parse(job->request, &job->error, &params));
        TRY(params_int(&params, "project_id", 1, META_PROJECT_ID_MAX, 0, &job->error, &id));
    } else if (!number_parse_int(text, &id) || id < 1 || id > META_PROJECT_ID_MAX) {
        return error_set(&job->error, STATUS_INVALID, "\"" STR_FMT "\" is no project id",
                         STR_ARG(str_slice(text, 0, 64)));
    }
    if (id) {
        enum status status = meta_authorize(job->view, &job->asker, id, META_PERMISSION_READ, &job->error, &project);
        if (status == STATUS_DENIED) job->status = 403;
        TRY(status);
    }
    *ret_project = (uint64_t)id;
    return STATUS_OK;
}

/* --- the list --- */

static void write_query(struct buf *body, const struct query_info *info)
{
    char text[19];
    buf_printf(body, "{\"id\":%llu,\"project_id\":%llu,\"endpoint\":", (unsigned long long)info->id,
               (unsigned long long)info->project);
    json_write_str(body, info->endpoint);
    buf_lit(body, ",\"account\":");
    json_write_str(body, info->account);
    buf_printf(body, ",\"state\":\"%s\",\"stopping\":%s,\"long\":%s,\"begun\":", query_state_name(info->state),
               info->stopping ? "true" : "false", info->is_long ? "true" : "false");
    json_write_str(body, str_from(text, civil_format_datetime(info->begun_ms, text)));
    buf_printf(body, ",\"waited_ms\":%lld,\"running_ms\":%lld,\"computed_ms\":%lld", (long long)info->waited_ms,
               (long long)info->running_ms, (long long)info->computed_ms);
    buf_printf(body, ",\"rows_done\":%llu,\"rows_total\":%llu,\"progress\":", (unsigned long long)info->rows_done,
               (unsigned long long)info->rows_total);
    if (info->rows_total)
        json_write_double(body,
                          info->rows_done < info->rows_total ? (double)info->rows_done / (double)info->rows_total : 1);
    else
        buf_lit(body, "null");
    buf_printf(body, ",\"memory_bytes\":%llu,\"parameters\":", (unsigned long long)info->memory_bytes);
    buf_str_add(body, info->parameters);
    buf_byte(body, '}');
}

static void write_server(struct buf *body, const struct api *api)
{
    struct queries_stats queries;
    struct query_cache_stats cache;
    queries_stats(api->queries, &queries);
    query_cache_stats(api->cache, &cache);
    buf_printf(body, "{\"running\":%u,\"running_long\":%u,\"running_max\":%u,\"streaming\":%u,\"waiting\":%zu",
               queries.running, queries.running_long, queries.running_max, queries.streaming, queries.waiting);
    buf_printf(body, ",\"waiting_max\":%zu,\"memory_bytes\":%llu,\"answers_bytes\":%llu,\"memory_total_bytes\":%llu",
               queries.waiting_max, (unsigned long long)queries.memory_reserved,
               (unsigned long long)queries.memory_answers, (unsigned long long)queries.memory_total);
    buf_printf(body, ",\"entered\":%llu,\"refused\":%llu,\"expired\":%llu,\"stopped\":%llu,\"put_back\":%llu",
               (unsigned long long)queries.entered, (unsigned long long)queries.refused,
               (unsigned long long)queries.expired, (unsigned long long)queries.stopped,
               (unsigned long long)queries.put_back);
    buf_printf(
        body,
        ",\"cache\":{\"hits\":%llu,\"misses\":%llu,\"stale\":%llu,\"evicted\":%llu,\"answers\":%zu,\"bytes\":%zu,"
        "\"bytes_max\":%zu}}",
        (unsigned long long)cache.hits, (unsigned long long)cache.misses, (unsigned long long)cache.stale,
        (unsigned long long)cache.evicted, cache.answers, cache.bytes, cache.bytes_max);
}

static enum status list(struct job *job)
{
    struct query_info *infos;
    size_t count;
    uint64_t project;
    bool any = false;
    TRY(project_named(job, &project));
    TRY(queries_list(job->api->queries, project, job->request->arena, &job->error, &infos, &count));
    buf_lit(&job->body, "{\"status\":\"ok\",\"results\":[");
    for (size_t i = 0; i < count; i++) {
        if (!may_see(job, &infos[i])) continue;
        if (any) buf_byte(&job->body, ',');
        any = true;
        write_query(&job->body, &infos[i]);
    }
    buf_lit(&job->body, "],\"server\":");
    write_server(&job->body, job->api);
    buf_byte(&job->body, '}');
    if (buf_status(&job->body) == STATUS_OK) return STATUS_OK;
    return error_set(&job->error, STATUS_LIMIT, "the list of queries needs too much memory");
}

/* --- stopping --- */

static enum status stop(struct job *job)
{
    struct str text = http_request_param(job->request, "id");
    struct query_info info;
    int64_t id;
    bool known = number_parse_int(text, &id) && id > 0;
    if (known) {
        enum status status = queries_find(job->api->queries, (uint64_t)id, job->request->arena, &job->error, &info);
        if (status != STATUS_NOT_FOUND) TRY(status);
        known = status == STATUS_OK && may_see(job, &info);
    }
    /* It may be over by now, which is what was wanted. */
    if (known) {
        if (queries_stop(job->api->queries, (uint64_t)id, &job->error) == STATUS_OK)
            log_info("query_stopped", LOG_INT("id", id), LOG_INT("project", info.project),
                     LOG_STR("by", job->asker.kind == META_CREDENTIAL_ACCOUNT ? job->asker.account->username
                                                                              : STR("project secret")));
        buf_lit(&job->body, "{\"status\":\"ok\",\"results\":");
        write_query(&job->body, &info);
        buf_byte(&job->body, '}');
        return STATUS_OK;
    }
    error_set(&job->error, STATUS_NOT_FOUND, "no query has the id \"" STR_FMT "\"", STR_ARG(str_slice(text, 0, 64)));
    error_hint(&job->error, "it may be over; GET /api/app/queries lists those that are not");
    return STATUS_NOT_FOUND;
}

/* --- the stages --- */

static void answer(struct http_request *request, void *arg)
{
    struct job *job = arg;
    if (job->status == 200) {
        http_header_add(request, "Cache-Control", STR("no-store"));
        http_respond_buf(request, 200, "application/json", &job->body);
        return;
    }
    char text[1100];
    struct buf body = BUF_INIT((size_t)64 << 10);
    buf_fini(&job->body);
    buf_lit(&body, "{\"status\":\"error\",\"error\":");
    json_write_str(&body, str_of(error_text(&job->error, text, sizeof text)));
    buf_byte(&body, '}');
    if (job->status == 401) http_header_add(request, "WWW-Authenticate", STR("Basic realm=\"cairn\""));
    if (job->status == 503) http_header_add(request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
    http_respond_buf(request, job->status, "application/json", &body);
}

/* On a worker thread. */
static void work(void *arg)
{
    struct job *job = arg;
    enum status status =
        credentials_verify(job->api->meta, job->view, &job->credentials, &job->error, &job->asker, &job->status);
    if (status == STATUS_OK && job->asker.kind == META_CREDENTIAL_PROJECT_TOKEN) {
        job->status = 403;
        status = error_set(&job->error, STATUS_DENIED, "a project token may not see queries");
    }
    if (status == STATUS_OK) status = job->stop ? stop(job) : list(job);
    if (status == STATUS_OK)
        job->status = 200;
    else if (!job->status)
        job->status = response_code(status);
    meta_view_unref(job->view);
    http_request_complete(job->request, answer, job);
}

static void begin(struct http_request *request, bool stops)
{
    struct job *job = arena_new_array(request->arena, struct job, 1);
    struct error error;
    if (!job) {
        error_set(&error, STATUS_LIMIT, "request needs too much memory");
        response_failure(request, &error);
        return;
    }
    job->request = request;
    job->api = request->context;
    job->stop = stops;
    job->body = BUF_INIT(ANSWER_BYTES_MAX);
    if (credentials_parse_any(request, &job->error, &job->credentials) != STATUS_OK) {
        job->status = 401;
        answer(request, job);
        return;
    }
    job->view = meta_view_ref(api_meta_view(job->api, request->loop_index));
    if (api_run_blocking(job->api, work, job) == STATUS_OK) return;
    meta_view_unref(job->view);
    job->status = 503;
    error_set(&job->error, STATUS_UNAVAILABLE, "too many requests are waiting");
    answer(request, job);
}

void api_queries_list(struct http_request *request)
{
    begin(request, false);
}
void api_queries_stop(struct http_request *request)
{
    begin(request, true);
}
