#include "lookup/build.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/csv.h"
#include "base/hash.h"
#include "base/json.h"
#include "lookup/table.h"
#include "meta/meta.h"
#include "os/clock.h"

#define SCRATCH_BYTES_MAX ((size_t)64 << 20)
#define LIST_DEPTH_MAX    (VALUE_DEPTH_MAX - 1)

/* A key that was seen: where its row stands in the file, which row it is, and a part of its hash. Only when that part
 * agrees is the key itself looked at, in the file. */
struct seen {
    uint32_t place, row, tag; /* place 0: free */
};

struct build {
    struct os_file *file;
    const struct lookup_build_limits *limits;
    struct error *error;
    struct lookup_report *report;
    struct csv *csv;
    struct arena *scratch;
    struct buf block;  /* of the file, not written yet */
    uint64_t block_at; /* where it begins */
    uint64_t check;    /* of the blocks before it */
    uint64_t names_bytes;
    struct buf key; /* of an earlier row, read again */
    struct seen *seen;
    size_t seen_mask, seen_count;
    uint64_t seed, index; /* of the record */
};

PRINTF_LIKE(2, 3) static void refuse(struct build *b, const char *format, ...)
{
    struct lookup_report *report = b->report;
    if (report->failure_count == LOOKUP_FAILURES_MAX) return;
    struct lookup_failure *failure = &report->failures[report->failure_count++];
    va_list values;
    va_start(values, format);
    vsnprintf(failure->message, sizeof failure->message, format, values);
    va_end(values);
    failure->index = b->index;
}

/* --- the file --- */

static enum status write_block(struct build *b)
{
    size_t size = b->block.size < LOOKUP_BLOCK_BYTES ? b->block.size : LOOKUP_BLOCK_BYTES;
    TRY(os_pwrite(b->file, b->block.data, size, b->block_at, b->error));
    b->check = lookup_check(b->check, str_slice(buf_str(&b->block), 0, size));
    buf_consume(&b->block, size);
    b->block_at += size;
    return STATUS_OK;
}

static uint64_t place_now(const struct build *b)
{
    return b->block_at + b->block.size;
}

static enum status written(struct build *b)
{
    if (buf_status(&b->block) != STATUS_OK)
        return error_set(b->error, STATUS_LIMIT, "out of memory for a lookup table");
    while (b->block.size >= LOOKUP_BLOCK_BYTES) TRY(write_block(b));
    if (place_now(b) <= LOOKUP_FILE_MAX) return STATUS_OK;
    return error_set(b->error, STATUS_LIMIT, "lookup table is larger than %" PRIu64 " bytes", LOOKUP_FILE_MAX);
}

/* Bytes that were added before, wherever they are by now. */
static enum status read_back(struct build *b, uint64_t at, size_t size, char *bytes)
{
    if (at < b->block_at) {
        size_t part = b->block_at - at < size ? (size_t)(b->block_at - at) : size;
        TRY(os_pread(b->file, bytes, part, at, b->error));
        at += part;
        bytes += part;
        size -= part;
    }
    if (size) memcpy(bytes, b->block.data + (at - b->block_at), size);
    return STATUS_OK;
}

/* --- keys that occur twice --- */

static enum status same_key(struct build *b, uint32_t place, struct str key, bool *ret_same)
{
    char head[VARINT_BYTES_MAX], wanted[VARINT_BYTES_MAX];
    size_t head_size = (size_t)(raw_varint(wanted, key.size) - wanted);
    *ret_same = false;
    /* A shorter row may end before: then the sizes differ in the bytes that there are. */
    if (place_now(b) - place < head_size + key.size) return STATUS_OK;
    TRY(read_back(b, place, head_size, head));
    if (memcmp(head, wanted, head_size) != 0) return STATUS_OK;
    buf_reset(&b->key);
    char *bytes = buf_reserve(&b->key, key.size + 1);
    if (!bytes) return error_set(b->error, STATUS_LIMIT, "out of memory for a lookup table");
    TRY(read_back(b, place + head_size, key.size, bytes));
    *ret_same = memcmp(bytes, key.data, key.size) == 0;
    return STATUS_OK;
}

static enum status grow(struct build *b)
{
    size_t capacity = b->seen ? (b->seen_mask + 1) * 2 : 1024;
    struct seen *larger = calloc(capacity, sizeof *larger);
    if (!larger) return error_set(b->error, STATUS_LIMIT, "out of memory for the keys of a lookup table");
    for (size_t i = 0; b->seen && i <= b->seen_mask; i++) {
        if (!b->seen[i].place) continue;
        /* The slot comes from the tag: that is all of the hash that is kept. */
        size_t at = hash_u64(b->seen[i].tag, b->seed) & (capacity - 1);
        while (larger[at].place) at = (at + 1) & (capacity - 1);
        larger[at] = b->seen[i];
    }
    free(b->seen);
    b->seen = larger;
    b->seen_mask = capacity - 1;
    return STATUS_OK;
}

