#include "cli/command.h"

#include "base/number.h"
#include "meta/meta.h"
#include "store/has_data.h"

static const char help[] =
    "cairn project makes and shows the projects of a data directory. It works whether or not a server runs on the\n"
    "directory, and a running server sees the change at once.\n"
    "\n"
    "  cairn project create --data DIR --name NAME [--id N] [--token T] [--timezone TZ]\n"
    "                       [--identity simplified|original|legacy] [--json]\n"
    "  cairn project list   --data DIR [--json]\n"
    "  cairn project show   --data DIR PROJECT [--json]\n"
    "  cairn project set    --data DIR PROJECT [--retention DAYS] [--export-days utc|local] [--identity MODE] "
    "[--json]\n"
    "  cairn project delete --data DIR PROJECT --yes\n"
    "\n"
    "  --data DIR       the data directory; create makes it when it is missing\n"
    "  --name NAME      1 to 255 bytes\n"
    "  --id N           choose the project id; ids of deleted projects are never used again\n"
    "  --token T        choose the token, 32 lower-case hexadecimal digits; clients send events with it\n"
    "  --timezone TZ    like Europe/Berlin; the days of reports begin at its midnight; default UTC\n"
    "  --identity MODE  how anonymous ids and users are joined, fixed once the project has data; default simplified\n"
    "  --retention DAYS delete events when they are older; 0: keep them for ever, which is the default\n"
    "  --export-days    days of raw exports: UTC's, the default, or those of the time zone\n"
    "  --json           print one JSON object and nothing else\n"
    "  --yes            delete without asking\n"
    "\n"
    "The secret is shown once, by create. Example:\n"
    "  cairn project create --data ./data --name Shop --timezone Europe/Berlin\n";

struct arguments {
    const char *data;
    struct meta_project_spec spec;
    int64_t retention_days; /* -1: not given */
    int export_local_days;  /* likewise */
    bool identity_given, json, yes, help;
};

static bool parse_id(const char *text, int64_t *ret_id)
{
    return number_parse_int(str_of(text), ret_id) && *ret_id >= 1 && *ret_id <= META_PROJECT_ID_MAX;
}

enum { DATA = 1000, NAME, ID, TOKEN, TIMEZONE, IDENTITY, RETENTION, EXPORT_DAYS, JSON, YES };

static int take(const char *command, int flag, struct arguments *arguments)
{
    switch (flag) {
    case DATA: arguments->data = optarg; return EXIT_DONE;
    case NAME: arguments->spec.name = str_of(optarg); return EXIT_DONE;
    case ID:
        if (parse_id(optarg, &arguments->spec.id)) return EXIT_DONE;
        return command_usage(command, "\"%s\" is no project id: give a number from 1 to %lld", optarg,
                             (long long)META_PROJECT_ID_MAX);
    case TOKEN: arguments->spec.token = str_of(optarg); return EXIT_DONE;
    case TIMEZONE: arguments->spec.timezone = str_of(optarg); return EXIT_DONE;
    case IDENTITY:
        arguments->identity_given = true;
        if (meta_identity_parse(str_of(optarg), &arguments->spec.identity)) return EXIT_DONE;
        return command_usage(command, "\"%s\" is no identity mode: use simplified, original or legacy", optarg);
    case RETENTION:
        if (number_parse_int(str_of(optarg), &arguments->retention_days) && arguments->retention_days >= 0 &&
            arguments->retention_days <= META_RETENTION_DAYS_MAX)
            return EXIT_DONE;
        return command_usage(command, "\"%s\" is no number of days from 0 to %d", optarg, META_RETENTION_DAYS_MAX);
    case EXPORT_DAYS:
        if (strcmp(optarg, "utc") != 0 && strcmp(optarg, "local") != 0)
            return command_usage(command, "--export-days %s: use utc or local", optarg);
        arguments->export_local_days = optarg[0] == 'l';
        return EXIT_DONE;
    case JSON: arguments->json = true; return EXIT_DONE;
    case YES: arguments->yes = true; return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

/* clang-format off */
#define FLAG_ID {"id", required_argument, NULL, ID}
/* clang-format on */
static const struct option flags_create[] = {
    FLAG_DATA,
    {"name", required_argument, NULL, NAME},
    FLAG_ID,
    {"token", required_argument, NULL, TOKEN},
    {"timezone", required_argument, NULL, TIMEZONE},
    {"identity", required_argument, NULL, IDENTITY},
    FLAG_JSON,
    FLAG_HELP,
    {0},
};
static const struct option flags_list[] = {FLAG_DATA, FLAG_JSON, FLAG_HELP, {0}};
/* The project may be given by --id as well, as create takes it. */
static const struct option flags_show[] = {FLAG_DATA, FLAG_ID, FLAG_JSON, FLAG_HELP, {0}};
static const struct option flags_set[] = {
    FLAG_DATA,
    FLAG_ID,
    {"retention", required_argument, NULL, RETENTION},
    {"export-days", required_argument, NULL, EXPORT_DAYS},
    {"identity", required_argument, NULL, IDENTITY},
    FLAG_JSON,
    FLAG_HELP,
    {0},
};
static const struct option flags_delete[] = {FLAG_DATA, FLAG_ID, {"yes", no_argument, NULL, YES}, FLAG_HELP, {0}};

static int parse(const char *command, int argc, char **argv, const struct option *flags, bool wants_project,
                 struct arguments *arguments)
{
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, arguments);
        if (code != EXIT_DONE || arguments->help) return code;
    }
    if (wants_project) {
        if (optind < argc && arguments->spec.id == 0 && !parse_id(argv[optind++], &arguments->spec.id))
            return command_usage(command, "\"%s\" is no project id", argv[optind - 1]);
        if (arguments->spec.id == 0) return command_usage(command, "the project id is missing");
    }
    if (optind < argc) return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    if (arguments->data == NULL || arguments->data[0] == '\0') return command_usage(command, "--data DIR is missing");
    return EXIT_DONE;
}

