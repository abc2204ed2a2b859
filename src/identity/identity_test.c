/*
 * Which id an event is stored under and which links are made: the table of the simplified mode row by row, then whole
 * sequences of events applied to a real graph of ids, as the store's log does it.
 */
#include "identity/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct arena *arena;
static struct id_graph *graph;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)1 << 20);
    graph = id_graph_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    id_graph_free(graph);
    return 0;
}

static struct str text_of(const char *text)
{
    struct json value = text ? json_string(str_of(text)) : json_null();
    struct str result;
    assert_int_equal(identity_text(arena, &value, &result), STATUS_OK);
    return result;
}

static struct identity_ids resolve(enum identity_mode mode, const char *event, const char *device, const char *user,
                                   const char *distinct)
{
    struct identity_claim claim = {.event_name = str_of(event),
                                   .device_id = text_of(device),
                                   .user_id = text_of(user),
                                   .distinct_id = text_of(distinct)};
    struct identity_ids ids;
    assert_int_equal(identity_resolve(arena, mode, &claim, &ids), STATUS_OK);
    return ids;
}

static void is_text(struct str seen, const char *wanted, const char *what)
{
    if (wanted ? !seen.data || !str_eq(seen, str_of(wanted)) : seen.data != NULL)
        fail_msg("%s: \"" STR_FMT "\" instead of \"%s\"", what, STR_ARG(seen), wanted ? wanted : "nothing");
}

/* Each row of the table: what the event names, what it is stored under, what it links. */
static void test_simplified_table(void **state)
{
    (void)state;
    static const struct {
        const char *device, *user, *distinct, *id, *link;
    } rows[] = {
        {NULL, "U1", NULL, "U1", NULL},
        {"D1", NULL, NULL, "$device:D1", NULL},
        {"D1", "U1", NULL, "U1", "$device:D1"},
        {NULL, NULL, "$device:X", "$device:X", NULL},
        {NULL, NULL, "$device:$device:X", "$device:$device:X", NULL}, /* the $device_id is "$device:X" */
        {NULL, NULL, "U9", "U9", NULL},
        {NULL, NULL, NULL, NULL, NULL},
        {NULL, NULL, "", NULL, NULL},
        {NULL, NULL, "undefined", NULL, NULL},
        {NULL, NULL, "$device:", NULL, NULL},
        {NULL, NULL, "$device:null", NULL, NULL},
        /* the "$" ids win over a distinct_id that says something else */
        {"D1", "U1", "U2", "U1", "$device:D1"},
        {"D1", NULL, "U2", "$device:D1", NULL},
        {NULL, "U1", "$device:D2", "U1", NULL},
        {NULL, "U1", "U2", "U1", NULL},
        /* denied values are as if absent */
        {"null", "U1", NULL, "U1", NULL},
        {"D1", "Anonymous", NULL, "$device:D1", NULL},
        {"None", "nil", "U3", "U3", NULL},
        /* one prefix is put before a $device_id whatever it looks like */
        {"$device:D1", NULL, NULL, "$device:$device:D1", NULL},
        {"$device:D1", "U1", NULL, "U1", "$device:$device:D1"},
        /* a user is never a device */
        {NULL, "$device:D3", NULL, "$device:D3", NULL},
        {"D1", "$device:D3", NULL, "$device:D1", NULL},
        {NULL, "$device:", "U5", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char what[32];
        snprintf(what, sizeof what, "row %zu", i);
        struct identity_ids ids = resolve(IDENTITY_SIMPLIFIED, "E", rows[i].device, rows[i].user, rows[i].distinct);
        is_text(ids.id, rows[i].id, what);
        is_text(ids.device, rows[i].link, what);
    }
}

/* $identify and its like never link in simplified mode, any other name does. */
static void test_verbs_do_not_link(void **state)
{
    (void)state;
    static const char *const verbs[] = {"$identify", "$create_alias", "$merge"};
    for (size_t i = 0; i < 3; i++) {
        struct identity_ids ids = resolve(IDENTITY_SIMPLIFIED, verbs[i], "D1", "U1", "U1");
        is_text(ids.id, "U1", verbs[i]);
        is_text(ids.device, NULL, verbs[i]);
    }
    is_text(resolve(IDENTITY_SIMPLIFIED, "$identify2", "D1", "U1", NULL).device, "$device:D1", "other name");
    is_text(resolve(IDENTITY_SIMPLIFIED, "$Merge", "D1", "U1", NULL).device, "$device:D1", "other case");
}

/* The other modes store the distinct_id as sent and link nothing. */
static void test_other_modes_store_as_sent(void **state)
{
    (void)state;
    static const enum identity_mode modes[] = {IDENTITY_ORIGINAL, IDENTITY_LEGACY};
    for (size_t i = 0; i < 2; i++) {
        struct identity_ids ids = resolve(modes[i], "E", "D1", "U1", "$device:$device:x");
        is_text(ids.id, "$device:$device:x", "as sent");
        is_text(ids.device, NULL, "no link");
        is_text(resolve(modes[i], "E", "D1", "U1", NULL).id, NULL, "no distinct_id, no user");
        is_text(resolve(modes[i], "E", NULL, NULL, "unknown").id, NULL, "denied");
    }
}

/* Every denied value in two spellings, and neighbours that are fine. */
static void test_denied_values(void **state)
{
    (void)state;
    static const char *const denied[] = {
        "00000000-0000-0000-0000-000000000000",
        "anon",
        "anonymous",
        "nil",
        "none",
        "null",
        "n/a",
        "na",
        "undefined",
        "unknown",
        "<nil>",
        "0",
        "-1",
        "true",
        "false",
        "[]",
        "{}",
        "ANON",
        "Undefined",
        "N/A",
        "TRUE",
        "<NIL>",
    };
    for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++) {
        if (!identity_denied(str_of(denied[i]))) fail_msg("%s is not denied", denied[i]);
    }
    static const char *const fine[] = {"1",     "00",  "-2", "anon1",
                                       "nulls", "[1]", "t",  "00000000-0000-0000-0000-000000000001"};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        if (identity_denied(str_of(fine[i]))) fail_msg("%s is denied", fine[i]);
    }
}

