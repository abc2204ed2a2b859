#pragma once
/* What the files of a run share: runner.c (the run), run_workflow.c (one workflow), run_step.c (one execution of a
 * step), run_action.c (what comes after it). Not for others. */
#include "workflow/request.h"

struct run {
    struct plan plan;
    struct arena *arena;
    const struct workflow_options *options;
    uint64_t started_ms, total_timeout_ms;
    unsigned steps, steps_max, depth_max;
    unsigned nesting;       /* workflows under way at the same time */
    struct json warnings;   /* strings found while running: {"text"} */
    struct json *workflows; /* by document of the plan: workflowId -> {"inputs", "outputs"} */
    enum { NOT_RUN, RUN_PASSED, RUN_FAILED } * verdicts; /* by workflow of the plan, of roots and dependencies */
};

/* What one execution of a workflow gives. Its texts and values live as long as the run. */
struct workflow_outcome {
    bool passed;
    struct str reason; /* of the failure, masked */
    struct json outputs, shown;
    struct expression_context last;       /* of the step that ran last: its request and response */
    const struct prepared_workflow *next; /* where an action went to, or NULL */
    struct json next_inputs;              /* what the action gave for it */
};

/* One execution of a workflow. */
struct workflow_state {
    const struct prepared_workflow *prepared;
    struct json inputs, inputs_masked;
    struct json steps, outputs; /* outputs by step id; outputs of the workflow */
    struct json shown_steps;    /* for the result */
    struct json shown_dependencies;
    unsigned depth;
    struct expression_context last;
    struct workflow_event event;
};

/* One execution of a step. */
struct step_state {
    const struct prepared_step *prepared;
    unsigned attempt;
    bool passed;
    struct str reason;
    struct json criteria, outputs, outputs_masked, shown;
    struct built_request request;
    struct workflow_response response;
    struct workflow_outcome called;
    struct json body;
    struct expression_context context;
    bool built, answered, was_called;
};

enum status run_no_memory(struct error *error);
uint64_t run_now_ms(const struct run *run);
/* What is left of the total time; 0 when it is used up. */
uint64_t run_left_ms(const struct run *run);
void run_tell(struct run *run, struct workflow_state *state, enum workflow_event_kind kind);
enum status run_warn(struct run *run, struct workflow_state *state, struct str text) MUST_USE;
enum status run_put_str(struct arena *arena, struct json *object, const char *name, struct str text) MUST_USE;
/* Sets a member, in the place of one of the same name. */
enum status run_set(struct arena *arena, struct json *object, struct str name, struct json value) MUST_USE;
enum status run_masked(struct run *run, const struct error *reason, struct str *ret_text) MUST_USE;
struct expression_context run_context(const struct run *run, const struct workflow_state *state);

/* run_workflow.c. With the inputs as they are; the workflows that it depends on run before it. */
enum status run_workflow(struct run *run, const struct prepared_workflow *prepared, const struct json *inputs,
                         const struct json *inputs_masked, unsigned depth, struct error *error,
                         struct workflow_outcome *ret_outcome) MUST_USE;
/* A workflow that a step calls or an action goes to: its inputs are completed and validated first; what is wrong with
 * them is the reason of the failure. */
enum status run_called(struct run *run, const struct prepared_workflow *prepared, bool offer_user,
                       const struct json *given, unsigned depth, struct error *error,
                       struct workflow_outcome *ret_outcome) MUST_USE;

/* run_step.c. Everything of one execution up to its outputs, actions left aside. */
enum status run_step(struct run *run, struct workflow_state *state, size_t index, unsigned attempt,
                     struct step_state *ret_step) MUST_USE;
enum status run_judge(struct run *run, const struct prepared_criterion *criterion,
                      const struct expression_context *context, struct str *ret_message, bool *ret_holds) MUST_USE;
/* Parameters evaluated, as an object of inputs; those without a value are left out. */
enum status run_arguments(struct run *run, const struct expression_context *context,
                          const struct prepared_parameter *parameters, size_t count, struct error *error,
                          struct json *ret_inputs) MUST_USE;

/* run_action.c. What comes after an execution of a step. */
struct next_move {
    enum { MOVE_ON, MOVE_STOP, MOVE_END, MOVE_TO_STEP, MOVE_TO_WORKFLOW, MOVE_RETRY } kind;
    size_t step;
    const struct prepared_workflow *workflow;
    struct json inputs; /* for the workflow */
};
/* `attempts` counts the repetitions by each failure action of the step. A retry has waited, and has run what it leads
 * to, when this returns. */
enum status run_choose(struct run *run, struct workflow_state *state, struct step_state *step, uint64_t *attempts,
                       struct error *error, struct next_move *ret_move) MUST_USE;
/* How long a Retry-After header asks to wait: seconds or an HTTP date. False when it says neither. */
bool run_retry_after(struct str value, int64_t wall_s, uint64_t *ret_ms);
