#pragma once
/*
 * Who an id is: the ids of its cluster, which are one person, and the links that made one of them. For an operator's
 * question about one person: it visits the whole cluster, and costs nothing to those who do not ask.
 */
#include "base/arena.h"
#include "store/ids.h"
#include "store/store.h"

struct cluster_link {
    uint32_t a, b;       /* the two ids */
    int64_t received_ms; /* whole seconds; 0: unknown */
    enum id_link_kind kind;
    struct str event; /* the name of the event that made it, which lives as long as the snapshot; NULL data: unknown */
};

#define CLUSTER_NO_LINK UINT32_MAX
struct cluster {
    uint32_t id, shown;
    uint32_t *members; /* ascending, which is the order in which they were seen first */
    uint32_t *joined;  /* by place in members: the id's first link, by place in links */
    uint32_t member_count;
    struct cluster_link *links; /* oldest first; those of ids that are in the cluster now */
    uint32_t link_count;
    uint32_t *path; /* of links, from the id to the shown one; empty when it is the shown one, or when the links that
                       joined the two are not known any more */
    uint32_t path_count;
};
/* `id` is one of the snapshot's, and not forgotten. LIMIT when the arena is full: some 40 bytes an id. */
enum status snapshot_cluster(const struct snapshot *snapshot, uint32_t id, struct arena *arena, struct error *error,
                             struct cluster *ret_cluster) MUST_USE;
/* In the legacy mode, when it was received that the id stands for another one, in whole seconds; 0: unknown, or it does
 * not. Looks through the project's links. */
int64_t snapshot_stands_since_ms(const struct snapshot *snapshot, uint32_t id);
