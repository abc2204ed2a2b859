/*
 * JSON text to a tree in one pass.
 *
 * The text is copied once, into one block of the arena, and read there: a string without escapes stays where it is, one
 * with escapes is unescaped in place (what is written is never longer than what was read), and its closing quote
 * becomes the NUL that ends it. So strings cost neither an allocation nor a copy each. The simdjson way, an index of
 * the structure first and a lazy walk after it, must unescape every string into a buffer of its own and copy it from
 * there; see docs/decisions/0013-reading-json.md for the figures.
 *
 * Behind the copy stand zero bytes, and zero is allowed nowhere: not between values, and as a control character not in
 * strings. So nothing here asks whether the text has ended; every loop stops at the zeros, and whoever stops there
 * finds a byte that it does not want. At the end the place where reading stopped must be that of the text's end.
 *
 * The items of an open list or object are kept on a stack, because their number is known only at its end; then they
 * move to a block of the arena in one piece.
 *
 * Nothing here words an error. Whatever is refused goes to the reference reader, which decides (json_int.h).
 */
#include "base/json_digits.h"
#include "base/json_int.h"

#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define PADDING_BYTES     ((size_t)16) /* zeros behind the text; a step of a string's scan reads so many bytes at most */
#define TEXT_BYTES_MAX    (UINT32_MAX - (size_t)4096) /* more is the other reader's to refuse */
#define STACK_BYTES_FIRST ((size_t)4096)

struct reading {
    struct arena *arena;
    size_t values_left;
    /* Items of the open lists and objects, up to `top`; on the heap when `heap` is set. */
    unsigned char *stack, *top, *end, *heap;
};

/* Appends `size` bytes, or NULL. */
static __attribute__((noinline)) void *push_slowly(struct reading *r, size_t size)
{
    size_t used = (size_t)(r->top - r->stack), capacity = (size_t)(r->end - r->stack) * 2;
    unsigned char *grown = realloc(r->heap, capacity);
    if (!grown) return NULL;
    if (!r->heap) memcpy(grown, r->stack, used);
    r->stack = r->heap = grown;
    r->end = grown + capacity;
    r->top = grown + used + size;
    return grown + used;
}

static inline void *push(struct reading *r, size_t size)
{
    unsigned char *place = r->top;
    if ((size_t)(r->end - place) < size) return push_slowly(r, size);
    r->top = place + size;
    return place;
}

/* Moves what was pushed since `base` into the arena. json_push and json_put (json.c) rely on blocks of the next power
 * of two. */
static void *pop(struct reading *r, size_t base, size_t item_size, size_t count)
{
    size_t capacity = count > 1 ? (size_t)1 << (64 - __builtin_clzll(count - 1)) : 1;
    void *items = arena_alloc(r->arena, capacity * item_size);
    r->top = r->stack + base;
    if (items) memcpy(items, r->top, count * item_size);
    return items;
}

static inline char *blanks(char *at)
{
    while ((unsigned char)*at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    return at;
}

/* The first byte that does not stand for itself in a string: a quote, a backslash or a control character. */
static inline char *plain_end(char *at)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1F);
    for (;; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i special = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        special = _mm_or_si128(special, _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
        unsigned mask = (unsigned)_mm_movemask_epi8(special);
        if (mask) return at + __builtin_ctz(mask);
    }
#else
    while ((unsigned char)*at >= 0x20 && *at != '"' && *at != '\\') at++;
    return at;
#endif
}

/* Four hexadecimal digits, or -1. */
static int32_t hex4(const char *at)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)at[i], letter = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if (letter >= 'a' && letter <= 'f')
            value = value << 4 | (letter - 'a' + 10);
        else
            return -1;
    }
    return value;
}

