/* Operators, names and lists, one row at a time. */
#include "reference/internal.h"

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

static struct ref_value subtract(long double x, long double y)
{
    int64_t result;
    if (ref_is_int64(x) && ref_is_int64(y) && !__builtin_sub_overflow((int64_t)x, (int64_t)y, &result))
        return ref_int(result);
    return ref_double((double)x - (double)y);
}

static struct ref_value multiply(long double x, long double y)
{
    int64_t result;
    if (ref_is_int64(x) && ref_is_int64(y) && !__builtin_mul_overflow((int64_t)x, (int64_t)y, &result))
        return ref_int(result);
    return ref_double((double)x * (double)y);
}

static struct ref_value remainder_of(long double x, long double y)
{
    if (y == 0) return ref_undefined;
    if (ref_is_int64(x) && ref_is_int64(y)) return ref_int(y == -1 ? 0 : (int64_t)x % (int64_t)y);
    return ref_double(fmod((double)x, (double)y));
}

static struct ref_value compare(struct str name, int order)
{
    if (str_is(name, "<")) return ref_bool(order < 0);
    if (str_is(name, "<=")) return ref_bool(order <= 0);
    if (str_is(name, ">")) return ref_bool(order > 0);
    return ref_bool(order >= 0);
}

static struct ref_value is_in(struct ref_value x, struct ref_value container)
{
    if (container.type == REF_STRING && x.type == REF_STRING)
        return ref_bool(str_find(container.text, x.text, 0) != SIZE_MAX);
    if (container.type != REF_LIST) return ref_undefined;
    for (size_t i = 0; i < container.count; i++) {
        if (ref_equal(x, container.items[i])) return ref_bool(true);
    }
    return ref_bool(false);
}

static struct ref_value eval_operator(struct ref_row *row, struct str name, struct ref_value a, struct ref_value b)
{
    long double x, y;
    if (str_is(name, "==")) return ref_bool(ref_equal(a, b));
    if (str_is(name, "!=")) return ref_bool(!ref_equal(a, b));
    if (str_is(name, "in")) return is_in(a, b);
    bool order = name.data[0] == '<' || name.data[0] == '>';
    if (a.type == REF_STRING && b.type == REF_STRING) {
        if (order) return compare(name, str_cmp(a.text, b.text));
        return str_is(name, "+") ? ref_string(ref_join(row->arena, a.text, b.text)) : ref_undefined;
    }
    if (!ref_number(a, &x) || !ref_number(b, &y)) return ref_undefined;
    if (order) return compare(name, x < y ? -1 : x > y);
    switch (name.data[0]) {
    case '+': return ref_add(a, b);
    case '-': return subtract(x, y);
    case '*': return multiply(x, y);
    case '/': return y == 0 ? ref_undefined : ref_double((double)x / (double)y);
    default: return remainder_of(x, y);
    }
}

static struct ref_value eval_not(struct ref_value v)
{
    if (v.type == REF_UNDEFINED) return ref_bool(true);
    return v.type == REF_BOOLEAN ? ref_bool(!v.boolean) : ref_undefined;
}

/* The first operand that decides ends it: what follows is not looked at. */
static struct ref_value eval_chain(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope)
{
    bool deciding = node->kind == REF_OR;
    for (size_t i = 0; i < node->count; i++) {
        struct ref_value v = ref_eval(row, node->parts[i], scope);
        bool truth = v.type == REF_BOOLEAN && v.boolean;
        if (v.type != REF_BOOLEAN && v.type != REF_NULL && v.type != REF_UNDEFINED) row->failed = true;
        if (row->failed) return ref_undefined;
        if (truth == deciding) return ref_bool(deciding);
    }
    return ref_bool(!deciding);
}

static struct ref_value eval_index(struct ref_value container, struct ref_value index)
{
    long double i;
    if (container.type == REF_OBJECT && index.type == REF_STRING) return ref_member(container, index.text);
    if (container.type != REF_LIST || !ref_whole(index, &i)) return ref_undefined;
    return i >= 0 && i < (long double)container.count ? container.items[(size_t)i] : ref_undefined;
}

static bool is_true(struct ref_value v)
{
    return v.type == REF_BOOLEAN && v.boolean;
}

static struct ref_value shallow(struct ref_value list)
{
    return ref_depth(list) > 16 ? ref_undefined : list;
}

