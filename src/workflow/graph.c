#include "workflow/graph.h"

#include "workflow/expression.h"

#define EDGES_MAX 20000

struct builder {
    struct arena *arena;
    const struct workflow_document *document;
    const struct workflow *workflow;
    struct workflow_graph *graph;
    size_t to; /* the end of the data edges that are being looked for */
    enum status status;
};

/* Adds an edge, or a name to the label of the one that is there. */
static void add_edge(struct builder *b, struct graph_edge edge)
{
    struct workflow_graph *g = b->graph;
    for (size_t i = 0; i < g->edge_count && edge.kind == GRAPH_DATA; i++) {
        struct graph_edge *other = &g->edges[i];
        if (other->kind != GRAPH_DATA || other->from != edge.from || other->to != edge.to) continue;
        struct str rest = other->label, name;
        while (str_next_part(&rest, ',', &name))
            if (str_eq(str_trim(name), edge.label)) return;
        other->label = arena_printf(b->arena, STR_FMT ", " STR_FMT, STR_ARG(other->label), STR_ARG(edge.label));
        if (!other->label.data) b->status = STATUS_LIMIT;
        return;
    }
    struct graph_edge *list = NULL;
    if (g->edge_count < EDGES_MAX)
        list = arena_realloc(b->arena, g->edges, g->edge_count * sizeof *list, (g->edge_count + 1) * sizeof *list);
    if (!list) {
        b->status = STATUS_LIMIT;
        return;
    }
    g->edges = list;
    g->edges[g->edge_count++] = edge;
}

static void found(void *ctx, const struct expression *e)
{
    struct builder *b = ctx;
    if (e->root == EXPRESSION_INPUTS) add_edge(b, (struct graph_edge){GRAPH_DATA, GRAPH_INPUTS, b->to, e->name, false});
    if (e->root != EXPRESSION_STEPS) return;
    size_t step = workflow_step_index(b->workflow, e->id);
    if (step != SIZE_MAX && step != b->to) add_edge(b, (struct graph_edge){GRAPH_DATA, step, b->to, e->name, false});
}

/* The recursion is bounded by the depth limit of the document. */
static void look(struct builder *b, const struct json *tree)
{
    if (!tree || b->status != STATUS_OK) return;
    if (tree->type == JSON_STRING) expression_each(tree->string, found, b);
    for (size_t i = 0; tree->type == JSON_ARRAY && i < tree->array.count; i++) look(b, &tree->array.items[i]);
    for (size_t i = 0; tree->type == JSON_OBJECT && i < tree->object.count; i++)
        look(b, &tree->object.members[i].value);
}

static const struct json *component(const struct builder *b, const struct json *entry, bool failure)
{
    const struct json *reference = json_member(entry, "reference");
    struct str prefix = failure ? STR("$components.failureActions.") : STR("$components.successActions.");
    if (!reference) return entry;
    if (reference->type != JSON_STRING || !str_starts(reference->string, prefix)) return NULL;
    const struct json *kind =
        json_get(b->document->components, failure ? STR("failureActions") : STR("successActions"));
    return json_get(kind, str_slice(reference->string, prefix.size, reference->string.size));
}

static void add_actions(struct builder *b, size_t from, const struct json *list, bool failure)
{
    for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->array.count; i++) {
        const struct json *action = component(b, &list->array.items[i], failure);
        const struct json *name = json_member(action, "name"), *type = json_member(action, "type");
        const struct json *step = json_member(action, "stepId"), *workflow = json_member(action, "workflowId");
        if (!name || name->type != JSON_STRING || !type || type->type != JSON_STRING) continue;
        size_t to = step && step->type == JSON_STRING ? workflow_step_index(b->workflow, step->string) : GRAPH_OUTPUTS;
        struct str label = name->string;
        if (str_is(type->string, "retry"))
            to = from;
        else if (workflow && workflow->type == JSON_STRING)
            label = arena_printf(b->arena, STR_FMT ": workflow " STR_FMT, STR_ARG(label), STR_ARG(workflow->string));
        if (!label.data) b->status = STATUS_LIMIT;
        if (to == SIZE_MAX || b->status != STATUS_OK) continue; /* it leads nowhere, which the check says */
        add_edge(b, (struct graph_edge){GRAPH_GOTO, from, to, label, failure});
    }
}

