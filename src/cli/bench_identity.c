#include "cli/bench.h"

#include "base/number.h"
#include "cli/figures.h"
#include "os/clock.h"
#include "os/machine.h"
#include "os/thread.h"
#include "store/cluster.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* What links between ids cost: made-up people, of whom some began on devices, and questions about all of them. */

static const char help[] =
    "cairn bench identity measures what joining ids costs, on made-up events of a directory that it removes again.\n"
    "\n"
    "  cairn bench identity [--part NAME]... [--events N] [--ids N] [--devices N] [--seconds N]\n"
    "\n"
    "  --part NAME     only this one; may be repeated. Default: all four\n"
    "      ratio       questions when nobody, 30 % and all of the users are joined with two devices each, whose "
    "events\n"
    "                  came before: as they were stored, and after files were merged\n"
    "      hot         half of all events are those of one id; questions about the others\n"
    "      scale       very many ids, three tenths of them linked, one user with very many devices, one person of the\n"
    "                  original mode with as many ids as it may have; then a start\n"
    "      storm       questions while 10000 links a second come in, and while as many events without links do\n"
    "  --events N      of ratio and hot; default 2000000\n"
    "  --ids N         of scale and storm; default 1000000\n"
    "  --devices N     of one user; default 100000\n"
    "  --seconds N     of a storm; default 10\n"
    "  --threads N     a question may use so many; default: as many as cores\n"
    "  --memory SIZE   like --memory of cairn serve; default: half of the machine's\n"
    "  --data DIR      make its directories inside DIR; default: $TMPDIR or the system's\n"
    "\n"
    "Times of questions are medians, with writing the answer; those that are compared are processor times of all\n"
    "threads. Example: the figures of docs/benchmarks.md\n"
    "  cairn bench identity --ids 10000000\n";

#define REPEAT           9
#define RECORD_EVENTS    2000
#define RECORD_BYTES_MAX ((size_t)16 << 20)
#define DAY_MS           INT64_C(86400000)
#define FIRST_MS         (INT64_C(19723) * DAY_MS) /* 2024-01-01 */
#define DAYS             90
#define EVENTS_A_USER    10
#define LINKS_A_SECOND   10000
#define LINKS_A_RECORD   100
#define ORIGINAL_PROJECT 2
#define MERGES           20000
#define ANSWER_BYTES_MAX ((size_t)256 << 20)
#define SAMPLES_MAX      4096

enum part { RATIO = 1, HOT = 2, SCALE = 4, STORM = 8 };

struct arguments {
    const char *data;
    unsigned parts, threads;
    uint64_t events, ids, devices, seconds, memory_bytes;
    bool help;
};

/* ---- writing ---- */

struct filling {
    struct store *store;
    struct batch batch;
    struct error *error;
    enum status status;
};

static void fill_begin(struct filling *filling, struct store *store, struct error *error)
{
    *filling = (struct filling){.store = store, .error = error};
    batch_init(&filling->batch, RECORD_BYTES_MAX);
    batch_begin(&filling->batch, BENCH_PROJECT, os_now_ms(), IDENTITY_SIMPLIFIED, 0);
}

static void fill_record(struct filling *filling)
{
    struct buf record;
    if (filling->status == STATUS_OK && batch_count(&filling->batch)) {
        filling->status = batch_finish(&filling->batch, &record);
        if (filling->status == STATUS_OK) filling->status = store_append_wait(filling->store, &record);
        if (filling->status != STATUS_OK) error_set(filling->error, filling->status, "cannot store what was made up");
    }
    batch_fini(&filling->batch);
    batch_init(&filling->batch, RECORD_BYTES_MAX);
    batch_begin(&filling->batch, BENCH_PROJECT, os_now_ms(), IDENTITY_SIMPLIFIED, 0);
}

