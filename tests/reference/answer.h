#pragma once
/* An answer for each kind of plan. Everything lives in the arena. The functions return why there is no answer, or NULL.
 */
#include "query/backend.h"
#include "reference/reference.h"

const char *ref_segment(const struct reference *reference, const struct plan *plan, struct arena *arena,
                        struct segmentation *ret_result);
const char *ref_top_values(const struct reference *reference, const struct plan *plan, struct arena *arena,
                           struct top_values *ret_result);
const char *ref_properties(const struct reference *reference, const struct plan *plan, struct arena *arena,
                           struct top_values *ret_result);
const char *ref_retention(const struct reference *reference, const struct plan *plan, struct arena *arena,
                          struct retention *ret_result);
const char *ref_frequency(const struct reference *reference, const struct plan *plan, struct arena *arena,
                          struct frequency *ret_result);
/* The events of FEED, in their order, or of EXPORT. */
const char *ref_rows(const struct reference *reference, const struct plan *plan, struct arena *arena,
                     struct event_row **ret_rows, size_t *ret_count);
