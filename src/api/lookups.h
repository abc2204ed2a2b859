#pragma once
/*
 * Lookup tables over HTTP (docs/api/lookup-tables.md):
 *
 *   Mixpanel's   GET /lookup-tables, PUT and DELETE /lookup-tables/{id}
 *   ours         POST /lookup-tables                               makes a table, of JSON or of CSV
 *                PUT, DELETE /lookup-tables/{id}/properties/{name}  joins a property with the table, or no longer
 *
 * The credential must be one that may import, and not the project's token, which is in every web page.
 */
#include "http/request.h"

void api_lookups_list(struct http_request *request);
void api_lookups_create(struct http_request *request);
void api_lookups_replace(struct http_request *request);
void api_lookups_delete(struct http_request *request);
void api_lookups_map(struct http_request *request);
void api_lookups_unmap(struct http_request *request);
