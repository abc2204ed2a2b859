#include "store/project_update.h"

#include "base/log.h"
#include "store/delete.h"
#include "store/profile_row.h"
#include "store/profiles.h"
#include "store/row_reader.h"

#include <assert.h>
#include <stdlib.h>

/* Where the rows of a profile are that count: one, unless damage kept a replaced one alive. */
#define PLACES_MAX 16

struct place {
    size_t live;
    uint32_t row;
};

struct profile {
    uint32_t event, id; /* UINT32_MAX, 0: not known, so there is no row */
    uint64_t key;
    uint32_t in_memory; /* row of the memtable, or UINT32_MAX */
    bool is_alive;      /* the one in the memtable */
    struct place places[PLACES_MAX];
    size_t place_count;
};

static struct str insert_id(void)
{
    return STR(PROFILE_INSERT_ID);
}

/* --- reading --- */

static enum status find_in_sections(struct project *shadow, struct project_context *context, struct profile *profile,
                                    struct error *error)
{
    struct row_place wanted = {
        .event = profile->event, .id = profile->id, .time_ms = PROFILE_TIME_MS, .insert_id = insert_id()};
    uint32_t persons[ID_HISTORY_MAX];
    size_t person_count = 0;
    for (size_t i = shadow->live_count; i-- > 0 && profile->place_count < PLACES_MAX;) {
        struct section *section = shadow->live[i].section;
        uint32_t row;
        assert(!section->pile); /* project_pile */
        if (wanted.time_ms < section->time_min_ms || wanted.time_ms > section->time_max_ms ||
            !section_filter_has(section, profile->key))
            continue;
        if (!person_count) person_count = id_graph_history(shadow->ids, profile->id, persons);
        /* a row that is to be deleted there must not be taken for one that counts */
        enum status status =
            project_owes(shadow, section)
                ? error_set(error, STATUS_CORRUPT, "the section owes a delete")
                : row_readers_find(&context->readers, section, persons, person_count, &wanted, error, &row);
        if (status == STATUS_NOT_FOUND) continue;
        if (status != STATUS_OK && profile->place_count) continue; /* the newest is found; others should not be */
        if (status != STATUS_OK) return status;
        if (!project_row_is_dead(shadow, i, row)) profile->places[profile->place_count++] = (struct place){i, row};
    }
    return STATUS_OK;
}

static enum status find_profile(struct project *shadow, struct project_context *context, const struct update_view *view,
                                struct error *error, struct profile *profile)
{
    *profile = (struct profile){.event = names_find(shadow->events, view->event, names_count(shadow->events)),
                                .id = id_graph_find(shadow->ids, view->id),
                                .in_memory = UINT32_MAX};
    if (profile->event == UINT32_MAX || !profile->id) return STATUS_OK;
    profile->key = dedup_key(profile->event, profile->id, PROFILE_TIME_MS, insert_id());
    profile->in_memory =
        memtable_find(&shadow->mem, profile->key, profile->event, profile->id, PROFILE_TIME_MS, insert_id());
    if (profile->in_memory != UINT32_MAX) { /* whatever is in sections was marked when this row came */
        profile->is_alive = !shadow->mem.rows[profile->in_memory].dead;
        return STATUS_OK;
    }
    return find_in_sections(shadow, context, profile, error);
}

static struct profile_property property_of(const struct project *shadow, uint32_t number, struct value value)
{
    return (struct profile_property){names_text(shadow->properties, number), value, number};
}

static enum status read_memory(const struct project *shadow, uint32_t at, struct arena *arena, struct profile_row *row)
{
    const struct mem_row *from = &shadow->mem.rows[at];
    const uint32_t *property_ids = shadow->mem.batches[from->batch].property_ids;
    struct reader reader = reader_of(str_from(from->properties, from->properties_size)), again = reader;
    struct value value;
    uint32_t name;
    size_t count = 0;
    while (event_property_next(&again, &name, &value)) count++;
    row->items = arena_alloc(arena, (count + 1) * sizeof *row->items);
    if (!row->items) return STATUS_LIMIT;
    row->capacity = count + 1;
    row->exists = true;
    while (event_property_next(&reader, &name, &value)) {
        if (property_ids[name] != UINT32_MAX) row->items[row->count++] = property_of(shadow, property_ids[name], value);
    }
    return STATUS_OK;
}

