#pragma once
/*
 * The persons that occur in a section, as a roaring bitmap in its portable form without run containers
 * (RoaringFormatSpec), looked up in place: a set of a million persons is asked about a few of them.
 */
#include "base/buf.h"
#include "base/status.h"

#include <roaring/roaring.h>

/* Appends the set. */
enum status person_set_write(roaring_bitmap_t *persons, struct buf *out) MUST_USE;
/* True also when the bytes are not what they should be: then the rows will tell. */
bool person_set_has(struct str bytes, uint32_t person);
