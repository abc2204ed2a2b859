/*
 * Flushes on the simulated disk, without the store's threads: a flush that fails anywhere leaves what was there before,
 * takes no room, and may be followed by a crash at any moment; what counts afterwards can always be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/sim.h"
#include "store/flush.h"

#include <stdio.h>
#include <stdlib.h>

#define T0 1700000000000LL

static unsigned no_links(struct id_graph *graph, const struct link_request *request)
{
    (void)graph, (void)request;
    return 0;
}

static const struct store_options options = {.link = no_links, .names_max = 1000};
static const struct compact_options no_compaction = {.rows_max = 1}; /* each day is a window */

struct world {
    struct sim *sim;
    struct manifest manifest;
    struct cache *cache;
    struct project *project;
    struct project_context context;
    struct arena *arena;
    uint64_t lsn, next; /* next: the number of the next event */
};

static struct project *find(void *ctx, uint64_t id)
{
    struct world *w = ctx;
    assert_int_equal(id, 1);
    return w->project;
}

static void start(struct world *w)
{
    struct error error = ERROR_INIT;
    w->cache = cache_new(1 << 20);
    w->project = project_new(1);
    w->arena = arena_new(1 << 24);
    w->context = (struct project_context){.options = &options};
    enum status status = manifest_open(sim_fs(w->sim), &error, &w->manifest);
    if (status == STATUS_OK) status = files_load(sim_fs(w->sim), &w->manifest, w->cache, find, w, &error);
    if (status != STATUS_OK) fail_msg("%s", error.primary);
    if (!w->manifest.failed) files_sweep(sim_fs(w->sim), &w->manifest);
}

static void stop(struct world *w)
{
    project_free(w->project);
    cache_free(w->cache);
    arena_free(w->arena);
    manifest_fini(&w->manifest);
}

static struct world new_world(uint64_t seed)
{
    struct world w = {.sim = sim_new(seed)};
    start(&w);
    return w;
}

static void end_world(struct world *w)
{
    stop(w);
    os_fs_free(sim_fs(w->sim));
}

/* Events number w->next and on; the one before the first is sent again, so that files get deleted rows. */
static void apply(struct world *w, uint32_t count)
{
    struct batch batch;
    struct buf bytes;
    struct error error;
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, 1, T0, IDENTITY_SIMPLIFIED, 0);
    uint64_t first = w->next ? w->next - 1 : 0, end = w->next + count;
    for (uint64_t i = first; i < end; i++) {
        char text[32];
        snprintf(text, sizeof text, "i%u", (unsigned)i);
        struct json n = json_int((int64_t)i);
        batch_event(&batch, STR("e"), T0 + (int64_t)i * 7200000, str_of(text), STR_NULL, str_of(text));
        assert_int_equal(batch_property(&batch, STR("n"), &n), STATUS_OK);
        batch_event_end(&batch);
    }
    w->next = end;
    assert_int_equal(batch_finish(&batch, &bytes), STATUS_OK);
    batch_fini(&batch);
    struct frame_bytes *frame = frame_bytes_new(bytes.size);
    assert_non_null(frame);
    memcpy(frame->data, bytes.data, bytes.size);
    struct reader reader = reader_of(str_from(frame->data, bytes.size));
    struct record record;
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    assert_int_equal(project_apply_events(w->project, &w->context, frame, record.body, w->lsn, w->arena,
                                          &(struct profile_merges){0}, &error),
                     STATUS_OK);
    arena_reset(w->arena);
    w->lsn += bytes.size;
    frame_bytes_unref(frame);
    buf_fini(&bytes);
}

static enum status flush(struct world *w)
{
    struct error error;
    struct flush_job *job = flush_job_new(w->lsn, T0);
    assert_int_equal(project_seal(w->project, &w->context, &error), STATUS_OK);
    assert_int_equal(flush_job_project(job, w->project, &no_compaction), STATUS_OK);
    flush_job_run(job, sim_fs(w->sim), &w->manifest, w->cache, (size_t)1 << 28);
    enum status status = job->status;
    assert_int_equal(flush_job_finish(&job->projects[0], job, w->project, &error), STATUS_OK);
    flush_job_free(job);
    return status;
}

