/*
 * Compaction as the applier sees it: what is rewritten when, and what becomes of it.
 *
 *           pick, freeze            write               commit (no flush)          replace
 *   NONE ---------------> WRITING --------> WRITTEN ---------------------> COMMITTING -----> NONE
 *                            | failed:         | an input is gone, or owes a delete:
 *                            v back-off        v begin anew
 *                          NONE              NONE
 *
 * One job at a time, on a thread of its own; small merges of several projects share one, and its file. While a job is
 * being written everything else goes on, flushes too. For its commit it waits until no flush runs, and none is begun
 * until it is through: a commit takes milliseconds.
 *
 * A failure leaves everything as it was. It is tried again after a second, two, four, up to five minutes; an input that
 * cannot be read is left alone from then on, and what needs its rows says so.
 */
#include "base/log.h"
#include "os/clock.h"
#include "store/delete.h"
#include "store/profiles.h"
#include "store/store_int.h"

#include <stdlib.h>

#define PARTS_MAX       32
#define SMALL_ROWS      ((uint64_t)1 << 20) /* of all parts of a job that has several */
#define SURVEYS_MAX     256
#define LOOK_DELAY_NS   60000000000LL
#define SURVEY_DELAY_NS 600000000000LL
#define RETRY_NS_MIN    1000000000LL
#define RETRY_NS_MAX    300000000000LL
#define BYTES_PER_ROW   128 /* of memory, of the largest event in a section that is being written */
#define ROWS_MAX_MIN    65536

/* --- the thread --- */

void store_compact_main(void *arg)
{
    struct store *store = arg;
    for (;;) {
        os_mutex_lock(&store->compact_lock);
        while (!store->compact_next && !store->compact_stop) os_cond_wait(&store->compact_filled, &store->compact_lock);
        struct compact_job *job = store->compact_next;
        store->compact_next = NULL;
        os_mutex_unlock(&store->compact_lock);
        if (!job) return;
        if (job->survey_count)
            compact_job_survey(job);
        else if (job->commits)
            compact_job_commit(job, store->options.fs, &store->manifest);
        else
            compact_job_write(job, store->options.fs, &store->manifest, store->cache);
        struct message *message = store_message_new(MESSAGE_COMPACTED);
        message->compact = job;
        store_post(store, message);
    }
}

static void hand_over(struct store *store, struct compact_job *job)
{
    atomic_store(&store->compact_running, job);
    os_mutex_lock(&store->compact_lock);
    store->compact_next = job;
    os_cond_signal(&store->compact_filled);
    os_mutex_unlock(&store->compact_lock);
}

void store_compact_init(struct store *store)
{
    struct compact_options *o = &store->compact_options;
    *o = store->options.compact;
    o->purge_deadline_ms = store->options.purge_deadline_ms;
    uint64_t rows = store->options.compact_memory_bytes / BYTES_PER_ROW;
    if (rows < ROWS_MAX_MIN) rows = ROWS_MAX_MIN;
    if (o->rows_max > rows) o->rows_max = rows;
    if (o->rows_max > SECTION_ROWS_MAX) o->rows_max = SECTION_ROWS_MAX;
    store->compact_dirty = true;
}

/* --- sections that do not count any more --- */

enum status store_bury(struct store *store, struct section *const *sections, size_t count)
{
    struct manifest_dead *grown = realloc(store->dead, (store->dead_count + count + 1) * sizeof *grown);
    if (!grown) return STATUS_LIMIT;
    store->dead = grown;
    for (size_t i = 0; i < count; i++) {
        struct section_file *file = sections[i]->file;
        if (!file) continue;
        struct manifest_dead dead = {file->file_id, sections[i]->ordinal, store->applied_lsn, os_now_ms()};
        store->dead[store->dead_count++] = dead;
        file->sections_live--;
        file->bytes_live -= sections[i]->bytes;
        if (dead.marked_lsn < file->marked_lsn) {
            file->marked_lsn = dead.marked_lsn;
            file->marked_ms = dead.marked_ms;
        }
    }
    store->compact_dirty = true;
    return STATUS_OK;
}

