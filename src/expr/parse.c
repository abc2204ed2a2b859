#include "expr/ast.h"

#include <stdio.h>

#include "base/utf8.h"
#include "expr/function.h"
#include "expr/join.h"
#include "expr/lex.h"

/*
 * Precedence climbing with one token of look-ahead (two for `not in`). Recursion happens only for what stands inside
 * something else: brackets, calls, prefix operators and right operands, all counted against EXPR_DEPTH_MAX; chains of
 * operators are loops. Names are resolved while parsing, against a list of scopes that grows and shrinks with the
 * nesting.
 */

enum level { LEVEL_OR = 1, LEVEL_AND, LEVEL_NOT, LEVEL_COMPARE, LEVEL_ADD, LEVEL_MULTIPLY };

struct parser {
    struct lexer lexer;
    struct token token; /* not consumed yet */
    struct arena *arena;
    struct error *error;
    const struct expr_options *options;
    struct binding *scope; /* innermost first */
    struct expr_column *columns;
    size_t column_count, column_capacity;
    unsigned depth;
};

/* A list of nodes that grows in the arena. */
struct nodes {
    struct node **items;
    uint32_t count, capacity;
};

static enum status no_memory(struct parser *parser)
{
    error_set(parser->error, STATUS_LIMIT, "expression needs too much memory");
    return STATUS_LIMIT;
}

static enum status advance(struct parser *parser)
{
    return expr_lex(&parser->lexer, parser->error, &parser->token);
}

static struct str token_text(const struct parser *parser, const struct token *token)
{
    return str_slice(parser->lexer.text, token->at, token->at + token->size);
}

#define QUOTE_BYTES_MAX 40

static int quote_size(struct str s)
{
    return (int)utf8_cut(s.data, s.size, QUOTE_BYTES_MAX);
}

static enum status unexpected(struct parser *parser)
{
    const struct token *token = &parser->token;
    if (token->kind == TOKEN_END) return expr_error_at(parser->error, token->at, "expression ends too early");
    struct str text = token_text(parser, token);
    size_t from = token->at > 12 ? token->at - 12 : 0;
    while (from < token->at && ((unsigned char)parser->lexer.text.data[from] & 0xC0) == 0x80) from++;
    struct str around = str_slice(parser->lexer.text, from, SIZE_MAX);
    return expr_error_at(parser->error, token->at, "unexpected \"%.*s\" near \"%.*s\"", quote_size(text), text.data,
                         quote_size(around), around.data);
}

static enum status expect(struct parser *parser, enum token_kind kind, const char *what)
{
    if (parser->token.kind == kind) return advance(parser);
    unexpected(parser);
    error_hint(parser->error, "%s is expected here", what);
    return STATUS_INVALID;
}

static enum status enter(struct parser *parser)
{
    if (++parser->depth <= EXPR_DEPTH_MAX) return STATUS_OK;
    error_set(parser->error, STATUS_LIMIT, "expression is nested deeper than %d levels", EXPR_DEPTH_MAX);
    error_position(parser->error, 0, parser->token.at + 1);
    return STATUS_LIMIT;
}

static enum status nodes_add(struct parser *parser, struct nodes *nodes, struct node *node)
{
    if (nodes->count == nodes->capacity) {
        if (nodes->count >= EXPR_ITEMS_MAX) {
            error_set(parser->error, STATUS_LIMIT, "list has more than %d items", EXPR_ITEMS_MAX);
            error_position(parser->error, 0, node->at + 1);
            return STATUS_LIMIT;
        }
        uint32_t capacity = nodes->capacity ? nodes->capacity * 2 : 4;
        if (capacity > EXPR_ITEMS_MAX) capacity = EXPR_ITEMS_MAX;
        struct node **items =
            arena_realloc(parser->arena, nodes->items, nodes->capacity * sizeof *items, capacity * sizeof *items);
        if (!items) return no_memory(parser);
        nodes->items = items;
        nodes->capacity = capacity;
    }
    nodes->items[nodes->count++] = node;
    return STATUS_OK;
}