/* Remembers the key of the row that comes next; *ret_row is the row that has it already, or 0. */
static enum status remember(struct build *b, struct str key, uint32_t *ret_row)
{
    if (!b->seen || b->seen_count >= b->seen_mask / 4 * 3) TRY(grow(b));
    uint32_t tag = (uint32_t)hash_bytes(key.data, key.size, b->seed);
    size_t at = hash_u64(tag, b->seed) & b->seen_mask;
    for (; b->seen[at].place; at = (at + 1) & b->seen_mask) {
        bool same;
        if (b->seen[at].tag != tag) continue;
        TRY(same_key(b, b->seen[at].place, key, &same));
        if (!same) continue;
        *ret_row = b->seen[at].row;
        return STATUS_OK;
    }
    b->seen[at] = (struct seen){(uint32_t)place_now(b), (uint32_t)b->index, tag};
    b->seen_count++;
    *ret_row = 0;
    return STATUS_OK;
}

/* --- cells --- */

static bool has_object(const struct json *list)
{
    for (size_t i = 0; i < list->array.count; i++) {
        const struct json *item = &list->array.items[i];
        if (item->type == JSON_OBJECT || (item->type == JSON_ARRAY && has_object(item))) return true;
    }
    return false;
}

static bool list_of(struct build *b, struct str text, struct json *ret_list)
{
    const struct json_limits limits = {.depth_max = LIST_DEPTH_MAX};
    arena_reset(b->scratch);
    return json_parse(b->scratch, text, &limits, NULL, ret_list) == STATUS_OK && ret_list->type == JSON_ARRAY &&
           !has_object(ret_list);
}

static enum status add_cell(struct build *b, struct str text)
{
    struct json json;
    char first = text.size ? text.data[0] : 0;
    if (!text.size) {
        value_encode(&b->block, value_absent());
    } else if (str_eq_nocase(text, STR("true")) || str_eq_nocase(text, STR("false"))) {
        value_encode(&b->block, value_bool(text.size == 4));
    } else if ((first == '-' || (first >= '0' && first <= '9')) && json_number_of(text, &json)) {
        return value_encode_json(&b->block, &json);
    } else if (first == '[' && list_of(b, text, &json)) {
        return value_encode_json(&b->block, &json);
    } else {
        value_encode(&b->block, value_str(text));
    }
    return STATUS_OK;
}

/* --- records --- */

/* A failure of the reader: what is wrong with the file is a failure of a row like others, but ends the reading. */
static enum status next(struct build *b, const struct str **ret_fields, uint32_t *ret_count)
{
    enum status status = csv_next(b->csv, b->error, ret_fields, ret_count);
    uint64_t line = csv_line(b->csv);
    if (status == STATUS_OK || !b->error) return status;
    if (status != STATUS_INVALID || !b->error->line) return status;
    refuse(b, "invalid row: %s (line %" PRIu64 ")", b->error->primary, b->error->line > line ? b->error->line : line);
    return STATUS_INVALID;
}

static bool is_utf8(const struct str *fields, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!json_is_utf8(fields[i])) return false;
    }
    return true;
}

/* With the first failure as its text. */
static enum status invalid(struct build *b)
{
    const struct lookup_failure *failure = &b->report->failures[0];
    if (failure->index == 0) return error_set(b->error, STATUS_INVALID, "%s", failure->message);
    return error_set(b->error, STATUS_INVALID, "row %" PRIu64 ": %s", failure->index, failure->message);
}

static enum status read_header(struct build *b)
{
    const struct str *names;
    uint32_t count;
    TRY(next(b, &names, &count));
    if (count > b->limits->columns_max)
        return error_set(b->error, STATUS_LIMIT, "lookup table has %u columns, %u are allowed", count,
                         b->limits->columns_max);
    if (count == 0) refuse(b, "invalid header: the file is empty");
    if (count == 1) refuse(b, "invalid header: a key and at least one more column are needed");
    if (!is_utf8(names, count)) refuse(b, "invalid header: not valid UTF-8");
    for (uint32_t i = 0; i < count && !b->report->failure_count; i++) {
        if (str_trim(names[i]).size == 0) refuse(b, "invalid header: column %u has no name", i + 1);
        if (names[i].size > META_NAME_SIZE_MAX)
            refuse(b, "invalid header: the name of column %u is longer than %u bytes", i + 1, META_NAME_SIZE_MAX);
        for (uint32_t j = 0; j < i; j++) {
            if (str_eq(names[i], names[j]))
                refuse(b, "invalid header: columns %u and %u have the same name", j + 1, i + 1);
        }
        buf_varint(&b->block, names[i].size);
        buf_str_add(&b->block, names[i]);
    }
    if (b->report->failure_count) return invalid(b);
    b->names_bytes = b->block.size;
    b->report->columns = count;
    return written(b);
}

