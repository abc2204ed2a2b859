#pragma once
/*
 * What the handlers of all endpoints share: the context of every request (request->context). Filled in by server/, read
 * by all loops.
 */
#include "base/status.h"
#include "ingest/limits.h"

struct meta;
struct meta_view;
struct store;

struct api {
    struct store *store;
    struct meta *meta;
    const struct ingest_limits *limits;
};

/* The control plane as it is now, for a handler on that loop; borrowed until the next call on it. Never NULL. */
struct meta_view *api_meta_view(struct api *api, unsigned loop_index);
/* Has work(arg) called on a worker thread, for what would hold up a loop. UNAVAILABLE when too much waits already: it
 * will not be called. */
enum status api_run_blocking(struct api *api, void (*work)(void *arg), void *arg) MUST_USE;
