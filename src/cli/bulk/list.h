#pragma once
/* The files that a command names: as they are, and those of folders. */
#include "cli/bulk/bulk.h"

/* A folder stands for the files in it, and in those below, whose names end like records (.json, .jsonl, .ndjson, .csv,
 * with or without .gz or .zst), in the order of their names; "-" for standard input. NOT_FOUND for what is not there
 * and for a folder without such files. The names and the list live as long as the arena. */
enum status bulk_list(struct arena *arena, char *const *names, size_t count, struct error *error,
                      struct bulk_file **ret_files, size_t *ret_count) MUST_USE;
