/*
 * A query becomes a tree by recursive descent over the grammar of RFC 9535, appendix A. Two things the grammar alone
 * does not say: white space is allowed between segments but not behind the last one, and what may stand where in a
 * filter is a matter of types (2.4.3). So operands are parsed first, as what they are, and then asked whether they may
 * stand as a test, in a comparison, or as the argument of a function.
 */
#include "jsonpath/jsonpath_int.h"

#include "base/utf8.h"

#define NESTING_MAX 64
#define NODES_MAX   5000             /* also bounds the height of a chain of && and || */
#define INDEX_MAX   9007199254740991 /* I-JSON: 2^53 - 1 */

struct parser {
    struct arena *arena;
    struct error *error;
    struct str text;
    size_t at;
    unsigned nesting, nodes;
    enum jsonpath_dialect dialect;
};

static enum status fail(struct parser *p, const char *what)
{
    size_t size = p->text.size > 120 ? utf8_cut(p->text.data, p->text.size, 120) : p->text.size;
    error_set(p->error, STATUS_INVALID, "\"%.*s%s\" is no JSONPath query: %s", (int)size,
              p->text.data ? p->text.data : "", size < p->text.size ? "..." : "", what);
    error_position(p->error, 0, (unsigned)p->at + 1);
    return STATUS_INVALID;
}

static enum status no_memory(struct parser *p)
{
    return error_set(p->error, STATUS_LIMIT, "a JSONPath query exceeds the memory budget");
}

static char peek(const struct parser *p)
{
    return p->at < p->text.size ? p->text.data[p->at] : 0;
}

static void skip_blanks(struct parser *p)
{
    while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\n' || peek(p) == '\r') p->at++;
}

static bool take(struct parser *p, struct str token)
{
    if (!str_starts(str_slice(p->text, p->at, p->text.size), token)) return false;
    p->at += token.size;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_first(char c)
{
    char lower = (char)(c | 0x20);
    return (lower >= 'a' && lower <= 'z') || c == '_' || (unsigned char)c >= 0x80;
}

/* ---- texts and numbers ---- */

static bool take_hex(struct parser *p, uint32_t *ret_unit)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        char c = peek(p), lower = (char)(c | 0x20);
        if (!is_digit(c) && !(lower >= 'a' && lower <= 'f')) return false;
        unit = unit * 16 + (uint32_t)(is_digit(c) ? c - '0' : lower - 'a' + 10);
        p->at++;
    }
    *ret_unit = unit;
    return true;
}

static enum status take_escape(struct parser *p, char quote, char *out, size_t *size)
{
    static const char pairs[] = "b\bf\fn\nr\rt\t//\\\\";
    char c = peek(p);
    p->at++;
    if (c == quote) {
        out[(*size)++] = c;
        return STATUS_OK;
    }
    for (const char *pair = pairs; *pair; pair += 2) {
        if (c != *pair) continue;
        out[(*size)++] = pair[1];
        return STATUS_OK;
    }
    uint32_t unit, low;
    if (c != 'u') return fail(p, "unknown escape in a text");
    if (!take_hex(p, &unit)) return fail(p, "\\u needs four hexadecimal digits");
    if (unit >= 0xDC00 && unit <= 0xDFFF) return fail(p, "half of a surrogate pair");
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        if (!take(p, STR("\\u")) || !take_hex(p, &low) || low < 0xDC00 || low > 0xDFFF)
            return fail(p, "half of a surrogate pair");
        unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    }
    *size += utf8_encode(unit, out + *size);
    return STATUS_OK;
}

static enum status take_quoted(struct parser *p, struct str *ret_text)
{
    char quote = peek(p), *out = arena_alloc(p->arena, p->text.size - p->at + 4);
    size_t size = 0;
    if (!out) return no_memory(p);
    for (p->at++; p->at < p->text.size;) {
        char c = peek(p);
        if ((unsigned char)c < 0x20) return fail(p, "a control character in a text");
        p->at++;
        if (c == quote) {
            *ret_text = (struct str){out, size};
            return STATUS_OK;
        }
        if (c == '\\')
            TRY(take_escape(p, quote, out, &size));
        else
            out[size++] = c;
    }
    return fail(p, "a quote is not closed");
}

