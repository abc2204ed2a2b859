/*
 * A break is a row that has another value than the row before it, of the same person. Breaks are found 64 rows at a
 * time; a column that has too many is given up after a sample, so that columns of rows, of which there are many, cost
 * little. Persons without a break are done: their item is that of their first row. The rows of the others are cut at
 * the breaks, and the value of most pieces becomes the person's; the other pieces are exceptions.
 */
#include "store/chunk_share.h"

#include "store/bitpack.h"
#include "store/dictionary.h"

#define SAMPLE_ROWS        1024 /* for the width */
#define SAMPLE_DISTINCT    64   /* more than so many: as good as unknown */
#define UNKNOWN_WIDTH      16
#define EXCEPTION_BITS     14 /* of a range: start, size */
#define SAMPLE_BLOCK       4096
#define SAMPLE_EVERY       16 /* of so many blocks one is looked at first */
#define COMPARE_PIECES_MAX 16 /* of a person: with one another */

/* --- rows --- */

static bool bit_at(const uint64_t *bits, uint32_t i)
{
    return !bits || (bits[i / 64] >> (i % 64) & 1);
}

static bool same_rows(const struct chunk_source *source, uint32_t a, uint32_t b)
{
    if (source->codes) return source->codes[a] == source->codes[b];
    if (source->values) return dictionary_same(source->values[a], source->values[b]);
    bool present = bit_at(source->presence, a);
    return present == bit_at(source->presence, b) && (!present || source->words[a] == source->words[b]);
}

static uint64_t row_hash(const struct chunk_source *source, uint32_t row)
{
    if (source->values) return value_hash(source->values[row]);
    uint64_t word = bit_at(source->presence, row) ? source->words[row] + 1 : 0;
    return (word ^ word >> 32) * 0x9E3779B97F4A7C15u;
}

unsigned chunk_share_width(const struct chunk_source *source)
{
    enum { SLOTS = 256 };
    uint64_t seen[SLOTS];
    uint8_t used[SLOTS] = {0};
    uint32_t distinct = 0, step = source->count / SAMPLE_ROWS, jump = 1;
    for (uint64_t i = 0; i < source->count; i += 1 + (step ? (jump >> 8) % (2 * step) : 0)) {
        uint64_t hash = row_hash(source, (uint32_t)i);
        uint32_t at = hash >> 56;
        jump = jump * 1103515245u + 12345u; /* even steps would meet columns that repeat evenly */
        while (used[at] && seen[at] != hash) at = (at + 1) % SLOTS;
        if (used[at]) continue;
        if (++distinct > SAMPLE_DISTINCT) return UNKNOWN_WIDTH;
        used[at] = 1;
        seen[at] = hash;
    }
    return bitpack_width(distinct - 1);
}

/* Bit k: row at + k has another value than the row before it; `starts` tells the first rows of persons. */
static uint64_t breaks_at(const struct chunk_source *source, uint32_t at, uint64_t starts)
{
    uint32_t count = source->count - at < 64 ? source->count - at : 64;
    uint64_t breaks = 0;
    if (source->codes && at && count == 64) {
        const uint32_t *codes = source->codes + at;
        for (uint32_t k = 0; k < 64; k++) breaks |= (uint64_t)(codes[k] != codes[(ptrdiff_t)k - 1]) << k;
        return breaks & ~starts;
    }
    if (source->words && !source->presence && at && count == 64) {
        const uint64_t *words = source->words + at;
        for (uint32_t k = 0; k < 64; k++) breaks |= (uint64_t)(words[k] != words[(ptrdiff_t)k - 1]) << k;
        return breaks & ~starts;
    }
    for (uint32_t k = 0; k < count; k++) {
        if (source->values) value_prefetch(source->values, at + k + PREFETCH_AHEAD, source->count);
        if (starts >> k & 1) continue;
        breaks |= (uint64_t)!same_rows(source, at + k, at + k - 1) << k;
    }
    return breaks;
}

/* --- persons --- */

/* So many exceptions are worth it. */
static uint32_t exceptions_max(uint32_t rows, uint32_t persons, unsigned width)
{
    uint64_t by_row = (uint64_t)rows * width, by_person = (uint64_t)persons * width;
    uint64_t most = by_row - by_row / 5, half_a_bit = by_row - (by_row < rows / 2 ? by_row : rows / 2);
    if (half_a_bit < most) most = half_a_bit;
    uint64_t max = most > by_person ? (most - by_person) / (width + EXCEPTION_BITS) : 0;
    return max < rows ? (uint32_t)max : rows;
}

