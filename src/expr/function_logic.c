#include "expr/case.h"
#include "expr/function.h"

/* and, or, not, if, let; comparison and membership. */

bool expr_equal(bool formula, struct value a, struct value b)
{
    if (formula && a.type == VALUE_STRING && b.type == VALUE_STRING)
        return expr_equal_fold(value_text(a), value_text(b));
    return value_equal(a, b);
}

struct value expr_run_not(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    if (args[0].type == VALUE_BOOL) return value_bool(!args[0].boolean);
    return args[0].type == VALUE_ABSENT ? value_bool(true) : value_absent();
}

struct value expr_run_equal(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    return value_bool(expr_equal(call->context->formula, args[0], args[1]));
}

struct value expr_run_not_equal(struct expr_call *call, const struct value *args, uint32_t count)
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

struct value expr_run_less(struct expr_call *call, const struct value *args, uint32_t count)
{
    int order;
    (void)call, (void)count;
    return compare(args, &order) ? value_bool(order < 0) : value_absent();
}

struct value expr_run_less_equal(struct expr_call *call, const struct value *args, uint32_t count)
{
    int order;
    (void)call, (void)count;
    return compare(args, &order) ? value_bool(order <= 0) : value_absent();
}

struct value expr_run_greater(struct expr_call *call, const struct value *args, uint32_t count)
{
    int order;
    (void)call, (void)count;
    return compare(args, &order) ? value_bool(order > 0) : value_absent();
}

struct value expr_run_greater_equal(struct expr_call *call, const struct value *args, uint32_t count)
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

enum status expr_prepare_in(struct arena *arena, const struct expr_context *context,
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

struct value expr_run_in(struct expr_call *call, const struct value *args, uint32_t count)
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

struct value expr_run_defined(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    return value_bool(args[0].type != VALUE_ABSENT && args[0].type != VALUE_NULL);
}
