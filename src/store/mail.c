/* Mailboxes and waiting between the store's threads; who owns what is told in store.c. */
#include "os/clock.h"
#include "store/store_int.h"

#include <stdlib.h>

struct message *store_message_try(enum message_kind kind)
{
    struct message *message = calloc(1, sizeof *message);
    if (message) message->kind = kind;
    return message;
}

struct message *store_message_new(enum message_kind kind)
{
    struct message *message = store_message_try(kind);
    if (!message) abort();
    return message;
}

void store_post(struct store *store, struct message *message)
{
    os_mutex_lock(&store->mail_lock);
    /* Only frames are bounded: snapshots and results are few and drain the box. */
    while (message->kind == MESSAGE_FRAME && store->mail_bytes > store->options.queue_bytes_max)
        os_cond_wait(&store->mail_drained, &store->mail_lock);
    *store->mail_tail = message;
    store->mail_tail = &message->next;
    store->mail_bytes += message->size;
    store->changes_posted += store_is_change(message->kind);
    os_cond_signal(&store->mail_filled);
    os_mutex_unlock(&store->mail_lock);
}

/* NULL after timeout_ns without a message. */
struct message *store_receive(struct store *store, int64_t timeout_ns)
{
    int64_t deadline_ns = os_monotonic_ns() + timeout_ns;
    os_mutex_lock(&store->mail_lock);
    while (!store->mail_head && os_cond_wait_until(&store->mail_filled, &store->mail_lock, deadline_ns)) continue;
    struct message *message = store->mail_head;
    if (message) {
        store->mail_head = message->next;
        if (!store->mail_head) store->mail_tail = &store->mail_head;
        store->mail_bytes -= message->size;
        os_cond_signal(&store->mail_drained);
    }
    os_mutex_unlock(&store->mail_lock);
    return message;
}

void store_wake(struct store *store, struct waiter *waiter, enum status status)
{
    os_mutex_lock(&store->wait_lock);
    waiter->status = status;
    waiter->done = true;
    os_cond_broadcast(&store->wait_done);
    os_mutex_unlock(&store->wait_lock);
}

enum status store_wait(struct store *store, struct waiter *waiter)
{
    os_mutex_lock(&store->wait_lock);
    while (!waiter->done) os_cond_wait(&store->wait_done, &store->wait_lock);
    os_mutex_unlock(&store->wait_lock);
    return waiter->status;
}
