#pragma once
/*
 * The tree that the parser makes and the compiler turns into steps. Operators and functions are both calls of a row
 * of the function table (function.h); everything lives in the arena of the compilation.
 */
#include "base/arena.h"
#include "base/error.h"
#include "column/value.h"
#include "expr/expr.h"

struct expr_join;
struct function;

enum node_kind {
    NODE_CONSTANT, /* value */
    NODE_COLUMN,   /* column: index into the expression's columns */
    NODE_NAME,     /* binding */
    NODE_CALL,     /* function, args; FORM_LAMBDA: args are list and body, binding is its name;
                      FORM_LET: args are the values and last the body, binding the first of the names */
};

#define OPERAND_NONE 0x7FFFFFFFu

/* A name that let or a lambda binds. */
struct binding {
    struct binding *outer;   /* in scope around this one; NULL at the outermost */
    struct binding *sibling; /* the next name of the same let */
    struct str name;
    bool lambda;         /* an item of a list, so not constant */
    uint16_t item_level; /* as node's; filled by expr_analyse */
    uint16_t types;      /* what it can be; filled by expr_analyse */
    int32_t column;      /* enum column_use or an index; filled by expr_analyse */
    bool constant;       /* as node's; filled by expr_analyse */
    uint32_t operand;    /* where its value is; filled by the compiler, OPERAND_NONE before */
};

/* What a subtree reads. */
enum column_use { COLUMNS_NONE = -1, COLUMNS_MANY = -2 }; /* or the index of the only column */

#define ITEM_NONE UINT16_MAX /* lambdas are numbered from the outside, from 1 */

struct node {
    enum node_kind kind;
    uint32_t at;         /* byte in the text, from 0 */
    uint16_t height;     /* calls on top of each other, this one included */
    uint16_t types;      /* what it can be, a set of 1 << enum value_type; filled by expr_analyse */
    int32_t columns;     /* what it reads, and what of let it reads in vain; filled by expr_analyse */
    bool constant;       /* its result needs no column; filled by expr_analyse */
    uint16_t item_level; /* the outermost lambda around it whose name it needs, or ITEM_NONE; filled by expr_analyse */
    uint32_t count;
    uint32_t column;
    struct value value;
    const struct expr_join *join; /* NODE_COLUMN: the table that its values are keys of, or NULL */
    const struct function *function;
    struct node **args;
    struct binding *binding;
};

struct ast {
    struct node *root;
    struct expr_column *columns;
    size_t column_count;
};

enum status expr_parse(struct arena *arena, struct str text, const struct expr_options *options, struct error *error,
                       struct ast *ret_ast) MUST_USE;
/* Fills types, columns, constant and item_level of every node. */
void expr_analyse(const struct ast *ast);
