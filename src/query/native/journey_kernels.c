#include "query/native/journey_kernels.h"

static bool keys(const struct journey_times *times, const uint32_t *restrict minutes,
                 const uint32_t *restrict milliseconds, uint32_t count, uint64_t *restrict to)
{
    const uint64_t add = times->add, low = times->low, span = times->span, mask = times->mask;
    const unsigned shift = times->shift;
    uint64_t outside = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t time = (uint64_t)minutes[i] * 60000u + milliseconds[i] + add;
        outside |= time - low > span;
        to[i] = time << shift | mask;
    }
    return !outside;
}

const struct journey_kernels CPU_NAME(journey_kernels) = {.keys = keys};
