/*
 * The bytes of every encoding, as docs/formats/section.md describes them: columns that are made here, always the same,
 * must give the bytes that they gave when the format was fixed, and one small vector of each is read by hand, by the
 * document's tables. When a hash differs, files that exist can no longer be read by the same rules: a new version of
 * the format is needed, or the change undone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/civil.h"
#include "base/hash.h"
#include "store/chunk_encode.h"
#include "store/filter.h"
#include "store/run.h"

#include <stdio.h>

#define ROWS 2500 /* two full vectors and a tail */

static struct value make(struct arena *arena, enum chunk_encoding encoding, uint32_t i)
{
    uint64_t r = hash_u64(i, 1);
    switch (encoding) {
    case CHUNK_CONST: return value_str(STR("always"));
    case CHUNK_DICT: return r % 5 ? value_str(arena_printf(arena, "city %u", (unsigned)(r % 97))) : value_absent();
    case CHUNK_INT: return r % 7 ? value_int((int64_t)(r % 100000) * 60 - 5) : value_absent();
    case CHUNK_DOUBLE: return value_number((double)(r >> 12) / 7e9);
    case CHUNK_BYTES:
        return value_str(
            arena_printf(arena, "%.*s %llu", (int)(r % 20), "a text of some length", (unsigned long long)r));
    case CHUNK_VARIANT:
        return r % 2 ? value_int((int64_t)r) : value_str(arena_printf(arena, "v%llu", (unsigned long long)r));
    case CHUNK_SPARSE: return i % 100 == 3 ? value_bool(true) : value_absent();
    case CHUNK_DECIMAL: return value_number((double)(r % 1000000) / 100);
    default: return value_str(arena_printf(arena, "%08x-%04x", (unsigned)r, (unsigned)(r >> 48)));
    }
}

static uint64_t hash_of(const struct section_out *out, const struct buf *table)
{
    return hash_bytes(table->data, table->size, hash_bytes(out->buf.data, out->buf.size, 0));
}

static void bytes_stay_the_same(void **state)
{
    (void)state;
    static const uint64_t expected[CHUNK_ENCODING_MAX + 1] = {
        [CHUNK_CONST] = 0xb07cbcd7f9c9eeb4,  [CHUNK_DICT] = 0x0e6c932b1b6739fe,    [CHUNK_INT] = 0xb6528ee82520de1c,
        [CHUNK_DOUBLE] = 0x2b8217d70c29f792, [CHUNK_BYTES] = 0xc5076d80efa228c5,   [CHUNK_VARIANT] = 0x771aad275b61ae9a,
        [CHUNK_SPARSE] = 0xaf1d708b95885707, [CHUNK_DECIMAL] = 0xbed1af184a181d01, [CHUNK_FIXED] = 0x46837230dfc1b848};
    for (int encoding = CHUNK_CONST; encoding < CHUNK_PERSON_ID; encoding++) {
        struct arena *arena = arena_new(1 << 24), *scratch = arena_new(1 << 24);
        struct section_out out = section_out_ram(1 << 20);
        struct buf table = BUF_INIT(1 << 16);
        struct value *values = arena_new_array(arena, struct value, ROWS);
        for (uint32_t i = 0; i < ROWS; i++) values[i] = make(arena, (enum chunk_encoding)encoding, i);
        assert_int_equal(chunk_encode_values(12, values, ROWS, NULL, scratch, &out, &table), STATUS_OK);
        assert_int_equal(table.data[4], encoding);
        if (hash_of(&out, &table) != expected[encoding])
            fail_msg("encoding %d has other bytes: 0x%016llx", encoding, (unsigned long long)hash_of(&out, &table));
        buf_fini(&table);
        section_out_fini(&out);
        arena_free(arena);
        arena_free(scratch);
    }
}

