#pragma once
/*
 * The first half of a run: everything that can be known before a request is sent. Sources are loaded, operations and
 * workflows resolved, parameters matched with their declarations, conditions compiled, every expression checked against
 * what it names, credentials chosen, inputs coerced and validated. All problems are collected; when there is none, the
 * prepared workflows can be executed step by step (runner.c).
 *
 * A plan is the whole of it. It begins with the workflows that were asked for and grows by those that they lead to:
 * through dependsOn, steps with a workflowId, and actions, in this document and in Arazzo documents that are its
 * sources. A workflow is prepared once, whoever leads to it, so that cycles of references end.
 *
 * Everything lives in the arena and points into the documents and the options, which must outlive it.
 */
#include "workflow/condition.h"
#include "workflow/openapi.h"
#include "workflow/runner.h"
#include "workflow/schema.h"
#include "workflow/secrets.h"

#define PLAN_DOCUMENTS_MAX 64
#define PLAN_WORKFLOWS_MAX 2000

struct prepared_workflow;

struct prepared_parameter {
    struct openapi_parameter declared; /* of a called workflow only the name counts */
    const struct json *value;          /* of the document, not evaluated */
    bool secret;                       /* it carries an API key */
    bool common;                       /* of the workflow, so that it goes with every step */
};

struct prepared_criterion {
    const struct json *condition; /* the string, as it stands in the document */
    struct condition compiled;
};

struct prepared_criteria {
    struct prepared_criterion *items;
    size_t count;
};

enum action_kind { ACTION_END, ACTION_GOTO, ACTION_RETRY };

struct prepared_action {
    struct str name;
    enum action_kind kind;
    bool common;                              /* of the workflow, so that it serves every step */
    size_t step;                              /* where it leads to, in the same workflow; SIZE_MAX: to no step */
    const struct prepared_workflow *workflow; /* NULL: to no workflow */
    bool has_retry_after;
    uint64_t retry_after_ms;
    uint64_t retry_limit; /* additional attempts */
    struct prepared_criteria criteria;
    struct prepared_parameter *parameters; /* inputs of the workflow (1.1) */
    size_t parameter_count;
};

struct prepared_actions {
    struct prepared_action *items;
    size_t count;
};

/* What a credential adds to a request. */
struct prepared_credential {
    struct str in, name, value; /* in: header, query or cookie */
};

struct prepared_replacement {
    const struct json *target; /* the string: a JSON Pointer, a JSONPath or an XPath */
    enum { REPLACE_POINTER, REPLACE_JSONPATH, REPLACE_XPATH } kind;
    const struct json *value; /* not evaluated */
};

struct prepared_step {
    const struct workflow_step *step;
    const struct prepared_workflow *call;      /* the workflow that it calls, or NULL */
    const struct openapi_operation *operation; /* otherwise */
    struct str label;                          /* for people: the operation's id, "GET /path", or the workflow's id */
    struct str server;                         /* absolute URL */
    struct prepared_parameter *parameters;
    size_t parameter_count;
    const struct json *payload; /* NULL: no body */
    struct str content_type;
    struct prepared_replacement *replacements;
    size_t replacement_count;
    struct prepared_criteria criteria;
    struct prepared_credential *credentials;
    size_t credential_count;
    struct prepared_actions on_success, on_failure; /* the step's own, then the workflow's that it does not redefine */
};

struct preparation;

struct prepared_workflow {
    const struct workflow *workflow;
    struct preparation *home; /* the document that it is in */
    size_t index;             /* in the plan */
    struct jsonschema schema; /* of the inputs */
    struct prepared_step *steps;
    const struct prepared_workflow **dependencies;
    size_t dependency_count;
    bool is_root;              /* asked for, or a dependency of one that is: takes the inputs of the user */
    bool takes_inputs;         /* besides: an action goes to it, with the inputs of the user */
    bool has_jumps;            /* some action leads to a step: an output of a later step may be there */
    struct json inputs;        /* of a root: with defaults, validated */
    struct json inputs_masked; /* as they may be shown */
};

