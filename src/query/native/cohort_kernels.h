#pragma once
/* Inner loops of retention and frequency, compiled once per CPU level (base/cpu.h). At most VECTOR_ROWS_MAX rows a
 * call. */
#include "base/cpu.h"

#include <stddef.h>
#include <stdint.h>

#define MARK_LANES  16
#define LEAST_WORDS 8 /* that are counted at a time: a line of the cache */

/* A row whose interval its minute does not tell. */
struct late_row {
    uint32_t run, row;
    uint32_t place; /* of the person in the range */
    uint32_t interval;
};

/* How minutes become intervals. */
struct interval_minutes {
    uint32_t interval, span; /* minutes of an interval; of all, and the minute behind, which may still be the last */
    uint64_t inverse;        /* 2^INVERSE_SHIFT / interval, rounded up; 0: it would not be exact */
    uint32_t offset;         /* from the minutes of rows to those of births */
};
#define INVERSE_SHIFT 44 /* exact where minutes · interval < 2^INVERSE_SHIFT */

struct cohort_kernels {
    /* The rows whose minute is 0 to span after the birth of their person: which they are in rows[], how many minutes in
     * since[]. Both have room for VECTOR_ROWS_MAX. Places are persons - low; births[] is by place. */
    uint32_t (*find_returns)(const struct interval_minutes *m, const uint32_t *minutes, const uint32_t *persons,
                             uint32_t count, uint32_t low, const uint32_t *births, uint16_t *rows, uint32_t *since);
    /* Sets the bits of their intervals; `words` words a place. Rows in the first minute of an interval become late rows
     * instead, of which there may be `count`; returns how many. Row i of the vector is row first + i of the run. */
    uint32_t (*mark_returns)(const struct interval_minutes *m, const uint16_t *rows, const uint32_t *since,
                             uint32_t count, const uint32_t *persons, uint32_t low, uint32_t words, uint64_t *marks,
                             uint32_t run, uint32_t first, struct late_row *late);
    /* Adds 1 to counts[buckets[i] * stride + k] for each bit k of marks[i], and for those of `also`, every time.
     * `stride` is a multiple of MARK_LANES, at most 64; bits behind are 0. */
    void (*count_marks)(const uint64_t *marks, uint64_t also, const uint32_t *buckets, uint64_t count, uint32_t stride,
                        uint32_t *counts);
    /* Of LEAST_WORDS · 64 persons, who have a bit in each of `units` rows of words, `stride` words apart: adds to
     * counts[i] how many have at least i + 1 bits, and clears them. least[] has room for units · LEAST_WORDS. */
    void (*count_least)(uint64_t *bits, size_t stride, uint32_t units, uint64_t *least, uint64_t *counts);
};
CPU_DECLARE(const struct cohort_kernels, cohort_kernels);
