#include "workflow/schema.h"

#include "base/map.h"
#include "base/number.h"
#include "base/utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define DEPTH_MAX   128     /* schemas inside schemas, references included */
#define EFFORT_MAX  2000000 /* schemas applied in one validation */
#define SCHEMAS_MAX 100000  /* visited by one check */
#define MATCH_MAX   1000000

static const struct json *resolve(struct jsonschema base, struct str reference)
{
    if (reference.size == 0 || reference.data[0] != '#') return NULL;
    char space[1024];
    /* A decoded text is never longer; pointers beyond this size do not occur in earnest. */
    if (reference.size >= sizeof space) return NULL;
    size_t size = 0;
    for (size_t i = 1; i < reference.size; i++) {
        unsigned byte;
        char hex[3] = {0};
        if (reference.data[i] == '%' && i + 2 < reference.size) memcpy(hex, reference.data + i + 1, 2);
        if (hex[0] && strspn(hex, "0123456789abcdefABCDEF") == 2 && sscanf(hex, "%2x", &byte) == 1) {
            space[size++] = (char)byte;
            i += 2;
        } else {
            space[size++] = reference.data[i];
        }
    }
    struct str pointer = {space, size};
    const struct json *found = json_pointer(base.root, pointer);
    return found ? found : json_pointer(base.schema, pointer);
}

static struct str reference_of(const struct json *schema)
{
    const struct json *reference = json_member(schema, "$ref");
    return reference && reference->type == JSON_STRING ? reference->string : STR_NULL;
}

/* ---- checking the schema ---- */

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

static pcre2_code *compile_pattern(struct str pattern, int *ret_code, size_t *ret_offset)
{
    return pcre2_compile((PCRE2_SPTR)(pattern.data ? pattern.data : ""), pattern.size,
                         PCRE2_UTF | PCRE2_ALT_BSUX | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C,
                         ret_code, ret_offset, NULL);
}

static void check_pattern(struct check *c, struct str pattern, const struct json *at)
{
    int code;
    size_t offset;
    pcre2_code *compiled = compile_pattern(pattern, &code, &offset);
    if (!compiled) {
        char reason[160];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
        workflow_error_at(c->problems, c->file, at, "malformed pattern \"" STR_FMT "\" at character %zu: %s",
                          STR_ARG(pattern), offset + 1, reason);
    }
    pcre2_code_free(compiled);
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
    case S_SCHEMA:
        check_schema(c, value);
        return true;
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
    case S_NUMBER:
        return json_is_number(value);
    case S_COUNT:
        return value->type == JSON_INT && value->integer >= 0;
    case S_STRING:
        return value->type == JSON_STRING;
    case S_STRINGS:
        return strings_only(value);
    case S_BOOL:
        return value->type == JSON_BOOL;
    case S_TYPE:
        return types_only(value);
    case S_LIST:
        return value->type == JSON_ARRAY;
    default:
        return true;
    }
}

static void check_reference(struct check *c, const struct json *schema)
{
    struct str reference = reference_of(schema);
    if (!reference.data) return;
    const struct json *at = json_member(schema, "$ref"), *target = resolve(c->base, reference);
    if (target) {
        check_schema(c, target);
    } else if (reference.size && reference.data[0] == '#') {
        workflow_error_at(c->problems, c->file, at, "$ref \"" STR_FMT "\" leads nowhere", STR_ARG(reference));
    } else {
        workflow_error_at(c->problems, c->file, at,
                          "$ref \"" STR_FMT "\" in an inputs schema is not supported", STR_ARG(reference));
        workflow_problem_hint(c->problems,
                              "refer to a place in this document, such as #/components/inputs/NAME");
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
    if (u64map_get(&c->visited, (uintptr_t)schema) || c->depth == DEPTH_MAX) return;
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
            workflow_error_at(c->problems, c->file, &member->value,
                              "malformed value of schema keyword \"%s\"", found->name);
        }
    }
    check_reference(c, schema);
    c->depth--;
}

