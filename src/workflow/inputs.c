/*
 * From what the user typed to what the workflow's schema accepts. An input must be declared by a workflow
 * that is going to run (a misspelt name would otherwise vanish silently); each workflow gets those that it
 * declares. Texts are coerced by the declared type, defaults fill what is missing, and the whole is
 * validated: every violation is reported, not only the first.
 */
#include "workflow/prepare.h"

static enum status put(struct arena *arena, struct json *object, struct str name, struct json value)
{
    for (size_t i = 0; i < object->object.count; i++) {
        if (!str_eq(object->object.members[i].key, name)) continue;
        object->object.members[i].value = value;
        return STATUS_OK;
    }
    return json_put(arena, object, name, value);
}

static bool takes(const struct prepared_workflow *workflow, struct str name)
{
    bool open = false;
    return workflow->schema.schema && (jsonschema_property(workflow->schema, name, &open) || open);
}

struct names {
    struct buf *buf;
    size_t count;
};

static void list_name(void *ctx, struct str name, const struct json *property)
{
    (void)property;
    struct names *names = ctx;
    if (names->count++) buf_lit(names->buf, ", ");
    buf_str_add(names->buf, name);
}

static void check_known(struct plan *plan, struct str name)
{
    for (size_t i = 0; i < plan->workflow_count; i++) {
        if ((plan->workflows[i]->is_root || plan->workflows[i]->takes_inputs) && takes(plan->workflows[i], name))
            return;
    }
    workflow_error_at(plan->problems, STR_NULL, NULL, "unknown input \"" STR_FMT "\"", STR_ARG(name));
    workflow_problem_rule(plan->problems, "input-unknown");
    struct buf list = BUF_INIT(200);
    struct names names = {.buf = &list};
    for (size_t i = 0; i < plan->workflow_count; i++)
        if (plan->workflows[i]->is_root) jsonschema_each_property(plan->workflows[i]->schema, list_name, &names);
    if (names.count)
        workflow_problem_hint(plan->problems, "the inputs are " STR_FMT, STR_ARG(buf_str(&list)));
    else
        workflow_problem_hint(plan->problems, "there are no inputs");
    buf_fini(&list);
}

struct completion {
    struct arena *arena;
    struct json *inputs;
    struct jsonschema schema;
    struct workflow_secrets *secrets;
    struct json *masked;
    enum status status;
};

/* The schema of a property, in the same document. */
static struct jsonschema schema_of(struct jsonschema schema, const struct json *property)
{
    schema.schema = property;
    return schema;
}

static void add_default(void *ctx, struct str name, const struct json *property)
{
    struct completion *c = ctx;
    const struct json *value = jsonschema_keyword(schema_of(c->schema, property), STR("default"));
    if (!value || json_get(c->inputs, name) || c->status != STATUS_OK) return;
    c->status = json_put(c->arena, c->inputs, name, *value);
}

static void collect_secret(void *ctx, struct str name, const struct json *property)
{
    struct completion *c = ctx;
    const struct json *format = jsonschema_keyword(schema_of(c->schema, property), STR("format"));
    const struct json *value = json_get(c->inputs, name);
    if (!format || !value || c->status != STATUS_OK || format->type != JSON_STRING ||
        !str_is(format->string, "password"))
        return;
    c->status = secrets_add_json(c->secrets, value);
    if (c->status == STATUS_OK) c->status = put(c->arena, c->masked, name, json_string(STR(SECRET_MASK)));
}

/* Who hears of violations: the list of problems, with the workflow's name where there are several. */
struct complaint {
    struct plan *plan;
    const struct prepared_workflow *workflow;
};

