#include "ingest/profile.h"

#include "base/number.h"
#include "base/utf8.h"
#include "identity/identity.h"
#include "ingest/event_int.h"
#include "profile/operations.h"
#include "store/profiles.h"
#include "store/update_record.h"

#define NAME_SHOWN_BYTES 64

enum operator_kind {
    OPERATOR_SET,
    OPERATOR_SET_ONCE,
    OPERATOR_UNSET,
    OPERATOR_ADD,
    OPERATOR_UNION,
    OPERATOR_APPEND,
    OPERATOR_REMOVE,
    OPERATOR_DELETE,
    OPERATORS,
};

/* In the order in which they are carried out. */
static const struct rule {
    const char *name;
    enum operation operation;
    bool creates;
    unsigned depth; /* of the value, in what it becomes a part of */
} operators[OPERATORS] = {
    [OPERATOR_SET] = {"$set", OPERATION_SET, true, 0},
    [OPERATOR_SET_ONCE] = {"$set_once", OPERATION_SET_ONCE, true, 0},
    [OPERATOR_UNSET] = {"$unset", OPERATION_UNSET, false, 0},
    [OPERATOR_ADD] = {"$add", OPERATION_ADD, true, 0},
    [OPERATOR_UNION] = {"$union", OPERATION_UNION, true, 0},
    [OPERATOR_APPEND] = {"$append", OPERATION_APPEND, true, 1},
    [OPERATOR_REMOVE] = {"$remove", OPERATION_REMOVE, false, 1},
    [OPERATOR_DELETE] = {"$delete", OPERATION_DELETE, false, 0},
};

struct message {
    struct json *operands[OPERATORS];
    const struct json *token, *distinct_id, *group_key, *group_id, *time, *ignore_time, *ignore_alias, *latitude,
        *longitude, *ip;
};

struct run {
    struct arena *arena;
    const struct ingest_limits *limits;
    struct ingest_limits values; /* for the shape of values: lists are bounded by their bytes */
    const struct profile_request *request;
    struct profile_batch batch;
    struct buf operations;
    size_t refusal_capacity, property_count;
    struct str last_token; /* most requests have one all through */
    struct ingest_project last_project;
    bool last_known;
    /* what is wrong with the message at hand */
    struct str field, wrong;
};

/* --- refusing --- */

static enum status refuse(struct run *run, struct str field, const char *message)
{
    run->field = field;
    run->wrong = str_of(message);
    return STATUS_INVALID;
}

static enum status missing(struct run *run, const char *field)
{
    run->field = str_of(field);
    run->wrong = arena_printf(run->arena, "%s, missing or empty", field);
    return run->wrong.data ? STATUS_INVALID : STATUS_LIMIT;
}

static enum status wrong_operand(struct run *run, const struct rule *op, struct str name, const char *wrong)
{
    if (name.size > NAME_SHOWN_BYTES) name.size = utf8_cut(name.data, name.size, NAME_SHOWN_BYTES);
    run->field = name.data ? arena_printf(run->arena, "%s." STR_FMT, op->name, STR_ARG(name)) : str_of(op->name);
    if (run->field.data)
        run->wrong = arena_printf(run->arena, "'" STR_FMT "' is invalid: %s", STR_ARG(run->field), wrong);
    return run->field.data && run->wrong.data ? STATUS_INVALID : STATUS_LIMIT;
}

static enum status note_refusal(struct run *run, size_t index)
{
    struct profile_batch *batch = &run->batch;
    if (batch->refusal_count == run->refusal_capacity) {
        size_t capacity = run->refusal_capacity ? run->refusal_capacity * 2 : 8;
        batch->refusals = arena_realloc(run->arena, batch->refusals, run->refusal_capacity * sizeof *batch->refusals,
                                        capacity * sizeof *batch->refusals);
        if (!batch->refusals) return STATUS_LIMIT;
        run->refusal_capacity = capacity;
    }
    batch->refusals[batch->refusal_count++] = (struct profile_refusal){index, run->field, run->wrong};
    return STATUS_OK;
}

/* --- reading a message --- */

