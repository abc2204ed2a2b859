#pragma once
/*
 * Inner loops over one vector of rows in 16 bits: which rows count, as a mask with a bit for each row (bit i % 64 of
 * word i / 64), and the cells that they count in. Compiled once per CPU level (base/cpu.h).
 *
 * `count` is at most VECTOR_ROWS_MAX. Arrays have VECTOR_ROWS_MAX entries, whatever the count is, and those behind it
 * may be written. Masks have MASK_WORDS words; bits behind the count are never set by what clears bits.
 */
#include "base/cpu.h"
#include "column/vector.h"

#define MASK_WORDS   (VECTOR_ROWS_MAX / 64)
#define LOOKUP_PAD   64 /* entries that may be read behind a table's last one */
#define COUNT_TABLES 4  /* neighbouring rows count in different tables, so that none waits for another's store */

struct mask_kernels {
    /* Keep the rows whose number lies in [low, low + span]. */
    void (*between16)(const uint16_t *numbers, uint32_t count, uint16_t low, uint16_t span, uint64_t *mask);
    void (*between32)(const uint32_t *numbers, uint32_t count, uint32_t low, uint32_t span, uint64_t *mask);
    /* Keep the rows whose code (below code_count) has a 1. */
    void (*keep_codes)(const uint16_t *codes, uint32_t count, const uint8_t *keep, uint64_t *mask);
    /* Keep the rows that have a 1; and the other way round. */
    void (*keep_rows)(const uint8_t *keep, uint32_t count, uint64_t *mask);
    void (*to_rows)(const uint64_t *mask, uint8_t *keep);
    /* units[i] = (offsets[i] * scale + add) / unit, where inverse = 1.0f / unit; sums are below 2^22. */
    void (*units16)(const uint16_t *offsets, uint32_t count, uint32_t scale, uint32_t add, float inverse,
                    uint16_t *units);
    void (*units32)(const uint32_t *offsets, uint32_t count, uint32_t scale, uint32_t add, float inverse,
                    uint16_t *units);
    /* out[i] = table[index[i]]. Indexes are below table_count, and behind the table there are LOOKUP_PAD more. */
    void (*lookup)(const uint16_t *index, uint32_t count, const uint16_t *table, uint32_t table_count, uint16_t *out);
    /* Keep the rows whose number is below `limit`. */
    void (*below)(const uint16_t *numbers, uint32_t count, uint16_t limit, uint64_t *mask);
    /* out[i] = a[i] + b[i], at most `none`; the sum fits. */
    void (*add)(const uint16_t *a, const uint16_t *b, uint32_t count, uint16_t none, uint16_t *out);
    /* `none` for all rows that are not kept. */
    void (*hide)(const uint64_t *mask, uint32_t count, uint16_t none, uint16_t *cells);
    /* Counts row i in tables[i % COUNT_TABLES * stride + cells[i]]. */
    void (*count)(const uint16_t *cells, uint32_t count, uint16_t *tables, uint32_t stride);
    /* The same of kept rows, for masks with few of them. */
    void (*count_kept)(const uint16_t *cells, const uint64_t *mask, uint16_t *tables, uint32_t stride);
};
CPU_DECLARE(const struct mask_kernels, mask_kernels);
