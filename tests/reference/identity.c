/*
 * Who is who, by the letter of docs/api/identity.md: a list of ids in the order in which they were first seen, each
 * with its cluster. Every step walks the whole list.
 */
#include "reference/events.h"

#include <stdio.h>

struct ref_cluster {
    struct str shown;
};
struct ref_id {
    struct str text;
    struct ref_cluster *cluster;
    bool attached;       /* $identify did it */
    struct str alias_of; /* NULL data: of nobody */
    struct ref_id *next;
};

static bool starts_like_device(struct str id)
{
    return str_starts(id, STR("$device:"));
}

/* Somebody's invention: groups of hexadecimal digits with dashes between them. */
static bool is_made_up(struct str id)
{
    if (starts_like_device(id)) id = str_slice(id, strlen("$device:"), id.size);
    size_t groups = 1, digits = 0;
    for (size_t i = 0; i < id.size; i++) {
        if (strchr("0123456789abcdefABCDEF", id.data[i]) && id.data[i]) {
            digits++;
        } else if (id.data[i] == '-' && digits) {
            groups++;
            digits = 0;
        } else {
            return false;
        }
    }
    return groups > 1 && digits;
}

static struct ref_id *find(const struct reference *reference, struct str text)
{
    struct ref_id *id = reference->ids;
    while (id && !str_eq(id->text, text)) id = id->next;
    return id;
}

static struct ref_cluster *cluster_of(struct reference *reference, struct str shown)
{
    struct ref_cluster *cluster = ref_alloc(reference->arena, sizeof *cluster);
    cluster->shown = shown;
    return cluster;
}

static struct ref_id *see(struct reference *reference, struct str text)
{
    struct ref_id *known = find(reference, text), **end = &reference->ids;
    if (known) return known;
    while (*end) end = &(*end)->next;
    *end = ref_alloc(reference->arena, sizeof **end);
    **end = (struct ref_id){.text = ref_copy(reference->arena, text)};
    (*end)->cluster = cluster_of(reference, (*end)->text);
    return *end;
}

void ref_see(struct reference *reference, struct str id)
{
    if (id.data) see(reference, id);
}

static unsigned size_of(const struct reference *reference, const struct ref_cluster *cluster)
{
    unsigned size = 0;
    for (const struct ref_id *id = reference->ids; id; id = id->next) size += id->cluster == cluster;
    return size;
}

struct str ref_person(const struct reference *reference, struct str text)
{
    const struct ref_id *id = text.data ? find(reference, text) : NULL;
    return id ? id->cluster->shown : text;
}

static void join(struct reference *reference, struct ref_id *a, struct ref_id *b, struct str shown)
{
    struct ref_cluster *from = a->cluster, *to = b->cluster;
    if (from != to && reference->mode == REFERENCE_ORIGINAL) {
        if (!str_eq(from->shown, shown)) ref_adopt_profile(reference, from->shown, shown);
        if (!str_eq(to->shown, shown)) ref_adopt_profile(reference, to->shown, shown);
    }
    for (struct ref_id *id = reference->ids; id; id = id->next) {
        if (id->cluster == from) id->cluster = to;
    }
    to->shown = shown;
}

static struct ref_refusal refusal(struct reference *reference, const char *reason, const char *before, struct str id)
{
    return (struct ref_refusal){str_of(reason), ref_join(reference->arena, str_of(before), id)};
}

static const struct ref_refusal none = {STR_NULL, STR_NULL};

static struct ref_refusal link_simplified(struct reference *reference, enum reference_operation operation, struct str a,
                                          struct str b)
{
    bool swap = operation != REFERENCE_CREATE && starts_like_device(b) && !starts_like_device(a);
    struct str device = swap ? b : a, user = swap ? a : b;
    struct ref_id *d = see(reference, device), *u = see(reference, user);
    if (!starts_like_device(device) || starts_like_device(user) || d->cluster == u->cluster) return none;
    if (size_of(reference, d->cluster) > 1)
        return (struct ref_refusal){STR("errAnonDistinctIdAssignedAlready"), STR_NULL};
    join(reference, d, u, u->text);
    return none;
}

static int rank(const struct reference *reference, const struct ref_id *id)
{
    if (is_made_up(id->cluster->shown)) return 0;
    return size_of(reference, id->cluster) == 1 ? 1 : 2;
}

