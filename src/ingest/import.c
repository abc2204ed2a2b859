#include "ingest/import.h"

#include "base/utf8.h"
#include "ingest/express.h"
#include "ingest/garbled.h"

#include <stdio.h>

#define EVENT_BYTES     ((size_t)256) /* that one takes in a log record, about */
#define INSERT_ID_SHOWN ((size_t)255) /* of one that is no insert id */

struct importing {
    struct arena *arena, *scratch; /* `scratch` is NULL until a tree is built */
    const struct ingest_limits *limits;
    const struct import_request *request;
    struct event_encoder encoder;
    struct express *express; /* NULL: no event may go the short way */
    struct batch batch;
    struct import_outcome outcome;
    size_t failure_capacity;
};

static const char *blanks(const char *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') at++;
    return at;
}

static enum status too_many_events(const struct importing *importing, struct error *error)
{
    return error_set(error, STATUS_LIMIT, "request exceeds max limit of %zu events", importing->limits->events_max);
}

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "request needs too much memory");
}

/* ---- What was refused ---- */

/* What the client sent as the event's `$insert_id`, to find the event again. */
static struct str insert_id_of(struct arena *arena, const struct json *event)
{
    const struct json *properties = event ? json_member(event, "properties") : NULL;
    const struct json *value = properties ? json_member(properties, "$insert_id") : NULL;
    struct str text = STR_NULL;
    if (value && value->type == JSON_STRING)
        text = str_slice(value->string, 0, utf8_cut(value->string.data, value->string.size, INSERT_ID_SHOWN));
    else if (value && identity_text(arena, value, &text) != STATUS_OK)
        text = STR_NULL;
    return text.data ? text : STR("");
}

static enum status refuse(struct importing *importing, size_t index, const struct json *event, const char *field,
                          const char *message)
{
    struct import_outcome *outcome = &importing->outcome;
    struct arena *arena = importing->arena;
    if (outcome->failure_count == importing->failure_capacity) {
        size_t capacity = importing->failure_capacity ? importing->failure_capacity * 2 : 8;
        struct import_failure *failures = arena_realloc(
            arena, outcome->failures, importing->failure_capacity * sizeof *failures, capacity * sizeof *failures);
        if (!failures) return STATUS_LIMIT;
        outcome->failures = failures;
        importing->failure_capacity = capacity;
    }
    struct import_failure failure = {.index = index,
                                     .insert_id = arena_str(arena, insert_id_of(arena, event)),
                                     .field = arena_str(arena, str_of(field)),
                                     .message = arena_str(arena, str_of(message))};
    if (!failure.insert_id.data || !failure.field.data || !failure.message.data) return STATUS_LIMIT;
    outcome->failures[outcome->failure_count++] = failure;
    return STATUS_OK;
}

/* ---- An event as a tree ---- */

static enum status refuse_garbled(struct importing *importing, size_t index, const struct json *event, struct str name)
{
    char field[EVENT_FIELD_BYTES], message[2 * EVENT_FIELD_BYTES];
    struct str shown = str_slice(name, 0, utf8_cut(name.data, name.size, EVENT_FIELD_BYTES - sizeof "properties."));
    snprintf(field, sizeof field, "properties." STR_FMT, STR_ARG(shown));
    snprintf(message, sizeof message, "%s is invalid: string should be valid utf8", field);
    return refuse(importing, index, event, field, message);
}

/* The failure of an event that holds the mark; *ret_refused says whether it does. */
static enum status garbled_check(struct importing *importing, const struct garbled *garbled, size_t index,
                                 const struct json *event, const struct json *name, const struct json *properties,
                                 bool *ret_refused)
{
    *ret_refused = true;
    if (garbled_text(garbled, name->string))
        return refuse(importing, index, event, "event", "event is invalid: string should be valid utf8");
    for (size_t i = 0; i < properties->object.count; i++) {
        const struct json_member *member = &properties->object.members[i];
        if (garbled_text(garbled, member->key))
            return refuse(importing, index, event, "properties", "properties is invalid: string should be valid utf8");
        if (garbled_value(garbled, &member->value)) return refuse_garbled(importing, index, event, member->key);
    }
    *ret_refused = false;
    return STATUS_OK;
}

