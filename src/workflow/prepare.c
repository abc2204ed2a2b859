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

bool prepare_is_selector(const struct json *value)
{
    return value->type == JSON_OBJECT && json_member(value, "selector") && json_member(value, "context");
}

static enum status prepare_dependencies(struct preparation *p, struct prepared_workflow *prepared, struct error *error)
{
    const struct json *list = json_member(prepared->workflow->node, "dependsOn");
    if (!list || list->type != JSON_ARRAY) return STATUS_OK;
    prepared->dependencies = arena_new_array(p->arena, const struct prepared_workflow *, list->array.count + 1);
    struct str owner = arena_printf(p->arena, "dependsOn of workflow \"" STR_FMT "\"", STR_ARG(prepared->workflow->id));
    if (!prepared->dependencies || !owner.data)
        return error_set(error, STATUS_LIMIT, "the workflow exceeds the memory budget");
    for (size_t i = 0; i < list->array.count; i++) {
        const struct json *entry = &list->array.items[i];
        struct prepared_workflow *found = NULL;
        if (entry->type != JSON_STRING) {
            workflow_error_at(p->problems, p->document->file, entry,
                              "each entry of \"dependsOn\" must be a string, not %s", json_type_name(entry));
            workflow_problem_rule(p->problems, "field-type");
            continue;
        }
        TRY(prepare_reference(p, entry, entry->string, owner.data, error, &found));
        if (!found) continue;
        found->is_root |= prepared->is_root;
        prepared->dependencies[prepared->dependency_count++] = found;
    }
    return STATUS_OK;
}

static enum status prepare_workflow(struct prepared_workflow *prepared, struct error *error)
{
    struct preparation *p = prepared->home;
    const struct workflow *workflow = prepared->workflow;
    jsonschema_check(prepared->schema, p->document->file, p->problems);
    TRY(prepare_dependencies(p, prepared, error));
    prepared->steps = arena_new_array(p->arena, struct prepared_step, workflow->step_count + 1);
    if (!prepared->steps) return error_set(error, STATUS_LIMIT, "the workflow exceeds the memory budget");
    for (size_t i = 0; i < workflow->step_count; i++) TRY(prepare_step(p, prepared, i, error));
    return STATUS_OK;
}

static bool is_wanted(const struct plan *plan, struct str id)
{
    const struct workflow_options *options = plan->options;
    if (!options->workflow_id.size && !options->workflow_id_count) return true;
    bool wanted = options->workflow_id.size && str_eq(options->workflow_id, id);
    for (size_t i = 0; i < options->workflow_id_count; i++) wanted |= str_eq(options->workflow_ids[i], id);
    return wanted;
}

static void say_no_workflow(struct plan *plan, struct str wanted)
{
    const struct workflow_document *document = plan->document;
    struct buf list = BUF_INIT(200);
    for (size_t i = 0; i < document->workflow_count; i++) {
        if (i) buf_lit(&list, ", ");
        buf_str_add(&list, document->workflows[i].id);
    }
    workflow_error_at(plan->problems, document->file, NULL, "there is no workflow \"" STR_FMT "\"", STR_ARG(wanted));
    workflow_problem_rule(plan->problems, "workflow-unknown");
    workflow_problem_hint(plan->problems, "the workflows are " STR_FMT, STR_ARG(buf_str(&list)));
    buf_fini(&list);
}

static enum status choose_workflows(struct plan *plan, struct preparation *home, struct error *error)
{
    const struct workflow_document *document = plan->document;
    const struct workflow_options *options = plan->options;
    plan->roots = arena_new_array(plan->arena, const struct prepared_workflow *, document->workflow_count + 1);
    if (!plan->roots) return error_set(error, STATUS_LIMIT, "the document exceeds the memory budget");
    for (size_t i = 0; i < document->workflow_count; i++) {
        struct prepared_workflow *prepared;
        if (!is_wanted(plan, document->workflows[i].id)) continue;
        TRY(plan_add(home, &document->workflows[i], error, &prepared));
        prepared->is_root = true;
        plan->roots[plan->root_count++] = prepared;
    }
    if (options->workflow_id.size && !workflow_document_find(document, options->workflow_id))
        say_no_workflow(plan, options->workflow_id);
    for (size_t i = 0; i < options->workflow_id_count; i++)
        if (!workflow_document_find(document, options->workflow_ids[i]))
            say_no_workflow(plan, options->workflow_ids[i]);
    return STATUS_OK;
}

