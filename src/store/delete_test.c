/*
 * Deletes of one project, without the store's threads, so that everything happens when the test says: deletes of all
 * kinds between events, links and flushes, above all while a flush is reading. After each step the snapshot is compared
 * with a model (delete_testing.h). From time to time the project is forgotten and made again out of its files and the
 * log behind them, as a crash would.
 *
 * CAIRN_SEEDS=n runs n seeds instead of a few; CAIRN_SEED=n runs seed n alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/log.h"
#include "os/sim.h"
#include "store/delete.h"
#include "store/delete_order.h"
#include "store/delete_testing.h"
#include "store/flush.h"

#define RECORDS_MAX 4000

static const struct store_options options = {.link = model_link, .names_max = 1000};
static const struct compact_options no_compaction = {.rows_max = 1}; /* each day is a window */

struct world {
    struct sim *sim;
    struct manifest manifest;
    struct cache *cache;
    struct project *project;
    struct project_context *context;
    struct arena *arena;
    struct flush_job *job;
    struct model *model;
    /* the log: what was applied, in order */
    struct buf records[RECORDS_MAX];
    uint64_t lsns[RECORDS_MAX];
    size_t record_count;
    uint64_t lsn, request;
};

static struct project *find(void *ctx, uint64_t id)
{
    struct world *w = ctx;
    assert_int_equal(id, 1);
    return w->project;
}

static void apply(struct world *w, size_t number)
{
    struct str bytes = buf_str(&w->records[number]);
    struct frame_bytes *frame = frame_bytes_new(bytes.size);
    assert_non_null(frame);
    memcpy(frame->data, bytes.data, bytes.size);
    struct reader reader = reader_of(str_from(frame->data, bytes.size));
    struct record record;
    struct error error = ERROR_INIT;
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    arena_reset(w->arena);
    struct profile_merges merges = {0};
    enum status status =
        record.kind == RECORD_EVENTS
            ? project_apply_events(w->project, w->context, frame, record.body, w->lsns[number], w->arena, &merges,
                                   &error)
            : project_apply_delete(w->project, w->context, record.kind, record.body, w->lsns[number], w->arena, &error);
    if (status != STATUS_OK) fail_msg("%s", error.primary);
    frame_bytes_unref(frame);
}

static void add(struct world *w, struct buf record)
{
    assert_true(w->record_count < RECORDS_MAX);
    w->records[w->record_count] = record;
    w->lsns[w->record_count] = w->lsn;
    w->lsn += 1000000;
    apply(w, w->record_count++);
}

static void start(struct world *w)
{
    struct error error = ERROR_INIT;
    w->cache = cache_new(1 << 22);
    w->project = project_new(1);
    w->context = calloc(1, sizeof *w->context);
    assert_non_null(w->context);
    w->context->options = &options;
    enum status status = manifest_open(sim_fs(w->sim), &error, &w->manifest);
    if (status == STATUS_OK) status = files_load(sim_fs(w->sim), &w->manifest, w->cache, find, w, &error);
    struct str debts = str_from(w->manifest.debts, w->manifest.debt_size);
    if (status == STATUS_OK) status = project_debts_read(debts, find, w, w->context, &error);
    if (status != STATUS_OK) fail_msg("%s", error.primary);
    if (!w->manifest.failed) files_sweep(sim_fs(w->sim), &w->manifest);
    for (size_t i = 0; i < w->record_count; i++) {
        if (w->lsns[i] >= w->manifest.flushed_lsn) apply(w, i);
    }
}

static void stop(struct world *w)
{
    flush_job_free(w->job);
    w->job = NULL;
    project_free(w->project);
    free(w->context);
    cache_free(w->cache);
    manifest_fini(&w->manifest);
}

static struct world *new_world(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->model = calloc(1, sizeof *w->model);
    assert_non_null(w->model);
    w->model->random = seed;
    w->sim = sim_new(seed);
    w->arena = arena_new(1 << 26);
    w->lsn = 1000000;
    start(w);
    return w;
}

