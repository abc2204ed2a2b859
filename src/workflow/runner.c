/*
 * The second half of a run: the prepared steps, one after the other.
 *
 *   build request -> send -> criteria -> outputs      per step; the first that goes wrong fails the step,
 *                                                     a failed step fails its workflow, a failed workflow
 * ends the run
 *
 * The observer hears of each phase as it happens; the result for programs grows beside it. A failure of the
 * network, a condition that does not hold, a value that is missing are ordinary results of a step. Only a
 * full arena (LIMIT from our own bookkeeping) ends the run without a verdict.
 */
#include "workflow/runner.h"

#include "workflow/prepare.h"
#include "workflow/request.h"

#include <stdio.h>
#include <time.h>

struct run {
    struct preparation p;
    struct arena *arena;
    const struct workflow_options *options;
    uint64_t started_ms, total_timeout_ms;
    struct json warnings; /* strings found while running: {"text"} */
};

struct workflow_state {
    const struct prepared_workflow *prepared;
    struct json steps, outputs; /* outputs by step id; outputs of the workflow */
    struct json shown_steps;    /* for the result */
    struct workflow_event event;
};

struct step_state {
    const struct prepared_step *prepared;
    struct json criteria, outputs, outputs_masked;
    struct built_request request;
    struct workflow_response response;
    struct json body;
    struct expression_context context;
    bool built, answered;
};

const char *workflow_verdict_name(enum workflow_verdict verdict)
{
    static const char *const names[] = {"passed", "failed", "invalid"};
    return names[verdict];
}

static uint64_t now_ms(const struct workflow_transport *transport)
{
    struct timespec now;
    if (transport->now_ms) return transport->now_ms(transport->ctx);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "the run exceeds its memory budget");
}

static void tell(struct run *run, struct workflow_state *state, enum workflow_event_kind kind)
{
    state->event.kind = kind;
    if (run->options->observer) run->options->observer(run->options->observer_ctx, &state->event);
}

static enum status put_str(struct arena *arena, struct json *object, const char *name, struct str text)
{
    return json_put(arena, object, str_of(name), json_string(text));
}

static enum status warn(struct run *run, struct workflow_state *state, struct str text)
{
    struct json entry = JSON_OBJECT_EMPTY;
    TRY(put_str(run->arena, &entry, "text", text));
    TRY(json_push(run->arena, &run->warnings, entry));
    state->event.text = text;
    tell(run, state, WORKFLOW_EVENT_WARNING);
    state->event.text = STR_NULL;
    return STATUS_OK;
}

/* ---- one step ---- */

static struct str header_of(const struct workflow_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++) {
        if (str_eq_nocase(response->headers[i].name, str_of(name))) return response->headers[i].value;
    }
    return STR_NULL;
}

/* EX-9. */
static void read_body(struct run *run, struct step_state *s)
{
    struct str text = s->response.body;
    if (text.size == 0) return;
    s->body = json_string(text);
    s->context.response_body = &s->body;
    if (!request_type_is_json(header_of(&s->response, "Content-Type"))) return;
    struct json parsed;
    if (json_parse(run->arena, text, NULL, NULL, &parsed) == STATUS_OK)
        s->body = parsed;
    else
        s->context.response_body_malformed = true;
}

static enum status send(struct run *run, struct workflow_state *state, struct step_state *s, struct error *reason)
{
    const struct workflow_transport *transport = &run->options->transport;
    uint64_t passed_ms = now_ms(transport) - run->started_ms;
    if (passed_ms >= run->total_timeout_ms)
        return error_set(reason, STATUS_CANCELLED, "the run's total time of %llu ms is used up",
                         (unsigned long long)run->total_timeout_ms);
    uint64_t left_ms = run->total_timeout_ms - passed_ms;
    struct workflow_request *request = &s->request.request;
    request->timeout_ms =
        run->options->request_timeout_ms ? run->options->request_timeout_ms : WORKFLOW_REQUEST_TIMEOUT_MS_DEFAULT;
    if (request->timeout_ms > left_ms) request->timeout_ms = (uint32_t)left_ms;
    request->body_size_max = run->options->body_size_max ? run->options->body_size_max : WORKFLOW_BODY_SIZE_MAX_DEFAULT;
    if (!transport->send) return error_set(reason, STATUS_UNSUPPORTED, "there is no network to send the request");
    enum status status = transport->send(transport->ctx, request, run->arena, reason, &s->response);
    if (status == STATUS_OK && s->response.body.size > request->body_size_max)
        status = error_set(reason, STATUS_LIMIT, "the response is larger than %zu bytes", request->body_size_max);
    if (status != STATUS_OK) {
        if (reason->primary[0] == 0) error_set(reason, status, "the request failed: %s", status_name(status));
        return status;
    }
    s->answered = true;
    s->context.response = &s->response;
    read_body(run, s);
    state->event.status = s->response.status;
    state->event.elapsed_us = s->response.elapsed_us;
    tell(run, state, WORKFLOW_EVENT_RESPONSE);
    return STATUS_OK;
}

