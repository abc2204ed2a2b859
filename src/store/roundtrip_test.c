/*
 * What was accepted comes back: every value of every type, byte for byte, from memory, from files, after a restart and
 * after files were rewritten; and shapes of data that are rare but allowed: very many names, very large texts, very
 * old and very late times, one person with everything and everybody with one event.
 */
#include "store/world_testing.h"

#include "base/hash.h"

#include <float.h>
#include <math.h>

#define BIG_BYTES 10000000u

/* Files of the log are large enough for large records; what is kept in memory is what a small server has. */
static void large(struct store_options *options)
{
    options->wal_file_bytes = (uint64_t)32 << 20;
    options->memory_bytes_max = options->cache_bytes = (uint64_t)64 << 20;
    options->compact_memory_bytes = (uint64_t)128 << 20;
}

static void open_large(struct world *w)
{
    world_open_with(w, large);
}

static struct world new_large(void)
{
    struct world w = {.sim = sim_new(1)};
    w.fs = sim_fs(w.sim);
    open_large(&w);
    return w;
}

static void send(struct world *w, struct batch *batch)
{
    struct buf record;
    assert_int_equal(batch_finish(batch, &record), STATUS_OK);
    batch_fini(batch);
    if (store_append_wait(w->store, &record) != STATUS_OK) fail_msg("a record was refused");
}

static void begin(struct batch *batch)
{
    batch_init(batch, (size_t)30 << 20);
    batch_begin(batch, 1, WORLD_T0, IDENTITY_SIMPLIFIED, 0);
}

/* --- values --- */

#define DEVICES 48 /* texts of one size, the last values */

struct values {
    struct arena *arena;
    struct json *items;
    size_t count;
};

static void add(struct values *values, struct json value)
{
    values->items[values->count++] = value;
}

static struct json text(struct values *values, size_t size, char byte)
{
    char *bytes = arena_alloc(values->arena, size + 1);
    assert_non_null(bytes);
    memset(bytes, byte, size + 1);
    return json_string(str_from(bytes, size));
}

static struct values tricky_values(void)
{
    struct values v = {.arena = arena_new((size_t)256 << 20)};
    v.items = arena_new_array(v.arena, struct json, 128);
    static const double doubles[] = {-0.0,     0.1,  -0.1,    1e-300,  DBL_MIN, DBL_TRUE_MIN,        DBL_MAX,
                                     -DBL_MAX, 1e22, 1.5e300, 1.0 / 3, 19.99,   0.30000000000000004, 123456.789};
    static const int64_t ints[] = {0,       1, -1, 255, 256, INT64_MAX, INT64_MIN, (1LL << 53) + 1, -(1LL << 53) - 1,
                                   86400000};
    static const char *const documents[] = {"12345678901234567890123",
                                            "-99999999999999999999",
                                            "1e400",
                                            "[]",
                                            "{}",
                                            "[[[[1]]]]",
                                            "{\"\":{\"a\":[null,{}]}}",
                                            "[1,\"1\",true,null,1.5,{\"k\":[]}]",
                                            "{\"b\":1,\"a\":2}",
                                            "\"\\u0000\"",
                                            "\"a\\u0000b\"",
                                            "\"\\uFFFD\\uD83D\\uDE00\\u202E\"",
                                            "\"550e8400-e29b-41d4-a716-446655440000\"",
                                            "\"550E8400-E29B-41D4-A716-446655440000\"",
                                            "\"550e8400-e29b-41d4-a716-44665544000\"",
                                            "\"00000000\"",
                                            "\"0\"",
                                            "\"007\"",
                                            "\"-0\"",
                                            "\"2024-02-30T25:61:61\"",
                                            "\"2024-01-01T00:00:00\"",
                                            "\"true\"",
                                            "\"null\"",
                                            "\"\"",
                                            "\" \""};
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) add(&v, json_number(doubles[i]));
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) add(&v, json_int(ints[i]));
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        struct json value;
        struct error error = ERROR_INIT;
        if (json_parse(v.arena, str_of(documents[i]), NULL, &error, &value) != STATUS_OK)
            fail_msg("%s: %s", documents[i], error.primary);
        add(&v, value);
    }
    add(&v, json_bool(true));
    add(&v, json_bool(false));
    add(&v, json_null());
    static const size_t sizes[] = {1, 7, 8, 63, 64, 65, 127, 128, 254, 255, 256, 257, 1023, 65535, 65536, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) add(&v, text(&v, sizes[i], (char)('a' + i)));
    for (uint64_t i = 0; i < DEVICES; i++)
        add(&v, json_string(arena_printf(v.arena, "%016llx%04x", (unsigned long long)hash_u64(i, 1), (unsigned)i)));
    assert_true(v.count <= 128);
    return v;
}

