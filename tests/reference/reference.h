#pragma once
/*
 * What the tests see of the reference evaluator: events go in as the JSON that a client sends, answers come
 * out. See README.md.
 *
 * Everything lives in the arena that the reference was made with. Running out of memory ends the program:
 * this is a test. One thread: the zone of a question is set in the environment (TZ) while it is answered.
 */
#include "base/arena.h"
#include "base/json.h"

enum reference_mode { REFERENCE_SIMPLIFIED, REFERENCE_ORIGINAL, REFERENCE_LEGACY };
enum reference_operation { REFERENCE_CREATE, REFERENCE_ALIAS, REFERENCE_MERGE };
struct executor;
struct expr_join;
struct reference;

/* `cluster_max`: ids of one person in the original mode. */
struct reference *reference_new(struct arena *arena, enum reference_mode mode, unsigned cluster_max);
/* One event: {"event":NAME,"properties":{…}}. Returns the id that it is stored under; NULL data: nobody's, or ignored. */
struct str reference_track(struct reference *reference, const struct json *event, int64_t received_ms);
/* A link that was asked for by itself: a device (`$device:D1`) or an anonymous id, and a user; an alias, and the id that
 * it stands for; any two. */
void reference_link(struct reference *reference, enum reference_operation operation, struct str a, struct str b);
/* Takes an id out of its person's, as if it had never been linked. False when it was not. */
bool reference_unlink(struct reference *reference, struct str id);
/* Who an id belongs to now: the id shown for them. */
struct str reference_person(const struct reference *reference, struct str id);

/* The profile of an id from now on, an object of its properties; NULL: it has none any more. */
void reference_profile(struct reference *reference, struct str id, const struct json *properties);

/* Deletes of what was told so far: the people behind some ids, with who they were and their profiles; what is older
 * than a time; events that came with an insert id, one in `every`, calling each() for those that still counted. */
void reference_delete_person(struct reference *reference, const struct str *ids, size_t count);
void reference_delete_before(struct reference *reference, int64_t time_ms);
void reference_delete_some(struct reference *reference, unsigned every,
                           void (*each)(void *context, struct str name, struct str id, int64_t time_ms,
                                        struct str insert_id),
                           void *context);

/* How many events it was told of. */
size_t reference_count(const struct reference *reference);

/* Answers plans about what the reference has been told by then. The reference must outlive it. */
struct executor *reference_executor_new(const struct reference *reference);

/* One expression over one row (properties as an object, in which `@user` holds those of the user), as JSON; the word
 * `undefined`, or `error` when it is refused. `bare` allows a word alone, as in on=plan; `join` may be NULL. */
struct str reference_evaluate(struct arena *arena, struct str text, const struct json *row, const char *zone,
                              int64_t now_ms, bool bare, const struct expr_join *join);
/* Whether the text is an expression, whatever the rows are. */
bool reference_accepts(struct arena *arena, struct str text, int64_t now_ms, bool bare);
