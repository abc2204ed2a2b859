/*
 * How a column's encoding is chosen. The input comes as values, as words (integers or doubles, with presence bits) or
 * as codes; each way ends in one of the encodings of chunk.h, all of which are written by write_column():
 *
 *   few rows have a value                       SPARSE
 *   most rows of most persons agree             the same choice for one item per person, and exceptions (chunk_share.h)
 *   one value everywhere                        CONST
 *   numbers, few distinct                       DICT (it counts, and knows all groups beforehand)
 *   integers                                    INT
 *   doubles with few decimals                   DECIMAL; else, if they repeat, DICT; else DOUBLE
 *   other values that repeat                    DICT
 *   strings, all of one length                  FIXED
 *   strings                                     BYTES
 *   anything else                               VARIANT
 */
#include "store/chunk_encode.h"

#include "store/bitpack.h"
#include "store/chunk_int.h"
#include "store/chunk_share.h"
#include "store/dictionary.h"
#include "store/fixed.h"

#include <assert.h>
#include <math.h>

#define NUMBERS_DISTINCT_MAX 256 /* of a DICT of numbers where INT or DECIMAL would do */

/* What write_column needs. */
struct column {
    uint32_t property;
    enum chunk_encoding encoding;
    const struct chunk_shares *shares; /* once per person; else NULL */
    uint8_t parameter;
    uint16_t types;
    uint32_t items, present, distinct;
    const struct value *values;       /* BYTES, VARIANT, FIXED */
    const uint64_t *words, *presence; /* INT, DECIMAL (as integers), DOUBLE; presence NULL: all */
    const uint32_t *codes;            /* DICT */
    const uint32_t *ids, *persons;    /* PERSON_ID */
    struct section_out *out;
    struct buf *table;
};

/* --- vectors --- */

static void vector_head(struct buf *buf, unsigned width, bool presence)
{
    buf_byte(buf, (char)width);
    buf_byte(buf, presence);
}

static bool bit_at(const uint64_t *bits, uint32_t i)
{
    return !bits || (bits[i / 64] >> (i % 64) & 1);
}

/* The bits of one vector (vectors begin at whole words); true when some item is absent. */
static bool vector_presence(const uint64_t *presence, uint32_t items, const uint64_t **ret_bits)
{
    bool absent = false;
    for (uint32_t at = 0; presence && at < items; at += 64) {
        uint64_t all = items - at < 64 ? ((uint64_t)1 << (items - at)) - 1 : UINT64_MAX;
        absent |= (presence[at / 64] & all) != all;
    }
    *ret_bits = absent ? presence : NULL;
    return absent;
}

static void write_presence(struct buf *buf, const uint64_t *bits, uint32_t items)
{
    for (uint32_t at = 0; bits && at < items; at += 64) {
        uint64_t all = items - at < 64 ? ((uint64_t)1 << (items - at)) - 1 : UINT64_MAX;
        buf_u64(buf, bits[at / 64] & all);
    }
}

static bool value_presence(const struct value *values, uint32_t items, uint64_t bits[CHUNK_PRESENCE_WORDS])
{
    bool absent = false;
    memset(bits, 0, CHUNK_PRESENCE_WORDS * sizeof *bits);
    for (uint32_t i = 0; i < items; i++) {
        bool present = values[i].type != VALUE_ABSENT;
        bits[i / 64] |= (uint64_t)present << i % 64;
        absent |= !present;
    }
    return absent;
}

static bool divides(uint64_t divisor, uint64_t number)
{
    if (((divisor | number) >> 32) == 0) return (uint32_t)number % (uint32_t)divisor == 0;
    return number % divisor == 0;
}

