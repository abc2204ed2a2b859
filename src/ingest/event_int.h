#pragma once
/* What the two encoders of events share: event.c, for events in whatever form, and express.c; and profile.c. */
#include "identity/identity.h"
#include "ingest/event.h"

/* Properties with a meaning of their own. */
enum core {
    CORE_TOKEN,
    CORE_IP,
    CORE_TIME,
    CORE_DISTINCT_ID,
    CORE_INSERT_ID,
    CORE_SERVER,    /* what servers add to the events of an export: left out */
    CORE_BEFORE,    /* $distinct_id_before_identity: likewise, but for /import */
    CORE_DEVICE_ID, /* this and the next one are stored with the others, too */
    CORE_USER_ID,
    CORE_IGNORE,
    CORE_COUNT,
    CORE_NONE = CORE_COUNT,
};
enum core event_core(struct str name);

/* What stands in front of an event's properties. */
struct event_head {
    int64_t time_ms;
    struct identity_ids ids;
    struct str insert_id;
};
/* From the core properties, NULL where absent, and those of a verb, which are among `properties` (NULL: it is none). As
 * event_encode says. */
enum status event_head(struct event_encoder *encoder, struct str name, const struct json *const core[CORE_COUNT],
                       const struct json *properties, enum identity_mode mode, struct error *error,
                       struct event_head *ret_head) MUST_USE;
bool event_name_blank(struct str name);
/* The last of the members that have these names, NULL where there is none. */
void event_parts(const struct json *event, struct json **ret_name, struct json **ret_properties);
/* Cuts the texts in a property and checks its shape; `depth` lists and objects are around it. Returns what is wrong, or
 * NULL. */
const char *event_value_check(const struct ingest_limits *limits, struct json *value, unsigned depth);
/* Bytes of the value's JSON, without escapes; counting stops soon after `size_max`. The parser bounds the depth. */
size_t event_json_size(const struct json *value, size_t size_max);
