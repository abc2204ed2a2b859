#include "api/profile_sessions.h"

#include "os/clock.h"
#include "os/thread.h"

#include <stdio.h>
#include <stdlib.h>

/* The newest use is at the head of a list that ends with the oldest. Sessions are few: looking one up walks it. */
struct session {
    struct profile_session base;
    struct session *next, *previous;
    uint64_t project, question;
    int64_t used_ms;
    unsigned users;
    bool kept; /* in the list */
    char text[SESSION_TEXT_MAX];
    size_t text_size;
};

struct profile_sessions {
    struct os_mutex lock;
    struct session_limits limits;
    struct session *newest, *oldest;
    size_t count, bytes;
};

struct profile_sessions *profile_sessions_new(const struct session_limits *limits)
{
    struct profile_sessions *sessions = calloc(1, sizeof *sessions);
    if (!sessions) abort();
    os_mutex_init(&sessions->lock, "profile sessions");
    sessions->limits = *limits;
    return sessions;
}

bool profile_session_is_text(struct str text)
{
    if (text.size == 0 || text.size > SESSION_TEXT_MAX) return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_') return false;
    }
    return true;
}

void profile_session_text(int64_t now_ms, char text[SESSION_TEXT_SIZE])
{
    unsigned char random[11];
    char seconds[24];
    os_random(random, sizeof random);
    snprintf(seconds, sizeof seconds, "%010lld", (long long)(now_ms / 1000));
    memcpy(text, seconds, 10);
    text[10] = '-';
    for (size_t i = 0; i < sizeof random; i++) text[11 + i] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"[random[i] % 32];
}

/* --- with the lock --- */

static void link_newest(struct profile_sessions *sessions, struct session *session)
{
    session->previous = NULL;
    session->next = sessions->newest;
    if (session->next)
        session->next->previous = session;
    else
        sessions->oldest = session;
    sessions->newest = session;
    session->kept = true;
    sessions->count++;
    sessions->bytes += session->base.list->bytes;
}

/* What nobody uses is put into *dropped, for the caller to free without the lock: files may have to be closed. */
static void unlink_session(struct profile_sessions *sessions, struct session *session, struct session **dropped)
{
    *(session->previous ? &session->previous->next : &sessions->newest) = session->next;
    *(session->next ? &session->next->previous : &sessions->oldest) = session->previous;
    session->kept = false;
    sessions->count--;
    sessions->bytes -= session->base.list->bytes;
    if (session->users) return;
    session->next = *dropped;
    *dropped = session;
}

static struct session *find(struct profile_sessions *sessions, uint64_t project, struct str text)
{
    struct session *session = sessions->newest;
    while (session && !(session->project == project && str_eq(str_from(session->text, session->text_size), text)))
        session = session->next;
    return session;
}

static void keep_limits(struct profile_sessions *sessions, int64_t now_ms, struct session **dropped)
{
    const struct session_limits *limits = &sessions->limits;
    while (sessions->oldest && (sessions->count > limits->count_max || sessions->bytes > limits->bytes_max ||
                                now_ms - sessions->oldest->used_ms > limits->age_max_ms))
        unlink_session(sessions, sessions->oldest, dropped);
}

static void free_dropped(struct session *dropped)
{
    while (dropped) {
        struct session *next = dropped->next;
        profile_list_free(dropped->base.list);
        free(dropped);
        dropped = next;
    }
}

/* --- without it --- */

struct profile_session *profile_sessions_get(struct profile_sessions *sessions, uint64_t project, struct str text,
                                             uint64_t question, int64_t now_ms)
{
    struct session *dropped = NULL;
    os_mutex_lock(&sessions->lock);
    keep_limits(sessions, now_ms, &dropped);
    struct session *session = find(sessions, project, text);
    if (session && question && session->question != question) session = NULL;
    if (session) {
        struct session *unused = NULL;
        session->users++;
        session->used_ms = now_ms;
        unlink_session(sessions, session, &unused);
        link_newest(sessions, session);
    }
    os_mutex_unlock(&sessions->lock);
    free_dropped(dropped);
    return session ? &session->base : NULL;
}

struct profile_session *profile_sessions_put(struct profile_sessions *sessions, uint64_t project, struct str text,
                                             uint64_t question, struct profile_list *list, int64_t as_of_ms,
                                             int64_t now_ms)
{
    struct session *session = calloc(1, sizeof *session), *dropped = NULL;
    if (!session || text.size > sizeof session->text) {
        profile_list_free(list);
        free(session);
        return NULL;
    }
    *session = (struct session){.base = {list, as_of_ms},
                                .project = project,
                                .question = question,
                                .used_ms = now_ms,
                                .users = 1,
                                .text_size = text.size};
    memcpy(session->text, text.data, text.size);
    os_mutex_lock(&sessions->lock);
    struct session *before = find(sessions, project, text);
    if (before) unlink_session(sessions, before, &dropped);
    link_newest(sessions, session);
    keep_limits(sessions, now_ms, &dropped);
    os_mutex_unlock(&sessions->lock);
    free_dropped(dropped);
    return &session->base;
}

void profile_session_done(struct profile_sessions *sessions, struct profile_session *base)
{
    struct session *session = (struct session *)base;
    if (!session) return;
    os_mutex_lock(&sessions->lock);
    bool last = --session->users == 0 && !session->kept;
    os_mutex_unlock(&sessions->lock);
    if (!last) return;
    session->next = NULL;
    free_dropped(session);
}

void profile_sessions_expire(struct profile_sessions *sessions, int64_t now_ms)
{
    struct session *dropped = NULL;
    os_mutex_lock(&sessions->lock);
    keep_limits(sessions, now_ms, &dropped);
    os_mutex_unlock(&sessions->lock);
    free_dropped(dropped);
}

void profile_sessions_forget(struct profile_sessions *sessions, uint64_t project)
{
    struct session *dropped = NULL;
    if (!sessions) return;
    os_mutex_lock(&sessions->lock);
    for (struct session *session = sessions->newest, *next; session; session = next) {
        next = session->next;
        if (session->project == project) unlink_session(sessions, session, &dropped);
    }
    os_mutex_unlock(&sessions->lock);
    free_dropped(dropped);
}

size_t profile_sessions_count(struct profile_sessions *sessions)
{
    os_mutex_lock(&sessions->lock);
    size_t count = sessions->count;
    os_mutex_unlock(&sessions->lock);
    return count;
}

void profile_sessions_free(struct profile_sessions *sessions)
{
    struct session *dropped = NULL;
    if (!sessions) return;
    while (sessions->oldest) unlink_session(sessions, sessions->oldest, &dropped);
    free_dropped(dropped);
    os_mutex_destroy(&sessions->lock);
    free(sessions);
}
