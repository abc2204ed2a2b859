/*
 * Export: run after run, in the order of the windows, the rows that match.
 *
 * Batches. A run is cut into tasks, ranges of vectors that are expected to hold a few hundred rows of the range. The
 * pool's threads carry out tasks, each into a batch of its own: which rows of a vector match is found from the columns
 * that this takes, and only those rows are decoded, whole, into the batch's arena. The thread that reads gives the
 * batches away in order.
 *
 * Rounds. There are two sets of batches. While one is given away, the helpers of the pool fill the other; when its last
 * batch is gone, the reader helps with what is left of the other and the sets change places. So nobody waits for
 * anybody as long as there is work, and between two reads, at most one round is decoded ahead. The first rounds are
 * small: who stops after a few events has not paid for many.
 *
 * Days. With by_day the runs are gone through once for each day that they have a part of, for its instants alone. Runs
 * of one day, the usual ones of new events, cost nothing more by that; of wider ones the times are read once a day.
 *
 * Memory: half of it for the reader's decoder, a quarter for those of the helpers together, a quarter for the batches.
 * A batch that is full (wide rows, or more of them than expected) ends its task early; the reader then goes on with the
 * rest of that task itself, before the next batch, so the order stays. A task for which a helper has not enough (a run
 * with thousands of properties) the reader carries out itself, from its beginning.
 */
#include "query/native/rows.h"

#include "base/civil.h"

#include <stdatomic.h>
#include <stdlib.h>

#define BATCH_ROWS        256 /* that a task should give */
#define BATCH_ROWS_MAX    1024
#define BATCH_BYTES_MAX   ((size_t)2 << 20)
#define TASK_VECTORS_MAX  256
#define WORKER_BYTES_MIN  ((size_t)8 << 20) /* with less for each, fewer threads take part */
#define BATCHES_PER_SLOT  2
#define ROUND_BATCHES_MAX 64

/* A part of the range that is given away before the next one. */
struct part {
    struct interval *intervals;
    size_t interval_count;
};

struct task {
    const struct part *part;
    uint32_t run, vector, vector_end; /* what is left of it: [vector, vector_end), of the first one from `row` on */
    uint32_t row;
};

enum batch_state { BATCH_EMPTY, BATCH_FILLED, BATCH_TOO_LARGE /* for a helper */, BATCH_FAILED };

struct export_batch {
    struct task task, whole; /* what is left of it, and all of it */
    enum batch_state state;
    enum status status; /* FAILED */
    struct error error;
    struct arena *arena;
    struct event_row *rows;
    uint32_t count;
};

struct worker {
    struct selection selection;
    struct rows rows;
    bool ready;
    uint32_t run; /* that is open; UINT32_MAX: none */
};

struct round {
    struct export *export;
    struct pool_job job;
    uint32_t count;
    bool started;
    struct export_batch *batches;
};

struct export
{
    struct event_rows base;
    struct selection selection;
    struct pool *pool;
    struct scan_run *runs;
    struct part *parts;
    size_t part_count, part;         /* the one of the next task */
    uint32_t run_count, run, vector; /* likewise */
    uint64_t left;                   /* until the plan's limit */
    struct worker *workers;          /* one a slot, and the last one for the reader */
    unsigned slots;
    size_t reader_bytes_max; /* for decoding; the selection has those of a helper */
    size_t batch_bytes_max;
    uint32_t round_batches, round_batches_max;
    struct round rounds[2], *giving; /* the other one is being filled */
    uint32_t batch, row;             /* the next one to give away */
    _Atomic bool stopping;
};

static int by_window(const void *a, const void *b)
{
    const struct scan_run *x = a, *y = b;
    if (x->window_ms != y->window_ms) return x->window_ms < y->window_ms ? -1 : 1;
    if (x->section != y->section) return x->section < y->section ? -1 : 1;
    return (x->event > y->event) - (x->event < y->event);
}

/* --- filling a batch --- */

static enum status worker_ready(struct export *e, struct worker *worker, struct error *error)
{
    if (worker->ready) return STATUS_OK;
    TRY(selection_fork(&e->selection, error, &worker->selection));
    if (worker == &e->workers[e->slots]) worker->selection.share_bytes_max = e->reader_bytes_max;
    enum status status = rows_init(&worker->rows, &worker->selection, error);
    if (status != STATUS_OK) selection_fini(&worker->selection);
    worker->ready = status == STATUS_OK;
    worker->run = UINT32_MAX;
    return status;
}

/* The numbers of the rows that are kept, from `row` on. */
static uint32_t list_rows(const uint8_t *keep, uint32_t row, uint32_t rows, uint32_t *ret_picked)
{
    uint32_t count = 0;
    for (; row < rows; row++) {
        uint64_t eight;
        if (row % 8 == 0 && row + 8 <= rows) {
            memcpy(&eight, keep + row, 8);
            if (!eight) {
                row += 7;
                continue;
            }
        }
        ret_picked[count] = row;
        count += keep[row];
    }
    return count;
}

