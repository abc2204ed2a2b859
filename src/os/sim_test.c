/* The simulated disk keeps its promises: what was synced survives, what was not may not, and each fault does what it
 * says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/sim.h"

#include <stdio.h>

static struct os_file *make(struct sim *sim, const char *name)
{
    struct error error;
    struct os_file *file;
    assert_int_equal(os_open(sim_fs(sim), name, OS_WRITE | OS_CREATE, &error, &file), STATUS_OK);
    return file;
}

static void write_text(struct os_file *file, const char *text, uint64_t offset)
{
    struct error error;
    assert_int_equal(os_pwrite(file, text, strlen(text), offset, &error), STATUS_OK);
}

static void sync_all(struct sim *sim, struct os_file *file)
{
    struct error error;
    assert_int_equal(os_sync(file, &error), STATUS_OK);
    assert_int_equal(os_sync_dir(sim_fs(sim), "", &error), STATUS_OK);
}

/* What a file holds now, as text; "-" when there is no such file. */
static const char *content(struct sim *sim, const char *name)
{
    static char text[4096];
    struct error error;
    struct os_file *file;
    uint64_t size = 0;
    if (os_open(sim_fs(sim), name, OS_READ, &error, &file) != STATUS_OK) return "-";
    assert_int_equal(os_size(file, &size, &error), STATUS_OK);
    assert_true(size < sizeof text);
    assert_int_equal(os_pread(file, text, size, 0, &error), STATUS_OK);
    text[size] = 0;
    os_close(file);
    return text;
}

static void synced_bytes_survive_and_others_may_not(void **state)
{
    (void)state;
    unsigned kept = 0, lost = 0;
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct sim *sim = sim_new(seed);
        struct os_file *file = make(sim, "f");
        write_text(file, "durable", 0);
        sync_all(sim, file);
        write_text(file, "changed", 0);
        assert_string_equal(content(sim, "f"), "changed");
        os_close(file);
        sim_crash(sim, seed);
        const char *now = content(sim, "f");
        kept += strcmp(now, "changed") == 0;
        lost += strcmp(now, "durable") == 0;
        os_fs_free(sim_fs(sim));
    }
    assert_int_equal(kept + lost, 64);
    assert_in_range(kept, 8, 56);
}

/* Sectors survive one by one, and a later write may survive without an earlier one. */
static void writes_tear_at_sectors(void **state)
{
    (void)state;
    unsigned torn = 0, reordered = 0;
    static char page[2048];
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct error error;
        struct sim *sim = sim_new(seed);
        struct os_file *file = make(sim, "f");
        assert_int_equal(os_allocate(file, sizeof page, &error), STATUS_OK);
        sync_all(sim, file);
        memset(page, 'a', sizeof page);
        assert_int_equal(os_pwrite(file, page, sizeof page, 0, &error), STATUS_OK);
        write_text(file, "b", 2047);
        os_close(file);
        sim_crash(sim, seed);
        file = make(sim, "f");
        assert_int_equal(os_pread(file, page, sizeof page, 0, &error), STATUS_OK);
        for (unsigned s = 0; s < 4; s++) {
            for (unsigned i = 1; i < 511; i++) assert_int_equal(page[s * 512 + i], page[s * 512]);
        }
        torn += page[0] != page[512];
        reordered += page[2047] == 'b' && page[2046] != 'a';
        os_close(file);
        os_fs_free(sim_fs(sim));
    }
    assert_true(torn > 10 && reordered > 10);
}

static void names_need_their_directory_synced(void **state)
{
    (void)state;
    unsigned created = 0, renamed = 0, removed = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct error error;
        struct sim *sim = sim_new(seed);
        struct os_fs *fs = sim_fs(sim);
        assert_int_equal(os_mkdir(fs, "d", &error), STATUS_OK);
        struct os_file *one = make(sim, "d/one"), *two = make(sim, "d/two");
        assert_int_equal(os_sync_dir(fs, "", &error), STATUS_OK);
        assert_int_equal(os_sync_dir(fs, "d", &error), STATUS_OK);
        struct os_file *late = make(sim, "d/late");
        write_text(late, "x", 0);
        assert_int_equal(os_sync(late, &error), STATUS_OK); /* the content, not the name */
        assert_int_equal(os_rename(fs, "d/one", "d/uno", &error), STATUS_OK);
        assert_int_equal(os_unlink(fs, "d/two", &error), STATUS_OK);
        os_close(one);
        os_close(two);
        os_close(late);
        sim_crash(sim, seed);
        bool is_one = strcmp(content(sim, "d/one"), "-") != 0, is_uno = strcmp(content(sim, "d/uno"), "-") != 0;
        assert_true(is_one != is_uno); /* a rename happens whole or not at all */
        created += strcmp(content(sim, "d/late"), "-") != 0;
        renamed += is_uno;
        removed += strcmp(content(sim, "d/two"), "-") == 0;
        os_fs_free(fs);
    }
    assert_in_range(created, 20, 80);
    assert_in_range(renamed, 20, 80);
    assert_in_range(removed, 20, 80);
}

