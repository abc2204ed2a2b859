#include "identity/identity.h"

#include "base/buf.h"
#include "base/number.h"
#include "base/utf8.h"

#include <stdlib.h>

#define SIMPLIFIED_REASON    "$identity_failure_reason"
#define ORIGINAL_REASON      "$failure_reason"
#define ORIGINAL_DESCRIPTION "$failure_description"

const char *identity_reason_name(enum identity_reason reason)
{
    switch (reason) {
    case IDENTITY_REASON_ASSIGNED: return "errAnonDistinctIdAssignedAlready";
    case IDENTITY_REASON_SAME: return "errSameIDs";
    case IDENTITY_REASON_FORM: return "errAnonDistinctIdNonGUIDForm";
    case IDENTITY_REASON_MANY: return "errManyIDs";
    case IDENTITY_REASON_ALIAS: return "errAliasAlreadyExists";
    case IDENTITY_REASON_NONE: break;
    }
    return "";
}

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

bool identity_is_anonymous(struct str id)
{
    if (str_starts(id, STR(IDENTITY_DEVICE_PREFIX))) id = str_slice(id, sizeof IDENTITY_DEVICE_PREFIX - 1, id.size);
    bool dash = true, any_dash = false; /* the character before was one */
    for (size_t i = 0; i < id.size; i++) {
        char c = id.data[i];
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (!digit && (c != '-' || dash)) return false;
        dash = !digit;
        any_dash |= dash;
    }
    return id.size && !dash && any_dash;
}

