#include "base/json.h"

#include "base/number.h"
#include "base/utf8.h"

#include <math.h>

const struct json *json_get(const struct json *value, struct str key)
{
    if (!value || value->type != JSON_OBJECT) return NULL;
    for (size_t i = value->object.count; i-- > 0;) {
        if (str_eq(value->object.members[i].key, key)) return &value->object.members[i].value;
    }
    return NULL;
}

const struct json *json_at(const struct json *value, size_t index)
{
    if (!value || value->type != JSON_ARRAY || index >= value->array.count) return NULL;
    return &value->array.items[index];
}

/* Does the pointer token (still escaped: ~0 is ~, ~1 is /) name this key? */
static bool token_is_key(struct str token, struct str key)
{
    size_t k = 0;
    for (size_t i = 0; i < token.size; i++, k++) {
        char c = token.data[i];
        if (c == '~') {
            if (++i >= token.size || (token.data[i] != '0' && token.data[i] != '1')) return false;
            c = token.data[i] == '0' ? '~' : '/';
        }
        if (k >= key.size || key.data[k] != c) return false;
    }
    return k == key.size;
}

const struct json *json_pointer(const struct json *value, struct str pointer)
{
    if (pointer.size == 0) return value;
    if (pointer.data[0] != '/') return NULL;
    struct str rest = str_slice(pointer, 1, pointer.size), token;
    while (value && str_next_part(&rest, '/', &token)) {
        if (value->type == JSON_OBJECT) {
            const struct json *found = NULL;
            for (size_t i = value->object.count; i-- > 0 && !found;) {
                if (token_is_key(token, value->object.members[i].key)) found = &value->object.members[i].value;
            }
            value = found;
        } else if (value->type == JSON_ARRAY) {
            uint64_t index;
            if ((token.size > 1 && token.data[0] == '0') || !number_parse_unsigned(token, SIZE_MAX, &index))
                return NULL;
            value = json_at(value, index);
        } else {
            return NULL;
        }
    }
    return value;
}

double json_double(const struct json *value)
{
    double number = 0;
    switch (value->type) {
    case JSON_INT: return (double)value->integer;
    case JSON_DOUBLE: return value->number;
    case JSON_BIGNUM: return number_parse(value->string, &number) ? number : 0;
    default: return 0;
    }
}

static bool is_nan(const struct json *value)
{
    return value->type == JSON_DOUBLE && isnan(value->number);
}

int json_cmp_number(const struct json *a, const struct json *b)
{
    if (is_nan(a) || is_nan(b)) return 0;
    if (a->type == JSON_BIGNUM) {
        if (b->type == JSON_BIGNUM) return number_cmp_text(a->string, b->string);
        if (b->type == JSON_INT) return number_cmp_text_int(a->string, b->integer);
        return number_cmp_text_double(a->string, b->number);
    }
    if (b->type == JSON_BIGNUM) return -json_cmp_number(b, a);
    if (a->type == JSON_INT && b->type == JSON_INT) return a->integer < b->integer ? -1 : a->integer > b->integer;
    if (a->type == JSON_INT) return number_cmp_int_double(a->integer, b->number);
    if (b->type == JSON_INT) return -number_cmp_int_double(b->integer, a->number);
    return a->number < b->number ? -1 : a->number > b->number;
}

bool json_equal(const struct json *a, const struct json *b)
{
    if (json_is_number(a) && json_is_number(b)) return json_cmp_number(a, b) == 0 && !is_nan(a) && !is_nan(b);
    if (a->type != b->type) return false;
    switch (a->type) {
    case JSON_NULL: return true;
    case JSON_BOOL: return a->boolean == b->boolean;
    case JSON_STRING: return str_eq(a->string, b->string);
    case JSON_ARRAY:
        if (a->array.count != b->array.count) return false;
        for (size_t i = 0; i < a->array.count; i++) {
            if (!json_equal(&a->array.items[i], &b->array.items[i])) return false;
        }
        return true;
    case JSON_OBJECT:
        if (a->object.count != b->object.count) return false;
        for (size_t i = 0; i < a->object.count; i++) {
            const struct json *other = json_get(b, a->object.members[i].key);
            if (!other || !json_equal(json_get(a, a->object.members[i].key), other)) return false;
        }
        /* With duplicate keys the counts can agree while b holds a key that a lacks. */
        for (size_t i = 0; i < b->object.count; i++) {
            if (!json_get(a, b->object.members[i].key)) return false;
        }
        return true;
    default: return false;
    }
}

