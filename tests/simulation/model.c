#include "simulation/world.h"

#include "reference/events.h"

#include <stdlib.h>

struct sent *model_sent(struct world *w, unsigned side, enum sent_kind kind)
{
    if (w->sent_count == w->sent_capacity) {
        w->sent_capacity = w->sent_capacity ? w->sent_capacity * 2 : 256;
        w->sent = realloc(w->sent, w->sent_capacity * sizeof(struct sent *));
        if (!w->sent) abort();
    }
    struct sent *sent = arena_new_array(w->arena, struct sent, 1);
    if (!sent) abort();
    *sent = (struct sent){.world = w, .side = side, .project = w->sides[side].project, .kind = kind};
    w->sent[w->sent_count++] = sent;
    w->report->counts.records++;
    os_mutex_lock(&w->lock);
    w->in_air++;
    os_mutex_unlock(&w->lock);
    return sent;
}

static void enter_log(struct world *w, struct sent *sent)
{
    struct side *side = &w->sides[sent->side];
    sent->fate = IN_LOG;
    if (side->log_last)
        side->log_last->next_in_log = sent;
    else
        side->log_first = sent;
    side->log_last = sent;
    side->log_count++;
}

/* Acknowledgements come in the order of the log: the log thread gives them frame by frame. */
void model_settled(void *arg, enum status status)
{
    struct sent *sent = arg;
    struct world *w = sent->world;
    if (sent->fate != IN_AIR) fail(w, "a record was answered twice");
    sent->settled = ++w->settled;
    if (status == STATUS_OK) {
        if (sent->kind == SENT_DROP || sent->kind == SENT_UPDATE)
            sent->fate = IN_LOG; /* model_drop and profiles.c do the rest */
        else
            enter_log(w, sent);
        w->last_acked = sent->settled;
    } else {
        sent->fate = REFUSED;
        w->report->counts.refused++;
        if (status != STATUS_UNAVAILABLE) fail(w, "an append was answered with %s", status_name(status));
    }
    os_mutex_lock(&w->lock);
    w->in_air--;
    os_cond_broadcast(&w->changed);
    os_mutex_unlock(&w->lock);
}

void model_side_init(struct world *w, unsigned number, uint64_t project)
{
    static const enum reference_mode modes[] = {[IDENTITY_SIMPLIFIED] = REFERENCE_SIMPLIFIED,
                                                [IDENTITY_ORIGINAL] = REFERENCE_ORIGINAL,
                                                [IDENTITY_LEGACY] = REFERENCE_LEGACY};
    struct side *side = &w->sides[number];
    *side = (struct side){.project = project, .arena = arena_new((size_t)256 << 20)};
    side->reference = reference_new(side->arena, modes[w->swarm.mode], 500);
    side->executor = reference_executor_new(side->reference);
}

void model_side_fini(struct side *side)
{
    executor_free(side->executor);
    arena_free(side->arena);
}

static void count_row(void *ctx, const struct row_seen *row)
{
    (void)row;
    ++*(uint64_t *)ctx;
}

void model_drop(struct world *w, unsigned number, bool certain)
{
    struct side *side = &w->sides[number];
    struct dropped *dropped = &w->dropped[w->drop_count++];
    *dropped = (struct dropped){.project = side->project, .certain = certain};
    rows_expected(side, count_row, &dropped->rows);
    /* Whether what was refused there is in the log does not matter any more. */
    for (uint32_t i = 0; i < w->sent_count; i++) {
        if (w->sent[i]->side == number && w->sent[i]->fate == REFUSED) w->sent[i]->fate = GONE;
    }
    model_side_fini(side);
    model_side_init(w, number, side->project + SIDES);
}

void model_wait(struct world *w)
{
    os_mutex_lock(&w->lock);
    while (w->in_air) os_cond_wait(&w->changed, &w->lock);
    os_mutex_unlock(&w->lock);
}

/* --- deletes --- */

static bool row_is(const struct ref_event *event, const struct row_key *row)
{
    return event->insert_id.data && str_eq(event->insert_id, row->insert_id) && str_eq(event->name, row->event) &&
           str_eq(event->id.data ? event->id : STR(""), row->id) && event->time_ms == row->time_ms;
}

static bool takes(const struct reference *reference, const struct sent *sent, const struct ref_event *event)
{
    if (event->gone) return false;
    if (sent->kind == SENT_DELETE_BEFORE) return event->time_ms < sent->before_ms;
    if (sent->kind == SENT_DELETE_PERSON)
        return event->id.data && str_eq(ref_person(reference, event->id), ref_person(reference, sent->user));
    for (size_t i = 0; i < sent->row_count; i++) {
        if (row_is(event, &sent->rows[i])) return true;
    }
    return false;
}

