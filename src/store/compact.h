#pragma once
/*
 * Which sections are merged when: a pure function of what a project's section files look like, of the clock and of
 * options. The essay in compact.c has the rules; nothing here reads or writes anything.
 *
 * A *run* is what the picker moves: the sections of one file and one window, which are disjoint parts of one sorted
 * order (a merge whose output is larger than a section may be writes several). Runs are given oldest first, by the LSN
 * up to which they hold rows. Only neighbours in that order are merged, because rows of one person and millisecond keep
 * the order in which they arrived.
 */
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct compact_options {
    uint32_t fan_in;              /* runs of one size class that make a merge: 8 */
    uint32_t runs_max;            /* of one window, whatever their sizes: 24 */
    uint32_t straggler_share;     /* an idle run is merged into one at most so many times as large as it: 8 */
    uint64_t burst_ms;            /* runs that are all younger wait for more of their kind: 2 minutes */
    uint64_t rows_max;            /* of an output section: 16 M */
    uint64_t merge_rows_max;      /* of one merge, and of a window of up to window_log2_max: 64 M */
    uint32_t window_log2_max;     /* widest window of a large project, log2 of days: 5 */
    uint32_t window_log2_max_few; /* of one that has at most rows_max rows in it: 9 */
    uint64_t idle_ms;             /* 1 hour */
    uint64_t purge_deadline_ms;   /* deleted rows are gone from files after: 7 days */
    uint32_t delete_per_mille;    /* deleted rows that make a rewrite: 125 */
    uint32_t moved_per_mille;     /* rows of persons that were merged into others that make one: 5 */
    uint64_t fold_age_ms;         /* a tenth of that share does, in a file so old: 7 days */
};
void compact_options_defaults(struct compact_options *options);

struct compact_run {
    int64_t day; /* window */
    uint32_t log2;
    uint64_t rows, deleted, moved; /* moved: rows of persons that have another number now */
    uint64_t lsn;
    int64_t written_ms;
    int64_t delete_ms; /* when the oldest row was deleted that still is in the run's file; INT64_MAX: none */
    bool garbage;      /* most of its file is dead */
    bool busy;         /* being merged, or unreadable: stays as it is */
};
#define COMPACT_NEVER INT64_MAX

enum compact_reason {                  /* in the order of urgency */
                      COMPACT_PURGE,   /* the deadline of deleted rows comes near */
                      COMPACT_EMPTY,   /* all rows are deleted */
                      COMPACT_MANY,    /* more than runs_max */
                      COMPACT_TIER,    /* fan_in of one size class */
                      COMPACT_FOLD,    /* too many moved rows */
                      COMPACT_DELETES, /* too many deleted rows */
                      COMPACT_IDLE,    /* nothing came for a while: promotion to a wider window, stragglers */
                      COMPACT_GARBAGE, /* its file holds hardly anything else that counts */
                      COMPACT_ALL,     /* asked for: one run a window */
};
struct compact_pick {
    enum compact_reason reason;
    int64_t day; /* the output's window */
    uint32_t log2;
    size_t *runs; /* ascending indices; malloc'd */
    size_t run_count;
    uint64_t rows;
};
/* The most urgent merge. NOT_FOUND when there is nothing to do; LIMIT. `all`: until every window holds one run without
 * deleted or moved rows. */
enum status compact_pick(const struct compact_run *runs, size_t count, int64_t now_ms,
                         const struct compact_options *options, bool all, struct compact_pick *ret_pick) MUST_USE;

/* The windows that a project's runs have, or will be merged into. */
struct compact_layout;
struct compact_layout *compact_layout_new(const struct compact_run *runs, size_t count, int64_t now_ms,
                                          const struct compact_options *options); /* NULL: out of memory */
void compact_layout_free(struct compact_layout *layout);
/* Where rows of the window (day, log2) belong: itself or a wider one. */
void compact_layout_window(const struct compact_layout *layout, int64_t day, uint32_t log2, int64_t *ret_day,
                           uint32_t *ret_log2);
