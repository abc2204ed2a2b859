/* Sections, in RAM and in a file: runs of many vectors and blocks read back row by row; the probe finds exactly the
 * rows there are; the block cache verifies, bounds and keeps what is pinned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/civil.h"
#include "base/hash.h"
#include "os/sim.h"
#include "store/filter.h"
#include "store/run.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define WINDOW_DAY 19000

struct rows {
    uint32_t count;
    uint32_t *persons, *ids;
    int64_t *times, *received;
    struct value *inserts;
    uint8_t *flags;
    char (*texts)[16];
};

/* Sorted rows: persons with 1 to `heap` rows each, several rows at one time, every third without insert id. */
static struct rows make_rows(uint32_t count, uint32_t heap, uint64_t seed)
{
    struct rows r = {.count = count};
    r.persons = calloc(count, sizeof *r.persons);
    r.ids = calloc(count, sizeof *r.ids);
    r.times = calloc(count, sizeof *r.times);
    r.received = calloc(count, sizeof *r.received);
    r.inserts = calloc(count, sizeof *r.inserts);
    r.flags = calloc(count, 1);
    r.texts = calloc(count, sizeof *r.texts);
    uint32_t person = 0, left = 0;
    int64_t time = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (left == 0) {
            person += 1 + (uint32_t)(hash_u64(i, seed) % 3);
            left = 1 + (uint32_t)(hash_u64(i, seed + 1) % heap);
            time = WINDOW_DAY * DAY_MS + (int64_t)(hash_u64(i, seed + 2) % 3600000);
        }
        left--;
        if (hash_u64(i, seed + 3) % 3) time += (int64_t)(hash_u64(i, seed + 4) % 5000);
        r.persons[i] = person;
        r.ids[i] = person + (uint32_t)(i % 2) * 100000;
        r.times[i] = time;
        r.received[i] = time + 5;
        r.flags[i] = i % 4 == 0;
        snprintf(r.texts[i], sizeof r.texts[i], "%x", i);
        r.inserts[i] = i % 3 ? value_str(str_of(r.texts[i])) : value_int(i);
    }
    return r;
}

static void free_rows(struct rows *r)
{
    free(r->persons);
    free(r->ids);
    free(r->times);
    free(r->received);
    free(r->inserts);
    free(r->flags);
    free(r->texts);
}

static struct value property_of(uint32_t row)
{
    return row % 5 ? value_int(row / 3) : value_absent();
}

/* Two runs, of the same rows: event 3 with a property, event 8 without. */
static void build(const struct rows *r, struct buf *image, struct section_ref *directory)
{
    struct section_plan plan = {.window_day = WINDOW_DAY,
                                .links_applied = 7,
                                .keys = r->count * 2,
                                .for_file = true,
                                .bytes_max = (size_t)1 << 28};
    struct section_builder *builder = section_builder_new(&plan);
    uint64_t size;
    struct section_rows rows = {r->count, r->persons, r->ids, r->times, r->received, r->inserts, r->flags, NULL};
    struct value *values = calloc(r->count, sizeof *values), rare = value_str(STR("rare"));
    uint32_t last = r->count - 1;
    assert_true(builder && values);
    for (uint32_t i = 0; i < r->count; i++) values[i] = property_of(i);
    assert_int_equal(section_builder_run(builder, 3, &rows), STATUS_OK);
    assert_int_equal(section_builder_column(builder, 1, values), STATUS_OK);
    assert_int_equal(section_builder_sparse(builder, 4, &last, &rare, 1), STATUS_OK);
    assert_int_equal(section_builder_run_end(builder), STATUS_OK);
    assert_int_equal(section_builder_run(builder, 8, &rows), STATUS_OK);
    assert_int_equal(section_builder_run_end(builder), STATUS_OK);
    assert_int_equal(section_builder_rows(builder), r->count * 2);
    assert_int_equal(section_builder_finish(builder, image, directory, &size), STATUS_OK);
    assert_int_equal(size, image->size);
    section_builder_free(builder);
    free(values);
}

