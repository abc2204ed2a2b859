/*
 * The course of a seed. A world lives several lives: the store is opened, clients work while the disk misbehaves, now
 * and then everything stops and is checked, and the life ends in one of four ways: closed in order, killed (the page
 * cache lives on), power cut (of what was not synced an arbitrary part survives), or closed and then damaged at rest.
 */
#include "simulation/world.h"

#include "base/hash.h"
#include "identity/identity.h"
#include "os/clock.h"
#include "os/sim_threads.h"
#include "profile/update.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMORY ((size_t)256 << 20)

uint64_t draw(struct world *w, uint64_t below)
{
    w->random = hash_u64(w->random, 1);
    return below ? (w->random >> 8) % below : 0;
}

bool once_in(struct world *w, uint64_t n)
{
    return draw(w, n) == 0;
}

void fail(struct world *w, const char *format, ...)
{
    struct simulation_report *report = w->report;
    if (report->failed) return;
    report->failed = true;
    va_list args;
    va_start(args, format);
    int size =
        snprintf(report->failure, sizeof report->failure, "step %llu: ", (unsigned long long)sim_threads_steps());
    vsnprintf(report->failure + size, sizeof report->failure - (size_t)size, format, args);
    va_end(args);
}

void fail_unless_excused(struct world *w, const char *what, enum status status, const struct error *error)
{
    if (sim_halted(w->disk)) return;
    bool silent = w->swarm.silent && sim_faults(w->disk, SIM_WRITE) > 0;
    if ((w->damaged || silent || w->reads_fail) && (status == STATUS_CORRUPT || status == STATUS_IO)) {
        w->report->counts.damage_reported++;
        if (!strstr(error->primary, "file") && !strstr(error->primary, "log") && !strstr(error->detail, "file"))
            fail(w, "an error does not tell which file: %s", error->primary);
        return;
    }
    char text[600];
    fail(w, "%s: %s: %s", what, status_name(status), error_text(error, text, sizeof text));
}

static void draw_swarm(struct world *w)
{
    struct swarm *s = &w->swarm;
    *s = (struct swarm){
        .clients = 1 + (unsigned)draw(w, CLIENTS_MAX),
        .lives = 2 + (unsigned)draw(w, 4),
        .rounds = 1 + (unsigned)draw(w, 3),
        .batch_events_max = once_in(w, 3) ? 3 : 12,
        .resends = once_in(w, 2),
        .keys = once_in(w, 2),
        .links = once_in(w, 2),
        .late = once_in(w, 2),
        .flushes = once_in(w, 2),
        .compaction = !once_in(w, 4),
        .snapshots = once_in(w, 2),
        .questions = !once_in(w, 4),
        .kill = once_in(w, 2),
        .power = once_in(w, 2),
        .crash_in_recovery = once_in(w, 3),
        .fault_in_recovery = once_in(w, 4),
        .read_faults = once_in(w, 4),
        .damage = once_in(w, 4),
        .deletes = once_in(w, 3),
        .feeds = once_in(w, 2),
        .log_purges = once_in(w, 4),
        .project_drops = once_in(w, 4),
        .salvage = once_in(w, 3),
    };
    s->profiles = once_in(w, 2);
    if (once_in(w, 2)) {
        s->errors = once_in(w, 2);
        s->drops = once_in(w, 2);
        s->no_space = once_in(w, 3);
        s->directory_errors = once_in(w, 2);
    }
    /* What is silently wrong on disk cannot be told from what a power cut took, nor repeats from originals whose place
     * cannot be read; what cannot be read is not deleted, and questions that read other columns count it. */
    if (once_in(w, 6)) {
        s->silent = true;
        s->deletes = s->resends = s->kill = s->power = s->crash_in_recovery = s->fault_in_recovery = s->read_faults =
            false;
        s->errors = s->drops = s->no_space = s->directory_errors = false;
    }
    /* In the other modes events link, and who is who depends on their order. */
    s->mode = once_in(w, 2) ? IDENTITY_SIMPLIFIED : once_in(w, 3) ? IDENTITY_LEGACY : IDENTITY_ORIGINAL;
    s->links &= s->mode == IDENTITY_SIMPLIFIED;
    /* After a crash, whether an unanswered delete took place is told by what it took away; so nothing else may. */
    if (s->deletes && (s->kill || s->power)) s->resends = s->links = false;
    if (w->options.lies) {
        s->silent = s->damage = s->read_faults = s->errors = s->drops = s->no_space = s->directory_errors = false;
        s->power = true;
        s->kill = false;
    }
}

/* --- the store's lives --- */

