#pragma once
/*
 * Vectors of rows in 16 bits: which rows count, as a mask, and in which cells. This is how most questions are counted:
 * cells.c does the same for those that do not fit (labels that are not codes of a dictionary, odd bucket edges, too
 * many cells). What `where` comes to, and what deleted rows are, is the same in both.
 *
 * A worker's narrow state belongs to it. Cells that do not count are `none`, which is above all others.
 */
#include "query/native/mask_kernels.h"
#include "query/native/survey.h"

enum narrow_kind {
    NARROW_CELLS, /* slot × buckets, as in survey->counts */
    NARROW_CODES  /* codes of the run's labels: for choosing labels */
};

/* A comparison with a number, as a range of the stored integers: low to high, both included. */
struct narrow_range {
    bool integers; /* the run's column is such */
    bool empty;
    int64_t low, high;
};

/* The integers of which integer / divisor, rounded to a double, compares as the term says. */
struct narrow_range narrow_range_of(const struct expr_term *term, double divisor);

struct narrow {
    const struct mask_kernels *kernels;
    /* of the run at hand */
    const struct bound *bound;
    enum narrow_kind kind;
    uint16_t none;
    struct narrow_range *ranges;           /* by term */
    uint32_t minute_from, minute_last;     /* of the section: rows have no others */
    uint32_t units_from, unit, unit_count; /* minutes are looked up in units of `unit` from there on */
    uint16_t *unit_cells, *code_cells;
    uint32_t unit_capacity, code_capacity;
    /* the vector at hand */
    _Alignas(64) uint64_t mask[MASK_WORDS];
    _Alignas(64) uint16_t cells[VECTOR_ROWS_MAX + LOOKUP_PAD];
    _Alignas(64) uint16_t codes[VECTOR_ROWS_MAX];
    _Alignas(64) uint16_t buckets[VECTOR_ROWS_MAX]; /* kind CELLS; `none` outside of the range; unless one_bucket */
    _Alignas(64) uint16_t narrow_offsets[VECTOR_ROWS_MAX];
    _Alignas(64) uint32_t wide_offsets[VECTOR_ROWS_MAX];
    _Alignas(64) uint8_t keep[VECTOR_ROWS_MAX];
    /* what has been counted since the last flush */
    uint16_t *tables; /* COUNT_TABLES × stride */
    size_t table_capacity;
    uint32_t stride, vectors;
};

/* Whether a run can be read so. */
bool narrow_fits(const struct survey *survey, const struct bound *bound, enum narrow_kind kind);
/* Opens the run for the functions below; *ret_usable is false when it must be read in the general way. */
enum status narrow_open(struct worker *worker, const struct bound *bound, enum narrow_kind kind,
                        bool *ret_usable) MUST_USE;
/* Rows [from, to) of a vector: fills mask, of which *ret_left bits are set, and, when it is not 0, the cells of the
 * rows that have a bit. */
enum status narrow_vector(struct worker *worker, uint32_t vector, uint32_t from, uint32_t to,
                          uint32_t *ret_left) MUST_USE;
/* Counts the vector at hand. */
enum status narrow_count(struct worker *worker, uint32_t left) MUST_USE;
/* Adds up what was counted, in worker->counts or worker->totals; to be called when all is. */
enum status narrow_flush(struct worker *worker) MUST_USE;
void narrow_free(struct worker *worker);
