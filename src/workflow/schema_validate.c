/*
 * Validation: apply() takes a schema and a value, one function per group of keywords does the work, and each violation
 * is reported where it is found, so that all of them come out. Inside anyOf, oneOf, not, if and contains only the
 * verdict counts; there the report is switched off.
 *
 * The unevaluated keywords ask which members or items a schema has had its say about, itself and through the schemas
 * that it applies to the same value. So each application to an array or an object keeps a mark for every entry, and
 * hands its marks up when the value fits: what does not fit has said nothing.
 *
 * $dynamicRef looks through the resources that are being applied, from the outermost on: `scope` is the list of them.
 *
 * Depth and the number of schemas applied are bounded, because references can make a small schema endless.
 */
#include "base/utf8.h"
#include "workflow/pattern.h"
#include "workflow/schema_int.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define EFFORT_MAX 2000000 /* schemas applied in one validation */
#define SEEN_FEW   64

struct validation {
    struct arena *arena;
    struct jsonschema base;
    jsonschema_violation violation; /* NULL inside anyOf, oneOf, not, if and contains: only the verdict counts there */
    void *ctx;
    struct error *error;
    unsigned depth, effort;
    struct schema_index *index;
    size_t scope[JSONSCHEMA_DEPTH_MAX]; /* the resource of each schema that is being applied */
    enum status status;                 /* LIMIT ends everything */
};

/* A value, and which of its members or items have been looked at; `seen` is NULL for what has none. */
struct instance {
    const struct json *value;
    struct str where;
    unsigned char *seen;
    size_t count;
};

static bool violate(struct validation *v, struct str where, const char *format, ...) PRINTF_LIKE(3, 4);
static bool violate(struct validation *v, struct str where, const char *format, ...)
{
    if (!v->violation) return false;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    v->violation(v->ctx, where, str_of(text));
    return false;
}

static bool apply(struct validation *v, const struct json *schema, const struct json *value, struct str where);
static bool apply_in_place(struct validation *v, const struct json *schema, struct instance *instance);

/* The verdict alone. */
static bool holds(struct validation *v, const struct json *schema, const struct json *value)
{
    jsonschema_violation violation = v->violation;
    v->violation = NULL;
    bool verdict = apply(v, schema, value, STR(""));
    v->violation = violation;
    return verdict;
}

/* The verdict alone, for a schema that is applied to the same value: its marks count. */
static bool holds_in_place(struct validation *v, const struct json *schema, struct instance *instance)
{
    jsonschema_violation violation = v->violation;
    v->violation = NULL;
    bool verdict = apply_in_place(v, schema, instance);
    v->violation = violation;
    return verdict;
}

static struct str below(struct validation *v, struct str where, struct str member)
{
    if (!v->violation) return where;
    struct str name =
        where.size ? arena_printf(v->arena, STR_FMT "." STR_FMT, STR_ARG(where), STR_ARG(member)) : member;
    return name.data ? name : where;
}

static struct str element(struct validation *v, struct str where, size_t index)
{
    if (!v->violation) return where;
    struct str name = arena_printf(v->arena, STR_FMT "[%zu]", STR_ARG(where), index);
    return name.data ? name : where;
}

static void brief(const struct json *value, char text[96])
{
    struct buf buf = BUF_INIT((size_t)1 << 20);
    json_write(&buf, value);
    size_t size = buf.size > 60 ? utf8_cut(buf.data, buf.size, 60) : buf.size;
    snprintf(text, 96, "%.*s%s", (int)size, buf.data ? buf.data : "", buf.size > 60 ? "..." : "");
    buf_fini(&buf);
}

static bool matches(struct validation *v, struct str pattern, struct str text)
{
    bool found = false;
    enum status status = pattern_search(pattern, 0, text, v->error, &found);
    if (status == STATUS_LIMIT) v->status = status;
    return found;
}

static bool count_keyword(const struct json *schema, const char *name, size_t *ret_count)
{
    const struct json *value = json_get(schema, str_of(name));
    if (!value || value->type != JSON_INT || value->integer < 0) return false;
    *ret_count = (size_t)value->integer;
    return true;
}

