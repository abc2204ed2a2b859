#include "base/str.h"

#include <strings.h>

int str_cmp(struct str a, struct str b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order) return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; i++) {
        unsigned char x = (unsigned char)a.data[i], y = (unsigned char)b.data[i];
        if (x >= 'A' && x <= 'Z') x |= 0x20;
        if (y >= 'A' && y <= 'Z') y |= 0x20;
        if (x != y) return false;
    }
    return true;
}

bool str_ends(struct str s, struct str suffix)
{
    return s.size >= suffix.size &&
           (suffix.size == 0 || memcmp(s.data + s.size - suffix.size, suffix.data, suffix.size) == 0);
}

struct str str_slice(struct str s, size_t from, size_t to)
{
    if (to > s.size) to = s.size;
    if (from >= to) return (struct str){s.data ? s.data + (from < s.size ? from : s.size) : NULL, 0};
    return (struct str){s.data + from, to - from};
}

size_t str_find(struct str s, struct str needle, size_t from)
{
    if (from > s.size) return SIZE_MAX;
    if (needle.size == 0) return from;
    if (s.size - from < needle.size) return SIZE_MAX;
    const char *hit = memmem(s.data + from, s.size - from, needle.data, needle.size);
    return hit ? (size_t)(hit - s.data) : SIZE_MAX;
}

size_t str_find_byte(struct str s, char byte, size_t from)
{
    if (from >= s.size) return SIZE_MAX;
    const char *hit = memchr(s.data + from, byte, s.size - from);
    return hit ? (size_t)(hit - s.data) : SIZE_MAX;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.size && is_space(s.data[0])) s.data++, s.size--;
    while (s.size && is_space(s.data[s.size - 1])) s.size--;
    return s;
}

bool str_next_part(struct str *rest, char separator, struct str *ret_part)
{
    if (!rest->data) return false;
    size_t at = str_find_byte(*rest, separator, 0);
    if (at == SIZE_MAX) {
        *ret_part = *rest;
        *rest = STR_NULL;
    } else {
        *ret_part = (struct str){rest->data, at};
        *rest = (struct str){rest->data + at + 1, rest->size - at - 1};
    }
    return true;
}
