#include "store/file_header.h"

#include "base/hash.h"
#include "store/bytes.h"

#include <string.h>

#define FORMAT_VERSION 6 /* of all files; docs/formats/README.md */
#define FORMAT_OLDEST  4 /* what it wrote means the same: 5 and 6 have more kinds of records and of catalog blocks */
#define CHECK_AT       56

void file_header_write(unsigned char out[FILE_HEADER], const char magic[8], const unsigned char node[16],
                       uint64_t file_id, uint64_t lsn)
{
    memset(out, 0, FILE_HEADER);
    memcpy(out, magic, 8);
    bytes_put_u16(out + 8, FORMAT_VERSION);
    bytes_put_u16(out + 10, FORMAT_VERSION);
    memcpy(out + 16, node, 16);
    bytes_put_u64(out + 32, file_id);
    bytes_put_u64(out + 40, lsn);
    file_header_seal(out);
}

void file_header_seal(unsigned char header[FILE_HEADER])
{
    bytes_put_u64(header + CHECK_AT, hash_bytes(header, CHECK_AT, 0));
}

enum status file_header_check(const unsigned char header[FILE_HEADER], const char magic[8],
                              const unsigned char node[16], struct error *error, uint64_t *ret_file_id,
                              uint64_t *ret_lsn)
{
    if (memcmp(header, magic, 8) != 0 || bytes_get_u64(header + CHECK_AT) != hash_bytes(header, CHECK_AT, 0))
        return error_set(error, STATUS_CORRUPT, "not a %.8s file, or its header is damaged", magic);
    unsigned reader_min = header[10] | (unsigned)header[11] << 8;
    if (reader_min > FORMAT_VERSION) {
        error_set(error, STATUS_UNSUPPORTED, "made by a newer version of Cairn (format %u, this one knows %u)",
                  reader_min, FORMAT_VERSION);
        error_hint(error, "use that version or a newer one; going back means restoring a backup");
        return STATUS_UNSUPPORTED;
    }
    unsigned version = header[8] | (unsigned)header[9] << 8;
    if (version < FORMAT_OLDEST) {
        error_set(error, STATUS_UNSUPPORTED, "made by an older version of Cairn (format %u, this one needs %u)",
                  version, FORMAT_OLDEST);
        error_hint(error, "export its events with the version that made it, and import them into a new directory");
        return STATUS_UNSUPPORTED;
    }
    if (memcmp(header + 16, node, 16) != 0)
        return error_set(error, STATUS_CORRUPT, "the file belongs to another data directory");
    *ret_file_id = bytes_get_u64(header + 32);
    *ret_lsn = bytes_get_u64(header + 40);
    return STATUS_OK;
}
