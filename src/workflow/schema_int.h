#pragma once
/* What the files of the JSON Schema family share: schema.c (looking into schemas), schema_check.c,
 * schema_validate.c and schema_format.c. Not for others. */
#include "workflow/schema.h"

#define JSONSCHEMA_DEPTH_MAX 128 /* schemas inside schemas, references included */

/* Where `$ref: '#...'` leads, or NULL. */
const struct json *jsonschema_resolve(struct jsonschema base, struct str reference);
/* The schema's `$ref`, or a str with NULL data. */
struct str jsonschema_reference(const struct json *schema);
/* Is the value of the type, or one of the types, that the keyword `type` names? */
bool jsonschema_has_type(const struct json *value, const struct json *types);
/* `format`; true for formats that are not asserted. */
bool jsonschema_format_fits(struct str format, struct str text);
/* INVALID with the reason and place when the pattern is malformed. */
enum status jsonschema_pattern_check(struct str pattern, struct error *error) MUST_USE;
/* Unanchored search. LIMIT when it takes too much effort; a malformed pattern matches nothing. */
enum status jsonschema_pattern_match(struct str pattern, struct str text, struct error *error,
                                     bool *ret_found) MUST_USE;
