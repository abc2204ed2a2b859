/*
 * Three layers: bytes of the file, unpacked bytes, records.
 *
 * Records of JSON are cut out of a buffer that is filled as far as a record needs. A line ends at its line end; an
 * object of a list where its brackets are closed outside of texts, and line ends inside it become blanks, since a text
 * cannot hold one unescaped. Whether it is JSON at all is for those to say who parse it. A record that is too long is
 * passed over without being held.
 */
#include "cli/bulk/input.h"

#include "base/buf.h"
#include "base/csv.h"
#include "base/inflate.h"
#include "base/unzstd.h"
#include "cli/bulk/row.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_BYTES = 256 << 10, SHOWN_BYTES = 200 };

struct file_source {
    struct source base;
    int descriptor;
    const char *name;
    atomic_ullong *raw_bytes;
    char peeked[4]; /* the first bytes, given back */
    size_t peeked_size, peeked_at;
};

struct input {
    struct file_source file;
    struct inflate *inflate;
    struct unzstd *unzstd;
    struct source *plain;
    enum input_format format;
    /* JSON */
    struct buf held; /* unpacked bytes; those before `at` are done with */
    size_t at;
    uint64_t offset; /* of held.data in the unpacked file */
    bool ended, begun, closed;
    uint64_t line, records;
    uint64_t position;
    /* CSV */
    struct csv *csv;
    struct row_maker *rows;
};

const char *input_format_name(enum input_format format)
{
    static const char *const names[] = {"any", "lines", "list", "csv"};
    return names[format];
}

/* ---- bytes ---- */

static enum status file_read(struct source *base, char *data, size_t size, struct error *error, size_t *ret_size)
{
    struct file_source *file = (struct file_source *)base;
    if (file->peeked_at < file->peeked_size) {
        size_t part = file->peeked_size - file->peeked_at < size ? file->peeked_size - file->peeked_at : size;
        memcpy(data, file->peeked + file->peeked_at, part);
        file->peeked_at += part;
        *ret_size = part;
        return STATUS_OK;
    }
    ssize_t got;
    do got = read(file->descriptor, data, size);
    while (got < 0 && errno == EINTR);
    if (got < 0) return error_set_os(error, STATUS_IO, errno, "cannot read %s", file->name);
    atomic_fetch_add(file->raw_bytes, (unsigned long long)got);
    *ret_size = (size_t)got;
    return STATUS_OK;
}

static enum status peek(struct file_source *file, struct error *error)
{
    while (file->peeked_size < sizeof file->peeked) {
        size_t got, left = sizeof file->peeked - file->peeked_size;
        file->peeked_at = file->peeked_size; /* nothing is given back while looking */
        TRY(file_read(&file->base, file->peeked + file->peeked_size, left, error, &got));
        if (got == 0) break;
        file->peeked_size += got;
    }
    file->peeked_at = 0;
    return STATUS_OK;
}

static enum status unpack(struct input *input, struct error *error)
{
    struct file_source *file = &input->file;
    TRY(peek(file, error));
    input->plain = &file->base;
    if (file->peeked_size >= 2 && memcmp(file->peeked, "\x1F\x8B", 2) == 0) {
        TRY(inflate_new(&file->base, INT64_MAX, error, &input->inflate));
        input->plain = inflate_source(input->inflate);
    } else if (file->peeked_size == 4 && memcmp(file->peeked, "\x28\xB5\x2F\xFD", 4) == 0) {
        TRY(unzstd_new(&file->base, error, &input->unzstd));
        input->plain = unzstd_source(input->unzstd);
    }
    return STATUS_OK;
}

/* ---- the buffer ---- */

/* More unpacked bytes behind those that are held; *ret_more is false at the end. */
static enum status more(struct input *input, struct error *error, bool *ret_more)
{
    *ret_more = false;
    if (input->ended) return STATUS_OK;
    if (input->at > READ_BYTES) {
        input->offset += input->at;
        buf_consume(&input->held, input->at);
        input->at = 0;
    }
    char *room = buf_reserve(&input->held, READ_BYTES);
    if (!room) return error_set(error, STATUS_LIMIT, "out of memory");
    size_t got;
    TRY(source_read(input->plain, room, READ_BYTES, error, &got));
    buf_advance(&input->held, got);
    input->ended = got == 0;
    *ret_more = got > 0;
    return STATUS_OK;
}

/* The next byte that is no white space, which is not taken; 0 at the end. */
static enum status next_byte(struct input *input, struct error *error, char *ret_byte)
{
    for (;;) {
        for (; input->at < input->held.size; input->at++) {
            char c = input->held.data[input->at];
            if (c == '\n') input->line++;
            if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
            *ret_byte = c;
            return STATUS_OK;
        }
        bool got;
        TRY(more(input, error, &got));
        if (got) continue;
        *ret_byte = 0;
        return STATUS_OK;
    }
}

