#include "store/catalog.h"

#include "base/hash.h"
#include "store/event_files.h"
#include "store/file_header.h"

#include <stdio.h>
#include <stdlib.h>

#define INDEX_BYTES_MAX ((uint64_t)256 << 20)

/* --- gathering --- */

void catalog_out_init(struct catalog_out *out, size_t bytes_max)
{
    *out = (struct catalog_out){.bytes = BUF_INIT(bytes_max)};
}

void catalog_out_fini(struct catalog_out *out)
{
    buf_fini(&out->bytes);
    free(out->blocks);
    *out = (struct catalog_out){0};
}

void catalog_begin(struct catalog_out *out, uint64_t project, enum catalog_kind kind, uint64_t first)
{
    if (out->count == out->capacity) {
        size_t capacity = out->capacity ? out->capacity * 2 : 8;
        struct catalog_block *grown = realloc(out->blocks, capacity * sizeof *grown);
        if (!grown) {
            out->failed = true;
            return;
        }
        out->blocks = grown;
        out->capacity = capacity;
    }
    out->blocks[out->count++] =
        (struct catalog_block){.project = project, .first = first, .offset = out->bytes.size, .kind = (uint32_t)kind};
}

void catalog_end(struct catalog_out *out, uint64_t count)
{
    if (out->failed) return;
    struct catalog_block *block = &out->blocks[out->count - 1];
    block->count = count;
    block->size = out->bytes.size - block->offset;
    if (count)
        block->check = hash_bytes(out->bytes.data + block->offset, block->size, 0);
    else
        out->count--;
}

enum status catalog_out_status(const struct catalog_out *out)
{
    return out->failed ? STATUS_LIMIT : buf_status(&out->bytes);
}

void catalog_of_out(const struct catalog_out *out, struct catalog_file *ret_catalog)
{
    *ret_catalog =
        (struct catalog_file){.name = "(memory)", .bytes = out->bytes.data, .blocks = out->blocks, .count = out->count};
}

/* --- files --- */

static enum status read_index(struct os_file *file, const struct manifest_file *expected, struct error *error,
                              char **ret_index, uint64_t *ret_size)
{
    unsigned char trailer[EVENT_FILE_TRAILER];
    TRY(os_pread(file, trailer, sizeof trailer, expected->size - sizeof trailer, error));
    struct reader r = reader_of(str_from(trailer, sizeof trailer));
    uint64_t size = read_u64(&r), check = read_u64(&r), whole = read_u64(&r);
    uint64_t room = expected->size - FILE_HEADER - EVENT_FILE_TRAILER;
    if (memcmp(trailer + 24, end_magic, 8) != 0 || whole != expected->size || check != expected->check || size > room ||
        size > INDEX_BYTES_MAX || size < 4)
        return error_set(error, STATUS_CORRUPT, "its index is not the one that was written");
    char *index = malloc(size);
    if (!index) return error_set(error, STATUS_LIMIT, "out of memory for an index");
    enum status status = os_pread(file, index, size, expected->size - EVENT_FILE_TRAILER - size, error);
    if (status == STATUS_OK && hash_bytes(index, size, 0) != check)
        status = error_set(error, STATUS_CORRUPT, "its index is damaged");
    if (status != STATUS_OK) {
        free(index);
        return status;
    }
    *ret_index = index;
    *ret_size = size;
    return STATUS_OK;
}

