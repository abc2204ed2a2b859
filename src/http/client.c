#include "http/client.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "os/clock.h"

enum {
    TIMEOUT_MS_DEFAULT = 30 * 1000,
    RESPONSE_BYTES_DEFAULT = 64 << 20,
    FIELDS_MAX = 256,
    FIELD_BYTES_MAX = 128 << 10,
};

struct http_client {
    CURL *curl;
    const char *ca_file; /* NULL: the system's list */
    char curl_text[CURL_ERROR_SIZE];
};

/* One hop: a request to one URL. */
struct hop {
    const char *method, *url;
    struct str body;  /* data NULL: none, and no Content-Length */
    bool same_origin; /* as the caller's URL: secrets may go there */
};

/* What the callbacks of libcurl fill. */
struct answer {
    struct arena *arena;
    struct buf body;
    struct http_client_field *fields;
    size_t field_count, field_bytes;
    bool too_large, no_memory;
    CURL *curl;
    const struct http_client_request *request;
    struct error *error;
    enum status piece_status; /* of request->body_piece */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static bool curl_ready;

static void curl_start(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

struct http_client *http_client_new(void)
{
    pthread_once(&curl_once, curl_start);
    if (!curl_ready) return NULL;
    struct http_client *client = calloc(1, sizeof *client);
    if (client) client->curl = curl_easy_init();
    if (client && client->curl) return client;
    free(client);
    return NULL;
}

void http_client_free(struct http_client *client)
{
    if (!client) return;
    curl_easy_cleanup(client->curl);
    free(client);
}

void http_client_trust(struct http_client *client, const char *ca_file)
{
    client->ca_file = ca_file;
}

struct str http_client_response_field(const struct http_client_response *response, const char *name)
{
    for (size_t i = 0; i < response->field_count; i++) {
        if (str_eq_nocase(response->fields[i].name, str_of(name))) return response->fields[i].value;
    }
    return STR_NULL;
}

/* ---- URLs ---- */

struct origin {
    char *scheme, *host, *port;
};

static void origin_fini(struct origin *origin)
{
    curl_free(origin->scheme);
    curl_free(origin->host);
    curl_free(origin->port);
}

/* Also says whether the text is a URL that this client may fetch at all. */
static bool origin_of(const char *text, struct origin *ret_origin)
{
    struct origin origin = {0};
    CURLU *url = curl_url();
    bool ok = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_SCHEME, &origin.scheme, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_HOST, &origin.host, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_PORT, &origin.port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
              (str_is(str_of(origin.scheme), "http") || str_is(str_of(origin.scheme), "https"));
    curl_url_cleanup(url);
    if (ok)
        *ret_origin = origin;
    else
        origin_fini(&origin);
    return ok;
}

static bool origin_same(const struct origin *a, const struct origin *b)
{
    return str_eq(str_of(a->scheme), str_of(b->scheme)) && str_eq_nocase(str_of(a->host), str_of(b->host)) &&
           str_eq(str_of(a->port), str_of(b->port));
}

/* For messages: without user, password and query, which may hold secrets. */
static void url_show(const char *text, char *shown, size_t size)
{
    struct origin origin;
    if (!origin_of(text, &origin)) {
        snprintf(shown, size, "%s", "(malformed URL)");
        return;
    }
    char *path = NULL;
    CURLU *url = curl_url();
    if (url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK) curl_url_get(url, CURLUPART_PATH, &path, 0);
    snprintf(shown, size, "%s://%s:%s%s", origin.scheme, origin.host, origin.port, path ? path : "");
    curl_free(path);
    curl_url_cleanup(url);
    origin_fini(&origin);
}

/* ---- one hop ---- */

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct answer *answer = arg;
    const struct http_client_request *request = answer->request;
    long status = 0;
    if (request->body_piece) curl_easy_getinfo(answer->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200) {
        answer->piece_status = request->body_piece(request->body_ctx, str_from(data, size * count), answer->error);
        return answer->piece_status == STATUS_OK ? size * count : 0;
    }
    buf_add(&answer->body, data, size * count);
    if (!answer->body.failed) return size * count;
    answer->too_large = true;
    return 0;
}

static size_t on_field(char *data, size_t size, size_t count, void *arg)
{
    struct answer *answer = arg;
    struct str line = str_from(data, size * count);
    if (str_starts(line, STR("HTTP/"))) {
        /* A new answer begins: what came before was a 100 or the like. */
        answer->field_count = answer->field_bytes = 0;
        return line.size;
    }
    size_t colon = str_find_byte(line, ':', 0);
    if (colon == SIZE_MAX) return line.size;
    answer->field_bytes += line.size;
    if (answer->field_count == FIELDS_MAX || answer->field_bytes > FIELD_BYTES_MAX) {
        answer->too_large = true;
        return 0;
    }
    struct http_client_field *field = &answer->fields[answer->field_count++];
    field->name = arena_str(answer->arena, str_slice(line, 0, colon));
    field->value = arena_str(answer->arena, str_trim(str_slice(line, colon + 1, line.size)));
    if (field->name.data && field->value.data) return line.size;
    answer->no_memory = true;
    return 0;
}

static bool field_secret(const struct http_client_field *field)
{
    return field->secret || str_eq_nocase(field->name, STR("authorization")) ||
           str_eq_nocase(field->name, STR("proxy-authorization")) || str_eq_nocase(field->name, STR("cookie"));
}

static bool text_sendable(struct str text, bool token)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < 0x20 && (token || c != '\t')) || c == 0x7F || (token && (c <= ' ' || c == ':' || c >= 0x80)))
            return false;
    }
    return text.size > 0 || !token;
}

