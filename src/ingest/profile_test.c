/*
 * Messages to /engage and /groups: what they do to a profile, operator by operator, and what is refused. A row of the
 * table is a profile, a message and the profile that comes of it; the message goes the whole way, through its log
 * record, and the operations are carried out by the callback that the store calls.
 */
#include "ingest/profile.h"

#include "profile/update.h"
#include "store/profile_row.h"
#include "store/profiles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW_MS INT64_C(1704164645678) /* 2024-01-02T03:04:05.678 */
#define SEEN   "2024-01-02T03:04:05"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)256 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)context;
    *ret_project = (struct ingest_project){.id = str_is(token, "t2") ? 8 : 7, .mode = IDENTITY_SIMPLIFIED};
    return str_starts(token, STR("t"));
}

static struct profile_batch take(enum profile_kind kind, const struct ingest_limits *limits, const char *text)
{
    struct error error = ERROR_INIT;
    struct profile_batch batch;
    struct decode_form form = {.payload = str_of(text)};
    struct profile_request request = {.kind = kind, .received_ms = NOW_MS, .project_of = project_of};
    if (profile_take(arena, limits, &form, &request, &error, &batch) != STATUS_OK) fail_msg("%s", error.primary);
    return batch;
}

static struct update_view next_update(struct reader *reader, uint64_t shadow)
{
    struct record record;
    struct update_view update;
    assert_int_equal(record_next(reader, &record), STATUS_OK);
    assert_int_equal(record.kind, RECORD_UPDATE);
    assert_true(record.project == shadow);
    assert_int_equal(update_open(record.body, &update), STATUS_OK);
    return update;
}

static struct json json_of(const char *text)
{
    struct json json;
    struct error error;
    if (json_parse(arena, str_of(text), NULL, &error, &json) != STATUS_OK) fail_msg("%s in %s", error.primary, text);
    return json;
}

static struct profile_row row_of(const char *text)
{
    struct profile_row row = {0};
    if (!text) return row;
    struct json json = json_of(text);
    row.exists = true;
    row.count = row.capacity = json.object.count;
    row.items = arena_new_array(arena, struct profile_property, row.count + 1);
    for (size_t i = 0; i < row.count; i++) {
        struct buf bytes = BUF_INIT(1 << 20);
        assert_int_equal(value_encode_json(&bytes, &json.object.members[i].value), STATUS_OK);
        struct reader reader = reader_of(arena_str(arena, buf_str(&bytes)));
        row.items[i] = (struct profile_property){.name = json.object.members[i].key, .number = (uint32_t)i};
        assert_int_equal(value_decode(&reader, &row.items[i].value), STATUS_OK);
        buf_fini(&bytes);
    }
    return row;
}

static struct json json_of_row(const struct profile_row *row, bool without_seen)
{
    struct json json = {.type = JSON_OBJECT};
    json.object.members = arena_new_array(arena, struct json_member, row->count + 1);
    for (size_t i = 0; i < row->count; i++) {
        if (without_seen && str_is(row->items[i].name, "$last_seen")) continue;
        struct json_member *member = &json.object.members[json.object.count++];
        member->key = row->items[i].name;
        assert_int_equal(value_to_json(arena, row->items[i].value, &member->value), STATUS_OK);
    }
    return json;
}

static void expect(const struct profile_row *row, const char *after, bool without_seen, const char *message)
{
    struct buf text = BUF_INIT(1 << 20);
    if (!after) {
        if (row->exists) fail_msg("%s: there is a profile", message);
        return;
    }
    if (!row->exists) fail_msg("%s: there is no profile", message);
    struct json have = json_of_row(row, without_seen), want = json_of(after);
    json_write(&text, &have);
    buf_byte(&text, 0);
    if (!json_equal(&have, &want)) fail_msg("%s: %s instead of %s", message, text.data, after);
    buf_fini(&text);
}

static struct profile_outcome apply(struct update_view update, struct profile_row *row)
{
    struct profile_outcome outcome = {0};
    assert_int_equal(profile_update(&update, arena, row, &outcome), STATUS_OK);
    return outcome;
}

