/*
 * Who is who, in all three identity modes, against the reference (tests/reference/identity.c): random links, verbs,
 * unlinks, deletes and events, in requests of one event or many, from /track and from /import; in between the store is
 * flushed, compacted, reopened, and loses its power, also while several requests are under way: then the store must
 * have a beginning of them, with all that were answered. After every few steps each id must be who the reference says,
 * and each stored row somebody's: the person of its id.
 *
 * And where the rules say that order does not matter, it must not: the same events and links in several orders, in
 * requests of several sizes, and from two threads at once, give one result.
 *
 * CAIRN_SEED and CAIRN_SEEDS are the first seed and how many; the seed of a failure is printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/hash.h"
#include "identity/identity.h"
#include "ingest/ingest.h"
#include "os/sim.h"
#include "os/thread.h"
#include "profile/update.h"
#include "reference/reference.h"
#include "store/delete_record.h"
#include "store/seek.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define PROJECT  7
#define T0       INT64_C(1790000000000)
#define YEAR_MS  (INT64_C(366) * 86400000)
#define IDS      14 /* the first half are devices or made-up ids, the others users */
#define MEMORY   ((size_t)256 << 20)
#define SEEDS    24
#define STEPS    120
#define SENT_MAX 20000

struct world {
    uint64_t seed, random;
    enum identity_mode mode;
    unsigned cluster_max;
    struct sim *sim;
    struct store *store;
    struct arena *arena; /* of the reference */
    struct reference *reference;
    struct sent { /* events that count: under which id they are stored */
        char id[40];
        bool gone;
    } * sent;
    size_t sent_count;
    unsigned made; /* events, which have numbers */
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random = hash_u64(w->random, 1);
    return w->random % below;
}

static void fail_in(const struct world *w, const char *what)
{
    fail_msg("CAIRN_SEED=%llu (mode %u): %s", (unsigned long long)w->seed, w->mode, what);
}

static void id_text(const struct world *w, unsigned number, char out[40])
{
    bool made_up = number < IDS / 2;
    if (!made_up)
        snprintf(out, 40, "user-%u@x", number);
    else if (w->mode == IDENTITY_SIMPLIFIED)
        snprintf(out, 40, "$device:D%u", number);
    else
        snprintf(out, 40, "%s%08x-c0de-4bad-8000-%012u", number % 2 ? "$device:" : "", number, number);
}

/* --- the store --- */

static void open_store(struct world *w)
{
    struct store_options options;
    struct store_report report;
    struct error error = ERROR_INIT;
    store_options_defaults(&options);
    options.fs = sim_fs(w->sim);
    options.link = identity_link;
    options.unlink = identity_unlink;
    options.explain = identity_explain;
    options.update = profile_update;
    options.wal_file_bytes = 1 << 18;
    options.cache_bytes = 1 << 18;
    options.seal_rows = 3 + (uint32_t)draw(w, 20);
    options.compact.fan_in = options.compact.runs_max = 2;
    options.compact.rows_max = 20 + (uint32_t)draw(w, 100);
    if (store_open(&options, &error, &report, &w->store) != STATUS_OK) fail_in(w, error.primary);
}

static void crash(struct world *w)
{
    sim_halt(w->sim, 1);
    store_close(w->store);
    sim_crash(w->sim, draw(w, UINT64_MAX));
    sim_heal(w->sim);
    open_store(w);
}

static void disturb(struct world *w)
{
    struct error error = ERROR_INIT;
    enum status status = STATUS_OK;
    switch (draw(w, 5)) {
    case 0: status = store_flush(w->store, &error); break;
    case 1: status = store_compact_wait(w->store, &error); break;
    case 2: crash(w); break;
    case 3:
        store_close(w->store);
        open_store(w);
        break;
    default: break;
    }
    if (status != STATUS_OK) fail_in(w, error.primary);
}

static void append(struct world *w, struct buf *record)
{
    if (store_append_wait(w->store, record) != STATUS_OK) fail_in(w, "a record is refused");
}

/* --- what happens --- */

static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)token;
    *ret_project = (struct ingest_project){PROJECT, ((const struct world *)context)->mode};
    return true;
}

static int64_t any_time(struct world *w)
{
    return T0 - (draw(w, 2) ? (int64_t)draw(w, 86400000) : YEAR_MS + (int64_t)draw(w, 86400000));
}

