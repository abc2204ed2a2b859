#include "replay/replay.h"

#include "base/civil.h"
#include "base/hash.h"
#include "base/number.h"
#include "replay/replay_int.h"

#include <stdio.h>
#include <stdlib.h>

#define NEW_FOLDER      REPLAY_FOLDER "/new"
#define PLAIN_BYTES_MAX 64 /* of an id that serves as a name as it is */
#define NAMES_AT_ONCE   1000

/* ---- what is known ---- */

struct replay_project *replays_find(struct replays *replays, uint64_t project)
{
    for (size_t i = 0; i < replays->project_count; i++) {
        if (replays->projects[i].id == project) return &replays->projects[i];
    }
    return NULL;
}

struct replay_day *replays_find_day(struct replay_project *project, int64_t day)
{
    for (size_t i = project->day_count; i-- > 0;) {
        if (project->days[i].day == day) return &project->days[i];
    }
    return NULL;
}

struct replay_project *replays_need(struct replays *replays, uint64_t project)
{
    struct replay_project *found = replays_find(replays, project);
    if (found) return found;
    found = realloc(replays->projects, (replays->project_count + 1) * sizeof *found);
    if (!found) return NULL;
    replays->projects = found;
    found += replays->project_count++;
    *found = (struct replay_project){.id = project};
    return found;
}

struct replay_day *replays_need_day(struct replay_project *project, int64_t day)
{
    struct replay_day *found = replays_find_day(project, day);
    if (found) return found;
    found = realloc(project->days, (project->day_count + 1) * sizeof *found);
    if (!found) return NULL;
    project->days = found;
    size_t at = project->day_count++;
    for (; at > 0 && found[at - 1].day > day; at--) found[at] = found[at - 1];
    found[at] = (struct replay_day){.day = day};
    return &found[at];
}

uint64_t replays_bytes(struct replays *replays, uint64_t project)
{
    os_mutex_lock(&replays->lock);
    const struct replay_project *found = replays_find(replays, project);
    uint64_t bytes = found ? found->bytes : 0;
    os_mutex_unlock(&replays->lock);
    return bytes;
}

/* ---- life ---- */

struct leftovers {
    char names[NAMES_AT_ONCE][24];
    size_t count;
};

static void note_leftover(void *ctx, const char *file)
{
    struct leftovers *left = ctx;
    if (left->count == NAMES_AT_ONCE || strlen(file) >= sizeof left->names[0]) return;
    snprintf(left->names[left->count++], sizeof left->names[0], "%s", file);
}

static enum status remove_leftovers(struct os_fs *fs, struct error *error)
{
    struct leftovers *left = malloc(sizeof *left);
    if (!left) return error_set(error, STATUS_LIMIT, "out of memory");
    enum status status;
    do {
        left->count = 0;
        status = os_list(fs, NEW_FOLDER, note_leftover, left, error);
        for (size_t i = 0; i < left->count && status == STATUS_OK; i++) {
            char path[REPLAY_PATH_MAX];
            snprintf(path, sizeof path, NEW_FOLDER "/%s", left->names[i]);
            status = os_unlink(fs, path, error);
        }
    } while (status == STATUS_OK && left->count == NAMES_AT_ONCE);
    free(left);
    return status;
}

struct found_projects {
    struct replays *replays;
    enum status status;
};

static void note_project(void *ctx, const char *file)
{
    struct found_projects *found = ctx;
    uint64_t id;
    if (!number_parse_unsigned(str_of(file), UINT64_MAX, &id)) return;
    if (!replays_need(found->replays, id)) found->status = STATUS_LIMIT;
}

static enum status open_folders(struct replays *replays, struct error *error)
{
    struct os_fs *fs = replays->options.fs;
    struct found_projects found = {replays, STATUS_OK};
    TRY(os_mkdir(fs, REPLAY_FOLDER, error));
    TRY(os_sync_dir(fs, "", error));
    TRY(os_mkdir(fs, NEW_FOLDER, error));
    TRY(remove_leftovers(fs, error));
    TRY(os_list(fs, REPLAY_FOLDER, note_project, &found, error));
    return found.status == STATUS_OK ? STATUS_OK : error_set(error, found.status, "out of memory");
}