/* After a failed sync that dropped the dirty bytes, readers see them until the crash and a later sync does not bring
 * them back. */
static void a_sync_that_drops(void **state)
{
    (void)state;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 32; seed++) {
        struct error error;
        struct sim *sim = sim_new(seed);
        struct os_file *file = make(sim, "f");
        write_text(file, "old", 0);
        sync_all(sim, file);
        write_text(file, "new", 0);
        sim_fail(sim, SIM_SYNC, SIM_DROP, 1, 1, NULL);
        assert_int_equal(os_sync(file, &error), STATUS_IO);
        assert_int_equal(os_sync(file, &error), STATUS_OK);
        assert_string_equal(content(sim, "f"), "new");
        os_close(file);
        sim_crash(sim, seed);
        lost += strcmp(content(sim, "f"), "old") == 0;
        os_fs_free(sim_fs(sim));
    }
    assert_in_range(lost, 4, 28);
}

static void each_fault_strikes_the_nth_call(void **state)
{
    (void)state;
    struct error error;
    char text[8];
    struct sim *sim = sim_new(1);
    struct os_fs *fs = sim_fs(sim);
    struct os_file *file = make(sim, "file"), *other = make(sim, "other");
    sim_fail(sim, SIM_WRITE, SIM_ERROR, 2, 1, "file");
    assert_int_equal(os_pwrite(file, "aaaa", 4, 0, &error), STATUS_OK);
    assert_int_equal(os_pwrite(other, "aaaa", 4, 0, &error), STATUS_OK);
    assert_int_equal(os_pwrite(file, "bbbb", 4, 0, &error), STATUS_IO);
    assert_int_equal(os_pwrite(file, "cccc", 4, 0, &error), STATUS_OK);
    assert_string_equal(content(sim, "file"), "cccc");
    sim_fail(sim, SIM_WRITE, SIM_SHORT, 1, 1, NULL);
    assert_int_equal(os_pwrite(file, "dddd", 4, 0, &error), STATUS_IO);
    assert_int_equal(content(sim, "file")[3], 'c');
    sim_fail(sim, SIM_READ, SIM_ERROR, 1, 1, NULL);
    assert_int_equal(os_pread(other, text, 4, 0, &error), STATUS_IO);
    sim_fail(sim, SIM_READ, SIM_FLIP, 1, 1, NULL);
    assert_int_equal(os_pread(other, text, 4, 0, &error), STATUS_OK);
    assert_memory_not_equal(text, "aaaa", 4);
    assert_int_equal(os_pread(other, text, 4, 0, &error), STATUS_OK);
    assert_memory_equal(text, "aaaa", 4);
    assert_int_equal(os_pread(other, text, 4, 1, &error), STATUS_CORRUPT);
    sim_fail(sim, SIM_RENAME, SIM_ERROR, 1, 1, NULL);
    assert_int_equal(os_rename(fs, "other", "third", &error), STATUS_IO);
    sim_fail(sim, SIM_UNLINK, SIM_ERROR, 1, 1, NULL);
    assert_int_equal(os_unlink(fs, "other", &error), STATUS_IO);
    sim_fail(sim, SIM_SYNC_DIR, SIM_ERROR, 1, 1, NULL);
    assert_int_equal(os_sync_dir(fs, "", &error), STATUS_IO);
    sim_fail(sim, SIM_ALLOCATE, SIM_ERROR, 1, 1, NULL);
    assert_int_equal(os_allocate(other, 100, &error), STATUS_IO);
    sim_fail(sim, SIM_OPEN, SIM_ERROR, 1, 1, NULL);
    assert_string_equal(content(sim, "other"), "-");
    assert_int_equal(os_open(fs, "missing", OS_READ, &error, &file), STATUS_NOT_FOUND);
    assert_int_equal(os_open(fs, "other", OS_WRITE | OS_CREATE | OS_EXCLUSIVE, &error, &file), STATUS_CONFLICT);
    assert_true(sim_calls(sim, SIM_WRITE) == 5 && sim_changes(sim) > 8);
    os_close(file);
    os_close(other);
    os_fs_free(fs);
}

