#pragma once
/* The events of a piece, as they are sent: a JSON array, packed with gzip or not. */
#include "base/arena.h"
#include "base/error.h"

/* Packs them where they are not. INVALID for what is no array, by its first and last character, or is damaged; LIMIT
 * when they unpack to more than `unpacked_bytes_max` or the arena is full. What stands between the brackets is not
 * looked at: whoever reads recordings has to expect anything there. *ret_packed lies in the arena or is `events`. */
enum status replay_events_pack(struct arena *arena, struct str events, uint64_t unpacked_bytes_max, struct error *error,
                               struct str *ret_packed) MUST_USE;
