#include "cli/bench.h"
#include "cli/bench_generate.h"

#include "base/number.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "cairn bench measures the event engine in this process, without a server and without HTTP, but for bench import.\n"
    "\n"
    "  cairn bench self     [--events N] [--threads N]           how fast is this machine? Made-up data, then a table\n"
    "  cairn bench generate [--events N] [--out FILE]            made-up product events as JSON lines\n"
    "  cairn bench load     --data DIR [FILE]...                 take JSON lines in, durably, and say how fast\n"
    "  cairn bench import   --url URL --user NAME [FILE]         send JSON lines to a server that runs, and say how "
    "fast\n"
    "  cairn bench query    --data DIR --queries FILE            run questions again and again, and time them\n"
    "  cairn bench open     --data DIR                           time from nothing to the first answer\n"
    "  cairn bench profiles [--profiles N] [--threads N]         made-up profiles of users, and questions about them\n"
    "  cairn bench identity [--part NAME]...                     what joining ids costs: ratios, hot ids, many ids\n"
    "\n"
    "Each tells more with --help. In a minute, on a directory that is not there yet:\n"
    "  cairn bench generate --events 1000000 | cairn bench load --data ./bench-data\n"
    "  cairn bench open --data ./bench-data\n"
    "\n"
    "Loading does what the server does with POST /import, except HTTP: parse, check, resolve ids, append to the log,\n"
    "wait for the disk, write sorted sections, merge them. bench load refuses the data directory of a server;\n"
    "bench query and bench open also take one, while no server runs on it. docs/benchmarks.md compares with others.\n";

int cmd_bench(int argc, char **argv)
{
    static const struct command commands[] = {
        {"self", bench_self_run, "measure this machine"},
        {"generate", bench_generate_run, "make up events"},
        {"load", bench_load_run, "take events in"},
        {"query", bench_query_run, "time questions"},
        {"open", bench_open_run, "time to the first answer"},
        {"import", bench_import_run, "send events to a server"},
        {"profiles", bench_profiles_run, "questions about people"},
        {"identity", bench_identity_run, "what joining ids costs"},
        {0},
    };
    return command_dispatch("cairn bench", help, commands, argc, argv);
}

/* ---- generate ---- */

static const char generate_help[] =
    "cairn bench generate writes made-up product events as JSON lines, as Mixpanel's import takes them.\n"
    "\n"
    "  --events N        how many; default 1000000\n"
    "  --users N         how many people; default one for 20 events\n"
    "  --days N          they are spread over so many days from 2024-01-01 on; default 90\n"
    "  --seed N          the same seed and numbers give the same bytes, on every machine; default 1\n"
    "  --profile NAME    shop: 12 properties an event (the default); web: 25, as the SDK for web pages sends\n"
    "  --user-numbers    adds the member \"user\": who it turned out to be. For databases that cannot find out\n"
    "  --linked PERCENT  of the people, who are anonymous until they log in, if they come that often; default 30\n"
    "  --from N, --to N  only the days from N until before N, counted from 0: these bytes, of the whole\n"
    "  --out FILE        instead of standard output\n"
    "  --links FILE      also writes a line `device id, user id, user number` for each link of the two\n"
    "\n"
    "Memory: a day of events and 16 bytes a user. Example:\n"
    "  cairn bench generate --events 10000000 --profile web --out events.ndjson\n";

struct file_sink {
    struct bench_sink sink;
    FILE *file;
};

static enum status file_write(struct bench_sink *sink, struct str lines, struct error *error)
{
    struct file_sink *to = (struct file_sink *)sink;
    if (fwrite(lines.data, 1, lines.size, to->file) == lines.size) return STATUS_OK;
    return error_set(error, STATUS_IO, "cannot write events: %s", strerror(errno));
}

struct generate_arguments {
    struct bench_data data;
    const char *out, *links;
    bool help;
};
enum { DATA = 1000, JSON, EVENTS, USERS, DAYS, SEED, PROFILE, USER_NUMBERS, LINKED, FROM, TO, OUT, LINKS };

static int take_number(const char *command, const char *name, uint64_t max, uint64_t *ret_number)
{
    if (number_parse_unsigned(str_of(optarg), max, ret_number)) return EXIT_DONE;
    return command_usage(command, "--%s %s is no number from 0 to %llu", name, optarg, (unsigned long long)max);
}

