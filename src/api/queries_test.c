/*
 * The registry of queries: who may begin, in which order, who is refused, and how one is stopped. Queries here begin,
 * say so, and wait for the test to end them; so what is counted depends on no clock, except where a query has to
 * compute for long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/queries.h"
#include "os/clock.h"
#include "os/thread.h"

#include <stdlib.h>
#include <string.h>

#define FAKES 16

enum what { NOTHING, BEGUN, TURNED_AWAY, GAVE_WAY, OVER };
struct fake {
    struct query_entry entry;
    _Atomic bool cancelled;
    enum what what;
    bool go_on, streams, busy; /* busy: computes while it waits for go_on */
    int64_t compute_ns;
    unsigned runs;
    enum status admitted;
};

static struct queries *queries;
static struct fake fakes[FAKES];
static struct os_mutex lock;
static struct os_cond changed;
static unsigned order[FAKES * 4], order_count; /* in which they began */
static struct error error;

static void compute(int64_t ns)
{
    clockid_t clock = os_thread_cpu_clock();
    int64_t end_ns = os_thread_cpu_ns(clock) + ns;
    while (os_thread_cpu_ns(clock) < end_ns) continue;
}

static void run(struct query_entry *entry, enum status admitted)
{
    struct fake *fake = (struct fake *)((char *)entry - offsetof(struct fake, entry));
    os_mutex_lock(&lock);
    fake->runs++;
    fake->admitted = admitted;
    fake->what = admitted == STATUS_OK ? BEGUN : TURNED_AWAY;
    if (admitted == STATUS_OK) order[order_count++] = (unsigned)(fake - fakes);
    os_cond_broadcast(&changed);
    while (admitted == STATUS_OK && !fake->go_on && !atomic_load(&entry->turn.put_back)) {
        if (!fake->busy) {
            (void)os_cond_wait_until(&changed, &lock, os_monotonic_ns() + 1000000);
            continue;
        }
        os_mutex_unlock(&lock);
        compute(1000000);
        os_mutex_lock(&lock);
    }
    bool streams = fake->streams, gives_way = admitted == STATUS_OK && !fake->go_on;
    if (gives_way) fake->what = GAVE_WAY;
    if (gives_way) os_cond_broadcast(&changed);
    fake->go_on = fake->streams = false;
    os_mutex_unlock(&lock);
    if (admitted != STATUS_OK) return;
    if (gives_way) {
        queries_put_back(entry);
        return;
    }
    compute(fake->compute_ns);
    if (streams)
        queries_stream(entry, 77);
    else
        queries_leave(entry);
    os_mutex_lock(&lock);
    fake->what = OVER;
    os_cond_broadcast(&changed);
    os_mutex_unlock(&lock);
}

static void begin(unsigned computing, unsigned running, size_t waiting, uint64_t each, uint64_t total, int64_t project)
{
    struct queries_limits limits = {.computing_max = computing,
                                    .running_max = running,
                                    .waiting_max = waiting,
                                    .memory_each = each,
                                    .memory_total = total,
                                    .project_max = project};
    memset(fakes, 0, sizeof fakes);
    order_count = 0;
    os_mutex_init(&lock, "test");
    os_cond_init(&changed, "test");
    assert_int_equal(queries_new(&limits, &error, &queries), STATUS_OK);
}

static enum status enter(unsigned n, uint64_t project)
{
    struct fake *fake = &fakes[n];
    fake->entry.project = project;
    fake->entry.endpoint = STR("/segmentation");
    fake->entry.account = STR("ann");
    fake->entry.parameters = STR("{}");
    fake->entry.cancelled = &fake->cancelled;
    if (!fake->entry.deadline_ns) fake->entry.deadline_ns = INT64_MAX;
    fake->entry.run = run;
    return queries_enter(queries, &fake->entry, &error);
}

static void enters(unsigned n, uint64_t project)
{
    assert_int_equal(enter(n, project), STATUS_OK);
}

