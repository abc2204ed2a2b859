/* The manifest on the simulated disk: an edit counts whole or not at all, over torn tails, crashes at every change and
 * new files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/sim.h"
#include "store/manifest.h"

#include <stdio.h>
#include <stdlib.h>

/* After n edits by add(): files 1..n added as sections, every third removed again, a catalog for every fifth. */
static enum status add(struct manifest *m, uint64_t n)
{
    struct error error;
    struct manifest_file section = {n, n * 10, n * 100, 3}, catalog = {n + 1000000, 64, n, 0};
    struct manifest_deletes deletes = {.section_file = n,
                                       .ordinal = 1,
                                       .delete_file = n + 2000000,
                                       .offset = 64,
                                       .size = 8,
                                       .check = n,
                                       .marked_lsn = n + 1,
                                       .marked_ms = -(int64_t)n};
    uint64_t removed = n - 1, dropped = n;
    struct manifest_edit edit = {.flushed_lsn = n * 64,
                                 .next_file_id = n + 1,
                                 .add_sections = &section,
                                 .add_section_count = 1,
                                 .add_catalogs = &catalog,
                                 .add_catalog_count = n % 5 == 0,
                                 .remove_sections = &removed,
                                 .remove_section_count = n % 3 == 0,
                                 .deletes = &deletes,
                                 .delete_count = n % 2,
                                 .drop_projects = &dropped,
                                 .drop_project_count = n % 7 == 0};
    return manifest_append(m, &edit, &error);
}

static void expect(const struct manifest *m, uint64_t n)
{
    size_t sections = 0, deletes = 0, catalogs = 0;
    assert_int_equal(m->flushed_lsn, n * 64);
    assert_int_equal(m->next_file_id, n + 1);
    for (uint64_t i = 1; i <= n; i++) {
        bool gone = (i + 1) % 3 == 0 && i + 1 <= n;
        catalogs += i % 5 == 0;
        assert_true(manifest_is_dropped(m, i) == (i % 7 == 0));
        if (gone) continue;
        assert_true(m->sections[sections].file_id == i && m->sections[sections].size == i * 10 &&
                    m->sections[sections].check == i * 100);
        sections++;
        deletes += i % 2;
    }
    assert_int_equal(m->section_count, sections);
    assert_int_equal(m->catalog_count, catalogs);
    assert_int_equal(m->delete_count, deletes);
    for (size_t i = 0; i < deletes; i++)
        assert_true(m->deletes[i].check == m->deletes[i].section_file && m->deletes[i].check % 2);
}

static struct manifest open_it(struct sim *sim)
{
    struct manifest m;
    struct error error = ERROR_INIT;
    if (manifest_open(sim_fs(sim), &error, &m) != STATUS_OK) fail_msg("%s", error.primary);
    return m;
}

static void edits_come_back(void **state)
{
    (void)state;
    struct sim *sim = sim_new(1);
    struct manifest m = open_it(sim);
    unsigned char node[16];
    memcpy(node, m.node, sizeof node);
    assert_int_equal(m.next_file_id, 1);
    for (uint64_t n = 1; n <= 60; n++) {
        assert_int_equal(add(&m, n), STATUS_OK);
        expect(&m, n);
        if (n % 7 == 0) {
            manifest_fini(&m);
            sim_crash(sim, n);
            m = open_it(sim);
            expect(&m, n);
            assert_memory_equal(m.node, node, sizeof node);
        }
    }
    manifest_fini(&m);
    os_fs_free(sim_fs(sim));
}

static void count_manifests(void *ctx, const char *name)
{
    if (memcmp(name, "MANIFEST-", 9) == 0 && !strchr(name, '.')) (*(unsigned *)ctx)++;
}