enum status replays_open(const struct replay_options *options, struct error *error, struct replays **ret_replays)
{
    struct replays *replays = calloc(1, sizeof *replays);
    if (!replays) return error_set(error, STATUS_LIMIT, "out of memory");
    replays->options = *options;
    os_mutex_init(&replays->lock, "replays");
    enum status status = open_folders(replays, error);
    if (status == STATUS_OK)
        *ret_replays = replays;
    else
        replays_close(replays);
    return status;
}

void replays_close(struct replays *replays)
{
    if (!replays) return;
    for (size_t i = 0; i < replays->project_count; i++) free(replays->projects[i].days);
    free(replays->projects);
    os_mutex_destroy(&replays->lock);
    free(replays);
}

/* ---- names ---- */

void replay_day_path(char path[REPLAY_PATH_MAX], uint64_t project, int64_t day)
{
    char date[10];
    civil_format_date(day, date);
    snprintf(path, REPLAY_PATH_MAX, REPLAY_FOLDER "/%llu/%.10s", (unsigned long long)project, date);
}

static bool is_plain(struct str id)
{
    if (id.size > PLAIN_BYTES_MAX) return false;
    for (size_t i = 0; i < id.size; i++) {
        char c = id.data[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_') return false;
    }
    return true;
}

/* Without the ending. */
static void piece_path(char path[REPLAY_PATH_MAX], const struct replay_piece *piece, int64_t day)
{
    char name[PLAIN_BYTES_MAX + 1];
    if (is_plain(piece->replay_id))
        snprintf(name, sizeof name, STR_FMT, STR_ARG(piece->replay_id));
    else
        snprintf(name, sizeof name, "~%016llx%016llx",
                 (unsigned long long)hash_bytes(piece->replay_id.data, piece->replay_id.size, 0),
                 (unsigned long long)hash_bytes(piece->replay_id.data, piece->replay_id.size, 1));
    replay_day_path(path, piece->project, day);
    size_t used = strlen(path);
    snprintf(path + used, REPLAY_PATH_MAX - used, "/%s-%llu", name, (unsigned long long)piece->seq);
}

/* ---- a piece ---- */

/* Room that a piece takes, and its day, held until it is written. */
struct place {
    int64_t day;
    uint64_t bytes, number;
    bool made;
};

static enum status refuse(const struct replay_project *project, uint64_t bytes, uint64_t bytes_max, struct error *error)
{
    if (!project->counted) return error_set(error, STATUS_UNAVAILABLE, "the project's recordings are being counted");
    if (bytes <= bytes_max && project->bytes <= bytes_max - bytes) return STATUS_OK;
    return error_set(error, STATUS_LIMIT, "the project's recordings fill the room that they have");
}

static enum status reserve(struct replays *replays, const struct replay_piece *piece, struct error *error,
                           struct place *place)
{
    enum status status = STATUS_OK;
    os_mutex_lock(&replays->lock);
    bool known = replays_find(replays, piece->project);
    struct replay_project *project = replays_need(replays, piece->project);
    struct replay_day *day = NULL;
    if (project) {
        project->counted |= !known; /* nothing is there to be counted */
        status = refuse(project, place->bytes, replays->options.project_bytes_max, error);
        if (status == STATUS_OK) day = replays_need_day(project, place->day);
    }
    if (status == STATUS_OK && !day) {
        status = error_set(error, STATUS_LIMIT, "out of memory");
    } else if (status == STATUS_OK && day->leaving) {
        status = error_set(error, STATUS_UNAVAILABLE, "the recordings of this day are being removed");
    } else if (status == STATUS_OK) {
        project->bytes += place->bytes;
        day->bytes += place->bytes;
        day->writers++;
        place->made = day->made;
        place->number = replays->temporary += 2;
    }
    os_mutex_unlock(&replays->lock);
    return status;
}

/* The piece is written, or not: `given_back` bytes of its day are free again. */
static void release(struct replays *replays, const struct replay_piece *piece, const struct place *place,
                    uint64_t given_back, bool made)
{
    os_mutex_lock(&replays->lock);
    struct replay_project *project = replays_find(replays, piece->project);
    struct replay_day *day = replays_find_day(project, place->day);
    if (given_back > day->bytes) given_back = day->bytes;
    day->bytes -= given_back;
    project->bytes -= given_back;
    day->writers--;
    day->made |= made;
    os_mutex_unlock(&replays->lock);
}

static enum status make_day(struct os_fs *fs, const struct replay_piece *piece, int64_t day, struct error *error)
{
    char path[REPLAY_PATH_MAX], project[REPLAY_PATH_MAX];
    snprintf(project, sizeof project, REPLAY_FOLDER "/%llu", (unsigned long long)piece->project);
    replay_day_path(path, piece->project, day);
    TRY(os_mkdir(fs, project, error));
    TRY(os_sync_dir(fs, REPLAY_FOLDER, error));
    TRY(os_mkdir(fs, path, error));
    return os_sync_dir(fs, project, error);
}

static enum status write_new(struct os_fs *fs, const char *name, struct str bytes, struct error *error)
{
    struct os_file *file;
    TRY(os_open(fs, name, OS_WRITE | OS_CREATE | OS_EXCLUSIVE, error, &file));
    enum status status = os_pwrite(file, bytes.data, bytes.size, 0, error);
    if (status == STATUS_OK) status = os_sync(file, error);
    os_close(file);
    return status;
}

/* The blocks of a file that is about to be replaced; 0 when there is none. */
static uint64_t blocks_of(struct os_fs *fs, const char *name)
{
    struct os_file *file;
    struct error error;
    uint64_t size = 0;
    if (os_open(fs, name, OS_READ, &error, &file) != STATUS_OK) return 0;
    if (os_size(file, &size, &error) != STATUS_OK) size = 0;
    os_close(file);
    return replay_blocks(size);
}

/* Writes one of the two files; *replaced grows by what an older one had taken. */
static enum status write_file(struct os_fs *fs, const char *path, const char *ending, uint64_t number, struct str bytes,
                              struct error *error, uint64_t *replaced)
{
    char name[REPLAY_PATH_MAX + 16], temporary[REPLAY_PATH_MAX];
    struct error ignored;
    snprintf(name, sizeof name, "%s%s", path, ending);
    snprintf(temporary, sizeof temporary, NEW_FOLDER "/%llu", (unsigned long long)number);
    enum status status = write_new(fs, temporary, bytes, error);
    uint64_t old = blocks_of(fs, name);
    if (status == STATUS_OK) status = os_rename(fs, temporary, name, error);
    if (status == STATUS_OK)
        *replaced += old;
    else if (os_unlink(fs, temporary, &ignored) != STATUS_OK)
        return status; /* the next start removes it */
    return status;
}

enum status replays_put(struct replays *replays, const struct replay_piece *piece, struct error *error)
{
    struct os_fs *fs = replays->options.fs;
    char path[REPLAY_PATH_MAX], folder[REPLAY_PATH_MAX];
    if (piece->replay_id.size == 0 || piece->replay_id.size > REPLAY_ID_BYTES_MAX)
        return error_set(error, STATUS_INVALID, "replay_id must have 1 to %u bytes", REPLAY_ID_BYTES_MAX);
    if (piece->seq > REPLAY_SEQ_MAX)
        return error_set(error, STATUS_INVALID, "seq must be at most %llu", (unsigned long long)REPLAY_SEQ_MAX);
    if (piece->about.size > REPLAY_ABOUT_BYTES_MAX)
        return error_set(error, STATUS_INVALID, "the recording's properties are too long");
    struct place place = {.day = floor_div(piece->received_ms, DAY_MS),
                          .bytes = replay_blocks(piece->packed.size) + replay_blocks(piece->about.size)};
    TRY(reserve(replays, piece, error, &place));
    uint64_t replaced = 0;
    piece_path(path, piece, place.day);
    replay_day_path(folder, piece->project, place.day);
    enum status status = place.made ? STATUS_OK : make_day(fs, piece, place.day, error);
    bool made = status == STATUS_OK;
    if (status == STATUS_OK) status = write_file(fs, path, ".json.gz", place.number, piece->packed, error, &replaced);
    uint64_t written = status == STATUS_OK ? replay_blocks(piece->packed.size) : 0;
    if (status == STATUS_OK) status = write_file(fs, path, ".json", place.number + 1, piece->about, error, &replaced);
    if (status == STATUS_OK) {
        written = place.bytes;
        status = os_sync_dir(fs, folder, error);
    }
    release(replays, piece, &place, place.bytes - written + replaced, made);
    return status;
}
