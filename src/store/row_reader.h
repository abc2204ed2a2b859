#pragma once
/*
 * Single rows of sections, by key: for the applier, which changes profiles one at a time. Finding a row and reading it
 * needs the run's chunk table, blocks and dictionaries; the next row of the same run needs most of them again, so a
 * few runs are kept open. They hold references to their sections: forget them when sections are replaced.
 *
 * Owned by the applier. Memory: ROW_READERS_MAX times ROW_READER_BYTES at most, for the whole store; a run that needs
 * more is opened anew for every row.
 */
#include "store/section.h"

#define ROW_READERS_MAX  16
#define ROW_READER_BYTES ((size_t)16 << 20)

struct row_reader;
struct row_readers {
    struct row_reader *items[ROW_READERS_MAX];
    uint64_t clock;
};

struct row_place {
    uint32_t event, id;
    int64_t time_ms;
    struct str insert_id;
};
/* Where the row with these fields is in the section. `persons` are the numbers under which it may stand. NOT_FOUND; or
 * a failure of reading, which may pass. */
enum status row_readers_find(struct row_readers *readers, struct section *section, const uint32_t *persons,
                             size_t person_count, const struct row_place *place, struct error *error,
                             uint32_t *ret_row) MUST_USE;

struct row_property {
    uint32_t property;
    struct value value; /* never ABSENT */
};
/* The properties of a row that was found; they and their texts are in the arena. */
enum status row_readers_read(struct row_readers *readers, struct section *section, uint32_t event, uint32_t row,
                             struct arena *arena, struct error *error, struct row_property **ret_properties,
                             size_t *ret_count) MUST_USE;
void row_readers_clear(struct row_readers *readers);
