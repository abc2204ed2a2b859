#pragma once
/*
 * What a reader sees: an immutable list of sections with the rows that are deleted in them, plus pictures of the id
 * graph and of the name catalogs. Versions are reference-counted; the applier makes a new one when somebody asks and
 * something changed.
 */
#include "store/ids.h"
#include "store/names.h"
#include "store/section.h"

#include <roaring/roaring.h>

/* Deleted rows of one section, by row number in the section. Immutable once shared. */
struct deletes {
    _Atomic uint32_t refs;
    uint32_t count;
    roaring_bitmap_t *rows;
};
struct deletes *deletes_new(roaring_bitmap_t *rows); /* takes over */
struct deletes *deletes_ref(struct deletes *deletes);
void deletes_unref(struct deletes *deletes);

struct version_section {
    struct section *section;
    struct deletes *deletes; /* NULL: none */
};

struct snapshot {
    _Atomic uint32_t refs;
    uint64_t project;
    struct version_section *sections;
    size_t section_count;
    struct id_view *ids; /* NULL in the empty snapshot */
    struct names *events, *properties;
    uint32_t event_count, property_count;
};
struct snapshot *snapshot_ref(struct snapshot *snapshot);