static enum status add_row(struct build *b, const struct str *fields, uint32_t count)
{
    uint32_t before;
    if (count != b->report->columns) return refuse(b, "invalid row: wrong number of fields"), STATUS_OK;
    if (!is_utf8(fields, count)) return refuse(b, "invalid row: not valid UTF-8"), STATUS_OK;
    if (str_trim(fields[0]).size == 0) return refuse(b, "primary key is required and cannot be blank"), STATUS_OK;
    TRY(remember(b, fields[0], &before));
    if (before) {
        refuse(b, "invalid row: row indexes %u and %" PRIu64 " have the same primary key", before, b->index);
        return STATUS_OK;
    }
    buf_varint(&b->block, fields[0].size);
    buf_str_add(&b->block, fields[0]);
    for (uint32_t i = 1; i < count; i++) TRY(add_cell(b, fields[i]));
    b->report->rows++;
    return written(b);
}

static enum status read_rows(struct build *b)
{
    const struct str *fields;
    uint32_t count;
    for (;;) {
        b->index++;
        TRY(next(b, &fields, &count));
        if (count == 0) break;
        if (b->index > b->limits->rows_max) {
            (void)error_set(b->error, STATUS_LIMIT, "lookup table has more than %" PRIu64 " rows", b->limits->rows_max);
            error_hint(b->error, "raise lookup.rows_max, or split the table");
            return STATUS_LIMIT;
        }
        TRY(add_row(b, fields, count));
        if (b->report->failure_count == LOOKUP_FAILURES_MAX) break;
    }
    if (b->report->failure_count) return invalid(b);
    return STATUS_OK;
}

static enum status finish(struct build *b)
{
    char bytes[LOOKUP_HEADER_BYTES];
    while (b->block.size) TRY(write_block(b));
    struct lookup_header header = {.rows = b->report->rows,
                                   .columns = b->report->columns,
                                   .names_bytes = b->names_bytes,
                                   .rows_bytes = b->block_at - LOOKUP_HEADER_BYTES - b->names_bytes,
                                   .check = b->check};
    lookup_header_write(&header, bytes);
    b->report->bytes = b->block_at;
    TRY(os_pwrite(b->file, bytes, sizeof bytes, 0, b->error));
    return os_sync(b->file, b->error);
}

static enum status build(struct build *b)
{
    TRY(read_header(b));
    TRY(read_rows(b));
    return finish(b);
}

enum status lookup_build(struct os_fs *fs, const char *name, struct source *csv,
                         const struct lookup_build_limits *limits, struct error *error, struct lookup_report *report)
{
    const struct csv_limits csv_limits = {CSV_RECORD_BYTES_MAX, limits->columns_max};
    struct error own;
    struct build b = {.limits = limits,
                      .error = error ? error : &own,
                      .report = report,
                      /* A record is added as a whole to what is less than a block; its values may be a little longer
                       * than its text. */
                      .block = BUF_INIT(LOOKUP_BLOCK_BYTES + 4 * CSV_RECORD_BYTES_MAX),
                      .block_at = LOOKUP_HEADER_BYTES,
                      .key = BUF_INIT(2 * CSV_RECORD_BYTES_MAX)};
    *report = (struct lookup_report){0};
    TRY(os_open(fs, name, OS_WRITE | OS_CREATE | OS_EXCLUSIVE, error, &b.file));
    os_random(&b.seed, sizeof b.seed);
    b.scratch = arena_new(SCRATCH_BYTES_MAX);
    b.csv = csv_new(csv, &csv_limits);
    enum status status = b.csv ? build(&b) : error_set(error, STATUS_LIMIT, "out of memory for a lookup table");
    csv_free(b.csv);
    arena_free(b.scratch);
    buf_fini(&b.block);
    buf_fini(&b.key);
    free(b.seen);
    os_close(b.file);
    if (status == STATUS_OK) return STATUS_OK;
    enum status unlinked = os_unlink(fs, name, NULL);
    (void)unlinked; /* what is left is swept away one day */
    return status;
}
