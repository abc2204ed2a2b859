/*
 * The state file: {"cairn_import":1,"target":…,"files":[{"name","size","mtime_ns","position","done"}]}. It is written
 * whole, beside, and renamed, after what it says was acknowledged; so it may say less than is true, never more.
 */
#include "cli/bulk/bulk.h"

#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { STATE_BYTES_MAX = 64 << 20 };

static enum status conflict(const char *path, const char *why, struct error *error)
{
    (void)error_set(error, STATUS_CONFLICT, "%s belongs to another import: %s", path, why);
    error_hint(error, "give the same files and target as before, another --state FILE, or --restart to begin anew");
    return STATUS_CONFLICT;
}

static enum status read_whole(const char *path, struct arena *arena, struct error *error, struct str *ret_text)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT) return STATUS_NOT_FOUND;
    if (file < 0) return error_set_os(error, STATUS_IO, errno, "cannot read %s", path);
    struct buf buf = BUF_INIT(STATE_BYTES_MAX);
    ssize_t got = 1;
    while (got > 0) {
        char *room = buf_reserve(&buf, 1 << 16);
        if (!room) break;
        got = read(file, room, 1 << 16);
        if (got > 0) buf_advance(&buf, (size_t)got);
    }
    close(file);
    *ret_text = arena_str(arena, buf_str(&buf));
    buf_fini(&buf);
    return got == 0 && ret_text->data ? STATUS_OK : error_set(error, STATUS_IO, "cannot read %s", path);
}

static uint64_t number_of(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, str_of(name));
    return value && value->type == JSON_INT && value->integer > 0 ? (uint64_t)value->integer : 0;
}

static struct str text_of(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, str_of(name));
    return value && value->type == JSON_STRING ? value->string : STR("");
}

static enum status take(const char *path, const struct json *state, const char *target, struct bulk_file *files,
                        size_t count, struct error *error)
{
    const struct json *list = json_member(state, "files");
    if (number_of(state, "cairn_import") != 1 || !list || list->type != JSON_ARRAY)
        return conflict(path, "it is no state of an import", error);
    if (!str_eq(text_of(state, "target"), str_of(target))) return conflict(path, "it went somewhere else", error);
    if (list->array.count != count) return conflict(path, "it had other files", error);
    for (size_t i = 0; i < count; i++) {
        const struct json *item = &list->array.items[i];
        if (!str_eq(text_of(item, "name"), str_of(files[i].name))) return conflict(path, "it had other files", error);
        if (number_of(item, "size") != files[i].size_bytes || number_of(item, "mtime_ns") != files[i].mtime_ns)
            return conflict(path, "a file has changed since", error);
        const struct json *done = json_member(item, "done");
        files[i].position = number_of(item, "position");
        files[i].done = done && done->type == JSON_BOOL && done->boolean;
    }
    return STATUS_OK;
}

enum status bulk_state_read(const char *path, const char *target, struct bulk_file *files, size_t count,
                            struct error *error)
{
    struct arena *arena = arena_new((size_t)4 * STATE_BYTES_MAX);
    struct str text;
    struct json state;
    enum status status = read_whole(path, arena, error, &text);
    if (status == STATUS_OK) {
        status = json_parse(arena, text, NULL, NULL, &state) == STATUS_OK
                     ? take(path, &state, target, files, count, error)
                     : conflict(path, "it is no JSON", error);
    }
    arena_free(arena);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status bulk_state_write(const char *path, const char *target, const struct bulk_file *files, size_t count,
                             struct error *error)
{
    char beside[4096];
    struct buf buf = BUF_INIT(STATE_BYTES_MAX);
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
        return error_set(error, STATUS_INVALID, "the path of the state file is too long");
    buf_lit(&buf, "{\"cairn_import\":1,\"target\":");
    json_write_str(&buf, str_of(target));
    buf_lit(&buf, ",\"files\":[");
    for (size_t i = 0; i < count; i++) {
        buf_printf(&buf, "%s\n{\"name\":", i ? "," : "");
        json_write_str(&buf, str_of(files[i].name));
        buf_printf(&buf, ",\"size\":%llu,\"mtime_ns\":%llu,\"position\":%llu,\"done\":%s}",
                   (unsigned long long)files[i].size_bytes, (unsigned long long)files[i].mtime_ns,
                   (unsigned long long)files[i].position, files[i].done ? "true" : "false");
    }
    buf_lit(&buf, "]}\n");
    int file = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = file >= 0 && buf_status(&buf) == STATUS_OK && write(file, buf.data, buf.size) == (ssize_t)buf.size &&
              fdatasync(file) == 0;
    if (file >= 0) ok = close(file) == 0 && ok;
    ok = ok && rename(beside, path) == 0;
    buf_fini(&buf);
    return ok ? STATUS_OK : error_set_os(error, STATUS_IO, errno, "cannot write %s", path);
}
