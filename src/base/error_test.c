/* The texts of errors: what is set, what is cleared, that they are cut between characters, and that NULL is fine. */
#include "base/error.h"

#include "base/utf8.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Shows that every status has a name of its own. */
static void test_names(void **state)
{
    (void)state;
    for (int a = STATUS_OK; a <= STATUS_INTERNAL; a++) {
        assert_string_not_equal(status_name((enum status)a), "unknown");
        for (int b = STATUS_OK; b < a; b++)
            assert_string_not_equal(status_name((enum status)a), status_name((enum status)b));
    }
    assert_string_equal(status_name((enum status)(STATUS_INTERNAL + 1)), "unknown");
}

/* Shows setting, detail, hint, position and prefix, the joined text, and that setting anew forgets the old ones. */
static void test_texts(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    char text[2048];
    assert_int_equal(error_set(&error, STATUS_INVALID, "unknown unit \"%s\"", "fortnight"), STATUS_INVALID);
    assert_string_equal(error_text(&error, text, sizeof text), "unknown unit \"fortnight\"");
    error_hint(&error, "use %s", "day");
    assert_string_equal(error_text(&error, text, sizeof text), "unknown unit \"fortnight\"; use day");
    error_detail(&error, "seen in parameter %d", 3);
    error_position(&error, 4, 5);
    error_prefix(&error, "query %d", 7);
    assert_string_equal(error_text(&error, text, sizeof text),
                        "query 7: unknown unit \"fortnight\" (seen in parameter 3); use day");
    assert_int_equal(error.line, 4);
    assert_int_equal(error.column, 5);
    assert_string_equal(error_text(&error, text, 8), "query 7");

    assert_int_equal(error_set_os(&error, STATUS_IO, ENOSPC, "cannot write %s", "wal"), STATUS_IO);
    assert_int_equal(error.status, STATUS_IO);
    assert_int_equal(error.line + error.column, 0);
    assert_string_equal(error_text(&error, text, sizeof text), "cannot write wal (No space left on device)");
    error_detail(&error, "x");
    error_set(&error, STATUS_LIMIT, "full");
    assert_string_equal(error_text(&error, text, sizeof text), "full");
}

/* Shows that texts that do not fit end between two characters, whichever way they got too long. */
static void test_cut(void **state)
{
    (void)state;
    char wide[2001];
    for (size_t i = 0; i < 1000; i++) memcpy(wide + 2 * i, "\xC3\xA4", 2);
    wide[2000] = 0;
    for (int shift = 0; shift < 2; shift++) {
        struct error error = ERROR_INIT;
        const char *front = shift ? "x" : "";
        error_set(&error, STATUS_INVALID, "%s%s", front, wide);
        error_detail(&error, "%s%s", front, wide);
        error_hint(&error, "%s%s", front, wide);
        assert_true(utf8_valid(error.primary, strlen(error.primary)));
        assert_true(utf8_valid(error.detail, strlen(error.detail)));
        assert_true(utf8_valid(error.hint, strlen(error.hint)));
        assert_true(strlen(error.primary) >= sizeof error.primary - 2);
        error_prefix(&error, "p");
        assert_true(utf8_valid(error.primary, strlen(error.primary)));
        error_prefix(&error, "%s", wide);
        assert_true(utf8_valid(error.primary, strlen(error.primary)));
        assert_true(strlen(error.primary) >= sizeof error.primary - 2);
    }
}

/* Shows that a caller who wants no text gets the status all the same. */
static void test_null(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, STATUS_CORRUPT, "x"), STATUS_CORRUPT);
    assert_int_equal(error_set_os(NULL, STATUS_IO, EIO, "x"), STATUS_IO);
    error_detail(NULL, "x");
    error_hint(NULL, "x");
    error_position(NULL, 1, 1);
    error_prefix(NULL, "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
