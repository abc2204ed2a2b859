#include "api/cluster_json.h"

#include "base/civil.h"
#include "base/json.h"
#include "identity/identity.h"
#include "store/cluster.h"

static const char *const kinds[] = {
    [ID_LINK_UNKNOWN] = "unknown", [ID_LINK_EVENT] = "event", [ID_LINK_IDENTIFY] = "identify",
    [ID_LINK_ALIAS] = "alias",     [ID_LINK_MERGE] = "merge", [ID_LINK_ASKED] = "request",
    [ID_LINK_SPLIT] = "unlink",    [ID_LINK_NAME] = "alias",
};

static void write_id(struct buf *to, const struct snapshot *snapshot, uint32_t id)
{
    char room[ID_TEXT_ROOM];
    json_write_str(to, snapshot_id_text(snapshot, id, room));
}

static void write_time(struct buf *to, const char *name, int64_t ms)
{
    char text[19];
    buf_printf(to, "\"%s\":", name);
    if (ms == 0)
        buf_lit(to, "null");
    else
        json_write_str(to, str_from(text, civil_format_datetime(ms, text)));
}

static void write_source(struct buf *to, const struct cluster_link *link)
{
    buf_printf(to, "\"by\":\"%s\"", kinds[link->kind]);
    if (!link->event.data) return;
    buf_lit(to, ",\"event\":");
    json_write_str(to, link->event);
}

static void write_link(struct buf *to, const struct snapshot *snapshot, const struct cluster_link *link)
{
    buf_lit(to, "{\"ids\":[");
    write_id(to, snapshot, link->a);
    buf_byte(to, ',');
    write_id(to, snapshot, link->b);
    buf_lit(to, "],");
    write_source(to, link);
    buf_byte(to, ',');
    write_time(to, "at", link->received_ms);
    buf_byte(to, '}');
}

/* In the legacy mode: whose the events are that come under it. */
static void write_alias(struct buf *to, const struct snapshot *snapshot, uint32_t id, uint32_t target)
{
    struct cluster_link link = {
        .a = id, .b = target, .received_ms = snapshot_stands_since_ms(snapshot, id), .kind = ID_LINK_NAME};
    write_id(to, snapshot, target);
    buf_byte(to, ',');
    write_time(to, "since", link.received_ms);
    buf_lit(to, ",\"links\":[");
    write_link(to, snapshot, &link);
    buf_byte(to, ']');
}

static void write_path(struct buf *to, const struct snapshot *snapshot, const struct cluster *cluster)
{
    int64_t since_ms = 0;
    for (uint32_t i = 0; i < cluster->path_count; i++) {
        const struct cluster_link *link = &cluster->links[cluster->path[i]];
        if (link->received_ms > since_ms) since_ms = link->received_ms;
    }
    buf_lit(to, "null,");
    write_time(to, "since", since_ms);
    buf_lit(to, ",\"links\":[");
    for (uint32_t i = 0; i < cluster->path_count; i++) {
        if (i) buf_byte(to, ',');
        write_link(to, snapshot, &cluster->links[cluster->path[i]]);
    }
    buf_byte(to, ']');
}

static void write_member(struct buf *to, const struct snapshot *snapshot, const struct cluster *cluster, uint32_t place)
{
    uint32_t id = cluster->members[place], joined = cluster->joined[place];
    buf_lit(to, "{\"distinct_id\":");
    write_id(to, snapshot, id);
    buf_byte(to, ',');
    if (joined == CLUSTER_NO_LINK) {
        buf_lit(to, "\"since\":null,\"by\":\"unknown\",\"with\":null}");
        return;
    }
    const struct cluster_link *link = &cluster->links[joined];
    write_time(to, "since", link->received_ms);
    buf_byte(to, ',');
    write_source(to, link);
    buf_lit(to, ",\"with\":");
    write_id(to, snapshot, link->a == id ? link->b : link->a);
    buf_byte(to, '}');
}

static enum status not_found(const struct snapshot *snapshot, struct str id, struct arena *arena, struct error *error)
{
    struct str device = STR_NULL;
    (void)error_set(error, STATUS_NOT_FOUND, "no event has the id \"" STR_FMT "\"", STR_ARG(str_slice(id, 0, 255)));
    if (identity_device(arena, id, &device) == STATUS_OK && device.data && snapshot_id(snapshot, device))
        error_hint(error, "a device has it: ask for \"" STR_FMT "\"", STR_ARG(device));
    return STATUS_NOT_FOUND;
}

enum status cluster_write_json(struct buf *to, const struct snapshot *snapshot, int64_t project_id, struct str id,
                               struct cluster_page page, struct arena *arena, struct error *error)
{
    struct cluster cluster;
    uint32_t number = id.size ? snapshot_id(snapshot, id) : 0;
    if (!number) return not_found(snapshot, id, arena, error);
    TRY(snapshot_cluster(snapshot, number, arena, error, &cluster));
    buf_printf(to, "{\"project_id\":%lld,\"distinct_id\":", (long long)project_id);
    write_id(to, snapshot, number);
    buf_lit(to, ",\"canonical_id\":");
    write_id(to, snapshot, cluster.shown);
    buf_lit(to, ",\"alias_of\":");
    uint32_t target = snapshot_stands_for(snapshot, number);
    if (target)
        write_alias(to, snapshot, number, target);
    else
        write_path(to, snapshot, &cluster);
    buf_printf(to, ",\"id_count\":%u,\"offset\":%llu,\"limit\":%u,\"ids\":[", cluster.member_count,
               (unsigned long long)page.offset, page.limit);
    uint64_t end = page.offset + page.limit < cluster.member_count ? page.offset + page.limit : cluster.member_count;
    for (uint64_t i = page.offset; i < end; i++) {
        if (i > page.offset) buf_byte(to, ',');
        write_member(to, snapshot, &cluster, (uint32_t)i);
    }
    buf_lit(to, "]}");
    return STATUS_OK;
}