static void wait_until(unsigned n, enum what what)
{
    os_mutex_lock(&lock);
    while (fakes[n].what != what) os_cond_wait(&changed, &lock);
    os_mutex_unlock(&lock);
}

static void finish(unsigned n)
{
    wait_until(n, BEGUN);
    os_mutex_lock(&lock);
    fakes[n].go_on = true;
    os_cond_broadcast(&changed);
    os_mutex_unlock(&lock);
    wait_until(n, OVER);
}

static struct queries_stats stats(void)
{
    struct queries_stats now;
    queries_stats(queries, &now);
    return now;
}

static void end(void)
{
    struct queries_stats now = stats();
    assert_int_equal(now.running + now.waiting + now.streaming, 0);
    assert_int_equal(now.running_long, 0);
    assert_int_equal(now.memory_reserved, 0);
    queries_free(queries);
    os_cond_destroy(&changed);
    os_mutex_destroy(&lock);
}

static void so_many_run_and_so_many_wait(void **state)
{
    (void)state;
    begin(1, 1, 2, 0, 0, 0);
    enters(0, 1);
    enters(1, 1);
    enters(2, 1);
    assert_int_equal(stats().running, 1);
    assert_int_equal(stats().waiting, 2);
    assert_int_equal(enter(3, 1), STATUS_UNAVAILABLE);
    assert_non_null(strstr(error.primary, "waiting"));
    assert_int_equal(stats().refused, 1);
    finish(0);
    finish(1);
    finish(2);
    assert_int_equal(fakes[3].runs, 0);
    end();
}

static void memory_is_shared_by_all(void **state)
{
    (void)state;
    begin(4, 8, 8, 10, 100, 0);
    fakes[0].entry.memory_bytes = 70;
    enters(0, 1);
    fakes[1].entry.memory_bytes = 40;
    enters(1, 1); /* too much beside the first */
    assert_int_equal(stats().running, 1);
    fakes[2].entry.memory_bytes = 30;
    enters(2, 1);
    assert_int_equal(stats().running, 2);
    assert_int_equal(stats().memory_reserved, 100);
    finish(0);
    wait_until(1, BEGUN);
    assert_int_equal(stats().memory_reserved, 70);
    finish(1);
    finish(2);
    /* one that wants more than there is runs alone */
    fakes[3].entry.memory_bytes = 1000;
    enters(3, 1);
    enters(4, 1);
    assert_int_equal(stats().running, 1);
    finish(3);
    finish(4);
    end();
}

static void long_queries_leave_places_for_short_ones(void **state)
{
    (void)state;
    begin(8, 4, 8, 0, 0, 0);
    for (unsigned i = 0; i < 4; i++) {
        fakes[i].entry.is_long = true;
        enters(i, 1);
    }
    assert_int_equal(stats().running_long, 2);
    assert_int_equal(stats().waiting, 2);
    for (unsigned repeat = 0; repeat < 20; repeat++) {
        enters(4, 1);
        assert_int_equal(stats().running, 3);
        finish(4);
        memset(&fakes[4], 0, sizeof fakes[4]);
    }
    for (unsigned i = 0; i < 4; i++) finish(i);
    end();
}

/* The second time the question is known to take long. */
static void how_long_a_question_took_is_remembered(void **state)
{
    (void)state;
    begin(1, 4, 8, 0, 0, 0);
    for (unsigned i = 0; i < 2; i++) {
        fakes[i].entry.question = 7;
        fakes[i].compute_ns = i == 0 ? QUERY_SHORT_NS + 20000000 : 0;
        enters(i, 1);
        assert_int_equal(stats().running_long, i);
        finish(i);
    }
    end();
}

