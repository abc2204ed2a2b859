#pragma once
/*
 * A workflow as a drawing: its steps in their order, where actions lead, and which step reads what of which other. It
 * is made from the document alone; nothing has to be loaded or prepared.
 */
#include "base/buf.h"
#include "workflow/document.h"

enum graph_edge_kind {
    GRAPH_NEXT, /* one step after the other */
    GRAPH_DATA, /* the second reads what the first gives; label: the names */
    GRAPH_GOTO, /* an action leads there; label: its name */
};

#define GRAPH_INPUTS  SIZE_MAX       /* as an end of an edge: the inputs of the workflow */
#define GRAPH_OUTPUTS (SIZE_MAX - 1) /* and its outputs */

struct graph_edge {
    enum graph_edge_kind kind;
    size_t from, to; /* steps, or one of the above */
    struct str label;
    bool on_failure; /* GRAPH_GOTO */
};

struct workflow_graph {
    const struct workflow *workflow;
    struct graph_edge *edges;
    size_t edge_count;
};

/* LIMIT when the arena is full. */
enum status workflow_graph_build(struct arena *arena, const struct workflow_document *document,
                                 const struct workflow *workflow, struct workflow_graph *ret_graph) MUST_USE;
/* A flowchart in the language of Mermaid, all graphs in one. */
void workflow_graph_mermaid(struct buf *buf, const struct workflow_graph *graphs, size_t count);
/* A picture of its own, without scripts: the graphs beside each other. */
void workflow_graph_svg(struct buf *buf, const struct workflow_graph *graphs, size_t count);
