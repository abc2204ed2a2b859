#pragma once
/*
 * From the bytes of a request to its JSON, in every form that the tracking clients use:
 *
 *   body     a JSON array or object; or `{"data": …}` around either; or a form whose field `data` holds the JSON or
 *            its base64; found out by looking, because the Content-Type is often missing or wrong
 *   query    the field `data` in the query string, when there is no body (the pixel)
 *   base64   both alphabets, with or without padding, line breaks, a blank for an un-escaped `+`
 *   gzip     packed bytes inside base64, or a packed body without Content-Encoding, known by their first two bytes
 *
 * Two steps, because how to answer stands in the parameters, also when the data is unreadable: decode_form, then
 * decode_records. Everything lies in the arena or in the input, which must stay. Thread-safe.
 */
#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/url.h"
#include "ingest/limits.h"

#define DECODE_PARAMS_MAX 100 /* in the query and in the form each */

struct decode_input {
    struct str query; /* as sent, without "?" */
    struct str content_type;
    struct str body; /* without Content-Encoding */
    bool lines;      /* a body is JSON lines, whatever it looks like */
};
/* Whether a Content-Type says JSON lines: application/x-ndjson and its other names. */
bool decode_is_lines(struct str content_type);

struct decode_form {
    struct url_params query, form;
    struct str payload; /* JSON or base64, still as sent; NULL data when there is none */
    bool in_field;      /* it was the field `data` of a form or of the query */
};

/* INVALID for too many parameters or a damaged gzip body, LIMIT when the body unpacks to too much or the arena is full;
 * the query's parameters are set all the same where they could be read. */
enum status decode_form(struct arena *arena, const struct decode_input *input, const struct ingest_limits *limits,
                        struct error *error, struct decode_form *form) MUST_USE;
/* A parameter of the query or else of the form; NULL data when neither has it. */
struct str decode_param(const struct decode_form *form, const char *name);

/* The JSON text of the payload, not looked at. INVALID: `data, missing or empty` or `data, malformed`, with what is
 * wrong as the detail; LIMIT. */
enum status decode_text(struct arena *arena, const struct decode_form *form, const struct ingest_limits *limits,
                        struct error *error, struct str *ret_text) MUST_USE;
/* One JSON value from the payload, out of its `{"data": …}` where it has one. INVALID: `data, missing or empty` or
 * `data, malformed`, with what is wrong as the detail; LIMIT. *ret_text_size is the size of the JSON text. */
enum status decode_document(struct arena *arena, const struct decode_form *form, const struct ingest_limits *limits,
                            struct error *error, struct json *ret_document, size_t *ret_text_size) MUST_USE;

struct decode_records {
    struct json *items; /* may be changed by the owner */
    size_t count;       /* at least 1 */
    size_t text_size;   /* of the JSON that they came in */
};
/* The same as a list of records: a single one becomes a list of one. */
enum status decode_records(struct arena *arena, const struct decode_form *form, const struct ingest_limits *limits,
                           struct error *error, struct decode_records *ret_records) MUST_USE;
/* The same from what decode_text gave. */
enum status decode_records_of(struct arena *arena, struct str text, const struct ingest_limits *limits,
                              struct error *error, struct decode_records *ret_records) MUST_USE;