/* Past 4 MiB a new file with a full picture takes over, and the old one goes. */
static void a_large_manifest_is_rotated(void **state)
{
    (void)state;
    struct sim *sim = sim_new(1);
    struct error error;
    struct manifest m = open_it(sim);
    static uint64_t projects[50000];
    for (uint64_t i = 0; i < 50000; i++) projects[i] = 5; /* the same one again and again: all bytes, no state */
    uint64_t number = m.number;
    for (int i = 0; i < 12; i++) {
        struct manifest_edit edit = {
            .flushed_lsn = 64, .next_file_id = 2, .drop_projects = projects, .drop_project_count = 50000};
        assert_int_equal(manifest_append(&m, &edit, &error), STATUS_OK);
    }
    assert_true(m.number > number);
    assert_true(m.offset < 5 << 20);
    manifest_fini(&m);
    sim_crash(sim, 3);
    m = open_it(sim);
    assert_true(m.flushed_lsn == 64 && m.dropped_count == 1 && manifest_is_dropped(&m, 5));
    assert_int_equal(manifest_renew(&m, &error), STATUS_OK);
    unsigned count = 0;
    assert_int_equal(os_list(sim_fs(sim), "", count_manifests, &count, &error), STATUS_OK);
    assert_int_equal(count, 1);
    manifest_fini(&m);
    os_fs_free(sim_fs(sim));
}

/* A torn last edit is as if it had never been. */
static void a_torn_tail(void **state)
{
    (void)state;
    for (uint64_t cut = 0; cut < 59; cut++) {
        struct sim *sim = sim_new(cut);
        struct error error;
        struct manifest m = open_it(sim);
        assert_int_equal(add(&m, 1), STATUS_OK);
        uint64_t end = m.offset;
        assert_int_equal(add(&m, 2), STATUS_OK);
        assert_true(end + cut < m.offset);
        assert_int_equal(os_truncate(m.file, end + cut, &error), STATUS_OK);
        assert_int_equal(os_sync(m.file, &error), STATUS_OK);
        manifest_fini(&m);
        m = open_it(sim);
        expect(&m, 1);
        assert_int_equal(add(&m, 2), STATUS_OK); /* and the next edit is not confused by what was left */
        manifest_fini(&m);
        sim_crash(sim, 1);
        m = open_it(sim);
        expect(&m, 2);
        manifest_fini(&m);
        os_fs_free(sim_fs(sim));
    }
}

static void crash_at_every_change(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 60; at++) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            struct sim *sim = sim_new(seed);
            struct error error;
            struct manifest m;
            uint64_t n = 0;
            sim_halt(sim, at);
            bool open = manifest_open(sim_fs(sim), &error, &m) == STATUS_OK;
            while (open && n < 12 && add(&m, n + 1) == STATUS_OK) {
                n++;
                if (n % 4 == 0 && manifest_renew(&m, &error) != STATUS_OK) break;
            }
            if (open) manifest_fini(&m);
            sim_crash(sim, at);
            m = open_it(sim);
            assert_true(m.flushed_lsn == n * 64 || m.flushed_lsn == (n + 1) * 64);
            expect(&m, m.flushed_lsn / 64);
            manifest_fini(&m);
            os_fs_free(sim_fs(sim));
        }
    }
}

/* A failed append changes nothing in memory and may be repeated; so the next one goes to a new file. */
static void failed_appends(void **state)
{
    (void)state;
    static const struct {
        enum sim_call call;
        enum sim_fault fault;
    } faults[] = {{SIM_WRITE, SIM_ERROR}, {SIM_WRITE, SIM_SHORT},  {SIM_SYNC, SIM_ERROR},    {SIM_SYNC, SIM_DROP},
                  {SIM_OPEN, SIM_ERROR},  {SIM_RENAME, SIM_ERROR}, {SIM_SYNC_DIR, SIM_ERROR}};
    for (size_t f = 0; f < sizeof faults / sizeof *faults; f++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            struct sim *sim = sim_new(seed);
            struct manifest m = open_it(sim);
            uint64_t n = 0;
            for (int round = 0; round < 12; round++) {
                if (round % 3 == 1) sim_fail(sim, faults[f].call, faults[f].fault, 1, 2, "");
                if (round % 3 == 2) sim_heal(sim);
                if (add(&m, n + 1) == STATUS_OK) n++;
                expect(&m, n);
            }
            sim_heal(sim);
            assert_int_equal(add(&m, ++n), STATUS_OK);
            manifest_fini(&m);
            sim_crash(sim, seed);
            m = open_it(sim);
            expect(&m, n);
            manifest_fini(&m);
            os_fs_free(sim_fs(sim));
        }
    }
}

