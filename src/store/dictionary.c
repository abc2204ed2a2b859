/*
 * The bytes of a dictionary. Queries decode whole dictionaries, of tens of thousands of strings, before they look at
 * the first row, so the layout is made for that: the sizes of shared prefixes and of suffixes are packed by themselves,
 * and what remains in the loop is two short copies per string, done 16 bytes at a time where there is room behind.
 */
#include "store/dictionary.h"

#include "store/bitpack.h"

#define HEAD_BYTES 24
#define SLACK      16 /* a copy of 16 bytes may begin at the last byte */

static bool is_string(struct value v)
{
    return v.type == VALUE_STRING;
}

static size_t shared_prefix(struct value a, struct value b)
{
    size_t size = a.size < b.size ? a.size : b.size, at = 0;
    while (at < size && a.data[at] == b.data[at]) at++;
    return at;
}

enum status dictionary_write(struct buf *buf, const struct value *entries, const uint32_t *rows, const uint32_t *order,
                             uint32_t count, struct arena *scratch)
{
    uint32_t first = 0, strings = 0, at = 0;
    while (first < count && !is_string(entries[order[first]])) first++;
    while (first + strings < count && is_string(entries[order[first + strings]])) strings++;
    uint64_t *prefixes = arena_alloc(scratch, (size_t)(strings + 1) * sizeof *prefixes);
    uint64_t *suffixes = arena_alloc(scratch, (size_t)(strings + 1) * sizeof *suffixes);
    if (!prefixes || !suffixes) return STATUS_LIMIT;
    uint64_t text = 0, prefix_max = 0, suffix_max = 0;
    for (uint32_t i = 0; i < strings; i++) {
        struct value value = entries[order[first + i]];
        prefixes[i] = i ? shared_prefix(entries[order[first + i - 1]], value) : 0;
        suffixes[i] = value.size - prefixes[i];
        if (prefixes[i] > prefix_max) prefix_max = prefixes[i];
        if (suffixes[i] > suffix_max) suffix_max = suffixes[i];
        text += value.size;
    }
    if (text > UINT32_MAX) return STATUS_LIMIT;
    size_t start = buf->size;
    buf_u32(buf, count);
    buf_u32(buf, first);
    buf_u32(buf, strings);
    buf_u32(buf, (uint32_t)text);
    size_t counts = buf->size;
    buf_u32(buf, 0);
    buf_byte(buf, (char)bitpack_width(prefix_max));
    buf_byte(buf, (char)bitpack_width(suffix_max));
    buf_u16(buf, 0);
    bitpack_write(buf, prefixes, strings, bitpack_width(prefix_max));
    bitpack_write(buf, suffixes, strings, bitpack_width(suffix_max));
    for (uint32_t i = 0; i < strings; i++)
        buf_add(buf, entries[order[first + i]].data + prefixes[i], (size_t)suffixes[i]);
    for (uint32_t i = 0; i < count; i++) {
        if (i < first || i >= first + strings) value_encode(buf, entries[order[i]]);
    }
    TRY(buf_status(buf));
    if (buf->size - start > UINT32_MAX) return STATUS_LIMIT;
    at = (uint32_t)(buf->size - start);
    memcpy(buf->data + counts, &at, 4);
    for (uint32_t i = 0; i < count; i++) buf_varint(buf, rows[order[i]]);
    return buf_status(buf);
}

struct head {
    uint32_t count, first, strings, text_bytes, counts_at;
    unsigned prefix_width, suffix_width;
};

static enum status read_dictionary_head(struct reader *reader, struct str bytes, struct head *ret)
{
    struct head head = {.count = read_u32(reader), .first = read_u32(reader), .strings = read_u32(reader)};
    head.text_bytes = read_u32(reader);
    head.counts_at = read_u32(reader);
    head.prefix_width = read_u8(reader);
    head.suffix_width = read_u8(reader);
    (void)read_u16(reader);
    /* every entry takes a byte for its count, at least */
    if (reader->failed || head.count > CHUNK_DICTIONARY_MAX || head.counts_at < HEAD_BYTES ||
        head.counts_at > bytes.size || head.count > bytes.size - head.counts_at || head.first > head.count ||
        head.strings > head.count - head.first || head.prefix_width > 32 || head.suffix_width > 32)
        return STATUS_CORRUPT;
    *ret = head;
    return STATUS_OK;
}

/* Copies `size` bytes; both sides may be touched up to 15 bytes further. */
static inline void copy_loosely(char *to, const char *from, size_t size)
{
    struct {
        char bytes[16];
    } piece; /* the sides may overlap where what is copied there does not matter */
    for (size_t at = 0; at < size; at += sizeof piece) {
        memcpy(&piece, from + at, sizeof piece);
        memcpy(to + at, &piece, sizeof piece);
    }
}

