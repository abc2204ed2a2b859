/*
 * Static checks of expressions (ERR-2): each one must name something that will exist when it is evaluated. What exists
 * depends on the place: a request sees inputs and the outputs of earlier steps; criteria and step outputs also see this
 * step's request and response, or what the workflow that it called gave; actions see the step's outputs besides;
 * workflow outputs see all steps, but no message.
 *
 * Where an action leads to a step, a later step may have run before, and actions and parameters of the workflow serve
 * later steps too: then that is only worth a warning.
 */
#include "workflow/prepare.h"

enum place { PLACE_REQUEST, PLACE_RESPONSE, PLACE_ACTION, PLACE_RESULT };

struct expression_check {
    struct preparation *p;
    const struct prepared_workflow *prepared;
    enum place place;
    size_t step_index;
    bool common; /* an action or a parameter that serves every step of the workflow */
    const struct json *at;
};

#define ERROR(c, rule, ...)                                                                                            \
    do {                                                                                                               \
        workflow_error_at((c)->p->problems, (c)->p->document->file, (c)->at, __VA_ARGS__);                             \
        workflow_problem_rule((c)->p->problems, (rule));                                                               \
    } while (0)

static void check_input(struct expression_check *c, const struct expression *e)
{
    bool open = false;
    struct str name = e->name;
    for (size_t end = name.size; end > 0; end--) {
        if (end < name.size && name.data[end] != '.' && name.data[end] != '[') continue;
        if (jsonschema_property(c->prepared->schema, str_slice(name, 0, end), &open) || open) return;
    }
    ERROR(c, "expression-unknown", "\"" STR_FMT "\" refers to an input that the workflow does not declare",
          STR_ARG(e->text));
}

/* SUB-1: a step without outputs of its own that calls a workflow has those of the workflow. */
static const struct json *declared_outputs(const struct prepared_step *step)
{
    if (step->step->outputs || !step->call) return step->step->outputs;
    return step->call->workflow->outputs;
}

static void check_step_output(struct expression_check *c, const struct expression *e)
{
    const struct workflow *workflow = c->prepared->workflow;
    size_t index = workflow_step_index(workflow, e->id);
    struct str rest;
    if (index == SIZE_MAX) {
        ERROR(c, "expression-unknown", "\"" STR_FMT "\" refers to an unknown step", STR_ARG(e->text));
        return;
    }
    const struct prepared_step *step = &c->prepared->steps[index];
    bool early =
        c->place != PLACE_RESULT && (index > c->step_index || (index == c->step_index && c->place != PLACE_ACTION));
    if (early) {
        const char *what = index == c->step_index ? "is this one, which has no outputs yet" : "comes later";
        if (c->prepared->has_jumps)
            workflow_warning_at(c->p->problems, c->p->document->file, c->at,
                                "\"" STR_FMT "\" refers to a step that %s, unless an action leads back",
                                STR_ARG(e->text), what);
        else if (c->common)
            workflow_warning_at(c->p->problems, c->p->document->file, c->at,
                                "\"" STR_FMT "\" has no value before step \"" STR_FMT "\" is done", STR_ARG(e->text),
                                STR_ARG(e->id));
        else
            workflow_error_at(c->p->problems, c->p->document->file, c->at, "\"" STR_FMT "\" refers to a step that %s",
                              STR_ARG(e->text), what);
        workflow_problem_rule(c->p->problems, "expression-early");
    } else if (step->step->workflow_id.size && !step->call) {
        return; /* the workflow that it calls is unknown, which has been said */
    } else if (!expression_lookup(declared_outputs(step), e->name, &rest)) {
        ERROR(c, "expression-unknown", "\"" STR_FMT "\" refers to an output that step \"" STR_FMT "\" does not declare",
              STR_ARG(e->text), STR_ARG(e->id));
    }
}