static void give(struct input *input, size_t from, size_t to, uint64_t line, const char *wrong,
                 struct input_record *record)
{
    struct str text = str_from(input->held.data + from, to - from);
    if (wrong && text.size > SHOWN_BYTES) text.size = SHOWN_BYTES;
    input->records++;
    *record = (struct input_record){.text = text, .line = line, .wrong = wrong};
}

/* ---- lines ---- */

static const char too_long[] = "the record is longer than 8 MiB";

/* Drops what is held of a record that is too long, but for its begin. */
static void forget_middle(struct input *input, size_t begin)
{
    size_t keep = begin + SHOWN_BYTES;
    input->offset += input->held.size - keep;
    input->held.size = keep;
}

static enum status next_line(struct input *input, struct error *error, struct input_record *record)
{
    char byte;
    TRY(next_byte(input, error, &byte));
    if (byte == 0) return STATUS_NOT_FOUND;
    uint64_t line = input->line;
    size_t length = 0; /* looked at, from input->at */
    const char *wrong = NULL;
    for (;;) {
        const char *begin = input->held.data + input->at;
        const char *end = memchr(begin + length, '\n', input->held.size - input->at - length);
        length = end ? (size_t)(end - begin) : input->held.size - input->at;
        if (!end && length > INPUT_RECORD_BYTES_MAX) {
            wrong = too_long;
            forget_middle(input, input->at);
            length = SHOWN_BYTES;
        }
        if (end) break;
        bool got;
        TRY(more(input, error, &got));
        if (!got) break;
    }
    if (length > INPUT_RECORD_BYTES_MAX) wrong = too_long;
    give(input, input->at, input->at + length, line, wrong, record);
    input->at += length;
    return STATUS_OK;
}

/* ---- a list ---- */

static enum status broken_list(const struct input *input, struct error *error)
{
    (void)error_set(error, STATUS_INVALID, "%s is no list of JSON objects: see line %llu", input->file.name,
                    (unsigned long long)input->line);
    error_hint(error, "give JSON lines, one JSON list of events, or CSV; --format says which it is");
    return STATUS_INVALID;
}

/* From "{": the size of the object; at the end of the file *ret_cut. */
static enum status object_size(struct input *input, struct error *error, size_t *ret_size, const char **ret_wrong)
{
    size_t length = 0, depth = 0;
    bool text = false, escaped = false;
    for (;;) {
        for (; input->at + length < input->held.size; length++) {
            char c = input->held.data[input->at + length];
            if (c == '\n') {
                input->line++;
                input->held.data[input->at + length] = ' ';
            } else if (escaped) {
                escaped = false;
            } else if (text) {
                escaped = c == '\\';
                text = c != '"';
            } else if (c == '"') {
                text = true;
            } else if (c == '{' || c == '[') {
                depth++;
            } else if ((c == '}' || c == ']') && --depth == 0) {
                *ret_size = length + 1;
                if (*ret_size > INPUT_RECORD_BYTES_MAX) *ret_wrong = too_long;
                return STATUS_OK;
            }
        }
        if (length > INPUT_RECORD_BYTES_MAX) {
            *ret_wrong = too_long;
            forget_middle(input, input->at);
            length = SHOWN_BYTES;
        }
        bool got;
        TRY(more(input, error, &got));
        if (got) continue;
        *ret_size = length;
        *ret_wrong = "the file ends in the middle of the record";
        return STATUS_OK;
    }
}

static enum status next_item(struct input *input, struct error *error, struct input_record *record)
{
    char byte;
    const char *wrong = NULL;
    size_t size;
    if (input->closed) return STATUS_NOT_FOUND;
    TRY(next_byte(input, error, &byte));
    if (!input->begun && byte == '[') {
        input->begun = true;
        input->at++;
        TRY(next_byte(input, error, &byte));
    } else if (byte == ',' && input->records > 0) {
        input->at++;
        TRY(next_byte(input, error, &byte));
    } else if (byte != ']') {
        return byte == 0 && input->begun ? error_set(error, STATUS_INVALID,
                                                     "%s ends before its list does: it was cut short", input->file.name)
                                         : broken_list(input, error);
    }
    if (byte == ']') {
        input->at++;
        input->closed = true;
        TRY(next_byte(input, error, &byte));
        return byte == 0 ? STATUS_NOT_FOUND : broken_list(input, error);
    }
    if (byte != '{') return broken_list(input, error);
    TRY(object_size(input, error, &size, &wrong));
    give(input, input->at, input->at + size, input->records + 1, wrong, record);
    input->at += size;
    input->closed = wrong && input->ended && input->at == input->held.size;
    return STATUS_OK;
}

