/*
 * Memory runs out at every allocation in turn: ingestion, appending, snapshots, scans and every kind of question give a
 * clear error or a right answer, leak nothing, and work again when there is memory. A graph of ids that is left between
 * two states says so.
 *
 * malloc, calloc and realloc of our own code are wrapped by the linker (tests/CMakeLists.txt). They fail in this thread
 * and in the query threads; what the applier, the log and the maintenance thread need for records that were
 * acknowledged is not theirs to refuse: they end the process by design, and recovery sets it right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/timezone.h"
#include "expr/expr.h"
#include "identity/identity.h"
#include "ingest/profile.h"
#include "os/sim.h"
#include "os/thread.h"
#include "profile/update.h"
#include "query/backend.h"
#include "query/native/group_join.h"
#include "store/profile_row.h"
#include "store/profiles.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define PROJECT  7
#define RECEIVED INT64_C(1700000000000)
#define MEMORY   ((size_t)64 << 20)

/* --- the allocator --- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static _Atomic long left;    /* allocations that still work; negative: all */
static _Atomic bool lasting; /* all later ones fail, too */
static _Atomic unsigned refused;

/* Whether this thread is one of the store's own. */
static bool exempt(void)
{
    static _Thread_local int known; /* 1: is, 2: is not */
    if (!known) {
        char name[16] = "";
        pthread_getname_np(pthread_self(), name, sizeof name);
        known = strcmp(name, "applier") == 0 || strcmp(name, "log") == 0 || strcmp(name, "maintenance") == 0 ? 1 : 2;
    }
    return known == 1;
}

/* Two things are documented never to fail and end the process instead, for want of a few hundred bytes: beginning an
 * arena (base/arena.h) and the evaluation of an expression (expr/expr.h). What they hold later is refused properly. */
static _Thread_local unsigned sheltered;
struct arena *__real_arena_new(size_t budget);
struct arena *__wrap_arena_new(size_t budget);
struct arena *__wrap_arena_new(size_t budget)
{
    sheltered++;
    struct arena *arena = __real_arena_new(budget);
    sheltered--;
    return arena;
}
struct expr_state *__real_expr_state_new(const struct expr *expr, size_t budget);
struct expr_state *__wrap_expr_state_new(const struct expr *expr, size_t budget);
struct expr_state *__wrap_expr_state_new(const struct expr *expr, size_t budget)
{
    sheltered++;
    struct expr_state *state = __real_expr_state_new(expr, budget);
    sheltered--;
    return state;
}

static bool refuses(void)
{
    if (atomic_load(&left) < 0 || sheltered || exempt()) return false;
    long before = atomic_fetch_sub(&left, 1);
    if (before > 0) return false;
    if (before == 0 || atomic_load(&lasting)) {
        atomic_store(&left, atomic_load(&lasting) ? 0 : -1);
        atomic_fetch_add(&refused, 1);
        return true;
    }
    return false;
}

void *__wrap_malloc(size_t size)
{
    return refuses() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return refuses() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *memory, size_t size)
{
    return refuses() ? NULL : __real_realloc(memory, size);
}

/* Runs step(arg) with the first, the second, the third … allocation refused, once alone and once with all later ones,
 * until it needs no more. step says whether it came to its result; with enough memory it must. */
static void at_every_allocation(bool (*step)(void *arg), void *arg)
{
    assert_true(step(arg));
    for (int all = 0; all < 2; all++) {
        unsigned failed = 0;
        for (long n = 0;; n++) {
            assert_true(n < 100000);
            atomic_store(&lasting, all == 1);
            atomic_store(&refused, 0);
            atomic_store(&left, n);
            bool done = step(arg);
            atomic_store(&left, -1);
            failed += !done;
            if (atomic_load(&refused) == 0) {
                assert_true(done);
                break;
            }
        }
        assert_true(failed > 0);
    }
    assert_true(step(arg));
}

