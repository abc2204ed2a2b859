/*
 * The engine in the simulated world of tests/simulation, seed by seed.
 *
 * Without arguments: CAIRN_SEEDS seeds (200) from CAIRN_SEED (1) on, and that the checks can fail.
 * simulation_test --seeds N [--from S] [--jobs J] [--seconds T]   only seeds, and what they did; exit status 1 when one
 *                                                                 failed. --seeds 1 also shows what the store logged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "simulation/simulation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void show(const struct simulation_outcome *o)
{
    const struct simulation_counts *c = &o->counts;
    printf("%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " lives, %" PRIu64 " crashes, %" PRIu64 " faults, %" PRIu64
           " steps, %" PRIu64 " h of virtual time\n",
           o->seeds, o->failures, c->lives, c->crashes, c->faults, c->steps, c->virtual_ms / 3600000);
    printf("%" PRIu64 " records, %" PRIu64 " refused, %" PRIu64 " of those found after a crash; %" PRIu64
           " events, %" PRIu64 " deleted, %" PRIu64 " flushes, %" PRIu64 " compactions, %" PRIu64 " questions, %" PRIu64
           " checks of everything\n",
           c->records, c->refused, c->adopted, c->events, c->deleted, c->flushes, c->compactions, c->questions,
           c->checks);
    printf("%" PRIu64 " feeds and exports, %" PRIu64 " purges of the log, %" PRIu64 " projects dropped, %" PRIu64
           " stores salvaged\n",
           c->feeds, c->log_purges, c->drops, c->salvages);
    printf("%" PRIu64 " files damaged, %" PRIu64 " silent faults of writes, %" PRIu64 " errors that named them\n",
           c->damaged, c->silent, c->damage_reported);
}

static void every_seed_keeps_the_contract(void **state)
{
    (void)state;
    struct simulation_plan plan = {.first = from_environment("CAIRN_SEED", 1),
                                   .count = from_environment("CAIRN_SEEDS", 200),
                                   .twice = 10,
                                   .loud = true};
    struct simulation_outcome outcome;
    simulation_run_many(&plan, &outcome);
    show(&outcome);
    assert_int_equal(outcome.failures, 0);
    assert_int_equal(outcome.seeds, plan.count);
    if (plan.count < 100) return;
    /* The features take part. */
    assert_true(outcome.counts.crashes > plan.count / 4);
    assert_true(outcome.counts.adopted > 0);
    assert_true(outcome.counts.damage_reported > 0);
    assert_true(outcome.counts.feeds && outcome.counts.log_purges && outcome.counts.drops && outcome.counts.salvages);
}

/* The same on a disk that says "synced" and did nothing: the checks can fail. */
static void a_lying_disk_is_noticed(void **state)
{
    (void)state;
    struct simulation_plan plan = {.first = 1, .count = 24, .lies = true};
    struct simulation_outcome outcome;
    simulation_run_many(&plan, &outcome);
    assert_true(outcome.failures >= 12);
}

/* A seed that fails fails again, in the same way at the same step. */
static void a_failure_repeats(void **state)
{
    (void)state;
    struct simulation_plan plan = {.first = 1, .count = 8, .lies = true, .jobs = 1};
    struct simulation_outcome one, two;
    simulation_run_many(&plan, &one);
    simulation_run_many(&plan, &two);
    assert_true(one.failures > 0);
    assert_int_equal(one.failures, two.failures);
    assert_string_equal(one.failure, two.failure);
}

/* Each call of the disk fails in turn. */
static void every_io_error_is_survived(void **state)
{
    (void)state;
    char failure[1200] = "";
    uint64_t runs;
    /* The store logs each refusal. */
    int shown = dup(STDERR_FILENO);
    assert_non_null(freopen("/dev/null", "w", stderr));
    bool good = simulation_io_errors(7, failure, &runs);
    dup2(shown, STDERR_FILENO);
    close(shown);
    printf("%" PRIu64 " runs with a failing call\n", runs);
    assert_string_equal(failure, "");
    assert_true(good && runs > 200);
}

static int run_seeds(int argc, char **argv)
{
    struct simulation_plan plan = {.first = 1, .count = 1, .loud = true};
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t number = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seeds") == 0)
            plan.count = number;
        else if (strcmp(argv[i], "--from") == 0)
            plan.first = number;
        else if (strcmp(argv[i], "--jobs") == 0)
            plan.jobs = (unsigned)number;
        else if (strcmp(argv[i], "--seconds") == 0)
            plan.seconds_max = (double)number;
        else if (strcmp(argv[i], "--lies") == 0)
            plan.lies = number != 0;
        else if (strcmp(argv[i], "--twice") == 0)
            plan.twice = (unsigned)number;
        else
            return 2;
    }
    struct simulation_outcome outcome;
    simulation_run_many(&plan, &outcome);
    show(&outcome);
    return outcome.failures ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) return run_seeds(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seed_keeps_the_contract),
        cmocka_unit_test(a_lying_disk_is_noticed),
        cmocka_unit_test(a_failure_repeats),
        cmocka_unit_test(every_io_error_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