static enum status add_criterion(struct run *run, struct step_state *s, struct str condition, bool holds,
                                 struct str message)
{
    struct json entry = JSON_OBJECT_EMPTY;
    TRY(put_str(run->arena, &entry, "condition", condition));
    TRY(json_put(run->arena, &entry, STR("passed"), json_bool(holds)));
    if (message.size) {
        message = secrets_mask(&run->p.secrets, message);
        if (!message.data) return STATUS_LIMIT;
        TRY(put_str(run->arena, &entry, "message", message));
    }
    return json_push(run->arena, &s->criteria, entry);
}

static enum status judge(struct run *run, struct step_state *s, const struct prepared_criterion *criterion,
                         bool *ret_holds)
{
    struct error problem = ERROR_INIT;
    struct buf message = BUF_INIT(4096);
    bool holds = false;
    enum status status = criterion_evaluate(run->arena, criterion->compiled, &s->context, &problem, &holds);
    if (status == STATUS_LIMIT) return status;
    if (status != STATUS_OK)
        buf_str_add(&message, str_of(problem.primary));
    else if (!holds)
        criterion_explain(run->arena, criterion->compiled, &s->context, &message);
    struct str text = arena_str(run->arena, buf_str(&message));
    buf_fini(&message);
    *ret_holds = status == STATUS_OK && holds;
    return text.data ? add_criterion(run, s, criterion->condition->string, *ret_holds, text) : STATUS_LIMIT;
}

/* CR-2: without criteria a step succeeds with a status of 2xx. */
static enum status check_criteria(struct run *run, struct step_state *s, struct error *reason, bool *ret_holds)
{
    bool all = true;
    for (size_t i = 0; i < s->prepared->criterion_count; i++) {
        bool holds = false;
        TRY(judge(run, s, &s->prepared->criteria[i], &holds));
        if (!holds && all) {
            const struct json *entry = &s->criteria.array.items[i], *message = json_member(entry, "message");
            error_set(reason, STATUS_INVALID, "the condition " STR_FMT " does not hold",
                      STR_ARG(s->prepared->criteria[i].condition->string));
            if (message) error_detail(reason, STR_FMT, STR_ARG(message->string));
        }
        all &= holds;
    }
    if (!s->prepared->step->success_criteria) {
        all = s->response.status >= 200 && s->response.status <= 299;
        struct str message = all ? STR_NULL : arena_printf(run->arena, "the status was %u", s->response.status);
        if (!all) error_set(reason, STATUS_INVALID, "the response has status %u, expected 2xx", s->response.status);
        TRY(add_criterion(run, s, STR("$statusCode is 2xx"), all, message));
    }
    *ret_holds = all;
    return STATUS_OK;
}

