#pragma once
/* GET and POST /api/query/stream/query: what some people did, newest first (docs/api/streams.md). */
#include "http/request.h"

void api_feed(struct http_request *request);
