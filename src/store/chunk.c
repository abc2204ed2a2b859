/* Reading of descriptors and of the vectors that queries compute with: numbers and codes. Values of any kind are in
 * chunk_values.c, dictionaries in dictionary.c. */
#include "store/chunk.h"

#include "store/bitpack.h"
#include "store/chunk_int.h"

#include <assert.h>
#include <math.h>

#define DICTIONARY_REF_AT 24

static struct section_ref ref_at(const unsigned char *refs, uint32_t index)
{
    struct reader reader = reader_of(str_from(refs + (size_t)index * SECTION_REF_BYTES, SECTION_REF_BYTES));
    return section_ref_read(&reader);
}

struct section_ref chunk_block(const struct chunk *chunk, uint32_t index)
{
    return ref_at(chunk->block_refs, index);
}

struct section_ref chunk_exception_block(const struct chunk *chunk, uint32_t index)
{
    return ref_at(chunk->exception_refs, index);
}

enum status chunk_read(struct reader *table, struct chunk *ret_chunk)
{
    struct chunk chunk = {.property = read_u32(table), .encoding = read_u8(table)};
    uint8_t parameter = read_u8(table);
    chunk.per_person = parameter >> 7;
    chunk.parameter = parameter & 0x7F;
    chunk.types = read_u16(table);
    chunk.items = read_u32(table);
    chunk.present = read_u32(table);
    chunk.distinct = read_u32(table);
    chunk.block_count = read_u32(table);
    chunk.dictionary = section_ref_read(table);
    if (chunk.per_person) {
        chunk.exceptions = read_u32(table);
        chunk.exception_block_count = read_u32(table);
    }
    if (table->failed || chunk.encoding < CHUNK_CONST || chunk.encoding > CHUNK_ENCODING_MAX) return STATUS_CORRUPT;
    bool blockless = chunk.encoding == CHUNK_CONST || chunk.encoding == CHUNK_SPARSE;
    uint32_t expected = blockless ? 0 : chunk.items / BLOCK_ITEMS + (chunk.items % BLOCK_ITEMS != 0);
    if (chunk.block_count != expected) return STATUS_CORRUPT;
    if (chunk.per_person && (blockless || chunk.encoding == CHUNK_PERSON_ID)) return STATUS_CORRUPT;
    if (chunk.exceptions > chunk.items || (chunk.exceptions == 0) != (chunk.exception_block_count == 0))
        return STATUS_CORRUPT;
    uint8_t parameter_max = chunk.encoding == CHUNK_DECIMAL ? CHUNK_EXPONENT_MAX
                            : chunk.encoding == CHUNK_FIXED ? CHUNK_FIXED_BYTES_MAX
                                                            : 0;
    if (chunk.parameter > parameter_max || (chunk.encoding == CHUNK_FIXED && chunk.parameter == 0))
        return STATUS_CORRUPT;
    struct str refs = read_bytes(table, (size_t)chunk.block_count * SECTION_REF_BYTES);
    struct str exception_refs = read_bytes(table, (size_t)chunk.exception_block_count * SECTION_REF_BYTES);
    if (table->failed) return STATUS_CORRUPT;
    chunk.block_refs = (const unsigned char *)refs.data;
    chunk.exception_refs = (const unsigned char *)exception_refs.data;
    *ret_chunk = chunk;
    return STATUS_OK;
}

static void move_ref(char *at, uint64_t base)
{
    uint64_t offset;
    uint32_t size;
    memcpy(&offset, at, 8);
    memcpy(&size, at + 8, 4);
    if (!size) return; /* refers to nothing */
    offset += base;
    memcpy(at, &offset, 8);
}

void chunk_table_move(char *table, size_t size, uint64_t base)
{
    struct reader reader = reader_of(str_from(table, size));
    struct chunk chunk;
    (void)read_u32(&reader);
    while (reader_left(&reader)) {
        char *at = table + (size - reader_left(&reader));
        enum status status = chunk_read(&reader, &chunk);
        assert(status == STATUS_OK);
        (void)status;
        move_ref(at + DICTIONARY_REF_AT, base);
        /* the references of blocks and exception blocks stand behind each other, at the end */
        uint32_t refs = chunk.block_count + chunk.exception_block_count;
        at = table + (size - reader_left(&reader)) - (size_t)refs * SECTION_REF_BYTES;
        for (uint32_t i = 0; i < refs; i++) move_ref(at + (size_t)i * SECTION_REF_BYTES, base);
    }
}