/* One event as JSON: of anybody, or one that links. */
static void write_event(struct world *w, struct buf *out, unsigned number)
{
    char a[40], b[40];
    id_text(w, (unsigned)draw(w, IDS), a);
    id_text(w, (unsigned)draw(w, IDS), b);
    bool links = draw(w, 3) == 0, simplified = w->mode == IDENTITY_SIMPLIFIED;
    const char *name = !links || simplified ? "E" : draw(w, 2) ? "$identify" : "$create_alias";
    buf_printf(out, "{\"event\":\"%s\",\"properties\":{\"token\":\"t\",\"time\":%lld,\"$insert_id\":\"i%u\"", name,
               (long long)any_time(w), number);
    if (simplified && links) {
        id_text(w, (unsigned)draw(w, IDS / 2), a);
        id_text(w, IDS / 2 + (unsigned)draw(w, IDS / 2), b);
        buf_printf(out, ",\"$device_id\":\"%s\",\"$user_id\":\"%s\"", a + strlen("$device:"), b);
    } else if (!links) {
        buf_printf(out, ",\"distinct_id\":\"%s\"", a);
    } else if (strcmp(name, "$create_alias") == 0) {
        buf_printf(out, ",\"distinct_id\":\"%s\",\"alias\":\"%s\"", a, b);
    } else if (draw(w, 2)) {
        buf_printf(out, ",\"$identified_id\":\"%s\",\"$anon_id\":\"%s\"", a, b);
    } else {
        buf_printf(out, ",\"distinct_id\":\"%s\",\"$anon_distinct_id\":\"%s\",\"$device_id\":\"x\"", a, b);
    }
    buf_lit(out, "}}");
}

struct events {
    struct arena *arena;
    struct json *list;
    unsigned count;
    size_t bytes;
};

static struct events make_events(struct world *w, unsigned count)
{
    struct error error = ERROR_INIT;
    struct events events = {.arena = arena_new(MEMORY), .count = count};
    struct buf text = BUF_INIT(1 << 20);
    events.list = arena_new_array(events.arena, struct json, count);
    for (unsigned i = 0; i < count; i++) {
        buf_reset(&text);
        write_event(w, &text, w->made++);
        events.bytes += text.size;
        if (json_parse(events.arena, arena_str(events.arena, buf_str(&text)), NULL, &error, &events.list[i]) !=
            STATUS_OK)
            fail_in(w, error.primary);
    }
    buf_fini(&text);
    return events;
}

static void tell_reference(struct world *w, const struct events *events)
{
    for (unsigned i = 0; i < events->count; i++) {
        assert_true(w->sent_count < SENT_MAX);
        struct str id = reference_track(w->reference, &events->list[i], T0);
        snprintf(w->sent[w->sent_count++].id, 40, STR_FMT, STR_ARG(id));
    }
}

static struct buf record_of(struct world *w, const struct events *events)
{
    struct error error = ERROR_INIT;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    limits.age_max_ms = INT64_C(1) << 50;
    limits.cluster_ids_max = w->cluster_max;
    struct ingest_request request = {.records = {events->list, events->count, events->bytes},
                                     .received_ms = T0,
                                     .project_of = project_of,
                                     .context = w};
    struct ingest_outcome outcome;
    if (ingest_run(events->arena, &limits, &request, &error, &outcome) != STATUS_OK) fail_in(w, error.primary);
    if (outcome.refused || outcome.output_count != 1) fail_in(w, "an event is refused");
    struct buf record = outcome.outputs[0].record;
    buf_init(&outcome.outputs[0].record, 0);
    ingest_outcome_fini(&outcome);
    return record;
}

static void track(struct world *w, unsigned count)
{
    struct events events = make_events(w, count);
    tell_reference(w, &events);
    struct buf record = record_of(w, &events);
    append(w, &record);
    arena_free(events.arena);
}

/* A link that is asked for, or (operation 0) taking `a` out of its person's ids. */
struct change {
    unsigned operation;
    char a[40], b[40];
};

static struct change any_change(struct world *w)
{
    struct change change = {.operation = (unsigned)draw(w, 4)};
    id_text(w, (unsigned)draw(w, IDS), change.a);
    id_text(w, (unsigned)draw(w, IDS), change.b);
    return change;
}

