#include "ingest/event.h"

#include "base/number.h"
#include "base/utf8.h"
#include "ingest/event_int.h"

#include <math.h>
#include <stdio.h>

#define TIME_MS_FROM     1e11 /* smaller numbers are seconds: 1e11 s is the year 5138, 1e11 ms is 1973 */
#define INSERT_ID_MAX    36
#define NAME_SHOWN_BYTES 64                        /* of a property's name in a reason */
#define TIME_MIN_MS      (INT64_C(365) * 86400000) /* 1971-01-01: what is before is a mistake in somebody's units */
#define AHEAD_MAX_MS     INT64_C(3600000)          /* of a sender's clock */

/* The size is known to agree: a comparison of a fixed size is no call. */
#define IS(name, literal) (memcmp((name).data, (literal), sizeof(literal) - 1) == 0)

static inline enum core core_of(struct str name)
{
    switch (name.size) {
    case 2: return IS(name, "ip") ? CORE_IP : CORE_NONE;
    case 4: return IS(name, "time") ? CORE_TIME : CORE_NONE;
    case 5: return IS(name, "token") ? CORE_TOKEN : CORE_NONE;
    case 7:
        if (IS(name, "$import")) return CORE_SERVER;
        return IS(name, "$ignore") ? CORE_IGNORE : CORE_NONE;
    case 8: return IS(name, "$user_id") ? CORE_USER_ID : CORE_NONE;
    case 10:
        if (IS(name, "$insert_id")) return CORE_INSERT_ID;
        return IS(name, "$device_id") ? CORE_DEVICE_ID : CORE_NONE;
    case 11: return IS(name, "distinct_id") ? CORE_DISTINCT_ID : CORE_NONE;
    case 14: return IS(name, "$is_reshuffled") ? CORE_SERVER : CORE_NONE;
    case 21: return IS(name, "mp_processing_time_ms") ? CORE_SERVER : CORE_NONE;
    case 28: return IS(name, "$distinct_id_before_identity") ? CORE_BEFORE : CORE_NONE;
    default: return CORE_NONE;
    }
}

enum core event_core(struct str name)
{
    return core_of(name);
}

void event_encoder_init(struct event_encoder *encoder, struct arena *arena, const struct ingest_limits *limits,
                        int64_t received_ms, size_t text_size)
{
    *encoder = (struct event_encoder){.arena = arena,
                                      .limits = limits,
                                      .received_ms = received_ms,
                                      .sizes_known = text_size <= limits->event_bytes_max};
}

bool event_name_blank(struct str text)
{
    /* Most names begin with a letter, which settles it. */
    return text.size == 0 || ((unsigned char)text.data[0] <= ' ' && str_trim(text).size == 0);
}

void event_parts(const struct json *event, struct json **ret_name, struct json **ret_properties)
{
    *ret_name = *ret_properties = NULL;
    for (size_t i = 0; i < event->object.count; i++) {
        struct json_member *member = &event->object.members[i];
        if (member->key.size == 5 && IS(member->key, "event"))
            *ret_name = &member->value;
        else if (member->key.size == 10 && IS(member->key, "properties"))
            *ret_properties = &member->value;
    }
}

enum status event_token(const struct json *event, struct str fallback_token, struct error *error, struct str *ret_token)
{
    if (event->type != JSON_OBJECT) return error_set(error, STATUS_INVALID, "data, malformed");
    struct json *name, *properties;
    const struct json *token = NULL;
    event_parts(event, &name, &properties);
    if (!name || name->type != JSON_STRING || event_name_blank(name->string))
        return error_set(error, STATUS_INVALID, "event, missing");
    if (properties && properties->type != JSON_OBJECT && properties->type != JSON_NULL)
        return error_set(error, STATUS_INVALID, "'properties' is invalid: must be an object");
    for (size_t i = 0; properties && properties->type == JSON_OBJECT && i < properties->object.count; i++) {
        const struct json_member *member = &properties->object.members[i];
        if (member->key.size == 5 && IS(member->key, "token")) token = &member->value;
    }
    struct str text = token && token->type == JSON_STRING ? token->string : STR_NULL;
    bool absent = !token || token->type == JSON_NULL || (token->type == JSON_STRING && token->string.size == 0);
    if (absent) text = fallback_token;
    if (text.size == 0) return error_set(error, STATUS_INVALID, "token, missing or empty");
    *ret_token = text;
    return STATUS_OK;
}

