#include "cli/bench.h"
#include "cli/bench_generate.h"

#include "base/number.h"
#include "cli/figures.h"
#include "os/machine.h"

/* Made-up events, loaded into a directory that is removed afterwards, and a few typical questions. */

static const char help[] =
    "cairn bench self says how fast the event engine is on this machine: it makes events up, takes them in as the\n"
    "server would, asks typical questions, and removes everything again.\n"
    "\n"
    "  --events N     how many events; default 500000, which takes some seconds\n"
    "  --threads N    default: as many as cores\n"
    "  --data DIR     make its directory inside DIR, to measure that disk; default: $TMPDIR or the system's\n"
    "\n"
    "A memory file system as DIR makes loading look better than a disk can be.\n"
    "Example: the disk that the server is going to use\n"
    "  cairn bench self --events 2000000 --data /var/lib\n";

#define REPEAT 5

struct arguments {
    const char *data;
    uint64_t events;
    unsigned threads;
    bool help;
};
enum { DATA = 1000, EVENTS, THREADS };

#define DAYS "\"from\":\"2024-01-01\",\"to\":\"2024-03-30\""
static const struct {
    const char *text, *question;
} questions[] = {
    {"events by day", "{" DAYS ",\"events\":[\"View Item\"]}"},
    {"people by day", "{" DAYS ",\"events\":[\"View Item\"],\"measure\":\"unique\"}"},
    {"people by day, any event", "{" DAYS ",\"measure\":\"unique\"}"},
    {"by day and browser, filtered",
     "{" DAYS ",\"events\":[\"View Item\"],\"where\":\"properties[\\\"price\\\"] > 50\","
     "\"on\":\"properties[\\\"$browser\\\"]\"}"},
    {"people by country", "{" DAYS ",\"unit\":\"range\",\"events\":[\"View Item\"],\"measure\":\"unique\","
                          "\"on\":\"properties[\\\"mp_country_code\\\"]\"}"},
};

struct feeding {
    struct bench_sink sink;
    struct bench_loader *loader;
};
static enum status feed(struct bench_sink *sink, struct str lines, struct error *error)
{
    return bench_loader_feed(((struct feeding *)sink)->loader, lines, error);
}

static enum status load(struct bench_engine *engine, const char *directory, const struct arguments *arguments,
                        struct arena *arena, struct error *error)
{
    struct feeding feeding = {.sink.write = feed};
    struct bench_data data = BENCH_DATA_DEFAULT;
    struct bench_loaded loaded;
    struct error end_error = ERROR_INIT;
    data.events = arguments->events;
    struct bench_clock start = bench_clock();
    TRY(bench_loader_new(engine->store, arguments->threads, BENCH_BATCH_DEFAULT, error, &feeding.loader));
    enum status status = bench_generate(&data, &feeding.sink, NULL, error);
    enum status end = bench_loader_finish(feeding.loader, &end_error, &loaded);
    if (end != STATUS_OK && status == STATUS_OK) *error = end_error;
    TRY(status);
    TRY(end);
    TRY(bench_settle(engine->store, error));
    double wall = bench_wall(&start);
    uint64_t bytes = bench_bytes_on_disk(directory), sections = bench_bytes_of_sections(directory);
    struct store_stats stats;
    store_stats(engine->store, &stats);
    printf("loading     " STR_FMT " events (" STR_FMT " of JSON) in %.2f s, making them up included: " STR_FMT
           " events/s\n",
           STR_ARG(figure_count(arena, loaded.stored)), STR_ARG(figure_bytes(arena, loaded.bytes)), wall,
           STR_ARG(figure_count(arena, (uint64_t)((double)loaded.stored / wall))));
    printf("disk        " STR_FMT " in sections, %.1f bytes an event; " STR_FMT " in all; fdatasync took %.2f ms on "
           "average\n",
           STR_ARG(figure_bytes(arena, sections)), (double)sections / (double)loaded.stored,
           STR_ARG(figure_bytes(arena, bytes)),
           stats.frames ? (double)stats.sync_ns / 1e6 / (double)stats.frames : 0.0);
    return STATUS_OK;
}

static enum status ask(struct executor *executor, struct arena *arena, size_t index, struct error *error)
{
    struct json question;
    struct plan plan;
    double best_ms = 0;
    struct buf answer = BUF_INIT((size_t)64 << 20);
    TRY(json_parse(arena, str_of(questions[index].question), NULL, error, &question));
    TRY(bench_plan(arena, &question, error, &plan));
    enum status status = STATUS_OK;
    for (int i = 0; i < REPEAT && status == STATUS_OK; i++) {
        buf_reset(&answer);
        struct bench_clock start = bench_clock();
        status = bench_answer(executor, &plan, error, &answer);
        double ms = bench_wall(&start) * 1e3;
        if (i == 0 || ms < best_ms) best_ms = ms;
    }
    buf_fini(&answer);
    if (status == STATUS_OK) printf("question    %-32s %8.2f ms\n", questions[index].text, best_ms);
    return status;
}

static enum status measure(const char *directory, const void *context, struct error *error)
{
    const struct arguments *arguments = context;
    struct bench_engine engine = {.lock = NULL};
    struct arena *arena = arena_new((size_t)16 << 20);
    enum status status = bench_engine_open(directory, true, arguments->threads, 0, error, &engine);
    if (status == STATUS_OK) status = load(&engine, directory, arguments, arena, error);
    for (size_t i = 0; i < sizeof questions / sizeof *questions && status == STATUS_OK; i++)
        status = ask(engine.executor, arena, i, error);
    bench_engine_close(&engine);
    arena_free(arena);
    return status;
}

static int take(const char *command, int flag, struct arguments *arguments)
{
    uint64_t number;
    switch (flag) {
    case DATA: arguments->data = optarg; return EXIT_DONE;
    case EVENTS:
        if (number_parse_unsigned(str_of(optarg), BENCH_EVENTS_MAX, &arguments->events) && arguments->events > 0)
            return EXIT_DONE;
        return command_usage(command, "--events %s is no number of events", optarg);
    case THREADS:
        if (!number_parse_unsigned(str_of(optarg), 64, &number) || number == 0)
            return command_usage(command, "--threads %s is no number from 1 to 64", optarg);
        arguments->threads = (unsigned)number;
        return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

int bench_self_run(int argc, char **argv)
{
    static const char command[] = "cairn bench self";
    static const struct option flags[] = {FLAG_DATA,
                                          {"events", required_argument, NULL, EVENTS},
                                          {"threads", required_argument, NULL, THREADS},
                                          FLAG_HELP,
                                          {0}};
    struct arguments arguments = {.events = 500000, .threads = os_cores()};
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, &arguments);
        if (code != EXIT_DONE) return code;
    }
    if (arguments.help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    if (optind < argc) return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    return bench_in_temporary(command, arguments.data, measure, &arguments);
}