/* ---- CSV ---- */

static enum status next_row(struct input *input, struct error *error, struct input_record *record)
{
    const struct str *fields;
    uint32_t count;
    TRY(csv_next(input->csv, error, &fields, &count));
    if (count == 0) return STATUS_NOT_FOUND;
    input->records++;
    *record = (struct input_record){.line = csv_line(input->csv)};
    record->text = row_make(input->rows, fields, count, &record->wrong);
    return STATUS_OK;
}

static enum status csv_begin(struct input *input, const struct input_options *options, struct error *error)
{
    static const struct csv_limits limits = {.record_bytes_max = INPUT_RECORD_BYTES_MAX, .fields_max = ROW_COLUMNS_MAX};
    const struct str *fields;
    uint32_t count;
    input->csv = csv_new(input->plain, &limits);
    if (!input->csv) return error_set(error, STATUS_LIMIT, "out of memory");
    TRY(csv_next(input->csv, error, &fields, &count));
    return row_maker_new(input->file.name, options, fields, count, error, &input->rows);
}

/* ---- life ---- */

static enum status format_find(struct input *input, const struct input_options *options, struct error *error)
{
    input->format = options->format;
    struct str name = str_of(input->file.name);
    if (input->format == INPUT_ANY && str_find(name, STR(".csv"), 0) != SIZE_MAX) input->format = INPUT_CSV;
    if (input->format == INPUT_CSV) return csv_begin(input, options, error);
    bool got;
    TRY(more(input, error, &got));
    if (str_starts(buf_str(&input->held), STR("\xEF\xBB\xBF"))) input->at = 3;
    if (input->format != INPUT_ANY) return STATUS_OK;
    char byte;
    TRY(next_byte(input, error, &byte));
    if (byte == '[')
        input->format = INPUT_LIST;
    else if (byte == '{' || byte == 0)
        input->format = INPUT_LINES;
    else
        return broken_list(input, error);
    return STATUS_OK;
}

enum status input_open(const char *name, const struct input_options *options, atomic_ullong *raw_bytes,
                       struct error *error, struct input **ret_input)
{
    struct input *input = calloc(1, sizeof *input);
    if (!input) return error_set(error, STATUS_LIMIT, "out of memory");
    bool standard = strcmp(name, "-") == 0;
    input->held = BUF_INIT(2 * INPUT_RECORD_BYTES_MAX + 4 * READ_BYTES);
    input->line = 1;
    input->file = (struct file_source){.base = {file_read},
                                       .descriptor = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC),
                                       .name = standard ? "standard input" : name,
                                       .raw_bytes = raw_bytes};
    enum status status = STATUS_OK;
    if (input->file.descriptor < 0) status = error_set_os(error, STATUS_IO, errno, "cannot open %s", name);
    if (status == STATUS_OK) status = unpack(input, error);
    if (status == STATUS_OK) status = format_find(input, options, error);
    if (status != STATUS_OK) {
        input_close(input);
        return status;
    }
    *ret_input = input;
    return STATUS_OK;
}

void input_close(struct input *input)
{
    if (!input) return;
    if (input->file.descriptor > STDIN_FILENO) close(input->file.descriptor);
    inflate_free(input->inflate);
    unzstd_free(input->unzstd);
    csv_free(input->csv);
    row_maker_free(input->rows);
    buf_fini(&input->held);
    free(input);
}

enum status input_next(struct input *input, struct error *error, struct input_record *ret_record)
{
    enum status status = input->format == INPUT_LINES  ? next_line(input, error, ret_record)
                         : input->format == INPUT_LIST ? next_item(input, error, ret_record)
                                                       : next_row(input, error, ret_record);
    if (status == STATUS_OK) input->position = input->format == INPUT_CSV ? input->records : input->offset + input->at;
    return status;
}

uint64_t input_position(const struct input *input)
{
    return input->position;
}

enum status input_skip(struct input *input, uint64_t position, struct error *error)
{
    /* Lines and records are counted on the way, for what is said about those that are refused. */
    struct input_record record;
    while (input->position < position) {
        enum status status = input_next(input, error, &record);
        if (status == STATUS_NOT_FOUND) {
            (void)error_set(error, STATUS_INVALID, "%s is shorter than when the import was interrupted",
                            input->file.name);
            error_hint(error, "begin anew with --restart");
            return STATUS_INVALID;
        }
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}
