#pragma once
/*
 * Runs the workflows of an Arazzo document, step by step, and checks them without running.
 *
 * Besides operations, steps may call workflows, of this document or of Arazzo documents that are its sources; actions
 * end a workflow, go to another step or workflow, or repeat the step; workflows wait for those that they depend on.
 * Every execution of a step counts towards `steps_max`, calls within calls towards `depth_max`, waiting and sending
 * towards the total time, so that every run ends.
 *
 * A run has two halves. Preparing (prepare.h) finds everything that can be known without sending a request:
 * sources, operations, expressions, inputs. Only when there is nothing wrong does the second half send
 * anything. Hence three verdicts: INVALID (nothing was sent; `problems` says why), FAILED (a step failed; its
 * name and reason are in the result) and PASSED.
 *
 * Everything in events and results has its secrets replaced by `***`: given credentials, inputs with `format:
 * password`, values of API keys, and the headers Authorization, Proxy-Authorization and Cookie.
 *
 * Threads: a run belongs to the calling thread, which also gets the events. Memory: everything comes from the
 * arena, which the caller sizes (64 MB serve well) and frees; results and events point into it.
 */
#include "workflow/document.h"
#include "workflow/transport.h"

#define WORKFLOW_REQUEST_TIMEOUT_MS_DEFAULT 30000u
#define WORKFLOW_TOTAL_TIMEOUT_MS_DEFAULT   300000u
#define WORKFLOW_BODY_SIZE_MAX_DEFAULT      ((size_t)10 << 20)
#define WORKFLOW_STEPS_MAX_DEFAULT          2000u /* executions of steps in one run, repetitions included */
#define WORKFLOW_DEPTH_MAX_DEFAULT          16u   /* workflows called within workflows */

/* `--server NAME=URL`: replaces the whole server part (base path included) of the source called `name`. */
struct workflow_server {
    struct str name, url;
};

/* `--auth SCHEME=CREDENTIAL`. The scheme is the name of a security scheme in an OpenAPI source, plain or as
 * `source.scheme`. The credential is `user:secret` for http basic, the token for bearer, the key for apiKey.
 * It is sent only with operations that ask for the scheme, and never in place of something that the step
 * itself sets. */
struct workflow_auth {
    struct str scheme, credential;
    struct str
        host; /* only for servers of this host; empty: any. With a host the scheme may be empty: every http basic */
};

/* `--input NAME=TEXT`: the text becomes a value by the type that the workflow's inputs schema declares. */
struct workflow_input {
    struct str name, text;
};

enum workflow_event_kind {
    WORKFLOW_EVENT_WORKFLOW_STARTED,  /* workflow_id, summary, step_count */
    WORKFLOW_EVENT_STEP_STARTED,      /* step_id, step_index, operation, attempt; calls: it runs a workflow */
    WORKFLOW_EVENT_REQUEST,           /* method, url, request: built, about to be sent */
    WORKFLOW_EVENT_RESPONSE,          /* status, elapsed_us, response */
    WORKFLOW_EVENT_STEP_FINISHED,     /* passed; criteria, outputs; text = reason of the failure; status 0: no
                                         response */
    WORKFLOW_EVENT_ACTION,            /* text: what is done next, other than going on or stopping */
    WORKFLOW_EVENT_WARNING,           /* text; step_id when it is about a step */
    WORKFLOW_EVENT_WORKFLOW_FINISHED, /* passed; outputs; text = reason of the failure */
};

/* Fields not named at the kind are those of the step or workflow at hand. Valid until the observer returns
 * (the JSON values: as long as the arena). */
