/* What is wrong with a schema itself: one table says for each keyword what shape its value has. Schemas are
 * visited once each, references included, so cycles end. */
#include "base/map.h"
#include "workflow/schema_int.h"

#define SCHEMAS_MAX 100000 /* visited by one check */

enum shape {
    S_SCHEMA,
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
    S_UNSUPPORTED
};

static const struct keyword {
    const char *name;
    enum shape shape;
} keywords[] = {
    {"type", S_TYPE},
    {"enum", S_LIST},
    {"const", S_ANY},
    {"required", S_STRINGS},
    {"properties", S_SCHEMA_MAP},
    {"additionalProperties", S_SCHEMA},
    {"patternProperties", S_PATTERN_MAP},
    {"propertyNames", S_SCHEMA},
    {"dependentRequired", S_STRINGS_MAP},
    {"dependentSchemas", S_SCHEMA_MAP},
    {"items", S_SCHEMA},
    {"prefixItems", S_SCHEMAS},
    {"contains", S_SCHEMA},
    {"minContains", S_COUNT},
    {"maxContains", S_COUNT},
    {"minimum", S_NUMBER},
    {"maximum", S_NUMBER},
    {"exclusiveMinimum", S_NUMBER},
    {"exclusiveMaximum", S_NUMBER},
    {"multipleOf", S_NUMBER},
    {"minLength", S_COUNT},
    {"maxLength", S_COUNT},
    {"pattern", S_PATTERN},
    {"minItems", S_COUNT},
    {"maxItems", S_COUNT},
    {"uniqueItems", S_BOOL},
    {"minProperties", S_COUNT},
    {"maxProperties", S_COUNT},
    {"allOf", S_SCHEMAS},
    {"anyOf", S_SCHEMAS},
    {"oneOf", S_SCHEMAS},
    {"not", S_SCHEMA},
    {"if", S_SCHEMA},
    {"then", S_SCHEMA},
    {"else", S_SCHEMA},
    {"format", S_STRING},
    {"$ref", S_STRING},
    {"$defs", S_SCHEMA_MAP},
    {"definitions", S_SCHEMA_MAP},
    {"default", S_ANY},
    {"title", S_ANY},
    {"description", S_ANY},
    {"summary", S_ANY},
    {"example", S_ANY},
    {"examples", S_ANY},
    {"deprecated", S_ANY},
    {"readOnly", S_ANY},
    {"writeOnly", S_ANY},
    {"$comment", S_ANY},
    {"$schema", S_ANY},
    {"$id", S_ANY},
    {"$anchor", S_ANY},
    {"contentEncoding", S_ANY},
    {"contentMediaType", S_ANY},
    {"contentSchema", S_ANY},
    {"unevaluatedProperties", S_UNSUPPORTED},
    {"unevaluatedItems", S_UNSUPPORTED},
    {"$dynamicRef", S_UNSUPPORTED},
    {"$recursiveRef", S_UNSUPPORTED},
    {"dependencies", S_UNSUPPORTED},
    {"additionalItems", S_UNSUPPORTED},
};

struct check {
    struct jsonschema base;
    struct str file;
    struct workflow_problems *problems;
    struct u64map visited;
    unsigned depth;
};

static void check_pattern(struct check *c, struct str pattern, const struct json *at)
{
    struct error problem = ERROR_INIT;
    if (jsonschema_pattern_check(pattern, &problem) != STATUS_OK)
        workflow_error_take(c->problems, c->file, at, &problem);
}

static bool strings_only(const struct json *list)
{
    if (list->type != JSON_ARRAY) return false;
    for (size_t i = 0; i < list->array.count; i++) {
        if (list->array.items[i].type != JSON_STRING) return false;
    }
    return true;
}

static bool is_type_name(const struct json *value)
{
    static const char *const names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
    for (size_t i = 0; value->type == JSON_STRING && i < sizeof names / sizeof *names; i++) {
        if (str_eq(value->string, str_of(names[i]))) return true;
    }
    return false;
}

static bool types_only(const struct json *value)
{
    if (value->type != JSON_ARRAY) return is_type_name(value);
    for (size_t i = 0; i < value->array.count; i++) {
        if (!is_type_name(&value->array.items[i])) return false;
    }
    return value->array.count > 0;
}

static void check_schema(struct check *c, const struct json *schema);

