#include "cli/command.h"

#include "base/hash.h"
#include "base/number.h"
#include "cli/bulk/list.h"
#include "cli/bench.h"
#include "cli/figures.h"
#include "os/machine.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "cairn import brings events of any age into a project: from files, from folders, or from standard input.\n"
    "\n"
    "  cairn import --data DIR --project N FILE...\n"
    "  cairn import --url URL --credentials NAME:SECRET --project N FILE...\n"
    "\n"
    "A FILE holds JSON lines {\"event\":…,\"properties\":{…}}, as Mixpanel and cairn export write them, one JSON list "
    "of\n"
    "such objects, or CSV; plain, gzip or zstd: what it is is found out. A folder stands for the files in it that end "
    "in\n"
    ".json, .jsonl, .ndjson or .csv, with or without .gz or .zst; - for standard input.\n"
    "\n"
    "  --data DIR            into a data directory that no server runs on\n"
    "  --url URL             to a server, over its /import\n"
    "  --credentials C       for --url: NAME:SECRET of a service account, a project's secret or its token; the\n"
    "                        environment's CAIRN_CREDENTIALS otherwise\n"
    "  --token T             for --url: the project's token, which profiles need\n"
    "  --project N           the project id; with --url it may be left out where the credentials are the project's\n"
    "  --format F            lines, list or csv, when it is found out wrongly\n"
    "  --event NAME          CSV: the name of all events\n"
    "  --event-column NAME   CSV: the column with the events' names; default event\n"
    "  --time-column NAME    CSV: the column with their times, seconds or milliseconds since 1970 or ISO; default "
    "time\n"
    "  --threads N           that parse or send; default: as many as cores\n"
    "  --batch N             records of one request or log record, at most; default 2000\n"
    "  --memory SIZE         for --data: use about so much; default 768m\n"
    "  --merge               for --data: merge all files at the end, so that the first questions are fast\n"
    "  --refused FILE        where records go that are refused, with the reason; default import-refused.ndjson\n"
    "  --state FILE          where it is kept how far the import is; default import-….state, in DIR with --data\n"
    "  --restart             do not go on where an interrupted import stopped\n"
    "  --patience DURATION   for --url: how long a server may be away; default 10m\n"
    "  --quiet               show no progress\n"
    "  --json                print one JSON object and nothing else\n"
    "\n"
    "An import that was interrupted goes on when the same command is given again. Records without $insert_id get one "
    "that\n"
    "depends on the file's name and their place in it, so that none counts twice. The exit status is 0 when all "
    "records\n"
    "are events now, and 1 when some were refused, a file could not be read to its end, or the import did not finish.\n"
    "\n"
    "Example: a year of history out of a folder of Mixpanel exports\n"
    "  cairn import --data /var/lib/cairn --project 1 exports/\n";

enum {
    DATA = 1000,
    URL,
    CREDENTIALS,
    TOKEN,
    PROJECT,
    FORMAT,
    EVENT,
    EVENT_COLUMN,
    TIME_COLUMN,
    THREADS,
    BATCH,
    MEMORY
};
enum { MERGE = 1100, REFUSED, STATE, RESTART, PATIENCE, QUIET, JSON };

#define MEMORY_DEFAULT  ((uint64_t)768 << 20)
#define PATIENCE_MS     ((uint64_t)600000)
#define ARENA_BYTES_MAX ((size_t)256 << 20)

