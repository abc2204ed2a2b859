/* Packed data in pieces of any size: whole, in several members, damaged at every byte, cut anywhere, and larger than
 * allowed. */
#include "base/inflate.h"

#include "base/buf.h"
#include "base/gzip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new((size_t)64 << 20);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct str pack(struct str plain)
{
    struct str packed;
    assert_int_equal(gzip_compress(arena, plain, 6, &packed), STATUS_OK);
    return packed;
}

static struct str some_text(size_t size)
{
    char *text = arena_alloc(arena, size);
    uint32_t x = 1;
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525 + 1013904223;
        text[i] = (char)('a' + (x >> 29));
    }
    return str_from(text, size);
}

static enum status unpack(struct str packed, size_t piece, uint64_t size_max, struct buf *out, struct error *error)
{
    struct memory_source source = memory_source_of(packed);
    struct inflate *inflate;
    char *block = malloc(piece);
    size_t got = 1;
    assert_int_equal(inflate_new(&source.base, size_max, error, &inflate), STATUS_OK);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && got) {
        got = 0;
        status = source_read(inflate_source(inflate), block, piece, error, &got);
        buf_add(out, block, got);
    }
    if (status == STATUS_OK) {
        assert_int_equal(source_read(inflate_source(inflate), block, piece, error, &got), STATUS_OK);
        assert_int_equal(got, 0);
    }
    inflate_free(inflate);
    free(block);
    return status;
}

static void comes_back(struct str packed, struct str plain)
{
    static const size_t pieces[] = {1, 100, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct buf out = BUF_INIT((size_t)8 << 20);
        struct error error = ERROR_INIT;
        assert_int_equal(unpack(packed, pieces[i], plain.size, &out, &error), STATUS_OK);
        assert_true(str_eq(buf_str(&out), plain));
        buf_fini(&out);
        if (plain.size == 0) continue;
        assert_int_equal(unpack(packed, pieces[i], plain.size - 1, &out, &error), STATUS_LIMIT);
        buf_fini(&out);
    }
}

static void whole(void **state)
{
    (void)state;
    /* as zlib.compress(b"hello hello hello") gives it */
    static const char zlib[] = "\x78\x9c\xcb\x48\xcd\xc9\xc9\x57\xc8\x40\x90\x00\x3a\x2e\x06\x7d";
    comes_back(pack(STR("")), STR(""));
    comes_back(pack(STR("x")), STR("x"));
    comes_back(pack(some_text(300000)), some_text(300000));
    comes_back(STR(zlib), STR("hello hello hello"));
}

static void members(void **state)
{
    (void)state;
    struct str text = some_text(100000),
               parts[] = {pack(str_slice(text, 0, 70000)), pack(STR("")), pack(str_slice(text, 70000, text.size))};
    struct buf all = BUF_INIT(1 << 20);
    for (size_t i = 0; i < 3; i++) buf_str_add(&all, parts[i]);
    comes_back(buf_str(&all), text);
    struct buf out = BUF_INIT(1 << 20);
    struct error error = ERROR_INIT;
    buf_lit(&all, "garbage");
    assert_int_equal(unpack(buf_str(&all), 1000, 1 << 20, &out, &error), STATUS_INVALID);
    assert_string_equal(error.primary, "unexpected bytes behind the packed data");
    buf_fini(&all);
    buf_fini(&out);
}

/* A prefix never passes for the whole, and no flipped byte gives other bytes without an error. */
static void damage(void **state)
{
    (void)state;
    struct str plain = some_text(2000), packed = pack(plain);
    struct error error = ERROR_INIT;
    for (size_t size = 0; size < packed.size; size++) {
        struct buf out = BUF_INIT(1 << 20);
        assert_int_equal(unpack(str_slice(packed, 0, size), 512, 1 << 20, &out, &error), STATUS_INVALID);
        buf_fini(&out);
    }
    for (size_t at = 0; at < packed.size; at++) {
        struct buf copy = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
        buf_str_add(&copy, packed);
        copy.data[at] = (char)(copy.data[at] ^ 0x20);
        enum status status = unpack(buf_str(&copy), 512, 1 << 20, &out, &error);
        if (status == STATUS_OK) assert_true(str_eq(buf_str(&out), plain)); /* a time, a name */
        buf_fini(&copy);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole), cmocka_unit_test(members), cmocka_unit_test(damage)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
