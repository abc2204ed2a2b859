/* Marking people of rows that have labels: a row may be in several cells. */
#include "query/native/people.h"

enum status people_mark_labelled(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                 uint32_t count)
{
    const struct survey *survey = worker->survey;
    const uint32_t *persons = worker->persons;
    uint32_t base = worker->person_base, none = survey->cell_count;
    bool moved = may_hold_moved(survey, worker->open);
    if (survey->count_rows_too) {
        for (uint32_t i = 0; i < count; i++) worker->counts[cells[i]]++;
    }
    if (survey->use_set || moved) {
        uint32_t last_cell = UINT32_MAX, last_person = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t cell = cells[i], person = persons[rows ? rows[i] : from + i];
            if (cell >= none || person == 0 || (cell == last_cell && person == last_person)) continue;
            last_cell = cell;
            last_person = person;
            if (moved && is_moved(survey, person)) continue;
            if (survey->use_set)
                TRY(people_add_to_set(worker, cell, person));
            else
                worker->bits[cell * worker->words + (person - base) / 64] |= (uint64_t)1 << ((person - base) % 64);
        }
        return STATUS_OK;
    }
    uint64_t *bits = worker->bits;
    size_t words = worker->words;
    if (rows) {
        for (uint32_t i = 0; i < count; i++) {
            uint32_t person = persons[rows[i]] - base;
            bits[cells[i] * words + person / 64] |= (uint64_t)1 << (person % 64);
        }
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t person = persons[from + i] - base;
        bits[cells[i] * words + person / 64] |= (uint64_t)1 << (person % 64);
    }
    return STATUS_OK;
}