/* Numbers are ids by their decimal text; other types are none; long texts are cut at a character. */
static void test_id_texts(void **state)
{
    (void)state;
    struct str text;
    struct json value = json_int(42);
    assert_int_equal(identity_text(arena, &value, &text), STATUS_OK);
    is_text(text, "42", "int");
    value = json_int(0);
    assert_int_equal(identity_text(arena, &value, &text), STATUS_OK);
    is_text(text, NULL, "0 is denied");
    value = json_number(1.5);
    assert_int_equal(identity_text(arena, &value, &text), STATUS_OK);
    is_text(text, "1.5", "double");
    value = (struct json){.type = JSON_BIGNUM, .string = STR("123456789012345678901")};
    assert_int_equal(identity_text(arena, &value, &text), STATUS_OK);
    is_text(text, "123456789012345678901", "bignum keeps its digits");
    value = json_bool(true);
    assert_int_equal(identity_text(arena, &value, &text), STATUS_OK);
    is_text(text, NULL, "true");
    value = JSON_OBJECT_EMPTY;
    assert_int_equal(identity_text(arena, &value, &text), STATUS_OK);
    is_text(text, NULL, "object");
    assert_int_equal(identity_text(arena, NULL, &text), STATUS_OK);
    is_text(text, NULL, "absent");

    char id[300];
    memset(id, 'a', sizeof id);
    value = json_string(str_from(id, 255));
    assert_int_equal(identity_text(arena, &value, &text), STATUS_OK);
    assert_int_equal(text.size, 255);
    value = json_string(str_from(id, 256));
    assert_int_equal(identity_text(arena, &value, &text), STATUS_OK);
    assert_int_equal(text.size, 255);
    memcpy(id + 254, "\xC3\xA9", 2); /* a character across the border goes as a whole */
    value = json_string(str_from(id, 256));
    assert_int_equal(identity_text(arena, &value, &text), STATUS_OK);
    assert_int_equal(text.size, 254);
}

/* A long device id is the same text whether it came with the prefix or without. */
static void test_long_device_ids_agree(void **state)
{
    (void)state;
    char bare[256], prefixed[256];
    memset(bare, 'b', 255);
    bare[255] = 0;
    memcpy(prefixed, IDENTITY_DEVICE_PREFIX, 8);
    memset(prefixed + 8, 'b', 247);
    prefixed[255] = 0;
    is_text(resolve(IDENTITY_SIMPLIFIED, "E", bare, NULL, NULL).id, prefixed, "without prefix");
    is_text(resolve(IDENTITY_SIMPLIFIED, "E", NULL, NULL, prefixed).id, prefixed, "with prefix");
}

static unsigned link_ids(enum identity_mode mode, enum link_operation operation, uint32_t device, uint32_t user)
{
    struct link_request request = {.mode = mode,
                                   .operation = operation,
                                   .asked = true,
                                   .device = device,
                                   .user = user,
                                   .cluster_max = 5,
                                   .received_ms = INT64_C(1700000000000)};
    return identity_link(graph, &request);
}

