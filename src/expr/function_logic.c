#include "expr/case.h"
#include "expr/function.h"

/* and, or, not, if, let; comparison and membership. */

bool expr_equal(bool formula, struct value a, struct value b)
{
    if (formula && a.type == VALUE_STRING && b.type == VALUE_STRING)
        return expr_equal_fold(value_text(a), value_text(b));
    return value_equal(a, b);
}

static struct value run_not(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    if (args[0].type == VALUE_BOOL) return value_bool(!args[0].boolean);
    return args[0].type == VALUE_ABSENT ? value_bool(true) : value_absent();
}

static struct value run_equal(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    return value_bool(expr_equal(call->context->formula, args[0], args[1]));
}

static struct value run_not_equal(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    return value_bool(!expr_equal(call->context->formula, args[0], args[1]));
}

/* The order of two numbers or two strings; false for anything else and for numbers that are not even doubles. */
static bool compare(const struct value *args, int *ret_order)
{
    double ignored;
    if (args[0].type == VALUE_STRING && args[1].type == VALUE_STRING) {
        *ret_order = str_cmp(value_text(args[0]), value_text(args[1]));
        return true;
    }
    if (!value_double(args[0], &ignored) || !value_double(args[1], &ignored)) return false;
    *ret_order = value_cmp_number(args[0], args[1]);
    return true;
}

static struct value run_less(struct expr_call *call, const struct value *args, uint32_t count)
{
    int order;
    (void)call, (void)count;
    return compare(args, &order) ? value_bool(order < 0) : value_absent();
}

static struct value run_less_equal(struct expr_call *call, const struct value *args, uint32_t count)
{
    int order;
    (void)call, (void)count;
    return compare(args, &order) ? value_bool(order <= 0) : value_absent();
}

static struct value run_greater(struct expr_call *call, const struct value *args, uint32_t count)
{
    int order;
    (void)call, (void)count;
    return compare(args, &order) ? value_bool(order > 0) : value_absent();
}

static struct value run_greater_equal(struct expr_call *call, const struct value *args, uint32_t count)
{
    int order;
    (void)call, (void)count;
    return compare(args, &order) ? value_bool(order >= 0) : value_absent();
}

/* `x in [long constant list of strings and integers]` is a probe of a hash set: with exact equality, only a string
 * equals a string, and only an integer equals an integer among the two. Other numbers are compared one by one. */
struct member_set {
    uint32_t mask;
    struct value *slots; /* type ABSENT: free */
};
#define MEMBER_SET_ITEMS_MIN 8

static struct value *member_slot(const struct member_set *set, struct value v)
{
    uint32_t at = (uint32_t)value_hash(v) & set->mask;
    while (set->slots[at].type != VALUE_ABSENT && !(set->slots[at].type == v.type && value_equal(set->slots[at], v))) {
        at = (at + 1) & set->mask;
    }
    return &set->slots[at];
}

static enum status prepare_in(struct arena *arena, const struct expr_context *context,
                              const struct expr_arguments *arguments, struct error *error, const void **ret_data)
{
    if (!arguments->constant[1] || arguments->values[1].type != VALUE_LIST || context->formula) return STATUS_OK;
    uint64_t count = value_count(arguments->values[1]);
    if (count < MEMBER_SET_ITEMS_MIN || count > EXPR_STRING_MAX) return STATUS_OK;
    uint32_t capacity = 16;
    while (capacity < count * 2) capacity *= 2;
    struct member_set *set = arena_alloc(arena, sizeof *set);
    struct value *slots = arena_calloc(arena, capacity, sizeof *slots);
    if (!set || !slots) return error_set(error, STATUS_LIMIT, "expression needs too much memory");
    *set = (struct member_set){.mask = capacity - 1, .slots = slots};
    struct value_iter iter = value_iter(arguments->values[1]);
    struct value item;
    while (value_next(&iter, NULL, &item)) {
        if (item.type != VALUE_STRING && item.type != VALUE_INT) return STATUS_OK;
        *member_slot(set, item) = item;
    }
    *ret_data = set;
    return STATUS_OK;
}

static struct value run_in(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    if (args[1].type == VALUE_STRING) {
        if (args[0].type != VALUE_STRING) return value_absent();
        return value_bool(str_find(value_text(args[1]), value_text(args[0]), 0) != SIZE_MAX);
    }
    if (args[1].type != VALUE_LIST) return value_absent();
    if (call->data && (args[0].type == VALUE_STRING || args[0].type == VALUE_INT)) {
        return value_bool(member_slot(call->data, args[0])->type != VALUE_ABSENT);
    }
    struct value_iter iter = value_iter(args[1]);
    struct value item;
    while (value_next(&iter, NULL, &item)) {
        if (expr_equal(call->context->formula, args[0], item)) return value_bool(true);
    }
    return value_bool(false);
}

static struct value run_defined(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    return value_bool(args[0].type != VALUE_ABSENT && args[0].type != VALUE_NULL);
}

#define ANY        TYPES_ANY
#define COMPARABLE (uint16_t)(TYPES_NUMBER | TYPE(STRING))
#define MAYBE      (uint16_t)(TYPE(BOOL) | TYPE(ABSENT))

const struct function expr_logic_functions[] = {
    {"and", true, FORM_AND, 2, EXPR_ITEMS_MAX, {ANY, ANY, ANY}, TYPE(BOOL), NULL, NULL},
    {"or", true, FORM_OR, 2, EXPR_ITEMS_MAX, {ANY, ANY, ANY}, TYPE(BOOL), NULL, NULL},
    {"not", true, FORM_STRICT, 1, 1, {ANY}, MAYBE, run_not, NULL},
    {"==", true, FORM_STRICT, 2, 2, {ANY, ANY}, TYPE(BOOL), run_equal, NULL},
    {"!=", true, FORM_STRICT, 2, 2, {ANY, ANY}, TYPE(BOOL), run_not_equal, NULL},
    {"<", true, FORM_STRICT, 2, 2, {COMPARABLE, COMPARABLE}, MAYBE, run_less, NULL},
    {"<=", true, FORM_STRICT, 2, 2, {COMPARABLE, COMPARABLE}, MAYBE, run_less_equal, NULL},
    {">", true, FORM_STRICT, 2, 2, {COMPARABLE, COMPARABLE}, MAYBE, run_greater, NULL},
    {">=", true, FORM_STRICT, 2, 2, {COMPARABLE, COMPARABLE}, MAYBE, run_greater_equal, NULL},
    {"in", true, FORM_STRICT, 2, 2, {ANY, (uint16_t)(TYPE(STRING) | TYPE(LIST))}, MAYBE, run_in, prepare_in},
    {"defined", false, FORM_STRICT, 1, 1, {ANY}, TYPE(BOOL), run_defined, NULL},
    {"if", false, FORM_IF, 3, 3, {ANY, ANY, ANY}, ANY, NULL, NULL},
    {"ifs", false, FORM_IFS, 2, 200, {ANY, ANY, ANY}, ANY, NULL, NULL},
    {"let", false, FORM_LET, 3, EXPR_ITEMS_MAX, {ANY, ANY, ANY}, ANY, NULL, NULL},
    {0},
};
