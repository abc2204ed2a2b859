#pragma once
/*
 * JSON lines as a file of gzip members, each the lines of one request: what clients send to /import, and what every
 * reader of gzip takes as one file.
 */
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct bench_packed {
    const char *data;  /* the file, in memory mapped from it; NULL when it is empty */
    uint64_t *offsets; /* of each member, and the file's size behind the last one */
    size_t count;      /* members */
    uint64_t lines, line_bytes;
};
/* Packs up to `batch` lines a member into the file at `path`, which is made anew. */
enum status bench_pack(FILE *lines, const char *name, size_t batch, const char *path, struct error *error,
                       struct bench_packed *ret_packed) MUST_USE;
/* The file stays. */
void bench_packed_fini(struct bench_packed *packed);
