#include "expr/program.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

/*
 * The program over vectors.
 *
 * Every register holds a vector. A step whose operands are all CONST gives CONST; a unit over one dictionary column
 * gives DICT with the codes of that column; everything else is written row by row into the register's own 1024
 * values. A register may be an operand and the result of the same step: operands are read through views taken before
 * the loop, a CONST view has its value outside the values that the loop overwrites, and rows are read before they are
 * written.
 *
 * The selection is the list of rows that matter; it only ever shrinks inside SELECT … UNSELECT. Values of other rows
 * are undefined memory contents of an earlier use and never looked at.
 *
 * Faults travel as values (VALUE_FAULT). Only the faults of selected rows in the final result become an error.
 *
 * Memory: registers are allocated when first written and kept; what strings and lists need lives in `scratch` for one
 * evaluation; each dictionary unit keeps its results in its own arena until the dictionary changes. Half of the
 * budget is for registers, a quarter each for the other two.
 */

struct reg {
    struct vector vector;
    struct value single;   /* of a CONST vector */
    struct value *storage; /* of a FLAT vector; NULL until needed */
};

/* What a unit knows about one dictionary. */
struct cache {
    struct arena *arena;
    uint64_t dict_id;   /* of the input; 0: nothing is kept */
    uint64_t result_id; /* of the results as a dictionary of their own; 0: not complete */
    uint64_t rows;      /* rows served since the dictionary came */
    uint32_t dict_count;
    bool flat; /* the results cannot be handed out as a dictionary */
    struct value *values;
    uint8_t *known; /* which of them are computed */
};

struct selection {
    struct selection *outer;
    uint32_t count;
    uint16_t rows[VECTOR_ROWS_MAX];
};

struct expr_state {
    const struct expr *expr;
    struct arena *fixed, *scratch;
    struct expr_context context;
    struct reg *registers;
    struct value *scalars, *args; /* by scalars: registers; arguments of one call */
    struct vector *views;         /* operands of one call */
    struct cache *caches;
    struct selection *selection;
    struct selection first;
};

#define BUDGET_MIN      ((size_t)1 << 20)
#define CACHE_BYTES_MIN ((size_t)64 << 10)

struct expr_state *expr_state_new(const struct expr *expr, size_t budget_bytes)
{
    if (budget_bytes < BUDGET_MIN) budget_bytes = BUDGET_MIN;
    struct expr_state *state = calloc(1, sizeof *state);
    if (!state) abort();
    state->expr = expr;
    state->context = expr_context(expr);
    state->fixed = arena_new(budget_bytes / 2);
    state->scratch = arena_new(budget_bytes / 4);
    state->registers = calloc(expr->register_count + 1, sizeof *state->registers);
    state->scalars = calloc(expr->register_count + 1, sizeof *state->scalars);
    state->args = calloc(expr->args_max + 1, sizeof *state->args);
    state->views = calloc(expr->args_max + 1, sizeof *state->views);
    state->caches = calloc(expr->unit_count + 1, sizeof *state->caches);
    if (!state->registers || !state->scalars || !state->args || !state->views || !state->caches) abort();
    for (uint32_t i = 0; i < expr->unit_count; i++) {
        size_t bytes = budget_bytes / 4 / expr->unit_count;
        state->caches[i].arena = arena_new(bytes > CACHE_BYTES_MIN ? bytes : CACHE_BYTES_MIN);
    }
    return state;
}

void expr_state_watch(struct expr_state *state, expr_look_fn *look, const void *arg)
{
    state->context.look = look;
    state->context.look_arg = arg;
}

void expr_state_free(struct expr_state *state)
{
    if (!state) return;
    for (uint32_t i = 0; i < state->expr->unit_count; i++) arena_free(state->caches[i].arena);
    expr_regex_cache_free(state->context.regexes);
    arena_free(state->fixed);
    arena_free(state->scratch);
    free(state->registers);
    free(state->scalars);
    free(state->args);
    free(state->views);
    free(state->caches);
    free(state);
}

