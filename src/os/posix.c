#include "os/fs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct posix_fs {
    struct os_fs base;
    int directory;
};
struct posix_file {
    struct os_file base;
    int fd;
    int direct;     /* the same file past the page cache; -1: not possible */
    bool stream;    /* write-back begins with the write */
    char name[128]; /* for error texts */
};

static enum status os_failure(struct error *error, int code, const char *what, const char *name)
{
    enum status status = code == ENOSPC || code == EDQUOT      ? STATUS_UNAVAILABLE
                         : code == ENOENT                      ? STATUS_NOT_FOUND
                         : code == EEXIST || code == ENOTEMPTY ? STATUS_CONFLICT
                                                               : STATUS_IO;
    error_set_os(error, status, code, "cannot %s file \"%s\"", what, name);
    if (status == STATUS_UNAVAILABLE) error_hint(error, "free some space on the disk of the data directory");
    return status;
}

static enum status posix_open(struct os_fs *base, const char *name, unsigned flags, struct error *error,
                              struct os_file **ret_file)
{
    struct posix_fs *fs = (struct posix_fs *)base;
    int mode = O_CLOEXEC | (flags & OS_WRITE ? O_RDWR : O_RDONLY) | (flags & OS_CREATE ? O_CREAT : 0) |
               (flags & OS_EXCLUSIVE ? O_EXCL : 0);
    int fd = openat(fs->directory, name, mode, 0600);
    if (fd < 0) return os_failure(error, errno, "open", name);
    struct posix_file *file = calloc(1, sizeof *file);
    if (!file) {
        close(fd);
        return error_set(error, STATUS_LIMIT, "out of memory");
    }
    file->base.fs = base;
    file->fd = fd;
    file->direct = flags & OS_DIRECT ? openat(fs->directory, name, O_RDWR | O_DIRECT | O_CLOEXEC) : -1;
    file->stream = flags & OS_STREAM;
    snprintf(file->name, sizeof file->name, "%s", name);
    *ret_file = &file->base;
    return STATUS_OK;
}

static void posix_close(struct os_file *base)
{
    struct posix_file *file = (struct posix_file *)base;
    close(file->fd);
    if (file->direct >= 0) close(file->direct);
    free(file);
}

