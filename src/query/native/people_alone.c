/*
 * A run of which the persons have rows nowhere else in its buckets, with nothing moved and no labels, needs no bits:
 * rows of a person are adjacent and ascend in time, so a person is new in a bucket exactly where the person or the
 * bucket changes.
 *
 * Whether they have is known of runs as a whole. A bucket is `shared` when runs of which the persons overlap, from the
 * first to the last of each, have rows in it. A large window has several sections, which are parts of one sorted order
 * (merge.h): their persons follow each other, so the parts of an event do not share anything, unless a person has more
 * rows than a part. Rows of persons who were merged into others since may be anybody's: their buckets are shared, too.
 */
#include "query/native/kernels.h"
#include "query/native/people.h"

#include <stdlib.h>

#define PLAIN_CELLS_MAX 16384

static enum status count_changes(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count)
{
    uint32_t none = worker->survey->cell_count, last = worker->last_cell;
    const uint8_t *starts = worker->starts + from;
    uint64_t *users = worker->users, *counts = worker->counts;
    (void)rows; /* there are no labels, so each row stands for itself */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t cell = cells[i];
        last = starts[i] ? none : last;
        users[cell] += (cell != last) & (cell != none);
        last = cell == none ? last : cell;
    }
    if (worker->survey->count_rows_too)
        for (uint32_t i = 0; i < count; i++) counts[cells[i]]++;
    worker->last_cell = last;
    worker->visited = true;
    return STATUS_OK;
}

/* Every row counts but for its time, and how many rows a cell has does not matter. */
static bool is_plain(const struct worker *worker, const struct bound *bound)
{
    const struct survey *survey = worker->survey;
    return survey->term_count == 0 && bound->run.deleted == 0 && !bound->one_bucket && worker->minutes_count &&
           !survey->count_rows_too && survey->cell_count <= PLAIN_CELLS_MAX;
}

/* The rows in buckets that other runs have, too; cell i is that of row from + i. */
static enum status add_shared(struct worker *worker, const uint16_t *cells, uint32_t from, uint32_t count)
{
    const uint8_t *shared = worker->survey->shared; /* the entry behind the last is 0 */
    const uint32_t *persons;
    uint32_t any = 0;
    for (uint32_t i = 0; i < count; i++) any |= shared[cells[i]];
    if (!any) return STATUS_OK;
    TRY(scan_stored_persons(worker->scan, &worker->error, &persons));
    for (uint32_t i = 0; i < count; i++) {
        if (shared[cells[i]]) TRY(people_add_to_set(worker, cells[i], persons[from + i]));
    }
    return STATUS_OK;
}

static enum status visit_plain(struct worker *worker, uint32_t from, uint32_t to)
{
    const struct kernels *kernels = CPU_SELECT(kernels);
    bool alone = worker->open->alone;
    uint32_t stride = worker->survey->cell_count + 1;
    uint32_t first = (uint32_t)worker->minutes_from, minute_count = (uint32_t)worker->minutes_count;
    uint16_t cells[VECTOR_ROWS_MAX], none = (uint16_t)(stride - 1), last = none;
    uint32_t *tables = calloc((size_t)stride * CHANGE_TABLES, sizeof *tables);
    enum status status = tables ? STATUS_OK : survey_out_of_memory(worker->survey, &worker->error);
    for (uint32_t v = from / VECTOR_ROWS_MAX; from < to && status == STATUS_OK; v++) {
        const uint32_t *minutes;
        const uint8_t *starts;
        uint32_t start = v * VECTOR_ROWS_MAX, high = 0;
        uint32_t end = to - start < VECTOR_ROWS_MAX ? to : start + VECTOR_ROWS_MAX;
        if (v % 16 == 0) status = survey_interrupted(worker->survey, &worker->error);
        if (status == STATUS_OK) status = scan_vector(worker->scan, v, &worker->error, &worker->rows);
        if (status == STATUS_OK) status = scan_starts(worker->scan, &worker->error, &starts);
        if (status == STATUS_OK) status = scan_minutes(worker->scan, &worker->error, &minutes);
        if (status != STATUS_OK) break;
        uint32_t low = from - start, rows = end - from;
        for (uint32_t i = low; i < low + rows; i++) high = minutes[i] - first > high ? minutes[i] - first : high;
        if (high >= minute_count) {
            status = error_set(&worker->error, STATUS_CORRUPT, "a time lies outside its section");
            break;
        }
        kernels->cells_of_minutes(minutes + low, rows, first, worker->minute_buckets, none, cells);
        kernels->count_changes(cells, starts + low, rows, last, tables, stride);
        if (!alone) status = add_shared(worker, cells, low, rows);
        last = cells[rows - 1];
        from = end;
    }
    for (size_t i = 0; tables && i < (size_t)stride * CHANGE_TABLES; i++) {
        uint32_t cell = (uint32_t)(i % stride);
        if (cell < worker->survey->cell_count && worker->survey->shared[cell]) continue; /* by the set */
        worker->users[cell] += tables[i];
    }
    free(tables);
    return status;
}

