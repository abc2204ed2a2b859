#include "store/bitpack.h"

#define BIT_BYTES  (UNPACK_ITEMS / 8) /* of a full vector, for each bit of width */
#define LINE_BYTES 64

void bitpack_write(struct buf *buf, const uint64_t *values, size_t count, unsigned width)
{
    size_t size = bitpack_bytes(count, width);
    if (size == 0) return;
    char *to = buf_reserve(buf, size);
    if (!to) return;
    uint64_t word = 0;
    unsigned used = 0;
    for (size_t i = 0; i < count; i++) {
        word |= values[i] << used;
        if (used + width >= 64) {
            memcpy(to, &word, 8);
            to += 8;
            unsigned taken = 64 - used;
            word = taken < width ? values[i] >> taken : 0;
            used = width - taken;
        } else {
            used += width;
        }
    }
    if (used) memcpy(to, &word, 8);
    buf_advance(buf, size);
}

void bitpack_read(const unsigned char *packed, size_t count, unsigned width, uint64_t *values)
{
    if (width == 0) {
        memset(values, 0, count * sizeof *values);
        return;
    }
    uint64_t mask = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
    uint64_t word;
    memcpy(&word, packed, 8);
    unsigned used = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t value = word >> used;
        if (used + width > 64) {
            packed += 8;
            memcpy(&word, packed, 8);
            value |= word << (64 - used);
            used = used + width - 64;
        } else if ((used += width) == 64 && i + 1 < count) {
            packed += 8;
            memcpy(&word, packed, 8);
            used = 0;
        }
        values[i] = value & mask;
    }
}

/* --- vectors --- */

static bool has_lanes(uint32_t count, unsigned width)
{
    return count == UNPACK_ITEMS && width <= 32;
}

/* One row of 64 (or 32) items after the other is shifted into its place: see unpack.c for the form. */
static void pack16(const uint64_t *values, unsigned width, char *to)
{
    uint16_t words[16 * 64] = {0};
    for (unsigned row = 0; row < 16; row++, values += 64) {
        unsigned shift = row * width % 16;
        uint16_t *word = words + row * width / 16 * 64;
        for (unsigned l = 0; l < 64; l++) word[l] = (uint16_t)(word[l] | values[l] << shift);
        if (shift + width <= 16) continue;
        for (unsigned l = 0; l < 64; l++) word[l + 64] = (uint16_t)(values[l] >> (16 - shift));
    }
    memcpy(to, words, (size_t)width * 128);
}

static void pack32(const uint64_t *values, unsigned width, char *to)
{
    uint32_t words[32 * 32] = {0};
    for (unsigned row = 0; row < 32; row++, values += 32) {
        unsigned shift = row * width % 32;
        uint32_t *word = words + row * width / 32 * 32;
        for (unsigned l = 0; l < 32; l++) word[l] |= (uint32_t)(values[l] << shift);
        if (shift + width <= 32) continue;
        for (unsigned l = 0; l < 32; l++) word[l + 32] = (uint32_t)(values[l] >> (32 - shift));
    }
    memcpy(to, words, (size_t)width * 128);
}

void bitpack_write_vector(struct buf *buf, const uint64_t *values, uint32_t count, unsigned width)
{
    if (!has_lanes(count, width)) {
        bitpack_write(buf, values, count, width);
        return;
    }
    size_t size = bitpack_bytes(count, width);
    char *to = size ? buf_reserve(buf, size) : NULL;
    if (!to) return;
    if (width <= 16)
        pack16(values, width, to);
    else
        pack32(values, width, to);
    buf_advance(buf, size);
}

/* Columns are read vector after vector, and the next one lies behind this one: its bytes are fetched while others are
 * worked on. Large columns come from memory, not from a cache, and would be waited for. Where there is no next vector,
 * nothing is lost: a fetch cannot fail. */
static void expect_next(const unsigned char *packed, unsigned width)
{
    uintptr_t next = (uintptr_t)packed + (uintptr_t)BIT_BYTES * width;
    for (unsigned at = 0; at < BIT_BYTES * width; at += LINE_BYTES) __builtin_prefetch((const void *)(next + at));
}

void bitpack_read16(const unsigned char *packed, uint32_t count, unsigned width, uint16_t *values)
{
    if (has_lanes(count, width)) {
        expect_next(packed, width);
        unpack_u16(packed, width, values);
        return;
    }
    for (uint32_t i = 0; i < count; i++) values[i] = (uint16_t)bitpack_get(packed, i, width);
}

void bitpack_read32(const unsigned char *packed, uint32_t count, unsigned width, uint32_t *values)
{
    if (has_lanes(count, width)) {
        expect_next(packed, width);
        unpack_u32(packed, width, values);
        return;
    }
    for (uint32_t i = 0; i < count; i++) values[i] = (uint32_t)bitpack_get(packed, i, width);
}

void bitpack_read64(const unsigned char *packed, uint32_t count, unsigned width, uint64_t *values)
{
    if (!has_lanes(count, width)) {
        if (count) bitpack_read(packed, count, width, values);
        return;
    }
    uint32_t narrow[UNPACK_ITEMS];
    unpack_u32(packed, width, narrow);
    for (uint32_t i = 0; i < UNPACK_ITEMS; i++) values[i] = narrow[i];
}