struct arguments {
    const char *data, *url, *credentials, *token, *refused, *state, *event, *event_column, *time_column;
    int64_t project;
    enum input_format format;
    uint64_t threads, batch, memory_bytes, patience_ms;
    bool merge, restart, quiet, json, help;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* ---- arguments ---- */

static bool format_parse(const char *text, enum input_format *ret_format)
{
    for (int format = INPUT_LINES; format <= INPUT_CSV; format++) {
        if (strcmp(text, input_format_name((enum input_format)format)) != 0) continue;
        *ret_format = (enum input_format)format;
        return true;
    }
    return false;
}

static int take(const char *command, int flag, struct arguments *a)
{
    uint64_t number;
    switch (flag) {
    case DATA: a->data = optarg; return EXIT_DONE;
    case URL: a->url = optarg; return EXIT_DONE;
    case CREDENTIALS: a->credentials = optarg; return EXIT_DONE;
    case TOKEN: a->token = optarg; return EXIT_DONE;
    case PROJECT:
        if (!number_parse_int(str_of(optarg), &a->project) || a->project <= 0)
            return command_usage(command, "--project %s is no project id", optarg);
        return EXIT_DONE;
    case FORMAT:
        if (!format_parse(optarg, &a->format))
            return command_usage(command, "--format %s: use lines, list or csv", optarg);
        return EXIT_DONE;
    case EVENT: a->event = optarg; return EXIT_DONE;
    case EVENT_COLUMN: a->event_column = optarg; return EXIT_DONE;
    case TIME_COLUMN: a->time_column = optarg; return EXIT_DONE;
    case THREADS:
        if (!number_parse_unsigned(str_of(optarg), BULK_THREADS_MAX, &number) || number == 0)
            return command_usage(command, "--threads %s is no number from 1 to %u", optarg, BULK_THREADS_MAX);
        a->threads = number;
        return EXIT_DONE;
    case BATCH:
        if (!number_parse_unsigned(str_of(optarg), BULK_BATCH_MAX, &number) || number == 0)
            return command_usage(command, "--batch %s is no number from 1 to %u", optarg, BULK_BATCH_MAX);
        a->batch = number;
        return EXIT_DONE;
    case MEMORY: return bench_memory_parse(command, optarg, &a->memory_bytes) ? EXIT_DONE : EXIT_USAGE;
    case MERGE: a->merge = true; return EXIT_DONE;
    case REFUSED: a->refused = optarg; return EXIT_DONE;
    case STATE: a->state = optarg; return EXIT_DONE;
    case RESTART: a->restart = true; return EXIT_DONE;
    case PATIENCE:
        if (!command_duration(optarg, &a->patience_ms))
            return command_usage(command, "--patience %s is no duration like 30s, 10m or 2h", optarg);
        return EXIT_DONE;
    case QUIET: a->quiet = true; return EXIT_DONE;
    case JSON: a->json = a->quiet = true; return EXIT_DONE;
    case 'h': a->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

static int check(const char *command, struct arguments *a, int file_count)
{
    if (!a->data == !a->url) return command_usage(command, "give --data DIR or --url URL: where the events go");
    if (a->data && a->project == 0) return command_usage(command, "--project N is missing");
    if (a->url && !a->credentials) a->credentials = getenv("CAIRN_CREDENTIALS");
    if (a->url && !a->credentials) return command_usage(command, "--credentials is missing: who may import");
    if (a->url && a->merge) return command_usage(command, "--merge is for --data; a server merges by itself");
    if (file_count == 0) return command_usage(command, "no files are named; - is standard input");
    return EXIT_DONE;
}

/* ---- the work ---- */

static enum status sink_new(const struct arguments *a, struct error *error, struct bulk_sink **ret_sink)
{
    if (a->data)
        return bulk_sink_store_new(a->data, a->project, a->memory_bytes, (unsigned)a->threads, error, ret_sink);
    struct bulk_http http = {.url = a->url,
                             .credentials = a->credentials,
                             .token = a->token,
                             .project = a->project,
                             .patience_ms = a->patience_ms};
    return bulk_sink_http_new(&http, error, ret_sink);
}

static enum status run(const struct arguments *a, const char *state_path, const char *target, struct bulk_file *files,
                       size_t file_count, struct bulk_sink *sink, struct error *error, struct bulk_result *result)
{
    if (a->restart)
        unlink(state_path);
    else
        TRY(bulk_state_read(state_path, target, files, file_count, error));
    bool standard = false;
    for (size_t i = 0; i < file_count; i++) standard |= strcmp(files[i].name, "-") == 0;
    struct bulk_options options = {
        .files = files,
        .file_count = file_count,
        .input = {.format = a->format,
                  .event_column = a->event_column,
                  .time_column = a->time_column,
                  .event = STR_NULL},
        .threads = (unsigned)a->threads,
        .batch = (uint32_t)a->batch,
        .state_path = standard ? NULL : state_path, /* what came through a pipe does not come again */
        .target = target,
        .refused_path = a->refused,
        .quiet = a->quiet,
        .interrupted = &interrupted,
    };
    if (a->event) options.input.event = str_of(a->event);
    TRY(bulk_run(&options, sink, error, result));
    if (a->data) TRY(bulk_sink_store_end(sink, a->merge && !result->interrupted, error));
    bool complete = !result->interrupted && result->files_failed == 0;
    if (complete) unlink(state_path);
    return STATUS_OK;
}

/* ---- the report ---- */

static int print_json(struct arena *arena, const struct bulk_result *r)
{
    struct json object = JSON_OBJECT_EMPTY;
    const struct {
        const char *name;
        struct json value;
    } members[] = {
        {"records", json_int((int64_t)r->records)},
        {"stored", json_int((int64_t)r->stored)},
        {"refused", json_int((int64_t)r->refused)},
        {"bytes", json_int((int64_t)r->bytes)},
        {"files_failed", json_int((int64_t)r->files_failed)},
        {"seconds", json_number(r->seconds)},
        {"complete", json_bool(!r->interrupted && r->files_failed == 0)},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (json_put(arena, &object, str_of(members[i].name), members[i].value) != STATUS_OK) return EXIT_FAILED;
    return command_print_json(&object);
}

static int print_report(struct arena *arena, const struct arguments *a, const struct bulk_result *r)
{
    double seconds = r->seconds > 0 ? r->seconds : 1e-9;
    printf(STR_FMT " records in %.1f s: " STR_FMT " events stored, " STR_FMT " refused; " STR_FMT "/s, " STR_FMT "/s\n",
           STR_ARG(figure_count(arena, r->records)), r->seconds, STR_ARG(figure_count(arena, r->stored)),
           STR_ARG(figure_count(arena, r->refused)),
           STR_ARG(figure_count(arena, (uint64_t)((double)r->records / seconds))),
           STR_ARG(figure_bytes(arena, (uint64_t)((double)r->bytes / seconds))));
    if (r->refused) printf("those that were refused are in %s, with the reasons\n", a->refused);
    if (r->interrupted) printf("interrupted: give the same command again to go on\n");
    return command_finish_output();
}

/* Another one for each import, so that one that waits to go on does not stand in the way of others. */
static struct str state_path(struct arena *arena, const struct arguments *a, struct str target,
                             const struct bulk_file *files, size_t file_count)
{
    if (a->state) return arena_str(arena, str_of(a->state));
    uint64_t hash = hash_str(target);
    for (size_t i = 0; i < file_count; i++) hash = hash_bytes(files[i].name, strlen(files[i].name), hash);
    return arena_printf(arena, "%s%simport-%016llx.state", a->data ? a->data : "", a->data ? "/" : "",
                        (unsigned long long)hash);
}

static int work(const char *command, const struct arguments *a, char *const *names, size_t count, struct arena *arena)
{
    struct error error = ERROR_INIT;
    struct bulk_result result = {0};
    struct bulk_file *files = NULL;
    size_t file_count = 0;
    struct bulk_sink *sink = NULL;
    struct str target = arena_printf(arena, "%s project %lld", a->data ? a->data : a->url, (long long)a->project);
    enum status status = bulk_list(arena, names, count, &error, &files, &file_count);
    struct str state = state_path(arena, a, target, files, file_count);
    if (status == STATUS_OK) status = sink_new(a, &error, &sink);
    if (status == STATUS_OK) status = run(a, state.data, target.data, files, file_count, sink, &error, &result);
    if (sink && a->data) bulk_sink_store_free(sink);
    if (sink && a->url) bulk_sink_http_free(sink);
    if (status != STATUS_OK) return command_failed(command, &error);
    for (size_t i = 0; i < file_count; i++)
        if (files[i].error.status != STATUS_OK) (void)command_failed(command, &files[i].error);
    int code = a->json ? print_json(arena, &result) : print_report(arena, a, &result);
    return code == EXIT_DONE && (result.refused || result.files_failed || result.interrupted) ? EXIT_FAILED : code;
}

int cmd_import(int argc, char **argv)
{
    static const char command[] = "cairn import";
    static const struct option flags[] = {
        FLAG_DATA,
        {"url", required_argument, NULL, URL},
        {"credentials", required_argument, NULL, CREDENTIALS},
        {"token", required_argument, NULL, TOKEN},
        {"project", required_argument, NULL, PROJECT},
        {"format", required_argument, NULL, FORMAT},
        {"event", required_argument, NULL, EVENT},
        {"event-column", required_argument, NULL, EVENT_COLUMN},
        {"time-column", required_argument, NULL, TIME_COLUMN},
        {"threads", required_argument, NULL, THREADS},
        {"batch", required_argument, NULL, BATCH},
        {"memory", required_argument, NULL, MEMORY},
        {"merge", no_argument, NULL, MERGE},
        {"refused", required_argument, NULL, REFUSED},
        {"state", required_argument, NULL, STATE},
        {"restart", no_argument, NULL, RESTART},
        {"patience", required_argument, NULL, PATIENCE},
        {"quiet", no_argument, NULL, QUIET},
        FLAG_JSON,
        FLAG_HELP,
        {0},
    };
    struct arguments arguments = {.refused = "import-refused.ndjson",
                                  .event_column = "event",
                                  .time_column = "time",
                                  .threads = os_cores(),
                                  .batch = 2000,
                                  .memory_bytes = MEMORY_DEFAULT,
                                  .patience_ms = PATIENCE_MS};
    if (arguments.threads > BULK_THREADS_MAX) arguments.threads = BULK_THREADS_MAX;
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, &arguments);
        if (code != EXIT_DONE) return code;
    }
    if (arguments.help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    int code = check(command, &arguments, argc - optind);
    if (code != EXIT_DONE) return code;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND}; /* a second one ends it at once */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    code = work(command, &arguments, argv + optind, (size_t)(argc - optind), arena);
    arena_free(arena);
    return code;
}
