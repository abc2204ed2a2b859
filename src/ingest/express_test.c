/* Events that go the short way are stored as those that go the long one, at every CPU level that the machine has. */
#include "ingest/express.h"

#include "ingest/ingest_testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW INT64_C(1700000000000)

static const struct express_table *const tables[] = {
    CPU_AT(express_table, CPU_PLAIN),
#ifdef __x86_64__
    CPU_AT(express_table, CPU_V3),
    CPU_AT(express_table, CPU_V4),
#endif
};

/* One batch for each way. */
struct ways {
    struct arena *arena;
    struct ingest_limits limits;
    struct event_encoder encoder;
    struct express *express;
    struct batch short_batch, long_batch;
    size_t stored, uncommon;
};

static const struct enrichment enrichment = {
    .place = {{{"$city", 5}, {.type = JSON_STRING, .string = {"Lyon", 4}}},
              {{"mp_country_code", 15}, {.type = JSON_STRING, .string = {"FR", 2}}}},
    .agent = {{{"$browser", 8}, {.type = JSON_STRING, .string = {"Chrome", 6}}},
              {{"$browser_version", 16}, {.type = JSON_DOUBLE, .number = 120.5}},
              {{"$is_bot", 7}, {.type = JSON_BOOL, .boolean = true}}},
    .place_count = 2,
    .agent_count = 3,
};

static void ways_begin(struct ways *ways, const struct express_table *table, size_t text_size)
{
    event_encoder_init(&ways->encoder, ways->arena, &ways->limits, NOW, text_size);
    static unsigned turn; /* every other time the server has something to add */
    if (turn++ % 2) ways->encoder.enrichment = &enrichment;
    ways->express = express_new(&ways->encoder, STR("t"));
    assert_non_null(ways->express);
    ways->express->table = table;
    batch_init(&ways->short_batch, (size_t)16 << 20);
    batch_init(&ways->long_batch, (size_t)16 << 20);
    batch_begin(&ways->short_batch, 1, NOW, IDENTITY_SIMPLIFIED, 0);
    batch_begin(&ways->long_batch, 1, NOW, IDENTITY_SIMPLIFIED, 0);
    express_begin(ways->express, &ways->short_batch, IDENTITY_SIMPLIFIED, STR("t"));
}

static void ways_end(struct ways *ways)
{
    struct buf a, b;
    assert_int_equal(batch_count(&ways->short_batch), batch_count(&ways->long_batch));
    if (batch_count(&ways->short_batch)) {
        assert_int_equal(batch_finish(&ways->short_batch, &a), STATUS_OK);
        assert_int_equal(batch_finish(&ways->long_batch, &b), STATUS_OK);
        assert_true(ingest_same_record(ways->arena, &a, &b));
        buf_fini(&a);
        buf_fini(&b);
    }
    batch_fini(&ways->short_batch);
    batch_fini(&ways->long_batch);
}

static enum status the_long_way(struct ways *ways, struct str text, struct batch *batch)
{
    struct json event;
    struct str token;
    struct error error = ERROR_INIT;
    TRY(json_parse(ways->arena, text, NULL, &error, &event));
    TRY(event_token(&event, STR("t"), &error, &token));
    if (!str_is(token, "t")) return STATUS_DENIED;
    return event_encode(&ways->encoder, &event, IDENTITY_SIMPLIFIED, batch, &error);
}

/* Takes the event at the begin of a text that is UTF-8; what goes the short way must go the long one, too. */
static void take(struct ways *ways, struct str text)
{
    char *copy = malloc(text.size + EXPRESS_PADDING); /* so that a sanitizer sees a step too far */
    assert_non_null(copy);
    memcpy(copy, text.data, text.size);
    memset(copy + text.size, 0, EXPRESS_PADDING);
    const char *end;
    struct str token;
    enum express_result result = express_event(ways->express, copy, &end, &token);
    if (result == EXPRESS_STORED) {
        enum status status = the_long_way(ways, str_from(copy, (size_t)(end - copy)), &ways->long_batch);
        if (status != STATUS_OK) fail_msg("%s: %.*s", status_name(status), (int)text.size, copy);
        ways->stored++;
    } else {
        enum status status = the_long_way(ways, text, &ways->long_batch);
        assert_int_equal(the_long_way(ways, text, &ways->short_batch), status);
        if (result == EXPRESS_TOKEN && status != STATUS_DENIED && status != STATUS_INVALID &&
            status != STATUS_NOT_FOUND)
            fail_msg("%s: %.*s", status_name(status), (int)text.size, copy);
        ways->uncommon++;
    }
    free(copy);
}

