/*
 * The one list of the server's options. Whoever includes it defines OPTION(type, field, name, default, range, help):
 *
 *   type     TEXT, FLAG (yes/no), INTEGER, BYTES (suffix k, m, g), DURATION (ms, s, m, h, d), CHOICE or LIST (comma
 *            separated)
 *   field    the member of struct options
 *   range    "LOW..HIGH" in the option's own notation, the choices as "a|b|c", "ADDR:PORT", or "" for any value
 *
 * The part of the name before the dot is the group. The sample conf/cairn.conf says more about each; a test holds the
 * two together. No include guard: it is included more than once.
 */
OPTION(TEXT, data_dir, "data.dir", "", "", "the data directory: everything that the server keeps; required")

OPTION(BYTES, memory_max_bytes, "memory.max", "0", "0..1024g",
       "shared out to the memory limits that are 0; 0: half of the machine's, or of the container's")

OPTION(LIST, http_listen, "http.listen", "127.0.0.1:8080", "ADDR:PORT",
       "where to accept connections; port 0 picks a free one; https:// in front: with TLS")
OPTION(TEXT, http_tls_certificate, "http.tls_certificate", "", "",
       "PEM file with the certificate of https:// addresses, and its chain; read again on SIGHUP")
OPTION(TEXT, http_tls_key, "http.tls_key", "", "", "PEM file with its private key")
OPTION(LIST, http_trusted_proxies, "http.trusted_proxies", "", "",
       "networks (10.0.0.0/8, ::1) whose X-Forwarded-For is believed, to know a client's address")
OPTION(INTEGER, http_threads, "http.threads", "0", "0..1024", "event loops; 0: one per core")
OPTION(BYTES, http_header_bytes_max, "http.header_bytes_max", "64k", "1k..16m",
       "all header lines of a request together; more is answered with 431")
OPTION(BYTES, http_url_bytes_max, "http.url_bytes_max", "64k", "256..16m",
       "the request target; longer is answered with 414")
OPTION(INTEGER, http_headers_max, "http.headers_max", "200", "8..10000",
       "header lines of a request; more is answered with 431")
OPTION(BYTES, http_body_bytes_max, "http.body_bytes_max", "10m", "1k..1g",
       "a request body, as sent and as unpacked; more is answered with 413")
OPTION(BYTES, http_bodies_bytes_max, "http.bodies_bytes_max", "0", "0..1024g",
       "bodies that one event loop holds at once; more are answered with 503; 0: a share of memory.max")
OPTION(BYTES, http_request_memory_max_bytes, "http.request_memory_max", "64m", "1m..64g",
       "memory that one request may use while it is read and decoded")
OPTION(BYTES, http_body_files_bytes_max, "http.body_files_bytes_max", "1g", "1k..1024g",
       "bodies of lookup tables that one event loop holds in files; more are answered with 503")
OPTION(INTEGER, http_connections_max, "http.connections_max", "10000", "1..1000000",
       "open connections; more are answered with 503 and closed")
OPTION(INTEGER, http_pipeline_max, "http.pipeline_max", "64", "1..10000",
       "requests of one connection in work at a time")
OPTION(BYTES, http_pipeline_bytes_max, "http.pipeline_bytes_max", "16m", "64k..64g",
       "bodies and unsent answers of one connection; no more is read from it until they are sent")
OPTION(DURATION, http_header_timeout_ms, "http.header_timeout", "10s", "10ms..1h",
       "from the first byte of a request to the end of its header")
OPTION(DURATION, http_body_timeout_ms, "http.body_timeout", "60s", "10ms..1d",
       "from the end of the header to the end of the body")
OPTION(DURATION, http_idle_timeout_ms, "http.idle_timeout", "75s", "10ms..1d",
       "a connection without a request is closed after this")
OPTION(DURATION, http_write_timeout_ms, "http.write_timeout", "30s", "10ms..1d",
       "a client that takes no byte of its answer for this long is disconnected")
OPTION(DURATION, http_drain_timeout_ms, "http.drain_timeout", "30s", "0..1d",
       "on SIGTERM, requests in work get this long to finish")

