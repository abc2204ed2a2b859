#pragma once
/*
 * POST|GET /engage and /groups: changes of user and group profiles, in the forms and answer modes of /track
 * (api/response.h), and one more:
 *
 *   strict   200 {"code":200,"error":null,"num_good_events":N,"num_records_imported":N,"status":1}
 *            400 {"code":400,"error":…,"failed_records":[{"index","field","message"}],"num_good_events":N,…,"status":0}
 *
 * The good messages of a request are stored, whatever the others are. The answer is sent when they are on disk; the
 * next query sees them carried out.
 */
#include "http/request.h"

void api_engage(struct http_request *request);
void api_groups(struct http_request *request);
