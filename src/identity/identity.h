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
 * The original mode merges ids by three verbs, events of their own: `$identify` attaches an anonymous id (hexadecimal
 * digits and dashes) to an id that is identified, once; `$create_alias` links an alias, which may be one of one id
 * only, to that id; `$merge` links any two. A person has at most so many ids as the request says. A person is shown as
 * the first of its ids that was identified.
 *
 * The legacy mode knows `$create_alias` alone: from then on, events that come under the alias belong to the id that it
 * stands for. One step, once an alias, and nothing that was stored before changes.
 *
 * Threads: pure functions of their arguments, but for the graph, which has one owner.
 */
#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "store/batch.h"
#include "store/ids.h"
#include "store/store.h"

#define IDENTITY_DEVICE_PREFIX "$device:"
#define IDENTITY_ID_BYTES_MAX  255 /* longer ids are cut at a character, like every string */

/* Why a link was not made. */
enum identity_reason {
    IDENTITY_REASON_NONE = 0,
    IDENTITY_REASON_ASSIGNED = 1, /* the device, or anonymous id, belongs to another user already */
    IDENTITY_REASON_SAME = 2,     /* an id with itself */
    IDENTITY_REASON_FORM = 3,     /* the anonymous id does not look like one */
    IDENTITY_REASON_MANY = 4,     /* one person would have too many ids */
    IDENTITY_REASON_ALIAS = 5,    /* it is an alias of another id already */
};
/* What upstream calls it: "errAnonDistinctIdAssignedAlready". */
const char *identity_reason_name(enum identity_reason reason);

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

/* Hexadecimal digits in groups with dashes between them, "$device:" in front or not: what SDKs make up for somebody
 * whom they do not know. */
bool identity_is_anonymous(struct str id);

/* What an event says about its person: texts from identity_text, NULL data where absent. */
struct identity_claim {
    struct str event_name;
    struct str distinct_id, device_id, user_id;
    /* of the verbs, in the other modes than the simplified one: $identified_id; $anon_id or $anon_distinct_id; alias;
     * the two of $distinct_ids */
    struct str identified_id, anon_id, alias, merged[2];
};
/* NULL data: no user; no device to link. `device` is set only when there is an id: in the simplified mode that of the
 * user, with a verb the other id, which is to become the same person or, of an alias, the alias. */
struct identity_ids {
    struct str id, device;
};
/* LIMIT when the arena is full. */
enum status identity_resolve(struct arena *arena, enum identity_mode mode, const struct identity_claim *claim,
                             struct identity_ids *ret_ids) MUST_USE;

/* The operation of an event that links, by its name. */
enum link_operation identity_operation(struct str event_name);

/* An identity_link_fn. In the simplified mode LINK_CREATE (and an event that names both) links device to user;
 * LINK_ALIAS and LINK_MERGE take the two in either order. */
unsigned identity_link(struct id_graph *graph, const struct link_request *request);
/* An identity_explain_fn. */
size_t identity_explain(const struct id_graph *graph, const struct link_request *request, unsigned reason,
                        char room[LINK_TEXT_ROOM], struct link_property ret_properties[LINK_PROPERTIES_MAX]);
/* An identity_unlink_fn. In the simplified mode a user who is taken out frees all devices, which had nothing else in
 * common; in the legacy mode an alias stands for nobody from then on. */
enum status identity_unlink(struct id_graph *graph, enum identity_mode mode, uint32_t id, int64_t received_ms);
