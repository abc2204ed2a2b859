/* Profiles: every update adds 1 to a counter, appends its serial to a list and sets a property to it, so that a profile
 * tells which updates were carried out, how often, and in which order. */
#include "simulation/world.h"

#include "os/clock.h"
#include "profile/operations.h"
#include "store/profiles.h"
#include "store/update_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct str event_of(unsigned profile)
{
    return profile % 2 ? STR("$group:team") : STR("$user");
}

static struct str id_of(unsigned profile, char out[16])
{
    return str_from(out, (size_t)snprintf(out, 16, "P%u", profile / 2)); /* a user and a group share each */
}

static void add_number(struct buf *out, enum operation operation, const char *name, int64_t number)
{
    struct json json = json_int(number);
    if (operation_value(out, operation, str_of(name), &json) != STATUS_OK) abort();
}

struct sent *profiles_send(struct world *w, unsigned side)
{
    struct buf record = BUF_INIT(1 << 16), out = BUF_INIT(1 << 16);
    struct sent *sent = model_sent(w, side, SENT_UPDATE);
    char id[16];
    sent->marker = ++w->update_serial;
    sent->profile = (unsigned)draw(w, PROFILES);
    add_number(&out, OPERATION_ADD, "n", 1);
    add_number(&out, OPERATION_APPEND, "log", sent->marker);
    add_number(&out, OPERATION_SET, "last", sent->marker);
    operation_seen(&out, os_now_ms());
    struct update_view update = {.received_ms = (uint64_t)os_now_ms(),
                                 .limits = {100, 1 << 20, 1 << 20},
                                 .event = event_of(sent->profile),
                                 .id = id_of(sent->profile, id),
                                 .operations = buf_str(&out)};
    if (record_update(&record, store_profiles_of(sent->project), &update) != STATUS_OK) abort();
    store_append(w->store, &record, model_settled, sent);
    buf_fini(&out);
    return sent;
}

/* --- what a snapshot shows --- */

struct shown {
    bool there;
    int64_t n, last;
    uint32_t *serials, count; /* of the list; malloc'd */
};

static void read_log(struct value list, struct shown *shown)
{
    struct value_iter iter = value_iter(list);
    struct value item;
    shown->serials = calloc(iter.left + 1, sizeof *shown->serials);
    if (!shown->serials) abort();
    while (value_next(&iter, NULL, &item)) shown->serials[shown->count++] = (uint32_t)item.integer;
}

static struct shown *find(struct world *w, struct shown shown[PROFILES], struct str event, struct str id)
{
    char text[16];
    for (unsigned i = 0; i < PROFILES; i++) {
        if (str_eq(event, event_of(i)) && str_eq(id, id_of(i, text))) return &shown[i];
    }
    fail(w, "there is a profile that nobody made");
    return NULL;
}

static enum status read_vector(struct world *w, struct snapshot *snapshot, struct scan *scan, struct str event,
                               uint32_t rows, struct error *error, struct shown shown[PROFILES])
{
    const uint8_t *live;
    const uint32_t *ids, *properties;
    size_t count;
    struct shown *of_row[VECTOR_ROWS_MAX] = {NULL};
    TRY(scan_live(scan, error, &live));
    TRY(scan_ids(scan, error, &ids));
    TRY(scan_properties(scan, error, &properties, &count));
    for (uint32_t i = 0; i < rows; i++) {
        char room[ID_TEXT_ROOM];
        if (live[i]) of_row[i] = find(w, shown, event, snapshot_id_text(snapshot, ids[i], room));
        if (!of_row[i]) continue;
        if (of_row[i]->there) fail(w, "two rows of one profile count");
        of_row[i]->there = true;
    }
    for (size_t p = 0; p < count; p++) {
        struct vector vector;
        struct str name = snapshot_property_name(snapshot, properties[p]);
        TRY(scan_property(scan, properties[p], error, &vector));
        for (uint32_t i = 0; i < rows; i++) {
            struct value value = vector_at(&vector, i);
            if (!of_row[i] || failed(w)) continue;
            if (str_is(name, "n") && value.type == VALUE_INT) of_row[i]->n = value.integer;
            if (str_is(name, "last") && value.type == VALUE_INT) of_row[i]->last = value.integer;
            if (str_is(name, "log") && value.type == VALUE_LIST) read_log(value, of_row[i]);
        }
    }
    return STATUS_OK;
}

static enum status look(struct world *w, uint64_t project, struct error *error, struct shown shown[PROFILES])
{
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX, .memory_bytes_max = (size_t)64 << 20};
    struct scan_run run;
    TRY(store_snapshot(w->store, store_profiles_of(project), error, &snapshot));
    enum status status = scan_new(snapshot, &options, error, &scan);
    if (status == STATUS_OK) {
        while (status == STATUS_OK && (status = scan_next(scan, error, &run)) == STATUS_OK) {
            struct str event = snapshot_event_name(snapshot, run.event_id);
            for (uint32_t v = 0; v < run.vectors && status == STATUS_OK; v++) {
                uint32_t rows;
                status = scan_vector(scan, v, error, &rows);
                if (status == STATUS_OK) status = read_vector(w, snapshot, scan, event, rows, error, shown);
            }
        }
        scan_free(scan);
    }
    snapshot_free(snapshot);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* --- the contract --- */

