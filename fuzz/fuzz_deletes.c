/*
 * A set of deleted rows behind its checksum: the input is the roaring bitmap of the first section's deleted rows, as
 * the manifest names it.
 */
#include "store/store.h"

#include "data_directory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct os_fs *fs;
    struct str bitmap;
    struct manifest_deletes entry;
};

static void name_deletes(void *ctx, struct manifest *manifest, struct manifest_edit *edit)
{
    struct input *input = ctx;
    struct buf file = BUF_INIT(1 << 20);
    unsigned char header[FILE_HEADER];
    char name[64];
    uint64_t id = manifest->next_file_id;
    file_header_write(header, DELETE_MAGIC, manifest->node, id, 0);
    buf_add(&file, header, sizeof header);
    buf_str_add(&file, input->bitmap);
    snprintf(name, sizeof name, "events/%016llx.del", (unsigned long long)id);
    write_file(input->fs, name, file.data, file.size);
    buf_fini(&file);
    input->entry = (struct manifest_deletes){.section_file = manifest->sections[0].file_id,
                                             .delete_file = id,
                                             .offset = FILE_HEADER,
                                             .size = (uint32_t)input->bitmap.size,
                                             .check = hash_bytes(input->bitmap.data, input->bitmap.size, 0)};
    edit->next_file_id = id + 1;
    edit->deletes = &input->entry;
    edit->delete_count = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536) return 0;
    struct sim *sim = lay_out(NULL);
    struct input input = {.fs = sim_fs(sim), .bitmap = str_from(data, size)};
    edit_manifest(sim_fs(sim), name_deletes, &input);
    check_directory(sim);
    return 0;
}
