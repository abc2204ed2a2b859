/* Memtables and merges against a naive model: a plain list of rows, sorted with the rule of docs/formats/section.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/civil.h"
#include "base/hash.h"
#include "store/memtable.h"
#include "store/merge.h"
#include "store/pile.h"
#include "store/run.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define T0         1700000000000LL
#define ROWS_MAX   6000
#define IDS        60
#define PROPERTIES 9

struct row {
    uint32_t event, id, number, section, place; /* place: row in the section */
    int64_t time_ms;
    bool dead, keyed;
    uint32_t key;
};

struct world {
    struct id_graph *ids;
    struct memtable mem;
    struct row rows[ROWS_MAX];
    uint32_t count, sealed;                         /* rows[sealed..count) are in the memtable */
    struct version_section sections[64], piles[64]; /* the same rows */
    uint32_t section_count;
    uint64_t random;
};

static uint64_t rnd(struct world *w, uint64_t below)
{
    return (w->random = hash_u64(w->random, 3)) % below;
}

static struct world *new_world(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->ids = id_graph_new();
    w->random = seed;
    memtable_init(&w->mem);
    for (uint32_t i = 1; i <= IDS; i++) {
        char text[16];
        uint32_t id;
        snprintf(text, sizeof text, "u%u", i);
        assert_int_equal(id_graph_intern(w->ids, str_of(text), &id), STATUS_OK);
    }
    return w;
}

static void end_world(struct world *w)
{
    for (uint32_t i = 0; i < w->section_count; i++) {
        section_unref(w->sections[i].section);
        deletes_unref(w->sections[i].deletes);
        section_unref(w->piles[i].section);
    }
    memtable_fini(&w->mem);
    id_graph_free(w->ids);
    free(w);
}

/* What a row holds follows from its number. */
static struct value property_of(uint32_t number, uint32_t property)
{
    static char texts[16][32];
    static unsigned next;
    char *text = texts[next++ % 16];
    uint64_t h = hash_u64(number, property);
    switch (property) {
    case 0: return value_int(number);
    case 1: return h % 2 ? value_int((int64_t)(h % 1000)) : value_absent();
    case 2: return h % 70 == 0 ? value_bool(true) : value_absent(); /* rare */
    case 4: return h % 5 ? value_number((double)(h % 100000) / 100) : value_absent();
    case 5: /* few texts, which ones changes with time */
        snprintf(text, 32, "plan %u", (unsigned)(h % 7 + number / 1000));
        return value_str(str_of(text));
    case 6: /* each its own */
        snprintf(text, 32, "%016llx", (unsigned long long)h);
        return h % 9 ? value_str(str_of(text)) : value_absent();
    case 7: return value_int(h % 4 ? (int64_t)h : -(int64_t)(h >> 1)); /* no double holds these */
    case 3: return h % 3 ? value_number((double)(h % 1000) / 7) : h % 2 ? value_null() : value_str(STR("text"));
    default: return number % 500 == 7 ? value_int(-1) : value_absent(); /* very rare */
    }
}