static enum status node_new(struct parser *parser, enum node_kind kind, uint32_t at, struct node **ret_node)
{
    struct node *node = arena_calloc(parser->arena, 1, sizeof *node);
    if (!node) return no_memory(parser);
    node->kind = kind;
    node->at = at;
    *ret_node = node;
    return STATUS_OK;
}

static enum status constant_new(struct parser *parser, uint32_t at, struct value value, struct node **ret_node)
{
    TRY(node_new(parser, NODE_CONSTANT, at, ret_node));
    (*ret_node)->value = value;
    return STATUS_OK;
}

static enum status call_new(struct parser *parser, const struct function *function, uint32_t at,
                            const struct nodes *args, struct node **ret_node)
{
    struct node *node;
    TRY(node_new(parser, NODE_CALL, at, &node));
    node->function = function;
    node->args = args->items;
    node->count = args->count;
    for (uint32_t i = 0; i < args->count; i++) {
        if (args->items[i]->height > node->height) node->height = args->items[i]->height;
    }
    if (++node->height > EXPR_HEIGHT_MAX) {
        error_set(parser->error, STATUS_LIMIT, "expression has more than %d operators on top of each other",
                  EXPR_HEIGHT_MAX);
        error_position(parser->error, 0, at + 1);
        return STATUS_LIMIT;
    }
    *ret_node = node;
    return STATUS_OK;
}

/* A call of an operator's row, which exists. */
static enum status operator_new(struct parser *parser, const char *name, uint32_t at, struct node *left,
                                struct node *right, struct node **ret_node)
{
    struct nodes args = {0};
    TRY(nodes_add(parser, &args, left));
    if (right) TRY(nodes_add(parser, &args, right));
    return call_new(parser, expr_function(str_of(name), true), at, &args, ret_node);
}

static enum status column_new(struct parser *parser, uint32_t at, struct expr_column column, struct node **ret_node)
{
    size_t index = 0;
    while (index < parser->column_count &&
           (parser->columns[index].root != column.root || !str_eq(parser->columns[index].name, column.name))) {
        index++;
    }
    if (index == parser->column_count) {
        if (index == parser->column_capacity) {
            size_t capacity = index ? index * 2 : 4;
            struct expr_column *columns =
                arena_realloc(parser->arena, parser->columns, index * sizeof *columns, capacity * sizeof *columns);
            if (!columns) return no_memory(parser);
            parser->columns = columns;
            parser->column_capacity = capacity;
        }
        column.name = arena_str(parser->arena, column.name);
        if (!column.name.data) return no_memory(parser);
        parser->columns[parser->column_count++] = column;
    }
    TRY(node_new(parser, NODE_COLUMN, at, ret_node));
    (*ret_node)->column = (uint32_t)index;
    if (column.root == EXPR_PROPERTY)
        (*ret_node)->join = expr_join_of(parser->options->joins, parser->options->join_count, column.name);
    return STATUS_OK;
}

static enum status parse_level(struct parser *parser, enum level level, struct node **ret_node);

static enum status parse_nested(struct parser *parser, struct node **ret_node)
{
    TRY(enter(parser));
    TRY(parse_level(parser, LEVEL_OR, ret_node));
    parser->depth--;
    return STATUS_OK;
}

/* properties["x"] and its like; the root is consumed already. */
static enum status parse_root(struct parser *parser, struct token root, struct node **ret_node)
{
    struct str name = token_text(parser, &root);
    bool event = str_eq_nocase(name, STR("event")), profiles = parser->options->profiles;
    if (parser->token.kind != TOKEN_LBRACKET) {
        expr_error_at(parser->error, root.at, "\"%.*s\" needs a property name", (int)name.size, name.data);
        error_hint(parser->error, "write %.*s[\"name\"]", (int)name.size, name.data);
        return STATUS_INVALID;
    }
    TRY(advance(parser));
    struct token key = parser->token;
    if (key.kind == TOKEN_STRING) TRY(advance(parser));
    if (key.kind != TOKEN_STRING || parser->token.kind != TOKEN_RBRACKET) {
        expr_error_at(parser->error, key.at, "the name after \"%.*s\" must be a string, not an expression",
                      (int)name.size, name.data);
        error_hint(parser->error, "write %.*s[\"name\"]", (int)name.size, name.data);
        return STATUS_INVALID;
    }
    TRY(advance(parser));
    if (event && profiles) return constant_new(parser, root.at, value_absent(), ret_node);
    struct expr_column column = {.root = EXPR_PROPERTY, .name = value_text(key.value)};
    if (str_eq_nocase(name, STR("behaviors")))
        column.root = EXPR_BEHAVIOR;
    else if (str_eq_nocase(name, STR("user")) && !profiles)
        column.root = EXPR_USER;
    return column_new(parser, root.at, column, ret_node);
}

