#pragma once
/* The problems of a document in the form that code hosts and editors read: SARIF 2.1.0. */
#include "workflow/problem.h"

/* `version` is that of the program. LIMIT when the arena is full. */
enum status workflow_sarif(struct arena *arena, const struct workflow_problems *problems, const char *version,
                           struct json *ret_json) MUST_USE;
