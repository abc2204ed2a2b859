#include "store/statistics.h"

#include "base/civil.h"
#include "store/store.h"

#include <stdlib.h>

#define QUARTER_MS   900000
#define DAY_QUARTERS 96

static int u32_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

struct writer {
    struct buf *out;
    uint32_t last;
    bool any;
};

static void put(struct writer *w, uint32_t quarter, uint32_t rows)
{
    if (!w->any) buf_u32(w->out, quarter);
    buf_varint(w->out, w->any ? quarter - w->last : 0);
    buf_varint(w->out, rows);
    w->last = quarter;
    w->any = true;
}

enum status statistics_write(const int64_t *times_ms, uint32_t count, int64_t window_ms, struct arena *scratch,
                             struct buf *out)
{
    struct writer w = {.out = out};
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (uint32_t i = 0; i < count; i++) {
        if (times_ms[i] < low) low = times_ms[i];
        if (times_ms[i] > high) high = times_ms[i];
    }
    if (count == 0) return STATUS_OK;
    uint32_t first = (uint32_t)((low - window_ms) / QUARTER_MS), last = (uint32_t)((high - window_ms) / QUARTER_MS);
    uint32_t span = last - first + 1;
    if (span > (uint64_t)count * 4 + 64) { /* few rows far apart */
        uint32_t *quarters = arena_alloc(scratch, count * sizeof *quarters);
        if (!quarters) return STATUS_LIMIT;
        for (uint32_t i = 0; i < count; i++) quarters[i] = (uint32_t)((times_ms[i] - window_ms) / QUARTER_MS);
        qsort(quarters, count, sizeof *quarters, u32_cmp);
        for (uint32_t i = 0, from = 0; i <= count; i++) {
            if (i < count && quarters[i] == quarters[from]) continue;
            put(&w, quarters[from], i - from);
            from = i;
        }
    } else {
        uint32_t *rows = arena_new_array(scratch, uint32_t, span);
        if (!rows) return STATUS_LIMIT;
        int64_t base = window_ms + (int64_t)first * QUARTER_MS;
        for (uint32_t i = 0; i < count; i++) rows[(times_ms[i] - base) / QUARTER_MS]++;
        for (uint32_t q = 0; q < span; q++) {
            if (rows[q]) put(&w, first + q, rows[q]);
        }
    }
    return buf_status(out);
}

/* Pairs of the common forms, a byte and a byte or two, but for the last few: ends at one that is not. */
static void read_common(struct reader *r, uint64_t *quarter, uint64_t *left, struct scan_quarter *quarters,
                        size_t *count, bool *failed)
{
    const unsigned char *at = r->at;
    struct scan_quarter *to = quarters + *count;
    bool zeros = false;
    while (r->end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        if (!(word & 0x8080808080808080u)) {
            for (int i = 0; i < 4; i++, word >>= 16) {
                uint32_t delta = word & 0x7F, here = word >> 8 & 0x7F;
                zeros |= delta == 0 || here == 0;
                *quarter += delta;
                *left -= here;
                *to++ = (struct scan_quarter){(uint32_t)*quarter, here};
            }
            at += 8;
            continue;
        }
        uint32_t delta = word & 0x7F, here = word >> 8 & 0x7F;
        bool two = word & 0x8000;
        if ((word & 0x80) || (two && (word & 0x800000))) break;
        if (two) here |= (uint32_t)(word >> 16 & 0x7F) << 7;
        zeros |= delta == 0 || here == 0;
        *quarter += delta;
        *left -= here;
        *to++ = (struct scan_quarter){(uint32_t)*quarter, here};
        if (two)
            at += 3;
        else
            at += 2;
    }
    *count = (size_t)(to - quarters);
    r->at = at;
    *failed = zeros;
}

enum status statistics_read(struct str bytes, uint32_t window_log2, uint32_t rows, struct arena *arena,
                            struct scan_quarter **ret_quarters, size_t *ret_count)
{
    struct reader r = reader_of(bytes);
    uint64_t quarter = read_u32(&r), left = rows;
    size_t count = 0, capacity = reader_left(&r) / 2; /* a pair has two bytes or more */
    struct scan_quarter *quarters = arena_alloc(arena, (capacity ? capacity : 1) * sizeof *quarters);
    if (!quarters) return STATUS_LIMIT;
    while (reader_left(&r)) {
        uint64_t delta = read_varint(&r), here = read_varint(&r);
        if (r.failed || (count == 0) != (delta == 0) || delta > DAY_QUARTERS << SECTION_LOG2_MAX || here == 0 ||
            here > left)
            return STATUS_CORRUPT;
        quarter += delta;
        if (quarter >= (uint64_t)DAY_QUARTERS << window_log2) return STATUS_CORRUPT;
        left -= here;
        quarters[count++] = (struct scan_quarter){(uint32_t)quarter, (uint32_t)here};
        bool zeros;
        read_common(&r, &quarter, &left, quarters, &count, &zeros);
        /* quarters only grow, and more rows than there are leave less than none */
        if (zeros || quarter >= (uint64_t)DAY_QUARTERS << window_log2 || left > rows) return STATUS_CORRUPT;
    }
    if (r.failed || left) return STATUS_CORRUPT;
    *ret_quarters = quarters;
    *ret_count = count;
    return STATUS_OK;
}