uint32_t chunk_vector_items(const struct chunk *chunk, uint32_t vector)
{
    uint64_t first = (uint64_t)vector * VECTOR_ROWS_MAX;
    if (first >= chunk->items) return 0;
    return chunk->items - first < VECTOR_ROWS_MAX ? (uint32_t)(chunk->items - first) : VECTOR_ROWS_MAX;
}

enum status chunk_open_vector(const struct chunk *chunk, struct str block, uint32_t vector, struct reader *ret_reader)
{
    uint32_t first = vector / BLOCK_VECTORS * BLOCK_ITEMS, inside = vector % BLOCK_VECTORS;
    if (chunk_vector_items(chunk, vector) == 0) return STATUS_CORRUPT;
    uint32_t left = chunk->items - first;
    size_t vectors = ((left < BLOCK_ITEMS ? left : BLOCK_ITEMS) + VECTOR_ROWS_MAX - 1) / VECTOR_ROWS_MAX;
    size_t start = (vectors * 4 + 7) / 8 * 8;
    if (block.size < start) return STATUS_CORRUPT;
    uint32_t end;
    if (inside) {
        memcpy(&end, block.data + ((size_t)inside - 1) * 4, 4);
        if (end < start) return STATUS_CORRUPT;
        start = end;
    }
    memcpy(&end, block.data + (size_t)inside * 4, 4);
    if (start > end || end > block.size) return STATUS_CORRUPT;
    *ret_reader = reader_of(str_from(block.data + start, end - start));
    return STATUS_OK;
}

/* --- codes --- */

struct open_codes {
    uint32_t items, base;
    unsigned width;
    const unsigned char *packed;
};

static enum status open_codes(const struct chunk *chunk, struct str block, uint32_t vector, uint32_t dict_count,
                              struct open_codes *ret)
{
    struct reader reader;
    if (chunk->encoding != CHUNK_DICT) return STATUS_CORRUPT;
    TRY(chunk_open_vector(chunk, block, vector, &reader));
    struct open_codes codes = {.items = chunk_vector_items(chunk, vector), .width = read_u8(&reader)};
    (void)read_bytes(&reader, 3);
    codes.base = read_u32(&reader);
    if (reader.failed || codes.base >= dict_count || codes.width > bitpack_width(dict_count - 1)) return STATUS_CORRUPT;
    struct str packed = read_bytes(&reader, bitpack_bytes(codes.items, codes.width));
    if (reader.failed) return STATUS_CORRUPT;
    codes.packed = (const unsigned char *)packed.data;
    *ret = codes;
    return STATUS_OK;
}

enum status chunk_decode_codes16(const struct chunk *chunk, struct str block, uint32_t vector, uint32_t dict_count,
                                 uint16_t *ret_codes)
{
    struct open_codes codes;
    TRY(open_codes(chunk, block, vector, dict_count, &codes));
    if (codes.width > 16) return STATUS_CORRUPT;
    const struct unpack_table *table = CPU_SELECT(unpack_table);
    bitpack_read16(codes.packed, codes.items, codes.width, ret_codes);
    uint32_t max = codes.base + table->max16(ret_codes, codes.items);
    if (max >= dict_count || max > UINT16_MAX) return STATUS_CORRUPT;
    if (codes.base) table->add16(ret_codes, codes.items, (uint16_t)codes.base);
    return STATUS_OK;
}

enum status chunk_decode_codes32(const struct chunk *chunk, struct str block, uint32_t vector, uint32_t dict_count,
                                 uint32_t *ret_codes)
{
    struct open_codes codes;
    TRY(open_codes(chunk, block, vector, dict_count, &codes));
    const struct unpack_table *table = CPU_SELECT(unpack_table);
    bitpack_read32(codes.packed, codes.items, codes.width, ret_codes);
    if (codes.base + table->max32(ret_codes, codes.items) >= dict_count) return STATUS_CORRUPT;
    if (codes.base) table->add32(ret_codes, codes.items, codes.base);
    return STATUS_OK;
}

enum status chunk_codes_range(const struct chunk *chunk, struct str block, uint32_t vector, uint32_t dict_count,
                              uint32_t *ret_min, uint32_t *ret_max)
{
    struct open_codes codes;
    TRY(open_codes(chunk, block, vector, dict_count, &codes));
    *ret_min = codes.base;
    uint64_t max = codes.base + (((uint64_t)1 << codes.width) - 1);
    *ret_max = max < dict_count ? (uint32_t)max : dict_count - 1;
    return STATUS_OK;
}

