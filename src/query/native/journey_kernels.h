#pragma once
/* Inner loops of journeys, compiled once per CPU level (base/cpu.h). At most VECTOR_ROWS_MAX rows a call. */
#include "base/cpu.h"

#include <stdbool.h>
#include <stdint.h>

struct journey_times {
    uint64_t add;       /* from the beginning of the section's window to the base: modulo 2^64 */
    uint64_t low, span; /* every time lies in [low, low + span], from the base */
    unsigned shift;     /* keys are time << shift | mask */
    uint64_t mask;
};

struct journey_kernels {
    /* Keys from minutes and milliseconds. False when a time lies outside. */
    bool (*keys)(const struct journey_times *times, const uint32_t *minutes, const uint32_t *milliseconds,
                 uint32_t count, uint64_t *keys);
};
CPU_DECLARE(const struct journey_kernels, journey_kernels);