/* Items up to `close`, which is consumed; the opening bracket is consumed already. */
static enum status parse_items(struct parser *parser, enum token_kind close, const char *close_text,
                               struct nodes *items)
{
    if (parser->token.kind == close) return advance(parser);
    for (;;) {
        struct node *item;
        TRY(parse_nested(parser, &item));
        TRY(nodes_add(parser, items, item));
        if (parser->token.kind != TOKEN_COMMA) return expect(parser, close, close_text);
        TRY(advance(parser));
    }
}

/* The name that let or a lambda binds, and the comma after it. The binding is not in scope yet. */
static enum status parse_binding(struct parser *parser, const struct function *function, struct binding **ret_binding)
{
    struct token name = parser->token;
    if (name.kind != TOKEN_WORD) {
        unexpected(parser);
        error_hint(parser->error, "%s needs a name here, such as X", function->name);
        return STATUS_INVALID;
    }
    TRY(advance(parser));
    TRY(expect(parser, TOKEN_COMMA, "a comma"));
    struct binding *binding = arena_calloc(parser->arena, 1, sizeof *binding);
    if (!binding) return no_memory(parser);
    binding->name = token_text(parser, &name);
    binding->operand = OPERAND_NONE;
    *ret_binding = binding;
    return STATUS_OK;
}

/* let(name, value, …, expr) and any(X, list, cond); the opening parenthesis is consumed already. */
static enum status parse_binding_call(struct parser *parser, const struct function *function, uint32_t at,
                                      struct node **ret_node)
{
    struct nodes args = {0};
    struct binding *first = NULL, *last = NULL, *scope = parser->scope;
    struct node *node;
    bool let = function->form == FORM_LET, more;
    TRY(enter(parser));
    do {
        struct binding *binding;
        TRY(parse_binding(parser, function, &binding));
        binding->lambda = !let;
        TRY(parse_nested(parser, &node));
        TRY(nodes_add(parser, &args, node));
        TRY(expect(parser, TOKEN_COMMA, "a comma"));
        if (last)
            last->sibling = binding;
        else
            first = binding;
        last = binding;
        binding->outer = parser->scope;
        parser->scope = binding;
        /* Another pair or the body? Only a word and then a comma begins a pair: a body ends with the parenthesis. */
        struct lexer ahead = parser->lexer;
        struct token next = {.kind = TOKEN_END};
        if (let && parser->token.kind == TOKEN_WORD) TRY(expr_lex(&ahead, parser->error, &next));
        more = next.kind == TOKEN_COMMA;
    } while (more);
    TRY(parse_nested(parser, &node));
    TRY(nodes_add(parser, &args, node));
    TRY(expect(parser, TOKEN_RPAREN, "\")\""));
    parser->scope = scope;
    parser->depth--;
    TRY(call_new(parser, function, at, &args, &node));
    node->binding = first;
    *ret_node = node;
    return STATUS_OK;
}

static enum status check_count(struct parser *parser, const struct function *function, uint32_t at, uint32_t count)
{
    if (count >= function->min && count <= function->max && (function->form != FORM_IFS || count % 2 == 0)) {
        return STATUS_OK;
    }
    char wanted[40];
    if (function->form == FORM_IFS)
        snprintf(wanted, sizeof wanted, "an even number");
    else if (function->min == function->max)
        snprintf(wanted, sizeof wanted, "%u", function->min);
    else if (function->max >= EXPR_ITEMS_MAX)
        snprintf(wanted, sizeof wanted, "at least %u", function->min);
    else
        snprintf(wanted, sizeof wanted, "%u to %u", function->min, function->max);
    return expr_error_at(parser->error, at, "function \"%s\" takes %s argument%s, not %u", function->name, wanted,
                         function->min == 1 && function->max == 1 ? "" : "s", count);
}

