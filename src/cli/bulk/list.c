#include "cli/bulk/list.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <sys/stat.h>

struct list {
    struct arena *arena;
    struct bulk_file *files;
    size_t count, capacity;
};

static enum status add(struct list *list, const char *name, const struct stat *info, struct error *error)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        list->files = arena_realloc(list->arena, list->files, list->capacity * sizeof *list->files,
                                    capacity * sizeof *list->files);
        if (!list->files) return error_set(error, STATUS_LIMIT, "too many files");
        list->capacity = capacity;
    }
    struct bulk_file *file = &list->files[list->count++];
    *file = (struct bulk_file){.name = arena_cstr(list->arena, str_of(name))};
    if (!file->name) return error_set(error, STATUS_LIMIT, "too many files");
    if (info && S_ISREG(info->st_mode)) {
        file->size_bytes = (uint64_t)info->st_size;
        file->mtime_ns = (uint64_t)info->st_mtim.tv_sec * 1000000000u + (uint64_t)info->st_mtim.tv_nsec;
    }
    return STATUS_OK;
}

static bool named_like_records(struct str name)
{
    static const char *const packed[] = {".gz", ".zst"}, *const plain[] = {".json", ".jsonl", ".ndjson", ".csv"};
    for (size_t i = 0; i < 2; i++) {
        struct str end = str_of(packed[i]);
        if (str_ends(name, end)) name.size -= end.size;
    }
    for (size_t i = 0; i < 4; i++) {
        if (str_ends(name, str_of(plain[i]))) return true;
    }
    return false;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static enum status add_folder(struct list *list, char *name, struct error *error)
{
    char *const roots[] = {name, NULL};
    size_t before = list->count;
    enum status status = STATUS_OK;
    FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    if (!walk) return error_set_os(error, STATUS_IO, errno, "cannot read %s", name);
    for (FTSENT *entry; status == STATUS_OK && (entry = fts_read(walk));) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
            status = error_set_os(error, STATUS_IO, entry->fts_errno, "cannot read %s", entry->fts_path);
        else if (entry->fts_info == FTS_F && named_like_records(str_of(entry->fts_name)))
            status = add(list, entry->fts_path, entry->fts_statp, error);
    }
    fts_close(walk);
    if (status == STATUS_OK && list->count == before) {
        status = error_set(error, STATUS_NOT_FOUND, "%s has no file of records", name);
        error_hint(
            error,
            "files end in .json, .jsonl, .ndjson or .csv, with .gz or .zst behind; others can be named one by one");
    }
    return status;
}

enum status bulk_list(struct arena *arena, char *const *names, size_t count, struct error *error,
                      struct bulk_file **ret_files, size_t *ret_count)
{
    struct list list = {.arena = arena};
    for (size_t i = 0; i < count; i++) {
        struct stat info;
        if (strcmp(names[i], "-") == 0) {
            TRY(add(&list, "-", NULL, error));
        } else if (stat(names[i], &info) != 0) {
            return error_set_os(error, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, errno, "cannot read %s",
                                names[i]);
        } else if (S_ISDIR(info.st_mode)) {
            TRY(add_folder(&list, names[i], error));
        } else {
            TRY(add(&list, names[i], &info, error));
        }
    }
    *ret_files = list.files;
    *ret_count = list.count;
    return STATUS_OK;
}
