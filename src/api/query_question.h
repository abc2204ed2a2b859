#pragma once
/*
 * What a query asks, as texts: for the cache of answers, and for people who look at the list of queries. Both are made
 * of the parameters that count, in the order of their names, so that the order in which a client sends them makes no
 * difference, nor whether they came in the address or in the body.
 */
#include "api/params.h"
#include "base/buf.h"

/* The same for two requests that ask for the same of one project: `endpoint` (any text), what stands in the path, the
 * parameters. Left out is what does not change an answer: project_id, timeout_ms. */
void question_write_key(struct buf *key, struct str endpoint, const struct http_request *request,
                        const struct params *params);
/* A JSON object, cut to `size_max` bytes or a little more: values are shortened, credentials left out. */
void question_write_parameters(struct buf *json, const struct params *params, size_t size_max);
/* Whether a text, an expression or JSON with some in it, may say TODAY: then its answer depends on the day. Of a
 * question: some parameter. */
bool text_says_today(struct str text);
bool question_says_today(const struct params *params);
