#pragma once
/* Whose records come with a token, for the endpoints that take records in: callbacks for ingest/. Loop threads. */
#include "ingest/ingest.h"

/* An ingest_request's project_of; the context is the loop's struct meta_view. */
bool api_token_project(void *view, struct str token, struct ingest_project *ret_project);
/* Unknown tokens are a mistake in somebody's page and come in any number: the 1st, 2nd, 4th, … record that was dropped
 * for one is worth a line. */
void api_token_unknown(size_t count);