static struct ref_value eval_over_list(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope)
{
    struct ref_value list = ref_eval(row, node->parts[0], scope);
    if (list.type != REF_LIST) return ref_undefined;
    bool any = str_is(node->name, "any"), all = str_is(node->name, "all"), map = str_is(node->name, "map");
    struct ref_value result = ref_list(row->arena, list.count);
    result.count = 0;
    for (size_t i = 0; i < list.count && !row->failed; i++) {
        struct ref_scope inner = {.name = node->bound[0], .item = true, .value = list.items[i], .parent = scope};
        struct ref_value v = ref_eval(row, node->parts[1], &inner);
        if (any && is_true(v)) return ref_bool(true);
        if (all && !is_true(v)) return ref_bool(false);
        if (map)
            result.items[result.count++] = v;
        else if (is_true(v))
            result.items[result.count++] = list.items[i];
    }
    if (any || all) return ref_bool(all);
    return shallow(result);
}

static struct ref_value eval_call(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope)
{
    struct str name = node->name;
    if (str_is(name, "any") || str_is(name, "all") || str_is(name, "map") || str_is(name, "filter"))
        return eval_over_list(row, node, scope);
    if (str_is(name, "let")) {
        struct ref_scope inner[128];
        for (size_t i = 0; i + 1 < node->count; i++) {
            inner[i] = (struct ref_scope){.name = node->bound[i], .let_node = node->parts[i], .parent = scope};
            scope = &inner[i];
        }
        return ref_eval(row, node->parts[node->count - 1], scope);
    }
    if (str_is(name, "if")) {
        bool holds = is_true(ref_eval(row, node->parts[0], scope));
        if (row->failed) return ref_undefined;
        return ref_eval(row, node->parts[holds ? 1 : 2], scope);
    }
    if (str_is(name, "ifs")) {
        for (size_t i = 0; i < node->count && !row->failed; i += 2) {
            if (is_true(ref_eval(row, node->parts[i], scope)) && !row->failed)
                return ref_eval(row, node->parts[i + 1], scope);
        }
        return ref_undefined;
    }
    if ((str_is(name, "string") || str_is(name, "number") || str_is(name, "boolean")) && node->count == 2) {
        struct ref_value v = ref_eval(row, node->parts[0], scope);
        v = ref_call(row, name, &v, 1);
        return v.type == REF_UNDEFINED && !row->failed ? ref_eval(row, node->parts[1], scope) : v;
    }
    struct ref_value *args = ref_alloc(row->arena, node->count * sizeof *args);
    for (size_t i = 0; i < node->count; i++) args[i] = ref_eval(row, node->parts[i], scope);
    return ref_call(row, name, args, node->count);
}

struct ref_value ref_eval(struct ref_row *row, const struct ref_node *node, const struct ref_scope *scope)
{
    struct ref_value a, b;
    const struct ref_scope *found;
    long double number;
    if (row->failed) return ref_undefined;
    switch (node->kind) {
    case REF_LITERAL: return node->value;
    case REF_LIST_LITERAL:
        a = ref_list(row->arena, node->count);
        for (size_t i = 0; i < node->count; i++) a.items[i] = ref_eval(row, node->parts[i], scope);
        return shallow(a);
    case REF_PROPERTY: return row->property(row->context, node->name);
    case REF_OTHER_ROOT: return ref_undefined;
    case REF_NAME:
        found = ref_lookup(scope, node->name);
        return found->item ? found->value : ref_eval(row, found->let_node, found->parent);
    case REF_CALL: return eval_call(row, node, scope);
    case REF_OPERATOR:
        a = ref_eval(row, node->parts[0], scope);
        b = ref_eval(row, node->parts[1], scope);
        return eval_operator(row, node->name, a, b);
    case REF_NEGATIVE:
        a = ref_eval(row, node->parts[0], scope);
        return ref_number(a, &number) ? subtract(0, number) : ref_undefined;
    case REF_NOT: return eval_not(ref_eval(row, node->parts[0], scope));
    case REF_AND:
    case REF_OR: return eval_chain(row, node, scope);
    case REF_INDEX:
        a = ref_eval(row, node->parts[0], scope);
        b = ref_eval(row, node->parts[1], scope);
        return eval_index(a, b);
    }
    abort();
}

static struct ref_value row_member(void *context, struct str name)
{
    return ref_member(*(struct ref_value *)context, name);
}

struct str reference_evaluate(struct arena *arena, struct str text, const struct json *json, const char *zone,
                              int64_t now_ms, bool bare)
{
    ref_set_zone(zone);
    struct ref_node *tree = ref_parse(arena, text, bare);
    if (!tree || ref_check(arena, tree, now_ms)) return STR("error");
    struct ref_value members = ref_from_json(arena, json);
    struct ref_row row = {.arena = arena, .property = row_member, .context = &members, .now_ms = now_ms};
    struct ref_value v = ref_eval(&row, tree, NULL);
    if (row.failed) return STR("error");
    return v.type == REF_UNDEFINED ? STR("undefined") : ref_json_text(arena, v);
}
