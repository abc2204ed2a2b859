#include "workflow/har.h"

#include "base/civil.h"
#include "base/url.h"
#include "workflow/expression.h"

#define TEXT_SIZE_MAX ((size_t)64 << 20)

void workflow_har_init(struct workflow_har *har, struct arena *arena)
{
    *har = (struct workflow_har){.arena = arena, .entries = JSON_ARRAY_EMPTY, .current = json_null()};
}

static enum status put_str(struct arena *arena, struct json *object, const char *name, struct str text)
{
    return json_put(arena, object, str_of(name), json_string(text));
}

static enum status pair(struct arena *arena, struct json *list, struct str name, struct str value)
{
    struct json entry = JSON_OBJECT_EMPTY;
    TRY(put_str(arena, &entry, "name", name));
    TRY(put_str(arena, &entry, "value", value));
    return json_push(arena, list, entry);
}

static enum status put_headers(struct arena *arena, struct json *object, const struct json *headers,
                               struct str *ret_type)
{
    struct json list = JSON_ARRAY_EMPTY;
    *ret_type = STR("");
    for (size_t i = 0; headers && i < headers->object.count; i++) {
        const struct json_member *member = &headers->object.members[i];
        TRY(pair(arena, &list, member->key, member->value.string));
        if (str_eq_nocase(member->key, STR("Content-Type"))) *ret_type = member->value.string;
    }
    TRY(json_put(arena, object, STR("cookies"), JSON_ARRAY_EMPTY));
    return json_put(arena, object, STR("headers"), list);
}

static enum status text_of(struct arena *arena, const struct json *body, struct str *ret_text)
{
    struct buf buf = BUF_INIT(TEXT_SIZE_MAX);
    expression_text(&buf, body);
    *ret_text = buf_status(&buf) == STATUS_OK ? arena_str(arena, buf_str(&buf)) : STR_NULL;
    buf_fini(&buf);
    return ret_text->data ? STATUS_OK : STATUS_LIMIT;
}

static enum status put_query(struct arena *arena, struct json *object, struct str url)
{
    struct json list = JSON_ARRAY_EMPTY;
    struct url_params params;
    size_t question = str_find_byte(url, '?', 0);
    if (question != SIZE_MAX) {
        TRY(url_params_parse(arena, str_slice(url, question + 1, url.size), 10000, &params));
        for (size_t i = 0; i < params.count; i++) TRY(pair(arena, &list, params.items[i].name, params.items[i].value));
    }
    return json_put(arena, object, STR("queryString"), list);
}

static enum status request_of(struct arena *arena, const struct json *shown, struct json *ret_request)
{
    struct json request = JSON_OBJECT_EMPTY, post = JSON_OBJECT_EMPTY;
    const struct json *url = json_member(shown, "url"), *body = json_member(shown, "body");
    struct str type, text = STR("");
    TRY(put_str(arena, &request, "method", json_member(shown, "method")->string));
    TRY(put_str(arena, &request, "url", url->string));
    TRY(put_str(arena, &request, "httpVersion", STR("HTTP/1.1")));
    TRY(put_headers(arena, &request, json_member(shown, "headers"), &type));
    TRY(put_query(arena, &request, url->string));
    if (body) {
        TRY(text_of(arena, body, &text));
        TRY(put_str(arena, &post, "mimeType", type));
        TRY(put_str(arena, &post, "text", text));
        TRY(json_put(arena, &request, STR("postData"), post));
    }
    TRY(json_put(arena, &request, STR("headersSize"), json_int(-1)));
    TRY(json_put(arena, &request, STR("bodySize"), json_int((int64_t)text.size)));
    *ret_request = request;
    return STATUS_OK;
}

