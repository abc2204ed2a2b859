/*
 * Seeds in child processes. Each worker takes every n-th seed and reports over a pipe; when one dies, its seed failed,
 * and another takes over behind it. What the store logs goes to a file that is shown only for a seed that killed its
 * worker: a misbehaving disk makes for many lines.
 */
#include "simulation/simulation.h"

#include "base/log.h"
#include "os/machine.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64

struct answer {
    uint64_t seed;
    struct simulation_report report;
};

struct worker {
    pid_t pid;
    int pipe;
    FILE *log;
    uint64_t next; /* the seed it is at */
    bool over;
};

static void run_one(const struct simulation_plan *plan, uint64_t seed, struct answer *answer)
{
    struct simulation_options options = {.seed = seed, .lies = plan->lies};
    *answer = (struct answer){.seed = seed};
    simulation_run(&options, &answer->report);
    if (seed - plan->first >= plan->twice || answer->report.failed) return;
    struct simulation_report again;
    simulation_run(&options, &again);
    if (again.trace == answer->report.trace && again.counts.steps == answer->report.counts.steps) return;
    answer->report.failed = true;
    snprintf(answer->report.failure, sizeof answer->report.failure,
             "not the same again: %" PRIu64 " steps, then %" PRIu64, answer->report.counts.steps, again.counts.steps);
}

static void start(const struct simulation_plan *plan, struct worker *worker, unsigned jobs)
{
    int ends[2];
    if (!worker->log) worker->log = tmpfile();
    if (!worker->log || pipe(ends) != 0 || fflush(NULL) != 0) abort();
    worker->pid = fork();
    if (worker->pid < 0) abort();
    if (worker->pid > 0) {
        close(ends[1]);
        worker->pipe = ends[0];
        return;
    }
    close(ends[0]);
    if (!plan->loud || plan->count > 1) dup2(fileno(worker->log), STDERR_FILENO);
    log_configure(LOG_ERROR, LOG_TEXT);
    for (uint64_t seed = worker->next; seed < plan->first + plan->count; seed += jobs) {
        struct answer answer;
        if (ftruncate(fileno(worker->log), 0) != 0) abort();
        rewind(worker->log);
        run_one(plan, seed, &answer);
        if (write(ends[1], &answer, sizeof answer) != (ssize_t)sizeof answer) abort();
        /* A deadlock leaves memory and threads behind. */
        if (answer.report.failed && strstr(answer.report.failure, "deadlock")) _exit(0);
    }
    close(ends[1]);
    exit(0); /* not _exit: that is when leaks are looked for */
}

static void add_counts(struct simulation_counts *sum, const struct simulation_counts *counts)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)counts;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++) to[i] += from[i];
}

static void note(const struct simulation_plan *plan, struct simulation_outcome *outcome, uint64_t seed,
                 const char *failure)
{
    if (!outcome->failures || seed < outcome->first_failure) {
        outcome->first_failure = seed;
        snprintf(outcome->failure, sizeof outcome->failure, "seed %" PRIu64 ": %s", seed, failure);
    }
    outcome->failures++;
    if (plan->loud) fprintf(stderr, "seed %" PRIu64 ": %s\n", seed, failure);
}

/* The end of what the worker wrote. */
static void show_log(FILE *log)
{
    char text[6000];
    if (fseek(log, 0, SEEK_END) != 0) return;
    long size = ftell(log), from = size > (long)sizeof text - 1 ? size - (long)sizeof text + 1 : 0;
    if (fseek(log, from, SEEK_SET) != 0) return;
    size_t got = fread(text, 1, sizeof text - 1, log);
    fwrite(text, 1, got, stderr);
}

/* The worker is gone; its current seed failed unless it had come to its end. */
static void bury(const struct simulation_plan *plan, struct worker *worker, unsigned jobs,
                 struct simulation_outcome *outcome, bool deadlocked)
{
    int status = 0;
    close(worker->pipe);
    if (waitpid(worker->pid, &status, 0) != worker->pid) abort();
    bool in_order = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool behind = worker->next >= plan->first + plan->count;
    if (!in_order) {
        char text[100];
        if (WIFSIGNALED(status))
            snprintf(text, sizeof text, "ended by signal %d", WTERMSIG(status));
        else
            snprintf(text, sizeof text, "exit status %d%s", WEXITSTATUS(status), behind ? " at the end" : "");
        note(plan, outcome, behind ? worker->next - jobs : worker->next, text);
        show_log(worker->log);
        worker->next += behind ? 0 : jobs;
    }
    worker->over = worker->next >= plan->first + plan->count || (in_order && !deadlocked);
    if (!worker->over) start(plan, worker, jobs);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void simulation_run_many(const struct simulation_plan *plan, struct simulation_outcome *ret_outcome)
{
    unsigned jobs = plan->jobs ? plan->jobs : os_cores();
    if (jobs > JOBS_MAX) jobs = JOBS_MAX;
    if (jobs > plan->count) jobs = (unsigned)plan->count;
    struct worker workers[JOBS_MAX] = {0};
    *ret_outcome = (struct simulation_outcome){.seeds = 0};
    double deadline = plan->seconds_max > 0 ? now() + plan->seconds_max : 0;
    for (unsigned i = 0; i < jobs; i++) {
        workers[i].next = plan->first + i;
        start(plan, &workers[i], jobs);
    }
    /* In turns: workers have equally many seeds of the same kind, so none waits long with a full pipe. */
    for (unsigned left = jobs; left;) {
        left = 0;
        for (unsigned i = 0; i < jobs; i++) {
            struct worker *worker = &workers[i];
            if (worker->over) continue;
            left++;
            struct answer answer;
            ssize_t got = read(worker->pipe, &answer, sizeof answer);
            if (got != (ssize_t)sizeof answer) {
                bury(plan, worker, jobs, ret_outcome, false);
                continue;
            }
            ret_outcome->seeds++;
            worker->next = answer.seed + jobs;
            add_counts(&ret_outcome->counts, &answer.report.counts);
            if (answer.report.failed) note(plan, ret_outcome, answer.seed, answer.report.failure);
            if (answer.report.failed && strstr(answer.report.failure, "deadlock"))
                bury(plan, worker, jobs, ret_outcome, true);
            else if (deadline > 0 && now() > deadline) {
                kill(worker->pid, SIGKILL);
                close(worker->pipe);
                waitpid(worker->pid, NULL, 0);
                worker->over = true;
            }
        }
    }
    for (unsigned i = 0; i < jobs; i++) fclose(workers[i].log);
}
