#pragma once
/*
 * From the messages of one request to /engage or /groups to log records: each is checked, and becomes operations on one
 * profile (profile/operations.h) that the store carries out in log order.
 *
 *   message    {"$token", "$distinct_id" | "$group_key" and "$group_id", operators, modifiers}
 *   operators  $set, $set_once, $unset, $add, $union, $append, $remove, $delete, in this order whatever theirs in the
 *              message; messages in the order of the request
 *   modifiers  $time, $ignore_time (when the profile was last seen), $ignore_alias (the id as it stands),
 *              $latitude, $longitude (stored); $ip: where that address is becomes $city, $region, $country_code and
 *              $timezone, unless the message sets them; without it, for users, the request's address; others,
 * and what SDKs send along ($device_id, $user_id, $mp_metadata, …), are left out
 *
 * A refused message leaves nothing behind, and the others count. Texts longer than string_bytes_max are cut as in
 * events. An unknown token is handled as by ingest.h.
 *
 * Pure, like ingest.h. The JSON of the messages is changed in place. Everything but the bytes of the log records lies
 * in the arena. Thread-safe.
 */
#include "ingest/ingest.h"

enum profile_kind { PROFILE_USERS, PROFILE_GROUPS };

struct profile_request {
    enum profile_kind kind;
    struct decode_records messages;
    struct str token; /* of the request, for messages without one; may be NULL data */
    int64_t received_ms;
    struct geo *geo;    /* NULL: nobody is anywhere */
    struct str address; /* of the client; NULL data: not asked for. Used, and not kept */
    bool (*project_of)(void *context, struct str token, struct ingest_project *ret_project);
    void *context;
};

struct profile_refusal {
    size_t index; /* of the message in the request */
    struct str field, message;
};
struct profile_batch {
    struct buf records; /* for store_append, or buf_fini; empty: nothing is to be stored */
    size_t stored, unknown;
    struct profile_refusal *refusals; /* ascending by index */
    size_t refusal_count;
    bool unauthorized; /* a token was unknown and such are rejected */
};

/* LIMIT when there are more than messages_max messages (`request exceeds max limit of 2000 messages`) or too much
 * memory is needed: nothing is to be stored then. */
enum status profile_ingest(struct arena *arena, const struct ingest_limits *limits,
                           const struct profile_request *request, struct error *error,
                           struct profile_batch *ret_batch) MUST_USE;
/* decode_records first. INVALID as from there. */
enum status profile_take(struct arena *arena, const struct ingest_limits *limits, const struct decode_form *form,
                         struct profile_request *request, struct error *error,
                         struct profile_batch *ret_batch) MUST_USE;