/* Decodes the first *some of the rows, or fewer where the batch lacks room; none, when it has others already. */
static enum status fill_some(struct worker *worker, struct export_batch *batch, const uint32_t *picked, uint32_t *some,
                             struct error *error)
{
    struct arena_mark mark = arena_mark_set(batch->arena);
    for (;; *some /= 2) {
        enum status status = rows_pick(&worker->rows, picked, *some, batch->arena, error, batch->rows + batch->count);
        if (status != STATUS_LIMIT || (*some == 1 && !batch->count)) return status;
        arena_rewind(batch->arena, mark);
        if (!batch->count) continue;
        *some = 0;
        return STATUS_OK;
    }
}

/* Adds rows of the worker's current vector; false in *ret_all when the batch is full before. */
static enum status fill_rows(const struct export *e, struct worker *worker, struct export_batch *batch,
                             const uint32_t *picked, uint32_t count, struct error *error, bool *ret_all)
{
    *ret_all = true;
    for (uint32_t i = 0; i < count;) {
        uint32_t some = count - i, left = BATCH_ROWS_MAX - batch->count;
        if (!left || arena_used(batch->arena) > e->batch_bytes_max) {
            batch->task.row = picked[i];
            *ret_all = false;
            return STATUS_OK;
        }
        if (some > left) some = left;
        if (some > SCAN_PICKS_MAX) some = SCAN_PICKS_MAX;
        TRY(fill_some(worker, batch, picked + i, &some, error));
        batch->count += some;
        i += some;
        if (some) continue;
        batch->task.row = picked[i];
        *ret_all = false;
        return STATUS_OK;
    }
    return STATUS_OK;
}

/* Carries out what is left of the batch's task, until the batch is full. */
static enum status fill(struct export *e, struct worker *worker, struct export_batch *batch, struct error *error)
{
    struct task *task = &batch->task;
    const struct scan_run *run = &e->runs[task->run];
    uint8_t keep[VECTOR_ROWS_MAX];
    uint32_t picked[VECTOR_ROWS_MAX];
    batch->count = 0;
    arena_reset(batch->arena);
    batch->rows = arena_alloc(batch->arena, BATCH_ROWS_MAX * sizeof *batch->rows);
    if (!batch->rows) return selection_out_of_memory(&e->selection, error);
    TRY(worker_ready(e, worker, error));
    worker->selection.intervals = task->part->intervals;
    worker->selection.interval_count = task->part->interval_count;
    for (bool all = true; task->vector < task->vector_end; task->vector++, task->row = 0) {
        uint32_t rows, left;
        TRY(selection_interrupted(&e->selection, error));
        if (atomic_load_explicit(&e->stopping, memory_order_relaxed)) return STATUS_CANCELLED;
        if (worker->run != task->run) {
            worker->run = UINT32_MAX;
            TRY(rows_run(&worker->rows, run, error));
            worker->run = task->run;
        }
        TRY(rows_vector(&worker->rows, task->vector, error, &rows));
        memset(keep, 1, rows);
        TRY(selection_keep(&worker->selection, worker->rows.scan, run, rows, error, keep, &left));
        if (task->row == 0) plan_passed_rows(&e->selection.limits, rows);
        if (!left) continue;
        if (task->vector + 1 < run->vectors) scan_expect_vector(worker->rows.scan, task->vector + 1);
        uint32_t count = list_rows(keep, task->row, rows, picked);
        TRY(fill_rows(e, worker, batch, picked, count, error, &all));
        if (!all) break;
    }
    return STATUS_OK;
}

static enum status fill_batch(struct export *e, struct worker *worker, struct export_batch *batch)
{
    enum status status = fill(e, worker, batch, &batch->error);
    batch->status = status;
    batch->state = status == STATUS_OK ? BATCH_FILLED : BATCH_FAILED;
    if (status != STATUS_LIMIT || worker == &e->workers[e->slots]) return status;
    batch->state = BATCH_TOO_LARGE;
    batch->task = batch->whole;
    batch->count = 0;
    return STATUS_OK;
}

static enum status fill_task(void *ctx, unsigned slot, uint32_t index)
{
    struct round *round = ctx;
    return fill_batch(round->export, &round->export->workers[slot], &round->batches[index]);
}

/* --- rounds --- */

/* How much of the run's time lies in the part. */
static double time_inside(const struct part *part, const struct scan_run *run)
{
    double inside = 0;
    for (size_t i = 0; i < part->interval_count; i++) {
        int64_t from = part->intervals[i].from_ms, to = part->intervals[i].to_ms;
        if (from < run->time_min_ms) from = run->time_min_ms;
        if (to > run->time_max_ms + 1) to = run->time_max_ms + 1;
        if (from < to) inside += (double)(to - from);
    }
    return inside;
}

