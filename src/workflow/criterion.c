#include "workflow/criterion.h"

#include "base/number.h"
#include "base/utf8.h"

#include <stdio.h>

#define DEPTH_MAX 64
#define NODES_MAX 1000
#define SHOWN_MAX 120 /* bytes of the condition in a message */

enum node_kind {
    NODE_OR,
    NODE_AND,
    NODE_NOT,
    NODE_COMPARE,
    NODE_ACCESS, /* left, then path */
    NODE_LITERAL,
    NODE_EXPRESSION,
};

enum comparison { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };

struct node {
    enum node_kind kind;
    enum comparison comparison;
    struct node *left, *right;
    struct json literal;
    struct str path;
    struct expression expression;
};

struct criterion {
    struct node *root;
};

struct parser {
    struct arena *arena;
    struct error *error;
    struct str text;
    size_t at;
    unsigned depth, nodes;
};

static enum status fail(struct parser *p, const char *what)
{
    bool cut = p->text.size > SHOWN_MAX;
    size_t size = cut ? utf8_cut(p->text.data, p->text.size, SHOWN_MAX) : p->text.size;
    error_set(p->error, STATUS_INVALID, "condition \"%.*s%s\": %s", (int)size, p->text.data, cut ? "..." : "", what);
    error_position(p->error, 0, (unsigned)p->at + 1);
    return STATUS_INVALID;
}

static void skip_blanks(struct parser *p)
{
    while (p->at < p->text.size && strchr(" \t\r\n", p->text.data[p->at]) && p->text.data[p->at]) p->at++;
}

static bool take(struct parser *p, struct str token)
{
    skip_blanks(p);
    if (!str_starts(str_slice(p->text, p->at, p->text.size), token)) return false;
    p->at += token.size;
    return true;
}

static enum status new_node(struct parser *p, enum node_kind kind, struct node *left, struct node *right,
                            struct node **ret_node)
{
    if (p->nodes++ == NODES_MAX) return fail(p, "it is too long");
    struct node *node = arena_calloc(p->arena, 1, sizeof *node);
    if (!node) return error_set(p->error, STATUS_LIMIT, "a condition exceeds the memory budget");
    node->kind = kind;
    node->left = left;
    node->right = right;
    *ret_node = node;
    return STATUS_OK;
}