/* What may be said about a lack of memory. */
static void check_refusal(enum status status)
{
    assert_true(status == STATUS_LIMIT || status == STATUS_UNAVAILABLE);
}

/* --- ingestion --- */

static const char events_text[] =
    "[{\"event\":\"buy\",\"properties\":{\"token\":\"t\",\"time\":1699990000,\"$device_id\":\"D1\",\"$user_id\":\"U1\","
    "\"$insert_id\":\"i-1\",\"n\":1.5,\"s\":\"text\",\"l\":[1,\"a\",{\"k\":null}],\"big\":12345678901234567890}},"
    "{\"event\":\"look\",\"properties\":{\"token\":\"t\",\"time\":1699990001,\"distinct_id\":\"U2\",\"b\":true}}]";

static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)context;
    (void)token;
    *ret_project = (struct ingest_project){PROJECT, IDENTITY_SIMPLIFIED};
    return true;
}

/* NULL data: refused. */
static struct buf ingest(struct str text)
{
    struct arena *arena = arena_new(MEMORY);
    struct buf record = BUF_INIT(MEMORY);
    struct error error = ERROR_INIT;
    struct json events;
    enum status status = json_parse(arena, text, NULL, &error, &events);
    if (status == STATUS_OK) {
        struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
        struct ingest_request request = {.records = {events.array.items, events.array.count, text.size},
                                         .received_ms = RECEIVED,
                                         .project_of = project_of};
        struct ingest_outcome outcome;
        status = ingest_run(arena, &limits, &request, &error, &outcome);
        if (status == STATUS_OK) {
            assert_int_equal(outcome.refused, 0);
            assert_int_equal(outcome.output_count, 1);
            record = outcome.outputs[0].record;
            outcome.outputs[0].record = BUF_INIT(1);
            ingest_outcome_fini(&outcome);
        }
    }
    if (status != STATUS_OK) check_refusal(status);
    arena_free(arena);
    return record;
}

static bool ingest_step(void *arg)
{
    (void)arg;
    struct buf record = ingest(str_of(events_text));
    bool done = record.size > 0;
    buf_fini(&record);
    return done;
}

static void ingestion_refuses_clearly(void **state)
{
    (void)state;
    at_every_allocation(ingest_step, NULL);
}

/* --- who is who --- */

/* A life of a graph, up to the first refusal: what is not whole then says so, and everything else is as it was. */
static enum status live(struct id_graph *graph, uint32_t ids[48], struct id_view *views[48])
{
    struct id_source source = {.kind = ID_LINK_IDENTIFY, .time_ms = RECEIVED};
    for (unsigned i = 0; i < 48; i++) {
        char text[16];
        snprintf(text, sizeof text, "id-%u", i);
        TRY(id_graph_intern(graph, str_of(text), &ids[i]));
    }
    for (unsigned i = 0; i + 1 < 48; i++) {
        source.a = ids[i];
        source.b = ids[i / 8 * 8 + 7];
        if (i % 8 < 7) TRY(id_graph_link(graph, source.a, source.b, source.b, &source));
        if (i % 12 == 11) TRY(id_graph_name(graph, ids[i], ids[0], RECEIVED));
        sheltered++;
        views[i] = id_graph_view(graph); /* so that pages are shared, and have to be copied */
        sheltered--;
    }
    for (unsigned i = 0; i < 48; i += 8) TRY(id_graph_split(graph, &ids[i + 2], 3, ids[i], RECEIVED));
    return STATUS_OK;
}

