#include "store/version.h"

#include "store/store.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct deletes *deletes_new(roaring_bitmap_t *rows)
{
    struct deletes *deletes = malloc(sizeof *deletes);
    if (!deletes || !rows) abort();
    atomic_init(&deletes->refs, 1);
    deletes->rows = rows;
    deletes->count = (uint32_t)roaring_bitmap_get_cardinality(rows);
    return deletes;
}

struct deletes *deletes_ref(struct deletes *deletes)
{
    if (deletes) atomic_fetch_add(&deletes->refs, 1);
    return deletes;
}

void deletes_unref(struct deletes *deletes)
{
    if (!deletes || atomic_fetch_sub(&deletes->refs, 1) != 1) return;
    roaring_bitmap_free(deletes->rows);
    free(deletes);
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    if (snapshot) atomic_fetch_add(&snapshot->refs, 1);
    return snapshot;
}

void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot || atomic_fetch_sub(&snapshot->refs, 1) != 1) return;
    for (size_t i = 0; i < snapshot->section_count; i++) {
        section_unref(snapshot->sections[i].section);
        deletes_unref(snapshot->sections[i].deletes);
    }
    free(snapshot->sections);
    id_view_unref(snapshot->ids);
    free(snapshot);
}

uint32_t snapshot_event_id(const struct snapshot *s, struct str name)
{
    return s->events ? names_find(s->events, name, s->event_count) : EVENT_ID_NONE;
}
struct str snapshot_event_name(const struct snapshot *s, uint32_t id)
{
    return s->events ? names_text(s->events, id) : STR_NULL;
}
uint32_t snapshot_event_count(const struct snapshot *s)
{
    return s->event_count;
}
uint32_t snapshot_property_id(const struct snapshot *s, struct str name)
{
    return s->properties ? names_find(s->properties, name, s->property_count) : PROPERTY_ID_NONE;
}
struct str snapshot_property_name(const struct snapshot *s, uint32_t id)
{
    return s->properties ? names_text(s->properties, id) : STR_NULL;
}
uint32_t snapshot_property_count(const struct snapshot *s)
{
    return s->property_count;
}

uint32_t snapshot_id(const struct snapshot *s, struct str id)
{
    return s->ids ? id_view_find(s->ids, id) : 0;
}

#define MATCHED_AT_ONCE 16 /* each waits for a slot and for a text */

void snapshot_match_ids(const struct snapshot *s, const struct snapshot *other, uint32_t first, uint32_t count,
                        uint32_t *ret_ids)
{
    struct id_form forms[MATCHED_AT_ONCE];
    char rooms[MATCHED_AT_ONCE][ID_TEXT_ROOM];
    if (!s->ids || !other->ids) {
        memset(ret_ids, 0, count * sizeof *ret_ids);
        return;
    }
    for (uint32_t at = 0; at < count;) {
        uint32_t some = count - at < MATCHED_AT_ONCE ? count - at : MATCHED_AT_ONCE;
        for (uint32_t i = 0; i < some; i++) id_form_make(id_view_text(other->ids, first + at + i, rooms[i]), &forms[i]);
        id_view_find_forms(s->ids, forms, some, ret_ids + at);
        at += some;
    }
}

struct str snapshot_id_text(const struct snapshot *s, uint32_t id, char room[ID_TEXT_ROOM])
{
    return s->ids ? id_view_text(s->ids, id, room) : STR("");
}
void snapshot_expect_id_texts(const struct snapshot *s, const uint32_t *ids, size_t count)
{
    if (s->ids) id_view_expect_texts(s->ids, ids, count);
}
uint32_t snapshot_person(const struct snapshot *s, uint32_t id)
{
    return s->ids ? id_view_person(s->ids, id) : 0;
}
bool snapshot_is_mixed(const struct snapshot *s, uint32_t number)
{
    return s->ids && id_view_is_mixed(s->ids, number);
}
bool snapshot_any_mixed(const struct snapshot *s)
{
    return s->ids && id_view_any_mixed(s->ids);
}
uint32_t snapshot_stands_for(const struct snapshot *s, uint32_t id)
{
    return s->ids ? id_view_stands_for(s->ids, id) : 0;
}
uint32_t snapshot_person_id(const struct snapshot *s, uint32_t person)
{
    return s->ids ? id_view_shown(s->ids, person) : 0;
}
uint32_t snapshot_id_count(const struct snapshot *s)
{
    return s->ids ? id_view_count(s->ids) : 0;
}

uint32_t snapshot_forgotten_count(const struct snapshot *s)
{
    return s->ids ? id_view_forgotten_count(s->ids) : 0;
}

uint32_t snapshot_link_count(const struct snapshot *s)
{
    return s->ids ? id_view_link_count(s->ids) : 0;
}

enum status snapshot_moved(const struct snapshot *s, uint32_t from_link, struct error *error, uint64_t **ret_bits)
{
    *ret_bits = NULL;
    uint32_t links = snapshot_link_count(s);
    for (uint32_t i = from_link; i < links; i++) {
        uint32_t moved = id_view_moved(s->ids, i);
        if (!moved) continue;
        if (!*ret_bits) *ret_bits = calloc((size_t)id_view_count(s->ids) / 64 + 1, sizeof **ret_bits);
        if (!*ret_bits) return error_set(error, STATUS_LIMIT, "out of memory for the list of merged persons");
        (*ret_bits)[moved / 64] |= (uint64_t)1 << (moved % 64);
    }
    return STATUS_OK;
}
