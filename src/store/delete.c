#include "store/delete.h"

#include "base/log.h"
#include "os/clock.h"
#include "store/delete_order.h"
#include "store/profiles.h"
#include "store/project_update.h"

#include <assert.h>
#include <stdlib.h>

/* --- results --- */

static struct delete_result *find_result(struct delete_results *results, uint64_t project, uint64_t request)
{
    uint64_t oldest = results->count > DELETE_RESULTS_MAX ? results->count - DELETE_RESULTS_MAX : 0;
    for (uint64_t i = results->count; i-- > oldest;) {
        struct delete_result *result = &results->items[i % DELETE_RESULTS_MAX];
        if (result->project == project && result->request == request) return result;
    }
    return NULL;
}

const struct delete_result *delete_results_find(const struct delete_results *results, uint64_t project,
                                                uint64_t request)
{
    return find_result((struct delete_results *)(uintptr_t)results, project, request);
}

/* A delete by filter comes in several records with one request. */
static void add_result(struct project_context *context, uint64_t project, const struct delete_order *order,
                       uint64_t rows, uint32_t owed)
{
    context->deleted += rows;
    if (!order->request) return;
    struct delete_results *results = &context->results;
    struct delete_result *result = find_result(results, store_profiles_owner(project), order->request);
    if (!result) {
        result = &results->items[results->count++ % DELETE_RESULTS_MAX];
        *result = (struct delete_result){.project = store_profiles_owner(project), .request = order->request};
    }
    result->lsn = order->lsn;
    result->rows += store_is_profiles(project) ? 0 : rows; /* events are what is asked for */
    result->owed += owed;
}

/* --- resolving --- */

