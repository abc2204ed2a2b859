/*
 * Servers that misbehave, through the client of the command line: whatever they do, a run ends in time, says what it
 * was, and keeps credentials to itself. And documents that are too large or too deep.
 */
#include "mock.h"

#include "base/gzip.h"
#include "cli/transport.h"
#include "workflow/runner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PATIENCE_MS 20000 /* far more than any of these should take, far less than a hang */

static const char api[] = "openapi: 3.1.0\ninfo: {title: A, version: '1'}\npaths:\n"
                          "  /a: {get: {operationId: a, security: [{basic: [], key: []}]}}\n"
                          "components: {securitySchemes: {basic: {type: http, scheme: basic},"
                          " key: {type: apiKey, in: header, name: X-Key}}}\n";

static const char document_text[] =
    "arazzo: 1.0.1\ninfo: {title: T, version: '1'}\nsourceDescriptions: [{name: api, url: api.yml}]\n"
    "workflows:\n- workflowId: w\n  steps:\n  - stepId: s\n    operationId: a\n    outputs: {n: '$response.body#/n'}\n";

static enum status read_api(void *ctx, struct str location, size_t size_max, struct arena *arena, struct error *error,
                            struct str *ret_text)
{
    (void)ctx, (void)location, (void)size_max;
    *ret_text = arena_str(arena, STR(api));
    return ret_text->data ? STATUS_OK : error_set(error, STATUS_LIMIT, "no memory");
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct outcome {
    enum workflow_verdict verdict;
    char error[600];
    bool has_output;
};

static struct outcome run(const char *server, uint32_t timeout_ms)
{
    static const struct workflow_auth auths[] = {{STR("basic"), STR("ann:s3cret"), STR_NULL},
                                                 {STR("key"), STR("k3y"), STR_NULL}};
    struct arena *arena = arena_new((size_t)64 << 20);
    struct http_client *client = http_client_new();
    struct workflow_problems problems;
    struct workflow_document *document;
    struct workflow_result result;
    struct error error = ERROR_INIT;
    const struct workflow_server servers[] = {{STR("api"), str_of(server)}};
    const struct workflow_options options = {
        .servers = servers,
        .server_count = 1,
        .auths = auths,
        .auth_count = 2,
        .transport = transport_over(client),
        .loader = {.read = read_api},
        .request_timeout_ms = timeout_ms,
        .body_size_max = (size_t)1 << 20,
    };
    struct outcome outcome = {.error = ""};
    workflow_problems_init(&problems, arena);
    assert_int_equal(workflow_document_parse(arena, STR(document_text), STR("w.yml"), &problems, &error, &document),
                     STATUS_OK);
    uint64_t started_ms = now_ms();
    assert_int_equal(workflow_run(arena, document, &options, &problems, &error, &result), STATUS_OK);
    assert_true(now_ms() - started_ms < PATIENCE_MS);
    const struct json *reason = json_member(&result.json, "error");
    outcome.verdict = result.verdict;
    outcome.has_output = json_pointer(&result.json, STR("/steps/0/outputs/n")) != NULL;
    if (reason) snprintf(outcome.error, sizeof outcome.error, STR_FMT, STR_ARG(reason->string));
    http_client_free(client);
    arena_free(arena);
    return outcome;
}

static void base_of(struct mock *mock, char server[64])
{
    snprintf(server, 64, "http://127.0.0.1:%u", (unsigned)mock_port(mock));
}

static void every_misbehaviour_ends_in_time_with_a_reason(void **state)
{
    static const struct {
        struct mock_answer answer;
        uint32_t timeout_ms;
        const char *says;
    } rows[] = {
        {{MOCK_SILENT, 200, {NULL, 0}, {NULL, 0}}, 300, "300 ms"},
        {{MOCK_SLOW, 200, {NULL, 0}, {"{\"n\":1}", 7}}, 300, "300 ms"},
        {{MOCK_RESET, 200, {NULL, 0}, {NULL, 0}}, 5000, "step \"s\""},
        {{MOCK_CUT, 200, {"Content-Type: application/json\r\n", 32}, {"{\"n\":1}", 7}}, 5000, "step \"s\""},
        {{MOCK_ENDLESS, 200, {NULL, 0}, {NULL, 0}}, 10000, "1048576"},
        {{MOCK_NONSENSE, 200, {NULL, 0}, {NULL, 0}}, 5000, "step \"s\""},
        {{MOCK_ANSWER, 200, {"Content-Type: application/json\r\n", 32}, {"{\"n\":", 5}}, 5000, "is not the JSON"},
        {{MOCK_ANSWER, 302, {"Location: /a\r\n", 14}, {NULL, 0}}, 5000, "redirect"},
        {{MOCK_ANSWER, 302, {"Location: file:///etc/passwd\r\n", 30}, {NULL, 0}}, 5000, "step \"s\""},
    };
    struct mock *mock = mock_new();
    char server[64];
    (void)state;
    base_of(mock, server);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mock_set(mock, &rows[i].answer, 1);
        struct outcome outcome = run(server, rows[i].timeout_ms);
        if (outcome.verdict != WORKFLOW_FAILED || !strstr(outcome.error, rows[i].says))
            fail_msg("row %zu: %s: %s", i, workflow_verdict_name(outcome.verdict), outcome.error);
    }
    mock_free(mock);
}