static enum status field_list(const struct http_client_request *request, const struct hop *hop, struct arena *arena,
                              struct error *error, struct curl_slist **list)
{
    bool has_type = false;
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_client_field *field = &request->fields[i];
        if (!text_sendable(field->name, true) || !text_sendable(field->value, false)) {
            return error_set(error, STATUS_INVALID, "header field \"" STR_FMT "\" has bytes that cannot be sent",
                             STR_ARG(field->name));
        }
        bool type = str_eq_nocase(field->name, STR("content-type"));
        if (type && request->body.data && !hop->body.data) continue; /* a redirect took the body away */
        if (type) has_type = true;
        if (field_secret(field) && !hop->same_origin) continue;
        /* libcurl sends a field with an empty value only when it is written with a semicolon. */
        size_t size = field->name.size + field->value.size + 3;
        char *line = arena_alloc(arena, size);
        if (!line) return error_set(error, STATUS_LIMIT, "header fields do not fit the memory budget");
        snprintf(line, size, field->value.size ? "%.*s: %.*s" : "%.*s;%.*s", (int)field->name.size, field->name.data,
                 (int)field->value.size, field->value.data ? field->value.data : "");
        struct curl_slist *longer = curl_slist_append(*list, line);
        if (!longer) return error_set(error, STATUS_LIMIT, "out of memory");
        *list = longer;
    }
    /* A type that nobody has asked for, and a pause for "100 Continue", are libcurl's habits for bodies. */
    const char *const quiet[] = {"Expect:", has_type || !hop->body.data ? NULL : "Content-Type:"};
    for (size_t i = 0; i < 2 && quiet[i]; i++) {
        struct curl_slist *longer = curl_slist_append(*list, quiet[i]);
        if (!longer) return error_set(error, STATUS_LIMIT, "out of memory");
        *list = longer;
    }
    return STATUS_OK;
}

static enum status curl_failed(const struct http_client *client, CURLcode code, const struct answer *answer,
                               const char *url, uint64_t timeout_ms, struct error *error)
{
    char shown[256];
    enum status status = STATUS_UNAVAILABLE;
    url_show(url, shown, sizeof shown);
    if (answer->too_large) {
        return error_set(error, STATUS_LIMIT, "the answer of %s exceeds max limit of %zu bytes", shown,
                         answer->body.size_max);
    }
    if (answer->no_memory)
        return error_set(error, STATUS_LIMIT, "the answer of %s does not fit the memory budget", shown);
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT:
        status = error_set(error, STATUS_CANCELLED, "timeout: no answer of %s within %llu ms", shown,
                           (unsigned long long)timeout_ms);
        break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        status = error_set(error, STATUS_UNAVAILABLE, "TLS error: no secure connection to %s", shown);
        break;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        status = error_set(error, STATUS_INVALID, "URL %s cannot be fetched", shown);
        break;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT: status = error_set(error, STATUS_UNAVAILABLE, "unreachable: %s", shown); break;
    default: status = error_set(error, STATUS_UNAVAILABLE, "the exchange with %s was broken off", shown); break;
    }
    error_detail(error, "%s", client->curl_text[0] ? client->curl_text : curl_easy_strerror(code));
    return status;
}

/* With CURLOPT_NOSIGNAL libcurl leaves SIGPIPE, which OpenSSL's writes can raise, to us. */
static CURLcode perform(CURL *curl)
{
    sigset_t pipe, pending, before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    CURLcode code = curl_easy_perform(curl);
    sigpending(&pending);
    if (!was_pending && sigismember(&pending, SIGPIPE) == 1) {
        const struct timespec now = {0};
        sigtimedwait(&pipe, NULL, &now);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static enum status hop_send(struct http_client *client, const struct hop *hop,
                            const struct http_client_request *request, uint64_t timeout_ms, struct answer *answer,
                            struct error *error)
{
    CURL *curl = client->curl;
    struct curl_slist *list = NULL;
    enum status status = field_list(request, hop, answer->arena, error, &list);
    if (status != STATUS_OK) {
        curl_slist_free_all(list);
        return status;
    }
    /* Keeps the connections, forgets the options. */
    curl_easy_reset(curl);
    client->curl_text[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->curl_text);
    curl_easy_setopt(curl, CURLOPT_URL, hop->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (client->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (request->body_piece) {
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)(timeout_ms / 1000 + 1));
    } else {
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    }
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "gzip");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "cairn");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
    if (hop->body.data) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)hop->body.size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, hop->body.data);
    }
    if (strcmp(hop->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, hop->method);
    CURLcode code = perform(curl);
    if (answer->piece_status != STATUS_OK)
        status = answer->piece_status;
    else if (code != CURLE_OK)
        status = curl_failed(client, code, answer, hop->url, request->timeout_ms, error);
    curl_slist_free_all(list);
    return status;
}

