/*
 * Power loss. A random workload on the simulated disk: events with and without insert ids, duplicates, links, flushes,
 * snapshots; small log files and small flushes, so that switches, recycling and manifest edits happen all the time. At
 * a random change of the disk the power goes off (or the process dies alone), the store is opened again, sometimes with
 * a second crash during recovery, and everything it shows is compared with a model:
 *
 *   acknowledged       there, once; of duplicates the newest acknowledged one, or a newer one that was in the air
 *   refused            not there while the process lives; after a crash there or not, but not any more once a later
 * record was acknowledged; and what was found once stays found never sent         not there
 *
 * Records are numbered in the order of their appends ("order"), which is the order of the log. The store's threads make
 * schedules differ from run to run, so a seed fixes the workload and the faults, not the interleaving; the checks hold
 * for every schedule.
 *
 * CAIRN_SEEDS=n runs n seeds instead of a few; CAIRN_SEED=n runs seed n alone. Seeds run on several threads, because
 * much of the time is the store's waiting before it tries a failed disk again; so checks note a failure instead of
 * jumping out of the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "base/log.h"
#include "os/sim.h"
#include "store/ids.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS      8
#define PROJECTS     2
#define USERS        4
#define DEVICES      12
#define KEYS         150 /* with insert ids; every event without one is a key of its own */
#define VERSIONS_MAX 30000
#define RECORDS_MAX  20000
#define T0           1700000000000LL

enum state { IN_AIR, ACKED, REFUSED, GONE };

struct run;
struct record_state {
    struct run *run;
    enum state state; /* under run->lock */
    bool link;        /* nothing but a link */
    uint32_t device;
    uint64_t project;
};

struct version { /* the number is the event's property "n" */
    uint32_t record, key, found;
    uint64_t project;
    int64_t time_ms;
    uint32_t user, device; /* device: DEVICES when none; user: USERS when the event is the device's own */
    bool links;
};

struct run {
    uint64_t seed, random;
    bool lies;
    char failure[400];
    struct sim *sim;
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t settled;
    uint32_t in_air;
    struct record_state *records;
    struct version *versions;
    uint32_t record_count, version_count, key_count, last_acked; /* last_acked: record number + 1 */
    bool linked[PROJECTS + 1][DEVICES];
    bool after_crash; /* refused records may be found */
};

static uint64_t rnd(struct run *run, uint64_t below)
{
    run->random = hash_u64(run->random, 1);
    return run->random % below;
}