/* --- numbers --- */

enum status chunk_open_ints(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_open_ints *ret)
{
    struct reader reader;
    if (chunk->encoding != CHUNK_INT && chunk->encoding != CHUNK_DECIMAL) return STATUS_CORRUPT;
    TRY(chunk_open_vector(chunk, block, vector, &reader));
    struct chunk_open_ints ints = {0};
    struct chunk_ints *head = &ints.head;
    head->items = chunk_vector_items(chunk, vector);
    head->width = read_u8(&reader);
    head->all_present = !read_u8(&reader);
    (void)read_u16(&reader);
    head->scale = read_u32(&reader);
    head->min = (int64_t)read_u64(&reader);
    head->max = (int64_t)read_u64(&reader);
    if (reader.failed || head->min > head->max || head->scale == 0) return STATUS_CORRUPT;
    uint64_t span = (uint64_t)head->max - (uint64_t)head->min;
    if (head->scale != 1) {
        if (span % head->scale) return STATUS_CORRUPT;
        span /= head->scale;
    }
    if (head->width != bitpack_width(span)) return STATUS_CORRUPT;
    if (chunk->encoding == CHUNK_DECIMAL && (head->min < -CHUNK_DECIMAL_MAX || head->max > CHUNK_DECIMAL_MAX))
        return STATUS_CORRUPT;
    chunk_read_presence(&reader, !head->all_present, head->items, &ints.presence);
    struct str packed = read_bytes(&reader, bitpack_bytes(head->items, head->width));
    if (reader.failed) return STATUS_CORRUPT;
    ints.packed = (const unsigned char *)packed.data;
    *ret = ints;
    return STATUS_OK;
}

enum status chunk_ints(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_ints *ret)
{
    struct chunk_open_ints ints;
    TRY(chunk_open_ints(chunk, block, vector, &ints));
    *ret = ints.head;
    return STATUS_OK;
}

/* The greatest offset that the head allows; the width is just what it needs. */
static uint64_t offset_max(const struct chunk_ints *head)
{
    return ((uint64_t)head->max - (uint64_t)head->min) / head->scale;
}

enum status chunk_unpack_offsets16(const struct chunk_open_ints *ints, uint16_t *ret_offsets)
{
    if (ints->head.width > 16) return STATUS_CORRUPT;
    bitpack_read16(ints->packed, ints->head.items, ints->head.width, ret_offsets);
    return CPU_SELECT(unpack_table)->max16(ret_offsets, ints->head.items) <= offset_max(&ints->head) ? STATUS_OK
                                                                                                     : STATUS_CORRUPT;
}

enum status chunk_unpack_offsets32(const struct chunk_open_ints *ints, uint32_t *ret_offsets)
{
    if (ints->head.width > 32) return STATUS_CORRUPT;
    bitpack_read32(ints->packed, ints->head.items, ints->head.width, ret_offsets);
    return CPU_SELECT(unpack_table)->max32(ret_offsets, ints->head.items) <= offset_max(&ints->head) ? STATUS_OK
                                                                                                     : STATUS_CORRUPT;
}

enum status chunk_decode_offsets16(const struct chunk *chunk, struct str block, uint32_t vector,
                                   struct chunk_ints *ret_head, uint16_t *ret_offsets)
{
    struct chunk_open_ints ints;
    TRY(chunk_open_ints(chunk, block, vector, &ints));
    TRY(chunk_unpack_offsets16(&ints, ret_offsets));
    *ret_head = ints.head;
    return STATUS_OK;
}

enum status chunk_decode_offsets32(const struct chunk *chunk, struct str block, uint32_t vector,
                                   struct chunk_ints *ret_head, uint32_t *ret_offsets)
{
    struct chunk_open_ints ints;
    TRY(chunk_open_ints(chunk, block, vector, &ints));
    TRY(chunk_unpack_offsets32(&ints, ret_offsets));
    *ret_head = ints.head;
    return STATUS_OK;
}

