/*
 * Piles as the inputs of a merge: one becomes an image, some become the sections of a file. Their rows lie in the order
 * of arrival, so those of an event are sorted by person, all inputs together, and with that every column is put into
 * its final order at once. Rows are numbered through the inputs, in each by arrival: between equal times that is the
 * order in which they stay.
 *
 * Codes of different piles mean different values: the entries of a property are brought together once in a merge, for
 * all events.
 */
#include "store/merge_pile.h"

#include "base/civil.h"
#include "base/radix.h"

#include <assert.h>
#include <stdlib.h>

#define EXACT_INT_MAX ((int64_t)1 << 53)

/* What a property's codes mean. */
struct meaning {
    bool made, loose;           /* loose: values do not repeat, or are too many; the others are not set */
    const struct value *values; /* ascending */
    uint32_t count;
    uint32_t **ranks; /* by input and code: place in values[], from 1 */
};

struct merge_piles {
    struct arena *arena; /* of the whole merge */
    const struct pile **piles;
    struct meaning **meanings; /* by property */
    size_t property_end;
    /* of the event */
    const struct pile_run **runs; /* by input; NULL: no rows */
    uint32_t *bases;              /* number of the input's first row */
    uint32_t rows;
    uint32_t *places, *persons; /* by number; by place */
};

static enum status no_memory(const struct merge *m)
{
    return merge_no_memory(m->error);
}

enum status merge_piles_begin(struct merge *m)
{
    size_t count = m->job->input_count;
    struct arena *arena = arena_new(m->job->memory_bytes_max);
    struct merge_piles *p = arena_new_array(arena, struct merge_piles, 1);
    if (!p) {
        arena_free(arena);
        return no_memory(m);
    }
    p->arena = arena;
    m->piles = p;
    p->piles = arena_new_array(arena, const struct pile *, count + 1);
    p->runs = arena_new_array(arena, const struct pile_run *, count + 1);
    p->bases = arena_new_array(arena, uint32_t, count + 1);
    if (!p->piles || !p->runs || !p->bases) return no_memory(m);
    for (size_t i = 0; i < count; i++) {
        p->piles[i] = m->job->inputs[i].section->pile;
        assert(p->piles[i]);
        if (p->piles[i]->property_end > p->property_end) p->property_end = p->piles[i]->property_end;
    }
    p->meanings = arena_new_array(arena, struct meaning *, p->property_end + 1);
    return p->meanings ? STATUS_OK : no_memory(m);
}

void merge_piles_end(struct merge *m)
{
    if (m->piles) arena_free(m->piles->arena);
}

static int u32_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static size_t unique(uint32_t *list, size_t count)
{
    size_t distinct = 0;
    qsort(list, count, sizeof *list, u32_cmp);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || list[i] != list[distinct - 1]) list[distinct++] = list[i];
    }
    return distinct;
}

enum status merge_pile_events(const struct merge *m, uint32_t **ret_events, size_t *ret_count)
{
    size_t total = 0, count = 0;
    for (size_t i = 0; i < m->job->input_count; i++) total += m->piles->piles[i]->run_count;
    uint32_t *events = malloc((total ? total : 1) * sizeof *events);
    if (!events) return no_memory(m);
    for (size_t i = 0; i < m->job->input_count; i++) {
        const struct pile *pile = m->piles->piles[i];
        for (uint32_t r = 0; r < pile->run_count; r++) events[count++] = pile->runs[r].event;
    }
    *ret_events = events;
    *ret_count = unique(events, count);
    return STATUS_OK;
}

enum status merge_pile_times(const struct merge *m, size_t input, enum status (*each)(void *context, int64_t time_ms),
                             void *context)
{
    const struct pile *pile = m->piles->piles[input];
    for (uint32_t i = 0; i < pile->count; i++) TRY(each(context, pile->times[i]));
    return STATUS_OK;
}

uint64_t merge_pile_keys(const struct merge *m)
{
    uint64_t keys = 0;
    for (size_t i = 0; i < m->job->input_count; i++) keys += m->piles->piles[i]->keyed;
    return keys;
}

