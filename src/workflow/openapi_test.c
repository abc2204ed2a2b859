/* What the runner learns from OpenAPI descriptions (checklist SRC-3, SRC-4, OP-2, OP-4): references within
 * and between files, cycles, parameters of operation and path item, servers, security. */
#include "workflow/openapi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
    const char *location, *text;
} files[] = {
    {"specs/main.yml", "openapi: 3.1.0\n"
                       "servers: [{url: 'https://root.test/{v}', variables: {v: {default: v2}}}]\n"
                       "security: [{basic: []}]\n"
                       "paths:\n"
                       "  /a/{id}:\n"
                       "    parameters:\n"
                       "    - {name: id, in: path, required: true}\n"
                       "    - {name: both, in: query, style: pipeDelimited}\n"
                       "    get:\n"
                       "      operationId: getA\n"
                       "      parameters:\n"
                       "      - {name: both, in: query, explode: false, allowReserved: true}\n"
                       "      - $ref: 'shared/params.yml#/list/0'\n"
                       "      - {name: c, in: query, content: {application/json: {}}}\n"
                       "      requestBody: {$ref: 'shared/params.yml#/bodies/a~1b%20c'}\n"
                       "    post: {operationId: dotted.id.x, servers: [{url: 'https://op.test'}], security: []}\n"
                       "  /b:\n"
                       "    $ref: 'shared/params.yml#/item'\n"
                       "  /loop:\n"
                       "    get: {operationId: loop, parameters: [{$ref: '#/components/parameters/x'}]}\n"
                       "    put: {operationId: nowhere, parameters: [{$ref: '#/components/parameters/z'}]}\n"
                       "components:\n"
                       "  parameters:\n"
                       "    x: {$ref: '#/components/parameters/y'}\n"
                       "    y: {$ref: '#/components/parameters/x'}\n"
                       "  securitySchemes:\n"
                       "    basic: {$ref: 'shared/params.yml#/basic'}\n"},
    {"specs/shared/params.yml", "list:\n- $ref: '#/named'\n"
                                "named: {name: h, in: header, required: true}\n"
                                "bodies: {'a/b c': {content: {text/csv: {}, application/json: {}}}}\n"
                                "item: {servers: [{url: 'https://item.test'}], get: {operationId: getB}}\n"
                                "basic: {type: http, scheme: basic}\n"},
    {"specs/second.yml", "openapi: 3.0.1\nservers: [{url: /relative}]\npaths: {/a: {get: {operationId: getA}}}\n"},
};

static enum status read_file(void *ctx, struct str location, size_t size_max, struct arena *arena, struct error *error,
                             struct str *ret_text)
{
    (void)ctx;
    (void)size_max;
    (void)arena;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!str_eq(location, str_of(files[i].location))) continue;
        *ret_text = str_of(files[i].text);
        return STATUS_OK;
    }
    return error_set(error, STATUS_NOT_FOUND, "no such file");
}

static struct arena *arena;
static struct openapi_set set;
static const struct workflow_loader loader = {.read = read_file};

