#pragma once
/*
 * The ids of one project and who is the same person.
 *
 * Every distinct_id string gets a dense number at first use, from 1 (0 is "no user"). A person is a cluster of ids; its
 * number is that of one member, the surviving founder. Linking two clusters keeps the number of the heavier one (by
 * stored rows, then by members), because a person's number is part of the sort order of stored rows: a new user id owns
 * no rows and adopts the number of the anonymous id it is linked to, so the common sign-up moves nothing. Each merge
 * relabels the lighter side only, which bounds the work to O(log n) relabellings an id. The id that is shown for a
 * person is an attribute of its own.
 *
 * One thread (the applier) owns and changes a graph. Readers use an id_view: an immutable picture of it that shares
 * memory copy-on-write and may be read from any thread.
 *
 * Numbers, persons and shown ids are functions of the log: see docs/decisions/0003-self-contained-records.md.
 */
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "store/id_form.h"

struct id_graph;

struct id_graph *id_graph_new(void);
void id_graph_free(struct id_graph *graph);

uint32_t id_graph_count(const struct id_graph *graph); /* ids are 1..count */
/* The number of an id, given out now if it is new. LIMIT past 2^31 ids or when memory refuses. */
enum status id_graph_intern(struct id_graph *graph, struct str text, uint32_t *ret_id) MUST_USE;
/* The same for many ids, whose look-ups would else each wait for memory several times: the form of every text and
 * id_graph_ask, then id_graph_ask_again with every tag, then this one. Asking changes nothing. */
void id_graph_ask(const struct id_graph *graph, uint32_t tag);
void id_graph_ask_again(const struct id_graph *graph, uint32_t tag);
enum status id_graph_intern_form(struct id_graph *graph, const struct id_form *form, uint32_t *ret_id) MUST_USE;
uint32_t id_graph_find(const struct id_graph *graph, struct str text); /* 0: unknown */
/* The text of an id, "" of a forgotten one. It is in `room` or lives as long as the graph. */
struct str id_graph_text(const struct id_graph *graph, uint32_t id, char room[ID_TEXT_ROOM]);
uint32_t id_graph_person(const struct id_graph *graph, uint32_t id);
uint32_t id_graph_shown(const struct id_graph *graph, uint32_t person);
uint32_t id_graph_members(const struct id_graph *graph, uint32_t person); /* size of the cluster */
/* The next member of the id's cluster, in a circle. */
uint32_t id_graph_next_member(const struct id_graph *graph, uint32_t id);
/* Adds to the number of rows stored for the id's person. */
void id_graph_add_rows(struct id_graph *graph, uint32_t id, uint32_t rows);

/* Makes one cluster of the two persons of a and b, shown as id `shown`. Without effect but for `shown` when they are
 * one already. */
enum status id_graph_link(struct id_graph *graph, uint32_t a, uint32_t b, uint32_t shown) MUST_USE;

/* Forgets the cluster: its ids lose their texts and links, their person is 0 from now on, and the same texts get new
 * numbers. The numbers stay taken, for rows that were stored under them; views made before are not touched. Texts leave
 * the memory with the graph, and the catalog when it is saved anew from the beginning. */
enum status id_graph_forget(struct id_graph *graph, uint32_t person) MUST_USE;

/* Whether what was loaded held texts of ids that are forgotten by now. */
bool id_graph_forgot_texts(const struct id_graph *graph);

/* The person numbers under which rows of this id may be stored: the numbers its cluster has had, newest first, up to
 * the present one. At most ID_HISTORY_MAX (union by weight keeps it logarithmic). */
#define ID_HISTORY_MAX 64
size_t id_graph_history(const struct id_graph *graph, uint32_t id, uint32_t ret_persons[ID_HISTORY_MAX]);

/* --- durable form (docs/formats/catalog.md) --- */

struct catalog_out;
struct catalog_file;
struct catalog_ref;
struct id_mark {
    uint32_t ids, links, forgotten;
};
struct id_mark id_graph_mark(const struct id_graph *graph);
/* Appends, as blocks of `project`, the ids, links and forgotten ones after `from`, and what those persons weigh whose
 * weight has changed; from the very beginning, all. Followed by one of the next two, before it is called again. */
void id_graph_save(struct id_graph *graph, struct id_mark from, uint64_t project, struct catalog_out *out);
/* It counts: what came before `mark`, which was taken with it, needs not be saved again. */
void id_graph_saved(struct id_graph *graph, struct id_mark mark);
/* It does not: the next one holds its weights, too. */
void id_graph_not_saved(struct id_graph *graph);
/* Fills an empty graph with what was saved: all blocks of its project of the kinds IDS to FORGOTTEN, sorted. On failure
 * *ret_bad is the file that it is about, if it is about one, and the graph shows nothing. */
enum status id_graph_load(struct id_graph *graph, const struct catalog_ref *refs, size_t count, unsigned threads,
                          struct error *error, const struct catalog_file **ret_bad) MUST_USE;

/* --- views --- */

struct id_view;
/* The graph as it is now. Cheap: shares pages with the graph until those change. */
struct id_view *id_graph_view(struct id_graph *graph);
struct id_view *id_view_ref(struct id_view *view);
void id_view_unref(struct id_view *view);
uint32_t id_view_count(const struct id_view *view);
uint32_t id_view_forgotten_count(const struct id_view *view); /* only grows */
uint32_t id_view_person(const struct id_view *view, uint32_t id);
uint32_t id_view_shown(const struct id_view *view, uint32_t person);
/* The log of links: each took one person's number away, or none (0). Rows that were sorted when `n` links were made are
 * out of their order exactly where their person is one of those taken away by links n and later. */
uint32_t id_view_link_count(const struct id_view *view);
uint32_t id_view_moved(const struct id_view *view, uint32_t link);
/* The links that took numbers away in favour of this one, newest first: false when there is none, or none before. */
bool id_view_absorbed(const struct id_view *view, uint32_t person, uint32_t *ret_link);
bool id_view_absorbed_before(const struct id_view *view, uint32_t *link);
/* In `room`, or living as long as the view. */
struct str id_view_text(const struct id_view *view, uint32_t id, char room[ID_TEXT_ROOM]);
/* Has the texts fetched into the processor's cache: they will be asked for soon. */
void id_view_expect_texts(const struct id_view *view, const uint32_t *ids, size_t count);
uint32_t id_view_find(const struct id_view *view, struct str text);
/* The same for many: their waits for memory overlap. */
void id_view_find_forms(const struct id_view *view, const struct id_form *forms, size_t count, uint32_t *ret_ids);
