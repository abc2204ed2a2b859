/* The whole store on the simulated disk, in situations that are too rare for chance (tests/simulation): each is one
 * that lost data or refused to start before, or that the manual promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/sim.h"
#include "os/thread.h"
#include "store/manifest.h"
#include "store/store.h"
#include "store/wal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define T0 1700000000000LL

static unsigned no_links(struct id_graph *graph, const struct link_request *request)
{
    (void)graph, (void)request;
    return 0;
}

struct fixture {
    struct sim *sim;
    struct store *store;
    struct store_report report;
    struct error error;
    size_t memory_bytes_max; /* 0: as usual */
};

static enum status try_open(struct fixture *f, bool salvage)
{
    struct store_options options;
    store_options_defaults(&options);
    options.fs = sim_fs(f->sim);
    options.link = no_links;
    options.wal_file_bytes = 65536;
    options.salvage = salvage;
    if (f->memory_bytes_max) {
        options.memory_bytes_max = f->memory_bytes_max;
        options.retry_ms = 10; /* disks heal at once here */
    }
    f->error = ERROR_INIT;
    f->store = NULL;
    return store_open(&options, &f->error, &f->report, &f->store);
}

static void open_store(struct fixture *f)
{
    if (try_open(f, false) != STATUS_OK) fail_msg("%s", f->error.primary);
}

static struct fixture new_fixture(uint64_t seed)
{
    struct fixture f = {.sim = sim_new(seed)};
    open_store(&f);
    return f;
}

static void crash(struct fixture *f, uint64_t seed)
{
    sim_halt(f->sim, 0);
    store_close(f->store);
    f->store = NULL;
    sim_crash(f->sim, seed);
}

static void end_fixture(struct fixture *f)
{
    store_close(f->store);
    os_fs_free(sim_fs(f->sim));
}

static struct buf pack(uint64_t project, const char *event, size_t filler)
{
    struct batch batch;
    struct buf record;
    char *text = calloc(1, filler + 1);
    assert_non_null(text);
    memset(text, 'x', filler);
    struct json json = json_string(str_of(text));
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, project, T0, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, str_of(event), T0, STR("someone"), STR_NULL, STR_NULL);
    if (filler) assert_int_equal(batch_property(&batch, STR("p"), &json), STATUS_OK);
    batch_event_end(&batch);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    free(text);
    return record;
}

static enum status send(struct fixture *f, uint64_t project, const char *event)
{
    struct buf record = pack(project, event, 0);
    return store_append_wait(f->store, &record);
}

static uint64_t count(struct fixture *f, uint64_t project, const char *event)
{
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_run run;
    uint64_t rows = 0;
    assert_int_equal(store_snapshot(f->store, project, &f->error, &snapshot), STATUS_OK);
    uint32_t id = snapshot_event_id(snapshot, str_of(event));
    struct scan_options options = {.events = &id, .event_count = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX};
    assert_int_equal(scan_new(snapshot, &options, &f->error, &scan), STATUS_OK);
    while (scan_next(scan, &f->error, &run) == STATUS_OK) rows += run.rows - run.deleted;
    scan_free(scan);
    snapshot_free(snapshot);
    return rows;
}

static enum status ignore(void *ctx, uint64_t lsn, uint64_t end_lsn, struct str records)
{
    (void)ctx, (void)lsn, (void)end_lsn, (void)records;
    return STATUS_OK;
}

/* Everything is flushed, and the log's last frame is a mark that only the page cache has when the process dies. The
 * next process must not go on behind that mark: when the power goes too, the mark is gone, and the log would have a
 * hole. */
static void a_mark_that_only_the_cache_has(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct fixture f = new_fixture(seed);
        struct manifest manifest;
        struct wal *wal;
        struct wal_report report;
        struct error error;
        struct buf record = pack(1, "a", 0);
        uint64_t lsn, end;
        store_close(f.store);
        assert_int_equal(manifest_open(sim_fs(f.sim), &error, &manifest), STATUS_OK);
        struct wal_options options = {.fs = sim_fs(f.sim), .file_bytes = 65536};
        memcpy(options.node, manifest.node, 16);
        assert_int_equal(wal_open(&options, manifest.flushed_lsn, ignore, NULL, &error, &report, &wal), STATUS_OK);
        assert_int_equal(wal_reopen(wal, &error), STATUS_OK);
        char *frame = calloc(1, wal_frame_size(record.size));
        memcpy(frame + WAL_FRAME_HEADER, record.data, record.size);
        assert_int_equal(wal_write(wal, frame, record.size, 1, T0, &error, &lsn, &end), STATUS_OK);
        struct manifest_edit edit = {.flushed_lsn = end, .next_file_id = manifest.next_file_id};
        assert_int_equal(manifest_append(&manifest, &edit, &error), STATUS_OK);
        sim_lie(f.sim, true);
        assert_int_equal(wal_mark(wal, T0, &error), STATUS_OK);
        sim_lie(f.sim, false);
        wal_free(wal);
        manifest_fini(&manifest);
        buf_fini(&record);
        free(frame);
        sim_restart(f.sim);
        open_store(&f);
        assert_int_equal(send(&f, 1, "b"), STATUS_OK);
        crash(&f, seed);
        open_store(&f);
        assert_int_equal(count(&f, 1, "b"), 1);
        end_fixture(&f);
    }
}

