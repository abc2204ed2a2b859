/* One execution of a step: the request, or the workflow that it calls; what its criteria say; its outputs. */
#include "workflow/run_int.h"

#include "workflow/media.h"

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
    struct json *body = arena_alloc(run->arena, sizeof *body);
    if (text.size == 0 || !body) return;
    *body = json_string(text);
    s->context.response_body = body;
    if (!media_is_json(header_of(&s->response, "Content-Type"))) return;
    struct json parsed;
    if (json_parse(run->arena, text, NULL, NULL, &parsed) == STATUS_OK)
        *body = parsed;
    else
        s->context.response_body_malformed = true;
}

/* The response as it may be shown, for whoever records the exchange. */
static enum status show_response(struct run *run, const struct step_state *s, struct json *ret_shown)
{
    struct json shown = JSON_OBJECT_EMPTY, headers = JSON_OBJECT_EMPTY, body = json_null();
    for (size_t i = 0; i < s->response.header_count; i++) {
        bool cookie = str_eq_nocase(s->response.headers[i].name, STR("Set-Cookie"));
        struct str value = cookie ? STR(SECRET_MASK) : secrets_mask(&run->plan.secrets, s->response.headers[i].value);
        if (!value.data) return STATUS_LIMIT;
        TRY(json_put(run->arena, &headers, s->response.headers[i].name, json_string(value)));
    }
    TRY(json_put(run->arena, &shown, STR("status"), json_int(s->response.status)));
    TRY(json_put(run->arena, &shown, STR("headers"), headers));
    if (s->context.response_body) {
        TRY(secrets_mask_json(&run->plan.secrets, s->context.response_body, &body));
        TRY(json_put(run->arena, &shown, STR("body"), body));
    }
    *ret_shown = shown;
    return STATUS_OK;
}

/* A copy that outlives the execution: `$response` of a called workflow is that of its last step. */
static enum status keep_response(struct run *run, struct step_state *s)
{
    struct workflow_response *copy = arena_alloc(run->arena, sizeof *copy);
    if (!copy) return STATUS_LIMIT;
    *copy = s->response;
    s->context.response = copy;
    return STATUS_OK;
}

static enum status send(struct run *run, struct workflow_state *state, struct step_state *s, struct error *reason,
                        bool *ret_answered)
{
    const struct workflow_transport *transport = &run->options->transport;
    uint64_t left_ms = run_left_ms(run);
    *ret_answered = false;
    if (!left_ms) {
        error_set(reason, STATUS_CANCELLED, "the run's total time of %llu ms is used up",
                  (unsigned long long)run->total_timeout_ms);
        return STATUS_OK;
    }
    struct workflow_request *request = &s->request.request;
    request->timeout_ms =
        run->options->request_timeout_ms ? run->options->request_timeout_ms : WORKFLOW_REQUEST_TIMEOUT_MS_DEFAULT;
    if (request->timeout_ms > left_ms) request->timeout_ms = (uint32_t)left_ms;
    const struct json *timeout = json_member(s->prepared->step->node, "timeout"); /* milliseconds, of 1.1 */
    if (timeout && timeout->type == JSON_INT && timeout->integer > 0 && timeout->integer < request->timeout_ms)
        request->timeout_ms = (uint32_t)timeout->integer;
    request->body_size_max = run->options->body_size_max ? run->options->body_size_max : WORKFLOW_BODY_SIZE_MAX_DEFAULT;
    enum status status = transport->send
                             ? transport->send(transport->ctx, request, run->arena, reason, &s->response)
                             : error_set(reason, STATUS_UNSUPPORTED, "there is no network to send the request");
    if (status == STATUS_OK && s->response.body.size > request->body_size_max)
        status = error_set(reason, STATUS_LIMIT, "the response is larger than %zu bytes", request->body_size_max);
    if (status != STATUS_OK) {
        if (reason->primary[0] == 0) error_set(reason, status, "the request failed: %s", status_name(status));
        return STATUS_OK;
    }
    s->answered = *ret_answered = true;
    TRY(keep_response(run, s));
    read_body(run, s);
    struct json shown = json_null();
    if (run->options->observer) TRY(show_response(run, s, &shown));
    state->event.status = s->response.status;
    state->event.elapsed_us = s->response.elapsed_us;
    state->event.response = &shown;
    run_tell(run, state, WORKFLOW_EVENT_RESPONSE);
    state->event.response = NULL;
    return STATUS_OK;
}

