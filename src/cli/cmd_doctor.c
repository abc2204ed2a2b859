#include "cli/command.h"

#include "base/number.h"
#include "cli/figures.h"
#include "identity/identity.h"
#include "meta/meta.h"
#include "os/peek.h"
#include "store/people_report.h"
#include "store/profiles.h"

#include <stdlib.h>

static const char help[] =
    "cairn doctor looks into a data directory for what is stored rightly but should not be there: ids that stand for\n"
    "many people (a constant that a client sends, a bot, the device of a kiosk), people with very many ids, events of\n"
    "nobody, names that are made from data, requests that nobody carries out. It says of each what to do.\n"
    "\n"
    "  cairn doctor --data DIR [--project N] [--json]\n"
    "\n"
    "  --data DIR       the data directory; a server may be running on it\n"
    "  --project N      only this project\n"
    "  --share PERCENT  an id is hot when so much of a project's events is its person's; default 1\n"
    "  --events N       ... and so many events; default 10000\n"
    "  --ids N          a person has many ids when there are so many; default 1000\n"
    "  --limit N        of each kind, list so many at most, largest first; default 20, at most 200\n"
    "  --json           print one JSON object and nothing else\n"
    "\n"
    "It reads the ids and, of the events, the lists of people; it changes nothing. Events that a server has in memory\n"
    "only, which are those of the last minutes, are not counted. Whether the files are whole is cairn verify's "
    "matter.\n"
    "Exit codes: 0 nothing found, 1 findings (or the work failed), 2 usage.\n"
    "\n"
    "Example:\n"
    "  cairn doctor --data /var/lib/cairn\n";

#define CACHE_BYTES     ((size_t)64 << 20)
#define ARENA_BYTES     ((size_t)1 << 30)
#define NAMES_MANY      10000u
#define NOBODY_PERCENT  10
#define WAITING_LISTED  10
#define SHOWN_BYTES_MAX 255

enum { DATA = 1000, PROJECT, SHARE, EVENTS, IDS, LIMIT, JSON };

struct arguments {
    const char *data;
    int64_t project;
    double share_percent;
    uint64_t events, ids, limit;
    bool json, help;
};

struct doctor {
    const struct arguments *arguments;
    struct arena *arena;
    struct error error;
    struct offline *offline;
    long server; /* the process that runs on the directory; 0: none */
    struct json findings;
    uint64_t count;
    bool damaged, failed;
};

static const char command[] = "cairn doctor";

/* ---- what is found ---- */

enum kind { HOT_ID, MANY_IDS, PLACEHOLDER_ID, NOBODY, MANY_EVENT_NAMES, MANY_PROPERTIES, WAITING };
static const struct {
    const char *name, *remedy;
} kinds[] = {
    [HOT_ID] =
        {"hot_id",
         "See what sends it: the same id in every copy of an app, a server's own id, a bot, a device that many use. "
         "Send the user's id or none, call reset() when a user leaves; cairn delete person removes the events."},
    [MANY_IDS] = {"many_ids",
                  "See what gives one person so many ids: reset() at every start, or one account that many use. cairn "
                  "identity show lists them, cairn identity unlink takes one out."},
    [PLACEHOLDER_ID] = {"placeholder_id",
                        "A client sends it where it has no id. Send none; cairn delete person removes the events."},
    [NOBODY] =
        {"events_of_nobody",
         "They came without an id, or with one that stands for none (\"\", null, undefined, 0, ...), and count as "
         "events but not as people. Send $device_id, $user_id or distinct_id where somebody did something."},
    [MANY_EVENT_NAMES] = {"many_event_names",
                          "Names are made from data, such as addresses or ids. Put what differs into a property."},
    [MANY_PROPERTIES] = {"many_properties",
                         "Names of properties are made from data, such as ids used as keys. Put them into a list or a "
                         "value."},
    [WAITING] = {"request_waits", "Start the server: requests to delete and to unlink are carried out by it."},
};

