/* Text to tree: the grammar of docs/api/expressions.md, one function a rule. */
#include "reference/internal.h"

#include "base/utf8.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

struct parser {
    struct arena *arena;
    struct str text;
    size_t at;
    bool failed;
    struct str names[256]; /* visible bound names */
    size_t name_count;
};

static struct ref_node *parse_expr(struct parser *p);

static struct ref_node *fail(struct parser *p)
{
    p->failed = true;
    p->at = p->text.size; /* so that every loop ends */
    return ref_alloc(p->arena, sizeof(struct ref_node));
}

static struct ref_node *node_new(struct parser *p, enum ref_kind kind)
{
    struct ref_node *node = ref_alloc(p->arena, sizeof *node);
    node->kind = kind;
    return node;
}

static void add_part(struct parser *p, struct ref_node *node, struct ref_node *part)
{
    struct ref_node **parts = ref_alloc(p->arena, (node->count + 1) * sizeof(struct ref_node *));
    if (node->count) memcpy(parts, node->parts, node->count * sizeof(struct ref_node *));
    parts[node->count++] = part;
    node->parts = parts;
}

/* --- letters ------------------------------------------------------------------------------------------ */

static int peek(const struct parser *p, size_t ahead)
{
    return p->at + ahead < p->text.size ? (unsigned char)p->text.data[p->at + ahead] : -1;
}

static void blanks(struct parser *p)
{
    while (peek(p, 0) == ' ' || peek(p, 0) == '\t' || peek(p, 0) == '\r' || peek(p, 0) == '\n') p->at++;
}

static bool digit(int c)
{
    return c >= '0' && c <= '9';
}
static bool word_start(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c >= 0x80;
}
static bool word_part(int c)
{
    return word_start(c) || digit(c) || c == '.';
}

/* The word that comes next, without taking it; empty when something else does. */
static struct str next_word(struct parser *p)
{
    blanks(p);
    size_t size = 0;
    if (word_start(peek(p, 0))) {
        while (word_part(peek(p, size))) size++;
    }
    return str_from(p->text.data + p->at, size);
}

static bool take_word(struct parser *p, const char *word)
{
    struct str next = next_word(p);
    if (!str_eq_nocase(next, str_of(word))) return false;
    p->at += next.size;
    return true;
}

/* `sign` when it is next, and not the beginning of a longer sign. */
static bool take_sign(struct parser *p, const char *sign)
{
    blanks(p);
    size_t size = strlen(sign);
    if (p->text.size - p->at < size || memcmp(p->text.data + p->at, sign, size) != 0) return false;
    if (size == 1 && strchr("<>=!", *sign) && peek(p, 1) == '=') return false;
    p->at += size;
    return true;
}

static bool one_of(struct str word, const char *const *words)
{
    for (; *words; words++) {
        if (str_eq_nocase(word, str_of(*words))) return true;
    }
    return false;
}

static bool is_keyword(struct str word)
{
    static const char *const keywords[] = {"and", "or", "not", "in", "true", "false", "null", "undefined", NULL};
    return one_of(word, keywords);
}

static bool is_root(struct str word)
{
    static const char *const roots[] = {"properties", "event", "user", "behaviors", NULL};
    return one_of(word, roots);
}

/* --- literals ----------------------------------------------------------------------------------------- */

static bool hex4(struct parser *p, uint32_t *ret_unit)
{
    uint32_t unit = 0;
    for (size_t i = 0; i < 4; i++) {
        int c = peek(p, i);
        if (c < 0 || c >= 0x80 || !isxdigit(c)) return false;
        unit = unit * 16 + (uint32_t)(digit(c) ? c - '0' : tolower(c) - 'a' + 10);
    }
    p->at += 4;
    *ret_unit = unit;
    return true;
}

