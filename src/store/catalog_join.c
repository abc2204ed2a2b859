/*
 * Writing a catalog file out of older ones and of what a flush has gathered. Ranges of the same kind follow each other,
 * so their bytes are put one behind the other as they are. Weights are merged by id, and the newest counts: one cursor
 * a source, each holding one block. So the memory that this takes does not grow with the files.
 */
#include "base/hash.h"
#include "store/catalog.h"
#include "store/event_files.h"
#include "store/file_header.h"

#include <stdlib.h>

struct join {
    struct os_file *file;
    uint64_t offset;
    struct buf block; /* of `open`, so far */
    struct catalog_block open;
    struct catalog_out index; /* blocks only */
    struct error *error;
};

static enum status out_of_memory(struct join *join)
{
    return error_set(join->error, STATUS_LIMIT, "out of memory while writing a catalog file");
}

static enum status finish_block(struct join *join)
{
    if (!join->open.count) return STATUS_OK;
    catalog_begin(&join->index, join->open.project, (enum catalog_kind)join->open.kind, join->open.first);
    if (join->index.failed || buf_status(&join->block) != STATUS_OK) return out_of_memory(join);
    struct catalog_block *block = &join->index.blocks[join->index.count - 1];
    block->count = join->open.count;
    block->offset = join->offset;
    block->size = join->block.size;
    block->check = hash_bytes(join->block.data, join->block.size, 0);
    TRY(os_pwrite(join->file, join->block.data, join->block.size, join->offset, join->error));
    join->offset += join->block.size;
    join->open.count = 0;
    buf_reset(&join->block);
    return STATUS_OK;
}

/* A source's block, checked; errors name its file. */
static enum status read_block(struct join *join, const struct catalog_ref *ref, char *to)
{
    enum status status = catalog_read(ref->file, ref->block, to, join->error);
    if (status != STATUS_OK) error_prefix(join->error, "file %s", ref->file->name);
    return status;
}

/* The block's bytes at the end of the open one, or as the beginning of another. */
static enum status add_block(struct join *join, const struct catalog_ref *ref)
{
    const struct catalog_block *block = ref->block;
    if (join->open.project != block->project || join->open.kind != block->kind ||
        block->size >
            CATALOG_BLOCK_BYTES - (join->block.size < CATALOG_BLOCK_BYTES ? join->block.size : CATALOG_BLOCK_BYTES))
        TRY(finish_block(join));
    if (!join->open.count)
        join->open = (struct catalog_block){.project = block->project, .kind = block->kind, .first = block->first};
    char *to = buf_reserve(&join->block, block->size);
    if (!to) return out_of_memory(join);
    TRY(read_block(join, ref, to));
    buf_advance(&join->block, block->size);
    join->open.count += block->count;
    return STATUS_OK;
}

/* --- weights --- */

struct cursor { /* over the weights of one source */
    const struct catalog_ref *next, *end;
    char *bytes;
    size_t capacity;
    struct reader reader;
    uint64_t left; /* entries of the block behind the present one */
    uint64_t id, rows;
    bool done;
};

static enum status malformed(struct join *join, const struct cursor *cursor)
{
    return error_set(join->error, STATUS_CORRUPT, "file %s: the weights are not in order", cursor->next[-1].file->name);
}

static enum status step(struct join *join, struct cursor *cursor)
{
    uint64_t last = cursor->id;
    bool first = false;
    if (!cursor->left) {
        if (cursor->next == cursor->end) {
            cursor->done = true;
            return STATUS_OK;
        }
        const struct catalog_ref *ref = cursor->next++;
        if (ref->block->size > cursor->capacity) {
            free(cursor->bytes);
            cursor->capacity = 0;
            if (!(cursor->bytes = malloc(ref->block->size))) return out_of_memory(join);
            cursor->capacity = ref->block->size;
        }
        TRY(read_block(join, ref, cursor->bytes));
        cursor->reader = reader_of(str_from(cursor->bytes, ref->block->size));
        cursor->left = ref->block->count;
        cursor->id = ref->block->first;
        first = true;
    }
    uint64_t more = read_varint(&cursor->reader);
    cursor->rows = read_varint(&cursor->reader);
    cursor->id += more;
    cursor->left--;
    if (cursor->reader.failed || cursor->id > UINT32_MAX || cursor->rows > UINT32_MAX || cursor->id <= last ||
        (!first && more == 0))
        return malformed(join, cursor);
    return STATUS_OK;
}

static enum status write_weight(struct join *join, uint64_t project, uint64_t id, uint64_t rows, uint64_t *last)
{
    if (!join->open.count) {
        join->open = (struct catalog_block){.project = project, .kind = CATALOG_WEIGHTS, .first = id};
        *last = id;
    }
    buf_varint(&join->block, id - *last);
    buf_varint(&join->block, rows);
    *last = id;
    join->open.count++;
    return join->block.size + (size_t)2 * VARINT_BYTES_MAX > CATALOG_BLOCK_BYTES ? finish_block(join) : STATUS_OK;
}

