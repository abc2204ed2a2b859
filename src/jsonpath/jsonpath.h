#pragma once
/*
 * JSONPath (RFC 9535): a query selects nodes of a JSON value.
 *
 * A query is compiled once, into the arena, and may be evaluated any number of times, by one thread at a time. The
 * nodes of a result live in the arena given to jsonpath_evaluate and point into the value, which must stay.
 *
 * The dialect JSONPATH_GOESSNER (draft-goessner-dispatch-jsonpath-00) is read by the same grammar with what the draft
 * had besides: names with `-` and names that begin with a digit after a dot, the member `length` of arrays and texts,
 * the script `[(@.length-1)]`, and `=~ /pattern/i` in filters.
 *
 * Bounded: the size of a query, its nesting, the depth of the value that a query descends into, and the effort of one
 * evaluation. Errors: INVALID for what is no query (error->column counts bytes from 1), LIMIT for arena and effort.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

#define JSONPATH_QUERY_BYTES_MAX ((size_t)64 << 10)
#define JSONPATH_EFFORT_MAX      10000000u /* nodes looked at in one evaluation */
#define JSONPATH_DEPTH_MAX       1000u     /* of the value, below the place where `..` begins */

enum jsonpath_dialect { JSONPATH_RFC9535, JSONPATH_GOESSNER };

struct jsonpath;

/* One place in the value. */
struct jsonpath_node {
    const struct json *value;
    const struct jsonpath_node *parent; /* NULL: the root */
    struct str name;                    /* in an object; NULL data: it is element `index` of an array */
    size_t index;
};

struct jsonpath_nodes {
    const struct jsonpath_node **items;
    size_t count;
};

enum status jsonpath_compile(struct arena *arena, struct str query, enum jsonpath_dialect dialect, struct error *error,
                             const struct jsonpath **ret_path) MUST_USE;
enum status jsonpath_evaluate(struct arena *arena, const struct jsonpath *path, const struct json *root,
                              struct error *error, struct jsonpath_nodes *ret_nodes) MUST_USE;
/* True for a query that selects at most one node whatever the value is. */
bool jsonpath_is_singular(const struct jsonpath *path);
/* The node's normalized path: `$['a'][0]`. */
void jsonpath_write_path(struct buf *buf, const struct jsonpath_node *node);