void jsonschema_check(struct jsonschema schema, struct str file, struct workflow_problems *problems)
{
    if (!schema.schema) return;
    struct check c = {
        .base = schema, .file = file, .problems = problems, .visited = U64MAP_INIT(SCHEMAS_MAX)};
    check_schema(&c, schema.schema);
    u64map_fini(&c.visited);
}

/* ---- looking through $ref and allOf ---- */

static const struct json *find_keyword(struct jsonschema base, const struct json *schema, struct str keyword,
                                       unsigned depth)
{
    if (!schema || schema->type != JSON_OBJECT || depth > 16) return NULL;
    const struct json *found = json_get(schema, keyword);
    if (found) return found;
    struct str reference = reference_of(schema);
    if (reference.data) found = find_keyword(base, resolve(base, reference), keyword, depth + 1);
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

static void search_properties(struct jsonschema base, const struct json *schema,
                              struct property_search *search, unsigned depth)
{
    if (!schema || schema->type != JSON_OBJECT || depth > 16) return;
    const struct json *properties = json_member(schema, "properties"), *all = json_member(schema, "allOf");
    const struct json *more = json_member(schema, "additionalProperties"),
                      *patterns = json_member(schema, "patternProperties");
    for (size_t i = 0; properties && properties->type == JSON_OBJECT && i < properties->object.count; i++)
        search->found(search->ctx, properties->object.members[i].key, &properties->object.members[i].value);
    if ((more && !(more->type == JSON_BOOL && !more->boolean)) || patterns) search->open = true;
    struct str reference = reference_of(schema);
    if (reference.data) search_properties(base, resolve(base, reference), search, depth + 1);
    for (size_t i = 0; all && all->type == JSON_ARRAY && i < all->array.count && i < 16; i++)
        search_properties(base, &all->array.items[i], search, depth + 4);
}

void jsonschema_each_property(struct jsonschema schema,
                              void (*found)(void *ctx, struct str name, const struct json *property),
                              void *ctx)
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
        *ret_open =
            search.open || (schema.schema && schema.schema->type == JSON_BOOL && schema.schema->boolean);
    return wanted.property;
}

/* ---- texts to values ---- */

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
           str_find_byte(value->string, 'e', 0) == SIZE_MAX &&
           str_find_byte(value->string, 'E', 0) == SIZE_MAX;
}

static bool has_type(const struct json *value, const struct json *types)
{
    if (json_is_number(value))
        return type_allows(types, "number") || (is_integer(value) && type_allows(types, "integer"));
    return type_allows(types, json_type_name(value));
}

enum status jsonschema_coerce(struct arena *arena, struct jsonschema schema, struct str text,
                              struct json *ret_value)
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
        if (has_type(&value, types)) *ret_value = value;
        return STATUS_OK;
    }
    for (size_t i = 0; options && options->type == JSON_ARRAY && i < options->array.count; i++) {
        if (json_equal(&options->array.items[i], &value)) *ret_value = value;
    }
    if (constant && json_equal(constant, &value)) *ret_value = value;
    return STATUS_OK;
}

/* ---- validation ---- */

struct validation {
    struct arena *arena;
    struct jsonschema base;
    jsonschema_violation
        violation; /* NULL inside anyOf, oneOf, not, if and contains: only the verdict counts there */
    void *ctx;
    struct error *error;
    unsigned depth, effort;
    enum status status; /* LIMIT ends everything */
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

static bool apply(struct validation *v, const struct json *schema, const struct json *value,
                  struct str where);

/* The verdict alone. */
static bool holds(struct validation *v, const struct json *schema, const struct json *value)
{
    jsonschema_violation violation = v->violation;
    v->violation = NULL;
    bool verdict = apply(v, schema, value, STR(""));
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
    int code;
    size_t offset;
    pcre2_code *compiled = compile_pattern(pattern, &code, &offset);
    pcre2_match_data *data = compiled ? pcre2_match_data_create(1, NULL) : NULL;
    pcre2_match_context *limits = data ? pcre2_match_context_create(NULL) : NULL;
    int result = PCRE2_ERROR_NOMEMORY;
    if (limits) {
        pcre2_set_match_limit(limits, MATCH_MAX);
        pcre2_set_depth_limit(limits, MATCH_MAX / 10);
        result =
            pcre2_match(compiled, (PCRE2_SPTR)(text.data ? text.data : ""), text.size, 0, 0, data, limits);
    }
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    pcre2_code_free(compiled);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH)
        v->status = error_set(v->error, STATUS_LIMIT, "pattern \"" STR_FMT "\" needs too much effort",
                              STR_ARG(pattern));
    return result >= 0;
}

