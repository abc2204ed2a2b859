#pragma once
/*
 * A run as an HTTP Archive (HAR 1.2), which browsers and proxies open: one entry for each request that was sent. It is
 * fed with the events of the run; what the events hide (`***`) stays hidden.
 *
 * A value over an arena. One thread at a time.
 */
#include "workflow/runner.h"

struct workflow_har {
    struct arena *arena;
    struct json entries, current; /* current: a request without an answer yet; null: none */
    enum status status;           /* LIMIT when the arena is full */
};

void workflow_har_init(struct workflow_har *har, struct arena *arena);
/* `wall_ms` is the time of day of the event, since 1970. */
void workflow_har_event(struct workflow_har *har, const struct workflow_event *event, int64_t wall_ms);
/* `version` is that of the program. */
enum status workflow_har_finish(struct workflow_har *har, const char *version, struct json *ret_json) MUST_USE;
