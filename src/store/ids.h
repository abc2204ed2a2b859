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
 * A split takes ids out of a cluster again. Everybody gets a new number then, one that has no id of its own (a bare
 * number), and the old number is taken away; the numbers of the cluster so far are mixed: rows of several persons may
 * be stored under them, and only the id of a row tells whose it is. So a number is given once and taken away once, and
 * everything that was sorted before a split stays readable.
 *
 * In the legacy mode an alias is another name of an id, for events to come: it links nothing (id_graph_name).
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
uint32_t id_graph_members(const struct id_graph *graph, uint32_t person); /* ids of the cluster */
/* The same, but counting ends at `most`. */
uint32_t id_graph_members_up_to(const struct id_graph *graph, uint32_t person, uint32_t most);
/* The next number of the id's cluster, in a circle; bare ones are among them. */
uint32_t id_graph_next_member(const struct id_graph *graph, uint32_t id);
/* A number that stands for a person, but is no id: its text is "". */
bool id_graph_is_bare(const struct id_graph *graph, uint32_t id);
/* Whether no other id belongs to the id's person. */
bool id_graph_is_alone(const struct id_graph *graph, uint32_t id);
/* Rows stored under this number may be those of several persons by now: id_graph_person of a row's id tells. */
bool id_graph_is_mixed(const struct id_graph *graph, uint32_t number);
/* Adds to the number of rows stored for the id's person. */
void id_graph_add_rows(struct id_graph *graph, uint32_t id, uint32_t rows);
/* What was added; rows that were deleted or replaced since are in it. */
uint32_t id_graph_rows(const struct id_graph *graph, uint32_t person);

/* Where a link comes from. Stored in catalogs, in three bits: never renumber. */
enum id_link_kind {
    ID_LINK_UNKNOWN = 0,  /* made by a version that did not note it */
    ID_LINK_EVENT = 1,    /* an event that names a device and a user */
    ID_LINK_IDENTIFY = 2, /* $identify: `a` was attached to `b` */
    ID_LINK_ALIAS = 3,    /* $create_alias: `a` is an alias of `b` */
    ID_LINK_MERGE = 4,    /* $merge */
    ID_LINK_ASKED = 5,    /* somebody asked for it in the simplified mode, without an event */
    ID_LINK_SPLIT = 6,    /* `a` was taken out, or stands for nobody any more; 0: those who stayed */
    ID_LINK_NAME = 7,     /* $create_alias of the legacy mode: `a` stands for `b`, and nobody was linked */
};
struct id_source {
    enum id_link_kind kind;
    uint32_t a, b;   /* the ids that were named; 0: none */
    int64_t time_ms; /* when it was received; kept in seconds from 2020 on, 0 before */
    uint32_t event;  /* EVENT: the number of its name, plus 1; 0: unknown */
};

/* Memory ran out in the middle of a change, so the graph is neither what it was nor what it was to be. Links, names and
 * splits that return LIMIT leave it so. Its owner has to give it up: the log, from which it can be made anew, is what
 * counts. */
bool id_graph_is_torn(const struct id_graph *graph);

/* Makes one cluster of the two persons of a and b, shown as id `shown`. Without effect but for `shown` when they are
 * one already; what IDENTIFY and ALIAS say of source->a is noted in any case. source may be NULL. */
enum status id_graph_link(struct id_graph *graph, uint32_t a, uint32_t b, uint32_t shown,
                          const struct id_source *source) MUST_USE;
/* What was noted of an id: whether $identify attached it to another, and the id whose alias it is (0: none). */
bool id_graph_is_attached(const struct id_graph *graph, uint32_t id);
uint32_t id_graph_alias_of(const struct id_graph *graph, uint32_t alias);
/* In the legacy mode, the id that this one stands for, in events to come (0: itself), and noting it. */
uint32_t id_graph_stands_for(const struct id_graph *graph, uint32_t id);
enum status id_graph_name(struct id_graph *graph, uint32_t id, uint32_t target, int64_t time_ms) MUST_USE;

/* Takes ids out of their cluster: each of the `count` is alone from now on, the others stay together and are shown as
 * `shown`, one of them. `leaving` ascends, all are of one cluster, and at least one id stays. What was noted of the
 * leaving ones is forgotten. CONFLICT, without effect, when the numbers that one of the cluster's ids has had, or all
 * numbers, would become too many. */
enum status id_graph_split(struct id_graph *graph, const uint32_t *leaving, uint32_t count, uint32_t shown,
                           int64_t time_ms) MUST_USE;

/* Forgets the cluster: its ids lose their texts and links, their person is 0 from now on, and the same texts get new
 * numbers. The numbers stay taken, for rows that were stored under them; views made before are not touched. Texts leave
 * the memory with the graph, and the catalog when it is saved anew from the beginning. */
enum status id_graph_forget(struct id_graph *graph, uint32_t person) MUST_USE;

/* Whether what was loaded held texts of ids that are forgotten by now. */
bool id_graph_forgot_texts(const struct id_graph *graph);

/* The person numbers under which rows of this id may be stored: the numbers its cluster has had, newest first, up to
 * the present one. At most ID_HISTORY_MAX: union by weight keeps what links add between two splits logarithmic, and
 * splits that would make it more than ID_HISTORY_SPLIT_MAX are refused. */
#define ID_HISTORY_MAX       256
#define ID_HISTORY_SPLIT_MAX 200
size_t id_graph_history(const struct id_graph *graph, uint32_t id, uint32_t ret_persons[ID_HISTORY_MAX]);

/* --- durable form (docs/formats/catalog.md) --- */

struct catalog_out;
struct catalog_file;
struct catalog_ref;
struct id_mark {
    uint32_t ids, links, forgotten;
};
struct id_mark id_graph_mark(const struct id_graph *graph);
/* Appends, as blocks of `project`, the ids, links (with their sources) and forgotten ones after `from`, and what those
 * persons weigh whose weight has changed; from the very beginning, all. Followed by one of the next two, before it is
 * called again. */
void id_graph_save(struct id_graph *graph, struct id_mark from, uint64_t project, struct catalog_out *out);
/* It counts: what came before `mark`, which was taken with it, needs not be saved again. */
void id_graph_saved(struct id_graph *graph, struct id_mark mark);
/* It does not: the next one holds its weights, too. */
void id_graph_not_saved(struct id_graph *graph);
/* Fills an empty graph with what was saved: all blocks of its project of the kinds IDS to SOURCES, sorted. On failure
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
/* See id_graph_is_mixed: rows under such a number are those of id_view_person of their ids. */
bool id_view_is_mixed(const struct id_view *view, uint32_t number);
bool id_view_any_mixed(const struct id_view *view); /* whether there is such a number at all */
uint32_t id_view_stands_for(const struct id_view *view, uint32_t id);
/* The log of links: each took one person's number away, or none (0). Rows that were sorted when `n` links were made are
 * out of their order exactly where their person is one of those taken away by links n and later. */
uint32_t id_view_link_count(const struct id_view *view);
uint32_t id_view_moved(const struct id_view *view, uint32_t link);
/* How link `link` came about. */
struct id_source id_view_source(const struct id_view *view, uint32_t link);
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
