#pragma once
/*
 * The reference's side of the operator table (src/expr/operators.h, of which it takes the names alone): a function for
 * every row. One that is missing does not link.
 */
#include "expr/operators.h"
#include "reference/internal.h"

#define REF_UNUSED __attribute__((unused))
/* All arguments are evaluated first. */
#define REF_STRICT(id)                                                                                                 \
    struct ref_value ref_op_##id(REF_UNUSED struct ref_row *row, REF_UNUSED const struct ref_value *args,              \
                                 REF_UNUSED size_t count)
/* It evaluates what it needs of the node's parts. */
#define REF_LAZY(id)                                                                                                   \
    struct ref_value ref_op_##id(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope)

#define ROW(id, ...) REF_STRICT(id);
EXPR_STRICT_OPERATORS(ROW)
#undef ROW
#define ROW(id, ...) REF_LAZY(id);
EXPR_LAZY_OPERATORS(ROW)
#undef ROW

struct ref_operator {
    const char *name;
    bool written; /* as an operator, otherwise as a function */
    struct ref_value (*strict)(struct ref_row *row, const struct ref_value *args, size_t count); /* NULL: it is lazy */
    struct ref_value (*lazy)(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope);
};
/* Ends the program when there is none: the parser knows what exists. */
const struct ref_operator *ref_operator(struct str name, bool written);
