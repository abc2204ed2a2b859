/*
 * From the JSON of a request to what the store is given. Each case is a text of records, and the log record that
 * comes out is read back with the store's own reader and written as JSON again, so that one string shows all that is
 * stored:
 *
 *     {"event":NAME,"ms":time before now,"id":…,"link":…,"insert":…,"properties":{…}}
 */
#include "ingest/ingest.h"

#include "ingest/event.h"
#include "ingest/ingest_testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW INT64_C(1700000000000)

static struct arena *arena;
static struct ingest_limits limits;
static struct ingest_outcome outcome;
static struct str request_token;
static struct error error;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)64 << 20);
    limits = INGEST_LIMITS_DEFAULT;
    request_token = STR_NULL;
    outcome = (struct ingest_outcome){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ingest_outcome_fini(&outcome);
    arena_free(arena);
    return 0;
}

/* Tokens "t" and "t2" in simplified mode, "o" in the original one. */
static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)context;
    if (str_is(token, "t"))
        *ret_project = (struct ingest_project){1, IDENTITY_SIMPLIFIED};
    else if (str_is(token, "t2"))
        *ret_project = (struct ingest_project){2, IDENTITY_SIMPLIFIED};
    else if (str_is(token, "o"))
        *ret_project = (struct ingest_project){3, IDENTITY_ORIGINAL};
    else
        return false;
    return true;
}

static enum status run_parsed(const struct decode_form *form, struct ingest_request *request)
{
    TRY(decode_records(arena, form, &limits, &error, &request->records));
    TRY(ingest_run(arena, &limits, request, &error, &outcome));
    assert_int_equal(outcome.stored + outcome.ignored + outcome.unknown + outcome.refused, request->records.count);
    return STATUS_OK;
}

/* With and without a tree, which must give the same. */
static enum status run(struct str body)
{
    struct decode_input input = {.query = STR(""), .content_type = STR("application/json"), .body = body};
    struct decode_form form;
    struct ingest_request request = {.token = request_token, .received_ms = NOW, .project_of = project_of};
    error = ERROR_INIT;
    ingest_outcome_fini(&outcome);
    outcome = (struct ingest_outcome){0};
    TRY(decode_form(arena, &input, &limits, &error, &form));
    struct ingest_outcome taken = {0};
    struct error taken_error = ERROR_INIT;
    enum status status = run_parsed(&form, &request);
    assert_int_equal(ingest_take(arena, &limits, &form, &request, &taken_error, &taken), status);
    if (status == STATUS_OK && !ingest_same(arena, &outcome, &taken)) fail_msg("%.*s", (int)body.size, body.data);
    assert_string_equal(error.primary, taken_error.primary);
    assert_string_equal(error.detail, taken_error.detail);
    ingest_outcome_fini(&taken);
    return status;
}

static struct json text_or_null(struct str text)
{
    return text.data ? json_string(text) : json_null();
}

static void add(struct json *object, const char *key, struct json value)
{
    assert_int_equal(json_put(arena, object, str_of(key), value), STATUS_OK);
}

/* The events of one log record. */
static struct json stored_in(const struct ingest_output *output)
{
    struct reader reader = reader_of(buf_str(&output->record));
    struct record record;
    struct batch_reader batch;
    struct event_view event;
    struct json list = JSON_ARRAY_EMPTY;
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    assert_int_equal(record.kind, RECORD_EVENTS);
    assert_int_equal(record.project, output->project);
    assert_int_equal(reader_left(&reader), 0);
    assert_int_equal(batch_open(arena, record.body, &batch), STATUS_OK);
    assert_int_equal(batch.received_ms, NOW);
    while (batch_next(&batch, &event)) {
        struct json object = JSON_OBJECT_EMPTY, properties = JSON_OBJECT_EMPTY;
        struct reader rest = reader_of(event.properties);
        uint32_t name;
        struct value value;
        while (event_property_next(&rest, &name, &value)) {
            struct json json;
            assert_int_equal(value_to_json(arena, value, &json), STATUS_OK);
            assert_int_equal(json_put(arena, &properties, batch.names[name], json), STATUS_OK);
        }
        add(&object, "event", json_string(batch.names[event.name]));
        add(&object, "ms", json_int(NOW - event.time_ms));
        add(&object, "id", text_or_null(event.id));
        add(&object, "link", text_or_null(event.device));
        add(&object, "insert", text_or_null(event.insert_id));
        add(&object, "properties", properties);
        assert_int_equal(json_push(arena, &list, object), STATUS_OK);
    }
    assert_int_equal(list.array.count, output->events);
    return list;
}

