/* The store through its public face, on a real directory: what is acknowledged is seen, survives reopening, is
 * deduplicated, and scans give back what went in, whether rows sit in the memtable, in RAM sections or in files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "store/ids.h"
#include "store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The rule of the simplified mode in small: a device belongs to the first user. */
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

struct fixture {
    char directory[64];
    uint32_t names_max; /* 0: the default */
    struct os_fs *fs;
    struct store *store;
    struct store_report report;
};

static void open_store(struct fixture *f)
{
    struct store_options options;
    struct error error = ERROR_INIT;
    char text[1200];
    store_options_defaults(&options);
    options.fs = f->fs;
    options.link = link_rule;
    options.explain = explain_taken;
    options.wal_file_bytes = 1 << 20;
    if (f->names_max) options.names_max = f->names_max;
    enum status status = store_open(&options, &error, &f->report, &f->store);
    if (status != STATUS_OK) fail_msg("%s", error_text(&error, text, sizeof text));
}

static void reopen(struct fixture *f)
{
    store_close(f->store);
    open_store(f);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->directory, sizeof f->directory, "/tmp/cairn-store-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    struct error error;
    assert_int_equal(os_posix_new(f->directory, &error, &f->fs), STATUS_OK);
    open_store(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    os_fs_free(f->fs);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", f->directory);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

#define T0 1700000000000LL

struct sent {
    const char *event, *id, *device, *insert;
    int64_t time_ms, number;
    const char *text;
};

static void send(struct fixture *f, uint64_t project, const struct sent *events, size_t count)
{
    struct batch batch;
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, project, T0, IDENTITY_SIMPLIFIED, 0);
    for (size_t i = 0; i < count; i++) {
        const struct sent *e = &events[i];
        batch_event(&batch, str_of(e->event), e->time_ms, str_of(e->id), str_of(e->device), str_of(e->insert));
        struct json number = json_int(e->number), text = json_string(str_of(e->text));
        assert_int_equal(batch_property(&batch, STR("n"), &number), STATUS_OK);
        if (e->text) assert_int_equal(batch_property(&batch, STR("text"), &text), STATUS_OK);
        batch_event_end(&batch);
    }
    struct buf record;
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(f->store, &record), STATUS_OK);
}

struct totals {
    uint64_t rows, sum, persons_mask;
    char texts[256];
};

/* Adds up the live rows of one event. */
static struct totals read_event(struct fixture *f, uint64_t project, const char *event)
{
    struct totals totals = {0};
    struct snapshot *snapshot;
    struct error error = ERROR_INIT;
    assert_int_equal(store_snapshot(f->store, project, &error, &snapshot), STATUS_OK);
    uint32_t id = snapshot_event_id(snapshot, str_of(event)), n = snapshot_property_id(snapshot, STR("n"));
    uint32_t text = snapshot_property_id(snapshot, STR("text"));
    struct scan *scan;
    struct scan_options options = {.events = &id, .event_count = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX};
    assert_int_equal(scan_new(snapshot, &options, &error, &scan), STATUS_OK);
    struct scan_run run;
    enum status status;
    while ((status = scan_next(scan, &error, &run)) == STATUS_OK) {
        for (uint32_t v = 0; v < run.vectors; v++) {
            uint32_t rows;
            const uint8_t *live;
            const uint32_t *persons;
            const int64_t *times;
            struct vector numbers, words;
            assert_int_equal(scan_vector(scan, v, &error, &rows), STATUS_OK);
            assert_int_equal(scan_live(scan, &error, &live), STATUS_OK);
            assert_int_equal(scan_persons(scan, &error, &persons), STATUS_OK);
            assert_int_equal(scan_times(scan, &error, &times), STATUS_OK);
            assert_int_equal(scan_property(scan, n, &error, &numbers), STATUS_OK);
            assert_int_equal(scan_property(scan, text, &error, &words), STATUS_OK);
            for (uint32_t i = 0; i < rows; i++) {
                if (!live[i]) continue;
                totals.rows++;
                totals.sum += (uint64_t)vector_at(&numbers, i).integer;
                if (persons[i] < 64) totals.persons_mask |= (uint64_t)1 << persons[i];
                struct value word = vector_at(&words, i);
                if (word.type == VALUE_STRING && word.size + strlen(totals.texts) < sizeof totals.texts)
                    strncat(totals.texts, word.data, word.size);
                assert_true(times[i] >= run.time_min_ms && times[i] <= run.time_max_ms);
            }
        }
    }
    assert_int_equal(status, STATUS_NOT_FOUND);
    scan_free(scan);
    snapshot_free(snapshot);
    return totals;
}

