/*
 * Every id began as a person of its own, so the ids of a cluster are its person's number and all numbers that were
 * taken away in favour of it, or of one of those: the lists of absorbed numbers are walked. Somebody who was taken out
 * of a cluster goes on under a number that has absorbed nobody, and is met again as one of the two whom a later link
 * joined. Links say which two ids they joined, which makes a tree of ids; the way from one id to another in it is why
 * they are one person.
 */
#include "store/cluster.h"

#include "store/version.h"

#include <stdlib.h>

struct search {
    const struct snapshot *snapshot;
    const struct id_view *view;
    struct arena *arena;
    struct error *error;
    uint32_t person;
    uint64_t *visited; /* by number */
    uint32_t *numbers, *links;
    uint32_t number_count, number_capacity, link_count, link_capacity;
};

static enum status out_of_memory(const struct search *search)
{
    return error_set(search->error, STATUS_LIMIT, "the person has too many ids to be shown");
}

static enum status add(const struct search *search, uint32_t **list, uint32_t *count, uint32_t *capacity,
                       uint32_t value)
{
    if (*count == *capacity) {
        uint32_t larger = *capacity ? *capacity * 2 : 64;
        *list = arena_realloc(search->arena, *list, *capacity * sizeof **list, larger * sizeof **list);
        if (!*list) return out_of_memory(search);
        *capacity = larger;
    }
    (*list)[(*count)++] = value;
    return STATUS_OK;
}

static enum status visit(struct search *search, uint32_t number)
{
    uint64_t bit = (uint64_t)1 << (number % 64);
    if (search->visited[number / 64] & bit) return STATUS_OK;
    search->visited[number / 64] |= bit;
    return add(search, &search->numbers, &search->number_count, &search->number_capacity, number);
}

