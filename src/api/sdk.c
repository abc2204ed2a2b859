#include "api/sdk.h"

#include "api/api.h"
#include "api/caller.h"
#include "api/response.h"
#include "base/json.h"

static void respond(struct http_request *request, int code, struct str body)
{
    response_allow_origin(request);
    http_header_add(request, "Cache-Control", STR("no-store")); /* for an SDK asks to hear of a change */
    http_header_add(request, "X-Content-Type-Options", STR("nosniff"));
    http_respond(request, code, "application/json", body);
}

static void ask(struct http_request *request, void (*found)(struct caller *caller))
{
    struct caller *caller = arena_new_array(request->arena, struct caller, 1);
    struct error error = ERROR_INIT;
    if (!caller) {
        (void)error_set(&error, STATUS_LIMIT, "request needs too much memory");
        response_failure(request, &error);
        return;
    }
    *caller = (struct caller){.request = request, .permission = META_PERMISSION_READ, .found = found};
    caller_find(caller);
}

void api_decide(struct http_request *request)
{
    respond(request, 200, STR("{\"notifications\":[],\"config\":{}}"));
}

/* ---- settings ---- */

/* The browser's SDK complains in the console of a page about a `config` that says nothing; the others read one that is
 * always there. */
static void write_sdk_config(const struct caller *caller, int64_t percent, struct buf *body)
{
    if (percent >= 0)
        buf_printf(body, "{\"config\":{\"record_sessions_percent\":%lld}}", (long long)percent);
    else if (str_is(caller_param(caller, "mp_lib"), "web"))
        buf_lit(body, "{}");
    else
        buf_lit(body, "{\"config\":{}}");
}

static void settings_found(struct caller *caller)
{
    const struct api *api = caller->request->context;
    if (caller->status != STATUS_OK) {
        caller_refuse(caller, response_code(caller->status), &caller->error);
        return;
    }
    struct buf body = BUF_INIT(1024);
    buf_printf(&body, "{\"recording\":{\"is_enabled\":%s},\"sdk_config\":", api->recording.enabled ? "true" : "false");
    write_sdk_config(caller, api->recording.enabled ? api->recording.sessions_percent : 0, &body);
    buf_lit(&body, "}");
    respond(caller->request, 200, buf_str(&body));
    buf_fini(&body);
}

void api_settings(struct http_request *request)
{
    ask(request, settings_found);
}

/* ---- flags ---- */

/* True: answered, with the error's shape of these endpoints. */
static bool refused(struct caller *caller)
{
    if (caller->status == STATUS_OK) return false;
    struct http_request *request = caller->request;
    int code = response_code(caller->status);
    struct buf body = BUF_INIT(8192);
    buf_lit(&body, "{\"status\":\"error\",\"error\":");
    json_write_str(&body, str_of(caller->error.primary));
    buf_lit(&body, "}");
    if (code == 401) http_header_add(request, "WWW-Authenticate", STR("Basic realm=\"cairn\""));
    if (code == 503) http_header_add(request, "Retry-After", STR(RESPONSE_RETRY_AFTER_S));
    respond(request, code, buf_str(&body));
    buf_fini(&body);
    return true;
}

static void flags_found(struct caller *caller)
{
    if (refused(caller)) return;
    respond(caller->request, 200, STR("{\"code\":200,\"flags\":{},\"pending_first_time_events\":[]}"));
}

static void definitions_found(struct caller *caller)
{
    if (refused(caller)) return;
    respond(caller->request, 200, STR("{\"flags\":[]}"));
}

static void first_time_event_found(struct caller *caller)
{
    if (refused(caller)) return;
    respond(caller->request, 200, STR("{\"code\":200,\"status\":\"OK\"}"));
}

void api_flags(struct http_request *request)
{
    ask(request, flags_found);
}

void api_flags_definitions(struct http_request *request)
{
    ask(request, definitions_found);
}

void api_flags_first_time_event(struct http_request *request)
{
    ask(request, first_time_event_found);
}
