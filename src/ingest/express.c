#include "ingest/express.h"

struct express *express_new(struct event_encoder *encoder, struct str fallback_token)
{
    struct express *express = arena_alloc(encoder->arena, sizeof *express);
    struct express_key *keys = arena_alloc(encoder->arena, EXPRESS_KEYS_MAX * sizeof *keys);
    if (!express || !keys) return NULL;
    express->encoder = encoder;
    express->table = CPU_SELECT(express_table);
    express->fallback_token = fallback_token;
    size_t string_bytes_max = encoder->limits->string_bytes_max;
    express->string_bytes_max = string_bytes_max < EXPRESS_STRING_BYTES ? string_bytes_max : EXPRESS_STRING_BYTES;
    express->keys = keys;
    express_begin(express, NULL, IDENTITY_SIMPLIFIED, STR_NULL);
    return express;
}

void express_begin(struct express *express, struct batch *batch, enum identity_mode mode, struct str token)
{
    express->batch = batch;
    express->mode = mode;
    express->token = token;
    express->any_token = batch && !token.data;
    express->line_end = NULL;
    express->generation = 0;
    express->key_count = 1;
    express->keys[0] = (struct express_key){.mask = UINT64_MAX, .size = EXPRESS_KEY_BYTES};
    memset(express->keys[0].text, 0xFF, sizeof express->keys[0].text); /* which is in no text that counts */
    memset(express->slots, 0, sizeof express->slots);
    for (size_t i = 0; i < ENRICHMENT_MAX; i++) express->added[i] = (struct express_added){.name = UINT32_MAX};
    express->added_searched = 1;
}

uint32_t express_key_new(struct express *express, struct str text, size_t slot)
{
    if (express->key_count == EXPRESS_KEYS_MAX || text.size > EXPRESS_KEY_BYTES) return 0;
    struct express_key *key = &express->keys[express->key_count];
    *key = (struct express_key){.mask = ((uint64_t)2 << text.size) - 1,
                                .name = UINT32_MAX,
                                .size = (uint8_t)text.size,
                                .core = (uint8_t)event_core(text)};
    memcpy(key->text, text.data, text.size);
    key->text[text.size] = '"';
    express->slots[slot] = (uint16_t)express->key_count;
    return express->key_count++;
}

bool express_key_name(struct express *express, struct express_key *key)
{
    if (!express->batch) { /* the event is read to learn its token */
        key->name = 0;
        return true;
    }
    key->name = batch_name(express->batch, str_from(key->text, key->size));
    return key->name != UINT32_MAX;
}

/* As event_token says. A token that is no text makes the event uncommon. */
static bool token_of(const struct express *express, struct str *ret_token)
{
    const struct express_event *event = &express->event;
    *ret_token = express->fallback_token;
    if (event->known & 1u << CORE_TOKEN) {
        const struct json *token = &event->core[CORE_TOKEN];
        if (token->type == JSON_STRING && token->string.size)
            *ret_token = token->string;
        else if (token->type != JSON_NULL && token->type != JSON_STRING)
            return false;
    }
    return ret_token->size > 0;
}

static bool ends_line(const char *end, const char *line_end)
{
    while (end < line_end && (*end == ' ' || *end == '\r' || *end == '\t')) end++;
    return end == line_end;
}

/* ---- What the server adds ---- */

static const struct enrichment_value *added_value(const struct enrichment *enrichment, size_t index)
{
    return index < enrichment->place_count ? &enrichment->place[index]
                                           : &enrichment->agent[index - enrichment->place_count];
}

/* Finds the names among the keys that came since the last time. */
static void added_search(struct express *express, const struct enrichment *enrichment, size_t count)
{
    for (; express->added_searched < express->key_count; express->added_searched++) {
        const struct express_key *key = &express->keys[express->added_searched];
        for (size_t i = 0; i < count; i++) {
            if (str_eq(added_value(enrichment, i)->name, str_from(key->text, key->size)))
                express->added[i].key = express->added_searched;
        }
    }
}

