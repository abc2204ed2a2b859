#include "column/value.h"

#include "base/hash.h"
#include "base/number.h"

#include <math.h>

struct value value_number(double d)
{
    int64_t integer;
    if (number_is_int(d, &integer)) return value_int(integer);
    if (!isfinite(d)) return value_absent();
    return (struct value){.type = VALUE_DOUBLE, .number = d};
}

bool value_double(struct value v, double *ret_number)
{
    double number;
    switch (v.type) {
    case VALUE_INT: *ret_number = (double)v.integer; return true;
    case VALUE_DOUBLE: *ret_number = v.number; return true;
    case VALUE_BIGNUM:
        if (!number_parse(value_text(v), &number) || !isfinite(number)) return false;
        *ret_number = number;
        return true;
    default: return false;
    }
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 0x80) value >>= 7, size++;
    return size;
}

size_t value_encoded_size(struct value v)
{
    switch (v.type) {
    case VALUE_BOOL: return 2;
    case VALUE_INT: return 1 + varint_size(zigzag(v.integer));
    case VALUE_DOUBLE: return 9;
    case VALUE_STRING:
    case VALUE_BIGNUM:
    case VALUE_LIST:
    case VALUE_OBJECT: return 1 + varint_size(v.size) + v.size;
    default: return 1;
    }
}

void value_encode(struct buf *buf, struct value v)
{
    buf_byte(buf, (char)v.type);
    switch (v.type) {
    case VALUE_BOOL: buf_byte(buf, v.boolean); break;
    case VALUE_INT: buf_varint(buf, zigzag(v.integer)); break;
    case VALUE_DOUBLE: {
        uint64_t bits;
        memcpy(&bits, &v.number, 8);
        buf_u64(buf, bits);
        break;
    }
    case VALUE_STRING:
    case VALUE_BIGNUM:
    case VALUE_LIST:
    case VALUE_OBJECT:
        buf_varint(buf, v.size);
        buf_add(buf, v.data, v.size);
        break;
    default: break;
    }
}

/* Reads one value and checks its own bytes, but not what is inside a container. CORRUPT also for an unknown tag. */
static enum status decode_outer(struct reader *reader, struct value *ret_value)
{
    struct value v = {.type = read_u8(reader)};
    switch (v.type) {
    case VALUE_ABSENT:
    case VALUE_NULL: break;
    case VALUE_BOOL: {
        uint8_t b = read_u8(reader);
        if (b > 1) return STATUS_CORRUPT;
        v.boolean = b;
        break;
    }
    case VALUE_INT: v.integer = unzigzag(read_varint(reader)); break;
    case VALUE_DOUBLE: {
        uint64_t bits = read_u64(reader);
        memcpy(&v.number, &bits, 8);
        break;
    }
    case VALUE_STRING:
    case VALUE_BIGNUM:
    case VALUE_LIST:
    case VALUE_OBJECT: {
        struct str bytes = read_str(reader);
        if (bytes.size > UINT32_MAX) return STATUS_CORRUPT;
        v.size = (uint32_t)bytes.size;
        v.data = bytes.data;
        break;
    }
    default: return STATUS_CORRUPT;
    }
    if (reader->failed) return STATUS_CORRUPT;
    *ret_value = v;
    return STATUS_OK;
}

static enum status decode(struct reader *reader, struct value *ret_value, unsigned depth)
{
    struct value v;
    TRY(decode_outer(reader, &v));
    if (v.type == VALUE_DOUBLE && !isfinite(v.number)) return STATUS_CORRUPT;
    if (v.type == VALUE_LIST || v.type == VALUE_OBJECT) {
        if (depth == 0) return STATUS_CORRUPT;
        struct reader inner = reader_of(value_text(v));
        uint64_t count = read_varint(&inner);
        if (count > v.size) return STATUS_CORRUPT;
        for (uint64_t i = 0; i < count; i++) {
            struct value item;
            if (v.type == VALUE_OBJECT) read_str(&inner);
            TRY(decode(&inner, &item, depth - 1));
        }
        if (inner.failed || reader_left(&inner)) return STATUS_CORRUPT;
    }
    *ret_value = v;
    return STATUS_OK;
}

enum status value_decode(struct reader *reader, struct value *ret_value)
{
    return decode(reader, ret_value, VALUE_DEPTH_MAX);
}

static struct value scalar_of(const struct json *json)
{
    struct value v;
    switch (json->type) {
    case JSON_BOOL: return value_bool(json->boolean);
    case JSON_INT: return value_int(json->integer);
    case JSON_DOUBLE: return value_number(json->number);
    case JSON_STRING: return value_str(json->string);
    case JSON_BIGNUM:
        v = value_str(json->string);
        v.type = VALUE_BIGNUM;
        return v;
    default: return value_null();
    }
}

