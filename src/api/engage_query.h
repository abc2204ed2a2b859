#pragma once
/* Queries about profiles: GET and POST on /api/2.0/engage and /api/query/engage, and what is below them
 * (docs/api/profile-queries.md). */
#include "http/request.h"

void api_engage_query(struct http_request *request);
void api_engage_properties(struct http_request *request);
void api_engage_stats(struct http_request *request);
void api_engage_revenue(struct http_request *request);
/* GET /api/app/projects/{project_id}/data-groups: the group keys and their numbers. */
void api_data_groups(struct http_request *request);
