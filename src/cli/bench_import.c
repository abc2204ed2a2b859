#include "cli/bench.h"

#include "base/base64.h"
#include "base/number.h"
#include "base/url.h"
#include "cli/bench_pack.h"
#include "cli/figures.h"
#include "http/client.h"
#include "os/clock.h"
#include "os/parallel.h"
#include "os/thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static const char help[] =
    "cairn bench import sends JSON lines {\"event\":…,\"properties\":{…}} to the /import of a server that runs, as "
    "the\n"
    "clients do, and says how fast that went. Without a FILE it reads standard input.\n"
    "\n"
    "  --url URL          of the server, as http://127.0.0.1:8080\n"
    "  --user NAME:SECRET a service account; or a project's secret or token alone\n"
    "  --project N        project_id, which a service account needs\n"
    "  --packed FILE      where to put the requests' bodies, one behind the other: a gzip file of all lines\n"
    "  --batch N          events of one request; default 2000\n"
    "  --connections N    requests at the same time; default 4\n"
    "  --json             print one JSON object and nothing else\n"
    "\n"
    "Everything is compressed before the first request is sent, and that is not counted. A request is done when its\n"
    "answer says that all of its events are on disk; one that is answered with 503 is sent again. The events become\n"
    "part of the project: give one that is for nothing else.\n"
    "Example:\n"
    "  cairn bench generate --events 1000000 |\n"
    "      cairn bench import --url http://127.0.0.1:8080 --user $TOKEN --packed events.ndjson.gz\n";

#define RETRY_PAUSE_NS     INT64_C(20000000)
#define RETRIES_MAX        1000u /* in a row, which is some 20 s */
#define CONNECTIONS_MAX    256u
#define ANSWER_SHOWN       200u
#define SENDER_BYTES_MAX   ((size_t)16 << 20)
#define REQUEST_TIMEOUT_MS 120000u

struct arguments {
    const char *url, *user, *packed;
    uint64_t batch, connections, project;
    bool json, help;
};
enum { URL = 1000, USER, PROJECT, PACKED, BATCH, CONNECTIONS, JSON };

/* Shared by all senders. */
struct sending {
    const struct bench_packed *packed;
    struct str url, authorization;
    uint32_t *durations_us; /* by request */
    atomic_size_t next;
    atomic_uint_fast64_t stored, retried;
    struct os_mutex mutex;
    enum status status; /* the first failure, under the mutex */
    struct error error;
};

static void failed(struct sending *sending, enum status status, const struct error *error)
{
    os_mutex_lock(&sending->mutex);
    if (sending->status == STATUS_OK) {
        sending->status = status;
        sending->error = *error;
    }
    os_mutex_unlock(&sending->mutex);
    atomic_store(&sending->next, sending->packed->count); /* for the others, nothing is left to do */
}

/* Once, or again and again while the server says that it is full. */
static enum status send_batch(struct sending *sending, struct http_client *client, struct arena *arena, size_t index,
                              struct error *error)
{
    const struct bench_packed *packed = sending->packed;
    const struct http_client_field fields[] = {
        {STR("Content-Type"), STR("application/x-ndjson"), false},
        {STR("Content-Encoding"), STR("gzip"), false},
        {STR("Authorization"), sending->authorization, true},
    };
    const struct http_client_request request = {
        .method = STR("POST"),
        .url = sending->url,
        .fields = fields,
        .field_count = sizeof fields / sizeof *fields,
        .body = str_from(packed->data + packed->offsets[index], packed->offsets[index + 1] - packed->offsets[index]),
        .timeout_ms = REQUEST_TIMEOUT_MS,
    };
    struct http_client_response answer;
    int64_t start_ns = os_monotonic_ns();
    for (unsigned tries = 0;; tries++) {
        arena_reset(arena);
        TRY(http_client_send(client, &request, arena, error, &answer));
        if (answer.status != 503 || tries == RETRIES_MAX) break;
        atomic_fetch_add(&sending->retried, 1);
        os_sleep_ns(RETRY_PAUSE_NS);
    }
    int64_t us = (os_monotonic_ns() - start_ns) / 1000;
    sending->durations_us[index] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    struct json body;
    const struct json *count = NULL;
    if (answer.status == 200 && json_parse(arena, answer.body, NULL, NULL, &body) == STATUS_OK)
        count = json_member(&body, "num_records_imported");
    if (!count || count->type != JSON_INT) {
        return error_set(error, STATUS_IO, "request %zu was answered with %d: " STR_FMT, index + 1, answer.status,
                         STR_ARG(str_slice(answer.body, 0, ANSWER_SHOWN)));
    }
    atomic_fetch_add(&sending->stored, (uint64_t)count->integer);
    return STATUS_OK;
}

