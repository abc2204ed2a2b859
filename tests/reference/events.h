#pragma once
/* What the reference remembers: every event in the order of arrival, and who is who. */
#include "reference/internal.h"

struct ref_event {
    struct str name, id, insert_id; /* NULL data: none */
    int64_t time_ms, received_ms;
    struct ref_value properties;
    size_t number; /* in the order of arrival */
    bool gone;     /* deleted, or replaced by a newer one with the same insert id */
    struct ref_event *next;
};
struct ref_id;      /* identity.c */
struct ref_refusal { /* of a link; NULL data: it was made */
    struct str reason, description;
};
struct ref_profile {
    struct str id;
    struct ref_value properties;
    struct ref_profile *next;
};
struct reference {
    struct arena *arena;
    enum reference_mode mode;
    struct ref_event *first, *last;
    size_t count;
    struct ref_id *ids;
    unsigned cluster_max;
    struct ref_profile *profiles;
};

/* --- identity.c --- */
/* An id came along (NULL data: none). */
void ref_see(struct reference *reference, struct str id);
struct ref_refusal ref_link(struct reference *reference, enum reference_operation operation, struct str a, struct str b);
/* The id whose the events are that come under this one: in the legacy mode, of an alias, another. */
struct str ref_stored_under(const struct reference *reference, struct str id);
/* All ids of whoever is shown as `person`. */
void ref_forget(struct reference *reference, struct str person);

/* --- events.c --- */
/* `to` gets what `from` knows and it does not; `from` is gone. */
void ref_adopt_profile(struct reference *reference, struct str from, struct str to);

/* Who the id belongs to now; NULL data for nobody. */
struct str ref_person(const struct reference *reference, struct str id);
/* A property of the profile that is seen for the owner of an event with this id (NULL data: of nobody). */
struct ref_value ref_profile_property(const struct reference *reference, struct str id, struct str name);