static struct ref_refusal link_original(struct reference *reference, enum reference_operation operation, struct str a,
                                        struct str b)
{
    struct ref_id *x = see(reference, a), *y = see(reference, b);
    if (x == y) return refusal(reference, "errSameIDs", "Identified and anon ID are same in the identify request ", a);
    if (operation == REFERENCE_CREATE) {
        if (!is_made_up(a))
            return refusal(reference, "errAnonDistinctIdNonGUIDForm",
                           "$anon_distinct_id didn't match expected GUID pattern: ", a);
        if (x->attached && x->cluster != y->cluster && size_of(reference, x->cluster) > 1)
            return refusal(reference, "errAnonDistinctIdAssignedAlready", "$anon_distinct_id already identified: ", a);
    }
    const struct ref_id *target = x->alias_of.data ? find(reference, x->alias_of) : NULL;
    bool taken = target && !str_eq(target->text, b) && target->cluster == x->cluster;
    if (operation == REFERENCE_ALIAS && taken)
        return refusal(reference, "errAliasAlreadyExists", "alias already exists with the id", STR(""));
    unsigned size = size_of(reference, x->cluster) + size_of(reference, y->cluster);
    if (x->cluster != y->cluster && size > reference->cluster_max) {
        char text[128];
        snprintf(text, sizeof text, "too many distinctIDs mapped together, Cluster size: %u Max limit: %u", size,
                 reference->cluster_max);
        return (struct ref_refusal){STR("errManyIDs"), ref_copy(reference->arena, str_of(text))};
    }
    if (operation == REFERENCE_CREATE) x->attached = true;
    if (operation == REFERENCE_ALIAS) x->alias_of = y->text;
    if (x->cluster != y->cluster)
        join(reference, x, y, rank(reference, x) > rank(reference, y) ? x->cluster->shown : y->cluster->shown);
    return none;
}

struct ref_refusal ref_link(struct reference *reference, enum reference_operation operation, struct str a, struct str b)
{
    if (!a.data || !b.data) return none;
    switch (reference->mode) {
    case REFERENCE_SIMPLIFIED: return link_simplified(reference, operation, a, b);
    case REFERENCE_ORIGINAL: return link_original(reference, operation, a, b);
    case REFERENCE_LEGACY: break;
    }
    struct ref_id *alias = see(reference, a), *target = see(reference, b);
    bool taken = alias->alias_of.data != NULL;
    if (operation == REFERENCE_ALIAS && alias != target && !taken) alias->alias_of = target->text;
    return none;
}

void reference_link(struct reference *reference, enum reference_operation operation, struct str a, struct str b)
{
    (void)ref_link(reference, operation, a, b);
}

struct str ref_stored_under(const struct reference *reference, struct str text)
{
    const struct ref_id *id = text.data ? find(reference, text) : NULL;
    if (reference->mode != REFERENCE_LEGACY || !id || !id->alias_of.data) return text;
    return id->alias_of;
}

bool reference_unlink(struct reference *reference, struct str text)
{
    struct ref_id *id = find(reference, text);
    if (!id) return false;
    if (reference->mode == REFERENCE_LEGACY) {
        bool was = id->alias_of.data != NULL;
        id->alias_of = STR_NULL;
        return was;
    }
    struct ref_cluster *cluster = id->cluster;
    if (size_of(reference, cluster) < 2) return false;
    bool user = reference->mode == REFERENCE_SIMPLIFIED && !starts_like_device(text);
    struct str first = STR_NULL, first_made_up = STR_NULL;
    for (struct ref_id *other = reference->ids; other; other = other->next) {
        if (other->cluster != cluster || (user ? other == id : false)) continue;
        if (user || other == id) {
            other->cluster = cluster_of(reference, other->text);
            other->attached = false;
            other->alias_of = STR_NULL;
        } else {
            struct str *kept = is_made_up(other->text) ? &first_made_up : &first;
            if (!kept->data) *kept = other->text;
        }
    }
    if (!user && str_eq(cluster->shown, text)) cluster->shown = first.data ? first : first_made_up;
    return true;
}

void ref_forget(struct reference *reference, struct str person)
{
    for (struct ref_id *id = reference->ids; id; id = id->next) {
        const struct ref_id *target = id->alias_of.data ? find(reference, id->alias_of) : NULL;
        if (target && str_eq(target->cluster->shown, person)) id->alias_of = STR_NULL;
    }
    for (struct ref_id **at = &reference->ids; *at;) {
        if (str_eq((*at)->cluster->shown, person))
            *at = (*at)->next;
        else
            at = &(*at)->next;
    }
}
