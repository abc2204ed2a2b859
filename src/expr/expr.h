#pragma once
/*
 * The segmentation expression language: what `where`, `on` and selectors are written in (docs/api/expressions.md,
 * which also lists the decisions taken where the language was never documented).
 *
 * An expression is compiled once and evaluated over column vectors:
 *
 *   expr_compile  text -> struct expr, an immutable flat program; it may be shared by any number of threads
 *   expr_columns  which columns the evaluator must be given, in which order
 *   expr_state    what one thread needs to evaluate: registers, caches, an arena with a budget
 *   expr_eval     one vector per column -> one vector of results; expr_filter keeps the rows that are exactly true
 *
 * Ownership: struct expr lives in the arena it was compiled in (its regular expressions are freed when that arena is
 * reset); the text is copied. A state must be freed before its expression's arena. Column vectors are the caller's
 * and are only read during a call, but results may point into them.
 *
 * Errors: INVALID with error->column = 1-based byte position in the text, for a text that cannot be compiled, and,
 * from the evaluator, for a row in which `and` or `or` meets a value that is not boolean, null or undefined. LIMIT
 * when a limit below, the arena or the state's budget is exceeded. Nothing else fails: a value of the wrong type is
 * `undefined`.
 */
#include "base/arena.h"
#include "base/error.h"
#include "base/timezone.h"
#include "column/vector.h"

#define EXPR_TEXT_MAX   20000      /* bytes of text */
#define EXPR_DEPTH_MAX  200        /* brackets, calls and prefix operators inside each other */
#define EXPR_HEIGHT_MAX 1000       /* operators on top of each other, as in 1+1+1+…; and/or chains count as one */
#define EXPR_ITEMS_MAX  10000      /* items of one list literal, or arguments of one call */
#define EXPR_STRING_MAX (1u << 20) /* bytes of a string or list that an operator makes */
#define EXPR_WORK_MAX   20000000   /* calls (and 64-byte pieces of their arguments) in one evaluation */
#define EXPR_TERMS_MAX  32         /* into which a filter is cut */

/* Which record a column belongs to. `event["x"]` and `properties["x"]` are the same column. */
enum expr_root { EXPR_PROPERTY, EXPR_USER, EXPR_BEHAVIOR };

struct expr_column {
    enum expr_root root;
    struct str name;
};

/* A bare name that stands for a column: the letters A..Z of custom-property formulas. */
struct expr_input {
    struct str name; /* matched exactly */
    struct expr_column column;
};

struct expr_join;

struct expr_options {
    const struct timezone_info *zone; /* the project's; NULL means UTC */
    int64_t now_ms;                   /* TODAY() is the local day of this instant */

    bool bare_name_is_property; /* a text that is one name alone means properties["name"], for `on=plan` */
    bool profiles;              /* rows are profiles: user["p"] is properties["p"], event["p"] is undefined */
    bool unknown_names_refused; /* a name that nothing binds is an error, as in formulas; else it is undefined */
    bool formula; /* custom-property formulas: == and != (and so `in` a list) ignore the case of strings */
    const struct expr_input *inputs;
    size_t input_count;
    const struct expr_join *const *joins; /* of properties with tables (join.h); they outlive the expression */
    size_t join_count;
};

/* What the result can be besides null and undefined. */
enum expr_type { EXPR_ANY, EXPR_BOOL, EXPR_NUMBER, EXPR_STRING };

struct expr;
struct expr_state;

/* `options` may be NULL and need not outlive the call (zones live as long as the process). */
enum status expr_compile(struct arena *arena, struct str text, const struct expr_options *options, struct error *error,
                         const struct expr **ret_expr) MUST_USE;

/*
 * A filter, cut at its outermost `and` into terms that are tried one after the other, each only for the rows that the
 * terms before it kept: expr_filter with each in turn keeps the same rows and raises the same errors as with the whole
 * text. A text that is no conjunction of things that are always boolean, null or undefined is one term.
 */
enum expr_comparison { EXPR_NO_COMPARISON, EXPR_LESS, EXPR_LESS_EQUAL, EXPR_GREATER, EXPR_GREATER_EQUAL, EXPR_EQUAL };
struct expr_term {
    const struct expr *expr;
    /* For a column that holds numbers, or nothing, in a row: the term is true exactly where there is a number that
     * compares so with `bound`, also when integers beyond 2^53 come rounded to doubles. EXPR_NO_COMPARISON: the term is
     * something else. */
    enum expr_comparison comparison;
    double bound;
};
enum status expr_compile_terms(struct arena *arena, struct str text, const struct expr_options *options,
                               struct error *error, const struct expr_term **ret_terms, size_t *ret_count) MUST_USE;

/* The columns, each once, in the order in which expr_eval wants them. A constant expression has none. */
const struct expr_column *expr_columns(const struct expr *expr, size_t *ret_count);
enum expr_type expr_result_type(const struct expr *expr);
/* True when the expression is its only column, as it comes. */
bool expr_is_column(const struct expr *expr);
/* True when in rows in which its only column has a number or nothing the expression is that column: the column itself, or
 * number() of it, which is how clients write it. */
bool expr_keeps_numbers(const struct expr *expr);
/* True, and the value, when the expression needs no row: `on=undefined`, `true`, 1 + 1. */
bool expr_constant(const struct expr *expr, struct value *ret_value);

/* `budget_bytes` bounds what one evaluation allocates plus what is kept between evaluations; 4 MB serves most, 1 MB
 * is the least. One state per thread. Never NULL. */
struct expr_state *expr_state_new(const struct expr *expr, size_t budget_bytes);
void expr_state_free(struct expr_state *state);
/* Has evaluations ask every few milliseconds whether they are to go on: what `look` returns other than OK, they end
 * with. A pattern that backtracks takes its time for a single vector. `arg` lives as long as the state. */
typedef enum status expr_look_fn(const void *arg, struct error *error);
void expr_state_watch(struct expr_state *state, expr_look_fn *look, const void *arg);

/* Evaluates `rows` rows (at most VECTOR_ROWS_MAX). columns[i] belongs to expr_columns()[i] and has at least `rows`
 * rows.
 *
 * The result is FLAT, CONST or DICT whatever the inputs are; a DICT result has the codes of one of the inputs, code 0
 * ABSENT, and may hold the same value under several codes. Its values (ABSENT for undefined) are good until the next
 * call on this state, and as long as the columns are. A property by itself is passed through as it came. */
enum status expr_eval(struct expr_state *state, const struct vector *columns, uint32_t rows, struct error *error,
                      struct vector *ret_result) MUST_USE;

/* The same for the rows whose keep is not 0 (keep NULL: all). The other rows raise no errors, and their results mean
 * nothing. */
enum status expr_eval_kept(struct expr_state *state, const struct vector *columns, uint32_t rows, const uint8_t *keep,
                           struct error *error, struct vector *ret_result) MUST_USE;

/* Clears keep[row] for every row that is not exactly true. Rows whose keep is 0 already are not evaluated, so they
 * raise no errors either. On failure `keep` is unchanged. */
enum status expr_filter(struct expr_state *state, const struct vector *columns, uint32_t rows, struct error *error,
                        uint8_t *keep) MUST_USE;
