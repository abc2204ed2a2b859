/*
 * Windows. Time is cut into dyadic windows of 2^j days. A row begins in the window of its day; when time has passed, it
 * belongs to a wider one, so that years do not consist of days: to the window of 8 days two days after that has ended,
 * of 32 days 16 days after, and so on along the ladder below. Wider windows than window_log2_max are for projects that
 * have few rows in them, so that a small project has a handful of sections for its whole life. Where a wider section
 * exists already (and its time is over), everything inside belongs to it. Days to come, which only wrong clocks name,
 * go to wide windows at once; a window that begins by tomorrow is never widened before it is over, so that today's rows
 * stay by themselves.
 *
 * So each run has a target window, which is a function of the clock and of all runs. Targets of different runs are
 * equal or disjoint, but for windows that are not over yet. Merging happens among the runs of one target only, and its
 * output lies in the target window: promotion needs no rule of its own, it is the merge of runs that have come to share
 * a target.
 *
 * Merges. Size classes are powers of fan_in rows. Within a target, fan_in neighbours up to a class are merged when that
 * makes something several times as large as the largest of them: each row is rewritten once per class, and a window has
 * at most fan_in - 1 runs a class when sizes come in order. Runs that were all written in the last minutes wait while
 * there may be more of them: a bulk load writes one every few seconds, and what it ends with is merged once instead of
 * once per class. Sizes may come in any order (an import between trickles),
 * so there is a bound on the whole number, too: then the cheapest fan_in neighbours are merged. When nothing has come
 * for a while, the newest runs are merged into the older ones as long as those are not much larger than all that is
 * added; what stays are runs each more than straggler_share times as large as all newer ones together, a handful.
 *
 * Rewrites of one run happen for deleted rows (when they are many, or when their deadline comes near) and for rows of
 * persons that were merged (they cost queries time).
 *
 * Write amplification, in units of final bytes: 1 for the flush, about log_fan_in(rows of a window / rows of a flush)
 * for the classes, 1 when the window falls idle, 1 per step of the ladder. compact_test.c measures it.
 */
#include "store/compact.h"

#include "base/civil.h"

#include <stdlib.h>

#define LADDER_STEPS 4
static const uint32_t ladder[LADDER_STEPS] = {3, 5, 6, 9};
static const uint32_t ladder_from[LADDER_STEPS] = {0, 3, 3, 6}; /* what is promoted; how long a window must be over */

void compact_options_defaults(struct compact_options *options)
{
    const uint64_t day_ms = DAY_MS;
    *options = (struct compact_options){
        .fan_in = 8,
        .runs_max = 24,
        .straggler_share = 8,
        .burst_ms = 120000,
        .rows_max = (uint64_t)16 << 20,
        .merge_rows_max = (uint64_t)64 << 20,
        .window_log2_max = 5,
        .window_log2_max_few = 9,
        .idle_ms = day_ms / 24,
        .purge_deadline_ms = 7 * day_ms,
        .delete_per_mille = 125,
        .moved_per_mille = 5,
        .fold_age_ms = 7 * day_ms,
    };
}

/* --- windows --- */

static int64_t start_of(int64_t day, uint32_t log2)
{
    return day & -((int64_t)1 << log2);
}

struct window {
    int64_t day;
    uint32_t log2;
    uint64_t rows; /* in runs of exactly this window */
};

struct compact_layout {
    struct window *windows; /* distinct, by first day, wider first */
    uint64_t *rows_before;  /* sums over windows[0..i) */
    size_t count;
    int64_t today; /* the day number of the clock */
    struct compact_options options;
};

static int window_cmp(const void *a, const void *b)
{
    const struct window *x = a, *y = b;
    if (x->day != y->day) return x->day < y->day ? -1 : 1;
    return x->log2 > y->log2 ? -1 : x->log2 < y->log2;
}

