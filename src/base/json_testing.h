#pragma once
/* For tests: whether two documents that were read are the same in every respect. */
#include "base/json.h"

/* Equal bytes, and a NUL behind both. */
static inline bool json_same_text(struct str a, struct str b)
{
    return str_eq(a, b) && a.data[a.size] == 0 && b.data[b.size] == 0;
}

/* Stricter than json_equal: type for type, bit for bit, in order. */
static inline bool json_same(const struct json *a, const struct json *b)
{
    if (a->type != b->type || a->flags != b->flags || a->line != b->line || a->column != b->column) return false;
    switch (a->type) {
    case JSON_NULL: return true;
    case JSON_BOOL: return a->boolean == b->boolean;
    case JSON_INT: return a->integer == b->integer;
    case JSON_DOUBLE: return memcmp(&a->number, &b->number, sizeof a->number) == 0;
    case JSON_BIGNUM:
    case JSON_STRING: return json_same_text(a->string, b->string);
    case JSON_ARRAY:
        if (a->array.count != b->array.count) return false;
        for (size_t i = 0; i < a->array.count; i++) {
            if (!json_same(&a->array.items[i], &b->array.items[i])) return false;
        }
        return true;
    default:
        if (a->object.count != b->object.count) return false;
        for (size_t i = 0; i < a->object.count; i++) {
            const struct json_member *x = &a->object.members[i], *y = &b->object.members[i];
            if (!json_same_text(x->key, y->key) || !json_same(&x->value, &y->value)) return false;
        }
        return true;
    }
}
