#include "store/seek.h"

#include "store/version.h"

#include <stdlib.h>

#define NUMBERS_ASKED_MAX 1000 /* with more of them, looking into the runs is no dearer */

static int by_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int by_number(const void *a, const void *b)
{
    return by_u32(&((const struct person_number *)a)->number, &((const struct person_number *)b)->number);
}

enum status snapshot_person_numbers(const struct snapshot *s, const uint32_t *persons, size_t person_count,
                                    struct arena *arena, struct error *error, struct person_number **ret_numbers,
                                    size_t *ret_count)
{
    uint32_t *sorted = arena_new_array(arena, uint32_t, person_count + 1);
    size_t count = 0, capacity = person_count + 16;
    struct person_number *numbers = arena_new_array(arena, struct person_number, capacity);
    if (!sorted || !numbers) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    if (person_count) memcpy(sorted, persons, person_count * sizeof *sorted);
    qsort(sorted, person_count, sizeof *sorted, by_u32);
    for (size_t i = 0; i < person_count; i++) {
        if (i == 0 || sorted[i] != sorted[i - 1]) numbers[count++] = (struct person_number){sorted[i], UINT32_MAX};
    }
    /* What a number absorbed before it was taken away itself belongs to the same person now. */
    for (size_t i = 0; i < count && s->ids; i++) {
        uint32_t link;
        for (bool any = id_view_absorbed(s->ids, numbers[i].number, &link); any;
             any = id_view_absorbed_before(s->ids, &link)) {
            if (count == capacity) {
                size_t size = capacity * sizeof *numbers;
                struct person_number *grown = arena_realloc(arena, numbers, size, size * 2);
                if (!grown) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
                numbers = grown;
                capacity *= 2;
            }
            /* A number is taken away once: it is nobody's afterwards. (By a split, on behalf of several.) */
            numbers[count++] = (struct person_number){id_view_moved(s->ids, link), link};
        }
    }
    qsort(numbers, count, sizeof *numbers, by_number);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool again = kept && numbers[kept - 1].number == numbers[i].number; /* two people who were one */
        if (!again)
            numbers[kept++] = numbers[i];
        else if (numbers[kept - 1].links_max < numbers[i].links_max)
            numbers[kept - 1] = numbers[i];
    }
    *ret_numbers = numbers;
    *ret_count = kept;
    return STATUS_OK;
}

bool snapshot_section_has(const struct snapshot *snapshot, const struct scan_run *run,
                          const struct person_number *numbers, size_t number_count)
{
    const struct section *section = snapshot->sections[run->section].section;
    if (number_count > NUMBERS_ASKED_MAX) return true;
    for (size_t i = 0; i < number_count; i++) {
        if (run->links_applied <= numbers[i].links_max && section_has_person(section, numbers[i].number)) return true;
    }
    return false;
}
