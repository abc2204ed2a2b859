#include "query/native/kernels.h"

#include "column/vector.h"

static void cells_of_minutes(const uint32_t *restrict minutes, uint32_t count, uint32_t first,
                             const uint16_t *restrict table, uint16_t none, uint16_t *restrict cells)
{
    for (uint32_t i = 0; i < count; i++) cells[i] = table[minutes[i] - first];
    for (uint32_t i = 0; i < count; i++) cells[i] = cells[i] < none ? cells[i] : none;
}

static void count_changes(const uint16_t *restrict cells, const uint8_t *restrict starts, uint32_t count, uint16_t last,
                          uint32_t *restrict tables, uint32_t stride)
{
    uint8_t change[VECTOR_ROWS_MAX];
    if (count == 0) return;
    change[0] = starts[0] | (cells[0] != last);
    for (uint32_t i = 1; i < count; i++) change[i] = starts[i] | (cells[i] != cells[i - 1]);
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        tables[cells[i]] += change[i];
        tables[stride + cells[i + 1]] += change[i + 1];
        tables[2 * stride + cells[i + 2]] += change[i + 2];
        tables[3 * stride + cells[i + 3]] += change[i + 3];
    }
    for (; i < count; i++) tables[cells[i]] += change[i];
}

extern const struct kernels CPU_NAME(kernels);
const struct kernels CPU_NAME(kernels) = {cells_of_minutes, count_changes};
