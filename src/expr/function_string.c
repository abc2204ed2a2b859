#include <ctype.h>

#include "base/utf8.h"
#include "expr/case.h"
#include "expr/function.h"

/* Strings by code points. A piece of a string points into it: nothing is copied. */

/* The offset of code point `index`, or the size when there are fewer. */
static size_t offset_of(struct str s, uint64_t index)
{
    size_t offset = 0;
    if (index >= s.size) return s.size;
    while (index-- && offset < s.size) utf8_next(s.data, s.size, &offset);
    return offset;
}

static uint64_t length_of(struct str s)
{
    uint64_t length = 0;
    for (size_t offset = 0; offset < s.size; length++) utf8_next(s.data, s.size, &offset);
    return length;
}

struct value expr_run_len(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    if (args[0].type == VALUE_STRING) return value_int((int64_t)length_of(value_text(args[0])));
    return value_int((int64_t)value_count(args[0]));
}

struct value expr_run_left(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    int64_t n;
    struct str s = value_text(args[0]);
    if (!expr_whole(args[1], &n) || n < 0) return value_absent();
    return value_str(str_slice(s, 0, offset_of(s, (uint64_t)n)));
}

struct value expr_run_right(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    int64_t n;
    struct str s = value_text(args[0]);
    if (!expr_whole(args[1], &n) || n < 0) return value_absent();
    uint64_t length = length_of(s);
    return value_str(str_slice(s, (uint64_t)n >= length ? 0 : offset_of(s, length - (uint64_t)n), s.size));
}

struct value expr_run_mid(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    int64_t start, n;
    struct str s = value_text(args[0]);
    if (!expr_whole(args[1], &start) || !expr_whole(args[2], &n) || start < 1 || n < 0) return value_absent();
    s = str_slice(s, offset_of(s, (uint64_t)start - 1), s.size);
    return value_str(str_slice(s, 0, offset_of(s, (uint64_t)n)));
}

/* Most texts are ASCII, where the size stays and every byte is by itself. */
static bool is_ascii(struct str s)
{
    unsigned char any = 0;
    for (size_t i = 0; i < s.size; i++) any |= (unsigned char)s.data[i];
    return any < 0x80;
}

static struct value map_ascii(struct expr_call *call, struct str s, char first, char last)
{
    char *out = expr_alloc(call, s.size);
    if (!out) return value_absent();
    for (size_t i = 0; i < s.size; i++) out[i] = (char)(s.data[i] ^ (s.data[i] >= first && s.data[i] <= last ? 32 : 0));
    return value_str((struct str){out, s.size});
}

static struct value map_case(struct expr_call *call, struct str s, uint32_t (*map)(uint32_t))
{
    char unit[4], *out;
    size_t size = 0;
    if (is_ascii(s)) return map == expr_lower ? map_ascii(call, s, 'A', 'Z') : map_ascii(call, s, 'a', 'z');
    for (size_t at = 0; at < s.size;) size += utf8_encode(map(utf8_next(s.data, s.size, &at)), unit);
    out = expr_alloc(call, size);
    if (!out) return value_absent();
    size = 0;
    for (size_t at = 0; at < s.size;) size += utf8_encode(map(utf8_next(s.data, s.size, &at)), out + size);
    return value_str((struct str){out, size});
}

struct value expr_run_upper(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    return map_case(call, value_text(args[0]), expr_upper);
}

struct value expr_run_lower(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    return map_case(call, value_text(args[0]), expr_lower);
}

struct value expr_run_has_prefix(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    size_t size;
    return value_bool(expr_prefix_fold(value_text(args[0]), value_text(args[1]), &size));
}

struct value expr_run_has_suffix(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    struct str s = value_text(args[0]), suffix = value_text(args[1]);
    uint64_t length = length_of(s), wanted = length_of(suffix);
    if (wanted > length) return value_bool(false);
    return value_bool(expr_equal_fold(str_slice(s, offset_of(s, length - wanted), s.size), suffix));
}

