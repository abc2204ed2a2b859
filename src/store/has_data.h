#pragma once
/*
 * Whether a project has data: what tools ask before they change how its data is to be understood.
 */
#include "base/error.h"
#include "os/fs.h"

/* True when catalogs or log of a data directory know anything of the project or its profiles. Nothing is written and no
 * lock is taken; beside a running server the answer is that of a moment. Without a store in the directory it is false.
 * Fails as offline_open does. */
enum status store_has_data(struct os_fs *fs, uint64_t project, struct error *error, bool *ret_has) MUST_USE;