static bool apply_size(struct validation *v, const struct json *schema, const char *least, const char *most,
                       size_t size, const char *what, struct str where)
{
    size_t bound;
    if (count_keyword(schema, least, &bound) && size < bound)
        return violate(v, where, "must have at least %zu %s, has %zu", bound, what, size);
    if (count_keyword(schema, most, &bound) && size > bound)
        return violate(v, where, "must have at most %zu %s, has %zu", bound, what, size);
    return true;
}

static bool apply_number(struct validation *v, const struct json *schema, const struct json *value, struct str where)
{
    static const struct {
        const char *keyword, *words;
        int sign; /* of value minus bound, where it is wrong */
        bool equal_is_wrong;
    } bounds[] = {{"minimum", "at least", -1, false},
                  {"maximum", "at most", 1, false},
                  {"exclusiveMinimum", "greater than", -1, true},
                  {"exclusiveMaximum", "less than", 1, true}};
    bool good = true;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        const struct json *bound = json_get(schema, str_of(bounds[i].keyword));
        if (!bound || !json_is_number(bound)) continue;
        int order = json_cmp_number(value, bound);
        char text[96];
        brief(bound, text);
        if (order == bounds[i].sign || (order == 0 && bounds[i].equal_is_wrong))
            good = violate(v, where, "must be %s %s", bounds[i].words, text);
    }
    const struct json *step = json_member(schema, "multipleOf");
    if (step && json_is_number(step) && json_double(step) > 0) {
        double quotient = json_double(value) / json_double(step);
        bool multiple = step->type == JSON_INT && value->type == JSON_INT
                            ? value->integer % step->integer == 0
                            : fabs(quotient - round(quotient)) <= 1e-9 * fmax(1, fabs(quotient));
        char text[96];
        brief(step, text);
        if (!multiple) good = violate(v, where, "must be a multiple of %s", text);
    }
    return good;
}

static bool apply_string(struct validation *v, const struct json *schema, const struct json *value, struct str where)
{
    struct str text = value->string;
    bool good = apply_size(v, schema, "minLength", "maxLength", utf8_length(text.data, text.size), "characters", where);
    const struct json *pattern = json_member(schema, "pattern"), *format = json_member(schema, "format");
    if (pattern && pattern->type == JSON_STRING && !matches(v, pattern->string, text))
        good = violate(v, where, "must match the pattern " STR_FMT, STR_ARG(pattern->string));
    if (v->base.formats && format && format->type == JSON_STRING && !jsonschema_format_fits(format->string, text))
        good = violate(v, where, "must be a valid " STR_FMT ", is \"%.*s\"", STR_ARG(format->string),
                       (int)utf8_cut(text.data, text.size, 60), text.data ? text.data : "");
    return good;
}

static bool apply_contains(struct validation *v, const struct json *schema, struct instance *instance)
{
    const struct json *contains = json_member(schema, "contains"), *value = instance->value;
    size_t least = 1, most = SIZE_MAX, found = 0;
    if (!contains) return true;
    for (size_t i = 0; i < value->array.count; i++) {
        if (!holds(v, contains, &value->array.items[i])) continue;
        instance->seen[i] = 1;
        found++;
    }
    count_keyword(schema, "minContains", &least);
    count_keyword(schema, "maxContains", &most);
    if (found >= least && found <= most) return true;
    return violate(v, instance->where, "has %zu items of the kind it must contain", found);
}

static bool apply_unique(struct validation *v, const struct json *schema, const struct json *value, struct str where)
{
    const struct json *unique = json_member(schema, "uniqueItems");
    if (!unique || unique->type != JSON_BOOL || !unique->boolean) return true;
    for (size_t i = 1; i < value->array.count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (v->effort++ >= EFFORT_MAX) {
                v->status = error_set(v->error, STATUS_LIMIT, "a list is too long to look for equal items");
                return false;
            }
            if (json_equal(&value->array.items[i], &value->array.items[k]))
                return violate(v, where, "items %zu and %zu are equal, but must be unique", k, i);
        }
    }
    return true;
}