OPTION(INTEGER, ingest_batch_events_max, "ingest.batch_events_max", "2000", "1..100000", "records in one request")
OPTION(BYTES, ingest_event_bytes_max, "ingest.event_bytes_max", "1m", "1k..64m", "the JSON of one record")
OPTION(INTEGER, ingest_properties_max, "ingest.properties_max", "255", "1..10000", "properties of one event")
OPTION(INTEGER, ingest_string_bytes_max, "ingest.string_bytes_max", "255", "16..1000000",
       "a string value in bytes; longer ones are cut at a character")
OPTION(INTEGER, ingest_depth_max, "ingest.depth_max", "3", "1..32", "nesting of lists and objects in a property")
OPTION(INTEGER, ingest_elements_max, "ingest.elements_max", "255", "1..10000",
       "elements of a list, members of an object")
OPTION(BYTES, ingest_list_bytes_max, "ingest.list_bytes_max", "8k", "256..16m", "a list property, as stored")
OPTION(DURATION, ingest_age_max_ms, "ingest.age_max", "5d", "1m..36500d",
       "/track takes no event that is older; /import takes any age")
OPTION(INTEGER, ingest_cluster_ids_max, "ingest.cluster_ids_max", "500", "2..100000",
       "ids of one person in a project of the original identity mode; an id beyond stays by itself")
OPTION(INTEGER, ingest_batch_messages_max, "ingest.batch_messages_max", "2000", "1..100000",
       "messages about profiles in one request")
OPTION(BYTES, ingest_message_bytes_max, "ingest.message_bytes_max", "1m", "1k..64m", "the JSON of one message")
OPTION(INTEGER, ingest_profile_properties_max, "ingest.profile_properties_max", "2000", "1..100000",
       "properties of one profile; what comes beyond is left out")
OPTION(BYTES, ingest_profile_list_bytes_max, "ingest.profile_list_bytes_max", "256k", "256..16m",
       "a list property of a profile, as stored; what would make it longer is left out")
OPTION(BYTES, ingest_profile_bytes_max, "ingest.profile_bytes_max", "1m", "1k..64m",
       "all properties of one profile, as stored; what would make it larger is left out")
OPTION(FLAG, ingest_reject_unknown_tokens, "ingest.reject_unknown_tokens", "no", "",
       "answer 401 to an unknown token; no: accept and drop, as Mixpanel does")

OPTION(INTEGER, ingest_import_events_max, "ingest.import_events_max", "2000", "1..100000",
       "events in one request to /import; more are answered with 413")
OPTION(BYTES, ingest_import_bytes_max, "ingest.import_bytes_max", "10m", "1k..1g",
       "a body sent to /import, as sent and as unpacked; more is answered with 413")
OPTION(BYTES, ingest_import_event_bytes_max, "ingest.import_event_bytes_max", "1m", "1k..64m",
       "the JSON of one event sent to /import")

OPTION(TEXT, enrich_geo_database, "enrich.geo_database", "", "",
       "MaxMind file (.mmdb) that tells where an address is; read again on SIGHUP; empty: no places")
OPTION(FLAG, enrich_user_agents, "enrich.user_agents", "yes", "",
       "tell browser, system and device from the User-Agent where the sender did not")
OPTION(INTEGER, enrich_user_agent_entries, "enrich.user_agent_entries", "16384", "16..16777216",
       "User-Agents whose answer is remembered, about 80 bytes each")
OPTION(CHOICE, enrich_bots, "enrich.bots", "keep", "keep|mark|drop",
       "events of crawlers: keep them as others, mark them with $is_bot, or drop them")

OPTION(FLAG, record_enabled, "record.enabled", "yes", "", "take in session recordings (/record)")
OPTION(TEXT, record_sessions_percent, "record.sessions_percent", "", "",
       "of sessions, what /settings has SDKs record, 0 to 100; empty: what they are set to")
OPTION(BYTES, record_body_bytes_max, "record.body_bytes_max", "10m", "1k..1g",
       "one piece of a recording, as it is sent; more is answered with 413")
