#include "api/identities.h"

#include "api/cluster_json.h"
#include "api/query_job.h"
#include "api/unlink.h"
#include "base/json.h"
#include "store/store.h"

#define UNLINKS_DEFAULT 100
#define UNLINKS_MAX     1000
#define ARENA_MAX       ((size_t)256 << 20) /* of a person with some millions of ids */

static enum status asked_for(struct query_job *job, struct str *ret_id)
{
    struct str id = http_request_param(job->request, "distinct_id");
    if (!id.data) id = params_get(&job->params, "distinct_id");
    if (!id.size) return error_set(&job->error, STATUS_INVALID, "distinct_id is required");
    *ret_id = id;
    return STATUS_OK;
}

static enum status run_get(struct query_job *job)
{
    struct snapshot *snapshot;
    struct str id;
    int64_t offset, limit;
    TRY(asked_for(job, &id));
    TRY(params_int(&job->params, "offset", 0, UINT32_MAX, 0, &job->error, &offset));
    TRY(params_int(&job->params, "limit", 1, CLUSTER_IDS_MAX, CLUSTER_IDS_DEFAULT, &job->error, &limit));
    TRY(store_snapshot(job->api->store, (uint64_t)job->project->id, &job->error, &snapshot));
    struct arena *arena = arena_new(ARENA_MAX);
    query_body_init(job);
    buf_lit(&job->body, "{\"status\":\"ok\",\"results\":");
    enum status status =
        cluster_write_json(&job->body, snapshot, job->project->id, id,
                           (struct cluster_page){(uint64_t)offset, (uint32_t)limit}, arena, &job->error);
    buf_byte(&job->body, '}');
    arena_free(arena);
    snapshot_free(snapshot);
    if (status == STATUS_OK) return query_body_check(job, "give a smaller limit");
    buf_fini(&job->body);
    return status;
}

/* Reading is not enough. The account was verified for it, so it is known. */
static enum status may_unlink(struct query_job *job, struct str *ret_who)
{
    struct meta_credential credential;
    const struct meta_project *project;
    TRY(credentials_verify(job->api->meta, job->view, &job->credentials, &job->error, &credential, &job->status));
    enum status status =
        meta_authorize(job->view, &credential, job->project->id, META_PERMISSION_SETTINGS, &job->error, &project);
    if (status == STATUS_DENIED) job->status = 403;
    TRY(status);
    *ret_who = credential.kind == META_CREDENTIAL_ACCOUNT ? credential.account->username : STR("project secret");
    return STATUS_OK;
}

static enum status run_unlink(struct query_job *job)
{
    struct meta *meta = job->api->meta;
    struct meta_unlink unlink = {.project_id = job->project->id};
    int64_t id;
    TRY(may_unlink(job, &unlink.requested_by));
    TRY(asked_for(job, &unlink.distinct_id));
    TRY(meta_unlink_create(meta, &unlink, &job->error, &id));
    /* From here on it is on record: what goes wrong stands in its row. */
    struct arena *arena = arena_new(ARENA_MAX);
    enum status status = unlink_run(job->api->store, meta, job->view, id, arena, &job->error, &unlink);
    if (status == STATUS_OK) {
        query_body_init(job);
        buf_lit(&job->body, "{\"status\":\"ok\",\"results\":");
        unlink_write_json(&job->body, &unlink);
        buf_byte(&job->body, '}');
        status = query_body_check(job, "");
    }
    arena_free(arena);
    return status;
}

static enum status run_unlinks(struct query_job *job)
{
    struct meta_unlink *unlinks;
    size_t count;
    int64_t limit;
    TRY(params_int(&job->params, "limit", 1, UNLINKS_MAX, UNLINKS_DEFAULT, &job->error, &limit));
    TRY(meta_unlinks(job->api->meta, job->project->id, -1, (size_t)limit, job->request->arena, &job->error, &unlinks,
                     &count));
    query_body_init(job);
    buf_lit(&job->body, "{\"status\":\"ok\",\"results\":[");
    for (size_t i = 0; i < count; i++) {
        if (i) buf_byte(&job->body, ',');
        unlink_write_json(&job->body, &unlinks[i]);
    }
    buf_lit(&job->body, "]}");
    return query_body_check(job, "give a smaller limit");
}

void api_identities_get(struct http_request *request)
{
    query_start(request, run_get);
}
void api_identities_unlink(struct http_request *request)
{
    query_start(request, run_unlink);
}
void api_identities_unlinks(struct http_request *request)
{
    query_start(request, run_unlinks);
}