/* ---- Output ---- */

static enum status put_project(struct arena *arena, const struct meta_project *project, struct str secret,
                               struct json *ret_object)
{
    struct json object = JSON_OBJECT_EMPTY;
    TRY(json_put(arena, &object, STR("project_id"), json_int(project->id)));
    TRY(json_put(arena, &object, STR("name"), json_string(project->name)));
    TRY(json_put(arena, &object, STR("token"), json_string(project->token)));
    if (secret.size) TRY(json_put(arena, &object, STR("secret"), json_string(secret)));
    TRY(json_put(arena, &object, STR("timezone"), json_string(project->timezone)));
    TRY(json_put(arena, &object, STR("identity"), json_string(str_of(meta_identity_name(project->identity)))));
    TRY(json_put(arena, &object, STR("retention_days"), json_int(project->retention_days)));
    struct str days = project->export_local_days ? STR("local") : STR("utc");
    TRY(json_put(arena, &object, STR("export_days"), json_string(days)));
    TRY(json_put(arena, &object, STR("created_ms"), json_int(project->created_ms)));
    *ret_object = object;
    return STATUS_OK;
}

static int out_of_memory(const char *command)
{
    struct error error = ERROR_INIT;
    (void)error_set(&error, STATUS_LIMIT, "out of memory");
    return command_failed(command, &error);
}

static int print_project(const char *command, struct arena *arena, const struct meta_project *project,
                         struct str secret, bool as_json)
{
    if (as_json) {
        struct json object;
        if (put_project(arena, project, secret, &object) != STATUS_OK) return out_of_memory(command);
        return command_print_json(&object);
    }
    struct str id = arena_printf(arena, "%lld", (long long)project->id);
    struct str created = arena_printf(arena, STR_FMT " UTC", STR_ARG(command_time(arena, project->created_ms)));
    const struct str rows[] = {
        STR("project_id"),
        id,
        STR("name"),
        project->name,
        STR("token"),
        project->token,
        STR("timezone"),
        project->timezone,
        STR("identity"),
        str_of(meta_identity_name(project->identity)),
        STR("retention"),
        project->retention_days ? arena_printf(arena, "%lld days", (long long)project->retention_days)
                                : STR("for ever"),
        STR("exports"),
        project->export_local_days ? STR("by local days") : STR("by UTC days"),
        STR("created"),
        created,
        STR("secret"),
        secret,
    };
    size_t count = sizeof rows / sizeof *rows / 2 - (secret.size == 0);
    int code = command_print_table(rows, 2, count);
    if (secret.size) fputs("The secret is not stored and will not be shown again.\n", stderr);
    return code;
}

