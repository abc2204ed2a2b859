#include "cli/progress.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "workflow/report.h"

enum {
    COLUMNS_DEFAULT = 80,
    EVENT_BYTES_MAX = 16 << 20, /* an event may show the outputs of a workflow */
};

static bool is_terminal(FILE *stream)
{
    const char *term = getenv("TERM");
    return isatty(fileno(stream)) && term && *term && strcmp(term, "dumb") != 0;
}

bool progress_color(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR");
    return is_terminal(stream) && !(no_color && *no_color);
}

void progress_init(struct progress *progress, FILE *out)
{
    *progress = (struct progress){.out = out, .live = is_terminal(out), .color = progress_color(out)};
}

static void live_hide(struct progress *progress)
{
    if (!progress->live_shown) return;
    fputs("\r\033[2K", progress->out);
    progress->live_shown = false;
}

static size_t terminal_columns(FILE *stream)
{
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return COLUMNS_DEFAULT;
}

/* At most `room` bytes of the text, with a dot for each byte that could move the cursor or take more than one
 * column. */
static size_t live_text(FILE *out, struct str text, size_t room)
{
    size_t count = text.size < room ? text.size : room;
    for (size_t i = 0; i < count; i++) fputc(text.data[i] >= 0x20 && text.data[i] < 0x7f ? text.data[i] : '.', out);
    return count;
}

static void live_show(struct progress *progress, const struct workflow_event *event)
{
    size_t room = terminal_columns(progress->out);
    if (room < 20) return;
    room -= 5; /* indentation, and the last column, where some terminals wrap */
    fputs(progress->color ? "    \033[2m" : "    ", progress->out);
    room -= live_text(progress->out, event->method, room);
    room -= live_text(progress->out, STR(" "), room);
    live_text(progress->out, event->url, room);
    if (progress->color) fputs("\033[0m", progress->out);
    progress->live_shown = true;
}

void progress_event(void *ctx, const struct workflow_event *event)
{
    struct progress *progress = ctx;
    struct buf lines = BUF_INIT(EVENT_BYTES_MAX);
    workflow_report_event(&lines, event, progress->color);
    if (lines.size > 0 || event->kind == WORKFLOW_EVENT_RESPONSE) live_hide(progress);
    fwrite(lines.data ? lines.data : "", 1, lines.size, progress->out);
    if (progress->live && event->kind == WORKFLOW_EVENT_REQUEST) live_show(progress, event);
    fflush(progress->out);
    buf_fini(&lines);
}

void progress_fini(struct progress *progress)
{
    live_hide(progress);
    fflush(progress->out);
}
