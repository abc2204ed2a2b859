#include "query/native/mask_kernels.h"

#include <string.h>

#ifdef __AVX512BW__
#include <immintrin.h>
#endif

/* Word w of a mask gets the truth of `test` for its rows. The last word's bits behind the count stay 0. */
#define TEST_WORDS(test)                                                                                               \
    for (uint32_t w = 0; w * 64 < count; w++) {                                                                        \
        uint32_t first = w * 64, end = count - first < 64 ? count - first : 64;                                        \
        uint64_t bits = 0;                                                                                             \
        if (!mask[w]) continue;                                                                                        \
        for (uint32_t j = 0; j < end; j++) {                                                                           \
            uint32_t i = first + j;                                                                                    \
            bits |= (uint64_t)(test) << j;                                                                             \
        }                                                                                                              \
        mask[w] &= bits;                                                                                               \
    }

#ifdef __AVX512BW__

/* 64 rows at a time; of the last ones, what lies behind the count is cut off by the mask, which has no bits there. */
static void between16(const uint16_t *numbers, uint32_t count, uint16_t low, uint16_t span, uint64_t *mask)
{
    __m512i from = _mm512_set1_epi16((short)low), most = _mm512_set1_epi16((short)span);
    for (uint32_t w = 0; w * 64 < count; w++) {
        __m512i a = _mm512_sub_epi16(_mm512_loadu_si512(numbers + w * 64), from);
        __m512i b = _mm512_sub_epi16(_mm512_loadu_si512(numbers + w * 64 + 32), from);
        mask[w] &= (uint64_t)_mm512_cmple_epu16_mask(a, most) | (uint64_t)_mm512_cmple_epu16_mask(b, most) << 32;
    }
}

static void between32(const uint32_t *numbers, uint32_t count, uint32_t low, uint32_t span, uint64_t *mask)
{
    __m512i from = _mm512_set1_epi32((int)low), most = _mm512_set1_epi32((int)span);
    for (uint32_t w = 0; w * 64 < count; w++) {
        uint64_t bits = 0;
        for (uint32_t part = 0; part < 4; part++) {
            __m512i a = _mm512_sub_epi32(_mm512_loadu_si512(numbers + w * 64 + part * 16), from);
            bits |= (uint64_t)_mm512_cmple_epu32_mask(a, most) << (part * 16);
        }
        mask[w] &= bits;
    }
}

static void keep_rows(const uint8_t *keep, uint32_t count, uint64_t *mask)
{
    for (uint32_t w = 0; w * 64 < count; w++) {
        __m512i a = _mm512_loadu_si512(keep + w * 64);
        mask[w] &= _mm512_test_epi8_mask(a, a);
    }
}

static void to_rows(const uint64_t *mask, uint8_t *keep)
{
    for (uint32_t w = 0; w < MASK_WORDS; w++) _mm512_storeu_si512(keep + w * 64, _mm512_maskz_set1_epi8(mask[w], 1));
}

static void below(const uint16_t *numbers, uint32_t count, uint16_t limit, uint64_t *mask)
{
    __m512i end = _mm512_set1_epi16((short)limit);
    for (uint32_t w = 0; w * 64 < count; w++) {
        uint64_t low = _mm512_cmplt_epu16_mask(_mm512_loadu_si512(numbers + w * 64), end);
        uint64_t high = _mm512_cmplt_epu16_mask(_mm512_loadu_si512(numbers + w * 64 + 32), end);
        mask[w] &= low | high << 32;
    }
}

static void hide(const uint64_t *mask, uint32_t count, uint16_t none, uint16_t *cells)
{
    __m512i other = _mm512_set1_epi16((short)none);
    for (uint32_t w = 0; w * 64 < count; w++) {
        _mm512_mask_storeu_epi16(cells + w * 64, (__mmask32)~mask[w], other);
        _mm512_mask_storeu_epi16(cells + w * 64 + 32, (__mmask32)(~mask[w] >> 32), other);
    }
}

/* Tables of up to 256 entries lie in eight registers; each pair of them answers for 64 entries. */
#define REGISTER_ENTRIES 256
static void lookup_registers(const uint16_t *index, uint32_t count, const uint16_t *table, uint32_t table_count,
                             uint16_t *out)
{
    uint32_t pairs = (table_count + 63) / 64;
    __m512i entries[REGISTER_ENTRIES / 32];
    for (uint32_t i = 0; i < 8; i++)
        entries[i] = i < pairs * 2 ? _mm512_loadu_si512(table + i * 32) : _mm512_setzero_si512();
    if (pairs <= 2) {
        for (uint32_t i = 0; i < count; i += 32) {
            __m512i at = _mm512_loadu_si512(index + i);
            __mmask32 second = _mm512_movepi16_mask(_mm512_slli_epi16(at, 9)); /* bit 6 */
            __m512i a = _mm512_permutex2var_epi16(entries[0], at, entries[1]);
            __m512i b = _mm512_permutex2var_epi16(entries[2], at, entries[3]);
            _mm512_storeu_si512(out + i, _mm512_mask_blend_epi16(second, a, b));
        }
        return;
    }
    for (uint32_t i = 0; i < count; i += 32) {
        __m512i at = _mm512_loadu_si512(index + i);
        __mmask32 second = _mm512_movepi16_mask(_mm512_slli_epi16(at, 9));
        __mmask32 upper = _mm512_movepi16_mask(_mm512_slli_epi16(at, 8));
        __m512i a = _mm512_permutex2var_epi16(entries[0], at, entries[1]);
        __m512i b = _mm512_permutex2var_epi16(entries[2], at, entries[3]);
        __m512i c = _mm512_permutex2var_epi16(entries[4], at, entries[5]);
        __m512i d = _mm512_permutex2var_epi16(entries[6], at, entries[7]);
        a = _mm512_mask_blend_epi16(second, a, b);
        c = _mm512_mask_blend_epi16(second, c, d);
        _mm512_storeu_si512(out + i, _mm512_mask_blend_epi16(upper, a, c));
    }
}