/* But that may have been another time: what is said to be long and waits for long behind such that are may show it. */
static void what_is_remembered_is_doubted(void **state)
{
    (void)state;
    begin(1, 4, 8, 0, 0, 0);
    fakes[0].entry.question = 7;
    fakes[0].compute_ns = QUERY_SHORT_NS + 20000000;
    enters(0, 1);
    finish(0);
    memset(fakes, 0, sizeof fakes);
    for (unsigned i = 0; i < 4; i++) {
        fakes[i].entry.question = i == 3 ? 7 : 0;
        fakes[i].entry.is_long = i < 3;
        enters(i, 1);
    }
    assert_int_equal(stats().waiting, 2); /* there are two places for long ones */
    wait_until(3, BEGUN);
    assert_int_equal(stats().waiting, 1);
    finish(3);
    for (unsigned i = 0; i < 3; i++) finish(i);
    end();
}

/* With all places for short queries taken by such that turn out to be long, the next short one gets in. */
static void who_computes_long_moves_to_the_long_ones(void **state)
{
    (void)state;
    begin(2, 4, 8, 0, 0, 0);
    fakes[0].busy = fakes[1].busy = true;
    enters(0, 1);
    enters(1, 1);
    enters(2, 1); /* waits until the two have computed for QUERY_SHORT_NS, and no longer */
    wait_until(2, BEGUN);
    assert_in_range(stats().running_long, 1, 2);
    for (unsigned i = 0; i < 3; i++) finish(i);
    end();
}

/* More long queries than there are places, and nobody knew: the short ones get in all the same, and each long one begins
 * again once at most. */
static void long_queries_give_way(void **state)
{
    (void)state;
    begin(8, 4, 16, 0, 0, 0);
    for (unsigned i = 0; i < 6; i++) {
        fakes[i].entry.may_begin_again = fakes[i].busy = true;
        enters(i, 1);
    }
    for (unsigned repeat = 0; repeat < 5; repeat++) {
        enters(6, 1);
        wait_until(6, BEGUN);
        assert_in_range(stats().running_long, 1, 2);
        finish(6);
        memset(&fakes[6], 0, sizeof fakes[6]);
    }
    assert_in_range(stats().put_back, 1, 6);
    for (unsigned done = 0; done < 6;) {
        for (unsigned i = 0; i < 6; i++) {
            os_mutex_lock(&lock);
            bool runs = fakes[i].what == BEGUN;
            if (runs) fakes[i].go_on = true;
            os_mutex_unlock(&lock);
            done += runs;
            if (runs) wait_until(i, OVER);
        }
        os_sleep_ns(1000000);
    }
    for (unsigned i = 0; i < 6; i++) assert_in_range(fakes[i].runs, 1, 2);
    end();
}

static void projects_take_turns(void **state)
{
    (void)state;
    begin(1, 1, 16, 0, 0, 0);
    for (unsigned i = 0; i < 4; i++) enters(i, 1); /* 0 runs */
    enters(4, 2);
    enters(5, 2);
    enters(6, 3);
    const unsigned expected[] = {0, 4, 6, 1, 5, 2, 3};
    for (unsigned i = 0; i < 7; i++) finish(expected[i]);
    for (unsigned i = 0; i < 7; i++) assert_int_equal(order[i], expected[i]);
    end();
}

static void a_full_queue_is_shared_too(void **state)
{
    (void)state;
    begin(1, 1, 3, 0, 0, 0);
    for (unsigned i = 0; i < 4; i++) enters(i, 1); /* 0 runs */
    enters(4, 2);                                  /* 3 makes room */
    wait_until(3, TURNED_AWAY);
    assert_int_equal(fakes[3].admitted, STATUS_UNAVAILABLE);
    assert_int_equal(enter(5, 1), STATUS_UNAVAILABLE);
    assert_int_equal(enter(6, 2), STATUS_UNAVAILABLE); /* as many as the other one has: no better */
    finish(0);
    finish(4);
    finish(1);
    finish(2);
    end();
}

static void a_project_has_no_more_than_it_may(void **state)
{
    (void)state;
    begin(1, 1, 8, 0, 0, 2);
    enters(0, 1);
    enters(1, 1);
    assert_int_equal(enter(2, 1), STATUS_LIMIT);
    assert_string_equal(error.primary, "Query rate limit exceeded");
    enters(3, 2);
    finish(0);
    finish(3);
    finish(1);
    enters(4, 1);
    finish(4);
    end();
}