/* One connection. */
static void sender(void *ctx, size_t turn)
{
    struct sending *sending = ctx;
    struct error error = ERROR_INIT;
    struct http_client *client = http_client_new();
    struct arena *arena = arena_new(SENDER_BYTES_MAX);
    (void)turn;
    enum status status = client ? STATUS_OK : error_set(&error, STATUS_LIMIT, "cannot start libcurl");
    while (status == STATUS_OK) {
        size_t index = atomic_fetch_add(&sending->next, 1);
        if (index >= sending->packed->count) break;
        status = send_batch(sending, client, arena, index, &error);
    }
    if (status != STATUS_OK) failed(sending, status, &error);
    http_client_free(client);
    arena_free(arena);
}

/* ---- What is sent where ---- */

static FILE *open_lines(char **files, int file_count, struct error *error)
{
    if (file_count == 0) return stdin;
    FILE *lines = fopen(files[0], "re");
    if (!lines) error_set(error, STATUS_IO, "cannot open %s: %s", files[0], strerror(errno));
    return lines;
}

static enum status pack(const struct arguments *arguments, char **files, int file_count, struct error *error,
                        struct bench_packed *ret_packed)
{
    FILE *lines = open_lines(files, file_count, error);
    if (!lines) return STATUS_IO;
    enum status status = bench_pack(lines, file_count ? files[0] : "standard input", (size_t)arguments->batch,
                                    arguments->packed, error, ret_packed);
    if (lines != stdin) fclose(lines);
    return status;
}

static void address(const struct arguments *arguments, struct arena *arena, struct sending *sending)
{
    struct buf encoded = BUF_INIT((size_t)64 << 10);
    struct str user = str_of(arguments->user), url = str_of(arguments->url);
    while (str_ends(url, STR("/"))) url.size--;
    struct str pair = str_find_byte(user, ':', 0) == SIZE_MAX ? arena_printf(arena, STR_FMT ":", STR_ARG(user)) : user;
    base64_encode(&encoded, pair);
    sending->authorization = arena_printf(arena, "Basic " STR_FMT, STR_ARG(buf_str(&encoded)));
    buf_fini(&encoded);
    sending->url = arguments->project ? arena_printf(arena, STR_FMT "/import?strict=1&project_id=%llu", STR_ARG(url),
                                                     (unsigned long long)arguments->project)
                                      : arena_printf(arena, STR_FMT "/import?strict=1", STR_ARG(url));
}

