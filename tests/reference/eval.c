/* Operators, names and lists, one row at a time. */
#include "reference/operators.h"

#include "expr/join.h"

#include <math.h>
#include <stdlib.h>

struct ref_value ref_add(struct ref_value a, struct ref_value b)
{
    long double x, y;
    int64_t sum;
    if (!ref_number(a, &x) || !ref_number(b, &y)) return ref_undefined;
    if (ref_is_int64(x) && ref_is_int64(y) && !__builtin_add_overflow((int64_t)x, (int64_t)y, &sum))
        return ref_int(sum);
    return ref_double((double)x + (double)y);
}

/* Two numbers of any kind. */
static bool numbers(const struct ref_value *args, long double *ret_x, long double *ret_y)
{
    return ref_number(args[0], ret_x) && ref_number(args[1], ret_y);
}

static struct ref_value subtract(long double x, long double y)
{
    int64_t result;
    if (ref_is_int64(x) && ref_is_int64(y) && !__builtin_sub_overflow((int64_t)x, (int64_t)y, &result))
        return ref_int(result);
    return ref_double((double)x - (double)y);
}

REF_STRICT(add)
{
    if (args[0].type == REF_STRING && args[1].type == REF_STRING)
        return ref_string(ref_join(row->arena, args[0].text, args[1].text));
    return ref_add(args[0], args[1]);
}

REF_STRICT(subtract)
{
    long double x, y;
    return numbers(args, &x, &y) ? subtract(x, y) : ref_undefined;
}

REF_STRICT(negate)
{
    long double x;
    return ref_number(args[0], &x) ? subtract(0, x) : ref_undefined;
}

REF_STRICT(multiply)
{
    long double x, y;
    int64_t result;
    if (!numbers(args, &x, &y)) return ref_undefined;
    if (ref_is_int64(x) && ref_is_int64(y) && !__builtin_mul_overflow((int64_t)x, (int64_t)y, &result))
        return ref_int(result);
    return ref_double((double)x * (double)y);
}

REF_STRICT(divide)
{
    long double x, y;
    if (!numbers(args, &x, &y) || y == 0) return ref_undefined;
    return ref_double((double)x / (double)y);
}

REF_STRICT(remainder)
{
    long double x, y;
    if (!numbers(args, &x, &y) || y == 0) return ref_undefined;
    if (ref_is_int64(x) && ref_is_int64(y)) return ref_int(y == -1 ? 0 : (int64_t)x % (int64_t)y);
    return ref_double(fmod((double)x, (double)y));
}

/* --- comparison --------------------------------------------------------------------------------------- */

REF_STRICT(equal)
{
    return ref_bool(ref_equal(row->arena, args[0], args[1]));
}
REF_STRICT(not_equal)
{
    return ref_bool(!ref_equal(row->arena, args[0], args[1]));
}

static bool order(struct arena *arena, const struct ref_value *args, int *ret_order)
{
    long double x, y;
    if (args[0].type == REF_STRING && args[1].type == REF_STRING) {
        *ret_order = str_cmp(args[0].text, args[1].text);
        return true;
    }
    if (!numbers(args, &x, &y)) return false;
    *ret_order = ref_order(arena, args[0], args[1]);
    return true;
}

REF_STRICT(less)
{
    int o;
    return order(row->arena, args, &o) ? ref_bool(o < 0) : ref_undefined;
}
REF_STRICT(less_equal)
{
    int o;
    return order(row->arena, args, &o) ? ref_bool(o <= 0) : ref_undefined;
}
REF_STRICT(greater)
{
    int o;
    return order(row->arena, args, &o) ? ref_bool(o > 0) : ref_undefined;
}
REF_STRICT(greater_equal)
{
    int o;
    return order(row->arena, args, &o) ? ref_bool(o >= 0) : ref_undefined;
}

REF_STRICT(in)
{
    struct ref_value x = args[0], container = args[1];
    if (container.type == REF_STRING && x.type == REF_STRING)
        return ref_bool(str_find(container.text, x.text, 0) != SIZE_MAX);
    if (container.type != REF_LIST) return ref_undefined;
    for (size_t i = 0; i < container.count; i++) {
        if (ref_equal(row->arena, x, container.items[i])) return ref_bool(true);
    }
    return ref_bool(false);
}

/* --- truth -------------------------------------------------------------------------------------------- */

REF_STRICT(not )
{
    if (args[0].type == REF_UNDEFINED) return ref_bool(true);
    return args[0].type == REF_BOOLEAN ? ref_bool(!args[0].boolean) : ref_undefined;
}