static void add_batch(struct world *w, uint32_t count)
{
    struct buf bytes = BUF_INIT(1 << 20);
    size_t starts[200], ends[200], inserts[200];
    char text[16];
    assert_true(count <= 200);
    for (uint32_t i = 0; i < count; i++) {
        struct row *row = &w->rows[w->count + i];
        uint32_t key = (uint32_t)rnd(w, 300);
        *row = (struct row){
            .keyed = rnd(w, 2), .number = w->count + i, .key = key, .section = UINT32_MAX, .place = UINT32_MAX};
        uint64_t h = row->keyed ? hash_u64(key, 1) : rnd(w, UINT64_MAX); /* duplicates agree in all fields of the key */
        row->event = (uint32_t)(h % 4);
        row->id = (uint32_t)(h / 4 % (IDS + 1));
        row->time_ms = T0 + (int64_t)(h / 256 % 200) * 3600000 - (h % 50 == 0 ? T0 * 2 : 0);
        starts[i] = bytes.size;
        for (uint32_t p = 0; p < PROPERTIES; p++) {
            struct value value = property_of(row->number, p);
            if (value.type == VALUE_ABSENT) continue;
            buf_varint(&bytes, p);
            value_encode(&bytes, value);
        }
        ends[i] = bytes.size;
        inserts[i] = bytes.size;
        snprintf(text, sizeof text, "k%u", key);
        buf_str_add(&bytes, str_of(text));
    }
    struct frame_bytes *frame = frame_bytes_new(bytes.size);
    uint32_t *ids = calloc(PROPERTIES, sizeof *ids);
    assert_true(frame && ids);
    memcpy(frame->data, bytes.data, bytes.size);
    for (uint32_t p = 0; p < PROPERTIES; p++) ids[p] = p * 10;
    assert_int_equal(memtable_batch(&w->mem, frame, ids, PROPERTIES, T0), STATUS_OK);
    frame_bytes_unref(frame);
    for (uint32_t i = 0; i < count; i++) {
        struct row *row = &w->rows[w->count + i];
        struct mem_row mem = {.time_ms = row->time_ms,
                              .seq = row->number + 1,
                              .properties = frame->data + starts[i],
                              .properties_size = (uint32_t)(ends[i] - starts[i]),
                              .event = row->event,
                              .id = row->id};
        bool duplicate, expected = false;
        size_t end = i + 1 < count ? starts[i + 1] : bytes.size;
        if (row->keyed) {
            mem.insert_id = frame->data + inserts[i];
            mem.insert_size = (uint32_t)(end - inserts[i]);
        }
        for (uint32_t k = w->sealed; k < w->count + i && row->keyed; k++) {
            struct row *old = &w->rows[k];
            if (!old->keyed || old->key != row->key || old->dead) continue;
            old->dead = expected = true;
        }
        id_graph_add_rows(w->ids, row->id, 1);
        struct str insert = str_from(mem.insert_id, mem.insert_size);
        if (mem.insert_id) mem.key = dedup_key(mem.event, mem.id, mem.time_ms, insert);
        assert_int_equal(memtable_add(&w->mem, &mem, &duplicate), STATUS_OK);
        assert_int_equal(duplicate, expected);
    }
    w->count += count;
    buf_fini(&bytes);
}

