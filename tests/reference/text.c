/* Functions on texts. Texts are taken apart into code points; the cases of letters come from the C library.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "reference/operators.h"

#include "base/utf8.h"

#include <locale.h>
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>
#include <wctype.h>

struct points {
    uint32_t *at;
    size_t count;
};

static struct points points_of(struct arena *arena, struct str s)
{
    struct points points = {.at = ref_alloc(arena, s.size * sizeof(uint32_t))};
    for (size_t offset = 0; offset < s.size;) points.at[points.count++] = utf8_next(s.data, s.size, &offset);
    return points;
}

static struct ref_value text_of(struct arena *arena, const uint32_t *points, size_t count)
{
    char *text = ref_alloc(arena, count * 4);
    size_t size = 0;
    for (size_t i = 0; i < count; i++) size += utf8_encode(points[i], text + size);
    return ref_string(str_from(text, size));
}

static locale_t letters(void)
{
    static locale_t locale;
    if (!locale) locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    if (!locale) abort();
    return locale;
}
static uint32_t upper(uint32_t c)
{
    return (uint32_t)towupper_l((wint_t)c, letters());
}
static uint32_t lower(uint32_t c)
{
    return (uint32_t)towlower_l((wint_t)c, letters());
}

static struct ref_value mapped(struct arena *arena, struct ref_value s, uint32_t (*map)(uint32_t))
{
    if (s.type != REF_STRING) return ref_undefined;
    struct points points = points_of(arena, s.text);
    for (size_t i = 0; i < points.count; i++) points.at[i] = map(points.at[i]);
    return text_of(arena, points.at, points.count);
}

static struct ref_value length(struct arena *arena, struct ref_value v)
{
    if (v.type == REF_STRING) return ref_int((int64_t)points_of(arena, v.text).count);
    return v.type == REF_LIST || v.type == REF_OBJECT ? ref_int((int64_t)v.count) : ref_undefined;
}

/* `n` code points of s from `start` on, which counts from 1. */
static struct ref_value piece(struct arena *arena, struct ref_value s, long double start, long double n)
{
    struct points points = points_of(arena, s.text);
    long double left = (long double)points.count - (start - 1);
    if (start < 1 || n < 0) return ref_undefined;
    if (left <= 0) return ref_string(STR(""));
    return text_of(arena, points.at + (size_t)(start - 1), (size_t)(n < left ? n : left));
}

static struct ref_value prefix(struct arena *arena, struct ref_value s, struct ref_value p, bool at_end)
{
    if (s.type != REF_STRING || p.type != REF_STRING) return ref_undefined;
    struct points a = points_of(arena, s.text), b = points_of(arena, p.text);
    if (b.count > a.count) return ref_bool(false);
    size_t start = at_end ? a.count - b.count : 0;
    for (size_t i = 0; i < b.count; i++) {
        if (lower(upper(a.at[start + i])) != lower(upper(b.at[i]))) return ref_bool(false);
    }
    return ref_bool(true);
}

static struct ref_value split(struct arena *arena, const struct ref_value *args, size_t count)
{
    long double n = 0;
    if (args[0].type != REF_STRING || args[1].type != REF_STRING || args[1].text.size != 1) return ref_undefined;
    if (count == 3 && !ref_number(args[2], &n)) return ref_undefined;
    struct ref_value list = ref_list(arena, args[0].text.size + 1);
    struct str rest = args[0].text, part;
    if (!rest.data) rest.data = "";
    list.count = 0;
    while (str_next_part(&rest, args[1].text.data[0], &part)) list.items[list.count++] = ref_string(part);
    if (count == 2) return list;
    if (list.count == 1) return args[0];
    return n == floorl(n) && n >= 1 && n <= (long double)list.count ? list.items[(size_t)n - 1] : ref_undefined;
}

/* --- regular expressions ------------------------------------------------------------------------------ */

static pcre2_code *compile(struct str pattern)
{
    int error;
    size_t offset;
    return pcre2_compile((PCRE2_SPTR)(pattern.data ? pattern.data : ""), pattern.size,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_CASELESS, &error, &offset, NULL);
}

