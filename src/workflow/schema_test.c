/* JSON Schema as the inputs use it: a table of schema, instance and verdict; the messages; coercion; the
 * schema's own check. */
#include "workflow/schema.h"

#include "base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static const struct json *yaml(const char *text)
{
    struct json *value = arena_alloc(arena, sizeof *value);
    struct error error = ERROR_INIT;
    if (json_from_yaml(arena, str_of(text), NULL, &error, value) != STATUS_OK) fail_msg("%s: %s", text, error.primary);
    return value;
}

static void collect(void *ctx, struct str where, struct str what)
{
    struct buf *buf = ctx;
    buf_printf(buf, "%.*s: %.*s\n", (int)where.size, where.data, (int)what.size, what.data);
}

/* The violations as text; empty when it fits. */
static const char *violations(const char *schema_text, const char *instance)
{
    const struct json *schema = yaml(schema_text);
    struct buf buf = BUF_INIT(4096);
    struct error error = ERROR_INIT;
    assert_int_equal(jsonschema_validate(arena, (struct jsonschema){.root = schema, .schema = schema, .formats = true},
                                         yaml(instance), STR("v"), collect, &buf, &error),
                     STATUS_OK);
    char *text = arena_cstr(arena, buf_str(&buf));
    buf_fini(&buf);
    return text;
}

static void test_keywords(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *good, *bad;
    } cases[] = {
        {"true", "1", NULL},
        {"false", NULL, "1"},
        {"{}", "[x]", NULL},
        {"type: integer", "5", "5.5"},
        {"type: integer", "1e3", "'5'"},
        {"type: integer", "12345678901234567890", "true"},
        {"type: number", "5.5", "'5'"},
        {"type: string", "'5'", "5"},
        {"type: boolean", "false", "0"},
        {"type: 'null'", "null", "''"},
        {"type: array", "[]", "{}"},
        {"type: object", "{}", "[]"},
        {"type: [string, 'null']", "null", "1"},
        {"enum: [a, 1, {x: [1]}]", "{x: [1.0]}", "b"},
        {"const: 5", "5.0", "6"},
        {"minimum: 5", "5", "4"},
        {"maximum: 5.5", "5.5", "6"},
        {"exclusiveMinimum: 5", "5.1", "5"},
        {"exclusiveMaximum: 5", "4", "5"},
        {"maximum: 9007199254740993", "9007199254740993", "9007199254740994"},
        {"multipleOf: 3", "9", "10"},
        {"multipleOf: 0.1", "0.3", "0.35"},
        {"minimum: 5", "'text'", NULL}, /* keywords of another type do not apply */
        {"minLength: 2", "'\xC3\xA9\xC3\xA9'", "'\xC3\xA9'"},
        {"maxLength: 2", "ab", "abc"},
        {"pattern: '^[a-f0-9]{4}$'", "0aff", "0afg"},
        {"pattern: 'b+'", "abbbc", "ac"},
        {"pattern: '^a$'", "a", "\"a\\n\""},
        {"items: {type: integer}", "[1, 2]", "[1, x]"},
        {"{prefixItems: [{type: string}], items: {type: integer}}", "[a, 1]", "[1, 1]"},
        {"{prefixItems: [{type: string}], items: false}", "[a]", "[a, 1]"},
        {"minItems: 1", "[1]", "[]"},
        {"maxItems: 1", "[1]", "[1, 2]"},
        {"uniqueItems: true", "[1, '1', [1]]", "[1, 2, 1.0]"},
        {"contains: {const: 1}", "[0, 1]", "[0]"},
        {"{contains: {const: 1}, minContains: 0, maxContains: 1}", "[0]", "[1, 1]"},
        {"properties: {a: {type: integer}}", "{a: 1, b: x}", "{a: x}"},
        {"required: [a]", "{a: null}", "{b: 1}"},
        {"{properties: {a: true}, additionalProperties: false}", "{a: 1}", "{b: 1}"},
        {"additionalProperties: {type: integer}", "{b: 1}", "{b: x}"},
        {"{patternProperties: {'^x': {type: integer}}, additionalProperties: false}", "{x1: 1}", "{x1: a}"},
        {"{patternProperties: {'^x': true}, additionalProperties: false}", "{x1: 1}", "{y: 1}"},
        {"propertyNames: {maxLength: 2}", "{ab: 1}", "{abc: 1}"},
        {"minProperties: 1", "{a: 1}", "{}"},
        {"maxProperties: 1", "{a: 1}", "{a: 1, b: 2}"},
        {"dependentRequired: {a: [b]}", "{a: 1, b: 1}", "{a: 1}"},
        {"dependentSchemas: {a: {required: [b]}}", "{c: 1}", "{a: 1}"},
        {"allOf: [{type: integer}, {minimum: 5}]", "5", "4"},
        {"anyOf: [{type: integer}, {minLength: 2}]", "ab", "a"},
        {"oneOf: [{type: integer}, {minimum: 5}]", "4", "5"},
        {"not: {type: integer}", "x", "1"},
        {"{if: {type: integer}, then: {minimum: 5}, else: {type: string}}", "5", "4"},
        {"{if: {type: integer}, then: {minimum: 5}, else: {type: string}}", "x", "1.5"},
        {"{$ref: '#/$defs/a', $defs: {a: {type: integer}}}", "1", "x"},
        {"{$ref: '#/$defs/a~1b%20c', $defs: {'a/b c': {type: integer}}}", "1", "x"},
        {"{properties: {next: {$ref: '#'}}, required: [v]}", "{v: 1, next: {v: 2}}", "{v: 1, next: {}}"},
        {"format: date", "2024-02-29", "2023-02-29"},
        {"format: date-time", "2024-01-31T12:30:45.5+02:00", "2024-01-31 12:30:45Z"},
        {"format: time", "12:30:45Z", "25:00:00Z"},
        {"format: email", "a@b.c", "a.b.c"},
        {"format: uri", "https://a/b?c", "'/relative path'"},
        {"format: uuid", "123e4567-e89b-12d3-a456-426614174000", "'123e4567'"},
        {"format: unheard-of", "anything", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].good && *violations(cases[i].schema, cases[i].good))
            fail_msg("%s refuses %s: %s", cases[i].schema, cases[i].good, violations(cases[i].schema, cases[i].good));
        if (cases[i].bad && !*violations(cases[i].schema, cases[i].bad))
            fail_msg("%s allows %s", cases[i].schema, cases[i].bad);
    }
}