const char *json_type_name(const struct json *value)
{
    switch (value->type) {
    case JSON_NULL: return "null";
    case JSON_BOOL: return "boolean";
    case JSON_INT:
    case JSON_DOUBLE:
    case JSON_BIGNUM: return "number";
    case JSON_STRING: return "string";
    case JSON_ARRAY: return "array";
    default: return "object";
    }
}

struct json json_number(double d)
{
    int64_t integer;
    if (number_is_int(d, &integer)) return json_int(integer);
    if (!isfinite(d)) return json_null();
    return (struct json){.type = JSON_DOUBLE, .number = d};
}

/* Every block, parsed, cloned or built, has room for the next power of two: so no capacity needs storing. */
static void *grow(struct arena *arena, void *items, size_t count, size_t item_size)
{
    bool full = count == 0 || (count & (count - 1)) == 0;
    if (!full) return items;
    size_t capacity = count ? count * 2 : 1;
    void *grown = arena_alloc(arena, capacity * item_size);
    if (grown && count) memcpy(grown, items, count * item_size);
    return grown;
}

enum status json_push(struct arena *arena, struct json *array, struct json value)
{
    struct json *items = grow(arena, array->array.items, array->array.count, sizeof *items);
    if (!items) return STATUS_LIMIT;
    array->array.items = items;
    items[array->array.count++] = value;
    return STATUS_OK;
}

enum status json_put(struct arena *arena, struct json *object, struct str key, struct json value)
{
    struct json_member *members = grow(arena, object->object.members, object->object.count, sizeof *members);
    if (!members) return STATUS_LIMIT;
    object->object.members = members;
    members[object->object.count++] = (struct json_member){key, value};
    return STATUS_OK;
}

static size_t capacity_for(size_t count)
{
    size_t capacity = 1;
    while (capacity < count) capacity *= 2;
    return capacity;
}

enum status json_clone(struct arena *arena, const struct json *value, struct json *ret_value)
{
    struct json copy = *value;
    switch (value->type) {
    case JSON_STRING:
    case JSON_BIGNUM:
        copy.string = arena_str(arena, value->string);
        if (!copy.string.data) return STATUS_LIMIT;
        break;
    case JSON_ARRAY:
        if (value->array.count == 0) break;
        copy.array.items = arena_new_array(arena, struct json, capacity_for(value->array.count));
        if (!copy.array.items) return STATUS_LIMIT;
        for (size_t i = 0; i < value->array.count; i++)
            TRY(json_clone(arena, &value->array.items[i], &copy.array.items[i]));
        break;
    case JSON_OBJECT:
        if (value->object.count == 0) break;
        copy.object.members = arena_new_array(arena, struct json_member, capacity_for(value->object.count));
        if (!copy.object.members) return STATUS_LIMIT;
        for (size_t i = 0; i < value->object.count; i++) {
            copy.object.members[i].key = arena_str(arena, value->object.members[i].key);
            if (!copy.object.members[i].key.data) return STATUS_LIMIT;
            TRY(json_clone(arena, &value->object.members[i].value, &copy.object.members[i].value));
        }
        break;
    default: break;
    }
    *ret_value = copy;
    return STATUS_OK;
}

void json_write_int(struct buf *buf, int64_t value)
{
    char text[NUMBER_TEXT_MAX];
    buf_add(buf, text, number_format_int(value, text));
}

void json_write_double(struct buf *buf, double value)
{
    char text[NUMBER_TEXT_MAX];
    if (!isfinite(value)) {
        buf_lit(buf, "null");
        return;
    }
    buf_add(buf, text, number_format(value, text));
}

/* Bytes that stand for themselves in a JSON string. */
static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\' && c != '<';
}

/* The same of eight bytes at once: the high bit of a byte of `bad` is set when it is not plain. A borrow may set bits
 * too many, but only above a byte that is not plain. */
static inline bool are_plain(uint64_t x)
{
    const uint64_t ones = UINT64_MAX / 255, highs = ones << 7;
    uint64_t bad = x | (x - ones * 0x20);
    bad |= (x ^ ones * '"') - ones;
    bad |= (x ^ ones * '\\') - ones;
    bad |= (x ^ ones * '<') - ones;
    bad |= x + ones; /* 0x7F */
    return !(bad & highs);
}

