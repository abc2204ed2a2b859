#pragma once
/*
 * gzip and zlib data (RFC 1952, RFC 1950) unpacked a piece at a time, for what does not fit into memory as a whole; for
 * what does, gzip.h is three times as fast. One thread at a time.
 */
#include "base/source.h"

struct inflate;

/* What `packed` unpacks to; it must outlive this. Several gzip members are one stream. Reading gives LIMIT when more
 * than `size_max` bytes come out; INVALID for data that is damaged, cut short, or followed by something else. */
enum status inflate_new(struct source *packed, uint64_t size_max, struct error *error,
                        struct inflate **ret_inflate) MUST_USE;
void inflate_free(struct inflate *inflate);
struct source *inflate_source(struct inflate *inflate);