/* Reads everything; the events must be 0 .. count - 1, once each. Returns count. */
static uint64_t read_all(struct world *w)
{
    struct snapshot *snapshot;
    struct error error = ERROR_INIT;
    struct scan *scan;
    struct scan_run run;
    struct scan_options all = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    static bool seen[4096];
    uint64_t count = 0;
    memset(seen, 0, sizeof seen);
    assert_int_equal(project_publish(w->project, &w->context, &error, &snapshot), STATUS_OK);
    assert_int_equal(scan_new(snapshot, &all, &error, &scan), STATUS_OK);
    while (scan_next(scan, &error, &run) == STATUS_OK) {
        for (uint32_t v = 0; v < run.vectors; v++) {
            uint32_t rows;
            const uint8_t *live;
            struct vector n;
            assert_int_equal(scan_vector(scan, v, &error, &rows), STATUS_OK);
            assert_int_equal(scan_live(scan, &error, &live), STATUS_OK);
            if (scan_property(scan, snapshot_property_id(snapshot, STR("n")), &error, &n) != STATUS_OK)
                fail_msg("%s", error.primary);
            for (uint32_t i = 0; i < rows; i++) {
                int64_t number = vector_at(&n, i).integer;
                if (!live[i]) continue;
                assert_in_range(number, 0, 4095);
                assert_false(seen[number]);
                seen[number] = true;
                count++;
            }
        }
    }
    for (uint64_t i = 0; i < count; i++) assert_true(seen[i]);
    scan_free(scan);
    snapshot_free(snapshot);
    return count;
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    (*(unsigned *)ctx)++;
}

static unsigned count_files(struct world *w)
{
    unsigned count = 0;
    struct error error;
    assert_int_equal(os_list(sim_fs(w->sim), "events", count_name, &count, &error), STATUS_OK);
    return count;
}

static void flushed_rows_come_back(void **state)
{
    (void)state;
    struct world w = new_world(1);
    for (int round = 0; round < 30; round++) {
        apply(&w, 1 + (uint32_t)round * 3 % 11);
        if (round % 3 == 0) assert_int_equal(read_all(&w), w.next);
        assert_int_equal(flush(&w), STATUS_OK);
        assert_int_equal(read_all(&w), w.next);
        if (round % 4 == 3) {
            stop(&w);
            sim_crash(w.sim, (uint64_t)round);
            start(&w);
            assert_int_equal(read_all(&w), w.next);
            assert_int_equal(w.manifest.flushed_lsn, w.lsn);
        }
    }
    assert_true(w.manifest.catalog_count < 20); /* small catalog files were joined */
    end_world(&w);
}

static void a_failed_flush_changes_nothing(void **state)
{
    (void)state;
    static const enum sim_call calls[] = {SIM_OPEN, SIM_WRITE, SIM_SYNC, SIM_SYNC_DIR};
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
        for (uint64_t nth = 1; nth < 30; nth++) {
            struct world w = new_world(nth);
            apply(&w, 5);
            assert_int_equal(flush(&w), STATUS_OK);
            apply(&w, 5);
            assert_int_equal(flush(&w), STATUS_OK);
            unsigned files = count_files(&w);
            apply(&w, 5);
            unsigned failures = 0;
            for (int attempt = 0; attempt < 5; attempt++) {
                sim_fail(w.sim, calls[c], SIM_ERROR, nth, 1, NULL);
                enum status status = flush(&w);
                assert_int_equal(read_all(&w), w.next);
                if (status == STATUS_OK) break;
                failures++;
                assert_in_range(count_files(&w), files, files + 3); /* attempts do not pile up */
            }
            sim_heal(w.sim);
            assert_int_equal(flush(&w), STATUS_OK);
            assert_int_equal(read_all(&w), w.next);
            stop(&w);
            sim_crash(w.sim, nth);
            start(&w);
            assert_int_equal(read_all(&w), w.next);
            end_world(&w);
            if (!failures) break;
        }
    }
}

/* The edit of a failed append may reach the disk nevertheless. Then the files it names must be what they were, whatever
 * the next attempt was doing when the power went. */
static void a_crash_in_the_attempt_after_a_failed_one(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 20; at++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            struct world w = new_world(seed);
            apply(&w, 5);
            assert_int_equal(flush(&w), STATUS_OK);
            uint64_t before = w.next;
            apply(&w, 5);
            sim_fail(w.sim, SIM_SYNC, SIM_ERROR, 1, 1, "MANIFEST");
            assert_int_equal(flush(&w), STATUS_IO);
            uint64_t tried = w.next;
            apply(&w, 7);
            sim_halt(w.sim, at);
            bool flushed = flush(&w) == STATUS_OK;
            stop(&w);
            sim_crash(w.sim, seed);
            start(&w);
            uint64_t count = read_all(&w);
            assert_true(flushed ? count == w.next : count == before || count == tried || count == w.next);
            end_world(&w);
        }
    }
}

