#include "store/chunk.h"

#include "base/hash.h"
#include "store/bitpack.h"

#include <assert.h>
#include <stdlib.h>

#define DICTIONARY_ENTRIES_MAX (1u << 20)

struct section_ref chunk_block(const struct chunk *chunk, uint32_t index)
{
    struct reader reader =
        reader_of(str_from(chunk->block_refs + (size_t)index * SECTION_REF_BYTES, SECTION_REF_BYTES));
    return section_ref_read(&reader);
}

/* --- writing --- */

struct column {
    const struct value *values; /* or */
    const uint64_t *integers;
    const uint32_t *codes; /* DICT */
    uint32_t count;
    enum chunk_encoding encoding;
};

static void presence_bits(struct buf *buf, const struct value *values, uint32_t items)
{
    for (uint32_t at = 0; at < items; at += 64) {
        uint64_t word = 0;
        for (uint32_t i = at; i < items && i < at + 64; i++) {
            if (values[i].type != VALUE_ABSENT) word |= (uint64_t)1 << (i - at);
        }
        buf_u64(buf, word);
    }
}

static void vector_head(struct buf *buf, unsigned width, bool presence)
{
    buf_byte(buf, (char)width);
    buf_byte(buf, presence);
    buf_fill(buf, 0, 6);
}

static bool any_absent(const struct value *values, uint32_t items)
{
    for (uint32_t i = 0; i < items; i++) {
        if (values[i].type == VALUE_ABSENT) return true;
    }
    return false;
}

static void encode_ints(struct buf *block, const int64_t *values, const struct value *presence, uint32_t items)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (uint32_t i = 0; i < items; i++) {
        if (presence && presence[i].type == VALUE_ABSENT) continue;
        if (values[i] < low) low = values[i];
        if (values[i] > high) high = values[i];
    }
    if (low > high) low = high = 0;
    unsigned width = bitpack_width((uint64_t)high - (uint64_t)low);
    bool absent = presence && any_absent(presence, items);
    vector_head(block, width, absent);
    buf_u64(block, (uint64_t)low);
    if (absent) presence_bits(block, presence, items);
    uint64_t offsets[VECTOR_ROWS_MAX];
    for (uint32_t i = 0; i < items; i++) {
        offsets[i] = presence && presence[i].type == VALUE_ABSENT ? 0 : (uint64_t)values[i] - (uint64_t)low;
    }
    bitpack_write(block, offsets, items, width);
}

static void encode_vector(struct buf *block, const struct column *column, uint32_t first, uint32_t items)
{
    uint64_t packed[VECTOR_ROWS_MAX];
    switch (column->encoding) {
    case CHUNK_DICT: {
        uint64_t high = 0;
        for (uint32_t i = 0; i < items; i++) {
            packed[i] = column->codes[first + i];
            if (packed[i] > high) high = packed[i];
        }
        unsigned width = bitpack_width(high);
        buf_byte(block, (char)width);
        buf_fill(block, 0, 7);
        bitpack_write(block, packed, items, width);
        break;
    }
    case CHUNK_INT: {
        int64_t integers[VECTOR_ROWS_MAX];
        for (uint32_t i = 0; i < items; i++) {
            integers[i] = column->values ? column->values[first + i].integer : (int64_t)column->integers[first + i];
        }
        encode_ints(block, integers, column->values ? column->values + first : NULL, items);
        break;
    }
    case CHUNK_DOUBLE: {
        const struct value *values = column->values + first;
        bool absent = any_absent(values, items);
        vector_head(block, 0, absent);
        if (absent) presence_bits(block, values, items);
        for (uint32_t i = 0; i < items; i++) {
            double number = values[i].type == VALUE_DOUBLE ? values[i].number
                            : values[i].type == VALUE_INT  ? (double)values[i].integer
                                                           : 0;
            uint64_t bits;
            memcpy(&bits, &number, 8);
            buf_u64(block, bits);
        }
        break;
    }
    case CHUNK_BYTES: {
        const struct value *values = column->values + first;
        bool absent = any_absent(values, items);
        uint64_t high = 0;
        for (uint32_t i = 0; i < items; i++) {
            packed[i] = values[i].type == VALUE_ABSENT ? 0 : values[i].size;
            if (packed[i] > high) high = packed[i];
        }
        vector_head(block, bitpack_width(high), absent);
        if (absent) presence_bits(block, values, items);
        bitpack_write(block, packed, items, bitpack_width(high));
        for (uint32_t i = 0; i < items; i++) {
            if (packed[i]) buf_add(block, values[i].data, values[i].size);
        }
        break;
    }
    default: {
        const struct value *values = column->values + first;
        uint64_t high = 0;
        for (uint32_t i = 0; i < items; i++) {
            packed[i] = values[i].type == VALUE_ABSENT ? 0 : value_encoded_size(values[i]);
            if (packed[i] > high) high = packed[i];
        }
        vector_head(block, bitpack_width(high), false);
        bitpack_write(block, packed, items, bitpack_width(high));
        for (uint32_t i = 0; i < items; i++) {
            if (values[i].type != VALUE_ABSENT) value_encode(block, values[i]);
        }
    }
    }
}

