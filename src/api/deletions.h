#pragma once
/*
 * Deleting over HTTP (docs/api/deletion.md). Two shapes over the same requests:
 *
 *   Mixpanel's   POST /api/app/data-deletions/v3.0?token=T        people by distinct_ids; 201 with a task id
 *                GET, DELETE /api/app/data-deletions/v3.0/{id}    its status; call it back while it is pending
 *   ours         POST, GET /api/app/projects/{project_id}/deletions
 *                GET, DELETE /api/app/projects/{project_id}/deletions/{id}
 *
 * Both need a credential that may delete the project's data (META_PERMISSION_OWN).
 */
#include "http/request.h"

void api_deletions_create(struct http_request *request);
void api_deletions_list(struct http_request *request);
void api_deletions_get(struct http_request *request);
void api_deletions_cancel(struct http_request *request);
