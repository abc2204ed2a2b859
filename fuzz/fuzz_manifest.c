/*
 * A manifest as a disk may present it. The first byte chooses how the rest is dressed up, so that the fuzzer need not
 * find checksums by chance:
 *
 *   0  bodies of edits, { u16 size, bytes } each, in a chain that verifies
 *   1  the same behind the edits that were written
 *   2  everything behind a valid file header is the input
 *   3  the whole file is the input
 */
#include "store/store.h"

#include "data_directory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_edit(struct buf *file, struct str body, uint64_t *check)
{
    *check = hash_bytes(body.data, body.size, *check);
    buf_u32(file, (uint32_t)body.size);
    buf_u32(file, 0);
    buf_u64(file, *check);
    buf_str_add(file, body);
}

/* The check of the last edit of a good manifest. */
static uint64_t last_check(const struct kept_file *manifest)
{
    uint64_t check = 0;
    for (size_t at = FILE_HEADER; at + 16 <= manifest->size;) {
        struct reader r = reader_of(str_from(manifest->bytes + at, 16));
        uint32_t length = read_u32(&r);
        (void)read_u32(&r);
        check = read_u64(&r);
        at += 16 + length;
    }
    return check;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536) return 0;
    struct sim *sim = lay_out("MANIFEST");
    const struct kept_file *manifest = find_kept("MANIFEST");
    unsigned mode = size ? data[0] % 4 : 2;
    struct reader reader = reader_of(str_from(data + (size > 0), size - (size > 0)));
    struct buf file = BUF_INIT(1 << 20);
    uint64_t check = mode == 1 ? last_check(manifest) : 0;
    if (mode < 3) buf_add(&file, manifest->bytes, mode == 1 ? manifest->size : FILE_HEADER);
    if (mode >= 2) buf_str_add(&file, read_bytes(&reader, reader_left(&reader)));
    while (mode < 2 && reader_left(&reader) > 2) {
        size_t length = read_u16(&reader);
        add_edit(&file, read_bytes(&reader, length < reader_left(&reader) ? length : reader_left(&reader)), &check);
    }
    write_file(sim_fs(sim), manifest->name, file.data, file.size);
    buf_fini(&file);
    check_directory(sim);
    return 0;
}
