#include "cli/bulk/meter.h"

#include "cli/figures.h"
#include "os/clock.h"

#include <stdlib.h>
#include <unistd.h>

#define NS_PER_S  INT64_C(1000000000)
#define LINE_NS   (10 * NS_PER_S)
#define BAR_CELLS 20

void meter_init(struct meter *meter, FILE *out, uint64_t bytes_all)
{
    const char *terminal = getenv("TERM");
    *meter = (struct meter){.out = out, .bytes_all = bytes_all, .begun_ns = os_monotonic_ns()};
    meter->live = out && isatty(fileno(out)) && terminal && strcmp(terminal, "dumb") != 0;
    meter->shown_ns = meter->begun_ns;
}

double meter_seconds(const struct meter *meter)
{
    return (double)(os_monotonic_ns() - meter->begun_ns) / 1e9;
}

/* `1:02:03` */
static void duration(double seconds, char *text, size_t size)
{
    unsigned long whole = (unsigned long)(seconds < 0 ? 0 : seconds + 0.5);
    if (whole >= 3600)
        snprintf(text, size, "%lu:%02lu:%02lu", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, size, "%lu:%02lu", whole / 60, whole % 60);
}

static void print_bar(const struct meter *meter, uint64_t bytes)
{
    double part = (double)bytes / (double)meter->bytes_all;
    if (part > 1) part = 1;
    char bar[BAR_CELLS + 1] = "";
    for (int i = 0; i < BAR_CELLS; i++) bar[i] = part * BAR_CELLS > i ? '#' : '.';
    char left[32] = "-";
    if (meter->bytes_per_s > 0)
        duration((double)(meter->bytes_all - (uint64_t)(part * (double)meter->bytes_all)) / meter->bytes_per_s, left,
                 sizeof left);
    fprintf(meter->out, "[%s] %3.0f %%  left %s  ", bar, part * 100, left);
}

void meter_show(struct meter *meter, const struct bulk_result *now)
{
    int64_t now_ns = os_monotonic_ns();
    double elapsed = (double)(now_ns - meter->shown_ns) / 1e9;
    if (!meter->out || (!meter->live && now_ns - meter->shown_ns < LINE_NS) || elapsed <= 0) return;
    /* A moving average, so that the figures can be read. */
    double records = (double)(now->records - meter->shown_records) / elapsed;
    double bytes = (double)(now->bytes - meter->shown_bytes) / elapsed, weight = meter->records_per_s > 0 ? 0.2 : 1;
    meter->records_per_s += (records - meter->records_per_s) * weight;
    meter->bytes_per_s += (bytes - meter->bytes_per_s) * weight;
    meter->shown_ns = now_ns;
    meter->shown_records = now->records;
    meter->shown_bytes = now->bytes;
    struct arena *arena = arena_new((size_t)1 << 16);
    if (meter->live) fputs("\r\033[K", meter->out);
    if (meter->bytes_all) print_bar(meter, now->bytes);
    fprintf(meter->out, STR_FMT " events  " STR_FMT "/s  " STR_FMT "/s", STR_ARG(figure_count(arena, now->records)),
            STR_ARG(figure_count(arena, (uint64_t)meter->records_per_s)),
            STR_ARG(figure_bytes(arena, (uint64_t)meter->bytes_per_s)));
    if (now->refused) fprintf(meter->out, "  " STR_FMT " refused", STR_ARG(figure_count(arena, now->refused)));
    if (!meter->live) fputc('\n', meter->out);
    fflush(meter->out);
    arena_free(arena);
}

void meter_end(struct meter *meter)
{
    if (meter->live) {
        fputs("\r\033[K", meter->out);
        fflush(meter->out);
    }
}
