#pragma once
/*
 * An Arazzo document (1.0.x): loaded, checked for structure, and laid out as the model that the runner walks.
 *
 * The model points into the parsed tree, so everything lives in the arena that was given. The check covers
 * what the document alone can tell: required fields, types, unique ids, id patterns, unknown fields (a
 * warning unless they begin with x-). Sources, operations and expressions are checked when a run is prepared
 * (prepare.h), for the workflows that are to run.
 *
 * Version: every 1.0.<n> is accepted alike, 1.1.<n> with a warning, anything else is an error.
 */
#include "workflow/problem.h"

#define WORKFLOW_DOCUMENT_SIZE_MAX ((size_t)8 << 20)

struct workflow_source {
    struct str name, url, type; /* type is empty, "openapi" or "arazzo" (or "asyncapi") */
    const struct json *node;
};

struct workflow_step {
    struct str id;
    struct str operation_id, operation_path, workflow_id;                      /* exactly one is not empty */
    const struct json *node;                                                   /* the step object */
    const struct json *parameters, *request_body, *success_criteria, *outputs; /* NULL when absent */
};

struct workflow {
    struct str id, summary;
    const struct json *node;
    const struct json *inputs, *parameters, *outputs; /* NULL when absent */
    struct workflow_step *steps;
    size_t step_count;
};

struct workflow_document {
    struct str file; /* as it was given; relative source URLs start from here */
    struct str title;
    struct str version; /* of Arazzo: "1.0.1" */
    struct json root;
    const struct json *components; /* NULL when absent */
    struct workflow_source *sources;
    size_t source_count;
    struct workflow *workflows;
    size_t workflow_count;
};

/* Reads and checks the file at `path`. IO or NOT_FOUND when it cannot be read, INVALID when it is no YAML or
 * JSON (`error` carries line and column) or its structure is wrong (`problems` says all of it, `error` the
 * first). Warnings go to `problems` in any case. */
enum status workflow_document_load(struct arena *arena, const char *path, struct workflow_problems *problems,
                                   struct error *error, struct workflow_document **ret_document) MUST_USE;
/* The same for a text in memory; `file` is its name in messages and the base of its relative URLs. */
enum status workflow_document_parse(struct arena *arena, struct str text, struct str file,
                                    struct workflow_problems *problems, struct error *error,
                                    struct workflow_document **ret_document) MUST_USE;

/* The same for a parsed document, which must stay; it has been read from `file`. */
enum status workflow_document_build(struct arena *arena, const struct json *root, struct str file,
                                    struct workflow_problems *problems, struct error *error,
                                    struct workflow_document **ret_document) MUST_USE;

/* NULL when there is none of that name. */
const struct workflow *workflow_document_find(const struct workflow_document *document, struct str workflow_id);
const struct workflow_source *workflow_document_source(const struct workflow_document *document, struct str name);
/* SIZE_MAX when there is none. */
size_t workflow_step_index(const struct workflow *workflow, struct str step_id);