static void check_rows(const struct section *section, const struct rows *r)
{
    struct error error = ERROR_INIT;
    struct arena *arena = arena_new(1 << 26);
    assert_int_equal(section->rows, r->count * 2);
    assert_int_equal(section->links_applied, 7);
    assert_null(section_find_event(section, 4));
    for (uint32_t e = 3; e <= 8; e += 5) {
        struct run run;
        const struct section_event *event = section_find_event(section, e);
        assert_non_null(event);
        assert_int_equal(event->first_row, e == 3 ? 0 : r->count);
        assert_int_equal(run_open(&run, section, event, arena, &error), STATUS_OK);
        struct run_column *column = run_column(&run, 1), *rare = run_column(&run, 4),
                          *inserts = run_column(&run, CORE_INSERT);
        assert_true((column != NULL) == (e == 3 && r->count > 1) && (rare != NULL) == (e == 3) && inserts &&
                    !run_column(&run, 2));
        for (uint32_t v = 0; v < run_vectors(&run); v++) {
            uint32_t persons[VECTOR_ROWS_MAX];
            int64_t times[VECTOR_ROWS_MAX], ids[VECTOR_ROWS_MAX], flags[VECTOR_ROWS_MAX];
            struct vector values = {0}, texts, rares = {0};
            assert_int_equal(run_read_persons(&run, v, &error, persons), STATUS_OK);
            assert_int_equal(run_read_times(&run, v, &error, times), STATUS_OK);
            assert_int_equal(run_read_ints(&run, CORE_ID, v, &error, ids), STATUS_OK);
            assert_int_equal(run_read_ints(&run, CORE_FLAGS, v, &error, flags), STATUS_OK);
            assert_int_equal(run_read(&run, inserts, v, &error, &texts), STATUS_OK);
            if (column) assert_int_equal(run_read(&run, column, v, &error, &values), STATUS_OK);
            if (rare) assert_int_equal(run_read(&run, rare, v, &error, &rares), STATUS_OK);
            for (uint32_t i = 0; i < run_vector_rows(&run, v); i++) {
                uint32_t row = v * VECTOR_ROWS_MAX + i;
                assert_true(persons[i] == r->persons[row] && times[i] == r->times[row] && ids[i] == r->ids[row]);
                assert_true(flags[i] == r->flags[row] && value_cmp(vector_at(&texts, i), r->inserts[row]) == 0);
                if (column) assert_true(value_cmp(vector_at(&values, i), property_of(row)) == 0);
                if (rare) assert_true((vector_at(&rares, i).type == VALUE_STRING) == (row == r->count - 1));
            }
        }
        run_close(&run);
        arena_reset(arena);
    }
    arena_free(arena);
}

static void check_probe(const struct section *section, const struct rows *r)
{
    struct error error;
    for (uint32_t k = 0; k < 300; k++) {
        uint32_t i = k < 4 ? k * (r->count - 1) / 3 : (uint32_t)(hash_u64(k, 17) % r->count), row = 0;
        struct str text = str_of(r->texts[i]);
        uint32_t persons[] = {999999, r->persons[i], 1};
        enum status expected = r->inserts[i].type == VALUE_STRING ? STATUS_OK : STATUS_NOT_FOUND;
        assert_int_equal(run_probe(section, 8, persons, 3, r->ids[i], r->times[i], text, &error, &row), expected);
        if (expected == STATUS_OK) {
            assert_int_equal(row, r->count + i);
            assert_true(section_filter_has(section, dedup_key(8, r->ids[i], r->times[i], text)));
        }
        /* one field different: not there */
        assert_int_equal(run_probe(section, 9, persons, 3, r->ids[i], r->times[i], text, &error, &row),
                         STATUS_NOT_FOUND);
        assert_int_equal(run_probe(section, 8, persons, 1, r->ids[i], r->times[i], text, &error, &row),
                         STATUS_NOT_FOUND);
        assert_int_equal(run_probe(section, 8, persons, 3, r->ids[i] + 1, r->times[i], text, &error, &row),
                         STATUS_NOT_FOUND);
        assert_int_equal(run_probe(section, 8, persons, 3, r->ids[i], r->times[i] + 1, text, &error, &row),
                         STATUS_NOT_FOUND);
        assert_int_equal(run_probe(section, 8, persons, 3, r->ids[i], r->times[i], STR("zz"), &error, &row),
                         STATUS_NOT_FOUND);
    }
}