/* The greatest common divisor of the offsets, 1 when there is nothing to gain. */
static uint32_t common_scale(const uint64_t *offsets, uint32_t items)
{
    uint64_t scale = 0;
    for (uint32_t i = 0; i < items; i++) {
        uint64_t a = offsets[i], b = scale;
        if (a == 0 || (b && divides(b, a))) continue;
        while (b) {
            uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        scale = a;
        if (scale == 1) return 1;
    }
    return scale && scale <= UINT32_MAX ? (uint32_t)scale : 1;
}

static void encode_ints(struct buf *block, const uint64_t *words, const uint64_t *presence, uint32_t items)
{
    const uint64_t *bits;
    int64_t low = INT64_MAX, high = INT64_MIN;
    bool absent = vector_presence(presence, items, &bits);
    for (uint32_t i = 0; i < items; i++) {
        if (absent && !bit_at(bits, i)) continue;
        int64_t value = (int64_t)words[i];
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    if (low > high) low = high = 0;
    uint64_t offsets[VECTOR_ROWS_MAX], span = (uint64_t)high - (uint64_t)low;
    for (uint32_t i = 0; i < items; i++) offsets[i] = absent && !bit_at(bits, i) ? 0 : words[i] - (uint64_t)low;
    uint32_t scale = common_scale(offsets, items);
    for (uint32_t i = 0; scale > 1 && i < items; i++) {
        offsets[i] = span >> 32 ? offsets[i] / scale : (uint32_t)offsets[i] / scale;
    }
    unsigned width = bitpack_width(span / scale);
    vector_head(block, width, absent);
    buf_u16(block, 0);
    buf_u32(block, scale);
    buf_u64(block, (uint64_t)low);
    buf_u64(block, (uint64_t)high);
    write_presence(block, bits, items);
    bitpack_write_vector(block, offsets, items, width);
}

static void encode_doubles(struct buf *block, const uint64_t *words, const uint64_t *presence, uint32_t items)
{
    const uint64_t *bits;
    double low = INFINITY, high = -INFINITY;
    bool absent = vector_presence(presence, items, &bits);
    for (uint32_t i = 0; i < items; i++) {
        double number;
        if (absent && !bit_at(bits, i)) continue;
        memcpy(&number, &words[i], 8);
        low = number < low ? number : low;
        high = number > high ? number : high;
    }
    if (low > high) low = high = 0;
    vector_head(block, 0, absent);
    buf_fill(block, 0, 6);
    buf_add(block, &low, 8);
    buf_add(block, &high, 8);
    write_presence(block, bits, items);
    for (uint32_t i = 0; i < items; i++) buf_add(block, absent && !bit_at(bits, i) ? (void *)&low : &words[i], 8);
}

static void encode_codes(struct buf *block, const uint32_t *codes, uint32_t items)
{
    uint32_t low = UINT32_MAX, high = 0;
    uint64_t offsets[VECTOR_ROWS_MAX];
    for (uint32_t i = 0; i < items; i++) {
        low = codes[i] < low ? codes[i] : low;
        high = codes[i] > high ? codes[i] : high;
    }
    for (uint32_t i = 0; i < items; i++) offsets[i] = codes[i] - low;
    buf_byte(block, (char)bitpack_width(high - low));
    buf_fill(block, 0, 3);
    buf_u32(block, low);
    bitpack_write_vector(block, offsets, items, bitpack_width(high - low));
}

static void encode_bytes(struct buf *block, const struct value *values, uint32_t items)
{
    uint64_t sizes[VECTOR_ROWS_MAX], high = 0, bits[CHUNK_PRESENCE_WORDS];
    bool absent = value_presence(values, items, bits);
    for (uint32_t i = 0; i < items; i++) {
        sizes[i] = values[i].type == VALUE_ABSENT ? 0 : values[i].size;
        if (sizes[i] > high) high = sizes[i];
    }
    vector_head(block, bitpack_width(high), absent);
    buf_fill(block, 0, 6);
    write_presence(block, absent ? bits : NULL, items);
    bitpack_write_vector(block, sizes, items, bitpack_width(high));
    for (uint32_t i = 0; i < items; i++) {
        value_prefetch(values, i + PREFETCH_AHEAD, items);
        if (sizes[i]) buf_add(block, values[i].data, values[i].size);
    }
}

static void encode_variant(struct buf *block, const struct value *values, uint32_t items)
{
    uint64_t sizes[VECTOR_ROWS_MAX], high = 0;
    for (uint32_t i = 0; i < items; i++) {
        sizes[i] = values[i].type == VALUE_ABSENT ? 0 : value_encoded_size(values[i]);
        if (sizes[i] > high) high = sizes[i];
    }
    buf_byte(block, (char)bitpack_width(high));
    buf_fill(block, 0, 7);
    bitpack_write_vector(block, sizes, items, bitpack_width(high));
    for (uint32_t i = 0; i < items; i++) {
        if (values[i].type != VALUE_ABSENT) value_encode(block, values[i]);
    }
}

static void encode_fixed(struct buf *block, const struct value *values, uint32_t items, unsigned length)
{
    uint64_t bits[CHUNK_PRESENCE_WORDS];
    bool absent = value_presence(values, items, bits);
    unsigned alphabet = 0, words = 0;
    vector_head(block, 0, absent);
    size_t at = block->size;
    buf_fill(block, 0, 6);
    write_presence(block, absent ? bits : NULL, items);
    fixed_encode(block, values, items, length, &alphabet, &words);
    if (block->failed) return;
    block->data[at] = (char)alphabet;
    block->data[at + 1] = (char)words;
}

/* The ranges of a vector in which the id is not the person and stays the same. */
struct id_ranges {
    uint32_t count, size_max, id_min, id_max;
    uint64_t starts[VECTOR_ROWS_MAX], sizes[VECTOR_ROWS_MAX], ids[VECTOR_ROWS_MAX];
};

static void find_ranges(const uint32_t *ids, const uint32_t *persons, uint32_t items, struct id_ranges *ranges)
{
    ranges->count = ranges->size_max = ranges->id_max = 0;
    ranges->id_min = UINT32_MAX;
    for (uint32_t i = 0; i < items;) {
        uint32_t from = i++;
        if (ids[from] == persons[from]) continue;
        while (i < items && ids[i] == ids[from] && ids[i] != persons[i]) i++;
        ranges->starts[ranges->count] = from;
        ranges->sizes[ranges->count] = i - from - 1;
        ranges->ids[ranges->count++] = ids[from];
        if (i - from - 1 > ranges->size_max) ranges->size_max = i - from - 1;
        if (ids[from] < ranges->id_min) ranges->id_min = ids[from];
        if (ids[from] > ranges->id_max) ranges->id_max = ids[from];
    }
    if (!ranges->count) ranges->id_min = 0;
}

static size_t ranges_bytes(const struct id_ranges *ranges)
{
    return 8 + bitpack_bytes(ranges->count, 10) + bitpack_bytes(ranges->count, bitpack_width(ranges->size_max)) +
           bitpack_bytes(ranges->count, bitpack_width(ranges->id_max - ranges->id_min));
}

static void encode_person_ids(struct buf *block, const uint32_t *ids, const uint32_t *persons, uint32_t items)
{
    struct id_ranges ranges;
    find_ranges(ids, persons, items, &ranges);
    unsigned size_width = bitpack_width(ranges.size_max), id_width = bitpack_width(ranges.id_max - ranges.id_min);
    if (!ranges.count) id_width = 0;
    for (uint32_t r = 0; r < ranges.count; r++) ranges.ids[r] -= ranges.id_min;
    buf_u16(block, (uint16_t)ranges.count);
    buf_byte(block, (char)size_width);
    buf_byte(block, (char)id_width);
    buf_u32(block, ranges.id_min);
    bitpack_write(block, ranges.starts, ranges.count, 10);
    bitpack_write(block, ranges.sizes, ranges.count, size_width);
    bitpack_write(block, ranges.ids, ranges.count, id_width);
}

static void encode_vector(struct buf *block, const struct column *column, uint32_t first, uint32_t items)
{
    const uint64_t *presence = column->presence ? column->presence + first / 64 : NULL;
    switch (column->encoding) {
    case CHUNK_DICT: encode_codes(block, column->codes + first, items); break;
    case CHUNK_INT:
    case CHUNK_DECIMAL: encode_ints(block, column->words + first, presence, items); break;
    case CHUNK_DOUBLE: encode_doubles(block, column->words + first, presence, items); break;
    case CHUNK_BYTES: encode_bytes(block, column->values + first, items); break;
    case CHUNK_FIXED: encode_fixed(block, column->values + first, items, column->parameter); break;
    case CHUNK_PERSON_ID: encode_person_ids(block, column->ids + first, column->persons + first, items); break;
    default: encode_variant(block, column->values + first, items);
    }
}

/* Writes the blocks, then the descriptor that points at them. */
static enum status write_column(const struct column *column, struct str dictionary)
{
    bool blockless = column->encoding == CHUNK_CONST || column->encoding == CHUNK_SPARSE;
    uint32_t blocks = blockless ? 0 : (column->items + BLOCK_ITEMS - 1) / BLOCK_ITEMS;
    struct section_ref dict_ref = dictionary.size ? section_append(column->out, dictionary) : (struct section_ref){0};
    struct buf *table = column->table;
    buf_u32(table, column->property);
    buf_byte(table, (char)column->encoding);
    buf_byte(table, (char)(column->parameter | (unsigned)(column->shares != NULL) << 7));
    buf_u16(table, column->types);
    buf_u32(table, column->items);
    buf_u32(table, column->present);
    buf_u32(table, column->distinct);
    buf_u32(table, blocks);
    section_ref_write(table, dict_ref);
    if (column->shares) {
        buf_u32(table, column->shares->exceptions);
        buf_u32(table, column->shares->exceptions ? (column->shares->rows + BLOCK_ITEMS - 1) / BLOCK_ITEMS : 0);
    }
    struct buf block = BUF_INIT(column->out->buf.size_max);
    for (uint32_t b = 0; b < blocks; b++) {
        uint32_t first = b * BLOCK_ITEMS, left = column->items - first;
        uint32_t vectors = ((left < BLOCK_ITEMS ? left : BLOCK_ITEMS) + VECTOR_ROWS_MAX - 1) / VECTOR_ROWS_MAX;
        buf_reset(&block);
        buf_fill(&block, 0, (size_t)vectors * 4);
        buf_fill(&block, 0, (8 - block.size % 8) % 8);
        for (uint32_t v = 0; v < vectors; v++) {
            uint32_t at = first + v * VECTOR_ROWS_MAX, items = column->items - at;
            encode_vector(&block, column, at, items < VECTOR_ROWS_MAX ? items : VECTOR_ROWS_MAX);
            buf_fill(&block, 0, (8 - block.size % 8) % 8);
            if (block.failed || block.size > UINT32_MAX) break;
            uint32_t end = (uint32_t)block.size;
            memcpy(block.data + (size_t)v * 4, &end, 4);
        }
        if (block.failed || block.size > UINT32_MAX) {
            buf_fini(&block);
            return STATUS_LIMIT;
        }
        section_ref_write(table, section_append(column->out, buf_str(&block)));
    }
    buf_fini(&block);
    if (column->shares) TRY(chunk_share_write(column->shares, column->out, table));
    TRY(section_out_status(column->out));
    return buf_status(table);
}

/* All `rows` have the value. */
static enum status write_const(struct column *column, struct value value, uint32_t rows)
{
    struct buf dictionary = BUF_INIT(column->out->buf.size_max);
    column->encoding = CHUNK_CONST;
    column->distinct = 1;
    column->shares = NULL;
    column->items = rows;
    value_encode(&dictionary, value);
    enum status status = buf_status(&dictionary);
    if (status == STATUS_OK) status = write_column(column, buf_str(&dictionary));
    buf_fini(&dictionary);
    return status;
}

/* DICT, given the entries in any order; codes[] is renumbered. */
static enum status write_dict(struct column *column, const struct distinct *distinct, uint32_t *codes,
                              struct arena *scratch)
{
    uint32_t *order = arena_alloc(scratch, ((size_t)distinct->count + 1) * sizeof *order);
    uint32_t *renumber = arena_alloc(scratch, ((size_t)distinct->count + 1) * sizeof *renumber);
    if (!order || !renumber) return STATUS_LIMIT;
    TRY(dictionary_order(distinct->entries, distinct->count, scratch, order));
    renumber[0] = 0;
    for (uint32_t i = 0; i < distinct->count; i++) renumber[order[i] + 1] = i + 1;
    for (uint32_t i = 0; i < column->items; i++) codes[i] = renumber[codes[i]];
    struct buf dictionary = BUF_INIT(column->out->buf.size_max);
    enum status status =
        dictionary_write(&dictionary, distinct->entries, distinct->rows, order, distinct->count, scratch);
    column->encoding = CHUNK_DICT;
    column->distinct = distinct->count;
    column->codes = codes;
    if (status == STATUS_OK) status = write_column(column, buf_str(&dictionary));
    buf_fini(&dictionary);
    return status;
}

enum status chunk_encode_sparse(uint32_t property, const uint32_t *items, const struct value *values, uint32_t present,
                                uint32_t count, struct section_out *out, struct buf *table)
{
    uint16_t types = 1u << VALUE_ABSENT;
    struct buf dictionary = BUF_INIT(out->buf.size_max);
    buf_u32(&dictionary, present);
    for (uint32_t i = 0; i < present; i++) {
        buf_u32(&dictionary, items[i]);
        types |= (uint16_t)(1u << values[i].type);
    }
    for (uint32_t i = 0; i < present; i++) value_encode(&dictionary, values[i]);
    struct column column = {.property = property,
                            .encoding = CHUNK_SPARSE,
                            .types = types,
                            .items = count,
                            .present = present,
                            .out = out,
                            .table = table};
    enum status status = buf_status(&dictionary);
    if (status == STATUS_OK) status = write_column(&column, buf_str(&dictionary));
    buf_fini(&dictionary);
    return status;
}

/* --- persons --- */

/* *ret_shares is `memory`, or NULL when the column is better written by row. */
static enum status find_shares(const struct chunk_source *source, const struct chunk_persons *persons, unsigned width,
                               struct arena *scratch, struct chunk_shares *memory,
                               const struct chunk_shares **ret_shares)
{
    bool pays = false;
    TRY(chunk_share(source, persons, width, scratch, &pays, memory));
    *ret_shares = pays ? memory : NULL;
    return STATUS_OK;
}

/* --- words --- */

static struct value word_value(uint64_t word, bool doubles)
{
    double number;
    if (!doubles) return value_int((int64_t)word);
    memcpy(&number, &word, 8);
    return value_number(number);
}

/* One word (and presence bit) per item. */
static enum status reduce_words(const uint64_t **words, const uint64_t **presence, const struct chunk_shares *shares,
                                struct arena *scratch)
{
    uint64_t *reduced = arena_alloc(scratch, ((size_t)shares->items + 1) * sizeof *reduced);
    uint64_t *bits = *presence ? arena_new_array(scratch, uint64_t, (size_t)shares->items / 64 + 1) : NULL;
    if (!reduced || (*presence && !bits)) return STATUS_LIMIT;
    for (uint32_t i = 0; i < shares->items; i++) {
        reduced[i] = (*words)[shares->item_rows[i]];
        if (bits) bits[i / 64] |= (uint64_t)bit_at(*presence, shares->item_rows[i]) << i % 64;
    }
    *words = reduced;
    *presence = bits;
    return STATUS_OK;
}

/* The integer that a number is over 10^exponent, if the nearest double to that quotient is the number. */
static bool as_decimal(uint64_t word, double power, int64_t *ret_integer)
{
    double number, back;
    uint64_t bits;
    memcpy(&number, &word, 8);
    double scaled = number * power;
    if (!(fabs(scaled) <= (double)CHUNK_DECIMAL_MAX)) return false;
    int64_t integer = llrint(scaled);
    back = (double)integer / power;
    memcpy(&bits, &back, 8);
    *ret_integer = integer;
    return bits == word; /* tells -0.0 from 0 */
}

/* The least exponent with which every number is a decimal; integers go to ret_integers. A number that is one with some
 * exponent is one with every greater, as long as the integer is not too large, so one that fails starts it over with a
 * greater exponent. Doubles that are no decimals fail at once. */
static bool find_decimals(const uint64_t *words, const uint64_t *presence, uint32_t count, uint64_t *ret_integers,
                          unsigned *ret_exponent)
{
    unsigned exponent = 0;
    for (uint32_t i = 0; i < count;) {
        double power = chunk_power_of_ten(exponent);
        int64_t integer = 0;
        for (; i < count; i++) {
            if (!bit_at(presence, i)) {
                ret_integers[i] = 0;
                continue;
            }
            if (!as_decimal(words[i], power, &integer)) break;
            ret_integers[i] = (uint64_t)integer;
        }
        if (i == count) break;
        do {
            if (++exponent > CHUNK_EXPONENT_MAX) return false;
        } while (!as_decimal(words[i], chunk_power_of_ten(exponent), &integer));
        i = 0;
    }
    *ret_exponent = exponent;
    return true;
}

static enum status encode_words(uint32_t property, bool doubles, const uint64_t *words, const uint64_t *presence,
                                uint32_t count, const struct chunk_persons *persons, struct arena *scratch,
                                struct section_out *out, struct buf *table)
{
    struct column column = {.property = property, .items = count, .out = out, .table = table};
    for (uint32_t i = 0; i < count; i++) {
        if (bit_at(presence, i)) {
            column.present++;
            column.types |= (uint16_t)(1u << (doubles ? word_value(words[i], true).type : VALUE_INT));
        } else {
            column.types |= 1u << VALUE_ABSENT;
        }
    }
    assert(column.present);
    if (chunk_is_sparse(column.present, count)) {
        uint32_t *items = arena_alloc(scratch, column.present * sizeof *items), n = 0;
        struct value *some = arena_alloc(scratch, column.present * sizeof *some);
        if (!items || !some) return STATUS_LIMIT;
        for (uint32_t i = 0; i < count; i++) {
            if (!bit_at(presence, i)) continue;
            items[n] = i;
            some[n++] = word_value(words[i], doubles);
        }
        return chunk_encode_sparse(property, items, some, n, count, out, table);
    }
    struct chunk_source source = {.words = words, .presence = presence, .count = count};
    struct chunk_shares shares;
    const uint32_t *weights = NULL;
    if (persons) TRY(find_shares(&source, persons, chunk_share_width(&source), scratch, &shares, &column.shares));
    if (column.shares) {
        TRY(reduce_words(&words, &presence, &shares, scratch));
        column.items = shares.items;
        weights = shares.weights;
    }
    column.words = words;
    column.presence = presence;
    uint32_t items = 0;
    for (uint32_t i = 0; i < column.items; i++) items += bit_at(presence, i);

    /* Numbers must repeat three times on average to be worth a dictionary. */
    struct distinct distinct;
    uint32_t *codes = arena_alloc(scratch, (size_t)column.items * sizeof *codes), most = items / 3 + 1;
    if (!codes) return STATUS_LIMIT;
    uint32_t few = most < NUMBERS_DISTINCT_MAX ? most : NUMBERS_DISTINCT_MAX;
    enum collected collected =
        dictionary_collect_words(words, doubles, presence, weights, column.items, few, scratch, codes, &distinct);
    if (collected == COLLECT_NO_MEMORY) return STATUS_LIMIT;
    if (collected == COLLECTED && distinct.count == 1 && items == column.items)
        return write_const(&column, distinct.entries[0], count);
    if (collected == COLLECTED) return write_dict(&column, &distinct, codes, scratch);
    column.encoding = CHUNK_INT;
    if (doubles) {
        unsigned exponent = 0;
        uint64_t *integers = arena_alloc(scratch, (size_t)column.items * sizeof *integers);
        if (!integers) return STATUS_LIMIT;
        if (find_decimals(words, presence, column.items, integers, &exponent)) {
            column.encoding = CHUNK_DECIMAL;
            column.parameter = (uint8_t)exponent;
            column.words = integers;
            return write_column(&column, STR_NULL);
        }
        collected =
            dictionary_collect_words(words, true, presence, weights, column.items, most, scratch, codes, &distinct);
        if (collected == COLLECT_NO_MEMORY) return STATUS_LIMIT;
        if (collected == COLLECTED) return write_dict(&column, &distinct, codes, scratch);
        column.encoding = CHUNK_DOUBLE;
    }
    return write_column(&column, STR_NULL);
}

enum status chunk_encode_integers(uint32_t property, const int64_t *values, const uint64_t *presence, uint32_t count,
                                  const struct chunk_persons *persons, struct arena *scratch, struct section_out *out,
                                  struct buf *table)
{
    return encode_words(property, false, (const uint64_t *)values, presence, count, persons, scratch, out, table);
}

enum status chunk_encode_doubles(uint32_t property, const double *values, const uint64_t *presence, uint32_t count,
                                 const struct chunk_persons *persons, struct arena *scratch, struct section_out *out,
                                 struct buf *table)
{
    return encode_words(property, true, (const uint64_t *)values, presence, count, persons, scratch, out, table);
}

/* --- values --- */

static bool all_types(uint16_t types, uint16_t allowed)
{
    return (types & ~(allowed | 1u << VALUE_ABSENT)) == 0;
}

/* All numbers, and none that a double would change. */
static enum status encode_numbers(uint32_t property, const struct value *values, uint32_t count, bool doubles,
                                  bool absent, const struct chunk_persons *persons, struct arena *scratch,
                                  struct section_out *out, struct buf *table)
{
    uint64_t *words = arena_alloc(scratch, (size_t)count * sizeof *words);
    uint64_t *presence = absent ? arena_new_array(scratch, uint64_t, (size_t)count / 64 + 1) : NULL;
    if (!words || (absent && !presence)) return STATUS_LIMIT;
    for (uint32_t i = 0; i < count; i++) {
        words[i] = 0;
        if (values[i].type == VALUE_ABSENT) continue;
        if (absent) presence[i / 64] |= (uint64_t)1 << i % 64;
        double number = values[i].type == VALUE_DOUBLE ? values[i].number : (double)values[i].integer;
        if (doubles)
            memcpy(&words[i], &number, 8);
        else
            words[i] = (uint64_t)values[i].integer;
    }
    return encode_words(property, doubles, words, presence, count, persons, scratch, out, table);
}

/* Values must repeat twice on average to be worth a dictionary; strings of one length, which take less elsewhere, three
 * times. */
static uint32_t distinct_max(uint32_t items, bool fixed)
{
    return items / (fixed ? 3 : 2) + 1;
}

static enum status encode_sparse_values(uint32_t property, const struct value *values, uint32_t present, uint32_t count,
                                        struct arena *scratch, struct section_out *out, struct buf *table)
{
    uint32_t *items = arena_alloc(scratch, present * sizeof *items), n = 0;
    struct value *some = arena_alloc(scratch, present * sizeof *some);
    if (!items || !some) return STATUS_LIMIT;
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].type == VALUE_ABSENT) continue;
        items[n] = i;
        some[n++] = values[i];
    }
    return chunk_encode_sparse(property, items, some, present, count, out, table);
}

