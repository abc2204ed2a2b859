/*
 * Making a pile: rows in the order of arrival become columns.
 *
 * What a row consists of lies in the log frame that it came with, so frames are read once, from front to back, and
 * never in the order of sections: that would be a cache miss a row. On the way every row of an event goes to its place
 * among those of the event (its *run*), in the order of arrival, and every property to its column of that run: strings
 * as codes (interner.h), numbers as words. While that goes on, columns grow in the memtable's scratch memory; the pile
 * gets what came of it, in as little as it takes.
 */
#include "store/pile.h"

#include "store/filter.h"
#include "store/pile_int.h"

#include <stdatomic.h>
#include <stdlib.h>

#define PILE_BYTES_MAX ((size_t)4 << 30)

/* --- runs --- */

static enum status find_runs(struct gathering *s)
{
    const struct memtable *mem = s->mem;
    struct pile *pile = s->pile;
    uint32_t last = 0, runs = 0, from = 0;
    for (uint32_t i = 0; i < mem->count; i++) {
        if (mem->rows[i].event > last) last = mem->rows[i].event;
    }
    uint32_t *counts = arena_new_array(s->scratch, uint32_t, (size_t)last + 1);
    s->run_of_event = arena_alloc(s->scratch, ((size_t)last + 1) * sizeof *s->run_of_event);
    s->time_min_ms = INT64_MAX;
    s->time_max_ms = INT64_MIN;
    if (!counts || !s->run_of_event) return STATUS_LIMIT;
    for (uint32_t i = 0; i < mem->count; i++) {
        const struct mem_row *row = &mem->rows[i];
        if (row->dead) continue;
        runs += counts[row->event]++ == 0;
        pile->count++;
        pile->keyed += row->insert_id != NULL;
        if (row->time_ms < s->time_min_ms) s->time_min_ms = row->time_ms;
        if (row->time_ms > s->time_max_ms) s->time_max_ms = row->time_ms;
    }
    s->runs = arena_new_array(s->scratch, struct open_run, (size_t)runs + 1);
    if (!s->runs) return STATUS_LIMIT;
    for (uint32_t event = 0; event <= last; event++) {
        if (!counts[event]) continue;
        s->run_of_event[event] = pile->run_count;
        s->runs[pile->run_count++] = (struct open_run){.event = event, .from = from, .count = counts[event]};
        from += counts[event];
    }
    return STATUS_OK;
}

static enum status take_row(struct gathering *s, uint32_t index)
{
    const struct mem_row *row = &s->mem->rows[index];
    const struct mem_batch *batch = &s->mem->batches[row->batch];
    struct pile *pile = s->pile;
    uint32_t r = s->run_of_event[row->event];
    uint32_t arrived = s->runs[r].arrived++, place = s->runs[r].from + arrived;
    pile->ids[place] = row->id;
    pile->times[place] = row->time_ms;
    if (pile->received) pile->received[place] = batch->received_ms;
    pile->flags[place] = row->flags;
    if (row->insert_id) {
        char *text = pile->inserts ? s->texts : pile->texts + (size_t)place * pile->insert_size;
        memcpy(text, row->insert_id, row->insert_size);
        s->texts += row->insert_size;
        if (pile->inserts) pile->inserts[place] = value_str(str_from(text, row->insert_size));
        pile->keys[place] = row->key;
        filter_add(pile->filter, pile->filter_bytes, row->key);
    } else {
        pile->inserts[place] = value_int((int64_t)row->seq);
        pile->keys[place] = 0;
    }
    return pile_take_properties(s, index, r, arrived);
}

/* One more than the highest property id in the memtable. */
static size_t property_end(const struct memtable *mem)
{
    size_t end = 1;
    for (uint32_t i = 0; i < mem->more_count; i++) {
        if (mem->more[i].property >= end) end = (size_t)mem->more[i].property + 1;
    }
    for (uint32_t b = 0; b < mem->batch_count; b++) {
        for (uint32_t i = 0; i < mem->batches[b].name_count; i++) {
            uint32_t id = mem->batches[b].property_ids[i];
            if (id != UINT32_MAX && id >= end) end = (size_t)id + 1;
        }
    }
    return end;
}