static bool graph_step(void *arg)
{
    (void)arg;
    uint32_t ids[48] = {0};
    struct id_view *views[48] = {NULL};
    sheltered++; /* these two end the process, too */
    struct id_graph *graph = id_graph_new();
    sheltered--;
    enum status status = live(graph, ids, views);
    if (status != STATUS_OK) check_refusal(status);
    /* An id that could not be added tears nothing: the graph goes on without it. */
    for (unsigned i = 0; i < 48 && ids[i] && !id_graph_is_torn(graph); i++) {
        uint32_t person = id_graph_person(graph, ids[i]), shown = id_graph_shown(graph, person);
        assert_int_equal(id_graph_person(graph, shown), person);
        uint32_t steps = 0, id = ids[i];
        do {
            assert_int_equal(id_graph_person(graph, id), person);
            id = id_graph_next_member(graph, id);
        } while (id != ids[i] && ++steps < 200);
        assert_int_equal(id, ids[i]);
    }
    assert_true(status != STATUS_OK || !id_graph_is_torn(graph));
    if (ids[47]) assert_true(status == STATUS_OK || id_graph_is_torn(graph));
    for (unsigned i = 0; i < 48; i++) id_view_unref(views[i]);
    id_graph_free(graph);
    return status == STATUS_OK;
}

static void graphs_say_when_they_are_torn(void **state)
{
    (void)state;
    at_every_allocation(graph_step, NULL);
}

/* --- messages about profiles, and what they do --- */

static const char messages_text[] =
    "[{\"$token\":\"t\",\"$distinct_id\":\"$device:D1\",\"$set\":{\"n\":1.5,\"s\":\"text\",\"o\":{\"k\":null}},"
    "\"$append\":{\"l\":{\"a\":1}},\"$union\":{\"u\":[1,2,3],\"s\":[\"text\"]},\"$remove\":{\"l\":1},\"$add\":{\"n\":1}"
    "},"
    "{\"$token\":\"t\",\"$distinct_id\":\"U1\",\"$add\":{\"n\":\"5\"}},"
    "{\"$token\":\"t\",\"$distinct_id\":7,\"$unset\":[\"s\"],\"$set_once\":{\"q\":12345678901234567890}}]";

static enum status carry_out(struct arena *arena, struct str records)
{
    struct reader reader = reader_of(records);
    struct profile_row row = {0};
    while (reader_left(&reader)) {
        struct record record;
        struct update_view update;
        struct profile_outcome outcome;
        assert_int_equal(record_next(&reader, &record), STATUS_OK);
        assert_int_equal(update_open(record.body, &update), STATUS_OK);
        TRY(profile_update(&update, arena, &row, &outcome));
    }
    assert_int_equal(row.count, 6); /* n, o, l, u, q and $last_seen */
    return STATUS_OK;
}

static bool messages_step(void *arg)
{
    (void)arg;
    struct arena *arena = arena_new(MEMORY);
    struct error error = ERROR_INIT;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    struct decode_form form = {.payload = str_of(messages_text)};
    struct profile_request request = {.received_ms = RECEIVED, .project_of = project_of};
    struct profile_batch batch;
    enum status status = profile_take(arena, &limits, &form, &request, &error, &batch);
    if (status == STATUS_OK) {
        assert_int_equal(batch.stored, 2);
        assert_int_equal(batch.refusal_count, 1);
        status = carry_out(arena, buf_str(&batch.records));
        buf_fini(&batch.records);
    }
    if (status != STATUS_OK) check_refusal(status);
    arena_free(arena);
    return status == STATUS_OK;
}

static void messages_refuse_clearly(void **state)
{
    (void)state;
    at_every_allocation(messages_step, NULL);
}

/* --- the store and its questions --- */

struct world {
    struct sim *disk;
    struct store *store;
    struct executor *executor;
    unsigned appended;
    struct plan plan;
    bool by_new_executor;
};

static bool append_step(void *arg)
{
    struct world *w = arg;
    struct buf record = ingest(str_of(events_text));
    if (!record.size) return false;
    enum status status = store_append_wait(w->store, &record);
    buf_fini(&record);
    if (status != STATUS_OK) {
        check_refusal(status);
        return false;
    }
    w->appended++;
    return true;
}