/* Row n has, in column c, the value number value_of(n, c); SIZE_MAX: none. Columns are of one type, of all types, rare,
 * the same for a person (of whom there are ten), nearly so, or different in every row. */
static size_t value_of(size_t n, unsigned c, size_t count)
{
    switch (c) {
    case 0: return n % count;                          /* every type, in turn */
    case 1: return n % 5 ? SIZE_MAX : (n / 5) % count; /* mostly absent */
    case 2: return n % 97 ? SIZE_MAX : n % count;      /* rare */
    case 3: return n % 10 % count;                     /* doubles, by person */
    case 4: return 14 + n % 10;                        /* ints */
    case 5: return 36;                                 /* constant */
    case 6: return hash_u64(n, 3) % count;
    case 7: return n % 41 == 7 ? hash_u64(n, 4) % count : count - DEVICES - 1 - n % 10; /* long texts */
    case 8: return n % 10 == 3 ? SIZE_MAX : count - 1 - (n % 23 == 7 ? hash_u64(n, 5) % DEVICES : n % 10);
    case 9: return n % 24;                             /* numbers, some of which are no doubles */
    case 10: return n < 50 || n % 3 ? 14 + n % 5 : 10; /* small ints, then fractions between them */
    default: return n % 29 == 3 ? SIZE_MAX : n % 31 == 4 ? 14 + n / 31 % 10 : n % 10; /* doubles, some are ints */
    }
}

#define COLUMNS 12

static void check_value(const struct values *values, size_t n, unsigned c, struct value found)
{
    size_t number = value_of(n, c, values->count);
    struct buf expected = BUF_INIT((size_t)1 << 20), actual = BUF_INIT((size_t)1 << 20);
    if (number != SIZE_MAX) assert_int_equal(value_encode_json(&expected, &values->items[number]), STATUS_OK);
    if (found.type != VALUE_ABSENT) value_encode(&actual, found);
    if (expected.size != actual.size || (actual.size && memcmp(expected.data, actual.data, actual.size) != 0))
        fail_msg("row %zu, column %u: value %zu of %zu bytes came back as %zu bytes of type %u", n, c, number,
                 expected.size, actual.size, found.type);
    buf_fini(&expected);
    buf_fini(&actual);
}

/* Some rows by themselves are what they are in whole columns: numbers[] tells which they are, SIZE_MAX: none. */
static void check_picks(struct world *w, struct scan *scan, const struct values *values, const uint32_t *properties,
                        const size_t *numbers, uint32_t count, uint32_t step)
{
    uint32_t rows[SCAN_PICKS_MAX], picked = 0;
    const uint32_t *ids;
    size_t id_count;
    struct value found[SCAN_PICKS_MAX];
    struct arena *arena = arena_new((size_t)64 << 20);
    for (uint32_t i = step / 2; i < count && picked < SCAN_PICKS_MAX; i += step) rows[picked++] = i;
    assert_int_equal(scan_pick(scan, rows, picked, &w->error), STATUS_OK);
    assert_int_equal(scan_properties(scan, &w->error, &ids, &id_count), STATUS_OK);
    for (size_t place = 0; place < id_count; place++) {
        unsigned c = 0;
        while (c < COLUMNS && properties[c] != ids[place]) c++;
        assert_true(c < COLUMNS);
        assert_int_equal(scan_pick_property(scan, place, arena, &w->error, found), STATUS_OK);
        for (uint32_t i = 0; i < picked; i++) {
            if (numbers[rows[i]] != SIZE_MAX) check_value(values, numbers[rows[i]], c, found[i]);
        }
    }
    arena_free(arena);
}

