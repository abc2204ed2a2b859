#include "expr/ast.h"
#include "expr/function.h"

/*
 * One pass from the leaves up that finds out, for every node, what it can be and what it reads. The recursion is
 * bounded by EXPR_HEIGHT_MAX, which the parser checked.
 */

static int32_t columns_join(int32_t a, int32_t b)
{
    if (a == COLUMNS_NONE) return b;
    if (b == COLUMNS_NONE || a == b) return a;
    return COLUMNS_MANY;
}

/* What a strict row gives for its first `count` arguments. */
static uint16_t strict_types(const struct node *node, uint32_t count)
{
    uint16_t types = node->function->result;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t accept = expr_accept(node->function, i), given = node->args[i]->types;
        if (!(given & accept)) return TYPE(ABSENT);
        if (given & ~accept) types |= TYPE(ABSENT);
    }
    return types;
}

static uint16_t call_types(const struct node *node)
{
    uint16_t types = 0;
    switch (node->function->form) {
    case FORM_AND:
    case FORM_OR: return TYPE(BOOL);
    case FORM_IF: return node->args[1]->types | node->args[2]->types;
    case FORM_IFS:
        for (uint32_t i = 1; i < node->count; i += 2) types |= node->args[i]->types;
        return types | TYPE(ABSENT);
    case FORM_CAST:
        types = strict_types(node, 1);
        if (node->count == 2 && types & TYPE(ABSENT)) {
            types = (uint16_t)((types & ~TYPE(ABSENT)) | node->args[1]->types);
        }
        return types;
    case FORM_LET: return node->args[node->count - 1]->types;
    case FORM_ANY:
    case FORM_ALL:
    case FORM_MAP:
    case FORM_FILTER: return strict_types(node, 1);
    default: return strict_types(node, node->count);
    }
}

/* `level` is how many lambdas are around the node. */
static void analyse(struct node *node, uint16_t level)
{
    node->columns = COLUMNS_NONE;
    node->item_level = ITEM_NONE;
    node->constant = true;
    struct binding *binding = node->binding;
    switch (node->kind) {
    case NODE_CONSTANT: node->types = (uint16_t)(1u << node->value.type); return;
    case NODE_COLUMN:
        node->types = TYPES_ANY;
        node->columns = (int32_t)node->column;
        node->constant = false;
        return;
    case NODE_NAME:
        node->types = binding->types;
        node->columns = binding->column;
        node->constant = binding->constant;
        node->item_level = binding->item_level;
        return;
    case NODE_CALL: break;
    }
    uint16_t inner = level;
    for (uint32_t i = 0; i < node->count; i++) {
        struct node *arg = node->args[i];
        analyse(arg, inner);
        node->columns = columns_join(node->columns, arg->columns);
        node->constant &= arg->constant;
        /* A lambda closes the names of its own level and of those inside it. */
        bool closed = inner > level && arg->item_level > level;
        if (!closed && arg->item_level < node->item_level) node->item_level = arg->item_level;
        if (!binding) continue;
        binding->types = arg->types;
        binding->column = arg->columns;
        binding->constant = arg->constant;
        binding->item_level = arg->item_level;
        if (binding->lambda) {
            inner = level + 1;
            binding->types = TYPES_ANY;
            binding->item_level = inner;
        }
        binding = binding->sibling;
    }
    node->types = call_types(node);
    if (node->function->form == FORM_LET) { /* values are needed where their names are used: those have told */
        node->constant = node->args[node->count - 1]->constant;
        node->item_level = node->args[node->count - 1]->item_level;
    }
}

void expr_analyse(const struct ast *ast)
{
    analyse(ast->root, 0);
}