/* ---- criteria ---- */

static enum status add_criterion(struct run *run, struct step_state *s, struct str condition, bool holds,
                                 struct str message)
{
    struct json entry = JSON_OBJECT_EMPTY;
    TRY(run_put_str(run->arena, &entry, "condition", condition));
    TRY(json_put(run->arena, &entry, STR("passed"), json_bool(holds)));
    if (message.size) TRY(run_put_str(run->arena, &entry, "message", message));
    return json_push(run->arena, &s->criteria, entry);
}

enum status run_judge(struct run *run, const struct prepared_criterion *criterion,
                      const struct expression_context *context, struct str *ret_message, bool *ret_holds)
{
    struct buf message = BUF_INIT(4096);
    enum status status = condition_evaluate(run->arena, &criterion->compiled, context, &message, ret_holds);
    struct str text = arena_str(run->arena, buf_str(&message));
    buf_fini(&message);
    TRY(status);
    if (text.data) text = secrets_mask(&run->plan.secrets, text);
    *ret_message = text;
    return text.data ? STATUS_OK : STATUS_LIMIT;
}

/* CR-2: without criteria a step succeeds with a status of 2xx, and one that calls a workflow when that passes. */
static enum status check_criteria(struct run *run, struct step_state *s, struct error *reason, bool *ret_holds)
{
    bool all = true;
    for (size_t i = 0; i < s->prepared->criteria.count; i++) {
        bool holds = false;
        struct str message, condition = s->prepared->criteria.items[i].condition->string;
        TRY(run_judge(run, &s->prepared->criteria.items[i], &s->context, &message, &holds));
        TRY(add_criterion(run, s, condition, holds, message));
        if (!holds && all) {
            error_set(reason, STATUS_INVALID, "the condition " STR_FMT " does not hold", STR_ARG(condition));
            if (message.size) error_detail(reason, STR_FMT, STR_ARG(message));
        }
        all &= holds;
    }
    if (!s->prepared->step->success_criteria && !s->prepared->call) {
        all = s->response.status >= 200 && s->response.status <= 299;
        struct str message = all ? STR_NULL : arena_printf(run->arena, "the status was %u", s->response.status);
        if (!all) error_set(reason, STATUS_INVALID, "the response has status %u, expected 2xx", s->response.status);
        TRY(add_criterion(run, s, STR("$statusCode is 2xx"), all, message));
    }
    *ret_holds = all;
    return STATUS_OK;
}

/* ---- outputs ---- */

static enum status add_output(struct run *run, struct step_state *s, struct str name, const struct json *value)
{
    struct json shown = json_null();
    if (value) {
        TRY(json_put(run->arena, &s->outputs, name, *value));
        TRY(secrets_mask_json(&run->plan.secrets, value, &shown));
    }
    return json_put(run->arena, &s->outputs_masked, name, shown);
}

