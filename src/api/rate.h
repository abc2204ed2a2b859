#pragma once
/* The operator's limit on queries (query.rate_per_hour): so many per project and clock hour. Thread-safe. */
#include <stdbool.h>
#include <stdint.h>

/* Counts one query; false when the project has used up its hour. per_hour 0: no limit, nothing is counted. */
bool rate_allows(uint64_t project, int64_t per_hour, int64_t now_ms);
