/* What is computed from profiles: /engage/properties, /engage/stats, /engage/revenue. */
#include "api/behaviors.h"
#include "api/engage_query.h"
#include "api/engage_params.h"
#include "base/civil.h"
#include "base/json.h"
#include "query/backend.h"

static void write_computed_at(struct query_job *job)
{
    char text[19];
    struct str at = str_from(text, civil_format_datetime(job->now_ms, text));
    text[10] = 'T';
    buf_lit(&job->body, "\"computed_at\":");
    json_write_str(&job->body, at);
}

/* --- properties --- */

static const char *type_name(const struct surveyed_property *property)
{
    static const char *const names[] = {"string", "number", "boolean", "datetime", "list", "object"};
    int most = 0;
    for (int type = 1; type < PROPERTY_TYPES; type++) {
        if (property->counts[type] > property->counts[most]) most = type;
    }
    return names[most];
}

static enum status run_properties(struct query_job *job)
{
    struct executor *executor = job->api->executor;
    struct plan_limits limits = query_limits(job);
    struct profile_properties properties;
    struct profile_plan plan;
    bool as_of_given;
    TRY(engage_read_plan(job, &plan, &as_of_given));
    engage_keep_answer(job, &plan, as_of_given);
    TRY(executor->profiles->properties(executor, &plan, &limits, &job->error, &properties));
    query_body_init(job);
    buf_lit(&job->body, "{\"results\":{");
    for (size_t i = 0; i < properties.count; i++) {
        if (i) buf_byte(&job->body, ',');
        json_write_str(&job->body, properties.items[i].name);
        buf_printf(&job->body, ":{\"count\":%llu,\"type\":\"%s\"}", (unsigned long long)properties.items[i].count,
                   type_name(&properties.items[i]));
    }
    buf_lit(&job->body, "},\"status\":\"ok\"}");
    arena_free(properties.arena);
    return query_body_check(job, "profiles have too many different properties");
}

void api_engage_properties(struct http_request *request)
{
    query_start(request, run_properties);
}

/* --- stats --- */

static void write_number(struct buf *body, const char *name, double number, bool any)
{
    buf_printf(body, "\"%s\":", name);
    if (any)
        json_write_double(body, number);
    else
        buf_lit(body, "null");
}

static void write_stats(struct buf *body, const struct stats_action *action, const struct profile_numbers *numbers)
{
    bool any = numbers->count > 0;
    switch (action->kind) {
    case STATS_COUNT: buf_printf(body, "%llu", (unsigned long long)numbers->profiles); return;
    case STATS_EXTREMES:
        buf_byte(body, '{');
        write_number(body, "max", numbers->max, any);
        buf_byte(body, ',');
        write_number(body, "min", numbers->min, any);
        break;
    case STATS_SUMMARY:
        buf_printf(body, "{\"count\":%llu,", (unsigned long long)numbers->count);
        write_number(body, "mean", numbers->mean, any);
        buf_byte(body, ',');
        write_number(body, "var", numbers->variance, any);
        buf_byte(body, ',');
        write_number(body, "sum_of_squares", numbers->sum_of_squares, any);
        break;
    case STATS_PERCENTILE:
        buf_byte(body, '{');
        write_number(body, "percentile", action->percentile, true);
        buf_byte(body, ',');
        write_number(body, "result", numbers->percentile, any);
    }
    buf_byte(body, '}');
}

static enum status run_stats(struct query_job *job)
{
    struct executor *executor = job->api->executor;
    struct plan_limits limits = query_limits(job);
    struct stats_action action = {.kind = STATS_COUNT, .percentile = 50};
    struct str text = params_get(&job->params, "action");
    struct profile_numbers numbers;
    struct profile_plan plan;
    bool as_of_given;
    if (params_get(&job->params, "segment_by_cohorts").data) {
        error_set(&job->error, STATUS_UNSUPPORTED, "Error in segment_by_cohorts: answers are not split by cohort here");
        error_hint(&job->error, "ask for each cohort by itself, with filter_by_cohort");
        return STATUS_UNSUPPORTED;
    }
    if (text.data) TRY(stats_action_parse(text, &job->error, &action));
    TRY(engage_read_plan(job, &plan, &as_of_given));
    engage_keep_answer(job, &plan, as_of_given);
    enum status status =
        executor->profiles->numbers(executor, &plan, action.of, action.percentile, &limits, &job->error, &numbers);
    /* positions are in the parameter */
    if (status != STATUS_OK && job->error.column && str_starts(str_of(job->error.primary), STR("action")))
        job->error.column += (unsigned)(action.of.data - text.data);
    TRY(status);
    query_body_init(job);
    buf_lit(&job->body, "{\"results\":");
    write_stats(&job->body, &action, &numbers);
    buf_lit(&job->body, ",\"status\":\"ok\",");
    write_computed_at(job);
    buf_byte(&job->body, '}');
    return query_body_check(job, "");
}

void api_engage_stats(struct http_request *request)
{
    query_start(request, run_stats);
}

/* --- revenue --- */

/* `count` is how many people there are: amount by count is the revenue of a user, by paid_count that of a payer. */
static void write_bucket(struct buf *body, const struct profile_revenue *revenue, const struct revenue_bucket *bucket,
                         struct str label)
{
    json_write_str(body, label);
    buf_lit(body, ":{\"amount\":");
    json_write_double(body, bucket->amount);
    buf_printf(body, ",\"count\":%llu,\"paid_count\":%llu}", (unsigned long long)revenue->profiles,
               (unsigned long long)bucket->payers);
}

static enum status run_revenue(struct query_job *job)
{
    static const char *const units[] = {"day", "week", "month", NULL};
    struct executor *executor = job->api->executor;
    struct plan_limits limits = query_limits(job);
    struct revenue_plan range;
    struct profile_revenue revenue;
    struct profile_plan plan;
    bool as_of_given;
    int unit;
    TRY(params_date(&job->params, "from_date", &job->error, &range.from_day));
    TRY(params_date(&job->params, "to_date", &job->error, &range.to_day));
    if (range.from_day > range.to_day)
        return error_set(&job->error, STATUS_INVALID, "Error in from_date: it is later than to_date");
    TRY(params_choice(&job->params, "unit", units, 0, &job->error, &unit));
    range.unit = unit == 0 ? UNIT_DAY : unit == 1 ? UNIT_WEEK : UNIT_MONTH;
    TRY(engage_read_plan(job, &plan, &as_of_given));
    engage_keep_answer(job, &plan, as_of_given);
    TRY(executor->profiles->revenue(executor, &plan, &range, &limits, &job->error, &revenue));
    query_body_init(job);
    buf_byte(&job->body, '{');
    write_computed_at(job);
    buf_lit(&job->body, ",\"results\":{");
    write_bucket(&job->body, &revenue, &revenue.overall, STR("$overall"));
    for (uint32_t i = 0; i < revenue.bucket_count; i++) {
        buf_byte(&job->body, ',');
        write_bucket(&job->body, &revenue, &revenue.buckets[i], revenue.buckets[i].label);
    }
    buf_lit(&job->body, "},\"session_id\":null,\"status\":\"ok\"}");
    arena_free(revenue.arena);
    return query_body_check(job, "use a larger unit");
}

void api_engage_revenue(struct http_request *request)
{
    query_start(request, run_revenue);
}
