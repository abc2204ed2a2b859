#include "os/peek.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct readonly_fs {
    struct os_fs base;
    struct os_fs *inner;
};

static enum status refuse(const char *name, struct error *error)
{
    return error_set(error, STATUS_DENIED, "file \"%s\" was opened for reading only", name);
}

static enum status readonly_open(struct os_fs *base, const char *name, unsigned flags, struct error *error,
                                 struct os_file **ret_file)
{
    if (flags & OS_CREATE) return refuse(name, error);
    return os_open(((struct readonly_fs *)base)->inner, name, OS_READ, error, ret_file);
}

static enum status readonly_rename(struct os_fs *base, const char *from, const char *to, struct error *error)
{
    (void)base, (void)to;
    return refuse(from, error);
}

static enum status readonly_unlink(struct os_fs *base, const char *name, struct error *error)
{
    (void)base;
    return refuse(name, error);
}

static enum status readonly_nothing(struct os_fs *base, const char *name, struct error *error)
{
    (void)base, (void)name, (void)error;
    return STATUS_OK;
}

static enum status readonly_list(struct os_fs *base, const char *name, void (*each)(void *, const char *), void *ctx,
                                 struct error *error)
{
    return os_list(((struct readonly_fs *)base)->inner, name, each, ctx, error);
}

static void readonly_free(struct os_fs *base)
{
    free(base);
}

enum status os_readonly_new(struct os_fs *inner, struct error *error, struct os_fs **ret_fs)
{
    /* Calls on a file go to the file system that the file names, which is the inner one. */
    static const struct os_fs_ops ops = {.open = readonly_open,
                                         .rename = readonly_rename,
                                         .unlink = readonly_unlink,
                                         .mkdir = readonly_nothing,
                                         .rmdir = readonly_unlink,
                                         .sync_dir = readonly_nothing,
                                         .list = readonly_list,
                                         .free = readonly_free};
    struct readonly_fs *fs = calloc(1, sizeof *fs);
    if (!fs) return error_set(error, STATUS_LIMIT, "out of memory");
    fs->base.ops = &ops;
    fs->inner = inner;
    *ret_fs = &fs->base;
    return STATUS_OK;
}

long os_lock_holder(const char *directory)
{
    char path[4096], line[512];
    struct stat info;
    if (snprintf(path, sizeof path, "%s/LOCK", directory) >= (int)sizeof path || stat(path, &info) < 0) return 0;
    FILE *locks = fopen("/proc/locks", "re");
    long holder = 0;
    /* 12: FLOCK  ADVISORY  WRITE 4711 fe:01:131074 0 EOF; the device is not compared, for file systems with
     * subvolumes show another one here than in stat. */
    while (locks && !holder && fgets(line, sizeof line, locks)) {
        long pid;
        unsigned long long inode;
        if (sscanf(line, "%*d: FLOCK %*s %*s %ld %*x:%*x:%llu", &pid, &inode) == 2 && inode == info.st_ino)
            holder = pid;
    }
    if (locks) fclose(locks);
    return holder;
}
