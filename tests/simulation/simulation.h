#pragma once
/*
 * The whole engine in one thread, on a simulated disk, under a seeded scheduler, against a model of what it promises.
 *
 * One seed decides everything: the options of the store, which features and which faults take part and how often, what
 * the clients send and ask, and every turn of every thread. So a seed that fails fails again, with the same trace.
 * See README.md for what is checked.
 */
#include <stdbool.h>
#include <stdint.h>

struct simulation_options {
    uint64_t seed;
    bool lies; /* the disk says "synced" and does nothing: the checks must fail */
    struct {   /* instead of what the seed says: a fixed course in which the nth call of a kind fails */
        bool on, lasting, power;
        unsigned call; /* enum sim_call */
        uint64_t nth;
    } io;
};

struct simulation_counts {
    uint64_t steps, switches, virtual_ms;
    uint64_t lives, crashes, records, refused, adopted, events, deleted, flushes, compactions, questions, checks;
    uint64_t feeds, log_purges, drops, salvages;
    uint64_t faults, silent, damaged, damage_reported;
};

struct simulation_report {
    bool failed;
    char failure[1000]; /* what, and at which step */
    uint64_t trace;
    struct simulation_counts counts;
};

/* One at a time in a process. After a deadlock what the run had allocated is lost. */
void simulation_run(const struct simulation_options *options, struct simulation_report *ret_report);

/* Lets every single call of the disk fail in turn, alone and with all that follow; false, and the first failure, when
 * the contract is broken. Of the failures that last, one in `stride` is tried. */
bool simulation_io_errors(unsigned stride, char failure[1200], uint64_t *ret_runs);

struct simulation_plan {
    uint64_t first, count;
    unsigned jobs; /* processes; 0: one a core */
    bool lies;
    unsigned twice;     /* this many of the first seeds run twice and must leave the same trace */
    bool loud;          /* tell about every failure on standard error at once */
    double seconds_max; /* stop early, 0: do not */
};
struct simulation_outcome {
    uint64_t seeds, failures;
    uint64_t first_failure; /* its seed */
    char failure[1200];     /* of the first one */
    struct simulation_counts counts;
};
/* Runs seeds in processes of their own, so that a crash is one seed's failure. */
void simulation_run_many(const struct simulation_plan *plan, struct simulation_outcome *ret_outcome);
