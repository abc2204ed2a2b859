#include "cli/export_url.h"

#include "base/base64.h"
#include "base/civil.h"
#include "base/json.h"
#include "cli/bulk/meter.h"
#include "cli/bulk/writer.h"
#include "http/client.h"
#include "os/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { IDLE_MS = 120 * 1000, PAUSE_MS_MAX = 30 * 1000, ARENA_BYTES = 16 << 20, BODY_BYTES_MAX = 1 << 20 };
#define ZONES_S          (14 * 3600) /* a day ends so much after UTC's at the latest */
#define TERMINATED_EARLY STR("terminated early\n")

struct exporting {
    const struct export_url *options;
    struct export_url_result *result;
    struct http_client *client;
    struct arena *arena;
    struct meter meter;
    struct buf authorization, query; /* the query without its days */
    struct writer *writer;           /* of all days; NULL: each has its own */
    bool folder;
    /* the day at hand */
    struct writer *to;
    uint64_t lines, taken; /* lines of the day; bytes of the answer */
    char tail[32];         /* its last bytes */
    size_t tail_size;
};

/* --- an answer --- */

static enum status take_piece(void *ctx, struct str piece, struct error *error)
{
    struct exporting *x = ctx;
    x->taken += piece.size;
    for (size_t i = 0; i < piece.size; i++) x->lines += piece.data[i] == '\n';
    size_t keep = piece.size < sizeof x->tail ? piece.size : sizeof x->tail;
    size_t before = x->tail_size + keep > sizeof x->tail ? sizeof x->tail - keep : x->tail_size;
    memmove(x->tail, x->tail + x->tail_size - before, before);
    memcpy(x->tail + before, piece.data + piece.size - keep, keep);
    x->tail_size = before + keep;
    buf_str_add(writer_buf(x->to), piece);
    struct bulk_result shown = {.records = x->result->events + x->lines, .bytes = x->result->bytes + x->taken};
    meter_show(&x->meter, &shown);
    return writer_flush_some(x->to, error);
}

static enum status refused(const struct exporting *x, const struct http_client_response *response, struct error *error)
{
    struct json answer;
    struct str says = str_slice(response->body, 0, 300);
    if (json_parse(x->arena, response->body, NULL, NULL, &answer) == STATUS_OK) {
        const struct json *text = json_member(&answer, "error");
        if (text && text->type == JSON_STRING) says = text->string;
    }
    bool denied = response->status == 401 || response->status == 403;
    bool busy = response->status == 408 || response->status == 429 || response->status >= 500;
    (void)error_set(error, denied ? STATUS_DENIED : busy ? STATUS_UNAVAILABLE : STATUS_INVALID,
                    "%s answers %d: " STR_FMT, x->options->url, response->status, STR_ARG(says));
    if (denied) error_hint(error, "give --credentials NAME:SECRET of a service account of the project, and --project");
    return error->status;
}

static enum status ask(struct exporting *x, int64_t day, struct error *error)
{
    char date[10];
    struct str text = str_from(date, civil_format_date(day, date));
    struct str base = str_of(x->options->url);
    while (base.size && base.data[base.size - 1] == '/') base.size--;
    arena_reset(x->arena);
    const struct http_client_field field = {STR("Authorization"), buf_str(&x->authorization), true};
    struct http_client_request request = {
        .url = arena_printf(x->arena, STR_FMT "/export?from_date=" STR_FMT "&to_date=" STR_FMT, STR_ARG(base),
                            STR_ARG(text), STR_ARG(text)),
        .fields = &field,
        .field_count = 1,
        .timeout_ms = IDLE_MS,
        .response_bytes_max = BODY_BYTES_MAX,
        .body_piece = take_piece,
        .body_ctx = x,
    };
    struct str query = buf_str(&x->query);
    char *url = arena_alloc(x->arena, request.url.size + query.size + 1);
    if (!request.url.data || !url) return error_set(error, STATUS_LIMIT, "out of memory");
    memcpy(url, request.url.data, request.url.size);
    memcpy(url + request.url.size, query.data, query.size);
    url[request.url.size + query.size] = '\0';
    request.url.data = url;
    request.url.size += query.size;
    struct http_client_response response;
    TRY(http_client_send(x->client, &request, x->arena, error, &response));
    if (response.status != 200) return refused(x, &response, error);
    if (str_ends(str_from(x->tail, x->tail_size), TERMINATED_EARLY))
        return error_set(error, STATUS_UNAVAILABLE, "%s broke off the export of " STR_FMT, x->options->url,
                         STR_ARG(text));
    return STATUS_OK;
}

/* --- days --- */

