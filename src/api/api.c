#include "api/api.h"

#include "api/cohorts.h"
#include "api/deletions.h"
#include "api/engage.h"
#include "api/engage_query.h"
#include "api/events.h"
#include "api/export.h"
#include "api/feed.h"
#include "api/funnels.h"
#include "api/health.h"
#include "api/identities.h"
#include "api/identity.h"
#include "api/import.h"
#include "api/record.h"
#include "api/lookups.h"
#include "api/query_job.h"
#include "api/query_list.h"
#include "api/response.h"
#include "api/retention.h"
#include "api/saved.h"
#include "api/sdk.h"
#include "api/segmentation.h"
#include "api/track.h"
#include "base/log.h"
#include "http/server.h"
#include "meta/meta.h"
#include "os/workers.h"

#include <stdatomic.h>

#define GET_POST (HTTP_METHOD_GET | HTTP_METHOD_POST)

/* A query of the Query API, under both of its bases: api/query_job.h. Parameters may come in a body; lists of ids make
 * some large. A slash at the end of the path is the router's business. */
#define QUERY_2_0 "/api/2.0/"
#define QUERY_NEW "/api/query/"
#define QUERY_SIZED(name, function, bytes)                                                                             \
    {.methods = GET_POST, .path = QUERY_2_0 name, .handler = (function), .body_bytes_max = (bytes)},                   \
    {                                                                                                                  \
        .methods = GET_POST, .path = QUERY_NEW name, .handler = (function), .body_bytes_max = (bytes)                  \
    }
#define QUERY(name, function)       QUERY_SIZED(name, function, 1 << 20)
#define QUERY_LARGE(name, function) QUERY_SIZED(name, function, 4 << 20)

