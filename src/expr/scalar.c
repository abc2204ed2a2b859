#include "expr/program.h"

#include <assert.h>

/* The program for one row at a time: dictionary entries, the items of lists, and constants while compiling. */

/* VALUE_FAULT carries what is needed to report it later: which operator, and what it met. */
static struct value fault(const struct step *step, uint32_t at, struct value found)
{
    return (struct value){.type = VALUE_FAULT, .size = at, .integer = (step->op == STEP_OR) | (int64_t)found.type << 1};
}

struct value expr_combine(const struct step *step, struct value a, struct value b)
{
    bool is_or = step->op == STEP_OR;
    if (a.type == VALUE_FAULT) return a;
    if (a.type == VALUE_BOOL ? a.boolean == is_or : !is_or && a.type <= VALUE_NULL) return value_bool(is_or);
    if (a.type > VALUE_BOOL) return fault(step, step->at, a);
    if (b.type == VALUE_FAULT) return b;
    if (b.type > VALUE_BOOL) return fault(step, step->at_b, b);
    return value_bool(b.type == VALUE_BOOL && b.boolean);
}

enum status expr_fault_error(struct value v, struct error *error)
{
    static const char *const types[] = {[VALUE_INT] = "number", [VALUE_DOUBLE] = "number", [VALUE_STRING] = "string",
                                        [VALUE_LIST] = "list",  [VALUE_OBJECT] = "object", [VALUE_BIGNUM] = "number"};
    assert(v.type == VALUE_FAULT);
    error_set(error, STATUS_INVALID, "\"%s\" needs true or false, but its operand is %s %s",
              v.integer & 1 ? "or" : "and", v.integer >> 1 == VALUE_OBJECT ? "an" : "a", types[v.integer >> 1]);
    error_hint(error, "compare it with something, or use boolean(…)");
    error_position(error, 0, v.size + 1);
    return STATUS_INVALID;
}

bool expr_copy(struct arena *arena, struct value *value)
{
    if (value->type < VALUE_STRING || value->type == VALUE_FAULT) return true;
    char *bytes = arena_alloc(arena, value->size ? value->size : 1);
    if (!bytes) return false;
    if (value->size) memcpy(bytes, value->data, value->size);
    value->data = bytes;
    return true;
}

/* any, all, map and filter: the body's steps follow the step. */
static struct value run_lambda(struct expr_context *context, const struct program *program, struct value *registers,
                               struct value *args, uint32_t at)
{
    const struct step *step = &program->steps[at];
    struct expr_call call = {.context = context, .function = step->function, .at = step->at};
    struct value list = expr_operand(program, registers, step->a), item, result = value_absent();
    if (list.type == VALUE_FAULT) return list;
    if (list.type != VALUE_LIST) return result;
    bool collect = step->form == FORM_MAP || step->form == FORM_FILTER;
    struct list_builder items = LIST_BUILDER_INIT;
    struct value_iter iter = value_iter(list);
    if (!collect) result = value_bool(step->form == FORM_ALL);
    while (value_next(&iter, NULL, &item) && context->status == STATUS_OK) {
        if (--context->work_left < 0) expr_out_of_budget(&call, "work");
        registers[step->b] = item;
        expr_run_scalar(context, program, registers, args, at + 1, at + 1 + step->skip);
        struct value v = expr_operand(program, registers, step->c);
        if (v.type == VALUE_FAULT) {
            result = v;
            collect = false;
            break;
        }
        if (step->form == FORM_MAP) expr_list_add(&items, v);
        if (step->form == FORM_FILTER && expr_is_true(v)) expr_list_add(&items, item);
        if (!collect && expr_is_true(v) == (step->form == FORM_ANY)) {
            result = value_bool(step->form == FORM_ANY);
            break;
        }
    }
    if (collect) return expr_list_end(&call, &items);
    buf_fini(&items.items);
    return result;
}

void expr_run_scalar(struct expr_context *context, const struct program *program, struct value *registers,
                     struct value *args, uint32_t first, uint32_t end)
{
    for (uint32_t at = first; at < end && context->status == STATUS_OK; at++) {
        const struct step *step = &program->steps[at];
        switch ((enum step_op)step->op) {
        case STEP_CALL: {
            struct expr_call call = {context, step->function, step->data, step->at};
            for (uint32_t i = 0; i < step->count; i++) {
                args[i] = expr_operand(program, registers, program->operands[step->args + i]);
            }
            registers[step->out] = expr_apply(&call, args, step->count);
            break;
        }
        case STEP_AND:
        case STEP_OR:
            registers[step->out] = expr_combine(step, expr_operand(program, registers, step->a),
                                                expr_operand(program, registers, step->b));
            break;
        case STEP_IF: {
            struct value condition = expr_operand(program, registers, step->a);
            if (condition.type != VALUE_FAULT) {
                condition = expr_operand(program, registers, expr_is_true(condition) ? step->b : step->c);
            }
            registers[step->out] = condition;
            break;
        }
        case STEP_DEFAULT: {
            struct value v = expr_operand(program, registers, step->a);
            registers[step->out] = v.type == VALUE_ABSENT ? expr_operand(program, registers, step->b) : v;
            break;
        }
        case STEP_SELECT:
            if (!expr_predicate(step->predicate, expr_operand(program, registers, step->a))) at += step->skip;
            break;
        case STEP_LAMBDA:
            registers[step->out] = run_lambda(context, program, registers, args, at);
            at += step->skip;
            break;
        case STEP_UNSELECT:
        case STEP_UNIT: break;
        }
    }
}
