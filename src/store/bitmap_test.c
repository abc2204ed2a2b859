#include "store/bitmap.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct buf written(roaring_bitmap_t *bitmap)
{
    struct buf bytes = BUF_INIT(1 << 20);
    size_t size = roaring_bitmap_portable_size_in_bytes(bitmap);
    char *to = buf_reserve(&bytes, size);
    assert_non_null(to);
    assert_int_equal(roaring_bitmap_portable_serialize(bitmap, to), size);
    buf_advance(&bytes, size);
    roaring_bitmap_free(bitmap);
    return bytes;
}

/* Lists, bit sets and ranges come back as they were. */
static void test_round_trip(void **state)
{
    (void)state;
    for (uint32_t step = 1; step < 300; step = step * 3 + 1) {
        roaring_bitmap_t *bitmap = roaring_bitmap_create();
        for (uint32_t i = 0; i < 20000; i++) roaring_bitmap_add(bitmap, i * step);
        if (step == 1) roaring_bitmap_run_optimize(bitmap);
        struct buf bytes = written(roaring_bitmap_copy(bitmap));
        roaring_bitmap_t *again = bitmap_read(buf_str(&bytes));
        assert_non_null(again);
        assert_true(roaring_bitmap_equals(bitmap, again));
        assert_null(bitmap_read(str_slice(buf_str(&bytes), 0, bytes.size - 1)));
        roaring_bitmap_free(again);
        roaring_bitmap_free(bitmap);
        buf_fini(&bytes);
    }
    struct buf nothing = written(roaring_bitmap_create());
    roaring_bitmap_t *none = bitmap_read(buf_str(&nothing));
    assert_non_null(none);
    roaring_bitmap_free(none);
    buf_fini(&nothing);
    assert_null(bitmap_read(STR("")));
}

/* What the library takes but is no set: a list that does not ascend, a bit set with more bits than it says. */
static void test_malformed(void **state)
{
    (void)state;
    roaring_bitmap_t *list = roaring_bitmap_create();
    for (uint32_t i = 0; i < 30; i++) roaring_bitmap_add(list, i);
    struct buf bytes = written(list);
    char *last = bytes.data + bytes.size - 2;
    last[0] = 4; /* …, 28, 4 */
    assert_null(bitmap_read(buf_str(&bytes)));
    last[0] = 28; /* …, 28, 28 */
    assert_null(bitmap_read(buf_str(&bytes)));
    buf_fini(&bytes);
    roaring_bitmap_t *set = roaring_bitmap_create();
    for (uint32_t i = 0; i < 10000; i++) roaring_bitmap_add(set, i * 2);
    bytes = written(set);
    bytes.data[bytes.size - 1] = 1;
    assert_null(bitmap_read(buf_str(&bytes)));
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_malformed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
