/*
 * Turns: who computes next, told by counters alone. Time here is what the tests say that a query has computed; the last
 * test has real threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "query/turns.h"

#include <string.h>

#define MS         INT64_C(1000000)
#define MORSEL     (TURN_QUANTUM_NS + MS) /* of a query that uses its quantum up */
#define TURNS_MAX  64

static struct turns *turns;
static struct turn all[TURNS_MAX];

static void begin(unsigned slots)
{
    memset(all, 0, sizeof all);
    turns = turns_new(slots);
}

/* The queries 0 to count - 1 compute in turns until one of those that hold a slot has computed `rounds` times. */
static void run(unsigned count, unsigned rounds, unsigned *ret_morsels)
{
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < count; i++) {
            if (!all[i].holds) continue;
            ret_morsels[i]++;
            (void)turn_rotate(&all[i], MORSEL);
            break;
        }
    }
}

static void end(unsigned count)
{
    for (unsigned i = 0; i < count; i++) turn_leave(&all[i]);
    struct turns_stats stats;
    turns_stats(turns, &stats);
    assert_int_equal(stats.computing, 0);
    assert_int_equal(stats.waiting, 0);
    turns_free(turns);
}

static void no_more_than_the_slots_compute(void **state)
{
    (void)state;
    struct turns_stats stats;
    begin(2);
    assert_true(turn_enter(turns, &all[0], 1));
    assert_true(turn_enter(turns, &all[1], 1));
    assert_false(turn_enter(turns, &all[2], 1));
    turns_stats(turns, &stats);
    assert_int_equal(stats.computing, 2);
    assert_int_equal(stats.waiting, 1);
    turn_leave(&all[0]);
    assert_true(all[2].holds);
    memset(&all[0], 0, sizeof all[0]);
    assert_false(turn_enter(turns, &all[0], 1));
    end(3);
}

/* Equal queries share: none is more than a morsel or two ahead of another. */
static void queries_of_one_project_share_alike(void **state)
{
    (void)state;
    unsigned morsels[5] = {0}, least = UINT32_MAX, most = 0;
    begin(1);
    for (unsigned i = 0; i < 5; i++) (void)turn_enter(turns, &all[i], 7);
    run(5, 1000, morsels);
    for (unsigned i = 0; i < 5; i++) {
        if (morsels[i] < least) least = morsels[i];
        if (morsels[i] > most) most = morsels[i];
    }
    /* the head start of those who came later, in morsels, and one */
    assert_true(most - least <= 5 * TURN_HEAD_START_NS / MORSEL + 5);
    unsigned before[5];
    memcpy(before, morsels, sizeof before);
    run(5, 1000, morsels);
    for (unsigned i = 0; i < 5; i++) assert_in_range(morsels[i] - before[i], 195, 205);
    end(5);
}

/* Seven long queries of one project get as much as the one of another. */
static void projects_share_alike_however_many_queries_they_have(void **state)
{
    (void)state;
    unsigned morsels[8] = {0};
    begin(1);
    for (unsigned i = 0; i < 7; i++) (void)turn_enter(turns, &all[i], 1);
    (void)turn_enter(turns, &all[7], 2);
    run(8, 400, morsels);
    memset(morsels, 0, sizeof morsels);
    run(8, 2000, morsels);
    assert_in_range(morsels[7], 980, 1020);
    for (unsigned i = 0; i < 7; i++) assert_in_range(morsels[i], 120, 165);
    end(8);
}

/* A query that comes while long ones compute is next, and is not interrupted before it is done. */
static void a_short_query_does_not_wait_for_long_ones(void **state)
{
    (void)state;
    unsigned morsels[5] = {0};
    begin(1);
    for (unsigned i = 0; i < 4; i++) (void)turn_enter(turns, &all[i], 1);
    run(4, 1000, morsels);
    for (unsigned repeat = 0; repeat < 20; repeat++) {
        for (uint64_t project = 1; project <= 2; project++) {
            memset(&all[4], 0, sizeof all[4]);
            assert_false(turn_enter(turns, &all[4], project));
            unsigned waited = 0;
            while (!all[4].holds) {
                run(4, 1, morsels);
                waited++;
            }
            assert_int_equal(waited, 1);
            for (unsigned i = 0; i < 10; i++) assert_true(turn_rotate(&all[4], MORSEL));
            turn_leave(&all[4]);
        }
    }
    end(4);
}

/* Short queries that never end to come do not starve a long one. */
static void a_long_query_goes_on_under_a_stream_of_short_ones(void **state)
{
    (void)state;
    unsigned got = 0;
    begin(1);
    assert_true(turn_enter(turns, &all[0], 1));
    (void)turn_rotate(&all[0], 100 * TURN_HEAD_START_NS);
    assert_false(turn_enter(turns, &all[1], 1));
    for (unsigned i = 0; i < 1000; i++) {
        unsigned now = 1 + i % 2, next = 1 + (i + 1) % 2;
        if (all[0].holds) {
            got++;
            (void)turn_rotate(&all[0], MORSEL);
        }
        /* the next one is there before this one has ended */
        memset(&all[next], 0, sizeof all[next]);
        (void)turn_enter(turns, &all[next], 1);
        turn_leave(&all[now]);
    }
    assert_true(got >= 1000 / (2 * TURN_PASSED_MAX + 2));
    turn_leave(&all[1 + 1000 % 2]);
    end(1);
}

