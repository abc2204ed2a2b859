#include "expr/program.h"

#include <assert.h>

#include "base/timezone.h"
#include "base/utf8.h"
#include "expr/lex.h"

/*
 * From tree to steps, in one walk. Temporaries are taken like a stack: the result of a subtree is at or above the
 * first temporary that was free when the walk entered it, and everything above the result is free again when the walk
 * leaves.
 *
 * A subtree that reads nothing is computed right away, by running the steps just emitted, and replaced by its value.
 * Since its parts were replaced before, each run is one step or one loop, and the values of let that nothing uses: what
 * those read does not matter.
 *
 * The largest subtrees that read one column become units, and so do lambdas (program.h says what for).
 */

#define FOLD_BYTES_MAX ((size_t)16 << 20)
#define WORK_BYTES_MAX ((size_t)64 << 20)
#define FOLD_WORK_MAX  2000000 /* for all constants of one expression together */

struct compiler {
    struct arena *arena; /* what the expression keeps */
    struct arena *work;  /* what only its compilation needs */
    struct error *error;
    const struct expr_options *options;
    struct program program;
    uint32_t step_capacity, operand_capacity, constant_capacity;
    uint32_t column_count, temps, temps_max, unit_count, args_max;
    bool in_unit; /* inside a unit that reads one column */
    bool scalar;  /* inside a lambda: steps run by scalars anyway */
    struct expr_context fold;
    struct value *fold_registers, *fold_args; /* column_count + TEMPS_MAX; EXPR_ITEMS_MAX */
};

static enum status no_memory(struct compiler *c)
{
    error_set(c->error, STATUS_LIMIT, "expression needs too much memory");
    return STATUS_LIMIT;
}

/* Makes room for `more` items in a growing array; NULL when the arena is full. */
static void *grow(struct compiler *c, void *items, uint32_t count, uint32_t more, uint32_t *capacity, size_t item_size)
{
    if (*capacity - count >= more) return items;
    uint32_t wanted = *capacity ? *capacity * 2 : 16;
    while (wanted - count < more) wanted *= 2;
    void *grown = arena_realloc(c->work, items, *capacity * item_size, wanted * item_size);
    if (grown) *capacity = wanted;
    return grown;
}

static enum status push_step(struct compiler *c, struct step step)
{
    struct step *steps = grow(c, c->program.steps, c->program.step_count, 1, &c->step_capacity, sizeof *steps);
    if (!steps) return no_memory(c);
    c->program.steps = steps;
    steps[c->program.step_count++] = step;
    return STATUS_OK;
}

static enum status push_operands(struct compiler *c, const uint32_t *operands, uint32_t count, uint32_t *ret_first)
{
    uint32_t *all = grow(c, c->program.operands, c->program.operand_count, count, &c->operand_capacity, sizeof *all);
    if (!all && count) return no_memory(c);
    if (count) memcpy(all + c->program.operand_count, operands, count * sizeof *all);
    c->program.operands = all;
    *ret_first = c->program.operand_count;
    c->program.operand_count += count;
    return STATUS_OK;
}

static enum status push_constant(struct compiler *c, struct value value, uint32_t *ret_operand)
{
    struct value *all = grow(c, c->program.constants, c->program.constant_count, 1, &c->constant_capacity, sizeof *all);
    if (!all || !expr_copy(c->arena, &value)) return no_memory(c);
    c->program.constants = all;
    all[c->program.constant_count] = value;
    *ret_operand = c->program.constant_count++ | OPERAND_CONSTANT;
    return STATUS_OK;
}

static enum status take_temp(struct compiler *c, uint32_t at, uint32_t *ret_operand)
{
    if (c->temps >= TEMPS_MAX) {
        error_set(c->error, STATUS_LIMIT, "expression needs more than %d values at the same time", TEMPS_MAX);
        error_position(c->error, 0, at + 1);
        return STATUS_LIMIT;
    }
    *ret_operand = c->column_count + c->temps++;
    if (c->temps > c->temps_max) c->temps_max = c->temps;
    return STATUS_OK;
}

/* Frees the temporaries from `mark` on and takes the first of them, for a result. */
static enum status result_temp(struct compiler *c, uint32_t mark, uint32_t at, uint32_t *ret_operand)
{
    c->temps = mark;
    return take_temp(c, at, ret_operand);
}

static enum status emit(struct compiler *c, struct node *node, uint32_t *ret_operand);

