/* References between documents (checklist SRC-2) and joining of server and path (SRC-4). */
#include "workflow/location.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static void test_resolve(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"arazzo/w.yml", "../openapi/x.yml", "openapi/x.yml"},
        {"w.yml", "../openapi/x.yml", "../openapi/x.yml"},
        {"w.yml", "../../a/../x.yml", "../../x.yml"},
        {"w.yml", "x.yml", "x.yml"},
        {"w.yml", "./x.yml", "x.yml"},
        {"a/b/w.yml", ".././/x.yml", "a//x.yml"},
        {"/a/b/w.yml", "../x.yml", "/a/x.yml"},
        {"/a/w.yml", "../../../x.yml", "/x.yml"},
        {"/a/w.yml", "/etc/x.yml", "/etc/x.yml"},
        {"a/w.yml", "b%20c%2Fd.yml", "a/b c/d.yml"},
        {"a b/w.yml", "x.yml#/info", "a b/x.yml"},
        {"a/w.yml", "", "a/w.yml"},
        {"a/w.yml", "#/x", "a/w.yml"},
        {"a/w.yml", "file:///tmp/x%20y.yml", "/tmp/x y.yml"},
        {"a/w.yml", "file:/tmp/x.yml", "/tmp/x.yml"},
        {"a/w.yml", "https://h/a/../x.yml", "https://h/x.yml"},
        {"a/w.yml", "HTTP://h", "HTTP://h"},
        {"http://h/a/b/w.yml?q=/x", "../x.yml?v=1", "http://h/a/x.yml?v=1"},
        {"http://h", "x.yml", "http://h/x.yml"},
        {"http://h/a/w.yml", "/x.yml", "http://h/x.yml"},
        {"https://h/a/w.yml", "//other/x.yml", "https://other/x.yml"},
        {"http://h/a/w.yml", "../../../x.yml", "http://h/x.yml"},
        {"http://h/a/w.yml", "b%20c", "http://h/a/b%20c"},
    };
    struct arena *arena = arena_new((size_t)1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str location;
        struct error error = ERROR_INIT;
        if (location_resolve(arena, str_of(cases[i][0]), str_of(cases[i][1]), &error, &location) != STATUS_OK)
            fail_msg("%s", error.primary);
        if (!str_eq(location, str_of(cases[i][2])))
            fail_msg("%s + %s is %.*s", cases[i][0], cases[i][1], (int)location.size, location.data);
    }
    struct str location;
    assert_int_equal(location_resolve(arena, STR("w.yml"), STR("ftp://h/x"), NULL, &location), STATUS_INVALID);
    assert_int_equal(location_resolve(arena, STR("w.yml"), STR("urn:x"), NULL, &location), STATUS_INVALID);
    assert_int_equal(location_resolve(arena, STR("w.yml"), STR("file://other/x"), NULL, &location), STATUS_INVALID);
    assert_int_equal(location_resolve(arena, STR("http://h/w.yml"), STR("file:///etc/passwd"), NULL, &location),
                     STATUS_INVALID);
    arena_free(arena);
}

static void test_check_server(void **state)
{
    (void)state;
    static const char *const good[] = {"http://h", "https://h:80/", "HTTP://127.0.0.1:8080/api/2.0",
                                       "http://[::1]:80/a"};
    static const char *const bad[] = {"",           "/",           "h",           "ftp://h",
                                      "http://",    "http:///a",   "http://:80",  "http://u:p@h/",
                                      "http://u@h", "http://h/?a", "http://h/#a", "http://h/a b",
                                      "http://h\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(location_check_server(str_of(good[i]), NULL), STATUS_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(location_check_server(str_of(bad[i]), NULL), STATUS_INVALID);
}

static void test_join(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"https://h/api/2.0", "/segmentation", "https://h/api/2.0/segmentation"},
        {"https://h/api/2.0/", "/segmentation", "https://h/api/2.0/segmentation"},
        {"https://h", "/", "https://h/"},
        {"https://h/", "/a/", "https://h/a/"},
        {"https://h//", "a?b=/", "https://h/a?b=/"},
    };
    struct arena *arena = arena_new((size_t)1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str joined = location_join(arena, str_of(cases[i][0]), str_of(cases[i][1]));
        assert_true(str_eq(joined, str_of(cases[i][2])));
    }
    arena_free(arena);
}

/* Files are read whole up to the limit; only regular files, so that a pipe cannot block the run. */
static void test_read(void **state)
{
    (void)state;
    char folder[] = "/tmp/cairn-location-XXXXXX", path[64], pipe_path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/f", folder);
    snprintf(pipe_path, sizeof pipe_path, "%s/p", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("content", file);
    fclose(file);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    struct arena *arena = arena_new((size_t)1 << 20);
    struct str text;
    assert_int_equal(location_read_file(arena, str_of(path), 7, NULL, &text), STATUS_OK);
    assert_true(str_is(text, "content"));
    assert_int_equal(location_read_file(arena, str_of(path), 6, NULL, &text), STATUS_LIMIT);
    assert_int_equal(location_read_file(arena, str_of(pipe_path), 6, NULL, &text), STATUS_INVALID);
    assert_int_equal(location_read_file(arena, str_from("a\0b", 3), 6, NULL, &text), STATUS_INVALID);
    assert_int_equal(location_read(arena, NULL, STR("http://h/x"), 6, 1000, NULL, &text), STATUS_UNSUPPORTED);
    arena_free(arena);
    unlink(path);
    unlink(pipe_path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_resolve), cmocka_unit_test(test_check_server),
                                       cmocka_unit_test(test_join), cmocka_unit_test(test_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
