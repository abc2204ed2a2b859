/*
 * Every call of the disk fails in turn: a short fixed course of opening, appending, flushing, deleting, asking and
 * closing, with the first, the second, the third … read, write, sync and so on refused, once alone and once with all
 * that follow. Whatever fails says so; afterwards the store opens, and the contract holds.
 */
#include "simulation/world.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const call_names[SIM_CALLS] = {"read", "write",  "sync",   "sync of a directory",
                                                  "open", "rename", "unlink", "allocation"};

/* Refused is fine while the disk fails; anything else is not. */
static void allow(struct world *w, const char *what, enum status status, const struct error *error)
{
    if (status == STATUS_OK || status == STATUS_IO || status == STATUS_UNAVAILABLE) return;
    char text[600];
    fail(w, "%s: %s: %s", what, status_name(status), error_text(error, text, sizeof text));
}

static void use(struct world *w)
{
    struct error error = ERROR_INIT;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 4; i++) (void)workload_send(w, i == 3);
        for (unsigned i = 0; i < 6; i++) (void)profiles_send(w, i == 5);
        allow(w, "a flush", store_flush(w->store, &error), &error);
        check_snapshot(w, 0);
        question_ask(w, 0);
        os_sleep_ns(1500000000);
    }
    model_wait(w);
}

void io_errors_course(struct world *w)
{
    struct error error = ERROR_INIT;
    unsigned call = w->options.io.call;
    bool reads = call == SIM_READ || call == SIM_OPEN;
    w->swarm = (struct swarm){.mode = w->swarm.mode, .batch_events_max = 6, .questions = true, .errors = true};
    /* The original of a repeat that cannot be read is kept beside it. */
    w->swarm.resends = !reads;
    w->swarm.keys = w->generator.insert_ids;
    w->reads_fail = true;
    sim_fail(w->disk, call, SIM_ERROR, w->options.io.nth, w->options.io.lasting ? UINT32_MAX : 1, NULL);
    enum status status = world_open(w, &error);
    allow(w, "opening", status, &error);
    if (status == STATUS_OK) use(w);
    w->report->counts.faults = sim_faults(w->disk, call);
    if (failed(w)) return;
    if (w->options.io.power) sim_halt(w->disk, 0);
    if (w->store || w->options.io.power) world_crash(w, w->options.io.power);
    sim_heal(w->disk);
    w->reads_fail = false;
    status = world_open(w, &error);
    if (status != STATUS_OK) {
        fail_unless_excused(w, "the store does not open afterwards", status, &error);
        return;
    }
    check_everything(w);
    if (!failed(w)) world_expect_writing(w);
    if (!failed(w)) check_everything(w);
    world_close(w);
}

bool simulation_io_errors(unsigned stride, char failure[1200], uint64_t *ret_runs)
{
    *ret_runs = 0;
    for (unsigned call = 0; call < SIM_CALLS; call++) {
        for (unsigned lasting = 0; lasting < 2; lasting++) {
            for (uint64_t nth = 1;; nth += lasting ? stride : 1) {
                struct simulation_options options = {.seed = 1 + hash_u64(nth, call) % 1000};
                options.io.on = true;
                options.io.call = call;
                options.io.lasting = lasting;
                options.io.power = nth % 3 == 0;
                options.io.nth = nth;
                struct simulation_report report;
                simulation_run(&options, &report);
                ++*ret_runs;
                if (report.failed) {
                    snprintf(failure, 1200, "%s number %" PRIu64 "%s fails: %s", call_names[call], nth,
                             lasting ? " and all that follow" : "", report.failure);
                    return false;
                }
                if (report.counts.faults == 0) break;
            }
        }
    }
    return true;
}
