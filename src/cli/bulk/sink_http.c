/*
 * To a server: events over /import, each chunk a request of gzipped JSON lines; profiles over /engage and /groups;
 * links over /identity/create, one by one. A batch that the server cannot take now (429, 5xx, nobody there) is tried
 * again, longer and longer pauses in between, until the patience is over; since every event has an insert id, sending
 * one twice changes nothing. Requests are lenient (strict=0), as with a data directory; when such a request tells of
 * failures, which it does without saying where, the batch is sent once more strictly to hear them.
 */
#include "cli/bulk/bulk.h"

#include "base/base64.h"
#include "base/gzip.h"
#include "base/json.h"
#include "base/number.h"
#include "http/client.h"
#include "os/clock.h"

#include <stdlib.h>

enum { GZIP_LEVEL = 1, TIMEOUT_MS = 120 * 1000, PAUSE_MS_MAX = 30 * 1000, ARENA_BYTES_MAX = 256 << 20 };

struct http_sink {
    struct bulk_sink base;
    struct bulk_http options;
    char *authorization, *lenient_url, *strict_url, *users_url, *groups_url, *link_url;
};

struct http_worker {
    struct http_client *client;
    struct arena *arena;
};

static enum status worker_new(struct bulk_sink *base, struct error *error, void **ret_worker)
{
    (void)base;
    struct http_worker *worker = calloc(1, sizeof *worker);
    if (worker) {
        worker->client = http_client_new();
        worker->arena = arena_new(ARENA_BYTES_MAX);
    }
    *ret_worker = worker;
    return worker && worker->client && worker->arena ? STATUS_OK : error_set(error, STATUS_LIMIT, "out of memory");
}

static void worker_free(struct bulk_sink *base, void *own)
{
    struct http_worker *worker = own;
    (void)base;
    http_client_free(worker->client);
    arena_free(worker->arena);
    free(worker);
}

/* ---- one request ---- */

static bool comes_again(int status)
{
    return status == 408 || status == 429 || status >= 500;
}

static void pause_before(struct bulk *bulk, const struct http_client_response *response, unsigned tries)
{
    uint64_t pause_ms = UINT64_C(250) << (tries < 8 ? tries : 8), after_s;
    struct str after = response ? http_client_response_field(response, "Retry-After") : STR_NULL;
    if (after.size && number_parse_unsigned(after, PAUSE_MS_MAX / 1000, &after_s)) pause_ms = after_s * 1000;
    if (pause_ms > PAUSE_MS_MAX) pause_ms = PAUSE_MS_MAX;
    int64_t until_ns = os_monotonic_ns() + (int64_t)pause_ms * 1000000;
    while (os_monotonic_ns() < until_ns && !bulk_stopped(bulk)) os_sleep_ns(50000000);
}

/* Sends until there is an answer that says something of the batch. */
static enum status send(struct http_sink *sink, struct http_worker *worker, struct bulk *bulk, const char *url,
                        struct str packed, struct error *error, struct http_client_response *response)
{
    const char *type =
        url == sink->lenient_url || url == sink->strict_url ? "application/x-ndjson" : "application/json";
    const struct http_client_field fields[] = {
        {STR("Content-Type"), str_of(type), false},
        {STR("Content-Encoding"), STR("gzip"), false},
        {STR("Authorization"), str_of(sink->authorization), true},
    };
    const struct http_client_request request = {.method = STR("POST"),
                                                .url = str_of(url),
                                                .fields = fields,
                                                .field_count = 3,
                                                .body = packed,
                                                .timeout_ms = TIMEOUT_MS};
    int64_t until_ns = os_monotonic_ns() + (int64_t)sink->options.patience_ms * 1000000;
    for (unsigned tries = 0;; tries++) {
        *error = (struct error)ERROR_INIT;
        enum status status = http_client_send(worker->client, &request, worker->arena, error, response);
        if (status == STATUS_OK && !comes_again(response->status)) return STATUS_OK;
        if (status == STATUS_OK) {
            (void)error_set(error, STATUS_UNAVAILABLE, "%s answers with %d", sink->options.url, response->status);
        } else if (status != STATUS_UNAVAILABLE && status != STATUS_CANCELLED) {
            return status;
        }
        error_hint(error, "start the same command again when the server is there: it goes on where it stopped");
        if (bulk_stopped(bulk)) return error_set(error, STATUS_CANCELLED, "interrupted while the server was away");
        if (os_monotonic_ns() > until_ns) return error->status;
        pause_before(bulk, status == STATUS_OK ? response : NULL, tries);
    }
}

/* ---- what it says ---- */

static enum status answered_badly(const struct http_sink *sink, const struct http_client_response *response,
                                  struct error *error)
{
    (void)error_set(error, response->status == 401 || response->status == 403 ? STATUS_DENIED : STATUS_INVALID,
                    "%s does not take the events: %d " STR_FMT, sink->options.url, response->status,
                    STR_ARG(str_slice(response->body, 0, 300)));
    if (response->status == 401 || response->status == 403)
        error_hint(error, "give --credentials NAME:SECRET of a service account that may import, and --project");
    if (response->status == 413) error_hint(error, "give a smaller --batch");
    return error->status;
}