static bool apply_items(struct validation *v, const struct json *schema, struct instance *instance)
{
    const struct json *prefix = json_member(schema, "prefixItems"), *items = json_member(schema, "items");
    const struct json *value = instance->value;
    size_t count = value->array.count, prefixed = 0;
    bool good = true;
    if (prefix && prefix->type == JSON_ARRAY) {
        for (; prefixed < prefix->array.count && prefixed < count; prefixed++) {
            good &= apply(v, &prefix->array.items[prefixed], &value->array.items[prefixed],
                          element(v, instance->where, prefixed));
            instance->seen[prefixed] = 1;
        }
    }
    for (size_t i = prefixed; items && i < count; i++) {
        good &= apply(v, items, &value->array.items[i], element(v, instance->where, i));
        instance->seen[i] = 1;
    }
    return good;
}

static bool apply_members(struct validation *v, const struct json *schema, struct instance *instance)
{
    const struct json *properties = json_member(schema, "properties"),
                      *more = json_member(schema, "additionalProperties");
    const struct json *patterns = json_member(schema, "patternProperties"),
                      *names = json_member(schema, "propertyNames"), *value = instance->value;
    bool good = true;
    for (size_t i = 0; i < value->object.count; i++) {
        const struct json_member *member = &value->object.members[i];
        struct str at = below(v, instance->where, member->key);
        const struct json *declared = json_get(properties, member->key);
        const struct json name = json_string(member->key);
        bool covered = declared != NULL;
        if (declared) good &= apply(v, declared, &member->value, at);
        for (size_t k = 0; patterns && patterns->type == JSON_OBJECT && k < patterns->object.count; k++) {
            if (!matches(v, patterns->object.members[k].key, member->key)) continue;
            covered = true;
            good &= apply(v, &patterns->object.members[k].value, &member->value, at);
        }
        if (!covered && more && more->type == JSON_BOOL && !more->boolean)
            good = violate(v, at, "is not allowed here");
        else if (!covered && more)
            good &= apply(v, more, &member->value, at);
        if (covered || more) instance->seen[i] = 1;
        if (names && !holds(v, names, &name)) good = violate(v, at, "is not an allowed name");
    }
    return good;
}

/* What nothing else has had its say about, after everything else. */
static bool apply_unevaluated(struct validation *v, const struct json *schema, struct instance *instance)
{
    bool object = instance->value->type == JSON_OBJECT, good = true;
    const struct json *rest =
        object ? json_member(schema, "unevaluatedProperties") : json_member(schema, "unevaluatedItems");
    for (size_t i = 0; rest && i < instance->count; i++) {
        if (instance->seen[i]) continue;
        const struct json_member *member = object ? &instance->value->object.members[i] : NULL;
        struct str at = object ? below(v, instance->where, member->key) : element(v, instance->where, i);
        if (rest->type == JSON_BOOL && !rest->boolean)
            good = violate(v, at, "is not allowed here");
        else
            good &= apply(v, rest, object ? &member->value : &instance->value->array.items[i], at);
        instance->seen[i] = 1;
    }
    return good;
}

static bool require(struct validation *v, const struct json *list, const struct json *value, struct str where)
{
    bool good = true;
    for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->array.count; i++) {
        const struct json *name = &list->array.items[i];
        if (name->type == JSON_STRING && !json_get(value, name->string))
            good = violate(v, below(v, where, name->string), "is required");
    }
    return good;
}

static bool apply_dependent(struct validation *v, const struct json *schema, struct instance *instance)
{
    const struct json *schemas = json_member(schema, "dependentSchemas"), *value = instance->value;
    bool good = true;
    for (size_t i = 0; schemas && i < value->object.count; i++) {
        const struct json *dependent = json_get(schemas, value->object.members[i].key);
        if (dependent) good &= apply_in_place(v, dependent, instance);
    }
    return good;
}

