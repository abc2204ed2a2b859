#pragma once
/*
 * A typed value: what a property holds, what the store keeps, what expressions read. 16 bytes, passed by value;
 * strings, lists and objects point at bytes owned by somebody else (a decoded block, an arena, a log record).
 *
 * A property keeps its JSON type and one property may hold several types. Lists and objects are kept as encoded bytes
 * (the "value encoding" of docs/formats/values.md), so they are copied, hashed and compared without parsing; use struct
 * value_iter to look inside.
 *
 * Encoding of one value: a tag byte (enum value_type), then
 *   BOOL    one byte 0 or 1                         INT     zigzag varint
 *   DOUBLE  8 bytes, IEEE 754, little-endian        STRING, BIGNUM  varint size, bytes
 *   LIST    varint size of what follows, varint count, the encoded items
 *   OBJECT  varint size of what follows, varint count, per member: varint key size, key bytes, encoded value
 *   NULL, ABSENT  nothing
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

enum value_type {
    VALUE_ABSENT = 0, /* the property is not set: "undefined" in expressions */
    VALUE_NULL = 1,
    VALUE_BOOL = 2,
    VALUE_INT = 3,
    VALUE_DOUBLE = 4, /* never a whole number that fits int64, except -0.0; never NaN or infinite in stored data */
    VALUE_STRING = 5,
    VALUE_LIST = 6,
    VALUE_OBJECT = 7,
    VALUE_BIGNUM = 8, /* text of a number that neither int64 nor a double holds exactly */
};
#define VALUE_TYPES 9

struct value {
    uint8_t type;
    uint32_t size; /* bytes at data, for STRING, LIST, OBJECT, BIGNUM */
    union {
        bool boolean;
        int64_t integer;
        double number;
        const char *data; /* LIST, OBJECT: points at the varint count */
    };
};

#define VALUE_DEPTH_MAX 16 /* nesting that the encoding accepts; ingestion allows far less */

static inline struct value value_absent(void)
{
    return (struct value){.type = VALUE_ABSENT};
}
static inline struct value value_null(void)
{
    return (struct value){.type = VALUE_NULL};
}
static inline struct value value_bool(bool b)
{
    return (struct value){.type = VALUE_BOOL, .boolean = b};
}
static inline struct value value_int(int64_t i)
{
    return (struct value){.type = VALUE_INT, .integer = i};
}
/* A whole double in range becomes INT, NaN and infinities become ABSENT: one number has one form. */
struct value value_number(double d);
static inline struct value value_str(struct str s)
{
    return (struct value){.type = VALUE_STRING, .size = (uint32_t)s.size, .data = s.data};
}
static inline struct str value_text(struct value v)
{
    return (struct str){v.data, v.size};
}
static inline bool value_is_number(struct value v)
{
    return v.type == VALUE_INT || v.type == VALUE_DOUBLE || v.type == VALUE_BIGNUM;
}
/* The number as a double; false when v is no number or a bignum that overflows. */
bool value_double(struct value v, double *ret_number);

/* Appends the encoding; a failure is the buffer's. */
void value_encode(struct buf *buf, struct value v);
size_t value_encoded_size(struct value v);
/* Reads one encoded value; strings and containers point into the reader's bytes. CORRUPT when malformed (checked in
 * depth, so that value_iter may trust what it walks). */
enum status value_decode(struct reader *reader, struct value *ret_value) MUST_USE;
/* Encodes a JSON value that is no list or object at a place of value_scalar_bytes_max() bytes; returns its end. */
static inline size_t value_scalar_bytes_max(const struct json *json)
{
    return 1 + VARINT_BYTES_MAX + (json->type == JSON_STRING || json->type == JSON_BIGNUM ? json->string.size : 0);
}
char *value_encode_other_scalar(char *at, const struct json *json); /* not a string either */
static inline char *value_encode_scalar(char *at, const struct json *json)
{
    if (json->type != JSON_STRING) return value_encode_other_scalar(at, json);
    *at++ = VALUE_STRING;
    return raw_str(at, json->string);
}
/* Encodes a JSON value; INVALID when nested deeper than VALUE_DEPTH_MAX. Duplicate keys: the last wins. */
enum status value_encode_json(struct buf *buf, const struct json *json) MUST_USE;
/* The JSON form of a value, in the arena; ABSENT becomes null. */
enum status value_to_json(struct arena *arena, struct value v, struct json *ret_json) MUST_USE;
/* Appends the JSON text. */
void value_write_json(struct buf *buf, struct value v);

/* Walks the items of a LIST or the members of an OBJECT. */
struct value_iter {
    struct reader reader;
    uint64_t left;
    bool object;
};
struct value_iter value_iter(struct value container);
/* Number of items or members; 0 for other types. */
uint64_t value_count(struct value container);
/* `ret_key` may be NULL; it is the empty string in lists. */
bool value_next(struct value_iter *iter, struct str *ret_key, struct value *ret_value);
/* The member of an OBJECT, ABSENT when there is none. */
struct value value_member(struct value object, struct str key);

/* Deep equality as expressions define it: different types are different (but all number forms compare as numbers),
 * objects compare without regard to order. */
bool value_equal(struct value a, struct value b);
/* Total order for dictionaries and sorting: by type, then numbers by value, strings by bytes, containers by encoding.
 */
int value_cmp(struct value a, struct value b);
uint64_t value_hash(struct value v);
/* Numbers exactly: -1, 0, 1 for INT, DOUBLE and BIGNUM in any mix. Both must be numbers. */
int value_cmp_number(struct value a, struct value b);

/* The label under which a value is reported: strings as they are, numbers as plain decimal, true/false, null,
 * `undefined` for ABSENT, lists and objects as JSON text. Appends to buf. */
void value_write_label(struct buf *buf, struct value v);
