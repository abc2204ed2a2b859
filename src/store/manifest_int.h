#pragma once
/* What manifest.c (files) and manifest_edit.c (bodies of edits, and what they change) share; theirs alone. */
#include "base/buf.h"
#include "store/manifest.h"

void manifest_write_body(struct buf *body, const struct manifest_edit *edit);
/* The removal of files whose last sections the edit drops, behind its own body. */
void manifest_remove_emptied(const struct manifest *m, const struct manifest_edit *edit, struct buf *body);
/* `live`: an edit of ours, not one that was read. CORRUPT: it cannot be applied; how much of it was is not said. */
enum status manifest_apply_body(struct manifest *m, struct str body, bool live) MUST_USE;
