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

static void pieces_restore_them(void **state)
{
    (void)state;
    struct names *names = names_new(1000), *copy = names_new(1000);
    struct buf pieces = BUF_INIT(1 << 16);
    char text[16];
    uint32_t number, saved = 0;
    for (uint32_t i = 0; i < 300; i++) {
        text_of(text, i);
        assert_int_equal(names_intern(names, i ? str_of(text) : STR(""), &number), STATUS_OK);
        if (i % 50 == 0) {
            names_export(names, saved, &pieces);
            saved = names_count(names);
        }
    }
    names_export(names, saved, &pieces);
    struct reader reader = reader_of(buf_str(&pieces));
    while (reader_left(&reader)) assert_int_equal(names_import(copy, &reader), STATUS_OK);
    assert_int_equal(names_count(copy), 300);
    for (uint32_t i = 0; i < 300; i++) assert_true(str_eq(names_text(copy, i), names_text(names, i)));
    /* the same pieces again do not fit; cut ones neither */
    reader = reader_of(buf_str(&pieces));
    assert_int_equal(names_import(copy, &reader), STATUS_CORRUPT);
    for (size_t size = 0; size < 200; size++) {
        struct names *part = names_new(1000);
        reader = reader_of(str_from(pieces.data, size));
        enum status status = STATUS_OK;
        while (reader_left(&reader) && status == STATUS_OK) status = names_import(part, &reader);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        names_free(part);
    }
    buf_fini(&pieces);
    names_free(names);
    names_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_follow_first_use),
        cmocka_unit_test(pieces_restore_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
