/*
 * Recordings on a simulated disk: what is put is there, whole, under the right name; what does not fit is refused; what
 * is old, too much or without a project goes; and after a power cut at any moment every acknowledged piece is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/civil.h"
#include "os/sim.h"
#include "replay/replay.h"

#define DAY(n) ((int64_t)(20000 + (n)) * DAY_MS + 5000) /* 2024-10-04 and later */
#define BLOCK  REPLAY_BLOCK_BYTES

static struct sim *sim;
static struct replays *replays;
static struct replay_options options;

static void reopen(void)
{
    struct error error;
    replays_close(replays);
    replays = NULL;
    options.fs = sim_fs(sim);
    assert_int_equal(replays_open(&options, &error, &replays), STATUS_OK);
}

static int setup(void **state)
{
    (void)state;
    sim = sim_new(1);
    options = (struct replay_options){.project_bytes_max = 16 * BLOCK, .retention_days = 30};
    reopen();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    replays_close(replays);
    replays = NULL;
    os_fs_free(sim_fs(sim));
    return 0;
}

static enum status put(uint64_t project, int64_t now_ms, const char *id, uint64_t seq, const char *events)
{
    struct error error;
    struct replay_piece piece = {.project = project,
                                 .replay_id = str_of(id),
                                 .seq = seq,
                                 .received_ms = now_ms,
                                 .about = STR("{\"about\":1}"),
                                 .packed = str_of(events)};
    return replays_put(replays, &piece, &error);
}

/* A file's text; "-" when there is none. */
static const char *content(const char *name)
{
    static char text[4096];
    struct error error;
    struct os_file *file;
    uint64_t size = 0;
    if (os_open(sim_fs(sim), name, OS_READ, &error, &file) != STATUS_OK) return "-";
    assert_int_equal(os_size(file, &size, &error), STATUS_OK);
    assert_true(size < sizeof text);
    assert_int_equal(os_pread(file, text, size, 0, &error), STATUS_OK);
    text[size] = 0;
    os_close(file);
    return text;
}

static void count_name(void *ctx, const char *file)
{
    (void)file;
    ++*(unsigned *)ctx;
}

static unsigned names_in(const char *folder)
{
    struct error error;
    unsigned count = 0;
    if (os_list(sim_fs(sim), folder, count_name, &count, &error) != STATUS_OK) return 0;
    return count;
}

static bool only_odd(void *ctx, uint64_t project)
{
    (void)ctx;
    return project % 2;
}

static void a_piece_is_two_files(void **state)
{
    (void)state;
    assert_int_equal(put(7, DAY(0), "19c5-ab_C", 0, "one"), STATUS_OK);
    assert_int_equal(put(7, DAY(0), "19c5-ab_C", 12, "two"), STATUS_OK);
    assert_string_equal(content("record/7/2024-10-04/19c5-ab_C-0.json.gz"), "one");
    assert_string_equal(content("record/7/2024-10-04/19c5-ab_C-0.json"), "{\"about\":1}");
    assert_string_equal(content("record/7/2024-10-04/19c5-ab_C-12.json.gz"), "two");
    assert_true(replays_bytes(replays, 7) == 4 * BLOCK);
    /* sent again: replaced, and counted once */
    assert_int_equal(put(7, DAY(0), "19c5-ab_C", 12, "two, longer"), STATUS_OK);
    assert_string_equal(content("record/7/2024-10-04/19c5-ab_C-12.json.gz"), "two, longer");
    assert_true(replays_bytes(replays, 7) == 4 * BLOCK);
    assert_int_equal(names_in("record/new"), 0);
    /* of another project: elsewhere */
    assert_int_equal(put(8, DAY(0), "19c5-ab_C", 0, "other"), STATUS_OK);
    assert_string_equal(content("record/7/2024-10-04/19c5-ab_C-0.json.gz"), "one");
}

