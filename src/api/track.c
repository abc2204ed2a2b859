#include "api/track.h"

#include "api/api.h"
#include "api/response.h"
#include "api/token.h"
#include "ingest/ingest.h"
#include "os/clock.h"
#include "store/store.h"

#include <stdatomic.h>

/* A request whose log records are on their way to the disk. In the request's arena. */
struct track {
    struct http_request *request;
    struct response_mode mode;
    struct str reason; /* NULL data: every record of the request is good */
    bool unauthorized;
    atomic_uint pending; /* log records that are not on disk yet */
    atomic_int status;   /* of one that failed */
};

static void answer(struct http_request *request, void *arg)
{
    struct track *track = arg;
    enum status status = (enum status)atomic_load(&track->status);
    if (status == STATUS_OK && !track->unauthorized) {
        response_send(request, &track->mode, track->reason);
        return;
    }
    response_not_stored(request, status, "events");
}

/* On the log's thread, or in store_append: the last record to arrive sends the answer on its way. */
static void stored(void *arg, enum status status)
{
    struct track *track = arg;
    if (status != STATUS_OK) atomic_store(&track->status, (int)status);
    if (atomic_fetch_sub(&track->pending, 1) == 1) http_request_complete(track->request, answer, track);
}

/* The records of the request, checked and packed. OK: `outcome` is to be stored. */
static enum status take(struct http_request *request, const struct decode_form *form, struct error *error,
                        struct ingest_outcome *outcome)
{
    struct api *api = request->context;
    struct enrichment enrichment;
    TRY(visitor_enrichment(request, form, false, &enrichment));
    if (enrichment.drop) return STATUS_OK; /* a bot's: success, and nothing is stored */
    struct ingest_request ingest = {.token = decode_param(form, "token"),
                                    .received_ms = os_now_ms(),
                                    .enrichment = &enrichment,
                                    .project_of = api_token_project,
                                    .context = api_meta_view(api, request->loop_index)};
    return ingest_take(request->arena, api->limits, form, &ingest, error, outcome);
}

void api_track(struct http_request *request)
{
    struct api *api = request->context;
    struct decode_input input = {
        .query = request->query, .content_type = http_request_field(request, "content-type"), .body = request->body};
    struct decode_form form;
    struct error error = ERROR_INIT;
    struct ingest_outcome outcome = {0};
    enum status status = decode_form(request->arena, &input, api->limits, &error, &form);
    struct response_mode mode = response_mode_of(&form);
    if (request->method == HTTP_METHOD_HEAD) {
        /* Whoever asks with HEAD wants to know whether the address works, not to send an event. */
        response_send(request, &mode, STR_NULL);
        return;
    }
    if (status == STATUS_OK) status = take(request, &form, &error, &outcome);
    if (status == STATUS_INVALID) {
        struct str reason = arena_str(request->arena, str_of(error.primary));
        response_send(request, &mode, reason.data ? reason : STR("data, malformed"));
        return;
    }
    struct track *track = arena_new_array(request->arena, struct track, 1);
    if (status == STATUS_OK && !track) {
        ingest_outcome_fini(&outcome);
        status = error_set(&error, STATUS_LIMIT, "request needs too much memory");
    }
    if (status != STATUS_OK) {
        response_failure(request, &error);
        return;
    }
    api_token_unknown(outcome.unknown);
    track->request = request;
    track->mode = mode;
    track->reason = outcome.reason;
    track->unauthorized = outcome.unauthorized;
    atomic_init(&track->status, STATUS_OK);
    atomic_init(&track->pending, (unsigned)outcome.output_count);
    if (outcome.output_count == 0) {
        answer(request, track);
        return;
    }
    /* After the last of these the request may be answered at any moment: nothing of it is touched any more. */
    size_t count = outcome.output_count;
    struct ingest_output *outputs = outcome.outputs;
    for (size_t i = 0; i < count; i++) {
        struct buf record = outputs[i].record;
        store_append(api->store, &record, stored, track);
    }
}
