#pragma once
/*
 * The whole server: opens the data directory, listens, serves until SIGTERM or SIGINT, drains and closes.
 */
#include "server/options.h"

/* Blocks until the server has stopped. Prints `listening on http://ADDR:PORT` for each address to standard output once
 * connections are accepted. `options` have passed options_finish and stay unchanged until it returns. */
enum status server_run(const struct options *options, struct error *error) MUST_USE;
