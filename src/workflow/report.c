#include "workflow/report.h"

#include "base/utf8.h"

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define DIM    "\033[2m"
#define PLAIN  "\033[0m"

static void paint(struct buf *buf, bool color, const char *code)
{
    if (color) buf_str_add(buf, str_of(code));
}

/* Texts from elsewhere: control characters (C0, DEL, C1) and broken UTF-8 must not reach the terminal. */
static void add_safe(struct buf *buf, struct str text)
{
    for (size_t i = 0; i < text.size;) {
        size_t from = i;
        uint32_t point = utf8_next(text.data, text.size, &i);
        bool broken = point == 0xFFFD && i - from == 1;
        if (point == '\n')
            buf_lit(buf, "\\n");
        else if (point < 0x20 || (point >= 0x7F && point < 0xA0) || broken)
            buf_printf(buf, "\\x%02x", (unsigned char)text.data[from]);
        else
            buf_add(buf, text.data + from, i - from);
    }
}

static void add_json(struct buf *buf, const struct json *value)
{
    struct buf text = BUF_INIT(buf->size_max);
    json_write(&text, value);
    if (buf_status(&text) != STATUS_OK) buf->failed = true;
    add_safe(buf, buf_str(&text));
    buf_fini(&text);
}

static void add_mark(struct buf *buf, bool passed, bool color)
{
    paint(buf, color, passed ? GREEN : RED);
    if (passed)
        buf_lit(buf, "✓");
    else
        buf_lit(buf, "✗");
    paint(buf, color, PLAIN);
}

static void add_time(struct buf *buf, uint64_t elapsed_us)
{
    if (elapsed_us < 1000)
        buf_lit(buf, "<1 ms");
    else if (elapsed_us < 10000000)
        buf_printf(buf, "%llu ms", (unsigned long long)(elapsed_us / 1000));
    else
        buf_printf(buf, "%.1f s", (double)elapsed_us / 1e6);
}

/* Called workflows stand further to the right. */
static void indent(struct buf *buf, const struct workflow_event *event, unsigned blanks)
{
    buf_fill(buf, ' ', blanks + 4u * event->depth);
}

static void report_step(struct buf *buf, const struct workflow_event *event, bool color)
{
    indent(buf, event, 2);
    add_mark(buf, event->passed, color);
    buf_byte(buf, ' ');
    add_safe(buf, event->step_id);
    if (event->calls) {
        buf_lit(buf, "  workflow ");
        add_safe(buf, event->operation);
    }
    if (event->method.size) {
        buf_lit(buf, "  ");
        add_safe(buf, event->method);
        buf_byte(buf, ' ');
        paint(buf, color, DIM);
        add_safe(buf, event->url);
        paint(buf, color, PLAIN);
    }
    if (event->status) {
        buf_printf(buf, "  %u  ", event->status);
        add_time(buf, event->elapsed_us);
    }
    buf_byte(buf, '\n');
    if (event->passed) return;
    bool explained = false;
    for (size_t i = 0; event->criteria && i < event->criteria->array.count; i++) {
        const struct json *criterion = &event->criteria->array.items[i], *passed = json_member(criterion, "passed");
        const struct json *message = json_member(criterion, "message"),
                          *condition = json_member(criterion, "condition");
        if (!passed || !condition) continue;
        indent(buf, event, 6);
        add_mark(buf, passed->boolean, color);
        buf_byte(buf, ' ');
        add_safe(buf, condition->string);
        if (message) {
            buf_lit(buf, "  (");
            add_safe(buf, message->string);
            buf_byte(buf, ')');
        }
        buf_byte(buf, '\n');
        explained |= !passed->boolean;
    }
    if (explained) return;
    indent(buf, event, 6);
    add_safe(buf, event->text);
    buf_byte(buf, '\n');
}

static void report_end(struct buf *buf, const struct workflow_event *event, bool color)
{
    indent(buf, event, 0);
    add_mark(buf, event->passed, color);
    buf_byte(buf, ' ');
    add_safe(buf, event->workflow_id);
    if (event->passed) {
        buf_lit(buf, " passed\n");
    } else {
        buf_lit(buf, " failed at ");
        add_safe(buf, event->text);
        buf_byte(buf, '\n');
        return;
    }
    for (size_t i = 0; event->outputs && i < event->outputs->object.count; i++) {
        const struct json_member *member = &event->outputs->object.members[i];
        indent(buf, event, 2);
        add_safe(buf, member->key);
        buf_lit(buf, ": ");
        add_json(buf, &member->value);
        buf_byte(buf, '\n');
    }
}

void workflow_report_event(struct buf *buf, const struct workflow_event *event, bool color)
{
    switch (event->kind) {
    case WORKFLOW_EVENT_WORKFLOW_STARTED:
        indent(buf, event, 0);
        add_safe(buf, event->workflow_id);
        if (event->summary.size) {
            buf_lit(buf, ": ");
            add_safe(buf, event->summary);
        }
        buf_byte(buf, '\n');
        return;
    case WORKFLOW_EVENT_ACTION:
        indent(buf, event, 6);
        paint(buf, color, DIM);
        buf_lit(buf, "→ ");
        add_safe(buf, event->text);
        paint(buf, color, PLAIN);
        buf_byte(buf, '\n');
        return;
    case WORKFLOW_EVENT_WARNING:
        indent(buf, event, 2);
        paint(buf, color, YELLOW);
        buf_lit(buf, "warning:");
        paint(buf, color, PLAIN);
        buf_byte(buf, ' ');
        add_safe(buf, event->text);
        buf_byte(buf, '\n');
        return;
    case WORKFLOW_EVENT_STEP_FINISHED: report_step(buf, event, color); return;
    case WORKFLOW_EVENT_WORKFLOW_FINISHED: report_end(buf, event, color); return;
    case WORKFLOW_EVENT_STEP_STARTED:
    case WORKFLOW_EVENT_REQUEST:
    case WORKFLOW_EVENT_RESPONSE: return;
    }
}

static void report_problem(struct buf *buf, const struct workflow_problem *problem, bool color)
{
    struct buf line = BUF_INIT(8192);
    workflow_problem_write(&line, problem);
    paint(buf, color, problem->is_error ? RED : YELLOW);
    add_safe(buf, buf_str(&line));
    paint(buf, color, PLAIN);
    buf_byte(buf, '\n');
    buf_fini(&line);
}

void workflow_report_problems(struct buf *buf, const struct workflow_problems *problems, bool color)
{
    for (size_t i = 0; i < problems->count; i++) {
        if (!problems->items[i].is_error) report_problem(buf, &problems->items[i], color);
    }
    for (size_t i = 0; i < problems->count; i++) {
        if (problems->items[i].is_error) report_problem(buf, &problems->items[i], color);
    }
    if (problems->truncated) buf_lit(buf, "and more\n");
}