static enum status posix_pread(struct os_file *base, void *data, size_t size, uint64_t offset, struct error *error)
{
    struct posix_file *file = (struct posix_file *)base;
    char *to = data;
    while (size) {
        ssize_t got = pread(file->fd, to, size, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return os_failure(error, errno, "read", file->name);
        if (got == 0)
            return error_set(error, STATUS_CORRUPT, "file \"%s\" ends before byte %llu", file->name,
                             (unsigned long long)(offset + size));
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return STATUS_OK;
}

/* 0, or why not. */
static int write_all(int fd, const char *from, size_t size, uint64_t offset)
{
    while (size) {
        ssize_t put = pwrite(fd, from, size, (off_t)offset);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return put < 0 ? errno : ENOSPC;
        from += put;
        offset += (uint64_t)put;
        size -= (size_t)put;
    }
    return 0;
}

/* The whole blocks of a write. EINVAL: the file system or the device does not take it like this. */
static int write_direct(struct posix_file *file, const char *from, size_t size, uint64_t offset)
{
    size_t head = (size_t)(-offset % OS_DIRECT_ALIGN), blocks = (size - head) / OS_DIRECT_ALIGN * OS_DIRECT_ALIGN;
    int failed = write_all(file->fd, from, head, offset);
    if (!failed) failed = write_all(file->direct, from + head, blocks, offset + head);
    head += blocks;
    return failed ? failed : write_all(file->fd, from + head, size - head, offset + head);
}

static enum status posix_pwrite(struct os_file *base, const void *data, size_t size, uint64_t offset,
                                struct error *error)
{
    struct posix_file *file = (struct posix_file *)base;
    int failed = EINVAL;
    if (file->direct >= 0 && size >= OS_DIRECT_BYTES_MIN && ((uintptr_t)data - offset) % OS_DIRECT_ALIGN == 0) {
        failed = write_direct(file, data, size, offset);
        if (failed == EINVAL) {
            close(file->direct);
            file->direct = -1;
        }
    }
    if (failed == EINVAL) failed = write_all(file->fd, data, size, offset);
    /* A wish: what comes of it is told by the sync. */
    if (!failed && file->stream && size >= OS_DIRECT_BYTES_MIN)
        (void)sync_file_range(file->fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
    return failed ? os_failure(error, failed, "write", file->name) : STATUS_OK;
}

static enum status posix_sync(struct os_file *base, struct error *error)
{
    struct posix_file *file = (struct posix_file *)base;
    /* fdatasync covers the content and a changed size, not the times. It is not retried: see fs.h. */
    if (fdatasync(file->fd) < 0) return os_failure(error, errno, "sync", file->name);
    return STATUS_OK;
}

static enum status posix_size(struct os_file *base, uint64_t *ret_size, struct error *error)
{
    struct posix_file *file = (struct posix_file *)base;
    struct stat info;
    if (fstat(file->fd, &info) < 0) return os_failure(error, errno, "stat", file->name);
    *ret_size = (uint64_t)info.st_size;
    return STATUS_OK;
}

static enum status posix_truncate(struct os_file *base, uint64_t size, struct error *error)
{
    struct posix_file *file = (struct posix_file *)base;
    if (ftruncate(file->fd, (off_t)size) < 0) return os_failure(error, errno, "truncate", file->name);
    return STATUS_OK;
}

static enum status posix_allocate(struct os_file *base, uint64_t size, struct error *error)
{
    struct posix_file *file = (struct posix_file *)base;
    /* fallocate alone leaves "unwritten" extents, whose first write changes metadata again: hence the zeros. */
    int failed = posix_fallocate(file->fd, 0, (off_t)size);
    if (failed && failed != EOPNOTSUPP && failed != EINVAL) return os_failure(error, failed, "allocate", file->name);
    static _Alignas(OS_DIRECT_ALIGN) char zeros[1 << 20];
    for (uint64_t at = 0; at < size; at += sizeof zeros) {
        size_t piece = size - at < sizeof zeros ? (size_t)(size - at) : sizeof zeros;
        TRY(posix_pwrite(base, zeros, piece, at, error));
    }
    return STATUS_OK;
}

static enum status posix_rename(struct os_fs *base, const char *from, const char *to, struct error *error)
{
    struct posix_fs *fs = (struct posix_fs *)base;
    if (renameat(fs->directory, from, fs->directory, to) < 0) return os_failure(error, errno, "rename", from);
    return STATUS_OK;
}

static enum status posix_unlink(struct os_fs *base, const char *name, struct error *error)
{
    struct posix_fs *fs = (struct posix_fs *)base;
    if (unlinkat(fs->directory, name, 0) < 0) return os_failure(error, errno, "remove", name);
    return STATUS_OK;
}

static enum status posix_mkdir(struct os_fs *base, const char *name, struct error *error)
{
    struct posix_fs *fs = (struct posix_fs *)base;
    if (mkdirat(fs->directory, name, 0700) < 0 && errno != EEXIST) return os_failure(error, errno, "create", name);
    return STATUS_OK;
}

static enum status posix_rmdir(struct os_fs *base, const char *name, struct error *error)
{
    struct posix_fs *fs = (struct posix_fs *)base;
    if (unlinkat(fs->directory, name, AT_REMOVEDIR) < 0) return os_failure(error, errno, "remove", name);
    return STATUS_OK;
}

static enum status posix_sync_dir(struct os_fs *base, const char *name, struct error *error)
{
    struct posix_fs *fs = (struct posix_fs *)base;
    int fd = openat(fs->directory, name[0] ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return os_failure(error, errno, "open", name);
    int failed = fsync(fd) < 0 ? errno : 0;
    close(fd);
    return failed ? os_failure(error, failed, "sync", name) : STATUS_OK;
}

static enum status posix_list(struct os_fs *base, const char *name, void (*each)(void *, const char *), void *ctx,
                              struct error *error)
{
    struct posix_fs *fs = (struct posix_fs *)base;
    int fd = openat(fs->directory, name[0] ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return os_failure(error, errno, "open", name);
    DIR *directory = fdopendir(fd);
    if (!directory) {
        int code = errno;
        close(fd);
        return os_failure(error, code, "list", name);
    }
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) each(ctx, entry->d_name);
        errno = 0;
    }
    int code = errno;
    closedir(directory);
    return code ? os_failure(error, code, "list", name) : STATUS_OK;
}

static void posix_free(struct os_fs *base)
{
    struct posix_fs *fs = (struct posix_fs *)base;
    close(fs->directory);
    free(fs);
}

enum status os_posix_new(const char *root, struct error *error, struct os_fs **ret_fs)
{
    static const struct os_fs_ops ops = {
        .open = posix_open,
        .close = posix_close,
        .pread = posix_pread,
        .pwrite = posix_pwrite,
        .sync = posix_sync,
        .size = posix_size,
        .truncate = posix_truncate,
        .allocate = posix_allocate,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .mkdir = posix_mkdir,
        .rmdir = posix_rmdir,
        .sync_dir = posix_sync_dir,
        .list = posix_list,
        .free = posix_free,
    };
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return error_set_os(error, STATUS_IO, errno, "cannot open data directory \"%s\"", root);
    struct posix_fs *fs = calloc(1, sizeof *fs);
    if (!fs) {
        close(fd);
        return error_set(error, STATUS_LIMIT, "out of memory");
    }
    fs->base.ops = &ops;
    fs->directory = fd;
    *ret_fs = &fs->base;
    return STATUS_OK;
}

enum status os_make_directories(const char *path, struct error *error)
{
    char partial[4096];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof partial)
        return error_set(error, STATUS_INVALID, "invalid directory name \"%s\"", path);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(partial, path, i);
        partial[i] = 0;
        if (mkdir(partial, 0700) < 0 && errno != EEXIST)
            return error_set_os(error, STATUS_IO, errno, "cannot create directory \"%s\"", partial);
    }
    struct stat info;
    if (stat(path, &info) < 0 || !S_ISDIR(info.st_mode))
        return error_set(error, STATUS_INVALID, "\"%s\" is not a directory", path);
    return STATUS_OK;
}

struct os_lock {
    int fd;
};

enum status os_lock_acquire(const char *directory, struct error *error, struct os_lock **ret_lock)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/LOCK", directory) >= (int)sizeof path)
        return error_set(error, STATUS_INVALID, "directory name too long");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return error_set_os(error, STATUS_IO, errno, "cannot open lock file \"%s\"", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int code = errno;
        char holder[32] = "";
        ssize_t got = pread(fd, holder, sizeof holder - 1, 0);
        close(fd);
        if (code != EWOULDBLOCK) return error_set_os(error, STATUS_IO, code, "cannot lock \"%s\"", path);
        holder[got > 0 ? strcspn(holder, "\n") : 0] = 0;
        error_set(error, STATUS_CONFLICT, "data directory \"%s\" is in use by another process%s%s", directory,
                  holder[0] ? ", pid " : "", holder);
        error_hint(error, "stop that server first, or choose another directory");
        return STATUS_CONFLICT;
    }
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* The number only helps the message above; a failure to write it changes nothing. */
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) < 0) errno = 0;
    struct os_lock *lock = calloc(1, sizeof *lock);
    if (!lock) {
        close(fd);
        return error_set(error, STATUS_LIMIT, "out of memory");
    }
    lock->fd = fd;
    *ret_lock = lock;
    return STATUS_OK;
}

void os_lock_release(struct os_lock *lock)
{
    if (!lock) return;
    close(lock->fd);
    free(lock);
}