static void queries_are_stopped(void **state)
{
    (void)state;
    begin(1, 1, 8, 0, 0, 0);
    enters(0, 1);
    enters(1, 1);
    enters(2, 1);
    enters(3, 1);
    wait_until(0, BEGUN);
    assert_int_equal(queries_stop(queries, fakes[1].entry.id, &error), STATUS_OK);
    wait_until(1, TURNED_AWAY);
    assert_int_equal(fakes[1].admitted, STATUS_CANCELLED);
    assert_true(atomic_load(&fakes[1].entry.stopped));
    assert_int_equal(queries_stop(queries, fakes[1].entry.id, &error), STATUS_NOT_FOUND);
    assert_int_equal(queries_stop(queries, 99999, &error), STATUS_NOT_FOUND);
    /* the client of one has gone away: seen without anybody's help */
    atomic_store(&fakes[2].cancelled, true);
    wait_until(2, TURNED_AWAY);
    assert_int_equal(fakes[2].admitted, STATUS_CANCELLED);
    assert_false(atomic_load(&fakes[2].entry.stopped));
    /* one that runs is told to end, and ends when it likes */
    assert_int_equal(queries_stop(queries, fakes[0].entry.id, &error), STATUS_OK);
    assert_true(atomic_load(&fakes[0].cancelled));
    assert_int_equal(stats().running, 1);
    finish(0);
    finish(3);
    end();
}

static void who_waits_too_long_is_turned_away(void **state)
{
    (void)state;
    begin(1, 1, 8, 0, 0, 0);
    enters(0, 1);
    fakes[1].entry.deadline_ns = os_monotonic_ns() + 1;
    enters(1, 1);
    wait_until(1, TURNED_AWAY);
    assert_int_equal(fakes[1].admitted, STATUS_UNAVAILABLE);
    assert_int_equal(stats().expired, 1);
    finish(0);
    end();
}

static void step(struct fake *fake)
{
    queries_step_begin(&fake->entry);
    os_sleep_ns(1000000);
    queries_step_end(&fake->entry);
}

/* An answer that goes out in pieces: whoever carries it on, it is in the list, has nobody's place, and may be stopped. */
static void streams_hold_no_place(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    struct query_info info;
    begin(1, 1, 8, 10, 100, 0);
    fakes[0].streams = true;
    enters(0, 1);
    finish(0);
    assert_int_equal(stats().streaming, 1);
    assert_int_equal(stats().running, 0);
    assert_int_equal(stats().memory_reserved, 0);
    enters(1, 1);
    wait_until(1, BEGUN);
    assert_int_equal(queries_find(queries, fakes[0].entry.id, arena, &error, &info), STATUS_OK);
    assert_int_equal(info.state, QUERY_STREAMING);
    assert_int_equal(info.memory_bytes, 77);
    finish(1);
    step(&fakes[0]);
    assert_int_equal(queries_find(queries, fakes[0].entry.id, arena, &error, &info), STATUS_OK);
    assert_true(info.computed_ms >= 1);
    assert_int_equal(queries_stop(queries, fakes[0].entry.id, &error), STATUS_OK);
    assert_true(fakes[0].cancelled);
    step(&fakes[0]); /* it finds out */
    assert_int_equal(fakes[0].runs, 1);
    queries_leave(&fakes[0].entry);
    assert_int_equal(queries_stop(queries, fakes[0].entry.id, &error), STATUS_NOT_FOUND);
    end();
    arena_free(arena);
}

static void eight_enter(void)
{
    memset(fakes, 0, sizeof fakes);
    for (unsigned i = 0; i < 8; i++) {
        fakes[i].entry.is_long = i % 2; /* half of the places are for short ones */
        enters(i, 1);
    }
}

