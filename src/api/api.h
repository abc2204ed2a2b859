#pragma once
/*
 * What the handlers of all endpoints share: the context of every request (request->context). Filled in by server/, read
 * by all loops.
 */
#include "api/saved.h"
#include "api/visitor.h"
#include "base/status.h"
#include "ingest/limits.h"

#include <stdatomic.h>

struct executor;
struct lookup;
struct meta;
struct meta_reader;
struct meta_view;
struct replays;
struct profile_sessions;
struct queries;
struct query_cache;
struct row_streams;
struct store;
struct workers;

struct api_query_limits {
    size_t memory_bytes_max;
    uint32_t buckets_max, labels_max;
    int64_t timeout_ms;
    int64_t rate_per_hour; /* per project; 0: any number */
    int64_t page_max;      /* profiles in a page */
    size_t behaviors_max;  /* selectors of behaviours in a query */
    int64_t feed_events_max;
};

struct api_recording {
    bool enabled;
    int64_t sessions_percent; /* that the SDKs are told to record; -1: as their pages and apps say */
    uint64_t unpacked_bytes_max;
    struct replays *replays;
    struct workers *workers;
};

struct api {
    struct store *store;
    struct meta *meta;
    const struct ingest_limits *limits, *import_limits; /* of /track and its like; of /import */
    struct meta_reader **readers;                       /* one per loop */
    struct workers *workers;
    struct executor *executor;
    struct lookup *lookup;
    uint64_t lookup_file_bytes_max;    /* of a table as CSV, as sent and as unpacked */
    struct profile_sessions *sessions; /* answers in pages */
    struct queries *queries;           /* that are under way */
    struct query_cache *cache;
    struct row_streams *streams;       /* long answers under way */
    struct saved_limits saved;
    struct api_query_limits query;
    struct api_recording recording;
    struct enrichment_sources enrichment;
    struct visitor_proxies proxies;
    _Atomic bool stopping; /* what takes long and is done again after a start gives up */
};

struct http_route;
/* The routing table of the whole API, for http_options. Bodies that go to a file may have lookup_file_bytes_max. */
const struct http_route *api_routes(size_t *ret_count);
/* http_options.render_error: Mixpanel's JSON; on the tracking paths readable by a browser's page of another origin. */
struct http_request;
struct error;
void api_render_error(struct http_request *request, int status, const struct error *error);

/* The control plane as it is now, for a handler on that loop; borrowed until the next call on it. Never NULL. */
struct meta_view *api_meta_view(struct api *api, unsigned loop_index);
/* Has work(arg) called on a worker thread, for what would hold up a loop. UNAVAILABLE when too much waits already: it
 * will not be called. */
enum status api_run_blocking(struct api *api, void (*work)(void *arg), void *arg) MUST_USE;
/* The same on the threads that write recordings. */
enum status api_run_recording(struct api *api, void (*work)(void *arg), void *arg) MUST_USE;