/* `$outputs.x`: of the called workflow in a step that calls one, otherwise of this workflow (EX-11). */
static void check_output(struct expression_check *c, const struct expression *e)
{
    const struct prepared_step *step = c->place == PLACE_RESULT ? NULL : &c->prepared->steps[c->step_index];
    bool called = step && (step->call || step->step->workflow_id.size) && c->place != PLACE_REQUEST;
    if (called && !step->call) return;
    const struct json *outputs = called ? step->call->workflow->outputs : c->prepared->workflow->outputs;
    struct str rest;
    if (!expression_lookup(outputs, e->name, &rest))
        ERROR(c, "expression-unknown", "\"" STR_FMT "\" refers to an output that the workflow does not declare",
              STR_ARG(e->text));
    else if (!called && c->place != PLACE_RESULT)
        ERROR(c, "expression-early", "\"" STR_FMT "\" has no value before the workflow ends", STR_ARG(e->text));
}

static void check_workflow(struct expression_check *c, const struct expression *e)
{
    const struct workflow *workflow = workflow_document_find(c->p->document, e->id);
    struct str rest;
    bool open = false;
    if (!workflow) {
        ERROR(c, "expression-unknown", "\"" STR_FMT "\" refers to an unknown workflow", STR_ARG(e->text));
    } else if (e->root == EXPRESSION_WORKFLOW_OUTPUTS) {
        if (!expression_lookup(workflow->outputs, e->name, &rest))
            ERROR(c, "expression-unknown",
                  "\"" STR_FMT "\" refers to an output that workflow \"" STR_FMT "\" does not declare",
                  STR_ARG(e->text), STR_ARG(e->id));
    } else {
        struct jsonschema schema = {.root = &c->p->document->root, .schema = workflow->inputs};
        for (size_t end = e->name.size; end > 0; end--) {
            if (end < e->name.size && e->name.data[end] != '.' && e->name.data[end] != '[') continue;
            if (jsonschema_property(schema, str_slice(e->name, 0, end), &open) || open) return;
        }
        ERROR(c, "expression-unknown",
              "\"" STR_FMT "\" refers to an input that workflow \"" STR_FMT "\" does not declare", STR_ARG(e->text),
              STR_ARG(e->id));
    }
}

static void check_one(void *ctx, const struct expression *e)
{
    struct expression_check *c = ctx;
    switch (e->root) {
    case EXPRESSION_URL:
    case EXPRESSION_METHOD:
    case EXPRESSION_STATUS_CODE:
    case EXPRESSION_REQUEST_HEADER:
    case EXPRESSION_REQUEST_QUERY:
    case EXPRESSION_REQUEST_PATH:
    case EXPRESSION_REQUEST_BODY:
    case EXPRESSION_RESPONSE_HEADER:
    case EXPRESSION_RESPONSE_BODY:
        if (c->place == PLACE_REQUEST)
            ERROR(c, "expression-early", "\"" STR_FMT "\" has no value before the request is sent", STR_ARG(e->text));
        else if (c->place == PLACE_RESULT)
            ERROR(c, "expression-early", "\"" STR_FMT "\" has no value outside a step", STR_ARG(e->text));
        return;
    case EXPRESSION_INPUTS: check_input(c, e); return;
    case EXPRESSION_STEPS: check_step_output(c, e); return;
    case EXPRESSION_OUTPUTS: check_output(c, e); return;
    case EXPRESSION_WORKFLOW_INPUTS:
    case EXPRESSION_WORKFLOW_OUTPUTS: check_workflow(c, e); return;
    case EXPRESSION_SOURCE:
        if (!workflow_document_source(c->p->document, e->id))
            ERROR(c, "expression-unknown", "\"" STR_FMT "\" refers to an unknown source", STR_ARG(e->text));
        else if (!str_is(e->name, "url") && !str_is(e->name, "name") && !str_is(e->name, "type"))
            ERROR(c, "expression-unknown", "\"" STR_FMT "\" has no value: a source has url, name and type",
                  STR_ARG(e->text));
        return;
    case EXPRESSION_COMPONENTS:
        ERROR(c, "expression-unknown", "\"" STR_FMT "\" is no value; components are used by \"reference\"",
              STR_ARG(e->text));
        return;
    }
}