/* A column of numbers as integers over a power of ten says the same as its numbers. */
static void check_integers(struct scan *scan, uint32_t property, uint32_t rows)
{
    struct scan_integers integers;
    uint32_t offsets[VECTOR_ROWS_MAX];
    uint64_t present[SCAN_MASK_WORDS];
    const double *numbers;
    double divisor;
    if (!scan_has_integers(scan, property, &divisor)) return;
    assert_int_equal(scan_integers(scan, property, NULL, &integers), STATUS_OK);
    if (integers.width > 32) return;
    assert_int_equal(scan_offsets32(scan, property, NULL, offsets), STATUS_OK);
    assert_int_equal(scan_presence(scan, property, NULL, present), STATUS_OK);
    assert_int_equal(scan_numbers(scan, property, NULL, &numbers), STATUS_OK);
    for (uint32_t i = 0; i < rows; i++) {
        bool here = present[i / 64] >> (i % 64) & 1;
        int64_t integer = integers.min + (int64_t)integers.scale * offsets[i];
        assert_true(here == !isnan(numbers[i]) && (here || !integers.all_present));
        assert_true(integer >= integers.min && integer <= integers.max);
        if (here) assert_true((double)integer / divisor == numbers[i]);
    }
}

/* Every row is there once, by its insert id, with its values. */
static void check_values(struct world *w, const struct values *values, size_t rows)
{
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_run run;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX, .memory_bytes_max = (size_t)256 << 20};
    unsigned char *seen = calloc(rows, 1);
    assert_non_null(seen);
    assert_int_equal(store_snapshot(w->store, 1, &w->error, &snapshot), STATUS_OK);
    uint32_t properties[COLUMNS];
    for (unsigned c = 0; c < COLUMNS; c++) {
        char name[8];
        snprintf(name, sizeof name, "c%u", c);
        properties[c] = snapshot_property_id(snapshot, str_of(name));
        assert_true(properties[c] != PROPERTY_ID_NONE);
    }
    assert_int_equal(scan_new(snapshot, &options, &w->error, &scan), STATUS_OK);
    while (scan_next(scan, &w->error, &run) == STATUS_OK) {
        for (uint32_t v = 0; v < run.vectors; v++) {
            uint32_t count;
            const uint8_t *live;
            const int64_t *times;
            size_t numbers[VECTOR_ROWS_MAX];
            struct vector vector;
            assert_int_equal(scan_vector(scan, v, &w->error, &count), STATUS_OK);
            assert_int_equal(scan_live(scan, &w->error, &live), STATUS_OK);
            assert_int_equal(scan_times(scan, &w->error, &times), STATUS_OK);
            assert_int_equal(scan_insert_ids(scan, &w->error, &vector), STATUS_OK);
            for (uint32_t i = 0; i < count; i++) {
                char digits[24];
                struct str insert = value_text(vector_at(&vector, i));
                snprintf(digits, sizeof digits, "%.*s", (int)(insert.size < 20 ? insert.size : 20), insert.data);
                numbers[i] = (size_t)strtoull(digits, NULL, 10);
                if (!live[i]) { /* an event that was sent again */
                    numbers[i] = SIZE_MAX;
                    continue;
                }
                assert_true(numbers[i] < rows && !seen[numbers[i]]);
                seen[numbers[i]] = 1;
                assert_int_equal(times[i], WORLD_T0 - (int64_t)numbers[i] * 777);
            }
            for (unsigned c = 0; c < COLUMNS; c++) {
                check_integers(scan, properties[c], count);
                assert_int_equal(scan_property(scan, properties[c], &w->error, &vector), STATUS_OK);
                for (uint32_t i = 0; i < count; i++) {
                    if (live[i]) check_value(values, numbers[i], c, vector_at(&vector, i));
                }
            }
            check_picks(w, scan, values, properties, numbers, count, 1 + v % 8);
        }
    }
    for (size_t n = 0; n < rows; n++) assert_true(seen[n]);
    free(seen);
    scan_free(scan);
    snapshot_free(snapshot);
}

static void send_values(struct world *w, const struct values *values, size_t first, size_t count)
{
    struct batch batch;
    begin(&batch);
    for (size_t n = first; n < first + count; n++) {
        char insert[24], user[24];
        snprintf(insert, sizeof insert, "%zu", n);
        snprintf(user, sizeof user, "u%zu", n % 10);
        batch_event(&batch, STR("e"), WORLD_T0 - (int64_t)n * 777, str_of(user), STR_NULL, str_of(insert));
        for (unsigned c = 0; c < COLUMNS; c++) {
            char name[8];
            size_t number = value_of(n, c, values->count);
            snprintf(name, sizeof name, "c%u", c);
            if (number != SIZE_MAX)
                assert_int_equal(batch_property(&batch, str_of(name), &values->items[number]), STATUS_OK);
        }
        batch_event_end(&batch);
    }
    send(w, &batch);
}

