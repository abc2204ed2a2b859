#include "base/gzip.h"

#include <libdeflate.h>
#include <pthread.h>

/* Freed when the thread ends. */
static pthread_key_t decompressor_key, compressor_keys[13];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_decompressor(void *p)
{
    libdeflate_free_decompressor(p);
}
static void free_compressor(void *p)
{
    libdeflate_free_compressor(p);
}
static void make_keys(void)
{
    pthread_key_create(&decompressor_key, free_decompressor);
    for (int level = 0; level <= 12; level++) pthread_key_create(&compressor_keys[level], free_compressor);
}

#define RATIO_USUAL 8    /* that most JSON stays below */
#define RATIO_MAX   1032 /* of deflate */

/* How much room to begin with. The last four bytes of a gzip member say what comes out of it, which saves the attempt
 * that ends too early; where they lie, there is no more room than an honest text of this size could take. */
static size_t capacity_at_first(struct str packed, size_t size_max)
{
    size_t capacity = packed.size < size_max / RATIO_USUAL ? packed.size * RATIO_USUAL + 256 : size_max;
    if (gzip_magic(packed) && packed.size > 18) {
        const unsigned char *tail = (const unsigned char *)packed.data + packed.size - 4;
        size_t told = (size_t)tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
        if (told > capacity && told / RATIO_MAX <= packed.size) capacity = told;
    }
    return capacity < size_max ? capacity : size_max;
}

enum status gzip_decompress(struct arena *arena, struct str packed, size_t size_max, struct error *error,
                            struct str *ret_plain)
{
    pthread_once(&once, make_keys);
    struct libdeflate_decompressor *decompressor = pthread_getspecific(decompressor_key);
    if (!decompressor) {
        decompressor = libdeflate_alloc_decompressor();
        if (!decompressor) return error_set(error, STATUS_LIMIT, "out of memory for decompression");
        pthread_setspecific(decompressor_key, decompressor);
    }
    bool gzip = gzip_magic(packed);
    size_t capacity = capacity_at_first(packed, size_max);
    char *out = arena_alloc(arena, capacity ? capacity : 1);
    if (!out) return error_set(error, STATUS_LIMIT, "decompressed data exceeds the memory budget");
    size_t used = 0;
    struct str rest = packed;
    while (rest.size) {
        size_t in_size = 0, out_size = 0;
        enum libdeflate_result result =
            gzip ? libdeflate_gzip_decompress_ex(decompressor, rest.data, rest.size, out + used, capacity - used,
                                                 &in_size, &out_size)
                 : libdeflate_zlib_decompress_ex(decompressor, rest.data, rest.size, out + used, capacity - used,
                                                 &in_size, &out_size);
        if (result == LIBDEFLATE_INSUFFICIENT_SPACE) {
            if (capacity >= size_max) {
                return error_set(error, STATUS_LIMIT, "decompressed data exceeds %zu bytes", size_max);
            }
            size_t grown = capacity > size_max / 2 ? size_max : capacity * 2;
            char *bigger = arena_realloc(arena, out, capacity, grown);
            if (!bigger) return error_set(error, STATUS_LIMIT, "decompressed data exceeds the memory budget");
            out = bigger;
            capacity = grown;
            continue;
        }
        if (result != LIBDEFLATE_SUCCESS || in_size == 0)
            return error_set(error, STATUS_INVALID, "malformed %s data", gzip ? "gzip" : "deflate");
        used += out_size;
        rest = str_slice(rest, in_size, rest.size);
        if (!gzip && rest.size) return error_set(error, STATUS_INVALID, "unexpected bytes after the deflate data");
    }
    if (packed.size == 0) return error_set(error, STATUS_INVALID, "empty gzip data");
    *ret_plain = (struct str){out, used};
    return STATUS_OK;
}

enum status gzip_compress(struct arena *arena, struct str plain, int level, struct str *ret_packed)
{
    pthread_once(&once, make_keys);
    if (level < 1 || level > 12) return STATUS_INVALID;
    struct libdeflate_compressor *compressor = pthread_getspecific(compressor_keys[level]);
    if (!compressor) {
        compressor = libdeflate_alloc_compressor(level);
        if (!compressor) return STATUS_LIMIT;
        pthread_setspecific(compressor_keys[level], compressor);
    }
    size_t bound = libdeflate_gzip_compress_bound(compressor, plain.size);
    char *out = arena_alloc(arena, bound);
    if (!out) return STATUS_LIMIT;
    size_t size = libdeflate_gzip_compress(compressor, plain.data, plain.size, out, bound);
    if (size == 0) return STATUS_INTERNAL;
    *ret_packed = (struct str){out, size};
    return STATUS_OK;
}
