#pragma once
/* Inner loops over the numbers of one vector, compiled once per CPU level (base/cpu.h). At most VECTOR_ROWS_MAX rows a
 * call. What they are for is told in decimals.h. */
#include "base/cpu.h"

#include <stdint.h>

/* A number n / power as a double, taken apart: the double times `power` is exactly whole - rest. */
struct number_parts {
    double whole, rest;
} __attribute__((aligned(16)));

struct number_tally {
    struct number_parts sums;
    uint64_t count, unused; /* 32 bytes: a place is a shift away */
};
#define TALLIES 4 /* neighbouring rows go to different ones, so that none waits for another's store */

struct number_kernels {
    /* Takes base + scale * offsets[i] apart, which is below 2^53. */
    void (*take_apart)(const uint32_t *offsets, uint32_t count, double base, double scale, double power,
                       struct number_parts *parts);
    /* Adds parts[i] to tallies[i % TALLIES * stride + cells[i]]. */
    void (*add_parts)(const struct number_parts *parts, const uint32_t *cells, uint32_t count,
                      struct number_tally *tallies, uint32_t stride);
    /* codes[i] = cells[i] << shift | base + scale * offsets[i] */
    void (*codes)(const uint32_t *cells, const uint32_t *offsets, uint32_t count, unsigned shift, uint32_t base,
                  uint32_t scale, uint32_t *codes);
    uint32_t (*max)(const uint32_t *values, uint32_t count);
    /* codes[i] = first + how many of from[] are at or below offsets[i] */
    void (*steps16)(const uint16_t *offsets, uint32_t count, const uint16_t *from, uint32_t steps, uint16_t first,
                    uint16_t *codes);
    void (*steps32)(const uint32_t *offsets, uint32_t count, const uint32_t *from, uint32_t steps, uint16_t first,
                    uint16_t *codes);
};
CPU_DECLARE(const struct number_kernels, number_kernels);
