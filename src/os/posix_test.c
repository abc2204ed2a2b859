/* The machine's file system behind the same door: the statuses that callers rely on, and the lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64];

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/cairn-os-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static void count_names(void *ctx, const char *name)
{
    unsigned *count = ctx;
    assert_true(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    (*count)++;
}

static void files_and_names(void **state)
{
    (void)state;
    struct error error;
    struct os_fs *fs;
    struct os_file *file, *again;
    uint64_t size;
    char text[8] = "";
    assert_int_equal(os_posix_new(directory, &error, &fs), STATUS_OK);
    assert_int_equal(os_open(fs, "a", OS_WRITE, &error, &file), STATUS_NOT_FOUND);
    assert_int_equal(os_open(fs, "a", OS_WRITE | OS_CREATE, &error, &file), STATUS_OK);
    assert_int_equal(os_open(fs, "a", OS_WRITE | OS_CREATE | OS_EXCLUSIVE, &error, &again), STATUS_CONFLICT);
    assert_int_equal(os_pwrite(file, "hello", 5, 3, &error), STATUS_OK);
    assert_int_equal(os_sync(file, &error), STATUS_OK);
    assert_int_equal(os_pread(file, text, 5, 3, &error), STATUS_OK);
    assert_string_equal(text, "hello");
    assert_int_equal(os_pread(file, text, 6, 3, &error), STATUS_CORRUPT); /* past the end */
    assert_int_equal(os_truncate(file, 4, &error), STATUS_OK);
    assert_int_equal(os_size(file, &size, &error), STATUS_OK);
    assert_int_equal(size, 4);
    assert_int_equal(os_allocate(file, 300000, &error), STATUS_OK);
    assert_int_equal(os_size(file, &size, &error), STATUS_OK);
    assert_int_equal(size, 300000);
    assert_int_equal(os_pread(file, text, 4, 3, &error), STATUS_OK);
    assert_memory_equal(text, "\0\0\0\0", 4); /* allocation wipes */
    os_close(file);
    assert_int_equal(os_mkdir(fs, "d", &error), STATUS_OK);
    assert_int_equal(os_mkdir(fs, "d", &error), STATUS_OK);
    assert_int_equal(os_rename(fs, "a", "d/b", &error), STATUS_OK);
    assert_int_equal(os_rename(fs, "a", "d/b", &error), STATUS_NOT_FOUND);
    assert_int_equal(os_sync_dir(fs, "d", &error), STATUS_OK);
    assert_int_equal(os_sync_dir(fs, "", &error), STATUS_OK);
    unsigned count = 0;
    assert_int_equal(os_list(fs, "d", count_names, &count, &error), STATUS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(os_list(fs, "missing", count_names, &count, &error), STATUS_NOT_FOUND);
    assert_int_equal(os_rmdir(fs, "d", &error), STATUS_CONFLICT);
    assert_int_equal(os_unlink(fs, "d/b", &error), STATUS_OK);
    assert_int_equal(os_unlink(fs, "d/b", &error), STATUS_NOT_FOUND);
    assert_int_equal(os_rmdir(fs, "d", &error), STATUS_OK);
    assert_int_equal(os_rmdir(fs, "d", &error), STATUS_NOT_FOUND);
    os_fs_free(fs);
    assert_int_equal(os_posix_new("/nonexistent/cairn", &error, &fs), STATUS_IO);
}

static void directories_with_parents(void **state)
{
    (void)state;
    struct error error;
    char path[128];
    snprintf(path, sizeof path, "%s/x/y/z", directory);
    assert_int_equal(os_make_directories(path, &error), STATUS_OK);
    assert_int_equal(os_make_directories(path, &error), STATUS_OK);
    assert_int_equal(access(path, W_OK), 0);
    assert_int_equal(os_make_directories("", &error), STATUS_INVALID);
    assert_int_not_equal(os_make_directories("/dev/null", &error), STATUS_OK);
}

/* A second process is refused with the first one's number; the lock goes with its holder. */
static void one_process_holds_the_lock(void **state)
{
    (void)state;
    struct error error;
    struct os_lock *lock;
    int ready[2], end[2];
    char byte, number[32];
    assert_true(pipe(ready) == 0 && pipe(end) == 0);
    pid_t child = fork();
    if (child == 0) {
        if (os_lock_acquire(directory, &error, &lock) != STATUS_OK || write(ready[1], "x", 1) != 1) _exit(1);
        close(end[1]);
        if (read(end[0], &byte, 1) != 0) _exit(1); /* until the parent closes its side */
        _exit(0);                                  /* without releasing */
    }
    close(end[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(os_lock_acquire(directory, &error, &lock), STATUS_CONFLICT);
    snprintf(number, sizeof number, "%d", (int)child);
    assert_non_null(strstr(error.primary, number));
    close(end[1]);
    int result = 1;
    waitpid(child, &result, 0);
    assert_int_equal(result, 0);
    assert_int_equal(os_lock_acquire(directory, &error, &lock), STATUS_OK);
    os_lock_release(lock);
    assert_int_equal(os_lock_acquire(directory, &error, &lock), STATUS_OK);
    os_lock_release(lock);
    close(ready[0]);
    close(ready[1]);
}

/* Large writes that may go past the page cache leave the same bytes as all others, wherever they begin and end. */
static void direct_writes(void **state)
{
    (void)state;
    enum { SIZE = 400000 };
    struct error error;
    struct os_fs *fs;
    struct os_file *file;
    char *expected = calloc(1, SIZE), *found = malloc(SIZE);
    char *block = aligned_alloc(OS_DIRECT_ALIGN, 512 << 10);
    assert_true(expected && found && block);
    assert_int_equal(os_posix_new(directory, &error, &fs), STATUS_OK);
    assert_int_equal(os_open(fs, "direct", OS_WRITE | OS_CREATE | OS_DIRECT, &error, &file), STATUS_OK);
    assert_int_equal(os_allocate(file, SIZE, &error), STATUS_OK);
    static const size_t offsets[] = {0, 64, 4096, 5000, 12345, 100000}, sizes[] = {100, 70000, 65536, 131071, 250000};
    for (size_t i = 0; i < 60; i++) {
        size_t offset = offsets[i % 6], size = sizes[i % 5], shift = i % 7 ? 0 : 64;
        char *data = block + offset % OS_DIRECT_ALIGN + shift;
        for (size_t k = 0; k < size; k++) data[k] = (char)(k * 31 + i);
        memcpy(expected + offset, data, size);
        assert_int_equal(os_pwrite(file, data, size, offset, &error), STATUS_OK);
        if (i % 3 == 0) assert_int_equal(os_sync(file, &error), STATUS_OK);
        assert_int_equal(os_pread(file, found, SIZE, 0, &error), STATUS_OK);
        assert_memory_equal(found, expected, SIZE);
    }
    os_close(file);
    os_fs_free(fs);
    free(expected);
    free(found);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_and_names, setup, teardown),
        cmocka_unit_test_setup_teardown(direct_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(directories_with_parents, setup, teardown),
        cmocka_unit_test_setup_teardown(one_process_holds_the_lock, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
