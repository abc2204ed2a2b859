#pragma once
/*
 * Carrying out requests to delete (meta.h has their rows): by person, by filter, by age. The request is a JSON object,
 * and its members say which of the three it is:
 *
 *   {"distinct_ids": ["U1", …]}                                     people, with all that belongs to their ids
 *   {"event": "name" or ["name", …], "where": "…", "from_date": "2024-01-31", "to_date": "…"}
 *                                                                   event or where must be there; dates are inclusive
 *   {"before": "2024-01-31" or "2024-01-31T12:00:00" }              events of an earlier time
 *
 * Dates and times are the project's. Other members are kept and not looked at (compliance_type).
 *
 * Blocking: for worker threads, and the server's thread that works off what is pending. Any number of threads may call.
 */
#include "api/api.h"
#include "base/json.h"
#include "meta/meta.h"

/* Which kind it is; INVALID, with what is wrong, when it cannot be carried out for any project. */
enum status deletion_check(const struct json *request, struct error *error, enum meta_deletion_kind *ret_kind) MUST_USE;
/* Carries out a pending request and writes its row anew. When it cannot be carried out now (UNAVAILABLE, sections that
 * cannot be read) the row stays pending and says why; OK all the same. */
enum status deletion_run(struct api *api, const struct meta_view *view, int64_t id, struct arena *arena,
                         struct error *error) MUST_USE;

/* What the server's thread does: everything pending, oldest first; with `purge`, also what follows physically, for
 * requests that are marked. */
void deletion_work(struct api *api, const struct meta_view *view, bool purge);
/* Deletes what is older than the projects' retention; to be called now and then. */
void deletion_retain(struct api *api, const struct meta_view *view);