static struct sent *sent_with(const struct world *w, unsigned side, uint32_t serial)
{
    for (uint32_t i = 0; i < w->sent_count; i++) {
        struct sent *sent = w->sent[i];
        if (sent->kind == SENT_UPDATE && sent->marker == serial)
            return sent->project == w->sides[side].project ? sent : NULL;
    }
    return NULL;
}

/* Everything in the list was sent to this profile, once, in this order; what was refused is not there, but after a
 * crash, when it stays for good. */
static void check_log(struct world *w, unsigned side, unsigned profile, const struct shown *shown)
{
    uint32_t settled = 0;
    for (uint32_t i = 0; i < shown->count && !failed(w); i++) {
        struct sent *sent = sent_with(w, side, shown->serials[i]);
        if (!sent || sent->profile != profile) {
            fail(w, "profile %u shows update %" PRIu32 ", which was not sent to it", profile, shown->serials[i]);
        } else if (sent->settled <= settled) {
            fail(w, "profile %u shows update %" PRIu32 " in the wrong place", profile, shown->serials[i]);
        } else if (sent->fate == REFUSED && w->after_crash) {
            sent->fate = IN_LOG;
            w->report->counts.adopted++;
        } else if (sent->fate != IN_LOG) {
            fail(w, "profile %u shows update %" PRIu32 ", which was refused", profile, shown->serials[i]);
        }
        if (sent) settled = sent->settled;
    }
    uint32_t expected = 0;
    for (uint32_t i = 0; i < w->sent_count; i++) {
        const struct sent *sent = w->sent[i];
        expected += sent->kind == SENT_UPDATE && sent->project == w->sides[side].project && sent->profile == profile &&
                    sent->fate == IN_LOG;
    }
    if (expected != shown->count)
        fail(w, "profile %u of project %u shows %" PRIu32 " updates of %" PRIu32, profile, side, shown->count,
             expected);
    if (shown->n != shown->count || (shown->count && shown->last != shown->serials[shown->count - 1]) ||
        shown->there != (shown->count > 0))
        fail(w, "profile %u counts %" PRId64 " updates, not %" PRIu32 "; the last is %" PRId64, profile, shown->n,
             shown->count, shown->last);
}

static bool owes(struct world *w)
{
    struct store_stats stats;
    store_stats(w->store, &stats);
    return stats.update_debt_bytes > 0;
}

static void free_shown(struct shown shown[PROFILES])
{
    for (unsigned i = 0; i < PROFILES; i++) free(shown[i].serials);
    memset(shown, 0, PROFILES * sizeof *shown);
}

void profiles_check(struct world *w, unsigned side)
{
    struct shown shown[PROFILES] = {{0}};
    struct error error = ERROR_INIT;
    enum status status = look(w, w->sides[side].project, &error, shown);
    if (owes(w)) {
        /* Updates met what cannot be read; they are tried again after a second. */
        free_shown(shown);
        os_sleep_ns(1500000000);
        status = look(w, w->sides[side].project, &error, shown);
        os_sleep_ns(500000000); /* it is counted a little later */
    }
    bool trouble = w->damaged || w->reads_fail || (w->swarm.silent && sim_faults(w->disk, SIM_WRITE) > 0);
    if (status != STATUS_OK)
        fail_unless_excused(w, "profiles cannot be read", status, &error);
    else if (owes(w) && !sim_halted(w->disk) && !trouble)
        fail(w, "updates are still owed");
    else if (!owes(w))
        for (unsigned i = 0; i < PROFILES && !failed(w); i++) check_log(w, side, i, &shown[i]);
    bool known = status == STATUS_OK && !owes(w);
    for (uint32_t i = 0; i < w->sent_count && w->after_crash && known; i++) {
        struct sent *sent = w->sent[i];
        if (sent->kind == SENT_UPDATE && sent->side == side && sent->fate == REFUSED) sent->fate = GONE;
    }
    free_shown(shown);
}

void profiles_check_dropped(struct world *w, uint64_t project)
{
    struct shown shown[PROFILES] = {{0}};
    struct error error = ERROR_INIT;
    enum status status = look(w, project, &error, shown);
    if (status != STATUS_OK) fail_unless_excused(w, "profiles of a dropped project cannot be read", status, &error);
    for (unsigned i = 0; i < PROFILES; i++) {
        if (shown[i].there) fail(w, "a project was dropped, and its profiles are there");
    }
    free_shown(shown);
}