/* Emits a subtree that matters only where the predicate holds for operand `a`. */
static enum status emit_selected(struct compiler *c, struct node *node, enum predicate predicate, uint32_t a,
                                 uint32_t *ret_operand)
{
    uint32_t select = c->program.step_count;
    TRY(push_step(c, (struct step){.op = STEP_SELECT, .predicate = predicate, .a = a, .at = node->at}));
    TRY(emit(c, node, ret_operand));
    if (c->program.step_count == select + 1) {
        c->program.step_count = select; /* a column or a constant: nothing to skip */
        return STATUS_OK;
    }
    TRY(push_step(c, (struct step){.op = STEP_UNSELECT, .at = node->at}));
    c->program.steps[select].skip = c->program.step_count - select - 1;
    return STATUS_OK;
}

static struct value constant_of(const struct compiler *c, uint32_t operand)
{
    return c->program.constants[operand & ~OPERAND_CONSTANT];
}

/* Emits the first `count` arguments and the call of a strict row with them. */
static enum status emit_strict(struct compiler *c, struct node *node, uint32_t count, uint32_t *ret_operand)
{
    uint32_t mark = c->temps, out, args;
    struct step step = {.op = STEP_CALL, .function = node->function, .count = count, .at = node->at};
    uint32_t *operands = arena_alloc(c->work, (count + 1) * sizeof *operands);
    if (!operands) return no_memory(c);
    for (uint32_t i = 0; i < count; i++) TRY(emit(c, node->args[i], &operands[i]));
    if (node->function->prepare) {
        struct value values[4] = {0};
        bool constant[4] = {0};
        assert(count <= 4);
        for (uint32_t i = 0; i < count; i++) {
            constant[i] = operands[i] & OPERAND_CONSTANT;
            if (constant[i]) values[i] = constant_of(c, operands[i]);
        }
        struct expr_arguments arguments = {values, constant, node->args, count};
        TRY(node->function->prepare(c->arena, &c->fold, &arguments, c->error, &step.data));
    }
    TRY(push_operands(c, operands, count, &args));
    TRY(result_temp(c, mark, node->at, &out));
    step.out = out;
    step.args = args;
    if (count > c->args_max) c->args_max = count;
    TRY(push_step(c, step));
    *ret_operand = out;
    return STATUS_OK;
}

/* Decision 19: an operand that cannot be a truth value, whatever the row. */
static enum status check_truth(struct compiler *c, const struct node *logic, const struct node *arg, uint32_t operand)
{
    bool list = arg->kind == NODE_CALL && arg->function == expr_function(STR("[]"), true);
    struct value v = operand & OPERAND_CONSTANT ? constant_of(c, operand) : value_absent();
    if (!list && (v.type <= VALUE_BOOL || v.type == VALUE_FAULT)) return STATUS_OK;
    struct step step = {.op = logic->function->form == FORM_OR ? STEP_OR : STEP_AND, .at = arg->at};
    if (list) v.type = VALUE_LIST;
    return expr_fault_error(expr_combine(&step, v, value_absent()), c->error);
}

/* a and b and c is (a and b) and c: each operand is selected by what came before it. */
static enum status emit_logic(struct compiler *c, struct node *node, uint32_t *ret_operand)
{
    uint32_t mark = c->temps, left, right, out;
    bool is_or = node->function->form == FORM_OR;
    struct step step = {.op = is_or ? STEP_OR : STEP_AND, .at = node->args[0]->at};
    TRY(emit(c, node->args[0], &left));
    TRY(check_truth(c, node, node->args[0], left));
    for (uint32_t i = 1; i < node->count; i++) {
        TRY(emit_selected(c, node->args[i], is_or ? SELECT_FALSE : SELECT_TRUE, left, &right));
        TRY(check_truth(c, node, node->args[i], right));
        TRY(result_temp(c, mark, node->at, &out));
        step.out = out;
        step.a = left;
        step.b = right;
        step.at_b = node->args[i]->at;
        TRY(push_step(c, step));
        left = out;
    }
    *ret_operand = left;
    return STATUS_OK;
}

static enum status emit_if(struct compiler *c, struct node *node, uint32_t *ret_operand)
{
    uint32_t mark = c->temps, condition, yes, no, out;
    TRY(emit(c, node->args[0], &condition));
    TRY(emit_selected(c, node->args[1], SELECT_TRUE, condition, &yes));
    TRY(emit_selected(c, node->args[2], SELECT_NOT_TRUE, condition, &no));
    TRY(result_temp(c, mark, node->at, &out));
    *ret_operand = out;
    return push_step(c, (struct step){.op = STEP_IF, .out = out, .a = condition, .b = yes, .c = no, .at = node->at});
}

