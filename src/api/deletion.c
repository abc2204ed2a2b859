#include "api/deletion.h"

#include "api/profile_sessions.h"
#include "api/query_cache.h"
#include "base/civil.h"
#include "base/log.h"
#include "lookup/lookup.h"
#include "os/clock.h"
#include "os/thread.h"
#include "query/backend.h"
#include "query/native/group_join.h"
#include "store/delete_record.h"
#include "store/store.h"

#include <pthread.h>
#include <stdio.h>

#define ROWS_PER_READ 65536u
#define BATCH_MAX     100u /* requests of one round of the server's thread */
#define EVENTS_MAX    1000u
#define FIRST_DAY     (-25567) /* 1900-01-01 */
#define LAST_DAY      84006    /* 2200-01-01 */
#define RETRY_MS      60000
#define ARENA_MAX     ((size_t)64 << 20)

/* One at a time: so that a request is not carried out twice, and events are not matched by two at once. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

struct request {
    struct str *ids, *events;
    size_t id_count, event_count;
    struct str where;
    int64_t from_day, to_day, before_ms;
};

/* --- reading a request --- */

static enum status invalid(struct error *error, const char *member, const char *what, const char *hint)
{
    error_set(error, STATUS_INVALID, "%s %s", member, what);
    if (hint) error_hint(error, "%s", hint);
    return STATUS_INVALID;
}

static enum status check_texts(const struct json *value, const char *member, size_t count_max, struct error *error)
{
    if (value->type == JSON_STRING && value->string.size) return STATUS_OK;
    if (value->type != JSON_ARRAY || value->array.count == 0)
        return invalid(error, member, "must be a list of strings that are not empty", NULL);
    if (value->array.count > count_max)
        return error_set(error, STATUS_INVALID, "%s has %zu entries, at most %zu are possible", member,
                         value->array.count, count_max);
    for (size_t i = 0; i < value->array.count; i++) {
        if (value->array.items[i].type != JSON_STRING || !value->array.items[i].string.size)
            return invalid(error, member, "must be a list of strings that are not empty", NULL);
    }
    return STATUS_OK;
}

static enum status check_date(const struct json *request, struct str member, struct error *error, int64_t initial,
                              int64_t *ret_day)
{
    const struct json *value = json_get(request, member);
    *ret_day = initial;
    if (!value || value->type == JSON_NULL) return STATUS_OK;
    if (value->type == JSON_STRING && civil_parse_date(value->string, ret_day)) return STATUS_OK;
    return invalid(error, member.data, "is no date", "use YYYY-MM-DD");
}

/* Local ms since 1970, of a date or a time without a zone. */
static bool parse_before(const struct json *value, int64_t *ret_local_ms)
{
    int64_t day;
    bool zone;
    if (value->type != JSON_STRING) return false;
    if (civil_parse_date(value->string, &day)) {
        *ret_local_ms = day * DAY_MS;
        return true;
    }
    return civil_parse_datetime(value->string, ret_local_ms, &zone) && !zone;
}

enum status deletion_check(const struct json *request, struct error *error, enum meta_deletion_kind *ret_kind)
{
    int64_t from_day, to_day, before;
    if (request->type != JSON_OBJECT) return error_set(error, STATUS_INVALID, "the request must be a JSON object");
    const struct json *ids = json_member(request, "distinct_ids"), *moment = json_member(request, "before");
    const struct json *event = json_member(request, "event"), *where = json_member(request, "where");
    if ((ids != NULL) + (moment != NULL) + (event || where) != 1) {
        error_set(error, STATUS_INVALID, "the request must have either distinct_ids, or event and where, or before");
        error_hint(error, "to delete everything, delete the project, or give a date: {\"before\":\"2100-01-01\"}");
        return STATUS_INVALID;
    }
    if (ids) {
        if (ids->type != JSON_ARRAY) return invalid(error, "distinct_ids", "must be a list of strings", NULL);
        TRY(check_texts(ids, "distinct_ids", DELETE_IDS_MAX, error));
        *ret_kind = META_DELETION_PERSON;
    } else if (moment) {
        if (!parse_before(moment, &before))
            return invalid(error, "before", "is no date or time", "use YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS");
        *ret_kind = META_DELETION_BEFORE;
    } else {
        if (event) TRY(check_texts(event, "event", EVENTS_MAX, error));
        if (where && (where->type != JSON_STRING || !where->string.size))
            return invalid(error, "where", "must be an expression", NULL);
        TRY(check_date(request, STR("from_date"), error, FIRST_DAY, &from_day));
        TRY(check_date(request, STR("to_date"), error, LAST_DAY, &to_day));
        if (from_day > to_day) return invalid(error, "from_date", "is later than to_date", NULL);
        *ret_kind = META_DELETION_EVENTS;
    }
    return STATUS_OK;
}

