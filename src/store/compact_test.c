/*
 * The picker, by simulation: projects receive rows in patterns of real life, every merge that is picked is carried out
 * in a model, and what is measured is how many runs a window has at the worst moment and how often a row is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/civil.h"
#include "base/hash.h"
#include "store/compact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 4096
#define DAY0     19000
#define MINUTE   60000LL
#define HOUR     (60 * MINUTE)

struct model {
    struct compact_options options;
    struct compact_run runs[RUNS_MAX];
    size_t count, worst_runs, worst_window, worst_class;
    uint64_t lsn, received, written, merges, random;
    int64_t now_ms;
};

static uint64_t rnd(struct model *m, uint64_t below)
{
    return (m->random = hash_u64(m->random, 5)) % below;
}

static struct model *new_model(void)
{
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    compact_options_defaults(&m->options);
    m->now_ms = DAY0 * DAY_MS;
    return m;
}

static uint64_t total(const struct model *m)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < m->count; i++) rows += m->runs[i].rows - m->runs[i].deleted;
    return rows;
}

static struct compact_run *add(struct model *m, int64_t day, uint32_t log2, uint64_t rows)
{
    for (size_t i = m->count; i-- > 0 && m->runs[i].lsn == m->lsn;) { /* one run a window and flush */
        if (m->runs[i].day == day && m->runs[i].log2 == log2) {
            m->runs[i].rows += rows;
            return &m->runs[i];
        }
    }
    assert_true(m->count < RUNS_MAX);
    m->runs[m->count] = (struct compact_run){
        .day = day, .log2 = log2, .rows = rows, .lsn = m->lsn, .written_ms = m->now_ms, .delete_ms = COMPACT_NEVER};
    return &m->runs[m->count++];
}

/* A flush puts rows where the layout of the moment says. */
struct flush {
    struct compact_layout *layout;
};
static struct flush begin_flush(struct model *m)
{
    struct flush flush = {compact_layout_new(m->runs, m->count, m->now_ms, &m->options)};
    assert_non_null(flush.layout);
    m->lsn++;
    return flush;
}
static void rows_of(struct model *m, struct flush *flush, int64_t day, uint64_t rows)
{
    int64_t start;
    uint32_t log2;
    if (rows == 0) return;
    compact_layout_window(flush->layout, day, 0, &start, &log2);
    assert_true(start <= day && day < start + ((int64_t)1 << log2));
    add(m, start, log2, rows);
    m->received += rows;
    m->written += rows;
}
static void end_flush(struct flush *flush)
{
    compact_layout_free(flush->layout);
}

static void measure(struct model *m)
{
    static struct {
        int64_t day;
        uint32_t log2, class;
    } targets[RUNS_MAX];
    struct compact_layout *layout = compact_layout_new(m->runs, m->count, m->now_ms, &m->options);
    assert_non_null(layout);
    if (m->count > m->worst_runs) m->worst_runs = m->count;
    for (size_t i = 0; i < m->count; i++) {
        compact_layout_window(layout, m->runs[i].day, m->runs[i].log2, &targets[i].day, &targets[i].log2);
        targets[i].class = 0;
        for (uint64_t rows = m->runs[i].rows; rows >= 8; rows /= 8) targets[i].class ++;
        size_t window = 1, class = 1;
        for (size_t k = 0; k < i; k++) {
            if (targets[k].day != targets[i].day || targets[k].log2 != targets[i].log2) continue;
            window++;
            class += targets[k].class == targets[i].class;
        }
        if (window > m->worst_window) m->worst_window = window;
        if (class > m->worst_class) m->worst_class = class;
    }
    compact_layout_free(layout);
}