static bool apply_combined(struct validation *v, const struct json *schema, struct instance *instance)
{
    const struct json *all = json_member(schema, "allOf"), *any = json_member(schema, "anyOf"),
                      *one = json_member(schema, "oneOf");
    const struct json *none = json_member(schema, "not"), *condition = json_member(schema, "if");
    bool good = true;
    size_t count = 0;
    for (size_t i = 0; all && all->type == JSON_ARRAY && i < all->array.count; i++)
        good &= apply_in_place(v, &all->array.items[i], instance);
    /* All of them, also behind one that fits, for the marks that they leave. */
    for (size_t i = 0; any && any->type == JSON_ARRAY && i < any->array.count; i++)
        count += holds_in_place(v, &any->array.items[i], instance);
    if (any && !count) good = violate(v, instance->where, "fits none of the schemas of anyOf");
    count = 0;
    for (size_t i = 0; one && one->type == JSON_ARRAY && i < one->array.count; i++)
        count += holds_in_place(v, &one->array.items[i], instance);
    if (one && count != 1) good = violate(v, instance->where, "fits %zu of the schemas of oneOf, must fit one", count);
    if (none && holds(v, none, instance->value)) good = violate(v, instance->where, "fits the schema of not");
    if (condition) {
        const struct json *branch =
            holds_in_place(v, condition, instance) ? json_member(schema, "then") : json_member(schema, "else");
        if (branch) good &= apply_in_place(v, branch, instance);
    }
    return good;
}

static bool apply_target(struct validation *v, const struct json *target, struct instance *instance)
{
    if (!target) return violate(v, instance->where, "cannot be checked: a reference of its schema leads nowhere");
    if (target != &schema_metaschema) return apply_in_place(v, target, instance);
    return schema_is_schema(instance->value) || violate(v, instance->where, "is no schema");
}

/* $dynamicRef: when it leads to a dynamic anchor, the outermost resource in scope that has one of that name counts. */
static const struct json *dynamic_target(struct validation *v, size_t resource, struct str reference)
{
    const struct json *target = schema_resolve(v->index, v->base, resource, reference);
    size_t hash = str_find_byte(reference, '#', 0);
    struct str name = hash == SIZE_MAX ? STR("") : str_slice(reference, hash + 1, reference.size);
    if (!target || target == &schema_metaschema || !name.size || name.data[0] == '/') return target;
    const struct schema_anchor *first = schema_find_anchor(v->index, schema_resource_of(v->index, target), name);
    if (!first || !first->is_dynamic) return target;
    for (unsigned i = 0; i < v->depth; i++) {
        const struct schema_anchor *anchor = schema_find_anchor(v->index, v->scope[i], name);
        if (anchor && anchor->is_dynamic) return anchor->schema;
    }
    return target;
}

static bool apply_references(struct validation *v, const struct json *schema, size_t resource,
                             struct instance *instance)
{
    struct str reference = jsonschema_reference(schema);
    const struct json *dynamic = json_member(schema, "$dynamicRef");
    bool good = true;
    if (reference.data) good &= apply_target(v, schema_resolve(v->index, v->base, resource, reference), instance);
    if (dynamic && dynamic->type == JSON_STRING)
        good &= apply_target(v, dynamic_target(v, resource, dynamic->string), instance);
    return good;
}

static bool apply_values(struct validation *v, const struct json *schema, const struct json *value, struct str where)
{
    const struct json *types = json_member(schema, "type"), *options = json_member(schema, "enum");
    const struct json *constant = json_member(schema, "const");
    char text[96], names[96];
    if (types && !jsonschema_has_type(value, types)) {
        brief(types, names);
        brief(value, text);
        if (types->type == JSON_STRING)
            snprintf(names, sizeof names, "%.*s", (int)str_slice(types->string, 0, 60).size, types->string.data);
        return violate(v, where, "must be of type %s, is %s", names, text);
    }
    bool found = !options || options->type != JSON_ARRAY;
    for (size_t i = 0; !found && i < options->array.count; i++) found = json_equal(&options->array.items[i], value);
    if (!found) {
        brief(options, names);
        brief(value, text);
        return violate(v, where, "must be one of %s, is %s", names, text);
    }
    if (constant && !json_equal(constant, value)) {
        brief(constant, names);
        return violate(v, where, "must be %s", names);
    }
    return true;
}

