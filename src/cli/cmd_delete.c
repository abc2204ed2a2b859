#include "cli/command.h"

#include "api/deletion.h"
#include "base/number.h"
#include "meta/meta.h"
#include "os/fs.h"
#include "os/thread.h"

static const char help[] =
    "cairn delete removes events of a project: those of people, those that match, or old ones. The request is written\n"
    "into the data directory, and the server that runs on it carries it out; without one it waits for the next start.\n"
    "\n"
    "  cairn delete person --data DIR --project N ID...\n"
    "  cairn delete events --data DIR --project N [--event NAME]... [--where EXPR] [--from DATE] [--to DATE]\n"
    "  cairn delete before --data DIR --project N DATE\n"
    "  cairn delete list   --data DIR [--project N] [--json]\n"
    "  cairn delete report --data DIR [--json] REQUEST\n"
    "\n"
    "  --data DIR      the data directory\n"
    "  --project N     the project id\n"
    "  --event NAME    only events of this name; may be repeated\n"
    "  --where EXPR    only events for which the expression is true\n"
    "  --from, --to    the first and the last day, YYYY-MM-DD, in the project's time zone\n"
    "  --dry-run       delete nothing, tell how many events would be\n"
    "  --yes           do not ask\n"
    "  --json          print one JSON object and nothing else\n"
    "\n"
    "person takes distinct_ids: all that the person did under whichever id goes, and who they were is forgotten.\n"
    "before takes a date, or a time like 2024-01-31T12:00:00: what happened earlier goes.\n"
    "A request is pending, then marked (no answer holds the events any more), then purged (no file does).\n"
    "\n"
    "Example:\n"
    "  cairn delete events --data ./data --project 1 --event Test --to 2024-01-31 --dry-run\n";

#define IDS_MAX     2000
#define EVENTS_MAX  1000
#define LIST_MAX    1000
#define WAIT_STEPS  600 /* of a tenth of a second */
#define ARENA_BYTES ((size_t)64 << 20)

enum { DATA = 1000, JSON, PROJECT, EVENT, WHERE, FROM, TO, DRY_RUN, YES };

struct arguments {
    const char *data, *where, *from, *to;
    int64_t project;
    const char *events[EVENTS_MAX];
    size_t event_count;
    bool json, dry_run, yes, help;
};

#define FLAG_PROJECT                                                                                                   \
    {                                                                                                                  \
        "project", required_argument, NULL, PROJECT                                                                    \
    }
#define FLAGS_DELETE                                                                                                   \
    FLAG_DATA, FLAG_PROJECT, {"dry-run", no_argument, NULL, DRY_RUN}, {"yes", no_argument, NULL, YES}, FLAG_JSON,      \
        FLAG_HELP
static const struct option flags_plain[] = {FLAGS_DELETE, {0}};
static const struct option flags_events[] = {FLAGS_DELETE,
                                             {"event", required_argument, NULL, EVENT},
                                             {"where", required_argument, NULL, WHERE},
                                             {"from", required_argument, NULL, FROM},
                                             {"to", required_argument, NULL, TO},
                                             {0}};
static const struct option flags_list[] = {FLAG_DATA, FLAG_PROJECT, FLAG_JSON, FLAG_HELP, {0}};
static const struct option flags_report[] = {FLAG_DATA, FLAG_JSON, FLAG_HELP, {0}};

static int take(const char *command, int flag, struct arguments *arguments)
{
    switch (flag) {
    case DATA: arguments->data = optarg; return EXIT_DONE;
    case PROJECT:
        if (number_parse_int(str_of(optarg), &arguments->project) && arguments->project >= 1 &&
            arguments->project <= META_PROJECT_ID_MAX)
            return EXIT_DONE;
        return command_usage(command, "\"%s\" is no project id", optarg);
    case EVENT:
        if (arguments->event_count == EVENTS_MAX)
            return command_usage(command, "more than %d events are named", EVENTS_MAX);
        arguments->events[arguments->event_count++] = optarg;
        return EXIT_DONE;
    case WHERE: arguments->where = optarg; return EXIT_DONE;
    case FROM: arguments->from = optarg; return EXIT_DONE;
    case TO: arguments->to = optarg; return EXIT_DONE;
    case DRY_RUN: arguments->dry_run = true; return EXIT_DONE;
    case YES: arguments->yes = true; return EXIT_DONE;
    case JSON: arguments->json = true; return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

static int parse(const char *command, int argc, char **argv, const struct option *flags, struct arguments *arguments)
{
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, arguments);
        if (code != EXIT_DONE || arguments->help) return code;
    }
    if (!arguments->data || !arguments->data[0]) return command_usage(command, "--data DIR is missing");
    return EXIT_DONE;
}

