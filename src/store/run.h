#pragma once
/*
 * Reading one run (the rows of one event in one section), vector by vector. Used by queries, by the duplicate probe and
 * by merges. One thread at a time. Everything lives in the arena given at opening; blocks are pinned until another
 * vector of the same column from another block is read, or the run is closed.
 */
#include "store/section.h"

struct run_column {
    struct chunk chunk;
    struct pinned dictionary, block;
    uint32_t block_index; /* UINT32_MAX: none */
    struct value *values; /* dictionary, or the vector's values */
    struct value *sparse_values;
    uint32_t *sparse_items;
    uint32_t dict_count;
    uint64_t dict_id;
    uint32_t *codes;
    struct run_shared *shared; /* per person: what run_shared.c keeps */
    char **texts;              /* FIXED: the strings of a block's vectors; of RAM images each block's by itself */
};

struct run {
    const struct section *section;
    const struct section_event *event;
    struct arena *arena;
    struct pinned table;
    struct run_column *columns; /* in the order of the chunk table: core streams first, then ascending properties */
    uint32_t column_count;
    /* one vector of the list of persons, decoded: the next row vector needs it again, mostly */
    uint32_t owners_vector, lengths_vector; /* UINT32_MAX: none */
    uint32_t *owners, *lengths;
    /* where the rows of the persons of one vector of rows end; several columns ask for the same */
    uint32_t ends_vector; /* UINT32_MAX: none */
    uint32_t ends_ordinal, ends_count;
    uint32_t *ends;
};

/* `section` must outlive the run. */
enum status run_open(struct run *run, const struct section *section, const struct section_event *event,
                     struct arena *arena, struct error *error) MUST_USE;
void run_close(struct run *run);
static inline uint32_t run_vectors(const struct run *run)
{
    return (run->event->rows + VECTOR_ROWS_MAX - 1) / VECTOR_ROWS_MAX;
}
static inline uint32_t run_vector_rows(const struct run *run, uint32_t vector)
{
    uint32_t left = run->event->rows - vector * VECTOR_ROWS_MAX;
    return left < VECTOR_ROWS_MAX ? left : VECTOR_ROWS_MAX;
}
/* NULL when no row has the property. */
struct run_column *run_column(struct run *run, uint32_t property);
/* Forgets what reading the column has allocated in run->arena, and its pins: it may be read again from the start. */
void run_forget(struct run *run, struct run_column *column);
/* One vector of any column. Strings stay until a vector from another block is read, or any other vector when the column
 * is per person; those of sections in RAM as long as the run. A DICT keeps its dictionary and dict_id for the life of
 * the run. */
enum status run_read(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                     struct vector *ret) MUST_USE;
/* The items and values of a SPARSE column; false for other columns (use run_read). */
enum status run_read_sparse(struct run *run, struct run_column *column, struct error *error, bool *ret_sparse,
                            const uint32_t **ret_items, const struct value **ret_values, uint32_t *ret_count) MUST_USE;
/* The same without struct value where that is possible: see struct scan_column (store.h). */
struct scan_column;
enum status run_describe(struct run *run, struct run_column *column, struct error *error,
                         struct scan_column *ret) MUST_USE;
/* DICT: how many rows have each entry; in the run's arena. */
enum status run_value_rows(struct run *run, struct run_column *column, struct error *error,
                           const uint32_t **ret_rows) MUST_USE;
enum status run_read_codes(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                           uint32_t *ret_codes) MUST_USE;
enum status run_read_numbers(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                             double *ret_numbers) MUST_USE;
enum status run_number_range(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                             double *ret_min, double *ret_max) MUST_USE;
/* A core stream whose values fit 32 bits. */
enum status run_read_u32(struct run *run, enum core_stream stream, uint32_t vector, struct error *error,
                         uint32_t *ret_values) MUST_USE;
/* One vector of a core stream of integers, into ret_values[VECTOR_ROWS_MAX]. */
enum status run_read_ints(struct run *run, enum core_stream stream, uint32_t vector, struct error *error,
                          int64_t *ret_values) MUST_USE;
/* Of some rows of the vector, ascending: the place of the person, and under which number it is stored. */
enum status run_pick_owners(struct run *run, uint32_t vector, const uint32_t *rows, uint32_t count, struct error *error,
                            uint32_t *ret_ordinals, uint32_t *ret_persons) MUST_USE;
/* Per row of the vector: the person under whose number it is stored; the time. */
enum status run_read_persons(struct run *run, uint32_t vector, struct error *error, uint32_t *ret_persons) MUST_USE;
/* 1 for each row of the vector whose person is another than that of the row before it in the run. */
enum status run_read_starts(struct run *run, uint32_t vector, struct error *error, uint8_t *ret_starts) MUST_USE;
/* The persons of a vector's rows, each once, and where the rows of each end: rows [ends[i - 1], ends[i]) are those of
 * ret_persons[i]. The ends are the run's. */
enum status run_read_segments(struct run *run, uint32_t vector, struct error *error, uint32_t *ret_persons,
                              const uint32_t **ret_ends, uint32_t *ret_count) MUST_USE;
enum status run_read_times(struct run *run, uint32_t vector, struct error *error, int64_t *ret_times_ms) MUST_USE;

/* The list of the run's persons, ascending: the place of the first one that is `person` or above (event->persons when
 * there is none), and a vector of it (item i of vector v is place v * VECTOR_ROWS_MAX + i). */
enum status run_seek_owner(struct run *run, uint32_t person, struct error *error, uint32_t *ret_place) MUST_USE;
enum status run_read_owners(struct run *run, uint32_t vector, struct error *error,
                            const uint32_t **ret_persons) MUST_USE;
/* A vector of rows before which no row belongs to a person from `person` on. */
enum status run_seek_vector(struct run *run, uint32_t person, struct error *error, uint32_t *ret_vector) MUST_USE;
/* The first row (within the run) whose person is `person` or above; the number of rows when there is none. */
enum status run_seek_person(struct run *run, uint32_t person, struct error *error, uint32_t *ret_row) MUST_USE;

/* The row (within the section) of the run's event with these fields, looking under the given person numbers. NOT_FOUND
 * when there is none. */
enum status run_find(struct run *run, const uint32_t *persons, size_t person_count, uint32_t id, int64_t time_ms,
                     struct str insert_id, struct error *error, uint32_t *ret_row) MUST_USE;
/* The same in a section that is not open. */
enum status run_probe(const struct section *section, uint32_t event_id, const uint32_t *persons, size_t person_count,
                      uint32_t id, int64_t time_ms, struct str insert_id, struct error *error,
                      uint32_t *ret_row) MUST_USE;