bool ref_pattern_malformed(struct str pattern)
{
    pcre2_code *code = compile(pattern);
    pcre2_code_free(code);
    return code == NULL;
}

/* *ret_given_up: the match takes too many steps. */
static struct ref_value extract(struct arena *arena, const pcre2_code *code, struct str s, long double group,
                                bool *ret_given_up)
{
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(code, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(limits, 100000);
    int groups = pcre2_match(code, (PCRE2_SPTR)s.data, s.size, 0, 0, match, limits);
    struct ref_value result = ref_undefined;
    *ret_given_up = groups < 0 && groups != PCRE2_ERROR_NOMATCH;
    if (groups > 0 && group >= 0 && group < (long double)groups) {
        const size_t *ends = pcre2_get_ovector_pointer(match);
        size_t i = (size_t)group * 2;
        if (ends[i] != PCRE2_UNSET && ends[i] <= ends[i + 1])
            result = ref_string(ref_copy(arena, str_slice(s, ends[i], ends[i + 1])));
    }
    pcre2_match_data_free(match);
    pcre2_match_context_free(limits);
    return result;
}

static struct ref_value replace(struct arena *arena, const pcre2_code *code, struct str s, struct str by)
{
    size_t size = (size_t)1 << 16;
    char *out = ref_alloc(arena, size);
    uint32_t options = PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_UNSET_EMPTY | PCRE2_SUBSTITUTE_UNKNOWN_UNSET;
    int count = pcre2_substitute(code, (PCRE2_SPTR)s.data, s.size, 0, options, NULL, NULL, (PCRE2_SPTR)by.data, by.size,
                                 (PCRE2_UCHAR *)out, &size);
    return count < 0 ? ref_undefined : ref_string(str_from(out, size));
}

static struct ref_value regex(struct ref_row *row, struct str name, const struct ref_value *args, size_t count)
{
    long double group = 0;
    bool replacing = str_is(name, "regex_replace");
    if (args[0].type != REF_STRING || args[1].type != REF_STRING) return ref_undefined;
    if (replacing && args[2].type != REF_STRING) return ref_undefined;
    if (!replacing && count == 3 && !ref_whole(args[2], &group)) return ref_undefined;
    pcre2_code *code = compile(args[1].text);
    if (!code) return ref_undefined;
    struct str s = args[0].text.data ? args[0].text : STR("");
    struct ref_value result;
    bool given_up = false;
    if (replacing)
        result = replace(row->arena, code, s, args[2].text.data ? args[2].text : STR(""));
    else
        result = extract(row->arena, code, s, group, &given_up);
    if (str_is(name, "regex_match") && !given_up) result = ref_bool(result.type == REF_STRING);
    pcre2_code_free(code);
    return result;
}

/* --- parse_url ---------------------------------------------------------------------------------------- */

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool alphanumeric(char c)
{
    return letter(c) || (c >= '0' && c <= '9');
}

/* Where the host begins, and whether a scheme or `//` said so. */
static size_t host_start(struct str s, bool *ret_explicit)
{
    size_t i = 0;
    *ret_explicit = true;
    if (str_starts(s, STR("//"))) return 2;
    if (s.size && letter(s.data[0])) {
        while (i < s.size && (alphanumeric(s.data[i]) || s.data[i] == '+' || s.data[i] == '-' || s.data[i] == '.')) i++;
        if (str_starts(str_slice(s, i, s.size), STR("://"))) return i + 3;
    }
    *ret_explicit = false;
    return 0;
}

static size_t last_byte(struct str s, char byte)
{
    for (size_t i = s.size; i > 0; i--) {
        if (s.data[i - 1] == byte) return i - 1;
    }
    return SIZE_MAX;
}

static bool host_of(struct arena *arena, struct str s, struct str *ret_host)
{
    bool explicit_host, some = false;
    s = str_slice(s, host_start(s, &explicit_host), s.size);
    size_t end = 0;
    while (end < s.size && s.data[end] != '/' && s.data[end] != '?' && s.data[end] != '#') end++;
    s = str_slice(s, 0, end);
    size_t at = last_byte(s, '@');
    if (at != SIZE_MAX) s = str_slice(s, at + 1, s.size);
    if (s.size && s.data[0] == '[') {
        size_t close = str_find_byte(s, ']', 0);
        if (close == SIZE_MAX) return false;
        *ret_host = mapped(arena, ref_string(str_slice(s, 0, close + 1)), lower).text;
        return true;
    }
    s = str_slice(s, 0, str_find_byte(s, ':', 0));
    if (s.size && s.data[s.size - 1] == '.') s.size--;
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        if (!alphanumeric(c) && c != '-' && c != '_' && c != '.' && (unsigned char)c < 0x80) return false;
        some |= alphanumeric(c) || (unsigned char)c >= 0x80;
        if (c == '.' && (i == 0 || i + 1 == s.size || s.data[i - 1] == '.')) return false;
    }
    if (!some || (!explicit_host && str_find_byte(s, '.', 0) == SIZE_MAX)) return false;
    *ret_host = mapped(arena, ref_string(s), lower).text;
    return true;
}