/* The opposite, for sections that a compaction has taken out itself. */
static void unbury(struct store *store, const struct section *section)
{
    for (size_t i = store->dead_count; i-- > 0;) {
        if (store->dead[i].section_file == section->file->file_id && store->dead[i].ordinal == section->ordinal)
            store->dead[i] = store->dead[--store->dead_count];
    }
}

uint64_t store_buried_lsn(struct store *store)
{
    uint64_t lsn = UINT64_MAX;
    struct project *project;
    for (size_t i = 0; i < store->dead_count; i++) {
        if (store->dead[i].marked_lsn < lsn) lsn = store->dead[i].marked_lsn;
    }
    each_project(store, at, project)
    {
        for (size_t i = 0; i < project->live_count; i++) {
            const struct section_file *file = project->live[i].section->file;
            if (file && file->marked_lsn < lsn) lsn = file->marked_lsn;
        }
    }
    return lsn;
}

/* --- picking --- */

struct proposal {
    struct project *project;
    struct project_runs runs;
    struct compact_pick pick;
};

static int proposal_cmp(const void *a, const void *b)
{
    const struct proposal *x = a, *y = b;
    if (x->pick.reason != y->pick.reason) return x->pick.reason < y->pick.reason ? -1 : 1;
    if (x->pick.rows != y->pick.rows) return x->pick.rows < y->pick.rows ? -1 : 1;
    return x->project->id < y->project->id ? -1 : x->project->id > y->project->id;
}

/* What nobody waits for leaves the other cores to queries. */
static unsigned threads_of(const struct store *store, bool all)
{
    return all ? store->options.compact_threads : 1;
}

static struct compact_job *new_job(struct store *store)
{
    struct compact_job *job = calloc(1, sizeof *job);
    if (!job) return NULL;
    job->error = ERROR_INIT;
    job->applied_lsn = store->applied_lsn;
    job->now_ms = os_now_ms();
    job->rows_max = (uint32_t)store->compact_options.rows_max;
    job->memory_bytes_max = store->options.compact_memory_bytes * 2;
    job->bytes_per_second = store->options.compact_bytes_per_second;
    return job;
}

static enum status add_part(struct compact_job *job, const struct proposal *proposal)
{
    struct project *project = proposal->project;
    const struct compact_pick *pick = &proposal->pick;
    struct compact_part *part = &job->parts[job->part_count];
    size_t total = 0;
    for (size_t i = 0; i < pick->run_count; i++)
        total += proposal->runs.first[pick->runs[i] + 1] - proposal->runs.first[pick->runs[i]];
    *part =
        (struct compact_part){.project = project->id,
                              .reason = pick->reason,
                              .inputs = calloc(total + 1, sizeof *part->inputs),
                              .now = calloc(total + 1, sizeof *part->now),
                              .now_lsn = calloc(total + 1, sizeof *part->now_lsn),
                              .now_ms = calloc(total + 1, sizeof *part->now_ms),
                              .ids = id_view_ref(project->flushed_ids),
                              .links = project->flushed_links,
                              .day = pick->day,
                              .log2 = pick->log2,
                              .marks_lsn = store_is_profiles(project->id) ? project->flushed_lsn : job->applied_lsn};
    job->part_count++;
    if (!part->inputs || !part->now || !part->now_lsn || !part->now_ms) return STATUS_LIMIT;
    for (size_t i = 0; i < pick->run_count; i++) {
        size_t run = pick->runs[i];
        part->lsn = proposal->runs.runs[run].lsn; /* of the newest */
        for (size_t at = proposal->runs.first[run]; at < proposal->runs.first[run + 1]; at++) {
            struct live *live = &project->live[at];
            live->compacting = true;
            part->inputs[part->input_count++] =
                (struct version_section){section_ref_take(live->section), project_durable_deletes(project, live)};
        }
    }
    job->rows += pick->rows;
    return STATUS_OK;
}

