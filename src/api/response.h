#pragma once
/*
 * How the tracking endpoints answer. What was done is always one of two things: all records are good, or one is not
 * and there is a reason. The client chooses the form, and almost every form has status 200, because clients retry by
 * the status, some of them for ever after a 4xx: a bad record must not come again.
 *
 *     (nothing)   1                             0                             text/plain
 *     verbose     {"error":null,"status":1}     {"error":"why","status":0}    application/json
 *     callback=f  f(1), or the verbose form in the brackets                   text/javascript
 *     img         a transparent GIF of one pixel, whatever happened           image/gif
 *
 * img wins over callback, callback wraps verbose. Only requests that cannot be taken at all (too large, no room to
 * store, credentials) have a status of their own, with a JSON body in every mode.
 *
 * Loop thread only, like http_respond.
 */
#include "base/error.h"
#include "http/request.h"
#include "ingest/decode.h"

#define RESPONSE_CALLBACK_MAX  128 /* bytes of a JSONP callback's name */
#define RESPONSE_RETRY_AFTER_S "5" /* for 503: SDKs wait so long before they send the batch again */

struct response_mode {
    bool verbose, image;
    struct str callback; /* NULL data: none, or not a name */
};
/* A parameter that asks for something: any value but an empty one and 0. */
bool response_flag(struct str value);
/* From the parameters `verbose`, `img` and `callback`, in the query or the form. */
struct response_mode response_mode_of(const struct decode_form *form);
/* Appends the body and returns its Content-Type. NULL data for `reason`: success. */
const char *response_render(const struct response_mode *mode, struct str reason, struct buf *body);

/* Answers 200 in the client's mode. */
void response_send(struct http_request *request, const struct response_mode *mode, struct str reason);
/* The HTTP status of a failure. */
int response_code(enum status status);
/* Answers with that status and a JSON error body, which api_render_error opens to other origins where they may send.
 * With a 503 goes Retry-After: nothing of the request counts as stored then. */
void response_failure(struct http_request *request, const struct error *error);

/* Answers for a request of which nothing, or not everything, is stored: `status` is the log's, or OK when its token is
 * unknown and such are rejected; `what` is "events" or "profiles". */
void response_not_stored(struct http_request *request, enum status status, const char *what);

/* Lets a browser's page read the answer: echoes Origin. Without an Origin nothing is added. */
void response_allow_origin(struct http_request *request);
/* The handler of OPTIONS: 204 with what is allowed. */
void response_preflight(struct http_request *request);