enum status chunk_encode_values(uint32_t property, const struct value *values, uint32_t count,
                                const struct chunk_persons *persons, struct arena *scratch, struct section_out *out,
                                struct buf *table)
{
    struct column column = {.property = property, .items = count, .out = out, .table = table};
    bool doubles_exact = true, one_size = true;
    uint32_t size = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t type = values[i].type;
        column.types |= (uint16_t)(1u << type);
        column.present += type != VALUE_ABSENT;
        if (type == VALUE_STRING) {
            if (size == UINT32_MAX) size = values[i].size;
            one_size &= values[i].size == size;
        } else if (type == VALUE_INT) {
            int64_t integer = values[i].integer;
            doubles_exact &= integer >= -((int64_t)1 << 53) && integer <= (int64_t)1 << 53;
        }
    }
    assert(column.present);
    bool absent = column.present < count;
    if (chunk_is_sparse(column.present, count))
        return encode_sparse_values(property, values, column.present, count, scratch, out, table);
    bool integers = all_types(column.types, 1u << VALUE_INT);
    if (integers || (doubles_exact && all_types(column.types, 1u << VALUE_INT | 1u << VALUE_DOUBLE)))
        return encode_numbers(property, values, count, !integers, absent, persons, scratch, out, table);

    bool fixed = all_types(column.types, 1u << VALUE_STRING) && one_size && size > 0 && size <= CHUNK_FIXED_BYTES_MAX;
    struct chunk_source source = {.values = values, .count = count};
    struct chunk_shares shares;
    const uint32_t *weights = NULL;
    uint32_t items = column.present;
    if (persons) TRY(find_shares(&source, persons, chunk_share_width(&source), scratch, &shares, &column.shares));
    if (column.shares) {
        struct value *reduced = arena_alloc(scratch, ((size_t)shares.items + 1) * sizeof *reduced);
        if (!reduced) return STATUS_LIMIT;
        items = 0;
        for (uint32_t i = 0; i < shares.items; i++) {
            reduced[i] = values[shares.item_rows[i]];
            items += reduced[i].type != VALUE_ABSENT;
        }
        values = reduced;
        column.items = shares.items;
        weights = shares.weights;
    }
    uint32_t *codes = arena_alloc(scratch, (size_t)column.items * sizeof *codes);
    struct distinct distinct;
    if (!codes) return STATUS_LIMIT;
    enum collected collected =
        dictionary_collect(values, weights, column.items, distinct_max(items, fixed), true, scratch, codes, &distinct);
    if (collected == COLLECT_NO_MEMORY) return STATUS_LIMIT;
    if (collected == COLLECTED && distinct.count == 1 && !absent)
        return write_const(&column, distinct.entries[0], count);
    if (collected == COLLECTED) return write_dict(&column, &distinct, codes, scratch);
    column.values = values;
    column.encoding = CHUNK_VARIANT;
    if (all_types(column.types, 1u << VALUE_STRING)) {
        column.encoding = fixed ? CHUNK_FIXED : CHUNK_BYTES;
        column.parameter = fixed ? (uint8_t)size : 0;
    }
    return write_column(&column, STR_NULL);
}