/* `rows`, `of` and `ids`: what the finding counts; 0: nothing. */
static void found(struct doctor *doctor, enum kind kind, int64_t project, struct str id, uint64_t rows, uint64_t of,
                  uint64_t ids, struct str what)
{
    struct arena *arena = doctor->arena;
    doctor->count++;
    if (!doctor->arguments->json) {
        printf("project %lld: " STR_FMT "\n  %s\n", (long long)project, STR_ARG(what), kinds[kind].remedy);
        return;
    }
    struct json object = JSON_OBJECT_EMPTY;
    enum status status = json_put(arena, &object, STR("kind"), json_string(str_of(kinds[kind].name)));
    if (status == STATUS_OK) status = json_put(arena, &object, STR("project_id"), json_int(project));
    if (status == STATUS_OK && id.data)
        status = json_put(arena, &object, STR("distinct_id"), json_string(arena_str(arena, id)));
    if (status == STATUS_OK && of) status = json_put(arena, &object, STR("events"), json_int((int64_t)rows));
    if (status == STATUS_OK && of)
        status = json_put(arena, &object, STR("percent"), json_number((double)(rows * 10000 / of) / 100));
    if (status == STATUS_OK && ids) status = json_put(arena, &object, STR("ids"), json_int((int64_t)ids));
    if (status == STATUS_OK) status = json_put(arena, &object, STR("what"), json_string(what));
    if (status == STATUS_OK) status = json_put(arena, &object, STR("do"), json_string(str_of(kinds[kind].remedy)));
    if (status == STATUS_OK) status = json_push(arena, &doctor->findings, object);
    doctor->failed |= status != STATUS_OK;
}

/* `1 234 of 5 678 events (21.73 %)` */
static struct str share_text(struct arena *arena, uint64_t rows, uint64_t of)
{
    return arena_printf(arena, STR_FMT " of " STR_FMT " events (%.2f %%)", STR_ARG(figure_count(arena, rows)),
                        STR_ARG(figure_count(arena, of)), of ? (double)rows * 100 / (double)of : 0);
}

static void report_people(struct doctor *doctor, int64_t project, const struct people_report *report)
{
    struct arena *arena = doctor->arena;
    for (uint32_t i = 0; i < report->heavy_count; i++) {
        const struct people_report_entry *one = &report->heavy[i];
        found(doctor, HOT_ID, project, one->shown, one->rows, report->rows, one->ids,
              arena_printf(arena, "\"" STR_FMT "\" has " STR_FMT ", under %u id%s",
                           STR_ARG(str_slice(one->shown, 0, SHOWN_BYTES_MAX)),
                           STR_ARG(share_text(arena, one->rows, report->rows)), one->ids, one->ids == 1 ? "" : "s"));
    }
    for (uint32_t i = 0; i < report->large_count; i++) {
        const struct people_report_entry *one = &report->large[i];
        found(doctor, MANY_IDS, project, one->shown, one->rows, report->rows, one->ids,
              arena_printf(arena, "\"" STR_FMT "\" is shown for a person of " STR_FMT " ids",
                           STR_ARG(str_slice(one->shown, 0, SHOWN_BYTES_MAX)), STR_ARG(figure_count(arena, one->ids))));
    }
    if (report->rows_of_nobody && report->rows_of_nobody >= report->rows / 100 * NOBODY_PERCENT &&
        report->rows_of_nobody >= doctor->arguments->events)
        found(doctor, NOBODY, project, STR_NULL, report->rows_of_nobody, report->rows, 0,
              arena_printf(arena, STR_FMT " belong to nobody",
                           STR_ARG(share_text(arena, report->rows_of_nobody, report->rows))));
}

/* What programs put where they have nothing; those that identity_denied knows came in before it did, if at all. */
static void look_for_placeholders(struct doctor *doctor, const struct offline_project *project)
{
    static const char *const texts[] = {
        "(null)",     "<null>",       "NULL",        "Null",
        "null",       "nil",          "(nil)",       "None",
        "none",       "NaN",          "nan",         "undefined",
        "unknown",    "Unknown",      "anonymous",   "[object Object]",
        "{}",         "[]",           "false",       "true",
        "0",          "-1",           "guest",       "Guest",
        "user_id",    "USER_ID",      "userId",      "user-id",
        "%s",         "{user_id}",    "{{user_id}}", "${userId}",
        "${user_id}", "YOUR_USER_ID", "distinct_id", "00000000-0000-0000-0000-000000000000",
    };
    for (size_t i = 0; i < 2 * sizeof texts / sizeof *texts; i++) {
        char device[64];
        snprintf(device, sizeof device, IDENTITY_DEVICE_PREFIX "%s", texts[i / 2]);
        struct str text = i % 2 ? str_of(device) : str_of(texts[i / 2]);
        uint32_t id = id_graph_find(project->ids, text);
        if (!id) continue;
        found(doctor, PLACEHOLDER_ID, (int64_t)project->id, text, 0, 0, 0,
              arena_printf(doctor->arena, "\"" STR_FMT "\" is taken for somebody's id", STR_ARG(text)));
    }
}