/* What has been computed is told while it goes on, and stays. */
static void what_was_computed_stays(void **state)
{
    (void)state;
    begin(1);
    assert_true(turn_enter(turns, &all[0], 1));
    assert_true(turn_rotate(&all[0], 3 * MS));
    turn_leave(&all[0]);
    assert_int_equal(turn_computed_ns(turns, &all[0]), 3 * MS);
    assert_true(turn_enter(turns, &all[0], 1));
    assert_true(turn_rotate(&all[0], 4 * MS));
    turn_leave(&all[0]);
    assert_int_equal(turn_computed_ns(turns, &all[0]), 7 * MS);
    end(0);
}

/* An export computes in many small steps, each a turn of its own. Against a query that computes without a pause it gets
 * what is its share, of one project or of two, and a short query is before it. */
static void steps_are_not_new_each_time(void **state)
{
    (void)state;
    for (uint64_t project = 1; project <= 2; project++) {
        unsigned steps = 0, morsels = 0;
        begin(1);
        assert_true(turn_enter(turns, &all[0], 1));
        (void)turn_enter(turns, &all[1], project);
        for (unsigned i = 0; i < 1000; i++) {
            if (all[1].holds) {
                steps++;
                (void)turn_rotate(&all[1], MORSEL);
                turn_leave(&all[1]);
                (void)turn_enter(turns, &all[1], project);
            } else {
                morsels++;
                (void)turn_rotate(&all[0], MORSEL);
            }
        }
        assert_in_range(steps, 450, 550 + TURN_HEAD_START_NS / MORSEL);
        assert_true(morsels >= 400);
        assert_false(turn_enter(turns, &all[2], 1));
        if (all[1].holds) {
            (void)turn_rotate(&all[1], MORSEL);
        } else {
            (void)turn_rotate(&all[0], MORSEL);
        }
        if (project == 1) assert_true(all[2].holds);
        end(3);
    }
}

/* --- threads --- */

#define THREADS 6
#define ROUNDS  200

static _Atomic unsigned at_once, most_at_once;
static _Atomic bool cancelled;

static void compute(void *arg)
{
    struct turn *turn = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        turn_begin(turns, turn, (uint64_t)(turn - all) % 2, &cancelled);
        for (unsigned step = 0; step < 5; step++) {
            unsigned now = atomic_fetch_add(&at_once, 1) + 1, most = atomic_load(&most_at_once);
            while (now > most && !atomic_compare_exchange_weak(&most_at_once, &most, now)) continue;
            atomic_fetch_sub(&at_once, 1);
            turn_yield(turn);
            turn_yield(&all[THREADS]); /* somebody else's: nothing happens */
        }
        turn_end(turn);
    }
}

static void threads_take_turns(void **state)
{
    (void)state;
    struct os_thread threads[THREADS];
    struct turns_stats stats;
    begin(2);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(os_thread_spawn(&threads[i], "turn", compute, &all[i]), STATUS_OK);
    for (unsigned i = 0; i < THREADS; i++) os_thread_join(&threads[i]);
    turns_stats(turns, &stats);
    assert_int_equal(stats.computing, 0);
    assert_int_equal(stats.waiting, 0);
    if (!stats.waits_over) assert_in_range(atomic_load(&most_at_once), 1, 2);
    turns_free(turns);
}

static void begin_and_end(void *arg)
{
    turn_begin(turns, arg, 2, &cancelled);
    turn_end(arg);
}

/* Who waits and is cancelled goes on at once, to find out that it is to end. */
static void a_cancelled_query_does_not_wait(void **state)
{
    (void)state;
    struct os_thread thread;
    struct turns_stats stats;
    begin(1);
    assert_true(turn_enter(turns, &all[0], 1));
    atomic_store(&cancelled, true);
    assert_int_equal(os_thread_spawn(&thread, "turn", begin_and_end, &all[1]), STATUS_OK);
    os_thread_join(&thread);
    turns_stats(turns, &stats);
    assert_int_equal(stats.waits_over, 0);
    assert_int_equal(stats.computing, 1);
    atomic_store(&cancelled, false);
    end(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_than_the_slots_compute),
        cmocka_unit_test(queries_of_one_project_share_alike),
        cmocka_unit_test(projects_share_alike_however_many_queries_they_have),
        cmocka_unit_test(a_short_query_does_not_wait_for_long_ones),
        cmocka_unit_test(a_long_query_goes_on_under_a_stream_of_short_ones),
        cmocka_unit_test(what_was_computed_stays),
        cmocka_unit_test(steps_are_not_new_each_time),
        cmocka_unit_test(threads_take_turns),
        cmocka_unit_test(a_cancelled_query_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
