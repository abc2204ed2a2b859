#pragma once
/*
 * Ranges of numbers of a nice width, as SEGMENT with bin_count has them for labels. docs/decisions/0023, 1.
 *
 * Edges are whole multiples of the width, which is 1, 2 or 5 times a power of ten: the least one with which at most
 * `count` ranges hold all numbers from the least to the greatest. It is at least 1 when all numbers are whole, and such
 * that an edge is less than 10^15 widths from zero, so that doubles tell edges apart. When all numbers are the same
 * one, it is the power of ten at or below it (1 for 0).
 *
 * An edge is the double nearest to its decimal. A range holds its lower edge and not its upper one, and is labelled
 * `2,000 - 2,100`.
 */
#include "base/arena.h"
#include "base/error.h"

/* What is known of the numbers. */
struct extent {
    double min, max;
    bool any;        /* else there are none */
    bool fractional; /* some number is not whole */
};

struct bins {
    double width;
    int64_t first; /* the first edge, in widths */
    uint32_t count;
    const double *edges;      /* count + 1, ascending; the ends may be infinite */
    const struct str *labels; /* count */
};
#define BIN_NONE UINT32_MAX

/* `count` is at least 2. Without numbers there are no ranges. LIMIT when the arena is exhausted. */
enum status bins_new(struct arena *arena, const struct extent *extent, uint32_t count, struct error *error,
                     struct bins *ret_bins) MUST_USE;
/* The range of a number that is not NaN; BIN_NONE outside of all. */
uint32_t bins_find(const struct bins *bins, double number);
