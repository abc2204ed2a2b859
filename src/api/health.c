#include "api/health.h"

#include "api/api.h"
#include "base/json.h"
#include "store/store.h"

void api_health(struct http_request *request)
{
    http_respond(request, 200, "application/json", STR("{\"status\":\"ok\"}\n"));
}

void api_ready(struct http_request *request)
{
    struct api *api = request->context;
    struct error error = ERROR_INIT;
    if (store_writable(api->store, &error) == STATUS_OK) {
        http_respond(request, 200, "application/json", STR("{\"status\":\"ready\"}\n"));
        return;
    }
    char reason[1100];
    struct buf body = BUF_INIT(8192);
    buf_lit(&body, "{\"status\":\"not ready\",\"error\":");
    json_write_str(&body, str_of(error_text(&error, reason, sizeof reason)));
    buf_lit(&body, "}\n");
    http_header_add(request, "Retry-After", STR("5"));
    http_respond_buf(request, 503, "application/json", &body);
}
