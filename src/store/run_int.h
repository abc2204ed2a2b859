#pragma once
/* What run.c and run_column.c share. */
#include "store/run.h"

/* Fills in the error of a failed decode; passes OK through. */
enum status run_damaged(struct run *run, enum status status, struct error *error);
/* Pins the block that holds the column's vector. */
enum status run_pin_block(struct run *run, struct run_column *column, uint32_t vector, struct error *error) MUST_USE;
/* Loads the dictionary, if the column has one: all that single items of it take. */
enum status run_prepare_dictionary(struct run *run, struct run_column *column, struct error *error) MUST_USE;
/* And makes room for what a vector decodes to. */
enum status run_prepare(struct run *run, struct run_column *column, struct error *error) MUST_USE;

/* run->lengths becomes that of the vector of the list of persons in which this one stands: each at least 1, and at most
 * the run's rows. */
enum status run_load_lengths(struct run *run, uint32_t ordinal, struct error *error) MUST_USE;
/* Where in the list of persons the vector begins, and how many rows of that person lie before it. */
enum status run_vector_start(struct run *run, uint32_t vector, struct error *error, uint32_t *ret_ordinal,
                             uint32_t *ret_skip) MUST_USE;
/* run->ends becomes where the rows of each person of the vector end. */
enum status run_load_ends(struct run *run, uint32_t vector, struct error *error) MUST_USE;
/* Where the strings of a FIXED vector of items go in a section in RAM, or of a column that is not per person. */
enum status run_place_text(struct run *run, struct run_column *column, uint32_t vector, struct error *error,
                           char **ret_text) MUST_USE;
/* The number of a core stream that is CONST. */
enum status run_read_constant(struct run *run, struct run_column *column, struct error *error,
                              int64_t *ret_number) MUST_USE;
