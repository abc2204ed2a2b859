#pragma once
/* What the reference remembers: every event in the order of arrival, and whose each device is. */
#include "reference/internal.h"

struct ref_event {
    struct str name, id, insert_id; /* NULL data: none */
    int64_t time_ms, received_ms;
    struct ref_value properties;
    size_t number; /* in the order of arrival */
    bool gone;     /* deleted, or replaced by a newer one with the same insert id */
    struct ref_event *next;
};
struct ref_link {
    struct str device, user;
    struct ref_link *next;
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
    struct ref_link *links;
    struct ref_profile *profiles;
};

/* Who the id belongs to now; NULL data for nobody. */
struct str ref_person(const struct reference *reference, struct str id);
/* A property of the profile that is seen for the owner of an event with this id (NULL data: of nobody). */
struct ref_value ref_profile_property(const struct reference *reference, struct str id, struct str name);