/* int = "0" / (["-"] DIGIT1 *DIGIT) */
static enum status take_int(struct parser *p, int64_t *ret_value)
{
    bool negative = take(p, STR("-"));
    size_t from = p->at;
    int64_t value = 0;
    while (is_digit(peek(p))) {
        value = value * 10 + (peek(p) - '0');
        if (value > INDEX_MAX) return fail(p, "the number is too large for an index");
        p->at++;
    }
    if (p->at == from) return fail(p, "a number is missing");
    if (p->text.data[from] == '0' && (p->at > from + 1 || negative)) return fail(p, "malformed index");
    *ret_value = negative ? -value : value;
    return STATUS_OK;
}

/* As JSON writes numbers, and -0. */
static enum status take_number(struct parser *p, struct json *ret_value)
{
    size_t from = p->at;
    while (is_digit(peek(p)) || (peek(p) && strchr("+-.eE", peek(p)))) p->at++;
    if (json_parse(p->arena, str_slice(p->text, from, p->at), NULL, NULL, ret_value) == STATUS_OK) return STATUS_OK;
    p->at = from;
    return fail(p, "malformed number");
}

static enum status take_member_name(struct parser *p, struct str *ret_name)
{
    size_t from = p->at;
    bool loose = p->dialect == JSONPATH_GOESSNER;
    if (!is_name_first(peek(p)) && !(loose && is_digit(peek(p)))) return fail(p, "a name is missing");
    while (is_name_first(peek(p)) || is_digit(peek(p)) || (loose && peek(p) == '-')) p->at++;
    *ret_name = str_slice(p->text, from, p->at);
    return STATUS_OK;
}

/* ---- segments and selectors ---- */

static enum status parse_or(struct parser *p, bool argument, struct filter **ret_filter);

static enum status new_selector(struct parser *p, enum selector_kind kind, struct selector **ret_selector)
{
    if (p->nodes++ == NODES_MAX) return fail(p, "it is too long");
    struct selector *selector = arena_calloc(p->arena, 1, sizeof *selector);
    if (!selector) return no_memory(p);
    selector->kind = kind;
    *ret_selector = selector;
    return STATUS_OK;
}

static bool starts_number(const struct parser *p)
{
    return is_digit(peek(p)) || peek(p) == '-';
}

/* An index, or a slice: [start] ":" [end] [":" [step]]. */
static enum status parse_index(struct parser *p, struct selector *s)
{
    s->step = 1;
    if (starts_number(p)) {
        TRY(take_int(p, &s->index));
        s->has_start = true;
    }
    size_t back = p->at;
    skip_blanks(p);
    if (!take(p, STR(":"))) {
        p->at = back;
        return STATUS_OK;
    }
    s->kind = SELECT_SLICE;
    skip_blanks(p);
    if (starts_number(p)) {
        TRY(take_int(p, &s->end));
        s->has_end = true;
    }
    back = p->at;
    skip_blanks(p);
    if (!take(p, STR(":"))) {
        p->at = back;
        return STATUS_OK;
    }
    skip_blanks(p);
    return starts_number(p) ? take_int(p, &s->step) : STATUS_OK;
}

/* The one script that the older dialect is used for: (@.length-1). */
static enum status parse_script(struct parser *p, struct selector *s)
{
    p->at++;
    skip_blanks(p);
    if (!take(p, STR("@.length"))) return fail(p, "a script other than (@.length-NUMBER)");
    skip_blanks(p);
    if (!take(p, STR("-"))) return fail(p, "a script other than (@.length-NUMBER)");
    skip_blanks(p);
    TRY(take_int(p, &s->index));
    if (s->index <= 0) return fail(p, "the index lies behind the end");
    s->index = -s->index;
    skip_blanks(p);
    return take(p, STR(")")) ? STATUS_OK : fail(p, "a parenthesis is not closed");
}

static enum status parse_selector(struct parser *p, struct selector **ret_selector)
{
    struct selector *s;
    TRY(new_selector(p, SELECT_INDEX, &s));
    char c = peek(p);
    *ret_selector = s;
    if (c == '\'' || c == '"') {
        s->kind = SELECT_NAME;
        return take_quoted(p, &s->name);
    }
    if (c == '*') {
        s->kind = SELECT_WILDCARD;
        p->at++;
        return STATUS_OK;
    }
    if (c == '?') {
        struct filter *filter;
        s->kind = SELECT_FILTER;
        p->at++;
        skip_blanks(p);
        TRY(parse_or(p, false, &filter));
        s->filter = filter;
        return STATUS_OK;
    }
    if (c == '(' && p->dialect == JSONPATH_GOESSNER) return parse_script(p, s);
    if (starts_number(p) || c == ':') return parse_index(p, s);
    return fail(p, "expected a name in quotes, a number, *, : or ?");
}