static bool digits_at(struct str s, size_t at, size_t count, unsigned *ret_value)
{
    uint64_t value;
    if (at + count > s.size || !number_parse_unsigned(str_slice(s, at, at + count), UINT32_MAX, &value))
        return false;
    *ret_value = (unsigned)value;
    return true;
}

static bool is_date(struct str s)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year, month, day;
    if (s.size != 10 || s.data[4] != '-' || s.data[7] != '-' || !digits_at(s, 0, 4, &year) ||
        !digits_at(s, 5, 2, &month) || !digits_at(s, 8, 2, &day) || month < 1 || month > 12 || day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (leap && month == 2);
}

static bool is_time(struct str s)
{
    unsigned hour, minute, second;
    if (s.size < 9 || s.data[2] != ':' || s.data[5] != ':' || !digits_at(s, 0, 2, &hour) ||
        !digits_at(s, 3, 2, &minute) || !digits_at(s, 6, 2, &second) || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    size_t at = 8;
    if (s.data[at] == '.') {
        size_t first = ++at;
        while (at < s.size && s.data[at] >= '0' && s.data[at] <= '9') at++;
        if (at == first) return false;
    }
    struct str zone = str_slice(s, at, s.size);
    if (zone.size == 1) return (zone.data[0] | 0x20) == 'z';
    return zone.size == 6 && (zone.data[0] == '+' || zone.data[0] == '-') && zone.data[3] == ':' &&
           digits_at(zone, 1, 2, &hour) && digits_at(zone, 4, 2, &minute) && hour < 24 && minute < 60;
}

static bool is_email(struct str s)
{
    size_t at = str_find_byte(s, '@', 0);
    return at != SIZE_MAX && at > 0 && at + 1 < s.size && str_find_byte(s, '@', at + 1) == SIZE_MAX &&
           str_find_byte(s, ' ', 0) == SIZE_MAX;
}

static bool is_uri(struct str s)
{
    size_t colon = str_find_byte(s, ':', 0);
    if (colon == SIZE_MAX || colon == 0) return false;
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c <= ' ' || c == 0x7F || strchr("<>\"{}|\\^`", c)) return false;
        char lower = (char)(c | 0x20);
        bool letter = lower >= 'a' && lower <= 'z';
        if (i < colon && !letter && !(i > 0 && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            return false;
    }
    return true;
}

static bool is_uuid(struct str s)
{
    if (s.size != 36) return false;
    for (size_t i = 0; i < s.size; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s.data[i] != '-' : !s.data[i] || !strchr("0123456789abcdefABCDEF", s.data[i]))
            return false;
    }
    return true;
}