/* --- codes --- */

/* As values again, for what a dictionary does not suit. */
static enum status encode_expanded(uint32_t property, const struct value *entries, const uint32_t *codes,
                                   uint32_t count, const struct chunk_persons *persons, struct arena *scratch,
                                   struct section_out *out, struct buf *table)
{
    struct value *values = arena_alloc(scratch, (size_t)count * sizeof *values);
    if (!values) return STATUS_LIMIT;
    for (uint32_t i = 0; i < count; i++) values[i] = codes[i] ? entries[codes[i] - 1] : value_absent();
    return chunk_encode_values(property, values, count, persons, scratch, out, table);
}

enum status chunk_encode_codes(uint32_t property, const struct value *entries, uint32_t entry_count,
                               const uint32_t *codes, uint32_t count, const struct chunk_persons *persons,
                               struct arena *scratch, struct section_out *out, struct buf *table)
{
    struct column column = {.property = property, .items = count, .out = out, .table = table};
    uint32_t *rows = arena_new_array(scratch, uint32_t, (size_t)entry_count + 1), used = 0;
    uint32_t *renumber = arena_alloc(scratch, ((size_t)entry_count + 1) * sizeof *renumber);
    uint32_t *order = arena_alloc(scratch, ((size_t)entry_count + 1) * sizeof *order);
    if (!rows || !renumber || !order) return STATUS_LIMIT;
    for (uint32_t i = 0; i < count; i++) {
        assert(codes[i] <= entry_count);
        rows[codes[i]]++;
    }
    column.present = count - rows[0];
    assert(column.present);
    if (rows[0]) column.types |= 1u << VALUE_ABSENT;
    renumber[0] = 0;
    bool one_size = true;
    for (uint32_t e = 0; e < entry_count; e++) {
        if (!rows[e + 1]) continue;
        one_size &= entries[e].type == VALUE_STRING && entries[e].size == entries[used ? order[0] : e].size;
        column.types |= (uint16_t)(1u << entries[e].type);
        order[used++] = e;
        renumber[e + 1] = used;
    }
    if (used == 1 && column.present == count) return write_const(&column, entries[order[0]], count);
    bool numbers = all_types(column.types, 1u << VALUE_INT | 1u << VALUE_DOUBLE);
    bool fixed = one_size && entries[order[0]].size > 0 && entries[order[0]].size <= CHUNK_FIXED_BYTES_MAX;
    if (chunk_is_sparse(column.present, count))
        return encode_expanded(property, entries, codes, count, persons, scratch, out, table);
    struct chunk_source source = {.codes = codes, .count = count};
    struct chunk_shares shares;
    if (persons) TRY(find_shares(&source, persons, bitpack_width(used - !rows[0]), scratch, &shares, &column.shares));
    if (column.shares) column.items = shares.items;
    uint32_t *kept = arena_alloc(scratch, (size_t)column.items * sizeof *kept), items = 0;
    if (!kept) return STATUS_LIMIT;
    for (uint32_t i = 0; i < column.items; i++) {
        kept[i] = renumber[codes[column.shares ? shares.item_rows[i] : i]];
        items += kept[i] != 0;
    }
    uint32_t used_max = numbers ? NUMBERS_DISTINCT_MAX : distinct_max(items, fixed);
    if (used > used_max || used > CHUNK_DICTIONARY_MAX)
        return encode_expanded(property, entries, codes, count, persons, scratch, out, table);
    struct buf dictionary = BUF_INIT(out->buf.size_max);
    enum status status = dictionary_write(&dictionary, entries, rows + 1, order, used, scratch);
    column.encoding = CHUNK_DICT;
    column.distinct = used;
    column.codes = kept;
    if (status == STATUS_OK) status = write_column(&column, buf_str(&dictionary));
    buf_fini(&dictionary);
    return status;
}

