#pragma once
/*
 * One event: checked, normalised and written into a log record. The rules are those of Mixpanel's /track; where its
 * documents are silent, docs/decisions/0004-ingestion-choices.md says what was chosen.
 *
 *   refused     no event name or token; properties that are no object; a time that is no time or too old; too many
 *               properties, too deep, too long lists and objects
 *   repaired    names and texts longer than 255 bytes are cut at a character; a time in the future becomes now; an
 *               `$insert_id` that is none is dropped; an id that is none leaves the event without a user
 *   left out    `token`, `ip` (enrichment.h); `time`, `distinct_id`, `$insert_id`, which are fields of their own; what
 * a server adds to the events that it exports: `$import`, `mp_processing_time_ms`, `$is_reshuffled` and
 *               `$distinct_id_before_identity` (of which /import makes the link of the two ids again)
 *
 * That is EVENT_RULES_TRACK. /import takes events of any age since 1971, but wants each to say when it was, and has two
 * sets of rules: what has to be repaired above is repaired by EVENT_RULES_IMPORT too (a time up to an hour ahead stays
 * as it is, so that the event is known again when it is sent again), and is refused by EVENT_RULES_STRICT, which also
 * wants an `$insert_id`, takes no denied values for ids, and no identity verbs in a project of the simplified mode.
 *
 * The JSON of the event is changed in place (texts are cut), and nothing is allocated per event but an id that has to
 * be composed. An encoder belongs to one request and one thread.
 */
#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "ingest/enrichment.h"
#include "ingest/limits.h"
#include "store/batch.h"

enum event_rules { EVENT_RULES_TRACK, EVENT_RULES_IMPORT, EVENT_RULES_STRICT };

#define EVENT_FIELD_BYTES ((size_t)80)

struct event_encoder {
    struct arena *arena;
    const struct ingest_limits *limits;
    int64_t received_ms;
    enum event_rules rules;              /* EVENT_RULES_TRACK at first */
    const struct enrichment *enrichment; /* NULL at first: nothing is added */
    bool sizes_known;                    /* no event can be larger than event_bytes_max */
    char field[EVENT_FIELD_BYTES]; /* what of the event that was refused last the reason is about: "properties.time" */
    /* The properties of the event at hand that are to be stored; a later one of the same name clears `member`. */
    struct event_property {
        struct json_member *member;
        uint32_t name; /* its number in the batch */
    } * properties;
    /* By the name's number in the batch, to find repeated ones: the property of the event at hand that has it. */
    struct event_name_slot {
        uint64_t generation; /* of the event that set it */
        uint32_t property;   /* index in properties */
    } * slots;
    size_t property_count, property_capacity, slot_capacity;
    uint64_t generation;
};

/* `text_size` is that of the JSON in which the events came. */
void event_encoder_init(struct event_encoder *encoder, struct arena *arena, const struct ingest_limits *limits,
                        int64_t received_ms, size_t text_size);

/* What can be said before the project is known: the event has a name and a token (its own, or else `fallback_token`).
 * INVALID with the reason. */
enum status event_token(const struct json *event, struct str fallback_token, struct error *error,
                        struct str *ret_token) MUST_USE;

/* Adds an event that passed event_token (or, for /import, that has a name and properties) to the batch. OK; NOT_FOUND
 * when the event asks to be ignored (`$ignore`); INVALID with the reason, and encoder->field set; CONFLICT for an
 * identity verb that the rules do not take; LIMIT when memory ran out. Only OK leaves something in the batch. */
enum status event_encode(struct event_encoder *encoder, struct json *event, enum identity_mode mode,
                         struct batch *batch, struct error *error) MUST_USE;

/* The time of a `time` property in ms: seconds, or ms from 1e11 on, as a number or its text. */
bool event_time(const struct json *value, int64_t *ret_ms);
/* 1 to 36 bytes of A-Z a-z 0-9 and "-", and not one of the denied values. */
bool event_insert_id_valid(struct str insert_id);