/* Shows: values of every type in one column and in columns of their own come back identical from memory, from several
 * files, after a restart, and from the log alone. */
static void values_of_every_type(void **state)
{
    (void)state;
    struct values values = tricky_values();
    struct world w = new_large();
    size_t sent = 0;
    for (int round = 0; round < 3; round++) {
        send_values(&w, &values, sent, 400);
        sent += 400;
        check_values(&w, &values, sent);                    /* sealed in memory */
        if (round == 1) send_values(&w, &values, 100, 300); /* the same events again */
        if (round < 2) world_flush(&w);
        check_values(&w, &values, sent);
    }
    world_close(&w); /* the last round is in the log only */
    world_expect_clean(&w);
    open_large(&w);
    check_values(&w, &values, sent);
    world_flush(&w);
    world_close(&w);
    world_expect_clean(&w);
    open_large(&w);
    check_values(&w, &values, sent);
    world_end(&w);
    arena_free(values.arena);
}

/* --- texts in other places --- */

static uint64_t rows_of(struct world *w, struct str event)
{
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_run run;
    uint64_t rows = 0;
    assert_int_equal(store_snapshot(w->store, 1, &w->error, &snapshot), STATUS_OK);
    uint32_t id = snapshot_event_id(snapshot, event);
    assert_true(id != EVENT_ID_NONE && str_eq(snapshot_event_name(snapshot, id), event));
    struct scan_options options = {.events = &id, .event_count = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX};
    assert_int_equal(scan_new(snapshot, &options, &w->error, &scan), STATUS_OK);
    while (scan_next(scan, &w->error, &run) == STATUS_OK) rows += run.rows - run.deleted;
    scan_free(scan);
    snapshot_free(snapshot);
    return rows;
}

/* Shows: names, ids, insert ids and property names of any bytes and sizes stay apart and come back. */
static void texts_as_names_and_ids(void **state)
{
    (void)state;
    static const char bytes[] = "\0a\0\xEF\xBF\xBF\xF0\x9F\x98\x80 \r\n\t\"\\";
    struct arena *arena = arena_new((size_t)64 << 20);
    struct str texts[12];
    size_t count = 0;
    static const size_t sizes[] = {255, 256, 4096, 65536};
    texts[count++] = str_from(bytes, 1); /* a NUL byte */
    texts[count++] = str_from(bytes, 2);
    texts[count++] = str_from(bytes, 3);
    texts[count++] = str_from(bytes, sizeof bytes - 1);
    texts[count++] = STR("A");
    texts[count++] = STR("a");
    for (size_t i = 0; i < 4; i++) {
        char *data = arena_alloc(arena, sizes[i]);
        memset(data, 'x', sizes[i]);
        texts[count++] = str_from(data, sizes[i]);
    }
    struct world w = new_large();
    struct batch batch;
    for (int life = 0; life < 3; life++) {
        if (life == 0) {
            begin(&batch);
            for (size_t i = 0; i < count; i++) {
                struct json value = json_string(texts[i]);
                batch_event(&batch, texts[i], WORLD_T0, texts[i], STR_NULL, texts[i]);
                assert_int_equal(batch_property(&batch, texts[i], &value), STATUS_OK);
                batch_event_end(&batch);
            }
            send(&w, &batch);
        }
        struct snapshot *snapshot;
        assert_int_equal(store_snapshot(w.store, 1, &w.error, &snapshot), STATUS_OK);
        assert_int_equal(snapshot_event_count(snapshot), count);
        assert_int_equal(snapshot_property_count(snapshot), count);
        assert_int_equal(snapshot_id_count(snapshot), count);
        for (size_t i = 0; i < count; i++) {
            uint32_t id = snapshot_id(snapshot, texts[i]);
            assert_true(id && str_eq(snapshot_id_text(snapshot, id, (char[ID_TEXT_ROOM]){0}), texts[i]));
            uint32_t property = snapshot_property_id(snapshot, texts[i]);
            assert_true(property != PROPERTY_ID_NONE && str_eq(snapshot_property_name(snapshot, property), texts[i]));
        }
        snapshot_free(snapshot);
        for (size_t i = 0; i < count; i++) assert_int_equal(rows_of(&w, texts[i]), 1);
        if (life == 1) world_flush(&w);
        world_close(&w);
        world_expect_clean(&w);
        open_large(&w);
    }
    world_end(&w);
    arena_free(arena);
}