/* The last of the members of one name counts. */
static void read_message(const struct json *json, struct message *message)
{
    static const struct {
        const char *name;
        size_t offset;
    } modifiers[] = {
        {"$token", offsetof(struct message, token)},
        {"$distinct_id", offsetof(struct message, distinct_id)},
        {"$group_key", offsetof(struct message, group_key)},
        {"$group_id", offsetof(struct message, group_id)},
        {"$time", offsetof(struct message, time)},
        {"$ignore_time", offsetof(struct message, ignore_time)},
        {"$ignore_alias", offsetof(struct message, ignore_alias)},
        {"$latitude", offsetof(struct message, latitude)},
        {"$ip", offsetof(struct message, ip)},
        {"$longitude", offsetof(struct message, longitude)},
    };
    *message = (struct message){0};
    for (size_t i = 0; i < json->object.count; i++) {
        struct json_member *member = &json->object.members[i];
        for (size_t k = 0; k < OPERATORS; k++) {
            if (str_eq(member->key, str_of(operators[k].name))) message->operands[k] = &member->value;
        }
        for (size_t k = 0; k < sizeof modifiers / sizeof *modifiers; k++) {
            if (str_eq(member->key, str_of(modifiers[k].name)))
                *(const struct json **)((char *)message + modifiers[k].offset) = &member->value;
        }
    }
}

/* Go sends the texts "true" and "false". */
static bool is_true(const struct json *value)
{
    if (!value) return false;
    if (value->type == JSON_STRING) return str_eq_nocase(value->string, STR("true"));
    return value->type == JSON_BOOL && value->boolean;
}

static struct str text_of(const struct json *value)
{
    return value && value->type == JSON_STRING ? str_trim(value->string) : STR_NULL;
}

static void cut(struct str *text, size_t size_max)
{
    if (text->size > size_max) text->size = utf8_cut(text->data, text->size, size_max);
}

/* Values that stand for no user ("0", "true", …) are good ids of groups. */
static enum status group_text(struct arena *arena, const struct json *value, struct str *ret_text)
{
    char digits[NUMBER_TEXT_MAX];
    struct str text = STR_NULL;
    switch (value ? value->type : JSON_NULL) {
    case JSON_STRING:
    case JSON_BIGNUM: text = value->string; break;
    case JSON_INT: text = str_from(digits, number_format_int(value->integer, digits)); break;
    case JSON_DOUBLE: text = str_from(digits, number_format(value->number, digits)); break;
    default: break;
    }
    cut(&text, IDENTITY_ID_BYTES_MAX);
    *ret_text = text.size ? arena_str(arena, text) : STR_NULL;
    return text.size && !ret_text->data ? STATUS_LIMIT : STATUS_OK;
}

/* --- operators --- */

static enum status take_value(struct run *run, const struct rule *op, struct json_member *member)
{
    struct json *value = &member->value, list;
    enum operator_kind kind = (enum operator_kind)(op - operators);
    if (kind == OPERATOR_ADD && !json_is_number(value)) return wrong_operand(run, op, member->key, "must be a number");
    if (kind == OPERATOR_UNION && value->type != JSON_ARRAY) {
        if (value->type == JSON_OBJECT || value->type == JSON_NULL)
            return wrong_operand(run, op, member->key, "must be a list");
        list = (struct json){.type = JSON_ARRAY, .array = {value, 1}};
        value = &list;
    }
    const char *wrong = event_value_check(&run->values, value, op->depth);
    if (wrong) return wrong_operand(run, op, member->key, wrong);
    cut(&member->key, run->limits->string_bytes_max);
    size_t before = run->operations.size;
    if (operation_value(&run->operations, op->operation, member->key, value) != STATUS_OK)
        return wrong_operand(run, op, member->key, "nested too deeply");
    if (value->type == JSON_ARRAY && run->operations.size - before > run->limits->profile_list_bytes_max)
        return wrong_operand(run, op, member->key, "list is too long");
    return STATUS_OK;
}

static enum status take_names(struct run *run, const struct rule *op, struct json *operand)
{
    bool single = operand->type == JSON_STRING; /* RMixpanel */
    if (!single && operand->type != JSON_ARRAY) return wrong_operand(run, op, STR_NULL, "must be a list of names");
    struct json *names = single ? operand : operand->array.items;
    size_t count = single ? 1 : operand->array.count;
    run->property_count += count;
    for (size_t i = 0; i < count; i++) {
        struct json *name = &names[i];
        if (name->type != JSON_STRING) return wrong_operand(run, op, STR_NULL, "must be a list of names");
        cut(&name->string, run->limits->string_bytes_max);
        operation_name(&run->operations, name->string);
    }
    return STATUS_OK;
}

