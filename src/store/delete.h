#pragma once
/*
 * Deletes, as the applier carries them out on a project (docs/decisions/0008-deletes.md says what they mean). Marking
 * rows is delete_order.h's; this is what lies between: the memtable, sections that are being rewritten meanwhile,
 * blocks that cannot be read, who is forgotten, and what is reported.
 *
 * Rewrites. A flush or a compaction reads sections as they were when it began. Deletes that come before its outputs
 * count are marked in its inputs, so that snapshots see them at once, and repeated on its outputs:
 *
 *   stamp = project_orders_hold(project)                    when the inputs are frozen
 *   project_orders_repeat(project, index, stamp)            for every output, once it is project->live[index]
 *   project_orders_release(project, stamp)                  at the end, and after a failure
 *
 * Outputs hold only rows from before these deletes, so repeating finds exactly the rows that are to go, and those of
 * inputs that were marked in time are not there to be found.
 *
 * A section whose blocks cannot be read keeps what it owes: the delete is tried again with every new snapshot, and when
 * somebody asks what became of it, and is not reported as complete. Such a section must not be rewritten.
 */
#include "store/project.h"

/* Applies the body of a DELETE_* record whose place in the log is `lsn`. LIMIT when memory refuses: the caller cannot
 * go on. */
enum status project_apply_delete(struct project *project, struct project_context *context, enum record_kind kind,
                                 struct str body, uint64_t lsn, struct arena *arena, struct error *error) MUST_USE;

/* Deletes the user profiles of the people whom a DELETE_PERSON record names, from the shadow of their project (`owner`,
 * whose ids must not be forgotten yet), with what is owed to them. What they owe is reported with the request's. */
enum status project_delete_profiles(struct project *shadow, const struct project *owner,
                                    struct project_context *context, struct str body, uint64_t lsn, struct arena *arena,
                                    struct error *error) MUST_USE;

uint64_t project_orders_hold(struct project *project);
enum status project_orders_repeat(struct project *project, size_t index, uint64_t stamp) MUST_USE;
void project_orders_release(struct project *project, uint64_t stamp);
/* Tries again what could not be read. */
void project_orders_retry(struct project *project, struct project_context *context);
bool project_owes(const struct project *project, const struct section *section);
/* Memory of orders that wait for the end of rewrites. */
size_t project_orders_bytes(const struct project *project);
/* With the project, or when it is dropped. */
void project_orders_clear(struct project *project);
/* Appends the deletes of people that the project's sections owe, for the manifest. Who was deleted is forgotten, so
 * nobody could name them again after a restart; other deletes can be repeated by whoever asked for them. */
void project_debts_write(const struct project *project, struct buf *out);
/* Puts what was written on record again, at start, when the files are loaded: every section of the project owes it. No
 * later row stands under the number of somebody who was forgotten, so that is never too much. */
enum status project_debts_read(struct str debts, struct project *(*find)(void *ctx, uint64_t project), void *ctx,
                               struct project_context *context, struct error *error) MUST_USE;

/* Every delete before this LSN has left no row in a section, and no id in a catalog file. */
uint64_t project_purged_lsn(const struct project *project);

/* What became of a request. NULL: not known. */
const struct delete_result *delete_results_find(const struct delete_results *results, uint64_t project,
                                                uint64_t request);