static void ids_are_no_paths(void **state)
{
    (void)state;
    char long_id[REPLAY_ID_BYTES_MAX + 2];
    memset(long_id, 'a', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = 0;
    assert_int_equal(put(7, DAY(0), long_id, 0, "x"), STATUS_INVALID);
    assert_int_equal(put(7, DAY(0), "", 0, "x"), STATUS_INVALID);
    assert_int_equal(put(7, DAY(0), "a", REPLAY_SEQ_MAX + 1, "x"), STATUS_INVALID);
    assert_int_equal(names_in("record/7"), 0);
    long_id[REPLAY_ID_BYTES_MAX] = 0;
    const char *const ids[] = {long_id, "../../cairn.db", "..", ".", "a/b", "a.json", "~x", "\xC3\xBC", "a b", "a\nb"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        options.project_bytes_max = 1 << 20;
        if (i == 0) reopen();
        replays_sweep(replays, DAY(0), NULL, NULL);
        assert_int_equal(put(7, DAY(0), ids[i], 0, "x"), STATUS_OK);
        assert_int_equal(names_in("record/7/2024-10-04"), 2 * (i + 1)); /* no two share a name */
    }
    assert_int_equal(names_in("record/7"), 1);
    assert_int_equal(names_in("record"), 2); /* 7 and new */
    assert_int_equal(names_in(""), 1);
    assert_int_equal(put(7, DAY(0), "a", REPLAY_SEQ_MAX, "x"), STATUS_OK);
    assert_string_equal(content("record/7/2024-10-04/a-999999999.json.gz"), "x");
}

static void a_full_project_refuses_and_a_sweep_makes_room(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 4; day++) {
        assert_int_equal(put(7, DAY(day), "a", 0, "x"), STATUS_OK);
        assert_int_equal(put(7, DAY(day), "b", 0, "x"), STATUS_OK);
    }
    assert_true(replays_bytes(replays, 7) == 16 * BLOCK);
    assert_int_equal(put(7, DAY(3), "c", 0, "x"), STATUS_LIMIT);
    assert_int_equal(put(8, DAY(3), "c", 0, "x"), STATUS_OK); /* others have their own */
    replays_sweep(replays, DAY(3), NULL, NULL);
    assert_string_equal(content("record/7/2024-10-04/a-0.json"), "-");
    assert_string_equal(content("record/7/2024-10-05/a-0.json"), "{\"about\":1}");
    assert_int_equal(names_in("record/7"), 3);
    assert_true(replays_bytes(replays, 7) == 12 * BLOCK);
    assert_int_equal(put(7, DAY(3), "c", 0, "x"), STATUS_OK);
    assert_int_equal(put(7, DAY(3), "d", 0, "x"), STATUS_OK);
    /* a day that fills everything by itself stays: what came first counts */
    replays_sweep(replays, DAY(3), NULL, NULL);
    for (int i = 0; i < 6; i++) {
        char id[8];
        snprintf(id, sizeof id, "e%d", i);
        enum status status = put(7, DAY(3), id, 0, "x");
        assert_true(status == STATUS_OK || status == STATUS_LIMIT);
        replays_sweep(replays, DAY(3), NULL, NULL);
    }
    assert_int_equal(put(7, DAY(3), "f", 0, "x"), STATUS_LIMIT);
    assert_string_equal(content("record/7/2024-10-07/a-0.json"), "{\"about\":1}");
    assert_int_equal(names_in("record/7"), 1);
    /* one piece that is larger than all the room */
    options.project_bytes_max = BLOCK;
    reopen();
    assert_int_equal(put(9, DAY(3), "f", 0, "x"), STATUS_LIMIT);
}

static void old_days_go(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 5; day++) assert_int_equal(put(7, DAY(day), "a", 0, "x"), STATUS_OK);
    replays_sweep(replays, DAY(30), NULL, NULL);
    assert_int_equal(names_in("record/7"), 5);
    replays_sweep(replays, DAY(32), NULL, NULL);
    assert_int_equal(names_in("record/7"), 3);
    assert_string_equal(content("record/7/2024-10-05/a-0.json"), "-");
    assert_string_equal(content("record/7/2024-10-06/a-0.json"), "{\"about\":1}");
    options.retention_days = 0;
    reopen();
    replays_sweep(replays, DAY(3000), NULL, NULL);
    assert_int_equal(names_in("record/7"), 3);
}

static void a_deleted_project_takes_its_recordings_along(void **state)
{
    (void)state;
    for (uint64_t project = 1; project <= 6; project++) assert_int_equal(put(project, DAY(0), "a", 0, "x"), STATUS_OK);
    reopen(); /* those that are not counted as well */
    assert_int_equal(put(6, DAY(0), "b", 0, "x"), STATUS_UNAVAILABLE);
    assert_int_equal(put(9, DAY(0), "b", 0, "x"), STATUS_OK);
    for (int i = 0; i < 6; i++) replays_sweep(replays, DAY(0), only_odd, NULL);
    assert_int_equal(names_in("record"), 5); /* 1, 3, 5, 9 and new */
    assert_int_equal(names_in("record/3"), 1);
    assert_int_equal(names_in("record/2"), 0);
    assert_true(replays_bytes(replays, 2) == 0);
    assert_int_equal(put(6, DAY(0), "b", 0, "x"), STATUS_OK); /* made anew under the same number */
}

