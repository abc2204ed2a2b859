/*
 * Compaction of whole stores on the simulated disk: it never changes an answer, whatever arrives meanwhile, whenever
 * the power goes off, and when the disk is full or damaged; what is deleted leaves the files.
 */
#include "store/world_testing.h"

#include "store/delete_record.h"

#include <stdatomic.h>

static void small_sections(struct store_options *options)
{
    options->compact_memory_bytes = 64 << 20; /* files of many parts come from rows_max */
    options->compact.rows_max = 100;
}
static void at_once(struct store_options *options)
{
    options->purge_deadline_ms = 0;
}
static void only_when_asked(struct store_options *options)
{
    options->compact.fan_in = options->compact.runs_max = 100;
    options->compact.delete_per_mille = 1000;
}
static void without_waiting(struct store_options *options)
{
    options->compact.burst_ms = 0;
}
static void slowly(struct store_options *options)
{
    options->compact_bytes_per_second = 1 << 20;
}

static struct store_stats stats(const struct world *w)
{
    struct store_stats stats;
    store_stats(w->store, &stats);
    return stats;
}

static void compact(struct world *w)
{
    if (store_compact_wait(w->store, &w->error) != STATUS_OK) fail_msg("%s %s", w->error.primary, w->error.detail);
}

static void expect(struct world *w, uint64_t project, struct world_digest before)
{
    struct world_digest now = world_digest(w, project);
    assert_int_equal(now.rows, before.rows);
    assert_true(now.sum == before.sum);
}

static void expect_clean(struct world *w)
{
    world_close(w);
    struct world_verdict verdict = world_verify(w, true);
    if (verdict.status != STATUS_OK || verdict.report.findings) fail_msg("%s %s", verdict.error.primary, verdict.text);
}

/* Flushes of two projects with duplicates of older rows, and links that come later. */
static void fill(struct world *w, uint64_t flushes)
{
    for (uint64_t i = 0; i < flushes; i++) {
        world_send(w, 1, i * 60, 60);
        world_send(w, 2, i * 20, 20);
        if (i) world_send(w, 1, (i - 1) * 60, 9);
        world_flush(w);
    }
}

/* Rows that are stored under the number of a person who has another one now. */
static uint64_t moved_rows(struct world *w, uint64_t project)
{
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_run run;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    uint64_t moved = 0;
    assert_int_equal(store_snapshot(w->store, project, &w->error, &snapshot), STATUS_OK);
    assert_int_equal(scan_new(snapshot, &options, &w->error, &scan), STATUS_OK);
    while (scan_next(scan, &w->error, &run) == STATUS_OK) {
        for (uint32_t v = 0; v < run.vectors; v++) {
            uint32_t count;
            const uint32_t *stored, *persons;
            assert_int_equal(scan_vector(scan, v, &w->error, &count), STATUS_OK);
            assert_int_equal(scan_stored_persons(scan, &w->error, &stored), STATUS_OK);
            assert_int_equal(scan_persons(scan, &w->error, &persons), STATUS_OK);
            for (uint32_t i = 0; i < count; i++) moved += stored[i] != persons[i];
        }
    }
    scan_free(scan);
    snapshot_free(snapshot);
    return moved;
}

/* Makes one person of two who have rows in files. */
static void link_people(struct world *w, uint64_t project, unsigned device, unsigned user)
{
    struct batch batch;
    struct buf record;
    char names[2][32];
    snprintf(names[0], 32, "$device:d%u", device);
    snprintf(names[1], 32, "user %u", user);
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, project, WORLD_T0, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, STR("View"), WORLD_T0, str_of(names[1]), str_of(names[0]), STR_NULL);
    batch_event_end(&batch);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(w->store, &record), STATUS_OK);
}

