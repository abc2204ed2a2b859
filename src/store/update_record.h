#pragma once
/*
 * Log records that change one profile (docs/formats/wal.md, "Updates"). What a record means depends on what the log
 * says before it and on nothing else: the profile as it is then, and who the id belongs to then.
 *
 * The operations are bytes to the store: the callback in store_options knows them (profile/operations.h). The limits
 * that decide about their result stand in the record, so that replay gives the same when an option has been changed.
 *
 * Any thread. Strings passed in are copied.
 */
#include "base/buf.h"
#include "base/error.h"

struct update_limits {
    uint64_t properties_max; /* of a profile; more are left out */
    uint64_t list_bytes_max; /* of one list, as encoded */
    uint64_t bytes_max;      /* of all properties of a profile, as encoded */
};

#define UPDATE_LITERAL 1 /* flags: the id is the profile's key as it stands, whoever it belongs to */
#define UPDATE_ADOPT                                                                                                   \
    2 /* `operations` is the key of another profile, which becomes part of this one; made by the store */

struct update_view {
    uint64_t received_ms;
    unsigned flags;
    struct update_limits limits;
    struct str event, id; /* "$user" or "$group:…"; neither is empty */
    struct str operations;
};

/* Appends a record for the shadow of a project (profiles.h). Several may stand behind each other in one buffer, which
 * store_append takes as a whole. LIMIT when the buffer is full. */
enum status record_update(struct buf *record, uint64_t shadow, const struct update_view *update) MUST_USE;
/* The body of such a record; texts point into it. CORRUPT when malformed; the operations are not looked at. */
enum status update_open(struct str body, struct update_view *ret_update) MUST_USE;
/* Whether the first record in these bytes is an update. */
bool record_is_update(struct str records);