/* The first operand that decides ends it: what follows is not looked at. */
static struct ref_value chain(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope,
                              bool deciding)
{
    for (size_t i = 0; i < node->count; i++) {
        struct ref_value v = ref_eval(row, node->parts[i], scope);
        bool truth = v.type == REF_BOOLEAN && v.boolean;
        if (v.type != REF_BOOLEAN && v.type != REF_NULL && v.type != REF_UNDEFINED) row->failed = true;
        if (row->failed) return ref_undefined;
        if (truth == deciding) return ref_bool(deciding);
    }
    return ref_bool(!deciding);
}

REF_LAZY(and)
{
    return chain(row, node, scope, false);
}
REF_LAZY(or)
{
    return chain(row, node, scope, true);
}

static bool is_true(struct ref_value v)
{
    return v.type == REF_BOOLEAN && v.boolean;
}

REF_LAZY(if)
{
    bool holds = is_true(ref_eval(row, node->parts[0], scope));
    if (row->failed) return ref_undefined;
    return ref_eval(row, node->parts[holds ? 1 : 2], scope);
}

REF_LAZY(ifs)
{
    for (size_t i = 0; i < node->count && !row->failed; i += 2) {
        if (is_true(ref_eval(row, node->parts[i], scope)) && !row->failed)
            return ref_eval(row, node->parts[i + 1], scope);
    }
    return ref_undefined;
}

REF_LAZY(let)
{
    struct ref_scope inner[128];
    for (size_t i = 0; i + 1 < node->count; i++) {
        inner[i] = (struct ref_scope){.name = node->bound[i], .let_node = node->parts[i], .parent = scope};
        scope = &inner[i];
    }
    return ref_eval(row, node->parts[node->count - 1], scope);
}

/* --- lists -------------------------------------------------------------------------------------------- */

static struct ref_value shallow(struct ref_value list)
{
    return ref_depth(list) > 16 ? ref_undefined : list;
}

REF_STRICT(list)
{
    struct ref_value list = ref_list(row->arena, count);
    for (size_t i = 0; i < count; i++) list.items[i] = args[i];
    return shallow(list);
}

REF_STRICT(index)
{
    long double i;
    if (args[0].type == REF_OBJECT && args[1].type == REF_STRING) return ref_member(args[0], args[1].text);
    if (args[0].type != REF_LIST || !ref_whole(args[1], &i)) return ref_undefined;
    return i >= 0 && i < (long double)args[0].count ? args[0].items[(size_t)i] : ref_undefined;
}

/* What the table says under a key; an object has members of its own. */
static struct ref_value table_value(struct ref_row *row, struct ref_value key, struct str name)
{
    if (key.type == REF_OBJECT) return ref_member(key, name);
    uint32_t column = row->join->column(row->join, name);
    if (key.type == REF_UNDEFINED || key.type == REF_NULL || key.type == REF_LIST || column == EXPR_NO_COLUMN)
        return ref_undefined;
    struct value text = value_str(ref_label(row->arena, key)), found = row->join->value(row->join, column, &text);
    struct json json;
    if (found.type == VALUE_ABSENT) return ref_undefined;
    if (value_to_json(row->arena, found, &json) != STATUS_OK) abort();
    return ref_from_json(row->arena, &json);
}

REF_STRICT(lookup)
{
    if (args[0].type != REF_LIST) return table_value(row, args[0], args[1].text);
    struct ref_value list = ref_list(row->arena, args[0].count);
    for (size_t i = 0; i < list.count; i++) list.items[i] = table_value(row, args[0].items[i], args[1].text);
    return shallow(list);
}

/* Item `i` of the list, and what the body gives for it. */
static struct ref_value body(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope,
                             struct ref_value item)
{
    struct ref_scope inner = {.name = node->bound[0], .item = true, .value = item, .parent = scope};
    return ref_eval(row, node->parts[1], &inner);
}

/* The result is true or false as soon as an item's body is true, or is not. */
static struct ref_value quantify(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope,
                                 bool deciding)
{
    struct ref_value list = ref_eval(row, node->parts[0], scope);
    if (list.type != REF_LIST) return ref_undefined;
    for (size_t i = 0; i < list.count && !row->failed; i++) {
        if (is_true(body(row, node, scope, list.items[i])) == deciding) return ref_bool(deciding);
    }
    return ref_bool(!deciding);
}

REF_LAZY(any)
{
    return quantify(row, node, scope, true);
}
REF_LAZY(all)
{
    return quantify(row, node, scope, false);
}