static int generate_take(const char *command, int flag, struct generate_arguments *arguments)
{
    struct bench_data *data = &arguments->data;
    uint64_t number = 0;
    int code = EXIT_DONE;
    switch (flag) {
    case EVENTS: return take_number(command, "events", BENCH_EVENTS_MAX, &data->events);
    case SEED: return take_number(command, "seed", UINT64_MAX, &data->seed);
    case USERS:
        code = take_number(command, "users", UINT32_MAX, &number);
        data->users = (uint32_t)number;
        return code;
    case DAYS:
        code = take_number(command, "days", BENCH_DAYS_MAX, &number);
        data->days = (uint32_t)number;
        return code;
    case LINKED:
        code = take_number(command, "linked", BENCH_LINKED_MAX, &number);
        data->linked = (unsigned)number;
        return code;
    case FROM:
        code = take_number(command, "from", BENCH_DAYS_MAX, &number);
        data->from = (uint32_t)number;
        return code;
    case TO:
        code = take_number(command, "to", BENCH_DAYS_MAX, &number);
        data->to = (uint32_t)number;
        return code;
    case PROFILE:
        if (strcmp(optarg, "shop") != 0 && strcmp(optarg, "web") != 0)
            return command_usage(command, "there is no profile \"%s\": use shop or web", optarg);
        data->profile = optarg[0] == 'w' ? BENCH_WEB : BENCH_SHOP;
        return EXIT_DONE;
    case USER_NUMBERS: data->user_numbers = true; return EXIT_DONE;
    case OUT: arguments->out = optarg; return EXIT_DONE;
    case LINKS: arguments->links = optarg; return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

static FILE *file_create(const char *path, struct error *error)
{
    FILE *file = fopen(path, "we");
    if (!file) error_set(error, STATUS_IO, "cannot create %s: %s", path, strerror(errno));
    return file;
}

static enum status file_close(FILE *file, const char *path, struct error *error)
{
    if (!file || fclose(file) == 0) return STATUS_OK;
    return error_set(error, STATUS_IO, "cannot write %s: %s", path, strerror(errno));
}

static enum status generate(const struct generate_arguments *arguments, struct error *error)
{
    struct file_sink events = {.sink.write = file_write, .file = stdout}, links = {.sink.write = file_write};
    if (arguments->out && !(events.file = file_create(arguments->out, error))) return STATUS_IO;
    if (arguments->links && !(links.file = file_create(arguments->links, error))) {
        if (arguments->out) fclose(events.file);
        return STATUS_IO;
    }
    enum status status = bench_generate(&arguments->data, &events.sink, links.file ? &links.sink : NULL, error);
    enum status closed = file_close(links.file, arguments->links, error);
    if (status == STATUS_OK) status = closed;
    closed = arguments->out ? file_close(events.file, arguments->out, error) : STATUS_OK;
    return status == STATUS_OK ? closed : status;
}

int bench_generate_run(int argc, char **argv)
{
    static const char command[] = "cairn bench generate";
    static const struct option flags[] = {
        {"events", required_argument, NULL, EVENTS},
        {"users", required_argument, NULL, USERS},
        {"days", required_argument, NULL, DAYS},
        {"seed", required_argument, NULL, SEED},
        {"profile", required_argument, NULL, PROFILE},
        {"user-numbers", no_argument, NULL, USER_NUMBERS},
        {"linked", required_argument, NULL, LINKED},
        {"from", required_argument, NULL, FROM},
        {"to", required_argument, NULL, TO},
        {"out", required_argument, NULL, OUT},
        {"links", required_argument, NULL, LINKS},
        FLAG_HELP,
        {0},
    };
    struct generate_arguments arguments = {.data = BENCH_DATA_DEFAULT};
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = generate_take(command, flag, &arguments);
        if (code != EXIT_DONE) return code;
    }
    if (arguments.help) {
        fputs(generate_help, stdout);
        return command_finish_output();
    }
    if (optind < argc) return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    struct error error = ERROR_INIT;
    if (generate(&arguments, &error) != STATUS_OK) return command_failed(command, &error);
    return command_finish_output();
}