static int print_projects(const char *command, struct arena *arena, const struct meta_view *view, bool as_json)
{
    enum { COLUMNS = 6 };
    size_t count;
    const struct meta_project *projects = meta_view_projects(view, &count);
    struct json list = JSON_ARRAY_EMPTY, object = JSON_OBJECT_EMPTY;
    struct str *cells = arena_new_array(arena, struct str, (count + 1) * COLUMNS);
    if (cells == NULL) return out_of_memory(command);
    const struct str heading[COLUMNS] = {STR("PROJECT_ID"), STR("TOKEN"),   STR("TIMEZONE"),
                                         STR("IDENTITY"),   STR("CREATED"), STR("NAME")};
    memcpy(cells, heading, sizeof heading);
    for (size_t i = 0; i < count; i++) {
        const struct meta_project *project = &projects[i];
        struct json entry;
        if (put_project(arena, project, STR_NULL, &entry) != STATUS_OK || json_push(arena, &list, entry) != STATUS_OK)
            return out_of_memory(command);
        const struct str row[COLUMNS] = {arena_printf(arena, "%lld", (long long)project->id),
                                         project->token,
                                         project->timezone,
                                         str_of(meta_identity_name(project->identity)),
                                         command_time(arena, project->created_ms),
                                         project->name};
        memcpy(cells + (i + 1) * COLUMNS, row, sizeof row);
    }
    if (!as_json) return command_print_table(cells, COLUMNS, count + 1);
    if (json_put(arena, &object, STR("projects"), list) != STATUS_OK) return out_of_memory(command);
    return command_print_json(&object);
}

/* ---- The commands ---- */

/* What they need while they run. */
struct work {
    const char *command;
    const struct arguments *arguments;
    struct meta *meta;
    struct arena *arena;
};

static int create(struct work *work)
{
    struct error error = ERROR_INIT;
    struct meta_project project;
    struct str secret;
    if (meta_project_create(work->meta, &work->arguments->spec, work->arena, &error, &project, &secret) != STATUS_OK)
        return command_failed(work->command, &error);
    return print_project(work->command, work->arena, &project, secret, work->arguments->json);
}

static int list(struct work *work)
{
    struct error error = ERROR_INIT;
    struct meta_view *view = NULL;
    if (meta_view_load(work->meta, &error, &view) != STATUS_OK) return command_failed(work->command, &error);
    int code = print_projects(work->command, work->arena, view, work->arguments->json);
    meta_view_unref(view);
    return code;
}

static int not_found(struct work *work)
{
    struct error error = ERROR_INIT;
    (void)error_set(&error, STATUS_NOT_FOUND, "no project has the id %lld", (long long)work->arguments->spec.id);
    error_hint(&error, "cairn project list shows them all");
    return command_failed(work->command, &error);
}

static int show(struct work *work)
{
    struct error error = ERROR_INIT;
    struct meta_view *view = NULL;
    if (meta_view_load(work->meta, &error, &view) != STATUS_OK) return command_failed(work->command, &error);
    const struct meta_project *project = meta_view_project(view, work->arguments->spec.id);
    int code =
        project ? print_project(work->command, work->arena, project, STR_NULL, work->arguments->json) : not_found(work);
    meta_view_unref(view);
    return code;
}

/* What is stored was joined as the mode said then, and cannot be joined anew. */
static enum status set_identity(const struct work *work, const struct meta_project *project, struct error *error)
{
    enum meta_identity wanted = work->arguments->spec.identity;
    struct os_fs *fs;
    bool has_data = false;
    if (project->identity == wanted) return STATUS_OK;
    TRY(os_posix_new(work->arguments->data, error, &fs));
    enum status status = store_has_data(fs, (uint64_t)project->id, error, &has_data);
    os_fs_free(fs);
    TRY(status);
    if (!has_data) return meta_project_set_identity(work->meta, project->id, wanted, error);
    error_set(error, STATUS_CONFLICT, "project %lld has data, which was joined in the %s mode: the mode stays",
              (long long)project->id, meta_identity_name(project->identity));
    error_hint(error, "make a new project with --identity %s and bring the events in again: cairn export, cairn import",
               meta_identity_name(wanted));
    return STATUS_CONFLICT;
}

