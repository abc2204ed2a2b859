#include "api/saved.h"

#include "api/app_job.h"

static enum status list(struct app_job *job, enum meta_saved_kind kind)
{
    struct meta_saved *saved;
    size_t count;
    TRY(meta_saved_list(job->api->meta, job->project->id, kind, job->request->arena, &job->error, &saved, &count));
    buf_byte(&job->results, '[');
    for (size_t i = 0; i < count; i++) {
        if (i) buf_byte(&job->results, ',');
        saved_document_write(&job->results, &saved[i]);
    }
    buf_byte(&job->results, ']');
    return STATUS_OK;
}

static enum status answer_with(struct app_job *job, enum meta_saved_kind kind, int64_t id)
{
    struct meta_saved saved;
    TRY(meta_saved(job->api->meta, job->project->id, kind, id, job->request->arena, &job->error, &saved));
    saved_document_write(&job->results, &saved);
    return STATUS_OK;
}

static enum status read_body(struct app_job *job, struct json *ret_document)
{
    if (json_parse(job->request->arena, job->request->body, NULL, &job->error, ret_document) == STATUS_OK)
        return STATUS_OK;
    error_hint(&job->error, "send a JSON object");
    return job->error.status;
}

static enum status create(struct app_job *job, enum meta_saved_kind kind)
{
    struct meta_saved saved = {.project_id = job->project->id, .created_by = job->requested_by};
    const struct saved_limits *limits = &job->api->saved;
    struct json document;
    int64_t id;
    TRY(read_body(job, &document));
    TRY(saved_document_read(job->request->arena, &document, NULL, kind, limits, &job->error, &saved));
    TRY(meta_saved_create(job->api->meta, &saved, kind == META_SAVED_FUNNEL ? limits->funnels_max : limits->cohorts_max,
                          &job->error, &id));
    job->status = 201;
    return answer_with(job, kind, id);
}

static enum status get(struct app_job *job, enum meta_saved_kind kind)
{
    int64_t id;
    TRY(app_path_id(job, "id", meta_saved_kind_name(kind), &id));
    return answer_with(job, kind, id);
}

static enum status change(struct app_job *job, enum meta_saved_kind kind)
{
    struct arena *arena = job->request->arena;
    struct meta_saved before, saved;
    struct json document;
    int64_t id;
    TRY(app_path_id(job, "id", meta_saved_kind_name(kind), &id));
    TRY(read_body(job, &document));
    TRY(meta_saved(job->api->meta, job->project->id, kind, id, arena, &job->error, &before));
    saved = before;
    TRY(saved_document_read(arena, &document, &before, kind, &job->api->saved, &job->error, &saved));
    TRY(meta_saved_update(job->api->meta, &saved, &job->error));
    return answer_with(job, kind, id);
}

static enum status delete_one(struct app_job *job, enum meta_saved_kind kind)
{
    int64_t id;
    TRY(app_path_id(job, "id", meta_saved_kind_name(kind), &id));
    TRY(meta_saved_delete(job->api->meta, job->project->id, kind, id, &job->error));
    buf_printf(&job->results, "{\"id\":%lld}", (long long)id);
    return STATUS_OK;
}

/* A handler each: what a worker runs, and the permission that it takes. */
#define HANDLER(name, kind, permission, function)                                                                      \
    static enum status run_##name(struct app_job *job)                                                                 \
    {                                                                                                                  \
        return function(job, kind);                                                                                    \
    }                                                                                                                  \
    void api_##name(struct http_request *request)                                                                      \
    {                                                                                                                  \
        app_start(request, permission, run_##name);                                                                    \
    }

HANDLER(funnels_list_saved, META_SAVED_FUNNEL, META_PERMISSION_READ, list)
HANDLER(funnels_create, META_SAVED_FUNNEL, META_PERMISSION_DEFINE, create)
HANDLER(funnels_get, META_SAVED_FUNNEL, META_PERMISSION_READ, get)
HANDLER(funnels_change, META_SAVED_FUNNEL, META_PERMISSION_DEFINE, change)
HANDLER(funnels_delete, META_SAVED_FUNNEL, META_PERMISSION_DEFINE, delete_one)
HANDLER(cohorts_list_saved, META_SAVED_COHORT, META_PERMISSION_READ, list)
HANDLER(cohorts_create, META_SAVED_COHORT, META_PERMISSION_DEFINE, create)
HANDLER(cohorts_get, META_SAVED_COHORT, META_PERMISSION_READ, get)
HANDLER(cohorts_change, META_SAVED_COHORT, META_PERMISSION_DEFINE, change)
HANDLER(cohorts_delete, META_SAVED_COHORT, META_PERMISSION_DEFINE, delete_one)