static bool format_fits(struct str format, struct str text)
{
    if (str_is(format, "date")) return is_date(text);
    if (str_is(format, "time")) return is_time(text);
    if (str_is(format, "date-time"))
        return text.size > 11 && (text.data[10] | 0x20) == 't' && is_date(str_slice(text, 0, 10)) &&
               is_time(str_slice(text, 11, text.size));
    if (str_is(format, "email")) return is_email(text);
    if (str_is(format, "uri")) return is_uri(text);
    if (str_is(format, "uuid")) return is_uuid(text);
    return true;
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

static bool apply_number(struct validation *v, const struct json *schema, const struct json *value,
                         struct str where)
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
        int order;
        if (bound->type == JSON_INT && value->type == JSON_INT)
            order = value->integer < bound->integer ? -1 : value->integer > bound->integer;
        else
            order = json_double(value) < json_double(bound) ? -1 : json_double(value) > json_double(bound);
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

static bool apply_string(struct validation *v, const struct json *schema, const struct json *value,
                         struct str where)
{
    struct str text = value->string;
    bool good = apply_size(v, schema, "minLength", "maxLength", utf8_length(text.data, text.size),
                           "characters", where);
    const struct json *pattern = json_member(schema, "pattern"), *format = json_member(schema, "format");
    if (pattern && pattern->type == JSON_STRING && !matches(v, pattern->string, text))
        good = violate(v, where, "must match the pattern " STR_FMT, STR_ARG(pattern->string));
    if (format && format->type == JSON_STRING && !format_fits(format->string, text))
        good = violate(v, where, "must be a valid " STR_FMT ", is \"%.*s\"", STR_ARG(format->string),
                       (int)utf8_cut(text.data, text.size, 60), text.data ? text.data : "");
    return good;
}

static bool apply_array(struct validation *v, const struct json *schema, const struct json *value,
                        struct str where)
{
    size_t count = value->array.count, prefixed = 0, least = 1, most = SIZE_MAX, found = 0;
    bool good = apply_size(v, schema, "minItems", "maxItems", count, "items", where);
    const struct json *prefix = json_member(schema, "prefixItems"), *items = json_member(schema, "items");
    const struct json *contains = json_member(schema, "contains"),
                      *unique = json_member(schema, "uniqueItems");
    if (prefix && prefix->type == JSON_ARRAY) {
        for (; prefixed < prefix->array.count && prefixed < count; prefixed++)
            good &= apply(v, &prefix->array.items[prefixed], &value->array.items[prefixed],
                          element(v, where, prefixed));
    }
    for (size_t i = prefixed; items && i < count; i++)
        good &= apply(v, items, &value->array.items[i], element(v, where, i));
    for (size_t i = 0; contains && i < count; i++) found += holds(v, contains, &value->array.items[i]);
    count_keyword(schema, "minContains", &least);
    count_keyword(schema, "maxContains", &most);
    if (contains && (found < least || found > most))
        good = violate(v, where, "has %zu items of the kind it must contain", found);
    for (size_t i = 1; unique && unique->type == JSON_BOOL && unique->boolean && i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (v->effort++ > EFFORT_MAX || !json_equal(&value->array.items[i], &value->array.items[k]))
                continue;
            return violate(v, where, "items %zu and %zu are equal, but must be unique", k, i);
        }
    }
    return good;
}