static enum status decode_strings(const struct head *head, struct reader *reader, struct arena *arena,
                                  struct value *values)
{
    struct str prefixes = read_bytes(reader, bitpack_bytes(head->strings, head->prefix_width));
    struct str suffixes = read_bytes(reader, bitpack_bytes(head->strings, head->suffix_width));
    if (reader->failed) return STATUS_CORRUPT;
    char *text = arena_alloc(arena, (size_t)head->text_bytes + SLACK), *to = text;
    if (!text) return STATUS_LIMIT;
    const char *from = (const char *)reader->at, *from_end = (const char *)reader->end, *previous = text;
    size_t left = head->text_bytes, previous_size = 0;
    for (uint32_t start = 0; start < head->strings; start += UNPACK_ITEMS) {
        uint64_t prefix[UNPACK_ITEMS], suffix[UNPACK_ITEMS];
        uint32_t count = head->strings - start < UNPACK_ITEMS ? head->strings - start : UNPACK_ITEMS;
        size_t words = (size_t)start / 64 * 8; /* per bit of width: 1024 items are whole words */
        bitpack_read((const unsigned char *)prefixes.data + words * head->prefix_width, count, head->prefix_width,
                     prefix);
        bitpack_read((const unsigned char *)suffixes.data + words * head->suffix_width, count, head->suffix_width,
                     suffix);
        for (uint32_t i = 0; i < count; i++) {
            size_t shared = (size_t)prefix[i], own = (size_t)suffix[i], size = shared + own;
            if (shared > previous_size || size > left || own > (size_t)(from_end - from)) return STATUS_CORRUPT;
            copy_loosely(to, previous, shared); /* behind the text there is slack */
            if ((size_t)(from_end - from) - own >= SLACK)
                copy_loosely(to + shared, from, own);
            else if (own)
                memcpy(to + shared, from, own);
            values[start + i] = value_str(str_from(to, size));
            previous = to;
            previous_size = size;
            to += size;
            from += own;
            left -= size;
        }
    }
    if (left) return STATUS_CORRUPT;
    (void)read_bytes(reader, (size_t)(from - (const char *)reader->at));
    return STATUS_OK;
}

/* DICT, with ABSENT in front. */
static enum status decode_dictionary(struct str bytes, struct arena *arena, struct value **ret_values,
                                     uint32_t *ret_count)
{
    struct reader reader = reader_of(bytes);
    struct head head;
    TRY(read_dictionary_head(&reader, bytes, &head));
    reader.end = (const unsigned char *)bytes.data + head.counts_at;
    struct value *values = arena_alloc(arena, ((size_t)head.count + 1) * sizeof *values);
    if (!values) return STATUS_LIMIT;
    values[0] = value_absent();
    TRY(decode_strings(&head, &reader, arena, values + 1 + head.first));
    for (uint32_t i = 0; i < head.count; i++) {
        if (i >= head.first && i < head.first + head.strings) continue;
        TRY(value_decode(&reader, &values[1 + i]));
    }
    if (reader_left(&reader)) return STATUS_CORRUPT;
    *ret_values = values;
    *ret_count = head.count + 1;
    return STATUS_OK;
}

/* u32 n, items, ends, values: few, and each by itself. */
static enum status decode_sparse(const struct chunk *chunk, struct str bytes, struct arena *arena,
                                 struct value **ret_values, uint32_t *ret_count, uint32_t **ret_items)
{
    struct reader reader = reader_of(bytes);
    uint32_t count = read_u32(&reader);
    if (count > reader_left(&reader) / 5) return STATUS_CORRUPT;
    if (count != chunk->present) return STATUS_CORRUPT; /* a merge makes room for what the descriptor says */
    uint32_t *items = arena_alloc(arena, (size_t)count * sizeof *items);
    struct value *values = arena_alloc(arena, ((size_t)count + 1) * sizeof *values);
    if (!items || !values) return STATUS_LIMIT;
    for (uint32_t i = 0; i < count; i++) {
        items[i] = read_u32(&reader);
        if (items[i] >= chunk->items || (i && items[i] <= items[i - 1])) return STATUS_CORRUPT;
    }
    for (uint32_t i = 0; i < count; i++) TRY(value_decode(&reader, &values[i]));
    if (reader_left(&reader)) return STATUS_CORRUPT;
    *ret_values = values;
    *ret_count = count;
    *ret_items = items;
    return STATUS_OK;
}

enum status chunk_dictionary(const struct chunk *chunk, struct str bytes, struct arena *arena,
                             struct value **ret_values, uint32_t *ret_count, uint32_t **ret_items)
{
    switch (chunk->encoding) {
    case CHUNK_CONST: {
        struct reader reader = reader_of(bytes);
        struct value *value = arena_alloc(arena, sizeof *value);
        if (!value) return STATUS_LIMIT;
        TRY(value_decode(&reader, value));
        if (reader_left(&reader)) return STATUS_CORRUPT;
        *ret_values = value;
        *ret_count = 1;
        return STATUS_OK;
    }
    case CHUNK_DICT: return decode_dictionary(bytes, arena, ret_values, ret_count);
    case CHUNK_SPARSE: return decode_sparse(chunk, bytes, arena, ret_values, ret_count, ret_items);
    default: return STATUS_CORRUPT;
    }
}

enum status chunk_dictionary_counts(const struct chunk *chunk, struct str bytes, uint32_t rows, struct arena *arena,
                                    uint32_t **ret_rows, uint32_t *ret_count)
{
    struct reader reader = reader_of(bytes);
    struct head head;
    if (chunk->encoding != CHUNK_DICT || chunk->present > rows) return STATUS_CORRUPT;
    TRY(read_dictionary_head(&reader, bytes, &head));
    (void)read_bytes(&reader, head.counts_at - HEAD_BYTES);
    uint32_t *counts = arena_alloc(arena, ((size_t)head.count + 1) * sizeof *counts);
    if (!counts) return STATUS_LIMIT;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < head.count; i++) {
        uint64_t count = read_varint(&reader);
        if (count > rows) return STATUS_CORRUPT;
        sum += count;
        counts[1 + i] = (uint32_t)count;
    }
    if (reader.failed || reader_left(&reader) || sum != chunk->present) return STATUS_CORRUPT;
    counts[0] = rows - chunk->present;
    *ret_rows = counts;
    *ret_count = head.count + 1;
    return STATUS_OK;
}