/* `garbled` is NULL where all texts are UTF-8. */
static enum status take_tree(struct importing *importing, size_t index, struct json *event,
                             const struct garbled *garbled)
{
    struct error error = ERROR_INIT;
    struct json *name = NULL, *properties = NULL;
    if (event->type != JSON_OBJECT) return refuse(importing, index, NULL, "", "record is invalid: must be an object");
    event_parts(event, &name, &properties);
    if (!name || name->type != JSON_STRING || event_name_blank(name->string))
        return refuse(importing, index, event, "event", "'event' must not be missing or blank");
    if (properties && properties->type != JSON_OBJECT && properties->type != JSON_NULL)
        return refuse(importing, index, event, "properties", "'properties' is invalid: must be an object");
    if (garbled && properties && properties->type == JSON_OBJECT) {
        bool refused;
        enum status status = garbled_check(importing, garbled, index, event, name, properties, &refused);
        if (status != STATUS_OK || refused) return status;
    }
    switch (event_encode(&importing->encoder, event, importing->request->project.mode, &importing->batch, &error)) {
    case STATUS_OK: importing->outcome.stored++; return STATUS_OK;
    case STATUS_NOT_FOUND: importing->outcome.ignored++; return STATUS_OK;
    case STATUS_CONFLICT: importing->outcome.verbs++; return STATUS_OK;
    case STATUS_INVALID: return refuse(importing, index, event, importing->encoder.field, error.primary);
    default: return STATUS_LIMIT;
    }
}

static struct arena *scratch(struct importing *importing)
{
    if (importing->scratch)
        arena_reset(importing->scratch);
    else
        importing->scratch = arena_new(IMPORT_SCRATCH_BYTES);
    return importing->scratch;
}

/* ---- A list ---- */

/* The short way, or a tree for this event alone. UNSUPPORTED: its end cannot be told, or it is no JSON. */
static enum status take_item(struct importing *importing, const char *at, size_t index, const char **ret_end)
{
    static const struct json_limits limits = {.depth_max = JSON_DEPTH_DEFAULT - 1}; /* the list is around it */
    struct str token;
    struct json event;
    if (express_event(importing->express, at, ret_end, &token) == EXPRESS_STORED) {
        importing->outcome.stored++;
        return STATUS_OK;
    }
    const char *end = express_object_end(at);
    if (!end) return STATUS_UNSUPPORTED;
    switch (json_parse(scratch(importing), str_from(at, (size_t)(end - at)), &limits, NULL, &event)) {
    case STATUS_OK: break;
    case STATUS_LIMIT: return STATUS_LIMIT;
    default: return STATUS_UNSUPPORTED;
    }
    *ret_end = end;
    return take_tree(importing, index, &event, NULL);
}

/* A list of objects in UTF-8, the short way. UNSUPPORTED: it is something else, or too long, or malformed. */
static enum status take_items(struct importing *importing, struct str text)
{
    const char *at = blanks(text.data + 1);
    for (size_t i = 0;; i++) {
        if (*at != '{' || i == importing->limits->events_max) return STATUS_UNSUPPORTED;
        TRY(take_item(importing, at, i, &at));
        at = blanks(at);
        if (*at != ',') break;
        at = blanks(at + 1);
    }
    return *at == ']' && blanks(at + 1) == text.data + text.size ? STATUS_OK : STATUS_UNSUPPORTED;
}

/* A list, or one event, in whatever form, and what is wrong with it when it is malformed. */
static enum status take_document(struct importing *importing, struct str text, bool is_utf8, struct error *error)
{
    struct garbled garbled;
    struct decode_records records;
    if (!is_utf8) {
        text = garbled_mark(importing->arena, text, &garbled);
        if (!text.data) return no_memory(error);
    }
    TRY(decode_records_of(importing->arena, text, importing->limits, error, &records));
    if (records.count > importing->limits->events_max) return too_many_events(importing, error);
    for (size_t i = 0; i < records.count; i++)
        TRY(take_tree(importing, i, &records.items[i], is_utf8 ? NULL : &garbled));
    return STATUS_OK;
}

/* ---- Lines ---- */

static enum status take_line_slowly(struct importing *importing, struct str line, size_t index, bool is_utf8)
{
    struct garbled garbled;
    struct json event;
    struct arena *arena = scratch(importing);
    if (!is_utf8 && json_is_utf8(line)) is_utf8 = true;
    if (!is_utf8) {
        line = garbled_mark(arena, line, &garbled);
        if (!line.data) return STATUS_LIMIT;
    }
    switch (json_parse(arena, line, NULL, NULL, &event)) {
    case STATUS_OK: return take_tree(importing, index, &event, is_utf8 ? NULL : &garbled);
    case STATUS_LIMIT: return STATUS_LIMIT;
    default: return refuse(importing, index, NULL, "", "record is invalid: must be a JSON object on a line of its own");
    }
}

