#pragma once
/*
 * Runtime expressions of Arazzo (`$inputs.name`, `$steps.id.outputs.name#/pointer`, `$response.body#/a`,
 * ...): parsing, evaluation, and the strings and trees that contain them.
 *
 * The grammar is that of 1.0.x with the clarifications of 1.1: ids are [A-Za-z0-9_-]+, names may also hold
 * dots. Because a name may hold dots and `$inputs.a.b` is also widely written for member b of input a, a
 * dotted name is looked up whole first and then split from the right.
 *
 * A value that was not supplied is "absent", which is not null: evaluation then returns OK and a NULL value,
 * and the place of use decides (parameters and members are left out, templates get nothing, lists get null).
 *
 * Values point into the context or the arena. Errors: INVALID for what is no expression or cannot be
 * evaluated, with error->column counting bytes from 1.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "workflow/document.h"
#include "workflow/transport.h"

enum expression_root {
    EXPRESSION_URL,
    EXPRESSION_METHOD,
    EXPRESSION_STATUS_CODE,
    EXPRESSION_REQUEST_HEADER,
    EXPRESSION_REQUEST_QUERY,
    EXPRESSION_REQUEST_PATH,
    EXPRESSION_REQUEST_BODY,
    EXPRESSION_RESPONSE_HEADER,
    EXPRESSION_RESPONSE_BODY,
    EXPRESSION_INPUTS,
    EXPRESSION_OUTPUTS,
    EXPRESSION_STEPS,            /* id, name */
    EXPRESSION_WORKFLOW_INPUTS,  /* id, name */
    EXPRESSION_WORKFLOW_OUTPUTS, /* id, name */
    EXPRESSION_SOURCE,           /* id, name */
    EXPRESSION_COMPONENTS,       /* id = parameters, successActions or failureActions; name */
};

struct expression {
    enum expression_root root;
    struct str text;    /* as written */
    struct str id;      /* the step, workflow, source or component kind */
    struct str name;    /* may go on with .member and [index]; for bodies only those, beginning with . or [ */
    struct str pointer; /* JSON Pointer, "" for the whole value */
};

enum expression_place {
    EXPRESSION_WHOLE,     /* the text is one expression: names of headers and parameters and pointers run to its
                             end */
    EXPRESSION_EMBEDDED,  /* between braces: as whole, but without braces */
    EXPRESSION_CONDITION, /* in a condition: ends at white space, an operator or a closing parenthesis */
};

/* Parses at the beginning of `text` and tells where it ends; in the first two places that is always the end
 * of `text`. */
enum status expression_parse(struct str text, enum expression_place place, struct error *error,
                             struct expression *ret_expression, size_t *ret_size) MUST_USE;

/* What an evaluation can see. NULL or zero where there is nothing yet. */
struct expression_context {
    const struct workflow_document *document;
    const struct json *inputs;    /* object */
    const struct json *outputs;   /* object: outputs of the workflow */
    const struct json *steps;     /* object: stepId -> object of outputs */
    const struct json *workflows; /* object: workflowId -> {"inputs": object, "outputs": object} */
    struct str url, method;
    const struct json *request_header, *request_query, *request_path; /* objects: name -> value as the step gave it */
    const struct json *request_body;                                  /* NULL when there is none */
    const struct workflow_response *response;
    const struct json *response_body; /* parsed JSON, or a string; NULL when empty */
    bool response_body_malformed;     /* it claims to be JSON but is not */
    bool placeholders; /* nothing is sent: what only an answer could give is shown as the expression in braces */
};

/* Absent gives OK and NULL. */
enum status expression_evaluate(struct arena *arena, const struct expression_context *context,
                                const struct expression *expression, struct error *error,
                                const struct json **ret_value) MUST_USE;
/* Follows .member and [index] below a value; NULL when nothing is there. An empty path is the value. */
const struct json *expression_access(const struct json *value, struct str path);
/* Looks a dotted name up in an object: whole, then split from the right. *ret_rest is what expression_access
 * takes next. */
const struct json *expression_lookup(const struct json *object, struct str name, struct str *ret_rest);

/* Calls found() for every expression in a string: the string itself when it is one, else each one embedded in
 * braces. False when there is none. */
typedef void (*expression_found)(void *ctx, const struct expression *expression);
bool expression_each(struct str text, expression_found found, void *ctx);

/* A string of the document as a value: the value of the expression it is, or the text with its embedded
 * expressions replaced (absent ones by nothing, objects and arrays by compact JSON), or itself. */
enum status expression_string(struct arena *arena, const struct expression_context *context, struct str text,
                              struct error *error, const struct json **ret_value) MUST_USE;
/* A whole tree of the document, evaluated leaf by leaf; keys are never evaluated. Absent members are left
 * out, absent list entries become null; a tree that is itself absent gives OK and NULL. */
enum status expression_tree(struct arena *arena, const struct expression_context *context, const struct json *tree,
                            struct error *error, const struct json **ret_value) MUST_USE;
/* A scalar as text; objects and arrays as compact JSON; null as "null". */
void expression_text(struct buf *buf, const struct json *value);