static void end_world(struct world *w)
{
    stop(w);
    for (size_t i = 0; i < w->record_count; i++) buf_fini(&w->records[i]);
    arena_free(w->arena);
    os_fs_free(sim_fs(w->sim));
    free(w->model);
    free(w);
}

static void flush_begin(struct world *w, bool renew)
{
    struct error error = ERROR_INIT;
    w->job = flush_job_new(w->lsn, MODEL_T0);
    assert_non_null(w->job);
    w->job->renew_catalog = renew;
    assert_int_equal(project_seal(w->project, w->context, &error), STATUS_OK);
    assert_int_equal(flush_job_project(w->job, w->project, &no_compaction), STATUS_OK);
}

static enum status flush_end(struct world *w)
{
    struct error error = ERROR_INIT;
    flush_job_run(w->job, sim_fs(w->sim), &w->manifest, w->cache, (size_t)1 << 30);
    enum status result = w->job->status;
    assert_int_equal(flush_job_finish(&w->job->projects[0], w->job, w->project, &error), STATUS_OK);
    flush_job_free(w->job);
    w->job = NULL;
    return result;
}

static void flush(struct world *w)
{
    flush_begin(w, false);
    assert_int_equal(flush_end(w), STATUS_OK);
}

static struct snapshot *publish(struct world *w)
{
    struct snapshot *snapshot;
    struct error error = ERROR_INIT;
    if (project_publish(w->project, w->context, &error, &snapshot) != STATUS_OK) fail_msg("%s", error.primary);
    return snapshot;
}

static void check(struct world *w, uint64_t seed, const char *step)
{
    char text[200];
    struct snapshot *snapshot = publish(w);
    bool differs = model_differs(w->model, snapshot, text, sizeof text);
    snapshot_free(snapshot);
    if (differs) fail_msg("seed %llu, record %zu, after %s: %s", (unsigned long long)seed, w->record_count, step, text);
}

static void delete_something(struct world *w, uint64_t seed)
{
    uint64_t rows, request = ++w->request;
    struct buf record;
    switch (model_random(w->model, 3)) {
    case 0: record = model_delete_person(w->model, 1, request, &rows); break;
    case 1: record = model_delete_before(w->model, 1, request, &rows); break;
    default: {
        struct snapshot *snapshot = publish(w);
        record = model_delete_rows(w->model, snapshot, 1, request, 2 + (unsigned)model_random(w->model, 30), &rows);
        snapshot_free(snapshot);
    }
    }
    add(w, record);
    const struct delete_result *result = delete_results_find(&w->context->results, 1, request);
    assert_non_null(result);
    if (result->rows != rows || result->owed)
        fail_msg("seed %llu, record %zu: %llu rows are said to be deleted instead of %llu", (unsigned long long)seed,
                 w->record_count, (unsigned long long)result->rows, (unsigned long long)rows);
}

static void run_seed(uint64_t seed)
{
    struct world *w = new_world(seed);
    struct model *model = w->model;
    for (unsigned step = 0; step < 250; step++) {
        switch (model_random(model, 12)) {
        case 0:
        case 1: delete_something(w, seed); break;
        case 2:
            if (w->job) {
                assert_int_equal(flush_end(w), STATUS_OK);
                check(w, seed, "a flush");
            } else {
                flush_begin(w, model_random(model, 4) == 0);
            }
            break;
        case 3:
            if (model_random(model, 3)) break;
            if (w->job) { /* a flush that fails */
                sim_fail(w->sim, SIM_SYNC, SIM_ERROR, 1, 100, NULL);
                assert_int_not_equal(flush_end(w), STATUS_OK);
                sim_fail(w->sim, SIM_SYNC, SIM_ERROR, 1, 0, NULL);
                check(w, seed, "a failed flush");
            }
            break;
        case 4:
            if (model_random(model, 3)) break;
            stop(w);
            sim_restart(w->sim);
            start(w);
            check(w, seed, "a new start");
            break;
        case 5: check(w, seed, "some events"); break;
        default: add(w, model_events(model, 1, 1 + (unsigned)model_random(model, 60)));
        }
    }
    if (w->job) assert_int_equal(flush_end(w), STATUS_OK);
    flush(w);
    check(w, seed, "the last flush");
    stop(w);
    sim_restart(w->sim);
    start(w);
    check(w, seed, "the last start");
    end_world(w);
}