static enum status fill_end(struct filling *filling)
{
    fill_record(filling);
    batch_fini(&filling->batch);
    return filling->status;
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* `device` NULL data: no link is asked for. */
static void fill_event(struct filling *filling, uint64_t number, int64_t time_ms, struct str id, struct str device)
{
    static const char *const names[] = {"View Page", "View Item", "Search", "Add To Cart", "Purchase"};
    static const char *const browsers[] = {"Chrome", "Safari", "Firefox", "Edge"};
    uint64_t r = mix(number + 1);
    struct batch *batch = &filling->batch;
    struct json browser = json_string(str_of(browsers[r % 4])), price = json_int((int64_t)(r / 4 % 500));
    char insert_id[20];
    size_t size = (size_t)snprintf(insert_id, sizeof insert_id, "%016llx", (unsigned long long)mix(r));
    batch_event(batch, str_of(names[r / 2048 % 5]), time_ms, id, device, str_from(insert_id, size));
    enum status status = batch_property(batch, STR("$browser"), &browser);
    if (status == STATUS_OK) status = batch_property(batch, STR("price"), &price);
    batch_event_end(batch);
    if (filling->status == STATUS_OK) filling->status = status;
    if (batch_count(batch) == RECORD_EVENTS) fill_record(filling);
}

static struct str user_id(uint64_t user, char room[48])
{
    return str_from(room, (size_t)snprintf(room, 48, "user-%09llu", (unsigned long long)user));
}
/* As SDKs make them: a UUID. */
static struct str device_id(uint64_t device, char room[48])
{
    uint64_t a = mix(device * 2 + 1), b = mix(device * 2 + 2);
    return str_from(room,
                    (size_t)snprintf(room, 48, "$device:%08x-%04x-4%03x-%04x-%012llx", (unsigned)(a >> 32),
                                     (unsigned)(a >> 16) & 0xFFFF, (unsigned)a & 0xFFF,
                                     0x8000 | ((unsigned)(b >> 48) & 0x3FFF), (unsigned long long)b & 0xFFFFFFFFFFFF));
}

/* ---- asking ---- */

struct timing {
    double median_ms, p95_ms, max_ms;
    double cpu_ms; /* median of the process's, of all its threads */
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static struct timing timing_of(double *ms, double *cpu_ms, size_t count)
{
    qsort(ms, count, sizeof *ms, compare);
    qsort(cpu_ms, count, sizeof *cpu_ms, compare);
    return (struct timing){ms[count / 2], ms[(count - 1) * 95 / 100], ms[count - 1], cpu_ms[count / 2]};
}

#define RANGE "\"from\":\"2024-01-01\",\"to\":\"2024-03-30\""
struct question {
    const char *text, *json;
};
/* What is asked about everybody, and what about one. */
enum {
    PEOPLE_BY_DAY,
    PEOPLE,
    PEOPLE_OF_ONE,
    PEOPLE_BY_BROWSER,
    FUNNEL,
    RETENTION,
    EVENTS_BY_DAY,
    FEED_UNLINKED,
    FEED_LINKED,
    QUESTIONS
};
static const struct question questions[QUESTIONS] = {
    [PEOPLE_BY_DAY] = {"people by day", "{" RANGE ",\"measure\":\"unique\"}"},
    [PEOPLE] = {"people", "{" RANGE ",\"measure\":\"unique\",\"unit\":\"range\"}"},
    [PEOPLE_OF_ONE] = {"people by week, one event",
                       "{" RANGE ",\"measure\":\"unique\",\"unit\":\"week\",\"events\":[\"Purchase\"]}"},
    [PEOPLE_BY_BROWSER] = {"people by browser", "{" RANGE ",\"measure\":\"unique\",\"unit\":\"range\","
                                                "\"on\":\"properties[\\\"$browser\\\"]\"}"},
    [FUNNEL] = {"funnel of three steps",
                "{" RANGE ",\"kind\":\"funnel\",\"steps\":[\"View Item\",\"Add To Cart\",\"Purchase\"],"
                "\"window_days\":30}"},
    [RETENTION] = {"retention by week", "{" RANGE ",\"kind\":\"retention\",\"unit\":\"week\",\"intervals\":8,"
                                        "\"born_events\":[\"Search\"]}"},
    [EVENTS_BY_DAY] = {"events by day", "{" RANGE "}"},
    [FEED_UNLINKED] = {"feed of one who is not linked at 30 %",
                       "{" RANGE ",\"kind\":\"feed\",\"distinct_ids\":[\"user-000000009\"],\"limit\":100}"},
    [FEED_LINKED] = {"feed of one who is linked at 30 %",
                     "{" RANGE ",\"kind\":\"feed\",\"distinct_ids\":[\"user-000000010\"],\"limit\":100}"},
};

struct asked {
    bool is_funnel;
    struct plan plan;
    struct funnel_plan funnel;
};

static enum status parse_question(struct arena *arena, size_t index, struct error *error, struct asked *ret_asked)
{
    struct json question;
    TRY(json_parse(arena, str_of(questions[index].json), NULL, error, &question));
    ret_asked->is_funnel = bench_is_funnel(&question);
    if (ret_asked->is_funnel) return bench_funnel_plan(arena, &question, error, &ret_asked->funnel);
    return bench_plan(arena, &question, error, &ret_asked->plan);
}

static enum status ask_once(struct executor *executor, const struct asked *asked, struct buf *answer,
                            struct error *error, double *ret_ms, double *ret_cpu_ms)
{
    buf_reset(answer);
    struct bench_clock start = bench_clock();
    if (asked->is_funnel)
        TRY(bench_funnel_answer(executor, &asked->funnel, error, answer));
    else
        TRY(bench_answer(executor, &asked->plan, error, answer));
    *ret_ms = bench_wall(&start) * 1e3;
    *ret_cpu_ms = bench_cpu(&start) * 1e3;
    return STATUS_OK;
}

static enum status ask(struct executor *executor, size_t index, struct error *error, struct timing *ret_timing)
{
    struct arena *arena = arena_new((size_t)16 << 20);
    struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);
    struct asked asked;
    double ms[REPEAT], cpu_ms[REPEAT];
    enum status status = parse_question(arena, index, error, &asked);
    for (int i = 0; i < REPEAT && status == STATUS_OK; i++)
        status = ask_once(executor, &asked, &answer, error, &ms[i], &cpu_ms[i]);
    buf_fini(&answer);
    arena_free(arena);
    if (status == STATUS_OK) *ret_timing = timing_of(ms, cpu_ms, REPEAT);
    return status;
}

static enum status ask_all(struct executor *executor, struct error *error, struct timing timings[QUESTIONS])
{
    for (size_t i = 0; i < QUESTIONS; i++) TRY(ask(executor, i, error, &timings[i]));
    return STATUS_OK;
}

/* ---- ratio ---- */

/* User 10·n + k is linked when k is below tenths: such a user began on one device, used another, and was logged in on
 * both later. The first half of everybody's events is in files before anybody is linked. */
static void fill_user(struct filling *filling, uint64_t user, unsigned tenths, bool second_half)
{
    bool linked = user % 10 < tenths;
    char room[3][48];
    struct str id = user_id(user, room[0]), first = device_id(user * 2, room[1]),
               second = device_id(user * 2 + 1, room[2]);
    unsigned from = second_half ? EVENTS_A_USER / 2 : 0;
    for (unsigned i = from; i < from + EVENTS_A_USER / 2; i++) {
        uint64_t number = user * EVENTS_A_USER + i;
        int64_t half_ms = DAYS * DAY_MS / 2;
        int64_t time_ms = FIRST_MS + (second_half ? half_ms : 0) + (int64_t)(mix(number) % (uint64_t)half_ms);
        if (!linked || i > EVENTS_A_USER / 2 + 1)
            fill_event(filling, number, time_ms, id, STR_NULL);
        else if (!second_half)
            fill_event(filling, number, time_ms, i < 3 ? first : second, STR_NULL);
        else
            fill_event(filling, number, time_ms, id, i == EVENTS_A_USER / 2 ? first : second);
    }
}

static enum status fill_users(struct store *store, uint64_t users, unsigned tenths, struct error *error)
{
    for (int half = 0; half < 2; half++) {
        struct filling filling;
        fill_begin(&filling, store, error);
        for (uint64_t user = 0; user < users && filling.status == STATUS_OK; user++)
            fill_user(&filling, user, tenths, half);
        TRY(fill_end(&filling));
        TRY(store_flush(store, error));
    }
    return STATUS_OK;
}

static const unsigned shares[] = {0, 3, 10}; /* tenths */
#define SHARES (sizeof shares / sizeof *shares)
struct ratio {
    struct timing stored[SHARES][QUESTIONS], merged[SHARES][QUESTIONS];
};

struct ratio_run {
    const struct arguments *arguments;
    struct ratio *ratio;
    size_t share;
};

static enum status measure_share(const char *directory, const void *context, struct error *error)
{
    const struct ratio_run *run = context;
    struct bench_engine engine = {.lock = NULL};
    enum status status =
        bench_engine_open(directory, true, run->arguments->threads, run->arguments->memory_bytes, error, &engine);
    uint64_t users = run->arguments->events / EVENTS_A_USER;
    if (status == STATUS_OK) status = fill_users(engine.store, users, shares[run->share], error);
    if (status == STATUS_OK) status = ask_all(engine.executor, error, run->ratio->stored[run->share]);
    if (status == STATUS_OK) status = bench_settle(engine.store, error);
    if (status == STATUS_OK) status = ask_all(engine.executor, error, run->ratio->merged[run->share]);
    bench_engine_close(&engine);
    return status;
}

static void print_ratio(const struct arguments *arguments, const struct ratio *ratio)
{
    printf("ratio: %llu events of %llu users; ms of processor time, and how many times as long as with nobody linked\n",
           (unsigned long long)arguments->events, (unsigned long long)(arguments->events / EVENTS_A_USER));
    printf("%-38s %9s %16s %16s %9s %16s %16s\n", "", "stored 0%", "30 %", "100 %", "merged 0%", "30 %", "100 %");
    for (size_t q = 0; q < QUESTIONS; q++) {
        const struct timing *states[2][SHARES];
        for (size_t s = 0; s < SHARES; s++) {
            states[0][s] = &ratio->stored[s][q];
            states[1][s] = &ratio->merged[s][q];
        }
        printf("%-38s", questions[q].text);
        for (size_t state = 0; state < 2; state++) {
            double base = states[state][0]->cpu_ms;
            printf(" %9.2f", base);
            for (size_t s = 1; s < SHARES; s++)
                printf(" %9.2f (%4.2f)", states[state][s]->cpu_ms, states[state][s]->cpu_ms / base);
        }
        puts("");
    }
}

static int run_ratio(const char *command, const struct arguments *arguments)
{
    struct ratio ratio;
    for (size_t share = 0; share < SHARES; share++) {
        struct ratio_run run = {arguments, &ratio, share};
        int code = bench_in_temporary(command, arguments->data, measure_share, &run);
        if (code != EXIT_DONE) return code;
    }
    print_ratio(arguments, &ratio);
    return command_finish_output();
}

/* ---- hot ---- */

/* As many events and other people in both cases; in one, half of the events are those of one id. */
static enum status fill_hot(struct store *store, uint64_t events, bool hot, struct error *error)
{
    struct filling filling;
    uint64_t users = events / 2 / EVENTS_A_USER;
    fill_begin(&filling, store, error);
    for (uint64_t i = 0; i < events && filling.status == STATUS_OK; i++) {
        char room[48];
        int64_t time_ms = FIRST_MS + (int64_t)(mix(i) % (uint64_t)(DAYS * DAY_MS));
        bool one = i % 2 == 0;
        struct str id = one && hot ? STR("kiosk") : user_id(users ? (one ? users : 0) + i / 2 % users : 0, room);
        fill_event(&filling, i, time_ms, id, STR_NULL);
    }
    TRY(fill_end(&filling));
    return bench_settle(store, error);
}

struct hot_run {
    const struct arguments *arguments;
    struct timing *timings;
    double *seconds;
    bool hot;
};

static enum status measure_hot(const char *directory, const void *context, struct error *error)
{
    const struct hot_run *run = context;
    struct bench_engine engine = {.lock = NULL};
    enum status status =
        bench_engine_open(directory, true, run->arguments->threads, run->arguments->memory_bytes, error, &engine);
    struct bench_clock start = bench_clock();
    if (status == STATUS_OK) status = fill_hot(engine.store, run->arguments->events, run->hot, error);
    *run->seconds = bench_wall(&start);
    if (status == STATUS_OK) status = ask_all(engine.executor, error, run->timings);
    bench_engine_close(&engine);
    return status;
}

static int run_hot(const char *command, const struct arguments *arguments)
{
    struct timing timings[2][QUESTIONS];
    double seconds[2];
    for (int hot = 0; hot < 2; hot++) {
        struct hot_run run = {arguments, timings[hot], &seconds[hot], hot};
        int code = bench_in_temporary(command, arguments->data, measure_hot, &run);
        if (code != EXIT_DONE) return code;
    }
    printf("hot: %llu events; ms of processor time when all belong to ordinary people, and when half are those of one "
           "id\n",
           (unsigned long long)arguments->events);
    printf("%-34s %9s %16s\n", "", "ordinary", "one hot id");
    printf("%-34s %9.2f %9.2f (%4.2f)\n", "taking in and merging, s", seconds[0], seconds[1], seconds[1] / seconds[0]);
    for (size_t q = 0; q < FEED_LINKED; q++)
        printf("%-34s %9.2f %9.2f (%4.2f)\n", questions[q].text, timings[0][q].cpu_ms, timings[1][q].cpu_ms,
               timings[1][q].cpu_ms / timings[0][q].cpu_ms);
    return command_finish_output();
}

/* ---- scale and storm ---- */

/* Of ten ids, three are devices that are linked to three more, which are users; four are devices of nobody known. The
 * devices are seen first. */
static enum status fill_ids(struct store *store, uint64_t ids, struct error *error)
{
    uint64_t links = ids / 10 * 3, alone = ids - 2 * links;
    struct filling filling;
    char room[2][48];
    fill_begin(&filling, store, error);
    for (uint64_t i = 0; i < links + alone && filling.status == STATUS_OK; i++)
        fill_event(&filling, i, FIRST_MS + (int64_t)(mix(i) % (uint64_t)(DAYS * DAY_MS / 2)), device_id(i, room[0]),
                   STR_NULL);
    TRY(fill_end(&filling));
    fill_begin(&filling, store, error);
    for (uint64_t i = 0; i < links && filling.status == STATUS_OK; i++)
        fill_event(&filling, i, FIRST_MS + DAYS * DAY_MS / 2 + (int64_t)(mix(i) % (uint64_t)(DAYS * DAY_MS / 2)),
                   user_id(i, room[0]), device_id(i, room[1]));
    return fill_end(&filling);
}

static enum status fill_devices(struct store *store, uint64_t devices, struct error *error)
{
    struct filling filling;
    char room[48];
    fill_begin(&filling, store, error);
    for (uint64_t i = 0; i < devices && filling.status == STATUS_OK; i++)
        fill_event(&filling, i, FIRST_MS + (int64_t)(mix(i) % (uint64_t)(DAYS * DAY_MS)), STR("collector"),
                   device_id((UINT64_C(1) << 40) + i, room));
    return fill_end(&filling);
}

/* Merges of one person of the original mode: until it has as many ids as it may have, and as many again as there are
 * refused ones in `events`. */
static enum status fill_cluster(struct store *store, uint64_t events, struct error *error)
{
    struct filling filling;
    char room[2][48];
    fill_begin(&filling, store, error);
    for (uint64_t i = 0; i < events && filling.status == STATUS_OK; i++) {
        if (i % RECORD_EVENTS == 0) {
            fill_record(&filling);
            batch_begin(&filling.batch, ORIGINAL_PROJECT, os_now_ms(), IDENTITY_ORIGINAL, 0);
            batch_cluster_max(&filling.batch, LINK_CLUSTER_IDS_MAX);
        }
        batch_event(&filling.batch, STR("$merge"), FIRST_MS, user_id(0, room[0]), user_id(i + 1, room[1]), STR_NULL);
        batch_event_end(&filling.batch);
    }
    return fill_end(&filling);
}

static enum status print_cluster(struct bench_engine *engine, double seconds, struct error *error)
{
    struct snapshot *snapshot;
    struct cluster cluster;
    char room[48];
    TRY(store_snapshot(engine->store, ORIGINAL_PROJECT, error, &snapshot));
    struct arena *arena = arena_new((size_t)16 << 20);
    enum status status = snapshot_cluster(snapshot, snapshot_id(snapshot, user_id(0, room)), arena, error, &cluster);
    if (status == STATUS_OK)
        printf("  merges with one person a second  %9.0f   who has %u ids in the end; the others are refused\n",
               MERGES / seconds, cluster.member_count);
    arena_free(arena);
    snapshot_free(snapshot);
    return status;
}

static enum status show_collector(struct bench_engine *engine, struct error *error, double *ret_ms, uint32_t *ret_ids)
{
    struct snapshot *snapshot;
    struct cluster cluster;
    TRY(store_snapshot(engine->store, BENCH_PROJECT, error, &snapshot));
    struct arena *arena = arena_new((size_t)1 << 30);
    struct bench_clock start = bench_clock();
    uint32_t id = snapshot_id(snapshot, STR("collector"));
    enum status status = id ? snapshot_cluster(snapshot, id, arena, error, &cluster)
                            : error_set(error, STATUS_INTERNAL, "what was made up is not there");
    *ret_ms = bench_wall(&start) * 1e3;
    if (status == STATUS_OK) *ret_ids = cluster.member_count;
    arena_free(arena);
    snapshot_free(snapshot);
    return status;
}

static enum status scale_reopen(struct bench_engine *engine, const char *directory, const struct arguments *arguments,
                                struct error *error)
{
    struct store_stats stats;
    double show_ms;
    uint32_t ids;
    bench_engine_close(engine);
    os_return_freed_memory();
    uint64_t before = bench_bytes_resident();
    struct bench_clock start = bench_clock();
    TRY(bench_engine_open(directory, false, arguments->threads, arguments->memory_bytes, error, engine));
    double open_s = bench_wall(&start);
    os_return_freed_memory();
    uint64_t after = bench_bytes_resident();
    store_stats(engine->store, &stats);
    printf("  a start, s                       %9.2f\n", open_s);
    printf("  memory of ids after it, MB       %9.1f   %.1f bytes an id\n", (double)(after - before) / 1e6,
           (double)(after - before) / (double)stats.ids);
    TRY(show_collector(engine, error, &show_ms, &ids));
    printf("  cairn identity show of %u ids, ms  %.2f\n", ids, show_ms);
    return STATUS_OK;
}

static enum status measure_scale(const char *directory, const void *context, struct error *error)
{
    const struct arguments *arguments = context;
    struct bench_engine engine = {.lock = NULL};
    uint64_t links = arguments->ids / 10 * 3;
    struct timing timing;
    enum status status =
        bench_engine_open(directory, true, arguments->threads, arguments->memory_bytes, error, &engine);
    struct bench_clock start = bench_clock();
    if (status == STATUS_OK) status = fill_ids(engine.store, arguments->ids, error);
    double ids_s = bench_wall(&start);
    start = bench_clock();
    if (status == STATUS_OK) status = fill_devices(engine.store, arguments->devices, error);
    double devices_s = bench_wall(&start);
    start = bench_clock();
    if (status == STATUS_OK) status = fill_cluster(engine.store, MERGES, error);
    double merges_s = bench_wall(&start);
    start = bench_clock();
    if (status == STATUS_OK) status = store_flush(engine.store, error);
    double flush_s = bench_wall(&start);
    if (status == STATUS_OK) {
        printf("scale: %llu ids, %llu links, one user with %llu devices\n", (unsigned long long)arguments->ids,
               (unsigned long long)links, (unsigned long long)arguments->devices);
        printf("  new ids a second                 %9.0f   each with an event, on one thread\n",
               (double)arguments->ids / ids_s);
        printf("  links to one user a second       %9.0f\n", (double)arguments->devices / devices_s);
        status = print_cluster(&engine, merges_s, error);
    }
    if (status == STATUS_OK) {
        printf("  writing what is left to files, s %9.2f\n", flush_s);
        status = scale_reopen(&engine, directory, arguments, error);
    }
    if (status == STATUS_OK) status = ask(engine.executor, PEOPLE, error, &timing);
    if (status == STATUS_OK) printf("  people, ms                       %9.2f\n", timing.median_ms);
    if (status == STATUS_OK) status = bench_settle(engine.store, error);
    if (status == STATUS_OK) status = ask(engine.executor, PEOPLE, error, &timing);
    if (status == STATUS_OK) printf("  people, files merged, ms         %9.2f\n", timing.median_ms);
    bench_engine_close(&engine);
    return status;
}

/* Sends LINKS_A_SECOND events a second, each of a new user on a device that is known (links), or of users alone. */
struct storm {
    struct store *store;
    uint64_t first, seconds; /* number of the first device */
    bool links;
    _Atomic bool over;
    uint64_t sent;
    double took_s;
    struct error error;
    enum status status;
};

static void storm_main(void *arg)
{
    struct storm *storm = arg;
    struct filling filling;
    struct bench_clock start = bench_clock();
    uint64_t wanted = storm->seconds * LINKS_A_SECOND;
    storm->error = (struct error)ERROR_INIT;
    fill_begin(&filling, storm->store, &storm->error);
    while (storm->sent < wanted && filling.status == STATUS_OK) {
        char room[2][48];
        for (int i = 0; i < LINKS_A_RECORD; i++, storm->sent++) {
            uint64_t number = storm->first + storm->sent;
            fill_event(&filling, number, FIRST_MS + (int64_t)(mix(number) % (uint64_t)(DAYS * DAY_MS)),
                       user_id(number, room[0]), storm->links ? device_id(number, room[1]) : STR_NULL);
        }
        fill_record(&filling);
        double ahead_s = (double)storm->sent / LINKS_A_SECOND - bench_wall(&start);
        if (ahead_s > 0) os_sleep_ns((int64_t)(ahead_s * 1e9));
    }
    storm->status = fill_end(&filling);
    storm->took_s = bench_wall(&start);
    atomic_store(&storm->over, true);
}

/* Asks again and again until the storm is over. */
static enum status ask_meanwhile(struct executor *executor, size_t index, struct storm *storm, struct error *error,
                                 struct timing *ret_timing)
{
    struct arena *arena = arena_new((size_t)16 << 20);
    struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);
    struct asked asked;
    double ms[SAMPLES_MAX], cpu_ms[SAMPLES_MAX];
    size_t count = 0;
    enum status status = parse_question(arena, index, error, &asked);
    while (status == STATUS_OK && (count == 0 || (count < SAMPLES_MAX && !atomic_load(&storm->over)))) {
        status = ask_once(executor, &asked, &answer, error, &ms[count], &cpu_ms[count]);
        count++;
    }
    buf_fini(&answer);
    arena_free(arena);
    if (status == STATUS_OK) *ret_timing = timing_of(ms, cpu_ms, count);
    return status;
}

