#pragma once
/*
 * How errors travel. Every function that can fail returns `enum status`, which the compiler forces the caller to
 * look at. Outputs are named `ret_x`, come last and are untouched on failure. The set is small and closed: one table
 * in api/ maps it to HTTP, one in cli/ to exit codes. The text that a person reads is in `struct error` (error.h),
 * set once, where the failure was seen.
 */

enum status {
    STATUS_OK = 0,
    STATUS_INVALID,     /* the caller's input is wrong; nothing was changed */
    STATUS_NOT_FOUND,   /* the named thing does not exist */
    STATUS_CONFLICT,    /* it exists already, or the state forbids it */
    STATUS_DENIED,      /* credentials are missing, wrong or not enough */
    STATUS_LIMIT,       /* a configured limit or budget would be exceeded */
    STATUS_UNAVAILABLE, /* not now: overload, shutdown, disk full; trying again later may work */
    STATUS_CORRUPT,     /* stored bytes are not what was written */
    STATUS_IO,          /* the operating system refused: see the error's detail */
    STATUS_CANCELLED,   /* the caller asked to stop, or the deadline passed */
    STATUS_UNSUPPORTED, /* valid, but this version cannot do it */
    STATUS_INTERNAL,    /* a bug of ours */
};

#define MUST_USE                             __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))

/* A stable lower-case name, for logs and for `--json`. */
const char *status_name(enum status status);

/* Passes a failure up unchanged. */
#define TRY(expression)                                                                                                \
    do {                                                                                                               \
        enum status try_status_ = (expression);                                                                        \
        if (__builtin_expect(try_status_ != STATUS_OK, 0)) return try_status_;                                         \
    } while (0)