char *value_encode_other_scalar(char *at, const struct json *json)
{
    struct value v = scalar_of(json);
    uint64_t bits;
    *at++ = (char)v.type;
    switch (v.type) {
    case VALUE_BOOL: *at++ = v.boolean; return at;
    case VALUE_INT: return raw_varint(at, zigzag(v.integer));
    case VALUE_DOUBLE:
        memcpy(&bits, &v.number, 8);
        for (int i = 0; i < 8; i++) *at++ = (char)(bits >> 8 * i);
        return at;
    case VALUE_BIGNUM: return raw_str(at, value_text(v));
    default: return at;
    }
}

/* Containers carry their size in front: the payload is written first and then moved up by the size's few bytes. */
static enum status encode_json(struct buf *buf, const struct json *json, unsigned depth)
{
    if (json->type != JSON_ARRAY && json->type != JSON_OBJECT) {
        char *at = buf_spare(buf, value_scalar_bytes_max(json));
        if (at)
            buf_wrote(buf, value_encode_scalar(at, json));
        else
            value_encode(buf, scalar_of(json));
        return STATUS_OK;
    }
    if (depth == 0) return STATUS_INVALID;
    bool object = json->type == JSON_OBJECT;
    buf_byte(buf, object ? VALUE_OBJECT : VALUE_LIST);
    size_t start = buf->size;
    if (object) {
        uint64_t count = 0;
        for (size_t i = 0; i < json->object.count; i++) {
            count += json_get(json, json->object.members[i].key) == &json->object.members[i].value;
        }
        buf_varint(buf, count);
        for (size_t i = 0; i < json->object.count; i++) {
            const struct json_member *member = &json->object.members[i];
            if (count != json->object.count && json_get(json, member->key) != &member->value) continue;
            buf_varint(buf, member->key.size);
            buf_str_add(buf, member->key);
            TRY(encode_json(buf, &member->value, depth - 1));
        }
    } else {
        buf_varint(buf, json->array.count);
        for (size_t i = 0; i < json->array.count; i++) TRY(encode_json(buf, &json->array.items[i], depth - 1));
    }
    size_t payload = buf->size - start, head = varint_size(payload);
    if (!buf_reserve(buf, head)) return STATUS_OK;
    buf_fill(buf, 0, head);
    if (buf->failed) return STATUS_OK;
    memmove(buf->data + start + head, buf->data + start, payload);
    uint64_t rest = payload;
    for (size_t i = 0; i < head; i++, rest >>= 7) {
        buf->data[start + i] = (char)((rest & 0x7F) | (i + 1 < head ? 0x80 : 0));
    }
    return STATUS_OK;
}

enum status value_encode_json(struct buf *buf, const struct json *json)
{
    return encode_json(buf, json, VALUE_DEPTH_MAX);
}

struct value_iter value_iter(struct value container)
{
    struct value_iter iter = {.object = container.type == VALUE_OBJECT};
    if (container.type != VALUE_LIST && container.type != VALUE_OBJECT) return iter;
    iter.reader = reader_of(value_text(container));
    iter.left = read_varint(&iter.reader);
    return iter;
}

uint64_t value_count(struct value container)
{
    return value_iter(container).left;
}

bool value_next(struct value_iter *iter, struct str *ret_key, struct value *ret_value)
{
    if (iter->left == 0) return false;
    iter->left--;
    struct str key = iter->object ? read_str(&iter->reader) : STR("");
    struct value v;
    /* value_decode checked these bytes in depth: what is inside a container is not walked again. */
    if (decode_outer(&iter->reader, &v) != STATUS_OK || iter->reader.failed) {
        iter->left = 0;
        return false;
    }
    if (ret_key) *ret_key = key;
    *ret_value = v;
    return true;
}

struct value value_member(struct value object, struct str key)
{
    if (object.type != VALUE_OBJECT) return value_absent();
    struct value_iter iter = value_iter(object);
    struct str found;
    struct value v;
    while (value_next(&iter, &found, &v)) {
        if (str_eq(found, key)) return v;
    }
    return value_absent();
}

enum status value_to_json(struct arena *arena, struct value v, struct json *ret_json)
{
    struct json json = json_null();
    switch (v.type) {
    case VALUE_BOOL: json = json_bool(v.boolean); break;
    case VALUE_INT: json = json_int(v.integer); break;
    case VALUE_DOUBLE: json = (struct json){.type = JSON_DOUBLE, .number = v.number}; break;
    case VALUE_STRING: json = json_string(value_text(v)); break;
    case VALUE_BIGNUM: json = (struct json){.type = JSON_BIGNUM, .string = value_text(v)}; break;
    case VALUE_LIST:
    case VALUE_OBJECT: {
        json = v.type == VALUE_LIST ? JSON_ARRAY_EMPTY : JSON_OBJECT_EMPTY;
        struct value_iter iter = value_iter(v);
        struct str key;
        struct value item;
        while (value_next(&iter, &key, &item)) {
            struct json inner;
            TRY(value_to_json(arena, item, &inner));
            if (v.type == VALUE_LIST)
                TRY(json_push(arena, &json, inner));
            else
                TRY(json_put(arena, &json, key, inner));
        }
        break;
    }
    default: break;
    }
    *ret_json = json;
    return STATUS_OK;
}