static enum status read_stored(struct project *shadow, struct project_context *context, const struct profile *profile,
                               struct arena *arena, struct error *error, struct profile_row *row)
{
    struct row_property *properties;
    size_t count;
    struct section *section = shadow->live[profile->places[0].live].section;
    TRY(row_readers_read(&context->readers, section, profile->event, profile->places[0].row, arena, error, &properties,
                         &count));
    row->items = arena_alloc(arena, (count + 1) * sizeof *row->items);
    if (!row->items) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    for (size_t i = 0; i < count; i++) {
        if (properties[i].property >= names_count(shadow->properties))
            return error_set(error, STATUS_CORRUPT, "property %u does not exist", properties[i].property);
        row->items[i] = property_of(shadow, properties[i].property, properties[i].value);
    }
    row->capacity = count + 1;
    row->count = count;
    row->exists = true;
    return STATUS_OK;
}

/* --- writing --- */

static enum status mark_places(struct project *shadow, const struct profile *profile, uint64_t lsn)
{
    for (size_t i = 0; i < profile->place_count; i++)
        TRY(project_mark_row(shadow, profile->places[i].live, profile->places[i].row, lsn, profile->event, profile->id,
                             PROFILE_TIME_MS, insert_id()));
    return STATUS_OK;
}

static enum status remove_profile(struct project *shadow, struct project_context *context,
                                  const struct profile *profile, uint64_t lsn)
{
    if (profile->is_alive)
        memtable_kill(&shadow->mem, profile->in_memory);
    else
        TRY(mark_places(shadow, profile, lsn));
    context->deleted++;
    shadow->changed = true;
    return STATUS_OK;
}

/* The properties as the memtable keeps them; malloc'd. */
static enum status encode(struct project *shadow, const struct project_context *context, const struct profile_row *row,
                          char **ret_bytes, size_t *ret_size)
{
    struct buf out = BUF_INIT(UINT32_MAX / 2);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < row->count && status == STATUS_OK; i++) {
        uint32_t number = row->items[i].number;
        if (number == PROFILE_PROPERTY_NEW)
            status = project_intern_property(shadow, context, row->items[i].name, &number);
        if (status != STATUS_OK || number == UINT32_MAX) continue; /* too many names: left out, as of events */
        buf_varint(&out, number);
        value_encode(&out, row->items[i].value);
    }
    if (status == STATUS_OK) status = buf_status(&out);
    if (status != STATUS_OK) {
        buf_fini(&out);
        return status;
    }
    *ret_size = out.size;
    *ret_bytes = buf_detach(&out);
    return STATUS_OK;
}

static enum status write_profile(struct project *shadow, struct project_context *context, struct profile *profile,
                                 const struct update_view *update, const struct profile_row *row, uint64_t lsn,
                                 struct error *error)
{
    if (profile->event == UINT32_MAX) {
        /* Of events all further names share one; profiles of several group keys must not. */
        if (names_count(shadow->events) >= context->options->names_max) {
            project_names_exhausted(shadow, "group key");
            return STATUS_OK;
        }
        TRY(names_intern(shadow->events, update->event, &profile->event));
    }
    if (!profile->id) TRY(id_graph_intern(shadow->ids, update->id, &profile->id));
    profile->key = dedup_key(profile->event, profile->id, PROFILE_TIME_MS, insert_id());
    char *bytes;
    size_t size;
    TRY(encode(shadow, context, row, &bytes, &size));
    struct str p = insert_id();
    struct mem_row new = {.time_ms = PROFILE_TIME_MS,
                          .seq = lsn,
                          .key = profile->key,
                          .insert_id = p.data,
                          .insert_size = (uint32_t)p.size,
                          .properties = bytes,
                          .properties_size = (uint32_t)size,
                          .event = profile->event,
                          .id = profile->id};
    bool replaced;
    TRY(memtable_put(&shadow->mem, &new, (int64_t)update->received_ms, names_count(shadow->properties), &replaced));
    TRY(mark_places(shadow, profile, lsn));
    shadow->changed = true;
    return shadow->mem.count >= context->options->seal_rows ? project_pile(shadow, context, error) : STATUS_OK;
}