/* Carries one merge out; the neighbours in between must be none of its time. */
static void merge(struct model *m, const struct compact_pick *pick)
{
    struct compact_run output = {.day = pick->day, .log2 = pick->log2, .written_ms = m->now_ms};
    output.delete_ms = COMPACT_NEVER;
    for (size_t i = 0; i < pick->run_count; i++) {
        const struct compact_run *run = &m->runs[pick->runs[i]];
        assert_false(run->busy);
        assert_true(run->day >= pick->day && run->day + (1LL << run->log2) <= pick->day + (1LL << pick->log2));
        output.rows += run->rows - run->deleted;
        output.lsn = run->lsn;
    }
    assert_true(pick->run_count == 1 || output.rows <= m->options.merge_rows_max);
    assert_int_equal(output.rows, pick->rows);
    m->written += output.rows;
    m->merges++;
    for (size_t i = pick->run_count; i-- > 0;) {
        size_t at = pick->runs[i];
        if (i > 0) { /* in the order of age nothing of an overlapping window lies between two inputs */
            for (size_t k = pick->runs[i - 1] + 1; k < at; k++) {
                const struct compact_run *other = &m->runs[k];
                assert_true(other->day + (1LL << other->log2) <= pick->day ||
                            other->day >= pick->day + (1LL << pick->log2) || other->log2 > pick->log2);
            }
        }
    }
    size_t place = pick->runs[pick->run_count - 1];
    if (output.rows) m->runs[place] = output;
    for (size_t i = pick->run_count - (output.rows != 0); i-- > 0;) {
        memmove(m->runs + pick->runs[i], m->runs + pick->runs[i] + 1, (m->count - pick->runs[i] - 1) * sizeof *m->runs);
        m->count--;
    }
}

static void compact(struct model *m, bool all)
{
    for (unsigned merges = 0;; merges++) {
        struct compact_pick pick;
        enum status status = compact_pick(m->runs, m->count, m->now_ms, &m->options, all, &pick);
        if (status == STATUS_NOT_FOUND) break;
        assert_int_equal(status, STATUS_OK);
        uint64_t before = total(m);
        merge(m, &pick);
        assert_int_equal(total(m), before);
        free(pick.runs);
        assert_true(merges < 10000); /* it comes to an end */
    }
    measure(m);
}

/* At most one run a target window that holds no more than one merge may. */
static void converged(struct model *m)
{
    compact(m, true);
    struct compact_layout *layout = compact_layout_new(m->runs, m->count, m->now_ms, &m->options);
    for (size_t i = 0; i < m->count; i++) {
        int64_t day, other;
        uint32_t log2, wide;
        uint64_t rows = 0, runs = 0;
        compact_layout_window(layout, m->runs[i].day, m->runs[i].log2, &day, &log2);
        for (size_t k = 0; k < m->count; k++) {
            compact_layout_window(layout, m->runs[k].day, m->runs[k].log2, &other, &wide);
            if (other != day || wide != log2) continue;
            runs++;
            rows += m->runs[k].rows;
        }
        assert_true(runs == 1 || rows > m->options.merge_rows_max);
    }
    compact_layout_free(layout);
}

static double report(const struct model *m, const char *name)
{
    double amplification = (double)m->written / (double)total(m);
    printf("%-22s %6.1f M rows, %5zu merges, runs: at most %zu, %zu a window, %zu a class; %zu left; written %.2f x\n",
           name, (double)m->received / 1e6, (size_t)m->merges, m->worst_runs, m->worst_window, m->worst_class, m->count,
           amplification);
    return amplification;
}

/* Sixty days of 1.4 M rows each, a flush every ten minutes. */
static void test_steady(void **state)
{
    (void)state;
    struct model *m = new_model();
    for (int i = 0; i < 60 * 144; i++, m->now_ms += 10 * MINUTE) {
        struct flush flush = begin_flush(m);
        rows_of(m, &flush, m->now_ms / DAY_MS, 10000);
        end_flush(&flush);
        compact(m, false);
    }
    assert_true(report(m, "steady") < 6);
    assert_true(m->worst_class <= 8 && m->worst_window <= 24 && m->worst_runs < 40);
    converged(m);
    free(m);
}

/* A hundred times as much, flushed when a million rows are there: windows of 32 days would be too much for one merge.
 */
static void test_heavy(void **state)
{
    (void)state;
    struct model *m = new_model();
    for (int i = 0; i < 20 * 144; i++, m->now_ms += 10 * MINUTE) {
        struct flush flush = begin_flush(m);
        rows_of(m, &flush, m->now_ms / DAY_MS, 1000000);
        end_flush(&flush);
        compact(m, false);
    }
    assert_true(report(m, "heavy") < 6);
    assert_true(m->worst_class <= 8 && m->worst_window <= 24 && m->worst_runs < 100);
    free(m);
}