static const char *const seeds[] = {
    "{\"event\":\"Page View\",\"properties\":{\"time\":1699999990,\"distinct_id\":\"$device:502a\",\"$insert_id\":"
    "\"lhe6ouu8rfebt5dl\",\"$browser\":\"Chrome\",\"$city\":\"S\xC3\xA3o Paulo 177\",\"is_trial\":false,\"n\":-12.50,"
    "\"screen_w\":1920},\"user\":49028}",
    "{ \"properties\" : { \"token\" : \"t\" , \"$device_id\" : \"ceadf862-9d09-4f92-886e-02d65678186a\" ,\r\n"
    "\"$user_id\" : 7, \"time\": 1699999999.25, \"a\": null, \"a longer name than a register of 32\": \"and a text "
    "that "
    "is longer than sixty-four bytes, so that it is copied in more than one step\", \"b\": true}, \"event\": \"Log "
    "In\" }",
    "{\"event\":\"Sign "
    "Up\",\"properties\":{\"distinct_id\":\"u1\",\"ip\":\"1.2.3.4\",\"$browser\":\"Firefox\",\"l\":[1,"
    "\"\\u0041\"],\"o\":{\"x\":{}},\"e\":1e3,\"big\":123456789012345678901,\"$browser\":\"Safari\"}}",
    "{\"event\":\"x\",\"properties\":{\"$ignore\":true,\"token\":\"other\",\"time\":5}}",
    "{\"event\":\"Page View\",\"properties\":{}}",
};

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* A seed, with some bytes and pieces changed. */
static size_t make(uint64_t *random, char *text, size_t size_max)
{
    static const char *const pieces[] = {"\"",
                                         "\\",
                                         ",",
                                         ":",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         " ",
                                         "null",
                                         "true",
                                         "-0",
                                         "1.50",
                                         "0",
                                         "\\n",
                                         "\"event\":",
                                         "\"a\":1,",
                                         "\xC3",
                                         "\xE2\x82\xAC",
                                         "\x1F",
                                         "\"token\":\"t2\",",
                                         "\"time\":\"9\"",
                                         "\"x\":\"y\",",
                                         "$device:"};
    struct str seed = str_of(seeds[next(random) % (sizeof seeds / sizeof *seeds)]);
    size_t size = seed.size;
    memcpy(text, seed.data, size);
    for (size_t changes = next(random) % 4; changes > 0; changes--) {
        struct str piece = str_of(pieces[next(random) % (sizeof pieces / sizeof *pieces)]);
        size_t at = 1 + next(random) % (size - 1), drop = next(random) % 3;
        if (drop > size - at) drop = size - at;
        if (size - drop + piece.size > size_max) break;
        memmove(text + at + piece.size, text + at + drop, size - at - drop);
        memcpy(text + at, piece.data, piece.size);
        size += piece.size - drop;
    }
    return size;
}

static void test_both_ways_agree(void **state)
{
    (void)state;
    uint64_t random = 11;
    struct ways ways = {.arena = arena_new((size_t)64 << 20)};
    for (size_t round = 0; round < 600; round++) {
        ways.limits = INGEST_LIMITS_DEFAULT;
        if (round % 5 == 0) ways.limits.string_bytes_max = 12;
        if (round % 7 == 0) ways.limits.properties_max = 5;
        if (round % 3 == 0) ways.limits.event_bytes_max = 300;
        size_t level = round % (sizeof tables / sizeof *tables);
        if (level > cpu_level()) continue;
        ways_begin(&ways, tables[level], round % 3 ? 100 : 1000);
        for (size_t i = 0; i < 100; i++) {
            char text[2048];
            size_t size = make(&random, text, sizeof text);
            if (json_is_utf8(str_from(text, size))) take(&ways, str_from(text, size));
        }
        ways_end(&ways);
        arena_reset(ways.arena);
    }
    assert_true(ways.stored > 5000 && ways.uncommon > 5000);
    arena_free(ways.arena);
}

/* Names and texts of every size around a register's, and more names than are known at once. */
static void test_sizes(void **state)
{
    (void)state;
    struct ways ways = {.arena = arena_new((size_t)64 << 20), .limits = INGEST_LIMITS_DEFAULT};
    for (size_t level = 0; level < sizeof tables / sizeof *tables && level <= cpu_level(); level++) {
        ways_begin(&ways, tables[level], 1000);
        char filler[301];
        memset(filler, 'f', sizeof filler);
        for (int size = 0; size <= 300; size++) {
            char text[2048];
            int length = snprintf(
                text, sizeof text,
                "{\"event\":\"E%.*s\",\"properties\":{\"k%.*s\":\"%.*s\",\"n%d\":%d,\"distinct_id\":\"%.*s\"}}", size,
                filler, size, filler, size, filler, size, size, size, filler);
            assert_true(length < (int)sizeof text);
            take(&ways, str_from(text, (size_t)length));
        }
        ways_end(&ways);
        assert_true(ways.stored > 50 * (level + 1));
        arena_reset(ways.arena);
    }
    arena_free(ways.arena);
}

/* Where an object ends, whatever its texts hold. */
static void test_object_end(void **state)
{
    (void)state;
    static const char *const objects[] = {"{}", "{\"a\":[{},[]]}", "{\"}\\\"]\\\\\":\"{\"}"};
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s}]", objects[i]);
        assert_ptr_equal(express_object_end(text), text + strlen(objects[i]));
    }
    assert_null(express_object_end("{\"a\":{}"));
    assert_null(express_object_end("{\"a\\\""));
    assert_null(express_object_end("{\"a\\"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways_agree),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_object_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
