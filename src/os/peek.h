#pragma once
/*
 * Looking at a data directory without touching it, for tools that work beside a running server or on a damaged disk.
 */
#include "os/fs.h"

/* A view of another file system through which nothing can be changed: files open for reading whatever is asked, making
 * a directory and syncing do nothing, and everything else that would change something is DENIED. `inner` must outlive
 * it and the files opened through it, which are the inner file system's own. */
enum status os_readonly_new(struct os_fs *inner, struct error *error, struct os_fs **ret_fs) MUST_USE;

/* The process id of the server that holds the lock on a data directory, 0 when none does. Asks the system's list of
 * locks and takes none, so that a server that starts at this moment is not refused. */
long os_lock_holder(const char *directory);
