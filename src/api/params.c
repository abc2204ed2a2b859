#include "api/params.h"

#include "base/civil.h"
#include "base/json.h"
#include "base/number.h"
#include "base/url.h"

#define PARAMS_MAX 200

static enum status too_many(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "too many parameters");
}

static enum status add_pairs(struct http_request *request, struct str text, struct error *error, struct params *params)
{
    struct url_params pairs;
    if (url_params_parse(request->arena, text, PARAMS_MAX - params->count, &pairs) != STATUS_OK) return too_many(error);
    for (size_t i = 0; i < pairs.count; i++)
        params->items[params->count++] = (struct param){pairs.items[i].name, pairs.items[i].value};
    return STATUS_OK;
}

static enum status add_object(struct http_request *request, const struct json *object, struct error *error,
                              struct params *params)
{
    if (object->type != JSON_OBJECT) return error_set(error, STATUS_INVALID, "the JSON body must be an object");
    for (size_t i = 0; i < object->object.count; i++) {
        const struct json_member *member = &object->object.members[i];
        if (params->count == PARAMS_MAX) return too_many(error);
        if (member->value.type == JSON_NULL) continue;
        struct str value = member->value.string;
        if (member->value.type != JSON_STRING) {
            struct buf text = BUF_INIT((size_t)1 << 20);
            json_write(&text, &member->value);
            value = buf_status(&text) == STATUS_OK ? arena_str(request->arena, buf_str(&text)) : STR_NULL;
            buf_fini(&text);
            if (!value.data) return error_set(error, STATUS_LIMIT, "request needs too much memory");
        }
        params->items[params->count++] = (struct param){member->key, value};
    }
    return STATUS_OK;
}

enum status params_parse(struct http_request *request, struct error *error, struct params *ret_params)
{
    struct params params = {.items = arena_new_array(request->arena, struct param, PARAMS_MAX)};
    if (!params.items) return error_set(error, STATUS_LIMIT, "request needs too much memory");
    if (request->query.size) TRY(add_pairs(request, request->query, error, &params));
    struct str body = str_trim(request->body);
    if (body.size && (body.data[0] == '{' || body.data[0] == '[')) {
        struct json document;
        enum status status = json_parse(request->arena, body, NULL, error, &document);
        if (status != STATUS_OK) {
            error_prefix(error, "request body");
            return status;
        }
        TRY(add_object(request, &document, error, &params));
    } else if (body.size) {
        TRY(add_pairs(request, body, error, &params));
    }
    *ret_params = params;
    return STATUS_OK;
}

struct str params_get(const struct params *params, const char *name)
{
    for (size_t i = 0; i < params->count; i++) {
        if (params->items[i].value.size && str_eq(params->items[i].name, str_of(name))) return params->items[i].value;
    }
    return STR_NULL;
}

enum status params_int(const struct params *params, const char *name, int64_t low, int64_t high, int64_t initial,
                       struct error *error, int64_t *ret_value)
{
    struct str text = params_get(params, name);
    int64_t value = initial;
    if (text.data && (!number_parse_int(str_trim(text), &value) || value < low || value > high)) {
        error_set(error, STATUS_INVALID, "Error in %s: invalid number \"" STR_FMT "\"", name, STR_ARG(text));
        error_hint(error, "give a whole number from %lld to %lld", (long long)low, (long long)high);
        return STATUS_INVALID;
    }
    *ret_value = value;
    return STATUS_OK;
}

enum status params_date(const struct params *params, const char *name, struct error *error, int64_t *ret_day)
{
    struct str text = str_trim(params_get(params, name));
    int64_t ms;
    bool zone;
    if (!text.size) return error_set(error, STATUS_INVALID, "%s is required", name);
    if (civil_parse_date(text, ret_day)) return STATUS_OK;
    if (civil_parse_datetime(text, &ms, &zone) && civil_parse_date(str_slice(text, 0, 10), ret_day)) return STATUS_OK;
    error_set(error, STATUS_INVALID, "Error in %s: invalid date \"" STR_FMT "\"", name, STR_ARG(text));
    error_hint(error, "use YYYY-MM-DD");
    return STATUS_INVALID;
}

enum status params_choice(const struct params *params, const char *name, const char *const *names, int initial,
                          struct error *error, int *ret_index)
{
    struct str text = params_get(params, name);
    *ret_index = initial;
    if (!text.data) return STATUS_OK;
    struct buf list = BUF_INIT(256);
    for (int i = 0; names[i]; i++) {
        if (str_eq(str_of(names[i]), text)) {
            *ret_index = i;
            buf_fini(&list);
            return STATUS_OK;
        }
        buf_printf(&list, "%s%s", i == 0 ? "" : names[i + 1] ? ", " : " or ", names[i]);
    }
    error_set(error, STATUS_INVALID, "Error in %s: unknown value \"" STR_FMT "\"", name, STR_ARG(text));
    error_hint(error, "use " STR_FMT, STR_ARG(buf_str(&list)));
    buf_fini(&list);
    return STATUS_INVALID;
}

enum status params_texts(const struct params *params, const char *name, struct arena *arena, struct error *error,
                         const struct str **ret_texts, size_t *ret_count)
{
    struct json list;
    if (json_parse(arena, params_get(params, name), NULL, NULL, &list) != STATUS_OK || list.type != JSON_ARRAY) {
        error_set(error, STATUS_INVALID, "Error in %s: not a JSON array", name);
        error_hint(error, "send something like [\"a\",\"b\"]");
        return STATUS_INVALID;
    }
    struct str *texts = arena_new_array(arena, struct str, list.array.count + 1);
    if (!texts) return error_set(error, STATUS_LIMIT, "request needs too much memory");
    for (size_t i = 0; i < list.array.count; i++) {
        const struct json *item = &list.array.items[i];
        char number[NUMBER_TEXT_MAX];
        if (item->type == JSON_STRING || item->type == JSON_BIGNUM)
            texts[i] = item->string;
        else if (item->type == JSON_INT)
            texts[i] = arena_str(arena, str_from(number, number_format_int(item->integer, number)));
        else
            return error_set(error, STATUS_INVALID, "Error in %s: item %zu is not a text", name, i);
        if (!texts[i].data) return error_set(error, STATUS_LIMIT, "request needs too much memory");
    }
    *ret_texts = texts;
    *ret_count = list.array.count;
    return STATUS_OK;
}
