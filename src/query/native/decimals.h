#pragma once
/*
 * Numbers that are stored as integers over a power of ten, which most are: prices, quantities, durations. They are
 * measured as integers, without becoming doubles first; the answers are those of the doubles.
 */
#include "query/native/number_kernels.h"
#include "query/native/survey.h"

/* The integers of a vector: item i is min + scale * offset i, over 10^exponent. */
struct decimals_head {
    int64_t min, max; /* within ±2^52 */
    uint32_t scale;
    unsigned exponent;
    bool all_present;
};
#define DECIMALS_EXPONENT_MAX 15

/* Of the vector at hand of a column of numbers; false in *ret_any when they are stored in another way, or the offsets
 * do not fit 32 bits. */
enum status decimals_head(struct worker *worker, uint32_t property, bool *ret_any, struct decimals_head *ret) MUST_USE;
/* 10^exponent */
int64_t decimals_power(unsigned exponent);

/* What a worker that measures has to itself. */
struct decimals {
    bool at_hand; /* of the vector at hand, the numbers are here */
    struct decimals_head head;
    uint64_t present[SCAN_MASK_WORDS]; /* unless all are: offsets of the others are 0 */
    /* items[i] of a call belongs to cells[i] */
    uint32_t offsets[VECTOR_ROWS_MAX], items[VECTOR_ROWS_MAX], cells[VECTOR_ROWS_MAX];
    /* sums.c */
    unsigned exponent; /* sums are of integers over 10^exponent */
    uint64_t bound;    /* no sum is greater in size: see sums.c */
    struct number_tally *tallies;
    bool refused; /* there is no room for tallies */
    uint32_t tally_stride;
    struct number_parts parts[VECTOR_ROWS_MAX];
    /* ranks.c */
    uint32_t *counts;
    struct code_block **blocks;
    size_t block_count, block_capacity;
};

/* Whether the vector's numbers can be summed as integers; makes ready for it. */
bool sums_take(struct worker *worker, const struct decimals_head *head);
/* Item i is number min + scale * items[i] and goes to cells[i]; the cell behind the last takes what does not count. */
enum status sums_add(struct worker *worker, const uint32_t *cells, const uint32_t *items, uint32_t count) MUST_USE;
/* Moves what was added into worker->exact, number_counts and counts. */
enum status sums_finish(struct worker *worker) MUST_USE;

/* Finds out whether the survey's percentiles can be counted; then *ret_ranks is not NULL. */
struct ranks;
enum status ranks_prepare(struct survey *survey, struct ranks **ret_ranks) MUST_USE;
enum status ranks_add(struct worker *worker, const uint32_t *cells, const uint32_t *items, uint32_t count) MUST_USE;
/* Fills in worker->number_counts, and adds to counts. */
void ranks_finish(struct worker *worker);
/* Picks the percentiles of all cells, by survey->number_counts. */
enum status ranks_pick(struct survey *survey, double *ret_numbers) MUST_USE;
void ranks_free_worker(struct worker *worker);
