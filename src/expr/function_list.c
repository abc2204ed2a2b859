#include "expr/function.h"

/* List literals, subscripts and sum. any, all, map and filter are programs of their own: their loops are in scalar.c.
 */

struct value expr_run_list(struct expr_call *call, const struct value *args, uint32_t count)
{
    struct list_builder items = LIST_BUILDER_INIT;
    for (uint32_t i = 0; i < count; i++) expr_list_add(&items, args[i]);
    return expr_list_end(call, &items);
}

struct value expr_run_index(struct expr_call *call, const struct value *args, uint32_t count)
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

struct value expr_run_sum(struct expr_call *call, const struct value *args, uint32_t count)
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
