/* The small grammars: each case is an input and what must come out, including the inputs that must be
 * refused. */
#include "http/syntax.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* The end of a header block is found at the same byte however the block is cut in two. */
static void scan_finds_the_end(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        enum http_scan_result result;
        size_t used;
    } cases[] = {
        {STR("GET / HTTP/1.1\r\n\r\nrest"), HTTP_SCAN_END, 18},
        {STR("GET / HTTP/1.1\r\nA: b\r\n\r\n\r\n"), HTTP_SCAN_END, 24},
        {STR("GET / HTTP/1.1\r\nA: b\r\n"), HTTP_SCAN_MORE, 22},
        {STR("GET / HTTP/1.1\r\n\r"), HTTP_SCAN_MORE, 17},
        {STR("GET / HTTP/1.1\nA: b\r\n\r\n"), HTTP_SCAN_BARE_LF, 15},
        {STR("GET / HTTP/1.1\r\n\nA: b\r\n\r\n"), HTTP_SCAN_BARE_LF, 17},
        {STR("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"), HTTP_SCAN_FOLDED, 22},
        {STR("GET / HTTP/1.1\r\n\tc\r\n\r\n"), HTTP_SCAN_FOLDED, 16},
        {STR("GET / HTTP/1.1\r\n: c\r\n\r\n"), HTTP_SCAN_NAMELESS, 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t split = 0; split <= cases[i].text.size; split++) {
            struct http_scan scan = {0};
            struct str head = str_slice(cases[i].text, 0, split), tail = str_slice(cases[i].text, split, SIZE_MAX);
            size_t used = 0, more = 0;
            enum http_scan_result result = http_scan(&scan, head.data, head.size, &used);
            if (result == HTTP_SCAN_MORE) {
                assert_int_equal(used, head.size);
                result = http_scan(&scan, tail.data, tail.size, &more);
            }
            assert_int_equal(result, cases[i].result);
            assert_int_equal(used + more, cases[i].used);
        }
    }
}

static void request_lines(void **state)
{
    (void)state;
    assert_true(http_request_line_plausible(STR("GET / HTTP/1.1")));
    assert_true(http_request_line_plausible(STR("GET / HTTP/9")));
    assert_false(http_request_line_plausible(STR("get / HTTP/1.1")));
    assert_false(http_request_line_plausible(STR("GET /")));
    assert_false(http_request_line_plausible(STR("HTTP/1.1")));
    assert_false(http_request_line_plausible(STR("")));
}

static void targets(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query; /* path NULL: refused */
    } cases[] = {
        {"/", "/", ""},
        {"/a/b?c=d?e", "/a/b", "c=d?e"},
        {"/a?", "/a", ""},
        {"*", "*", ""},
        {"http://host:80/a?b", "/a", "b"},
        {"HTTPS://host", "/", ""},
        {"http://host?b", "/", "b"},
        {"http:///a", NULL, NULL},
        {"ftp://host/a", NULL, NULL},
        {"a/b", NULL, NULL},
        {"", NULL, NULL},
        {"?a", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str path, query;
        bool ok = http_target_split(str_of(cases[i].target), &path, &query);
        if (ok != (cases[i].path != NULL)) fail_msg("target %s", cases[i].target);
        if (!ok) continue;
        assert_true(str_eq(path, str_of(cases[i].path)));
        assert_true(str_eq(query, str_of(cases[i].query)));
    }
}

static void percent_decoding(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 16);
    struct str plain;
    assert_true(http_percent_decode(arena, STR("/a+b"), &plain) && str_is(plain, "/a+b"));
    assert_true(http_percent_decode(arena, STR("%2Fa%c3%A9%25"), &plain) && str_is(plain, "/a\xc3\xa9%"));
    static const char *const refused[] = {"%", "a%4", "%4", "%zz", "%4g", "a%00b", "%41%"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (http_percent_decode(arena, str_of(refused[i]), &plain)) fail_msg("%s", refused[i]);
    }
    arena_free(arena);
}

static void hosts(void **state)
{
    (void)state;
    assert_true(http_host_valid(STR("example.com:8080")));
    assert_true(http_host_valid(STR("[::1]:80")));
    assert_true(http_host_valid(STR("")));
    assert_false(http_host_valid(STR("a b")));
    assert_false(http_host_valid(STR("a/b")));
    assert_false(http_host_valid(STR("a@b")));
    assert_false(http_host_valid(STR("a\0b")));
}

static void codings(void **state)
{
    (void)state;
    assert_int_equal(http_coding_of(STR_NULL), HTTP_CODING_IDENTITY);
    assert_int_equal(http_coding_of(STR("Identity")), HTTP_CODING_IDENTITY);
    assert_int_equal(http_coding_of(STR(" GZip ")), HTTP_CODING_GZIP);
    assert_int_equal(http_coding_of(STR("x-gzip")), HTTP_CODING_GZIP);
    assert_int_equal(http_coding_of(STR("deflate")), HTTP_CODING_DEFLATE);
    assert_int_equal(http_coding_of(STR("br")), HTTP_CODING_UNKNOWN);
    assert_int_equal(http_coding_of(STR("gzip, gzip")), HTTP_CODING_UNKNOWN);
}

/* Negotiation by name, star and quality. */
static void accept_encoding(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool gzip;
    } cases[] = {
        {"gzip", true},
        {"GZIP", true},
        {"br, gzip", true},
        {"gzip;q=0.001", true},
        {"gzip;q=1", true},
        {"*", true},
        {"br;q=1, *;q=0.1", true},
        {"x-gzip", true},
        {"", false},
        {"br", false},
        {"gzip;q=0", false},
        {"gzip; Q=0.000", false},
        {"*;q=0", false},
        {"gzip;q=0, *", false},
        {"*, gzip;q=0", false},
        {"identity", false},
        {"gzipped", false},
        {"gzip;q=", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (http_accepts_gzip(str_of(cases[i].text)) != cases[i].gzip) fail_msg("\"%s\"", cases[i].text);
    }
    assert_false(http_accepts_gzip(STR_NULL));
}

static void types(void **state)
{
    (void)state;
    assert_true(http_type_compresses(STR("application/json; charset=utf-8")));
    assert_true(http_type_compresses(STR("text/csv")));
    assert_true(http_type_compresses(STR("image/svg+xml")));
    assert_true(http_type_compresses(STR("application/javascript")));
    assert_false(http_type_compresses(STR("image/gif")));
    assert_false(http_type_compresses(STR("application/gzip")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan_finds_the_end), cmocka_unit_test(request_lines), cmocka_unit_test(targets),
        cmocka_unit_test(percent_decoding),   cmocka_unit_test(hosts),         cmocka_unit_test(codings),
        cmocka_unit_test(accept_encoding),    cmocka_unit_test(types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
