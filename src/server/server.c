/*
 * Order of life: lock the directory, open the control plane, recover the store, start workers and loops, serve; and
 * back in the opposite order. A signal thread turns SIGTERM and SIGINT into a drain and SIGHUP into reading
 * certificate and geo database again, and once a second looks whether a project was deleted, so that its events go too.
 */
#include "server/server.h"

#include "api/api.h"
#include "api/deletion.h"
#include "api/import.h"
#include "api/record.h"
#include "api/profile_sessions.h"
#include "api/queries.h"
#include "api/query_cache.h"
#include "api/row_stream.h"
#include "api/unlink.h"
#include "base/log.h"
#include "base/number.h"
#include "http/server.h"
#include "identity/identity.h"
#include "lookup/lookup.h"
#include "profile/update.h"
#include "meta/meta.h"
#include "os/clock.h"
#include "os/machine.h"
#include "os/thread.h"
#include "os/workers.h"
#include "query/backend.h"
#include "replay/replay.h"
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct server {
    const struct options *options;
    struct os_lock *lock;
    struct os_fs *fs;
    struct meta *meta;
    struct store *store;
    struct replays *replays;
    struct workers *workers, *recorders;
    struct executor *executor;
    struct profile_sessions *sessions;
    struct queries *queries;
    struct query_cache *cache;
    struct row_streams *streams;
    struct lookup *lookup;
    struct ingest_limits limits, import_limits;
    struct api api;
    struct geo *geo;
    struct agents *agents;
    struct visitor_proxies proxies;
    struct http_tls_context *tls;
    struct http_server *http;
    struct http_route *routes;
    char body_directory[4096];
    unsigned loops;
    pthread_t signal_thread, deletion_thread;
    bool signal_thread_started, deletion_thread_started;
    _Atomic bool stopping;
};

static enum status open_store(struct server *server, struct error *error)
{
    const struct options *o = server->options;
    struct store_options options;
    struct store_report report;
    store_options_defaults(&options);
    options.fs = server->fs;
    options.link = identity_link;
    options.update = profile_update;
    options.unlink = identity_unlink;
    options.explain = identity_explain;
    options.wal_file_bytes = o->store_wal_file_bytes;
    options.memory_bytes_max = o->store_memory_max_bytes;
    options.flush_rows = (uint64_t)o->store_flush_rows;
    options.flush_interval_ms = (uint64_t)o->store_flush_interval_ms;
    options.cache_bytes = o->store_cache_bytes;
    options.queue_bytes_max = o->store_queue_bytes_max;
    options.names_max = (uint32_t)o->store_names_max;
    options.purge_deadline_ms = (uint64_t)o->store_purge_deadline_ms;
    options.compact_memory_bytes = o->store_compact_memory_bytes;
    options.compact_bytes_per_second = o->store_compact_bytes_per_second;
    options.compact.fan_in = (uint32_t)o->store_compact_fan_in;
    options.salvage = o->store_salvage;
    TRY(store_open(&options, error, &report, &server->store));
    if (report.bytes_lost) log_warn("acknowledged_bytes_lost", LOG_INT("bytes", report.bytes_lost));
    log_info("recovered", LOG_INT("frames", report.frames), LOG_INT("events", report.events),
             LOG_INT("bytes_torn", report.bytes_torn), LOG_INT("bytes_lost", report.bytes_lost));
    return STATUS_OK;
}

static enum status open_enrichment(struct server *server, struct error *error)
{
    const struct options *o = server->options;
    if (o->enrich_geo_database[0]) TRY(geo_open(o->enrich_geo_database, error, &server->geo));
    if (o->enrich_user_agents) {
        server->agents = agents_new((size_t)o->enrich_user_agent_entries);
        if (!server->agents) return error_set(error, STATUS_LIMIT, "cannot load the rules for User-Agents");
    }
    return visitor_proxies_parse(o->http_trusted_proxies.items, o->http_trusted_proxies.count, error, &server->proxies);
}

