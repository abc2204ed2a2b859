#pragma once
/*
 * Upper case, lower case and comparison without case, by Unicode's simple mappings: one code point to one code point,
 * no locale, no context. Two strings are equal without case when they are equal after mapping each code point to
 * upper and then to lower case, which also joins letters with two lower cases (sigma). Stateless.
 */
#include "base/str.h"

uint32_t expr_upper(uint32_t code_point);
uint32_t expr_lower(uint32_t code_point);
uint32_t expr_fold(uint32_t code_point);
bool expr_equal_fold(struct str a, struct str b);
/* Whether s begins with `prefix` without regard to case, and with how many of its own bytes. */
bool expr_prefix_fold(struct str s, struct str prefix, size_t *ret_size);
