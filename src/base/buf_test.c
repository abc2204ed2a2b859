/* The buffer's maximum and its sticky failure; the byte formats that docs/formats/ builds on; the bounds of the reader.
 */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Shows that a buffer takes exactly its maximum, that one byte more fails for good, and that the content stays. */
static void test_maximum(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(1000);
    buf_fill(&buf, 'a', 990);
    buf_lit(&buf, "0123456789");
    assert_int_equal(buf_status(&buf), STATUS_OK);
    assert_int_equal(buf.size, 1000);
    buf_byte(&buf, 'x');
    assert_int_equal(buf_status(&buf), STATUS_LIMIT);
    assert_int_equal(buf.size, 1000);
    assert_memory_equal(buf.data + 990, "0123456789", 10);
    buf_consume(&buf, 500);
    buf_byte(&buf, 'y');
    assert_int_equal(buf.size, 500);
    assert_null(buf_reserve(&buf, 1));
    buf_reset(&buf);
    assert_int_equal(buf_status(&buf), STATUS_OK);
    buf_lit(&buf, "again");
    assert_true(str_is(buf_str(&buf), "again"));
    assert_null(buf_reserve(&buf, SIZE_MAX));
    buf_fini(&buf);
}

/* Shows that a write that does not fit is left out whole, not cut. */
static void test_all_or_nothing(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 4);
    buf_lit(&buf, "abc");
    buf_lit(&buf, "de");
    assert_true(str_is(buf_str(&buf), "abc"));
    assert_int_equal(buf_status(&buf), STATUS_LIMIT);
    buf_fini(&buf);
    struct buf none = BUF_INIT(0);
    buf_add(&none, NULL, 0);
    buf_fill(&none, 'x', 0);
    assert_int_equal(buf_status(&none), STATUS_OK);
    buf_byte(&none, 'x');
    assert_int_equal(buf_status(&none), STATUS_LIMIT);
    buf_fini(&none);
}

/* Shows printf with short and long texts and against the maximum, and that consuming moves the rest to the front. */
static void test_printf_consume_detach(void **state)
{
    (void)state;
    char long_text[600];
    memset(long_text, 'l', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    struct buf buf = BUF_INIT(610);
    buf_printf(&buf, "%d:", 7);
    buf_printf(&buf, "%s", long_text);
    assert_int_equal(buf.size, 2 + 599);
    buf_consume(&buf, 2);
    assert_memory_equal(buf.data, long_text, 599);
    buf_printf(&buf, "%s", "0123456789a");
    assert_int_equal(buf_status(&buf), STATUS_OK);
    buf_printf(&buf, "%s", "z");
    assert_int_equal(buf_status(&buf), STATUS_LIMIT);
    char *data = buf_detach(&buf);
    assert_memory_equal(data, "lll", 3);
    free(data);
    assert_int_equal(buf.size, 0);
    assert_null(buf_detach(&buf));
}

/* Shows the bytes of integers and varints (the on-disk form), and that reading gives the values back. */
static void test_integers(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(4096);
    buf_u16(&buf, 0x1234);
    buf_u32(&buf, 0x89ABCDEF);
    buf_u64(&buf, 0x0123456789ABCDEF);
    buf_varint(&buf, 0);
    buf_varint(&buf, 127);
    buf_varint(&buf, 128);
    buf_varint(&buf, 300);
    assert_memory_equal(buf.data, "\x34\x12\xEF\xCD\xAB\x89\xEF\xCD\xAB\x89\x67\x45\x23\x01\x00\x7F\x80\x01\xAC\x02",
                        20);
    size_t fixed = buf.size;
    for (unsigned bit = 0; bit < 64; bit++) buf_varint(&buf, (uint64_t)1 << bit);
    buf_varint(&buf, UINT64_MAX);

    struct reader r = reader_of(buf_str(&buf));
    assert_int_equal(read_u16(&r), 0x1234);
    assert_int_equal(read_u32(&r), 0x89ABCDEF);
    assert_true(read_u64(&r) == 0x0123456789ABCDEF);
    assert_int_equal(read_varint(&r), 0);
    assert_int_equal(read_varint(&r), 127);
    assert_int_equal(read_varint(&r), 128);
    assert_int_equal(read_varint(&r), 300);
    assert_int_equal(reader_left(&r), buf.size - fixed);
    for (unsigned bit = 0; bit < 64; bit++) assert_true(read_varint(&r) == (uint64_t)1 << bit);
    assert_true(read_varint(&r) == UINT64_MAX);
    assert_false(r.failed);
    assert_int_equal(read_u8(&r), 0);
    assert_true(r.failed);
    buf_fini(&buf);
}

/* Shows that zigzag maps small magnitudes to small numbers and loses nothing at the ends. */
static void test_zigzag(void **state)
{
    (void)state;
    static const int64_t values[] = {0, -1, 1, -2, 2, INT64_MAX, INT64_MIN, 1234567890123};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) assert_true(unzigzag(zigzag(values[i])) == values[i]);
    assert_int_equal(zigzag(0), 0);
    assert_int_equal(zigzag(-1), 1);
    assert_int_equal(zigzag(1), 2);
    assert_true(zigzag(INT64_MIN) == UINT64_MAX);
}

