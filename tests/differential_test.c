/*
 * The engine against the slow reference evaluator (tests/reference): the same events go to both, the same
 * questions are asked of both, and every answer must be equal: labels, their order, all buckets, and whether
 * there is an answer at all.
 *
 * Each seed is a data set of its own in a store of its own, with flushes and reopenings between the batches.
 * CAIRN_SEEDS is the number of seeds, CAIRN_SEED the first: CAIRN_SEED=17 CAIRN_SEEDS=1 repeats one that
 * failed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/civil.h"
#include "base/timezone.h"
#include "identity/identity.h"
#include "ingest/ingest.h"
#include "os/fs.h"
#include "query/backend.h"
#include "reference/generate.h"
#include "store/store.h"

#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEEDS        40
#define PROJECT      7
#define RECEIVED_MS  INT64_C(1900000000000)
#define MEMORY       ((size_t)256 << 20)
#define FAILURES_MAX 5

struct world {
    char directory[64];
    struct os_fs *fs;
    struct store *store;
    struct executor *executor;
    struct arena *arena; /* of the reference */
    struct reference *reference;
    enum identity_mode mode;
    uint64_t flush_rows;
    struct generator g;
    struct generated_heads heads;
    struct generated_place place;
    int64_t place_day;
    uint64_t seed;
    unsigned failures, questions, refusals, empty;
};

static void fail_with(const struct error *error)
{
    char text[1200];
    fail_msg("%s", error_text(error, text, sizeof text));
}

static void open_store(struct world *w)
{
    struct store_options options;
    struct store_report report;
    struct error error = ERROR_INIT;
    store_options_defaults(&options);
    options.fs = w->fs;
    options.link = identity_link;
    options.link_reasons = identity_link_reasons;
    options.wal_file_bytes = 1 << 20;
    options.flush_rows = w->flush_rows;
    if (store_open(&options, &error, &report, &w->store) != STATUS_OK) fail_with(&error);
    w->executor = executor_native_new(w->store);
}

static void close_store(struct world *w)
{
    executor_free(w->executor);
    store_close(w->store);
}

static void world_init(struct world *w, uint64_t seed)
{
    struct error error = ERROR_INIT;
    *w = (struct world){.seed = seed, .g = generator_of(seed), .arena = arena_new(MEMORY)};
    snprintf(w->directory, sizeof w->directory, "/tmp/cairn-differential-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    if (os_posix_new(w->directory, &error, &w->fs) != STATUS_OK) fail_with(&error);
    w->flush_rows = generate_once_in(&w->g, 2) ? 1000000 : 20 + generate_below(&w->g, 200);
    w->mode = generate_once_in(&w->g, 8) ? IDENTITY_ORIGINAL : IDENTITY_SIMPLIFIED;
    w->reference =
        reference_new(w->arena, w->mode == IDENTITY_SIMPLIFIED ? REFERENCE_SIMPLIFIED : REFERENCE_BY_DISTINCT_ID);
    open_store(w);
}

static void world_fini(struct world *w)
{
    char command[128];
    close_store(w);
    os_fs_free(w->fs);
    arena_free(w->arena);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    assert_int_equal(system(command), 0);
}

/* --- data --------------------------------------------------------------------------------------------- */

static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)token;
    *ret_project = (struct ingest_project){PROJECT, ((const struct world *)context)->mode};
    return true;
}

/* `text` is a JSON list of events. */
static void track(struct world *w, struct str text, int64_t received_ms)
{
    struct arena *arena = arena_new(MEMORY);
    struct error error = ERROR_INIT;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    limits.age_max_ms = INT64_C(1) << 50;
    struct json events;
    if (json_parse(arena, text, NULL, &error, &events) != STATUS_OK) fail_with(&error);
    for (size_t i = 0; i < events.array.count; i++) reference_track(w->reference, &events.array.items[i], received_ms);
    struct ingest_request request = {.records = {events.array.items, events.array.count, text.size},
                                     .received_ms = received_ms,
                                     .project_of = project_of,
                                     .context = w};
    struct ingest_outcome outcome;
    if (ingest_run(arena, &limits, &request, &error, &outcome) != STATUS_OK) fail_with(&error);
    if (outcome.refused) fail_msg("refused: %.*s", (int)outcome.reason.size, outcome.reason.data);
    for (size_t i = 0; i < outcome.output_count; i++)
        assert_int_equal(store_append_wait(w->store, &outcome.outputs[i].record), STATUS_OK);
    ingest_outcome_fini(&outcome);
    arena_free(arena);
}

