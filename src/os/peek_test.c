/* A view for reading only, and who holds a lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/peek.h"
#include "os/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(int *)ctx;
}

/* Shows: what is there can be read and listed, and no call changes anything. */
static void reading_only(void **state)
{
    (void)state;
    struct sim *sim = sim_new(1);
    struct os_fs *inner = sim_fs(sim), *fs;
    struct os_file *file;
    struct error error;
    char bytes[5];
    int names = 0;
    assert_int_equal(os_mkdir(inner, "d", &error), STATUS_OK);
    assert_int_equal(os_open(inner, "d/a", OS_WRITE | OS_CREATE, &error, &file), STATUS_OK);
    assert_int_equal(os_pwrite(file, "hello", 5, 0, &error), STATUS_OK);
    os_close(file);
    uint64_t changes = sim_changes(sim);
    assert_int_equal(os_readonly_new(inner, &error, &fs), STATUS_OK);
    assert_int_equal(os_open(fs, "d/a", OS_WRITE, &error, &file), STATUS_OK);
    assert_int_equal(os_pread(file, bytes, 5, 0, &error), STATUS_OK);
    assert_memory_equal(bytes, "hello", 5);
    os_close(file);
    assert_int_equal(os_list(fs, "d", count_name, &names, &error), STATUS_OK);
    assert_int_equal(names, 1);
    assert_int_equal(os_open(fs, "d/b", OS_WRITE | OS_CREATE, &error, &file), STATUS_DENIED);
    assert_int_equal(os_open(fs, "d/b", OS_READ, &error, &file), STATUS_NOT_FOUND);
    assert_int_equal(os_unlink(fs, "d/a", &error), STATUS_DENIED);
    assert_int_equal(os_rename(fs, "d/a", "d/c", &error), STATUS_DENIED);
    assert_int_equal(os_mkdir(fs, "e", &error), STATUS_OK);
    assert_int_equal(os_sync_dir(fs, "", &error), STATUS_OK);
    assert_int_equal(sim_changes(sim), changes);
    os_fs_free(fs);
    os_fs_free(inner);
}

/* Shows: the holder is this process while it holds the lock, asking does not take it, and afterwards nobody has it. */
static void holder_of_a_lock(void **state)
{
    (void)state;
    char directory[] = "/tmp/cairn-peek-XXXXXX", path[64];
    struct os_lock *lock;
    struct error error;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(os_lock_holder(directory), 0);
    assert_int_equal(os_lock_acquire(directory, &error, &lock), STATUS_OK);
    FILE *locks = fopen("/proc/locks", "re");
    if (locks) { /* a machine without it cannot tell */
        fclose(locks);
        assert_int_equal(os_lock_holder(directory), getpid());
    }
    os_lock_release(lock);
    assert_int_equal(os_lock_holder(directory), 0);
    assert_int_equal(os_lock_acquire(directory, &error, &lock), STATUS_OK);
    os_lock_release(lock);
    snprintf(path, sizeof path, "%s/LOCK", directory);
    unlink(path);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_only),
        cmocka_unit_test(holder_of_a_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
