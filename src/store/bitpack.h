#pragma once
/*
 * Fixed-width bit packing (docs/formats/section.md, "Packed"). Two forms of the same size:
 *   plain   item i is bits [i·width, (i+1)·width) of a string of little-endian 64-bit words: any count, any width;
 *   lanes   full vectors of 1024 items up to 32 bits wide: interleaved (unpack.c), so that unpacking is vector code.
 * "Packed vector" below means: lanes for 1024 items of width <= 32, plain for everything else. Widths are 0..64; the
 * caller has checked that the bytes are there. Nothing depends on alignment.
 */
#include "base/buf.h"
#include "store/unpack.h"

static inline size_t bitpack_bytes(size_t count, unsigned width)
{
    return (count * width + 63) / 64 * 8;
}
/* Bits needed for the largest value; 0 for 0. */
static inline unsigned bitpack_width(uint64_t max)
{
    return max ? 64 - (unsigned)__builtin_clzll(max) : 0;
}

/* The plain form. */
void bitpack_write(struct buf *buf, const uint64_t *values, size_t count, unsigned width);
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

/* Packed vectors of up to 1024 items. */
void bitpack_write_vector(struct buf *buf, const uint64_t *values, uint32_t count, unsigned width);
void bitpack_read16(const unsigned char *packed, uint32_t count, unsigned width, uint16_t *values); /* width <= 16 */
void bitpack_read32(const unsigned char *packed, uint32_t count, unsigned width, uint32_t *values); /* width <= 32 */
void bitpack_read64(const unsigned char *packed, uint32_t count, unsigned width, uint64_t *values);
/* One item of lanes of words of `size` bits, a constant. */
static inline uint32_t bitpack_get_lane_of(const unsigned char *packed, uint32_t index, unsigned width, uint32_t size)
{
    uint32_t lanes = UNPACK_ITEMS / size, bit = index / lanes * width, shift = bit % size;
    if (width == 0) return 0;
    const unsigned char *word = packed + ((size_t)bit / size * lanes + index % lanes) * (size / 8);
    uint64_t low = 0, high = 0;
    memcpy(&low, word, size / 8);
    if (shift + width > size) memcpy(&high, word + lanes * (size / 8), size / 8);
    return (uint32_t)((low | high << size) >> shift & (((uint64_t)1 << width) - 1));
}
/* One item of the lane form; width <= 32. */
static inline uint32_t bitpack_get_lane(const unsigned char *packed, uint32_t index, unsigned width)
{
    return width <= 16 ? bitpack_get_lane_of(packed, index, width, 16) : bitpack_get_lane_of(packed, index, width, 32);
}
/* One item of a packed vector of `count` items. */
static inline uint64_t bitpack_get_vector(const unsigned char *packed, uint32_t count, uint32_t index, unsigned width)
{
    return count == UNPACK_ITEMS && width <= 32 ? bitpack_get_lane(packed, index, width)
                                                : bitpack_get(packed, index, width);
}
