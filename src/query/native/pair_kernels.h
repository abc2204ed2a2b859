#pragma once
/*
 * Inner loops over pairs of a cell and a person, for one vector of rows (mask_kernels.h says what cells and masks are).
 * Compiled once per CPU level (base/cpu.h). `count` is at most VECTOR_ROWS_MAX.
 */
#include "query/native/mask_kernels.h"

#define EXPAND_PAD 16 /* entries that may be read behind the last person, or written behind the last row */

/* What is kept for a cell while the rows of a run come by: its last person, how many there were, and rows. */
#define PAIR_PERSON(pair) ((uint32_t)((pair) >> 32))
#define PAIR_USERS(pair)  ((uint32_t)(pair) >> 16)
#define PAIR_ROWS(pair)   ((uint32_t)(pair)&UINT16_MAX)
#define PAIR_ROWS_MAX     UINT16_MAX

/* Bits of (row, person): block after block of 512 persons, in each one row after the other, so that the bits of persons
 * who are near each other are near each other, whatever their rows. */
#define PAIR_BLOCK       512
#define PAIR_BLOCK_WORDS (PAIR_BLOCK / 64)
static inline size_t pair_word(uint32_t rows, uint32_t row, uint32_t place)
{
    return ((size_t)(place / PAIR_BLOCK) * rows + row) * PAIR_BLOCK_WORDS + place / 64 % PAIR_BLOCK_WORDS;
}

struct pair_kernels {
    /* out[i] = persons[s] for rows i of segment s, [ends[s - 1], ends[s]). */
    void (*expand)(const uint32_t *persons, const uint32_t *ends, uint32_t count, uint32_t *out);
    /* Adds rows to the pairs of their cells; the persons of a cell come together. */
    void (*pairs)(const uint16_t *cells, const uint32_t *persons, uint32_t count, uint64_t *pairs);
    /* The same of kept rows, for masks with few of them. */
    void (*pairs_kept)(const uint16_t *cells, const uint32_t *persons, const uint64_t *mask, uint64_t *pairs);
    /* Lets go of the rows of which cell and person are those of the row before. One entry behind the last is read. */
    void (*changes)(const uint16_t *cells, const uint32_t *persons, uint64_t *mask);
    /* Sets the bits of (cell, person - base), of `rows` rows. */
    void (*mark)(const uint16_t *cells, const uint32_t *persons, uint32_t count, uint32_t base, uint32_t rows,
                 uint64_t *bits);
    void (*mark_kept)(const uint16_t *cells, const uint32_t *persons, const uint64_t *mask, uint32_t base,
                      uint32_t rows, uint64_t *bits);
    /* Adds to each row's count how many bits it has, and clears them. */
    void (*take)(uint64_t *bits, uint32_t blocks, uint32_t rows, uint64_t *counts);
};
CPU_DECLARE(const struct pair_kernels, pair_kernels);
