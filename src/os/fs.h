#pragma once
/*
 * The only door to durable state. The store does every file operation through a `struct os_fs`, so that one
 * fault-injecting simulated disk (sim.h) can test the whole engine, and so that an I/O error is always an error code.
 *
 * Names are paths relative to the file system's root (the data directory), with `/` between directories. A failure is
 * STATUS_IO with the system's reason as detail; STATUS_UNAVAILABLE when the disk is full (ENOSPC, EDQUOT),
 * STATUS_NOT_FOUND when the file is missing. Everything here may be called from any thread; one file handle may be used
 * by several threads for pread.
 */
#include "base/error.h"
#include "base/str.h"

struct os_fs;
struct os_file;

enum os_open_flags {
    OS_READ = 0,
    OS_WRITE = 1,     /* read and write; the file must exist */
    OS_CREATE = 2,    /* with OS_WRITE: make it, or open it when it exists */
    OS_EXCLUSIVE = 4, /* with OS_CREATE: CONFLICT when it exists */
    OS_DIRECT = 8,    /* with OS_WRITE: large writes go past the page cache where that is possible, for bytes that are
                       * hardly ever read: where the address of the data agrees with the offset modulo OS_DIRECT_ALIGN */
    OS_STREAM = 16,   /* with OS_WRITE: the disk begins with large writes at once, where that is possible, so that the
                       * sync of a file that is written from front to back has little left to do */
};
#define OS_DIRECT_ALIGN     ((size_t)4096)
#define OS_DIRECT_BYTES_MIN ((size_t)64 << 10) /* what is large */

struct os_fs_ops {
    enum status (*open)(struct os_fs *, const char *name, unsigned flags, struct error *, struct os_file **ret_file);
    void (*close)(struct os_file *);
    /* All of `size` bytes or an error; reading past the end is CORRUPT. */
    enum status (*pread)(struct os_file *, void *data, size_t size, uint64_t offset, struct error *);
    enum status (*pwrite)(struct os_file *, const void *data, size_t size, uint64_t offset, struct error *);
    /* Durable content and size. After a failure the state of unsynced bytes is unknown, and a later success does not
     * make them durable: the caller must write them anew, to another file. */
    enum status (*sync)(struct os_file *, struct error *);
    enum status (*size)(struct os_file *, uint64_t *ret_size, struct error *);
    enum status (*truncate)(struct os_file *, uint64_t size, struct error *);
    /* Reserves and zero-fills [0, size), so that later writes inside it cannot fail for want of space. */
    enum status (*allocate)(struct os_file *, uint64_t size, struct error *);
    enum status (*rename)(struct os_fs *, const char *from, const char *to, struct error *);
    enum status (*unlink)(struct os_fs *, const char *name, struct error *);
    enum status (*mkdir)(struct os_fs *, const char *name, struct error *); /* OK when it exists */
    enum status (*rmdir)(struct os_fs *, const char *name, struct error *); /* CONFLICT when something is in it */
    /* Makes creations, renames and removals in a directory durable. "" is the root. */
    enum status (*sync_dir)(struct os_fs *, const char *name, struct error *);
    /* Calls each(ctx, file name) for the directory's files, in no order. */
    enum status (*list)(struct os_fs *, const char *name, void (*each)(void *ctx, const char *file), void *ctx,
                        struct error *);
    void (*free)(struct os_fs *);
};

struct os_fs {
    const struct os_fs_ops *ops;
};
struct os_file {
    struct os_fs *fs;
};

/* The machine's file system below `root`, which must exist. */
enum status os_posix_new(const char *root, struct error *error, struct os_fs **ret_fs) MUST_USE;
static inline void os_fs_free(struct os_fs *fs)
{
    if (fs) fs->ops->free(fs);
}

static inline enum status MUST_USE os_open(struct os_fs *fs, const char *name, unsigned flags, struct error *error,
                                           struct os_file **ret_file)
{
    return fs->ops->open(fs, name, flags, error, ret_file);
}
static inline void os_close(struct os_file *file)
{
    if (file) file->fs->ops->close(file);
}
static inline enum status MUST_USE os_pread(struct os_file *file, void *data, size_t size, uint64_t offset,
                                            struct error *error)
{
    return file->fs->ops->pread(file, data, size, offset, error);
}
static inline enum status MUST_USE os_pwrite(struct os_file *file, const void *data, size_t size, uint64_t offset,
                                             struct error *error)
{
    return file->fs->ops->pwrite(file, data, size, offset, error);
}
static inline enum status MUST_USE os_sync(struct os_file *file, struct error *error)
{
    return file->fs->ops->sync(file, error);
}
static inline enum status MUST_USE os_size(struct os_file *file, uint64_t *ret_size, struct error *error)
{
    return file->fs->ops->size(file, ret_size, error);
}
static inline enum status MUST_USE os_allocate(struct os_file *file, uint64_t size, struct error *error)
{
    return file->fs->ops->allocate(file, size, error);
}
static inline enum status MUST_USE os_truncate(struct os_file *file, uint64_t size, struct error *error)
{
    return file->fs->ops->truncate(file, size, error);
}
static inline enum status MUST_USE os_rename(struct os_fs *fs, const char *from, const char *to, struct error *error)
{
    return fs->ops->rename(fs, from, to, error);
}
static inline enum status MUST_USE os_unlink(struct os_fs *fs, const char *name, struct error *error)
{
    return fs->ops->unlink(fs, name, error);
}
static inline enum status MUST_USE os_mkdir(struct os_fs *fs, const char *name, struct error *error)
{
    return fs->ops->mkdir(fs, name, error);
}
static inline enum status MUST_USE os_rmdir(struct os_fs *fs, const char *name, struct error *error)
{
    return fs->ops->rmdir(fs, name, error);
}
static inline enum status MUST_USE os_sync_dir(struct os_fs *fs, const char *name, struct error *error)
{
    return fs->ops->sync_dir(fs, name, error);
}
static inline enum status MUST_USE os_list(struct os_fs *fs, const char *name, void (*each)(void *, const char *),
                                           void *ctx, struct error *error)
{
    return fs->ops->list(fs, name, each, ctx, error);
}

/* Creates the data directory (and its parents) when missing, mode 0700. */
enum status os_make_directories(const char *path, struct error *error) MUST_USE;

/* The lock on a data directory: held by one process at a time, released when the process ends however it ends. */
struct os_lock;
/* CONFLICT, naming the holder's process id, when another process has it. */
enum status os_lock_acquire(const char *directory, struct error *error, struct os_lock **ret_lock) MUST_USE;
void os_lock_release(struct os_lock *lock);
