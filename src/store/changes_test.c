/*
 * The numbers of store_changes: every kind of write to a project changes the one that its answers depend on before it
 * is acknowledged, and the numbers of no other project; flushing, compacting and looking change none. And a snapshot
 * taken after a number was read holds everything that the number counts, with writers at work meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/thread.h"
#include "store/changes.h"
#include "store/delete_record.h"
#include "store/ids.h"
#include "store/profile_row.h"
#include "store/profiles.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define T0    1700000000000LL
#define OTHER 2

static char directory[64];
static struct os_fs *fs;
static struct store *store;
static struct error error;

static unsigned link_rule(struct id_graph *graph, const struct link_request *request)
{
    uint32_t device = request->device, user = request->user;
    return id_graph_link(graph, device, user, user, NULL) == STATUS_OK ? 0 : 1;
}

/* One property, which is as long as the operations. */
static enum status update_rule(const struct update_view *update, struct arena *arena, struct profile_row *row,
                               struct profile_outcome *outcome)
{
    if (!row->capacity) {
        row->items = arena_new_array(arena, struct profile_property, 1);
        row->capacity = 1;
    }
    if (!row->items) return STATUS_LIMIT;
    if (!row->count) row->items[row->count++] = (struct profile_property){STR("n"), {0}, PROFILE_PROPERTY_NEW};
    row->items[0].value = value_int((int64_t)update->operations.size);
    row->exists = true;
    outcome->changed = true;
    return STATUS_OK;
}

static int setup(void **state)
{
    struct store_options options;
    struct store_report report;
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/cairn-changes-XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(os_posix_new(directory, &error, &fs), STATUS_OK);
    store_options_defaults(&options);
    options.fs = fs;
    options.link = link_rule;
    options.update = update_rule;
    options.wal_file_bytes = 1 << 20;
    assert_int_equal(store_open(&options, &error, &report, &store), STATUS_OK);
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    store_close(store);
    os_fs_free(fs);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static void append(struct buf *record)
{
    assert_int_equal(store_append_wait(store, record), STATUS_OK);
}

static void send_event(uint64_t project, const char *name, const char *id, const char *device)
{
    struct batch batch;
    struct buf record;
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, project, T0, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, str_of(name), T0, str_of(id), str_of(device), STR("i"));
    batch_event_end(&batch);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    append(&record);
}

static void send_update(uint64_t project, const char *event, const char *id)
{
    struct buf record = BUF_INIT(1 << 16);
    struct update_view update = {.received_ms = T0,
                                 .limits = {.properties_max = 10, .list_bytes_max = 1 << 10, .bytes_max = 1 << 10},
                                 .event = str_of(event),
                                 .id = str_of(id),
                                 .operations = STR("x")};
    assert_int_equal(record_update(&record, store_profiles_of(project), &update), STATUS_OK);
    append(&record);
}

/* What one write is to change. */
enum { EVENTS = 1, PROFILES = 2 };
static struct store_changes seen, others;

static void begin(void)
{
    seen = store_changes(store, 1);
    others = store_changes(store, OTHER);
}

static void expect(int changed, const char *what)
{
    struct store_changes now = store_changes(store, 1), there = store_changes(store, OTHER);
    if ((now.events != seen.events) != !!(changed & EVENTS)) fail_msg("events after %s", what);
    if ((now.profiles != seen.profiles) != !!(changed & PROFILES)) fail_msg("profiles after %s", what);
    if (there.events != others.events || there.profiles != others.profiles) fail_msg("another project after %s", what);
    begin();
}

static void look(void)
{
    struct snapshot *snapshot;
    assert_int_equal(store_snapshot(store, 1, &error, &snapshot), STATUS_OK);
    snapshot_free(snapshot);
}

static void every_write_changes_them(void **state)
{
    struct buf record = BUF_INIT(1 << 16);
    struct row_keys keys;
    struct store_deletion deletion;
    struct str id = STR("U1");
    (void)state;
    send_event(OTHER, "other", "U1", NULL);
    send_update(OTHER, PROFILE_USER_EVENT, "U1");
    begin();
    send_event(1, "first", "U1", NULL);
    expect(EVENTS, "an event");
    send_event(1, "first", "U1", NULL);
    expect(EVENTS, "an event that replaces one");
    send_event(1, "second", "$device:D", "$device:D");
    expect(EVENTS, "an event of a device");
    assert_int_equal(
        record_link(&record, 1, T0, IDENTITY_SIMPLIFIED, LINK_CREATE, STR("$device:D"), STR("U1")), STATUS_OK);
    append(&record);
    expect(EVENTS, "a link");
    assert_int_equal(record_unlink(&record, 1, &(struct unlink_view){.received_ms = T0, .id = STR("$device:D")}),
                     STATUS_OK);
    append(&record);
    expect(EVENTS, "a link that is undone");
    send_update(1, PROFILE_USER_EVENT, "U1");
    expect(PROFILES, "a user's profile");
    send_update(1, PROFILE_GROUP_PREFIX "company", "Acme");
    expect(PROFILES, "a group's profile");

    look();
    assert_int_equal(store_flush(store, &error), STATUS_OK);
    look();
    assert_int_equal(store_compact_wait(store, &error), STATUS_OK);
    look();
    expect(0, "flush, compaction and looks");

    row_keys_init(&keys);
    row_keys_add(&keys, &(struct row_key){STR("first"), STR("U1"), T0, STR("i"), 0});
    assert_int_equal(row_keys_finish(&keys, 1, 7, &record), STATUS_OK);
    row_keys_fini(&keys);
    assert_int_equal(store_delete(store, 1, 7, &record, &error, &deletion), STATUS_OK);
    assert_int_equal(deletion.rows, 1);
    expect(EVENTS, "deleted rows");
    record = BUF_INIT(1 << 16);
    assert_int_equal(record_delete_before(&record, 1, 8, T0 + 1), STATUS_OK);
    assert_int_equal(store_delete(store, 1, 8, &record, &error, &deletion), STATUS_OK);
    expect(EVENTS, "a delete by time");
    record = BUF_INIT(1 << 16);
    assert_int_equal(record_delete_person(&record, 1, 9, &id, 1), STATUS_OK);
    assert_int_equal(store_delete(store, 1, 9, &record, &error, &deletion), STATUS_OK);
    expect(EVENTS | PROFILES, "a deleted person");
    record = BUF_INIT(1 << 16);
    assert_int_equal(record_project_drop(&record, 1), STATUS_OK);
    append(&record);
    expect(EVENTS | PROFILES, "a dropped project");
}