static void a_project_is_what_its_log_says(void **state)
{
    (void)state;
    const char *one = getenv("CAIRN_SEED"), *many = getenv("CAIRN_SEEDS");
    if (one) {
        run_seed(strtoull(one, NULL, 10));
        return;
    }
    uint64_t count = many ? strtoull(many, NULL, 10) : 12;
    for (uint64_t seed = 1; seed <= count; seed++) run_seed(seed);
}

/* One person has far more rows than others: marking them is one range per run, and what the report counts is exact. */
static void a_person_with_many_rows(void **state)
{
    (void)state;
    struct world *w = new_world(1);
    for (unsigned round = 0; round < 40; round++) {
        struct batch batch;
        struct buf record;
        batch_init(&batch, 1 << 24);
        batch_begin(&batch, 1, MODEL_T0, IDENTITY_SIMPLIFIED, 0);
        for (unsigned i = 0; i < 5000; i++) {
            char id[16];
            batch_event(&batch, STR("a"), MODEL_T0 + round * 5000 + i,
                        i % 50 ? STR("busy") : model_id(id, round * 100 + i / 50), STR_NULL, STR_NULL);
            batch_event_end(&batch);
        }
        assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
        batch_fini(&batch);
        add(w, record);
    }
    flush(w);
    for (unsigned files = 0; files < 2; files++) {
        struct buf record = BUF_INIT(1000);
        struct str id = files ? STR("id-17") : STR("busy");
        assert_int_equal(record_delete_person(&record, 1, files + 1, &id, 1), STATUS_OK);
        add(w, record);
    }
    assert_int_equal(delete_results_find(&w->context->results, 1, 1)->rows, 40 * 4900);
    assert_int_equal(delete_results_find(&w->context->results, 1, 2)->rows, 1);
    assert_null(delete_results_find(&w->context->results, 2, 1));
    struct snapshot *snapshot = publish(w);
    assert_int_equal(snapshot->section_count, 1);
    assert_int_equal(snapshot->sections[0].deletes->count, 40 * 4900 + 1);
    roaring_statistics_t statistics;
    roaring_bitmap_statistics(snapshot->sections[0].deletes->rows, &statistics);
    assert_true(statistics.n_run_containers > 0);
    assert_int_equal(snapshot_id(snapshot, STR("busy")), 0);
    snapshot_free(snapshot);
    end_world(w);
}

/* What is older than a bound leaves without being read: the files may even be damaged. */
static void old_sections_leave_unread(void **state)
{
    (void)state;
    struct world *w = new_world(7);
    uint64_t rows;
    add(w, model_events(w->model, 1, 200));
    flush(w);
    struct snapshot *before = publish(w);
    assert_true(before->section_count > 0);
    uint64_t reads = sim_calls(w->sim, SIM_READ);
    struct buf record = BUF_INIT(100);
    assert_int_equal(record_delete_before(&record, 1, 1, MODEL_T0 + 1), STATUS_OK);
    add(w, record);
    assert_int_equal(sim_calls(w->sim, SIM_READ), reads);
    assert_true(delete_results_find(&w->context->results, 1, 1)->rows > 0);
    struct snapshot *after = publish(w);
    assert_int_equal(after->section_count, 0);
    assert_true(before->section_count > 0);
    snapshot_free(before);
    snapshot_free(after);
    (void)rows;
    end_world(w);
}

/* A section that cannot be read keeps what it owes, and pays when it can. */
static void what_cannot_be_read_is_owed(void **state)
{
    (void)state;
    struct world *w = new_world(3);
    uint64_t rows;
    add(w, model_events(w->model, 1, 300));
    flush(w);
    stop(w); /* nothing is in the cache then */
    sim_restart(w->sim);
    start(w);
    assert_true(w->project->live_count > 0);
    struct buf record = model_delete_person(w->model, 1, 5, &rows);
    assert_true(rows > 0);
    sim_fail(w->sim, SIM_READ, SIM_ERROR, 1, 1000, ".sec");
    add(w, record);
    assert_true(delete_results_find(&w->context->results, 1, 5)->owed > 0);
    assert_true(project_owes(w->project, w->project->live[0].section));
    assert_true(project_purged_lsn(w->project) <= w->lsns[w->record_count - 1]);
    sim_heal(w->sim);
    check(w, 3, "reading works again");
    assert_int_equal(delete_results_find(&w->context->results, 1, 5)->owed, 0);
    assert_int_equal(delete_results_find(&w->context->results, 1, 5)->rows, rows);
    assert_false(project_owes(w->project, w->project->live[0].section));
    end_world(w);
}

