#include "query/native/cohort_kernels.h"

#include "column/vector.h"

#include <string.h>

#ifdef __AVX512BW__
#include <immintrin.h>

/* Sixteen rows at a time, those that are found moved together in a register. What is written behind them is written
 * over, or lies within the room of the vector. */
static uint32_t find_returns(const struct interval_minutes *m, const uint32_t *restrict minutes,
                             const uint32_t *restrict persons, uint32_t count, uint32_t low,
                             const uint32_t *restrict births, uint16_t *restrict rows, uint32_t *restrict since)
{
    const __m512i span = _mm512_set1_epi32((int)m->span), offset = _mm512_set1_epi32((int)m->offset);
    const __m512i first = _mm512_set1_epi32((int)low), sixteen = _mm512_set1_epi32(16);
    __m512i row = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i += 16, row = _mm512_add_epi32(row, sixteen)) {
        __mmask16 here = count - i < 16 ? (__mmask16)((1u << (count - i)) - 1) : (__mmask16)0xFFFF;
        __m512i place = _mm512_sub_epi32(_mm512_maskz_loadu_epi32(here, persons + i), first);
        __m512i birth = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), here, place, births, sizeof *births);
        __m512i time = _mm512_add_epi32(_mm512_maskz_loadu_epi32(here, minutes + i), offset);
        time = _mm512_sub_epi32(time, birth);
        __mmask16 is = _mm512_mask_cmple_epu32_mask(here, time, span);
        uint32_t more = (uint32_t)__builtin_popcount(is);
        if (found + 16 <= VECTOR_ROWS_MAX) {
            _mm512_storeu_si512(since + found, _mm512_maskz_compress_epi32(is, time));
            _mm256_storeu_si256((__m256i *)(void *)(rows + found),
                                _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(is, row)));
        } else {
            __mmask16 to = (__mmask16)((1u << more) - 1);
            _mm512_mask_storeu_epi32(since + found, to, _mm512_maskz_compress_epi32(is, time));
            _mm256_mask_storeu_epi16(rows + found, to, _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(is, row)));
        }
        found += more;
    }
    return found;
}

static void count_marks(const uint64_t *restrict marks, uint64_t also, const uint32_t *restrict buckets, uint64_t count,
                        uint32_t stride, uint32_t *restrict counts)
{
    const __m512i one = _mm512_set1_epi32(1);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t bits = marks[i] | also;
        uint32_t *row = counts + (size_t)buckets[i] * stride;
        for (uint32_t k = 0; k < stride; k += MARK_LANES, bits >>= MARK_LANES) {
            __m512i number = _mm512_loadu_si512(row + k);
            _mm512_storeu_si512(row + k, _mm512_mask_add_epi32(number, (__mmask16)bits, number, one));
        }
    }
}

#else

static uint32_t find_returns(const struct interval_minutes *m, const uint32_t *restrict minutes,
                             const uint32_t *restrict persons, uint32_t count, uint32_t low,
                             const uint32_t *restrict births, uint16_t *restrict rows, uint32_t *restrict since)
{
    uint32_t all[VECTOR_ROWS_MAX], offset = m->offset, span = m->span, found = 0;
    for (uint32_t i = 0; i < count; i++) all[i] = minutes[i] + offset - births[persons[i] - low];
    /* Who is born and who is not come in no order: no branch could tell. */
    for (uint32_t i = 0; i < count; i++) {
        rows[found] = (uint16_t)i;
        since[found] = all[i];
        found += all[i] <= span;
    }
    return found;
}

static void count_marks(const uint64_t *restrict marks, uint64_t also, const uint32_t *restrict buckets, uint64_t count,
                        uint32_t stride, uint32_t *restrict counts)
{
    for (uint64_t i = 0; i < count; i++) {
        uint32_t *row = counts + (size_t)buckets[i] * stride;
        for (uint64_t left = marks[i] | also; left; left &= left - 1) row[__builtin_ctzll(left)]++;
    }
}

#endif

static uint32_t mark_returns(const struct interval_minutes *m, const uint16_t *restrict rows,
                             const uint32_t *restrict since, uint32_t count, const uint32_t *restrict persons,
                             uint32_t low, uint32_t words, uint64_t *restrict marks, uint32_t run, uint32_t first,
                             struct late_row *restrict late)
{
    uint32_t intervals[VECTOR_ROWS_MAX], late_count = 0, length = m->interval;
    uint64_t inverse = m->inverse;
    if (inverse)
        for (uint32_t i = 0; i < count; i++) intervals[i] = (uint32_t)(since[i] * inverse >> INVERSE_SHIFT);
    else
        for (uint32_t i = 0; i < count; i++) intervals[i] = since[i] / length;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = persons[rows[i]] - low, interval = intervals[i];
        uint64_t is_late = since[i] == interval * length;
        late[late_count] = (struct late_row){run, first + rows[i], place, interval};
        late_count += (uint32_t)is_late;
        /* the minute behind the last interval is always late: it has no word */
        if (words == 1)
            marks[place] |= (is_late ^ 1) << (interval % 64);
        else if (!is_late)
            marks[(size_t)place * words + interval / 64] |= (uint64_t)1 << (interval % 64);
    }
    return late_count;
}

/* With the rows coming one by one, word i of `least` has the bits of those who had one in at least i + 1 of them. What
 * is in both goes one further, and mostly that is nothing soon. */
static void count_least(uint64_t *restrict bits, size_t stride, uint32_t units, uint64_t *restrict least,
                        uint64_t *restrict counts)
{
    uint32_t most = 0;
    for (uint32_t unit = 0; unit < units; unit++, bits += stride) {
        uint64_t more[LEAST_WORDS], any = 0;
        for (uint32_t w = 0; w < LEAST_WORDS; w++) any |= more[w] = bits[w];
        if (!any) continue;
        memset(bits, 0, sizeof more);
        for (uint32_t i = 0; any && i < most; i++) {
            uint64_t *to = least + (size_t)i * LEAST_WORDS;
            any = 0;
            for (uint32_t w = 0; w < LEAST_WORDS; w++) {
                uint64_t both = to[w] & more[w];
                to[w] |= more[w];
                any |= more[w] = both;
            }
        }
        if (any) memcpy(least + (size_t)most++ * LEAST_WORDS, more, sizeof more);
    }
    for (uint32_t i = 0; i < most; i++) {
        uint64_t count = 0;
        for (uint32_t w = 0; w < LEAST_WORDS; w++)
            count += (uint64_t)__builtin_popcountll(least[(size_t)i * LEAST_WORDS + w]);
        counts[i] += count;
    }
}

extern const struct cohort_kernels CPU_NAME(cohort_kernels);
const struct cohort_kernels CPU_NAME(cohort_kernels) = {find_returns, mark_returns, count_marks, count_least};