static enum status open_replays(struct server *server, struct error *error)
{
    const struct options *o = server->options;
    struct replay_options options = {
        .fs = server->fs, .project_bytes_max = o->record_bytes_max, .retention_days = o->record_retention_days};
    TRY(replays_open(&options, error, &server->replays));
    if (workers_new((unsigned)o->record_threads, (size_t)o->record_queue_max, &server->recorders) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "cannot start the threads that write recordings");
    return STATUS_OK;
}

/* Checked by options_finish. -1: not set. */
static int64_t sessions_percent(const struct options *o)
{
    uint64_t percent;
    return number_parse_unsigned(str_of(o->record_sessions_percent), 100, &percent) ? (int64_t)percent : -1;
}

static enum status open_lookup(struct server *server, struct error *error)
{
    const struct options *o = server->options;
    struct lookup_options options = {
        .fs = server->fs,
        .meta = server->meta,
        .memory_bytes_max = o->lookup_memory_max_bytes,
        .build = {.rows_max = (uint64_t)o->lookup_rows_max, .columns_max = (uint32_t)o->lookup_columns_max},
        .limits = {.tables_max = o->lookup_tables_max, .rows_max = o->lookup_project_rows_max}};
    TRY(lookup_new(&options, error, &server->lookup));
    /* Nothing depends on it but space. */
    if (lookup_sweep(server->lookup, true, error) != STATUS_OK)
        log_failure(LOG_WARN, "cannot_sweep_lookup_tables", error);
    return STATUS_OK;
}

/* What queries ask for is found out by workers, and with them everything else that would hold up a loop. */
static enum status open_queries(struct server *server, struct error *error)
{
    const struct options *o = server->options;
    struct queries_limits limits = {.computing_max = o->query_threads ? (unsigned)o->query_threads : os_cores(),
                                    .running_max = (unsigned)o->query_running_max,
                                    .waiting_max = (size_t)o->query_queue_max,
                                    .memory_each = o->query_memory_max_bytes,
                                    .memory_total = o->query_memory_total_bytes,
                                    .project_max = o->query_project_max};
    TRY(queries_new(&limits, error, &server->queries));
    server->cache = query_cache_new(o->query_cache_bytes);
    if (workers_new(os_cores() + 1, (size_t)o->query_queue_max, &server->workers) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "cannot start worker threads");
    return STATUS_OK;
}

static enum status open_streams(struct server *server, struct error *error)
{
    const struct options *o = server->options;
    struct row_stream_limits limits = {.memory_bytes_max = o->export_memory_max_bytes,
                                       .all_bytes_max = o->export_memory_bytes,
                                       .concurrent_max = o->export_concurrent_max,
                                       .time_max_ms = o->export_time_max_ms,
                                       .threads = (unsigned)o->export_threads};
    return row_streams_new(&limits, error, &server->streams);
}