/* PAR-3: the spec leaves such texts as they are. That is seldom meant, so it is said. */
static void warn_literal(struct expression_check *c, struct str text)
{
    static const char *const roots[] = {"$inputs.", "$steps.", "$response.", "$request.", "$outputs."};
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        if (str_find(text, str_of(roots[i]), 0) == SIZE_MAX) continue;
        workflow_warning_at(c->p->problems, c->p->document->file, c->at,
                            "\"%.*s\" is not an expression and is used as it stands",
                            (int)(text.size > 80 ? 80 : text.size), text.data);
        workflow_problem_rule(c->p->problems, "expression-literal");
        workflow_problem_hint(c->p->problems, "put expressions inside a text between braces: {%s...}", roots[i]);
        return;
    }
}

/* The recursion is bounded by the depth limit of the document. */
static void check_tree(struct expression_check *c, const struct json *tree)
{
    if (tree->type == JSON_STRING) {
        c->at = tree;
        if (!expression_each(tree->string, check_one, c)) warn_literal(c, tree->string);
    }
    for (size_t i = 0; tree->type == JSON_ARRAY && i < tree->array.count; i++) check_tree(c, &tree->array.items[i]);
    for (size_t i = 0; tree->type == JSON_OBJECT && i < tree->object.count; i++)
        check_tree(c, &tree->object.members[i].value);
}

static void check_outputs(struct expression_check *c, const struct json *outputs)
{
    for (size_t i = 0; outputs && i < outputs->object.count; i++) {
        const struct json_member *member = &outputs->object.members[i];
        c->at = &member->value;
        if (member->value.type == JSON_OBJECT && json_member(&member->value, "selector")) {
            ERROR(c, "unsupported", "output \"" STR_FMT "\": selector objects are not supported", STR_ARG(member->key));
        } else if (member->value.type != JSON_STRING) {
            ERROR(c, "field-type", "output \"" STR_FMT "\" must be an expression, not %s", STR_ARG(member->key),
                  json_type_name(&member->value));
        } else if (!expression_each(member->value.string, check_one, c)) {
            struct expression e;
            struct error problem = ERROR_INIT;
            size_t size;
            if (expression_parse(member->value.string, EXPRESSION_WHOLE, &problem, &e, &size) != STATUS_OK)
                ERROR(c, "expression-invalid", "output \"" STR_FMT "\": %s", STR_ARG(member->key), problem.primary);
        }
    }
}

static void check_criteria(struct expression_check *c, const struct prepared_criteria *criteria)
{
    for (size_t i = 0; i < criteria->count; i++) {
        c->at = criteria->items[i].condition;
        condition_each(&criteria->items[i].compiled, check_one, c);
    }
}

static void check_actions(struct expression_check *c, const struct prepared_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        c->common = actions->items[i].common;
        check_criteria(c, &actions->items[i].criteria);
        for (size_t k = 0; k < actions->items[i].parameter_count; k++)
            check_tree(c, actions->items[i].parameters[k].value);
    }
    c->common = false;
}

void prepare_expressions(struct preparation *p, const struct prepared_workflow *workflow)
{
    struct expression_check check = {.p = p, .prepared = workflow}, *c = &check;
    for (size_t i = 0; i < workflow->workflow->step_count; i++) {
        const struct prepared_step *step = &workflow->steps[i];
        c->step_index = i;
        c->place = PLACE_REQUEST;
        for (size_t k = 0; k < step->parameter_count; k++) {
            c->common = step->parameters[k].common;
            check_tree(c, step->parameters[k].value);
        }
        c->common = false;
        if (step->payload) check_tree(c, step->payload);
        for (size_t k = 0; k < step->replacement_count; k++) check_tree(c, step->replacements[k].value);
        c->place = PLACE_RESPONSE;
        check_criteria(c, &step->criteria);
        check_outputs(c, step->step->outputs);
        c->place = PLACE_ACTION;
        check_actions(c, &step->on_success);
        check_actions(c, &step->on_failure);
    }
    c->place = PLACE_RESULT;
    check_outputs(c, workflow->workflow->outputs);
}