/* What clients do not take keeps others from beginning, before it fills the memory; a little never does. */
static void answers_count_until_they_are_taken(void **state)
{
    (void)state;
    begin(4, 8, 8, 100, 800, 0);
    assert_true(queries_answer_begin(queries, 100, false));
    eight_enter();
    assert_int_equal(stats().running, 8);
    for (unsigned i = 0; i < 8; i++) finish(i);
    assert_true(queries_answer_begin(queries, 250, true));
    assert_int_equal(stats().memory_answers, 350);
    assert_false(queries_answer_begin(queries, 51, true));
    assert_int_equal(stats().memory_answers, 350);
    eight_enter();
    assert_int_equal(stats().running, 5);
    assert_true(queries_answer_begin(queries, 400, false)); /* one that was computed is not thrown away */
    queries_answer_end(queries, 750);
    assert_int_equal(stats().running, 8);
    for (unsigned i = 0; i < 8; i++) finish(i);
    /* alone it begins while they have no more than half */
    memset(fakes, 0, sizeof fakes);
    assert_true(queries_answer_begin(queries, 401, false));
    enters(0, 1);
    assert_int_equal(stats().running, 0);
    queries_answer_end(queries, 1);
    assert_int_equal(stats().running, 1);
    finish(0);
    queries_answer_end(queries, 400);
    end();
}

static void lists_tell_what_there_is(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20), *small = arena_new(16);
    struct query_info *infos, info;
    size_t count;
    begin(1, 1, 8, 64, 1000, 0);
    enters(0, 1);
    enters(1, 2);
    wait_until(0, BEGUN);
    struct plan_limits limits = queries_limits_of(&fakes[0].entry, 5);
    assert_int_equal(limits.memory_bytes_max, 64);
    assert_int_equal(limits.buckets_max, 5);
    assert_ptr_equal(limits.cancelled, &fakes[0].cancelled);
    plan_expects_rows(&limits, 200);
    plan_passed_rows(&limits, 50);
    assert_int_equal(queries_list(queries, 0, arena, &error, &infos, &count), STATUS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(infos[0].id, fakes[0].entry.id);
    assert_int_equal(infos[0].state, QUERY_RUNNING);
    assert_int_equal(infos[0].rows_done, 50);
    assert_int_equal(infos[0].rows_total, 200);
    assert_int_equal(infos[0].memory_bytes, 64);
    assert_true(str_is(infos[0].endpoint, "/segmentation"));
    assert_int_equal(infos[1].state, QUERY_WAITING);
    assert_int_equal(infos[1].memory_bytes, 0);
    assert_int_equal(queries_list(queries, 2, arena, &error, &infos, &count), STATUS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(infos[0].project, 2);
    assert_int_equal(queries_list(queries, 0, small, &error, &infos, &count), STATUS_LIMIT);
    assert_int_equal(queries_find(queries, fakes[1].entry.id, arena, &error, &info), STATUS_OK);
    assert_int_equal(info.project, 2);
    assert_int_equal(queries_find(queries, 77, arena, &error, &info), STATUS_NOT_FOUND);
    finish(0);
    finish(1);
    end();
    arena_free(arena);
    arena_free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_run_and_so_many_wait),
        cmocka_unit_test(memory_is_shared_by_all),
        cmocka_unit_test(long_queries_leave_places_for_short_ones),
        cmocka_unit_test(how_long_a_question_took_is_remembered),
        cmocka_unit_test(what_is_remembered_is_doubted),
        cmocka_unit_test(who_computes_long_moves_to_the_long_ones),
        cmocka_unit_test(long_queries_give_way),
        cmocka_unit_test(projects_take_turns),
        cmocka_unit_test(a_full_queue_is_shared_too),
        cmocka_unit_test(a_project_has_no_more_than_it_may),
        cmocka_unit_test(queries_are_stopped),
        cmocka_unit_test(who_waits_too_long_is_turned_away),
        cmocka_unit_test(streams_hold_no_place),
        cmocka_unit_test(answers_count_until_they_are_taken),
        cmocka_unit_test(lists_tell_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
