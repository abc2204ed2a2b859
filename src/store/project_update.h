#pragma once
/*
 * Changing profiles (docs/decisions/0017-profiles.md), as the applier does it: read the row that counts, have the
 * callback change it, write what it became. One row in the memtable is changed in its place; one in a section is marked
 * and a new one is added.
 *
 * Replay. An update stands for a change, not for a result, so that repeating it needs the row that it was applied to.
 * Hence nothing that updates do becomes durable before the flush that takes their LSN in: neither does a compaction
 * leave out rows that were marked since the last flush, nor does it save such marks (project_durable_deletes). So what
 * the files say is always what the shadow looked like at flushed_lsn, from which the log goes on.
 *
 * Damage. When it cannot be read whether there is a row, or what is in it, the update would have to begin with an empty
 * profile, and lose the old one. Instead it is owed: it waits, and later ones of the same profile behind it. It is
 * tried again with every snapshot and flush, at most once a second. What is owed survives a restart (it is written with
 * the debts of deletes, delete.h). While more than UPDATE_DEBT_BYTES_MAX is owed, store_append refuses further updates.
 */
#include "store/project.h"
#include "store/update_record.h"

#define UPDATE_DEBT_BYTES_MAX ((size_t)8 << 20)
#define PROJECT_DEBT_UPDATE   (UINT64_C(1) << 63) /* with a project's number: an owed update, not a delete, follows */

/* Applies the body of an UPDATE record at `lsn` to the shadow. `owner` is the project whose profiles these are, NULL
 * when it is not known: it has no ids. CORRUPT when the record is malformed; LIMIT when memory refuses: the caller
 * cannot go on. */
enum status project_apply_update(struct project *shadow, struct project *owner, struct project_context *context,
                                 struct str body, uint64_t lsn, struct arena *arena, struct error *error) MUST_USE;

/* The limits of a profile that takes over what another one knows: constants, since links do not carry any. */
#define ADOPT_PROPERTIES_MAX 2000u
#define ADOPT_BYTES_MAX      ((uint64_t)1 << 20)
/* Profiles of clusters that became one, at the place in the log of the link that did it: what the profile `from` knows
 * and `to` does not becomes the latter's, and `from` is deleted. LIMIT as above. */
enum status project_adopt_profile(struct project *shadow, struct project_context *context,
                                  const struct profile_merge *merge, uint64_t lsn, struct arena *arena,
                                  struct error *error) MUST_USE;

/* --- what is owed (update_debts.c) --- */

/* Keeps an update of this profile for later. */
enum status project_update_owe(struct project *shadow, const struct update_view *update, uint64_t lsn,
                               const struct error *error) MUST_USE;
/* Whether updates of the profile are owed: what comes now has to wait behind them. */
bool project_owes_update(const struct project *shadow, struct str event, struct str id);
/* Tries again. LIMIT as above. */
enum status project_updates_retry(struct project *shadow, struct project_context *context, struct arena *arena,
                                  struct error *error) MUST_USE;
/* Forgets what is owed to a profile that was deleted. */
void project_updates_forget(struct project *shadow, struct str event, struct str id);
void project_updates_write(const struct project *shadow, struct buf *out);
/* One entry of what was written, behind the project's number. */
enum status project_updates_read(struct project *shadow, struct reader *reader) MUST_USE;
size_t project_updates_bytes(const struct project *shadow);
void project_updates_clear(struct project *shadow);

/* --- between the two --- */

/* Carries out an update whose key is resolved. *ret_unreadable: nothing was done, see above; `error` says why. */
enum status project_update_profile(struct project *shadow, struct project_context *context,
                                   const struct update_view *update, uint64_t lsn, struct arena *arena,
                                   struct error *error, bool *ret_unreadable) MUST_USE;
