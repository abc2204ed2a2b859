#include "reference/operators.h"

#include <stdlib.h>

#define OPERATOR                           true
#define FUNCTION                           false
#define STRICT_ROW(id, name, written, ...) {name, written, ref_op_##id, NULL},
#define LAZY_ROW(id, name, written, ...)   {name, written, NULL, ref_op_##id},

static const struct ref_operator operators[] = {EXPR_STRICT_OPERATORS(STRICT_ROW) EXPR_LAZY_OPERATORS(LAZY_ROW)};

const struct ref_operator *ref_operator(struct str name, bool written)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (operators[i].written == written && str_eq_nocase(str_of(operators[i].name), name)) return &operators[i];
    }
    abort();
}