static void look_at_names(struct doctor *doctor, const struct offline_project *project)
{
    struct arena *arena = doctor->arena;
    if (project->event_count >= NAMES_MANY)
        found(doctor, MANY_EVENT_NAMES, (int64_t)project->id, STR_NULL, 0, 0, 0,
              arena_printf(arena, STR_FMT " names of events", STR_ARG(figure_count(arena, project->event_count))));
    if (project->property_count >= NAMES_MANY)
        found(
            doctor, MANY_PROPERTIES, (int64_t)project->id, STR_NULL, 0, 0, 0,
            arena_printf(arena, STR_FMT " names of properties", STR_ARG(figure_count(arena, project->property_count))));
}

static enum status look_at_project(struct doctor *doctor, const struct offline_project *project)
{
    const struct arguments *a = doctor->arguments;
    const struct people_report_options options = {.rows_min = a->events,
                                                  .share_min = a->share_percent / 100,
                                                  .ids_min = (uint32_t)a->ids,
                                                  .list_max = (uint32_t)a->limit};
    struct people_report report;
    TRY(people_report(doctor->offline, project, &options, doctor->arena, &doctor->error, &report));
    report_people(doctor, (int64_t)project->id, &report);
    look_for_placeholders(doctor, project);
    look_at_names(doctor, project);
    return STATUS_OK;
}

/* ---- requests that wait ---- */

static void request_waits(struct doctor *doctor, int64_t project, const char *what, int64_t id, int64_t requested_ms)
{
    struct arena *arena = doctor->arena;
    found(doctor, WAITING, project, STR_NULL, 0, 0, 0,
          arena_printf(arena, "request %lld to %s waits since " STR_FMT " UTC, and no server runs", (long long)id, what,
                       STR_ARG(command_time(arena, requested_ms))));
}

static enum status look_at_requests(struct doctor *doctor)
{
    const struct arguments *a = doctor->arguments;
    struct meta_options options = META_OPTIONS_DEFAULT;
    struct meta_deletion *deletions = NULL;
    struct meta_unlink *unlinks = NULL;
    size_t deletion_count = 0, unlink_count = 0;
    struct meta *meta;
    options.must_exist = options.keep_schema = true;
    enum status status = meta_open(a->data, &options, &doctor->error, &meta);
    if (status == STATUS_NOT_FOUND || status == STATUS_CONFLICT) return STATUS_OK; /* no projects; an older version's */
    TRY(status);
    status = meta_deletions(meta, a->project, META_DELETION_PENDING, WAITING_LISTED, doctor->arena, &doctor->error,
                            &deletions, &deletion_count);
    if (status == STATUS_OK)
        status = meta_unlinks(meta, a->project, META_UNLINK_PENDING, WAITING_LISTED, doctor->arena, &doctor->error,
                              &unlinks, &unlink_count);
    meta_close(meta);
    TRY(status);
    for (size_t i = 0; i < deletion_count && !doctor->server; i++)
        request_waits(doctor, deletions[i].project_id, "delete", deletions[i].id, deletions[i].requested_ms);
    for (size_t i = 0; i < unlink_count && !doctor->server; i++)
        request_waits(doctor, unlinks[i].project_id, "unlink an id", unlinks[i].id, unlinks[i].requested_ms);
    return STATUS_OK;
}

/* ---- the whole ---- */

static void note_damage(void *ctx, const struct finding *finding)
{
    struct doctor *doctor = ctx;
    if (finding->kind != FINDING_DAMAGE) return;
    doctor->damaged = true;
    fprintf(stderr, "%s: %s: %s\n", command, finding->file, finding->what);
}

static enum status look_at_all(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->offline->project_count; i++) {
        const struct offline_project *project = &doctor->offline->projects[i];
        if (store_is_profiles(project->id)) continue;
        if (manifest_is_dropped(&doctor->offline->manifest, project->id)) continue;
        if (doctor->arguments->project && doctor->arguments->project != (int64_t)project->id) continue;
        TRY(look_at_project(doctor, project));
    }
    return look_at_requests(doctor);
}