static int print_help(void)
{
    fputs(help, stdout);
    return command_finish_output();
}

/* --- output --- */

static int out_of_memory(const char *command)
{
    struct error error = ERROR_INIT;
    (void)error_set(&error, STATUS_LIMIT, "out of memory");
    return command_failed(command, &error);
}

static enum status to_json(struct arena *arena, const struct meta_deletion *d, struct json *ret_object)
{
    struct json object = JSON_OBJECT_EMPTY, request;
    struct error ignored;
    if (json_parse(arena, d->request, NULL, &ignored, &request) != STATUS_OK) request = json_null();
    TRY(json_put(arena, &object, STR("id"), json_int(d->id)));
    TRY(json_put(arena, &object, STR("project_id"), json_int(d->project_id)));
    TRY(json_put(arena, &object, STR("kind"), json_string(str_of(meta_deletion_kind_name(d->kind)))));
    TRY(json_put(arena, &object, STR("status"), json_string(str_of(meta_deletion_status_name(d->status)))));
    TRY(json_put(arena, &object, STR("dry_run"), json_bool(d->dry_run)));
    TRY(json_put(arena, &object, STR("events"), json_int(d->rows)));
    TRY(json_put(arena, &object, STR("requested_by"), json_string(d->requested_by)));
    TRY(json_put(arena, &object, STR("requested_ms"), json_int(d->requested_ms)));
    TRY(json_put(arena, &object, STR("marked_ms"), d->marked_ms ? json_int(d->marked_ms) : json_null()));
    TRY(json_put(arena, &object, STR("purged_ms"), d->purged_ms ? json_int(d->purged_ms) : json_null()));
    TRY(json_put(arena, &object, STR("request"), request));
    if (d->error.size) TRY(json_put(arena, &object, STR("error"), json_string(d->error)));
    *ret_object = object;
    return STATUS_OK;
}

static struct str time_or_dash(struct arena *arena, int64_t ms)
{
    return ms ? arena_printf(arena, STR_FMT " UTC", STR_ARG(command_time(arena, ms))) : STR("-");
}

static int print_one(const char *command, struct arena *arena, const struct meta_deletion *d, bool as_json)
{
    if (as_json) {
        struct json object;
        if (to_json(arena, d, &object) != STATUS_OK) return out_of_memory(command);
        return command_print_json(&object);
    }
    const struct str rows[] = {
        STR("request"),   arena_printf(arena, "%lld", (long long)d->id),
        STR("project"),   arena_printf(arena, "%lld", (long long)d->project_id),
        STR("kind"),      str_of(meta_deletion_kind_name(d->kind)),
        STR("of"),        d->request,
        STR("by"),        d->requested_by,
        STR("requested"), time_or_dash(arena, d->requested_ms),
        STR("status"),    d->dry_run ? STR("dry run") : str_of(meta_deletion_status_name(d->status)),
        STR("events"),    arena_printf(arena, "%lld", (long long)d->rows),
        STR("marked"),    time_or_dash(arena, d->marked_ms),
        STR("purged"),    time_or_dash(arena, d->purged_ms),
        STR("error"),     d->error,
    };
    return command_print_table(rows, 2, sizeof rows / sizeof *rows / 2 - (d->error.size == 0));
}

/* --- making a request --- */

static enum status put_request(struct arena *arena, const struct arguments *arguments, enum meta_deletion_kind kind,
                               char **operands, int operand_count, struct json *ret_request)
{
    struct json request = JSON_OBJECT_EMPTY, list = JSON_ARRAY_EMPTY;
    if (kind == META_DELETION_BEFORE) {
        TRY(json_put(arena, &request, STR("before"), json_string(str_of(operands[0]))));
    } else if (kind == META_DELETION_PERSON) {
        for (int i = 0; i < operand_count; i++) TRY(json_push(arena, &list, json_string(str_of(operands[i]))));
        TRY(json_put(arena, &request, STR("distinct_ids"), list));
    } else {
        for (size_t i = 0; i < arguments->event_count; i++)
            TRY(json_push(arena, &list, json_string(str_of(arguments->events[i]))));
        if (arguments->event_count) TRY(json_put(arena, &request, STR("event"), list));
        if (arguments->where) TRY(json_put(arena, &request, STR("where"), json_string(str_of(arguments->where))));
        if (arguments->from) TRY(json_put(arena, &request, STR("from_date"), json_string(str_of(arguments->from))));
        if (arguments->to) TRY(json_put(arena, &request, STR("to_date"), json_string(str_of(arguments->to))));
    }
    *ret_request = request;
    return STATUS_OK;
}