/* EX-4: an output that finds nothing is null, with a warning; one that cannot be evaluated fails the step. */
static enum status collect_outputs(struct run *run, struct workflow_state *state, struct step_state *s,
                                   struct error *reason)
{
    const struct json *outputs = s->prepared->step->outputs;
    for (size_t i = 0; outputs && i < outputs->object.count; i++) {
        const struct json_member *member = &outputs->object.members[i];
        const struct json *value;
        enum status status = expression_string(run->arena, &s->context, member->value.string, reason, &value);
        if (status != STATUS_OK) {
            error_prefix(reason, "output \"" STR_FMT "\"", STR_ARG(member->key));
            return status;
        }
        if (!value) {
            struct str text = arena_printf(
                run->arena, "step \"" STR_FMT "\": output \"" STR_FMT "\" has no value: " STR_FMT " found nothing",
                STR_ARG(s->prepared->step->id), STR_ARG(member->key), STR_ARG(member->value.string));
            if (!text.data || warn(run, state, text) != STATUS_OK) return no_memory(reason);
        } else if (json_put(run->arena, &s->outputs, member->key, *value) != STATUS_OK) {
            return no_memory(reason);
        }
        struct json shown = json_null();
        if (value && secrets_mask_json(&run->p.secrets, value, &shown) != STATUS_OK) return no_memory(reason);
        if (json_put(run->arena, &s->outputs_masked, member->key, shown) != STATUS_OK) return no_memory(reason);
    }
    return STATUS_OK;
}

/* All of a step; false with `reason` set when it failed. */
static enum status perform(struct run *run, struct workflow_state *state, struct step_state *s, struct error *reason,
                           bool *ret_passed)
{
    enum status status = request_build(run->arena, s->prepared, &s->context, &run->p.secrets, reason, &s->request);
    *ret_passed = false;
    if (status != STATUS_OK) return STATUS_OK;
    s->built = true;
    s->context.method = s->request.request.method;
    s->context.url = s->request.request.url;
    s->context.request_header = &s->request.header;
    s->context.request_query = &s->request.query;
    s->context.request_path = &s->request.path;
    s->context.request_body = s->request.body;
    state->event.method = s->request.request.method;
    state->event.url = s->request.url_masked;
    tell(run, state, WORKFLOW_EVENT_REQUEST);
    if (send(run, state, s, reason) != STATUS_OK) return STATUS_OK;
    TRY(check_criteria(run, s, reason, ret_passed));
    if (*ret_passed && collect_outputs(run, state, s, reason) != STATUS_OK) *ret_passed = false;
    return STATUS_OK;
}

static enum status show_step(struct run *run, struct workflow_state *state, const struct step_state *s, bool passed,
                             struct str reason)
{
    struct arena *arena = run->arena;
    struct json entry = JSON_OBJECT_EMPTY;
    TRY(put_str(arena, &entry, "stepId", s->prepared->step->id));
    TRY(put_str(arena, &entry, "operation", s->prepared->label));
    if (s->built) TRY(json_put(arena, &entry, STR("request"), s->request.shown));
    if (s->answered) {
        TRY(json_put(arena, &entry, STR("status"), json_int(s->response.status)));
        TRY(json_put(arena, &entry, STR("time_ms"), json_number((double)s->response.elapsed_us / 1000)));
        if (s->response.url.size && !str_eq(s->response.url, s->request.request.url)) {
            struct str masked = secrets_mask(&run->p.secrets, s->response.url);
            if (!masked.data) return STATUS_LIMIT;
            TRY(put_str(arena, &entry, "redirected_to", masked));
        }
    }
    TRY(json_put(arena, &entry, STR("criteria"), s->criteria));
    TRY(json_put(arena, &entry, STR("outputs"), s->outputs_masked));
    TRY(json_put(arena, &entry, STR("passed"), json_bool(passed)));
    if (!passed) TRY(put_str(arena, &entry, "error", reason));
    return json_push(arena, &state->shown_steps, entry);
}

static enum status masked_reason(struct run *run, const struct error *reason, struct str *ret_text)
{
    char text[sizeof reason->primary + sizeof reason->detail + sizeof reason->hint + 8];
    error_text(reason, text, sizeof text);
    struct str copy = arena_str(run->arena, str_of(text));
    if (copy.data) copy = secrets_mask(&run->p.secrets, copy);
    *ret_text = copy;
    return copy.data ? STATUS_OK : STATUS_LIMIT;
}

