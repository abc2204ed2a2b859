/* Catalog files: however they are joined they say the same; damage is refused; what is joined lies in bounded blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "os/sim.h"
#include "store/catalog.h"
#include "store/event_files.h"
#include "store/file_header.h"
#include "store/ids.h"
#include "store/names.h"

#include <stdio.h>
#include <stdlib.h>

#define PROJECTS 3
#define FILES    40

static const unsigned char node[16] = "catalog-test-nod";

struct content { /* of one data directory */
    struct names *events[PROJECTS], *properties[PROJECTS];
    struct id_graph *ids[PROJECTS];
};

static void content_init(struct content *content)
{
    for (size_t p = 0; p < PROJECTS; p++) {
        content->events[p] = names_new(100000);
        content->properties[p] = names_new(100000);
        content->ids[p] = id_graph_new();
    }
}

static void content_fini(struct content *content)
{
    for (size_t p = 0; p < PROJECTS; p++) {
        names_free(content->events[p]);
        names_free(content->properties[p]);
        id_graph_free(content->ids[p]);
    }
}

static bool find(void *ctx, uint64_t project, struct catalog_target *ret_target)
{
    struct content *content = ctx;
    assert_true(project < PROJECTS);
    *ret_target =
        (struct catalog_target){content->events[project], content->properties[project], content->ids[project]};
    return true;
}

struct directory {
    struct sim *sim;
    struct os_fs *fs;
    struct manifest_file files[FILES];
    size_t count;
    uint64_t next;
};

/* The files [from, from + count) and `out` become one. */
static enum status join(struct directory *d, size_t from, const struct catalog_out *out)
{
    struct catalog_file sources[FILES + 1];
    struct os_file *handles[FILES];
    struct error error = ERROR_INIT;
    struct manifest_file joined;
    size_t count = d->count - from;
    for (size_t i = 0; i < count; i++) {
        char name[64];
        event_file_name(name, d->files[from + i].file_id, "cat");
        assert_int_equal(os_open(d->fs, name, OS_READ, &error, &handles[i]), STATUS_OK);
        assert_int_equal(catalog_open(handles[i], name, &d->files[from + i], node, &error, &sources[i]), STATUS_OK);
    }
    if (out) catalog_of_out(out, &sources[count]);
    enum status status = catalog_join(d->fs, node, d->next, 7, sources, count + (out != NULL), &error, &joined);
    assert_int_equal(status, error.status);
    if (status == STATUS_CORRUPT && !strstr(error.primary, ".cat")) fail_msg("which file? %s", error.primary);
    for (size_t i = 0; i < count; i++) {
        catalog_fini(&sources[i]);
        os_close(handles[i]);
    }
    if (status != STATUS_OK) return status;
    d->next++;
    d->count = from;
    d->files[d->count++] = joined;
    return STATUS_OK;
}

static enum status load(struct directory *d, struct content *content, struct error *error)
{
    struct catalog_file files[FILES] = {{.file = NULL}};
    struct os_file *handles[FILES] = {NULL};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < d->count && status == STATUS_OK; i++) {
        char name[64];
        event_file_name(name, d->files[i].file_id, "cat");
        status = os_open(d->fs, name, OS_READ, error, &handles[i]);
        if (status == STATUS_OK) status = catalog_open(handles[i], name, &d->files[i], node, error, &files[i]);
    }
    const struct catalog_file *bad;
    struct catalog_load load = {.files = files, .file_count = d->count, .threads = 2, .find = find, .ctx = content};
    if (status == STATUS_OK) status = catalog_load(&load, error, &bad);
    for (size_t i = 0; i < d->count; i++) {
        for (size_t b = 0; b < files[i].count; b++)
            assert_true(files[i].blocks[b].size <= CATALOG_BLOCK_BYTES || files[i].blocks[b].count == 1);
        catalog_fini(&files[i]);
        os_close(handles[i]);
    }
    return status;
}

static void live(struct content *content, uint64_t seed, uint32_t step)
{
    uint64_t r = hash_u64(step, seed);
    size_t p = r % 7 < 5 ? 1 : r % 7 == 5 ? 0 : 2;
    struct id_graph *ids = content->ids[p];
    uint32_t count = id_graph_count(ids), number;
    char text[64];
    snprintf(text, sizeof text, "%llu-%u", (unsigned long long)(r >> 50), step % 1000);
    switch (r / 8 % 8) {
    case 0: assert_int_equal(names_intern(content->events[p], str_of(text), &number), STATUS_OK); return;
    case 1: assert_int_equal(names_intern(content->properties[p], str_of(text), &number), STATUS_OK); return;
    case 2:
    case 3: assert_int_equal(id_graph_intern(ids, str_of(text), &number), STATUS_OK); return;
    }
    if (!count) return;
    uint32_t a = 1 + (uint32_t)(r / 64 % count), b = 1 + (uint32_t)(r / 65536 % count);
    if (!id_graph_person(ids, a) || !id_graph_person(ids, b)) return;
    if (r / 8 % 8 < 7)
        id_graph_add_rows(ids, a, (uint32_t)(r >> 40) % 100);
    else if (r % 50 == 0)
        assert_int_equal(id_graph_forget(ids, id_graph_person(ids, a)), STATUS_OK);
    else
        assert_int_equal(id_graph_link(ids, a, b, a, NULL), STATUS_OK);
}

