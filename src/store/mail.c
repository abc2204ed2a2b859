/* Mailboxes and waiting between the store's threads; who owns what is told in store.c. */
#include "store/store_int.h"

#include <errno.h>
#include <stdlib.h>

struct message *store_message_new(enum message_kind kind)
{
    struct message *message = calloc(1, sizeof *message);
    if (!message) abort();
    message->kind = kind;
    return message;
}

void store_post(struct store *store, struct message *message)
{
    pthread_mutex_lock(&store->mail_lock);
    /* Only frames are bounded: snapshots and results are few and drain the box. */
    while (message->kind == MESSAGE_FRAME && store->mail_bytes > store->options.queue_bytes_max)
        pthread_cond_wait(&store->mail_drained, &store->mail_lock);
    *store->mail_tail = message;
    store->mail_tail = &message->next;
    store->mail_bytes += message->size;
    pthread_cond_signal(&store->mail_filled);
    pthread_mutex_unlock(&store->mail_lock);
}

void store_deadline(struct timespec *deadline, int64_t ns)
{
    clock_gettime(CLOCK_MONOTONIC, deadline);
    int64_t total = deadline->tv_nsec + ns;
    deadline->tv_sec += total / 1000000000;
    deadline->tv_nsec = total % 1000000000;
}

/* NULL after timeout_ns without a message. */
struct message *store_receive(struct store *store, int64_t timeout_ns)
{
    struct timespec deadline;
    store_deadline(&deadline, timeout_ns);
    pthread_mutex_lock(&store->mail_lock);
    int waited = 0;
    while (!store->mail_head && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&store->mail_filled, &store->mail_lock, &deadline);
    struct message *message = store->mail_head;
    if (message) {
        store->mail_head = message->next;
        if (!store->mail_head) store->mail_tail = &store->mail_head;
        store->mail_bytes -= message->size;
        pthread_cond_signal(&store->mail_drained);
    }
    pthread_mutex_unlock(&store->mail_lock);
    return message;
}

void store_wake(struct store *store, struct waiter *waiter, enum status status)
{
    pthread_mutex_lock(&store->wait_lock);
    waiter->status = status;
    waiter->done = true;
    pthread_cond_broadcast(&store->wait_done);
    pthread_mutex_unlock(&store->wait_lock);
}

enum status store_wait(struct store *store, struct waiter *waiter)
{
    pthread_mutex_lock(&store->wait_lock);
    while (!waiter->done) pthread_cond_wait(&store->wait_done, &store->wait_lock);
    pthread_mutex_unlock(&store->wait_lock);
    return waiter->status;
}
