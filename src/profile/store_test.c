/*
 * Profiles in the store, against a model that keeps them in an array: updates of users and groups by ids that are
 * linked, unlinked and deleted meanwhile, through flushes, compactions, ends in order and power cuts. What was
 * acknowledged is carried out exactly once and in order, whatever happens: a counter says how often, a list says in
 * which order. And what becomes of updates whose profile cannot be read.
 *
 * The disk is simulated, the store's threads are real, so that a compaction or a flush is somewhere else in every run.
 */
#include "os/sim.h"
#include "os/thread.h"
#include "profile/operations.h"
#include "profile/update.h"
#include "store/delete_record.h"
#include "store/ids.h"
#include "store/inspect.h"
#include "store/profiles.h"
#include "store/store.h"
#include "store/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/hash.h"

#define PROJECT      1
#define T0           1700000000000LL
#define USERS        4
#define DEVICES      6
#define GROUPS       3
#define KEYS         (USERS + DEVICES + GROUPS)
#define LIST_MAX     24
#define PROPERTY_MAX 40

/* Devices belong to the first user that they are linked to. */
static unsigned link_rule(struct id_graph *graph, const struct link_request *request)
{
    uint32_t device = request->device, user = request->user, person = id_graph_person(graph, device);
    if (person == id_graph_person(graph, user)) return 0;
    if (id_graph_shown(graph, person) != device) return 1;
    return id_graph_link(graph, device, user, user, NULL) == STATUS_OK ? 0 : 1;
}

static size_t explain_taken(const struct id_graph *graph, const struct link_request *request, unsigned reason,
                            char room[LINK_TEXT_ROOM], struct link_property ret_properties[LINK_PROPERTIES_MAX])
{
    (void)graph, (void)request, (void)reason, (void)room;
    ret_properties[0] = (struct link_property){STR("$identity_failure_reason"), STR("taken")};
    return 1;
}

struct profile {
    bool exists;
    int64_t count, last; /* last 0: not set */
    int64_t list[LIST_MAX];
    unsigned list_count;
    int64_t wide[PROPERTY_MAX]; /* properties that few profiles have; 0: not set */
};

struct world {
    struct sim *sim;
    struct store *store;
    struct error error;
    uint64_t random;
    int64_t serial;
    struct profile profiles[KEYS]; /* by key: users, devices, groups */
    bool known[USERS + DEVICES];   /* to the project's graph */
    int user_of[DEVICES];          /* -1: nobody's */
    uint64_t flush_rows;
    bool compaction, dropped;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random = hash_u64(w->random, 1);
    return (w->random >> 8) % below;
}

static void key_text(unsigned key, char out[16])
{
    if (key < USERS)
        snprintf(out, 16, "U%u", key);
    else if (key < USERS + DEVICES)
        snprintf(out, 16, "$device:D%u", key - USERS);
    else
        snprintf(out, 16, "U%u", key - USERS - DEVICES); /* a group of a user's name */
}

static void open_store(struct world *w)
{
    struct store_options options;
    struct store_report report;
    store_options_defaults(&options);
    options.fs = sim_fs(w->sim);
    options.link = link_rule;
    options.update = profile_update;
    options.explain = explain_taken;
    options.wal_file_bytes = 65536;
    options.cache_bytes = 1 << 18;
    options.flush_rows = w->flush_rows;
    if (w->random % 3 == 0) options.seal_rows = 1 + (uint32_t)(w->random / 3 % 8); /* of so few profiles */
    options.compact.fan_in = w->compaction ? 2 : 0;
    options.compact.runs_max = 4;
    options.compact.idle_ms = 0;
    options.compact.burst_ms = 0;
    options.compact.delete_per_mille = 1;
    options.purge_deadline_ms = 1000;
    w->error = ERROR_INIT;
    if (store_open(&options, &w->error, &report, &w->store) != STATUS_OK)
        fail_msg("%s %s", w->error.primary, w->error.detail);
}

static struct world *world_new(uint64_t seed, uint64_t flush_rows, bool compaction)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    *w = (struct world){.sim = sim_new(seed), .random = seed, .flush_rows = flush_rows, .compaction = compaction};
    for (int i = 0; i < DEVICES; i++) w->user_of[i] = -1;
    open_store(w);
    return w;
}

