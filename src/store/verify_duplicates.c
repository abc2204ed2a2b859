/*
 * No two rows that count may have the same duplicate key (event, id as sent, time, insert id), in whatever sections
 * they are. All keys do not fit in memory, so the work is done in passes, each over all sections and over the keys
 * whose highest bits are the pass's number. Keys are hashes; rows with equal ones are read again and compared.
 */
#include "store/verify_int.h"

#include <stdlib.h>

#define MEMORY_BYTES ((size_t)256 << 20)
#define PASSES_MAX   4096u

struct keyed_row {
    uint64_t key;
    uint32_t section, row; /* index into `sections`, row in the section */
};
struct located {
    const struct offline_file *file;
    const struct offline_section *at;
};
struct duplicates {
    struct verify *verify;
    struct located *sections;
    uint32_t section_count;
    struct keyed_row *rows;
    size_t count, capacity;
    unsigned pass, shift; /* keys with key >> shift == pass; 64: all */
};

static bool is_live(const struct offline_section *at, uint32_t row)
{
    return !at->deletes || !roaring_bitmap_contains(at->deletes->rows, row);
}

static void collect_run(struct duplicates *d, uint32_t index, const struct section_event *event)
{
    const struct offline_section *at = d->sections[index].at;
    int64_t times[VECTOR_ROWS_MAX], ids[VECTOR_ROWS_MAX];
    struct error error;
    struct vector vector;
    struct run run;
    arena_reset(d->verify->arena);
    if (run_open(&run, at->section, event, d->verify->arena, &error) != STATUS_OK) return; /* reported before */
    struct run_column *column = run_column(&run, CORE_INSERT);
    for (uint32_t v = 0; column && v < run_vectors(&run); v++) {
        if (run_read(&run, column, v, &error, &vector) != STATUS_OK ||
            run_read_times(&run, v, &error, times) != STATUS_OK ||
            run_read_ints(&run, CORE_ID, v, &error, ids) != STATUS_OK)
            break;
        for (uint32_t i = 0; i < vector.count; i++) {
            struct value insert = vector_at(&vector, i);
            uint32_t row = event->first_row + v * VECTOR_ROWS_MAX + i;
            if (insert.type != VALUE_STRING) continue;
            uint64_t key = dedup_key(event->event_id, (uint32_t)ids[i], times[i], value_text(insert));
            if ((d->shift < 64 && key >> d->shift != d->pass) || !is_live(at, row)) continue;
            if (d->count == d->capacity) { /* hashes are even, but not exactly */
                d->capacity = d->capacity ? d->capacity * 2 : 4096;
                struct keyed_row *grown = realloc(d->rows, d->capacity * sizeof *grown);
                if (!grown) abort();
                d->rows = grown;
            }
            d->rows[d->count++] = (struct keyed_row){key, index, row};
        }
    }
    run_close(&run);
}

struct row_fields {
    uint32_t event;
    int64_t id, time_ms;
    struct str insert_id; /* in the arena */
};

static bool read_fields(struct duplicates *d, const struct keyed_row *keyed, struct arena *arena,
                        struct row_fields *ret)
{
    const struct section *section = d->sections[keyed->section].at->section;
    const struct section_event *event = section->events;
    while (keyed->row >= event->first_row + event->rows) event++;
    int64_t times[VECTOR_ROWS_MAX], ids[VECTOR_ROWS_MAX];
    uint32_t v = (keyed->row - event->first_row) / VECTOR_ROWS_MAX;
    uint32_t i = (keyed->row - event->first_row) % VECTOR_ROWS_MAX;
    struct error error;
    struct vector vector;
    struct run run;
    if (run_open(&run, section, event, arena, &error) != STATUS_OK) return false;
    bool good = run_read(&run, run_column(&run, CORE_INSERT), v, &error, &vector) == STATUS_OK &&
                run_read_times(&run, v, &error, times) == STATUS_OK &&
                run_read_ints(&run, CORE_ID, v, &error, ids) == STATUS_OK;
    if (good)
        *ret =
            (struct row_fields){event->event_id, ids[i], times[i], arena_str(arena, value_text(vector_at(&vector, i)))};
    run_close(&run);
    return good && ret->insert_id.data;
}

static void compare(struct duplicates *d, const struct keyed_row *a, const struct keyed_row *b)
{
    const struct located *x = &d->sections[a->section], *y = &d->sections[b->section];
    struct row_fields first, second;
    arena_reset(d->verify->arena);
    if (x->at->project != y->at->project || !read_fields(d, a, d->verify->arena, &first) ||
        !read_fields(d, b, d->verify->arena, &second) || first.event != second.event || first.id != second.id ||
        first.time_ms != second.time_ms || !str_eq(first.insert_id, second.insert_id))
        return;
    struct section_check check = {.verify = d->verify, .file = x->file, .at = x->at};
    section_finding(&check, x->at->directory.offset,
                    "row %u and row %u of section %u of file %016llx are the same event, and both count", a->row,
                    b->row, (unsigned)(y->at - y->file->sections), (unsigned long long)y->file->file_id);
}

static int keyed_cmp(const void *a, const void *b)
{
    const struct keyed_row *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    if (x->section != y->section) return x->section < y->section ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

void verify_duplicates(struct verify *v)
{
    struct duplicates d = {.verify = v, .shift = 64};
    uint64_t rows = 0;
    size_t sections = 0, budget = v->options->memory_bytes_max ? v->options->memory_bytes_max : MEMORY_BYTES;
    for (size_t f = 0; f < v->offline->file_count; f++) sections += v->offline->files[f].section_count;
    d.sections = calloc(sections + 1, sizeof *d.sections);
    if (!d.sections) abort();
    for (size_t f = 0; f < v->offline->file_count; f++) {
        const struct offline_file *file = &v->offline->files[f];
        for (uint32_t s = 0; s < file->section_count; s++) {
            if (!file->sections[s].section || file->sections[s].dropped) continue;
            d.sections[d.section_count++] = (struct located){file, &file->sections[s]};
            rows += file->sections[s].section->rows;
        }
    }
    unsigned passes = 1;
    while (passes < PASSES_MAX && rows / passes * sizeof(struct keyed_row) > budget) {
        passes *= 2;
        d.shift--;
    }
    for (d.pass = 0; d.pass < passes; d.pass++) {
        d.count = 0;
        for (uint32_t s = 0; s < d.section_count; s++) {
            const struct section *section = d.sections[s].at->section;
            for (uint32_t e = 0; e < section->event_count; e++) collect_run(&d, s, &section->events[e]);
        }
        if (d.count) qsort(d.rows, d.count, sizeof *d.rows, keyed_cmp);
        for (size_t i = 1; i < d.count; i++) {
            if (d.rows[i].key == d.rows[i - 1].key) compare(&d, &d.rows[i - 1], &d.rows[i]);
        }
    }
    free(d.rows);
    free(d.sections);
}
