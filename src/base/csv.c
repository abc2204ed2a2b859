#include "base/csv.h"

#include <stdlib.h>

#include "base/buf.h"

/*
 * The reader's block holds the record that is being read and whatever the source gave behind it. Places are counted
 * from the record's first byte, so that a record can be moved to the front of the block when more is needed. A quoted
 * field is compacted where it stands: its text never grows.
 */

#define BLOCK_BYTES ((size_t)64 << 10)

struct span {
    size_t from, to;
};
struct csv {
    struct source *source;
    struct csv_limits limits;
    char *data;
    size_t start, size, capacity; /* of the record being read; of the bytes in the block */
    bool ended, begun;
    uint64_t line, record_line;
    struct span *spans;
    struct str *fields;
};

struct csv *csv_new(struct source *source, const struct csv_limits *limits)
{
    struct csv *csv = calloc(1, sizeof *csv);
    if (!csv) return NULL;
    *csv = (struct csv){.source = source, .limits = *limits, .capacity = BLOCK_BYTES, .line = 1};
    if (csv->limits.fields_max == 0) csv->limits.fields_max = 1;
    csv->data = malloc(csv->capacity);
    csv->spans = calloc(csv->limits.fields_max, sizeof *csv->spans);
    csv->fields = calloc(csv->limits.fields_max, sizeof *csv->fields);
    if (csv->data && csv->spans && csv->fields) return csv;
    csv_free(csv);
    return NULL;
}

void csv_free(struct csv *csv)
{
    if (!csv) return;
    free(csv->data);
    free(csv->spans);
    free(csv->fields);
    free(csv);
}

uint64_t csv_line(const struct csv *csv)
{
    return csv->record_line;
}

static enum status fault(const struct csv *csv, struct error *error, const char *what)
{
    error_set(error, STATUS_INVALID, "%s", what);
    error_position(error, csv->line > UINT32_MAX ? UINT32_MAX : (unsigned)csv->line, 0);
    return STATUS_INVALID;
}

/* Has at least one more byte behind those there are, or finds the end. */
static enum status fill(struct csv *csv, struct error *error)
{
    if (csv->start) {
        csv->size -= csv->start;
        memmove(csv->data, csv->data + csv->start, csv->size);
        csv->start = 0;
    }
    if (csv->size == csv->capacity) {
        /* Two bytes more than a record may have: it has to be told from one that is followed by its line end. */
        size_t capacity_max = csv->limits.record_bytes_max + 2, capacity = csv->capacity * 2;
        if (capacity_max < BLOCK_BYTES) capacity_max = BLOCK_BYTES;
        if (capacity > capacity_max) capacity = capacity_max;
        char *data = capacity > csv->capacity ? realloc(csv->data, capacity) : NULL;
        if (!data)
            return error_set(error, STATUS_LIMIT, "record is longer than %zu bytes", csv->limits.record_bytes_max);
        csv->data = data;
        csv->capacity = capacity;
    }
    size_t got = 0;
    TRY(source_read(csv->source, csv->data + csv->size, csv->capacity - csv->size, error, &got));
    csv->size += got;
    csv->ended = got == 0;
    return STATUS_OK;
}

/* Whether there is a byte at the place. */
static enum status have(struct csv *csv, size_t at, struct error *error, bool *ret_have)
{
    while (csv->start + at >= csv->size && !csv->ended) TRY(fill(csv, error));
    *ret_have = csv->start + at < csv->size;
    return STATUS_OK;
}

/* The text between the quotes; *at is at the first one, and behind the last one afterwards. */
static enum status read_quoted(struct csv *csv, size_t *at, struct error *error, struct span *ret_span)
{
    uint64_t line = csv->line;
    size_t read = *at + 1, write = read;
    bool more;
    ret_span->from = write;
    for (;;) {
        TRY(have(csv, read, error, &more));
        if (!more) {
            csv->line = line;
            return fault(csv, error, "a quote that begins here is not closed");
        }
        const char *record = csv->data + csv->start;
        size_t left = csv->size - csv->start - read;
        const char *quote = memchr(record + read, '"', left);
        size_t run = quote ? (size_t)(quote - record) - read : left;
        for (size_t i = 0; i < run; i++) csv->line += record[read + i] == '\n';
        if (read != write) memmove(csv->data + csv->start + write, record + read, run);
        read += run;
        write += run;
        if (!quote) continue;
        TRY(have(csv, read + 1, error, &more));
        if (!more || csv->data[csv->start + read + 1] != '"') break;
        csv->data[csv->start + write++] = '"';
        read += 2;
    }
    ret_span->to = write;
    *at = read + 1;
    return STATUS_OK;
}

