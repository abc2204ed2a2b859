#pragma once
/*
 * Answers that are read in pages. The first page of a long answer leaves its frozen list here, under a text that the
 * client sends back with the next pages; so these agree with each other whatever is written meanwhile. A list holds on
 * to a snapshot of the store, so there are few of them and none stays for long: bounded by number, by memory and by
 * age, and the one that was not used for longest goes first. Who asks for one that is gone gets the answer computed
 * anew.
 *
 * Any thread. Everything must be gone before the store is closed.
 */
#include "query/profiles.h"

struct session_limits {
    size_t count_max;
    size_t bytes_max; /* of all lists */
    int64_t age_max_ms;
};
struct profile_sessions;
struct profile_sessions *profile_sessions_new(const struct session_limits *limits);
/* No session may be in use. NULL is nothing. */
void profile_sessions_free(struct profile_sessions *sessions);

/* What a client may send as a session's text: letters, digits, `-` and `_`. */
#define SESSION_TEXT_MAX 64
bool profile_session_is_text(struct str text);
/* A new one, as long as Mixpanel's. */
#define SESSION_TEXT_SIZE 22
void profile_session_text(int64_t now_ms, char text[SESSION_TEXT_SIZE]);

/* A list in use. */
struct profile_session {
    struct profile_list *list;
    int64_t as_of_ms; /* of the run that made it */
};
/* `question` tells one set of parameters from another; 0: whichever it was. NULL when there is no such session of that
 * project and question. */
struct profile_session *profile_sessions_get(struct profile_sessions *sessions, uint64_t project, struct str text,
                                             uint64_t question, int64_t now_ms);
/* Takes over the list, which is in use for the caller, and kept as long as the limits allow: perhaps not at all. NULL
 * when memory refuses; then the list is freed. */
struct profile_session *profile_sessions_put(struct profile_sessions *sessions, uint64_t project, struct str text,
                                             uint64_t question, struct profile_list *list, int64_t as_of_ms,
                                             int64_t now_ms);
void profile_session_done(struct profile_sessions *sessions, struct profile_session *session);

/* Drops what is too old; to be called now and then. */
void profile_sessions_expire(struct profile_sessions *sessions, int64_t now_ms);
/* Drops those of a project: something was deleted for good. NULL is nothing. */
void profile_sessions_forget(struct profile_sessions *sessions, uint64_t project);
size_t profile_sessions_count(struct profile_sessions *sessions);
