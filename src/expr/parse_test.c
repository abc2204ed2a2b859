/*
 * The tree, written as (function arguments…): what binds to what, what a name refers to, and what the analysis finds
 * out about it. Messages and positions of errors are in the golden cases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "expr/ast.h"
#include "expr/function.h"

static struct arena *arena;

static void write_node(struct buf *out, const struct ast *ast, const struct node *node)
{
    switch (node->kind) {
    case NODE_CONSTANT:
        if (node->value.type == VALUE_ABSENT)
            buf_lit(out, "undefined");
        else
            value_write_json(out, node->value);
        break;
    case NODE_COLUMN: buf_str_add(out, ast->columns[node->column].name); break;
    case NODE_NAME: buf_str_add(out, node->binding->name); break;
    case NODE_CALL: {
        const struct binding *binding = node->binding;
        buf_printf(out, "(%s", node->function->name);
        for (uint32_t i = 0; i < node->count; i++) {
            if (binding) buf_printf(out, " %.*s:", (int)binding->name.size, binding->name.data);
            buf_byte(out, ' ');
            write_node(out, ast, node->args[i]);
            if (binding) binding = binding->sibling;
        }
        buf_byte(out, ')');
        break;
    }
    }
}

static struct ast parse(const char *text)
{
    static const struct expr_options options;
    struct ast ast = {0};
    struct error error = ERROR_INIT;
    if (expr_parse(arena, str_of(text), &options, &error, &ast) != STATUS_OK) fail_msg("%s: %s", text, error.primary);
    expr_analyse(&ast);
    return ast;
}

static void trees(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *tree;
    } cases[] = {
        {"1+2*3-4", "(- (+ 1 (* 2 3)) 4)"},
        {"-1*-2", "(* (unary - 1) (unary - 2))"},
        {"-properties['a'][0]", "(unary - (x[i] a 0))"},
        {"properties['a']['b'][1]", "(x[i] (x[i] a \"b\") 1)"},
        {"true or false and true or false", "(or true (and false true) false)"},
        {"true and true and false", "(and true true false)"},
        {"(true and true) and false", "(and (and true true) false)"},
        {"not 1 = 2 and not 3 != 4", "(and (not (== 1 2)) (not (!= 3 4)))"},
        {"1+1 < 2*2 or 3 in [1,2]", "(or (< (+ 1 1) (* 2 2)) (in 3 ([] 1 2)))"},
        {"1 not in [1]", "(not (in 1 ([] 1)))"},
        {"not 1 not in [1]", "(not (not (in 1 ([] 1))))"},
        {"5 % 3 / 2", "(/ (% 5 3) 2)"},
        {"any(X, properties['l'], X == 1)", "(any X: l (== X 1))"},
        {"let(a, 1, b, a, a + b)", "(let a: 1 b: a (+ a b))"},
        {"let(a, 1, let(a, 2, a) + a)", "(let a: 1 (+ (let a: 2 a) a))"},
        {"[undefined, null, []]", "([] undefined null ([]))"},
        {"IF(True, 'a', \"b\")", "(if true \"a\" \"b\")"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = BUF_INIT(4096);
        struct ast ast = parse(cases[i].text);
        write_node(&out, &ast, ast.root);
        buf_byte(&out, 0);
        assert_string_equal(out.data, cases[i].tree);
        buf_fini(&out);
    }
}

/* An inner name hides the outer one, and neither is seen by its own value. */
static void scopes(void **unused)
{
    (void)unused;
    struct ast ast = parse("let(a, 1, any(a, [a], a == 2))");
    struct node *any = ast.root->args[1];
    assert_ptr_equal(any->args[0]->args[0]->binding, ast.root->binding);
    assert_ptr_equal(any->args[1]->args[0]->binding, any->binding);
    assert_ptr_not_equal(any->binding, ast.root->binding);
}

/* Which columns a subtree reads, also through names, and which lambda it belongs to. */
static void reads(void **unused)
{
    (void)unused;
    struct ast ast = parse("let(x, properties['a'], x == 1) or properties['b'] == properties['a'] or 1 == 1");
    assert_int_equal(ast.root->columns, COLUMNS_MANY);
    assert_int_equal(ast.root->args[0]->columns, 0);
    assert_int_equal(ast.root->args[0]->args[1]->columns, 0);
    assert_int_equal(ast.root->args[1]->columns, COLUMNS_MANY);
    assert_int_equal(ast.root->args[2]->columns, COLUMNS_NONE);
    ast = parse("any(X, properties['l'], any(Y, X, Y == X and 1 == 1))");
    struct node *inner = ast.root->args[1];
    assert_int_equal(ast.root->item_level, ITEM_NONE);
    assert_int_equal(inner->item_level, 1);
    assert_int_equal(inner->args[1]->item_level, 1);
    assert_int_equal(inner->args[1]->args[0]->args[0]->item_level, 2);
    assert_int_equal(inner->args[1]->args[1]->item_level, ITEM_NONE);
    assert_int_equal(inner->columns, 0);
}

/* Types add undefined where an operand may be of a type that is not accepted, and nothing else where it must be. */
static void types(void **unused)
{
    (void)unused;
    assert_int_equal(parse("properties['a'] * 2").root->types, TYPES_NUMBER | TYPE(ABSENT));
    assert_int_equal(parse("len('a')").root->types, TYPE(INT));
    assert_int_equal(parse("len(properties['a'])").root->types, TYPE(INT) | TYPE(ABSENT));
    assert_int_equal(parse("len(5)").root->types, TYPE(ABSENT));
    assert_int_equal(parse("any(X, 5, true)").root->types, TYPE(ABSENT));
    assert_int_equal(parse("defined(properties['a'])").root->types, TYPE(BOOL));
    assert_int_equal(parse("if(properties['a'], 1, null)").root->types, TYPE(INT) | TYPE(NULL));
    assert_int_equal(parse("ifs(properties['a'], 'x')").root->types, TYPE(STRING) | TYPE(ABSENT));
    assert_int_equal(parse("number('1', 'x')").root->types, TYPES_NUMBER | TYPE(STRING));
}

static int setup(void **unused)
{
    (void)unused;
    arena = arena_new(1 << 20);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(trees), cmocka_unit_test(scopes), cmocka_unit_test(reads),
                                       cmocka_unit_test(types)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
