#include "workflow/secrets.h"

#include "base/url.h"

#define EMBEDDED_SIZE_MIN 4
#define TEXT_SIZE_MAX     ((size_t)64 << 20)

static enum status append(struct workflow_secrets *secrets, struct str secret)
{
    for (size_t i = 0; i < secrets->count; i++) {
        if (str_eq(secrets->items[i], secret)) return STATUS_OK;
    }
    struct str *items = arena_realloc(secrets->arena, secrets->items, secrets->count * sizeof *items,
                                      (secrets->count + 1) * sizeof *items);
    if (!items) return STATUS_LIMIT;
    /* Longest first, so that a secret inside another does not leave the rest of the longer one in sight. */
    size_t at = secrets->count++;
    for (; at > 0 && items[at - 1].size < secret.size; at--) items[at] = items[at - 1];
    items[at] = secret;
    secrets->items = items;
    return STATUS_OK;
}

enum status secrets_add(struct workflow_secrets *secrets, struct str secret)
{
    if (secret.size == 0) return STATUS_OK;
    TRY(append(secrets, secret));
    struct buf encoded = BUF_INIT(TEXT_SIZE_MAX);
    url_encode(&encoded, secret);
    struct str copy = arena_str(secrets->arena, buf_str(&encoded));
    buf_fini(&encoded);
    return copy.data ? append(secrets, copy) : STATUS_LIMIT;
}

enum status secrets_add_json(struct workflow_secrets *secrets, const struct json *value)
{
    if (value->type == JSON_STRING) return secrets_add(secrets, value->string);
    if (value->type == JSON_ARRAY) {
        for (size_t i = 0; i < value->array.count; i++) TRY(secrets_add_json(secrets, &value->array.items[i]));
    } else if (value->type == JSON_OBJECT) {
        for (size_t i = 0; i < value->object.count; i++)
            TRY(secrets_add_json(secrets, &value->object.members[i].value));
    }
    return STATUS_OK;
}

static struct str replace(struct arena *arena, struct str text, struct str secret)
{
    size_t found = str_find(text, secret, 0), from = 0;
    if (found == SIZE_MAX) return text;
    struct buf buf = BUF_INIT(TEXT_SIZE_MAX);
    for (; found != SIZE_MAX; found = str_find(text, secret, from)) {
        buf_str_add(&buf, str_slice(text, from, found));
        buf_lit(&buf, SECRET_MASK);
        from = found + secret.size;
    }
    buf_str_add(&buf, str_slice(text, from, text.size));
    struct str result = buf_status(&buf) == STATUS_OK ? arena_str(arena, buf_str(&buf)) : STR_NULL;
    buf_fini(&buf);
    return result;
}

struct str secrets_mask(const struct workflow_secrets *secrets, struct str text)
{
    if (!text.data) text = STR("");
    for (size_t i = 0; i < secrets->count && text.data; i++) {
        struct str secret = secrets->items[i];
        if (str_eq(text, secret)) return STR(SECRET_MASK);
        if (secret.size >= EMBEDDED_SIZE_MIN) text = replace(secrets->arena, text, secret);
    }
    return text;
}

enum status secrets_mask_json(const struct workflow_secrets *secrets, const struct json *value, struct json *ret_value)
{
    struct json copy = *value;
    if (value->type == JSON_STRING) {
        copy.string = secrets_mask(secrets, value->string);
        if (!copy.string.data) return STATUS_LIMIT;
    } else if (value->type == JSON_ARRAY) {
        copy = JSON_ARRAY_EMPTY;
        for (size_t i = 0; i < value->array.count; i++) {
            struct json item;
            TRY(secrets_mask_json(secrets, &value->array.items[i], &item));
            TRY(json_push(secrets->arena, &copy, item));
        }
    } else if (value->type == JSON_OBJECT) {
        copy = JSON_OBJECT_EMPTY;
        for (size_t i = 0; i < value->object.count; i++) {
            struct json item;
            TRY(secrets_mask_json(secrets, &value->object.members[i].value, &item));
            TRY(json_put(secrets->arena, &copy, value->object.members[i].key, item));
        }
    }
    *ret_value = copy;
    return STATUS_OK;
}