struct compact_layout *compact_layout_new(const struct compact_run *runs, size_t count, int64_t now_ms,
                                          const struct compact_options *options)
{
    struct compact_layout *layout = calloc(1, sizeof *layout);
    if (!layout) return NULL;
    layout->windows = calloc(count + 1, sizeof *layout->windows);
    layout->rows_before = calloc(count + 1, sizeof *layout->rows_before);
    layout->today = floor_div(now_ms, DAY_MS);
    layout->options = *options;
    if (!layout->windows || !layout->rows_before) {
        compact_layout_free(layout);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        layout->windows[i] = (struct window){runs[i].day, runs[i].log2, runs[i].rows - runs[i].deleted};
    qsort(layout->windows, count, sizeof *layout->windows, window_cmp);
    for (size_t i = 0; i < count; i++) {
        struct window *last = layout->count ? &layout->windows[layout->count - 1] : NULL;
        if (last && window_cmp(last, &layout->windows[i]) == 0)
            last->rows += layout->windows[i].rows;
        else
            layout->windows[layout->count++] = layout->windows[i];
    }
    for (size_t i = 0; i < layout->count; i++)
        layout->rows_before[i + 1] = layout->rows_before[i] + layout->windows[i].rows;
    return layout;
}

void compact_layout_free(struct compact_layout *layout)
{
    if (!layout) return;
    free(layout->windows);
    free(layout->rows_before);
    free(layout);
}

/* The first window that does not stand before (day, log2). */
static size_t find_window(const struct compact_layout *layout, int64_t day, uint32_t log2)
{
    struct window key = {.day = day, .log2 = log2};
    size_t low = 0, high = layout->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (window_cmp(&layout->windows[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Rows of all windows inside this one. */
static uint64_t rows_inside(const struct compact_layout *layout, int64_t day, uint32_t log2)
{
    size_t from = find_window(layout, day, log2);
    size_t to = find_window(layout, day + ((int64_t)1 << log2), UINT32_MAX);
    return layout->rows_before[to] - layout->rows_before[from];
}

static bool exists(const struct compact_layout *layout, int64_t day, uint32_t log2)
{
    size_t at = find_window(layout, day, log2);
    return at < layout->count && layout->windows[at].day == day && layout->windows[at].log2 == log2;
}

/* Not too many rows for a window of this width. */
static bool fits(const struct compact_layout *layout, int64_t day, uint32_t log2)
{
    const struct compact_options *options = &layout->options;
    return rows_inside(layout, day, log2) <=
           (log2 > options->window_log2_max ? options->rows_max : options->merge_rows_max);
}

#define LOG2_MAX 15

void compact_layout_window(const struct compact_layout *layout, int64_t day, uint32_t log2, int64_t *ret_day,
                           uint32_t *ret_log2)
{
    const struct compact_options *options = &layout->options;
    uint32_t best = log2;
    for (size_t step = 0; step < LADDER_STEPS; step++) {
        uint32_t wide = ladder[step];
        if (wide <= log2 || wide > options->window_log2_max_few) continue;
        int64_t start = start_of(day, wide);
        int64_t over = start + ((int64_t)1 << wide) + ((int64_t)2 << ladder_from[step]);
        bool ahead = start > layout->today + 1;
        if ((layout->today >= over || ahead) && fits(layout, start, wide)) best = wide;
    }
    for (uint32_t wide = LOG2_MAX; wide > best; wide--) {
        int64_t start = start_of(day, wide);
        if (layout->today >= start + ((int64_t)1 << wide) && exists(layout, start, wide) && fits(layout, start, wide)) {
            best = wide;
            break;
        }
    }
    *ret_day = start_of(day, best);
    *ret_log2 = best;
}

/* --- picking --- */

struct candidate { /* a run with its target; in a group sorted by age */
    int64_t day;
    uint32_t log2;
    size_t run;
};

static int candidate_cmp(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->day != y->day) return x->day < y->day ? -1 : 1;
    if (x->log2 != y->log2) return x->log2 < y->log2 ? -1 : 1;
    return x->run < y->run ? -1 : x->run > y->run;
}

struct picker {
    const struct compact_run *runs;
    const struct compact_options *options;
    int64_t now_ms;
    bool all;
    bool found;
    enum compact_reason reason;
    const struct candidate *from;
    size_t count;
    uint64_t rows;
};

static uint64_t left(const struct compact_run *run)
{
    return run->rows - run->deleted;
}

static unsigned class_of(uint64_t rows, uint32_t fan_in)
{
    unsigned class = 0;
    for (; rows >= fan_in; rows /= fan_in) class ++;
    return class;
}

static const struct compact_run *run_of(const struct picker *p, const struct candidate *c)
{
    return &p->runs[c->run];
}

/* Keeps the most urgent proposal; among equals the cheapest, so that many small windows do not wait for a large one. */
static void propose(struct picker *p, enum compact_reason reason, const struct candidate *from, size_t count)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < count; i++) rows += left(run_of(p, &from[i]));
    if (count > 1 && rows > p->options->merge_rows_max) return;
    if (p->found && (reason > p->reason || (reason == p->reason && rows >= p->rows))) return;
    p->found = true;
    p->reason = reason;
    p->from = from;
    p->count = count;
    p->rows = rows;
}

static void pick_single(struct picker *p, const struct candidate *c)
{
    const struct compact_run *run = run_of(p, c);
    const struct compact_options *o = p->options;
    /* an eighth of the time is left for the work */
    if (run->delete_ms != COMPACT_NEVER &&
        p->now_ms - run->delete_ms >= (int64_t)(o->purge_deadline_ms - o->purge_deadline_ms / 8))
        propose(p, COMPACT_PURGE, c, 1);
    if (run->deleted == run->rows) propose(p, COMPACT_EMPTY, c, 1);
    if (run->moved * 1000 > run->rows * o->moved_per_mille ||
        (run->moved * 10000 > run->rows * o->moved_per_mille && p->now_ms - run->written_ms >= (int64_t)o->fold_age_ms))
        propose(p, COMPACT_FOLD, c, 1);
    if (run->deleted * 1000 > run->rows * o->delete_per_mille) propose(p, COMPACT_DELETES, c, 1);
    if (run->garbage) propose(p, COMPACT_GARBAGE, c, 1);
    if (p->all && (run->deleted || run->moved)) propose(p, COMPACT_ALL, c, 1);
}

/* All of them are fresh: more will come. */
static bool is_burst(const struct picker *p, const struct candidate *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (p->now_ms - run_of(p, &from[i])->written_ms >= (int64_t)p->options->burst_ms) return false;
    }
    return true;
}

/* The longest row of newest runs in segment[0..count) that is worth a merge: fan_in runs or more, together at least
 * half of fan_in times as large as the largest of them. Equal sizes make it at fan_in exactly. */
static void pick_newest(struct picker *p, const struct candidate *segment, size_t count, bool wait)
{
    uint32_t fan_in = p->options->fan_in;
    uint64_t sum = 0, largest = 0;
    size_t best = 0;
    for (size_t n = 1; n <= count; n++) {
        uint64_t rows = left(run_of(p, &segment[count - n]));
        sum += rows;
        if (sum > p->options->merge_rows_max) break;
        if (rows > largest) largest = rows;
        if (n >= fan_in && sum >= largest * fan_in / 2) best = n;
    }
    if (!best || (wait && is_burst(p, segment + count - best, best))) return;
    propose(p, COMPACT_TIER, segment + count - best, best);
}

/* The same between any two runs of a higher class. */
static void pick_tier(struct picker *p, const struct candidate *segment, size_t count)
{
    uint32_t fan_in = p->options->fan_in;
    unsigned highest = 0;
    bool wait = count < p->options->runs_max;
    for (size_t i = 0; i < count; i++) {
        unsigned class = class_of(left(run_of(p, &segment[i])), fan_in);
        if (class > highest) highest = class;
    }
    for (unsigned class = 0; class <= highest; class ++) {
        size_t first = 0;
        for (size_t i = 0; i <= count; i++) {
            if (i < count && class_of(left(run_of(p, &segment[i])), fan_in) <= class) continue;
            if (i - first >= fan_in) pick_newest(p, segment + first, i - first, wait);
            first = i + 1;
        }
    }
}

/* The cheapest fan_in neighbours. */
static void pick_many(struct picker *p, const struct candidate *segment, size_t count)
{
    size_t width = p->options->fan_in;
    if (count <= p->options->runs_max || count < width) return;
    uint64_t best = UINT64_MAX, sum = 0;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        sum += left(run_of(p, &segment[i]));
        if (i >= width) sum -= left(run_of(p, &segment[i - width]));
        if (i + 1 >= width && sum < best) {
            best = sum;
            at = i + 1 - width;
        }
    }
    propose(p, COMPACT_MANY, segment + at, width);
}

