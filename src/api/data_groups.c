#include "api/engage_query.h"
#include "api/query_job.h"
#include "base/json.h"
#include "profile/group.h"
#include "query/backend.h"
#include "query/profiles.h"

static enum status run(struct query_job *job)
{
    struct executor *executor = job->api->executor;
    struct plan_limits limits = query_limits(job);
    struct str *keys;
    size_t count;
    plan_reads_profiles(&limits);
    query_keep_answer(job, INT64_MAX);
    TRY(executor->profiles->group_keys(executor, (uint64_t)job->project->id, job->request->arena, &job->error, &keys,
                                       &count));
    query_body_init(job);
    buf_lit(&job->body, "{\"status\":\"ok\",\"results\":[");
    for (size_t i = 0; i < count; i++) {
        long long number = profile_group_number(keys[i]);
        buf_printf(&job->body, "%s{\"id\":%lld,\"data_group_id\":%lld,\"property_name\":", i ? "," : "", number,
                   number);
        json_write_str(&job->body, keys[i]);
        buf_lit(&job->body, ",\"group_key\":");
        json_write_str(&job->body, keys[i]);
        buf_lit(&job->body, ",\"display_name\":");
        json_write_str(&job->body, keys[i]);
        buf_byte(&job->body, '}');
    }
    buf_lit(&job->body, "]}");
    return query_body_check(job, "");
}

void api_data_groups(struct http_request *request)
{
    query_start(request, run);
}