static enum status add_person(struct delete_order *order, size_t *capacity, uint32_t person)
{
    if (order->person_count == *capacity) {
        size_t larger = *capacity ? *capacity * 2 : 16;
        uint32_t *grown = realloc(order->persons, larger * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        order->persons = grown;
        *capacity = larger;
    }
    order->persons[order->person_count++] = person;
    return STATUS_OK;
}

static enum status resolve_persons(const struct project *project, const struct delete_view *view,
                                   struct delete_order *order)
{
    struct u64map listed = U64MAP_INIT(DELETE_IDS_MAX); /* several of the ids may be one person's */
    enum status status = STATUS_OK;
    size_t capacity = 0;
    for (uint32_t i = 0; i < view->id_count && status == STATUS_OK; i++) {
        uint32_t first = id_graph_find(project->ids, view->ids[i]), id = first;
        bool added;
        if (!first) continue;
        if (!u64map_at(&listed, id_graph_person(project->ids, first), 0, &added)) status = STATUS_LIMIT;
        while (status == STATUS_OK && added) {
            status = add_person(order, &capacity, id);
            if (id_graph_is_mixed(project->ids, id) || id_graph_is_bare(project->ids, id)) order->links = 0;
            id = id_graph_next_member(project->ids, id);
            if (id == first) break;
        }
    }
    u64map_fini(&listed);
    return status;
}

static enum status resolve_keys(const struct project *project, struct delete_view *view, struct arena *arena,
                                struct delete_order *order)
{
    uint32_t *events = arena_new_array(arena, uint32_t, (size_t)view->name_count + 1);
    uint32_t *ids = arena_new_array(arena, uint32_t, (size_t)view->id_count + 1);
    order->keys = malloc(((size_t)view->row_count + 1) * sizeof *order->keys);
    if (!events || !ids || !order->keys) return STATUS_LIMIT;
    for (uint32_t i = 0; i < view->name_count; i++) events[i] = names_find(project->events, view->names[i], UINT32_MAX);
    size_t capacity = 0;
    for (uint32_t i = 0; i < view->id_count; i++) {
        uint32_t history[ID_HISTORY_MAX];
        ids[i] = view->ids[i].size ? id_graph_find(project->ids, view->ids[i]) : 0;
        if (!ids[i] && view->ids[i].size) {
            ids[i] = UINT32_MAX;
            continue;
        }
        size_t count = id_graph_history(project->ids, ids[i], history);
        for (size_t h = 0; h < count; h++) TRY(add_person(order, &capacity, history[h]));
    }
    struct row_view row;
    size_t text_bytes = 0, used = 0;
    struct delete_view again = *view;
    while (delete_next_row(&again, &row)) text_bytes += row.insert_id.data ? row.insert_id.size : 0;
    order->texts = malloc(text_bytes + 1);
    if (!order->texts) return STATUS_LIMIT;
    order->bytes += text_bytes;
    while (delete_next_row(view, &row)) {
        if (events[row.name] == UINT32_MAX || ids[row.id] == UINT32_MAX) continue;
        struct delete_key *key = &order->keys[order->key_count++];
        *key = (struct delete_key){
            .event = events[row.name], .id = ids[row.id], .time_ms = row.time_ms, .number = row.number};
        if (!row.insert_id.data) continue;
        if (row.insert_id.size) memcpy(order->texts + used, row.insert_id.data, row.insert_id.size);
        key->insert_id = (struct str){order->texts + used, row.insert_id.size};
        used += row.insert_id.size;
    }
    return STATUS_OK;
}

/* --- carrying out --- */

static void mark_memtable(struct memtable *mem, const struct delete_order *order, uint64_t *rows)
{
    for (uint32_t i = 0; i < mem->count; i++) {
        struct mem_row *row = &mem->rows[i];
        if (row->dead) continue;
        struct str insert_id = row->insert_id ? str_from(row->insert_id, row->insert_size) : STR_NULL;
        if (!delete_order_has(order, row->event, row->id, row->time_ms, insert_id, row->seq)) continue;
        row->dead = true;
        mem->dead++;
        (*rows)++;
    }
}

/* `error` may be NULL. */
static enum status owe(struct project *project, struct delete_order *order, struct section *section,
                       const struct error *error)
{
    if (project->owed_count == project->owed_capacity) {
        size_t capacity = project->owed_capacity ? project->owed_capacity * 2 : 16;
        struct delete_debt *grown = realloc(project->owed, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        project->owed = grown;
        project->owed_capacity = capacity;
    }
    /* One line per delete: a disk that is gone would give one per section. */
    if (error && (!project->owed_count || project->owed[project->owed_count - 1].order != order))
        log_failure(LOG_ERROR, "cannot_delete_in_section", error);
    project->owed[project->owed_count++] = (struct delete_debt){delete_order_ref(order), section_ref_take(section)};
    return STATUS_OK;
}

/* Rows found before a failure are marked already, and counted. */
static enum status mark_live(struct project *project, struct live *live, const struct delete_order *order,
                             uint64_t *rows, struct error *error)
{
    uint64_t marked;
    enum status status = delete_mark(order, live->section, live->deletes, &live->pending, error, &marked);
    if (marked) {
        live->unsaved = true;
        project->changed = true;
        if (!live->marked_ms || order->lsn < live->marked_lsn) live->marked_lsn = order->lsn;
        if (!live->marked_ms) live->marked_ms = os_now_ms();
    }
    *rows += marked;
    return status;
}

static enum status hold(struct project *project, struct delete_order *order)
{
    if (project->hold_count == 0) {
        project->order_next++;
        return STATUS_OK;
    }
    if (project->order_count == project->order_capacity) {
        size_t capacity = project->order_capacity ? project->order_capacity * 2 : 16;
        struct delete_order **grown = realloc(project->orders, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        project->orders = grown;
        project->order_capacity = capacity;
    }
    project->orders[project->order_count++] = delete_order_ref(order);
    project->order_next++;
    return STATUS_OK;
}

static enum status forget(struct project *project, const struct delete_view *view, uint64_t lsn)
{
    for (uint32_t i = 0; i < view->id_count; i++) {
        uint32_t id = id_graph_find(project->ids, view->ids[i]);
        if (!id) continue; /* or one of a person that was forgotten just now */
        TRY(id_graph_forget(project->ids, id_graph_person(project->ids, id)));
        if (!project->forgot_lsn) {
            project->forgot_lsn = lsn;
            project->forgot_ms = os_now_ms();
        }
        project->changed = true;
    }
    return STATUS_OK;
}

static enum status carry_out(struct project *project, struct project_context *context, struct delete_order *order)
{
    uint64_t rows = 0;
    uint32_t owed = 0;
    bool any = order->kind == RECORD_DELETE_BEFORE || order->person_count;
    if (any) mark_memtable(&project->mem, order, &rows);
    if (rows) project->changed = true;
    for (size_t i = 0; i < project->live_count && any; i++) {
        struct error error = ERROR_INIT;
        TRY(project_sort_pile(project, i, &error));
        if (project->live[i].section->pile) continue; /* no row of it lives */
        if (mark_live(project, &project->live[i], order, &rows, &error) == STATUS_OK) continue;
        TRY(owe(project, order, project->live[i].section, &error));
        owed++;
    }
    order->rows = rows;
    add_result(context, project->id, order, rows, owed);
    return any ? hold(project, order) : STATUS_OK;
}

enum status project_apply_delete(struct project *project, struct project_context *context, enum record_kind kind,
                                 struct str body, uint64_t lsn, struct arena *arena, struct error *error)
{
    struct delete_view view;
    enum status status = delete_open(arena, kind, body, &view);
    if (status == STATUS_CORRUPT) return error_set(error, status, "malformed delete record");
    struct delete_order *order = delete_order_new(kind);
    if (!order) status = STATUS_LIMIT;
    if (status == STATUS_OK) {
        order->lsn = lsn;
        order->request = view.request;
        order->links = id_graph_mark(project->ids).links;
        if (kind == RECORD_DELETE_BEFORE)
            order->time_max_ms = view.before_ms - 1;
        else if (kind == RECORD_DELETE_PERSON)
            status = resolve_persons(project, &view, order);
        else
            status = resolve_keys(project, &view, arena, order);
        if (status == STATUS_OK) status = delete_order_finish(order);
        if (status == STATUS_OK) status = carry_out(project, context, order);
        if (status == STATUS_OK && kind == RECORD_DELETE_PERSON) status = forget(project, &view, lsn);
    }
    delete_order_unref(order);
    return status == STATUS_OK ? STATUS_OK : error_set(error, status, "out of memory while deleting");
}

/* --- profiles --- */

/* Of the order's ids, the rows of user profiles: not those of groups whose id is the same text. */
static enum status add_profile_keys(const struct project *shadow, struct delete_order *order)
{
    uint32_t event = names_find(shadow->events, STR(PROFILE_USER_EVENT), names_count(shadow->events));
    order->keys = malloc((order->person_count + 1) * sizeof *order->keys);
    if (!order->keys) return STATUS_LIMIT;
    for (size_t i = 0; i < order->person_count && event != UINT32_MAX; i++)
        order->keys[order->key_count++] = (struct delete_key){
            .event = event, .id = order->persons[i], .time_ms = PROFILE_TIME_MS, .insert_id = STR(PROFILE_INSERT_ID)};
    return STATUS_OK;
}

static enum status add_profile(const struct project *shadow, struct str id, struct delete_order *order,
                               size_t *capacity)
{
    uint32_t number = id_graph_find(shadow->ids, id);
    return number ? add_person(order, capacity, number) : STATUS_OK;
}

/* Profiles may stand under every id of a person: hidden ones are theirs, too. */
static enum status resolve_profiles(const struct project *shadow, const struct project *owner,
                                    const struct delete_view *view, struct delete_order *order)
{
    size_t capacity = 0;
    char room[ID_TEXT_ROOM];
    struct u64map listed = U64MAP_INIT(DELETE_IDS_MAX);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < view->id_count && status == STATUS_OK; i++) {
        uint32_t first = id_graph_find(owner->ids, view->ids[i]), id = first;
        bool added = true;
        status = add_profile(shadow, view->ids[i], order, &capacity);
        if (!first || status != STATUS_OK) continue;
        if (!u64map_at(&listed, id_graph_person(owner->ids, first), 0, &added)) status = STATUS_LIMIT;
        while (status == STATUS_OK && added) {
            status = add_profile(shadow, id_graph_text(owner->ids, id, room), order, &capacity);
            id = id_graph_next_member(owner->ids, id);
            if (id == first) break;
        }
    }
    u64map_fini(&listed);
    return status;
}

/* Whether a group of this section has the number. What cannot be read may be one. */
static bool is_group_of(const struct project *shadow, struct project_context *context, size_t index, uint32_t event,
                        uint32_t id)
{
    struct row_place place = {
        .event = event, .id = id, .time_ms = PROFILE_TIME_MS, .insert_id = STR(PROFILE_INSERT_ID)};
    struct section *section = shadow->live[index].section;
    struct error error;
    uint32_t row;
    assert(!section->pile); /* project_pile */
    if (!section_filter_has(section, dedup_key(event, id, place.time_ms, place.insert_id))) return false;
    switch (row_readers_find(&context->readers, section, &id, 1, &place, &error, &row)) {
    case STATUS_OK: return !project_row_is_dead(shadow, index, row);
    case STATUS_NOT_FOUND: return false;
    default: return true;
    }
}

/* Whether a group has this number, too: its text stays then. */
static bool is_group(const struct project *shadow, struct project_context *context, uint32_t user_event, uint32_t id)
{
    for (uint32_t i = 0; i < shadow->mem.count; i++) {
        const struct mem_row *row = &shadow->mem.rows[i];
        if (!row->dead && row->id == id && row->event != user_event) return true;
    }
    for (size_t i = 0; i < shadow->live_count; i++) {
        const struct section *section = shadow->live[i].section;
        for (uint32_t e = 0; e < section->event_count; e++) {
            uint32_t event = section->events[e].event_id;
            if (event != user_event && is_group_of(shadow, context, i, event, id)) return true;
        }
    }
    return false;
}

static enum status forget_profiles(struct project *shadow, struct project_context *context,
                                   const struct delete_order *order)
{
    uint32_t user_event = names_find(shadow->events, STR(PROFILE_USER_EVENT), names_count(shadow->events));
    char room[ID_TEXT_ROOM];
    for (size_t i = 0; i < order->person_count; i++) {
        uint32_t id = order->persons[i];
        if (!id_graph_person(shadow->ids, id)) continue;
        project_updates_forget(shadow, STR(PROFILE_USER_EVENT), id_graph_text(shadow->ids, id, room));
        if (is_group(shadow, context, user_event, id)) continue;
        TRY(id_graph_forget(shadow->ids, id_graph_person(shadow->ids, id)));
        if (!shadow->forgot_lsn) {
            shadow->forgot_lsn = order->lsn;
            shadow->forgot_ms = os_now_ms();
        }
        shadow->changed = true;
    }
    return STATUS_OK;
}

enum status project_delete_profiles(struct project *shadow, const struct project *owner,
                                    struct project_context *context, struct str body, uint64_t lsn, struct arena *arena,
                                    struct error *error)
{
    struct delete_view view;
    enum status status = delete_open(arena, RECORD_DELETE_PERSON, body, &view);
    if (status == STATUS_CORRUPT) return error_set(error, status, "malformed delete record");
    struct delete_order *order = delete_order_new(RECORD_DELETE_ROWS);
    if (!order) status = STATUS_LIMIT;
    if (status == STATUS_OK) {
        order->lsn = lsn;
        order->request = view.request;
        order->index = U64MAP_INIT(UINT32_MAX); /* a person may have any number of ids */
        status = resolve_profiles(shadow, owner, &view, order);
        if (status == STATUS_OK) status = add_profile_keys(shadow, order);
        if (status == STATUS_OK) status = delete_order_finish(order);
        if (status == STATUS_OK && order->person_count) status = carry_out(shadow, context, order);
        if (status == STATUS_OK) status = forget_profiles(shadow, context, order);
        for (uint32_t i = 0; i < view.id_count && status == STATUS_OK; i++)
            project_updates_forget(shadow, STR(PROFILE_USER_EVENT), view.ids[i]);
    }
    delete_order_unref(order);
    return status == STATUS_OK ? STATUS_OK : error_set(error, status, "out of memory while deleting profiles");
}

/* --- rewrites --- */

uint64_t project_orders_hold(struct project *project)
{
    /* Few: a flush, and as many compactions as may run. */
    assert(project->hold_count < PROJECT_REWRITES_MAX);
    project->holds[project->hold_count++] = project->order_next;
    return project->order_next;
}

enum status project_orders_repeat(struct project *project, size_t index, uint64_t stamp)
{
    uint64_t first = project->order_next - project->order_count, rows = 0;
    assert(stamp >= first || project->order_count == 0);
    for (uint64_t i = stamp < first ? first : stamp; i < project->order_next; i++) {
        struct delete_order *order = project->orders[i - first];
        struct error error = ERROR_INIT;
        if (mark_live(project, &project->live[index], order, &rows, &error) == STATUS_OK) continue;
        TRY(owe(project, order, project->live[index].section, &error));
    }
    return STATUS_OK;
}

void project_orders_release(struct project *project, uint64_t stamp)
{
    size_t at = 0;
    while (at < project->hold_count && project->holds[at] != stamp) at++;
    assert(at < project->hold_count);
    project->holds[at] = project->holds[--project->hold_count];
    uint64_t first = project->order_next - project->order_count, needed = project->order_next;
    for (size_t i = 0; i < project->hold_count; i++) {
        if (project->holds[i] < needed) needed = project->holds[i];
    }
    size_t drop = needed > first ? (size_t)(needed - first) : 0;
    if (!drop) return;
    for (size_t i = 0; i < drop; i++) delete_order_unref(project->orders[i]);
    project->order_count -= drop;
    memmove(project->orders, project->orders + drop, project->order_count * sizeof *project->orders);
}

void project_orders_retry(struct project *project, struct project_context *context)
{
    size_t kept = 0;
    for (size_t i = 0; i < project->owed_count; i++) {
        struct delete_debt *debt = &project->owed[i];
        struct live *live = NULL;
        for (size_t k = 0; k < project->live_count && !live; k++) {
            if (project->live[k].section == debt->section) live = &project->live[k];
        }
        struct error error = ERROR_INIT;
        uint64_t rows = 0;
        enum status status = live ? mark_live(project, live, debt->order, &rows, &error) : STATUS_OK;
        struct delete_result *result =
            find_result(&context->results, store_profiles_owner(project->id), debt->order->request);
        if (result && !store_is_profiles(project->id)) result->rows += rows;
        debt->order->rows += rows;
        context->deleted += rows;
        if (status != STATUS_OK) {
            project->owed[kept++] = *debt;
            continue;
        }
        if (result && result->owed) result->owed--;
        delete_order_unref(debt->order);
        section_unref(debt->section);
    }
    project->owed_count = kept;
}

bool project_owes(const struct project *project, const struct section *section)
{
    for (size_t i = 0; i < project->owed_count; i++) {
        if (project->owed[i].section == section) return true;
    }
    return false;
}

size_t project_orders_bytes(const struct project *project)
{
    size_t bytes = 0;
    for (size_t i = 0; i < project->order_count; i++) bytes += project->orders[i]->bytes;
    return bytes;
}

void project_orders_clear(struct project *project)
{
    for (size_t i = 0; i < project->order_count; i++) delete_order_unref(project->orders[i]);
    for (size_t i = 0; i < project->owed_count; i++) {
        delete_order_unref(project->owed[i].order);
        section_unref(project->owed[i].section);
    }
    free(project->orders);
    free(project->owed);
    project->orders = NULL;
    project->owed = NULL;
    project->order_count = project->order_capacity = project->owed_count = project->owed_capacity = 0;
    project->hold_count = 0;
}

uint64_t project_purged_lsn(const struct project *project)
{
    uint64_t purged = project->forgot_lsn ? project->forgot_lsn : UINT64_MAX;
    for (size_t i = 0; i < project->live_count; i++) {
        const struct live *live = &project->live[i];
        if ((live->deletes || live->pending) && live->marked_lsn < purged) purged = live->marked_lsn;
    }
    for (size_t i = 0; i < project->owed_count; i++) {
        if (project->owed[i].order->lsn < purged) purged = project->owed[i].order->lsn;
    }
    return purged;
}

/* --- debts on disk --- */

static bool is_first_debt(const struct project *project, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (project->owed[i].order == project->owed[index].order) return false;
    }
    return true;
}

void project_debts_write(const struct project *project, struct buf *out)
{
    for (size_t i = 0; i < project->owed_count; i++) {
        const struct delete_order *order = project->owed[i].order;
        bool names_ids = order->kind == RECORD_DELETE_PERSON || store_is_profiles(project->id);
        if (!names_ids || !is_first_debt(project, i)) continue;
        buf_u64(out, project->id);
        buf_u64(out, order->lsn);
        buf_u64(out, order->request);
        buf_u64(out, order->rows);
        buf_u32(out, order->links);
        buf_u32(out, (uint32_t)order->person_count);
        for (size_t k = 0; k < order->person_count; k++) buf_u32(out, order->persons[k]);
    }
    project_updates_write(project, out);
}

static enum status read_debt(struct reader *reader, struct project *project, struct project_context *context)
{
    uint64_t lsn = read_u64(reader);
    bool profiles = store_is_profiles(project->id);
    struct delete_order *order = delete_order_new(profiles ? RECORD_DELETE_ROWS : RECORD_DELETE_PERSON);
    if (!order) return STATUS_LIMIT;
    order->lsn = lsn;
    order->request = read_u64(reader);
    order->rows = read_u64(reader);
    order->links = read_u32(reader);
    uint32_t count = read_u32(reader);
    size_t capacity = 0;
    enum status status = reader->failed || count > reader_left(reader) / 4 ? STATUS_CORRUPT : STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) status = add_person(order, &capacity, read_u32(reader));
    if (status == STATUS_OK && profiles) status = add_profile_keys(project, order);
    if (status == STATUS_OK) status = delete_order_finish(order);
    uint32_t owed = 0;
    for (size_t i = 0; i < project->live_count && status == STATUS_OK; i++) {
        /* A profile's number may be used again, behind the order. */
        if (profiles && project->live[i].section->lsn > lsn) continue;
        status = owe(project, order, project->live[i].section, NULL);
        owed++;
    }
    if (status == STATUS_OK && owed) add_result(context, project->id, order, order->rows, owed);
    delete_order_unref(order);
    return status;
}

enum status project_debts_read(struct str debts, struct project *(*find)(void *ctx, uint64_t project), void *ctx,
                               struct project_context *context, struct error *error)
{
    struct reader reader = reader_of(debts);
    enum status status = STATUS_OK;
    while (reader_left(&reader) && status == STATUS_OK) {
        uint64_t number = read_u64(&reader);
        bool is_update = number & PROJECT_DEBT_UPDATE;
        struct project *project = reader.failed ? NULL : find(ctx, number & ~PROJECT_DEBT_UPDATE);
        if (reader.failed)
            status = STATUS_CORRUPT;
        else if (!project)
            status = STATUS_LIMIT;
        else if (is_update)
            status = project_updates_read(project, &reader);
        else
            status = read_debt(&reader, project, context);
    }
    if (status == STATUS_CORRUPT) return error_set(error, status, "the manifest holds malformed debts of deletes");
    return status == STATUS_OK ? STATUS_OK : error_set(error, status, "out of memory for debts of deletes");
}
