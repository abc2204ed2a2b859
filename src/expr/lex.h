#pragma once
/*
 * Tokens of an expression. The lexer reads validated UTF-8 and keeps no more than its place; decoded strings go to
 * the arena.
 */
#include "base/arena.h"
#include "base/error.h"
#include "column/value.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NUMBER, /* value */
    TOKEN_STRING, /* value */
    TOKEN_WORD,   /* a name: function, bound name, or unknown */
    TOKEN_ROOT,   /* properties, event, user, behaviors */
    TOKEN_TRUE,
    TOKEN_FALSE,
    TOKEN_NULL,
    TOKEN_UNDEFINED,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_NOT,
    TOKEN_IN,
    TOKEN_EQ,
    TOKEN_NE,
    TOKEN_LT,
    TOKEN_LE,
    TOKEN_GT,
    TOKEN_GE,
    TOKEN_PLUS,
    TOKEN_MINUS,
    TOKEN_STAR,
    TOKEN_SLASH,
    TOKEN_PERCENT,
    TOKEN_LPAREN,
    TOKEN_RPAREN,
    TOKEN_LBRACKET,
    TOKEN_RBRACKET,
    TOKEN_COMMA,
};

struct token {
    enum token_kind kind;
    uint32_t at, size; /* bytes in the text; `at` counts from 0 */
    struct value value;
};

struct lexer {
    struct arena *arena;
    struct str text;
    size_t at;
};

/* INVALID with the position for a byte that begins no token and for malformed strings and numbers. */
enum status expr_lex(struct lexer *lexer, struct error *error, struct token *ret_token) MUST_USE;
/* Sets an INVALID error at byte `at` (from 0) of the text. */
enum status expr_error_at(struct error *error, size_t at, const char *format, ...) PRINTF_LIKE(3, 4);