static void a_full_disk_and_a_dead_one(void **state)
{
    (void)state;
    struct error error;
    struct sim *sim = sim_new(1);
    struct os_file *file = make(sim, "f");
    sim_space(sim, 100);
    assert_int_equal(os_allocate(file, 90, &error), STATUS_OK);
    assert_int_equal(os_pwrite(file, "12345678901234567890", 20, 80, &error), STATUS_OK);
    assert_int_equal(os_pwrite(file, "x", 1, 100, &error), STATUS_UNAVAILABLE);
    sim_space(sim, UINT64_MAX);
    assert_int_equal(os_pwrite(file, "x", 1, 100, &error), STATUS_OK);
    assert_int_equal(sim_used(sim), 101);
    sim_halt(sim, 2);
    assert_int_equal(os_pwrite(file, "x", 1, 101, &error), STATUS_OK);
    assert_int_equal(os_sync(file, &error), STATUS_IO);
    assert_true(sim_halted(sim));
    assert_int_equal(os_pread(file, &(char){0}, 1, 0, &error), STATUS_IO);
    sim_restart(sim);
    assert_int_equal(os_pread(file, &(char){0}, 1, 101, &error), STATUS_OK);
    os_close(file);
    os_fs_free(sim_fs(sim));
}

/* Damage that only a checksum can tell. */
static void silent_damage(void **state)
{
    (void)state;
    struct error error;
    static char page[2048];
    char byte;
    struct sim *sim = sim_new(3);
    struct os_file *file = make(sim, "f");
    memset(page, 'a', sizeof page);
    assert_int_equal(os_pwrite(file, page, sizeof page, 0, &error), STATUS_OK);
    sync_all(sim, file);
    sim_fail(sim, SIM_WRITE, SIM_MISDIRECT, 1, 1, NULL);
    write_text(file, "b", 0);
    assert_int_equal(os_pread(file, &byte, 1, 0, &error), STATUS_OK);
    assert_int_equal(byte, 'a');
    sim_fail(sim, SIM_WRITE, SIM_FLIP, 1, 1, NULL);
    write_text(file, "c", 1);
    assert_int_equal(os_pread(file, &byte, 1, 1, &error), STATUS_OK);
    assert_int_equal(__builtin_popcount((unsigned char)byte ^ 'c'), 1);
    sim_fail(sim, SIM_WRITE, SIM_LOST, 1, 1, NULL);
    write_text(file, "d", 2);
    sync_all(sim, file);
    assert_int_equal(os_pread(file, &byte, 1, 2, &error), STATUS_OK);
    assert_int_equal(byte, 'd');
    os_close(file);
    sim_crash(sim, 1);
    assert_true(sim_flip(sim, "f", 3, 1));
    assert_false(sim_flip(sim, "f", 1 << 20, 1));
    assert_false(sim_flip(sim, "g", 0, 1));
    file = make(sim, "f");
    assert_int_equal(os_pread(file, page, 4, 0, &error), STATUS_OK);
    assert_int_equal(page[2], 'a');
    assert_int_equal(page[3], 'a' ^ 1);
    os_close(file);
    os_fs_free(sim_fs(sim));
}

static void a_liar_syncs_nothing(void **state)
{
    (void)state;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct sim *sim = sim_new(seed);
        sim_lie(sim, true);
        struct os_file *file = make(sim, "f");
        write_text(file, "x", 0);
        sync_all(sim, file);
        os_close(file);
        sim_crash(sim, seed);
        lost += strcmp(content(sim, "f"), "x") != 0;
        os_fs_free(sim_fs(sim));
    }
    assert_true(lost > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synced_bytes_survive_and_others_may_not),
        cmocka_unit_test(writes_tear_at_sectors),
        cmocka_unit_test(names_need_their_directory_synced),
        cmocka_unit_test(a_sync_that_drops),
        cmocka_unit_test(each_fault_strikes_the_nth_call),
        cmocka_unit_test(a_full_disk_and_a_dead_one),
        cmocka_unit_test(silent_damage),
        cmocka_unit_test(a_liar_syncs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
