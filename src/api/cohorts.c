#include "api/cohorts.h"

#include "api/query_job.h"
#include "api/saved.h"
#include "base/civil.h"
#include "base/json.h"
#include "meta/meta.h"
#include "query/backend.h"

static enum status count_people(struct query_job *job, const struct meta_saved *saved, const struct plan_limits *limits,
                                uint64_t *ret_count)
{
    struct executor *executor = job->api->executor;
    struct profile_plan plan = {
        .project = (uint64_t)job->project->id, .zone = job->zone, .now_ms = job->now_ms, .as_of_ms = job->now_ms};
    struct profile_numbers numbers;
    TRY(saved_cohort(saved, job->request->arena, &job->error, &plan));
    enum status status = executor->profiles->numbers(executor, &plan, STR_NULL, 50, limits, &job->error, &numbers);
    if (status == STATUS_OK)
        *ret_count = numbers.profiles;
    else if (status == STATUS_INVALID || status == STATUS_LIMIT)
        error_prefix(&job->error, "cohort %lld", (long long)saved->id);
    return status;
}

static void write_cohort(struct buf *body, const struct meta_saved *saved, uint64_t count)
{
    char created[19];
    buf_printf(body, "{\"count\":%llu,\"is_visible\":1,\"description\":", (unsigned long long)count);
    json_write_str(body, saved->description);
    buf_lit(body, ",\"created\":");
    json_write_str(body, str_from(created, civil_format_datetime(saved->created_ms, created)));
    buf_printf(body, ",\"project_id\":%lld,\"id\":%lld,\"name\":", (long long)saved->project_id, (long long)saved->id);
    json_write_str(body, saved->name);
    buf_byte(body, '}');
}

static enum status run(struct query_job *job)
{
    struct plan_limits limits = query_limits(job);
    struct meta_saved *saved;
    size_t count;
    TRY(meta_saved_list(job->api->meta, job->project->id, META_SAVED_COHORT, job->request->arena, &job->error, &saved,
                        &count));
    query_body_init(job);
    buf_byte(&job->body, '[');
    for (size_t i = 0; i < count; i++) {
        uint64_t people;
        enum status status = count_people(job, &saved[i], &limits, &people);
        if (status != STATUS_OK) {
            buf_fini(&job->body);
            return status;
        }
        if (i) buf_byte(&job->body, ',');
        write_cohort(&job->body, &saved[i], people);
    }
    buf_byte(&job->body, ']');
    return query_body_check(job, "");
}

void api_cohorts(struct http_request *request)
{
    query_start(request, run);
}
