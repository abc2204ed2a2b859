#pragma once
/*
 * gzip (RFC 1952) packed a piece at a time, for streams that are never in memory as a whole; for what is, gzip.h is
 * faster. All pieces make one member, which every reader of gzip takes to its end. One thread at a time.
 */
#include "base/buf.h"

struct deflate;
/* level 1..9. NULL when out of memory: about 300 KB each. */
struct deflate *deflate_new(int level) MUST_USE;
void deflate_free(struct deflate *deflate);
/* Packs `plain` and appends to `to` what has become of it so far, which may be nothing yet. The last call has `finish`,
 * and appends the rest; nothing may follow it. A buffer that is full fails (buf_status). */
void deflate_add(struct deflate *deflate, struct str plain, bool finish, struct buf *to);
