#pragma once
/* The numbers behind store_changes (store.h); the essay is in changes.c. Any thread. Private to store/. */
#include "base/map.h"
#include "os/thread.h"
#include "store/store.h"

struct store_change_log {
    struct os_mutex lock;
    struct u64map by_project; /* project, shadows too -> its last change */
    uint64_t last, all;       /* `all`: the last change that may concern any project */
};
void store_changes_init(struct store_change_log *log, size_t projects_max);
void store_changes_fini(struct store_change_log *log);
/* Whatever the log's records change; and something about one project, or shadow. */
void store_changes_note_records(struct store_change_log *log, struct str records);
void store_changes_note(struct store_change_log *log, uint64_t project);
struct store_changes store_changes_get(struct store_change_log *log, uint64_t project);