static enum status take_operator(struct run *run, const struct rule *op, struct json *operand)
{
    if (op->operation == OPERATION_DELETE) {
        operation_plain(&run->operations, OPERATION_DELETE);
        return STATUS_OK;
    }
    if (op->operation == OPERATION_UNSET) return take_names(run, op, operand);
    if (operand->type != JSON_OBJECT) return wrong_operand(run, op, STR_NULL, "must be an object");
    run->property_count += operand->object.count;
    if (run->property_count > run->limits->profile_properties_max) return STATUS_OK; /* refused below */
    for (size_t i = 0; i < operand->object.count; i++) TRY(take_value(run, op, &operand->object.members[i]));
    return STATUS_OK;
}

static enum status take_operators(struct run *run, const struct message *message)
{
    bool any = false, creates = false;
    for (size_t k = 0; k < OPERATORS; k++) {
        any |= message->operands[k] != NULL;
        creates |= message->operands[k] && operators[k].creates;
    }
    if (!any) return refuse(run, STR_NULL, "operation, missing");
    if (creates) operation_plain(&run->operations, OPERATION_CREATE);
    for (size_t k = 0; k < OPERATORS; k++) {
        if (message->operands[k]) TRY(take_operator(run, &operators[k], message->operands[k]));
    }
    if (run->property_count > run->limits->profile_properties_max) {
        run->wrong = arena_printf(run->arena, "message must not have more than %zu properties",
                                  run->limits->profile_properties_max);
        run->field = STR_NULL;
        return run->wrong.data ? STATUS_INVALID : STATUS_LIMIT;
    }
    return STATUS_OK;
}

static bool sets(const struct message *message, struct str name)
{
    const struct json *set = message->operands[OPERATOR_SET], *once = message->operands[OPERATOR_SET_ONCE];
    return (set && json_get(set, name)) || (once && json_get(once, name));
}

/* Where the user is: of the message's `$ip`, or else of the request's address. */
static enum status take_place(struct run *run, const struct message *message)
{
    const struct profile_request *request = run->request;
    const struct json *ip = message->ip && message->ip->type != JSON_NULL ? message->ip : NULL;
    struct str address = !ip ? request->address : ip->type == JSON_STRING ? str_trim(ip->string) : STR_NULL;
    struct geo_place place;
    if (request->kind == PROFILE_GROUPS && !ip) return STATUS_OK; /* a group is not where one of its members is */
    if (!geo_find(request->geo, address, &place)) return STATUS_OK;
    const struct {
        struct str name;
        const char *text;
    } found[] = {{STR("$city"), place.city},
                 {STR("$region"), place.region},
                 {STR("$country_code"), place.country},
                 {STR("$timezone"), place.timezone}};
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++) {
        if (!found[i].text[0] || sets(message, found[i].name)) continue;
        struct json value = json_string(str_of(found[i].text));
        TRY(operation_value(&run->operations, OPERATION_KEEP, found[i].name, &value));
    }
    return STATUS_OK;
}

/* What is set beside what the operators say. */
static enum status take_modifiers(struct run *run, const struct message *message)
{
    const struct {
        const char *name;
        const struct json *value;
    } kept[] = {{"$latitude", message->latitude}, {"$longitude", message->longitude}};
    for (size_t i = 0; i < 2; i++) {
        if (kept[i].value && json_is_number(kept[i].value))
            TRY(operation_value(&run->operations, OPERATION_KEEP, str_of(kept[i].name), kept[i].value));
    }
    if (run->request->kind == PROFILE_GROUPS) {
        struct json id = *message->group_id;
        if (id.type == JSON_STRING || id.type == JSON_BIGNUM) cut(&id.string, IDENTITY_ID_BYTES_MAX);
        TRY(operation_value(&run->operations, OPERATION_KEEP, STR("$group_id"), &id));
    }
    TRY(take_place(run, message));
    if (is_true(message->ignore_time) || sets(message, STR("$last_seen"))) return STATUS_OK;
    int64_t seen_ms;
    bool given = message->time && event_time(message->time, &seen_ms);
    if (!given || seen_ms > run->request->received_ms) seen_ms = run->request->received_ms;
    operation_seen(&run->operations, seen_ms);
    return STATUS_OK;
}

/* --- a message --- */

