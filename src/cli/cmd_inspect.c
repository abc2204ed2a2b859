#include "cli/command.h"
#include "cli/inspect_print.h"
#include "cli/table.h"

#include "base/number.h"
#include "os/peek.h"

#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char help[] =
    "cairn inspect shows what lies in a data directory: which files count, what is in the log, and of every section "
    "of\n"
    "events its time window, rows and size; and of every project which columns take how many bytes, largest first. It\n"
    "changes nothing, and a server may be running.\n"
    "\n"
    "  cairn inspect --data DIR [--project N] [--all] [--format text|json]\n"
    "  cairn inspect [--format text|json] FILE...\n"
    "\n"
    "  --data DIR       the data directory\n"
    "  --project N      only this project\n"
    "  --all            events and columns of every section as well: encoding, values, bytes\n"
    "  --format FORMAT  text (default), or json: one object on standard output, with several files one a line\n"
    "  --json           the same as --format json\n"
    "  FILE             a file of a data directory, wherever it lies now: a section file (.sec) with all its events "
    "and\n"
    "                   columns, a log file (.wal) with its frames, of others the header. Names are shown when the\n"
    "                   directory is around it, numbers otherwise.\n"
    "\n"
    "Whether all of it is as it should be is told by cairn verify.\n"
    "\n"
    "Examples: where the bytes go; the largest columns of project 1 by a program\n"
    "  cairn inspect --data /var/lib/cairn\n"
    "  cairn inspect --data /var/lib/cairn --project 1 --json | jq '.projects[0].columns[:5]'\n";

#define MEMORY_BYTES ((size_t)4 << 30)

enum { DATA = 1000, PROJECT, ALL, FORMAT, JSON };

struct arguments {
    const char *data;
    int64_t project;
    bool all, json;
};

static const char command[] = "cairn inspect";

static void print_problem(void *ctx, const struct finding *finding)
{
    (void)ctx;
    fprintf(stderr, "%s: %s: %s\n", command, finding->file, finding->what);
}

static int print(const struct inspect_view *view, bool json)
{
    struct json object;
    if (!json) {
        inspect_print_text(view);
        return command_finish_output();
    }
    if (inspect_make_json(view, &object) == STATUS_OK) return command_print_json(&object);
    fprintf(stderr, "%s: the description does not fit into memory\n", command);
    return EXIT_FAILED;
}

static int inspect_data(const struct arguments *arguments, struct arena *arena)
{
    struct error error = ERROR_INIT;
    struct inspection all;
    struct os_fs *fs;
    if (os_posix_new(arguments->data, &error, &fs) != STATUS_OK) return command_failed(command, &error);
    struct inspect_options options = {.fs = fs, .project = arguments->project, .sink = {print_problem, NULL}};
    struct inspect_view view = {.all = &all,
                                .arena = arena,
                                .place = arguments->data,
                                .server = os_lock_holder(arguments->data),
                                .details = arguments->all};
    enum status status = inspect_directory(&options, arena, &error, &all);
    os_fs_free(fs);
    if (status != STATUS_OK) return command_failed(command, &error);
    return print(&view, arguments->json);
}

/* --- single files --- */

struct frames {
    struct arena *arena;
    struct table table;
    struct json list;
    bool json, failed;
};