static bool scan_step(void *arg)
{
    struct world *w = arg;
    struct error error = ERROR_INIT;
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_run run;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX, .memory_bytes_max = MEMORY};
    unsigned rows = 0;
    enum status status = store_snapshot(w->store, PROJECT, &error, &snapshot);
    if (status != STATUS_OK) {
        check_refusal(status);
        return false;
    }
    status = scan_new(snapshot, &options, &error, &scan);
    if (status == STATUS_OK) {
        while ((status = scan_next(scan, &error, &run)) == STATUS_OK) {
            uint32_t count;
            const uint32_t *properties;
            const uint8_t *live;
            size_t property_count;
            struct vector vector;
            status = scan_vector(scan, 0, &error, &count);
            if (status == STATUS_OK) status = scan_live(scan, &error, &live);
            for (uint32_t i = 0; status == STATUS_OK && i < count; i++) rows += live[i];
            if (status == STATUS_OK) status = scan_insert_ids(scan, &error, &vector);
            if (status == STATUS_OK) status = scan_properties(scan, &error, &properties, &property_count);
            for (size_t p = 0; status == STATUS_OK && p < property_count; p++)
                status = scan_property(scan, properties[p], &error, &vector);
            if (status != STATUS_OK) break;
        }
        scan_free(scan);
    }
    snapshot_free(snapshot);
    if (status == STATUS_NOT_FOUND) {
        assert_int_equal(rows, w->appended + 1); /* one with an insert id, one without each time */
        return true;
    }
    check_refusal(status);
    return false;
}

static enum status count_row(struct row_sink *sink, const struct event_row *row, struct error *error)
{
    (void)sink;
    (void)row;
    (void)error;
    return STATUS_OK;
}

static enum status ask_rows(struct world *w, struct executor *executor, const struct plan_limits *limits,
                            struct error *error)
{
    struct event_rows *rows;
    struct row_sink sink = {.row = count_row};
    bool done = false;
    TRY(executor->rows(executor, &w->plan, limits, error, &rows));
    enum status status = event_rows_read(rows, 1000000, &sink, error, &done);
    event_rows_free(rows);
    return status;
}

/* Making an executor ends the process when it fails. A new one knows nothing of profiles yet. */
static struct executor *new_executor(struct store *store)
{
    sheltered++;
    struct executor *executor = executor_native_new_threads(store, 1);
    sheltered--;
    return executor;
}

static enum status ask(struct world *w, struct executor *executor, const struct plan_limits *limits,
                       struct error *error)
{
    struct segmentation table;
    struct top_values top;
    struct retention retention;
    struct frequency frequency;
    enum status status;
    if (w->plan.kind == PLAN_SEGMENT) {
        status = executor->segment(executor, &w->plan, limits, error, &table);
        if (status == STATUS_OK) segmentation_free(&table);
    } else if (w->plan.kind == PLAN_TOP_VALUES || w->plan.kind == PLAN_PROPERTIES) {
        status = executor->top_values(executor, &w->plan, limits, error, &top);
        if (status == STATUS_OK) top_values_free(&top);
    } else if (w->plan.kind == PLAN_RETENTION) {
        status = executor->retention(executor, &w->plan, limits, error, &retention);
        if (status == STATUS_OK) retention_free(&retention);
    } else if (w->plan.kind == PLAN_FREQUENCY) {
        status = executor->frequency(executor, &w->plan, limits, error, &frequency);
        if (status == STATUS_OK) frequency_free(&frequency);
    } else {
        status = ask_rows(w, executor, limits, error);
    }
    return status;
}

static bool question_step(void *arg)
{
    struct world *w = arg;
    struct plan_limits limits = {.memory_bytes_max = MEMORY, .buckets_max = 1000, .deadline_ns = INT64_MAX};
    struct error error = ERROR_INIT;
    struct group_joins *groups;
    const struct plan plan = w->plan;
    enum status status = group_joins_new(w->store, &w->plan, &limits, &error, &groups);
    if (status == STATUS_OK) {
        struct executor *own = w->by_new_executor ? new_executor(w->store) : NULL;
        status = ask(w, own ? own : w->executor, &limits, &error);
        executor_free(own);
        group_joins_free(groups);
    }
    w->plan = plan;
    if (status == STATUS_OK) return true;
    check_refusal(status);
    return false;
}