static enum status merge_weights(struct join *join, struct cursor *cursors, size_t count, uint64_t project)
{
    uint64_t last = 0;
    TRY(finish_block(join));
    for (size_t i = 0; i < count; i++) TRY(step(join, &cursors[i]));
    for (;;) {
        uint64_t least = UINT64_MAX, rows = 0;
        for (size_t i = 0; i < count; i++) {
            if (cursors[i].done || cursors[i].id > least) continue;
            least = cursors[i].id;
            rows = cursors[i].rows; /* of the newest, which is the last */
        }
        if (least == UINT64_MAX) break;
        TRY(write_weight(join, project, least, rows, &last));
        for (size_t i = 0; i < count; i++)
            if (!cursors[i].done && cursors[i].id == least) TRY(step(join, &cursors[i]));
    }
    return finish_block(join);
}

static enum status join_weights(struct join *join, const struct catalog_ref *refs, size_t count)
{
    struct cursor *cursors = calloc(count, sizeof *cursors);
    size_t sources = 0;
    if (!cursors) return out_of_memory(join);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || refs[i].file != refs[i - 1].file) cursors[sources++].next = &refs[i];
        cursors[sources - 1].end = &refs[i] + 1;
    }
    enum status status = merge_weights(join, cursors, sources, refs->block->project);
    for (size_t i = 0; i < sources; i++) free(cursors[i].bytes);
    free(cursors);
    return status;
}

static enum status join_blocks(struct join *join, const struct catalog_ref *refs, size_t count)
{
    for (size_t i = 0, next; i < count; i = next) {
        const struct catalog_block *block = refs[i].block;
        for (next = i + 1; next < count && block->kind == CATALOG_WEIGHTS; next++) {
            if (refs[next].block->project != block->project || refs[next].block->kind != block->kind) break;
        }
        if (block->kind == CATALOG_WEIGHTS)
            TRY(join_weights(join, &refs[i], next - i));
        else
            TRY(add_block(join, &refs[i]));
    }
    return finish_block(join);
}

/* --- the file --- */

static enum status write_end(struct join *join, uint64_t file_id, struct manifest_file *ret_file)
{
    size_t index_size = 4 + join->index.count * CATALOG_INDEX_ENTRY;
    struct buf end = BUF_INIT(index_size + EVENT_FILE_TRAILER);
    buf_u32(&end, (uint32_t)join->index.count);
    for (size_t i = 0; i < join->index.count; i++) {
        const struct catalog_block *block = &join->index.blocks[i];
        buf_u64(&end, block->project);
        buf_u32(&end, block->kind);
        buf_u64(&end, block->first);
        buf_u64(&end, block->count);
        buf_u64(&end, block->offset);
        buf_u64(&end, block->size);
        buf_u64(&end, block->check);
    }
    uint64_t check = hash_bytes(end.data, end.size, 0), size = join->offset + index_size + EVENT_FILE_TRAILER;
    buf_u64(&end, index_size);
    buf_u64(&end, check);
    buf_u64(&end, size);
    buf_add(&end, end_magic, 8);
    enum status status = buf_status(&end) == STATUS_OK
                             ? os_pwrite(join->file, end.data, end.size, join->offset, join->error)
                             : out_of_memory(join);
    if (status == STATUS_OK) status = os_sync(join->file, join->error);
    buf_fini(&end);
    *ret_file = (struct manifest_file){file_id, size, check, 0};
    return status;
}

enum status catalog_join(struct os_fs *fs, const unsigned char node[16], uint64_t file_id, uint64_t lsn,
                         const struct catalog_file *sources, size_t count, struct error *error,
                         struct manifest_file *ret_file)
{
    char name[64];
    unsigned char header[FILE_HEADER];
    struct join join = {.offset = FILE_HEADER, .block = BUF_INIT(SIZE_MAX / 2), .error = error};
    struct manifest_file written = {0};
    size_t ref_count = 0;
    struct catalog_ref *refs = catalog_sorted(sources, count, &ref_count);
    if (!refs) return out_of_memory(&join);
    event_file_name(name, file_id, "cat");
    enum status status = os_open(fs, name, OS_WRITE | OS_CREATE, error, &join.file);
    if (status == STATUS_OK) {
        file_header_write(header, catalog_magic, node, file_id, lsn);
        status = os_truncate(join.file, 0, error);
        if (status == STATUS_OK) status = os_pwrite(join.file, header, sizeof header, 0, error);
        if (status == STATUS_OK) status = join_blocks(&join, refs, ref_count);
        if (status == STATUS_OK) status = write_end(&join, file_id, &written);
        os_close(join.file);
        if (status != STATUS_OK) event_file_remove(fs, file_id, "cat");
    }
    catalog_out_fini(&join.index);
    buf_fini(&join.block);
    free(refs);
    if (status == STATUS_OK) *ret_file = written;
    return status;
}
