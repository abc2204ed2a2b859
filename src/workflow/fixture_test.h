#pragma once
/*
 * For the tests of the runner: documents in memory, a transport that records requests and answers from a
 * script, and one call that parses, runs and keeps everything that came out.
 */
#include "base/url.h"
#include "workflow/report.h"
#include "workflow/runner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SENT_MAX 16

struct file {
    const char *location, *text;
};

struct answer {
    unsigned status; /* 0: fails with `failure` */
    const char *content_type, *body;
    enum status failure;
    const char *redirected_to; /* NULL: nowhere */
};

struct fixture {
    struct arena *arena;
    const struct file *files;     /* ends with location NULL */
    const struct answer *answers; /* in order; the last one repeats */
    size_t answer_count;
    char sent[SENT_MAX][2048]; /* "METHOD URL\nHeader: value\n...\n\nbody" */
    uint32_t timeouts_ms[SENT_MAX];
    size_t sent_count;
    uint64_t now_ms, step_ms; /* each request takes step_ms */
    struct workflow_problems problems;
    struct error error;
    struct workflow_result result;
    enum status status;
    struct buf report, problem_text;
};

static inline enum status fixture_read(void *ctx, struct str location, size_t size_max, struct arena *arena,
                                       struct error *error, struct str *ret_text)
{
    (void)size_max;
    const struct fixture *f = ctx;
    for (const struct file *file = f->files; file && file->location; file++) {
        if (!str_eq(location, str_of(file->location))) continue;
        *ret_text = arena_str(arena, str_of(file->text));
        return STATUS_OK;
    }
    return error_set(error, STATUS_NOT_FOUND, "cannot open \"" STR_FMT "\"", STR_ARG(location));
}

static inline enum status fixture_send(void *ctx, const struct workflow_request *request, struct arena *arena,
                                       struct error *error, struct workflow_response *ret_response)
{
    struct fixture *f = ctx;
    assert_true(f->sent_count < SENT_MAX);
    char *text = f->sent[f->sent_count];
    int n =
        snprintf(text, sizeof f->sent[0], STR_FMT " " STR_FMT "\n", STR_ARG(request->method), STR_ARG(request->url));
    for (size_t i = 0; i < request->header_count; i++)
        n += snprintf(text + n, sizeof f->sent[0] - (size_t)n, STR_FMT ": " STR_FMT "\n",
                      STR_ARG(request->headers[i].name), STR_ARG(request->headers[i].value));
    if (request->has_body) snprintf(text + n, sizeof f->sent[0] - (size_t)n, "\n" STR_FMT, STR_ARG(request->body));
    f->timeouts_ms[f->sent_count] = request->timeout_ms;
    size_t index = f->sent_count < f->answer_count ? f->sent_count : f->answer_count - 1;
    const struct answer *answer = &f->answers[index];
    f->sent_count++;
    f->now_ms += f->step_ms;
    if (answer->status == 0) return error_set(error, answer->failure, "cannot connect to api.test:443");
    struct workflow_header *headers = arena_new_array(arena, struct workflow_header, 2);
    headers[0] = (struct workflow_header){STR("content-type"), str_of(answer->content_type)};
    headers[1] = (struct workflow_header){STR("X-Request-Id"), STR("r-1")};
    *ret_response = (struct workflow_response){
        .status = answer->status,
        .headers = headers,
        .header_count = 2,
        .body = arena_str(arena, str_of(answer->body)),
        .url = str_of(answer->redirected_to),
        .elapsed_us = 12345,
    };
    return STATUS_OK;
}

static inline uint64_t fixture_now(void *ctx)
{
    return ((struct fixture *)ctx)->now_ms;
}

static inline void fixture_observe(void *ctx, const struct workflow_event *event)
{
    workflow_report_event(&((struct fixture *)ctx)->report, event, false);
}

static inline void fixture_init(struct fixture *f, const struct file *files, const struct answer *answers, size_t count)
{
    memset(f, 0, sizeof *f);
    f->arena = arena_new((size_t)64 << 20);
    f->files = files;
    f->answers = answers;
    f->answer_count = count;
    buf_init(&f->report, (size_t)1 << 20);
    buf_init(&f->problem_text, (size_t)1 << 20);
    workflow_problems_init(&f->problems, f->arena);
}

static inline void fixture_fini(struct fixture *f)
{
    buf_fini(&f->report);
    buf_fini(&f->problem_text);
    arena_free(f->arena);
}

/* Parses the document and runs it; `options` may be NULL. A document that does not parse gives the verdict
 * INVALID. */
static inline void fixture_run(struct fixture *f, const char *document_text, const struct workflow_options *options)
{
    struct workflow_options mine = options ? *options : (struct workflow_options){.workflow_id = STR_NULL};
    struct workflow_document *document;
    mine.transport = (struct workflow_transport){.ctx = f, .send = fixture_send, .now_ms = fixture_now};
    mine.loader = (struct workflow_loader){.ctx = f, .read = fixture_read};
    mine.observer = fixture_observe;
    mine.observer_ctx = f;
    f->result.verdict = WORKFLOW_INVALID;
    f->status = workflow_document_parse(f->arena, str_of(document_text), STR("arazzo/w.yml"), &f->problems, &f->error,
                                        &document);
    if (f->status == STATUS_OK)
        f->status = workflow_run(f->arena, document, &mine, &f->problems, &f->error, &f->result);
    workflow_report_problems(&f->problem_text, &f->problems, false);
    buf_byte(&f->problem_text, 0);
    buf_byte(&f->report, 0);
}

static inline void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("\"%s\" is not in:\n%s", part, text);
}

static inline void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part)) fail_msg("\"%s\" should not be in:\n%s", part, text);
}

/* The value at a pointer of the result, as JSON text. */
static inline void assert_result(struct fixture *f, const char *pointer, const char *json)
{
    const struct json *value = json_pointer(&f->result.json, str_of(pointer));
    struct buf text = BUF_INIT((size_t)1 << 20);
    if (value) json_write(&text, value);
    char *copy = arena_cstr(f->arena, buf_str(&text));
    buf_fini(&text);
    assert_string_equal(value ? copy : "(nothing)", json);
}