static void tell_reference_of(struct world *w, const struct change *change)
{
    if (change->operation)
        reference_link(w->reference, (enum reference_operation)(change->operation - LINK_CREATE), str_of(change->a),
                       str_of(change->b));
    else
        reference_unlink(w->reference, str_of(change->a));
}

static struct buf record_of_change(struct world *w, const struct change *change)
{
    struct buf record = BUF_INIT(4096);
    struct link_view link = {.received_ms = T0,
                             .mode = (uint8_t)w->mode,
                             .operation = (uint8_t)change->operation,
                             .cluster_max = w->cluster_max,
                             .device = str_of(change->a),
                             .user = str_of(change->b)};
    struct unlink_view unlink = {T0, (uint8_t)w->mode, str_of(change->a)};
    enum status status =
        change->operation ? record_link_view(&record, PROJECT, &link) : record_unlink(&record, PROJECT, &unlink);
    assert_int_equal(status, STATUS_OK);
    return record;
}

static void change_one(struct world *w)
{
    struct change change = any_change(w);
    struct buf record = record_of_change(w, &change);
    tell_reference_of(w, &change);
    append(w, &record);
}

static void delete_one(struct world *w)
{
    char id[40];
    struct buf record = BUF_INIT(4096);
    struct error error = ERROR_INIT;
    struct store_deletion deletion;
    id_text(w, (unsigned)draw(w, IDS), id);
    struct str text = str_of(id), person = reference_person(w->reference, text);
    for (size_t i = 0; i < w->sent_count; i++) {
        if (str_eq(reference_person(w->reference, str_of(w->sent[i].id)), person)) w->sent[i].gone = true;
    }
    assert_int_equal(record_delete_person(&record, PROJECT, 0, &text, 1), STATUS_OK);
    if (store_delete(w->store, PROJECT, 0, &record, &error, &deletion) != STATUS_OK) fail_in(w, error.primary);
    reference_delete_person(w->reference, &text, 1);
}

/* --- what must be --- */

struct tally { /* by number of id: rows of it; by number of id: rows of the person shown as it */
    unsigned under[IDS], of[IDS];
};

static unsigned number_of(const struct world *w, struct str text)
{
    char id[40];
    for (unsigned i = 0; i < IDS; i++) {
        id_text(w, i, id);
        if (str_eq(text, str_of(id))) return i;
    }
    fail_in(w, "a row has an id that nobody sent");
    return 0;
}

static void tally_run(struct world *w, struct snapshot *snapshot, struct scan *scan, const struct scan_run *run,
                      struct tally *tally)
{
    struct error error = ERROR_INIT;
    char room[ID_TEXT_ROOM];
    for (uint32_t v = 0; v < run->vectors; v++) {
        const uint32_t *persons, *ids;
        const uint8_t *live;
        uint32_t rows, picked[SCAN_PICKS_MAX], who[SCAN_PICKS_MAX];
        enum status status = scan_vector(scan, v, &error, &rows);
        if (status == STATUS_OK) status = scan_persons(scan, &error, &persons);
        if (status == STATUS_OK) status = scan_ids(scan, &error, &ids);
        if (status == STATUS_OK) status = scan_live(scan, &error, &live);
        uint32_t some = rows < SCAN_PICKS_MAX ? rows : SCAN_PICKS_MAX;
        for (uint32_t i = 0; i < some; i++) picked[i] = rows - some + i;
        if (status == STATUS_OK) status = scan_pick(scan, picked, some, &error);
        if (status == STATUS_OK) status = scan_pick_persons(scan, &error, who);
        if (status != STATUS_OK) fail_in(w, error.primary);
        for (uint32_t i = 0; i < some; i++) {
            if (who[i] != persons[picked[i]]) fail_in(w, "a picked row is somebody else's");
        }
        for (uint32_t i = 0; i < rows; i++) {
            if (!live[i] || !ids[i]) continue; /* or nobody's */
            if (persons[i] != snapshot_person(snapshot, ids[i])) fail_in(w, "a row is not its id's person's");
            tally->under[number_of(w, snapshot_id_text(snapshot, ids[i], room))]++;
            tally->of[number_of(w, snapshot_id_text(snapshot, snapshot_person_id(snapshot, persons[i]), room))]++;
            /* and it is found by whoever looks for the person */
            struct arena *arena = arena_new(1 << 20);
            struct person_number *numbers;
            size_t count;
            bool found = false;
            const uint32_t *stored;
            assert_int_equal(snapshot_person_numbers(snapshot, &persons[i], 1, arena, &error, &numbers, &count),
                             STATUS_OK);
            assert_int_equal(scan_stored_persons(scan, &error, &stored), STATUS_OK);
            for (size_t n = 0; n < count; n++)
                found |= numbers[n].number == stored[i] && run->links_applied <= numbers[n].links_max;
            if (!found) fail_in(w, "a row is not found under its person's numbers");
            if (!snapshot_section_has(snapshot, run, numbers, count)) fail_in(w, "a section hides a person");
            arena_free(arena);
        }
    }
}

