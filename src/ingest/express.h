#pragma once
/*
 * Events straight from JSON text into a log record, for events of the common form: an object of `event`, `properties`
 * and perhaps more, whose texts have no escapes, whose properties are texts, numbers and truth values, no two of one
 * name, and which would be stored as they are. No tree is built. Everything else is left to event.h, which decides and
 * words the errors; where an event is taken here, what is stored is the same (ingest_test.c and fuzz/fuzz_track.c hold
 * the two against each other).
 *
 * Two parts: express_read.c looks at the text, in instructions of the machine's level, and knows nothing of what
 * properties mean; express.c does.
 *
 * The names of properties come in nearly the same order event after event. So each name remembers what came after it,
 * and the next one is mostly found by one comparison of its bytes; the others in a small table.
 *
 * An express belongs to one thread. Everything lies in the arena.
 */
#include "base/cpu.h"
#include "ingest/event_int.h"

#define EXPRESS_PADDING      ((size_t)64) /* zero bytes that must stand behind a text */
#define EXPRESS_KEYS_MAX     256u         /* names of one record that are known here; more make an event uncommon */
#define EXPRESS_SLOTS        1024u
#define EXPRESS_KEY_BYTES    ((size_t)63)
#define EXPRESS_STRING_BYTES ((size_t)4096)     /* a longer text is uncommon */
#define EXPRESS_OUT_BYTES    ((size_t)32 << 10) /* of the properties of one event, encoded */

struct express_key {
    char text[EXPRESS_KEY_BYTES + 1]; /* and the quote behind it */
    uint64_t mask;                    /* the bytes of `text` that count */
    uint64_t generation;              /* of the event that last had a property of this name */
    uint32_t name;                    /* its number in the batch, UINT32_MAX: none yet */
    uint16_t next[2];                 /* the names that came after it, newest first */
    uint8_t size, core;               /* enum core */
    bool is_property;                 /* of a finished event */
};

/* What was found in an event. Texts point into the JSON. */
struct express_event {
    uint32_t name;  /* key of the event's name */
    unsigned known; /* by enum core: a bit for each that is there */
    struct json core[CORE_COUNT];
    const char *properties_end; /* in express.out */
    size_t property_count, fresh_count;
    uint16_t fresh[EXPRESS_KEYS_MAX]; /* keys that are no properties yet */
};

struct express {
    struct event_encoder *encoder;
    struct batch *batch;
    const struct express_table *table;
    enum identity_mode mode;
    struct str token, fallback_token; /* whose events go into the batch; of events that have none */
    bool any_token;                   /* all events are of the batch's project, whatever token they name */
    const char *line_end;             /* nothing but blanks may stand between the event and this; NULL: anything */
    size_t string_bytes_max;
    uint64_t generation;
    uint32_t key_count;
    uint16_t slots[EXPRESS_SLOTS]; /* keys by hash; 0: free */
    struct express_key *keys;      /* [0] equals no text */
    struct express_event event;
    /* What is added to events that do not have it: keys by index in the request's enrichment, 0: no event had one yet.
     */
    struct express_added {
        uint32_t key, name; /* name: its number in the batch, UINT32_MAX: none yet */
    } added[ENRICHMENT_MAX];
    uint32_t added_searched; /* keys that were compared with them */
    uint32_t added_now;      /* a bit for each that the event at hand got */
    char out[EXPRESS_OUT_BYTES + 2 * EXPRESS_PADDING];
};

/* NULL when the arena is full. `fallback_token` as for event_token. */
struct express *express_new(struct event_encoder *encoder, struct str fallback_token) MUST_USE;
/* From now on events with this token (NULL data: with any or none) go into the batch, which has been begun. */
void express_begin(struct express *express, struct batch *batch, enum identity_mode mode, struct str token);

enum express_result {
    EXPRESS_STORED,
    EXPRESS_UNCOMMON, /* not an event of the common form, if it is one at all: nothing was changed */
    EXPRESS_TOKEN,    /* of another token than the batch's, which is in *ret_token: nothing was changed */
};
/* Takes the event that begins at `at`, which must be "{", in a text with EXPRESS_PADDING zero bytes behind it. Whether
 * the text is UTF-8 is for the caller to look at: if it is not, the batch must not be used. *ret_end is set when the
 * event was stored. */
enum express_result express_event(struct express *express, const char *at, const char **ret_end, struct str *ret_token);
/* The end of the JSON object that begins at `at`, if it is one: brackets are matched, nothing else is looked at. NULL
 * when they do not match. */
const char *express_object_end(const char *at);

/* --- between express.c and express_read.c --- */

struct express_table {
    /* Reads an event into express->event and express->out. The end of its text; NULL when it is uncommon. */
    const char *(*read)(struct express *express, const char *at);
};
CPU_DECLARE(const struct express_table, express_table);
/* Makes a key of a text that is not known; 0 when there are too many. `slot` is a free one for it. */
uint32_t express_key_new(struct express *express, struct str text, size_t slot);
/* Gives the key's text a number in the batch; false when memory refuses. */
bool express_key_name(struct express *express, struct express_key *key);