static const struct world *sorting;
static bool sorting_piles; /* whose rows have had no order but that of arrival */
static int row_cmp(const void *a, const void *b)
{
    const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
    uint32_t p = id_graph_person(sorting->ids, x->id), q = id_graph_person(sorting->ids, y->id);
    if (x->event != y->event) return x->event < y->event ? -1 : 1;
    if (p != q) return p < q ? -1 : 1;
    if (x->time_ms != y->time_ms) return x->time_ms < y->time_ms ? -1 : 1;
    /* Rows of persons that became one later keep the order they had in their section. */
    if (!sorting_piles && x->section == y->section && x->place != UINT32_MAX) return x->place < y->place ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static int row_person_cmp(const struct row *x, const struct row *y)
{
    uint32_t p = id_graph_person(sorting->ids, x->id), q = id_graph_person(sorting->ids, y->id);
    if (x->event != y->event) return x->event < y->event ? -1 : 1;
    return p < q ? -1 : p > q;
}

/* The section must hold exactly these rows in order. `persons`: numbers are those of now. */
static void expect_section(const struct world *w, const struct section *section, struct row **rows, uint32_t count)
{
    struct error error = ERROR_INIT;
    struct arena *arena = arena_new(1 << 26);
    sorting = w;
    qsort(rows, count, sizeof *rows, row_cmp);
    assert_int_equal(section->rows, count);
    uint32_t at = 0;
    for (uint32_t e = 0; e < section->event_count; e++) {
        struct run run;
        assert_int_equal(section->events[e].first_row, at);
        assert_int_equal(run_open(&run, section, &section->events[e], arena, &error), STATUS_OK);
        for (uint32_t v = 0; v < run_vectors(&run); v++) {
            uint32_t persons[VECTOR_ROWS_MAX];
            int64_t times[VECTOR_ROWS_MAX], ids[VECTOR_ROWS_MAX];
            struct vector inserts, values[PROPERTIES];
            assert_int_equal(run_read_persons(&run, v, &error, persons), STATUS_OK);
            assert_int_equal(run_read_times(&run, v, &error, times), STATUS_OK);
            assert_int_equal(run_read_ints(&run, CORE_ID, v, &error, ids), STATUS_OK);
            assert_int_equal(run_read(&run, run_column(&run, CORE_INSERT), v, &error, &inserts), STATUS_OK);
            for (uint32_t p = 0; p < PROPERTIES; p++) {
                static const struct value absent = {.type = VALUE_ABSENT};
                struct run_column *column = run_column(&run, p * 10);
                values[p] = (struct vector){.kind = VECTOR_CONST, .values = &absent};
                if (column) assert_int_equal(run_read(&run, column, v, &error, &values[p]), STATUS_OK);
            }
            for (uint32_t i = 0; i < run_vector_rows(&run, v); i++, at++) {
                struct row *row = rows[at];
                char text[16];
                snprintf(text, sizeof text, "k%u", row->key);
                if (row->place == UINT32_MAX) row->place = at;
                assert_int_equal(section->events[e].event_id, row->event);
                assert_int_equal(persons[i], id_graph_person(w->ids, row->id));
                assert_true(times[i] == row->time_ms && ids[i] == row->id);
                struct value insert = vector_at(&inserts, i);
                if (row->keyed)
                    assert_true(insert.type == VALUE_STRING && str_eq(value_text(insert), str_of(text)));
                else
                    assert_true(insert.type == VALUE_INT && insert.integer == row->number + 1);
                for (uint32_t p = 0; p < PROPERTIES; p++)
                    assert_true(value_cmp(vector_at(&values[p], i), property_of(row->number, p)) == 0);
            }
        }
        run_close(&run);
        arena_reset(arena);
    }
    assert_int_equal(at, count);
    arena_free(arena);
}

/* UINT32_MAX when it is dead; also when it cannot be found. */
static uint32_t pile_place(struct pile *pile, const struct row *row)
{
    char text[16];
    uint32_t found;
    snprintf(text, sizeof text, "k%u", row->key);
    struct str insert_id = str_of(text);
    if (row->keyed) {
        uint64_t key = dedup_key(row->event, row->id, row->time_ms, insert_id);
        assert_int_equal(pile_find(pile, row->event, row->id, row->time_ms, insert_id, key, &found), STATUS_OK);
        return found;
    }
    for (uint32_t place = 0; place < pile->count; place++) {
        struct value insert = pile_insert(pile, place);
        if (insert.type == VALUE_INT && insert.integer == (int64_t)row->number + 1 && !pile_is_dead(pile, place))
            return place;
    }
    return UINT32_MAX;
}

static void seal(struct world *w)
{
    struct error error = ERROR_INIT;
    struct section *section = NULL, *pile = NULL;
    static struct row *rows[ROWS_MAX];
    uint32_t count = 0;
    assert_int_equal(memtable_pile(&w->mem, 1, &error, &pile), STATUS_OK);
    assert_int_equal(w->mem.count, 0);
    for (uint32_t i = w->sealed; i < w->count; i++) {
        w->rows[i].section = w->section_count;
        if (!w->rows[i].dead) rows[count++] = &w->rows[i];
    }
    w->sealed = w->count;
    if (!count) {
        assert_null(pile);
        return;
    }
    struct id_view *view = id_graph_view(w->ids);
    uint32_t links = id_graph_mark(w->ids).links;
    assert_int_equal(section_of_pile(pile, view, links, 1 << 28, &error, &section), STATUS_OK);
    id_view_unref(view);
    expect_section(w, section, rows, count);
    /* some rows are deleted afterwards, as newer duplicates do */
    roaring_bitmap_t *dead = roaring_bitmap_create();
    for (uint32_t i = 0; i < count; i++) {
        if (rnd(w, 6)) continue;
        rows[i]->dead = true;
        roaring_bitmap_add(dead, rows[i]->place);
        pile_kill(pile->pile, pile_place(pile->pile, rows[i]));
    }
    for (uint32_t i = 0; i < count; i++) assert_int_equal(pile_place(pile->pile, rows[i]) == UINT32_MAX, rows[i]->dead);
    w->piles[w->section_count].section = pile;
    w->sections[w->section_count++] = (struct version_section){section, deletes_new(dead)};
}

static void random_merges(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct world *w = new_world(seed);
        while (w->count < ROWS_MAX - 200 && w->section_count < 20) {
            add_batch(w, 1 + (uint32_t)rnd(w, seed % 3 ? 60 : 200));
            if (rnd(w, 4) == 0) seal(w);
            if (rnd(w, 5) == 0) {
                uint32_t a = 1 + (uint32_t)rnd(w, IDS), b = 1 + (uint32_t)rnd(w, IDS);
                assert_int_equal(id_graph_link(w->ids, a, b, a, NULL), STATUS_OK);
            }
        }
        seal(w);
        struct id_view *view = id_graph_view(w->ids);
        for (int form = 0; form < 4; form++) {
            struct error error = ERROR_INIT;
            struct merge_output *outputs;
            size_t count;
            bool split = form % 2;
            sorting_piles = form / 2;
            struct merge_job job = {.inputs = sorting_piles ? w->piles : w->sections,
                                    .input_count = w->section_count,
                                    .ids = view,
                                    .links_applied = id_graph_mark(w->ids).links,
                                    .split = split,
                                    .outputs_max = seed % 4 == 3 ? 2 : 64,
                                    .memory_bytes_max = 1 << 28};
            if (merge_sections(&job, &error, &outputs, &count) != STATUS_OK) fail_msg("%s", error.primary);
            assert_true(split ? count > 1 : count == 1);
            uint32_t total = 0;
            for (size_t o = 0; o < count; o++) {
                struct section *section;
                static struct row *rows[ROWS_MAX];
                uint32_t expected = 0;
                assert_int_equal(section_open_image(&outputs[o].image, outputs[o].directory, 1, &error, &section),
                                 STATUS_OK);
                int64_t from = section->window_day * DAY_MS, to = from + (DAY_MS << section->window_log2);
                for (uint32_t i = 0; i < w->count; i++) {
                    bool inside = !split || (w->rows[i].time_ms >= from && w->rows[i].time_ms < to);
                    if (!w->rows[i].dead && inside) rows[expected++] = &w->rows[i];
                }
                expect_section(w, section, rows, expected);
                total += expected;
                section_unref(section);
            }
            for (uint32_t i = 0; i < w->count; i++) total -= !w->rows[i].dead;
            assert_int_equal(total, 0); /* every live row is in exactly one output */
            merge_outputs_free(outputs, count);
        }
        sorting_piles = false;
        id_view_unref(view);
        end_world(w);
    }
}

