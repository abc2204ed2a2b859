#include "cli/command.h"

#include "base/inflate.h"
#include "base/number.h"
#include "lookup/lookup.h"
#include "server/config.h"
#include "server/options.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const char help[] =
    "cairn lookup makes and fills the lookup tables of a project: tables that say more about the values of a "
    "property.\n"
    "It works whether or not a server runs on the directory, and a running server sees the change at once.\n"
    "\n"
    "  cairn lookup create  --data DIR --project N --name NAME [--property P]... [FILE] [--json]\n"
    "  cairn lookup replace --data DIR --project N TABLE FILE [--json]\n"
    "  cairn lookup map     --data DIR --project N TABLE PROPERTY\n"
    "  cairn lookup unmap   --data DIR --project N TABLE PROPERTY\n"
    "  cairn lookup list    --data DIR --project N [--json]\n"
    "  cairn lookup delete  --data DIR --project N TABLE --yes\n"
    "\n"
    "  --data DIR      the data directory\n"
    "  --project N     the project's id\n"
    "  --name NAME     1 to 255 bytes, unique in the project\n"
    "  --property P    join this property with the table; may be repeated\n"
    "  --config FILE   read the limits of tables from FILE (lookup.rows_max and so on), as the server does\n"
    "  --json          print one JSON object and nothing else\n"
    "  --yes           delete without asking\n"
    "  TABLE           a table's id or name\n"
    "  FILE            CSV with a header, plain or gzip; the first column is the key; - is standard input\n"
    "\n"
    "A property that is joined with a table is asked for its columns: properties[\"sku\"][\"category\"].\n"
    "Example:\n"
    "  cairn lookup create --data ./data --project 1 --name Products --property sku products.csv\n";

#define PROPERTIES_MAX 100

struct arguments {
    const char *data, *config;
    int64_t project_id;
    struct str name, properties[PROPERTIES_MAX];
    size_t property_count;
    const char *words[2]; /* what stands there without a flag */
    size_t word_count;
    bool json, yes, help;
};

enum { DATA = 1000, PROJECT, NAME, PROPERTY, CONFIG, JSON, YES };

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
    case PROPERTY:
        if (arguments->property_count == PROPERTIES_MAX)
            return command_usage(command, "more than %d properties", PROPERTIES_MAX);
        arguments->properties[arguments->property_count++] = str_of(optarg);
        return EXIT_DONE;
    case CONFIG: arguments->config = optarg; return EXIT_DONE;
    case JSON: arguments->json = true; return EXIT_DONE;
    case YES: arguments->yes = true; return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

#define FLAG_PROJECT                                                                                                   \
    {                                                                                                                  \
        "project", required_argument, NULL, PROJECT                                                                    \
    }

static int parse(const char *command, int argc, char **argv, const struct option *flags, size_t words_min,
                 size_t words_max, struct arguments *arguments)
{
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, arguments);
        if (code != EXIT_DONE || arguments->help) return code;
    }
    while (optind < argc) {
        if (arguments->word_count == words_max)
            return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
        arguments->words[arguments->word_count++] = argv[optind++];
    }
    if (!arguments->data || !arguments->data[0]) return command_usage(command, "--data DIR is missing");
    if (!arguments->project_id) return command_usage(command, "--project N is missing");
    if (arguments->word_count < words_min) return command_usage(command, "an argument is missing");
    return EXIT_DONE;
}

/* What the commands need while they run. */
struct work {
    const char *command;
    const struct arguments *arguments;
    struct options *options;
    struct os_fs *fs;
    struct meta *meta;
    struct lookup *lookup;
    struct arena *arena;
    struct error error;
};

static int failed(struct work *work)
{
    return command_failed(work->command, &work->error);
}

/* --- the file --- */

struct file_source {
    struct source base;
    int file;
};
static enum status file_read(struct source *base, char *data, size_t size, struct error *error, size_t *ret_size)
{
    ssize_t got;
    do got = read(((struct file_source *)base)->file, data, size);
    while (got < 0 && errno == EINTR);
    if (got < 0) return error_set_os(error, STATUS_IO, errno, "cannot read the file");
    *ret_size = (size_t)got;
    return STATUS_OK;
}

/* A source with its first bytes in front of it again, which were read to see whether it is packed. */
struct peeked_source {
    struct source base;
    struct source *rest;
    char head[2];
    size_t head_size;
};
static enum status peeked_read(struct source *base, char *data, size_t size, struct error *error, size_t *ret_size)
{
    struct peeked_source *peeked = (struct peeked_source *)base;
    if (!peeked->head_size) return source_read(peeked->rest, data, size, error, ret_size);
    data[0] = peeked->head[0];
    peeked->head[0] = peeked->head[1];
    peeked->head_size--;
    *ret_size = 1;
    return STATUS_OK;
}

