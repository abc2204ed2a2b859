#pragma once
/*
 * One step's request, built from the prepared step and what the run has so far, in two editions: the one that
 * is sent, and the one that may be shown (secrets masked). Everything lives in the arena.
 */
#include "workflow/prepare.h"

struct built_request {
    struct workflow_request request;
    struct str url_masked;
    struct json shown; /* {"method", "url", "headers", "body"?}, masked */
    /* What $request.* refers to: values as the step gave them. */
    struct json header, query, path;
    const struct json *body; /* NULL when there is none */
};

/* Evaluates parameters and payload and puts the request together. A parameter without a value is left out,
 * unless it is required, which is an error (INVALID). `secrets` learns the API keys. */
enum status request_build(struct arena *arena, const struct prepared_step *step,
                          const struct expression_context *context, struct workflow_secrets *secrets,
                          struct error *error, struct built_request *ret_request) MUST_USE;