enum link_operation identity_operation(struct str event_name)
{
    if (str_is(event_name, "$create_alias")) return LINK_ALIAS;
    return str_is(event_name, "$merge") ? LINK_MERGE : LINK_CREATE;
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

/* Of the modes that know verbs. Texts that are missing leave the event without a link, or without anybody. */
static struct identity_ids verb_ids(enum identity_mode mode, const struct identity_claim *claim)
{
    struct identity_ids ids = {.id = claim->distinct_id, .device = STR_NULL};
    if (mode == IDENTITY_LEGACY && !str_is(claim->event_name, "$create_alias")) return ids;
    if (str_is(claim->event_name, "$identify")) {
        if (claim->identified_id.data) ids.id = claim->identified_id;
        ids.device = claim->anon_id;
    } else if (str_is(claim->event_name, "$create_alias")) {
        ids.device = claim->alias;
    } else if (str_is(claim->event_name, "$merge") && claim->merged[0].data && claim->merged[1].data) {
        ids.id = claim->merged[0];
        ids.device = claim->merged[1];
    }
    if (!ids.id.data) ids.device = STR_NULL;
    return ids;
}

static enum status simplified_ids(struct arena *arena, const struct identity_claim *claim, struct identity_ids *ret_ids)
{
    struct identity_ids ids = {.id = STR_NULL, .device = STR_NULL};
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

enum status identity_resolve(struct arena *arena, enum identity_mode mode, const struct identity_claim *claim,
                             struct identity_ids *ret_ids)
{
    if (mode == IDENTITY_SIMPLIFIED) return simplified_ids(arena, claim, ret_ids);
    *ret_ids = verb_ids(mode, claim);
    return STATUS_OK;
}

/* --- links --- */

static bool is_device(const struct id_graph *graph, uint32_t id)
{
    char room[ID_TEXT_ROOM];
    return identity_is_device(id_graph_text(graph, id, room));
}

/* Only memory can refuse a link. The graph is torn then, which its owner sees. */
static unsigned make(struct id_graph *graph, const struct link_request *request, uint32_t shown, enum id_link_kind kind)
{
    struct id_source source = {kind, request->device, request->user, request->received_ms, request->event};
    enum status status = id_graph_link(graph, request->device, request->user, shown, &source);
    (void)status;
    return IDENTITY_REASON_NONE;
}

static unsigned link_simplified(struct id_graph *graph, struct link_request request)
{
    bool first = is_device(graph, request.device), second = is_device(graph, request.user);
    if (first == second || (second && request.operation == LINK_CREATE)) return IDENTITY_REASON_NONE;
    if (second) {
        uint32_t swap = request.device;
        request.device = request.user;
        request.user = swap;
    }
    uint32_t person = id_graph_person(graph, request.device);
    if (person == id_graph_person(graph, request.user)) return IDENTITY_REASON_NONE;
    if (!id_graph_is_alone(graph, request.device)) return IDENTITY_REASON_ASSIGNED;
    return make(graph, &request, request.user, request.asked ? ID_LINK_ASKED : ID_LINK_EVENT);
}

/* Of the cluster that both would be in; counting ends soon after the limit. */
static uint32_t size_of_both(const struct id_graph *graph, const struct link_request *request)
{
    uint32_t a = id_graph_person(graph, request->device), b = id_graph_person(graph, request->user);
    uint32_t most = request->cluster_max + 1 > request->cluster_max ? request->cluster_max + 1 : UINT32_MAX;
    return id_graph_members_up_to(graph, a, most) + (a == b ? 0 : id_graph_members_up_to(graph, b, most));
}

/* How much says that the id shown for a person is the one to show: nobody made it up, and it was chosen before. */
static int shown_rank(const struct id_graph *graph, uint32_t shown)
{
    char room[ID_TEXT_ROOM];
    if (identity_is_anonymous(id_graph_text(graph, shown, room))) return 0;
    return id_graph_is_alone(graph, shown) ? 1 : 2;
}

/* A person is shown as the first of its ids that was identified; of two such, as that to which the link goes. */
static uint32_t shown_of_both(const struct id_graph *graph, const struct link_request *request)
{
    uint32_t user = id_graph_shown(graph, id_graph_person(graph, request->user));
    uint32_t other = id_graph_shown(graph, id_graph_person(graph, request->device));
    return shown_rank(graph, other) > shown_rank(graph, user) ? other : user;
}

static unsigned link_original(struct id_graph *graph, const struct link_request *request)
{
    static const enum id_link_kind kinds[] = {
        [LINK_CREATE] = ID_LINK_IDENTIFY, [LINK_ALIAS] = ID_LINK_ALIAS, [LINK_MERGE] = ID_LINK_MERGE};
    uint32_t a = id_graph_person(graph, request->device), b = id_graph_person(graph, request->user);
    char room[ID_TEXT_ROOM];
    if (request->device == request->user) return IDENTITY_REASON_SAME;
    bool create = request->operation == LINK_CREATE;
    if (create && !identity_is_anonymous(id_graph_text(graph, request->device, room))) return IDENTITY_REASON_FORM;
    /* What was said of an id that is alone now was taken back, and so is what it was an alias of: the other one has
     * left. */
    bool alone = id_graph_is_alone(graph, request->device);
    if (create && a != b && !alone && id_graph_is_attached(graph, request->device)) return IDENTITY_REASON_ASSIGNED;
    uint32_t target = request->operation == LINK_ALIAS ? id_graph_alias_of(graph, request->device) : 0;
    if (target && target != request->user && id_graph_person(graph, target) == a) return IDENTITY_REASON_ALIAS;
    if (a != b && size_of_both(graph, request) > request->cluster_max) return IDENTITY_REASON_MANY;
    uint32_t shown = a == b ? id_graph_shown(graph, a) : shown_of_both(graph, request);
    return make(graph, request, shown, kinds[request->operation]);
}

static unsigned link_legacy(struct id_graph *graph, const struct link_request *request)
{
    if (request->operation != LINK_ALIAS || request->device == request->user) return IDENTITY_REASON_NONE;
    uint32_t target = id_graph_stands_for(graph, request->device);
    /* An alias of somebody who was deleted is free. */
    if (target && id_graph_person(graph, target)) return IDENTITY_REASON_NONE;
    enum status status = id_graph_name(graph, request->device, request->user, request->received_ms);
    (void)status; /* as for make() */
    return IDENTITY_REASON_NONE;
}

unsigned identity_link(struct id_graph *graph, const struct link_request *request)
{
    if (request->device == 0 || request->user == 0) return IDENTITY_REASON_NONE;
    switch (request->mode) {
    case IDENTITY_SIMPLIFIED: return link_simplified(graph, *request);
    case IDENTITY_ORIGINAL: return link_original(graph, request);
    case IDENTITY_LEGACY: return link_legacy(graph, request);
    }
    return IDENTITY_REASON_NONE;
}

/* --- why not --- */

static void describe(struct buf *out, const struct id_graph *graph, const struct link_request *request, unsigned reason)
{
    char room[ID_TEXT_ROOM];
    struct str id = id_graph_text(graph, request->device, room);
    switch (reason) {
    case IDENTITY_REASON_SAME:
        buf_printf(out, "Identified and anon ID are same in the identify request " STR_FMT, STR_ARG(id));
        break;
    case IDENTITY_REASON_FORM:
        buf_printf(out, "$anon_distinct_id didn't match expected GUID pattern: " STR_FMT, STR_ARG(id));
        break;
    case IDENTITY_REASON_ASSIGNED:
        buf_printf(out, "$anon_distinct_id already identified: " STR_FMT, STR_ARG(id));
        break;
    case IDENTITY_REASON_ALIAS: buf_printf(out, "alias already exists with the id"); break;
    case IDENTITY_REASON_MANY:
        buf_printf(out, "too many distinctIDs mapped together, Cluster size: %u Max limit: %u",
                   size_of_both(graph, request), request->cluster_max);
        break;
    default: break;
    }
}

size_t identity_explain(const struct id_graph *graph, const struct link_request *request, unsigned reason,
                        char room[LINK_TEXT_ROOM], struct link_property ret_properties[LINK_PROPERTIES_MAX])
{
    struct str name = str_of(identity_reason_name((enum identity_reason)reason));
    if (request->mode == IDENTITY_SIMPLIFIED) {
        ret_properties[0] = (struct link_property){STR(SIMPLIFIED_REASON), name};
        return 1;
    }
    struct buf text = BUF_INIT(LINK_TEXT_ROOM);
    describe(&text, graph, request, reason);
    size_t size =
        buf_status(&text) == STATUS_OK ? utf8_cut(text.data ? text.data : "", text.size, IDENTITY_ID_BYTES_MAX) : 0;
    if (size) memcpy(room, text.data, size);
    buf_fini(&text);
    ret_properties[0] = (struct link_property){STR(ORIGINAL_REASON), name};
    ret_properties[1] = (struct link_property){STR(ORIGINAL_DESCRIPTION), str_from(room, size)};
    return 2;
}

/* --- taking links back --- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Whom those who stay are shown as: the one they were, or else the first that came that nobody made up. */
static uint32_t shown_without(const struct id_graph *graph, uint32_t left)
{
    char room[ID_TEXT_ROOM];
    uint32_t shown = id_graph_shown(graph, id_graph_person(graph, left)), first = 0, first_made_up = 0;
    if (shown != left) return shown;
    for (uint32_t id = id_graph_next_member(graph, left); id != left; id = id_graph_next_member(graph, id)) {
        if (id_graph_is_bare(graph, id)) continue;
        uint32_t *least = identity_is_anonymous(id_graph_text(graph, id, room)) ? &first_made_up : &first;
        if (!*least || id < *least) *least = id;
    }
    return first ? first : first_made_up;
}

/* All devices of a user, each alone. */
static enum status free_devices(struct id_graph *graph, uint32_t user, int64_t received_ms)
{
    uint32_t count = 0, *devices = malloc(id_graph_members(graph, id_graph_person(graph, user)) * sizeof *devices);
    if (!devices) return STATUS_LIMIT;
    for (uint32_t id = id_graph_next_member(graph, user); id != user; id = id_graph_next_member(graph, id)) {
        if (!id_graph_is_bare(graph, id)) devices[count++] = id;
    }
    qsort(devices, count, sizeof *devices, by_number);
    enum status status = id_graph_split(graph, devices, count, user, received_ms);
    free(devices);
    return status;
}

enum status identity_unlink(struct id_graph *graph, enum identity_mode mode, uint32_t id, int64_t received_ms)
{
    if (!id_graph_person(graph, id)) return STATUS_NOT_FOUND;
    if (mode == IDENTITY_LEGACY) {
        if (!id_graph_stands_for(graph, id)) return STATUS_NOT_FOUND;
        return id_graph_name(graph, id, 0, received_ms);
    }
    if (id_graph_is_alone(graph, id)) return STATUS_NOT_FOUND;
    if (mode == IDENTITY_SIMPLIFIED && !is_device(graph, id)) return free_devices(graph, id, received_ms);
    return id_graph_split(graph, &id, 1, shown_without(graph, id), received_ms);
}