static void fill_api(struct server *server)
{
    const struct options *o = server->options;
    server->limits = INGEST_LIMITS_DEFAULT;
    server->limits.request_bytes_max = o->http_body_bytes_max;
    server->limits.record_bytes_max = o->store_wal_file_bytes / 4 * 3;
    server->limits.events_max = (size_t)o->ingest_batch_events_max;
    server->limits.event_bytes_max = o->ingest_event_bytes_max;
    server->limits.properties_max = (size_t)o->ingest_properties_max;
    server->limits.string_bytes_max = (size_t)o->ingest_string_bytes_max;
    server->limits.depth_max = (unsigned)o->ingest_depth_max;
    server->limits.elements_max = (size_t)o->ingest_elements_max;
    server->limits.list_bytes_max = o->ingest_list_bytes_max;
    server->limits.age_max_ms = o->ingest_age_max_ms;
    server->limits.reject_unknown_tokens = o->ingest_reject_unknown_tokens;
    server->limits.cluster_ids_max = (uint32_t)o->ingest_cluster_ids_max;
    server->limits.messages_max = (size_t)o->ingest_batch_messages_max;
    server->limits.message_bytes_max = o->ingest_message_bytes_max;
    server->limits.profile_properties_max = (size_t)o->ingest_profile_properties_max;
    server->limits.profile_list_bytes_max = o->ingest_profile_list_bytes_max;
    server->limits.profile_bytes_max = o->ingest_profile_bytes_max;
    server->import_limits = server->limits;
    server->import_limits.request_bytes_max = o->ingest_import_bytes_max;
    server->import_limits.events_max = (size_t)o->ingest_import_events_max;
    server->import_limits.event_bytes_max = o->ingest_import_event_bytes_max;
    server->api = (struct api){
        .store = server->store,
        .meta = server->meta,
        .limits = &server->limits,
        .import_limits = &server->import_limits,
        .workers = server->workers,
        .executor = server->executor,
        .enrichment = {.geo = server->geo, .agents = server->agents, .bots = (enum enrichment_bots)o->enrich_bots},
        .proxies = server->proxies,
        .lookup = server->lookup,
        .lookup_file_bytes_max = o->lookup_file_bytes_max,
        .sessions = server->sessions,
        .queries = server->queries,
        .cache = server->cache,
        .streams = server->streams,
        .saved =
            {
                .funnels_max = o->saved_funnels_max,
                .cohorts_max = o->saved_cohorts_max,
                .steps_max = (uint32_t)o->query_funnel_steps_max,
                .selectors_max = (size_t)o->query_behaviors_max,
            },
        .query =
            {
                .memory_bytes_max = o->query_memory_max_bytes,
                .buckets_max = (uint32_t)o->query_buckets_max,
                .labels_max = (uint32_t)o->query_labels_max,
                .timeout_ms = o->query_timeout_ms,
                .rate_per_hour = o->query_rate_per_hour,
                .page_max = o->query_page_max,
                .behaviors_max = (size_t)o->query_behaviors_max,
                .feed_events_max = o->query_feed_events_max,
            },
        .recording =
            {
                .enabled = o->record_enabled,
                .sessions_percent = sessions_percent(o),
                .unpacked_bytes_max = o->record_unpacked_bytes_max,
                .replays = server->replays,
                .workers = server->recorders,
            },
    };
}

static enum status open_readers(struct server *server, struct error *error)
{
    server->api.readers = calloc(server->loops, sizeof *server->api.readers);
    if (!server->api.readers) return error_set(error, STATUS_LIMIT, "out of memory");
    for (unsigned i = 0; i < server->loops; i++) TRY(meta_reader_new(server->meta, error, &server->api.readers[i]));
    return STATUS_OK;
}

static void on_finished(void *context, const struct http_access *access)
{
    (void)context;
    if (!log_enabled(LOG_DEBUG)) return;
    log_debug("request", LOG_INT("id", access->request->id), LOG_STR("method", access->request->method_name),
              LOG_STR("path", access->request->path), LOG_INT("status", access->status),
              LOG_INT("bytes_in", access->bytes_in), LOG_INT("bytes_out", access->bytes_out),
              LOG_INT("us", access->duration_us));
}

/* The API's table, with the limits that are options. */
static enum status make_routes(struct server *server, struct error *error, size_t *ret_count)
{
    const struct http_route *routes = api_routes(ret_count);
    server->routes = calloc(*ret_count, sizeof *routes);
    if (!server->routes) return error_set(error, STATUS_LIMIT, "out of memory");
    memcpy(server->routes, routes, *ret_count * sizeof *routes);
    for (size_t i = 0; i < *ret_count; i++) {
        if (server->routes[i].handler == api_import)
            server->routes[i].body_bytes_max = server->options->ingest_import_bytes_max;
        if (server->routes[i].handler == api_record)
            server->routes[i].body_bytes_max = server->options->record_body_bytes_max;
        if (server->routes[i].flags & HTTP_ROUTE_BODY_IN_FILE)
            server->routes[i].body_bytes_max = server->options->lookup_file_bytes_max;
    }
    return STATUS_OK;
}