static void no_memory(struct expr_state *state, const struct step *step)
{
    struct expr_context *context = &state->context;
    if (context->status != STATUS_OK) return;
    context->status = error_set(context->error, STATUS_LIMIT, "expression needs too much memory");
    error_position(context->error, 0, step->at + 1);
}

static struct vector view(const struct expr_state *state, uint32_t operand)
{
    if (!(operand & OPERAND_CONSTANT)) return state->registers[operand].vector;
    return (struct vector){.kind = VECTOR_CONST,
                           .values = &state->expr->program.constants[operand & ~OPERAND_CONSTANT]};
}

static void set_constant(struct expr_state *state, uint32_t out, struct value v)
{
    struct reg *reg = &state->registers[out];
    reg->single = v;
    reg->vector = (struct vector){.kind = VECTOR_CONST, .values = &reg->single};
}

/* The register's own values, for writing; NULL with the context failed. Follow with set_flat. */
static struct value *storage(struct expr_state *state, const struct step *step)
{
    struct reg *reg = &state->registers[step->out];
    if (!reg->storage) reg->storage = arena_alloc(state->fixed, VECTOR_ROWS_MAX * sizeof *reg->storage);
    if (!reg->storage) no_memory(state, step);
    return reg->storage;
}

static void set_flat(struct expr_state *state, uint32_t out)
{
    struct reg *reg = &state->registers[out];
    reg->vector = (struct vector){.kind = VECTOR_FLAT, .values = reg->storage};
}

static void step_call(struct expr_state *state, const struct step *step)
{
    struct expr_call call = {&state->context, step->function, step->data, step->at};
    const struct selection *selection = state->selection;
    bool constant = true;
    for (uint32_t i = 0; i < step->count; i++) {
        state->views[i] = view(state, state->expr->program.operands[step->args + i]);
        if (state->views[i].kind == VECTOR_CONST)
            state->args[i] = state->views[i].values[0]; /* for every row */
        else
            constant = false;
    }
    if (constant) {
        set_constant(state, step->out, expr_apply(&call, state->args, step->count));
        return;
    }
    struct value *out = storage(state, step);
    if (!out) return;
    for (uint32_t k = 0; k < selection->count && state->context.status == STATUS_OK; k++) {
        uint32_t row = selection->rows[k];
        for (uint32_t i = 0; i < step->count; i++) {
            if (state->views[i].kind != VECTOR_CONST) state->args[i] = vector_at(&state->views[i], row);
        }
        out[row] = expr_apply(&call, state->args, step->count);
    }
    set_flat(state, step->out);
}

/* AND, OR, IF and DEFAULT for one row. The operands that `a` makes superfluous may be anything: they are not looked
 * at. */
static inline struct value join(const struct step *step, const struct vector *a, const struct vector *b,
                                const struct vector *c, uint32_t row)
{
    struct value v = vector_at(a, row);
    switch (step->op) {
    case STEP_IF:
        if (v.type == VALUE_FAULT) return v;
        return expr_is_true(v) ? vector_at(b, row) : vector_at(c, row);
    case STEP_DEFAULT: return v.type == VALUE_ABSENT ? vector_at(b, row) : v;
    default: {
        bool needed = expr_predicate(step->op == STEP_OR ? SELECT_FALSE : SELECT_TRUE, v);
        return expr_combine(step, v, needed ? vector_at(b, row) : value_absent());
    }
    }
}

