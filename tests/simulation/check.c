/* The contract, checked against the model. */
#include "simulation/world.h"

#include "base/hash.h"
#include "os/sim_threads.h"

#include <inttypes.h>
#include <stdlib.h>

/* Rows by serial: how many, and the sum of their hashes. */
struct tally {
    uint32_t *counts, serials, strangers;
    uint64_t *hashes, rows, sum;
};

static void tally_init(struct tally *tally, uint32_t serials)
{
    *tally = (struct tally){.counts = calloc(serials + 1, sizeof *tally->counts),
                            .hashes = calloc(serials + 1, sizeof *tally->hashes),
                            .serials = serials};
    if (!tally->counts || !tally->hashes) abort();
}

static void tally_fini(struct tally *tally)
{
    free(tally->counts);
    free(tally->hashes);
}

static void tally_add(void *ctx, const struct row_seen *row)
{
    struct tally *tally = ctx;
    tally->rows++;
    tally->sum += hash_u64(row->hash, row->serial);
    if (row->serial >= tally->serials) {
        tally->strangers++;
        return;
    }
    tally->counts[row->serial]++;
    tally->hashes[row->serial] += row->hash;
}

static const struct sent *sent_with(const struct world *w, uint32_t serial)
{
    const struct sent *last = NULL;
    for (uint32_t i = 0; i < w->sent_count; i++) {
        if (w->sent[i]->kind == SENT_EVENTS && w->sent[i]->marker <= serial) last = w->sent[i];
    }
    return last;
}

static void compare_rows(struct world *w, unsigned side, const struct tally *found)
{
    static const char *const fates[] = {"in the air", "in the log", "refused", "gone"};
    struct tally expected;
    tally_init(&expected, found->serials);
    rows_expected(&w->sides[side], tally_add, &expected);
    if (found->strangers) fail(w, "project %u has %u rows that were never sent", side, found->strangers);
    for (uint32_t i = 0; i < found->serials; i++) {
        const struct sent *sent = sent_with(w, i);
        if (found->counts[i] != expected.counts[i])
            fail(w, "project %u: event %" PRIu32 " is there %" PRIu32 " times, not %" PRIu32 " (its record is %s)",
                 side, i, found->counts[i], expected.counts[i], sent ? fates[sent->fate] : "unknown");
        else if (found->hashes[i] != expected.hashes[i])
            fail(w, "project %u: event %" PRIu32 " has other contents than were sent", side, i);
    }
    tally_fini(&expected);
}

/* Names, ids, people: a function of the log, so the same after a crash as before. */
static uint64_t picture_of(const struct snapshot *snapshot)
{
    uint64_t h = 0;
    for (uint32_t i = 0; i < snapshot_event_count(snapshot); i++)
        h = hash_u64(h ^ hash_str(snapshot_event_name(snapshot, i)), i);
    for (uint32_t i = 0; i < snapshot_property_count(snapshot); i++)
        h = hash_u64(h ^ hash_str(snapshot_property_name(snapshot, i)), i);
    for (uint32_t i = 1; i <= snapshot_id_count(snapshot); i++) {
        uint32_t person = snapshot_person(snapshot, i);
        /* The text of somebody who was deleted may stay in memory until the next start. */
        char room[ID_TEXT_ROOM];
        struct str text = snapshot_id_text(snapshot, i, room);
        if (snapshot_id(snapshot, text) != i) continue;
        h = hash_u64(h ^ hash_str(text), person);
        h = hash_u64(h, snapshot_person_id(snapshot, person));
    }
    return hash_u64(h, snapshot_id_count(snapshot));
}

static void compare_pictures(struct world *w, struct side *side, const struct snapshot *snapshot)
{
    uint64_t picture = picture_of(snapshot);
    if (side->pictured && side->picture_count == side->log_count && side->picture != picture)
        fail(w, "numbers of names, ids or people changed, though the log did not");
    side->pictured = true;
    side->picture = picture;
    side->picture_count = side->log_count;
}

static void count_row(void *ctx, const struct row_seen *row)
{
    (void)row;
    ++*(uint64_t *)ctx;
}

static void check_dropped(struct world *w, struct dropped *dropped)
{
    struct error error = ERROR_INIT;
    struct snapshot *snapshot;
    uint64_t rows = 0;
    enum status status = store_snapshot(w->store, dropped->project, &error, &snapshot);
    if (status == STATUS_OK) {
        status = rows_read(w, snapshot, count_row, &rows, &error);
        snapshot_free(snapshot);
    }
    if (status != STATUS_OK)
        fail_unless_excused(w, "a dropped project cannot be read", status, &error);
    else if (rows && (dropped->certain || rows != dropped->rows))
        fail(w, "project %" PRIu64 " was dropped%s and has %" PRIu64 " rows of %" PRIu64, dropped->project,
             dropped->certain ? "" : ", perhaps,", rows, dropped->rows);
    else if (!rows)
        dropped->certain = true;
    if (dropped->certain && !failed(w)) profiles_check_dropped(w, dropped->project);
}

