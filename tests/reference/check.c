/* What makes a text an error before any row is seen: docs/api/expressions.md, decisions 19 and 34. */
#include "reference/internal.h"

const struct ref_scope *ref_lookup(const struct ref_scope *scope, struct str name)
{
    while (scope && !str_eq(scope->name, name)) scope = scope->parent;
    return scope;
}

static bool encloses(const struct ref_scope *outer, const struct ref_scope *scope)
{
    while (outer && outer != scope) outer = outer->parent;
    return outer != NULL;
}

/* Reads no property, and no item of the scopes at and around `outer`. */
static bool is_constant(const struct ref_node *node, const struct ref_scope *scope, const struct ref_scope *outer)
{
    struct ref_scope inner[128];
    if (node->kind == REF_PROPERTY || node->kind == REF_USER || node->kind == REF_OTHER_ROOT) return false;
    if (node->kind == REF_NAME) {
        const struct ref_scope *found = ref_lookup(scope, node->name);
        return found->item ? !encloses(outer, found) : is_constant(found->let_node, found->parent, outer);
    }
    bool let = node->kind == REF_CALL && str_is(node->name, "let");
    for (size_t i = 0; i < node->count; i++) {
        if (node->kind == REF_CALL && !let && node->bound[0].data && i == 1) {
            inner[0] = (struct ref_scope){.name = node->bound[0], .item = true, .parent = scope};
            scope = &inner[0];
        }
        /* What a name of `let` stands for counts where the name is used. */
        if (let && i + 1 < node->count) {
            inner[i] = (struct ref_scope){.name = node->bound[i], .let_node = node->parts[i], .parent = scope};
            scope = &inner[i];
        } else if (!is_constant(node->parts[i], scope, outer)) {
            return false;
        }
    }
    return true;
}

static struct ref_value no_property(void *context, struct str name)
{
    (void)context;
    (void)name;
    return ref_undefined;
}

static bool constant_value(struct arena *arena, const struct ref_node *node, const struct ref_scope *scope,
                           int64_t now_ms, bool *ret_failed, struct ref_value *ret_value)
{
    if (!is_constant(node, scope, scope)) return false;
    struct ref_row row = {.arena = arena, .property = no_property, .now_ms = now_ms};
    *ret_value = ref_eval(&row, node, scope);
    *ret_failed = row.failed;
    return true;
}

static bool is_truth(struct ref_value v)
{
    return v.type == REF_BOOLEAN || v.type == REF_NULL || v.type == REF_UNDEFINED;
}

static const char *check(struct arena *arena, const struct ref_node *node, const struct ref_scope *scope,
                         int64_t now_ms)
{
    bool failed;
    struct ref_value value;
    bool chain = node->kind == REF_AND || node->kind == REF_OR;
    for (size_t i = 0; i < node->count && chain; i++) {
        if (node->parts[i]->kind == REF_LIST_LITERAL) return "and/or on a list";
        if (constant_value(arena, node->parts[i], scope, now_ms, &failed, &value) && !failed && !is_truth(value))
            return "and/or on a constant that is no truth value";
    }
    bool regex = node->kind == REF_CALL && str_starts(node->name, STR("regex_"));
    if (regex && constant_value(arena, node->parts[1], scope, now_ms, &failed, &value) && value.type == REF_STRING &&
        ref_pattern_malformed(value.text))
        return "malformed pattern";

    struct ref_scope inner[128];
    bool let = node->kind == REF_CALL && str_is(node->name, "let");
    for (size_t i = 0; i < node->count; i++) {
        if (node->kind == REF_CALL && !let && node->bound[0].data && i == 1) {
            inner[0] = (struct ref_scope){.name = node->bound[0], .item = true, .parent = scope};
            scope = &inner[0];
        }
        const char *wrong = check(arena, node->parts[i], scope, now_ms);
        if (wrong) return wrong;
        if (let && i + 1 < node->count) {
            inner[i] = (struct ref_scope){.name = node->bound[i], .let_node = node->parts[i], .parent = scope};
            scope = &inner[i];
        }
    }
    return NULL;
}

const char *ref_check(struct arena *arena, const struct ref_node *tree, int64_t now_ms)
{
    bool failed = false;
    struct ref_value value;
    const char *wrong = check(arena, tree, NULL, now_ms);
    if (wrong) return wrong;
    if (constant_value(arena, tree, NULL, now_ms, &failed, &value) && failed) return "a constant that is an error";
    return NULL;
}
