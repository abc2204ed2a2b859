/*
 * What has been written to a project, as a number: the cheap way to tell that an answer is still right.
 *
 * The log thread counts a record when it is on disk and in the applier's mailbox, and before it is acknowledged. So
 * whoever reads the number and asks for a snapshot afterwards gets everything that the number counts, perhaps more; and
 * whoever reads the same number later knows that nothing was acknowledged in between. Records of the time before the
 * start do not matter: the numbers are of this process.
 *
 * Flushes, compactions and purges change no answer, and no number. What does without a record: deletes and updates that
 * could not read a section are tried again with every snapshot. While a project has such debts, each of its snapshots
 * counts as a change.
 */
#include "store/changes.h"

#include "store/batch.h"
#include "store/bytes.h"
#include "store/profiles.h"

void store_changes_init(struct store_change_log *log, size_t projects_max)
{
    *log = (struct store_change_log){.by_project = U64MAP_INIT(projects_max * 2)};
    os_mutex_init(&log->lock, "changes");
}

void store_changes_fini(struct store_change_log *log)
{
    u64map_fini(&log->by_project);
    os_mutex_destroy(&log->lock);
}

/* A project that cannot be remembered counts as a change of all. */
static void note(struct store_change_log *log, uint64_t project)
{
    log->last++;
    if (u64map_put(&log->by_project, project, log->last) != STATUS_OK) log->all = log->last;
}

void store_changes_note(struct store_change_log *log, uint64_t project)
{
    os_mutex_lock(&log->lock);
    note(log, project);
    os_mutex_unlock(&log->lock);
}

void store_changes_note_records(struct store_change_log *log, struct str records)
{
    struct reader reader = reader_of(records);
    struct record record;
    os_mutex_lock(&log->lock);
    while (reader_left(&reader)) {
        if (record_next(&reader, &record) != STATUS_OK) {
            log->all = ++log->last; /* the applier will say so */
            break;
        }
        note(log, record.project);
        /* carried out on the profiles as well */
        if (record.kind == RECORD_PROJECT_DROP || record.kind == RECORD_DELETE_PERSON)
            note(log, store_profiles_of(record.project));
    }
    os_mutex_unlock(&log->lock);
}

static uint64_t last_of(const struct store_change_log *log, uint64_t project)
{
    const uint64_t *last = u64map_get(&log->by_project, project);
    return last && *last > log->all ? *last : log->all;
}

struct store_changes store_changes_get(struct store_change_log *log, uint64_t project)
{
    os_mutex_lock(&log->lock);
    struct store_changes changes = {last_of(log, project), last_of(log, store_profiles_of(project))};
    os_mutex_unlock(&log->lock);
    return changes;
}
