#pragma once
/*
 * The compiled form: a flat list of steps over registers, private to compile.c, scalar.c and eval.c.
 *
 * Registers: first one per column, then temporaries. An operand is a register's number or, with OPERAND_CONSTANT, an
 * index into the constants. The same steps are run in two ways:
 *
 *   by vectors (eval.c)    each step handles all selected rows before the next step begins
 *   by scalars (scalar.c)  all steps for one row, item of a list or dictionary entry, before the next one
 *
 * Laziness. SELECT a, pred, skip begins a stretch of steps that matter only for rows whose operand `a` satisfies the
 * predicate; it ends with UNSELECT. By vectors, it narrows the selection, and skips the stretch when nothing is left;
 * by scalars it is a conditional jump. Whoever combines results afterwards (AND, OR, IF, DEFAULT) looks at `a` first
 * and never at what was skipped.
 *
 * UNIT skip stretches over a subtree that reads only its inputs. With one input that is a dictionary vector, the
 * stretch is run by scalars once per dictionary entry in use and the results are kept for as long as the dictionary
 * is the same. A `rows` unit (around a lambda, whose loops run by scalars) is otherwise run once per row; any other
 * unit is then run by vectors.
 */
#include "expr/expr.h"
#include "expr/function.h"

#define OPERAND_CONSTANT 0x80000000u
#define TEMPS_MAX        1024

enum step_op {
    STEP_CALL,    /* out = function(operands[args .. args + count]) */
    STEP_AND,     /* out = a and b */
    STEP_OR,      /* out = a or b */
    STEP_IF,      /* out = a ? b : c */
    STEP_DEFAULT, /* out = a, or b when a is undefined */
    STEP_SELECT,  /* the next `skip` steps are for rows where pred(a) */
    STEP_UNSELECT,
    STEP_UNIT,   /* the next `skip` steps give out, from the registers operands[args .. args + count] */
    STEP_LAMBDA, /* out = any, all, map or filter over list a: the next `skip` steps give c for an item in register b
                  */
};

enum predicate { SELECT_TRUE, SELECT_NOT_TRUE, SELECT_FALSE, SELECT_ABSENT }; /* FALSE: false, null or undefined */

struct step {
    uint8_t op;        /* enum step_op */
    uint8_t predicate; /* SELECT */
    uint8_t form;      /* LAMBDA: enum form */
    bool rows;         /* UNIT */
    uint32_t out, a, b, c;
    uint32_t skip;
    uint32_t args, count;
    uint32_t unit; /* UNIT: number of its cache */
    uint32_t at;   /* byte in the text; AND, OR: of the left operand */
    uint32_t at_b; /* AND, OR: of the right operand */
    const struct function *function;
    const void *data;
};

struct program {
    struct step *steps;
    uint32_t *operands;
    struct value *constants;
    uint32_t step_count, operand_count, constant_count;
};

struct expr {
    struct program program;
    const struct expr_column *columns;
    size_t column_count;
    uint32_t register_count, unit_count, args_max;
    uint32_t result; /* operand */
    uint16_t types;
    bool formula;
    bool keeps_numbers; /* expr_keeps_numbers */
    const struct timezone_info *zone;
    int64_t now_ms;
    /* of a term that compares its only column with a number: see struct expr_term */
    enum expr_comparison comparison;
    double bound;
};

/* --- terms.c --- */
/* What expr_compile does, of the whole text (term NULL) or of one term of it. */
enum status expr_compile_part(struct arena *arena, struct str text, const struct expr_options *options,
                              const uint32_t *term, struct error *error, const struct expr **ret_expr) MUST_USE;
/* Terms of an analysed tree: 1 when it is no conjunction that may be cut. */
uint32_t expr_term_count(const struct ast *ast);
/* Makes one term the whole tree, with only the columns that it reads. */
enum status expr_narrow(struct arena *arena, struct ast *ast, uint32_t term, struct error *error) MUST_USE;
/* The column that a subtree is where that has a number or nothing, or NULL. */
const struct node *expr_column_of_numbers(const struct node *node);
void expr_find_comparison(const struct ast *ast, struct expr *expr);

struct expr_context expr_context(const struct expr *expr);

static inline bool expr_predicate(enum predicate predicate, struct value v)
{
    switch (predicate) {
    case SELECT_TRUE: return expr_is_true(v);
    case SELECT_NOT_TRUE: return !expr_is_true(v);
    case SELECT_FALSE: return v.type <= VALUE_NULL || (v.type == VALUE_BOOL && !v.boolean);
    case SELECT_ABSENT: return v.type == VALUE_ABSENT;
    }
    return false;
}

/* The two operators that can fail for a row; b is looked at only when a does not decide. */
struct value expr_combine(const struct step *step, struct value a, struct value b);
/* Reports a fault that is needed. */
enum status expr_fault_error(struct value fault, struct error *error);
/* A copy of a value's bytes in the arena; false when it does not fit. */
bool expr_copy(struct arena *arena, struct value *value);

/* Runs steps [first, end) for one row; `args` has room for the arguments of any call. Stops early when the context
 * fails. */
void expr_run_scalar(struct expr_context *context, const struct program *program, struct value *registers,
                     struct value *args, uint32_t first, uint32_t end);
static inline struct value expr_operand(const struct program *program, const struct value *registers, uint32_t operand)
{
    return operand & OPERAND_CONSTANT ? program->constants[operand & ~OPERAND_CONSTANT] : registers[operand];
}
