#include "api/retention.h"

#include <inttypes.h>

#include "api/report.h"
#include "base/civil.h"
#include "base/csv.h"
#include "base/json.h"

#define LIMIT_DEFAULT 255
#define LIMIT_MAX     10000
#define INTERVAL_MAX  3650 /* days */
#define OVERALL       STR("$overall")
#define ANSWER_HINT   "use a larger unit, fewer intervals or a lower limit"

/* --- parameters --- */

/* What both have in common. `event`: any when it is not given. */
static enum status read_common(struct query_job *job, struct plan *plan, bool *ret_csv)
{
    const struct params *params = &job->params;
    struct error *error = &job->error;
    TRY(report_read_format(job, ret_csv));
    TRY(report_read_limit(job, LIMIT_DEFAULT, LIMIT_MAX, plan));
    TRY(params_date(params, "from_date", error, &plan->from_day));
    TRY(params_date(params, "to_date", error, &plan->to_day));
    if (plan->from_day > plan->to_day)
        return error_set(error, STATUS_INVALID, "Error in from_date: it is later than to_date");
    TRY(report_read_events(job, false, plan));
    plan->where = params_get(params, "where");
    plan->on = params_get(params, "on");
    return STATUS_OK;
}

static const char *const unit_names[] = {"day", "week", "month", NULL};
static const enum plan_unit units[] = {UNIT_DAY, UNIT_WEEK, UNIT_MONTH};

/* Buckets and intervals are of `unit`, or of `interval` days. */
static enum status read_intervals(const struct params *params, struct error *error, struct plan *plan)
{
    int unit;
    int64_t interval, count;
    TRY(params_choice(params, "unit", unit_names, 0, error, &unit));
    TRY(params_int(params, "interval", 1, INTERVAL_MAX, 1, error, &interval));
    TRY(params_int(params, "interval_count", 1, RETENTION_INTERVALS_MAX, 1, error, &count));
    if (params_get(params, "unit").data && params_get(params, "interval").data)
        return error_set(error, STATUS_INVALID, "unit and interval both specified");
    plan->unit = params_get(params, "interval").data ? UNIT_DAYS : units[unit];
    plan->interval_days = (unsigned)interval;
    plan->retention.interval_count = (uint32_t)count;
    return STATUS_OK;
}

static enum status read_births(struct query_job *job, struct plan *plan)
{
    static const char *const types[] = {"birth", "compounded", NULL};
    struct plan_retention *retention = &plan->retention;
    int type;
    TRY(params_choice(&job->params, "retention_type", types, RETENTION_BIRTH, &job->error, &type));
    retention->type = (enum retention_type)type;
    if (retention->type == RETENTION_COMPOUNDED) return STATUS_OK;
    retention->born_where = params_get(&job->params, "born_where");
    return report_read_names(job, "born_event", true, &retention->born_events, &retention->born_event_count);
}

static enum status read_unbounded(const struct params *params, struct error *error, bool *ret_unbounded)
{
    static const char *const words[] = {"false", "true", "0", "1", "False", "True", NULL}; /* the latter: Python's */
    int word;
    TRY(params_choice(params, "unbounded_retention", words, 0, error, &word));
    *ret_unbounded = word % 2;
    return STATUS_OK;
}

static enum status read_unit(const struct params *params, const char *name, const char *const *names,
                             struct error *error, int *ret_index)
{
    if (!params_get(params, name).data) return error_set(error, STATUS_INVALID, "%s is required", name);
    return params_choice(params, name, names, 0, error, ret_index);
}

/* --- the answers --- */

static void write_list(struct buf *body, const uint64_t *counts, uint32_t count)
{
    buf_byte(body, '[');
    for (uint32_t i = 0; i < count; i++) buf_printf(body, "%s%" PRIu64, i ? "," : "", counts[i]);
    buf_byte(body, ']');
}

static void write_key(struct buf *body, struct str key, bool *first)
{
    if (!*first) buf_byte(body, ',');
    *first = false;
    json_write_str(body, key);
    buf_byte(body, ':');
}

/* A client in R reads the members by their places: `counts` is the first. */
static void write_cohort(struct buf *body, const struct retention *result, const uint64_t *counts, uint32_t bucket)
{
    buf_lit(body, "{\"counts\":");
    write_list(body, counts + (size_t)bucket * result->interval_count, result->lengths[bucket]);
    buf_printf(body, ",\"first\":%" PRIu64 "}", result->first[bucket]);
}

static void write_retention(struct buf *body, const struct retention *result, bool labels)
{
    bool first_bucket = true;
    buf_byte(body, '{');
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        bool first = true;
        write_key(body, result->buckets[b], &first_bucket);
        if (!labels) {
            write_cohort(body, result, result->overall.counts, b);
            continue;
        }
        buf_byte(body, '{');
        write_key(body, OVERALL, &first);
        write_cohort(body, result, result->overall.counts, b);
        for (uint32_t s = 0; s < result->series_count; s++) {
            const struct retention_series *series = &result->series[s];
            if (str_eq(series->label, OVERALL)) continue; /* a name can be there but once */
            write_key(body, series->label, &first);
            write_cohort(body, result, series->counts, b);
        }
        buf_byte(body, '}');
    }
    buf_byte(body, '}');
}

