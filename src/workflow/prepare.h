#pragma once
/*
 * The first half of a run: everything that can be known before a request is sent. Sources are loaded,
 * operations resolved, parameters matched with their declarations, conditions compiled, every expression
 * checked against what it names, credentials chosen, unsupported features refused by name, inputs coerced and
 * validated. All problems are collected; when there is none, the prepared workflows can be executed step by
 * step (runner.c).
 *
 * Everything lives in the arena and points into the document and the options, which must outlive it.
 */
#include "workflow/criterion.h"
#include "workflow/openapi.h"
#include "workflow/runner.h"
#include "workflow/schema.h"
#include "workflow/secrets.h"

struct prepared_parameter {
    struct openapi_parameter declared;
    const struct json *value; /* of the document, not evaluated */
    bool secret;              /* it carries an API key */
};

struct prepared_criterion {
    const struct json *condition; /* the string, as it stands in the document */
    struct criterion *compiled;
};

/* What a credential adds to a request. */
struct prepared_credential {
    struct str in, name, value; /* in: header, query or cookie */
};

struct prepared_step {
    const struct workflow_step *step;
    const struct openapi_operation *operation;
    struct str label;  /* of the operation, for people: its id, or "GET /path" */
    struct str server; /* absolute URL */
    struct prepared_parameter *parameters;
    size_t parameter_count;
    const struct json *payload; /* NULL: no body */
    struct str content_type;
    struct prepared_criterion *criteria;
    size_t criterion_count;
    struct prepared_credential *credentials;
    size_t credential_count;
};

struct prepared_workflow {
    const struct workflow *workflow;
    struct jsonschema schema; /* of the inputs */
    struct prepared_step *steps;
    struct json inputs;        /* with defaults, validated */
    struct json inputs_masked; /* as they may be shown */
};

struct preparation {
    struct arena *arena;
    const struct workflow_document *document;
    const struct workflow_options *options;
    struct workflow_problems *problems;
    struct openapi_set sources;
    struct workflow_secrets secrets;
    struct prepared_workflow *workflows;
    size_t workflow_count;
    bool checking;           /* without a run: inputs, credentials and servers may still be missing */
    bool warned_unqualified; /* that operationIds are bare: once per document */
};

/* Fills `preparation`, whose members `arena`, `document`, `options`, `problems` and `checking` the caller has
 * set. OK also when there are problems: look at problems->error_count. */
enum status workflow_prepare(struct preparation *preparation, struct error *error) MUST_USE;

/* Parts of it, each in its own file. */

/* prepare_step.c: one step; its problems are reported, the step is left incomplete then. */
enum status prepare_step(struct preparation *p, const struct workflow *workflow, size_t index,
                         struct prepared_step *step, struct error *error) MUST_USE;
/* prepare_expression.c: the expressions of a workflow, against inputs, steps and sources. */
void prepare_expressions(struct preparation *p, const struct prepared_workflow *workflow);
/* credential.c: chooses and lays out the credentials of a step, and marks the parameters that carry API keys.
 */
enum status prepare_credentials(struct preparation *p, struct prepared_step *step, struct error *error) MUST_USE;
/* inputs.c: coerces, completes and validates the inputs of all prepared workflows. */
enum status prepare_inputs(struct preparation *p, struct error *error) MUST_USE;
/* The entries of a parameters list, references to components followed: NULL when the reference leads nowhere.
 * *ret_value is the value in force, or NULL. */
const struct json *prepare_parameter_entry(const struct workflow_document *document, const struct json *entry,
                                           const struct json **ret_value);