/* What the limits leave out comes in any number: the 1st, 2nd, 4th, … is worth a line. */
static void note_left_out(const struct project *shadow, struct project_context *context, uint32_t count)
{
    uint64_t before = context->update_left_out, after = before + count;
    context->update_left_out = after;
    if ((before ^ after) > before)
        log_warn("profile_properties_left_out", LOG_INT("project", store_profiles_owner(shadow->id)),
                 LOG_INT("properties_so_far", after));
}

/* The profile with this key, and its row. *ret_unreadable: it cannot be told. */
static enum status read_profile(struct project *shadow, struct project_context *context, const struct update_view *view,
                                struct arena *arena, struct error *error, struct profile *profile,
                                struct profile_row *row, bool *ret_unreadable)
{
    *ret_unreadable = true;
    if (find_profile(shadow, context, view, error, profile) != STATUS_OK) return STATUS_OK;
    if (profile->is_alive)
        TRY(read_memory(shadow, profile->in_memory, arena, row));
    else if (profile->place_count && read_stored(shadow, context, profile, arena, error, row) != STATUS_OK)
        return STATUS_OK;
    *ret_unreadable = false;
    return STATUS_OK;
}

static bool has_property(const struct profile_row *row, uint32_t number)
{
    for (size_t i = 0; i < row->count; i++) {
        if (row->items[i].number == number) return true;
    }
    return false;
}

/* A value that does not depend on the row which it comes from. */
static enum status copy_value(struct arena *arena, struct value value, size_t *bytes, struct value *ret_copy)
{
    struct buf out = BUF_INIT(UINT32_MAX / 2);
    value_encode(&out, value);
    struct str copy = buf_status(&out) == STATUS_OK ? arena_str(arena, buf_str(&out)) : STR_NULL;
    buf_fini(&out);
    struct reader reader = reader_of(copy);
    *bytes += copy.size;
    return copy.data && value_decode(&reader, ret_copy) == STATUS_OK ? STATUS_OK : STATUS_LIMIT;
}

/* Both rows have properties that the store has numbered. The values of both are copied: writing the one and removing
 * the other gives back the memory that they lie in. */
static enum status add_properties(struct profile_row *row, const struct profile_row *from,
                                  const struct update_limits *limits, struct arena *arena, uint32_t *ret_left_out)
{
    struct profile_row own = {.items = row->items, .count = row->count};
    size_t bytes = 0;
    row->capacity = own.count + from->count + 1;
    row->items = arena_alloc(arena, row->capacity * sizeof *row->items);
    if (!row->items) return STATUS_LIMIT;
    for (size_t i = 0; i < own.count; i++) {
        row->items[i] = own.items[i];
        TRY(copy_value(arena, own.items[i].value, &bytes, &row->items[i].value));
    }
    for (size_t i = 0; i < from->count; i++) {
        if (has_property(&own, from->items[i].number)) continue;
        struct profile_property item = from->items[i];
        size_t with = bytes;
        TRY(copy_value(arena, from->items[i].value, &with, &item.value));
        if (with > limits->bytes_max || row->count >= limits->properties_max) {
            ++*ret_left_out;
            continue;
        }
        row->items[row->count++] = item;
        bytes = with;
    }
    row->exists = true;
    return STATUS_OK;
}

static enum status adopt(struct project *shadow, struct project_context *context, const struct update_view *update,
                         uint64_t lsn, struct arena *arena, struct error *error, bool *ret_unreadable)
{
    struct profile to, from;
    struct profile_row row = {0}, other = {0};
    struct update_view source = *update;
    uint32_t left_out = 0;
    source.id = update->operations;
    *ret_unreadable = true;
    if (project_owes_update(shadow, source.event, source.id))
        return (void)error_set(error, STATUS_UNAVAILABLE, "an earlier update of the profile is owed"), STATUS_OK;
    TRY(read_profile(shadow, context, &source, arena, error, &from, &other, ret_unreadable));
    if (*ret_unreadable || !other.exists) return STATUS_OK;
    TRY(read_profile(shadow, context, update, arena, error, &to, &row, ret_unreadable));
    if (*ret_unreadable) return STATUS_OK;
    TRY(add_properties(&row, &other, &update->limits, arena, &left_out));
    if (left_out) note_left_out(shadow, context, left_out);
    /* First the one that goes: writing the other may put what is in memory into a section. */
    TRY(remove_profile(shadow, context, &from, lsn));
    return write_profile(shadow, context, &to, update, &row, lsn, error);
}

