#pragma once
/* The answer of an executor as text, so that whole answers can be compared and shown. */
#include "base/buf.h"
#include "query/backend.h"

#include <stdio.h>

/* Appends the whole answer, or the failure. Failures of expressions are one text, whatever they say: executors need
 * agree only that there is one. Events of an export are sorted, because it promises no order; events are read in pieces
 * of `piece`. */
void answer_write(struct executor *executor, const struct plan *plan, uint64_t piece, struct buf *out);
/* Asks both. True when the answers are what the plan promises of them: equal, or for an export with a limit, that many
 * of the events that there are. The texts are those of the first and the second. */
bool answers_agree(struct executor *first, struct executor *second, const struct plan *plan, uint64_t piece,
                   struct buf *ret_first, struct buf *ret_second);
/* For a person. */
void plan_print(FILE *file, const struct plan *plan);