static int set(struct work *work)
{
    const struct arguments *arguments = work->arguments;
    struct error error = ERROR_INIT;
    struct meta_view *view = NULL;
    if (meta_view_load(work->meta, &error, &view) != STATUS_OK) return command_failed(work->command, &error);
    const struct meta_project *project = meta_view_project(view, arguments->spec.id);
    if (!project) {
        meta_view_unref(view);
        return not_found(work);
    }
    enum status status = arguments->identity_given ? set_identity(work, project, &error) : STATUS_OK;
    meta_view_unref(view);
    if (status == STATUS_OK && arguments->retention_days >= 0)
        status = meta_project_set_retention(work->meta, arguments->spec.id, arguments->retention_days, &error);
    if (status == STATUS_OK && arguments->export_local_days >= 0)
        status = meta_project_set_export_days(work->meta, arguments->spec.id, arguments->export_local_days > 0, &error);
    return status == STATUS_OK ? show(work) : command_failed(work->command, &error);
}

/* Asks a person at a terminal; anybody else must have said --yes. */
static int confirm(struct work *work, const struct meta_project *project)
{
    if (work->arguments->yes) return EXIT_DONE;
    if (!command_interactive())
        return command_usage(work->command, "--yes is missing: project %lld would be gone for ever",
                             (long long)project->id);
    fprintf(stderr, "Delete project %lld \"" STR_FMT "\"? Neither it nor its id and token come back. [y/N] ",
            (long long)project->id, STR_ARG(project->name));
    char answer[8];
    if (fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y')) return EXIT_DONE;
    fputs("Nothing was deleted.\n", stderr);
    return EXIT_FAILED;
}

static int delete (struct work *work)
{
    struct error error = ERROR_INIT;
    struct meta_view *view = NULL;
    if (meta_view_load(work->meta, &error, &view) != STATUS_OK) return command_failed(work->command, &error);
    const struct meta_project *project = meta_view_project(view, work->arguments->spec.id);
    int code = project ? confirm(work, project) : not_found(work);
    meta_view_unref(view);
    if (code != EXIT_DONE) return code;
    if (meta_project_delete(work->meta, work->arguments->spec.id, &error) != STATUS_OK)
        return command_failed(work->command, &error);
    fprintf(stderr, "project %lld is deleted\n", (long long)work->arguments->spec.id);
    return EXIT_DONE;
}

static int run(const char *command, const struct arguments *arguments, bool must_exist, int (*step)(struct work *))
{
    struct error error = ERROR_INIT;
    struct meta_options options = META_OPTIONS_DEFAULT;
    options.must_exist = must_exist;
    struct work work = {.command = command, .arguments = arguments};
    if (meta_open(arguments->data, &options, &error, &work.meta) != STATUS_OK) return command_failed(command, &error);
    work.arena = arena_new((size_t)1 << 30);
    int code = step(&work);
    arena_free(work.arena);
    meta_close(work.meta);
    return code;
}

static int parse_and_run(const char *command, int argc, char **argv, const struct option *flags, bool wants_project,
                         int (*step)(struct work *))
{
    struct arguments arguments = {.retention_days = -1, .export_local_days = -1};
    int code = parse(command, argc, argv, flags, wants_project, &arguments);
    if (code != EXIT_DONE) return code;
    if (arguments.help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    if (step == create && arguments.spec.name.size == 0) return command_usage(command, "--name NAME is missing");
    if (step == set && arguments.retention_days < 0 && arguments.export_local_days < 0 && !arguments.identity_given)
        return command_usage(command, "--retention DAYS, --export-days or --identity MODE is missing");
    return run(command, &arguments, step != create, step);
}

static int run_create(int argc, char **argv)
{
    return parse_and_run("cairn project create", argc, argv, flags_create, false, create);
}
static int run_list(int argc, char **argv)
{
    return parse_and_run("cairn project list", argc, argv, flags_list, false, list);
}
static int run_show(int argc, char **argv)
{
    return parse_and_run("cairn project show", argc, argv, flags_show, true, show);
}
static int run_set(int argc, char **argv)
{
    return parse_and_run("cairn project set", argc, argv, flags_set, true, set);
}
static int run_delete(int argc, char **argv)
{
    return parse_and_run("cairn project delete", argc, argv, flags_delete, true, delete);
}

int cmd_project(int argc, char **argv)
{
    static const struct command commands[] = {
        {"create", run_create, "make a project"},
        {"list", run_list, "show all projects"},
        {"show", run_show, "show one project"},
        {"set", run_set, "change how long a project keeps events, or how it joins ids"},
        {"delete", run_delete, "delete a project"},
        {0},
    };
    return command_dispatch("cairn project", help, commands, argc, argv);
}
