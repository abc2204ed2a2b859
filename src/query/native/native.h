#pragma once
/* The executor on the event store: what its files give to native.c, and what they share. */
#include "query/backend.h"
#include "query/native/parallel.h"
#include "store/store.h"

struct native {
    struct executor base;
    struct store *store;
    struct pool *pool;
};

/* segment.c: UNSUPPORTED for measures that are not there yet. */
enum status native_segment_capable(const struct plan *plan, struct error *error);
enum status native_segment(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                           struct error *error, struct segmentation *ret_result);
