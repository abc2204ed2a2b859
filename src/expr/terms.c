/*
 * Cutting a filter into terms.
 *
 * `a and b and c` keeps a row when all three are true, and evaluates each only where those before it are true. A caller
 * that filters by a, then by b, then by c does the same, as long as no operand can be something that `and` objects to:
 * so a conjunction is cut only when each operand is known to be boolean, null or undefined. What is gained is that each
 * term reads few columns (mostly one), which the caller can often answer from a dictionary, from a range of numbers or
 * from a zone map without evaluating rows.
 */
#include "expr/program.h"

#include <math.h>

static bool is_cuttable(const struct node *node)
{
    if (node->kind != NODE_CALL || node->function->form != FORM_AND) return false;
    for (uint32_t i = 0; i < node->count; i++) {
        if (node->args[i]->types & ~(TYPE(BOOL) | TYPES_UNSET)) return false;
    }
    return true;
}

/* Counts the terms below a node; the one numbered *left (counting down) goes to *ret_node. */
static uint32_t walk(struct node *node, uint32_t *left, struct node **ret_node)
{
    if (!is_cuttable(node)) {
        if ((*left)-- == 0) *ret_node = node;
        return 1;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->count; i++) count += walk(node->args[i], left, ret_node);
    return count;
}

uint32_t expr_term_count(const struct ast *ast)
{
    uint32_t none = UINT32_MAX;
    struct node *node;
    return walk(ast->root, &none, &node);
}

static void renumber(struct node *node, uint32_t *numbers, const struct ast *ast, struct expr_column *columns,
                     uint32_t *count)
{
    if (node->kind == NODE_COLUMN) {
        if (numbers[node->column] == UINT32_MAX) {
            columns[*count] = ast->columns[node->column];
            numbers[node->column] = (*count)++;
        }
        node->column = numbers[node->column];
    }
    for (uint32_t i = 0; node->kind == NODE_CALL && i < node->count; i++)
        renumber(node->args[i], numbers, ast, columns, count);
}

enum status expr_narrow(struct arena *arena, struct ast *ast, uint32_t term, struct error *error)
{
    struct node *root = NULL;
    (void)walk(ast->root, &term, &root);
    if (!root) return error_set(error, STATUS_INTERNAL, "no such term");
    uint32_t count = 0;
    uint32_t *numbers = arena_alloc(arena, (ast->column_count + 1) * sizeof *numbers);
    struct expr_column *columns = arena_new_array(arena, struct expr_column, ast->column_count + 1);
    if (!numbers || !columns) return error_set(error, STATUS_LIMIT, "expression needs too much memory");
    for (size_t i = 0; i < ast->column_count; i++) numbers[i] = UINT32_MAX;
    renumber(root, numbers, ast, columns, &count);
    *ast = (struct ast){root, columns, count};
    return STATUS_OK;
}

/* A bound that an integer compares with as its nearest double does: below 2^53 both are exact, and integers beyond stay
 * beyond; at 2^63, say, the integer below it would have become equal. */
static bool exact_double(struct value v, double *ret_number)
{
    if (v.type != VALUE_DOUBLE && v.type != VALUE_INT) return false;
    *ret_number = v.type == VALUE_INT ? (double)v.integer : v.number;
    return fabs(*ret_number) < 0x1p53;
}

const struct node *expr_column_of_numbers(const struct node *node)
{
    while (node->kind == NODE_CALL && node->count == 1 && str_is(str_of(node->function->name), "number"))
        node = node->args[0];
    return node->kind == NODE_COLUMN ? node : NULL;
}

void expr_find_comparison(const struct ast *ast, struct expr *expr)
{
    static const struct {
        const char *name;
        enum expr_comparison comparison, swapped;
    } operators[] = {{"<", EXPR_LESS, EXPR_GREATER},
                     {"<=", EXPR_LESS_EQUAL, EXPR_GREATER_EQUAL},
                     {">", EXPR_GREATER, EXPR_LESS},
                     {">=", EXPR_GREATER_EQUAL, EXPR_LESS_EQUAL},
                     {"==", EXPR_EQUAL, EXPR_EQUAL}};
    const struct node *root = ast->root;
    if (root->kind != NODE_CALL || !root->function->operator|| root->count != 2) return;
    const struct node *left = root->args[0], *right = root->args[1];
    bool swapped = expr_column_of_numbers(right);
    if (swapped) {
        const struct node *other = left;
        left = right;
        right = other;
    }
    if (!expr_column_of_numbers(left) || right->kind != NODE_CONSTANT || !exact_double(right->value, &expr->bound)) return;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (str_eq(str_of(root->function->name), str_of(operators[i].name)))
            expr->comparison = swapped ? operators[i].swapped : operators[i].comparison;
    }
}

enum status expr_compile_terms(struct arena *arena, struct str text, const struct expr_options *options,
                               struct error *error, const struct expr_term **ret_terms, size_t *ret_count)
{
    static const struct expr_options defaults;
    if (!options) options = &defaults;
    const struct expr *whole;
    TRY(expr_compile(arena, text, options, error, &whole)); /* says what is wrong with the text as a whole */
    struct arena *work = arena_new((size_t)64 << 20);
    struct ast ast;
    enum status status = expr_parse(work, text, options, error, &ast);
    uint32_t count = 1;
    if (status == STATUS_OK) {
        expr_analyse(&ast);
        count = expr_term_count(&ast);
    }
    arena_free(work);
    TRY(status);
    struct expr_term *terms = arena_new_array(arena, struct expr_term, count);
    if (!terms) return error_set(error, STATUS_LIMIT, "expression needs too much memory");
    /* Each term is compiled from the text anew, so very many of them are left together. */
    if (count > EXPR_TERMS_MAX) {
        terms[0].expr = whole;
        count = 1;
    } else {
        for (uint32_t i = 0; i < count; i++) {
            TRY(expr_compile_part(arena, text, options, &i, error, &terms[i].expr));
            terms[i].comparison = terms[i].expr->comparison;
            terms[i].bound = terms[i].expr->bound;
        }
    }
    *ret_terms = terms;
    *ret_count = count;
    return STATUS_OK;
}