bool event_time(const struct json *value, int64_t *ret_ms)
{
    double time;
    if (value->type == JSON_INT && value->integer > 0 && value->integer < (int64_t)TIME_MS_FROM) {
        *ret_ms = value->integer * 1000;
        return true;
    }
    switch (value->type) {
    case JSON_INT:
    case JSON_DOUBLE:
    case JSON_BIGNUM: time = json_double(value); break;
    case JSON_STRING:
        if (!number_parse(value->string, &time)) return false;
        break;
    default: return false;
    }
    if (time < TIME_MS_FROM) time *= 1000;
    /* Beyond the range of any clock; also keeps the conversion defined. */
    if (!(fabs(time) < 9e15)) return false;
    *ret_ms = llround(time);
    return true;
}

bool event_insert_id_valid(struct str insert_id)
{
    if (insert_id.size == 0 || insert_id.size > INSERT_ID_MAX) return false;
    static const bool allowed[256] = {['-'] = true, ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true};
    bool all = true; /* to stop early would be a branch for each byte */
    for (size_t i = 0; i < insert_id.size; i++) all &= allowed[(unsigned char)insert_id.data[i]];
    if (!all) return false;
    return !identity_denied(insert_id);
}

static void cut(struct str *text, size_t size_max)
{
    if (text->size > size_max) text->size = utf8_cut(text->data, text->size, size_max);
}

/* The recursion ends at depth_max. */
const char *event_value_check(const struct ingest_limits *limits, struct json *value, unsigned depth)
{
    switch (value->type) {
    case JSON_STRING: cut(&value->string, limits->string_bytes_max); return NULL;
    case JSON_BIGNUM: return value->string.size > limits->string_bytes_max ? "number has too many digits" : NULL;
    case JSON_ARRAY:
        if (depth >= limits->depth_max) return "nested too deeply";
        if (value->array.count >= limits->elements_max) return "list has too many elements";
        for (size_t i = 0; i < value->array.count; i++) {
            const char *wrong = event_value_check(limits, &value->array.items[i], depth + 1);
            if (wrong) return wrong;
        }
        return NULL;
    case JSON_OBJECT:
        if (depth >= limits->depth_max) return "nested too deeply";
        if (value->object.count >= limits->elements_max) return "object has too many keys";
        for (size_t i = 0; i < value->object.count; i++) {
            cut(&value->object.members[i].key, limits->string_bytes_max);
            const char *wrong = event_value_check(limits, &value->object.members[i].value, depth + 1);
            if (wrong) return wrong;
        }
        return NULL;
    default: return NULL;
    }
}

/* Says what the reason is about. The express way comes here as well, and has no error to set. */
static enum status refused(struct event_encoder *encoder, const char *field)
{
    snprintf(encoder->field, sizeof encoder->field, "%s", field);
    return STATUS_INVALID;
}

static enum status property_refused(struct event_encoder *encoder, struct error *error, struct str name,
                                    const char *wrong)
{
    struct str shown = name;
    cut(&shown, NAME_SHOWN_BYTES);
    snprintf(encoder->field, sizeof encoder->field, "properties." STR_FMT, STR_ARG(shown));
    return error_set(error, STATUS_INVALID, "'properties." STR_FMT "' is invalid: %s", STR_ARG(shown), wrong);
}

/* Room for `count` properties of a new event. */
static enum status properties_begin(struct event_encoder *encoder, size_t count)
{
    encoder->generation++;
    encoder->property_count = 0;
    if (count <= encoder->property_capacity) return STATUS_OK;
    encoder->properties = arena_alloc(encoder->arena, count * 2 * sizeof *encoder->properties);
    encoder->property_capacity = encoder->properties ? count * 2 : 0;
    return encoder->properties ? STATUS_OK : STATUS_LIMIT;
}

