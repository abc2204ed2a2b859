/*
 * The order of one event's rows. Every input lists its persons ascending, each with its rows by time. So the inputs are
 * merged person by person: a heap holds the next person of each, and only where several inputs know the same person are
 * times looked at. A person whose number was taken away since the input was written stands at the wrong place: such
 * stretches are collected beforehand, sorted by their new numbers, and take part as if they came from inputs of their
 * own. (Where the number is mixed, because its cluster was split, the ids of the rows tell their persons, and a stretch
 * may fall into many.) So the cost is about that of the persons, not of the rows, and only what moved is sorted.
 *
 * The result is a place for each row of each input. With several windows, rows are first counted into places within
 * their windows; then the windows are laid one behind the other.
 */
#include "store/merge_int.h"

#include <stdlib.h>

struct stretch { /* rows of one person in one input, ascending in time */
    uint32_t person, input, first, count;
};

struct cursor { /* over an input's list of persons */
    uint32_t ordinal, row, loaded;
    struct stretch now;
    bool resolves; /* persons may have moved */
    uint32_t times_vector, ids_vector;
    int64_t *persons, *lengths, *times, *ids; /* a vector of each; ids: NULL until one is asked for */
    uint64_t *dead;                           /* bits by row; NULL: none */
    uint16_t *windows;
};

struct item {
    int64_t time_ms;
    uint32_t input, row;
};

struct order {
    struct merge *m;
    struct cursor *cursors; /* by input */
    uint32_t *heap;         /* inputs, least person first */
    size_t heap_count;
    struct stretch *moved;
    size_t moved_count, moved_capacity, moved_next;
    struct stretch *group; /* of one person */
    size_t group_count, group_capacity;
    struct item *items, *spare;
    size_t item_capacity;
    uint32_t place; /* one window: the next */
    uint32_t unit_from;
};

static enum status damaged(struct order *o, uint32_t input)
{
    o->m->bad_input = input;
    return error_set(o->m->error, STATUS_CORRUPT, "a list of persons is malformed");
}

static enum status bad(struct order *o, uint32_t input, enum status status)
{
    if (status == STATUS_CORRUPT || status == STATUS_IO) o->m->bad_input = input;
    return status;
}

/* The input's next stretch as it is stored. NOT_FOUND at the end. */
static enum status next_stored(struct order *o, uint32_t input, struct stretch *ret)
{
    struct cursor *c = &o->cursors[input];
    struct run *run = &o->m->inputs[input].run;
    if (c->ordinal == run->event->persons) return c->row == run->event->rows ? STATUS_NOT_FOUND : damaged(o, input);
    uint32_t vector = c->ordinal / VECTOR_ROWS_MAX, at = c->ordinal % VECTOR_ROWS_MAX;
    if (vector != c->loaded) {
        int64_t last = c->loaded == UINT32_MAX ? -1 : c->persons[VECTOR_ROWS_MAX - 1];
        enum status status = run_read_ints(run, CORE_PERSON, vector, o->m->error, c->persons);
        if (status == STATUS_OK) status = run_read_ints(run, CORE_RUN, vector, o->m->error, c->lengths);
        if (status != STATUS_OK) return bad(o, input, status);
        c->loaded = vector;
        uint32_t items = run->event->persons - vector * VECTOR_ROWS_MAX;
        for (uint32_t i = 0; i < items && i < VECTOR_ROWS_MAX; last = c->persons[i++]) {
            if (c->persons[i] <= last || c->persons[i] > id_view_count(o->m->job->ids)) return damaged(o, input);
        }
    }
    uint64_t length = (uint64_t)c->lengths[at];
    if (length == 0 || length > run->event->rows - c->row) return damaged(o, input);
    *ret = (struct stretch){(uint32_t)c->persons[at], input, c->row, (uint32_t)length};
    c->row += (uint32_t)length;
    c->ordinal++;
    return STATUS_OK;
}

/* The input's next stretch that is where it belongs. */
static enum status next_stretch(struct order *o, uint32_t input)
{
    struct cursor *c = &o->cursors[input];
    do {
        TRY(next_stored(o, input, &c->now));
    } while (c->resolves && id_view_person(o->m->job->ids, c->now.person) != c->now.person);
    return STATUS_OK;
}

static bool before(const struct order *o, uint32_t a, uint32_t b)
{
    uint32_t x = o->cursors[a].now.person, y = o->cursors[b].now.person;
    return x != y ? x < y : a < b;
}