static enum status take_lines(struct importing *importing, struct str text, bool is_utf8, struct error *error)
{
    const char *at = text.data, *const end = at + text.size;
    struct express *express = is_utf8 ? importing->express : NULL;
    size_t count = 0;
    for (;; count++) {
        const char *event_end;
        struct str token;
        at = blanks(at); /* and blank lines */
        if (at == end) break;
        if (count == importing->limits->events_max) return too_many_events(importing, error);
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end) line_end = end;
        if (express) express->line_end = line_end;
        if (express && *at == '{' && express_event(express, at, &event_end, &token) == EXPRESS_STORED)
            importing->outcome.stored++;
        else
            TRY(take_line_slowly(importing, str_trim(str_from(at, (size_t)(line_end - at))), count, is_utf8));
        at = line_end;
    }
    return count ? STATUS_OK : error_set(error, STATUS_INVALID, "data, missing or empty");
}

/* An object, and something on a later line: that is no JSON document, whatever it is. */
static bool looks_like_lines(struct str text)
{
    if (*text.data != '{') return false;
    const char *end = express_object_end(text.data);
    if (!end) return false;
    const char *next = blanks(end);
    return next < text.data + text.size && memchr(end, '\n', (size_t)(next - end));
}

/* ---- All of it ---- */

static enum status take_text(struct importing *importing, struct str text, struct error *error)
{
    bool is_utf8 = json_is_utf8(text);
    if (*text.data != '[' && (importing->request->lines || looks_like_lines(text)))
        return take_lines(importing, text, is_utf8, error);
    if (*text.data == '[' && is_utf8 && importing->express) {
        enum status status = take_items(importing, text);
        if (status != STATUS_UNSUPPORTED) return status;
        /* Nothing that was taken counts: the list as a whole is looked at again. */
        importing->outcome = (struct import_outcome){.record = BUF_INIT(0)};
        importing->failure_capacity = 0;
        batch_begin(&importing->batch, importing->request->project.id, importing->request->received_ms,
                    importing->request->project.mode, BATCH_IMPORT);
        batch_cluster_max(&importing->batch, importing->limits->cluster_ids_max);
    }
    return take_document(importing, text, is_utf8, error);
}

static enum status finish(struct importing *importing)
{
    struct import_outcome *outcome = &importing->outcome;
    if (outcome->verbs) {
        outcome->stored = outcome->ignored = outcome->failure_count = 0;
        return STATUS_OK;
    }
    return batch_count(&importing->batch) ? batch_finish(&importing->batch, &outcome->record) : STATUS_OK;
}

enum status import_take(struct arena *arena, const struct ingest_limits *limits, struct str text,
                        const struct import_request *request, struct error *error, struct import_outcome *ret_outcome)
{
    struct importing importing = {
        .arena = arena, .limits = limits, .request = request, .outcome = {.record = BUF_INIT(0)}};
    text = str_trim(text);
    if (text.size == 0) return error_set(error, STATUS_INVALID, "data, missing or empty");
    char *padded = arena_alloc(arena, text.size + EXPRESS_PADDING);
    if (!padded) return no_memory(error);
    memcpy(padded, text.data, text.size);
    memset(padded + text.size, 0, EXPRESS_PADDING);
    text = str_from(padded, text.size);

    event_encoder_init(&importing.encoder, arena, limits, request->received_ms, text.size);
    importing.encoder.enrichment = request->enrichment;
    importing.encoder.rules = request->strict ? EVENT_RULES_STRICT : EVENT_RULES_IMPORT;
    batch_init(&importing.batch, limits->record_bytes_max);
    batch_begin(&importing.batch, request->project.id, request->received_ms, request->project.mode, BATCH_IMPORT);
    batch_cluster_max(&importing.batch, limits->cluster_ids_max);
    size_t most = limits->events_max * EVENT_BYTES;
    batch_expect(&importing.batch, text.size / 2 < most ? text.size / 2 : most);
    if (!request->tree_only && (importing.express = express_new(&importing.encoder, STR_NULL)))
        express_begin(importing.express, &importing.batch, request->project.mode, STR_NULL);

    struct error cause = ERROR_INIT;
    enum status status = take_text(&importing, text, &cause);
    if (status == STATUS_OK) status = finish(&importing);
    batch_fini(&importing.batch);
    arena_free(importing.scratch);
    if (status == STATUS_OK) {
        *ret_outcome = importing.outcome;
        return STATUS_OK;
    }
    if (error) *error = cause;
    return cause.primary[0] ? status : no_memory(error);
}

void import_outcome_fini(struct import_outcome *outcome)
{
    buf_fini(&outcome->record);
}
