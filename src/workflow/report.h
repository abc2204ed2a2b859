#pragma once
/*
 * The events of a run as text for a person at a terminal. Pure: an event in, bytes out; the caller prints
 * them as they come and so shows progress. Control characters in anything that came over the network are
 * shown escaped, so that a response cannot drive the terminal.
 */
#include "base/buf.h"
#include "workflow/runner.h"

/* Appends the lines for this event, often none. With `color`, ANSI colours. */
void workflow_report_event(struct buf *buf, const struct workflow_event *event, bool color);
/* All problems, one a line: the warnings, then the errors, as they were found. */
void workflow_report_problems(struct buf *buf, const struct workflow_problems *problems, bool color);
