/*
 * One execution of a workflow: what it depends on, its steps in the order that their actions give, its outputs.
 *
 * A workflow that an action goes to takes the place of the one that it came from: that one ends, with the outputs it
 * has by then, and the verdict is that of the last in the chain.
 */
#include "workflow/run_int.h"

#define NESTING_MAX 200 /* workflows under way at the same time */

struct expression_context run_context(const struct run *run, const struct workflow_state *state)
{
    return (struct expression_context){
        .document = state->prepared->home->document,
        .inputs = &state->inputs,
        .steps = &state->steps,
        .workflows = &run->workflows[state->prepared->home->index],
        .placeholders = run->options->dry_run,
    };
}

/* WF-7: an output without a value is null; a warning says so unless the run failed anyway. */
static enum status collect_outputs(struct run *run, struct workflow_state *state, bool passed, struct json *ret_masked,
                                   struct error *reason)
{
    const struct json *outputs = state->prepared->workflow->outputs;
    struct expression_context context = run_context(run, state);
    context.outputs = &state->outputs;
    for (size_t i = 0; outputs && i < outputs->object.count; i++) {
        const struct json_member *member = &outputs->object.members[i];
        const struct json *value;
        TRY(expression_string(run->arena, &context, member->value.string, reason, &value));
        struct json shown = json_null();
        if (value) {
            TRY(json_put(run->arena, &state->outputs, member->key, *value));
            TRY(secrets_mask_json(&run->plan.secrets, value, &shown));
        } else if (passed) {
            struct str text = arena_printf(run->arena, "output \"" STR_FMT "\" has no value", STR_ARG(member->key));
            if (!text.data) return STATUS_LIMIT;
            TRY(run_warn(run, state, text));
        }
        TRY(json_put(run->arena, ret_masked, member->key, shown));
    }
    return STATUS_OK;
}

static void note_other_root(void *ctx, const struct expression *expression)
{
    bool *other = ctx;
    if (expression->root != EXPRESSION_INPUTS) *other = true;
}

/* API keys that come straight from the inputs are secret from the first step on, also where an earlier step sends the
 * same text as something else. Values that only a step can give are learnt when they are used (request.c). */
static enum status learn_secrets(struct run *run, const struct workflow_state *state)
{
    const struct prepared_workflow *prepared = state->prepared;
    const struct expression_context context = run_context(run, state);
    for (size_t i = 0; i < prepared->workflow->step_count; i++) {
        const struct prepared_step *step = &prepared->steps[i];
        for (size_t k = 0; k < step->parameter_count; k++) {
            const struct json *source = step->parameters[k].value, *value;
            bool other = source->type != JSON_STRING;
            if (!other) expression_each(source->string, note_other_root, &other);
            if (!step->parameters[k].secret || other) continue;
            TRY(expression_tree(run->arena, &context, source, NULL, &value));
            if (value) TRY(secrets_add_json(&run->plan.secrets, value));
        }
    }
    return STATUS_OK;
}

/* WF-5: each dependency runs once in a run, whoever asks for it. */
static enum status run_dependencies(struct run *run, struct workflow_state *state, struct error *error,
                                    struct str *ret_reason)
{
    const struct prepared_workflow *prepared = state->prepared;
    for (size_t i = 0; i < prepared->dependency_count; i++) {
        const struct prepared_workflow *dependency = prepared->dependencies[i];
        struct workflow_outcome outcome;
        if (run->verdicts[dependency->index] == NOT_RUN) {
            if (dependency->is_root)
                TRY(run_workflow(run, dependency, &dependency->inputs, &dependency->inputs_masked, state->depth, error,
                                 &outcome));
            else
                TRY(run_called(run, dependency, true, NULL, state->depth, error, &outcome));
            run->verdicts[dependency->index] = outcome.passed ? RUN_PASSED : RUN_FAILED;
            TRY(json_push(run->arena, &state->shown_dependencies, outcome.shown));
        }
        if (run->verdicts[dependency->index] == RUN_PASSED) continue;
        *ret_reason = arena_printf(run->arena, "it depends on workflow \"" STR_FMT "\", which failed",
                                   STR_ARG(dependency->workflow->id));
        return ret_reason->data ? STATUS_OK : STATUS_LIMIT;
    }
    return STATUS_OK;
}

static enum status no_attempts(struct run *run, const struct prepared_step *step, uint64_t **ret_attempts)
{
    *ret_attempts = arena_new_array(run->arena, uint64_t, step->on_failure.count + step->on_success.count + 1);
    return *ret_attempts ? STATUS_OK : STATUS_LIMIT;
}