/* profiles.md §2, row by row; NULL: no profile. `$last_seen` is looked at elsewhere. */
static void operators(void **state)
{
    (void)state;
    static const struct {
        const char *before, *message, *after;
    } rows[] = {
        /* $set */
        {NULL, "\"$set\":{\"a\":1,\"b\":\"x\",\"c\":true,\"d\":null,\"e\":[1,[2]],\"f\":{\"g\":1.5}}",
         "{\"a\":1,\"b\":\"x\",\"c\":true,\"d\":null,\"e\":[1,[2]],\"f\":{\"g\":1.5}}"},
        {"{\"a\":1,\"z\":2}", "\"$set\":{\"a\":\"one\"}", "{\"a\":\"one\",\"z\":2}"},
        {NULL, "\"$set\":{}", "{}"},
        {"{\"$transactions\":[{\"$amount\":3}]}", "\"$set\":{\"$transactions\":[]}", "{\"$transactions\":[]}"},
        {NULL, "\"$set\":{\"n\":12345678901234567890123}", "{\"n\":12345678901234567890123}"},
        /* $set_once */
        {NULL, "\"$set_once\":{\"a\":1}", "{\"a\":1}"},
        {"{\"a\":1}", "\"$set_once\":{\"a\":2,\"b\":3}", "{\"a\":1,\"b\":3}"},
        {"{\"a\":null}", "\"$set_once\":{\"a\":2}", "{\"a\":null}"},
        /* $add */
        {NULL, "\"$add\":{\"n\":5}", "{\"n\":5}"},
        {"{\"n\":2}", "\"$add\":{\"n\":5,\"m\":-1}", "{\"n\":7,\"m\":-1}"},
        {"{\"n\":2}", "\"$add\":{\"n\":0.5}", "{\"n\":2.5}"},
        {"{\"n\":0.5}", "\"$add\":{\"n\":0.5}", "{\"n\":1}"},
        {"{\"n\":\"2\"}", "\"$add\":{\"n\":5}", "{\"n\":\"2\"}"},
        {"{\"n\":null}", "\"$add\":{\"n\":5}", "{\"n\":5}"},
        {"{\"n\":[1]}", "\"$add\":{\"n\":5}", "{\"n\":[1]}"},
        {"{\"n\":9007199254740993}", "\"$add\":{\"n\":2}", "{\"n\":9007199254740995}"},
        {"{\"n\":9223372036854775806}", "\"$add\":{\"n\":1}", "{\"n\":9223372036854775807}"},
        {"{\"n\":9223372036854775807}", "\"$add\":{\"n\":1}", "{\"n\":9223372036854775808}"},
        {"{\"n\":-9223372036854775808}", "\"$add\":{\"n\":-1025}", "{\"n\":-9223372036854777856}"},
        {"{\"n\":1.7e308}", "\"$add\":{\"n\":1.7e308}", "{\"n\":1.7e308}"},
        /* $append */
        {NULL, "\"$append\":{\"l\":1}", "{\"l\":[1]}"},
        {"{\"l\":[1]}", "\"$append\":{\"l\":1}", "{\"l\":[1,1]}"},
        {"{\"l\":[1]}", "\"$append\":{\"l\":[2,3]}", "{\"l\":[1,[2,3]]}"},
        {"{\"l\":\"x\"}", "\"$append\":{\"l\":\"y\"}", "{\"l\":[\"x\",\"y\"]}"},
        {"{\"l\":null}", "\"$append\":{\"l\":null}", "{\"l\":[null]}"},
        {NULL, "\"$append\":{\"$transactions\":{\"$amount\":9.5,\"$time\":\"2024-01-01T00:00:00\"}}",
         "{\"$transactions\":[{\"$amount\":9.5,\"$time\":\"2024-01-01T00:00:00\"}]}"},
        /* $union */
        {NULL, "\"$union\":{\"l\":[1,2,1]}", "{\"l\":[1,2]}"},
        {"{\"l\":[1,2]}", "\"$union\":{\"l\":[2,3]}", "{\"l\":[1,2,3]}"},
        {"{\"l\":[1]}", "\"$union\":{\"l\":1.0}", "{\"l\":[1]}"},
        {"{\"l\":[1]}", "\"$union\":{\"l\":\"1\"}", "{\"l\":[1,\"1\"]}"},
        {"{\"l\":\"x\"}", "\"$union\":{\"l\":[\"x\"]}", "{\"l\":[\"x\"]}"},
        {"{\"l\":[{\"a\":1,\"b\":2}]}", "\"$union\":{\"l\":[{\"b\":2,\"a\":1}]}", "{\"l\":[{\"a\":1,\"b\":2}]}"},
        {NULL, "\"$union\":{\"l\":[]}", "{\"l\":[]}"},
        /* $remove */
        {"{\"l\":[1,2,1,\"1\"]}", "\"$remove\":{\"l\":1}", "{\"l\":[2,\"1\"]}"},
        {"{\"l\":[[1],1]}", "\"$remove\":{\"l\":[1]}", "{\"l\":[1]}"},
        {"{\"l\":[1]}", "\"$remove\":{\"l\":1}", "{\"l\":[]}"},
        {"{\"l\":1}", "\"$remove\":{\"l\":1,\"m\":2}", "{\"l\":1}"},
        {NULL, "\"$remove\":{\"l\":1}", NULL},
        /* $unset */
        {"{\"a\":1,\"b\":2,\"c\":3}", "\"$unset\":[\"a\",\"c\",\"x\"]", "{\"b\":2}"},
        {"{\"a\":1}", "\"$unset\":\"a\"", "{}"},
        {NULL, "\"$unset\":[\"a\"]", NULL},
        /* $delete, with anything */
        {"{\"a\":1}", "\"$delete\":\"\"", NULL},
        {"{\"a\":1}", "\"$delete\":null", NULL},
        {"{\"a\":1}", "\"$delete\":{}", NULL},
        {"{\"a\":1}", "\"$delete\":\"u\",\"$ignore_alias\":false", NULL},
        {NULL, "\"$delete\":0", NULL},
        /* several: in the order of the table, whatever theirs is */
        {"{\"a\":1,\"l\":[1]}", "\"$unset\":[\"a\"],\"$add\":{\"a\":5},\"$set\":{\"a\":2}", "{\"a\":5,\"l\":[1]}"},
        {"{\"l\":[1]}", "\"$remove\":{\"l\":2},\"$append\":{\"l\":2},\"$union\":{\"l\":[2]}", "{\"l\":[1]}"},
        {NULL, "\"$set_once\":{\"a\":2},\"$set\":{\"a\":1}", "{\"a\":1}"},
        {NULL, "\"$delete\":true,\"$set\":{\"a\":1}", NULL},
        /* what SDKs send along */
        {NULL,
         "\"$set\":{\"a\":1},\"$device_id\":\"D\",\"$user_id\":\"U\",\"$had_persisted_distinct_id\":true,"
         "\"$mp_metadata\":{\"$mp_event_id\":\"x\"},\"$ip\":\"1.2.3.4\",\"mp_lib\":\"web\"",
         "{\"a\":1}"},
        {NULL, "\"$set\":{\"a\":1},\"$latitude\":52.5,\"$longitude\":13",
         "{\"a\":1,\"$latitude\":52.5,\"$longitude\":13}"},
        {NULL, "\"$unset\":[\"a\"],\"$latitude\":52.5", NULL},
    };
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[1024];
        snprintf(text, sizeof text, "{\"$token\":\"t\",\"$distinct_id\":\"u\",%s}", rows[i].message);
        struct profile_batch batch = take(PROFILE_USERS, &limits, text);
        if (batch.refusal_count) fail_msg("%s: %s", text, batch.refusals[0].message.data);
        struct reader reader = reader_of(buf_str(&batch.records));
        struct update_view update = next_update(&reader, store_profiles_of(7));
        assert_true(str_is(update.event, "$user") && str_is(update.id, "u"));
        struct profile_row row = row_of(rows[i].before);
        apply(update, &row);
        expect(&row, rows[i].after, true, rows[i].message);
        buf_fini(&batch.records);
    }
}

