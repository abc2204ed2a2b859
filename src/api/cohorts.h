#pragma once
/* GET and POST /api/query/cohorts/list: the saved cohorts with how many people are in each (docs/api/cohorts.md). */
#include "http/request.h"

void api_cohorts(struct http_request *request);
