/*
 * Criteria and actions, prepared: conditions compiled, references to components followed, targets found.
 *
 * A step's own actions come first; those of its workflow follow unless the step has one of the same name, which then
 * stands for it. So a step overrides and adds, as the specification says of parameters, and never loses what it does
 * not mention.
 */
#include "workflow/prepare.h"

#include <math.h>

#define RETRY_LIMIT_MAX   1000000
#define RETRY_AFTER_S_MAX 86400.0

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "a step exceeds the memory budget");
}

#define ERROR(p, at, rule, ...)                                                                                        \
    do {                                                                                                               \
        workflow_error_at((p)->problems, (p)->document->file, (at), __VA_ARGS__);                                      \
        workflow_problem_rule((p)->problems, (rule));                                                                  \
    } while (0)

static struct str string_member(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, str_of(name));
    return value && value->type == JSON_STRING ? value->string : STR_NULL;
}

/* ---- criteria ---- */

static enum status prepare_criterion(struct preparation *p, struct str step_id, const struct json *node,
                                     struct error *error, struct prepared_criteria *criteria)
{
    const struct json *condition = json_member(node, "condition");
    struct prepared_criterion *criterion = &criteria->items[criteria->count];
    struct error problem = ERROR_INIT;
    struct condition_remark remark;
    if (node->type != JSON_OBJECT || !condition || condition->type != JSON_STRING) return STATUS_OK; /* said before */
    enum status status = condition_compile(p->arena, node, &problem, &remark, &criterion->compiled);
    if (status == STATUS_LIMIT) return no_memory(error);
    if (status != STATUS_OK) {
        unsigned column = problem.column;
        error_prefix(&problem, "step \"" STR_FMT "\"", STR_ARG(step_id));
        if (column) error_detail(&problem, "at character %u", column);
        problem.line = problem.column = 0;
        const struct json *at = status == STATUS_UNSUPPORTED ? json_member(node, "type") : condition;
        workflow_error_take(p->problems, p->document->file, at ? at : condition, &problem);
        workflow_problem_rule(p->problems, "criterion-invalid");
        return STATUS_OK;
    }
    if (remark.text[0]) {
        workflow_warning_at(p->problems, p->document->file, condition, "step \"" STR_FMT "\": %s", STR_ARG(step_id),
                            remark.text);
        workflow_problem_rule(p->problems, "criterion-remark");
        if (remark.hint[0]) workflow_problem_hint(p->problems, "%s", remark.hint);
    }
    criterion->condition = condition;
    criteria->count++;
    return STATUS_OK;
}

enum status prepare_criteria(struct preparation *p, struct str step_id, const struct json *list, struct error *error,
                             struct prepared_criteria *ret_criteria)
{
    size_t count = list && list->type == JSON_ARRAY ? list->array.count : 0;
    ret_criteria->items = arena_new_array(p->arena, struct prepared_criterion, count + 1);
    if (!ret_criteria->items) return no_memory(error);
    for (size_t i = 0; i < count; i++) TRY(prepare_criterion(p, step_id, &list->array.items[i], error, ret_criteria));
    return STATUS_OK;
}

/* ---- actions ---- */

struct action_work {
    struct preparation *p;
    struct prepared_workflow *workflow;
    struct prepared_step *step;
    bool failure;
    struct prepared_actions *actions;
};

/* The object that an entry of the list stands for: itself, or the component that it refers to (ACT-10). */
static const struct json *follow(struct action_work *w, const struct json *entry)
{
    const struct json *reference = json_member(entry, "reference");
    if (!reference) return entry;
    struct str prefix = w->failure ? STR("$components.failureActions.") : STR("$components.successActions.");
    struct str text = reference->type == JSON_STRING ? reference->string : STR("?");
    const struct json *kind =
        json_get(w->p->document->components, w->failure ? STR("failureActions") : STR("successActions"));
    const struct json *target =
        str_starts(text, prefix) ? json_get(kind, str_slice(text, prefix.size, text.size)) : NULL;
    if (target && target->type == JSON_OBJECT && !json_member(target, "reference")) return target;
    ERROR(w->p, reference, "component-unknown", "step \"" STR_FMT "\": reference \"" STR_FMT "\" leads to no %s action",
          STR_ARG(w->step->step->id), STR_ARG(text), w->failure ? "failure" : "success");
    workflow_problem_hint(w->p->problems, "write " STR_FMT "NAME", STR_ARG(prefix));
    return NULL;
}

