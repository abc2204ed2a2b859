/*
 * The reading half of express.h, compiled once per CPU level.
 *
 * One pass, and no step waits for memory: names are predicted, so where a value begins is known before its name has
 * been compared; a text's end is found and its bytes are copied in steps as wide as a register. Bytes behind a text's
 * end are copied, too: express.out has room for them, and what comes next is written over them.
 *
 * Behind the JSON stand zero bytes, which are allowed nowhere, so nothing here asks whether it has ended.
 */
#include "base/json_digits.h"
#include "column/value.h"
#include "ingest/express.h"

#if defined(__AVX512BW__) || defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#endif

/* ---- Bytes by the register ---- */

#if defined(__AVX512BW__)
#define STEP 64
/* A bit for each byte that does not stand for itself in a string: a quote, a backslash, a control character. */
static inline uint64_t special_bytes(const char *at)
{
    __m512i bytes = _mm512_loadu_si512(at);
    return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('"')) |
           _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\\')) | _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(' '));
}
static inline void copy_step(char *to, const char *from)
{
    _mm512_storeu_si512(to, _mm512_loadu_si512(from));
}
static inline bool is_key(const struct express_key *key, const char *at)
{
    __m512i bytes = _mm512_loadu_si512(at), text = _mm512_loadu_si512(key->text);
    return (_mm512_cmpneq_epi8_mask(bytes, text) & key->mask) == 0;
}
#elif defined(__AVX2__)
#define STEP 32
static inline uint64_t special_bytes(const char *at)
{
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)at);
    __m256i special = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"')),
                                      _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\')));
    __m256i least = _mm256_min_epu8(bytes, _mm256_set1_epi8(0x1F));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(special, _mm256_cmpeq_epi8(least, bytes)));
}
static inline void copy_step(char *to, const char *from)
{
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_loadu_si256((const __m256i *)(const void *)from));
}
static inline uint64_t same_bytes(const char *a, const char *b)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(const void *)a),
                                                            _mm256_loadu_si256((const __m256i *)(const void *)b)));
}
#elif defined(__SSE2__)
#define STEP 16
static inline uint64_t special_bytes(const char *at)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i special =
        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    __m128i least = _mm_min_epu8(bytes, _mm_set1_epi8(0x1F));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(special, _mm_cmpeq_epi8(least, bytes)));
}
static inline void copy_step(char *to, const char *from)
{
    _mm_storeu_si128((__m128i *)(void *)to, _mm_loadu_si128((const __m128i *)(const void *)from));
}
static inline uint64_t same_bytes(const char *a, const char *b)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)a),
                                                      _mm_loadu_si128((const __m128i *)(const void *)b)));
}
#else
#define STEP 8
static inline uint64_t special_bytes(const char *at)
{
    uint64_t special = 0;
    for (unsigned i = 0; i < STEP; i++)
        special |= (uint64_t)(at[i] == '"' || at[i] == '\\' || (unsigned char)at[i] < ' ') << i;
    return special;
}
static inline void copy_step(char *to, const char *from)
{
    memcpy(to, from, STEP);
}
static inline uint64_t same_bytes(const char *a, const char *b)
{
    uint64_t same = 0;
    for (unsigned i = 0; i < STEP; i++) same |= (uint64_t)(a[i] == b[i]) << i;
    return same;
}
#endif

#ifndef __AVX512BW__
static inline bool is_key(const struct express_key *key, const char *at)
{
    const uint64_t all = ((uint64_t)1 << STEP) - 1;
    for (unsigned i = 0; i <= key->size; i += STEP) {
        if (~same_bytes(at + i, key->text + i) & key->mask >> i & all) return false;
    }
    return true;
}
#endif

static inline const char *string_end(const char *at)
{
    for (;; at += STEP) {
        uint64_t special = special_bytes(at);
        if (special) return at + __builtin_ctzll(special);
    }
}