static void world_end(struct world *w)
{
    store_close(w->store);
    os_fs_free(sim_fs(w->sim));
    free(w);
}

/* --- sending --- */

/* Whose profile an update of this key changes. */
static unsigned resolve(const struct world *w, unsigned key, bool literal)
{
    if (literal || key < USERS || key >= USERS + DEVICES) return key;
    int user = w->user_of[key - USERS];
    return user < 0 ? key : (unsigned)user;
}

static void add_update(struct world *w, struct buf *records, unsigned key, bool literal, const struct buf *operations)
{
    char text[16];
    key_text(key, text);
    struct update_view update = {.received_ms = (uint64_t)T0 + (uint64_t)w->serial * 100,
                                 .flags = literal ? UPDATE_LITERAL : 0,
                                 .limits = {1000, 1 << 16, 1 << 20},
                                 .event = key < USERS + DEVICES ? STR("$user") : STR("$group:team"),
                                 .id = str_of(text),
                                 .operations = buf_str(operations)};
    assert_int_equal(record_update(records, store_profiles_of(PROJECT), &update), STATUS_OK);
}

static void set(struct buf *out, enum operation operation, const char *name, int64_t number)
{
    struct json json = json_int(number);
    assert_int_equal(operation_value(out, operation, str_of(name), &json), STATUS_OK);
}

static void send_update(struct world *w, struct buf *records, unsigned key)
{
    bool literal = draw(w, 4) == 0;
    struct profile *profile = &w->profiles[resolve(w, key, literal)];
    struct buf out = BUF_INIT(1 << 16);
    char name[16];
    int64_t serial = ++w->serial;
    unsigned wide = (unsigned)draw(w, PROPERTY_MAX);
    snprintf(name, sizeof name, "wide%u", wide);
    switch (draw(w, 12)) {
    case 0:
        operation_plain(&out, OPERATION_DELETE);
        *profile = (struct profile){0};
        break;
    case 1:
        operation_name(&out, STR("last"));
        profile->last = 0;
        break;
    case 2:
        set(&out, OPERATION_SET_ONCE, name, serial);
        if (!profile->wide[wide]) profile->wide[wide] = serial;
        profile->exists = true;
        break;
    case 3:
        operation_name(&out, str_of(name));
        profile->wide[wide] = 0;
        break;
    case 4:
        if (profile->list_count) {
            int64_t gone = profile->list[draw(w, profile->list_count)];
            set(&out, OPERATION_REMOVE, "list", gone);
            unsigned kept = 0;
            for (unsigned i = 0; i < profile->list_count; i++) {
                if (profile->list[i] != gone) profile->list[kept++] = profile->list[i];
            }
            profile->list_count = kept;
        }
        break;
    default:
        set(&out, OPERATION_ADD, "count", 1);
        set(&out, OPERATION_SET, "last", serial);
        profile->count++;
        profile->last = serial;
        if (profile->list_count < LIST_MAX) {
            set(&out, OPERATION_APPEND, "list", serial);
            profile->list[profile->list_count++] = serial;
        }
        profile->exists = true;
    }
    if (draw(w, 2)) operation_seen(&out, T0 + serial * 100);
    add_update(w, records, key, literal, &out);
    buf_fini(&out);
}

static void send_updates(struct world *w, unsigned count)
{
    struct buf records = BUF_INIT(1 << 20);
    while (count--) send_update(w, &records, (unsigned)draw(w, KEYS));
    assert_int_equal(store_append_wait(w->store, &records), STATUS_OK);
}

static void send_link(struct world *w)
{
    unsigned device = (unsigned)draw(w, DEVICES), user = (unsigned)draw(w, USERS);
    struct buf record = BUF_INIT(4096);
    char d[16], u[16];
    key_text(USERS + device, d);
    key_text(user, u);
    assert_int_equal(record_link(&record, PROJECT, T0, IDENTITY_SIMPLIFIED, LINK_CREATE, str_of(d), str_of(u)),
                     STATUS_OK);
    assert_int_equal(store_append_wait(w->store, &record), STATUS_OK);
    w->known[USERS + device] = w->known[user] = true;
    if (w->user_of[device] < 0) w->user_of[device] = (int)user;
}

