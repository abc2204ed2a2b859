#pragma once
/* GET and POST on /api/query/funnels and /api/query/funnels/list: the saved funnels (docs/api/funnels.md). */
#include "http/request.h"

void api_funnels(struct http_request *request);
void api_funnels_list(struct http_request *request);
