#include "cli/bench.h"

#include "base/civil.h"
#include "base/number.h"
#include "cli/figures.h"
#include "os/machine.h"
#include "query/profiles.h"
#include "store/profiles.h"

#include <stdlib.h>

/* Made-up profiles with ten properties each, and the questions that a report about people asks. */

static const char help[] =
    "cairn bench profiles makes profiles of users up, with ten properties each, and events of the users; a third of "
    "them\n"
    "have a device that is linked to them. Then it asks questions about the profiles, and removes everything again.\n"
    "\n"
    "  --profiles N    how many; default 1000000\n"
    "  --threads N     a question may use so many; default: as many as cores\n"
    "  --memory SIZE   like --memory of cairn serve; default: half of the machine's\n"
    "  --data DIR      make its directory inside DIR; default: $TMPDIR or the system's\n"
    "\n"
    "Times are the best of five, and the processor time that goes with it, of all threads; without writing the answer\n"
    "as text. Example:\n"
    "  cairn bench profiles --profiles 200000\n";

#define REPEAT       5
#define BATCH        2000
#define PROFILES_MAX 100000000
#define BASE_S       1704067200 /* 2024-01-01 */
#define PAGE         1000
#define SHARE        5 /* of the memory, for a query: as the server does */

struct arguments {
    const char *data;
    uint64_t profiles, memory_bytes;
    unsigned threads;
    bool help;
};
enum { DATA = 1000, PROFILES, THREADS, MEMORY };

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* --- making them up --- */

static enum status add(struct batch *batch, const char *name, struct json value)
{
    return batch_property(batch, str_of(name), &value);
}

static enum status add_profile(struct batch *batch, uint64_t number)
{
    static const char *const plans[] = {"free", "free", "free", "pro", "team"};
    static const char *const sources[] = {"google", "direct", "newsletter", "friend"};
    uint64_t r = mix(number + 1);
    char id[32], email[64], name[64], city[32], seen[24];
    snprintf(id, sizeof id, "user-%08llu", (unsigned long long)number);
    snprintf(email, sizeof email, "person.%llu@example%llu.com", (unsigned long long)number,
             (unsigned long long)(r % 50));
    snprintf(name, sizeof name, "Name%llu Family%llu", (unsigned long long)(r % 2000),
             (unsigned long long)(r / 2000 % 5000));
    snprintf(city, sizeof city, "City %llu", (unsigned long long)(r / 7 % 300));
    civil_format_datetime((BASE_S + (int64_t)(r / 11 % (90 * 86400))) * 1000, seen);
    seen[10] = 'T';
    batch_event(batch, STR(PROFILE_USER_EVENT), PROFILE_TIME_MS, str_of(id), STR_NULL, STR(PROFILE_INSERT_ID));
    TRY(add(batch, "$email", json_string(str_of(email))));
    TRY(add(batch, "$name", json_string(str_of(name))));
    TRY(add(batch, "$city", json_string(str_of(city))));
    TRY(add(batch, "$last_seen", json_string(str_from(seen, 19))));
    TRY(add(batch, "plan", json_string(str_of(plans[r % 5]))));
    TRY(add(batch, "source", json_string(str_of(sources[r / 5 % 4]))));
    TRY(add(batch, "age", json_int((int64_t)(18 + r / 13 % 70))));
    TRY(add(batch, "visits", json_int((int64_t)(r / 17 % 1000))));
    TRY(add(batch, "ltv", json_number((double)(r / 19 % 100000) / 100)));
    TRY(add(batch, "is_trial", json_bool(r / 23 % 4 == 0)));
    batch_event_end(batch);
    return STATUS_OK;
}

/* Everybody has done something in the last weeks; one in three began on a device. */
static void add_event(struct batch *batch, uint64_t number)
{
    uint64_t r = mix(number + 77);
    char id[32], device[32];
    snprintf(id, sizeof id, "user-%08llu", (unsigned long long)number);
    snprintf(device, sizeof device, "$device:%016llx", (unsigned long long)r);
    int64_t time_ms = (BASE_S + (int64_t)(r % (90 * 86400))) * 1000;
    batch_event(batch, STR("Purchase"), time_ms, str_of(id), number % 3 ? STR_NULL : str_of(device), STR_NULL);
    batch_event_end(batch);
}