static char *put_point(char *to, uint32_t point)
{
    if (point < 0x80) {
        *to++ = (char)point;
    } else if (point < 0x800) {
        *to++ = (char)(0xC0 | point >> 6);
        *to++ = (char)(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        *to++ = (char)(0xE0 | point >> 12);
        *to++ = (char)(0x80 | (point >> 6 & 0x3F));
        *to++ = (char)(0x80 | (point & 0x3F));
    } else {
        *to++ = (char)(0xF0 | point >> 18);
        *to++ = (char)(0x80 | (point >> 12 & 0x3F));
        *to++ = (char)(0x80 | (point >> 6 & 0x3F));
        *to++ = (char)(0x80 | (point & 0x3F));
    }
    return to;
}

/* After "\u". Moves *to by the code point's UTF-8, at most 3 bytes for 6 and 4 for 12; NULL when malformed. */
static char *read_unicode(char *at, char **to)
{
    int32_t unit = hex4(at), low;
    if (unit < 0 || (unit >= 0xDC00 && unit <= 0xDFFF)) return NULL;
    at += 4;
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        if (at[0] != '\\' || at[1] != 'u') return NULL;
        low = hex4(at + 2);
        if (low < 0xDC00 || low > 0xDFFF) return NULL;
        at += 6;
        unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    }
    *to = put_point(*to, (uint32_t)unit);
    return at;
}

/* A string from its first special byte on. */
static char *read_escaped(char *start, char *at, struct str *ret_text)
{
    char *to = at;
    while (*at == '\\') {
        char escape = at[1];
        at += 2;
        switch (escape) {
        case '"':
        case '\\':
        case '/': *to++ = escape; break;
        case 'b': *to++ = '\b'; break;
        case 'f': *to++ = '\f'; break;
        case 'n': *to++ = '\n'; break;
        case 'r': *to++ = '\r'; break;
        case 't': *to++ = '\t'; break;
        case 'u':
            at = read_unicode(at, &to);
            if (!at) return NULL;
            break;
        default: return NULL;
        }
        char *end = plain_end(at);
        memmove(to, at, (size_t)(end - at));
        to += end - at;
        at = end;
    }
    if (*at != '"') return NULL;
    *to = 0;
    *ret_text = str_from(start, (size_t)(to - start));
    return at + 1;
}

/* After the opening quote. */
static inline char *read_string(char *at, struct str *ret_text)
{
    char *end = plain_end(at);
    if (__builtin_expect(*end != '"', 0)) return read_escaped(at, end, ret_text);
    *end = 0;
    *ret_text = str_from(at, (size_t)(end - at));
    return end + 1;
}

/* Any number: its characters are gathered, and what they mean is settled elsewhere. */
static char *read_any_number(struct reading *r, char *start, struct json *ret_value)
{
    char *at = start;
    while ((*at >= '0' && *at <= '9') || *at == '-' || *at == '+' || *at == '.' || *at == 'e' || *at == 'E') at++;
    if (!json_number_of(str_from(start, (size_t)(at - start)), ret_value)) return NULL;
    if (ret_value->type == JSON_BIGNUM) {
        ret_value->string = arena_str(r->arena, ret_value->string);
        if (!ret_value->string.data) return NULL;
    }
    return at;
}

static inline char *read_number(struct reading *r, char *start, struct json *ret_value)
{
    const char *end = json_short_number(start, ret_value);
    return end ? start + (end - start) : read_any_number(r, start, ret_value);
}

static inline bool is_word(const char *at, const char *word, size_t size)
{
    return memcmp(at, word, size) == 0;
}

/* A value that is no list and no object. */
static inline __attribute__((always_inline)) char *read_scalar(struct reading *r, char *at, struct json *ret_value)
{
    if (*at == '"') {
        *ret_value = (struct json){.type = JSON_STRING};
        return read_string(at + 1, &ret_value->string);
    }
    if (json_is_digit(*at)) return read_number(r, at, ret_value);
    switch (*at) {
    case 't':
        if (!is_word(at, "true", 4)) return NULL;
        *ret_value = (struct json){.type = JSON_BOOL, .boolean = true};
        return at + 4;
    case 'f':
        if (!is_word(at, "false", 5)) return NULL;
        *ret_value = (struct json){.type = JSON_BOOL, .boolean = false};
        return at + 5;
    case 'n':
        if (!is_word(at, "null", 4)) return NULL;
        *ret_value = (struct json){.type = JSON_NULL};
        return at + 4;
    default: return read_number(r, at, ret_value);
    }
}

static char *read_object(struct reading *r, char *at, unsigned depth_left, struct json *ret_value);
static char *read_array(struct reading *r, char *at, unsigned depth_left, struct json *ret_value);

