/* Identity and duplicates: docs/api/identity.md, docs/api/ingestion.md. */
#include "reference/events.h"

#include "base/number.h"

#include <math.h>
#include <stdlib.h>

struct reference *reference_new(struct arena *arena, enum reference_mode mode, unsigned cluster_max)
{
    struct reference *reference = ref_alloc(arena, sizeof *reference);
    reference->arena = arena;
    reference->mode = mode;
    reference->cluster_max = cluster_max;
    return reference;
}

/* --- ids ---------------------------------------------------------------------------------------------- */

static bool is_device(struct str id)
{
    return str_starts(id, STR("$device:"));
}

static bool is_denied(struct str id)
{
    static const char *const denied[] = {
        "",      "anon", "anonymous", "nil",  "none",    "null",  "n/a", "na", "undefined",
        "<nil>", "0",    "-1",        "true", "unknown", "false", "[]",  "{}", "00000000-0000-0000-0000-000000000000"};
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++) {
        if (str_eq_nocase(id, str_of(denied[i]))) return true;
    }
    return false;
}

/* An id is a text, or a number's text; NULL data for what is none. */
static struct str id_of(struct arena *arena, const struct json *value)
{
    if (!value || (value->type != JSON_STRING && !json_is_number(value))) return STR_NULL;
    struct str text = ref_cast_string(arena, ref_from_json(arena, value)).text;
    return is_denied(text) ? STR_NULL : text;
}

static struct str device_of(struct arena *arena, struct str bare)
{
    return is_denied(bare) ? STR_NULL : ref_join(arena, STR("$device:"), bare);
}

struct str reference_person(const struct reference *reference, struct str id)
{
    return ref_person(reference, id);
}

/* --- profiles ----------------------------------------------------------------------------------------- */

static struct ref_profile **find_profile(struct reference *reference, struct str id)
{
    struct ref_profile **at = &reference->profiles;
    while (*at && !str_eq((*at)->id, id)) at = &(*at)->next;
    return at;
}

void reference_profile(struct reference *reference, struct str id, const struct json *properties)
{
    struct ref_profile **at = find_profile(reference, id);
    if (*at) *at = (*at)->next;
    if (!properties) return;
    struct ref_profile *profile = ref_alloc(reference->arena, sizeof *profile);
    *profile = (struct ref_profile){.id = ref_copy(reference->arena, id),
                                    .properties = ref_from_json(reference->arena, properties),
                                    .next = reference->profiles};
    reference->profiles = profile;
}

void ref_adopt_profile(struct reference *reference, struct str from, struct str to)
{
    struct ref_profile **at = find_profile(reference, from), *other = *at;
    if (!other) return;
    *at = other->next;
    struct ref_profile *known = *find_profile(reference, to);
    if (!known) {
        other->id = to;
        other->next = reference->profiles;
        reference->profiles = other;
        return;
    }
    struct ref_value both = ref_list(reference->arena, known->properties.count + other->properties.count);
    both.type = REF_OBJECT;
    both.keys = ref_alloc(reference->arena, (both.count + 1) * sizeof(struct str));
    both.count = 0;
    for (size_t i = 0; i < known->properties.count + other->properties.count; i++) {
        bool own = i < known->properties.count;
        const struct ref_value *source = own ? &known->properties : &other->properties;
        size_t k = own ? i : i - known->properties.count;
        if (!own && ref_member(known->properties, source->keys[k]).type != REF_UNDEFINED) continue;
        both.keys[both.count] = source->keys[k];
        both.items[both.count++] = source->items[k];
    }
    known->properties = both;
}

/* What was written to another id of the person than that which is shown is not seen. */
struct ref_value ref_profile_property(const struct reference *reference, struct str id, struct str name)
{
    if (!id.data) return ref_undefined;
    struct str shown = ref_person(reference, id);
    for (const struct ref_profile *profile = reference->profiles; profile; profile = profile->next) {
        if (str_eq(profile->id, shown)) return ref_member(profile->properties, name);
    }
    return ref_undefined;
}

