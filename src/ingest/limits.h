#pragma once
/*
 * What ingestion takes. Filled from the options `ingest.*` (of the same names; for /import the first, third and fourth
 * are `ingest.import_*`) and read by all threads. The defaults are Mixpanel's limits.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ingest_limits {
    size_t request_bytes_max; /* of JSON, also when it comes packed inside a form field: 10 MiB */
    size_t record_bytes_max;  /* of one log record, which holds what a request stores in one project: 48 MiB */
    size_t events_max;        /* in one request: 2000 */
    size_t event_bytes_max;   /* the JSON of one event: 1 MiB */
    size_t properties_max;    /* stored with one event: 255 */
    size_t string_bytes_max;  /* names and texts are cut to this: 255 */
    unsigned depth_max;       /* lists and objects inside each other in one property: 3 */
    size_t elements_max;      /* a list or an object must have fewer: 255 */
    size_t list_bytes_max;    /* one list as stored: 8 KiB */
    int64_t age_max_ms;       /* older events are refused: 5 days; /import takes any age */
    bool reject_unknown_tokens;
    uint32_t cluster_ids_max; /* of one person, in the original identity mode: 500 */
    /* of profiles */
    size_t messages_max;           /* in one request: 2000 */
    size_t message_bytes_max;      /* the JSON of one: 1 MiB */
    size_t profile_properties_max; /* of a profile, and named in one message: 2000 */
    size_t profile_list_bytes_max; /* one list as stored: 256 KiB */
    size_t profile_bytes_max;      /* all properties of a profile as stored: 1 MiB */
};
#define INGEST_LIMITS_DEFAULT                                                                                          \
    ((struct ingest_limits){.request_bytes_max = (size_t)10 << 20,                                                     \
                            .record_bytes_max = (size_t)48 << 20,                                                      \
                            .events_max = 2000,                                                                        \
                            .event_bytes_max = (size_t)1 << 20,                                                        \
                            .properties_max = 255,                                                                     \
                            .string_bytes_max = 255,                                                                   \
                            .depth_max = 3,                                                                            \
                            .elements_max = 255,                                                                       \
                            .list_bytes_max = 8192,                                                                    \
                            .age_max_ms = 5 * INT64_C(86400000),                                                       \
                            .cluster_ids_max = 500,                                                                    \
                            .messages_max = 2000,                                                                      \
                            .message_bytes_max = (size_t)1 << 20,                                                      \
                            .profile_properties_max = 2000,                                                            \
                            .profile_list_bytes_max = (size_t)256 << 10,                                               \
                            .profile_bytes_max = (size_t)1 << 20})
