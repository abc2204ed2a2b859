/* What counts as the events of a recording: a table of bodies, packed and not, and what becomes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/gzip.h"
#include "replay/events.h"

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status status;
    } rows[] = {
        {"[]", STATUS_OK},
        {"[{\"type\":4,\"timestamp\":1}]", STATUS_OK},
        {" \r\n\t[1]\n ", STATUS_OK},
        {"[\"\xC3\xBC\"]", STATUS_OK},
        {"[not json]", STATUS_OK}, /* only the brackets are looked at */
        {"", STATUS_INVALID},
        {"  ", STATUS_INVALID},
        {"[", STATUS_INVALID},
        {"]", STATUS_INVALID},
        {"{}", STATUS_INVALID},
        {"[1", STATUS_INVALID},
        {"1]", STATUS_INVALID},
        {"\"[]\"", STATUS_INVALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena *arena = arena_new((size_t)16 << 20);
        struct str text = str_of(rows[i].text), packed, got, plain;
        struct error error = ERROR_INIT;
        assert_int_equal(replay_events_pack(arena, text, 1000, &error, &got), rows[i].status);
        if (rows[i].status == STATUS_OK) {
            assert_int_equal(gzip_decompress(arena, got, 1000, &error, &plain), STATUS_OK);
            assert_true(str_eq(plain, text));
        } else {
            assert_string_equal(error.primary, "the recording is no JSON array");
        }
        /* the same, packed by whoever sends it: kept as it is */
        if (text.size) {
            assert_int_equal(gzip_compress(arena, text, 6, &packed), STATUS_OK);
            assert_int_equal(replay_events_pack(arena, packed, 1000, &error, &got), rows[i].status);
            if (rows[i].status == STATUS_OK) assert_ptr_equal(got.data, packed.data);
        }
        arena_free(arena);
    }
}

static void test_damage(void **state)
{
    (void)state;
    struct arena *arena = arena_new((size_t)512 << 20);
    struct error error = ERROR_INIT;
    struct str packed, got, plain;
    size_t size = (size_t)1 << 20;
    char *text = arena_new_array(arena, char, size);
    memset(text, ' ', size);
    text[0] = '[';
    text[size - 1] = ']';
    assert_int_equal(gzip_compress(arena, str_from(text, size), 6, &packed), STATUS_OK);
    assert_int_equal(replay_events_pack(arena, packed, size, &error, &got), STATUS_OK);
    /* a bomb */
    assert_int_equal(replay_events_pack(arena, packed, size - 1, &error, &got), STATUS_LIMIT);
    assert_string_equal(error.primary, "the recording unpacks to more than 1048575 bytes");
    /* cut short anywhere; the first two bytes alone are no gzip */
    for (size_t cut = 2; cut < packed.size; cut += 7) {
        enum status status = replay_events_pack(arena, str_slice(packed, 0, cut), size, &error, &got);
        assert_int_equal(status, STATUS_INVALID);
    }
    /* a byte changed anywhere behind the header */
    for (size_t at = 10; at < packed.size; at += 7) {
        char *copy = arena_new_array(arena, char, packed.size);
        memcpy(copy, packed.data, packed.size);
        copy[at] = (char)(copy[at] ^ 0x55);
        /* a distance between blanks may be another and mean the same */
        if (replay_events_pack(arena, str_from(copy, packed.size), size, &error, &got) != STATUS_OK) continue;
        assert_int_equal(gzip_decompress(arena, got, size, &error, &plain), STATUS_OK);
        assert_true(str_eq(plain, str_from(text, size)));
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