static bool check_keyword(struct check *c, enum shape shape, const struct json *value)
{
    switch (shape) {
    case S_SCHEMA: check_schema(c, value); return true;
    case S_SCHEMAS:
        if (value->type != JSON_ARRAY || value->array.count == 0) return false;
        for (size_t i = 0; i < value->array.count; i++) check_schema(c, &value->array.items[i]);
        return true;
    case S_SCHEMA_MAP:
    case S_PATTERN_MAP:
        if (value->type != JSON_OBJECT) return false;
        for (size_t i = 0; i < value->object.count; i++) {
            const struct json_member *member = &value->object.members[i];
            if (shape == S_PATTERN_MAP) check_pattern(c, member->key, &member->value);
            check_schema(c, &member->value);
        }
        return true;
    case S_STRINGS_MAP:
        if (value->type != JSON_OBJECT) return false;
        for (size_t i = 0; i < value->object.count; i++) {
            if (!strings_only(&value->object.members[i].value)) return false;
        }
        return true;
    case S_PATTERN:
        if (value->type != JSON_STRING) return false;
        check_pattern(c, value->string, value);
        return true;
    case S_NUMBER: return json_is_number(value);
    case S_COUNT: return value->type == JSON_INT && value->integer >= 0;
    case S_STRING: return value->type == JSON_STRING;
    case S_STRINGS: return strings_only(value);
    case S_BOOL: return value->type == JSON_BOOL;
    case S_TYPE: return types_only(value);
    case S_LIST: return value->type == JSON_ARRAY;
    default: return true;
    }
}

static void check_reference(struct check *c, const struct json *schema)
{
    struct str reference = jsonschema_reference(schema);
    if (!reference.data) return;
    const struct json *at = json_member(schema, "$ref"), *target = jsonschema_resolve(c->base, reference);
    if (target) {
        check_schema(c, target);
    } else if (reference.size && reference.data[0] == '#') {
        workflow_error_at(c->problems, c->file, at, "$ref \"" STR_FMT "\" leads nowhere", STR_ARG(reference));
    } else {
        workflow_error_at(c->problems, c->file, at, "$ref \"" STR_FMT "\" in an inputs schema is not supported",
                          STR_ARG(reference));
        workflow_problem_hint(c->problems, "refer to a place in this document, such as #/components/inputs/NAME");
    }
}

static void check_schema(struct check *c, const struct json *schema)
{
    if (schema->type == JSON_BOOL) return;
    if (schema->type != JSON_OBJECT) {
        workflow_error_at(c->problems, c->file, schema, "a schema must be a map or a boolean, not %s",
                          json_type_name(schema));
        return;
    }
    if (u64map_get(&c->visited, (uintptr_t)schema) || c->depth == JSONSCHEMA_DEPTH_MAX) return;
    if (u64map_put(&c->visited, (uintptr_t)schema, 1) != STATUS_OK) return;
    c->depth++;
    for (size_t i = 0; i < schema->object.count; i++) {
        const struct json_member *member = &schema->object.members[i];
        if (str_starts(member->key, STR("x-"))) continue;
        const struct keyword *found = NULL;
        for (size_t k = 0; k < sizeof keywords / sizeof *keywords && !found; k++) {
            if (str_eq(member->key, str_of(keywords[k].name))) found = &keywords[k];
        }
        if (!found) {
            workflow_warning_at(c->problems, c->file, &member->value,
                                "unknown schema keyword \"" STR_FMT "\", ignoring it", STR_ARG(member->key));
        } else if (found->shape == S_UNSUPPORTED) {
            workflow_error_at(c->problems, c->file, &member->value, "schema keyword \"%s\" is not supported",
                              found->name);
        } else if (!check_keyword(c, found->shape, &member->value)) {
            workflow_error_at(c->problems, c->file, &member->value, "malformed value of schema keyword \"%s\"",
                              found->name);
        }
    }
    check_reference(c, schema);
    c->depth--;
}

void jsonschema_check(struct jsonschema schema, struct str file, struct workflow_problems *problems)
{
    if (!schema.schema) return;
    struct check c = {.base = schema, .file = file, .problems = problems, .visited = U64MAP_INIT(SCHEMAS_MAX)};
    check_schema(&c, schema.schema);
    u64map_fini(&c.visited);
}
