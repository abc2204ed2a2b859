#include "base/hash.h"
#include "base/log.h"
#include "os/clock.h"
#include "store/delete.h"
#include "store/profiles.h"
#include "store/project_update.h"

#include <stdlib.h>

#define RETRY_AFTER_NS 1000000000LL

struct update_debt {
    uint64_t lsn, key; /* key: profile_key */
    char *record;      /* the whole, malloc'd */
    size_t size;
};
struct update_debts { /* in log order */
    struct update_debt *items;
    size_t count, capacity, bytes;
    struct u64map keys; /* how many of a profile */
    int64_t tried_ns;
};

static uint64_t profile_key(struct str event, struct str id)
{
    return hash_bytes(id.data, id.size, hash_str(event));
}

static enum status add(struct project *shadow, struct update_debt debt)
{
    if (!shadow->update_debts) {
        shadow->update_debts = calloc(1, sizeof *shadow->update_debts);
        if (!shadow->update_debts) return STATUS_LIMIT;
        shadow->update_debts->keys = U64MAP_INIT(UINT32_MAX);
    }
    struct update_debts *debts = shadow->update_debts;
    if (debts->count == debts->capacity) {
        size_t capacity = debts->capacity ? debts->capacity * 2 : 16;
        struct update_debt *grown = realloc(debts->items, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        debts->items = grown;
        debts->capacity = capacity;
    }
    bool added;
    uint64_t *count = u64map_at(&debts->keys, debt.key, 0, &added);
    if (!count) return STATUS_LIMIT;
    ++*count;
    debts->items[debts->count++] = debt;
    debts->bytes += debt.size;
    return STATUS_OK;
}

/* Takes away one; the caller closes the gap. */
static void settle(struct update_debts *debts, struct update_debt *debt)
{
    uint64_t *count = u64map_get(&debts->keys, debt->key);
    if (count && *count) --*count;
    debts->bytes -= debt->size;
    free(debt->record);
}

enum status project_update_owe(struct project *shadow, const struct update_view *update, uint64_t lsn,
                               const struct error *error)
{
    struct buf record = BUF_INIT(SIZE_MAX / 2);
    if (record_update(&record, shadow->id, update) != STATUS_OK) {
        buf_fini(&record);
        return STATUS_LIMIT;
    }
    struct update_debt debt = {.lsn = lsn, .key = profile_key(update->event, update->id), .size = record.size};
    debt.record = buf_detach(&record);
    bool first = !shadow->update_debts || !shadow->update_debts->count;
    enum status status = add(shadow, debt);
    if (status != STATUS_OK)
        free(debt.record);
    else if (first) /* one line, not one for every profile of a damaged file */
        log_failure(LOG_ERROR, "profile_cannot_be_read", error);
    return status;
}

bool project_owes_update(const struct project *shadow, struct str event, struct str id)
{
    const struct update_debts *debts = shadow->update_debts;
    const uint64_t *count =
        debts && debts->count ? u64map_get((struct u64map *)(uintptr_t)&debts->keys, profile_key(event, id)) : NULL;
    return count && *count;
}

static bool open_debt(const struct update_debt *debt, struct update_view *ret_update)
{
    struct reader reader = reader_of(str_from(debt->record, debt->size));
    struct record record;
    return record_next(&reader, &record) == STATUS_OK && !reader_left(&reader) && record.kind == RECORD_UPDATE &&
           update_open(record.body, ret_update) == STATUS_OK;
}

enum status project_updates_retry(struct project *shadow, struct project_context *context, struct arena *arena,
                                  struct error *error)
{
    struct update_debts *debts = shadow->update_debts;
    if (!debts || !debts->count) return STATUS_OK;
    int64_t now = os_monotonic_ns();
    if (debts->tried_ns && now - debts->tried_ns < RETRY_AFTER_NS) return STATUS_OK;
    debts->tried_ns = now;
    if (shadow->owed_count) project_orders_retry(shadow, context);
    struct u64map stuck = U64MAP_INIT(UINT32_MAX); /* profiles that still cannot be read */
    enum status status = STATUS_OK;
    size_t kept = 0, at = 0;
    for (; at < debts->count && status == STATUS_OK; at++) {
        struct update_debt *debt = &debts->items[at];
        struct update_view update;
        struct error why = ERROR_INIT;
        bool unreadable = true, added;
        arena_reset(arena);
        if (!u64map_get(&stuck, debt->key) && open_debt(debt, &update))
            status = project_update_profile(shadow, context, &update, debt->lsn, arena, &why, &unreadable);
        if (status != STATUS_OK && error) *error = why;
        if (status != STATUS_OK) break;
        if (unreadable) {
            if (!u64map_at(&stuck, debt->key, 1, &added))
                status = error_set(error, STATUS_LIMIT, "out of memory for owed updates");
            debts->items[kept++] = *debt;
        } else {
            settle(debts, debt);
        }
    }
    if (at > kept && debts->count > at)
        memmove(debts->items + kept, debts->items + at, (debts->count - at) * sizeof *debts->items);
    debts->count = kept + (debts->count - at);
    u64map_fini(&stuck);
    if (status == STATUS_OK && !debts->count)
        log_info("owed_profile_updates_done", LOG_INT("project", store_profiles_owner(shadow->id)));
    return status;
}

void project_updates_forget(struct project *shadow, struct str event, struct str id)
{
    struct update_debts *debts = shadow->update_debts;
    uint64_t key = profile_key(event, id);
    size_t kept = 0;
    for (size_t i = 0; debts && i < debts->count; i++) {
        if (debts->items[i].key == key)
            settle(debts, &debts->items[i]);
        else
            debts->items[kept++] = debts->items[i];
    }
    if (debts) debts->count = kept;
}

void project_updates_write(const struct project *shadow, struct buf *out)
{
    const struct update_debts *debts = shadow->update_debts;
    for (size_t i = 0; debts && i < debts->count; i++) {
        buf_u64(out, shadow->id | PROJECT_DEBT_UPDATE);
        buf_u64(out, debts->items[i].lsn);
        buf_u32(out, (uint32_t)debts->items[i].size);
        buf_add(out, debts->items[i].record, debts->items[i].size);
    }
}

enum status project_updates_read(struct project *shadow, struct reader *reader)
{
    struct update_debt debt = {.lsn = read_u64(reader), .size = read_u32(reader)};
    struct str record = read_bytes(reader, debt.size);
    struct update_view update;
    if (reader->failed || !record.size) return STATUS_CORRUPT;
    debt.record = malloc(record.size);
    if (!debt.record) return STATUS_LIMIT;
    memcpy(debt.record, record.data, record.size);
    enum status status = open_debt(&debt, &update) ? STATUS_OK : STATUS_CORRUPT;
    if (status == STATUS_OK) {
        debt.key = profile_key(update.event, update.id);
        status = add(shadow, debt);
    }
    if (status != STATUS_OK) free(debt.record);
    return status;
}

size_t project_updates_bytes(const struct project *shadow)
{
    return shadow->update_debts ? shadow->update_debts->bytes : 0;
}

void project_updates_clear(struct project *shadow)
{
    struct update_debts *debts = shadow->update_debts;
    if (!debts) return;
    for (size_t i = 0; i < debts->count; i++) free(debts->items[i].record);
    free(debts->items);
    u64map_fini(&debts->keys);
    free(debts);
    shadow->update_debts = NULL;
}
