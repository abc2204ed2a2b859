#pragma once
/*
 * Where profiles are. Every project P has a shadow in the same store, a project of its own whose number is P with one
 * bit more; a profile is one live row of it (docs/decisions/0017-profiles.md says why):
 *
 *   event name   "$user" for users, "$group:" and the group key for the groups of that key
 *   id           the key of the profile: the user's distinct_id, or the group's id as text
 *   time         0; insert id "p": the same for all, so that a newer row of a profile replaces the one before
 *   properties   the profile's, `$last_seen` among them
 *   received     when it was last updated
 *
 * The shadow's graph of ids has no links. Listings of projects do not name shadows, and whoever drops a project,
 * deletes a person or checks a data directory does it to the shadow as well: the applier, for both in one record.
 */
#include "base/str.h"

#include <stdint.h>

#define STORE_PROFILES_BIT   (UINT64_C(1) << 62)
#define PROFILE_USER_EVENT   "$user"
#define PROFILE_GROUP_PREFIX "$group:"
#define PROFILE_INSERT_ID    "p"
#define PROFILE_TIME_MS      0

static inline uint64_t store_profiles_of(uint64_t project)
{
    return project | STORE_PROFILES_BIT;
}
/* Whether a project is the shadow of another, and of which. */
static inline bool store_is_profiles(uint64_t project)
{
    return project & STORE_PROFILES_BIT;
}
static inline uint64_t store_profiles_owner(uint64_t project)
{
    return project & ~STORE_PROFILES_BIT;
}
/* The group key of a row's event name; NULL data when the row is no group's profile. */
static inline struct str store_profiles_group_key(struct str event_name)
{
    struct str prefix = STR(PROFILE_GROUP_PREFIX);
    bool is_group = event_name.size > prefix.size && str_starts(event_name, prefix);
    return is_group ? str_slice(event_name, prefix.size, event_name.size) : STR_NULL;
}
