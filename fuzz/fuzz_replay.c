/*
 * The events of a recording, of any bytes: packed by whoever sends them, or not. The verdict must be that of an obvious
 * reader who unpacks everything at once, and what is accepted must unpack to what was sent.
 */
#include "base/gzip.h"
#include "replay/events.h"

#include <stdlib.h>

#define INPUT_BYTES_MAX    ((size_t)64 << 10)
#define UNPACKED_BYTES_MAX ((size_t)256 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static bool obvious(struct arena *arena, struct str sent, struct str *ret_plain)
{
    struct error error;
    *ret_plain = sent;
    if (gzip_magic(sent) && gzip_decompress(arena, sent, UNPACKED_BYTES_MAX, &error, ret_plain) != STATUS_OK)
        return false;
    size_t from = 0, to = ret_plain->size;
    while (from < to && strchr(" \t\r\n", ret_plain->data[from]) && ret_plain->data[from]) from++;
    while (to > from && strchr(" \t\r\n", ret_plain->data[to - 1]) && ret_plain->data[to - 1]) to--;
    return to - from >= 2 && ret_plain->data[from] == '[' && ret_plain->data[to - 1] == ']';
}

static void examine(struct str sent)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    struct error error;
    struct str plain, packed, again;
    check(arena);
    bool good = obvious(arena, sent, &plain);
    enum status status = replay_events_pack(arena, sent, UNPACKED_BYTES_MAX, &error, &packed);
    check(good == (status == STATUS_OK));
    if (good) {
        check(gzip_decompress(arena, packed, UNPACKED_BYTES_MAX, &error, &again) == STATUS_OK);
        check(str_eq(plain, again));
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX) return 0;
    struct str sent = str_from(data, size), packed;
    struct arena *arena = arena_new((size_t)16 << 20);
    check(arena);
    examine(sent);
    check(gzip_compress(arena, sent, 1, &packed) == STATUS_OK);
    examine(packed);
    arena_free(arena);
    return 0;
}
