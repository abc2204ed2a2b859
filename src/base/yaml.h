#pragma once
/*
 * YAML documents as trees of `struct json`, with the line and column of every value.
 *
 * Scalars follow the YAML 1.2 core schema, not 1.1: `on`, `off`, `yes`, `no` and dates are strings; null is
 * `null`, `~` or nothing; booleans are `true` and `false` (also True, TRUE); integers are decimal, `0o17` or
 * `0x1f`; numbers obey the same rules as in JSON (json.h), so a long id keeps its digits. `.inf` and `.nan`
 * become the doubles they mean, which json_write prints as null. Quoted and block scalars are always strings
 * and carry JSON_FLAG_QUOTED. Keys of maps are always strings, as they are written: `200:` is "200" and `on:`
 * is "on". `<<` is a key like any other.
 *
 * Refused, with position: more than one document, duplicate keys, keys that are not scalars, tags other than
 * the core ones, aliases to nothing or to a value that is still open, and whatever exceeds the limits. An
 * alias counts as often as it is used ("billion laughs"): values_max bounds the tree as a reader would walk
 * it, while memory is shared.
 *
 * JSON is read by the same parser, because only it knows positions, which the authors of workflows need.
 * Where it differs from JSON (surrogate pairs as \u escapes, keys above 1024 bytes), text that begins with
 * `{` or `[` is tried again with json_parse, whose trees have no positions.
 *
 * The tree lives in the arena; values under an alias are shared with their anchor, so treat it as read-only.
 * Thread-safe. Errors: INVALID with line and column, LIMIT for arena, size, depth and values.
 */
#include "base/json.h"

#define JSON_FLAG_QUOTED 1u

struct yaml_read_limits {
    size_t size_max;    /* bytes of text; 0: 16 MB */
    unsigned depth_max; /* nesting; 0: JSON_DEPTH_DEFAULT */
    size_t values_max;  /* values after expanding aliases; 0: 1 million */
};

/* `limits` may be NULL. */
enum status json_from_yaml(struct arena *arena, struct str text, const struct yaml_read_limits *limits,
                           struct error *error, struct json *ret_value) MUST_USE;