struct input {
    struct file_source file;
    struct peeked_source peeked;
    struct inflate *inflate;
    struct source *plain;
};

static enum status input_open(const char *path, struct error *error, struct input *input)
{
    bool standard = str_is(str_of(path), "-");
    int file = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return error_set_os(error, STATUS_IO, errno, "cannot open \"%s\"", path);
    *input = (struct input){.file = {{file_read}, file}};
    input->peeked = (struct peeked_source){.base = {peeked_read}, .rest = &input->file.base};
    input->plain = &input->peeked.base;
    enum status status = STATUS_OK;
    for (size_t got = 1; status == STATUS_OK && got && input->peeked.head_size < 2;) {
        status = source_read(&input->file.base, input->peeked.head + input->peeked.head_size,
                             2 - input->peeked.head_size, error, &got);
        if (status == STATUS_OK) input->peeked.head_size += got;
    }
    bool packed = input->peeked.head_size == 2 && memcmp(input->peeked.head, "\x1F\x8B", 2) == 0;
    if (status == STATUS_OK && packed)
        status = inflate_new(&input->peeked.base, LOOKUP_FILE_MAX, error, &input->inflate);
    if (input->inflate) input->plain = inflate_source(input->inflate);
    if (status != STATUS_OK) close(file);
    return status;
}
static void input_close(struct input *input)
{
    inflate_free(input->inflate);
    close(input->file.file);
}

/* --- answers --- */

static enum status put_table(struct work *work, const struct meta_lookup_table *table, struct json *ret_object)
{
    struct arena *arena = work->arena;
    struct json object = JSON_OBJECT_EMPTY, properties = JSON_ARRAY_EMPTY;
    for (size_t i = 0; i < table->property_count; i++)
        TRY(json_push(arena, &properties, json_string(table->properties[i])));
    TRY(json_put(arena, &object, STR("id"), json_string(table->id)));
    TRY(json_put(arena, &object, STR("name"), json_string(table->name)));
    TRY(json_put(arena, &object, STR("rows"), json_int(table->rows)));
    TRY(json_put(arena, &object, STR("columns"), json_int(table->columns)));
    TRY(json_put(arena, &object, STR("bytes"), json_int(table->bytes)));
    TRY(json_put(arena, &object, STR("created_ms"), json_int(table->created_ms)));
    TRY(json_put(arena, &object, STR("modified_ms"), json_int(table->modified_ms)));
    TRY(json_put(arena, &object, STR("properties"), properties));
    *ret_object = object;
    return STATUS_OK;
}

static int no_memory(struct work *work)
{
    (void)error_set(&work->error, STATUS_LIMIT, "out of memory");
    return failed(work);
}

static int print_table(struct work *work, struct str id)
{
    struct meta_lookup_table table;
    struct json object;
    if (meta_lookup_table(work->meta, work->arguments->project_id, id, work->arena, &work->error, &table) != STATUS_OK)
        return failed(work);
    if (work->arguments->json) {
        if (put_table(work, &table, &object) != STATUS_OK) return no_memory(work);
        return command_print_json(&object);
    }
    printf("lookup table " STR_FMT " \"" STR_FMT "\": %lld rows, %lld columns\n", STR_ARG(table.id),
           STR_ARG(table.name), (long long)table.rows, (long long)table.columns);
    return command_finish_output();
}

/* Every row that was refused, for as many as are listed. */
static int print_failures(struct work *work, const struct lookup_report *report)
{
    for (uint32_t i = 0; i < report->failure_count; i++)
        fprintf(stderr, "row %llu: %s\n", (unsigned long long)report->failures[i].index, report->failures[i].message);
    if (report->failure_count)
        (void)error_set(&work->error, STATUS_INVALID, "nothing was changed: rows of the file are refused");
    return failed(work);
}

/* The id of the table that is named by id or by name. */
static enum status find_table(struct work *work, const char *text, struct str *ret_id)
{
    struct meta_view *view;
    size_t count;
    struct str wanted = str_of(text), id = STR_NULL;
    TRY(meta_view_load(work->meta, &work->error, &view));
    const struct meta_lookup_table *tables = meta_view_lookups(view, work->arguments->project_id, &count);
    for (size_t i = 0; i < count; i++) {
        if (str_eq_nocase(tables[i].id, wanted) || (!id.data && str_eq(tables[i].name, wanted)))
            id = arena_str(work->arena, tables[i].id);
    }
    meta_view_unref(view);
    *ret_id = id;
    if (id.data) return STATUS_OK;
    (void)error_set(&work->error, STATUS_NOT_FOUND, "project %lld has no lookup table \"%.64s\"",
                    (long long)work->arguments->project_id, text);
    error_hint(&work->error, "cairn lookup list shows them all");
    return STATUS_NOT_FOUND;
}

/* --- the commands --- */