enum status workflow_graph_build(struct arena *arena, const struct workflow_document *document,
                                 const struct workflow *workflow, struct workflow_graph *ret_graph)
{
    struct workflow_graph graph = {.workflow = workflow};
    struct builder b = {.arena = arena, .document = document, .workflow = workflow, .graph = &graph};
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct json *node = workflow->steps[i].node;
        b.to = i;
        if (i) add_edge(&b, (struct graph_edge){GRAPH_NEXT, i - 1, i, STR(""), false});
        look(&b, workflow->steps[i].parameters);
        look(&b, workflow->steps[i].request_body);
        add_actions(&b, i, json_member(node, "onSuccess"), false);
        add_actions(&b, i, json_member(node, "onFailure"), true);
    }
    b.to = GRAPH_OUTPUTS;
    look(&b, workflow->outputs);
    *ret_graph = graph;
    return b.status;
}

/* ---- Mermaid ---- */

/* Inside the quotes of a label; control characters become blanks. */
static void add_quoted(struct buf *buf, struct str text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"')
            buf_lit(buf, "#quot;");
        else if (c == '#')
            buf_lit(buf, "#35;");
        else if (c == '<')
            buf_lit(buf, "#lt;");
        else if (c == '>')
            buf_lit(buf, "#gt;");
        else
            buf_byte(buf, c < 0x20 || c == 0x7F ? ' ' : (char)c);
    }
}

static struct str operation_of(const struct workflow_step *step)
{
    return step->operation_id.size     ? step->operation_id
           : step->operation_path.size ? step->operation_path
                                       : step->workflow_id;
}

static void add_node_name(struct buf *buf, size_t graph, size_t node)
{
    if (node == GRAPH_INPUTS)
        buf_printf(buf, "w%zu_inputs", graph);
    else if (node == GRAPH_OUTPUTS)
        buf_printf(buf, "w%zu_outputs", graph);
    else
        buf_printf(buf, "w%zu_s%zu", graph, node);
}

static void mermaid_edge(struct buf *buf, size_t graph, const struct graph_edge *edge)
{
    buf_lit(buf, "    ");
    add_node_name(buf, graph, edge->from);
    if (edge->kind == GRAPH_NEXT) {
        buf_lit(buf, " --> ");
    } else {
        buf_str_add(buf, edge->kind == GRAPH_DATA ? STR(" -. \"") : STR(" == \""));
        add_quoted(buf, edge->label);
        buf_str_add(buf, edge->kind == GRAPH_DATA ? STR("\" .-> ") : STR("\" ==> "));
    }
    add_node_name(buf, graph, edge->to);
    buf_byte(buf, '\n');
}

void workflow_graph_mermaid(struct buf *buf, const struct workflow_graph *graphs, size_t count)
{
    buf_lit(buf, "flowchart TD\n");
    for (size_t g = 0; g < count; g++) {
        const struct workflow *workflow = graphs[g].workflow;
        buf_printf(buf, "  subgraph w%zu [\"", g);
        add_quoted(buf, workflow->id);
        buf_printf(buf, "\"]\n    w%zu_inputs([\"inputs\"])\n", g);
        for (size_t i = 0; i < workflow->step_count; i++) {
            buf_printf(buf, "    w%zu_s%zu[\"", g, i);
            add_quoted(buf, workflow->steps[i].id);
            buf_lit(buf, "<br/>");
            add_quoted(buf, operation_of(&workflow->steps[i]));
            buf_lit(buf, "\"]\n");
        }
        buf_printf(buf, "    w%zu_outputs([\"outputs\"])\n", g);
        for (size_t i = 0; i < graphs[g].edge_count; i++) mermaid_edge(buf, g, &graphs[g].edges[i]);
        buf_lit(buf, "  end\n");
    }
}

