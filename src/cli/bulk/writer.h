#pragma once
/*
 * Lines into a file, as its name says: .gz packs with gzip, .zst with zstd, anything else is plain; "-" is standard
 * output. A file appears under its name when it is complete and on the disk. One thread.
 */
#include "base/buf.h"
#include "base/error.h"

struct writer;
enum status writer_open(const char *name, struct error *error, struct writer **ret_writer) MUST_USE;
/* What is to be written is appended here, whole lines at a time; writer_flush_some writes when much has gathered. */
struct buf *writer_buf(struct writer *writer);
enum status writer_flush_some(struct writer *writer, struct error *error) MUST_USE;
/* Writes the rest and gives the file its name. Frees the writer in any case. */
enum status writer_close(struct writer *writer, struct error *error, uint64_t *ret_bytes) MUST_USE;
/* Instead of writer_close: nothing is left. */
void writer_abandon(struct writer *writer);