/* With all ids of the person, but not the group of the same name. */
static void send_delete(struct world *w)
{
    unsigned key = (unsigned)draw(w, USERS + DEVICES);
    struct buf record = BUF_INIT(4096);
    struct store_deletion deletion;
    char text[16];
    key_text(key, text);
    struct str id = str_of(text);
    uint64_t request = (uint64_t)++w->serial;
    assert_int_equal(record_delete_person(&record, PROJECT, request, &id, 1), STATUS_OK);
    assert_int_equal(store_delete(w->store, PROJECT, request, &record, &w->error, &deletion), STATUS_OK);
    assert_int_equal(deletion.sections_owed, 0);
    int user = key < USERS ? (int)key : w->user_of[key - USERS];
    w->profiles[key] = (struct profile){0};
    if (key < USERS && !w->known[key]) return;
    if (user < 0) return;
    w->profiles[user] = (struct profile){0};
    w->known[user] = false;
    for (unsigned i = 0; i < DEVICES; i++) {
        if (w->user_of[i] != user) continue;
        w->profiles[USERS + i] = (struct profile){0};
        w->user_of[i] = -1;
        w->known[USERS + i] = false;
    }
}

/* --- looking --- */

static void read_list(struct value list, struct profile *profile)
{
    struct value_iter iter = value_iter(list);
    struct value item;
    while (value_next(&iter, NULL, &item)) {
        assert_true(profile->list_count < LIST_MAX);
        profile->list[profile->list_count++] = item.integer;
    }
}

static unsigned key_of(struct str event, struct str id)
{
    for (unsigned key = 0; key < KEYS; key++) {
        char text[16];
        key_text(key, text);
        if (str_eq(id, str_of(text)) && (key >= USERS + DEVICES) == str_is(event, "$group:team")) return key;
    }
    fail_msg("a profile of " STR_FMT " " STR_FMT, STR_ARG(event), STR_ARG(id));
    return 0;
}

static void read_vector(struct snapshot *snapshot, struct scan *scan, struct str event, uint32_t rows,
                        struct profile found[KEYS])
{
    const uint8_t *live;
    const uint32_t *ids, *properties;
    const int64_t *times;
    struct error error = ERROR_INIT;
    struct profile *of_row[VECTOR_ROWS_MAX] = {NULL};
    size_t count;
    assert_int_equal(scan_live(scan, &error, &live), STATUS_OK);
    assert_int_equal(scan_ids(scan, &error, &ids), STATUS_OK);
    assert_int_equal(scan_times(scan, &error, &times), STATUS_OK);
    assert_int_equal(scan_properties(scan, &error, &properties, &count), STATUS_OK);
    for (uint32_t i = 0; i < rows; i++) {
        char room[ID_TEXT_ROOM];
        if (!live[i]) continue;
        assert_int_equal(times[i], 0);
        of_row[i] = &found[key_of(event, snapshot_id_text(snapshot, ids[i], room))];
        if (of_row[i]->exists) fail_msg("two rows of a profile count");
        of_row[i]->exists = true;
    }
    for (size_t p = 0; p < count; p++) {
        struct vector vector;
        struct str name = snapshot_property_name(snapshot, properties[p]);
        assert_int_equal(scan_property(scan, properties[p], &error, &vector), STATUS_OK);
        for (uint32_t i = 0; i < rows; i++) {
            struct value value = vector_at(&vector, i);
            unsigned wide;
            if (!of_row[i] || value.type == VALUE_ABSENT) continue;
            if (str_is(name, "count"))
                of_row[i]->count = value.integer;
            else if (str_is(name, "last"))
                of_row[i]->last = value.integer;
            else if (str_is(name, "list"))
                read_list(value, of_row[i]);
            else if (sscanf(name.data, "wide%u", &wide) == 1)
                of_row[i]->wide[wide] = value.integer;
            else
                assert_true(str_is(name, "$last_seen"));
        }
    }
}

