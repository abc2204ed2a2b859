#include "cli/bench.h"

#include "base/number.h"
#include "os/machine.h"

#include <errno.h>
#include <stdlib.h>

static const char query_help[] =
    "cairn bench query runs questions again and again on the events of a data directory, and times them.\n"
    "\n"
    "  --data DIR      of bench load, or of a server that is not running\n"
    "  --queries FILE  the questions: a JSON list, see below; - reads standard input\n"
    "  --follow        instead: one question a line from standard input, answered before the next is read\n"
    "  --only NAME     just this question; may be repeated\n"
    "  --threads N     a question may use so many; default: as many as cores\n"
    "  --memory SIZE   like --memory of cairn serve; default: half of the machine's\n"
    "  --repeat N      so often; default 5\n"
    "  --json          print a JSON line for each question, with its answer, as soon as it is there\n"
    "\n"
    "A question is an object:\n"
    "  name      what it is called in the output\n"
    "  from, to  days, both included: \"2024-01-01\"; needed\n"
    "  kind      segment (default), top_values, properties, feed, export, retention, frequency, funnel\n"
    "  events    [\"Page View\"]; none: any event\n"
    "  where     \"properties[\\\"price\\\"] > 50\"; docs/api/expressions.md\n"
    "  on        \"properties[\\\"$browser\\\"]\": breaks down by it\n"
    "  by        with on: breaks down by both; or labels: [\"Firefox\"], only these; or bins: 12, ranges of numbers\n"
    "  measure   count (default), unique, average, sum, mean, min, max, percentile\n"
    "  of        what sum, mean, min, max, percentile are of: \"properties[\\\"price\\\"]\"\n"
    "  percentile, unit (minute, hour, day, week, month, range), zone, limit, distinct_ids, order, project (default "
    "1)\n"
    "  of retention: born_events, born_where, intervals, retention (birth, compounded); of frequency: active_unit\n"
    "\n"
    "Of kind funnel it has from, to, unit (default range), zone, where, on, and\n"
    "  steps        names of events, in order\n"
    "  window_days  default 7\n"
    "  trend        true: a funnel for each bucket\n"
    "  count        uniques (default), totals, sessions\n"
    "  reentry      default, basic, aggressive, optimized\n"
    "  no_grace     true: steps in the order of their milliseconds\n"
    "\n"
    "Times are of asking, computing and writing the answer as text. Example:\n"
    "  echo '[{\"name\":\"views\",\"from\":\"2024-01-01\",\"to\":\"2024-03-30\",\"events\":[\"Page View\"]}]' |\n"
    "    cairn bench query --data ./bench-data --queries -\n";

static const char open_help[] =
    "cairn bench open measures how long a server takes from nothing to its first answer.\n"
    "\n"
    "  --data DIR      of bench load, or of a server that is not running\n"
    "  --threads N     the question may use so many; default: as many as cores\n"
    "  --memory SIZE   like --memory of cairn serve; default: half of the machine's\n"
    "  --json          print one JSON object and nothing else\n"
    "\n"
    "It opens the directory, which recovers the log, and asks for the events of each day of 2024. Whether the kernel\n"
    "has the files in memory makes much of the difference. Example:\n"
    "  cairn bench open --data ./bench-data\n";

#define QUERIES_BYTES_MAX ((size_t)16 << 20)
#define ANSWER_BYTES_MAX  ((size_t)1 << 30)
#define REPEAT_MAX        1000
#define ONLY_MAX          64

struct arguments {
    const char *data, *queries;
    const char *only[ONLY_MAX];
    size_t only_count;
    unsigned threads, repeat;
    uint64_t memory_bytes;
    bool follow, json, help;
};
enum { DATA = 1000, QUERIES, FOLLOW, ONLY, THREADS, MEMORY, REPEAT, JSON };

/* ---- Arguments ---- */