/* A function's call; its name is `name`, the current token is the opening parenthesis. */
static enum status parse_call(struct parser *parser, const struct token *name, struct node **ret_node)
{
    struct str text = token_text(parser, name);
    const struct function *function = expr_function(text, false);
    if (!function) {
        const char *near = expr_function_near(text);
        if (!near)
            return expr_error_at(parser->error, name->at, "unknown function \"%.*s\"", quote_size(text), text.data);
        expr_error_at(parser->error, name->at, "unknown function \"%.*s\"", quote_size(text), text.data);
        error_hint(parser->error, "did you mean \"%s\"?", near);
        return STATUS_INVALID;
    }
    TRY(advance(parser));
    switch (function->form) {
    case FORM_LET:
    case FORM_ANY:
    case FORM_ALL:
    case FORM_MAP:
    case FORM_FILTER: return parse_binding_call(parser, function, name->at, ret_node);
    default: break;
    }
    struct nodes args = {0};
    TRY(parse_items(parser, TOKEN_RPAREN, "\",\" or \")\"", &args));
    TRY(check_count(parser, function, name->at, args.count));
    return call_new(parser, function, name->at, &args, ret_node);
}

static enum status parse_word(struct parser *parser, struct node **ret_node)
{
    struct token word = parser->token;
    struct str name = token_text(parser, &word);
    TRY(advance(parser));
    if (parser->token.kind == TOKEN_LPAREN) return parse_call(parser, &word, ret_node);
    for (struct binding *binding = parser->scope; binding; binding = binding->outer) {
        if (!str_eq(binding->name, name)) continue;
        TRY(node_new(parser, NODE_NAME, word.at, ret_node));
        (*ret_node)->binding = binding;
        return STATUS_OK;
    }
    for (size_t i = 0; i < parser->options->input_count; i++) {
        const struct expr_input *input = &parser->options->inputs[i];
        if (str_eq(input->name, name)) return column_new(parser, word.at, input->column, ret_node);
    }
    /* group["company"]: no keyword, so that names may be called so. */
    if (parser->token.kind == TOKEN_LBRACKET && str_eq_nocase(name, STR("group")))
        return parse_root(parser, word, ret_node);
    /* Clients in the wild send names of inputs that they never set. A formula's author mistook a letter. */
    bool refused = parser->options->formula || parser->options->unknown_names_refused;
    if (!refused) return constant_new(parser, word.at, value_absent(), ret_node);
    expr_error_at(parser->error, word.at, "unknown name \"%.*s\"", quote_size(name), name.data);
    if (expr_function(name, false))
        error_hint(parser->error, "a function needs its arguments in parentheses");
    else if (!parser->options->formula)
        error_hint(parser->error, "write properties[\"%.*s\"], or \"%.*s\" for a text", quote_size(name), name.data,
                   quote_size(name), name.data);
    else
        error_hint(parser->error,
                   "a name is a letter of the formula, or bound by let, map or the like; a text is \"%.*s\"",
                   quote_size(name), name.data);
    return STATUS_INVALID;
}

static enum status parse_primary(struct parser *parser, struct node **ret_node)
{
    struct token token = parser->token;
    struct value value = value_absent();
    switch (token.kind) {
    case TOKEN_NUMBER:
    case TOKEN_STRING: value = token.value; break;
    case TOKEN_TRUE: value = value_bool(true); break;
    case TOKEN_FALSE: value = value_bool(false); break;
    case TOKEN_NULL: value = value_null(); break;
    case TOKEN_UNDEFINED: break;
    case TOKEN_ROOT: TRY(advance(parser)); return parse_root(parser, token, ret_node);
    case TOKEN_WORD: return parse_word(parser, ret_node);
    case TOKEN_LPAREN:
        TRY(advance(parser));
        TRY(parse_nested(parser, ret_node));
        return expect(parser, TOKEN_RPAREN, "\")\"");
    case TOKEN_LBRACKET: {
        struct nodes items = {0};
        TRY(advance(parser));
        TRY(parse_items(parser, TOKEN_RBRACKET, "\",\" or \"]\"", &items));
        return call_new(parser, expr_function(STR("[]"), true), token.at, &items, ret_node);
    }
    default: return unexpected(parser);
    }
    TRY(advance(parser));
    return constant_new(parser, token.at, value, ret_node);
}