static enum status open_store(struct world *w, bool salvage, struct error *error)
{
    struct store_options options;
    struct store_report report;
    store_options_defaults(&options);
    options.fs = sim_fs(w->disk);
    options.link = identity_link;
    options.update = profile_update;
    options.unlink = identity_unlink;
    options.explain = identity_explain;
    options.wal_file_bytes = (uint64_t)65536 << draw(w, 2);
    options.flush_rows = 20 + draw(w, 300);
    options.flush_interval_ms = once_in(w, 2) ? 1000 : 600000;
    options.cache_bytes = once_in(w, 2) ? 1 << 14 : 1 << 20;
    options.seal_rows = once_in(w, 2) ? 1 + (uint32_t)draw(w, once_in(w, 2) ? 8 : 300) : options.seal_rows;
    if (w->swarm.compaction) {
        options.compact.fan_in = 2 + (uint32_t)draw(w, 4);
        options.compact_threads = 1 + (unsigned)draw(w, 3);
        options.compact.runs_max = options.compact.fan_in + (uint32_t)draw(w, 8);
        options.compact.rows_max = 50 + draw(w, 1000);
        options.compact.merge_rows_max = 4 * options.compact.rows_max;
        options.compact.window_log2_max = 2 + (uint32_t)draw(w, 4);
        options.compact.burst_ms = once_in(w, 2) ? 0 : 2000;
        options.compact.idle_ms = once_in(w, 2) ? 100 : 5000;
        options.compact.delete_per_mille = once_in(w, 2) ? 1 : 125;
        options.compact.moved_per_mille = once_in(w, 2) ? 1 : 5;
        options.purge_deadline_ms = once_in(w, 2) ? 1000 : 604800000;
    } else {
        options.compact.fan_in = 0;
    }
    if (once_in(w, 4)) options.queue_bytes_max = 20000;
    if (once_in(w, 4)) options.memory_bytes_max = 200000;
    options.salvage = salvage;
    w->store = NULL;
    w->report->counts.lives++;
    TRY(store_open(&options, error, &report, &w->store));
    w->executor = executor_native_new(w->store);
    return STATUS_OK;
}

enum status world_open(struct world *w, struct error *error)
{
    return open_store(w, false, error);
}

enum status world_open_salvaging(struct world *w, struct error *error)
{
    return open_store(w, true, error);
}

void world_close(struct world *w)
{
    executor_free(w->executor);
    if (w->store) {
        struct store_stats stats;
        store_stats(w->store, &stats);
        w->report->counts.compactions += stats.compactions;
    }
    store_close(w->store);
    w->executor = NULL;
    w->store = NULL;
}

void world_crash(struct world *w, bool power)
{
    world_close(w);
    model_wait(w);
    w->report->counts.crashes++;
    w->after_crash = true;
    if (power)
        sim_crash(w->disk, draw(w, UINT64_MAX));
    else
        sim_restart(w->disk);
}

static bool draw_power(struct world *w)
{
    return w->swarm.power && (!w->swarm.kill || draw(w, 4));
}

/* Opens, sometimes through further crashes and faults during recovery. False when what is damaged was reported. */
static bool begin_life(struct world *w)
{
    for (unsigned tries = 0;; tries++) {
        struct error error = ERROR_INIT;
        sim_heal(w->disk); /* of what the last life left behind */
        bool halts = w->swarm.crash_in_recovery && tries < 5 && once_in(w, 3);
        bool faults = !halts && w->swarm.fault_in_recovery && tries < 5 && once_in(w, 3);
        if (halts) sim_halt(w->disk, 1 + draw(w, 60));
        if (faults) faults_plan(w);
        if (w->options.lies) sim_lie(w->disk, true);
        enum status status = world_open(w, &error);
        if (halts && sim_halted(w->disk)) {
            world_crash(w, draw_power(w));
            continue;
        }
        sim_heal(w->disk);
        if (w->options.lies) sim_lie(w->disk, true);
        if (status == STATUS_OK) return true;
        if (faults && (status == STATUS_IO || status == STATUS_UNAVAILABLE)) {
            world_close(w);
            continue;
        }
        fail_unless_excused(w, "the store does not open", status, &error);
        return false;
    }
}

static void pause_clients(struct world *w)
{
    os_mutex_lock(&w->lock);
    w->pausing = true;
    while (w->paused < w->running || w->in_air) os_cond_wait(&w->changed, &w->lock);
    os_mutex_unlock(&w->lock);
}

static void resume_clients(struct world *w, bool stop)
{
    os_mutex_lock(&w->lock);
    w->pausing = false;
    w->stopping = stop;
    os_cond_broadcast(&w->changed);
    os_mutex_unlock(&w->lock);
}