static const struct {
    const char *message, *field, *reason;
} refused[] = {
    {"{\"$distinct_id\":\"u\",\"$set\":{}}", "$token", "$token, missing or empty"},
    {"{\"$token\":\"\",\"$distinct_id\":\"u\",\"$set\":{}}", "$token", "$token, missing or empty"},
    {"{\"$token\":\"t\",\"$set\":{}}", "$distinct_id", "$distinct_id, missing or empty"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"\",\"$set\":{}}", "$distinct_id", "$distinct_id, missing or empty"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"undefined\",\"$set\":{}}", "$distinct_id", "$distinct_id, missing or empty"},
    {"{\"$token\":\"t\",\"$distinct_id\":[1],\"$set\":{}}", "$distinct_id", "$distinct_id, missing or empty"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"$device:\",\"$set\":{}}", "$distinct_id", "$distinct_id, missing or empty"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"u\"}", "", "operation, missing"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":[1]}", "$set", "'$set' is invalid: must be an object"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$add\":{\"n\":\"5\"}}", "$add.n",
     "'$add.n' is invalid: must be a number"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{\"a\":1},\"$add\":{\"n\":null}}", "$add.n",
     "'$add.n' is invalid: must be a number"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$union\":{\"l\":{\"a\":1}}}", "$union.l",
     "'$union.l' is invalid: must be a list"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$unset\":{\"l\":1}}", "$unset",
     "'$unset' is invalid: must be a list of names"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$unset\":[1]}", "$unset",
     "'$unset' is invalid: must be a list of names"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{\"a\":[[[[1]]]]}}", "$set.a",
     "'$set.a' is invalid: nested too deeply"},
    {"{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$append\":{\"a\":[[[1]]]}}", "$append.a",
     "'$append.a' is invalid: nested too deeply"},
    {"7", "", "data, malformed"},
};

/* Each between two good messages, which count. */
static void refusals(void **state)
{
    (void)state;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char text[2048];
        const char *good = "{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$add\":{\"n\":1}}";
        snprintf(text, sizeof text, "[%s,%s,%s]", good, refused[i].message, good);
        struct profile_batch batch = take(PROFILE_USERS, &limits, text);
        assert_int_equal(batch.stored, 2);
        assert_int_equal(batch.refusal_count, 1);
        assert_int_equal(batch.refusals[0].index, 1);
        if (!str_eq(batch.refusals[0].message, str_of(refused[i].reason)))
            fail_msg("%s: " STR_FMT, text, STR_ARG(batch.refusals[0].message));
        assert_true(str_eq(batch.refusals[0].field, str_of(refused[i].field)));
        struct reader reader = reader_of(buf_str(&batch.records));
        struct profile_row row = {0};
        while (reader_left(&reader)) apply(next_update(&reader, store_profiles_of(7)), &row);
        expect(&row, "{\"n\":2}", true, text);
        buf_fini(&batch.records);
    }
}

/* Keys of groups: any text or number, whoever a user of that id would be; its type is kept in the profile. */
static void groups(void **state)
{
    (void)state;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    static const struct {
        const char *id, *text;
    } ids[] = {{"\"acme\"", "acme"}, {"42", "42"}, {"\"0\"", "0"}, {"-7.5", "-7.5"}, {"\"$device:x\"", "$device:x"}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char text[512], after[512];
        snprintf(text, sizeof text,
                 "{\"$token\":\"t2\",\"$group_key\":\" company \",\"$group_id\":%s,\"$set\":{\"plan\":\"pro\"}}",
                 ids[i].id);
        snprintf(after, sizeof after, "{\"plan\":\"pro\",\"$group_id\":%s}", ids[i].id);
        struct profile_batch batch = take(PROFILE_GROUPS, &limits, text);
        assert_int_equal(batch.refusal_count, 0);
        struct reader reader = reader_of(buf_str(&batch.records));
        struct update_view update = next_update(&reader, store_profiles_of(8));
        assert_true(str_is(update.event, "$group:company") && str_eq(update.id, str_of(ids[i].text)));
        assert_int_equal(update.flags, UPDATE_LITERAL);
        struct profile_row row = {0};
        apply(update, &row);
        expect(&row, after, true, text);
        buf_fini(&batch.records);
    }
    static const struct {
        const char *message, *reason;
    } bad[] = {
        {"{\"$token\":\"t\",\"$group_id\":1,\"$set\":{}}", "$group_key, missing or empty"},
        {"{\"$token\":\"t\",\"$group_key\":\" \",\"$group_id\":1,\"$set\":{}}", "$group_key, missing or empty"},
        {"{\"$token\":\"t\",\"$group_key\":\"k\",\"$set\":{}}", "$group_id, missing or empty"},
        {"{\"$token\":\"t\",\"$group_key\":\"k\",\"$group_id\":\"\",\"$set\":{}}", "$group_id, missing or empty"},
        {"{\"$token\":\"t\",\"$group_key\":\"k\",\"$group_id\":null,\"$set\":{}}", "$group_id, missing or empty"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct profile_batch batch = take(PROFILE_GROUPS, &limits, bad[i].message);
        assert_int_equal(batch.refusal_count, 1);
        assert_true(str_eq(batch.refusals[0].message, str_of(bad[i].reason)));
        assert_int_equal(batch.records.size, 0);
        buf_fini(&batch.records);
    }
}

/* Which id, and whether it is looked up: $device:… keeps one prefix, numbers become text, $ignore_alias in any spelling
 * of true. */
static void users(void **state)
{
    (void)state;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    static const struct {
        const char *members, *id;
        unsigned flags;
    } rows[] = {
        {"\"$distinct_id\":\"u\"", "u", 0},
        {"\"$distinct_id\":42", "42", 0},
        {"\"$distinct_id\":\"$device:D\"", "$device:D", 0},
        {"\"$distinct_id\":\"u\",\"$ignore_alias\":true", "u", UPDATE_LITERAL},
        {"\"$distinct_id\":\"u\",\"$ignore_alias\":\"true\"", "u", UPDATE_LITERAL},
        {"\"$distinct_id\":\"u\",\"$ignore_alias\":\"false\"", "u", 0},
        {"\"$distinct_id\":\"u\",\"$ignore_alias\":1", "u", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        snprintf(text, sizeof text, "{\"$token\":\"t\",%s,\"$set\":{}}", rows[i].members);
        struct profile_batch batch = take(PROFILE_USERS, &limits, text);
        assert_int_equal(batch.refusal_count, 0);
        struct reader reader = reader_of(buf_str(&batch.records));
        struct update_view update = next_update(&reader, store_profiles_of(7));
        assert_true(str_eq(update.id, str_of(rows[i].id)));
        assert_int_equal(update.flags, rows[i].flags);
        buf_fini(&batch.records);
    }
}

/* $last_seen: now, or $time in seconds or ms, never in the future, never backwards, not with $ignore_time, and as the
 * message says where it sets it. */
static void last_seen(void **state)
{
    (void)state;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    static const struct {
        const char *before, *message, *after;
    } rows[] = {
        {NULL, "\"$set\":{}", "{\"$last_seen\":\"" SEEN "\"}"},
        {NULL, "\"$set\":{},\"$time\":1704100000", "{\"$last_seen\":\"2024-01-01T09:06:40\"}"},
        {NULL, "\"$set\":{},\"$time\":1704100000999", "{\"$last_seen\":\"2024-01-01T09:06:40\"}"},
        {NULL, "\"$set\":{},\"$time\":\"1704100000\"", "{\"$last_seen\":\"2024-01-01T09:06:40\"}"},
        {NULL, "\"$set\":{},\"$time\":1904100000", "{\"$last_seen\":\"" SEEN "\"}"},
        {NULL, "\"$set\":{},\"$time\":\"soon\"", "{\"$last_seen\":\"" SEEN "\"}"},
        {NULL, "\"$set\":{\"a\":1},\"$ignore_time\":true", "{\"a\":1}"},
        {NULL, "\"$set\":{\"a\":1},\"$ignore_time\":\"true\"", "{\"a\":1}"},
        {"{\"$last_seen\":\"2024-01-01T00:00:00\"}", "\"$unset\":[\"a\"]", "{\"$last_seen\":\"" SEEN "\"}"},
        {"{\"$last_seen\":\"2024-06-01T00:00:00\"}", "\"$set\":{}", "{\"$last_seen\":\"2024-06-01T00:00:00\"}"},
        {"{\"$last_seen\":\"never\"}", "\"$set\":{}", "{\"$last_seen\":\"" SEEN "\"}"},
        {NULL, "\"$set\":{\"$last_seen\":\"2020-01-01T00:00:00\"}", "{\"$last_seen\":\"2020-01-01T00:00:00\"}"},
        {NULL, "\"$unset\":[\"a\"]", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        snprintf(text, sizeof text, "{\"$token\":\"t\",\"$distinct_id\":\"u\",%s}", rows[i].message);
        struct profile_batch batch = take(PROFILE_USERS, &limits, text);
        assert_int_equal(batch.refusal_count, 0);
        struct reader reader = reader_of(buf_str(&batch.records));
        struct profile_row row = row_of(rows[i].before);
        apply(next_update(&reader, store_profiles_of(7)), &row);
        expect(&row, rows[i].after, false, text);
        buf_fini(&batch.records);
    }
}

/* The limits: of a request, a message, a name and a text; and those that stand in the record. */
static void limits_hold(void **state)
{
    (void)state;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    struct buf text = BUF_INIT((size_t)16 << 20);

    /* 2000 properties are good, 2001 are not; over all operators */
    for (int count = 2000; count <= 2001; count++) {
        buf_reset(&text);
        buf_lit(&text, "{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{\"x\":0");
        for (int i = 2; i < count; i++) buf_printf(&text, ",\"p%d\":%d", i, i);
        buf_lit(&text, "},\"$add\":{\"y\":1}}");
        buf_byte(&text, 0);
        struct profile_batch batch = take(PROFILE_USERS, &limits, text.data);
        assert_int_equal(batch.refusal_count, count > 2000);
        if (count > 2000)
            assert_true(str_is(batch.refusals[0].message, "message must not have more than 2000 properties"));
        if (count == 2000) {
            /* the profile is full: others are left out and counted, what it has may change */
            struct reader reader = reader_of(buf_str(&batch.records));
            struct profile_row row = {0};
            assert_int_equal(apply(next_update(&reader, store_profiles_of(7)), &row).left_out, 0);
            assert_int_equal(row.count, 2001); /* with $last_seen */
            struct profile_batch more = take(PROFILE_USERS, &limits,
                                             "{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{\"x\":5,\"new\":1},"
                                             "\"$append\":{\"other\":1}}");
            reader = reader_of(buf_str(&more.records));
            assert_int_equal(apply(next_update(&reader, store_profiles_of(7)), &row).left_out, 2);
            assert_int_equal(row.count, 2001);
            struct json json = json_of_row(&row, false);
            assert_int_equal(json_member(&json, "x")->integer, 5);
            assert_null(json_member(&json, "new"));
            buf_fini(&more.records);
        }
        buf_fini(&batch.records);
    }

    /* a message of more than 1 MB beside a good one */
    buf_reset(&text);
    buf_lit(&text, "[{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{\"x\":\"");
    buf_fill(&text, 'x', 1 << 20);
    buf_lit(&text, "\"}},{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{\"x\":1}}]");
    buf_byte(&text, 0);
    struct profile_batch batch = take(PROFILE_USERS, &limits, text.data);
    assert_int_equal(batch.refusal_count, 1);
    assert_true(str_is(batch.refusals[0].message, "message exceeds max limit of 1048576 bytes"));
    assert_int_equal(batch.stored, 1);
    buf_fini(&batch.records);

    /* texts and names are cut */
    buf_reset(&text);
    buf_lit(&text, "{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{\"");
    buf_fill(&text, 'n', 300);
    buf_lit(&text, "\":\"");
    buf_fill(&text, 'v', 300);
    buf_lit(&text, "\"}}");
    buf_byte(&text, 0);
    batch = take(PROFILE_USERS, &limits, text.data);
    struct reader reader = reader_of(buf_str(&batch.records));
    struct profile_row row = {0};
    apply(next_update(&reader, store_profiles_of(7)), &row);
    assert_int_equal(row.items[0].name.size, 255);
    assert_int_equal(row.items[0].value.size, 255);
    buf_fini(&batch.records);

    /* a list of 256 KB may be set; a longer one is refused, and appending to a full one is left out */
    limits.profile_list_bytes_max = 100;
    buf_reset(&text);
    buf_lit(&text, "[");
    for (int size = 90; size <= 110; size += 20) {
        buf_printf(&text, "%s{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{\"l\":[\"", size == 90 ? "" : ",");
        buf_fill(&text, 'x', (size_t)size);
        buf_lit(&text, "\"]}}");
    }
    buf_lit(&text, ",{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$append\":{\"l\":\"0123456789\",\"m\":1},"
                   "\"$union\":{\"l\":[\"0123456789\"]}}]");
    buf_byte(&text, 0);
    batch = take(PROFILE_USERS, &limits, text.data);
    assert_int_equal(batch.refusal_count, 1);
    assert_true(str_is(batch.refusals[0].message, "'$set.l' is invalid: list is too long"));
    reader = reader_of(buf_str(&batch.records));
    row = (struct profile_row){0};
    assert_int_equal(apply(next_update(&reader, store_profiles_of(7)), &row).left_out, 0);
    assert_int_equal(apply(next_update(&reader, store_profiles_of(7)), &row).left_out, 2);
    struct json json = json_of_row(&row, false);
    assert_int_equal(json_member(&json, "l")->array.count, 1);
    assert_int_equal(json_member(&json, "m")->array.count, 1);
    buf_fini(&batch.records);

    /* all properties together */
    limits = INGEST_LIMITS_DEFAULT;
    limits.profile_bytes_max = 200;
    buf_reset(&text);
    buf_lit(&text, "{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{\"a\":\"");
    buf_fill(&text, 'x', 150);
    buf_lit(&text, "\",\"b\":\"");
    buf_fill(&text, 'x', 150);
    buf_lit(&text, "\",\"c\":1}}");
    buf_byte(&text, 0);
    batch = take(PROFILE_USERS, &limits, text.data);
    reader = reader_of(buf_str(&batch.records));
    row = (struct profile_row){0};
    assert_int_equal(apply(next_update(&reader, store_profiles_of(7)), &row).left_out, 1);
    json = json_of_row(&row, false);
    assert_null(json_member(&json, "b"));
    assert_non_null(json_member(&json, "c"));
    buf_fini(&batch.records);

    /* 2001 messages: nothing of the request */
    limits = INGEST_LIMITS_DEFAULT;
    buf_reset(&text);
    for (int i = 0; i < 2001; i++)
        buf_printf(&text, "%c{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{}}", i ? ',' : '[');
    buf_lit(&text, "]");
    struct error error = ERROR_INIT;
    struct decode_form form = {.payload = buf_str(&text)};
    struct profile_request request = {.received_ms = NOW_MS, .project_of = project_of};
    assert_int_equal(profile_take(arena, &limits, &form, &request, &error, &batch), STATUS_LIMIT);
    assert_string_equal(error.primary, "request exceeds max limit of 2000 messages");
    buf_fini(&text);
}

/* A union and a profile of many members do not take the square of the time: they would end far beyond a test's. */
static void many_members(void **state)
{
    (void)state;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    struct buf text = BUF_INIT((size_t)4 << 20);
    for (int round = 0; round < 2; round++) {
        buf_printf(&text, "%c{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$union\":{\"l\":[0", round ? ',' : '[');
        for (int i = 1; i < 80000; i++) buf_printf(&text, ",%d", i + round * 1000);
        buf_lit(&text, "]}}");
    }
    buf_lit(&text, "]");
    buf_byte(&text, 0);
    limits.profile_list_bytes_max = (size_t)1 << 20;
    struct profile_batch batch = take(PROFILE_USERS, &limits, text.data);
    assert_int_equal(batch.refusal_count, 0);
    struct reader reader = reader_of(buf_str(&batch.records));
    struct profile_row row = {0};
    for (int round = 0; round < 2; round++) apply(next_update(&reader, store_profiles_of(7)), &row);
    struct json json = json_of_row(&row, true);
    assert_int_equal(json_member(&json, "l")->array.count, 81000);
    buf_fini(&batch.records);
    buf_fini(&text);
}

/* Messages of several projects keep their order; unknown tokens are counted. */
static void projects(void **state)
{
    (void)state;
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    struct profile_batch batch = take(PROFILE_USERS, &limits,
                                      "{\"data\":[{\"$token\":\"t\",\"$distinct_id\":\"a\",\"$set\":{}},"
                                      "{\"$token\":\"nobody's\",\"$distinct_id\":\"b\",\"$set\":{}},"
                                      "{\"$token\":\"t2\",\"$distinct_id\":\"c\",\"$set\":{}},"
                                      "{\"$token\":\"t\",\"$distinct_id\":\"d\",\"$set\":{}}]}");
    assert_int_equal(batch.stored, 3);
    assert_int_equal(batch.unknown, 1);
    assert_false(batch.unauthorized);
    struct reader reader = reader_of(buf_str(&batch.records));
    assert_true(str_is(next_update(&reader, store_profiles_of(7)).id, "a"));
    assert_true(str_is(next_update(&reader, store_profiles_of(8)).id, "c"));
    assert_true(str_is(next_update(&reader, store_profiles_of(7)).id, "d"));
    assert_int_equal(reader_left(&reader), 0);
    buf_fini(&batch.records);
    limits.reject_unknown_tokens = true;
    batch = take(PROFILE_USERS, &limits, "{\"$token\":\"nobody's\",\"$distinct_id\":\"b\",\"$set\":{}}");
    assert_true(batch.unauthorized);
    buf_fini(&batch.records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(operators, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(groups, setup, teardown),
        cmocka_unit_test_setup_teardown(users, setup, teardown),
        cmocka_unit_test_setup_teardown(last_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(many_members, setup, teardown),
        cmocka_unit_test_setup_teardown(projects, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
