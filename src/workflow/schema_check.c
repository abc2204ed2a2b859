/* What is wrong with a schema itself: schema_keywords.c says for each keyword what shape its value has. Schemas are
 * visited once each, references included, so cycles end. */
#include "workflow/pattern.h"
#include "workflow/schema_int.h"

#define SCHEMAS_MAX 100000 /* visited by one check */

struct check {
    struct jsonschema base;
    struct str file;
    struct workflow_problems *problems; /* NULL: only the verdict counts */
    struct u64map visited;
    bool wrong;
    unsigned depth;
};

static void check_pattern(struct check *c, struct str pattern, const struct json *at)
{
    struct error problem = ERROR_INIT;
    if (pattern_check(pattern, 0, &problem) == STATUS_OK) return;
    c->wrong = true;
    if (!c->problems) return;
    workflow_error_take(c->problems, c->file, at, &problem);
    workflow_problem_rule(c->problems, "schema-invalid");
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

static bool check_keyword(struct check *c, enum schema_shape shape, const struct json *value)
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

static void complain(struct check *c, const struct json *at, const char *before, struct str what, const char *behind)
{
    c->wrong = true;
    if (!c->problems) return;
    workflow_error_at(c->problems, c->file, at, "%s" STR_FMT "%s", before, STR_ARG(what), behind);
    workflow_problem_rule(c->problems, "schema-invalid");
}

/* A $ref that leads back to itself through others, and so says nothing. A circle that it only leads into is found from
 * a schema within. */
static bool leads_in_circles(const struct check *c, const struct json *schema)
{
    const struct json *target = schema;
    for (unsigned i = 0; target && target->type == JSON_OBJECT && i < JSONSCHEMA_DEPTH_MAX; i++) {
        struct str reference = jsonschema_reference(target);
        if (!reference.data) return false;
        target = jsonschema_resolve(c->base, target, reference);
        if (target == schema) return true;
    }
    return false;
}

static void check_reference(struct check *c, const struct json *schema)
{
    struct str reference = jsonschema_reference(schema);
    if (!reference.data || !c->problems) return;
    const struct json *at = json_member(schema, "$ref"), *target = jsonschema_resolve(c->base, schema, reference);
    if (target && target != &schema_metaschema)
        check_schema(c, target);
    else if (!target)
        complain(c, at, "$ref \"", reference, "\" leads nowhere");
    if (target && leads_in_circles(c, schema)) complain(c, at, "$ref \"", reference, "\" leads in circles");
}

static void check_keyword_of(struct check *c, const struct json_member *member)
{
    const struct schema_keyword *found = schema_keyword_find(member->key);
    if (str_starts(member->key, STR("x-"))) return;
    if (found && !check_keyword(c, found->shape, &member->value)) {
        complain(c, &member->value, "malformed value of schema keyword \"", member->key, "\"");
    } else if (!found && c->problems) {
        workflow_warning_at(c->problems, c->file, &member->value, "unknown schema keyword \"" STR_FMT "\", ignoring it",
                            STR_ARG(member->key));
        workflow_problem_rule(c->problems, "schema-remark");
    }
}

static void check_schema(struct check *c, const struct json *schema)
{
    if (schema->type == JSON_BOOL) return;
    if (schema->type != JSON_OBJECT) {
        complain(c, schema, "a schema must be a map or a boolean, not ", str_of(json_type_name(schema)), "");
        return;
    }
    if (u64map_get(&c->visited, (uintptr_t)schema) || c->depth == JSONSCHEMA_DEPTH_MAX) return;
    if (u64map_put(&c->visited, (uintptr_t)schema, 1) != STATUS_OK) return;
    c->depth++;
    for (size_t i = 0; i < schema->object.count; i++) check_keyword_of(c, &schema->object.members[i]);
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

bool schema_is_schema(const struct json *value)
{
    struct check c = {.visited = U64MAP_INIT(SCHEMAS_MAX)};
    check_schema(&c, value);
    u64map_fini(&c.visited);
    return !c.wrong;
}