static void note_frame(void *ctx, const struct wal_frame *frame)
{
    struct frames *frames = ctx;
    struct arena *arena = frames->arena;
    if (frames->json) {
        struct json item = JSON_OBJECT_EMPTY;
        const struct {
            const char *key;
            int64_t value;
        } members[] = {{"lsn", (int64_t)frame->lsn},
                       {"durable_lsn", (int64_t)frame->durable_lsn},
                       {"records", frame->record_count},
                       {"bytes", (int64_t)frame->records.size},
                       {"wall_ms", frame->wall_ms}};
        enum status status = json_put(arena, &item, STR("mark"), json_bool(frame->mark));
        for (size_t i = 0; i < sizeof members / sizeof *members && status == STATUS_OK; i++)
            status = json_put(arena, &item, str_of(members[i].key), json_int(members[i].value));
        if (status == STATUS_OK) status = json_push(arena, &frames->list, item);
        frames->failed |= status != STATUS_OK;
        return;
    }
    table_cell(&frames->table, arena_printf(arena, "%llu", (unsigned long long)frame->lsn));
    table_cell(&frames->table, frame->mark ? STR("mark") : STR("data"));
    table_cell(&frames->table, arena_printf(arena, "%u", frame->record_count));
    table_cell(&frames->table, arena_printf(arena, "%zu", frame->records.size));
    table_cell(&frames->table, arena_printf(arena, "%llu", (unsigned long long)frame->durable_lsn));
    table_cell(&frames->table, command_time(arena, frame->wall_ms));
}

static enum status put_header(struct arena *arena, const char *path, const struct inspect_header *header,
                              struct json *ret_object)
{
    struct json object = JSON_OBJECT_EMPTY;
    char node[33];
    for (int i = 0; i < 16; i++) snprintf(node + 2 * i, 3, "%02x", header->node[i]);
    TRY(json_put(arena, &object, STR("file"), json_string(str_of(path))));
    TRY(json_put(arena, &object, STR("kind"), json_string(arena_str(arena, str_of(header->kind)))));
    TRY(json_put(arena, &object, STR("version"), json_int(header->version)));
    TRY(json_put(arena, &object, STR("reader_min"), json_int(header->reader_min)));
    TRY(json_put(arena, &object, STR("node"), json_string(arena_str(arena, str_of(node)))));
    TRY(json_put(arena, &object, STR("file_id"), json_int((int64_t)header->file_id)));
    TRY(json_put(arena, &object, STR("lsn"), json_int((int64_t)header->lsn)));
    TRY(json_put(arena, &object, STR("bytes"), json_int((int64_t)header->size)));
    *ret_object = object;
    return STATUS_OK;
}

static int inspect_other(const char *path, const char *name, const struct inspect_header *header, struct os_fs *fs,
                         bool json, struct arena *arena)
{
    bool log = str_is(str_of(header->kind), "CAIRNWAL");
    struct frames frames = {.arena = arena, .json = json, .list = JSON_ARRAY_EMPTY};
    struct wal_file_info info;
    struct error error = ERROR_INIT;
    table_init(&frames.table, arena, ">LSN KIND >RECORDS >BYTES >DURABLE_BELOW WRITTEN_(UTC)");
    if (log && wal_scan_file(fs, name, note_frame, &frames, &error, &info) != STATUS_OK)
        return command_failed(command, &error);
    struct json object;
    if (json) {
        enum status status = frames.failed ? STATUS_LIMIT : put_header(arena, path, header, &object);
        if (status == STATUS_OK && log) status = json_put(arena, &object, STR("frames"), frames.list);
        if (status == STATUS_OK) return command_print_json(&object);
        fprintf(stderr, "%s: the description does not fit into memory\n", command);
        return EXIT_FAILED;
    }
    printf("%s: %s, format %u, %llu bytes, %s %llx, %s %llu, of directory ", path, header->kind, header->version,
           (unsigned long long)header->size, log ? "base LSN" : "file", (unsigned long long)header->file_id,
           log ? "epoch" : "made at LSN", (unsigned long long)header->lsn);
    for (int i = 0; i < 16; i++) printf("%02x", header->node[i]);
    printf("\n");
    if (log) {
        table_print(&frames.table, "  ");
        printf("  %llu frames, up to LSN %llu\n", (unsigned long long)info.frames, (unsigned long long)info.end_lsn);
    }
    return command_finish_output();
}

/* The directory to be opened, and the file's name in it: the data directory around `events/x` and `wal/x`, where names
 * can be found, else the directory that it lies in. */