static bool read_kind(struct action_work *w, const struct json *node, struct prepared_action *action)
{
    struct str type = string_member(node, "type");
    const struct json *at = json_member(node, "type");
    if (str_is(type, "end"))
        action->kind = ACTION_END;
    else if (str_is(type, "goto"))
        action->kind = ACTION_GOTO;
    else if (str_is(type, "retry") && w->failure)
        action->kind = ACTION_RETRY;
    else {
        ERROR(w->p, at ? at : node, "action-invalid", "step \"" STR_FMT "\": %s action \"" STR_FMT "\" has %s",
              STR_ARG(w->step->step->id), w->failure ? "failure" : "success", STR_ARG(action->name),
              !at                     ? "no \"type\""
              : str_is(type, "retry") ? "the type retry, which only failure actions have"
                                      : "an unknown type");
        workflow_problem_hint(w->p->problems, w->failure ? "use end, goto or retry" : "use end or goto");
        return false;
    }
    return true;
}

/* goto leads to exactly one place, retry to one at most, end to none. */
static enum status read_target(struct action_work *w, const struct json *node, struct prepared_action *action,
                               struct error *error)
{
    const struct json *step = json_member(node, "stepId"), *workflow = json_member(node, "workflowId");
    struct preparation *p = w->p;
    action->step = SIZE_MAX;
    if ((step && workflow) || (action->kind == ACTION_GOTO && !step && !workflow)) {
        ERROR(p, node, "action-invalid", "step \"" STR_FMT "\": action \"" STR_FMT "\" needs %s",
              STR_ARG(w->step->step->id), STR_ARG(action->name),
              step ? "either stepId or workflowId, not both" : "a stepId or a workflowId");
        return STATUS_OK;
    }
    if (action->kind == ACTION_END && (step || workflow)) {
        workflow_warning_at(p->problems, p->document->file, step ? step : workflow,
                            "step \"" STR_FMT "\": action \"" STR_FMT "\" ends the workflow, its target is ignored",
                            STR_ARG(w->step->step->id), STR_ARG(action->name));
        workflow_problem_rule(p->problems, "action-invalid");
        return STATUS_OK;
    }
    if (step && step->type == JSON_STRING) {
        action->step = workflow_step_index(w->workflow->workflow, step->string);
        w->workflow->has_jumps = true;
        if (action->step == SIZE_MAX)
            ERROR(p, step, "step-unknown",
                  "step \"" STR_FMT "\": action \"" STR_FMT "\" leads to an unknown step \"" STR_FMT "\"",
                  STR_ARG(w->step->step->id), STR_ARG(action->name), STR_ARG(step->string));
    }
    if (!workflow || workflow->type != JSON_STRING) return STATUS_OK;
    struct prepared_workflow *found;
    struct str owner = arena_printf(p->arena, "step \"" STR_FMT "\": action \"" STR_FMT "\"",
                                    STR_ARG(w->step->step->id), STR_ARG(action->name));
    if (!owner.data) return no_memory(error);
    TRY(prepare_reference(p, workflow, workflow->string, owner.data, error, &found));
    if (found) found->takes_inputs = true;
    action->workflow = found;
    return STATUS_OK;
}

static void read_retry(struct action_work *w, const struct json *node, struct prepared_action *action)
{
    const struct json *after = json_member(node, "retryAfter"), *limit = json_member(node, "retryLimit");
    action->retry_limit = 1;
    if (action->kind != ACTION_RETRY) {
        if (!after && !limit) return;
        workflow_warning_at(w->p->problems, w->p->document->file, after ? after : limit,
                            "step \"" STR_FMT "\": only actions of type retry have \"%s\"", STR_ARG(w->step->step->id),
                            after ? "retryAfter" : "retryLimit");
        workflow_problem_rule(w->p->problems, "action-invalid");
        return;
    }
    if (after && json_is_number(after)) {
        double seconds = json_double(after);
        if (!(seconds >= 0) || seconds > RETRY_AFTER_S_MAX) {
            ERROR(w->p, after, "action-invalid", "step \"" STR_FMT "\": \"retryAfter\" must be from 0 to %.0f seconds",
                  STR_ARG(w->step->step->id), RETRY_AFTER_S_MAX);
        } else {
            action->has_retry_after = true;
            action->retry_after_ms = (uint64_t)llround(seconds * 1000);
        }
    }
    if (!limit) return;
    if (limit->type != JSON_INT || limit->integer < 0 || limit->integer > RETRY_LIMIT_MAX)
        ERROR(w->p, limit, "action-invalid", "step \"" STR_FMT "\": \"retryLimit\" must be a whole number from 0 to %d",
              STR_ARG(w->step->step->id), RETRY_LIMIT_MAX);
    else
        action->retry_limit = (uint64_t)limit->integer;
}