/* How the core of rows is kept: as little as it takes. */
static enum status make_core(struct gathering *s)
{
    const struct memtable *mem = s->mem;
    struct pile *pile = s->pile;
    struct arena *arena = s->arena;
    size_t count = pile->count, text_bytes = 0;
    bool one_size = pile->keyed == count, at_once = true;
    pile->received_ms = INT64_MIN;
    for (uint32_t i = 0; i < mem->count; i++) {
        const struct mem_row *row = &mem->rows[i];
        int64_t received = mem->batches[row->batch].received_ms;
        if (row->dead) continue;
        if (!text_bytes) pile->insert_size = row->insert_size;
        one_size &= row->insert_size == pile->insert_size;
        text_bytes += row->insert_size;
        at_once &= pile->received_ms == INT64_MIN || received == pile->received_ms;
        pile->received_ms = received;
    }
    pile->filter_bytes = filter_bytes(pile->keyed ? pile->keyed : 1);
    pile->filter = arena_calloc(arena, pile->filter_bytes, 1);
    pile->ids = arena_alloc(arena, count * sizeof *pile->ids);
    pile->times = arena_alloc(arena, count * sizeof *pile->times);
    if (!at_once) pile->received = arena_alloc(arena, count * sizeof *pile->received);
    if (!one_size) pile->inserts = arena_alloc(arena, count * sizeof *pile->inserts);
    pile->texts = s->texts = arena_alloc(arena, text_bytes + 1);
    pile->keys = arena_alloc(arena, count * sizeof *pile->keys);
    pile->flags = arena_alloc(arena, count);
    pile->dead = arena_new_array(arena, uint64_t, count / 64 + 1);
    bool memory = pile->filter && pile->ids && pile->times && (pile->received || at_once) &&
                  (pile->inserts || one_size) && pile->texts && pile->keys && pile->flags && pile->dead;
    return memory ? STATUS_OK : STATUS_LIMIT;
}

static enum status take_rows(struct gathering *s)
{
    TRY(make_core(s));
    s->pile->property_end = property_end(s->mem);
    s->interners = arena_new_array(s->scratch, struct interner, s->pile->property_end);
    if (!s->interners) return STATUS_LIMIT;
    for (uint32_t i = 0; i < s->mem->count; i++) {
        if (!s->mem->rows[i].dead) TRY(take_row(s, i));
    }
    return STATUS_OK;
}

static enum status gather(struct gathering *s)
{
    TRY(find_runs(s));
    if (!s->pile->count) return STATUS_OK;
    TRY(take_rows(s));
    TRY(pile_keep_columns(s));
    return pile_keep_values(s);
}

static struct section *section_of(const struct gathering *s, uint64_t project)
{
    struct section *section = calloc(1, sizeof *section);
    if (!section) return NULL;
    atomic_init(&section->refs, 1);
    section->project = project;
    section->rows = s->pile->count;
    section->time_min_ms = s->time_min_ms;
    section->time_max_ms = s->time_max_ms;
    section->bytes = pile_bytes(s->pile);
    section->pile = s->pile;
    return section;
}

enum status memtable_pile(struct memtable *mem, uint64_t project, struct error *error, struct section **ret_section)
{
    struct section *section = NULL;
    struct pile *pile = calloc(1, sizeof *pile);
    if (!pile) return error_set(error, STATUS_LIMIT, "out of memory while sealing");
    if (!mem->scratch) mem->scratch = arena_new(PILE_BYTES_MAX);
    pile->arena = arena_new(PILE_BYTES_MAX);
    struct gathering s = {.mem = mem,
                          .pile = pile,
                          .arena = pile->arena,
                          .scratch = mem->scratch,
                          .column_of = U64MAP_INIT((size_t)1 << 31)};
    enum status status = gather(&s);
    arena_reset(mem->scratch);
    free(s.columns);
    u64map_fini(&s.column_of);
    if (status == STATUS_OK && pile->count) {
        section = section_of(&s, project);
        if (!section) status = STATUS_LIMIT;
    }
    if (!section) pile_free(pile);
    if (status != STATUS_OK) return error_set(error, status, "out of memory while sealing");
    memtable_clear(mem);
    *ret_section = section;
    return STATUS_OK;
}

