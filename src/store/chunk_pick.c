/* Reading of single items. What the vectors look like is told in chunk.c, chunk_values.c and fixed.c. */
#include "store/chunk_pick.h"

#include "store/bitpack.h"
#include "store/chunk_int.h"
#include "store/fixed.h"

#include <assert.h>

static bool are_inside(struct chunk_picks picks, uint32_t items)
{
    assert(picks.count <= CHUNK_PICKS_MAX);
    return picks.count == 0 || picks.items[picks.count - 1] < items;
}

enum status chunk_pick_codes(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_picks picks,
                             uint32_t dict_count, uint32_t *ret_codes)
{
    struct reader reader;
    if (chunk->encoding != CHUNK_DICT) return STATUS_CORRUPT;
    TRY(chunk_open_vector(chunk, block, vector, &reader));
    uint32_t items = chunk_vector_items(chunk, vector);
    unsigned width = read_u8(&reader);
    (void)read_bytes(&reader, 3);
    uint32_t base = read_u32(&reader);
    if (reader.failed || width > 32 || !are_inside(picks, items)) return STATUS_CORRUPT;
    struct str packed = read_bytes(&reader, bitpack_bytes(items, width));
    if (reader.failed) return STATUS_CORRUPT;
    bool inside = true;
    for (uint32_t i = 0; i < picks.count; i++) {
        uint64_t code = base + bitpack_get_vector((const unsigned char *)packed.data, items, picks.items[i], width);
        inside &= code < dict_count;
        ret_codes[i] = (uint32_t)code;
    }
    return inside ? STATUS_OK : STATUS_CORRUPT;
}

static enum status pick_integers(const struct chunk_open_ints *ints, struct chunk_picks picks, int64_t *ret_values)
{
    const struct chunk_ints *head = &ints->head;
    uint64_t span = (uint64_t)head->max - (uint64_t)head->min, max = head->scale == 1 ? span : span / head->scale;
    bool inside = true;
    if (!are_inside(picks, head->items)) return STATUS_CORRUPT;
    for (uint32_t i = 0; i < picks.count; i++) {
        uint64_t offset = bitpack_get_vector(ints->packed, head->items, picks.items[i], head->width);
        inside &= offset <= max;
        ret_values[i] = (int64_t)((uint64_t)head->min + offset * head->scale);
    }
    return inside ? STATUS_OK : STATUS_CORRUPT;
}

enum status chunk_pick_ints(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_picks picks,
                            int64_t *ret_values)
{
    struct chunk_open_ints ints;
    if (chunk->encoding != CHUNK_INT) return STATUS_CORRUPT;
    TRY(chunk_open_ints(chunk, block, vector, &ints));
    return ints.presence ? STATUS_CORRUPT : pick_integers(&ints, picks, ret_values);
}

enum status chunk_pick_person_ids(const struct chunk *chunk, struct str block, uint32_t vector,
                                  struct chunk_picks picks, uint32_t *ids)
{
    struct reader reader;
    uint32_t items = chunk_vector_items(chunk, vector);
    if (chunk->encoding != CHUNK_PERSON_ID) return STATUS_CORRUPT;
    TRY(chunk_open_vector(chunk, block, vector, &reader));
    uint32_t ranges = read_u16(&reader);
    unsigned size_width = read_u8(&reader), id_width = read_u8(&reader);
    uint32_t base = read_u32(&reader);
    if (reader.failed || ranges > items || size_width > 10 || id_width > 32 || !are_inside(picks, items))
        return STATUS_CORRUPT;
    struct str starts = read_bytes(&reader, bitpack_bytes(ranges, 10));
    struct str sizes = read_bytes(&reader, bitpack_bytes(ranges, size_width));
    struct str others = read_bytes(&reader, bitpack_bytes(ranges, id_width));
    if (reader.failed) return STATUS_CORRUPT;
    const unsigned char *start_bits = (const unsigned char *)starts.data;
    for (uint32_t i = 0, from = 0; i < picks.count; i++) {
        /* The last range that starts at or before the item; starts ascend, also from one pick to the next. */
        uint32_t low = from, high = ranges;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (bitpack_get(start_bits, middle, 10) <= picks.items[i])
                low = middle + 1;
            else
                high = middle;
        }
        if (low == 0) continue;
        from = low - 1;
        uint64_t start = bitpack_get(start_bits, from, 10);
        uint64_t size = bitpack_get((const unsigned char *)sizes.data, from, size_width) + 1;
        uint64_t other = bitpack_get((const unsigned char *)others.data, from, id_width);
        if (picks.items[i] < start || picks.items[i] - start >= size) continue;
        if (other > UINT32_MAX - base) return STATUS_CORRUPT;
        ids[i] = base + (uint32_t)other;
    }
    return STATUS_OK;
}