static enum status make_up(struct store *store, uint64_t profiles, bool events, struct error *error)
{
    for (uint64_t from = 0; from < profiles; from += BATCH) {
        struct batch batch;
        struct buf record;
        uint64_t project = events ? BENCH_PROJECT : store_profiles_of(BENCH_PROJECT);
        enum status status = STATUS_OK;
        batch_init(&batch, (size_t)16 << 20);
        batch_begin(&batch, project, (int64_t)BASE_S * 1000, IDENTITY_SIMPLIFIED, 0);
        for (uint64_t i = from; i < from + BATCH && i < profiles && status == STATUS_OK; i++) {
            if (events)
                add_event(&batch, i);
            else
                status = add_profile(&batch, i);
        }
        if (status == STATUS_OK) status = batch_finish(&batch, &record);
        batch_fini(&batch);
        if (status == STATUS_OK) status = store_append_wait(store, &record);
        if (status != STATUS_OK) return error_set(error, status, "cannot store what was made up");
    }
    return STATUS_OK;
}

/* --- asking --- */

struct question {
    const char *text, *where, *sort, *search;
    const char *of; /* numbers instead of a list */
    bool properties, behavior, by_id, page;
};
static const struct question questions[] = {
    {.text = "a number: age > 60", .where = "properties[\"age\"] > 60"},
    {.text = "two texts and a number",
     .where = "properties[\"plan\"] == \"pro\" and properties[\"$city\"] in [\"City 7\", \"City 8\"] and "
              "properties[\"ltv\"] >= 500"},
    {.text = "a text that all have another of", .where = "\"77@\" in properties[\"$email\"]"},
    {.text = "or: two columns", .where = "properties[\"age\"] < 20 or properties[\"is_trial\"] == true"},
    {.text = "everybody"},
    {.text = "the same, by $last_seen", .where = "properties[\"age\"] > 60", .sort = "properties[\"$last_seen\"]"},
    {.text = "everybody, by ltv", .sort = "properties[\"ltv\"]"},
    {.text = "everybody, by $last_seen", .sort = "properties[\"$last_seen\"]"},
    {.text = "everybody, by $email", .sort = "properties[\"$email\"]"},
    {.text = "search", .search = "person.7777"},
    {.text = "one, by its id", .by_id = true},
    {.text = "who bought something in 30 days", .where = "behaviors[\"b\"] > 0", .behavior = true},
    {.text = "median of ltv", .of = "properties[\"ltv\"]"},
    {.text = "properties and their types", .properties = true},
    {.text = "a page of 1000, by $last_seen", .sort = "properties[\"$last_seen\"]", .page = true},
};

static enum status count_row(struct profile_sink *sink, const struct listed_profile *row, struct error *error)
{
    (void)sink, (void)row, (void)error;
    return STATUS_OK;
}

struct timing {
    double wall_ms, cpu_ms;
};
static struct timing timing_since(const struct bench_clock *start)
{
    return (struct timing){bench_wall(start) * 1e3, bench_cpu(start) * 1e3};
}

/* Once; *ret_count is how many profiles, or properties, it found. */
static enum status ask_once(struct executor *executor, const struct question *q, const struct profile_plan *plan,
                            const struct plan_limits *limits, struct error *error, struct timing *ret_timing,
                            uint64_t *ret_count)
{
    const struct profile_functions *functions = executor->profiles;
    struct profile_list *list;
    struct profile_numbers numbers;
    struct profile_properties properties;
    struct profile_sink sink = {count_row};
    struct bench_clock start = bench_clock();
    if (q->of) {
        TRY(functions->numbers(executor, plan, str_of(q->of), 50, limits, error, &numbers));
        *ret_timing = timing_since(&start);
        *ret_count = numbers.count;
        return STATUS_OK;
    }
    if (q->properties) {
        TRY(functions->properties(executor, plan, limits, error, &properties));
        *ret_timing = timing_since(&start);
        *ret_count = properties.count;
        arena_free(properties.arena);
        return STATUS_OK;
    }
    TRY(functions->list(executor, plan, limits, error, &list));
    if (q->page) start = bench_clock();
    enum status status = q->page ? profile_list_read(list, list->count / 2, PAGE, limits, &sink, error) : STATUS_OK;
    *ret_timing = timing_since(&start);
    *ret_count = q->page ? PAGE : list->count;
    profile_list_free(list);
    return status;
}