static void step_join(struct expr_state *state, const struct step *step)
{
    struct vector a = view(state, step->a), b = view(state, step->b);
    struct vector c = step->op == STEP_IF ? view(state, step->c) : b;
    const struct selection *selection = state->selection;
    if (a.kind == VECTOR_CONST) {
        /* One side is needed for every row, or none. */
        struct value v = a.values[0];
        const struct vector *side = &a;
        if (step->op == STEP_IF && v.type != VALUE_FAULT) side = expr_is_true(v) ? &b : &c;
        if (step->op == STEP_DEFAULT && v.type == VALUE_ABSENT) side = &b;
        if (step->op == STEP_AND && expr_is_true(v)) side = &b;
        if (step->op == STEP_OR && expr_predicate(SELECT_FALSE, v)) side = &b;
        if (side->kind == VECTOR_CONST) {
            set_constant(state, step->out, join(step, &a, &b, &c, 0));
            return;
        }
    }
    struct value *out = storage(state, step);
    if (!out) return;
    for (uint32_t k = 0; k < selection->count; k++) {
        uint32_t row = selection->rows[k];
        out[row] = join(step, &a, &b, &c, row);
    }
    set_flat(state, step->out);
}

/* Narrows the selection. False when nothing is left: the stretch is to be skipped. */
static bool step_select(struct expr_state *state, const struct step *step)
{
    struct vector a = view(state, step->a);
    struct selection *outer = state->selection;
    struct selection *inner = arena_alloc(state->scratch, sizeof *inner);
    if (!inner) {
        no_memory(state, step);
        return false;
    }
    inner->outer = outer;
    inner->count = 0;
    for (uint32_t k = 0; k < outer->count; k++) {
        inner->rows[inner->count] = outer->rows[k];
        inner->count += expr_predicate(step->predicate, vector_at(&a, outer->rows[k]));
    }
    if (inner->count == 0) return false;
    state->selection = inner;
    return true;
}

/* Runs a unit's steps by scalars, for inputs that the caller has put into the scalar registers. */
static struct value run_unit(struct expr_state *state, uint32_t at)
{
    const struct program *program = &state->expr->program;
    const struct step *step = &program->steps[at];
    expr_run_scalar(&state->context, program, state->scalars, state->args, at + 1, at + 1 + step->skip);
    return state->scalars[step->out];
}

/* Makes the cache ready for a dictionary; false when it is too large to be kept, or has no name to know it by. */
static bool cache_begin(struct cache *cache, const struct vector *input)
{
    if (input->dict_id == 0) return false;
    if (cache->dict_id == input->dict_id && cache->dict_count == input->dict_count) return true;
    struct arena *arena = cache->arena;
    arena_reset(arena);
    *cache = (struct cache){.arena = arena};
    struct value *values = arena_alloc(arena, input->dict_count * sizeof *values);
    uint8_t *known = arena_calloc(arena, input->dict_count, 1);
    if (!values || !known) return false;
    cache->dict_id = input->dict_id;
    cache->dict_count = input->dict_count;
    cache->values = values;
    cache->known = known;
    return true;
}

/* Computes the entry for `code` if it is not known. False when the results no longer fit: the cache is empty then. */
static bool cache_fill(struct expr_state *state, uint32_t at, struct cache *cache, const struct vector *input,
                       uint32_t code)
{
    const struct step *step = &state->expr->program.steps[at];
    if (cache->known[code]) return true;
    state->scalars[state->expr->program.operands[step->args]] = input->values[code];
    struct value v = run_unit(state, at);
    if (state->context.status != STATUS_OK) return true;
    /* A result may point into the column's bytes, which need not stay where they are as long as the dictionary does.
     */
    if (!expr_copy(cache->arena, &v)) {
        cache->dict_id = 0;
        return false;
    }
    cache->values[code] = v;
    cache->known[code] = 1;
    return true;
}

/* The dictionary way. False when it is not possible this time. */
static bool unit_by_dictionary(struct expr_state *state, uint32_t at, const struct vector *input)
{
    const struct step *step = &state->expr->program.steps[at];
    const struct selection *selection = state->selection;
    struct cache *cache = &state->caches[step->unit];
    if (!cache_begin(cache, input)) return false;
    for (uint32_t k = 0; k < selection->count && state->context.status == STATUS_OK; k++) {
        if (!cache_fill(state, at, cache, input, input->codes[selection->rows[k]])) return false;
    }
    cache->rows += selection->count;
    state->registers[step->out].vector = *input;
    state->registers[step->out].vector.values = cache->values;
    return true;
}

