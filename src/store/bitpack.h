#pragma once
/* Fixed-width bit packing, low bits first in little-endian 64-bit words (docs/formats/section.md, "Packed"). */
#include "base/buf.h"

static inline size_t bitpack_bytes(size_t count, unsigned width)
{
    return (count * width + 63) / 64 * 8;
}
/* Bits needed for the largest value; 0 for 0. */
static inline unsigned bitpack_width(uint64_t max)
{
    return max ? 64 - (unsigned)__builtin_clzll(max) : 0;
}
void bitpack_write(struct buf *buf, const uint64_t *values, size_t count, unsigned width);
/* `packed` must hold bitpack_bytes(count, width) bytes; width <= 64. */
void bitpack_read(const unsigned char *packed, size_t count, unsigned width, uint64_t *values);
static inline uint64_t bitpack_get(const unsigned char *packed, size_t index, unsigned width)
{
    if (width == 0) return 0;
    size_t bit = index * width;
    unsigned shift = (unsigned)(bit & 63);
    uint64_t low, high = 0;
    memcpy(&low, packed + bit / 64 * 8, 8);
    if (shift + width > 64) memcpy(&high, packed + bit / 64 * 8 + 8, 8);
    uint64_t value = low >> shift | (shift ? high << (64 - shift) : 0);
    return width == 64 ? value : value & (((uint64_t)1 << width) - 1);
}