/* After `\u`. */
static bool unicode_escape(struct parser *p, uint32_t *ret_code_point)
{
    uint32_t high, low;
    if (!hex4(p, &high)) return false;
    *ret_code_point = high;
    if (high < 0xD800 || high > 0xDFFF) return true;
    if (high > 0xDBFF || peek(p, 0) != '\\' || peek(p, 1) != 'u') return false;
    p->at += 2;
    if (!hex4(p, &low) || low < 0xDC00 || low > 0xDFFF) return false;
    *ret_code_point = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

static bool parse_string(struct parser *p, struct str *ret_text)
{
    blanks(p);
    int quote = peek(p, 0);
    if (quote != '"' && quote != '\'') return false;
    char *text = ref_alloc(p->arena, p->text.size);
    size_t size = 0;
    p->at++;
    while (peek(p, 0) != quote) {
        int c = peek(p, 0), next = peek(p, 1);
        uint32_t code_point;
        if (c < 0) return false;
        p->at++;
        if (c != '\\' || next < 0) {
            text[size++] = (char)c;
            continue;
        }
        p->at++;
        switch (next) {
        case '"':
        case '\'':
        case '\\':
        case '/': text[size++] = (char)next; break;
        case 'n': text[size++] = '\n'; break;
        case 't': text[size++] = '\t'; break;
        case 'r': text[size++] = '\r'; break;
        case 'u':
            if (!unicode_escape(p, &code_point)) return false;
            size += utf8_encode(code_point, text + size);
            break;
        default:
            text[size++] = '\\';
            text[size++] = (char)next;
            break;
        }
    }
    p->at++;
    *ret_text = str_from(text, size);
    return true;
}

static struct ref_node *parse_number(struct parser *p)
{
    size_t start = p->at;
    while (digit(peek(p, 0))) p->at++;
    if (peek(p, 0) == '.') {
        p->at++;
        while (digit(peek(p, 0))) p->at++;
    }
    if (peek(p, 0) == 'e' || peek(p, 0) == 'E') {
        size_t sign = peek(p, 1) == '+' || peek(p, 1) == '-' ? 2 : 1;
        if (digit(peek(p, sign))) {
            p->at += sign;
            while (digit(peek(p, 0))) p->at++;
        }
    }
    if (word_part(peek(p, 0))) return fail(p);
    struct str text = str_slice(p->text, start, p->at);
    struct ref_node *node = node_new(p, REF_LITERAL);
    node->value = ref_number_from_text(p->arena, text);
    return node->value.type == REF_NUMBER ? node : fail(p);
}

/* --- functions ---------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t min, max;
} functions[] = {
    {"defined", 1, 1},       {"if", 3, 3},
    {"ifs", 2, 200},         {"string", 1, 2},
    {"number", 1, 2},        {"boolean", 1, 2},
    {"min", 2, SIZE_MAX},    {"max", 2, SIZE_MAX},
    {"floor", 1, 1},         {"ceil", 1, 1},
    {"round", 1, 1},         {"len", 1, 1},
    {"left", 2, 2},          {"right", 2, 2},
    {"mid", 3, 3},           {"upper", 1, 1},
    {"lower", 1, 1},         {"has_prefix", 2, 2},
    {"has_suffix", 2, 2},    {"split", 2, 3},
    {"regex_match", 2, 2},   {"regex_extract", 2, 3},
    {"regex_replace", 3, 3}, {"parse_url", 2, 2},
    {"datetime", 1, 1},      {"datedif", 3, 3},
    {"today", 0, 0},         {"sum", 1, 1},
};

static bool arguments_fit(const struct ref_node *call)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!str_eq(call->name, str_of(functions[i].name))) continue;
        if (str_is(call->name, "ifs") && call->count % 2) return false;
        return call->count >= functions[i].min && call->count <= functions[i].max;
    }
    return false;
}

static bool parse_bound_name(struct parser *p, struct str *ret_name)
{
    struct str name = next_word(p);
    if (name.size == 0 || is_keyword(name) || is_root(name) || p->name_count == 256) return false;
    p->at += name.size;
    *ret_name = name;
    return true;
}

/* any(X, list, body): X is visible in the body alone. */
static struct ref_node *parse_over_list(struct parser *p, struct ref_node *call)
{
    if (!parse_bound_name(p, &call->bound[0]) || !take_sign(p, ",")) return fail(p);
    add_part(p, call, parse_expr(p));
    if (p->failed || !take_sign(p, ",")) return fail(p);
    p->names[p->name_count++] = call->bound[0];
    add_part(p, call, parse_expr(p));
    p->name_count--;
    return p->failed || !take_sign(p, ")") ? fail(p) : call;
}

/* let(name, value, …, expr): a name is visible in what comes after its value. */
static struct ref_node *parse_let(struct parser *p, struct ref_node *call)
{
    size_t names = p->name_count;
    for (;;) {
        /* A name followed by a comma begins another pair; the first pair has to be there. */
        size_t start = p->at;
        struct str name;
        bool pair = call->count < 127 && parse_bound_name(p, &name) && take_sign(p, ",");
        if (!pair && call->count == 0) return fail(p);
        if (!pair) {
            p->at = start;
            add_part(p, call, parse_expr(p));
            p->name_count = names;
            return p->failed || !take_sign(p, ")") ? fail(p) : call;
        }
        call->bound[call->count] = name;
        add_part(p, call, parse_expr(p));
        if (p->failed || !take_sign(p, ",")) return fail(p);
        p->names[p->name_count++] = name;
    }
}

static struct ref_node *parse_call(struct parser *p, struct str name)
{
    struct ref_node *call = node_new(p, REF_CALL);
    char *lower = ref_alloc(p->arena, name.size);
    for (size_t i = 0; i < name.size; i++)
        lower[i] = name.data[i] >= 'A' && name.data[i] <= 'Z' ? (char)(name.data[i] + 32) : name.data[i];
    call->name = str_from(lower, name.size);
    if (!take_sign(p, "(")) return fail(p);
    if (str_is(call->name, "any") || str_is(call->name, "all") || str_is(call->name, "map") ||
        str_is(call->name, "filter"))
        return parse_over_list(p, call);
    if (str_is(call->name, "let")) return parse_let(p, call);
    if (!take_sign(p, ")")) {
        do add_part(p, call, parse_expr(p));
        while (!p->failed && take_sign(p, ","));
        if (p->failed || !take_sign(p, ")")) return fail(p);
    }
    return arguments_fit(call) ? call : fail(p);
}

/* --- grammar ------------------------------------------------------------------------------------------ */

static struct ref_node *parse_root(struct parser *p, struct str root)
{
    bool property = str_eq_nocase(root, STR("properties")) || str_eq_nocase(root, STR("event")) ||
                    str_eq_nocase(root, STR("group"));
    bool user = str_eq_nocase(root, STR("user"));
    struct ref_node *node = node_new(p, property ? REF_PROPERTY : user ? REF_USER : REF_OTHER_ROOT);
    if (!take_sign(p, "[") || !parse_string(p, &node->name) || !take_sign(p, "]")) return fail(p);
    return node;
}

static struct ref_node *parse_word(struct parser *p, struct str word)
{
    struct ref_node *node = node_new(p, REF_LITERAL);
    p->at += word.size;
    if (str_eq_nocase(word, STR("true")))
        node->value = ref_bool(true);
    else if (str_eq_nocase(word, STR("false")))
        node->value = ref_bool(false);
    else if (str_eq_nocase(word, STR("null")))
        node->value.type = REF_NULL;
    else if (str_eq_nocase(word, STR("undefined")))
        node->value.type = REF_UNDEFINED;
    else if (is_keyword(word))
        return fail(p);
    else if (is_root(word))
        return parse_root(p, word);
    else {
        blanks(p);
        if (peek(p, 0) == '(') return parse_call(p, word);
        node->kind = REF_NAME;
        node->name = word;
        for (size_t i = 0; i < p->name_count; i++) {
            if (str_eq(p->names[i], word)) return node;
        }
        if (str_eq_nocase(word, STR("group")) && peek(p, 0) == '[') return parse_root(p, word);
        node->kind = REF_LITERAL; /* an unknown name */
        node->value.type = REF_UNDEFINED;
    }
    return node;
}

static struct ref_node *parse_primary(struct parser *p)
{
    struct str word = next_word(p), text;
    struct ref_node *node;
    if (word.size) return parse_word(p, word);
    if (digit(peek(p, 0)) || (peek(p, 0) == '.' && digit(peek(p, 1)))) return parse_number(p);
    if (take_sign(p, "(")) {
        node = parse_expr(p);
        return p->failed || !take_sign(p, ")") ? fail(p) : node;
    }
    if (take_sign(p, "[")) {
        node = node_new(p, REF_LIST_LITERAL);
        if (take_sign(p, "]")) return node;
        do add_part(p, node, parse_expr(p));
        while (!p->failed && take_sign(p, ","));
        return p->failed || !take_sign(p, "]") ? fail(p) : node;
    }
    if (!parse_string(p, &text)) return fail(p);
    node = node_new(p, REF_LITERAL);
    node->value = ref_string(text);
    return node;
}

static struct ref_node *parse_postfix(struct parser *p)
{
    struct ref_node *node = parse_primary(p);
    while (!p->failed && take_sign(p, "[")) {
        struct ref_node *index = node_new(p, REF_INDEX);
        add_part(p, index, node);
        add_part(p, index, parse_expr(p));
        if (p->failed || !take_sign(p, "]")) return fail(p);
        node = index;
    }
    return node;
}

static struct ref_node *parse_unary(struct parser *p)
{
    if (!take_sign(p, "-")) return parse_postfix(p);
    blanks(p);
    bool at_digits = digit(peek(p, 0)) || peek(p, 0) == '.';
    struct ref_node *operand = parse_unary(p), *node = node_new(p, REF_NEGATIVE);
    if (at_digits && operand->kind == REF_LITERAL && operand->value.text.data) { /* a literal of many digits */
        operand->value = ref_number_from_text(p->arena, ref_join(p->arena, STR("-"), operand->value.text));
        return operand;
    }
    add_part(p, node, operand);
    return node;
}

static struct ref_node *binary(struct parser *p, const char *name, struct ref_node *left, struct ref_node *right)
{
    struct ref_node *node = node_new(p, REF_OPERATOR);
    node->name = str_of(name);
    add_part(p, node, left);
    add_part(p, node, right);
    return node;
}

static struct ref_node *parse_mul(struct parser *p)
{
    struct ref_node *left = parse_unary(p);
    for (;;) {
        if (p->failed) return left;
        if (take_sign(p, "*"))
            left = binary(p, "*", left, parse_unary(p));
        else if (take_sign(p, "/"))
            left = binary(p, "/", left, parse_unary(p));
        else if (take_sign(p, "%"))
            left = binary(p, "%", left, parse_unary(p));
        else
            return left;
    }
}

static struct ref_node *parse_add(struct parser *p)
{
    struct ref_node *left = parse_mul(p);
    for (;;) {
        if (p->failed) return left;
        if (take_sign(p, "+"))
            left = binary(p, "+", left, parse_mul(p));
        else if (take_sign(p, "-"))
            left = binary(p, "-", left, parse_mul(p));
        else
            return left;
    }
}

static struct ref_node *parse_cmp(struct parser *p)
{
    static const char *const signs[] = {"==", "!=", "<=", ">=", "<", ">", "="};
    struct ref_node *left = parse_add(p);
    if (p->failed) return left;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (take_sign(p, signs[i])) return binary(p, strcmp(signs[i], "=") == 0 ? "==" : signs[i], left, parse_add(p));
    }
    if (take_word(p, "in")) return binary(p, "in", left, parse_add(p));
    size_t start = p->at;
    if (take_word(p, "not") || take_sign(p, "!")) {
        if (take_word(p, "in")) {
            struct ref_node *negated = node_new(p, REF_NOT);
            add_part(p, negated, binary(p, "in", left, parse_add(p)));
            return negated;
        }
        p->at = start;
    }
    return left;
}

