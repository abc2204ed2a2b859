/*
 * From a workflowId to a workflow of the plan. A bare id is looked for in the document that holds the reference; one in
 * another document is written $sourceDescriptions.NAME.ID, and means there what it says there: that document has its
 * own sources, components and ids.
 */
#include "workflow/prepare.h"

#include "workflow/location.h"

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "the workflows exceed the memory budget");
}

/* Schemas of inputs may refer to other files, as descriptions do. Only a document that came over the network itself
 * makes us ask the network: the `$id` and `$schema` of a schema are names, however much they look like addresses. */
static const struct json *find_schema(void *ctx, struct str uri)
{
    struct preparation *p = ctx;
    const struct openapi_file *file;
    if (location_is_http(uri) && !location_is_http(p->document->file)) return NULL;
    return openapi_file_at(&p->sources, uri, NULL, &file) == STATUS_OK ? &file->root : NULL;
}

enum status plan_add_document(struct plan *plan, const struct workflow_document *document, struct error *error,
                              struct preparation **ret_preparation)
{
    for (size_t i = 0; i < plan->document_count; i++) {
        if (plan->documents[i]->document != document) continue;
        *ret_preparation = plan->documents[i];
        return STATUS_OK;
    }
    if (plan->document_count == PLAN_DOCUMENTS_MAX)
        return error_set(error, STATUS_LIMIT, "the workflows are in more than %d documents", PLAN_DOCUMENTS_MAX);
    struct preparation *p = arena_calloc(plan->arena, 1, sizeof *p);
    if (!p) return no_memory(error);
    *p = (struct preparation){
        .plan = plan,
        .arena = plan->arena,
        .document = document,
        .options = plan->options,
        .problems = plan->problems,
        .secrets = &plan->secrets,
        .checking = plan->checking,
        .index = plan->document_count,
    };
    p->sources = (struct openapi_set){
        .arena = plan->arena,
        .transport = &plan->options->transport,
        .loader = &plan->options->loader,
        .timeout_ms =
            plan->options->request_timeout_ms ? plan->options->request_timeout_ms : WORKFLOW_REQUEST_TIMEOUT_MS_DEFAULT,
    };
    p->schemas = (struct jsonschema_documents){.ctx = p, .find = find_schema};
    plan->documents[plan->document_count++] = p;
    TRY(openapi_load(&p->sources, document, plan->problems, error));
    *ret_preparation = p;
    return STATUS_OK;
}

enum status plan_add(struct preparation *p, const struct workflow *workflow, struct error *error,
                     struct prepared_workflow **ret_workflow)
{
    struct plan *plan = p->plan;
    for (size_t i = 0; i < plan->workflow_count; i++) {
        if (plan->workflows[i]->workflow != workflow) continue;
        *ret_workflow = plan->workflows[i];
        return STATUS_OK;
    }
    if (plan->workflow_count == PLAN_WORKFLOWS_MAX)
        return error_set(error, STATUS_LIMIT, "the document leads to more than %d workflows", PLAN_WORKFLOWS_MAX);
    struct prepared_workflow **list = arena_realloc(plan->arena, plan->workflows, plan->workflow_count * sizeof *list,
                                                    (plan->workflow_count + 1) * sizeof *list);
    struct prepared_workflow *prepared = list ? arena_calloc(plan->arena, 1, sizeof *prepared) : NULL;
    if (!prepared) return no_memory(error);
    prepared->workflow = workflow;
    prepared->home = p;
    prepared->index = plan->workflow_count;
    prepared->inputs = prepared->inputs_masked = JSON_OBJECT_EMPTY;
    prepared->schema = (struct jsonschema){.root = &p->document->root, .schema = workflow->inputs, .formats = true};
    if (jsonschema_index(plan->arena, &prepared->schema, p->document->file, &p->schemas) != STATUS_OK)
        return no_memory(error);
    plan->workflows = list;
    plan->workflows[plan->workflow_count++] = prepared;
    *ret_workflow = prepared;
    return STATUS_OK;
}

/* The document behind an Arazzo source, laid out once. NULL when it has errors, which have been said. */
static enum status foreign_document(struct preparation *p, struct openapi_source *source, struct error *error,
                                    struct preparation **ret_preparation)
{
    *ret_preparation = NULL;
    for (size_t i = 0; i < p->plan->document_count; i++) {
        if (!str_eq(p->plan->documents[i]->document->file, source->arazzo->location)) continue;
        *ret_preparation = p->plan->documents[i];
        return STATUS_OK;
    }
    if (source->failed) return STATUS_OK;
    struct workflow_document *document;
    struct error problem = ERROR_INIT;
    enum status status = workflow_document_build(p->arena, &source->arazzo->root, source->arazzo->location, p->problems,
                                                 &problem, &document);
    if (status == STATUS_OK) return plan_add_document(p->plan, document, error, ret_preparation);
    source->failed = true;
    return status == STATUS_LIMIT ? no_memory(error) : STATUS_OK;
}

