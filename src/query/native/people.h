#pragma once
/* What the files that count people (people.c) share. */
#include "query/native/survey.h"

/* The stored number is not its person's any more. */
static inline bool is_moved(const struct survey *survey, uint32_t person)
{
    return survey->moved_bits[person / 64] >> (person % 64) & 1;
}
/* Once they are looked for. */
static inline bool may_hold_moved(const struct survey *survey, const struct bound *bound)
{
    return survey->moved_bits && bound->holds_moved;
}

/* --- people_moved.c --- */
/* Fills survey->moved_bits, survey->moved, and the runs' holds_moved. */
enum status people_find_moved(struct survey *survey) MUST_USE;
/* The place of the first entry of survey->moved whose person is `person` or above. */
size_t people_first_moved(const struct survey *survey, uint64_t person);

/* --- people_set.c --- */
/* `person` is not 0. */
enum status people_add_to_set(struct worker *worker, uint32_t cell, uint32_t person) MUST_USE;

/* --- people_labels.c --- */
/* Counts all people, with their rows, where there are labels or filters of the usual kinds; *ret_done is false when
 * there are others. After people_find_moved and people_find_alone. */
enum status people_count_labelled(struct survey *survey, bool *ret_done) MUST_USE;
/* Marks the vector's rows in the bits or the set of the range: for worker_cells, after scan_stored_persons. */
enum status people_mark_labelled(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count) MUST_USE;

/* --- people_times.c --- */
/* All rows of the run go to one cell: the list of its persons tells who, and nothing else needs to be read. */
bool people_is_list_enough(const struct survey *survey, const struct bound *bound);
enum status people_visit_list(struct worker *worker, const struct bound *bound, uint64_t low, uint64_t high) MUST_USE;
/* Only time decides where a row of the run goes. */
enum status people_can_mark_times(struct worker *worker, const struct bound *bound, bool *ret_can) MUST_USE;
/* Rows of persons [low, high); opens the run. */
enum status people_mark_times(struct worker *worker, const struct bound *bound, uint64_t low, uint64_t high) MUST_USE;

/* --- people_alone.c --- */
/* Fills survey->shared, and the runs' `ascends` and `alone`. After people_find_moved. */
enum status people_find_alone(struct survey *survey) MUST_USE;
bool people_can_count_changes(const struct survey *survey, const struct worker *worker, const struct bound *bound);
/* Rows [from, to) of the open run, which people_can_count_changes allows. */
enum status people_visit_alone(struct worker *worker, const struct bound *bound, uint32_t from, uint32_t to) MUST_USE;