/* One document of the plan. */
struct preparation {
    struct plan *plan;
    struct arena *arena;
    const struct workflow_document *document;
    const struct workflow_options *options;
    struct workflow_problems *problems;
    struct workflow_secrets *secrets;
    struct openapi_set sources;
    struct jsonschema_documents schemas; /* that inputs refer to, in other files */
    size_t index;                        /* in the plan */
    bool checking;
    bool warned_unqualified; /* that operationIds are bare: once per document */
};

struct plan {
    struct arena *arena;
    const struct workflow_document *document; /* the one that was asked for */
    const struct workflow_options *options;
    struct workflow_problems *problems;
    bool checking; /* without a run: inputs, credentials and servers may still be missing */
    struct workflow_secrets secrets;
    struct preparation *documents[PLAN_DOCUMENTS_MAX];
    size_t document_count;
    struct prepared_workflow **workflows;
    size_t workflow_count;
    const struct prepared_workflow **roots; /* in the order in which they run */
    size_t root_count;
};

/* Fills `plan`, whose members `arena`, `document`, `options`, `problems` and `checking` the caller has set. OK also
 * when there are problems: look at problems->error_count. */
enum status workflow_prepare(struct plan *plan, struct error *error) MUST_USE;

/* Parts of it, each in its own file. */

/* prepare_reference.c: the workflow that a workflowId names, added to the plan when it is new. NULL when there is none,
 * which has been said then. `owner` begins the message: "step \"a\"". */
enum status prepare_reference(struct preparation *p, const struct json *at, struct str id, const char *owner,
                              struct error *error, struct prepared_workflow **ret_workflow) MUST_USE;
/* The same for a workflow that is known. */
enum status plan_add(struct preparation *p, const struct workflow *workflow, struct error *error,
                     struct prepared_workflow **ret_workflow) MUST_USE;
/* A document of the plan: its sources are loaded when it is new. */
enum status plan_add_document(struct plan *plan, const struct workflow_document *document, struct error *error,
                              struct preparation **ret_preparation) MUST_USE;
/* Reports dependencies and calls that lead in a circle. */
void prepare_cycles(struct plan *plan);

/* prepare_step.c: one step; its problems are reported, the step is left incomplete then. */
enum status prepare_step(struct preparation *p, struct prepared_workflow *workflow, size_t index,
                         struct error *error) MUST_USE;
/* prepare_action.c: the actions of a step, and a list of criteria. */
enum status prepare_actions(struct preparation *p, struct prepared_workflow *workflow, struct prepared_step *step,
                            struct error *error) MUST_USE;
enum status prepare_criteria(struct preparation *p, struct str step_id, const struct json *list, struct error *error,
                             struct prepared_criteria *ret_criteria) MUST_USE;
/* prepare_body.c: payload, media type and replacements of a step. */
enum status prepare_body(struct preparation *p, struct prepared_step *step, struct error *error) MUST_USE;
/* prepare_expression.c: the expressions of a workflow, against inputs, steps and sources. */
void prepare_expressions(struct preparation *p, const struct prepared_workflow *workflow);
/* credential.c: chooses and lays out the credentials of a step, and marks the parameters that carry API keys. */
enum status prepare_credentials(struct preparation *p, struct prepared_step *step, struct error *error) MUST_USE;
/* inputs.c: coerces, completes and validates the inputs of all roots. */
enum status prepare_inputs(struct plan *plan, struct error *error) MUST_USE;
/* The inputs of a workflow from what the user gave (offer_user) and `given`, an object or NULL, which prevails. What is
 * wrong is said by violation(). Copies; secrets are learnt. */
enum status inputs_complete(struct plan *plan, const struct prepared_workflow *workflow, bool offer_user,
                            const struct json *given, jsonschema_violation violation, void *ctx, struct error *error,
                            struct json *ret_inputs, struct json *ret_masked) MUST_USE;
/* The entries of a parameters list, references to components followed: NULL when the reference leads nowhere.
 * *ret_value is the value in force, or NULL. */
const struct json *prepare_parameter_entry(const struct workflow_document *document, const struct json *entry,
                                           const struct json **ret_value);
/* Is it a Selector Object of 1.1, with a context to select from? */
bool prepare_is_selector(const struct json *value);
