/* What the records of the log do to a project: events become rows, links and unlinks change who is who. */
#include "store/project.h"

#include "base/log.h"

#include <stdlib.h>

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
        TRY(project_replace_stored(project, context, &event->row, event->row.key, &duplicate));
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