/* Before, after, and after another start: the same rows; one section a window; nothing that verify would mind. */
static void answers_stay(void **state)
{
    (void)state;
    static void (*const changes[])(struct store_options *) = {at_once, small_sections, slowly};
    uint64_t moved = 0;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct world w = {.sim = sim_new(seed)};
        w.fs = sim_fs(w.sim);
        world_open_with(&w, changes[seed % 3]);
        fill(&w, 6 + seed);
        world_send(&w, 1, 30, 5); /* not in a file yet */
        for (unsigned i = 0; i < 3; i++) link_people(&w, 1, i * 2, i * 5 + 1);
        struct world_digest one = world_digest(&w, 1), two = world_digest(&w, 2);
        moved += moved_rows(&w, 1);
        uint64_t before = 2 * (6 + seed); /* two projects, a flush each */
        compact(&w);
        expect(&w, 1, one);
        expect(&w, 2, two);
        struct store_stats now = stats(&w);
        assert_true(now.compactions > 0 && now.bytes_compacted > 0);
        if (seed % 3 != 1) assert_true(now.sections < before);
        assert_int_equal(moved_rows(&w, 1) + moved_rows(&w, 2), 0);
        uint64_t compactions = now.compactions;
        compact(&w); /* there is nothing left to do */
        assert_int_equal(stats(&w).compactions, compactions);
        fill(&w, 2);
        one = world_digest(&w, 1);
        world_close(&w);
        world_open_with(&w, changes[seed % 3]);
        expect(&w, 1, one);
        compact(&w);
        expect(&w, 1, one);
        expect_clean(&w);
        world_end(&w);
    }
    assert_true(moved > 0); /* or nothing was shown about folding */
}

/* Eight flushes of one day are merged without being asked. */
static void by_itself(void **state)
{
    (void)state;
    struct world w = world_new(1);
    world_close(&w);
    world_open_with(&w, without_waiting);
    fill(&w, 8);
    struct world_digest one = world_digest(&w, 1);
    for (int i = 0; i < 20000 && stats(&w).compactions == 0; i++) os_sleep_ns(5000000);
    assert_true(stats(&w).compactions > 0);
    expect(&w, 1, one);
    expect_clean(&w);
    world_end(&w);
}

/* Merges with deletes by person, by key and by time before and between. */
static void with_deletes(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct world w = world_new(seed);
        for (uint64_t round = 0; round < 4; round++) {
            struct buf record = BUF_INIT(DELETE_BYTES_MAX);
            struct store_deletion deletion;
            struct arena *arena = arena_new(1 << 20);
            fill(&w, 3);
            struct str id = arena_printf(arena, "user %llu", (unsigned long long)(hash_u64(seed, round) % 40));
            assert_int_equal(record_delete_person(&record, 1, round + 1, &id, 1), STATUS_OK);
            assert_int_equal(store_delete(w.store, 1, round + 1, &record, &w.error, &deletion), STATUS_OK);
            if (round % 2) {
                assert_int_equal(record_delete_before(&record, 2, 9, WORLD_T0 - 200 * 600001LL + (int64_t)round),
                                 STATUS_OK);
                assert_int_equal(store_delete(w.store, 2, 9, &record, &w.error, &deletion), STATUS_OK);
            }
            arena_free(arena);
            struct world_digest one = world_digest(&w, 1), two = world_digest(&w, 2);
            compact(&w);
            expect(&w, 1, one);
            expect(&w, 2, two);
            if (round == 2) {
                world_close(&w);
                world_open(&w);
                expect(&w, 1, one);
                expect(&w, 2, two);
            }
        }
        expect_clean(&w);
        world_end(&w);
    }
}

/* The power goes off, or the process dies, at every change that a compaction makes to the disk. */
static void crash_at_every_change(void **state)
{
    (void)state;
    for (int process = 0; process < 2; process++) {
        bool through = false;
        for (uint64_t n = 1; !through; n++) {
            struct world w = world_new(n);
            assert_true(n < 300);
            fill(&w, 3);
            world_send(&w, 1, 0, 7); /* marks that only the log has */
            world_flush(&w);
            world_send(&w, 1, 60, 7);
            struct world_digest last = world_digest(&w, 1), two = world_digest(&w, 2);
            sim_halt(w.sim, n);
            enum status status = store_compact_wait(w.store, &w.error);
            through = !sim_halted(w.sim);
            assert_true(!through || status == STATUS_OK);
            store_close(w.store);
            if (process)
                sim_restart(w.sim);
            else
                sim_crash(w.sim, n);
            world_open(&w);
            expect(&w, 1, last);
            expect(&w, 2, two);
            compact(&w);
            expect(&w, 1, last);
            expect(&w, 2, two);
            world_send(&w, 1, 0, 60); /* duplicates are found in what was written; a third have no insert id */
            assert_int_equal(world_count(&w, 1), last.rows + 20);
            expect_clean(&w);
            world_end(&w);
        }
    }
}