/* The steps, until one of them or an action ends it. */
static enum status run_steps(struct run *run, struct workflow_state *state, struct error *error,
                             struct workflow_outcome *outcome)
{
    const struct prepared_workflow *prepared = state->prepared;
    size_t index = 0;
    outcome->passed = true;
    while (index < prepared->workflow->step_count) {
        struct step_state step;
        struct next_move move;
        uint64_t *attempts;
        unsigned attempt = 1;
        TRY(no_attempts(run, &prepared->steps[index], &attempts));
        do {
            TRY(run_step(run, state, index, attempt++, &step));
            TRY(run_choose(run, state, &step, attempts, error, &move));
        } while (move.kind == MOVE_RETRY);
        if (!step.passed && (move.kind == MOVE_STOP || move.kind == MOVE_END)) {
            outcome->passed = false;
            outcome->reason = arena_printf(run->arena, "step \"" STR_FMT "\": " STR_FMT,
                                           STR_ARG(step.prepared->step->id), STR_ARG(step.reason));
            return outcome->reason.data ? STATUS_OK : STATUS_LIMIT;
        }
        if (move.kind == MOVE_END) return STATUS_OK;
        if (move.kind == MOVE_TO_WORKFLOW) {
            outcome->next = move.workflow;
            outcome->next_inputs = move.inputs;
            return STATUS_OK;
        }
        index = move.kind == MOVE_TO_STEP ? move.step : index + 1;
    }
    return STATUS_OK;
}

/* `$workflows.ID` of the document, from now on. */
static enum status publish(struct run *run, const struct workflow_state *state)
{
    struct json fields = JSON_OBJECT_EMPTY;
    TRY(json_put(run->arena, &fields, STR("inputs"), state->inputs));
    TRY(json_put(run->arena, &fields, STR("outputs"), state->outputs));
    return run_set(run->arena, &run->workflows[state->prepared->home->index], state->prepared->workflow->id, fields);
}

static enum status show_workflow(struct run *run, struct workflow_state *state, struct workflow_outcome *outcome,
                                 const struct json *outputs)
{
    struct arena *arena = run->arena;
    struct json shown = JSON_OBJECT_EMPTY, inputs;
    /* Masked at the end, when the run has learnt which values are keys. */
    TRY(secrets_mask_json(&run->plan.secrets, &state->inputs_masked, &inputs));
    enum workflow_verdict verdict = outcome->passed ? WORKFLOW_PASSED : WORKFLOW_FAILED;
    TRY(run_put_str(arena, &shown, "workflowId", state->prepared->workflow->id));
    TRY(run_put_str(arena, &shown, "status", str_of(workflow_verdict_name(verdict))));
    TRY(json_put(arena, &shown, STR("inputs"), inputs));
    if (state->shown_dependencies.array.count)
        TRY(json_put(arena, &shown, STR("dependencies"), state->shown_dependencies));
    TRY(json_put(arena, &shown, STR("steps"), state->shown_steps));
    TRY(json_put(arena, &shown, STR("outputs"), *outputs));
    if (!outcome->passed) TRY(run_put_str(arena, &shown, "error", outcome->reason));
    outcome->shown = shown;
    return STATUS_OK;
}

static enum status refused(struct run *run, const struct prepared_workflow *prepared, struct str reason,
                           struct workflow_outcome *ret_outcome)
{
    struct workflow_outcome outcome = {.reason = arena_str(run->arena, reason), .outputs = JSON_OBJECT_EMPTY};
    if (!outcome.reason.data) return STATUS_LIMIT;
    outcome.shown = JSON_OBJECT_EMPTY;
    TRY(run_put_str(run->arena, &outcome.shown, "workflowId", prepared->workflow->id));
    TRY(run_put_str(run->arena, &outcome.shown, "status", str_of(workflow_verdict_name(WORKFLOW_FAILED))));
    TRY(run_put_str(run->arena, &outcome.shown, "error", outcome.reason));
    *ret_outcome = outcome;
    return STATUS_OK;
}

static enum status run_inside(struct run *run, const struct prepared_workflow *prepared, const struct json *inputs,
                              const struct json *inputs_masked, unsigned depth, struct error *error,
                              struct workflow_outcome *ret_outcome)
{
    struct workflow_state state = {
        .prepared = prepared,
        .inputs = *inputs,
        .inputs_masked = *inputs_masked,
        .steps = JSON_OBJECT_EMPTY,
        .outputs = JSON_OBJECT_EMPTY,
        .shown_steps = JSON_ARRAY_EMPTY,
        .shown_dependencies = JSON_ARRAY_EMPTY,
        .depth = depth,
        .event = {.workflow_id = prepared->workflow->id,
                  .summary = prepared->workflow->summary,
                  .depth = depth,
                  .step_count = prepared->workflow->step_count},
    };
    struct workflow_outcome outcome = {.outputs = JSON_OBJECT_EMPTY, .next_inputs = JSON_OBJECT_EMPTY};
    struct json outputs = JSON_OBJECT_EMPTY;
    TRY(run_dependencies(run, &state, error, &outcome.reason));
    TRY(learn_secrets(run, &state));
    run_tell(run, &state, WORKFLOW_EVENT_WORKFLOW_STARTED);
    if (!outcome.reason.data) TRY(run_steps(run, &state, error, &outcome));
    state.event.step_id = state.event.operation = STR_NULL;
    TRY(collect_outputs(run, &state, outcome.passed, &outputs, error));
    TRY(show_workflow(run, &state, &outcome, &outputs));
    TRY(publish(run, &state));
    state.event.passed = outcome.passed;
    state.event.outputs = &outputs;
    state.event.text = outcome.reason;
    run_tell(run, &state, WORKFLOW_EVENT_WORKFLOW_FINISHED);
    outcome.outputs = state.outputs;
    outcome.last = state.last;
    *ret_outcome = outcome;
    return STATUS_OK;
}