static const struct {
    uint32_t count, heap;
} shapes[] = {{1, 1}, {1023, 5}, {1024, 1}, {1025, 2000}, {5000, 1}, {20000, 3000}, {40000, 20}, {20000, 100000}};

static void images_read_back(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        struct rows r = make_rows(shapes[s].count, shapes[s].heap, s);
        struct buf image;
        struct section_ref directory;
        struct section *section;
        struct error error = ERROR_INIT;
        build(&r, &image, &directory);
        assert_int_equal(section_open_image(&image, directory, 1, &error, &section), STATUS_OK);
        check_rows(section, &r);
        check_probe(section, &r);
        section_unref(section);
        free_rows(&r);
    }
}

static struct section_file *write_file(struct sim *sim, const struct buf *image, uint64_t base)
{
    struct error error;
    struct section_file *file = calloc(1, sizeof *file);
    atomic_init(&file->refs, 1);
    file->file_id = 5;
    assert_int_equal(os_open(sim_fs(sim), "file", OS_WRITE | OS_CREATE, &error, &file->file), STATUS_OK);
    assert_int_equal(os_pwrite(file->file, image->data, image->size, base, &error), STATUS_OK);
    return file;
}

/* The same from a file, through a cache that holds everything, one that holds little, and one that holds nothing. */
static void files_read_back(void **state)
{
    (void)state;
    static const size_t caches[] = {1 << 26, 50000, 0};
    struct rows r = make_rows(20000, 700, 3);
    for (size_t c = 0; c < 3; c++) {
        struct sim *sim = sim_new(1);
        struct cache *cache = cache_new(caches[c]);
        struct buf image;
        struct section_ref directory;
        struct section *section;
        struct error error = ERROR_INIT;
        build(&r, &image, &directory);
        struct section_file *file = write_file(sim, &image, 640);
        assert_int_equal(section_open_file(file, cache, 640, image.size, directory, 1, 0, &error, &section), STATUS_OK);
        section_file_unref(file);
        check_rows(section, &r);
        assert_true(cache_bytes(cache) <= caches[c]);
        uint64_t reads = sim_calls(sim, SIM_READ);
        check_rows(section, &r);
        if (c == 0) assert_int_equal(sim_calls(sim, SIM_READ), reads);
        check_probe(section, &r);
        section_unref(section);
        cache_free(cache);
        buf_fini(&image);
        os_fs_free(sim_fs(sim));
    }
    free_rows(&r);
}