static void check_side(struct world *w, unsigned side)
{
    struct error error = ERROR_INIT;
    struct snapshot *snapshot;
    enum status status = store_snapshot(w->store, w->sides[side].project, &error, &snapshot);
    if (status != STATUS_OK) {
        fail_unless_excused(w, "no snapshot", status, &error);
        return;
    }
    struct tally found;
    tally_init(&found, w->serial);
    status = rows_read(w, snapshot, tally_add, &found, &error);
    if (status == STATUS_OK) {
        if (w->after_crash) model_adopt(w, side, found.counts, snapshot);
        model_feed(w, &w->sides[side]);
        compare_rows(w, side, &found);
        compare_pictures(w, &w->sides[side], snapshot);
        sim_threads_note(found.sum);
    } else {
        fail_unless_excused(w, "a scan failed", status, &error);
    }
    tally_fini(&found);
    snapshot_free(snapshot);
    if (!failed(w)) profiles_check(w, side);
}

void check_everything(struct world *w)
{
    uint64_t reported = w->report->counts.damage_reported;
    w->report->counts.checks++;
    for (unsigned side = 0; side < SIDES && !failed(w); side++) check_side(w, side);
    for (unsigned i = 0; i < w->drop_count && !failed(w); i++) check_dropped(w, &w->dropped[i]);
    for (unsigned i = 0; w->swarm.questions && i < 4 && !failed(w); i++) question_compare(w, (unsigned)draw(w, SIDES));
    /* When a read failed or the power went off in between, what is there is not known yet. */
    if (!sim_halted(w->disk) && reported == w->report->counts.damage_reported) w->after_crash = false;
}

/* Adds up what all sides show; false when something was reported instead. */
static bool look(struct world *w, uint64_t sums[SIDES])
{
    for (unsigned side = 0; side < SIDES; side++) {
        struct error error = ERROR_INIT;
        struct snapshot *snapshot;
        struct tally tally;
        enum status status = store_snapshot(w->store, w->sides[side].project, &error, &snapshot);
        tally_init(&tally, w->serial);
        if (status == STATUS_OK) {
            status = rows_read(w, snapshot, tally_add, &tally, &error);
            snapshot_free(snapshot);
        }
        sums[side] = tally.sum + tally.rows;
        if (tally.strangers) fail(w, "after salvage project %u has rows that were never sent", side);
        tally_fini(&tally);
        if (status == STATUS_OK) continue;
        fail_unless_excused(w, "a salvaged store cannot be read", status, &error);
        return false;
    }
    return true;
}

/* What is left was sent, can be asked about and added to, and is the same when the store is opened as usual. */
void check_salvage(struct world *w)
{
    struct error error = ERROR_INIT;
    uint64_t sums[SIDES], again[SIDES];
    enum status status = world_open_salvaging(w, &error);
    w->report->counts.salvages++;
    w->salvaged = true;
    if (status != STATUS_OK) {
        fail_unless_excused(w, "a damaged store cannot be salvaged", status,
                            &error); /* damage elsewhere than in the log */
        return;
    }
    bool whole = look(w, sums);
    for (unsigned i = 0; i < 3; i++) question_ask(w, (unsigned)draw(w, SIDES));
    if (!failed(w)) world_expect_writing(w);
    whole = whole && !failed(w) && look(w, sums);
    world_close(w);
    if (failed(w)) return;
    status = world_open(w, &error);
    if (status != STATUS_OK)
        fail_unless_excused(w, "a salvaged store does not open again", status, &error);
    else if (whole && look(w, again) && memcmp(sums, again, sizeof sums) != 0)
        fail(w, "a salvaged store shows something else after it was opened again");
}

/* Whatever was acknowledged before is in a snapshot, nothing that was refused is, and it never changes. */
void check_snapshot(struct world *w, unsigned side)
{
    struct error error = ERROR_INIT;
    struct snapshot *snapshot;
    uint32_t before = w->sent_count;
    uint64_t project = w->sides[side].project;
    uint8_t *acked = calloc(before + 1, 1);
    if (!acked) abort();
    for (uint32_t i = 0; i < before; i++)
        acked[i] = w->sent[i]->fate == IN_LOG && w->sent[i]->project == project && w->sent[i]->kind == SENT_EVENTS;
    enum status status = store_snapshot(w->store, project, &error, &snapshot);
    if (status != STATUS_OK) {
        fail_unless_excused(w, "no snapshot", status, &error);
        free(acked);
        return;
    }
    struct tally first, second;
    uint32_t serials = w->serial;
    tally_init(&first, serials);
    tally_init(&second, serials);
    status = rows_read(w, snapshot, tally_add, &first, &error);
    if (status != STATUS_OK) fail_unless_excused(w, "a scan failed", status, &error);
    for (uint32_t i = 0; i < w->sent_count && status == STATUS_OK && !w->after_crash; i++) {
        const struct sent *sent = w->sent[i];
        if (sent->project != project || sent->kind != SENT_EVENTS || sent->marker >= serials) continue;
        if (i < before && acked[i] && first.counts[sent->marker] != 1)
            fail(w, "a snapshot lacks record %u, which was acknowledged before", i);
        if ((sent->fate == REFUSED || sent->fate == GONE) && first.counts[sent->marker])
            fail(w, "a snapshot shows record %u, which was refused", i);
    }
    if (status == STATUS_OK && once_in(w, 2)) {
        os_sleep_ns((int64_t)draw(w, 200000000));
        status = rows_read(w, snapshot, tally_add, &second, &error);
        if (status != STATUS_OK)
            fail_unless_excused(w, "a second scan failed", status, &error);
        else if (first.rows != second.rows || first.sum != second.sum)
            fail(w, "a snapshot of project %u changed", side);
    }
    tally_fini(&first);
    tally_fini(&second);
    free(acked);
    snapshot_free(snapshot);
}