static enum status open_http(struct server *server, struct error *error)
{
    const struct options *o = server->options;
    struct http_options options;
    http_options_default(&options);
    TRY(make_routes(server, error, &options.route_count));
    options.routes = server->routes;
    options.listen = o->http_listen.items;
    options.listen_count = o->http_listen.count;
    if (o->http_tls_certificate[0])
        TRY(http_tls_context_new(o->http_tls_certificate, o->http_tls_key, error, &server->tls));
    options.tls = server->tls;
    options.loops = server->loops;
    options.render_error = api_render_error;
    options.context = &server->api;
    options.header_bytes_max = o->http_header_bytes_max;
    options.target_bytes_max = o->http_url_bytes_max;
    options.fields_max = (size_t)o->http_headers_max;
    options.body_bytes_max = o->http_body_bytes_max;
    options.bodies_bytes_max = o->http_bodies_bytes_max;
    snprintf(server->body_directory, sizeof server->body_directory, "%s/" LOOKUP_FOLDER, o->data_dir);
    options.body_directory = server->body_directory;
    options.body_files_bytes_max = o->http_body_files_bytes_max;
    options.arena_bytes_max = o->http_request_memory_max_bytes;
    options.pipeline_bytes_max = o->http_pipeline_bytes_max;
    options.connections_max = (size_t)o->http_connections_max;
    options.pipeline_max = (size_t)o->http_pipeline_max;
    options.header_timeout_ms = (uint64_t)o->http_header_timeout_ms;
    options.body_timeout_ms = (uint64_t)o->http_body_timeout_ms;
    options.idle_timeout_ms = (uint64_t)o->http_idle_timeout_ms;
    options.write_timeout_ms = (uint64_t)o->http_write_timeout_ms;
    options.on_finished = on_finished;
    return http_server_new(&options, error, &server->http);
}

/* --- deleted projects --- */

struct purge {
    struct server *server;
    struct meta_view *view;
};

static void purge_project(void *ctx, uint64_t project)
{
    struct purge *purge = ctx;
    if (meta_view_project(purge->view, (int64_t)project)) return;
    struct buf record = BUF_INIT(64);
    if (record_project_drop(&record, project) == STATUS_OK &&
        store_append_wait(purge->server->store, &record) == STATUS_OK)
        log_info("project_events_dropped", LOG_INT("project", project));
    buf_fini(&record);
}

static bool project_gone(const struct meta_view *before, const struct meta_view *now)
{
    size_t count;
    const struct meta_project *projects = meta_view_projects(before, &count);
    for (size_t i = 0; i < count; i++) {
        if (!meta_view_project(now, projects[i].id)) return true;
    }
    return false;
}

static void purge_deleted(struct server *server, struct meta_reader *reader, struct meta_view **last)
{
    struct error error = ERROR_INIT;
    struct meta_view *view = meta_reader_view(reader, &error);
    /* Only a view that was really read tells that a project is gone. */
    if (error.status != STATUS_OK || view == *last) return;
    struct purge purge = {server, view};
    if (store_projects(server->store, purge_project, &purge) != STATUS_OK) return;
    if (*last && project_gone(*last, view) && lookup_sweep(server->lookup, false, &error) != STATUS_OK)
        log_failure(LOG_WARN, "cannot_sweep_lookup_tables", &error);
    meta_view_unref(*last);
    *last = meta_view_ref(view);
}

static void signals_of_interest(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
}

/* SIGHUP: files that others renew are read again. One that is no good leaves the old one in use. */
static void reload(struct server *server)
{
    const struct options *o = server->options;
    struct error error = ERROR_INIT;
    if (!server->tls && !server->geo)
        log_info("nothing_to_reload", LOG_CSTR("hint", "SIGHUP reads the certificate and the geo database again"));
    if (server->tls && http_tls_context_reload(server->tls, &error) == STATUS_OK)
        log_info("certificate_reloaded", LOG_CSTR("file", o->http_tls_certificate));
    else if (server->tls)
        log_failure(LOG_ERROR, "cannot_reload_certificate", &error);
    if (server->geo && geo_reload(server->geo, &error) == STATUS_OK)
        log_info("geo_database_reloaded", LOG_CSTR("file", o->enrich_geo_database));
    else if (server->geo)
        log_failure(LOG_ERROR, "cannot_reload_geo_database", &error);
}

