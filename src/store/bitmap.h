#pragma once
/* Roaring bitmaps from bytes that are not trusted. */
#include "base/str.h"

#include <roaring/roaring.h>

/* From the portable form (RoaringFormatSpec). NULL when the bytes are malformed, or memory is short. The library itself
 * only sees to it that nothing is read past their end: containers that are not in order, or hold other numbers of
 * values than they say, would make later answers wrong, or abort. */
roaring_bitmap_t *bitmap_read(struct str bytes);