static enum status slots_grow(struct event_encoder *encoder, uint32_t name)
{
    size_t capacity = ((size_t)name + 32) * 2;
    encoder->slots = arena_realloc(encoder->arena, encoder->slots, encoder->slot_capacity * sizeof *encoder->slots,
                                   capacity * sizeof *encoder->slots);
    if (!encoder->slots) return STATUS_LIMIT;
    memset(encoder->slots + encoder->slot_capacity, 0, (capacity - encoder->slot_capacity) * sizeof *encoder->slots);
    encoder->slot_capacity = capacity;
    return STATUS_OK;
}

/* Notes a property that is to be stored. Of two of one name the later counts; names can also become the same by being
 * cut. */
static inline enum status property_add(struct event_encoder *encoder, struct batch *batch, struct json_member *member)
{
    uint32_t name = batch_name(batch, member->key), index = (uint32_t)encoder->property_count++;
    if (name == UINT32_MAX) return STATUS_LIMIT;
    if (name >= encoder->slot_capacity) TRY(slots_grow(encoder, name));
    struct event_name_slot *slot = &encoder->slots[name];
    if (slot->generation == encoder->generation) encoder->properties[slot->property].member = NULL;
    *slot = (struct event_name_slot){encoder->generation, index};
    encoder->properties[index] = (struct event_property){member, name};
    return STATUS_OK;
}

/* Looks at every property once: remembers the core ones, checks and cuts the others, notes what is to be stored.
 * Repeated names count towards properties_max. */
static enum status properties_check(struct event_encoder *encoder, struct json *properties, struct batch *batch,
                                    const struct json *core[CORE_COUNT], struct error *error)
{
    const struct ingest_limits *limits = encoder->limits;
    TRY(properties_begin(encoder, properties->object.count));
    for (size_t i = 0; i < properties->object.count; i++) {
        struct json_member *member = &properties->object.members[i];
        enum core kind = core_of(member->key);
        if (kind != CORE_NONE) {
            core[kind] = &member->value;
            if (kind < CORE_DEVICE_ID || kind == CORE_IGNORE) continue;
        }
        if (encoder->property_count >= limits->properties_max) {
            (void)error_set(error, STATUS_INVALID, "'properties' is invalid: must not have more than %zu properties",
                            limits->properties_max);
            return refused(encoder, "properties");
        }
        if (member->value.type == JSON_STRING) {
            cut(&member->value.string, limits->string_bytes_max);
        } else if (member->value.type >= JSON_BIGNUM) {
            const char *wrong = event_value_check(limits, &member->value, 0);
            if (wrong) return property_refused(encoder, error, member->key, wrong);
        }
        cut(&member->key, limits->string_bytes_max);
        TRY(property_add(encoder, batch, member));
    }
    return STATUS_OK;
}

static enum status time_refused(struct event_encoder *encoder, struct error *error, const char *wrong)
{
    (void)error_set(error, STATUS_INVALID, "'properties.time' is invalid: %s", wrong);
    return refused(encoder, "properties.time");
}

static enum status time_track(struct event_encoder *encoder, int64_t time_ms, struct error *error, int64_t *ret_ms)
{
    int64_t age_max_ms = encoder->limits->age_max_ms;
    if (time_ms < encoder->received_ms - age_max_ms) {
        char wrong[64];
        bool days = age_max_ms % 86400000 == 0;
        snprintf(wrong, sizeof wrong, "must not be more than %lld %s ago",
                 (long long)(age_max_ms / (days ? 86400000 : 1000)), days ? "days" : "seconds");
        return time_refused(encoder, error, wrong);
    }
    *ret_ms = time_ms > encoder->received_ms ? encoder->received_ms : time_ms;
    return STATUS_OK;
}

static enum status time_check(struct event_encoder *encoder, const struct json *value, struct error *error,
                              int64_t *ret_ms)
{
    int64_t time_ms = encoder->received_ms;
    bool track = encoder->rules == EVENT_RULES_TRACK;
    if (!value || value->type == JSON_NULL) {
        if (!track) return time_refused(encoder, error, "must not be missing");
    } else {
        if (!event_time(value, &time_ms))
            return time_refused(encoder, error, "must be specified as seconds since epoch");
        if (track) return time_track(encoder, time_ms, error, ret_ms);
        if (time_ms < TIME_MIN_MS) return time_refused(encoder, error, "must not be before 1971-01-01");
        if (time_ms > encoder->received_ms + AHEAD_MAX_MS) {
            if (encoder->rules == EVENT_RULES_STRICT) return time_refused(encoder, error, "must not be in the future");
            time_ms = encoder->received_ms;
        }
    }
    *ret_ms = time_ms;
    return STATUS_OK;
}