struct value expr_run_split(struct expr_call *call, const struct value *args, uint32_t count)
{
    struct str rest = value_text(args[0]), delimiter = value_text(args[1]), part;
    int64_t wanted;
    if (delimiter.size != 1 || (unsigned char)delimiter.data[0] >= 0x80) return value_absent();
    if (rest.size == 0) rest = STR(""); /* str_next_part takes NULL for the end */
    if (count == 3) {
        if (str_find_byte(rest, delimiter.data[0], 0) == SIZE_MAX) return args[0];
        if (!expr_whole(args[2], &wanted) || wanted < 1) return value_absent();
        while (str_next_part(&rest, delimiter.data[0], &part)) {
            if (--wanted == 0) return value_str(part);
        }
        return value_absent();
    }
    struct list_builder pieces = LIST_BUILDER_INIT;
    while (str_next_part(&rest, delimiter.data[0], &part)) expr_list_add(&pieces, value_str(part));
    return expr_list_end(call, &pieces);
}

/* Where the host begins in `scheme://host` or `//host`; 0 when there is no such beginning. */
static size_t after_slashes(struct str url)
{
    size_t at = 0;
    while (at < url.size && (isalnum((unsigned char)url.data[at]) || memchr("+-.", url.data[at], 3))) at++;
    if (at < url.size && url.data[at] == ':') at++;
    return str_starts(str_slice(url, at, url.size), STR("//")) && (at == 0 || url.data[at - 1] == ':') ? at + 2 : 0;
}

/* Decision 35, the part between scheme and path. */
static bool is_host(struct str host, bool dot_needed)
{
    bool letter = false, dot = false;
    for (size_t i = 0; i < host.size; i++) {
        unsigned char c = (unsigned char)host.data[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;
        if (c == '.') {
            if (i == 0 || host.data[i - 1] == '.') return false;
            dot = true;
        } else if (!word && c != '-' && c != '_') {
            return false;
        }
        letter |= word;
    }
    return letter && (dot || !dot_needed);
}

/* The registrable part of a host, guessed: country domains are mostly sold below one of a few second levels. */
static struct str registrable(struct str host)
{
    static const struct str second_levels[] = {STR("ac"), STR("co"),  STR("com"), STR("edu"), STR("gov"),
                                               STR("ne"), STR("net"), STR("or"),  STR("org")};
    size_t dots[3], count = 0; /* from the end */
    bool numeric = true;
    for (size_t i = 0; i < host.size; i++)
        numeric &= host.data[i] == '.' || (host.data[i] >= '0' && host.data[i] <= '9');
    if (numeric) return host;
    for (size_t i = host.size; i > 0 && count < 3; i--) {
        if (host.data[i - 1] == '.') dots[count++] = i - 1;
    }
    if (count < 2) return host;
    size_t keep = 2;
    struct str second = str_slice(host, dots[1] + 1, dots[0]);
    for (size_t i = 0; i < sizeof second_levels / sizeof second_levels[0]; i++) {
        if (host.size - dots[0] == 3 && str_eq(second, second_levels[i])) keep = 3;
    }
    if (keep > count) return host;
    return str_slice(host, dots[keep - 1] + 1, host.size);
}

struct value expr_run_parse_url(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    struct str host = value_text(args[0]), part = value_text(args[1]);
    size_t start = after_slashes(host), end = 0;
    host = str_slice(host, start, host.size);
    while (end < host.size && !memchr("/?#", host.data[end], 3)) end++;
    host = str_slice(host, 0, end);
    for (size_t at; (at = str_find_byte(host, '@', 0)) != SIZE_MAX;) host = str_slice(host, at + 1, host.size);
    struct value lower = map_case(call, host, expr_lower);
    if (lower.type != VALUE_STRING) return lower;
    host = value_text(lower);
    size_t bracket = str_find_byte(host, ']', 0);
    bool literal = host.size && host.data[0] == '[' && bracket != SIZE_MAX;
    if (literal) {
        host = str_slice(host, 0, bracket + 1);
    } else {
        host = str_slice(host, 0, str_find_byte(host, ':', 0));
        if (host.size && host.data[host.size - 1] == '.') host.size--;
        if (!is_host(host, start == 0)) return value_absent();
    }
    if (str_is(part, "full_domain")) return value_str(host);
    if (!str_is(part, "domain")) return value_absent();
    return value_str(literal ? host : registrable(host));
}