static void a_start_counts_what_is_there(void **state)
{
    (void)state;
    assert_int_equal(put(7, DAY(0), "a", 0, "x"), STATUS_OK);
    assert_int_equal(put(7, DAY(1), "a", 1, "x"), STATUS_OK);
    reopen();
    assert_int_equal(put(7, DAY(1), "a", 2, "x"), STATUS_UNAVAILABLE);
    replays_sweep(replays, DAY(1), NULL, NULL);
    assert_true(replays_bytes(replays, 7) == 4 * BLOCK);
    assert_int_equal(put(7, DAY(1), "a", 2, "x"), STATUS_OK);
    assert_true(replays_bytes(replays, 7) == 6 * BLOCK);
    /* a file that cannot be looked at: not counted, not served, tried again */
    reopen();
    sim_fail(sim, SIM_OPEN, SIM_ERROR, 1, 1, "a-1.json");
    replays_sweep(replays, DAY(1), NULL, NULL);
    assert_int_equal(put(7, DAY(1), "a", 3, "x"), STATUS_UNAVAILABLE);
    replays_sweep(replays, DAY(1), NULL, NULL);
    assert_int_equal(put(7, DAY(1), "a", 3, "x"), STATUS_OK);
    assert_true(replays_bytes(replays, 7) == 8 * BLOCK);
}

static void failures_leave_nothing_behind(void **state)
{
    (void)state;
    static const enum sim_call calls[] = {SIM_WRITE, SIM_SYNC, SIM_RENAME, SIM_SYNC_DIR, SIM_OPEN};
    assert_int_equal(put(7, DAY(0), "first", 0, "x"), STATUS_OK);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        for (uint64_t nth = 1; nth <= 2; nth++) {
            sim_fail(sim, calls[i], SIM_ERROR, nth, 1, calls[i] == SIM_OPEN ? "new/" : NULL);
            enum status status = put(7, DAY(0), "a", 0, "x");
            bool failed = sim_faults(sim, calls[i]) > 0;
            sim_heal(sim);
            assert_true(failed ? status == STATUS_IO : status == STATUS_OK);
            assert_int_equal(names_in("record/new"), 0);
            /* and it works when it is sent again */
            assert_int_equal(put(7, DAY(0), "a", 0, "x"), STATUS_OK);
            assert_int_equal(names_in("record/7/2024-10-04"), 4);
        }
    }
    assert_true(replays_bytes(replays, 7) == 4 * BLOCK);
    sim_space(sim, sim_used(sim));
    assert_int_equal(put(7, DAY(0), "b", 0, "x"), STATUS_UNAVAILABLE);
    sim_heal(sim);
    assert_true(replays_bytes(replays, 7) == 4 * BLOCK);
    assert_int_equal(put(7, DAY(0), "b", 0, "x"), STATUS_OK);
    /* a folder that cannot be removed is tried again */
    sim_fail(sim, SIM_UNLINK, SIM_ERROR, 2, 1, NULL);
    replays_sweep(replays, DAY(100), NULL, NULL);
    assert_int_equal(names_in("record/7"), 1);
    replays_sweep(replays, DAY(100), NULL, NULL);
    assert_int_equal(names_in("record/7"), 0);
    assert_true(replays_bytes(replays, 7) == 0);
}

/* The power goes off at each change in turn. */
static void acknowledged_pieces_survive(void **state)
{
    (void)state;
    bool reached_the_end = false;
    for (uint64_t halt = 1; !reached_the_end; halt++) {
        char names[2][64];
        bool done[2];
        teardown(NULL);
        sim = sim_new(halt);
        reopen();
        sim_halt(sim, halt);
        for (int i = 0; i < 2; i++) {
            done[i] = put(7, DAY(i), "a", (uint64_t)i, "events") == STATUS_OK;
            snprintf(names[i], sizeof names[i], "record/7/2024-10-%02d/a-%d", 4 + i, i);
        }
        reached_the_end = done[0] && done[1];
        replays_close(replays);
        replays = NULL;
        sim_crash(sim, halt * 7919);
        reopen();
        replays_sweep(replays, DAY(1), NULL, NULL);
        assert_int_equal(names_in("record/new"), 0);
        for (int i = 0; i < 2; i++) {
            char name[80];
            snprintf(name, sizeof name, "%s.json", names[i]);
            bool complete = strcmp(content(name), "-") != 0;
            assert_true(complete || !done[i]);
            if (complete && done[i]) assert_string_equal(content(name), "{\"about\":1}");
            snprintf(name, sizeof name, "%s.json.gz", names[i]);
            const char *events = content(name);
            /* whole or not there */
            assert_true(strcmp(events, "events") == 0 || (strcmp(events, "-") == 0 && !done[i]));
            assert_int_equal(put(7, DAY(i), "a", (uint64_t)i, "events"), STATUS_OK);
        }
        assert_true(replays_bytes(replays, 7) == 4 * BLOCK);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_piece_is_two_files),
        TEST(ids_are_no_paths),
        TEST(a_full_project_refuses_and_a_sweep_makes_room),
        TEST(old_days_go),
        TEST(a_deleted_project_takes_its_recordings_along),
        TEST(a_start_counts_what_is_there),
        TEST(failures_leave_nothing_behind),
        TEST(acknowledged_pieces_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