/* Shows: a text of ten million bytes comes back, from memory and from a file. */
static void a_very_large_text(void **state)
{
    (void)state;
    struct world w = new_large();
    struct batch batch;
    char *data = malloc(BIG_BYTES);
    assert_non_null(data);
    for (size_t i = 0; i < BIG_BYTES; i++) data[i] = (char)('a' + i * 7 % 26);
    struct json value = json_string(str_from(data, BIG_BYTES)), small = json_string(STR("s"));
    begin(&batch);
    for (int i = 0; i < 3; i++) {
        batch_event(&batch, STR("e"), WORLD_T0 + i, STR("u"), STR_NULL, STR_NULL);
        assert_int_equal(batch_property(&batch, STR("p"), i == 1 ? &value : &small), STATUS_OK);
        batch_event_end(&batch);
    }
    send(&w, &batch);
    for (int look = 0; look < 3; look++) {
        struct snapshot *snapshot;
        struct scan *scan;
        struct scan_run run;
        uint32_t rows;
        struct vector vector;
        struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
        assert_int_equal(store_snapshot(w.store, 1, &w.error, &snapshot), STATUS_OK);
        assert_int_equal(scan_new(snapshot, &options, &w.error, &scan), STATUS_OK);
        assert_int_equal(scan_next(scan, &w.error, &run), STATUS_OK);
        assert_int_equal(scan_vector(scan, 0, &w.error, &rows), STATUS_OK);
        assert_int_equal(rows, 3);
        if (scan_property(scan, snapshot_property_id(snapshot, STR("p")), &w.error, &vector) != STATUS_OK)
            fail_msg("%s", w.error.primary);
        assert_true(str_eq(value_text(vector_at(&vector, 1)), value.string));
        assert_true(str_is(value_text(vector_at(&vector, 2)), "s"));
        scan_free(scan);
        snapshot_free(snapshot);
        if (look == 0) world_flush(&w);
        if (look == 1) {
            world_close(&w);
            world_expect_clean(&w);
            open_large(&w);
        }
    }
    world_end(&w);
    free(data);
}

/* --- shapes --- */

/* Shows: 65 537 event names in one project, all found after a flush and a restart. */
static void very_many_event_names(void **state)
{
    (void)state;
    enum { NAMES = 65537 };
    struct world w = new_large();
    for (size_t first = 0; first < NAMES; first += 8192) {
        struct batch batch;
        begin(&batch);
        for (size_t n = first; n < first + 8192 && n < NAMES; n++) {
            char name[24];
            snprintf(name, sizeof name, "event %zu", n);
            batch_event(&batch, str_of(name), WORLD_T0 + (int64_t)n, STR("u"), STR_NULL, STR_NULL);
            batch_event_end(&batch);
        }
        send(&w, &batch);
    }
    world_flush(&w);
    world_close(&w);
    world_expect_clean(&w);
    open_large(&w);
    assert_int_equal(world_count(&w, 1), NAMES);
    assert_int_equal(rows_of(&w, STR("event 0")), 1);
    assert_int_equal(rows_of(&w, STR("event 65535")), 1);
    assert_int_equal(rows_of(&w, STR("event 65536")), 1);
    world_end(&w);
}

