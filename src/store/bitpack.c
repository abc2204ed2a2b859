#include "store/bitpack.h"

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
