/*
 * Deletes through the whole store on the simulated disk: the power goes off at any change, and what was answered is
 * there after the next start; what was not is there whole or not at all. Then what remains on the disk after a purge.
 *
 * CAIRN_SEEDS=n runs n seeds instead of a few; CAIRN_SEED=n runs seed n alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/sim.h"
#include "store/delete_testing.h"

#define FILE_BYTES 262144

static struct store *open_store(struct sim *sim)
{
    struct store_options options;
    struct store_report report;
    struct store *store;
    struct error error = ERROR_INIT;
    store_options_defaults(&options);
    options.fs = sim_fs(sim);
    options.link = model_link;
    options.wal_file_bytes = FILE_BYTES;
    options.flush_rows = 400;
    options.compact.fan_in = 2; /* something is being compacted nearly always */
    options.compact.burst_ms = 0;
    options.compact.idle_ms = 1;
    if (store_open(&options, &error, &report, &store) != STATUS_OK) fail_msg("%s", error.primary);
    return store;
}

static bool differs(struct store *store, const struct model *model, char *text, size_t size)
{
    struct snapshot *snapshot;
    struct error error = ERROR_INIT;
    if (store_snapshot(store, 1, &error, &snapshot) != STATUS_OK) fail_msg("%s", error.primary);
    bool result = model_differs(model, snapshot, text, size);
    snapshot_free(snapshot);
    return result;
}

/* One step; false when the store refused it. `before` gets the model as it was. */
static bool step(struct sim *sim, struct store *store, struct model *model, struct model *before, uint64_t request)
{
    uint64_t rows;
    struct store_deletion deletion;
    struct error error = ERROR_INIT;
    struct buf record;
    uint64_t choice = model_random(model, 8);
    *before = *model;
    switch (choice) {
    case 0: record = model_delete_person(model, 1, request, &rows); break;
    case 1: record = model_delete_before(model, 1, request, &rows); break;
    case 2: {
        struct snapshot *snapshot;
        if (store_snapshot(store, 1, &error, &snapshot) != STATUS_OK) fail_msg("%s", error.primary);
        record = model_delete_rows(model, snapshot, 1, request, 2 + (unsigned)model_random(model, 20), &rows);
        snapshot_free(snapshot);
        if (record.size) break;
        if (!sim_halted(sim)) fail_msg("rows cannot be read");
        buf_fini(&record);
        *model = *before;
        return false;
    }
    case 3:
        if (model_random(model, 2)) return store_flush(store, &error) == STATUS_OK;
        return store_compact_wait(store, &error) == STATUS_OK;
    default:
        record = model_events(model, 1, 1 + (unsigned)model_random(model, 100));
        return store_append_wait(store, &record) == STATUS_OK;
    }
    if (store_delete(store, 1, request, &record, &error, &deletion) != STATUS_OK) return false;
    if (deletion.sections_owed && sim_halted(sim)) return true; /* logged before the power went, not read any more */
    if (deletion.rows != rows || deletion.sections_owed)
        fail_msg("%llu rows are said to be deleted instead of %llu", (unsigned long long)deletion.rows,
                 (unsigned long long)rows);
    return true;
}

static void run_seed(uint64_t seed)
{
    struct sim *sim = sim_new(seed);
    struct model *model = calloc(1, sizeof *model), *before = calloc(1, sizeof *before);
    char text[200], other[200];
    uint64_t request = 0;
    assert_true(model && before);
    model->random = seed;
    for (unsigned life = 0; life < 6; life++) {
        struct store *store = open_store(sim);
        *before = *model;
        if (differs(store, model, text, sizeof text))
            fail_msg("seed %llu, life %u, at start: %s", (unsigned long long)seed, life, text);
        sim_halt(sim, 1 + model_random(model, 200));
        bool good = true;
        for (unsigned i = 0; i < 60 && good; i++) good = step(sim, store, model, before, ++request);
        sim_halt(sim, 0);
        store_close(store);
        if (model_random(model, 3))
            sim_crash(sim, model_random(model, 1000000));
        else
            sim_restart(sim);
        store = open_store(sim);
        if (differs(store, model, text, sizeof text)) {
            /* The step that was refused may have happened, or not. */
            uint64_t random = model->random;
            if (good || differs(store, before, other, sizeof other))
                fail_msg("seed %llu, life %u: %s%s%s", (unsigned long long)seed, life, text,
                         good ? "" : "; or: ", good ? "" : other);
            *model = *before;
            model->random = random;
        }
        store_close(store);
        sim_restart(sim);
    }
    os_fs_free(sim_fs(sim));
    free(model);
    free(before);
}

