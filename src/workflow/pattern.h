#pragma once
/*
 * Regular expressions that come with documents: the keyword `pattern` of schemas and criteria of type regex. The
 * dialect is PCRE2's, over UTF-8, near to ECMAScript's where the two differ (\uXXXX, `$` only at the very end). A
 * search is unanchored and its effort is bounded: a pattern that backtracks without end is an error, not a hang.
 */
#include "base/error.h"
#include "base/str.h"

#define PATTERN_BYTES_MAX ((size_t)64 << 10)

enum {
    PATTERN_NOCASE = 1,
    PATTERN_MULTILINE = 2,
    PATTERN_DOTALL = 4,
};

/* INVALID with the reason and place when the pattern is malformed. */
enum status pattern_check(struct str pattern, unsigned flags, struct error *error) MUST_USE;
/* LIMIT when it takes too much effort; INVALID for a malformed pattern. */
enum status pattern_search(struct str pattern, unsigned flags, struct str text, struct error *error,
                           bool *ret_found) MUST_USE;
/* `/pattern/flags`, with flags of i, m, s, u and g, is taken apart; any other text is the pattern itself. */
struct str pattern_of_literal(struct str text, unsigned *ret_flags);