/* Dependencies of roots take the user's inputs too, however they were found. */
static void spread_roots(struct plan *plan)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < plan->workflow_count; i++) {
            struct prepared_workflow *workflow = plan->workflows[i];
            for (size_t k = 0; workflow->is_root && k < workflow->dependency_count; k++) {
                struct prepared_workflow *dependency = plan->workflows[workflow->dependencies[k]->index];
                again |= !dependency->is_root;
                dependency->is_root = true;
            }
        }
    }
}

static bool names_source(const struct plan *plan, struct str name)
{
    for (size_t i = 0; i < plan->document_count; i++)
        if (workflow_document_source(plan->documents[i]->document, name)) return true;
    return false;
}

static bool names_scheme(const struct plan *plan, struct str scheme)
{
    for (size_t d = 0; d < plan->document_count; d++) {
        struct openapi_set *set = &plan->documents[d]->sources;
        for (size_t s = 0; s < set->source_count; s++) {
            const struct openapi_source *source = &set->sources[s];
            struct str name = scheme, prefix = source->description->name;
            if (scheme.size > prefix.size && str_starts(scheme, prefix) && scheme.data[prefix.size] == '.')
                name = str_slice(scheme, prefix.size + 1, scheme.size);
            struct openapi_node plain = {NULL, NULL}, exact = {NULL, NULL};
            if (!source->file || openapi_security_scheme(set, source, scheme, NULL, &plain) != STATUS_OK ||
                openapi_security_scheme(set, source, name, NULL, &exact) != STATUS_OK)
                continue;
            if (plain.value || exact.value) return true;
        }
    }
    return false;
}

/* --server and --auth must name something that exists: a misspelt name would otherwise vanish silently. */
static void check_options(struct plan *plan)
{
    const struct workflow_options *options = plan->options;
    for (size_t i = 0; i < options->server_count; i++) {
        const struct workflow_server *server = &options->servers[i];
        if (!names_source(plan, server->name)) {
            workflow_error_at(plan->problems, STR_NULL, NULL, "--server names an unknown source \"" STR_FMT "\"",
                              STR_ARG(server->name));
            workflow_problem_rule(plan->problems, "source-unknown");
        }
        struct error problem = ERROR_INIT;
        if (location_check_server(server->url, &problem) == STATUS_OK) continue;
        error_prefix(&problem, "--server " STR_FMT, STR_ARG(server->name));
        workflow_error_take(plan->problems, STR_NULL, NULL, &problem);
        workflow_problem_rule(plan->problems, "server-url");
    }
    for (size_t i = 0; i < options->auth_count; i++) {
        if (options->auths[i].host.size || names_scheme(plan, options->auths[i].scheme)) continue;
        workflow_warning_at(plan->problems, STR_NULL, NULL,
                            "no source has a security scheme \"" STR_FMT "\", ignoring its credential",
                            STR_ARG(options->auths[i].scheme));
        workflow_problem_rule(plan->problems, "credential-unused");
    }
}

static enum status add_secrets(struct plan *plan, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < plan->options->auth_count && status == STATUS_OK; i++) {
        struct str credential = plan->options->auths[i].credential;
        size_t colon = str_find_byte(credential, ':', 0);
        status = secrets_add(&plan->secrets, credential);
        if (status == STATUS_OK && colon != SIZE_MAX)
            status = secrets_add(&plan->secrets, str_slice(credential, colon + 1, credential.size));
    }
    return status == STATUS_OK ? status : error_set(error, status, "the credentials exceed the memory budget");
}

enum status workflow_prepare(struct plan *plan, struct error *error)
{
    struct preparation *home;
    plan->secrets.arena = plan->arena;
    TRY(add_secrets(plan, error));
    TRY(plan_add_document(plan, plan->document, error, &home));
    TRY(choose_workflows(plan, home, error));
    /* The list grows while it is walked: a workflow brings those that it leads to. */
    for (size_t i = 0; i < plan->workflow_count; i++) TRY(prepare_workflow(plan->workflows[i], error));
    for (size_t i = 0; i < plan->workflow_count; i++) prepare_expressions(plan->workflows[i]->home, plan->workflows[i]);
    prepare_cycles(plan);
    spread_roots(plan);
    check_options(plan);
    return plan->checking ? STATUS_OK : prepare_inputs(plan, error);
}
