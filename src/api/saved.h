#pragma once
/*
 * Saved funnels and cohorts: GET and POST on /api/app/projects/{project_id}/funnels and …/cohorts, GET, PATCH and
 * DELETE on one of them (docs/api/funnels.md, docs/api/cohorts.md). Reading needs the role consumer, writing analyst.
 */
#include "base/json.h"
#include "http/request.h"
#include "meta/meta.h"
#include "query/funnel_definition.h"
#include "query/profiles.h"

void api_funnels_list_saved(struct http_request *request);
void api_funnels_create(struct http_request *request);
void api_funnels_get(struct http_request *request);
void api_funnels_change(struct http_request *request);
void api_funnels_delete(struct http_request *request);

void api_cohorts_list_saved(struct http_request *request);
void api_cohorts_create(struct http_request *request);
void api_cohorts_get(struct http_request *request);
void api_cohorts_change(struct http_request *request);
void api_cohorts_delete(struct http_request *request);

/* --- documents, also for the command line (saved_document.c) --- */

struct saved_limits {
    int64_t funnels_max, cohorts_max; /* of one project */
    uint32_t steps_max;               /* of a funnel */
    size_t selectors_max;             /* of the behaviours of a cohort */
};
/*
 * Name, description and definition of a funnel or cohort, from what a client sends: an object with `name`,
 * `description` and the members of the definition. With `before`, what the object does not have stays as it was there,
 * and null removes a member. What is found is checked and written in one form, in the arena; kind, name, description
 * and definition of *saved are set. INVALID begins with the name of the member.
 */
enum status saved_document_read(struct arena *arena, const struct json *document, const struct meta_saved *before,
                                enum meta_saved_kind kind, const struct saved_limits *limits, struct error *error,
                                struct meta_saved *saved) MUST_USE;
/* The whole object, as it is answered: {"id":…,"name":…,…}. */
void saved_document_write(struct buf *buf, const struct meta_saved *saved);

/* What a saved definition says. CORRUPT when it cannot be read any more, which another version may have written. */
enum status saved_funnel(const struct meta_saved *saved, struct arena *arena, struct error *error,
                         struct funnel_definition *ret_definition) MUST_USE;
/* where, behaviors and group_key of the plan; the rest is the caller's. */
enum status saved_cohort(const struct meta_saved *saved, struct arena *arena, struct error *error,
                         struct profile_plan *plan) MUST_USE;
/* Whether it is an expression over profiles; errors begin with `where`. */
enum status saved_check_where(struct str where, struct error *error) MUST_USE;
