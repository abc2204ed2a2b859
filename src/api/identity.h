#pragma once
/*
 * POST /identity/create, /identity/create-alias and /identity/merge: links between ids, asked for directly instead of
 * by an event. The body is a JSON object, or a form whose field `data` holds one.
 *
 * The project comes from `$token` (or `token`) in the body or the query, or else from Basic credentials: the project's
 * token or secret as the user name, or a service account together with `project_id`.
 *
 * Answers: 200 {"status":1,"error":null}; 200 with status 0 for a merge of two users; 400, 401 and 503 with the same
 * two members. A device that belongs to another user already stays there, and the answer is success nevertheless: that
 * is what an event with both ids would get.
 */
#include "http/request.h"

void api_identity_create(struct http_request *request);
void api_identity_create_alias(struct http_request *request);
void api_identity_merge(struct http_request *request);
