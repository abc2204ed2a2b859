#pragma once
/*
 * From the records of one request to log records, one per project.
 *
 * Pure: no file, no clock, no network. Whose token it is comes from a callback; what is to be stored comes out as bytes
 * that the caller hands to the store. Each record of the request is judged alone: the good ones are stored, and the
 * reason of the first bad one is what the client is told.
 *
 * An unknown token is no fault of the record: it is counted and dropped, and the answer stays success, unless
 * limits->reject_unknown_tokens.
 *
 * Everything but the bytes of the log records lies in the arena. Thread-safe.
 */
#include "base/arena.h"
#include "base/error.h"
#include "ingest/decode.h"
#include "ingest/enrichment.h"
#include "ingest/limits.h"
#include "store/batch.h"

struct ingest_project {
    uint64_t id;
    enum identity_mode mode;
};

struct ingest_request {
    struct decode_records records;
    struct str token; /* of the request, for records without one; may be NULL data */
    int64_t received_ms;
    const struct enrichment *enrichment; /* what is added to the events; NULL: nothing */
    /* False: there is no such token. */
    bool (*project_of)(void *context, struct str token, struct ingest_project *ret_project);
    void *context;
};

struct ingest_outcome {
    struct ingest_output {
        uint64_t project;
        uint32_t events;
        struct buf record; /* for store_append, or buf_fini */
    } * outputs;
    size_t output_count;
    size_t stored, ignored, unknown, refused; /* records of the request; their sum is its size */
    struct str reason;                        /* of the first refused record, NULL data when there is none */
    size_t reason_index;
    bool unauthorized; /* a token was unknown and such are rejected */
};

/* LIMIT when the request has more than events_max records (`request exceeds max limit of 2000 events`) or needs too
 * much memory: nothing is to be stored then. */
enum status ingest_run(struct arena *arena, const struct ingest_limits *limits, const struct ingest_request *request,
                       struct error *error, struct ingest_outcome *ret_outcome) MUST_USE;
/* decode_records and ingest_run in one, with the same outcome and errors, and nearly always without a tree in between;
 * `records` of the request is not looked at. */
enum status ingest_take(struct arena *arena, const struct ingest_limits *limits, const struct decode_form *form,
                        const struct ingest_request *request, struct error *error,
                        struct ingest_outcome *ret_outcome) MUST_USE;
/* The same for JSON lines, of which it takes up to events_max; `*ret_read` is their size. INVALID when one is no JSON.
 */
enum status ingest_lines(struct arena *arena, const struct ingest_limits *limits, struct str lines,
                         const struct ingest_request *request, struct error *error, struct ingest_outcome *ret_outcome,
                         size_t *ret_read) MUST_USE;
/* `lines` must have so many zero bytes behind it. */
#define INGEST_PADDING ((size_t)64)
/* Frees the records that were not given away. */
void ingest_outcome_fini(struct ingest_outcome *outcome);