/* Appends fail with UNAVAILABLE while the log cannot be written, reads go on, and writing resumes by itself. */
static void a_disk_that_fails_for_a_while(void **state)
{
    (void)state;
    static const struct {
        enum sim_call call;
        enum sim_fault fault;
    } faults[] = {{SIM_SYNC, SIM_DROP}, {SIM_WRITE, SIM_ERROR}, {SIM_CALLS, SIM_ERROR}};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f = new_fixture(i);
        assert_int_equal(send(&f, 1, "a"), STATUS_OK);
        if (faults[i].call == SIM_CALLS)
            sim_space(f.sim, 0);
        else
            sim_fail(f.sim, faults[i].call, faults[i].fault, 1, UINT32_MAX, NULL);
        struct buf large = pack(1, "large", 60000); /* needs another file */
        enum status status = store_append_wait(f.store, &large);
        for (int tries = 0; status == STATUS_OK && tries < 3; tries++) {
            large = pack(1, "large", 60000);
            status = store_append_wait(f.store, &large);
        }
        assert_int_equal(status, STATUS_UNAVAILABLE);
        assert_int_equal(store_writable(f.store, &f.error), STATUS_UNAVAILABLE);
        assert_int_not_equal(f.error.primary[0], 0);
        assert_int_equal(store_flush(f.store, &f.error) != STATUS_OK, true);
        assert_int_equal(count(&f, 1, "a"), 1);
        uint64_t kept = count(&f, 1, "large");
        sim_heal(f.sim);
        for (int tries = 0; tries < 10000 && send(&f, 1, "b") != STATUS_OK; tries++) usleep(10000);
        assert_int_equal(store_writable(f.store, &f.error), STATUS_OK);
        assert_int_equal(store_flush(f.store, &f.error), STATUS_OK);
        for (int look = 0; look < 2; look++) {
            assert_int_equal(count(&f, 1, "a"), 1);
            assert_int_equal(count(&f, 1, "b"), 1);
            assert_int_equal(count(&f, 1, "large"), kept);
            crash(&f, i);
            open_store(&f);
        }
        end_fixture(&f);
    }
}

static void heal(void *arg)
{
    struct sim *sim = arg;
    usleep(50000);
    sim_heal(sim);
}

struct patient { /* on the log's thread, or in the call */
    _Atomic bool done;
    enum status status;
};

static void patient_done(void *arg, enum status status)
{
    struct patient *patient = arg;
    patient->status = status;
    atomic_store(&patient->done, true);
}

/* While section files cannot be written events gather in memory, until no more are taken. Who has patience is taken
 * when the disk is well again. */
static void full_memory_refuses_or_waits(void **state)
{
    (void)state;
    struct fixture f = {.sim = sim_new(5), .memory_bytes_max = 4096};
    open_store(&f);
    uint64_t taken = 0, tries = 0;
    sim_fail(f.sim, SIM_WRITE, SIM_ERROR, 1, UINT32_MAX, ".sec");
    while (send(&f, 1, "a") == STATUS_OK && ++tries < 100000) {
        taken++;
        if (taken > 10) usleep(1000); /* memory is counted now and then */
    }
    assert_in_range(taken, 1, 99999);
    assert_int_equal(store_writable(f.store, &f.error), STATUS_UNAVAILABLE);
    struct os_thread healer;
    struct patient patient = {.status = STATUS_INTERNAL};
    assert_int_equal(os_thread_spawn(&healer, "healer", heal, f.sim), STATUS_OK);
    struct buf record = pack(1, "a", 10);
    store_append_patiently(f.store, &record, patient_done, &patient);
    while (!atomic_load(&patient.done)) usleep(1000);
    os_thread_join(&healer);
    assert_int_equal(patient.status, STATUS_OK);
    assert_int_equal(count(&f, 1, "a"), taken + 1);
    end_fixture(&f);
}

/* A disk that is full when the store starts: what was acknowledged can be read. */
static void a_full_disk_at_start(void **state)
{
    (void)state;
    struct fixture f = new_fixture(1);
    assert_int_equal(send(&f, 1, "a"), STATUS_OK);
    crash(&f, 1);
    sim_space(f.sim, sim_used(f.sim));
    open_store(&f);
    assert_int_equal(count(&f, 1, "a"), 1);
    assert_int_equal(store_writable(f.store, &f.error), STATUS_UNAVAILABLE);
    assert_int_equal(send(&f, 1, "b"), STATUS_UNAVAILABLE);
    sim_heal(f.sim);
    for (int tries = 0; tries < 10000 && send(&f, 1, "b") != STATUS_OK; tries++) usleep(10000);
    assert_int_equal(count(&f, 1, "b"), 1);
    end_fixture(&f);
}

