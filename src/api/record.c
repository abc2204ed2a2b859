#include "api/record.h"

#include "api/api.h"
#include "api/caller.h"
#include "api/response.h"
#include "base/json.h"
#include "base/log.h"
#include "base/number.h"
#include "os/clock.h"
#include "replay/events.h"
#include "replay/replay.h"

/* A request on its way through the recorders. In the request's arena. */
struct recording {
    struct caller caller; /* first: found() gets it */
    struct replay_piece piece;
    enum status status;
    int code; /* of a failure */
    struct error error;
};

/* ---- the answer ---- */

static void answer(struct http_request *request, void *arg)
{
    struct recording *recording = arg;
    if (recording->status != STATUS_OK) {
        if (recording->code == 503) log_failure(LOG_ERROR, "recording_not_stored", &recording->error);
        caller_refuse(&recording->caller, recording->code, &recording->error);
        return;
    }
    response_allow_origin(request);
    http_respond(request, 200, "application/json", STR("{\"code\":200,\"status\":\"OK\"}"));
}

static void fail(struct recording *recording, enum status status, int code)
{
    recording->status = status;
    recording->code = code;
}

/* ---- the piece ---- */

static bool is_kept(struct str name)
{
    static const char *const others[] = {"token", "project_id", "replay_id", "seq", "format"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (str_eq(name, str_of(others[i]))) return false;
    }
    return true;
}

/* Never the client's address. */
static void write_about(const struct recording *recording, struct buf *buf)
{
    const struct replay_piece *piece = &recording->piece;
    const struct url_params *params = &recording->caller.params;
    buf_lit(buf, "{\"replay_id\":");
    json_write_str(buf, piece->replay_id);
    buf_printf(buf, ",\"seq\":%llu,\"received_ms\":%lld,\"properties\":{", (unsigned long long)piece->seq,
               (long long)piece->received_ms);
    bool first = true;
    for (size_t i = 0; i < params->count; i++) {
        if (!is_kept(params->items[i].name)) continue;
        if (!first) buf_byte(buf, ',');
        json_write_str(buf, params->items[i].name);
        buf_byte(buf, ':');
        json_write_str(buf, params->items[i].value);
        first = false;
    }
    buf_lit(buf, "}}");
}

static void store(struct recording *recording)
{
    const struct http_request *request = recording->caller.request;
    const struct api *api = request->context;
    struct error *error = &recording->error;
    struct buf about = BUF_INIT(REPLAY_ABOUT_BYTES_MAX);
    enum status status = replay_events_pack(request->arena, request->body, api->recording.unpacked_bytes_max, error,
                                            &recording->piece.packed);
    fail(recording, status, response_code(status));
    if (status != STATUS_OK) return;
    write_about(recording, &about);
    recording->piece.about = buf_str(&about);
    if (buf_status(&about) == STATUS_OK) {
        status = replays_put(api->recording.replays, &recording->piece, error);
        fail(recording, status, status == STATUS_LIMIT ? 429 : status == STATUS_INVALID ? 400 : 503);
    } else {
        fail(recording, error_set(error, STATUS_LIMIT, "the recording's properties are too long"), 413);
    }
    buf_fini(&about);
}

/* On a recorder's thread. */
static void work(void *arg)
{
    struct recording *recording = arg;
    store(recording);
    http_request_complete(recording->caller.request, answer, recording);
}

/* ---- the request ---- */

static enum status read_query(struct recording *recording)
{
    struct replay_piece *piece = &recording->piece;
    piece->project = recording->caller.project;
    piece->received_ms = os_now_ms();
    piece->replay_id = caller_param(&recording->caller, "replay_id");
    if (piece->replay_id.size == 0) return error_set(&recording->error, STATUS_INVALID, "replay_id, missing or empty");
    if (piece->replay_id.size > REPLAY_ID_BYTES_MAX)
        return error_set(&recording->error, STATUS_INVALID, "replay_id is longer than %u bytes", REPLAY_ID_BYTES_MAX);
    if (number_parse_unsigned(caller_param(&recording->caller, "seq"), REPLAY_SEQ_MAX, &piece->seq)) return STATUS_OK;
    return error_set(&recording->error, STATUS_INVALID, "seq must be a whole number from 0 to %llu",
                     (unsigned long long)REPLAY_SEQ_MAX);
}

static void found(struct caller *caller)
{
    struct recording *recording = (struct recording *)caller;
    struct api *api = caller->request->context;
    if (caller->status != STATUS_OK) {
        recording->error = caller->error;
        fail(recording, caller->status, response_code(caller->status));
    } else if (!api->recording.enabled) {
        fail(recording, error_set(&recording->error, STATUS_DENIED, "recording is switched off on this server"), 403);
    } else {
        fail(recording, read_query(recording), 400);
    }
    if (recording->status == STATUS_OK) {
        if (api_run_recording(api, work, recording) == STATUS_OK) return;
        fail(recording, error_set(&recording->error, STATUS_UNAVAILABLE, "too many recordings are waiting"), 503);
    }
    answer(caller->request, recording);
}

void api_record(struct http_request *request)
{
    struct recording *recording = arena_new_array(request->arena, struct recording, 1);
    struct error error = ERROR_INIT;
    if (!recording) {
        (void)error_set(&error, STATUS_LIMIT, "request needs too much memory");
        response_failure(request, &error);
        return;
    }
    *recording =
        (struct recording){.caller = {.request = request, .permission = META_PERMISSION_IMPORT, .found = found}};
    caller_find(&recording->caller);
}
