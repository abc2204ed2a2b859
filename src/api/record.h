#pragma once
/*
 * POST /record: a piece of a session's recording, as the browser's and the phones' recorders send it: events in the
 * body (replay/events.h), and in the query `replay_id`, `seq` and what else is known about it, which is kept beside
 * them.
 *
 *   200  {"code":200,"status":"OK"}: it is on disk
 *   400  no replay_id or seq, or a body that is no recording: sending it again would not help
 *   401  the project is not known
 *   403  recording is switched off (record.enabled): recorders stop
 *   413  too large: recorders send half of it
 *   429  the project's room is full (record.bytes_max); 503 not now. Recorders keep it and try again
 *
 * A piece is packed and written on threads of its own, so that recordings never hold up a query.
 */
#include "http/request.h"

void api_record(struct http_request *request);
