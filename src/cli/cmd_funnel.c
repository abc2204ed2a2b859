#include "cli/command.h"

#include "api/saved.h"
#include "base/number.h"
#include "server/config.h"
#include "server/options.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "cairn funnel keeps the saved funnels of a project, which /funnels answers. It works whether or not a server runs on\n"
    "the directory, and a running server sees the change at once.\n"
    "\n"
    "  cairn funnel create --data DIR --project N --name NAME --step EVENT [--step EVENT]... [--window 7d] [--json]\n"
    "  cairn funnel create --data DIR --project N [--name NAME] FILE [--json]\n"
    "  cairn funnel list   --data DIR --project N [--json]\n"
    "  cairn funnel show   --data DIR --project N FUNNEL\n"
    "  cairn funnel delete --data DIR --project N FUNNEL --yes\n"
    "\n"
    "  --data DIR      the data directory\n"
    "  --project N     the project's id\n"
    "  --name NAME     1 to 255 bytes, unique in the project\n"
    "  --step EVENT    the event of the next step; may be repeated\n"
    "  --window TIME   people have so long from the first step on: a number of s, m, h, d or w; default 7d\n"
    "  --config FILE   read the limits of funnels from FILE (saved.funnels_max and so on), as the server does\n"
    "  --json          print one JSON object and nothing else\n"
    "  --yes           delete without asking\n"
    "  FUNNEL          a funnel's id or name\n"
    "  FILE            a JSON object with the steps and everything else a funnel can have, as the API takes it;\n"
    "                  - is standard input\n"
    "\n"
    "Example:\n"
    "  cairn funnel create --data ./data --project 1 --name Purchase --step View --step Cart --step Buy --window 3d\n";

#define STEPS_MAX      100
#define FILE_BYTES_MAX ((size_t)4 << 20)

struct arguments {
    const char *data, *config, *word;
    int64_t project_id;
    struct str name, steps[STEPS_MAX], window;
    size_t step_count;
    bool json, yes, help;
};

enum { DATA = 1000, PROJECT, NAME, STEP, WINDOW, CONFIG, JSON, YES };

