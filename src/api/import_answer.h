#pragma once
/*
 * What /import answers. Which form a client expects shows in what it sent:
 *
 *                               all taken                                    one or more refused
 *   STRICT   strict=1, or JSON  200 {"code":200,…,"status":"OK"}             400 with failed_records
 *            without `strict`
 *   VERBOSE  strict=0&verbose=1 200 {"code":200,…,"status":1}                200 {…,"error":"some…","status":0}
 *   BRIEF    strict=0           200 {"code":200,…,"status":"OK"}             200 0
 *   FORM     data= in a form    200 1, or as /track with verbose, callback   200 0, likewise
 *            or in the query    and img
 *
 * Only STRICT judges events by the strict rules. What refuses the request as a whole (credentials, size, no room to
 * store) has a status of its own in every form.
 */
#include "api/response.h"
#include "ingest/import.h"

enum import_form { IMPORT_STRICT, IMPORT_VERBOSE, IMPORT_BRIEF, IMPORT_FORM };
/* From `strict` and `verbose`, and whether the data came in a field. */
enum import_form import_form_of(const struct decode_form *form);

/* Appends the body for what was done with the events; returns the HTTP status, and the Content-Type. `mode` is looked
 * at for IMPORT_FORM only. */
int import_answer(enum import_form form, const struct response_mode *mode, const struct import_outcome *outcome,
                  struct buf *body, const char **ret_type);
/* The same for data that cannot be read; `reason` says why. */
int import_answer_unreadable(enum import_form form, const struct response_mode *mode, struct str reason,
                             struct buf *body, const char **ret_type);
/* The most that import_answer appends. */
size_t import_answer_size_max(const struct import_outcome *outcome);