/* Records that share one buffer, and so one acknowledgement. */
static void a_buffer_of_records_changes_each_project(void **state)
{
    struct buf record = BUF_INIT(1 << 16);
    (void)state;
    begin();
    for (uint64_t project = 1; project <= 2; project++)
        assert_int_equal(
            record_link(&record, project, T0, IDENTITY_SIMPLIFIED, LINK_CREATE, STR("$device:E"), STR("U2")), STATUS_OK);
    append(&record);
    assert_int_not_equal(store_changes(store, 1).events, seen.events);
    assert_int_not_equal(store_changes(store, OTHER).events, others.events);
    assert_int_equal(store_changes(store, 3).events, store_changes(store, 4).events);
}

/* When there is no room to remember a project, everything counts as changed rather than nothing. */
static void more_projects_than_can_be_remembered(void **state)
{
    struct store_change_log log;
    (void)state;
    store_changes_init(&log, 2); /* with their shadows: four numbers */
    for (uint64_t project = 1; project <= 4; project++) store_changes_note(&log, project);
    struct store_changes one = store_changes_get(&log, 1), nine = store_changes_get(&log, 9);
    store_changes_note(&log, 2);
    assert_int_equal(store_changes_get(&log, 1).events, one.events);
    store_changes_note(&log, 9);
    assert_int_not_equal(store_changes_get(&log, 9).events, nine.events);
    assert_int_not_equal(store_changes_get(&log, 1).events, one.events);
    struct store_changes first = store_changes_get(&log, 9);
    store_changes_note(&log, 9);
    assert_int_not_equal(store_changes_get(&log, 9).events, first.events);
    store_changes_fini(&log);
}

/* --- with writers at work --- */

#define WRITERS 3
#define WRITES  150

static _Atomic uint64_t acknowledged;

static void write_events(void *arg)
{
    char id[16];
    for (int i = 0; i < WRITES; i++) {
        snprintf(id, sizeof id, "%s%d", (const char *)arg, i);
        struct batch batch;
        struct buf record;
        batch_init(&batch, 1 << 20);
        batch_begin(&batch, 5, T0, IDENTITY_SIMPLIFIED, 0);
        batch_event(&batch, STR("e"), T0, str_of(id), STR_NULL, str_of(id));
        batch_event_end(&batch);
        assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
        batch_fini(&batch);
        append(&record);
        atomic_fetch_add(&acknowledged, 1);
    }
}

static uint64_t count_rows(void)
{
    struct snapshot *snapshot;
    struct scan_run *runs;
    size_t count;
    uint64_t rows = 0;
    struct arena *arena = arena_new(1 << 20);
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    assert_int_equal(store_snapshot(store, 5, &error, &snapshot), STATUS_OK);
    assert_int_equal(scan_list(snapshot, &options, arena, &error, &runs, &count), STATUS_OK);
    for (size_t i = 0; i < count; i++) rows += runs[i].rows - runs[i].deleted;
    arena_free(arena);
    snapshot_free(snapshot);
    return rows;
}

/* What a cache does: an answer is kept under the number read before it was computed, and given again while the number
 * is the same. It never misses what was acknowledged before it was asked for. */
static void an_answer_is_never_stale(void **state)
{
    static const char *const names[WRITERS] = {"a", "b", "c"};
    struct os_thread writers[WRITERS];
    uint64_t number = UINT64_MAX, answer = 0, again = 0, looks = 0;
    (void)state;
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(os_thread_spawn(&writers[i], "writer", write_events, (void *)(uintptr_t)names[i]), STATUS_OK);
    for (bool last = false; !last; looks++) {
        uint64_t before = atomic_load(&acknowledged);
        last = before == WRITERS * WRITES;
        uint64_t now = store_changes(store, 5).events;
        again += now == number;
        if (now != number) answer = count_rows();
        number = now;
        assert_true(answer >= before);
        if (last) assert_int_equal(answer, WRITERS * WRITES);
    }
    for (int i = 0; i < WRITERS; i++) os_thread_join(&writers[i]);
    assert_true(looks > again);
    assert_int_equal(store_changes(store, 5).events, number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_write_changes_them),
        cmocka_unit_test(a_buffer_of_records_changes_each_project),
        cmocka_unit_test(more_projects_than_can_be_remembered),
        cmocka_unit_test(an_answer_is_never_stale),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