static void bytes_of_streams_stay_the_same(void **state)
{
    (void)state;
    uint64_t words[ROWS], keys[ROWS];
    uint32_t ids[ROWS], persons[ROWS], rows[ROWS / 5];
    struct value values[ROWS];
    struct arena *scratch = arena_new(1 << 24);
    struct section_out out = section_out_ram(1 << 20);
    struct buf table = BUF_INIT(1 << 16);
    for (uint32_t i = 0; i < ROWS; i++) {
        words[i] = (hash_u64(i, 2) >> (i / 1024 * 15 + 24)) * 1000;
        persons[i] = i / 5 * 2;
        ids[i] = i % 50 < 3 ? 100000 + i / 50 : persons[i];
        keys[i] = hash_u64(i, 3);
        rows[i / 5] = 5;
        values[i] = value_int(i / 5 % 3 * 1000);
    }
    struct chunk_persons by_person = {rows, ROWS / 5};
    assert_int_equal(chunk_encode_stream(CORE_MS, words, ROWS, &out, &table), STATUS_OK);
    assert_int_equal(chunk_encode_person_ids(ids, persons, ROWS, scratch, &out, &table), STATUS_OK);
    assert_int_equal(chunk_encode_values(3, values, ROWS, &by_person, scratch, &out, &table), STATUS_OK);
    for (uint32_t i = 3; i < ROWS; i += 99) values[i] = value_int(4000 + i / 99);
    assert_int_equal(chunk_encode_values(4, values, ROWS, &by_person, scratch, &out, &table), STATUS_OK);
    if (hash_of(&out, &table) != 0x3b6106a456436fa5)
        fail_msg("streams have other bytes: 0x%016llx", (unsigned long long)hash_of(&out, &table));
    buf_reset(&out.buf);
    assert_int_equal(fuse_build(keys, ROWS, 1, &out.buf), STATUS_OK);
    if (hash_bytes(out.buf.data, out.buf.size, 0) != 0xa63d7393c1b4b8ad)
        fail_msg("the filter has other bytes: 0x%016llx",
                 (unsigned long long)hash_bytes(out.buf.data, out.buf.size, 0));
    buf_fini(&table);
    section_out_fini(&out);
    arena_free(scratch);
}

/* A section of two events with a property of every encoding, and one that is the same for all rows of each person. */
static void build_section(uint32_t rows, struct buf *ret_image, struct section_ref *ret_directory)
{
    struct section_plan plan = {
        .window_day = 19000, .window_log2 = 3, .links_applied = 2, .keys = 2 * rows, .bytes_max = 1 << 24};
    struct section_builder *builder = section_builder_new(&plan);
    assert_non_null(builder);
    uint64_t size;
    for (uint32_t event = 3; event < 5; event++) {
        struct arena *arena = arena_new(1 << 24);
        uint32_t *persons = arena_new_array(arena, uint32_t, rows), *ids = arena_new_array(arena, uint32_t, rows);
        int64_t *times = arena_new_array(arena, int64_t, rows), *received = arena_new_array(arena, int64_t, rows);
        struct value *inserts = arena_new_array(arena, struct value, rows);
        struct value *values = arena_new_array(arena, struct value, rows);
        uint8_t *flags = arena_new_array(arena, uint8_t, rows);
        for (uint32_t i = 0; i < rows; i++) {
            persons[i] = 1 + i / 4 * 2;
            ids[i] = i % 20 < 2 ? 50 : persons[i];
            times[i] = 19000 * DAY_MS + (int64_t)(i % 4 * 3600 + hash_u64(i / 4, 1) % 3000) * 1000;
            received[i] = times[i] + 1000;
            inserts[i] = event == 3 ? value_str(arena_printf(arena, "i%05x", (unsigned)(hash_u64(i, 1) & 0xFFFFF)))
                                    : value_int(i);
            flags[i] = i % 9 == 0;
        }
        struct section_rows part = {rows, persons, ids, times, received, inserts, flags, NULL};
        assert_int_equal(section_builder_run(builder, event, &part), STATUS_OK);
        for (uint32_t property = CHUNK_CONST; property <= CHUNK_FIXED; property++) {
            for (uint32_t i = 0; i < rows; i++) values[i] = make(arena, (enum chunk_encoding)property, i);
            assert_int_equal(section_builder_column(builder, property, values), STATUS_OK);
        }
        for (uint32_t i = 0; i < rows; i++) values[i] = value_int((int64_t)(hash_u64(i / 4, 2) % 1000));
        assert_int_equal(section_builder_column(builder, 20, values), STATUS_OK);
        for (uint32_t i = 7; i < rows; i += 200) values[i] = value_int(i);
        assert_int_equal(section_builder_column(builder, 21, values), STATUS_OK);
        assert_int_equal(section_builder_run_end(builder), STATUS_OK);
        arena_free(arena);
    }
    assert_int_equal(section_builder_finish(builder, ret_image, ret_directory, &size), STATUS_OK);
    section_builder_free(builder);
}

