#include "expr/function.h"

/* List literals, subscripts and sum. any, all, map and filter are programs of their own: their loops are in scalar.c.
 */

static struct value run_list(struct expr_call *call, const struct value *args, uint32_t count)
{
    struct list_builder items = LIST_BUILDER_INIT;
    for (uint32_t i = 0; i < count; i++) expr_list_add(&items, args[i]);
    return expr_list_end(call, &items);
}

static struct value run_index(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    int64_t index;
    if (args[0].type == VALUE_OBJECT) {
        return args[1].type == VALUE_STRING ? value_member(args[0], value_text(args[1])) : value_absent();
    }
    if (!value_is_number(args[1]) || !expr_whole(args[1], &index) || index < 0) return value_absent();
    struct value_iter iter = value_iter(args[0]);
    struct value item = value_absent();
    if ((uint64_t)index >= iter.left) return item;
    for (int64_t i = 0; i <= index; i++) {
        if (!value_next(&iter, NULL, &item)) return value_absent();
    }
    return item;
}

static struct value run_sum(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)call, (void)count;
    struct value_iter iter = value_iter(args[0]);
    struct value item, sum = value_int(0);
    double ignored;
    while (value_next(&iter, NULL, &item)) {
        if (value_double(item, &ignored)) sum = expr_add(sum, item);
    }
    return sum;
}

#define LIST TYPE(LIST)
#define ANY  TYPES_ANY
#define A    TYPE(ABSENT)

const struct function expr_list_functions[] = {
    {"[]", true, FORM_STRICT, 0, EXPR_ITEMS_MAX, {ANY, ANY, ANY}, LIST | A, run_list, NULL},
    {"x[i]", true, FORM_STRICT, 2, 2, {LIST | TYPE(OBJECT), TYPES_NUMBER | TYPE(STRING)}, ANY, run_index, NULL},
    {"sum", false, FORM_STRICT, 1, 1, {LIST}, TYPES_NUMBER | A, run_sum, NULL},
    {"map", false, FORM_MAP, 3, 3, {LIST, ANY, ANY}, LIST | A, NULL, NULL},
    {"filter", false, FORM_FILTER, 3, 3, {LIST, ANY, ANY}, LIST, NULL, NULL},
    {"any", false, FORM_ANY, 3, 3, {LIST, ANY, ANY}, TYPE(BOOL), NULL, NULL},
    {"all", false, FORM_ALL, 3, 3, {LIST, ANY, ANY}, TYPE(BOOL), NULL, NULL},
    {0},
};