/* ifs(c1, v1, c2, v2) is if(c1, v1, if(c2, v2, undefined)), but emitted by loops: first all conditions and values,
 * each pair inside the selection that the ones before left over, then the IFs from the innermost out. */
static enum status emit_ifs(struct compiler *c, struct node *node, uint32_t *ret_operand)
{
    uint32_t mark = c->temps, pairs = node->count / 2, out, rest;
    uint32_t *operands = arena_new_array(c->work, uint32_t, (size_t)pairs * 3);
    if (!operands) return no_memory(c);
    uint32_t *conditions = operands, *values = operands + pairs, *selects = values + pairs;
    TRY(take_temp(c, node->at, &out));
    TRY(push_constant(c, value_absent(), &rest));
    for (uint32_t i = 0; i < pairs; i++) {
        if (i > 0) {
            selects[i] = c->program.step_count;
            TRY(push_step(c, (struct step){.op = STEP_SELECT, .predicate = SELECT_NOT_TRUE, .a = conditions[i - 1]}));
        }
        TRY(emit(c, node->args[i * 2], &conditions[i]));
        TRY(emit_selected(c, node->args[i * 2 + 1], SELECT_TRUE, conditions[i], &values[i]));
    }
    for (uint32_t i = pairs; i-- > 0;) {
        struct step step = {.op = STEP_IF, .out = out, .a = conditions[i], .b = values[i], .c = rest, .at = node->at};
        TRY(push_step(c, step));
        rest = out;
        if (i == 0) break;
        TRY(push_step(c, (struct step){.op = STEP_UNSELECT}));
        c->program.steps[selects[i]].skip = c->program.step_count - selects[i] - 1;
    }
    c->temps = mark + 1;
    *ret_operand = out;
    return STATUS_OK;
}

static enum status emit_cast(struct compiler *c, struct node *node, uint32_t *ret_operand)
{
    uint32_t mark = c->temps, value, fallback, out;
    TRY(emit_strict(c, node, 1, &value));
    *ret_operand = value;
    if (node->count == 1) return STATUS_OK;
    TRY(emit_selected(c, node->args[1], SELECT_ABSENT, value, &fallback));
    TRY(result_temp(c, mark, node->at, &out));
    *ret_operand = out;
    return push_step(c, (struct step){.op = STEP_DEFAULT, .out = out, .a = value, .b = fallback, .at = node->at});
}

static enum status emit_let(struct compiler *c, struct node *node, uint32_t *ret_operand)
{
    struct binding *binding = node->binding;
    for (uint32_t i = 0; i + 1 < node->count; i++, binding = binding->sibling) {
        TRY(emit(c, node->args[i], &binding->operand));
    }
    return emit(c, node->args[node->count - 1], ret_operand);
}

static enum status emit_lambda(struct compiler *c, struct node *node, uint32_t *ret_operand)
{
    uint32_t mark = c->temps, list, item, body, out, at;
    bool scalar = c->scalar;
    c->scalar = true;
    TRY(emit(c, node->args[0], &list));
    /* The body's temporaries must not reuse the list's register: it is read between the rounds. */
    TRY(take_temp(c, node->at, &item));
    node->binding->operand = item;
    at = c->program.step_count;
    TRY(push_step(c, (struct step){.op = STEP_LAMBDA,
                                   .form = node->function->form,
                                   .function = node->function,
                                   .a = list,
                                   .b = item,
                                   .at = node->at}));
    TRY(emit(c, node->args[1], &body));
    TRY(result_temp(c, mark, node->at, &out));
    struct step *step = &c->program.steps[at];
    step->out = out;
    step->c = body;
    step->skip = c->program.step_count - at - 1;
    c->scalar = scalar;
    *ret_operand = out;
    return STATUS_OK;
}

/* The registers that a subtree reads from outside: columns, and names bound around it. Those inside are not emitted
 * yet. */
static void collect_inputs(const struct node *node, uint32_t *inputs, uint32_t *count)
{
    uint32_t operand = OPERAND_NONE;
    if (node->kind == NODE_COLUMN) operand = node->column;
    if (node->kind == NODE_NAME) operand = node->binding->operand;
    for (uint32_t i = 0; i < *count; i++) {
        if (inputs[i] == operand) return;
    }
    if (operand != OPERAND_NONE && !(operand & OPERAND_CONSTANT)) inputs[(*count)++] = operand;
    for (uint32_t i = 0; i < node->count; i++) collect_inputs(node->args[i], inputs, count);
}