/* Numbers: INT, DECIMAL. */
static enum status pick_numbers(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_picks picks,
                                struct value *ret_values)
{
    struct chunk_open_ints ints;
    int64_t integers[CHUNK_PICKS_MAX];
    TRY(chunk_open_ints(chunk, block, vector, &ints));
    TRY(pick_integers(&ints, picks, integers));
    double power = chunk->encoding == CHUNK_DECIMAL ? chunk_power_of_ten(chunk->parameter) : 1;
    for (uint32_t i = 0; i < picks.count; i++) {
        if (!chunk_present_at(ints.presence, picks.items[i]))
            ret_values[i] = value_absent();
        else if (chunk->encoding == CHUNK_INT)
            ret_values[i] = value_int(integers[i]);
        else
            ret_values[i] = value_number((double)integers[i] / power);
    }
    return STATUS_OK;
}

static enum status pick_doubles(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_picks picks,
                                struct value *ret_values)
{
    struct reader reader;
    const unsigned char *presence;
    double min, max, number;
    uint32_t items = chunk_vector_items(chunk, vector);
    TRY(chunk_open_vector(chunk, block, vector, &reader));
    (void)read_u8(&reader);
    bool some_absent = read_u8(&reader);
    (void)read_bytes(&reader, 6);
    uint64_t bits[2] = {read_u64(&reader), read_u64(&reader)};
    memcpy(&min, &bits[0], 8);
    memcpy(&max, &bits[1], 8);
    chunk_read_presence(&reader, some_absent, items, &presence);
    struct str numbers = read_bytes(&reader, (size_t)items * 8);
    if (reader.failed || !are_inside(picks, items)) return STATUS_CORRUPT;
    for (uint32_t i = 0; i < picks.count; i++) {
        ret_values[i] = value_absent();
        if (!chunk_present_at(presence, picks.items[i])) continue;
        memcpy(&number, numbers.data + (size_t)picks.items[i] * 8, 8);
        if (!(number >= min && number <= max)) return STATUS_CORRUPT; /* also NaN */
        ret_values[i] = value_number(number);
    }
    return STATUS_OK;
}

/* Strings and mixed values: sizes, then the bytes one after the other. */
static enum status pick_sized(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_picks picks,
                              struct value *ret_values)
{
    struct reader reader;
    const unsigned char *presence;
    uint64_t sizes[VECTOR_ROWS_MAX];
    uint32_t items = chunk_vector_items(chunk, vector), at = 0;
    TRY(chunk_open_vector(chunk, block, vector, &reader));
    unsigned width = read_u8(&reader);
    bool some_absent = read_u8(&reader);
    (void)read_bytes(&reader, 6);
    chunk_read_presence(&reader, some_absent, items, &presence);
    if (reader.failed || width > 32 || !are_inside(picks, items)) return STATUS_CORRUPT;
    struct str packed = read_bytes(&reader, bitpack_bytes(items, width));
    if (reader.failed) return STATUS_CORRUPT;
    bitpack_read64((const unsigned char *)packed.data, items, width, sizes);
    for (uint32_t i = 0; i < picks.count; i++) {
        uint64_t skipped = 0; /* cannot overflow: a size has 32 bits */
        for (; at < picks.items[i]; at++) skipped += sizes[at];
        (void)read_bytes(&reader, skipped <= reader_left(&reader) ? (size_t)skipped : SIZE_MAX);
        uint64_t size = sizes[at++];
        struct str bytes = read_bytes(&reader, size <= reader_left(&reader) ? (size_t)size : SIZE_MAX);
        if (reader.failed) return STATUS_CORRUPT;
        if (chunk->encoding == CHUNK_BYTES) {
            ret_values[i] = chunk_present_at(presence, picks.items[i]) ? value_str(bytes) : value_absent();
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

static enum status pick_fixed(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_picks picks,
                              char *text, struct value *ret_values)
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
    if (!are_inside(picks, items)) return STATUS_CORRUPT;
    TRY(fixed_pick(&reader, items, picks.items, picks.count, length, alphabet, words, text));
    for (uint32_t i = 0; i < picks.count; i++) {
        struct str string = str_from(text + (size_t)i * length, length);
        ret_values[i] = chunk_present_at(presence, picks.items[i]) ? value_str(string) : value_absent();
    }
    return STATUS_OK;
}

enum status chunk_pick_values(const struct chunk *chunk, struct str block, uint32_t vector, struct chunk_picks picks,
                              char *text, struct value *ret_values)
{
    switch (chunk->encoding) {
    case CHUNK_INT:
    case CHUNK_DECIMAL: return pick_numbers(chunk, block, vector, picks, ret_values);
    case CHUNK_DOUBLE: return pick_doubles(chunk, block, vector, picks, ret_values);
    case CHUNK_FIXED: return pick_fixed(chunk, block, vector, picks, text, ret_values);
    case CHUNK_BYTES:
    case CHUNK_VARIANT: return pick_sized(chunk, block, vector, picks, ret_values);
    default: return STATUS_CORRUPT;
    }
}
