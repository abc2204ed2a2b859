#include "api/unlink.h"

#include "api/api.h"
#include "api/project.h"
#include "base/civil.h"
#include "base/json.h"
#include "base/log.h"
#include "os/clock.h"
#include "store/cluster.h"

#include <pthread.h>

#define ARENA_MAX ((size_t)1 << 30)
#define BATCH_MAX 1000

/* One at a time: two requests about one id, of which one comes too late, are told apart. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

/* The person that the id is to leave; of an alias of the legacy mode, the id that it stands for. */
static enum status find_person(const struct snapshot *snapshot, struct meta_unlink *unlink, struct arena *arena,
                               struct error *error)
{
    struct cluster cluster;
    char room[ID_TEXT_ROOM];
    uint32_t id = snapshot_id(snapshot, unlink->distinct_id);
    if (!id)
        return error_set(error, STATUS_NOT_FOUND, "no event has the id \"" STR_FMT "\"",
                         STR_ARG(str_slice(unlink->distinct_id, 0, 255)));
    TRY(snapshot_cluster(snapshot, id, arena, error, &cluster));
    uint32_t target = snapshot_stands_for(snapshot, id);
    if (cluster.member_count == 1 && !target)
        return error_set(error, STATUS_CONFLICT, "the id \"" STR_FMT "\" is not linked to any other",
                         STR_ARG(str_slice(unlink->distinct_id, 0, 255)));
    unlink->taken_from = arena_str(arena, snapshot_id_text(snapshot, target ? target : cluster.shown, room));
    unlink->id_count = cluster.member_count;
    return unlink->taken_from.data ? STATUS_OK : error_set(error, STATUS_LIMIT, "out of memory");
}

/* What a split changes, whatever else comes in between. */
struct standing {
    uint32_t person, target;
};

static struct standing standing_of(const struct snapshot *snapshot, struct str distinct_id)
{
    uint32_t id = snapshot_id(snapshot, distinct_id);
    return (struct standing){snapshot_person(snapshot, id), snapshot_stands_for(snapshot, id)};
}

/* The graph refuses to take out again what was taken out very often (store/ids.h). */
static enum status look_again(struct store *store, const struct meta_unlink *unlink, struct standing before,
                              struct error *error)
{
    struct snapshot *snapshot;
    TRY(store_snapshot(store, (uint64_t)unlink->project_id, error, &snapshot));
    struct standing now = standing_of(snapshot, unlink->distinct_id);
    snapshot_free(snapshot);
    if (now.person != before.person || now.target != before.target) return STATUS_OK;
    return error_set(error, STATUS_CONFLICT,
                     "the ids of \"" STR_FMT "\" were linked and taken out too often for another time",
                     STR_ARG(str_slice(unlink->taken_from, 0, 255)));
}

static enum status carry_out(struct store *store, const struct meta_project *project, struct meta_unlink *unlink,
                             struct arena *arena, struct error *error)
{
    struct snapshot *snapshot;
    struct buf record = BUF_INIT((size_t)64 << 10);
    uint64_t number = (uint64_t)unlink->project_id;
    TRY(store_snapshot(store, number, error, &snapshot));
    enum status status = find_person(snapshot, unlink, arena, error);
    struct standing before = standing_of(snapshot, unlink->distinct_id);
    snapshot_free(snapshot);
    TRY(status);
    const struct unlink_view view = {os_now_ms(), (uint8_t)api_identity_mode(project->identity), unlink->distinct_id};
    status = record_unlink(&record, number, &view);
    if (status != STATUS_OK) {
        buf_fini(&record);
        return error_set(error, status, "the request does not fit into a log record");
    }
    status = store_append_wait(store, &record);
    if (status != STATUS_OK) return error_set(error, status, "the log cannot be written at the moment");
    return look_again(store, unlink, before, error);
}

