#pragma once
/*
 * zstd data (RFC 8878) unpacked a piece at a time; several frames are one stream. One thread at a time.
 */
#include "base/source.h"

struct unzstd;

/* What `packed` unpacks to; it must outlive this. Reading gives LIMIT for frames that want a window of more than 128
 * MiB; INVALID for data that is damaged or cut short. */
enum status unzstd_new(struct source *packed, struct error *error, struct unzstd **ret_unzstd) MUST_USE;
void unzstd_free(struct unzstd *unzstd); /* NULL is allowed */
struct source *unzstd_source(struct unzstd *unzstd);