static enum status look(struct doctor *doctor)
{
    struct os_fs *fs;
    TRY(os_posix_new(doctor->arguments->data, &doctor->error, &fs));
    const struct offline_options options = {.fs = fs, .cache_bytes = CACHE_BYTES, .sink = {note_damage, doctor}};
    enum status status = offline_open(&options, &doctor->error, &doctor->offline);
    if (status == STATUS_OK && doctor->offline->catalogs_damaged) {
        status = error_set(&doctor->error, STATUS_CORRUPT, "the catalogs of ids and names are damaged");
        error_hint(&doctor->error, "cairn verify --data DIR says what is wrong with which file");
    }
    if (status == STATUS_OK) status = look_at_all(doctor);
    offline_free(doctor->offline);
    os_fs_free(fs);
    return status;
}

static int print_json(struct doctor *doctor)
{
    struct json object = JSON_OBJECT_EMPTY;
    enum status status = json_put(doctor->arena, &object, STR("findings"), doctor->findings);
    if (status == STATUS_OK && !doctor->failed) return command_print_json(&object);
    fprintf(stderr, "%s: the findings do not fit into memory\n", command);
    return EXIT_FAILED;
}

static int run(const struct arguments *arguments)
{
    struct doctor doctor = {.arguments = arguments,
                            .arena = arena_new(ARENA_BYTES),
                            .error = ERROR_INIT,
                            .server = os_lock_holder(arguments->data),
                            .findings = JSON_ARRAY_EMPTY};
    int code;
    if (look(&doctor) != STATUS_OK) {
        code = command_failed(command, &doctor.error);
    } else if (arguments->json) {
        code = print_json(&doctor);
    } else {
        if (!doctor.count) puts("Nothing was found.");
        code = command_finish_output();
    }
    if (doctor.damaged) fprintf(stderr, "%s: some files cannot be read, see cairn verify\n", command);
    arena_free(doctor.arena);
    return code == EXIT_DONE && (doctor.count || doctor.damaged) ? EXIT_FAILED : code;
}

static int take(int flag, struct arguments *a)
{
    double percent;
    switch (flag) {
    case DATA: a->data = optarg; return EXIT_DONE;
    case PROJECT:
        if (number_parse_int(str_of(optarg), &a->project) && a->project >= 1 && a->project <= META_PROJECT_ID_MAX)
            return EXIT_DONE;
        return command_usage(command, "\"%s\" is no project id", optarg);
    case SHARE:
        if (number_parse(str_of(optarg), &percent) && percent >= 0 && percent <= 100) {
            a->share_percent = percent;
            return EXIT_DONE;
        }
        return command_usage(command, "--share %s is no percentage from 0 to 100", optarg);
    case EVENTS:
        if (number_parse_unsigned(str_of(optarg), UINT64_MAX, &a->events)) return EXIT_DONE;
        return command_usage(command, "--events %s is no number of events", optarg);
    case IDS:
        if (number_parse_unsigned(str_of(optarg), UINT32_MAX, &a->ids) && a->ids >= 2) return EXIT_DONE;
        return command_usage(command, "--ids %s is no number from 2 on", optarg);
    case LIMIT:
        if (number_parse_unsigned(str_of(optarg), PEOPLE_REPORT_MAX, &a->limit) && a->limit) return EXIT_DONE;
        return command_usage(command, "--limit %s is no number from 1 to %u", optarg, PEOPLE_REPORT_MAX);
    case JSON: a->json = true; return EXIT_DONE;
    case 'h': a->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

int cmd_doctor(int argc, char **argv)
{
    static const struct option flags[] = {FLAG_DATA,
                                          {"project", required_argument, NULL, PROJECT},
                                          {"share", required_argument, NULL, SHARE},
                                          {"events", required_argument, NULL, EVENTS},
                                          {"ids", required_argument, NULL, IDS},
                                          {"limit", required_argument, NULL, LIMIT},
                                          FLAG_JSON,
                                          FLAG_HELP,
                                          {0}};
    struct arguments arguments = {.share_percent = 1, .events = 10000, .ids = 1000, .limit = 20};
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(flag, &arguments);
        if (code != EXIT_DONE) return code;
    }
    if (arguments.help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    if (optind < argc) return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    if (!arguments.data || !arguments.data[0]) return command_usage(command, "--data DIR is missing");
    return run(&arguments);
}