/* EX-4: an output that finds nothing is null, with a warning; one that cannot be evaluated fails the step. */
static enum status collect_outputs(struct run *run, struct workflow_state *state, struct step_state *s,
                                   struct error *reason)
{
    const struct json *outputs = s->prepared->step->outputs;
    if (!outputs && s->was_called) outputs = &s->called.outputs; /* SUB-1 */
    for (size_t i = 0; outputs && i < outputs->object.count; i++) {
        const struct json_member *member = &outputs->object.members[i];
        const struct json *value = &member->value;
        if (outputs == s->prepared->step->outputs) {
            enum status status = expression_string(run->arena, &s->context, member->value.string, reason, &value);
            if (status != STATUS_OK) {
                error_prefix(reason, "output \"" STR_FMT "\"", STR_ARG(member->key));
                return status;
            }
        }
        if (!value && !run->options->dry_run) {
            struct str text = arena_printf(
                run->arena, "step \"" STR_FMT "\": output \"" STR_FMT "\" has no value: " STR_FMT " found nothing",
                STR_ARG(s->prepared->step->id), STR_ARG(member->key), STR_ARG(member->value.string));
            if (!text.data || run_warn(run, state, text) != STATUS_OK) return run_no_memory(reason);
        }
        if (add_output(run, s, member->key, value) != STATUS_OK) return run_no_memory(reason);
    }
    return STATUS_OK;
}

/* ---- the two kinds of steps ---- */

static enum status send_request(struct run *run, struct workflow_state *state, struct step_state *s,
                                struct error *reason, bool *ret_answered)
{
    *ret_answered = false;
    if (request_build(run->arena, s->prepared, &s->context, &run->plan.secrets, reason, &s->request) != STATUS_OK)
        return STATUS_OK;
    s->built = true;
    struct built_request *kept = arena_alloc(run->arena, sizeof *kept);
    if (!kept) return STATUS_LIMIT;
    *kept = s->request;
    s->context.method = kept->request.method;
    s->context.url = kept->request.url;
    s->context.request_header = &kept->header;
    s->context.request_query = &kept->query;
    s->context.request_path = &kept->path;
    s->context.request_body = kept->body;
    state->event.method = kept->request.method;
    state->event.url = kept->url_masked;
    state->event.request = &kept->shown;
    run_tell(run, state, WORKFLOW_EVENT_REQUEST);
    state->event.request = NULL;
    if (!run->options->dry_run) return send(run, state, s, reason, ret_answered);
    *ret_answered = true;
    return STATUS_OK;
}

enum status run_arguments(struct run *run, const struct expression_context *context,
                          const struct prepared_parameter *parameters, size_t count, struct error *error,
                          struct json *ret_inputs)
{
    *ret_inputs = JSON_OBJECT_EMPTY;
    for (size_t i = 0; i < count; i++) {
        const struct json *value;
        TRY(expression_tree(run->arena, context, parameters[i].value, error, &value));
        if (value && json_put(run->arena, ret_inputs, parameters[i].declared.name, *value) != STATUS_OK)
            return run_no_memory(error);
    }
    return STATUS_OK;
}

/* SUB-1 to SUB-3. `$outputs`, `$response` and `$statusCode` then mean those of the called workflow. */
static enum status call(struct run *run, struct workflow_state *state, struct step_state *s, struct error *reason,
                        bool *ret_passed)
{
    struct json inputs;
    *ret_passed = false;
    if (state->depth + 1 >= run->depth_max) {
        error_set(reason, STATUS_LIMIT, "workflows are called more than %u deep", run->depth_max);
        return STATUS_OK;
    }
    if (run_arguments(run, &s->context, s->prepared->parameters, s->prepared->parameter_count, reason, &inputs) !=
        STATUS_OK)
        return STATUS_OK;
    TRY(run_called(run, s->prepared->call, false, &inputs, state->depth + 1, reason, &s->called));
    s->was_called = true;
    struct json *outputs = arena_alloc(run->arena, sizeof *outputs);
    if (!outputs) return STATUS_LIMIT;
    *outputs = s->called.outputs;
    struct expression_context context = s->called.last;
    context.document = s->context.document;
    context.inputs = s->context.inputs;
    context.steps = s->context.steps;
    context.workflows = s->context.workflows;
    context.outputs = outputs;
    context.placeholders = s->context.placeholders;
    s->context = context;
    *ret_passed = s->called.passed;
    if (!s->called.passed)
        error_set(reason, STATUS_INVALID, "workflow \"" STR_FMT "\" failed: " STR_FMT,
                  STR_ARG(s->prepared->call->workflow->id), STR_ARG(s->called.reason));
    return STATUS_OK;
}

