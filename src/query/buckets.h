#pragma once
/*
 * Time buckets of a range of local days: minutes, hours, days, weeks (from Monday), months, spans of days or the
 * whole range, in a time zone with its daylight saving. Bucket i is labelled by the local time at which it begins. See
 * docs/decisions/0005-segmentation-choices.md, 2 and 3.
 */
#include "base/arena.h"
#include "query/plan.h"

#define BUCKET_NONE UINT32_MAX

struct buckets;
/* LIMIT when there would be more than buckets_max; INVALID when from_day > to_day. Lives in the arena. */
enum status buckets_new(struct arena *arena, const struct plan *plan, uint32_t buckets_max, struct error *error,
                        struct buckets **ret_buckets) MUST_USE;
uint32_t buckets_count(const struct buckets *buckets);
struct str buckets_label(const struct buckets *buckets, uint32_t index);
/* The bucket of an instant, or BUCKET_NONE when it lies outside the range. Fast when instants come nearly in order. Not
 * thread-safe: it remembers the last offset. */
uint32_t buckets_find(struct buckets *buckets, int64_t utc_ms);
/* An interval [from, to) of instants that holds the range. */
void buckets_span(const struct buckets *buckets, int64_t *ret_from_ms, int64_t *ret_to_ms);
/* The same as a list: edge i says into which bucket (or BUCKET_NONE) the instants from its own on fall, up to the next
 * edge. Before the first there is none. In the arena; may be read by any number of threads. */
struct bucket_edge {
    int64_t from_ms;
    uint32_t bucket;
};
enum status buckets_edges(const struct buckets *buckets, struct arena *arena, struct error *error,
                          const struct bucket_edge **ret_edges, size_t *ret_count) MUST_USE;
