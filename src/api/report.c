#include "api/report.h"

#include "lookup/lookup.h"
#include "query/backend.h"
#include "query/native/group_join.h"

struct joins {
    struct lookup_joins *lookup;
    struct group_joins *groups;
};

static enum status open_joins(struct query_job *job, struct plan *plan, const struct plan_limits *limits,
                              struct joins *joins)
{
    struct api *api = job->api;
    *joins = (struct joins){.groups = NULL};
    TRY(lookup_joins_new(api->lookup, job->view, job->project->id, &job->error, &joins->lookup));
    plan->joins = lookup_joins_list(joins->lookup, &plan->join_count);
    enum status status = group_joins_new(api->store, plan, limits, &job->error, &joins->groups);
    if (status != STATUS_OK) lookup_joins_free(joins->lookup);
    return status;
}

/* What reading the tables came to, once the run was well. */
static enum status close_joins(struct query_job *job, struct joins *joins, enum status status)
{
    if (status == STATUS_OK) status = lookup_joins_status(joins->lookup, &job->error);
    group_joins_free(joins->groups);
    lookup_joins_free(joins->lookup);
    return status;
}

enum status report_segment(struct query_job *job, const struct plan *plan, struct segmentation *ret_result)
{
    struct executor *executor = job->api->executor;
    struct plan_limits limits = query_limits(job);
    struct plan joined = *plan;
    struct joins joins;
    struct segmentation result;
    TRY(open_joins(job, &joined, &limits, &joins));
    enum status asked = executor->segment(executor, &joined, &limits, &job->error, &result);
    enum status status = close_joins(job, &joins, asked);
    if (status == STATUS_OK)
        *ret_result = result;
    else if (asked == STATUS_OK)
        segmentation_free(&result);
    return status;
}

enum status report_top_values(struct query_job *job, const struct plan *plan, struct top_values *ret_result)
{
    struct executor *executor = job->api->executor;
    struct plan_limits limits = query_limits(job);
    struct plan joined = *plan;
    struct joins joins;
    struct top_values result;
    TRY(open_joins(job, &joined, &limits, &joins));
    enum status asked = executor->top_values(executor, &joined, &limits, &job->error, &result);
    enum status status = close_joins(job, &joins, asked);
    if (status == STATUS_OK)
        *ret_result = result;
    else if (asked == STATUS_OK)
        top_values_free(&result);
    return status;
}

enum status report_retention(struct query_job *job, const struct plan *plan, struct retention *ret_result)
{
    struct executor *executor = job->api->executor;
    struct plan_limits limits = query_limits(job);
    struct plan joined = *plan;
    struct joins joins;
    struct retention result;
    TRY(open_joins(job, &joined, &limits, &joins));
    enum status asked = executor->retention(executor, &joined, &limits, &job->error, &result);
    enum status status = close_joins(job, &joins, asked);
    if (status == STATUS_OK)
        *ret_result = result;
    else if (asked == STATUS_OK)
        retention_free(&result);
    return status;
}

enum status report_frequency(struct query_job *job, const struct plan *plan, struct frequency *ret_result)
{
    struct executor *executor = job->api->executor;
    struct plan_limits limits = query_limits(job);
    struct plan joined = *plan;
    struct joins joins;
    struct frequency result;
    TRY(open_joins(job, &joined, &limits, &joins));
    enum status asked = executor->frequency(executor, &joined, &limits, &job->error, &result);
    enum status status = close_joins(job, &joins, asked);
    if (status == STATUS_OK)
        *ret_result = result;
    else if (asked == STATUS_OK)
        frequency_free(&result);
    return status;
}