/* All numbers that ever became the person's, some of which may have left. */
static enum status walk(struct search *search, uint32_t id)
{
    TRY(visit(search, search->person));
    TRY(visit(search, id));
    for (uint32_t at = 0; at < search->number_count; at++) {
        uint32_t link;
        bool any = id_view_absorbed(search->view, search->numbers[at], &link);
        for (; any; any = id_view_absorbed_before(search->view, &link)) {
            TRY(add(search, &search->links, &search->link_count, &search->link_capacity, link));
            struct id_source source = id_view_source(search->view, link);
            TRY(visit(search, id_view_moved(search->view, link)));
            if (source.a) TRY(visit(search, source.a));
            if (source.b) TRY(visit(search, source.b));
        }
    }
    return STATUS_OK;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void keep_members(struct search *search, struct cluster *cluster)
{
    uint32_t kept = 0;
    char room[ID_TEXT_ROOM];
    for (uint32_t i = 0; i < search->number_count; i++)
        if (id_view_person(search->view, search->numbers[i]) == search->person &&
            id_view_text(search->view, search->numbers[i], room).size)
            search->numbers[kept++] = search->numbers[i];
    qsort(search->numbers, kept, sizeof *search->numbers, compare);
    cluster->members = search->numbers;
    cluster->member_count = kept;
}

/* CLUSTER_NO_LINK: not one of them. */
static uint32_t place_of(const struct cluster *cluster, uint32_t id)
{
    uint32_t low = 0, high = cluster->member_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (cluster->members[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < cluster->member_count && cluster->members[low] == id ? low : CLUSTER_NO_LINK;
}

/* Links of somebody who was taken out later count no more, not even when they both met again. */
static void note_leaving(const struct search *search, const struct cluster *cluster, uint32_t *left)
{
    for (uint32_t i = 0; i < search->link_count; i++) {
        struct id_source source = id_view_source(search->view, search->links[i]);
        if (source.kind != ID_LINK_SPLIT || !source.a) continue;
        uint32_t place = place_of(cluster, source.a);
        if (place != CLUSTER_NO_LINK) left[place] = search->links[i] + 1; /* the last one stays */
    }
}

static enum status keep_links(struct search *search, struct cluster *cluster)
{
    uint32_t *left = arena_new_array(search->arena, uint32_t, cluster->member_count);
    if (search->link_count) qsort(search->links, search->link_count, sizeof *search->links, compare);
    cluster->links = arena_new_array(search->arena, struct cluster_link, (size_t)search->link_count + 1);
    cluster->joined = arena_new_array(search->arena, uint32_t, cluster->member_count);
    if (!cluster->links || !cluster->joined || !left) return out_of_memory(search);
    note_leaving(search, cluster, left);
    for (uint32_t i = 0; i < cluster->member_count; i++) cluster->joined[i] = CLUSTER_NO_LINK;
    for (uint32_t i = 0; i < search->link_count; i++) {
        struct id_source source = id_view_source(search->view, search->links[i]);
        uint32_t a = place_of(cluster, source.a), b = place_of(cluster, source.b);
        /* unknown, or one of them has left */
        if (source.kind == ID_LINK_SPLIT || a == CLUSTER_NO_LINK || b == CLUSTER_NO_LINK) continue;
        if (search->links[i] < left[a] || search->links[i] < left[b]) continue;
        cluster->links[cluster->link_count] =
            (struct cluster_link){.a = source.a, .b = source.b, .received_ms = source.time_ms, .kind = source.kind};
        if (source.event && source.event <= snapshot_event_count(search->snapshot))
            cluster->links[cluster->link_count].event = snapshot_event_name(search->snapshot, source.event - 1);
        if (cluster->joined[a] == CLUSTER_NO_LINK) cluster->joined[a] = cluster->link_count;
        if (cluster->joined[b] == CLUSTER_NO_LINK) cluster->joined[b] = cluster->link_count;
        cluster->link_count++;
    }
    return STATUS_OK;
}

/* --- the way --- */

struct ways {            /* of the tree of ids, by place in members */
    uint32_t *first;     /* of an id's links in `at`; of member_count: their number */
    uint32_t *at;        /* links */
    uint32_t *came_over; /* the link over which an id was reached */
    uint32_t *queue;
};

static enum status find_ways(const struct search *search, const struct cluster *cluster, struct ways *ways)
{
    size_t count = (size_t)cluster->member_count + 2;
    ways->first = arena_new_array(search->arena, uint32_t, count);
    ways->at = arena_new_array(search->arena, uint32_t, (size_t)cluster->link_count * 2 + 1);
    ways->came_over = arena_new_array(search->arena, uint32_t, count);
    ways->queue = arena_new_array(search->arena, uint32_t, count);
    if (!ways->first || !ways->at || !ways->came_over || !ways->queue) return out_of_memory(search);
    uint32_t *ends = ways->first + 1;
    for (uint32_t i = 0; i < cluster->link_count; i++) {
        ends[place_of(cluster, cluster->links[i].a) + 1]++;
        ends[place_of(cluster, cluster->links[i].b) + 1]++;
    }
    for (uint32_t i = 0; i < cluster->member_count; i++) ends[i + 1] += ends[i];
    for (uint32_t i = 0; i < cluster->link_count; i++) { /* ends[place] moves from its first link to behind its last */
        ways->at[ends[place_of(cluster, cluster->links[i].a)]++] = i;
        ways->at[ends[place_of(cluster, cluster->links[i].b)]++] = i;
    }
    return STATUS_OK;
}

static uint32_t other_end(const struct cluster *cluster, uint32_t link, uint32_t place)
{
    uint32_t a = place_of(cluster, cluster->links[link].a);
    return a == place ? place_of(cluster, cluster->links[link].b) : a;
}

static enum status find_path(const struct search *search, struct cluster *cluster)
{
    struct ways ways;
    uint32_t from = place_of(cluster, cluster->id), to = place_of(cluster, cluster->shown), queued = 0;
    if (from == to || from == CLUSTER_NO_LINK || to == CLUSTER_NO_LINK) return STATUS_OK;
    TRY(find_ways(search, cluster, &ways));
    for (uint32_t i = 0; i < cluster->member_count; i++) ways.came_over[i] = CLUSTER_NO_LINK;
    /* From the shown id, so that the way is read off in its order. */
    ways.queue[queued++] = to;
    for (uint32_t next = 0; next < queued && ways.came_over[from] == CLUSTER_NO_LINK; next++) {
        uint32_t place = ways.queue[next];
        for (uint32_t i = ways.first[place]; i < ways.first[place + 1]; i++) {
            uint32_t other = other_end(cluster, ways.at[i], place);
            if (other == to || ways.came_over[other] != CLUSTER_NO_LINK) continue;
            ways.came_over[other] = ways.at[i];
            ways.queue[queued++] = other;
        }
    }
    if (ways.came_over[from] == CLUSTER_NO_LINK) return STATUS_OK;
    cluster->path = arena_new_array(search->arena, uint32_t, cluster->member_count);
    if (!cluster->path) return out_of_memory(search);
    for (uint32_t place = from; place != to; place = other_end(cluster, ways.came_over[place], place))
        cluster->path[cluster->path_count++] = ways.came_over[place];
    return STATUS_OK;
}

enum status snapshot_cluster(const struct snapshot *snapshot, uint32_t id, struct arena *arena, struct error *error,
                             struct cluster *ret_cluster)
{
    struct search search = {.snapshot = snapshot, .view = snapshot->ids, .arena = arena, .error = error};
    struct cluster cluster = {.id = id};
    search.person = snapshot_person(snapshot, id);
    cluster.shown = snapshot_person_id(snapshot, search.person);
    search.visited = calloc((size_t)snapshot_id_count(snapshot) / 64 + 1, sizeof *search.visited);
    if (!search.visited) return out_of_memory(&search);
    enum status status = walk(&search, id);
    free(search.visited);
    TRY(status);
    keep_members(&search, &cluster);
    TRY(keep_links(&search, &cluster));
    TRY(find_path(&search, &cluster));
    *ret_cluster = cluster;
    return STATUS_OK;
}

int64_t snapshot_stands_since_ms(const struct snapshot *snapshot, uint32_t id)
{
    const struct id_view *view = snapshot->ids;
    for (uint32_t link = snapshot_stands_for(snapshot, id) ? id_view_link_count(view) : 0; link--;) {
        struct id_source source = id_view_source(view, link);
        if (source.kind == ID_LINK_NAME && source.a == id) return source.time_ms;
    }
    return 0;
}
