#pragma once
/*
 * GET|POST /api/2.0/retention and /api/2.0/retention/addiction, the same under /api/query: who comes back, and how
 * often people are active (docs/api/retention.md).
 */
#include "http/request.h"

void api_retention(struct http_request *request);
void api_retention_addiction(struct http_request *request);