static struct ref_value collect(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope,
                                bool filter)
{
    struct ref_value list = ref_eval(row, node->parts[0], scope);
    if (list.type != REF_LIST) return ref_undefined;
    struct ref_value result = ref_list(row->arena, list.count);
    result.count = 0;
    for (size_t i = 0; i < list.count && !row->failed; i++) {
        struct ref_value v = body(row, node, scope, list.items[i]);
        if (!filter)
            result.items[result.count++] = v;
        else if (is_true(v))
            result.items[result.count++] = list.items[i];
    }
    return shallow(result);
}

REF_LAZY(map)
{
    return collect(row, node, scope, false);
}
REF_LAZY(filter)
{
    return collect(row, node, scope, true);
}

/* --- trees -------------------------------------------------------------------------------------------- */

static struct ref_value apply(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope,
                              struct str name, bool written)
{
    const struct ref_operator *operator= ref_operator(name, written);
    if (!operator->strict) return operator->lazy(row, node, scope);
    bool cast = !written && (str_is(name, "string") || str_is(name, "number") || str_is(name, "boolean"));
    size_t count = cast ? 1 : node->count;
    struct ref_value *args = ref_alloc(row->arena, count * sizeof *args);
    for (size_t i = 0; i < count; i++) args[i] = ref_eval(row, node->parts[i], scope);
    struct ref_value v = operator->strict(row, args, count);
    bool otherwise = cast && node->count == 2 && v.type == REF_UNDEFINED && !row->failed;
    return otherwise ? ref_eval(row, node->parts[1], scope) : v;
}

/* The table of a property with a literal text behind it. */
static const struct expr_join *join_of(const struct ref_row *row, const struct ref_node *node)
{
    const struct ref_node *property = node->parts[0], *name = node->parts[1];
    if (property->kind != REF_PROPERTY || name->kind != REF_LITERAL || name->value.type != REF_STRING) return NULL;
    for (size_t i = 0; i < row->join_count; i++) {
        if (str_eq(row->joins[i]->property, property->name)) return row->joins[i];
    }
    return NULL;
}

struct ref_value ref_eval(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope)
{
    const struct ref_scope *found;
    if (row->failed) return ref_undefined;
    switch (node->kind) {
    case REF_LITERAL: return node->value;
    case REF_LIST_LITERAL: return apply(row, node, scope, STR("[]"), true);
    case REF_PROPERTY: return row->property(row->context, node->name);
    case REF_USER: return row->user ? row->user(row->context, node->name) : ref_undefined;
    case REF_OTHER_ROOT: return ref_undefined;
    case REF_NAME:
        found = ref_lookup(scope, node->name);
        return found->item ? found->value : ref_eval(row, found->let_node, found->parent);
    case REF_CALL: return apply(row, node, scope, node->name, false);
    case REF_OPERATOR: return apply(row, node, scope, node->name, true);
    case REF_NEGATIVE: return apply(row, node, scope, STR("unary -"), true);
    case REF_NOT: return apply(row, node, scope, STR("not"), true);
    case REF_AND: return apply(row, node, scope, STR("and"), true);
    case REF_OR: return apply(row, node, scope, STR("or"), true);
    case REF_INDEX:
        row->join = join_of(row, node);
        return apply(row, node, scope, row->join ? STR("x[column]") : STR("x[i]"), true);
    }
    abort();
}

static struct ref_value row_member(void *context, struct str name)
{
    return ref_member(*(struct ref_value *)context, name);
}

static struct ref_value row_user_member(void *context, struct str name)
{
    return ref_member(ref_member(*(struct ref_value *)context, STR("@user")), name);
}

struct str reference_evaluate(struct arena *arena, struct str text, const struct json *json, const char *zone,
                              int64_t now_ms, bool bare, const struct expr_join *join)
{
    ref_set_zone(zone);
    struct ref_node *tree = ref_parse(arena, text, bare);
    if (!tree || ref_check(arena, tree, now_ms)) return STR("error");
    struct ref_value members = ref_from_json(arena, json);
    struct ref_row row = {.arena = arena,
                          .property = row_member,
                          .user = row_user_member,
                          .context = &members,
                          .now_ms = now_ms,
                          .joins = &join,
                          .join_count = join != NULL};
    struct ref_value v = ref_eval(&row, tree, NULL);
    if (row.failed) return STR("error");
    return v.type == REF_UNDEFINED ? STR("undefined") : ref_json_text(arena, v);
}

bool reference_accepts(struct arena *arena, struct str text, int64_t now_ms, bool bare)
{
    struct ref_node *tree = ref_parse(arena, text, bare);
    return tree && !ref_check(arena, tree, now_ms);
}