#else

#define REGISTER_ENTRIES 0
static void lookup_registers(const uint16_t *index, uint32_t count, const uint16_t *table, uint32_t table_count,
                             uint16_t *out)
{
    (void)index, (void)count, (void)table, (void)table_count, (void)out;
}

static void between16(const uint16_t *numbers, uint32_t count, uint16_t low, uint16_t span, uint64_t *mask)
{
    TEST_WORDS((uint16_t)(numbers[i] - low) <= span)
}

static void between32(const uint32_t *numbers, uint32_t count, uint32_t low, uint32_t span, uint64_t *mask)
{
    TEST_WORDS(numbers[i] - low <= span)
}

static void keep_rows(const uint8_t *keep, uint32_t count, uint64_t *mask)
{
    TEST_WORDS(keep[i] != 0)
}

static void to_rows(const uint64_t *mask, uint8_t *keep)
{
    for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++) keep[i] = mask[i / 64] >> (i % 64) & 1;
}

static void below(const uint16_t *numbers, uint32_t count, uint16_t limit, uint64_t *mask)
{
    TEST_WORDS(numbers[i] < limit)
}

static void hide(const uint64_t *mask, uint32_t count, uint16_t none, uint16_t *cells)
{
    for (uint32_t w = 0; w * 64 < count; w++) {
        uint32_t first = w * 64, end = count - first < 64 ? count - first : 64;
        if (mask[w] == UINT64_MAX) continue;
        for (uint32_t j = 0; j < end; j++) cells[first + j] = mask[w] >> j & 1 ? cells[first + j] : none;
    }
}

#endif

static void keep_codes(const uint16_t *codes, uint32_t count, const uint8_t *keep, uint64_t *mask)
{
    uint8_t rows[VECTOR_ROWS_MAX];
    for (uint32_t i = 0; i < count; i++) rows[i] = keep[codes[i]];
    keep_rows(rows, count, mask);
}

/* The half keeps quotients away from whole numbers, so that rounding cannot carry them over: the error is below
 * 2^22 · 2^-23 / unit. */
static void units16(const uint16_t *offsets, uint32_t count, uint32_t scale, uint32_t add, float inverse,
                    uint16_t *units)
{
    for (uint32_t i = 0; i < count; i++)
        units[i] = (uint16_t)(int32_t)(((float)(int32_t)(offsets[i] * scale + add) + 0.5f) * inverse);
}

static void units32(const uint32_t *offsets, uint32_t count, uint32_t scale, uint32_t add, float inverse,
                    uint16_t *units)
{
    for (uint32_t i = 0; i < count; i++)
        units[i] = (uint16_t)(int32_t)(((float)(int32_t)(offsets[i] * scale + add) + 0.5f) * inverse);
}

static void lookup(const uint16_t *index, uint32_t count, const uint16_t *table, uint32_t table_count, uint16_t *out)
{
    if (table_count <= REGISTER_ENTRIES) {
        lookup_registers(index, count, table, table_count, out);
        return;
    }
    for (uint32_t i = 0; i < count; i++) out[i] = table[index[i]];
}

static void add(const uint16_t *a, const uint16_t *b, uint32_t count, uint16_t none, uint16_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        uint16_t sum = (uint16_t)(a[i] + b[i]);
        out[i] = sum < none ? sum : none;
    }
}

static void count_rows(const uint16_t *cells, uint32_t count, uint16_t *tables, uint32_t stride)
{
    uint16_t *a = tables, *b = a + stride, *c = b + stride, *d = c + stride;
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        a[cells[i]]++;
        b[cells[i + 1]]++;
        c[cells[i + 2]]++;
        d[cells[i + 3]]++;
    }
    for (; i < count; i++) tables[i % COUNT_TABLES * stride + cells[i]]++;
}

#ifdef __AVX512BW__
/* The cells of kept rows are put one behind the other first: loops over the bits of words would be guessed wrong at the
 * end of each. */
static void count_kept(const uint16_t *cells, const uint64_t *mask, uint16_t *tables, uint32_t stride)
{
    uint16_t kept[VECTOR_ROWS_MAX + 16];
    uint32_t count = 0;
    for (uint32_t w = 0; w < MASK_WORDS; w++) {
        for (uint32_t part = 0; part < 64; part += 16) {
            __mmask16 rows = (__mmask16)(mask[w] >> part);
            __m512i wide =
                _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(cells + w * 64 + part)));
            __m256i packed = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(rows, wide));
            _mm256_storeu_si256((__m256i *)(void *)(kept + count), packed);
            count += (uint32_t)__builtin_popcount(rows);
        }
    }
    count_rows(kept, count, tables, stride);
}
#else
static void count_kept(const uint16_t *cells, const uint64_t *mask, uint16_t *tables, uint32_t stride)
{
    for (uint32_t w = 0; w < MASK_WORDS; w++) {
        for (uint64_t bits = mask[w]; bits; bits &= bits - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);
            tables[i % COUNT_TABLES * stride + cells[i]]++;
        }
    }
}
#endif

extern const struct mask_kernels CPU_NAME(mask_kernels);
const struct mask_kernels CPU_NAME(mask_kernels) = {
    .between16 = between16,
    .between32 = between32,
    .keep_codes = keep_codes,
    .keep_rows = keep_rows,
    .to_rows = to_rows,
    .units16 = units16,
    .units32 = units32,
    .lookup = lookup,
    .below = below,
    .add = add,
    .hide = hide,
    .count = count_rows,
    .count_kept = count_kept,
};
