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

static void check_known(struct preparation *p, struct str name)
{
    for (size_t i = 0; i < p->workflow_count; i++) {
        if (takes(&p->workflows[i], name)) return;
    }
    workflow_error_at(p->problems, STR_NULL, NULL, "unknown input \"" STR_FMT "\"", STR_ARG(name));
    struct buf list = BUF_INIT(200);
    struct names names = {.buf = &list};
    for (size_t i = 0; i < p->workflow_count; i++) jsonschema_each_property(p->workflows[i].schema, list_name, &names);
    if (names.count)
        workflow_problem_hint(p->problems, "the inputs are " STR_FMT, STR_ARG(buf_str(&list)));
    else
        workflow_problem_hint(p->problems, "there are no inputs");
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

static void add_default(void *ctx, struct str name, const struct json *property)
{
    struct completion *c = ctx;
    const struct json *value = jsonschema_keyword((struct jsonschema){c->schema.root, property}, STR("default"));
    if (!value || json_get(c->inputs, name) || c->status != STATUS_OK) return;
    c->status = json_put(c->arena, c->inputs, name, *value);
}

static void collect_secret(void *ctx, struct str name, const struct json *property)
{
    struct completion *c = ctx;
    const struct json *format = jsonschema_keyword((struct jsonschema){c->schema.root, property}, STR("format"));
    const struct json *value = json_get(c->inputs, name);
    if (!format || !value || c->status != STATUS_OK || format->type != JSON_STRING ||
        !str_is(format->string, "password"))
        return;
    c->status = secrets_add_json(c->secrets, value);
    if (c->status == STATUS_OK) c->status = put(c->arena, c->masked, name, json_string(STR(SECRET_MASK)));
}

static void report(void *ctx, struct str where, struct str what)
{
    struct preparation *p = ctx;
    if (where.size)
        workflow_error_at(p->problems, STR_NULL, NULL, "input \"" STR_FMT "\" " STR_FMT, STR_ARG(where), STR_ARG(what));
    else
        workflow_error_at(p->problems, STR_NULL, NULL, "the inputs are not valid: the object " STR_FMT, STR_ARG(what));
}

/* A violation names the value, which for a password must not be shown. */
static void report_masked(void *ctx, struct str where, struct str what)
{
    struct preparation *p = ctx;
    struct str masked = secrets_mask(&p->secrets, what);
    report(p, where, masked.data ? masked : STR("is not valid"));
}

static enum status fill(struct preparation *p, struct prepared_workflow *workflow, struct error *error)
{
    const struct json *given = p->options->inputs_json;
    struct json inputs = JSON_OBJECT_EMPTY;
    for (size_t i = 0; given && i < given->object.count; i++) {
        const struct json_member *member = &given->object.members[i];
        if (takes(workflow, member->key)) TRY(put(p->arena, &inputs, member->key, member->value));
    }
    for (size_t i = 0; i < p->options->input_count; i++) {
        const struct workflow_input *input = &p->options->inputs[i];
        struct json value;
        if (!takes(workflow, input->name)) continue;
        struct jsonschema property = {workflow->schema.root, jsonschema_property(workflow->schema, input->name, NULL)};
        TRY(jsonschema_coerce(p->arena, property, input->text, &value));
        TRY(put(p->arena, &inputs, input->name, value));
    }
    struct completion c = {.arena = p->arena, .inputs = &inputs, .schema = workflow->schema, .secrets = &p->secrets};
    jsonschema_each_property(workflow->schema, add_default, &c);
    TRY(c.status);
    struct json masked;
    TRY(json_clone(p->arena, &inputs, &masked));
    c.masked = &masked;
    jsonschema_each_property(workflow->schema, collect_secret, &c);
    TRY(c.status);
    workflow->inputs = inputs;
    workflow->inputs_masked = masked;
    return jsonschema_validate(p->arena, workflow->schema, &workflow->inputs, STR(""), report_masked, p, error);
}

enum status prepare_inputs(struct preparation *p, struct error *error)
{
    const struct json *given = p->options->inputs_json;
    if (given && given->type != JSON_OBJECT) {
        workflow_error_at(p->problems, STR_NULL, NULL, "the inputs must be a JSON object, not %s",
                          json_type_name(given));
        return STATUS_OK;
    }
    for (size_t i = 0; given && i < given->object.count; i++) check_known(p, given->object.members[i].key);
    for (size_t i = 0; i < p->options->input_count; i++) check_known(p, p->options->inputs[i].name);
    for (size_t i = 0; i < p->workflow_count; i++) {
        struct error problem = ERROR_INIT;
        enum status status = fill(p, &p->workflows[i], &problem);
        if (status == STATUS_OK) continue;
        if (!problem.primary[0]) return error_set(error, status, "the inputs exceed the memory budget");
        workflow_error_take(p->problems, STR_NULL, NULL, &problem);
    }
    return STATUS_OK;
}