static void a_section_stays_the_same(void **state)
{
    (void)state;
    enum { SECTION_ROWS = 1100 };
    struct buf image = BUF_INIT(1 << 24);
    struct section_ref directory;
    struct section *section;
    struct error error;
    build_section(SECTION_ROWS, &image, &directory);
    uint64_t hash = hash_bytes(image.data, image.size, directory.offset);
    if (hash != 0x581555173a1af23e) fail_msg("the section has other bytes: 0x%016llx", (unsigned long long)hash);
    /* and it is what was put in */
    assert_int_equal(section_open_image(&image, directory, 1, &error, &section), STATUS_OK);
    assert_int_equal(section->event_count, 2);
    for (uint32_t e = 0; e < 2; e++) {
        struct arena *arena = arena_new(1 << 24);
        struct run run;
        assert_int_equal(run_open(&run, section, &section->events[e], arena, &error), STATUS_OK);
        bool met[CHUNK_ENCODING_MAX + 1] = {false}, per_person = false, exceptions = false;
        for (uint32_t c = 0; c < run.column_count; c++) {
            struct run_column *column = &run.columns[c];
            met[column->chunk.encoding] = true;
            per_person |= column->chunk.per_person;
            exceptions |= column->chunk.exceptions != 0;
            for (uint32_t v = 0; v < run_vectors(&run) && column->chunk.property <= CHUNK_FIXED; v++) {
                struct vector vector;
                assert_int_equal(run_read(&run, column, v, &error, &vector), STATUS_OK);
                for (uint32_t i = 0; i < vector.count; i++) {
                    struct value is = vector_at(&vector, i);
                    struct value was = make(arena, (enum chunk_encoding)column->chunk.property, v * 1024 + i);
                    assert_int_equal(is.type, was.type);
                    assert_int_equal(value_cmp(is, was), 0);
                }
            }
        }
        for (int encoding = CHUNK_CONST; encoding <= CHUNK_ENCODING_MAX; encoding++) assert_true(met[encoding]);
        assert_true(per_person && exceptions);
        run_close(&run);
        arena_free(arena);
    }
    section_unref(section);
}

/* --- by hand --- */

static uint64_t number_at(const char *bytes, size_t at, size_t size)
{
    uint64_t number = 0;
    for (size_t i = size; i-- > 0;) number = number << 8 | (unsigned char)bytes[at + i];
    return number;
}