static void link_ids(struct world *w, enum link_operation operation, const char *device, const char *user)
{
    struct buf record = BUF_INIT(1 << 16);
    assert_int_equal(record_link(&record, PROJECT, RECEIVED_MS, w->mode, operation, str_of(device), str_of(user)),
                     STATUS_OK);
    assert_int_equal(store_append_wait(w->store, &record), STATUS_OK);
    reference_link(w->reference, str_of(device), str_of(user), operation != LINK_CREATE);
}

static void flush(struct world *w)
{
    struct error error = ERROR_INIT;
    if (store_flush(w->store, &error) != STATUS_OK) fail_with(&error);
}

/* Something that must not change any answer. */
static void disturb(struct world *w)
{
    switch (generate_below(&w->g, 8)) {
    case 0: flush(w); return;
    case 1:
        close_store(w);
        open_store(w);
        return;
    default: return;
    }
}

static void fill(struct world *w)
{
    static const enum link_operation operations[] = {LINK_CREATE, LINK_ALIAS, LINK_MERGE};
    struct generator *g = &w->g;
    w->place = generate_place(g);
    w->place_day = civil_to_days(w->place.year, w->place.month, w->place.day);
    g->insert_ids = generate_once_in(g, 4);
    bool large = w->seed % 16 == 5;
    unsigned batches = large ? 6 : 3 + generate_below(g, 6);
    int64_t spread_ms = generate_once_in(g, 2) ? 2 * DAY_MS : 30 * DAY_MS;
    /* Sometimes before the last events, which then take the time of receipt. */
    int64_t received_ms = generate_once_in(g, 4) ? w->place_day * DAY_MS + spread_ms / 2 : RECEIVED_MS;
    for (unsigned b = 0; b < batches; b++) {
        struct buf text = BUF_INIT((size_t)16 << 20);
        unsigned count = large ? 400 : 1 + generate_below(g, 30);
        buf_byte(&text, '[');
        for (unsigned i = 0; i < count; i++) {
            if (i) buf_byte(&text, ',');
            generate_event(g, &w->heads, w->place_day * DAY_MS + DAY_MS / 2, spread_ms, &text);
        }
        buf_byte(&text, ']');
        assert_int_equal(buf_status(&text), STATUS_OK);
        track(w, buf_str(&text), received_ms + b);
        buf_fini(&text);
        if (generate_once_in(g, 4)) {
            const char *a = generate_device(g), *c = generate_user(g);
            bool swapped = generate_once_in(g, 4);
            link_ids(w, operations[generate_below(g, 3)], swapped ? c : a, swapped ? a : c);
        }
        disturb(w);
    }
}

/* --- questions ---------------------------------------------------------------------------------------- */

static void write_engine(struct buf *out, enum status status, const struct error *error,
                         const struct segmentation *result)
{
    char text[1200];
    if (status != STATUS_OK) {
        buf_printf(out, "%s: %s, at %u", status_name(status), error_text(error, text, sizeof text), error->column);
        return;
    }
    buf_printf(out, "%u labels, buckets", result->label_count);
    for (uint32_t b = 0; b < result->bucket_count; b++) buf_printf(out, " " STR_FMT, STR_ARG(result->buckets[b]));
    for (uint32_t i = 0; i < result->series_count; i++) {
        buf_lit(out, "\n    ");
        json_write_str(out, result->series[i].label);
        for (uint32_t b = 0; b < result->bucket_count; b++) {
            double number = 0;
            (void)series_number(&result->series[i], b, &number);
            buf_printf(out, " %.17g", number);
        }
    }
}

static void write_reference(struct buf *out, const struct reference_answer *answer)
{
    if (answer->refused) {
        buf_printf(out, "refused: %s", answer->refused);
        return;
    }
    buf_printf(out, "%zu labels, buckets", answer->label_count);
    for (size_t b = 0; b < answer->bucket_count; b++) buf_printf(out, " " STR_FMT, STR_ARG(answer->buckets[b]));
    for (size_t i = 0; i < answer->series_count; i++) {
        buf_lit(out, "\n    ");
        json_write_str(out, answer->series[i].label);
        for (size_t b = 0; b < answer->bucket_count; b++) buf_printf(out, " %.17g", answer->series[i].values[b]);
    }
}

