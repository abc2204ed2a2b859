#include "api/export.h"

#include "api/row_stream.h"
#include "base/civil.h"
#include "meta/meta.h"

#define LIMIT_MAX 100000

/* A JSON array of names, or one name as it is. */
static enum status read_events(struct query_job *job, struct plan *plan)
{
    struct str text = str_trim(params_get(&job->params, "event"));
    if (!text.size) return STATUS_OK;
    if (text.data[0] == '[') {
        TRY(params_texts(&job->params, "event", job->request->arena, &job->error, &plan->events, &plan->event_count));
        if (plan->event_count) return STATUS_OK;
        error_set(&job->error, STATUS_INVALID, "Error in event: an empty list");
        error_hint(&job->error, "leave it out for all events");
        return STATUS_INVALID;
    }
    struct str *name = arena_new_array(job->request->arena, struct str, 1);
    if (!name) return error_set(&job->error, STATUS_LIMIT, "request needs too much memory");
    *name = text;
    plan->events = name;
    plan->event_count = 1;
    return STATUS_OK;
}

/* Days are UTC's, or the project's own: its export_local_days. */
static enum status read_range(struct query_job *job, struct plan *plan)
{
    struct error *error = &job->error;
    TRY(params_date(&job->params, "from_date", error, &plan->from_day));
    TRY(params_date(&job->params, "to_date", error, &plan->to_day));
    if (plan->from_day > plan->to_day)
        return error_set(error, STATUS_INVALID, "Error in from_date: it is later than to_date");
    /* Today where it is later: clients give the day of their own clock. */
    int64_t here = floor_div(timezone_to_local_ms(job->zone, job->now_ms), DAY_MS);
    int64_t utc = floor_div(job->now_ms, DAY_MS);
    if (plan->to_day > (here > utc ? here : utc)) {
        error_set(error, STATUS_INVALID, "Error in to_date: to_date cannot be later than today");
        error_hint(error, "days are those of %s",
                   job->project->export_local_days ? "the project's time zone" : "UTC");
        return STATUS_INVALID;
    }
    plan->zone = job->zone;
    return job->project->export_local_days ? STATUS_OK : timezone_load(STR("UTC"), error, &plan->zone);
}

static enum status run(struct query_job *job)
{
    static const char *const flags[] = {"false", "0", "true", "1", "True", "False", NULL};
    struct plan plan = {
        .kind = PLAN_EXPORT, .project = (uint64_t)job->project->id, .now_ms = job->now_ms, .by_day = true};
    int time_in_ms;
    int64_t limit;
    TRY(read_range(job, &plan));
    TRY(read_events(job, &plan));
    TRY(params_choice(&job->params, "time_in_ms", flags, 0, &job->error, &time_in_ms));
    TRY(params_int(&job->params, "limit", 1, LIMIT_MAX, 0, &job->error, &limit));
    plan.limit = (uint32_t)limit;
    plan.where = params_get(&job->params, "where");
    return row_stream_run(job, &plan, time_in_ms >= 2 && time_in_ms <= 4 ? EVENT_TIME_MS : EVENT_TIME_SECONDS);
}

void api_export(struct http_request *request)
{
    query_start(request, run);
}