static void append_profile(struct batch *batch, const char *event, const char *id, const char *tier)
{
    struct json text = {.type = JSON_STRING, .string = str_of(tier)}, number = {.type = JSON_INT, .integer = 5};
    batch_event(batch, str_of(event), PROFILE_TIME_MS, str_of(id), STR_NULL, STR(PROFILE_INSERT_ID));
    assert_int_equal(batch_property(batch, STR("tier"), &text), STATUS_OK);
    assert_int_equal(batch_property(batch, STR("seats"), &number), STATUS_OK);
    batch_event_end(batch);
}

/* Of a user and of groups that the property `s` names. */
static void append_profiles(struct world *w)
{
    struct batch batch;
    struct buf record;
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, store_profiles_of(PROJECT), RECEIVED, IDENTITY_SIMPLIFIED, 0);
    append_profile(&batch, PROFILE_USER_EVENT, "U1", "gold");
    append_profile(&batch, PROFILE_USER_EVENT, "U2", "a tier with a name that is long");
    append_profile(&batch, PROFILE_GROUP_PREFIX "s", "text", "silver");
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    assert_int_equal(store_append_wait(w->store, &record), STATUS_OK);
}

static int world_init(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct store_options options;
    struct store_report report;
    struct error error = ERROR_INIT;
    if (!w) abort();
    w->disk = sim_new(1);
    store_options_defaults(&options);
    options.fs = sim_fs(w->disk);
    options.link = identity_link;
    options.update = profile_update;
    options.unlink = identity_unlink;
    options.explain = identity_explain;
    options.wal_file_bytes = 1 << 20;
    options.cache_bytes = 4096; /* blocks are read anew each time */
    assert_int_equal(store_open(&options, &error, &report, &w->store), STATUS_OK);
    w->executor = executor_native_new(w->store);
    for (int i = 0; i < 6; i++) {
        assert_true(append_step(w));
        if (i == 2) assert_int_equal(store_flush(w->store, &error), STATUS_OK);
    }
    append_profiles(w);
    w->plan = (struct plan){.project = PROJECT,
                            .from_day = RECEIVED / 86400000 - 3,
                            .to_day = RECEIVED / 86400000,
                            .unit = UNIT_DAY,
                            .limit = 10,
                            .now_ms = RECEIVED};
    assert_int_equal(timezone_load(STR("Europe/Berlin"), &error, &w->plan.zone), STATUS_OK);
    *state = w;
    return 0;
}

static int world_fini(void **state)
{
    struct world *w = *state;
    executor_free(w->executor);
    store_close(w->store);
    os_fs_free(sim_fs(w->disk));
    free(w);
    return 0;
}

static void appending_refuses_clearly(void **state)
{
    at_every_allocation(append_step, *state);
}

static void snapshots_and_scans_refuse_clearly(void **state)
{
    at_every_allocation(scan_step, *state);
}