/* All violations are listed, each with its place. */
static void test_messages(void **state)
{
    (void)state;
    assert_string_equal(violations("{required: [a, b], properties: {c: {items: {type: integer}}, d: {enum: [x, y]}}}",
                                   "{a: 1, c: [1, z, 2.5], d: q}"),
                        "v.b: is required\n"
                        "v.c[1]: must be of type integer, is \"z\"\n"
                        "v.c[2]: must be of type integer, is 2.5\n"
                        "v.d: must be one of [\"x\",\"y\"], is \"q\"\n");
    assert_string_equal(violations("{type: string, minLength: 5, pattern: '^x'}", "abc"),
                        "v: must have at least 5 characters, has 3\nv: must match the pattern ^x\n");
}

/* Recursion without end and combinations without end stop with LIMIT. */
static void test_effort(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "{$ref: '#'}",
        "{anyOf: [{$ref: '#'}, {$ref: '#'}]}",
        "{allOf: [{$ref: '#'}, {$ref: '#'}, {$ref: '#'}]}",
        "{type: string, pattern: '^(a+)+$'}",
    };
    char longer[64];
    memset(longer, 'a', 40);
    memcpy(longer + 40, "!", 2);
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        const struct json *schema = yaml(schemas[i]), value = json_string(str_of(longer));
        struct error error = ERROR_INIT;
        struct buf buf = BUF_INIT(4096);
        enum status status =
            jsonschema_validate(arena, (struct jsonschema){.root = schema, .schema = schema, .formats = true}, &value,
                                STR("v"), collect, &buf, &error);
        /* PCRE2 may see that the last pattern cannot match without trying. */
        assert_true(status == STATUS_LIMIT || (i == 3 && status == STATUS_OK && buf.size));
        buf_fini(&buf);
    }
}

static void coerces(const char *schema_text, const char *text, const char *json)
{
    const struct json *schema = yaml(schema_text);
    struct json value;
    struct buf buf = BUF_INIT(4096);
    assert_int_equal(jsonschema_coerce(arena, (struct jsonschema){.root = schema, .schema = schema, .formats = true},
                                       str_of(text), &value),
                     STATUS_OK);
    json_write(&buf, &value);
    buf_byte(&buf, 0);
    assert_string_equal(buf.data, json);
    buf_fini(&buf);
}

