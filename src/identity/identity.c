#include "identity/identity.h"

#include "base/number.h"
#include "base/utf8.h"

const char *const identity_link_reasons[] = {
    [IDENTITY_REASON_NONE] = "",
    [IDENTITY_REASON_ASSIGNED] = "errAnonDistinctIdAssignedAlready",
    NULL,
};

bool identity_is_device(struct str id)
{
    return id.size > sizeof IDENTITY_DEVICE_PREFIX - 1 && str_starts(id, STR(IDENTITY_DEVICE_PREFIX));
}

bool identity_denied(struct str id)
{
#define DENIED(text)                                                                                                   \
    {                                                                                                                  \
        (text), sizeof(text) - 1                                                                                       \
    }
    static const struct str denied[] = {
        DENIED("anon"),
        DENIED("anonymous"),
        DENIED("nil"),
        DENIED("none"),
        DENIED("null"),
        DENIED("n/a"),
        DENIED("na"),
        DENIED("undefined"),
        DENIED("<nil>"),
        DENIED("0"),
        DENIED("-1"),
        DENIED("true"),
        DENIED("unknown"),
        DENIED("false"),
        DENIED("[]"),
        DENIED("{}"),
        DENIED("00000000-0000-0000-0000-000000000000"),
    };
#undef DENIED
    /* Real ids are longer than all but the last, which begins unlike most of its size: nearly all calls end here. */
    if (id.size > 9 && (id.size != 36 || id.data[0] != '0')) return false;
    for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++) {
        if (str_eq_nocase(id, denied[i])) return true;
    }
    return false;
}

bool identity_is_verb(struct str event_name)
{
    return str_is(event_name, "$identify") || str_is(event_name, "$create_alias") || str_is(event_name, "$merge");
}

enum status identity_text(struct arena *arena, const struct json *value, struct str *ret_text)
{
    struct str text = STR_NULL;
    char digits[NUMBER_TEXT_MAX];
    switch (value ? value->type : JSON_NULL) {
    case JSON_STRING:
    case JSON_BIGNUM: text = value->string; break;
    case JSON_INT: text = str_from(digits, number_format_int(value->integer, digits)); break;
    case JSON_DOUBLE: text = str_from(digits, number_format(value->number, digits)); break;
    default: break;
    }
    if (text.size > IDENTITY_ID_BYTES_MAX) text.size = utf8_cut(text.data, text.size, IDENTITY_ID_BYTES_MAX);
    if (text.size == 0 || identity_denied(text)) text = STR_NULL;
    if (text.data == digits) {
        text = arena_str(arena, text);
        if (!text.data) return STATUS_LIMIT;
    }
    *ret_text = text;
    return STATUS_OK;
}

/* The bare device id, or NULL data when it is none. Cut so that the stored text keeps to the limit of an id whether it
 * came with the prefix or gets it here. */
static struct str device_bare(struct str bare)
{
    const size_t bare_max = IDENTITY_ID_BYTES_MAX - (sizeof IDENTITY_DEVICE_PREFIX - 1);
    if (bare.size == 0 || identity_denied(bare)) return STR_NULL;
    if (bare.size > bare_max) bare.size = utf8_cut(bare.data, bare.size, bare_max);
    return bare;
}

enum status identity_device(struct arena *arena, struct str device_id, struct str *ret_id)
{
    const size_t prefix_size = sizeof IDENTITY_DEVICE_PREFIX - 1;
    struct str bare = device_bare(device_id);
    if (!bare.data) {
        *ret_id = STR_NULL;
        return STATUS_OK;
    }
    char *id = arena_alloc(arena, prefix_size + bare.size);
    if (!id) return STATUS_LIMIT;
    memcpy(id, IDENTITY_DEVICE_PREFIX, prefix_size);
    memcpy(id + prefix_size, bare.data, bare.size);
    *ret_id = str_from(id, prefix_size + bare.size);
    return STATUS_OK;
}

struct str identity_device_prefixed(struct str id)
{
    const size_t prefix_size = sizeof IDENTITY_DEVICE_PREFIX - 1;
    struct str bare = device_bare(str_slice(id, prefix_size, id.size));
    return bare.data ? str_slice(id, 0, prefix_size + bare.size) : STR_NULL;
}

enum status identity_resolve(struct arena *arena, enum identity_mode mode, const struct identity_claim *claim,
                             struct identity_ids *ret_ids)
{
    struct identity_ids ids = {.id = claim->distinct_id, .device = STR_NULL};
    if (mode != IDENTITY_SIMPLIFIED) {
        *ret_ids = ids;
        return STATUS_OK;
    }
    /* A text with the prefix names a device wherever it stands: taken for a user it would join two devices. */
    bool user_is_device = str_starts(claim->user_id, STR(IDENTITY_DEVICE_PREFIX));
    struct str device = STR_NULL, user = user_is_device ? STR_NULL : claim->user_id;
    struct str fallback = claim->user_id.data ? claim->user_id : claim->distinct_id;
    if (claim->device_id.data)
        TRY(identity_device(arena, claim->device_id, &device));
    else if (str_starts(fallback, STR(IDENTITY_DEVICE_PREFIX)))
        device = identity_device_prefixed(fallback);
    if (!device.data && !user.data && !user_is_device && !str_starts(claim->distinct_id, STR(IDENTITY_DEVICE_PREFIX)))
        user = claim->distinct_id;

    if (!user.data)
        ids.id = device;
    else {
        ids.id = user;
        if (!identity_is_verb(claim->event_name)) ids.device = device;
    }
    *ret_ids = ids;
    return STATUS_OK;
}

unsigned identity_link(struct id_graph *graph, enum identity_mode mode, enum link_operation operation, uint32_t device,
                       uint32_t user)
{
    if (mode != IDENTITY_SIMPLIFIED || device == 0 || user == 0) return IDENTITY_REASON_NONE;
    char room[ID_TEXT_ROOM];
    bool first = identity_is_device(id_graph_text(graph, device, room));
    bool second = identity_is_device(id_graph_text(graph, user, room));
    if (first == second || (second && operation == LINK_CREATE)) return IDENTITY_REASON_NONE;
    if (second) {
        uint32_t swap = device;
        device = user;
        user = swap;
    }
    uint32_t person = id_graph_person(graph, device);
    if (person == id_graph_person(graph, user)) return IDENTITY_REASON_NONE;
    if (id_graph_next_member(graph, person) != person) return IDENTITY_REASON_ASSIGNED;
    /* Only memory can refuse this. The link is in the log, and is made when that is read the next time. */
    enum status status = id_graph_link(graph, device, user, user);
    (void)status;
    return IDENTITY_REASON_NONE;
}
