#pragma once
/*
 * Carrying out requests to take an id out of the person that it was linked to (meta.h has their rows). The id is a
 * person of its own from the next query on, with all that it ever did; links that come later may join it to somebody
 * again.
 *
 * Blocking: for worker threads, the server's thread that works off what is pending, and the command line. Any number of
 * threads may call.
 */
#include "base/arena.h"
#include "base/error.h"
#include "meta/meta.h"

struct api;
struct store;

/* Carries out a pending request and writes its row anew, which *ret_unlink is. The request itself is in order when OK
 * is returned: its row says DONE, or PENDING with the reason when the store cannot write at the moment. NOT_FOUND and
 * CONFLICT: the id is not known, or not linked; its row says FAILED. */
enum status unlink_run(struct store *store, struct meta *meta, const struct meta_view *view, int64_t id,
                       struct arena *arena, struct error *error, struct meta_unlink *ret_unlink) MUST_USE;
/* Everything pending, oldest first. */
void unlink_work(struct api *api, const struct meta_view *view);
/* A row as JSON. */
struct buf;
void unlink_write_json(struct buf *to, const struct meta_unlink *unlink);