/* Phones deliver days later: 5 % of the rows, up to ten days back. */
static void test_late(void **state)
{
    (void)state;
    struct model *m = new_model();
    for (int i = 0; i < 40 * 144; i++, m->now_ms += 10 * MINUTE) {
        struct flush flush = begin_flush(m);
        int64_t today = m->now_ms / DAY_MS;
        rows_of(m, &flush, today, 9500);
        for (int k = 0; k < 10; k++) rows_of(m, &flush, today - (int64_t)rnd(m, 11), 50);
        end_flush(&flush);
        compact(m, false);
    }
    assert_true(report(m, "late data") < 7.5);
    assert_true(m->worst_class <= 12 && m->worst_window <= 24 && m->worst_runs < 200); /* sizes are mixed */
    converged(m);
    free(m);
}

/* Five years in random order, then silence. */
static void test_import(void **state)
{
    (void)state;
    struct model *m = new_model();
    for (int i = 0; i < 60; i++, m->now_ms += MINUTE) {
        struct flush flush = begin_flush(m);
        for (int k = 0; k < 1826; k++) rows_of(m, &flush, DAY0 - k, 500 + rnd(m, 100));
        end_flush(&flush);
        compact(m, false);
    }
    report(m, "import, arriving");
    for (int i = 0; i < 48; i++, m->now_ms += HOUR) compact(m, false);
    assert_true(report(m, "import, a day later") < 5);
    assert_true(m->worst_class <= 8);
    size_t windows = 1826 / 32 + 2 + 8 + 8;
    assert_true(m->count <= windows * 2);
    converged(m);
    assert_true(report(m, "import, all merged") < 6);
    assert_true(m->count <= windows);
    free(m);
}

/* Two thousand rows over two years, one or two at a time. */
static void test_tiny(void **state)
{
    (void)state;
    struct model *m = new_model();
    for (int i = 0; i < 730 * 3; i++, m->now_ms += 8 * HOUR) {
        struct flush flush = begin_flush(m);
        rows_of(m, &flush, m->now_ms / DAY_MS, 1 + rnd(m, 2));
        end_flush(&flush);
        compact(m, false);
    }
    assert_true(report(m, "tiny") < 7); /* of a few hundred kilobytes */
    assert_true(m->worst_window <= 24 && m->worst_runs < 40);
    assert_true(m->count < 24);
    converged(m);
    assert_true(m->count < 16);
    free(m);
}

/* Sizes without any order, all into one window. */
static void test_any_sizes(void **state)
{
    (void)state;
    struct model *m = new_model();
    for (int i = 0; i < 3000; i++, m->now_ms += 20000) {
        struct flush flush = begin_flush(m);
        rows_of(m, &flush, DAY0, (uint64_t)1 << rnd(m, 20));
        end_flush(&flush);
        compact(m, false);
    }
    assert_true(report(m, "any sizes") < 5);
    assert_true(m->worst_window <= 24);
    free(m);
}

/* A few clocks are wrong by years: the hot day stays by itself, and the strays do not add up. */
static void test_wrong_clocks(void **state)
{
    (void)state;
    struct model *m = new_model();
    for (int i = 0; i < 20 * 144; i++, m->now_ms += 10 * MINUTE) {
        struct flush flush = begin_flush(m);
        int64_t today = m->now_ms / DAY_MS;
        rows_of(m, &flush, today, 10000);
        rows_of(m, &flush, (int64_t)rnd(m, (uint64_t)today), 1);
        rows_of(m, &flush, today + 1 + (int64_t)rnd(m, 3000), 1);
        end_flush(&flush);
        compact(m, false);
        for (size_t k = 0; k < m->count; k++) assert_true(m->runs[k].rows < 5000 || m->runs[k].log2 <= 5);
    }
    assert_true(report(m, "wrong clocks") < 7.5);
    assert_true(m->worst_runs < 200);
    free(m);
}