static void sift_down(struct order *o, size_t at)
{
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= o->heap_count) return;
        if (child + 1 < o->heap_count && before(o, o->heap[child + 1], o->heap[child])) child++;
        if (!before(o, o->heap[child], o->heap[at])) return;
        uint32_t swap = o->heap[at];
        o->heap[at] = o->heap[child];
        o->heap[child] = swap;
        at = child;
    }
}

static int stretch_cmp(const void *a, const void *b)
{
    const struct stretch *x = a, *y = b;
    if (x->person != y->person) return x->person < y->person ? -1 : 1;
    if (x->input != y->input) return x->input < y->input ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static enum status push(struct order *o, struct stretch **list, size_t *count, size_t *capacity, struct stretch stretch)
{
    if (*count == *capacity) {
        size_t wanted = *capacity ? *capacity * 2 : 64;
        struct stretch *grown = arena_realloc(o->m->arena, *list, *capacity * sizeof **list, wanted * sizeof **list);
        if (!grown) return merge_no_memory(o->m->error);
        *list = grown;
        *capacity = wanted;
    }
    (*list)[(*count)++] = stretch;
    return STATUS_OK;
}

static enum status add_moved(struct order *o, struct stretch stretch)
{
    return push(o, &o->moved, &o->moved_count, &o->moved_capacity, stretch);
}

static enum status collect_mixed(struct order *o, struct stretch stretch)
{
    struct cursor *c = &o->cursors[stretch.input];
    const struct id_view *view = o->m->job->ids;
    struct run *run = &o->m->inputs[stretch.input].run;
    struct stretch part = {.input = stretch.input};
    if (!c->ids) {
        c->ids = arena_alloc(o->m->arena, VECTOR_ROWS_MAX * sizeof *c->ids);
        if (!c->ids) return merge_no_memory(o->m->error);
    }
    for (uint32_t row = stretch.first; row < stretch.first + stretch.count; row++) {
        uint32_t vector = row / VECTOR_ROWS_MAX;
        if (vector != c->ids_vector) {
            enum status status = run_read_ints(run, CORE_ID, vector, o->m->error, c->ids);
            if (status != STATUS_OK) return bad(o, stretch.input, status);
            c->ids_vector = vector;
        }
        uint64_t id = (uint64_t)c->ids[row % VECTOR_ROWS_MAX];
        if (id > id_view_count(view)) return damaged(o, stretch.input);
        uint32_t person = id_view_person(view, (uint32_t)id);
        if (part.count && part.person == person) {
            part.count++;
            continue;
        }
        if (part.count) TRY(add_moved(o, part));
        part = (struct stretch){person, stretch.input, row, 1};
    }
    return part.count ? add_moved(o, part) : STATUS_OK;
}

static enum status collect_moved(struct order *o, uint32_t input)
{
    struct stretch stretch;
    enum status status;
    while ((status = next_stored(o, input, &stretch)) == STATUS_OK) {
        uint32_t person = id_view_person(o->m->job->ids, stretch.person);
        if (person == stretch.person) continue;
        if (id_view_is_mixed(o->m->job->ids, stretch.person)) {
            TRY(collect_mixed(o, stretch));
            continue;
        }
        stretch.person = person;
        TRY(add_moved(o, stretch));
    }
    if (status != STATUS_NOT_FOUND) return status;
    struct cursor *c = &o->cursors[input];
    c->ordinal = c->row = 0;
    c->loaded = UINT32_MAX;
    return STATUS_OK;
}

/* The bits of deleted rows. */
static enum status mark_dead(struct order *o, uint32_t input)
{
    const struct merge_input *in = &o->m->inputs[input];
    const struct section_event *event = in->run.event;
    if (!in->section->deletes) return STATUS_OK;
    roaring_uint32_iterator_t at;
    roaring_init_iterator(in->section->deletes->rows, &at);
    bool more = roaring_move_uint32_iterator_equalorlarger(&at, event->first_row);
    if (!more || at.current_value - event->first_row >= event->rows) return STATUS_OK;
    uint64_t *bits = arena_new_array(o->m->arena, uint64_t, event->rows / 64 + 1);
    if (!bits) return merge_no_memory(o->m->error);
    for (; more && at.current_value - event->first_row < event->rows; more = roaring_advance_uint32_iterator(&at)) {
        uint32_t row = at.current_value - event->first_row;
        bits[row / 64] |= (uint64_t)1 << (row % 64);
    }
    o->cursors[input].dead = bits;
    return STATUS_OK;
}

static bool is_dead(const struct cursor *c, uint32_t row)
{
    return c->dead && (c->dead[row / 64] >> (row % 64) & 1);
}

static enum status time_of(struct order *o, uint32_t input, uint32_t row, int64_t *ret)
{
    struct cursor *c = &o->cursors[input];
    uint32_t vector = row / VECTOR_ROWS_MAX;
    if (c->times_vector != vector) {
        enum status status = run_read_times(&o->m->inputs[input].run, vector, o->m->error, c->times);
        if (status != STATUS_OK) return bad(o, input, status);
        c->times_vector = vector;
    }
    *ret = c->times[row % VECTOR_ROWS_MAX];
    return STATUS_OK;
}

static void put(struct order *o, uint32_t input, uint32_t row)
{
    o->m->inputs[input].place[row] = o->place++;
}

static enum status put_in_window(struct order *o, uint32_t input, uint32_t row, int64_t time_ms)
{
    size_t window = merge_window_of(o->m, time_ms);
    o->cursors[input].windows[row] = (uint16_t)window;
    o->m->inputs[input].place[row] = o->m->windows[window].rows++;
    return STATUS_OK;
}

static enum status put_stretch(struct order *o, const struct stretch *s)
{
    const struct cursor *c = &o->cursors[s->input];
    if (o->m->window_count == 1) {
        uint32_t *place = o->m->inputs[s->input].place + s->first;
        if (c->dead) {
            for (uint32_t i = 0; i < s->count; i++) {
                if (!is_dead(c, s->first + i)) place[i] = o->place++;
            }
        } else {
            for (uint32_t i = 0; i < s->count; i++) place[i] = o->place++;
        }
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        int64_t time_ms;
        if (is_dead(c, s->first + i)) continue;
        TRY(time_of(o, s->input, s->first + i, &time_ms));
        TRY(put_in_window(o, s->input, s->first + i, time_ms));
    }
    return STATUS_OK;
}

static bool item_before(const struct item *a, const struct item *b)
{
    if (a->time_ms != b->time_ms) return a->time_ms < b->time_ms;
    if (a->input != b->input) return a->input < b->input;
    return a->row < b->row;
}

/* Sorts stretches, each sorted by itself and laid one behind the other in items[], by merging neighbours. */
static void sort_items(struct order *o, size_t count, uint32_t *starts, size_t stretches)
{
    struct item *from = o->items, *to = o->spare;
    while (stretches > 1) {
        size_t merged = 0;
        for (size_t s = 0; s < stretches; s += 2) {
            size_t a = starts[s], a_end = s + 1 < stretches ? starts[s + 1] : count;
            size_t b = a_end, b_end = s + 2 < stretches ? starts[s + 2] : count, out = a;
            while (a < a_end && b < b_end) to[out++] = item_before(&from[b], &from[a]) ? from[b++] : from[a++];
            while (a < a_end) to[out++] = from[a++];
            while (b < b_end) to[out++] = from[b++];
            starts[merged++] = starts[s];
        }
        stretches = merged;
        struct item *swap = from;
        from = to;
        to = swap;
    }
    o->items = from;
    o->spare = to;
}

/* Several stretches of one person. */
static enum status put_group(struct order *o)
{
    size_t total = 0;
    for (size_t i = 0; i < o->group_count; i++) total += o->group[i].count;
    if (total > o->item_capacity) {
        size_t capacity = total < 1024 ? 1024 : total * 2;
        o->items = arena_alloc(o->m->arena, capacity * sizeof *o->items);
        o->spare = arena_alloc(o->m->arena, capacity * sizeof *o->spare);
        if (!o->items || !o->spare) return merge_no_memory(o->m->error);
        o->item_capacity = capacity;
    }
    uint32_t few[64], *starts = few;
    if (o->group_count > 64 && !(starts = malloc(o->group_count * sizeof *starts))) return merge_no_memory(o->m->error);
    enum status status = STATUS_OK;
    size_t count = 0;
    for (size_t i = 0; i < o->group_count && status == STATUS_OK; i++) {
        const struct stretch *s = &o->group[i];
        starts[i] = (uint32_t)count;
        for (uint32_t k = 0; k < s->count && status == STATUS_OK; k++) {
            if (is_dead(&o->cursors[s->input], s->first + k)) continue;
            struct item *item = &o->items[count++];
            *item = (struct item){.input = s->input, .row = s->first + k};
            status = time_of(o, s->input, item->row, &item->time_ms);
            /* the merge relies on it, and nobody else checked */
            if (status == STATUS_OK && count - 1 > starts[i] && item->time_ms < item[-1].time_ms)
                status = damaged(o, s->input);
        }
    }
    if (status == STATUS_OK) sort_items(o, count, starts, o->group_count);
    if (starts != few) free(starts);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (o->m->window_count == 1)
            put(o, o->items[i].input, o->items[i].row);
        else
            status = put_in_window(o, o->items[i].input, o->items[i].row, o->items[i].time_ms);
    }
    return status;
}

