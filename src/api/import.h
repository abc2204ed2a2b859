#pragma once
/*
 * POST|GET /import: events of any age, for whoever has credentials for the project, in every form that the clients send
 * (ingest/decode.h, ingest/import.h). The answer (api/import_answer.h) is sent when everything that the request stores
 * is on disk.
 *
 * Credentials: a service account whose role is admin or owner, with `project_id`; or a project's secret or token, as
 * Basic or Bearer, or as the parameter `api_key`.
 */
#include "http/request.h"

void api_import(struct http_request *request);