static struct ref_node *parse_not(struct parser *p)
{
    if (!take_word(p, "not") && !take_sign(p, "!")) return parse_cmp(p);
    struct ref_node *node = node_new(p, REF_NOT);
    add_part(p, node, parse_not(p));
    return node;
}

static struct ref_node *parse_and(struct parser *p)
{
    struct ref_node *node = node_new(p, REF_AND);
    do add_part(p, node, parse_not(p));
    while (!p->failed && (take_word(p, "and") || take_sign(p, "&&")));
    return node->count == 1 ? node->parts[0] : node;
}

static struct ref_node *parse_expr(struct parser *p)
{
    struct ref_node *node = node_new(p, REF_OR);
    do add_part(p, node, parse_and(p));
    while (!p->failed && (take_word(p, "or") || take_sign(p, "||")));
    return node->count == 1 ? node->parts[0] : node;
}

struct ref_node *ref_parse(struct arena *arena, struct str text, bool bare)
{
    if (!utf8_valid(text.data, text.size)) return NULL;
    struct parser *p = ref_alloc(arena, sizeof *p);
    p->arena = arena;
    p->text = text;
    if (bare) {
        struct str word = next_word(p);
        p->at += word.size;
        blanks(p);
        if (word.size && p->at == text.size && !is_keyword(word)) {
            struct ref_node *node = node_new(p, REF_PROPERTY);
            node->name = word;
            return node;
        }
        p->at = 0;
    }
    struct ref_node *tree = parse_expr(p);
    if (p->failed) return NULL;
    blanks(p);
    return p->at == text.size ? tree : NULL;
}
