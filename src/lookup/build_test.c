/* CSV to a file and back into memory: what becomes of every kind of cell, what is refused and how it is told, and how
 * much a large table takes. */
#include "lookup/build.h"

#include "base/csv.h"
#include "lookup/table.h"
#include "os/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static char directory[] = "/tmp/cairn-lookup-XXXXXX";
static struct os_fs *fs;
static const struct lookup_build_limits limits = {.rows_max = 100000, .columns_max = 20};

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(directory)) return -1;
    return os_posix_new(directory, NULL, &fs) != STATUS_OK;
}
static int teardown(void **state)
{
    (void)state;
    os_fs_free(fs);
    return rmdir(directory);
}

static enum status build_from(struct str csv, struct error *error, struct lookup_report *report)
{
    struct memory_source source = memory_source_of(csv);
    return lookup_build(fs, "table", &source.base, &limits, error, report);
}

static char *read_file(uint64_t *ret_size)
{
    struct os_file *file;
    assert_int_equal(os_open(fs, "table", OS_READ, NULL, &file), STATUS_OK);
    assert_int_equal(os_size(file, ret_size, NULL), STATUS_OK);
    char *bytes = malloc(*ret_size + 1);
    assert_non_null(bytes);
    assert_int_equal(os_pread(file, bytes, *ret_size, 0, NULL), STATUS_OK);
    os_close(file);
    assert_int_equal(os_unlink(fs, "table", NULL), STATUS_OK);
    return bytes;
}

static struct lookup_table *table_of(struct str csv)
{
    struct error error = ERROR_INIT;
    struct lookup_report report;
    struct lookup_table *table;
    uint64_t size;
    if (build_from(csv, &error, &report) != STATUS_OK) fail_msg("%s", error.primary);
    char *bytes = read_file(&size);
    assert_int_equal(size, report.bytes);
    if (lookup_table_new(bytes, size, &error, &table) != STATUS_OK) fail_msg("%s", error.primary);
    assert_int_equal(lookup_table_rows(table), report.rows);
    assert_int_equal(lookup_table_columns(table), report.columns);
    return table;
}

static void is(const struct lookup_table *table, const char *key, const char *column, const char *wanted)
{
    struct buf text = BUF_INIT(1 << 20);
    uint32_t index = lookup_table_column(table, str_of(column));
    assert_int_not_equal(index, UINT32_MAX);
    struct value value = lookup_table_value(table, str_of(key), index);
    if (value.type == VALUE_ABSENT)
        buf_lit(&text, "undefined");
    else
        value_write_json(&text, value);
    buf_byte(&text, 0);
    assert_string_equal(text.data, wanted);
    buf_fini(&text);
}

static void cells(void **state)
{
    (void)state;
    static const struct {
        const char *cell, *wanted;
    } cases[] = {
        {"", "undefined"},
        {"\"\"", "undefined"},
        {"true", "true"},
        {"FALSE", "false"},
        {"truer", "\"truer\""},
        {"5", "5"},
        {"\"5\"", "5"},
        {"-0.5", "-0.5"},
        {"1e3", "1000"},
        {"9007199254740993", "9007199254740993"},
        {"12345678901234567890123", "12345678901234567890123"},
        {"007", "\"007\""},
        {"+1", "\"+1\""},
        {"1.", "\"1.\""},
        {"-", "\"-\""},
        {" 5", "\" 5\""},
        {"1 2", "\"1 2\""},
        {"2024-01-31", "\"2024-01-31\""},
        {"2024-01-31T12:00:00", "\"2024-01-31T12:00:00\""},
        {"\"[1,\"\"a\"\",null,[true]]\"", "[1,\"a\",null,[true]]"},
        {"[]", "[]"},
        {"[1", "\"[1\""},
        {"\"[{\"\"a\"\":1}]\"", "\"[{\\\"a\\\":1}]\""},
        {"\"{\"\"a\"\":1}\"", "\"{\\\"a\\\":1}\""},
        {"[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", "\"[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\""},
        {"null", "\"null\""},
        {"undefined", "\"undefined\""},
        {"\xC3\xA4", "\"\xC3\xA4\""},
    };
    struct buf csv = BUF_INIT(1 << 20);
    buf_lit(&csv, "key,before,value,after\r\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        buf_printf(&csv, "k%zu,%s,%s,%zu\n", i, cases[i].cell, cases[i].cell, i);
    struct lookup_table *table = table_of(buf_str(&csv));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char key[16], number[16];
        snprintf(key, sizeof key, "k%zu", i);
        snprintf(number, sizeof number, "%zu", i);
        is(table, key, "before", cases[i].wanted);
        is(table, key, "value", cases[i].wanted);
        is(table, key, "after", number);
        char quoted[20];
        snprintf(quoted, sizeof quoted, "\"%s\"", key);
        is(table, key, "key", quoted);
    }
    is(table, "k", "value", "undefined");
    is(table, "", "value", "undefined");
    assert_int_equal(lookup_table_column(table, STR("Value")), UINT32_MAX);
    lookup_table_unref(table);
    buf_fini(&csv);
}