/* Asks a person at a terminal; anybody else must have said --yes. */
static int confirm(const char *command, const struct arguments *arguments, struct str request)
{
    if (arguments->yes || arguments->dry_run) return EXIT_DONE;
    if (!command_interactive())
        return command_usage(command, "--yes is missing: the events would be gone for ever (--dry-run counts them)");
    fprintf(stderr, "Delete from project %lld: " STR_FMT "? The events do not come back. [y/N] ",
            (long long)arguments->project, STR_ARG(request));
    char answer[8];
    if (fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y')) return EXIT_DONE;
    fputs("Nothing was deleted.\n", stderr);
    return EXIT_FAILED;
}

static bool server_runs(const char *directory)
{
    struct os_lock *lock;
    struct error ignored;
    if (os_lock_acquire(directory, &ignored, &lock) != STATUS_OK) return true;
    os_lock_release(lock);
    return false;
}

/* A server sees the request within a second or two. */
static enum status wait_for(struct meta *meta, int64_t id, struct arena *arena, struct error *error,
                            struct meta_deletion *ret_deletion)
{
    for (int step = 0;; step++) {
        TRY(meta_deletion(meta, 0, id, arena, error, ret_deletion));
        if (ret_deletion->status != META_DELETION_PENDING || ret_deletion->error.size || step == WAIT_STEPS)
            return STATUS_OK;
        os_sleep_ns(100000000);
    }
}

static int send_request(const char *command, const struct arguments *arguments, struct meta *meta, struct arena *arena,
                        struct meta_deletion *deletion)
{
    struct error error = ERROR_INIT;
    int64_t id;
    if (meta_deletion_create(meta, deletion, &error, &id) != STATUS_OK) return command_failed(command, &error);
    bool running = server_runs(arguments->data);
    enum status status =
        running ? wait_for(meta, id, arena, &error, deletion) : meta_deletion(meta, 0, id, arena, &error, deletion);
    if (status != STATUS_OK) return command_failed(command, &error);
    int code = print_one(command, arena, deletion, arguments->json);
    if (!running)
        fputs("No server runs on the directory: the request is carried out when one starts.\n", stderr);
    else if (deletion->status == META_DELETION_PENDING)
        fputs("The server is not done yet: cairn delete report tells when it is.\n", stderr);
    return code == EXIT_DONE && deletion->status == META_DELETION_FAILED ? EXIT_FAILED : code;
}

static int run_request(const char *command, int argc, char **argv, const struct option *flags,
                       enum meta_deletion_kind kind)
{
    static struct arguments arguments;
    arguments = (struct arguments){.data = NULL};
    int code = parse(command, argc, argv, flags, &arguments);
    if (code != EXIT_DONE) return code;
    if (arguments.help) return print_help();
    int operands = argc - optind;
    if (!arguments.project) return command_usage(command, "--project N is missing");
    if (kind == META_DELETION_PERSON && (operands < 1 || operands > IDS_MAX))
        return command_usage(command, "1 to %d distinct_ids are wanted", IDS_MAX);
    if (kind == META_DELETION_BEFORE && operands != 1) return command_usage(command, "one date is wanted");
    if (kind == META_DELETION_EVENTS && operands > 0)
        return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    struct error error = ERROR_INIT;
    struct json request;
    struct buf text = BUF_INIT(META_DELETION_REQUEST_MAX);
    struct arena *arena = arena_new(ARENA_BYTES);
    struct meta_deletion deletion = {
        .project_id = arguments.project, .dry_run = arguments.dry_run, .requested_by = STR("command line")};
    struct meta *meta = NULL;
    struct meta_options options = META_OPTIONS_DEFAULT;
    options.must_exist = true;
    if (put_request(arena, &arguments, kind, argv + optind, operands, &request) != STATUS_OK)
        code = out_of_memory(command);
    else if (deletion_check(&request, &error, &deletion.kind) != STATUS_OK)
        code = command_failed(command, &error);
    json_write(&text, &request);
    deletion.request = buf_str(&text);
    if (code == EXIT_DONE) code = confirm(command, &arguments, deletion.request);
    if (code == EXIT_DONE && meta_open(arguments.data, &options, &error, &meta) != STATUS_OK)
        code = command_failed(command, &error);
    if (code == EXIT_DONE) code = send_request(command, &arguments, meta, arena, &deletion);
    meta_close(meta);
    buf_fini(&text);
    arena_free(arena);
    return code;
}

static int run_person(int argc, char **argv)
{
    return run_request("cairn delete person", argc, argv, flags_plain, META_DELETION_PERSON);
}
static int run_events(int argc, char **argv)
{
    return run_request("cairn delete events", argc, argv, flags_events, META_DELETION_EVENTS);
}
static int run_before(int argc, char **argv)
{
    return run_request("cairn delete before", argc, argv, flags_plain, META_DELETION_BEFORE);
}

/* --- looking at requests --- */

static int print_list(const char *command, struct arena *arena, const struct meta_deletion *deletions, size_t count,
                      bool as_json)
{
    enum { COLUMNS = 7 };
    struct json list = JSON_ARRAY_EMPTY, object = JSON_OBJECT_EMPTY;
    struct str *cells = arena_new_array(arena, struct str, (count + 1) * COLUMNS);
    if (!cells) return out_of_memory(command);
    const struct str heading[COLUMNS] = {STR("REQUEST"), STR("PROJECT"), STR("KIND"),     STR("STATUS"),
                                         STR("EVENTS"),  STR("PURGED"),  STR("REQUESTED")};
    memcpy(cells, heading, sizeof heading);
    for (size_t i = 0; i < count; i++) {
        const struct meta_deletion *d = &deletions[i];
        struct json entry;
        if (to_json(arena, d, &entry) != STATUS_OK || json_push(arena, &list, entry) != STATUS_OK)
            return out_of_memory(command);
        const struct str row[COLUMNS] = {arena_printf(arena, "%lld", (long long)d->id),
                                         arena_printf(arena, "%lld", (long long)d->project_id),
                                         str_of(meta_deletion_kind_name(d->kind)),
                                         d->dry_run ? STR("dry run") : str_of(meta_deletion_status_name(d->status)),
                                         arena_printf(arena, "%lld", (long long)d->rows),
                                         time_or_dash(arena, d->purged_ms),
                                         time_or_dash(arena, d->requested_ms)};
        memcpy(cells + (i + 1) * COLUMNS, row, sizeof row);
    }
    if (!as_json) return command_print_table(cells, COLUMNS, count + 1);
    if (json_put(arena, &object, STR("deletions"), list) != STATUS_OK) return out_of_memory(command);
    return command_print_json(&object);
}

static int look(const char *command, int argc, char **argv, const struct option *flags, bool one)
{
    static struct arguments arguments;
    int64_t id = 0;
    arguments = (struct arguments){.data = NULL};
    int code = parse(command, argc, argv, flags, &arguments);
    if (code != EXIT_DONE) return code;
    if (arguments.help) return print_help();
    if (argc - optind != one) return command_usage(command, one ? "one request is wanted" : "unexpected argument");
    if (one && (!number_parse_int(str_of(argv[optind]), &id) || id < 1))
        return command_usage(command, "\"%s\" is no request", argv[optind]);
    struct error error = ERROR_INIT;
    struct meta *meta;
    struct meta_options options = META_OPTIONS_DEFAULT;
    options.must_exist = true;
    if (meta_open(arguments.data, &options, &error, &meta) != STATUS_OK) return command_failed(command, &error);
    struct arena *arena = arena_new((size_t)1 << 30);
    struct meta_deletion deletion, *list = NULL;
    size_t count = 0;
    enum status status = one ? meta_deletion(meta, 0, id, arena, &error, &deletion)
                             : meta_deletions(meta, arguments.project, -1, LIST_MAX, arena, &error, &list, &count);
    if (status != STATUS_OK)
        code = command_failed(command, &error);
    else if (one)
        code = print_one(command, arena, &deletion, arguments.json);
    else
        code = print_list(command, arena, list, count, arguments.json);
    arena_free(arena);
    meta_close(meta);
    return code;
}

static int run_list(int argc, char **argv)
{
    return look("cairn delete list", argc, argv, flags_list, false);
}
static int run_report(int argc, char **argv)
{
    return look("cairn delete report", argc, argv, flags_report, true);
}

int cmd_delete(int argc, char **argv)
{
    static const struct command commands[] = {
        {"person", run_person, "delete people and all that they did"},
        {"events", run_events, "delete events that match"},
        {"before", run_before, "delete events of an earlier time"},
        {"list", run_list, "show all requests"},
        {"report", run_report, "show what became of one request"},
        {0},
    };
    return command_dispatch("cairn delete", help, commands, argc, argv);
}