static void check(struct world *w)
{
    struct profile *found = calloc(KEYS, sizeof *found);
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_run run;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    assert_non_null(found);
    assert_int_equal(store_snapshot(w->store, store_profiles_of(PROJECT), &w->error, &snapshot), STATUS_OK);
    assert_int_equal(scan_new(snapshot, &options, &w->error, &scan), STATUS_OK);
    while (scan_next(scan, &w->error, &run) == STATUS_OK) {
        for (uint32_t v = 0; v < run.vectors; v++) {
            uint32_t rows;
            assert_int_equal(scan_vector(scan, v, &w->error, &rows), STATUS_OK);
            read_vector(snapshot, scan, snapshot_event_name(snapshot, run.event_id), rows, found);
        }
    }
    scan_free(scan);
    snapshot_free(snapshot);
    for (unsigned key = 0; key < KEYS; key++) {
        const struct profile *a = &found[key], *b = &w->profiles[key];
        char text[16];
        key_text(key, text);
        if (a->exists != b->exists) fail_msg("%s %u: there %d, not %d", text, key, a->exists, b->exists);
        if (a->count != b->count || a->last != b->last || a->list_count != b->list_count ||
            memcmp(a->list, b->list, sizeof a->list[0] * a->list_count) != 0 ||
            memcmp(a->wide, b->wide, sizeof a->wide) != 0)
            fail_msg("%s %u: count %lld, last %lld, %u items; not %lld, %lld, %u", text, key, (long long)a->count,
                     (long long)a->last, a->list_count, (long long)b->count, (long long)b->last, b->list_count);
    }
    free(found);
}

static void print_finding(void *ctx, const struct finding *finding)
{
    (void)ctx;
    if (finding->kind == FINDING_DAMAGE) print_message("%s: %s\n", finding->file, finding->what);
}

static void expect_sound(struct world *w)
{
    struct verify_options options = {.fs = sim_fs(w->sim), .deep = true, .sink = {.report = print_finding}};
    struct verify_report report;
    assert_int_equal(verify_directory(&options, &w->error, &report), STATUS_OK);
    assert_int_equal(report.findings, 0);
}

static void crash(struct world *w)
{
    sim_halt(w->sim, 0);
    store_close(w->store);
    sim_crash(w->sim, draw(w, UINT32_MAX));
    open_store(w);
}

/* --- the tests --- */

static void course(uint64_t seed)
{
    struct world *w = world_new(seed, 10 + hash_u64(seed, 3) % 60, hash_u64(seed, 4) % 4 != 0);
    bool crashes = hash_u64(seed, 5) % 4 != 0, deletes = hash_u64(seed, 6) % 2;
    for (int step = 0; step < 150; step++) {
        switch (draw(w, 16)) {
        case 0: send_link(w); break;
        case 1:
            if (deletes) send_delete(w);
            break;
        case 2: assert_int_equal(store_flush(w->store, &w->error), STATUS_OK); break;
        case 3:
            if (w->compaction && draw(w, 3) == 0) assert_int_equal(store_compact_wait(w->store, &w->error), STATUS_OK);
            break;
        case 4: check(w); break;
        case 5:
            if (crashes) crash(w);
            break;
        case 6:
            if (draw(w, 4)) break;
            store_close(w->store);
            if (draw(w, 4) == 0) expect_sound(w);
            open_store(w);
            break;
        case 7: usleep((useconds_t)draw(w, 3000)); break; /* for the background */
        default: send_updates(w, 1 + (unsigned)draw(w, draw(w, 4) ? 3 : 60));
        }
    }
    check(w);
    crash(w);
    check(w);
    world_end(w);
}

static void random_courses(void **state)
{
    (void)state;
    const char *from = getenv("SEED"), *seeds = getenv("SEEDS");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1, count = seeds ? strtoull(seeds, NULL, 10) : 40;
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (from || seeds) print_message("seed %llu\n", (unsigned long long)seed);
        course(seed);
    }
}

/* Threads that add at once: each addition counts. */
struct adder {
    struct store *store;
    unsigned rounds;
};

static void add_many(void *arg)
{
    struct adder *adder = arg;
    for (unsigned i = 0; i < adder->rounds; i++) {
        struct buf records = BUF_INIT(1 << 16), out = BUF_INIT(1 << 16);
        set(&out, OPERATION_ADD, "count", 1);
        struct update_view update = {.received_ms = T0,
                                     .limits = {100, 1000, 10000},
                                     .event = STR("$user"),
                                     .id = STR("U0"),
                                     .operations = buf_str(&out)};
        if (record_update(&records, store_profiles_of(PROJECT), &update) != STATUS_OK ||
            store_append_wait(adder->store, &records) != STATUS_OK)
            abort();
        buf_fini(&out);
    }
}