/* How many vectors of the run a task takes. */
static uint32_t task_vectors(const struct part *part, const struct scan_run *run)
{
    double span = (double)(run->time_max_ms - run->time_min_ms + 1), inside = time_inside(part, run);
    double vectors = BATCH_ROWS / (VECTOR_ROWS_MAX * (inside / span) + 1);
    return vectors < 1 ? 1 : vectors > TASK_VECTORS_MAX ? TASK_VECTORS_MAX : (uint32_t)vectors;
}

static bool next_task(struct export *e, struct task *ret)
{
    for (; e->part < e->part_count; e->part++, e->run = e->vector = 0) {
        const struct part *part = &e->parts[e->part];
        for (; e->run < e->run_count; e->run++, e->vector = 0) {
            const struct scan_run *run = &e->runs[e->run];
            if (e->vector >= run->vectors || time_inside(part, run) == 0) continue;
            uint32_t count = task_vectors(part, run), left = run->vectors - e->vector;
            if (count > left) count = left;
            *ret = (struct task){.part = part, .run = e->run, .vector = e->vector, .vector_end = e->vector + count};
            e->vector += count;
            return true;
        }
    }
    return false;
}

static void start_round(struct export *e, struct round *round)
{
    for (round->count = 0; round->count < e->round_batches; round->count++) {
        struct export_batch *batch = &round->batches[round->count];
        batch->state = BATCH_EMPTY;
        batch->count = 0;
        if (!next_task(e, &batch->task)) break;
        batch->whole = batch->task;
    }
    if (e->round_batches < e->round_batches_max) e->round_batches *= 2;
    if (e->round_batches > e->round_batches_max) e->round_batches = e->round_batches_max;
    round->started = round->count > 0;
    if (round->started) pool_start(e->pool, &round->job, e->slots, round->count, fill_task, round);
}

/* What failed shows when it is the batch's turn. */
static void finish_round(struct export *e, struct round *round)
{
    if (round->started && pool_finish(e->pool, &round->job) != STATUS_OK) e->part = e->part_count;
    round->started = false;
}

static struct round *other(struct export *e)
{
    return &e->rounds[e->giving == &e->rounds[0]];
}

/* Goes to the next row; false in *ret_found at the end. */
static enum status advance(struct export *e, struct error *error, bool *ret_found)
{
    for (;;) {
        *ret_found = e->batch < e->giving->count;
        if (!*ret_found) {
            struct round *next = other(e);
            finish_round(e, next);
            if (!next->count) return STATUS_OK;
            e->giving->count = 0;
            start_round(e, e->giving);
            e->giving = next;
            e->batch = e->row = 0;
            continue;
        }
        struct export_batch *batch = &e->giving->batches[e->batch];
        if (e->row == 0) {
            TRY(selection_interrupted(&e->selection, error));
            if (batch->state == BATCH_TOO_LARGE) (void)!fill_batch(e, &e->workers[e->slots], batch);
            if (batch->state == BATCH_FAILED) *error = batch->error;
            if (batch->state != BATCH_FILLED)
                return batch->state == BATCH_FAILED ? batch->status : STATUS_CANCELLED; /* behind a failed one */
        }
        if (e->row < batch->count) return STATUS_OK;
        e->row = 0;
        if (batch->task.vector < batch->task.vector_end)
            (void)!fill_batch(e, &e->workers[e->slots], batch);
        else
            e->batch++;
    }
}

static enum status export_read(struct event_rows *base, uint64_t rows_max, struct row_sink *sink, struct error *error,
                               bool *ret_done)
{
    struct export *e = (struct export *)base;
    struct error local;
    bool found = e->left > 0;
    if (!error) error = &local;
    if (found) TRY(advance(e, error, &found));
    for (; found && rows_max; rows_max--) {
        const struct event_row *row = &e->giving->batches[e->batch].rows[e->row++];
        e->left--;
        TRY(sink->row(sink, row, error));
        found = e->left > 0;
        if (found) TRY(advance(e, error, &found));
    }
    *ret_done = !found;
    return STATUS_OK;
}

static void export_free(struct event_rows *base)
{
    struct export *e = (struct export *)base;
    atomic_store(&e->stopping, true);
    for (int i = 0; i < 2; i++) {
        finish_round(e, &e->rounds[i]);
        for (uint32_t b = 0; e->rounds[i].batches && b < e->round_batches_max; b++)
            arena_free(e->rounds[i].batches[b].arena);
        free(e->rounds[i].batches);
    }
    for (unsigned w = 0; e->workers && w <= e->slots; w++) {
        if (!e->workers[w].ready) continue;
        rows_fini(&e->workers[w].rows);
        selection_fini(&e->workers[w].selection);
    }
    free(e->workers);
    selection_fini(&e->selection);
    free(e);
}