/* ---- SVG ---- */

enum {
    BOX_WIDTH = 240,
    BOX_HEIGHT = 46,
    ROW_HEIGHT = 96,
    MARGIN = 20,
    ARC_ROWS_MAX = 6, /* arcs that reach further are no wider */
    ARC_LABEL_CHARACTERS_MAX = 26,
    CHARACTER_WIDTH = 7, /* of a label, about */
    BOX_LEFT = (34 + ARC_ROWS_MAX * 18) * 3 / 4 + 5 + (ARC_LABEL_CHARACTERS_MAX + 1) * CHARACTER_WIDTH, /* for arcs */
    COLUMN_WIDTH = BOX_LEFT + BOX_WIDTH + BOX_LEFT,
    LABEL_CHARACTERS_MAX = 34,
};

static void add_xml(struct buf *buf, struct str text, size_t characters_max)
{
    size_t shown = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool begins = (c & 0xC0) != 0x80;
        if (begins && shown++ == characters_max) {
            buf_lit(buf, "…");
            return;
        }
        if (c == '&')
            buf_lit(buf, "&amp;");
        else if (c == '<')
            buf_lit(buf, "&lt;");
        else if (c == '>')
            buf_lit(buf, "&gt;");
        else if (c == '"')
            buf_lit(buf, "&quot;");
        else
            buf_byte(buf, c < 0x20 || c == 0x7F ? ' ' : (char)c);
    }
}

/* The row that a node stands in: inputs, steps, outputs. */
static size_t row_of(const struct workflow_graph *graph, size_t node)
{
    return node == GRAPH_INPUTS ? 0 : node == GRAPH_OUTPUTS ? graph->workflow->step_count + 1 : node + 1;
}

static int top_of(size_t row)
{
    return MARGIN + 30 + (int)row * ROW_HEIGHT;
}

static void svg_box(struct buf *buf, int left, size_t row, struct str title, struct str below, bool round)
{
    int top = top_of(row), middle = left + BOX_LEFT + BOX_WIDTH / 2;
    if (str_starts(below, STR("$sourceDescriptions."))) /* the rest says which, and has room */
        below = str_slice(below, sizeof "$sourceDescriptions." - 1, below.size);
    buf_printf(buf, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\"/>\n",
               round ? "end" : "step", left + BOX_LEFT, top, BOX_WIDTH, BOX_HEIGHT, round ? BOX_HEIGHT / 2 : 6);
    buf_printf(buf, "<text class=\"title\" x=\"%d\" y=\"%d\">", middle, top + (below.size ? 19 : 28));
    add_xml(buf, title, LABEL_CHARACTERS_MAX);
    buf_lit(buf, "</text>\n");
    if (!below.size) return;
    buf_printf(buf, "<text class=\"small\" x=\"%d\" y=\"%d\">", middle, top + 36);
    add_xml(buf, below, LABEL_CHARACTERS_MAX);
    buf_lit(buf, "</text>\n");
}

