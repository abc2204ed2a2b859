#pragma once
/*
 * Feeds an expression: for each column that it wants, the vector of the current scan position. Knows which names are
 * not stored properties but facts of the event (`$time`, `$distinct_id`, …).
 */
#include "query/native/profile_join.h"

struct columns;
/* Looks the names up in the snapshot and in what is wanted of profiles (profile_join_want), which need not be loaded
 * yet but must outlive it. Lives in the arena. */
enum status columns_new(struct arena *arena, const struct expr *expr, const struct snapshot *snapshot,
                        const struct profile_join *profiles, struct error *error,
                        struct columns **ret_columns) MUST_USE;
/* The vectors for the scan's current vector of `rows` rows of event `event_id`; good until the scan moves. */
enum status columns_read(struct columns *columns, struct scan *scan, uint32_t event_id, uint32_t rows,
                         struct error *error, const struct vector **ret_vectors) MUST_USE;

/* One column as the scan's current run has it: CONST also for facts that are the same for the whole run; VALUES with
 * property PROPERTY_ID_NONE for those that are computed row by row. ABSENT is given as CONST. */
enum status columns_describe(struct columns *columns, size_t index, struct scan *scan, uint32_t event_id,
                             struct error *error, struct scan_column *ret_column, uint32_t *ret_property) MUST_USE;
size_t columns_count(const struct columns *columns);
/* The property of profiles that is the only column; NULL when it is another one, when there are more or none, and when
 * nobody has it. */
const struct joined_column *columns_only_profile(const struct columns *columns);