static void unit_by_rows(struct expr_state *state, uint32_t at)
{
    const struct program *program = &state->expr->program;
    const struct step *step = &program->steps[at];
    const struct selection *selection = state->selection;
    struct value *out = storage(state, step);
    if (!out) return;
    for (uint32_t k = 0; k < selection->count && state->context.status == STATUS_OK; k++) {
        for (uint32_t i = 0; i < step->count; i++) {
            uint32_t operand = program->operands[step->args + i];
            state->scalars[operand] = vector_at(&state->registers[operand].vector, selection->rows[k]);
        }
        out[selection->rows[k]] = run_unit(state, at);
    }
    set_flat(state, step->out);
}

/* True when the unit is done; false when its steps are to be run by vectors. */
static bool step_unit(struct expr_state *state, uint32_t at)
{
    const struct program *program = &state->expr->program;
    const struct step *step = &program->steps[at];
    bool constant = true;
    for (uint32_t i = 0; i < step->count; i++) {
        uint32_t operand = program->operands[step->args + i];
        const struct vector *input = &state->registers[operand].vector;
        if (input->kind == VECTOR_CONST)
            state->scalars[operand] = input->values[0];
        else
            constant = false;
    }
    if (constant) {
        set_constant(state, step->out, run_unit(state, at));
        return true;
    }
    if (step->count == 1) {
        struct vector input = state->registers[program->operands[step->args]].vector;
        if (input.kind == VECTOR_DICT && unit_by_dictionary(state, at, &input)) return true;
    }
    if (!step->rows) return false;
    unit_by_rows(state, at);
    return true;
}

static enum status run(struct expr_state *state, const struct vector *columns, struct error *error)
{
    const struct expr *expr = state->expr;
    const struct program *program = &expr->program;
    state->context.error = error;
    state->context.arena = state->scratch;
    state->context.status = STATUS_OK;
    state->context.work_left = EXPR_WORK_MAX;
    state->context.look_at = EXPR_WORK_MAX - EXPR_LOOK_WORK;
    state->selection = &state->first;
    arena_reset(state->scratch);
    for (size_t i = 0; i < expr->column_count; i++) state->registers[i].vector = columns[i];
    for (uint32_t at = 0; at < program->step_count && state->context.status == STATUS_OK; at++) {
        const struct step *step = &program->steps[at];
        switch ((enum step_op)step->op) {
        case STEP_CALL: step_call(state, step); break;
        case STEP_AND:
        case STEP_OR:
        case STEP_IF:
        case STEP_DEFAULT: step_join(state, step); break;
        case STEP_SELECT:
            if (!step_select(state, step)) at += step->skip;
            break;
        case STEP_UNSELECT: state->selection = state->selection->outer; break;
        case STEP_UNIT:
            if (step_unit(state, at)) at += step->skip;
            break;
        case STEP_LAMBDA: abort(); /* always inside a unit, which does not come here */
        }
    }
    return state->context.status;
}

/* Only whole dictionaries may leave: all entries computed, none of them a fault, code 0 undefined. Completing one
 * that is much larger than what has been asked of it so far does not pay. */