/* Rows of nobody stand first and are no people. */
enum status people_visit_alone(struct worker *worker, const struct bound *bound, uint32_t from, uint32_t to)
{
    const uint32_t *persons;
    TRY(scan_owners(worker->scan, 0, &worker->error, &persons));
    if (from == 0 && persons[0] == 0) {
        uint32_t nobody = bound->run.rows;
        if (bound->run.persons > 1) TRY(scan_seek_person(worker->scan, 1, &worker->error, &nobody));
        if (nobody > to) nobody = to;
        if (!worker->survey->count_rows_too) from = nobody;
        for (uint32_t v = 0; from < nobody; v++) {
            uint32_t start = v * VECTOR_ROWS_MAX,
                     end = start + VECTOR_ROWS_MAX < nobody ? start + VECTOR_ROWS_MAX : nobody;
            TRY(worker_cells(worker, v, from - start, end - start, worker_count));
            from = end;
        }
    }
    if (from < to && is_plain(worker, bound)) return visit_plain(worker, from, to);
    worker->last_cell = worker->survey->cell_count;
    for (uint32_t v = from / VECTOR_ROWS_MAX; from < to; v++) {
        uint32_t start = v * VECTOR_ROWS_MAX, end = start + VECTOR_ROWS_MAX < to ? start + VECTOR_ROWS_MAX : to;
        if (v % 16 == 0) TRY(survey_interrupted(worker->survey, &worker->error));
        TRY(scan_vector(worker->scan, v, &worker->error, &worker->rows));
        TRY(scan_starts(worker->scan, &worker->error, &worker->starts));
        /* worker_cells calls nothing when no row of the vector counts; then the person may have changed unseen */
        bool any_start = memchr(worker->starts + (from - start), 1, end - from) != NULL;
        uint32_t before = worker->last_cell;
        worker->visited = false;
        TRY(worker_cells(worker, v, from - start, end - start, count_changes));
        if (!worker->visited) worker->last_cell = any_start ? worker->survey->cell_count : before;
        from = end;
    }
    return STATUS_OK;
}

bool people_can_count_changes(const struct survey *survey, const struct worker *worker, const struct bound *bound)
{
    if (!bound->ascends || survey->on || may_hold_moved(survey, bound)) return false;
    return bound->alone || (survey->use_set && is_plain(worker, bound));
}

/* --- whose buckets are whose --- */

/* What is known of a bucket. Runs are numbered from 1; 0: none. */
struct holder {
    uint32_t run;    /* the last one that came by */
    uint32_t person; /* the last one of all runs that came by */
    bool several;
};

/* A run, and the persons that rows of it may belong to; none when first is above last. */
struct people_of_run {
    uint32_t run, first, last;
};