static enum status push_unit(struct compiler *c, const struct node *node, bool rows)
{
    struct step step = {.op = STEP_UNIT, .rows = rows, .unit = c->unit_count++, .at = node->at};
    /* At most every column and every temporary. */
    uint32_t *inputs = arena_alloc(c->work, (c->column_count + TEMPS_MAX) * sizeof *inputs);
    if (!inputs) return no_memory(c);
    collect_inputs(node, inputs, &step.count);
    TRY(push_operands(c, inputs, step.count, &step.args));
    return push_step(c, step);
}

static enum status emit_call(struct compiler *c, struct node *node, uint32_t *ret_operand)
{
    switch ((enum form)node->function->form) {
    case FORM_STRICT: return emit_strict(c, node, node->count, ret_operand);
    case FORM_AND:
    case FORM_OR: return emit_logic(c, node, ret_operand);
    case FORM_IF: return emit_if(c, node, ret_operand);
    case FORM_IFS: return emit_ifs(c, node, ret_operand);
    case FORM_CAST: return emit_cast(c, node, ret_operand);
    case FORM_LET: return emit_let(c, node, ret_operand);
    case FORM_ANY:
    case FORM_ALL:
    case FORM_MAP:
    case FORM_FILTER: return emit_lambda(c, node, ret_operand);
    }
    return STATUS_INTERNAL;
}

/* Computes the steps from `first` on, which read nothing, and puts a constant in their place. Leaves them when they
 * cost too much. */
static enum status fold(struct compiler *c, const struct program *before, uint32_t mark, uint32_t *operand)
{
    uint32_t first = before->step_count;
    arena_reset(c->fold.arena);
    c->fold.status = STATUS_OK;
    if (c->fold.work_left <= 0) return STATUS_OK;
    /* Unused values of let may read what is around them, which is not known: undefined will do. */
    memset(c->fold_registers, 0, (c->column_count + mark) * sizeof *c->fold_registers);
    expr_run_scalar(&c->fold, &c->program, c->fold_registers, c->fold_args, first, c->program.step_count);
    if (c->fold.status != STATUS_OK) return STATUS_OK;
    struct value value = expr_operand(&c->program, c->fold_registers, *operand);
    c->program.step_count = first;
    c->program.operand_count = before->operand_count;
    c->program.constant_count = before->constant_count;
    c->temps = mark;
    return push_constant(c, value, operand);
}

static enum status emit(struct compiler *c, struct node *node, uint32_t *ret_operand)
{
    if (node->kind == NODE_CONSTANT) return push_constant(c, node->value, ret_operand);
    if (node->kind == NODE_COLUMN || node->kind == NODE_NAME) {
        *ret_operand = node->kind == NODE_COLUMN ? node->column : node->binding->operand;
        return STATUS_OK;
    }
    const struct program before = c->program;
    uint32_t first = before.step_count, mark = c->temps;
    bool in_unit = c->in_unit, constant = node->constant && node->item_level == ITEM_NONE;
    enum form form = node->function->form;
    bool lambda = form == FORM_ANY || form == FORM_ALL || form == FORM_MAP || form == FORM_FILTER;
    bool one_column = node->columns >= 0 && !in_unit, unit = !c->scalar && (lambda || one_column);
    if (unit) {
        TRY(push_unit(c, node, lambda));
        c->in_unit = in_unit || one_column;
    }
    TRY(emit_call(c, node, ret_operand));
    c->in_unit = in_unit;
    if (*ret_operand & OPERAND_CONSTANT || *ret_operand < c->column_count + mark) {
        /* let(x, 1, properties["a"]): no step is needed for that */
        c->program.step_count = first;
        c->temps = mark;
        return STATUS_OK;
    }
    if (unit) {
        struct step *step = &c->program.steps[first];
        step->out = *ret_operand;
        step->skip = c->program.step_count - first - 1;
    }
    if (constant) return fold(c, &before, mark, ret_operand);
    return STATUS_OK;
}

struct expr_context expr_context(const struct expr *expr)
{
    return (struct expr_context){.formula = expr->formula, .zone = expr->zone, .now_ms = expr->now_ms};
}

/* A copy of `count` items in the expression's arena; NULL when it is full. */
static void *keep(struct compiler *c, const void *items, size_t count, size_t item_size)
{
    void *copy = arena_alloc(c->arena, count * item_size + 1);
    if (copy && count) memcpy(copy, items, count * item_size);
    return copy;
}