/* A break makes at least half an exception. */
static bool too_many_breaks(uint64_t breaks, uint64_t max)
{
    return breaks > max * 2;
}

static bool is_hopeless(const struct chunk_source *source, const uint64_t *starts, uint32_t max)
{
    uint64_t breaks = 0, looked_at = 0, rows = source->count;
    if (rows < (uint64_t)SAMPLE_BLOCK * SAMPLE_EVERY) return false;
    for (uint64_t at = 0; at + SAMPLE_BLOCK <= rows; at += SAMPLE_BLOCK * SAMPLE_EVERY) {
        for (uint64_t i = at; i < at + SAMPLE_BLOCK; i += 64)
            breaks += (unsigned)__builtin_popcountll(breaks_at(source, (uint32_t)i, starts[i / 64]));
        looked_at += SAMPLE_BLOCK;
    }
    return too_many_breaks(breaks, max * looked_at / rows * 5 / 4 + 64);
}

struct pieces {
    uint32_t *ends; /* piece i: rows [ends[i - 1], ends[i]) */
    uint32_t count, first;
};

static uint32_t piece_start(const struct pieces *pieces, uint32_t i)
{
    return i ? pieces->ends[i - 1] : pieces->first;
}

static uint32_t piece_rows(const struct pieces *pieces, uint32_t i)
{
    return pieces->ends[i] - piece_start(pieces, i);
}

/* The piece whose value is that of most pieces, or nearly: of very many pieces only a majority is found for sure. */
static uint32_t choose_piece(const struct chunk_source *source, const struct pieces *pieces)
{
    uint32_t best = 0, best_count = 0, best_rows = 0;
    if (pieces->count > COMPARE_PIECES_MAX) {
        for (uint32_t i = 0, lead = 0; i < pieces->count; i++) {
            if (lead == 0) best = i;
            if (same_rows(source, piece_start(pieces, best), piece_start(pieces, i)))
                lead++;
            else
                lead--;
        }
        return best;
    }
    for (uint32_t i = 0; i < pieces->count; i++) {
        uint32_t count = 0, rows = 0;
        for (uint32_t j = i; j < pieces->count; j++) {
            if (j != i && !same_rows(source, piece_start(pieces, i), piece_start(pieces, j))) continue;
            count++;
            rows += piece_rows(pieces, j);
        }
        if (count < best_count || (count == best_count && rows <= best_rows)) continue;
        best = i;
        best_count = count;
        best_rows = rows;
    }
    return best;
}

static void add_exception(struct chunk_shares *shares, uint32_t start, uint32_t end)
{
    while (start < end) {
        uint32_t edge = (start / VECTOR_ROWS_MAX + 1) * VECTOR_ROWS_MAX, stop = end < edge ? end : edge;
        shares->item_rows[shares->items] = start;
        shares->weights[shares->items++] = stop - start;
        shares->sizes[shares->exceptions++] = stop - start;
        start = stop;
    }
}

static void share_person(const struct chunk_source *source, const struct pieces *pieces, uint32_t person,
                         struct chunk_shares *shares)
{
    uint32_t row = piece_start(pieces, choose_piece(source, pieces)), weight = 0;
    for (uint32_t i = 0; i < pieces->count; i++) {
        uint32_t start = piece_start(pieces, i);
        if (start == row || same_rows(source, row, start))
            weight += piece_rows(pieces, i);
        else
            add_exception(shares, start, pieces->ends[i]);
    }
    shares->item_rows[person] = row;
    shares->weights[person] = weight;
}

static void share_persons(const struct chunk_source *source, const uint64_t *breaks, uint32_t persons,
                          struct pieces *pieces, struct chunk_shares *shares)
{
    uint32_t person = 0, end = shares->weights[0]; /* behind the person's rows */
    pieces->count = 0;
    for (uint32_t at = 0; at < source->count; at += 64) {
        for (uint64_t left = breaks[at / 64]; left; left &= left - 1) {
            uint32_t row = at + (uint32_t)__builtin_ctzll(left);
            if (row >= end && pieces->count) {
                pieces->ends[pieces->count++] = end;
                share_person(source, pieces, person, shares);
                pieces->count = 0;
            }
            while (row >= end) end = ++person + 1 < persons ? shares->item_rows[person + 1] : source->count;
            if (!pieces->count) pieces->first = shares->item_rows[person];
            pieces->ends[pieces->count++] = row;
        }
    }
    if (!pieces->count) return;
    pieces->ends[pieces->count++] = end;
    share_person(source, pieces, person, shares);
}