static void clients_add_at_once(void **state)
{
    (void)state;
    struct world *w = world_new(5, 50, true);
    struct os_thread threads[4];
    struct adder adder = {w->store, 500};
    for (int i = 0; i < 4; i++) assert_int_equal(os_thread_spawn(&threads[i], "adder", add_many, &adder), STATUS_OK);
    for (int i = 0; i < 4; i++) os_thread_join(&threads[i]);
    w->profiles[0] = (struct profile){.exists = true, .count = 2000};
    check(w);
    crash(w);
    check(w);
    world_end(w);
}

/* One profile, changed half a million times: it stays one row, and so does what memory holds of it. */
static void a_hot_profile_stays_small(void **state)
{
    (void)state;
    struct world *w = world_new(6, 1000000, false);
    struct buf out = BUF_INIT(1 << 16);
    set(&out, OPERATION_ADD, "count", 1);
    for (int round = 0; round < 500; round++) {
        struct buf records = BUF_INIT(1 << 20);
        for (int i = 0; i < 1000; i++) add_update(w, &records, 0, false, &out);
        assert_int_equal(store_append_wait(w->store, &records), STATUS_OK);
    }
    w->profiles[0] = (struct profile){.exists = true, .count = 500000};
    check(w);
    struct store_stats stats;
    for (int i = 0; i < 1000; i++) { /* counted a little later */
        store_stats(w->store, &stats);
        if (stats.updates == 500000) break;
        usleep(20000);
    }
    assert_int_equal(stats.updates, 500000);
    assert_int_equal(stats.rows_in_memory, 1);
    assert_in_range(stats.memory_bytes, 1, 20000);
    buf_fini(&out);
    world_end(w);
}

/* A dropped project has no profiles, and gets none. */
static void a_drop_takes_the_profiles(void **state)
{
    (void)state;
    struct world *w = world_new(7, 20, true);
    send_updates(w, 200);
    struct buf record = BUF_INIT(64);
    assert_int_equal(record_project_drop(&record, PROJECT), STATUS_OK);
    assert_int_equal(store_append_wait(w->store, &record), STATUS_OK);
    memset(w->profiles, 0, sizeof w->profiles);
    check(w);
    for (int round = 0; round < 2; round++) {
        struct buf records = BUF_INIT(1 << 16), out = BUF_INIT(1 << 16);
        set(&out, OPERATION_ADD, "count", 1);
        add_update(w, &records, 0, false, &out);
        assert_int_equal(store_append_wait(w->store, &records), STATUS_OK);
        buf_fini(&out);
        check(w);
        crash(w);
        check(w);
        assert_int_equal(store_flush(w->store, &w->error), STATUS_OK);
    }
    world_end(w);
}

static void count_project(void *ctx, uint64_t project)
{
    assert_int_equal(project, PROJECT);
    ++*(int *)ctx;
}

/* Projects are listed without their shadows. */
static void shadows_are_not_listed(void **state)
{
    (void)state;
    struct world *w = world_new(8, 20, false);
    int count = 0;
    send_updates(w, 50);
    assert_int_equal(store_projects(w->store, count_project, &count), STATUS_OK);
    assert_int_equal(count, 1); /* it has profiles and nothing else */
    send_link(w);
    count = 0;
    assert_int_equal(store_projects(w->store, count_project, &count), STATUS_OK);
    assert_int_equal(count, 1);
    struct store_stats stats;
    assert_int_equal(store_flush(w->store, &w->error), STATUS_OK);
    for (int i = 0; i < 1000; i++) {
        store_stats(w->store, &stats);
        if (stats.projects == 1) break;
        usleep(20000);
    }
    assert_int_equal(stats.projects, 1);
    world_end(w);
}

/* The id of a deleted person is in no file in the end, but that of a group of the same name is. */
static bool is_on_disk(struct world *w, const char *text);

