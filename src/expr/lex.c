#include "expr/lex.h"

#include <ctype.h>
#include <stdio.h>

#include "base/utf8.h"
#include "expr/function.h"

enum status expr_error_at(struct error *error, size_t at, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error_set(error, STATUS_INVALID, "%s", text);
    error_position(error, 0, (unsigned)at + 1);
    return STATUS_INVALID;
}

static const struct {
    struct str word;
    enum token_kind kind;
} keywords[] = {
    {STR("and"), TOKEN_AND},   {STR("or"), TOKEN_OR},           {STR("not"), TOKEN_NOT},
    {STR("in"), TOKEN_IN},     {STR("true"), TOKEN_TRUE},       {STR("false"), TOKEN_FALSE},
    {STR("null"), TOKEN_NULL}, {STR("event"), TOKEN_ROOT},      {STR("undefined"), TOKEN_UNDEFINED},
    {STR("user"), TOKEN_ROOT}, {STR("properties"), TOKEN_ROOT}, {STR("behaviors"), TOKEN_ROOT},
};

/* Longer spellings first, so that the first match is the longest. */
static const struct {
    char text[3];
    enum token_kind kind;
} symbols[] = {
    {"==", TOKEN_EQ},    {"!=", TOKEN_NE},    {"<=", TOKEN_LE},      {">=", TOKEN_GE},      {"||", TOKEN_OR},
    {"&&", TOKEN_AND},   {"=", TOKEN_EQ},     {"!", TOKEN_NOT},      {"<", TOKEN_LT},       {">", TOKEN_GT},
    {"+", TOKEN_PLUS},   {"-", TOKEN_MINUS},  {"*", TOKEN_STAR},     {"/", TOKEN_SLASH},    {"%", TOKEN_PERCENT},
    {"(", TOKEN_LPAREN}, {")", TOKEN_RPAREN}, {"[", TOKEN_LBRACKET}, {"]", TOKEN_RBRACKET}, {",", TOKEN_COMMA},
};

static bool is_word_start(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c >= 0x80;
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

/* The byte at `at`, 0 past the end; a NUL in the text begins no token, so the two need no telling apart. */
static unsigned char peek(const struct lexer *lexer, size_t at)
{
    return at < lexer->text.size ? (unsigned char)lexer->text.data[at] : 0;
}

static bool read_hex4(const struct lexer *lexer, size_t at, uint32_t *ret_unit)
{
    uint32_t unit = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned char c = peek(lexer, at + i);
        uint32_t digit;
        if (is_digit(c))
            digit = c - '0';
        else if (c >= 'a' && c <= 'f')
            digit = c - 'a' + 10u;
        else if (c >= 'A' && c <= 'F')
            digit = c - 'A' + 10u;
        else
            return false;
        unit = unit << 4 | digit;
    }
    *ret_unit = unit;
    return true;
}

/* Decodes \uXXXX at `at` (the backslash), joining surrogate pairs, and moves past it. */
static enum status lex_unicode(const struct lexer *lexer, size_t *at, struct error *error, uint32_t *ret_code_point)
{
    uint32_t unit, low;
    if (!read_hex4(lexer, *at + 2, &unit)) {
        return expr_error_at(error, *at, "\\u in a string needs four hexadecimal digits");
    }
    if (unit >= 0xD800 && unit < 0xE000) {
        if (unit >= 0xDC00 || peek(lexer, *at + 6) != '\\' || peek(lexer, *at + 7) != 'u' ||
            !read_hex4(lexer, *at + 8, &low) || low < 0xDC00 || low >= 0xE000) {
            return expr_error_at(error, *at, "lone surrogate \\u%04x in a string", unit);
        }
        *at += 12;
        *ret_code_point = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        return STATUS_OK;
    }
    *at += 6;
    *ret_code_point = unit;
    return STATUS_OK;
}