static struct str *texts_of(struct arena *arena, const struct json *value, size_t *ret_count)
{
    size_t count = !value ? 0 : value->type == JSON_STRING ? 1 : value->array.count;
    struct str *texts = arena_new_array(arena, struct str, count + 1);
    for (size_t i = 0; texts && i < count; i++)
        texts[i] = value->type == JSON_STRING ? value->string : value->array.items[i].string;
    *ret_count = count;
    return texts;
}

static enum status read_request(struct arena *arena, struct str text, const struct timezone_info *zone,
                                struct error *error, struct request *ret)
{
    struct json document;
    struct request request = {0};
    enum meta_deletion_kind kind;
    TRY(json_parse(arena, text, NULL, error, &document));
    TRY(deletion_check(&document, error, &kind));
    request.ids = texts_of(arena, json_member(&document, "distinct_ids"), &request.id_count);
    request.events = texts_of(arena, json_member(&document, "event"), &request.event_count);
    if (!request.ids || !request.events) return error_set(error, STATUS_LIMIT, "out of memory");
    const struct json *where = json_member(&document, "where"), *before = json_member(&document, "before");
    if (where) request.where = where->string;
    TRY(check_date(&document, STR("from_date"), error, FIRST_DAY, &request.from_day));
    TRY(check_date(&document, STR("to_date"), error, LAST_DAY, &request.to_day));
    int64_t local_ms;
    if (before && parse_before(before, &local_ms)) request.before_ms = timezone_to_utc_ms(zone, local_ms);
    *ret = request;
    return STATUS_OK;
}

/* --- finding the events --- */

struct finder {
    struct row_sink sink;
    struct api *api;
    const struct meta_deletion *deletion;
    struct row_keys keys;
    struct lookup_joins *joins; /* of the filter */
    int64_t before_ms;          /* rows from here on do not count */
    uint64_t found;
    bool dry;
    struct store_deletion result;
};

/* Waits while compactions hold up deletes, but not for ever: the request stays pending then. */
static enum status append(struct finder *finder, struct error *error)
{
    struct buf record;
    const struct meta_deletion *d = finder->deletion;
    if (row_keys_finish(&finder->keys, (uint64_t)d->project_id, (uint64_t)d->id, &record) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "the keys of the events do not fit into a log record");
    for (int64_t waited_ms = 0;; waited_ms += 500) {
        struct buf copy = BUF_INIT(record.size + 16);
        buf_str_add(&copy, buf_str(&record));
        enum status status = buf_status(&copy) == STATUS_OK
                                 ? store_delete(finder->api->store, (uint64_t)d->project_id, (uint64_t)d->id, &copy,
                                                error, &finder->result)
                                 : error_set(error, STATUS_LIMIT, "out of memory");
        buf_fini(&copy);
        if (status != STATUS_UNAVAILABLE || waited_ms >= RETRY_MS || atomic_load(&finder->api->stopping)) {
            buf_fini(&record);
            return status;
        }
        os_sleep_ns(500000000);
    }
}

