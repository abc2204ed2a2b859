#include "api/segmentation.h"

#include "api/api.h"
#include "api/credentials.h"
#include "api/params.h"
#include "api/rate.h"
#include "api/response.h"
#include "base/civil.h"
#include "base/json.h"
#include "base/log.h"
#include "lookup/lookup.h"
#include "os/clock.h"
#include "query/backend.h"
#include "query/native/group_join.h"

#include <stdio.h>

#define LIMIT_DEFAULT    60
#define ANSWER_BYTES_MAX ((size_t)512 << 20)
#define INTERVAL_MAX     100000

/* A request on its way through a worker. In the request's arena. */
struct job {
    struct http_request *request;
    struct meta_view *view; /* a reference */
    struct credentials credentials;
    int64_t now_ms;
    struct str event;
    bool csv;
    int status; /* HTTP */
    struct error error;
    struct buf body;
};

/* --- the answer --- */

static void write_cell(const struct series *series, uint32_t bucket, struct buf *body)
{
    double number = 0; /* Mixpanel has no other word for nothing */
    (void)series_number(series, bucket, &number);
    json_write_double(body, number);
}

static void write_json(const struct segmentation *result, struct buf *body)
{
    buf_lit(body, "{\"data\":{\"series\":[");
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        if (b) buf_byte(body, ',');
        json_write_str(body, result->buckets[b]);
    }
    buf_lit(body, "],\"values\":{");
    for (uint32_t s = 0; s < result->series_count; s++) {
        if (s) buf_byte(body, ',');
        json_write_str(body, result->series[s].label);
        buf_lit(body, ":{");
        for (uint32_t b = 0; b < result->bucket_count; b++) {
            if (b) buf_byte(body, ',');
            json_write_str(body, result->buckets[b]);
            buf_byte(body, ':');
            write_cell(&result->series[s], b, body);
        }
        buf_byte(body, '}');
    }
    buf_printf(body, "}},\"legend_size\":%u}", result->label_count);
}

/* RFC 4180: quoted where the text asks for it. */
static void write_csv_text(struct buf *body, struct str text)
{
    bool quote = false;
    for (size_t i = 0; i < text.size && !quote; i++) quote = strchr(",\"\r\n", text.data[i]) && text.data[i];
    if (!quote) {
        buf_str_add(body, text);
        return;
    }
    buf_byte(body, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"') buf_byte(body, '"');
        buf_byte(body, text.data[i]);
    }
    buf_byte(body, '"');
}

static void write_csv(const struct segmentation *result, struct buf *body)
{
    buf_lit(body, "date");
    for (uint32_t s = 0; s < result->series_count; s++) {
        buf_byte(body, ',');
        write_csv_text(body, result->series[s].label);
    }
    buf_lit(body, "\r\n");
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        buf_str_add(body, result->buckets[b]);
        for (uint32_t s = 0; s < result->series_count; s++) {
            buf_byte(body, ',');
            write_cell(&result->series[s], b, body);
        }
        buf_lit(body, "\r\n");
    }
}

/* --- the plan --- */

static const char *const unit_names[] = {"minute", "hour", "day", "week", "month", NULL};

/* The last `count` units, the current one included. */
static void last_units(struct plan *plan, int64_t count)
{
    int64_t now = timezone_to_local_ms(plan->zone, plan->now_ms), today = floor_div(now, DAY_MS);
    int year, month, day;
    plan->to_day = today;
    switch (plan->unit) {
    case UNIT_MINUTE:
    case UNIT_HOUR: {
        int64_t cell = plan->unit == UNIT_MINUTE ? 60000 : HOUR_MS;
        plan->to_local_ms = (floor_div(now, cell) + 1) * cell;
        plan->from_local_ms = plan->to_local_ms - count * cell;
        plan->from_day = floor_div(plan->from_local_ms, DAY_MS);
        break;
    }
    case UNIT_WEEK: plan->from_day = today - civil_weekday(today) - 7 * (count - 1); break;
    case UNIT_MONTH: {
        civil_from_days(today, &year, &month, &day);
        int64_t months = (int64_t)year * 12 + month - count;
        plan->from_day = civil_to_days((int)floor_div(months, 12), (int)(months - floor_div(months, 12) * 12) + 1, 1);
        break;
    }
    default: plan->from_day = today - count + 1;
    }
}