/* *at is behind the field afterwards: at a comma, a line end or the end. */
static enum status read_plain(struct csv *csv, size_t *at, struct error *error, struct span *ret_span)
{
    size_t end = *at;
    bool more;
    ret_span->from = end;
    for (;;) {
        TRY(have(csv, end, error, &more));
        if (!more) break;
        const char *record = csv->data + csv->start;
        size_t size = csv->size - csv->start;
        while (end < size && record[end] != ',' && record[end] != '\n') end++;
        if (end < size) break;
    }
    const char *record = csv->data + csv->start;
    bool crlf = more && record[end] == '\n' && end > *at && record[end - 1] == '\r';
    ret_span->to = *at = end - crlf;
    return STATUS_OK;
}

/* What stands behind a field: a comma (*ret_last false), or a line end or the end. It is passed. */
static enum status read_separator(struct csv *csv, size_t *at, struct error *error, bool *ret_last)
{
    bool more, next;
    TRY(have(csv, *at, error, &more));
    *ret_last = !more || csv->data[csv->start + *at] != ',';
    if (*at > csv->limits.record_bytes_max)
        return error_set(error, STATUS_LIMIT, "record is longer than %zu bytes", csv->limits.record_bytes_max);
    if (!more) return STATUS_OK;
    if (csv->data[csv->start + *at] == '\r') {
        TRY(have(csv, *at + 1, error, &next));
        if (next && csv->data[csv->start + *at + 1] == '\n') ++*at;
    }
    char byte = csv->data[csv->start + *at];
    if (byte != ',' && byte != '\n')
        return fault(csv, error, "something other than a comma or a line end stands behind a closing quote");
    csv->line += byte == '\n';
    ++*at;
    return STATUS_OK;
}

/* To the next record, past empty lines. False at the end. */
static enum status skip_blank(struct csv *csv, struct error *error, bool *ret_more)
{
    bool more, next;
    if (!csv->begun) {
        static const char mark[] = "\xEF\xBB\xBF";
        csv->begun = true;
        TRY(have(csv, 2, error, &more));
        if (more && memcmp(csv->data, mark, 3) == 0) csv->start = 3;
    }
    for (;;) {
        TRY(have(csv, 0, error, &more));
        *ret_more = more;
        if (!more) return STATUS_OK;
        size_t size = 1;
        if (csv->data[csv->start] == '\r') {
            TRY(have(csv, 1, error, &next));
            if (next && csv->data[csv->start + 1] == '\n') size = 2;
        }
        if (csv->data[csv->start + size - 1] != '\n') return STATUS_OK;
        csv->start += size;
        csv->line++;
    }
}

enum status csv_next(struct csv *csv, struct error *error, const struct str **ret_fields, uint32_t *ret_count)
{
    size_t at = 0;
    uint32_t count = 0;
    bool more, last = false;
    TRY(skip_blank(csv, error, &more));
    csv->record_line = csv->line;
    if (!more) {
        *ret_count = 0;
        return STATUS_OK;
    }
    while (!last) {
        struct span span;
        TRY(have(csv, at, error, &more));
        if (more && csv->data[csv->start + at] == '"')
            TRY(read_quoted(csv, &at, error, &span));
        else
            TRY(read_plain(csv, &at, error, &span));
        TRY(read_separator(csv, &at, error, &last));
        if (count < csv->limits.fields_max) csv->spans[count] = span;
        if (count < UINT32_MAX) count++;
    }
    const char *record = csv->data + csv->start;
    uint32_t kept = count < csv->limits.fields_max ? count : csv->limits.fields_max;
    for (uint32_t i = 0; i < kept; i++)
        csv->fields[i] = str_from(record + csv->spans[i].from, csv->spans[i].to - csv->spans[i].from);
    csv->start += at;
    *ret_fields = csv->fields;
    *ret_count = count;
    return STATUS_OK;
}

void csv_write(struct buf *buf, struct str text)
{
    bool quote = false;
    for (size_t i = 0; i < text.size && !quote; i++)
        quote = text.data[i] == ',' || text.data[i] == '"' || text.data[i] == '\r' || text.data[i] == '\n';
    if (!quote) {
        buf_str_add(buf, text);
        return;
    }
    buf_byte(buf, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"') buf_byte(buf, '"');
        buf_byte(buf, text.data[i]);
    }
    buf_byte(buf, '"');
}