static void write_frequency(struct buf *body, const struct frequency *result, bool labels)
{
    bool first_bucket = true;
    buf_lit(body, "{\"data\":{");
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        size_t at = (size_t)b * result->width;
        bool first = true;
        write_key(body, result->buckets[b], &first_bucket);
        if (!labels) {
            write_list(body, result->overall.counts + at, result->lengths[b]);
            continue;
        }
        buf_byte(body, '{');
        write_key(body, OVERALL, &first);
        write_list(body, result->overall.counts + at, result->lengths[b]);
        for (uint32_t s = 0; s < result->series_count; s++) {
            const struct frequency_series *series = &result->series[s];
            if (str_eq(series->label, OVERALL)) continue;
            write_key(body, series->label, &first);
            write_list(body, series->counts + at, result->lengths[b]);
        }
        buf_byte(body, '}');
    }
    buf_lit(body, "}}");
}

/* --- as CSV: a line for each bucket and label, cells that are not in the JSON are empty --- */

static void write_csv_head(struct buf *body, bool labels, bool first, uint32_t from, uint32_t count)
{
    buf_str_add(body, labels ? STR("date,value") : STR("date"));
    if (first) buf_lit(body, ",first");
    for (uint32_t i = 0; i < count; i++) buf_printf(body, ",%u", from + i);
    buf_lit(body, "\r\n");
}

/* `first`: NULL: there is no such column. `label`: NULL data: likewise. */
static void write_csv_line(struct buf *body, struct str bucket, struct str label, const uint64_t *first,
                           const uint64_t *counts, uint32_t length, uint32_t width)
{
    buf_str_add(body, bucket);
    if (label.data) {
        buf_byte(body, ',');
        csv_write(body, label);
    }
    if (first) buf_printf(body, ",%" PRIu64, *first);
    for (uint32_t i = 0; i < width; i++) {
        buf_byte(body, ',');
        if (i < length) buf_printf(body, "%" PRIu64, counts[i]);
    }
    buf_lit(body, "\r\n");
}

static void write_retention_csv(struct buf *body, const struct retention *result, bool labels)
{
    uint32_t width = result->interval_count;
    write_csv_head(body, labels, true, 0, width);
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        size_t at = (size_t)b * width;
        write_csv_line(body, result->buckets[b], labels ? OVERALL : STR_NULL, &result->first[b],
                       result->overall.counts + at, result->lengths[b], width);
        for (uint32_t s = 0; s < result->series_count; s++)
            write_csv_line(body, result->buckets[b], result->series[s].label, &result->first[b],
                           result->series[s].counts + at, result->lengths[b], width);
    }
}

static void write_frequency_csv(struct buf *body, const struct frequency *result, bool labels)
{
    write_csv_head(body, labels, false, 1, result->width);
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        size_t at = (size_t)b * result->width;
        write_csv_line(body, result->buckets[b], labels ? OVERALL : STR_NULL, NULL, result->overall.counts + at,
                       result->lengths[b], result->width);
        for (uint32_t s = 0; s < result->series_count; s++)
            write_csv_line(body, result->buckets[b], result->series[s].label, NULL, result->series[s].counts + at,
                           result->lengths[b], result->width);
    }
}

/* --- running --- */

/* Young cohorts grow an interval at a time: where that is, is a matter of the offsets of the project's zone, which have been
 * quarters of hours since 1973. */
static void keep_retention(struct query_job *job, const struct plan *plan)
{
    int64_t quarter_ms = INT64_C(900000), last_ms = retention_interval_ms(plan) * plan->retention.interval_count;
    bool grown = job->now_ms > (plan->to_day + 2) * DAY_MS + last_ms;
    if (grown)
        query_keep_answer(job, INT64_MAX);
    else if (plan->from_day >= civil_to_days(1973, 1, 1))
        query_keep_answer(job, (job->now_ms / quarter_ms + 1) * quarter_ms);
}

static enum status run_retention(struct query_job *job)
{
    struct plan plan = report_plan(job);
    struct retention result;
    bool csv;
    plan.kind = PLAN_RETENTION;
    TRY(read_common(job, &plan, &csv));
    TRY(read_births(job, &plan));
    TRY(read_intervals(&job->params, &job->error, &plan));
    TRY(read_unbounded(&job->params, &job->error, &plan.retention.unbounded));
    keep_retention(job, &plan);
    TRY(report_retention(job, &plan, &result));
    query_body_init(job);
    if (csv) {
        job->content_type = "text/csv; charset=utf-8";
        write_retention_csv(&job->body, &result, plan.on.data);
    } else {
        write_retention(&job->body, &result, plan.on.data);
    }
    retention_free(&result);
    return query_body_check(job, ANSWER_HINT);
}

static enum status run_addiction(struct query_job *job)
{
    static const char *const active_names[] = {"hour", "day", NULL};
    struct plan plan = report_plan(job);
    struct frequency result;
    bool csv;
    int unit, active;
    plan.kind = PLAN_FREQUENCY;
    TRY(read_common(job, &plan, &csv));
    TRY(read_unit(&job->params, "unit", unit_names, &job->error, &unit));
    TRY(read_unit(&job->params, "addiction_unit", active_names, &job->error, &active));
    plan.unit = units[unit];
    plan.active_unit = active ? UNIT_DAY : UNIT_HOUR;
    query_keep_answer(job, INT64_MAX);
    TRY(report_frequency(job, &plan, &result));
    query_body_init(job);
    if (csv) {
        job->content_type = "text/csv; charset=utf-8";
        write_frequency_csv(&job->body, &result, plan.on.data);
    } else {
        write_frequency(&job->body, &result, plan.on.data);
    }
    frequency_free(&result);
    return query_body_check(job, ANSWER_HINT);
}

void api_retention(struct http_request *request)
{
    query_start(request, run_retention);
}

void api_retention_addiction(struct http_request *request)
{
    query_start(request, run_addiction);
}
