/*
 * An Arazzo document, the OpenAPI description behind it and the answers of the server, all from the input,
 * run from end to end in memory: parsing, checking, preparing, building requests, criteria, outputs,
 * reporting. Nothing may crash, leak, hang or touch the machine: sources come from the input, requests go
 * nowhere.
 *
 * The input has parts divided by lines of "=====": the document, the description (for any source URL), the
 * body of every response, and inputs as JSON. Missing parts are empty.
 */
#include "workflow/report.h"
#include "workflow/runner.h"

#include <stdlib.h>

#define PARTS 4

struct parts {
    struct str text[PARTS];
};

static enum status read_source(void *ctx, struct str location, size_t size_max, struct arena *arena,
                               struct error *error, struct str *ret_text)
{
    const struct parts *parts = ctx;
    (void)location;
    if (parts->text[1].size > size_max) return error_set(error, STATUS_LIMIT, "too large");
    *ret_text = arena_str(arena, parts->text[1]);
    return ret_text->data ? STATUS_OK : error_set(error, STATUS_LIMIT, "no memory");
}

static enum status send_request(void *ctx, const struct workflow_request *request, struct arena *arena,
                                struct error *error, struct workflow_response *ret_response)
{
    static const struct workflow_header headers[] = {{STR("Content-Type"), STR("application/json")},
                                                     {STR("X-A"), STR("1")}};
    const struct parts *parts = ctx;
    /* What the transport relies on. */
    if (request->method.size == 0 || request->timeout_ms == 0 || request->body_size_max == 0) abort();
    for (size_t i = 0; i < request->url.size; i++) {
        if ((unsigned char)request->url.data[i] <= ' ' || request->url.data[i] == 0x7F) abort();
    }
    for (size_t i = 0; i < request->header_count; i++) {
        struct str name = request->headers[i].name, value = request->headers[i].value;
        for (size_t k = 0; k < name.size; k++) {
            if ((unsigned char)name.data[k] <= ' ' || name.data[k] == ':') abort();
        }
        for (size_t k = 0; k < value.size; k++) {
            if (value.data[k] == '\r' || value.data[k] == '\n' || value.data[k] == 0) abort();
        }
    }
    if (request->url.size > 100000) return error_set(error, STATUS_UNAVAILABLE, "no connection");
    *ret_response = (struct workflow_response){.status = 200, .headers = headers, .header_count = 2};
    ret_response->body = arena_str(arena, parts->text[2]);
    return ret_response->body.data ? STATUS_OK : error_set(error, STATUS_LIMIT, "no memory");
}

static uint64_t stopped_clock(void *ctx)
{
    (void)ctx;
    return 0;
}

static void observe(void *ctx, const struct workflow_event *event)
{
    workflow_report_event(ctx, event, true);
}

static void split(struct str input, struct parts *parts)
{
    struct str divider = STR("\n=====\n");
    size_t from = 0;
    for (int i = 0; i < PARTS; i++) {
        size_t to = i + 1 < PARTS ? str_find(input, divider, from) : SIZE_MAX;
        parts->text[i] = str_slice(input, from, to);
        if (to == SIZE_MAX) return;
        from = to + divider.size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parts parts = {0};
    struct arena *arena = arena_new((size_t)32 << 20);
    struct workflow_problems problems;
    struct workflow_document *document;
    struct workflow_result result;
    struct json inputs;
    struct error error = ERROR_INIT;
    struct buf report = BUF_INIT((size_t)4 << 20);
    static const struct workflow_auth auths[] = {{STR("basicAuth"), STR("user:secret"), STR_NULL},
                                                 {STR("key"), STR("k3yk3yk3y"), STR_NULL}};
    split(str_from(data, size), &parts);
    workflow_problems_init(&problems, arena);
    if (workflow_document_parse(arena, parts.text[0], STR("w.yml"), &problems, &error, &document) == STATUS_OK) {
        const struct workflow_options options = {
            .inputs_json = json_parse(arena, parts.text[3], NULL, NULL, &inputs) == STATUS_OK ? &inputs : NULL,
            .auths = auths,
            .auth_count = 2,
            .transport = {.ctx = &parts, .send = send_request, .now_ms = stopped_clock},
            .loader = {.ctx = &parts, .read = read_source},
            .observer = observe,
            .observer_ctx = &report,
        };
        enum status status = workflow_run(arena, document, &options, &problems, &error, &result);
        if (status == STATUS_OK && result.verdict == WORKFLOW_INVALID && problems.error_count == 0) abort();
        if (status == STATUS_OK) json_write(&report, &result.json);
    } else if (problems.error_count == 0 && error.status != STATUS_LIMIT) {
        abort(); /* refused, but nobody said why */
    }
    workflow_report_problems(&report, &problems, false);
    buf_fini(&report);
    arena_free(arena);
    return 0;
}