static enum status lex_string(struct lexer *lexer, struct error *error, struct token *token)
{
    unsigned char quote = peek(lexer, lexer->at);
    size_t at = lexer->at + 1, end = at, size = 0;
    while (end < lexer->text.size && peek(lexer, end) != quote) end += peek(lexer, end) == '\\' ? 2 : 1;
    if (end >= lexer->text.size) {
        expr_error_at(error, lexer->at, "string is not closed");
        error_hint(error, "add a %c at its end", quote);
        return STATUS_INVALID;
    }
    char *out = arena_alloc(lexer->arena, end - at + 1); /* decoding never makes a string longer */
    if (!out) return error_set(error, STATUS_LIMIT, "expression needs too much memory");
    while (at < end) {
        unsigned char c = peek(lexer, at), next = peek(lexer, at + 1);
        if (c != '\\') {
            out[size++] = (char)c;
            at++;
            continue;
        }
        uint32_t code_point = 0;
        switch (next) {
        case 'u':
            TRY(lex_unicode(lexer, &at, error, &code_point));
            size += utf8_encode(code_point, out + size);
            continue;
        case 'n': out[size++] = '\n'; break;
        case 't': out[size++] = '\t'; break;
        case 'r': out[size++] = '\r'; break;
        case '"':
        case '\'':
        case '\\':
        case '/': out[size++] = (char)next; break;
        default: /* "\d+" is meant as a pattern: the backslash stays, and so does the next byte when it is its turn */
            out[size++] = '\\';
            at++;
            continue;
        }
        at += 2;
    }
    token->kind = TOKEN_STRING;
    token->value = value_str((struct str){out, size});
    lexer->at = at + 1;
    return STATUS_OK;
}

static enum status lex_number(struct lexer *lexer, struct error *error, struct token *token)
{
    size_t at = lexer->at;
    while (is_digit(peek(lexer, at))) at++;
    if (peek(lexer, at) == '.') {
        at++;
        while (is_digit(peek(lexer, at))) at++;
    }
    unsigned char e = peek(lexer, at), sign = peek(lexer, at + 1);
    if (e == 'e' || e == 'E') {
        size_t digits = at + 1 + (sign == '+' || sign == '-');
        if (is_digit(peek(lexer, digits))) {
            at = digits;
            while (is_digit(peek(lexer, at))) at++;
        }
    }
    struct str text = str_slice(lexer->text, lexer->at, at);
    if (is_word_start(peek(lexer, at)) || peek(lexer, at) == '.') {
        return expr_error_at(error, lexer->at, "malformed number \"" STR_FMT "%c\"",
                             (int)(text.size > 40 ? 40 : text.size), text.data,
                             peek(lexer, at) < 0x80 ? peek(lexer, at) : '?');
    }
    token->kind = TOKEN_NUMBER;
    enum status status = expr_number_text(lexer->arena, text, &token->value);
    if (status == STATUS_LIMIT) return error_set(error, status, "expression needs too much memory");
    if (status != STATUS_OK) {
        return expr_error_at(error, lexer->at, "number \"" STR_FMT "\" is too large",
                             (int)(text.size > 40 ? 40 : text.size), text.data);
    }
    lexer->at = at;
    return STATUS_OK;
}

static void lex_word(struct lexer *lexer, struct token *token)
{
    size_t at = lexer->at;
    while (is_word_start(peek(lexer, at)) || is_digit(peek(lexer, at)) || peek(lexer, at) == '.') at++;
    struct str word = str_slice(lexer->text, lexer->at, at);
    token->kind = TOKEN_WORD;
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (str_eq_nocase(word, keywords[i].word)) token->kind = keywords[i].kind;
    }
    lexer->at = at;
}

enum status expr_lex(struct lexer *lexer, struct error *error, struct token *ret_token)
{
    unsigned char c;
    while ((c = peek(lexer, lexer->at)) == ' ' || c == '\t' || c == '\r' || c == '\n') lexer->at++;
    struct token token = {.kind = TOKEN_END, .at = (uint32_t)lexer->at};
    if (lexer->at >= lexer->text.size) {
        /* nothing left */
    } else if (c == '"' || c == '\'') {
        TRY(lex_string(lexer, error, &token));
    } else if (is_digit(c) || (c == '.' && is_digit(peek(lexer, lexer->at + 1)))) {
        TRY(lex_number(lexer, error, &token));
    } else if (is_word_start(c)) {
        lex_word(lexer, &token);
    } else {
        size_t i = 0, count = sizeof symbols / sizeof symbols[0];
        while (i < count && !str_starts(str_slice(lexer->text, lexer->at, SIZE_MAX), str_of(symbols[i].text))) i++;
        if (i == count) {
            if (isprint(c)) return expr_error_at(error, lexer->at, "unexpected character \"%c\"", c);
            return expr_error_at(error, lexer->at, "unexpected byte 0x%02x", c);
        }
        token.kind = symbols[i].kind;
        lexer->at += strlen(symbols[i].text);
    }
    token.size = (uint32_t)(lexer->at - token.at);
    *ret_token = token;
    return STATUS_OK;
}
