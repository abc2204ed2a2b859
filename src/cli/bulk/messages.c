#include "base/json.h"
#include "cli/bulk/bulk.h"

static bool is_text(const struct json *value)
{
    return value && (value->type == JSON_STRING || json_is_number(value));
}

enum status bulk_message(struct arena *arena, struct str record, enum bulk_kind kind, struct str token,
                         struct json *ret_message, const char **ret_wrong)
{
    struct json object, message = JSON_OBJECT_EMPTY;
    struct error error = ERROR_INIT;
    *ret_wrong = NULL;
    enum status status = json_parse(arena, record, NULL, &error, &object);
    if (status == STATUS_LIMIT) return status;
    const struct json *properties = status == STATUS_OK ? json_member(&object, "$properties") : NULL;
    const char *const ids[] = {kind == BULK_USERS ? "$distinct_id" : "$group_key",
                               kind == BULK_USERS ? NULL : "$group_id"};
    if (status != STATUS_OK) {
        *ret_wrong = "the record is no JSON";
    } else if (!properties || properties->type != JSON_OBJECT) {
        *ret_wrong = "a profile needs an object $properties";
    } else {
        TRY(json_put(arena, &message, STR("$token"), json_string(token)));
        for (size_t i = 0; i < 2 && ids[i] && !*ret_wrong; i++) {
            const struct json *id = json_get(&object, str_of(ids[i]));
            if (!is_text(id))
                *ret_wrong = kind == BULK_USERS ? "$distinct_id is missing" : "$group_key or $group_id is missing";
            else
                TRY(json_put(arena, &message, str_of(ids[i]), *id));
        }
        /* As it was written: under the id as it stands, seen when it was seen. */
        TRY(json_put(arena, &message, STR("$set"), *properties));
        TRY(json_put(arena, &message, STR("$ignore_time"), json_bool(true)));
        TRY(json_put(arena, &message, STR("$ignore_alias"), json_bool(true)));
    }
    *ret_message = message;
    return STATUS_OK;
}

enum status bulk_link(struct arena *arena, struct str record, struct str *ret_device, struct str *ret_user,
                      const char **ret_wrong)
{
    struct json object;
    struct error error = ERROR_INIT;
    enum status status = json_parse(arena, record, NULL, &error, &object);
    if (status == STATUS_LIMIT) return status;
    const struct json *link = status == STATUS_OK ? json_member(&object, "link") : NULL;
    const struct json *device = link ? json_member(link, "device") : NULL,
                      *user = link ? json_member(link, "user") : NULL;
    bool good = device && user && device->type == JSON_STRING && user->type == JSON_STRING && device->string.size &&
                user->string.size;
    *ret_wrong = good ? NULL : "a link needs the texts device and user";
    *ret_device = good ? device->string : STR_NULL;
    *ret_user = good ? user->string : STR_NULL;
    return STATUS_OK;
}