static void say_unknown(struct preparation *p, const struct preparation *where, const struct json *at, struct str id,
                        const char *owner)
{
    workflow_error_at(p->problems, p->document->file, at, "%s: unknown workflowId \"" STR_FMT "\"", owner, STR_ARG(id));
    workflow_problem_rule(p->problems, "workflow-unknown");
    struct buf list = BUF_INIT(200);
    for (size_t i = 0; i < where->document->workflow_count; i++) {
        if (i) buf_lit(&list, ", ");
        buf_str_add(&list, where->document->workflows[i].id);
    }
    workflow_problem_hint(p->problems, "the workflows are " STR_FMT, STR_ARG(buf_str(&list)));
    buf_fini(&list);
}

static enum status qualified(struct preparation *p, const struct json *at, struct str text, struct str rest,
                             const char *owner, struct error *error, struct prepared_workflow **ret_workflow)
{
    size_t dot = str_find_byte(rest, '.', 0);
    struct str name = str_slice(rest, 0, dot), id = dot == SIZE_MAX ? STR("") : str_slice(rest, dot + 1, rest.size);
    if (str_starts(id, STR("workflows."))) id = str_slice(id, strlen("workflows."), id.size);
    struct openapi_source *source = openapi_find_source(&p->sources, name);
    struct preparation *where;
    if (!name.size || !id.size) {
        workflow_error_at(p->problems, p->document->file, at, "%s: malformed workflowId \"" STR_FMT "\"", owner,
                          STR_ARG(text));
        workflow_problem_rule(p->problems, "workflow-unknown");
        workflow_problem_hint(p->problems, "write $sourceDescriptions.NAME.WORKFLOWID");
        return STATUS_OK;
    }
    if (!source) {
        workflow_error_at(p->problems, p->document->file, at, "%s: unknown source \"" STR_FMT "\"", owner,
                          STR_ARG(name));
        workflow_problem_rule(p->problems, "source-unknown");
        return STATUS_OK;
    }
    if (!source->arazzo) {
        if (!source->failed) {
            workflow_error_at(p->problems, p->document->file, at, "%s: source \"" STR_FMT "\" is no Arazzo document",
                              owner, STR_ARG(name));
            workflow_problem_rule(p->problems, "source-kind");
        }
        return STATUS_OK;
    }
    TRY(foreign_document(p, source, error, &where));
    if (!where) return STATUS_OK;
    const struct workflow *found = workflow_document_find(where->document, id);
    if (found) return plan_add(where, found, error, ret_workflow);
    say_unknown(p, where, at, id, owner);
    return STATUS_OK;
}

enum status prepare_reference(struct preparation *p, const struct json *at, struct str id, const char *owner,
                              struct error *error, struct prepared_workflow **ret_workflow)
{
    struct str prefix = STR("$sourceDescriptions.");
    *ret_workflow = NULL;
    if (str_starts(id, prefix))
        return qualified(p, at, id, str_slice(id, prefix.size, id.size), owner, error, ret_workflow);
    const struct workflow *found = workflow_document_find(p->document, id);
    if (found) return plan_add(p, found, error, ret_workflow);
    say_unknown(p, p, at, id, owner);
    for (size_t i = 0; i < p->sources.source_count; i++) {
        if (!p->sources.sources[i].arazzo) continue;
        workflow_problem_hint(p->problems,
                              "a workflow of another document is written $sourceDescriptions." STR_FMT ".ID",
                              STR_ARG(p->sources.sources[i].description->name));
    }
    return STATUS_OK;
}

/* ---- circles ---- */

enum colour { WHITE, GREY, BLACK };

struct cycle_search {
    struct plan *plan;
    unsigned char *colours;
    bool found;
};

/* Depth-first over dependencies and calls; the depth is bounded by the number of workflows of the plan. */
static void visit(struct cycle_search *s, const struct prepared_workflow *workflow,
                  const struct prepared_workflow *from, const struct json *at, const char *how)
{
    if (s->found || s->colours[workflow->index] == BLACK) return;
    if (s->colours[workflow->index] == GREY) {
        s->found = true;
        workflow_error_at(s->plan->problems, from->home->document->file, at,
                          "workflow \"" STR_FMT "\" %s \"" STR_FMT "\", which leads back to it",
                          STR_ARG(from->workflow->id), how, STR_ARG(workflow->workflow->id));
        workflow_problem_rule(s->plan->problems, "workflow-cycle");
        return;
    }
    s->colours[workflow->index] = GREY;
    const struct json *list = json_member(workflow->workflow->node, "dependsOn");
    for (size_t i = 0; i < workflow->dependency_count; i++)
        visit(s, workflow->dependencies[i], workflow, list, "depends on");
    for (size_t i = 0; workflow->steps && i < workflow->workflow->step_count; i++) {
        const struct prepared_step *step = &workflow->steps[i];
        if (step->call) visit(s, step->call, workflow, step->step->node, "calls");
    }
    s->colours[workflow->index] = BLACK;
}

void prepare_cycles(struct plan *plan)
{
    struct cycle_search search = {.plan = plan, .colours = arena_calloc(plan->arena, plan->workflow_count + 1, 1)};
    for (size_t i = 0; search.colours && i < plan->workflow_count; i++)
        visit(&search, plan->workflows[i], plan->workflows[i], plan->workflows[i]->workflow->node, "is");
}