/* Shows: times in 1971 and in 2100, and at the ends of windows, in one project with today's. */
static void old_and_late_times(void **state)
{
    (void)state;
    static const int64_t times_ms[] = {31536000000LL,
                                       31536000001LL,
                                       0,
                                       -1,
                                       -86400000LL,
                                       WORLD_T0,
                                       4102444800000LL,
                                       4133980799999LL,
                                       1700006399999LL,
                                       1700006400000LL,
                                       1700092799999LL,
                                       1700092800000LL};
    enum { COUNT = sizeof times_ms / sizeof *times_ms };
    struct world w = new_large();
    struct batch batch;
    begin(&batch);
    for (size_t i = 0; i < COUNT; i++) {
        batch_event(&batch, STR("e"), times_ms[i], STR("u"), STR_NULL, STR_NULL);
        batch_event_end(&batch);
    }
    send(&w, &batch);
    for (int look = 0; look < 3; look++) {
        struct snapshot *snapshot;
        assert_int_equal(store_snapshot(w.store, 1, &w.error, &snapshot), STATUS_OK);
        for (size_t i = 0; i < COUNT; i++) { /* each by a scan of its own millisecond */
            struct scan *scan;
            struct scan_run run;
            uint64_t found = 0;
            struct scan_options options = {.from_ms = times_ms[i], .to_ms = times_ms[i] + 1};
            assert_int_equal(scan_new(snapshot, &options, &w.error, &scan), STATUS_OK);
            while (scan_next(scan, &w.error, &run) == STATUS_OK) {
                uint32_t rows;
                const int64_t *times;
                assert_int_equal(scan_vector(scan, 0, &w.error, &rows), STATUS_OK);
                assert_int_equal(scan_times(scan, &w.error, &times), STATUS_OK);
                for (uint32_t r = 0; r < rows; r++) found += times[r] == times_ms[i];
            }
            assert_int_equal(found, 1);
            scan_free(scan);
        }
        snapshot_free(snapshot);
        if (look == 0) world_flush(&w);
        if (look == 1) {
            world_close(&w);
            world_expect_clean(&w);
            open_large(&w);
        }
    }
    world_end(&w);
}

/* A simulated disk keeps every byte in memory, twice: ten million events are for a real one. */
static struct world new_on_disk(char directory[64])
{
    struct world w = {.sim = NULL};
    snprintf(directory, 64, "/tmp/cairn-roundtrip-XXXXXX");
    assert_non_null(mkdtemp(directory));
    if (os_posix_new(directory, &w.error, &w.fs) != STATUS_OK) fail_msg("%s", w.error.primary);
    open_large(&w);
    return w;
}

/* Events of one person (spread 0) or of as many persons as events. With CAIRN_LONG_TESTS there are ten million. */
static void one_shape(uint64_t spread)
{
    bool many = getenv("CAIRN_LONG_TESTS");
    uint64_t rows = many ? 10000000 : 60000;
    char directory[64], remove[80];
    struct world w = many ? new_on_disk(directory) : new_large();
    for (uint64_t first = 0; first < rows; first += 20000) {
        struct batch batch;
        begin(&batch);
        for (uint64_t n = first; n < first + 20000; n++) {
            char user[24], insert[24];
            snprintf(user, sizeof user, "u%llu", (unsigned long long)(n * spread));
            snprintf(insert, sizeof insert, "%llx", (unsigned long long)hash_u64(n, 0));
            batch_event(&batch, STR("e"), WORLD_T0 + (int64_t)(n * 7919 % 86400000), str_of(user), STR_NULL,
                        str_of(insert));
            batch_event_end(&batch);
        }
        send(&w, &batch);
        if (first / 20000 % 3 == 2) world_flush(&w);
    }
    world_flush(&w);
    struct world_digest before = world_digest(&w, 1);
    assert_int_equal(before.rows, rows);
    /* one of the first again: it is found among all that one person has */
    struct batch batch;
    char insert[24];
    begin(&batch);
    snprintf(insert, sizeof insert, "%llx", (unsigned long long)hash_u64(5, 0));
    char user[24];
    snprintf(user, sizeof user, "u%llu", (unsigned long long)(5 * spread));
    batch_event(&batch, STR("e"), WORLD_T0 + 5 * 7919, str_of(user), STR_NULL, str_of(insert));
    batch_event_end(&batch);
    send(&w, &batch);
    struct world_digest after = world_digest(&w, 1);
    assert_int_equal(after.rows, rows);
    assert_true(after.sum == before.sum);
    world_close(&w);
    world_expect_clean(&w);
    open_large(&w);
    assert_int_equal(world_count(&w, 1), rows);
    world_end(&w);
    if (!many) return;
    snprintf(remove, sizeof remove, "rm -rf %s", directory);
    assert_int_equal(system(remove), 0);
}

/* Shows: one person may have all events of a project. */
static void one_person_with_everything(void **state)
{
    (void)state;
    one_shape(0);
}

/* Shows: every event may be another person's. */
static void everybody_with_one_event(void **state)
{
    (void)state;
    one_shape(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type),     cmocka_unit_test(texts_as_names_and_ids),
        cmocka_unit_test(a_very_large_text),        cmocka_unit_test(very_many_event_names),
        cmocka_unit_test(old_and_late_times),       cmocka_unit_test(one_person_with_everything),
        cmocka_unit_test(everybody_with_one_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