OPTION(BYTES, record_unpacked_bytes_max, "record.unpacked_bytes_max", "100m", "1k..16g", "the same unpacked")
OPTION(BYTES, record_bytes_max, "record.bytes_max", "1g", "64k..1024g",
       "disk for the recordings of a project; the oldest days make room, more in a day is answered with 429")
OPTION(INTEGER, record_retention_days, "record.retention_days", "30", "0..36500",
       "recordings are removed after so many days; 0: when their room is needed")
OPTION(INTEGER, record_threads, "record.threads", "2", "1..64", "threads that write recordings")
OPTION(INTEGER, record_queue_max, "record.queue_max", "64", "1..100000",
       "pieces that wait for one of them; more are answered with 503")

OPTION(INTEGER, query_threads, "query.threads", "0", "0..1024",
       "queries that compute at the same moment, in turns; 0: one per core")
OPTION(INTEGER, query_running_max, "query.running_max", "0", "0..1024",
       "queries under way at once, as far as query.memory_total allows; 0: four times query.threads")
OPTION(INTEGER, query_queue_max, "query.queue_max", "256", "1..100000",
       "queries that wait until they may run; more are answered with 503")
OPTION(BYTES, query_memory_max_bytes, "query.memory_max", "0", "0..1024g",
       "memory of one query; 0: a share of query.memory_total")
OPTION(BYTES, query_memory_total_bytes, "query.memory_total", "0", "0..1024g",
       "memory of all queries under way; others wait; 0: a share of memory.max")
OPTION(DURATION, query_timeout_ms, "query.timeout", "60s", "10ms..1d",
       "a query is given up after this, time to wait included; a request may ask for less (timeout_ms)")
OPTION(INTEGER, query_buckets_max, "query.buckets_max", "100000", "1..10000000",
       "points on the time axis of one answer")
OPTION(INTEGER, query_labels_max, "query.labels_max", "10000", "1..10000000", "segments in one answer")
OPTION(INTEGER, query_rate_per_hour, "query.rate_per_hour", "0", "0..1000000000",
       "queries of one project in an hour; more are answered with 429; 0: any number")
OPTION(INTEGER, query_project_max, "query.project_max", "0", "0..100000",
       "queries of one project under way or waiting; more are answered with 429; 0: any number")
OPTION(BYTES, query_cache_bytes, "query.cache_bytes", "0", "0..1024g",
       "memory for answers that are given again; 0: a share of memory.max, 1: none are kept")
OPTION(INTEGER, query_page_max, "query.page_max", "1000", "1..100000", "profiles in one page of an answer")
OPTION(INTEGER, query_behaviors_max, "query.behaviors_max", "50", "1..10000",
       "selectors of behaviours in one query of profiles")
OPTION(INTEGER, query_sessions_max, "query.sessions_max", "100", "0..100000",
       "answers that are kept for their next pages; what was not used for longest goes first")
OPTION(BYTES, query_sessions_memory_bytes, "query.sessions_memory", "0", "0..1024g",
       "memory of all of them; 0: a share of memory.max")
OPTION(DURATION, query_sessions_age_ms, "query.sessions_age", "10m", "1s..1d",
       "an answer is forgotten when no page of it was asked for so long")
OPTION(INTEGER, query_feed_events_max, "query.feed_events_max", "100000", "1..100000000",
       "events in one answer of /stream/query")
OPTION(INTEGER, query_funnel_steps_max, "query.funnel_steps_max", "30", "1..60", "steps of a funnel")

OPTION(INTEGER, saved_funnels_max, "saved.funnels_max", "1000", "0..1000000", "saved funnels of a project")
OPTION(INTEGER, saved_cohorts_max, "saved.cohorts_max", "1000", "0..1000000", "saved cohorts of a project")

OPTION(INTEGER, export_threads, "export.threads", "2", "1..1024", "threads that read for exports")
OPTION(INTEGER, export_concurrent_max, "export.concurrent_max", "100", "1..1000000",
       "exports of one project at a time; more are answered with 429")