/* ---- redirects ---- */

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* RFC 9110 15.4: 303 asks for a GET; 301 and 302 do for a POST, as browsers have made it the custom. */
static void hop_redirect(struct hop *hop, long status, const char *url)
{
    bool post = strcmp(hop->method, "POST") == 0, head = strcmp(hop->method, "HEAD") == 0;
    if ((status == 303 && !head) || ((status == 301 || status == 302) && post)) {
        hop->method = "GET";
        hop->body = STR_NULL;
    }
    hop->url = url;
}

static enum status hops(struct http_client *client, const struct http_client_request *request, struct hop *hop,
                        const struct origin *first, struct answer *answer, struct error *error, long *ret_status)
{
    uint64_t deadline_ms = (uint64_t)os_monotonic_ns() / 1000000 + request->timeout_ms;
    for (unsigned redirects = 0;; redirects++) {
        uint64_t now_ms = (uint64_t)os_monotonic_ns() / 1000000;
        /* 0 would mean "for ever" to libcurl. */
        TRY(hop_send(client, hop, request, now_ms < deadline_ms ? deadline_ms - now_ms : 1, answer, error));
        long status = 0;
        char *location = NULL;
        curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(client->curl, CURLINFO_REDIRECT_URL, &location);
        if (!is_redirect(status) || !location || request->redirects_max == 0) {
            *ret_status = status;
            return STATUS_OK;
        }
        if (redirects == request->redirects_max) {
            return error_set(error, STATUS_LIMIT, "more than %u redirects", request->redirects_max);
        }
        const char *url = arena_cstr(answer->arena, str_of(location));
        struct origin origin;
        if (!url) return error_set(error, STATUS_LIMIT, "a redirect does not fit the memory budget");
        if (!origin_of(url, &origin)) {
            return error_set(error, STATUS_UNAVAILABLE, "redirected to what is not an http or https URL");
        }
        /* Once away from the first origin, secrets stay away also when a later hop leads back. */
        hop->same_origin = hop->same_origin && origin_same(first, &origin);
        origin_fini(&origin);
        hop_redirect(hop, status, url);
        buf_reset(&answer->body);
        answer->field_count = answer->field_bytes = 0;
    }
}

enum status http_client_send(struct http_client *client, const struct http_client_request *caller_request,
                             struct arena *arena, struct error *error, struct http_client_response *ret_response)
{
    struct http_client_request request = *caller_request;
    if (request.timeout_ms == 0) request.timeout_ms = TIMEOUT_MS_DEFAULT;
    if (request.timeout_ms > INT32_MAX) request.timeout_ms = INT32_MAX;
    if (request.response_bytes_max == 0) request.response_bytes_max = RESPONSE_BYTES_DEFAULT;
    if (request.method.size && !text_sendable(request.method, true)) {
        return error_set(error, STATUS_INVALID, "method \"" STR_FMT "\" cannot be sent", STR_ARG(request.method));
    }
    struct hop hop = {
        .method = request.method.size ? arena_cstr(arena, request.method) : "GET",
        .url = arena_cstr(arena, request.url),
        .body = request.body,
        .same_origin = true,
    };
    /* A method that means something by its body says "Content-Length: 0" when there is none (RFC 9110 8.6).
     */
    if (!hop.body.data && hop.method &&
        (str_is(str_of(hop.method), "POST") || str_is(str_of(hop.method), "PUT") ||
         str_is(str_of(hop.method), "PATCH"))) {
        hop.body = STR("");
    }
    struct answer answer = {
        .arena = arena,
        .body = BUF_INIT(request.response_bytes_max),
        .fields = arena_new_array(arena, struct http_client_field, FIELDS_MAX),
        .curl = client->curl,
        .request = &request,
        .error = error,
    };
    struct origin first;
    if (!hop.method || !hop.url || !answer.fields) {
        return error_set(error, STATUS_LIMIT, "the request does not fit the memory budget");
    }
    if (strlen(hop.url) != request.url.size || !origin_of(hop.url, &first)) {
        (void)error_set(error, STATUS_INVALID, "not an http or https URL");
        error_hint(error, "write http://HOST:PORT/PATH");
        return STATUS_INVALID;
    }
    int64_t begun_ns = os_monotonic_ns();
    long code = 0;
    enum status status = hops(client, &request, &hop, &first, &answer, error, &code);
    struct http_client_response response = {
        .status = (int)code,
        .body = arena_str(arena, buf_str(&answer.body)),
        .fields = answer.fields,
        .field_count = answer.field_count,
        .url = str_of(hop.url),
        .duration_us = (uint64_t)(os_monotonic_ns() - begun_ns) / 1000,
    };
    if (status == STATUS_OK && !response.body.data) {
        status = error_set(error, STATUS_LIMIT, "the answer does not fit the memory budget");
    }
    if (status == STATUS_OK) *ret_response = response;
    buf_fini(&answer.body);
    origin_fini(&first);
    return status;
}
