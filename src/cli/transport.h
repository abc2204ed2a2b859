#pragma once
/*
 * The network of `cairn workflow`: the runner's transport interface over our HTTP client.
 *
 * Every request header that could carry a credential is marked secret, so that it stays behind when a redirect
 * leads to another origin. Which headers those are only the runner knows, so everything counts but the few that
 * describe the body.
 *
 * The client belongs to the caller and must outlive the transport. One thread at a time, as both interfaces demand.
 */
#include "http/client.h"
#include "workflow/transport.h"

#define TRANSPORT_REDIRECTS_MAX 5u

struct workflow_transport transport_over(struct http_client *client);