static void __attribute__((format(printf, 2, 3))) note_failure(struct run *run, const char *format, ...)
{
    if (run->failure[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(run->failure, sizeof run->failure, format, args);
    va_end(args);
}
#define CHECK(holds, ...)                                                                                              \
    do {                                                                                                               \
        if (!(holds)) note_failure(run, __VA_ARGS__);                                                                  \
    } while (0)

/* --- what is sent --- */

static void user_text(char out[32], uint32_t user)
{
    snprintf(out, 32, "U%u", user);
}
static void device_text(char out[32], uint32_t device)
{
    snprintf(out, 32, "$device:D%u", device);
}

static void on_done(void *arg, enum status status)
{
    struct record_state *record = arg;
    struct run *run = record->run;
    pthread_mutex_lock(&run->lock);
    record->state = status == STATUS_OK ? ACKED : REFUSED;
    uint32_t number = (uint32_t)(record - run->records) + 1;
    if (status == STATUS_OK && number > run->last_acked) run->last_acked = number;
    if (status != STATUS_OK && status != STATUS_UNAVAILABLE)
        note_failure(run, "an append failed with %s", status_name(status));
    run->in_air--;
    pthread_cond_broadcast(&run->settled);
    pthread_mutex_unlock(&run->lock);
}

static void settle(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    while (run->in_air) pthread_cond_wait(&run->settled, &run->lock);
    pthread_mutex_unlock(&run->lock);
}

static void append(struct run *run, struct buf *bytes, uint64_t project, uint32_t link_device)
{
    struct record_state *record = &run->records[run->record_count++];
    *record =
        (struct record_state){.run = run, .link = link_device < DEVICES, .device = link_device, .project = project};
    pthread_mutex_lock(&run->lock);
    run->in_air++;
    pthread_mutex_unlock(&run->lock);
    store_append(run->store, bytes, on_done, record);
}

static void send_link(struct run *run)
{
    char device_name[32], user_name[32];
    uint32_t device = (uint32_t)rnd(run, DEVICES);
    uint64_t project = 1 + rnd(run, PROJECTS);
    device_text(device_name, device);
    user_text(user_name, device % USERS);
    struct buf bytes = BUF_INIT(1024);
    if (record_link(&bytes, project, T0, IDENTITY_SIMPLIFIED, LINK_CREATE, str_of(device_name), str_of(user_name)) !=
        STATUS_OK)
        abort();
    append(run, &bytes, project, device);
}

/* Everything about a key but the version follows from its number, so that its duplicates agree. */
static void fill_version(struct version *v)
{
    uint64_t h = hash_u64(v->key, 77);
    v->project = 1 + h % PROJECTS;
    v->time_ms = T0 + (int64_t)(h / 7 % 900) * 3600000 - (h % 11 == 0 ? 1800000000000LL : 0) + (int64_t)(h % 60000);
    v->device = h / 100 % 3 == 0 ? DEVICES : (uint32_t)(h / 300 % DEVICES);
    v->user = v->device < DEVICES ? v->device % USERS : (uint32_t)(h / 5000 % USERS);
    v->links = v->device < DEVICES && h / 50000 % 4 == 0;
    if (v->device < DEVICES && !v->links) v->user = USERS;
}

static const char *event_of(uint32_t key)
{
    static const char *const names[] = {"open", "buy", "close tab"};
    return names[hash_u64(key, 5) % 3];
}

static void send_events(struct run *run, uint32_t count)
{
    struct batch batch;
    uint64_t project = 1 + rnd(run, PROJECTS);
    bool any = false;
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, project, T0, IDENTITY_SIMPLIFIED, 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = run->version_count;
        struct version *v = &run->versions[number];
        *v = (struct version){.record = run->record_count};
        bool keyed = rnd(run, 2);
        v->key = keyed ? (uint32_t)rnd(run, KEYS) : run->key_count;
        fill_version(v);
        if (v->project != project) {
            if (keyed) continue;
            run->key_count++; /* a number that falls to the other project stays unused */
            continue;
        }
        if (!keyed) run->key_count++;
        run->version_count++;
        any = true;
        char user[32], device[32], insert[32], text[400];
        user_text(user, v->user);
        device_text(device, v->device < DEVICES ? v->device : 0);
        snprintf(insert, sizeof insert, "i%u", v->key);
        bool own = v->user == USERS;
        batch_event(&batch, str_of(event_of(v->key)), v->time_ms, str_of(own ? device : user),
                    v->links ? str_of(device) : STR_NULL, keyed ? str_of(insert) : STR_NULL);
        struct json n = json_int(number);
        snprintf(text, sizeof text, "s%u-%0*u", number, (int)(number % 300), 0);
        struct json s = json_string(str_of(text));
        if (batch_property(&batch, STR("n"), &n) != STATUS_OK) abort();
        if (number % 3 == 0 && batch_property(&batch, STR("s"), &s) != STATUS_OK) abort();
        batch_event_end(&batch);
    }
    struct buf bytes = BUF_INIT(0);
    if (any && batch_finish(&batch, &bytes) != STATUS_OK) abort();
    batch_fini(&batch);
    if (any) append(run, &bytes, project, DEVICES);
}

/* --- what is found --- */

static void check_row(struct run *run, const struct snapshot *snapshot, uint64_t project, struct str event, uint32_t id,
                      uint32_t person, int64_t time_ms, struct value insert, struct value n, struct value s)
{
    char expected[400];
    if (n.type != VALUE_INT || n.integer < 0 || n.integer >= run->version_count) {
        note_failure(run, "a row that was never sent");
        return;
    }
    uint32_t number = (uint32_t)n.integer;
    struct version *v = &run->versions[number];
    v->found++;
    CHECK(v->project == project && v->time_ms == time_ms && str_eq(event, str_of(event_of(v->key))),
          "row %u was sent to project %d at %lld, not %d, %lld, %.*s", number, (int)v->project, (long long)v->time_ms,
          (int)project, (long long)time_ms, (int)event.size, event.data);
    if (v->user == USERS)
        device_text(expected, v->device);
    else
        user_text(expected, v->user);
    CHECK(str_eq(snapshot_id_text(snapshot, id), str_of(expected)), "row %u has another id than sent", number);
    CHECK(person == snapshot_person(snapshot, id), "row %u belongs to another person than its id", number);
    snprintf(expected, sizeof expected, "i%u", v->key);
    if (v->key < KEYS)
        CHECK(insert.type == VALUE_STRING && str_eq(value_text(insert), str_of(expected)), "row %u: insert id", number);
    else
        CHECK(insert.type == VALUE_INT, "row %u has an insert id", number);
    snprintf(expected, sizeof expected, "s%u-%0*u", number, (int)(number % 300), 0);
    if (number % 3)
        CHECK(s.type == VALUE_ABSENT, "row %u has a property that was not sent", number);
    else
        CHECK(s.type == VALUE_STRING && str_eq(value_text(s), str_of(expected)), "row %u: property", number);
}

/* False when the power went off meanwhile. */
static bool read_rows(struct run *run, struct snapshot *snapshot, uint64_t project)
{
    struct error error = ERROR_INIT;
    struct scan *scan;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    uint32_t n_id = snapshot_property_id(snapshot, STR("n")), s_id = snapshot_property_id(snapshot, STR("s"));
    if (scan_new(snapshot, &options, &error, &scan) != STATUS_OK) abort();
    struct scan_run r;
    enum status status;
    while ((status = scan_next(scan, &error, &r)) == STATUS_OK) {
        struct str event = snapshot_event_name(snapshot, r.event_id);
        for (uint32_t vector = 0; vector < r.vectors && status == STATUS_OK; vector++) {
            uint32_t rows = 0;
            const uint8_t *live;
            const uint32_t *persons, *ids;
            const int64_t *times;
            struct vector n, s, inserts;
            status = scan_vector(scan, vector, &error, &rows);
            if (status == STATUS_OK) status = scan_live(scan, &error, &live);
            if (status == STATUS_OK) status = scan_persons(scan, &error, &persons);
            if (status == STATUS_OK) status = scan_ids(scan, &error, &ids);
            if (status == STATUS_OK) status = scan_times(scan, &error, &times);
            if (status == STATUS_OK) status = scan_insert_ids(scan, &error, &inserts);
            if (status == STATUS_OK) status = scan_property(scan, n_id, &error, &n);
            if (status == STATUS_OK) status = scan_property(scan, s_id, &error, &s);
            for (uint32_t i = 0; i < rows && status == STATUS_OK; i++) {
                if (live[i])
                    check_row(run, snapshot, project, event, ids[i], persons[i], times[i], vector_at(&inserts, i),
                              vector_at(&n, i), vector_at(&s, i));
            }
        }
        if (status != STATUS_OK) break;
    }
    scan_free(scan);
    if (status == STATUS_NOT_FOUND) return true;
    CHECK(sim_halted(run->sim), "a scan failed: %s", error.primary);
    return false;
}

/* May record (by number) be visible without having been acknowledged? */
static bool may_be_found(const struct run *run, uint32_t record)
{
    return run->after_crash && run->records[record].state == REFUSED && record + 1 > run->last_acked;
}

static void check_links(struct run *run, const struct snapshot *snapshot, uint64_t project)
{
    for (uint32_t device = 0; device < DEVICES; device++) {
        bool must = run->linked[project][device], may = false;
        for (uint32_t i = 0; i < run->record_count; i++) {
            const struct record_state *record = &run->records[i];
            if (!record->link || record->device != device || record->project != project) continue;
            must |= record->state == ACKED;
            may |= may_be_found(run, i);
        }
        for (uint32_t i = 0; i < run->version_count; i++) {
            const struct version *v = &run->versions[i];
            if (!v->links || v->device != device || v->project != project) continue;
            must |= run->records[v->record].state == ACKED;
            may |= may_be_found(run, v->record);
        }
        char text[32];
        device_text(text, device);
        uint32_t person = snapshot_person(snapshot, snapshot_id(snapshot, str_of(text)));
        bool linked = false;
        for (uint32_t user = 0; user < USERS && person; user++) {
            user_text(text, user);
            uint32_t other = snapshot_person(snapshot, snapshot_id(snapshot, str_of(text)));
            if (other != person) continue;
            linked = true;
            CHECK(user == device % USERS, "device %u belongs to a wrong user", device);
            CHECK(str_eq(snapshot_id_text(snapshot, snapshot_person_id(snapshot, person)), str_of(text)),
                  "user %u is not shown", user);
        }
        /* A refused record that made it to the log need not show in rows (its events may be replaced), but its link
         * does. */
        run->linked[project][device] = must || (linked && may);
        CHECK(linked || !must, "the link of device %u in project %d is lost", device, (int)project);
        CHECK(!linked || must || may, "a link of device %u in project %d that nobody made", device, (int)project);
    }
}

static void check_versions(struct run *run)
{
    uint32_t *acked = calloc(run->key_count, sizeof *acked), *found = calloc(run->key_count, sizeof *found);
    if (!acked || !found) abort();
    for (uint32_t i = 0; i < run->version_count; i++) {
        const struct version *v = &run->versions[i];
        if (run->records[v->record].state == ACKED) acked[v->key] = i + 1;
    }
    for (uint32_t i = 0; i < run->version_count; i++) {
        const struct version *v = &run->versions[i];
        if (!v->found) continue;
        CHECK(v->found == 1, "event %u is there %u times", i, v->found);
        CHECK(!found[v->key], "events %u and %u, duplicates, are both there", found[v->key] - 1, i);
        found[v->key] = i + 1;
        CHECK(i + 1 == acked[v->key] || (i + 1 > acked[v->key] && may_be_found(run, v->record)),
              "event %u is there (state %d), but %d is the newest acknowledged duplicate", i,
              (int)run->records[v->record].state, (int)acked[v->key] - 1);
    }
    for (uint32_t key = 0; key < run->key_count; key++)
        CHECK(!acked[key] || found[key], "event %u was acknowledged and is lost", acked[key] - 1);
    free(acked);
    free(found);
}

/* A record counts whole or not at all, and what was found after a crash stays. */
static void adopt(struct run *run)
{
    if (!run->after_crash) return;
    for (uint32_t i = 0; i < run->version_count; i++) {
        struct record_state *record = &run->records[run->versions[i].record];
        if (!run->versions[i].found || record->state != REFUSED) continue;
        record->state = ACKED;
        if (run->versions[i].record + 1 > run->last_acked) run->last_acked = run->versions[i].record + 1;
    }
    for (uint32_t i = 0; i < run->record_count; i++) {
        if (run->records[i].state == REFUSED) run->records[i].state = GONE;
    }
}

static void verify(struct run *run)
{
    settle(run);
    for (uint32_t i = 0; i < run->version_count; i++) run->versions[i].found = 0;
    for (uint64_t project = 1; project <= PROJECTS; project++) {
        struct snapshot *snapshot;
        struct error error = ERROR_INIT;
        enum status status = store_snapshot(run->store, project, &error, &snapshot);
        if (status != STATUS_OK) {
            note_failure(run, "no snapshot: %s", error.primary);
            return;
        }
        bool whole = read_rows(run, snapshot, project);
        if (whole) check_links(run, snapshot, project);
        snapshot_free(snapshot);
        if (!whole) return;
    }
    check_versions(run);
    adopt(run);
}

/* --- the store's lives --- */

static unsigned link_rule(struct id_graph *graph, enum identity_mode mode, enum link_operation operation,
                          uint32_t device, uint32_t user)
{
    (void)mode;
    (void)operation;
    uint32_t person = id_graph_person(graph, device);
    if (person == id_graph_person(graph, user)) return 0;
    if (id_graph_shown(graph, person) != device) return 1;
    return id_graph_link(graph, device, user, user) == STATUS_OK ? 0 : 1;
}

static enum status open_store(struct run *run, struct error *error)
{
    static const char *const reasons[] = {"", "taken", NULL};
    struct store_options options;
    struct store_report report;
    store_options_defaults(&options);
    options.fs = sim_fs(run->sim);
    options.link = link_rule;
    options.link_reasons = reasons;
    options.wal_file_bytes = 65536 << rnd(run, 2);
    options.flush_rows = 20 + rnd(run, 300);
    options.cache_bytes = rnd(run, 2) ? 1 << 14 : 1 << 20;
    run->store = NULL;
    return store_open(&options, error, &report, &run->store);
}

static void end_life(struct run *run, bool power)
{
    store_close(run->store);
    run->store = NULL;
    settle(run);
    if (power)
        sim_crash(run->sim, rnd(run, UINT64_MAX));
    else
        sim_restart(run->sim);
    run->after_crash = true;
}

/* Opens, sometimes through further crashes during recovery. */
static void begin_life(struct run *run)
{
    for (;;) {
        struct error error = ERROR_INIT;
        bool again = rnd(run, 3) == 0;
        if (again) sim_halt(run->sim, 1 + rnd(run, 60));
        if (run->lies) sim_lie(run->sim, true);
        enum status status = open_store(run, &error);
        if (again && sim_halted(run->sim)) {
            end_life(run, rnd(run, 2));
            continue;
        }
        if (status != STATUS_OK) note_failure(run, "cannot open: %s %s", error.primary, error.detail);
        sim_heal(run->sim);
        return;
    }
}

static void work(struct run *run, uint32_t steps)
{
    struct error error;
    for (uint32_t i = 0; i < steps && !sim_halted(run->sim) && !run->failure[0]; i++) {
        if (run->version_count + 100 > VERSIONS_MAX || run->record_count + 10 > RECORDS_MAX) return;
        switch (rnd(run, 12)) {
        case 0: send_link(run); break;
        case 1: settle(run); break;
        case 2: (void)!store_flush(run->store, &error); break;
        case 3:
            verify(run);
            run->after_crash = false; /* only the first look after a crash may find refused records */
            break;
        case 4: send_events(run, 40); break;
        case 5:
            if (rnd(run, 4) == 0) {
                settle(run);
                usleep(15000); /* long enough for the log to note that it is idle */
            }
            break;
        default: send_events(run, 1 + (uint32_t)rnd(run, 12));
        }
    }
}

static void plan_fault(struct run *run)
{
    static const char *const parts[] = {NULL, NULL, "wal", "events", "MANIFEST"};
    const char *part = parts[rnd(run, 5)];
    uint64_t nth = 1 + rnd(run, 15), times = 1 + rnd(run, 4);
    switch (rnd(run, 9)) {
    case 0: sim_fail(run->sim, SIM_WRITE, SIM_ERROR, nth, times, part); break;
    case 1: sim_fail(run->sim, SIM_WRITE, SIM_SHORT, nth, times, part); break;
    case 2: sim_fail(run->sim, SIM_SYNC, SIM_ERROR, nth, times, part); break;
    case 3:
    case 4: sim_fail(run->sim, SIM_SYNC, SIM_DROP, nth, times, part); break;
    case 5: sim_fail(run->sim, SIM_SYNC_DIR, SIM_ERROR, 1 + rnd(run, 3), times, NULL); break;
    case 6: sim_fail(run->sim, SIM_RENAME, SIM_ERROR, 1 + rnd(run, 3), times, NULL); break;
    case 7: sim_fail(run->sim, SIM_UNLINK, SIM_ERROR, 1 + rnd(run, 3), times, NULL); break;
    default: sim_space(run->sim, sim_used(run->sim) + rnd(run, 200000));
    }
}

/* The disk misbehaves and recovers: reads go on throughout, and writing comes back. */
static void misbehave(struct run *run)
{
    plan_fault(run);
    work(run, 10 + (uint32_t)rnd(run, 20));
    verify(run);
    run->after_crash = false;
    if (rnd(run, 3) == 0) return; /* and the power goes off before the fault is gone */
    sim_heal(run->sim);
    enum state state = REFUSED;
    for (int tries = 0; state != ACKED && tries < 1000; tries++) {
        send_link(run);
        settle(run);
        state = run->records[run->record_count - 1].state;
        if (state != ACKED) usleep(20000);
    }
    CHECK(state == ACKED, "writing does not resume after the fault is gone");
    verify(run);
}

static void one_seed(struct run *run)
{
    run->random = hash_u64(run->seed, 42);
    run->sim = sim_new(run->seed);
    run->records = calloc(RECORDS_MAX, sizeof *run->records);
    run->versions = calloc(VERSIONS_MAX, sizeof *run->versions);
    run->key_count = KEYS;
    if (!run->records || !run->versions || pthread_mutex_init(&run->lock, NULL) ||
        pthread_cond_init(&run->settled, NULL))
        abort();
    bool faults = run->seed % 5 == 4;
    for (unsigned life = 0, lives = 3 + (unsigned)rnd(run, 4); life < lives && !run->failure[0]; life++) {
        begin_life(run);
        if (run->failure[0]) break;
        if (run->after_crash) verify(run);
        verify(run); /* the same again */
        run->after_crash = false;
        if (run->failure[0]) break;
        if (faults && rnd(run, 2)) misbehave(run);
        if (rnd(run, 4)) sim_halt(run->sim, 1 + rnd(run, rnd(run, 2) ? 30 : 300));
        if (run->lies) sim_lie(run->sim, true);
        work(run, 10 + (uint32_t)rnd(run, 60));
        if (!sim_halted(run->sim)) {
            if (rnd(run, 2)) settle(run);
            sim_halt(run->sim, 0);
        }
        end_life(run, rnd(run, 4) != 0);
    }
    store_close(run->store);
    os_fs_free(sim_fs(run->sim));
    free(run->records);
    free(run->versions);
    pthread_mutex_destroy(&run->lock);
    pthread_cond_destroy(&run->settled);
}

struct pool {
    _Atomic uint64_t next, failures;
    uint64_t end;
    bool lies;
    pthread_mutex_t lock;
    char report[8192];
};

static void *pool_main(void *arg)
{
    struct pool *pool = arg;
    for (;;) {
        uint64_t seed = atomic_fetch_add(&pool->next, 1);
        if (seed >= pool->end) return NULL;
        struct run *run = calloc(1, sizeof *run);
        if (!run) abort();
        run->seed = seed;
        run->lies = pool->lies;
        one_seed(run);
        if (run->failure[0]) {
            char line[480];
            snprintf(line, sizeof line, "seed %llu: %s\n", (unsigned long long)seed, run->failure);
            pthread_mutex_lock(&pool->lock);
            if (strlen(pool->report) + strlen(line) < sizeof pool->report) strcat(pool->report, line);
            pthread_mutex_unlock(&pool->lock);
            atomic_fetch_add(&pool->failures, 1);
        }
        free(run);
    }
}

static uint64_t run_seeds(uint64_t first, uint64_t count, bool lies)
{
    struct pool pool = {.next = first, .end = first + count, .lies = lies};
    pthread_t threads[THREADS];
    assert_int_equal(pthread_mutex_init(&pool.lock, NULL), 0);
    for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, pool_main, &pool), 0);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&pool.lock);
    if (!lies) fprintf(stderr, "%s", pool.report); /* at the end, behind the store's many log lines about refusals */
    return pool.failures;
}

static void nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    const char *one = getenv("CAIRN_SEED"), *many = getenv("CAIRN_SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1, count = one ? 1 : many ? strtoull(many, NULL, 10) : 200;
    assert_int_equal(run_seeds(first, count, false), 0);
}

/* The same workload on a disk that says "synced" and did nothing: the checks above can fail. */
static void a_lying_disk_is_noticed(void **state)
{
    (void)state;
    assert_true(run_seeds(1, 12, true) >= 6);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost),
        cmocka_unit_test(a_lying_disk_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