/* What every project would do next, the most urgent first. */
static enum status propose(struct store *store, bool all, struct proposal **ret_proposals, size_t *ret_count)
{
    struct proposal *proposals = calloc(store->projects.count + 1, sizeof *proposals);
    if (!proposals) return STATUS_LIMIT;
    size_t count = 0;
    int64_t now_ms = os_now_ms();
    struct project *project;
    each_project(store, at, project)
    {
        struct proposal proposal = {.project = project};
        if (project->dropped || !project->flushed_ids || project_runs(project, &proposal.runs) != STATUS_OK) continue;
        if (compact_pick(proposal.runs.runs, proposal.runs.count, now_ms, &store->compact_options, all,
                         &proposal.pick) == STATUS_OK)
            proposals[count++] = proposal;
        else
            project_runs_fini(&proposal.runs);
    }
    qsort(proposals, count, sizeof *proposals, proposal_cmp);
    *ret_proposals = proposals;
    *ret_count = count;
    return STATUS_OK;
}

static void release_inputs(struct store *store, const struct compact_job *job)
{
    for (size_t i = 0; i < job->part_count; i++) {
        struct project *project = store_find_project(store, job->parts[i].project);
        for (size_t k = 0; project && k < job->parts[i].input_count; k++) {
            struct live *live = project_find_live(project, job->parts[i].inputs[k].section);
            if (live) live->compacting = false;
        }
    }
}

/* True when a job was begun. */
static bool begin_merge(struct store *store, bool all)
{
    struct proposal *proposals;
    size_t count;
    if (propose(store, all, &proposals, &count) != STATUS_OK) return false;
    struct compact_job *job = count ? new_job(store) : NULL;
    if (job) job->parts = calloc(PARTS_MAX, sizeof *job->parts);
    if (job) job->threads = threads_of(store, all);
    enum status status = job && job->parts ? STATUS_OK : STATUS_LIMIT;
    for (size_t i = 0; i < count; i++) {
        bool fits = status == STATUS_OK && job->part_count < PARTS_MAX &&
                    (job->part_count == 0 || job->rows + proposals[i].pick.rows <= SMALL_ROWS);
        if (fits) status = add_part(job, &proposals[i]);
        free(proposals[i].pick.runs);
        project_runs_fini(&proposals[i].runs);
    }
    free(proposals);
    if (status != STATUS_OK) {
        if (job) release_inputs(store, job);
        compact_job_free(job);
        return false;
    }
    store->compact_state = COMPACT_WRITING;
    hand_over(store, job);
    return true;
}

/* Sections in which more persons may have moved than at the last look. */
static bool begin_survey(struct store *store, bool all)
{
    struct compact_job *job = new_job(store);
    if (job) job->surveys = calloc(SURVEYS_MAX, sizeof *job->surveys);
    if (!job || !job->surveys) {
        compact_job_free(job);
        return false;
    }
    struct project *project;
    each_project(store, at, project)
    {
        for (size_t i = 0; i < project->live_count && job->survey_count < SURVEYS_MAX && project->flushed_ids; i++) {
            struct live *live = &project->live[i];
            const struct section *section = live->section;
            uint32_t persons = 0;
            if (section_in_ram(section) || live->bad || live->surveyed_links >= project->flushed_links) continue;
            if (section->links_applied >= project->flushed_links) continue;
            for (uint32_t e = 0; e < section->event_count; e++) {
                if (section->events[e].persons > persons) persons = section->events[e].persons;
            }
            /* each link moves one person at most */
            uint64_t links = project->flushed_links - live->surveyed_links;
            if (!all && links * 10000 < (uint64_t)persons * store->compact_options.moved_per_mille) continue;
            job->surveys[job->survey_count++] = (struct compact_survey){.section = section_ref_take(live->section),
                                                                        .ids = id_view_ref(project->flushed_ids),
                                                                        .links = project->flushed_links};
        }
    }
    if (!job->survey_count) {
        compact_job_free(job);
        return false;
    }
    store->compact_state = COMPACT_WRITING;
    hand_over(store, job);
    return true;
}