enum status chunk_unpack_ints(const struct chunk_open_ints *ints, int64_t *ret_values)
{
    const struct chunk_ints *head = &ints->head;
    uint64_t min = (uint64_t)head->min;
    if (head->width <= 16) {
        uint16_t offsets[VECTOR_ROWS_MAX];
        TRY(chunk_unpack_offsets16(ints, offsets));
        for (uint32_t i = 0; i < head->items; i++) ret_values[i] = (int64_t)(min + (uint64_t)offsets[i] * head->scale);
        return STATUS_OK;
    }
    if (head->width <= 32) {
        uint32_t offsets[VECTOR_ROWS_MAX];
        TRY(chunk_unpack_offsets32(ints, offsets));
        for (uint32_t i = 0; i < head->items; i++) ret_values[i] = (int64_t)(min + (uint64_t)offsets[i] * head->scale);
        return STATUS_OK;
    }
    uint64_t offsets[VECTOR_ROWS_MAX], limit = offset_max(head);
    bool inside = true;
    bitpack_read64(ints->packed, head->items, head->width, offsets);
    for (uint32_t i = 0; i < head->items; i++) {
        inside &= offsets[i] <= limit;
        ret_values[i] = (int64_t)(min + offsets[i] * head->scale);
    }
    return inside ? STATUS_OK : STATUS_CORRUPT;
}

enum status chunk_decode_ints(const struct chunk *chunk, struct str block, uint32_t vector, int64_t *ret_values)
{
    struct chunk_open_ints ints;
    if (chunk->encoding != CHUNK_INT) return STATUS_CORRUPT;
    TRY(chunk_open_ints(chunk, block, vector, &ints));
    return ints.presence ? STATUS_CORRUPT : chunk_unpack_ints(&ints, ret_values);
}

enum status chunk_get_int(const struct chunk *chunk, struct str block, uint32_t item, int64_t *ret_value)
{
    struct chunk_open_ints ints;
    uint32_t index = item % VECTOR_ROWS_MAX;
    if (chunk->encoding != CHUNK_INT) return STATUS_CORRUPT;
    TRY(chunk_open_ints(chunk, block, item / VECTOR_ROWS_MAX, &ints));
    if (index >= ints.head.items) return STATUS_CORRUPT;
    if (!chunk_present_at(ints.presence, index)) return STATUS_NOT_FOUND;
    uint64_t offset = bitpack_get_vector(ints.packed, ints.head.items, index, ints.head.width);
    if (offset > offset_max(&ints.head)) return STATUS_CORRUPT;
    *ret_value = (int64_t)((uint64_t)ints.head.min + offset * ints.head.scale);
    return STATUS_OK;
}