static enum status ask(struct executor *executor, const struct question *q, const struct plan_limits *limits,
                       struct arena *arena, struct error *error)
{
    static const struct behavior_selector selector = {.event = {"Purchase", 8}};
    static const struct behavior behavior = {
        .name = {"b", 1}, .window_ms = 30 * DAY_MS, .selectors = &selector, .selector_count = 1};
    static const struct str id = {"user-00000777", 13};
    struct profile_plan plan = {.project = BENCH_PROJECT,
                                .zone = timezone_utc(),
                                .now_ms = (int64_t)BASE_S * 1000,
                                .where = q->where ? str_of(q->where) : STR_NULL,
                                .sort = q->sort ? str_of(q->sort) : STR_NULL,
                                .search = q->search ? str_of(q->search) : STR_NULL,
                                .descending = true,
                                .by_ids = q->by_id,
                                .ids = &id,
                                .id_count = 1,
                                .behaviors = q->behavior ? &behavior : NULL,
                                .behavior_count = q->behavior,
                                .as_of_ms = (BASE_S + INT64_C(90) * 86400) * 1000};
    struct timing best = {0}, timing;
    uint64_t count = 0;
    for (int i = 0; i < REPEAT; i++) {
        TRY(ask_once(executor, q, &plan, limits, error, &timing, &count));
        if (i == 0 || timing.wall_ms < best.wall_ms) best = timing;
    }
    printf("question    %-34s %8.2f ms  cpu %8.2f ms  " STR_FMT "\n", q->text, best.wall_ms, best.cpu_ms,
           STR_ARG(figure_count(arena, count)));
    return STATUS_OK;
}

static enum status measure(const char *directory, const void *context, struct error *error)
{
    const struct arguments *arguments = context;
    struct bench_engine engine = {.lock = NULL};
    struct arena *arena = arena_new((size_t)16 << 20);
    uint64_t memory = arguments->memory_bytes ? arguments->memory_bytes : os_memory_bytes() / 2;
    struct plan_limits limits = {.memory_bytes_max = memory / SHARE / arguments->threads, .deadline_ns = INT64_MAX};
    enum status status =
        bench_engine_open(directory, true, arguments->threads, arguments->memory_bytes, error, &engine);
    struct bench_clock start = bench_clock();
    if (status == STATUS_OK) status = make_up(engine.store, arguments->profiles, false, error);
    if (status == STATUS_OK) status = make_up(engine.store, arguments->profiles, true, error);
    if (status == STATUS_OK) status = bench_settle(engine.store, error);
    if (status == STATUS_OK) {
        printf("loading     " STR_FMT " profiles and as many events in %.2f s; " STR_FMT " in sections\n",
               STR_ARG(figure_count(arena, arguments->profiles)), bench_wall(&start),
               STR_ARG(figure_bytes(arena, bench_bytes_of_sections(directory))));
        printf("memory      " STR_FMT " for a question\n", STR_ARG(figure_bytes(arena, limits.memory_bytes_max)));
    }
    for (size_t i = 0; i < sizeof questions / sizeof *questions && status == STATUS_OK; i++)
        status = ask(engine.executor, &questions[i], &limits, arena, error);
    if (status == STATUS_OK) printf("resident    " STR_FMT "\n", STR_ARG(figure_bytes(arena, bench_bytes_resident())));
    bench_engine_close(&engine);
    arena_free(arena);
    return status;
}

static int take(const char *command, int flag, struct arguments *arguments)
{
    uint64_t number;
    switch (flag) {
    case DATA: arguments->data = optarg; return EXIT_DONE;
    case PROFILES:
        if (number_parse_unsigned(str_of(optarg), PROFILES_MAX, &arguments->profiles) && arguments->profiles > 0)
            return EXIT_DONE;
        return command_usage(command, "--profiles %s is no number of profiles", optarg);
    case THREADS:
        if (!number_parse_unsigned(str_of(optarg), 64, &number) || number == 0)
            return command_usage(command, "--threads %s is no number from 1 to 64", optarg);
        arguments->threads = (unsigned)number;
        return EXIT_DONE;
    case MEMORY: return bench_memory_parse(command, optarg, &arguments->memory_bytes) ? EXIT_DONE : EXIT_USAGE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

int bench_profiles_run(int argc, char **argv)
{
    static const char command[] = "cairn bench profiles";
    static const struct option flags[] = {FLAG_DATA,
                                          {"profiles", required_argument, NULL, PROFILES},
                                          {"threads", required_argument, NULL, THREADS},
                                          {"memory", required_argument, NULL, MEMORY},
                                          FLAG_HELP,
                                          {0}};
    struct arguments arguments = {.profiles = 1000000, .threads = os_cores()};
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