struct workflow_event {
    enum workflow_event_kind kind;
    struct str workflow_id, summary;
    unsigned depth; /* 0: asked for; 1: called by a step of that; ... */
    size_t step_count, step_index;
    struct str step_id, operation; /* operation: "trackEvent" or "POST /track" when it has no id */
    unsigned attempt;              /* from 1 */
    bool calls;
    struct str method, url;
    unsigned status;
    uint64_t elapsed_us;
    bool passed;
    const struct json *criteria; /* array of {condition, passed, message?}, or NULL */
    const struct json *outputs;  /* object, or NULL */
    const struct json *request;  /* {"method", "url", "headers", "body"?}, masked */
    const struct json *response; /* {"status", "headers", "body"?}, masked */
    struct str text;
};

typedef void (*workflow_observer)(void *ctx, const struct workflow_event *event);

/* Zero means the default everywhere. Only `transport.send` is required, and for workflow_check only when a
 * source is an http URL. */
struct workflow_options {
    struct str workflow_id;         /* empty: all workflows of the document, in order; the first failure ends the run */
    const struct str *workflow_ids; /* or these */
    size_t workflow_id_count;
    const struct workflow_input *inputs;
    size_t input_count;
    const struct json *inputs_json; /* an object, or NULL; an entry of `inputs` of the same name prevails */
    const struct workflow_server *servers;
    size_t server_count;
    const struct workflow_auth *auths;
    size_t auth_count;
    struct workflow_transport transport;
    struct workflow_loader loader; /* read == NULL: the runner's own */
    uint32_t request_timeout_ms, total_timeout_ms;
    size_t body_size_max; /* of one response */
    unsigned steps_max, depth_max;
    bool dry_run; /* builds every request and sends none; what only an answer could give is shown as {$expression} */
    workflow_observer observer;
    void *observer_ctx;
};

enum workflow_verdict {
    WORKFLOW_PASSED,
    WORKFLOW_FAILED,
    WORKFLOW_INVALID,
};
/* "passed", "failed", "invalid". */
const char *workflow_verdict_name(enum workflow_verdict verdict);

/*
 * The result for programs. For one workflow:
 *
 *   {"workflowId", "status": "passed"|"failed"|"invalid", "inputs": {...},
 *    "dependencies"?: [{...}],                                  the workflows that ran before it, in this form
 *    "steps": [{"stepId", "operation", "attempt"?,              from the second one on
 *               "request": {"method", "url", "headers": {...}, "body"?},
 *               "status", "time_ms", "redirected_to"?,          when there was a response
 *               "workflow": {...},                              when it called one: its result, in this form
 *               "criteria": [{"condition", "passed", "message"?}],
 *               "outputs": {...}, "passed", "error"?,
 *               "action"?: {"name", "type", "stepId"?, "workflowId"?, "wait_ms"?}}],
 *    "outputs": {...}, "error"?, "continued"?: [{...}],         the workflows that actions went to
 *    "warnings": [...], "errors": [...]}
 *
 * where a warning or an error is {"text", "rule"?, "file"?, "line"?, "column"?, "hint"?}. Every execution of a step is
 * an entry; steps that did not run are not listed. For several workflows: {"status", "workflows": [the above without
 * warnings and errors], "warnings", "errors"}. An invalid run has no workflows and no steps.
 */
struct workflow_result {
    enum workflow_verdict verdict;
    struct json json;
};

/* Runs. OK whenever there is a verdict; the caller maps it to an exit code (passed 0, failed 1, invalid 2).
 * Other statuses mean that the runner itself could not go on: LIMIT when the arena is full. New problems are
 * appended to `problems`, which already holds those of loading the document. */
enum status workflow_run(struct arena *arena, const struct workflow_document *document,
                         const struct workflow_options *options, struct workflow_problems *problems,
                         struct error *error, struct workflow_result *ret_result) MUST_USE;

/* Checks everything that workflow_run checks before its first request, except what belongs to a run: inputs,
 * credentials and servers may be missing. All workflows unless one is named. OK when that could be done:
 * problems->error_count says whether the document is good. */
enum status workflow_check(struct arena *arena, const struct workflow_document *document,
                           const struct workflow_options *options, struct workflow_problems *problems,
                           struct error *error) MUST_USE;
