/*
 * Replays a corpus where libFuzzer is not linked (gcc, the ordinary tests): the empty input, every file of the
 * directories named on the command line, and of every file up to PREFIXES_MAX shorter beginnings, because input that is
 * cut short is what parsers get wrong most often. Every input lies in a heap block of exactly its size, so that
 * AddressSanitizer sees the first byte read too far. A missing directory is a corpus without seeds.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX ((size_t)4 << 20)
#define PREFIXES_MAX    ((size_t)64)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const unsigned char *data, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1);
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* False when the file cannot be read whole. */
static bool replay(const char *path, unsigned char *block)
{
    FILE *file = fopen(path, "rbe");
    if (!file) return false;
    size_t size = fread(block, 1, INPUT_BYTES_MAX, file);
    bool whole = !ferror(file) && fgetc(file) == EOF;
    fclose(file);
    if (!whole) return false;
    /* A crash leaves this as the last line: the input that repeats it. */
    fprintf(stderr, "%s\n", path);
    run(block, size);
    size_t step = size / PREFIXES_MAX + 1;
    for (size_t prefix = step; prefix < size; prefix += step) run(block, size - prefix);
    return true;
}

int main(int argc, char **argv)
{
    unsigned char *block = calloc(1, INPUT_BYTES_MAX);
    if (!block) abort();
    size_t files = 0;
    int result = 0;
    run(block, 0);
    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        if (!directory && errno != ENOENT) {
            fprintf(stderr, "cannot open %s: %s\n", argv[i], strerror(errno));
            result = 1;
        }
        for (struct dirent *entry; directory && (entry = readdir(directory));) {
            if (entry->d_name[0] == '.') continue;
            char path[4096];
            int length = snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (length < 0 || (size_t)length >= sizeof path || !replay(path, block)) {
                fprintf(stderr, "cannot replay %s/%s\n", argv[i], entry->d_name);
                result = 1;
            }
            files++;
        }
        if (directory) closedir(directory);
    }
    free(block);
    printf("%zu seeds replayed\n", files);
    return result;
}
