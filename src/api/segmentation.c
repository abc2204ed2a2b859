#include "api/segmentation.h"

#include "api/report.h"
#include "base/json.h"

#define LIMIT_DEFAULT 60
#define LIMIT_MAX     10000
#define BINS_DEFAULT  12
#define BINS_MAX      1000

static enum status required(struct query_job *job, const char *name, struct str *ret_value)
{
    struct str value = params_get(&job->params, name);
    if (!value.data) return error_set(&job->error, STATUS_INVALID, "%s is required", name);
    *ret_value = value;
    return STATUS_OK;
}

/* What all of them read: one event, the range, `where`, the format. */
static enum status read_plan(struct query_job *job, struct plan *ret_plan, bool *ret_csv)
{
    struct plan plan = report_plan(job);
    TRY(report_read_event(job, &plan));
    TRY(report_read_format(job, ret_csv));
    TRY(report_read_range(job, &plan));
    plan.where = params_get(&job->params, "where");
    report_keep_answer(job, plan.unit);
    *ret_plan = plan;
    return STATUS_OK;
}

static enum status answer_table(struct query_job *job, const struct plan *plan, bool csv, bool sparse)
{
    struct segmentation result;
    struct report_table table;
    TRY(report_segment(job, plan, &result));
    enum status status = report_table(job, &result, &table);
    table.sparse = sparse;
    if (status == STATUS_OK) status = report_write(job, &table, csv);
    segmentation_free(&result);
    return status;
}

/* --- counts --- */

static enum status run_counts(struct query_job *job)
{
    struct plan plan;
    bool csv;
    TRY(read_plan(job, &plan, &csv));
    TRY(report_read_type(job, &plan));
    TRY(report_read_limit(job, LIMIT_DEFAULT, LIMIT_MAX, &plan));
    plan.on = params_get(&job->params, "on");
    return answer_table(job, &plan, csv, false);
}

void api_segmentation(struct http_request *request)
{
    query_start(request, run_counts);
}

/* --- by ranges of numbers --- */

static enum status run_numeric(struct query_job *job)
{
    struct plan plan;
    bool csv;
    int64_t bins;
    TRY(read_plan(job, &plan, &csv));
    TRY(required(job, "on", &plan.on));
    TRY(report_read_type(job, &plan));
    TRY(params_int(&job->params, "buckets", 2, BINS_MAX, BINS_DEFAULT, &job->error, &bins));
    plan.bin_count = (uint32_t)bins;
    return answer_table(job, &plan, csv, true);
}

void api_segmentation_numeric(struct http_request *request)
{
    query_start(request, run_numeric);
}

/* --- sums and averages --- */

/* The documented answer, and the one that other descriptions of the API have, at once. */
static void write_measured(struct query_job *job, const struct segmentation *result)
{
    struct buf *body = &job->body;
    const struct series *series = &result->series[0];
    buf_lit(body, "{\"status\":\"ok\",\"computed_at\":");
    report_write_time(body, job->now_ms);
    buf_lit(body, ",\"results\":");
    report_write_series(body, result, series, false);
    buf_lit(body, ",\"data\":{\"series\":");
    report_write_buckets(body, result);
    buf_lit(body, ",\"values\":{");
    json_write_str(body, series->label);
    buf_byte(body, ':');
    report_write_series(body, result, series, false);
    buf_printf(body, "}},\"legend_size\":%u}", result->label_count);
}

static enum status run_measured(struct query_job *job, enum plan_measure measure)
{
    struct plan plan;
    struct segmentation result;
    struct report_table table;
    bool csv;
    TRY(read_plan(job, &plan, &csv));
    TRY(required(job, "on", &plan.of));
    plan.measure = measure;
    TRY(report_named(job, report_segment(job, &plan, &result), "of", "on"));
    enum status status = STATUS_OK;
    if (csv) {
        status = report_table(job, &result, &table);
        if (status == STATUS_OK) status = report_write(job, &table, true);
    } else {
        query_body_init(job);
        write_measured(job, &result);
        status = query_body_check(job, "use a larger unit");
    }
    segmentation_free(&result);
    return status;
}

static enum status run_sum(struct query_job *job)
{
    return run_measured(job, MEASURE_SUM);
}
static enum status run_average(struct query_job *job)
{
    return run_measured(job, MEASURE_MEAN);
}

void api_segmentation_sum(struct http_request *request)
{
    query_start(request, run_sum);
}
void api_segmentation_average(struct http_request *request)
{
    query_start(request, run_average);
}

/* --- by two expressions --- */

/* Every label of the outer expression holds every one of the inner: clients read them as a matrix. */
static void write_crossed(struct buf *body, const struct segmentation *result)
{
    buf_lit(body, "{\"data\":{\"series\":");
    report_write_buckets(body, result);
    buf_lit(body, ",\"values\":{");
    for (uint32_t s = 0; s < result->series_count; s++) {
        uint32_t inner = s % result->by_count;
        if (inner == 0) {
            if (s) buf_lit(body, "},");
            json_write_str(body, result->series[s].label);
            buf_lit(body, ":{");
        }
        if (inner) buf_byte(body, ',');
        json_write_str(body, result->by[inner]);
        buf_byte(body, ':');
        report_write_series(body, result, &result->series[s], false);
    }
    buf_printf(body, "%s}},\"legend_size\":%u}", result->series_count ? "}" : "", result->label_count);
}

/* A column for each pair, named `outer / inner`. */
static enum status write_crossed_csv(struct query_job *job, const struct segmentation *result)
{
    struct report_table table;
    TRY(report_table(job, result, &table));
    struct report_series *series = arena_new_array(job->request->arena, struct report_series, table.count + 1);
    if (!series) return error_set(&job->error, STATUS_LIMIT, "request needs too much memory");
    for (uint32_t s = 0; s < table.count; s++) {
        struct str inner = result->by[s % result->by_count];
        series[s] = table.series[s];
        series[s].label =
            arena_printf(job->request->arena, STR_FMT " / " STR_FMT, STR_ARG(table.series[s].label), STR_ARG(inner));
        if (!series[s].label.data) return error_set(&job->error, STATUS_LIMIT, "request needs too much memory");
    }
    table.series = series;
    return report_write(job, &table, true);
}

static enum status run_multiseg(struct query_job *job)
{
    static const char *const actions[] = {"sum", "average", NULL};
    struct plan plan;
    struct segmentation result;
    bool csv;
    int action;
    struct str inner;
    TRY(read_plan(job, &plan, &csv));
    TRY(required(job, "outer", &plan.on));
    TRY(required(job, "inner", &inner));
    TRY(report_read_type(job, &plan));
    TRY(report_read_limit(job, LIMIT_DEFAULT, LIMIT_MAX, &plan));
    TRY(params_choice(&job->params, "action", actions, -1, &job->error, &action));
    if (action >= 0) { /* the inner expression is what is added up */
        plan.measure = action == 0 ? MEASURE_SUM : MEASURE_MEAN;
        plan.of = inner;
        enum status status = report_named(job, answer_table(job, &plan, csv, false), "on", "outer");
        return report_named(job, status, "of", "inner");
    }
    plan.by = inner;
    enum status status = report_named(job, report_segment(job, &plan, &result), "on", "outer");
    TRY(report_named(job, status, "by", "inner"));
    if (csv) {
        status = write_crossed_csv(job, &result);
    } else {
        query_body_init(job);
        write_crossed(&job->body, &result);
        status = query_body_check(job, "use a larger unit or a smaller limit");
    }
    segmentation_free(&result);
    return status;
}

void api_segmentation_multiseg(struct http_request *request)
{
    query_start(request, run_multiseg);
}