static enum status storm_once(struct bench_engine *engine, const struct arguments *arguments, size_t question,
                              bool links, uint64_t *first, struct error *error, struct timing *ret_timing)
{
    struct storm storm = {.store = engine->store, .first = *first, .seconds = arguments->seconds, .links = links};
    struct os_thread thread;
    if (os_thread_spawn(&thread, "storm", storm_main, &storm) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "cannot start a thread");
    enum status status = ask_meanwhile(engine->executor, question, &storm, error, ret_timing);
    os_thread_join(&thread);
    *first += storm.sent;
    TRY(status);
    if (storm.status != STATUS_OK) *error = storm.error;
    TRY(storm.status);
    printf("  %-30s %-8s %9.0f %9.2f %9.2f %9.2f\n", questions[question].text, links ? "links" : "events",
           (double)storm.sent / storm.took_s, ret_timing->median_ms, ret_timing->p95_ms, ret_timing->max_ms);
    return STATUS_OK;
}

static enum status measure_storm(const char *directory, const void *context, struct error *error)
{
    static const size_t asked[] = {PEOPLE, PEOPLE_BY_DAY, FEED_UNLINKED};
    const struct arguments *arguments = context;
    struct bench_engine engine = {.lock = NULL};
    enum status status =
        bench_engine_open(directory, true, arguments->threads, arguments->memory_bytes, error, &engine);
    uint64_t first = arguments->ids / 10 * 3; /* behind the devices that are linked by then */
    if (status == STATUS_OK) status = fill_ids(engine.store, arguments->ids, error);
    if (status == STATUS_OK) status = bench_settle(engine.store, error);
    if (status == STATUS_OK)
        printf("storm: %llu ids; questions while nothing, events and links come in\n  %-30s %-8s %9s %9s %9s %9s\n",
               (unsigned long long)arguments->ids, "", "", "a second", "median ms", "p95", "max");
    for (size_t i = 0; i < sizeof asked / sizeof *asked && status == STATUS_OK; i++) {
        struct timing timing;
        status = ask(engine.executor, asked[i], error, &timing);
        if (status == STATUS_OK)
            printf("  %-30s %-8s %9d %9.2f %9.2f %9.2f\n", questions[asked[i]].text, "nothing", 0, timing.median_ms,
                   timing.p95_ms, timing.max_ms);
        for (int links = 0; links < 2 && status == STATUS_OK; links++)
            status = storm_once(&engine, arguments, asked[i], links, &first, error, &timing);
    }
    bench_engine_close(&engine);
    return status;
}

