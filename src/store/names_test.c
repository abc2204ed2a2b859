/* Numbers are dense and in the order of first use, pictures by count hide later names, and the durable form restores
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "store/names.h"

#include <stdio.h>

static void text_of(char out[16], uint32_t i)
{
    snprintf(out, 16, i % 7 ? "name %u" : "n%u", i);
}

static void numbers_follow_first_use(void **state)
{
    (void)state;
    struct names *names = names_new(1000);
    char text[16];
    uint32_t number;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 1000; i++) {
            text_of(text, i);
            assert_int_equal(names_intern(names, str_of(text), &number), STATUS_OK);
            assert_int_equal(number, i);
            assert_int_equal(names_find(names, str_of(text), 1000), i);
            assert_true(str_eq(names_text(names, i), str_of(text)));
        }
    }
    assert_int_equal(names_count(names), 1000);
    assert_int_equal(names_find(names, STR("name 500"), 500), UINT32_MAX); /* of a picture that ends before it */
    assert_int_equal(names_find(names, STR("name 499"), 500), 499);
    assert_int_equal(names_find(names, STR("other"), 1000), UINT32_MAX);
    assert_null(names_text(names, 1000).data);
    assert_int_equal(names_intern(names, STR("one more"), &number), STATUS_LIMIT);
    assert_int_equal(names_count(names), 1000);
    names_free(names);
}

static void exported_ranges_restore_them(void **state)
{
    (void)state;
    struct names *names = names_new(1000), *copy = names_new(1000), *blocks = names_new(1000);
    struct buf ranges[8], block = BUF_INIT(1 << 16);
    uint32_t firsts[8], counts[8], range_count = 0;
    char text[16];
    uint32_t number, saved = 0;
    for (uint32_t i = 0; i < 300; i++) {
        text_of(text, i);
        assert_int_equal(names_intern(names, i ? str_of(text) : STR(""), &number), STATUS_OK);
        if (i % 50 != 0 && i != 299) continue;
        buf_init(&ranges[range_count], 1 << 16);
        firsts[range_count] = saved;
        counts[range_count] = names_export(names, saved, SIZE_MAX, &ranges[range_count]);
        saved = names_count(names);
        assert_int_equal(firsts[range_count] + counts[range_count], saved);
        range_count++;
    }
    for (uint32_t r = 0; r < range_count; r++)
        assert_int_equal(names_import(copy, buf_str(&ranges[r]), firsts[r], counts[r]), STATUS_OK);
    assert_int_equal(names_count(copy), 300);
    for (uint32_t i = 0; i < 300; i++) assert_true(str_eq(names_text(copy, i), names_text(names, i)));
    /* the same in blocks of bounded size */
    for (uint32_t first = 0; first < 300;) {
        buf_reset(&block);
        uint32_t count = names_export(names, first, 100, &block);
        assert_true(count > 0 && (count == 1 || block.size <= 100));
        assert_int_equal(names_import(blocks, buf_str(&block), first, count), STATUS_OK);
        first += count;
    }
    assert_int_equal(names_count(blocks), 300);
    /* the same ranges again do not fit; cut ones, and ones with something behind them, neither */
    assert_int_equal(names_import(copy, buf_str(&ranges[0]), firsts[0], counts[0]), STATUS_CORRUPT);
    for (size_t size = 0; size <= ranges[1].size + 1; size++) {
        struct names *part = names_new(1000);
        assert_int_equal(names_import(part, buf_str(&ranges[0]), firsts[0], counts[0]), STATUS_OK);
        buf_reset(&block);
        buf_add(&block, ranges[1].data, size < ranges[1].size ? size : ranges[1].size);
        if (size > ranges[1].size) buf_byte(&block, 0);
        assert_int_equal(names_import(part, buf_str(&block), firsts[1], counts[1]),
                         size == ranges[1].size ? STATUS_OK : STATUS_CORRUPT);
        names_free(part);
    }
    for (uint32_t r = 0; r < range_count; r++) buf_fini(&ranges[r]);
    buf_fini(&block);
    names_free(names);
    names_free(copy);
    names_free(blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_follow_first_use),
        cmocka_unit_test(exported_ranges_restore_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
