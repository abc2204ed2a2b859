#pragma once
/*
 * For the tests of handlers: a server, a store and a control plane made of a few variables, so that a test sees
 * every byte that a handler answers and stores, decides when and whether a record reaches the disk, and depends on
 * no thread. These definitions take the place of the real functions in the one test that includes this file.
 */
#include "api/api.h"
#include "http/request.h"
#include "meta/meta.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { RECORDS_MAX = 8 };
#define UNUSED __attribute__((unused)) /* by some of the tests */

static struct {
    struct http_request request;
    struct http_field fields[4];
    /* the answer */
    int answers;
    int status;
    const char *type;
    struct buf body, headers;
    void (*complete)(struct http_request *request, void *arg);
    void *complete_arg;
    /* the store */
    struct buf records[RECORDS_MAX];
    struct {
        void (*done)(void *arg, enum status status);
        void *arg;
    } waiting[RECORDS_MAX];
    size_t record_count;
    enum status refuse_with; /* not OK: store_append fails at once */
} fake;

static struct ingest_limits fake_limits; /* of all endpoints */
static struct api fake_api;

/* ---- http ---- */

struct str http_request_field(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->field_count; i++) {
        if (str_eq_nocase(request->fields[i].name, str_of(name))) return request->fields[i].value;
    }
    return STR_NULL;
}

void http_header_add(struct http_request *request, const char *name, struct str value)
{
    (void)request;
    buf_printf(&fake.headers, "%s: " STR_FMT "\n", name, STR_ARG(value));
}

void http_respond(struct http_request *request, int status, const char *content_type, struct str body)
{
    assert_ptr_equal(request, &fake.request);
    fake.answers++;
    fake.status = status;
    fake.type = content_type;
    buf_str_add(&fake.body, body);
    buf_byte(&fake.body, 0);
    buf_byte(&fake.headers, 0);
}

void http_respond_buf(struct http_request *request, int status, const char *content_type, struct buf *body)
{
    assert_false(body->failed);
    http_respond(request, status, content_type, buf_str(body));
    buf_fini(body);
}

void http_respond_error(struct http_request *request, int status, const struct error *error)
{
    http_respond(request, status, "application/json", str_of(error->primary));
}

void http_request_complete(struct http_request *request, void (*run)(struct http_request *request, void *arg),
                           void *arg)
{
    assert_ptr_equal(request, &fake.request);
    assert_null(fake.complete);
    fake.complete = run;
    fake.complete_arg = arg;
}

/* The loop's turn. */
UNUSED static void fake_loop(void)
{
    void (*run)(struct http_request *, void *) = fake.complete;
    assert_non_null(run);
    fake.complete = NULL;
    run(&fake.request, fake.complete_arg);
}

/* ---- store ---- */

void store_append(struct store *store, struct buf *record, void (*done)(void *arg, enum status status), void *arg)
{
    (void)store;
    if (fake.refuse_with != STATUS_OK) {
        buf_fini(record);
        done(arg, fake.refuse_with);
        return;
    }
    assert_in_range(fake.record_count, 0, RECORDS_MAX - 1);
    fake.records[fake.record_count] = *record;
    *record = BUF_INIT(record->size_max);
    fake.waiting[fake.record_count].done = done;
    fake.waiting[fake.record_count].arg = arg;
    fake.record_count++;
}

UNUSED static void fake_stored(size_t index, enum status status)
{
    assert_in_range(index, 0, fake.record_count - 1);
    fake.waiting[index].done(fake.waiting[index].arg, status);
}

/* ---- control plane: projects 1 and 2 (simplified), 3 (original), 4 (legacy) ---- */

struct meta_view {
    int unused;
};
static struct meta_view fake_view;
static struct meta_project fake_projects[] = {
    {.id = 1, .token = {"t", 1}, .name = {"s1", 2}, .identity = META_IDENTITY_SIMPLIFIED},
    {.id = 2, .token = {"t2", 2}, .name = {"s2", 2}, .identity = META_IDENTITY_SIMPLIFIED},
    {.id = 3, .token = {"o", 1}, .name = {"s3", 2}, .identity = META_IDENTITY_ORIGINAL},
    {.id = 4, .token = {"l", 1}, .name = {"s4", 2}, .identity = META_IDENTITY_LEGACY},
};

struct meta_view *api_meta_view(struct api *api, unsigned loop_index)
{
    assert_ptr_equal(api, &fake_api);
    assert_int_equal(loop_index, fake.request.loop_index);
    return &fake_view;
}

const struct meta_project *meta_view_project_by_token(const struct meta_view *view, struct str token)
{
    assert_ptr_equal(view, &fake_view);
    for (size_t i = 0; i < sizeof fake_projects / sizeof fake_projects[0]; i++) {
        if (str_eq(fake_projects[i].token, token)) return &fake_projects[i];
    }
    return NULL;
}

/* `content_type` NULL: the field is not there. */
static void fake_request(enum http_method method, const char *query, const char *content_type, struct str body)
{
    assert_null(fake.request.arena);
    fake.request.method = method;
    fake.request.query = str_of(query);
    fake.request.body = body;
    fake.request.fields = fake.fields;
    fake.request.loop_index = 3;
    fake.request.context = &fake_api;
    fake.request.arena = arena_new((size_t)64 << 20);
    fake.body = BUF_INIT((size_t)1 << 16);
    fake.headers = BUF_INIT((size_t)1 << 16);
    fake.fields[0] = (struct http_field){STR("Content-Type"), str_of(content_type)};
    fake.request.field_count = content_type != NULL;
}

UNUSED static void fake_field(const char *name, const char *value)
{
    assert_in_range(fake.request.field_count, 0, 3);
    fake.fields[fake.request.field_count++] = (struct http_field){str_of(name), str_of(value)};
}

static void fake_request_fini(void)
{
    for (size_t i = 0; i < fake.record_count; i++) buf_fini(&fake.records[i]);
    buf_fini(&fake.body);
    buf_fini(&fake.headers);
    arena_free(fake.request.arena);
    memset(&fake, 0, sizeof fake);
}

static int fake_setup(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake_limits = INGEST_LIMITS_DEFAULT;
    fake_api = (struct api){.limits = &fake_limits, .import_limits = &fake_limits};
    return 0;
}

static int fake_teardown(void **state)
{
    (void)state;
    fake_request_fini();
    return 0;
}

static void fake_answered(int status, const char *type, const char *body)
{
    assert_int_equal(fake.answers, 1);
    if (strcmp(fake.body.data, body) != 0) fail_msg("answer %d %s\n     not %s", fake.status, fake.body.data, body);
    assert_int_equal(fake.status, status);
    if (type) assert_string_equal(fake.type, type);
}

static bool fake_has_header(const char *line)
{
    return strstr(fake.headers.data, line) != NULL;
}