/* --- units --- */

enum status merge_add_unit(struct merge *m, size_t window, uint32_t from, uint32_t to, bool last)
{
    if (m->unit_count == m->unit_capacity) {
        size_t capacity = m->unit_capacity ? m->unit_capacity * 2 : 64;
        struct merge_unit *grown = realloc(m->units, capacity * sizeof *grown);
        if (!grown) return merge_no_memory(m->error);
        m->units = grown;
        m->unit_capacity = capacity;
    }
    m->units[m->unit_count++] = (struct merge_unit){window, from, to, last};
    return STATUS_OK;
}

/* Before a person's rows: begins a new section when they do not fit any more. */
static enum status make_room(struct order *o, uint64_t rows)
{
    struct merge *m = o->m;
    uint32_t used = o->place - o->unit_from;
    if (m->window_count != 1 || used + rows <= m->room || (used == 0 && m->room == m->rows_max)) return STATUS_OK;
    if (used) TRY(merge_add_unit(m, 0, o->unit_from, o->place, true));
    /* Without rows of this event in the full section, its last unit belongs to an earlier event. */
    if (!used) TRY(merge_add_unit(m, 0, o->place, o->place, true));
    o->unit_from = o->place;
    m->room = m->rows_max;
    return STATUS_OK;
}

/* A person with more rows than a section takes. */
static enum status cut_excess(struct order *o)
{
    struct merge *m = o->m;
    while (m->window_count == 1 && o->place - o->unit_from > m->room) {
        TRY(merge_add_unit(m, 0, o->unit_from, o->unit_from + m->room, true));
        o->unit_from += m->room;
        m->room = m->rows_max;
    }
    return STATUS_OK;
}

