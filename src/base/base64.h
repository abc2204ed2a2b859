#pragma once
/* Base64, RFC 4648: both alphabets (standard and URL-safe) may be mixed when decoding, padding is optional. */
#include "base/arena.h"
#include "base/buf.h"

/* Decodes leniently as the tracking clients need: `+` and `/` or `-` and `_`, a space counts as `+` (form decoding eats
 * plus signs), CR and LF are skipped, padding may be missing. INVALID for any other byte or an impossible length; LIMIT
 * when the arena is full. */
enum status base64_decode(struct arena *arena, struct str text, struct str *ret_bytes) MUST_USE;
/* Standard alphabet with padding. */
void base64_encode(struct buf *buf, struct str bytes);