/* A pinned block stays while others push it out; wrong bytes and failed reads are errors and are not kept. */
static void the_cache(void **state)
{
    (void)state;
    struct sim *sim = sim_new(1);
    struct cache *cache = cache_new(4000);
    struct buf bytes = BUF_INIT(1 << 20);
    struct error error = ERROR_INIT;
    for (uint32_t i = 0; i < 12500; i++) buf_u64(&bytes, hash_u64(i, 1));
    struct section_file *file = write_file(sim, &bytes, 0);
    struct pinned first, other;
    struct section_ref ref = {0, hash_bytes(bytes.data, 1000, 0), 1000};
    assert_int_equal(cache_fetch(cache, file->file, 5, 0, ref, &error, &first), STATUS_OK);
    for (uint32_t i = 1; i < 100; i++) {
        struct section_ref next = {i * 1000, hash_bytes(bytes.data + i * 1000, 1000, 0), 1000};
        assert_int_equal(cache_fetch(cache, file->file, 5, 0, next, &error, &other), STATUS_OK);
        assert_memory_equal(other.bytes.data, bytes.data + i * 1000, 1000);
        pinned_release(&other);
        assert_true(cache_bytes(cache) <= 4000);
    }
    assert_memory_equal(first.bytes.data, bytes.data, 1000);
    uint64_t reads = sim_calls(sim, SIM_READ);
    assert_int_equal(cache_fetch(cache, file->file, 5, 0, ref, &error, &other), STATUS_OK);
    assert_ptr_equal(other.bytes.data, first.bytes.data);
    assert_int_equal(sim_calls(sim, SIM_READ), reads);
    pinned_release(&other);
    pinned_release(&first);
    ref = (struct section_ref){50000, 1, 1000};
    assert_int_equal(cache_fetch(cache, file->file, 6, 0, ref, &error, &other), STATUS_CORRUPT);
    assert_non_null(strstr(error.primary, "0000000000000006"));
    ref.check = hash_bytes(bytes.data + 50000, 1000, 0);
    sim_fail(sim, SIM_READ, SIM_ERROR, 1, 1, NULL);
    assert_int_equal(cache_fetch(cache, file->file, 6, 0, ref, &error, &other), STATUS_IO);
    sim_fail(sim, SIM_READ, SIM_FLIP, 1, 1, NULL);
    assert_int_equal(cache_fetch(cache, file->file, 6, 0, ref, &error, &other), STATUS_CORRUPT);
    assert_int_equal(cache_fetch(cache, file->file, 6, 0, ref, &error, &other), STATUS_OK);
    pinned_release(&other);
    section_file_unref(file);
    cache_free(cache);
    buf_fini(&bytes);
    os_fs_free(sim_fs(sim));
}

static void an_empty_image(void **state)
{
    (void)state;
    struct buf image = BUF_INIT(10);
    struct section *section;
    struct error error;
    assert_int_equal(section_open_image(&image, (struct section_ref){0}, 1, &error, &section), STATUS_CORRUPT);
}

/* Flipped bits in an image (behind the checksums): an error or other values, never a wild read. */
static void damaged_images(void **state)
{
    (void)state;
    struct rows r = make_rows(1500, 30, 5);
    struct buf image;
    struct section_ref directory;
    build(&r, &image, &directory);
    for (uint32_t k = 0; k < 3000; k++) {
        struct error error = ERROR_INIT;
        struct section *section;
        struct buf copy = BUF_INIT(image.size);
        uint64_t h = hash_u64(k, 3), at = k % 2 ? directory.offset + h % directory.size : h % image.size;
        buf_str_add(&copy, buf_str(&image));
        copy.data[at] = (char)(copy.data[at] ^ 1 << h / 65536 % 8);
        if (section_open_image(&copy, directory, 1, &error, &section) != STATUS_OK) continue;
        struct arena *arena = arena_new(1 << 24);
        for (uint32_t e = 0; e < section->event_count; e++) {
            struct run run;
            uint32_t persons[VECTOR_ROWS_MAX] = {1, 2, 3}, row;
            int64_t times[VECTOR_ROWS_MAX];
            struct vector vector;
            (void)!run_probe(section, section->events[e].event_id, persons, 3, 2, r.times[0], STR("1"), &error, &row);
            if (run_open(&run, section, &section->events[e], arena, &error) != STATUS_OK) continue;
            for (uint32_t v = 0; v < run_vectors(&run) && v < 3; v++) {
                (void)!run_read_persons(&run, v, &error, persons);
                (void)!run_read_times(&run, v, &error, times);
                for (uint32_t c = 0; c < run.column_count; c++)
                    (void)!run_read(&run, &run.columns[c], v, &error, &vector);
            }
            run_close(&run);
        }
        arena_free(arena);
        section_unref(section);
    }
    buf_fini(&image);
    free_rows(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_read_back), cmocka_unit_test(files_read_back), cmocka_unit_test(the_cache),
        cmocka_unit_test(an_empty_image),   cmocka_unit_test(damaged_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