static int take(const char *command, int flag, struct arguments *arguments)
{
    uint64_t number;
    switch (flag) {
    case DATA: arguments->data = optarg; return EXIT_DONE;
    case QUERIES: arguments->queries = optarg; return EXIT_DONE;
    case ONLY:
        if (arguments->only_count == ONLY_MAX) return command_usage(command, "--only is given too often");
        arguments->only[arguments->only_count++] = optarg;
        return EXIT_DONE;
    case THREADS:
        if (!number_parse_unsigned(str_of(optarg), 64, &number) || number == 0)
            return command_usage(command, "--threads %s is no number from 1 to 64", optarg);
        arguments->threads = (unsigned)number;
        return EXIT_DONE;
    case REPEAT:
        if (!number_parse_unsigned(str_of(optarg), REPEAT_MAX, &number) || number == 0)
            return command_usage(command, "--repeat %s is no number from 1 to %d", optarg, REPEAT_MAX);
        arguments->repeat = (unsigned)number;
        return EXIT_DONE;
    case MEMORY: return bench_memory_parse(command, optarg, &arguments->memory_bytes) ? EXIT_DONE : EXIT_USAGE;
    case FOLLOW: arguments->follow = true; return EXIT_DONE;
    case JSON: arguments->json = true; return EXIT_DONE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

static int parse(const char *command, int argc, char **argv, const struct option *flags, const char *help,
                 struct arguments *arguments)
{
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, arguments);
        if (code != EXIT_DONE) return code;
    }
    if (arguments->help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    if (optind < argc) return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    if (!arguments->data) return command_usage(command, "--data DIR is missing");
    return EXIT_DONE;
}

/* ---- query ---- */

static enum status read_file(const char *path, struct buf *text, struct error *error)
{
    bool standard_input = strcmp(path, "-") == 0;
    FILE *file = standard_input ? stdin : fopen(path, "re");
    if (!file) return error_set(error, STATUS_IO, "cannot open %s: %s", path, strerror(errno));
    enum status status = STATUS_OK;
    for (size_t got = 1; got > 0 && status == STATUS_OK;) {
        char *place = buf_reserve(text, 65536);
        if (!place) {
            status = error_set(error, STATUS_LIMIT, "%s is too large", path);
            break;
        }
        got = fread(place, 1, 65536, file);
        buf_advance(text, got);
    }
    if (ferror(file)) status = error_set(error, STATUS_IO, "cannot read %s: %s", path, strerror(errno));
    if (!standard_input) fclose(file);
    return status;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

struct timing {
    double min_ms, median_ms, max_ms;
};
/* Sorts. */
static struct timing timing_of(double *ms, unsigned count)
{
    qsort(ms, count, sizeof *ms, compare);
    return (struct timing){ms[0], ms[count / 2], ms[count - 1]};
}

struct question {
    struct str name;
    bool funnel;
    struct plan plan;
    struct funnel_plan funnel_plan; /* instead */
};

/* `,"wall_ms":[…]`, in the order of the runs. */
static void write_times(struct buf *out, const char *name, const double *ms, unsigned count)
{
    buf_printf(out, ",\"%s_ms\":[", name);
    for (unsigned i = 0; i < count; i++) buf_printf(out, "%s%.4f", i ? "," : "", ms[i]);
    buf_byte(out, ']');
}

static enum status print_line(const struct question *question, const double *wall_ms, const double *cpu_ms,
                              unsigned count, const struct buf *answer, struct error *error)
{
    struct buf out = BUF_INIT((size_t)1 << 20);
    buf_lit(&out, "{\"name\":");
    json_write_str(&out, question->name);
    write_times(&out, "wall", wall_ms, count);
    write_times(&out, "cpu", cpu_ms, count);
    buf_lit(&out, ",\"answer\":");
    enum status status = buf_status(&out);
    if (status == STATUS_OK) {
        fwrite(out.data, 1, out.size, stdout);
        fwrite(answer->data, 1, answer->size, stdout);
        puts("}");
    } else {
        error_set(error, STATUS_LIMIT, "out of memory");
    }
    buf_fini(&out);
    return status;
}

static enum status ask(struct executor *executor, const struct question *question, const struct arguments *arguments,
                       struct error *error)
{
    double wall_ms[REPEAT_MAX], cpu_ms[REPEAT_MAX];
    unsigned count = arguments->repeat;
    struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < count && status == STATUS_OK; i++) {
        buf_reset(&answer);
        struct bench_clock start = bench_clock();
        status = question->funnel ? bench_funnel_answer(executor, &question->funnel_plan, error, &answer)
                                  : bench_answer(executor, &question->plan, error, &answer);
        wall_ms[i] = bench_wall(&start) * 1e3;
        cpu_ms[i] = bench_cpu(&start) * 1e3;
    }
    if (status == STATUS_OK && arguments->json) {
        status = print_line(question, wall_ms, cpu_ms, count, &answer, error);
    } else if (status == STATUS_OK) {
        struct timing wall = timing_of(wall_ms, count), cpu = timing_of(cpu_ms, count);
        printf("%-32.*s %10.2f %10.2f %10.2f %10.2f\n", (int)question->name.size, question->name.data, wall.median_ms,
               wall.min_ms, wall.max_ms, cpu.median_ms);
    }
    fflush(stdout);
    buf_fini(&answer);
    return status;
}

static bool wanted(const struct arguments *arguments, struct str name)
{
    for (size_t i = 0; i < arguments->only_count; i++)
        if (str_eq(name, str_of(arguments->only[i]))) return true;
    return arguments->only_count == 0;
}

static enum status question_read(struct arena *arena, const struct json *json, struct error *error,
                                 struct question *ret_question)
{
    const struct json *name = json_member(json, "name");
    ret_question->name = name && name->type == JSON_STRING ? name->string : STR("?");
    ret_question->funnel = bench_is_funnel(json);
    if (ret_question->funnel) return bench_funnel_plan(arena, json, error, &ret_question->funnel_plan);
    return bench_plan(arena, json, error, &ret_question->plan);
}

/* All questions are understood before the first is asked. */
static enum status questions_read(struct arena *arena, const struct arguments *arguments, struct error *error,
                                  struct question **ret_questions, size_t *ret_count)
{
    struct buf text = BUF_INIT(QUERIES_BYTES_MAX);
    struct json list;
    size_t count = 0;
    enum status status = read_file(arguments->queries, &text, error);
    if (status == STATUS_OK) status = json_parse(arena, buf_str(&text), NULL, error, &list);
    buf_fini(&text);
    TRY(status);
    if (list.type != JSON_ARRAY) return error_set(error, STATUS_INVALID, "%s is no JSON list", arguments->queries);
    struct question *questions = arena_new_array(arena, struct question, list.array.count + 1);
    if (!questions) return error_set(error, STATUS_LIMIT, "out of memory");
    for (size_t i = 0; i < list.array.count; i++) {
        TRY(question_read(arena, &list.array.items[i], error, &questions[count]));
        if (wanted(arguments, questions[count].name)) count++;
    }
    *ret_questions = questions;
    *ret_count = count;
    return STATUS_OK;
}

/* What this version cannot do yet is said, and is no reason to stop. */
static enum status ask_or_say(struct executor *executor, const struct question *question,
                              const struct arguments *arguments, struct error *error)
{
    struct error problem = ERROR_INIT;
    enum status status = ask(executor, question, arguments, &problem);
    if (status != STATUS_UNSUPPORTED) {
        if (status != STATUS_OK) *error = problem;
        return status;
    }
    fprintf(stderr, "cairn bench query: " STR_FMT ": %s\n", STR_ARG(question->name), problem.primary);
    if (arguments->json) puts("{\"unsupported\":true}");
    fflush(stdout);
    return STATUS_OK;
}

static void print_heading(const struct arguments *arguments)
{
    if (!arguments->json) puts("question                          median ms        min        max     CPU ms");
}

static enum status query(struct arena *arena, const struct arguments *arguments, struct bench_engine *engine,
                         struct error *error)
{
    struct question *questions = NULL;
    size_t count = 0;
    TRY(questions_read(arena, arguments, error, &questions, &count));
    TRY(bench_engine_open(arguments->data, false, arguments->threads, arguments->memory_bytes, error, engine));
    print_heading(arguments);
    for (size_t i = 0; i < count; i++) TRY(ask_or_say(engine->executor, &questions[i], arguments, error));
    return STATUS_OK;
}

static enum status follow(struct arena *arena, const struct arguments *arguments, struct bench_engine *engine,
                          struct error *error)
{
    char *line = NULL;
    size_t capacity = 0;
    enum status status =
        bench_engine_open(arguments->data, false, arguments->threads, arguments->memory_bytes, error, engine);
    if (status == STATUS_OK) print_heading(arguments);
    for (ssize_t size; status == STATUS_OK && (size = getline(&line, &capacity, stdin)) > 0; arena_reset(arena)) {
        struct json json;
        struct question question;
        status = json_parse(arena, str_from(line, (size_t)size), NULL, error, &json);
        if (status == STATUS_OK) status = question_read(arena, &json, error, &question);
        if (status == STATUS_OK) status = ask_or_say(engine->executor, &question, arguments, error);
    }
    free(line);
    return status;
}

int bench_query_run(int argc, char **argv)
{
    static const char command[] = "cairn bench query";
    static const struct option flags[] = {
        FLAG_DATA,
        {"queries", required_argument, NULL, QUERIES},
        {"follow", no_argument, NULL, FOLLOW},
        {"only", required_argument, NULL, ONLY},
        {"threads", required_argument, NULL, THREADS},
        {"memory", required_argument, NULL, MEMORY},
        {"repeat", required_argument, NULL, REPEAT},
        FLAG_JSON,
        FLAG_HELP,
        {0},
    };
    struct arguments arguments = {.threads = os_cores(), .repeat = 5};
    int code = parse(command, argc, argv, flags, query_help, &arguments);
    if (code != EXIT_DONE || arguments.help) return code;
    if (!arguments.queries == !arguments.follow) return command_usage(command, "give --queries FILE or --follow");
    struct error error = ERROR_INIT;
    struct bench_engine engine = {.lock = NULL};
    struct arena *arena = arena_new((size_t)256 << 20);
    enum status status = (arguments.follow ? follow : query)(arena, &arguments, &engine, &error);
    bench_engine_close(&engine);
    arena_free(arena);
    return status == STATUS_OK ? command_finish_output() : command_failed(command, &error);
}

/* ---- open ---- */

int bench_open_run(int argc, char **argv)
{
    static const char command[] = "cairn bench open";
    static const struct option flags[] = {
        FLAG_DATA,
        {"threads", required_argument, NULL, THREADS},
        {"memory", required_argument, NULL, MEMORY},
        FLAG_JSON,
        FLAG_HELP,
        {0},
    };
    struct arguments arguments = {.threads = os_cores()};
    int code = parse(command, argc, argv, flags, open_help, &arguments);
    if (code != EXIT_DONE || arguments.help) return code;
    struct error error = ERROR_INIT;
    struct bench_engine engine = {.lock = NULL};
    struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);
    struct plan plan = {.project = BENCH_PROJECT,
                        .zone = timezone_utc(),
                        .unit = UNIT_DAY,
                        .from_day = 19723,
                        .to_day = 19723 + 365,
                        .limit = 1};
    struct bench_clock start = bench_clock();
    enum status status =
        bench_engine_open(arguments.data, false, arguments.threads, arguments.memory_bytes, &error, &engine);
    double opened_s = bench_wall(&start);
    if (status == STATUS_OK) status = bench_answer(engine.executor, &plan, &error, &answer);
    double answered_s = bench_wall(&start), cpu_s = bench_cpu(&start);
    uint64_t resident = bench_bytes_resident(), replayed = engine.report.events;
    bench_engine_close(&engine);
    buf_fini(&answer);
    if (status != STATUS_OK) return command_failed(command, &error);
    if (arguments.json)
        printf("{\"open_ms\":%.3f,\"first_answer_ms\":%.3f,\"cpu_ms\":%.3f,\"resident_bytes\":%llu,"
               "\"events_from_log\":%llu}\n",
               opened_s * 1e3, answered_s * 1e3, cpu_s * 1e3, (unsigned long long)resident,
               (unsigned long long)replayed);
    else
        printf("opened after %.1f ms, first answer after %.1f ms, %.1f ms of CPU, %.1f MB of memory, %llu events from "
               "the log\n",
               opened_s * 1e3, answered_s * 1e3, cpu_s * 1e3, (double)resident / 1e6, (unsigned long long)replayed);
    return command_finish_output();
}