void value_write_json(struct buf *buf, struct value v)
{
    switch (v.type) {
    case VALUE_BOOL:
        if (v.boolean)
            buf_lit(buf, "true");
        else
            buf_lit(buf, "false");
        break;
    case VALUE_INT: json_write_int(buf, v.integer); break;
    case VALUE_DOUBLE: json_write_double(buf, v.number); break;
    case VALUE_STRING: json_write_str(buf, value_text(v)); break;
    case VALUE_BIGNUM: buf_str_add(buf, value_text(v)); break;
    case VALUE_LIST:
    case VALUE_OBJECT: {
        bool object = v.type == VALUE_OBJECT, first = true;
        buf_byte(buf, object ? '{' : '[');
        struct value_iter iter = value_iter(v);
        struct str key;
        struct value item;
        while (value_next(&iter, &key, &item)) {
            if (!first) buf_byte(buf, ',');
            first = false;
            if (object) {
                json_write_str(buf, key);
                buf_byte(buf, ':');
            }
            value_write_json(buf, item);
        }
        buf_byte(buf, object ? '}' : ']');
        break;
    }
    default: buf_lit(buf, "null"); break;
    }
}

int value_cmp_number(struct value a, struct value b)
{
    if (a.type == VALUE_BIGNUM) {
        if (b.type == VALUE_BIGNUM) return number_cmp_text(value_text(a), value_text(b));
        if (b.type == VALUE_INT) return number_cmp_text_int(value_text(a), b.integer);
        return number_cmp_text_double(value_text(a), b.number);
    }
    if (b.type == VALUE_BIGNUM) return -value_cmp_number(b, a);
    if (a.type == VALUE_INT && b.type == VALUE_INT) return a.integer < b.integer ? -1 : a.integer > b.integer;
    if (a.type == VALUE_INT) return number_cmp_int_double(a.integer, b.number);
    if (b.type == VALUE_INT) return -number_cmp_int_double(b.integer, a.number);
    return a.number < b.number ? -1 : a.number > b.number;
}

bool value_equal(struct value a, struct value b)
{
    if (value_is_number(a) && value_is_number(b)) return value_cmp_number(a, b) == 0;
    if (a.type != b.type) return false;
    switch (a.type) {
    case VALUE_BOOL: return a.boolean == b.boolean;
    case VALUE_STRING: return str_eq(value_text(a), value_text(b));
    case VALUE_LIST: {
        if (a.size == b.size && memcmp(a.data, b.data, a.size) == 0) return true;
        struct value_iter x = value_iter(a), y = value_iter(b);
        if (x.left != y.left) return false;
        struct value p, q;
        while (value_next(&x, NULL, &p) && value_next(&y, NULL, &q)) {
            if (!value_equal(p, q)) return false;
        }
        return true;
    }
    case VALUE_OBJECT: {
        if (a.size == b.size && memcmp(a.data, b.data, a.size) == 0) return true;
        struct value_iter x = value_iter(a);
        if (x.left != value_count(b)) return false; /* keys are unique in the encoding */
        struct str key;
        struct value p;
        while (value_next(&x, &key, &p)) {
            struct value q = value_member(b, key);
            if (q.type == VALUE_ABSENT || !value_equal(p, q)) return false;
        }
        return true;
    }
    default: return true;
    }
}

static int type_rank(struct value v)
{
    return value_is_number(v) ? VALUE_INT : v.type;
}

int value_cmp(struct value a, struct value b)
{
    int x = type_rank(a), y = type_rank(b);
    if (x != y) return x < y ? -1 : 1;
    switch (x) {
    case VALUE_BOOL: return (int)a.boolean - (int)b.boolean;
    case VALUE_INT: { /* any number: equal values of different form are told apart by the form */
        int order = value_cmp_number(a, b);
        if (order) return order;
        if (a.type != b.type) return a.type < b.type ? -1 : 1;
        return a.type == VALUE_BIGNUM ? str_cmp(value_text(a), value_text(b)) : 0;
    }
    case VALUE_STRING:
    case VALUE_LIST:
    case VALUE_OBJECT: return str_cmp(value_text(a), value_text(b));
    default: return 0;
    }
}

uint64_t value_hash(struct value v)
{
    switch (v.type) {
    case VALUE_BOOL: return hash_u64(v.boolean, v.type);
    case VALUE_INT:
    case VALUE_DOUBLE: return hash_u64((uint64_t)v.integer, v.type);
    case VALUE_STRING:
    case VALUE_BIGNUM:
    case VALUE_LIST:
    case VALUE_OBJECT: return hash_bytes(v.data, v.size, v.type);
    default: return hash_u64(0, v.type);
    }
}

void value_write_label(struct buf *buf, struct value v)
{
    switch (v.type) {
    case VALUE_ABSENT: buf_lit(buf, "undefined"); break;
    case VALUE_STRING: buf_add(buf, v.data, v.size); break;
    default: value_write_json(buf, v); break;
    }
}
