#include "lookup/table.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "os/clock.h"

/*
 * The hash table holds the places of rows in the file, 0 for a free slot: no row stands at the beginning, where the
 * header is. Its seed is drawn for each loading, so that keys cannot be chosen to collide.
 */
struct lookup_table {
    atomic_uint references;
    char *bytes;
    size_t size;
    uint64_t rows, seed;
    uint32_t columns;
    struct str *names;
    uint32_t *slots;
    size_t slot_mask;
};

uint64_t lookup_check(uint64_t before, struct str block)
{
    return hash_bytes(block.data, block.size, before);
}

static void put(char *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) at[i] = (char)(value >> (i * 8));
}

void lookup_header_write(const struct lookup_header *header, char bytes[LOOKUP_HEADER_BYTES])
{
    memset(bytes, 0, LOOKUP_HEADER_BYTES);
    memcpy(bytes, LOOKUP_MAGIC, 8);
    put(bytes + 8, LOOKUP_VERSION, 2);
    put(bytes + 10, LOOKUP_VERSION, 2);
    put(bytes + 16, header->rows, 8);
    put(bytes + 24, header->columns, 4);
    put(bytes + 32, header->names_bytes, 8);
    put(bytes + 40, header->rows_bytes, 8);
    put(bytes + 48, header->check, 8);
    put(bytes + 56, hash_bytes(bytes, 56, 0), 8);
}

static enum status corrupt(struct error *error, const char *what)
{
    return error_set(error, STATUS_CORRUPT, "file of a lookup table: %s", what);
}

static enum status header_read(const char *bytes, uint64_t size, struct error *error, struct lookup_header *ret_header)
{
    if (size < LOOKUP_HEADER_BYTES) return corrupt(error, "it is shorter than a header");
    struct reader reader = reader_of(str_from(bytes, LOOKUP_HEADER_BYTES));
    struct str magic = read_bytes(&reader, 8);
    (void)read_u16(&reader);
    uint16_t needed = read_u16(&reader);
    uint32_t features = read_u32(&reader);
    struct lookup_header header = {.rows = read_u64(&reader), .columns = read_u32(&reader)};
    (void)read_u32(&reader);
    header.names_bytes = read_u64(&reader);
    header.rows_bytes = read_u64(&reader);
    header.check = read_u64(&reader);
    if (!str_is(magic, LOOKUP_MAGIC)) return corrupt(error, "it does not begin with " LOOKUP_MAGIC);
    if (read_u64(&reader) != hash_bytes(bytes, 56, 0)) return corrupt(error, "the header's checksum is wrong");
    if (needed > LOOKUP_VERSION || features) {
        (void)error_set(error, STATUS_UNSUPPORTED, "file of a lookup table: it has version %u, this program knows %u",
                        needed, LOOKUP_VERSION);
        error_hint(error, "a newer version wrote it: run that one, or upload the table again");
        return STATUS_UNSUPPORTED;
    }
    if (size > LOOKUP_FILE_MAX || header.names_bytes > size || header.rows_bytes > size ||
        LOOKUP_HEADER_BYTES + header.names_bytes + header.rows_bytes != size)
        return corrupt(error, "its size is not what the header says");
    /* A row has at least a byte for each column. */
    if (header.columns < 1 || header.columns > LOOKUP_COLUMNS_MAX || header.columns > header.names_bytes ||
        header.rows > header.rows_bytes / header.columns)
        return corrupt(error, "the header's counts make no sense");
    *ret_header = header;
    return STATUS_OK;
}

static enum status check_bytes(const char *bytes, uint64_t size, uint64_t wanted, struct error *error)
{
    uint64_t check = 0;
    for (uint64_t at = LOOKUP_HEADER_BYTES; at < size; at += LOOKUP_BLOCK_BYTES)
        check = lookup_check(check, str_slice(str_from(bytes, size), at, at + LOOKUP_BLOCK_BYTES));
    return check == wanted ? STATUS_OK : corrupt(error, "the checksum is wrong");
}

/* At least a quarter of the slots is free. */
static size_t slot_count(uint64_t rows)
{
    size_t count = 16;
    while (count / 4 * 3 < rows) count *= 2;
    return count;
}

uint64_t lookup_table_memory(uint64_t bytes, uint64_t rows)
{
    return sizeof(struct lookup_table) + bytes + slot_count(rows) * sizeof(uint32_t);
}

static struct str key_at(const struct lookup_table *table, uint32_t place)
{
    const char *at = table->bytes + place;
    if ((unsigned char)*at < 0x80) return str_from(at + 1, (unsigned char)*at); /* most are short */
    struct reader reader = reader_of(str_slice(str_from(table->bytes, table->size), place, SIZE_MAX));
    return read_str(&reader);
}

/* The slot of the key, or the free one where it would be. */
static uint32_t *find(const struct lookup_table *table, struct str key)
{
    size_t at = (size_t)hash_bytes(key.data, key.size, table->seed) & table->slot_mask;
    while (table->slots[at] && !str_eq(key_at(table, table->slots[at]), key)) at = (at + 1) & table->slot_mask;
    return &table->slots[at];
}

