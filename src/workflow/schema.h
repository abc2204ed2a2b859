#pragma once
/*
 * JSON Schema 2020-12: all assertions and applicators, references by pointer, $id, $anchor and $dynamicRef, within the
 * document and to others, and the vocabularies that a metaschema of its own names. `format` is only a note by the
 * standard; with `formats` it asserts date, date-time, time, uri, email and uuid, lightly, and nothing of other
 * formats. Patterns are PCRE2's (pattern.h).
 *
 * `root` is the document that holds the schema, where `$ref: '#/...'` starts from; where that has no such place, the
 * schema given to the call is tried as well. Nothing is modified; recursion and effort are bounded.
 *
 * An index of the schema's names is made once by jsonschema_index, or anew by each call without one.
 */
#include "base/json.h"
#include "workflow/problem.h"

/* Other documents, by address. */
struct jsonschema_documents {
    void *ctx;
    const struct json *(*find)(void *ctx, struct str uri); /* NULL when there is none */
};

struct schema_index;

struct jsonschema {
    const struct json *root;
    const struct json *schema; /* may be NULL: everything is allowed */
    bool formats;              /* `format` asserts */
    struct schema_index *index;
};

/* Gives the schema an index, which lives in the arena. `uri` is the address of `root`. LIMIT. */
enum status jsonschema_index(struct arena *arena, struct jsonschema *schema, struct str uri,
                             const struct jsonschema_documents *documents) MUST_USE;

/* Reports what is wrong with the schema itself, with positions. */
void jsonschema_check(struct jsonschema schema, struct str file, struct workflow_problems *problems);

/* Called for each violation: where in the instance ("projectId", "list[2].name") and what. */
typedef void (*jsonschema_violation)(void *ctx, struct str where, struct str what);
/* Validates `instance`, which is called `where` in messages. LIMIT when arena or effort run out. */
enum status jsonschema_validate(struct arena *arena, struct jsonschema schema, const struct json *instance,
                                struct str where, jsonschema_violation violation, void *ctx,
                                struct error *error) MUST_USE;

/* What a property's schema is, looking through $ref and allOf; NULL when it is not declared. *ret_open
 * becomes true when the object schema allows properties that it does not declare, or chooses among schemas that may
 * (anyOf, oneOf, then, else, dependentSchemas, unevaluatedProperties). Either output pointer may be NULL. */
const struct json *jsonschema_property(struct jsonschema schema, struct str name, bool *ret_open);
/* Calls found() for each declared property, $ref and allOf included. */
void jsonschema_each_property(struct jsonschema schema,
                              void (*found)(void *ctx, struct str name, const struct json *property), void *ctx);
/* A keyword of the schema, looking through $ref and allOf; NULL when there is none. */
const struct json *jsonschema_keyword(struct jsonschema schema, struct str keyword);

/* The text of a command line as a value of the type that the schema declares: "42" is 42 for an integer and
 * "42" for a string; arrays and objects are written as JSON. A text that does not fit stays a string, which
 * validation then refuses. */
enum status jsonschema_coerce(struct arena *arena, struct jsonschema schema, struct str text,
                              struct json *ret_value) MUST_USE;
