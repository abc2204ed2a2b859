#pragma once
/* Sorting by 64-bit keys, stably, in time linear in the number of items: eight counting passes at most, and only over
 * the bytes in which keys differ. */
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct radix_item {
    uint64_t key;
    uint32_t value;
};
/* `spare` has room for `count` items; the sorted ones are in the returned array, one of the two. */
struct radix_item *radix_sort(struct radix_item *items, struct radix_item *spare, size_t count);
/* The same for keys alone. */
uint64_t *radix_sort_keys(uint64_t *keys, uint64_t *spare, size_t count);

/* Doubles (no NaN) as keys of the same order, and back. -0 comes before 0. */
static inline uint64_t radix_key_of_double(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, 8);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}
static inline double radix_double_of_key(uint64_t key)
{
    uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
    double number;
    memcpy(&number, &bits, 8);
    return number;
}