/* --- the end of a job --- */

static void finish_waiters(struct store *store, enum status status, const struct error *error)
{
    if (store->compact_waiters) store_count_memory(store); /* what they ask next is up to date */
    while (store->compact_waiters) {
        struct waiter *waiter = store->compact_waiters;
        store->compact_waiters = waiter->next;
        if (error) waiter->error = *error;
        store_wake(store, waiter, status);
    }
}

static void mark_bad(struct store *store, const struct compact_job *job)
{
    for (size_t i = 0; i < job->part_count; i++) {
        struct project *project = store_find_project(store, job->parts[i].project);
        struct live *live = project ? project_find_live(project, job->bad) : NULL;
        if (live) live->bad = true;
    }
}

static void job_failed(struct store *store, struct compact_job *job, bool stop)
{
    int64_t delay = RETRY_NS_MIN << (store->compact_failures < 9 ? store->compact_failures : 9);
    release_inputs(store, job);
    store->compact_state = COMPACT_NONE;
    store->compact_dirty = true;
    if (atomic_load(&job->cancel)) return;
    atomic_fetch_add(&store->stat_compaction_failures, 1);
    if (job->bad) { /* once: it is left alone from now on */
        mark_bad(store, job);
        log_failure(LOG_ERROR, "section_cannot_be_compacted", &job->error);
        return;
    }
    store->compact_failures++;
    store->compact_retry_ns = os_monotonic_ns() + (delay < RETRY_NS_MAX ? delay : RETRY_NS_MAX);
    if (!stop) log_failure(LOG_ERROR, "compaction_failed", &job->error);
    finish_waiters(store, job->status, &job->error);
}

static void survey_finished(struct store *store, struct compact_job *job)
{
    struct project *project;
    for (size_t i = 0; i < job->survey_count; i++) {
        const struct compact_survey *survey = &job->surveys[i];
        each_project(store, at, project)
        {
            if (project->id != survey->section->project) continue;
            struct live *live = project_find_live(project, survey->section);
            if (!live) continue;
            live->surveyed_links = survey->links;
            live->moved_per_million =
                survey->persons ? (uint32_t)((uint64_t)survey->moved * 1000000 / survey->persons) : 0;
        }
    }
    store->compact_state = COMPACT_NONE;
    store->compact_dirty = true;
}

static void job_committed(struct store *store, struct compact_job *job)
{
    struct error error = ERROR_INIT;
    for (size_t i = 0; i < job->part_count; i++) {
        struct compact_part *part = &job->parts[i];
        struct project *project = store_find_project(store, part->project);
        enum status status;
        if (project->dropped) { /* meanwhile */
            for (size_t k = 0; k < part->input_count; k++) unbury(store, part->inputs[k].section);
            status = store_bury(store, part->outputs, part->output_count);
        } else {
            for (size_t k = 0; k < part->input_count; k++) {
                deletes_unref(part->inputs[k].deletes);
                part->inputs[k].deletes = deletes_ref(part->now[k]);
            }
            struct project_rewrite rewrite = {.inputs = part->inputs,
                                              .input_count = part->input_count,
                                              .ids = part->ids,
                                              .outputs = part->outputs,
                                              .marked = part->marked,
                                              .output_count = part->output_count,
                                              .lsn = part->marks_lsn,
                                              .ms = job->now_ms};
            status = project_replace(project, &rewrite, &error);
        }
        if (status != STATUS_OK) {
            log_failure(LOG_ERROR, "compaction_result_lost", &error);
            abort(); /* memory and files no longer agree: recovery sets it right */
        }
    }
    store->compact_failures = 0;
    store->compact_state = COMPACT_NONE;
    store->compact_dirty = true;
    atomic_fetch_add(&store->stat_compactions, 1);
}

