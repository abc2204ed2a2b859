#pragma once
/* Funnels (src/query/funnel.h), step by step. Everything lives in the arena. Returns why there is no answer, or NULL.
 */
#include "query/funnel.h"
#include "reference/reference.h"

const char *ref_funnel(const struct reference *reference, const struct funnel_plan *plan, struct arena *arena,
                       struct funnel_result *ret_result);