static enum status take_row(struct row_sink *sink, const struct event_row *row, struct error *error)
{
    struct finder *finder = (struct finder *)sink;
    if (row->time_ms >= finder->before_ms) return STATUS_OK;
    finder->found++;
    if (finder->dry) return STATUS_OK;
    struct row_key key = {.event = row->event, .id = row->distinct_id, .time_ms = row->time_ms};
    if (row->insert_id_sent) {
        key.insert_id = row->insert_id;
    } else {
        for (size_t i = 0; i < row->insert_id.size; i++) {
            char c = row->insert_id.data[i];
            key.number = key.number << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
    }
    row_keys_add(&finder->keys, &key);
    return row_keys_full(&finder->keys) ? append(finder, error) : STATUS_OK;
}

static enum status find(struct finder *finder, struct plan *plan, struct error *error)
{
    struct executor *executor = finder->api->executor;
    struct plan_limits limits = {.memory_bytes_max = finder->api->query.memory_bytes_max,
                                 .buckets_max = finder->api->query.buckets_max,
                                 .deadline_ns = INT64_MAX,
                                 .cancelled = &finder->api->stopping};
    struct event_rows *rows = NULL;
    bool done = false;
    struct group_joins *groups;
    TRY(group_joins_new(finder->api->store, plan, &limits, error, &groups));
    enum status status = executor->rows(executor, plan, &limits, error, &rows);
    /* Nothing is deleted by a filter whose lookup table could not be read. */
    if (status == STATUS_OK) status = lookup_joins_status(finder->joins, error);
    while (status == STATUS_OK && !done) status = event_rows_read(rows, ROWS_PER_READ, &finder->sink, error, &done);
    event_rows_free(rows);
    group_joins_free(groups);
    if (status == STATUS_OK && row_keys_count(&finder->keys)) status = append(finder, error);
    return status;
}

static enum status find_events(struct finder *finder, const struct request *request, const struct timezone_info *zone,
                               struct error *error)
{
    enum meta_deletion_kind kind = finder->deletion->kind;
    struct plan plan = {.kind = kind == META_DELETION_PERSON ? PLAN_FEED : PLAN_EXPORT,
                        .project = (uint64_t)finder->deletion->project_id,
                        .zone = zone,
                        .from_day = request->from_day,
                        .to_day = request->to_day,
                        .events = request->events,
                        .event_count = request->event_count,
                        .where = request->where,
                        .unknown_names_refused = true,
                        .distinct_ids = request->ids,
                        .distinct_id_count = request->id_count,
                        .now_ms = finder->deletion->requested_ms};
    struct meta_view *view;
    struct lookup_joins *joins;
    TRY(meta_view_load(finder->api->meta, error, &view));
    enum status status = lookup_joins_new(finder->api->lookup, view, finder->deletion->project_id, error, &joins);
    meta_view_unref(view);
    TRY(status);
    plan.joins = lookup_joins_list(joins, &plan.join_count);
    finder->before_ms = kind == META_DELETION_BEFORE ? request->before_ms : INT64_MAX;
    finder->joins = joins;
    row_keys_init(&finder->keys);
    status = find(finder, &plan, error);
    row_keys_fini(&finder->keys);
    lookup_joins_free(joins);
    return status;
}

/* --- carrying out --- */

static enum status carry_out(struct finder *finder, const struct request *request, const struct timezone_info *zone,
                             struct error *error)
{
    const struct meta_deletion *d = finder->deletion;
    uint64_t project = (uint64_t)d->project_id, number = (uint64_t)d->id;
    if (d->dry_run || d->kind == META_DELETION_EVENTS) return find_events(finder, request, zone, error);
    /* Written before a restart, and found again in the log or in the manifest: once is enough. */
    if (store_deletion(finder->api->store, project, number, &finder->result) == STATUS_OK) return STATUS_OK;
    struct buf record = BUF_INIT(DELETE_BYTES_MAX);
    enum status status = d->kind == META_DELETION_PERSON
                             ? record_delete_person(&record, project, number, request->ids, request->id_count)
                             : record_delete_before(&record, project, number, request->before_ms);
    if (status != STATUS_OK) {
        buf_fini(&record);
        return error_set(error, STATUS_INVALID, "the request does not fit into a log record");
    }
    return store_delete(finder->api->store, project, number, &record, error, &finder->result);
}

static void judge(struct finder *finder, struct meta_deletion *deletion, enum status status, uint64_t rows_before,
                  struct arena *arena, const struct error *error)
{
    char text[1200] = "";
    int64_t now = os_now_ms();
    deletion->rows =
        deletion->dry_run ? (int64_t)finder->found : deletion->rows + (int64_t)(finder->result.rows - rows_before);
    if (finder->result.lsn) deletion->lsn = (int64_t)finder->result.lsn;
    if (status == STATUS_OK && finder->result.sections_owed) {
        snprintf(text, sizeof text, "%u sections of events cannot be read; it is tried again until they can",
                 finder->result.sections_owed);
    } else if (status == STATUS_OK) {
        bool nothing = deletion->lsn == 0;
        deletion->status = deletion->dry_run || nothing ? META_DELETION_PURGED : META_DELETION_MARKED;
        deletion->marked_ms = now;
        deletion->purged_ms = deletion->status == META_DELETION_PURGED ? now : 0;
    } else {
        if (status == STATUS_INVALID || status == STATUS_UNSUPPORTED) deletion->status = META_DELETION_FAILED;
        error_text(error, text, sizeof text);
    }
    struct str kept = arena_str(arena, str_of(text));
    deletion->error = kept.data ? kept : STR("");
}

static enum status run_locked(struct api *api, const struct meta_view *view, int64_t id, struct arena *arena,
                              struct error *error)
{
    struct meta_deletion deletion;
    struct request request;
    struct error failure = ERROR_INIT;
    const struct timezone_info *zone;
    TRY(meta_deletion(api->meta, 0, id, arena, error, &deletion));
    if (deletion.status != META_DELETION_PENDING) return STATUS_OK;
    const struct meta_project *project = meta_view_project(view, deletion.project_id);
    struct finder finder = {.sink = {take_row}, .api = api, .deletion = &deletion, .dry = deletion.dry_run};
    uint64_t rows_before = 0;
    struct store_deletion earlier;
    if (store_deletion(api->store, (uint64_t)deletion.project_id, (uint64_t)id, &earlier) == STATUS_OK) {
        finder.result = earlier;
        rows_before = deletion.kind == META_DELETION_EVENTS ? earlier.rows : (uint64_t)deletion.rows;
    }
    enum status status = project ? timezone_load(project->timezone, &failure, &zone)
                                 : error_set(&failure, STATUS_INVALID, "the project was deleted, with all its events");
    if (status == STATUS_OK) status = read_request(arena, deletion.request, zone, &failure, &request);
    if (status == STATUS_OK) status = carry_out(&finder, &request, zone, &failure);
    /* answers in pages would go on to show who is gone */
    if (!deletion.dry_run) profile_sessions_forget(api->sessions, (uint64_t)deletion.project_id);
    if (!deletion.dry_run) query_cache_forget(api->cache, (uint64_t)deletion.project_id);
    judge(&finder, &deletion, status, rows_before, arena, &failure);
    TRY(meta_deletion_update(api->meta, &deletion, error));
    if (!deletion.dry_run)
        log_info("deletion", LOG_INT("id", id), LOG_INT("project", deletion.project_id),
                 LOG_CSTR("status", meta_deletion_status_name(deletion.status)), LOG_INT("rows", deletion.rows));
    return STATUS_OK;
}

enum status deletion_run(struct api *api, const struct meta_view *view, int64_t id, struct arena *arena,
                         struct error *error)
{
    pthread_mutex_lock(&turn);
    enum status status = run_locked(api, view, id, arena, error);
    pthread_mutex_unlock(&turn);
    return status;
}

/* --- in the background --- */

static enum status purge(struct api *api, struct arena *arena, struct error *error)
{
    struct meta_deletion *marked;
    size_t count;
    bool log_done = false;
    TRY(meta_deletions(api->meta, 0, META_DELETION_MARKED, 10000, arena, error, &marked, &count));
    for (size_t i = 0; i < count; i++) {
        uint64_t lsn;
        for (;;) {
            TRY(store_purged_lsn(api->store, (uint64_t)marked[i].project_id, &lsn));
            if (lsn > (uint64_t)marked[i].lsn || log_done) break;
            TRY(store_purge_log(api->store, error));
            log_done = true;
        }
        if (lsn <= (uint64_t)marked[i].lsn) continue;
        marked[i].status = META_DELETION_PURGED;
        marked[i].purged_ms = os_now_ms();
        TRY(meta_deletion_update(api->meta, &marked[i], error));
        log_info("deletion_purged", LOG_INT("id", marked[i].id), LOG_INT("project", marked[i].project_id));
    }
    return STATUS_OK;
}

void deletion_work(struct api *api, const struct meta_view *view, bool with_purge)
{
    struct arena *arena = arena_new(ARENA_MAX);
    struct meta_deletion *pending;
    struct error error = ERROR_INIT;
    size_t count;
    enum status status =
        meta_deletions(api->meta, 0, META_DELETION_PENDING, BATCH_MAX, arena, &error, &pending, &count);
    for (size_t i = count; status == STATUS_OK && i-- > 0 && !atomic_load(&api->stopping);)
        status = deletion_run(api, view, pending[i].id, arena, &error);
    if (status == STATUS_OK && with_purge) status = purge(api, arena, &error);
    if (status != STATUS_OK) log_failure(LOG_WARN, "deletions_wait", &error);
    arena_free(arena);
}

void deletion_retain(struct api *api, const struct meta_view *view)
{
    size_t count;
    const struct meta_project *projects = meta_view_projects(view, &count);
    for (size_t i = 0; i < count; i++) {
        struct error error = ERROR_INIT;
        struct store_deletion result;
        struct buf record = BUF_INIT(64);
        if (projects[i].retention_days == 0) continue;
        int64_t before_ms = os_now_ms() - projects[i].retention_days * DAY_MS;
        enum status status = record_delete_before(&record, (uint64_t)projects[i].id, 0, before_ms);
        if (status == STATUS_OK)
            status = store_delete(api->store, (uint64_t)projects[i].id, 0, &record, &error, &result);
        else
            buf_fini(&record);
        if (status != STATUS_OK) log_failure(LOG_WARN, "retention_waits", &error);
    }
}
