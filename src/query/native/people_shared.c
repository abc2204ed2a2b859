/*
 * Which buckets are shared: a person may have rows of several runs in them.
 *
 * That is known of runs as a whole: they share a bucket when both have rows in it and their persons overlap, from the
 * first to the last of each. A large window has several sections, which are parts of one sorted order (merge.h): their
 * persons follow each other, so the parts of an event do not share anything, unless a person has more rows than a part.
 * Rows of persons who were merged into others since may be anybody's: their buckets are shared, too.
 */
#include "query/native/narrow.h"
#include "query/native/people.h"

#include <stdlib.h>

/* What is known of a bucket. Runs are numbered from 1; 0: none. */
struct holder {
    uint32_t run;    /* the last one that came by */
    uint32_t person; /* the last one of that run */
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

/* Does it for each bucket of the run, and more than once where clocks are set back. */
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
            holder->person = people[i].last; /* the greatest, unless the bucket is shared already */
            holder->run = run;
        })
    }
    return STATUS_OK;
}

static bool is_plain(const struct survey *survey, const struct bound *bound)
{
    return survey->term_count == 0 && !survey->on && !survey->count_rows_too && bound->run.deleted == 0 &&
           !bound->one_bucket && !may_hold_moved(survey, bound) && narrow_fits(survey, bound, NARROW_CELLS);
}

enum status people_find_shared(struct survey *survey)
{
    struct holder *holders = arena_new_array(survey->arena, struct holder, (size_t)survey->bucket_count + 1);
    survey->shared = arena_new_array(survey->arena, uint8_t, (size_t)survey->bucket_count + 1);
    survey->unshared = arena_new_array(survey->arena, uint16_t, (size_t)survey->bucket_count + 1 + LOOKUP_PAD);
    if (!holders || !survey->shared || !survey->unshared) return survey_out_of_memory(survey, survey->error);
    for (size_t i = 0; i < survey->moved_count; i++)
        survey->shared[(uint32_t)survey->moved[i] % survey->bucket_count] = 1;
    find_several(survey, holders);
    TRY(find_overlaps(survey, holders));
    for (uint32_t b = 0; b <= survey->bucket_count; b++) survey->unshared[b] = !survey->shared[b];
    for (size_t i = 0; i < survey->run_count; i++) {
        struct bound *bound = &survey->runs[i];
        if (bound->never) continue;
        uint32_t shared = 0, buckets = 0;
        EACH_BUCKET(survey, bound, bucket, {
            shared += survey->shared[bucket];
            buckets++;
        })
        bound->alone = bound->ascends && shared == 0;
        bound->mostly_shared = shared * 2 > buckets;
        bound->plain = is_plain(survey, bound);
    }
    return STATUS_OK;
}

enum status people_find_marked(struct survey *survey, uint32_t *ret_count)
{
    *ret_count = 0;
    survey->marked = arena_new_array(survey->arena, uint8_t, (size_t)survey->bucket_count + 1);
    if (!survey->marked) return survey_out_of_memory(survey, survey->error);
    for (uint32_t b = 0; b < survey->bucket_count; b++) survey->marked[b] = survey->on || survey->shared[b];
    for (size_t i = 0; i < survey->run_count && !survey->on; i++) {
        const struct bound *bound = &survey->runs[i];
        if (bound->never) continue;
        if (people_can_count_changes(survey, bound)) continue;
        EACH_BUCKET(survey, bound, bucket, survey->marked[bucket] = 1)
    }
    for (uint32_t b = 0; b < survey->bucket_count; b++) *ret_count += survey->marked[b];
    return STATUS_OK;
}

bool people_in_shared(struct worker *worker, uint32_t rows, uint64_t *ret_mask)
{
    const struct survey *survey = worker->survey;
    const struct bound *bound = worker->open;
    struct narrow *narrow = worker->narrow;
    uint64_t any = 0;
    memcpy(ret_mask, narrow->mask, sizeof narrow->mask);
    if (bound->one_bucket) return survey->shared[bound->bucket];
    narrow->kernels->hide(narrow->mask, rows, (uint16_t)survey->bucket_count, narrow->buckets);
    narrow->kernels->lookup(narrow->buckets, rows, survey->unshared, survey->bucket_count + 1, narrow->buckets);
    narrow->kernels->below(narrow->buckets, rows, 1, ret_mask);
    for (uint32_t w = 0; w < MASK_WORDS; w++) any |= ret_mask[w];
    return any;
}
