/* Records come back as they were packed; cancelled events leave no trace; limits are kept; damaged records are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "store/batch.h"

#include <stdio.h>

#define T0 1700000000000LL

static struct buf pack(uint32_t events)
{
    struct batch batch;
    struct buf record;
    batch_init(&batch, 1 << 20);
    batch_begin(&batch, 42, T0, IDENTITY_ORIGINAL, BATCH_IMPORT);
    for (uint32_t i = 0; i < events; i++) {
        char id[16], name[16];
        snprintf(id, sizeof id, "id%u", i);
        snprintf(name, sizeof name, "p%u", i % 200);
        struct json n = json_int(i), s = json_string(str_of(id));
        batch_event(&batch, i % 2 ? STR("odd") : STR("even"), T0 - (int64_t)i * 1000, i % 5 ? str_of(id) : STR_NULL,
                    i % 10 == 1 ? STR("dev") : STR_NULL,
                    i % 3   ? STR_NULL
                    : i % 2 ? STR("")
                            : STR("ins"));
        assert_int_equal(batch_property(&batch, STR("n"), &n), STATUS_OK);
        for (uint32_t p = 0; p < i % 150; p++) assert_int_equal(batch_property(&batch, str_of(name), &s), STATUS_OK);
        if (i % 4 == 3)
            batch_event_cancel(&batch);
        else
            batch_event_end(&batch);
    }
    assert_int_equal(batch_count(&batch), events - events / 4);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    batch_fini(&batch);
    return record;
}

static void what_was_packed_comes_back(void **state)
{
    (void)state;
    struct buf bytes = pack(400);
    struct reader reader = reader_of(buf_str(&bytes));
    struct record record;
    struct batch_reader batch;
    struct event_view event;
    struct arena *arena = arena_new(1 << 20);
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    assert_int_equal(reader_left(&reader), 0);
    assert_int_equal(record.kind, RECORD_EVENTS);
    assert_int_equal(record.project, 42);
    assert_int_equal(batch_open(arena, record.body, &batch), STATUS_OK);
    assert_true(batch.received_ms == T0 && batch.mode == IDENTITY_ORIGINAL && batch.flags == BATCH_IMPORT);
    for (uint32_t i = 0; i < 400; i++) {
        if (i % 4 == 3) continue;
        char id[16], name[16];
        snprintf(id, sizeof id, "id%u", i);
        snprintf(name, sizeof name, "p%u", i % 200);
        assert_true(batch_next(&batch, &event));
        assert_true(str_eq(batch.names[event.name], i % 2 ? STR("odd") : STR("even")));
        assert_int_equal(event.time_ms, T0 - (int64_t)i * 1000);
        assert_true(i % 5 ? str_eq(event.id, str_of(id)) : !event.id.data);
        assert_true(i % 10 == 1 ? str_is(event.device, "dev") : !event.device.data);
        assert_true(i % 3 ? !event.insert_id.data : event.insert_id.data && event.insert_id.size == (i % 2 ? 0 : 3));
        struct reader properties = reader_of(event.properties);
        uint32_t property, count = 0;
        struct value value;
        while (event_property_next(&properties, &property, &value)) {
            if (count++ == 0)
                assert_true(str_is(batch.names[property], "n") && value.integer == i);
            else
                assert_true(str_eq(batch.names[property], str_of(name)) && str_eq(value_text(value), str_of(id)));
        }
        assert_int_equal(count, 1 + i % 150);
    }
    assert_false(batch_next(&batch, &event));
    arena_free(arena);
    buf_fini(&bytes);
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct batch batch;
    struct buf record;
    struct json nested = json_int(1), levels[40], n = json_int(1);
    batch_init(&batch, 1000);
    batch_begin(&batch, 1, T0, IDENTITY_SIMPLIFIED, 0);
    for (int i = 0; i < 1000; i++) {
        batch_event(&batch, STR("event"), T0, STR("someone"), STR_NULL, STR_NULL);
        batch_event_end(&batch);
    }
    assert_int_equal(batch_finish(&batch, &record), STATUS_LIMIT);
    /* the next one starts afresh; a value that nests too deeply is left out, its event is not */
    for (int i = 0; i < 40; i++) {
        levels[i] = nested;
        nested = (struct json){.type = JSON_ARRAY, .array = {&levels[i], 1}};
    }
    batch_begin(&batch, 1, T0, IDENTITY_SIMPLIFIED, 0);
    batch_event(&batch, STR("event"), T0, STR("someone"), STR_NULL, STR_NULL);
    assert_int_equal(batch_property(&batch, STR("deep"), &nested), STATUS_INVALID);
    assert_int_equal(batch_property(&batch, STR("n"), &n), STATUS_OK);
    batch_event_end(&batch);
    assert_int_equal(batch_finish(&batch, &record), STATUS_OK);
    struct reader reader = reader_of(buf_str(&record));
    struct record parsed;
    struct batch_reader events;
    struct event_view event;
    struct arena *arena = arena_new(1 << 20);
    assert_int_equal(record_next(&reader, &parsed), STATUS_OK);
    assert_int_equal(batch_open(arena, parsed.body, &events), STATUS_OK);
    assert_true(batch_next(&events, &event) && event.properties.size > 0);
    buf_fini(&record);
    /* times that later arithmetic could not bear */
    static const int64_t times[] = {INT64_MIN, INT64_MAX, (int64_t)1 << 53, -((int64_t)1 << 53)};
    for (size_t i = 0; i < 4; i++) {
        batch_begin(&batch, 1, T0, IDENTITY_SIMPLIFIED, 0);
        batch_event(&batch, STR("event"), times[i], STR("someone"), STR_NULL, STR_NULL);
        batch_event_end(&batch);
        assert_int_equal(batch_finish(&batch, &record), STATUS_LIMIT);
    }
    batch_fini(&batch);
    arena_free(arena);
}