/* A table without rows is one; keys are texts, byte for byte. */
static void keys(void **state)
{
    (void)state;
    struct lookup_table *table = table_of(STR("\xEF\xBB\xBFid,name"));
    assert_int_equal(lookup_table_rows(table), 0);
    is(table, "1", "name", "undefined");
    lookup_table_unref(table);
    table = table_of(STR("id,name\n5,five\n5.0,other\n\"a,b\nc\",quoted\n A,blank\nA,none\n\n[1],list\n"));
    assert_int_equal(lookup_table_rows(table), 6);
    is(table, "5", "name", "\"five\"");
    is(table, "5.0", "name", "\"other\"");
    is(table, "a,b\nc", "name", "\"quoted\"");
    is(table, " A", "name", "\"blank\"");
    is(table, "A", "name", "\"none\"");
    is(table, "a", "name", "undefined");
    is(table, "[1]", "name", "\"list\"");
    lookup_table_unref(table);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *csv, *wanted; /* index: message; … */
    } cases[] = {
        {"", "0: invalid header: the file is empty; "},
        {"id\n1\n", "0: invalid header: a key and at least one more column are needed; "},
        {"id,\n1,2\n", "0: invalid header: column 2 has no name; "},
        {",a\n1,2\n", "0: invalid header: column 1 has no name; "},
        {"id,a,b,a\n", "0: invalid header: columns 2 and 4 have the same name; "},
        {"id,\xFF\n", "0: invalid header: not valid UTF-8; "},
        {"id,\"a\n", "0: invalid row: a quote that begins here is not closed (line 1); "},
        {"id,a\n,x\n \t,y\n1,z\n",
         "1: primary key is required and cannot be blank; 2: primary key is required and cannot be blank; "},
        {"id,a\n1,x,y\n2\n3,z\n", "1: invalid row: wrong number of fields; 2: invalid row: wrong number of fields; "},
        {"id,a\n1,x\n1,y\n", "2: invalid row: row indexes 1 and 2 have the same primary key; "},
        {"id,a\nk,x\n2,y\n\"k\",z\n3\nk,w\n",
         "3: invalid row: row indexes 1 and 3 have the same primary key; 4: invalid row: wrong number of fields; "
         "5: invalid row: row indexes 1 and 5 have the same primary key; "},
        {"id,a\n1,\xC3\n2,b\n", "1: invalid row: not valid UTF-8; "},
        {"id,a\n1\n2,\"b\"c\n3\n",
         "1: invalid row: wrong number of fields; 2: invalid row: something other than a comma or a line end stands "
         "behind a closing quote (line 3); "},
        {"id,a\n\"1\n", "1: invalid row: a quote that begins here is not closed (line 2); "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = ERROR_INIT;
        struct lookup_report report;
        struct buf text = BUF_INIT(1 << 16);
        assert_int_equal(build_from(str_of(cases[i].csv), &error, &report), STATUS_INVALID);
        for (uint32_t f = 0; f < report.failure_count; f++)
            buf_printf(&text, "%u: %s; ", (unsigned)report.failures[f].index, report.failures[f].message);
        buf_byte(&text, 0);
        assert_string_equal(text.data, cases[i].wanted);
        assert_true(error.primary[0] != 0);
        buf_fini(&text);
        assert_int_equal(access(directory, F_OK), 0);
        struct os_file *file;
        assert_int_equal(os_open(fs, "table", OS_READ, NULL, &file), STATUS_NOT_FOUND);
    }
}

/* Ten are listed, however many there are. */
static void many_failures(void **state)
{
    (void)state;
    struct buf csv = BUF_INIT(1 << 20);
    struct lookup_report report;
    buf_lit(&csv, "id,a\n");
    for (int i = 0; i < 1000; i++) buf_lit(&csv, "same,x\n");
    assert_int_equal(build_from(buf_str(&csv), NULL, &report), STATUS_INVALID);
    assert_int_equal(report.failure_count, LOOKUP_FAILURES_MAX);
    assert_int_equal(report.failures[9].index, 11);
    buf_fini(&csv);
}