static inline char *copy(char *to, const char *from, size_t size)
{
    copy_step(to, from);
    for (size_t i = STEP; i < size; i += STEP) copy_step(to + i, from + i);
    return to + size;
}

static inline const char *blanks(const char *at)
{
    while ((unsigned char)*at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    return at;
}

/* ---- Names ---- */

static inline uint64_t load(const char *at)
{
    uint64_t bytes;
    memcpy(&bytes, at, 8);
    return bytes;
}

/* The key of a text that ends with a quote; 0: there are too many. */
static inline uint32_t key_of(struct express *express, const char *at, size_t size)
{
    uint64_t first = load(at), last = size > 8 ? load(at + size - 8) : 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (size < 8) first &= ((uint64_t)1 << size * 8) - 1;
#else
    if (size < 8) first = size ? first >> (64 - size * 8) : 0;
#endif
    uint64_t hash = (first ^ size) * 0x9E3779B97F4A7C15u;
    hash = (hash ^ hash >> 29 ^ last) * 0xBF58476D1CE4E5B9u;
    size_t slot = hash >> 54;
    for (; express->slots[slot]; slot = (slot + 1) % EXPRESS_SLOTS) {
        if (is_key(&express->keys[express->slots[slot]], at)) return express->slots[slot];
    }
    return express_key_new(express, str_from(at, size), slot);
}

static __attribute__((noinline)) uint32_t key_after_slowly(struct express *express, struct express_key *before,
                                                           const char *at)
{
    const char *end = string_end(at);
    size_t size = (size_t)(end - at);
    if (*end != '"' || size > EXPRESS_KEY_BYTES || size > express->string_bytes_max) return 0;
    uint32_t key = key_of(express, at, size);
    before->next[1] = before->next[0];
    before->next[0] = (uint16_t)key;
    return key;
}

/* The key at a place behind a quote, which comes after `before`; 0: it has escapes, is too long, or has no end. */
static inline uint32_t key_after(struct express *express, struct express_key *before, const char *at)
{
    uint32_t next = before->next[0];
    if (__builtin_expect(is_key(&express->keys[next], at), 1)) return next;
    next = before->next[1];
    if (is_key(&express->keys[next], at)) return next;
    return key_after_slowly(express, before, at);
}

/* ---- Values ---- */

/* A value that is no list and no object. The text of a string stays where it is. NULL: it has escapes, is too long, or
 * of another type. */
static inline const char *read_scalar(const struct express *express, const char *at, struct json *ret_value)
{
    if (*at == '"') {
        const char *end = string_end(at + 1);
        if (*end != '"' || (size_t)(end - at - 1) > express->string_bytes_max) return NULL;
        *ret_value = (struct json){.type = JSON_STRING, .string = str_from(at + 1, (size_t)(end - at - 1))};
        return end + 1;
    }
    switch (*at) {
    case 't':
        *ret_value = (struct json){.type = JSON_BOOL, .boolean = true};
        return memcmp(at, "true", 4) == 0 ? at + 4 : NULL;
    case 'f':
        *ret_value = (struct json){.type = JSON_BOOL, .boolean = false};
        return memcmp(at, "false", 5) == 0 ? at + 5 : NULL;
    case 'n': *ret_value = (struct json){.type = JSON_NULL}; return memcmp(at, "null", 4) == 0 ? at + 4 : NULL;
    default: return json_short_number(at, ret_value);
    }
}

static inline char *write_scalar(char *out, const struct json *value)
{
    switch (value->type) {
    case JSON_STRING:
        *out++ = VALUE_STRING;
        out = raw_varint(out, value->string.size);
        return copy(out, value->string.data, value->string.size);
    case JSON_INT: *out++ = VALUE_INT; return raw_varint(out, zigzag(value->integer));
    case JSON_BOOL:
        *out++ = VALUE_BOOL;
        *out++ = value->boolean;
        return out;
    default: return value_encode_other_scalar(out, value);
    }
}

/* ---- The event ---- */

static __attribute__((noinline)) bool key_prepare(struct express *express, uint32_t index)
{
    struct express_key *key = &express->keys[index];
    struct express_event *event = &express->event;
    if (key->name == UINT32_MAX && !express_key_name(express, key)) return false;
    if (!key->is_property) event->fresh[event->fresh_count++] = (uint16_t)index; /* once: no name comes twice */
    return true;
}

/* After "{" and blanks of the properties. */
static inline const char *read_properties(struct express *express, const char *at)
{
    struct express_event *event = &express->event;
    struct express_key *key = &express->keys[0];
    /* The longest property, and what is copied too much. */
    char *out = express->out;
    const char *const out_end = out + EXPRESS_OUT_BYTES - 2 * VARINT_BYTES_MAX - 1 - express->string_bytes_max;
    size_t count = 0;
    event->properties_end = out;
    if (*at == '}') return at + 1;
    for (;;) {
        if (*at != '"' || out > out_end) return NULL;
        uint32_t index = key_after(express, key, ++at);
        if (index == 0) return NULL;
        key = &express->keys[index];
        at += key->size + 1;
        if (*at != ':') {
            at = blanks(at);
            if (*at != ':') return NULL;
        }
        if ((unsigned char)*++at <= ' ') at = blanks(at);
        if (key->generation == express->generation) return NULL;
        key->generation = express->generation;
        struct json value;
        at = read_scalar(express, at, &value);
        if (!at) return NULL;
        if (key->core != CORE_NONE) {
            event->core[key->core] = value;
            event->known |= 1u << key->core;
        }
        if (key->core >= CORE_DEVICE_ID && key->core != CORE_IGNORE) {
            if (!key->is_property && !key_prepare(express, index)) return NULL;
            out = write_scalar(raw_varint(out, key->name), &value);
            count++;
        }
        if (*at != ',') {
            at = blanks(at);
            if (*at != ',') break;
        }
        if ((unsigned char)*++at <= ' ') at = blanks(at);
    }
    event->properties_end = out;
    event->property_count = count;
    return *at == '}' ? at + 1 : NULL;
}

static inline const char *read_name(struct express *express, const char *at)
{
    if (*at != '"') return NULL;
    const char *end = string_end(++at);
    size_t size = (size_t)(end - at);
    if (*end != '"' || size > EXPRESS_KEY_BYTES || size > express->string_bytes_max) return NULL;
    express->event.name = key_of(express, at, size);
    return express->event.name ? end + 1 : NULL;
}

static const char *read_event(struct express *express, const char *at)
{
    struct express_event *event = &express->event;
    bool properties = false;
    event->known = 0;
    event->name = 0;
    event->property_count = event->fresh_count = 0;
    express->generation++;
    at = blanks(at + 1);
    for (;;) {
        struct json other;
        if (*at != '"') return NULL;
        const char *key = ++at, *end = string_end(at);
        if (*end != '"') return NULL;
        at = end + 1;
        if (*at != ':') {
            at = blanks(at);
            if (*at != ':') return NULL;
        }
        if ((unsigned char)*++at <= ' ') at = blanks(at);
        if (end - key == 5 && memcmp(key, "event", 5) == 0) {
            if (event->name) return NULL;
            at = read_name(express, at);
        } else if (end - key == 10 && memcmp(key, "properties", 10) == 0) {
            if (*at != '{' || properties) return NULL;
            properties = true;
            at = read_properties(express, blanks(at + 1));
        } else {
            at = read_scalar(express, at, &other);
        }
        if (!at) return NULL;
        if (*at != ',') {
            at = blanks(at);
            if (*at != ',') break;
        }
        if ((unsigned char)*++at <= ' ') at = blanks(at);
    }
    return *at == '}' && event->name && properties ? at + 1 : NULL;
}

const struct express_table CPU_NAME(express_table) = {.read = read_event};
