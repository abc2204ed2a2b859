#include "cli/bench.h"

#include "base/number.h"
#include "cli/figures.h"
#include "os/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "cairn bench load takes JSON lines {\"event\":…,\"properties\":{…}} into an engine of its own, durably, and says "
    "how\n"
    "fast that went. Without a FILE it reads standard input.\n"
    "\n"
    "  --data DIR     where the engine keeps them; made when missing. Events that are there stay\n"
    "  --threads N    threads that parse; default: as many as cores\n"
    "  --memory SIZE  like --memory of cairn serve; default: half of the machine's\n"
    "  --batch N      events of one log record at most, like those of one request; default 2000\n"
    "  --no-merge     write everything to files and leave merging them for the next time\n"
    "  --json         print one JSON object and nothing else\n"
    "\n"
    "Phases: `append` ends when the log's fdatasync returned for the last event, as the server would have answered by\n"
    "then; `settle` when everything is in sorted files. CPU counts all threads.\n"
    "Example: load a million made-up events\n"
    "  cairn bench generate --events 1000000 | cairn bench load --data ./bench-data\n";

struct arguments {
    const char *data;
    unsigned threads;
    uint64_t batch, memory_bytes;
    bool no_merge, json, help;
};
enum { DATA = 1000, THREADS, MEMORY, BATCH, NO_MERGE, JSON };

struct phase {
    double wall_s, cpu_s;
};
struct report {
    struct bench_loaded loaded;
    struct phase append, settle;
    struct store_stats before, after;
    uint64_t bytes_written, bytes_on_disk, section_bytes, section_bytes_before;
};

static enum status feed_file(struct bench_loader *loader, const char *path, struct error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return error_set(error, STATUS_IO, "cannot open %s: %s", path, strerror(errno));
    enum status status = bench_loader_read(loader, file, path, error);
    close(file);
    return status;
}

static enum status load(struct store *store, const struct arguments *arguments, char **files, int file_count,
                        struct error *error, struct report *report)
{
    struct bench_loader *loader;
    struct error end_error = ERROR_INIT;
    store_stats(store, &report->before);
    report->section_bytes_before = bench_bytes_of_sections(arguments->data);
    uint64_t written = bench_bytes_written();
    struct bench_clock start = bench_clock();
    TRY(bench_loader_new(store, arguments->threads, (size_t)arguments->batch, error, &loader));
    enum status status = file_count ? STATUS_OK : bench_loader_read(loader, STDIN_FILENO, "standard input", error);
    for (int i = 0; i < file_count && status == STATUS_OK; i++) status = feed_file(loader, files[i], error);
    enum status end = bench_loader_finish(loader, &end_error, &report->loaded);
    if (status == STATUS_OK && end != STATUS_OK) *error = end_error;
    if (status == STATUS_OK) status = end;
    if (status != STATUS_OK) return status;
    report->append = (struct phase){bench_wall(&start), bench_cpu(&start)};
    struct bench_clock settle = bench_clock();
    TRY(arguments->no_merge ? store_flush(store, error) : bench_settle(store, error));
    report->settle = (struct phase){bench_wall(&settle), bench_cpu(&settle)};
    report->bytes_written = bench_bytes_written() - written;
    report->bytes_on_disk = bench_bytes_on_disk(arguments->data);
    report->section_bytes = bench_bytes_of_sections(arguments->data);
    store_stats(store, &report->after);
    return STATUS_OK;
}

/* ---- Output ---- */

static double per(double amount, double count)
{
    return count > 0 ? amount / count : 0;
}

