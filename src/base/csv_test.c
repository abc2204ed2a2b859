/* Records in every spelling, read from sources that give a byte, a few or everything at a time: what they mean must not
 * depend on where a piece ends. */
#include "base/csv.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* Gives at most `piece` bytes at a time. */
struct dribble {
    struct source base;
    struct str rest;
    size_t piece;
};

static enum status dribble_read(struct source *base, char *data, size_t size, struct error *error, size_t *ret_size)
{
    (void)error;
    struct dribble *source = (struct dribble *)base;
    if (size > source->piece) size = source->piece;
    if (size > source->rest.size) size = source->rest.size;
    if (size) memcpy(data, source->rest.data, size);
    source->rest = str_slice(source->rest, size, source->rest.size);
    *ret_size = size;
    return STATUS_OK;
}

/* Everything that was read, as `a|b/c|d/`, and the error behind it. */
static void read_all(struct str text, size_t piece, const struct csv_limits *limits, struct buf *out)
{
    struct dribble source = {.base = {dribble_read}, .rest = text, .piece = piece};
    struct csv *csv = csv_new(&source.base, limits);
    const struct str *fields;
    uint32_t count;
    struct error error = ERROR_INIT;
    enum status status;
    assert_non_null(csv);
    while ((status = csv_next(csv, &error, &fields, &count)) == STATUS_OK && count) {
        uint32_t kept = count < limits->fields_max ? count : limits->fields_max;
        for (uint32_t i = 0; i < kept; i++) {
            if (i) buf_byte(out, '|');
            buf_str_add(out, fields[i]);
        }
        if (kept < count) buf_printf(out, "|+%u", count - kept);
        buf_byte(out, '/');
    }
    if (status == STATUS_OK) {
        assert_int_equal(csv_next(csv, &error, &fields, &count), STATUS_OK);
        assert_int_equal(count, 0);
    } else {
        buf_printf(out, "! %s %u %s", status_name(status), error.line, error.primary);
    }
    csv_free(csv);
}

static const struct csv_limits usual = {CSV_RECORD_BYTES_MAX, 8};

static void records(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"", ""},
        {"\n", ""},
        {"\r\n\r\n\n", ""},
        {"a", "a/"},
        {"a,b\nc,d\n", "a|b/c|d/"},
        {"a,b\r\nc,d", "a|b/c|d/"},
        {"a,b\n\n\r\nc,d\n\n", "a|b/c|d/"},
        {",\n,", "|/|/"},
        {"a,\nb", "a|/b/"},
        {"\"a\",\"b\"\n", "a|b/"},
        {"\"a,b\",\"c\nd\",\"e\r\nf\"\n", "a,b|c\nd|e\r\nf/"},
        {"\"a \"\"b\"\" c\",\"\"\"\"\n", "a \"b\" c|\"/"},
        {"\"\",\"\"\n\"\"\n", "|//"},
        {"\"\"\"\"\"\"", "\"\"/"},
        {"5\" pipe,a\"b\"c\n", "5\" pipe|a\"b\"c/"},
        {" \"a\" ,b\n", " \"a\" |b/"},
        {"\xEF\xBB\xBFkey,v\n1,2\n", "key|v/1|2/"},
        {"\xEF\xBB\xBF", ""},
        {"\xEF\xBB,x\n", "\xEF\xBB|x/"},
        {"\xEF\xBB\xBF\"key\",v\n", "key|v/"},
        {"\xEF\xBB\xBF\n\xEF\xBB\xBF,x\n", "\xEF\xBB\xBF|x/"},
        {"a\rb,c\n", "a\rb|c/"},
        {"a,b\r", "a|b\r/"},
        {"\r", "\r/"},
        {"a\r\r\nb", "a\r/b/"},
        {"1,2,3,4,5,6,7,8,9,10\n", "1|2|3|4|5|6|7|8|+2/"},
        {"\"a\"b,c\n", "! invalid 1 something other than a comma or a line end stands behind a closing quote"},
        {"a,b\n\n\"c\"\"\" ,d\n",
         "a|b/! invalid 3 something other than a comma or a line end stands behind a closing quote"},
        {"\"a\"\rb\n", "! invalid 1 something other than a comma or a line end stands behind a closing quote"},
        {"a,b\n1,\"x\ny\n", "a|b/! invalid 2 a quote that begins here is not closed"},
        {"\"", "! invalid 1 a quote that begins here is not closed"},
        {"\"a\"\"", "! invalid 1 a quote that begins here is not closed"},
        {"\"a\"\r", "! invalid 1 something other than a comma or a line end stands behind a closing quote"},
    };
    static const size_t pieces[] = {1, 2, 3, 7, SIZE_MAX};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            struct buf out = BUF_INIT(1 << 16);
            read_all(str_of(cases[i].text), pieces[p], &usual, &out);
            buf_byte(&out, 0);
            assert_string_equal(out.data, cases[i].wanted);
            buf_fini(&out);
        }
    }
}

