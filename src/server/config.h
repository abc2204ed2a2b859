#pragma once
/*
 * The configuration file: lines `name = value`, with blanks around both ignored, `#` comment lines, and empty lines.
 * The names are those of options_table.h. A `#` after a value belongs to the value. LISTs may be repeated, other
 * names may not. The file is UTF-8 and at most CONFIG_SIZE_MAX bytes.
 */
#include "server/options.h"

#define CONFIG_SIZE_MAX ((size_t)1 << 20)

/* Reads the file at `path` into `options`. INVALID errors begin with PATH:LINE; NOT_FOUND and IO for a file that
 * cannot be read. On failure some options may be set. */
enum status config_read(struct options *options, const char *path, struct error *error) MUST_USE;
/* The same for text that was read already; `path` is for the errors. */
enum status config_parse(struct options *options, const char *path, struct str text, struct error *error) MUST_USE;
/* Writes every option as a file that config_read takes, grouped, with the source of what is no default. */
void config_dump(const struct options *options, struct buf *buf);
