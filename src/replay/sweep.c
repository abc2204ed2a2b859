#include "base/civil.h"
#include "base/log.h"
#include "replay/replay_int.h"

#include <stdio.h>
#include <stdlib.h>

#define NAMES_AT_ONCE 1000

/* ---- names of a folder ---- */

struct names {
    char (*items)[REPLAY_PATH_MAX];
    size_t count;
};

static void note_name(void *ctx, const char *file)
{
    struct names *names = ctx;
    if (names->count == NAMES_AT_ONCE || strlen(file) >= REPLAY_PATH_MAX) return;
    snprintf(names->items[names->count++], REPLAY_PATH_MAX, "%s", file);
}

/* ---- counting ---- */

/* A folder is listed once, its files are looked at as their names come: there may be many. */
struct count {
    struct os_fs *fs;
    const char *folder;
    uint64_t bytes;
    enum status status;
    struct error *error;
};

static void count_file(void *ctx, const char *name)
{
    struct count *count = ctx;
    char path[2 * REPLAY_PATH_MAX];
    struct os_file *file;
    uint64_t size = 0;
    if (count->status != STATUS_OK) return;
    if (snprintf(path, sizeof path, "%s/%s", count->folder, name) >= (int)sizeof path) return;
    count->status = os_open(count->fs, path, OS_READ, count->error, &file);
    if (count->status != STATUS_OK) return;
    count->status = os_size(file, &size, count->error);
    os_close(file);
    count->bytes += replay_blocks(size);
}

static enum status count_day(struct replays *replays, uint64_t id, int64_t day, struct error *error)
{
    char folder[REPLAY_PATH_MAX];
    replay_day_path(folder, id, day);
    struct count count = {.fs = replays->options.fs, .folder = folder, .status = STATUS_OK, .error = error};
    TRY(os_list(replays->options.fs, folder, count_file, &count, error));
    TRY(count.status);
    os_mutex_lock(&replays->lock);
    struct replay_project *project = replays_find(replays, id);
    struct replay_day *entry = replays_need_day(project, day);
    if (entry) {
        project->bytes += count.bytes - entry->bytes;
        entry->bytes = count.bytes;
        entry->made = true;
    }
    os_mutex_unlock(&replays->lock);
    return entry ? STATUS_OK : error_set(error, STATUS_LIMIT, "out of memory");
}

/* Nothing is put into the project before it is counted. */
static enum status count_project(struct replays *replays, uint64_t id, struct names *names, struct error *error)
{
    char folder[REPLAY_PATH_MAX];
    snprintf(folder, sizeof folder, REPLAY_FOLDER "/%llu", (unsigned long long)id);
    names->count = 0;
    TRY(os_list(replays->options.fs, folder, note_name, names, error));
    for (size_t i = 0; i < names->count; i++) {
        struct str date = str_of(names->items[i]);
        int64_t day;
        if (date.size == 10 && civil_parse_date(date, &day)) TRY(count_day(replays, id, day, error));
    }
    os_mutex_lock(&replays->lock);
    replays_find(replays, id)->counted = true;
    os_mutex_unlock(&replays->lock);
    return STATUS_OK;
}

/* ---- removing ---- */

static enum status remove_folder(struct os_fs *fs, const char *folder, struct names *names, struct error *error)
{
    do {
        names->count = 0;
        TRY(os_list(fs, folder, note_name, names, error));
        for (size_t i = 0; i < names->count; i++) {
            char path[2 * REPLAY_PATH_MAX];
            snprintf(path, sizeof path, "%s/%s", folder, names->items[i]);
            TRY(os_unlink(fs, path, error));
        }
    } while (names->count);
    return os_rmdir(fs, folder, error);
}

/* The oldest day before `limit` that nobody writes to is marked as leaving; false: there is none. */
static bool take_oldest(struct replays *replays, uint64_t id, int64_t limit, int64_t *ret_day)
{
    bool taken = false;
    os_mutex_lock(&replays->lock);
    struct replay_project *project = replays_find(replays, id);
    for (size_t i = 0; i < project->day_count && project->days[i].day < limit && !taken; i++) {
        if (project->days[i].writers) continue;
        project->days[i].leaving = true;
        *ret_day = project->days[i].day;
        taken = true;
    }
    os_mutex_unlock(&replays->lock);
    return taken;
}