static enum status run_step(struct run *run, struct workflow_state *state, size_t index, bool *ret_passed,
                            struct str *ret_reason)
{
    struct step_state s = {
        .prepared = &state->prepared->steps[index],
        .criteria = JSON_ARRAY_EMPTY,
        .outputs = JSON_OBJECT_EMPTY,
        .outputs_masked = JSON_OBJECT_EMPTY,
        .context = {.document = run->p.document, .inputs = &state->prepared->inputs, .steps = &state->steps},
    };
    struct error reason = ERROR_INIT;
    struct str text = STR_NULL;
    struct workflow_event *event = &state->event;
    event->step_index = index;
    event->step_id = s.prepared->step->id;
    event->operation = s.prepared->label;
    event->method = event->url = event->text = STR_NULL;
    event->status = 0;
    event->elapsed_us = 0;
    event->criteria = event->outputs = NULL;
    tell(run, state, WORKFLOW_EVENT_STEP_STARTED);
    TRY(perform(run, state, &s, &reason, ret_passed));
    if (!*ret_passed) TRY(masked_reason(run, &reason, &text));
    TRY(show_step(run, state, &s, *ret_passed, text));
    TRY(json_put(run->arena, &state->steps, s.prepared->step->id, s.outputs));
    event->passed = *ret_passed;
    event->criteria = &s.criteria;
    event->outputs = &s.outputs_masked;
    event->text = text;
    tell(run, state, WORKFLOW_EVENT_STEP_FINISHED);
    event->criteria = event->outputs = NULL;
    event->text = STR_NULL;
    *ret_reason = text;
    return STATUS_OK;
}

/* ---- one workflow ---- */

