#pragma once
/*
 * Repeating values for ranges of rows of a vector: the inner loops of reading columns that are written once per person.
 * `ret` has VECTOR_ROWS_MAX places, and those behind the last row may be overwritten with anything.
 */
#include "base/cpu.h"
#include "column/vector.h"

/* The versions of spread.c. */
struct spread_table {
    /* values[s] for the rows from ends[s - 1] (of the first: `from`) up to ends[s] */
    void (*codes)(const uint32_t *values, const uint32_t *ends, uint32_t count, uint32_t from, uint32_t *ret);
    void (*codes16)(const uint16_t *values, const uint32_t *ends, uint32_t count, uint32_t from, uint16_t *ret);
    void (*numbers)(const double *values, const uint32_t *ends, uint32_t count, uint32_t from, double *ret);
    /* values[r] for the rows [starts[r], ends[r]), at least one; the others stay */
    void (*put_codes)(const uint32_t *values, const uint16_t *starts, const uint16_t *ends, uint32_t count,
                      uint32_t *ret);
    void (*put_codes16)(const uint16_t *values, const uint16_t *starts, const uint16_t *ends, uint32_t count,
                        uint16_t *ret);
    void (*put_numbers)(const double *values, const uint16_t *starts, const uint16_t *ends, uint32_t count,
                        double *ret);
};
CPU_DECLARE(const struct spread_table, spread_table);