/* ---- Output ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

struct report {
    uint64_t stored, retried, packed_bytes, p50_us, p99_us, max_us;
    double wall_s, cpu_s;
};

static double per(double amount, double count)
{
    return count > 0 ? amount / count : 0;
}

static int print_json(struct arena *arena, const struct bench_packed *packed, const struct report *r)
{
    struct json object = JSON_OBJECT_EMPTY;
    struct {
        const char *name;
        double value;
    } const members[] = {
        {"events", (double)r->stored},
        {"requests", (double)packed->count},
        {"bytes", (double)packed->line_bytes},
        {"packed_bytes", (double)r->packed_bytes},
        {"retried", (double)r->retried},
        {"wall_s", r->wall_s},
        {"client_cpu_s", r->cpu_s},
        {"p50_ms", (double)r->p50_us / 1000},
        {"p99_ms", (double)r->p99_us / 1000},
        {"max_ms", (double)r->max_us / 1000},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (json_put(arena, &object, str_of(members[i].name), json_number(members[i].value)) == STATUS_OK) continue;
        fputs("cairn bench import: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    return command_print_json(&object);
}

static int print_report(struct arena *arena, const struct bench_packed *packed, const struct report *r)
{
    printf("events      " STR_FMT " acknowledged in %zu requests; " STR_FMT " of JSON, " STR_FMT " as sent\n",
           STR_ARG(figure_count(arena, r->stored)), packed->count, STR_ARG(figure_bytes(arena, packed->line_bytes)),
           STR_ARG(figure_bytes(arena, r->packed_bytes)));
    printf("time        %.2f s: " STR_FMT " events/s; %.2f s of CPU here\n", r->wall_s,
           STR_ARG(figure_count(arena, (uint64_t)per((double)r->stored, r->wall_s))), r->cpu_s);
    printf("answers     half after %.1f ms, 99 of 100 after %.1f ms, all after %.1f ms; %llu requests sent again\n",
           (double)r->p50_us / 1000, (double)r->p99_us / 1000, (double)r->max_us / 1000,
           (unsigned long long)r->retried);
    return command_finish_output();
}

static int take(const char *command, int flag, struct arguments *arguments)
{
    static const struct {
        int flag;
        const char *name;
        uint64_t max;
        size_t offset;
    } numbers[] = {
        {BATCH, "batch", 100000, offsetof(struct arguments, batch)},
        {CONNECTIONS, "connections", CONNECTIONS_MAX, offsetof(struct arguments, connections)},
        {PROJECT, "project", INT64_MAX, offsetof(struct arguments, project)},
    };
    switch (flag) {
    case URL: arguments->url = optarg; return EXIT_DONE;
    case USER: arguments->user = optarg; return EXIT_DONE;
    case PACKED: arguments->packed = optarg; return EXIT_DONE;
    case JSON: arguments->json = true; return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: break;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint64_t number;
        if (numbers[i].flag != flag) continue;
        if (!number_parse_unsigned(str_of(optarg), numbers[i].max, &number) || number == 0)
            return command_usage(command, "--%s %s is no number from 1 to %llu", numbers[i].name, optarg,
                                 (unsigned long long)numbers[i].max);
        memcpy((char *)arguments + numbers[i].offset, &number, sizeof number);
        return EXIT_DONE;
    }
    return EXIT_USAGE;
}

static enum status send_all(struct sending *sending, unsigned connections, struct report *report, struct error *error)
{
    const struct bench_packed *packed = sending->packed;
    sending->durations_us = calloc(packed->count + 1, sizeof *sending->durations_us);
    if (!sending->durations_us) return error_set(error, STATUS_LIMIT, "out of memory");
    os_mutex_init(&sending->mutex, "bench import");
    struct bench_clock start = bench_clock();
    os_parallel(connections, connections, sender, sending);
    *report = (struct report){.stored = atomic_load(&sending->stored),
                              .retried = atomic_load(&sending->retried),
                              .packed_bytes = packed->offsets[packed->count],
                              .wall_s = bench_wall(&start),
                              .cpu_s = bench_cpu(&start)};
    os_mutex_destroy(&sending->mutex);
    if (packed->count) {
        qsort(sending->durations_us, packed->count, sizeof *sending->durations_us, compare);
        report->p50_us = sending->durations_us[packed->count / 2];
        report->p99_us = sending->durations_us[packed->count * 99 / 100];
        report->max_us = sending->durations_us[packed->count - 1];
    }
    free(sending->durations_us);
    if (sending->status != STATUS_OK) *error = sending->error;
    return sending->status;
}

static int run(const char *command, const struct arguments *arguments, char **files, int file_count)
{
    struct error error = ERROR_INIT;
    struct bench_packed packed;
    struct report report;
    struct arena *arena = arena_new((size_t)16 << 20);
    struct sending sending = {.packed = &packed, .error = ERROR_INIT};
    int code = EXIT_DONE;
    address(arguments, arena, &sending);
    if (pack(arguments, files, file_count, &error, &packed) != STATUS_OK) {
        code = command_failed(command, &error);
    } else {
        if (send_all(&sending, (unsigned)arguments->connections, &report, &error) != STATUS_OK)
            code = command_failed(command, &error);
        else
            code = arguments->json ? print_json(arena, &packed, &report) : print_report(arena, &packed, &report);
        bench_packed_fini(&packed);
    }
    arena_free(arena);
    return code;
}

int bench_import_run(int argc, char **argv)
{
    static const char command[] = "cairn bench import";
    static const struct option flags[] = {
        {"url", required_argument, NULL, URL},
        {"user", required_argument, NULL, USER},
        {"project", required_argument, NULL, PROJECT},
        {"packed", required_argument, NULL, PACKED},
        {"batch", required_argument, NULL, BATCH},
        {"connections", required_argument, NULL, CONNECTIONS},
        FLAG_JSON,
        FLAG_HELP,
        {0},
    };
    struct arguments arguments = {.batch = BENCH_BATCH_DEFAULT, .connections = 4};
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, &arguments);
        if (code != EXIT_DONE) return code;
    }
    if (arguments.help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    if (!arguments.url) return command_usage(command, "--url URL is missing");
    if (!arguments.user) return command_usage(command, "--user NAME:SECRET is missing");
    if (!arguments.packed) return command_usage(command, "--packed FILE is missing");
    if (argc - optind > 1) return command_usage(command, "unexpected argument \"%s\"", argv[optind + 1]);
    return run(command, &arguments, argv + optind, argc - optind);
}
