/*
 * Static checks of expressions (ERR-2): each one must name something that will exist when it is evaluated.
 * What exists depends on the place: a request sees inputs and the outputs of earlier steps; criteria and step
 * outputs also see this step's request and response; workflow outputs see all steps, but no message.
 */
#include "workflow/prepare.h"

enum place { PLACE_REQUEST, PLACE_RESPONSE, PLACE_RESULT };

struct expression_check {
    struct preparation *p;
    const struct prepared_workflow *prepared;
    enum place place;
    size_t step_index;
    const struct json *at;
};

#define ERROR(c, ...) workflow_error_at((c)->p->problems, (c)->p->document->file, (c)->at, __VA_ARGS__)

static void check_input(struct expression_check *c, const struct expression *e)
{
    bool open = false;
    struct str name = e->name;
    for (size_t end = name.size; end > 0; end--) {
        if (end < name.size && name.data[end] != '.' && name.data[end] != '[') continue;
        if (jsonschema_property(c->prepared->schema, str_slice(name, 0, end), &open) || open) return;
    }
    ERROR(c, "\"" STR_FMT "\" refers to an input that the workflow does not declare", STR_ARG(e->text));
}

static void check_step_output(struct expression_check *c, const struct expression *e)
{
    const struct workflow *workflow = c->prepared->workflow;
    size_t index = workflow_step_index(workflow, e->id);
    struct str rest;
    if (index == SIZE_MAX) {
        ERROR(c, "\"" STR_FMT "\" refers to an unknown step", STR_ARG(e->text));
    } else if (c->place != PLACE_RESULT && index >= c->step_index) {
        ERROR(c, "\"" STR_FMT "\" refers to a step that %s", STR_ARG(e->text),
              index == c->step_index ? "is this one, which has no outputs yet" : "comes later");
    } else if (!expression_lookup(workflow->steps[index].outputs, e->name, &rest)) {
        ERROR(c, "\"" STR_FMT "\" refers to an output that step \"" STR_FMT "\" does not declare", STR_ARG(e->text),
              STR_ARG(e->id));
    }
}

static void check_one(void *ctx, const struct expression *e)
{
    struct expression_check *c = ctx;
    struct str rest;
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
            ERROR(c, "\"" STR_FMT "\" has no value before the request is sent", STR_ARG(e->text));
        else if (c->place == PLACE_RESULT)
            ERROR(c, "\"" STR_FMT "\" has no value outside a step", STR_ARG(e->text));
        return;
    case EXPRESSION_INPUTS: check_input(c, e); return;
    case EXPRESSION_STEPS: check_step_output(c, e); return;
    case EXPRESSION_OUTPUTS:
        if (!expression_lookup(c->prepared->workflow->outputs, e->name, &rest))
            ERROR(c, "\"" STR_FMT "\" refers to an output that the workflow does not declare", STR_ARG(e->text));
        else if (c->place != PLACE_RESULT)
            ERROR(c, "\"" STR_FMT "\" has no value before the workflow ends", STR_ARG(e->text));
        return;
    case EXPRESSION_WORKFLOW_INPUTS:
    case EXPRESSION_WORKFLOW_OUTPUTS:
        ERROR(c, "\"" STR_FMT "\": references to other workflows are not supported yet", STR_ARG(e->text));
        return;
    case EXPRESSION_SOURCE:
        if (!workflow_document_source(c->p->document, e->id))
            ERROR(c, "\"" STR_FMT "\" refers to an unknown source", STR_ARG(e->text));
        else if (!str_is(e->name, "url") && !str_is(e->name, "name") && !str_is(e->name, "type"))
            ERROR(c, "\"" STR_FMT "\" has no value: a source has url, name and type", STR_ARG(e->text));
        return;
    case EXPRESSION_COMPONENTS:
        ERROR(c, "\"" STR_FMT "\" is no value; components are used by \"reference\"", STR_ARG(e->text));
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
            ERROR(c, "output \"" STR_FMT "\": selector objects are not supported", STR_ARG(member->key));
        } else if (member->value.type != JSON_STRING) {
            ERROR(c, "output \"" STR_FMT "\" must be an expression, not %s", STR_ARG(member->key),
                  json_type_name(&member->value));
        } else if (!expression_each(member->value.string, check_one, c)) {
            struct expression e;
            struct error problem = ERROR_INIT;
            size_t size;
            if (expression_parse(member->value.string, EXPRESSION_WHOLE, &problem, &e, &size) != STATUS_OK)
                ERROR(c, "output \"" STR_FMT "\": %s", STR_ARG(member->key), problem.primary);
        }
    }
}

void prepare_expressions(struct preparation *p, const struct prepared_workflow *workflow)
{
    struct expression_check check = {.p = p, .prepared = workflow}, *c = &check;
    for (size_t i = 0; i < workflow->workflow->step_count; i++) {
        const struct prepared_step *step = &workflow->steps[i];
        c->step_index = i;
        c->place = PLACE_REQUEST;
        for (size_t k = 0; k < step->parameter_count; k++) check_tree(c, step->parameters[k].value);
        if (step->payload) check_tree(c, step->payload);
        c->place = PLACE_RESPONSE;
        for (size_t k = 0; k < step->criterion_count; k++) {
            c->at = step->criteria[k].condition;
            criterion_each(step->criteria[k].compiled, check_one, c);
        }
        check_outputs(c, step->step->outputs);
    }
    c->place = PLACE_RESULT;
    check_outputs(c, workflow->workflow->outputs);
}
