/*
 * A catalog file behind its checksums: the input stands for the blocks of the last catalog file (first byte even), or
 * of one more file behind all others, and the manifest names it with the right size and check.
 *
 *   input := byte, { byte project, byte kind, byte first, byte count, u16 size, bytes×size }
 */
#include "store/catalog.h"
#include "store/store.h"

#include "data_directory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct os_fs *fs;
    struct str blocks;
    bool replace;
    struct manifest_file entry;
    uint64_t replaced;
};

static void gather(struct reader *reader, struct catalog_out *out)
{
    while (reader_left(reader)) {
        uint8_t project = read_u8(reader), kind = read_u8(reader), first = read_u8(reader), count = read_u8(reader);
        size_t size = read_u16(reader);
        if (size > reader_left(reader)) size = reader_left(reader);
        struct str bytes = read_bytes(reader, size);
        if (reader->failed || !count || count > bytes.size) return;
        catalog_begin(out, project, (enum catalog_kind)(kind % CATALOG_FORGOTTEN + 1), first);
        buf_str_add(&out->bytes, bytes);
        catalog_end(out, count);
    }
}

static void name_catalog(void *ctx, struct manifest *manifest, struct manifest_edit *edit)
{
    struct input *input = ctx;
    struct catalog_out out;
    struct catalog_file source;
    struct error error;
    struct reader reader = reader_of(input->blocks);
    uint64_t id = manifest->next_file_id;
    catalog_out_init(&out, 1 << 20);
    gather(&reader, &out);
    catalog_of_out(&out, &source);
    /* What is not in order may be refused here already: then the directory stays as it was. */
    if (catalog_join(input->fs, manifest->node, id, 0, &source, 1, &error, &input->entry) == STATUS_OK) {
        edit->next_file_id = id + 1;
        edit->add_catalogs = &input->entry;
        edit->add_catalog_count = 1;
        if (input->replace) {
            input->replaced = manifest->catalogs[manifest->catalog_count - 1].file_id;
            edit->remove_catalogs = &input->replaced;
            edit->remove_catalog_count = 1;
        }
    }
    catalog_out_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536) return 0;
    struct sim *sim = lay_out(NULL);
    struct input input = {.fs = sim_fs(sim), .blocks = str_from(data + 1, size - 1), .replace = data[0] % 2 == 0};
    edit_manifest(sim_fs(sim), name_catalog, &input);
    check_directory(sim);
    return 0;
}