static enum status make_batches(struct export *e, size_t memory_bytes_max, struct error *error)
{
    e->round_batches_max = e->slots == 1 ? 1 : e->slots * BATCHES_PER_SLOT;
    if (e->round_batches_max > ROUND_BATCHES_MAX) e->round_batches_max = ROUND_BATCHES_MAX;
    e->round_batches = 1;
    e->batch_bytes_max = memory_bytes_max / 4 / (2 * e->round_batches_max);
    if (e->batch_bytes_max > BATCH_BYTES_MAX) e->batch_bytes_max = BATCH_BYTES_MAX;
    for (int i = 0; i < 2; i++) {
        e->rounds[i].export = e;
        e->rounds[i].batches = calloc(e->round_batches_max, sizeof *e->rounds[i].batches);
        if (!e->rounds[i].batches) return selection_out_of_memory(&e->selection, error);
        for (uint32_t b = 0; b < e->round_batches_max; b++)
            e->rounds[i].batches[b].arena = arena_new(memory_bytes_max / 4); /* for a single large row */
    }
    e->giving = &e->rounds[0];
    return STATUS_OK;
}

/* The whole range, or each day of it of which there may be something. */
static enum status make_parts(struct export *e, struct error *error)
{
    struct selection *s = &e->selection;
    const struct plan *plan = s->plan;
    int64_t first = plan->to_day, last = plan->from_day;
    for (uint32_t r = 0; r < e->run_count && plan->by_day; r++) {
        int64_t from = floor_div(timezone_to_local_ms(plan->zone, e->runs[r].time_min_ms), DAY_MS) - 1;
        int64_t to = floor_div(timezone_to_local_ms(plan->zone, e->runs[r].time_max_ms), DAY_MS) + 1;
        if (from < first) first = from;
        if (to > last) last = to;
    }
    if (first < plan->from_day) first = plan->from_day;
    if (last > plan->to_day) last = plan->to_day;
    e->part_count = plan->by_day ? (first <= last ? (size_t)(last - first) + 1 : 0) : 1;
    e->parts = arena_new_array(s->arena, struct part, e->part_count + 1);
    if (!e->parts) return selection_out_of_memory(s, error);
    if (!plan->by_day) e->parts[0] = (struct part){s->intervals, s->interval_count};
    for (size_t p = 0; p < e->part_count && plan->by_day; p++) {
        int64_t day = first + (int64_t)p;
        TRY(selection_intervals(s, day, day, error, &e->parts[p].intervals, &e->parts[p].interval_count));
    }
    return STATUS_OK;
}

static enum status prepare(struct export *e, struct native *native, const struct plan_limits *limits,
                           struct error *error)
{
    size_t threads = limits->memory_bytes_max / WORKER_BYTES_MIN;
    e->slots = pool_slots(e->pool);
    if (e->slots > threads) e->slots = threads ? (unsigned)threads : 1;
    TRY(make_batches(e, limits->memory_bytes_max, error));
    e->workers = calloc(e->slots + 1, sizeof *e->workers);
    if (!e->workers) return selection_out_of_memory(&e->selection, error);
    size_t run_count;
    TRY(selection_runs(&e->selection, error, &e->runs, &run_count));
    e->run_count = (uint32_t)run_count;
    for (size_t i = 0; i < run_count; i++) plan_expects_rows(limits, e->runs[i].rows);
    TRY(selection_load_profiles(&e->selection, native, e->runs, run_count, error));
    if (run_count) qsort(e->runs, run_count, sizeof *e->runs, by_window);
    TRY(make_parts(e, error));
    /* A decoder takes its share, and half of it again for texts that it has written. */
    e->reader_bytes_max = limits->memory_bytes_max / 3;
    e->selection.share_bytes_max = limits->memory_bytes_max / 6 / e->slots;
    start_round(e, other(e));
    return STATUS_OK;
}

enum status native_export(struct native *native, const struct plan *plan, const struct plan_limits *limits,
                          struct error *error, struct event_rows **ret_rows)
{
    struct export *e = calloc(1, sizeof *e);
    if (!e) return error_set(error, STATUS_LIMIT, "out of memory for an export");
    e->base = (struct event_rows){.read = export_read, .free = export_free};
    e->pool = native->pool;
    e->left = plan->limit ? plan->limit : UINT64_MAX;
    enum status status = selection_init(&e->selection, native, plan, limits, error);
    if (status != STATUS_OK) {
        free(e);
        return status;
    }
    status = prepare(e, native, limits, error);
    if (status != STATUS_OK) {
        export_free(&e->base);
        return status;
    }
    *ret_rows = &e->base;
    return STATUS_OK;
}
