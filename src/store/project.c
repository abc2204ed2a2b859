#include "store/project.h"

#include "base/log.h"
#include "os/clock.h"
#include "store/delete.h"
#include "store/merge.h"
#include "store/pile.h"
#include "store/profiles.h"
#include "store/project_update.h"
#include "store/run.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define NAMES_CAPACITY  (STORE_NAMES_MAX + 1) /* and one for the events of all further names */
#define FAN_IN          8
#define MERGE_ROWS_MAX  262144u
#define MERGE_BYTES_MAX ((size_t)2 << 30)

struct project *project_new(uint64_t id)
{
    struct project *project = calloc(1, sizeof *project);
    if (!project) return NULL;
    project->id = id;
    project->events = names_new(NAMES_CAPACITY);
    project->properties = names_new(NAMES_CAPACITY);
    project->ids = id_graph_new();
    project->changed = true;
    memtable_init(&project->mem);
    return project;
}

static void live_fini(struct live *live)
{
    section_unref(live->section);
    deletes_unref(live->deletes);
    deletes_unref(live->saved);
    if (live->pending) roaring_bitmap_free(live->pending);
}

static void clear_marks(struct project *project)
{
    for (size_t i = 0; i < project->mark_count; i++) free((void *)(uintptr_t)project->marks[i].insert_id.data);
    project->mark_count = 0;
}

/* Those of a flush that came to nothing. */
static void clear_new_marks(struct project *project)
{
    size_t kept = 0;
    for (size_t i = 0; i < project->mark_count; i++) {
        if (project->marks[i].file_id)
            project->marks[kept++] = project->marks[i];
        else
            free((void *)(uintptr_t)project->marks[i].insert_id.data);
    }
    project->mark_count = kept;
}

void project_free(struct project *project)
{
    if (!project) return;
    clear_marks(project);
    free(project->marks);
    project_orders_clear(project);
    project_updates_clear(project);
    project_compact_clear(project);
    id_view_unref(project->flushed_ids);
    for (size_t i = 0; i < project->live_count; i++) live_fini(&project->live[i]);
    free(project->live);
    snapshot_free(project->published);
    memtable_fini(&project->mem);
    names_free(project->events);
    names_free(project->properties);
    id_graph_free(project->ids);
    free(project);
}

void project_clear(struct project *project)
{
    clear_marks(project);
    project_orders_clear(project);
    project_updates_clear(project);
    project_compact_clear(project);
    for (size_t i = 0; i < project->live_count; i++) live_fini(&project->live[i]);
    project->live_count = 0;
    project->flushing = false;
    snapshot_free(project->published);
    project->published = NULL;
    project->changed = true;
    memtable_fini(&project->mem);
    memtable_init(&project->mem);
}

size_t project_memory(const struct project *project)
{
    size_t bytes = project->mem.bytes;
    for (size_t i = 0; i < project->live_count; i++) {
        if (section_in_ram(project->live[i].section)) bytes += project->live[i].section->bytes;
    }
    return bytes;
}

uint64_t project_memory_rows(const struct project *project)
{
    uint64_t rows = project->mem.count;
    for (size_t i = 0; i < project->live_count; i++) {
        if (section_in_ram(project->live[i].section)) rows += project->live[i].section->rows;
    }
    return rows;
}

enum status project_add_section(struct project *project, struct section *section, struct deletes *deletes)
{
    if (project->live_count == project->live_capacity) {
        size_t capacity = project->live_capacity ? project->live_capacity * 2 : 16;
        struct live *grown = realloc(project->live, capacity * sizeof *grown);
        if (!grown) {
            section_unref(section);
            deletes_unref(deletes);
            return STATUS_LIMIT;
        }
        project->live = grown;
        project->live_capacity = capacity;
    }
    project->live[project->live_count++] =
        (struct live){.section = section,
                      .deletes = deletes,
                      .saved = deletes && store_is_profiles(project->id) ? deletes_ref(deletes) : NULL,
                      .marked_ms = deletes ? os_now_ms() : 0};
    project->changed = true;
    return STATUS_OK;
}