OPTION(BYTES, export_memory_bytes, "export.memory", "0", "0..1024g",
       "memory of all exports; when it is given out, 503; 0: a share of memory.max")
OPTION(BYTES, export_memory_max_bytes, "export.memory_max", "0", "0..64g",
       "memory of one export; 0: a quarter of all, from 16m to 128m")
OPTION(DURATION, export_time_max_ms, "export.time_max", "12h", "1s..30d",
       "an export is broken off after this, however slow its client")

OPTION(BYTES, lookup_file_bytes_max, "lookup.file_bytes_max", "100000000", "1k..1g",
       "a lookup table as CSV, as sent and as unpacked; more is answered with 413")
OPTION(INTEGER, lookup_rows_max, "lookup.rows_max", "1000000", "1..100000000", "rows of a lookup table")
OPTION(INTEGER, lookup_columns_max, "lookup.columns_max", "100", "2..10000", "columns of a lookup table")
OPTION(INTEGER, lookup_tables_max, "lookup.tables_max", "1000", "1..1000000", "lookup tables of a project")
OPTION(INTEGER, lookup_project_rows_max, "lookup.project_rows_max", "5000000", "1..100000000000",
       "rows of all lookup tables of a project")
OPTION(BYTES, lookup_memory_max_bytes, "lookup.memory_max", "0", "0..1024g",
       "lookup tables kept in memory; 0: a share of memory.max")

OPTION(BYTES, store_wal_file_bytes, "store.wal_file_bytes", "64m", "64k..4g",
       "a write-ahead log file is closed at this size and the next one begun")
OPTION(BYTES, store_memory_max_bytes, "store.memory_max", "0", "0..1024g",
       "new events in memory before they are written as a segment; 0: a share of memory.max")
OPTION(INTEGER, store_flush_rows, "store.flush_rows", "1000000", "1..100000000",
       "so many new events are written as a segment, whatever their size")
OPTION(DURATION, store_flush_interval_ms, "store.flush_interval", "10m", "100ms..30d",
       "new events are written as a segment after this long, however few")
OPTION(BYTES, store_cache_bytes, "store.cache_bytes", "0", "0..1024g",
       "columns kept in memory; 0: a share of memory.max")
OPTION(BYTES, store_queue_bytes_max, "store.queue_bytes_max", "0", "0..64g",
       "records that wait to be written; beyond it requests are answered with 503; 0: a share of memory.max")
OPTION(INTEGER, store_names_max, "store.names_max", "1000000", "1000..16000000",
       "event names, and property names, of a project; what comes later shares a name or is left out")
OPTION(DURATION, store_purge_deadline_ms, "store.purge_deadline", "7d", "1s..30d",
       "deleted events, and the ids of deleted people, are gone from all files after this")
OPTION(BYTES, store_compact_memory_bytes, "store.compact_memory", "0", "0..1024g",
       "of one compaction; a section gets an event per 128 bytes; 0: a share of memory.max")
OPTION(BYTES, store_compact_bytes_per_second, "store.compact_bytes_per_second", "0", "0..1024g",
       "compaction writes so many bytes in a second; 0: as fast as it goes")
OPTION(INTEGER, store_compact_fan_in, "store.compact_fan_in", "8", "2..64",
       "so many segments of about one size and time are joined into one")
OPTION(FLAG, store_salvage, "store.salvage", "no", "",
       "start although acknowledged bytes of the log are damaged, and go on without them")

OPTION(BYTES, auth_argon2_memory_bytes, "auth.argon2_memory", "19m", "8k..4g",
       "memory for the argon2id hash of a new account's secret")
OPTION(INTEGER, auth_argon2_ops, "auth.argon2_ops", "2", "1..100", "passes of that hash over its memory")
OPTION(INTEGER, auth_cache_entries, "auth.cache_entries", "10000", "0..10000000",
       "verified credentials remembered in memory, as keyed digests; 0: every request pays for argon2id")

OPTION(CHOICE, log_level, "log.level", "info", "error|warn|info|debug", "the least important lines to write")
OPTION(CHOICE, log_format, "log.format", "text", "text|json", "log lines as name=value or as JSON objects")