/* The keywords that look at the value itself. */
static bool apply_assertions(struct validation *v, const struct json *schema, struct instance *instance)
{
    const struct json *value = instance->value;
    struct str where = instance->where;
    bool good = apply_values(v, schema, value, where);
    if (!good) return false;
    if (json_is_number(value)) return apply_number(v, schema, value, where);
    if (value->type == JSON_STRING) return apply_string(v, schema, value, where);
    if (value->type == JSON_ARRAY) {
        good &= apply_size(v, schema, "minItems", "maxItems", value->array.count, "items", where);
        good &= apply_unique(v, schema, value, where);
    } else if (value->type == JSON_OBJECT) {
        const struct json *required = json_member(schema, "dependentRequired");
        good &= apply_size(v, schema, "minProperties", "maxProperties", value->object.count, "members", where);
        good &= require(v, json_member(schema, "required"), value, where);
        for (size_t i = 0; required && i < value->object.count; i++)
            good &= require(v, json_get(required, value->object.members[i].key), value, where);
    }
    return good;
}

static bool apply_keywords(struct validation *v, const struct json *schema, size_t resource, struct instance *instance)
{
    const struct json *value = instance->value;
    bool good = v->index->resources[resource].only_applies || apply_assertions(v, schema, instance);
    /* A value of the wrong type would only be complained about again. */
    bool typed = good || value->type == JSON_OBJECT || value->type == JSON_ARRAY;
    if (typed && value->type == JSON_ARRAY) {
        good &= apply_items(v, schema, instance);
        good &= apply_contains(v, schema, instance);
    }
    if (typed && value->type == JSON_OBJECT) {
        good &= apply_members(v, schema, instance);
        good &= apply_dependent(v, schema, instance);
    }
    good &= apply_combined(v, schema, instance);
    good &= apply_references(v, schema, resource, instance);
    if (instance->count) good &= apply_unevaluated(v, schema, instance);
    return good;
}

/* Applies a schema to the value at hand; the marks that it leaves are taken over when the value fits. */
static bool apply_in_place(struct validation *v, const struct json *schema, struct instance *instance)
{
    if (v->status != STATUS_OK) return false;
    if (schema->type == JSON_BOOL) return schema->boolean || violate(v, instance->where, "is not allowed");
    if (schema->type != JSON_OBJECT) return true;
    if (v->depth == JSONSCHEMA_DEPTH_MAX || v->effort++ >= EFFORT_MAX) {
        v->status = error_set(v->error, STATUS_LIMIT, "the schema is too deep or too complex to apply");
        return false;
    }
    unsigned char few[SEEN_FEW] = {0};
    struct instance mine = *instance;
    mine.seen = mine.count <= SEEN_FEW ? few : arena_calloc(v->arena, mine.count, 1);
    if (!mine.seen) {
        v->status = error_set(v->error, STATUS_LIMIT, "the value exceeds the memory budget");
        return false;
    }
    size_t resource = schema_resource_of(v->index, schema);
    v->scope[v->depth++] = resource;
    bool good = apply_keywords(v, schema, resource, &mine);
    v->depth--;
    for (size_t i = 0; good && instance->seen && i < mine.count; i++) instance->seen[i] |= mine.seen[i];
    return good;
}

static bool apply(struct validation *v, const struct json *schema, const struct json *value, struct str where)
{
    size_t count = value->type == JSON_ARRAY    ? value->array.count
                   : value->type == JSON_OBJECT ? value->object.count
                                                : 0;
    struct instance instance = {.value = value, .where = where, .count = count};
    return apply_in_place(v, schema, &instance);
}

enum status jsonschema_validate(struct arena *arena, struct jsonschema schema, const struct json *instance,
                                struct str where, jsonschema_violation violation, void *ctx, struct error *error)
{
    if (!schema.schema) return STATUS_OK;
    struct validation v = {.arena = arena, .base = schema, .violation = violation, .ctx = ctx, .error = error};
    if (schema_index_of(arena, schema, &v.index) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "the schema exceeds the memory budget");
    apply(&v, schema.schema, instance, where);
    return v.status;
}
