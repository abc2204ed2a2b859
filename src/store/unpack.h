#pragma once
/*
 * Unpacking of full vectors of 1024 items from interleaved lanes (docs/formats/section.md, "Packed"), and what is cheap
 * to do right after it. `packed` is 128 bytes per bit of width and needs no alignment. The functions cannot fail: the
 * caller has checked the width and that the bytes are there.
 */
#include "base/cpu.h"

#include <stddef.h>
#include <stdint.h>

#define UNPACK_ITEMS 1024

/* The versions of unpack.c; use the functions below. */
struct unpack_table {
    void (*u16)(const unsigned char *packed, unsigned width, uint16_t *out);
    void (*u32)(const unsigned char *packed, unsigned width, uint32_t *out);
    uint16_t (*max16)(const uint16_t *values, uint32_t count);
    uint32_t (*max32)(const uint32_t *values, uint32_t count);
    void (*add16)(uint16_t *values, uint32_t count, uint16_t base);
    void (*add32)(uint32_t *values, uint32_t count, uint32_t base);
    void (*doubles16)(const uint16_t *offsets, uint32_t count, double base, double scale, double divisor, double *out);
    void (*doubles32)(const uint32_t *offsets, uint32_t count, double base, double scale, double divisor, double *out);
    /* Fills out[done..rows) with values[0] lengths[0] times, values[1] lengths[1] times, ... Returns the row behind the
     * last filled. At most UNPACK_ITEMS rows: out has as many, and what lies behind `rows` may be overwritten. */
    uint32_t (*spread)(const uint32_t *values, const uint32_t *lengths, uint32_t count, uint32_t rows, uint32_t done,
                       uint32_t *out);
    /* base + scale * offset, modulo 2^32. */
    void (*ints16)(const uint16_t *offsets, uint32_t count, uint32_t base, uint32_t scale, uint32_t *out);
    void (*ints32)(uint32_t *values, uint32_t count, uint32_t base, uint32_t scale);
    /* Whether a value lies outside [min, max]. */
    uint32_t (*outside32)(const uint32_t *values, uint32_t count, uint32_t min, uint32_t max);
};
CPU_DECLARE(const struct unpack_table, unpack_table);

/* width <= 16 */
static inline void unpack_u16(const void *packed, unsigned width, uint16_t out[UNPACK_ITEMS])
{
    CPU_SELECT(unpack_table)->u16(packed, width, out);
}
/* width <= 32 */
static inline void unpack_u32(const void *packed, unsigned width, uint32_t out[UNPACK_ITEMS])
{
    CPU_SELECT(unpack_table)->u32(packed, width, out);
}