static void deletes_survive_power_loss(void **state)
{
    (void)state;
    const char *one = getenv("CAIRN_SEED"), *many = getenv("CAIRN_SEEDS");
    if (one) {
        run_seed(strtoull(one, NULL, 10));
        return;
    }
    uint64_t count = many ? strtoull(many, NULL, 10) : 6;
    for (uint64_t seed = 1; seed <= count; seed++) run_seed(seed);
}

struct search {
    struct sim *sim;
    const char *directory, *text;
    unsigned found;
};

static void search_file(void *ctx, const char *name)
{
    struct search *search = ctx;
    char path[128];
    struct error error;
    struct os_file *file;
    uint64_t size = 0;
    snprintf(path, sizeof path, "%s/%s", search->directory, name);
    if (os_open(sim_fs(search->sim), path, OS_READ, &error, &file) != STATUS_OK) return;
    assert_int_equal(os_size(file, &size, &error), STATUS_OK);
    char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(os_pread(file, bytes, size, 0, &error), STATUS_OK);
    search->found += memmem(bytes, size, search->text, strlen(search->text)) != NULL;
    free(bytes);
    os_close(file);
}

static unsigned files_with(struct sim *sim, const char *directory, const char *text)
{
    struct search search = {.sim = sim, .directory = directory, .text = text};
    struct error error;
    assert_int_equal(os_list(sim_fs(sim), directory, search_file, &search, &error), STATUS_OK);
    return search.found;
}

static void send(struct store *store, uint64_t project, const char *id, int64_t time_ms)
{
    struct batch batch;
    struct buf record;
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, project, MODEL_T0, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, STR("a"), time_ms, str_of(id), STR_NULL, STR_NULL);
    batch_event_end(&batch);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}

static uint64_t live_rows(struct store *store, uint64_t project)
{
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_run run;
    struct error error = ERROR_INIT;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    uint64_t rows = 0;
    assert_int_equal(store_snapshot(store, project, &error, &snapshot), STATUS_OK);
    assert_int_equal(scan_new(snapshot, &options, &error, &scan), STATUS_OK);
    while (scan_next(scan, &error, &run) == STATUS_OK) rows += run.rows - run.deleted;
    scan_free(scan);
    snapshot_free(snapshot);
    return rows;
}

static struct store_deletion delete_person(struct store *store, uint64_t project, uint64_t request, const char *id)
{
    struct buf record = BUF_INIT(1000);
    struct store_deletion deletion;
    struct error error = ERROR_INIT;
    struct str text = str_of(id);
    assert_int_equal(record_delete_person(&record, project, request, &text, 1), STATUS_OK);
    if (store_delete(store, project, request, &record, &error, &deletion) != STATUS_OK) fail_msg("%s", error.primary);
    return deletion;
}

/* The log and the catalog forget with store_purge_log, also where the log never fills a file. */
static void the_log_forgets(void **state)
{
    (void)state;
    struct sim *sim = sim_new(1);
    struct store *store = open_store(sim);
    struct error error = ERROR_INIT;
    uint64_t purged;
    send(store, 1, "somebody@example.com", MODEL_T0);
    send(store, 1, "other@example.com", MODEL_T0);
    struct store_deletion deletion = delete_person(store, 1, 1, "somebody@example.com");
    assert_int_equal(deletion.rows, 1);
    assert_int_equal(store_purged_lsn(store, 1, &purged), STATUS_OK);
    assert_true(purged <= deletion.lsn);
    assert_int_equal(files_with(sim, "wal", "somebody@example.com"), 1);
    for (int round = 0; round < 2; round++) {
        if (store_purge_log(store, &error) != STATUS_OK) fail_msg("%s", error.primary);
    }
    assert_int_equal(store_purged_lsn(store, 1, &purged), STATUS_OK);
    assert_true(purged > deletion.lsn);
    assert_int_equal(files_with(sim, "wal", "somebody@example.com"), 0);
    assert_int_equal(files_with(sim, "events", "somebody@example.com"), 0);
    assert_int_equal(files_with(sim, "events", "other@example.com"), 1);
    assert_int_equal(live_rows(store, 1), 1);
    store_close(store);
    sim_crash(sim, 1);
    store = open_store(sim);
    assert_int_equal(live_rows(store, 1), 1);
    store_close(store);
    os_fs_free(sim_fs(sim));
}