/* A process that dies alone leaves an edit in the page cache; the next one believes it and removes what it does not
 * list; then the power goes. */
static void an_edit_that_only_the_cache_has(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 25; at++) {
        for (uint64_t seed = 0; seed < 4; seed++) {
            struct world w = new_world(seed);
            for (int round = 0; round < 8; round++) { /* the next flush joins catalog files */
                apply(&w, 3);
                assert_int_equal(flush(&w), STATUS_OK);
            }
            uint64_t before = w.next;
            apply(&w, 3);
            if (at % 4)
                sim_halt(w.sim, at);
            else
                sim_fail(w.sim, SIM_SYNC, SIM_DROP, 1, 1, "MANIFEST"); /* in the cache, and never to leave it */
            (void)!flush(&w);
            stop(&w);
            sim_restart(w.sim);
            start(&w);
            uint64_t found = read_all(&w);
            assert_true(found == before || found == w.next);
            w.next = found;
            if (seed % 2) { /* believed, built upon, and made durable with that */
                apply(&w, 2);
                assert_int_equal(flush(&w), STATUS_OK);
                found = w.next;
            }
            stop(&w);
            sim_crash(w.sim, seed);
            start(&w);
            /* What was only read may go: the log, which is kept until a flush, still has it. */
            uint64_t left = read_all(&w);
            assert_true(left == found || (seed % 2 == 0 && left == before && w.manifest.flushed_lsn < w.lsn));
            end_world(&w);
        }
    }
}

/* A duplicate arrives while the row it replaces is being flushed, and the new file cannot be read for a while: the
 * store lives on, and the row goes when it can be found again. */
static void a_duplicate_during_a_flush(void **state)
{
    (void)state;
    for (int unreadable = 0; unreadable < 2; unreadable++) {
        struct world w = new_world(1);
        struct error error;
        apply(&w, 5);
        struct flush_job *job = flush_job_new(w.lsn, T0);
        assert_int_equal(project_seal(w.project, &w.context, &error), STATUS_OK);
        assert_int_equal(flush_job_project(job, w.project, &no_compaction), STATUS_OK);
        apply(&w, 1); /* sends the fifth event again */
        flush_job_run(job, sim_fs(w.sim), &w.manifest, w.cache, (size_t)1 << 28);
        assert_int_equal(job->status, STATUS_OK);
        if (unreadable) sim_fail(w.sim, SIM_READ, SIM_ERROR, 1, UINT32_MAX, ".sec");
        assert_int_equal(flush_job_finish(&job->projects[0], job, w.project, &error), STATUS_OK);
        flush_job_free(job);
        sim_heal(w.sim);
        assert_int_equal(read_all(&w), w.next);
        assert_int_equal(flush(&w), STATUS_OK);
        stop(&w);
        sim_crash(w.sim, 1);
        start(&w);
        assert_int_equal(read_all(&w), w.next);
        end_world(&w);
    }
}

/* A project that is dropped while a flush writes its names: the flush after it must not write them again, or the
 * directory cannot be opened any more. */
static void dropped_during_a_flush(void **state)
{
    (void)state;
    struct error error;
    struct world w = new_world(1);
    apply(&w, 40);
    struct flush_job *job = flush_job_new(w.lsn, T0);
    assert_int_equal(project_seal(w.project, &w.context, &error), STATUS_OK);
    assert_int_equal(flush_job_project(job, w.project, &no_compaction), STATUS_OK);
    project_clear(w.project);
    w.project->dropped = true;
    flush_job_run(job, sim_fs(w.sim), &w.manifest, w.cache, (size_t)1 << 28);
    assert_int_equal(job->status, STATUS_OK);
    flush_job_free(job); /* nothing is taken in */
    for (int renew = 0; renew < 2; renew++) {
        job = flush_job_new(w.lsn, T0);
        job->renew_catalog = renew;
        uint64_t dropped = 1;
        job->dropped = malloc(sizeof *job->dropped);
        assert_non_null(job->dropped);
        memcpy(job->dropped, &dropped, sizeof dropped);
        job->dropped_count = 1;
        assert_int_equal(flush_job_project(job, w.project, &no_compaction), STATUS_OK);
        flush_job_run(job, sim_fs(w.sim), &w.manifest, w.cache, (size_t)1 << 28);
        assert_int_equal(job->status, STATUS_OK);
        assert_int_equal(flush_job_finish(&job->projects[0], job, w.project, &error), STATUS_OK);
        flush_job_free(job);
        stop(&w);
        start(&w);
        w.project->dropped = true; /* as opening a store does */
        assert_int_equal(w.manifest.catalog_count, renew ? 0 : 1);
        assert_int_equal(w.manifest.dropped_count, 1);
        assert_int_equal(w.project->live_count, 0);
    }
    end_world(&w);
}

