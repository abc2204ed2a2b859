#pragma once
/* Inner loops of counting, compiled once per CPU level (base/cpu.h). At most VECTOR_ROWS_MAX rows a call. */
#include "base/cpu.h"

#include <stdint.h>

#define CHANGE_TABLES 4 /* neighbouring rows count into different tables, so that none waits for another's store */

struct kernels {
    /* cells[i] = the smaller of table[minutes[i] - first] and `none`. */
    void (*cells_of_minutes)(const uint32_t *minutes, uint32_t count, uint32_t first, const uint16_t *table,
                             uint16_t none, uint16_t *cells);
    /* Counts in tables[i % CHANGE_TABLES * stride + cell] the rows that begin a person or have another cell than the
     * row before; `last` is the cell of the row before the first. */
    void (*count_changes)(const uint16_t *cells, const uint8_t *starts, uint32_t count, uint16_t last, uint32_t *tables,
                          uint32_t stride);
};
CPU_DECLARE(const struct kernels, kernels);
