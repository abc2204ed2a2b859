#include "base/radix.h"

#define DIGITS 256

struct radix_item *radix_sort(struct radix_item *items, struct radix_item *spare, size_t count)
{
    uint64_t all = UINT64_MAX, any = 0;
    for (size_t i = 0; i < count; i++) {
        all &= items[i].key;
        any |= items[i].key;
    }
    uint64_t differ = count ? all ^ any : 0;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        size_t starts[DIGITS] = {0}, sum = 0;
        if (!(differ >> shift & (DIGITS - 1))) continue;
        for (size_t i = 0; i < count; i++) starts[items[i].key >> shift & (DIGITS - 1)]++;
        for (size_t d = 0; d < DIGITS; d++) {
            size_t number = starts[d];
            starts[d] = sum;
            sum += number;
        }
        for (size_t i = 0; i < count; i++) spare[starts[items[i].key >> shift & (DIGITS - 1)]++] = items[i];
        struct radix_item *swap = items;
        items = spare;
        spare = swap;
    }
    return items;
}

uint64_t *radix_sort_keys(uint64_t *keys, uint64_t *spare, size_t count)
{
    uint64_t all = UINT64_MAX, any = 0;
    for (size_t i = 0; i < count; i++) {
        all &= keys[i];
        any |= keys[i];
    }
    uint64_t differ = count ? all ^ any : 0;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        size_t starts[DIGITS] = {0}, sum = 0;
        if (!(differ >> shift & (DIGITS - 1))) continue;
        for (size_t i = 0; i < count; i++) starts[keys[i] >> shift & (DIGITS - 1)]++;
        for (size_t d = 0; d < DIGITS; d++) {
            size_t number = starts[d];
            starts[d] = sum;
            sum += number;
        }
        for (size_t i = 0; i < count; i++) spare[starts[keys[i] >> shift & (DIGITS - 1)]++] = keys[i];
        uint64_t *swap = keys;
        keys = spare;
        spare = swap;
    }
    return keys;
}