static void damage_and_strangers(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct sim *sim = sim_new(1);
    struct manifest m = open_it(sim);
    char name[64];
    assert_int_equal(add(&m, 1), STATUS_OK);
    snprintf(name, sizeof name, "MANIFEST-%016llx", (unsigned long long)m.number);
    manifest_fini(&m);
    for (uint64_t at = 0; at < 64 + 16; at++) { /* the header and the head of the first edit */
        assert_true(sim_flip(sim, name, at, 1));
        bool reserved = at >= 68 && at < 72;
        enum status status = manifest_open(sim_fs(sim), &error, &m);
        if (status == STATUS_OK) manifest_fini(&m);
        assert_true((status == STATUS_OK) == reserved);
        if (!reserved) assert_true(status == STATUS_CORRUPT && error.primary[0]);
        assert_true(sim_flip(sim, name, at, 1));
    }
    os_fs_free(sim_fs(sim));
}

/* Shows: numbers of files that would be given out again, that are no numbers, or that count twice are refused by those
 * who will write; what the highest number allows is not. */
static void numbers_of_files(void **state)
{
    (void)state;
    static const struct {
        uint64_t next, section, catalog, deletes, again, marked; /* the section whose rows are deleted; 0: that one */
        const char *text;                                        /* NULL: good */
    } cases[] = {
        {4, 1, 2, 3, 0, 0, NULL},
        {1, 0, 0, 0, 0, 0, NULL},
        {(uint64_t)1 << 62, ((uint64_t)1 << 62) - 1, 2, 3, 0, 0, NULL},
        {4, 3, 3, 3, 0, 0, NULL}, /* kinds have names of their own */
        {4, 4, 2, 3, 0, 0, "names file 0000000000000004, whose number is still to be given out"},
        {4, 1, 4, 3, 0, 0, "names file 0000000000000004, whose number is still to be given out"},
        {4, 1, 2, 4, 0, 0, "names file 0000000000000004, whose number is still to be given out"},
        {4, 1, 2, UINT64_MAX, 0, 0, "names file ffffffffffffffff, whose number is still to be given out"},
        {4, 1, 2, 3, 0, 5, "names file 0000000000000005, whose number is still to be given out"},
        {4, 1, 2, 3, 0, 3, NULL},
        {0, 0, 0, 0, 0, 0, "as the next one, which is no number for a file"},
        {((uint64_t)1 << 62) + 1, 1, 2, 3, 0, 0, "as the next one, which is no number for a file"},
        {UINT64_MAX, 1, 2, 3, 0, 0, "as the next one, which is no number for a file"},
        {4, 1, 2, 3, 1, 0, "names file 0000000000000001, and names it twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sim *sim = sim_new(i);
        struct error error = ERROR_INIT;
        struct manifest m = open_it(sim);
        assert_int_equal(manifest_check(&m, &error), STATUS_OK);
        struct manifest_file sections[] = {{cases[i].section, 10, 1, 1}, {cases[i].again, 10, 1, 1}};
        struct manifest_file catalog = {cases[i].catalog, 64, 1, 0};
        struct manifest_deletes deletes = {.section_file = cases[i].marked ? cases[i].marked : cases[i].section,
                                           .delete_file = cases[i].deletes};
        struct manifest_edit edit = {.next_file_id = cases[i].next,
                                     .add_sections = sections,
                                     .add_section_count = (cases[i].section != 0) + (cases[i].again != 0),
                                     .add_catalogs = &catalog,
                                     .add_catalog_count = cases[i].catalog != 0,
                                     .deletes = &deletes,
                                     .delete_count = cases[i].deletes != 0};
        assert_int_equal(manifest_append(&m, &edit, &error), STATUS_OK);
        manifest_fini(&m);
        m = open_it(sim);
        enum status status = manifest_check(&m, &error);
        if (status != (cases[i].text ? STATUS_CORRUPT : STATUS_OK))
            fail_msg("case %zu: %s, %s", i, status_name(status), error.primary);
        if (cases[i].text && !strstr(error.primary, cases[i].text)) fail_msg("case %zu: %s", i, error.primary);
        manifest_fini(&m);
        os_fs_free(sim_fs(sim));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_come_back),  cmocka_unit_test(a_large_manifest_is_rotated),
        cmocka_unit_test(a_torn_tail),      cmocka_unit_test(crash_at_every_change),
        cmocka_unit_test(failed_appends),   cmocka_unit_test(damage_and_strangers),
        cmocka_unit_test(numbers_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