static void links_and_drops(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT(1000);
    struct record record;
    struct link_view link;
    assert_int_equal(record_link(&bytes, 9, T0, IDENTITY_LEGACY, LINK_MERGE, STR("$device:D"), STR("U")), STATUS_OK);
    assert_int_equal(record_project_drop(&bytes, 300), STATUS_OK);
    struct reader reader = reader_of(buf_str(&bytes));
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    assert_true(record.kind == RECORD_LINK && record.project == 9);
    assert_int_equal(link_open(record.body, &link), STATUS_OK);
    assert_true(link.received_ms == T0 && link.mode == IDENTITY_LEGACY && link.operation == LINK_MERGE);
    assert_true(str_is(link.device, "$device:D") && str_is(link.user, "U"));
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    assert_true(record.kind == RECORD_PROJECT_DROP && record.project == 300 && reader_left(&reader) == 0);
    buf_reset(&bytes);
    assert_int_equal(record_link(&bytes, 9, T0, IDENTITY_LEGACY, LINK_MERGE, STR(""), STR("U")), STATUS_OK);
    reader = reader_of(buf_str(&bytes));
    assert_int_equal(record_next(&reader, &record), STATUS_OK);
    assert_int_equal(link_open(record.body, &link), STATUS_CORRUPT); /* an empty id is nobody */
    buf_fini(&bytes);
}

/* Cut or flipped anywhere: refused, or read without a wild step. */
static void damaged_records(void **state)
{
    (void)state;
    struct buf bytes = pack(12);
    for (size_t at = 0; at < bytes.size; at++) {
        for (int bit = 0; bit < 9; bit++) {
            struct arena *arena = arena_new(1 << 20);
            struct reader reader;
            struct record record;
            struct batch_reader batch;
            struct event_view event;
            char *copy = arena_alloc(arena, bytes.size);
            memcpy(copy, bytes.data, bytes.size);
            if (bit < 8) copy[at] = (char)(copy[at] ^ 1 << bit);
            reader = reader_of(str_from(copy, bit < 8 ? bytes.size : at));
            if (record_next(&reader, &record) == STATUS_OK && record.kind == RECORD_EVENTS &&
                batch_open(arena, record.body, &batch) == STATUS_OK) {
                assert_true(bit < 8); /* a cut record is never whole */
                while (batch_next(&batch, &event)) {
                    struct reader properties = reader_of(event.properties);
                    uint32_t name;
                    struct value value;
                    while (event_property_next(&properties, &name, &value)) assert_true(name < batch.name_count);
                    assert_true(event.name < batch.name_count);
                }
            }
            arena_free(arena);
        }
    }
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_back),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(links_and_drops),
        cmocka_unit_test(damaged_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