static void complain(struct world *w, const struct plan *plan, const char *zone, struct str engine,
                     struct str reference)
{
    w->failures++;
    fprintf(stderr,
            "seed %" PRIu64 ": zone %s, days %" PRId64 "..%" PRId64
            ", unit %d, interval %u, measure %d, limit %u, event " STR_FMT "\n  where: " STR_FMT "\n  on: " STR_FMT
            "\n  engine: %.*s\n  reference: %.*s\n",
            w->seed, zone, plan->from_day, plan->to_day, (int)plan->unit, plan->interval_days, (int)plan->measure,
            plan->limit, STR_ARG(plan->event_count ? plan->events[0] : STR("(any)")),
            STR_ARG(plan->where.data ? plan->where : STR("(none)")), STR_ARG(plan->on.data ? plan->on : STR("(none)")),
            (int)(engine.size > 8000 ? 8000 : engine.size), engine.data,
            (int)(reference.size > 8000 ? 8000 : reference.size), reference.data);
}

/* Asks both and compares. The texts of the answers are compared: what is not in them is not in the answer. */
static void ask(struct world *w, struct plan *plan, const char *zone)
{
    static const struct plan_limits limits = {
        .memory_bytes_max = MEMORY, .buckets_max = 100000, .deadline_ns = INT64_MAX};
    struct arena *arena = arena_new(2 * MEMORY);
    struct error error = ERROR_INIT;
    struct segmentation result;
    if (timezone_load(str_of(zone), &error, &plan->zone) != STATUS_OK) fail_with(&error);
    plan->project = PROJECT;
    struct reference_query query = {.event = plan->event_count ? plan->events[0] : STR_NULL,
                                    .where = plan->where,
                                    .on = plan->on,
                                    .zone = zone,
                                    .from_day = plan->from_day,
                                    .to_day = plan->to_day,
                                    .unit = (enum reference_unit)plan->unit,
                                    .interval_days = plan->interval_days,
                                    .measure = (enum reference_measure)plan->measure,
                                    .limit = plan->limit,
                                    .now_ms = plan->now_ms};
    enum status status = w->executor->segment(w->executor, plan, &limits, &error, &result);
    struct reference_answer answer = reference_segment(w->reference, arena, &query);
    struct buf engine = BUF_INIT((size_t)1 << 26), reference = BUF_INIT((size_t)1 << 26);
    write_engine(&engine, status, &error, &result);
    write_reference(&reference, &answer);
    w->questions++;
    w->refusals += answer.refused != NULL;
    w->empty += !answer.refused && answer.label_count == 0;
    bool both_refuse = status == STATUS_INVALID && error.column > 0 && answer.refused;
    if (!both_refuse && !str_eq(buf_str(&engine), buf_str(&reference)))
        complain(w, plan, zone, buf_str(&engine), buf_str(&reference));
    buf_fini(&engine);
    buf_fini(&reference);
    if (status == STATUS_OK) segmentation_free(&result);
    arena_free(arena);
}