static enum status plan_range(const struct params *params, struct plan *plan, struct error *error)
{
    int unit;
    int64_t interval;
    TRY(params_choice(params, "unit", unit_names, UNIT_DAY, error, &unit));
    TRY(params_int(params, "interval", 1, INTERVAL_MAX, 0, error, &interval));
    plan->unit = (enum plan_unit)unit;
    bool dates = params_get(params, "from_date").data || params_get(params, "to_date").data;
    if (!dates && interval) {
        last_units(plan, interval);
        return STATUS_OK;
    }
    TRY(params_date(params, "from_date", error, &plan->from_day));
    TRY(params_date(params, "to_date", error, &plan->to_day));
    if (plan->from_day > plan->to_day) {
        error_set(error, STATUS_INVALID, "Error in from_date: it is later than to_date");
        return STATUS_INVALID;
    }
    if (interval && !params_get(params, "unit").data) {
        plan->unit = UNIT_DAYS;
        plan->interval_days = (unsigned)interval;
    }
    return STATUS_OK;
}

static enum status make_plan(struct job *job, const struct params *params, const struct api *api, struct plan *plan,
                             struct error *error)
{
    static const char *const types[] = {"general", "unique", "average", NULL};
    static const char *const formats[] = {"json", "csv", NULL};
    int type, format;
    int64_t limit, limit_max = api->query.labels_max < 10000 ? api->query.labels_max : 10000;
    job->event = params_get(params, "event");
    if (!job->event.data) return error_set(error, STATUS_INVALID, "event is required");
    TRY(params_choice(params, "type", types, MEASURE_COUNT, error, &type));
    TRY(params_choice(params, "format", formats, 0, error, &format));
    TRY(params_int(params, "limit", 1, limit_max, LIMIT_DEFAULT < limit_max ? LIMIT_DEFAULT : limit_max, error,
                   &limit));
    TRY(plan_range(params, plan, error));
    plan->kind = PLAN_SEGMENT;
    plan->events = &job->event;
    plan->event_count = 1;
    plan->measure = (enum plan_measure)type;
    plan->limit = (uint32_t)limit;
    plan->where = params_get(params, "where");
    plan->on = params_get(params, "on");
    job->csv = format == 1;
    return STATUS_OK;
}

/* --- the stages --- */

/* 401: who you are could not be told; 403: you may not. */
static enum status fail_auth(struct job *job, int status)
{
    return job->status = status, STATUS_DENIED;
}

static enum status authorize(struct job *job, const struct params *params, struct api *api,
                             const struct meta_project **ret_project)
{
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
    TRY(params_int(params, "project_id", 1, META_PROJECT_ID_MAX, 0, error, &project_id));
    enum status status = meta_authorize(job->view, &credential, project_id, META_PERMISSION_READ, error, ret_project);
    if (status == STATUS_INVALID) {
        error_set(error, STATUS_INVALID, "project_id is required");
        error_hint(error, "a service account may belong to several projects: say which one is asked for");
    }
    return status == STATUS_DENIED ? fail_auth(job, 403) : status;
}

/* With the lookup tables and the profiles of groups as they are now. */
static enum status ask(struct job *job, struct api *api, struct plan *plan, struct segmentation *ret_result)
{
    struct plan_limits limits = {
        .memory_bytes_max = api->query.memory_bytes_max,
        .buckets_max = api->query.buckets_max,
        .deadline_ns = os_monotonic_ns() + api->query.timeout_ms * 1000000,
    };
    struct lookup_joins *joins;
    struct group_joins *groups = NULL;
    TRY(lookup_joins_new(api->lookup, job->view, (int64_t)plan->project, &job->error, &joins));
    plan->joins = lookup_joins_list(joins, &plan->join_count);
    enum status status = group_joins_new(api->store, plan, &limits, &job->error, &groups);
    if (status == STATUS_OK) status = api->executor->segment(api->executor, plan, &limits, &job->error, ret_result);
    if (status == STATUS_OK && (status = lookup_joins_status(joins, &job->error)) != STATUS_OK)
        segmentation_free(ret_result);
    group_joins_free(groups);
    lookup_joins_free(joins);
    return status;
}