static enum status parse_bracket(struct parser *p, struct segment *segment)
{
    struct selector **last = &segment->selectors;
    if (++p->nesting > NESTING_MAX) return fail(p, "it is nested too deeply");
    p->at++;
    do {
        skip_blanks(p);
        TRY(parse_selector(p, last));
        last = &(*last)->next;
        skip_blanks(p);
    } while (take(p, STR(",")));
    if (!take(p, STR("]"))) return fail(p, "a bracket is not closed");
    p->nesting--;
    return STATUS_OK;
}

/* Behind the dots: *, a name, or for .. also a bracket. */
static enum status parse_dotted(struct parser *p, struct segment *segment)
{
    if (segment->descendant && peek(p) == '[') return parse_bracket(p, segment);
    TRY(new_selector(p, SELECT_WILDCARD, &segment->selectors));
    if (take(p, STR("*"))) return STATUS_OK;
    segment->selectors->kind = SELECT_NAME;
    return take_member_name(p, &segment->selectors->name);
}

static bool one_at_most(const struct segment *segment)
{
    const struct selector *s = segment->selectors;
    return !segment->descendant && !s->next && (s->kind == SELECT_NAME || s->kind == SELECT_INDEX);
}

/* What follows $ or @. */
static enum status parse_segments(struct parser *p, struct query *query)
{
    struct segment **last = &query->segments;
    query->singular = true;
    for (;;) {
        size_t back = p->at;
        skip_blanks(p);
        if (peek(p) != '.' && peek(p) != '[') {
            p->at = back;
            return STATUS_OK;
        }
        if (p->nodes++ == NODES_MAX) return fail(p, "it is too long");
        struct segment *segment = arena_calloc(p->arena, 1, sizeof *segment);
        if (!segment) return no_memory(p);
        *last = segment;
        last = &segment->next;
        if (peek(p) == '[') {
            TRY(parse_bracket(p, segment));
        } else {
            p->at++;
            segment->descendant = take(p, STR("."));
            TRY(parse_dotted(p, segment));
        }
        query->singular &= one_at_most(segment);
    }
}

/* ---- filters ---- */

static enum status new_filter(struct parser *p, enum filter_kind kind, struct filter *left, struct filter *right,
                              struct filter **ret_filter)
{
    if (p->nodes++ == NODES_MAX) return fail(p, "it is too long");
    struct filter *filter = arena_calloc(p->arena, 1, sizeof *filter);
    if (!filter) return no_memory(p);
    filter->kind = kind;
    filter->left = left;
    filter->right = right;
    *ret_filter = filter;
    return STATUS_OK;
}

static bool is_value(const struct filter *f)
{
    return f->kind == FILTER_LITERAL || (f->kind == FILTER_QUERY && f->query.singular) ||
           (f->kind == FILTER_FUNCTION && f->function->result == TYPE_VALUE);
}

static bool is_test(const struct filter *f)
{
    return f->kind != FILTER_LITERAL && !(f->kind == FILTER_FUNCTION && f->function->result == TYPE_VALUE);
}

static bool fits(const struct filter *f, enum function_type type)
{
    if (type == TYPE_VALUE) return is_value(f);
    return type == TYPE_NODES ? f->kind == FILTER_QUERY : is_test(f);
}

static enum status keep_regexp(struct parser *p, struct filter *f, struct str pattern, enum regexp_kind kind)
{
    if (regexp_new(pattern, kind, &f->regexp) != STATUS_OK) return no_memory(p);
    if (arena_on_reset(p->arena, regexp_free, f->regexp)) return STATUS_OK;
    regexp_free(f->regexp);
    f->regexp = NULL;
    return no_memory(p);
}

