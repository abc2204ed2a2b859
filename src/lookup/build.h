#pragma once
/*
 * From CSV to the file of a version, in one pass: what is held is a record, a block of the file and 12 bytes a row to
 * find keys that occur twice.
 *
 * The first record names the columns; the first column is the key. A cell's type is found in its text:
 *
 *   nothing              not set
 *   true, false          boolean, in any case
 *   a number as in JSON  number; so 007 and +1 are texts
 *   [1,"a"]              list, when it is a JSON list without objects
 *   anything else        text; a date stays one, in the form in which it stands there, which datetime() reads
 */
#include "base/source.h"
#include "os/fs.h"

#define LOOKUP_FAILURES_MAX 10 /* that are listed */

struct lookup_build_limits {
    uint64_t rows_max;
    uint32_t columns_max;
};
struct lookup_failure {
    uint64_t index; /* of the record: 0 is the header, 1 the first row */
    char message[160];
};
struct lookup_report {
    uint64_t rows, bytes; /* of the table; bytes of its file */
    uint32_t columns;
    struct lookup_failure failures[LOOKUP_FAILURES_MAX];
    uint32_t failure_count; /* listed; the file makes no sense when there is one */
};

/* Writes `name` anew, to the disk. INVALID: see report->failures; LIMIT; what the source or the disk fails with. The
 * file is gone after a failure. */
enum status lookup_build(struct os_fs *fs, const char *name, struct source *csv,
                         const struct lookup_build_limits *limits, struct error *error,
                         struct lookup_report *report) MUST_USE;
