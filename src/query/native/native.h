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

enum status native_segment(struct executor *executor, const struct plan *plan, const struct plan_limits *limits,
                           struct error *error, struct segmentation *ret_result);
