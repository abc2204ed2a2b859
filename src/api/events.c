#include "api/events.h"

#include "api/report.h"
#include "base/civil.h"
#include "base/json.h"
#include "query/backend.h"

#include <stdlib.h>

#define EVENT_NAME STR("properties[\"$event_name\"]")

#define TOP_DEFAULT        100
#define NAMES_DEFAULT      255
#define NAMES_DAYS         31
#define PROPERTIES_DEFAULT 10
#define VALUES_DEFAULT     255
#define LABELS_MAX         10000
#define WANTED_MAX         1000 /* values that are named */

#define FIRST_DAY 364 /* 1970-12-31: no event is older, in any zone */

static enum status out_of_memory(struct query_job *job)
{
    return error_set(&job->error, STATUS_LIMIT, "request needs too much memory");
}

/* Without dates or an interval: all of time. */
static enum status read_range_or_all(struct query_job *job, struct plan *plan)
{
    if (report_has_range(job)) {
        TRY(report_read_range(job, plan));
    } else {
        report_last_days(plan, 1);
        plan->unit = UNIT_DAY;
        plan->from_day = FIRST_DAY;
        plan->to_day += 2; /* import takes times a little ahead */
    }
    report_keep_answer(job, plan->unit);
    plan->unit = UNIT_RANGE;
    return STATUS_OK;
}

/* --- over time --- */

/* A series for each wanted label, in that order, with or without events. */
static enum status answer_wanted(struct query_job *job, const struct segmentation *result, const struct str *wanted,
                                 size_t count, bool csv)
{
    struct report_series *series = arena_new_array(job->request->arena, struct report_series, count + 1);
    if (!series) return out_of_memory(job);
    for (size_t i = 0; i < count; i++) {
        series[i].label = wanted[i];
        for (uint32_t s = 0; s < result->series_count && !series[i].series; s++) {
            if (str_eq(result->series[s].label, wanted[i])) series[i].series = &result->series[s];
        }
    }
    struct report_table table = {
        .result = result, .series = series, .count = (uint32_t)count, .legend_size = (uint32_t)count};
    return report_write(job, &table, csv);
}

static enum status run_events(struct query_job *job)
{
    struct plan plan = report_plan(job);
    struct segmentation result;
    bool csv;
    TRY(report_read_events(job, true, &plan));
    TRY(report_read_type(job, &plan));
    TRY(report_read_format(job, &csv));
    TRY(report_read_range(job, &plan));
    if (plan.event_count > 1) {
        plan.on = EVENT_NAME;
        plan.labels = plan.events;
        plan.label_count = plan.event_count;
        plan.limit = (uint32_t)plan.event_count;
    }
    report_keep_answer(job, plan.unit);
    TRY(report_segment(job, &plan, &result));
    enum status status = answer_wanted(job, &result, plan.events, plan.event_count, csv);
    segmentation_free(&result);
    return status;
}

void api_events(struct http_request *request)
{
    query_start(request, run_events);
}

static enum status read_values(struct query_job *job, struct plan *plan)
{
    const struct str *given;
    size_t count;
    if (!params_get(&job->params, "values").data) return STATUS_OK;
    TRY(params_texts(&job->params, "values", job->request->arena, &job->error, &given, &count));
    if (count > WANTED_MAX)
        return error_set(&job->error, STATUS_INVALID, "Error in values: there are more than %d", WANTED_MAX);
    if (count == 0) return error_set(&job->error, STATUS_INVALID, "Error in values: there are none");
    struct str *values = arena_new_array(job->request->arena, struct str, count);
    if (!values) return out_of_memory(job);
    for (size_t i = 0; i < count; i++) {
        size_t known = 0;
        while (known < plan->label_count && !str_eq(values[known], given[i])) known++;
        if (known == plan->label_count) values[plan->label_count++] = given[i];
    }
    plan->labels = values;
    return STATUS_OK;
}