static void judge(struct meta_unlink *unlink, enum status status, struct arena *arena, const struct error *error)
{
    char text[1200] = "";
    if (status == STATUS_OK)
        unlink->status = META_UNLINK_DONE;
    else if (status == STATUS_NOT_FOUND || status == STATUS_CONFLICT)
        unlink->status = META_UNLINK_FAILED;
    if (status != STATUS_OK) error_text(error, text, sizeof text);
    unlink->done_ms = unlink->status == META_UNLINK_PENDING ? 0 : os_now_ms();
    struct str kept = arena_str(arena, str_of(text));
    unlink->error = kept.data ? kept : STR("");
}

static enum status run_locked(struct store *store, struct meta *meta, const struct meta_view *view, int64_t id,
                              struct arena *arena, struct error *error, struct meta_unlink *unlink)
{
    struct error failure = ERROR_INIT;
    TRY(meta_unlink(meta, id, arena, error, unlink));
    if (unlink->status != META_UNLINK_PENDING) return STATUS_OK;
    const struct meta_project *project = meta_view_project(view, unlink->project_id);
    enum status status = project ? carry_out(store, project, unlink, arena, &failure)
                                 : error_set(&failure, STATUS_NOT_FOUND, "the project was deleted");
    judge(unlink, status, arena, &failure);
    TRY(meta_unlink_update(meta, unlink, error));
    log_info("unlink", LOG_INT("id", id), LOG_INT("project", unlink->project_id),
             LOG_CSTR("status", meta_unlink_status_name(unlink->status)));
    if (unlink->status == META_UNLINK_FAILED) {
        *error = failure;
        return status;
    }
    return STATUS_OK;
}

enum status unlink_run(struct store *store, struct meta *meta, const struct meta_view *view, int64_t id,
                       struct arena *arena, struct error *error, struct meta_unlink *ret_unlink)
{
    pthread_mutex_lock(&turn);
    enum status status = run_locked(store, meta, view, id, arena, error, ret_unlink);
    pthread_mutex_unlock(&turn);
    return status;
}

void unlink_work(struct api *api, const struct meta_view *view)
{
    struct arena *arena = arena_new(ARENA_MAX);
    struct meta_unlink *pending, done;
    struct error error = ERROR_INIT;
    size_t count;
    enum status status = meta_unlinks(api->meta, 0, META_UNLINK_PENDING, BATCH_MAX, arena, &error, &pending, &count);
    if (status != STATUS_OK) log_failure(LOG_WARN, "unlinks_wait", &error);
    for (size_t i = status == STATUS_OK ? count : 0; i-- > 0 && !atomic_load(&api->stopping);) {
        status = unlink_run(api->store, api->meta, view, pending[i].id, arena, &error, &done);
        if (status != STATUS_OK && status != STATUS_NOT_FOUND && status != STATUS_CONFLICT)
            log_failure(LOG_WARN, "unlink_waits", &error);
    }
    arena_free(arena);
}

static void write_time(struct buf *to, const char *name, int64_t ms)
{
    char text[19];
    buf_printf(to, ",\"%s\":", name);
    if (ms == 0)
        buf_lit(to, "null");
    else
        json_write_str(to, str_from(text, civil_format_datetime(ms, text)));
}

void unlink_write_json(struct buf *to, const struct meta_unlink *unlink)
{
    buf_printf(to, "{\"id\":%lld,\"project_id\":%lld,\"status\":\"%s\",\"distinct_id\":", (long long)unlink->id,
               (long long)unlink->project_id, meta_unlink_status_name(unlink->status));
    json_write_str(to, unlink->distinct_id);
    buf_lit(to, ",\"requested_by\":");
    json_write_str(to, unlink->requested_by);
    write_time(to, "requested", unlink->requested_ms);
    write_time(to, "done", unlink->done_ms);
    buf_lit(to, ",\"taken_from\":");
    if (unlink->taken_from.size)
        json_write_str(to, unlink->taken_from);
    else
        buf_lit(to, "null");
    buf_printf(to, ",\"id_count\":%lld", (long long)unlink->id_count);
    if (unlink->error.size) {
        buf_lit(to, ",\"error\":");
        json_write_str(to, unlink->error);
    }
    buf_byte(to, '}');
}