static void note_name(void *ctx, const char *name)
{
    char(*names)[80] = ctx;
    for (int i = 0; i < 64; i++) {
        if (names[i][0]) continue;
        snprintf(names[i], sizeof names[i], "events/%s", name);
        return;
    }
}

static bool is_on_disk(struct world *w, const char *text)
{
    char names[64][80] = {{0}};
    bool found = false;
    assert_int_equal(os_list(sim_fs(w->sim), "events", note_name, names, &w->error), STATUS_OK);
    for (int i = 0; i < 64 && names[i][0] && !found; i++) {
        struct os_file *file;
        uint64_t size;
        if (os_open(sim_fs(w->sim), names[i], OS_READ, &w->error, &file) != STATUS_OK) continue;
        assert_int_equal(os_size(file, &size, &w->error), STATUS_OK);
        char *bytes = malloc(size + 1);
        assert_non_null(bytes);
        assert_int_equal(os_pread(file, bytes, size, 0, &w->error), STATUS_OK);
        found = memmem(bytes, size, text, strlen(text)) != NULL;
        os_close(file);
        free(bytes);
    }
    return found;
}

static void send_named(struct world *w, const char *event, const char *id)
{
    struct buf records = BUF_INIT(1 << 16), out = BUF_INIT(1 << 16);
    struct json json = json_string(str_of(id));
    assert_int_equal(operation_value(&out, OPERATION_SET, STR("own_name"), &json), STATUS_OK);
    struct update_view update = {.received_ms = T0,
                                 .limits = {100, 1000, 10000},
                                 .event = str_of(event),
                                 .id = str_of(id),
                                 .operations = buf_str(&out)};
    assert_int_equal(record_update(&records, store_profiles_of(PROJECT), &update), STATUS_OK);
    assert_int_equal(store_append_wait(w->store, &records), STATUS_OK);
    buf_fini(&out);
}

static void the_deleted_leave_the_disk(void **state)
{
    (void)state;
    struct world *w = world_new(9, 1000, true);
    send_named(w, "$user", "only-a-user-name");
    send_named(w, "$user", "another-user-name");
    send_named(w, "$user", "user-and-group-name");
    send_named(w, "$group:team", "user-and-group-name");
    assert_int_equal(store_flush(w->store, &w->error), STATUS_OK);
    assert_true(is_on_disk(w, "only-a-user-name"));
    struct str ids[] = {STR("only-a-user-name"), STR("user-and-group-name")};
    struct buf record = BUF_INIT(4096);
    struct store_deletion deletion;
    assert_int_equal(record_delete_person(&record, PROJECT, 1, ids, 2), STATUS_OK);
    assert_int_equal(store_delete(w->store, PROJECT, 1, &record, &w->error, &deletion), STATUS_OK);
    assert_int_equal(deletion.rows, 0); /* of events */
    uint64_t purged = 0;
    for (int i = 0; i < 500 && purged <= deletion.lsn; i++) {
        assert_int_equal(store_purge_log(w->store, &w->error), STATUS_OK);
        assert_int_equal(store_compact_wait(w->store, &w->error), STATUS_OK);
        assert_int_equal(store_purged_lsn(w->store, PROJECT, &purged), STATUS_OK);
        if (purged <= deletion.lsn) usleep(10000);
    }
    assert_true(purged > deletion.lsn);
    assert_false(is_on_disk(w, "only-a-user-name"));
    assert_true(is_on_disk(w, "another-user-name"));
    assert_true(is_on_disk(w, "user-and-group-name"));
    world_end(w);
}

/* --- damage --- */

/* Waits until updates are owed, or none is any more; looking has them tried again, at most once a second. */
static void expect_owed(struct world *w, bool owed)
{
    for (int i = 0; i < 600; i++) {
        struct store_stats stats;
        struct snapshot *snapshot;
        store_stats(w->store, &stats);
        if ((stats.update_debt_bytes > 0) == owed) return;
        if (!owed && store_snapshot(w->store, store_profiles_of(PROJECT), &w->error, &snapshot) == STATUS_OK)
            snapshot_free(snapshot);
        usleep(50000);
    }
    fail_msg("updates are %s", owed ? "not owed" : "still owed");
}

