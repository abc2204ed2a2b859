#pragma once
/*
 * Feeds an expression about profiles: columns.h for rows of a shadow project. There are fewer facts beside the stored
 * properties, and behaviours.
 */
#include "expr/expr.h"
#include "query/profiles.h"
#include "store/store.h"

struct behavior_counts;
struct profile_columns;

/* Looks the names up. `counts` may be NULL: no behaviour has a count. Lives in the arena. */
enum status profile_columns_new(struct arena *arena, const struct expr *expr, const struct snapshot *shadow,
                                const struct profile_plan *plan, const struct behavior_counts *counts,
                                struct error *error, struct profile_columns **ret_columns) MUST_USE;
size_t profile_columns_count(const struct profile_columns *columns);
/* The vectors for the scan's current vector of `rows` rows, where keep is not 0; elsewhere they hold anything. Good
 * until the scan moves. */
enum status profile_columns_read(struct profile_columns *columns, struct scan *scan, uint32_t rows, const uint8_t *keep,
                                 struct error *error, const struct vector **ret_vectors) MUST_USE;
/* One column as the scan's current run has it: CONST for what no row has; VALUES with property PROPERTY_ID_NONE for
 * what is computed row by row. */
enum status profile_columns_describe(struct profile_columns *columns, size_t index, struct scan *scan,
                                     struct error *error, struct scan_column *ret_column,
                                     uint32_t *ret_property) MUST_USE;