/* --- events ------------------------------------------------------------------------------------------- */

static bool is_stored_property(struct str name)
{
    static const char *const left_out[] = {"token", "ip", "time", "distinct_id", "$insert_id", "$ignore"};
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++) {
        if (str_eq(name, str_of(left_out[i]))) return false;
    }
    return true;
}

static int64_t time_of(const struct json *time, int64_t received_ms)
{
    double number = 0;
    if (!time || time->type == JSON_NULL) return received_ms;
    if (time->type != JSON_STRING)
        number = json_double(time);
    else if (!number_parse(time->string, &number))
        abort(); /* such events are not for here */
    int64_t time_ms = llround(number < 1e11 ? number * 1000 : number);
    return time_ms > received_ms ? received_ms : time_ms;
}

static bool is_insert_id(struct str id)
{
    for (size_t i = 0; i < id.size; i++) {
        char c = id.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '-') return false;
    }
    return id.size >= 1 && id.size <= 36;
}

/* Of the simplified mode: whose event it is, and the device that it links, by the table in docs/api/identity.md. */
static void simplified_ids(struct arena *arena, const struct json *properties, bool verb, struct str *ret_id,
                           struct str *ret_device)
{
    struct str distinct = id_of(arena, json_member(properties, "distinct_id"));
    struct str device = id_of(arena, json_member(properties, "$device_id"));
    struct str user = id_of(arena, json_member(properties, "$user_id"));
    *ret_device = STR_NULL;
    /* A user that looks like a device is read as a distinct_id that does. */
    if (user.data && is_device(user)) {
        distinct = user;
        user = STR_NULL;
    }
    if (device.data) device = device_of(arena, device);
    if (!device.data && !user.data && distinct.data && is_device(distinct))
        device = device_of(arena, str_slice(distinct, strlen("$device:"), distinct.size));
    else if (!device.data && !user.data)
        user = distinct;
    *ret_id = user.data ? user : device;
    if (user.data && device.data && !verb) *ret_device = device;
}

/* Of the others: a verb names the ids that it links. */
static void verb_ids(const struct reference *reference, struct str name, const struct json *properties,
                     struct str *ret_id, struct str *ret_other)
{
    struct arena *arena = reference->arena;
    bool original = reference->mode == REFERENCE_ORIGINAL;
    *ret_id = id_of(arena, json_member(properties, "distinct_id"));
    *ret_other = STR_NULL;
    if (original && str_is(name, "$identify")) {
        struct str identified = id_of(arena, json_member(properties, "$identified_id"));
        *ret_other = id_of(arena, json_member(properties, "$anon_id"));
        if (!ret_other->data) *ret_other = id_of(arena, json_member(properties, "$anon_distinct_id"));
        if (identified.data) *ret_id = identified;
    } else if (str_is(name, "$create_alias")) {
        *ret_other = id_of(arena, json_member(properties, "alias"));
    } else if (original && str_is(name, "$merge")) {
        const struct json *ids = json_member(properties, "$distinct_ids");
        *ret_id = id_of(arena, json_at(ids, 0));
        *ret_other = id_of(arena, json_at(ids, 1));
    }
}

static enum reference_operation operation_of(struct str name)
{
    if (str_is(name, "$create_alias")) return REFERENCE_ALIAS;
    return str_is(name, "$merge") ? REFERENCE_MERGE : REFERENCE_CREATE;
}

static void add_text(struct ref_event *event, const char *name, struct str text)
{
    if (!text.data) return;
    event->properties.keys[event->properties.count] = str_of(name);
    event->properties.items[event->properties.count++] = ref_string(text);
}

