#pragma once
/* Sorting by 64-bit keys, stably, in time linear in the number of items: eight counting passes at most, and only over
 * the bytes in which keys differ. */
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct radix_item {
    uint64_t key;
    uint32_t value;
};
/* `spare` has room for `count` items; the sorted ones are in the returned array, one of the two. */
struct radix_item *radix_sort(struct radix_item *items, struct radix_item *spare, size_t count);