/* An arc beside the boxes: data on the right, actions on the left; the further it reaches, the wider it is. */
static void svg_arc(struct buf *buf, int left, const struct workflow_graph *graph, const struct graph_edge *edge)
{
    size_t from_row = row_of(graph, edge->from), to_row = row_of(graph, edge->to);
    bool right = edge->kind == GRAPH_DATA, self = from_row == to_row;
    int rows = (int)(to_row > from_row ? to_row - from_row : from_row - to_row);
    int bulge = 34 + (rows > ARC_ROWS_MAX ? ARC_ROWS_MAX : rows) * 18, x = left + BOX_LEFT + (right ? BOX_WIDTH : 0),
        sign = right ? 1 : -1;
    int from_y = top_of(from_row) + (self ? 10 : 30), to_y = top_of(to_row) + (self ? 36 : 14);
    buf_printf(buf, "<path class=\"%s\" d=\"M%d %d C%d %d %d %d %d %d\"/>\n",
               right              ? "data"
               : edge->on_failure ? "failure"
                                  : "success",
               x, from_y, x + sign * bulge, from_y, x + sign * bulge, to_y, x, to_y);
    buf_printf(buf, "<text class=\"label\" style=\"text-anchor:%s\" x=\"%d\" y=\"%d\">", right ? "start" : "end",
               x + sign * (bulge * 3 / 4 + 5), (from_y + to_y) / 2 + 4);
    add_xml(buf, edge->label, ARC_LABEL_CHARACTERS_MAX);
    buf_lit(buf, "</text>\n");
}

static void svg_line(struct buf *buf, int left, size_t from_row, size_t to_row)
{
    int x = left + BOX_LEFT + BOX_WIDTH / 2;
    buf_printf(buf, "<path class=\"next\" d=\"M%d %d V%d\"/>\n", x, top_of(from_row) + BOX_HEIGHT, top_of(to_row) - 2);
}

static void svg_workflow(struct buf *buf, int left, const struct workflow_graph *graph)
{
    const struct workflow *workflow = graph->workflow;
    buf_printf(buf, "<text class=\"heading\" x=\"%d\" y=\"%d\">", left + BOX_LEFT + BOX_WIDTH / 2, MARGIN + 12);
    add_xml(buf, workflow->id, 60);
    buf_lit(buf, "</text>\n");
    for (size_t row = 0; row <= workflow->step_count; row++) svg_line(buf, left, row, row + 1);
    for (size_t i = 0; i < graph->edge_count; i++)
        if (graph->edges[i].kind != GRAPH_NEXT) svg_arc(buf, left, graph, &graph->edges[i]);
    svg_box(buf, left, 0, STR("inputs"), STR_NULL, true);
    for (size_t i = 0; i < workflow->step_count; i++)
        svg_box(buf, left, i + 1, workflow->steps[i].id, operation_of(&workflow->steps[i]), false);
    svg_box(buf, left, workflow->step_count + 1, STR("outputs"), STR_NULL, true);
}

void workflow_graph_svg(struct buf *buf, const struct workflow_graph *graphs, size_t count)
{
    static const char style[] =
        "<style>text{font-family:sans-serif;text-anchor:middle;fill:#1c2733}.heading{font-weight:bold;font-size:16px}"
        ".title{font-size:14px}.small,.label{font-size:11px;fill:#51606f}"
        "rect{stroke:#51606f}.step{fill:#eef3f8}.end{fill:#f7f3e8}path{fill:none;stroke-width:1.5;marker-end:url(#tip)}"
        ".next{stroke:#51606f}.data{stroke:#2c7fb8;stroke-dasharray:4 "
        "3}.success{stroke:#2a8f55}.failure{stroke:#c0392b}"
        "</style>\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" "
        "markerHeight=\"7\" "
        "orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" "
        "style=\"fill:#51606f;stroke:none;marker-end:none\"/></marker></defs>\n";
    size_t rows = 0;
    for (size_t g = 0; g < count; g++)
        if (graphs[g].workflow->step_count + 2 > rows) rows = graphs[g].workflow->step_count + 2;
    int width = (int)count * COLUMN_WIDTH + 2 * MARGIN, height = top_of(rows) + MARGIN;
    buf_printf(buf,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n"
               "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\" style=\"stroke:none\"/>\n",
               width, height, width, height);
    buf_str_add(buf, str_of(style));
    for (size_t g = 0; g < count; g++) svg_workflow(buf, MARGIN + (int)g * COLUMN_WIDTH, &graphs[g]);
    buf_lit(buf, "</svg>\n");
}
