#pragma once
/* The first bytes of every file of the engine. No state, any thread. */
#include "base/error.h"

#include <stdint.h>

#define FILE_HEADER     64
#define FILE_HEADER_OWN 48 /* eight bytes that a kind of file has for itself, zero in others */

/* The common file header (docs/formats/README.md). */
void file_header_write(unsigned char out[FILE_HEADER], const char magic[8], const unsigned char node[16],
                       uint64_t file_id, uint64_t lsn);
/* After a change to what is FILE_HEADER_OWN. */
void file_header_seal(unsigned char header[FILE_HEADER]);
/* CORRUPT when it is no such header, UNSUPPORTED when another version of the program is needed. */
enum status file_header_check(const unsigned char header[FILE_HEADER], const char magic[8],
                              const unsigned char node[16], struct error *error, uint64_t *ret_file_id,
                              uint64_t *ret_lsn) MUST_USE;