static enum status run_properties(struct query_job *job)
{
    struct plan plan = report_plan(job);
    struct segmentation result;
    struct report_table table;
    bool csv;
    TRY(report_read_event(job, &plan));
    TRY(report_read_property(job, "name", &plan.on));
    TRY(read_values(job, &plan));
    TRY(report_read_type(job, &plan));
    TRY(report_read_format(job, &csv));
    TRY(report_read_range(job, &plan));
    TRY(report_read_limit(job, VALUES_DEFAULT, LABELS_MAX, &plan));
    if (plan.labels && plan.limit < plan.label_count) plan.label_count = plan.limit;
    report_keep_answer(job, plan.unit);
    TRY(report_segment(job, &plan, &result));
    enum status status;
    if (plan.labels) {
        status = answer_wanted(job, &result, plan.labels, plan.label_count, csv);
    } else {
        status = report_table(job, &result, &table);
        if (status == STATUS_OK) status = report_write(job, &table, csv);
    }
    segmentation_free(&result);
    return status;
}

void api_events_properties(struct http_request *request)
{
    query_start(request, run_properties);
}

/* --- which events --- */

struct named {
    struct str name;
    double amount, before;
};

static int most_first(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    if (x->amount != y->amount) return x->amount > y->amount ? -1 : 1;
    return str_cmp(x->name, y->name);
}

/* An amount for each event of the range, those of the plan's measure; greatest first. */
static enum status count_names(struct query_job *job, struct plan *plan, struct named **ret_names, size_t *ret_count)
{
    struct segmentation result;
    plan->on = EVENT_NAME;
    plan->unit = UNIT_RANGE;
    plan->limit = job->api->query.labels_max;
    TRY(report_segment(job, plan, &result));
    struct arena *arena = job->request->arena;
    struct named *names = arena_new_array(arena, struct named, (size_t)result.series_count + 1);
    size_t count = 0;
    for (uint32_t s = 0; names && s < result.series_count && result.bucket_count; s++) {
        struct named *named = &names[count++];
        named->name = arena_str(arena, result.series[s].label);
        (void)series_number(&result.series[s], 0, &named->amount);
        if (!named->name.data) names = NULL;
    }
    segmentation_free(&result);
    if (!names) return out_of_memory(job);
    qsort(names, count, sizeof *names, most_first);
    *ret_names = names;
    *ret_count = count;
    return STATUS_OK;
}

static enum status run_names(struct query_job *job)
{
    struct plan plan = report_plan(job), limited = plan;
    struct named *names;
    size_t count;
    TRY(report_read_type(job, &plan));
    TRY(report_read_limit(job, NAMES_DEFAULT, LABELS_MAX, &limited));
    report_last_days(&plan, NAMES_DAYS);
    plan.unit = UNIT_DAY;
    if (report_has_range(job)) TRY(report_read_range(job, &plan));
    report_keep_answer(job, plan.unit);
    TRY(count_names(job, &plan, &names, &count));
    query_body_init(job);
    buf_byte(&job->body, '[');
    for (size_t i = 0; i < count && i < limited.limit; i++) {
        if (i) buf_byte(&job->body, ',');
        json_write_str(&job->body, names[i].name);
    }
    buf_byte(&job->body, ']');
    return query_body_check(job, "use a smaller limit");
}

void api_events_names(struct http_request *request)
{
    query_start(request, run_names);
}