static enum status response_of(struct arena *arena, const struct json *shown, struct json *ret_response)
{
    struct json response = JSON_OBJECT_EMPTY, content = JSON_OBJECT_EMPTY;
    const struct json *status = json_member(shown, "status"), *body = json_member(shown, "body");
    struct str type, text = STR("");
    if (body) TRY(text_of(arena, body, &text));
    TRY(json_put(arena, &response, STR("status"), status ? *status : json_int(0)));
    TRY(put_str(arena, &response, "statusText", STR("")));
    TRY(put_str(arena, &response, "httpVersion", STR("HTTP/1.1")));
    TRY(put_headers(arena, &response, json_member(shown, "headers"), &type));
    TRY(json_put(arena, &content, STR("size"), json_int((int64_t)text.size)));
    TRY(put_str(arena, &content, "mimeType", type));
    TRY(put_str(arena, &content, "text", text));
    TRY(json_put(arena, &response, STR("content"), content));
    TRY(put_str(arena, &response, "redirectURL", STR("")));
    TRY(json_put(arena, &response, STR("headersSize"), json_int(-1)));
    TRY(json_put(arena, &response, STR("bodySize"), json_int(-1)));
    *ret_response = response;
    return STATUS_OK;
}

static enum status begin(struct workflow_har *har, const struct workflow_event *event, int64_t wall_ms)
{
    struct json request, entry = JSON_OBJECT_EMPTY;
    char time[19];
    TRY(request_of(har->arena, event->request, &request));
    size_t size = civil_format_datetime(wall_ms, time);
    struct str started =
        arena_printf(har->arena, "%.*s.%03dZ", (int)size, time, (int)(((wall_ms % 1000) + 1000) % 1000));
    struct str comment =
        arena_printf(har->arena, STR_FMT "/" STR_FMT, STR_ARG(event->workflow_id), STR_ARG(event->step_id));
    if (!started.data || !comment.data) return STATUS_LIMIT;
    TRY(put_str(har->arena, &entry, "startedDateTime", started));
    TRY(put_str(har->arena, &entry, "comment", comment));
    TRY(json_put(har->arena, &entry, STR("request"), request));
    har->current = entry;
    return STATUS_OK;
}

static enum status end(struct workflow_har *har, const struct json *shown, uint64_t elapsed_us)
{
    struct json response, timings = JSON_OBJECT_EMPTY, ms = json_number((double)elapsed_us / 1000);
    if (har->current.type != JSON_OBJECT) return STATUS_OK;
    TRY(response_of(har->arena, shown, &response));
    TRY(json_put(har->arena, &timings, STR("send"), json_int(0)));
    TRY(json_put(har->arena, &timings, STR("wait"), ms));
    TRY(json_put(har->arena, &timings, STR("receive"), json_int(0)));
    TRY(json_put(har->arena, &har->current, STR("time"), ms));
    TRY(json_put(har->arena, &har->current, STR("response"), response));
    TRY(json_put(har->arena, &har->current, STR("cache"), JSON_OBJECT_EMPTY));
    TRY(json_put(har->arena, &har->current, STR("timings"), timings));
    TRY(json_push(har->arena, &har->entries, har->current));
    har->current = json_null();
    return STATUS_OK;
}

void workflow_har_event(struct workflow_har *har, const struct workflow_event *event, int64_t wall_ms)
{
    if (har->status != STATUS_OK) return;
    if (event->kind == WORKFLOW_EVENT_REQUEST && event->request)
        har->status = begin(har, event, wall_ms);
    else if (event->kind == WORKFLOW_EVENT_RESPONSE && event->response)
        har->status = end(har, event->response, event->elapsed_us);
    else if (event->kind == WORKFLOW_EVENT_STEP_FINISHED)
        har->status = end(har, NULL, 0); /* no answer came */
}

enum status workflow_har_finish(struct workflow_har *har, const char *version, struct json *ret_json)
{
    struct json log = JSON_OBJECT_EMPTY, creator = JSON_OBJECT_EMPTY, root = JSON_OBJECT_EMPTY;
    TRY(har->status);
    TRY(put_str(har->arena, &creator, "name", STR("cairn workflow")));
    TRY(put_str(har->arena, &creator, "version", str_of(version)));
    TRY(put_str(har->arena, &log, "version", STR("1.2")));
    TRY(json_put(har->arena, &log, STR("creator"), creator));
    TRY(json_put(har->arena, &log, STR("entries"), har->entries));
    TRY(json_put(har->arena, &root, STR("log"), log));
    *ret_json = root;
    return STATUS_OK;
}