/* -9223372036854775808 and longer literals are that number, not the nearest double of what stands behind the minus. */
static enum status negate_literal(struct parser *parser)
{
    struct str digits = value_text(parser->token.value);
    char *text = arena_alloc(parser->lexer.arena, digits.size + 1);
    if (!text) return error_set(parser->error, STATUS_LIMIT, "expression needs too much memory");
    text[0] = '-';
    memcpy(text + 1, digits.data, digits.size);
    return expr_number_text(parser->lexer.arena, str_from(text, digits.size + 1), &parser->token.value);
}

static enum status parse_unary(struct parser *parser, struct node **ret_node)
{
    uint32_t at = parser->token.at;
    struct node *node;
    if (parser->token.kind == TOKEN_MINUS) {
        TRY(enter(parser));
        TRY(advance(parser));
        bool literal = parser->token.kind == TOKEN_NUMBER && parser->token.value.type == VALUE_BIGNUM;
        if (literal) TRY(negate_literal(parser));
        TRY(parse_unary(parser, &node));
        parser->depth--;
        if (literal) {
            *ret_node = node;
            return STATUS_OK;
        }
        return operator_new(parser, "unary -", at, node, NULL, ret_node);
    }
    TRY(parse_primary(parser, &node));
    while (parser->token.kind == TOKEN_LBRACKET) {
        struct node *index;
        at = parser->token.at;
        TRY(advance(parser));
        TRY(parse_nested(parser, &index));
        TRY(expect(parser, TOKEN_RBRACKET, "\"]\""));
        bool joined = node->kind == NODE_COLUMN && node->join && index->kind == NODE_CONSTANT;
        joined = joined && index->value.type == VALUE_STRING;
        TRY(operator_new(parser, joined ? "x[column]" : "x[i]", at, node, index, &node));
    }
    *ret_node = node;
    return STATUS_OK;
}

/* The operator at the current token, or NULL. `not` is one here: it can only be `not in`. */
static const char *binary_operator(const struct parser *parser, enum level *ret_level)
{
    static const struct {
        enum token_kind kind;
        enum level level;
        const char *name;
    } operators[] = {
        {TOKEN_OR, LEVEL_OR, "or"},        {TOKEN_AND, LEVEL_AND, "and"},      {TOKEN_EQ, LEVEL_COMPARE, "=="},
        {TOKEN_NE, LEVEL_COMPARE, "!="},   {TOKEN_LT, LEVEL_COMPARE, "<"},     {TOKEN_LE, LEVEL_COMPARE, "<="},
        {TOKEN_GT, LEVEL_COMPARE, ">"},    {TOKEN_GE, LEVEL_COMPARE, ">="},    {TOKEN_IN, LEVEL_COMPARE, "in"},
        {TOKEN_NOT, LEVEL_COMPARE, "not"}, {TOKEN_PLUS, LEVEL_ADD, "+"},       {TOKEN_MINUS, LEVEL_ADD, "-"},
        {TOKEN_STAR, LEVEL_MULTIPLY, "*"}, {TOKEN_SLASH, LEVEL_MULTIPLY, "/"}, {TOKEN_PERCENT, LEVEL_MULTIPLY, "%"},
    };
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (operators[i].kind != parser->token.kind) continue;
        *ret_level = operators[i].level;
        return operators[i].name;
    }
    return NULL;
}

/* and/or: all operands of one chain become arguments of one call, so that long chains stay flat. */
static enum status parse_chain(struct parser *parser, enum token_kind kind, const char *name, enum level operand_level,
                               struct node *left, struct node **ret_node)
{
    struct nodes args = {0};
    uint32_t at = parser->token.at;
    TRY(nodes_add(parser, &args, left));
    while (parser->token.kind == kind) {
        struct node *right;
        TRY(advance(parser));
        TRY(parse_level(parser, operand_level, &right));
        TRY(nodes_add(parser, &args, right));
    }
    return call_new(parser, expr_function(str_of(name), true), at, &args, ret_node);
}