/* A NUL is a byte like others. */
static void any_bytes(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(1 << 16);
    read_all(STR("a\0b,\xFF\n\"\0\"\n"), 1, &usual, &out);
    assert_true(str_eq(buf_str(&out), STR("a\0b|\xFF/\0/")));
    buf_fini(&out);
}

/* Records longer than the block, and the longest that is allowed, with and without a line end behind it. */
static void long_records(void **state)
{
    (void)state;
    const struct csv_limits limits = {300000, 4};
    for (size_t size = 299999; size <= 300001; size++) {
        for (int form = 0; form < 4; form++) {
            struct buf text = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
            buf_lit(&text, "k,v\n");
            if (form & 1) buf_byte(&text, '"');
            buf_fill(&text, 'x', size - (form & 1 ? 2 : 0));
            if (form & 1) buf_byte(&text, '"');
            if (form & 2) buf_lit(&text, "\r\nend");
            read_all(buf_str(&text), 65536, &limits, &out);
            bool refused = str_find(buf_str(&out), STR("! limit 0 record is longer than 300000 bytes"), 0) != SIZE_MAX;
            assert_int_equal(refused, size > 300000);
            if (!refused) assert_int_equal(out.size, 4 + size - (form & 1 ? 2 : 0) + 1 + (form & 2 ? 4 : 0));
            buf_fini(&text);
            buf_fini(&out);
        }
    }
}

/* Lines are counted also inside quotes. */
static void lines(void **state)
{
    (void)state;
    struct memory_source source = memory_source_of(STR("\na,b\n\"x\ny\nz\",1\r\nc,d\n"));
    struct csv *csv = csv_new(&source.base, &usual);
    const uint64_t wanted[] = {2, 3, 6};
    const struct str *fields;
    uint32_t count;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(csv_next(csv, NULL, &fields, &count), STATUS_OK);
        assert_int_equal(count, 2);
        assert_int_equal(csv_line(csv), wanted[i]);
    }
    csv_free(csv);
}

static enum status failing_read(struct source *source, char *data, size_t size, struct error *error, size_t *ret_size)
{
    (void)source, (void)data, (void)size, (void)ret_size;
    return error_set(error, STATUS_IO, "no more");
}

static void failing_source(void **state)
{
    (void)state;
    struct source source = {failing_read};
    struct csv *csv = csv_new(&source, &usual);
    const struct str *fields;
    uint32_t count;
    struct error error;
    assert_int_equal(csv_next(csv, &error, &fields, &count), STATUS_IO);
    assert_string_equal(error.primary, "no more");
    csv_free(csv);
}

/* What is written is read again. */
static void round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "a", "a,b", "\"", "a\"b", "line\nline", "\r\n", " x ", "\xC3\xA4"};
    struct buf text = BUF_INIT(1 << 16), out = BUF_INIT(1 << 16);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (i) buf_byte(&text, ',');
        csv_write(&text, str_of(texts[i]));
    }
    const struct csv_limits limits = {CSV_RECORD_BYTES_MAX, 20};
    read_all(buf_str(&text), 1, &limits, &out);
    assert_true(str_eq(buf_str(&out), STR("|a|a,b|\"|a\"b|line\nline|\r\n| x |\xC3\xA4/")));
    buf_fini(&text);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records), cmocka_unit_test(any_bytes),      cmocka_unit_test(long_records),
        cmocka_unit_test(lines),   cmocka_unit_test(failing_source), cmocka_unit_test(round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