size_t event_json_size(const struct json *value, size_t size_max)
{
    char digits[NUMBER_TEXT_MAX];
    size_t size = 2;
    switch (value->type) {
    case JSON_NULL: return 4;
    case JSON_BOOL: return value->boolean ? 4 : 5;
    case JSON_INT: return number_format_int(value->integer, digits);
    case JSON_DOUBLE: return number_format(value->number, digits);
    case JSON_BIGNUM: return value->string.size;
    case JSON_STRING: return value->string.size + 2;
    case JSON_ARRAY:
        for (size_t i = 0; i < value->array.count && size <= size_max; i++)
            size += event_json_size(&value->array.items[i], size_max) + (i > 0);
        return size;
    default:
        for (size_t i = 0; i < value->object.count && size <= size_max; i++) {
            const struct json_member *member = &value->object.members[i];
            size += member->key.size + 3 + event_json_size(&member->value, size_max) + (i > 0);
        }
        return size;
    }
}

/* What the strict rules want of an id: a text or a number that is not one of the values which broken clients send in
 * place of one. `text` is what identity_text made of it. An empty text says that there is nobody. */
static const char *id_wrong(const struct json *value, struct str text)
{
    if (!value || value->type == JSON_NULL || text.data) return NULL;
    if (value->type == JSON_STRING) return value->string.size ? "must not be a reserved value" : NULL;
    return json_is_number(value) ? "must not be a reserved value" : "must be a string";
}

static const char *insert_id_wrong(const struct json *value, struct str text)
{
    if (!value || value->type == JSON_NULL) return "must not be missing";
    if (value->type == JSON_STRING) text = value->string; /* before it was cut or looked at */
    if (!text.data)
        return json_is_number(value) ? "must not be a reserved value"
                                     : "must only contain alphanumeric or hyphen '-' characters";
    if (text.size == 0) return "must not be missing";
    if (text.size > INSERT_ID_MAX) return "must not be longer than 36 characters";
    if (identity_denied(text)) return "must not be a reserved value";
    return event_insert_id_valid(text) ? NULL : "must only contain alphanumeric or hyphen '-' characters";
}

/* A verb names its ids in properties of its own. */
static bool wants_distinct_id(struct str name, enum identity_mode mode)
{
    return mode != IDENTITY_SIMPLIFIED && !identity_is_verb(name);
}

static enum status ids_check(struct event_encoder *encoder, const struct json *const core[CORE_COUNT],
                             const struct event_head *head, const struct identity_claim *claim, enum identity_mode mode,
                             struct error *error)
{
    const struct json *distinct_id = core[CORE_DISTINCT_ID];
    const char *wrong = id_wrong(distinct_id, claim->distinct_id);
    if (!wrong && wants_distinct_id(claim->event_name, mode) && (!distinct_id || distinct_id->type == JSON_NULL))
        wrong = "must not be missing";
    if (wrong) {
        (void)error_set(error, STATUS_INVALID, "'properties.distinct_id' is invalid: %s", wrong);
        return refused(encoder, "properties.distinct_id");
    }
    wrong = insert_id_wrong(core[CORE_INSERT_ID], head->insert_id);
    if (wrong) {
        (void)error_set(error, STATUS_INVALID, "'$insert_id' is invalid: %s", wrong);
        return refused(encoder, "$insert_id");
    }
    return STATUS_OK;
}

static enum status verb_check(const struct event_encoder *encoder, struct str name, enum identity_mode mode,
                              struct error *error)
{
    if (encoder->rules != EVENT_RULES_STRICT || mode != IDENTITY_SIMPLIFIED || !identity_is_verb(name))
        return STATUS_OK;
    return error_set(error, STATUS_CONFLICT, IDENTITY_VERB_NOT_ALLOWED);
}