/* ---- arguments ---- */

enum { DATA = 1000, PART, EVENTS, IDS, DEVICES, SECONDS, THREADS, MEMORY };

static int take_part(const char *command, struct arguments *arguments)
{
    static const char *const names[] = {"ratio", "hot", "scale", "storm"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (!str_eq(str_of(optarg), str_of(names[i]))) continue;
        arguments->parts |= 1u << i;
        return EXIT_DONE;
    }
    return command_usage(command, "there is no part \"%s\": use ratio, hot, scale or storm", optarg);
}

static int take_number(const char *command, const char *name, uint64_t min, uint64_t max, uint64_t *ret)
{
    if (number_parse_unsigned(str_of(optarg), max, ret) && *ret >= min) return EXIT_DONE;
    return command_usage(command, "--%s %s is no number from %llu to %llu", name, optarg, (unsigned long long)min,
                         (unsigned long long)max);
}

static int take(const char *command, int flag, struct arguments *arguments)
{
    uint64_t threads = 0;
    int code;
    switch (flag) {
    case DATA: arguments->data = optarg; return EXIT_DONE;
    case PART: return take_part(command, arguments);
    case EVENTS: return take_number(command, "events", 1000, 1000000000, &arguments->events);
    case IDS: return take_number(command, "ids", 100, 1000000000, &arguments->ids);
    case DEVICES: return take_number(command, "devices", 1, 100000000, &arguments->devices);
    case SECONDS: return take_number(command, "seconds", 1, 3600, &arguments->seconds);
    case THREADS:
        code = take_number(command, "threads", 1, 64, &threads);
        if (code == EXIT_DONE) arguments->threads = (unsigned)threads;
        return code;
    case MEMORY: return bench_memory_parse(command, optarg, &arguments->memory_bytes) ? EXIT_DONE : EXIT_USAGE;
    case 'h': arguments->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

int bench_identity_run(int argc, char **argv)
{
    static const char command[] = "cairn bench identity";
    static const struct option flags[] = {FLAG_DATA,
                                          {"part", required_argument, NULL, PART},
                                          {"events", required_argument, NULL, EVENTS},
                                          {"ids", required_argument, NULL, IDS},
                                          {"devices", required_argument, NULL, DEVICES},
                                          {"seconds", required_argument, NULL, SECONDS},
                                          {"threads", required_argument, NULL, THREADS},
                                          {"memory", required_argument, NULL, MEMORY},
                                          FLAG_HELP,
                                          {0}};
    struct arguments arguments = {
        .events = 2000000, .ids = 1000000, .devices = 100000, .seconds = 10, .threads = os_cores()};
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
    unsigned parts = arguments.parts ? arguments.parts : RATIO | HOT | SCALE | STORM;
    int code = EXIT_DONE;
    if (parts & RATIO) code = run_ratio(command, &arguments);
    if (code == EXIT_DONE && parts & HOT) code = run_hot(command, &arguments);
    if (code == EXIT_DONE && parts & SCALE)
        code = bench_in_temporary(command, arguments.data, measure_scale, &arguments);
    if (code == EXIT_DONE && parts & STORM)
        code = bench_in_temporary(command, arguments.data, measure_storm, &arguments);
    return code;
}
