/*
 * CSV of any bytes, the first of which says how many the source gives at a time. The records and the verdict
 * must be those of an obvious reader of the whole text (below), and the same when everything comes at once.
 */
#include "base/buf.h"
#include "base/csv.h"

#include <stdlib.h>

#define INPUT_BYTES_MAX ((size_t)64 << 10)
#define FIELDS_MAX      6
#define RECORD_MAX      ((size_t)1000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

struct pieces {
    struct source base;
    struct str rest;
    size_t size;
};

static enum status pieces_read(struct source *base, char *data, size_t size, struct error *error, size_t *ret_size)
{
    (void)error;
    struct pieces *pieces = (struct pieces *)base;
    if (size > pieces->size) size = pieces->size;
    if (size > pieces->rest.size) size = pieces->rest.size;
    if (size) memcpy(data, pieces->rest.data, size);
    pieces->rest = str_slice(pieces->rest, size, pieces->rest.size);
    *ret_size = size;
    return STATUS_OK;
}

/* Records as count, fields with their sizes; then the verdict. */
static void read_all(struct str text, size_t piece, struct buf *out)
{
    const struct csv_limits limits = {RECORD_MAX, FIELDS_MAX};
    struct pieces source = {.base = {pieces_read}, .rest = text, .size = piece};
    struct csv *csv = csv_new(&source.base, &limits);
    const struct str *fields;
    uint32_t count;
    struct error error = ERROR_INIT;
    enum status status;
    check(csv);
    while ((status = csv_next(csv, &error, &fields, &count)) == STATUS_OK && count) {
        buf_u32(out, count);
        for (uint32_t i = 0; i < count && i < FIELDS_MAX; i++) {
            buf_u32(out, (uint32_t)fields[i].size);
            buf_str_add(out, fields[i]);
        }
    }
    buf_u32(out, 0);
    buf_byte(out, (char)status);
    csv_free(csv);
}

static bool at_line_end(struct str text, size_t at, size_t *ret_size)
{
    *ret_size = at < text.size && text.data[at] == '\n' ? 1 : 0;
    if (at + 1 < text.size && text.data[at] == '\r' && text.data[at + 1] == '\n') *ret_size = 2;
    return *ret_size || at == text.size;
}

static void obvious(struct str text, struct buf *out)
{
    size_t at = str_starts(text, STR("\xEF\xBB\xBF")) ? 3 : 0, end = 0;
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        while (at < text.size && at_line_end(text, at, &end)) at += end;
        if (at == text.size) break;
        struct buf record = BUF_INIT((size_t)1 << 20);
        uint32_t count = 0;
        size_t start = at;
        for (bool last = false; !last && status == STATUS_OK; count++) {
            struct buf field = BUF_INIT((size_t)1 << 20);
            if (at < text.size && text.data[at] == '"') {
                for (at++; at < text.size; at++) {
                    if (text.data[at] == '"' && (at + 1 == text.size || text.data[at + 1] != '"')) break;
                    at += text.data[at] == '"';
                    buf_byte(&field, text.data[at]);
                }
                if (at++ >= text.size) status = STATUS_INVALID;
            } else {
                while (at < text.size && text.data[at] != ',' && !at_line_end(text, at, &end))
                    buf_byte(&field, text.data[at++]);
            }
            if (status == STATUS_OK && at - start > RECORD_MAX) status = STATUS_LIMIT;
            last = at_line_end(text, at, &end);
            if (status == STATUS_OK && !last && text.data[at] != ',') status = STATUS_INVALID;
            at += last ? end : 1;
            if (count < FIELDS_MAX) {
                buf_u32(&record, (uint32_t)field.size);
                buf_str_add(&record, buf_str(&field));
            }
            buf_fini(&field);
        }
        if (status == STATUS_OK) {
            buf_u32(out, count);
            buf_str_add(out, buf_str(&record));
        }
        buf_fini(&record);
    }
    buf_u32(out, 0);
    buf_byte(out, (char)status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_BYTES_MAX) return 0;
    struct str text = str_from(data + 1, size - 1);
    struct buf pieces = BUF_INIT((size_t)1 << 24), whole = pieces, wanted = pieces;
    read_all(text, (size_t)data[0] + 1, &pieces);
    read_all(text, SIZE_MAX, &whole);
    obvious(text, &wanted);
    check(str_eq(buf_str(&pieces), buf_str(&wanted)));
    check(str_eq(buf_str(&whole), buf_str(&wanted)));
    buf_fini(&pieces);
    buf_fini(&whole);
    buf_fini(&wanted);
    return 0;
}