/* The profiles are in a file that cannot be read while updates come: nothing of the old profiles is lost, what came is
 * carried out in order once the file can be read, also after restarts, and other profiles are not held up. */
static void unreadable_profiles_are_owed(void **state)
{
    (void)state;
    for (int restarts = 0; restarts < 3; restarts++) {
        struct world *w = world_new(10 + (uint64_t)restarts, 100000, false);
        struct buf records = BUF_INIT(1 << 20);
        for (int i = 0; i < 100; i++) send_update(w, &records, (unsigned)draw(w, USERS));
        assert_int_equal(store_append_wait(w->store, &records), STATUS_OK);
        assert_int_equal(store_flush(w->store, &w->error), STATUS_OK);
        store_close(w->store);
        open_store(w); /* with nothing in the cache */
        sim_fail(w->sim, SIM_READ, SIM_ERROR, 1, UINT64_MAX / 2, "1.sec");
        for (int i = 0; i < 60; i++) send_update(w, &records, (unsigned)draw(w, USERS));
        assert_int_equal(store_append_wait(w->store, &records), STATUS_OK);
        for (int i = 0; i < 60; i++) send_update(w, &records, USERS + DEVICES + (unsigned)draw(w, GROUPS));
        assert_int_equal(store_append_wait(w->store, &records), STATUS_OK);
        expect_owed(w, true);
        if (restarts) {
            assert_int_equal(store_flush(w->store, &w->error), STATUS_OK); /* the log goes, the debts stay */
            sim_heal(w->sim);                                              /* a start reads directories */
            if (restarts == 1) store_close(w->store);
            if (restarts == 2) {
                sim_halt(w->sim, 0);
                store_close(w->store);
                sim_crash(w->sim, 4);
            }
            open_store(w);
        } else {
            sim_heal(w->sim);
        }
        expect_owed(w, false);
        check(w);
        crash(w);
        check(w);
        world_end(w);
    }
}

/* Whether a profile has the property: 0, 1; -1: there is no profile. */
static int has_property(struct world *w, const char *event, const char *id, const char *name)
{
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_run run;
    struct vector vector;
    int found = -1;
    assert_int_equal(store_snapshot(w->store, store_profiles_of(PROJECT), &w->error, &snapshot), STATUS_OK);
    uint32_t event_id = snapshot_event_id(snapshot, str_of(event));
    struct scan_options options = {.events = &event_id, .event_count = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX};
    assert_int_equal(scan_new(snapshot, &options, &w->error, &scan), STATUS_OK);
    while (scan_next(scan, &w->error, &run) == STATUS_OK) {
        const uint8_t *live;
        const uint32_t *ids;
        uint32_t rows;
        assert_int_equal(run.vectors, 1);
        assert_int_equal(scan_vector(scan, 0, &w->error, &rows), STATUS_OK);
        assert_int_equal(scan_live(scan, &w->error, &live), STATUS_OK);
        assert_int_equal(scan_ids(scan, &w->error, &ids), STATUS_OK);
        assert_int_equal(scan_property(scan, snapshot_property_id(snapshot, str_of(name)), &w->error, &vector),
                         STATUS_OK);
        for (uint32_t i = 0; i < rows; i++) {
            char room[ID_TEXT_ROOM];
            if (live[i] && str_eq(snapshot_id_text(snapshot, ids[i], room), str_of(id)))
                found = vector_at(&vector, i).type != VALUE_ABSENT;
        }
    }
    scan_free(scan);
    snapshot_free(snapshot);
    return found;
}

/* A person is deleted whose profile cannot be read: it is owed, also by whoever opens the store next, and what comes
 * later under the same id is a new profile. */