static enum status parse_function(struct parser *p, struct filter *f, size_t from)
{
    static const char *const wrong[] = {"the argument of the function must be a value",
                                        "the argument of the function must be a test",
                                        "the argument of the function must be a query"};
    f->kind = FILTER_FUNCTION;
    f->function = function_find(str_slice(p->text, from, p->at));
    if (!f->function) {
        p->at = from;
        return fail(p, "unknown function");
    }
    if (++p->nesting > NESTING_MAX) return fail(p, "it is nested too deeply");
    p->at++;
    skip_blanks(p);
    for (unsigned i = 0; i < f->function->argument_count; i++) {
        if (i && !take(p, STR(","))) return fail(p, "the function has too few arguments");
        skip_blanks(p);
        TRY(parse_or(p, true, &f->arguments[i]));
        if (!fits(f->arguments[i], f->function->arguments[i])) return fail(p, wrong[f->function->arguments[i]]);
        skip_blanks(p);
    }
    if (!take(p, STR(")"))) return fail(p, "the function has too many arguments, or a parenthesis is not closed");
    p->nesting--;
    const struct filter *pattern = f->arguments[1];
    bool search = str_is(str_of(f->function->name), "search"), match = str_is(str_of(f->function->name), "match");
    if (!(search || match) || pattern->kind != FILTER_LITERAL || pattern->literal.type != JSON_STRING) return STATUS_OK;
    return keep_regexp(p, f, pattern->literal.string, match ? REGEXP_MATCH : REGEXP_SEARCH);
}

static enum status parse_word(struct parser *p, struct filter *f)
{
    size_t from = p->at;
    while ((peek(p) >= 'a' && peek(p) <= 'z') || is_digit(peek(p)) || peek(p) == '_') p->at++;
    struct str word = str_slice(p->text, from, p->at);
    if (peek(p) == '(' && word.size) return parse_function(p, f, from);
    if (str_is(word, "true") || str_is(word, "false")) {
        f->literal = json_bool(word.data[0] == 't');
    } else if (str_is(word, "null")) {
        f->literal = json_null();
    } else {
        p->at = from;
        return fail(p, "expected @, $, a function, a text, a number, true, false or null");
    }
    return STATUS_OK;
}

static enum status parse_operand(struct parser *p, struct filter **ret_filter)
{
    struct filter *f;
    TRY(new_filter(p, FILTER_LITERAL, NULL, NULL, &f));
    *ret_filter = f;
    char c = peek(p);
    if (c == '@' || c == '$') {
        p->at++;
        f->kind = FILTER_QUERY;
        f->query.relative = c == '@';
        return parse_segments(p, &f->query);
    }
    if (c == '\'' || c == '"') {
        f->literal = json_string(STR_NULL);
        return take_quoted(p, &f->literal.string);
    }
    return starts_number(p) ? take_number(p, &f->literal) : parse_word(p, f);
}

static bool take_comparison(struct parser *p, enum comparison *ret_comparison)
{
    static const struct {
        const char *token;
        enum comparison comparison;
    } tokens[] = {{"==", EQUAL},         {"!=", NOT_EQUAL}, {"<=", LESS_EQUAL},
                  {">=", GREATER_EQUAL}, {"<", LESS},       {">", GREATER}};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        if (!take(p, str_of(tokens[i].token))) continue;
        *ret_comparison = tokens[i].comparison;
        return true;
    }
    return false;
}

/* left =~ /pattern/i, of the older dialect: a search. */
static enum status parse_pattern(struct parser *p, struct filter *left, struct filter **ret_filter)
{
    struct filter *f;
    skip_blanks(p);
    if (!take(p, STR("/"))) return fail(p, "expected /pattern/ after =~");
    size_t from = p->at;
    while (p->at < p->text.size && peek(p) != '/') p->at += peek(p) == '\\' ? 2 : 1;
    if (p->at >= p->text.size) return fail(p, "the pattern is not closed");
    struct str pattern = str_slice(p->text, from, p->at++);
    TRY(new_filter(p, FILTER_FUNCTION, NULL, NULL, &f));
    TRY(new_filter(p, FILTER_LITERAL, NULL, NULL, &f->arguments[1]));
    f->function = function_find(STR("search"));
    f->arguments[0] = left;
    f->arguments[1]->literal = json_string(pattern);
    *ret_filter = f;
    return keep_regexp(p, f, pattern, take(p, STR("i")) ? REGEXP_PERL_NOCASE : REGEXP_PERL);
}