static void assert_same(struct content *one, struct content *two)
{
    for (size_t p = 0; p < PROJECTS; p++) {
        assert_int_equal(names_count(one->events[p]), names_count(two->events[p]));
        assert_int_equal(names_count(one->properties[p]), names_count(two->properties[p]));
        for (uint32_t i = 0; i < names_count(one->events[p]); i++)
            assert_true(str_eq(names_text(one->events[p], i), names_text(two->events[p], i)));
        struct id_graph *x = one->ids[p], *y = two->ids[p];
        struct id_mark mx = id_graph_mark(x), my = id_graph_mark(y);
        assert_memory_equal(&mx, &my, sizeof mx);
        for (uint32_t id = 1; id <= id_graph_count(x); id++) {
            uint32_t person = id_graph_person(x, id);
            assert_int_equal(person, id_graph_person(y, id));
            if (!person) continue;
            assert_int_equal(id_graph_shown(x, person), id_graph_shown(y, person));
            char room[2][ID_TEXT_ROOM];
            assert_true(str_eq(id_graph_text(x, id, room[0]), id_graph_text(y, id, room[1])));
        }
        /* Which side of a link survives tells the weights. */
        for (uint32_t i = 0; i < 100 && id_graph_count(x); i++) {
            uint32_t a = 1 + (uint32_t)(hash_u64(i, 1) % mx.ids), b = 1 + (uint32_t)(hash_u64(i, 2) % mx.ids);
            if (!id_graph_person(x, a) || !id_graph_person(x, b)) continue;
            assert_int_equal(id_graph_link(x, a, b, b, NULL), STATUS_OK);
            assert_int_equal(id_graph_link(y, a, b, b, NULL), STATUS_OK);
            assert_int_equal(id_graph_person(x, a), id_graph_person(y, a));
        }
    }
}

struct marks {
    uint32_t events, properties;
    struct id_mark ids;
};

static void gather(struct content *content, struct marks *marks, struct catalog_out *out)
{
    catalog_out_init(out, 1 << 24);
    for (size_t p = 0; p < PROJECTS; p++) {
        struct names *names[] = {content->events[p], content->properties[p]};
        uint32_t *first[] = {&marks[p].events, &marks[p].properties};
        for (size_t k = 0; k < 2; k++) {
            catalog_begin(out, p, k ? CATALOG_PROPERTIES : CATALOG_EVENTS, *first[k]);
            uint32_t count = names_export(names[k], *first[k], SIZE_MAX, &out->bytes);
            catalog_end(out, count);
            *first[k] += count;
        }
        id_graph_save(content->ids[p], marks[p].ids, p, out);
        marks[p].ids = id_graph_mark(content->ids[p]);
        id_graph_saved(content->ids[p], marks[p].ids);
    }
    assert_int_equal(catalog_out_status(out), STATUS_OK);
}

static void directory_init(struct directory *d, uint64_t seed)
{
    struct error error;
    *d = (struct directory){.sim = sim_new(seed), .next = 1};
    d->fs = sim_fs(d->sim);
    assert_int_equal(os_mkdir(d->fs, "events", &error), STATUS_OK);
}

static void however_they_are_joined(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct directory d;
        struct content content, loaded;
        struct marks marks[PROJECTS] = {{0}};
        directory_init(&d, seed);
        content_init(&content);
        content_init(&loaded);
        uint32_t step = 0;
        for (int flush = 0; flush < 30; flush++) {
            uint32_t steps = (uint32_t)(hash_u64((uint64_t)flush, seed) % 200);
            for (uint32_t s = 0; s < steps; s++) live(&content, seed, step++);
            struct catalog_out out;
            gather(&content, marks, &out);
            size_t joined = hash_u64((uint64_t)flush, seed + 1) % 4 ? 0 : hash_u64((uint64_t)flush, 3) % (d.count + 1);
            assert_int_equal(join(&d, d.count - joined, &out), STATUS_OK);
            catalog_out_fini(&out);
        }
        if (seed % 3 == 0) assert_int_equal(join(&d, 0, NULL), STATUS_OK); /* all into one */
        struct error error = ERROR_INIT;
        assert_int_equal(load(&d, &loaded, &error), STATUS_OK);
        assert_same(&loaded, &content);
        content_fini(&content);
        content_fini(&loaded);
        os_fs_free(d.fs);
    }
}