static bool apply_members(struct validation *v, const struct json *schema, const struct json *value,
                          struct str where)
{
    const struct json *properties = json_member(schema, "properties"),
                      *more = json_member(schema, "additionalProperties");
    const struct json *patterns = json_member(schema, "patternProperties"),
                      *names = json_member(schema, "propertyNames");
    bool good = true;
    for (size_t i = 0; i < value->object.count; i++) {
        const struct json_member *member = &value->object.members[i];
        struct str at = below(v, where, member->key);
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
        if (names && !holds(v, names, &name)) good = violate(v, at, "is not an allowed name");
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

static bool apply_object(struct validation *v, const struct json *schema, const struct json *value,
                         struct str where)
{
    bool good =
        apply_size(v, schema, "minProperties", "maxProperties", value->object.count, "members", where);
    good &= require(v, json_member(schema, "required"), value, where);
    good &= apply_members(v, schema, value, where);
    const struct json *required = json_member(schema, "dependentRequired"),
                      *schemas = json_member(schema, "dependentSchemas");
    for (size_t i = 0; i < value->object.count; i++) {
        good &= require(v, json_get(required, value->object.members[i].key), value, where);
        const struct json *dependent = json_get(schemas, value->object.members[i].key);
        if (dependent) good &= apply(v, dependent, value, where);
    }
    return good;
}

static bool apply_combined(struct validation *v, const struct json *schema, const struct json *value,
                           struct str where)
{
    const struct json *all = json_member(schema, "allOf"), *any = json_member(schema, "anyOf"),
                      *one = json_member(schema, "oneOf");
    const struct json *none = json_member(schema, "not"), *condition = json_member(schema, "if");
    bool good = true;
    size_t count = 0;
    for (size_t i = 0; all && all->type == JSON_ARRAY && i < all->array.count; i++)
        good &= apply(v, &all->array.items[i], value, where);
    for (size_t i = 0; any && any->type == JSON_ARRAY && i < any->array.count && !count; i++)
        count += holds(v, &any->array.items[i], value);
    if (any && !count) good = violate(v, where, "fits none of the schemas of anyOf");
    count = 0;
    for (size_t i = 0; one && one->type == JSON_ARRAY && i < one->array.count; i++)
        count += holds(v, &one->array.items[i], value);
    if (one && count != 1) good = violate(v, where, "fits %zu of the schemas of oneOf, must fit one", count);
    if (none && holds(v, none, value)) good = violate(v, where, "fits the schema of not");
    if (condition) {
        const struct json *branch =
            holds(v, condition, value) ? json_member(schema, "then") : json_member(schema, "else");
        if (branch) good &= apply(v, branch, value, where);
    }
    return good;
}

static bool apply_values(struct validation *v, const struct json *schema, const struct json *value,
                         struct str where)
{
    const struct json *types = json_member(schema, "type"), *options = json_member(schema, "enum");
    const struct json *constant = json_member(schema, "const");
    char text[96], names[96];
    if (types && !has_type(value, types)) {
        brief(types, names);
        brief(value, text);
        if (types->type == JSON_STRING)
            snprintf(names, sizeof names, "%.*s", (int)str_slice(types->string, 0, 60).size,
                     types->string.data);
        return violate(v, where, "must be of type %s, is %s", names, text);
    }
    bool found = !options || options->type != JSON_ARRAY;
    for (size_t i = 0; !found && i < options->array.count; i++)
        found = json_equal(&options->array.items[i], value);
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

static bool apply(struct validation *v, const struct json *schema, const struct json *value, struct str where)
{
    if (v->status != STATUS_OK) return false;
    if (schema->type == JSON_BOOL) return schema->boolean || violate(v, where, "is not allowed");
    if (schema->type != JSON_OBJECT) return true;
    if (v->depth == DEPTH_MAX || v->effort++ >= EFFORT_MAX) {
        v->status =
            error_set(v->error, STATUS_LIMIT, "the inputs schema is too deep or too complex to apply");
        return false;
    }
    v->depth++;
    bool good = apply_values(v, schema, value, where);
    if (good && json_is_number(value)) good &= apply_number(v, schema, value, where);
    if (good && value->type == JSON_STRING) good &= apply_string(v, schema, value, where);
    if (good && value->type == JSON_ARRAY) good &= apply_array(v, schema, value, where);
    if (good && value->type == JSON_OBJECT) good &= apply_object(v, schema, value, where);
    good &= apply_combined(v, schema, value, where);
    struct str reference = reference_of(schema);
    const struct json *target = reference.data ? resolve(v->base, reference) : NULL;
    if (target) good &= apply(v, target, value, where);
    v->depth--;
    return good;
}

enum status jsonschema_validate(struct arena *arena, struct jsonschema schema, const struct json *instance,
                                struct str where, jsonschema_violation violation, void *ctx,
                                struct error *error)
{
    struct validation v = {
        .arena = arena, .base = schema, .violation = violation, .ctx = ctx, .error = error};
    if (schema.schema) apply(&v, schema.schema, instance, where);
    return v.status;
}