static void salvage_starts_once_and_for_all(void **state)
{
    (void)state;
    struct fixture f = new_fixture(1);
    assert_int_equal(send(&f, 1, "a"), STATUS_OK);
    assert_int_equal(send(&f, 1, "b"), STATUS_OK);
    assert_int_equal(send(&f, 1, "c"), STATUS_OK);
    crash(&f, 1);
    assert_true(sim_flip(f.sim, "wal/0000000000000000-0000000000000001.wal", 64 + 50, 1));
    assert_int_equal(try_open(&f, false), STATUS_CORRUPT);
    assert_int_equal(try_open(&f, true), STATUS_OK);
    assert_true(f.report.bytes_lost > 0);
    for (int look = 0; look < 2; look++) {
        assert_int_equal(count(&f, 1, "a"), 0);
        assert_int_equal(count(&f, 1, "b") + count(&f, 1, "c"), 2);
        crash(&f, 2);
        open_store(&f); /* without salvage */
    }
    end_fixture(&f);
}

static void a_dropped_project_stays_gone(void **state)
{
    (void)state;
    for (int flushed = 0; flushed < 4; flushed++) {
        struct fixture f = new_fixture((uint64_t)flushed);
        struct buf drop = BUF_INIT(100);
        assert_int_equal(send(&f, 1, "a"), STATUS_OK);
        assert_int_equal(send(&f, 2, "a"), STATUS_OK);
        if (flushed & 1) assert_int_equal(store_flush(f.store, &f.error), STATUS_OK);
        assert_int_equal(record_project_drop(&drop, 1), STATUS_OK);
        assert_int_equal(store_append_wait(f.store, &drop), STATUS_OK);
        assert_int_equal(count(&f, 1, "a"), 0);
        assert_int_equal(send(&f, 1, "late"), STATUS_OK); /* it was on its way */
        assert_int_equal(count(&f, 1, "late"), 0);
        if (flushed & 2) assert_int_equal(store_flush(f.store, &f.error), STATUS_OK);
        for (int look = 0; look < 3; look++) {
            assert_int_equal(count(&f, 1, "a"), 0);
            assert_int_equal(count(&f, 1, "late"), 0);
            assert_int_equal(count(&f, 2, "a"), 1);
            if (look == 1) assert_int_equal(send(&f, 1, "late"), STATUS_OK);
            crash(&f, 3);
            open_store(&f);
        }
        end_fixture(&f);
    }
}

static void count_file(void *ctx, const char *file)
{
    (void)file;
    ++*(size_t *)ctx;
}

static size_t log_files(struct fixture *f)
{
    size_t count = 0;
    assert_int_equal(os_list(sim_fs(f->sim), "wal", count_file, &count, &f->error), STATUS_OK);
    return count;
}

/* After a purge of the log its only file has no frame. A start that is cut off at any change of the disk must not leave
 * the directory without one: the next start would say that the log is lost. */
static void a_purged_log_is_not_a_lost_one(void **state)
{
    (void)state;
    bool halted = true;
    for (uint64_t nth = 1; halted; nth++) {
        struct fixture f = new_fixture(nth);
        assert_int_equal(send(&f, 1, "a"), STATUS_OK);
        if (store_purge_log(f.store, &f.error) != STATUS_OK) fail_msg("%s", f.error.primary);
        store_close(f.store);
        sim_restart(f.sim);
        sim_halt(f.sim, nth);
        enum status status = try_open(&f, false);
        halted = sim_halted(f.sim);
        assert_true(halted || status == STATUS_OK);
        if (f.store) store_close(f.store);
        sim_restart(f.sim); /* killed: what was done is done */
        open_store(&f);
        assert_int_equal(count(&f, 1, "a"), 1);
        assert_int_equal(send(&f, 1, "a"), STATUS_OK);
        end_fixture(&f);
        assert_true(nth < 1000);
    }
}

/* A server that is started again and again without work must not gather log files. */
static void starting_often_leaves_nothing_behind(void **state)
{
    (void)state;
    struct fixture f = new_fixture(77);
    size_t most = 0;
    for (int i = 0; i < 30; i++) {
        if (i == 10) assert_int_equal(send(&f, 1, "A"), STATUS_OK);
        store_close(f.store);
        open_store(&f);
        size_t files = log_files(&f);
        if (files > most) most = files;
    }
    assert_in_range(most, 1, 6);
    end_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starting_often_leaves_nothing_behind), cmocka_unit_test(a_mark_that_only_the_cache_has),
        cmocka_unit_test(a_disk_that_fails_for_a_while),        cmocka_unit_test(a_full_disk_at_start),
        cmocka_unit_test(salvage_starts_once_and_for_all),      cmocka_unit_test(a_dropped_project_stays_gone),
        cmocka_unit_test(a_purged_log_is_not_a_lost_one),       cmocka_unit_test(full_memory_refuses_or_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
