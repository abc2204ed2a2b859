#pragma once
/* What run.c and run_column.c share. */
#include "store/run.h"

/* Fills in the error of a failed decode; passes OK through. */
enum status run_damaged(struct run *run, enum status status, struct error *error);
/* Pins the block that holds the column's vector. */
enum status run_pin_block(struct run *run, struct run_column *column, uint32_t vector, struct error *error) MUST_USE;
/* Loads the dictionary, and makes room for what a vector decodes to. */
enum status run_prepare(struct run *run, struct run_column *column, struct error *error) MUST_USE;