/* Appends to express->out what the event does not have. False: the event is to go the other way. */
static bool add_values(struct express *express)
{
    const struct enrichment *enrichment = express->encoder->enrichment;
    struct express_event *event = &express->event;
    express->added_now = 0;
    if (!enrichment) return true;
    if (event->known & 1u << CORE_IP && enrichment->geo) return false;
    size_t count = enrichment->place_count + enrichment->agent_count;
    if (count == 0) return true;
    added_search(express, enrichment, count);
    char *out = express->out + (event->properties_end - express->out);
    for (size_t i = 0; i < count; i++) {
        struct express_added *added = &express->added[i];
        const struct enrichment_value *value = added_value(enrichment, i);
        if (added->key && express->keys[added->key].generation == express->generation) continue;
        if (out + VARINT_BYTES_MAX + value_scalar_bytes_max(&value->value) > express->out + EXPRESS_OUT_BYTES)
            return false;
        if (added->name == UINT32_MAX) {
            added->name = batch_name(express->batch, value->name);
            if (added->name == UINT32_MAX) return false;
        }
        out = value_encode_scalar(raw_varint(out, added->name), &value->value);
        express->added_now |= 1u << i;
    }
    event->properties_end = out;
    return true;
}

enum express_result express_event(struct express *express, const char *at, const char **ret_end, struct str *ret_token)
{
    struct express_event *event = &express->event;
    struct event_encoder *encoder = express->encoder;
    const struct ingest_limits *limits = encoder->limits;
    struct str token = STR_NULL;
    const char *end = express->table->read(express, at);
    /* No value of a common event is longer in the form that the limit counts than in its text, a number that was short
     * of its fraction's zeros excepted; so a factor is on the safe side. */
    if (!end || (!encoder->sizes_known && (size_t)(end - at) > limits->event_bytes_max / 4)) return EXPRESS_UNCOMMON;
    if (express->line_end && !ends_line(end, express->line_end)) return EXPRESS_UNCOMMON;
    struct express_key *key = &express->keys[event->name];
    struct str name = str_from(key->text, key->size);
    if (event_name_blank(name) || event->property_count > limits->properties_max ||
        (event->known & 1u << CORE_IGNORE) || (!express->any_token && !token_of(express, &token)))
        return EXPRESS_UNCOMMON;
    if (!express->any_token && (!express->batch || !str_eq(token, express->token))) {
        *ret_token = token;
        return EXPRESS_TOKEN;
    }
    if (express->mode != IDENTITY_SIMPLIFIED && identity_is_verb(name)) return EXPRESS_UNCOMMON; /* lists its ids */
    const struct json *core[CORE_COUNT];
    for (unsigned i = 0; i < CORE_COUNT; i++) core[i] = event->known & 1u << i ? &event->core[i] : NULL;
    struct arena_mark mark = arena_mark_set(encoder->arena);
    struct event_head head;
    enum status status = event_head(encoder, name, core, NULL, express->mode, NULL, &head);
    if (status == STATUS_OK && (key->name != UINT32_MAX || express_key_name(express, key)) && add_values(express)) {
        for (size_t i = 0; i < event->fresh_count; i++) {
            express->keys[event->fresh[i]].is_property = true;
            batch_name_stored(express->batch, express->keys[event->fresh[i]].name);
        }
        for (uint32_t left = express->added_now; left; left &= left - 1)
            batch_name_stored(express->batch, express->added[__builtin_ctz(left)].name);
        batch_event_encoded(express->batch, key->name, head.time_ms, head.ids.id, head.ids.device, head.insert_id,
                            str_from(express->out, (size_t)(event->properties_end - express->out)));
        *ret_end = end;
    } else {
        status = STATUS_INVALID;
    }
    arena_rewind(encoder->arena, mark);
    return status == STATUS_OK ? EXPRESS_STORED : EXPRESS_UNCOMMON;
}

const char *express_object_end(const char *at)
{
    size_t depth = 0;
    do {
        switch (*at++) {
        case '{':
        case '[': depth++; break;
        case '}':
        case ']': depth--; break;
        case '"':
            for (; *at != '"'; at++) {
                if (*at == '\\') at++;
                if (*at == 0) return NULL;
            }
            at++;
            break;
        case 0: return NULL;
        default: break;
        }
    } while (depth);
    return at;
}