/* Whose profile it is. */
static enum status key_of(struct run *run, const struct message *message, enum identity_mode mode,
                          struct update_view *update)
{
    if (run->request->kind == PROFILE_USERS) {
        struct identity_claim claim = {.event_name = STR(PROFILE_USER_EVENT)};
        struct identity_ids ids;
        TRY(identity_text(run->arena, message->distinct_id, &claim.distinct_id));
        TRY(identity_resolve(run->arena, mode, &claim, &ids));
        if (!ids.id.size) return missing(run, "$distinct_id");
        update->event = STR(PROFILE_USER_EVENT);
        update->id = ids.id;
        update->flags = is_true(message->ignore_alias) ? UPDATE_LITERAL : 0;
        return STATUS_OK;
    }
    struct str key = text_of(message->group_key);
    if (!key.size) return missing(run, "$group_key");
    TRY(group_text(run->arena, message->group_id, &update->id));
    if (!update->id.size) return missing(run, "$group_id");
    cut(&key, run->limits->string_bytes_max);
    update->event = arena_printf(run->arena, PROFILE_GROUP_PREFIX STR_FMT, STR_ARG(key));
    update->flags = UPDATE_LITERAL;
    return update->event.data ? STATUS_OK : STATUS_LIMIT;
}

static bool find_project(struct run *run, struct str token)
{
    if (!run->last_token.data || !str_eq(run->last_token, token)) {
        run->last_token = token;
        run->last_known = run->request->project_of(run->request->context, token, &run->last_project);
    }
    return run->last_known;
}

static enum status take_message(struct run *run, const struct json *json)
{
    if (json->type != JSON_OBJECT) return refuse(run, STR_NULL, "data, malformed");
    if (run->request->messages.text_size > run->limits->message_bytes_max &&
        event_json_size(json, run->limits->message_bytes_max) > run->limits->message_bytes_max) {
        run->field = STR_NULL;
        run->wrong = arena_printf(run->arena, "message exceeds max limit of %zu bytes", run->limits->message_bytes_max);
        return run->wrong.data ? STATUS_INVALID : STATUS_LIMIT;
    }
    struct message message;
    struct update_view update = {.received_ms = (uint64_t)run->request->received_ms,
                                 .limits = {run->limits->profile_properties_max, run->limits->profile_list_bytes_max,
                                            run->limits->profile_bytes_max}};
    read_message(json, &message);
    struct str token = text_of(message.token);
    if (!token.size) token = run->request->token;
    if (!token.size) return missing(run, "$token");
    bool known = find_project(run, token);
    /* Also of a project that is not there: whether a message is good does not depend on that. */
    TRY(key_of(run, &message, known ? run->last_project.mode : IDENTITY_SIMPLIFIED, &update));
    buf_reset(&run->operations);
    run->property_count = 0;
    TRY(take_operators(run, &message));
    TRY(take_modifiers(run, &message));
    TRY(buf_status(&run->operations));
    if (!known) {
        run->batch.unknown++;
        run->batch.unauthorized |= run->limits->reject_unknown_tokens;
        return STATUS_OK;
    }
    update.operations = buf_str(&run->operations);
    TRY(record_update(&run->batch.records, store_profiles_of(run->last_project.id), &update));
    run->batch.stored++;
    return STATUS_OK;
}

enum status profile_ingest(struct arena *arena, const struct ingest_limits *limits,
                           const struct profile_request *request, struct error *error, struct profile_batch *ret_batch)
{
    if (request->messages.count > limits->messages_max)
        return error_set(error, STATUS_LIMIT, "request exceeds max limit of %zu messages", limits->messages_max);
    struct run run = {.arena = arena,
                      .limits = limits,
                      .values = *limits,
                      .request = request,
                      .batch = {.records = BUF_INIT(limits->record_bytes_max)},
                      .operations = BUF_INIT(limits->record_bytes_max),
                      .last_token = STR_NULL};
    run.values.elements_max = SIZE_MAX;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < request->messages.count && status == STATUS_OK; i++) {
        status = take_message(&run, &request->messages.items[i]);
        if (status == STATUS_INVALID) status = note_refusal(&run, i);
    }
    buf_fini(&run.operations);
    if (status != STATUS_OK) {
        buf_fini(&run.batch.records);
        return error_set(error, STATUS_LIMIT, "request needs too much memory");
    }
    *ret_batch = run.batch;
    return STATUS_OK;
}

enum status profile_take(struct arena *arena, const struct ingest_limits *limits, const struct decode_form *form,
                         struct profile_request *request, struct error *error, struct profile_batch *ret_batch)
{
    TRY(decode_records(arena, form, limits, error, &request->messages));
    return profile_ingest(arena, limits, request, error, ret_batch);
}