double chunk_power_of_ten(unsigned exponent)
{
    static const double powers[CHUNK_EXPONENT_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                          1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                          1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    return powers[exponent];
}

/* A vector of raw doubles: 8 bytes of head, the range, presence bits, the numbers. */
struct open_doubles {
    uint32_t items;
    double min, max;
    const unsigned char *presence, *numbers;
};

static enum status open_doubles(const struct chunk *chunk, struct str block, uint32_t vector, struct open_doubles *ret)
{
    struct reader reader;
    TRY(chunk_open_vector(chunk, block, vector, &reader));
    struct open_doubles doubles = {.items = chunk_vector_items(chunk, vector)};
    (void)read_u8(&reader);
    bool presence = read_u8(&reader);
    (void)read_bytes(&reader, 6);
    uint64_t min = read_u64(&reader), max = read_u64(&reader);
    memcpy(&doubles.min, &min, 8);
    memcpy(&doubles.max, &max, 8);
    chunk_read_presence(&reader, presence, doubles.items, &doubles.presence);
    struct str numbers = read_bytes(&reader, (size_t)doubles.items * 8);
    if (reader.failed || !isfinite(doubles.min) || !isfinite(doubles.max)) return STATUS_CORRUPT;
    doubles.numbers = (const unsigned char *)numbers.data;
    *ret = doubles;
    return STATUS_OK;
}

static void presence_words(const unsigned char *presence, uint32_t items, uint64_t bits[CHUNK_PRESENCE_WORDS])
{
    size_t words = ((size_t)items + 63) / 64;
    memset(bits, 0, CHUNK_PRESENCE_WORDS * sizeof *bits);
    if (presence)
        memcpy(bits, presence, words * 8);
    else
        memset(bits, 0xFF, words * 8);
    if (items % 64) bits[words - 1] &= ((uint64_t)1 << items % 64) - 1;
}

enum status chunk_decode_presence(const struct chunk *chunk, struct str block, uint32_t vector,
                                  uint64_t ret_bits[CHUNK_PRESENCE_WORDS])
{
    struct reader reader;
    size_t after; /* bytes of the head behind its first two */
    switch (chunk->encoding) {
    case CHUNK_INT:
    case CHUNK_DECIMAL:
    case CHUNK_DOUBLE: after = 22; break;
    case CHUNK_BYTES:
    case CHUNK_FIXED: after = 6; break;
    default: return STATUS_CORRUPT;
    }
    const unsigned char *presence;
    uint32_t items = chunk_vector_items(chunk, vector);
    TRY(chunk_open_vector(chunk, block, vector, &reader));
    (void)read_u8(&reader);
    bool any = read_u8(&reader);
    (void)read_bytes(&reader, after);
    chunk_read_presence(&reader, any, items, &presence);
    if (reader.failed) return STATUS_CORRUPT;
    presence_words(presence, items, ret_bits);
    return STATUS_OK;
}

enum status chunk_decode_doubles(const struct chunk *chunk, struct str block, uint32_t vector, double *ret_values,
                                 uint64_t ret_bits[CHUNK_PRESENCE_WORDS])
{
    if (chunk->encoding == CHUNK_DOUBLE) {
        struct open_doubles doubles;
        bool inside = true;
        TRY(open_doubles(chunk, block, vector, &doubles));
        memcpy(ret_values, doubles.numbers, (size_t)doubles.items * 8);
        /* also finds NaN */
        for (uint32_t i = 0; i < doubles.items; i++)
            inside &= ret_values[i] >= doubles.min && ret_values[i] <= doubles.max;
        presence_words(doubles.presence, doubles.items, ret_bits);
        return inside ? STATUS_OK : STATUS_CORRUPT;
    }
    struct chunk_open_ints ints;
    TRY(chunk_open_ints(chunk, block, vector, &ints));
    const struct chunk_ints *head = &ints.head;
    double power = chunk->encoding == CHUNK_DECIMAL ? chunk_power_of_ten(chunk->parameter) : 1;
    presence_words(ints.presence, head->items, ret_bits);
    bool exact = head->min >= -CHUNK_DECIMAL_MAX && head->max <= CHUNK_DECIMAL_MAX;
    if (exact && head->width <= 16) {
        uint16_t offsets[VECTOR_ROWS_MAX];
        TRY(chunk_unpack_offsets16(&ints, offsets));
        CPU_SELECT(unpack_table)->doubles16(offsets, head->items, (double)head->min, head->scale, power, ret_values);
        return STATUS_OK;
    }
    if (exact && head->width <= 32) {
        uint32_t offsets[VECTOR_ROWS_MAX];
        TRY(chunk_unpack_offsets32(&ints, offsets));
        CPU_SELECT(unpack_table)->doubles32(offsets, head->items, (double)head->min, head->scale, power, ret_values);
        return STATUS_OK;
    }
    int64_t integers[VECTOR_ROWS_MAX];
    TRY(chunk_unpack_ints(&ints, integers));
    for (uint32_t i = 0; i < head->items; i++) ret_values[i] = (double)integers[i] / power;
    return STATUS_OK;
}

enum status chunk_vector_range(const struct chunk *chunk, struct str block, uint32_t vector, double *ret_min,
                               double *ret_max, bool *ret_any)
{
    uint64_t bits[CHUNK_PRESENCE_WORDS], any = 0;
    double min, max;
    if (chunk->encoding == CHUNK_DOUBLE) {
        struct open_doubles doubles;
        TRY(open_doubles(chunk, block, vector, &doubles));
        min = doubles.min;
        max = doubles.max;
        presence_words(doubles.presence, doubles.items, bits);
    } else {
        struct chunk_open_ints ints;
        TRY(chunk_open_ints(chunk, block, vector, &ints));
        double power = chunk->encoding == CHUNK_DECIMAL ? chunk_power_of_ten(chunk->parameter) : 1;
        min = (double)ints.head.min / power;
        max = (double)ints.head.max / power;
        presence_words(ints.presence, ints.head.items, bits);
    }
    for (unsigned i = 0; i < CHUNK_PRESENCE_WORDS; i++) any |= bits[i];
    *ret_min = min;
    *ret_max = max;
    *ret_any = any != 0;
    return STATUS_OK;
}