/* The disk refuses or spoils some reads: what is answered is right all the same, and all is well afterwards. */
static void spoil_reads(struct world *w)
{
    w->reads_fail = true;
    sim_fail(w->disk, SIM_READ, once_in(w, 2) ? SIM_ERROR : SIM_FLIP, 1 + draw(w, 5), 1 + draw(w, 5), "events");
    check_everything(w);
    sim_fail(w->disk, SIM_READ, SIM_ERROR, 1, 0, NULL);
    w->reads_fail = false;
    check_everything(w);
}

/* The fault is over: writing comes back by itself. */
void world_expect_writing(struct world *w)
{
    sim_heal(w->disk);
    if (w->options.lies) sim_lie(w->disk, true);
    for (int tries = 0; !failed(w); tries++) {
        if (workload_send(w, 0)) return;
        if (tries == 100) {
            struct error error = ERROR_INIT;
            char text[400];
            (void)!store_writable(w->store, &error);
            fail(w, "writing does not resume after the fault is gone: %s", error_text(&error, text, sizeof text));
        }
        os_sleep_ns(100000000);
    }
}

/* For a time, or until so many records were sent. */
static void let_work(struct world *w, int64_t ns, uint32_t records)
{
    int64_t end_ns = os_monotonic_ns() + ns;
    uint32_t end = w->sent_count + records;
    while (os_monotonic_ns() < end_ns && w->sent_count < end && !failed(w) && !sim_halted(w->disk))
        os_sleep_ns(1 + ns / 20);
}

static void round_of_work(struct world *w, bool faults)
{
    let_work(w, (int64_t)draw(w, once_in(w, 3) ? 3000000000 : 60000000), 5 + (uint32_t)draw(w, 60));
    if (faults) {
        faults_plan(w);
        let_work(w, (int64_t)draw(w, 100000000), 5 + (uint32_t)draw(w, 20));
    }
    pause_clients(w);
    if (!failed(w) && !sim_halted(w->disk)) check_everything(w);
    if (!failed(w) && !sim_halted(w->disk) && w->swarm.project_drops && w->drop_count < DROPS_MAX && once_in(w, 2)) {
        workload_drop(w, (unsigned)draw(w, SIDES));
        if (!failed(w) && !sim_halted(w->disk)) check_everything(w);
    }
    if (!failed(w) && !sim_halted(w->disk) && faults && !once_in(w, 3)) world_expect_writing(w);
    if (!failed(w) && !sim_halted(w->disk) && w->swarm.read_faults && once_in(w, 2)) {
        struct error error = ERROR_INIT;
        (void)!store_flush(w->store, &error); /* so that there is something to read */
        if (!sim_halted(w->disk)) spoil_reads(w);
    }
}

static void work(struct world *w)
{
    static const char *const names[CLIENTS_MAX] = {"client 1", "client 2", "client 3", "client 4"};
    struct os_thread threads[CLIENTS_MAX];
    bool faults = w->swarm.errors || w->swarm.drops || w->swarm.no_space || w->swarm.directory_errors;
    w->stopping = w->pausing = false;
    w->running = w->swarm.clients;
    w->paused = 0;
    for (unsigned i = 0; i < w->swarm.clients; i++) {
        if (os_thread_spawn(&threads[i], names[i], workload_client, w) != STATUS_OK) abort();
    }
    for (unsigned i = 0; i < w->swarm.rounds && !failed(w) && !sim_halted(w->disk); i++) {
        round_of_work(w, faults && once_in(w, 2));
        resume_clients(w, false);
    }
    resume_clients(w, true);
    for (unsigned i = 0; i < w->swarm.clients; i++) os_thread_join(&threads[i]);
}

/* Everything was written and synced, and a mark says so: from here on, damage can be told from a torn tail. */
static void close_in_order(struct world *w)
{
    model_wait(w);
    /* A replay that meets unreadable blocks keeps repeats and owes deletes (0008-deletes.md): it shall find nothing. */
    struct error error = ERROR_INIT;
    w->may_damage = w->swarm.damage && !w->swarm.silent && once_in(w, 2) &&
                    ((!w->swarm.resends && !w->swarm.deletes) || store_flush(w->store, &error) == STATUS_OK);
    os_sleep_ns(2000000000);
    /* A log that still fails has not begun the file that would void what was refused. */
    bool failing = store_writable(w->store, &error) != STATUS_OK;
    if (sim_halted(w->disk))
        world_crash(w, draw_power(w));
    else
        world_close(w);
    w->after_crash |= failing;
    if (!sim_halted(w->disk)) return;
    w->after_crash = true; /* while it was closing */
    sim_crash(w->disk, draw(w, UINT64_MAX));
}