static struct compact_run single(int64_t day, uint32_t log2, uint64_t rows, uint64_t lsn)
{
    return (struct compact_run){
        .day = day, .log2 = log2, .rows = rows, .lsn = lsn, .delete_ms = COMPACT_NEVER, .written_ms = DAY0 * DAY_MS};
}

/* What makes a rewrite of one run, and what comes first. */
static void test_reasons(void **state)
{
    (void)state;
    struct compact_options options;
    struct compact_pick pick;
    int64_t now = DAY0 * DAY_MS;
    compact_options_defaults(&options);
    struct compact_run run = single(DAY0 - 1, 0, 1000, 1);
#define PICK() compact_pick(&run, 1, now, &options, false, &pick)
    assert_int_equal(PICK(), STATUS_NOT_FOUND);
    run.deleted = 125;
    run.delete_ms = now;
    assert_int_equal(PICK(), STATUS_NOT_FOUND);
    run.deleted = 126;
    assert_int_equal(PICK(), STATUS_OK);
    assert_int_equal(pick.reason, COMPACT_DELETES);
    free(pick.runs);
    run.moved = 6;
    assert_int_equal(PICK(), STATUS_OK);
    assert_int_equal(pick.reason, COMPACT_FOLD);
    free(pick.runs);
    run.deleted = 1000;
    assert_int_equal(PICK(), STATUS_OK);
    assert_int_equal(pick.reason, COMPACT_EMPTY);
    assert_int_equal(pick.rows, 0);
    free(pick.runs);
    run.delete_ms = now - 6 * DAY_MS;
    assert_int_equal(PICK(), STATUS_OK);
    assert_int_equal(pick.reason, COMPACT_EMPTY);
    free(pick.runs);
    run.delete_ms = now - 7 * DAY_MS + 21 * HOUR;
    assert_int_equal(PICK(), STATUS_OK);
    assert_int_equal(pick.reason, COMPACT_PURGE);
    free(pick.runs);
    run = single(DAY0 - 1, 0, 1000, 1);
    run.moved = 1; /* one in a thousand waits for a week */
    assert_int_equal(PICK(), STATUS_NOT_FOUND);
    run.written_ms = now - 7 * DAY_MS;
    assert_int_equal(PICK(), STATUS_OK);
    assert_int_equal(pick.reason, COMPACT_FOLD);
    free(pick.runs);
    run.busy = true;
    assert_int_equal(PICK(), STATUS_NOT_FOUND);
    run = single(DAY0 - 1, 0, 1000, 1);
    run.garbage = true;
    assert_int_equal(PICK(), STATUS_OK);
    assert_int_equal(pick.reason, COMPACT_GARBAGE);
    free(pick.runs);
#undef PICK
}

/* A run that is being merged or cannot be read parts its neighbours. */
static void test_busy(void **state)
{
    (void)state;
    struct compact_options options;
    struct compact_pick pick;
    struct compact_run runs[16];
    int64_t now = DAY0 * DAY_MS + 2 * MINUTE;
    compact_options_defaults(&options);
    for (uint64_t i = 0; i < 16; i++) runs[i] = single(DAY0, 0, 1000, i);
    runs[7].busy = true;
    assert_int_equal(compact_pick(runs, 15, now, &options, false, &pick), STATUS_NOT_FOUND);
    assert_int_equal(compact_pick(runs, 16, now, &options, false, &pick), STATUS_OK);
    assert_int_equal(pick.run_count, 8);
    assert_int_equal(pick.runs[0], 8);
    free(pick.runs);
    runs[3].busy = runs[11].busy = true;
    assert_int_equal(compact_pick(runs, 16, now, &options, true, &pick), STATUS_OK);
    assert_int_equal(pick.run_count, 3);
    free(pick.runs);
}

