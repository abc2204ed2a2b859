#include "query/native/kernels.h"

#include "column/vector.h"

#include <string.h>

#ifdef __AVX512BW__
#include <immintrin.h>
#endif

#ifdef __AVX512BW__
static inline uint64_t mask_of(const uint8_t *rows)
{
    __m512i a = _mm512_loadu_si512(rows);
    return _mm512_test_epi8_mask(a, a);
}
#else
/* Each of eight bytes, 0 or 1, is moved to a bit of the highest one. */
static inline uint64_t mask_of(const uint8_t *rows)
{
    uint64_t mask = 0, bytes;
    for (uint32_t i = 0; i < 64; i += 8) {
        memcpy(&bytes, rows + i, 8);
        mask |= (bytes * 0x0102040810204080 >> 56) << i;
    }
    return mask;
}
#endif

static void count_changes(const uint16_t *restrict cells, const uint8_t *restrict starts, uint32_t count, uint16_t last,
                          uint32_t *restrict tables, uint32_t stride)
{
    uint8_t change[VECTOR_ROWS_MAX + 64];
    if (count == 0) return;
    change[0] = starts[0] | (cells[0] != last);
    for (uint32_t i = 1; i < count; i++) change[i] = starts[i] | (cells[i] != cells[i - 1]);
    memset(change + count, 0, 64);
    for (uint32_t at = 0; at < count; at += 64) {
        for (uint64_t left = mask_of(change + at); left; left &= left - 1) {
            uint32_t i = at + (uint32_t)__builtin_ctzll(left);
            tables[i % CHANGE_TABLES * stride + cells[i]]++;
        }
    }
}

/* Neighbouring rows often set a bit of the same word, of one person or of persons close to each other, and would wait
 * for each other. So in blocks of LANES stretches the rows are taken in the order 0, STRETCH, 2 STRETCH, ..., 1, ... */
#define LANES   8
#define STRETCH 64

#define EACH_ROW(count, row, statement)                                                                                \
    do {                                                                                                               \
        uint32_t block_ = 0;                                                                                           \
        for (; block_ + LANES * STRETCH <= (count); block_ += LANES * STRETCH) {                                       \
            for (uint32_t at_ = block_; at_ < block_ + STRETCH; at_++) {                                               \
                for (uint32_t lane_ = 0; lane_ < LANES; lane_++) {                                                     \
                    uint32_t row = at_ + lane_ * STRETCH;                                                              \
                    statement;                                                                                         \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        for (uint32_t row = block_; row < (count); row++) {                                                            \
            statement;                                                                                                 \
        }                                                                                                              \
    } while (0)

static bool mark_times(const struct mark_times *m, const uint32_t *restrict minutes, const uint32_t *restrict persons,
                       uint32_t count)
{
    uint32_t places[VECTOR_ROWS_MAX], people[VECTOR_ROWS_MAX], last_place = 0, last_person = 0;
    uint32_t shift = m->shift, first = m->first_place, base = m->base;
    const uint32_t *rows = m->rows;
    uint64_t *bits = m->bits;
    for (uint32_t i = 0; i < count; i++) {
        places[i] = (minutes[i] >> shift) - first;
        last_place = places[i] > last_place ? places[i] : last_place;
        people[i] = persons[i] - base;
        last_person = people[i] > last_person ? people[i] : last_person;
    }
    if (last_place >= m->place_count || last_person >= m->person_count) return false;
    EACH_ROW(count, row, bits[rows[places[row]] + people[row] / 64] |= (uint64_t)1 << (people[row] % 64));
    return true;
}

static bool mark_persons(uint64_t *bits, const uint32_t *persons, uint32_t count, uint32_t base, uint32_t person_count)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < count; i++) last = persons[i] - base > last ? persons[i] - base : last;
    if (last >= person_count) return false;
    EACH_ROW(count, row, bits[(persons[row] - base) / 64] |= (uint64_t)1 << ((persons[row] - base) % 64));
    return true;
}

static uint64_t count_bits(const uint64_t *words, size_t count)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++) bits += (uint64_t)__builtin_popcountll(words[i]);
    return bits;
}

static bool any_bit(const uint64_t *words, uint32_t bits, const uint32_t *items, uint32_t count)
{
    uint64_t any = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t item = items[i] < bits ? items[i] : 0;
        any |= words[item / 64] >> (item % 64) | (items[i] >= bits);
    }
    return any & 1;
}

extern const struct kernels CPU_NAME(kernels);
const struct kernels CPU_NAME(kernels) = {
    .count_changes = count_changes,
    .mark_times = mark_times,
    .mark_persons = mark_persons,
    .count_bits = count_bits,
    .any_bit = any_bit,
};
