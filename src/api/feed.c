#include "api/feed.h"

#include "api/query_job.h"
#include "base/civil.h"
#include "base/json.h"
#include "query/backend.h"
#include "query/event_json.h"

#define IDS_MAX 1000

struct feed_sink {
    struct row_sink base;
    struct buf *body;
    bool any;
};

/* Readers look for the id under either name: it is added before the two brackets that end the event. */
static enum status write_row(struct row_sink *base, const struct event_row *row, struct error *error)
{
    struct feed_sink *sink = (struct feed_sink *)base;
    struct buf *body = sink->body;
    if (sink->any) buf_byte(body, ',');
    sink->any = true;
    event_write_json(body, row, EVENT_TIME_SECONDS);
    if (!body->failed) body->size -= 2;
    buf_lit(body, ",\"$distinct_id\":");
    json_write_str(body, row->user);
    buf_lit(body, "}}");
    if (buf_status(body) == STATUS_OK) return STATUS_OK;
    error_set(error, STATUS_LIMIT, "the answer is larger than %zu bytes", body->size_max);
    error_hint(error, "use a shorter range or a lower limit");
    return STATUS_LIMIT;
}

static enum status read_plan(struct query_job *job, struct plan *plan)
{
    struct error *error = &job->error;
    int64_t limit, limit_max = job->api->query.feed_events_max;
    if (!params_get(&job->params, "distinct_ids").data) {
        error_set(error, STATUS_INVALID, "distinct_ids is required");
        error_hint(error, "send a JSON array of ids, like [\"a\",\"b\"]");
        return STATUS_INVALID;
    }
    TRY(params_texts(&job->params, "distinct_ids", job->request->arena, error, &plan->distinct_ids,
                     &plan->distinct_id_count));
    if (plan->distinct_id_count == 0) return error_set(error, STATUS_INVALID, "Error in distinct_ids: an empty list");
    if (plan->distinct_id_count > IDS_MAX)
        return error_set(error, STATUS_INVALID, "Error in distinct_ids: %zu ids, at most %d in one request",
                         plan->distinct_id_count, IDS_MAX);
    TRY(params_date(&job->params, "from_date", error, &plan->from_day));
    TRY(params_date(&job->params, "to_date", error, &plan->to_day));
    if (plan->from_day > plan->to_day)
        return error_set(error, STATUS_INVALID, "Error in from_date: it is later than to_date");
    TRY(params_int(&job->params, "limit", 1, limit_max, limit_max, error, &limit));
    plan->limit = (uint32_t)limit;
    return STATUS_OK;
}

static enum status run(struct query_job *job)
{
    struct executor *executor = job->api->executor;
    struct plan plan = {.kind = PLAN_FEED,
                        .project = (uint64_t)job->project->id,
                        .zone = job->zone,
                        .now_ms = job->now_ms,
                        .order = ORDER_NEWEST_FIRST,
                        .rows_as_json = true};
    struct feed_sink sink = {.base = {write_row}, .body = &job->body};
    struct event_rows *rows;
    bool done = false;
    TRY(read_plan(job, &plan));
    struct plan_limits limits = query_limits(job);
    TRY(executor->rows(executor, &plan, &limits, &job->error, &rows));
    query_body_init(job);
    buf_lit(&job->body, "{\"status\":\"ok\",\"results\":{\"events\":[");
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !done)
        status = event_rows_read(rows, plan.limit, &sink.base, &job->error, &done);
    event_rows_free(rows);
    if (status != STATUS_OK) {
        buf_fini(&job->body);
        return status;
    }
    buf_lit(&job->body, "]}}");
    return query_body_check(job, "use a shorter range or a lower limit");
}

void api_feed(struct http_request *request)
{
    query_start(request, run);
}
