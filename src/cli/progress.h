#pragma once
/*
 * Shows a workflow run while it happens: the report's lines as they come, and on a terminal one live line under them
 * that says which request is being waited for.
 *
 * A plain value; the stream belongs to the caller. Colours and the live line only appear on a terminal that can do them
 * (TERM is set and not "dumb"); NO_COLOR switches the colours off.
 */
#include "workflow/runner.h"

#include <stdio.h>

struct progress {
    FILE *out;
    bool live, color;
    bool live_shown;
};

/* Whether colours may be used on `stream`. */
bool progress_color(FILE *stream);

void progress_init(struct progress *progress, FILE *out);
/* A workflow_observer; the context is the struct progress. */
void progress_event(void *ctx, const struct workflow_event *event);
/* Removes the live line, if there is one, so that something else may be printed. */
void progress_fini(struct progress *progress);
