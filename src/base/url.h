#pragma once
/* Percent-encoding and query strings (RFC 3986, WHATWG application/x-www-form-urlencoded). Whole URLs are libcurl's
 * job. */
#include "base/arena.h"
#include "base/buf.h"

/* Decodes %XX, and `+` to a space when `plus_is_space`. A % that is not followed by two hex digits stays as it is.
 * Returns a str with NULL data when the arena is full. */
struct str url_decode(struct arena *arena, struct str text, bool plus_is_space) MUST_USE;
/* Encodes everything but the unreserved characters A-Z a-z 0-9 - . _ ~ */
void url_encode(struct buf *buf, struct str text);

/* Decoded name=value pairs in order; duplicates are kept. */
struct url_params {
    struct url_param {
        struct str name, value;
        struct str raw_value; /* as it was sent */
    } * items;
    size_t count;
};
/* Parses `a=1&b=2`; at most `count_max` pairs. LIMIT beyond that or when the arena is full. */
enum status url_params_parse(struct arena *arena, struct str text, size_t count_max,
                             struct url_params *ret_params) MUST_USE;
/* The value of the first parameter of that name, or a str with NULL data. */
struct str url_params_get(const struct url_params *params, struct str name);