/* Shows that the reader refuses what is cut short, a varint of more than 64 bits and a length beyond the end, and that
 * it stays refused. */
static void test_reader_bounds(void **state)
{
    (void)state;
    struct reader r = reader_of(STR("\x01\x02\x03"));
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(read_u8(&r), 0);
    assert_int_equal(reader_left(&r), 0);

    r = reader_of(STR("\x80\x80"));
    assert_int_equal(read_varint(&r), 0);
    assert_true(r.failed);
    r = reader_of(STR("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02"));
    assert_int_equal(read_varint(&r), 0);
    assert_true(r.failed);
    r = reader_of(STR("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"));
    assert_int_equal(read_varint(&r), 0);
    assert_true(r.failed);

    r = reader_of(STR("\x03"
                      "abc"));
    assert_true(str_is(read_str(&r), "abc"));
    assert_false(r.failed);
    r = reader_of(STR("\x04"
                      "abc"));
    assert_null(read_str(&r).data);
    assert_true(r.failed);
    r = reader_of(STR("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"
                      "abc"));
    assert_null(read_str(&r).data);
    assert_true(r.failed);
    r = reader_of(STR("abc"));
    assert_true(str_is(read_bytes(&r, 2), "ab"));
    assert_null(read_bytes(&r, SIZE_MAX).data);
    assert_true(r.failed);
    r = reader_of(STR_NULL);
    assert_int_equal(read_u8(&r), 0);
    assert_true(r.failed);
}

/* Shows that the raw writers give the bytes of the checked ones, for every size around their cases, and touch nothing
 * behind; and that there is spare room only within the block. */
static void test_raw(void **state)
{
    (void)state;
    char text[80];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)('0' + i);
    for (size_t size = 0; size <= sizeof text; size++) {
        struct buf checked = BUF_INIT(1000);
        char *from = malloc(size + 1), *to = malloc(size + 2);
        assert_non_null(from);
        assert_non_null(to);
        memcpy(from, text, size);
        buf_varint(&checked, size);
        buf_add(&checked, from, size);
        char *end = raw_str(to, str_from(from, size));
        assert_true(end == to + size + 1);
        assert_memory_equal(to, checked.data, size + 1);
        buf_fini(&checked);
        free(from);
        free(to);
    }
    for (unsigned shift = 0; shift < 64; shift++) {
        struct buf checked = BUF_INIT(100), raw = BUF_INIT(100);
        assert_null(buf_spare(&raw, 1));
        assert_non_null(buf_reserve(&raw, 2 * VARINT_BYTES_MAX));
        char *at = buf_spare(&raw, raw.capacity);
        assert_non_null(at);
        assert_null(buf_spare(&raw, raw.capacity + 1));
        uint64_t value = UINT64_MAX >> shift;
        buf_varint(&checked, value);
        buf_varint(&checked, value + 1);
        buf_wrote(&raw, raw_varint(raw_varint(at, value), value + 1));
        assert_true(str_eq(buf_str(&raw), buf_str(&checked)));
        raw.failed = true;
        assert_null(buf_spare(&raw, 1));
        buf_fini(&checked);
        buf_fini(&raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_printf_consume_detach),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_zigzag),
        cmocka_unit_test(test_reader_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
