#pragma once
/* Merges whose inputs are piles: what merge.c asks instead of merge_order.c and merge_column.c. */
#include "store/merge_int.h"
#include "store/pile.h"

/* Before everything else; sets m->piles. All inputs are piles. */
enum status merge_piles_begin(struct merge *m) MUST_USE;
void merge_piles_end(struct merge *m);
/* The events that occur, ascending; malloc'd. */
enum status merge_pile_events(const struct merge *m, uint32_t **ret_events, size_t *ret_count) MUST_USE;
/* Calls each() with the times of all rows of an input. */
enum status merge_pile_times(const struct merge *m, size_t input, enum status (*each)(void *context, int64_t time_ms),
                             void *context) MUST_USE;
/* How many rows have an insert id. */
uint64_t merge_pile_keys(const struct merge *m);
/* As merge_order and merge_columns; the units are all of the event's. */
enum status merge_pile_order(struct merge *m, uint32_t event_id) MUST_USE;
enum status merge_pile_columns(struct merge *m, uint32_t event_id, const struct merge_unit *units,
                               size_t count) MUST_USE;