static void pick_idle(struct picker *p, const struct candidate *segment, size_t count)
{
    int64_t newest = INT64_MIN;
    for (size_t i = 0; i < count; i++) {
        if (run_of(p, &segment[i])->written_ms > newest) newest = run_of(p, &segment[i])->written_ms;
    }
    if (p->now_ms - newest < (int64_t)p->options->idle_ms) return;
    size_t first = count - 1;
    uint64_t sum = left(run_of(p, &segment[first]));
    while (first > 0) {
        uint64_t older = left(run_of(p, &segment[first - 1]));
        if (older > sum * p->options->straggler_share || sum + older > p->options->merge_rows_max) break;
        sum += older;
        first--;
    }
    if (count - first >= 2) propose(p, COMPACT_IDLE, segment + first, count - first);
}

/* From the oldest on, as many neighbours as one merge may take. What such a merge takes needs no rewrite of its own. */
static void pick_all(struct picker *p, const struct candidate *segment, size_t count)
{
    for (size_t first = 0; first < count;) {
        uint64_t sum = 0;
        size_t end = first;
        while (end < count && (end == first || sum + left(run_of(p, &segment[end])) <= p->options->merge_rows_max))
            sum += left(run_of(p, &segment[end++]));
        if (end - first >= 2)
            propose(p, COMPACT_ALL, segment + first, end - first);
        else
            pick_single(p, &segment[first]);
        first = end;
    }
}