/* An event out of an export: it came under one id, and is shown as another's since the two were linked. History that is
 * brought in keeps that: the event links them again, as if it had named both. */
static enum status take_before(struct event_encoder *encoder, const struct json *before, struct identity_claim *claim)
{
    struct str id;
    TRY(identity_text(encoder->arena, before, &id));
    bool user = claim->distinct_id.size && !identity_is_device(claim->distinct_id);
    if (claim->user_id.data || !user || !id.data || !identity_is_device(id)) return STATUS_OK;
    claim->user_id = claim->distinct_id;
    claim->device_id = str_slice(id, sizeof IDENTITY_DEVICE_PREFIX - 1, SIZE_MAX);
    return STATUS_OK;
}

static enum status verb_refused(struct event_encoder *encoder, struct error *error, const char *property,
                                const char *wrong)
{
    (void)error_set(error, STATUS_INVALID, "'properties.%s' is invalid: %s", property, wrong);
    char field[64];
    snprintf(field, sizeof field, "properties.%s", property);
    return refused(encoder, field);
}

/* What strict rules want of a verb of the original mode: that it names two ids. */
static enum status verb_ids_check(struct event_encoder *encoder, const struct identity_claim *claim,
                                  struct error *error)
{
    if (str_is(claim->event_name, "$identify")) {
        if (!claim->identified_id.data && !claim->distinct_id.data)
            return verb_refused(encoder, error, "$identified_id", "must not be missing");
        return claim->anon_id.data ? STATUS_OK : verb_refused(encoder, error, "$anon_id", "must not be missing");
    }
    if (!str_is(claim->event_name, "$create_alias")) return STATUS_OK;
    if (!claim->distinct_id.data) return verb_refused(encoder, error, "distinct_id", "must not be missing");
    return claim->alias.data ? STATUS_OK : verb_refused(encoder, error, "alias", "must not be missing");
}

/* The ids that a verb names. `$merge` puts together whatever it is told, so it must come with a secret. */
static enum status take_verb(struct event_encoder *encoder, const struct json *properties, enum identity_mode mode,
                             struct error *error, struct identity_claim *claim)
{
    struct arena *arena = encoder->arena;
    TRY(identity_text(arena, json_member(properties, "$identified_id"), &claim->identified_id));
    TRY(identity_text(arena, json_member(properties, "$anon_id"), &claim->anon_id));
    if (!claim->anon_id.data) TRY(identity_text(arena, json_member(properties, "$anon_distinct_id"), &claim->anon_id));
    TRY(identity_text(arena, json_member(properties, "alias"), &claim->alias));
    if (mode != IDENTITY_ORIGINAL) return STATUS_OK;
    if (str_is(claim->event_name, "$merge")) {
        if (encoder->rules == EVENT_RULES_TRACK)
            return (void)error_set(error, STATUS_INVALID, "$merge is taken by /import only"), refused(encoder, "event");
        const struct json *ids = json_member(properties, "$distinct_ids");
        bool two = ids && ids->type == JSON_ARRAY && ids->array.count == 2;
        for (size_t i = 0; i < 2 && two; i++) {
            TRY(identity_text(arena, &ids->array.items[i], &claim->merged[i]));
            two = claim->merged[i].data != NULL;
        }
        if (!two) return verb_refused(encoder, error, "$distinct_ids", "must be a list of two ids");
    }
    return encoder->rules == EVENT_RULES_STRICT ? verb_ids_check(encoder, claim, error) : STATUS_OK;
}