static void ask_something(struct world *w)
{
    static const unsigned spans[] = {
        [UNIT_MINUTE] = 1, [UNIT_HOUR] = 5, [UNIT_DAY] = 40, [UNIT_WEEK] = 60, [UNIT_MONTH] = 100, [UNIT_DAYS] = 50};
    struct generator *g = &w->g;
    struct buf where = BUF_INIT(1 << 16), on = BUF_INIT(1 << 16);
    struct str event = str_of(generate_event_name(g));
    struct plan plan = {.kind = PLAN_SEGMENT,
                        .unit = (enum plan_unit)generate_below(g, 6),
                        .interval_days = 1 + generate_below(g, 9),
                        .measure = (enum plan_measure)generate_below(g, 3),
                        .events = &event,
                        .event_count = 1,
                        .limit = generate_once_in(g, 3) ? 60 : 1 + generate_below(g, 6),
                        .now_ms = w->place_day * DAY_MS + (int64_t)(generate_bits(g) % DAY_MS)};
    if (plan.unit == UNIT_MINUTE && !generate_once_in(g, 4)) plan.unit = UNIT_DAY;
    if (generate_once_in(g, 5)) plan.event_count = 0;
    if (generate_once_in(g, 20)) event = STR("never sent");
    plan.from_day = w->place_day - generate_below(g, spans[plan.unit]);
    plan.to_day = w->place_day + generate_below(g, spans[plan.unit]);
    if (!generate_once_in(g, 4)) {
        generate_where(g, &where);
        plan.where = where.size ? buf_str(&where) : STR("");
    }
    if (!generate_once_in(g, 3)) {
        generate_on(g, &on);
        plan.on = on.size ? buf_str(&on) : STR("");
    }
    const char *zone = generate_once_in(g, 4) ? generate_place(g).zone : w->place.zone;
    ask(w, &plan, zone);
    buf_fini(&where);
    buf_fini(&on);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* Random data, random questions. */
static void engine_and_reference_agree(void **state)
{
    (void)state;
    uint64_t first = from_environment("CAIRN_SEED", 1), count = from_environment("CAIRN_SEEDS", SEEDS);
    unsigned failures = 0, questions = 0, refusals = 0, empty = 0;
    for (uint64_t seed = first; seed < first + count && failures < FAILURES_MAX; seed++) {
        static struct world w;
        world_init(&w, seed);
        fill(&w);
        unsigned wanted = seed % 16 == 5 ? 30 : 100;
        for (unsigned i = 0; i < wanted && w.failures < FAILURES_MAX; i++) {
            if (i == wanted / 2) disturb(&w);
            ask_something(&w);
        }
        failures += w.failures;
        questions += w.questions;
        refusals += w.refusals;
        empty += w.empty;
        world_fini(&w);
    }
    print_message("%u questions, of which %u were refused and %u had no labels\n", questions, refusals, empty);
    assert_int_equal(failures, 0);
    assert_true(refusals < questions / 2);
}

/* --- the golden cases --------------------------------------------------------------------------------- */

/* One file of tests/golden/expr; cases of formulas and of profiles are not the reference's. */
static unsigned golden_file(const char *path, unsigned *failures)
{
    static char text[4 << 20], zone[64];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct str rest = {text, fread(text, 1, sizeof text, file)}, line;
    fclose(file);
    bool other = false, bare = false;
    unsigned cases = 0, number = 0;
    snprintf(zone, sizeof zone, "UTC");
    while (str_next_part(&rest, '\n', &line)) {
        number++;
        if (line.size == 0 || line.data[0] == '#') continue;
        if (line.data[0] == '%') {
            if (str_is(line, "%plain")) {
                other = bare = false;
                snprintf(zone, sizeof zone, "UTC");
            } else if (str_is(line, "%bare"))
                bare = true;
            else if (str_starts(line, STR("%zone ")))
                snprintf(zone, sizeof zone, "%.*s", (int)line.size - 6, line.data + 6);
            else
                other = true;
            continue;
        }
        size_t one = str_find(line, STR(" :: "), 0), two = str_find(line, STR(" :: "), one + 4);
        struct str expression = str_slice(line, 0, one),
                   expected = str_slice(line, (two == SIZE_MAX ? one : two) + 4, line.size);
        struct arena *arena = arena_new(MEMORY);
        struct json row = JSON_OBJECT_EMPTY, wanted;
        if (two != SIZE_MAX)
            assert_int_equal(json_parse(arena, str_slice(line, one + 4, two), NULL, NULL, &row), STATUS_OK);
        bool limits = str_find(expected, STR("nested"), 0) != SIZE_MAX;
        if (!other && !limits && !json_member(&row, "@user") && !json_member(&row, "@behaviors")) {
            struct buf buf = BUF_INIT(1 << 20);
            if (json_parse(arena, expected, NULL, NULL, &wanted) == STATUS_OK) {
                json_write(&buf, &wanted);
                expected = buf_str(&buf);
            }
            if (str_starts(expected, STR("error "))) expected = STR("error");
            struct str got = reference_evaluate(arena, expression, &row, zone, INT64_C(1709249400000), bare);
            if (!str_eq(got, expected)) {
                print_error("%s:%u: " STR_FMT ": expected " STR_FMT ", got " STR_FMT "\n", path, number,
                            STR_ARG(expression), STR_ARG(expected), STR_ARG(got));
                ++*failures;
            }
            cases++;
            buf_fini(&buf);
        }
        arena_free(arena);
    }
    return cases;
}

/* The reference itself gives what the golden cases of the language say. */
static void reference_passes_golden_cases(void **state)
{
    (void)state;
    static const char here[] = __FILE__;
    char pattern[1024];
    glob_t found;
    unsigned cases = 0, failures = 0;
    snprintf(pattern, sizeof pattern, "%.*s/golden/expr/*.txt", (int)(strrchr(here, '/') - here), here);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) cases += golden_file(found.gl_pathv[i], &failures);
    globfree(&found);
    assert_int_equal(failures, 0);
    assert_true(cases > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_passes_golden_cases),
        cmocka_unit_test(engine_and_reference_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