static void carry_out(struct world *w, struct reference *reference, const struct sent *sent)
{
    for (struct ref_event *event = reference->first; event; event = event->next) {
        if (!takes(reference, sent, event)) continue;
        w->report->counts.deleted++;
        if (sent->kind == SENT_DELETE_ROWS) event->gone = true;
    }
    if (sent->kind == SENT_DELETE_PERSON) reference_delete_person(reference, &sent->user, 1);
    if (sent->kind == SENT_DELETE_BEFORE) reference_delete_before(reference, sent->before_ms);
}

size_t model_choose_rows(struct world *w, unsigned side, struct row_key rows[ROWS_MAX])
{
    size_t count = 0;
    for (const struct ref_event *event = w->sides[side].reference->first; event && count < ROWS_MAX;
         event = event->next) {
        if (event->gone || !event->insert_id.data || str_eq(event->name, STR("mark")) || draw(w, 20)) continue;
        rows[count++] = (struct row_key){.event = event->name,
                                         .id = event->id.data ? event->id : STR(""),
                                         .time_ms = event->time_ms,
                                         .insert_id = event->insert_id};
    }
    return count;
}

void model_feed(struct world *w, struct side *side)
{
    for (;;) {
        struct sent *sent = side->fed ? side->fed->next_in_log : side->log_first;
        struct json events;
        if (!sent) return;
        side->fed = sent;
        switch (sent->kind) {
        case SENT_EVENTS:
            if (json_parse(side->arena, sent->json, NULL, NULL, &events) != STATUS_OK) abort();
            for (size_t i = 0; i < events.array.count; i++)
                reference_track(side->reference, &events.array.items[i], sent->received_ms);
            break;
        case SENT_LINK: reference_link(side->reference, REFERENCE_CREATE, sent->device, sent->user); break;
        default: carry_out(w, side->reference, sent);
        }
    }
}

/* --- after a crash --- */

/* A link shows in who is who, and only if nothing else made it: then it does not matter. */
static bool link_is_there(struct side *side, const struct sent *sent, const struct snapshot *snapshot)
{
    uint32_t device = snapshot_id(snapshot, sent->device), user = snapshot_id(snapshot, sent->user);
    if (!device || !user || snapshot_person(snapshot, device) != snapshot_person(snapshot, user)) return false;
    return !str_eq(ref_person(side->reference, sent->device), sent->user);
}

/* A delete shows in what is gone. When it had nothing to take away it does not matter, but for a person without events,
 * whose ids are known or not. */
static bool delete_is_there(struct world *w, struct side *side, const struct sent *sent, const uint32_t *found,
                            const struct snapshot *snapshot)
{
    model_feed(w, side);
    for (const struct ref_event *event = side->reference->first; event; event = event->next) {
        if (!takes(side->reference, sent, event)) continue;
        uint32_t serial = (uint32_t)ref_member(event->properties, STR("serial")).number;
        return !found[serial];
    }
    return sent->kind == SENT_DELETE_PERSON && !snapshot_id(snapshot, sent->user);
}

static bool is_there(struct world *w, const struct sent *sent, const uint32_t *found, struct snapshot *snapshot)
{
    struct side *side = &w->sides[sent->side];
    switch (sent->kind) {
    case SENT_EVENTS: return found[sent->marker] > 0;
    case SENT_LINK: model_feed(w, side); return link_is_there(side, sent, snapshot);
    default: return delete_is_there(w, side, sent, found, snapshot);
    }
}

void model_adopt(struct world *w, unsigned side, const uint32_t *found, struct snapshot *snapshot)
{
    /* Only the newest refused frame can be in the log, behind everything acknowledged. Links last, because they are
     * told by what the rest does not explain; whose device it is depends on no order here (workload.c). */
    for (int links = 0; links < 2; links++) {
        for (uint32_t settled = w->last_acked + 1; settled <= w->settled; settled++) {
            for (uint32_t i = 0; i < w->sent_count; i++) {
                struct sent *sent = w->sent[i];
                if (sent->settled != settled || sent->fate != REFUSED || sent->side != side) continue;
                if (sent->kind == SENT_UPDATE) continue;
                if ((sent->kind == SENT_LINK) != (links == 1) || !is_there(w, sent, found, snapshot)) continue;
                enter_log(w, sent);
                w->report->counts.adopted++;
            }
        }
    }
    for (uint32_t i = 0; i < w->sent_count; i++) {
        if (w->sent[i]->fate == REFUSED && w->sent[i]->side == side && w->sent[i]->kind != SENT_UPDATE)
            w->sent[i]->fate = GONE;
    }
}