/* --- all together --- */

static enum status take_group(struct order *o)
{
    uint32_t person = UINT32_MAX;
    if (o->heap_count) person = o->cursors[o->heap[0]].now.person;
    if (o->moved_next < o->moved_count && (!o->heap_count || o->moved[o->moved_next].person < person))
        person = o->moved[o->moved_next].person;
    o->group_count = 0;
    while (o->heap_count && o->cursors[o->heap[0]].now.person == person) {
        uint32_t input = o->heap[0];
        TRY(push(o, &o->group, &o->group_count, &o->group_capacity, o->cursors[input].now));
        enum status status = next_stretch(o, input);
        if (status == STATUS_NOT_FOUND)
            o->heap[0] = o->heap[--o->heap_count];
        else if (status != STATUS_OK)
            return status;
        sift_down(o, 0);
    }
    bool mixed = o->moved_next < o->moved_count && o->moved[o->moved_next].person == person;
    while (o->moved_next < o->moved_count && o->moved[o->moved_next].person == person)
        TRY(push(o, &o->group, &o->group_count, &o->group_capacity, o->moved[o->moved_next++]));
    if (mixed) qsort(o->group, o->group_count, sizeof *o->group, stretch_cmp);
    uint64_t rows = 0;
    for (size_t i = 0; i < o->group_count; i++) rows += o->group[i].count;
    TRY(make_room(o, rows));
    TRY(o->group_count == 1 ? put_stretch(o, &o->group[0]) : put_group(o));
    return cut_excess(o);
}

static enum status begin_input(struct order *o, uint32_t input, const struct section_event *event)
{
    struct merge_input *in = &o->m->inputs[input];
    struct cursor *c = &o->cursors[input];
    enum status status = run_open(&in->run, in->section->section, event, o->m->arena, o->m->error);
    if (status != STATUS_OK) return bad(o, input, status);
    in->open = true;
    uint32_t vectors = run_vectors(&in->run);
    in->place = arena_alloc(o->m->arena, event->rows * sizeof *in->place);
    in->vector_low = arena_alloc(o->m->arena, vectors * sizeof *in->vector_low);
    in->vector_high = arena_alloc(o->m->arena, vectors * sizeof *in->vector_high);
    if (o->m->window_count > 1) {
        c->windows = arena_alloc(o->m->arena, event->rows * sizeof *c->windows);
        if (!c->windows) return merge_no_memory(o->m->error);
    }
    c->persons = arena_alloc(o->m->arena, VECTOR_ROWS_MAX * sizeof *c->persons);
    c->lengths = arena_alloc(o->m->arena, VECTOR_ROWS_MAX * sizeof *c->lengths);
    c->times = arena_alloc(o->m->arena, VECTOR_ROWS_MAX * sizeof *c->times);
    if (!in->place || !in->vector_low || !in->vector_high || !c->persons || !c->lengths || !c->times)
        return merge_no_memory(o->m->error);
    memset(in->place, 0xff, event->rows * sizeof *in->place);
    c->loaded = c->times_vector = c->ids_vector = UINT32_MAX;
    c->resolves = in->section->section->links_applied != o->m->job->links_applied;
    TRY(mark_dead(o, input));
    return c->resolves ? collect_moved(o, input) : STATUS_OK;
}