static void visible_at_once_and_after_reopening(void **state)
{
    struct fixture *f = *state;
    send(f, 1, (struct sent[]){{"a", "u1", NULL, NULL, T0, 1, "x"}, {"b", "u2", NULL, NULL, T0 + 5, 10, NULL}}, 2);
    assert_int_equal(read_event(f, 1, "a").rows, 1);
    send(f, 1, (struct sent[]){{"a", "u2", NULL, NULL, T0 - 86400000, 2, "y"}}, 1);
    send(f, 2, (struct sent[]){{"a", "u2", NULL, NULL, T0, 100, NULL}}, 1);
    for (int round = 0; round < 3; round++) {
        struct totals a = read_event(f, 1, "a");
        assert_int_equal(a.rows, 2);
        assert_int_equal(a.sum, 3);
        assert_int_equal(read_event(f, 1, "b").sum, 10);
        assert_int_equal(read_event(f, 1, "c").rows, 0);
        assert_int_equal(read_event(f, 2, "a").sum, 100);
        assert_int_equal(read_event(f, 3, "a").rows, 0);
        if (round == 0) {
            struct error error;
            assert_int_equal(store_flush(f->store, &error), STATUS_OK);
        } else {
            reopen(f);
        }
    }
}

static void newest_duplicate_wins_everywhere(void **state)
{
    struct fixture *f = *state;
    struct error error;
    struct sent first = {"a", "u1", NULL, "i-1", T0, 1, "first"}, second = {"a", "u1", NULL, "i-1", T0, 2, "second"};
    struct sent other_time = {"a", "u1", NULL, "i-1", T0 + 1, 4, NULL},
                third = {"a", "u1", NULL, "i-1", T0, 8, "third"};
    send(f, 1, &first, 1);
    send(f, 1, &second, 1); /* both in the memtable */
    struct totals t = read_event(f, 1, "a");
    assert_int_equal(t.rows, 1);
    assert_string_equal(t.texts, "second");
    send(f, 1, &other_time, 1);
    send(f, 1, &first, 1); /* the older row is in a RAM section */
    t = read_event(f, 1, "a");
    assert_int_equal(t.rows, 2);
    assert_int_equal(t.sum, 5);
    assert_int_equal(store_flush(f->store, &error), STATUS_OK);
    send(f, 1, &third, 1); /* the older row is in a file */
    for (int round = 0; round < 4; round++) {
        t = read_event(f, 1, "a");
        assert_int_equal(t.rows, 2);
        assert_int_equal(t.sum, 12);
        if (round == 1)
            assert_int_equal(store_flush(f->store, &error), STATUS_OK);
        else
            reopen(f);
    }
}