/* --- core streams --- */

enum status chunk_encode_stream(uint32_t property, const uint64_t *values, uint32_t count, struct section_out *out,
                                struct buf *table)
{
    struct column column = {.property = property,
                            .encoding = CHUNK_INT,
                            .types = 1u << VALUE_INT,
                            .items = count,
                            .present = count,
                            .words = values,
                            .out = out,
                            .table = table};
    bool constant = property == CORE_RECEIVED || property == CORE_FLAGS;
    for (uint32_t i = 1; constant && i < count; i++) constant = values[i] == values[0];
    if (constant) return write_const(&column, value_int((int64_t)values[0]), count);
    return write_column(&column, STR_NULL);
}

enum status chunk_encode_person_ids(const uint32_t *ids, const uint32_t *persons, uint32_t count, struct arena *scratch,
                                    struct section_out *out, struct buf *table)
{
    uint64_t as_ranges = 0, as_ints = 0;
    for (uint32_t at = 0; at < count; at += VECTOR_ROWS_MAX) {
        struct id_ranges ranges;
        uint32_t items = count - at < VECTOR_ROWS_MAX ? count - at : VECTOR_ROWS_MAX, low = UINT32_MAX, high = 0;
        find_ranges(ids + at, persons + at, items, &ranges);
        for (uint32_t i = at; i < at + items; i++) {
            low = ids[i] < low ? ids[i] : low;
            high = ids[i] > high ? ids[i] : high;
        }
        as_ranges += ranges_bytes(&ranges);
        as_ints += 24 + bitpack_bytes(items, bitpack_width(high - low));
    }
    if (as_ranges > as_ints) {
        uint64_t *words = arena_alloc(scratch, (size_t)count * sizeof *words);
        if (!words) return STATUS_LIMIT;
        for (uint32_t i = 0; i < count; i++) words[i] = ids[i];
        return chunk_encode_stream(CORE_ID, words, count, out, table);
    }
    struct column column = {.property = CORE_ID,
                            .encoding = CHUNK_PERSON_ID,
                            .types = 1u << VALUE_INT,
                            .items = count,
                            .present = count,
                            .ids = ids,
                            .persons = persons,
                            .out = out,
                            .table = table};
    return write_column(&column, STR_NULL);
}
