#include "cli/bench_pack.h"

#include "base/buf.h"
#include "base/gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LEVEL           6 /* what clients use when nobody says anything */
#define MEMBER_BYTES    ((size_t)256 << 20)
#define ARENA_BYTES_MAX (MEMBER_BYTES + ((size_t)16 << 20))

struct packer {
    FILE *to;
    const char *path;
    struct arena *arena;
    struct buf member; /* the lines of the open one */
    size_t member_lines, capacity;
    uint64_t size; /* of the file so far */
    struct bench_packed packed;
};

static enum status add_offset(struct packer *packer, struct error *error)
{
    struct bench_packed *packed = &packer->packed;
    if (packed->count + 1 >= packer->capacity) {
        size_t capacity = packer->capacity ? packer->capacity * 2 : 1024;
        uint64_t *offsets = realloc(packed->offsets, capacity * sizeof *offsets);
        if (!offsets) return error_set(error, STATUS_LIMIT, "out of memory");
        packed->offsets = offsets;
        packer->capacity = capacity;
    }
    packed->offsets[packed->count] = packer->size;
    return STATUS_OK;
}

static enum status end_member(struct packer *packer, struct error *error)
{
    struct str packed;
    if (packer->member_lines == 0) return STATUS_OK;
    arena_reset(packer->arena);
    if (buf_status(&packer->member) != STATUS_OK ||
        gzip_compress(packer->arena, buf_str(&packer->member), LEVEL, &packed) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "%zu lines do not fit into memory", packer->member_lines);
    if (fwrite(packed.data, 1, packed.size, packer->to) != packed.size)
        return error_set(error, STATUS_IO, "cannot write %s: %s", packer->path, strerror(errno));
    packer->size += packed.size;
    packer->packed.count++;
    packer->packed.lines += packer->member_lines;
    packer->packed.line_bytes += packer->member.size;
    packer->member_lines = 0;
    buf_reset(&packer->member);
    return add_offset(packer, error);
}

static enum status pack_lines(struct packer *packer, FILE *lines, const char *name, size_t batch, struct error *error)
{
    char *line = NULL;
    size_t capacity = 0;
    enum status status = add_offset(packer, error);
    for (ssize_t size; status == STATUS_OK && (size = getline(&line, &capacity, lines)) > 0;) {
        buf_add(&packer->member, line, (size_t)size);
        if (++packer->member_lines == batch) status = end_member(packer, error);
    }
    free(line);
    if (status == STATUS_OK && ferror(lines))
        return error_set(error, STATUS_IO, "cannot read %s: %s", name, strerror(errno));
    return status == STATUS_OK ? end_member(packer, error) : status;
}

static enum status map_file(struct packer *packer, struct error *error)
{
    if (fflush(packer->to) != 0)
        return error_set(error, STATUS_IO, "cannot write %s: %s", packer->path, strerror(errno));
    if (packer->size == 0) return STATUS_OK;
    void *data = mmap(NULL, packer->size, PROT_READ, MAP_SHARED, fileno(packer->to), 0);
    if (data == MAP_FAILED) return error_set(error, STATUS_IO, "cannot map %s: %s", packer->path, strerror(errno));
    packer->packed.data = data;
    return STATUS_OK;
}

enum status bench_pack(FILE *lines, const char *name, size_t batch, const char *path, struct error *error,
                       struct bench_packed *ret_packed)
{
    struct packer packer = {.path = path, .member = BUF_INIT(MEMBER_BYTES), .to = fopen(path, "w+e")};
    if (!packer.to) return error_set(error, STATUS_IO, "cannot create %s: %s", path, strerror(errno));
    packer.arena = arena_new(ARENA_BYTES_MAX);
    enum status status = pack_lines(&packer, lines, name, batch, error);
    if (status == STATUS_OK) status = map_file(&packer, error);
    buf_fini(&packer.member);
    arena_free(packer.arena);
    fclose(packer.to);
    if (status == STATUS_OK)
        *ret_packed = packer.packed;
    else
        free(packer.packed.offsets);
    return status;
}

void bench_packed_fini(struct bench_packed *packed)
{
    if (packed->data) munmap((void *)(uintptr_t)packed->data, packed->offsets[packed->count]);
    free(packed->offsets);
}