static enum status read_names(struct lookup_table *table, struct str bytes, struct error *error)
{
    struct reader reader = reader_of(bytes);
    table->names = calloc(table->columns, sizeof *table->names);
    if (!table->names) return error_set(error, STATUS_LIMIT, "out of memory for a lookup table");
    for (uint32_t i = 0; i < table->columns; i++) {
        table->names[i] = read_str(&reader);
        if (reader.failed || !utf8_valid(table->names[i].data, table->names[i].size))
            return corrupt(error, "the name of a column makes no sense");
    }
    return reader_left(&reader) ? corrupt(error, "something stands behind the columns' names") : STATUS_OK;
}

static enum status read_rows(struct lookup_table *table, struct str bytes, struct error *error)
{
    struct reader reader = reader_of(bytes);
    struct value value;
    for (uint64_t row = 0; row < table->rows; row++) {
        uint32_t place = (uint32_t)((const char *)reader.at - table->bytes);
        struct str key = read_str(&reader);
        if (reader.failed) return corrupt(error, "the key of a row makes no sense");
        for (uint32_t column = 1; column < table->columns; column++) {
            if (value_decode(&reader, &value) != STATUS_OK) return corrupt(error, "a value makes no sense");
        }
        uint32_t *slot = find(table, key);
        if (*slot) return corrupt(error, "a key occurs twice");
        *slot = place;
    }
    return reader_left(&reader) ? corrupt(error, "something stands behind the rows") : STATUS_OK;
}

static enum status load(struct lookup_table *table, struct error *error)
{
    struct lookup_header header;
    TRY(header_read(table->bytes, table->size, error, &header));
    TRY(check_bytes(table->bytes, table->size, header.check, error));
    size_t slots = slot_count(header.rows);
    table->rows = header.rows;
    table->columns = header.columns;
    table->slot_mask = slots - 1;
    table->slots = calloc(slots, sizeof *table->slots);
    if (!table->slots) return error_set(error, STATUS_LIMIT, "out of memory for a lookup table");
    os_random(&table->seed, sizeof table->seed);
    struct str all = str_from(table->bytes, table->size);
    size_t rows_at = LOOKUP_HEADER_BYTES + (size_t)header.names_bytes;
    TRY(read_names(table, str_slice(all, LOOKUP_HEADER_BYTES, rows_at), error));
    return read_rows(table, str_slice(all, rows_at, all.size), error);
}

enum status lookup_table_new(char *bytes, uint64_t size, struct error *error, struct lookup_table **ret_table)
{
    struct lookup_table *table = calloc(1, sizeof *table);
    if (!table) {
        free(bytes);
        return error_set(error, STATUS_LIMIT, "out of memory for a lookup table");
    }
    atomic_init(&table->references, 1);
    table->bytes = bytes;
    table->size = (size_t)size;
    enum status status = load(table, error);
    if (status == STATUS_OK)
        *ret_table = table;
    else
        lookup_table_unref(table);
    return status;
}

struct lookup_table *lookup_table_ref(struct lookup_table *table)
{
    atomic_fetch_add_explicit(&table->references, 1, memory_order_relaxed);
    return table;
}

void lookup_table_unref(struct lookup_table *table)
{
    if (!table || atomic_fetch_sub_explicit(&table->references, 1, memory_order_acq_rel) != 1) return;
    free(table->bytes);
    free(table->names);
    free(table->slots);
    free(table);
}

uint64_t lookup_table_rows(const struct lookup_table *table)
{
    return table->rows;
}
uint32_t lookup_table_columns(const struct lookup_table *table)
{
    return table->columns;
}
struct str lookup_table_column_name(const struct lookup_table *table, uint32_t column)
{
    return table->names[column];
}

uint32_t lookup_table_column(const struct lookup_table *table, struct str name)
{
    for (uint32_t i = 0; i < table->columns; i++) {
        if (str_eq(table->names[i], name)) return i;
    }
    return UINT32_MAX;
}

/* Past a value that was checked when the table was loaded. */
static void skip_value(struct reader *reader)
{
    switch (read_u8(reader)) {
    case VALUE_ABSENT:
    case VALUE_NULL: break;
    case VALUE_BOOL: (void)read_u8(reader); break;
    case VALUE_INT: (void)read_varint(reader); break;
    case VALUE_DOUBLE: (void)read_u64(reader); break;
    default: (void)read_str(reader); break;
    }
}

struct value lookup_table_value(const struct lookup_table *table, struct str key, uint32_t column)
{
    uint32_t place = *find(table, key);
    if (!place) return value_absent();
    struct reader reader = reader_of(str_slice(str_from(table->bytes, table->size), place, SIZE_MAX));
    struct value value = value_str(read_str(&reader));
    for (uint32_t i = 1; i < column; i++) skip_value(&reader);
    if (column && value_decode(&reader, &value) != STATUS_OK) return value_absent(); /* not after it was loaded */
    return value;
}
