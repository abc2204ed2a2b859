#include "api/query_job.h"

#include "api/query_question.h"
#include "api/rate.h"
#include "api/response.h"
#include "base/civil.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/number.h"
#include "http/server.h"
#include "os/clock.h"

#include <stdio.h>

#define CONTENT_TYPE         "application/json"
#define PARAMETERS_BYTES_MAX 4096 /* of a query in the list, for people */

struct plan_limits query_limits(struct query_job *job)
{
    return queries_limits_of(&job->entry, job->api->query.buckets_max);
}

void query_body_init(struct query_job *job)
{
    size_t own = job->api->query.memory_bytes_max;
    job->body = BUF_INIT(own < QUERY_ANSWER_BYTES_MAX ? own : QUERY_ANSWER_BYTES_MAX);
}

enum status query_body_check(struct query_job *job, const char *hint)
{
    if (buf_status(&job->body) == STATUS_OK) return STATUS_OK;
    error_set(&job->error, STATUS_LIMIT, "the answer is larger than %zu bytes", job->body.size_max);
    buf_fini(&job->body);
    error_hint(&job->error, "%s", hint);
    return STATUS_LIMIT;
}

/* --- who --- */

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
    struct meta_credential credential;
    struct error *error = &job->error;
    int64_t project_id;
    TRY(credentials_verify(job->api->meta, job->view, &job->credentials, error, &credential, &job->status));
    job->entry.account =
        credential.kind == META_CREDENTIAL_ACCOUNT ? credential.account->username : STR("project secret");
    TRY(project_asked_for(job, &project_id));
    enum status status = meta_authorize(job->view, &credential, project_id, META_PERMISSION_READ, error, &job->project);
    if (status == STATUS_INVALID) {
        error_set(error, STATUS_INVALID, "project_id is required");
        error_hint(error, "a service account may belong to several projects: say which one is asked for");
    }
    if (status == STATUS_DENIED) job->status = 403;
    return status;
}

/* --- answers that wait for their clients --- */

static void answer_gone(void *arg)
{
    struct query_job *job = arg;
    queries_answer_end(job->api->queries, job->held_bytes);
}

/* False: nothing is held. */
static bool hold_answer(struct query_job *job, bool optional)
{
    if (!queries_answer_begin(job->api->queries, job->body.size, optional)) return false;
    job->held_bytes = job->body.size;
    if (arena_on_reset(job->request->arena, answer_gone, job)) return true;
    queries_answer_end(job->api->queries, job->held_bytes);
    return false;
}

/* --- the cache --- */

int64_t query_next_local(const struct query_job *job, int64_t unit_ms)
{
    int64_t local_ms = timezone_to_local_ms(job->zone, job->now_ms);
    int64_t next_ms = job->now_ms + (floor_div(local_ms, unit_ms) + 1) * unit_ms - local_ms;
    int64_t change_ms = timezone_next_change_ms(job->zone, job->now_ms);
    return change_ms < next_ms ? change_ms : next_ms;
}

void query_keep_answer(struct query_job *job, int64_t until_ms)
{
    int64_t tomorrow_ms = question_says_today(&job->params) ? query_next_local(job, DAY_MS) : INT64_MAX;
    if (until_ms > tomorrow_ms) until_ms = tomorrow_ms;
    if (!job->keep_until_ms || until_ms < job->keep_until_ms) job->keep_until_ms = until_ms;
}

/* Endpoints are told apart by what runs; the route may carry what distinguishes those that share it. */
static void write_question(struct query_job *job)
{
    struct buf key = BUF_INIT((size_t)16 << 20);
    char endpoint[64];
    int size = snprintf(endpoint, sizeof endpoint, "%p %p", (void *)(uintptr_t)job->run, job->request->route->user);
    question_write_key(&key, str_from(endpoint, (size_t)size), job->request, &job->params);
    if (buf_status(&key) == STATUS_OK) job->question = arena_str(job->request->arena, buf_str(&key));
    buf_fini(&key);
    if (job->question.data)
        job->entry.question = hash_bytes(job->question.data, job->question.size, job->entry.project) | 1;
}

/* The stamp is read before the query begins, so that whatever is written meanwhile makes its answer an old one. */
static bool find_answer(struct query_job *job)
{
    if (!job->question.data) return false;
    job->stamp = (struct query_stamp){store_changes(job->api->store, job->entry.project), meta_view_serial(job->view)};
    if (str_eq_nocase(http_request_field(job->request, "cache-control"), STR("no-cache"))) return false;
    query_body_init(job);
    if (!query_cache_get(job->api->cache, job->entry.project, job->question, &job->stamp, job->now_ms, &job->body,
                         &job->content_type) ||
        !hold_answer(job, true)) {
        buf_fini(&job->body);
        job->content_type = CONTENT_TYPE;
        return false;
    }
    job->source = QUERY_HIT;
    return true;
}

static void keep_answer(struct query_job *job)
{
    if (!job->keep_until_ms || !job->question.data || job->respond || (job->status && job->status != 200)) return;
    job->source = QUERY_MISS;
    query_cache_put(job->api->cache, job->entry.project, job->question,
                    &(struct cached_answer){.stamp = job->stamp,
                                            .profiles_matter = atomic_load(&job->entry.progress.profiles_read),
                                            .from_ms = job->now_ms,
                                            .until_ms = job->keep_until_ms,
                                            .content_type = job->content_type},
                    buf_str(&job->body));
}

/* --- the stages --- */

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
    /* Who stops a query does not want to see it again. */
    if (status == 503 && error->status != STATUS_CANCELLED)
        http_header_add(request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
    http_respond_buf(request, status, "application/json", &body);
}