static void check_json(const struct json *value, const char *wanted, const char *what)
{
    struct buf text = BUF_INIT((size_t)4 << 20);
    json_write(&text, value);
    buf_byte(&text, 0);
    if (strcmp(text.data, wanted) != 0) fail_msg("%s\n gives %s\n not   %s", what, text.data, wanted);
    buf_fini(&text);
}

/* The one event of `json` is stored as `wanted`. */
static void stores(const char *json, const char *wanted)
{
    if (run(str_of(json)) != STATUS_OK) fail_msg("%s: %s (%s)", json, error.primary, error.detail);
    if (outcome.reason.data) fail_msg("%s: " STR_FMT, json, STR_ARG(outcome.reason));
    assert_int_equal(outcome.output_count, 1);
    assert_int_equal(outcome.stored, 1);
    struct json list = stored_in(&outcome.outputs[0]);
    check_json(json_at(&list, 0), wanted, json);
}

/* The one event of `json` is not stored, for this reason. */
static void refuses(const char *json, const char *reason)
{
    assert_int_equal(run(str_of(json)), STATUS_OK);
    if (outcome.refused != 1) fail_msg("%s is taken", json);
    assert_int_equal(outcome.output_count, 0);
    if (!str_eq(outcome.reason, str_of(reason))) fail_msg("%s: \"" STR_FMT "\"", json, STR_ARG(outcome.reason));
}

/* Core properties become fields, token and ip go, everything else keeps its JSON type. */
static void test_fields_and_types(void **state)
{
    (void)state;
    stores(
        "{\"event\":\"Signed up\",\"properties\":{\"token\":\"t\",\"ip\":\"10.0.0.1\",\"time\":1699999999,"
        "\"distinct_id\":\"u1\",\"$insert_id\":\"a-B-3\",\"plan\":\"pro\",\"n\":1,\"f\":1.5,\"yes\":true,"
        "\"none\":null,\"empty\":\"\",\"list\":[1,\"1\",null],\"o\":{\"k\":{\"l\":[]}},\"big\":123456789012345678901}}",
        "{\"event\":\"Signed up\",\"ms\":1000,\"id\":\"u1\",\"link\":null,\"insert\":\"a-B-3\",\"properties\":{"
        "\"plan\":\"pro\",\"n\":1,\"f\":1.5,\"yes\":true,\"none\":null,\"empty\":\"\",\"list\":[1,\"1\",null],"
        "\"o\":{\"k\":{\"l\":[]}},\"big\":123456789012345678901}}");
    /* The other ids are fields and stay properties; siblings of `properties` are not looked at. */
    stores("{\"$mp_metadata\":{\"$mp_event_id\":\"x\"},\"properties\":{\"$device_id\":\"D\",\"$user_id\":7,"
           "\"distinct_id\":\"x\",\"token\":\"t\"},\"event\":\"E\"}",
           "{\"event\":\"E\",\"ms\":0,\"id\":\"7\",\"link\":\"$device:D\",\"insert\":null,\"properties\":{"
           "\"$device_id\":\"D\",\"$user_id\":7}}");
    /* Reserved names that are not core are ordinary. */
    stores("{\"event\":\"E\",\"properties\":{\"token\":\"t\",\"$time\":5,\"$distinct_id\":\"x\",\"bucket\":1}}",
           "{\"event\":\"E\",\"ms\":0,\"id\":null,\"link\":null,\"insert\":null,\"properties\":{"
           "\"$time\":5,\"$distinct_id\":\"x\",\"bucket\":1}}");
}

