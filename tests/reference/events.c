/* Identity and duplicates: docs/api/identity.md, docs/api/ingestion.md. */
#include "reference/events.h"

#include "base/number.h"

#include <math.h>
#include <stdlib.h>

struct reference *reference_new(struct arena *arena, enum reference_mode mode)
{
    struct reference *reference = ref_alloc(arena, sizeof *reference);
    reference->arena = arena;
    reference->mode = mode;
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

static const struct ref_link *link_of(const struct reference *reference, struct str device)
{
    const struct ref_link *link = reference->links;
    while (link && !str_eq(link->device, device)) link = link->next;
    return link;
}

/* First write wins. False when the device is somebody else's. */
static bool link_device(struct reference *reference, struct str device, struct str user)
{
    const struct ref_link *known = link_of(reference, device);
    if (known) return str_eq(known->user, user);
    struct ref_link *link = ref_alloc(reference->arena, sizeof *link);
    *link = (struct ref_link){.device = ref_copy(reference->arena, device),
                              .user = ref_copy(reference->arena, user),
                              .next = reference->links};
    reference->links = link;
    return true;
}

void reference_link(struct reference *reference, struct str device, struct str user, bool either_way)
{
    if (reference->mode != REFERENCE_SIMPLIFIED) return;
    if (is_device(device) && !is_device(user))
        link_device(reference, device, user);
    else if (either_way && is_device(user) && !is_device(device))
        link_device(reference, user, device);
}

struct str ref_person(const struct reference *reference, struct str id)
{
    const struct ref_link *link = link_of(reference, id);
    return link ? link->user : id;
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

/* Whose event it is, and the device that it links, by the table in docs/api/identity.md. */
static void ids_of(const struct reference *reference, const struct json *properties, bool verb, struct str *ret_id,
                   struct str *ret_device)
{
    struct arena *arena = reference->arena;
    struct str distinct = id_of(arena, json_member(properties, "distinct_id"));
    struct str device = id_of(arena, json_member(properties, "$device_id"));
    struct str user = id_of(arena, json_member(properties, "$user_id"));
    *ret_id = distinct;
    *ret_device = STR_NULL;
    if (reference->mode != REFERENCE_SIMPLIFIED) return;
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

void reference_track(struct reference *reference, const struct json *json, int64_t received_ms)
{
    struct arena *arena = reference->arena;
    const struct json *properties = json_member(json, "properties");
    struct ref_event *event = ref_alloc(arena, sizeof *event);
    struct str device;
    if (json_member(properties, "$ignore")) return;
    event->name = ref_copy(arena, json_member(json, "event")->string);
    event->received_ms = received_ms;
    event->number = reference->count++;
    event->time_ms = time_of(json_member(properties, "time"), received_ms);
    event->insert_id = id_of(arena, json_member(properties, "$insert_id"));
    if (!is_insert_id(event->insert_id)) event->insert_id = STR_NULL;
    bool verb =
        str_is(event->name, "$identify") || str_is(event->name, "$create_alias") || str_is(event->name, "$merge");
    ids_of(reference, properties, verb, &event->id, &device);

    struct ref_value all = ref_from_json(arena, properties);
    event->properties = ref_list(arena, all.count + 1);
    event->properties.type = REF_OBJECT;
    event->properties.keys = ref_alloc(arena, (all.count + 1) * sizeof(struct str));
    event->properties.count = 0;
    for (size_t i = 0; i < all.count; i++) {
        if (!is_stored_property(all.keys[i])) continue;
        event->properties.keys[event->properties.count] = all.keys[i];
        event->properties.items[event->properties.count++] = all.items[i];
    }
    if (device.data && !link_device(reference, device, event->id)) {
        event->properties.keys[event->properties.count] = STR("$identity_failure_reason");
        event->properties.items[event->properties.count++] = ref_string(STR("errAnonDistinctIdAssignedAlready"));
    }

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
    for (size_t i = 0; i < count; i++) {
        for (struct ref_link **link = &reference->links; *link;) {
            if (str_eq((*link)->user, persons[i]))
                *link = (*link)->next;
            else
                link = &(*link)->next;
        }
    }
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