static void check(struct world *w)
{
    struct error error = ERROR_INIT;
    struct snapshot *snapshot;
    struct tally wanted = {{0}, {0}}, seen = {{0}, {0}};
    if (store_snapshot(w->store, PROJECT, &error, &snapshot) != STATUS_OK) fail_in(w, error.primary);
    for (unsigned i = 0; i < IDS; i++) {
        char text[40], room[ID_TEXT_ROOM], what[200];
        id_text(w, i, text);
        uint32_t id = snapshot_id(snapshot, str_of(text));
        if (!id) continue; /* or it was forgotten */
        struct str shown =
            snapshot_id_text(snapshot, snapshot_person_id(snapshot, snapshot_person(snapshot, id)), room);
        struct str person = reference_person(w->reference, str_of(text));
        snprintf(what, sizeof what, "%s is shown as " STR_FMT " instead of " STR_FMT, text, STR_ARG(shown),
                 STR_ARG(person));
        if (!str_eq(shown, person)) fail_in(w, what);
    }
    for (size_t i = 0; i < w->sent_count; i++) {
        if (w->sent[i].gone || !w->sent[i].id[0]) continue;
        wanted.under[number_of(w, str_of(w->sent[i].id))]++;
        wanted.of[number_of(w, reference_person(w->reference, str_of(w->sent[i].id)))]++;
    }
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    struct scan *scan;
    struct scan_run run;
    enum status status;
    if (scan_new(snapshot, &options, &error, &scan) != STATUS_OK) fail_in(w, error.primary);
    while ((status = scan_next(scan, &error, &run)) == STATUS_OK) tally_run(w, snapshot, scan, &run, &seen);
    if (status != STATUS_NOT_FOUND) fail_in(w, error.primary);
    scan_free(scan);
    for (unsigned i = 0; i < IDS; i++) {
        char text[40], what[200];
        id_text(w, i, text);
        snprintf(what, sizeof what, "%s has %u rows under it and %u of the person instead of %u and %u", text,
                 seen.under[i], seen.of[i], wanted.under[i], wanted.of[i]);
        if (seen.under[i] != wanted.under[i] || seen.of[i] != wanted.of[i]) fail_in(w, what);
    }
    snapshot_free(snapshot);
}

/* --- a crash while requests are under way --- */

#define FLIGHT_MAX 8

struct flight {
    bool is_change;
    struct change change;
    struct events events;
    _Atomic int answer; /* 0: none, 1: stored, 2: not */
};

static void answered(void *arg, enum status status)
{
    struct flight *flight = arg;
    if (flight->answer) abort();
    flight->answer = status == STATUS_OK ? 1 : 2;
}

static uint64_t rows_in(struct world *w)
{
    struct error error = ERROR_INIT;
    struct snapshot *snapshot;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    struct scan *scan;
    struct scan_run run;
    uint64_t rows = 0;
    if (store_snapshot(w->store, PROJECT, &error, &snapshot) != STATUS_OK) fail_in(w, error.primary);
    if (scan_new(snapshot, &options, &error, &scan) != STATUS_OK) fail_in(w, error.primary);
    while (scan_next(scan, &error, &run) == STATUS_OK) rows += run.rows - run.deleted;
    scan_free(scan);
    snapshot_free(snapshot);
    return rows;
}

/* Requests are in the log up to some place. Which, tells the number of rows; a change behind the last events that are
 * there may be or not, so it is sent once more, which does no harm. */
