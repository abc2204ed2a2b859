#pragma once
/* A store with events and profiles, and short ways to ask about them, for tests of joins. The test's globals are the
 * fixture, as in store_testing.h. */
#include "query/backend.h"

#include <unistd.h>

#include "base/civil.h"
#include "query/native/group_join.h"
#include "query/store_testing.h"
#include "store/delete_record.h"
#include "store/profiles.h"

#define WAL_FILE_BYTES (1 << 20)

#define PROJECT 3
#define DAY0    19783 /* 2024-03-01 */
#define T0      (DAY0 * DAY_MS)

static struct executor *executor;
static struct plan plan;
static struct str event_name;
static struct plan_limits limits;

static inline int setup(void **state)
{
    (void)state;
    testing_store_begin(WAL_FILE_BYTES);
    executor = executor_native_new_threads(store, 3);
    event_name = STR("A");
    plan = (struct plan){.kind = PLAN_SEGMENT,
                         .project = PROJECT,
                         .zone = timezone_utc(),
                         .from_day = DAY0,
                         .to_day = DAY0 + 2,
                         .unit = UNIT_RANGE,
                         .events = &event_name,
                         .event_count = 1,
                         .limit = 60,
                         .now_ms = T0};
    limits =
        (struct plan_limits){.memory_bytes_max = (size_t)256 << 20, .buckets_max = 10000, .deadline_ns = INT64_MAX};
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    executor_free(executor);
    return testing_store_end();
}

/* --- events and profiles --- */

static inline void write_properties(struct batch *batch, const char *properties)
{
    struct arena *arena = arena_new((size_t)1 << 20);
    struct json json;
    assert_int_equal(json_parse(arena, str_of(properties), NULL, NULL, &json), STATUS_OK);
    for (size_t i = 0; i < json.object.count; i++) {
        const struct json_member *member = &json.object.members[i];
        assert_int_equal(batch_property(batch, member->key, &member->value), STATUS_OK);
    }
    arena_free(arena);
}

static inline void begin(struct batch *batch, uint64_t project)
{
    batch_init(batch, (size_t)64 << 20);
    batch_begin(batch, project, T0 + 100 * DAY_MS, IDENTITY_SIMPLIFIED, 0);
}

static inline void commit(struct batch *batch)
{
    struct buf record;
    assert_int_equal(batch_finish(batch, &record), STATUS_OK);
    batch_fini(batch);
    assert_int_equal(store_append_wait(store, &record), STATUS_OK);
}

static inline void track(int hour, const char *id, const char *device, const char *properties)
{
    struct batch batch;
    begin(&batch, PROJECT);
    batch_event(&batch, STR("A"), T0 + hour * HOUR_MS, str_of(id), str_of(device), STR_NULL);
    if (properties) write_properties(&batch, properties);
    batch_event_end(&batch);
    commit(&batch);
}

static inline void add_profile(struct batch *batch, const char *event, const char *id, const char *properties)
{
    batch_event(batch, str_of(event), PROFILE_TIME_MS, str_of(id), STR_NULL, STR(PROFILE_INSERT_ID));
    write_properties(batch, properties);
    batch_event_end(batch);
}

/* `event`: PROFILE_USER_EVENT, or PROFILE_GROUP_PREFIX and the group key. */
static inline void profile_of(const char *event, const char *id, const char *properties)
{
    struct batch batch;
    begin(&batch, store_profiles_of(PROJECT));
    add_profile(&batch, event, id, properties);
    commit(&batch);
}

static inline void carry_out(uint64_t project, struct buf *record)
{
    struct store_deletion deletion;
    assert_int_equal(store_delete(store, project, 0, record, &error, &deletion), STATUS_OK);
}

static inline void delete_profile_of(const char *event, const char *id)
{
    struct row_keys keys;
    struct buf record;
    row_keys_init(&keys);
    row_keys_add(&keys,
                 &(struct row_key){.event = str_of(event), .id = str_of(id), .insert_id = STR(PROFILE_INSERT_ID)});
    assert_int_equal(row_keys_finish(&keys, store_profiles_of(PROJECT), 0, &record), STATUS_OK);
    row_keys_fini(&keys);
    carry_out(store_profiles_of(PROJECT), &record);
}

/* --- questions --- */

static inline enum status run(char *text, size_t size)
{
    struct segmentation result;
    struct buf buf = BUF_INIT(size - 1);
    struct group_joins *groups;
    const struct plan before = plan;
    TRY(group_joins_new(store, &plan, &limits, &error, &groups));
    enum status status = executor->segment(executor, &plan, &limits, &error, &result);
    plan = before;
    group_joins_free(groups);
    if (status != STATUS_OK) return status;
    for (uint32_t i = 0; i < result.series_count; i++) {
        double number;
        bool any = series_number(&result.series[i], 0, &number);
        buf_printf(&buf, "%s" STR_FMT " ", i ? "; " : "", STR_ARG(result.series[i].label));
        if (any)
            buf_printf(&buf, "%g", number);
        else
            buf_byte(&buf, '-');
    }
    assert_int_equal(buf_status(&buf), STATUS_OK);
    if (buf.size) memcpy(text, buf.data, buf.size);
    text[buf.size] = 0;
    buf_fini(&buf);
    segmentation_free(&result);
    return STATUS_OK;
}

static inline void check_answer(int line, const char *where, const char *on, const char *wanted)
{
    static char text[65536];
    char reason[1200];
    plan.where = str_of(where);
    plan.on = str_of(on);
    if (run(text, sizeof text) != STATUS_OK) fail_msg("line %d: %s", line, error_text(&error, reason, sizeof reason));
    if (strcmp(text, wanted) != 0) fail_msg("line %d:\n got    %s\n wanted %s", line, text, wanted);
}
#define check(where, on, wanted) check_answer(__LINE__, (where), (on), (wanted))

/* In memory, in files, and in one file. */
static inline void settle(int round)
{
    if (round == 1) assert_int_equal(store_flush(store, &error), STATUS_OK);
    if (round == 2) assert_int_equal(store_compact_wait(store, &error), STATUS_OK);
}
