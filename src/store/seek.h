#pragma once
/*
 * Where the rows of some people are. Rows are sorted by the number that their person had when they were sorted; links
 * made since then may have given the person another one. So a person's rows lie under its present number, and in older
 * runs also under numbers that links have taken away from members of its cluster.
 */
#include "base/arena.h"
#include "store/store.h"

struct person_number {
    uint32_t number;
    uint32_t links_max; /* only runs whose links_applied is not above it can have rows under this number */
};
/* Under a number that is mixed (snapshot_is_mixed) there are rows of other people, too: scan_persons tells.
 * All numbers of the given persons (snapshot_person), ascending, each once. Takes time by the links of those
 * persons only. In the arena. */
enum status snapshot_person_numbers(const struct snapshot *snapshot, const uint32_t *persons, size_t person_count,
                                    struct arena *arena, struct error *error, struct person_number **ret_numbers,
                                    size_t *ret_count) MUST_USE;
/* False only when the section of a run holds no row of any of these numbers; it may read the section's set of persons.
 */
struct scan_run;
bool snapshot_section_has(const struct snapshot *snapshot, const struct scan_run *run,
                          const struct person_number *numbers, size_t number_count);