static enum status parse_paren(struct parser *p, struct filter **ret_filter)
{
    struct filter *inner;
    if (++p->nesting > NESTING_MAX) return fail(p, "it is nested too deeply");
    p->at++;
    skip_blanks(p);
    TRY(parse_or(p, false, &inner));
    skip_blanks(p);
    if (!take(p, STR(")"))) return fail(p, "a parenthesis is not closed");
    p->nesting--;
    return new_filter(p, FILTER_PAREN, inner, NULL, ret_filter);
}

/* A parenthesis, a test, either with ! before it, a comparison, or an operand that stands alone. */
static enum status parse_basic(struct parser *p, struct filter **ret_filter)
{
    struct filter *left, *right;
    if (peek(p) == '!') {
        p->at++;
        skip_blanks(p);
        if (peek(p) == '(')
            TRY(parse_paren(p, &left));
        else
            TRY(parse_operand(p, &left));
        if (!is_test(left)) return fail(p, "this cannot stand behind !");
        return new_filter(p, FILTER_NOT, left, NULL, ret_filter);
    }
    if (peek(p) == '(') return parse_paren(p, ret_filter);
    TRY(parse_operand(p, &left));
    size_t back = p->at;
    enum comparison comparison;
    skip_blanks(p);
    if (p->dialect == JSONPATH_GOESSNER && take(p, STR("=~"))) return parse_pattern(p, left, ret_filter);
    if (!take_comparison(p, &comparison)) {
        p->at = back;
        *ret_filter = left;
        return STATUS_OK;
    }
    if (!is_value(left)) return fail(p, "what stands before the operator is no single value");
    skip_blanks(p);
    TRY(parse_operand(p, &right));
    if (!is_value(right)) return fail(p, "what stands behind the operator is no single value");
    TRY(new_filter(p, FILTER_COMPARE, left, right, ret_filter));
    (*ret_filter)->comparison = comparison;
    return STATUS_OK;
}

static enum status parse_and(struct parser *p, struct filter **ret_filter)
{
    struct filter *left, *right;
    TRY(parse_basic(p, &left));
    for (;;) {
        size_t back = p->at;
        skip_blanks(p);
        if (!take(p, STR("&&"))) {
            p->at = back;
            *ret_filter = left;
            return STATUS_OK;
        }
        skip_blanks(p);
        TRY(parse_basic(p, &right));
        if (!is_test(left) || !is_test(right)) return fail(p, "a value is not a test");
        TRY(new_filter(p, FILTER_AND, left, right, &left));
    }
}

/* As an argument a value may stand alone, otherwise it must be a test. */
static enum status parse_or(struct parser *p, bool argument, struct filter **ret_filter)
{
    struct filter *left, *right;
    if (++p->nesting > NESTING_MAX) return fail(p, "it is nested too deeply");
    TRY(parse_and(p, &left));
    for (;;) {
        size_t back = p->at;
        skip_blanks(p);
        if (!take(p, STR("||"))) {
            p->at = back;
            break;
        }
        skip_blanks(p);
        TRY(parse_and(p, &right));
        if (!is_test(left) || !is_test(right)) return fail(p, "a value is not a test");
        TRY(new_filter(p, FILTER_OR, left, right, &left));
    }
    if (!argument && !is_test(left)) return fail(p, "a value is not a test");
    p->nesting--;
    *ret_filter = left;
    return STATUS_OK;
}

enum status jsonpath_compile(struct arena *arena, struct str query, enum jsonpath_dialect dialect, struct error *error,
                             const struct jsonpath **ret_path)
{
    struct parser p = {.arena = arena, .error = error, .text = query, .dialect = dialect};
    if (query.size > JSONPATH_QUERY_BYTES_MAX)
        return error_set(error, STATUS_INVALID, "a JSONPath query of more than %zu bytes", JSONPATH_QUERY_BYTES_MAX);
    if (!utf8_valid(query.data, query.size)) return fail(&p, "it is not UTF-8");
    struct jsonpath *path = arena_calloc(arena, 1, sizeof *path);
    if (!path) return no_memory(&p);
    path->dialect = dialect;
    if (!take(&p, STR("$"))) return fail(&p, "it does not begin with $");
    TRY(parse_segments(&p, &path->query));
    if (p.at < query.size) return fail(&p, "unexpected text");
    *ret_path = path;
    return STATUS_OK;
}

bool jsonpath_is_singular(const struct jsonpath *path)
{
    return path->query.singular;
}