static void over_limits(void **state)
{
    (void)state;
    struct buf csv = BUF_INIT((size_t)8 << 20);
    struct lookup_report report;
    struct error error;
    buf_lit(&csv, "id,a\n");
    for (int i = 0; i < 100001; i++) buf_printf(&csv, "%d,x\n", i);
    assert_int_equal(build_from(buf_str(&csv), &error, &report), STATUS_LIMIT);
    assert_non_null(strstr(error.primary, "more than 100000 rows"));
    csv.size = csv.size - 9;
    assert_int_equal(build_from(buf_str(&csv), &error, &report), STATUS_OK);
    assert_int_equal(report.rows, 100000);
    assert_int_equal(os_unlink(fs, "table", NULL), STATUS_OK);
    buf_reset(&csv);
    for (int i = 0; i < 21; i++) buf_printf(&csv, "c%d,", i);
    assert_int_equal(build_from(buf_str(&csv), &error, &report), STATUS_LIMIT);
    buf_reset(&csv);
    buf_lit(&csv, "id,a\n1,");
    buf_fill(&csv, 'x', CSV_RECORD_BYTES_MAX);
    assert_int_equal(build_from(buf_str(&csv), &error, &report), STATUS_LIMIT);
    buf_fini(&csv);
}

/* Rows over several blocks of the file, with keys that begin alike; a duplicate far from its first is found. */
static void large(void **state)
{
    (void)state;
    enum { ROWS = 60000 };
    struct buf csv = BUF_INIT((size_t)64 << 20);
    struct lookup_report report;
    buf_lit(&csv, "id,name,price,tags\n");
    for (int i = 0; i < ROWS; i++)
        buf_printf(&csv, "the-long-prefix-of-all-keys-%d,\"Name, %d\",%d.5,\"[\"\"t%d\"\",%d]\"\n", i, i, i, i % 10, i);
    struct lookup_table *table = table_of(buf_str(&csv));
    for (int i = 0; i < ROWS; i += 7) {
        char key[64], wanted[64];
        snprintf(key, sizeof key, "the-long-prefix-of-all-keys-%d", i);
        snprintf(wanted, sizeof wanted, "\"Name, %d\"", i);
        is(table, key, "name", wanted);
        snprintf(wanted, sizeof wanted, "[\"t%d\",%d]", i % 10, i);
        is(table, key, "tags", wanted);
    }
    lookup_table_unref(table);
    buf_printf(&csv, "the-long-prefix-of-all-keys-3,x,y,z\nthe-long-prefix-of-all-keys-%d,x,y,z\n", ROWS - 1);
    assert_int_equal(build_from(buf_str(&csv), NULL, &report), STATUS_INVALID);
    assert_int_equal(report.failure_count, 2);
    assert_string_equal(report.failures[0].message, "invalid row: row indexes 4 and 60001 have the same primary key");
    assert_string_equal(report.failures[1].message,
                        "invalid row: row indexes 60000 and 60002 have the same primary key");
    buf_fini(&csv);
}

/* No flipped bit and no cut file passes for the table; and nothing that has a right checksum but makes no sense. */
static void damage(void **state)
{
    (void)state;
    struct lookup_report report;
    struct lookup_table *table;
    struct error error;
    uint64_t size;
    assert_int_equal(build_from(STR("id,name,n\n1,one,1\n2,two,\n3,three,\"[1,2]\"\n"), NULL, &report), STATUS_OK);
    char *bytes = read_file(&size);
    for (uint64_t at = 0; at < size; at++) {
        char *copy = malloc(size);
        memcpy(copy, bytes, size);
        copy[at] = (char)(copy[at] ^ 4);
        enum status status = lookup_table_new(copy, size, &error, &table);
        assert_true(status == STATUS_CORRUPT);
    }
    for (uint64_t cut = 0; cut < size; cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, bytes, cut);
        assert_int_equal(lookup_table_new(copy, cut, &error, &table), STATUS_CORRUPT);
    }
    /* Whoever can write checksums cannot have bytes read that are not there. */
    for (uint64_t at = LOOKUP_HEADER_BYTES; at < size; at++) {
        for (unsigned value = 0; value < 256; value += 5) {
            char *copy = malloc(size);
            struct reader reader = reader_of(str_from(bytes + 16, 48));
            memcpy(copy, bytes, size);
            copy[at] = (char)value;
            struct lookup_header header = {.rows = read_u64(&reader), .columns = read_u32(&reader)};
            (void)read_u32(&reader);
            header.names_bytes = read_u64(&reader);
            header.rows_bytes = read_u64(&reader);
            header.check = lookup_check(0, str_from(copy + LOOKUP_HEADER_BYTES, size - LOOKUP_HEADER_BYTES));
            lookup_header_write(&header, copy);
            enum status status = lookup_table_new(copy, size, &error, &table);
            if (status == STATUS_OK) {
                (void)lookup_table_value(table, STR("1"), 2);
                lookup_table_unref(table);
            } else {
                assert_int_equal(status, STATUS_CORRUPT);
            }
        }
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells),         cmocka_unit_test(keys),        cmocka_unit_test(refused),
        cmocka_unit_test(many_failures), cmocka_unit_test(over_limits), cmocka_unit_test(large),
        cmocka_unit_test(damage),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
