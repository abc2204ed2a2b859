#pragma once
/*
 * A file of records as `cairn import` takes them: JSON lines, one JSON list, or CSV; plain, gzip or zstd, which the
 * first bytes tell. Records come out one by one, each as a line of JSON. No more than one record and one read is held.
 *
 * Positions: how far the file was read, in bytes of the unpacked file behind a record (JSON), or in records (CSV). An
 * input can go on from the position of a former one.
 *
 * Errors: IO, INVALID for a file that is damaged, cut short, or in no such form; what is wrong with a single record is
 * in the record, and the next one can be read. One thread at a time.
 */
#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

#include <stdatomic.h>

enum input_format { INPUT_ANY, INPUT_LINES, INPUT_LIST, INPUT_CSV };
const char *input_format_name(enum input_format format); /* "lines", "list", "csv" */

#define INPUT_RECORD_BYTES_MAX ((size_t)8 << 20)

struct input_options {
    enum input_format format; /* ANY: by the name (.csv) and the first byte */
    /* CSV: which columns are the event's name and time; the others are properties. */
    const char *event_column, *time_column;
    struct str event; /* the name of all events; NULL data: event_column has it */
};

struct input_record {
    struct str text;   /* JSON of one line; good until the next call */
    uint64_t line;     /* where it begins in the file, from 1; of a list: how many records came before, plus 1 */
    const char *wrong; /* NULL, or why it cannot be taken; `text` is the begin of it then */
};

struct input;
/* `name` "-": standard input. *raw_bytes counts what is read of the file itself; other threads may look at it. */
enum status input_open(const char *name, const struct input_options *options, atomic_ullong *raw_bytes,
                       struct error *error, struct input **ret_input) MUST_USE;
void input_close(struct input *input); /* NULL is allowed */
/* NOT_FOUND at the end. */
enum status input_next(struct input *input, struct error *error, struct input_record *ret_record) MUST_USE;
/* Behind the last record that input_next gave. */
uint64_t input_position(const struct input *input);
/* Before the first input_next: passes over everything before the position. */
enum status input_skip(struct input *input, uint64_t position, struct error *error) MUST_USE;
