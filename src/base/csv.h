#pragma once
/*
 * CSV (RFC 4180), a record at a time, from a source of any length: no more than one record is held.
 *
 * Fields are separated by commas, records by CRLF or LF; the last line end may be missing. A field that begins with `"`
 * ends with the next `"` that is not doubled, and may hold commas, line ends and doubled quotes in between. Beyond the
 * RFC: a byte order mark at the beginning is dropped, empty lines are no records, and a quote inside a field that does
 * not begin with one stands for itself. Bytes are not looked at otherwise: that they are UTF-8 is the caller's to
 * check.
 *
 *     struct csv *csv = csv_new(&source, &limits);
 *     while (csv_next(csv, &error, &fields, &count) == STATUS_OK && count) …
 *
 * Errors: INVALID (with the line) for what follows a closing quote other than a comma or a line end, and for a quote
 * that is never closed; LIMIT for a record that is too long; what the source fails with. No record can be read after an
 * error. One thread at a time.
 */
#include "base/source.h"

#define CSV_RECORD_BYTES_MAX ((size_t)1 << 20) /* a usual limit */

struct csv_limits {
    size_t record_bytes_max; /* as it stands in the source, the last line end not counted */
    uint32_t fields_max;     /* that are kept of one record; at least 1 */
};
struct csv;

/* NULL when memory is short. The source must outlive it. */
struct csv *csv_new(struct source *source, const struct csv_limits *limits);
void csv_free(struct csv *csv);
/* The next record. *ret_count is how many fields it has, 0 at the end; of more than fields_max the first fields_max are
 * in *ret_fields. Good until the next call. */
enum status csv_next(struct csv *csv, struct error *error, const struct str **ret_fields, uint32_t *ret_count) MUST_USE;
/* The line on which the last record begins, from 1. */
uint64_t csv_line(const struct csv *csv);

/* Appends a field as it is to be written: in quotes where the text asks for them. */
struct buf;
void csv_write(struct buf *buf, struct str text);