static void crash_under_way(struct world *w)
{
    struct flight flights[FLIGHT_MAX] = {0};
    unsigned count = 1 + (unsigned)draw(w, FLIGHT_MAX), there = 0, stored = 0;
    uint64_t before = rows_in(w), rows = 0;
    sim_halt(w->sim, 1 + draw(w, 12));
    for (unsigned i = 0; i < count; i++) {
        struct flight *flight = &flights[i];
        struct buf record;
        flight->is_change = draw(w, 3) == 0;
        if (flight->is_change) {
            flight->change = any_change(w);
            record = record_of_change(w, &flight->change);
        } else {
            flight->events = make_events(w, 1 + (unsigned)draw(w, 5));
            record = record_of(w, &flight->events);
        }
        store_append(w->store, &record, answered, flight);
    }
    for (unsigned i = (unsigned)draw(w, count + 1); i--;) { /* so many are past it, or refused */
        while (!flights[i].answer) os_sleep_ns(100000);
    }
    crash(w);
    for (unsigned i = 0; i < count; i++) {
        if (!flights[i].answer) fail_in(w, "a request was never answered");
        if (flights[i].answer == 1) stored = i + 1;
    }
    uint64_t found = rows_in(w) - before;
    while (there < count && (flights[there].is_change || rows + flights[there].events.count <= found))
        rows += flights[there++].events.count;
    if (rows != found) fail_in(w, "a part of a request is there");
    if (there < stored) fail_in(w, "a request that was answered is not there");
    unsigned certain = there;
    while (certain && flights[certain - 1].is_change) certain--;
    for (unsigned i = 0; i < there; i++) {
        if (!flights[i].is_change) {
            tell_reference(w, &flights[i].events);
            continue;
        }
        tell_reference_of(w, &flights[i].change);
        if (i < certain) continue;
        struct buf record = record_of_change(w, &flights[i].change);
        append(w, &record);
    }
    for (unsigned i = 0; i < count; i++) arena_free(flights[i].events.arena);
}

static struct world world_of(uint64_t seed, enum identity_mode mode, unsigned cluster_max)
{
    static const enum reference_mode modes[] = {[IDENTITY_SIMPLIFIED] = REFERENCE_SIMPLIFIED,
                                                [IDENTITY_ORIGINAL] = REFERENCE_ORIGINAL,
                                                [IDENTITY_LEGACY] = REFERENCE_LEGACY};
    struct world w = {.seed = seed, .random = seed, .mode = mode, .cluster_max = cluster_max};
    w.sim = sim_new(seed);
    w.arena = arena_new(MEMORY);
    w.reference = reference_new(w.arena, modes[mode], cluster_max);
    w.sent = calloc(SENT_MAX, sizeof *w.sent);
    assert_non_null(w.sent);
    open_store(&w);
    return w;
}

static void world_end(struct world *w)
{
    store_close(w->store);
    os_fs_free(sim_fs(w->sim));
    arena_free(w->arena);
    free(w->sent);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void random_lives(enum identity_mode mode)
{
    uint64_t first = from_environment("CAIRN_SEED", 1), count = from_environment("CAIRN_SEEDS", SEEDS);
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct world w = world_of(seed, mode, seed % 3 ? 500 : 2 + (unsigned)(seed % 5));
        for (unsigned step = 0; step < STEPS; step++) {
            switch (draw(&w, 8)) {
            case 0:
            case 1: change_one(&w); break;
            case 2: disturb(&w); break;
            case 3:
                if (draw(&w, 8) == 0) delete_one(&w);
                if (draw(&w, 4) == 0) crash_under_way(&w);
                break;
            default: track(&w, draw(&w, 4) ? 1 + (unsigned)draw(&w, 3) : 40);
            }
            if (step % 10 == 9) check(&w);
        }
        world_end(&w);
    }
}

static void simplified_lives(void **state)
{
    (void)state;
    random_lives(IDENTITY_SIMPLIFIED);
}
static void original_lives(void **state)
{
    (void)state;
    random_lives(IDENTITY_ORIGINAL);
}
static void legacy_lives(void **state)
{
    (void)state;
    random_lives(IDENTITY_LEGACY);
}

/* --- orders --- */

#define DEVICES 12
#define USERS   4
#define EVENTS  160

struct part { /* of the events of one history, in an order of its own */
    struct world *world;
    unsigned *order, count;
    uint64_t random;
};