/* Any flipped bit of a file that counts is noticed: at opening, or by the read that meets it. */
static void damage_is_noticed(void **state)
{
    (void)state;
    static const char *const kinds[] = {"sec", "cat", "del"};
    for (size_t kind = 0; kind < 3; kind++) {
        for (uint64_t offset = 0;; offset += kind ? 3 : 29) {
            struct error error = ERROR_INIT;
            struct world w = new_world(1);
            apply(&w, 40);
            assert_int_equal(flush(&w), STATUS_OK);
            apply(&w, 40);
            assert_int_equal(flush(&w), STATUS_OK);
            stop(&w);
            char name[64];
            snprintf(name, sizeof name, "events/%016x.%s", kind == 2 ? 6 : kind == 1 ? 2 : 1, kinds[kind]);
            bool there = sim_flip(w.sim, name, offset, 0x10);
            assert_true(there || offset > 64);
            w.cache = cache_new(1 << 20);
            w.project = project_new(1);
            w.arena = arena_new(1 << 24);
            enum status status = manifest_open(sim_fs(w.sim), &error, &w.manifest);
            assert_int_equal(status, STATUS_OK);
            status = files_load(sim_fs(w.sim), &w.manifest, w.cache, find, &w, &error);
            if (status == STATUS_OK) {
                struct snapshot *snapshot;
                struct scan *scan;
                struct scan_run run;
                struct scan_options all = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
                uint64_t rows = 0, sum = 0;
                assert_int_equal(project_publish(w.project, &w.context, &error, &snapshot), STATUS_OK);
                assert_int_equal(scan_new(snapshot, &all, &error, &scan), STATUS_OK);
                while ((status = scan_next(scan, &error, &run)) == STATUS_OK) {
                    uint32_t count;
                    const uint8_t *live, *flags;
                    const int64_t *times, *received;
                    const uint32_t *ids, *persons;
                    struct vector n = {0}, inserts = {0};
                    status = scan_vector(scan, 0, &error, &count);
                    if (status == STATUS_OK) status = scan_live(scan, &error, &live);
                    if (status == STATUS_OK) status = scan_times(scan, &error, &times);
                    if (status == STATUS_OK) status = scan_received(scan, &error, &received);
                    if (status == STATUS_OK) status = scan_flags(scan, &error, &flags);
                    if (status == STATUS_OK) status = scan_ids(scan, &error, &ids);
                    if (status == STATUS_OK) status = scan_persons(scan, &error, &persons);
                    if (status == STATUS_OK) status = scan_insert_ids(scan, &error, &inserts);
                    if (status == STATUS_OK)
                        status = scan_property(scan, snapshot_property_id(snapshot, STR("n")), &error, &n);
                    if (status != STATUS_OK) break;
                    for (uint32_t i = 0; i < count; i++) {
                        uint64_t number = (uint64_t)vector_at(&n, i).integer;
                        char text[32];
                        snprintf(text, sizeof text, "i%u", (unsigned)number);
                        if (!live[i]) continue;
                        rows++;
                        sum += number;
                        assert_true(str_eq(value_text(vector_at(&inserts, i)), str_of(text)));
                        assert_true(str_eq(snapshot_id_text(snapshot, ids[i], (char[ID_TEXT_ROOM]){0}), str_of(text)));
                        assert_true(persons[i] == ids[i] && received[i] == T0 && flags[i] == 0);
                        assert_int_equal(times[i], T0 + (int64_t)number * 7200000);
                    }
                }
                /* Padding between objects belongs to nobody; then everything reads as it was. */
                if (status == STATUS_NOT_FOUND)
                    assert_true(rows == 80 && sum == 79 * 80 / 2);
                else
                    assert_int_equal(status, STATUS_CORRUPT);
                scan_free(scan);
                snapshot_free(snapshot);
            } else {
                assert_true(status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
                assert_true(error.primary[0] != 0);
            }
            end_world(&w);
            if (!there) break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flushed_rows_come_back),
        cmocka_unit_test(a_failed_flush_changes_nothing),
        cmocka_unit_test(a_crash_in_the_attempt_after_a_failed_one),
        cmocka_unit_test(an_edit_that_only_the_cache_has),
        cmocka_unit_test(a_duplicate_during_a_flush),
        cmocka_unit_test(dropped_during_a_flush),
        cmocka_unit_test(damage_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
