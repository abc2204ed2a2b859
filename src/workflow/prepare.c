#include "workflow/prepare.h"

#include "workflow/location.h"

#include <stdio.h>

const struct json *prepare_parameter_entry(const struct workflow_document *document, const struct json *entry,
                                           const struct json **ret_value)
{
    const struct json *reference = json_member(entry, "reference");
    *ret_value = json_member(entry, "value");
    if (!reference) return entry;
    struct str prefix = STR("$components.parameters.");
    if (reference->type != JSON_STRING || !str_starts(reference->string, prefix)) return NULL;
    const struct json *components = json_member(document->components, "parameters");
    const struct json *target = json_get(components, str_slice(reference->string, prefix.size, reference->string.size));
    if (!target || target->type != JSON_OBJECT || json_member(target, "reference")) return NULL;
    if (!*ret_value) *ret_value = json_member(target, "value");
    return target;
}

static bool present(const struct json *object, const char *field)
{
    const struct json *value = json_get(object, str_of(field));
    return value && !(value->type == JSON_ARRAY && value->array.count == 0);
}

static void refuse_unsupported(struct preparation *p, const struct workflow *workflow)
{
    static const char *const fields[] = {"dependsOn", "successActions", "failureActions"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!present(workflow->node, fields[i])) continue;
        workflow_error_at(p->problems, p->document->file, json_get(workflow->node, str_of(fields[i])),
                          "\"%s\" of a workflow is not supported yet", fields[i]);
    }
}

static enum status prepare_workflow(struct preparation *p, const struct workflow *workflow,
                                    struct prepared_workflow *prepared, struct error *error)
{
    prepared->workflow = workflow;
    prepared->schema = (struct jsonschema){.root = &p->document->root, .schema = workflow->inputs};
    prepared->inputs = prepared->inputs_masked = JSON_OBJECT_EMPTY;
    jsonschema_check(prepared->schema, p->document->file, p->problems);
    refuse_unsupported(p, workflow);
    prepared->steps = arena_new_array(p->arena, struct prepared_step, workflow->step_count + 1);
    if (!prepared->steps) return error_set(error, STATUS_LIMIT, "the workflow exceeds the memory budget");
    for (size_t i = 0; i < workflow->step_count; i++) TRY(prepare_step(p, workflow, i, &prepared->steps[i], error));
    prepare_expressions(p, prepared);
    return STATUS_OK;
}

static enum status choose_workflows(struct preparation *p, struct error *error)
{
    const struct workflow_document *document = p->document;
    struct str wanted = p->options->workflow_id;
    p->workflows = arena_new_array(p->arena, struct prepared_workflow, document->workflow_count + 1);
    if (!p->workflows) return error_set(error, STATUS_LIMIT, "the document exceeds the memory budget");
    for (size_t i = 0; i < document->workflow_count; i++) {
        const struct workflow *workflow = &document->workflows[i];
        if (wanted.size && !str_eq(workflow->id, wanted)) continue;
        TRY(prepare_workflow(p, workflow, &p->workflows[p->workflow_count++], error));
    }
    if (p->workflow_count) return STATUS_OK;
    struct buf list = BUF_INIT(200);
    for (size_t i = 0; i < document->workflow_count; i++) {
        if (i) buf_lit(&list, ", ");
        buf_str_add(&list, document->workflows[i].id);
    }
    workflow_error_at(p->problems, document->file, NULL, "there is no workflow \"" STR_FMT "\"", STR_ARG(wanted));
    workflow_problem_hint(p->problems, "the workflows are " STR_FMT, STR_ARG(buf_str(&list)));
    buf_fini(&list);
    return STATUS_OK;
}

/* --server and --auth must name something that exists: a misspelt name would otherwise vanish silently. */
static void check_options(struct preparation *p)
{
    const struct workflow_options *options = p->options;
    for (size_t i = 0; i < options->server_count; i++) {
        const struct workflow_server *server = &options->servers[i];
        if (!workflow_document_source(p->document, server->name))
            workflow_error_at(p->problems, STR_NULL, NULL, "--server names an unknown source \"" STR_FMT "\"",
                              STR_ARG(server->name));
        struct error problem = ERROR_INIT;
        if (location_check_server(server->url, &problem) == STATUS_OK) continue;
        error_prefix(&problem, "--server " STR_FMT, STR_ARG(server->name));
        workflow_error_take(p->problems, STR_NULL, NULL, &problem);
    }
    for (size_t i = 0; i < options->auth_count; i++) {
        struct str scheme = options->auths[i].scheme;
        bool known = false;
        for (size_t s = 0; s < p->sources.source_count && !known; s++) {
            const struct openapi_source *source = &p->sources.sources[s];
            struct str name = scheme, prefix = source->description->name;
            if (scheme.size > prefix.size && str_starts(scheme, prefix) && scheme.data[prefix.size] == '.')
                name = str_slice(scheme, prefix.size + 1, scheme.size);
            struct openapi_node plain = {NULL, NULL}, qualified = {NULL, NULL};
            if (!source->file || openapi_security_scheme(&p->sources, source, scheme, NULL, &plain) != STATUS_OK ||
                openapi_security_scheme(&p->sources, source, name, NULL, &qualified) != STATUS_OK)
                continue;
            known = plain.value || qualified.value;
        }
        if (!known)
            workflow_warning_at(p->problems, STR_NULL, NULL,
                                "no source has a security scheme \"" STR_FMT "\", ignoring its credential",
                                STR_ARG(scheme));
    }
}

static enum status add_secrets(struct preparation *p, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < p->options->auth_count && status == STATUS_OK; i++) {
        struct str credential = p->options->auths[i].credential;
        size_t colon = str_find_byte(credential, ':', 0);
        status = secrets_add(&p->secrets, credential);
        if (status == STATUS_OK && colon != SIZE_MAX)
            status = secrets_add(&p->secrets, str_slice(credential, colon + 1, credential.size));
    }
    return status == STATUS_OK ? status : error_set(error, status, "the credentials exceed the memory budget");
}

enum status workflow_prepare(struct preparation *preparation, struct error *error)
{
    struct preparation *p = preparation;
    p->secrets.arena = p->arena;
    p->sources = (struct openapi_set){
        .arena = p->arena,
        .transport = &p->options->transport,
        .loader = &p->options->loader,
        .timeout_ms =
            p->options->request_timeout_ms ? p->options->request_timeout_ms : WORKFLOW_REQUEST_TIMEOUT_MS_DEFAULT,
    };
    TRY(add_secrets(p, error));
    TRY(openapi_load(&p->sources, p->document, p->problems, error));
    check_options(p);
    TRY(choose_workflows(p, error));
    return p->checking ? STATUS_OK : prepare_inputs(p, error);
}