static bool is_word(char c)
{
    char lower = (char)(c | 0x20);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static enum status parse_quoted(struct parser *p, struct node *node)
{
    char *text = arena_alloc(p->arena, p->text.size - p->at + 1);
    size_t size = 0;
    if (!text) return error_set(p->error, STATUS_LIMIT, "a condition exceeds the memory budget");
    for (p->at++; p->at < p->text.size; p->at++) {
        char c = p->text.data[p->at];
        if (c == '\'') {
            bool doubled = p->at + 1 < p->text.size && p->text.data[p->at + 1] == '\'';
            if (!doubled) {
                p->at++;
                node->literal = json_string((struct str){text, size});
                return STATUS_OK;
            }
            p->at++;
        }
        text[size++] = c;
    }
    return fail(p, "a quote is not closed");
}

/* Words and numbers. Numbers are JSON's, so json_parse keeps their digits. */
static enum status parse_word(struct parser *p, struct node *node)
{
    size_t from = p->at;
    while (p->at < p->text.size &&
           (is_word(p->text.data[p->at]) || p->text.data[p->at] == '.' || p->text.data[p->at] == '+'))
        p->at++;
    struct str word = str_slice(p->text, from, p->at);
    char first = word.size ? word.data[0] : 0;
    if ((first >= '0' && first <= '9') || first == '-') {
        if (json_parse(p->arena, word, NULL, NULL, &node->literal) == STATUS_OK && json_is_number(&node->literal))
            return STATUS_OK;
        p->at = from;
        return fail(p, "malformed number");
    }
    struct json literal = {.type = JSON_NULL};
    if (str_is(word, "true") || str_is(word, "false"))
        literal = json_bool(first == 't');
    else if (!str_is(word, "null")) {
        p->at = from;
        return fail(p, from == p->text.size ? "a value is missing"
                                            : "expected a $expression, 'text', a number, true, false or null");
    }
    node->literal = literal;
    return STATUS_OK;
}

/* `{$statusCode}`: an expression as it is embedded in texts. */
static enum status parse_embedded(struct parser *p, struct node *node)
{
    size_t close = str_find_byte(p->text, '}', p->at), size;
    struct error error = ERROR_INIT;
    if (close == SIZE_MAX) return fail(p, "a brace is not closed");
    node->kind = NODE_EXPRESSION;
    if (expression_parse(str_slice(p->text, p->at + 1, close), EXPRESSION_EMBEDDED, &error, &node->expression, &size) !=
        STATUS_OK)
        return fail(p, "malformed expression in braces");
    p->at = close + 1;
    return STATUS_OK;
}

static enum status parse_or(struct parser *p, struct node **ret_node);

static enum status parse_operand(struct parser *p, struct node **ret_node)
{
    struct node *node = NULL;
    if (take(p, STR("("))) {
        TRY(parse_or(p, &node));
        if (!take(p, STR(")"))) return fail(p, "a parenthesis is not closed");
    } else {
        TRY(new_node(p, NODE_LITERAL, NULL, NULL, &node));
        char c = p->at < p->text.size ? p->text.data[p->at] : 0;
        if (c == '{' && p->at + 1 < p->text.size && p->text.data[p->at + 1] == '$') {
            TRY(parse_embedded(p, node));
        } else if (c == '$') {
            size_t size;
            struct error error = ERROR_INIT;
            node->kind = NODE_EXPRESSION;
            if (expression_parse(str_slice(p->text, p->at, p->text.size), EXPRESSION_CONDITION, &error,
                                 &node->expression, &size) != STATUS_OK) {
                size_t at = p->at;
                p->at += error.column ? error.column - 1 : 0;
                char what[128];
                size_t colon = str_find(str_of(error.primary), STR("expression: "), 0);
                snprintf(what, sizeof what, "malformed expression: %.90s",
                         colon == SIZE_MAX ? "" : error.primary + colon + strlen("expression: "));
                if (p->at > p->text.size) p->at = at;
                return fail(p, what);
            }
            p->at += size;
        } else if (c == '\'') {
            TRY(parse_quoted(p, node));
        } else {
            TRY(parse_word(p, node));
        }
    }
    size_t from = p->at;
    while (p->at < p->text.size && (p->text.data[p->at] == '.' || p->text.data[p->at] == '[')) {
        bool index = p->text.data[p->at++] == '[';
        size_t start = p->at;
        while (p->at < p->text.size && is_word(p->text.data[p->at])) p->at++;
        if (p->at == start) return fail(p, "a member or index is missing");
        if (index && !take(p, STR("]"))) return fail(p, "a bracket is not closed");
    }
    if (p->at > from) {
        struct node *access;
        TRY(new_node(p, NODE_ACCESS, node, NULL, &access));
        access->path = str_slice(p->text, from, p->at);
        node = access;
    }
    *ret_node = node;
    return STATUS_OK;
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

static enum status parse_comparison(struct parser *p, struct node **ret_node)
{
    struct node *left = NULL, *right = NULL, *node = NULL;
    enum comparison comparison;
    TRY(parse_operand(p, &left));
    if (!take_comparison(p, &comparison)) {
        *ret_node = left;
        return STATUS_OK;
    }
    TRY(parse_operand(p, &right));
    TRY(new_node(p, NODE_COMPARE, left, right, &node));
    node->comparison = comparison;
    if (take_comparison(p, &comparison)) return fail(p, "comparisons cannot be chained");
    *ret_node = node;
    return STATUS_OK;
}

static enum status parse_unary(struct parser *p, struct node **ret_node)
{
    skip_blanks(p);
    bool negated = p->at < p->text.size && p->text.data[p->at] == '!' &&
                   !(p->at + 1 < p->text.size && p->text.data[p->at + 1] == '=');
    if (!negated) return parse_comparison(p, ret_node);
    p->at++;
    if (++p->depth > DEPTH_MAX) return fail(p, "it is nested too deeply");
    struct node *operand = NULL;
    TRY(parse_unary(p, &operand));
    p->depth--;
    return new_node(p, NODE_NOT, operand, NULL, ret_node);
}

static enum status parse_and(struct parser *p, struct node **ret_node)
{
    struct node *node = NULL, *right = NULL;
    TRY(parse_unary(p, &node));
    while (take(p, STR("&&"))) {
        TRY(parse_unary(p, &right));
        TRY(new_node(p, NODE_AND, node, right, &node));
    }
    *ret_node = node;
    return STATUS_OK;
}

static enum status parse_or(struct parser *p, struct node **ret_node)
{
    struct node *node = NULL, *right = NULL;
    if (++p->depth > DEPTH_MAX) return fail(p, "it is nested too deeply");
    TRY(parse_and(p, &node));
    while (take(p, STR("||"))) {
        TRY(parse_and(p, &right));
        TRY(new_node(p, NODE_OR, node, right, &node));
    }
    p->depth--;
    *ret_node = node;
    return STATUS_OK;
}

enum status criterion_compile(struct arena *arena, struct str condition, struct error *error,
                              struct criterion **ret_criterion)
{
    struct parser p = {.arena = arena, .error = error, .text = condition};
    struct criterion *criterion = arena_calloc(arena, 1, sizeof *criterion);
    if (!criterion) return error_set(error, STATUS_LIMIT, "a condition exceeds the memory budget");
    TRY(parse_or(&p, &criterion->root));
    skip_blanks(&p);
    if (p.at < condition.size) return fail(&p, "unexpected text after it");
    *ret_criterion = criterion;
    return STATUS_OK;
}

static bool truthy(const struct json *value)
{
    switch (value->type) {
    case JSON_NULL: return false;
    case JSON_BOOL: return value->boolean;
    case JSON_INT: return value->integer != 0;
    case JSON_DOUBLE: return value->number != 0;
    case JSON_STRING: return value->string.size > 0;
    default: return true;
    }
}

static int compare_nocase(struct str a, struct str b)
{
    for (size_t i = 0; i < a.size && i < b.size; i++) {
        unsigned char x = (unsigned char)a.data[i], y = (unsigned char)b.data[i];
        if (x >= 'A' && x <= 'Z') x |= 0x20;
        if (y >= 'A' && y <= 'Z') y |= 0x20;
        if (x != y) return x < y ? -1 : 1;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

/* A string beside a number becomes a number where it is one. */
static struct json beside(const struct json *value, const struct json *other)
{
    double number;
    int64_t integer;
    if (value->type != JSON_STRING || !json_is_number(other)) return *value;
    struct str text = str_trim(value->string);
    if (number_parse_int(text, &integer)) return json_int(integer);
    return number_parse(text, &number) ? json_number(number) : *value;
}

static void compare_values(const struct json *left, const struct json *right, bool *ret_equal, int *ret_order,
                           bool *ret_ordered)
{
    struct json a = beside(left, right), b = beside(right, left);
    *ret_order = 0;
    *ret_ordered = true;
    if (json_is_number(&a) && json_is_number(&b)) {
        *ret_equal = json_equal(&a, &b);
        *ret_order = json_cmp_number(&a, &b);
        return;
    }
    if (a.type == JSON_STRING && b.type == JSON_STRING) {
        *ret_order = compare_nocase(a.string, b.string);
        *ret_equal = *ret_order == 0;
        return;
    }
    *ret_ordered = false;
    *ret_equal = json_equal(&a, &b);
}

static bool compare(enum comparison comparison, const struct json *left, const struct json *right)
{
    bool equal = false, ordered = false;
    int order = 0;
    compare_values(left, right, &equal, &order, &ordered);
    switch (comparison) {
    case EQUAL: return equal;
    case NOT_EQUAL: return !equal;
    case LESS: return ordered && order < 0;
    case LESS_EQUAL: return ordered && order <= 0;
    case GREATER: return ordered && order > 0;
    default: return ordered && order >= 0;
    }
}

/* The tree's height is bounded: by DEPTH_MAX where it nests and by NODES_MAX along chains of && and ||. */
static enum status evaluate(struct arena *arena, const struct node *node, const struct expression_context *context,
                            struct error *error, struct json *ret_value)
{
    struct json left = json_null(), right = json_null();
    const struct json *value = NULL;
    switch (node->kind) {
    case NODE_LITERAL: *ret_value = node->literal; return STATUS_OK;
    case NODE_EXPRESSION:
        TRY(expression_evaluate(arena, context, &node->expression, error, &value));
        *ret_value = value ? *value : json_null();
        return STATUS_OK;
    case NODE_ACCESS:
        TRY(evaluate(arena, node->left, context, error, &left));
        value = expression_access(&left, node->path);
        *ret_value = value ? *value : json_null();
        return STATUS_OK;
    case NODE_NOT:
        TRY(evaluate(arena, node->left, context, error, &left));
        *ret_value = json_bool(!truthy(&left));
        return STATUS_OK;
    case NODE_COMPARE:
        TRY(evaluate(arena, node->left, context, error, &left));
        TRY(evaluate(arena, node->right, context, error, &right));
        *ret_value = json_bool(compare(node->comparison, &left, &right));
        return STATUS_OK;
    default:
        TRY(evaluate(arena, node->left, context, error, &left));
        if (truthy(&left) == (node->kind == NODE_OR)) {
            *ret_value = json_bool(node->kind == NODE_OR);
            return STATUS_OK;
        }
        TRY(evaluate(arena, node->right, context, error, &right));
        *ret_value = json_bool(truthy(&right));
        return STATUS_OK;
    }
}

enum status criterion_evaluate(struct arena *arena, const struct criterion *criterion,
                               const struct expression_context *context, struct error *error, bool *ret_holds)
{
    struct json value = json_null();
    TRY(evaluate(arena, criterion->root, context, error, &value));
    *ret_holds = truthy(&value);
    return STATUS_OK;
}

static void each(const struct node *node, expression_found found, void *ctx)
{
    if (!node) return;
    if (node->kind == NODE_EXPRESSION) found(ctx, &node->expression);
    each(node->left, found, ctx);
    each(node->right, found, ctx);
}

void criterion_each(const struct criterion *criterion, expression_found found, void *ctx)
{
    each(criterion->root, found, ctx);
}

struct explanation {
    struct arena *arena;
    const struct expression_context *context;
    struct buf *buf;
    size_t start;
};

static void explain(void *ctx, const struct expression *expression)
{
    struct explanation *x = ctx;
    const struct json *value = NULL;
    struct error error = ERROR_INIT;
    if (x->buf->size > x->start) buf_lit(x->buf, ", ");
    buf_str_add(x->buf, expression->text);
    if (expression_evaluate(x->arena, x->context, expression, &error, &value) != STATUS_OK) {
        buf_lit(x->buf, ": ");
        buf_str_add(x->buf, str_of(error.primary));
        return;
    }
    if (!value) {
        buf_lit(x->buf, " has no value");
        return;
    }
    struct buf text = BUF_INIT((size_t)64 << 20);
    json_write(&text, value);
    buf_lit(x->buf, " was ");
    buf_str_add(x->buf, str_slice(buf_str(&text), 0, utf8_cut(text.data, text.size, 200)));
    if (text.size > 200) buf_lit(x->buf, "...");
    buf_fini(&text);
}

void criterion_explain(struct arena *arena, const struct criterion *criterion, const struct expression_context *context,
                       struct buf *buf)
{
    struct explanation x = {arena, context, buf, buf->size};
    criterion_each(criterion, explain, &x);
}
