#pragma once
/* GET /health: the process answers. GET /ready: it also takes events; 503 with the reason while it does not. */
#include "http/request.h"

void api_health(struct http_request *request);
void api_ready(struct http_request *request);