static int take(const char *command, int flag, struct arguments *arguments)
{
    switch (flag) {
    case DATA: arguments->data = optarg; return EXIT_DONE;
    case PROJECT:
        if (number_parse_int(str_of(optarg), &arguments->project_id) && arguments->project_id >= 1 &&
            arguments->project_id <= META_PROJECT_ID_MAX)
            return EXIT_DONE;
        return command_usage(command, "\"%s\" is no project id", optarg);
    case NAME: arguments->name = str_of(optarg); return EXIT_DONE;
    case STEP:
        if (arguments->step_count == STEPS_MAX) return command_usage(command, "more than %d steps", STEPS_MAX);
        arguments->steps[arguments->step_count++] = str_of(optarg);
        return EXIT_DONE;
    case WINDOW: arguments->window = str_of(optarg); return EXIT_DONE;
    case CONFIG: arguments->config = optarg; return EXIT_DONE;
    case JSON: arguments->json = true; return EXIT_DONE;
    case YES: arguments->yes = true; return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

struct work {
    const char *command;
    const struct arguments *arguments;
    struct options *options;
    struct meta *meta;
    struct arena *arena;
    struct error error;
};

static int failed(struct work *work)
{
    return command_failed(work->command, &work->error);
}

static enum status no_memory(struct work *work)
{
    return error_set(&work->error, STATUS_LIMIT, "out of memory");
}

/* --- output --- */

static int print_object(struct work *work, const struct meta_saved *saved)
{
    struct buf text = BUF_INIT(META_SAVED_DEFINITION_MAX * 2);
    struct json object;
    saved_document_write(&text, saved);
    enum status status = buf_status(&text);
    if (status == STATUS_OK) status = json_parse(work->arena, buf_str(&text), NULL, &work->error, &object);
    buf_fini(&text);
    if (status != STATUS_OK) return failed(work);
    return command_print_json(&object);
}

static int print_saved(struct work *work, int64_t id)
{
    struct meta_saved saved;
    if (meta_saved(work->meta, work->arguments->project_id, META_SAVED_FUNNEL, id, work->arena, &work->error, &saved) !=
        STATUS_OK)
        return failed(work);
    return print_object(work, &saved);
}

/* --- the funnel that is meant --- */

static enum status find(struct work *work, int64_t *ret_id)
{
    struct str wanted = str_of(work->arguments->word);
    struct meta_saved *list;
    size_t count;
    int64_t id = 0;
    bool numeric = number_parse_int(wanted, &id);
    TRY(meta_saved_list(work->meta, work->arguments->project_id, META_SAVED_FUNNEL, work->arena, &work->error, &list,
                        &count));
    for (size_t i = 0; i < count; i++) {
        if (!(numeric && list[i].id == id) && !str_eq(list[i].name, wanted)) continue;
        *ret_id = list[i].id;
        return STATUS_OK;
    }
    (void)error_set(&work->error, STATUS_NOT_FOUND, "project %lld has no funnel \"%.64s\"",
                    (long long)work->arguments->project_id, work->arguments->word);
    error_hint(&work->error, "cairn funnel list shows them all");
    return STATUS_NOT_FOUND;
}

/* --- the document --- */

static enum status read_file(struct work *work, struct json *ret_document)
{
    const char *path = work->arguments->word;
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    struct buf text = BUF_INIT(FILE_BYTES_MAX);
    if (!file) return error_set_os(&work->error, STATUS_IO, errno, "cannot open \"%s\"", path);
    for (;;) {
        char *place = buf_reserve(&text, 4096);
        size_t got = place ? fread(place, 1, 4096, file) : 0;
        if (!got) break;
        buf_advance(&text, got);
    }
    bool broken = ferror(file);
    if (!standard) fclose(file);
    enum status status = broken ? error_set(&work->error, STATUS_IO, "cannot read \"%s\"", path) : buf_status(&text);
    if (status == STATUS_LIMIT)
        error_set(&work->error, status, "\"%s\" is larger than %zu bytes", path, FILE_BYTES_MAX);
    if (status == STATUS_OK) status = json_parse(work->arena, buf_str(&text), NULL, &work->error, ret_document);
    if (status == STATUS_INVALID) error_prefix(&work->error, "%s", path);
    buf_fini(&text);
    return status;
}

static enum status put_window(struct work *work, struct json *document)
{
    static const struct {
        char letter;
        struct str unit;
    } units[] = {{'s', {"second", 6}}, {'m', {"minute", 6}}, {'h', {"hour", 4}}, {'d', {"day", 3}}, {'w', {"week", 4}}};
    struct str text = work->arguments->window;
    struct json window = JSON_OBJECT_EMPTY;
    int64_t length;
    size_t u = 0;
    while (text.size > 1 && u < sizeof units / sizeof *units && units[u].letter != text.data[text.size - 1]) u++;
    if (text.size < 2 || u == sizeof units / sizeof *units ||
        !number_parse_int(str_slice(text, 0, text.size - 1), &length))
        return error_set(&work->error, STATUS_INVALID, "\"" STR_FMT "\" is no window like 90m, 12h or 7d",
                         STR_ARG(text));
    if (json_put(work->arena, &window, STR("length"), json_int(length)) != STATUS_OK ||
        json_put(work->arena, &window, STR("unit"), json_string(units[u].unit)) != STATUS_OK ||
        json_put(work->arena, document, STR("window"), window) != STATUS_OK)
        return no_memory(work);
    return STATUS_OK;
}

/* What the flags say, over what stands in the file. */
static enum status make_document(struct work *work, struct json *ret_document)
{
    const struct arguments *arguments = work->arguments;
    struct json document = JSON_OBJECT_EMPTY, steps = JSON_ARRAY_EMPTY;
    if (arguments->word) TRY(read_file(work, &document));
    if (document.type != JSON_OBJECT) return error_set(&work->error, STATUS_INVALID, "a funnel must be a JSON object");
    for (size_t i = 0; i < arguments->step_count; i++) {
        struct json step = JSON_OBJECT_EMPTY;
        if (json_put(work->arena, &step, STR("event"), json_string(arguments->steps[i])) != STATUS_OK ||
            json_push(work->arena, &steps, step) != STATUS_OK)
            return no_memory(work);
    }
    if (arguments->step_count && json_put(work->arena, &document, STR("steps"), steps) != STATUS_OK)
        return no_memory(work);
    if (arguments->name.size &&
        json_put(work->arena, &document, STR("name"), json_string(arguments->name)) != STATUS_OK)
        return no_memory(work);
    if (arguments->window.size) TRY(put_window(work, &document));
    *ret_document = document;
    return STATUS_OK;
}

/* --- the commands --- */

static int create(struct work *work)
{
    const struct options *o = work->options;
    struct saved_limits limits = {.funnels_max = o->saved_funnels_max,
                                  .steps_max = (uint32_t)o->query_funnel_steps_max};
    struct meta_saved saved = {.project_id = work->arguments->project_id, .created_by = STR("command line")};
    struct json document;
    int64_t id;
    if (make_document(work, &document) != STATUS_OK ||
        saved_document_read(work->arena, &document, NULL, META_SAVED_FUNNEL, &limits, &work->error, &saved) !=
            STATUS_OK ||
        meta_saved_create(work->meta, &saved, limits.funnels_max, &work->error, &id) != STATUS_OK)
        return failed(work);
    if (work->arguments->json) return print_saved(work, id);
    printf("funnel %lld \"" STR_FMT "\" is saved\n", (long long)id, STR_ARG(saved.name));
    return command_finish_output();
}

static int show(struct work *work)
{
    int64_t id;
    return find(work, &id) == STATUS_OK ? print_saved(work, id) : failed(work);
}

static enum status describe(struct work *work, const struct meta_saved *saved, struct str *cells)
{
    struct funnel_definition definition;
    struct str steps = STR("");
    TRY(saved_funnel(saved, work->arena, &work->error, &definition));
    for (size_t i = 0; i < definition.step_count; i++)
        steps = arena_printf(work->arena, STR_FMT "%s" STR_FMT, STR_ARG(steps), i ? " > " : "",
                             STR_ARG(funnel_step_goal(&definition, i, work->arena)));
    cells[0] = arena_printf(work->arena, "%lld", (long long)saved->id);
    cells[1] = command_time(work->arena, saved->modified_ms);
    cells[2] = arena_printf(work->arena, "%lld %s%s", (long long)definition.window_length,
                            funnel_unit_names[definition.window_unit], definition.window_length == 1 ? "" : "s");
    cells[3] = saved->name;
    cells[4] = steps;
    return STATUS_OK;
}

static int list_as_json(struct work *work, const struct meta_saved *saved, size_t count)
{
    struct buf text = BUF_INIT((size_t)1 << 30);
    struct json object;
    buf_lit(&text, "{\"funnels\":[");
    for (size_t i = 0; i < count; i++) {
        if (i) buf_byte(&text, ',');
        saved_document_write(&text, &saved[i]);
    }
    buf_lit(&text, "]}");
    enum status status = buf_status(&text);
    if (status == STATUS_OK) status = json_parse(work->arena, buf_str(&text), NULL, &work->error, &object);
    buf_fini(&text);
    return status == STATUS_OK ? command_print_json(&object) : failed(work);
}

static int list(struct work *work)
{
    enum { COLUMNS = 5 };
    static const struct str heading[COLUMNS] = {
        {"ID", 2}, {"MODIFIED", 8}, {"WINDOW", 6}, {"NAME", 4}, {"STEPS", 5}};
    struct meta_saved *saved;
    size_t count;
    if (meta_saved_list(work->meta, work->arguments->project_id, META_SAVED_FUNNEL, work->arena, &work->error, &saved,
                        &count) != STATUS_OK)
        return failed(work);
    if (work->arguments->json) return list_as_json(work, saved, count);
    struct str *cells = arena_new_array(work->arena, struct str, (count + 1) * COLUMNS);
    if (!cells) {
        (void)no_memory(work);
        return failed(work);
    }
    memcpy(cells, heading, sizeof heading);
    for (size_t i = 0; i < count; i++) {
        if (describe(work, &saved[i], cells + (i + 1) * COLUMNS) != STATUS_OK) return failed(work);
    }
    return command_print_table(cells, COLUMNS, count + 1);
}

static int delete (struct work *work)
{
    int64_t id;
    if (find(work, &id) != STATUS_OK) return failed(work);
    if (!work->arguments->yes) {
        if (!command_interactive())
            return command_usage(work->command, "--yes is missing: the funnel would be gone for ever");
        fprintf(stderr, "Delete funnel %lld? [y/N] ", (long long)id);
        char answer[8];
        if (fgets(answer, sizeof answer, stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y')) {
            fputs("Nothing was deleted.\n", stderr);
            return EXIT_FAILED;
        }
    }
    if (meta_saved_delete(work->meta, work->arguments->project_id, META_SAVED_FUNNEL, id, &work->error) != STATUS_OK)
        return failed(work);
    fprintf(stderr, "funnel %lld is deleted\n", (long long)id);
    return EXIT_DONE;
}

static enum status open_all(struct work *work)
{
    struct meta_options meta = META_OPTIONS_DEFAULT;
    struct meta_view *view;
    meta.must_exist = true;
    if (work->arguments->config) TRY(config_read(work->options, work->arguments->config, &work->error));
    TRY(options_read_environment(work->options, environ, &work->error));
    TRY(meta_open(work->arguments->data, &meta, &work->error, &work->meta));
    TRY(meta_view_load(work->meta, &work->error, &view));
    bool known = meta_view_project(view, work->arguments->project_id) != NULL;
    meta_view_unref(view);
    if (known) return STATUS_OK;
    (void)error_set(&work->error, STATUS_NOT_FOUND, "no project has the id %lld",
                    (long long)work->arguments->project_id);
    error_hint(&work->error, "cairn project list shows them all");
    return STATUS_NOT_FOUND;
}

static int parse_and_run(const char *command, int argc, char **argv, bool needs_word, bool takes_word,
                         int (*step)(struct work *))
{
    static const struct option flags[] = {
        FLAG_DATA,
        {"project", required_argument, NULL, PROJECT},
        {"name", required_argument, NULL, NAME},
        {"step", required_argument, NULL, STEP},
        {"window", required_argument, NULL, WINDOW},
        {"config", required_argument, NULL, CONFIG},
        FLAG_JSON,
        {"yes", no_argument, NULL, YES},
        FLAG_HELP,
        {0},
    };
    struct arguments arguments = {0};
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, &arguments);
        if (code != EXIT_DONE) return code;
    }
    if (arguments.help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    if (optind < argc && takes_word) arguments.word = argv[optind++];
    if (optind < argc) return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    if (!arguments.data || !arguments.data[0]) return command_usage(command, "--data DIR is missing");
    if (!arguments.project_id) return command_usage(command, "--project N is missing");
    if (needs_word && !arguments.word) return command_usage(command, "the funnel is missing: give its id or name");
    if (step == create && !arguments.word && !arguments.step_count)
        return command_usage(command, "--step EVENT is missing, or a FILE");
    struct work work = {.command = command, .arguments = &arguments, .options = options_new()};
    work.arena = arena_new((size_t)1 << 30);
    int code = open_all(&work) == STATUS_OK ? step(&work) : failed(&work);
    meta_close(work.meta);
    arena_free(work.arena);
    options_free(work.options);
    return code;
}

static int run_create(int argc, char **argv)
{
    return parse_and_run("cairn funnel create", argc, argv, false, true, create);
}
static int run_list(int argc, char **argv)
{
    return parse_and_run("cairn funnel list", argc, argv, false, false, list);
}
static int run_show(int argc, char **argv)
{
    return parse_and_run("cairn funnel show", argc, argv, true, true, show);
}
static int run_delete(int argc, char **argv)
{
    return parse_and_run("cairn funnel delete", argc, argv, true, true, delete);
}

int cmd_funnel(int argc, char **argv)
{
    static const struct command commands[] = {
        {"create", run_create, "save a funnel"},
        {"list", run_list, "show the funnels of a project"},
        {"show", run_show, "show one funnel as JSON"},
        {"delete", run_delete, "delete a funnel"},
        {0},
    };
    return command_dispatch("cairn funnel", help, commands, argc, argv);
}
