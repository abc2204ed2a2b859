/*
 * A catalog file behind its checksums: the input stands for the pieces of the last catalog file (first byte even), or
 * of one more file behind all others, and the manifest names it with the right size and check.
 */
#include "store/store.h"

#include "data_directory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct os_fs *fs;
    struct str pieces;
    bool replace;
    struct manifest_file entry;
    uint64_t replaced;
};

static void name_catalog(void *ctx, struct manifest *manifest, struct manifest_edit *edit)
{
    struct input *input = ctx;
    struct buf file = BUF_INIT(1 << 20);
    unsigned char header[FILE_HEADER];
    char name[64];
    uint64_t id = manifest->next_file_id;
    file_header_write(header, CATALOG_MAGIC, manifest->node, id, 0);
    buf_add(&file, header, sizeof header);
    buf_str_add(&file, input->pieces);
    snprintf(name, sizeof name, "events/%016llx.cat", (unsigned long long)id);
    write_file(input->fs, name, file.data, file.size);
    input->entry = (struct manifest_file){
        .file_id = id, .size = file.size, .check = hash_bytes(input->pieces.data, input->pieces.size, 0)};
    buf_fini(&file);
    edit->next_file_id = id + 1;
    edit->add_catalogs = &input->entry;
    edit->add_catalog_count = 1;
    if (!input->replace) return;
    input->replaced = manifest->catalogs[manifest->catalog_count - 1].file_id;
    edit->remove_catalogs = &input->replaced;
    edit->remove_catalog_count = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536) return 0;
    struct sim *sim = lay_out(NULL);
    struct input input = {.fs = sim_fs(sim), .pieces = str_from(data + 1, size - 1), .replace = data[0] % 2 == 0};
    edit_manifest(sim_fs(sim), name_catalog, &input);
    check_directory(sim);
    return 0;
}
