#pragma once
/* Inner loops of counting, compiled once per CPU level (base/cpu.h). At most VECTOR_ROWS_MAX rows a call. */
#include "base/cpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANGE_TABLES 4 /* neighbouring rows count into different tables, so that none waits for another's store */

/* Bits of people by time. Time is cut into places of 2^shift minutes that lie in one bucket each. */
struct mark_times {
    uint64_t *bits;
    const uint32_t *rows; /* place -> the first word of its bucket's bits */
    uint32_t shift, first_place, place_count;
    uint32_t base, person_count; /* the persons that have bits: [base, base + person_count) */
};

struct kernels {
    /* Counts in tables[i % CHANGE_TABLES * stride + cell] the rows that begin a person or have another cell than the
     * row before; `last` is the cell of the row before the first. */
    void (*count_changes)(const uint16_t *cells, const uint8_t *starts, uint32_t count, uint16_t last, uint32_t *tables,
                          uint32_t stride);
    /* Sets the bit of each row's person in its time's bucket. False, and nothing set, when a row lies outside. */
    bool (*mark_times)(const struct mark_times *to, const uint32_t *minutes, const uint32_t *persons, uint32_t count);
    /* Sets the bits of persons in [base, base + person_count). False, and nothing set, when one lies outside. */
    bool (*mark_persons)(uint64_t *bits, const uint32_t *persons, uint32_t count, uint32_t base, uint32_t person_count);
    uint64_t (*count_bits)(const uint64_t *words, size_t count);
    /* Whether the bit of an item is set, or one is `bits` or above. */
    bool (*any_bit)(const uint64_t *words, uint32_t bits, const uint32_t *items, uint32_t count);
};
CPU_DECLARE(const struct kernels, kernels);