enum status merge_lay_out(struct merge *m, uint32_t *bases)
{
    uint64_t base = 0;
    for (size_t w = 0; w < m->window_count; w++) {
        if (base + m->windows[w].rows > SECTION_ROWS_MAX * (uint64_t)2)
            return error_set(m->error, STATUS_LIMIT, "too many rows in one merge");
        bases[w] = (uint32_t)base;
        if (m->windows[w].rows) TRY(merge_add_unit(m, w, (uint32_t)base, (uint32_t)base + m->windows[w].rows, false));
        base = (base + m->windows[w].rows + 63) / 64 * 64;
    }
    m->places = (uint32_t)base;
    return STATUS_OK;
}

static enum status lay_out(struct order *o)
{
    struct merge *m = o->m;
    uint32_t *bases = arena_new_array(m->arena, uint32_t, m->window_count);
    if (!bases) return merge_no_memory(m->error);
    TRY(merge_lay_out(m, bases));
    for (size_t i = 0; i < m->job->input_count; i++) {
        struct merge_input *in = &m->inputs[i];
        for (uint32_t row = 0; in->open && row < in->run.event->rows; row++) {
            if (in->place[row] != PLACE_NONE) in->place[row] += bases[o->cursors[i].windows[row]];
        }
    }
    return STATUS_OK;
}

static void bound_vectors(struct merge *m)
{
    for (size_t i = 0; i < m->job->input_count; i++) {
        struct merge_input *in = &m->inputs[i];
        for (uint32_t v = 0; in->open && v < run_vectors(&in->run); v++) {
            uint32_t low = UINT32_MAX, high = 0, rows = run_vector_rows(&in->run, v);
            const uint32_t *place = in->place + (size_t)v * VECTOR_ROWS_MAX;
            for (uint32_t r = 0; r < rows; r++) {
                if (place[r] == PLACE_NONE) continue;
                if (place[r] < low) low = place[r];
                if (place[r] > high) high = place[r];
            }
            in->vector_low[v] = low;
            in->vector_high[v] = high;
        }
    }
}

enum status merge_order(struct merge *m, uint32_t event_id)
{
    size_t inputs = m->job->input_count;
    struct order o = {.m = m};
    o.cursors = arena_new_array(m->arena, struct cursor, inputs ? inputs : 1);
    o.heap = arena_new_array(m->arena, uint32_t, inputs ? inputs : 1);
    if (!o.cursors || !o.heap) return merge_no_memory(m->error);
    m->unit_count = 0;
    for (size_t w = 0; w < m->window_count; w++) m->windows[w].rows = 0;
    for (uint32_t i = 0; i < inputs; i++) {
        const struct section_event *event = section_find_event(m->inputs[i].section->section, event_id);
        if (!event) continue;
        TRY(begin_input(&o, i, event));
        enum status status = next_stretch(&o, i);
        if (status == STATUS_NOT_FOUND) continue;
        if (status != STATUS_OK) return status;
        o.heap[o.heap_count++] = i;
    }
    for (size_t at = o.heap_count / 2; at-- > 0;) sift_down(&o, at);
    if (o.moved_count) qsort(o.moved, o.moved_count, sizeof *o.moved, stretch_cmp);
    while (o.heap_count || o.moved_next < o.moved_count) TRY(take_group(&o));
    if (m->window_count == 1) {
        m->places = o.place;
        if (o.place > o.unit_from) {
            TRY(merge_add_unit(m, 0, o.unit_from, o.place, false));
            m->room -= o.place - o.unit_from;
        }
    } else {
        TRY(lay_out(&o));
    }
    bound_vectors(m);
    return STATUS_OK;
}