static struct str member_text(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, str_of(name));
    return value && value->type == JSON_STRING ? value->string : STR("");
}

/* The failures that a strict answer lists; how many. */
static uint32_t read_failures(struct bulk *bulk, const struct bulk_chunk *chunk, const struct json *answer)
{
    const struct json *failed = json_member(answer, "failed_records");
    uint32_t count = 0;
    if (!failed || failed->type != JSON_ARRAY) return 0;
    for (size_t i = 0; i < failed->array.count; i++) {
        const struct json *one = &failed->array.items[i], *index = json_member(one, "index");
        if (!index || index->type != JSON_INT || index->integer < 0 || index->integer >= chunk->count) continue;
        bulk_refuse(bulk, chunk, (uint32_t)index->integer, member_text(one, "field"), member_text(one, "message"));
        count++;
    }
    return count;
}

static enum status take_packed(struct http_sink *sink, struct http_worker *worker, struct bulk *bulk,
                               const struct bulk_chunk *chunk, struct str packed, struct error *error)
{
    struct http_client_response response;
    struct json answer;
    TRY(send(sink, worker, bulk, sink->lenient_url, packed, error, &response));
    if (response.status != 200 || json_parse(worker->arena, response.body, NULL, NULL, &answer) != STATUS_OK)
        return answered_badly(sink, &response, error);
    const struct json *failure = json_member(&answer, "error");
    uint32_t refused = 0;
    if (failure && failure->type == JSON_STRING) {
        TRY(send(sink, worker, bulk, sink->strict_url, packed, error, &response));
        if ((response.status != 200 && response.status != 400) ||
            json_parse(worker->arena, response.body, NULL, NULL, &answer) != STATUS_OK)
            return answered_badly(sink, &response, error);
        refused = read_failures(bulk, chunk, &answer);
    }
    bulk_finish(bulk, chunk->mark, chunk->count - refused);
    return STATUS_OK;
}

/* ---- profiles and links ---- */

static enum status pack_and_send(struct http_sink *sink, struct http_worker *worker, struct bulk *bulk, const char *url,
                                 struct buf *body, struct error *error, struct http_client_response *response)
{
    struct str packed;
    enum status status = buf_status(body);
    if (status == STATUS_OK) status = gzip_compress(worker->arena, buf_str(body), GZIP_LEVEL, &packed);
    buf_fini(body);
    if (status != STATUS_OK) return error_set(error, STATUS_LIMIT, "out of memory");
    return send(sink, worker, bulk, url, packed, error, response);
}

static enum status take_profiles(struct http_sink *sink, struct http_worker *worker, struct bulk *bulk,
                                 const struct bulk_chunk *chunk, struct error *error)
{
    struct arena *arena = worker->arena;
    uint32_t *places = arena_new_array(arena, uint32_t, chunk->count), count = 0, refused = 0;
    struct buf body = BUF_INIT((size_t)64 << 20);
    if (!places) return error_set(error, STATUS_LIMIT, "out of memory");
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct json message;
        const char *wrong = sink->options.token ? NULL : "profiles go to a server with --token, the project's";
        if (!wrong && bulk_message(arena, bulk_record(chunk, i), chunk->kind, str_of(sink->options.token), &message,
                                   &wrong) != STATUS_OK) {
            buf_fini(&body);
            return error_set(error, STATUS_LIMIT, "out of memory");
        }
        if (wrong) {
            bulk_refuse(bulk, chunk, i, STR_NULL, str_of(wrong));
            continue;
        }
        buf_byte(&body, count ? ',' : '[');
        json_write(&body, &message);
        places[count++] = i;
    }
    buf_byte(&body, ']');
    struct http_client_response response;
    struct json answer;
    if (count == 0) {
        buf_fini(&body);
        bulk_finish(bulk, chunk->mark, 0);
        return STATUS_OK;
    }
    const char *url = chunk->kind == BULK_USERS ? sink->users_url : sink->groups_url;
    TRY(pack_and_send(sink, worker, bulk, url, &body, error, &response));
    if ((response.status != 200 && response.status != 400) ||
        json_parse(arena, response.body, NULL, NULL, &answer) != STATUS_OK)
        return answered_badly(sink, &response, error);
    const struct json *failed = json_member(&answer, "failed_records");
    for (size_t i = 0; failed && failed->type == JSON_ARRAY && i < failed->array.count; i++) {
        const struct json *one = &failed->array.items[i], *index = json_member(one, "index");
        if (!index || index->type != JSON_INT || index->integer < 0 || index->integer >= count) continue;
        bulk_refuse(bulk, chunk, places[index->integer], member_text(one, "field"), member_text(one, "message"));
        refused++;
    }
    bulk_finish(bulk, chunk->mark, count - refused);
    return STATUS_OK;
}

