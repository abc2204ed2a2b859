#include "jsonpath/jsonpath_int.h"

#include "base/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#define MATCH_EFFORT_MAX  1000000u
#define PATTERN_BYTES_MAX 65536u
#define NESTING_MAX       100u

struct regexp {
    pcre2_code *code; /* NULL: matches nothing */
};

/* Reads the pattern by the grammar of RFC 9485 and writes it as PCRE2 understands it. Most of the two languages is the
 * same; the dot and what a backslash may stand before are not. */
struct translation {
    struct str pattern;
    size_t at;
    unsigned nesting;
    struct buf *out;
};

static char peek(const struct translation *t)
{
    return t->at < t->pattern.size ? t->pattern.data[t->at] : 0;
}

static bool at_end(const struct translation *t)
{
    return t->at == t->pattern.size;
}

/* \n, \r, \t, or a backslash before a character that would mean something else. */
static bool take_escaped(struct translation *t)
{
    char c = t->at + 1 < t->pattern.size ? t->pattern.data[t->at + 1] : 0;
    if (!c || !strchr("()*+-.?[\\]^nrt{|}$", c)) return false;
    buf_byte(t->out, '\\');
    buf_byte(t->out, c);
    t->at += 2;
    return true;
}

/* \p{Lu}, \P{L}. */
static bool take_category(struct translation *t)
{
    static const char *const groups[] = {"Llmotu", "Mcen", "Ndlo", "Pcdefios", "Zlps", "Sckmo", "Ccfno"};
    struct str rest = str_slice(t->pattern, t->at, t->pattern.size);
    if (!(str_starts(rest, STR("\\p{")) || str_starts(rest, STR("\\P{"))) || rest.size < 5) return false;
    size_t close = str_find_byte(rest, '}', 3);
    if (close != 4 && close != 5) return false;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (groups[i][0] != rest.data[3]) continue;
        if (close == 5 && (!rest.data[4] || !strchr(groups[i] + 1, rest.data[4]))) return false;
        buf_str_add(t->out, str_slice(rest, 0, close + 1));
        t->at += close + 1;
        return true;
    }
    return false;
}

static void take_character(struct translation *t)
{
    size_t from = t->at;
    utf8_next(t->pattern.data, t->pattern.size, &t->at);
    buf_str_add(t->out, str_slice(t->pattern, from, t->at));
}

/* One character of a class, escaped for PCRE2 where it would begin something there. */
static bool take_class_character(struct translation *t)
{
    char c = peek(t);
    if (at_end(t) || c == '-' || c == ']') return false;
    if (c == '\\') return take_escaped(t);
    if (c == '[' || c == '^' || c == '&' || c == '~') buf_byte(t->out, '\\');
    take_character(t);
    return true;
}

static bool take_class(struct translation *t)
{
    buf_byte(t->out, '[');
    t->at++;
    if (peek(t) == '^') {
        buf_byte(t->out, '^');
        t->at++;
    }
    bool any = false;
    if (peek(t) == '-') {
        buf_lit(t->out, "\\-");
        t->at++;
        any = true;
    }
    while (!at_end(t) && peek(t) != ']') {
        if (peek(t) == '-') {
            t->at++;
            if (!any || peek(t) != ']') return false;
            buf_lit(t->out, "\\-");
            break;
        }
        any = true;
        if (take_category(t)) continue;
        if (!take_class_character(t)) return false;
        bool range = peek(t) == '-' && t->at + 1 < t->pattern.size && t->pattern.data[t->at + 1] != ']';
        if (!range) continue;
        buf_byte(t->out, '-');
        t->at++;
        if (!take_class_character(t)) return false;
    }
    if (!any || peek(t) != ']' || at_end(t)) return false;
    t->at++;
    buf_byte(t->out, ']');
    return true;
}

static bool take_count(struct translation *t)
{
    size_t from = t->at;
    while (peek(t) >= '0' && peek(t) <= '9') t->at++;
    buf_str_add(t->out, str_slice(t->pattern, from, t->at));
    return t->at > from;
}

