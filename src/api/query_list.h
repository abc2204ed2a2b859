#pragma once
/*
 * The queries that are under way (docs/operating/queries.md):
 *
 *   GET     /api/app/queries, /api/app/projects/{project_id}/queries
 *   DELETE  /api/app/queries/{id}
 *
 * Everybody who may ask a project sees and stops his own queries there; admins, owners and the project's secret those
 * of everybody. What one may not see does not exist: 404.
 */
#include "http/request.h"

void api_queries_list(struct http_request *request);
void api_queries_stop(struct http_request *request);
