/*
 * The second half of a run: the prepared workflows, one after the other.
 *
 *   build request -> send -> criteria -> outputs -> actions      for each execution of a step
 *
 * The first of these that goes wrong fails the execution; actions decide what comes of that. Without one a failed step
 * fails its workflow, and a failed workflow ends the run. The observer hears of each phase as it happens; the result
 * for programs grows beside it. A failure of the network, a condition that does not hold, a value that is missing are
 * ordinary results of a step. Only a full arena (LIMIT from our own bookkeeping) ends the run without a verdict.
 */
#include "workflow/runner.h"

#include "workflow/run_int.h"

#include <time.h>

const char *workflow_verdict_name(enum workflow_verdict verdict)
{
    static const char *const names[] = {"passed", "failed", "invalid"};
    return names[verdict];
}

/* ---- what the parts of a run share ---- */

enum status run_no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "the run exceeds its memory budget");
}

uint64_t run_now_ms(const struct run *run)
{
    const struct workflow_transport *transport = &run->options->transport;
    struct timespec now;
    if (transport->now_ms) return transport->now_ms(transport->ctx);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t run_left_ms(const struct run *run)
{
    uint64_t passed_ms = run_now_ms(run) - run->started_ms;
    return passed_ms >= run->total_timeout_ms ? 0 : run->total_timeout_ms - passed_ms;
}

void run_tell(struct run *run, struct workflow_state *state, enum workflow_event_kind kind)
{
    state->event.kind = kind;
    if (run->options->observer) run->options->observer(run->options->observer_ctx, &state->event);
}

enum status run_put_str(struct arena *arena, struct json *object, const char *name, struct str text)
{
    return json_put(arena, object, str_of(name), json_string(text));
}

enum status run_set(struct arena *arena, struct json *object, struct str name, struct json value)
{
    for (size_t i = 0; i < object->object.count; i++) {
        if (!str_eq(object->object.members[i].key, name)) continue;
        object->object.members[i].value = value;
        return STATUS_OK;
    }
    return json_put(arena, object, name, value);
}

enum status run_warn(struct run *run, struct workflow_state *state, struct str text)
{
    struct json entry = JSON_OBJECT_EMPTY;
    TRY(run_put_str(run->arena, &entry, "text", text));
    TRY(json_push(run->arena, &run->warnings, entry));
    state->event.text = text;
    run_tell(run, state, WORKFLOW_EVENT_WARNING);
    state->event.text = STR_NULL;
    return STATUS_OK;
}

enum status run_masked(struct run *run, const struct error *reason, struct str *ret_text)
{
    char text[sizeof reason->primary + sizeof reason->detail + sizeof reason->hint + 8];
    error_text(reason, text, sizeof text);
    struct str copy = arena_str(run->arena, str_of(text));
    if (copy.data) copy = secrets_mask(&run->plan.secrets, copy);
    *ret_text = copy;
    return copy.data ? STATUS_OK : STATUS_LIMIT;
}

/* ---- the result ---- */

static enum status show_problem(struct arena *arena, const struct workflow_problem *problem, struct json *list)
{
    struct json entry = JSON_OBJECT_EMPTY;
    TRY(run_put_str(arena, &entry, "text", problem->text));
    TRY(run_put_str(arena, &entry, "rule", str_of(problem->rule)));
    if (problem->file.size) TRY(run_put_str(arena, &entry, "file", problem->file));
    if (problem->line) TRY(json_put(arena, &entry, STR("line"), json_int(problem->line)));
    if (problem->line) TRY(json_put(arena, &entry, STR("column"), json_int(problem->column)));
    if (problem->hint.size) TRY(run_put_str(arena, &entry, "hint", problem->hint));
    return json_push(arena, list, entry);
}

static enum status add_problems(struct run *run, const struct workflow_problems *problems, struct json *result)
{
    struct json warnings = JSON_ARRAY_EMPTY, errors = JSON_ARRAY_EMPTY;
    for (size_t i = 0; i < problems->count; i++)
        TRY(show_problem(run->arena, &problems->items[i], problems->items[i].is_error ? &errors : &warnings));
    for (size_t i = 0; i < run->warnings.array.count; i++)
        TRY(json_push(run->arena, &warnings, run->warnings.array.items[i]));
    TRY(json_put(run->arena, result, STR("warnings"), warnings));
    return json_put(run->arena, result, STR("errors"), errors);
}

static enum status invalid_result(struct run *run, const struct workflow_problems *problems,
                                  struct workflow_result *result)
{
    struct str id = run->options->workflow_id;
    if (!id.size && run->plan.document->workflow_count == 1) id = run->plan.document->workflows[0].id;
    result->verdict = WORKFLOW_INVALID;
    result->json = JSON_OBJECT_EMPTY;
    if (id.size) TRY(run_put_str(run->arena, &result->json, "workflowId", id));
    TRY(run_put_str(run->arena, &result->json, "status", str_of(workflow_verdict_name(WORKFLOW_INVALID))));
    return add_problems(run, problems, &result->json);
}

/* ---- the run ---- */

static enum status prepare_run(struct run *run)
{
    const struct workflow_options *options = run->options;
    run->workflows = arena_new_array(run->arena, struct json, run->plan.document_count + 1);
    run->verdicts = arena_calloc(run->arena, run->plan.workflow_count + 1, sizeof *run->verdicts);
    if (!run->workflows || !run->verdicts) return STATUS_LIMIT;
    for (size_t i = 0; i < run->plan.document_count; i++) run->workflows[i] = JSON_OBJECT_EMPTY;
    run->steps_max = options->steps_max ? options->steps_max : WORKFLOW_STEPS_MAX_DEFAULT;
    run->depth_max = options->depth_max ? options->depth_max : WORKFLOW_DEPTH_MAX_DEFAULT;
    run->started_ms = run_now_ms(run);
    return STATUS_OK;
}

static enum status execute(struct run *run, struct workflow_problems *problems, struct error *error,
                           struct workflow_result *result)
{
    TRY(workflow_prepare(&run->plan, error));
    if (problems->error_count) return invalid_result(run, problems, result);
    TRY(prepare_run(run));
    struct json list = JSON_ARRAY_EMPTY, shown = JSON_OBJECT_EMPTY;
    bool passed = true;
    for (size_t i = 0; i < run->plan.root_count && passed; i++) {
        const struct prepared_workflow *root = run->plan.roots[i];
        struct workflow_outcome outcome;
        if (run->verdicts[root->index] != NOT_RUN) continue; /* it ran because another one depends on it */
        TRY(run_workflow(run, root, &root->inputs, &root->inputs_masked, 0, error, &outcome));
        run->verdicts[root->index] = outcome.passed ? RUN_PASSED : RUN_FAILED;
        passed = outcome.passed;
        shown = outcome.shown;
        TRY(json_push(run->arena, &list, shown));
    }
    result->verdict = passed ? WORKFLOW_PASSED : WORKFLOW_FAILED;
    if (run->plan.root_count > 1) {
        shown = JSON_OBJECT_EMPTY;
        TRY(run_put_str(run->arena, &shown, "status", str_of(workflow_verdict_name(result->verdict))));
        TRY(json_put(run->arena, &shown, STR("workflows"), list));
    }
    TRY(add_problems(run, problems, &shown));
    result->json = shown;
    return STATUS_OK;
}

enum status workflow_run(struct arena *arena, const struct workflow_document *document,
                         const struct workflow_options *options, struct workflow_problems *problems,
                         struct error *error, struct workflow_result *ret_result)
{
    struct run run = {
        .plan = {.arena = arena, .document = document, .options = options, .problems = problems},
        .arena = arena,
        .options = options,
        .total_timeout_ms = options->total_timeout_ms ? options->total_timeout_ms : WORKFLOW_TOTAL_TIMEOUT_MS_DEFAULT,
        .warnings = JSON_ARRAY_EMPTY,
    };
    struct workflow_result result = {.verdict = WORKFLOW_INVALID};
    struct error failure = ERROR_INIT;
    enum status status = execute(&run, problems, &failure, &result);
    if (status == STATUS_OK) {
        *ret_result = result;
        return STATUS_OK;
    }
    if (!failure.primary[0]) return run_no_memory(error);
    if (error) *error = failure;
    return status;
}

enum status workflow_check(struct arena *arena, const struct workflow_document *document,
                           const struct workflow_options *options, struct workflow_problems *problems,
                           struct error *error)
{
    struct plan plan = {
        .arena = arena, .document = document, .options = options, .problems = problems, .checking = true};
    return workflow_prepare(&plan, error);
}