static enum status run(struct job *job)
{
    struct http_request *request = job->request;
    struct api *api = request->context;
    struct params params;
    const struct meta_project *project;
    struct plan plan = {.now_ms = job->now_ms};
    struct segmentation result;
    TRY(params_parse(request, &job->error, &params));
    TRY(authorize(job, &params, api, &project));
    if (!rate_allows((uint64_t)project->id, api->query.rate_per_hour, job->now_ms)) {
        job->status = 429;
        return error_set(&job->error, STATUS_LIMIT, "Query rate limit exceeded");
    }
    plan.project = (uint64_t)project->id;
    TRY(timezone_load(project->timezone, &job->error, &plan.zone));
    TRY(make_plan(job, &params, api, &plan, &job->error));
    TRY(ask(job, api, &plan, &result));
    job->body = BUF_INIT(ANSWER_BYTES_MAX);
    if (job->csv)
        write_csv(&result, &job->body);
    else
        write_json(&result, &job->body);
    segmentation_free(&result);
    if (buf_status(&job->body) == STATUS_OK) return STATUS_OK;
    buf_fini(&job->body);
    error_set(&job->error, STATUS_LIMIT, "the answer is larger than %zu bytes", ANSWER_BYTES_MAX);
    error_hint(&job->error, "use a larger unit or fewer labels");
    return STATUS_LIMIT;
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

static void answer(struct http_request *request, void *arg)
{
    struct job *job = arg;
    if (job->status == 200) {
        http_respond_buf(request, 200, job->csv ? "text/csv; charset=utf-8" : "application/json", &job->body);
        return;
    }
    char text[1100];
    struct buf body = BUF_INIT((size_t)1 << 20);
    buf_lit(&body, "{\"request\":");
    json_write_str(&body, request->target);
    buf_lit(&body, ",\"error\":");
    if (job->error.column) {
        size_t used = strlen(job->error.primary);
        snprintf(job->error.primary + used, sizeof job->error.primary - used, " at position %u", job->error.column);
    }
    json_write_str(&body, str_of(error_text(&job->error, text, sizeof text)));
    if (job->error.column) buf_printf(&body, ",\"position\":%u", job->error.column);
    buf_byte(&body, '}');
    if (job->status == 401) http_header_add(request, "WWW-Authenticate", STR("Basic realm=\"cairn\""));
    if (job->status == 429) http_header_add(request, "Retry-After", STR("60"));
    if (job->status == 503) http_header_add(request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
    if (job->status >= 500) log_failure(LOG_ERROR, "query_failed", &job->error);
    http_respond_buf(request, job->status, "application/json", &body);
}

/* On a worker thread. */
static void work(void *arg)
{
    struct job *job = arg;
    enum status status = run(job);
    if (status == STATUS_OK)
        job->status = 200;
    else if (!job->status)
        job->status = status_of(status);
    meta_view_unref(job->view);
    http_request_complete(job->request, answer, job);
}

void api_segmentation(struct http_request *request)
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
    job->now_ms = os_now_ms();
    if (credentials_parse(request, &job->error, &job->credentials) != STATUS_OK) {
        job->status = 401;
        answer(request, job);
        return;
    }
    job->view = meta_view_ref(api_meta_view(api, request->loop_index));
    if (api_run_blocking(api, work, job) == STATUS_OK) return;
    meta_view_unref(job->view);
    job->status = 503;
    error_set(&job->error, STATUS_UNAVAILABLE, "too many queries are waiting");
    answer(request, job);
}
