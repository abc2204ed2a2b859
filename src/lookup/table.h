#pragma once
/*
 * One version of a lookup table in memory: the bytes of its file (docs/formats/lookup.md) and a hash table of places in
 * them. Values are decoded where they stand, when they are asked for; nothing is made per cell.
 *
 * Immutable once loaded: any number of threads may read it. Shared by reference count.
 */
#include "column/value.h"

#define LOOKUP_MAGIC        "CAIRNLUT"
#define LOOKUP_VERSION      1
#define LOOKUP_HEADER_BYTES 64
#define LOOKUP_BLOCK_BYTES  ((size_t)1 << 20) /* of the chain of checksums */
#define LOOKUP_FILE_MAX     ((uint64_t)UINT32_MAX)
#define LOOKUP_COLUMNS_MAX  10000

struct lookup_table;

/* What the header says; the rest of the file is covered by `check`. */
struct lookup_header {
    uint64_t rows;
    uint32_t columns; /* the key's among them */
    uint64_t names_bytes, rows_bytes;
    uint64_t check;
};
void lookup_header_write(const struct lookup_header *header, char bytes[LOOKUP_HEADER_BYTES]);
/* The next link of the chain: of a block of LOOKUP_BLOCK_BYTES (the last may be shorter), beginning with 0. */
uint64_t lookup_check(uint64_t before, struct str block);

/* Takes over `bytes` (malloc'd, the whole file), also when it fails. CORRUPT when they are not what was written in
 * every respect, UNSUPPORTED when a newer version wrote them, LIMIT when memory is short. One reference is the
 * caller's. */
enum status lookup_table_new(char *bytes, uint64_t size, struct error *error, struct lookup_table **ret_table) MUST_USE;
struct lookup_table *lookup_table_ref(struct lookup_table *table);
void lookup_table_unref(struct lookup_table *table);

/* Bytes of memory that a table takes with `bytes` of file and so many rows. */
uint64_t lookup_table_memory(uint64_t bytes, uint64_t rows);

uint64_t lookup_table_rows(const struct lookup_table *table);
uint32_t lookup_table_columns(const struct lookup_table *table);
struct str lookup_table_column_name(const struct lookup_table *table, uint32_t column);
/* UINT32_MAX when there is none of that name. Column 0 is the key's. */
uint32_t lookup_table_column(const struct lookup_table *table, struct str name);
/* ABSENT when no row has that key, or nothing stands there. Points into the table. */
struct value lookup_table_value(const struct lookup_table *table, struct str key, uint32_t column);
