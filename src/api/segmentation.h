#pragma once
/*
 * GET|POST /api/2.0/segmentation and /api/query/segmentation: one event over time, broken down by an expression
 * (docs/api/). Credentials are checked, the plan is made and run on a worker thread; the answer is Mixpanel's JSON, or
 * CSV.
 */
#include "http/request.h"

void api_segmentation(struct http_request *request);
