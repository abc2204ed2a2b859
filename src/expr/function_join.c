/* What a table says under a key: properties["p"]["column"] where p is joined with a table (join.h). The parser puts
 * this operator in the place of a subscript. */
#include "expr/function.h"
#include "expr/join.h"

struct lookup {
    const struct expr_join *join;
    uint32_t column; /* EXPR_NO_COLUMN: the table has no such column */
};

const struct expr_join *expr_join_of(const struct expr_join *const *joins, size_t count, struct str property)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(joins[i]->property, property)) return joins[i];
    }
    return NULL;
}

enum status expr_prepare_lookup(struct arena *arena, const struct expr_context *context,
                                const struct expr_arguments *arguments, struct error *error, const void **ret_data)
{
    (void)context;
    struct lookup *lookup = arena_new_array(arena, struct lookup, 1);
    if (!lookup) return error_set(error, STATUS_LIMIT, "expression needs too much memory");
    lookup->join = arguments->nodes[0]->join;
    lookup->column = lookup->join->column(lookup->join, value_text(arguments->values[1]));
    *ret_data = lookup;
    return STATUS_OK;
}

/* An object has members of its own, and is no key. */
static struct value look_up(const struct lookup *lookup, struct value key, struct str name)
{
    if (key.type == VALUE_OBJECT) return value_member(key, name);
    bool is_key = key.type == VALUE_STRING || key.type == VALUE_BOOL || value_is_number(key);
    if (!is_key || lookup->column == EXPR_NO_COLUMN) return value_absent();
    return lookup->join->value(lookup->join, lookup->column, &key);
}

struct value expr_run_lookup(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    struct str name = value_text(args[1]);
    if (args[0].type != VALUE_LIST) return look_up(call->data, args[0], name);
    struct list_builder items = LIST_BUILDER_INIT;
    struct value_iter iter = value_iter(args[0]);
    struct value item;
    while (value_next(&iter, NULL, &item) && call->context->status == STATUS_OK) {
        if (--call->context->work_left < 0) expr_out_of_budget(call, "work");
        expr_list_add(&items, look_up(call->data, item, name));
    }
    return expr_list_end(call, &items);
}