/* A delete names its project, and reaches nothing else. */
static void other_projects_are_not_touched(void **state)
{
    (void)state;
    struct sim *sim = sim_new(1);
    struct store *store = open_store(sim);
    struct store_deletion deletion;
    struct error error = ERROR_INIT;
    for (uint64_t project = 1; project <= 3; project++) send(store, project, "u", MODEL_T0);
    assert_int_equal(store_flush(store, &error), STATUS_OK);
    assert_int_equal(delete_person(store, 2, 1, "u").rows, 1);
    assert_int_equal(delete_person(store, 4, 2, "u").rows, 0); /* nobody ever sent anything there */
    struct buf record = BUF_INIT(100);
    assert_int_equal(record_delete_before(&record, 3, 3, INT64_C(1) << 52), STATUS_OK);
    assert_int_equal(store_delete(store, 3, 3, &record, &error, &deletion), STATUS_OK);
    assert_int_equal(deletion.rows, 1);
    assert_int_equal(live_rows(store, 1), 1);
    assert_int_equal(live_rows(store, 2), 0);
    assert_int_equal(live_rows(store, 3), 0);
    assert_int_equal(store_deletion(store, 1, 3, &deletion), STATUS_NOT_FOUND);
    store_close(store);
    os_fs_free(sim_fs(sim));
}

/* What can be written comes back; what is malformed is refused whole. */
static void records_are_checked(void **state)
{
    (void)state;
    struct buf good[3] = {BUF_INIT(1000), BUF_INIT(1000), BUF_INIT(1000)};
    struct str ids[2] = {STR("a"), STR("b")}, empty = STR("");
    assert_int_equal(record_delete_person(&good[0], 1, 7, ids, 2), STATUS_OK);
    assert_int_equal(record_delete_before(&good[1], 1, 7, -5), STATUS_OK);
    struct row_keys keys;
    row_keys_init(&keys);
    row_keys_add(&keys, &(struct row_key){STR("e"), STR("a"), MODEL_T0, STR("i"), 0});
    row_keys_add(&keys, &(struct row_key){STR("e"), STR(""), MODEL_T0 - 5, STR_NULL, 77});
    assert_int_equal(row_keys_count(&keys), 2);
    assert_int_equal(row_keys_finish(&keys, 1, 7, &good[2]), STATUS_OK);
    row_keys_fini(&keys);
    struct arena *arena = arena_new(1 << 20);
    for (unsigned r = 0; r < 3; r++) {
        for (size_t cut = 0; cut <= good[r].size; cut++) {
            struct reader reader = reader_of(str_slice(buf_str(&good[r]), 0, cut));
            struct record record;
            struct delete_view view;
            assert_int_equal(record_next(&reader, &record), cut == good[r].size ? STATUS_OK : STATUS_CORRUPT);
            if (cut < good[r].size) continue;
            assert_int_equal(delete_open(arena, record.kind, record.body, &view), STATUS_OK);
            assert_int_equal(view.request, 7);
            for (size_t part = 0; part < record.body.size; part++)
                assert_int_equal(delete_open(arena, record.kind, str_slice(record.body, 0, part), &view),
                                 STATUS_CORRUPT);
            assert_int_equal(delete_open(arena, record.kind, record.body, &view), STATUS_OK);
            struct row_view row;
            if (record.kind != RECORD_DELETE_ROWS) continue;
            assert_true(delete_next_row(&view, &row) && row.time_ms == MODEL_T0 && str_is(row.insert_id, "i"));
            assert_true(delete_next_row(&view, &row) && row.time_ms == MODEL_T0 - 5 && row.number == 77);
            assert_true(!row.insert_id.data && str_is(view.ids[row.id], ""));
            assert_false(delete_next_row(&view, &row));
        }
        buf_fini(&good[r]);
    }
    arena_free(arena);
    struct buf bad = BUF_INIT(1000);
    assert_int_equal(record_delete_person(&bad, 1, 1, &empty, 1), STATUS_INVALID);
    assert_int_equal(record_delete_person(&bad, 1, 1, ids, 0), STATUS_INVALID);
    assert_int_equal(record_delete_person(&bad, 1, 1, ids, DELETE_IDS_MAX + 1), STATUS_LIMIT);
    assert_int_equal(record_delete_before(&bad, 1, 1, INT64_MAX), STATUS_INVALID);
    buf_fini(&bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deletes_survive_power_loss),
        cmocka_unit_test(the_log_forgets),
        cmocka_unit_test(other_projects_are_not_touched),
        cmocka_unit_test(records_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
