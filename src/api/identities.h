#pragma once
/*
 * Who ids are, for operators, beside the endpoints that clients use:
 *
 *   GET    /api/app/projects/{project_id}/identities/{distinct_id}    who it is (cluster_json.h); limit, offset
 *   DELETE /api/app/projects/{project_id}/identities/{distinct_id}    takes it out of the person that it was linked to
 *   GET    /api/app/projects/{project_id}/identity-unlinks            who took which ids out, newest first; limit
 *
 * Without {distinct_id} the first two read it from the parameter of that name: some proxies do not leave an id with
 * slashes in a path as it is. Whoever may read the project may read this; admins and owners may unlink.
 */
#include "http/request.h"

void api_identities_get(struct http_request *request);
void api_identities_unlink(struct http_request *request);
void api_identities_unlinks(struct http_request *request);
