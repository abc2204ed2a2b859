#pragma once
/*
 * JSON whose texts are not all UTF-8. Such a document cannot be read, but one bad text in one record is no reason to
 * refuse the others. So every byte that is no UTF-8 is replaced by a mark, a character that the document has nowhere;
 * then it can be read, and the records that hold the mark are known.
 */
#include "base/arena.h"
#include "base/json.h"

#define GARBLED_MARK_BYTES 3

struct garbled {
    char mark[GARBLED_MARK_BYTES];
};

/* NULL data when the arena is full, or when the document has all the characters that could be a mark (they are 32 that
 * Unicode keeps free of meaning). */
struct str garbled_mark(struct arena *arena, struct str text, struct garbled *ret_garbled) MUST_USE;
bool garbled_text(const struct garbled *garbled, struct str text);
/* Whether a text inside the value holds the mark, or the name of a member. The parser has bounded the depth. */
bool garbled_value(const struct garbled *garbled, const struct json *value);
