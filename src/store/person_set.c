#include "store/person_set.h"

#define COOKIE_NO_RUNS 12346u
#define ARRAY_MAX      4096u

enum status person_set_write(roaring_bitmap_t *persons, struct buf *out)
{
    (void)roaring_bitmap_remove_run_compression(persons);
    size_t size = roaring_bitmap_portable_size_in_bytes(persons);
    char *to = buf_reserve(out, size);
    if (!to) return STATUS_LIMIT;
    roaring_bitmap_portable_serialize(persons, to);
    buf_advance(out, size);
    return buf_status(out);
}

static uint32_t u16_at(struct str bytes, size_t at)
{
    return (unsigned char)bytes.data[at] | (uint32_t)(unsigned char)bytes.data[at + 1] << 8;
}

static uint32_t u32_at(struct str bytes, size_t at)
{
    return u16_at(bytes, at) | u16_at(bytes, at + 2) << 16;
}

/* cookie, u32 n, n × (u16 high half, u16 count - 1), n × u32 offset, containers: sorted u16 up to 4096 of them, else a
 * bitmap of 8 KiB. */
bool person_set_has(struct str bytes, uint32_t person)
{
    if (bytes.size < 8 || u32_at(bytes, 0) != COOKIE_NO_RUNS) return true;
    uint32_t n = u32_at(bytes, 4), key = person >> 16, low = 0, high = n;
    if (n > 65536 || bytes.size < 8 + (size_t)n * 8) return true;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (u16_at(bytes, 8 + (size_t)middle * 4) < key)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == n || u16_at(bytes, 8 + (size_t)low * 4) != key) return false;
    uint32_t count = u16_at(bytes, 8 + (size_t)low * 4 + 2) + 1;
    size_t at = u32_at(bytes, 8 + (size_t)n * 4 + (size_t)low * 4);
    size_t size = count > ARRAY_MAX ? 8192 : (size_t)count * 2;
    if (at > bytes.size || size > bytes.size - at) return true;
    uint32_t item = person & 65535;
    if (count > ARRAY_MAX) return (unsigned char)bytes.data[at + item / 8] >> (item % 8) & 1;
    uint32_t from = 0, to = count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (u16_at(bytes, at + (size_t)middle * 2) < item)
            from = middle + 1;
        else
            to = middle;
    }
    return from < count && u16_at(bytes, at + (size_t)from * 2) == item;
}