static void *signal_main(void *arg)
{
    struct server *server = arg;
    struct meta_reader *reader = NULL;
    struct meta_view *last = NULL;
    struct error error;
    sigset_t signals;
    signals_of_interest(&signals);
    if (meta_reader_new(server->meta, &error, &reader) != STATUS_OK)
        log_failure(LOG_WARN, "cannot_watch_projects", &error);
    while (!server->stopping) {
        struct timespec second = {.tv_sec = 1};
        int signal = sigtimedwait(&signals, NULL, &second);
        if (server->stopping) break;
        if (signal == SIGTERM || signal == SIGINT) {
            log_info("draining", LOG_CSTR("signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"));
            http_server_drain(server->http, (uint64_t)server->options->http_drain_timeout_ms);
        } else if (signal == SIGHUP) {
            reload(server);
        } else if (reader) {
            purge_deleted(server, reader, &last);
        }
    }
    meta_view_unref(last);
    meta_reader_free(reader);
    return NULL;
}

/* --- requests to delete --- */

#define PENDING_PAUSE_MS 10000
#define RETAIN_PAUSE_MS  3600000
#define REPLAY_PAUSE_MS  5000

#define FLUSH_AT_STOP_ROWS 50000

static bool project_lives(void *view, uint64_t project)
{
    return meta_view_project(view, (int64_t)project) != NULL;
}

/* Requests that the command line writes show as a change of the control plane; those that wait for something are tried
 * again now and then. What follows physically is looked after a few hundred times before the deadline. */
static void *deletion_main(void *arg)
{
    struct server *server = arg;
    struct meta_reader *reader = NULL;
    struct meta_view *last = NULL;
    struct error error = ERROR_INIT;
    int64_t pending_ms = 0, purge_ms = 0, retain_ms = 0, replay_ms = 0;
    int64_t purge_pause_ms = server->options->store_purge_deadline_ms / 200;
    if (meta_reader_new(server->meta, &error, &reader) != STATUS_OK) {
        log_failure(LOG_WARN, "cannot_watch_deletions", &error);
        return NULL;
    }
    while (!server->stopping) {
        error = ERROR_INIT;
        struct meta_view *view = meta_reader_view(reader, &error);
        int64_t now_ms = os_monotonic_ns() / 1000000;
        bool purge = !purge_ms || now_ms - purge_ms >= purge_pause_ms;
        if (purge || view != last || now_ms - pending_ms >= PENDING_PAUSE_MS) {
            deletion_work(&server->api, view, purge);
            unlink_work(&server->api, view);
            profile_sessions_expire(server->sessions, os_now_ms());
            pending_ms = now_ms;
            if (purge) purge_ms = now_ms;
        }
        if (!replay_ms || now_ms - replay_ms >= REPLAY_PAUSE_MS || view != last) {
            /* Only a view that was really read tells that a project is gone. */
            replays_sweep(server->replays, os_now_ms(), error.status == STATUS_OK ? project_lives : NULL, view);
            replay_ms = now_ms;
        }
        if (!retain_ms || now_ms - retain_ms >= RETAIN_PAUSE_MS || view != last) {
            deletion_retain(&server->api, view);
            retain_ms = now_ms;
        }
        meta_view_unref(last);
        last = meta_view_ref(view);
        for (int i = 0; i < 10 && !server->stopping; i++) os_sleep_ns(100000000);
    }
    meta_view_unref(last);
    meta_reader_free(reader);
    return NULL;
}

/* --- life --- */

