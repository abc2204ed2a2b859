#pragma once
/*
 * JSON documents (RFC 8259), read strictly and written compactly.
 *
 * A parsed document is a tree of `struct json` values in an arena; strings are unescaped, valid UTF-8, and point into
 * the arena, so the input may go away. Objects keep their order and their duplicate keys; json_get finds the last of
 * duplicates ("last wins").
 *
 * Numbers: JSON_INT when the value is a whole number that fits int64 (also when spelled 1.0 or 1e3), JSON_DOUBLE when
 * at most 17 significant digits identify a finite double, and JSON_BIGNUM, the original text, for everything else (20
 * digit ids, 1e400), so that nothing is rounded silently. -0 is the double -0.0.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

enum json_type {
    JSON_NULL = 0,
    JSON_BOOL,
    JSON_INT,
    JSON_DOUBLE,
    JSON_BIGNUM, /* `string` holds the text of the number */
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json {
    uint8_t type;    /* enum json_type */
    uint8_t flags;   /* free for the owner of the document (the YAML reader marks quoted scalars) */
    uint16_t column; /* 1-based, saturating; 0 when unknown (JSON documents carry no positions) */
    uint32_t line;   /* 1-based; 0 when unknown */
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct str string;
        struct {
            struct json *items;
            size_t count;
        } array;
        struct {
            struct json_member *members;
            size_t count;
        } object;
    };
};

struct json_member {
    struct str key;
    struct json value;
};

struct json_limits {
    unsigned depth_max; /* nesting of arrays and objects; 0: JSON_DEPTH_DEFAULT */
    size_t values_max;  /* values in the document; 0: no limit but the arena's budget */
};
#define JSON_DEPTH_DEFAULT 64

/* Parses one document; anything but white space after it is an error. `limits` may be NULL.
 * INVALID (malformed, invalid UTF-8, too deep; error->column is the byte offset + 1 where known) or LIMIT (arena,
 * values). Thread-safe: each thread has its own parser state. */
enum status json_parse(struct arena *arena, struct str text, const struct json_limits *limits, struct error *error,
                       struct json *ret_value) MUST_USE;

/* utf8_valid, with the widest instructions that the machine has. */
bool json_is_utf8(struct str text) MUST_USE;

/* The member's value, or NULL when `value` is no object or has no such key. */
const struct json *json_get(const struct json *value, struct str key);
#define json_member(value, literal) json_get((value), STR(literal))
/* Element `index`, or NULL. */
const struct json *json_at(const struct json *value, size_t index);
/* RFC 6901 pointer ("" is the value itself); NULL when nothing is there or the pointer is malformed. */
const struct json *json_pointer(const struct json *value, struct str pointer);
/* The order of two numbers, exactly, whatever their forms: -1, 0, 1; 0 when one is NaN (which only YAML can bring). */
int json_cmp_number(const struct json *a, const struct json *b);
/* Deep equality: numbers by value (1 == 1.0, without rounding), objects without regard to order. */
bool json_equal(const struct json *a, const struct json *b);
/* "null", "boolean", "number", "string", "array", "object". */
const char *json_type_name(const struct json *value);
static inline bool json_is_number(const struct json *v)
{
    return v->type == JSON_INT || v->type == JSON_DOUBLE || v->type == JSON_BIGNUM;
}
/* The value of a number by the rules above; false when RFC 8259 does not allow the text. The text of a JSON_BIGNUM
 * is `token` itself. */
bool json_number_of(struct str token, struct json *ret_value) MUST_USE;
/* The number as a double; an overflowing bignum gives +-HUGE_VAL. */
double json_double(const struct json *value);

#ifndef __cplusplus
static inline struct json json_null(void)
{
    return (struct json){.type = JSON_NULL};
}
static inline struct json json_bool(bool b)
{
    return (struct json){.type = JSON_BOOL, .boolean = b};
}
static inline struct json json_int(int64_t i)
{
    return (struct json){.type = JSON_INT, .integer = i};
}
#endif
struct json json_number(double d); /* JSON_INT when whole and in range; a NaN or an infinity becomes null */
#ifndef __cplusplus
static inline struct json json_string(struct str s)
{
    return (struct json){.type = JSON_STRING, .string = s};
}
#endif
/* Appends; the array or object grows inside the arena. LIMIT when the arena is full. */
enum status json_push(struct arena *arena, struct json *array, struct json value) MUST_USE;
enum status json_put(struct arena *arena, struct json *object, struct str key, struct json value) MUST_USE;
#define JSON_ARRAY_EMPTY  ((struct json){.type = JSON_ARRAY})
#define JSON_OBJECT_EMPTY ((struct json){.type = JSON_OBJECT})
/* A copy that shares nothing with the original. */
enum status json_clone(struct arena *arena, const struct json *value, struct json *ret_value) MUST_USE;

/* Writing. All of these append to `buf`; failure is the buffer's (buf_status). */
void json_write(struct buf *buf, const struct json *value);
/* With line breaks and two blanks of indentation a level. */
void json_write_pretty(struct buf *buf, const struct json *value);
/* A quoted, escaped string. Invalid UTF-8 bytes become U+FFFD. Also safe inside <script>: '<' and U+2028/9 are escaped.
 */
void json_write_str(struct buf *buf, struct str s);
#define json_write_lit(buf, literal) json_write_str((buf), STR(literal))
void json_write_int(struct buf *buf, int64_t value);
/* The shortest text that reads back as the same double; NaN and infinities are written as null. */
void json_write_double(struct buf *buf, double value);
