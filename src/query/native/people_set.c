/* A hash set of (cell, person), for ranges of persons whose bits would be mostly zeros. */
#include "base/hash.h"
#include "query/native/people.h"

#include <stdlib.h>

static enum status grow_set(struct worker *worker)
{
    size_t capacity = worker->set_capacity ? worker->set_capacity * 2 : 1024;
    if (capacity * sizeof *worker->set > worker->survey->worker_bytes_max)
        return survey_out_of_memory(worker->survey, &worker->error);
    uint64_t *grown = calloc(capacity, sizeof *grown);
    if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
    for (size_t i = 0; i < worker->set_capacity; i++) {
        if (!worker->set[i]) continue;
        size_t at = hash_u64(worker->set[i], 0) & (capacity - 1);
        while (grown[at]) at = (at + 1) & (capacity - 1);
        grown[at] = worker->set[i];
    }
    free(worker->set);
    worker->set = grown;
    worker->set_capacity = capacity;
    return STATUS_OK;
}

/* `person` is never 0, so an entry never is. */
enum status people_add_to_set(struct worker *worker, uint32_t cell, uint32_t person)
{
    if (worker->set_count * 2 >= worker->set_capacity) TRY(grow_set(worker));
    uint64_t entry = (uint64_t)cell << 32 | person;
    size_t at = hash_u64(entry, 0) & (worker->set_capacity - 1);
    while (worker->set[at] && worker->set[at] != entry) at = (at + 1) & (worker->set_capacity - 1);
    if (worker->set[at]) return STATUS_OK;
    worker->set[at] = entry;
    worker->set_count++;
    worker->users[cell]++;
    return STATUS_OK;
}