/* Events, duplicates and flushes arrive while files are rewritten over and over. */
struct sender {
    struct world *w;
    _Atomic bool stop;
};
static void keep_compacting(void *arg)
{
    struct sender *s = arg;
    struct error error = ERROR_INIT;
    while (!atomic_load(&s->stop)) {
        if (store_compact_wait(s->w->store, &error) != STATUS_OK) fail_msg("%s", error.primary);
    }
}
static void beside_everything(void **state)
{
    (void)state;
    struct world w = world_new(1);
    struct sender sender = {.w = &w};
    struct os_thread thread;
    assert_int_equal(os_thread_spawn(&thread, "compacting", keep_compacting, &sender), STATUS_OK);
    for (uint64_t i = 0; i < 60; i++) {
        world_send(&w, 1, i * 25, 25);
        world_send(&w, 1, hash_u64(i, 1) % (i * 25 + 1), 10 < i * 25 ? 5 : 1);
        if (i % 3 == 0) world_flush(&w);
    }
    atomic_store(&sender.stop, true);
    os_thread_join(&thread);
    struct world_digest one = world_digest(&w, 1);
    /* A store that never compacts says what there must be. */
    struct world other = world_new(2);
    for (uint64_t i = 0; i < 60; i++) {
        world_send(&other, 1, i * 25, 25);
        world_send(&other, 1, hash_u64(i, 1) % (i * 25 + 1), 10 < i * 25 ? 5 : 1);
    }
    expect(&other, 1, one);
    expect_clean(&w);
    world_end(&w);
    world_end(&other);
}

static void compact_in_the_end(struct world *w)
{
    enum status status = STATUS_UNAVAILABLE;
    for (int i = 0; i < 1000 && status != STATUS_OK; i++) { /* it backs off after failures */
        status = store_compact_wait(w->store, &w->error);
        if (status != STATUS_OK) os_sleep_ns(100000000);
    }
    assert_int_equal(status, STATUS_OK);
}

/* A disk that fails or is full: nothing changes, nothing is left behind, and it goes on when there is room. */
static void no_room(void **state)
{
    (void)state;
    struct world w = {.sim = sim_new(1)};
    w.fs = sim_fs(w.sim);
    world_open_with(&w, only_when_asked);
    fill(&w, 5);
    compact(&w);
    fill(&w, 3);
    struct world_digest one = world_digest(&w, 1);
    struct world_names files = world_list(&w, "events", ".sec");
    sim_fail(w.sim, SIM_WRITE, SIM_ERROR, 3, UINT32_MAX, ".sec"); /* only compaction writes such now */
    assert_int_equal(store_compact_wait(w.store, &w.error), STATUS_IO);
    assert_true(stats(&w).compaction_failures > 0);
    expect(&w, 1, one);
    struct world_names after = world_list(&w, "events", ".sec");
    assert_int_equal(after.count, files.count);
    sim_heal(w.sim);
    /* Whether this is too little depends on what the log gives back. */
    sim_space(w.sim, sim_used(w.sim) + 2000);
    (void)!store_compact_wait(w.store, &w.error);
    expect(&w, 1, one);
    sim_heal(w.sim);
    compact_in_the_end(&w);
    expect(&w, 1, one);
    expect_clean(&w);
    world_end(&w);
}

/* A damaged block is not rewritten into something that looks good: its section stays, and reading it fails. */
static void damage_stays(void **state)
{
    (void)state;
    struct world w = world_new(1);
    fill(&w, 3);
    struct world_digest two = world_digest(&w, 2);
    world_close(&w);
    struct world_names files = world_list(&w, "events", ".sec");
    assert_true(sim_flip(w.sim, files.names[0], 400, 4)); /* in the first section, of project 1 or 2 */
    world_open(&w);
    (void)two;
    struct error error;
    (void)!store_compact_wait(w.store, &error);
    struct world_digest digest;
    bool failed = false;
    for (uint64_t project = 1; project <= 2; project++)
        failed |= world_try_digest(&w, project, &digest) == STATUS_CORRUPT;
    assert_true(failed);
    assert_true(stats(&w).compaction_failures > 0);
    /* what can be read goes on being compacted */
    uint64_t compactions = stats(&w).compactions;
    fill(&w, 3);
    (void)!store_compact_wait(w.store, &error);
    assert_true(stats(&w).compactions > compactions);
    world_close(&w);
    world_open(&w);
    failed = false;
    for (uint64_t project = 1; project <= 2; project++)
        failed |= world_try_digest(&w, project, &digest) == STATUS_CORRUPT;
    assert_true(failed);
    world_end(&w);
}

