#pragma once
/*
 * A string is a pointer and a length: bytes until proven UTF-8, not NUL-terminated, owned by somebody else (an arena, a
 * buffer, a literal). Pass by value. NULL data with size 0 is the empty string.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *data;
    size_t size;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NULL     ((struct str){NULL, 0})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   (int)((s).size > 4096 ? 4096 : (s).size), (s).data ? (s).data : ""

static inline struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}
static inline struct str str_from(const void *data, size_t size)
{
    return (struct str){(const char *)data, size};
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
#define str_is(s, literal) str_eq((s), STR(literal))

/* Byte order: negative, 0 or positive. Equals code point order for UTF-8. */
int str_cmp(struct str a, struct str b);
/* ASCII case is ignored, other bytes must be equal. */
bool str_eq_nocase(struct str a, struct str b);
/* Of a literal prefix a comparison or two. */
static inline bool str_starts(struct str s, struct str prefix)
{
    return s.size >= prefix.size && (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}
bool str_ends(struct str s, struct str suffix);
/* The bytes [from, to) clamped to the string. */
struct str str_slice(struct str s, size_t from, size_t to);
/* Offset of the first occurrence at or after `from`, or SIZE_MAX. */
size_t str_find(struct str s, struct str needle, size_t from);
size_t str_find_byte(struct str s, char byte, size_t from);
/* Without ASCII white space (space, \t, \r, \n, \f, \v) at both ends. */
struct str str_trim(struct str s);
/* Splits off the part before the first `separator`; *rest becomes what follows it. False when *rest was exhausted
 * (rest->data == NULL). "a,,b" gives "a", "", "b"; the empty string gives one empty part. */
bool str_next_part(struct str *rest, char separator, struct str *ret_part);
