#include "api/segmentation.h"

#include "api/query_job.h"
#include "base/civil.h"
#include "base/json.h"
#include "lookup/lookup.h"
#include "query/backend.h"
#include "query/native/group_join.h"

#define LIMIT_DEFAULT 60
#define INTERVAL_MAX  100000

struct question {
    struct str event;
    bool csv;
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

static enum status make_plan(struct question *question, const struct params *params, const struct api *api,
                             struct plan *plan, struct error *error)
{
    static const char *const types[] = {"general", "unique", "average", NULL};
    static const char *const formats[] = {"json", "csv", NULL};
    int type, format;
    int64_t limit, limit_max = api->query.labels_max < 10000 ? api->query.labels_max : 10000;
    question->event = params_get(params, "event");
    if (!question->event.data) return error_set(error, STATUS_INVALID, "event is required");
    TRY(params_choice(params, "type", types, MEASURE_COUNT, error, &type));
    TRY(params_choice(params, "format", formats, 0, error, &format));
    TRY(params_int(params, "limit", 1, limit_max, LIMIT_DEFAULT < limit_max ? LIMIT_DEFAULT : limit_max, error,
                   &limit));
    TRY(plan_range(params, plan, error));
    plan->kind = PLAN_SEGMENT;
    plan->events = &question->event;
    plan->event_count = 1;
    plan->measure = (enum plan_measure)type;
    plan->limit = (uint32_t)limit;
    plan->where = params_get(params, "where");
    plan->on = params_get(params, "on");
    question->csv = format == 1;
    return STATUS_OK;
}

/* With the lookup tables and the profiles of groups as they are now. */
static enum status ask(struct query_job *job, struct plan *plan, struct segmentation *ret_result)
{
    struct api *api = job->api;
    struct plan_limits limits = query_limits(job);
    struct lookup_joins *joins;
    struct group_joins *groups = NULL;
    TRY(lookup_joins_new(api->lookup, job->view, job->project->id, &job->error, &joins));
    plan->joins = lookup_joins_list(joins, &plan->join_count);
    enum status status = group_joins_new(api->store, plan, &limits, &job->error, &groups);
    if (status == STATUS_OK) status = api->executor->segment(api->executor, plan, &limits, &job->error, ret_result);
    if (status == STATUS_OK && (status = lookup_joins_status(joins, &job->error)) != STATUS_OK)
        segmentation_free(ret_result);
    group_joins_free(groups);
    lookup_joins_free(joins);
    return status;
}

static enum status run(struct query_job *job)
{
    struct api *api = job->api;
    struct question question;
    struct segmentation result;
    struct plan plan = {.project = (uint64_t)job->project->id, .zone = job->zone, .now_ms = job->now_ms};
    TRY(make_plan(&question, &job->params, api, &plan, &job->error));
    TRY(ask(job, &plan, &result));
    query_body_init(job);
    if (question.csv) {
        job->content_type = "text/csv; charset=utf-8";
        write_csv(&result, &job->body);
    } else {
        write_json(&result, &job->body);
    }
    segmentation_free(&result);
    return query_body_check(job, "use a larger unit or fewer labels");
}

void api_segmentation(struct http_request *request)
{
    query_start(request, run);
}