static enum status compile(struct compiler *c, struct str text, const uint32_t *term, struct expr *expr)
{
    struct ast ast;
    TRY(expr_parse(c->work, text, c->options, c->error, &ast));
    expr_analyse(&ast);
    if (term) {
        TRY(expr_narrow(c->work, &ast, *term, c->error));
        expr_analyse(&ast);
        expr_find_comparison(&ast, expr);
    }
    c->column_count = (uint32_t)ast.column_count;
    struct expr_column *columns = keep(c, ast.columns, ast.column_count, sizeof *columns);
    c->fold_registers = arena_new_array(c->work, struct value, c->column_count + TEMPS_MAX);
    c->fold_args = arena_new_array(c->work, struct value, EXPR_ITEMS_MAX);
    if (!columns || !c->fold_registers || !c->fold_args) return no_memory(c);
    for (size_t i = 0; i < ast.column_count; i++) {
        columns[i].name = arena_str(c->arena, columns[i].name);
        if (!columns[i].name.data) return no_memory(c);
    }
    TRY(emit(c, ast.root, &expr->result));
    if (expr->result & OPERAND_CONSTANT && constant_of(c, expr->result).type == VALUE_FAULT) {
        return expr_fault_error(constant_of(c, expr->result), c->error);
    }
    struct program program = c->program;
    program.steps = keep(c, program.steps, program.step_count, sizeof *program.steps);
    program.operands = keep(c, program.operands, program.operand_count, sizeof *program.operands);
    program.constants = keep(c, program.constants, program.constant_count, sizeof *program.constants);
    if (!program.steps || !program.operands || !program.constants) return no_memory(c);
    expr->program = program;
    expr->columns = columns;
    expr->column_count = ast.column_count;
    expr->types = ast.root->types;
    expr->keeps_numbers = ast.column_count == 1 && expr_column_of_numbers(ast.root);
    expr->register_count = c->column_count + c->temps_max;
    expr->unit_count = c->unit_count;
    expr->args_max = c->args_max;
    return STATUS_OK;
}

enum status expr_compile(struct arena *arena, struct str text, const struct expr_options *options, struct error *error,
                         const struct expr **ret_expr)
{
    return expr_compile_part(arena, text, options, NULL, error, ret_expr);
}

enum status expr_compile_part(struct arena *arena, struct str text, const struct expr_options *options,
                              const uint32_t *term, struct error *error, const struct expr **ret_expr)
{
    static const struct expr_options defaults;
    if (!options) options = &defaults;
    if (text.size > EXPR_TEXT_MAX) {
        return error_set(error, STATUS_LIMIT, "expression is longer than %d bytes", EXPR_TEXT_MAX);
    }
    if (text.size && !utf8_valid(text.data, text.size)) {
        size_t at = 0;
        while (at < text.size && utf8_next(text.data, text.size, &at) != 0xFFFD) continue;
        return expr_error_at(error, at - 1, "expression is not valid UTF-8");
    }
    struct expr *expr = arena_new_array(arena, struct expr, 1);
    if (!expr) return error_set(error, STATUS_LIMIT, "expression needs too much memory");
    expr->formula = options->formula;
    expr->zone = options->zone ? options->zone : timezone_utc();
    expr->now_ms = options->now_ms;
    struct compiler compiler = {.arena = arena, .error = error, .options = options, .fold = expr_context(expr)};
    compiler.work = arena_new(WORK_BYTES_MAX);
    compiler.fold.arena = arena_new(FOLD_BYTES_MAX);
    compiler.fold.work_left = FOLD_WORK_MAX;
    enum status status = compile(&compiler, text, term, expr);
    expr_regex_cache_free(compiler.fold.regexes);
    arena_free(compiler.fold.arena);
    arena_free(compiler.work);
    TRY(status);
    *ret_expr = expr;
    return STATUS_OK;
}

const struct expr_column *expr_columns(const struct expr *expr, size_t *ret_count)
{
    *ret_count = expr->column_count;
    return expr->columns;
}

enum expr_type expr_result_type(const struct expr *expr)
{
    uint16_t types = (uint16_t)(expr->types & ~TYPES_UNSET);
    if (types == TYPE(BOOL)) return EXPR_BOOL;
    if (types == TYPE(STRING)) return EXPR_STRING;
    return types && !(types & ~TYPES_NUMBER) ? EXPR_NUMBER : EXPR_ANY;
}

bool expr_is_column(const struct expr *expr)
{
    return expr->column_count == 1 && expr->program.step_count == 0 && expr->result == 0;
}

bool expr_keeps_numbers(const struct expr *expr)
{
    return expr->keeps_numbers;
}

bool expr_constant(const struct expr *expr, struct value *ret_value)
{
    if (!(expr->result & OPERAND_CONSTANT)) return false;
    *ret_value = expr->program.constants[expr->result & ~OPERAND_CONSTANT];
    return true;
}