static void nobody_there(void **state)
{
    struct mock *mock = mock_new();
    char server[64];
    (void)state;
    base_of(mock, server);
    mock_free(mock); /* the port is free again */
    struct outcome outcome = run(server, 5000);
    assert_int_equal(outcome.verdict, WORKFLOW_FAILED);
    assert_non_null(strstr(outcome.error, "connect"));
}

/* 127.0.0.1 and localhost are different hosts, and so are two ports of one. */
static void credentials_stay_behind_at_a_redirect(void **state)
{
    struct mock *first = mock_new(), *second = mock_new();
    char server[64], location[128];
    (void)state;
    base_of(first, server);
    snprintf(location, sizeof location, "Location: http://localhost:%u/stolen\r\n", (unsigned)mock_port(second));
    const struct mock_answer away = {MOCK_ANSWER, 307, str_of(location), STR_NULL};
    const struct mock_answer good = {MOCK_ANSWER, 200, STR("Content-Type: application/json\r\n"), STR("{\"n\":1}")};
    mock_set(first, &away, 1);
    mock_set(second, &good, 1);
    struct outcome outcome = run(server, 5000);
    assert_int_equal(outcome.verdict, WORKFLOW_PASSED);
    assert_int_equal(mock_request_count(first), 1);
    assert_int_equal(mock_request_count(second), 1);
    struct str sent = mock_request(first, 0), carried = mock_request(second, 0);
    assert_true(str_find(sent, STR("Authorization: Basic"), 0) != SIZE_MAX);
    assert_true(str_find(sent, STR("X-Key: k3y"), 0) != SIZE_MAX);
    assert_true(str_find(carried, STR("Authorization"), 0) == SIZE_MAX);
    assert_true(str_find(carried, STR("k3y"), 0) == SIZE_MAX);
    mock_free(first);
    mock_free(second);
}

static void compressed_answers_are_unpacked_within_the_limit(void **state)
{
    struct mock *mock = mock_new();
    struct arena *arena = arena_new((size_t)16 << 20);
    struct buf plain = BUF_INIT((size_t)8 << 20);
    struct str packed;
    char server[64];
    (void)state;
    base_of(mock, server);
    assert_int_equal(gzip_compress(arena, STR("{\"n\":[1,2,3]}"), 6, &packed), STATUS_OK);
    struct mock_answer answer = {MOCK_ANSWER, 200, STR("Content-Type: application/json\r\nContent-Encoding: gzip\r\n"),
                                 packed};
    mock_set(mock, &answer, 1);
    struct outcome outcome = run(server, 5000);
    assert_int_equal(outcome.verdict, WORKFLOW_PASSED);
    assert_true(outcome.has_output);

    buf_fill(&plain, 'x', (size_t)4 << 20);
    assert_int_equal(gzip_compress(arena, buf_str(&plain), 6, &packed), STATUS_OK);
    answer.body = packed;
    mock_set(mock, &answer, 1);
    outcome = run(server, 5000);
    assert_int_equal(outcome.verdict, WORKFLOW_FAILED);
    assert_non_null(strstr(outcome.error, "1048576"));
    buf_fini(&plain);
    arena_free(arena);
    mock_free(mock);
}

static void large_and_deep_documents_are_refused(void **state)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    struct buf text = BUF_INIT((size_t)64 << 20);
    struct workflow_problems problems;
    struct workflow_document *document;
    struct error error = ERROR_INIT;
    (void)state;
    buf_lit(&text, "arazzo: 1.0.1\nx-a: |\n");
    for (int i = 0; i < 500000; i++)
        buf_lit(&text, "  0123456789012345678901234567890123456789012345678901234567890123456789"
                       "0123456789012345678901234567\n");
    assert_true(text.size > (size_t)45 << 20);
    workflow_problems_init(&problems, arena);
    uint64_t started_ms = now_ms();
    assert_int_not_equal(workflow_document_parse(arena, buf_str(&text), STR("w.yml"), &problems, &error, &document),
                         STATUS_OK);
    assert_int_equal(problems.error_count, 1);

    buf_reset(&text);
    for (int i = 0; i < 100000; i++) buf_lit(&text, "{a: ");
    arena_reset(arena);
    workflow_problems_init(&problems, arena);
    assert_int_not_equal(workflow_document_parse(arena, buf_str(&text), STR("w.yml"), &problems, &error, &document),
                         STATUS_OK);
    assert_int_equal(problems.error_count, 1);

    buf_reset(&text);
    for (int i = 0; i < 100000; i++) {
        buf_fill(&text, ' ', (size_t)(i < 2000 ? i : 2000));
        buf_lit(&text, "a:\n");
    }
    arena_reset(arena);
    workflow_problems_init(&problems, arena);
    assert_int_not_equal(workflow_document_parse(arena, str_slice(buf_str(&text), 0, (size_t)7 << 20), STR("w.yml"),
                                                 &problems, &error, &document),
                         STATUS_OK);
    assert_true(now_ms() - started_ms < PATIENCE_MS);
    buf_fini(&text);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_misbehaviour_ends_in_time_with_a_reason),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(credentials_stay_behind_at_a_redirect),
        cmocka_unit_test(compressed_answers_are_unpacked_within_the_limit),
        cmocka_unit_test(large_and_deep_documents_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
