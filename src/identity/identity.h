#pragma once
/*
 * Who an event belongs to, in Mixpanel's three identity modes.
 *
 * Two halves. identity_resolve() runs when an event comes in: from the ids that the event names, and from nothing
 * else, it tells the id under which the event is stored and the device that it links. identity_link() runs when the
 * store applies its log: from the graph of ids it tells whether the link is made. Stored events keep the id they
 * came with, and readers ask the graph, so a link changes every answer from the next query on.
 *
 * The simplified mode, on which all of this stands:
 *   - a device id is an id that begins with "$device:"; every other id is a user;
 *   - an event with a device and a user links them; one such event is enough, whatever its time;
 *   - first write wins: a device belongs to one user for ever, a user may have any number of devices;
 *   - two users are never merged: an event of user 2 on the device of user 1 belongs to user 2, the device stays
 *     where it is.
 * So a cluster holds at most one user, and a device has a user exactly when it is not alone in its cluster.
 *
 * The original and the legacy mode store every event under its distinct_id as sent; ids are not merged in this version.
 *
 * Threads: pure functions of their arguments, but for the graph, which has one owner.
 */
#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "store/batch.h"
#include "store/ids.h"

#define IDENTITY_DEVICE_PREFIX "$device:"
#define IDENTITY_ID_BYTES_MAX  255 /* longer ids are cut at a character, like every string */

/* Why a link was not made. Stored beside the event: never renumber. */
enum identity_reason {
    IDENTITY_REASON_NONE = 0,
    IDENTITY_REASON_ASSIGNED = 1, /* the device belongs to another user already */
};
/* The text of each, for the property $identity_failure_reason; [0] is "", NULL ends the list. */
extern const char *const identity_link_reasons[];

/* True for a device id as stored: the prefix and at least one byte. */
bool identity_is_device(struct str id);
/* Values that broken clients send in place of an id ("null", "undefined", "0", "anonymous", …), in any case. */
bool identity_denied(struct str id);
/* What a request that merges ids is told in a project of the simplified mode; clients compare the text. */
#define IDENTITY_VERB_NOT_ALLOWED "identity events are not allowed when project is using simplified identity management"
/* $identify, $create_alias, $merge */
bool identity_is_verb(struct str event_name);

/* The text of an id that was sent as JSON: a string, cut to IDENTITY_ID_BYTES_MAX, or a number as its decimal text (in
 * the arena). NULL data when `value` is NULL, of another type, empty or denied: there is no id. LIMIT when the arena is
 * full. */
enum status identity_text(struct arena *arena, const struct json *value, struct str *ret_text) MUST_USE;
/* The id under which the device of that `$device_id` is stored: "$device:" in front, always. NULL data for an empty or
 * denied id. LIMIT when the arena is full. */
enum status identity_device(struct arena *arena, struct str device_id, struct str *ret_id) MUST_USE;
/* The same for an id that was sent with the prefix: one prefix is taken off to look at the rest, and put back. */
struct str identity_device_prefixed(struct str id);

/* What an event says about its person: texts from identity_text, NULL data where absent. */
struct identity_claim {
    struct str event_name;
    struct str distinct_id, device_id, user_id;
};
/* NULL data: no user; no device to link. `device` is set only when `id` is a user. */
struct identity_ids {
    struct str id, device;
};
/* LIMIT when the arena is full. */
enum status identity_resolve(struct arena *arena, enum identity_mode mode, const struct identity_claim *claim,
                             struct identity_ids *ret_ids) MUST_USE;

/* An identity_link_fn. LINK_CREATE (and an event that names both) links device to user; LINK_ALIAS and LINK_MERGE take
 * the two in either order. */
unsigned identity_link(struct id_graph *graph, enum identity_mode mode, enum link_operation operation, uint32_t device,
                       uint32_t user);
