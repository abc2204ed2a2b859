/*
 * JSON text of any kind. Four things must hold:
 *   - the verdict is that of a second, obvious validator of RFC 8259 (below), so that nothing malformed is let through
 *     because a lazy parser did not look at it, and nothing valid is refused;
 *   - what is accepted and written is accepted again, is equal, and is written in the same bytes;
 *   - the pretty form and a clone say the same;
 *   - the two readers of json_int.h agree: on the verdict, and on every value with its type and its place.
 */
#include "base/json_int.h"
#include "base/json_testing.h"
#include "base/utf8.h"

#include <stdlib.h>

#define INPUT_BYTES_MAX ((size_t)64 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *c, char byte)
{
    if (c->at == c->end || *c->at != byte) return false;
    c->at++;
    return true;
}

static void blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r' || *c->at == '\n')) c->at++;
}

static size_t digits(struct cursor *c)
{
    const char *start = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') c->at++;
    return (size_t)(c->at - start);
}

static bool number(struct cursor *c)
{
    take(c, '-');
    if (!take(c, '0') && digits(c) == 0) return false;
    if (take(c, '.') && digits(c) == 0) return false;
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+')) take(c, '-');
        if (digits(c) == 0) return false;
    }
    return true;
}

static bool hex4(struct cursor *c, unsigned *ret)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++, c->at++) {
        if (c->at == c->end) return false;
        char x = *c->at;
        if (x >= '0' && x <= '9')
            value = value * 16 + (unsigned)(x - '0');
        else if ((x | 0x20) >= 'a' && (x | 0x20) <= 'f')
            value = value * 16 + (unsigned)((x | 0x20) - 'a' + 10);
        else
            return false;
    }
    *ret = value;
    return true;
}

/* After the opening quote. The text is UTF-8 as a whole already. */
static bool string(struct cursor *c)
{
    while (c->at < c->end) {
        unsigned char byte = (unsigned char)*c->at++;
        if (byte == '"') return true;
        if (byte < 0x20) return false;
        if (byte != '\\') continue;
        if (c->at == c->end) return false;
        char escape = *c->at++;
        if (escape != 'u') {
            if (!escape || !strchr("\"\\/bfnrt", escape)) return false;
            continue;
        }
        unsigned unit, low;
        if (!hex4(c, &unit)) return false;
        if (unit >= 0xDC00 && unit <= 0xDFFF) return false;
        if (unit >= 0xD800 && unit <= 0xDBFF) {
            if (!take(c, '\\') || !take(c, 'u') || !hex4(c, &low) || low < 0xDC00 || low > 0xDFFF) return false;
        }
    }
    return false;
}

static bool value(struct cursor *c, unsigned depth)
{
    blanks(c);
    if (c->at == c->end) return false;
    char first = *c->at;
    if (first == '{' || first == '[') {
        char close = first == '{' ? '}' : ']';
        if (depth == 0) return false;
        c->at++;
        blanks(c);
        if (take(c, close)) return true;
        do {
            if (first == '{') {
                blanks(c);
                if (!take(c, '"') || !string(c)) return false;
                blanks(c);
                if (!take(c, ':')) return false;
            }
            if (!value(c, depth - 1)) return false;
            blanks(c);
        } while (take(c, ','));
        return take(c, close);
    }
    if (take(c, '"')) return string(c);
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(c->end - c->at) >= length && memcmp(c->at, words[i], length) == 0) {
            c->at += length;
            return true;
        }
    }
    return number(c);
}

static bool valid(struct str text)
{
    if (!utf8_valid(text.data, text.size)) return false;
    struct cursor c = {text.data, text.data + text.size};
    if (!value(&c, JSON_DEPTH_DEFAULT)) return false;
    blanks(&c);
    return c.at == c.end;
}

static void compare_readers(struct arena *arena, struct str text)
{
    struct json fast, reference;
    bool accepted = json_read(arena, text, NULL, &fast);
    if (accepted != (json_parse_reference(arena, text, NULL, NULL, &reference) == STATUS_OK)) abort();
    if (accepted && !json_same(&fast, &reference)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX) return 0;
    struct arena *arena = arena_new((size_t)256 << 20);
    struct str text = str_from(data, size);
    struct error error = ERROR_INIT;
    struct json first, again, copy;
    enum status status = json_parse(arena, text, NULL, &error, &first);
    if ((status == STATUS_OK) != valid(text)) abort();
    if (status != STATUS_OK && (status != STATUS_INVALID || !error.primary[0] || error.column > size + 1)) abort();
    if (status == STATUS_OK) {
        struct buf written = BUF_INIT((size_t)64 << 20), other = BUF_INIT((size_t)64 << 20);
        json_write(&written, &first);
        if (buf_status(&written) != STATUS_OK) abort();
        if (json_parse(arena, buf_str(&written), NULL, NULL, &again) != STATUS_OK) abort();
        if (!json_equal(&first, &again) || !json_equal(&again, &first)) abort();
        json_write(&other, &again);
        if (!str_eq(buf_str(&written), buf_str(&other))) abort();

        buf_reset(&other);
        json_write_pretty(&other, &first);
        if (json_parse(arena, buf_str(&other), NULL, NULL, &again) != STATUS_OK || !json_equal(&first, &again)) abort();
        if (json_clone(arena, &first, &copy) != STATUS_OK || !json_equal(&first, &copy)) abort();
        buf_fini(&written);
        buf_fini(&other);
    }
    compare_readers(arena, text);
    arena_free(arena);
    return 0;
}
