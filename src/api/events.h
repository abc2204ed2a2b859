#pragma once
/*
 * GET|POST /api/2.0/events and /api/query/events, and what is below them: several events over time, which events and
 * properties there are, and their values (docs/api/events.md).
 */
#include "http/request.h"

void api_events(struct http_request *request);
void api_events_top(struct http_request *request);
void api_events_names(struct http_request *request);
void api_events_properties(struct http_request *request);
void api_events_properties_top(struct http_request *request);
void api_events_properties_values(struct http_request *request);