/* Event e: of a device, of its user, or one that links the two. No device has two users. */
static void add_event(struct world *w, struct batch *batch, unsigned e)
{
    unsigned d = e % DEVICES, user = d % USERS;
    char device[40], user_text[40], insert_id[24];
    bool simplified = w->mode == IDENTITY_SIMPLIFIED;
    snprintf(device, sizeof device, "%s%08x-beef", simplified ? "$device:" : "", d);
    snprintf(user_text, sizeof user_text, "U%u", user);
    snprintf(insert_id, sizeof insert_id, "e-%u", e);
    bool links = e < DEVICES; /* one of each, and some twice */
    links |= e % 17 == 0;
    bool by_user = e % 3 == 0;
    int64_t time_ms = T0 - (e % 2 ? YEAR_MS : 0) - e * 1000;
    batch_event(batch, links && !simplified ? STR("$identify") : STR("E"), time_ms,
                str_of(links || by_user ? user_text : device), links ? str_of(device) : STR_NULL, str_of(insert_id));
    batch_event_end(batch);
}

static void *send_part(void *arg)
{
    struct part *part = arg;
    struct world *w = part->world;
    for (unsigned i = 0; i < part->count;) {
        struct batch batch;
        struct buf record;
        part->random = hash_u64(part->random, 2);
        unsigned some = 1 + (unsigned)(part->random % 30);
        batch_init(&batch, 1 << 20);
        batch_begin(&batch, PROJECT, T0, w->mode, part->random & 64 ? BATCH_IMPORT : 0);
        for (; some && i < part->count; some--) add_event(w, &batch, part->order[i++]);
        if (batch_finish(&batch, &record) != STATUS_OK || store_append_wait(w->store, &record) != STATUS_OK) abort();
        batch_fini(&batch);
    }
    return NULL;
}

static void check_people(struct world *w)
{
    struct error error = ERROR_INIT;
    struct snapshot *snapshot;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    struct scan *scan;
    struct scan_run run;
    unsigned rows_of[USERS] = {0}, wanted[USERS] = {0};
    for (unsigned e = 0; e < EVENTS; e++) wanted[e % DEVICES % USERS]++;
    assert_int_equal(store_snapshot(w->store, PROJECT, &error, &snapshot), STATUS_OK);
    assert_int_equal(scan_new(snapshot, &options, &error, &scan), STATUS_OK);
    while (scan_next(scan, &error, &run) == STATUS_OK) {
        for (uint32_t v = 0; v < run.vectors; v++) {
            const uint32_t *persons;
            uint32_t rows;
            assert_int_equal(scan_vector(scan, v, &error, &rows), STATUS_OK);
            assert_int_equal(scan_persons(scan, &error, &persons), STATUS_OK);
            for (uint32_t i = 0; i < rows; i++) {
                char room[ID_TEXT_ROOM];
                struct str shown = snapshot_id_text(snapshot, snapshot_person_id(snapshot, persons[i]), room);
                if (shown.size != 2 || shown.data[0] != 'U') fail_in(w, "a row is not counted for a user");
                rows_of[shown.data[1] - '0']++;
            }
        }
    }
    scan_free(scan);
    snapshot_free(snapshot);
    for (unsigned u = 0; u < USERS; u++) {
        if (rows_of[u] != wanted[u]) fail_in(w, "the users do not have the rows that they should");
    }
}

static void orders_agree(void **state)
{
    (void)state;
    static const enum identity_mode modes[] = {IDENTITY_SIMPLIFIED, IDENTITY_ORIGINAL};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world w = world_of(seed, modes[seed % 2], 500);
        unsigned order[EVENTS];
        for (unsigned i = 0; i < EVENTS; i++) {
            unsigned at = (unsigned)draw(&w, i + 1);
            order[i] = order[at];
            order[at] = i;
        }
        unsigned half = seed % 4 < 2 ? EVENTS : EVENTS / 2; /* or two requests at a time */
        struct part parts[2] = {{&w, order, half, seed}, {&w, order + half, EVENTS - half, seed + 1000}};
        pthread_t other;
        assert_int_equal(pthread_create(&other, NULL, send_part, &parts[1]), 0);
        send_part(&parts[0]);
        assert_int_equal(pthread_join(other, NULL), 0);
        check_people(&w);
        crash(&w);
        check_people(&w);
        disturb(&w);
        check_people(&w);
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simplified_lives),
        cmocka_unit_test(original_lives),
        cmocka_unit_test(legacy_lives),
        cmocka_unit_test(orders_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
