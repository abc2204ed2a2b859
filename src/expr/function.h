#pragma once
/*
 * The function table: one row for every operator and function of the language, made from the operator table
 * (operators.h). A row says how it is written, what it accepts, what it gives and how it is computed, so nothing about
 * an operator exists in a second place. The functions are in function_*.c by subject.
 *
 * A strict row's run() is called with values of accepted types only: the caller (apply.c) has already answered
 * `undefined` for others. It never fails for bad values; it reports exhausted budgets through call->context and then
 * returns anything.
 */
#include "column/value.h"
#include "expr/ast.h"
#include "expr/operators.h"

/* Sets of types. */
#define TYPE(t)      (uint16_t)(1u << VALUE_##t)
#define TYPES_NUMBER (uint16_t)(TYPE(INT) | TYPE(DOUBLE) | TYPE(BIGNUM))
#define TYPES_UNSET  (uint16_t)(TYPE(ABSENT) | TYPE(NULL))
#define TYPES_ANY    (uint16_t)((1u << VALUE_TYPES) - 1)

/* As the operator table writes them. */
#define T_ABSENT  TYPE(ABSENT)
#define T_UNSET   TYPES_UNSET
#define T_BOOL    TYPE(BOOL)
#define T_MAYBE   (T_BOOL | T_ABSENT)
#define T_INT     TYPE(INT)
#define T_NUMBER  TYPES_NUMBER
#define T_TEXT    TYPE(STRING)
#define T_LIST    TYPE(LIST)
#define T_OBJECT  TYPE(OBJECT)
#define T_ORDERED (T_NUMBER | T_TEXT)
#define T_ANY     TYPES_ANY

/* A value that is an error when it is needed (decision 18): `size` is the byte in the text, `integer` what was found
 * there. */
#define VALUE_FAULT 15

struct regex_cache;

/* What an evaluation may use. One per state, and one per compilation for folding constants. */
struct expr_context {
    struct arena *arena; /* results */
    struct error *error;
    enum status status; /* not OK: the evaluation is over */
    bool formula;
    const struct timezone_info *zone;
    int64_t now_ms;
    int64_t work_left;
    int64_t look_at; /* with less work left it is asked again whether to go on */
    expr_look_fn *look;
    const void *look_arg;
    struct regex_cache *regexes; /* made when first needed */
};

struct expr_call {
    struct expr_context *context;
    const struct function *function;
    const void *data; /* what prepare() made, or NULL */
    uint32_t at;
};

/* The arguments of a call while it is compiled: values[i] is meaningful where constant[i]. */
struct expr_arguments {
    const struct value *values;
    const bool *constant;
    struct node *const *nodes;
    uint32_t count;
};

enum form {
    FORM_STRICT,
    FORM_AND,
    FORM_OR,
    FORM_IF,
    FORM_IFS,
    FORM_CAST, /* strict in its first argument; the second is the default */
    FORM_ANY,
    FORM_ALL,
    FORM_MAP,
    FORM_FILTER,
    FORM_LET,
};

enum absent_rule { ABSENT_UNDEFINED, ABSENT_SEEN };

/* Forms in ClickHouse's SQL (operators.h): for each kind of value that is asked for, or the reason why there is none.
 */
struct expr_sql {
    const char *boolean, *number, *text, *reason;
    uint16_t types; /* what arguments may be at most; 0: anything */
};

struct function {
    const char *name;
    bool operator;      /* written as an operator: not found by name */
    uint8_t form;       /* enum form */
    uint8_t absent;     /* enum absent_rule, of the arguments that are always evaluated */
    uint16_t min, max;  /* arguments */
    uint16_t accept[3]; /* types of the first, the second and all further arguments */
    uint16_t result;    /* types of the result for accepted arguments */
    struct value (*run)(struct expr_call *call, const struct value *args, uint32_t count);
    /* Optional: looks at the constant arguments once. May refuse the text. */
    enum status (*prepare)(struct arena *arena, const struct expr_context *context,
                           const struct expr_arguments *arguments, struct error *error, const void **ret_data);
    struct expr_sql sql;
};

/* All rows; a row without a name ends them. */
extern const struct function expr_functions[];

/* What the rows name. */
#define ROW(id, ...) struct value expr_run_##id(struct expr_call *call, const struct value *args, uint32_t count);
EXPR_STRICT_OPERATORS(ROW)
#undef ROW
enum status expr_prepare_in(struct arena *arena, const struct expr_context *context,
                            const struct expr_arguments *arguments, struct error *error, const void **ret_data);
/* The first argument is the column of a joined property, the second its constant text. */
enum status expr_prepare_lookup(struct arena *arena, const struct expr_context *context,
                                const struct expr_arguments *arguments, struct error *error, const void **ret_data);
enum status expr_prepare_regex(struct arena *arena, const struct expr_context *context,
                               const struct expr_arguments *arguments, struct error *error, const void **ret_data);

/* NULL when there is none. Operators are found by their spelling, only when `operator`. */
const struct function *expr_function(struct str name, bool operator);
/* The callable name nearest to a misspelt one, or NULL when none is near. */
const char *expr_function_near(struct str name);

static inline uint16_t expr_accept(const struct function *function, uint32_t arg)
{
    return function->accept[arg < 2 ? arg : 2];
}

/* Calls a strict row: faults go up, values of types that are not accepted give undefined, work is charged. */
struct value expr_apply(struct expr_call *call, const struct value *args, uint32_t count);

#define EXPR_LOOK_WORK 16384 /* between looks: a millisecond or two */
/* Asks whether to go on; the context may be failed afterwards. */
void expr_look(struct expr_context *context);

/* For rows' implementations. */
void expr_out_of_budget(struct expr_call *call, const char *what);
/* Bytes in the context's arena, or NULL with the context failed; at most EXPR_STRING_MAX. */
char *expr_alloc(struct expr_call *call, size_t size);
/* A number as the language sees it: whole becomes INT, -0 becomes 0, not finite becomes ABSENT. */
struct value expr_number(double number);
/* The number that a text is (decisions 5 and 23), with all its digits: a BIGNUM, whose bytes come from the arena, when
 * neither int64 nor a double will do. INVALID when the text is no number or more than a double can be, LIMIT when the
 * arena is full. */
enum status expr_number_text(struct arena *arena, struct str text, struct value *ret_number) MUST_USE;
/* A number's whole value, saturated to int64; false for fractions. */
bool expr_whole(struct value v, int64_t *ret_whole);
/* `==` (decisions 11 and 44). */
bool expr_equal(bool formula, struct value a, struct value b);
struct value expr_add(struct value a, struct value b);
/* Seconds of a time that is a number or a datetime text; false when it is neither. */
bool expr_seconds(const struct expr_context *context, struct value v, double *ret_seconds);
static inline bool expr_is_true(struct value v)
{
    return v.type == VALUE_BOOL && v.boolean;
}

/* Collects values into a LIST. Bounded by EXPR_STRING_MAX; heap-backed until expr_list_end, which always frees it. */
struct list_builder {
    struct buf items;
    uint64_t count;
    bool too_deep; /* an item is nested as deep as values may be: the list is undefined */
};
#define LIST_BUILDER_INIT ((struct list_builder){.items = BUF_INIT(EXPR_STRING_MAX)})
void expr_list_add(struct list_builder *builder, struct value item);
struct value expr_list_end(struct expr_call *call, struct list_builder *builder);

void expr_regex_cache_free(struct regex_cache *cache);