enum status event_head(struct event_encoder *encoder, struct str name, const struct json *const core[CORE_COUNT],
                       const struct json *properties, enum identity_mode mode, struct error *error,
                       struct event_head *ret_head)
{
    struct event_head head = {.insert_id = STR_NULL};
    struct identity_claim claim = {.event_name = name};
    TRY(verb_check(encoder, name, mode, error));
    TRY(time_check(encoder, core[CORE_TIME], error, &head.time_ms));
    if (core[CORE_INSERT_ID]) TRY(identity_text(encoder->arena, core[CORE_INSERT_ID], &head.insert_id));
    if (core[CORE_DISTINCT_ID]) TRY(identity_text(encoder->arena, core[CORE_DISTINCT_ID], &claim.distinct_id));
    if (encoder->rules == EVENT_RULES_STRICT) {
        TRY(ids_check(encoder, core, &head, &claim, mode, error));
    } else if (!event_insert_id_valid(head.insert_id)) {
        head.insert_id = STR_NULL;
    }
    if (core[CORE_DEVICE_ID]) TRY(identity_text(encoder->arena, core[CORE_DEVICE_ID], &claim.device_id));
    if (core[CORE_USER_ID]) TRY(identity_text(encoder->arena, core[CORE_USER_ID], &claim.user_id));
    if (core[CORE_BEFORE] && mode == IDENTITY_SIMPLIFIED && encoder->rules != EVENT_RULES_TRACK)
        TRY(take_before(encoder, core[CORE_BEFORE], &claim));
    if (mode != IDENTITY_SIMPLIFIED && properties && identity_is_verb(name))
        TRY(take_verb(encoder, properties, mode, error, &claim));
    TRY(identity_resolve(encoder->arena, mode, &claim, &head.ids));
    *ret_head = head;
    return STATUS_OK;
}

/* Adds what the server can tell and the event did not. */
static enum status enrich(struct event_encoder *encoder, struct batch *batch, const struct json *ip)
{
    const struct enrichment *enrichment = encoder->enrichment;
    struct enrichment_value values[ENRICHMENT_MAX];
    size_t count;
    TRY(enrichment_place(enrichment, encoder->arena, ip, values, &count));
    memcpy(values + count, enrichment->agent, sizeof enrichment->agent);
    count += enrichment->agent_count;
    for (size_t i = 0; i < count; i++) {
        uint32_t name = batch_name(batch, values[i].name);
        if (name == UINT32_MAX) return STATUS_LIMIT;
        if (name < encoder->slot_capacity && encoder->slots[name].generation == encoder->generation) continue;
        TRY(batch_property_of(batch, name, &values[i].value));
    }
    return STATUS_OK;
}

enum status event_encode(struct event_encoder *encoder, struct json *event, enum identity_mode mode,
                         struct batch *batch, struct error *error)
{
    const struct ingest_limits *limits = encoder->limits;
    struct json *name_value, *properties;
    event_parts(event, &name_value, &properties);
    struct str name = name_value && name_value->type == JSON_STRING ? name_value->string : STR_NULL;
    cut(&name, limits->string_bytes_max);
    TRY(verb_check(encoder, name, mode, error));
    if (!encoder->sizes_known && event_json_size(event, limits->event_bytes_max) > limits->event_bytes_max) {
        (void)error_set(error, STATUS_INVALID, "event exceeds max limit of %zu bytes", limits->event_bytes_max);
        return refused(encoder, "event");
    }
    encoder->property_count = 0;
    encoder->generation++;

    const struct json *core[CORE_COUNT] = {NULL};
    if (properties && properties->type == JSON_OBJECT) TRY(properties_check(encoder, properties, batch, core, error));
    if (core[CORE_IGNORE]) return STATUS_NOT_FOUND;

    struct event_head head;
    TRY(event_head(encoder, name, core, properties, mode, error, &head));
    batch_event(batch, name, head.time_ms, head.ids.id, head.ids.device, head.insert_id);
    for (size_t i = 0; i < encoder->property_count; i++) {
        const struct json_member *member = encoder->properties[i].member;
        if (!member) continue;
        size_t before = batch->events.size;
        const char *wrong = NULL;
        if (batch_property_of(batch, encoder->properties[i].name, &member->value) != STATUS_OK)
            wrong = "nested too deeply";
        else if (member->value.type == JSON_ARRAY && batch->events.size - before > limits->list_bytes_max)
            wrong = "list is too long";
        if (wrong) {
            batch_event_cancel(batch);
            return property_refused(encoder, error, member->key, wrong);
        }
    }
    if (encoder->enrichment && enrich(encoder, batch, core[CORE_IP]) != STATUS_OK) {
        batch_event_cancel(batch);
        return STATUS_LIMIT;
    }
    batch_event_end(batch);
    return STATUS_OK;
}