static inline uint64_t eight_bytes(const char *data)
{
    uint64_t x;
    memcpy(&x, data, 8);
    return x;
}

static bool is_plain_str(struct str s)
{
    if (s.size >= 8) { /* the last eight may overlap those before */
        for (size_t i = 0; i + 8 < s.size; i += 8) {
            if (!are_plain(eight_bytes(s.data + i))) return false;
        }
        return are_plain(eight_bytes(s.data + s.size - 8));
    }
    if (s.size >= 4) {
        uint32_t first, last;
        memcpy(&first, s.data, 4);
        memcpy(&last, s.data + s.size - 4, 4);
        return are_plain(first | (uint64_t)last << 32);
    }
    for (size_t i = 0; i < s.size; i++) {
        if (!is_plain((unsigned char)s.data[i])) return false;
    }
    return true;
}

void json_write_str(struct buf *buf, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    if (is_plain_str(s)) {
        char *to = buf_spare(buf, s.size + 2);
        if (!to) to = buf_reserve(buf, s.size + 2);
        if (!to) return;
        *to++ = '"';
        to = raw_bytes(to, s.data, s.size);
        *to++ = '"';
        buf_wrote(buf, to);
        return;
    }
    buf_byte(buf, '"');
    size_t plain = 0;
    for (size_t i = 0; i < s.size;) {
        unsigned char c = (unsigned char)s.data[i];
        if (is_plain(c)) {
            i++;
            continue;
        }
        size_t at = i;
        uint32_t point = utf8_next(s.data, s.size, &i);
        bool invalid = point == 0xFFFD && i - at == 1;
        if (c >= 0x80 && !invalid && point != 0x2028 && point != 0x2029) continue;
        buf_add(buf, s.data + plain, at - plain);
        plain = i;
        switch (point) {
        case '"': buf_lit(buf, "\\\""); break;
        case '\\': buf_lit(buf, "\\\\"); break;
        case '\n': buf_lit(buf, "\\n"); break;
        case '\r': buf_lit(buf, "\\r"); break;
        case '\t': buf_lit(buf, "\\t"); break;
        case '\b': buf_lit(buf, "\\b"); break;
        case '\f': buf_lit(buf, "\\f"); break;
        default: {
            if (invalid) {
                buf_lit(buf, "\xEF\xBF\xBD");
                break;
            }
            char escape[6] = {'\\',           'u', hex[point >> 12 & 15], hex[point >> 8 & 15], hex[point >> 4 & 15],
                              hex[point & 15]};
            buf_add(buf, escape, 6);
        }
        }
    }
    buf_add(buf, s.data + plain, s.size - plain);
    buf_byte(buf, '"');
}

/* indent < 0: compact. */
static void write_value(struct buf *buf, const struct json *value, int indent)
{
    switch (value->type) {
    case JSON_NULL: buf_lit(buf, "null"); return;
    case JSON_BOOL:
        if (value->boolean)
            buf_lit(buf, "true");
        else
            buf_lit(buf, "false");
        return;
    case JSON_INT: json_write_int(buf, value->integer); return;
    case JSON_DOUBLE: json_write_double(buf, value->number); return;
    case JSON_BIGNUM: buf_str_add(buf, value->string); return;
    case JSON_STRING: json_write_str(buf, value->string); return;
    default: break;
    }
    bool object = value->type == JSON_OBJECT;
    size_t count = object ? value->object.count : value->array.count;
    int inner = indent < 0 ? -1 : indent + 2;
    buf_byte(buf, object ? '{' : '[');
    for (size_t i = 0; i < count; i++) {
        if (i) buf_byte(buf, ',');
        if (inner >= 0) {
            buf_byte(buf, '\n');
            buf_fill(buf, ' ', (size_t)inner);
        }
        if (object) {
            json_write_str(buf, value->object.members[i].key);
            buf_byte(buf, ':');
            if (inner >= 0) buf_byte(buf, ' ');
        }
        write_value(buf, object ? &value->object.members[i].value : &value->array.items[i], inner);
    }
    if (inner >= 0 && count) {
        buf_byte(buf, '\n');
        buf_fill(buf, ' ', (size_t)indent);
    }
    buf_byte(buf, object ? '}' : ']');
}

void json_write(struct buf *buf, const struct json *value)
{
    write_value(buf, value, -1);
}
void json_write_pretty(struct buf *buf, const struct json *value)
{
    write_value(buf, value, 0);
}
