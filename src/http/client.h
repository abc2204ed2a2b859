#pragma once
/*
 * An HTTP client on libcurl: blocking, one request at a time, connections kept alive between the requests of
 * one client object.
 *
 * Ownership: the answer is in the caller's arena. Threads: one client, one thread at a time; different
 * clients are independent. Only http and https are spoken, also after redirects; certificates are checked
 * against the system's list, or the one that http_client_trust names.
 *
 * Errors: any answer of a server is a success, whatever its status. Otherwise
 *     STATUS_INVALID      the URL, the method or a field cannot be sent
 *     STATUS_UNAVAILABLE  nobody could be reached (name not found, connection refused, broken off), or
 *                         TLS failed
 *     STATUS_CANCELLED    `timeout_ms` passed
 *     STATUS_LIMIT        the answer is larger than `response_bytes_max`, or too many redirects
 * and the text says which, names the URL without credentials, and gives libcurl's own words as its detail.
 */
#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct http_client;

struct http_client_field {
    struct str name, value;
    bool secret; /* not sent to another origin after a redirect; Authorization, Cookie and Proxy-Authorization
                    never are */
};

struct http_client_request {
    struct str method; /* empty: GET */
    struct str url;    /* http://… or https://… */
    const struct http_client_field *fields;
    size_t field_count;
    struct str body;           /* sent when data is not NULL */
    uint64_t timeout_ms;       /* of the whole exchange, redirects included; 0: 30 s */
    size_t response_bytes_max; /* decompressed; 0: 64 MiB */
    unsigned redirects_max;    /* 0: a redirect is an answer like any other */
    /* Takes the body of a 200 piece by piece, however long it is; response->body is empty then. Anything but OK ends
     * the exchange and is returned. timeout_ms is how long it may take to connect, and to send no byte. NULL: none. */
    enum status (*body_piece)(void *ctx, struct str piece, struct error *error);
    void *body_ctx;
};

struct http_client_response {
    int status;
    struct str body;                        /* decompressed */
    const struct http_client_field *fields; /* of the last answer; `secret` is false in all of them */
    size_t field_count;
    struct str url; /* of the last request: differs from the first after redirects */
    uint64_t duration_us;
};

/* NULL when libcurl cannot be initialised. */
struct http_client *http_client_new(void) MUST_USE;
void http_client_free(struct http_client *client);
/* From now on certificates are checked against those of a PEM file, in place of the system's list; NULL: the system's.
 * The name must stay. A file that cannot be read fails the requests. */
void http_client_trust(struct http_client *client, const char *ca_file);
enum status http_client_send(struct http_client *client, const struct http_client_request *request, struct arena *arena,
                             struct error *error, struct http_client_response *ret_response) MUST_USE;
/* The value of the first field of this name (any case), or STR_NULL. */
struct str http_client_response_field(const struct http_client_response *response, const char *name) MUST_USE;