/* A violation names the value, which for a password must not be shown. */
static void report(void *ctx, struct str where, struct str what)
{
    const struct complaint *c = ctx;
    struct str masked = secrets_mask(&c->plan->secrets, what);
    if (!masked.data) masked = STR("is not valid");
    if (where.size)
        workflow_error_at(c->plan->problems, STR_NULL, NULL, "input \"" STR_FMT "\" " STR_FMT, STR_ARG(where),
                          STR_ARG(masked));
    else
        workflow_error_at(c->plan->problems, STR_NULL, NULL, "the inputs are not valid: the object " STR_FMT,
                          STR_ARG(masked));
    workflow_problem_rule(c->plan->problems, "input-invalid");
    if (c->plan->root_count > 1)
        workflow_problem_hint(c->plan->problems,
                              "it belongs to workflow \"" STR_FMT "\"; --workflow ID runs only one of them",
                              STR_ARG(c->workflow->workflow->id));
}

/* What the user gave for a workflow, coerced. */
static enum status collect(struct plan *plan, const struct prepared_workflow *workflow, struct json *inputs)
{
    const struct json *given = plan->options->inputs_json;
    for (size_t i = 0; given && given->type == JSON_OBJECT && i < given->object.count; i++) {
        const struct json_member *member = &given->object.members[i];
        if (takes(workflow, member->key)) TRY(put(plan->arena, inputs, member->key, member->value));
    }
    for (size_t i = 0; i < plan->options->input_count; i++) {
        const struct workflow_input *input = &plan->options->inputs[i];
        struct json value;
        if (!takes(workflow, input->name)) continue;
        struct jsonschema property =
            schema_of(workflow->schema, jsonschema_property(workflow->schema, input->name, NULL));
        TRY(jsonschema_coerce(plan->arena, property, input->text, &value));
        TRY(put(plan->arena, inputs, input->name, value));
    }
    return STATUS_OK;
}

enum status inputs_complete(struct plan *plan, const struct prepared_workflow *workflow, bool offer_user,
                            const struct json *given, jsonschema_violation violation, void *ctx, struct error *error,
                            struct json *ret_inputs, struct json *ret_masked)
{
    struct json inputs = JSON_OBJECT_EMPTY, masked;
    if (offer_user) TRY(collect(plan, workflow, &inputs));
    for (size_t i = 0; given && i < given->object.count; i++)
        TRY(put(plan->arena, &inputs, given->object.members[i].key, given->object.members[i].value));
    struct completion c = {
        .arena = plan->arena, .inputs = &inputs, .schema = workflow->schema, .secrets = &plan->secrets};
    jsonschema_each_property(workflow->schema, add_default, &c);
    TRY(c.status);
    TRY(json_clone(plan->arena, &inputs, &masked));
    c.masked = &masked;
    jsonschema_each_property(workflow->schema, collect_secret, &c);
    TRY(c.status);
    *ret_inputs = inputs;
    *ret_masked = masked;
    return jsonschema_validate(plan->arena, workflow->schema, &inputs, STR(""), violation, ctx, error);
}

enum status prepare_inputs(struct plan *plan, struct error *error)
{
    const struct json *given = plan->options->inputs_json;
    if (given && given->type != JSON_OBJECT) {
        workflow_error_at(plan->problems, STR_NULL, NULL, "the inputs must be a JSON object, not %s",
                          json_type_name(given));
        workflow_problem_rule(plan->problems, "input-invalid");
        return STATUS_OK;
    }
    for (size_t i = 0; given && i < given->object.count; i++) check_known(plan, given->object.members[i].key);
    for (size_t i = 0; i < plan->options->input_count; i++) check_known(plan, plan->options->inputs[i].name);
    for (size_t i = 0; i < plan->workflow_count; i++) {
        struct prepared_workflow *workflow = plan->workflows[i];
        struct error problem = ERROR_INIT;
        struct complaint complaint = {plan, workflow};
        if (!workflow->is_root) continue;
        enum status status = inputs_complete(plan, workflow, true, NULL, report, &complaint, &problem,
                                             &workflow->inputs, &workflow->inputs_masked);
        if (status == STATUS_OK) continue;
        if (!problem.primary[0]) return error_set(error, status, "the inputs exceed the memory budget");
        workflow_error_take(plan->problems, STR_NULL, NULL, &problem);
        workflow_problem_rule(plan->problems, "input-invalid");
    }
    return STATUS_OK;
}