/* --- order --- */

struct sorting {
    struct merge *m;
    int64_t *times; /* by number */
    struct radix_item *items;
    uint32_t count;
};

static int time_cmp(const void *a, const void *b, void *arg)
{
    const struct sorting *s = arg;
    uint32_t x = ((const struct radix_item *)a)->value, y = ((const struct radix_item *)b)->value;
    if (s->times[x] != s->times[y]) return s->times[x] < s->times[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Rows of one person arrive in the order of time, mostly: sorting by person leaves little to do. */
static void sort_times(struct sorting *s)
{
    struct radix_item *items = s->items;
    for (uint32_t from = 0, to; from < s->count; from = to) {
        bool ascends = true;
        for (to = from + 1; to < s->count && items[to].key == items[from].key; to++)
            ascends &= s->times[items[to - 1].value] <= s->times[items[to].value];
        if (!ascends) qsort_r(items + from, to - from, sizeof *items, time_cmp, s);
    }
}

static enum status sort_rows(struct sorting *s)
{
    struct merge *m = s->m;
    struct merge_piles *p = m->piles;
    struct radix_item *items = arena_alloc(m->arena, ((size_t)p->rows + 1) * sizeof *items);
    struct radix_item *spare = arena_alloc(m->arena, ((size_t)p->rows + 1) * sizeof *spare);
    s->times = arena_alloc(m->arena, ((size_t)p->rows + 1) * sizeof *s->times);
    if (!items || !spare || !s->times) return no_memory(m);
    for (size_t i = 0; i < m->job->input_count; i++) {
        const struct pile *pile = p->piles[i];
        const struct pile_run *run = p->runs[i];
        if (!run) continue;
        memcpy(s->times + p->bases[i], pile->times + run->from, run->count * sizeof *s->times);
        for (uint32_t r = 0; r < run->count; r++) {
            if (pile_is_dead(pile, run->from + r)) continue;
            uint32_t person = id_view_person(m->job->ids, pile->ids[run->from + r]);
            items[s->count++] = (struct radix_item){person, p->bases[i] + r};
        }
    }
    s->items = radix_sort(items, spare, s->count);
    sort_times(s);
    return STATUS_OK;
}

/* With one window, places are those of the sorted order. */
static enum status place_all(struct sorting *s)
{
    struct merge *m = s->m;
    struct merge_piles *p = m->piles;
    if (s->count > m->room) return error_set(m->error, STATUS_LIMIT, "too many rows in one merge");
    for (uint32_t i = 0; i < s->count; i++) {
        p->places[s->items[i].value] = i;
        p->persons[i] = (uint32_t)s->items[i].key;
    }
    m->places = s->count;
    m->room -= s->count;
    return s->count ? merge_add_unit(m, 0, 0, s->count, false) : STATUS_OK;
}

/* With several, rows are counted into places within their windows, which then are laid one behind the other. */
static enum status place_in_windows(struct sorting *s)
{
    struct merge *m = s->m;
    struct merge_piles *p = m->piles;
    uint16_t *windows = arena_alloc(m->arena, ((size_t)p->rows + 1) * sizeof *windows);
    uint32_t *bases = arena_new_array(m->arena, uint32_t, m->window_count);
    int64_t day = INT64_MIN;
    size_t window = 0;
    if (!windows || !bases) return no_memory(m);
    for (uint32_t r = 0; r < p->rows; r++) { /* neighbours are of one day, mostly */
        int64_t own = floor_div(s->times[r], DAY_MS);
        if (own != day) window = merge_window_of(m, s->times[r]);
        day = own;
        windows[r] = (uint16_t)window;
    }
    for (uint32_t i = 0; i < s->count; i++) m->windows[windows[s->items[i].value]].rows++;
    TRY(merge_lay_out(m, bases));
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t place = bases[windows[s->items[i].value]]++;
        p->places[s->items[i].value] = place;
        p->persons[place] = (uint32_t)s->items[i].key;
    }
    return STATUS_OK;
}

enum status merge_pile_order(struct merge *m, uint32_t event_id)
{
    struct merge_piles *p = m->piles;
    struct sorting s = {.m = m};
    uint64_t rows = 0;
    m->unit_count = 0;
    for (size_t w = 0; w < m->window_count; w++) m->windows[w].rows = 0;
    for (size_t i = 0; i < m->job->input_count; i++) {
        p->runs[i] = pile_find_run(p->piles[i], event_id);
        p->bases[i] = (uint32_t)rows;
        if (p->runs[i]) rows += p->runs[i]->count;
        if (rows > SECTION_ROWS_MAX) return error_set(m->error, STATUS_LIMIT, "too many rows in one merge");
    }
    p->rows = (uint32_t)rows;
    TRY(sort_rows(&s));
    size_t places = (size_t)p->rows + m->window_count * 64; /* windows begin at multiples of 64 */
    p->places = arena_alloc(m->arena, ((size_t)p->rows + 1) * sizeof *p->places);
    p->persons = arena_alloc(m->arena, places * sizeof *p->persons);
    if (!p->places || !p->persons) return no_memory(m);
    if (s.count < p->rows) memset(p->places, 0xff, p->rows * sizeof *p->places);
    return m->window_count == 1 ? place_all(&s) : place_in_windows(&s);
}

/* --- columns --- */

struct gathered { /* columns of one property */
    struct merge *m;
    const struct merge_unit *units;
    size_t unit_count;
    uint32_t places; /* of all units */
    uint32_t property;
    const struct pile_column **columns; /* by input; NULL: no row has it */
};

static enum status place_core(struct gathered *g, uint32_t event_id)
{
    struct merge *m = g->m;
    const struct merge_piles *p = m->piles;
    struct arena *arena = m->column_arena;
    size_t n = g->places;
    uint32_t *ids = arena_alloc(arena, n * sizeof *ids);
    int64_t *times = arena_alloc(arena, n * sizeof *times), *received = arena_alloc(arena, n * sizeof *received);
    struct value *inserts = arena_alloc(arena, n * sizeof *inserts);
    uint64_t *keys = arena_alloc(arena, n * sizeof *keys);
    uint8_t *flags = arena_alloc(arena, n);
    if (!ids || !times || !received || !inserts || !keys || !flags) return no_memory(m);
    for (size_t i = 0; i < m->job->input_count; i++) {
        const struct pile *pile = p->piles[i];
        const struct pile_run *run = p->runs[i];
        for (uint32_t r = 0; run && r < run->count; r++) {
            uint32_t to = p->places[p->bases[i] + r], from = run->from + r;
            if (to == PLACE_NONE) continue;
            ids[to] = pile->ids[from];
            times[to] = pile->times[from];
            received[to] = pile_received(pile, from);
            inserts[to] = pile_insert(pile, from);
            keys[to] = pile->keys[from];
            flags[to] = pile->flags[from];
        }
    }
    for (size_t u = 0; u < g->unit_count; u++) {
        const struct merge_unit *unit = &g->units[u];
        uint32_t at = unit->from;
        struct section_rows rows = {unit->to - at, p->persons + at, ids + at,   times + at,
                                    received + at, inserts + at,    flags + at, keys + at};
        TRY(section_builder_run(m->windows[unit->window].builder, event_id, &rows));
    }
    return STATUS_OK;
}

static uint32_t place_of(const struct gathered *g, size_t input, uint32_t i)
{
    const struct pile_column *column = g->columns[input];
    const uint32_t *places = g->m->piles->places + g->m->piles->bases[input];
    return places[column->rows ? column->rows[i] : i];
}

#define each_cell(g, input, i)                                                                                         \
    for (size_t input = 0; input < (g)->m->job->input_count; input++)                                                  \
        for (uint32_t i = 0; (g)->columns[input] && i < (g)->columns[input]->count; i++)

/* What the codes of a property mean, in all inputs. */
static enum status find_meaning(struct merge *m, uint32_t property, const struct meaning **ret)
{
    struct merge_piles *p = m->piles;
    struct meaning *meaning = p->meanings[property];
    size_t inputs = m->job->input_count;
    *ret = meaning;
    if (meaning) return STATUS_OK;
    meaning = arena_new_array(p->arena, struct meaning, 1);
    if (!meaning) return no_memory(m);
    *ret = p->meanings[property] = meaning;
    meaning->ranks = arena_new_array(p->arena, uint32_t *, inputs + 1);
    if (!meaning->ranks) return no_memory(m);
    struct interner all = INTERNER_OF_DISTINCT;
    for (size_t i = 0; i < inputs && !meaning->loose; i++) {
        const struct pile_values *values = property < p->piles[i]->property_end ? &p->piles[i]->values[property] : NULL;
        if (!values || !values->count) continue;
        uint32_t *codes = arena_alloc(p->arena, ((size_t)values->count + 1) * sizeof *codes);
        if (!codes) return no_memory(m);
        meaning->ranks[i] = codes;
        codes[0] = 0;
        for (uint32_t c = 0; c < values->count && !values->loose; c++)
            TRY(interner_code(&all, p->arena, values->entries[c], &codes[c + 1]));
        meaning->loose = values->loose || all.loose;
    }
    if (meaning->loose || !all.count) return STATUS_OK;
    TRY(interner_sort(&all, p->arena));
    meaning->values = all.sorted;
    meaning->count = all.count;
    for (size_t i = 0; i < inputs; i++) {
        uint32_t *codes = meaning->ranks[i];
        for (uint32_t c = 1; codes && c <= p->piles[i]->values[property].count; c++) codes[c] = all.ranks[codes[c]];
    }
    return STATUS_OK;
}

/* Which ranks the cells of an input have; a code is looked at once where they are few. */
static enum status mark_used(const struct gathered *g, size_t input, const uint32_t *ranks, uint64_t *used)
{
    const struct pile_column *column = g->columns[input];
    uint32_t own = g->m->piles->piles[input]->values[g->property].count;
    uint8_t *seen = arena_new_array(g->m->column_arena, uint8_t, (size_t)own + 1);
    if (!seen) return no_memory(g->m);
    for (uint32_t i = 0; i < column->count; i++) seen[pile_code(column, i)] = 1;
    for (uint32_t c = 1; c <= own; c++) {
        if (seen[c]) used[ranks[c] / 64] |= (uint64_t)1 << ranks[c] % 64;
    }
    return STATUS_OK;
}

/* The entries are those of all events; what the event has of them is numbered anew, in the same order. */
static enum status place_codes(struct gathered *g, const struct meaning *meaning)
{
    struct merge *m = g->m;
    struct arena *arena = m->column_arena;
    uint32_t *codes = arena_new_array(arena, uint32_t, g->places);
    uint64_t *used = arena_new_array(arena, uint64_t, (size_t)meaning->count / 64 + 1);
    uint32_t *number = arena_alloc(arena, ((size_t)meaning->count + 1) * sizeof *number), count = 0;
    if (!codes || !used || !number) return no_memory(m);
    for (size_t input = 0; input < m->job->input_count; input++) {
        if (g->columns[input]) TRY(mark_used(g, input, meaning->ranks[input], used));
    }
    for (size_t w = 0; w <= meaning->count / 64; w++) count += (uint32_t)__builtin_popcountll(used[w]);
    struct value *entries = arena_alloc(arena, ((size_t)count + 1) * sizeof *entries);
    if (!entries) return no_memory(m);
    count = 0;
    for (size_t w = 0; w <= meaning->count / 64; w++) {
        for (uint64_t bits = used[w]; bits; bits &= bits - 1) {
            uint32_t rank = (uint32_t)w * 64 + (uint32_t)__builtin_ctzll(bits);
            entries[count++] = meaning->values[rank - 1];
            number[rank] = count;
        }
    }
    for (size_t input = 0; input < m->job->input_count; input++) {
        const struct pile_column *column = g->columns[input];
        if (!column) continue;
        const uint32_t *places = m->piles->places + m->piles->bases[input];
        /* of this input's codes at once: one look-up a cell */
        uint32_t own = m->piles->piles[input]->values[g->property].count;
        uint32_t *numbers = arena_alloc(arena, ((size_t)own + 1) * sizeof *numbers);
        if (!numbers) return no_memory(m);
        for (uint32_t c = 1; c <= own; c++) numbers[c] = number[meaning->ranks[input][c]];
        for (uint32_t i = 0; i < column->count; i++) {
            uint32_t to = places[column->rows ? column->rows[i] : i];
            if (to != PLACE_NONE) codes[to] = numbers[pile_code(column, i)];
        }
    }
    for (size_t u = 0; u < g->unit_count; u++) {
        const struct merge_unit *unit = &g->units[u];
        TRY(section_builder_codes(m->windows[unit->window].builder, g->property, entries, count, codes + unit->from));
    }
    return STATUS_OK;
}

/* Integers become doubles where `doubles`: they are known to fit. */
static enum status place_words(struct gathered *g, bool doubles)
{
    struct merge *m = g->m;
    uint64_t *words = arena_new_array(m->column_arena, uint64_t, g->places);
    uint64_t *presence = arena_new_array(m->column_arena, uint64_t, (size_t)g->places / 64 + 1);
    if (!words || !presence) return no_memory(m);
    each_cell(g, input, i)
    {
        const struct pile_column *column = g->columns[input];
        uint32_t to = place_of(g, input, i);
        if (to == PLACE_NONE) continue;
        words[to] = column->words[i];
        presence[to / 64] |= (uint64_t)1 << to % 64;
        if (!doubles || column->form == PILE_DOUBLES) continue;
        double number = (double)(int64_t)column->words[i];
        memcpy(&words[to], &number, 8);
    }
    for (size_t u = 0; u < g->unit_count; u++) {
        const struct merge_unit *unit = &g->units[u];
        struct section_builder *builder = m->windows[unit->window].builder;
        const uint64_t *own = words + unit->from, *bits = presence + unit->from / 64;
        TRY(doubles ? section_builder_doubles(builder, g->property, (const double *)own, bits)
                    : section_builder_ints(builder, g->property, (const int64_t *)own, bits));
    }
    return STATUS_OK;
}

static enum status place_values(struct gathered *g)
{
    struct merge *m = g->m;
    struct value *values = arena_new_array(m->column_arena, struct value, g->places); /* zero is ABSENT */
    if (!values) return no_memory(m);
    each_cell(g, input, i)
    {
        uint32_t to = place_of(g, input, i);
        if (to != PLACE_NONE) values[to] = pile_value(m->piles->piles[input], g->columns[input], i);
    }
    for (size_t u = 0; u < g->unit_count; u++) {
        const struct merge_unit *unit = &g->units[u];
        TRY(section_builder_column(m->windows[unit->window].builder, g->property, values + unit->from));
    }
    return STATUS_OK;
}

struct cell {
    uint32_t input, number;
};

/* Few rows have it: they are sorted, as the other way round all rows of the event would be looked at. */
static enum status place_rare(struct gathered *g, uint32_t present)
{
    struct merge *m = g->m;
    struct arena *arena = m->column_arena;
    struct radix_item *items = arena_alloc(arena, present * sizeof *items);
    struct radix_item *spare = arena_alloc(arena, present * sizeof *spare);
    struct cell *cells = arena_alloc(arena, present * sizeof *cells);
    uint32_t *rows = arena_alloc(arena, present * sizeof *rows), count = 0, at = 0;
    struct value *values = arena_alloc(arena, present * sizeof *values);
    if (!items || !spare || !cells || !rows || !values) return no_memory(m);
    each_cell(g, input, i)
    {
        uint32_t to = place_of(g, input, i);
        if (to == PLACE_NONE) continue;
        cells[count] = (struct cell){(uint32_t)input, i};
        items[count] = (struct radix_item){to, count};
        count++;
    }
    items = radix_sort(items, spare, count);
    for (size_t u = 0; u < g->unit_count; u++) {
        const struct merge_unit *unit = &g->units[u];
        uint32_t first = at;
        for (; at < count && items[at].key < unit->to; at++) {
            const struct cell *cell = &cells[items[at].value];
            rows[at] = (uint32_t)items[at].key - unit->from;
            values[at] = pile_value(m->piles->piles[cell->input], g->columns[cell->input], cell->number);
        }
        TRY(section_builder_sparse(m->windows[unit->window].builder, g->property, rows + first, values + first,
                                   at - first));
    }
    return STATUS_OK;
}

static bool all_exact(const struct pile_column *column)
{
    for (uint32_t i = 0; i < column->count; i++) {
        int64_t integer = (int64_t)column->words[i];
        if (integer < -EXACT_INT_MAX || integer > EXACT_INT_MAX) return false;
    }
    return true;
}

static enum status place_column(struct gathered *g)
{
    struct merge *m = g->m;
    bool form[3] = {false};
    uint64_t present = 0;
    for (size_t i = 0; i < m->job->input_count; i++) {
        if (!g->columns[i]) continue;
        form[g->columns[i]->form] = true;
        present += g->columns[i]->count;
    }
    if (chunk_is_sparse((uint32_t)present, g->places)) return place_rare(g, (uint32_t)present);
    if (form[PILE_CODES]) {
        const struct meaning *meaning;
        if (form[PILE_INTS] || form[PILE_DOUBLES]) return place_values(g);
        TRY(find_meaning(m, g->property, &meaning));
        return meaning->loose ? place_values(g) : place_codes(g, meaning);
    }
    if (!form[PILE_DOUBLES]) return place_words(g, false);
    for (size_t i = 0; i < m->job->input_count; i++) {
        if (g->columns[i] && g->columns[i]->form == PILE_INTS && !all_exact(g->columns[i])) return place_values(g);
    }
    return place_words(g, true);
}

static enum status list_properties(struct merge *m, uint32_t **ret_properties, size_t *ret_count)
{
    const struct merge_piles *p = m->piles;
    size_t total = 0, count = 0;
    for (size_t i = 0; i < m->job->input_count; i++) total += p->runs[i] ? p->runs[i]->column_count : 0;
    uint32_t *list = arena_alloc(m->arena, (total + 1) * sizeof *list);
    if (!list) return no_memory(m);
    for (size_t i = 0; i < m->job->input_count; i++) {
        const struct pile_run *run = p->runs[i];
        for (uint32_t c = 0; run && c < run->column_count; c++)
            list[count++] = p->piles[i]->columns[run->first_column + c].property;
    }
    *ret_properties = list;
    *ret_count = unique(list, count);
    return STATUS_OK;
}

static enum status place_columns(struct gathered *g, uint32_t event_id)
{
    struct merge *m = g->m;
    const struct merge_piles *p = m->piles;
    uint32_t *properties, *next = arena_new_array(m->arena, uint32_t, m->job->input_count + 1);
    size_t count;
    g->columns = arena_new_array(m->arena, const struct pile_column *, m->job->input_count + 1);
    if (!next || !g->columns) return no_memory(m);
    TRY(list_properties(m, &properties, &count));
    arena_reset(m->column_arena);
    TRY(place_core(g, event_id));
    for (size_t n = 0; n < count; n++) {
        g->property = properties[n];
        for (size_t i = 0; i < m->job->input_count; i++) {
            const struct pile_run *run = p->runs[i];
            const struct pile_column *column =
                run && next[i] < run->column_count ? &p->piles[i]->columns[run->first_column + next[i]] : NULL;
            bool has = column && column->property == g->property;
            g->columns[i] = has ? column : NULL;
            next[i] += has;
        }
        arena_reset(m->column_arena);
        TRY(place_column(g));
    }
    for (size_t u = 0; u < g->unit_count; u++) TRY(section_builder_run_end(m->windows[g->units[u].window].builder));
    return STATUS_OK;
}

enum status merge_pile_columns(struct merge *m, uint32_t event_id, const struct merge_unit *units, size_t count)
{
    struct gathered g = {.m = m, .units = units, .unit_count = count, .places = units[count - 1].to};
    enum status status = place_columns(&g, event_id);
    if (status == STATUS_LIMIT && m->error->status == STATUS_OK) merge_no_memory(m->error);
    return status;
}