static enum status keep_bytes(void *buf, struct str bytes)
{
    buf_str_add(buf, bytes);
    return buf_status(buf);
}

/* Several threads write what one writes: to the byte, whether the events fit into the section or not, and whether
 * pieces may wait for each other or have no memory for it. */
static void expect_same_bytes(const struct merge_job *job, const struct buf *stream,
                              const struct merge_output *expected, size_t expected_count)
{
    for (unsigned threads = 2; threads <= 4; threads++) {
        struct error error = ERROR_INIT;
        struct buf other = BUF_INIT(1 << 28);
        struct merge_output *outputs;
        size_t count;
        struct merge_job own = *job;
        own.threads = threads;
        own.write_context = &other;
        if (threads == 4) own.waiting_bytes_max = 20000;
        if (merge_sections(&own, &error, &outputs, &count) != STATUS_OK) fail_msg("%s", error.primary);
        assert_int_equal(count, expected_count);
        for (size_t o = 0; o < count; o++) {
            assert_int_equal(outputs[o].offset, expected[o].offset);
            assert_int_equal(outputs[o].size, expected[o].size);
            assert_int_equal(outputs[o].rows, expected[o].rows);
            assert_int_equal(outputs[o].directory.offset, expected[o].directory.offset);
            assert_int_equal(outputs[o].directory.check, expected[o].directory.check);
        }
        assert_int_equal(other.size, stream->size);
        assert_memory_equal(other.data, stream->data, other.size);
        merge_outputs_free(outputs, count);
        buf_fini(&other);
    }
}

/* Sections that are written as they grow, and cut where they have enough rows: parts of one sorted order, one behind
 * the other in the stream. */
