#pragma once
/*
 * The number of a group key, `data_group_id` in queries. It is a function of the key alone, so that it stays the same
 * when a project is exported and imported elsewhere, and needs no table. 1 to 2^53 - 1: a client that reads JSON
 * numbers as doubles gets it whole. Two keys of one project share a number with a chance of 1 in 10^15; then the key
 * that was used first answers to it.
 */
#include "base/str.h"

#include <stdint.h>

int64_t profile_group_number(struct str group_key);
