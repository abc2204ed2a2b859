#include "store/seek.h"

#include "base/map.h"
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

/* Numbers as they are found. Where clusters were split, several have absorbed the same number: that is followed once.
 */
struct found {
    const struct id_view *ids;
    struct arena *arena;
    struct person_number *numbers;
    size_t count, capacity;
    bool repeats;
    struct u64map places; /* by number, where it may come again */
};

static enum status add(struct found *found, uint32_t number, uint32_t links_max)
{
    if (found->repeats) {
        bool added;
        uint64_t *place = u64map_at(&found->places, number, found->count, &added);
        if (!place) return STATUS_LIMIT;
        struct person_number *known = added ? NULL : &found->numbers[*place];
        if (known && known->links_max < links_max) known->links_max = links_max;
        if (known) return STATUS_OK;
    }
    if (found->count == found->capacity) {
        size_t size = found->capacity * sizeof *found->numbers;
        struct person_number *grown = arena_realloc(found->arena, found->numbers, size, size * 2);
        if (!grown) return STATUS_LIMIT;
        found->numbers = grown;
        found->capacity *= 2;
    }
    found->numbers[found->count++] = (struct person_number){number, links_max};
    return STATUS_OK;
}

/* What a number absorbed before it was taken away itself belongs to the same person now, or some of it. */
static enum status follow(struct found *found)
{
    for (size_t i = 0; i < found->count; i++) {
        uint32_t link;
        for (bool any = id_view_absorbed(found->ids, found->numbers[i].number, &link); any;
             any = id_view_absorbed_before(found->ids, &link)) {
            /* A number is taken away once: it is nobody's afterwards. */
            TRY(add(found, id_view_moved(found->ids, link), link));
        }
    }
    return STATUS_OK;
}

enum status snapshot_person_numbers(const struct snapshot *s, const uint32_t *persons, size_t person_count,
                                    struct arena *arena, struct error *error, struct person_number **ret_numbers,
                                    size_t *ret_count)
{
    uint32_t *sorted = arena_new_array(arena, uint32_t, person_count + 1);
    struct found found = {.ids = s->ids,
                          .arena = arena,
                          .capacity = person_count + 16,
                          .repeats = s->ids && id_view_any_mixed(s->ids),
                          .places = U64MAP_INIT((size_t)1 << 31)};
    found.numbers = arena_new_array(arena, struct person_number, found.capacity);
    if (!sorted || !found.numbers) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    if (person_count) memcpy(sorted, persons, person_count * sizeof *sorted);
    qsort(sorted, person_count, sizeof *sorted, by_u32);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < person_count && status == STATUS_OK; i++) {
        if (i == 0 || sorted[i] != sorted[i - 1]) status = add(&found, sorted[i], UINT32_MAX);
    }
    if (status == STATUS_OK && s->ids) status = follow(&found);
    u64map_fini(&found.places);
    if (status != STATUS_OK) return error_set(error, status, "memory budget exceeded");
    if (found.count) qsort(found.numbers, found.count, sizeof *found.numbers, by_number);
    *ret_numbers = found.numbers;
    *ret_count = found.count;
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
