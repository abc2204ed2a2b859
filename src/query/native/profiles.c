#include "query/native/profiles.h"

#include "query/native/native.h"
#include "store/profiles.h"

static enum status native_group_keys(struct executor *executor, uint64_t project, struct arena *arena,
                                     struct error *error, struct str **ret_keys, size_t *ret_count)
{
    struct snapshot *shadow;
    size_t count = 0;
    TRY(store_snapshot(((struct native *)executor)->store, store_profiles_of(project), error, &shadow));
    uint32_t events = snapshot_event_count(shadow);
    struct str *keys = arena_new_array(arena, struct str, (size_t)events + 1);
    enum status status = keys ? STATUS_OK : STATUS_LIMIT;
    for (uint32_t event = 0; event < events && status == STATUS_OK; event++) {
        struct str key = store_profiles_group_key(snapshot_event_name(shadow, event));
        if (!key.data) continue;
        keys[count] = arena_str(arena, key);
        if (!keys[count++].data) status = STATUS_LIMIT;
    }
    snapshot_free(shadow);
    if (status != STATUS_OK) return error_set(error, status, "too many group keys for the memory of a request");
    *ret_keys = keys;
    *ret_count = count;
    return STATUS_OK;
}

const struct profile_functions native_profiles = {
    .list = native_profile_list,
    .numbers = native_profile_numbers,
    .properties = native_profile_properties,
    .revenue = native_profile_revenue,
    .group_keys = native_group_keys,
};
