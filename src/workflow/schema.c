#include "workflow/schema.h"

#include "workflow/schema_int.h"

#include <math.h>

struct str jsonschema_reference(const struct json *schema)
{
    const struct json *reference = json_member(schema, "$ref");
    return reference && reference->type == JSON_STRING ? reference->string : STR_NULL;
}

static const struct json *find_keyword(struct jsonschema base, const struct json *schema, struct str keyword,
                                       unsigned depth)
{
    if (!schema || schema->type != JSON_OBJECT || depth > 16) return NULL;
    const struct json *found = json_get(schema, keyword);
    if (found) return found;
    struct str reference = jsonschema_reference(schema);
    if (reference.data) found = find_keyword(base, jsonschema_resolve(base, schema, reference), keyword, depth + 1);
    const struct json *all = json_member(schema, "allOf");
    for (size_t i = 0; !found && all && all->type == JSON_ARRAY && i < all->array.count && i < 16; i++)
        found = find_keyword(base, &all->array.items[i], keyword, depth + 4);
    return found;
}

const struct json *jsonschema_keyword(struct jsonschema schema, struct str keyword)
{
    return find_keyword(schema, schema.schema, keyword, 0);
}

struct property_search {
    void (*found)(void *ctx, struct str name, const struct json *property);
    void *ctx;
    bool open;
};

/* Keywords by which a schema may allow properties that only an instance shows: it alone decides then. */
static bool has_branches(const struct json *schema)
{
    static const char *const keywords[] = {
        "anyOf", "oneOf", "then", "else", "dependentSchemas", "unevaluatedProperties"};
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (json_get(schema, str_of(keywords[i]))) return true;
    return false;
}

static void search_properties(struct jsonschema base, const struct json *schema, struct property_search *search,
                              unsigned depth)
{
    if (!schema || schema->type != JSON_OBJECT || depth > 16) return;
    const struct json *properties = json_member(schema, "properties"), *all = json_member(schema, "allOf");
    const struct json *more = json_member(schema, "additionalProperties"),
                      *patterns = json_member(schema, "patternProperties");
    for (size_t i = 0; properties && properties->type == JSON_OBJECT && i < properties->object.count; i++)
        search->found(search->ctx, properties->object.members[i].key, &properties->object.members[i].value);
    if ((more && !(more->type == JSON_BOOL && !more->boolean)) || patterns || has_branches(schema)) search->open = true;
    struct str reference = jsonschema_reference(schema);
    if (reference.data) search_properties(base, jsonschema_resolve(base, schema, reference), search, depth + 1);
    for (size_t i = 0; all && all->type == JSON_ARRAY && i < all->array.count && i < 16; i++)
        search_properties(base, &all->array.items[i], search, depth + 4);
}

void jsonschema_each_property(struct jsonschema schema,
                              void (*found)(void *ctx, struct str name, const struct json *property), void *ctx)
{
    struct property_search search = {.found = found, .ctx = ctx};
    search_properties(schema, schema.schema, &search, 0);
}

struct named_property {
    struct str name;
    const struct json *property;
};

static void match_property(void *ctx, struct str name, const struct json *property)
{
    struct named_property *wanted = ctx;
    if (!wanted->property && str_eq(name, wanted->name)) wanted->property = property;
}

const struct json *jsonschema_property(struct jsonschema schema, struct str name, bool *ret_open)
{
    struct named_property wanted = {.name = name};
    struct property_search search = {.found = match_property, .ctx = &wanted};
    search_properties(schema, schema.schema, &search, 0);
    if (ret_open)
        *ret_open = search.open || (schema.schema && schema.schema->type == JSON_BOOL && schema.schema->boolean);
    return wanted.property;
}

static bool type_allows(const struct json *types, const char *name)
{
    if (!types) return false;
    if (types->type == JSON_STRING) return str_eq(types->string, str_of(name));
    for (size_t i = 0; types->type == JSON_ARRAY && i < types->array.count; i++) {
        const struct json *item = &types->array.items[i];
        if (item->type == JSON_STRING && str_eq(item->string, str_of(name))) return true;
    }
    return false;
}

static bool is_integer(const struct json *value)
{
    if (value->type == JSON_INT) return true;
    if (value->type == JSON_DOUBLE) return isfinite(value->number) && floor(value->number) == value->number;
    return value->type == JSON_BIGNUM && str_find_byte(value->string, '.', 0) == SIZE_MAX &&
           str_find_byte(value->string, 'e', 0) == SIZE_MAX && str_find_byte(value->string, 'E', 0) == SIZE_MAX;
}

bool jsonschema_has_type(const struct json *value, const struct json *types)
{
    if (json_is_number(value))
        return type_allows(types, "number") || (is_integer(value) && type_allows(types, "integer"));
    return type_allows(types, json_type_name(value));
}

enum status jsonschema_coerce(struct arena *arena, struct jsonschema schema, struct str text, struct json *ret_value)
{
    const struct json *types = jsonschema_keyword(schema, STR("type"));
    const struct json *options = jsonschema_keyword(schema, STR("enum")),
                      *constant = jsonschema_keyword(schema, STR("const"));
    struct json value;
    *ret_value = json_string(text);
    if (types && type_allows(types, "string")) return STATUS_OK;
    enum status status = json_parse(arena, text, NULL, NULL, &value);
    if (status == STATUS_LIMIT) return status;
    if (status != STATUS_OK) return STATUS_OK;
    if (types) {
        if (jsonschema_has_type(&value, types)) *ret_value = value;
        return STATUS_OK;
    }
    for (size_t i = 0; options && options->type == JSON_ARRAY && i < options->array.count; i++) {
        if (json_equal(&options->array.items[i], &value)) *ret_value = value;
    }
    if (constant && json_equal(constant, &value)) *ret_value = value;
    return STATUS_OK;
}