/* A folder's files can begin anew; of one file for everything only what has not begun. */
static enum status ask_patiently(struct exporting *x, int64_t day, const char *name, struct error *error)
{
    int64_t until_ns = os_monotonic_ns() + (int64_t)x->options->patience_ms * 1000000;
    for (unsigned tries = 0;; tries++) {
        x->lines = x->taken = x->tail_size = 0;
        *error = (struct error)ERROR_INIT;
        x->to = x->writer;
        if (!x->writer) TRY(writer_open(name, error, &x->to));
        enum status status = ask(x, day, error);
        uint64_t bytes = 0;
        if (status == STATUS_OK) {
            if (!x->writer) TRY(writer_close(x->to, error, &bytes));
            x->result->bytes += bytes;
            return STATUS_OK;
        }
        if (!x->writer) writer_abandon(x->to);
        if (status != STATUS_UNAVAILABLE && status != STATUS_CANCELLED) return status;
        if ((x->writer && x->taken) || os_monotonic_ns() > until_ns) {
            error_hint(error, x->folder ? "start the same command again: it goes on with this day"
                                        : "give --out FOLDER/ to go on where it stopped");
            return status;
        }
        uint64_t pause_ms = UINT64_C(250) << (tries < 7 ? tries : 7);
        os_sleep_ns((int64_t)(pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX) * 1000000);
    }
}

static enum status export_day(struct exporting *x, int64_t day, struct error *error)
{
    char name[4200] = "", date[10];
    struct stat there;
    if (x->folder) {
        const char *out = x->options->out;
        size_t size = strlen(out);
        snprintf(name, sizeof name, "%s%s%.10s.ndjson.gz", out, size && out[size - 1] == '/' ? "" : "/",
                 (civil_format_date(day, date), date));
        /* A file that was made before its day was over everywhere may lack the rest of it. */
        if (stat(name, &there) == 0 && there.st_mtime >= (day + 1) * 86400 + ZONES_S) {
            x->result->days_there++;
            return STATUS_OK;
        }
    }
    TRY(ask_patiently(x, day, name, error));
    x->result->days++;
    x->result->events += x->lines;
    return STATUS_OK;
}

/* --- life --- */

static void add_param(struct buf *buf, const char *name, struct str value)
{
    buf_printf(buf, "&%s=", name);
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (plain)
            buf_byte(buf, (char)c);
        else
            buf_printf(buf, "%%%02X", c);
    }
}

static enum status prepare(struct exporting *x, struct error *error)
{
    const struct export_url *o = x->options;
    struct buf pair = BUF_INIT(8192), list = BUF_INIT((size_t)1 << 20);
    struct stat there;
    buf_printf(&pair, strchr(o->credentials, ':') ? "%s" : "%s:", o->credentials);
    buf_lit(&x->authorization, "Basic ");
    base64_encode(&x->authorization, buf_str(&pair));
    buf_fini(&pair);
    if (o->project) buf_printf(&x->query, "&project_id=%lld", (long long)o->project);
    /* The exact time of each event, as cairn import takes it. */
    buf_lit(&x->query, "&time_in_ms=true");
    if (o->where) add_param(&x->query, "where", str_of(o->where));
    for (size_t i = 0; i < o->event_count; i++) {
        buf_byte(&list, i ? ',' : '[');
        json_write_str(&list, o->events[i]);
    }
    buf_byte(&list, ']');
    if (o->event_count) add_param(&x->query, "event", buf_str(&list));
    buf_fini(&list);
    if (x->query.failed || x->authorization.failed)
        return error_set(error, STATUS_INVALID, "the filter, the names of events or the credentials are too long");
    size_t size = strlen(o->out);
    x->folder = size && o->out[size - 1] == '/';
    if (x->folder && mkdir(o->out, 0700) != 0 && errno != EEXIST)
        return error_set_os(error, STATUS_IO, errno, "cannot make the folder %s", o->out);
    if (!x->folder) x->folder = strcmp(o->out, "-") != 0 && stat(o->out, &there) == 0 && S_ISDIR(there.st_mode);
    return x->folder ? STATUS_OK : writer_open(o->out, error, &x->writer);
}

enum status export_url(const struct export_url *options, struct error *error, struct export_url_result *ret_result)
{
    struct exporting x = {.options = options,
                          .result = ret_result,
                          .client = http_client_new(),
                          .arena = arena_new(ARENA_BYTES),
                          .authorization = BUF_INIT(16384),
                          .query = BUF_INIT(60000)};
    *ret_result = (struct export_url_result){0};
    meter_init(&x.meter, options->quiet ? NULL : stderr, 0);
    enum status status =
        x.client && x.arena ? prepare(&x, error) : error_set(error, STATUS_LIMIT, "out of memory");
    for (int64_t day = options->from_day; day <= options->to_day && status == STATUS_OK; day++)
        status = export_day(&x, day, error);
    if (x.writer && status == STATUS_OK)
        status = writer_close(x.writer, error, &ret_result->bytes);
    else if (x.writer)
        writer_abandon(x.writer);
    meter_end(&x.meter);
    http_client_free(x.client);
    arena_free(x.arena);
    buf_fini(&x.authorization);
    buf_fini(&x.query);
    return status;
}
