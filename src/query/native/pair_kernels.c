#include "query/native/pair_kernels.h"

#include <string.h>

#ifdef __AVX512BW__
#include <immintrin.h>
#endif

/* The places of eight rows' persons at once: bytes that say where a segment begins, multiplied by ones, are summed up.
 */
static void expand(const uint32_t *restrict persons, const uint32_t *restrict ends, uint32_t count,
                   uint32_t *restrict out)
{
    uint8_t starts[VECTOR_ROWS_MAX + 8];
    uint32_t rows = count ? ends[count - 1] : 0, place = 0;
    memset(starts, 0, sizeof starts);
    for (uint32_t s = 0; s + 1 < count; s++) starts[ends[s]] = 1;
    for (uint32_t i = 0; i < rows; i += 8) {
        uint64_t sums;
        memcpy(&sums, starts + i, 8);
        sums *= 0x0101010101010101; /* a row's byte: segments that begin up to it */
#ifdef __AVX512BW__
        __m512i places = _mm512_cvtepu8_epi32(_mm_cvtsi64_si128((long long)sums)); /* 0 to 8 */
        __m512i found = _mm512_permutexvar_epi32(places, _mm512_loadu_si512(persons + place));
        _mm256_storeu_si256((__m256i *)(void *)(out + i), _mm512_castsi512_si256(found));
#else
        for (uint32_t j = 0; j < 8; j++) out[i + j] = persons[place + (uint32_t)(sums >> (j * 8) & 0xFF)];
#endif
        place += (uint32_t)(sums >> 56);
    }
}

static inline void add_pair(uint64_t *pair, uint32_t person)
{
    uint64_t before = *pair, fresh = PAIR_PERSON(before) != person;
    *pair = (uint64_t)person << 32 | ((uint32_t)before + 1 + (uint32_t)(fresh << 16));
}

static void pairs_all(const uint16_t *cells, const uint32_t *persons, uint32_t count, uint64_t *pairs)
{
    for (uint32_t i = 0; i < count; i++) add_pair(&pairs[cells[i]], persons[i]);
}

static void pairs_kept(const uint16_t *cells, const uint32_t *persons, const uint64_t *mask, uint64_t *pairs)
{
    for (uint32_t w = 0; w < MASK_WORDS; w++) {
        for (uint64_t bits = mask[w]; bits; bits &= bits - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);
            add_pair(&pairs[cells[i]], persons[i]);
        }
    }
}

static void changes(const uint16_t *cells, const uint32_t *persons, uint64_t *mask)
{
    uint64_t carry = 0;
    for (uint32_t w = 0; w < MASK_WORDS; w++, cells += 64, persons += 64) {
        uint64_t same = 0; /* as the next one */
#ifdef __AVX512BW__
        for (uint32_t i = 0; i < 64; i += 32)
            same |= (uint64_t)_mm512_cmpeq_epi16_mask(_mm512_loadu_si512(cells + i), _mm512_loadu_si512(cells + i + 1))
                    << i;
        uint64_t same_person = 0;
        for (uint32_t i = 0; i < 64; i += 16)
            same_person |=
                (uint64_t)_mm512_cmpeq_epi32_mask(_mm512_loadu_si512(persons + i), _mm512_loadu_si512(persons + i + 1))
                << i;
        same &= same_person;
#else
        for (uint32_t i = 0; i < 64; i++)
            same |= (uint64_t)((cells[i] == cells[i + 1]) & (persons[i] == persons[i + 1])) << i;
#endif
        mask[w] &= ~(same << 1 | carry);
        carry = same >> 63;
    }
}

static inline void mark_one(uint64_t *bits, uint32_t rows, uint32_t row, uint32_t place)
{
    bits[pair_word(rows, row, place)] |= (uint64_t)1 << (place % 64);
}

static void mark(const uint16_t *cells, const uint32_t *persons, uint32_t count, uint32_t base, uint32_t rows,
                 uint64_t *bits)
{
    for (uint32_t i = 0; i < count; i++) mark_one(bits, rows, cells[i], persons[i] - base);
}

static void mark_kept(const uint16_t *cells, const uint32_t *persons, const uint64_t *mask, uint32_t base,
                      uint32_t rows, uint64_t *bits)
{
    for (uint32_t w = 0; w < MASK_WORDS; w++) {
        for (uint64_t left = mask[w]; left; left &= left - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(left);
            mark_one(bits, rows, cells[i], persons[i] - base);
        }
    }
}

static void take(uint64_t *bits, uint32_t blocks, uint32_t rows, uint64_t *counts)
{
    for (uint32_t block = 0; block < blocks; block++) {
        for (uint32_t row = 0; row < rows; row++, bits += PAIR_BLOCK_WORDS) {
            uint64_t count = 0;
            for (uint32_t w = 0; w < PAIR_BLOCK_WORDS; w++) count += (uint64_t)__builtin_popcountll(bits[w]);
            for (uint32_t w = 0; w < PAIR_BLOCK_WORDS; w++) bits[w] = 0;
            counts[row] += count;
        }
    }
}

extern const struct pair_kernels CPU_NAME(pair_kernels);
const struct pair_kernels CPU_NAME(pair_kernels) = {expand, pairs_all, pairs_kept, changes, mark, mark_kept, take};
