#pragma once
/*
 * POST|GET /track: events in, in every form that the tracking clients use (ingest/decode.h), and the answer in the form
 * that they ask for (api/response.h). The answer is sent when everything that the request stores is on disk.
 */
#include "http/request.h"

void api_track(struct http_request *request);
