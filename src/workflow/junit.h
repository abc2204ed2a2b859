#pragma once
/* The result of a run as JUnit XML, which build servers read: a test suite for each workflow, a test case for each
 * execution of a step. `result` is that of workflow_run (runner.h). */
#include "base/buf.h"
#include "base/json.h"

void workflow_junit(struct buf *buf, const struct json *result);