/* Whether the text is in a section file. Compactions that run meanwhile take files away while one looks: what was in
 * them is in others then, and the look begins anew. */
static bool on_disk(struct world *w, const char *kind, const char *text)
{
    for (;;) {
        struct world_names files = world_list(w, "events", kind);
        bool found = false, all = true;
        for (size_t i = 0; i < files.count && all; i++) {
            struct buf bytes;
            all = world_try_read(w, files.names[i], &bytes);
            if (!all) break;
            found |= memmem(bytes.data, bytes.size, text, strlen(text)) != NULL;
            buf_fini(&bytes);
        }
        if (all) return found;
    }
}

static void send_secret(struct world *w, uint64_t project, const char *user, const char *secret)
{
    struct batch batch;
    struct buf record = BUF_INIT(DELETE_BYTES_MAX);
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, project, WORLD_T0, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, STR("View"), WORLD_T0, str_of(user), STR_NULL, STR("insert-secret"));
    struct json value = json_string(str_of(secret));
    assert_int_equal(batch_property(&batch, STR("p3"), &value), STATUS_OK);
    batch_event_end(&batch);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(w->store, &record), STATUS_OK);
}

/* What is deleted, and what belonged to a dropped project, is not in any file of events/ any more, not even in parts of
 * files that do not count; and the store knows since when. */
static void deleted_for_good(void **state)
{
    (void)state;
    struct world w = {.sim = sim_new(1)};
    w.fs = sim_fs(w.sim);
    world_open_with(&w, at_once);
    fill(&w, 2);
    send_secret(&w, 1, "somebody", "the secret of somebody");
    send_secret(&w, 3, "who-another-is", "the secret of another");
    world_flush(&w);
    fill(&w, 2);
    assert_true(on_disk(&w, ".sec", "the secret of somebody") && on_disk(&w, ".sec", "the secret of another"));
    assert_true(on_disk(&w, ".cat", "who-another-is"));
    struct world_digest two = world_digest(&w, 2);
    struct buf record = BUF_INIT(DELETE_BYTES_MAX);
    struct store_deletion deletion;
    struct str id = STR("somebody");
    assert_int_equal(record_delete_person(&record, 1, 77, &id, 1), STATUS_OK);
    assert_int_equal(store_delete(w.store, 1, 77, &record, &w.error, &deletion), STATUS_OK);
    assert_int_equal(deletion.rows, 1);
    assert_int_equal(record_project_drop(&record, 3), STATUS_OK);
    assert_int_equal(store_append_wait(w.store, &record), STATUS_OK);
    uint64_t purged;
    assert_int_equal(store_purged_lsn(w.store, 1, &purged), STATUS_OK);
    assert_true(purged <= deletion.lsn);
    compact(&w);
    assert_false(on_disk(&w, ".sec", "the secret of somebody"));
    assert_false(on_disk(&w, ".sec", "the secret of another"));
    assert_false(on_disk(&w, ".cat", "who-another-is"));
    expect(&w, 2, two);
    assert_int_equal(world_count(&w, 3), 0);
    assert_int_equal(store_purge_log(w.store, &w.error), STATUS_OK);
    assert_int_equal(store_purged_lsn(w.store, 1, &purged), STATUS_OK);
    assert_true(purged > deletion.lsn);
    expect_clean(&w);
    world_open_with(&w, at_once);
    assert_int_equal(world_count(&w, 3), 0);
    expect(&w, 2, two);
    world_end(&w);
}

/* A store that is closed in the middle of a compaction forgets about it. */
static void closed_meanwhile(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct world w = {.sim = sim_new(seed)};
        w.fs = sim_fs(w.sim);
        world_open_with(&w, slowly);
        fill(&w, 8); /* begins one by itself */
        struct world_digest one = world_digest(&w, 1);
        os_sleep_ns((int64_t)seed * 3000000);
        world_close(&w);
        world_open(&w);
        expect(&w, 1, one);
        expect_clean(&w);
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_stay),      cmocka_unit_test(by_itself),
        cmocka_unit_test(with_deletes),      cmocka_unit_test(crash_at_every_change),
        cmocka_unit_test(beside_everything), cmocka_unit_test(no_room),
        cmocka_unit_test(damage_stays),      cmocka_unit_test(deleted_for_good),
        cmocka_unit_test(closed_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
