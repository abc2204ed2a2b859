#pragma once
/* What the files of the JSON Schema family share: schema.c (looking into schemas), schema_keywords.c, schema_index.c
 * (where references lead), schema_check.c, schema_validate.c and schema_format.c. Not for others. */
#include "base/map.h"
#include "workflow/schema.h"

#define JSONSCHEMA_DEPTH_MAX 256 /* schemas inside schemas, references included */

enum schema_shape {
    S_SCHEMA = 1,
    S_SCHEMAS,
    S_SCHEMA_MAP,
    S_NUMBER,
    S_COUNT,
    S_STRING,
    S_STRINGS,
    S_BOOL,
    S_TYPE,
    S_LIST,
    S_ANY,
    S_PATTERN,
    S_PATTERN_MAP,
    S_STRINGS_MAP,
};

struct schema_keyword {
    const char *name;
    enum schema_shape shape;
};

/* Ends with a NULL name. */
extern const struct schema_keyword schema_keywords[];
const struct schema_keyword *schema_keyword_find(struct str name);

/* A part of a document with an address of its own: the document itself, or a schema with `$id`. */
struct schema_resource {
    struct str uri; /* absolute as far as it is known, without a fragment */
    const struct json *root;
    bool only_applies; /* its dialect leaves the keywords of validation out */
};

struct schema_anchor {
    size_t resource;
    struct str name;
    const struct json *schema;
    bool is_dynamic;
};

struct schema_index {
    struct arena *arena;
    const struct jsonschema_documents *documents;
    struct schema_resource *resources;
    struct schema_anchor *anchors;
    size_t resource_count, anchor_count;
    struct u64map resource_of; /* of each schema, by its place in memory */
    unsigned depth;
};

/* Stands for the metaschema: an instance fits it when it is a schema. */
extern const struct json schema_metaschema;

/* The index of the schema: its own, or a new one in the arena. */
enum status schema_index_of(struct arena *arena, struct jsonschema schema, struct schema_index **ret_index) MUST_USE;
/* The resource that a schema belongs to. */
size_t schema_resource_of(const struct schema_index *index, const struct json *schema);
/* Where a reference that stands in a schema of `resource` leads; NULL: nowhere. Loads documents where it must. */
const struct json *schema_resolve(struct schema_index *index, struct jsonschema base, size_t resource,
                                  struct str reference);
/* The schema that `name` anchors in a resource, or NULL. */
const struct schema_anchor *schema_find_anchor(const struct schema_index *index, size_t resource, struct str name);
/* "Is the value a schema?" without a word about why not. */
bool schema_is_schema(const struct json *value);

/* Where a `$ref` of a schema leads, with or without an index; NULL: nowhere. */
const struct json *jsonschema_resolve(struct jsonschema base, const struct json *schema, struct str reference);
/* The schema's `$ref`, or a str with NULL data. */
struct str jsonschema_reference(const struct json *schema);
/* Is the value of the type, or one of the types, that the keyword `type` names? */
bool jsonschema_has_type(const struct json *value, const struct json *types);
/* `format`; true for formats that are not asserted. */
bool jsonschema_format_fits(struct str format, struct str text);
