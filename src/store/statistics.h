#pragma once
/*
 * Rows of a run by quarter hour (docs/formats/section.md, "Statistics"): what answers unfiltered counts over time
 * without reading a row. Quarters count from the start of the section's window, in UTC; all time zones in use are
 * whole quarters off. Deleted rows are counted.
 */
#include "store/section.h"

struct scan_quarter; /* store.h */

/* The object of a run whose window starts at window_ms. `scratch` is used; reset it afterwards. */
enum status statistics_write(const int64_t *times_ms, uint32_t count, int64_t window_ms, struct arena *scratch,
                             struct buf *out) MUST_USE;
/* CORRUPT unless the quarters ascend inside the window of 2^window_log2 days and hold `rows` rows in all; LIMIT when
 * the arena's budget does not suffice. */
enum status statistics_read(struct str bytes, uint32_t window_log2, uint32_t rows, struct arena *arena,
                            struct scan_quarter **ret_quarters, size_t *ret_count) MUST_USE;
