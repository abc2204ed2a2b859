#pragma once
/*
 * The text of a failure, for a person: set once where the failure was seen, carried up beside `enum status`.
 *
 *   primary   lower case, no full stop, names the kind of object and the offending value: `unknown unit "fortnight"`
 *   detail    what was seen, where it helps: `pread: Input/output error at offset 4096`
 *   hint      what to do about it: `use minute, hour, day, week or month`
 *   line, column   1-based position in a parsed text, 0 when there is none. In one-line texts (an expression) line is 0
 *                  and column counts bytes from 1.
 *
 * A struct error is a plain value (about 1 KB) owned by whoever declares it; texts that do not fit are cut at a UTF-8
 * boundary. Every function that takes `struct error *` accepts NULL.
 */
#include "base/status.h"

#include <stddef.h>

struct error {
    enum status status;
    unsigned line, column;
    char primary[320];
    char detail[448];
    char hint[256];
};

#define ERROR_INIT ((struct error){.status = STATUS_OK})

/* Sets the primary text and clears the rest. Returns `status`, so that a failure is one statement. */
enum status error_set(struct error *error, enum status status, const char *format, ...) PRINTF_LIKE(3, 4);
/* Likewise for a failed system call: the detail becomes the text of errno value `os_errno`. */
enum status error_set_os(struct error *error, enum status status, int os_errno, const char *format, ...)
    PRINTF_LIKE(4, 5);
void error_detail(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);
void error_hint(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);
void error_position(struct error *error, unsigned line, unsigned column);
/* Puts `format` and ": " in front of the primary text, to say what was being done. */
void error_prefix(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);
/* Writes `primary (detail); hint` into text[size], always NUL-terminated, and returns text. */
const char *error_text(const struct error *error, char *text, size_t size);
