#include "profile/group.h"

#include "base/hash.h"

int64_t profile_group_number(struct str group_key)
{
    int64_t number = (int64_t)(hash_str(group_key) >> 11);
    return number ? number : 1;
}