/* Dependencies of dependencies do not count as calls, and use the stack all the same. */
static enum status run_one(struct run *run, const struct prepared_workflow *prepared, const struct json *inputs,
                           const struct json *inputs_masked, unsigned depth, struct error *error,
                           struct workflow_outcome *ret_outcome)
{
    if (run->nesting == NESTING_MAX) {
        struct str reason = arena_printf(
            run->arena, "workflows depend on each other and call each other more than %d deep", NESTING_MAX);
        return reason.data ? refused(run, prepared, reason, ret_outcome) : STATUS_LIMIT;
    }
    run->nesting++;
    enum status status = run_inside(run, prepared, inputs, inputs_masked, depth, error, ret_outcome);
    run->nesting--;
    return status;
}

static enum status start(struct run *run, const struct prepared_workflow *prepared, bool offer_user,
                         const struct json *given, unsigned depth, bool follow, struct error *error,
                         struct workflow_outcome *ret_outcome);

enum status run_workflow(struct run *run, const struct prepared_workflow *prepared, const struct json *inputs,
                         const struct json *inputs_masked, unsigned depth, struct error *error,
                         struct workflow_outcome *ret_outcome)
{
    struct workflow_outcome first, last;
    TRY(run_one(run, prepared, inputs, inputs_masked, depth, error, &first));
    last = first;
    struct json chain = JSON_ARRAY_EMPTY;
    while (last.next) {
        const struct prepared_workflow *next = last.next;
        struct json given = last.next_inputs;
        TRY(start(run, next, true, &given, depth, false, error, &last));
        TRY(json_push(run->arena, &chain, last.shown));
    }
    if (chain.array.count) {
        TRY(json_put(run->arena, &first.shown, STR("continued"), chain));
        TRY(run_set(run->arena, &first.shown, STR("status"),
                    json_string(str_of(workflow_verdict_name(last.passed ? WORKFLOW_PASSED : WORKFLOW_FAILED)))));
        if (!last.passed) TRY(run_put_str(run->arena, &first.shown, "error", last.reason));
    }
    first.passed = last.passed;
    first.reason = last.reason;
    first.last = last.last;
    first.next = NULL;
    *ret_outcome = first;
    return STATUS_OK;
}

struct complaint {
    struct run *run;
    struct buf text;
};

static void complain(void *ctx, struct str where, struct str what)
{
    struct complaint *c = ctx;
    struct str masked = secrets_mask(&c->run->plan.secrets, what);
    if (c->text.size) buf_lit(&c->text, "; ");
    buf_lit(&c->text, "input \"");
    buf_str_add(&c->text, where);
    buf_lit(&c->text, "\" ");
    buf_str_add(&c->text, masked.data ? masked : STR("is not valid"));
}

/* With `follow` the workflows that actions go to are run as well, otherwise only the first one. */
static enum status start(struct run *run, const struct prepared_workflow *prepared, bool offer_user,
                         const struct json *given, unsigned depth, bool follow, struct error *error,
                         struct workflow_outcome *ret_outcome)
{
    struct complaint complaint = {.run = run, .text = BUF_INIT(4096)};
    struct json inputs, masked;
    struct error problem = ERROR_INIT;
    bool lenient = run->options->dry_run; /* placeholders fit no schema */
    enum status status =
        inputs_complete(&run->plan, prepared, offer_user, given, complain, &complaint, &problem, &inputs, &masked);
    if (status != STATUS_OK)
        status =
            problem.primary[0] ? refused(run, prepared, str_of(problem.primary), ret_outcome) : run_no_memory(error);
    else if (complaint.text.size && !lenient)
        status = refused(run, prepared, buf_str(&complaint.text), ret_outcome);
    else if (follow)
        status = run_workflow(run, prepared, &inputs, &masked, depth, error, ret_outcome);
    else
        status = run_one(run, prepared, &inputs, &masked, depth, error, ret_outcome);
    buf_fini(&complaint.text);
    return status;
}

enum status run_called(struct run *run, const struct prepared_workflow *prepared, bool offer_user,
                       const struct json *given, unsigned depth, struct error *error,
                       struct workflow_outcome *ret_outcome)
{
    return start(run, prepared, offer_user, given, depth, true, error, ret_outcome);
}