static void an_int_vector_by_hand(void **state)
{
    (void)state;
    uint64_t words[1024];
    struct section_out out = section_out_ram(1 << 20);
    struct buf table = BUF_INIT(1 << 16);
    for (uint32_t i = 0; i < 1024; i++) words[i] = 7000 + hash_u64(i, 4) % 1000 * 10;
    words[0] = 7000;
    words[1] = 7000 + 9990;
    words[2] = 7010;
    assert_int_equal(chunk_encode_stream(CORE_MS, words, 1024, &out, &table), STATUS_OK);
    /* the descriptor */
    assert_int_equal(table.size, 48 + 24);
    assert_true(number_at(table.data, 0, 4) == CORE_MS);
    assert_int_equal(number_at(table.data, 4, 2), CHUNK_INT);
    assert_int_equal(number_at(table.data, 6, 2), 1 << VALUE_INT);
    assert_int_equal(number_at(table.data, 8, 4), 1024);
    assert_int_equal(number_at(table.data, 12, 4), 1024);
    assert_int_equal(number_at(table.data, 20, 4), 1);
    assert_int_equal(number_at(table.data, 48, 8), 0);
    assert_int_equal(number_at(table.data, 56, 4), out.buf.size);
    assert_true(number_at(table.data, 64, 8) == hash_bytes(out.buf.data, out.buf.size, 0));
    /* the block: one end, padded; the vector's head; 10 bits each in 64 lanes of 16 */
    const char *block = out.buf.data;
    assert_int_equal(number_at(block, 0, 4), out.buf.size);
    assert_int_equal(number_at(block, 8, 1), 10);
    assert_int_equal(number_at(block, 9, 3), 0);
    assert_int_equal(number_at(block, 12, 4), 10);
    assert_int_equal(number_at(block, 16, 8), 7000);
    assert_int_equal(number_at(block, 24, 8), 7000 + 9990);
    assert_int_equal(out.buf.size, 32 + 1024 * 10 / 8);
    for (uint32_t i = 0; i < 1024; i++) {
        uint64_t offset = 0;
        for (uint32_t bit = 0; bit < 10; bit++) {
            uint32_t at = i / 64 * 10 + bit; /* in the lane */
            uint64_t word = number_at(block, 32 + 2 * ((size_t)at / 16 * 64 + i % 64), 2);
            offset |= (word >> at % 16 & 1) << bit;
        }
        assert_true(7000 + offset * 10 == words[i]);
    }
    buf_fini(&table);
    section_out_fini(&out);
}

static void a_dictionary_by_hand(void **state)
{
    (void)state;
    static const char *const texts[] = {"pear", "apple", "pearl", "apple", "pear", "pear"};
    struct value values[7] = {0};
    struct arena *scratch = arena_new(1 << 20);
    struct section_out out = section_out_ram(1 << 20);
    struct buf table = BUF_INIT(1 << 16);
    for (int i = 0; i < 6; i++) values[i] = value_str(str_of(texts[i])); /* the seventh is absent */
    assert_int_equal(chunk_encode_values(5, values, 7, NULL, scratch, &out, &table), STATUS_OK);
    static const unsigned char dictionary[] = {
        3,    0,   0,   0,   0,   0,   0,   0,   3,   0,
        0,    0,   14,  0,   0,   0,                       /* entries, before strings, strings, bytes */
        50,   0,   0,   0,   3,   3,   0,   0,             /* counts at, widths */
        0,    1,   0,   0,   0,   0,   0,   0,             /* prefixes 0, 0, 4: 100 000 000 */
        0x65, 0,   0,   0,   0,   0,   0,   0,             /* suffixes 5, 4, 1: 001 100 101 */
        'a',  'p', 'p', 'l', 'e', 'p', 'e', 'a', 'r', 'l', /* apple, pear, (pear)l */
        2,    3,   1,                                      /* rows */
    };
    assert_int_equal(number_at(table.data, 32, 4), sizeof dictionary);
    assert_memory_equal(out.buf.data, dictionary, sizeof dictionary);
    size_t at = (sizeof dictionary + 7) / 8 * 8;
    /* one end, padded; width 2, base 0; codes 2 1 3 1 2 2 0 */
    assert_int_equal(number_at(out.buf.data, at, 4), out.buf.size - at);
    assert_int_equal(number_at(out.buf.data, at + 8, 8), 2);
    assert_int_equal(number_at(out.buf.data, at + 16, 8), 2 | 1 << 2 | 3 << 4 | 1 << 6 | 2 << 8 | 2 << 10 | 0 << 12);
    buf_fini(&table);
    section_out_fini(&out);
    arena_free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stay_the_same),      cmocka_unit_test(bytes_of_streams_stay_the_same),
        cmocka_unit_test(a_section_stays_the_same), cmocka_unit_test(an_int_vector_by_hand),
        cmocka_unit_test(a_dictionary_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