static void links_are_retroactive_and_survive(void **state)
{
    struct fixture *f = *state;
    struct error error;
    send(f, 1, (struct sent[]){{"a", "$device:D1", NULL, NULL, T0, 1, NULL}}, 1);
    assert_int_equal(store_flush(f->store, &error), STATUS_OK);
    send(f, 1, (struct sent[]){{"a", "U1", NULL, NULL, T0, 1, NULL}}, 1);
    assert_int_equal(__builtin_popcountll(read_event(f, 1, "a").persons_mask), 2);
    send(f, 1, (struct sent[]){{"b", "U1", "$device:D1", NULL, T0, 1, NULL}}, 1);
    for (int round = 0; round < 4; round++) {
        assert_int_equal(__builtin_popcountll(read_event(f, 1, "a").persons_mask), 1);
        struct snapshot *snapshot;
        assert_int_equal(store_snapshot(f->store, 1, &error, &snapshot), STATUS_OK);
        uint32_t device = snapshot_id(snapshot, STR("$device:D1"));
        uint32_t shown = snapshot_person_id(snapshot, snapshot_person(snapshot, device));
        char room[ID_TEXT_ROOM];
        struct str text = snapshot_id_text(snapshot, shown, room);
        assert_true(str_is(text, "U1"));
        snapshot_free(snapshot);
        if (round == 1)
            assert_int_equal(store_flush(f->store, &error), STATUS_OK);
        else
            reopen(f);
    }
    /* a second user does not get the device; the event says why */
    send(f, 1, (struct sent[]){{"c", "U2", "$device:D1", NULL, T0, 1, NULL}}, 1);
    struct snapshot *snapshot;
    assert_int_equal(store_snapshot(f->store, 1, &error, &snapshot), STATUS_OK);
    assert_int_not_equal(snapshot_property_id(snapshot, STR("$identity_failure_reason")), PROPERTY_ID_NONE);
    snapshot_free(snapshot);
}

/* Random batches over many sections and windows, flushed and reopened at random, against plain sums. */
static void random_batches_add_up(void **state)
{
    struct fixture *f = *state;
    struct error error;
    unsigned seed = 12345;
    uint64_t rows = 0, sum = 0;
    for (int round = 0; round < 120; round++) {
        struct sent events[60];
        char ids[60][16], texts[60][16];
        size_t count = 1 + (seed = seed * 1103515245 + 12345) / 65536 % 60;
        for (size_t i = 0; i < count; i++) {
            seed = seed * 1103515245 + 12345;
            snprintf(ids[i], sizeof ids[i], "u%u", seed / 65536 % 40);
            snprintf(texts[i], sizeof texts[i], "t%u", seed / 256 % 5);
            events[i] = (struct sent){"a",
                                      ids[i],
                                      NULL,
                                      NULL,
                                      T0 + (int64_t)(seed / 65536 % 1000) * 3600000,
                                      seed / 65536 % 100,
                                      seed & 512 ? texts[i] : NULL};
            rows++;
            sum += (uint64_t)events[i].number;
        }
        send(f, 7, events, count);
        if (round % 7 == 0) {
            struct totals t = read_event(f, 7, "a");
            assert_int_equal(t.rows, rows);
            assert_int_equal(t.sum, sum);
        }
        if (round % 31 == 30) assert_int_equal(store_flush(f->store, &error), STATUS_OK);
        if (round % 43 == 42) reopen(f);
    }
    struct totals t = read_event(f, 7, "a");
    assert_int_equal(t.rows, rows);
    assert_int_equal(t.sum, sum);
}

/* Appending, reading and flushing at once: what a thread was told to be stored is in every snapshot that it takes
 * afterwards. */
struct crowd {
    struct fixture *f;
    uint32_t number;
    bool failed;
};

static enum status send_quietly(struct fixture *f, const char *event, uint32_t number)
{
    struct batch batch;
    struct buf record;
    char id[16];
    snprintf(id, sizeof id, "u%u", number % 30);
    struct json n = json_int(number);
    batch_init(&batch, 1 << 16);
    batch_begin(&batch, 5, T0, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, str_of(event), T0 + number * 60000, str_of(id), number % 3 ? STR_NULL : STR("$device:D"),
                str_of(id));
    enum status status = batch_property(&batch, STR("n"), &n);
    batch_event_end(&batch);
    if (status == STATUS_OK) status = batch_finish(&batch, &record);
    batch_fini(&batch);
    return status == STATUS_OK ? store_append_wait(f->store, &record) : status;
}

