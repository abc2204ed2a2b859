#pragma once
/*
 * What a message says about a profile, as bytes in a log record (docs/formats/wal.md, "Updates"): a list of operations
 * in the order in which they are to be carried out. Ingestion writes them (ingest/profile.h), update.h carries them
 * out. The numbers are stored in the log: never renumber.
 */
#include "base/buf.h"
#include "base/json.h"
#include "column/value.h"

enum operation {
    OPERATION_CREATE = 1,   /* from here on there is a profile */
    OPERATION_SET = 2,      /* name, value */
    OPERATION_SET_ONCE = 3, /* name, value */
    OPERATION_UNSET = 4,    /* name */
    OPERATION_ADD = 5,      /* name, a number */
    OPERATION_UNION = 6,    /* name, a list */
    OPERATION_APPEND = 7,   /* name, value */
    OPERATION_REMOVE = 8,   /* name, value */
    OPERATION_DELETE = 9,   /* the whole profile */
    OPERATION_SEEN = 10,    /* ms since 1970, as a zigzag varint: $last_seen, unless it is later already */
    OPERATION_KEEP = 11,    /* name, value: set if the profile is there in the end; never left out for a limit */
};

/* Appends an operation; a failure of memory is the buffer's. INVALID when the value nests too deeply: the buffer is as
 * before. */
enum status operation_value(struct buf *out, enum operation operation, struct str name,
                            const struct json *value) MUST_USE;
void operation_name(struct buf *out, struct str name); /* UNSET */
void operation_plain(struct buf *out, enum operation operation);
void operation_seen(struct buf *out, int64_t ms);

struct operation_view {
    enum operation operation;
    struct str name;    /* of those that have one */
    struct value value; /* ABSENT when it has none */
    int64_t ms;         /* of SEEN */
};
/* Takes the next operation off the reader. NOT_FOUND at the end; CORRUPT when malformed, also when ADD has no number or
 * UNION no list. */
enum status operation_next(struct reader *reader, struct operation_view *ret_operation) MUST_USE;
