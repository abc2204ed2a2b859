/* The style and explode table (checklist PAR-5), encoding (PAR-7), forms (BODY-6). */
#include "workflow/parameter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum place { QUERY, PATH, HEADER, COOKIE };

static void writes(enum place place, const char *style, bool explode, const char *json, const char *expected)
{
    static const char *const ins[] = {"query", "path", "header", "cookie"};
    struct arena *arena = arena_new((size_t)1 << 20);
    struct json value;
    struct buf buf = BUF_INIT(4096);
    struct error error = ERROR_INIT;
    assert_int_equal(json_parse(arena, str_of(json), NULL, NULL, &value), STATUS_OK);
    struct openapi_parameter declared = parameter_undeclared(STR("p"), str_of(ins[place]));
    if (style) declared.style = str_of(style), declared.explode = explode;
    switch (place) {
    case QUERY: parameter_query(&buf, &declared, &value); break;
    case PATH: parameter_path(&buf, &declared, &value); break;
    case HEADER: assert_int_equal(parameter_header(&buf, &declared, &value, &error), STATUS_OK); break;
    case COOKIE: parameter_cookie(&buf, &declared, &value); break;
    }
    buf_byte(&buf, 0);
    if (strcmp(buf.data, expected) != 0)
        fail_msg("%s %s %s: %s, not %s", ins[place], style ? style : "", json, buf.data, expected);
    buf_fini(&buf);
    arena_free(arena);
}

#define LIST "[\"a\",\"b c\"]"
#define MAP  "{\"R\":1,\"G\":\"x/y\"}"

static void test_styles(void **state)
{
    (void)state;
    writes(QUERY, NULL, false, LIST, "p=a&p=b%20c");
    writes(QUERY, NULL, false, MAP, "R=1&G=x%2Fy");
    writes(QUERY, "form", false, LIST, "p=a,b%20c");
    writes(QUERY, "form", false, MAP, "p=R,1,G,x%2Fy");
    writes(QUERY, "spaceDelimited", false, LIST, "p=a%20b%20c");
    writes(QUERY, "pipeDelimited", false, LIST, "p=a%7Cb%20c");
    writes(QUERY, "pipeDelimited", false, MAP, "p=R%7C1%7CG%7Cx%2Fy");
    writes(QUERY, "spaceDelimited", true, LIST, "p=a&p=b%20c");
    writes(QUERY, "deepObject", true, MAP, "p%5BR%5D=1&p%5BG%5D=x%2Fy");
    writes(QUERY, NULL, false, "[]", "");
    writes(QUERY, NULL, false, "{}", "");
    writes(QUERY, NULL, false, "[{\"a\":[1]}]", "p=%7B%22a%22%3A%5B1%5D%7D");
    writes(PATH, NULL, false, LIST, "a,b%20c");
    writes(PATH, NULL, false, MAP, "R,1,G,x%2Fy");
    writes(PATH, "simple", true, LIST, "a,b%20c");
    writes(PATH, "simple", true, MAP, "R=1,G=x%2Fy");
    writes(PATH, "label", false, "5", ".5");
    writes(PATH, "label", false, LIST, ".a,b%20c");
    writes(PATH, "label", true, LIST, ".a.b%20c");
    writes(PATH, "label", false, MAP, ".R,1,G,x%2Fy");
    writes(PATH, "label", true, MAP, ".R=1.G=x%2Fy");
    writes(PATH, "matrix", false, "5", ";p=5");
    writes(PATH, "matrix", false, LIST, ";p=a,b%20c");
    writes(PATH, "matrix", true, LIST, ";p=a;p=b%20c");
    writes(PATH, "matrix", false, MAP, ";p=R,1,G,x%2Fy");
    writes(PATH, "matrix", true, MAP, ";R=1;G=x%2Fy");
    writes(HEADER, NULL, false, LIST, "a,b c");
    writes(HEADER, NULL, false, MAP, "R,1,G,x/y");
    writes(HEADER, "simple", true, MAP, "R=1,G=x/y");
    writes(COOKIE, NULL, false, "\"a b;c\"", "p=a%20b%3Bc");
    writes(COOKIE, "form", false, LIST, "p=a,b%20c");
    writes(COOKIE, NULL, false, LIST, "p=a; p=b%20c");
}

static void test_scalars(void **state)
{
    (void)state;
    writes(QUERY, NULL, false, "true", "p=true");
    writes(QUERY, NULL, false, "42", "p=42");
    writes(QUERY, NULL, false, "1e3", "p=1000");
    writes(QUERY, NULL, false, "12345678901234567890", "p=12345678901234567890");
    writes(QUERY, NULL, false, "1.5", "p=1.5");
    writes(QUERY, NULL, false, "null", "p=null");
    writes(QUERY, NULL, false, "\"\"", "p=");
    writes(QUERY, NULL, false, "\"properties[\\\"x\\\"]==\\\"y&z\\\"\"", "p=properties%5B%22x%22%5D%3D%3D%22y%26z%22");
    writes(QUERY, NULL, false, "\"\xC3\xA9+%\"", "p=%C3%A9%2B%25");
    writes(PATH, NULL, false, "\"a/../b?c#d\"", "a%2F..%2Fb%3Fc%23d");
}

/* allowReserved keeps reserved characters, but none that would end the value; `content` writes JSON. */
static void test_reserved_and_content(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(4096);
    struct json value = json_string(STR("a/b?c:d&e=f g#h+i%20%zz"));
    struct openapi_parameter declared = parameter_undeclared(STR("p"), STR("query"));
    declared.allow_reserved = true;
    parameter_query(&buf, &declared, &value);
    declared.allow_reserved = false;
    declared.content_type = STR("application/json");
    value = json_string(STR("x"));
    parameter_query(&buf, &declared, &value);
    buf_byte(&buf, 0);
    assert_string_equal(buf.data, "p=a/b?c:d%26e%3Df%20g%23h%2Bi%20%25zz&p=%22x%22");
    buf_fini(&buf);
}

/* A header cannot carry line breaks: that would be another header. */
static void test_header_injection(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(4096);
    struct error error = ERROR_INIT;
    struct json value = json_string(STR("a\r\nX-Evil: 1"));
    struct openapi_parameter declared = parameter_undeclared(STR("p"), STR("header"));
    assert_int_equal(parameter_header(&buf, &declared, &value, &error), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "control character"));
    buf_fini(&buf);
}

static void test_form(void **state)
{
    (void)state;
    struct arena *arena = arena_new((size_t)1 << 20);
    struct json map;
    struct buf buf = BUF_INIT(4096);
    assert_int_equal(
        json_parse(arena, STR("{\"a b\":\"c&d=e\",\"n\":1,\"l\":[1,2],\"o\":{\"x\":[1]},\"ll\":[[1]],\"none\":[]}"),
                   NULL, NULL, &map),
        STATUS_OK);
    parameter_form(&buf, &map);
    buf_byte(&buf, 0);
    assert_string_equal(buf.data, "a%20b=c%26d%3De&n=1&l=1&l=2&o=%7B%22x%22%3A%5B1%5D%7D&ll=%5B%5B1%5D%5D");
    buf_fini(&buf);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_styles),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_reserved_and_content),
        cmocka_unit_test(test_header_injection),
        cmocka_unit_test(test_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