static struct str domain_of(struct arena *arena, struct str host)
{
    static const char *const seconds[] = {"ac", "co", "com", "edu", "gov", "ne", "net", "or", "org"};
    struct str labels[256], rest = host, label;
    size_t count = 0, wanted = 2;
    bool digits = true;
    for (size_t i = 0; i < host.size; i++)
        digits &= host.data[i] == '.' || (host.data[i] >= '0' && host.data[i] <= '9');
    if (digits || host.data[0] == '[') return host;
    while (count < 256 && str_next_part(&rest, '.', &label)) labels[count++] = label;
    if (count < 3) return host;
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        if (labels[count - 1].size == 2 && str_eq(labels[count - 2], str_of(seconds[i]))) wanted = 3;
    }
    return ref_copy(arena, str_slice(host, (size_t)(labels[count - wanted].data - host.data), host.size));
}

static struct ref_value parse_url(struct arena *arena, struct ref_value s, struct ref_value part)
{
    struct str host;
    if (s.type != REF_STRING || part.type != REF_STRING || !host_of(arena, s.text, &host)) return ref_undefined;
    if (str_is(part.text, "full_domain")) return ref_string(host);
    return str_is(part.text, "domain") ? ref_string(domain_of(arena, host)) : ref_undefined;
}

/* --- the table's side --------------------------------------------------------------------------------- */

REF_STRICT(len)
{
    return length(row->arena, args[0]);
}
REF_STRICT(upper)
{
    return mapped(row->arena, args[0], upper);
}
REF_STRICT(lower)
{
    return mapped(row->arena, args[0], lower);
}

REF_STRICT(left)
{
    long double n;
    if (args[0].type != REF_STRING || !ref_whole(args[1], &n)) return ref_undefined;
    return piece(row->arena, args[0], 1, n);
}

REF_STRICT(right)
{
    long double n;
    if (args[0].type != REF_STRING || !ref_whole(args[1], &n)) return ref_undefined;
    long double size = (long double)points_of(row->arena, args[0].text).count;
    return piece(row->arena, args[0], n < size ? size - n + 1 : 1, n);
}

REF_STRICT(mid)
{
    long double start, n;
    if (args[0].type != REF_STRING || !ref_whole(args[1], &start) || !ref_whole(args[2], &n)) return ref_undefined;
    return piece(row->arena, args[0], start, n);
}

REF_STRICT(has_prefix)
{
    return prefix(row->arena, args[0], args[1], false);
}
REF_STRICT(has_suffix)
{
    return prefix(row->arena, args[0], args[1], true);
}
REF_STRICT(split)
{
    return split(row->arena, args, count);
}
REF_STRICT(parse_url)
{
    return parse_url(row->arena, args[0], args[1]);
}
REF_STRICT(regex_match)
{
    return regex(row, STR("regex_match"), args, count);
}
REF_STRICT(regex_extract)
{
    return regex(row, STR("regex_extract"), args, count);
}
REF_STRICT(regex_replace)
{
    return regex(row, STR("regex_replace"), args, count);
}
