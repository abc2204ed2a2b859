#pragma once
/* Makes a failing case small: steps of the history and parts of the plan are taken away for as long as it fails. */
#include "differential/world.h"

/* `plan` fails in the world of `history`; both are changed to the smallest that still do that was found. */
void shrink(struct history *history, struct plan *plan);

/* Takes steps away in runs, from halves down to single ones, for as long as still_fails(). True when any went. */
bool shrink_history(struct history *history, bool (*still_fails)(const struct history *history, const void *context),
                    const void *context);