/* WF-7: an output without a value is null; a warning says so unless the run failed anyway. */
static enum status workflow_outputs(struct run *run, struct workflow_state *state, bool passed, struct json *ret_masked,
                                    struct error *reason)
{
    const struct json *outputs = state->prepared->workflow->outputs;
    const struct expression_context context = {.document = run->p.document,
                                               .inputs = &state->prepared->inputs,
                                               .steps = &state->steps,
                                               .outputs = &state->outputs};
    for (size_t i = 0; outputs && i < outputs->object.count; i++) {
        const struct json_member *member = &outputs->object.members[i];
        const struct json *value;
        TRY(expression_string(run->arena, &context, member->value.string, reason, &value));
        struct json shown = json_null();
        if (value) {
            TRY(json_put(run->arena, &state->outputs, member->key, *value));
            TRY(secrets_mask_json(&run->p.secrets, value, &shown));
        } else if (passed) {
            struct str text = arena_printf(run->arena, "output \"" STR_FMT "\" has no value", STR_ARG(member->key));
            if (!text.data) return STATUS_LIMIT;
            TRY(warn(run, state, text));
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

/* API keys that come straight from the inputs are secret from the first step on, also where an earlier step
 * sends the same text as something else. Values that only a step can give are learnt when they are used
 * (request.c). */
static enum status learn_secrets(struct run *run, const struct prepared_workflow *prepared)
{
    const struct expression_context context = {.document = run->p.document, .inputs = &prepared->inputs};
    for (size_t i = 0; i < prepared->workflow->step_count; i++) {
        const struct prepared_step *step = &prepared->steps[i];
        for (size_t k = 0; k < step->parameter_count; k++) {
            const struct json *source = step->parameters[k].value, *value;
            bool other = source->type != JSON_STRING;
            if (!other) expression_each(source->string, note_other_root, &other);
            if (!step->parameters[k].secret || other) continue;
            TRY(expression_tree(run->arena, &context, source, NULL, &value));
            if (value) TRY(secrets_add_json(&run->p.secrets, value));
        }
    }
    return STATUS_OK;
}

static enum status run_workflow(struct run *run, const struct prepared_workflow *prepared, bool *ret_passed,
                                struct json *ret_shown, struct error *error)
{
    struct workflow_state state = {
        .prepared = prepared,
        .steps = JSON_OBJECT_EMPTY,
        .outputs = JSON_OBJECT_EMPTY,
        .shown_steps = JSON_ARRAY_EMPTY,
        .event = {.workflow_id = prepared->workflow->id,
                  .summary = prepared->workflow->summary,
                  .step_count = prepared->workflow->step_count},
    };
    struct arena *arena = run->arena;
    struct json shown = JSON_OBJECT_EMPTY, outputs = JSON_OBJECT_EMPTY, inputs;
    struct str reason = STR_NULL, failed_step = STR_NULL;
    bool passed = true;
    TRY(learn_secrets(run, prepared));
    tell(run, &state, WORKFLOW_EVENT_WORKFLOW_STARTED);
    for (size_t i = 0; i < prepared->workflow->step_count && passed; i++) {
        TRY(run_step(run, &state, i, &passed, &reason));
        if (!passed) failed_step = prepared->workflow->steps[i].id;
    }
    state.event.step_id = state.event.operation = STR_NULL;
    TRY(workflow_outputs(run, &state, passed, &outputs, error));
    /* Masked at the end, when the run has learnt which values are keys. */
    TRY(secrets_mask_json(&run->p.secrets, &prepared->inputs_masked, &inputs));
    TRY(put_str(arena, &shown, "workflowId", prepared->workflow->id));
    TRY(put_str(arena, &shown, "status", str_of(workflow_verdict_name(passed ? WORKFLOW_PASSED : WORKFLOW_FAILED))));
    TRY(json_put(arena, &shown, STR("inputs"), inputs));
    TRY(json_put(arena, &shown, STR("steps"), state.shown_steps));
    TRY(json_put(arena, &shown, STR("outputs"), outputs));
    if (!passed) {
        reason = arena_printf(arena, "step \"" STR_FMT "\": " STR_FMT, STR_ARG(failed_step), STR_ARG(reason));
        if (!reason.data) return STATUS_LIMIT;
        TRY(put_str(arena, &shown, "error", reason));
    }
    state.event.passed = passed;
    state.event.outputs = &outputs;
    state.event.text = reason;
    tell(run, &state, WORKFLOW_EVENT_WORKFLOW_FINISHED);
    *ret_passed = passed;
    *ret_shown = shown;
    return STATUS_OK;
}

/* ---- the run ---- */

static enum status show_problem(struct arena *arena, const struct workflow_problem *problem, struct json *list)
{
    struct json entry = JSON_OBJECT_EMPTY;
    TRY(put_str(arena, &entry, "text", problem->text));
    if (problem->file.size) TRY(put_str(arena, &entry, "file", problem->file));
    if (problem->line) TRY(json_put(arena, &entry, STR("line"), json_int(problem->line)));
    if (problem->line) TRY(json_put(arena, &entry, STR("column"), json_int(problem->column)));
    if (problem->hint.size) TRY(put_str(arena, &entry, "hint", problem->hint));
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
    if (!id.size && run->p.document->workflow_count == 1) id = run->p.document->workflows[0].id;
    result->verdict = WORKFLOW_INVALID;
    result->json = JSON_OBJECT_EMPTY;
    if (id.size) TRY(put_str(run->arena, &result->json, "workflowId", id));
    TRY(put_str(run->arena, &result->json, "status", str_of(workflow_verdict_name(WORKFLOW_INVALID))));
    return add_problems(run, problems, &result->json);
}

static enum status execute(struct run *run, struct workflow_problems *problems, struct error *error,
                           struct workflow_result *result)
{
    TRY(workflow_prepare(&run->p, error));
    if (problems->error_count) return invalid_result(run, problems, result);
    struct json list = JSON_ARRAY_EMPTY, shown = JSON_OBJECT_EMPTY;
    bool passed = true;
    run->started_ms = now_ms(&run->options->transport);
    for (size_t i = 0; i < run->p.workflow_count && passed; i++) {
        TRY(run_workflow(run, &run->p.workflows[i], &passed, &shown, error));
        TRY(json_push(run->arena, &list, shown));
    }
    result->verdict = passed ? WORKFLOW_PASSED : WORKFLOW_FAILED;
    if (run->p.workflow_count > 1) {
        shown = JSON_OBJECT_EMPTY;
        TRY(put_str(run->arena, &shown, "status", str_of(workflow_verdict_name(result->verdict))));
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
        .p = {.arena = arena, .document = document, .options = options, .problems = problems},
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
    if (!failure.primary[0]) return no_memory(error);
    if (error) *error = failure;
    return status;
}

enum status workflow_check(struct arena *arena, const struct workflow_document *document,
                           const struct workflow_options *options, struct workflow_problems *problems,
                           struct error *error)
{
    struct preparation p = {
        .arena = arena, .document = document, .options = options, .problems = problems, .checking = true};
    return workflow_prepare(&p, error);
}