static void deletes_of_unreadable_profiles_are_owed(void **state)
{
    (void)state;
    for (int restarts = 0; restarts < 2; restarts++) {
        struct world *w = world_new(30, 100000, false);
        struct store_deletion deletion;
        struct str id = STR("alpha");
        send_named(w, "$user", "alpha");
        send_named(w, "$user", "beta");
        send_named(w, "$group:team", "alpha");
        assert_int_equal(store_flush(w->store, &w->error), STATUS_OK);
        store_close(w->store);
        open_store(w);
        sim_fail(w->sim, SIM_READ, SIM_ERROR, 1, UINT64_MAX / 2, "1.sec");
        for (int round = 0; round < 2; round++) {
            struct buf records = BUF_INIT(1 << 16), out = BUF_INIT(1 << 16);
            struct update_view update = {
                .received_ms = T0, .limits = {100, 1000, 10000}, .event = STR("$user"), .id = id};
            set(&out, OPERATION_SET, round ? "after" : "before", 1);
            update.operations = buf_str(&out);
            assert_int_equal(record_update(&records, store_profiles_of(PROJECT), &update), STATUS_OK);
            assert_int_equal(store_append_wait(w->store, &records), STATUS_OK);
            buf_fini(&out);
            if (round) break;
            assert_int_equal(record_delete_person(&records, PROJECT, 1, &id, 1), STATUS_OK);
            assert_int_equal(store_delete(w->store, PROJECT, 1, &records, &w->error, &deletion), STATUS_OK);
            assert_int_equal(deletion.sections_owed, 1);
        }
        if (restarts) {
            assert_int_equal(store_flush(w->store, &w->error), STATUS_OK);
            sim_heal(w->sim);
            store_close(w->store);
            open_store(w);
        }
        sim_heal(w->sim);
        expect_owed(w, false);
        assert_int_equal(has_property(w, "$user", "alpha", "own_name"), 0);
        assert_int_equal(has_property(w, "$user", "alpha", "before"), 0);
        assert_int_equal(has_property(w, "$user", "alpha", "after"), 1);
        assert_int_equal(has_property(w, "$user", "beta", "own_name"), 1);
        assert_int_equal(has_property(w, "$group:team", "alpha", "own_name"), 1);
        assert_int_equal(store_deletion(w->store, PROJECT, 1, &deletion), STATUS_OK);
        assert_int_equal(deletion.sections_owed, 0);
        crash(w);
        assert_int_equal(has_property(w, "$user", "alpha", "own_name"), 0);
        assert_int_equal(has_property(w, "$user", "alpha", "after"), 1);
        world_end(w);
    }
}

/* Beyond so much that is owed, updates are refused, and events are not. */
static void too_much_owed_is_refused(void **state)
{
    (void)state;
    struct world *w = world_new(20, 100000, false);
    struct buf out = BUF_INIT(1 << 20), filler = BUF_INIT(1 << 20), records = BUF_INIT(1 << 20);
    set(&out, OPERATION_SET, "last", 1);
    add_update(w, &records, 0, false, &out);
    assert_int_equal(store_append_wait(w->store, &records), STATUS_OK);
    assert_int_equal(store_flush(w->store, &w->error), STATUS_OK);
    store_close(w->store);
    open_store(w);
    sim_fail(w->sim, SIM_READ, SIM_ERROR, 1, UINT64_MAX / 2, "1.sec");
    buf_fill(&filler, 'x', 40000);
    struct json json = json_string(buf_str(&filler));
    assert_int_equal(operation_value(&out, OPERATION_SET, STR("filler"), &json), STATUS_OK);
    enum status status = STATUS_OK;
    int sent = 0;
    for (; sent < 5000 && status == STATUS_OK; sent++) {
        add_update(w, &records, 0, false, &out);
        status = store_append_wait(w->store, &records);
        if (sent % 50 == 49) usleep(50000);
    }
    assert_int_equal(status, STATUS_UNAVAILABLE);
    assert_true(sent > 200);
    send_link(w);
    sim_heal(w->sim);
    expect_owed(w, false); /* what was owed is carried out, and updates are taken again */
    add_update(w, &records, 0, false, &out);
    assert_int_equal(store_append_wait(w->store, &records), STATUS_OK);
    buf_fini(&out);
    buf_fini(&filler);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_courses),
        cmocka_unit_test(clients_add_at_once),
        cmocka_unit_test(a_hot_profile_stays_small),
        cmocka_unit_test(a_drop_takes_the_profiles),
        cmocka_unit_test(shadows_are_not_listed),
        cmocka_unit_test(the_deleted_leave_the_disk),
        cmocka_unit_test(unreadable_profiles_are_owed),
        cmocka_unit_test(deletes_of_unreadable_profiles_are_owed),
        cmocka_unit_test(too_much_owed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