/* --- reading --- */

void pile_free(struct pile *pile)
{
    if (!pile) return;
    arena_free(pile->arena);
    free(pile);
}

const struct pile_run *pile_find_run(const struct pile *pile, uint32_t event)
{
    uint32_t low = 0, high = pile->run_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (pile->runs[middle].event < event)
            low = middle + 1;
        else
            high = middle;
    }
    return low < pile->run_count && pile->runs[low].event == event ? &pile->runs[low] : NULL;
}

size_t pile_bytes(const struct pile *pile)
{
    return arena_used(pile->arena);
}

/* Groups of about four, by counting. */
static enum status make_index(struct pile *pile)
{
    unsigned bits = 1;
    while (bits < 24 && pile->keyed >> 2 >> bits) bits++;
    uint32_t groups = UINT32_C(1) << bits;
    uint32_t *starts = arena_new_array(pile->arena, uint32_t, (size_t)groups + 1);
    uint32_t *by_key = arena_alloc(pile->arena, ((size_t)pile->keyed + 1) * sizeof *by_key);
    if (!starts || !by_key) return STATUS_LIMIT;
    pile->key_shift = 64 - bits;
    for (uint32_t place = 0; place < pile->count; place++) {
        if (pile_insert(pile, place).type == VALUE_STRING) starts[pile->keys[place] >> pile->key_shift]++;
    }
    for (uint32_t g = 1; g <= groups; g++) starts[g] += starts[g - 1];
    for (uint32_t place = pile->count; place-- > 0;) {
        if (pile_insert(pile, place).type == VALUE_STRING)
            by_key[--starts[pile->keys[place] >> pile->key_shift]] = place;
    }
    pile->by_key = by_key;
    pile->starts = starts;
    return STATUS_OK;
}

/* The filter sends nearly everybody away who looks for nothing, so that most piles never need an index. */
enum status pile_find(struct pile *pile, uint32_t event, uint32_t id, int64_t time_ms, struct str insert_id,
                      uint64_t key, uint32_t *ret_place)
{
    *ret_place = UINT32_MAX;
    if (!filter_has(pile->filter, pile->filter_bytes, key)) return STATUS_OK;
    if (!pile->starts) TRY(make_index(pile));
    const struct pile_run *run = pile_find_run(pile, event);
    uint32_t group = (uint32_t)(key >> pile->key_shift);
    for (uint32_t i = pile->starts[group]; run && i < pile->starts[group + 1]; i++) {
        uint32_t place = pile->by_key[i];
        if (pile->keys[place] != key || pile->ids[place] != id || pile->times[place] != time_ms) continue;
        struct value insert = pile_insert(pile, place);
        if (place - run->from < run->count && str_eq(value_text(insert), insert_id) && !pile_is_dead(pile, place))
            *ret_place = place;
    }
    return STATUS_OK;
}

void pile_kill(struct pile *pile, uint32_t place)
{
    pile->dead_count += !pile_is_dead(pile, place);
    pile->dead[place / 64] |= (uint64_t)1 << place % 64;
}

struct value pile_value(const struct pile *pile, const struct pile_column *column, uint32_t i)
{
    double number;
    if (column->form == PILE_CODES) return pile->values[column->property].entries[pile_code(column, i) - 1];
    memcpy(&number, &column->words[i], 8);
    return column->form == PILE_INTS ? value_int((int64_t)column->words[i]) : value_number(number);
}