/* Yesterday up to the minute that it is now, by the clocks of the project's zone. */
static void up_to_now(struct plan *plan)
{
    int64_t now = timezone_to_local_ms(plan->zone, plan->now_ms), today = floor_div(now, DAY_MS);
    int64_t minutes = (now - today * DAY_MS) / 60000 + 1;
    plan->from_day = plan->to_day = today - 1;
    plan->from_local_ms = plan->from_day * DAY_MS;
    plan->to_local_ms = plan->from_local_ms + minutes * 60000;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* Reorders `before`. */
static void find_before(struct named *names, size_t count, struct named *before, size_t before_count)
{
    qsort(before, before_count, sizeof *before, by_name);
    for (size_t i = 0; i < count; i++) {
        const struct named *found =
            before_count ? bsearch(&names[i], before, before_count, sizeof *before, by_name) : NULL;
        names[i].before = found ? found->amount : 0;
    }
}

/* A fraction of what was; of nothing, everything is new. */
static double change(const struct named *named)
{
    if (named->before == 0) return named->amount == 0 ? 0 : 1;
    return (named->amount - named->before) / named->before;
}

static enum status run_top(struct query_job *job)
{
    static const char *const types[] = {"general", "unique", "average"};
    struct plan plan = report_plan(job), limited = plan;
    struct named *names, *before;
    size_t count, before_count;
    TRY(report_read_type(job, &plan));
    TRY(report_read_limit(job, TOP_DEFAULT, LABELS_MAX, &limited));
    report_last_days(&plan, 1);
    query_keep_answer(job, query_next_local(job, 60000));
    TRY(count_names(job, &plan, &names, &count));
    if (count > limited.limit) count = limited.limit;
    up_to_now(&plan);
    TRY(count_names(job, &plan, &before, &before_count));
    find_before(names, count, before, before_count);
    query_body_init(job);
    buf_lit(&job->body, "{\"events\":[");
    for (size_t i = 0; i < count; i++) {
        if (i) buf_byte(&job->body, ',');
        buf_lit(&job->body, "{\"amount\":");
        json_write_double(&job->body, names[i].amount);
        buf_lit(&job->body, ",\"event\":");
        json_write_str(&job->body, names[i].name);
        buf_lit(&job->body, ",\"percent_change\":");
        json_write_double(&job->body, change(&names[i]));
        buf_byte(&job->body, '}');
    }
    buf_printf(&job->body, "],\"type\":\"%s\"}", types[plan.measure]);
    return query_body_check(job, "use a smaller limit");
}

void api_events_top(struct http_request *request)
{
    query_start(request, run_top);
}

/* --- which properties, which values --- */

static enum status run_properties_top(struct query_job *job)
{
    struct plan plan = report_plan(job);
    struct top_values result;
    TRY(report_read_events(job, false, &plan));
    TRY(report_read_limit(job, PROPERTIES_DEFAULT, LABELS_MAX, &plan));
    TRY(read_range_or_all(job, &plan));
    plan.kind = PLAN_PROPERTIES;
    TRY(report_top_values(job, &plan, &result));
    query_body_init(job);
    buf_byte(&job->body, '{');
    for (uint32_t i = 0; i < result.value_count; i++) {
        if (i) buf_byte(&job->body, ',');
        json_write_str(&job->body, result.values[i].label);
        buf_printf(&job->body, ":{\"count\":%llu}", (unsigned long long)result.values[i].count);
    }
    buf_byte(&job->body, '}');
    top_values_free(&result);
    return query_body_check(job, "use a smaller limit");
}

void api_events_properties_top(struct http_request *request)
{
    query_start(request, run_properties_top);
}

static enum status run_properties_values(struct query_job *job)
{
    struct plan plan = report_plan(job);
    struct top_values result;
    TRY(report_read_events(job, false, &plan));
    TRY(report_read_property(job, "name", &plan.on));
    TRY(report_read_limit(job, VALUES_DEFAULT, LABELS_MAX, &plan));
    TRY(read_range_or_all(job, &plan));
    plan.kind = PLAN_TOP_VALUES;
    TRY(report_top_values(job, &plan, &result));
    query_body_init(job);
    buf_byte(&job->body, '[');
    for (uint32_t i = 0; i < result.value_count; i++) {
        if (i) buf_byte(&job->body, ',');
        json_write_str(&job->body, result.values[i].label);
    }
    buf_byte(&job->body, ']');
    top_values_free(&result);
    return query_body_check(job, "use a smaller limit");
}

void api_events_properties_values(struct http_request *request)
{
    query_start(request, run_properties_values);
}