/* A bulk load: what comes within two minutes is merged together, at the latest when there is too much of it. */
static void test_burst(void **state)
{
    (void)state;
    struct model *m = new_model();
    for (int i = 0; i < 200; i++, m->now_ms += 2500) {
        struct flush flush = begin_flush(m);
        rows_of(m, &flush, DAY0 - 1, 1000000);
        end_flush(&flush);
        compact(m, false);
    }
    assert_true(report(m, "bulk load") < 2.1);
    assert_true(m->worst_window <= 24);
    m->now_ms += 2 * MINUTE;
    compact(m, false);
    assert_true(report(m, "bulk load, minutes after") < 2.1);
    free(m);

    struct compact_options options;
    struct compact_pick pick;
    struct compact_run runs[32];
    compact_options_defaults(&options);
    for (uint64_t i = 0; i < 32; i++) runs[i] = single(DAY0, 0, 1000, i);
    int64_t written = DAY0 * DAY_MS, now = written + 2 * MINUTE - 1;
    assert_int_equal(compact_pick(runs, 23, now, &options, false, &pick), STATUS_NOT_FOUND);
    assert_int_equal(compact_pick(runs, 24, now, &options, false, &pick), STATUS_OK);
    free(pick.runs);
    assert_int_equal(compact_pick(runs, 8, written + 2 * MINUTE, &options, false, &pick), STATUS_OK);
    assert_int_equal(pick.reason, COMPACT_TIER);
    free(pick.runs);
    /* who asks for all waits for nothing, and nothing is written twice on the way there */
    runs[2].moved = 1000;
    assert_int_equal(compact_pick(runs, 9, now, &options, true, &pick), STATUS_OK);
    assert_int_equal(pick.reason, COMPACT_ALL);
    assert_int_equal(pick.run_count, 9);
    free(pick.runs);
}

/* Days go up the ladder when their time has come, and not before. */
static void test_windows(void **state)
{
    (void)state;
    struct compact_options options;
    compact_options_defaults(&options);
    int64_t first = DAY0 / 1024 * 1024, start;
    uint32_t log2;
    static const struct {
        int64_t later;
        uint32_t log2;
    } cases[] = {{0, 0}, {1, 0}, {9, 0}, {10, 3}, {47, 3}, {48, 5}, {79, 5}, {80, 6}, {639, 6}, {640, 9}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct compact_run run = single(first, 0, 1000, 1);
        struct compact_layout *layout = compact_layout_new(&run, 1, (first + cases[i].later) * DAY_MS, &options);
        assert_non_null(layout);
        compact_layout_window(layout, first + 3, 0, &start, &log2);
        compact_layout_free(layout);
        if (i >= 3) assert_int_equal(start, first);
        assert_int_equal(log2, cases[i].log2);
    }
    /* with many rows it ends at 32 days, with very many at 8 */
    struct compact_run large = single(first, 0, options.rows_max + 1, 1);
    struct compact_layout *layout = compact_layout_new(&large, 1, (first + 1000) * DAY_MS, &options);
    compact_layout_window(layout, first, 0, &start, &log2);
    assert_int_equal(log2, 5);
    compact_layout_free(layout);
    large.rows = options.merge_rows_max + 1;
    layout = compact_layout_new(&large, 1, (first + 1000) * DAY_MS, &options);
    compact_layout_window(layout, first, 0, &start, &log2);
    assert_int_equal(log2, 0);
    compact_layout_free(layout);
    /* what is wider already takes in what is inside, once it is over */
    struct compact_run wide = single(first, 10, 10, 1);
    layout = compact_layout_new(&wide, 1, (first + 1023) * DAY_MS, &options);
    compact_layout_window(layout, first + 1022, 0, &start, &log2);
    assert_int_equal(log2, 0);
    compact_layout_free(layout);
    layout = compact_layout_new(&wide, 1, (first + 1024) * DAY_MS, &options);
    compact_layout_window(layout, first + 1022, 0, &start, &log2);
    assert_int_equal(log2, 10);
    compact_layout_free(layout);
    /* before 1970 */
    layout = compact_layout_new(NULL, 0, 0, &options);
    compact_layout_window(layout, -1000, 0, &start, &log2);
    assert_int_equal(start, -1024);
    assert_int_equal(log2, 9);
    compact_layout_free(layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),      cmocka_unit_test(test_reasons), cmocka_unit_test(test_busy),
        cmocka_unit_test(test_steady),       cmocka_unit_test(test_heavy),   cmocka_unit_test(test_late),
        cmocka_unit_test(test_import),       cmocka_unit_test(test_tiny),    cmocka_unit_test(test_any_sizes),
        cmocka_unit_test(test_wrong_clocks), cmocka_unit_test(test_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