/* All of a step; `reason` is set when it failed. */
static enum status perform(struct run *run, struct workflow_state *state, struct step_state *s, struct error *reason)
{
    bool good = false;
    if (++run->steps > run->steps_max) {
        error_set(reason, STATUS_LIMIT, "the run has taken more than %u steps", run->steps_max);
        return STATUS_OK;
    }
    if (s->prepared->call)
        TRY(call(run, state, s, reason, &good));
    else
        TRY(send_request(run, state, s, reason, &good));
    if (!good) return STATUS_OK;
    if (!run->options->dry_run) TRY(check_criteria(run, s, reason, &good));
    s->passed = good && collect_outputs(run, state, s, reason) == STATUS_OK;
    return STATUS_OK;
}

static enum status show_step(struct run *run, struct step_state *s)
{
    struct arena *arena = run->arena;
    struct json entry = JSON_OBJECT_EMPTY;
    TRY(run_put_str(arena, &entry, "stepId", s->prepared->step->id));
    TRY(run_put_str(arena, &entry, "operation", s->prepared->label));
    if (s->attempt > 1) TRY(json_put(arena, &entry, STR("attempt"), json_int(s->attempt)));
    if (s->built) TRY(json_put(arena, &entry, STR("request"), s->request.shown));
    if (s->answered) {
        TRY(json_put(arena, &entry, STR("status"), json_int(s->response.status)));
        TRY(json_put(arena, &entry, STR("time_ms"), json_number((double)s->response.elapsed_us / 1000)));
        if (s->response.url.size && !str_eq(s->response.url, s->request.request.url)) {
            struct str masked = secrets_mask(&run->plan.secrets, s->response.url);
            if (!masked.data) return STATUS_LIMIT;
            TRY(run_put_str(arena, &entry, "redirected_to", masked));
        }
    }
    if (s->was_called) TRY(json_put(arena, &entry, STR("workflow"), s->called.shown));
    TRY(json_put(arena, &entry, STR("criteria"), s->criteria));
    TRY(json_put(arena, &entry, STR("outputs"), s->outputs_masked));
    TRY(json_put(arena, &entry, STR("passed"), json_bool(s->passed)));
    if (!s->passed) TRY(run_put_str(arena, &entry, "error", s->reason));
    s->shown = entry;
    return STATUS_OK;
}

enum status run_step(struct run *run, struct workflow_state *state, size_t index, unsigned attempt,
                     struct step_state *ret_step)
{
    struct step_state s = {
        .prepared = &state->prepared->steps[index],
        .attempt = attempt,
        .criteria = JSON_ARRAY_EMPTY,
        .outputs = JSON_OBJECT_EMPTY,
        .outputs_masked = JSON_OBJECT_EMPTY,
        .context = run_context(run, state),
    };
    struct error reason = ERROR_INIT;
    struct workflow_event *event = &state->event;
    event->step_index = index;
    event->step_id = s.prepared->step->id;
    event->operation = s.prepared->label;
    event->attempt = attempt;
    event->calls = s.prepared->call != NULL;
    event->method = event->url = event->text = STR_NULL;
    event->status = 0;
    event->elapsed_us = 0;
    event->criteria = event->outputs = NULL;
    run_tell(run, state, WORKFLOW_EVENT_STEP_STARTED);
    TRY(perform(run, state, &s, &reason));
    if (!s.passed) TRY(run_masked(run, &reason, &s.reason));
    TRY(show_step(run, &s));
    TRY(run_set(run->arena, &state->steps, s.prepared->step->id, s.outputs));
    state->last = s.context;
    event->passed = s.passed;
    event->criteria = &s.criteria;
    event->outputs = &s.outputs_masked;
    event->text = s.reason;
    run_tell(run, state, WORKFLOW_EVENT_STEP_FINISHED);
    event->criteria = event->outputs = NULL;
    event->text = STR_NULL;
    *ret_step = s;
    return STATUS_OK;
}