/* The people are forgotten by then, and a flush has left the delete's record behind: what is owed is in the manifest,
 * until it is paid, and then not any more. */
static void debts_outlive_the_process(void **state)
{
    (void)state;
    struct world *w = new_world(4);
    uint64_t rows;
    add(w, model_events(w->model, 1, 300));
    flush(w);
    stop(w);
    sim_restart(w->sim);
    start(w);
    struct buf record = model_delete_person(w->model, 1, 5, &rows);
    assert_true(rows > 0);
    sim_fail(w->sim, SIM_READ, SIM_ERROR, 1, 1000000, ".sec");
    add(w, record);
    assert_true(delete_results_find(&w->context->results, 1, 5)->owed > 0);
    sim_heal(w->sim);
    add(w, model_events(w->model, 1, 100)); /* some of the same people come again */
    flush(w);
    assert_true(w->manifest.debt_size > 0);
    for (unsigned i = 0; i < 3; i++) { /* before the debt is paid, then before that is durable, then after */
        stop(w);
        sim_restart(w->sim);
        start(w);
        assert_int_equal(w->manifest.debt_size > 0, i < 2);
        const struct delete_result *result = delete_results_find(&w->context->results, 1, 5);
        assert_int_equal(result != NULL, i < 2);
        assert_int_equal(w->project->owed_count > 0, i < 2);
        if (result) assert_true(project_purged_lsn(w->project) <= result->lsn);
        check(w, 4, "after a restart");
        assert_int_equal(w->project->owed_count, 0);
        if (result && (result->owed || result->rows != rows))
            fail_msg("%u sections owe, %u rows of %u", result->owed, (unsigned)result->rows, (unsigned)rows);
        if (i == 1) flush(w);
    }
    end_world(w);
}

static void malformed_debts_are_refused(void **state)
{
    (void)state;
    struct world *w = new_world(5);
    struct error error = ERROR_INIT;
    struct buf out = BUF_INIT(1000);
    for (unsigned i = 0; i < 4; i++) buf_u64(&out, 1);
    buf_u32(&out, 0);
    buf_u32(&out, 2); /* numbers follow */
    for (unsigned i = 0; i < 2; i++) buf_u32(&out, i);
    for (size_t size = 0; size <= out.size; size++) {
        enum status status = project_debts_read(str_from(out.data, size), find, w, w->context, &error);
        assert_int_equal(status, size == 0 || size == out.size ? STATUS_OK : STATUS_CORRUPT);
    }
    assert_int_equal(w->project->owed_count, 0); /* it has no sections */
    buf_fini(&out);
    end_world(w);
}

static bool file_holds(struct world *w, const char *name, const char *text)
{
    struct error error;
    struct os_file *file;
    uint64_t size = 0;
    if (os_open(sim_fs(w->sim), name, OS_READ, &error, &file) != STATUS_OK) return false;
    assert_int_equal(os_size(file, &size, &error), STATUS_OK);
    char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(os_pread(file, bytes, size, 0, &error), STATUS_OK);
    bool found = memmem(bytes, size, text, strlen(text)) != NULL;
    free(bytes);
    os_close(file);
    return found;
}

static bool catalog_holds(struct world *w, const char *text)
{
    bool found = false;
    for (size_t i = 0; i < w->manifest.catalog_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "events/%016llx.cat", (unsigned long long)w->manifest.catalogs[i].file_id);
        found |= file_holds(w, name, text);
    }
    return found;
}

