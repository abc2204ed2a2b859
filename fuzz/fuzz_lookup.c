/*
 * Files of lookup tables with any bytes behind a header whose checksums are made right, as somebody could who writes
 * into the data directory. Two things must hold: what is wrong is CORRUPT or UNSUPPORTED, never read past its end; and
 * of what is accepted every row is found under its key, with as many values as there are columns.
 */
#include "base/hash.h"
#include "lookup/table.h"

#include <stdlib.h>

#define INPUT_BYTES_MAX ((size_t)64 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static void put(char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++) at[i] = (char)(value >> (i * 8));
}

/* The chain over what follows the header, then the header's own. */
static void make_checks_right(char *bytes, size_t size)
{
    uint64_t chain = 0;
    for (size_t at = LOOKUP_HEADER_BYTES; at < size; at += LOOKUP_BLOCK_BYTES)
        chain = lookup_check(chain, str_slice(str_from(bytes, size), at, at + LOOKUP_BLOCK_BYTES));
    put(bytes + 48, chain);
    put(bytes + 56, hash_bytes(bytes, 56, 0));
}

static void read_table(const struct lookup_table *table, struct str rows)
{
    struct reader reader = reader_of(rows);
    uint32_t columns = lookup_table_columns(table);
    for (uint64_t row = 0; row < lookup_table_rows(table); row++) {
        struct str key = read_str(&reader);
        struct value found = lookup_table_value(table, key, 0), value;
        check(found.type == VALUE_STRING && str_eq(value_text(found), key));
        for (uint32_t column = 1; column < columns; column++) {
            check(value_decode(&reader, &value) == STATUS_OK);
            found = lookup_table_value(table, key, column);
            check(found.type == value.type && value_equal(found, value));
        }
    }
    check(!reader.failed && reader_left(&reader) == 0);
    for (uint32_t column = 0; column < columns; column++)
        check(lookup_table_column(table, lookup_table_column_name(table, column)) <= column);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lookup_table *table;
    struct error error = ERROR_INIT;
    if (size > INPUT_BYTES_MAX) return 0;
    char *bytes = malloc(size + 1);
    check(bytes != NULL);
    memcpy(bytes, data, size);
    if (size >= LOOKUP_HEADER_BYTES) make_checks_right(bytes, size);
    enum status status = lookup_table_new(bytes, size, &error, &table);
    if (status == STATUS_OK) {
        struct reader header = reader_of(str_from(bytes + 32, 8));
        size_t rows_at = LOOKUP_HEADER_BYTES + (size_t)read_u64(&header);
        read_table(table, str_slice(str_from(bytes, size), rows_at, size));
        lookup_table_unref(table);
    } else {
        check(status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED || status == STATUS_LIMIT);
        check(error.primary[0] != 0);
    }
    return 0;
}
