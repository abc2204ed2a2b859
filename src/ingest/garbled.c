#include "ingest/garbled.h"

#include "base/utf8.h"

/* U+FDD0 to U+FDEF are noncharacters: EF B7 90 to EF B7 AF in UTF-8. */
#define CANDIDATES     32u
#define CANDIDATE_BASE 0xFDD0u

static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9') return (unsigned)(c - '0');
    unsigned letter = (unsigned)(c | 0x20) - 'a';
    return letter < 6 ? letter + 10 : 16;
}

/* A bit for each candidate that stands in the text, as itself or as the escape \uFDDx, \uFDEx. What only looks like an
 * escape (after \\) costs a candidate and nothing else. */
static uint32_t candidates_used(struct str text)
{
    uint32_t used = 0;
    for (size_t i = 0; i + 2 < text.size; i++) {
        const unsigned char *at = (const unsigned char *)text.data + i;
        if (at[0] == 0xEF && at[1] == 0xB7 && at[2] >= 0x90 && at[2] <= 0xAF) used |= UINT32_C(1) << (at[2] - 0x90);
        if (at[0] != '\\' || i + 6 > text.size || at[1] != 'u') continue;
        unsigned code = 0;
        bool escape = true;
        for (size_t digit = 2; digit < 6; digit++) {
            unsigned value = hex_digit((char)at[digit]);
            escape &= value < 16;
            code = code * 16 + value;
        }
        if (escape && code - CANDIDATE_BASE < CANDIDATES) used |= UINT32_C(1) << (code - CANDIDATE_BASE);
    }
    return used;
}

struct str garbled_mark(struct arena *arena, struct str text, struct garbled *ret_garbled)
{
    uint32_t used = candidates_used(text);
    if (used == UINT32_MAX) return STR_NULL;
    struct garbled garbled;
    char encoded[4];
    (void)utf8_encode(CANDIDATE_BASE + (uint32_t)__builtin_ctz(~used), encoded);
    memcpy(garbled.mark, encoded, sizeof garbled.mark);

    size_t bad = 0, offset = 0;
    while (offset < text.size) {
        size_t before = offset;
        bad += utf8_next(text.data, text.size, &offset) == 0xFFFD && offset == before + 1;
    }
    char *marked = arena_alloc(arena, text.size + bad * (GARBLED_MARK_BYTES - 1) + 1);
    if (!marked) return STR_NULL;
    size_t size = 0;
    for (offset = 0; offset < text.size;) {
        size_t before = offset;
        bool is_bad = utf8_next(text.data, text.size, &offset) == 0xFFFD && offset == before + 1;
        const char *from = is_bad ? garbled.mark : text.data + before;
        size_t count = is_bad ? GARBLED_MARK_BYTES : offset - before;
        memcpy(marked + size, from, count);
        size += count;
    }
    *ret_garbled = garbled;
    return str_from(marked, size);
}

bool garbled_text(const struct garbled *garbled, struct str text)
{
    return str_find(text, str_from(garbled->mark, GARBLED_MARK_BYTES), 0) != SIZE_MAX;
}

bool garbled_value(const struct garbled *garbled, const struct json *value)
{
    switch (value->type) {
    case JSON_STRING: return garbled_text(garbled, value->string);
    case JSON_ARRAY:
        for (size_t i = 0; i < value->array.count; i++) {
            if (garbled_value(garbled, &value->array.items[i])) return true;
        }
        return false;
    case JSON_OBJECT:
        for (size_t i = 0; i < value->object.count; i++) {
            const struct json_member *member = &value->object.members[i];
            if (garbled_text(garbled, member->key) || garbled_value(garbled, &member->value)) return true;
        }
        return false;
    default: return false;
    }
}
