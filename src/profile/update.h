#pragma once
/*
 * How a profile changes: the operators of Mixpanel's /engage and /groups.
 *
 *   SET       overwrites                                   SET_ONCE  only where the profile has no such property
 *   ADD       missing or null counts as 0; a value that is no number stays. Integers are added exactly as long as the
 *             sum fits 64 bits, then as doubles; a sum that is no finite number leaves the value as it is
 *   APPEND    one value behind the list, a list as one item; a missing or null list is made, and a value that is no
 * list becomes the first item of one UNION     like APPEND with each item that is not in the list yet; equal as in
 * expressions: numbers by value, objects without regard to order REMOVE    all items that equal the value; the rest,
 * perhaps an empty list, stays. No list: nothing UNSET     takes the property away                      DELETE    takes
 * the profile away
 *
 * All but UNSET, REMOVE and DELETE make a profile that is not there. Of the limits in the record: a new property beyond
 * properties_max, a list that would grow beyond list_bytes_max, and whatever makes all of them together grow beyond
 * bytes_max is left out and counted; everything else in the message counts.
 */
#include "store/profile_row.h"

/* A profile_update_fn (store/store.h). */
enum status profile_update(const struct update_view *update, struct arena *arena, struct profile_row *row,
                           struct profile_outcome *ret_outcome) MUST_USE;