static int by_first_person(const void *a, const void *b)
{
    const struct people_of_run *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

/* Calls for each bucket of the run; `at` counts in survey->edges. */
#define EACH_BUCKET(survey, bound, bucket, statement)                                                                  \
    for (size_t at_ = (bound)->first_edge;; at_++) {                                                                   \
        uint32_t bucket = at_ == SIZE_MAX ? BUCKET_NONE : (survey)->edges[at_].bucket;                                 \
        if (bucket != BUCKET_NONE) statement;                                                                          \
        if (at_ == (bound)->last_edge) break;                                                                          \
    }

/* Runs of one section are those of several events: what one person did lies in all of them. */
static void find_several(struct survey *survey, struct holder *holders)
{
    for (size_t i = 0; i < survey->run_count; i++) {
        struct bound *bound = &survey->runs[i];
        uint32_t before = 0, run = (uint32_t)i + 1;
        if (bound->never) continue;
        bound->ascends = true;
        EACH_BUCKET(survey, bound, bucket, {
            struct holder *holder = &holders[bucket];
            if (holder->run && holder->run != run) {
                holder->several = true;
                survey->shared[bucket] |= survey->runs[holder->run - 1].run.section == bound->run.section;
            }
            holder->run = run;
            bound->ascends &= bucket >= before; /* clocks set back: minutes return */
            before = bucket;
        })
    }
}

static bool is_open_question(const struct survey *survey, const struct bound *bound, const struct holder *holders)
{
    EACH_BUCKET(survey, bound, bucket, {
        if (holders[bucket].several && !survey->shared[bucket]) return true;
    })
    return false;
}

/* The rows of nobody do not matter. */
static enum status read_ends(struct survey *survey, uint32_t run, struct people_of_run *ret)
{
    struct worker *worker = &survey->workers[0];
    const struct scan_run *scan = &survey->runs[run].run;
    const uint32_t *persons;
    uint32_t last = scan->persons - 1;
    *ret = (struct people_of_run){.run = run, .first = 1};
    worker->open = NULL; /* scan_open, not worker_open: no tables are needed */
    TRY(survey_interrupted(survey, &worker->error));
    TRY(scan_open(worker->scan, scan, &worker->error));
    TRY(scan_owners(worker->scan, 0, &worker->error, &persons));
    if (persons[0]) ret->first = persons[0];
    if (persons[0] == 0 && scan->persons > 1) ret->first = persons[1];
    TRY(scan_owners(worker->scan, last / VECTOR_ROWS_MAX, &worker->error, &persons));
    ret->last = persons[last % VECTOR_ROWS_MAX];
    return STATUS_OK;
}

/* Which buckets have runs of which the persons overlap, as far as that is not known. */
static enum status find_overlaps(struct survey *survey, struct holder *holders)
{
    struct people_of_run *people = arena_new_array(survey->arena, struct people_of_run, survey->run_count + 1);
    size_t count = 0;
    if (!people) return survey_out_of_memory(survey, survey->error);
    for (size_t i = 0; i < survey->run_count; i++) {
        const struct bound *bound = &survey->runs[i];
        if (bound->never || !is_open_question(survey, bound, holders)) continue;
        TRY(read_ends(survey, (uint32_t)i, &people[count]));
        count += people[count].first <= people[count].last;
    }
    qsort(people, count, sizeof *people, by_first_person);
    for (uint32_t b = 0; b < survey->bucket_count; b++) holders[b].run = 0;
    for (size_t i = 0; i < count; i++) {
        const struct bound *bound = &survey->runs[people[i].run];
        uint32_t run = people[i].run + 1;
        EACH_BUCKET(survey, bound, bucket, {
            struct holder *holder = &holders[bucket];
            if (holder->run && holder->run != run) survey->shared[bucket] |= people[i].first <= holder->person;
            if (!holder->run || people[i].last > holder->person) holder->person = people[i].last;
            holder->run = run;
        })
    }
    return STATUS_OK;
}

enum status people_find_alone(struct survey *survey)
{
    struct holder *holders = arena_new_array(survey->arena, struct holder, (size_t)survey->bucket_count + 1);
    survey->shared = arena_new_array(survey->arena, uint8_t, (size_t)survey->bucket_count + 1);
    if (!holders || !survey->shared) return survey_out_of_memory(survey, survey->error);
    for (size_t i = 0; i < survey->moved_count; i++)
        survey->shared[(uint32_t)survey->moved[i] % survey->bucket_count] = 1;
    find_several(survey, holders);
    TRY(find_overlaps(survey, holders));
    for (size_t i = 0; i < survey->run_count; i++) {
        struct bound *bound = &survey->runs[i];
        if (bound->never) continue;
        bound->alone = bound->ascends;
        EACH_BUCKET(survey, bound, bucket, bound->alone &= !survey->shared[bucket])
    }
    return STATUS_OK;
}
