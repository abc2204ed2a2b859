/* Memory of log frames: where it lies, and how much of it is kept. */
#include "store/frame.h"

#include "os/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* Large frames lie where their offset in the file wants them, whatever memory they get, and are writable to the end. */
static void test_addresses(void **state)
{
    (void)state;
    struct frame_pool pool;
    frame_pool_init(&pool);
    for (size_t i = 0; i < 200; i++) {
        size_t size = OS_DIRECT_BYTES_MIN + i * 7919 % 3000000, offset = i * 64 * 131;
        struct frame_bytes *frame = frame_bytes_take(&pool, size, offset);
        assert_non_null(frame);
        assert_int_equal(frame->size, size);
        assert_int_equal(((uintptr_t)frame->data - offset) % OS_DIRECT_ALIGN, 0);
        memset(frame->data, (int)i, size);
        frame_bytes_unref(frame);
    }
    frame_pool_fini(&pool);
}

/* What comes back is used again, up to a bound, and not for what needs much less. */
static void test_keeping(void **state)
{
    (void)state;
    struct frame_pool pool;
    struct frame_bytes *frames[20];
    frame_pool_init(&pool);
    for (size_t i = 0; i < 20; i++) frames[i] = frame_bytes_take(&pool, (size_t)2 << 20, 64);
    frame_bytes_ref(frames[0]);
    for (size_t i = 0; i < 20; i++) frame_bytes_unref(frames[i]);
    assert_in_range(pool.kept_bytes, (size_t)8 << 20, (size_t)16 << 20);
    frame_bytes_unref(frames[0]);
    struct frame_bytes *first = pool.kept, *small = frame_bytes_take(&pool, OS_DIRECT_BYTES_MIN, 0);
    struct frame_bytes *again = frame_bytes_take(&pool, (size_t)1 << 20, 128);
    assert_ptr_not_equal(small, first);
    assert_ptr_equal(again, first);
    assert_false(again->trusted);
    size_t kept = pool.kept_bytes;
    frame_bytes_unref(frame_bytes_take(&pool, 100, 64));
    frame_bytes_unref(frame_bytes_new((size_t)1 << 20));
    assert_int_equal(pool.kept_bytes, kept); /* small ones, and those of nobody, are freed */
    frame_pool_clear(&pool);
    assert_int_equal(pool.kept_bytes, 0);
    frame_bytes_unref(again);
    frame_bytes_unref(small);
    frame_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_keeping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