static int create(struct work *work)
{
    const struct arguments *arguments = work->arguments;
    struct lookup_report report = {0};
    struct meta_lookup_table table;
    struct input input = {0};
    bool file = arguments->word_count == 1;
    if (file && input_open(arguments->words[0], &work->error, &input) != STATUS_OK) return failed(work);
    enum status status = lookup_create(work->lookup, arguments->project_id, arguments->name, input.plain, work->arena,
                                       &work->error, &report, &table);
    if (file) input_close(&input);
    if (status != STATUS_OK) return print_failures(work, &report);
    for (size_t i = 0; i < arguments->property_count && status == STATUS_OK; i++)
        status = meta_lookup_map(work->meta, arguments->project_id, table.id, arguments->properties[i], &work->error);
    if (status == STATUS_OK) return print_table(work, table.id);
    struct error ignored;
    enum status undone = lookup_delete(work->lookup, arguments->project_id, table.id, work->arena, &ignored);
    (void)undone; /* a table too many can be seen and deleted */
    return failed(work);
}

static int replace(struct work *work)
{
    const struct arguments *arguments = work->arguments;
    struct lookup_report report = {0};
    struct input input;
    struct str id;
    if (find_table(work, arguments->words[0], &id) != STATUS_OK) return failed(work);
    if (input_open(arguments->words[1], &work->error, &input) != STATUS_OK) return failed(work);
    enum status status =
        lookup_replace(work->lookup, arguments->project_id, id, input.plain, work->arena, &work->error, &report);
    input_close(&input);
    return status == STATUS_OK ? print_table(work, id) : print_failures(work, &report);
}

static int map(struct work *work)
{
    const struct arguments *arguments = work->arguments;
    struct str id, property = str_of(arguments->words[1]);
    if (find_table(work, arguments->words[0], &id) != STATUS_OK) return failed(work);
    if (meta_lookup_map(work->meta, arguments->project_id, id, property, &work->error) != STATUS_OK)
        return failed(work);
    fprintf(stderr, "property \"" STR_FMT "\" is joined with lookup table " STR_FMT "\n", STR_ARG(property),
            STR_ARG(id));
    return EXIT_DONE;
}

static int unmap(struct work *work)
{
    const struct arguments *arguments = work->arguments;
    struct str id, property = str_of(arguments->words[1]);
    if (find_table(work, arguments->words[0], &id) != STATUS_OK) return failed(work);
    if (meta_lookup_unmap(work->meta, arguments->project_id, id, property, &work->error) != STATUS_OK)
        return failed(work);
    fprintf(stderr, "property \"" STR_FMT "\" is joined with no lookup table any more\n", STR_ARG(property));
    return EXIT_DONE;
}

static struct str properties_text(struct work *work, const struct meta_lookup_table *table)
{
    struct str text = STR("");
    for (size_t i = 0; i < table->property_count; i++)
        text = arena_printf(work->arena, STR_FMT "%s" STR_FMT, STR_ARG(text), i ? ", " : "",
                            STR_ARG(table->properties[i]));
    return text;
}

static int print_list(struct work *work, const struct meta_lookup_table *tables, size_t count)
{
    enum { COLUMNS = 6 };
    struct json list = JSON_ARRAY_EMPTY, object = JSON_OBJECT_EMPTY, entry;
    struct str *cells = arena_new_array(work->arena, struct str, (count + 1) * COLUMNS);
    if (!cells) return no_memory(work);
    const struct str heading[COLUMNS] = {STR("ID"),       STR("ROWS"),       STR("COLUMNS"),
                                         STR("MODIFIED"), STR("PROPERTIES"), STR("NAME")};
    memcpy(cells, heading, sizeof heading);
    for (size_t i = 0; i < count; i++) {
        const struct meta_lookup_table *table = &tables[i];
        if (put_table(work, table, &entry) != STATUS_OK || json_push(work->arena, &list, entry) != STATUS_OK)
            return no_memory(work);
        const struct str row[COLUMNS] = {table->id,
                                         arena_printf(work->arena, "%lld", (long long)table->rows),
                                         arena_printf(work->arena, "%lld", (long long)table->columns),
                                         command_time(work->arena, table->modified_ms),
                                         properties_text(work, table),
                                         table->name};
        memcpy(cells + (i + 1) * COLUMNS, row, sizeof row);
    }
    if (!work->arguments->json) return command_print_table(cells, COLUMNS, count + 1);
    if (json_put(work->arena, &object, STR("lookup_tables"), list) != STATUS_OK) return no_memory(work);
    return command_print_json(&object);
}