static enum log_level log_level_of(enum status status)
{
    return status == STATUS_CANCELLED ? LOG_INFO : status == STATUS_UNAVAILABLE ? LOG_WARN : LOG_ERROR;
}

static void answer(struct http_request *request, void *arg)
{
    struct query_job *job = arg;
    if (job->status == 200 && job->respond) {
        job->respond(request, job);
        return;
    }
    if (job->status == 200) {
        if (job->source != QUERY_NOT_CACHED)
            http_header_add(request, "X-Cairn-Cache", job->source == QUERY_HIT ? STR("hit") : STR("miss"));
        http_respond_buf(request, 200, job->content_type, &job->body);
        return;
    }
    if (job->status >= 500) log_failure(log_level_of(job->error.status), "query_failed", &job->error);
    query_refuse(request, job->status, &job->error);
}

/* A query that was told to end says why instead of how. */
static void explain_stop(struct query_job *job, enum status status)
{
    if (status != STATUS_CANCELLED || !atomic_load(job->entry.cancelled)) return;
    job->status = 503;
    error_set(&job->error, STATUS_CANCELLED,
              atomic_load(&job->entry.stopped) ? "the query was stopped" : "the client has closed the connection");
}

void query_failed(struct query_job *job, enum status status)
{
    job->status = status_of(status);
    explain_stop(job, status);
    answer(job->request, job);
}

/* The last thing that another thread than the loop's does. */
static void finish(struct query_job *job, enum status status)
{
    explain_stop(job, status);
    if (status == STATUS_OK)
        job->status = 200;
    else if (!job->status)
        job->status = status_of(status);
    meta_view_unref(job->view);
    http_request_complete(job->request, answer, job);
}

static bool is_put_back(struct query_job *job, enum status status)
{
    return status == STATUS_CANCELLED && atomic_load(&job->entry.turn.put_back) && !atomic_load(job->entry.cancelled);
}

static void run(struct query_entry *entry, enum status admitted)
{
    struct query_job *job = (struct query_job *)((char *)entry - offsetof(struct query_job, entry));
    enum status status = admitted;
    if (admitted == STATUS_OK) {
        status = timezone_load(job->project->timezone, &job->error, &job->zone);
        if (status == STATUS_OK) status = job->run(job);
        if (is_put_back(job, status)) {
            buf_fini(&job->body);
            job->error = ERROR_INIT;
            job->status = 0;
            job->keep_until_ms = 0;
            queries_put_back(entry);
            return;
        }
        if (status == STATUS_OK && !job->respond && !hold_answer(job, false)) {
            buf_fini(&job->body);
            status = error_set(&job->error, STATUS_LIMIT, "request needs too much memory");
        }
        if (status == STATUS_OK && job->respond)
            queries_stream(entry, job->streams_bytes);
        else
            queries_leave(entry);
        if (status == STATUS_OK) keep_answer(job);
    } else {
        job->error = entry->refusal;
    }
    finish(job, status);
}

static void describe(struct query_job *job)
{
    struct buf text = BUF_INIT((size_t)64 << 10);
    question_write_parameters(&text, &job->params, PARAMETERS_BYTES_MAX);
    if (buf_status(&text) == STATUS_OK) job->entry.parameters = arena_str(job->request->arena, buf_str(&text));
    if (!job->entry.parameters.data) job->entry.parameters = STR("{}");
    job->entry.endpoint = job->request->path;
    buf_fini(&text);
}

static enum status prepare(struct query_job *job, bool *ret_found)
{
    const struct api_query_limits *limits = &job->api->query;
    struct query_entry *entry = &job->entry;
    int64_t timeout_ms;
    TRY(params_parse(job->request, &job->error, &job->params));
    TRY(authorize(job));
    TRY(params_int(&job->params, "timeout_ms", 1, INT64_MAX, limits->timeout_ms, &job->error, &timeout_ms));
    entry->project = (uint64_t)job->project->id;
    write_question(job);
    if ((*ret_found = find_answer(job))) return STATUS_OK;
    if (!rate_allows(entry->project, limits->rate_per_hour, job->now_ms)) {
        job->status = 429;
        return error_set(&job->error, STATUS_LIMIT, "Query rate limit exceeded");
    }
    describe(job);
    entry->deadline_ns = job->begun_ns + (timeout_ms < limits->timeout_ms ? timeout_ms : limits->timeout_ms) * 1000000;
    entry->cancelled = http_request_cancelled_flag(job->request);
    entry->run = run;
    return STATUS_OK;
}

/* On a worker thread. */
static void work(void *arg)
{
    struct query_job *job = arg;
    bool found = false;
    enum status status = prepare(job, &found);
    if (status == STATUS_OK && !found) {
        status = queries_enter(job->api->queries, &job->entry, &job->error);
        if (status == STATUS_OK) return; /* another thread has it already */
        if (status == STATUS_LIMIT) job->status = 429;
    }
    finish(job, status);
}

static void start(struct http_request *request, enum status (*run_query)(struct query_job *job), bool is_long)
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
    job->begun_ns = os_monotonic_ns();
    job->content_type = CONTENT_TYPE;
    job->run = run_query;
    job->entry.is_long = is_long;
    job->entry.may_begin_again = true;
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

void query_start(struct http_request *request, enum status (*run_query)(struct query_job *job))
{
    start(request, run_query, false);
}

void query_start_long(struct http_request *request, enum status (*run_query)(struct query_job *job))
{
    start(request, run_query, true);
}