/* The last of repeated names counts, for events, core and ordinary properties alike. */
static void test_repeated_names(void **state)
{
    (void)state;
    stores("{\"event\":5,\"event\":\"E\",\"properties\":4,\"properties\":{\"token\":\"x\",\"token\":\"t\","
           "\"distinct_id\":\"a\",\"distinct_id\":\"b\",\"p\":1,\"q\":2,\"p\":3,\"o\":{\"k\":1,\"k\":2}}}",
           "{\"event\":\"E\",\"ms\":0,\"id\":\"b\",\"link\":null,\"insert\":null,\"properties\":{"
           "\"q\":2,\"p\":3,\"o\":{\"k\":2}}}");
}

/* What must be there. */
static void test_required(void **state)
{
    (void)state;
    refuses("{}", "event, missing");
    refuses("{\"properties\":{\"token\":\"t\"}}", "event, missing");
    refuses("{\"event\":\"\",\"properties\":{\"token\":\"t\"}}", "event, missing");
    refuses("{\"event\":\" \",\"properties\":{\"token\":\"t\"}}", "event, missing");
    refuses("{\"event\":null,\"properties\":{\"token\":\"t\"}}", "event, missing");
    refuses("{\"event\":12,\"properties\":{\"token\":\"t\"}}", "event, missing");
    refuses("{\"event\":\"E\"}", "token, missing or empty");
    refuses("{\"event\":\"E\",\"properties\":{}}", "token, missing or empty");
    refuses("{\"event\":\"E\",\"properties\":null}", "token, missing or empty");
    refuses("{\"event\":\"E\",\"properties\":{\"token\":\"\"}}", "token, missing or empty");
    refuses("{\"event\":\"E\",\"properties\":{\"token\":null}}", "token, missing or empty");
    refuses("{\"event\":\"E\",\"properties\":{\"token\":1}}", "token, missing or empty");
    refuses("{\"event\":\"E\",\"token\":\"t\",\"properties\":{}}", "token, missing or empty");
    refuses("{\"event\":\"E\",\"properties\":[]}", "'properties' is invalid: must be an object");
    refuses("[5]", "data, malformed");
    refuses("[[]]", "data, malformed");
}

/* The request's own token serves events that have none. */
static void test_token_of_request(void **state)
{
    (void)state;
    const char *bare = "{\"event\":\"E\",\"ms\":0,\"id\":null,\"link\":null,\"insert\":null,\"properties\":{}}";
    request_token = STR("t");
    stores("{\"event\":\"E\"}", bare);
    stores("{\"event\":\"E\",\"properties\":{\"token\":\"\"}}", bare);
    assert_int_equal(outcome.outputs[0].project, 1);
    stores("{\"event\":\"E\",\"properties\":{\"token\":\"t2\"}}", bare);
    assert_int_equal(outcome.outputs[0].project, 2);
}