/* The runs of one target between two that must stay. */
static void pick_segment(struct picker *p, const struct candidate *segment, size_t count)
{
    if (p->all) {
        pick_all(p, segment, count);
        return;
    }
    for (size_t i = 0; i < count; i++) pick_single(p, &segment[i]);
    if (count < 2) return;
    pick_many(p, segment, count);
    pick_tier(p, segment, count);
    pick_idle(p, segment, count);
}

enum status compact_pick(const struct compact_run *runs, size_t count, int64_t now_ms,
                         const struct compact_options *options, bool all, struct compact_pick *ret_pick)
{
    struct compact_layout *layout = compact_layout_new(runs, count, now_ms, options);
    struct candidate *candidates = calloc(count + 1, sizeof *candidates);
    struct picker p = {.runs = runs, .options = options, .now_ms = now_ms, .all = all};
    enum status status = layout && candidates ? STATUS_OK : STATUS_LIMIT;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        candidates[i].run = i;
        compact_layout_window(layout, runs[i].day, runs[i].log2, &candidates[i].day, &candidates[i].log2);
    }
    if (status == STATUS_OK) {
        qsort(candidates, count, sizeof *candidates, candidate_cmp);
        for (size_t from = 0, to; from < count; from = to) {
            to = from + 1;
            if (runs[candidates[from].run].busy) continue;
            while (to < count && candidates[to].day == candidates[from].day &&
                   candidates[to].log2 == candidates[from].log2 && !runs[candidates[to].run].busy)
                to++;
            pick_segment(&p, candidates + from, to - from);
        }
        status = p.found ? STATUS_OK : STATUS_NOT_FOUND;
    }
    size_t *chosen = status == STATUS_OK ? malloc(p.count * sizeof *chosen) : NULL;
    if (status == STATUS_OK && !chosen) status = STATUS_LIMIT;
    if (status == STATUS_OK) {
        for (size_t i = 0; i < p.count; i++) chosen[i] = p.from[i].run;
        *ret_pick = (struct compact_pick){.reason = p.reason,
                                          .day = p.from[0].day,
                                          .log2 = p.from[0].log2,
                                          .runs = chosen,
                                          .run_count = p.count,
                                          .rows = p.rows};
    }
    free(candidates);
    compact_layout_free(layout);
    return status;
}