static bool complete_dictionary(struct expr_state *state, struct vector *result)
{
    const struct program *program = &state->expr->program;
    const struct step *step = &program->steps[0];
    struct cache *cache = &state->caches[step->unit];
    if (program->step_count == 0 || step->op != STEP_UNIT || step->skip != program->step_count - 1) return false;
    if (step->out != state->expr->result || result->values != cache->values || cache->flat) return false;
    if (!cache->result_id) {
        static atomic_uint_fast64_t ids;
        struct vector input = state->registers[program->operands[step->args]].vector;
        if (cache->dict_count / 4 > cache->rows) return false;
        for (uint32_t code = 0; code < cache->dict_count; code++) {
            if (!cache_fill(state, 0, cache, &input, code) || state->context.status != STATUS_OK) return false;
            if (cache->values[code].type == VALUE_FAULT || cache->values[0].type != VALUE_ABSENT) {
                cache->flat = true;
                return false;
            }
        }
        /* Stores number their dictionaries from 1: the top bit keeps ours apart. */
        cache->result_id = atomic_fetch_add(&ids, 1) | (uint64_t)1 << 63;
    }
    result->dict_id = cache->result_id;
    return true;
}

static struct value *flatten(struct expr_state *state, const struct vector *result, uint32_t rows)
{
    struct value *flat = arena_alloc(state->scratch, VECTOR_ROWS_MAX * sizeof *flat);
    for (uint32_t row = 0; flat && row < rows; row++) flat[row] = vector_at(result, row);
    return flat;
}

/* The rows that are asked for: all, or those whose keep is not 0. */
static void select_rows(struct selection *selection, uint32_t rows, const uint8_t *keep)
{
    selection->count = 0;
    for (uint32_t row = 0; row < rows; row++) {
        selection->rows[selection->count] = (uint16_t)row;
        selection->count += !keep || keep[row] != 0;
    }
}

enum status expr_eval(struct expr_state *state, const struct vector *columns, uint32_t rows, struct error *error,
                      struct vector *ret_result)
{
    return expr_eval_kept(state, columns, rows, NULL, error, ret_result);
}

enum status expr_eval_kept(struct expr_state *state, const struct vector *columns, uint32_t rows, const uint8_t *keep,
                           struct error *error, struct vector *ret_result)
{
    static const struct value absent = {.type = VALUE_ABSENT};
    assert(rows <= VECTOR_ROWS_MAX);
    const struct selection *selection = &state->first;
    select_rows(&state->first, rows, keep);
    if (selection->count == 0) {
        *ret_result = (struct vector){.kind = VECTOR_CONST, .count = rows, .values = &absent};
        return STATUS_OK;
    }
    TRY(run(state, columns, error));
    struct vector result = view(state, state->expr->result);
    result.count = rows;
    for (uint32_t k = 0; k < (result.kind == VECTOR_CONST ? 1 : selection->count); k++) {
        struct value v = vector_at(&result, selection->rows[k]);
        if (v.type == VALUE_FAULT) return expr_fault_error(v, error);
    }
    if (result.kind == VECTOR_DICT && state->expr->result >= state->expr->column_count) {
        struct value *flat = flatten(state, &result, rows); /* first: a cache that overflows loses the values */
        if (!flat) return error_set(error, STATUS_LIMIT, "expression needs too much memory");
        if (!complete_dictionary(state, &result)) {
            TRY(state->context.status);
            result = (struct vector){.kind = VECTOR_FLAT, .count = rows, .values = flat};
        }
    }
    *ret_result = result;
    return STATUS_OK;
}

enum status expr_filter(struct expr_state *state, const struct vector *columns, uint32_t rows, struct error *error,
                        uint8_t *keep)
{
    assert(rows <= VECTOR_ROWS_MAX);
    const struct selection *selection = &state->first;
    select_rows(&state->first, rows, keep);
    if (selection->count == 0) return STATUS_OK;
    TRY(run(state, columns, error));
    struct vector result = view(state, state->expr->result);
    for (uint32_t k = 0; k < selection->count; k++) {
        struct value v = vector_at(&result, selection->rows[k]);
        if (v.type == VALUE_FAULT) return expr_fault_error(v, error);
    }
    for (uint32_t k = 0; k < selection->count; k++) {
        if (!expr_is_true(vector_at(&result, selection->rows[k]))) keep[selection->rows[k]] = 0;
    }
    return STATUS_OK;
}