/* The saved ones of a kind, and one of them. */
#define SAVED(name, prefix)                                                                                            \
    {.methods = HTTP_METHOD_GET,                                                                                       \
     .path = "/api/app/projects/{project_id}/" name,                                                                   \
     .handler = prefix##_list_saved},                                                                                  \
        {.methods = HTTP_METHOD_POST,                                                                                  \
         .path = "/api/app/projects/{project_id}/" name,                                                               \
         .handler = prefix##_create,                                                                                   \
         .body_bytes_max = 1 << 20},                                                                                   \
        {.methods = HTTP_METHOD_GET,                                                                                   \
         .path = "/api/app/projects/{project_id}/" name "/{id}",                                                       \
         .handler = prefix##_get},                                                                                     \
        {.methods = HTTP_METHOD_PATCH,                                                                                 \
         .path = "/api/app/projects/{project_id}/" name "/{id}",                                                       \
         .handler = prefix##_change,                                                                                   \
         .body_bytes_max = 1 << 20},                                                                                   \
    {                                                                                                                  \
        .methods = HTTP_METHOD_DELETE, .path = "/api/app/projects/{project_id}/" name "/{id}",                         \
        .handler = prefix##_delete                                                                                     \
    }

static const struct http_route routes[] = {
    {.methods = GET_POST, .path = "/track", .handler = api_track},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/track", .handler = response_preflight},
    {.methods = GET_POST, .path = "/import", .handler = api_import},
    {.methods = GET_POST, .path = "/engage", .handler = api_engage},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/engage", .handler = response_preflight},
    {.methods = GET_POST, .path = "/groups", .handler = api_groups},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/groups", .handler = response_preflight},
    {.methods = HTTP_METHOD_POST, .path = "/identity/create", .handler = api_identity_create},
    {.methods = HTTP_METHOD_POST, .path = "/identity/create-alias", .handler = api_identity_create_alias},
    {.methods = HTTP_METHOD_POST, .path = "/identity/merge", .handler = api_identity_merge},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/identity/create", .handler = response_preflight},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/identity/create-alias", .handler = response_preflight},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/identity/merge", .handler = response_preflight},
    {.methods = HTTP_METHOD_GET, .path = "/decide", .handler = api_decide},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/decide", .handler = response_preflight},
    {.methods = HTTP_METHOD_GET, .path = "/settings", .handler = api_settings},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/settings", .handler = response_preflight},
    {.methods = HTTP_METHOD_POST, .path = "/record", .handler = api_record},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/record", .handler = response_preflight},
    {.methods = GET_POST, .path = "/flags", .handler = api_flags, .body_bytes_max = 1 << 20},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/flags", .handler = response_preflight},
    {.methods = HTTP_METHOD_GET, .path = "/flags/definitions", .handler = api_flags_definitions},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/flags/definitions", .handler = response_preflight},
    {.methods = HTTP_METHOD_POST,
     .path = "/flags/{flag_id}/first-time-events",
     .handler = api_flags_first_time_event,
     .body_bytes_max = 1 << 20},
    {.methods = HTTP_METHOD_OPTIONS, .path = "/flags/{flag_id}/first-time-events", .handler = response_preflight},
    QUERY("segmentation", api_segmentation),
    QUERY("segmentation/numeric", api_segmentation_numeric),
    QUERY("segmentation/sum", api_segmentation_sum),
    QUERY("segmentation/average", api_segmentation_average),
    QUERY("segmentation/multiseg", api_segmentation_multiseg),
    QUERY("retention", api_retention),
    QUERY("retention/addiction", api_retention_addiction),
    {.methods = GET_POST, .path = "/retention", .handler = api_retention, .body_bytes_max = 1 << 20},
    {.methods = GET_POST,
     .path = "/retention/addiction",
     .handler = api_retention_addiction,
     .body_bytes_max = 1 << 20},
    QUERY("events", api_events),
    QUERY("events/top", api_events_top),
    QUERY("events/names", api_events_names),
    QUERY("events/properties", api_events_properties),
    QUERY("events/properties/top", api_events_properties_top),
    QUERY("events/properties/values", api_events_properties_values),
    QUERY_LARGE("engage", api_engage_query),
    QUERY_LARGE("engage/query", api_engage_query),
    QUERY_LARGE("engage/properties", api_engage_properties),
    QUERY_LARGE("engage/stats", api_engage_stats),
    QUERY_LARGE("engage/revenue", api_engage_revenue),
    {.methods = GET_POST, .path = "/api/2.0/export", .handler = api_export, .body_bytes_max = 1 << 20},
    {.methods = GET_POST, .path = "/export", .handler = api_export, .body_bytes_max = 1 << 20},
    QUERY_LARGE("stream/query", api_feed),
    QUERY("cohorts/list", api_cohorts),
    QUERY("funnels", api_funnels),
    QUERY("funnels/list", api_funnels_list),
    SAVED("funnels", api_funnels),
    SAVED("cohorts", api_cohorts),
    {.methods = HTTP_METHOD_GET, .path = "/api/app/projects/{project_id}/data-groups", .handler = api_data_groups},
    {.methods = HTTP_METHOD_POST,
     .path = "/api/app/data-deletions/v3.0",
     .handler = api_deletions_create,
     .body_bytes_max = 4 << 20},
    {.methods = HTTP_METHOD_GET, .path = "/api/app/data-deletions/v3.0/{id}", .handler = api_deletions_get},
    {.methods = HTTP_METHOD_DELETE, .path = "/api/app/data-deletions/v3.0/{id}", .handler = api_deletions_cancel},
    {.methods = HTTP_METHOD_POST,
     .path = "/api/app/projects/{project_id}/deletions",
     .handler = api_deletions_create,
     .body_bytes_max = 4 << 20},
    {.methods = HTTP_METHOD_GET, .path = "/api/app/projects/{project_id}/deletions", .handler = api_deletions_list},
    {.methods = HTTP_METHOD_GET, .path = "/api/app/projects/{project_id}/deletions/{id}", .handler = api_deletions_get},
    {.methods = HTTP_METHOD_DELETE,
     .path = "/api/app/projects/{project_id}/deletions/{id}",
     .handler = api_deletions_cancel},
    {.methods = HTTP_METHOD_GET, .path = "/api/app/queries", .handler = api_queries_list},
    {.methods = HTTP_METHOD_DELETE, .path = "/api/app/queries/{id}", .handler = api_queries_stop},
    {.methods = HTTP_METHOD_GET, .path = "/api/app/projects/{project_id}/queries", .handler = api_queries_list},
    {.methods = HTTP_METHOD_GET, .path = "/api/app/projects/{project_id}/identities", .handler = api_identities_get},
    {.methods = HTTP_METHOD_DELETE,
     .path = "/api/app/projects/{project_id}/identities",
     .handler = api_identities_unlink},
    {.methods = HTTP_METHOD_GET,
     .path = "/api/app/projects/{project_id}/identities/{distinct_id}",
     .handler = api_identities_get},
    {.methods = HTTP_METHOD_DELETE,
     .path = "/api/app/projects/{project_id}/identities/{distinct_id}",
     .handler = api_identities_unlink},
    {.methods = HTTP_METHOD_GET,
     .path = "/api/app/projects/{project_id}/identity-unlinks",
     .handler = api_identities_unlinks},
    {.methods = HTTP_METHOD_GET, .path = "/lookup-tables", .handler = api_lookups_list},
    {.methods = HTTP_METHOD_POST,
     .path = "/lookup-tables",
     .handler = api_lookups_create,
     .flags = HTTP_ROUTE_BODY_IN_FILE},
    {.methods = HTTP_METHOD_PUT,
     .path = "/lookup-tables/{id}",
     .handler = api_lookups_replace,
     .flags = HTTP_ROUTE_BODY_IN_FILE},
    {.methods = HTTP_METHOD_DELETE, .path = "/lookup-tables/{id}", .handler = api_lookups_delete},
    {.methods = HTTP_METHOD_PUT, .path = "/lookup-tables/{id}/properties/{name}", .handler = api_lookups_map},
    {.methods = HTTP_METHOD_DELETE, .path = "/lookup-tables/{id}/properties/{name}", .handler = api_lookups_unmap},
    {.methods = HTTP_METHOD_GET, .path = "/health", .handler = api_health},
    {.methods = HTTP_METHOD_GET, .path = "/ready", .handler = api_ready},
};

const struct http_route *api_routes(size_t *ret_count)
{
    *ret_count = sizeof routes / sizeof *routes;
    return routes;
}

void api_render_error(struct http_request *request, int status, const struct error *error)
{
    /* Only what pages of any origin send to: credentials that a browser keeps must not open the rest to them. */
    static const char *const open[] = {"/track",  "/engage",   "/groups", "/identity/",
                                       "/decide", "/settings", "/record", "/flags"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        if (!str_starts(request->path, str_of(open[i]))) continue;
        response_allow_origin(request);
        break;
    }
    if (str_starts(request->path, STR(QUERY_2_0)) || str_starts(request->path, STR(QUERY_NEW)))
        query_refuse(request, status, error);
    else
        http_render_error_json(request, status, error);
}

struct meta_view *api_meta_view(struct api *api, unsigned loop_index)
{
    static atomic_bool complained;
    struct error error = ERROR_INIT;
    struct meta_view *view = meta_reader_view(api->readers[loop_index], &error);
    /* The last view that could be read still serves; say so once, not once a request. */
    if (error.status == STATUS_OK) {
        atomic_store_explicit(&complained, false, memory_order_relaxed);
    } else if (!atomic_exchange(&complained, true)) {
        log_failure(LOG_ERROR, "control_plane_unreadable", &error);
    }
    return view;
}

enum status api_run_blocking(struct api *api, void (*work)(void *arg), void *arg)
{
    return workers_submit(api->workers, work, arg);
}

enum status api_run_recording(struct api *api, void (*work)(void *arg), void *arg)
{
    return workers_submit(api->recording.workers, work, arg);
}
