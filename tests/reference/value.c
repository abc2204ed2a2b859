#include "reference/internal.h"

#include "base/number.h"

#include <math.h>
#include <stdlib.h>

void *ref_alloc(struct arena *arena, size_t size)
{
    void *memory = arena_calloc(arena, 1, size ? size : 1);
    if (!memory) abort();
    return memory;
}

struct str ref_copy(struct arena *arena, struct str s)
{
    return ref_join(arena, s, STR(""));
}

struct str ref_join(struct arena *arena, struct str a, struct str b)
{
    char *text = ref_alloc(arena, a.size + b.size);
    if (a.size) memcpy(text, a.data, a.size);
    if (b.size) memcpy(text + a.size, b.data, b.size);
    return str_from(text, a.size + b.size);
}

struct ref_value ref_double(double d)
{
    if (!isfinite(d)) return ref_undefined;
    return (struct ref_value){.type = REF_NUMBER, .number = d == 0 ? 0 : (long double)d};
}

struct ref_value ref_list(struct arena *arena, size_t count)
{
    return (struct ref_value){
        .type = REF_LIST, .items = ref_alloc(arena, count * sizeof(struct ref_value)), .count = count};
}

/* Of members with the same name the last counts. */
static bool is_last(const struct json *object, size_t index)
{
    for (size_t i = index + 1; i < object->object.count; i++) {
        if (str_eq(object->object.members[i].key, object->object.members[index].key)) return false;
    }
    return true;
}

struct ref_value ref_from_json(struct arena *arena, const struct json *json)
{
    struct ref_value v = ref_undefined;
    switch ((enum json_type)json->type) {
    case JSON_NULL: v.type = REF_NULL; break;
    case JSON_BOOL: return ref_bool(json->boolean);
    case JSON_INT: return ref_int(json->integer);
    case JSON_DOUBLE: return (struct ref_value){.type = REF_NUMBER, .number = json->number};
    case JSON_STRING: return ref_string(ref_copy(arena, json->string));
    case JSON_BIGNUM:
        return (struct ref_value){
            .type = REF_NUMBER, .number = json_double(json), .text = ref_copy(arena, json->string)};
    case JSON_ARRAY:
        v = ref_list(arena, json->array.count);
        for (size_t i = 0; i < v.count; i++) v.items[i] = ref_from_json(arena, &json->array.items[i]);
        break;
    case JSON_OBJECT:
        v = ref_list(arena, json->object.count);
        v.type = REF_OBJECT;
        v.keys = ref_alloc(arena, v.count * sizeof *v.keys);
        v.count = 0;
        for (size_t i = 0; i < json->object.count; i++) {
            if (!is_last(json, i)) continue;
            v.keys[v.count] = ref_copy(arena, json->object.members[i].key);
            v.items[v.count++] = ref_from_json(arena, &json->object.members[i].value);
        }
        break;
    }
    return v;
}

struct json ref_to_json(struct arena *arena, struct ref_value v)
{
    struct json json = json_null(), inner;
    enum status status = STATUS_OK;
    switch (v.type) {
    case REF_UNDEFINED:
    case REF_NULL: break;
    case REF_BOOLEAN: return json_bool(v.boolean);
    case REF_STRING: return json_string(v.text);
    case REF_NUMBER:
        if (v.text.data) return (struct json){.type = JSON_BIGNUM, .string = v.text};
        if (ref_is_int64(v.number) && !(v.number == 0 && signbit(v.number))) return json_int((int64_t)v.number);
        return (struct json){.type = JSON_DOUBLE, .number = (double)v.number};
    case REF_LIST:
    case REF_OBJECT:
        json = v.type == REF_LIST ? JSON_ARRAY_EMPTY : JSON_OBJECT_EMPTY;
        for (size_t i = 0; i < v.count && status == STATUS_OK; i++) {
            inner = ref_to_json(arena, v.items[i]);
            status = v.type == REF_LIST ? json_push(arena, &json, inner) : json_put(arena, &json, v.keys[i], inner);
        }
        if (status != STATUS_OK) abort();
        break;
    }
    return json;
}

struct str ref_json_text(struct arena *arena, struct ref_value v)
{
    struct buf buf = BUF_INIT((size_t)1 << 24);
    struct json json = ref_to_json(arena, v);
    json_write(&buf, &json);
    if (buf.failed) abort();
    struct str text = ref_copy(arena, buf_str(&buf));
    buf_fini(&buf);
    return text;
}

struct str ref_label(struct arena *arena, struct ref_value v)
{
    if (v.type == REF_UNDEFINED) return STR("undefined");
    return v.type == REF_STRING ? v.text : ref_json_text(arena, v);
}

bool ref_equal(struct arena *arena, struct ref_value a, struct ref_value b)
{
    if (a.type != b.type) return false;
    switch (a.type) {
    case REF_UNDEFINED:
    case REF_NULL: return true;
    case REF_BOOLEAN: return a.boolean == b.boolean;
    case REF_NUMBER: return ref_order(arena, a, b) == 0;
    case REF_STRING: return str_eq(a.text, b.text);
    case REF_LIST:
        if (a.count != b.count) return false;
        for (size_t i = 0; i < a.count; i++) {
            if (!ref_equal(arena, a.items[i], b.items[i])) return false;
        }
        return true;
    case REF_OBJECT:
        if (a.count != b.count) return false;
        for (size_t i = 0; i < a.count; i++) {
            bool found = false;
            for (size_t j = 0; j < b.count; j++)
                found |= str_eq(a.keys[i], b.keys[j]) && ref_equal(arena, a.items[i], b.items[j]);
            if (!found) return false;
        }
        return true;
    }
    return false;
}

bool ref_number(struct ref_value v, long double *ret_number)
{
    if (v.type != REF_NUMBER || !isfinite(v.number)) return false;
    *ret_number = v.number;
    return true;
}

bool ref_is_int64(long double number)
{
    return number == floorl(number) && number >= -9223372036854775808.0L && number < 9223372036854775808.0L;
}

bool ref_whole(struct ref_value v, long double *ret_number)
{
    return ref_number(v, ret_number) && *ret_number == floorl(*ret_number);
}

struct ref_value ref_member(struct ref_value object, struct str key)
{
    for (size_t i = 0; object.type == REF_OBJECT && i < object.count; i++) {
        if (str_eq(object.keys[i], key)) return object.items[i];
    }
    return ref_undefined;
}

unsigned ref_depth(struct ref_value v)
{
    unsigned deepest = 0;
    if (v.type != REF_LIST && v.type != REF_OBJECT) return 0;
    for (size_t i = 0; i < v.count; i++) {
        unsigned depth = ref_depth(v.items[i]);
        if (depth > deepest) deepest = depth;
    }
    return deepest + 1;
}