static enum status parse_compare(struct parser *parser, const char *name, struct node *left, struct node **ret_node)
{
    uint32_t at = parser->token.at;
    bool negated = parser->token.kind == TOKEN_NOT;
    struct node *right, *node;
    TRY(advance(parser));
    if (negated) {
        TRY(expect(parser, TOKEN_IN, "\"in\""));
        name = "in";
    }
    TRY(parse_level(parser, LEVEL_ADD, &right));
    TRY(operator_new(parser, name, at, left, right, &node));
    if (negated) TRY(operator_new(parser, "not", at, node, NULL, &node));
    enum level level;
    if (binary_operator(parser, &level) && level == LEVEL_COMPARE) {
        unexpected(parser);
        error_hint(parser->error, "comparisons cannot be chained: join them with \"and\"");
        return STATUS_INVALID;
    }
    *ret_node = node;
    return STATUS_OK;
}

/* An expression of operators that bind at least as tightly as `level`. */
static enum status parse_level(struct parser *parser, enum level level, struct node **ret_node)
{
    struct node *left, *right;
    if (parser->token.kind == TOKEN_NOT) {
        uint32_t at = parser->token.at;
        if (level > LEVEL_NOT) {
            unexpected(parser);
            error_hint(parser->error, "put the \"not\" part into parentheses");
            return STATUS_INVALID;
        }
        TRY(enter(parser));
        TRY(advance(parser));
        TRY(parse_level(parser, LEVEL_NOT, &left));
        parser->depth--;
        TRY(operator_new(parser, "not", at, left, NULL, &left));
    } else {
        TRY(parse_unary(parser, &left));
    }
    enum level binds;
    const char *name;
    while ((name = binary_operator(parser, &binds)) && binds >= level) {
        if (binds == LEVEL_OR) {
            TRY(parse_chain(parser, TOKEN_OR, name, LEVEL_AND, left, &left));
        } else if (binds == LEVEL_AND) {
            TRY(parse_chain(parser, TOKEN_AND, name, LEVEL_NOT, left, &left));
        } else if (binds == LEVEL_COMPARE) {
            TRY(parse_compare(parser, name, left, &left));
        } else {
            uint32_t at = parser->token.at;
            TRY(advance(parser));
            TRY(parse_level(parser, binds + 1, &right));
            TRY(operator_new(parser, name, at, left, right, &left));
        }
    }
    *ret_node = left;
    return STATUS_OK;
}

/* `on=plan`: a text that is one word alone. */
static enum status parse_bare_name(struct parser *parser, struct node **ret_node)
{
    struct lexer ahead = parser->lexer;
    struct token next;
    if (!parser->options->bare_name_is_property) return STATUS_OK;
    if (parser->token.kind != TOKEN_WORD && parser->token.kind != TOKEN_ROOT) return STATUS_OK;
    TRY(expr_lex(&ahead, parser->error, &next));
    if (next.kind != TOKEN_END) return STATUS_OK;
    struct expr_column column = {.root = EXPR_PROPERTY, .name = token_text(parser, &parser->token)};
    TRY(column_new(parser, parser->token.at, column, ret_node));
    return advance(parser);
}

enum status expr_parse(struct arena *arena, struct str text, const struct expr_options *options, struct error *error,
                       struct ast *ret_ast)
{
    struct parser parser = {
        .lexer = {.arena = arena, .text = text}, .arena = arena, .error = error, .options = options};
    struct node *root = NULL;
    TRY(advance(&parser));
    if (parser.token.kind == TOKEN_END) return expr_error_at(error, 0, "expression is empty");
    TRY(parse_bare_name(&parser, &root));
    if (!root) TRY(parse_level(&parser, LEVEL_OR, &root));
    if (parser.token.kind != TOKEN_END) return unexpected(&parser);
    *ret_ast = (struct ast){.root = root, .columns = parser.columns, .column_count = parser.column_count};
    return STATUS_OK;
}