static bool split_path(const char *path, char directory[PATH_MAX], char name[PATH_MAX])
{
    char whole[PATH_MAX], copy[PATH_MAX], parent[PATH_MAX];
    if (!realpath(path, whole)) return false;
    snprintf(copy, sizeof copy, "%s", whole);
    snprintf(parent, sizeof parent, "%s", dirname(copy));
    const char *file = whole + strlen(parent) + (strcmp(parent, "/") != 0);
    snprintf(copy, sizeof copy, "%s", parent);
    const char *room = basename(copy);
    if (strcmp(room, "events") == 0 || strcmp(room, "wal") == 0) {
        snprintf(name, PATH_MAX, "%s/%.255s", room, file);
        snprintf(copy, sizeof copy, "%s", parent);
        snprintf(directory, PATH_MAX, "%s", dirname(copy));
    } else {
        snprintf(name, PATH_MAX, "%s", file);
        snprintf(directory, PATH_MAX, "%s", parent);
    }
    return true;
}

static int inspect_path(const struct arguments *arguments, const char *path, struct arena *arena)
{
    char directory[PATH_MAX], name[PATH_MAX];
    struct error error = ERROR_INIT;
    struct inspect_header header;
    struct os_fs *fs;
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return command_usage(command, "\"%s\" is a directory: name it with --data", path);
    if (!split_path(path, directory, name)) {
        fprintf(stderr, "%s: cannot open file \"%s\"\n", command, path);
        return EXIT_FAILED;
    }
    if (os_posix_new(directory, &error, &fs) != STATUS_OK) return command_failed(command, &error);
    enum status status = inspect_header(fs, name, &error, &header);
    int code = EXIT_FAILED;
    if (status != STATUS_OK) {
        code = command_failed(command, &error);
    } else if (str_is(str_of(header.kind), SECTION_MAGIC)) {
        struct inspect_options options = {.fs = fs, .project = arguments->project, .sink = {print_problem, NULL}};
        struct inspection all;
        struct inspect_view view = {.all = &all, .arena = arena, .place = path, .single = true, .details = true};
        status = inspect_section_file(&options, name, arena, &error, &all);
        code = status == STATUS_OK ? print(&view, arguments->json) : command_failed(command, &error);
    } else {
        code = inspect_other(path, name, &header, fs, arguments->json, arena);
    }
    os_fs_free(fs);
    return code;
}

int cmd_inspect(int argc, char **argv)
{
    static const struct option flags[] = {
        FLAG_DATA,
        {"project", required_argument, NULL, PROJECT},
        {"all", no_argument, NULL, ALL},
        {"format", required_argument, NULL, FORMAT},
        FLAG_JSON,
        FLAG_HELP,
        {0},
    };
    struct arguments arguments = {.project = -1};
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        switch (flag) {
        case DATA: arguments.data = optarg; break;
        case PROJECT:
            if (!number_parse_int(str_of(optarg), &arguments.project) || arguments.project < 0)
                return command_usage(command, "\"%s\" is no project id", optarg);
            break;
        case ALL: arguments.all = true; break;
        case JSON: arguments.json = true; break;
        case FORMAT:
            arguments.json = str_is(str_of(optarg), "json");
            if (!arguments.json && !str_is(str_of(optarg), "text"))
                return command_usage(command, "\"%s\" is no format: use text or json", optarg);
            break;
        case 'h': fputs(help, stdout); return command_finish_output();
        default: return EXIT_USAGE;
        }
    }
    if (optind == argc && (!arguments.data || !arguments.data[0]))
        return command_usage(command, "--data DIR or a file is missing");
    int code = EXIT_DONE;
    for (int i = optind; i < argc; i++) {
        struct arena *arena = arena_new(MEMORY_BYTES);
        int one = inspect_path(&arguments, argv[i], arena);
        if (one > code) code = one;
        arena_free(arena);
    }
    if (optind == argc) {
        struct arena *arena = arena_new(MEMORY_BYTES);
        code = inspect_data(&arguments, arena);
        arena_free(arena);
    }
    return code;
}
