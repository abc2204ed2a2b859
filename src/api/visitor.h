#pragma once
/*
 * Who is at the other end of a tracking request, as far as events are concerned: an address, and a User-Agent.
 *
 * The address is the peer's. A peer that is one of the operator's proxies (http.trusted_proxies) is believed about whom
 * it speaks for: the last address in X-Forwarded-For that is not a trusted proxy itself. From anybody else the field
 * counts for nothing, as anybody can write it.
 *
 * Threads: all.
 */
#include "http/request.h"
#include "ingest/decode.h"
#include "ingest/enrichment.h"

struct visitor_proxies {
    struct visitor_network {
        unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
        unsigned bits;
    } * networks;
    size_t count;
};
/* From texts "10.0.0.0/8", "::1" or "192.0.2.7". INVALID names the one that is none. Freed by visitor_proxies_fini. */
enum status visitor_proxies_parse(const char *const *texts, size_t count, struct error *error,
                                  struct visitor_proxies *ret_proxies) MUST_USE;
void visitor_proxies_fini(struct visitor_proxies *proxies);

/* The client's address; it points into the request. */
struct str visitor_address(const struct visitor_proxies *proxies, const struct http_request *request);

/* The same if the request's parameter `ip` asks for it (`ip_default`: without that parameter), else NULL data. */
struct str visitor_wanted_address(const struct http_request *request, const struct decode_form *form, bool ip_default);

/* What the request tells about its events, by its parameters `ip` and `img`. `ip_default`: what counts without `ip`.
 * LIMIT when the arena is full. */
enum status visitor_enrichment(const struct http_request *request, const struct decode_form *form, bool ip_default,
                               struct enrichment *ret_enrichment) MUST_USE;