static void written_in_parts(void **state)
{
    (void)state;
    for (uint64_t seed = 20; seed < 32; seed++) {
        struct world *w = new_world(seed);
        static struct row *rows[ROWS_MAX];
        uint32_t live = 0, from = 0;
        while (w->count < 3000) {
            add_batch(w, 1 + (uint32_t)rnd(w, 200));
            if (rnd(w, 4) == 0) seal(w);
            if (rnd(w, 5) == 0) {
                uint32_t a = 1 + (uint32_t)rnd(w, IDS), b = 1 + (uint32_t)rnd(w, IDS);
                assert_int_equal(id_graph_link(w->ids, a, b, a, NULL), STATUS_OK);
            }
        }
        seal(w);
        struct id_view *view = id_graph_view(w->ids);
        struct error error = ERROR_INIT;
        struct buf stream = BUF_INIT(1 << 28);
        struct merge_output *outputs;
        size_t count;
        /* people have more than five rows, an event has fewer than a thousand */
        uint32_t rows_max = seed % 3 == 0 ? 5 : (seed % 4 == 1 ? 1000 : 64) + (uint32_t)rnd(w, 500);
        struct merge_job job = {.inputs = w->sections,
                                .input_count = w->section_count,
                                .ids = view,
                                .links_applied = id_graph_mark(w->ids).links,
                                .fixed = true,
                                .window_day = -32768,
                                .window_log2 = 15,
                                .rows_max = rows_max,
                                .for_file = true,
                                .write = keep_bytes,
                                .write_context = &stream,
                                .memory_bytes_max = 1 << 28};
        if (merge_sections(&job, &error, &outputs, &count) != STATUS_OK) {
            /* one window holds all times only when none is behind 1970 + 2^15 days */
            assert_int_equal(error.status, STATUS_INTERNAL);
            job.fixed = false;
            if (merge_sections(&job, &error, &outputs, &count) != STATUS_OK) fail_msg("%s", error.primary);
        }
        expect_same_bytes(&job, &stream, outputs, count);
        for (uint32_t i = 0; i < w->count; i++) {
            if (!w->rows[i].dead) rows[live++] = &w->rows[i];
        }
        sorting = w;
        qsort(rows, live, sizeof *rows, row_cmp);
        uint64_t end = 0;
        for (size_t o = 0; o < count; o++) {
            struct section *section;
            struct buf image = BUF_INIT(1 << 28);
            assert_int_equal(outputs[o].offset % 64, 0);
            assert_true(outputs[o].offset >= end && outputs[o].rows <= rows_max);
            end = outputs[o].offset + outputs[o].size;
            assert_true(end <= stream.size && from + outputs[o].rows <= live);
            buf_add(&image, stream.data + outputs[o].offset, outputs[o].size);
            assert_int_equal(section_open_image(&image, outputs[o].directory, 1, &error, &section), STATUS_OK);
            /* people are not torn apart unless they have too much */
            if (o && rows_max > 60) assert_int_not_equal(row_person_cmp(rows[from - 1], rows[from]), 0);
            for (uint32_t i = from; i < from + outputs[o].rows; i++) {
                struct row *row = rows[i];
                assert_true(section_has_person(section, id_graph_person(w->ids, row->id)));
                char text[16];
                snprintf(text, sizeof text, "k%u", row->key);
                if (row->keyed)
                    assert_true(
                        section_filter_has(section, dedup_key(row->event, row->id, row->time_ms, str_of(text))));
            }
            expect_section(w, section, rows + from, outputs[o].rows);
            from += outputs[o].rows;
            section_unref(section);
        }
        assert_int_equal(from, live);
        assert_int_equal(end, stream.size);
        assert_true(count >= live / rows_max);
        merge_outputs_free(outputs, count);
        buf_fini(&stream);
        id_view_unref(view);
        end_world(w);
    }
}

static void nothing_left(void **state)
{
    (void)state;
    struct world *w = new_world(1);
    struct error error;
    struct merge_output *outputs;
    size_t count;
    add_batch(w, 50);
    seal(w);
    roaring_bitmap_t *all = roaring_bitmap_create();
    roaring_bitmap_add_range(all, 0, w->sections[0].section->rows);
    deletes_unref(w->sections[0].deletes);
    w->sections[0].deletes = deletes_new(all);
    struct id_view *view = id_graph_view(w->ids);
    for (uint32_t place = 0; place < w->piles[0].section->rows; place++) pile_kill(w->piles[0].section->pile, place);
    for (int form = 0; form < 4; form++) {
        bool split = form % 2;
        struct merge_job job = {.inputs = form / 2 ? w->piles : w->sections,
                                .input_count = 1,
                                .ids = view,
                                .split = split,
                                .outputs_max = 4,
                                .memory_bytes_max = 1 << 26};
        assert_int_equal(merge_sections(&job, &error, &outputs, &count), STATUS_OK);
        assert_int_equal(count, 0);
        merge_outputs_free(outputs, count);
    }
    id_view_unref(view);
    end_world(w);
}

static void windows_hold_their_days(void **state)
{
    (void)state;
    static const int64_t days[] = {0, 1, -1, 5, -7, 19000, 19001, 19023, -40000, 32767, 32768};
    for (size_t a = 0; a < sizeof days / sizeof *days; a++) {
        for (size_t b = 0; b < sizeof days / sizeof *days; b++) {
            int64_t low = days[a] < days[b] ? days[a] : days[b], high = days[a] < days[b] ? days[b] : days[a], day;
            uint32_t log2;
            window_around(low * DAY_MS, high * DAY_MS + DAY_MS - 1, &day, &log2);
            assert_true(day <= low && log2 <= SECTION_LOG2_MAX);
            assert_int_equal(floor_div(day, (int64_t)1 << log2) * ((int64_t)1 << log2), day);
            assert_true(day + ((int64_t)1 << log2) > high || log2 == SECTION_LOG2_MAX);
            if (low == high) assert_int_equal(log2, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_merges),
        cmocka_unit_test(written_in_parts),
        cmocka_unit_test(nothing_left),
        cmocka_unit_test(windows_hold_their_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
