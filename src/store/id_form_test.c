/* Texts of ids and their forms: there and back, one form a text, and what is cut is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "store/id_form.h"

#include <stdio.h>
#include <stdlib.h>

static void check(const char *data, size_t size, size_t expected)
{
    struct str text = str_from(data, size);
    struct id_form form;
    char *bytes, room[ID_TEXT_ROOM];
    id_form_make(text, &form);
    assert_int_equal(id_form_size(&form), expected);
    bytes = malloc(expected);
    memcpy(bytes, form.head, form.head_size);
    if (form.rest.size) memcpy(bytes + form.head_size, form.rest.data, form.rest.size);
    assert_true(id_form_is_at(&form, bytes));
    assert_int_equal(id_form_size_at(bytes), expected);
    assert_true(str_eq(id_form_text(bytes, room), text));
    uint32_t tag;
    struct reader reader = reader_of(str_from(bytes, expected));
    assert_int_equal(id_form_read(&reader, &tag), size);
    assert_int_equal(tag, form.tag);
    assert_int_equal(reader_left(&reader), 0);
    for (size_t cut = 0; cut < expected; cut++) {
        reader = reader_of(str_from(bytes, cut));
        (void)id_form_read(&reader, &tag);
        assert_true(reader.failed);
    }
    free(bytes);
}

static void there_and_back(void **state)
{
    (void)state;
    static const char *const packed[] = {
        "00000000-0000-0000-0000-000000000000",         "12345678-9012-3456-7890-123456789012",
        "01234567-89ab-cdef-0123-456789abcdef",         "01234567-89AB-CDEF-0123-456789ABCDEF",
        "$device:12345678-9012-3456-7890-123456789012", "$device:01234567-89ab-cdef-fedc-ba9876543210",
        "$device:01234567-89AB-CDEF-FEDC-BA9876543210", "ffffffff-ffff-ffff-ffff-ffffffffffff",
    };
    static const char *const plain[] = {
        "",
        "u",
        "$device:",
        "$device:1",
        "$Device:01234567-89ab-cdef-fedc-ba9876543210",
        "01234567-89aB-cdef-0123-456789abcdef",
        "01234567-89ab-cdef-0123-456789abcdeg",
        "01234567-89ab-cdef-0123-456789abcde",
        "01234567-89ab-cdef-0123-456789abcdef0",
        "01234567089ab-cdef-0123-456789abcdef",
        "01234567-89ab-cdef-0123_456789abcdef",
        "0123456789abcdef0123456789abcdef0123",
        "@1234567-89ab-cdef-0123-456789abcdef",
        "01234567-89ab-cdef-0123-456789abcd`f",
        "somebody@example.com",
    };
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) check(packed[i], strlen(packed[i]), 17);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) check(plain[i], strlen(plain[i]), strlen(plain[i]) + 1);
    static char longer[5000];
    memset(longer, '-', sizeof longer);
    for (size_t size = 100; size < sizeof longer; size += 61) check(longer, size, size + (size + 4 < 128 ? 1 : 2));
}

/* Every byte at every place of a UUID: whatever the form, the text comes back, and other texts have other forms. */
static void every_byte_at_every_place(void **state)
{
    (void)state;
    static const char *const texts[] = {"01234567-89ab-cdef-0123-456789abcdef",
                                        "$device:01234567-8901-2345-6789-012345678901"};
    for (size_t t = 0; t < 2; t++) {
        size_t size = strlen(texts[t]);
        for (size_t at = 0; at < size; at++) {
            for (unsigned c = 0; c < 256; c++) {
                char text[ID_TEXT_ROOM], first[64], room[ID_TEXT_ROOM];
                struct id_form form;
                memcpy(text, texts[t], size);
                text[at] = (char)c;
                id_form_make(str_from(text, size), &form);
                memcpy(first, form.head, form.head_size);
                if (form.rest.size) memcpy(first + form.head_size, form.rest.data, form.rest.size);
                assert_true(str_eq(id_form_text(first, room), str_from(text, size)));
                id_form_make(str_of(texts[t]), &form);
                assert_int_equal(id_form_is_at(&form, first), memcmp(text, texts[t], size) == 0);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(every_byte_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