static enum status take_links(struct http_sink *sink, struct http_worker *worker, struct bulk *bulk,
                              const struct bulk_chunk *chunk, struct error *error)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct str device, user;
        const char *wrong;
        struct http_client_response response;
        arena_reset(worker->arena);
        if (bulk_link(worker->arena, bulk_record(chunk, i), &device, &user, &wrong) != STATUS_OK)
            return error_set(error, STATUS_LIMIT, "out of memory");
        if (wrong) {
            bulk_refuse(bulk, chunk, i, STR_NULL, str_of(wrong));
            continue;
        }
        struct buf body = BUF_INIT((size_t)1 << 20);
        buf_lit(&body, "{\"$identified_id\":");
        json_write_str(&body, user);
        buf_lit(&body, ",\"$anon_id\":");
        json_write_str(&body, device);
        if (sink->options.token) {
            buf_lit(&body, ",\"$token\":");
            json_write_str(&body, str_of(sink->options.token));
        }
        buf_byte(&body, '}');
        TRY(pack_and_send(sink, worker, bulk, sink->link_url, &body, error, &response));
        if (response.status == 400)
            bulk_refuse(bulk, chunk, i, STR_NULL, str_slice(response.body, 0, 300));
        else if (response.status != 200)
            return answered_badly(sink, &response, error);
        else
            count++;
    }
    bulk_finish(bulk, chunk->mark, count);
    return STATUS_OK;
}

static enum status take(struct bulk_sink *base, void *own, struct bulk *bulk, const struct bulk_chunk *chunk,
                        struct error *error)
{
    struct http_sink *sink = (struct http_sink *)base;
    struct http_worker *worker = own;
    struct str packed;
    arena_reset(worker->arena);
    if (chunk->kind == BULK_LINKS) return take_links(sink, worker, bulk, chunk, error);
    if (chunk->kind != BULK_EVENTS) return take_profiles(sink, worker, bulk, chunk, error);
    if (gzip_compress(worker->arena, buf_str(&chunk->text), GZIP_LEVEL, &packed) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "out of memory");
    return take_packed(sink, worker, bulk, chunk, packed, error);
}

/* ---- life ---- */

static char *url_make(const struct bulk_http *options, const char *path, bool with_project)
{
    struct buf buf = BUF_INIT(4096);
    struct str url = str_of(options->url);
    while (url.size && url.data[url.size - 1] == '/') url.size--;
    buf_printf(&buf, STR_FMT "%s", STR_ARG(url), path);
    if (options->project && with_project) buf_printf(&buf, "&project_id=%lld", (long long)options->project);
    buf_byte(&buf, '\0');
    return buf_status(&buf) == STATUS_OK ? buf_detach(&buf) : NULL;
}

enum status bulk_sink_http_new(const struct bulk_http *http, struct error *error, struct bulk_sink **ret_sink)
{
    struct http_sink *sink = calloc(1, sizeof *sink);
    if (!sink) return error_set(error, STATUS_LIMIT, "out of memory");
    sink->base = (struct bulk_sink){.worker_new = worker_new, .worker_free = worker_free, .take = take};
    sink->options = *http;
    sink->lenient_url = url_make(http, "/import?verbose=1&strict=0", true);
    sink->strict_url = url_make(http, "/import?verbose=1&strict=1", true);
    sink->users_url = url_make(http, "/engage?strict=1&ip=0", false);
    sink->groups_url = url_make(http, "/groups?strict=1&ip=0", false);
    sink->link_url = url_make(http, "/identity/create?verbose=1", true);
    struct buf buf = BUF_INIT(8192), pair = BUF_INIT(4096);
    buf_printf(&pair, strchr(http->credentials, ':') ? "%s" : "%s:", http->credentials);
    buf_lit(&buf, "Basic ");
    base64_encode(&buf, buf_str(&pair));
    buf_byte(&buf, '\0');
    bool ok = buf_status(&pair) == STATUS_OK && buf_status(&buf) == STATUS_OK;
    sink->authorization = ok ? buf_detach(&buf) : NULL;
    buf_fini(&pair);
    if (!sink->lenient_url || !sink->strict_url || !sink->users_url || !sink->groups_url || !sink->link_url ||
        !sink->authorization) {
        bulk_sink_http_free(&sink->base);
        return error_set(error, STATUS_INVALID, "the address or the credentials are too long");
    }
    *ret_sink = &sink->base;
    return STATUS_OK;
}

void bulk_sink_http_free(struct bulk_sink *base)
{
    struct http_sink *sink = (struct http_sink *)base;
    if (!sink) return;
    free(sink->authorization);
    free(sink->lenient_url);
    free(sink->strict_url);
    free(sink->users_url);
    free(sink->groups_url);
    free(sink->link_url);
    free(sink);
}
