#pragma once
/* GET and POST /api/2.0/export and /export: events as they are, a line of JSON each (docs/api/export.md). */
#include "http/request.h"

void api_export(struct http_request *request);
