#include "replay/events.h"

#include "base/gzip.h"
#include "base/inflate.h"

#define PIECE_BYTES   ((size_t)64 << 10)
#define PACKING_LEVEL 6

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The first and the last character that are no blanks; 0 as long as there are none. */
struct ends {
    char first, last;
};

static void ends_add(struct ends *ends, const char *text, size_t size)
{
    size_t from = 0;
    while (from < size && blank(text[from])) from++;
    while (size > from && blank(text[size - 1])) size--;
    if (!ends->first && from < size) ends->first = text[from++];
    if (from < size) ends->last = text[size - 1]; /* another one than the first: a bracket does not close itself */
}

/* Reads to the end, for a damaged tail makes the whole piece useless. */
static enum status packed_ends(struct arena *arena, struct str events, uint64_t unpacked_bytes_max, struct error *error,
                               struct ends *ends)
{
    struct memory_source packed = memory_source_of(events);
    struct inflate *inflate;
    size_t size = 1;
    char *piece = arena_new_array(arena, char, PIECE_BYTES);
    if (!piece) return error_set(error, STATUS_LIMIT, "request needs too much memory");
    TRY(inflate_new(&packed.base, unpacked_bytes_max, error, &inflate));
    enum status status = STATUS_OK;
    while (status == STATUS_OK && size) {
        status = source_read(inflate_source(inflate), piece, PIECE_BYTES, error, &size);
        if (status == STATUS_OK) ends_add(ends, piece, size);
    }
    inflate_free(inflate);
    if (status != STATUS_LIMIT) return status;
    return error_set(error, STATUS_LIMIT, "the recording unpacks to more than %llu bytes",
                     (unsigned long long)unpacked_bytes_max);
}

enum status replay_events_pack(struct arena *arena, struct str events, uint64_t unpacked_bytes_max, struct error *error,
                               struct str *ret_packed)
{
    struct ends ends = {0, 0};
    bool packed = gzip_magic(events);
    if (packed)
        TRY(packed_ends(arena, events, unpacked_bytes_max, error, &ends));
    else
        ends_add(&ends, events.data, events.size);
    if (ends.first != '[' || ends.last != ']')
        return error_set(error, STATUS_INVALID, "the recording is no JSON array");
    if (packed)
        *ret_packed = events;
    else if (gzip_compress(arena, events, PACKING_LEVEL, ret_packed) != STATUS_OK)
        return error_set(error, STATUS_LIMIT, "request needs too much memory");
    return STATUS_OK;
}