enum status project_update_profile(struct project *shadow, struct project_context *context,
                                   const struct update_view *update, uint64_t lsn, struct arena *arena,
                                   struct error *error, bool *ret_unreadable)
{
    struct profile profile;
    struct profile_row row = {0};
    struct profile_outcome outcome = {0};
    if (update->flags & UPDATE_ADOPT) {
        enum status adopted = adopt(shadow, context, update, lsn, arena, error, ret_unreadable);
        return adopted == STATUS_OK ? STATUS_OK : error_set(error, adopted, "out of memory while merging profiles");
    }
    enum status status = read_profile(shadow, context, update, arena, error, &profile, &row, ret_unreadable);
    if (status == STATUS_OK && *ret_unreadable) return STATUS_OK;
    bool existed = row.exists;
    if (!context->options->update) return STATUS_OK; /* a store that knows no profiles */
    if (status == STATUS_OK) status = context->options->update(update, arena, &row, &outcome);
    if (status != STATUS_OK) return error_set(error, status, "cannot carry out an update of a profile");
    context->updates++;
    if (outcome.left_out) note_left_out(shadow, context, outcome.left_out);
    if (!outcome.changed) return STATUS_OK;
    if (row.exists)
        status = write_profile(shadow, context, &profile, update, &row, lsn, error);
    else if (existed)
        status = remove_profile(shadow, context, &profile, lsn);
    return status == STATUS_OK ? STATUS_OK : error_set(error, status, "out of memory while updating a profile");
}

/* The key of the profile: of an id that belongs to somebody, the id that is shown for them; of an alias of the legacy
 * mode, the id whose alias it is. (In the original mode both are one person already.) */
static struct str resolve(const struct project *owner, const struct update_view *update, char room[ID_TEXT_ROOM])
{
    bool literal = (update->flags & UPDATE_LITERAL) || !str_is(update->event, PROFILE_USER_EVENT);
    uint32_t id = owner && !literal ? id_graph_find(owner->ids, update->id) : 0;
    uint32_t target = id ? id_graph_stands_for(owner->ids, id) : 0;
    if (target && id_graph_person(owner->ids, target)) id = target;
    uint32_t shown = id ? id_graph_shown(owner->ids, id_graph_person(owner->ids, id)) : 0;
    if (!shown) return update->id;
    struct str text = id_graph_text(owner->ids, shown, room);
    return text.size ? text : update->id;
}

/* Or owes it. */
static enum status carry_out(struct project *shadow, struct project_context *context, const struct update_view *update,
                             uint64_t lsn, struct arena *arena, struct error *error)
{
    struct error why = ERROR_INIT;
    bool unreadable = true;
    if (shadow->update_debts && project_owes_update(shadow, update->event, update->id))
        error_set(&why, STATUS_UNAVAILABLE, "an earlier update of the profile is owed");
    else if (project_update_profile(shadow, context, update, lsn, arena, &why, &unreadable) != STATUS_OK)
        return error_set(error, why.status, "%s", why.primary);
    if (!unreadable) return STATUS_OK;
    if (project_update_owe(shadow, update, lsn, &why) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "out of memory for an update of a profile");
    return STATUS_OK;
}

enum status project_apply_update(struct project *shadow, struct project *owner, struct project_context *context,
                                 struct str body, uint64_t lsn, struct arena *arena, struct error *error)
{
    struct update_view update;
    char room[ID_TEXT_ROOM];
    if (!store_is_profiles(shadow->id) || update_open(body, &update) != STATUS_OK)
        return error_set(error, STATUS_CORRUPT, "malformed update record");
    update.id = resolve(owner, &update, room);
    return carry_out(shadow, context, &update, lsn, arena, error);
}

enum status project_adopt_profile(struct project *shadow, struct project_context *context,
                                  const struct profile_merge *merge, uint64_t lsn, struct arena *arena,
                                  struct error *error)
{
    struct update_view update = {.received_ms = (uint64_t)merge->received_ms,
                                 .flags = UPDATE_LITERAL | UPDATE_ADOPT,
                                 .limits = {ADOPT_PROPERTIES_MAX, UINT32_MAX, ADOPT_BYTES_MAX},
                                 .event = STR(PROFILE_USER_EVENT),
                                 .id = merge->to,
                                 .operations = merge->from};
    return carry_out(shadow, context, &update, lsn, arena, error);
}
