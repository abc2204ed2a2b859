#include "api/engage.h"

#include "api/api.h"
#include "api/response.h"
#include "api/token.h"
#include "base/json.h"
#include "ingest/profile.h"
#include "os/clock.h"
#include "store/store.h"

#include <stdatomic.h>

#define STRICT_BYTES_MAX ((size_t)16 << 20)

/* A request whose log records are on their way to the disk. In the request's arena. */
struct engage {
    struct http_request *request;
    struct response_mode mode;
    bool strict;
    struct profile_batch batch; /* without the records */
    atomic_int status;
};

static bool is_on(struct str value)
{
    return value.size > 0 && !str_is(value, "0");
}

static void send_strict(struct http_request *request, const struct response_mode *mode,
                        const struct profile_batch *batch, struct str error)
{
    struct buf body = BUF_INIT(STRICT_BYTES_MAX);
    int code = error.data ? 400 : 200;
    if (mode->callback.data) buf_printf(&body, STR_FMT "(", STR_ARG(mode->callback));
    buf_printf(&body, "{\"code\":%d,\"error\":", code);
    if (error.data)
        json_write_str(&body, error);
    else
        buf_lit(&body, "null");
    for (size_t i = 0; i < batch->refusal_count; i++) {
        const struct profile_refusal *refusal = &batch->refusals[i];
        buf_printf(&body, "%s{\"index\":%zu,\"field\":", i ? "," : ",\"failed_records\":[", refusal->index);
        json_write_str(&body, refusal->field);
        buf_lit(&body, ",\"message\":");
        json_write_str(&body, refusal->message);
        buf_lit(&body, "}");
    }
    if (batch->refusal_count) buf_lit(&body, "]");
    size_t good = batch->stored + batch->unknown;
    buf_printf(&body, ",\"num_good_events\":%zu,\"num_records_imported\":%zu,\"status\":%d}%s", good, good,
               error.data ? 0 : 1, mode->callback.data ? ")" : "");
    if (buf_status(&body) != STATUS_OK) {
        struct error too_long = ERROR_INIT;
        buf_fini(&body);
        error_set(&too_long, STATUS_LIMIT, "the answer is too long");
        response_failure(request, &too_long);
        return;
    }
    response_allow_origin(request);
    if (request->method != HTTP_METHOD_POST) http_header_add(request, "Cache-Control", STR("no-store"));
    http_header_add(request, "X-Content-Type-Options", STR("nosniff"));
    http_respond_buf(request, code, mode->callback.data ? "text/javascript" : "application/json", &body);
}

static void send_answer(const struct engage *engage)
{
    const struct profile_batch *batch = &engage->batch;
    if (engage->strict && !engage->mode.image)
        send_strict(engage->request, &engage->mode, batch,
                    batch->refusal_count ? STR("some data points in the request failed validation") : STR_NULL);
    else
        response_send(engage->request, &engage->mode, batch->refusal_count ? batch->refusals[0].message : STR_NULL);
}

static void answer(struct http_request *request, void *arg)
{
    struct engage *engage = arg;
    enum status status = (enum status)atomic_load(&engage->status);
    struct error error = ERROR_INIT;
    if (status == STATUS_OK && !engage->batch.unauthorized) {
        send_answer(engage);
        return;
    }
    if (status == STATUS_OK)
        error_set(&error, STATUS_DENIED, "unknown project token");
    else if (status == STATUS_LIMIT)
        error_set(&error, STATUS_LIMIT, "request needs too much memory");
    else
        error_set(&error, STATUS_UNAVAILABLE, "profiles cannot be stored at the moment");
    response_failure(request, &error);
}

/* On the log's thread, or in store_append. */
static void stored(void *arg, enum status status)
{
    struct engage *engage = arg;
    atomic_store(&engage->status, (int)status);
    http_request_complete(engage->request, answer, engage);
}

/* A request that cannot be read at all is answered like one bad message. */
static void refuse(struct http_request *request, const struct response_mode *mode, bool strict, const char *why)
{
    struct str reason = arena_str(request->arena, str_of(why));
    if (!reason.data) reason = STR("data, malformed");
    if (strict && !mode->image)
        send_strict(request, mode, &(struct profile_batch){0}, reason);
    else
        response_send(request, mode, reason);
}

static void take(struct http_request *request, enum profile_kind kind)
{
    struct api *api = request->context;
    struct decode_input input = {
        .query = request->query, .content_type = http_request_field(request, "content-type"), .body = request->body};
    struct decode_form form;
    struct error error = ERROR_INIT;
    struct profile_batch batch = {0};
    enum status status = decode_form(request->arena, &input, api->limits, &error, &form);
    struct response_mode mode = response_mode_of(&form);
    bool strict = is_on(decode_param(&form, "strict"));
    if (request->method == HTTP_METHOD_HEAD) {
        response_send(request, &mode, STR_NULL);
        return;
    }
    struct profile_request messages = {.kind = kind,
                                       .token = decode_param(&form, "token"),
                                       .received_ms = os_now_ms(),
                                       .geo = api->enrichment.geo,
                                       .address = visitor_wanted_address(request, &form, true),
                                       .project_of = api_token_project,
                                       .context = api_meta_view(api, request->loop_index)};
    if (status == STATUS_OK) status = profile_take(request->arena, api->limits, &form, &messages, &error, &batch);
    if (status == STATUS_INVALID) {
        refuse(request, &mode, strict, error.primary);
        return;
    }
    struct engage *engage = arena_new_array(request->arena, struct engage, 1);
    if (status == STATUS_OK && !engage) {
        buf_fini(&batch.records);
        status = error_set(&error, STATUS_LIMIT, "request needs too much memory");
    }
    if (status != STATUS_OK) {
        response_failure(request, &error);
        return;
    }
    api_token_unknown(batch.unknown);
    struct buf records = batch.records;
    batch.records = BUF_INIT(0);
    engage->request = request;
    engage->mode = mode;
    engage->strict = strict;
    engage->batch = batch;
    atomic_init(&engage->status, STATUS_OK);
    if (records.size == 0) {
        buf_fini(&records);
        answer(request, engage);
        return;
    }
    /* From here on the request may be answered at any moment: nothing of it is touched any more. */
    store_append(api->store, &records, stored, engage);
}

void api_engage(struct http_request *request)
{
    take(request, PROFILE_USERS);
}

void api_groups(struct http_request *request)
{
    take(request, PROFILE_GROUPS);
}