static int print_json(struct arena *arena, const struct report *r)
{
    struct json object = JSON_OBJECT_EMPTY;
    struct {
        const char *name;
        double value;
    } const members[] = {
        {"events", (double)r->loaded.stored},
        {"refused", (double)r->loaded.refused},
        {"bytes", (double)r->loaded.bytes},
        {"append_wall_s", r->append.wall_s},
        {"append_cpu_s", r->append.cpu_s},
        {"settle_wall_s", r->settle.wall_s},
        {"settle_cpu_s", r->settle.cpu_s},
        {"bytes_logged", (double)(r->after.bytes_logged - r->before.bytes_logged)},
        {"bytes_flushed", (double)(r->after.bytes_flushed - r->before.bytes_flushed)},
        {"bytes_compacted", (double)(r->after.bytes_compacted - r->before.bytes_compacted)},
        {"bytes_written", (double)r->bytes_written},
        {"bytes_on_disk", (double)r->bytes_on_disk},
        {"section_bytes", (double)r->section_bytes},
        {"frames", (double)(r->after.frames - r->before.frames)},
        {"sync_s", (double)(r->after.sync_ns - r->before.sync_ns) / 1e9},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (json_put(arena, &object, str_of(members[i].name), json_number(members[i].value)) == STATUS_OK) continue;
        fputs("cairn bench load: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    return command_print_json(&object);
}

static int print_report(struct arena *arena, const struct report *r)
{
    double events = (double)r->loaded.stored, wall = r->append.wall_s + r->settle.wall_s;
    double cpu = r->append.cpu_s + r->settle.cpu_s;
    printf("events      " STR_FMT " stored, " STR_FMT " refused; " STR_FMT " of JSON, %.0f bytes each\n",
           STR_ARG(figure_count(arena, r->loaded.stored)), STR_ARG(figure_count(arena, r->loaded.refused)),
           STR_ARG(figure_bytes(arena, r->loaded.bytes)), per((double)r->loaded.bytes, (double)r->loaded.lines));
    if (r->loaded.reason[0]) printf("            a reason: %s\n", r->loaded.reason);
    printf("append      %.2f s, %.2f s of CPU: " STR_FMT " events/s, each acknowledged by the disk\n", r->append.wall_s,
           r->append.cpu_s, STR_ARG(figure_count(arena, (uint64_t)per(events, r->append.wall_s))));
    printf("settle      %.2f s, %.2f s of CPU\n", r->settle.wall_s, r->settle.cpu_s);
    printf("together    %.2f s, %.2f s of CPU: " STR_FMT " events/s, %.2f us of CPU an event\n", wall, cpu,
           STR_ARG(figure_count(arena, (uint64_t)per(events, wall))), per(cpu * 1e6, events));
    printf("log         " STR_FMT " in %llu frames, %.2f s in fdatasync\n",
           STR_ARG(figure_bytes(arena, r->after.bytes_logged - r->before.bytes_logged)),
           (unsigned long long)(r->after.frames - r->before.frames),
           (double)(r->after.sync_ns - r->before.sync_ns) / 1e9);
    uint64_t flushed = r->after.bytes_flushed - r->before.bytes_flushed;
    uint64_t compacted = r->after.bytes_compacted - r->before.bytes_compacted;
    printf(
        "merged      " STR_FMT " flushed, " STR_FMT " compacted; with the log %.2f times the JSON\n",
        STR_ARG(figure_bytes(arena, flushed)), STR_ARG(figure_bytes(arena, compacted)),
        per((double)(flushed + compacted + r->after.bytes_logged - r->before.bytes_logged), (double)r->loaded.bytes));
    printf("disk        " STR_FMT " written, as the kernel counts\n", STR_ARG(figure_bytes(arena, r->bytes_written)));
    printf("sections    " STR_FMT, STR_ARG(figure_bytes(arena, r->section_bytes)));
    if (r->section_bytes_before == 0) printf(", %.1f bytes an event", per((double)r->section_bytes, events));
    putchar('\n');
    printf("directory   " STR_FMT ", the empty log's files included\n", STR_ARG(figure_bytes(arena, r->bytes_on_disk)));
    return command_finish_output();
}

/* ---- Arguments ---- */

static int take(const char *command, int flag, struct arguments *arguments)
{
    uint64_t number;
    switch (flag) {
    case DATA: arguments->data = optarg; return EXIT_DONE;
    case THREADS:
        if (!number_parse_unsigned(str_of(optarg), 64, &number) || number == 0)
            return command_usage(command, "--threads %s is no number from 1 to 64", optarg);
        arguments->threads = (unsigned)number;
        return EXIT_DONE;
    case MEMORY: return bench_memory_parse(command, optarg, &arguments->memory_bytes) ? EXIT_DONE : EXIT_USAGE;
    case BATCH:
        if (!number_parse_unsigned(str_of(optarg), 100000, &number) || number == 0)
            return command_usage(command, "--batch %s is no number from 1 to 100000", optarg);
        arguments->batch = number;
        return EXIT_DONE;
    case NO_MERGE: arguments->no_merge = true; return EXIT_DONE;
    case JSON: arguments->json = true; return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

/* Made-up events must not get among real ones. */
static enum status check_directory(const char *directory, struct error *error)
{
    char path[4096];
    struct stat info;
    if (snprintf(path, sizeof path, "%s/cairn.db", directory) >= (int)sizeof path)
        return error_set(error, STATUS_INVALID, "the path of the directory is too long");
    if (stat(path, &info) != 0) return STATUS_OK;
    error_set(error, STATUS_INVALID, "%s belongs to a server: it holds projects", directory);
    error_hint(error, "give a directory that is not there yet");
    return STATUS_INVALID;
}

static int run(const char *command, const struct arguments *arguments, char **files, int file_count)
{
    struct error error = ERROR_INIT;
    struct bench_engine engine = {.lock = NULL};
    struct report report = {.bytes_written = 0};
    enum status status = check_directory(arguments->data, &error);
    if (status == STATUS_OK)
        status = bench_engine_open(arguments->data, true, arguments->threads, arguments->memory_bytes, &error, &engine);
    if (status == STATUS_OK) status = load(engine.store, arguments, files, file_count, &error, &report);
    bench_engine_close(&engine);
    if (status != STATUS_OK) return command_failed(command, &error);
    struct arena *arena = arena_new((size_t)16 << 20);
    int code = arguments->json ? print_json(arena, &report) : print_report(arena, &report);
    arena_free(arena);
    if (code == EXIT_DONE && report.loaded.refused > 0) {
        fprintf(stderr, "%s: %llu events were refused: %s\n", command, (unsigned long long)report.loaded.refused,
                report.loaded.reason);
        code = EXIT_FAILED;
    }
    return code;
}

int bench_load_run(int argc, char **argv)
{
    static const char command[] = "cairn bench load";
    static const struct option flags[] = {
        FLAG_DATA,
        {"threads", required_argument, NULL, THREADS},
        {"memory", required_argument, NULL, MEMORY},
        {"batch", required_argument, NULL, BATCH},
        {"no-merge", no_argument, NULL, NO_MERGE},
        FLAG_JSON,
        FLAG_HELP,
        {0},
    };
    struct arguments arguments = {.threads = os_cores(), .batch = BENCH_BATCH_DEFAULT};
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, &arguments);
        if (code != EXIT_DONE) return code;
    }
    if (arguments.help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    if (!arguments.data) return command_usage(command, "--data DIR is missing");
    return run(command, &arguments, argv + optind, argc - optind);
}