/* What the store does with an event: intern, link, and who it counts for. */
static unsigned apply(const char *device, const char *user, uint32_t *ret_id)
{
    struct identity_ids ids = resolve(IDENTITY_SIMPLIFIED, "E", device, user, NULL);
    uint32_t id = 0, link = 0;
    if (ids.id.data) assert_int_equal(id_graph_intern(graph, ids.id, &id), STATUS_OK);
    if (ids.device.data) assert_int_equal(id_graph_intern(graph, ids.device, &link), STATUS_OK);
    unsigned reason = 0;
    if (link) reason = link_ids(IDENTITY_SIMPLIFIED, LINK_CREATE, link, id);
    id_graph_add_rows(graph, id, 1);
    *ret_id = id;
    return reason;
}

static struct str shown(uint32_t id)
{
    static char room[ID_TEXT_ROOM];
    return id_graph_text(graph, id_graph_shown(graph, id_graph_person(graph, id)), room);
}

/* The eight events of the reference: what each is stored under, why a link fails, who each is reported as at the
 * end, and that there are two persons. */
static void test_eight_events(void **state)
{
    (void)state;
    static const struct {
        const char *device, *user, *stored, *reported;
        unsigned reason;
    } events[] = {
        {"D1", NULL, "$device:D1", "U1", 0}, {"D1", "U1", "U1", "U1", 0},
        {"D1", NULL, "$device:D1", "U1", 0}, {"D2", NULL, "$device:D2", "U1", 0},
        {"D2", "U1", "U1", "U1", 0},         {"D1", "U2", "U2", "U2", IDENTITY_REASON_ASSIGNED},
        {"D1", NULL, "$device:D1", "U1", 0}, {NULL, "U2", "U2", "U2", 0},
    };
    uint32_t ids[8];
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(apply(events[i].device, events[i].user, &ids[i]), events[i].reason);
        is_text(id_graph_text(graph, ids[i], (char[ID_TEXT_ROOM]){0}), events[i].stored, "stored");
    }
    uint32_t persons[8];
    size_t count = 0;
    for (size_t i = 0; i < 8; i++) {
        is_text(shown(ids[i]), events[i].reported, "reported");
        size_t known = 0;
        while (known < count && persons[known] != id_graph_person(graph, ids[i])) known++;
        if (known == count) persons[count++] = id_graph_person(graph, ids[i]);
    }
    assert_int_equal(count, 2);
    assert_string_equal(identity_reason_name(IDENTITY_REASON_ASSIGNED), "errAnonDistinctIdAssignedAlready");
}

static uint32_t intern(const char *text)
{
    uint32_t id;
    assert_int_equal(id_graph_intern(graph, str_of(text), &id), STATUS_OK);
    return id;
}

/* Linking again changes nothing; the first user keeps the device whatever is tried, by whichever operation. */
static void test_first_write_wins(void **state)
{
    (void)state;
    uint32_t device = intern("$device:D"), first = intern("U1"), second = intern("U2");
    assert_int_equal(link_ids(IDENTITY_SIMPLIFIED, LINK_CREATE, device, first), 0);
    assert_int_equal(link_ids(IDENTITY_SIMPLIFIED, LINK_CREATE, device, first), 0);
    static const enum link_operation operations[] = {LINK_CREATE, LINK_ALIAS, LINK_MERGE};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(link_ids(IDENTITY_SIMPLIFIED, operations[i], device, second), IDENTITY_REASON_ASSIGNED);
    is_text(shown(device), "U1", "the device");
    is_text(shown(second), "U2", "the other user");
    assert_int_equal(id_graph_members(graph, id_graph_person(graph, device)), 2);
}

/* Alias and merge take device and user in either order; two users and two devices stay apart. */
static void test_alias_and_merge(void **state)
{
    (void)state;
    uint32_t d1 = intern("$device:D1"), d2 = intern("$device:D2"), d3 = intern("$device:D3");
    uint32_t u1 = intern("U1"), u2 = intern("U2");
    assert_int_equal(link_ids(IDENTITY_SIMPLIFIED, LINK_MERGE, u1, d1), 0);
    assert_int_equal(link_ids(IDENTITY_SIMPLIFIED, LINK_ALIAS, d2, u1), 0);
    is_text(shown(d1), "U1", "user first");
    is_text(shown(d2), "U1", "device first");
    assert_int_equal(link_ids(IDENTITY_SIMPLIFIED, LINK_MERGE, u1, u2), 0);
    assert_int_equal(link_ids(IDENTITY_SIMPLIFIED, LINK_ALIAS, d3, d1), 0);
    assert_int_equal(link_ids(IDENTITY_SIMPLIFIED, LINK_CREATE, u2, d3), 0);
    assert_int_equal(link_ids(IDENTITY_SIMPLIFIED, LINK_CREATE, d3, 0), 0);
    is_text(shown(u2), "U2", "users are not merged");
    is_text(shown(d3), "$device:D3", "a free device");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_simplified_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verbs_do_not_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_modes_store_as_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_denied_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_id_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_device_ids_agree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eight_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_write_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alias_and_merge, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
