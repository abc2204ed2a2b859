/*
 * Returns as bits. Where only its time decides about a row, as it mostly is, minutes are read and no milliseconds: the
 * interval of a row is (its minute - the minute of the birth) / (minutes of an interval), whatever the milliseconds
 * are, unless the division leaves no rest. Then they decide whether it is that interval or the one before; for the
 * minute of the birth, whether it is a return at all. Such rows are put aside. Most of them never have to be looked at
 * again, because by the end both bits that they could set are set.
 */
#include "query/native/retention.h"

#include <stdlib.h>

#define MINUTE_MS 60000
#define LATE_MAX  65536

/* --- rows put aside --- */

static bool has(const struct retaining *r, const struct retainer *retainer, uint32_t place, uint32_t interval)
{
    return retainer->marks[(size_t)place * r->words + interval / 64] >> (interval % 64) & 1;
}

static void mark(const struct retaining *r, struct retainer *retainer, uint64_t place, uint64_t interval)
{
    retainer->marks[place * r->words + interval / 64] |= (uint64_t)1 << (interval % 64);
}

/* Whether the row could still set a bit. */
static bool matters(const struct retaining *r, const struct retainer *retainer, const struct late_row *late)
{
    bool before = late->interval && !has(r, retainer, late->place, late->interval - 1);
    return before || (late->interval < r->intervals && !has(r, retainer, late->place, late->interval));
}

static enum status settle_picked(struct retaining *r, unsigned slot, const struct late_row *const *picked,
                                 const uint32_t *rows, uint32_t count)
{
    struct retainer *retainer = &r->retainers[slot];
    struct error *error = &r->returns.workers[slot].error;
    int64_t times[SCAN_PICKS_MAX];
    TRY(scan_pick(retainer->late_scan, rows, count, error));
    TRY(scan_pick_times(retainer->late_scan, error, times));
    for (uint32_t i = 0; i < count; i++) {
        int64_t since_ms = times[i] - retainer->births[picked[i]->place];
        if (since_ms < 0) continue;
        uint64_t interval = (uint64_t)since_ms / (uint64_t)r->interval_ms;
        if (interval < r->intervals) mark(r, retainer, picked[i]->place, interval);
    }
    return STATUS_OK;
}

/* They lie in the order of runs and rows. */
static enum status settle_late(struct retaining *r, unsigned slot)
{
    struct retainer *retainer = &r->retainers[slot];
    struct error *error = &r->returns.workers[slot].error;
    const struct late_row *picked[SCAN_PICKS_MAX];
    uint32_t rows[SCAN_PICKS_MAX], count = 0, run = UINT32_MAX, vector = UINT32_MAX, vector_rows;
    size_t late_count = retainer->late_count;
    retainer->late_count = 0;
    for (size_t i = 0; i < late_count; i++) {
        const struct late_row *late = &retainer->late[i];
        if (!matters(r, retainer, late)) continue;
        bool elsewhere = late->run != run || late->row / VECTOR_ROWS_MAX != vector;
        if (count && (elsewhere || count == SCAN_PICKS_MAX)) {
            TRY(settle_picked(r, slot, picked, rows, count));
            count = 0;
            if (!matters(r, retainer, late)) continue;
        }
        if (late->run != run) {
            struct scan_options options = {.memory_bytes_max = r->returns.worker_bytes_max / 4};
            if (!retainer->late_scan) TRY(scan_new(r->snapshot, &options, error, &retainer->late_scan));
            TRY(scan_open(retainer->late_scan, &r->returns.runs[late->run].run, error));
            run = late->run;
        }
        if (elsewhere) {
            vector = late->row / VECTOR_ROWS_MAX;
            TRY(scan_vector(retainer->late_scan, vector, error, &vector_rows));
        }
        picked[count] = late;
        rows[count++] = late->row % VECTOR_ROWS_MAX;
    }
    return count ? settle_picked(r, slot, picked, rows, count) : STATUS_OK;
}

/* --- by minutes --- */

/* Only times decide which rows of the run are returns of whom. */
static bool is_plain(const struct retaining *r, size_t run)
{
    const struct bound *bound = &r->returns.runs[run];
    if (!r->by_minutes || r->born_runs[run] || bound->run.deleted || may_hold_moved(&r->returns, bound)) return false;
    for (size_t t = 0; t < r->returns.term_count; t++) {
        if (bound->terms[t].form != TERM_ALWAYS) return false;
    }
    return true;
}