static void send_one(struct world *w, const char *id)
{
    struct batch batch;
    struct buf record;
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, 1, MODEL_T0, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, STR("a"), MODEL_T0, str_of(id), STR_NULL, STR_NULL);
    batch_event_end(&batch);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    add(w, record);
}

/* The ids of a deleted person leave the catalog with the flush that writes it anew, and come back as somebody else. */
static void ids_leave_the_catalog(void **state)
{
    (void)state;
    struct world *w = new_world(1);
    send_one(w, "secret@example.com");
    send_one(w, "other@example.com");
    flush(w);
    struct snapshot *old = publish(w);
    assert_true(catalog_holds(w, "secret@example.com"));
    struct str id = STR("secret@example.com");
    struct buf record = BUF_INIT(1000);
    assert_int_equal(record_delete_person(&record, 1, 1, &id, 1), STATUS_OK);
    add(w, record);
    uint64_t lsn = w->lsns[w->record_count - 1];
    assert_int_equal(w->project->forgot_lsn, lsn);
    flush(w);
    assert_true(catalog_holds(w, "secret@example.com"));
    for (int round = 0; round < 2; round++) { /* also when the delete came before the start */
        assert_int_not_equal(w->project->forgot_lsn, 0);
        struct snapshot *snapshot = publish(w);
        assert_int_equal(snapshot_id(snapshot, id), 0);
        assert_int_equal(snapshot_id(snapshot, STR("other@example.com")), 2);
        snapshot_free(snapshot);
        if (round) break;
        assert_int_equal(snapshot_id(old, id), 1); /* snapshots never change */
        snapshot_free(old);
        stop(w);
        sim_restart(w->sim);
        start(w);
    }
    flush_begin(w, true);
    assert_int_equal(flush_end(w), STATUS_OK);
    assert_false(catalog_holds(w, "secret@example.com"));
    assert_true(catalog_holds(w, "other@example.com"));
    assert_int_equal(w->project->forgot_lsn, 0);
    send_one(w, "secret@example.com");
    flush(w);
    stop(w);
    sim_restart(w->sim);
    start(w);
    struct snapshot *snapshot = publish(w);
    assert_int_equal(snapshot_id(snapshot, id), 3);
    assert_int_equal(snapshot_person(snapshot, 3), 3);
    assert_int_equal(snapshot_person(snapshot, 1), 0);
    snapshot_free(snapshot);
    end_world(w);
}

/* A section that was folded with links from behind the delete, as a crash after a compaction leaves it: the delete is
 * replayed and must go by the ids as sent. */
static void sections_from_the_future(void **state)
{
    (void)state;
    struct world *w = new_world(1);
    send_one(w, "a");
    send_one(w, "a");
    send_one(w, "b");
    flush(w);
    struct delete_order *order = delete_order_new(RECORD_DELETE_PERSON);
    order->persons = malloc(sizeof *order->persons);
    order->persons[order->person_count++] = 1; /* "a" alone */
    assert_int_equal(delete_order_finish(order), STATUS_OK);
    assert_int_equal(id_graph_link(w->project->ids, 1, 2, 2, NULL), STATUS_OK);
    send_one(w, "b");
    flush(w); /* b's row is stored under a's number, with one link applied */
    assert_int_equal(w->project->live_count, 2);
    for (size_t i = 0; i < 2; i++) {
        roaring_bitmap_t *rows = NULL;
        struct error error;
        uint64_t marked;
        assert_int_equal(delete_mark(order, w->project->live[i].section, NULL, &rows, &error, &marked), STATUS_OK);
        assert_int_equal(marked, i == 0 ? 2 : 0);
        assert_int_equal(w->project->live[i].section->links_applied, i);
        if (rows) roaring_bitmap_free(rows);
    }
    delete_order_unref(order);
    end_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_project_is_what_its_log_says), cmocka_unit_test(a_person_with_many_rows),
        cmocka_unit_test(old_sections_leave_unread),      cmocka_unit_test(what_cannot_be_read_is_owed),
        cmocka_unit_test(debts_outlive_the_process),      cmocka_unit_test(malformed_debts_are_refused),
        cmocka_unit_test(ids_leave_the_catalog),          cmocka_unit_test(sections_from_the_future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
