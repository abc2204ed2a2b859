/*
 * A shim for LD_PRELOAD that makes a disk fail on demand, for diskfull.test.mjs.
 *
 *   FAULTFS_ROOT      directory under which it acts
 *   FAULTFS_CONTROL   file outside of it; while it exists, its text says what fails:
 *                         ENOSPC   write, pwrite, writev, pwritev, fallocate and creating files: no space
 * left EIO      fsync, fdatasync, sync_file_range and msync: input/output error; the bytes of a failing sync
 * are not given up, as on a disk that comes back SHORT    every write stores half of its bytes, the next one
 * fails with ENOSPC
 *
 * Nothing fails while the control file is missing. The real calls are reached through dlsym(RTLD_NEXT).
 * Whether a descriptor is under the root is asked of /proc/self/fd each time: slow and simple, it is a test.
 * sqlite and the store call these functions through the PLT, so both see the faults.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { FAULT_NONE, FAULT_ENOSPC, FAULT_EIO, FAULT_SHORT };

/* System calls, not the functions below: open and read are not to be caught by ourselves. */
static enum fault fault_now(void)
{
    const char *control = getenv("FAULTFS_CONTROL");
    if (!control) return FAULT_NONE;
    int saved = errno;
    char text[16] = "";
    long fd = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        long size = syscall(SYS_read, (int)fd, text, sizeof text - 1);
        text[size > 0 ? size : 0] = 0;
        syscall(SYS_close, (int)fd);
    }
    errno = saved;
    if (strncmp(text, "ENOSPC", 6) == 0) return FAULT_ENOSPC;
    if (strncmp(text, "EIO", 3) == 0) return FAULT_EIO;
    if (strncmp(text, "SHORT", 5) == 0) return FAULT_SHORT;
    return FAULT_NONE;
}

static bool path_is_ours(const char *path)
{
    const char *root = getenv("FAULTFS_ROOT");
    if (!root || !*root) return false;
    size_t size = strlen(root);
    return strncmp(path, root, size) == 0 && (path[size] == '/' || path[size] == 0);
}

static bool descriptor_is_ours(int fd)
{
    int saved = errno;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (size <= 0) return false;
    path[size] = 0;
    return path_is_ours(path);
}

static bool fails_with(int fd, enum fault fault, int code)
{
    if (fault_now() != fault || !descriptor_is_ours(fd)) return false;
    errno = code;
    return true;
}

/* For FAULT_SHORT: how many of `size` bytes are to be written; SIZE_MAX for all, 0 for an error (errno is
 * set). */
static size_t allowed(int fd, size_t size)
{
    static _Thread_local bool was_short;
    enum fault fault = fault_now();
    if (fault == FAULT_NONE || fault == FAULT_EIO || !descriptor_is_ours(fd)) return SIZE_MAX;
    if (fault == FAULT_SHORT && !was_short && size > 1) {
        was_short = true;
        return size / 2;
    }
    was_short = false;
    errno = ENOSPC;
    return 0;
}

#define REAL(type, name, ...)                                                                                          \
    static type (*real)(__VA_ARGS__);                                                                                  \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    size_t room = allowed(fd, size);
    if (room == 0) return -1;
    return real(fd, data, size < room ? size : room);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    size_t room = allowed(fd, size);
    if (room == 0) return -1;
    return real(fd, data, size < room ? size : room, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return pwrite(fd, data, size, offset);
}

static size_t vector_size(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    return size;
}

/* A short vector write stores (part of) the first non-empty part. */
static const struct iovec *first_part(const struct iovec *parts, int count)
{
    int i = 0;
    while (i + 1 < count && parts[i].iov_len == 0) i++;
    return &parts[i];
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    size_t room = allowed(fd, vector_size(parts, count));
    if (room == 0) return -1;
    if (room == SIZE_MAX) return real(fd, parts, count);
    struct iovec part = *first_part(parts, count);
    if (part.iov_len > room) part.iov_len = room;
    return real(fd, &part, 1);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
    size_t room = allowed(fd, vector_size(parts, count));
    if (room == 0) return -1;
    if (room == SIZE_MAX) return real(fd, parts, count, offset);
    struct iovec part = *first_part(parts, count);
    if (part.iov_len > room) part.iov_len = room;
    return real(fd, &part, 1, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return pwritev(fd, parts, count, offset);
}

static bool is_full(int fd)
{
    enum fault fault = fault_now();
    if ((fault != FAULT_ENOSPC && fault != FAULT_SHORT) || !descriptor_is_ours(fd)) return false;
    return true;
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    REAL(int, "fallocate", int, int, off_t, off_t);
    if (is_full(fd)) {
        errno = ENOSPC;
        return -1;
    }
    return real(fd, mode, offset, size);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
    return fallocate(fd, mode, offset, size);
}

/* Returns the error instead of setting errno. */
int posix_fallocate(int fd, off_t offset, off_t size)
{
    REAL(int, "posix_fallocate", int, off_t, off_t);
    return is_full(fd) ? ENOSPC : real(fd, offset, size);
}

int posix_fallocate64(int fd, off64_t offset, off64_t size)
{
    return posix_fallocate(fd, offset, size);
}

int fsync(int fd)
{
    REAL(int, "fsync", int);
    return fails_with(fd, FAULT_EIO, EIO) ? -1 : real(fd);
}

int fdatasync(int fd)
{
    REAL(int, "fdatasync", int);
    return fails_with(fd, FAULT_EIO, EIO) ? -1 : real(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags)
{
    REAL(int, "sync_file_range", int, off64_t, off64_t, unsigned);
    return fails_with(fd, FAULT_EIO, EIO) ? -1 : real(fd, offset, size, flags);
}

/* Creating a file needs space, too. */
static bool creation_fails(const char *path, int flags)
{
    enum fault fault = fault_now();
    if ((fault != FAULT_ENOSPC && fault != FAULT_SHORT) || !(flags & O_CREAT) || !path_is_ours(path)) return false;
    int saved = errno;
    bool exists = access(path, F_OK) == 0;
    errno = saved;
    if (exists) return false;
    errno = ENOSPC;
    return true;
}

#define MODE_OF(flags, last)                                                                                           \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list args;                                                                                                  \
        va_start(args, last);                                                                                          \
        mode = (mode_t)va_arg(args, int);                                                                              \
        va_end(args);                                                                                                  \
    }

int open(const char *path, int flags, ...)
{
    REAL(int, "open", const char *, int, ...);
    MODE_OF(flags, flags)
    return creation_fails(path, flags) ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    REAL(int, "open64", const char *, int, ...);
    MODE_OF(flags, flags)
    return creation_fails(path, flags) ? -1 : real(path, flags, mode);
}

/* A relative path counts as ours when its directory is. */
int openat(int directory, const char *path, int flags, ...)
{
    REAL(int, "openat", int, const char *, int, ...);
    MODE_OF(flags, flags)
    if ((flags & O_CREAT) && *path != '/' && directory != AT_FDCWD && is_full(directory) &&
        faccessat(directory, path, F_OK, 0) != 0) {
        errno = ENOSPC;
        return -1;
    }
    return creation_fails(path, flags) ? -1 : real(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return openat(directory, path, flags, mode);
}
