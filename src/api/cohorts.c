#include "api/cohorts.h"

#include "api/query_job.h"
#include "api/query_question.h"
#include "api/saved.h"
#include "base/civil.h"
#include "base/json.h"
#include "meta/meta.h"
#include "profile/group.h"
#include "query/backend.h"

struct size {
    bool known; /* else `why` says why not */
    uint64_t count;
    struct error why;
    struct str group_key; /* NULL data: users */
    bool by_clock;        /* what was done in the last so many days is another number a moment later */
};

/* An expression that fails at a profile, or takes too much memory, fails for this cohort alone: the others are told. */
static enum status count_profiles(struct query_job *job, const struct meta_saved *saved,
                                  const struct plan_limits *limits, struct size *ret_size)
{
    struct executor *executor = job->api->executor;
    struct profile_plan plan = {
        .project = (uint64_t)job->project->id, .zone = job->zone, .now_ms = job->now_ms, .as_of_ms = job->now_ms};
    struct profile_numbers numbers;
    *ret_size = (struct size){.why = ERROR_INIT};
    TRY(saved_cohort(saved, job->request->arena, &job->error, &plan));
    ret_size->group_key = plan.group_key;
    ret_size->by_clock = plan.behavior_count > 0 || text_says_today(saved->definition);
    enum status status = executor->profiles->numbers(executor, &plan, STR_NULL, 50, limits, &ret_size->why, &numbers);
    ret_size->known = status == STATUS_OK;
    if (ret_size->known) ret_size->count = numbers.profiles;
    if (status == STATUS_OK || status == STATUS_INVALID || status == STATUS_LIMIT) return STATUS_OK;
    job->error = ret_size->why;
    return status;
}

static void write_cohort(struct buf *body, const struct meta_saved *saved, const struct size *size)
{
    char created[19], why[sizeof size->why.primary + sizeof size->why.detail + sizeof size->why.hint];
    if (size->known)
        buf_printf(body, "{\"count\":%llu", (unsigned long long)size->count);
    else
        buf_lit(body, "{\"count\":null");
    buf_lit(body, ",\"is_visible\":1,\"description\":");
    json_write_str(body, saved->description);
    buf_lit(body, ",\"created\":");
    json_write_str(body, str_from(created, civil_format_datetime(saved->created_ms, created)));
    buf_printf(body, ",\"project_id\":%lld,\"id\":%lld,\"name\":", (long long)saved->project_id, (long long)saved->id);
    json_write_str(body, saved->name);
    if (size->group_key.data)
        buf_printf(body, ",\"data_group_id\":%lld", (long long)profile_group_number(size->group_key));
    if (!size->known) {
        buf_lit(body, ",\"error\":");
        json_write_str(body, str_of(error_text(&size->why, why, sizeof why)));
    }
    buf_byte(body, '}');
}

static enum status run(struct query_job *job)
{
    struct plan_limits limits = query_limits(job);
    struct meta_saved *saved;
    size_t count;
    bool keep = true;
    TRY(meta_saved_list(job->api->meta, job->project->id, META_SAVED_COHORT, job->request->arena, &job->error, &saved,
                        &count));
    query_body_init(job);
    buf_byte(&job->body, '[');
    for (size_t i = 0; i < count; i++) {
        struct size size;
        enum status status = count_profiles(job, &saved[i], &limits, &size);
        if (status != STATUS_OK) {
            buf_fini(&job->body);
            return status;
        }
        if (i) buf_byte(&job->body, ',');
        write_cohort(&job->body, &saved[i], &size);
        keep &= size.known && !size.by_clock;
    }
    buf_byte(&job->body, ']');
    if (keep) query_keep_answer(job, INT64_MAX);
    return query_body_check(job, "");
}

void api_cohorts(struct http_request *request)
{
    query_start(request, run);
}
