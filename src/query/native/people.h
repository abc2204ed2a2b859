#pragma once
/* What the files that count people (people.c) share. */
#include "query/native/survey.h"

/* The stored number is not its person's any more. */
static inline bool is_moved(const struct survey *survey, uint32_t person)
{
    return survey->moved_bits[person / 64] >> (person % 64) & 1;
}
/* Once they are looked for. Whoever marks people by bits need not care: bits of numbers that are nobody's any more are
 * cleared before they are counted (people_clear_moved). */
static inline bool may_hold_moved(const struct survey *survey, const struct bound *bound)
{
    return survey->moved_bits && bound->holds_moved;
}

/* --- people.c --- */
/* Of `words` words of bits that begin with person `low`, a multiple of 64. */
void people_clear_moved(const struct survey *survey, uint64_t low, uint64_t *bits, size_t words);

/* --- people_moved.c --- */
/* Fills survey->moved_bits, and the runs' holds_moved. */
enum status people_look_for_moved(struct survey *survey) MUST_USE;
/* Fills survey->moved_bits, survey->moved, and the runs' holds_moved. */
enum status people_find_moved(struct survey *survey) MUST_USE;
/* Whose a row of the vector at hand is now that stands under `number`, which is moved. *ids is NULL before the first
 * such row of the vector, and NULL or the ids of its rows afterwards. */
enum status people_owner(struct worker *worker, uint32_t row, uint32_t number, const uint32_t **ids,
                         uint32_t *ret_person) MUST_USE;
/* The place of the first entry of survey->moved whose person is `person` or above. */
size_t people_first_moved(const struct survey *survey, uint64_t person);

/* --- people.c --- */
/* Clears the bits of moved numbers among those of persons from `low` on, which is a multiple of 64. */
void people_clear_moved(const struct survey *survey, uint64_t low, uint64_t *bits, size_t words);

/* --- people_set.c --- */
/* `person` is not 0. */
enum status people_add_to_set(struct worker *worker, uint32_t cell, uint32_t person) MUST_USE;

/* --- people_labels.c --- */
/* Counts all people, with their rows, where there are labels or filters of the usual kinds; *ret_done is false when
 * there are others. After people_find_moved and people_find_shared. */
enum status people_count_labelled(struct survey *survey, bool *ret_done) MUST_USE;
/* Marks the vector's rows in the bits or the set of the range: for worker_cells, after scan_stored_persons. */
enum status people_mark_labelled(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count) MUST_USE;

/* --- people_times.c --- */
/* All rows of the run go to one cell: the list of its persons tells who, and nothing else needs to be read. */
bool people_is_list_enough(const struct survey *survey, const struct bound *bound);
/* Of such a run: the cell; survey->cell_count or more when it does not count. */
uint32_t people_list_cell(const struct survey *survey, const struct bound *bound);
enum status people_visit_list(struct worker *worker, const struct bound *bound, uint64_t low, uint64_t high) MUST_USE;
/* Only time decides where a row of the run goes. */
enum status people_can_mark_times(struct worker *worker, const struct bound *bound, bool *ret_can) MUST_USE;
/* Rows of persons [low, high); opens the run. */
enum status people_mark_times(struct worker *worker, const struct bound *bound, uint64_t low, uint64_t high) MUST_USE;

/* The vectors of a run, and the rows in them, that persons [low, high) have, one after the other. */
struct people_vectors {
    uint64_t low, high;
    bool begun, more;
    uint32_t vector, from, to;
};
/* Goes to the first or next one of the run that the worker has open, and reads worker->persons and worker->rows; from
 * == to: no rows in this one. To be called until `more` is false. CORRUPT when a person lies outside. */
enum status people_next_vector(struct worker *worker, const struct bound *bound,
                               struct people_vectors *vectors) MUST_USE;

/* --- people_shared.c --- */
/* Fills survey->shared, and what follows for the runs. After people_find_moved. */
enum status people_find_shared(struct survey *survey) MUST_USE;
/* Which of the first `rows` rows that narrow_vector has selected are in shared buckets; false when none is. The buckets
 * of the vector are lost. */
bool people_in_shared(struct worker *worker, uint32_t rows, uint64_t *ret_mask);
/* Fills survey->marked; *ret_count is how many there are. After people_find_shared. */
enum status people_find_marked(struct survey *survey, uint32_t *ret_count) MUST_USE;

/* --- people_alone.c --- */
/* Only its time decides whether and where a row of the run counts, and many rows are in buckets that are not shared. */
bool people_can_count_changes(const struct survey *survey, const struct bound *bound);
/* Rows of persons [low, high), of whom those in shared buckets are put into the bits or the set of the range; opens the
 * run. Then people_take_changes adds to worker->users, once all runs are counted. */
enum status people_count_changes(struct worker *worker, const struct bound *bound, uint64_t low,
                                 uint64_t high) MUST_USE;
void people_take_changes(struct worker *worker);
/* The run has no shared bucket and no labels. Rows [from, to) of it, when it is open. */
bool people_is_alone(const struct survey *survey, const struct bound *bound);
enum status people_visit_alone(struct worker *worker, const struct bound *bound, uint32_t from, uint32_t to) MUST_USE;
