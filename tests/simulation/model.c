#include "simulation/world.h"

#include "reference/events.h"

#include <stdlib.h>

struct sent *model_sent(struct world *w, unsigned side)
{
    if (w->sent_count == w->sent_capacity) {
        w->sent_capacity = w->sent_capacity ? w->sent_capacity * 2 : 256;
        w->sent = realloc(w->sent, w->sent_capacity * sizeof(struct sent *));
        if (!w->sent) abort();
    }
    struct sent *sent = arena_new_array(w->arena, struct sent, 1);
    if (!sent) abort();
    *sent = (struct sent){.world = w, .side = side};
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

void model_wait(struct world *w)
{
    os_mutex_lock(&w->lock);
    while (w->in_air) os_cond_wait(&w->changed, &w->lock);
    os_mutex_unlock(&w->lock);
}

void model_feed(struct world *w, struct side *side)
{
    for (;;) {
        struct sent *sent = side->fed ? side->fed->next_in_log : side->log_first;
        if (!sent) return;
        side->fed = sent;
        if (!sent->json.data) {
            reference_link(side->reference, sent->device, sent->user, false);
            continue;
        }
        struct json events;
        if (json_parse(side->arena, sent->json, NULL, NULL, &events) != STATUS_OK) abort();
        for (size_t i = 0; i < events.array.count; i++)
            reference_track(side->reference, &events.array.items[i], sent->received_ms);
    }
    (void)w;
}

/* A link shows in who is who, and only if nothing else made it: then it does not matter. */
static bool link_is_there(struct side *side, const struct sent *sent, const struct snapshot *snapshot)
{
    uint32_t device = snapshot_id(snapshot, sent->device), user = snapshot_id(snapshot, sent->user);
    if (!device || !user || snapshot_person(snapshot, device) != snapshot_person(snapshot, user)) return false;
    return !str_eq(ref_person(side->reference, sent->device), sent->user);
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
                if ((sent->json.data == NULL) != (links == 1)) continue;
                if (links) model_feed(w, &w->sides[side]);
                bool there = links ? link_is_there(&w->sides[side], sent, snapshot) : found[sent->marker] > 0;
                if (!there) continue;
                enter_log(w, sent);
                w->report->counts.adopted++;
            }
        }
    }
    for (uint32_t i = 0; i < w->sent_count; i++) {
        if (w->sent[i]->fate == REFUSED && w->sent[i]->side == side) w->sent[i]->fate = GONE;
    }
}