static void questions_refuse_clearly(void **state)
{
    struct world *w = *state;
    static const struct {
        enum plan_kind kind;
        enum plan_measure measure;
        const char *where, *on, *of;
    } cases[] = {
        {PLAN_SEGMENT, MEASURE_COUNT, NULL, NULL, NULL},
        {PLAN_SEGMENT, MEASURE_UNIQUE, "properties[\"n\"] > 1 or defined(properties[\"b\"])", "properties[\"s\"]",
         NULL},
        {PLAN_SEGMENT, MEASURE_COUNT, "regex_match(properties[\"s\"], \"t.x\")", "map(x, properties[\"l\"], x)", NULL},
        {PLAN_SEGMENT, MEASURE_SUM, NULL, "upper(properties[\"s\"])", "properties[\"n\"]"},
        {PLAN_TOP_VALUES, MEASURE_COUNT, NULL, "properties[\"s\"]", NULL},
        {PLAN_EXPORT, MEASURE_COUNT, "properties[\"b\"] or true", NULL, NULL},
        {PLAN_FEED, MEASURE_COUNT, NULL, NULL, NULL},
        {PLAN_RETENTION, MEASURE_COUNT, NULL, NULL, NULL},
        {PLAN_RETENTION, MEASURE_COUNT, "properties[\"n\"] > 1 or defined(properties[\"b\"])", "properties[\"s\"]",
         NULL},
        {PLAN_FREQUENCY, MEASURE_COUNT, NULL, NULL, NULL},
        {PLAN_FREQUENCY, MEASURE_COUNT, NULL, "properties[\"s\"]", NULL},
#define PROFILE_CASES 11 /* from here on */
        {PLAN_SEGMENT, MEASURE_UNIQUE, "user[\"tier\"] == \"gold\"", "user[\"tier\"]", NULL},
        {PLAN_SEGMENT, MEASURE_SUM, "group[\"s\"][\"tier\"] != \"gold\"", "group[\"s\"][\"tier\"]",
         "user[\"seats\"] + group[\"s\"][\"seats\"]"},
        {PLAN_EXPORT, MEASURE_COUNT, "defined(user[\"seats\"]) or defined(group[\"s\"][\"seats\"])", NULL, NULL},
    };
    struct str user = STR("U1");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        w->plan.kind = cases[i].kind;
        w->plan.measure = cases[i].measure;
        w->plan.where = cases[i].where ? str_of(cases[i].where) : STR_NULL;
        w->plan.on = cases[i].on ? str_of(cases[i].on) : STR_NULL;
        w->plan.of = cases[i].of ? str_of(cases[i].of) : STR_NULL;
        w->plan.retention.interval_count = 70;
        w->plan.active_unit = UNIT_DAY;
        w->plan.distinct_ids = &user;
        w->plan.distinct_id_count = cases[i].kind == PLAN_FEED;
        w->by_new_executor = i >= PROFILE_CASES;
        at_every_allocation(question_step, w);
    }
}

/* Labels that are chosen in other ways; lists of properties. */
static void other_questions_refuse_clearly(void **state)
{
    struct world *w = *state;
    static const struct str labels[] = {STR("text"), STR("undefined")};
    const struct plan cases[] = {
        {.measure = MEASURE_UNIQUE, .on = STR("properties[\"s\"]"), .by = STR("properties[\"l\"]")},
        {.measure = MEASURE_SUM, .on = STR("n"), .of = STR("n"), .bin_count = 12},
        {.measure = MEASURE_COUNT, .on = STR("l"), .bin_count = 12},
        {.measure = MEASURE_UNIQUE, .on = STR("s"), .labels = labels, .label_count = 2},
        {.kind = PLAN_PROPERTIES},
        {.kind = PLAN_PROPERTIES, .where = STR("properties[\"n\"] > 1")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan = cases[i];
        plan.project = w->plan.project;
        plan.zone = w->plan.zone;
        plan.from_day = w->plan.from_day;
        plan.to_day = w->plan.to_day;
        plan.unit = w->plan.unit;
        plan.limit = w->plan.limit;
        w->plan = plan;
        at_every_allocation(question_step, w);
    }
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT);
    atomic_store(&left, -1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ingestion_refuses_clearly),
        cmocka_unit_test(graphs_say_when_they_are_torn),
        cmocka_unit_test(messages_refuse_clearly),
        cmocka_unit_test_setup_teardown(appending_refuses_clearly, world_init, world_fini),
        cmocka_unit_test_setup_teardown(snapshots_and_scans_refuse_clearly, world_init, world_fini),
        cmocka_unit_test_setup_teardown(questions_refuse_clearly, world_init, world_fini),
        cmocka_unit_test_setup_teardown(other_questions_refuse_clearly, world_init, world_fini),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