static enum status mark_plain(struct retaining *r, unsigned slot, uint32_t run)
{
    struct worker *worker = &r->returns.workers[slot];
    struct retainer *retainer = &r->retainers[slot];
    const struct bound *bound = &r->returns.runs[run];
    struct people_vectors vectors = {.low = retainer->low, .high = retainer->high};
    const struct cohort_kernels *kernels = CPU_SELECT(cohort_kernels);
    struct interval_minutes m = {.interval = (uint32_t)(r->interval_ms / MINUTE_MS)};
    m.span = m.interval * r->intervals;
    if ((uint64_t)m.span * m.interval < (uint64_t)1 << (INVERSE_SHIFT - 1))
        m.inverse = ((uint64_t)1 << INVERSE_SHIFT) / m.interval + 1;
    m.offset = (uint32_t)((bound->run.window_ms - r->base_ms) / MINUTE_MS);
    if (!retainer->late) retainer->late = malloc((LATE_MAX + VECTOR_ROWS_MAX + 1) * sizeof *retainer->late);
    if (!retainer->late) return survey_out_of_memory(&r->returns, &worker->error);
    TRY(worker_open_run(worker, bound));
    uint32_t low = (uint32_t)retainer->low, since[VECTOR_ROWS_MAX];
    uint16_t rows[VECTOR_ROWS_MAX];
    while (vectors.more || !vectors.begun) {
        const uint32_t *minutes, *persons;
        TRY(people_next_vector(worker, bound, &vectors));
        if (vectors.from >= vectors.to) continue;
        TRY(scan_minutes(worker->scan, &worker->error, &minutes));
        persons = worker->persons + vectors.from;
        uint32_t count = kernels->find_returns(&m, minutes + vectors.from, persons, vectors.to - vectors.from, low,
                                               retainer->minutes, rows, since);
        uint32_t first = vectors.vector * VECTOR_ROWS_MAX + vectors.from;
        retainer->late_count += kernels->mark_returns(&m, rows, since, count, persons, low, r->words, retainer->marks,
                                                      run, first, retainer->late + retainer->late_count);
        if (retainer->late_count >= LATE_MAX) TRY(settle_late(r, slot));
    }
    return STATUS_OK;
}

/* --- by milliseconds --- */

static void mark_time(const struct retaining *r, struct retainer *retainer, uint64_t place, int64_t time_ms, bool born)
{
    int64_t birth = retainer->births[place];
    if (birth == BIRTH_NONE || time_ms < birth || (time_ms == birth && born)) return;
    uint64_t interval = (uint64_t)(time_ms - birth) / (uint64_t)r->interval_ms;
    if (interval < r->intervals) mark(r, retainer, place, interval);
}

static enum status mark_times(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                              uint32_t count)
{
    struct retaining *r = retaining_of(worker, false);
    struct retainer *retainer = retainer_of(r, worker);
    bool moved = may_hold_moved(worker->survey, worker->open);
    const int64_t *times;
    TRY(scan_times(worker->scan, &worker->error, &times));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows ? rows[i] : from + i, person = worker->persons[row];
        if (cells[i] >= worker->survey->cell_count || !person) continue;
        if (moved && is_moved(worker->survey, person)) continue;
        mark_time(r, retainer, person - retainer->low, times[row], retainer_is_born(retainer, row));
    }
    return STATUS_OK;
}

enum status retention_mark(struct retaining *r, unsigned slot)
{
    struct worker *worker = &r->returns.workers[slot];
    struct retainer *retainer = &r->retainers[slot];
    for (uint32_t i = 0; i < r->returns.run_count; i++) {
        const struct bound *bound = &r->returns.runs[i];
        struct people_vectors vectors = {.low = retainer->low, .high = retainer->high};
        if (bound->never) continue;
        if (is_plain(r, i)) {
            TRY(mark_plain(r, slot, i));
            continue;
        }
        retainer->born_run = r->born_runs[i];
        TRY(worker_open(worker, bound));
        while (vectors.more || !vectors.begun) {
            TRY(people_next_vector(worker, bound, &vectors));
            if (vectors.from >= vectors.to) continue;
            TRY(retention_born_rows(r, slot, vectors.vector, vectors.from, vectors.to));
            TRY(worker_cells(worker, vectors.vector, vectors.from, vectors.to, mark_times));
        }
    }
    TRY(settle_late(r, slot));
    for (size_t i = moved_rows_from(&r->moved_returns, retainer->low); i < r->moved_returns.count; i++) {
        const struct moved_row *row = &r->moved_returns.rows[i];
        if (row->person >= retainer->high) break;
        mark_time(r, retainer, row->person - retainer->low, row->time_ms, row->born);
    }
    return STATUS_OK;
}