struct str reference_track(struct reference *reference, const struct json *json, int64_t received_ms)
{
    struct arena *arena = reference->arena;
    const struct json *properties = json_member(json, "properties");
    struct ref_event *event = ref_alloc(arena, sizeof *event);
    struct str other;
    if (json_member(properties, "$ignore")) return STR_NULL;
    event->name = ref_copy(arena, json_member(json, "event")->string);
    event->received_ms = received_ms;
    event->number = reference->count++;
    event->time_ms = time_of(json_member(properties, "time"), received_ms);
    event->insert_id = id_of(arena, json_member(properties, "$insert_id"));
    if (!is_insert_id(event->insert_id)) event->insert_id = STR_NULL;
    bool verb =
        str_is(event->name, "$identify") || str_is(event->name, "$create_alias") || str_is(event->name, "$merge");
    if (reference->mode == REFERENCE_SIMPLIFIED)
        simplified_ids(arena, properties, verb, &event->id, &other);
    else
        verb_ids(reference, event->name, properties, &event->id, &other);

    struct ref_value all = ref_from_json(arena, properties);
    event->properties = ref_list(arena, all.count + 3);
    event->properties.type = REF_OBJECT;
    event->properties.keys = ref_alloc(arena, (all.count + 3) * sizeof(struct str));
    event->properties.count = 0;
    for (size_t i = 0; i < all.count; i++) {
        if (!is_stored_property(all.keys[i])) continue;
        event->properties.keys[event->properties.count] = all.keys[i];
        event->properties.items[event->properties.count++] = all.items[i];
    }
    ref_see(reference, event->id);
    if (event->id.data && other.data) {
        struct ref_refusal refused = ref_link(reference, operation_of(event->name), other, event->id);
        bool simplified = reference->mode == REFERENCE_SIMPLIFIED;
        add_text(event, simplified ? "$identity_failure_reason" : "$failure_reason", refused.reason);
        add_text(event, "$failure_description", refused.description);
    }
    struct str sent = event->id;
    event->id = ref_stored_under(reference, sent);
    if (sent.data && !str_eq(event->id, sent)) add_text(event, "$distinct_id_before_identity", sent);

    for (struct ref_event *old = reference->first; old && event->insert_id.data; old = old->next) {
        if (old->insert_id.data && str_eq(old->insert_id, event->insert_id) && str_eq(old->name, event->name) &&
            str_eq(old->id, event->id) && old->time_ms == event->time_ms)
            old->gone = true;
    }
    if (reference->last)
        reference->last->next = event;
    else
        reference->first = event;
    reference->last = event;
    return event->id;
}

/* --- deletes ------------------------------------------------------------------------------------------ */

/* Their links go too: an id that comes again is somebody new. */
void reference_delete_person(struct reference *reference, const struct str *ids, size_t count)
{
    struct str *persons = ref_alloc(reference->arena, count * sizeof *persons);
    for (size_t i = 0; i < count; i++) persons[i] = ref_person(reference, ids[i]);
    for (size_t i = 0; i < count; i++) {
        for (struct ref_event *event = reference->first; event; event = event->next) {
            if (event->id.data && str_eq(ref_person(reference, event->id), persons[i])) event->gone = true;
        }
    }
    for (size_t i = 0; i < count; i++) {
        for (struct ref_profile **at = &reference->profiles; *at;) {
            if (str_eq(ref_person(reference, (*at)->id), persons[i]))
                *at = (*at)->next;
            else
                at = &(*at)->next;
        }
    }
    for (size_t i = 0; i < count; i++) ref_forget(reference, persons[i]);
}

void reference_delete_before(struct reference *reference, int64_t time_ms)
{
    for (struct ref_event *event = reference->first; event; event = event->next)
        event->gone |= event->time_ms < time_ms;
}

void reference_delete_some(struct reference *reference, unsigned every,
                           void (*each)(void *context, struct str name, struct str id, int64_t time_ms,
                                        struct str insert_id),
                           void *context)
{
    for (struct ref_event *event = reference->first; event; event = event->next) {
        if (event->gone || !event->insert_id.data || event->number % every) continue;
        event->gone = true;
        each(context, event->name, event->id, event->time_ms, event->insert_id);
    }
}

size_t reference_count(const struct reference *reference)
{
    return reference->count;
}