/* Every byte counts: each flipped bit, and each length, is refused with a text. */
static void damage_is_refused(void **state)
{
    (void)state;
    struct directory d;
    struct content content;
    struct marks marks[PROJECTS] = {{0}};
    struct catalog_out out;
    struct error error = ERROR_INIT;
    directory_init(&d, 1);
    content_init(&content);
    for (uint32_t step = 0; step < 300; step++) live(&content, 1, step);
    gather(&content, marks, &out);
    assert_int_equal(join(&d, 0, &out), STATUS_OK);
    catalog_out_fini(&out);
    content_fini(&content);
    char name[64], *bytes = malloc(d.files[0].size);
    struct os_file *file;
    event_file_name(name, d.files[0].file_id, "cat");
    assert_int_equal(os_open(d.fs, name, OS_WRITE, &error, &file), STATUS_OK);
    assert_int_equal(os_pread(file, bytes, d.files[0].size, 0, &error), STATUS_OK);
    for (uint64_t at = 0; at < d.files[0].size; at++) {
        char bad = (char)(bytes[at] ^ 1 << at % 8);
        assert_int_equal(os_pwrite(file, &bad, 1, at, &error), STATUS_OK);
        content_init(&content);
        error = ERROR_INIT;
        enum status status = load(&d, &content, &error);
        assert_true(status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
        assert_true(error.primary[0]);
        content_fini(&content);
        assert_int_equal(os_pwrite(file, &bytes[at], 1, at, &error), STATUS_OK);
    }
    for (uint64_t size = 0; size < d.files[0].size; size += 13) {
        assert_int_equal(os_truncate(file, size, &error), STATUS_OK);
        content_init(&content);
        assert_int_equal(load(&d, &content, &error), STATUS_CORRUPT);
        content_fini(&content);
        assert_int_equal(os_pwrite(file, bytes, d.files[0].size, 0, &error), STATUS_OK);
    }
    /* A damaged file is not joined, either, whatever kind of block the damage is in. */
    struct reader trailer = reader_of(str_from(bytes + d.files[0].size - EVENT_FILE_TRAILER, 8));
    uint64_t end = d.files[0].size - EVENT_FILE_TRAILER - read_u64(&trailer);
    for (uint64_t at = FILE_HEADER; at < end; at++) {
        char bad = (char)(bytes[at] ^ 1);
        assert_int_equal(os_pwrite(file, &bad, 1, at, &error), STATUS_OK);
        assert_int_equal(join(&d, 0, NULL), STATUS_CORRUPT);
        assert_int_equal(os_pwrite(file, &bytes[at], 1, at, &error), STATUS_OK);
    }
    assert_int_equal(join(&d, 0, NULL), STATUS_OK);
    os_close(file);
    free(bytes);
    os_fs_free(d.fs);
}

/* Joined blocks are filled up to their bound; the ids in them are the same. */
static void blocks_are_bounded(void **state)
{
    (void)state;
    struct directory d;
    struct content content, loaded;
    struct marks marks[PROJECTS] = {{0}};
    struct catalog_out out;
    struct error error = ERROR_INIT;
    directory_init(&d, 1);
    content_init(&content);
    content_init(&loaded);
    for (int flush = 0; flush < 3; flush++) {
        for (uint32_t i = 0; i < 60000; i++) {
            char text[64];
            uint32_t id;
            snprintf(text, sizeof text, "$device:%032x", (uint32_t)flush << 20 | i);
            assert_int_equal(id_graph_intern(content.ids[1], str_of(text), &id), STATUS_OK);
            id_graph_add_rows(content.ids[1], i % 7 ? id : 1 + id / 2, 1);
            if (i % 3 == 0) assert_int_equal(id_graph_link(content.ids[1], id, 1 + i % id, id, NULL), STATUS_OK);
        }
        gather(&content, marks, &out);
        assert_int_equal(join(&d, d.count, &out), STATUS_OK);
        catalog_out_fini(&out);
    }
    assert_int_equal(join(&d, 0, NULL), STATUS_OK);
    assert_int_equal(d.count, 1);
    assert_int_equal(load(&d, &loaded, &error), STATUS_OK); /* looks at the sizes, too */
    assert_same(&loaded, &content);
    content_fini(&content);
    content_fini(&loaded);
    os_fs_free(d.fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(however_they_are_joined),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(blocks_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