/* A bit of a file is inverted while nobody looks. The store says so or answers rightly; and when the file is restored
 * all is well. */
static void damage_at_rest(struct world *w)
{
    struct damage damage;
    if (!faults_damage(w, &damage)) return;
    uint64_t reported = w->report->counts.damage_reported;
    w->report->counts.damaged++;
    w->damaged = true;
    if (w->swarm.salvage) {
        check_salvage(w);
        return;
    }
    if (begin_life(w)) {
        check_everything(w);
        close_in_order(w);
    }
    w->damaged = false;
    if (w->report->counts.damage_reported > reported)
        (void)sim_flip(w->disk, damage.name, damage.offset, damage.mask); /* from a backup */
}

static void end_life(struct world *w)
{
    bool ending = (w->swarm.kill || w->swarm.power) && !once_in(w, 5);
    if (w->swarm.silent) {
        /* At least one frame behind the damaged one, and a mark. */
        if (workload_send(w, 0)) close_in_order(w);
        if (w->store) world_close(w);
        bool fired = sim_faults(w->disk, SIM_WRITE) > 0;
        sim_crash(w->disk, draw(w, UINT64_MAX));
        w->damaged |= fired;
    } else if (ending || sim_halted(w->disk)) {
        if (once_in(w, 2)) model_wait(w);
        sim_halt(w->disk, 0);
        world_crash(w, draw_power(w) || (!w->swarm.kill && w->swarm.power));
    } else {
        close_in_order(w);
    }
}

static void live(struct world *w)
{
    for (unsigned life = 0; life < w->swarm.lives && !failed(w) && !w->salvaged; life++) {
        if (!begin_life(w)) return;
        check_everything(w);
        if (!failed(w) && !w->damaged) check_everything(w); /* the same again */
        if (failed(w) || w->damaged) return;
        if (w->swarm.silent && life > 0) faults_plan_silent(w);
        if ((w->swarm.kill || w->swarm.power) && draw(w, 4)) sim_halt(w->disk, 1 + draw(w, once_in(w, 2) ? 30 : 400));
        work(w);
        if (failed(w)) return;
        end_life(w);
        if (!w->store && w->may_damage && !w->after_crash) damage_at_rest(w);
        w->may_damage = false;
    }
    if (failed(w) || w->salvaged || !begin_life(w)) return;
    check_everything(w);
    if (!w->damaged && !failed(w)) world_expect_writing(w);
    world_close(w);
}

static void world_main(void *arg)
{
    struct world *w = arg;
    os_mutex_init(&w->lock, "the world");
    os_cond_init(&w->changed, "something settled");
    draw_swarm(w);
    w->generator = generator_of(w->random);
    w->generator.insert_ids = w->swarm.keys;
    w->generator.verbs = w->swarm.mode != IDENTITY_SIMPLIFIED;
    w->arena = arena_new(MEMORY);
    for (unsigned i = 0; i < SIDES; i++) model_side_init(w, i, 7 + i);
    w->disk = sim_new(w->options.seed);
    if (w->options.io.on)
        io_errors_course(w);
    else
        live(w);
    if (w->store) {
        sim_heal(w->disk);
        model_wait(w);
        world_close(w);
    }
    os_fs_free(sim_fs(w->disk));
    for (unsigned i = 0; i < SIDES; i++) model_side_fini(&w->sides[i]);
    arena_free(w->arena);
    free(w->sent);
    os_cond_destroy(&w->changed);
    os_mutex_destroy(&w->lock);
}

void simulation_run(const struct simulation_options *options, struct simulation_report *ret_report)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w) abort();
    struct error error = ERROR_INIT;
    struct sim_threads_result result;
    struct sim_threads_options threads;
    static const char *const patient[] = {"query", "worker", "compaction", NULL};
    *ret_report = (struct simulation_report){.failed = false};
    w->options = *options;
    w->report = ret_report;
    w->random = hash_u64(options->seed, 42);
    sim_threads_options_draw(&threads, options->seed);
    threads.steps_max = 20000000;
    threads.patient = patient;
    if (sim_threads_run(&threads, world_main, w, &error, &result) != STATUS_OK)
        fail(w, "%s: %s", error.primary, error.detail);
    ret_report->trace = result.trace;
    ret_report->counts.steps = result.steps;
    ret_report->counts.switches = result.switches;
    ret_report->counts.virtual_ms = (uint64_t)(result.virtual_ns / 1000000);
    free(w);
}