static char *read_container(struct reading *r, char *at, unsigned depth_left, struct json *ret_value)
{
    if (depth_left == 0) return NULL;
    char *inner = blanks(at + 1);
    return *at == '{' ? read_object(r, inner, depth_left - 1, ret_value)
                      : read_array(r, inner, depth_left - 1, ret_value);
}

/* After "{" and blanks. */
static char *read_object(struct reading *r, char *at, unsigned depth_left, struct json *ret_value)
{
    size_t base = (size_t)(r->top - r->stack), count = 0;
    *ret_value = (struct json){.type = JSON_OBJECT};
    if (*at == '}') return at + 1;
    for (;; count++) {
        struct json_member *member = push(r, sizeof *member);
        if (!member || *at != '"') return NULL;
        at = read_string(at + 1, &member->key);
        if (!at) return NULL;
        if (*at != ':') at = blanks(at);
        if (*at != ':' || r->values_left-- == 0) return NULL;
        at = blanks(at + 1);
        if (*at == '{' || *at == '[') {
            struct json inner;
            at = read_container(r, at, depth_left, &inner);
            member = (struct json_member *)(void *)(r->stack + base) + count; /* the stack may have moved */
            member->value = inner;
        } else {
            at = read_scalar(r, at, &member->value);
        }
        if (!at) return NULL;
        if (*at != ',') {
            at = blanks(at);
            if (*at != ',') break;
        }
        at = blanks(at + 1);
    }
    if (*at != '}') return NULL;
    ret_value->object.count = ++count;
    ret_value->object.members = pop(r, base, sizeof(struct json_member), count);
    return ret_value->object.members ? at + 1 : NULL;
}

/* After "[" and blanks. */
static char *read_array(struct reading *r, char *at, unsigned depth_left, struct json *ret_value)
{
    size_t base = (size_t)(r->top - r->stack), count = 0;
    *ret_value = (struct json){.type = JSON_ARRAY};
    if (*at == ']') return at + 1;
    for (;; count++) {
        struct json *item = push(r, sizeof *item);
        if (!item || r->values_left-- == 0) return NULL;
        if (*at == '{' || *at == '[') {
            struct json inner;
            at = read_container(r, at, depth_left, &inner);
            item = (struct json *)(void *)(r->stack + base) + count;
            *item = inner;
        } else {
            at = read_scalar(r, at, item);
        }
        if (!at) return NULL;
        if (*at != ',') {
            at = blanks(at);
            if (*at != ',') break;
        }
        at = blanks(at + 1);
    }
    if (*at != ']') return NULL;
    ret_value->array.count = ++count;
    ret_value->array.items = pop(r, base, sizeof(struct json), count);
    return ret_value->array.items ? at + 1 : NULL;
}

bool json_read(struct arena *arena, struct str text, const struct json_limits *limits, struct json *ret_value)
{
    _Alignas(16) unsigned char stack[STACK_BYTES_FIRST];
    if (text.size == 0 || text.size > TEXT_BYTES_MAX || !json_is_utf8(text)) return false;
    char *copy = arena_alloc(arena, text.size + PADDING_BYTES);
    if (!copy) return false;
    memcpy(copy, text.data, text.size);
    memset(copy + text.size, 0, PADDING_BYTES);

    struct reading reading = {.arena = arena,
                              .values_left = limits && limits->values_max ? limits->values_max : SIZE_MAX,
                              .stack = stack,
                              .top = stack,
                              .end = stack + sizeof stack};
    unsigned depth_max = limits && limits->depth_max ? limits->depth_max : JSON_DEPTH_DEFAULT;
    struct json value;
    char *at = blanks(copy);
    bool container = *at == '{' || *at == '[';
    reading.values_left--;
    at = container ? read_container(&reading, at, depth_max, &value) : read_scalar(&reading, at, &value);
    free(reading.heap);
    if (!at || blanks(at) != copy + text.size) return false;
    *ret_value = value;
    return true;
}

enum status json_parse(struct arena *arena, struct str text, const struct json_limits *limits, struct error *error,
                       struct json *ret_value)
{
    struct arena_mark mark = arena_mark_set(arena);
    if (json_read(arena, text, limits, ret_value)) return STATUS_OK;
    arena_rewind(arena, mark);
    return json_parse_reference(arena, text, limits, error, ret_value);
}
