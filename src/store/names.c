#include "store/names.h"

#include "base/arena.h"
#include "base/map.h"
#include "os/thread.h"

#include <stdlib.h>

struct names {
    struct os_rwlock lock;
    struct strmap index;
    struct str *texts;
    uint32_t count, capacity;
    struct arena *arena;
};

struct names *names_new(uint32_t count_max)
{
    struct names *names = calloc(1, sizeof *names);
    if (!names) abort();
    os_rwlock_init(&names->lock, "names");
    names->index = STRMAP_INIT(count_max);
    names->arena = arena_new(SIZE_MAX / 2);
    return names;
}

void names_free(struct names *names)
{
    if (!names) return;
    strmap_fini(&names->index);
    free(names->texts);
    arena_free(names->arena);
    os_rwlock_destroy(&names->lock);
    free(names);
}

uint32_t names_count(const struct names *names)
{
    return names->count;
}

static enum status add(struct names *names, struct str name)
{
    if (names->count == names->capacity) {
        uint32_t capacity = names->capacity ? names->capacity * 2 : 64;
        struct str *grown = realloc(names->texts, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        names->texts = grown;
        names->capacity = capacity;
    }
    struct str copy = arena_str(names->arena, name);
    if (!copy.data) return STATUS_LIMIT;
    TRY(strmap_put(&names->index, copy, names->count));
    names->texts[names->count++] = copy;
    return STATUS_OK;
}

enum status names_intern(struct names *names, struct str name, uint32_t *ret_number)
{
    uint64_t *known = strmap_get(&names->index, name); /* only this thread writes */
    if (known) {
        *ret_number = (uint32_t)*known;
        return STATUS_OK;
    }
    os_rwlock_write(&names->lock);
    enum status status = add(names, name);
    os_rwlock_write_end(&names->lock);
    if (status == STATUS_OK) *ret_number = names->count - 1;
    return status;
}

uint32_t names_find(struct names *names, struct str name, uint32_t count)
{
    os_rwlock_read(&names->lock);
    uint64_t *known = strmap_get(&names->index, name);
    uint32_t number = known && *known < count ? (uint32_t)*known : UINT32_MAX;
    os_rwlock_read_end(&names->lock);
    return number;
}

struct str names_text(struct names *names, uint32_t number)
{
    os_rwlock_read(&names->lock);
    struct str text = number < names->count ? names->texts[number] : STR_NULL;
    os_rwlock_read_end(&names->lock);
    return text;
}

uint32_t names_export(const struct names *names, uint32_t first, size_t bytes_max, struct buf *buf)
{
    size_t bytes = 0;
    uint32_t next = first;
    for (; next < names->count; next++) {
        bytes += VARINT_BYTES_MAX + names->texts[next].size;
        if (bytes > bytes_max && next > first) break;
        buf_varint(buf, names->texts[next].size);
        buf_str_add(buf, names->texts[next]);
    }
    return next - first;
}

enum status names_import(struct names *names, struct str exported, uint64_t first, uint64_t count)
{
    struct reader reader = reader_of(exported);
    if (first != names->count || count > exported.size) return STATUS_CORRUPT;
    for (uint64_t i = 0; i < count; i++) {
        struct str name = read_str(&reader);
        uint32_t number;
        if (reader.failed) return STATUS_CORRUPT;
        TRY(names_intern(names, name, &number));
        if (number != first + i) return STATUS_CORRUPT;
    }
    return reader_left(&reader) ? STATUS_CORRUPT : STATUS_OK;
}