/* --- duplicates --- */

static bool is_dead(const struct live *live, uint32_t row)
{
    return (live->deletes && roaring_bitmap_contains(live->deletes->rows, row)) ||
           (live->pending && roaring_bitmap_contains(live->pending, row));
}

static enum status mark(struct project *project, size_t index, uint32_t row, uint64_t lsn)
{
    struct live *live = &project->live[index];
    if (!live->pending && !(live->pending = roaring_bitmap_create())) return STATUS_LIMIT;
    roaring_bitmap_add(live->pending, row);
    live->unsaved = true;
    if (!live->marked_ms || lsn < live->marked_lsn) live->marked_lsn = lsn;
    if (!live->marked_ms) live->marked_ms = os_now_ms();
    project->changed = true;
    return STATUS_OK;
}

/* A mark on a section that a flush is rewriting is repeated on what the flush writes (project_flush_end). */
static enum status remember(struct project *project, uint32_t event, uint32_t id, int64_t time_ms, struct str insert_id)
{
    if (project->mark_count == project->mark_capacity) {
        size_t capacity = project->mark_capacity ? project->mark_capacity * 2 : 16;
        struct key_mark *grown = realloc(project->marks, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        project->marks = grown;
        project->mark_capacity = capacity;
    }
    char *copy = malloc(insert_id.size ? insert_id.size : 1);
    if (!copy) return STATUS_LIMIT;
    memcpy(copy, insert_id.data, insert_id.size);
    project->marks[project->mark_count++] =
        (struct key_mark){.event = event, .id = id, .time_ms = time_ms, .insert_id = {copy, insert_id.size}};
    return STATUS_OK;
}

enum status project_mark_row(struct project *project, size_t index, uint32_t row, uint64_t lsn, uint32_t event,
                             uint32_t id, int64_t time_ms, struct str insert_id)
{
    TRY(mark(project, index, row, lsn));
    if (project->flushing && index >= project->flush_first && index < project->flush_first + project->flush_count)
        return remember(project, event, id, time_ms, insert_id);
    return STATUS_OK;
}

bool project_row_is_dead(const struct project *project, size_t index, uint32_t row)
{
    return is_dead(&project->live[index], row);
}

struct deletes *project_durable_deletes(const struct project *project, struct live *live)
{
    live_publish_deletes(live);
    struct deletes *deletes = store_is_profiles(project->id) ? live->saved : live->deletes;
    return deletes_ref(deletes);
}

/* Deletes a remembered row in the file that holds it now. */
static enum status repeat_mark(struct project *project, const struct key_mark *key, struct error *error)
{
    uint32_t persons[ID_HISTORY_MAX], row;
    size_t person_count = id_graph_history(project->ids, key->id, persons);
    for (size_t i = 0; i < project->live_count; i++) {
        const struct section *section = project->live[i].section;
        if (!section->file || section->file->file_id != key->file_id) continue;
        enum status status =
            run_probe(section, key->event, persons, person_count, key->id, key->time_ms, key->insert_id, error, &row);
        if (status == STATUS_OK) return mark(project, i, row, 0);
        if (status != STATUS_NOT_FOUND) return status;
    }
    return STATUS_OK;
}

/* Repeats what is remembered. What a disk error prevents is tried again with the next snapshot or flush: until then the
 * replaced row shows, to those who can read its block. */
static void repeat_marks(struct project *project)
{
    size_t kept = 0;
    for (size_t i = 0; i < project->mark_count; i++) {
        struct key_mark *key = &project->marks[i];
        struct error error = ERROR_INIT;
        if (key->file_id && repeat_mark(project, key, &error) == STATUS_OK) {
            free((void *)(uintptr_t)key->insert_id.data);
            continue;
        }
        if (key->file_id && kept == 0) log_failure(LOG_ERROR, "cannot_delete_duplicate", &error);
        project->marks[kept++] = *key;
    }
    project->mark_count = kept;
}

/* Deletes the stored row with these four fields, if there is one. At most one can live. */
static enum status replace_stored(struct project *project, struct project_context *context, const struct mem_row *new,
                                  uint64_t key, bool *ret_replaced)
{
    uint32_t event = new->event, id = new->id;
    int64_t time_ms = new->time_ms;
    struct str insert_id = str_from(new->insert_id, new->insert_size);
    uint32_t persons[ID_HISTORY_MAX];
    size_t person_count = 0;
    *ret_replaced = false;
    for (size_t i = project->live_count; i-- > 0;) {
        struct section *section = project->live[i].section;
        if (time_ms < section->time_min_ms || time_ms > section->time_max_ms) continue;
        bool frozen = project->flushing && i >= project->flush_first && i < project->flush_first + project->flush_count;
        if (section->pile) {
            uint32_t place;
            TRY(pile_find(section->pile, event, id, time_ms, insert_id, key, &place));
            section->bytes = pile_bytes(section->pile);
            if (place == UINT32_MAX) continue;
            if (!frozen) {
                pile_kill(section->pile, place);
                *ret_replaced = true;
                return STATUS_OK;
            }
            /* A flush is reading it. */
            struct error error = ERROR_INIT;
            TRY(project_sort_pile(project, i, &error));
            section = project->live[i].section;
        }
        if (!section_filter_has(section, key)) continue;
        if (!person_count) person_count = id_graph_history(project->ids, id, persons);
        uint32_t row;
        struct error error;
        enum status status = run_probe(section, event, persons, person_count, id, time_ms, insert_id, &error, &row);
        if (status == STATUS_NOT_FOUND) continue;
        if (status != STATUS_OK) {
            /* The block cannot be read: whether this is a duplicate cannot be told. Queries over the block fail loudly,
             * so keep the event. */
            if (context->probe_failures++ == 0) log_failure(LOG_ERROR, "duplicate_probe_failed", &error);
            continue;
        }
        if (is_dead(&project->live[i], row)) continue;
        TRY(project_mark_row(project, i, row, new->seq, event, id, time_ms, insert_id));
        *ret_replaced = true;
        return STATUS_OK;
    }
    return STATUS_OK;
}

/* --- applying --- */

/* A client makes names at will; the catalogs stay in memory for good. */
void project_names_exhausted(struct project *project, const char *kind)
{
    if (project->names_exhausted) return;
    project->names_exhausted = true;
    log_warn("names_exhausted", LOG_INT("project", project->id), LOG_CSTR("kind", kind));
}

enum status project_intern_property(struct project *project, const struct project_context *context, struct str name,
                                    uint32_t *ret)
{
    if (names_count(project->properties) < context->options->names_max)
        return names_intern(project->properties, name, ret);
    *ret = names_find(project->properties, name, UINT32_MAX);
    if (*ret == UINT32_MAX) project_names_exhausted(project, "property");
    return STATUS_OK;
}

/* The number of an event name; when the catalog is full, new names share one. */
static enum status intern_event(struct project *project, const struct project_context *context, struct str name,
                                uint32_t *ret)
{
    if (names_count(project->events) < context->options->names_max) return names_intern(project->events, name, ret);
    *ret = names_find(project->events, name, UINT32_MAX);
    if (*ret != UINT32_MAX) return STATUS_OK;
    project_names_exhausted(project, "event");
    return names_intern(project->events, STR(STORE_OTHER_EVENTS), ret);
}

/* Events are applied some at a time, in steps: each step asks for the memory that the next one reads, for all of them,
 * so that they wait for it together. What counts happens in the order of the events: numbers are given and links are
 * made in one step, rows are compared with older ones and added in another, which no number depends on. */
#define TOGETHER 32

struct applying {
    struct event_view view;
    struct id_form id, device;
    struct mem_row row;
    /* what is said of it beside its own properties: why its link was not made, or under which id it came */
    struct link_property more[LINK_PROPERTIES_MAX];
    size_t more_count;
};

/* Bytes that batch_next will read in a while. */
static inline void ask_ahead(const struct batch_reader *batch)
{
    for (size_t i = 0; i < 4; i++) __builtin_prefetch((const void *)((uintptr_t)batch->reader.at + 1024 + 64 * i));
}

static void ask_for_id(const struct id_graph *ids, struct str text, struct id_form *ret_form)
{
    id_form_make(text, ret_form);
    id_graph_ask(ids, ret_form->tag);
}

static size_t take_events(const struct project *project, struct batch_reader *batch, struct applying events[TOGETHER])
{
    size_t count = 0;
    while (count < TOGETHER && batch_next(batch, &events[count].view)) {
        struct applying *event = &events[count++];
        ask_ahead(batch);
        if (event->view.id.size) ask_for_id(project->ids, event->view.id, &event->id);
        if (event->view.device.size) ask_for_id(project->ids, event->view.device, &event->device);
    }
    for (size_t i = 0; i < count; i++) {
        if (events[i].view.id.size) id_graph_ask_again(project->ids, events[i].id.tag);
        if (events[i].view.device.size) id_graph_ask_again(project->ids, events[i].device.tag);
    }
    return count;
}

struct record_context { /* of the events of one record */
    struct project *project;
    struct project_context *context;
    const struct batch_reader *batch;
    struct arena *arena;
    uint32_t *event_ids;
    struct profile_merges *merges;
};

static enum status copy_text(struct arena *arena, struct str text, struct str *ret_copy)
{
    *ret_copy = arena_str(arena, text);
    return ret_copy->data ? STATUS_OK : STATUS_LIMIT;
}

/* Makes a link; in the original mode, two clusters that became one are noted. */
static enum status make_link(struct project *project, const struct project_context *context,
                             const struct link_request *request, struct arena *arena, struct profile_merges *merges,
                             unsigned *ret_reason)
{
    struct id_graph *ids = project->ids;
    uint32_t a = id_graph_person(ids, request->device), b = id_graph_person(ids, request->user);
    uint32_t before[2] = {id_graph_shown(ids, a), id_graph_shown(ids, b)};
    *ret_reason = context->options->link(ids, request);
    if (id_graph_is_torn(ids)) return STATUS_LIMIT;
    if (request->mode != IDENTITY_ORIGINAL || a == b) return STATUS_OK;
    uint32_t person = id_graph_person(ids, request->device), shown = id_graph_shown(ids, person);
    if (person != id_graph_person(ids, request->user)) return STATUS_OK;
    for (size_t i = 0; i < 2; i++) {
        char room[ID_TEXT_ROOM];
        struct profile_merge merge = {.received_ms = request->received_ms};
        if (before[i] == shown) continue;
        TRY(copy_text(arena, id_graph_text(ids, before[i], room), &merge.from));
        TRY(copy_text(arena, id_graph_text(ids, shown, room), &merge.to));
        if (merges->count == merges->capacity) {
            size_t capacity = merges->capacity ? merges->capacity * 2 : 16;
            struct profile_merge *grown =
                arena_realloc(arena, merges->items, merges->capacity * sizeof *grown, capacity * sizeof *grown);
            if (!grown) return STATUS_LIMIT;
            merges->items = grown;
            merges->capacity = capacity;
        }
        merges->items[merges->count++] = merge;
    }
    return STATUS_OK;
}

static enum link_operation operation_of(struct str event)
{
    if (str_is(event, "$create_alias")) return LINK_ALIAS;
    return str_is(event, "$merge") ? LINK_MERGE : LINK_CREATE;
}

static enum status link_event(const struct record_context *r, struct applying *event)
{
    struct link_request request = {.mode = r->batch->mode,
                                   .operation = LINK_CREATE,
                                   .user = event->row.id,
                                   .cluster_max = r->batch->cluster_max ? r->batch->cluster_max : LINK_CLUSTER_IDS_MAX,
                                   .event = event->row.event + 1,
                                   .received_ms = r->batch->received_ms};
    unsigned reason;
    TRY(id_graph_intern_form(r->project->ids, &event->device, &request.device));
    if (request.mode != IDENTITY_SIMPLIFIED) request.operation = operation_of(r->batch->names[event->view.name]);
    TRY(make_link(r->project, r->context, &request, r->arena, r->merges, &reason));
    if (!reason || !r->context->options->explain) return STATUS_OK;
    char room[LINK_TEXT_ROOM];
    event->more_count = r->context->options->explain(r->project->ids, &request, reason, room, event->more);
    for (size_t i = 0; i < event->more_count; i++) TRY(copy_text(r->arena, event->more[i].text, &event->more[i].text));
    return STATUS_OK;
}

/* In the legacy mode an event belongs to the id whose alias it came under, and says so. */
static enum status follow_alias(const struct record_context *r, struct applying *event)
{
    const struct id_graph *ids = r->project->ids;
    uint32_t target = id_graph_stands_for(ids, event->row.id);
    if (r->batch->mode != IDENTITY_LEGACY || !target || !id_graph_person(ids, target)) return STATUS_OK;
    event->row.id = target;
    struct link_property *before = &event->more[event->more_count++];
    before->name = STR("$distinct_id_before_identity");
    return copy_text(r->arena, event->view.id, &before->text);
}

/* The row of an event; numbers what it names, and makes its link. */
static enum status make_row(const struct record_context *r, struct applying *event, uint64_t seq)
{
    struct project *project = r->project;
    const struct event_view *view = &event->view;
    struct mem_row *row = &event->row;
    if (r->event_ids[view->name] == UINT32_MAX)
        TRY(intern_event(project, r->context, r->batch->names[view->name], &r->event_ids[view->name]));
    event->more_count = 0;
    *row = (struct mem_row){.time_ms = view->time_ms,
                            .seq = seq,
                            .insert_id = view->insert_id.data,
                            .insert_size = (uint32_t)view->insert_id.size,
                            .properties = view->properties.data,
                            .properties_size = (uint32_t)view->properties.size,
                            .event = r->event_ids[view->name],
                            .flags = r->batch->flags};
    if (view->id.size) TRY(id_graph_intern_form(project->ids, &event->id, &row->id));
    if (view->device.size) TRY(link_event(r, event)); /* what the event says of its ids is about those that it names */
    if (view->id.size) TRY(follow_alias(r, event));
    id_graph_add_rows(project->ids, row->id, 1);
    if (row->insert_id) {
        row->key = dedup_key(row->event, row->id, row->time_ms, view->insert_id);
        memtable_ask(&project->mem, row->key);
    }
    return STATUS_OK;
}

static enum status add_row(const struct record_context *r, struct applying *event)
{
    struct project *project = r->project;
    struct project_context *context = r->context;
    bool duplicate = false;
    if (event->row.insert_id) {
        TRY(replace_stored(project, context, &event->row, event->row.key, &duplicate));
        context->duplicates += duplicate;
    }
    for (size_t i = 0; i < event->more_count; i++) {
        uint32_t property;
        TRY(project_intern_property(project, context, event->more[i].name, &property));
        if (property == UINT32_MAX) continue; /* too many names */
        TRY(memtable_more(&project->mem, property, event->more[i].text));
        event->row.more = true;
    }
    TRY(memtable_add(&project->mem, &event->row, &duplicate));
    context->duplicates += duplicate;
    context->events++;
    project->changed = true;
    return STATUS_OK;
}

static enum status apply_events(const struct record_context *r, struct batch_reader *batch, uint64_t seq)
{
    struct applying events[TOGETHER];
    for (size_t count; (count = take_events(r->project, batch, events)) > 0; seq += count) {
        for (size_t i = 0; i < count; i++) TRY(make_row(r, &events[i], seq + i));
        for (size_t i = 0; i < count; i++) TRY(add_row(r, &events[i]));
    }
    return STATUS_OK;
}

enum status project_apply_events(struct project *project, struct project_context *context, struct frame_bytes *frame,
                                 struct str body, uint64_t seq, struct arena *arena, struct profile_merges *merges,
                                 struct error *error)
{
    struct batch_reader batch;
    enum status status = frame->trusted ? batch_open_trusted(arena, body, &batch) : batch_open(arena, body, &batch);
    if (status != STATUS_OK) return error_set(error, status, "malformed events record");
    uint32_t *property_ids = malloc(((size_t)batch.name_count + 1) * sizeof *property_ids);
    uint32_t *event_ids = arena_new_array(arena, uint32_t, (size_t)batch.name_count + 1);
    if (!property_ids || !event_ids) {
        free(property_ids);
        return error_set(error, STATUS_LIMIT, "out of memory while applying events");
    }
    for (uint32_t i = 0; i < batch.name_count; i++) {
        property_ids[i] = event_ids[i] = UINT32_MAX;
        if (batch.is_property[i] && status == STATUS_OK)
            status = project_intern_property(project, context, batch.names[i], &property_ids[i]);
    }
    if (status != STATUS_OK) {
        free(property_ids);
        return error_set(error, status, "out of memory while applying events");
    }
    struct record_context r = {project, context, &batch, arena, event_ids, merges};
    status = memtable_batch(&project->mem, frame, property_ids, batch.name_count, batch.received_ms);
    if (status == STATUS_OK) status = apply_events(&r, &batch, seq);
    if (status != STATUS_OK) return error_set(error, status, "out of memory while applying events");
    return project->mem.count >= context->options->seal_rows ? project_pile(project, context, error) : STATUS_OK;
}

enum status project_apply_link(struct project *project, struct project_context *context, struct str body,
                               struct arena *arena, struct profile_merges *merges, struct error *error)
{
    struct link_view link;
    if (link_open(body, &link) != STATUS_OK) return error_set(error, STATUS_CORRUPT, "malformed link record");
    struct link_request request = {.mode = link.mode,
                                   .operation = link.operation,
                                   .asked = true,
                                   .cluster_max = link.cluster_max ? link.cluster_max : LINK_CLUSTER_IDS_MAX,
                                   .received_ms = link.received_ms};
    unsigned reason;
    enum status status = id_graph_intern(project->ids, link.device, &request.device);
    if (status == STATUS_OK) status = id_graph_intern(project->ids, link.user, &request.user);
    if (status == STATUS_OK) status = make_link(project, context, &request, arena, merges, &reason);
    if (status != STATUS_OK) return error_set(error, status, "out of memory while applying a link");
    project->changed = true;
    return STATUS_OK;
}

enum status project_apply_unlink(struct project *project, struct project_context *context, struct str body,
                                 struct error *error)
{
    struct unlink_view unlink;
    if (unlink_open(body, &unlink) != STATUS_OK) return error_set(error, STATUS_CORRUPT, "malformed unlink record");
    uint32_t id = id_graph_find(project->ids, unlink.id);
    if (!id || !context->options->unlink) return STATUS_OK;
    enum status status = context->options->unlink(project->ids, unlink.mode, id, unlink.received_ms);
    if (status == STATUS_LIMIT) return error_set(error, status, "out of memory while taking an id out of its person's");
    /* Refused, it is without effect: whoever asked sees that the id is linked still. */
    project->changed = true;
    return STATUS_OK;
}

/* --- sealing --- */

static unsigned level(const struct section *section)
{
    unsigned n = 0;
    for (uint32_t rows = section->rows; rows >= FAN_IN; rows /= FAN_IN) n++;
    return n;
}

void live_publish_deletes(struct live *live)
{
    if (!live->pending) return;
    if (live->deletes) roaring_bitmap_or_inplace(live->pending, live->deletes->rows);
    deletes_unref(live->deletes);
    live->deletes = deletes_new(live->pending);
    live->pending = NULL;
}

/* Merges the newest RAM sections while there are FAN_IN of one size class, so that a query after every event does not
 * leave a section per event behind. */
static enum status merge_small(struct project *project, struct error *error)
{
    size_t frozen = project->flushing ? project->flush_first + project->flush_count : 0;
    for (;;) {
        size_t count = 0;
        uint64_t rows = 0;
        while (count < FAN_IN && project->live_count - count > frozen) {
            const struct section *section = project->live[project->live_count - 1 - count].section;
            if (!section->image || level(section) > level(project->live[project->live_count - 1].section)) break;
            rows += section->rows;
            count++;
        }
        if (count < FAN_IN || rows > MERGE_ROWS_MAX) return STATUS_OK;
        size_t first = project->live_count - count;
        struct version_section inputs[FAN_IN];
        for (size_t i = 0; i < count; i++) {
            live_publish_deletes(&project->live[first + i]);
            inputs[i] = (struct version_section){project->live[first + i].section, project->live[first + i].deletes};
        }
        struct id_view *ids = id_graph_view(project->ids);
        struct merge_job job = {.inputs = inputs,
                                .input_count = count,
                                .ids = ids,
                                .links_applied = id_graph_mark(project->ids).links,
                                .memory_bytes_max = MERGE_BYTES_MAX};
        struct merge_output *outputs;
        size_t output_count;
        enum status status = merge_sections(&job, error, &outputs, &output_count);
        id_view_unref(ids);
        if (status != STATUS_OK) return status;
        struct section *merged = NULL;
        if (output_count)
            status = section_open_image(&outputs[0].image, outputs[0].directory, project->id, error, &merged);
        merge_outputs_free(outputs, output_count);
        if (status != STATUS_OK) return status;
        for (size_t i = 0; i < count; i++) live_fini(&project->live[first + i]);
        project->live_count = first;
        project->changed = true;
        if (merged) TRY(project_add_section(project, merged, NULL));
    }
}

enum status project_sort_pile(struct project *project, size_t index, struct error *error)
{
    struct live *live = &project->live[index];
    struct pile *pile = live->section->pile;
    if (!pile || pile->dead_count == pile->count) return STATUS_OK;
    struct section *sorted;
    struct id_view *ids = id_graph_view(project->ids);
    enum status status =
        section_of_pile(live->section, ids, id_graph_mark(project->ids).links, MERGE_BYTES_MAX, error, &sorted);
    id_view_unref(ids);
    if (status != STATUS_OK) return status;
    section_unref(live->section);
    live->section = sorted;
    return STATUS_OK;
}

static enum status merge_images(struct project *project, struct project_context *context, struct error *error)
{
    size_t before = project->live_count;
    TRY(merge_small(project, error));
    if (project->live_count < before) row_readers_clear(&context->readers); /* they hold what was merged */
    return STATUS_OK;
}

enum status project_pile(struct project *project, struct project_context *context, struct error *error)
{
    if (project->mem.count == 0) return STATUS_OK;
    struct section *section = NULL;
    TRY(memtable_pile(&project->mem, project->id, error, &section));
    if (!section) return STATUS_OK;
    context->memory_bytes += section->bytes;
    if (project_add_section(project, section, NULL) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "out of memory while sealing");
    if (store_is_profiles(project->id)) {
        TRY(project_sort_pile(project, project->live_count - 1, error));
        return merge_images(project, context, error);
    }
    /* A pile takes some times as much as an image: better an image than a flush of few rows. */
    if (context->memory_bytes > context->options->memory_bytes_max)
        return project_sort_pile(project, project->live_count - 1, error);
    return STATUS_OK;
}

enum status project_seal(struct project *project, struct project_context *context, struct error *error)
{
    TRY(project_pile(project, context, error));
    for (size_t i = project->live_count; i-- > 0 && section_in_ram(project->live[i].section);)
        TRY(project_sort_pile(project, i, error));
    return merge_images(project, context, error);
}

enum status project_publish(struct project *project, struct project_context *context, struct error *error,
                            struct snapshot **ret_snapshot)
{
    if (project->mark_count) repeat_marks(project);
    if (project->late_count) project_forward_late(project);
    if (project->owed_count) project_orders_retry(project, context);
    if (project->changed || !project->published) {
        TRY(project_seal(project, context, error));
        struct snapshot *snapshot = calloc(1, sizeof *snapshot);
        if (!snapshot) return error_set(error, STATUS_LIMIT, "out of memory for a snapshot");
        atomic_init(&snapshot->refs, 1);
        snapshot->project = project->id;
        snapshot->sections = calloc(project->live_count ? project->live_count : 1, sizeof *snapshot->sections);
        if (!snapshot->sections) {
            free(snapshot);
            return error_set(error, STATUS_LIMIT, "out of memory for a snapshot");
        }
        for (size_t i = 0; i < project->live_count; i++) {
            struct live *live = &project->live[i];
            live_publish_deletes(live);
            /* nothing in it counts */
            if (live->section->pile || (live->deletes && live->deletes->count == live->section->rows)) continue;
            snapshot->sections[snapshot->section_count++] =
                (struct version_section){section_ref_take(live->section), deletes_ref(live->deletes)};
        }
        snapshot->ids = id_graph_view(project->ids);
        snapshot->events = project->events;
        snapshot->properties = project->properties;
        snapshot->event_count = names_count(project->events);
        snapshot->property_count = names_count(project->properties);
        snapshot_free(project->published);
        project->published = snapshot;
        project->changed = false;
    }
    *ret_snapshot = snapshot_ref(project->published);
    return STATUS_OK;
}

/* --- flushing --- */

enum status project_flush_begin(struct project *project, struct version_section **ret_inputs, size_t *ret_count)
{
    assert(!project->flushing);
    repeat_marks(project);
    size_t first = project->live_count;
    while (first > 0 && section_in_ram(project->live[first - 1].section)) first--;
    size_t count = project->live_count - first;
    struct version_section *inputs = calloc(count ? count : 1, sizeof *inputs);
    if (!inputs) return STATUS_LIMIT;
    for (size_t i = 0; i < count; i++) {
        struct live *live = &project->live[first + i];
        live_publish_deletes(live);
        inputs[i] = (struct version_section){section_ref_take(live->section), deletes_ref(live->deletes)};
    }
    project->flushing = true;
    project->flush_stamp = project_orders_hold(project);
    project->flush_first = first;
    project->flush_count = count;
    *ret_inputs = inputs;
    *ret_count = count;
    return STATUS_OK;
}

void project_flush_abort(struct project *project)
{
    clear_new_marks(project);
    if (project->flushing) project_orders_release(project, project->flush_stamp);
    project->flushing = false;
}

enum status project_flush_end(struct project *project, struct section *const *sections, size_t count,
                              struct error *error)
{
    size_t first = project->flush_first, after = first + project->flush_count, rest = project->live_count - after;
    struct live *live = calloc(first + count + rest + 1, sizeof *live);
    if (!live) return error_set(error, STATUS_LIMIT, "out of memory after a flush");
    if (first) memcpy(live, project->live, first * sizeof *live);
    for (size_t i = 0; i < count; i++) live[first + i] = (struct live){.section = section_ref_take(sections[i])};
    if (rest) memcpy(live + first + count, project->live + after, rest * sizeof *live);
    for (size_t i = first; i < after; i++) live_fini(&project->live[i]);
    free(project->live);
    project->live = live;
    project->live_count = first + count + rest;
    project->live_capacity = project->live_count + 1;
    project->flushing = false;
    project->changed = true;
    /* Rows that a newer duplicate replaced while the flush was reading them. */
    for (size_t m = 0; m < project->mark_count; m++) {
        if (project->marks[m].file_id == 0) project->marks[m].file_id = count ? sections[0]->file->file_id : UINT64_MAX;
    }
    repeat_marks(project);
    for (size_t i = 0; i < count; i++) {
        if (project_orders_repeat(project, first + i, project->flush_stamp) != STATUS_OK)
            return error_set(error, STATUS_LIMIT, "out of memory after a flush");
    }
    project_orders_release(project, project->flush_stamp);
    return STATUS_OK;
}
