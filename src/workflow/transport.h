#pragma once
/*
 * What the workflow runner asks of the network: send one request, bring back one response. The runner itself
 * knows no sockets; `cairn workflow` implements this over its HTTP client and the tests implement it in
 * memory.
 *
 * Ownership: everything in a request belongs to the runner and lives until `send` returns. Everything in a
 * response must live as long as the arena that was passed in (copy it there). Threads: the runner calls from
 * one thread, one call at a time, and waits for the answer.
 *
 * Duties of an implementation, because only it can fulfil them:
 *   - `timeout_ms` bounds the whole exchange, connecting included; `body_size_max` bounds the body after
 * decompression;
 *   - http and https only, with certificates verified;
 *   - redirects, where it follows them, never carry Authorization, Cookie or an API key to another host;
 *   - a body that came compressed is handed over decompressed.
 */
#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct workflow_header {
    struct str name, value;
};

struct workflow_request {
    struct str method; /* upper case */
    struct str url;    /* absolute, percent-encoded, without a fragment */
    const struct workflow_header *headers;
    size_t header_count;
    bool has_body; /* false: no body and no Content-Type; POST, PUT and PATCH then say Content-Length: 0 */
    struct str body;
    uint32_t timeout_ms;
    size_t body_size_max; /* of the response */
};

struct workflow_response {
    unsigned status; /* 100 to 599 */
    const struct workflow_header *headers;
    size_t header_count;
    struct str body;
    struct str url; /* the effective URL, after redirects; empty means the request's */
    uint64_t elapsed_us;
};

struct workflow_transport {
    void *ctx;
    /* OK whenever a response arrived, whatever its status. Failures: CANCELLED for a timeout, LIMIT for a
     * body above body_size_max, UNAVAILABLE when no connection came about, IO for anything else that broke on
     * the way. */
    enum status (*send)(void *ctx, const struct workflow_request *request, struct arena *arena, struct error *error,
                        struct workflow_response *ret_response);
    /* A monotonic clock, for the total time limit; NULL: the system's. */
    uint64_t (*now_ms)(void *ctx);
    /* Waits before a retry; NULL: sleeps. */
    void (*wait_ms)(void *ctx, uint64_t duration_ms);
    /* The time of day, for Retry-After with a date; NULL: the system's. */
    int64_t (*wall_s)(void *ctx);
};

/* Reads the document at `location` (a file path, or an http or https URL) for the runner: source descriptions
 * and the files that they refer to. The runner has one of its own (files directly, http through the
 * transport); the hook is for tests and fuzzing, which must not touch the machine's files. */
struct workflow_loader {
    void *ctx;
    enum status (*read)(void *ctx, struct str location, size_t size_max, struct arena *arena, struct error *error,
                        struct str *ret_text);
};