static bool take_quantifier(struct translation *t)
{
    char c = peek(t);
    if (c == '*' || c == '+' || c == '?') {
        buf_byte(t->out, c);
        t->at++;
        return true;
    }
    if (c != '{') return true;
    buf_byte(t->out, c);
    t->at++;
    if (!take_count(t)) return false;
    if (peek(t) == ',') {
        buf_byte(t->out, ',');
        t->at++;
        take_count(t);
    }
    if (peek(t) != '}') return false;
    buf_byte(t->out, '}');
    t->at++;
    return true;
}

static bool take_alternatives(struct translation *t)
{
    if (++t->nesting > NESTING_MAX) return false;
    while (!at_end(t) && peek(t) != ')') {
        char c = peek(t);
        if (c == '|') {
            buf_byte(t->out, c);
            t->at++;
            continue;
        }
        if (c == '(') {
            buf_lit(t->out, "(?:");
            t->at++;
            if (!take_alternatives(t) || peek(t) != ')' || at_end(t)) return false;
            buf_byte(t->out, ')');
            t->at++;
        } else if (c == '[') {
            if (!take_class(t)) return false;
        } else if (c == '.') {
            buf_lit(t->out, "[^\\n\\r]");
            t->at++;
        } else if (c == '\\') {
            if (!take_category(t) && !take_escaped(t)) return false;
        } else if (c && strchr("*+?]{}", c)) {
            return false;
        } else {
            take_character(t);
        }
        if (!take_quantifier(t)) return false;
    }
    t->nesting--;
    return true;
}

static bool translate(struct str pattern, struct buf *out)
{
    struct translation t = {.pattern = pattern, .out = out};
    return pattern.size <= PATTERN_BYTES_MAX && take_alternatives(&t) && at_end(&t) && buf_status(out) == STATUS_OK;
}

enum status regexp_new(struct str pattern, enum regexp_kind kind, struct regexp **ret_regexp)
{
    struct regexp *regexp = calloc(1, sizeof *regexp);
    if (!regexp) return STATUS_LIMIT;
    struct buf text = BUF_INIT((size_t)8 * PATTERN_BYTES_MAX);
    bool perl = kind == REGEXP_PERL || kind == REGEXP_PERL_NOCASE;
    if (perl && pattern.size <= PATTERN_BYTES_MAX) buf_str_add(&text, pattern);
    if (perl ? buf_status(&text) == STATUS_OK : translate(pattern, &text)) {
        uint32_t flags = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
        if (kind == REGEXP_MATCH) flags |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
        if (kind == REGEXP_PERL_NOCASE) flags |= PCRE2_CASELESS;
        int code;
        size_t offset;
        regexp->code = pcre2_compile((PCRE2_SPTR)(text.data ? text.data : ""), text.size, flags, &code, &offset, NULL);
    }
    buf_fini(&text);
    *ret_regexp = regexp;
    return STATUS_OK;
}

void regexp_free(void *regexp)
{
    struct regexp *r = regexp;
    if (r) pcre2_code_free(r->code);
    free(r);
}

enum status regexp_matches(const struct regexp *regexp, struct str text, bool *ret_matches)
{
    *ret_matches = false;
    if (!regexp->code) return STATUS_OK;
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *limits = data ? pcre2_match_context_create(NULL) : NULL;
    int found = PCRE2_ERROR_NOMEMORY;
    if (limits) {
        pcre2_set_match_limit(limits, MATCH_EFFORT_MAX);
        pcre2_set_depth_limit(limits, MATCH_EFFORT_MAX / 10);
        found = pcre2_match(regexp->code, (PCRE2_SPTR)(text.data ? text.data : ""), text.size, 0, 0, data, limits);
    }
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    *ret_matches = found >= 0;
    return found == PCRE2_ERROR_NOMEMORY ? STATUS_LIMIT : STATUS_OK;
}