/* Writes the blocks, then the descriptor that points at them. */
static enum status write_column(uint32_t property, const struct column *column, struct str dictionary, uint16_t types,
                                uint32_t present, uint32_t distinct, struct section_out *out, struct buf *table)
{
    bool blockless = column->encoding == CHUNK_CONST || column->encoding == CHUNK_SPARSE;
    uint32_t blocks = blockless ? 0 : (column->count + BLOCK_ITEMS - 1) / BLOCK_ITEMS;
    struct section_ref dict_ref = dictionary.size ? section_append(out, dictionary) : (struct section_ref){0};
    buf_u32(table, property);
    buf_byte(table, (char)column->encoding);
    buf_byte(table, 0);
    buf_u16(table, types);
    buf_u32(table, column->count);
    buf_u32(table, present);
    buf_u32(table, distinct);
    buf_u32(table, blocks);
    section_ref_write(table, dict_ref);
    struct buf block = BUF_INIT(out->buf.size_max);
    for (uint32_t b = 0; b < blocks; b++) {
        uint32_t first = b * BLOCK_ITEMS, left = column->count - first;
        uint32_t vectors = ((left < BLOCK_ITEMS ? left : BLOCK_ITEMS) + VECTOR_ROWS_MAX - 1) / VECTOR_ROWS_MAX;
        buf_reset(&block);
        buf_fill(&block, 0, (size_t)vectors * 4);
        buf_fill(&block, 0, (8 - block.size % 8) % 8);
        for (uint32_t v = 0; v < vectors; v++) {
            uint32_t at = first + v * VECTOR_ROWS_MAX, items = column->count - at;
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
        section_ref_write(table, section_append(out, buf_str(&block)));
    }
    buf_fini(&block);
    TRY(section_out_status(out));
    return buf_status(table);
}

enum status chunk_encode_ints(uint32_t property, const uint64_t *values, uint32_t count, struct section_out *out,
                              struct buf *table)
{
    struct column column = {.integers = values, .count = count, .encoding = CHUNK_INT};
    return write_column(property, &column, STR_NULL, 1 << VALUE_INT, count, 0, out, table);
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
    uint32_t end = 0;
    for (uint32_t i = 0; i < present; i++) buf_u32(&dictionary, end += (uint32_t)value_encoded_size(values[i]));
    for (uint32_t i = 0; i < present; i++) value_encode(&dictionary, values[i]);
    struct column column = {.count = count, .encoding = CHUNK_SPARSE};
    enum status status = buf_status(&dictionary);
    if (status == STATUS_OK)
        status = write_column(property, &column, buf_str(&dictionary), types, present, 0, out, table);
    buf_fini(&dictionary);
    return status;
}

struct entry {
    struct value value;
    uint32_t first, code;
};

static int entry_cmp(const void *a, const void *b)
{
    return value_cmp(((const struct entry *)a)->value, ((const struct entry *)b)->value);
}

/* Strictly the same value: -0.0 and 0, or equal objects with other key order, are different dictionary entries. */
static bool same(struct value a, struct value b)
{
    return value_cmp(a, b) == 0;
}

/* Collects the distinct values; false when there are more than `distinct_max`. codes[i] becomes 0 for absent, else the
 * entry's number from 1 in the order of first sight. */
static bool collect(const struct value *values, uint32_t count, uint32_t distinct_max, struct arena *scratch,
                    struct entry **ret_entries, uint32_t *ret_distinct, uint32_t *codes, bool *ret_memory)
{
    size_t capacity = 64;
    uint32_t distinct = 0;
    uint32_t *slots = arena_new_array(scratch, uint32_t, capacity);
    struct entry *entries = arena_new_array(scratch, struct entry, capacity);
    *ret_memory = slots && entries;
    if (!*ret_memory) return false;
    for (uint32_t i = 0; i < count; i++) {
        codes[i] = 0;
        if (values[i].type == VALUE_ABSENT) continue;
        size_t at = value_hash(values[i]) & (capacity - 1);
        while (slots[at] && !same(entries[slots[at] - 1].value, values[i])) at = (at + 1) & (capacity - 1);
        if (!slots[at]) {
            if (distinct == distinct_max) return false;
            if ((distinct + 1) * 2 > capacity) {
                size_t grown = capacity * 2;
                struct entry *more =
                    arena_realloc(scratch, entries, capacity * sizeof *entries, grown * sizeof *entries);
                slots = arena_new_array(scratch, uint32_t, grown);
                *ret_memory = slots && more;
                if (!*ret_memory) return false;
                entries = more;
                capacity = grown;
                for (uint32_t e = 0; e < distinct; e++) {
                    size_t to = value_hash(entries[e].value) & (capacity - 1);
                    while (slots[to]) to = (to + 1) & (capacity - 1);
                    slots[to] = e + 1;
                }
                at = value_hash(values[i]) & (capacity - 1);
                while (slots[at]) at = (at + 1) & (capacity - 1);
            }
            entries[distinct] = (struct entry){values[i], distinct, 0};
            slots[at] = ++distinct;
        }
        codes[i] = slots[at];
    }
    *ret_entries = entries;
    *ret_distinct = distinct;
    return true;
}

static enum status dictionary_bytes(const struct entry *entries, uint32_t count, struct buf *buf)
{
    buf_u32(buf, count);
    size_t ends = buf->size;
    buf_fill(buf, 0, (size_t)count * 4);
    size_t start = buf->size;
    for (uint32_t i = 0; i < count; i++) {
        value_encode(buf, entries[i].value);
        TRY(buf_status(buf));
        uint32_t end = (uint32_t)(buf->size - start);
        memcpy(buf->data + ends + (size_t)i * 4, &end, 4);
    }
    return buf_status(buf);
}

static bool all_types(uint16_t types, uint16_t allowed)
{
    return (types & ~(allowed | 1u << VALUE_ABSENT)) == 0;
}

enum status chunk_encode(uint32_t property, const struct value *values, uint32_t count, struct arena *scratch,
                         struct section_out *out, struct buf *table)
{
    uint16_t types = 0;
    uint32_t present = 0;
    bool doubles_exact = true;
    for (uint32_t i = 0; i < count; i++) {
        types |= (uint16_t)(1u << values[i].type);
        present += values[i].type != VALUE_ABSENT;
        if (values[i].type == VALUE_INT) {
            int64_t integer = values[i].integer;
            doubles_exact = doubles_exact && integer > -(1LL << 53) && integer < 1LL << 53;
        }
    }
    assert(present);
    struct column column = {.values = values, .count = count};
    struct buf dictionary = BUF_INIT(out->buf.size_max);
    enum status status = STATUS_OK;
    uint32_t distinct = 0;
    struct entry *entries = NULL;
    bool memory = true;
    uint32_t *codes = arena_new_array(scratch, uint32_t, count);
    if (!codes) return STATUS_LIMIT;
    /* A dictionary pays while values repeat: numbers three times on average, everything else twice. */
    bool numeric = all_types(types, 1u << VALUE_INT | 1u << VALUE_DOUBLE);
    uint32_t distinct_max = present / (numeric ? 3 : 2) + 1;
    if (distinct_max > DICTIONARY_ENTRIES_MAX) distinct_max = DICTIONARY_ENTRIES_MAX;
    bool few = collect(values, count, distinct_max, scratch, &entries, &distinct, codes, &memory);
    if (!memory) return STATUS_LIMIT;
    if (few && distinct == 1 && present == count) {
        column.encoding = CHUNK_CONST;
        value_encode(&dictionary, entries[0].value);
        status = buf_status(&dictionary);
    } else if (few && !(all_types(types, 1u << VALUE_INT) && distinct > 256)) {
        column.encoding = CHUNK_DICT;
        qsort(entries, distinct, sizeof *entries, entry_cmp);
        uint32_t *renumber = arena_new_array(scratch, uint32_t, (size_t)distinct + 1);
        if (!renumber) return STATUS_LIMIT;
        for (uint32_t i = 0; i < distinct; i++) renumber[entries[i].first + 1] = i + 1;
        for (uint32_t i = 0; i < count; i++) codes[i] = renumber[codes[i]];
        column.codes = codes;
        status = dictionary_bytes(entries, distinct, &dictionary);
    } else {
        distinct = few ? distinct : 0;
        column.encoding = all_types(types, 1u << VALUE_INT)      ? CHUNK_INT
                          : numeric && doubles_exact             ? CHUNK_DOUBLE
                          : all_types(types, 1u << VALUE_STRING) ? CHUNK_BYTES
                                                                 : CHUNK_VARIANT;
    }
    if (status == STATUS_OK)
        status = write_column(property, &column, buf_str(&dictionary), types, present, distinct, out, table);
    buf_fini(&dictionary);
    return status;
}

/* --- reading --- */

enum status chunk_read(struct reader *table, struct chunk *ret_chunk)
{
    struct chunk chunk = {.property = read_u32(table), .encoding = read_u8(table)};
    (void)read_u8(table);
    chunk.types = read_u16(table);
    chunk.items = read_u32(table);
    chunk.present = read_u32(table);
    chunk.distinct = read_u32(table);
    chunk.block_count = read_u32(table);
    chunk.dictionary = section_ref_read(table);
    if (table->failed || chunk.encoding < CHUNK_CONST || chunk.encoding > CHUNK_SPARSE) return STATUS_CORRUPT;
    bool blockless = chunk.encoding == CHUNK_CONST || chunk.encoding == CHUNK_SPARSE;
    uint32_t expected = blockless ? 0 : chunk.items / BLOCK_ITEMS + (chunk.items % BLOCK_ITEMS != 0);
    if (chunk.block_count != expected) return STATUS_CORRUPT;
    struct str refs = read_bytes(table, (size_t)chunk.block_count * SECTION_REF_BYTES);
    if (table->failed) return STATUS_CORRUPT;
    chunk.block_refs = (const unsigned char *)refs.data;
    *ret_chunk = chunk;
    return STATUS_OK;
}

enum status chunk_dictionary(const struct chunk *chunk, struct str bytes, struct arena *arena,
                             struct value **ret_values, uint32_t *ret_count, uint32_t **ret_items)
{
    struct reader reader = reader_of(bytes);
    if (chunk->encoding == CHUNK_CONST) {
        struct value *value = arena_alloc(arena, sizeof *value);
        if (!value) return STATUS_LIMIT;
        TRY(value_decode(&reader, value));
        *ret_values = value;
        *ret_count = 1;
        return STATUS_OK;
    }
    uint32_t count = read_u32(&reader);
    if (count > reader_left(&reader) / 4) return STATUS_CORRUPT;
    bool sparse = chunk->encoding == CHUNK_SPARSE;
    uint32_t *items = NULL;
    if (sparse && count != chunk->present) return STATUS_CORRUPT; /* a merge makes room for what the descriptor says */
    if (sparse) {
        items = arena_alloc(arena, (size_t)count * sizeof *items);
        if (!items) return STATUS_LIMIT;
        for (uint32_t i = 0; i < count; i++) {
            items[i] = read_u32(&reader);
            if (items[i] >= chunk->items || (i && items[i] <= items[i - 1])) return STATUS_CORRUPT;
        }
    }
    if (count > reader_left(&reader) / 4) return STATUS_CORRUPT;
    (void)read_bytes(&reader, (size_t)count * 4); /* the ends serve random access; here all entries are read in order */
    struct value *values = arena_alloc(arena, ((size_t)count + 1) * sizeof *values);
    if (!values) return STATUS_LIMIT;
    uint32_t filled = 0;
    if (!sparse) values[filled++] = value_absent();
    for (uint32_t i = 0; i < count; i++) TRY(value_decode(&reader, &values[filled++]));
    if (reader_left(&reader)) return STATUS_CORRUPT;
    *ret_values = values;
    *ret_count = filled;
    if (sparse) *ret_items = items;
    return STATUS_OK;
}

uint32_t chunk_vector_items(const struct chunk *chunk, uint32_t vector)
{
    uint64_t first = (uint64_t)vector * VECTOR_ROWS_MAX;
    if (first >= chunk->items) return 0;
    return chunk->items - first < VECTOR_ROWS_MAX ? (uint32_t)(chunk->items - first) : VECTOR_ROWS_MAX;
}

/* The bytes of one vector inside its block. */
static enum status open_vector(const struct chunk *chunk, struct str block, uint32_t vector, struct reader *ret_reader)
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

static enum status unpack(struct reader *reader, uint32_t items, unsigned width, uint64_t *values)
{
    if (width > 64) return STATUS_CORRUPT;
    struct str packed = read_bytes(reader, bitpack_bytes(items, width));
    if (reader->failed) return STATUS_CORRUPT;
    bitpack_read((const unsigned char *)packed.data, items, width, values);
    return STATUS_OK;
}

static bool present_at(struct str bits, uint32_t i)
{
    return !bits.data || ((unsigned char)bits.data[i / 8] >> (i % 8) & 1);
}

static enum status read_head(struct reader *reader, uint32_t items, bool base, unsigned *ret_width, int64_t *ret_base,
                             struct str *ret_presence)
{
    *ret_width = read_u8(reader);
    bool presence = read_u8(reader);
    (void)read_bytes(reader, 6);
    if (base) *ret_base = (int64_t)read_u64(reader);
    *ret_presence = presence ? read_bytes(reader, ((size_t)items + 63) / 64 * 8) : STR_NULL;
    return reader->failed ? STATUS_CORRUPT : STATUS_OK;
}

enum status chunk_decode_ints(const struct chunk *chunk, struct str block, uint32_t vector, int64_t *ret_values)
{
    if (chunk->encoding != CHUNK_INT) return STATUS_CORRUPT;
    uint32_t items = chunk_vector_items(chunk, vector);
    struct reader reader;
    unsigned width;
    int64_t base;
    struct str presence;
    uint64_t offsets[VECTOR_ROWS_MAX];
    TRY(open_vector(chunk, block, vector, &reader));
    TRY(read_head(&reader, items, true, &width, &base, &presence));
    if (presence.data) return STATUS_CORRUPT;
    TRY(unpack(&reader, items, width, offsets));
    for (uint32_t i = 0; i < items; i++) ret_values[i] = (int64_t)((uint64_t)base + offsets[i]);
    return STATUS_OK;
}

enum status chunk_decode_codes(const struct chunk *chunk, struct str block, uint32_t vector, uint32_t dict_count,
                               uint32_t *ret_codes)
{
    struct reader reader;
    uint64_t codes[VECTOR_ROWS_MAX];
    uint32_t items = chunk_vector_items(chunk, vector);
    TRY(open_vector(chunk, block, vector, &reader));
    unsigned width = read_u8(&reader);
    (void)read_bytes(&reader, 7);
    if (reader.failed) return STATUS_CORRUPT;
    TRY(unpack(&reader, items, width, codes));
    for (uint32_t i = 0; i < items; i++) {
        if (codes[i] >= dict_count) return STATUS_CORRUPT;
        ret_codes[i] = (uint32_t)codes[i];
    }
    return STATUS_OK;
}

enum status chunk_decode_values(const struct chunk *chunk, struct str block, uint32_t vector, struct value *ret_values)
{
    uint32_t items = chunk_vector_items(chunk, vector);
    struct reader reader;
    unsigned width;
    int64_t base = 0;
    struct str presence;
    uint64_t packed[VECTOR_ROWS_MAX];
    TRY(open_vector(chunk, block, vector, &reader));
    TRY(read_head(&reader, items, chunk->encoding == CHUNK_INT, &width, &base, &presence));
    switch (chunk->encoding) {
    case CHUNK_INT:
        TRY(unpack(&reader, items, width, packed));
        for (uint32_t i = 0; i < items; i++) {
            ret_values[i] = present_at(presence, i) ? value_int((int64_t)((uint64_t)base + packed[i])) : value_absent();
        }
        return STATUS_OK;
    case CHUNK_DOUBLE:
        for (uint32_t i = 0; i < items; i++) {
            uint64_t bits = read_u64(&reader);
            double number;
            memcpy(&number, &bits, 8);
            ret_values[i] = present_at(presence, i) ? value_number(number) : value_absent();
        }
        return reader.failed ? STATUS_CORRUPT : STATUS_OK;
    case CHUNK_BYTES:
    case CHUNK_VARIANT:
        TRY(unpack(&reader, items, width, packed));
        for (uint32_t i = 0; i < items; i++) {
            struct str bytes = read_bytes(&reader, packed[i] <= reader_left(&reader) ? (size_t)packed[i] : SIZE_MAX);
            if (reader.failed) return STATUS_CORRUPT;
            if (chunk->encoding == CHUNK_BYTES) {
                ret_values[i] = present_at(presence, i) ? value_str(bytes) : value_absent();
            } else if (bytes.size == 0) {
                ret_values[i] = value_absent();
            } else {
                struct reader inner = reader_of(bytes);
                TRY(value_decode(&inner, &ret_values[i]));
                if (reader_left(&inner)) return STATUS_CORRUPT;
            }
        }
        return STATUS_OK;
    default: return STATUS_CORRUPT;
    }
}