void store_compact_finished(struct store *store, struct compact_job *job)
{
    atomic_store(&store->compact_running, NULL);
    atomic_fetch_add(&store->stat_bytes_compacted, job->bytes_written);
    job->bytes_written = 0;
    if (job->survey_count) {
        survey_finished(store, job);
    } else if (job->status != STATUS_OK) {
        job_failed(store, job, false);
    } else if (!job->commits) {
        store->compact_job = job;
        store->compact_state = COMPACT_WRITTEN;
        return;
    } else {
        job_committed(store, job);
    }
    compact_job_free(job);
}

/* Whether the inputs are as they must be, and if so, what is deleted in them now. */
static bool freeze_marks(struct store *store, struct compact_job *job)
{
    int64_t now_ms = os_now_ms();
    for (size_t i = 0; i < job->part_count; i++) {
        struct compact_part *part = &job->parts[i];
        struct project *project = store_find_project(store, part->project);
        for (size_t k = 0; k < part->input_count; k++) {
            const struct section *section = part->inputs[k].section;
            struct live *live = project ? project_find_live(project, section) : NULL;
            if (!live || project->dropped || project_owes(project, section)) return false;
            deletes_unref(part->now[k]);
            part->now[k] = project_durable_deletes(project, live);
            part->now_lsn[k] = live->deletes ? live->marked_lsn : store->applied_lsn;
            part->now_ms[k] = live->deletes ? live->marked_ms : now_ms;
        }
    }
    return true;
}

static void discard(struct store *store, struct compact_job *job)
{
    compact_job_discard(job, store->options.fs, &store->manifest);
    release_inputs(store, job);
    compact_job_free(job);
    store->compact_job = NULL;
    store->compact_state = COMPACT_NONE;
    store->compact_dirty = true;
}

void store_compact_step(struct store *store, bool stop)
{
    if (stop) {
        struct compact_job *running = atomic_load(&store->compact_running);
        if (running) atomic_store(&running->cancel, true);
        finish_waiters(store, STATUS_UNAVAILABLE, NULL);
    }
    if (store->compact_state == COMPACT_WRITTEN && !store->flushing) {
        struct compact_job *job = store->compact_job;
        if (stop || !freeze_marks(store, job)) {
            discard(store, job);
            return;
        }
        job->commits = true;
        store->compact_job = NULL;
        store->compact_state = COMPACT_COMMITTING;
        hand_over(store, job);
    }
    bool all = store->compact_waiters != NULL;
    int64_t now = os_monotonic_ns();
    if (stop || store->compact_state != COMPACT_NONE || !store->compact_options.fan_in ||
        atomic_load(&store->recovering) || now < store->compact_retry_ns)
        return;
    if (!all && !store->compact_dirty && now - store->compact_look_ns < LOOK_DELAY_NS) return;
    store->compact_dirty = false;
    store->compact_look_ns = now;
    if (all || now - store->compact_survey_ns > SURVEY_DELAY_NS) {
        store->compact_survey_ns = now;
        if (begin_survey(store, all)) return;
    }
    if (!begin_merge(store, all) && all) finish_waiters(store, STATUS_OK, NULL);
}

enum status store_compact_wait(struct store *store, struct error *error)
{
    TRY(store_flush(store, error));
    struct waiter waiter = {.error = ERROR_INIT};
    struct message *message = store_message_new(MESSAGE_COMPACT);
    message->waiter = &waiter;
    store_post(store, message);
    enum status status = store_wait(store, &waiter);
    if (status != STATUS_OK && error) *error = waiter.error;
    return status;
}