static enum status start(struct server *server, struct error *error)
{
    const struct options *o = server->options;
    struct meta_options meta = META_OPTIONS_DEFAULT;
    meta.argon2_memory_bytes = o->auth_argon2_memory_bytes;
    meta.argon2_ops = (unsigned)o->auth_argon2_ops;
    meta.cache_entries_max = (size_t)o->auth_cache_entries;
    /* Before the first thread is started: they inherit the mask, and the signal thread alone takes the signals. */
    sigset_t signals;
    signals_of_interest(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    server->loops = o->http_threads ? (unsigned)o->http_threads : os_cores();
    TRY(os_make_directories(o->data_dir, error));
    TRY(os_lock_acquire(o->data_dir, error, &server->lock));
    TRY(os_posix_new(o->data_dir, error, &server->fs));
    TRY(meta_open(o->data_dir, &meta, error, &server->meta));
    TRY(open_store(server, error));
    TRY(open_lookup(server, error));
    server->executor = executor_native_new(server->store);
    server->sessions = profile_sessions_new(&(struct session_limits){.count_max = (size_t)o->query_sessions_max,
                                                                     .bytes_max = o->query_sessions_memory_bytes,
                                                                     .age_max_ms = o->query_sessions_age_ms});
    TRY(open_queries(server, error));
    TRY(open_streams(server, error));
    TRY(open_enrichment(server, error));
    TRY(open_replays(server, error));
    fill_api(server);
    TRY(open_readers(server, error));
    TRY(open_http(server, error));
    server->signal_thread_started = pthread_create(&server->signal_thread, NULL, signal_main, server) == 0;
    if (!server->signal_thread_started) return error_set(error, STATUS_LIMIT, "cannot start the signal thread");
    server->deletion_thread_started = pthread_create(&server->deletion_thread, NULL, deletion_main, server) == 0;
    if (!server->deletion_thread_started) return error_set(error, STATUS_LIMIT, "cannot start the deletion thread");
    return STATUS_OK;
}

/* What is not in files by now, the next start would read from the log and put into files before it answers. A few
 * events are read in no time, and would make a small file with every stop. */
static void flush_at_stop(struct server *server)
{
    struct store_stats stats;
    struct error error = ERROR_INIT;
    if (!server->store) return;
    store_stats(server->store, &stats);
    if (stats.rows_in_memory < FLUSH_AT_STOP_ROWS) return;
    if (store_flush(server->store, &error) != STATUS_OK) log_failure(LOG_WARN, "cannot_flush_at_stop", &error);
}

static void stop(struct server *server)
{
    if (server->signal_thread_started) {
        server->stopping = true;
        pthread_kill(server->signal_thread, SIGTERM);
        pthread_join(server->signal_thread, NULL);
    }
    server->stopping = true;
    atomic_store(&server->api.stopping, true);
    if (server->deletion_thread_started) pthread_join(server->deletion_thread, NULL);
    workers_free(server->workers);
    row_streams_free(server->streams); /* which are in the list of queries */
    queries_free(server->queries);
    workers_free(server->recorders);
    http_server_free(server->http);
    http_tls_context_free(server->tls);
    geo_close(server->geo);
    agents_free(server->agents);
    visitor_proxies_fini(&server->proxies);
    free(server->routes);
    for (unsigned i = 0; server->api.readers && i < server->loops; i++) meta_reader_free(server->api.readers[i]);
    free(server->api.readers);
    profile_sessions_free(server->sessions);
    query_cache_free(server->cache);
    executor_free(server->executor);
    lookup_free(server->lookup);
    flush_at_stop(server);
    store_close(server->store);
    replays_close(server->replays);
    meta_close(server->meta);
    os_fs_free(server->fs);
    os_lock_release(server->lock);
}

enum status server_run(const struct options *options, struct error *error)
{
    struct server server = {.options = options};
    os_return_freed_memory();
    enum status status = start(&server, error);
    if (status == STATUS_OK) {
        for (size_t i = 0; i < options->http_listen.count; i++) {
            printf("listening on %s\n", http_server_url(server.http, i));
            log_info("listening", LOG_CSTR("url", http_server_url(server.http, i)));
        }
        fflush(stdout);
        status = http_server_run(server.http, error);
    }
    stop(&server);
    if (status == STATUS_OK) log_info("stopped");
    return status;
}