/* Inputs for the workflow that an action leads to, as Arazzo 1.1 has them. */
static enum status read_parameters(struct action_work *w, const struct json *node, struct prepared_action *action,
                                   struct error *error)
{
    const struct json *list = json_member(node, "parameters");
    if (!list || list->type != JSON_ARRAY) return STATUS_OK;
    action->parameters = arena_new_array(w->p->arena, struct prepared_parameter, list->array.count + 1);
    if (!action->parameters) return no_memory(error);
    for (size_t i = 0; i < list->array.count; i++) {
        const struct json *value, *entry = prepare_parameter_entry(w->p->document, &list->array.items[i], &value);
        struct str name = string_member(entry, "name");
        if (!entry || !name.data || !value || prepare_is_selector(value)) {
            ERROR(w->p, &list->array.items[i], "parameter-incomplete",
                  "step \"" STR_FMT "\": the parameter needs \"name\" and \"value\"", STR_ARG(w->step->step->id));
            continue;
        }
        action->parameters[action->parameter_count++] =
            (struct prepared_parameter){.declared = {.name = name}, .value = value};
    }
    return STATUS_OK;
}

static enum status add_action(struct action_work *w, const struct json *entry, bool common, size_t own,
                              struct error *error)
{
    const struct json *node = follow(w, entry);
    struct prepared_action action = {.name = string_member(node, "name"), .common = common};
    if (!node) return STATUS_OK;
    for (size_t i = 0; i < own; i++)
        if (action.name.size && str_eq(w->actions->items[i].name, action.name)) return STATUS_OK;
    if (!action.name.size)
        ERROR(w->p, node, "action-invalid", "step \"" STR_FMT "\": an action has no \"name\"",
              STR_ARG(w->step->step->id));
    if (!read_kind(w, node, &action)) return STATUS_OK;
    TRY(read_target(w, node, &action, error));
    read_retry(w, node, &action);
    TRY(read_parameters(w, node, &action, error));
    TRY(prepare_criteria(w->p, w->step->step->id, json_member(node, "criteria"), error, &action.criteria));
    w->actions->items[w->actions->count++] = action;
    return STATUS_OK;
}

static enum status add_actions(struct action_work *w, const char *own_field, const char *common_field,
                               struct error *error)
{
    const struct json *own = json_get(w->step->step->node, str_of(own_field));
    const struct json *common = json_get(w->workflow->workflow->node, str_of(common_field));
    size_t own_count = own && own->type == JSON_ARRAY ? own->array.count : 0;
    size_t common_count = common && common->type == JSON_ARRAY ? common->array.count : 0;
    w->actions->items = arena_new_array(w->p->arena, struct prepared_action, own_count + common_count + 1);
    if (!w->actions->items) return no_memory(error);
    for (size_t i = 0; i < own_count; i++) TRY(add_action(w, &own->array.items[i], false, 0, error));
    size_t kept = w->actions->count;
    for (size_t i = 0; i < common_count; i++) TRY(add_action(w, &common->array.items[i], true, kept, error));
    return STATUS_OK;
}

enum status prepare_actions(struct preparation *p, struct prepared_workflow *workflow, struct prepared_step *step,
                            struct error *error)
{
    struct action_work success = {p, workflow, step, false, &step->on_success};
    struct action_work failure = {p, workflow, step, true, &step->on_failure};
    TRY(add_actions(&success, "onSuccess", "successActions", error));
    return add_actions(&failure, "onFailure", "failureActions", error);
}
