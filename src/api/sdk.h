#pragma once
/*
 * What SDKs ask for before they do something: the legacy GET /decide, GET /settings, and feature flags. There are no
 * flags yet, so that the answers about them are those of a project that has none:
 *
 *   GET  /decide                             {"notifications":[],"config":{}}            whoever asks
 *   GET  /settings                           {"recording":{"is_enabled":…},"sdk_config":{…}}
 *   GET|POST /flags                          {"code":200,"flags":{},"pending_first_time_events":[]}
 *   GET  /flags/definitions                  {"flags":[]}
 *   POST /flags/{flag_id}/first-time-events  {"code":200,"status":"OK"}
 *
 * All but /decide want to know the project (caller.h). Pages of any origin may ask.
 */
#include "http/request.h"

void api_decide(struct http_request *request);
void api_settings(struct http_request *request);
void api_flags(struct http_request *request);
void api_flags_definitions(struct http_request *request);
void api_flags_first_time_event(struct http_request *request);