/* Blocks lie back to back and fill the room before the index. */
static enum status parse_index(struct str index, uint64_t end, struct error *error, struct catalog_file *catalog)
{
    struct reader r = reader_of(index);
    uint32_t count = read_u32(&r);
    if (reader_left(&r) / CATALOG_INDEX_ENTRY != count || reader_left(&r) % CATALOG_INDEX_ENTRY)
        return error_set(error, STATUS_CORRUPT, "its index is malformed");
    catalog->blocks = calloc(count ? count : 1, sizeof *catalog->blocks);
    if (!catalog->blocks) return error_set(error, STATUS_LIMIT, "out of memory for an index");
    uint64_t at = FILE_HEADER;
    for (uint32_t i = 0; i < count; i++) {
        struct catalog_block *block = &catalog->blocks[i];
        block->project = read_u64(&r);
        block->kind = read_u32(&r);
        block->first = read_u64(&r);
        block->count = read_u64(&r);
        block->offset = read_u64(&r);
        block->size = read_u64(&r);
        block->check = read_u64(&r);
        if (block->kind < CATALOG_EVENTS || block->kind >= CATALOG_KINDS || block->offset != at ||
            block->size > end - at || block->count == 0 || block->count > block->size)
            return error_set(error, STATUS_CORRUPT, "its index is malformed");
        at += block->size;
    }
    if (at != end) return error_set(error, STATUS_CORRUPT, "its index is malformed");
    catalog->count = count;
    return STATUS_OK;
}

enum status catalog_open(struct os_file *file, const char *name, const struct manifest_file *expected,
                         const unsigned char node[16], struct error *error, struct catalog_file *ret_catalog)
{
    struct catalog_file catalog = {.file = file};
    unsigned char header[FILE_HEADER];
    uint64_t size = 0, id, lsn, index_size = 0;
    char *index = NULL;
    snprintf(catalog.name, sizeof catalog.name, "%s", name);
    enum status status = os_size(file, &size, error);
    if (status == STATUS_OK && size < FILE_HEADER) status = error_set(error, STATUS_CORRUPT, "the file is cut short");
    if (status == STATUS_OK) status = os_pread(file, header, sizeof header, 0, error);
    if (status == STATUS_OK) status = file_header_check(header, catalog_magic, node, error, &id, &lsn);
    if (status == STATUS_OK && id != expected->file_id)
        status = error_set(error, STATUS_CORRUPT, "the header is that of file %016llx", (unsigned long long)id);
    if (status == STATUS_OK && (size != expected->size || size < FILE_HEADER + EVENT_FILE_TRAILER))
        status = error_set(error, STATUS_CORRUPT, "it has %llu bytes instead of %llu", (unsigned long long)size,
                           (unsigned long long)expected->size);
    if (status == STATUS_OK) status = read_index(file, expected, error, &index, &index_size);
    if (status == STATUS_OK)
        status = parse_index(str_from(index, index_size), size - EVENT_FILE_TRAILER - index_size, error, &catalog);
    free(index);
    if (status != STATUS_OK) {
        catalog_fini(&catalog);
        return status;
    }
    *ret_catalog = catalog;
    return STATUS_OK;
}

void catalog_fini(struct catalog_file *catalog)
{
    free(catalog->blocks);
    *catalog = (struct catalog_file){0};
}

enum status catalog_read(const struct catalog_file *catalog, const struct catalog_block *block, char *to,
                         struct error *error)
{
    if (catalog->file)
        TRY(os_pread(catalog->file, to, block->size, block->offset, error));
    else
        memcpy(to, catalog->bytes + block->offset, block->size);
    if (hash_bytes(to, block->size, 0) != block->check)
        return error_set(error, STATUS_CORRUPT, "checksum mismatch in the %llu bytes at %llu",
                         (unsigned long long)block->size, (unsigned long long)block->offset);
    return STATUS_OK;
}

static int by_project_and_kind(const void *a, const void *b)
{
    const struct catalog_ref *x = a, *y = b;
    if (x->block->project != y->block->project) return x->block->project < y->block->project ? -1 : 1;
    if (x->block->kind != y->block->kind) return x->block->kind < y->block->kind ? -1 : 1;
    if (x->file != y->file) return x->file < y->file ? -1 : 1; /* of one array */
    return (x->block > y->block) - (x->block < y->block);
}

struct catalog_ref *catalog_sorted(const struct catalog_file *files, size_t count, size_t *ret_count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) total += files[i].count;
    struct catalog_ref *refs = malloc((total + 1) * sizeof *refs);
    if (!refs) return NULL;
    *ret_count = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t b = 0; b < files[i].count; b++)
            refs[(*ret_count)++] = (struct catalog_ref){&files[i], &files[i].blocks[b]};
    }
    qsort(refs, total, sizeof *refs, by_project_and_kind);
    return refs;
}