static int setup(void **state)
{
    (void)state;
    static struct workflow_source sources[] = {{.name = STR("main"), .url = STR("../specs/main.yml")},
                                               {.name = STR("second"), .url = STR("../specs/second.yml")}};
    static const struct workflow_document document = {
        .file = STR("arazzo/w.yml"), .sources = sources, .source_count = 2};
    struct workflow_problems problems;
    struct error error = ERROR_INIT;
    arena = arena_new((size_t)16 << 20);
    workflow_problems_init(&problems, arena);
    set = (struct openapi_set){.arena = arena, .loader = &loader};
    assert_int_equal(openapi_load(&set, &document, &problems, &error), STATUS_OK);
    assert_int_equal(problems.error_count, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static const struct openapi_operation *operation(const char *source, const char *id)
{
    const struct openapi_operation *found[2];
    assert_int_equal(openapi_find_id(&set, openapi_find_source(&set, str_of(source)), str_of(id), found, 2), 1);
    return found[0];
}

static void test_finding(void **state)
{
    (void)state;
    const struct openapi_operation *found[4];
    assert_int_equal(openapi_find_id(&set, NULL, STR("getA"), found, 4), 2);
    assert_int_equal(openapi_find_id(&set, NULL, STR("getB"), found, 4), 1);
    assert_true(str_is(found[0]->path, "/b") && str_is(found[0]->method, "GET"));
    assert_int_equal(openapi_find_id(&set, NULL, STR("dotted.id.x"), found, 4), 1);
    assert_int_equal(openapi_find_id(&set, NULL, STR("none"), found, 4), 0);
    assert_non_null(openapi_find_path(openapi_find_source(&set, STR("main")), STR("/a/{id}"), STR("post")));
    assert_null(openapi_find_path(openapi_find_source(&set, STR("main")), STR("/a/{id}"), STR("put")));
    assert_null(openapi_find_source(&set, STR("third")));
    assert_true(str_is(openapi_similar(&set, STR("getC")), "getA, getB, getA"));
    assert_int_equal(openapi_similar(&set, STR("completelyDifferent")).size, 0);
}

static void test_parameters(void **state)
{
    (void)state;
    struct openapi_parameter *list;
    size_t count;
    struct str type;
    struct error error = ERROR_INIT;
    const struct openapi_operation *get_a = operation("main", "getA");
    assert_int_equal(openapi_parameters(&set, get_a, &error, &list, &count), STATUS_OK);
    assert_int_equal(count, 4);
    assert_true(str_is(list[0].name, "both") && str_is(list[0].style, "form") && !list[0].explode &&
                list[0].allow_reserved);
    assert_true(str_is(list[1].name, "h") && str_is(list[1].style, "simple") && list[1].required && !list[1].explode);
    assert_true(str_is(list[2].name, "c") && str_is(list[2].content_type, "application/json"));
    assert_true(str_is(list[3].name, "id") && list[3].required);
    assert_int_equal(openapi_body_type(&set, get_a, &error, &type), STATUS_OK);
    assert_true(str_is(type, "text/csv"));
    assert_int_equal(openapi_body_type(&set, operation("main", "getB"), &error, &type), STATUS_OK);
    assert_int_equal(type.size, 0);
}

/* References that go round or nowhere end with an error that names them. */
static void test_bad_references(void **state)
{
    (void)state;
    struct openapi_parameter *list;
    size_t count;
    struct error error = ERROR_INIT;
    assert_int_equal(openapi_parameters(&set, operation("main", "loop"), &error, &list, &count), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "leads in circles"));
    assert_int_equal(openapi_parameters(&set, operation("main", "nowhere"), &error, &list, &count), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "\"#/components/parameters/z\" leads nowhere"));
}

static void test_servers(void **state)
{
    (void)state;
    struct str url;
    struct error error = ERROR_INIT;
    assert_int_equal(openapi_server(&set, operation("main", "getA"), &error, &url), STATUS_OK);
    assert_true(str_is(url, "https://root.test/v2"));
    assert_int_equal(openapi_server(&set, operation("main", "dotted.id.x"), &error, &url), STATUS_OK);
    assert_true(str_is(url, "https://op.test"));
    assert_int_equal(openapi_server(&set, operation("main", "getB"), &error, &url), STATUS_OK);
    assert_true(str_is(url, "https://item.test"));
    assert_int_equal(openapi_server(&set, operation("second", "getA"), &error, &url), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "source \"second\" names no server: its URL is \"/relative\""));
    assert_string_equal(error.hint, "use --server second=URL");
}

static void test_security(void **state)
{
    (void)state;
    struct openapi_node scheme;
    struct error error = ERROR_INIT;
    assert_int_equal(openapi_security(operation("main", "getA"))->array.count, 1);
    assert_int_equal(openapi_security(operation("main", "dotted.id.x"))->array.count, 0);
    assert_null(openapi_security(operation("second", "getA")));
    assert_int_equal(
        openapi_security_scheme(&set, openapi_find_source(&set, STR("main")), STR("basic"), &error, &scheme),
        STATUS_OK);
    assert_true(str_is(json_member(scheme.value, "scheme")->string, "basic"));
    assert_int_equal(
        openapi_security_scheme(&set, openapi_find_source(&set, STR("main")), STR("none"), &error, &scheme), STATUS_OK);
    assert_null(scheme.value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finding), cmocka_unit_test(test_parameters), cmocka_unit_test(test_bad_references),
        cmocka_unit_test(test_servers), cmocka_unit_test(test_security),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