static int list(struct work *work)
{
    struct meta_view *view;
    size_t count;
    if (meta_view_load(work->meta, &work->error, &view) != STATUS_OK) return failed(work);
    const struct meta_lookup_table *tables = meta_view_lookups(view, work->arguments->project_id, &count);
    int code;
    if (meta_view_project(view, work->arguments->project_id)) {
        code = print_list(work, tables, count);
    } else {
        (void)error_set(&work->error, STATUS_NOT_FOUND, "no project has the id %lld",
                        (long long)work->arguments->project_id);
        error_hint(&work->error, "cairn project list shows them all");
        code = failed(work);
    }
    meta_view_unref(view);
    return code;
}

static int delete (struct work *work)
{
    const struct arguments *arguments = work->arguments;
    struct str id;
    if (find_table(work, arguments->words[0], &id) != STATUS_OK) return failed(work);
    if (!arguments->yes) {
        if (!command_interactive())
            return command_usage(work->command, "--yes is missing: the table would be gone for ever");
        fprintf(stderr, "Delete lookup table " STR_FMT "? [y/N] ", STR_ARG(id));
        char answer[8];
        if (fgets(answer, sizeof answer, stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y')) {
            fputs("Nothing was deleted.\n", stderr);
            return EXIT_FAILED;
        }
    }
    if (lookup_delete(work->lookup, arguments->project_id, id, work->arena, &work->error) != STATUS_OK)
        return failed(work);
    fprintf(stderr, "lookup table " STR_FMT " is deleted\n", STR_ARG(id));
    return EXIT_DONE;
}

static enum status open_all(struct work *work)
{
    struct meta_options meta = META_OPTIONS_DEFAULT;
    struct options *o = work->options;
    meta.must_exist = true;
    if (work->arguments->config) TRY(config_read(o, work->arguments->config, &work->error));
    TRY(options_read_environment(o, environ, &work->error));
    TRY(meta_open(work->arguments->data, &meta, &work->error, &work->meta));
    TRY(os_posix_new(work->arguments->data, &work->error, &work->fs));
    struct lookup_options options = {
        .fs = work->fs,
        .meta = work->meta,
        .build = {.rows_max = (uint64_t)o->lookup_rows_max, .columns_max = (uint32_t)o->lookup_columns_max},
        .limits = {.tables_max = o->lookup_tables_max, .rows_max = o->lookup_project_rows_max}};
    return lookup_new(&options, &work->error, &work->lookup);
}

static int run(const char *command, const struct arguments *arguments, int (*step)(struct work *))
{
    struct work work = {.command = command, .arguments = arguments, .options = options_new()};
    work.arena = arena_new((size_t)1 << 30);
    int code = open_all(&work) == STATUS_OK ? step(&work) : failed(&work);
    lookup_free(work.lookup);
    os_fs_free(work.fs);
    meta_close(work.meta);
    arena_free(work.arena);
    options_free(work.options);
    return code;
}

static int parse_and_run(const char *command, int argc, char **argv, size_t words_min, size_t words_max,
                         int (*step)(struct work *))
{
    static const struct option flags[] = {
        FLAG_DATA,
        FLAG_PROJECT,
        {"name", required_argument, NULL, NAME},
        {"property", required_argument, NULL, PROPERTY},
        {"config", required_argument, NULL, CONFIG},
        FLAG_JSON,
        {"yes", no_argument, NULL, YES},
        FLAG_HELP,
        {0},
    };
    struct arguments arguments = {0};
    int code = parse(command, argc, argv, flags, words_min, words_max, &arguments);
    if (code != EXIT_DONE) return code;
    if (arguments.help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    if (step == create && !arguments.name.size) return command_usage(command, "--name NAME is missing");
    return run(command, &arguments, step);
}

static int run_create(int argc, char **argv)
{
    return parse_and_run("cairn lookup create", argc, argv, 0, 1, create);
}
static int run_replace(int argc, char **argv)
{
    return parse_and_run("cairn lookup replace", argc, argv, 2, 2, replace);
}
static int run_map(int argc, char **argv)
{
    return parse_and_run("cairn lookup map", argc, argv, 2, 2, map);
}
static int run_unmap(int argc, char **argv)
{
    return parse_and_run("cairn lookup unmap", argc, argv, 2, 2, unmap);
}
static int run_list(int argc, char **argv)
{
    return parse_and_run("cairn lookup list", argc, argv, 0, 0, list);
}
static int run_delete(int argc, char **argv)
{
    return parse_and_run("cairn lookup delete", argc, argv, 1, 1, delete);
}

int cmd_lookup(int argc, char **argv)
{
    static const struct command commands[] = {
        {"create", run_create, "make a table"},
        {"replace", run_replace, "replace everything in a table"},
        {"map", run_map, "join a property with a table"},
        {"unmap", run_unmap, "join a property with no table any more"},
        {"list", run_list, "show the tables of a project"},
        {"delete", run_delete, "delete a table"},
        {0},
    };
    return command_dispatch("cairn lookup", help, commands, argc, argv);
}