/* WF-4. */
static void test_coercion(void **state)
{
    (void)state;
    coerces("type: integer", "42", "42");
    coerces("type: integer", "-7", "-7");
    coerces("type: integer", "4.5", "\"4.5\"");
    coerces("type: integer", "0x10", "\"0x10\"");
    coerces("type: number", "4.50", "4.5");
    coerces("type: boolean", "true", "true");
    coerces("type: boolean", "yes", "\"yes\"");
    coerces("type: string", "42", "\"42\"");
    coerces("type: string", "", "\"\"");
    coerces("type: array", "[1,\"a\"]", "[1,\"a\"]");
    coerces("type: object", "{\"a\":1}", "{\"a\":1}");
    coerces("type: object", "[1]", "\"[1]\"");
    coerces("type: [integer, 'null']", "null", "null");
    coerces("type: [integer, string]", "5", "\"5\"");
    coerces("{}", "5", "\"5\"");
    coerces("enum: [1, a]", "1", "1");
    coerces("enum: [1, a]", "a", "\"a\"");
    coerces("{$ref: '#/$defs/i', $defs: {i: {allOf: [{type: integer}]}}}", "5", "5");
}

static void test_properties(void **state)
{
    (void)state;
    const struct json *root = yaml("{schema: {$ref: '#/shared', allOf: [{properties: {b: {type: string}}}]},"
                                   " shared: {properties: {a: {type: integer}}}}");
    struct jsonschema schema = {.root = root, .schema = json_member(root, "schema")};
    bool open = true;
    assert_non_null(jsonschema_property(schema, STR("a"), &open));
    assert_non_null(jsonschema_property(schema, STR("b"), NULL));
    assert_null(jsonschema_property(schema, STR("c"), NULL));
    assert_false(open);
    const struct json *loose = yaml("{additionalProperties: true}");
    assert_null(jsonschema_property((struct jsonschema){.root = loose, .schema = loose}, STR("c"), &open));
    assert_true(open);
    open = false;
    loose = yaml("{properties: {a: {}}, oneOf: [{properties: {c: {}}}, {properties: {d: {}}}]}");
    assert_null(jsonschema_property((struct jsonschema){.root = loose, .schema = loose}, STR("c"), &open));
    assert_true(open);
}

/* What is wrong with a schema is found before anything is validated with it. */
static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *problem;
        unsigned line;
    } cases[] = {
        {"type: integer\nunevaluatedProperties: 5", "a schema must be a map or a boolean", 2},
        {"properties:\n  a: {type: int}", "malformed value of schema keyword \"type\"", 2},
        {"required: a", "malformed value of schema keyword \"required\"", 1},
        {"pattern: '(a'", "malformed pattern \"(a\"", 1},
        {"properties: {a: 5}", "a schema must be a map or a boolean", 1},
        {"$ref: '#/nowhere'", "leads nowhere", 1},
        {"$ref: other.yml", "leads nowhere", 1},
        {"items:\n  minLength: -1", "\"minLength\"", 2},
        {"{$ref: '#/$defs/x', $defs: {x: {minimum: a}}}", "\"minimum\"", 1},
        {"$ref: '#'", "\"#\" leads in circles", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct json *schema = yaml(cases[i].schema);
        struct workflow_problems problems;
        workflow_problems_init(&problems, arena);
        jsonschema_check((struct jsonschema){.root = schema, .schema = schema, .formats = true}, STR("f"), &problems);
        assert_int_equal(problems.error_count, 1);
        if (str_find(problems.items[0].text, str_of(cases[i].problem), 0) == SIZE_MAX)
            fail_msg("%s: %.*s", cases[i].schema, (int)problems.items[0].text.size, problems.items[0].text.data);
        assert_int_equal(problems.items[0].line, cases[i].line);
    }
    const struct json *odd = yaml("{x-any: [1], nullable: true, properties: {a: {$ref: '#'}}}");
    struct workflow_problems problems;
    workflow_problems_init(&problems, arena);
    jsonschema_check((struct jsonschema){.root = odd, .schema = odd}, STR("f"), &problems);
    assert_int_equal(problems.error_count, 0);
    assert_int_equal(problems.count, 1); /* unknown keyword: a warning */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keywords), cmocka_unit_test(test_messages),   cmocka_unit_test(test_effort),
        cmocka_unit_test(test_coercion), cmocka_unit_test(test_properties), cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
