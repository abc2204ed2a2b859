/* Reading of vectors as values of any kind, and of CORE_ID. */
#include "store/chunk.h"

#include "store/bitpack.h"
#include "store/chunk_int.h"
#include "store/fixed.h"

size_t chunk_text_bytes(const struct chunk *chunk)
{
    return chunk->encoding == CHUNK_FIXED ? (size_t)chunk->parameter * VECTOR_ROWS_MAX : 0;
}

static enum status decode_fixed(const struct chunk *chunk, struct str block, uint32_t vector, char *text,
                                struct value *ret_values)
{
    struct reader reader;
    const unsigned char *presence;
    uint32_t items = chunk_vector_items(chunk, vector);
    unsigned length = chunk->parameter;
    TRY(chunk_open_vector(chunk, block, vector, &reader));
    (void)read_u8(&reader);
    bool some_absent = read_u8(&reader);
    unsigned alphabet = read_u8(&reader), words = read_u8(&reader);
    (void)read_u32(&reader);
    chunk_read_presence(&reader, some_absent, items, &presence);
    TRY(fixed_decode(&reader, items, length, alphabet, words, text));
    for (uint32_t i = 0; i < items; i++) {
        ret_values[i] =
            chunk_present_at(presence, i) ? value_str(str_from(text + (size_t)i * length, length)) : value_absent();
    }
    return STATUS_OK;
}

static enum status decode_sized(const struct chunk *chunk, struct str block, uint32_t vector, struct value *ret_values)
{
    struct reader reader;
    const unsigned char *presence;
    uint64_t sizes[VECTOR_ROWS_MAX];
    uint32_t items = chunk_vector_items(chunk, vector);
    TRY(chunk_open_vector(chunk, block, vector, &reader));
    unsigned width = read_u8(&reader);
    bool some_absent = read_u8(&reader);
    (void)read_bytes(&reader, 6);
    chunk_read_presence(&reader, some_absent, items, &presence);
    if (reader.failed || width > 32) return STATUS_CORRUPT;
    struct str packed = read_bytes(&reader, bitpack_bytes(items, width));
    if (reader.failed) return STATUS_CORRUPT;
    bitpack_read64((const unsigned char *)packed.data, items, width, sizes);
    for (uint32_t i = 0; i < items; i++) {
        struct str bytes = read_bytes(&reader, sizes[i] <= reader_left(&reader) ? (size_t)sizes[i] : SIZE_MAX);
        if (reader.failed) return STATUS_CORRUPT;
        if (chunk->encoding == CHUNK_BYTES) {
            ret_values[i] = chunk_present_at(presence, i) ? value_str(bytes) : value_absent();
        } else if (bytes.size == 0) {
            ret_values[i] = value_absent();
        } else {
            struct reader inner = reader_of(bytes);
            TRY(value_decode(&inner, &ret_values[i]));
            if (reader_left(&inner)) return STATUS_CORRUPT;
        }
    }
    return STATUS_OK;
}

enum status chunk_decode_values(const struct chunk *chunk, struct str block, uint32_t vector, char *text,
                                struct value *ret_values)
{
    uint32_t items = chunk_vector_items(chunk, vector);
    switch (chunk->encoding) {
    case CHUNK_INT: {
        struct chunk_open_ints ints;
        int64_t integers[VECTOR_ROWS_MAX];
        TRY(chunk_open_ints(chunk, block, vector, &ints));
        TRY(chunk_unpack_ints(&ints, integers));
        for (uint32_t i = 0; i < items; i++)
            ret_values[i] = chunk_present_at(ints.presence, i) ? value_int(integers[i]) : value_absent();
        return STATUS_OK;
    }
    case CHUNK_DECIMAL:
    case CHUNK_DOUBLE: {
        double numbers[VECTOR_ROWS_MAX];
        uint64_t bits[CHUNK_PRESENCE_WORDS];
        TRY(chunk_decode_doubles(chunk, block, vector, numbers, bits));
        for (uint32_t i = 0; i < items; i++)
            ret_values[i] = bits[i / 64] >> (i % 64) & 1 ? value_number(numbers[i]) : value_absent();
        return STATUS_OK;
    }
    case CHUNK_FIXED: return decode_fixed(chunk, block, vector, text, ret_values);
    case CHUNK_BYTES:
    case CHUNK_VARIANT: return decode_sized(chunk, block, vector, ret_values);
    default: return STATUS_CORRUPT;
    }
}

enum status chunk_decode_person_ids(const struct chunk *chunk, struct str block, uint32_t vector, uint32_t *ids)
{
    struct reader reader;
    uint64_t starts[VECTOR_ROWS_MAX], sizes[VECTOR_ROWS_MAX], others[VECTOR_ROWS_MAX];
    uint32_t items = chunk_vector_items(chunk, vector);
    if (chunk->encoding != CHUNK_PERSON_ID) return STATUS_CORRUPT;
    TRY(chunk_open_vector(chunk, block, vector, &reader));
    uint32_t ranges = read_u16(&reader);
    unsigned size_width = read_u8(&reader), id_width = read_u8(&reader);
    uint32_t base = read_u32(&reader);
    if (reader.failed || ranges > items || size_width > 10 || id_width > 32) return STATUS_CORRUPT;
    const unsigned widths[] = {10, size_width, id_width};
    uint64_t *const columns[] = {starts, sizes, others};
    for (int c = 0; c < 3; c++) {
        struct str packed = read_bytes(&reader, bitpack_bytes(ranges, widths[c]));
        if (reader.failed) return STATUS_CORRUPT;
        if (ranges) bitpack_read((const unsigned char *)packed.data, ranges, widths[c], columns[c]);
    }
    uint64_t free_from = 0;
    for (uint32_t r = 0; r < ranges; r++) {
        uint64_t end = starts[r] + sizes[r] + 1;
        if (starts[r] < free_from || end > items || others[r] > UINT32_MAX - base) return STATUS_CORRUPT;
        for (uint64_t i = starts[r]; i < end; i++) ids[i] = base + (uint32_t)others[r];
        free_from = end;
    }
    return STATUS_OK;
}