static void forget_day(struct replays *replays, uint64_t id, int64_t day, bool gone)
{
    os_mutex_lock(&replays->lock);
    struct replay_project *project = replays_find(replays, id);
    struct replay_day *entry = replays_find_day(project, day), *end = project->days + project->day_count;
    entry->leaving = false;
    if (gone) {
        project->bytes -= entry->bytes;
        memmove(entry, entry + 1, (size_t)(end - entry - 1) * sizeof *entry);
        project->day_count--;
    }
    os_mutex_unlock(&replays->lock);
}

/* False: no day before `limit` can be removed. */
static bool remove_oldest(struct replays *replays, uint64_t id, int64_t limit, const char *why, struct names *names)
{
    struct error error = ERROR_INIT;
    char folder[REPLAY_PATH_MAX];
    int64_t day;
    if (!take_oldest(replays, id, limit, &day)) return false;
    replay_day_path(folder, id, day);
    enum status status = remove_folder(replays->options.fs, folder, names, &error);
    if (status == STATUS_NOT_FOUND) status = STATUS_OK; /* whoever wanted to make it has failed */
    forget_day(replays, id, day, status == STATUS_OK);
    if (status != STATUS_OK) {
        log_failure(LOG_ERROR, "cannot_remove_recordings", &error);
        return false;
    }
    log_info("recordings_removed", LOG_INT("project", id), LOG_CSTR("folder", folder), LOG_CSTR("why", why));
    return true;
}

static void remove_project(struct replays *replays, uint64_t id, struct names *names)
{
    char folder[REPLAY_PATH_MAX];
    struct error error = ERROR_INIT;
    while (remove_oldest(replays, id, INT64_MAX, "its project is deleted", names)) continue;
    os_mutex_lock(&replays->lock);
    struct replay_project *project = replays_find(replays, id);
    bool empty = project->day_count == 0;
    if (empty) {
        struct replay_project *last = &replays->projects[--replays->project_count];
        free(project->days);
        *project = *last;
    }
    os_mutex_unlock(&replays->lock);
    if (!empty) return; /* the next sweep */
    snprintf(folder, sizeof folder, REPLAY_FOLDER "/%llu", (unsigned long long)id);
    enum status status = os_rmdir(replays->options.fs, folder, &error);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        log_failure(LOG_WARN, "cannot_remove_folder_of_recordings", &error);
}

static bool nearly_full(struct replays *replays, uint64_t id)
{
    uint64_t max = replays->options.project_bytes_max;
    return replays_bytes(replays, id) > max - max / 8;
}

static void sweep_project(struct replays *replays, uint64_t id, int64_t today, bool counted, struct names *names)
{
    struct error error = ERROR_INIT;
    int64_t days = replays->options.retention_days;
    if (!counted && count_project(replays, id, names, &error) != STATUS_OK) {
        log_failure(LOG_ERROR, "cannot_count_recordings", &error);
        return;
    }
    while (days && remove_oldest(replays, id, today - days, "they are older than record.retention_days", names))
        continue;
    while (nearly_full(replays, id) && remove_oldest(replays, id, today, "room is needed for newer ones", names))
        continue;
}

void replays_sweep(struct replays *replays, int64_t now_ms, bool (*exists)(void *ctx, uint64_t project), void *ctx)
{
    struct names names = {.items = malloc(NAMES_AT_ONCE * sizeof *names.items)};
    for (size_t i = 0; names.items; i++) {
        os_mutex_lock(&replays->lock);
        bool more = i < replays->project_count;
        struct replay_project project = more ? replays->projects[i] : (struct replay_project){0};
        os_mutex_unlock(&replays->lock);
        if (!more) break;
        bool lives = !exists || exists(ctx, project.id);
        if (lives || !project.counted)
            sweep_project(replays, project.id, floor_div(now_ms, DAY_MS), project.counted, &names);
        if (!lives) remove_project(replays, project.id, &names);
    }
    free(names.items);
}