static uint64_t count_rows(struct fixture *f, const char *event)
{
    struct snapshot *snapshot;
    struct error error;
    struct scan *scan;
    struct scan_run run;
    uint64_t rows = 0;
    if (store_snapshot(f->store, 5, &error, &snapshot) != STATUS_OK) return 0;
    uint32_t id = snapshot_event_id(snapshot, str_of(event));
    struct scan_options options = {.events = &id, .event_count = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX};
    if (scan_new(snapshot, &options, &error, &scan) == STATUS_OK) {
        while (scan_next(scan, &error, &run) == STATUS_OK) {
            const uint32_t *persons;
            uint32_t count;
            rows += run.rows - run.deleted;
            if (scan_vector(scan, 0, &error, &count) != STATUS_OK || scan_persons(scan, &error, &persons) != STATUS_OK)
                rows = 0;
        }
        scan_free(scan);
    }
    snapshot_free(snapshot);
    return rows;
}

static void *crowd_main(void *arg)
{
    struct crowd *crowd = arg;
    struct error error;
    char event[16];
    snprintf(event, sizeof event, "e%u", crowd->number);
    for (uint32_t i = 0; i < 150; i++) {
        if (send_quietly(crowd->f, event, i) != STATUS_OK) crowd->failed = true;
        if (i % 4 == 0 && count_rows(crowd->f, event) != i + 1) crowd->failed = true;
        if (i % 50 == 10 * crowd->number && store_flush(crowd->f->store, &error) != STATUS_OK) crowd->failed = true;
    }
    return NULL;
}

static void many_threads_at_once(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd[4];
    pthread_t threads[4];
    for (uint32_t i = 0; i < 4; i++) {
        crowd[i] = (struct crowd){f, i, false};
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &crowd[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 4; i++) {
            char event[16];
            snprintf(event, sizeof event, "e%u", i);
            assert_false(crowd[i].failed);
            assert_int_equal(count_rows(f, event), 150);
        }
        reopen(f);
    }
}

/* Names beyond the limit cost nothing further: their events share a name, their properties are left out, and what was
 * known before is as it was; also after a flush and a restart. */
static void names_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct error error;
    f->names_max = 3; /* the properties are n and text */
    reopen(f);
    char names[40][16];
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "e%d", i);
        send(f, 1, (struct sent[]){{names[i], "u", NULL, NULL, T0, 1, "x"}}, 1);
    }
    struct batch batch;
    struct buf record;
    struct json one = json_int(1);
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, 1, T0, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, STR("e0"), T0, STR("u"), STR_NULL, STR_NULL);
    for (int i = 0; i < 40; i++) assert_int_equal(batch_property(&batch, str_of(names[i]), &one), STATUS_OK);
    batch_event_end(&batch);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(f->store, &record), STATUS_OK);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(read_event(f, 1, "e0").rows, 2);
        assert_int_equal(read_event(f, 1, "e2").rows, 1);
        assert_int_equal(read_event(f, 1, "e3").rows, 0);
        assert_int_equal(read_event(f, 1, STORE_OTHER_EVENTS).rows, 37);
        struct snapshot *snapshot;
        assert_int_equal(store_snapshot(f->store, 1, &error, &snapshot), STATUS_OK);
        assert_int_equal(snapshot_event_count(snapshot), 4);
        assert_int_equal(snapshot_property_count(snapshot), 3);
        snapshot_free(snapshot);
        if (round == 0)
            assert_int_equal(store_flush(f->store, &error), STATUS_OK);
        else
            reopen(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(visible_at_once_and_after_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(newest_duplicate_wins_everywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(links_are_retroactive_and_survive, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(random_batches_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(many_threads_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
