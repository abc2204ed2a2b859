#pragma once
/*
 * Parameters of the Query API: the query string, merged with a form or JSON object in the body (the query string wins).
 * Every failure names the parameter.
 */
#include "base/timezone.h"
#include "http/request.h"

struct params {
    struct param {
        struct str name, value; /* values of JSON bodies as text: strings as they are, everything else as JSON */
    } * items;
    size_t count;
};
/* INVALID for a body that is neither, LIMIT for too many. Lives in the request's arena. */
enum status params_parse(struct http_request *request, struct error *error, struct params *ret_params) MUST_USE;
/* NULL data: not given, or empty. */
struct str params_get(const struct params *params, const char *name);
/* A whole number in [low, high]; `initial` when it is not given. */
enum status params_int(const struct params *params, const char *name, int64_t low, int64_t high, int64_t initial,
                       struct error *error, int64_t *ret_value) MUST_USE;
/* `YYYY-MM-DD`, `YYYY-M-D`, or an ISO time of which the date is taken; days since 1970-01-01. The parameter must be
 * given. */
enum status params_date(const struct params *params, const char *name, struct error *error, int64_t *ret_day) MUST_USE;
/* The index in names[], which ends with NULL; `initial` when it is not given. */
enum status params_choice(const struct params *params, const char *name, const char *const *names, int initial,
                          struct error *error, int *ret_index) MUST_USE;
/* A JSON array of texts, in the arena. Numbers stand for their text: ids are often sent so. The parameter must be
 * given. */
enum status params_texts(const struct params *params, const char *name, struct arena *arena, struct error *error,
                         const struct str **ret_texts, size_t *ret_count) MUST_USE;