/* Ids as the project's mode wants them. */
static void test_ids(void **state)
{
    (void)state;
    static const char form[] = "{\"event\":\"%s\",\"properties\":{\"token\":\"%s\",%s}}";
    static const struct {
        const char *event, *token, *ids, *id, *link;
    } rows[] = {
        {"E", "t", "\"distinct_id\":\"$device:D\"", "\"$device:D\"", "null"},
        {"E", "t", "\"distinct_id\":\"U\",\"$device_id\":\"D\",\"$user_id\":\"U\"", "\"U\"", "\"$device:D\""},
        {"$identify", "t", "\"distinct_id\":\"U\",\"$device_id\":\"D\",\"$user_id\":\"U\"", "\"U\"", "null"},
        {"E", "t", "\"$device_id\":\"D\",\"$user_id\":\"undefined\"", "\"$device:D\"", "null"},
        {"E", "t", "\"distinct_id\":\"\"", "null", "null"},
        {"E", "t", "\"distinct_id\":\"NULL\"", "null", "null"},
        {"E", "t", "\"distinct_id\":{\"a\":1}", "null", "null"},
        {"E", "t", "\"distinct_id\":12345", "\"12345\"", "null"},
        {"E", "o", "\"distinct_id\":\"$device:D\",\"$user_id\":\"U\"", "\"$device:D\"", "null"},
        {"E", "o", "\"$device_id\":\"D\",\"$user_id\":\"U\"", "null", "null"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str json = arena_printf(arena, form, rows[i].event, rows[i].token, rows[i].ids);
        assert_int_equal(run(json), STATUS_OK);
        assert_int_equal(outcome.stored, 1);
        struct json list = stored_in(&outcome.outputs[0]);
        check_json(json_member(json_at(&list, 0), "id"), rows[i].id, rows[i].ids);
        check_json(json_member(json_at(&list, 0), "link"), rows[i].link, rows[i].ids);
    }
}

static void time_gives(const char *time, int64_t ms_ago)
{
    struct str json = arena_printf(arena, "{\"event\":\"E\",\"properties\":{\"token\":\"t\",\"time\":%s}}", time);
    struct str wanted =
        arena_printf(arena, "{\"event\":\"E\",\"ms\":%lld,\"id\":null,\"link\":null,\"insert\":null,\"properties\":{}}",
                     (long long)ms_ago);
    stores(json.data, wanted.data);
}

static void time_refused(const char *time, const char *reason)
{
    struct str json = arena_printf(arena, "{\"event\":\"E\",\"properties\":{\"token\":\"t\",\"time\":%s}}", time);
    refuses(json.data, reason);
}

/* Seconds, fractions, ms and texts; the future is now; five days and no more; what is no time. */
static void test_time(void **state)
{
    (void)state;
    time_gives("1699999999", 1000);
    time_gives("1699999999.25", 750);
    time_gives("1699999999.9994", 1); /* rounded to ms */
    time_gives("1699999999000", 1000);
    time_gives("1699999999001.4", 999);
    time_gives("1.699999999e9", 1000);
    time_gives("\"1699999999\"", 1000);
    time_gives("\"1699999999.5\"", 500);
    time_gives("\"1699999999500\"", 500);
    time_gives("null", 0);
    time_gives("1700000000", 0);
    time_gives("1700000001", 0);
    time_gives("99999999999", 0);        /* seconds, the year 5138 */
    time_gives("1700000000000000", 0);   /* microseconds are a far future in ms */
    time_gives("1699568000", 432000000); /* five days to the ms */
    const char *old = "'properties.time' is invalid: must not be more than 5 days ago";
    time_refused("1699567999.999", old);
    time_refused("0", old);
    time_refused("-5", old);
    time_refused("100000000000", old); /* ms, in 1973 */
    const char *invalid = "'properties.time' is invalid: must be specified as seconds since epoch";
    time_refused("\"\"", invalid);
    time_refused("\"yesterday\"", invalid);
    time_refused("\"2023-11-14T22:13:20\"", invalid);
    time_refused("\" 1699999999\"", invalid);
    time_refused("true", invalid);
    time_refused("[1699999999]", invalid);
    time_refused("1e400", invalid);
    time_refused("1e300", invalid);
    limits.age_max_ms = 60000;
    time_refused("1699999939", "'properties.time' is invalid: must not be more than 60 seconds ago");
}

/* 1 to 36 letters, digits and hyphens; anything else is as if it were not there. */
static void test_insert_id(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *stored;
    } rows[] = {
        {"\"a\"", "\"a\""},
        {"\"0123456789abcdefGHIJ-0123456789-abcde\"", "null"}, /* 37 */
        {"\"0123456789abcdefGHIJ-0123456789-abcd\"", "\"0123456789abcdefGHIJ-0123456789-abcd\""},
        {"\"a_b\"", "null"},
        {"\"a b\"", "null"},
        {"\"\xC3\xA9\"", "null"},
        {"\"\"", "null"},
        {"null", "null"},
        {"42", "\"42\""},
        {"\"undefined\"", "null"},
        {"\"N-A\"", "\"N-A\""},
        {"\"NA\"", "null"},
        {"\"00000000-0000-0000-0000-000000000000\"", "null"},
        {"[\"a\"]", "null"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str json =
            arena_printf(arena, "{\"event\":\"E\",\"properties\":{\"token\":\"t\",\"$insert_id\":%s}}", rows[i].sent);
        assert_int_equal(run(json), STATUS_OK);
        assert_int_equal(outcome.stored, 1);
        struct json list = stored_in(&outcome.outputs[0]);
        check_json(json_member(json_at(&list, 0), "insert"), rows[i].stored, rows[i].sent);
    }
}

/* `$ignore`, whatever its value: success, and nothing stored. */
static void test_ignore(void **state)
{
    (void)state;
    static const char *const values[] = {"true", "false", "null", "\"\""};
    for (size_t i = 0; i < 4; i++) {
        struct str json =
            arena_printf(arena, "{\"event\":\"E\",\"properties\":{\"token\":\"t\",\"$ignore\":%s}}", values[i]);
        assert_int_equal(run(json), STATUS_OK);
        assert_int_equal(outcome.ignored, 1);
        assert_int_equal(outcome.output_count, 0);
        assert_null(outcome.reason.data);
    }
}

static struct str repeated(char byte, size_t count)
{
    char *text = arena_alloc(arena, count);
    assert_non_null(text);
    memset(text, byte, count);
    return str_from(text, count);
}

/* Event names, property names, keys and texts, nested ones too: 255 bytes stay, the 256th goes, and never half a
 * character. */
static void test_texts_are_cut(void **state)
{
    (void)state;
    struct str a = repeated('a', 254);
    static const struct {
        const char *tail;
        size_t kept;
    } rows[] = {{"b", 255}, {"bc", 255}, {"b\xC3\xA9", 255}, {"\xC3\xA9", 254}, {"\xF0\x9F\x98\x80", 254}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf text = BUF_INIT(4096), kept = BUF_INIT(4096), json = BUF_INIT(1 << 16), wanted = BUF_INIT(1 << 16);
        buf_str_add(&text, a);
        buf_str_add(&text, str_of(rows[i].tail));
        buf_str_add(&kept, str_slice(buf_str(&text), 0, rows[i].kept));
        buf_byte(&text, 0);
        buf_byte(&kept, 0);
        const char *t = text.data, *k = kept.data;
        buf_printf(&json, "{\"event\":\"%s\",\"properties\":{\"token\":\"t\",\"distinct_id\":\"%s\",\"%s\":1,", t, t,
                   t);
        buf_printf(&json, "\"s\":\"%s\",\"l\":[\"%s\"],\"o\":{\"%s\":{\"x\":\"%s\"}}}}", t, t, t, t);
        buf_printf(&wanted, "{\"event\":\"%s\",\"ms\":0,\"id\":\"%s\",\"link\":null,\"insert\":null,", k, k);
        buf_printf(&wanted, "\"properties\":{\"%s\":1,\"s\":\"%s\",\"l\":[\"%s\"],\"o\":{\"%s\":{\"x\":\"%s\"}}}}", k,
                   k, k, k, k);
        buf_byte(&json, 0);
        buf_byte(&wanted, 0);
        stores(json.data, wanted.data);
        buf_fini(&text);
        buf_fini(&kept);
        buf_fini(&json);
        buf_fini(&wanted);
    }
    /* Two names that become one by being cut are one property: the later. */
    struct str long_name = repeated('n', 255);
    struct str json =
        arena_printf(arena, "{\"event\":\"E\",\"properties\":{\"token\":\"t\",\"" STR_FMT "1\":1,\"" STR_FMT "2\":2}}",
                     STR_ARG(long_name), STR_ARG(long_name));
    struct str wanted = arena_printf(
        arena,
        "{\"event\":\"E\",\"ms\":0,\"id\":null,\"link\":null,\"insert\":null,\"properties\":{\"" STR_FMT "\":2}}",
        STR_ARG(long_name));
    stores(json.data, wanted.data);
}

/* {"event":"E","properties":{"token":"t","time":1699999999,"distinct_id":"u",…}} around `count` copies of an item;
 * '#' in it becomes its number. */
static void many(struct buf *json, const char *before, const char *item, const char *separator, size_t count,
                 const char *after)
{
    buf_reset(json);
    buf_lit(json,
            "{\"event\":\"E\",\"properties\":{\"token\":\"t\",\"distinct_id\":\"u\",\"$insert_id\":\"i\",\"ip\":1");
    buf_str_add(json, str_of(before));
    for (size_t i = 0; i < count; i++) {
        if (i) buf_str_add(json, str_of(separator));
        for (const char *at = item; *at; at++) {
            if (*at == '#')
                buf_printf(json, "%zu", i);
            else
                buf_byte(json, *at);
        }
    }
    buf_str_add(json, str_of(after));
    buf_lit(json, "}}");
    buf_byte(json, 0);
}

/* 255 properties and not 256, the core ones not counted; below 255 elements and keys; three levels; 8 KiB of list. */
static void test_shape_limits(void **state)
{
    (void)state;
    struct buf json = BUF_INIT((size_t)1 << 20);
    many(&json, ",", "\"p#\":1", ",", 255, "");
    assert_int_equal(run(str_of(json.data)), STATUS_OK);
    assert_int_equal(outcome.stored, 1);
    struct json list = stored_in(&outcome.outputs[0]);
    assert_int_equal(json_member(json_at(&list, 0), "properties")->object.count, 255);
    many(&json, ",", "\"p#\":1", ",", 256, "");
    refuses(json.data, "'properties' is invalid: must not have more than 255 properties");

    many(&json, ",\"l\":[", "#", ",", 254, "]");
    assert_int_equal(run(str_of(json.data)), STATUS_OK);
    assert_int_equal(outcome.stored, 1);
    many(&json, ",\"l\":[", "#", ",", 255, "]");
    refuses(json.data, "'properties.l' is invalid: list has too many elements");
    many(&json, ",\"o\":{\"i\":[", "#", ",", 255, "]}");
    refuses(json.data, "'properties.o' is invalid: list has too many elements");

    many(&json, ",\"o\":{", "\"k#\":1", ",", 254, "}");
    assert_int_equal(run(str_of(json.data)), STATUS_OK);
    assert_int_equal(outcome.stored, 1);
    many(&json, ",\"o\":{", "\"k#\":1", ",", 255, "}");
    refuses(json.data, "'properties.o' is invalid: object has too many keys");

    many(&json, ",\"d\":", "[{\"a\":[1]}]", "", 1, "");
    assert_int_equal(run(str_of(json.data)), STATUS_OK);
    assert_int_equal(outcome.stored, 1);
    many(&json, ",\"d\":", "[{\"a\":[{}]}]", "", 1, "");
    refuses(json.data, "'properties.d' is invalid: nested too deeply");
    many(&json, ",\"d\":", "[[[[]]]]", "", 1, "");
    refuses(json.data, "'properties.d' is invalid: nested too deeply");
    limits.depth_max = 32; /* more than a stored value can have */
    many(&json, ",\"d\":", "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "", 1, "");
    refuses(json.data, "'properties.d' is invalid: nested too deeply");
    limits.depth_max = 3;

    /* As stored: 2 for the size of the name and its number, 4 of list head, 10 an item. */
    many(&json, ",\"l\":[", "\"12345678901234567890123456789012345678\"", ",", 200, "]");
    assert_int_equal(run(str_of(json.data)), STATUS_OK);
    assert_int_equal(outcome.stored, 1);
    many(&json, ",\"l\":[", "\"12345678901234567890123456789012345678901\"", ",", 200, "]");
    refuses(json.data, "'properties.l' is invalid: list is too long");
    many(&json, ",\"n\":1", "7", "", 300, "");
    refuses(json.data, "'properties.n' is invalid: number has too many digits");
    buf_fini(&json);
}

/* An event of 1 MiB is taken and one byte more is not, alone and in a list that is larger as a whole. */
static void test_event_size(void **state)
{
    (void)state;
    static const char head[] = "{\"event\":\"E\",\"properties\":{\"token\":\"t\",\"s\":\"", tail[] = "\"}}";
    struct str a = repeated('a', ((size_t)1 << 20) - (sizeof head - 1) - (sizeof tail - 1));
    for (size_t extra = 0; extra < 2; extra++) {
        struct buf json = BUF_INIT((size_t)4 << 20);
        buf_lit(&json, "[");
        buf_lit(&json, head);
        buf_str_add(&json, a);
        buf_fill(&json, 'b', extra);
        buf_lit(&json, tail);
        buf_lit(&json, ",{\"event\":\"E\",\"properties\":{\"token\":\"t\"}}]");
        assert_int_equal(run(buf_str(&json)), STATUS_OK);
        assert_int_equal(outcome.stored, 2 - extra);
        assert_int_equal(outcome.refused, extra);
        if (extra) assert_true(str_is(outcome.reason, "event exceeds max limit of 1048576 bytes"));
        buf_fini(&json);
    }
}

/* 2000 events are taken, 2001 are an error and nothing is stored. */
static void test_batch_size(void **state)
{
    (void)state;
    struct buf json = BUF_INIT((size_t)1 << 20);
    for (size_t count = 2000; count <= 2001; count++) {
        buf_reset(&json);
        for (size_t i = 0; i < count; i++)
            buf_printf(&json, "%c{\"event\":\"E%zu\",\"properties\":{\"token\":\"t\"}}", i ? ',' : '[', i % 7);
        buf_lit(&json, "]");
        if (count == 2000) {
            assert_int_equal(run(buf_str(&json)), STATUS_OK);
            assert_int_equal(outcome.stored, 2000);
            assert_int_equal(outcome.outputs[0].events, 2000);
            struct json list = stored_in(&outcome.outputs[0]);
            assert_true(str_is(json_member(json_at(&list, 1999), "event")->string, "E4"));
        } else {
            assert_int_equal(run(buf_str(&json)), STATUS_LIMIT);
            assert_string_equal(error.primary, "request exceeds max limit of 2000 events");
            assert_int_equal(outcome.output_count, 0);
        }
    }
    buf_fini(&json);
}

/* Good ones of a mixed batch are stored, each in its project's record; the reason is that of the first bad one. */
static void test_mixed_batch(void **state)
{
    (void)state;
    assert_int_equal(run(STR("[{\"event\":\"a\",\"properties\":{\"token\":\"t2\"}},"
                             "{\"event\":\"b\",\"properties\":{\"token\":\"t\",\"time\":\"x\"}},"
                             "{\"event\":\"\",\"properties\":{\"token\":\"t\"}},"
                             "{\"event\":\"c\",\"properties\":{\"token\":\"t\"}},"
                             "{\"event\":\"d\",\"properties\":{\"token\":\"nobody\"}},"
                             "{\"event\":\"e\",\"properties\":{\"token\":\"t2\",\"$ignore\":1}},"
                             "{\"event\":\"f\",\"properties\":{\"token\":\"t2\"}}]")),
                     STATUS_OK);
    assert_int_equal(outcome.stored, 3);
    assert_int_equal(outcome.refused, 2);
    assert_int_equal(outcome.unknown, 1);
    assert_int_equal(outcome.ignored, 1);
    assert_int_equal(outcome.reason_index, 1);
    assert_true(str_is(outcome.reason, "'properties.time' is invalid: must be specified as seconds since epoch"));
    assert_int_equal(outcome.output_count, 2);
    assert_int_equal(outcome.outputs[0].project, 2);
    assert_int_equal(outcome.outputs[1].project, 1);
    struct json list = stored_in(&outcome.outputs[0]);
    assert_int_equal(list.array.count, 2);
    assert_true(str_is(json_member(json_at(&list, 1), "event")->string, "f"));
    list = stored_in(&outcome.outputs[1]);
    assert_int_equal(list.array.count, 1);
    assert_true(str_is(json_member(json_at(&list, 0), "event")->string, "c"));
}

/* A refused event leaves nothing of itself behind, also when it is found out late. */
static void test_refused_late(void **state)
{
    (void)state;
    struct buf json = BUF_INIT((size_t)1 << 20);
    buf_lit(&json, "[{\"event\":\"a\",\"properties\":{\"token\":\"t\",\"p\":1,\"l\":[");
    for (size_t i = 0; i < 250; i++) buf_printf(&json, "%s\"12345678901234567890123456789012345678\"", i ? "," : "");
    buf_lit(&json, "]}},{\"event\":\"b\",\"properties\":{\"token\":\"t\",\"p\":2}}]");
    assert_int_equal(run(buf_str(&json)), STATUS_OK);
    assert_int_equal(outcome.refused, 1);
    struct json list = stored_in(&outcome.outputs[0]);
    check_json(&list, "[{\"event\":\"b\",\"ms\":0,\"id\":null,\"link\":null,\"insert\":null,\"properties\":{\"p\":2}}]",
               "after a refused event");
    buf_fini(&json);
}

/* Unknown tokens are success, or unauthorized where the operator says so; known ones are stored in both cases. */
static void test_unknown_tokens(void **state)
{
    (void)state;
    struct str json = STR("[{\"event\":\"a\",\"properties\":{\"token\":\"nobody\"}},"
                          "{\"event\":\"b\",\"properties\":{\"token\":\"t\"}}]");
    for (int reject = 0; reject < 2; reject++) {
        limits.reject_unknown_tokens = reject;
        assert_int_equal(run(json), STATUS_OK);
        assert_int_equal(outcome.unknown, 1);
        assert_int_equal(outcome.stored, 1);
        assert_null(outcome.reason.data);
        assert_int_equal(outcome.unauthorized, reject);
    }
}

/* JSON lines: blanks and a missing last line end do not matter, up to events_max are taken at a time, whatever is not
 * of the common form is judged alone, and a line that is no JSON is an error. */
static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        size_t stored, refused;
    } cases[] = {
        {"{\"event\":\"a\",\"properties\":{\"n\":1}}\n{\"event\":\"b\",\"properties\":{\"l\":[\"\\n\"]}} \r\n"
         "{\"event\":\"c\"}",
         2, 0},
        {"{\"event\":\"a\",\"properties\":{\"n\":1}}\n{\"event\":\"\",\"properties\":{}}\n", 1, 1},
        {"{\"event\":\"c\"} \n", 1, 0},
        {"7\n{\"event\":\"c\"}\n", 1, 1},
    };
    static const char *const malformed[] = {
        "{\"event\":\"a\"\n}\n{\"event\":\"b\"}{\"event\":\"c\"}\n",
        "\n{\"event\":\"a\"}\n",
        "{\"event\":\"a\",\"properties\":{\"n\":\"\xC3\"}}\n",
        "{\"event\":\"a\"},\n{\"event\":\"a\"}",
    };
    struct ingest_request request = {.token = STR("t"), .received_ms = NOW, .project_of = project_of};
    limits.events_max = 2;
    for (size_t i = 0; i < sizeof cases / sizeof *cases + sizeof malformed / sizeof *malformed; i++) {
        bool good = i < sizeof cases / sizeof *cases;
        char text[256] = {0};
        strcpy(text, good ? cases[i].lines : malformed[i - sizeof cases / sizeof *cases]);
        size_t read;
        ingest_outcome_fini(&outcome);
        enum status status = ingest_lines(arena, &limits, str_of(text), &request, &error, &outcome, &read);
        if (status != (good ? STATUS_OK : STATUS_INVALID)) fail_msg("%s: %s", text, status_name(status));
        if (!good) continue;
        if (outcome.stored != cases[i].stored || outcome.refused != cases[i].refused) fail_msg("%s", text);
        assert_int_equal(read, i == 0 ? (size_t)(strrchr(text, '\n') + 1 - text) : strlen(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields_and_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repeated_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_required, setup, teardown),
        cmocka_unit_test_setup_teardown(test_token_of_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_insert_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ignore, setup, teardown),
        cmocka_unit_test_setup_teardown(test_texts_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shape_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_event_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mixed_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