enum status chunk_share(const struct chunk_source *source, const struct chunk_persons *persons, unsigned width,
                        struct arena *scratch, bool *ret_pays, struct chunk_shares *ret)
{
    uint32_t rows = source->count, words = (rows + 63) / 64, total = 0;
    *ret_pays = false;
    if (!persons || (uint64_t)persons->count * 4 > (uint64_t)rows * 3) return STATUS_OK;
    uint64_t *starts = arena_new_array(scratch, uint64_t, words);
    if (!starts) return STATUS_LIMIT;
    for (uint32_t p = 0, at = 0; p < persons->count; at += persons->rows[p++])
        starts[at / 64] |= (uint64_t)1 << at % 64;
    uint32_t max = exceptions_max(rows, persons->count, width);
    if (is_hopeless(source, starts, max)) return STATUS_OK;
    for (uint32_t i = 0; i < words; i++) {
        starts[i] = breaks_at(source, i * 64, starts[i]); /* what were starts are breaks now */
        total += (uint32_t)__builtin_popcountll(starts[i]);
        if (too_many_breaks(total, max)) return STATUS_OK;
    }
    size_t pieces_max = total + (total ? rows / VECTOR_ROWS_MAX + 2 : 0);
    struct chunk_shares shares = {.items = persons->count, .rows = rows};
    struct pieces pieces = {.ends = arena_alloc(scratch, (pieces_max + 1) * 4)};
    shares.item_rows = arena_alloc(scratch, (persons->count + pieces_max) * 4);
    shares.weights = arena_alloc(scratch, (persons->count + pieces_max) * 4);
    shares.sizes = arena_alloc(scratch, (pieces_max + 1) * 4);
    if (!pieces.ends || !shares.item_rows || !shares.weights || !shares.sizes) return STATUS_LIMIT;
    for (uint32_t p = 0, at = 0; p < persons->count; at += persons->rows[p++]) shares.item_rows[p] = at;
    memcpy(shares.weights, persons->rows, (size_t)persons->count * 4);
    if (total) share_persons(source, starts, persons->count, &pieces, &shares);
    *ret_pays = shares.exceptions <= max;
    *ret = shares;
    return STATUS_OK;
}

/* --- writing --- */

static void write_ranges(struct buf *block, const struct chunk_shares *shares, uint32_t first, uint32_t count)
{
    uint64_t starts[VECTOR_ROWS_MAX], sizes[VECTOR_ROWS_MAX], most = 0;
    const uint32_t *rows = shares->item_rows + (shares->items - shares->exceptions) + first;
    for (uint32_t r = 0; r < count; r++) {
        starts[r] = rows[r] % VECTOR_ROWS_MAX;
        sizes[r] = shares->sizes[first + r] - 1;
        most = sizes[r] > most ? sizes[r] : most;
    }
    buf_u16(block, (uint16_t)count);
    buf_byte(block, (char)bitpack_width(most));
    buf_byte(block, 0);
    buf_u32(block, first);
    bitpack_write(block, starts, count, 10);
    bitpack_write(block, sizes, count, bitpack_width(most));
}

enum status chunk_share_write(const struct chunk_shares *shares, struct section_out *out, struct buf *table)
{
    struct buf block = BUF_INIT(out->buf.size_max);
    const uint32_t *rows = shares->item_rows + (shares->items - shares->exceptions);
    uint32_t at = 0;
    for (uint64_t first = 0; shares->exceptions && first < shares->rows; first += BLOCK_ITEMS) {
        uint64_t end = first + BLOCK_ITEMS < shares->rows ? first + BLOCK_ITEMS : shares->rows;
        uint32_t vectors = (uint32_t)((end - first + VECTOR_ROWS_MAX - 1) / VECTOR_ROWS_MAX);
        buf_reset(&block);
        buf_fill(&block, 0, ((size_t)vectors * 4 + 7) / 8 * 8);
        for (uint32_t v = 0; v < vectors && !block.failed; v++) {
            uint64_t edge = first + (uint64_t)(v + 1) * VECTOR_ROWS_MAX;
            uint32_t from = at;
            while (at < shares->exceptions && rows[at] < edge) at++;
            write_ranges(&block, shares, from, at - from);
            uint32_t size = (uint32_t)block.size;
            if (!block.failed) memcpy(block.data + (size_t)v * 4, &size, 4);
        }
        if (block.failed) break;
        section_ref_write(table, section_append(out, buf_str(&block)));
    }
    enum status status = buf_status(&block);
    buf_fini(&block);
    return status;
}
